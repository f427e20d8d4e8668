// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

#include "polymoe/config/layer.hpp"
#include "polymoe/execution/workspace.hpp"
#include "polymoe/layout/storage.hpp"

namespace polymoe {

/// The first page of packed weights: what they are, so that a file of them is never read as something else. A whole page,
/// because experts that begin with a page are read 6 % faster: prefetchers work page by page.
struct PackedWeightsHeader {
  static constexpr std::array<char, 8> expected_magic{'p', 'o', 'l', 'y', 'm', 'o', 'e', 'W'};
  static constexpr std::uint32_t expected_version = 4;

  std::array<char, 8> magic = expected_magic;
  std::uint32_t version = expected_version;
  std::uint32_t gated = 1;
  std::array<char, 64> format{};  ///< the kernel format's name, zero-padded
  std::array<char, 64> scheme{};
  std::int64_t num_experts = 0;  ///< packed ones, shared experts included
  std::int64_t num_shared_experts = 0;
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  std::uint64_t expert_bytes = 0;  ///< from one expert to the next; a multiple of 64
  std::uint64_t checksum = 0;      ///< of the payload; 0: not computed (only a file has one)
  Storage storage{};
  std::array<std::byte, 3892> reserved{};

  std::string_view format_name() const noexcept { return name_in(format); }
  std::string_view scheme_name() const noexcept { return name_in(scheme); }

  static void put_name(std::array<char, 64>& field, std::string_view text) noexcept {
    std::memcpy(field.data(), text.data(), text.size() < field.size() ? text.size() : field.size() - 1);
  }

 private:
  static std::string_view name_in(const std::array<char, 64>& field) noexcept {
    return {field.data(), strnlen(field.data(), field.size())};
  }
};

static_assert(sizeof(PackedWeightsHeader) == 4096);
static_assert(std::has_unique_object_representations_v<PackedWeightsHeader>, "equal weights are equal bytes");

/// Non-owning packed weights: a header and one block for each expert.
class PackedWeightsView {
 public:
  PackedWeightsView() = default;
  explicit PackedWeightsView(const std::byte* memory) noexcept : memory_(memory) {}

  const PackedWeightsHeader& header() const noexcept { return *reinterpret_cast<const PackedWeightsHeader*>(memory_); }
  const std::byte* expert(std::int64_t index) const noexcept {
    return memory_ + sizeof(PackedWeightsHeader) + static_cast<std::uint64_t>(index) * header().expert_bytes;
  }
  std::size_t size() const noexcept {
    return sizeof(PackedWeightsHeader) + header().expert_bytes * static_cast<std::uint64_t>(header().num_experts);
  }
  const std::byte* data() const noexcept { return memory_; }

 private:
  const std::byte* memory_ = nullptr;
};

/// A layer's weights in a kernel's format: one relocatable allocation, 64-byte aligned, huge pages advised.
class PackedWeights {
 public:
  PackedWeights() = default;

  /// Memory for `shape` in the format `format_name`; the experts are zero until they are packed.
  PackedWeights(std::string_view format_name, std::string_view scheme_name, const LayerShape& shape,
                const Storage& storage, std::size_t expert_bytes)
      : memory_(sizeof(PackedWeightsHeader) + expert_bytes * static_cast<std::size_t>(shape.num_packed_experts())) {
    PackedWeightsHeader header;
    PackedWeightsHeader::put_name(header.format, format_name);
    PackedWeightsHeader::put_name(header.scheme, scheme_name);
    header.gated = shape.gated ? 1 : 0;
    header.num_experts = shape.num_packed_experts();
    header.num_shared_experts = shape.num_shared_experts;
    header.hidden_size = shape.hidden_size;
    header.intermediate_size = shape.intermediate_size;
    header.expert_bytes = expert_bytes;
    header.storage = storage;
    std::memcpy(memory_.data(), &header, sizeof header);
  }

  PackedWeightsView view() const noexcept { return PackedWeightsView(memory_.data()); }
  operator PackedWeightsView() const noexcept { return view(); }  // NOLINT(google-explicit-constructor)

  std::byte* expert(std::int64_t index) noexcept { return memory_.data() + (view().expert(index) - memory_.data()); }

 private:
  Workspace memory_;
};

}  // namespace polymoe
