// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <xsimd/xsimd.hpp>

#include "polymoe/numeric/bf16.hpp"
#include "polymoe/numeric/fp16.hpp"
#include "polymoe/target/isa_namespace.hpp"

// Vectors of fp32 numbers: loads and stores that convert from and to bf16 and fp16, and the few operations that xsimd
// lacks or leaves to the compiler. A vector V is an xsimd batch of any architecture that this translation unit is
// compiled for, or a plain float, so that one text serves the kernels and scalar code. Call these functions qualified:
// an unqualified store(p, batch) or exp(batch) means xsimd's own, which is found beside and fits better.

namespace polymoe::inline POLYMOE_ISA::vector {

namespace detail {

template <class V>
inline constexpr bool is_float_batch = false;
template <class Arch>
inline constexpr bool is_float_batch<xsimd::batch<float, Arch>> = true;

template <class V>
struct Traits {
  using Arch = void;
  using Int = std::int32_t;
  using Mask = bool;
  static constexpr std::size_t size = 1;
};
template <class A>
struct Traits<xsimd::batch<float, A>> {
  using Arch = A;
  using Int = xsimd::batch<std::int32_t, A>;
  using Mask = xsimd::batch_bool<float, A>;
  static constexpr std::size_t size = xsimd::batch<float, A>::size;
};

}  // namespace detail

/// float, or an xsimd batch of it.
template <class V>
concept FloatVector = std::same_as<V, float> || detail::is_float_batch<V>;

/// The element types that vectors are loaded from and stored to.
template <class T>
concept FloatElement = std::same_as<T, float> || std::same_as<T, bf16> || std::same_as<T, fp16>;

/// Numbers in a V.
template <FloatVector V>
inline constexpr std::size_t width = detail::Traits<V>::size;

/// int32 numbers, as many as V holds.
template <FloatVector V>
using Int = typename detail::Traits<V>::Int;

/// What a comparison of two V gives.
template <FloatVector V>
using Mask = typename detail::Traits<V>::Mask;

/// The xsimd architecture of V; void for float.
template <FloatVector V>
using Arch = typename detail::Traits<V>::Arch;

/// The widest vector that this translation unit is compiled for.
using Native = std::conditional_t<std::same_as<xsimd::default_arch, xsimd::unavailable>, float,
                                  xsimd::batch<float, xsimd::default_arch>>;

namespace detail {

template <class V>
inline constexpr bool is_scalar = std::same_as<V, float>;
template <class V>
inline constexpr bool is_avx512 = std::derived_from<typename Traits<V>::Arch, xsimd::avx512f>;
template <class V>
inline constexpr bool is_avx2 = std::derived_from<typename Traits<V>::Arch, xsimd::avx2>;
template <class V>
inline constexpr bool is_avx = std::derived_from<typename Traits<V>::Arch, xsimd::avx>;
template <class V>
inline constexpr bool is_sse2 = std::derived_from<typename Traits<V>::Arch, xsimd::sse2>;
template <class V>
inline constexpr bool is_sse41 = std::derived_from<typename Traits<V>::Arch, xsimd::sse4_1>;

}  // namespace detail

/// multiply_add rounds once.
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
inline constexpr bool has_fused_multiply_add = true;
#else
inline constexpr bool has_fused_multiply_add = false;
#endif

/// The bits of x as integers, and back.
template <FloatVector V>
[[gnu::always_inline]] inline Int<V> to_bits(V x) noexcept {
  if constexpr (detail::is_scalar<V>) {
    return std::bit_cast<std::int32_t>(x);
  } else {
    return xsimd::bitwise_cast<Int<V>>(x);
  }
}
template <FloatVector V>
[[gnu::always_inline]] inline V from_bits(Int<V> bits) noexcept {
  if constexpr (detail::is_scalar<V>) {
    return std::bit_cast<float>(bits);
  } else {
    return xsimd::bitwise_cast<V>(bits);
  }
}

/// mask ? a : b, lane by lane.
template <FloatVector V>
[[gnu::always_inline]] inline V select(Mask<V> mask, V a, V b) noexcept {
  if constexpr (detail::is_scalar<V>) {
    return mask ? a : b;
  } else {
    return xsimd::select(mask, a, b);
  }
}

/// x * y + z, rounded once where this translation unit's instruction set can, whatever V. (xsimd 8.1 leaves it to the
/// compiler for AVX-512, and Clang does not fuse what comes from intrinsics.)
template <FloatVector V>
[[gnu::always_inline]] inline V multiply_add(V x, V y, V z) noexcept {
#if defined(__AVX512F__)
  if constexpr (detail::is_avx512<V>) return _mm512_fmadd_ps(x, y, z);
#endif
#if defined(__FMA__)
  if constexpr (detail::is_avx<V>) return _mm256_fmadd_ps(x, y, z);
  if constexpr (detail::is_sse2<V>) return _mm_fmadd_ps(x, y, z);
#endif
  if constexpr (!detail::is_scalar<V>) {
    return xsimd::fma(x, y, z);
  } else if constexpr (has_fused_multiply_add) {
    return __builtin_fmaf(x, y, z);
  } else {
    return x * y + z;
  }
}

/// The lesser of x and bound; a NaN in x stays. (x86 hands on the second operand where either is a NaN.)
template <FloatVector V>
[[gnu::always_inline]] inline V at_most(V x, V bound) noexcept {
  if constexpr (detail::is_scalar<V>) {
    return bound < x ? bound : x;
  } else {
    return xsimd::min(bound, x);
  }
}

/// The greater of x and bound; a NaN in x stays.
template <FloatVector V>
[[gnu::always_inline]] inline V at_least(V x, V bound) noexcept {
  if constexpr (detail::is_scalar<V>) {
    return bound > x ? bound : x;
  } else {
    return xsimd::max(bound, x);
  }
}

/// x within [-bound, bound]; a NaN in x stays.
template <FloatVector V>
[[gnu::always_inline]] inline V clamp(V x, V bound) noexcept {
  return at_least(at_most(x, bound), -bound);
}

template <FloatVector V>
[[gnu::always_inline]] inline V abs(V x) noexcept {
  return from_bits<V>(to_bits(x) & Int<V>(0x7FFFFFFF));
}

/// The sum of the numbers in x, by halves: the order depends on V only.
template <FloatVector V>
[[gnu::always_inline]] inline float sum(V x) noexcept {
  if constexpr (detail::is_scalar<V>) {
    return x;
  } else {
    return xsimd::hadd(x);
  }
}

/// The integers in the lower 16 bits of codes[0..width), zero extended.
template <FloatVector V>
[[gnu::always_inline]] inline Int<V> load_codes(const std::uint16_t* codes) noexcept {
#if defined(__AVX512F__)
  if constexpr (detail::is_avx512<V>) {
    return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes)));
  }
