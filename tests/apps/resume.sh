#!/usr/bin/env bash
# Training that is killed at random moments, some of them while a checkpoint is being written, and resumed each
# time ends with the same bits as training that was not; so does training that was interrupted by Ctrl-C.
# usage: resume.sh BIN_FOLDER [KILLS [SEED]]
set -euo pipefail
bin=$1
kills=${2:-4}
RANDOM=${3:-1}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export DEEPSHIFT_THREADS=1

"$bin/deepshift" synthesize "$work/data" --train 500 --test 100 >/dev/null
"$bin/train_cifar" --data "$work/data" --epochs 1 --output "$work/float" >/dev/null 2>&1
# Everything that has a state: momentum, schedule, average of weights, stochastic rounding, running ranges of the
# activations, held-out images, mixup and augmentation.
options=(--data "$work/data" --pretrained "$work/float/best.safetensors" --method ps --weight-bits 4 --rounding stochastic --activation-bits 8
         --epochs 3 --batch-size 50 --holdout 100 --ema 0.9 --mixup 0.2 --cutout 8 --workers 1)

fail() {
  echo "FAILED: $*"
  exit 1
}

same_bits() {
  for file in last.safetensors best.safetensors; do
    cmp "$work/reference/$file" "$1/$file" || fail "$1: $file differs"
  done
  diff <(sed -E 's/"(images_per_s|seconds|waiting)":[^,}]*,?//g' "$work/reference/metrics.jsonl") \
    <(sed -E 's/"(images_per_s|seconds|waiting)":[^,}]*,?//g' "$1/metrics.jsonl") || fail "$1: metrics.jsonl differs"
  for file in summary.json curves.svg; do
    [ -s "$1/$file" ] || fail "$1: no $file"
  done
  [ -z "$(find "$1" -name '*.part')" ] || fail "$1: something half-written was left"
}

begin=$(date +%s%N)
"$bin/train_cifar" "${options[@]}" --save-every 1 --output "$work/reference" >/dev/null 2>&1
milliseconds=$((($(date +%s%N) - begin) / 1000000))

# start FOLDER: starts the run, or resumes it once it has begun.
start() {
  if [ -e "$1/config.json" ]; then
    exec "$bin/train_cifar" --resume "$1"
  else
    exec "$bin/train_cifar" "${options[@]}" --save-every 1 --output "$1"
  fi
}

half_written=0
early=0
for ((i = 1; i <= kills; ++i)); do
  start "$work/killed" >"$work/log" 2>&1 &
  process=$!
  if ((i == 1)); then  # before there is a checkpoint
    until [ -e "$work/killed/config.json" ]; do sleep 0.01; done
  elif ((i % 2)); then
    delay=$((RANDOM % (milliseconds / 2)))
    sleep "$((delay / 1000)).$(printf '%03d' $((delay % 1000)))"
  else
    while kill -0 "$process" 2>/dev/null && ! compgen -G "$work/killed/last.safetensors.*.part" >/dev/null; do
      :  # until a checkpoint is being written
    done
  fi
  kill -9 "$process" 2>/dev/null || true
  wait "$process" 2>/dev/null || true
  ! compgen -G "$work/killed/*.part" >/dev/null || half_written=$((half_written + 1))
  [ -e "$work/killed/last.safetensors" ] || early=$((early + 1))
done
((kills < 2 || half_written > 0)) || fail "no kill hit a checkpoint that was being written"
start "$work/killed" >"$work/log" 2>&1 &
wait $! || { cat "$work/log"; fail "the killed run could not be resumed"; }
same_bits "$work/killed"

# Ctrl-C: the step is finished, the state saved, exit code 130, and the message says how to go on.
"$bin/train_cifar" "${options[@]}" --output "$work/interrupted" >"$work/log" 2>&1 &
process=$!
until [ -e "$work/interrupted/config.json" ]; do sleep 0.05; done
sleep "0.$(printf '%03d' $((milliseconds / 4 % 1000)))"
kill -INT "$process"
kill -INT "$process" 2>/dev/null || true  # as timeout(1) does, to the process and to its group
code=0
wait "$process" || code=$?
[ "$code" -eq 130 ] || { cat "$work/log"; fail "exit code $code after SIGINT, expected 130"; }
grep -q -- "--resume $work/interrupted" "$work/log" || fail "no word on how to resume"
"$bin/train_cifar" --resume "$work/interrupted" --save-every 1 >"$work/log" 2>&1 || { cat "$work/log"; fail "resume"; }
same_bits "$work/interrupted"

