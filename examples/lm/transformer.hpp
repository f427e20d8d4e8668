// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "examples/lm/matmul.hpp"
#include "examples/lm/matrix.hpp"
#include "examples/lm/model_config.hpp"
#include "examples/lm/tokenizer.hpp"
#include "examples/support/sharded_checkpoint.hpp"
#include "polymoe/config/error.hpp"
#include "polymoe/config/view.hpp"
#include "polymoe/execution/executor.hpp"

// Everything of a Qwen3-MoE model but its experts, in plain fp32: embeddings, RMSNorm, attention with grouped queries
// and a cache, the router's logits, the head. The experts are a callable, so that any kernel can be bound.

namespace polymoe::lm {

/// One MoE layer's work for T tokens.
struct MoECall {
  std::int64_t layer = 0;
  MatrixView<const float> moe_input;      ///< [T, H]: the normalized hidden states
  MatrixView<const float> router_logits;  ///< [T, E]
  MatrixView<float> moe_output;           ///< [T, H], to be written
};

template <class F>
concept MoELayers = std::invocable<F&, const MoECall&>;

namespace detail {

/// row := row / rms(row) * weight
inline void rms_norm(const float* row, std::span<const float> weight, float epsilon, float* into) {
  const std::size_t size = weight.size();
  double squares = 0;
  for (std::size_t i = 0; i < size; ++i) squares += static_cast<double>(row[i]) * row[i];
  const auto scale = static_cast<float>(1.0 / std::sqrt(squares / static_cast<double>(size) + epsilon));
  for (std::size_t i = 0; i < size; ++i) into[i] = row[i] * scale * weight[i];
}

inline void rms_norm(MatrixView<const float> rows, std::span<const float> weight, float epsilon,
                     MatrixView<float> into) {
  for (std::int64_t t = 0; t < rows.rows; ++t) rms_norm(rows.row(t), weight, epsilon, into.row(t));
}

inline void add(MatrixView<const float> what, MatrixView<float> to) {
  for (std::int64_t t = 0; t < to.rows; ++t) {
    for (std::int64_t i = 0; i < to.columns; ++i) to.row(t)[i] += what.row(t)[i];
  }
}

/// scores := softmax(scores * scale), over the first `count`; zero from there to `padded`.
inline void softmax(float* scores, std::int64_t count, std::int64_t padded, float scale) {
  float largest = scores[0];
  for (std::int64_t i = 1; i < count; ++i) largest = std::max(largest, scores[i]);
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    scores[i] = std::exp((scores[i] - largest) * scale);
    sum += scores[i];
  }
  const auto inverse = static_cast<float>(1.0 / sum);
  for (std::int64_t i = 0; i < count; ++i) scores[i] *= inverse;
  std::fill(scores + count, scores + padded, 0.0F);
}

}  // namespace detail

/// The keys and values of a sequence so far, and the memory that a forward pass works in.
class Sequence {
 public:
  /// Positions so far.
  std::int64_t length() const { return length_; }

  /// Forgets all tokens; the memory stays.
  void clear() { length_ = 0; }

 private:
  friend class Transformer;

  struct Head {
    Matrix keys;    ///< [head_dim, positions]: the right operand of the scores
    Matrix values;  ///< [positions, head_dim]
  };

  std::vector<Head> heads_;  ///< [layer * num_key_value_heads + head]
  std::int64_t length_ = 0;

  // What a pass over some tokens needs, for as many tokens as there have been at once.
  Matrix hidden_, normed_, query_, key_, value_, attended_, projected_, router_logits_;
  std::vector<Matrix> scores_, mixed_;  ///< of each worker
};

/// The weights of a model, widened to fp32 once.
class Transformer {
 public:
  /// Raises InputError for a tensor that is missing or has another shape than the config says.
  Transformer(const tools::Checkpoint& checkpoint, const ModelConfig& config)
      : config_(config),
        embeddings_(load_matrix(checkpoint, "model.embed_tokens.weight", config.vocab_size, config.hidden_size)),
        head_(load_linear(checkpoint, config.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight",
                          config.vocab_size, config.hidden_size)),
        norm_(load_vector(checkpoint, "model.norm.weight", config.hidden_size)) {
    for (std::int64_t n = 0; n < config.num_hidden_layers; ++n) layers_.emplace_back(checkpoint, config, n);
    make_rotations();
  }