#endif
#if defined(__AVX2__)
  if constexpr (detail::is_avx2<V>) {
    return _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes)));
  }
#endif
#if defined(__SSE4_1__)
  if constexpr (detail::is_sse41<V>) {
    return _mm_cvtepu16_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes)));
  }
#endif
  std::array<std::uint16_t, width<V>> narrow;
  std::memcpy(narrow.data(), codes, sizeof(narrow));
  std::array<std::int32_t, width<V>> wide;
  for (std::size_t i = 0; i < width<V>; ++i) wide[i] = narrow[i];
  return std::bit_cast<Int<V>>(wide);
}

/// Writes the lower 16 bits of integers in [0, 65535].
template <FloatVector V>
[[gnu::always_inline]] inline void store_codes(std::uint16_t* codes, Int<V> wide) noexcept {
#if defined(__AVX512F__)
  if constexpr (detail::is_avx512<V>) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes), _mm512_cvtepi32_epi16(wide));
    return;
  }
#endif
#if defined(__AVX2__)
  if constexpr (detail::is_avx2<V>) {
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(wide, wide), 0x08);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(codes), _mm256_castsi256_si128(packed));
    return;
  }
#endif
#if defined(__SSE4_1__)
  if constexpr (detail::is_sse41<V>) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(codes), _mm_packus_epi32(wide, wide));
    return;
  }
