#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test.
#
#   tools/test.sh [--preset NAME] [--filter REGEX]
#
#   --preset NAME   release (default), dev, asan, tsan or cuda: see CMakePresets.json
#   --filter REGEX  only the tests whose name matches
#
# Real data is used where ../shared/data lies beside the project: it is unpacked once, outside the source tree, into
# $DEEPSHIFT_CACHE (default ~/.cache/deepshift). Tests that need it are skipped, with the reason, where it is absent.
# The last line is "N passed, N failed, N skipped"; the exit code is 0 when none failed.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=release
filter=()
while [ $# -gt 0 ]; do
  case $1 in
    --preset) preset=${2:?--preset needs a name}; shift 2 ;;
    --filter) filter=(--tests-regex "${2:?--filter needs a regular expression}"); shift 2 ;;
    -h|--help) sed -n '2,/^set /{s/^# \{0,1\}//;/^set /d;p}' "$0"; exit 0 ;;
    *) echo "test.sh: unknown option \"$1\"; see tools/test.sh --help" >&2; exit 1 ;;
  esac
done

groups=(tests)
[ "$preset" = tsan ] && groups+=(tsan)
tools/install_dependencies.sh "${groups[@]}"

jobs=$(nproc)
cmake --preset "$preset" -DDEEPSHIFT_TESTS=ON -DDEEPSHIFT_APPS=ON
cmake --build --preset "$preset" --parallel "$jobs"

shared=../shared/data
if [ -f "$shared/unpack.sh" ]; then
  data=${DEEPSHIFT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/deepshift}/test-data
  if [ ! -f "$data/.complete" ]; then
    mkdir -p "$data"
    bash "$shared/unpack.sh" "$data"
    touch "$data/.complete"
  fi
  export DEEPSHIFT_TEST_DATA=${DEEPSHIFT_TEST_DATA:-$data}
  export DEEPSHIFT_TEST_WEIGHTS=${DEEPSHIFT_TEST_WEIGHTS:-$(cd "$shared" && pwd)/weights}
  export DEEPSHIFT_TEST_PHOTOGRAPHS=${DEEPSHIFT_TEST_PHOTOGRAPHS:-$(cd "$shared" && pwd)/imagenet_samples/images}
else
  echo "test.sh: no $shared: tests on real data will be skipped"
fi

# Two test programs share the cores: threads that wait must not spin.
export OMP_WAIT_POLICY=passive
report=$PWD/build/$preset/junit.xml
rm -f "$report"
status=0
ctest --preset "$preset" --parallel "$jobs" --output-junit "$report" --no-tests=error "${filter[@]}" || status=$?

[ -f "$report" ] || { echo "test.sh: CTest left no report" >&2; exit 1; }
python3 tools/test_summary.py "$report"
exit "$status"
