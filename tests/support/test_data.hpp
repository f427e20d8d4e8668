// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <string>

// The build defines these; without it tests run from the repository's root.
#if !defined(POLYMOE_TEST_DATA)
#define POLYMOE_TEST_DATA "tests/data"
#endif
#if !defined(POLYMOE_EXAMPLE_DATA)
#define POLYMOE_EXAMPLE_DATA "examples/data"
#endif

namespace polymoe::test {

inline const std::string conformance_folder = POLYMOE_TEST_DATA "/conformance/public";
inline const std::string malformed_folder = POLYMOE_TEST_DATA "/conformance/public_malformed";
inline const std::string routing_file = POLYMOE_TEST_DATA "/conformance/routing.safetensors";
inline const std::string goldens_file = POLYMOE_TEST_DATA "/tiny_moe/goldens.safetensors";
inline const std::string tiny_moe_folder = POLYMOE_EXAMPLE_DATA "/tiny_moe";

}  // namespace polymoe::test
