#!/usr/bin/env python3
"""Compares the latency of networks in inference with PyTorch's and ONNX Runtime's.

    tools/compare_inference.py --bench build/release/bin/bench_inference --peer torch_infer.py [--python PYTHON...]
                               [--onnx-peer onnx_infer.py --onnx-python PYTHON --onnx FOLDER]
                               [--archs ARCH...] [--batches N...] [--threads N...] [--output FILE.md]

Peers are programs that print one line of JSON with "peer" and "ms"; that of PyTorch is called by every given Python. FOLDER
holds ARCH_f32_bN.onnx and ARCH_int8_bN.onnx (bench/peers/make_onnx.py); a model that is missing is left out. All programs
run in turn, several rounds, on the same pinned processors, so that a machine that slows down slows all of them down. Figures
are medians over rounds, with the range beside them.
"""
import argparse
import json
import pathlib
import statistics
import sys

from comparison import (add_common_options, processor_name, processors_for, report, run_peer, run_pinned,
                        thread_count)

OWN = {"native": "DeepShift, float32, native", "openblas": "DeepShift, float32, OpenBLAS",
       "ps4": "DeepShift, integer net, PS 4 bits", "ps4_input8": "DeepShift, integer net, PS 4 bits, pixels of 8 bits",
       "q4": "DeepShift, integer net, Q 4 bits", "ps2": "DeepShift, integer net, PS 2 bits",
       "ps5": "DeepShift, integer net, PS 5 bits",
       "ps4_shifts": "DeepShift, integer net, PS 4 bits, shifts and additions alone"}
MODES = ["eager", "channels-last", "frozen"]
ONNX = {"f32": "float32", "int8": "int8"}


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


def onnx_latency(arguments, processors, model, kind):
    output = run_pinned(processors, [arguments.onnx_python, arguments.onnx_peer, str(model), "--threads",
                                     str(len(processors))])
    result = json.loads(output.strip().splitlines()[-1])
    return f"{result['peer'].replace('onnxruntime', 'ONNX Runtime')}, {ONNX[kind]}", result["ms"]


def measure(arguments, processors, arch, batch):
    """Milliseconds of each round, by row."""
    rounds = {}
    for _ in range(arguments.rounds):
        for engine, name in OWN.items():
            rounds.setdefault(name, []).append(own_latency(arguments, processors, arch, batch, engine))
        for python in arguments.python:
            for mode in MODES:
                name, milliseconds = peer_latency(arguments, processors, arch, batch, python, mode)
                rounds.setdefault(name, []).append(milliseconds)
        for kind in ONNX if arguments.onnx else []:
            model = arguments.onnx / f"{arch}_{kind}_b{batch}.onnx"
            if model.exists():
                name, milliseconds = onnx_latency(arguments, processors, model, kind)
                rounds.setdefault(name, []).append(milliseconds)
    return rounds


def ratio(numerator, denominator):
    return f"{numerator / denominator:.2f}" if denominator else ""


def table(title, rounds):
    medians = {name: statistics.median(values) for name, values in rounds.items()}
    floats = [value for name, value in medians.items() if name not in OWN.values() and "float32" in name]
    integers = [value for name, value in medians.items() if name not in OWN.values() and "int8" in name]
    best, int8 = min(floats), min(integers, default=None)
    lines = [f"## {title}", "", "| | ms, median (range) | of the best float32 peer's | of ONNX Runtime's int8 |", "|---|---|---|---|"]
    for name, values in rounds.items():
        lines.append(f"| {name} | {medians[name]:.2f} ({min(values):.2f} to {max(values):.2f}) | "
                     f"{ratio(medians[name], best)} | {ratio(medians[name], int8)} |")
    return lines + [""]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", required=True, help="the program bench_inference")
    parser.add_argument("--peer", required=True, help="the PyTorch program")
    parser.add_argument("--onnx", type=pathlib.Path, help="folder of ONNX models")
    parser.add_argument("--onnx-peer", help="the ONNX Runtime program")
    parser.add_argument("--onnx-python", default=sys.executable, help="Python to run it with (default: this one)")
    parser.add_argument("--archs", nargs="+", default=["resnet18"], help="networks (default: resnet18)")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8], help="images at a time (default: 1 8)")
    add_common_options(parser, seconds=2.0)
    arguments = parser.parse_args()

    figures = {f"{arch}, batch {batch}, {thread_count(threads)}":
               measure(arguments, processors_for(threads), arch, batch)
               for arch in arguments.archs for batch in arguments.batches for threads in arguments.threads}
    heading = ["# Latency of inference", "",
               f"Networks for 224x224 images with seeded weights, batch norm folded, pinned threads of {processor_name()}; "
               f"{arguments.rounds} interleaved rounds. Integer nets have activations of 8 bits, normalised "
               "pixels of 16 where nothing is said, and multipliers of three digits; their images are u8 pixels, those of the "
               "others floats. The last columns are the latency as a share "
               "of the peer's. Made by `tools/compare_inference.py`.", ""]
    report(heading, figures, table, arguments.output)


if __name__ == "__main__":
    main()
