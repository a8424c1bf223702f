# Calls: identities, denial, probes.
# shellcheck shell=bash

WEB=spiffe://cluster.local/ns/shop/sa/web
CART=spiffe://cluster.local/ns/shop/sa/cart
ROGUE=spiffe://cluster.local/ns/shop/sa/rogue

shop() {
    k apply -f "$HERE/manifests/shop.yaml"
    ready shop ds/web
    ready shop ds/cart
    k wait -n shop --for=condition=Ready pod/rogue --timeout="${DEADLINE_S}s"
    k wait -n outside --for=condition=Ready pod/stranger --timeout="${DEADLINE_S}s"
}

# Pods of a namespace that was labelled before them: calls between the nodes and within one, by the pod's address and by the
# Service's name. Both node proxies say both identities, and the application sees the caller's own address.
case_calls() {
    local client server ip
    k create namespace shop
    k label namespace shop weir.mesh/enrolled=true
    shop
    client=$(pod web node-a)
    for server in node-b node-a; do
        step "from node-a to $server"
        ip=$(pod_ip "$(pod cart "$server")")
        get "$client" "http://$ip:8080/whoami" >"$OUT/whoami"
        same "$(field pod <"$OUT/whoami")" "$server" "who answered"
        [[ $(field peer <"$OUT/whoami") == "$(pod_ip "$client"):"* ]] || fail "the application saw $(cat "$OUT/whoami")"
        logged "$server" "src.identity=$WEB" "dst.identity=$CART" direction=inbound "dst.addr=$ip:8080"
    done
    logged node-a "src.identity=$WEB" "dst.identity=$CART" direction=outbound
    step "by the Service's names"
    get "$client" http://cart/whoami
    get "$client" http://cart.shop.svc.cluster.local/whoami
    logged node-a "src.identity=$WEB" dst.service=cart
    step "from outside the mesh, without STRICT"
    get outside/stranger http://cart.shop/whoami
}

policy() {
    k apply -f - <<YAML
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: cart-only-from-web, namespace: shop}
spec:
  selector: {matchLabels: {app: cart}}
  action: ALLOW
  rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}]}]
YAML
}
strict() {
    k apply -f - <<YAML
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: shop}
spec: {mtls: {mode: STRICT}}
YAML
}

# What a policy does not allow is refused, and says so in the log; taken away, all is as before.
case_denial() {
    local web
    web=$(pod web node-a)
    get rogue http://cart/whoami
    policy
    eventually get_fails rogue http://cart/whoami
    eventually is_refused
    get "$web" http://cart/whoami
    get_fails outside/stranger http://cart.shop/whoami
    k delete authorizationpolicy -n shop cart-only-from-web
    eventually get rogue http://cart/whoami
}
# The line with both identities is the destination's, whichever pod of the Service that was.
is_refused() {
    local node
    for node in $(nodes); do if has_line "$node" "src.identity=$ROGUE" "dst.identity=$CART" 'ending="denied by policy"'; then return; fi; done
    return 1
}
CASES+=(denial)

# Under STRICT nobody calls without an identity; the kubelet's probes go on: by HTTP, TCP and exec.
case_probes() {
    strict
    eventually get_fails outside/stranger http://cart.shop/whoami
    get "$(pod web node-b)" http://cart/whoami
    k apply -f - <<YAML
apiVersion: v1
kind: Pod
metadata: {name: probed, namespace: shop, labels: {app: probed}}
spec:
  nodeName: node-b
  terminationGracePeriodSeconds: 1
  containers:
  - {name: http, image: "$APPS", imagePullPolicy: Never, command: [origin, --port, "8081"], readinessProbe: {httpGet: {path: /whoami, port: 8081}, periodSeconds: 1}}
  - {name: tcp, image: "$APPS", imagePullPolicy: Never, command: [origin, --port, "8082"], readinessProbe: {tcpSocket: {port: 8082}, periodSeconds: 1}}
  - {name: exec, image: "$APPS", imagePullPolicy: Never, command: [origin, --port, "8083"], readinessProbe: {exec: {command: [curl, -sSf, "http://localhost:8083/whoami"]}, periodSeconds: 1}}
YAML
    k wait -n shop --for=condition=Ready pod/probed --timeout="${DEADLINE_S}s"
    k delete pod -n shop probed --wait
    k delete peerauthentication -n shop strict
    eventually get outside/stranger http://cart.shop/whoami
}
CASES+=(probes)
