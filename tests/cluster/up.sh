#!/usr/bin/env bash
# Starts a real Kubernetes on this machine: a control plane and nodes (default: two), without Docker or a registry; lib.sh draws
# it. Needs what tests/cluster/setup.sh gets. Images: those in the tar archives given (and in $IMAGES) are on every node.
#
# usage: tests/cluster/up.sh [--nodes N] [IMAGE.tar...]
#        tests/cluster/up.sh shell            a shell that has kubectl and helm for it
#        tests/cluster/up.sh able             can this machine bear one? Says what it lacks
#        tests/cluster/up.sh unplug NODE      a node is lost, with all that runs on it
#        tests/cluster/up.sh plug NODE        and comes back, as after a reboot
#
# Environment: KUBE_BIN (a folder with kube-apiserver, kubelet...; what it has of etcd, containerd and runc is taken from there
# too), WEIR_CLUSTER_NAME (weir-cluster).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
READY_S=180

# ---- network ------------------------------------------------------------------------------------

net_add() {
    ip netns add "$NAME-$1"
    ip -n "$NAME-$1" link set lo up
}

join() {
    ip -n "$NAME-underlay" link add "$1" type veth peer name eth0 netns "$NAME-$1"
    ip -n "$NAME-underlay" link set "$1" master br0 up
    ip -n "$NAME-$1" addr add "$2/24" dev eth0
    ip -n "$NAME-$1" addr add "fd00:80::${2##*.}/64" dev eth0 nodad
    ip -n "$NAME-$1" link set eth0 up
}

# The pods of another node are there. node-a is 1: 10.80.0.11, 10.81.1.0/24.
route() {
    local n
    n=$(number "$2")
    ip -n "$NAME-$1" route add "10.81.$n.0/24" via "10.80.0.1$n"
    ip -n "$NAME-$1" route add "fd00:81:$n::/64" via "fd00:80::1$n"
}
routes_packets() { in_net "$1" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'; }
number() { printf '%d' $(($(printf '%d' "'${1#node-}") - 96)); }

# plug NODE: its network, as a machine that is switched on has it.
plug() {
    local node=$1 other
    net_add "$node"
    join "$node" "10.80.0.1$(number "$node")"
    routes_packets "$node"
    ip -n "$NAME-$node" route add default via "$CONTROL_IP"
    ip -n "$NAME-$node" route add default via "fd00:80::${CONTROL_IP##*.}"
    in_net "$node" sh -ec 'for family in ip ip6; do echo 1 >/proc/sys/net/bridge/bridge-nf-call-${family}tables; done' ||
        die "the kernel has no br_netfilter, which pods of one node need to reach Services (modprobe br_netfilter)."
    for other in "${NODES[@]}"; do
        [ "$node" = "$other" ] || route "$node" "$other"
    done
}

make_networks() {
    local node
    net_add underlay
    ip -n "$NAME-underlay" link add br0 type bridge
    ip -n "$NAME-underlay" link set br0 up
    net_add control
    join control "$CONTROL_IP"
    for node in "${NODES[@]}"; do
        plug "$node"
        route control "$node"
    done
    routes_packets control
}

# ---- certificates -------------------------------------------------------------------------------

# certificate FILE SUBJECT EXTENSION
certificate() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.csr" -subj "$2" 2>/dev/null
    openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out "$1.crt" -extfile <(echo "$3") 2>/dev/null
    rm "$1.csr"
}

# kubeconfig NAME SUBJECT: a client of the API server.
kubeconfig() {
    (cd "$CLUSTER/pki" && certificate "$1" "$2" extendedKeyUsage=clientAuth)
    cat >"$CLUSTER/$1.kubeconfig" <<YAML
apiVersion: v1
kind: Config
clusters: [{name: $NAME, cluster: {server: "$API", certificate-authority: $CLUSTER/pki/ca.crt}}]
users: [{name: $1, user: {client-certificate: $CLUSTER/pki/$1.crt, client-key: $CLUSTER/pki/$1.key}}]
contexts: [{name: $NAME, context: {cluster: $NAME, user: $1}}]
current-context: $NAME
YAML
}

make_certificates() {
    local node names=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local
    (
        cd "$CLUSTER/pki"
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt \
            -subj "/CN=$NAME" -days 30 2>/dev/null
        certificate apiserver /CN=kube-apiserver "subjectAltName=$names,IP:127.0.0.1,IP:10.96.0.1,IP:$CONTROL_IP"
        openssl genrsa -out accounts.key 2048 2>/dev/null
        openssl rsa -in accounts.key -pubout -out accounts.pub 2>/dev/null
    )
    kubeconfig admin /O=system:masters/CN=admin
    kubeconfig controller-manager /CN=system:kube-controller-manager
    kubeconfig scheduler /CN=system:kube-scheduler
    kubeconfig proxy /CN=system:kube-proxy
    for node in "${NODES[@]}"; do kubeconfig "$node" "/O=system:nodes/CN=system:node:$node"; done
}

