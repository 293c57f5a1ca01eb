#!/usr/bin/env python3
"""Compares the speed of a training step with PyTorch's, and that of shift weights with that of float weights.

    tools/compare_training.py --bench build/dev/bin/bench_train_step --peer torch_train.py [--python PYTHON...]
                              [--archs ARCH...] [--threads N...] [--output FILE.md]

The peer is a program that prints one line of JSON with "peer", "ms_per_step" and "peak_MiB"; it is called with --arch,
--batch, --threads and --steps, without and with --channels-last, by every given Python. All programs run in turn,
several rounds, on the same pinned processors, so that a machine that slows down slows all of them down. Figures are
medians over rounds, with the range beside them. Memory is the highest resident set of the process less what it had
before the network was made.
"""
import argparse
import json
import os
import statistics

from comparison import (add_common_options, processor_name, processors_for, report, run_peer, run_pinned,
                        thread_count)

BATCH = 128
ROWS = {"float": "DeepShift, float weights", "q": "DeepShift, q weights", "ps": "DeepShift, ps weights",
        "float_bf16": "DeepShift, float weights, products in bf16"}  # the last where the processor has it


def own_step(arguments, processors, arch, row):
    """Milliseconds and mebibytes of a step; None where the processor lacks what the row needs."""
    output = run_pinned(processors, [arguments.bench, f"--benchmark_filter=^{arch}/{row}/", "--benchmark_format=json",
                                     f"--benchmark_min_time={arguments.seconds}"],
                        DEEPSHIFT_THREADS=str(len(processors)))
    if not output.strip():
        return None
    result = json.loads(output)["benchmarks"][0]
    return result["real_time"], result["peak_MiB"]


def peer_step(arguments, processors, arch, python, layout):
    """The name of a peer, its milliseconds and mebibytes."""
    command = [python, arguments.peer, "--arch", arch, "--batch", str(BATCH), "--threads", str(len(processors)), "--steps",
               str(arguments.steps)] + (["--channels-last"] if layout == "channels-last" else [])
    output = run_peer(processors, command)
    result = json.loads(output.strip().splitlines()[-1])
    return f"{result['peer']}, {layout}", (result["ms_per_step"], result["peak_MiB"])


def measure(arguments, processors, arch):
    """(Milliseconds, mebibytes) of each round, by row: {"float": [...], "q": [...], "ps": [...], peer: [...]}."""
    rounds = {}
    for _ in range(arguments.rounds):
        for row in ROWS:
            figures = own_step(arguments, processors, arch, row)
            if figures is not None:
                rounds.setdefault(row, []).append(figures)
        for python in arguments.python if arguments.peer else []:
            for layout in ("nchw", "channels-last"):
                name, figures = peer_step(arguments, processors, arch, python, layout)
                rounds.setdefault(name, []).append(figures)
    return rounds


def table(title, rounds):
    times = {name: [milliseconds for milliseconds, _ in figures] for name, figures in rounds.items()}
    memory = {name: statistics.median(mebibytes for _, mebibytes in figures) for name, figures in rounds.items()}
    medians = {name: statistics.median(values) for name, values in times.items()}
    peers = [name for name in times if name not in ROWS]
    best = min((medians[peer] for peer in peers), default=None)
    lines = [f"## {title}", "", "| | ms a step, median (range) | images/s | MiB at most | step / float step |" +
             (" images/s / best peer's |" if best else ""), "|---|---|---|---|---|" + ("---|" if best else "")]
    for name, values in times.items():
        cells = [ROWS.get(name, name),
                 f"{medians[name]:.1f} ({min(values):.1f} to {max(values):.1f})", f"{1000 * BATCH / medians[name]:.0f}",
                 f"{memory[name]:.0f}", f"{medians[name] / medians['float']:.3f}"]
        cells += [f"{best / medians[name]:.2f}"] if best else []
        lines.append("| " + " | ".join(cells) + " |")
    return lines + [""]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", required=True, help="the program bench_train_step")
    parser.add_argument("--peer", help="the PyTorch program; without it only float and shift weights are compared")
    parser.add_argument("--archs", nargs="+", default=["resnet20"], help="networks (default: resnet20)")
    parser.add_argument("--steps", type=int, default=12, help="steps of the peer a round")
    add_common_options(parser, seconds=5.0)
    arguments = parser.parse_args()
    figures = {f"{arch}, {thread_count(threads)}": measure(arguments, processors_for(threads), arch)
               for arch in arguments.archs for threads in arguments.threads}
    forced = os.environ.get("DEEPSHIFT_ISA")
    heading = ["# Speed of a training step" + (f", kernels of {forced}" if forced else ""), "",
               f"A full step (forward, loss, backward, optimizer), batch {BATCH}, pinned threads of {processor_name()}; "
               f"{arguments.rounds} interleaved rounds. Milliseconds compare within a table, not between files: the machine's speed changes. Made by "
               "`tools/compare_training.py`.", ""]
    report(heading, figures, table, arguments.output)


if __name__ == "__main__":
    main()
