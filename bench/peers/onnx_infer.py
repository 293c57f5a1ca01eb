#!/usr/bin/env python3
"""Latency of an ONNX model in ONNX Runtime on the CPU: what tools/compare_inference.py compares with.

Needs onnxruntime and numpy. Prints one line of JSON.
"""
import argparse
import json
import statistics
import time

import numpy as np
import onnxruntime


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=30)
    args = parser.parse_args()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    session = onnxruntime.InferenceSession(args.model, options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    x = np.random.default_rng(1).standard_normal(entry.shape).astype(np.float32)
    for _ in range(5):
        session.run(None, {entry.name: x})
    seconds = []
    for _ in range(args.repeats):
        start = time.perf_counter()
        session.run(None, {entry.name: x})
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"peer": f"onnxruntime {onnxruntime.__version__}", "model": args.model, "threads": args.threads,
                      "ms": round(statistics.median(seconds) * 1e3, 3)}))


if __name__ == "__main__":
    main()