# ---- members ------------------------------------------------------------------------------------

# start MEMBER: its first process is member.sh. Nothing of ours stays open in it but its log.
start() {
    # Its number is written before it begins, so that whoever ends us here knows of it.
    nsenter --net="/run/netns/$NAME-$1" setsid sh -c 'echo $$ >"$2/$1/pid" && shift && shift && exec "$@"' sh "$1" "$CLUSTER" \
        unshare --mount --uts --pid --fork --kill-child --mount-proc "$HERE/member.sh" "$1" \
        </dev/null >"$CLUSTER/log/$1" 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
}

is_alive() { first_process "$1" >/dev/null; }

api_is_ready() { is_alive control && k get --raw /readyz; }
node_is_ready() { is_alive "$1" && k wait --for=condition=Ready "node/$1" --timeout=1s; }
import() { on "$1" ctr -n k8s.io images import "$2"; }

write_node_files() {
    local node=$1 n=$CLUSTER/$1 minor=$2 extra= number
    number=$(number "$node")
    mkdir -p "$n"/{private,pki}
    for folder in "${PRIVATE[@]}"; do mkdir -p "$n/private/${folder//\//_}"; done
    mkdir -p "$n/private/_etc_cni/net.d" "$n/private/_opt_cni/bin"
    cp /usr/lib/cni/{bridge,host-local,loopback,portmap} "$n/private/_opt_cni/bin/"
    cat >"$n/private/_etc_cni/net.d/10-bridge.conflist" <<JSON
{
  "cniVersion": "0.4.0",
  "name": "pods",
  "plugins": [
    {
      "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
      "ipam": {
        "type": "host-local", "ranges": [[{"subnet": "10.81.$number.0/24"}], [{"subnet": "fd00:81:$number::/64"}]],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
JSON
    # restrict_oom_score_adj: where root may not lower its score (no CAP_SYS_RESOURCE), every pod would end with 'EOF'.
    cat >"$n/containerd.toml" <<TOML
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "$PAUSE_IMAGE"
TOML
    # No image goes, however full the machine's disk is: nobody could give it again.
    if [ "$minor" -ge 27 ]; then extra="containerRuntimeEndpoint: unix:///run/containerd/containerd.sock"; fi
    if [ "$minor" -ge 31 ]; then extra+=$'\nfailCgroupV1: false'; fi
    cat >"$n/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $CLUSTER/pki/ca.crt}}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
cgroupRoot: /$NAME-$node
clusterDNS: [$DNS_IP]
clusterDomain: cluster.local
evictionHard: {nodefs.available: "1%", imagefs.available: "1%"}
failSwapOn: false
imageGCHighThresholdPercent: 100
kubeAPIQPS: 50
kubeAPIBurst: 100
containerLogMaxSize: 100Mi
maxPods: 250
resolvConf: /dev/null
$extra
YAML
    cat >"$n/kube-proxy.yaml" <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: {kubeconfig: $CLUSTER/proxy.kubeconfig}
hostnameOverride: $node
featureGates: {$(gates | sed 's/=/: /' | paste -sd ,)}
clusterCIDR: $POD_NET
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
YAML
}

# A kubelet removes every pod's cgroup below its root that it doesn't know: each has a root of its own. Beside its pods the node's own
# programs have one (system: member.sh), as they have it of systemd: hundreds of programs that start pods weigh as much as one.
make_cgroups() {
    local controller file
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        mkdir -p "/sys/fs/cgroup/$NAME-$1/system"
        return
    fi
    mkdir -p "/sys/fs/cgroup/cpu/$NAME-$1/system"
    echo 4096 >"/sys/fs/cgroup/cpu/$NAME-$1/cpu.shares" # a node is more than one of the machine's processes
    for controller in /sys/fs/cgroup/*/; do
        mkdir -p "$controller/$NAME-$1" 2>/dev/null || continue
        for file in cpuset.cpus cpuset.mems; do
            [ ! -e "$controller/$file" ] || cat "$controller/$file" >"$controller/$NAME-$1/$file"
        done
    done
}

# The machine's folders that a node's own ones are mounted over, made where they are missing; down.sh takes them away again, that of the
# last cluster that has them.
make_mount_points() {
    local folder
    for folder in "${PRIVATE[@]}"; do
        [ -e "$folder" ] && ! cat /var/tmp/*/made 2>/dev/null | grep -qxF "$folder" && continue
        echo "$folder" >>"$CLUSTER/made"
        mkdir -p "$folder"
    done
}

# unplug NODE: as if its power were gone. Nothing of it runs any more; its disk is as it was.
unplug() {
    local first pid
    first=$(first_process "$1") || die "$1 does not run."
    read -r pid <"$CLUSTER/$1/pid"
    kill -KILL "$first"
    wait_for 30 is_over "$first" && wait_for 30 is_over "$pid" || die "$1 does not end."
    ip netns delete "$NAME-$1"
}

# What no package brings.
able() {
    local group=/sys/fs/cgroup/cpu
    [ "$(id -u)" = 0 ] || die "a cluster needs root."
    [ ! -e /sys/fs/cgroup/cgroup.controllers ] || group=/sys/fs/cgroup
    { mkdir -p "$group/$NAME-able" && rmdir "$group/$NAME-able"; } 2>/dev/null ||
        die "no cgroup can be made in $group, and kubelets need some: this machine, or the container around us, does not allow it."
    unshare --mount --uts --net --pid --fork --mount-proc true 2>/dev/null ||
        die "no namespaces can be made (mount, uts, net, pid), and nodes consist of them: this machine, or the container around us, does not allow it."
}

# All that is missing, by name.
look_for_what_is_needed() {
    local program missing=()
    able
    for program in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy; do
        [ -x "$KUBE_BIN/$program" ] || missing+=("$KUBE_BIN/$program")
    done
    [ -x "$TOOLS/kubectl" ] || missing+=("$TOOLS/kubectl")
    for program in etcd containerd ctr runc dnsmasq iptables nft ip openssl nsenter unshare pgrep gcc; do
        [ -n "$(PATH=$KUBE_BIN:$PATH type -P "$program")" ] || missing+=("$program")
    done
    for program in bridge host-local loopback portmap; do
        [ -x "/usr/lib/cni/$program" ] || missing+=("/usr/lib/cni/$program")
    done
    [ ${#missing[@]} -eq 0 ] || die "missing: ${missing[*]}. tests/cluster/setup.sh gets it all."
}

fail_with_logs() {
    local file
    for file in "$CLUSTER"/log/*; do
        printf -- '---- the end of %s\n' "${file##*/}" >&2
        tail -n 8 "$file" | cut -c 1-300 >&2
    done
    die "$1"
}

up() {
    local node count=2 images=() image minor letters=abcdefgh
    # shellcheck disable=SC2206 # names without spaces
    images=(${IMAGES-})
    while [ $# -gt 0 ]; do
        case "$1" in
        --nodes) count=$2 && shift ;;
        *) images+=("$(realpath "$1")") ;;
        esac
        shift
    done
    look_for_what_is_needed
    for node in $(seq 0 $((count - 1))); do NODES+=("node-${letters:node:1}"); done
    one_at_a_time
    "$HERE/down.sh"
    umask 022
    mkdir -p "$CLUSTER"/{pki,log,control,images}
    chmod 700 "$CLUSTER/pki"
    minor=$(minor)
    PAUSE_IMAGE=weir.test/pause:1
    "$HERE/images.sh" pause "$CLUSTER/images/pause.tar" "$PAUSE_IMAGE"
    make_networks
    make_certificates
    make_mount_points
    start control
    for node in "${NODES[@]}"; do
        mkdir -p "$CLUSTER/$node"
        write_node_files "$node" "$minor"
        make_cgroups "$node"
    done
    wait_for "$READY_S" api_is_ready || fail_with_logs "the API server is not ready after $READY_S s."
    for node in "${NODES[@]}"; do start "$node"; done
    for node in "${NODES[@]}"; do
        wait_for "$READY_S" on "$node" ctr version || fail_with_logs "containerd of $node does not start."
        for image in "$CLUSTER/images/pause.tar" "${images[@]}"; do
            import "$node" "$image" >/dev/null || fail_with_logs "$image can't be imported."
        done
    done
    k apply -f - >/dev/null <<YAML
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec:
  clusterIP: $DNS_IP
  ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
---
apiVersion: v1
kind: Endpoints
metadata: {name: kube-dns, namespace: kube-system}
subsets:
- addresses: [{ip: $CONTROL_IP}]
  ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
YAML
    for node in "${NODES[@]}"; do
        wait_for "$READY_S" node_is_ready "$node" || fail_with_logs "$node is not ready after $READY_S s."
    done
    say "Kubernetes $("$KUBE_BIN/kubelet" --version | sed 's/.* //') with ${#NODES[@]} nodes is up ($CLUSTER)"
}

NODES=()
case "${1-}" in
shell)
    is_alive control || die "there is no cluster."
    PATH=$TOOLS:$PATH KUBECONFIG=$CLUSTER/admin.kubeconfig in_net control "${SHELL:-bash}"
    ;;
able) able ;;
unplug) unplug "${2?a node}" ;;
plug)
    mapfile -t NODES < <(nodes)
    plug "${2?a node}"
    start "$2"
    ;;
-h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" ;;
*) up "$@" ;;
esac
