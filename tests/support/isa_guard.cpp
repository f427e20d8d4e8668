// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
//
// Linked first into tests that are compiled for an instruction set, and itself compiled for none: ends the program with
// ctest's code for a skipped test before any of their code runs (their static initializers would, before main).

#include <cstdio>
#include <cstdlib>

#include "polymoe/target/detect.hpp"

namespace {

[[gnu::constructor(101)]] void skip_unless_this_cpu_can_run_the_test() {
  if (polymoe::target::detect().cpu.has_all(polymoe::isa_level::POLYMOE_TEST_ISA)) return;
  std::fputs("skipped: this CPU, or its operating system, lacks the test's instruction set\n", stderr);
  std::_Exit(77);
}

}  // namespace
