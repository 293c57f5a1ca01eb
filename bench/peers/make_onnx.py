#!/usr/bin/env python3
"""Writes resnet18_f32_bN.onnx and resnet18_int8_bN.onnx (QDQ: u8 activations, s8 weights a channel), with random weights.

Needs PyTorch and the onnx package (Debian: python3-torch and python3-onnx). The int8 graph quantises where ONNX Runtime
can fuse: after every ReLU, pooling and residual branch.
"""
import argparse

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

from torch_infer import NETWORKS


def export(path, batch):
    torch.manual_seed(1)
    torch.onnx.export(NETWORKS["resnet18"]().eval(), torch.randn(batch, 3, 224, 224), path, opset_version=13,
                      do_constant_folding=True)


def quantise(source, target, activation_scale=0.02):
    model = onnx.load(source)
    graph = model.graph
    initial = {tensor.name: tensor for tensor in graph.initializer}
    for node in list(graph.node):  # initialisers that reach their consumer through an Identity
        if node.op_type == "Identity" and node.input[0] in initial:
            copy = onnx.TensorProto()
            copy.CopyFrom(initial[node.input[0]])
            copy.name = node.output[0]
            graph.initializer.append(copy)
            initial[copy.name] = copy
            graph.node.remove(node)
    consumers = {}
    for node in graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)
    nodes, tensors, renamed = [], [], {}

    def add(array, name):
        tensors.append(numpy_helper.from_array(array, name))

    def quantise_activation(name, zero_point):
        add(np.array(activation_scale, np.float32), name + "_s")
        add(np.array(zero_point, np.uint8), name + "_z")
        nodes.append(helper.make_node("QuantizeLinear", [name, name + "_s", name + "_z"], [name + "_q"]))
        nodes.append(helper.make_node("DequantizeLinear", [name + "_q", name + "_s", name + "_z"], [name + "_dq"]))
        renamed[name] = name + "_dq"

    quantise_activation(graph.input[0].name, 128)
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = renamed.get(name, name)
        if node.op_type == "Conv":
            weight = numpy_helper.to_array(initial[node.input[1]])
            bias = numpy_helper.to_array(initial[node.input[2]])
            scale = (np.abs(weight).reshape(len(weight), -1).max(1) / 64 + 1e-9).astype(np.float32)
            codes = np.clip(np.round(weight / scale[:, None, None, None]), -127, 127).astype(np.int8)
            name = node.input[1]
            add(codes, name + "_q")
            add(scale, name + "_s")
            add(np.zeros(len(scale), np.int8), name + "_z")
            nodes.append(helper.make_node("DequantizeLinear", [name + "_q", name + "_s", name + "_z"], [name + "_dq"], axis=0))
            node.input[1] = name + "_dq"
            name = node.input[2]
            bias_scale = (scale * activation_scale).astype(np.float32)
            add(np.round(bias / bias_scale).astype(np.int32), name + "_q")
            add(bias_scale, name + "_s")
            add(np.zeros(len(scale), np.int32), name + "_z")
            nodes.append(helper.make_node("DequantizeLinear", [name + "_q", name + "_s", name + "_z"], [name + "_dq"], axis=0))
            node.input[2] = name + "_dq"
        nodes.append(node)
        output = node.output[0]
        if node.op_type in ("Relu", "MaxPool"):
            quantise_activation(output, 0)
        elif node.op_type == "Conv" and consumers[output][0].op_type == "Add":
            quantise_activation(output, 128)
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(tensors)
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    onnx.checker.check_model(model)
    onnx.save(model, target)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--output", default=".", help="folder")
    args = parser.parse_args()
    float_path = f"{args.output}/resnet18_f32_b{args.batch}.onnx"
    export(float_path, args.batch)
    quantise(float_path, f"{args.output}/resnet18_int8_b{args.batch}.onnx")


if __name__ == "__main__":
    main()
