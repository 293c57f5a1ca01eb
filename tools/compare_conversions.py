#!/usr/bin/env python3
"""Converts pretrained CIFAR-10 networks without training in many ways, evaluates them, and makes the table of it.

    tools/compare_conversions.py --deepshift build/release/bin/deepshift --data CIFAR10 --weights FOLDER
                                 [--archs resnet20 resnet56] [--seeds 1 2 3] [--output docs/results/conversion.md]

FOLDER holds cifar10_ARCH.safetensors. Each figure is the top-1 of all 10,000 test images; the labels of the training images
that a conversion looks at are not used. Seeds choose those images.
"""
import argparse
import json
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

from comparison import run

FORMATS = ["q5", "q4", "ps5", "ps4", "q3", "ps3", "q2", "ps2"]
ABLATION = [("only rounded", None), ("means and variances of the outputs matched (--compensation statistics)", ["--compensation", "statistics"]),
            ("errors handed on to later weights, the float weights the target (--compensation float-target)", ["--compensation", "float-target"]),
            ("in full (--compensation full)", []), ("in full, 64 images", ["--calibration-images", "64"]),
            ("in full, 16 images", ["--calibration-images", "16"]),
            ("in full, without exponent offsets", ["--offset-bits", "0"]),
            ("in full, exponent offsets for all", ["--offset-bits", "7"]),
            ("in full, two terms in the first and the last layer", ["--two-term", "ends"])]


class Comparison:
    def __init__(self, arguments, folder):
        self.arguments = arguments
        self.converted = folder / "converted.safetensors"
        self.net = folder / "net.safetensors"

    def convert(self, arch, kind, options, seed=1):
        """Seconds of the conversion; None where no images are looked at."""
        method, bits = re.fullmatch(r"(q|ps)(\d)", kind).groups()
        command = [self.arguments.deepshift, "convert", self.arguments.weights / f"cifar10_{arch}.safetensors",
                   self.converted, "--arch", arch, "--method", method, "--weight-bits", bits]
        if options is not None:
            command += ["--calibrate", self.arguments.data, "--seed", seed, *options]
        seconds = re.search(r"([\d.]+) s in all", run(command))
        return float(seconds[1]) if seconds else None

    def evaluate(self, file):
        """None where nothing is left of the network: its outputs overflow."""
        command = [self.arguments.deepshift, "eval", file, "--data", self.arguments.data]
        result = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        found = re.search(r"top-1 (\d+)/10000", result.stdout)
        if not found and "not finite" not in result.stderr:
            sys.exit(f"{' '.join(map(str, command))} failed:\n{result.stderr}")
        return int(found[1]) if found else None

    def integer_net(self):
        run([self.arguments.deepshift, "lower", self.converted, self.net, "--data", self.arguments.data])
        return self.evaluate(self.net)

    def of_kind(self, arch, kind):
        rows = []
        for seed in self.arguments.seeds:
            seconds = self.convert(arch, kind, [], seed)
            rows.append({"seed": seed, "seconds": seconds, "top1": self.evaluate(self.converted), "integer": self.integer_net()})
            print(arch, kind, rows[-1], file=sys.stderr)
        self.convert(arch, kind, None)
        return {"plain": self.evaluate(self.converted), "runs": rows}

    def ablation(self, arch, kind):
        rows = {}
        for name, options in ABLATION:
            self.convert(arch, kind, options)
            rows[name] = self.evaluate(self.converted)
            print(arch, kind, name, rows[name], file=sys.stderr)
        return rows


def one(value):
    return "not finite" if value is None else f"{value / 100:.2f} %"


def percent(values):
    if None in values:
        return one(None)
    mean = f"{statistics.mean(values) / 100:.2f} %"
    return mean if len(set(values)) == 1 else f"{mean} ({min(values) / 100:.2f} to {max(values) / 100:.2f})"


