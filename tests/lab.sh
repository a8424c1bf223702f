#!/usr/bin/env bash
# A mesh of several nodes on one machine: nodes and pods are network namespaces, and the programs are the real ones.
#
#   weir-lab-control          weir-lab-node-a                      weir-lab-node-b
#   controller, CA            node proxy                           node proxy
#        eth0                      eth0   cni0 (bridge, pods' gateway)     eth0   cni0
#          |                         |      |-- weir-lab-shop-web-...        |      |-- weir-lab-shop-cart-...
#   -------+----- weir-lab-underlay -+      `-- ...              ------------+      `-- ...
#
# usage: tests/lab.sh COMMAND
#   up [--nodes N] [--manifests DIR] [--family 4|6|dual|mixed] [--set-proxy-args ARGS] [--set-ca-args ARGS]
#                         addresses, pods and Services come from the manifests (default: docs/examples/shop)
#   exec WORKLOAD -- COMMAND...   in a pod: its name, NAMESPACE/NAME or the name's beginning (the first that fits);
#                         or in a node's namespace: node-a, control
#   logs [PROGRAM|NODE|WORKLOAD]  all of them, or one
#   ps                    what runs
#   ctl NODE ARGS...      weirctl with the node proxy of NODE
#   apply FILE...         puts manifests into the running mesh; delete NAME... takes them out again
#   pod-down WORKLOAD, pod-up WORKLOAD   as a runtime stops and starts a pod
#   stop PROGRAM [SIGNAL], start PROGRAM  controller, ca, node-a...
#   machine-up NAME ADDRESS NAMESPACE/ENTRY ACCOUNT [OPTIONS]   a machine that is no node, beside them on the underlay: it joins
#                         with a token of the CA's as that account, and runs a node proxy with these options for its WorkloadEntry;
#                         NAMESPACE/GROUP/NAME: it registers itself by this name in a WorkloadGroup
#   replace NODE [OPTIONS]  a new node proxy, with these options more, takes over from the running one, which
#                         goes on with its connections until they end or --drain is over
#   path                  the folder with the lab's files (logs, sockets)
#   down                  ends everything; fine if there is nothing
#
# Environment: WEIR_BUILD (default: build/release, else build/dev), WEIR_LAB_NAME (weir-lab).
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
LAB=${WEIR_LAB_NAME:-weir-lab}
RUN=/run/$LAB
CONTROL_V4=192.168.50.2 CONTROL_V6=fd00:192:168:50::2
READY_S=60 # until a program or a pod is ready, on a busy machine with sanitizers

say() { printf 'lab: %s\n' "$*"; }
die() {
    printf 'lab: %s\n' "$*" >&2
    exit 1
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
    local end=$((${EPOCHREALTIME/[.,]/} + $1 * 1000000))
    shift
    until "$@" 2>/dev/null; do
        [ "${EPOCHREALTIME/[.,]/}" -lt "$end" ] || return 1
        read -rt 0.05 <> <(:) || true
    done
}

find_build() {
    if [ -z "${WEIR_BUILD-}" ]; then
        WEIR_BUILD=$ROOT/build/release
        [ -x "$WEIR_BUILD/weir-nodeproxy" ] || WEIR_BUILD=$ROOT/build/dev
    fi
    [ -x "$WEIR_BUILD/weir-nodeproxy" ] ||
        die "no programs in $WEIR_BUILD: run cmake --preset release && cmake --build --preset release."
}

# ---- namespaces ---------------------------------------------------------------------------------

netns_add() {
    ip netns add "$1"
    nsenter --net="/run/netns/$1" sh -c '
        for i in default all; do echo 0 >/proc/sys/net/ipv6/conf/$i/accept_dad; done
        for i in default all; do echo 0 >/proc/sys/net/ipv4/conf/$i/rp_filter; done'
    ip -n "$1" link set lo up
}

in_ns() {
    local ns=$1
    shift
    nsenter --net="/run/netns/$ns" "$@"
}

# address_add NETNS DEVICE PREFIX ADDRESS...: `-` is none.
address_add() {
    local ns=$1 device=$2 address
    shift 2
    for address in "$@"; do
        # Addresses are unique here: nobody waits for finding that out.
        case "$address" in
        -*) ;;
        *:*) ip -n "$ns" addr add "$address" dev "$device" nodad ;;
        *) ip -n "$ns" addr add "$address" dev "$device" ;;
        esac
    done
}

