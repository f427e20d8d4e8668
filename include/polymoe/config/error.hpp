// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <utility>

namespace polymoe {

/// What came from outside (a view, a file, an id, a name) is not what the layer needs.
/// The message reads "ARGUMENT: found WHAT, expected WHAT".
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A backend was named that cannot serve this layer. The message says "does not support" and why.
class UnsupportedError : public Error {
 public:
  using Error::Error;
};

/// Called with the message instead of a throw where exceptions are disabled; must not return.
using ErrorHandler = void (*)(const char* message);

namespace detail {

inline std::atomic<ErrorHandler>& error_handler_slot() noexcept {
  static std::atomic<ErrorHandler> slot{nullptr};
  return slot;
}

}  // namespace detail

/// Sets the handler of a build with -fno-exceptions and returns the one before. A handler that returns is followed by
/// std::abort().
inline ErrorHandler set_error_handler(ErrorHandler handler) noexcept {
  return detail::error_handler_slot().exchange(handler);
}

/// Reports `message` as an exception of type E, or to the handler where exceptions are disabled.
template <class E = Error>
[[noreturn]] void raise(const std::string& message) {
#if defined(__cpp_exceptions)
  throw E(message);
#else
  if (ErrorHandler handler = detail::error_handler_slot().load()) handler(message.c_str());
  std::fprintf(stderr, "polymoe: %s\n", message.c_str());
  std::abort();
#endif
}

/// Raises "ARGUMENT: found FOUND, expected EXPECTED".
[[noreturn]] inline void raise_mismatch(const std::string& argument, const std::string& found,
                                        const std::string& expected) {
  raise(argument + ": found " + found + ", expected " + expected);
}

}  // namespace polymoe
