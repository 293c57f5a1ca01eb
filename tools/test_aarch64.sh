#!/usr/bin/env bash
# Builds for 64-bit ARM with Debian's cross compiler, and runs the tests of integer nets there in QEMU.
#
#   tools/test_aarch64.sh [FILTER]     FILTER: other tests, in GoogleTest's form
#
# The kernels there are those in plain C++. As root or with sudo: the libraries of another architecture are installed.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
  -h|--help) sed -n '2,/^set /{s/^# \{0,1\}//;/^set /d;p}' "$0"; exit 0 ;;
esac
tests=${1:-IntegerNetFile.*:CpuNetIsa.*RandomNets*:CpuNetIsa.*Large*:Ops/OpCases.AgreesWithPlainLoopsInF32*}

tools/install_dependencies.sh tests aarch64
cmake --preset aarch64
cmake --build --preset aarch64 --parallel "$(nproc)" --target ds_tests
export OMP_WAIT_POLICY=passive
exec qemu-aarch64 build/aarch64/tests/ds_tests --gtest_filter="$tests" --gtest_brief=1