underlay_join() {
    local ns=$1 port=$2
    shift 2
    ip -n "$LAB-underlay" link add "$port" type veth peer name eth0 netns "$ns"
    ip -n "$LAB-underlay" link set "$port" master br0 up
    address_add "$ns" eth0 "$@"
    ip -n "$ns" link set eth0 up
}

make_underlay() {
    netns_add "$LAB-underlay"
    ip -n "$LAB-underlay" link add br0 type bridge
    ip -n "$LAB-underlay" link set br0 up
    netns_add "$LAB-control"
    underlay_join "$LAB-control" control "$CONTROL_V4/24" "$CONTROL_V6/64"
}

make_node() {
    local name=$1 ns=$2 v4=$3 v6=$4 net4=$5 net6=$6 gate4=$7 gate6=$8
    netns_add "$ns"
    underlay_join "$ns" "$name" "$v4/24" "$v6/64"
    in_ns "$ns" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
        cd /proc/sys/net/bridge && echo 1 >bridge-nf-call-iptables && echo 1 >bridge-nf-call-ip6tables' 2>/dev/null ||
        die "the kernel has no br_netfilter, which pods of one node need to reach Services (modprobe br_netfilter)."
    # With an address of its own: a bridge's changes with its ports, and pods would go on sending to the old one.
    ip -n "$ns" link add cni0 address 0a:58:00:00:00:01 type bridge
    address_add "$ns" cni0 "$gate4/${net4#*/}" "$gate6/${net6#*/}"
    ip -n "$ns" link set cni0 up
    in_ns "$ns" nft -f "$RUN/plan/services.nft"
}

# The other nodes' pods are behind the other nodes.
route_nodes() {
    local name ns v4 v6 net4 net6 rest from _
    while read -r from _ _ _ _ _ _ _; do
        while read -r name ns v4 v6 net4 net6 rest; do
            [ "$name" = "$from" ] && continue
            [ "$v4" = - ] || [ "$net4" = - ] || ip -n "$LAB-$from" route add "$net4" via "$v4"
            [ "$v6" = - ] || [ "$net6" = - ] || ip -n "$LAB-$from" route add "$net6" via "$v6"
        done <"$RUN/plan/nodes"
    done <"$RUN/plan/nodes"
}

# Sets node_* to the node's line.
read_node() {
    read -r node_name node_ns node_v4 node_v6 node_net4 node_net6 node_gate4 node_gate6 \
        < <(grep "^$1 " "$RUN/plan/nodes") || die "there is no node $1."
}

# ---- programs -----------------------------------------------------------------------------------

# Field 22 of stat, the time of its start, tells a process from a later one with the same number.
process_start() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }

is_running() {
    local pid start
    read -r pid start 2>/dev/null <"$RUN/pids/$1" && [ -n "$start" ] && [ "$(process_start "$pid")" = "$start" ]
}

# define NAME NETNS COMMAND...: how to start it, now and again.
define() {
    local name=$1 ns=$2
    shift 2
    printf '%q ' nsenter "--net=/run/netns/$ns" "$@" >"$RUN/commands/$name"
}

start_program() {
    local name=$1 command pid
    [ -e "$RUN/commands/$name" ] || die "there is no program $name."
    is_running "$name" && return
    command=$(<"$RUN/commands/$name")
    eval "exec setsid $command" </dev/null >>"$RUN/logs/$name.log" 2>&1 8>&- 9>&- &
    pid=$!
    echo "$pid $(process_start "$pid")" >"$RUN/pids/$name"
}

stop_program() {
    local name=$1 signal=${2:-TERM} pid start children
    is_running "$name" || return 0
    read -r pid start <"$RUN/pids/$name"
    children=$(pgrep -P "$pid") || true # the node proxy's; they end with it, or a moment later
    kill "-$signal" "$pid" 2>/dev/null || true
    wait_for 40 is_over "$name" || die "$name does not end."
    # shellcheck disable=SC2086 # numbers, a line each
    wait_for 10 are_gone $children || die "$name has ended and its processes have not."
}
is_over() { ! is_running "$1"; }
are_gone() {
    local pid
    for pid in "$@"; do
        ! grep -q '^State:[[:space:]]*[^ZX]' "/proc/$pid/status" || return 1
    done
}

