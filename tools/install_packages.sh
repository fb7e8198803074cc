#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that are missing. usage: install_packages.sh build|test|all|aarch64|musl
#   build: compiler and libraries of the programs, and what the first run needs
#   test:  the above and what the test suite needs; all: also clang, mpirun and other shells, for .ci/run
#   aarch64, musl: what tools/make_root.sh and the presets of these names need
# Asks for nothing; does nothing when everything is there. Exit 1 with one sentence when it cannot.
set -u

build=(gcc libc6-dev make cmake pkg-config libyaml-dev libopenblas0 zlib1g-dev libjansson-dev
       libcurl4-openssl-dev libssl-dev libarchive-dev libexpat1-dev libpcre2-dev
       libprotobuf-c-dev protobuf-c-compiler
       python3 python3-pip ca-certificates)
test=(libcmocka-dev valgrind)
all=(clang clang-format git openmpi-bin dpkg-dev file zsh fish mandoc)
aarch64=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross mmdebstrap qemu-user)
musl=(musl-tools dpkg-dev xz-utils bzip2)

wanted=("${build[@]}")
case "${1:-build}" in
build) ;;
test) wanted+=("${test[@]}") ;;
all) wanted+=("${test[@]}" "${all[@]}") ;;
aarch64) wanted+=("${test[@]}" "${aarch64[@]}") ;;
musl) wanted+=("${test[@]}" "${musl[@]}") ;;
*)
    echo "usage: install_packages.sh build|test|all|aarch64|musl" >&2
    exit 1
    ;;
esac

missing=()
if command -v dpkg-query >/dev/null; then
    for package in "${wanted[@]}"; do
        state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)
        [ "$state" = installed ] || missing+=("$package")
    done
fi
if [ "${#missing[@]}" -eq 0 ]; then
    exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "install_packages.sh: missing: ${missing[*]}; install them as root (there is no sudo here)" >&2
        exit 1
    fi
    as_root=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
echo "installing: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! "${as_root[@]}" apt-get -q update >"$log" 2>&1; then
    tail -n 3 "$log" >&2 # an old list may still do
fi
if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -q -y --no-install-recommends install "${missing[@]}" >"$log" 2>&1 </dev/null; then
    tail -n 10 "$log" >&2
    echo "install_packages.sh: apt-get could not install: ${missing[*]} (is there a network?)" >&2
    exit 1
fi
