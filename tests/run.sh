#!/usr/bin/env bash
# Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#
#   tests/run.sh [ctest options]    builds everything and runs all tests; ends with ctest's summary
set -euo pipefail
cd "$(dirname "$0")/.."

.ci/install_packages cmake ninja-build g++ clang pkg-config libboost-dev libxsimd-dev libgtest-dev \
  nlohmann-json3-dev libtbb-dev valgrind
[ -e build/CMakeCache.txt ] || ! command -v ninja >/dev/null || export CMAKE_GENERATOR=Ninja
cmake --preset default -DPOLYMOE_BUILD_TESTS=ON  # examples/run.sh leaves them out
cmake --build --preset default --parallel "$(nproc)"
ctest --preset default --parallel "$(nproc)" "$@"
