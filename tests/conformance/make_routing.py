#!/usr/bin/python3
"""make_routing.py CASES_FOLDER OUT: the reference's topk_ids and topk_weights of every case that routes, in one file.

They are named CASE.topk_ids and CASE.topk_weights, and are what tests/support/conformance.hpp compares with.
"""

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import polymoe_reference as ref


def main(argv):
    folder, out = argv[1:]
    tensors = {}
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".safetensors"):
            continue
        layer = ref.load_layer(os.path.join(folder, name))
        if layer.routing == "given":
            continue
        ids, weights = ref.route(layer)
        tensors[name + ".topk_ids"] = ref.Tensor("I32", ids)
        tensors[name + ".topk_weights"] = ref.encode_as("F32", weights)
    ref.write_safetensors(out, {}, tensors)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
