# The controller: several of them, and an API server that has troubles.
# shellcheck shell=bash

holder() { k get lease -n "$WEIR_NS" weir-controller -o 'jsonpath={.spec.holderIdentity}'; }
leads() {
    local pod
    pod=$(holder)
    echo "the lease is $pod's"
    [ -n "$pod" ] && [ "$pod" != "${1-}" ] && k get pod -n "$WEIR_NS" "$pod"
}

# Of two controllers one leads. It stops without a word, as a node does that is cut off, and is replaced: the other one leads, writes
# conditions, and the node proxies have followed somebody all the time.
case_leader() {
    local first node pid
    helm upgrade weir "$ROOT/helm/weir" "${CHART[@]}" --set controller.replicas=2
    mesh_is_up
    eventually leads
    first=$(holder)
    good_policy before
    eventually policy_is before True Accepted
    step "the leader $first stops"
    node=$(k get pod -n "$WEIR_NS" "$first" -o 'jsonpath={.spec.nodeName}')
    pid=$(on "$node" sh -c 'grep -al -- "--replica-nam[e]='"$first"'" /proc/[0-9]*/cmdline | head -n 1 | cut -d / -f 3')
    on "$node" kill -STOP "$pid"
    good_policy meanwhile
    eventually leads "$first"
    eventually policy_is meanwhile True Accepted
    step "and is replaced"
    k delete pod -n "$WEIR_NS" "$first" --grace-period=1 --wait
    ready "$WEIR_NS" deploy/weir-controller
    eventually nothing_is_found
    k delete authorizationpolicy -n shop before meanwhile
    helm rollback weir --namespace "$WEIR_NS"
    mesh_is_up
    eventually nothing_is_found
}
good_policy() {
    k apply -f - <<YAML
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: $1, namespace: shop}
spec: {action: DENY, rules: [{from: [{source: {ipBlocks: [192.0.2.0/24]}}]}]}
YAML
}
CASES+=(leader)

# A controller of its own, on the same API server, which is restarted, paused, forgets (etcd compacted), and answers 410 and 429: api_faults.py.
case_api_faults() {
    in_net control env WEIR_BUILD="$PROGRAMS" "$HERE/api_faults.py" --cluster "$CLUSTER" --api "$API"
}
CASES+=(api_faults)
