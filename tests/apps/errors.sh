#!/usr/bin/env bash
# Every error of a user ends with exit code 1, one message that says what is wrong, and nothing half-written.
# usage: errors.sh BIN_FOLDER
set -euo pipefail
bin=$1
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
export DEEPSHIFT_THREADS=1
failures=0

# expect PATTERN COMMAND...: exit code 1, a message on stderr that matches, nothing on it that looks like a crash.
expect() {
  local pattern=$1 code=0
  shift
  "$@" >"$work/stdout" 2>"$work/stderr" || code=$?
  if [ "$code" -ne 1 ] || ! grep -qE -- "$pattern" "$work/stderr" || grep -q "terminate called" "$work/stderr"; then
    printf 'FAILED: %s\n  exit code %s, expected 1; expected a message like: %s\n  found: %s\n' "$*" "$code" \
      "$pattern" "$(cat "$work/stderr")"
    failures=$((failures + 1))
  fi
  if [ -e "$work/out" ] || [ -n "$(find "$work" -name '*.part')" ]; then
    printf 'FAILED: %s\n  left something behind\n' "$*"
    rm -rf "$work/out"
    failures=$((failures + 1))
  fi
}

# Every program says what it is.
for program in deepshift train_cifar train_imagenet train_mnist; do
  for question in '--help:--version' '--version:^DeepShift [0-9]'; do
    "$bin/$program" "${question%%:*}" >"$work/stdout"
    grep -q -- "${question#*:}" "$work/stdout" || { echo "FAILED: $program ${question%%:*}"; failures=$((failures + 1)); }
  done
done

data=$work/data
"$bin/deepshift" synthesize "$data" --train 100 --test 40 >/dev/null
train() { "$bin/train_cifar" --output "$work/out" "$@"; }

# The command line
expect '--data is missing' train
expect "--arch.*found 'resnet21'.*resnet20" train --data "$data" --arch resnet21
expect '--lr.*found -1' train --data "$data" --lr -1
expect '--lr.*found nan' train --data "$data" --lr nan
expect '--epochs.*found 0' train --data "$data" --epochs 0
expect '--weight-bits.*found 9.*2 to 7' train --data "$data" --method q --weight-bits 9
expect '--optimizer' train --data "$data" --optimizer lion
expect 'milestones' train --data "$data" --schedule multistep
expect 'nesterov' train --data "$data" --optimizer adam --nesterov
expect 'warmup-epochs' train --data "$data" --epochs 2 --warmup-epochs 2
expect 'activation.*0\.0' train --data "$data" --activation-bits 0.0
expect 'engine.*fast' train --data "$data" --engine fast
expect 'cuda:77|not compiled in|CUDA' train --data "$data" --device cuda:77
expect 'no-such-option' train --data "$data" --no-such-option
expect 'holdout is 100' train --data "$data" --holdout 100
expect '--epochs.*found 010' train --data "$data" --epochs 010
expect '--seed.*found -1' train --data "$data" --seed -1
expect '--data.*empty' train --data ""
expect '--evaluate.*empty' train --data "$data" --evaluate ""
expect '--mean.*found nan' train --data "$data" --mean nan --std 1
expect '--weight-bits has an effect with --method' train --data "$data" --weight-bits 4
expect '--activation-unsigned has an effect with --activation-bits' train --data "$data" --activation-unsigned
expect '--gamma has an effect with --schedule' train --data "$data" --gamma 0.5
expect 'DEEPSHIFT_ISA is "fast"' env DEEPSHIFT_ISA=fast "$bin/train_cifar" --data "$data" --output "$work/out"
expect "mean.*2" train --data "$data" --mean 0.5,0.5 --std 0.2,0.2

