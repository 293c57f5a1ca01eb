#!/usr/bin/env bash
# Installs what is missing to build the project, from Debian 12's packages alone.
#
#   tools/install_dependencies.sh [GROUP...]     groups: build (always), tests, bench, tsan, lint, aarch64
#
# Asks dpkg first: where everything is there, nothing is installed, no network is needed and no rights are asked for.
set -euo pipefail

packages=(cmake ninja-build g++ libopenblas-dev libfmt-dev nlohmann-json3-dev zlib1g-dev libcli11-dev libjpeg62-turbo-dev
  libstb-dev)
foreign=
for group in "$@"; do
  case $group in
    build) ;;
    tests) packages+=(libgtest-dev libgmock-dev python3 curl xz-utils) ;;
    bench) packages+=(libbenchmark-dev libdnnl-dev python3) ;;
    tsan) packages+=(clang-14 libomp-14-dev libclang-rt-14-dev) ;;
    lint) packages+=(clang-format-14 clang-tidy-14) ;;
    aarch64)  # the cross compiler, the emulator and the libraries of the other architecture
      foreign=arm64
      packages+=(g++-aarch64-linux-gnu qemu-user)
      packages+=({libfmt-dev,libopenblas-dev,zlib1g-dev,libjpeg62-turbo-dev,libgtest-dev,libgmock-dev,libgomp1}:arm64) ;;
    *) echo "install_dependencies: unknown group \"$group\", expected build, tests, bench, tsan, lint or aarch64" >&2; exit 1 ;;
  esac
done

if ! command -v dpkg-query >/dev/null; then
  echo "install_dependencies: this is not Debian; taking for granted what the packages ${packages[*]} would provide" >&2
  exit 0
fi

missing=()
native=$(dpkg --print-architecture)
for package in "${packages[@]}"; do
  # Without an architecture in its name, the machine's own: dpkg-query tells all that there are.
  wanted="^($native|all) installed\$"
  [[ $package != *:* ]] || wanted="^${package#*:} installed\$"
  # shellcheck disable=SC2016  # the format is dpkg-query's own
  status=$(dpkg-query --show --showformat='${Architecture} ${db:Status-Status}\n' "$package" 2>/dev/null || true)
  grep -qE "$wanted" <<<"$status" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

echo "Installing ${missing[*]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "install_dependencies: ${missing[*]} must be installed, which needs root or sudo. As root, run:" >&2
    echo "  apt-get update && apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
[ -z "$foreign" ] || "${as_root[@]}" dpkg --add-architecture "$foreign"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}"
