#!/usr/bin/env bash
# Formats every C++ and CUDA source with clang-format 14; with --check, changes nothing and fails where it would.
#
#   tools/format.sh [--check]
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
  "") arguments=(-i) ;;
  --check) arguments=(--dry-run --Werror) ;;
  *) echo "format.sh: unknown option \"$1\", expected --check or nothing" >&2; exit 1 ;;
esac
format=$(command -v clang-format-14 || command -v clang-format || true)
[ -n "$format" ] || { echo "format.sh: needs clang-format 14 (tools/install_dependencies.sh lint)" >&2; exit 1; }
git ls-files -z '*.h' '*.inc' '*.cpp' '*.cu' '*.cuh' | xargs -0 "$format" "${arguments[@]}"
