# What gets lost, as docs/OPERATIONS.md has it.
# shellcheck shell=bash

# newcomer ACCOUNT: a pod of a service account that nobody has seen.
newcomer() {
    k create serviceaccount -n shop "$1"
    k apply -f - <<YAML
apiVersion: v1
kind: Pod
metadata: {name: $1, namespace: shop, labels: {app: $1}}
spec:
  nodeName: node-a
  serviceAccountName: $1
  terminationGracePeriodSeconds: 1
  containers: [{name: it, image: "$APPS", imagePullPolicy: Never, command: [sleep, "86400"]}]
YAML
}
newcomer_goes() { k delete -n shop "pod/$1" "serviceaccount/$1" --wait; }
calls_go_on() { get "$1" http://cart/whoami && get_fails rogue http://cart/whoami; }

# Without controllers what runs goes on, by the policies that there were; a new pod waits for them.
case_without_controllers() {
    local client
    client=$(pod web node-a)
    policy
    eventually get_fails rogue http://cart/whoami
    stream_start "$client" "$(pod_ip "$(pod cart node-b)"):8080"
    k scale -n "$WEIR_NS" deploy/weir-controller --replicas=0
    eventually no_controllers
    newcomer later
    eventually pod_waits later
    calls_go_on "$client"
    stream_goes "$client"
    k scale -n "$WEIR_NS" deploy/weir-controller --replicas=1
    k wait -n shop --for=condition=Ready pod/later --timeout="${DEADLINE_S}s"
    mesh_is_up
    stream_end "$client"
    eventually get_fails later http://cart/whoami
    k delete authorizationpolicy -n shop cart-only-from-web
    eventually get later http://cart/whoami
    newcomer_goes later
    eventually nothing_is_found
}
# The kubelet says that the plugin said no.
pod_waits() { k get events -n shop --field-selector "involvedObject.name=$1,reason=FailedCreatePodSandBox" -o name | grep .; }
no_controllers() { [ -z "$(k get pods -n "$WEIR_NS" -l app.kubernetes.io/component=controller -o name)" ]; }
CASES+=(without_controllers)

# The CA's state is lost and comes back of a copy, by the commands of docs/OPERATIONS.md. Meanwhile what runs goes on, and who is new
# waits; afterwards it is the same root, and nobody has to be started again.
case_restored() {
    local client before DOC=OPERATIONS
    client=$(pod web node-a) before=$(root_of shop)
    rm -f "$OUT/weir-ca.copy"
    typed "Backing up" 5
    [ -s "$OUT/weir-ca.copy" ] || fail "there is no copy"
    policy
    eventually get_fails rogue http://cart/whoami
    stream_start "$client" "$(pod_ip "$(pod cart node-b)"):8080"
    k scale -n "$WEIR_NS" sts/weir-ca --replicas=0
    k wait -n "$WEIR_NS" --for=delete pod/weir-ca-0 --timeout="${DEADLINE_S}s"
    find "$CLUSTER/volume" -mindepth 1 -delete
    newcomer latecomer
    calls_go_on "$client"
    stream_goes "$client"
    typed Restoring 5
    mesh_is_up
    same "$(root_of shop)" "$before" "the root"
    stream_end "$client"
    k wait -n shop --for=condition=Ready pod/latecomer --timeout="${DEADLINE_S}s"
    calls_go_on "$client"
    k delete authorizationpolicy -n shop cart-only-from-web
    eventually get latecomer http://cart/whoami
    logged node-a "src.identity=spiffe://cluster.local/ns/shop/sa/latecomer"
    newcomer_goes latecomer
    eventually nothing_is_found
}
CASES+=(restored)
