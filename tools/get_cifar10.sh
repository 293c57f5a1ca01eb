#!/usr/bin/env bash
# Fetches CIFAR-10, binary version (Krizhevsky 2009; 163 MiB), into DIR/cifar-10-batches-bin.
#
#   tools/get_cifar10.sh DIR [--url URL] [--md5 SUM]
#
# An interrupted download goes on where it stopped. The archive is checked before anything is unpacked, and the folder
# appears complete or not at all. Nothing is done where the folder is there already.
set -euo pipefail

url=https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz
md5=c32a1d4ab5d03f1284b67883e8d87530
folder=cifar-10-batches-bin
target=
while [ $# -gt 0 ]; do
  case $1 in
    --url) url=${2:?--url needs an address}; shift 2 ;;
    --md5) md5=${2:?--md5 needs a checksum}; shift 2 ;;
    -h|--help) sed -n '2,/^set /{s/^# \{0,1\}//;/^set /d;p}' "$0"; exit 0 ;;
    -*) echo "get_cifar10: unknown option \"$1\"; see tools/get_cifar10.sh --help" >&2; exit 1 ;;
    *) target=$1; shift ;;
  esac
done
[ -n "$target" ] || { echo "get_cifar10: missing folder; usage: tools/get_cifar10.sh DIR" >&2; exit 1; }
command -v curl >/dev/null || { echo "get_cifar10: needs curl (Debian: apt-get install curl)" >&2; exit 1; }

if [ -d "$target/$folder" ]; then
  echo "CIFAR-10 is in $target/$folder"
  exit 0
fi
mkdir -p "$target"
partial=$target/cifar-10-binary.tar.gz.part

checksum() { md5sum "$1" | cut -d' ' -f1; }

# A complete download that was stopped before it was unpacked is not asked for again: servers answer that with an error.
if ! { [ -f "$partial" ] && [ "$(checksum "$partial")" = "$md5" ]; }; then
  status=0
  curl --fail --location --progress-bar --retry 3 --continue-at - --output "$partial" "$url" || status=$?
  if [ $status -eq 33 ] || [ $status -eq 36 ]; then  # the server cannot go on from there: start anew
    status=0
    curl --fail --location --progress-bar --retry 3 --output "$partial" "$url" || status=$?
  fi
  if [ $status -ne 0 ]; then
    echo "get_cifar10: download of $url failed; what has arrived is kept in $partial: run again to go on" >&2
    exit 1
  fi
fi
found=$(checksum "$partial")
if [ "$found" != "$md5" ]; then
  rm -f "$partial"
  echo "get_cifar10: $url has MD5 $found, expected $md5; the download was deleted" >&2
  exit 1
fi

unpacked=$(mktemp -d "$target/.unpack.XXXXXX")
trap 'rm -rf "$unpacked"' EXIT
tar -xzf "$partial" -C "$unpacked"
[ -d "$unpacked/$folder" ] || { echo "get_cifar10: the archive holds no folder $folder" >&2; exit 1; }
mv "$unpacked/$folder" "$target/$folder"
rm -f "$partial"
echo "CIFAR-10 is in $target/$folder"
