#!/usr/bin/env bash
# The first process of a member of the test cluster (control, node-a...), in its namespaces; started by up.sh. When one of its
# programs ends, the member does.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
member=${1?a member}

# Mounts made here are this member's, and its containers' where they ask for them.
mount --make-rprivate /
mount --make-rshared /
mount -t tmpfs -o mode=755 "$NAME" /run
hostname "$member"

# run PROGRAM ARGUMENT...: where the file again-PROGRAM is found at its end, that end was meant, and the program is started again.
run() {
    local program=$1 again=$CLUSTER/$member/again-${1##*/}
    shift
    {
        "$program" "$@" || true
        while [ -e "$again" ]; do
            rm "$again"
            "$program" "$@" || true
        done
    } >"$CLUSTER/log/$member-${program##*/}" 2>&1 &
}

# What the disk of a test need not remember lies in memory: etcd waits for it otherwise. A copy of it that was put there comes in its place.
etcd() {
    if [ -d /run/etcd.copy ]; then
        rm -rf /run/etcd
        mv /run/etcd.copy /run/etcd
    fi
    command etcd "$@"
}

# What later versions do without being asked.
mapfile -t gates < <(gates | sed 's/^/--feature-gates=/')

control() {
    run etcd --data-dir /run/etcd --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
        --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
        --initial-cluster default=http://127.0.0.1:2380
    cd "$CLUSTER/pki"
    run "$KUBE_BIN/kube-apiserver" --etcd-servers http://127.0.0.1:2379 --secure-port 6443 --bind-address 0.0.0.0 \
        --advertise-address "$CONTROL_IP" --service-cluster-ip-range "$SERVICE_NET" --authorization-mode Node,RBAC \
        --enable-admission-plugins NodeRestriction --allow-privileged \
        --tls-cert-file apiserver.crt --tls-private-key-file apiserver.key --client-ca-file ca.crt \
        --kubelet-client-certificate admin.crt --kubelet-client-key admin.key --kubelet-preferred-address-types InternalIP \
        --service-account-issuer https://kubernetes.default.svc --api-audiences https://kubernetes.default.svc \
        --service-account-signing-key-file accounts.key --service-account-key-file accounts.pub "${gates[@]}"
    # Pods of nodes that are not there stay (load.py), and thousands of endpoints are written in time.
    run "$KUBE_BIN/kube-controller-manager" --kubeconfig "$CLUSTER/controller-manager.kubeconfig" --leader-elect=false \
        --node-monitor-grace-period 1h --node-startup-grace-period 1h --kube-api-qps 200 --kube-api-burst 400 \
        --service-account-private-key-file accounts.key --root-ca-file ca.crt --use-service-account-credentials "${gates[@]}"
    run "$KUBE_BIN/kube-scheduler" --kubeconfig "$CLUSTER/scheduler.kubeconfig" --leader-elect=false
    run "$HERE/dns.py" --api "$API" --pki "$CLUSTER/pki" --listen "$CONTROL_IP"
}

node() {
    local folder kubelet=() group=/sys/fs/cgroup/cpu/$NAME-$member/system
    [ ! -e /sys/fs/cgroup/cgroup.controllers ] || group=/sys/fs/cgroup/$NAME-$member/system
    echo 0 >"$group/cgroup.procs"
    for folder in "${PRIVATE[@]}"; do
        mount --bind "$CLUSTER/$member/private/${folder//\//_}" "$folder"
    done
    [ "$(minor)" -gt 26 ] ||
        kubelet=(--container-runtime remote --container-runtime-endpoint unix:///run/containerd/containerd.sock)
    run "$(type -P containerd)" --config "$CLUSTER/$member/containerd.toml"
    run "$KUBE_BIN/kubelet" --config "$CLUSTER/$member/kubelet.yaml" --kubeconfig "$CLUSTER/$member.kubeconfig" \
        --hostname-override "$member" --node-ip "$(hostname_ip)" --cert-dir "$CLUSTER/$member/pki" "${kubelet[@]}" "${gates[@]}"
    run "$KUBE_BIN/kube-proxy" --config "$CLUSTER/$member/kube-proxy.yaml"
}
hostname_ip() { ip -4 -o addr show dev eth0 | sed 's/.* inet \([0-9.]*\).*/\1/'; }

PATH=$KUBE_BIN:$PATH
case "$member" in
control) control ;;
node-*) node ;;
*) die "there is no member $member." ;;
esac

trap 'exit 0' TERM
mapfile -t programs < <(jobs -p)
wait -n -p ended "${programs[@]}" || true
die "a program of $member has ended (number ${ended-}); its log is in $CLUSTER/log."
