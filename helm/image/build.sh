#!/usr/bin/env bash
# Makes the image of Weir (all programs in one) on this machine, without Docker and without a registry: what
# helm/image/Dockerfile makes elsewhere. The programs are built first (the preset release), unless --build says where they are.
#
# usage: helm/image/build.sh [--name NAME:TAG] [--build FOLDER] [OUT.tar]
#   --name NAME:TAG   default: weir:VERSION
#   --build FOLDER    the programs, as they are
#   OUT.tar           default: build/image/weir.tar; `ctr -n k8s.io images import`, `docker load -i` and `podman load -i` take it
set -euo pipefail
cd "$(dirname "$0")/../.."
PROGRAMS=(weir-nodeproxy weir-cni weir-controller weir-ca weirctl)
build= name= out=build/image/weir.tar
while [ $# -gt 0 ]; do
    case "$1" in
    --name) name=$2 && shift ;;
    --build) build=$2 && shift ;;
    -h | --help)
        sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    -*)
        echo "build.sh: there is no option $1" >&2
        exit 2
        ;;
    *) out=$1 ;;
    esac
    shift
done

if [ -z "$build" ]; then
    build=build/release
    cmake --preset release >/dev/null
    cmake --build --preset release
fi
version=$("$build/weir-controller" --version | sed -n '1s/^[^ ]* \([^ ]*\).*/\1/p')
rootfs=$(mktemp -d "${TMPDIR:-/var/tmp}/weir-rootfs.XXXXXX")
trap 'rm -rf "$rootfs"' EXIT
helm/image/rootfs.sh "$rootfs/root" "${PROGRAMS[@]/#/$build/}"
mkdir -p "$(dirname "$out")"
/usr/bin/python3 helm/image/archive.py --name "${name:-weir:$version}" --rootfs "$rootfs/root" --out "$out" --user 65532:65532 \
    --label "org.opencontainers.image.title=weir" --label "org.opencontainers.image.version=$version"