def report(figures, seeds):
    lines = ["# Conversion without training", "",
             "Pretrained CIFAR-10 networks whose weights become powers of two with `deepshift convert --calibrate`: every layer, the first "
             f"and the last too; 512 training images, whose labels are not used, chosen by seeds {', '.join(map(str, seeds))}: mean and "
             "range of the top-1 of all 10,000 test images, and the median of the seconds. The last column is the integer net of it, activations of 8 bits. "
             "Made by `tools/compare_conversions.py`.", ""]
    for arch, of_arch in figures.items():
        lines += [f"## {arch}, float {of_arch['float'] / 100:.2f} %", "",
                  "| weights | only rounded | converted | seconds | as an integer net |", "|---|---|---|---|---|"]
        for kind, result in of_arch["kinds"].items():
            runs = result["runs"]
            lines.append(f"| {kind[:-1].upper()}, {kind[-1]} bits | {one(result['plain'])} | "
                         f"{percent([row['top1'] for row in runs])} | {statistics.median(row['seconds'] for row in runs):.1f} | "
                         f"{percent([row['integer'] for row in runs])} |")
        lines.append("")
        ablations = of_arch["ablation"]
        if ablations:
            lines += ["What it consists of, seed 1:", "", "| | " + " | ".join(f"{kind[:-1].upper()}, {kind[-1]} bits" for kind in ablations) + " |",
                      "|---|" + "---|" * len(ablations)]
            for name in next(iter(ablations.values())):
                lines.append(f"| {name} | " + " | ".join(one(rows[name]) for rows in ablations.values()) + " |")
            lines.append("")
    return "\n".join(lines)


def summary(figures):
    """The table of the README."""
    kinds = [kind for kind in ["q5", "q4", "ps4", "q3", "ps3"] if all(kind in of["kinds"] for of in figures.values())]
    lines = ["| network | float | " + " | ".join(f"{kind[:-1].upper()}, {kind[-1]} bits" for kind in kinds) + " | seconds |",
             "|---|---|" + "---|" * (len(kinds) + 1)]
    for arch, of_arch in figures.items():
        rows = [of_arch["kinds"][kind]["runs"] for kind in kinds]
        means = [f"{statistics.mean(row['top1'] for row in runs) / 100:.2f} %" for runs in rows]
        seconds = statistics.median(row["seconds"] for runs in rows for row in runs)
        lines.append(f"| {arch} | {of_arch['float'] / 100:.2f} % | {' | '.join(means)} | {seconds:.0f} |")
    return "\n".join(lines)


def replace_summary(path, figures):
    begin, end = "<!-- conversion -->\n", "<!-- /conversion -->"
    text = path.read_text()
    if begin not in text or end not in text:
        sys.exit(f"compare_conversions.py: {path} has no {begin.strip()} and {end}")
    head, rest = text.split(begin, 1)
    path.write_text(head + begin + summary(figures) + "\n" + end + rest.split(end, 1)[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deepshift", type=pathlib.Path, required=True, help="the program")
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder of CIFAR-10")
    parser.add_argument("--weights", type=pathlib.Path, required=True, help="folder of the float networks")
    parser.add_argument("--archs", nargs="+", default=["resnet20", "resnet56"])
    parser.add_argument("--kinds", nargs="+", default=FORMATS, help=f"(default: {' '.join(FORMATS)})")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--output", type=pathlib.Path, help="Markdown file; the raw figures go beside it as .json")
    parser.add_argument("--readme", type=pathlib.Path, help="file whose summary is replaced")
    parser.add_argument("--figures", type=pathlib.Path, help="raw figures of an earlier run, instead of a new one")
    arguments = parser.parse_args()

    figures = json.loads(arguments.figures.read_text()) if arguments.figures else {}
    with tempfile.TemporaryDirectory() as folder:
        comparison = Comparison(arguments, pathlib.Path(folder))
        for index, arch in enumerate(arguments.archs if not figures else []):
            output = run([arguments.deepshift, "eval", arguments.weights / f"cifar10_{arch}.safetensors", "--arch", arch, "--data",
                          arguments.data])
            figures[arch] = {"float": int(re.search(r"top-1 (\d+)/10000", output)[1]),
                             "kinds": {kind: comparison.of_kind(arch, kind) for kind in arguments.kinds},
                             "ablation": {kind: comparison.ablation(arch, kind) for kind in ["q4", "ps4", "q3"]} if index == 0 else {}}
    text = report(figures, arguments.seeds)
    print(text)
    if arguments.output:
        arguments.output.write_text(text)
        arguments.output.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")
    if arguments.readme:
        replace_summary(arguments.readme, figures)


if __name__ == "__main__":
    main()