is_ready() { in_ns "$1" curl -sf -o /dev/null --max-time 5 "http://$2/healthz/ready"; }

wait_ready() {
    local name=$1 ns=$2 at=$3
    wait_for "$READY_S" is_ready "$ns" "$at" && return
    tail -n 30 "$RUN/logs/$name.log" >&2
    die "$name is not ready after $READY_S s; its last log lines are above."
}

control_address() { if [ "$FAMILY" = 6 ]; then echo "[$CONTROL_V6]"; else echo "$CONTROL_V4"; fi; }

make_identities() {
    local state=$RUN/ca/state node
    mkdir -p "$RUN/ca"
    "$WEIR_BUILD/weir-ca" init --state "$state"
    "$WEIR_BUILD/weir-ca" issue --state "$state" --out "$RUN/controller/controller" \
        --identity spiffe://cluster.local/ns/weir-system/sa/weir-controller
    while read -r node _; do
        mkdir -p "$RUN/$node"
        (umask 077 && "$WEIR_BUILD/weir-ca" token --state "$state" --node "$node" >"$RUN/$node/token")
    done <"$RUN/plan/nodes"
}

define_programs() {
    local at node proxy_args ca_args
    at=$(control_address)
    read -ra proxy_args <<<"$PROXY_ARGS"
    read -ra ca_args <<<"${CA_ARGS-}"
    define controller "$LAB-control" "$WEIR_BUILD/weir-controller" --source "dir:$RUN/manifests" \
        --listen "$at:15012" --machine-namespace machines --admin 127.0.0.1:15014 --certificate "$RUN/controller/controller.pem" \
        --key "$RUN/controller/controller.key" --roots "$RUN/controller/controller-roots.pem" \
        --registrations "$RUN/controller/machines.json" --registration-lease 10s
    define ca "$LAB-control" "$WEIR_BUILD/weir-ca" serve --state "$RUN/ca/state" --listen "$at:15013" \
        --controller "$at:15012" --admin 127.0.0.1:15024 "${ca_args[@]}"
    while read -r node _; do
        define "$node" "$LAB-$node" "$WEIR_BUILD/weir-nodeproxy" --node "$node" --controller "$at:15012" \
            --ca "$at:15013" --roots "$RUN/controller/controller-roots.pem" --token-file "$RUN/$node/token" \
            --run-dir "$RUN/$node" --admin 127.0.0.1:15000 --metrics '[::]:15020' --ready '[::]:15021' \
            --cluster-id Kubernetes --trust-domain cluster.local --drain 5s "${proxy_args[@]}"
    done <"$RUN/plan/nodes"
}

start_programs() {
    local node
    start_program controller
    start_program ca
    while read -r node _; do start_program "$node"; done <"$RUN/plan/nodes"
    wait_ready controller "$LAB-control" 127.0.0.1:15014
    wait_ready ca "$LAB-control" 127.0.0.1:15024
    while read -r node _; do wait_ready "$node" "$LAB-$node" '[::1]:15021'; done <"$RUN/plan/nodes"
}

# ---- pods ---------------------------------------------------------------------------------------

# Sets pod_* to the first pod that NAME, NAMESPACE/NAME or the beginning of either names.
find_pod() {
    local wanted=$1
    while read -r pod_space pod_name pod_netns pod_node pod_v4 pod_v6 pod_port; do
        case "$wanted" in
        "$pod_name" | "$pod_space/$pod_name") return 0 ;;
        esac
    done <"$RUN/plan/pods"
    while read -r pod_space pod_name pod_netns pod_node pod_v4 pod_v6 pod_port; do
        case "$pod_name:$pod_space/$pod_name" in
        "$wanted"-* | *:"$wanted"-*) return 0 ;;
        esac
    done <"$RUN/plan/pods"
    return 1
}

