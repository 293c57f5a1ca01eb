#!/usr/bin/env bash
# Makes the networks behind the tables of CIFAR-10 and MNIST in docs/results/, one run after the other: all that are listed
# below. Runs that a table shows beside them have their command lines there.
#
#   tools/reproduce.sh --cifar DIR --mnist DIR --weights DIR --output DIR [--only REGEX] [--threads N]
#
#   --cifar DIR     CIFAR-10, binary version
#   --mnist DIR     MNIST, idx files
#   --weights DIR   holds cifar10_resnet20.safetensors, which the fine-tunings start from
#   --output DIR    each run gets a folder here, under the name given below
#   --only REGEX    only the runs whose name matches
#
# A run that was stopped is resumed, one that is finished is left as it is. Tuned Q networks are also evaluated with
# activations of 8 bits (evaluations.log in their folders). `tools/report_results.py collect` keeps the
# runs, and `tables` writes the tables that docs/results/run_tables.json lists.
# Needs the programs of the release preset.
set -euo pipefail

cifar=
mnist=
weights=
output=
only=
threads=0
while [ $# -gt 0 ]; do
  case $1 in
    --cifar) cifar=${2:?--cifar needs a folder}; shift 2 ;;
    --mnist) mnist=${2:?--mnist needs a folder}; shift 2 ;;
    --weights) weights=${2:?--weights needs a folder}; shift 2 ;;
    --output) output=${2:?--output needs a folder}; shift 2 ;;
    --only) only=${2:?--only needs a regular expression}; shift 2 ;;
    --threads) threads=${2:?--threads needs a number}; shift 2 ;;
    -h|--help) sed -n '2,/^set /{s/^# \{0,1\}//;/^set /d;p}' "$0"; exit 0 ;;
    *) echo "reproduce: unknown option \"$1\"; see --help" >&2; exit 1 ;;
  esac
done
if [ -z "$cifar" ] || [ -z "$mnist" ] || [ -z "$weights" ] || [ -z "$output" ]; then
  echo "reproduce: needs --cifar, --mnist, --weights and --output" >&2
  exit 1
fi
bin=${DEEPSHIFT_BIN:-$(cd "$(dirname "$0")/.." && pwd)/build/release/bin}
mkdir -p "$output"

# run PROGRAM DATA NAME OPTION...
run() {
  local program=$bin/$1 data=$2 folder=$output/$3
  [[ $3 =~ $only ]] || return 0
  shift 3
  if [ -f "$folder/summary.json" ]; then
    echo "$folder is finished"
  elif [ -f "$folder/config.json" ]; then
    "$program" --resume "$folder" --threads "$threads"
  else
    "$program" --data "$data" --output "$folder" --threads "$threads" "$@"
  fi
}
cifar_run() { run train_cifar "$cifar" "$@"; }
mnist_run() { run train_mnist "$mnist" "$@"; }

# From scratch, every layer with shift weights.
cifar_run resnet20_float --epochs 12 --lr 0.2 --nesterov
cifar_run resnet20_q5 --method q --epochs 12 --lr 0.2 --nesterov
cifar_run resnet20_ps5 --method ps --epochs 12
cifar_run resnet20_float_bf16 --epochs 12 --lr 0.2 --nesterov --precision bf16

# For 30 epochs, with two seeds; by Muon (docs/decisions/0010-muon.md).
for seed in 1 2; do
  cifar_run long_resnet20_float_seed$seed --epochs 30 --optimizer muon --seed $seed
  for bits in 5 4; do
    cifar_run long_resnet20_q${bits}_seed$seed --method q --weight-bits $bits --epochs 30 --optimizer muon --seed $seed
  done
  cifar_run long_resnet20_ps5_seed$seed --method ps --epochs 30 --optimizer muon --seed $seed
done

# From a trained float network, which is rounded first. Its normalisation is ImageNet's.
tune() {
  local name=$1
  shift
  cifar_run "$name" --pretrained "$weights/cifar10_resnet20.safetensors" --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 \
    --activation-bits 16.16 "$@"
}
# evaluate NAME OPTION...: logs the command, without the machine's folders, and its output.
evaluate() {
  local model=$1/best.safetensors log=$output/$1/evaluations.log
  [[ $1 =~ $only ]] || return 0
  shift
  echo "\$ deepshift eval $model $* --data DIR" >"$log"
  "$bin/deepshift" eval "$output/$model" "$@" --data "$cifar" --threads "$threads" | tee -a "$log"
}
for bits in 5 4; do
  tune tuned_resnet20_q$bits --method q --weight-bits $bits --epochs 6 --lr 0.02 --nesterov
  evaluate tuned_resnet20_q$bits --activation-bits 8
  tune tuned_resnet20_ps$bits --method ps --weight-bits $bits --epochs 3
done

# The paper's networks for MNIST.
for net in fc conv; do
  mnist_run mnist_${net}_float --arch mnist_$net
  for method in q ps; do
    mnist_run mnist_${net}_$method --arch mnist_$net --method $method
    mnist_run tuned_mnist_${net}_$method --arch mnist_$net --method $method --pretrained "$output/mnist_${net}_float/best.safetensors"
  done
done
