#!/usr/bin/env python3
"""Compares the native convolutions with oneDNN's, layer by layer.

    tools/compare_convolutions.py --bench build/release/bin/bench_conv2d [--networks NAME...] [--batch N] [--threads N]
                                  [--output FILE.md]

The benchmark (built where oneDNN is installed) runs all cases interleaved, several repetitions each. Figures are medians.
"""
import argparse
import json
import pathlib
import sys

from comparison import processor_name, processors_for, run_pinned

PASSES = ["forward", "backward-data", "backward-weight"]


def measure(arguments, network, processors):
    """{(layer, pass): {engine: GFLOP/s}} and how many convolutions of the network each layer stands for."""
    output = run_pinned(processors, [arguments.bench, "--benchmark_format=json",
                                     f"--benchmark_filter=^{network}/batch:{arguments.batch}/.*/(native|onednn)/",
                                     f"--benchmark_repetitions={arguments.repetitions}",
                                     f"--benchmark_min_time={arguments.seconds}",
                                     "--benchmark_enable_random_interleaving=true"],
                        DEEPSHIFT_THREADS=str(len(processors)), OMP_NUM_THREADS=str(len(processors)))
    speeds, layers = {}, {}
    results = json.loads(output)["benchmarks"]
    for result in sorted(results, key=lambda result: result["family_index"]):  # the order of the file
        if result.get("aggregate_name") != "median":
            continue
        _, _, layer, direction, engine = result["run_name"].split("/")[:5]
        speeds.setdefault((layer, direction), {})[engine] = result["GFLOP/s"]
        layers[layer] = int(result["layers"])
    if not all("onednn" in engines for engines in speeds.values()):
        sys.exit(f"compare_convolutions: {arguments.bench} was built without oneDNN")
    return speeds, layers


def table(network, speeds, layers):
    lines = [f"## {network}", "", "| layer | convolutions | " + " | ".join(f"{name}, ratio" for name in PASSES) + " |",
             "|---|---|" + "---|" * len(PASSES)]
    for layer, count in layers.items():
        cells = []
        for direction in PASSES:
            engines = speeds.get((layer, direction))
            cells.append("" if engines is None else
                         f"{engines['native']:.0f} / {engines['onednn']:.0f}, "
                         f"**{engines['native'] / engines['onednn']:.2f}**")
        lines.append(f"| {layer} | {count} | " + " | ".join(cells) + " |")
    return lines + [""]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", required=True, help="the program bench_conv2d")
    parser.add_argument("--networks", nargs="+", default=["resnet20", "resnet18_cifar", "mobilenet_v2_cifar"],
                        help="files of bench/shapes (default: the CIFAR networks)")
    parser.add_argument("--batch", type=int, choices=[1, 128], default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.1, help="least time of a repetition")
    parser.add_argument("--output", type=pathlib.Path, help="Markdown file")
    arguments = parser.parse_args()
    if arguments.repetitions < 2:
        parser.error(f"--repetitions is {arguments.repetitions}, expected at least 2: the benchmark gives medians of several")
    processors = processors_for(arguments.threads)
    text = ["# Convolutions beside oneDNN's", "",
            f"GFLOP/s (two for each multiply-accumulate of the direct form), native / oneDNN, and their ratio; batch "
            f"{arguments.batch}, float32, {arguments.threads} pinned threads of {processor_name()}; medians of "
            f"{arguments.repetitions} interleaved repetitions. oneDNN chooses its layouts and has its filters and images in "
            "them already. Made by `tools/compare_convolutions.py`.", ""]
    for network in arguments.networks:
        text += table(network, *measure(arguments, network, processors))
    print("\n".join(text))
    if arguments.output:
        arguments.output.write_text("\n".join(text))


if __name__ == "__main__":
    main()
