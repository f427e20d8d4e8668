#!/usr/bin/env bash
# Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#
#   examples/lm/scheme_table.sh [POLYMOE_LM [OPTION...]]
#
# Writes docs/tiny_moe_schemes.md: the tiny model in every scheme and mode. Options, such as --threads 1, go to every run.
set -euo pipefail
cd "$(dirname "$0")/../.."
lm=${1:-build/examples/polymoe-lm}
shift $(($# > 0 ? 1 : 0))
model=examples/data/tiny_moe
page=docs/tiny_moe_schemes.md
report=$(mktemp)
trap 'rm -f "$report"' EXIT

value() { sed -n "s/^$1: \([^ ]*\).*/\1/p" "$report"; }

rows=""
baseline=""
while read -r scheme mode; do
  "$lm" --model "$model" --scheme "$scheme" --mode "$mode" --eval "$model/valid.txt" \
    --prompt "And the LORD said unto " --generate 1000 "$@" >"$report"
  loss=$(value cross_entropy_nats_per_byte)
  baseline=${baseline:-$loss}
  row=$(printf '| %s | %s | %s | %.3f | %.4f | %+.4f | %.0f | %.0f |' "$scheme" "$mode" "$(value backend)" \
    "$(value bits_per_weight)" "$loss" "$(awk "BEGIN { print $loss - $baseline }")" "$(value eval_tokens_per_second)" \
    "$(value decode_tokens_per_second)")
  echo "$row"
  rows+="$row"$'\n'
done < <("$lm" --list-schemes)

{
  cat <<PAGE
# The tiny model in every scheme

Written by \`examples/lm/scheme_table.sh\`. The experts of [the tiny model](../examples/data/tiny_moe/README.md) are quantized when
\`polymoe-lm\` loads it; attention, router and head stay in fp32. Cross entropy is that of valid.txt (49,152 bytes, windows of 512), in nats per
byte; float64 from the BF16 weights gives 1.480441.

* Weights are rounded to the nearest code; four-bit codes with the scale, of some around the rule's, that has the least square error
  (polymoe/quantize/weights.hpp). Scales and zero points count as bits. Scales of int4 and int8 in groups are bf16.
* Static activation scales are the greatest magnitudes in 512 bytes that the unquantized model writes by itself.
* Modes are those of [numerics.md](numerics.md), section 4. Schemes without an activation key have one mode.
* The backend is the first that the scheme's oracle finds for hidden states in bf16 on this CPU.
* Prefill is the whole evaluation, decode the writing of 1000 bytes one by one: the rest of the model included, in tokens per second.

$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1), threads: $(value threads).

| scheme | mode | backend | bits per weight | cross entropy | against bf16 | prefill | decode |
|---|---|---|---|---|---|---|---|
PAGE
  printf '%s' "$rows"
} >"$page"
