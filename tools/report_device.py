#!/usr/bin/env python3
"""Makes docs/results/cuda.md from the logs of tools/device_check.sh.

    tools/report_device.py LOGS --output docs/results/cuda.md [--note TEXT]

The figures go beside the table as .json. What there is no log of is left out.
"""
import argparse
import json
import pathlib
import re
import statistics
import sys


def read(folder, name):
    path = folder / f"{name}.log"
    return path.read_text() if path.exists() else None


def json_lines(text):
    return [json.loads(line) for line in (text or "").splitlines() if line.startswith("{")]


def bench(text):
    """Milliseconds of a batch by the fastest kernels, and by the plain shift kernel."""
    whole = re.search(r"(\d+) images in ([\d.]+) ms", text)
    shifts = re.search(r"shifts and additions alone: ([\d.]+) ms", text)
    layers = re.findall(r"^(\S*) +(\w+) +([\d.]+) us  (.*)$", text, re.M)
    return {"batch": int(whole[1]), "milliseconds": float(whole[2]), "shift_milliseconds": float(shifts[1]),
            "layers": [{"place": place, "kind": kind, "microseconds": float(time), "kernel": kernel}
                       for place, kind, time, kernel in layers]}


def verified(text):
    ways = re.findall(r"^(.*\S) +(\d+) images +[\d.]+ s  equal$", text, re.M)
    checksum = re.search(r"their checksum is (\w+)", text)
    return {"ways": [{"way": re.sub(r" +", " ", way), "images": int(images)} for way, images in ways],
            "checksum": checksum[1] if checksum else None}


def collect(folder):
    figures = {"machine": (read(folder, "machine") or "unknown device").splitlines(), "nets": {}, "equal": {}}
    tests = read(folder, "tests") or ""
    figures["tests"] = {"passed": len(re.findall(r"^\[ +OK \]", tests, re.M)),
                        "failed": len(set(re.findall(r"^\[ +FAILED +\] (\S+)", tests, re.M)))}
    sanitizer = re.search(r"ERROR SUMMARY: (\d+) error", read(folder, "sanitizer") or "")
    figures["sanitizer_errors"] = int(sanitizer[1]) if sanitizer else None
    for path in sorted(folder.glob("bench_*.log")):
        figures["nets"][path.stem.removeprefix("bench_")] = bench(path.read_text())
    figures["torch"] = json_lines(read(folder, "torch"))
    figures["linear"] = json_lines(read(folder, "linear"))
    figures["ladder"] = [row for row in json_lines(read(folder, "ladder")) if "times_first" in row]
    figures["training"] = {path.stem: training(path.read_text())
                           for path in sorted([*folder.glob("train_*.log"), *folder.glob("accuracy_*.log")])}
    figures["torch_training"] = [row for path in sorted(folder.glob("torch_train_*.log"))
                                 for row in json_lines(path.read_text())]
    for path in sorted(folder.glob("verify_*.log")):
        figures["equal"][path.stem.removeprefix("verify_")] = verified(path.read_text())
    return figures


def latency_table(figures):
    peers = {row["batch"]: row for row in figures["torch"]}
    lines = ["## ResNet18, 224x224", "",
             "Integer nets with activations of 8 bits and packed weights, one CUDA graph; PyTorch in fp16, channels last, batch "
             "norm folded, one CUDA graph. Pixels lie on the device. Medians.", "",
             "| net | batch | ms | images/s | PyTorch fp16, ms | of PyTorch's latency | plain shift kernel, ms | times as fast |",
             "|---|---|---|---|---|---|---|---|"]
    for name, net in figures["nets"].items():
        peer = peers.get(net["batch"])
        milliseconds = net["milliseconds"]
        beside = (f"{peer['milliseconds']:.3f} | {milliseconds / peer['milliseconds']:.2f}" if peer else " | ")
        lines.append(f"| PS, {name[2]} bits | {net['batch']} | {milliseconds:.3f} | {1000 * net['batch'] / milliseconds:.0f} | "
                     f"{beside} | {net['shift_milliseconds']:.2f} | {net['shift_milliseconds'] / milliseconds:.0f} |")
    return lines + [""]


def linear_table(figures):
    copies = [row["copy_gigabytes_a_second"] for row in figures["linear"] if "copy_gigabytes_a_second" in row]
    if not copies:
        return []
    lines = ["## Linear layers", "",
             f"Packed codes on u8 values beside cuBLASLt in bf16 at the fastest of its suggestions; weights rotate over 256 MiB. A "
             f"copy on the device moves {copies[0]:.0f} GB/s.", "",
             "| inputs x outputs | batch | bits | us | cuBLASLt bf16, us | times as fast | share of the copy's bandwidth |",
             "|---|---|---|---|---|---|---|"]
    for row in figures["linear"]:
        if "bits" in row:
            lines.append(f"| {row['inputs']} x {row['outputs']} | {row['batch']} | {row['bits']} | "
                         f"{row['packed_microseconds']:.2f} | {row['bf16_microseconds']:.2f} | {row['ratio']:.2f} | "
                         f"{100 * row['share_of_copy']:.0f} % |")
    return lines + [""]