# So does one that starts from a file whose first and last layer are float, in another folder and in other words.
"$bin/deepshift" convert "$work/float/best.safetensors" "$work/ends.safetensors" --method q --first-last float >/dev/null
ends=(--epochs 2 --batch-size 50 --holdout 100 --mean 0.5 --std 0.25)
from=(--data "$work/data" --pretrained "$work/ends.safetensors")
"$bin/train_cifar" "${from[@]}" "${ends[@]}" --output "$work/ends" >/dev/null 2>&1
"$bin/train_cifar" "${from[@]}" "${ends[@]}" --save-every 3 --output "$work/stopped" >"$work/log" 2>&1 &
process=$!
until [ -e "$work/stopped/last.safetensors" ]; do sleep 0.01; done
kill -9 "$process" 2>/dev/null || true
wait "$process" 2>/dev/null || true
(cd "$work" && "$bin/train_cifar" --pretrained ends.safetensors --data data "${ends[@]}" --device auto --resume stopped \
  --output moved >"$work/log" 2>&1) || { cat "$work/log"; fail "a run with float ends could not be resumed"; }
for file in last.safetensors best.safetensors; do
  cmp "$work/ends/$file" "$work/moved/$file" || fail "moved: $file differs"
done

# A kill between the files of an epoch's end: what comes after the checkpoint is done again, in the first epoch from the
# start, and with held-out images too.
"$bin/train_cifar" "${options[@]}" --output "$work/whole" >"$work/log" 2>&1 &
process=$!
until [ -e "$work/whole/last.safetensors" ]; do sleep 0.01; done
cp "$work/whole/last.safetensors" "$work/first.safetensors"
wait "$process"
for epochs in 1 2; do
  cut=$work/cut$epochs
  mkdir "$cut"
  cp "$work/whole/config.json" "$work/whole/best.safetensors" "$cut"
  head -n "$epochs" "$work/whole/metrics.jsonl" >"$cut/metrics.jsonl"
  ((epochs == 1)) || cp "$work/first.safetensors" "$cut/last.safetensors"
  "$bin/train_cifar" --resume "$cut" >"$work/log" 2>&1 || { cat "$work/log"; fail "cut in epoch $epochs: not resumed"; }
  same_bits "$cut"
done

# More epochs than the run began with, stopped before the first of them was saved: they are not forgotten, and the result
# of the shorter run is not taken for theirs.
longer=(--data "$work/data" --schedule constant --batch-size 50)
"$bin/train_cifar" "${longer[@]}" --epochs 1 --output "$work/longer" >/dev/null 2>&1
"$bin/train_cifar" --resume "$work/longer" --epochs 2 >"$work/log" 2>&1 &
process=$!
until grep -q '"epochs": 2' "$work/longer/config.json"; do
  kill -0 "$process" 2>/dev/null || { cat "$work/log"; fail "the longer run did not start"; }
  sleep 0.01
done
kill -9 "$process" 2>/dev/null || true
wait "$process" 2>/dev/null || true
[ "$(wc -l <"$work/longer/metrics.jsonl")" -eq 1 ] || fail "the longer run was not stopped in time"
[ ! -e "$work/longer/summary.json" ] || fail "the summary of the shorter run is still there"
"$bin/train_cifar" --resume "$work/longer" >"$work/log" 2>&1 || { cat "$work/log"; fail "the longer run"; }
[ "$(wc -l <"$work/longer/metrics.jsonl")" -eq 2 ] || fail "the longer run ended after $(wc -l <"$work/longer/metrics.jsonl") epochs"

# A finished run can be resumed: nothing is left to do, and nothing changes.
"$bin/train_cifar" --resume "$work/killed" >/dev/null
same_bits "$work/killed"
for from in killed copied; do  # into another folder too, which can be resumed in turn
  "$bin/train_cifar" --resume "$work/$from" --output "$work/copied${from#killed}" >/dev/null
done
same_bits "$work/copied"
same_bits "$work/copiedcopied"
echo "$kills kills ($early before the first checkpoint, $half_written with a half-written file) and an interruption: equal bits"
