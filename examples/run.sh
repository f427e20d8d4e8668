#!/usr/bin/env bash
# Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#
# Builds the examples and runs them.
set -euo pipefail
cd "$(dirname "$0")/.."

.ci/install_packages cmake ninja-build g++ libboost-dev libxsimd-dev nlohmann-json3-dev libtbb-dev
[ -e build/CMakeCache.txt ] || ! command -v ninja >/dev/null || export CMAKE_GENERATOR=Ninja
# Tests need more packages. Where the build is configured already, it stays as it is.
[ -e build/CMakeCache.txt ] || cmake --preset default -DPOLYMOE_BUILD_TESTS=OFF
cmake --build build --parallel "$(nproc)" --target polymoe_examples

heading() { printf '\n== %s\n' "$1"; }

heading "The bare library on random weights (examples/minimal)"
build/examples/minimal

heading "An engine that pins its backend (examples/pinned_engine)"
build/examples/pinned_engine

heading "One source, a build for each instruction set (examples/multiarch)"
build/examples/multiarch

heading "A layer file through polymoe-run (examples/polymoe_run)"
layer=tests/data/conformance/public/088_unquantized_bf16_given_duplicates.safetensors
output=$(mktemp -d)
trap 'rm -rf "$output"' EXIT
echo "backends of this CPU: $(build/examples/polymoe-run --list-backends | paste -sd' ')"
build/examples/polymoe-run "$layer" -o "$output/output.safetensors" --explain --repeat 10

heading "Text from a small trained model, and its cross entropy on text that it has not seen (examples/lm)"
model=examples/data/tiny_moe
build/examples/polymoe-lm --model "$model" --prompt "In the beginning " --generate 300 --temperature 0.7 --seed 1 \
  --eval "$model/valid.txt"

heading "The same with four-bit experts (all schemes: docs/tiny_moe_schemes.md)"
build/examples/polymoe-lm --model "$model" --scheme nvfp4 --prompt "In the beginning " --generate 300 --temperature 0.7 \
  --seed 1 --eval "$model/valid.txt"
