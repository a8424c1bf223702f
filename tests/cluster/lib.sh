# What the scripts of the test cluster share. Sourced, with `set -euo pipefail` on.
#
#   weir-cluster-control             weir-cluster-node-a                       weir-cluster-node-b
#   etcd, kube-apiserver :6443,      containerd, kubelet, kube-proxy           ...
#   controller-manager, scheduler,   eth0 10.80.0.11   cni0 10.81.1.1/24       eth0 10.80.0.12   cni0 10.81.2.1/24
#   cluster DNS :53                     |                 |-- pods                |                 |-- pods
#        eth0 10.80.0.1                 |                                         |
#   -------+----- weir-cluster-underlay +-----------------------------------------+       Services: 10.96.0.0/16
#
# All of it has two families: fd00:80::11, fd00:81:1::/64, fd00:96::/112 are the same for IPv6. A Service has IPv4 unless it asks for more.
#
# Each member has a network namespace with a name, and below it namespaces of its own for mounts, processes and its host name, so
# that /run, /etc/cni, /opt/cni and /var/lib/kubelet of two nodes are two, and a member ends wholly when its first process does.
# Everything that lasts lies in $CLUSTER.
# shellcheck shell=bash disable=SC2034 # used by those who source this
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
HERE=$ROOT/tests/cluster
NAME=${WEIR_CLUSTER_NAME:-weir-cluster}
CLUSTER=/var/tmp/$NAME
CACHE=${WEIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/weir}
KUBE_BIN=${KUBE_BIN:-$CACHE/kubernetes}
TOOLS=$CACHE/tools
CONTROL_IP=10.80.0.1
API=https://$CONTROL_IP:6443
POD_NET=10.81.0.0/16,fd00:81::/32
SERVICE_NET=10.96.0.0/16,fd00:96::/112
DNS_IP=10.96.0.10
# Folders that a node has of its own, though the machine may have them too.
PRIVATE=(/etc/cni /opt/cni /var/lib/kubelet /var/lib/containerd /var/lib/cni /var/log/pods /var/log/containers)
HELM=${HELM:-$TOOLS/helm4}

say() { printf 'cluster: %s\n' "$*"; }
die() {
    printf 'cluster: %s\n' "$*" >&2
    exit 1
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
    local end=$((${EPOCHREALTIME/[.,]/} + $1 * 1000000))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "${EPOCHREALTIME/[.,]/}" -lt "$end" ] || return 1
        read -rt 0.2 <> <(:) || true
    done
}

# A cluster is for one at a time: whoever has the lock (run.sh, and what it starts), or nobody.
LOCK=/var/tmp/$NAME.lock
one_at_a_time() {
    [ -z "${WEIR_CLUSTER_MINE-}" ] || return 0
    exec 7>"$LOCK"
    flock -n 7 || die "tests/cluster/run.sh runs on this machine, maybe of another checkout, and $NAME is its cluster."
}

is_over() { ! kill -0 "$1" 2>/dev/null; }

# Kubernetes' version, as 1.N. Before 1.21 two families are asked for, before 1.22 what endpoints say of pods that end.
minor() { "$KUBE_BIN/kubelet" --version | sed 's/.* v1\.\([0-9]*\).*/\1/'; }
gates() {
    local minor
    minor=$(minor)
    [ "$minor" -gt 20 ] || echo IPv6DualStack=true
    [ "$minor" -gt 21 ] || echo EndpointSliceTerminatingCondition=true
}

in_net() {
    local ns=$1
    shift
    nsenter --net="/run/netns/$NAME-$ns" "$@"
}

# The first process of a member, as the machine numbers it. The file holds its parent, which only waits for it.
first_process() {
    local pid
    read -r pid 2>/dev/null <"$CLUSTER/$1/pid" && [ -n "$pid" ] || return 1
    pid=$(cut -d ' ' -f 1 "/proc/$pid/task/$pid/children" 2>/dev/null) && [ -n "$pid" ] && echo "$pid"
}

# on MEMBER COMMAND...: inside it, as somebody at its console.
on() {
    local member=$1 pid
    shift
    pid=$(first_process "$member") || { say "$member does not run." >&2 && return 1; }
    nsenter --target "$pid" --mount --uts --net --pid "$@"
}

# Whatever is asked for, it is not waited for without end.
KUBECTL_S=600
k() { in_net control timeout --foreground "$KUBECTL_S" "$TOOLS/kubectl" --kubeconfig "$CLUSTER/admin.kubeconfig" "$@"; }
helm() { in_net control env KUBECONFIG="$CLUSTER/admin.kubeconfig" HELM_CACHE_HOME="$CLUSTER/helm" \
    HELM_CONFIG_HOME="$CLUSTER/helm" HELM_DATA_HOME="$CLUSTER/helm" "$HELM" "$@"; }
nodes() { (cd "$CLUSTER" 2>/dev/null && ls -d node-*/ 2>/dev/null | tr -d /) || true; }
