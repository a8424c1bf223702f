# Another root.
# shellcheck shell=bash

# As docs/OPERATIONS.md says it of the root: with an interruption, all have identities of another one afterwards.
case_new_root() {
    local before client ip
    client=$(pod web node-a) ip=$(pod_ip "$(pod cart node-b)")
    before=$(root_of shop)
    k scale -n "$WEIR_NS" sts/weir-ca --replicas=0
    k wait -n "$WEIR_NS" --for=delete pod/weir-ca-0 --timeout="${DEADLINE_S}s"
    find "$CLUSTER/volume" -mindepth 1 -delete
    k scale -n "$WEIR_NS" sts/weir-ca --replicas=1
    eventually root_is_another "$before"
    k rollout restart -n "$WEIR_NS" ds/weir-nodeproxy deploy/weir-controller
    mesh_is_up
    eventually nothing_is_found
    eventually meshed_call "$client" "$ip"
    policy
    eventually get_fails rogue http://cart/whoami
    get "$client" http://cart/whoami
    k delete authorizationpolicy -n shop cart-only-from-web
    eventually get rogue http://cart/whoami
}
root_of() { k -n "$1" get configmap weir-ca-root -o 'jsonpath={.data.root-cert\.pem}' | openssl x509 -noout -fingerprint -enddate; }
root_is_another() {
    local now
    now=$(root_of shop)
    echo "$now"
    [ -n "$now" ] && [ "$now" != "$1" ]
}
CASES+=(new_root)