# Data
expect 'nowhere' train --data "$work/nowhere"
mkdir "$work/truncated"
cp "$data"/* "$work/truncated/"
truncate -s -7 "$work/truncated/data_batch_2.bin"
expect 'data_batch_2.bin' train --data "$work/truncated"
rm "$work/truncated/test_batch.bin"
expect 'test_batch.bin|data_batch_2.bin' train --data "$work/truncated"

# Weights
# Options that say their defaults are taken, as in the command lines of reports.
"$bin/train_cifar" --data "$data" --epochs 1 --batch-size 50 --weight-bits 5 --first-last shift --gamma 0.1 --step-epochs 1 \
  --output "$work/run" >/dev/null 2>&1
model=$work/run/best.safetensors
expect 'absent.safetensors' train --data "$data" --pretrained "$work/absent.safetensors"
head -c 5000 "$model" >"$work/cut.safetensors"
expect 'cut.safetensors' train --data "$data" --pretrained "$work/cut.safetensors"
expect 'best.safetensors.*resnet20.*resnet32' train --data "$data" --arch resnet32 --pretrained "$model"
expect '--ps-init' train --data "$data" --method ps --ps-init random --pretrained "$model"
"$bin/deepshift" convert "$model" "$work/q4.safetensors" --method q --weight-bits 4 >/dev/null
expect 'q4' train --data "$data" --method ps --pretrained "$work/q4.safetensors"
"$bin/deepshift" convert "$model" "$work/ends.safetensors" --method q --first-last float >/dev/null
expect 'float weights in its first and last layer' train --data "$data" --method q --first-last shift \
  --pretrained "$work/ends.safetensors"
expect 'float' "$bin/deepshift" convert "$work/q4.safetensors" "$work/out" --method q
expect 'same file' "$bin/deepshift" convert "$model" "$model"
expect 'absent' "$bin/deepshift" eval "$work/absent" --data "$data"
expect 'absent' "$bin/deepshift" inspect "$work/absent"
expect '--data' "$bin/deepshift" eval "$model"
expect 'resnet20.*resnet56' "$bin/deepshift" eval "$model" --arch resnet56 --data "$data"
expect 'summary.json' "$bin/deepshift" compare "$data"
expect 'no-such-command' "$bin/deepshift" no-such-command
expect 'expects a command: import, convert, lower, eval' "$bin/deepshift"
expect 'see deepshift eval --help' "$bin/deepshift" eval "$model" --no-such-option
expect '10 classes, expected 100' "$bin/deepshift" eval "$model" --data "$data" --dataset cifar100

# Files of PyTorch's
torch_files=$(dirname "$0")/../fixtures/torch_files
expect 'absent' "$bin/deepshift" import "$work/absent" "$work/out"
expect 'is no file of torch.save' "$bin/deepshift" import "$model" "$work/out"
expect 'does not fit the model' "$bin/deepshift" import "$torch_files/network.zip.pth" "$work/out" --arch resnet20 --classes 10
expect 'no weight of linear found' "$bin/deepshift" import "$torch_files/network.zip.pth" "$work/out" --arch resnet20
expect '--classes.*--arch' "$bin/deepshift" import "$torch_files/network.zip.pth" "$work/out" --classes 10
expect 'deepshift import' "$bin/deepshift" eval "$torch_files/network.zip.pth" --data "$data" --arch resnet20
expect 'deepshift import' "$bin/deepshift" inspect "$torch_files/network.legacy.pth" --arch resnet20
cp "$torch_files/network.zip.pth" "$work/network.pth"
expect 'the same file' "$bin/deepshift" import "$work/network.pth" "$work/network.pth"
"$bin/deepshift" import "$torch_files/network.checkpoint.pth" "$work/imported.safetensors" >"$work/stdout"
grep -q "under 'state_dict'.*'optimizer'" "$work/stdout" && grep -q '7 tensors, 63 parameters, 284 bytes' "$work/stdout" ||
  { echo "FAILED: import: $(cat "$work/stdout")"; failures=1; }

# Integer nets
net=$work/net.safetensors
expect 'has float weights.*--weight-bits' "$bin/deepshift" lower "$model" "$work/out" --data "$data"
expect 'absent' "$bin/deepshift" lower "$work/absent" "$work/out" --data "$data"
expect '--calibration-images is 1000, but there are only 100' "$bin/deepshift" lower "$model" "$work/out" --data "$data" \
  --weight-bits 4 --calibration-images 1000
expect '--weight-bits.*6' "$bin/deepshift" lower "$model" "$work/out" --data "$data" --weight-bits 6
expect '--digits.*five' "$bin/deepshift" lower "$model" "$work/out" --data "$data" --weight-bits 4 --digits five
expect 'the same file' "$bin/deepshift" lower "$model" "$model" --data "$data" --weight-bits 4
expect 'no-such-layer' "$bin/deepshift" convert "$model" "$work/out" --layer-bits no-such-layer=3
expect '9 weight bits' "$bin/deepshift" convert "$model" "$work/out" --layer-bits layer1=9
expect '--layer-bits' "$bin/deepshift" convert "$model" "$work/out" --layer-bits layer1=three
expect '--layer-bits' "$bin/deepshift" convert "$model" "$work/out" --layer-bits layer1
expect '--plain excludes --calibrate|--calibrate excludes --plain' "$bin/deepshift" convert "$model" "$work/out" --plain --calibrate "$data"
expect '--mean and --std go with' "$bin/deepshift" convert "$model" "$work/out" --plain --mean 0.5
expect 'absent' "$bin/deepshift" convert "$model" "$work/out" --plain --data "$work/absent"
"$bin/deepshift" convert "$model" "$work/plain.safetensors" --plain --data "$data" >"$work/stdout"
for answers in 'float: top-1 [0-9]*/40 ' 'converted: top-1 [0-9]*/40 '; do
  grep -q "^$answers" "$work/stdout" || { echo "FAILED: convert with test images"; failures=1; }
