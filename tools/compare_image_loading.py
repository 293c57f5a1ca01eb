#!/usr/bin/env python3
"""Compares how fast photographs become inputs of a network with torchvision and Pillow.

    tools/compare_image_loading.py --bench build/release/bin/bench_image --images FOLDER [--python PYTHON...] [--rounds N]
                                   [--output FILE.md]

Both do a loader's whole work on one thread, from JPEG files to normalised floats, by processor time, in turn. The peer
needs python3-torchvision, for /usr/bin/python3.
"""
import argparse
import json
import pathlib
import statistics

from comparison import add_common_options, processor_name, processors_for, report, run_peer, run_pinned

PEER = pathlib.Path(__file__).resolve().parent.parent / "bench/peers/torchvision_images.py"


def ours(arguments, processors):
    output = run_pinned(processors, [arguments.bench, arguments.images, "--benchmark_format=json",
                                     f"--benchmark_min_time={arguments.seconds}"], DEEPSHIFT_THREADS="1")
    return {result["name"]: result["images/s"] for result in json.loads(output)["benchmarks"]}


def theirs(arguments, python, processors):
    lines = run_peer(processors, [python, str(PEER), arguments.images]).splitlines()
    results = [json.loads(line) for line in lines]
    name = f"torchvision {results[0]['torchvision']}, Pillow {results[0]['Pillow']}, PyTorch {results[0]['torch']}"
    return name, {result["name"]: result["images/s"] for result in results}


def measure(arguments):
    """By pipeline and program, images/s in each round."""
    processors = processors_for(1)
    rates = {}
    for _ in range(arguments.rounds):
        programs = [("DeepShift", ours(arguments, processors))]
        programs += [theirs(arguments, python, processors) for python in arguments.python]
        for program, results in programs:
            for pipeline, rate in results.items():
                rates.setdefault(pipeline, {}).setdefault(program, []).append(rate)
    return rates


def table(pipeline, programs):
    best = max(statistics.median(rates) for program, rates in programs.items() if program != "DeepShift")
    lines = [f"## {pipeline}", "", "| | images/s, median (range) | of the peer's |", "|---|---|---|"]
    for program, rates in programs.items():
        median = statistics.median(rates)
        lines.append(f"| {program} | {median:.0f} ({min(rates):.0f} to {max(rates):.0f}) | {median / best:.2f} |")
    return lines + [""]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", required=True, help="the program bench_image")
    parser.add_argument("--images", required=True, help="folder of JPEG files")
    add_common_options(parser, seconds=1.0)
    parser.set_defaults(python=["/usr/bin/python3"])
    arguments = parser.parse_args()
    count = sum(path.suffix.lower() in (".jpg", ".jpeg") for path in pathlib.Path(arguments.images).iterdir())
    heading = ["# Photographs for a network", "",
               f"{count} photographs, from JPEG files to batches of normalised floats of 224x224 pixels: evaluation resizes the shorter "
               "side to 256 and takes the centre, training takes a random part and flips every other one. One thread, pinned, of "
               f"{processor_name()}, by processor time; {arguments.rounds} interleaved rounds. Training decodes small parts at a fraction "
               "of their size. Made by `tools/compare_image_loading.py`.", ""]
    report(heading, measure(arguments), table, arguments.output)


if __name__ == "__main__":
    main()