# cni COMMAND: the plugin, as a container runtime calls it for the pod in pod_*.
cni() {
    CNI_COMMAND=$1 CNI_CONTAINERID=$pod_netns CNI_NETNS=/run/netns/$pod_netns CNI_IFNAME=eth0 CNI_PATH=$WEIR_BUILD \
        CNI_ARGS="IgnoreUnknown=1;K8S_POD_NAMESPACE=$pod_space;K8S_POD_NAME=$pod_name;K8S_POD_INFRA_CONTAINER_ID=$pod_netns" \
        "$WEIR_BUILD/weir-cni" <"$RUN/plan/cni/$pod_netns"
}

# A runtime tries again when the answer is an error.
cni_add() { cni ADD >"$RUN/plan/cni/$pod_netns.result"; }

server_answers() { in_ns "$pod_netns" curl -sf -o /dev/null --max-time 5 "http://localhost:$pod_port/whoami"; }

pod_up() {
    local port
    netns_add "$pod_netns"
    wait_for 5 mkdir -p "/etc/netns/$pod_netns" # another lab's end may take the upper folder away in between
    cp "$RUN/plan/hosts/$pod_netns" "/etc/netns/$pod_netns/hosts"
    read_node "$pod_node"
    port=p$(printf '%s' "$pod_netns" | sha256sum | cut -c 1-10)
    ip -n "$node_ns" link add "$port" type veth peer name eth0 netns "$pod_netns"
    ip -n "$node_ns" link set "$port" master cni0 up
    address_add "$pod_netns" eth0 "$pod_v4/${node_net4#*/}" "$pod_v6/${node_net6#*/}"
    ip -n "$pod_netns" link set eth0 up
    [ "$pod_v4" = - ] || ip -n "$pod_netns" route add default via "$node_gate4"
    [ "$pod_v6" = - ] || ip -n "$pod_netns" -6 route add default via "$node_gate6"
    if ! wait_for "$READY_S" cni_add; then
        cat "$RUN/plan/cni/$pod_netns.result" >&2
        die "pod $pod_space/$pod_name can't be added; the plugin's answer is above."
    fi
    [ "$pod_port" = - ] && return
    define "$pod_netns" "$pod_netns" "$WEIR_BUILD/perf/origin" --port "$pod_port" --pod "$pod_name"
    start_program "$pod_netns"
    wait_for "$READY_S" server_answers || die "the server of pod $pod_space/$pod_name does not answer."
}

pod_down() {
    stop_program "$pod_netns"
    wait_for "$READY_S" cni DEL || die "pod $pod_space/$pod_name can't be deleted."
    netns_delete "$pod_netns"
    wait_for 20 link_is_gone || say "somebody still keeps the namespace of pod $pod_space/$pod_name."
}
# The namespace, and with it the pod's end of the link, lives until the last connection in it has ended, also in a node proxy that
# drains.
link_is_gone() {
    local port
    port=p$(printf '%s' "$pod_netns" | sha256sum | cut -c 1-10)
    ! ip -n "$LAB-$pod_node" link show "$port" >/dev/null 2>&1
}

netns_delete() {
    local pids
    if [ -e "/run/netns/$1" ]; then
        pids=$(ip netns pids "$1")
        # shellcheck disable=SC2086 # numbers, a line each
        [ -z "$pids" ] || kill -KILL $pids 2>/dev/null || true
        ip netns delete "$1"
    fi
    rm -rf "/etc/netns/$1"
}

# ---- commands -----------------------------------------------------------------------------------

need_lab() {
    [ -e "$RUN/settings" ] || die "there is no lab: run tests/lab.sh up."
    . "$RUN/settings"
}

