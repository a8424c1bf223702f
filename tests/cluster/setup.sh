#!/usr/bin/env bash
# Installs what the test cluster needs beyond tests/setup.sh, on Debian 12: container runtime, etcd and DNS from its packages, helm
# and kubectl (tools.sh), Kubernetes itself (build.sh, unless KUBE_BIN names a folder that has it). What is there is left alone.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PACKAGES=(containerd runc containernetworking-plugins etcd-server dnsmasq-base iptables busybox-static curl nghttp2-server openssl iproute2 python3 python3-yaml)
type -P npm >/dev/null || PACKAGES+=(npm)

# One at a time, also of several checkouts: they share the machine's packages and the cache.
CACHE=${WEIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/weir}
mkdir -p "$CACHE"
exec 8>"$CACHE/setup.lock"
flock 8

missing=()
for package in "${PACKAGES[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null)" = 'ii ' ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    log=$(mktemp)
    forbidden=
    # Packages of servers would start them.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod 755 /usr/sbin/policy-rc.d
        forbidden=yes
    fi
    trap '[ -z "$forbidden" ] || rm -f /usr/sbin/policy-rc.d; rm -f "$log"' EXIT
    echo "cluster: installing ${missing[*]}"
    { apt-get -qq -o DPkg::Lock::Timeout=600 update || true
      DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout=600 -o DPkg::Use-Pty=0 install --no-install-recommends \
          "${missing[@]}"; } >"$log" 2>&1 || { tail -n 15 "$log" >&2; exit 1; }
    for service in containerd etcd dnsmasq; do
        [[ " ${missing[*]} " != *" $service"* ]] || update-rc.d "$service" disable >/dev/null 2>&1 || true
        [[ " ${missing[*]} " != *" $service"* ]] || systemctl disable "$service" >/dev/null 2>&1 || true
    done
fi
"$HERE/tools.sh" >/dev/null
[ -n "${KUBE_BIN-}" ] || "$HERE/build.sh"
