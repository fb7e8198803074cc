#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Tries the Debian package and the repaired wheel of build/release in a Debian 12 that holds nothing else: installs,
# trains, removes, and lists what was left behind. As root; needs debootstrap, dpkg-dev, file, and auditwheel and
# patchelf on PATH. usage: tools/package/try.sh (about five minutes)
set -eu
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
root=$work/root
leave() {
    umount "$root/proc" 2>/dev/null || true
    rm -rf "$work"
}
trap leave EXIT

echo "==== a Debian without anything"
archive=$(sed -n 's/^URIs: //p' /etc/apt/sources.list.d/debian.sources 2>/dev/null | head -n 1)
[ -n "$archive" ] || archive=$(awk '/^deb /{print $2; exit}' /etc/apt/sources.list)
debootstrap --variant=minbase --include=ca-certificates bookworm "$root" "$archive" >"$work/log" 2>&1 || {
    tail "$work/log"
    exit 1
}
cp /etc/resolv.conf "$root/etc/"
if [ -f /etc/apt/sources.list.d/debian.sources ]; then
    rm -f "$root/etc/apt/sources.list"
    cp /etc/apt/sources.list.d/debian.sources "$root/etc/apt/sources.list.d/"
fi

echo "==== packages"
cmake --build build/release --parallel "$(nproc)" -- --no-print-directory >"$work/log" 2>&1
(cd build/release && cpack -B "$work/deb" >"$work/log" 2>&1)
tools/package/make_wheel.py build/release "$work/wheel"
auditwheel repair -w "$work/repaired" "$work"/wheel/*.whl >"$work/log" 2>&1
mkdir -p "$root/job"
cp "$work"/deb/*.deb "$work"/repaired/*.whl data/train.tsv data/dev.tsv "$root/job/"
(cd tests/e2e && python3 -B -c "
from support import weights
weights.write_folder('$root/job/weights', weights.words_of('../../data/train.tsv'))")

cat >"$root/job/try.sh" <<'END'
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
cd /job
files() {
    find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /job -o -path /var/lib/apt \
        -o -path /var/cache -o -path /var/log \) -prune -o -print | sort
}
train() {
    "$1" --experiment=bert/sentence_prediction --mode=train_and_eval --model_dir="$2" --init=weights --train=train.tsv \
        --eval=dev.tsv --params_override=trainer.train_steps=20,trainer.validation_interval=20 2>log || tail log
}
apt-get -q update >log 2>&1
files >before
apt-get -q -y install ./bert-train_*.deb >log 2>&1 || tail log
echo "the package: $(bert-train --version | head -n 1)"
train bert-train of_package | head -n 2
apt-get -q -y purge bert-train >log 2>&1 && apt-get -q -y autoremove --purge >log 2>&1
files >after
echo "left after its purge: $(comm -13 before after | wc -l) files"
comm -13 before after
apt-get -q -y install --no-install-recommends python3-venv >log 2>&1 || tail log
python3 -m venv v && v/bin/pip install -q ./*.whl
echo "the wheel: $(v/bin/bert-train --version | head -n 1)"
train v/bin/bert-train of_wheel | head -n 2
v/bin/pip uninstall -q -y bert-train
echo "left after its uninstall: $(find v -name '*bert*' | wc -l) files"
END
echo "==== used there"
mount -t proc proc "$root/proc" # where a program learns its own folder, in which a wheel has the libraries
chroot "$root" sh /job/try.sh
