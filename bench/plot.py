#!/usr/bin/env python3
# Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
"""Draws the results of bench/run.sh as SVG, with nothing but the standard library.

    bench/plot.py RESULTS.json FOLDER

For each shape and thread count: roofline.svg (products per second against products per byte), efficiency.svg
(t_min / t against tokens, a line a scheme) and cost.svg (milliseconds against tokens, oneDNN beside it).
"""

import json
import math
import os
import sys
from html import escape

COLORS = ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf"]
SHAPES = {  # hidden, intermediate, top_k
    "qwen3-30b-a3b": (2048, 768, 8),
    "mixtral-8x7b": (4096, 14336, 2),
    "gpt-oss-20b": (2880, 2880, 4),
    "deepseek-v3": (7168, 2048, 8),
    "tiny": (256, 128, 2),
}


class Axis:
    """Numbers to pixels, linear or logarithmic."""

    def __init__(self, low, high, first, last, logarithmic):
        self.logarithmic = logarithmic
        self.low, self.high = (math.log10(low), math.log10(high)) if logarithmic else (low, high)
        self.first, self.last = first, last

    def __call__(self, value):
        value = math.log10(value) if self.logarithmic else value
        return self.first + (value - self.low) / (self.high - self.low) * (self.last - self.first)


class Chart:
    """Axes, lines, and a legend on the right."""

    width, height, left, right, top, bottom = 820, 480, 70, 200, 40, 55

    def __init__(self, title, x_title, y_title, x_range, y_range, y_logarithmic):
        self.x = Axis(*x_range, self.left, self.width - self.right, True)
        self.y = Axis(*y_range, self.height - self.bottom, self.top, y_logarithmic)
        self.parts = []
        self.legend = 0
        self.text(self.left, 22, title, size=15)
        self.text((self.left + self.width - self.right) / 2, self.height - 12, x_title, anchor="middle")
        self.text(16, (self.top + self.height - self.bottom) / 2, y_title, anchor="middle", turn=True)

    def text(self, x, y, text, size=12, anchor="start", turn=False):
        turned = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turn else ""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}"{turned}>'
                          f"{escape(text)}</text>")

    def stroke(self, points, color, width=1.0, dash=""):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="{width}"{dashed}/>')

    def ticks(self, x_ticks, y_ticks):
        low, high = self.height - self.bottom, self.top
        left, right = self.left, self.width - self.right
        for value in x_ticks:
            self.stroke([(self.x(value), low), (self.x(value), high)], "#e4e4e4")
            self.text(self.x(value), low + 18, f"{value:g}", anchor="middle")
        for value in y_ticks:
            self.stroke([(left, self.y(value)), (right, self.y(value))], "#e4e4e4")
            self.text(left - 8, self.y(value) + 4, f"{value:g}", anchor="end")
        self.stroke([(left, high), (left, low), (right, low)], "#333333")

    def line(self, name, points, color, dash="", marks=True):
        pixels = [(self.x(x), self.y(y)) for x, y in points]
        self.stroke(pixels, color, 2.0, dash)
        if marks:
            for x, y in pixels:
                self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>')
        if name:
            x, y = self.width - self.right + 14, self.top + 12 + 20 * self.legend
            self.stroke([(x, y), (x + 24, y)], color, 2.0, dash)
            self.text(x + 30, y + 4, name)
            self.legend += 1

    def save(self, path):
        with open(path, "w", encoding="utf-8") as file:
            file.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
                       f'font-family="sans-serif" fill="#222222">\n'
                       f'<rect width="{self.width}" height="{self.height}" fill="#ffffff"/>\n')
            file.write("\n".join(self.parts))
            file.write("\n</svg>\n")


def decades(low, high):
    return [10.0 ** e for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]


def tokens_range(rows):
    tokens = sorted({row["tokens"] for row in rows})
    return tokens, (tokens[0] / 1.3, tokens[-1] * 1.3)


def color_of(scheme, schemes):
    return COLORS[schemes.index(scheme) % len(COLORS)]


def draw_efficiency(rows, schemes, title, path):
    tokens, x_range = tokens_range(rows)
    top = max(1.0, math.ceil(10 * max(row["efficiency"] for row in rows)) / 10)
    chart = Chart(f"{title}: efficiency", "tokens", "t_min / t", x_range, (0, top), False)
    chart.ticks(tokens, [i / 10 for i in range(0, round(top * 10) + 1, 2)])
    for scheme in schemes:
        points = [(row["tokens"], row["efficiency"]) for row in rows if row["scheme"] == scheme]
        if points:
            chart.line(scheme, points, color_of(scheme, schemes))
    chart.save(path)


