#!/usr/bin/env python3
"""Compares the latency of networks in inference with PyTorch's.

    tools/compare_inference.py --bench build/release/bin/bench_inference --peer torch_infer.py [--python PYTHON...]
                               [--archs ARCH...] [--batches N...] [--threads N...] [--output FILE.md]

The peer is a program that prints one line of JSON with "peer" and "ms"; it is called with --arch, --mode, --batch and
--threads by every given Python. All programs run in turn, several rounds, on the same pinned processors, so that a
machine that slows down slows all of them down. Figures are medians over rounds, with the range beside them.
"""
import argparse
import json
import statistics

from comparison import (add_common_options, processor_name, processors_for, report, run_peer, run_pinned,
                        thread_count)

ENGINES = {"native": "DeepShift, float32, native", "openblas": "DeepShift, float32, OpenBLAS"}
MODES = ["eager", "channels-last", "frozen"]


def own_latency(arguments, processors, arch, batch, engine):
    output = run_pinned(processors, [arguments.bench, f"--benchmark_filter=^{arch}/batch:{batch}/{engine}/",
                                     "--benchmark_format=json", f"--benchmark_min_time={arguments.seconds}"],
                        DEEPSHIFT_THREADS=str(len(processors)))
    return json.loads(output)["benchmarks"][0]["real_time"]


def peer_latency(arguments, processors, arch, batch, python, mode):
    """The name of a peer, and its milliseconds."""
    output = run_peer(processors, [python, arguments.peer, "--arch", arch, "--batch", str(batch), "--threads",
                                   str(len(processors)), "--mode", mode])
    result = json.loads(output.strip().splitlines()[-1])
    return f"{result['peer']}, float32, {mode}", result["ms"]


def measure(arguments, processors, arch, batch):
    """Milliseconds of each round, by row."""
    rounds = {}
    for _ in range(arguments.rounds):
        for engine, name in ENGINES.items():
            rounds.setdefault(name, []).append(own_latency(arguments, processors, arch, batch, engine))
        for python in arguments.python:
            for mode in MODES:
                name, milliseconds = peer_latency(arguments, processors, arch, batch, python, mode)
                rounds.setdefault(name, []).append(milliseconds)
    return rounds


def table(title, rounds):
    medians = {name: statistics.median(values) for name, values in rounds.items()}
    best = min(value for name, value in medians.items() if name not in ENGINES.values())
    lines = [f"## {title}", "", "| | ms, median (range) | best peer's time / this |", "|---|---|---|"]
    for name, values in rounds.items():
        lines.append(f"| {name} | {medians[name]:.2f} ({min(values):.2f} to {max(values):.2f}) | "
                     f"{best / medians[name]:.2f} |")
    return lines + [""]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", required=True, help="the program bench_inference")
    parser.add_argument("--peer", required=True, help="the PyTorch program")
    parser.add_argument("--archs", nargs="+", default=["resnet18"], help="networks (default: resnet18)")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8], help="images at a time (default: 1 8)")
    add_common_options(parser, seconds=2.0)
    arguments = parser.parse_args()

    figures = {f"{arch}, batch {batch}, {thread_count(threads)}":
               measure(arguments, processors_for(threads), arch, batch)
               for arch in arguments.archs for batch in arguments.batches for threads in arguments.threads}
    heading = ["# Latency of inference", "",
               f"Networks for 224x224 images with seeded weights, batch norm folded, pinned threads of {processor_name()}; "
               f"{arguments.rounds} interleaved rounds. Made by `tools/compare_inference.py`.", ""]
    report(heading, figures, table, arguments.output)


if __name__ == "__main__":
    main()
