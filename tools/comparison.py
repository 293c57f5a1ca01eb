"""What the comparisons with other programs share: options, pinned runs, the name of the machine, files of results."""
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys


def run(command, **environment):
    """Standard output of a program; leaves with its errors when it fails."""
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, env={**os.environ, **environment})
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{result.stderr}")
    return result.stdout


def run_pinned(processors, command, **environment):
    """Standard output of a program that may use these processors alone; leaves with its errors when it fails."""
    return run(["taskset", "--cpu-list", ",".join(map(str, processors))] + command, **environment)


def run_peer(processors, command):
    """The same for a program with OpenMP threads of its own, each on a processor, as ours are."""
    return run_pinned(processors, command, OMP_NUM_THREADS=str(len(processors)), OMP_PROC_BIND="close",
                      OMP_PLACES=",".join(f"{{{processor}}}" for processor in processors))


def processors_for(threads):
    """That many processors of this process."""
    processors = sorted(os.sched_getaffinity(0))
    if len(processors) < threads:
        sys.exit(f"{threads} threads need as many processors; {len(processors)} may be used")
    return processors[:threads]


def processor_name():
    """Virtual machines name their processors loosely; family and model tell generations apart."""
    facts = dict(re.findall(r"^(.*?)\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M))
    if "model name" not in facts:
        return platform.processor() or "unknown processor"
    return f"{facts['model name']} (family {facts.get('cpu family', '?')}, model {facts.get('model', '?')})"


def add_common_options(parser, seconds):
    parser.add_argument("--python", nargs="+", default=[sys.executable], help="Pythons to run the peer with (default: this one)")
    parser.add_argument("--threads", type=int, nargs="+", default=[2], help="numbers of threads (default: 2)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=seconds, help="least time of a measurement of ours")
    parser.add_argument("--output", type=pathlib.Path, help="Markdown file; the raw figures go beside it as .json")


def thread_count(threads):
    return f"{threads} thread{'s' if threads > 1 else ''}"


def report(heading, figures, table, output):
    """Prints the heading and the table of each title, and writes both them and the raw figures."""
    lines = list(heading)
    for title, rounds in figures.items():
        lines += table(title, rounds)
    text = "\n".join(lines)
    print(text)
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text)
        output.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")


def parse_layer_options(parser, program, networks, batches, batch, repetitions, seconds):
    parser.add_argument("--bench", required=True, help=f"the program {program}")
    parser.add_argument("--networks", nargs="+", default=networks,
                        help=f"files of bench/shapes (default: {' '.join(networks)})")
    parser.add_argument("--batch", type=int, choices=batches, default=batch)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=repetitions)
    parser.add_argument("--seconds", type=float, default=seconds, help="least time of a repetition")
    parser.add_argument("--output", type=pathlib.Path, help="Markdown file")
    arguments = parser.parse_args()
    if arguments.repetitions < 1:
        parser.error(f"--repetitions is {arguments.repetitions}, expected at least 1")
    return arguments


def layer_rounds(arguments, processors, network, engines, **environment):
    """What the benchmark says of each case, round by round: {layer: {engine: [result, ...]}}, in the order of its list.

    The engines of a layer run one right after the other, the layers in turn, and that several times: a processor that is slower
    for a while, or whose caches lie further apart, is so for all engines of a layer, and not in every round."""
    environment = {"DEEPSHIFT_THREADS": str(len(processors)), "OMP_NUM_THREADS": str(len(processors)), **environment}
    case = re.compile(rf"^{network}/batch:{arguments.batch}/(.*)/({'|'.join(engines)})(/|$)")
    cases = run_pinned(processors, [arguments.bench, "--benchmark_list_tests"], **environment).splitlines()
    layers = dict.fromkeys(match[1] for match in map(case.match, cases) if match)
    results = {layer: {} for layer in layers}
    for _ in range(arguments.repetitions):
        for layer in layers:
            output = run_pinned(processors, [
                arguments.bench, "--benchmark_format=json", f"--benchmark_min_time={arguments.seconds}",
                f"--benchmark_filter=^{network}/batch:{arguments.batch}/{layer}/({'|'.join(engines)})(/|$)"], **environment)
            for result in json.loads(output)["benchmarks"]:
                if not result.get("error_occurred"):
                    results[layer].setdefault(case.match(result["name"])[2], []).append(result)
    return results


def median_ratio(numerators, denominators):
    """Of what was measured in the same round."""
    return statistics.median(numerator / denominator for numerator, denominator in zip(numerators, denominators, strict=True))


def report_layers(arguments, heading, measure, table):
    """Prints the heading and the table of each network, and writes them."""
    processors = processors_for(arguments.threads)
    lines = list(heading)
    for network in arguments.networks:
        lines += table(network, *measure(arguments, network, processors))
    print("\n".join(lines))
    if arguments.output:
        arguments.output.write_text("\n".join(lines))