#endif
  const auto numbers = std::bit_cast<std::array<std::int32_t, width<V>>>(wide);
  std::array<std::uint16_t, width<V>> narrow;
  for (std::size_t i = 0; i < width<V>; ++i) narrow[i] = static_cast<std::uint16_t>(numbers[i]);
  std::memcpy(codes, narrow.data(), sizeof(narrow));
}

/// Writes the lowest byte of each integer.
template <FloatVector V>
[[gnu::always_inline]] inline void store_lowest_bytes(std::uint8_t* bytes, Int<V> wide) noexcept {
#if defined(__AVX512F__)
  if constexpr (detail::is_avx512<V>) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(bytes), _mm512_cvtepi32_epi8(wide));
    return;
  }
#endif
#if defined(__AVX2__)
  if constexpr (detail::is_avx2<V>) {
    const __m256i lowest = _mm256_shuffle_epi8(wide, _mm256_set1_epi32(0x0C080400));
    const __m128i first = _mm256_castsi256_si128(lowest);
    const __m128i last = _mm256_extracti128_si256(lowest, 1);
    _mm_storel_epi64(reinterpret_cast<__m128i*>(bytes), _mm_unpacklo_epi32(first, last));
    return;
  }
#endif
  const auto numbers = std::bit_cast<std::array<std::int32_t, width<V>>>(wide);
  for (std::size_t i = 0; i < width<V>; ++i) bytes[i] = static_cast<std::uint8_t>(numbers[i]);
}

namespace detail {

template <FloatVector V>
[[gnu::always_inline]] inline V decode_fp16(const std::uint16_t* codes) noexcept {
#if defined(__AVX512F__)
  if constexpr (is_avx512<V>) return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes)));
#endif
#if defined(__F16C__)
  if constexpr (is_avx<V>) return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes)));
#endif
  using I = Int<V>;
  const I code = load_codes<V>(codes);
  const I magnitude = code & I(0x7FFF);
  const I fraction = magnitude << 13;
  // As fp16's own conversion: one product moves the bias and normalizes what is subnormal.
  const V finite = from_bits<V>(fraction) * V(0x1p112F);
  // From 2^16 on the code had the greatest exponent: infinity or a NaN, which the sum makes quiet.
  const V special = from_bits<V>(fraction | I(0x7F800000));
  const V unsigned_value = select<V>(finite >= V(0x1p16F), special + special, finite);
  return from_bits<V>(to_bits(unsigned_value) | ((code & I(0x8000)) << 16));
}

template <FloatVector V>
[[gnu::always_inline]] inline Int<V> encode_bf16(V value) noexcept {
  using I = Int<V>;
  const I u = to_bits(value);
  const I rounded = u + I(0x7FFF) + ((u >> 16) & I(1));
  const V chosen = select<V>(value == value, from_bits<V>(rounded), from_bits<V>(u | I(0x400000)));
  return (to_bits(chosen) >> 16) & I(0xFFFF);
}

template <FloatVector V>
[[gnu::always_inline]] inline Int<V> encode_fp16(V value) noexcept {
  using I = Int<V>;
  const I u = to_bits(value);
  const V magnitude = vector::abs(value);
  const I a = to_bits(magnitude);
  const I normal = (a - I(0x38000000) + I(0xFFF) + ((a >> 13) & I(1))) >> 13;
  const I subnormal = to_bits(magnitude + V(0.5F)) - I(0x3F000000);
  const I not_a_number = I(0x7E00) | ((a >> 13) & I(0x3FF));
  V code = select<V>(magnitude < V(0x1p-14F), from_bits<V>(subnormal), from_bits<V>(normal));
  code = select<V>(magnitude >= V(0x1p16F), from_bits<V>(I(0x7C00)), code);
  code = select<V>(magnitude == magnitude, code, from_bits<V>(not_a_number));
  return to_bits(code) | ((u >> 16) & I(0x8000));
}

}  // namespace detail

