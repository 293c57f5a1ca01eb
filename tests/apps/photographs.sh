#!/usr/bin/env bash
# Photographs from folder to integer net: train, resume, evaluate, convert, lower, verify and classify; images that
# are broken, classes that are unknown.
# usage: photographs.sh BIN_FOLDER
set -euo pipefail
bin=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export DEEPSHIFT_THREADS=1
data=$work/data

fail() {
  echo "FAILED: $*"
  exit 1
}
# expect PATTERN FILE
expect() { grep -qE -- "$1" "$2" || fail "expected '$1' in: $(cat "$2")"; }
# refuse PATTERN COMMAND...: exit code 1 and such a message.
refuse() {
  local pattern=$1 code=0
  shift
  "$@" >"$work/out" 2>"$work/err" || code=$?
  [ "$code" -eq 1 ] || fail "$*: exit code $code, expected 1"
  expect "$pattern" "$work/err"
}

# Class n01 is dark, class n02 bright; no two images have the same size.
for split in train val; do
  for class in n01 n02; do
    mkdir -p "$data/$split/$class"
    for i in 1 2 3 4 5 6; do
      width=$((36 + i)) height=$((40 - i))
      { printf 'P6\n%d %d\n255\n' $width $height
        head -c $((width * height * 3)) /dev/zero | tr '\0' "$([ $class = n01 ] && echo "\\$((40 + i))" || echo "\\$((330 + i))")"
      } >"$data/$split/$class/$i.ppm"
    done
  done
done
printf 'P6\n36 36\n255\nshort' >"$data/train/n01/broken.ppm"

train() { "$bin/train_imagenet" --data "$data" --image-size 64 --arch squeezenet1_1 --batch-size 6 --seed 3 "$@"; }
train --epochs 2 --crop-scale 0.5 --color-jitter 0.2 --rand-augment 5 --cutmix 0.5 --micro-batch-size 4 --lr 0.01 \
  --output "$work/float" >"$work/log" 2>"$work/err"
expect '12 training images|13 training images' "$work/log"
expect 'waiting for data' "$work/log"
expect 'note: 1 images could not be read' "$work/err"
expect 'broken.ppm' "$work/err"
refuse 'broken.ppm' train --epochs 1 --strict --output "$work/strict"
model=$work/float/best.safetensors

"$bin/deepshift" eval "$model" --data "$data" >"$work/eval"
expect 'top-1 [0-9]+/12 \(.*95 % interval' "$work/eval"
grep -q top-5 "$work/eval" && fail "five answers of two classes"
train --recipe deepshift-q-pretrained --pretrained "$model" --epochs 1 --output "$work/q" >"$work/log" 2>&1
[ "$(grep -c '"lr": *0.001' "$work/q/config.json")" -eq 1 ] || fail "the recipe's rate: $(cat "$work/q/config.json")"

"$bin/deepshift" convert "$model" "$work/q4.safetensors" --weight-bits 4 --calibrate "$data" --calibration-images 8 \
  >"$work/log" 2>&1
expect '^weights: [0-9]+ bytes, 4.00 bits each, 8.0 times less' "$work/log"
expect '^p, in % +zero +-7 ' "$work/log"
"$bin/deepshift" lower "$work/q4.safetensors" "$work/net.safetensors" --data "$data" --calibration-images 8 >"$work/log" 2>&1
"$bin/deepshift" verify "$work/net.safetensors" --data "$data" --device cpu --reference-images 2 >"$work/log"
expect 'all results are equal' "$work/log"
"$bin/deepshift" eval "$work/net.safetensors" --data "$data" >"$work/eval"
expect 'top-1 [0-9]+/12' "$work/eval"
for file in "$model" "$work/net.safetensors"; do
  "$bin/deepshift" classify "$file" "$data/val/n01/1.ppm" "$data/val/n02/2.ppm" >"$work/answers"
  expect '^ +[0-9.]+ %  n0[12]$' "$work/answers"
  [ "$(wc -l <"$work/answers")" -eq 6 ] || fail "classify: $(cat "$work/answers")"
done
printf 'class_index,wnid,class_name\n0,n01,"crane, the bird"\n1,n02,tench\n' >"$work/names.csv"
"$bin/deepshift" classify "$model" "$data/val/n01/1.ppm" --class-names "$work/names.csv" >"$work/answers"
expect 'crane, the bird \(n01\)' "$work/answers"
refuse 'broken.ppm' "$bin/deepshift" classify "$model" "$data/train/n01/broken.ppm"

# Bad choices are told before the work, and what cannot be used is refused.
rm "$data/train/n01/broken.ppm"
refuse 'absent/q4: cannot be created' "$bin/deepshift" convert "$model" "$work/absent/q4" --calibrate "$data"
grep -q seconds "$work/out" && fail "converted before it was known that it cannot be written"
refuse 'absent/net: cannot be created' "$bin/deepshift" lower "$work/q4.safetensors" "$work/absent/net" --data "$data"
refuse 'is 13, but there are only 12' "$bin/deepshift" lower "$work/q4.safetensors" "$work/out.st" --data "$data" \
  --calibration-images 13
"$bin/deepshift" lower "$work/q4.safetensors" "$work/all.safetensors" --data "$data" >"$work/log"  # all 12, not 512
for option in '--arch squeezenet1_1' '--image-size 64' '--mean 0 --std 1'; do
  # shellcheck disable=SC2086  # words
  refuse 'is an integer net: it holds' "$bin/deepshift" classify "$work/net.safetensors" "$data/val/n01/1.ppm" $option
  # shellcheck disable=SC2086
  refuse 'is an integer net: it holds' "$bin/deepshift" eval "$work/net.safetensors" --data "$data" $option
done
refuse 'no float engine runs' "$bin/deepshift" eval "$work/net.safetensors" --data "$data" --engine openblas
refuse '--mean is given without --std' "$bin/deepshift" eval "$model" --data "$data" --mean 0.5

# A narrow image, and 13 images in batches of 6: the last one would be alone.
{ printf 'P6\n1 60000\n255\n'; head -c 180000 /dev/zero; } >"$data/train/n01/narrow.ppm"
(ulimit -v 2000000; "$bin/deepshift" classify "$model" "$data/train/n01/narrow.ppm") >"$work/answers"
train --epochs 1 --micro-batch-size 5 --output "$work/alone" >"$work/log" 2>"$work/err"
expect 'would be alone in its batch' "$work/err"
rm "$data/train/n01/narrow.ppm"

# More classes than folders: those that there are keep their names.
train --epochs 1 --classes 4 --output "$work/more" >"$work/log" 2>&1 || fail "$(cat "$work/log")"
"$bin/deepshift" eval "$work/more/best.safetensors" --data "$data" >"$work/eval"
expect 'top-1 [0-9]+/12' "$work/eval"

# Another number of classes: the last layer starts anew.
mv "$data/val/n02" "$data/train/n03"
train --pretrained "$model" --epochs 1 --output "$work/three" >"$work/log" 2>&1
expect 'note: 3 classes instead of 2: classifier.1.bias, classifier.1.weight start anew' "$work/log"
mv "$data/train/n03" "$data/val/n03"
refuse "unknown class 'n03'" "$bin/deepshift" eval "$model" --data "$data"
refuse 'neither a folder val nor a file labels.csv' "$bin/deepshift" eval "$model" --data "$data/val"
mkdir "$data/train/n03"
refuse 'n03: no images' train --epochs 1 --output "$work/empty"
