// The interface between a program and the builds of its engine. It holds nothing that depends on the instruction set.
#pragma once

#include <cstdint>
#include <polymoe/target/cpu_features.hpp>

/// Computes one small layer with the backend that polymoe selects for the level, and returns the backend's name.
/// `out` receives 256 numbers.
template <polymoe::CpuFeatures level>
const char* run_layer(float* out);
