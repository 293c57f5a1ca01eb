#!/usr/bin/env bash
# Installs the package and builds the README's project against it, to the letter, then runs its program.
#
#   run_consumer.sh ROOT BUILD WORK COMPILER
set -euo pipefail
root=$1 build=$2 work=$3 compiler=$4

rm -rf "$work/prefix" "$work/build" "$work/run"
cmake --install "$build" --prefix "$work/prefix" >/dev/null
python3 "$root/tests/docs/build_tree.py" "$root" "$work/source" README.md
cmake -S "$work/source" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER="$compiler" \
  -DCMAKE_PREFIX_PATH="$work/prefix"
cmake --build "$work/build"
mkdir "$work/run"
cd "$work/run"
../build/hello | tee output
# The example in C, with what was installed alone.
library=$(dirname "$(find "$work/prefix" -name libdeepshift.so)")
"${CC:-cc}" -Wall -Wextra -Werror "$root/docs/examples/run_net.c" -o run_net -I"$work/prefix/include" -L"$library" \
  -ldeepshift
head -c 56 /dev/zero >image.raw
LD_LIBRARY_PATH=$library ./run_net "$root/tests/fixtures/integer_net_v1.safetensors" image.raw | grep -E '^class [0-9]+, output'

# It learns: chance is 10 %.
tail -n 1 output | sed -n 's/.*top-1 \([0-9.]*\) %.*/\1/p' | awk '{ ok = $1 > 30 } END { exit !ok }' ||
  { echo "run_consumer: the last line says no accuracy above 30 %" >&2; exit 1; }
