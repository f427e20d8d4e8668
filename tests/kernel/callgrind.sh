#!/usr/bin/env bash
# Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#
# callgrind.sh CALL_COST: apply through FusedMoEKernel takes at most 0.5% more instructions than the experts class takes.
set -euo pipefail
program=${1:?}
if ! command -v valgrind >/dev/null; then
  echo "valgrind is not installed"
  exit 77
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Prints the instructions of one way, those inside `function` alone.
instructions() {
  local way=$1 function=$2
  valgrind --tool=callgrind --collect-atstart=no --toggle-collect="$function" --callgrind-out-file="$folder/$way" \
    "$program" "$way" >"$folder/$way.log" 2>&1 || { cat "$folder/$way.log" >&2; return 1; }
  awk '/^(summary|totals):/ { print $2; exit }' "$folder/$way"
}

kernel=$(instructions kernel call_through_kernel)
experts=$(instructions experts call_experts)
echo "instructions: $kernel through the kernel, $experts by the experts class"
if ((experts < 100000)); then
  echo "the call was not counted"
  exit 1
fi
((1000 * (kernel - experts) < 5 * experts && 1000 * (experts - kernel) < 5 * experts))
