#!/usr/bin/env bash
# Installs what the benchmarks need and builds one of them.
#
#   tools/build_bench.sh NAME      train_step, conv2d, inference, image or loader; makes build/release/bin/bench_NAME
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
  -h|--help) sed -n '2,/^set /{s/^# \{0,1\}//;/^set /d;p}' "$0"; exit 0 ;;
  '') echo "build_bench.sh: expected the name of a benchmark; see tools/build_bench.sh --help" >&2; exit 1 ;;
esac
tools/install_dependencies.sh bench
cmake --preset release -DDEEPSHIFT_BENCH=ON >/dev/null
cmake --build --preset release --target "bench_$1"
