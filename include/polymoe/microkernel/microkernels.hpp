// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

/// Every microkernel that this translation unit's instruction set has.

#include "polymoe/microkernel/amx_bf16.hpp"
#include "polymoe/microkernel/amx_int8.hpp"
#include "polymoe/microkernel/avx512_bf16.hpp"
#include "polymoe/microkernel/avx512_vnni.hpp"
#include "polymoe/microkernel/simd.hpp"
