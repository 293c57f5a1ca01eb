#!/usr/bin/env bash
# Runs clang-tidy 14 (.clang-tidy) over the sources, or over those given.
#
#   tools/lint.sh [FILE...]
#
# Needs a configured build folder with clang's command lines; makes build/lint, without compiling anything.
set -euo pipefail
cd "$(dirname "$0")/.."

tidy=$(command -v clang-tidy-14 || command -v clang-tidy || true)
[ -n "$tidy" ] || { echo "lint.sh: needs clang-tidy 14 (tools/install_dependencies.sh lint)" >&2; exit 1; }
cmake --preset release -B build/lint -DDEEPSHIFT_CUDA=OFF -DDEEPSHIFT_TESTS=OFF -DDEEPSHIFT_BENCH=OFF >/dev/null

if [ $# -gt 0 ]; then
  files=("$@")
else
  mapfile -t files < <(git ls-files '*.cpp' | grep -v -e '^tests/' -e '^bench/' -e '^cuda/')
fi
printf '%s\0' "${files[@]}" | xargs -0 -n1 -P"$(nproc)" "$tidy" --quiet -p build/lint