command_up() {
    local nodes=0 manifests=$ROOT/docs/examples/shop pod_space pod_name pod_netns pod_node pod_v4 pod_v6 pod_port line
    FAMILY=dual PROXY_ARGS= CA_ARGS=
    while [ $# -gt 0 ]; do
        case "$1" in
        --nodes) nodes=$2 && shift ;;
        --manifests) manifests=$2 && shift ;;
        --family) FAMILY=$2 && shift ;;
        --set-proxy-args) PROXY_ARGS=$2 && shift ;;
        --set-ca-args) CA_ARGS=$2 && shift ;;
        *) die "up does not know $1." ;;
        esac
        shift
    done
    case "$FAMILY" in 4 | 6 | dual | mixed) ;; *) die "--family is 4, 6, dual or mixed, and not $FAMILY." ;; esac
    [ "$(id -u)" = 0 ] || die "network namespaces need root."
    [ -d "$manifests" ] || die "there is no folder $manifests."
    find_build
    [ ! -e "$RUN" ] || command_down
    mkdir -p "$RUN"/{pids,commands,logs,controller} && chmod 700 "$RUN"
    printf 'WEIR_BUILD=%q FAMILY=%q PROXY_ARGS=%q CA_ARGS=%q\n' "$WEIR_BUILD" "$FAMILY" "$PROXY_ARGS" "$CA_ARGS" >"$RUN/settings"
    /usr/bin/python3 "$ROOT/tests/lab_plan.py" plan --manifests "$manifests" --run "$RUN" --lab "$LAB" \
        --sockets "$RUN" --family "$FAMILY" --nodes "$nodes" || die "the manifests in $manifests can't be used."
    make_underlay
    while read -r line; do
        # shellcheck disable=SC2086 # fields
        make_node $line
    done <"$RUN/plan/nodes"
    route_nodes
    make_identities
    define_programs
    start_programs
    while read -r pod_space pod_name pod_netns pod_node pod_v4 pod_v6 pod_port; do
        pod_up
    done <"$RUN/plan/pods"
    say "$(wc -l <"$RUN/plan/nodes") nodes and $(wc -l <"$RUN/plan/pods") pods are up ($WEIR_BUILD, family $FAMILY)"
}

all_over() {
    local file
    for file in "$RUN"/pids/*; do is_over "${file##*/}" || return; done
}

command_down() {
    local ns file pid start
    for file in "$RUN"/pids/*; do
        read -r pid start 2>/dev/null <"$file" || continue
        [ "$(process_start "$pid")" != "$start" ] || kill -TERM "$pid" 2>/dev/null || true
    done
    wait_for 20 all_over || say "not all of it ends by itself."
    for ns in $(ip netns list 2>/dev/null | sed -n "s/^\($LAB-[^ ]*\).*/\1/p"); do
        netns_delete "$ns"
    done
    rmdir /etc/netns 2>/dev/null || true
    rm -rf "$RUN"
}

command_exec() {
    local wanted=$1
    shift
    [ "${1-}" = -- ] && shift
    [ $# -gt 0 ] || die "exec WORKLOAD -- COMMAND..."
    need_lab
    if find_pod "$wanted"; then
        exec ip netns exec "$pod_netns" "$@"
    elif [ -e "/run/netns/$LAB-$wanted" ]; then
        exec nsenter --net="/run/netns/$LAB-$wanted" "$@"
    fi
    die "there is no workload $wanted."
}

command_logs() {
    local name=${1-}
    need_lab
    if [ -z "$name" ]; then
        tail -n +1 "$RUN"/logs/*.log
        return
    fi
    name=${name#weir-}
    name=${name#nodeproxy-}
    [ -e "$RUN/logs/$name.log" ] || ! find_pod "$name" || name=$pod_netns
    [ -e "$RUN/logs/$name.log" ] || die "there is no log of $1."
    cat "$RUN/logs/$name.log"
}

command_ps() {
    local file name pid start
    need_lab
    printf '%-8s %-9s %s\n' PID STATE PROGRAM
    for file in "$RUN"/pids/*; do
        name=${file##*/}
        read -r pid start <"$file"
        printf '%-8s %-9s %s\n' "$pid" "$(is_running "$name" && echo running || echo ended)" "$name"
    done
    printf '\n%-10s %-26s %-8s %-16s %s\n' NAMESPACE POD NODE IPV4 IPV6
    while read -r pod_space pod_name pod_netns pod_node pod_v4 pod_v6 pod_port; do
        printf '%-10s %-26s %-8s %-16s %s\n' "$pod_space" "$pod_name" "$pod_node" "$pod_v4" "$pod_v6"
    done <"$RUN/plan/pods"
}

