#!/usr/bin/env bash
# Installs what building and testing Weir needs, on Debian 12 or 13. It may be run at any time:
# what is there already is left alone, and a run that finds everything takes about a second.
#
# Most of it is packages. Three libraries are built from the source packages of Debian 13: wolfSSL
# and, on Debian 12, liburing, because how they are configured decides whether the mesh is fast and
# safe; cJSON, because the CNI plugin must run on nodes of any kind and needs it static. They go to a cache outside the tree, ${WEIR_CACHE:-~/.cache/weir}/deps. On Debian 12
# llhttp comes from Debian 13 too. Debian 13 is read with a private apt configuration: the machine's
# own sources, with another suite name, so that nothing else can ever be installed from there.
set -euo pipefail

WOLFSSL_VERSION=5.7.2
LIBURING_VERSION=2.9
CJSON_VERSION=1.7.18
CJSON_CFLAGS="-O2 -g -fPIC"
LLHTTP_VERSION=9.2
SOURCE_SUITE=trixie

case "$(uname -m)" in
aarch64) WOLFSSL_ASM=--enable-armasm ;;
*) WOLFSSL_ASM=--enable-intelasm ;;
esac
WOLFSSL_OPTIONS=(
    "$WOLFSSL_ASM" --enable-sp --enable-sp-asm --enable-opensslextra
    --enable-tls13 --disable-tlsv12 --disable-oldtls
    --enable-certgen --enable-certreq --enable-certext --enable-keygen
    --enable-alpn --enable-sni --enable-curve25519 --enable-ed25519 --enable-crl
    --enable-altcertchains --enable-pkcallbacks
    --disable-examples --disable-crypttests --enable-static --disable-shared --with-pic
)
WOLFSSL_CFLAGS="-O3 -DWOLFSSL_ALT_NAMES -DWOLFSSL_SMALL_SESSION_CACHE"
LIBURING_CFLAGS="-O3 -g -fPIC"

PACKAGES=(
    gcc g++ libc6-dev clang clang-format cmake ninja-build make pkg-config git
    libcmocka-dev libnghttp2-dev libcjson-dev libyaml-dev
    libprotobuf-c-dev protobuf-c-compiler protobuf-compiler
    libsqlite3-dev libpq-dev postgresql libnftables-dev libmnl-dev libseccomp-dev liburcu-dev libcurl4-openssl-dev libre2-dev
    nftables iproute2 curl wrk bind9-dnsutils dnsmasq-base nginx-light haproxy nghttp2-client nghttp2-server tcpdump openssl
    python3 python3-h2 python3-hpack python3-yaml python3-protobuf
    autoconf automake libtool dpkg-dev jq procps util-linux netcat-openbsd ca-certificates
)
# Some tests use these where they exist, and say that they skip where they don't.
OPTIONAL_PACKAGES=(python3-grpcio python3-cryptography)
# Servers that tests start themselves, in network namespaces: never as services of this machine.
SERVICES=(nginx haproxy postgresql)

say() { printf 'setup: %s\n' "$*"; }
die() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

read_distribution() {
    ID=unknown VERSION_ID= VERSION_CODENAME=
    if [ -r /etc/os-release ]; then . /etc/os-release; fi
    case "$ID:$VERSION_ID" in
    debian:12) PACKAGES+=(libclang-rt-14-dev) ;;
    debian:13) PACKAGES+=(libclang-rt-19-dev libllhttp-dev liburing-dev) ;;
    *) die "this script knows Debian 12 and 13, and this machine is '$ID $VERSION_ID'." ;;
    esac
}

# Prints those of the given packages that are not installed.
missing_packages() {
    local have
    have=$(dpkg-query -W -f '${Package} ${db:Status-Abbrev}\n' "$@" 2>/dev/null |
        awk '$2 == "ii" { print $1 }' || true)
    comm -23 <(printf '%s\n' "$@" | sort -u) <(sort -u <<<"$have")
}

need_root() { [ "$(id -u)" = 0 ] || die "installing packages ($*) needs root; run this as root."; }

# Packages of servers would start them: policy-rc.d forbids that while apt runs.
forbid_service_starts() {
    [ -e /usr/sbin/policy-rc.d ] && return
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
}

allow_service_starts() {
    [ "$(trap -p EXIT)" = "" ] && return
    rm -f /usr/sbin/policy-rc.d
    trap - EXIT
}

apt_update_once() {
    [ -n "${apt_updated-}" ] && return
    say "reading the package lists"
    apt-get -qq -o DPkg::Lock::Timeout=600 update >"$LOGS/apt-update.log" 2>&1 ||
        say "some package list could not be read (see $LOGS/apt-update.log); going on"
    apt_updated=yes
}

