#!/usr/bin/env python3
"""Runs integer nets of several networks and widths in every way that this machine has, and writes that all gave equal integers.

    tools/verify_integer_nets.py --bin build/release/bin --cifar DIR --work DIR [--networks NAME...] [--fresh]
                                 [--output docs/results/integer_equality.md]

Each network is trained for a moment on a few images, lowered, and given to `deepshift verify`: all test images on the fast
kernels, all or a part in plain C++, and a part by the reference. Takes hours: each finished row is written at once, to the
table and to a file of the same name with .json, from which a later call goes on. --fresh begins anew. A row names the commit
that was checked out when the call began: build the programs from it first.
"""
import argparse
import itertools
import json
import pathlib
import re
import subprocess
import sys

from comparison import processor_name

NETWORKS = ["resnet20", "mobilenet_v2_cifar", "resnet18_cifar"]
GENERIC_IMAGES = {"resnet20": 0, "mobilenet_v2_cifar": 0}  # by plain C++; 0: all
FEW_IMAGES = 1000  # of other networks
ACTIVATION_BITS = [8, 16]
WEIGHTS = [("q", 2), ("ps", 2), ("q", 3), ("q", 4), ("ps", 5)]


def run(*command):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{result.stderr}")
    return result.stdout


def model_of(arguments, network, method, bits):
    """A file of the network with weights of so many bits."""
    folder = arguments.work / f"{network}_{method}{bits}"
    if (folder / "config.json").exists() and not (folder / "summary.json").exists():
        run(arguments.bin / "train_cifar", "--resume", folder)  # a call that was stopped has begun it
    elif not (folder / "config.json").exists():
        run(arguments.bin / "train_cifar", "--data", arguments.cifar, "--arch", network, "--method", method, "--weight-bits", bits,
            "--epochs", 1, "--limit-train", 512, "--output", folder)
    return folder / "last.safetensors"


def verified(arguments, commit, network, method, bits, activation_bits):
    """What `deepshift verify` printed: lines of ways, and the checksum of the results for all images."""
    net = arguments.work / f"{network}_{method}{bits}_{activation_bits}.safetensors"
    run(arguments.bin / "deepshift", "lower", model_of(arguments, network, method, bits), net, "--data", arguments.cifar,
        "--activation-bits", activation_bits)
    output = run(arguments.bin / "deepshift", "verify", net, "--data", arguments.cifar,
                 "--generic-images", GENERIC_IMAGES.get(network, FEW_IMAGES))
    ways = re.findall(r"^(.*?)\s+(\d+) images .* equal$", output, re.M)
    images = {way.split()[0]: int(count) for way, count in ways}
    return {"network": network, "weights": f"{method}{bits}", "bits": activation_bits, "ways": len(ways), "images": images,
            "checksum": re.search(r"checksum is (\w+)", output)[1], "processor": processor_name(),
            "commit": commit}


def table(rows):
    lines = ["# Equal integers", "",
             "Integer nets on the test images of CIFAR-10, in every way of `deepshift verify`: each set of kernels with batches of "
             "1, 7 and 128 on one thread and on all, and by shifts and additions alone. In each row all results of all ways were "
             "equal, also to those of the reference; the checksum is that of the results for all 10,000 images. The networks were "
             f"trained for a moment. {len(rows)} of {len(NETWORKS) * len(WEIGHTS) * len(ACTIVATION_BITS)} nets have run so far. "
             "Made by `tools/verify_integer_nets.py`.", "",
             "| network | weights | values, bits | ways | images, AVX-512 and AVX2 | images, plain C++ | images, reference | checksum | "
             "commit | processor |",
             "|---|---|---|---|---|---|---|---|---|---|"]
    for row in rows:
        images = row["images"]
        lines.append(f"| {row['network']} | {row['weights']} | {row['bits']} | {row['ways']} | {images['avx2']} | {images['generic']} | "
                     f"{images['reference']} | {row['checksum']} | {row['commit']} | {row['processor']} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--cifar", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder of models and nets")
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--fresh", action="store_true", help="forget the rows that earlier calls have made")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("docs/results/integer_equality.md"))
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    commit = run("git", "describe", "--always", "--dirty").strip()
    done = arguments.output.with_suffix(".json")
    rows = json.loads(done.read_text()) if done.exists() and not arguments.fresh else []
    for network, (method, bits), activation_bits in itertools.product(arguments.networks, WEIGHTS, ACTIVATION_BITS):
        key = (network, f"{method}{bits}", activation_bits)
        if any((row["network"], row["weights"], row["bits"]) == key for row in rows):
            continue
        rows.append(verified(arguments, commit, network, method, bits, activation_bits))
        done.write_text(json.dumps(rows, indent=1) + "\n")
        arguments.output.write_text(table(rows))
        print(f"{', '.join(map(str, key))}: {rows[-1]['ways']} ways are equal", flush=True)


if __name__ == "__main__":
    main()