/// width<V> elements from p, which may be unaligned, as fp32; exact.
template <FloatVector V, FloatElement T>
[[gnu::always_inline]] inline V load(const T* p) noexcept {
  if constexpr (detail::is_scalar<V>) {
    T value;
    std::memcpy(&value, p, sizeof(T));
    return static_cast<float>(value);
  } else if constexpr (std::same_as<T, float>) {
    return V::load_unaligned(p);
  } else if constexpr (std::same_as<T, bf16>) {
    return from_bits<V>(load_codes<V>(reinterpret_cast<const std::uint16_t*>(p)) << 16);
  } else {
    return detail::decode_fp16<V>(reinterpret_cast<const std::uint16_t*>(p));
  }
}

/// The first `count` < width<V> elements from p, zeros in the other lanes. Nothing else is read.
template <FloatVector V, FloatElement T>
[[gnu::always_inline]] inline V load(const T* p, std::size_t count) noexcept {
#if defined(__AVX512BW__) && defined(__AVX512VL__)
  if constexpr (detail::is_avx512<V>) {
    const auto mask = static_cast<__mmask16>((1U << count) - 1U);
    if constexpr (std::same_as<T, float>) return _mm512_maskz_loadu_ps(mask, p);
    if constexpr (std::same_as<T, bf16>) {
      return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, p)), 16));
    }
    if constexpr (std::same_as<T, fp16>) return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, p));
  }
#endif
  std::array<T, width<V>> row{};
  std::memcpy(row.data(), p, count * sizeof(T));
  return vector::load<V>(row.data());
}

/// Writes width<V> elements to p, which may be unaligned, each rounded to nearest even. AVX512-BF16 has an instruction
/// for bf16, but it takes subnormal numbers for zeros; AVX-512 integers are exact.
template <FloatVector V, FloatElement T>
[[gnu::always_inline]] inline void store(T* p, V value) noexcept {
  if constexpr (detail::is_scalar<V>) {
    const T element(value);
    std::memcpy(p, &element, sizeof(T));
  } else if constexpr (std::same_as<T, float>) {
    value.store_unaligned(p);
  } else if constexpr (std::same_as<T, bf16>) {
    store_codes<V>(reinterpret_cast<std::uint16_t*>(p), detail::encode_bf16(value));
  } else {
#if defined(__AVX512F__)
    if constexpr (detail::is_avx512<V>) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT));
      return;
    }
#endif
#if defined(__F16C__)
    if constexpr (detail::is_avx<V>) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT));
      return;
    }
#endif
    store_codes<V>(reinterpret_cast<std::uint16_t*>(p), detail::encode_fp16(value));
  }
}

/// Like store, but subnormal numbers may become zeros: for operands of products that take them for zeros.
template <FloatVector V, FloatElement T>
[[gnu::always_inline]] inline void store_operand(T* p, V value) noexcept {
#if defined(__AVX512BF16__)
  if constexpr (std::same_as<T, bf16> && detail::is_avx512<V>) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), std::bit_cast<__m256i>(_mm512_cvtneps_pbh(value)));
    return;
  }
#endif
  vector::store(p, value);
}

/// Writes the first `count` < width<V> elements to p and nothing else.
template <FloatVector V, FloatElement T>
[[gnu::always_inline]] inline void store(T* p, V value, std::size_t count) noexcept {
#if defined(__AVX512BW__) && defined(__AVX512VL__)
  if constexpr (detail::is_avx512<V>) {
    const auto mask = static_cast<__mmask16>((1U << count) - 1U);
    if constexpr (std::same_as<T, float>) {
      _mm512_mask_storeu_ps(p, mask, value);
    } else if constexpr (std::same_as<T, bf16>) {
      _mm256_mask_storeu_epi16(p, mask, _mm512_cvtepi32_epi16(detail::encode_bf16(value)));
    } else {
      _mm256_mask_storeu_epi16(p, mask, _mm512_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT));
    }
    return;
  }
#endif
  std::array<T, width<V>> row;
  vector::store(row.data(), value);
  std::memcpy(p, row.data(), count * sizeof(T));
}

}  // namespace polymoe::inline POLYMOE_ISA::vector
