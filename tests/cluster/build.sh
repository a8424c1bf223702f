#!/usr/bin/env bash
# Builds Kubernetes from the sources that Debian 12 has (1.20.2: the newest that can be built without a registry), for a cluster on this
# machine: the control plane, kubelet and kube-proxy. What is there already is left alone. Needs root for apt, about 1.5 GB of scratch and
# six minutes of processor time. GOMAXPROCS and nice are respected.
#
# usage: tests/cluster/build.sh [FOLDER]      (default: ${WEIR_CACHE:-~/.cache/weir}/kubernetes)
set -euo pipefail
OUT=${1:-${WEIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/weir}/kubernetes}
PROGRAMS=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy)
RECIPE=5 # what was built by another one is built again

missing=()
for program in "${PROGRAMS[@]}"; do
    [ -x "$OUT/$program" ] && [ "$(cat "$OUT/recipe" 2>/dev/null)" = "$RECIPE" ] || missing+=("$program")
done
if [ ${#missing[@]} -eq 0 ]; then
    echo "cluster: $OUT is complete"
    exit 0
fi

mkdir -p "$OUT"
scratch=$(mktemp -d -p "${TMPDIR:-/var/tmp}" weir-kubernetes.XXXXXX)
trap 'rm -rf "$scratch"' EXIT

# The machine's own sources of Debian, for source packages, read by an apt of our own: the machine's lists stay as they are.
apt=("-o" "Dir::Etc::SourceList=/dev/null" "-o" "Dir::Etc::SourceParts=$scratch/sources"
    "-o" "Dir::State::Lists=$scratch/lists" "-o" "Dir::Cache=$scratch/cache" "-o" "APT::Sandbox::User=root")
mkdir -p "$scratch"/{sources,lists/partial,cache/archives/partial,src}
for file in /etc/apt/sources.list.d/*.sources; do
    if [ -r "$file" ] && grep -q '^Suites:.*\bbookworm\b' "$file"; then
        sed 's/^Types:.*/Types: deb-src/' "$file" >"$scratch/sources/${file##*/}"
    fi
done
if [ -r /etc/apt/sources.list ]; then
    sed -n 's/^deb \(.* bookworm[ -].*\)/deb-src \1/p' /etc/apt/sources.list >"$scratch/sources/machine.list"
fi
apt-get -q "${apt[@]}" update >"$OUT/apt.log" 2>&1
DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout=600 install --no-install-recommends \
    golang-go rsync make dpkg-dev >>"$OUT/apt.log" 2>&1
(cd "$scratch/src" && apt-get -q -y "${apt[@]}" source --only-source kubernetes >>"$OUT/apt.log" 2>&1)
# The sources bring a reflect2 (1.0.1) that knows only Go before 1.18: later ones iterate over maps in another way, and an API
# server would die, or write into memory that is not its own, when it prints a custom resource. Debian has the newer one.
reflect2=golang-github-modern-go-reflect2-dev
(cd "$scratch" && apt-get -q download "$reflect2" >>"$OUT/apt.log" 2>&1 && dpkg-deb -x "$reflect2"_*.deb reflect2)
vendored=$(echo "$scratch"/src/kubernetes-*/vendor/github.com/modern-go/reflect2)
rm "$vendored"/*.go "$vendored"/*.s
cp "$scratch"/reflect2/usr/share/gocode/src/github.com/modern-go/reflect2/*.{go,s} "$vendored/"
rm -f "$vendored"/*_test.go

cd "$scratch"/src/kubernetes-*/
# Built by Go since 1.18, the sources' validation takes every empty string of a custom resource for null, by comparing where they lie.
types=(vendor/{github.com/go-openapi,k8s.io/kube-openapi/pkg/validation}/validate/type.go)
sed -i 's/^\tif data == nil || reflect.DeepEqual(.*) {$/\tif data == nil {/' "${types[@]}"
[ "$(grep -c '^	if data == nil {$' "${types[@]}" | grep -c ':1$')" = 2 ] || { echo "cluster: the validation's sources are others" >&2; exit 1; }
mkdir -p .go/src/k8s.io
ln -sfn ../../.. .go/src/k8s.io/kubernetes
# Without the cloud providers' libraries and Docker's, which take half of the compiler's time; and of the files that the makefile would
# make, only the one that the sources do not bring: the server's OpenAPI definitions.
export GOPATH=$PWD/.go GOCACHE=$scratch/gocache CGO_ENABLED=0 GOFLAGS=-tags=providerless,dockerless
make -f Makefile.generated_files gen_openapi CALLED_FROM_MAIN_MAKEFILE=1 KUBE_VERBOSE=0 OUT_DIR=_output BIN_DIR=_output/bin META_DIR=.make \
    PRJ_SRC_PATH=k8s.io/kubernetes GENERATED_FILE_PREFIX=zz_generated. >"$OUT/build.log" 2>&1
hack/make-rules/build.sh "${missing[@]/#/cmd/}" >>"$OUT/build.log" 2>&1
grep -aq 'reflect2/go_above_118.go' _output/bin/kube-apiserver 2>/dev/null || [[ " ${missing[*]} " != *apiserver* ]] ||
    { echo "cluster: the API server was built with the old reflect2" >&2; exit 1; }
for program in "${missing[@]}"; do
    install -m 0755 "_output/bin/$program" "$OUT/$program.new"
    mv "$OUT/$program.new" "$OUT/$program"
done
echo "$RECIPE" >"$OUT/recipe"
echo "cluster: built ${missing[*]} into $OUT"