command_apply() {
    local file name
    need_lab
    for file in "$@"; do
        name=${file##*/}
        # Written beside and renamed: the controller never reads half a file.
        /usr/bin/python3 "$ROOT/tests/lab_plan.py" filter --family "$FAMILY" <"$file" >"$RUN/manifests/.$name.new"
        mv "$RUN/manifests/.$name.new" "$RUN/manifests/$name"
    done
}

command_delete() {
    local file
    need_lab
    for file in "$@"; do rm -f "$RUN/manifests/${file##*/}"; done
}

# What the log of a program has said from byte $2 on.
has_said() { grep -qF -- "$3" < <(tail -c "+$(($2 + 1))" "$RUN/logs/$1.log"); } # not by a pipe: grep ends first, and that is no failure
has_taken_over() { has_said "$1" "$2" 'this node proxy has taken over' || ! is_running "$1"; }

command_replace() {
    local node=${1?a node} pid start from
    shift
    need_lab
    is_running "$node" || die "$node does not run."
    read -r pid start <"$RUN/pids/$node"
    from=$(stat -c %s "$RUN/logs/$node.log")
    [ $# -eq 0 ] || printf '%q ' "$@" >>"$RUN/commands/$node"
    mv "$RUN/pids/$node" "$RUN/pids/$node.$pid"
    start_program "$node"
    wait_for "$READY_S" has_taken_over "$node" "$from" && is_running "$node" && return
    tail -n 15 "$RUN/logs/$node.log" >&2
    die "$node was not replaced; its last log lines are above."
}

# Its files: token (spent), state/svid.pem, and what a node proxy's folder has.
command_machine_up() {
    local name=${1?a name} address=${2?an address} entry=${3?NAMESPACE/ENTRY} account=${4?an account} ns at node v4 v6 net4 net6 rest _ which
    shift 4
    which=(--workload "$entry")
    case "$entry" in */*/*) which=(--workload-group "${entry%/*}" --workload-name "${entry##*/}") ;; esac
    need_lab
    ns=$LAB-$name at=$(control_address)
    netns_add "$ns"
    # The default route leads nowhere: Services' addresses never leave the machine.
    case "$address" in
    *:*)
        underlay_join "$ns" "$name" "$address/64"
        while read -r node _ _ v6 _ net6 rest; do
            [ "$net6" = - ] || ip -n "$ns" route add "$net6" via "$v6"
        done <"$RUN/plan/nodes"
        ip -n "$ns" route add default via "$CONTROL_V6"
        ;;
    *)
        underlay_join "$ns" "$name" "$address/24"
        while read -r node _ v4 _ net4 rest; do
            [ "$net4" = - ] || ip -n "$ns" route add "$net4" via "$v4"
        done <"$RUN/plan/nodes"
        ip -n "$ns" route add default via "$CONTROL_V4"
        ;;
    esac
    mkdir -p "$RUN/$name"
    (umask 077 && "$WEIR_BUILD/weir-ca" token --state "$RUN/ca/state" --identity "spiffe://cluster.local/ns/${entry%%/*}/sa/$account" \
        --source "$address" >"$RUN/$name/token")
    in_ns "$ns" "$WEIR_BUILD/weir-nodeproxy" join --ca "$at:15013" --roots "$RUN/controller/controller-roots.pem" \
        --token-file "$RUN/$name/token" --state-dir "$RUN/$name/state"
    define "$name" "$ns" "$WEIR_BUILD/weir-nodeproxy" --node "$name" --controller "$at:15012" --ca "$at:15013" \
        --roots "$RUN/controller/controller-roots.pem" --state-dir "$RUN/$name/state" "${which[@]}" \
        --run-dir "$RUN/$name" --drain 5s "$@"
    start_program "$name"
    wait_ready "$name" "$ns" 127.0.0.1:15021
}

with_pod() {
    local command=$1
    need_lab
    find_pod "${2?a workload}" || die "there is no workload $2."
    "$command"
}

main() {
    local command=${1-help}
    [ $# -eq 0 ] || shift
    case "$command" in
    up | down | exec | logs | ps | apply | delete | replace) "command_$command" "$@" ;;
    machine-up) command_machine_up "$@" ;;
    pod-up) with_pod pod_up "$@" ;;
    pod-down) with_pod pod_down "$@" ;;
    start) need_lab && start_program "$@" ;;
    stop) need_lab && stop_program "$@" ;;
    path) echo "$RUN" ;;
    ctl)
        need_lab
        local node=$1
        shift
        exec "$WEIR_BUILD/weirctl" --socket "$RUN/$node/admin.sock" "$@"
        ;;
    help | -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" ;;
    *) die "there is no command $command; tests/lab.sh help lists them." ;;
    esac
}

main "$@"
