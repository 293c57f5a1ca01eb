#!/usr/bin/env bash
# From a fresh machine to networks whose weights are powers of two.
#
#   tools/quickstart.sh [--data DIR] [--output DIR] [--epochs N] [--fine-tune-epochs N] [--threads N]
#
#   --data DIR             CIFAR-10, binary version (tools/get_cifar10.sh fetches it); without it, a data set of the same
#                          format is drawn: ten classes of shapes and textures
#   --output DIR           where runs and model files go (default: runs/quickstart)
#   --epochs N             of the float network (default: 4)
#   --fine-tune-epochs N   of each shift network (default: 2)
#   --threads N            compute threads (default: all processors)
#
# Installs what is missing, builds the programs, trains ResNet20 in float arithmetic, converts it to DeepShift-Q and
# DeepShift-PS with 5 bits, fine-tunes both, and compares the three. With the drawn data it takes about five minutes on two
# cores after the build. What is done already is not done again.
set -euo pipefail
start_folder=$PWD
cd "$(dirname "$0")/.."

data=
output=$PWD/runs/quickstart
epochs=4
fine_tune_epochs=2
threads=0
absolute() { case $1 in /*) echo "$1" ;; *) echo "$start_folder/$1" ;; esac; }
while [ $# -gt 0 ]; do
  case $1 in
    --data) data=$(absolute "${2:?--data needs a folder}"); shift 2 ;;
    --output) output=$(absolute "${2:?--output needs a folder}"); shift 2 ;;
    --epochs) epochs=${2:?--epochs needs a number}; shift 2 ;;
    --fine-tune-epochs) fine_tune_epochs=${2:?--fine-tune-epochs needs a number}; shift 2 ;;
    --threads) threads=${2:?--threads needs a number}; shift 2 ;;
    -h|--help) sed -n '2,/^set /{s/^# \{0,1\}//;/^set /d;p}' "$0"; exit 0 ;;
    *) echo "quickstart.sh: unknown option \"$1\"; see tools/quickstart.sh --help" >&2; exit 1 ;;
  esac
done

tools/install_dependencies.sh build
# Only what is asked for here is built; an existing configuration, with tests, is left as it is.
[ -f build/release/build.ninja ] || cmake --preset release -DDEEPSHIFT_TESTS=OFF
cmake --build --preset release --target train_cifar deepshift
bin=$PWD/build/release/bin

mkdir -p "$output"
batch=128
recipe=()
if [ -z "$data" ]; then
  batch=32  # 10,000 images are few: many small steps learn more of them than few large ones
  recipe=(--lr 0.03)
  data=$output/data
  if [ ! -d "$data" ]; then
    rm -rf "$data.part"  # of a start that was stopped
    "$bin/deepshift" synthesize "$data.part"
    mv "$data.part" "$data"
  fi
fi

# run NAME OPTION...: one training run, resumed where it was stopped, skipped where it is finished.
run() {
  local folder=$output/$1
  shift
  if [ -f "$folder/summary.json" ]; then
    echo "$folder is finished"
  elif [ -f "$folder/config.json" ]; then
    "$bin/train_cifar" --resume "$folder" --threads "$threads"
  else
    "$bin/train_cifar" --data "$data" --arch resnet20 --batch-size "$batch" --output "$folder" --threads "$threads" "$@"
  fi
}

run float --epochs "$epochs" "${recipe[@]}"
for method in q ps; do
  rounded=$output/rounded_$method.safetensors
  if [ ! -f "$rounded" ]; then
    "$bin/deepshift" convert "$output/float/best.safetensors" "$rounded" --method $method --weight-bits 5
    echo "Rounded, before any training: $("$bin/deepshift" eval "$rounded" --data "$data" --threads "$threads")"
  fi
  run $method --method $method --weight-bits 5 --pretrained "$rounded" --epochs "$fine_tune_epochs"
done

# Each shift network as an integer net: shifts and additions of integers, activations of 8 bits.
for method in q ps; do
  net=$output/integer_$method.safetensors
  [ -f "$net" ] ||
    "$bin/deepshift" lower "$output/$method/best.safetensors" "$net" --data "$data" --threads "$threads" >/dev/null
  echo "Integer net of $method: $("$bin/deepshift" eval "$net" --data "$data" --threads "$threads")," \
    "$("$bin/deepshift" bench "$net" --batch-size 16 --threads "$threads" | head -n 1)"
done

echo
"$bin/deepshift" compare "$output/float" "$output/q" "$output/ps"
cat <<END

Programs             $bin
Data                 $data
Runs                 $output/{float,q,ps}: config.json, metrics.jsonl, curves.svg, summary.json, model files
Rounded, untrained   $output/rounded_{q,ps}.safetensors
Integer nets         $output/integer_{q,ps}.safetensors
Look inside a model  $bin/deepshift inspect $output/q/best.safetensors
END