  const ModelConfig& config() const { return config_; }

  /// An empty sequence with room for `positions` tokens.
  Sequence make_sequence(std::int64_t positions) const {
    if (positions < 1 || positions > config_.max_position_embeddings) {
      raise_mismatch("positions", std::to_string(positions),
                     "1 to max_position_embeddings = " + std::to_string(config_.max_position_embeddings));
    }
    Sequence sequence;
    for (std::int64_t i = 0; i < config_.num_hidden_layers * config_.num_key_value_heads; ++i) {
      sequence.heads_.push_back({Matrix(config_.head_dim, positions), Matrix(positions, config_.head_dim)});
    }
    return sequence;
  }

  /// Appends tokens to the sequence and writes the logits [R, vocab_size] of the last R of them. The rows of `logits`
  /// have room for padded_columns(vocab_size).
  template <Executor E, MoELayers F>
  void forward(std::span<const Token> tokens, Sequence& sequence, MatrixView<float> logits, F&& moe,
               E& executor) const {
    const auto count = static_cast<std::int64_t>(tokens.size());
    check(tokens, sequence, logits);
    reserve(sequence, count, executor.concurrency());
    const MatrixView<float> hidden = sequence.hidden_.top(count);
    const MatrixView<float> normed = sequence.normed_.top(count);
    const MatrixView<float> projected = sequence.projected_.top(count);
    const auto epsilon = static_cast<float>(config_.rms_norm_eps);
    for (std::int64_t t = 0; t < count; ++t) {
      std::copy_n(embeddings_.row(tokens[static_cast<std::size_t>(t)]), config_.hidden_size, hidden.row(t));
    }
    for (std::int64_t n = 0; n < config_.num_hidden_layers; ++n) {
      const Layer& layer = layers_[static_cast<std::size_t>(n)];
      detail::rms_norm(hidden, layer.input_norm, epsilon, normed);
      attention(layer, n, count, sequence, executor);
      detail::add(projected, hidden);

      detail::rms_norm(hidden, layer.post_attention_norm, epsilon, normed);
      const MatrixView<float> router_logits = sequence.router_logits_.top(count);
      multiply(normed, layer.router.view(), router_logits, executor);
      moe(MoECall{n, normed, router_logits, projected});
      detail::add(projected, hidden);
    }
    sequence.length_ += count;
    const MatrixView<float> last(hidden.row(count - logits.rows), logits.rows, hidden.columns, hidden.stride);
    detail::rms_norm(last, norm_, epsilon, normed);
    const MatrixView<float> last_normed(normed.data, logits.rows, normed.columns, normed.stride);
    multiply(last_normed, head_.view(), logits, executor);
  }

 private:
  struct Layer {
    Layer(const tools::Checkpoint& checkpoint, const ModelConfig& config, std::int64_t n) {
      const std::string prefix = "model.layers." + std::to_string(n) + ".";
      const std::int64_t hidden = config.hidden_size;
      const std::int64_t queries = config.num_attention_heads * config.head_dim;
      const std::int64_t keys = config.num_key_value_heads * config.head_dim;
      input_norm = load_vector(checkpoint, prefix + "input_layernorm.weight", hidden);
      query = load_linear(checkpoint, prefix + "self_attn.q_proj.weight", queries, hidden);
      key = load_linear(checkpoint, prefix + "self_attn.k_proj.weight", keys, hidden);
      value = load_linear(checkpoint, prefix + "self_attn.v_proj.weight", keys, hidden);
      query_norm = load_vector(checkpoint, prefix + "self_attn.q_norm.weight", config.head_dim);
      key_norm = load_vector(checkpoint, prefix + "self_attn.k_norm.weight", config.head_dim);
      output = load_linear(checkpoint, prefix + "self_attn.o_proj.weight", hidden, queries);
      post_attention_norm = load_vector(checkpoint, prefix + "post_attention_layernorm.weight", hidden);
      router = load_linear(checkpoint, prefix + "mlp.gate.weight", config.num_experts, hidden);
    }

