// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include "polymoe/experts/multiply_panels.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "polymoe/execution/workspace.hpp"
#include "polymoe/layout/codec_of.hpp"
#include "polymoe/microkernel/microkernels.hpp"
#include "polymoe/target/detect.hpp"
#include "tests/support/random_matrix.hpp"
#include "tests/support/vectors.hpp"

namespace polymoe::test {
namespace {

template <class Microkernel>
class MultiplyPanels : public testing::Test {
 protected:
  static void SetUpTestSuite() { static_cast<void>(target::detect()); }
};

using Microkernels = testing::Types<
#if defined(POLYMOE_HAS_AMX)
    microkernel::AmxBf16,
#endif
#if defined(__AVX512BF16__)
    microkernel::Avx512Bf16,
#endif
    microkernel::Simd<boost::mp11::mp_back<Architectures>>>;
TYPED_TEST_SUITE(MultiplyPanels, Microkernels);

// ---- rows

/// Numbers that are exact in bf16.
struct Rows {
  std::int64_t count = 0;
  std::int64_t columns = 0;
  std::vector<float> numbers;
  bool come_in_fp32 = false;

  float* row(std::int64_t index) { return numbers.data() + index * columns; }
  const float* row(std::int64_t index) const { return numbers.data() + index * columns; }

  Rows first(std::int64_t rows) const { return {rows, columns, {row(0), row(rows)}}; }
};

Rows random_rows(std::int64_t count, std::int64_t columns, unsigned seed = 1) {
  std::mt19937 random(seed);
  Rows rows{count, columns, std::vector<float>(static_cast<std::size_t>(count * columns))};
  for (float& x : rows.numbers) {
    x = static_cast<float>(bf16(static_cast<float>(static_cast<std::int32_t>(random())) * 0x1p-30F));
  }
  return rows;
}

// ---- products

template <class Microkernel>
[[maybe_unused]] inline constexpr bool unpacks_as_it_reads = false;
#if defined(POLYMOE_HAS_AMX)
template <>
inline constexpr bool unpacks_as_it_reads<microkernel::AmxBf16> = true;
#endif

template <class Microkernel>
inline constexpr bool takes_only_bf16 = sizeof(typename Microkernel::Element) == 2;

/// A random matrix of a key in panels, the last of which may lack columns, to be multiplied by rows.
template <class Microkernel, QuantKey key>
class PanelProduct {
 public:
  using Element = typename Microkernel::Element;
  using Codec = typename layout::CodecOfKey<key, Element>::type;

  explicit PanelProduct(const MatrixOptions& options, unsigned seed = 1)
      : random_(options, seed),
        record_(Codec::record_shape(random_.storage(), options.columns)),
        panels_((options.rows + layout::panel_columns - 1) / layout::panel_columns),
        records_((options.columns + Codec::record_k - 1) / Codec::record_k),
        packed_(static_cast<std::size_t>(panels_ * records_ * record_.bytes)),
        tails_(static_cast<std::size_t>(panels_ * tail_floats())),
        memory_(static_cast<std::size_t>(Memory::sums_limit + Memory::unpacked_bytes)) {
    for (std::int64_t panel = 0; panel < panels_; ++panel) pack(panel);
    std::fill_n(memory_.data(), memory_.size(), std::byte{0xFF});  // NaNs, for who reads what is not written
  }

  std::int64_t columns() const { return panels_ * layout::panel_columns; }

  /// Sums times column scales, [rows][columns()]; `finished_panels` at once, or fewer.
  std::vector<float> multiply(const Rows& rows, bool batch_invariant = false, std::int64_t finished_panels = 1) {
    const microkernel::RowBlocks blocks(rows.count);
    const Workspace activations(static_cast<std::size_t>(blocks.bytes(steps())));
    store(rows, blocks, activations.data());
    experts::Product product;
    product.blocks = blocks;
    product.activations = activations.data();
    product.steps = steps();
    product.weights = experts::weight_stream<Microkernel, Codec>(panel_matrix(), packed_.data(), 0, panels_, blocks);
    product.record = record_;
    product.tails = tails_.data();
    product.tail_floats = tail_floats();
    product.batch_invariant = batch_invariant;
    product.comes_in_fp32 = rows.come_in_fp32;
    std::vector<float> values(static_cast<std::size_t>(rows.count * columns()), NAN);
    const Result result{*this, values.data()};
    product.finish = {&result, &Result::finish, finished_panels};
    typename Microkernel::Session session;
    session.set_height(blocks.height);
    microkernel::Prefetcher prefetcher;
    experts::multiply_panels<Microkernel, Codec>(product, {memory_.data(), memory_.data() + Memory::sums_limit},
                                                 prefetcher);
    return values;
  }

