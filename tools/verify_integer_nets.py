#!/usr/bin/env python3
"""Runs integer nets of several networks and widths in every way that this machine has, and writes that all gave equal integers.

    tools/verify_integer_nets.py --bin build/release/bin --cifar DIR [--output docs/results/integer_equality.md]

Each network is trained for a moment on a few images, lowered, and given to `deepshift verify`: all test images on the fast
kernels, a part in plain C++ and by the reference. Takes hours; finished rows are kept in --work and not repeated.
"""
import argparse
import json
import pathlib
import re
import subprocess
import sys

NETWORKS = ["resnet20", "mobilenet_v2_cifar", "resnet18_cifar"]
IMAGES = {"avx512": 0, "avx2": 0, "generic": 1000}  # 0: all
WEIGHTS = [("q", 2), ("ps", 2), ("q", 3), ("q", 4), ("ps", 5)]


def run(*command):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{result.stderr}")
    return result.stdout


def model_of(arguments, network, method, bits):
    """A file of the network with weights of so many bits."""
    folder = arguments.work / f"{network}_{method}{bits}"
    if not (folder / "summary.json").exists():
        run(arguments.bin / "train_cifar", "--data", arguments.cifar, "--arch", network, "--method", method, "--weight-bits", bits,
            "--epochs", 1, "--limit-train", 512, "--output", folder)
    return folder / "last.safetensors"


def verified(arguments, network, method, bits, activation_bits):
    """What `deepshift verify` printed: lines of ways, and the checksums."""
    name = f"{network}_{method}{bits}_{activation_bits}"
    done = arguments.work / f"{name}.json"
    if done.exists():
        return json.loads(done.read_text())
    net = arguments.work / f"{name}.safetensors"
    run(arguments.bin / "deepshift", "lower", model_of(arguments, network, method, bits), net, "--data", arguments.cifar,
        "--activation-bits", activation_bits)
    result = {"ways": [], "checksums": {}}
    for isa, images in IMAGES.items():
        output = run(arguments.bin / "deepshift", "verify", net, "--data", arguments.cifar, "--isa", isa, "--images", images)
        result["ways"] += re.findall(r"^(.*?)\s+(\d+) images .* equal$", output, re.M)
        result["checksums"][isa] = re.search(r"checksum is (\w+)", output)[1]
    if result["checksums"]["avx512"] != result["checksums"]["avx2"]:
        sys.exit(f"{name}: checksums differ: {result['checksums']}")
    done.write_text(json.dumps(result))
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--cifar", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder of models, nets and finished rows")
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--output", type=pathlib.Path)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    lines = ["# Equal integers", "",
             "Integer nets on the test images of CIFAR-10, in every way of `deepshift verify`: each set of kernels with batches of "
             "1, 7 and 128 on one thread and on all, and by shifts and additions alone. In each row all results of all ways were "
             "equal, also to those of the reference; the checksum is that of the results for all 10,000 images. The networks were "
             "trained for a moment. Made by `tools/verify_integer_nets.py`.", "",
             "| network | weights | values, bits | ways | images, AVX-512 and AVX2 | images, plain C++ | images, reference | checksum |",
             "|---|---|---|---|---|---|---|---|"]
    for network in arguments.networks:
        for method, bits in WEIGHTS:
            for activation_bits in (8, 16):
                result = verified(arguments, network, method, bits, activation_bits)
                images = {way.split()[0]: count for way, count in result["ways"]}
                lines.append(f"| {network} | {method}{bits} | {activation_bits} | {len(result['ways'])} | {images['avx2']} | "
                             f"{images['generic']} | {images['reference']} | {result['checksums']['avx512']} |")
                print(lines[-1], flush=True)
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
