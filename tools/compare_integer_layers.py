#!/usr/bin/env python3
"""Compares the layers of integer nets with oneDNN's in 8 bits and OpenBLAS's in float32.

    tools/compare_integer_layers.py --bench build/release/bin/bench_integer [--networks NAME...] [--batch N] [--threads N]
                                    [--isa avx2] [--output FILE.md]

The benchmark (built where oneDNN is installed) runs the engines of a layer one after the other, the layers in turn, several times.
Figures are medians: of times, and of the ratios of each round. --isa keeps our kernels to AVX2 and compares the integer ones with
the float ones.
"""
import argparse
import statistics

from comparison import layer_rounds, median_ratio, parse_layer_options, processor_name, report_layers, thread_count

OWN = ["ps4", "q4", "ps2", "ps5"]
PEERS = {"onednn": "oneDNN s8", "openblas": "OpenBLAS f32"}
AVX2_PEERS = {"direct": "direct f32", "native": "native f32"}


def measure(arguments, network, processors):
    """{layer: {engine: microseconds of each round}} and how many convolutions of the network each layer stands for."""
    isa = {"DEEPSHIFT_ISA": arguments.isa} if arguments.isa else {}
    results = layer_rounds(arguments, processors, network, OWN + list(AVX2_PEERS if arguments.isa else PEERS), **isa)
    times = {layer: {engine: [result["real_time"] for result in rounds] for engine, rounds in engines.items()}
             for layer, engines in results.items()}
    return times, {layer: int(engines[OWN[0]][0]["layers"]) for layer, engines in results.items()}


def cell(times, engine, peers):
    if engine not in times:
        return [""] * (1 + len(peers))
    return [f"{statistics.median(times[engine]):.1f}"] + [
        f"{median_ratio(times[peer], times[engine]):.2f}" if peer in times else "" for peer in peers]


def total(times, layers, peers):
    """Of all convolutions of the network, by engine and round; without those that lack a layer."""
    engines = [engine for engine in OWN + list(peers) if all(engine in layer for layer in times.values())]
    return {engine: [sum(round_times) for round_times in zip(*([time * count for time in times[layer][engine]]
                                                              for layer, count in layers.items()))] for engine in engines}


def table_beside(peers):
    def table(network, times, layers):
        header = ["layer", "number"] + [f"{name}, us" for name in peers.values()]
        for engine in OWN:
            header += [f"{engine}, us"] + [f"{name} / {engine}" for name in peers.values()]
        lines = [f"## {network}", "", "| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
        rows = [(layer, count, times[layer]) for layer, count in layers.items()]
        if network != "linear":
            rows.append(("all", sum(layers.values()), total(times, layers, peers)))
        for layer, count, of_engine in rows:
            cells = [layer, str(count)] + [cell(of_engine, peer, [])[0] for peer in peers]
            for engine in OWN:
                cells += cell(of_engine, engine, peers)
            lines.append("| " + " | ".join(cells) + " |")
        return lines + [""]
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isa", choices=["avx2"], help="instruction set (default: the processor's)")
    arguments = parse_layer_options(parser, "bench_integer", ["resnet20", "resnet18", "mobilenet_v2_cifar", "linear"],
                                    batches=[1, 8, 128], batch=1, repetitions=9, seconds=0.05)
    peers = AVX2_PEERS if arguments.isa else PEERS
    title = "our float kernels, on AVX2" if arguments.isa else "oneDNN's and OpenBLAS's"
    fused = "all" if arguments.isa else "ours and oneDNN's"
    heading = [f"# Layers of integer nets beside {title}", "",
               f"Microseconds, and how many times as long the peer takes; batch {arguments.batch}, "
               f"{thread_count(arguments.threads)}, pinned, of {processor_name()}; medians of {arguments.repetitions} "
               f"rounds, in each of which the engines of a layer run one after the other: of times, and of ratios. u8 "
               f"values; rescaling and ReLU of {fused} are fused. PS and Q with 2, 4 and 5 bits. "
               "Made by `tools/compare_integer_layers.py`.", ""]
    if arguments.isa:
        heading[2:2] = ["DEEPSHIFT_ISA=avx2. Direct: the direct kernels alone. Native: what the float engine's plan chose, "
                        "Winograd among it. Float filters stand ready as ours do.", ""]
    report_layers(arguments, heading, measure, table_beside(peers))


if __name__ == "__main__":
    main()