apt_install() {
    local log=$LOGS/apt-install.log
    DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout=600 \
        -o DPkg::Use-Pty=0 install --no-install-recommends "$@" >"$log" 2>&1 ||
        { tail -n 15 "$log" >&2; die "apt could not install: $* (its output is in $log)."; }
}

install_packages() {
    local missing optional service was_missing=()
    mapfile -t missing < <(missing_packages "${PACKAGES[@]}")
    mapfile -t optional < <(missing_packages "${OPTIONAL_PACKAGES[@]}")
    if [ ${#missing[@]} -gt 0 ]; then
        need_root "${missing[*]}"
        apt_update_once
    fi
    if [ ${#optional[@]} -gt 0 ] && [ "$(id -u)" = 0 ] &&
        apt-cache show "${optional[@]}" >/dev/null 2>&1; then
        missing+=("${optional[@]}")
    fi
    [ ${#missing[@]} -eq 0 ] && return
    say "installing ${missing[*]}"
    for service in "${SERVICES[@]}"; do
        [ -e "/etc/init.d/$service" ] || was_missing+=("$service")
    done
    forbid_service_starts
    apt_install "${missing[@]}"
    allow_service_starts
    for service in "${was_missing[@]}"; do
        update-rc.d "$service" disable >/dev/null 2>&1 || true
        systemctl disable "$service" >/dev/null 2>&1 || true
    done
}

# The machine's own sources of Debian, with Debian 13's suites, for a private apt.
private_apt() {
    local dir=$CACHE/apt
    apt-get -q -o "Dir::Etc::SourceList=/dev/null" -o "Dir::Etc::SourceParts=$dir/sources.list.d" \
        -o "Dir::State::Lists=$dir/lists" -o "Dir::Cache=$dir/cache" \
        -o "APT::Sandbox::User=root" "$@"
}

private_apt_ready() {
    local dir=$CACHE/apt file found=
    [ -n "${private_apt_updated-}" ] && return
    mkdir -p "$dir/sources.list.d" "$dir/lists/partial" "$dir/cache/archives/partial"
    rm -f "$dir/sources.list.d"/*
    for file in /etc/apt/sources.list.d/*.sources; do
        [ -r "$file" ] && grep -q "^Suites:.*\b$VERSION_CODENAME\b" "$file" || continue
        sed -e "/^Suites:/s/\b$VERSION_CODENAME\b/$SOURCE_SUITE/g" \
            -e 's/^Types:.*/Types: deb deb-src/' "$file" >"$dir/sources.list.d/${file##*/}"
        found=yes
    done
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -r "$file" ] && grep -Eq "^deb .* $VERSION_CODENAME([ /-]|\$)" "$file" || continue
        sed -nE "/^deb .* $VERSION_CODENAME([ \/-]|\$)/{s/ $VERSION_CODENAME/ $SOURCE_SUITE/;p;s/^deb /deb-src /;p}" \
            "$file" >"$dir/sources.list.d/${file##*/}"
        [ "${file##*.}" = list ] && [ "${file##*/}" != sources.list ] ||
            mv "$dir/sources.list.d/${file##*/}" "$dir/sources.list.d/machine.list"
        found=yes
    done
    [ -n "$found" ] || die "found no Debian source of apt for $VERSION_CODENAME in /etc/apt."
    say "reading the source lists of Debian $SOURCE_SUITE"
    private_apt update >"$LOGS/apt-private.log" 2>&1 ||
        die "apt could not read Debian $SOURCE_SUITE (its output is in $LOGS/apt-private.log)."
    private_apt_updated=yes
}

install_llhttp() {
    [ "$VERSION_ID" = 12 ] || return 0
    local missing dir=$CACHE/llhttp
    mapfile -t missing < <(missing_packages libllhttp-dev "libllhttp$LLHTTP_VERSION")
    [ ${#missing[@]} -eq 0 ] && return
    need_root "${missing[*]}"
    private_apt_ready
    say "installing llhttp $LLHTTP_VERSION from Debian $SOURCE_SUITE"
    rm -rf "$dir" && mkdir -p "$dir"
    (cd "$dir" && private_apt download libllhttp-dev "libllhttp$LLHTTP_VERSION") \
        >"$LOGS/llhttp.log" 2>&1 ||
        die "apt could not fetch libllhttp-dev (its output is in $LOGS/llhttp.log)."
    # The machine's own apt checks the dependencies, and can take them only from its own release.
    apt_install "$dir"/*.deb
}

# Unpacks a source package of Debian 13 into the folder $3.
fetch_source() {
    local name=$1 version=$2 dir=$3 exact
    private_apt_ready
    rm -rf "$dir" && mkdir -p "$dir"
    exact=$(private_apt --print-uris --download-only source "$name" 2>/dev/null |
        sed -n "s/^'[^']*' \(${name}_[^ ]*\)\.dsc .*/\1/p" | sed "s/^${name}_//" | head -n 1)
    case "$exact" in
    "$version"[-+]*) ;;
    *) die "Debian $SOURCE_SUITE has $name '$exact', and Weir needs $version." ;;
    esac
    (cd "$dir" && private_apt source "$name") >"$LOGS/$name-source.log" 2>&1 ||
        die "apt could not fetch the source of $name (its output is in $LOGS/$name-source.log)."
    mv "$dir/$name-$version" "$dir/src"
}

build_wolfssl() {
    say "building wolfSSL $WOLFSSL_VERSION (about a minute)"
    fetch_source wolfssl "$WOLFSSL_VERSION" "$BUILD/wolfssl"
    (
        cd "$BUILD/wolfssl/src"
        ./autogen.sh
        ./configure --prefix="$1" "${WOLFSSL_OPTIONS[@]}" CFLAGS="$WOLFSSL_CFLAGS"
        make -j "$(nproc)"
        make install
    ) >"$LOGS/wolfssl.log" 2>&1 || die "wolfSSL does not build (its output is in $LOGS/wolfssl.log)."
    rm -rf "$BUILD/wolfssl"
}

build_liburing() {
    say "building liburing $LIBURING_VERSION"
    fetch_source liburing "$LIBURING_VERSION" "$BUILD/liburing"
    (
        cd "$BUILD/liburing/src"
        ./configure --prefix="$1" --libdir="$1/lib" --includedir="$1/include"
        make -C src -j "$(nproc)" ENABLE_SHARED=0 CFLAGS="$LIBURING_CFLAGS"
        make -C src install ENABLE_SHARED=0 CFLAGS="$LIBURING_CFLAGS"
    ) >"$LOGS/liburing.log" 2>&1 || die "liburing does not build (its output is in $LOGS/liburing.log)."
    rm -rf "$BUILD/liburing"
}

build_cjson() {
    say "building cJSON $CJSON_VERSION"
    fetch_source cjson "$CJSON_VERSION" "$BUILD/cjson"
    (
        cd "$BUILD/cjson/src"
        mkdir -p "$1/include/cjson" "$1/lib"
        # shellcheck disable=SC2086 # flags
        gcc $CJSON_CFLAGS -c cJSON.c -o cJSON.o
        ar rcs "$1/lib/libcjson.a" cJSON.o
        cp cJSON.h "$1/include/cjson/"
    ) >"$LOGS/cjson.log" 2>&1 || die "cJSON does not build (its output is in $LOGS/cjson.log)."
    rm -rf "$BUILD/cjson"
}

# Makes deps/NAME point at deps/NAME-VERSION-HASH, which `build_NAME` fills if it isn't there.
# A folder is complete exactly when it holds the file `complete`.
provide() {
    local name=$1 version=$2 options=$3 hash target
    hash=$(printf '%s\n' "$options" | sha256sum | cut -c 1-12)
    target=$DEPS/$name-$version-$hash
    if [ ! -e "$target/complete" ]; then
        rm -rf "$target"
        "build_$name" "$target"
        [ -d "$target/include" ] && [ -d "$target/lib" ] || die "$name was built without a library."
        touch "$target/complete"
    fi
    [ "$(readlink "$DEPS/$name" || true)" = "${target##*/}" ] || ln -sfn "${target##*/}" "$DEPS/$name"
}

main() {
    read_distribution
    CACHE=${WEIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/weir}
    DEPS=$CACHE/deps BUILD=$CACHE/build LOGS=$CACHE/logs
    mkdir -p "$DEPS" "$BUILD" "$LOGS" || die "cannot make the cache folder $CACHE."
    exec 9>"$CACHE/setup.lock"
    flock 9

    install_packages
    install_llhttp
    provide wolfssl "$WOLFSSL_VERSION" "${WOLFSSL_OPTIONS[*]} $WOLFSSL_CFLAGS"
    [ "$VERSION_ID" = 12 ] && provide liburing "$LIBURING_VERSION" "$LIBURING_CFLAGS"
    provide cjson "$CJSON_VERSION" "$CJSON_CFLAGS"
    say "ready (libraries in $DEPS)"
}

main "$@"
