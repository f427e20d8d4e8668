#!/usr/bin/env bash
# Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#
# What can be said of code without running it. Exit code 77 (skipped) where the compiler is not there.
#
#   check.sh headers COMPILER FLAGS FOLDER   each header of include/polymoe/FOLDER compiles by itself, free of warnings
#   check.sh folder COMPILER FLAGS FOLDER    they compile together, in the reverse order of their names
#   check.sh compiles COMPILER FLAGS FILE    the file compiles: a list of true static_asserts
#   check.sh refused COMPILER FLAGS FILE     it does not, and the message holds the words after each "// MESSAGE: "
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
what=$1 compiler=$2 flags=$3 subject=$4

command -v "$compiler" >/dev/null || { echo "skipped: no $compiler here"; exit 77; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

warnings="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror"
case $("$compiler" --version | head -1) in
  *clang*) warnings+=" -ferror-limit=0" ;;
  *) warnings+=" -Wno-psabi -Wno-ignored-attributes" ;;
esac
compile() {  # shellcheck disable=SC2086
  "$compiler" -std=c++20 -fsyntax-only $flags $warnings -I"$root/include" -I"$root" "$@"
}

headers() {
  local depth=9
  [ "$subject" = . ] && depth=1
  find "$root/include/polymoe/$subject" -maxdepth $depth -name '*.hpp'
}

failures=0
fail() { echo "FAILED: $1"; failures=$((failures + 1)); }

case $what in
  headers)
    for header in $(headers | sort); do
      # Twice: the second inclusion must change nothing.
      printf '#include "%s"\n#include "%s"\n' "$header" "$header" >"$scratch/alone.cpp"
      compile "$scratch/alone.cpp" || fail "$header does not compile by itself"
    done
    ;;
  folder)
    headers | sort -r | sed 's/.*/#include "&"/' >"$scratch/folder.cpp"
    compile "$scratch/folder.cpp" || fail "$subject does not compile"
    ;;
  compiles)
    compile "$root/$subject" || fail "$subject does not compile"
    ;;
  refused)
    if compile "$root/$subject" 2>"$scratch/message"; then
      fail "$subject compiles, and must not"
    else
      while IFS= read -r words; do
        grep -qF -- "$words" "$scratch/message" || fail "the compiler does not say: $words"
      done < <(sed -n 's|^// MESSAGE: ||p' "$root/$subject")
      grep -q '^// MESSAGE: ' "$root/$subject" || fail "$subject expects no words"
      [ $failures -eq 0 ] || head -c 20000 "$scratch/message"
    fi
    ;;
  *) fail "unknown check $what" ;;
esac
exit $((failures > 0))
