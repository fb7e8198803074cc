#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes the folder of libraries that the presets of other platforms build with. usage: make_root.sh aarch64|musl
#   aarch64: a tree of Debian's arm64 packages, in build/roots/aarch64
#   musl:    the libraries that are needed, built from Debian's source packages with musl-gcc, in build/roots/musl;
#            without those that only stores need (libcurl, OpenSSL, expat, libarchive)
# Uses the machine's own list of Debian's packages. Does nothing where the folder is there; exit 1 with one
# sentence when it cannot.
set -u
cd "$(dirname "$0")/.." || exit 1

fail() {
    tail -n 5 "$log" >&2
    echo "make_root.sh: $1" >&2
    exit 1
}

# list_entries deb|deb-src: writes what the machine's list says of Debian's archives into $list, whose extension
# says the form: that of today's images of Debian 12 (debian.sources) or the older one (sources.list).
list_entries() {
    list=$work/list.sources
    sed "s/^Types: .*/Types: $1/" /etc/apt/sources.list.d/debian.sources >"$list" 2>/dev/null && return
    list=$work/list.list
    sed -n "s/^deb \(.*bookworm\)/$1 \1/p" /etc/apt/sources.list >"$list" 2>/dev/null
    [ -s "$list" ] || fail "no archive of Debian 12 in /etc/apt/sources.list.d/debian.sources or /etc/apt/sources.list"
}

make_aarch64() {
    local packages=libc6-dev,libgcc-12-dev,libyaml-dev,zlib1g-dev,libjansson-dev,libcurl4-openssl-dev
    packages+=,libssl-dev,libarchive-dev,libexpat1-dev,libpcre2-dev,libprotobuf-c-dev,libcmocka-dev,libopenblas0-pthread
    list_entries deb
    # extracted, not installed: nothing of it has to run
    mmdebstrap --architectures=arm64 --variant=extract --include="$packages" bookworm "$1" "$list" \
        >"$log" 2>&1 || fail "mmdebstrap could not make a tree of arm64 packages"
    # what installing would have made
    ln -s openblas-pthread/libopenblas.so.0 "$1/usr/lib/aarch64-linux-gnu/libopenblas.so.0"
}

# fetch PACKAGE...: their sources into $work.
fetch() {
    list_entries deb-src
    sed -i '/^$/,$d' "$list" # the first archive: not security's
    local apt=(apt-get -q -o "Dir::Etc::SourceParts=/dev/null" -o "Dir::Etc::SourceList=$list"
        -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache" -o "APT::Sandbox::User=root")
    mkdir -p "$work/lists" "$work/cache"
    "${apt[@]}" update >"$log" 2>&1 || fail "apt-get could not read the list of sources"
    (cd "$work" && "${apt[@]}" source "${@/%//bookworm}") >"$log" 2>&1 || fail "apt-get could not fetch: $*"
}

# describe NAME VERSION LIBRARY: a file for pkg-config.
describe() {
    printf 'Name: %s\nDescription: %s\nVersion: %s\nLibs: -L%s/lib -l%s\nCflags: -I%s/include\n' \
        "$1" "$1" "$2" "$root" "$3" "$root" >"$root/lib/pkgconfig/$1.pc"
}

make_musl() {
    local root=$PWD/$1 options source
    fetch zlib libyaml jansson pcre2 cmocka protobuf-c
    mkdir -p "$root/lib/pkgconfig" "$root/include/protobuf-c"
    options=(-DCMAKE_C_COMPILER=musl-gcc -DCMAKE_BUILD_TYPE=Release "-DCMAKE_INSTALL_PREFIX=$root"
        -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DBUILD_SHARED_LIBS=OFF -DBUILD_TESTING=OFF
        -DJANSSON_BUILD_DOCS=OFF -DJANSSON_WITHOUT_TESTS=ON -DJANSSON_EXAMPLES=OFF -DPCRE2_BUILD_PCRE2GREP=OFF
        -DPCRE2_BUILD_TESTS=OFF -DWITH_EXAMPLES=OFF -DUNIT_TESTING=OFF -DWITH_STATIC_LIB=ON)
    for source in libyaml jansson pcre2 cmocka; do
        { cmake -S "$work/$source"-*/ -B "$work/build-$source" "${options[@]}" &&
            cmake --build "$work/build-$source" --parallel "$(nproc)" &&
            cmake --install "$work/build-$source"; } >"$log" 2>&1 || fail "$source could not be built with musl"
    done
    # cmocka makes both kinds
    rm -f "$root"/lib/libcmocka.so*
    mv "$root/lib/libcmocka-static.a" "$root/lib/libcmocka.a"
    (cd "$work"/zlib-*/ && CC=musl-gcc CFLAGS="-O2 -fPIC" ./configure --static --prefix="$root" && make libz.a &&
        cp libz.a "$root/lib/" && cp zlib.h zconf.h "$root/include/") >"$log" 2>&1 || fail "zlib could not be built with musl"
    (cd "$work"/protobuf-c-*/ && musl-gcc -O2 -fPIC -I. -c protobuf-c/protobuf-c.c -o protobuf-c.o &&
        ar rcs "$root/lib/libprotobuf-c.a" protobuf-c.o && cp protobuf-c/protobuf-c.h "$root/include/protobuf-c/") \
        >"$log" 2>&1 || fail "protobuf-c could not be built with musl"
    describe yaml-0.1 0.2.5 yaml
    describe libprotobuf-c 1.4.1 protobuf-c
}

kind=${1:-}
case $kind in
aarch64 | musl) ;;
*)
    echo "usage: make_root.sh aarch64|musl" >&2
    exit 1
    ;;
esac
[ -e "build/roots/$kind" ] && exit 0
tools/install_packages.sh "$kind" || exit 1
work=$(mktemp -d)
log=$work/log
: >"$log"
rm -rf "build/roots/$kind.new"
trap 'rm -rf "$work" "build/roots/$kind.new"' EXIT
mkdir -p build/roots
"make_$kind" "build/roots/$kind.new"
# what was written into it names the final folder
grep -rlI "roots/$kind\.new" "build/roots/$kind.new" --include='*.pc' --include='*.cmake' |
    xargs -r sed -i "s#roots/$kind\.new#roots/$kind#g"
mv "build/roots/$kind.new" "build/roots/$kind"
