// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstdint>
#include <string_view>

#include "polymoe/config/fused_moe_config.hpp"
#include "polymoe/config/quant_key.hpp"
#include "polymoe/layout/accelerator/tensor_format.hpp"
#include "polymoe/quant/scheme.hpp"
#include "polymoe/target/isa_namespace.hpp"
#include "polymoe/target/target.hpp"

/// Which steps take a checkpoint's tensors to the format of a backend's kernels: vLLM's convert_to_kernel_format.
namespace polymoe::inline POLYMOE_ISA::layout::accelerator {

/// The sizes that a kernel computes with; a checkpoint's are padded to multiples of them.
struct SizeMultiples {
  std::int64_t hidden = 1;
  std::int64_t intermediate = 1;

  bool operator==(const SizeMultiples&) const = default;
};

/// What becomes of one expert's tensors. W13 is [2I, H] (or [I, H]), W2 [H, I], both as bytes; scales have the same
/// rows, unless they are blocks of 128 x 128.
struct WeightFormat {
  TensorFormat w13{};
  TensorFormat w2{};
  TensorFormat w13_scale{};
  TensorFormat w2_scale{};
  SizeMultiples multiples{};
  std::string_view remark{};  ///< what is done beside a permutation
};

/// What a format depends on.
struct WeightFormatRequest {
  quant::Family family = quant::Family::unquantized;
  std::string_view backend{};  ///< by vLLM's name
  QuantKey weight_key{};
  bool act_and_mul = true;
  bool interleaved_w13 = false;  ///< gate and up rows in turn (gpt-oss), not in halves
  Target target{};
};

namespace steps {

inline constexpr FormatStep swap_halves{
    .name = "swap the halves of the rows",
    .permutation = [](const ByteMatrix& m, std::int64_t) { return accelerator::swap_halves(m); }};
inline constexpr FormatStep interleave_halves{
    .name = "interleave the halves of the rows",
    .permutation = [](const ByteMatrix& m, std::int64_t) { return accelerator::interleave_halves(m); }};
inline constexpr FormatStep deinterleave_rows{
    .name = "even rows, then odd rows",
    .permutation = [](const ByteMatrix& m, std::int64_t) { return accelerator::deinterleave_rows(m); }};
inline constexpr FormatStep swap_row_pairs{
    .name = "swap the rows of each pair",
    .permutation = [](const ByteMatrix& m, std::int64_t) { return accelerator::swap_row_pairs(m); }};
inline constexpr FormatStep interleave_groups_of_64{.name = "interleave groups of 64 rows of the halves",
                                                    .permutation = accelerator::interleave_half_groups,
                                                    .parameter = 64};
inline constexpr FormatStep shuffle_rows_128{
    .name = "shuffle rows in blocks of 32", .permutation = accelerator::shuffle_rows, .parameter = 128};
inline constexpr FormatStep shuffle_rows_64{
    .name = "shuffle rows in blocks of 16", .permutation = accelerator::shuffle_rows, .parameter = 64};
inline constexpr FormatStep block_major_k_128{
    .name = "blocks of 128 bytes of K, rows inside", .permutation = accelerator::block_major_k, .parameter = 128};
inline constexpr FormatStep pad_128x4{
    .name = "pad to 128 x 4", .kind = FormatStep::Kind::pad, .parameter = 128, .column_multiple = 4};
inline constexpr FormatStep swizzle_128x4{
    .name = "swizzle 128 x 4",
    .permutation = [](const ByteMatrix& m, std::int64_t) { return accelerator::swizzle_128x4(m); }};
inline constexpr FormatStep aiter_shuffle{
    .name = "AITER blocks of 16 x 16 bytes",
    .permutation = [](const ByteMatrix& m, std::int64_t) { return accelerator::aiter_shuffle(m); }};
inline constexpr FormatStep aiter_a16w4_gated{
    .name = "AITER a16w4, gate and up in turn",
    .permutation = [](const ByteMatrix& m, std::int64_t) { return accelerator::aiter_a16w4(m, true); }};
inline constexpr FormatStep aiter_a16w4{.name = "AITER a16w4", .permutation = [](const ByteMatrix& m, std::int64_t) {
                                          return accelerator::aiter_a16w4(m, false);
                                        }};
inline constexpr FormatStep aiter_scale_a16w4_gated{
    .name = "AITER a16w4 scales, gate and up in turn",
    .permutation = [](const ByteMatrix& m, std::int64_t) { return accelerator::aiter_scale_a16w4(m, true); }};
inline constexpr FormatStep aiter_scale_a16w4{
    .name = "AITER a16w4 scales",
    .permutation = [](const ByteMatrix& m, std::int64_t) { return accelerator::aiter_scale_a16w4(m, false); }};
inline constexpr FormatStep pad_256x8{
    .name = "pad to 256 x 8", .kind = FormatStep::Kind::pad, .parameter = 256, .column_multiple = 8};
inline constexpr FormatStep e8m0_shuffle{
    .name = "shuffle e8m0 scales",
    .permutation = [](const ByteMatrix& m, std::int64_t) { return accelerator::e8m0_shuffle(m); }};
inline constexpr FormatStep pad_16x32{
    .name = "pad to 16 x 32", .kind = FormatStep::Kind::pad, .parameter = 16, .column_multiple = 32};
inline constexpr FormatStep hopper_mx_value{
    .name = "order values for Hopper's lanes",
    .permutation = [](const ByteMatrix& m, std::int64_t) { return accelerator::hopper_mx_value(m); }};
inline constexpr FormatStep twiddle_fp4{.name = "mix the bits of eight values", .kind = FormatStep::Kind::twiddle_fp4};
inline constexpr FormatStep pad_256x2{
    .name = "pad to 256 x 2", .kind = FormatStep::Kind::pad, .parameter = 256, .column_multiple = 2};
inline constexpr FormatStep hopper_mx_scale{
    .name = "order scales for Hopper's 8 warps", .permutation = accelerator::hopper_mx_scale, .parameter = 8};
inline constexpr FormatStep transpose_bytes{.name = "transpose", .kind = FormatStep::Kind::transpose, .parameter = 1};
inline constexpr FormatStep transpose_16_bits{.name = "transpose", .kind = FormatStep::Kind::transpose, .parameter = 2};
inline constexpr FormatStep vnni_pairs_of_16_bits{
    .name = "panels of 32 rows, pairs of K", .permutation = accelerator::cpu_vnni_pack, .parameter = 4};
inline constexpr FormatStep vnni_pairs_of_bytes{
    .name = "panels of 32 rows, pairs of K", .permutation = accelerator::cpu_vnni_pack, .parameter = 2};
inline constexpr FormatStep vnni_nibbles{.name = "panels of 32 rows, nibbles n and n + 32 in a byte",
                                         .kind = FormatStep::Kind::vnni_nibbles};
inline constexpr FormatStep cpu_scale_pack{
    .name = "panels of 32 rows",
    .permutation = [](const ByteMatrix& m, std::int64_t) { return accelerator::cpu_scale_pack(m); }};
inline constexpr FormatStep marlin_repack_4{
    .name = "Marlin's tiles of 4-bit values", .kind = FormatStep::Kind::marlin_repack, .parameter = 4};
inline constexpr FormatStep marlin_repack_8{
    .name = "Marlin's tiles of 8-bit values", .kind = FormatStep::Kind::marlin_repack, .parameter = 8};
inline constexpr FormatStep marlin_scale_grouped{
    .name = "Marlin's columns of scales, runs of 64", .permutation = accelerator::marlin_scale_grouped, .parameter = 2};
inline constexpr FormatStep marlin_scale_single{
    .name = "Marlin's columns of scales, runs of 32", .permutation = accelerator::marlin_scale_single, .parameter = 2};
inline constexpr FormatStep marlin_fp8_order{
    .name = "order 0, 2, 1, 3 in each four", .permutation = accelerator::marlin_scale_fp8_order, .parameter = 1};
inline constexpr FormatStep marlin_scale_grouped_bytes{
    .name = "Marlin's columns of scales, runs of 64", .permutation = accelerator::marlin_scale_grouped, .parameter = 1};

}  // namespace steps

namespace detail {

/// Rows as TRT-LLM's gated kernels want them: up before gate, then row by row in turn, then shuffled.
constexpr TensorFormat trtllm_w13(bool gated) {
  TensorFormat format;
  return format.then_if(gated, steps::swap_halves)
      .then_if(gated, steps::interleave_halves)
      .then(steps::shuffle_rows_128);
}

constexpr TensorFormat with_swizzled_scales(TensorFormat rows) {
  return rows.then(steps::pad_128x4).then(steps::swizzle_128x4);
}

constexpr TensorFormat just(const FormatStep& step) {
  TensorFormat format;
  return format.then(step);
}

/// One byte a scale: [G, N] with Marlin's columns.
constexpr TensorFormat marlin_byte_scales() {
  return just(steps::transpose_bytes).then(steps::marlin_scale_grouped_bytes).then(steps::marlin_fp8_order);
}

constexpr WeightFormat unquantized_format(const WeightFormatRequest& request) {
  WeightFormat format;
  if (request.backend == "FLASHINFER_TRTLLM") {
    format.w13 = trtllm_w13(true).then(steps::block_major_k_128);
    format.w2 = just(steps::shuffle_rows_128).then(steps::block_major_k_128);
  } else if (request.backend == "FLASHINFER_CUTLASS") {
    format.w13.then_if(request.act_and_mul, steps::swap_halves);
  } else if (request.backend == "AITER") {
    format.w13 = format.w2 = just(steps::aiter_shuffle);
  } else if (request.backend == "XPU") {
    format.w13 = format.w2 = just(steps::transpose_16_bits);
  } else if (request.backend == "CPU") {
    format.w13 = format.w2 = just(steps::vnni_pairs_of_16_bits);
    format.remark = "only with AMX, bf16 and sizes that are multiples of 32; else the weights stay as they are";
  }
  return format;
}

constexpr WeightFormat fp8_format(const WeightFormatRequest& request) {
  const bool block = request.weight_key == quant_key::fp8_static_block128;
  const bool mx = request.weight_key == quant_key::mxfp8_static;
  const SizeMultiples flashinfer{.intermediate = block || mx ? 1 : request.act_and_mul ? 16 : 128};
  WeightFormat format;
  if (request.backend == "FLASHINFER_TRTLLM" && block) {
    format.w13.then(steps::swap_halves).then(steps::shuffle_rows_64).then(steps::block_major_k_128);
    format.w2 = just(steps::shuffle_rows_64).then(steps::block_major_k_128);
    format.w13_scale = just(steps::swap_halves);
    format.remark = "scales are clamped to at least 1e-10";
  } else if (request.backend == "FLASHINFER_TRTLLM") {
    format.w13 = trtllm_w13(request.act_and_mul);
    format.w2 = just(steps::shuffle_rows_128);
    if (mx) {
      format.w13_scale = with_swizzled_scales(format.w13);
      format.w2_scale = with_swizzled_scales(format.w2);
    }
    format.multiples = flashinfer;
  } else if (request.backend == "FLASHINFER_CUTLASS") {
    format.w13.then_if(request.act_and_mul, steps::swap_halves);
    if (block) format.w13_scale = format.w13;
    format.multiples = flashinfer;
    if (block) format.remark = "scales are clamped to at least 1e-10";
  } else if (request.backend == "AITER") {
    format.w13 = format.w2 = just(steps::aiter_shuffle);
  } else if (request.backend == "MARLIN") {
    format.w13 = format.w2 = just(steps::marlin_repack_8);
    format.w13_scale = mx      ? marlin_byte_scales()
                       : block ? just(steps::marlin_scale_grouped)
                               : just(steps::marlin_scale_single);
    format.w2_scale = format.w13_scale;
    format.remark = "scales are repeated to every column and transposed first, and carry the exponent bias";
  } else if (request.backend == "XPU") {
    format.w13 = format.w2 = just(steps::transpose_bytes);
  } else if (request.backend == "CPU") {
    format.w13 = format.w2 = just(steps::vnni_pairs_of_bytes);
  } else if (request.backend == "DEEPGEMM" || request.backend == "BATCHED_DEEPGEMM") {
    format.remark = request.target.cuda_capability.major_version == 10
                        ? "scales as powers of two, four in a word (deep_gemm_pack_scales)"
                        : "scales stay fp32";
  }
  return format;
}

constexpr WeightFormat nvfp4_format(const WeightFormatRequest& request) {
  WeightFormat format;
  const bool gated = request.act_and_mul;
  if (request.backend == "FLASHINFER_TRTLLM") {
    format.w13 = trtllm_w13(gated);
    format.w2 = just(steps::shuffle_rows_128);
    format.multiples = {.hidden = 256, .intermediate = gated ? 16 : 128};
  } else if (request.backend == "FLASHINFER_CUTLASS" || request.backend == "FLASHINFER_B12X") {
    format.w13.then_if(gated, steps::swap_halves);
  } else if (request.backend == "FLASHINFER_CUTEDSL") {
    format.w13.then(steps::swap_halves).then(steps::interleave_groups_of_64);
  } else if (request.backend == "MARLIN") {
    format.w13 = format.w2 = just(steps::marlin_repack_4);
    format.w13_scale = format.w2_scale = marlin_byte_scales();
    format.remark = "scales are rescaled and stored as S0E5M3 beside";
    return format;
  } else if (request.backend == "EMULATION") {
    return format;
  }
  format.w13_scale = with_swizzled_scales(format.w13);
  format.w2_scale = with_swizzled_scales(format.w2);
  return format;
}

/// triton_kernels' layouts for a device.
constexpr WeightFormat triton_kernels_format(const WeightFormatRequest& request) {
  WeightFormat format;
  // Its swiglu reads gate and up in turn, as gpt-oss has them.
  const bool in_halves = !request.interleaved_w13 && request.backend == "TRITON";
  format.w13.then_if(in_halves, steps::interleave_halves);
  format.w13_scale = format.w13;
  const Target& target = request.target;
  if (target.is_cuda() && target.cuda_capability.major_version == 9) {
    format.w13.then(steps::pad_16x32).then(steps::hopper_mx_value).then(steps::twiddle_fp4);
    format.w2.then(steps::pad_16x32).then(steps::hopper_mx_value).then(steps::twiddle_fp4);
    format.w13_scale.then(steps::pad_256x2).then(steps::hopper_mx_scale);
    format.w2_scale.then(steps::pad_256x2).then(steps::hopper_mx_scale);
  } else if (target.is_cuda()) {
    format.w13_scale = with_swizzled_scales(format.w13_scale);
    format.w2_scale = with_swizzled_scales(format.w2_scale);
  } else if (target.gfx == gfx::gfx950) {
    format.w13_scale.then(steps::pad_256x8).then(steps::e8m0_shuffle);
    format.w2_scale.then(steps::pad_256x8).then(steps::e8m0_shuffle);
  }
  return format;
}

constexpr SizeMultiples mxfp4_multiples(const WeightFormatRequest& request) {
  const std::string_view backend = request.backend;
  if (backend == "DEEPGEMM_MXFP4" || backend.starts_with("FLASHINFER_CUTLASS")) return {128, 128};
  if (backend == "MARLIN" || backend == "BATCHED_MARLIN") {
    return {.hidden = request.target.platform == Platform::xpu ? 128 : 256, .intermediate = 128};
  }
  if (backend.starts_with("FLASHINFER_TRTLLM") || request.target.is_rocm()) return {256, 256};
  if (backend == "CPU") return {32, 32};
  return {.hidden = 1, .intermediate = 64};
}

constexpr WeightFormat mxfp4_format(const WeightFormatRequest& request) {
  WeightFormat format;
  const std::string_view backend = request.backend;
  if (backend.starts_with("FLASHINFER_TRTLLM")) {
    if (request.interleaved_w13) {
      format.w13.then(steps::swap_row_pairs).then(steps::shuffle_rows_128);
    } else {
      format.w13 = trtllm_w13(true);
    }
    format.w2 = just(steps::shuffle_rows_128);
    format.w13_scale = with_swizzled_scales(format.w13);
    format.w2_scale = with_swizzled_scales(format.w2);
  } else if (backend.starts_with("FLASHINFER_CUTLASS")) {
    format.w13.then_if(request.interleaved_w13, steps::deinterleave_rows).then(steps::swap_halves);
    format.w13_scale = format.w13;
    if (backend == "FLASHINFER_CUTLASS_MXFP4_MXFP8") {
      format.w13_scale = with_swizzled_scales(format.w13_scale);
      format.w2_scale = with_swizzled_scales(format.w2_scale);
    } else {
      format.remark = "then FlashInfer's own interleave for Hopper's mixed GEMM, which is called there";
    }
  } else if (backend == "MARLIN" || backend == "BATCHED_MARLIN") {
    format.w13 = format.w2 = just(steps::marlin_repack_4);
    format.w13_scale = format.w2_scale = marlin_byte_scales();
  } else if (backend == "AITER_MXFP4_BF16") {
    format.w13 = just(steps::deinterleave_rows).then(steps::aiter_a16w4_gated);
    format.w2 = just(steps::aiter_a16w4);
    format.w13_scale = just(steps::deinterleave_rows).then(steps::aiter_scale_a16w4_gated);
    format.w2_scale = just(steps::aiter_scale_a16w4);
  } else if (backend == "AITER_MXFP4_MXFP4") {
    format.w13 = format.w2 = just(steps::aiter_shuffle);
    format.w13_scale = format.w2_scale = just(steps::pad_256x8).then(steps::e8m0_shuffle);
  } else if (backend == "TRITON" || backend == "TRITON_UNFUSED" || backend == "AITER_MXFP4_FP8") {
    format = triton_kernels_format(request);
  } else if (backend == "CPU") {
    format.w13 = format.w2 = just(steps::vnni_nibbles);
    format.w13_scale = format.w2_scale = just(steps::cpu_scale_pack);
  } else if (backend == "DEEPGEMM_MXFP4") {
    format.remark = "scales become fp32";
  } else if (backend == "HUMMING") {
    format.remark = "the package humming converts by itself";
  }
  format.multiples = mxfp4_multiples(request);
  return format;
}

}  // namespace detail

/// The format of a backend's kernels; no steps where the checkpoint's is it.
constexpr WeightFormat weight_format(const WeightFormatRequest& request) {
  switch (request.family) {
    case quant::Family::unquantized: return detail::unquantized_format(request);
    case quant::Family::fp8:
    case quant::Family::mxfp8: return detail::fp8_format(request);
    case quant::Family::nvfp4: return detail::nvfp4_format(request);
    case quant::Family::mxfp4: return detail::mxfp4_format(request);
    case quant::Family::int_wna16: {
      WeightFormat format;
      format.w13 = format.w2 = detail::just(
          request.weight_key == quant_key::int8_static_group ? steps::marlin_repack_8 : steps::marlin_repack_4);
      format.w13_scale = format.w2_scale = detail::just(steps::transpose_16_bits).then(steps::marlin_scale_grouped);
      return format;
    }
    case quant::Family::int8: break;
  }
  return {};
}

}  // namespace polymoe::inline POLYMOE_ISA::layout::accelerator
