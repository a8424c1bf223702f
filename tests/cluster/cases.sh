# The cases of the test cluster, in their order. Each is a function case_NAME; it runs in a shell with `set -euo pipefail`, and fails
# by its exit status. Nothing waits by the clock: everything waits for what must happen, with a deadline.
# shellcheck shell=bash
FIRST=(up install calls) # what all others need
CASES=()
DEADLINE_S=${DEADLINE_S:-180}
APPS=weir.test/apps:1
IMAGE=weir.test/weir:test
WEIR_NS=weir-system

# ---- what the cases say -------------------------------------------------------------------------

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}
step() { printf '%s - %s\n' "$(date +%T)" "$*"; }

# eventually COMMAND...: until it succeeds, or $DEADLINE_S seconds are over.
eventually() {
    local end=$((${EPOCHREALTIME/[.,]/} + DEADLINE_S * 1000000)) out=$OUT/eventually.$BASHPID
    until "$@" >"$out" 2>&1; do
        if [ "${EPOCHREALTIME/[.,]/}" -ge "$end" ]; then
            cat "$out"
            fail "not within $DEADLINE_S s: $*"
        fi
        read -rt 0.3 <> <(:) || true
    done
    rm -f "$out"
}
same() { [ "$1" = "$2" ] || fail "${3:-value} is \"$1\", and should be \"$2\""; }

# pod APP NODE [NAMESPACE]: the name of the application's pod on the node.
pod() {
    local name
    name=$(k get pods -n "${3:-shop}" -l "app=$1" --field-selector "spec.nodeName=$2,status.phase=Running" -o name | head -n 1)
    [ -n "$name" ] || fail "no pod of $1 on $2"
    echo "${name#pod/}"
}
pod_ip() { k get pod -n "${2:-shop}" "$1" -o 'jsonpath={.status.podIP}'; }
pod_ip6() { k get pod -n "${2:-shop}" "$1" -o 'jsonpath={.status.podIPs[1].ip}'; }
# in_pod POD COMMAND...: NAMESPACE/POD, or POD of shop.
in_pod() {
    local pod=$1 ns=shop
    shift
    [[ $pod != */* ]] || { ns=${pod%/*} pod=${pod#*/}; }
    k exec -q -n "$ns" "$pod" -- "$@"
}
# get POD URL [CURL ARGUMENT...]: prints the body; fails if there is no answer of 200.
get() {
    local pod=$1 url=$2
    shift 2
    in_pod "$pod" curl -sS -f --max-time 20 "$@" "$url"
}
get_fails() { ! get "$@" --max-time 5; }
field() { /usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

# Everything that the node proxy of a node has logged, also the one before a restart.
proxy_log() {
    local pod
    for pod in $(k get pods -n "$WEIR_NS" -l app.kubernetes.io/component=nodeproxy --field-selector "spec.nodeName=$1" -o name); do
        k logs -n "$WEIR_NS" "$pod" --all-containers 2>/dev/null || true
    done
}
has_line() {
    local node=$1 text lines
    shift
    lines=$(proxy_log "$node")
    for text in "$@"; do lines=$(grep -F -- "$text" <<<"$lines") || return 1; done
}
# logged NODE TEXT...: a line with all of these texts appears.
logged() { eventually has_line "$@"; }

ready() { k rollout status -n "$1" "$2" --timeout="${DEADLINE_S}s"; }

after_failure() {
    local pod KUBECTL_S=20
    echo "---- afterwards"
    k get pods -A -o wide
    k get events -A --sort-by=.lastTimestamp | tail -n 15 | cut -c 1-400
    for pod in $(k get pods -n "$WEIR_NS" -o name); do
        echo "---- the end of $pod"
        k logs -n "$WEIR_NS" "$pod" --all-containers --tail=8 | cut -c 1-400
    done
}

# ---- the cluster and the mesh -------------------------------------------------------------------

case_up() {
    step "images"
    mkdir -p "$OUT/images"
    "$ROOT/helm/image/build.sh" --name "$IMAGE" ${WEIR_BUILD:+--build "$WEIR_BUILD"} "$OUT/images/weir.tar"
    "$HERE/images.sh" apps "$OUT/images/apps.tar" "$APPS"
    step "Kubernetes"
    "$HERE/up.sh" "$OUT/images/weir.tar" "$OUT/images/apps.tar"
}

# The volume of the CA, as an administrator would make it: a folder that all nodes see.
volume() {
    install -d -o 65532 -g 65532 -m 700 "$CLUSTER/volume"
    k apply -f - <<YAML
apiVersion: v1
kind: PersistentVolume
metadata: {name: weir-ca}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: ""
  persistentVolumeReclaimPolicy: Retain
  hostPath: {path: $CLUSTER/volume, type: Directory}
YAML
}

# What is told apart from the chart's own values.
CHART=(--namespace "$WEIR_NS" --set image.repository="${IMAGE%:*}" --set image.tag="${IMAGE##*:}" --set image.pullPolicy=Never
    --set ca.persistence.storageClass= --set test.image="$APPS" --set test.deadlineSeconds=60
    --set-json 'test.client=["sh", "-c", "until curl -sSf -m 5 http://${WEIR_TEST_SERVICE_HOST:-weir-test}:8080/; do sleep 1; done"]')

mesh_is_up() {
    ready "$WEIR_NS" sts/weir-ca
    ready "$WEIR_NS" deploy/weir-controller
    ready "$WEIR_NS" ds/weir-nodeproxy
    ready "$WEIR_NS" ds/weir-cni
}

# As docs/INSTALL.md says it.
case_install() {
    volume
    helm install weir-crds "$ROOT/helm/weir-crds" --namespace "$WEIR_NS" --create-namespace
    eventually k wait --for=condition=Established crd/authorizationpolicies.security.istio.io --timeout=10s # fails where there is no status yet
    helm install weir "$ROOT/helm/weir" "${CHART[@]}"
    mesh_is_up
}

# ---- the others, in their order: the later ones change the mesh, the last ones take it away ----

# shellcheck source=/dev/null
for part in calls life running crowd operator controller routes upgrade losing machines new_root uninstall; do . "$HERE/cases/$part.sh"; done
