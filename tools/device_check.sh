#!/usr/bin/env bash
# Runs everything that needs a CUDA device, and writes what it found to docs/results/cuda.md: the tests of the CUDA
# kernels, with compute-sanitizer too; latencies beside PyTorch (cuDNN) and cuBLASLt; all 10,000 CIFAR-10 test images as
# integers of the device, the CPU and the reference; the speed of training steps beside PyTorch, and short trainings.
#
#   tools/device_check.sh --data CIFAR10_FOLDER --weights RESNET20.safetensors [options]
#
#   --data DIR      cifar-10-batches-bin (tools/get_cifar10.sh)
#   --weights FILE  a trained ResNet20, which is lowered to 2 to 5 bits
#   --logs DIR      where the logs go (default: build/device); a log that is there is kept, so that a check that
#                   was cut short goes on
#   --build DIR     of a build that is there, with its benchmarks (default: build/cuda, which is made)
#   --python FILE   a Python with PyTorch (default: python3); without PyTorch the comparison is left out
set -euo pipefail
cd "$(dirname "$0")/.."

build=
data=
weights=
logs=build/device
python=python3
while [ $# -gt 0 ]; do
  case $1 in
    --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
    --data) data=${2:?}; shift ;;
    --weights) weights=${2:?}; shift ;;
    --logs) logs=${2:?}; shift ;;
    --build) build=${2:?}; shift ;;
    --python) python=${2:?}; shift ;;
    *) echo "device_check.sh: unknown option \"$1\" (--help)" >&2; exit 1 ;;
  esac
  shift
done
[ -f "$data/test_batch.bin" ] || { echo "device_check.sh: --data \"$data\" has no test_batch.bin" >&2; exit 1; }
[ -f "$weights" ] || { echo "device_check.sh: --weights \"$weights\": no such file" >&2; exit 1; }
command -v nvidia-smi >/dev/null || { echo "device_check.sh: no nvidia-smi here, so no CUDA device" >&2; exit 1; }

if [ -z "$build" ]; then
  build=build/cuda
  cmake --preset cuda -DDEEPSHIFT_BENCH=ON >/dev/null
  cmake --build "$build" --target ds_tests deepshift train_cifar save_net bench_cuda_linear bench_cuda_ladder
fi
mkdir -p "$logs/nets"

# What a step prints becomes its log when it ends well.
step() {
  local log=$logs/$1.log
  shift
  [ -f "$log" ] && return
  echo "$(basename "$log")"
  "$@" >"$log.part" 2>&1 || { cat "$log.part" >&2; echo "device_check.sh: $(basename "$log" .log) failed" >&2; exit 1; }
  mv "$log.part" "$log"
}

machine() {
  nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
  date -u +%F
}
step machine machine
step tests "$build/tests/ds_tests" --gtest_filter='*Cuda*'
for bits in 4 5; do
  net=$logs/nets/resnet18_ps$bits
  [ -f "$net" ] || "$build/bin/save_net" resnet18 ps $bits "$net"
  for batch in 1 64; do
    step "bench_ps${bits}_$batch" "$build/bin/deepshift" bench "$net" --device cuda --layers --batch-size $batch --runs 200
  done
done
with_torch=
if "$python" -c 'import torch, torchvision' 2>/dev/null; then with_torch=yes; fi
if [ "$with_torch" ]; then step torch "$python" bench/peers/torch_gpu.py; fi
step linear "$build/bin/bench_cuda_linear"
step ladder "$build/bin/bench_cuda_ladder"

# Training: ResNet18 for CIFAR, 512 images a step.
train() {
  local name=$1
  shift
  [ -f "$logs/$name.log" ] || rm -rf "$logs/runs/$name"
  step "$name" "$build/bin/train_cifar" --data "$data" --arch resnet18_cifar --batch-size 512 --device cuda \
    --workers "$(nproc)" --output "$logs/runs/$name" "$@"
}
for precision in f32 tf32 bf16; do
  if [ "$with_torch" ]; then
    step "torch_train_$precision" "$python" bench/peers/torch_train.py --arch resnet18_cifar --batch 512 --steps 20 \
      --channels-last --device cuda --precision $precision
  fi
  for method in float q ps; do
    [ $precision != f32 ] || [ $method = float ] || continue
    train "train_${method}_$precision" --method $method --precision $precision --epochs 3
  done
done
for method in float q; do
  train "accuracy_$method" --method $method --precision tf32 --epochs 20 --optimizer muon --lr 0.06 --label-smoothing 0.1
done
for kind in ps:2 q:3 q:4 ps:4 q:5 ps:5; do
  for activations in 8 16; do
    name=resnet20_${kind%:*}${kind#*:}_a$activations
    net=$logs/nets/$name
    [ -f "$net" ] || "$build/bin/deepshift" lower "$weights" "$net" --arch resnet20 --data "$data" --method "${kind%:*}" \
      --weight-bits "${kind#*:}" --activation-bits $activations >/dev/null
    step "verify_$name" "$build/bin/deepshift" verify "$net" --data "$data" --device cuda
  done
done
if command -v compute-sanitizer >/dev/null; then  # one type of every operation, and integer nets
  step sanitizer env DEEPSHIFT_TEST_TRIALS=5 compute-sanitizer --error-exitcode 1 "$build/tests/ds_tests" \
    --gtest_filter='*CudaOpCases.AgreesWithPlainLoopsInF32*:CudaNetTest.*Random*:CudaNetTest.*Linear*'
fi
python3 tools/report_device.py "$logs" --output docs/results/cuda.md
