// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>

#include "polymoe/config/error.hpp"
#include "polymoe/config/layer.hpp"
#include "polymoe/config/view.hpp"
#include "polymoe/execution/workspace.hpp"
#include "polymoe/layout/packed_weights.hpp"

/// What comes from outside is checked here, once, before any work: a failed call leaves the output untouched.
namespace polymoe::checks {

inline std::string describe(std::int64_t rows, std::int64_t columns) {
  std::string text = "[";  // not "[" + ..., of which GCC 12 believes that it overflows
  return text.append(std::to_string(rows)).append(", ").append(std::to_string(columns)).append("]");
}

/// Extents are as expected, strides reach over a row, memory is there, and the last element's offset fits
/// std::ptrdiff_t.
inline void require_view(const char* name, const void* data, std::int64_t rows, std::int64_t columns,
                         std::int64_t stride, std::size_t element_size, std::int64_t expected_rows,
                         std::int64_t expected_columns) {
  if (rows < 0 || columns < 0 || rows != expected_rows || columns != expected_columns) {
    raise_mismatch(name, describe(rows, columns), describe(expected_rows, expected_columns));
  }
  if (rows == 0) return;
  if (data == nullptr && columns > 0) raise_mismatch(name, "a null pointer", "memory of " + describe(rows, columns));
  if (stride < columns) {
    raise_mismatch(name, "a row stride of " + std::to_string(stride), "at least " + std::to_string(columns));
  }
  if (stride > std::numeric_limits<std::ptrdiff_t>::max() / static_cast<std::int64_t>(element_size) / rows) {
    raise_mismatch(name, "a row stride of " + std::to_string(stride),
                   "one that keeps " + std::to_string(rows) + " rows addressable");
  }
}

template <class T>
void require_matrix(const char* name, const MatrixView<T>& view, std::int64_t rows, std::int64_t columns) {
  require_view(name, view.data, view.rows, view.columns, view.stride, sizeof(T), rows, columns);
}

/// `expected_dtype` runtime: any of bf16, fp16 and fp32.
template <class Byte>
void require_tokens(const char* name, const BasicTokensView<Byte>& view, DType expected_dtype, std::int64_t rows,
                    std::int64_t columns) {
  const bool fits = expected_dtype == DType::runtime ? is_floating_point(view.dtype) : view.dtype == expected_dtype;
  if (!fits) {
    const bool any = expected_dtype == DType::runtime;
    raise_mismatch(name, std::string(polymoe::name(view.dtype)),
                   any ? std::string("BF16, F16 or F32") : std::string(polymoe::name(expected_dtype)));
  }
  require_view(name, view.data, view.rows, view.columns, view.stride, size_of(view.dtype), rows, columns);
}

/// Every id is -1 or an expert: [-1, num_experts).
inline void require_ids(const char* name, const MatrixView<const std::int32_t>& ids, std::int64_t num_experts) {
  for (std::int64_t t = 0; t < ids.rows; ++t) {
    const std::int32_t* const row = ids.row(t);
    std::uint64_t greatest = 0;
    for (std::int64_t j = 0; j < ids.columns; ++j) {
      const std::uint64_t from_minus_one = static_cast<std::uint64_t>(std::int64_t{row[j]} + 1);
      greatest = from_minus_one > greatest ? from_minus_one : greatest;
    }
    if (greatest <= static_cast<std::uint64_t>(num_experts)) continue;
    for (std::int64_t j = 0; j < ids.columns; ++j) {
      if (row[j] < -1 || row[j] >= num_experts) {
        raise_mismatch(name, std::to_string(row[j]) + " at [" + std::to_string(t) + ", " + std::to_string(j) + "]",
                       "ids from -1 to " + std::to_string(num_experts - 1));
      }
    }
  }
}

/// The map has an entry for each expert of all ranks, and sends it to -1 or to an expert that is here.
inline void require_expert_map(std::span<const std::int32_t> map, const LayerShape& shape) {
  if (map.empty()) {
    if (shape.num_experts != shape.num_local_experts) {
      raise_mismatch("expert_map", "no map for " + std::to_string(shape.num_local_experts) + " local experts",
                     "one that maps all " + std::to_string(shape.num_experts));
    }
    return;
  }
  if (static_cast<std::int64_t>(map.size()) != shape.num_experts) {
    raise_mismatch("expert_map", std::to_string(map.size()) + " entries", std::to_string(shape.num_experts));
  }
  for (std::size_t e = 0; e < map.size(); ++e) {
    if (map[e] < -1 || map[e] >= shape.num_local_experts) {
      raise_mismatch("expert_map", std::to_string(map[e]) + " at [" + std::to_string(e) + "]",
                     "local ids from -1 to " + std::to_string(shape.num_local_experts - 1));
    }
  }
}

inline void require_workspace(const WorkspaceView& workspace, std::size_t needed) {
  if (workspace.bytes < needed || (workspace.memory == nullptr && needed > 0)) {
    raise_mismatch("workspace", std::to_string(workspace.memory == nullptr ? 0 : workspace.bytes) + " bytes",
                   "at least " + std::to_string(needed));
  }
  if (reinterpret_cast<std::uintptr_t>(workspace.memory) % workspace_alignment != 0) {
    raise_mismatch("workspace", "memory that is not aligned", "64-byte alignment");
  }
}

/// Packed weights come from a file or another process: their header speaks of at least one expert and of sizes that
/// cannot overflow.
inline void require_packed_sizes(const char* name, const PackedWeightsHeader& header) {
  constexpr std::int64_t largest = std::int64_t{1} << 31;
  const auto is_size = [](std::int64_t size) { return size >= 1 && size <= largest; };
  if (!is_size(header.hidden_size) || !is_size(header.intermediate_size) || !is_size(header.num_experts)) {
    raise_mismatch(
        name,
        std::to_string(header.num_experts) + " experts of " + describe(header.hidden_size, header.intermediate_size),
        "sizes from 1 to 2^31");
  }
  if (header.num_shared_experts < 0 || header.num_shared_experts >= header.num_experts) {
    raise_mismatch(name, std::to_string(header.num_shared_experts) + " shared experts",
                   "0 to " + std::to_string(header.num_experts - 1));
  }
}

}  // namespace polymoe::checks