def training(text):
    """Images a second of the epochs but the first, and what the run ended with."""
    rates = [float(rate) for rate in re.findall(r"^epoch +\d+/.* ([\d.]+) images/s, [\d.]+ % waiting", text, re.M)]
    waiting = [float(share) for share in re.findall(r"images/s, ([\d.]+) % waiting", text)]
    end = re.search(r"top-1 (\d+)/(\d+) \(.*trained in ([\d:]+)", text)
    return {"images_a_second": statistics.median(rates[1:] or rates), "waiting_percent": statistics.median(waiting),
            "correct": int(end[1]), "images": int(end[2]), "trained_in": end[3]}


def training_table(figures):
    runs = figures["training"]
    if not runs:
        return []
    lines = ["## Training", "",
             "ResNet18 for CIFAR, batches of 512: whole epochs of `train_cifar`, with loading, augmentation and checks, beside "
             "PyTorch's step alone (channels last, a CUDA graph, bf16 by autocast) on images that lie on the device. Medians.", "",
             "| precision | weights | images/s | of float's step | waiting for data | PyTorch float, images/s | of PyTorch's rate |",
             "|---|---|---|---|---|---|---|"]
    for precision in ("f32", "tf32", "bf16"):
        peer = next((row for row in figures["torch_training"] if row["precision"] == precision), None)
        plain = runs.get(f"train_float_{precision}")
        for method in ("float", "q", "ps"):
            run = runs.get(f"train_{method}_{precision}")
            if run is None:
                continue
            rate = run["images_a_second"]
            share = f"{plain['images_a_second'] / rate:.2f}" if plain else ""
            beside = f"{peer['images_per_s']:.0f} | {rate / peer['images_per_s']:.2f}" if peer else " | "
            lines.append(f"| {precision} | {method} | {rate:.0f} | {share} | "
                         f"{run['waiting_percent']:.1f} % | {beside} |")
    lines += ["", "| run | top-1 | trained in |", "|---|---|---|"]
    for name, run in runs.items():
        if name.startswith("accuracy_"):
            lines.append(f"| {name.removeprefix('accuracy_')}, tf32, 20 epochs of Muon | {100 * run['correct'] / run['images']:.2f} % | "
                         f"{run['trained_in']} |")
    return lines + [""]


def ladder_table(figures):
    if not figures["ladder"]:
        return []
    lines = ["## From the paper's kernel to tensor cores", "",
             "All convolutions and the linear layer of ResNet18 at 224x224, one kernel after the other (bench/ladder); medians.", "",
             "| rung | batch | ms | times as fast as the first |", "|---|---|---|---|"]
    for row in figures["ladder"]:
        lines.append(f"| {row['rung']} | {row['batch']} | {row['milliseconds']:.3f} | {row['times_first']:.1f} |")
    return lines + [""]


def equality_table(figures):
    if not figures["equal"]:
        return []
    lines = ["## Equal integers", "",
             "`deepshift verify`: the logits of each way of running a net, compared one by one.", "",
             "| net | ways and images | differing logits |", "|---|---|---|"]
    for name, net in figures["equal"].items():
        ways = "; ".join(f"{way['way']}: {way['images']}" for way in net["ways"])
        lines.append(f"| {name} | {ways} | 0 |")
    return lines + [""]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", type=pathlib.Path)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--note", default="", help="what a reader has to know of this run")
    arguments = parser.parse_args()
    if not arguments.logs.is_dir():
        sys.exit(f"report_device.py: {arguments.logs}: no such folder")

    figures = collect(arguments.logs)
    tests = figures["tests"]
    errors = figures["sanitizer_errors"]
    lines = ["# On a CUDA device", "",
             f"{', driver '.join(figures['machine'][0].split(', '))}; {figures['machine'][-1]}. Made by `tools/report_device.py` "
             "from logs of the commands of `tools/device_check.sh`.", "", *([arguments.note, ""] if arguments.note else []),
             f"Tests of CUDA kernels: {tests['passed']} passed, {tests['failed']} failed. "
             + (f"compute-sanitizer (memcheck): {errors} errors." if errors is not None else ""), "",
             *latency_table(figures), *linear_table(figures), *ladder_table(figures), *training_table(figures),
             *equality_table(figures)]
    arguments.output.write_text("\n".join(lines))
    arguments.output.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
