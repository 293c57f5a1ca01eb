#!/usr/bin/env bash
# Builds the benchmark of inference, runs it, PyTorch and ONNX Runtime in turn, and writes docs/results/cpu_inference.md.
#
#   tools/compare_inference.sh [OPTION...]     options of tools/compare_inference.py: --archs, --batches, --threads, --python,
#                                              --onnx, --onnx-python
#
# PyTorch is that of the Pythons given with --python (default: python3); Debian has it in python3-torch, for
# /usr/bin/python3. ONNX Runtime takes part with --onnx FOLDER, a folder of models that bench/peers/make_onnx.py has written,
# and --onnx-python. Nothing else should run meanwhile.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
  -h|--help) sed -n '2,/^set /{s/^# \{0,1\}//;/^set /d;p}' "$0"; exit 0 ;;
esac
tools/build_bench.sh inference
exec python3 tools/compare_inference.py --bench build/release/bin/bench_inference --peer bench/peers/torch_infer.py \
  --onnx-peer bench/peers/onnx_infer.py \
  --output docs/results/cpu_inference.md "$@"
