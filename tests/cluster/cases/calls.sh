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
    for node in $(nodes); do if has_line "$node" "src.identity=$ROGUE" "dst.identity=$CART" 'ending="denied by policy"' "$@"; then return; fi; done
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

# By gRPC the kubelet asks since 1.23, which is more than is built here: a client beside it asks as it would, under STRICT.
case_grpc_probe() {
    strict
    eventually get_fails outside/stranger http://cart.shop/whoami
    k apply -f - <<YAML
apiVersion: v1
kind: Pod
metadata: {name: probed-grpc, namespace: shop, labels: {app: probed-grpc}}
spec:
  nodeName: node-b
  terminationGracePeriodSeconds: 1
  containers:
  - name: grpc
    image: "$APPS"
    imagePullPolicy: Never
    command: [sh, -c, "cd /tmp && mkdir -p grpc.health.v1.Health && printf '\\\\0\\\\0\\\\0\\\\0\\\\2\\\\10\\\\1' >grpc.health.v1.Health/Check && exec nghttpd --no-tls --trailer='grpc-status: 0' -d /tmp 9000"]
YAML
    k wait -n shop --for=condition=Ready pod/probed-grpc --timeout="${DEADLINE_S}s"
    eventually is_serving
    k delete pod -n shop probed-grpc --wait
    k delete peerauthentication -n shop strict
    eventually get outside/stranger http://cart.shop/whoami
}
# A message of grpc.health.v1 that says SERVING.
is_serving() {
    local said
    said=$(on node-b curl -sS -f --max-time 20 --http2-prior-knowledge --data-binary x \
        "http://$(pod_ip probed-grpc):9000/grpc.health.v1.Health/Check" | od -An -tx1)
    echo "$said"
    [ "$said" = " 00 00 00 00 02 08 01" ]
}
CASES+=(grpc_probe)

PROBE=169.254.7.127
# Nothing in a pod can pretend to be the kubelet: what has the probe's address gets nowhere under STRICT, from a pod beside and from another
# node, though the pod may do all with its network, and the way back is made for it. Only the node's rules stand between.
case_pretenders() {
    local here there own rules=$CLUSTER/node-a/rules
    strict
    eventually get_fails outside/stranger http://cart.shop/whoami
    here=$(pod_ip "$(pod cart node-a)") there=$(pod_ip "$(pod cart node-b)")
    k apply -f - <<YAML
apiVersion: v1
kind: Pod
metadata: {name: pretender, namespace: outside}
spec:
  nodeName: node-a
  terminationGracePeriodSeconds: 1
  containers: [{name: it, image: "$APPS", imagePullPolicy: Never, command: [sleep, "86400"], securityContext: {capabilities: {add: [NET_ADMIN, NET_RAW]}}}]
YAML
    k wait -n outside --for=condition=Ready pod/pretender --timeout="${DEADLINE_S}s"
    own=$(pod_ip pretender outside)
    in_pod outside/pretender ip addr add "$PROBE/32" dev eth0
    on node-a ip route replace "$PROBE/32" via "$own"
    step "as whom the node's own kubelet comes"
    [[ $(on node-a curl -sSf --max-time 20 "http://$here:8080/whoami" | field peer) == "$PROBE:"* ]] || fail "the node's calls have another address"
    step "a pod with that address, and with its own"
    for ip in "$here" "$there"; do
        if pretends "$ip"; then fail "$ip has answered a pretender"; fi
        if get outside/pretender "http://$ip:8080/whoami" --max-time 5; then fail "$ip has answered under STRICT"; fi
    done
    step "without the node's rules it is answered"
    on node-a sh -c "nft -n list table inet weir_node; nft -n list table bridge weir_node" >"$rules"
    on node-a nft "delete table bridge weir_node; delete chain inet weir_node received"
    pretends "$here" || fail "even without rules nothing comes back: nothing was shown"
    { echo "delete table inet weir_node"; cat "$rules"; } | on node-a nft -f -
    if pretends "$here"; then fail "with the rules again, it is answered"; fi
    on node-a ip route delete "$PROBE/32"
    k delete pod -n outside pretender --wait --now
    k delete peerauthentication -n shop strict
    eventually get outside/stranger http://cart.shop/whoami
}
pretends() { in_pod outside/pretender curl -sSf --max-time 5 --interface "host!$PROBE" "http://$1:8080/whoami"; }
CASES+=(pretenders)
