#!/usr/bin/env bash
# Makes a root file system of programs, the shared libraries that they need, and nothing else: no shell, no package manager.
# The libraries are those of this machine; their licences come along.
#
# usage: helm/image/rootfs.sh OUT PROGRAM...
set -euo pipefail
OUT=${1?a folder that is not there yet}
shift
[ ! -e "$OUT" ] || { echo "rootfs: $OUT is there already" >&2; exit 1; }
umask 022

# Where the loader looks, whatever the machine's own layout: /lib and /lib64 are links into /usr.
mkdir -p "$OUT"/usr/{bin,lib,lib64} "$OUT"/{etc,proc,sys,dev,run,tmp,var}
chmod 1777 "$OUT/tmp"
ln -s usr/bin "$OUT/bin"
ln -s usr/lib "$OUT/lib"
ln -s usr/lib64 "$OUT/lib64"
ln -s ../run "$OUT/var/run"
printf '%s\n' 'root:x:0:0:root:/:/sbin/nologin' 'weir:x:65532:65532:weir:/:/sbin/nologin' >"$OUT/etc/passwd"
printf '%s\n' 'root:x:0:' 'weir:x:65532:' >"$OUT/etc/group"
echo 'hosts: files dns' >"$OUT/etc/nsswitch.conf"

# The roots to which servers outside of the mesh lead (--system-roots), as this machine has them.
roots=/etc/ssl/certs/ca-certificates.crt
[ -s "$roots" ] || { echo "rootfs: there is no $roots (package ca-certificates)" >&2; exit 1; }
mkdir -p "$OUT/etc/ssl/certs" "$OUT/usr/share/doc/ca-certificates"
cp -L "$roots" "$OUT$roots"
[ ! -e /usr/share/doc/ca-certificates/copyright ] || cp -L /usr/share/doc/ca-certificates/copyright "$OUT/usr/share/doc/ca-certificates/"

# Prints the paths that the loader would open for a program; none for a static one.
libraries() {
    local lines
    lines=$(ldd "$1" 2>/dev/null) || return 0
    if grep 'not found' <<<"$lines" >&2; then
        echo "rootfs: $1 lacks the libraries above" >&2
        return 1
    fi
    sed -nE 's/.*=> (\/[^ ]+) \(.*/\1/p; s/^[[:space:]]*(\/[^ ]+) \(.*/\1/p' <<<"$lines"
}

# The package of a file, as dpkg knows it: by its path in /usr, or as it was before that merge.
package() { dpkg-query -S "$1" "${1#/usr}" "/usr$1" 2>/dev/null | sed -n '1s/:.*//p' || true; }

needed=()
for program in "$@"; do
    strip --strip-unneeded -o "$OUT/usr/bin/${program##*/}" "$program"
    chmod 755 "$OUT/usr/bin/${program##*/}"
    mapfile -t -O ${#needed[@]} needed < <(libraries "$program")
done
for library in $(printf '%s\n' "${needed[@]}" | sort -u); do
    to=$OUT/usr/${library#/}
    to=${to/"$OUT/usr/usr/"/"$OUT/usr/"}
    mkdir -p "${to%/*}"
    cp -L "$library" "$to"
    name=$(package "$(readlink -f "$library")")
    [ -z "$name" ] || [ -e "$OUT/usr/share/doc/$name" ] || [ ! -e "/usr/share/doc/$name/copyright" ] || {
        mkdir -p "$OUT/usr/share/doc/$name"
        cp -L "/usr/share/doc/$name/copyright" "$OUT/usr/share/doc/$name/"
    }
done
