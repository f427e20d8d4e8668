#!/usr/bin/env bash
# Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#
# The library compiles with -fno-exceptions; what would be thrown goes to the handler, and the output stays as it was.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

ran=0
for compiler in g++ clang++; do
  command -v $compiler >/dev/null || continue
  $compiler -std=c++20 -O1 -fno-exceptions -Wall -Wextra -Iinclude -I. tests/package/no_exceptions.cpp -o "$scratch/test"
  "$scratch/test"
  ran=1
done
[ $ran = 1 ] || exit 77
