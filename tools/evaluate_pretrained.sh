#!/usr/bin/env bash
# Evaluates pretrained CIFAR-10 networks as they are, with every engine (the slow reference: ResNet20 alone), and rounded
# to powers of two without training.
#
#   tools/evaluate_pretrained.sh --weights DIR --data DIR --output DIR [--threads N]
#
# --weights holds cifar10_resnet20.safetensors and cifar10_resnet56.safetensors. Writes evaluations.log, for
# tools/report_results.py evaluations, and the rounded models. Needs the programs of the release preset.
set -euo pipefail

weights=
data=
output=
threads=0
while [ $# -gt 0 ]; do
  case $1 in
    --weights) weights=${2:?--weights needs a folder}; shift 2 ;;
    --data) data=${2:?--data needs a folder}; shift 2 ;;
    --output) output=${2:?--output needs a folder}; shift 2 ;;
    --threads) threads=${2:?--threads needs a number}; shift 2 ;;
    -h|--help) sed -n '2,/^set /{s/^# \{0,1\}//;/^set /d;p}' "$0"; exit 0 ;;
    *) echo "evaluate_pretrained: unknown option \"$1\"; see --help" >&2; exit 1 ;;
  esac
done
if [ -z "$weights" ] || [ -z "$data" ] || [ -z "$output" ]; then
  echo "evaluate_pretrained: needs --weights, --data and --output" >&2
  exit 1
fi
deepshift=$(cd "$(dirname "$0")/.." && pwd)/build/release/bin/deepshift
mkdir -p "$output"
log=$output/evaluations.log
: >"$log"

# evaluate FILE ARCH OPTION...: logs the command, without the machine's folders, and its output.
evaluate() {
  local file=$1 arch=$2
  shift 2
  echo "\$ deepshift eval $(basename "$file") --arch $arch $* --data DIR" | sed 's/  */ /g' | tee -a "$log"
  "$deepshift" eval "$file" --arch "$arch" "$@" --data "$data" --threads "$threads" | tee -a "$log"
}

for arch in resnet20 resnet56; do
  float=$weights/cifar10_$arch.safetensors
  for engine in reference openblas native; do
    [ "$arch $engine" = "resnet56 reference" ] || evaluate "$float" $arch --engine $engine
  done
  for format in "q 5" "q 4" "ps 5" "ps 4"; do
    read -r method bits <<<"$format"
    rounded=$output/${arch}_$method$bits.safetensors
    "$deepshift" convert "$float" "$rounded" --arch $arch --method "$method" --weight-bits "$bits" >>"$output/conversions.log"
    evaluate "$rounded" $arch
  done
done
