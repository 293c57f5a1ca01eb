#!/usr/bin/env python3
"""Converts a pretrained ImageNet network without training in several ways, and makes the table of what is left of it.

    tools/compare_imagenet_conversions.py --deepshift build/release/bin/deepshift --images FOLDER --model FILE --arch NAME
                                          [--calibration-images 100] [--seeds 1 2 3 4 5]
                                          [--output docs/results/conversion_imagenet.md]

FOLDER holds labels.csv and the photographs. Each seed chooses those that the conversion looks at, without their labels;
the others are evaluated. Figures of all seeds are added up.
"""
import argparse
import csv
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile

from comparison import run

WAYS = [("only rounded", None, ["q5", "q4", "ps4", "q3"]), ("converted", [], ["q5", "q4", "ps4", "q3"]),
        ("converted, two-term codes in the first and the last layer", ["--two-term", "ends"], ["q5", "q4"]),
        ("converted, as an integer net", "net", ["q5", "q4", "ps4"])]


class Split:
    """Two folders of photographs: to look at, and to evaluate on."""

    def __init__(self, images, folder, count, seed):
        rows = list(csv.DictReader((images / "labels.csv").open(newline="")))
        random.Random(seed).shuffle(rows)
        self.calibration = self.write(images, folder / "calibration", rows[:count])
        self.evaluation = self.write(images, folder / "evaluation", rows[count:])
        self.size = len(rows) - count

    @staticmethod
    def write(images, folder, rows):
        folder.mkdir()
        (folder / "images").symlink_to((images / "images").resolve())
        with (folder / "labels.csv").open("w", newline="") as file:
            table = csv.DictWriter(file, rows[0].keys())
            table.writeheader()
            table.writerows(rows)
        return folder


class Comparison:
    def __init__(self, arguments, folder):
        self.arguments = arguments
        self.folder = folder

    def evaluate(self, model, split):
        """Right answers; none where the outputs overflow."""
        arch = ["--arch", self.arguments.arch] if model == self.arguments.model else []
        command = [self.arguments.deepshift, "eval", model, "--data", split.evaluation, *arch]
        result = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        found = re.search(r"top-1 (\d+)/(\d+).*\ntop-5 (\d+)/", result.stdout)
        if not found and "not finite" in result.stderr:
            return {"top1": 0, "top5": 0}
        if not found or int(found[2]) != split.size:
            sys.exit(f"{' '.join(map(str, command))} failed:\n{result.stdout}{result.stderr}")
        return {"top1": int(found[1]), "top5": int(found[3])}

    def convert(self, kind, options, split):
        converted = self.folder / "converted.safetensors"
        count = min(self.arguments.calibration_images, len(list(csv.DictReader((split.calibration / "labels.csv").open()))))
        command = [self.arguments.deepshift, "convert", self.arguments.model, converted, "--arch", self.arguments.arch, "--method",
                   kind[:-1], "--weight-bits", kind[-1]]
        if options is not None:
            command += ["--calibrate", split.calibration, "--calibration-images", count, *(options if options != "net" else [])]
        run(command)
        result = converted
        if options == "net":
            result = self.folder / "net.safetensors"
            run([self.arguments.deepshift, "lower", converted, result, "--data", split.calibration, "--calibration-images", count])
        return self.evaluate(result, split)

    def of_seed(self, seed):
        rows = []
        with tempfile.TemporaryDirectory() as folder:
            split = Split(self.arguments.images, pathlib.Path(folder), self.arguments.calibration_images, seed)
            rows.append({"way": "float", "kind": "float", "total": split.size, **self.evaluate(self.arguments.model, split)})
            for way, options, kinds in WAYS:
                for kind in kinds:
                    rows.append({"way": way, "kind": kind, "total": split.size, **self.convert(kind, options, split)})
                    print(seed, rows[-1], file=sys.stderr)
        return rows


def report(figures, arguments):
    """Sums over the seeds."""
    sums = {}
    for row in (row for rows in figures.values() for row in rows):
        total = sums.setdefault((row["way"], row["kind"]), {"top1": 0, "top5": 0, "total": 0})
        for key in total:
            total[key] += row[key]
    reference = sums[("float", "float")]
    lines = ["# Conversion of an ImageNet network without training", "",
             f"{arguments.arch}, converted with `deepshift convert --calibrate` on {arguments.calibration_images} photographs, whose labels are not "
             f"used, and evaluated on the others: {len(figures)} choices of the photographs, right answers added up. Every layer has weights that "
             "are powers of two, the first and the last too. The integer nets have activations of 8 bits. Made by "
             "`tools/compare_imagenet_conversions.py`.", "",
             "| weights | | top-1 | of the float network's | top-5 |", "|---|---|---|---|---|",
             f"| float | | {reference['top1']}/{reference['total']} | | {reference['top5']}/{reference['total']} |"]
    for (way, kind), total in sums.items():
        if kind == "float":
            continue
        lines.append(f"| {kind[:-1].upper()}, {kind[-1]} bits | {way} | {total['top1']}/{total['total']} | "
                     f"{total['top1'] / reference['top1']:.3f} | {total['top5']}/{total['total']} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deepshift", type=pathlib.Path, required=True)
    parser.add_argument("--images", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--arch", required=True)
    parser.add_argument("--calibration-images", type=int, default=100)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("docs/results/conversion_imagenet.md"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        comparison = Comparison(arguments, pathlib.Path(folder))
        figures = {seed: comparison.of_seed(seed) for seed in arguments.seeds}
    arguments.output.write_text(report(figures, arguments))
    arguments.output.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
