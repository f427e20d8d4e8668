#!/usr/bin/env python3
# Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
"""Writes oracle_cases.hpp: some hundred of the recorded cases as static_asserts.

    tests/static/make_oracle_cases.py > tests/static/oracle_cases.hpp

Takes cases of every oracle in turn, those with an outcome that was not seen yet first, so that every backend, class and
kind of error is among them.
"""

import collections
import gzip
import json
import pathlib

CASES = 600
DATA = pathlib.Path(__file__).resolve().parent.parent / "data" / "oracle"

ORACLES = {
    "unquantized": "Unquantized",
    "fp8": "Fp8",
    "mxfp8": "MxFp8",
    "nvfp4": "NvFp4",
    "mxfp4": "MxFp4",
    "mxfp4_deepseek_v4": "MxFp4DeepSeekV4",
    "int8": "Int8",
    "int_wna16": "IntWna16",
}
KEYS = {
    None: "none",
    "kFp8StaticTensorSym": "fp8_static_tensor",
    "kFp8StaticChannelSym": "fp8_static_channel",
    "kFp8StaticTokenSym": "fp8_static_token",
    "kFp8Static128BlockSym": "fp8_static_block128",
    "kFp8DynamicTensorSym": "fp8_dynamic_tensor",
    "kFp8DynamicTokenSym": "fp8_dynamic_token",
    "kFp8Dynamic128Sym": "fp8_dynamic_group128",
    "kFp8Dynamic64Sym": "fp8_dynamic_group64",
    "kMxfp8Static": "mxfp8_static",
    "kMxfp8Dynamic": "mxfp8_dynamic",
    "kMxfp4Static": "mxfp4_static",
    "kMxfp4Dynamic": "mxfp4_dynamic",
    "kNvfp4Static": "nvfp4_static",
    "kNvfp4Dynamic": "nvfp4_dynamic",
    "kInt8StaticChannelSym": "int8_static_channel",
    "kInt8DynamicTokenSym": "int8_dynamic_token",
    "kInt4Static": "int4_static_group",
    "kInt8Static": "int8_static_group",
}
ROUTING = {
    "Default": "softmax",
    "Renormalize": "renormalize",
    "RenormalizeNaive": "renormalize_naive",
    "TopK": "topk",
    "SigmoidRenorm": "sigmoid_renorm",
    "Llama4": "llama4",
    "MiniMax2": "minimax2",
    "DeepSeekV3": "deepseek_v3",
    "DeepseekV4": "deepseek_v4",
    "Custom": "custom",
    "Unspecified": "unspecified",
    "Simulated": "simulated",
}
ERRORS = {
    "ValueError": "value_error",
    "NotImplementedError": "not_implemented",
    "KeyError": "key_error",
    "ModuleNotFoundError": "module_not_found",
}


def read(name):
    with gzip.open(DATA / name, "rt") as file:
        return [json.loads(line) for line in file]


def outcome(case):
    expect = case["expect"]
    what = expect.get("error") or (expect["backend"], expect["experts"])
    return (case["oracle"], what, case["moe_backend"], bool(case["env"]), len(case["rejected"]))


def chosen(cases):
    groups = collections.defaultdict(lambda: collections.defaultdict(list))
    for case in cases:
        groups[case["oracle"]][outcome(case)].append(case)
    queues = {}
    for name, outcomes in groups.items():
        lists = [outcomes[key] for key in sorted(outcomes, key=str)]
        queue = []
        while any(lists):
            queue += [entries.pop(0) for entries in lists if entries]
        queues[name] = queue
    result = []
    while len(result) < CASES:
        for name in ORACLES:
            if queues[name] and len(result) < CASES:
                result.append((name, queues[name].pop(0)))
    return sorted(result, key=lambda pair: (list(ORACLES).index(pair[0]), bool(pair[1]["env"]), pair[1]["id"]))