done
expect 'none of the tensors input and images' "$bin/deepshift" convert "$model" "$work/out" --calibrate "$model"
expect '--mean and --std go with' "$bin/deepshift" convert "$model" "$work/out" --calibrate "$model" --mean 0.5
expect '--activation-bits' "$bin/deepshift" convert "$model" "$work/out" --activation-bits 8
expect "found '1', expected I.F" "$bin/deepshift" convert "$model" "$work/out" --calibrate "$data" --activation-bits 1 \
  --calibration-images 20
expect 'two terms are asked for in "no-such-layer"' "$bin/deepshift" convert "$model" "$work/out" --two-term ends,no-such-layer
expect 'two terms are asked for in "conv1"' "$bin/deepshift" convert "$model" "$work/out" --two-term ends --first-last float
expect 'two terms of 6 bits' "$bin/deepshift" convert "$model" "$work/out" --two-term ends --weight-bits 6
expect 'absent' "$bin/deepshift" convert "$model" "$work/out" --calibrate "$work/absent"
expect '--calibration-images is 1000, but there are only 100' "$bin/deepshift" convert "$model" "$work/out" \
  --calibrate "$data" --calibration-images 1000
expect 'holds shift-q 4 bits' "$bin/deepshift" convert "$work/q4.safetensors" "$work/out" --calibrate "$data" \
  --calibration-images 20
"$bin/deepshift" convert "$model" "$work/calibrated.safetensors" --calibrate "$data" --calibration-images 20 --weight-bits 3 |
  grep -q 'shift-q 3 bits' || { echo "FAILED: convert with sample images"; failures=1; }
"$bin/deepshift" lower "$work/calibrated.safetensors" "$work/calibrated_net.safetensors" --data "$data" --calibration-images 20 |
  grep -q '3 bits' || { echo "FAILED: lower of what was converted with sample images"; failures=1; }
