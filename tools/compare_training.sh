#!/usr/bin/env bash
# Builds the benchmark of training steps, runs it and PyTorch in turn, and writes docs/results/cpu_training.md.
#
#   tools/compare_training.sh [OPTION...]     options of tools/compare_training.py: --archs, --rounds, --threads, --python
#
# PyTorch is that of the Pythons given with --python (default: python3); Debian has it in python3-torch, for
# /usr/bin/python3. Nothing else should run meanwhile.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
  -h|--help) sed -n '2,/^set /{s/^# \{0,1\}//;/^set /d;p}' "$0"; exit 0 ;;
esac
tools/build_bench.sh train_step
exec python3 tools/compare_training.py --bench build/release/bin/bench_train_step --peer bench/peers/torch_train.py \
  --output docs/results/cpu_training.md "$@"
