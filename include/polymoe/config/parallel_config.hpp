// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "polymoe/config/activation_format.hpp"
#include "polymoe/config/named_enum.hpp"

namespace polymoe {

/// How tokens travel between the ranks of an expert-parallel layer; the names are vLLM's.
enum class All2AllBackend : std::uint8_t {
  none,
  naive,
  pplx,
  deepep_high_throughput,
  deepep_low_latency,
  mori,
  nixl_ep,
  allgather_reducescatter,
  flashinfer_all2allv,
  flashinfer_nvlink_two_sided,
  flashinfer_nvlink_one_sided
};

namespace detail {

struct All2AllBackendRow {
  All2AllBackend value;
  std::string_view name;
};

inline constexpr std::array<All2AllBackendRow, 11> all2all_backend_table{{
    {All2AllBackend::none, "none"},
    {All2AllBackend::naive, "naive"},
    {All2AllBackend::pplx, "pplx"},
    {All2AllBackend::deepep_high_throughput, "deepep_high_throughput"},
    {All2AllBackend::deepep_low_latency, "deepep_low_latency"},
    {All2AllBackend::mori, "mori"},
    {All2AllBackend::nixl_ep, "nixl_ep"},
    {All2AllBackend::allgather_reducescatter, "allgather_reducescatter"},
    {All2AllBackend::flashinfer_all2allv, "flashinfer_all2allv"},
    {All2AllBackend::flashinfer_nvlink_two_sided, "flashinfer_nvlink_two_sided"},
    {All2AllBackend::flashinfer_nvlink_one_sided, "flashinfer_nvlink_one_sided"},
}};

}  // namespace detail

constexpr std::string_view name(All2AllBackend backend) {
  return detail::row_of(detail::all2all_backend_table, backend).name;
}

constexpr std::optional<All2AllBackend> all2all_backend_from_name(std::string_view text) {
  return detail::value_from_name<All2AllBackend>(detail::all2all_backend_table, text);
}

/// The ranks that share a layer, after derivation: under expert parallelism tp_size is 1 and ep_size holds all ranks.
struct ParallelConfig {
  std::int32_t tp_size = 1;
  std::int32_t pcp_size = 1;
  std::int32_t dp_size = 1;
  std::int32_t ep_size = 1;
  std::int32_t sp_size = 1;
  bool use_ep = false;
  bool enable_eplb = false;
  All2AllBackend all2all_backend = All2AllBackend::none;

  /// Tokens are exchanged by an all-to-all kernel: several data-parallel ranks with expert parallelism.
  constexpr bool use_all2all_kernels() const { return dp_size > 1 && use_ep; }

  /// The exchange delivers the batched form.
  constexpr ActivationFormat activation_format() const {
    const bool batched = use_all2all_kernels() && (all2all_backend == All2AllBackend::deepep_low_latency ||
                                                   all2all_backend == All2AllBackend::nixl_ep);
    return batched ? ActivationFormat::batched : ActivationFormat::standard;
  }

  bool operator==(const ParallelConfig&) const = default;
};

}  // namespace polymoe