"$bin/deepshift" convert "$model" "$work/mixed.safetensors" --layer-bits layer1=3 layer2.0=2 >/dev/null
expect 'has shift weights, but --layer-bits' "$bin/deepshift" lower "$work/mixed.safetensors" "$work/out" --data "$data" \
  --layer-bits layer3=4
"$bin/deepshift" lower "$work/mixed.safetensors" "$net" --data "$data" --calibration-images 20 | grep -q '2 bits' ||
  { echo "FAILED: lower of mixed widths"; failures=1; }
"$bin/deepshift" convert "$model" "$work/two.safetensors" --two-term ends --weight-bits 4 --calibrate "$data" \
  --calibration-images 20 | grep -q '^conv1 .*shift-q 2x4 bits' || { echo "FAILED: convert to two terms"; failures=1; }
"$bin/deepshift" inspect "$work/two.safetensors" | grep 'exponents p of the terms' >/dev/null ||
  { echo "FAILED: inspect of two terms"; failures=1; }
"$bin/deepshift" inspect "$work/two.safetensors" | grep ' q4+2x4 weights' >/dev/null ||
  { echo "FAILED: inspect names weights of one and of two terms"; failures=1; }
"$bin/deepshift" lower "$work/two.safetensors" "$work/two_net.safetensors" --data "$data" --calibration-images 20 |
  grep -q 'q 2x4 bits' || { echo "FAILED: lower of two terms"; failures=1; }
"$bin/deepshift" verify "$work/two_net.safetensors" --data "$data" --reference-images 2 | grep -q 'all results are equal' ||
  { echo "FAILED: verify of two terms"; failures=1; }
"$bin/deepshift" inspect "$work/two_net.safetensors" | grep 'q2x4 ' >/dev/null || { echo "FAILED: inspect of a net of two terms"; failures=1; }
expect 'no integer net' "$bin/deepshift" bench "$model"
expect 'no integer net' "$bin/deepshift" verify "$model" --data "$data"
"$bin/deepshift" lower "$model" "$net" --data "$data" --weight-bits 4 --calibration-images 20 >/dev/null
"$bin/deepshift" eval "$net" --data "$data" | grep -q '^top-1 [0-9]*/40 ' || { echo "FAILED: eval of an integer net"; failures=1; }
"$bin/deepshift" inspect "$net" | grep -q 'no multiplication' || { echo "FAILED: inspect of an integer net"; failures=1; }
"$bin/deepshift" verify "$net" --data "$data" --reference-images 2 | grep -q 'all results are equal' ||
  { echo "FAILED: verify of an integer net"; failures=1; }
"$bin/deepshift" verify "$net" --data "$data" --isa generic --generic-images 3 --reference-images 5 |
  grep 'reference .* 5 images .* equal' >/dev/null || { echo "FAILED: verify with fewer images for plain C++"; failures=1; }
"$bin/deepshift" bench "$net" --runs 2 --layers | grep -q 'images/s' || { echo "FAILED: bench of an integer net"; failures=1; }
expect 'is an integer net: it holds the rounding of its activations' "$bin/deepshift" eval "$net" --data "$data" --activation-bits 8
expect 'is an integer net, expected a model' "$bin/deepshift" convert "$net" "$work/out" --plain
expect 'is an integer net, expected a model' "$bin/deepshift" lower "$net" "$work/out" --data "$data"
expect 'has q weights, but --method ps' "$bin/deepshift" lower "$work/q4.safetensors" "$work/out" --data "$data" --method ps
expect 'no float engine runs' "$bin/train_cifar" --evaluate "$net" --data "$data" --engine reference
expect 'gives \[10\], expected \[100\]' "$bin/deepshift" eval "$net" --data "$data" --dataset cifar100
head -c 2000 "$net" >"$work/short.safetensors"
expect 'short.safetensors' "$bin/deepshift" eval "$work/short.safetensors" --data "$data"

