# What gets lost with a machine, as docs/OPERATIONS.md has it.
# shellcheck shell=bash

# again MEMBER PROGRAM...: they are killed, and started anew.
again() {
    local member=$1 program pid
    shift
    for program in "$@"; do
        pid=$(on "$member" pgrep -x "${program:0:15}") || fail "$program does not run on $member"
        : >"$CLUSTER/$member/again-$program"
        on "$member" kill -KILL "$pid"
        eventually runs_anew "$member" "$program" "$pid"
    done
}
runs_anew() {
    local pid
    pid=$(on "$1" pgrep -x "${2:0:15}") && [ "$pid" != "$3" ]
}

# Of the pods on a node: name, and how often each has been started again, if all of it is ready.
starts() {
    k get pods -A --field-selector "spec.nodeName=$1" -o json | /usr/bin/python3 -c '
import json, sys
for pod in json.load(sys.stdin)["items"]:
    states = pod["status"].get("containerStatuses", [])
    if states and all(s["ready"] for s in states) and "deletionTimestamp" not in pod["metadata"]:
        print(pod["metadata"]["namespace"] + "/" + pod["metadata"]["name"], min(s["restartCount"] for s in states))'
}
# all_started_since NODE LINES: each pod of them once more than then.
all_started_since() {
    local now pod count
    now=$(starts "$1")
    echo "$now"
    while read -r pod count; do
        [ "$(awk -v pod="$pod" '$1 == pod { print $2 }' <<<"$now")" -gt "$count" ] || return 1
    done <<<"$2"
}
first_call() { k logs -n shop "$1" | grep -F 'first call: 0'; }

# A node loses its power and comes back: the others go on meanwhile; afterwards its pods are what they were, and the first call of each,
# at its first instruction, is in the mesh: nothing else is taken here.
case_node_lost() {
    local client before cart
    client=$(pod web node-a) cart=$(pod_ip "$(pod cart node-a)")
    strict
    eventually get_fails outside/stranger http://cart.shop/whoami
    k apply -f - <<YAML
apiVersion: v1
kind: Pod
metadata: {name: early, namespace: shop, labels: {app: early}}
spec:
  nodeName: node-b
  serviceAccountName: rogue
  terminationGracePeriodSeconds: 1
  containers:
  - name: it
    image: "$APPS"
    imagePullPolicy: Never
    command: [sh, -c, 'curl -sS -o /dev/null -f --max-time 100 "http://$cart:8080/whoami"; echo "first call: \$?"; exec sleep 86400']
YAML
    k wait -n shop --for=condition=Ready pod/early --timeout="${DEADLINE_S}s"
    eventually first_call early
    before=$(starts node-b)
    echo "$before"
    [[ $before == *shop/early\ 0* && $before == *weir-nodeproxy* ]] || fail "not all pods of node-b are ready"
    stream_start "$client" "$cart:8080"
    step "node-b is lost"
    "$HERE/up.sh" unplug node-b
    stream_goes "$client"
    get "$client" "http://$cart:8080/whoami"
    get_fails "$client" "http://$(pod_ip "$(pod cart node-b)"):8080/whoami"
    eventually get "$client" http://cart/whoami # of two pods one is left, and nobody has said so
    step "node-b comes back"
    "$HERE/up.sh" plug node-b
    DEADLINE_S=300 eventually all_started_since node-b "$before"
    mesh_is_up
    eventually first_call early
    logged node-a "src.identity=$ROGUE" "src.addr=$(pod_ip early)" direction=inbound path=/whoami status=200
    eventually get "$client" "http://$(pod_ip "$(pod cart node-b)"):8080/whoami"
    get_fails outside/stranger http://cart.shop/whoami
    stream_end "$client"
    policy
    eventually get_fails early "http://$(pod_ip "$(pod cart node-b)"):8080/whoami"
    k delete authorizationpolicy -n shop cart-only-from-web
    k delete pod -n shop early --wait
    k delete peerauthentication -n shop strict
    eventually get outside/stranger http://cart.shop/whoami
    eventually nothing_is_found
}
CASES+=(node_lost)

# etcd comes back of a copy: what was made after it is gone, as if it had never been; running workloads notice nothing.
case_etcd_restored() {
    local client pid node
    client=$(pod web node-a)
    good_policy kept
    eventually policy_is kept True Accepted
    stream_start "$client" "$(pod_ip "$(pod cart node-b)"):8080"
    step "a copy, as a snapshot of its disk would be one"
    pid=$(on control pgrep -x etcd)
    on control kill -STOP "$pid"
    on control cp -a /run/etcd /run/etcd.kept
    on control kill -CONT "$pid"
    step "what comes later"
    policy
    eventually get_fails rogue http://cart/whoami
    newcomer late
    k wait -n shop --for=condition=Ready pod/late --timeout="${DEADLINE_S}s"
    step "the copy comes back: nobody asks etcd meanwhile, and all that keeps versions is started anew"
    on control pkill -STOP -x kube-apiserver
    on control mv /run/etcd.kept /run/etcd.copy
    again control etcd
    eventually etcd_is_ready
    again control kube-apiserver
    eventually only_kept
    again control kube-controller-manager kube-scheduler
    for node in $(nodes); do again "$node" kubelet kube-proxy; done
    k rollout restart -n "$WEIR_NS" deploy/weir-controller sts/weir-ca
    mesh_is_up
    step "as it was then"
    stream_goes "$client"
    stream_end "$client"
    eventually get rogue http://cart/whoami
    logged node-a "pod shop/late is released" # the kubelet has ended what the API server does not know
    eventually policy_is kept True Accepted
    policy
    eventually get_fails rogue http://cart/whoami
    get "$client" http://cart/whoami
    newcomer late
    k wait -n shop --for=condition=Ready pod/late --timeout="${DEADLINE_S}s"
    newcomer_goes late
    k delete authorizationpolicy -n shop kept cart-only-from-web
    eventually get rogue http://cart/whoami
    eventually nothing_is_found
}
etcd_is_ready() { on control curl -sf --max-time 5 http://127.0.0.1:2379/health | grep -F '"true"'; }
only_kept() {
    local there
    there=$(k get authorizationpolicies -n shop -o name --request-timeout=5s) && echo "$there" &&
        [ "$there" = authorizationpolicy.security.istio.io/kept ]
}
CASES+=(etcd_restored)