def draw_cost(rows, schemes, title, path):
    tokens, x_range = tokens_range(rows)
    times = [row["ms"] for row in rows] + [row["peer"]["onednn_ms"] for row in rows if row["peer"].get("onednn_ms")]
    ticks = decades(min(times), max(times))
    chart = Chart(f"{title}: time of a layer", "tokens", "ms", x_range, (ticks[0], ticks[-1]), True)
    chart.ticks(tokens, ticks)
    for scheme in schemes:
        mine = [row for row in rows if row["scheme"] == scheme]
        if not mine:
            continue
        chart.line(scheme, [(row["tokens"], row["ms"]) for row in mine], color_of(scheme, schemes))
        peer = [(row["tokens"], row["peer"]["onednn_ms"]) for row in mine if row["peer"].get("onednn_ms")]
        if peer:
            chart.line(f"{scheme}, oneDNN", peer, color_of(scheme, schemes), "5 4")
    chart.save(path)


def draw_roofline(rows, schemes, ceilings, title, path):
    """Bytes are what t_min allows: where products are the limit, a point stands at the knee."""
    hidden, intermediate, top_k = SHAPES[rows[0]["shape"]]

    def flops(row):
        return 6.0 * row["tokens"] * top_k * hidden * intermediate

    def intensity(row):
        return flops(row) / (row["t_min_ms"] * 1e-3 * ceilings["read_gbps"] * 1e9)

    peaks = {"bf16": ceilings["bf16_tflops"], "int8": ceilings["int8_tops"]}
    rates = [flops(row) / row["ms"] / 1e9 for row in rows]
    x_high = max(2.5e3 * peaks["int8"] / ceilings["read_gbps"], 2 * max(intensity(row) for row in rows))
    x_low = min(intensity(row) for row in rows) / 2
    y_low, y_high = min(rates) / 2, peaks["int8"] * 2
    chart = Chart(f"{title}: roofline", "products and sums per byte of memory", "T/s", (x_low, x_high), (y_low, y_high),
                  True)
    inside = [tick for tick in decades(y_low, y_high) if y_low <= tick <= y_high]
    chart.ticks([tick for tick in decades(x_low, x_high) if x_low <= tick <= x_high], inside)
    for name, peak in peaks.items():
        knee = 1e3 * peak / ceilings["read_gbps"]
        start = max(x_low, y_low * 1e3 / ceilings["read_gbps"])
        chart.line(f"limit {name}", [(start, start * ceilings["read_gbps"] / 1e3), (knee, peak), (x_high, peak)], "#999999",
                   "2 3" if name == "int8" else "", marks=False)
    for scheme in schemes:
        points = [(intensity(row), flops(row) / row["ms"] / 1e9) for row in rows if row["scheme"] == scheme]
        if points:
            chart.line(scheme, points, color_of(scheme, schemes))
    chart.save(path)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    with open(sys.argv[1], encoding="utf-8") as file:
        data = json.load(file)
    folder = sys.argv[2]
    os.makedirs(folder, exist_ok=True)
    results = data["results"]
    schemes = list(dict.fromkeys(row["scheme"] for row in results))
    most = max((row["threads"] for row in results), default=0)
    for shape in dict.fromkeys(row["shape"] for row in results):
        for threads in sorted({row["threads"] for row in results}):
            rows = [row for row in results if row["shape"] == shape and row["threads"] == threads]
            rows.sort(key=lambda row: row["tokens"])
            if not rows:
                continue
            title = f"{shape}, {threads} thread{'s' if threads > 1 else ''}"
            prefix = os.path.join(folder, f"{shape}-{threads}t")
            if len({row["tokens"] for row in rows}) > 1:
                draw_efficiency(rows, schemes, title, prefix + "-efficiency.svg")
                draw_cost(rows, schemes, title, prefix + "-cost.svg")
            if threads == most:
                draw_roofline(rows, schemes, data["ceilings"], title, prefix + "-roofline.svg")
    print(f"plots: {folder}")


if __name__ == "__main__":
    main()
