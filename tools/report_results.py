#!/usr/bin/env python3
"""Writes tables of docs/results/ from the logs of runs.

    tools/report_results.py collect     --output FOLDER RUN_FOLDER...
    tools/report_results.py runs        --title TEXT --output FILE.md [--curves] RUN...
    tools/report_results.py overview    --output README.md RUN...
    tools/report_results.py evaluations --title TEXT --output FILE.md LOG...
    tools/report_results.py tables      --output docs/results docs/results/run_tables.json

A RUN is the folder of a run, or a file that `collect` made of one: its logs without the folders of the machine, and
beside it the curves that the run drew, to be kept; --curves shows them. `overview` writes one short table of runs, means
where there are several seeds, between the lines <!-- results --> and <!-- /results --> of a file. `runs`
reads config.json, metrics.jsonl and summary.json of finished runs of train_cifar and train_mnist. `evaluations`
reads logs of tools/evaluate_pretrained.sh: a line "$ command", then what the command printed. `tables` writes the files that
its input lists, relative to the folder of the output, from the collected runs in the folder runs/ there.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import sys

TOP1 = re.compile(r"top-1 (\d+)/(\d+)")


def table(heading, rows):
    lines = ["| " + " | ".join(heading) + " |", "|" + "---|" * len(heading)]
    return lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows]


def percent(correct, total):
    return f"{100 * correct / total:.2f} %"


def read_json(path):
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        sys.exit(f"report_results: {path} not found; a run writes it when it ends")


def read_run(path):
    """Configuration, result and epochs of a run: of its folder, or of a collected file."""
    if path.is_file():
        return read_json(path)
    config, summary = read_json(path / "config.json"), read_json(path / "summary.json")
    metrics = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    return {"config": config, "summary": summary, "metrics": metrics}


def collect(folder, output):
    run = read_run(folder)
    options = run["config"]["options"]
    options["data"] = "DIR"
    if options.get("pretrained"):
        options["pretrained"] = pathlib.Path(options["pretrained"]).name
    output.mkdir(parents=True, exist_ok=True)
    (output / f"{folder.name}.json").write_text(json.dumps(run, indent=1) + "\n")
    picture = folder / "curves.svg"
    if not picture.is_file():
        sys.exit(f"report_results: {picture} not found; a run draws it at the end of each epoch")
    shutil.copyfile(picture, output / f"{folder.name}.svg")


def command(config):
    """The command line that repeats a run; folders of the machine are left out."""
    words = [config["program"]]
    for name, value in sorted(config["options"].items()):
        if value is None or value is False or value == "" or value == []:
            continue
        if value is True:
            words.append(f"--{name}")
        elif isinstance(value, list):
            words.append(f"--{name} " + ",".join(f"{item:g}" for item in value))
        elif name == "data":
            words.append("--data DIR")
        elif name == "pretrained":
            words.append(f"--pretrained {pathlib.Path(value).name}")
        else:
            words.append(f"--{name} {value}")
    return " ".join(words)


def run_row(name, run):
    config, summary = run["config"], run["summary"]
    rate = statistics.median(record["images_per_s"] for record in run["metrics"])
    chosen = "best on held-out images" if summary["chosen_on_held_out_images"] else "last"
    return [name, summary["arch"], summary["dataset"], summary["method"], summary["activation_bits"] or "float",
            config["options"]["seed"], f"{summary['best_epoch']} of {summary['epochs']}, {chosen}",
            percent(summary["correct"], summary["total"]), f"{summary['correct']}/{summary['total']}",
            f"{summary['bits_per_weight']:.2f}", summary["weight_bytes"], f"{summary['seconds']:.0f}", f"{rate:.0f}"]


def report_runs(paths):
    rows, commands, machines = [], [], []
    for path in paths:
        run = read_run(path)
        config = run["config"]
        rows.append(run_row(path.stem, run))
        commands += [f"# {path.stem}", command(config)]
        machine = config["machine"]
        machines.append(f"{machine['cpu']}, {machine['threads']} threads, engine {machine['engine']}, {machine['compiler']}, "
                        f"DeepShift {config['version']}")
    lines = table(["run", "network", "data", "weights", "activations", "seed", "epoch", "top-1", "correct", "bits/weight",
                   "weight bytes", "seconds", "images/s"], rows)
    lines += ["", "Seconds are those of training alone; images/s is the median over epochs. "
              "Made on: " + "; ".join(sorted(set(machines))) + ".", "", "```sh"] + commands + ["```"]
    return lines


def way_of_training(options):
    start = "fine-tuned from float" if options.get("pretrained") else "from scratch"
    return f"{start}, Muon" if options.get("optimizer") == "muon" else start


def overview_cell(summaries):
    """The mean over seeds, and how it came about."""
    correct, total = (sum(summary[name] for summary in summaries) for name in ("correct", "total"))
    seeds = f", {len(summaries)} seeds" if len(summaries) > 1 else ""
    return f"{percent(correct, total)} ({summaries[0]['epochs']}{seeds})"


def report_overview(paths):
    """A row for each network and way of training it, a column for each kind of weights."""
    rows, methods = {}, []
    for path in paths:
        run = read_run(path)
        config, summary = run["config"], run["summary"]
        training = way_of_training(config["options"])
        activations = summary["activation_bits"] or "float"
        if config["options"].get("first-last", "shift") != "shift":
            sys.exit(f"report_results: {path}: first and last layer are {config['options']['first-last']}, but the overview says "
                     "that every layer has the weights of its column")
        cells = rows.setdefault((summary["arch"], summary["dataset"], training, activations), {})
        seeds = cells.setdefault(summary["method"], {})
        seed = config["options"]["seed"]
        if seed in seeds or any(other["epochs"] != summary["epochs"] for other in seeds.values()):
            sys.exit(f"report_results: {path}: there is a run of {summary['arch']}, {summary['method']}, {training} already, with "
                     "this seed or for other epochs")
        seeds[seed] = summary
        if summary["method"] not in methods:
            methods.append(summary["method"])
    lines = table(["network", "data", "training", "activations", *methods],
                  [[*key, *(overview_cell(list(cells[method].values())) if method in cells else "" for method in methods)]
                   for key, cells in rows.items()])
    return lines + ["", "Top-1 on the test images (epochs of training; a mean where there are seeds); every layer has such weights, the first and",
                    "the last too. Muon is `--optimizer muon`.",
                    "Activations I.F are fixed point with I integer bits, the sign among them, and F fraction bits. Fine-tuning starts",
                    "from a trained float network, for resnet20 the published one of [evaluations](docs/results/evaluations.md)."]


def replace_block(path, lines):
    begin, end = "<!-- results -->", "<!-- /results -->"
    before, found, rest = path.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        sys.exit(f"report_results: {path} has no lines {begin} and {end}")
    path.write_text(before + "\n".join([begin, *lines, end]) + after)


def curves(paths, output):
    """The pictures beside collected runs, as the report in `output` links them."""
    lines = []
    for path in paths:
        picture = path.with_suffix(".svg")
        if not picture.is_file():
            sys.exit(f"report_results: {picture} not found; `collect` puts it beside the run")
        link = pathlib.PurePath(os.path.relpath(picture, output.parent)).as_posix()
        lines += ["", f"![loss and accuracy of {path.stem}]({link})"]
    return lines


def report_evaluations(logs):
    rows = []
    for log in logs:
        current = None
        for line in log.read_text().splitlines():
            if line.startswith("$ "):
                current = line[2:]
            elif current and TOP1.search(line):
                correct, total = map(int, TOP1.search(line).groups())
                rows.append([f"`{current}`", f"{correct}/{total}", percent(correct, total)])
    if not rows:
        sys.exit("report_results: no line \"top-1 CORRECT/TOTAL\" after a line \"$ command\" in " + ", ".join(map(str, logs)))
    return table(["command", "correct", "top-1"], rows)


def write_report(title, note, lines, output):
    lines = [f"# {title}", ""] + ([note, ""] if note else []) + lines
    lines += ["", "Made by `tools/report_results.py` from logs.", ""]
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text("\n".join(lines))
    print(f"wrote {output}")


def write_runs(title, note, paths, with_curves, output):
    write_report(title, note, report_runs(paths) + (curves(paths, output) if with_curves else []), output)


def write_tables(listing, folder):
    for name, report in read_json(listing).items():
        paths = [folder / "runs" / f"{run}.json" for run in report["runs"]]
        if report.get("overview"):
            replace_block(folder / name, report_overview(paths))
        else:
            write_runs(report["title"], report["note"], paths, report["curves"], folder / name)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["collect", "runs", "overview", "evaluations", "tables"])
    parser.add_argument("inputs", nargs="+", type=pathlib.Path)
    parser.add_argument("--title", help="of the file; for runs and evaluations")
    parser.add_argument("--note", default="", help="a paragraph below the title")
    parser.add_argument("--curves", action="store_true", help="show the curves of collected runs")
    parser.add_argument("--output", required=True, type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.kind == "collect":
        return [collect(folder, arguments.output) for folder in arguments.inputs]
    if arguments.kind == "overview":
        return replace_block(arguments.output, report_overview(arguments.inputs))
    if arguments.kind == "tables":
        return [write_tables(listing, arguments.output) for listing in arguments.inputs]
    if not arguments.title:
        parser.error("--title is missing")
    if arguments.kind == "runs":
        return write_runs(arguments.title, arguments.note, arguments.inputs, arguments.curves, arguments.output)
    return write_report(arguments.title, arguments.note, report_evaluations(arguments.inputs), arguments.output)


if __name__ == "__main__":
    main()
