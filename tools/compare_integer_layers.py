#!/usr/bin/env python3
"""Compares the layers of integer nets with oneDNN's in 8 bits and OpenBLAS's in float32.

    tools/compare_integer_layers.py --bench build/release/bin/bench_integer [--networks NAME...] [--batch N] [--threads N]
                                    [--output FILE.md]

The benchmark (built where oneDNN is installed) runs all cases interleaved, several repetitions each. Figures are medians.
"""
import argparse
import json
import pathlib

from comparison import processor_name, processors_for, run_pinned, thread_count

OWN = ["ps4", "q4", "ps2", "ps5"]
PEERS = {"onednn": "oneDNN s8", "openblas": "OpenBLAS f32"}


def measure(arguments, network, processors):
    """{layer: {engine: microseconds}} and how many convolutions of the network each layer stands for."""
    output = run_pinned(processors, [arguments.bench, "--benchmark_format=json",
                                     f"--benchmark_filter=^{network}/batch:{arguments.batch}/",
                                     f"--benchmark_repetitions={arguments.repetitions}",
                                     f"--benchmark_min_time={arguments.seconds}",
                                     "--benchmark_enable_random_interleaving=true"],
                        DEEPSHIFT_THREADS=str(len(processors)), OMP_NUM_THREADS=str(len(processors)))
    times, layers = {}, {}
    for result in sorted(json.loads(output)["benchmarks"], key=lambda result: result["family_index"]):
        if result.get("aggregate_name") != "median" or "real_time" not in result or "GOP/s" not in result:
            continue
        _, _, layer, engine = result["run_name"].split("/")[:4]
        times.setdefault(layer, {})[engine] = result["real_time"]
        layers[layer] = int(result["layers"])
    return times, layers


def cell(times, engine, peers):
    if engine not in times:
        return [""] * (1 + len(peers))
    return [f"{times[engine]:.1f}"] + [f"{times[peer] / times[engine]:.2f}" if peer in times else "" for peer in peers]


def table(network, times, layers):
    header = ["layer", "number"] + [f"{name}, us" for name in PEERS.values()]
    for engine in OWN:
        header += [f"{engine}, us"] + [f"{name} / {engine}" for name in PEERS.values()]
    lines = [f"## {network}", "", "| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for layer, count in layers.items():
        cells = [layer, str(count)] + [cell(times[layer], peer, [])[0] for peer in PEERS]
        for engine in OWN:
            cells += cell(times[layer], engine, PEERS)
        lines.append("| " + " | ".join(cells) + " |")
    return lines + [""]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", required=True, help="the program bench_integer")
    parser.add_argument("--networks", nargs="+", default=["resnet20", "resnet18", "linear"],
                        help="files of bench/shapes (default: resnet20 resnet18 linear)")
    parser.add_argument("--batch", type=int, choices=[1, 8, 128], default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.05, help="least time of a repetition")
    parser.add_argument("--output", type=pathlib.Path, help="Markdown file")
    arguments = parser.parse_args()
    if arguments.repetitions < 2:
        parser.error(f"--repetitions is {arguments.repetitions}, expected at least 2: the benchmark gives medians of several")
    processors = processors_for(arguments.threads)
    text = ["# Layers of integer nets beside oneDNN's and OpenBLAS's", "",
            f"Microseconds, and how many times as long the peer takes; batch {arguments.batch}, "
            f"{thread_count(arguments.threads)}, pinned, of {processor_name()}; medians of {arguments.repetitions} "
            "interleaved repetitions. u8 values; ours and oneDNN's rescaling and ReLU are fused. PS and Q with 2, 4 and 5 bits. "
            "Made by `tools/compare_integer_layers.py`.", ""]
    for network in arguments.networks:
        text += table(network, *measure(arguments, network, processors))
    print("\n".join(text))
    if arguments.output:
        arguments.output.write_text("\n".join(text))


if __name__ == "__main__":
    main()