expect 'has no effect with --evaluate' "$bin/train_cifar" --data "$data" --evaluate "$model" --method q
expect 'is there already' "$bin/deepshift" synthesize "$data"
mkfifo "$work/pipe"
expect 'pipe: is there already' "$bin/deepshift" convert "$model" "$work/pipe"
expect 'could not be written' bash -c "'$bin/deepshift' devices >/dev/full"
expect 'nowhere' "$bin/train_cifar" --data "$work/nowhere" --evaluate "$model"

# The output folder
expect 'holds a run already.*--resume.*--output' "$bin/train_cifar" --data "$data" --output "$work/run"
touch "$work/file"
expect 'file' "$bin/train_cifar" --data "$data" --output "$work/file"
if [ "$(id -u)" -ne 0 ]; then
  mkdir "$work/read_only"
  chmod a-w "$work/read_only"
  expect 'read_only' "$bin/train_cifar" --data "$data" --output "$work/read_only/out"
fi
expect 'nowhere/trace.json' "$bin/train_cifar" --data "$data" --output "$work/traced" --profile-trace "$work/nowhere/trace.json"
if [ -e "$work/traced" ]; then
  echo "FAILED: a run began whose trace cannot be written"
  failures=$((failures + 1))
fi
expect 'first not finite' "$bin/train_cifar" --data "$data" --output "$work/unborn" --epochs 1 --batch-size 50 --std 1e-40,1e-40,1e-40 \
  --mean 0,0,0
expect 'first not finite' "$bin/train_cifar" --data "$data" --output "$work/unborn" --epochs 1 --batch-size 50 --std 1e-40,1e-40,1e-40 \
  --mean 0,0,0  # what saved nothing is not in the way
expect '/proc/nowhere' "$bin/train_cifar" --data "$data" --output /proc/nowhere

# Resuming
expect 'no run in' "$bin/train_cifar" --resume "$data"
expect '--lr 0.3.*0.1' "$bin/train_cifar" --resume "$work/run" --lr 0.3
expect '--epochs 2.*1' "$bin/train_cifar" --resume "$work/run" --epochs 2
expect 'best.safetensors' "$bin/train_cifar" --resume "$model" --output "$work/out"
"$bin/deepshift" synthesize "$work/more" --train 150 --test 40 >/dev/null
cp "$work/run/config.json" "$work/config.json"
expect '100 training images, but there are 150 now' "$bin/train_cifar" --resume "$work/run" --data "$work/more"
expect '100 training images, but there are 150 now' "$bin/train_cifar" --resume "$work/run" --data "$work/more" --output "$work/out"
cmp "$work/config.json" "$work/run/config.json" || failures=$((failures + 1))
expect 'made by train_cifar, this is train_mnist' "$bin/train_mnist" --resume "$work/run"
cp -r "$work/run" "$work/lost"
rm "$work/lost/last.safetensors"
expect 'last.safetensors: not found, but summary.json is there' "$bin/train_cifar" --resume "$work/lost"
cp "$work/run/last.safetensors" "$work/lost/"
rm "$work/lost/best.safetensors"
expect 'best.safetensors: not found' "$bin/train_cifar" --resume "$work/lost"
cp -r "$work/run" "$work/broken"
truncate -s 100000 "$work/broken/last.safetensors"
expect 'last.safetensors' "$bin/train_cifar" --resume "$work/broken"

# A loss that is not finite names step and layer, and the last checkpoint stays.
cp -r "$work/run" "$work/before"
expect 'is (-?nan|-?inf) at step [0-9]+ \(epoch [0-9]+, batch [0-9]+ of [0-9]+\): first not finite is .*(conv|bn|linear|layer)' \
  "$bin/train_cifar" --data "$data" --lr 1e30 --warmup-epochs 0 --epochs 3 --batch-size 10 --output "$work/diverged"
[ ! -e "$work/diverged/summary.json" ] || failures=$((failures + 1))

[ "$failures" -eq 0 ] || { echo "$failures failed"; exit 1; }
echo "all errors are as they should be"
