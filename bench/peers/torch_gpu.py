#!/usr/bin/env python3
"""Times PyTorch's ResNet18 (cuDNN) on a CUDA device: fp16, channels last, batch norm folded, replayed as a CUDA graph.

    torch_gpu.py [--batches 1 64] [--runs 200]

Prints one JSON object a line: {"batch": 1, "dtype": "float16", "milliseconds": median}
"""
import argparse
import json
import statistics

import torch
import torchvision


def folded(model):
    from torch.fx.experimental.optimization import fuse
    return fuse(model.eval())


def graph_of(model, images):
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream), torch.no_grad():
        for _ in range(10):
            model(images)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.no_grad(), torch.cuda.graph(graph):
        model(images)
    return graph


def median_time(graph, runs):
    times = []
    for run in range(runs + 10):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        if run >= 10:
            times.append(start.elapsed_time(end))
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--runs", type=int, default=200)
    arguments = parser.parse_args()
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(1)
    model = folded(torchvision.models.resnet18(weights=None)).cuda().half().to(memory_format=torch.channels_last)
    for batch in arguments.batches:
        images = torch.randn(batch, 3, 224, 224, device="cuda", dtype=torch.float16)
        images = images.to(memory_format=torch.channels_last)
        milliseconds = median_time(graph_of(model, images), arguments.runs)
        print(json.dumps({"batch": batch, "dtype": "float16", "milliseconds": milliseconds,
                          "device": torch.cuda.get_device_name(), "torch": torch.__version__,
                          "cudnn": torch.backends.cudnn.version()}), flush=True)


if __name__ == "__main__":
    main()
