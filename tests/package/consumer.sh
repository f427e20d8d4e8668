#!/usr/bin/env bash
# Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#
#   consumer.sh installed|pkg_config|subdirectory    builds a project that uses polymoe, in one of the ways there are
set -euo pipefail
source_dir=$PWD
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

install_polymoe() {
  cmake -S "$source_dir" -B "$scratch/polymoe" -DPOLYMOE_BUILD_TESTS=OFF -DPOLYMOE_BUILD_EXAMPLES=OFF \
    -DCMAKE_INSTALL_PREFIX="$scratch/prefix" -DCMAKE_INSTALL_LIBDIR=lib >/dev/null
  cmake --build "$scratch/polymoe" --target install >/dev/null
}

build_consumer() {
  cmake -S "$here/consumer" -B "$scratch/build" -DCMAKE_BUILD_TYPE=Release "$@"
  cmake --build "$scratch/build"
  "$scratch/build/consumer"
}

case $1 in
  installed)
    install_polymoe
    build_consumer -DCMAKE_PREFIX_PATH="$scratch/prefix"
    ;;
  subdirectory)
    build_consumer -DPOLYMOE_SOURCE_DIR="$source_dir"
    ;;
  pkg_config)
    command -v pkg-config >/dev/null || { echo "skipped: no pkg-config here"; exit 77; }
    install_polymoe
    export PKG_CONFIG_PATH=$scratch/prefix/lib/pkgconfig
    # shellcheck disable=SC2046
    "${CXX:-c++}" -O1 $(pkg-config --cflags polymoe) "$source_dir/examples/minimal/main.cpp" -o "$scratch/minimal"
    "$scratch/minimal"
    ;;
esac
