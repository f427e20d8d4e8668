#pragma once

#include <polymoe/target/cpu_features.hpp>

/// The name of the backend that this build of the engine would use.
template <polymoe::CpuFeatures level>
const char* backend_name();
