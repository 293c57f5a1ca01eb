#!/usr/bin/env bash
# Follows docs/adding-*.md to the letter: applies them to a copy of the library, builds it and runs their tests.
#
#   run_guides.sh ROOT WORK COMPILER
set -euo pipefail
root=$1 work=$2 compiler=$3

python3 "$root/tests/docs/build_tree.py" "$root" "$work/tree" \
  docs/adding-an-op.md docs/adding-a-layer.md docs/adding-a-weight.md docs/adding-a-model.md \
  --copy CMakeLists.txt cmake ds.h cuda core autograd layers data models tests/support tests/core/ops_test.cpp \
  tests/models/models_test.cpp
cmake -S "$root/tests/docs/guides" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_COMPILER="$compiler" \
  -DGUIDES_TREE="$work/tree"
cmake --build "$work/build"
"$work/build/guide_tests" --gtest_brief=1
