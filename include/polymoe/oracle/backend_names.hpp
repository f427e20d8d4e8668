// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <boost/mp11/list.hpp>
#include <cstddef>
#include <optional>
#include <string_view>

#include "polymoe/config/backend_name.hpp"

namespace polymoe::oracle {

/// The position of the backend called `name` in a list of tags; nothing where there is none.
template <class Backends>
constexpr std::optional<std::size_t> index_of_name(const BackendName& name) {
  std::optional<std::size_t> found;
  std::size_t index = 0;
  [&]<class... Backend>(boost::mp11::mp_list<Backend...>) {
    ((!found && BackendName(std::string_view(Backend::name())) == name ? void(found = index) : void(), ++index), ...);
  }(Backends{});
  return found;
}

}  // namespace polymoe::oracle
