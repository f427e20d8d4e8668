// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "examples/lm/tokenizer.hpp"

namespace polymoe::lm {

/// Draws the next token from softmax(logits / temperature); at temperature 0 the largest logit wins, of equal ones the
/// first. One seed gives one text, on every machine.
class Sampler {
 public:
  Sampler(double temperature, std::uint64_t seed) : temperature_(temperature), generator_(seed) {}

  Token operator()(std::span<const float> logits) {
    const auto largest = std::max_element(logits.begin(), logits.end());
    if (temperature_ <= 0) return static_cast<Token>(largest - logits.begin());
    double total = 0;
    weights_.clear();
    for (const float logit : logits) {
      weights_.push_back(std::exp((static_cast<double>(logit) - *largest) / temperature_));
      total += weights_.back();
    }
    // The standard's distributions differ from library to library; this does not. 53 bits make a double in [0, 1).
    double left = static_cast<double>(generator_() >> 11) * 0x1p-53 * total;
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      left -= weights_[i];
      if (left < 0) return static_cast<Token>(i);
    }
    return static_cast<Token>(largest - logits.begin());
  }

 private:
  double temperature_;
  std::mt19937_64 generator_;
  std::vector<double> weights_;
};

}  // namespace polymoe::lm
