#!/usr/bin/env python3
"""Compares the native convolutions with oneDNN's, layer by layer.

    tools/compare_convolutions.py --bench build/release/bin/bench_conv2d [--networks NAME...] [--batch N] [--threads N]
                                  [--output FILE.md]

The benchmark (built where oneDNN is installed) runs both engines of a layer one after the other, the layers in turn, several times.
Figures are medians: of speeds, and of the ratios of each round.
"""
import argparse
import statistics
import sys

from comparison import layer_rounds, median_ratio, parse_layer_options, processor_name, report_layers

PASSES = ["forward", "backward-data", "backward-weight"]


def measure(arguments, network, processors):
    """{(layer, pass): {engine: GFLOP/s of each round}} and how many convolutions of the network each layer stands for."""
    speeds, layers = {}, {}
    for case, engines in layer_rounds(arguments, processors, network, ["native", "onednn"]).items():
        if "onednn" not in engines:
            sys.exit(f"compare_convolutions: {arguments.bench} was built without oneDNN")
        layer, direction = case.split("/")
        speeds[(layer, direction)] = {engine: [result["GFLOP/s"] for result in rounds] for engine, rounds in engines.items()}
        layers[layer] = int(engines["native"][0]["layers"])
    return speeds, layers


def table(network, speeds, layers):
    lines = [f"## {network}", "", "| layer | convolutions | " + " | ".join(f"{name}, ratio" for name in PASSES) + " |",
             "|---|---|" + "---|" * len(PASSES)]
    for layer, count in layers.items():
        cells = []
        for direction in PASSES:
            engines = speeds.get((layer, direction))
            cells.append("" if engines is None else
                         f"{statistics.median(engines['native']):.0f} / {statistics.median(engines['onednn']):.0f}, "
                         f"**{median_ratio(engines['native'], engines['onednn']):.2f}**")
        lines.append(f"| {layer} | {count} | " + " | ".join(cells) + " |")
    return lines + [""]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments = parse_layer_options(parser, "bench_conv2d", ["resnet20", "resnet18_cifar", "mobilenet_v2_cifar"],
                                    batches=[1, 128], batch=128, repetitions=3, seconds=0.1)
    heading = ["# Convolutions beside oneDNN's", "",
               f"GFLOP/s (two for each multiply-accumulate of the direct form), native / oneDNN, and in bold the median of the rounds' ratios; batch "
               f"{arguments.batch}, float32, {arguments.threads} pinned threads of {processor_name()}; medians of "
               f"{arguments.repetitions} rounds, in each of which both run one after the other. oneDNN chooses its layouts and "
               "has its filters and images in them already. Made by `tools/compare_convolutions.py`.", ""]
    report_layers(arguments, heading, measure, table)


if __name__ == "__main__":
    main()
