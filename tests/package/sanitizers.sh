#!/usr/bin/env bash
# Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#
# A part of the tests in a build with the address and undefined-behaviour sanitizers.
set -euo pipefail
build=${POLYMOE_BUILD_DIR:?}/sanitize
export CMAKE_GENERATOR
command -v ninja >/dev/null && CMAKE_GENERATOR=Ninja || CMAKE_GENERATOR="Unix Makefiles"

cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG=-O1 -DPOLYMOE_SANITIZE=address,undefined \
  -DPOLYMOE_ISAS="portable;avx2;amx;neon64" -DPOLYMOE_TEST_ISAS="avx2;neon64" -DPOLYMOE_TEST_PACKAGE=OFF \
  -DPOLYMOE_TEST_STATIC=OFF
cmake --build "$build" --target polymoe_sanitized_tests
ctest --test-dir "$build" -L sanitized --output-on-failure