  /// The same in double, of exact weights.
  std::vector<double> expected(const Rows& rows) {
    make_weights();
    const auto width = static_cast<std::size_t>(columns());
    std::vector<double> result(static_cast<std::size_t>(rows.count) * width);
    for (std::int64_t row = 0; row < rows.count; ++row) {
      double* const sums = result.data() + static_cast<std::size_t>(row) * width;
      const double* weights = weights_.data();
      for (std::int64_t k = 0; k < rows.columns; ++k, weights += width) {
        const auto x = static_cast<double>(rows.row(row)[k]);
        for (std::size_t column = 0; column < width; ++column) sums[column] += x * weights[column];
      }
    }
    return result;
  }

  /// How far products may be from exact ones, relatively: digits and weights that are exact in bf16 leave the rounding
  /// of fp32 sums; weights times their scales are rounded to bf16 where the scales do not multiply sums.
  double bound(std::int64_t rows, bool are_finite = true) const {
    if (is_digit_product(rows, are_finite)) return 1e-6;
    const bool rounds_weights = !Codec::has_column_scales || record_.groups > 0 || record_.group_index;
    return takes_only_bf16<Microkernel> && rounds_weights && !scales_multiply_sums(rows) ? 5e-3 : 5e-6;
  }

 private:
  using Memory = experts::WorkerMemory<Microkernel>;

  bool scales_multiply_sums(std::int64_t rows) const {
    if constexpr (layout::RecordScaledCodec<Codec>) {
      return Codec::scales_records(record_) && unpacks_as_it_reads<Microkernel> && rows <= 32;
    }
    return false;
  }

  struct Result {
    const PanelProduct& product;
    float* values;

    static void finish(const void* context, const experts::PanelSums& sums) noexcept {
      const auto& self = *static_cast<const Result*>(context);
      sums.for_rows([&](std::int64_t row, std::int64_t offset) {
        for (std::int64_t panel = 0; panel < sums.panels; ++panel) {
          const float* const scales = self.product.tail(sums.panel + panel) + layout::panel_columns;
          float* const to = self.values + row * self.product.columns() + (sums.panel + panel) * layout::panel_columns;
          for (std::int64_t column = 0; column < layout::panel_columns; ++column) {
            const float sum = column < 16 ? sums.left(panel, offset)[column] : sums.right(panel, offset)[column - 16];
            to[column] = Codec::has_column_scales ? sum * scales[column] : sum;
          }
        }
      });
    }
  };

  bool is_digit_product([[maybe_unused]] std::int64_t rows, [[maybe_unused]] bool are_finite) const {
#if defined(POLYMOE_HAS_DIGIT_PRODUCTS)
    if constexpr (layout::IntegerCodec<Codec>) {
      return are_finite && rows <= Codec::Integers::most_rows && Codec::Integers::serves(record_);
    }
#endif
    return false;
  }

  std::int64_t steps() const {
    return records_ * experts::steps_of_record<Microkernel, Codec>;
  }
  std::int64_t tail_floats() const {
    return layout::own_tail_floats<Codec> + record_.tail_floats;
  }

  float* tail(std::int64_t panel) {
    return tails_.data() + panel * tail_floats();
  }
  const float* tail(std::int64_t panel) const {
    return tails_.data() + panel * tail_floats();
  }

  layout::PanelMatrix panel_matrix() const {
    return {.record = record_,
            .columns = random_.matrix().rows,
            .depth = records_ * Codec::record_k,
            .panels = panels_,
            .panel_bytes = records_ * record_.bytes,
            .tail_floats = tail_floats()};
  }