def target(case):
    platform = case["platform"]
    kind = {"oot": "out_of_tree"}.get(platform["kind"], platform["kind"])
    fields = [f".platform = Platform::{kind}"]
    if kind == "cuda":
        fields.append(".cuda_capability = {%d, %d}" % tuple(platform["device_capability"]))
    if kind == "rocm":
        fields.append(".gfx = {0x%s}" % platform["gfx"][3:])
    if kind in ("cuda", "rocm") and case["libs"] == "all":
        fields.append(f".libraries = libraries::all_of_{kind}")
    if platform["aiter_enabled"]:
        fields.append(".aiter_switched_on = true")
    environment = []
    for variable, value in case["env"].items():
        field = variable.removeprefix("VLLM_").lower()
        if value in ("0", "1"):
            value = "Switch::" + ("on" if value == "1" else "off")
        elif field == "flashinfer_moe_backend":
            value = f"FlashInferMoE::{value}"
        else:
            value = f"HummingGemm::{value}"
        environment.append(f".{field} = {value}")
    if environment:
        fields.append(".environment = {%s}" % ", ".join(environment))
    return "{%s}" % ", ".join(fields)


def parallel(values):
    yes = {True: "true", False: "false"}
    sizes = ", ".join(str(values[f"{axis}_size"]) for axis in ("tp", "pcp", "dp", "ep", "sp"))
    exchange = values["all2all_backend"]
    return f"{{{sizes}, {yes[values['use_ep']]}, {yes[values['enable_eplb']]}, All2AllBackend::{exchange}}}"


def config(case):
    values = case["config"]
    fields = [
        f".activation = Activation::{values['activation']}",
        f".routing = RoutingMethod::{ROUTING[values['routing_method']]}",
        f".parallel = parallel_{values['parallel']['name']}",
    ]
    if values["is_lora_enabled"]:
        fields.append(".is_lora_enabled = true")
    fields.append(".is_act_and_mul = Choice::" + ("yes" if values["is_act_and_mul"] else "no"))
    if case["moe_backend"] != "auto":
        fields.append(f'.moe_backend = "{case["moe_backend"]}"')
    fields.append(".selection = selection::vllm_parity")
    if values.get("allow_vllm_cutlass"):
        fields.append(".allow_vllm_cutlass = true")
    if values.get("quantization_config_moe_activation"):
        fields.append(f".moe_activation = quant_key::{KEYS[values['quantization_config_moe_activation']]}")
    return "{%s}" % ", ".join(fields)


def main():
    cases = chosen(read("cases.jsonl.gz") + read("cases_env.jsonl.gz"))
    print("// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.")
    print("// Made by make_oracle_cases.py from tests/data/oracle; included by compiles/recorded_selection.cpp.")
    print("// clang-format off")
    print("#pragma once\n")
    parallels = {case["config"]["parallel"]["name"]: case["config"]["parallel"] for _, case in cases}
    for name in sorted(parallels):
        print(f"inline constexpr ParallelConfig parallel_{name}{parallel(parallels[name])};")
    targets = {}
    for _, case in cases:
        targets.setdefault(target(case), f"target_{len(targets)}")
    print()
    for text, name in targets.items():
        print(f"inline constexpr Target {name}{text};")
    print()
    for name, case in cases:
        keys = f"quant_key::{KEYS[case['weight_key']]}, quant_key::{KEYS[case['activation_key']]}"
        expect = case["expect"]
        if "error" in expect:
            expected = f"fails(FailureKind::{ERRORS[expect['error']]})"
        else:
            expected = f'selects("{expect["backend"]}", "{expect["experts"] or ""}")'
        refused = " ".join(f"{row['backend']}/{row['experts']}" for row in case["rejected"])
        label = f"{'env ' if case['env'] else ''}case {case['id']}"
        print(f"static_assert(answer<oracle::{ORACLES[name]}>({config(case)}, {keys}, {targets[target(case)]}) ==")
        print(f'              {expected}.after("{refused}"), "{label}");')


if __name__ == "__main__":
    main()
