#!/usr/bin/env python3
"""Latency of ResNet18 or ResNet50, 224x224, in PyTorch on the CPU: what tools/compare_inference.py compares with.

    torch_infer.py --arch resnet18|resnet50 --mode eager|channels-last|frozen [--batch N] [--threads N] [--repeats N]

frozen: traced, and optimised for inference: batch norm folded, oneDNN with packed filters. Prints one line of JSON.
"""
import argparse
import json
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

from torch_train import Basic, conv_bn


class Bottleneck(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.reduce = conv_bn(inputs, width, 1)
        self.filter = conv_bn(width, width, 3, stride)
        self.expand = conv_bn(width, 4 * width, 1)
        changes = stride != 1 or inputs != 4 * width
        self.shortcut = conv_bn(inputs, 4 * width, 1, stride) if changes else nn.Identity()

    def forward(self, x):
        y = F.relu(self.filter(F.relu(self.reduce(x), inplace=True)), inplace=True)
        return F.relu(self.expand(y) + self.shortcut(x), inplace=True)


def resnet(blocks, bottleneck):
    layers, inputs = [conv_bn(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)], 64
    for stage, width in enumerate((64, 128, 256, 512)):
        for block in range(blocks[stage]):
            stride = 2 if stage > 0 and block == 0 else 1
            if bottleneck:
                layers.append(Bottleneck(inputs, width, stride))
            else:
                layers.append(Basic(inputs, width, stride, projection=True))
            inputs = width * (4 if bottleneck else 1)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1000))


NETWORKS = {"resnet18": lambda: resnet((2, 2, 2, 2), bottleneck=False),
            "resnet50": lambda: resnet((3, 4, 6, 3), bottleneck=True)}


def prepare(network, images, mode):
    """The network and the images of a mode."""
    if mode == "channels-last":
        return network.to(memory_format=torch.channels_last), images.contiguous(memory_format=torch.channels_last)
    if mode == "frozen":
        network = torch.jit.optimize_for_inference(torch.jit.trace(network, images))
    return network, images


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", choices=list(NETWORKS), default="resnet18")
    parser.add_argument("--mode", choices=["eager", "channels-last", "frozen"], default="eager")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    seconds = []
    with torch.inference_mode():
        network, images = prepare(NETWORKS[arguments.arch]().eval(), torch.randn(arguments.batch, 3, 224, 224),
                                  arguments.mode)
        for _ in range(3):
            network(images)
        for _ in range(arguments.repeats):
            start = time.perf_counter()
            network(images)
            seconds.append(time.perf_counter() - start)
    print(json.dumps({"peer": f"PyTorch {torch.__version__}", "mode": arguments.mode,
                      "ms": round(1e3 * statistics.median(seconds), 3)}))


if __name__ == "__main__":
    main()
