#!/usr/bin/env python3
# Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
"""What the abstraction costs: processor time and object size of small translation units.

    bench/compile_time/measure.py [--compiler g++] [--repeat 3] [--output TABLE.md]

Each unit is compiled with -O3 for AMX (on x86-64). Times are processor seconds, the least of the repetitions: they do
not depend on what else the machine does. "beyond" is what a unit costs more than one that only includes the
dependencies; sizes are of code and constants.
"""

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
AMX = ("-march=x86-64-v2 -mavx2 -mfma -mf16c -mbmi -mbmi2 -mlzcnt -mmovbe -mavx512f -mavx512bw -mavx512dq -mavx512vl "
       "-mavx512cd -mprefer-vector-width=512 -mavx512vbmi -mavx512vnni -mavx512bf16 -mamx-tile -mamx-bf16 -mamx-int8")

DEPENDENCIES = """
#include <boost/hana.hpp>
#include <boost/mp11.hpp>
#include <xsimd/xsimd.hpp>
#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>
"""
LIBRARY = "#include <polymoe/polymoe.hpp>\nnamespace moe = polymoe;\n"
QWEN3 = """
constexpr moe::FusedMoEConfig layer{.num_experts = 128, .top_k = 8, .hidden_size = 2048, .intermediate_size = 768};
"""
ANY = "constexpr moe::FusedMoEConfig layer = moe::any_layer;\n"


def selected(scheme):
    return f"using Kernel = moe::SelectKernel<layer, {scheme}>;\n"


USED = """
moe::PackedWeights pack(const moe::MoECheckpoint& checkpoint) { return Kernel::convert_to_kernel_format(checkpoint); }
void apply(const Kernel& kernel, const moe::MutableTokensView& out, const moe::TokensView& x,
           const moe::MatrixView<const float>& weights, const moe::MatrixView<const std::int32_t>& ids,
           const moe::Workspace& workspace) {
  kernel.apply(out, x, weights, ids, workspace);
}
"""
SCHEMES = {
    "bf16": "moe::quant::Unquantized",
    "fp8 per block": "moe::quant::Fp8Block128",
    "mxfp4": "moe::quant::Mxfp4",
    "nvfp4": "moe::quant::NvFp4",
    "int8 W8A8": "moe::quant::Int8Channel",
    "int4 in groups": "moe::quant::IntWna16<4, 128>",
}


def units():
    yield "an empty file", ""
    yield "only the dependencies", DEPENDENCIES
    yield "polymoe.hpp", LIBRARY
    yield "... and a kernel is selected (bf16)", (LIBRARY + QWEN3 + selected(SCHEMES["bf16"]) +
                                                   "static_assert(!Kernel::backend::name().empty());\n")
    for name, scheme in SCHEMES.items():
        yield f"... packed and applied, {name}", LIBRARY + QWEN3 + selected(scheme) + USED
    yield "... packed and applied, bf16, everything dynamic", LIBRARY + ANY + selected(SCHEMES["bf16"]) + USED


def code_bytes(path):
    lines = subprocess.run(["size", path], check=True, capture_output=True, text=True).stdout.splitlines()
    text, data = lines[1].split()[:2]
    return int(text) + int(data)


def compile_once(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--output")
    options = parser.parse_args()
    flags = AMX.split() if platform.machine() in ("x86_64", "AMD64") else []
    version = subprocess.run([options.compiler, "--version"], check=True, capture_output=True, text=True).stdout
    table = [f"{version.splitlines()[0]}, -O3", "", "| translation unit | seconds | beyond the dependencies | code, KiB |",
             "|---|---|---|---|"]
    base = None
    with tempfile.TemporaryDirectory() as folder:
        for name, source in units():
            path, object_path = os.path.join(folder, "unit.cpp"), os.path.join(folder, "unit.o")
            with open(path, "w", encoding="utf-8") as file:
                file.write(source)
            command = [options.compiler, "-std=c++20", "-O3", "-DNDEBUG", *flags, "-w", "-I", os.path.join(ROOT, "include"),
                       "-c", path, "-o", object_path]
            try:
                seconds = min(compile_once(command) for _ in range(options.repeat))
            except RuntimeError as error:
                print(f"{name}: does not compile\n{error}", file=sys.stderr)
                continue
            if name == "only the dependencies":
                base = seconds
            beyond = "" if base is None or seconds <= base else f"+{seconds - base:.1f}"
            table.append(f"| {name} | {seconds:.1f} | {beyond} | {code_bytes(object_path) / 1024:.0f} |")
            print(table[-1], flush=True)
    if options.output:
        with open(options.output, "w", encoding="utf-8") as file:
            file.write("\n".join(table) + "\n")


if __name__ == "__main__":
    main()
