// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "polymoe/config/named_enum.hpp"

namespace polymoe {

/// What an installation may have beside the engine itself: packages, and parts that a build may leave out.
enum class Library : std::uint8_t {
  flashinfer,
  flashinfer_cubin,
  nvcc,  ///< FlashInfer compiles with it where its binaries are not installed
  deep_gemm,
  triton_kernels,
  deep_ep,
  nixl_ep,
  mori,
  aiter,
  humming,
  cutlass_group_gemm  ///< the build's grouped-GEMM operation, for CUDA 12.8 or newer
};

namespace detail {

struct LibraryRow {
  Library value;
  std::string_view name;
};

inline constexpr std::array<LibraryRow, 11> library_table{{
    {Library::flashinfer, "flashinfer"},
    {Library::flashinfer_cubin, "flashinfer_cubin"},
    {Library::nvcc, "nvcc"},
    {Library::deep_gemm, "deep_gemm"},
    {Library::triton_kernels, "triton_kernels"},
    {Library::deep_ep, "deep_ep"},
    {Library::nixl_ep, "nixl_ep"},
    {Library::mori, "mori"},
    {Library::aiter, "aiter"},
    {Library::humming, "humming"},
    {Library::cutlass_group_gemm, "cutlass_group_gemm"},
}};

}  // namespace detail

constexpr std::string_view name(Library library) {
  return detail::row_of(detail::library_table, library).name;
}

constexpr std::optional<Library> library_from_name(std::string_view text) {
  return detail::value_from_name<Library>(detail::library_table, text);
}

/// A set of libraries. Structural.
struct Libraries {
  std::uint32_t bits = 0;

  template <class... L>
  static constexpr Libraries of(L... libraries) {
    return {((std::uint32_t{1} << static_cast<unsigned>(libraries)) | ... | std::uint32_t{0})};
  }

  constexpr bool has(Library library) const { return ((bits >> static_cast<unsigned>(library)) & 1U) != 0; }
  constexpr Libraries with(Libraries more) const { return {bits | more.bits}; }
  bool operator==(const Libraries&) const = default;
};

/// What an installation usually has.
namespace libraries {

inline constexpr Libraries none{};
inline constexpr Libraries all_of_cuda =
    Libraries::of(Library::flashinfer, Library::flashinfer_cubin, Library::deep_gemm, Library::triton_kernels,
                  Library::deep_ep, Library::nixl_ep, Library::humming, Library::cutlass_group_gemm);
inline constexpr Libraries all_of_rocm =
    Libraries::of(Library::aiter, Library::triton_kernels, Library::mori, Library::deep_ep);

}  // namespace libraries

}  // namespace polymoe
