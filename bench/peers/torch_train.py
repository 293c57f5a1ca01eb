#!/usr/bin/env python3
"""Time of a training step of CIFAR networks in PyTorch: what tools/compare_training.py compares with.

    torch_train.py --arch resnet20|resnet18_cifar|mobilenet_v2_cifar [--batch N] [--threads N] [--steps N] [--channels-last]
                   [--device cpu|cuda] [--precision f32|tf32|bf16]

On a CUDA device the step is replayed as a CUDA graph; bf16 is autocast's.

The networks are those of models/, layer by layer. The step is that of bench/train_step_bench.cpp with float weights, which
beside it takes the norm of the gradients and reads the loss, as the trainers do. Prints one line of JSON.
"""
import argparse
import json
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


def conv_bn(inputs, outputs, kernel, stride=1, groups=1):
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
                         nn.BatchNorm2d(outputs))


class Basic(nn.Module):
    """Two 3x3 convolutions; where the shape changes, the shortcut is option A (padded channels) or a 1x1 convolution."""

    def __init__(self, inputs, outputs, stride, projection):
        super().__init__()
        self.first = conv_bn(inputs, outputs, 3, stride)
        self.second = conv_bn(outputs, outputs, 3)
        changes = stride != 1 or inputs != outputs
        self.shortcut = conv_bn(inputs, outputs, 1, stride) if projection and changes else nn.Identity()
        self.padding = (outputs - inputs) // 2 if changes and not projection else 0

    def forward(self, x):
        y = self.second(F.relu(self.first(x), inplace=True))
        x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.padding, self.padding)) if self.padding else self.shortcut(x)
        return F.relu(x + y, inplace=True)


class Inverted(nn.Module):
    def __init__(self, inputs, outputs, expansion, stride):
        super().__init__()
        middle = inputs * expansion
        self.stride = stride
        self.expand = conv_bn(inputs, middle, 1)
        self.filter = conv_bn(middle, middle, 3, stride, groups=middle)
        self.project = conv_bn(middle, outputs, 1)
        self.shortcut = conv_bn(inputs, outputs, 1) if stride == 1 and inputs != outputs else nn.Identity()

    def forward(self, x):
        y = F.relu(self.filter(F.relu(self.expand(x), inplace=True)), inplace=True)
        y = self.project(y)
        return y + self.shortcut(x) if self.stride == 1 else y


def resnet(widths, blocks, projection):
    layers, inputs = [conv_bn(3, widths[0], 3), nn.ReLU(inplace=True)], widths[0]
    for stage, outputs in enumerate(widths):
        for block in range(blocks):
            layers.append(Basic(inputs, outputs, 2 if stage > 0 and block == 0 else 1, projection))
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10))


def mobilenet_v2():
    layers, inputs = [conv_bn(3, 32, 3), nn.ReLU(inplace=True)], 32
    for expansion, outputs, blocks, stride in ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                                               (6, 160, 3, 2), (6, 320, 1, 1)):
        for block in range(blocks):
            layers.append(Inverted(inputs, outputs, expansion, stride if block == 0 else 1))
            inputs = outputs
    layers += [conv_bn(inputs, 1280, 1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 10)]
    return nn.Sequential(*layers)


NETWORKS = {"resnet20": lambda: resnet((16, 32, 64), 3, projection=False),
            "resnet18_cifar": lambda: resnet((64, 128, 256, 512), 2, projection=True),
            "mobilenet_v2_cifar": mobilenet_v2}


def resident(kind):
    """VmRSS (now) or VmHWM (the most so far) of this process, in MiB."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith(kind))


def replayed(step):
    """The step as a CUDA graph, waited for."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(5):
            step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()

    def run():
        graph.replay()
        torch.cuda.synchronize()
    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", choices=list(NETWORKS), default="resnet20")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", choices=["f32", "tf32", "bf16"], default="f32")
    arguments = parser.parse_args()
    on_cuda = arguments.device == "cuda"
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = arguments.precision != "f32"
    torch.set_num_threads(arguments.threads)
    layout = torch.channels_last if arguments.channels_last else torch.contiguous_format
    before = resident("VmRSS")
    model = NETWORKS[arguments.arch]().to(arguments.device, memory_format=layout)
    images = torch.randn(arguments.batch, 3, 32, 32).to(arguments.device).contiguous(memory_format=layout)
    labels = torch.randint(0, 10, (arguments.batch,)).to(arguments.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(arguments.device, dtype=torch.bfloat16, enabled=arguments.precision == "bf16"):
            loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()

    run = replayed(step) if on_cuda else step
    run()
    run()
    seconds = []
    for _ in range(arguments.steps):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds)
    peak = torch.cuda.max_memory_allocated() / 2**20 if on_cuda else resident("VmHWM") - before
    print(json.dumps({"peer": f"PyTorch {torch.__version__}", "device": arguments.device,
                      "precision": arguments.precision, "ms_per_step": round(1e3 * median, 2),
                      "parameters": sum(parameter.numel() for parameter in model.parameters()),
                      "peak_MiB": round(peak, 1),
                      "images_per_s": round(arguments.batch / median, 1)}))


if __name__ == "__main__":
    main()