    std::vector<float> input_norm, query_norm, key_norm, post_attention_norm;
    Matrix query, key, value, output, router;
  };

  static constexpr std::int64_t queries_together = 48;  ///< rows of scores that a worker holds at once

  void make_rotations() {
    const std::int64_t half = config_.head_dim / 2;
    cosine_ = Matrix(config_.max_position_embeddings, half);
    sine_ = Matrix(config_.max_position_embeddings, half);
    for (std::int64_t p = 0; p < config_.max_position_embeddings; ++p) {
      for (std::int64_t i = 0; i < half; ++i) {
        const double exponent = static_cast<double>(2 * i) / static_cast<double>(config_.head_dim);
        const double angle = static_cast<double>(p) * std::pow(config_.rope_theta, -exponent);
        cosine_.row(p)[i] = static_cast<float>(std::cos(angle));
        sine_.row(p)[i] = static_cast<float>(std::sin(angle));
      }
    }
  }

  /// RoPE, half rotation: elements i and i + head_dim / 2 turn together.
  void rotate(float* head, std::int64_t position) const {
    const std::int64_t half = config_.head_dim / 2;
    const float* const cosine = cosine_.row(position);
    const float* const sine = sine_.row(position);
    for (std::int64_t i = 0; i < half; ++i) {
      const float first = head[i];
      const float second = head[i + half];
      head[i] = first * cosine[i] - second * sine[i];
      head[i + half] = second * cosine[i] + first * sine[i];
    }
  }

  void check(std::span<const Token> tokens, const Sequence& sequence, MatrixView<float> logits) const {
    const auto count = static_cast<std::int64_t>(tokens.size());
    const auto wanted = static_cast<std::size_t>(config_.num_hidden_layers * config_.num_key_value_heads);
    if (sequence.heads_.size() != wanted) raise_mismatch("sequence", "one of another model", "one of make_sequence()");
    const std::int64_t room = sequence.heads_[0].values.rows() - sequence.length_;
    if (count < 1 || count > room) {
      raise_mismatch("tokens", std::to_string(count), "1 to " + std::to_string(room) + ", the room in the sequence");
    }
    if (logits.rows < 1 || logits.rows > count || logits.columns != config_.vocab_size ||
        logits.stride < padded_columns(config_.vocab_size)) {
      raise_mismatch("logits", std::to_string(logits.rows) + " x " + std::to_string(logits.columns),
                     "at most " + std::to_string(count) + " rows of padded_columns(vocab_size)");
    }
    for (const Token token : tokens) {
      if (token < 0 || token >= config_.vocab_size) {
        raise_mismatch("tokens", std::to_string(token), "ids below " + std::to_string(config_.vocab_size));
      }
    }
  }

  void reserve(Sequence& sequence, std::int64_t count, int workers) const {
    if (sequence.hidden_.rows() < count) {
      const std::int64_t queries = config_.num_attention_heads * config_.head_dim;
      const std::int64_t keys = config_.num_key_value_heads * config_.head_dim;
      sequence.hidden_ = Matrix(count, config_.hidden_size);
      sequence.normed_ = Matrix(count, config_.hidden_size);
      sequence.projected_ = Matrix(count, config_.hidden_size);
      sequence.query_ = Matrix(count, queries);
      sequence.attended_ = Matrix(count, queries);
      sequence.key_ = Matrix(count, keys);
      sequence.value_ = Matrix(count, keys);
      sequence.router_logits_ = Matrix(count, config_.num_experts);
    }
    const std::int64_t positions = sequence.heads_[0].values.rows();
    while (static_cast<int>(sequence.scores_.size()) < workers) {
      sequence.scores_.emplace_back(queries_together, positions);
      sequence.mixed_.emplace_back(queries_together, config_.head_dim);
    }
  }

