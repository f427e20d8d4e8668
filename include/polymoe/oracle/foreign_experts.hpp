// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstddef>
#include <string_view>

#include "polymoe/config/fixed_string.hpp"
#include "polymoe/config/fused_moe_config.hpp"
#include "polymoe/quant/scheme.hpp"

namespace polymoe {

namespace detail {

/// Where an engine customarily keeps the binding of a class: polymoe_bindings/<class>.hpp.
template <class Candidate>
constexpr auto binding_header() {
  constexpr std::string_view folder = "polymoe_bindings/";
  constexpr std::string_view name = Candidate::name();
  constexpr std::string_view suffix = ".hpp";
  char text[folder.size() + name.size() + suffix.size() + 1]{};
  std::size_t at = 0;
  for (const std::string_view part : {folder, name, suffix}) {
    for (const char c : part) text[at++] = c;
  }
  return FixedString<folder.size() + name.size() + suffix.size()>(std::string_view(text, at));
}

/// Clang prints the arguments of a call that cannot be evaluated, GCC the template arguments: the header's name stands
/// in the error message of either.
void no_launcher_is_bound();
constexpr bool is_provided(const char* header) {
  if (header != nullptr) no_launcher_is_bound();
  return true;
}

/// Instantiated only to fail.
template <class Candidate, FixedString header>
struct MissingBinding {
  static_assert(is_provided(header.characters),
                "polymoe: the launcher of this candidate is the engine's. Include a header that specializes "
                "polymoe::foreign_experts for it, customarily the one named beside, before the kernel is selected "
                "(docs/selection.md, Binding)");
};

template <class Candidate, FusedMoEConfig, quant::Scheme>
struct UnboundExperts {
  static_assert(sizeof(MissingBinding<Candidate, binding_header<Candidate>()>) > 0);
  using type = void;
};

}  // namespace detail

/// The one place where an engine attaches its launcher to a candidate whose kernel is not in this library:
///
///     template <>
///     struct polymoe::foreign_experts<MyCandidate> {
///       static constexpr bool is_bound = true;
///       template <FusedMoEConfig config, quant::Scheme Scheme>
///       using experts = MyExperts<config, Scheme>;   // what experts/reference.hpp offers, with the engine's memory
///       static Target target();                      // the machine that the launcher runs on
///     };
///
/// A candidate is vllm::On<Backend, Class>, so a partial specialization binds a class for all its backends.
template <class Candidate>
struct foreign_experts {
  static constexpr bool is_bound = false;

  template <FusedMoEConfig config, quant::Scheme Scheme>
  using experts = typename detail::UnboundExperts<Candidate, config, Scheme>::type;
};

}  // namespace polymoe
