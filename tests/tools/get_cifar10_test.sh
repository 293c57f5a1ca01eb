#!/usr/bin/env bash
# Tests tools/get_cifar10.sh against an archive on this machine: whole, resumed, damaged, absent, already there.
#
#   get_cifar10_test.sh ROOT
set -euo pipefail
script=$(cd "$1" && pwd)/tools/get_cifar10.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() { echo "get_cifar10_test: $*" >&2; exit 1; }

mkdir cifar-10-batches-bin
head -c 300000 /dev/urandom >cifar-10-batches-bin/test_batch.bin
tar -czf archive.tar.gz cifar-10-batches-bin
url=file://$work/archive.tar.gz
md5=$(md5sum archive.tar.gz | cut -d' ' -f1)

# The data and nothing else.
is_complete() {
  [ "$(ls -A "$1")" = cifar-10-batches-bin ] &&
    cmp -s cifar-10-batches-bin/test_batch.bin "$1/cifar-10-batches-bin/test_batch.bin"
}

bash "$script" whole --url "$url" --md5 "$md5" >log 2>&1 || fail "a whole download failed: $(cat log)"
is_complete whole || fail "a whole download left: $(ls -A whole)"

bash "$script" whole --url file:///nowhere --md5 "$md5" >log 2>&1 || fail "a folder that is there was fetched again"

# Only what is missing is fetched: the part that is there is marked, and must survive (and so fail the checksum).
mkdir resumed
head -c 100000 archive.tar.gz >resumed/cifar-10-binary.tar.gz.part
bash "$script" resumed --url "$url" --md5 "$md5" >log 2>&1 || fail "a resumed download failed: $(cat log)"
is_complete resumed || fail "a resumed download left: $(ls -A resumed)"
mkdir marked
head -c 100000 /dev/zero >marked/cifar-10-binary.tar.gz.part
if bash "$script" marked --url "$url" --md5 "$md5" >log 2>&1; then fail "a partial download was fetched anew"; fi

mkdir finished
cp archive.tar.gz finished/cifar-10-binary.tar.gz.part
bash "$script" finished --url "$url" --md5 "$md5" >log 2>&1 || fail "a finished download failed: $(cat log)"
is_complete finished || fail "a finished download was not unpacked"

if bash "$script" damaged --url "$url" --md5 0123 >log 2>&1; then fail "a wrong checksum was accepted"; fi
grep -q "has MD5 $md5, expected 0123" log || fail "a wrong checksum gave: $(cat log)"
[ -z "$(ls -A damaged)" ] || fail "a wrong checksum left: $(ls -A damaged)"

if bash "$script" absent --url file:///nowhere --md5 "$md5" >log 2>&1; then fail "a missing archive was accepted"; fi
grep -q "run again to go on" log || fail "a missing archive gave: $(cat log)"

if bash "$script" >log 2>&1; then fail "a missing folder was accepted"; fi
grep -q "missing folder" log || fail "a missing folder gave: $(cat log)"
echo "get_cifar10: ok"