  /// normed -> projected, with the new keys and values put into the cache.
  template <Executor E>
  void attention(const Layer& layer, std::int64_t n, std::int64_t count, Sequence& sequence, E& executor) const {
    const MatrixView<float> normed = sequence.normed_.top(count);
    const MatrixView<float> query = sequence.query_.top(count);
    const MatrixView<float> key = sequence.key_.top(count);
    const MatrixView<float> value = sequence.value_.top(count);
    multiply(normed, layer.query.view(), query, executor);
    multiply(normed, layer.key.view(), key, executor);
    multiply(normed, layer.value.view(), value, executor);
    Sequence::Head* const heads = sequence.heads_.data() + n * config_.num_key_value_heads;
    const std::int64_t query_blocks = (count + queries_together - 1) / queries_together;
    share(config_.num_key_value_heads, key.rows * key.columns, executor,
          [&](std::int64_t h, int) { store(layer, key, value, h, sequence.length_, heads[h]); });
    const std::int64_t scores_work = 2 * count * (sequence.length_ + count) * query.columns;
    share(config_.num_attention_heads * query_blocks, scores_work, executor, [&](std::int64_t index, int worker) {
      const std::int64_t h = index / query_blocks;
      const std::int64_t first = index % query_blocks * queries_together;
      const MatrixView<float> queries(query.row(first) + h * config_.head_dim,
                                      std::min(queries_together, count - first), config_.head_dim, query.stride);
      const auto w = static_cast<std::size_t>(worker);
      attend(layer, queries, sequence.length_ + first,
             heads[h * config_.num_key_value_heads / config_.num_attention_heads], sequence.scores_[w],
             sequence.mixed_[w], sequence.attended_.row(first) + h * config_.head_dim);
    });
    multiply(sequence.attended_.top(count), layer.output.view(), sequence.projected_.top(count), executor);
  }

  /// Normalizes and rotates the new keys of head `h`, and puts them and the values into the cache.
  void store(const Layer& layer, MatrixView<float> key, MatrixView<float> value, std::int64_t h, std::int64_t from,
             Sequence::Head& head) const {
    const auto epsilon = static_cast<float>(config_.rms_norm_eps);
    for (std::int64_t t = 0; t < key.rows; ++t) {
      float* const k = key.row(t) + h * config_.head_dim;
      detail::rms_norm(k, layer.key_norm, epsilon, k);
      rotate(k, from + t);
      for (std::int64_t d = 0; d < config_.head_dim; ++d) head.keys.row(d)[from + t] = k[d];
      std::copy_n(value.row(t) + h * config_.head_dim, config_.head_dim, head.values.row(from + t));
    }
  }

  /// One query head of consecutive positions, of which the first is `position`: each sees the positions up to its own.
  void attend(const Layer& layer, MatrixView<float> queries, std::int64_t position, const Sequence::Head& head,
              Matrix& scores, Matrix& mixed, float* into) const {
    const auto epsilon = static_cast<float>(config_.rms_norm_eps);
    for (std::int64_t t = 0; t < queries.rows; ++t) {
      detail::rms_norm(queries.row(t), layer.query_norm, epsilon, queries.row(t));
      rotate(queries.row(t), position + t);
    }
    const std::int64_t seen = position + queries.rows;  // by the last of them
    const MatrixView<const float> keys(head.keys.view().data, config_.head_dim, seen, head.keys.view().stride);
    const MatrixView<float> weights(scores.view().data, queries.rows, seen, scores.view().stride);
    multiply(queries, keys, weights);
    const float scale = 1.0F / std::sqrt(static_cast<float>(config_.head_dim));
    for (std::int64_t t = 0; t < queries.rows; ++t) {
      detail::softmax(weights.row(t), position + t + 1, seen, scale);
    }
    const MatrixView<const float> values(head.values.view().data, seen, config_.head_dim, head.values.view().stride);
    multiply(weights, values, mixed.top(queries.rows));
    for (std::int64_t t = 0; t < queries.rows; ++t) {
      std::copy_n(mixed.row(t), config_.head_dim,
                  into + t * padded_columns(config_.num_attention_heads * config_.head_dim));
    }
  }

  ModelConfig config_;
  Matrix embeddings_;  ///< [vocab_size, hidden_size]
  Matrix head_;        ///< [hidden_size, vocab_size]
  std::vector<float> norm_;
  std::vector<Layer> layers_;
  Matrix cosine_, sine_;  ///< [max_position_embeddings, head_dim / 2]
};

}  // namespace polymoe::lm
