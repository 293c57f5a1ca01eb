#!/usr/bin/env python3
"""Lowers networks to integer nets with every choice in turn, and writes what each costs on the test images.

    tools/report_lowering.py --bin build/release/bin --cifar DIR --weights DIR [--tuned RUN...]
                             [--output docs/results/integer_nets.md]

--cifar holds CIFAR-10, --weights cifar10_resnet20.safetensors and cifar10_resnet56.safetensors, which are rounded as they are;
RUN is the folder of a training with rounded activations (train_cifar --activation-bits 8). Takes a few minutes.
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

NETWORKS = ["resnet20", "resnet56"]
WEIGHTS = [("q", 4), ("q", 5), ("ps", 4), ("ps", 5)]
CHOICES = [("8 bits", []), ("4 digits", ["--digits", "4"]), ("2 digits", ["--digits", "2"]), ("1 digit", ["--digits", "1"]),
           ("percentile", ["--formats", "percentile"]), ("minmax", ["--formats", "minmax"]),
           ("input 8 bits", ["--input-bits", "8"]), ("16 bits, full", ["--activation-bits", "16", "--digits", "full"])]


def run(*command):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{result.stderr}")
    return result.stdout


def correct(output):
    """The number of right answers that `deepshift eval` prints."""
    return int(re.search(r"(\d+)/\d+", output)[1])


def measure(arguments, folder, model):
    """Right answers of the model as it was trained, and of its integer nets by choice."""
    program, net = arguments.bin / "deepshift", folder / "net.safetensors"
    figures = [correct(run(program, "eval", model, "--data", arguments.cifar))]
    for _, options in CHOICES:
        run(program, "lower", model, net, "--data", arguments.cifar, *options)
        figures.append(correct(run(program, "eval", net, "--data", arguments.cifar)))
    return figures


def rounded(arguments, folder, network, method, bits):
    """The published network, its weights rounded."""
    model = folder / "rounded.safetensors"
    run(arguments.bin / "deepshift", "convert", arguments.weights / f"cifar10_{network}.safetensors", model, "--arch", network,
        "--method", method, "--weight-bits", bits)
    return model


def heading(first, second):
    return [f"| {first} | {second} | " + " | ".join(name for name, _ in CHOICES) + " |", "|---" * (2 + len(CHOICES)) + "|"]


def row(name, figures):
    base, *rest = figures
    line = f"| {name} | {base} | " + " | ".join(f"{figure - base:+d}" for figure in rest) + " |"
    print(line, flush=True)
    return line


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--cifar", type=pathlib.Path, required=True)
    parser.add_argument("--weights", type=pathlib.Path, required=True)
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--tuned", type=pathlib.Path, nargs="+", default=[])
    parser.add_argument("--output", type=pathlib.Path)
    arguments = parser.parse_args()
    lines = ["# Integer nets on the test images of CIFAR-10", "",
             "Right answers of 10,000: in the arithmetic of training, and what the integer net gains or loses. 8 bits: u8 and i8 "
             "values, formats by least squares on 512 training images, multipliers of three digits, 16-bit input; the other "
             "columns change one thing. Made by `tools/report_lowering.py`.", "",
             "Published float networks whose weights were rounded to powers of two, without any training:", "",
             *heading("network", "float")]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for network in arguments.networks:
            for method, bits in WEIGHTS:
                lines.append(row(f"{network} {method}{bits}",
                                 measure(arguments, folder, rounded(arguments, folder, network, method, bits))))
        if arguments.tuned:
            lines += ["", "Trained with rounded activations:", "", *heading("run", "in training")]
        for run_folder in arguments.tuned:
            lines.append(row(run_folder.name, measure(arguments, folder, run_folder / "best.safetensors")))
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