  void pack(std::int64_t panel) {
    const quant::WeightMatrix& matrix = random_.matrix();
    float* const tail = this->tail(panel);
    layout::PanelRows rows{};
    for (std::int64_t column = 0; column < layout::panel_columns; ++column) {
      const std::int64_t row = panel * layout::panel_columns + column;
      rows[static_cast<std::size_t>(column)] = row < matrix.rows ? row : -1;
    }
    Codec::pack(packed_.data() + panel * records_ * record_.bytes, record_, matrix, rows, tail + layout::panel_columns);
    Codec::pack_tail(tail + layout::own_tail_floats<Codec>, record_, matrix, rows);
  }

  void store(const Rows& rows, const microkernel::RowBlocks& blocks, std::byte* activations) const {
    constexpr std::int64_t of_step = microkernel::step_k<Element>;
    std::memset(activations, 0, static_cast<std::size_t>(blocks.bytes(steps())));
    for (std::int64_t row = 0; row < rows.count; ++row) {
      for (std::int64_t k = 0; k < rows.columns; k += of_step) {
        auto* const to = reinterpret_cast<Element*>(activations + blocks.offset(row, k / of_step, steps()));
        std::transform(rows.row(row) + k, rows.row(row) + std::min(k + of_step, rows.columns), to,
                       [](float x) { return Element(x); });
      }
    }
  }

  /// [K][columns()]
  void make_weights() {
    if (!weights_.empty()) return;
    const quant::WeightMatrix& matrix = random_.matrix();
    weights_.resize(static_cast<std::size_t>(matrix.columns * columns()));
    for (std::int64_t row = 0; row < matrix.rows; ++row) {
      for (std::int64_t k = 0; k < matrix.columns; ++k) {
        weights_[static_cast<std::size_t>(k * columns() + row)] = matrix.value(row, k);
      }
    }
  }

