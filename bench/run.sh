#!/bin/sh
# Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#
# Measures this machine's ceilings and whole layers, and draws plots:
#
#   bench/run.sh --json FILE [--shapes a,b] [--schemes a,b] [--tokens 1,64] [--threads 1,2] [--backend NAME] [--quick]
#
# FILE gets {"machine", "ceilings", "results"}; FILE without ".json" and with "-plots" is the folder of the plots (SVG).
# All options but --no-plots are polymoe-bench's: see `build-bench/bench/polymoe-bench --help`. What is missing is
# installed from Debian's packages where this is a Debian and the user is root.
set -eu
cd "$(dirname "$0")/.."

fail() {
  echo "bench/run.sh: $1" >&2
  exit 1
}

has_header() {
  echo "#include <$1>" | "${CXX:-c++}" -std=c++20 -x c++ -fsyntax-only - 2>/dev/null
}

missing=""
need() {
  missing="$missing $1"
}
command -v "${CXX:-c++}" >/dev/null || need g++
command -v cmake >/dev/null || need cmake
command -v make >/dev/null || command -v ninja >/dev/null || need ninja-build
if command -v "${CXX:-c++}" >/dev/null; then
  has_header boost/hana.hpp || need libboost-dev
  has_header xsimd/xsimd.hpp || need libxsimd-dev
  has_header nlohmann/json.hpp || need nlohmann-json3-dev
  has_header oneapi/dnnl/dnnl.hpp || need libdnnl-dev
else
  missing="$missing libboost-dev libxsimd-dev nlohmann-json3-dev libdnnl-dev"
fi
if [ -n "$missing" ]; then
  if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    echo "bench/run.sh: installing$missing" >&2
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086
    apt-get install -y --no-install-recommends $missing >&2 ||
      { apt-get update >&2 && apt-get install -y --no-install-recommends $missing >&2; } ||
      echo "bench/run.sh: could not install$missing" >&2
  else
    echo "bench/run.sh: missing (Debian's names):$missing; without libdnnl-dev there is just no comparison" >&2
  fi
fi

json=""
plots=yes
previous=""
for word in "$@"; do
  case "$word" in
    --json=*) json="${word#--json=}" ;;
    --no-plots) plots=no ;;
  esac
  [ "$previous" = --json ] && json="$word"
  previous="$word"
done
count=$#
while [ "$count" -gt 0 ]; do
  word="$1"
  shift
  count=$((count - 1))
  [ "$word" = --no-plots ] || set -- "$@" "$word"
done

generator=""
if [ ! -f build-bench/CMakeCache.txt ] && command -v ninja >/dev/null; then
  generator="-G Ninja"
fi
log=build-bench/build.log
mkdir -p build-bench
echo "bench/run.sh: building (log: $log)" >&2
{
  # shellcheck disable=SC2086
  cmake --preset bench $generator && cmake --build build-bench --target polymoe-bench --parallel "$(nproc)"
} >"$log" 2>&1 || {
  tail -n 30 "$log" >&2
  fail "the build failed"
}

# Threads stay where they are: a thread that moves to another core leaves its caches behind.
export OMP_PROC_BIND="${OMP_PROC_BIND:-true}" OMP_PLACES="${OMP_PLACES:-cores}"
build-bench/bench/polymoe-bench "$@"

if [ -n "$json" ] && [ "$plots" = yes ] && [ -f "$json" ]; then
  python3 bench/plot.py "$json" "${json%.json}-plots"
fi
