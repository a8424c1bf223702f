# The chart is upgraded under load.
# shellcheck shell=bash

# load_start POD: 25 new connections a second, each with one call by the Service's name; load_end POD ends that, and prints how many were
# answered and how many were not, and of these what curl said.
load_start() {
    in_pod "$1" sh -c "curl -s --rate 25/s -o /dev/null --max-time 20 -H 'Connection: close' -w '%{stderr}%{http_code} %{exitcode} %{errormsg}\n' \
        'http://cart/whoami#[1-1000000]' >/dev/null 2>/tmp/load </dev/null &"
}
load_size() { in_pod "$1" wc -l /tmp/load | cut -d ' ' -f 1; }
load_grew() { [ "$(load_size "$1")" -gt "$2" ]; }
load_goes() { eventually load_grew "$1" "$(($(load_size "$1") + 25))"; }
load_end() {
    load_goes "$1"
    in_pod "$1" sh -c 'for p in /proc/[0-9]*; do [ "$(cat $p/comm 2>/dev/null)" != curl ] || kill ${p#/proc/}; done
        echo $(grep -c "^200 0" /tmp/load) $(grep -vc "^200 0" /tmp/load); grep -v "^200 0" /tmp/load | sort | uniq -c | head -n 5'
}

server_minor() { k version -o json | /usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)["serverVersion"]["minor"].rstrip("+"))'; }

# DaemonSets before 1.22 can't start a pod beside the one that it replaces (maxSurge). Here a pod without a DaemonSet does what the
# second one would: it takes over, and serves the node until the new pod takes over from it.
surge() {
    k get ds -n "$WEIR_NS" weir-nodeproxy -o json | /usr/bin/python3 -c '
import json, sys
spec = json.load(sys.stdin)["spec"]["template"]["spec"]
spec["nodeName"] = sys.argv[1]
print(json.dumps({"apiVersion": "v1", "kind": "Pod", "spec": spec, "metadata":
    {"name": "surge-" + sys.argv[1], "namespace": sys.argv[2], "labels": {"app": "surge"}}}))' "$1" "$WEIR_NS" | k apply -f -
}
took_over() { k logs -n "$WEIR_NS" "$1" | grep -F 'this node proxy has taken over'; }

# The chart is upgraded by the commands of docs/OPERATIONS.md, all of its programs, while connections come without a pause: none is refused or broken, and a stream of a minute,
# which the old node proxies carry, ends by itself.
case_upgrade() {
    local node failed old minor
    minor=$(server_minor)
    helm upgrade weir "$ROOT/helm/weir" "${CHART[@]}" --set nodeproxy.drainSeconds=90
    mesh_is_up
    for node in node-a node-b; do
        load_start "$(pod web "$node")"
        load_goes "$(pod web "$node")"
    done
    stream_start rogue "$(pod_ip "$(pod cart node-b)"):8080" 120
    stream_goes rogue
    old=$(k get pods -n "$WEIR_NS" -l app=weir-nodeproxy -o name)
    if [ "$minor" -lt 22 ]; then
        step "this Kubernetes has no maxSurge: pods beside those of the DaemonSet"
        for node in node-a node-b; do surge "$node"; done
        for node in node-a node-b; do eventually took_over "surge-$node"; done
    fi
    step "upgrade"
    for node in $(nodes); do on "$node" ctr -n k8s.io images tag --force "$IMAGE" "${IMAGE%:*}:NEW"; done
    DOC=OPERATIONS typed Upgrading 2
    DEADLINE_S=400
    mesh_is_up
    step "upgraded"
    for node in $old; do ! k get -n "$WEIR_NS" "$node" || fail "$node is still there"; done
    k delete pod -n "$WEIR_NS" -l app=surge --wait --timeout=300s
    eventually stream_is_over rogue
    stream_end rogue
    for node in node-a node-b; do
        load_end "$(pod web "$node")" | tee "$OUT/load.$node"
        read -r _ failed <"$OUT/load.$node"
        same "$failed" 0 "calls from $node that failed"
    done
    step "the new ones have what the old ones had: identities and policies"
    policy
    eventually get_fails rogue http://cart/whoami
    get "$(pod web node-a)" http://cart/whoami
    k delete authorizationpolicy -n shop cart-only-from-web
    eventually get rogue http://cart/whoami
}
CASES+=(upgrade)