  RandomMatrix random_;
  layout::RecordShape record_;
  std::int64_t panels_;
  std::int64_t records_;
  Workspace packed_;
  std::vector<float> tails_;
  Workspace memory_;
  std::vector<double> weights_;
};

/// Relative L2 distance of `count` numbers.
double distance(const float* found, const double* expected, std::int64_t count) {
  double difference = 0.0;
  double norm = 0.0;
  for (std::int64_t i = 0; i < count; ++i) {
    const double d = static_cast<double>(found[i]) - expected[i];
    difference += d * d;
    norm += expected[i] * expected[i];
  }
  if (norm == 0.0) return difference == 0.0 ? 0.0 : INFINITY;
  return std::sqrt(difference / norm);
}

// ---- cases

/// Two whole panels and a half.
constexpr std::int64_t matrix_rows = 80;

/// Calls f(product, K) for a matrix of each key, with K rounded up to whole groups.
template <class Microkernel, class F>
void for_each_key(std::int64_t columns, const std::vector<MatrixOptions>& groups, F f) {
  unsigned seed = 0;
  const auto call = [&]<QuantKey key>(MatrixOptions options) {
    const std::int64_t group = std::max(options.group_size, 1);
    options.key = key;
    options.rows = matrix_rows;
    options.columns = (columns + group - 1) / group * group;
    SCOPED_TRACE(options.describe() + " " + std::string(name(options.scale)));
    PanelProduct<Microkernel, key> product(options, ++seed);
    f(product, options.columns);
  };
  call.template operator()<quant_key::fp8_static_channel>({});
  call.template operator()<quant_key::int8_static_channel>({});
  call.template operator()<quant_key::fp8_static_block128>({});
  call.template operator()<quant_key::mxfp8_static>({});
  call.template operator()<quant_key::mxfp4_static>({});
  call.template operator()<quant_key::nvfp4_static>({});
  for (const MatrixOptions& options : groups) {
    call.template operator()<quant_key::int4_static_group>(options);
    call.template operator()<quant_key::int8_static_group>(options);
  }
}

std::vector<MatrixOptions> all_groups() {
  std::vector<MatrixOptions> all{{.group_size = 32, .group_index = true}};
  for (const std::int32_t group_size : {32, 64, 128, quant::whole_row}) {
    for (const bool zero_points : {false, true}) {
      for (const DType scale : {DType::f32, DType::bf16, DType::f16}) {
        all.push_back({.group_size = group_size, .scale = scale, .zero_points = zero_points});
      }
    }
  }
  return all;
}

const std::vector<MatrixOptions> some_groups{{.group_size = 64},
                                             {.group_size = 32, .scale = DType::bf16, .zero_points = true},
                                             {.group_size = quant::whole_row}};

// ---- statements

TYPED_TEST(MultiplyPanels, gives_products_of_exact_weights_for_every_key_and_shape) {
  for (const std::int64_t columns : {32, 96, 768, 2080}) {
    for_each_key<TypeParam>(columns, all_groups(), [](auto& product, std::int64_t depth) {
      const Rows rows = random_rows(33, depth);
      const std::vector<double> expected = product.expected(rows);
      for (const std::int64_t count : {1, 2, 3, 4, 5, 16, 17, 33}) {
        const std::vector<float> found = product.multiply(rows.first(count));
        EXPECT_LT(distance(found.data(), expected.data(), count * product.columns()), product.bound(count))
            << count << " rows";
      }
    });
  }
}

TYPED_TEST(MultiplyPanels, gives_the_same_bits_however_many_panels_are_finished_at_once) {
  // 330 rows of 2080 columns are more than stay in L2: panels come in groups.
  for (const std::int64_t columns : {96, 2080}) {
    for_each_key<TypeParam>(columns, some_groups, [](auto& product, std::int64_t depth) {
      const Rows rows = random_rows(330, depth);
      for (const std::int64_t count : {3, 17, 40, 330}) {
        const Rows some = rows.first(count);
        const std::vector<float> expected = product.multiply(some);
        for (const std::int64_t panels : {2, 3, 8}) {
          EXPECT_EQ(product.multiply(some, false, panels), expected) << count << " rows, " << panels << " panels";
        }
      }
    });
  }
}

TYPED_TEST(MultiplyPanels, is_as_exact_for_rows_of_any_magnitude) {
  for_each_key<TypeParam>(768, some_groups, [](auto& product, std::int64_t depth) {
    enum : std::int64_t { uneven, beyond_digits, tiny, huge, zeros, subnormal, kinds };
    Rows all = random_rows(33, depth);
    for (std::int64_t row = 0; row < all.count; ++row) {
      for (std::int64_t k = 0; k < depth; ++k) {
        float& x = all.row(row)[k];
        const bool is_greatest = k == (row + 1) * 21;
        switch (row % kinds) {
          case uneven: x = static_cast<float>(bf16(is_greatest ? 0x1p14F : x + std::copysign(1.0F, x))); break;
          case beyond_digits: x = is_greatest ? 0x1p20F : x; break;
          case tiny: x *= 0x1p-60F; break;
          case huge: x *= 0x1p60F; break;
          case zeros: x = 0.0F; break;
          default:
            x = takes_only_bf16<TypeParam> ? static_cast<float>(bf16::from_bits(static_cast<std::uint16_t>(k % 128)))
                                           : 0.0F;
        }
      }
    }
    Rows read = all;
    for (float& x : read.numbers) x = std::abs(x) < 0x1p-126F ? 0.0F : x;
    const std::vector<double> expected = product.expected(read);
    // Kernels of few rows see every kind, too.
    for (const std::int64_t count : {1, 3, 4, 17, 33}) {
      for (std::int64_t first = 0; first + count <= all.count && first < kinds; ++first) {
        Rows rows{count, depth, {all.row(first), all.row(first) + count * depth}};
        for (const bool come_in_fp32 : {false, true}) {
          if (come_in_fp32 && (takes_only_bf16<TypeParam> || count > 4)) continue;
          rows.come_in_fp32 = come_in_fp32;
          const std::vector<float> found = product.multiply(rows);
          for (std::int64_t row = 0; row < count; ++row) {
            // Digits, of which rows that come in fp32 are not made, round hundreds of numbers to 2^-22 of the greatest.
            // fp32 sums are a little less exact than those of integers, whatever the numbers are.
            const double least = come_in_fp32 ? 3e-6 : (first + row) % kinds == beyond_digits ? 2e-5 : 0.0;
            EXPECT_LT(distance(found.data() + row * product.columns(),
                               expected.data() + (first + row) * product.columns(), product.columns()),
                      std::max(product.bound(count), least))
                << "row " << first + row << " of " << count << " from " << first << (come_in_fp32 ? ", in fp32" : "");
          }
        }
      }
    }
  });
}

TYPED_TEST(MultiplyPanels, keeps_NaNs_and_infinities_in_their_rows) {
  for_each_key<TypeParam>(256, some_groups, [](auto& product, std::int64_t depth) {
    Rows all = random_rows(33, depth);
    all.row(0)[7] = std::numeric_limits<float>::quiet_NaN();
    all.row(2)[40] = std::numeric_limits<float>::infinity();
    const std::vector<double> expected = product.expected(all);
    for (const std::int64_t count : {1, 3, 4, 17, 33}) {
      const std::vector<float> found = product.multiply(all.first(count));
      for (std::int64_t row = 0; row < count; ++row) {
        const float* const of_row = found.data() + row * product.columns();
        const double* const expected_of_row = expected.data() + row * product.columns();
        if (row == 0 || row == 2) {
          for (std::int64_t column = 0; column < product.columns(); ++column) {
            const auto value = static_cast<double>(of_row[column]);
            EXPECT_TRUE(value == expected_of_row[column] || (std::isnan(value) && std::isnan(expected_of_row[column])))
                << value << " for " << expected_of_row[column] << " row " << row << " of " << count;
          }
        } else {
          EXPECT_LT(distance(of_row, expected_of_row, product.columns()), product.bound(count, false))
              << "row " << row << " of " << count;
        }
      }
    }
  });
}

TYPED_TEST(MultiplyPanels, gives_batch_invariant_rows_the_same_bits_beside_any_others) {
  for_each_key<TypeParam>(2080, some_groups, [](auto& product, std::int64_t depth) {
    // 330 rows of bf16 are more than stay in L2.
    const Rows all = random_rows(330, depth);
    const std::vector<float> expected = product.multiply(all, true);
    for (const std::int64_t count : {1, 4, 33}) {
      const std::vector<float> found = product.multiply(all.first(count), true);
      EXPECT_EQ(std::memcmp(found.data(), expected.data(), found.size() * sizeof(float)), 0) << count << " rows";
    }
    const Rows few = all.first(5);
    const std::vector<double> exact = product.expected(few);
    EXPECT_LT(distance(expected.data(), exact.data(), 5 * product.columns()), product.bound(all.count));
  });
}

#if defined(POLYMOE_HAS_DIGIT_PRODUCTS)

template <class Element>
class DigitRows : public testing::Test {};
using RowElements = testing::Types<bf16, float>;
TYPED_TEST_SUITE(DigitRows, RowElements);

TYPED_TEST(DigitRows, are_exact_to_2_to_the_minus_22_of_the_greatest_and_bf16_down_to_2_to_the_minus_14_of_it) {
  constexpr std::int64_t runs = 37;
  constexpr std::int64_t depth = runs * 32;
  constexpr std::int64_t step_k = microkernel::step_k<TypeParam>;
  for (std::int64_t count = 1; count <= experts::DigitRows<TypeParam>::most_rows; ++count) {
    for (const std::int64_t parts : {1, 2}) {
      SCOPED_TRACE(std::to_string(count) + " rows, parts " + std::to_string(parts));
      std::mt19937 random(static_cast<unsigned>(count));
      Workspace activations(static_cast<std::size_t>(count * depth) * sizeof(TypeParam));
      const auto at = [&](std::int64_t row, std::int64_t k) -> TypeParam& {
        const std::int64_t index = (k / step_k * count + row) * step_k + k % step_k;
        return reinterpret_cast<TypeParam*>(activations.data())[index];
      };
      for (std::int64_t row = 0; row < count; ++row) {
        for (std::int64_t k = 0; k < depth; ++k) {
          const int exponent = 100 - 60 * static_cast<int>(row) - static_cast<int>(random() % 20);
          const float mantissa = 1.0F + static_cast<float>(random() % 0x800000) * 0x1p-23F;
          at(row, k) = TypeParam(std::ldexp(random() % 2 == 0 ? mantissa : -mantissa, exponent));
        }
      }
      Workspace memory(static_cast<std::size_t>(experts::DigitRows<TypeParam>::memory_bytes(count, runs)));
      experts::DigitRows<TypeParam> digits(count, parts, memory.data());
      ASSERT_TRUE(digits.read(activations.data(), runs));
      const microkernel::DigitOperand operand = digits.operand();
      const auto integer = [&](std::int64_t row, std::int64_t k) {
        const auto digit = [&](std::int64_t index) {
          return std::to_integer<std::int8_t>(operand.bytes[((k / 32 * 3 + index) * count + row) * 32 + k % 32]);
        };
        return digit(0) * 65536.0 + digit(1) * 256.0 + digit(2);
      };
      for (std::int64_t row = 0; row < count; ++row) {
        const double unit = std::ldexp(1.0, operand.exponents[row] - 21);
        double greatest = 0.0;
        for (std::int64_t k = 0; k < depth; ++k) {
          greatest = std::max(greatest, std::abs(static_cast<double>(static_cast<float>(at(row, k)))));
        }
        for (std::int64_t k = 0; k < depth; ++k) {
          const auto exact = static_cast<double>(static_cast<float>(at(row, k)));
          const double error = std::abs(integer(row, k) * unit - exact);
          const bool is_exact = sizeof(TypeParam) == 2 && std::abs(exact) >= greatest * 0x1p-14;
          ASSERT_LE(error, is_exact ? 0.0 : greatest * 0x1p-22) << row << " " << k;
        }
        for (std::int64_t part = 0; part < runs * parts; ++part) {
          double sum = 0.0;
          double magnitudes = 0.0;
          for (std::int64_t i = 0; i < 32 / parts; ++i) {
            const double number = integer(row, part * 32 / parts + i);
            sum += number;
            magnitudes += std::abs(number);
          }
          // Some additions of fp32, each rounded.
          ASSERT_NEAR(static_cast<double>(operand.sums[row * operand.sums_stride + part]) * 0x1p21, sum,
                      magnitudes * 0x1p-21)
              << row << " " << part;
        }
      }
    }
  }
}

TYPED_TEST(DigitRows, have_the_greatest_and_the_least_exponents_of_fp32) {
  for (const float greatest : {0x1.8p127F, -0x1.8p126F, 0x1p-126F, -0x1.8p-125F, 0.0F}) {
    alignas(64) TypeParam activations[32] = {};
    activations[5] = TypeParam(greatest);
    Workspace memory(static_cast<std::size_t>(experts::DigitRows<TypeParam>::memory_bytes(1, 1)));
    experts::DigitRows<TypeParam> digits(1, 1, memory.data());
    ASSERT_TRUE(digits.read(reinterpret_cast<std::byte*>(activations), 1));
    const microkernel::DigitOperand operand = digits.operand();
    const double digit = std::to_integer<std::int8_t>(operand.bytes[5]);
    EXPECT_EQ(std::ldexp(digit * 65536.0, operand.exponents[0] - 21), static_cast<double>(greatest));
  }
}

TYPED_TEST(DigitRows, are_not_made_of_rows_that_are_not_finite) {
  for (const float number : {INFINITY, -INFINITY, NAN}) {
    alignas(64) TypeParam activations[2 * 32] = {};
    activations[45] = TypeParam(number);
    Workspace memory(static_cast<std::size_t>(experts::DigitRows<TypeParam>::memory_bytes(1, 2)));
    EXPECT_FALSE(experts::DigitRows<TypeParam>(1, 1, memory.data()).read(reinterpret_cast<std::byte*>(activations), 2));
  }
}

TYPED_TEST(DigitRows, are_zeros_of_subnormal_bf16_and_not_made_of_subnormal_fp32) {
  for (const float number : {0x1p-130F, -0x1.8p-127F}) {
    alignas(64) TypeParam activations[32] = {};
    activations[5] = TypeParam(number);
    Workspace memory(static_cast<std::size_t>(experts::DigitRows<TypeParam>::memory_bytes(1, 1)));
    experts::DigitRows<TypeParam> digits(1, 1, memory.data());
    ASSERT_EQ(digits.read(reinterpret_cast<std::byte*>(activations), 1), sizeof(TypeParam) == 2);
    if (sizeof(TypeParam) == 4) continue;
    for (std::int64_t i = 0; i < 3 * 32; ++i) EXPECT_EQ(digits.operand().bytes[i], std::byte{0}) << i;
  }
}

#endif

}  // namespace
}  // namespace polymoe::test
