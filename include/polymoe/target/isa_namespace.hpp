// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

// One program may hold translation units that are compiled for different instruction sets. Everything whose code
// depends on the instruction set therefore lives in an inline namespace with the set's name:
//
//     namespace polymoe::inline POLYMOE_ISA::experts { ... }
//
// Users write polymoe::experts; the linker sees polymoe::isa_amx::experts, and keeps the builds apart.
// The names are ordered from the most capable down. A set's name stands for all features that its line asks for.

// GCC and newer Clang say __AMX_TILE__, Clang up to 16 says __AMXTILE__.
#if (defined(__AMX_TILE__) && defined(__AMX_BF16__) && defined(__AMX_INT8__)) || \
    (defined(__AMXTILE__) && defined(__AMXBF16__) && defined(__AMXINT8__))
#define POLYMOE_HAS_AMX 1
#endif

#if defined(POLYMOE_ISA)
// The build names the namespace itself.
#elif defined(POLYMOE_HAS_AMX) && defined(__AVX512BF16__) && defined(__AVX512VNNI__) && defined(__AVX512VBMI__)
#define POLYMOE_ISA isa_amx
#elif defined(__AVX512BF16__) && defined(__AVX512VNNI__) && defined(__AVX512VBMI__) && defined(__AVX512BW__)
#define POLYMOE_ISA isa_avx512_bf16
#elif defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__) && \
    defined(__AVX512CD__)
#define POLYMOE_ISA isa_avx512
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#define POLYMOE_ISA isa_avx2
#elif defined(__SSE4_2__)
#define POLYMOE_ISA isa_sse42
#elif defined(__aarch64__)
#define POLYMOE_ISA isa_neon64
#else
#define POLYMOE_ISA isa_portable
#endif
