#!/usr/bin/env bash
# timeout: 120
# builds: dev
# What a workload may connect to: a Sidecar's egress hosts, REGISTRY_ONLY, and an entry that is not told to its namespace.
#
#   node-a: web, cart (1)   [legacy: batch]        node-b: cart (2), orders
. "$(dirname "$0")/lib.sh"
lab_up --set-proxy-args "$EVERY_LINE"

sidecar() { # HOSTS MODE: of web
    printf '%s\n' 'apiVersion: networking.istio.io/v1' 'kind: Sidecar' 'metadata: {name: web, namespace: shop}' 'spec:' \
        '  workloadSelector: {labels: {app: web}}' "  egress: [{hosts: [$1]}]" "  outboundTrafficPolicy: {mode: $2}" >"$WORK/sidecar.yaml"
    lab apply "$WORK/sidecar.yaml"
}
# refused URL: not at all, by the node of whoever asks.
refused() {
    mark
    must_not get web "$1"
    logged node-a 'ending="not in the registry"' src.workload=web
}
shut() { ! get web "$1"; }
BATCH="http://$(pod_v4 batch):8080/whoami"

step "without a Sidecar all passes"
must get web http://orders/whoami
must get web http://cart/whoami
must get web "$BATCH"
must get web http://batch.legacy/whoami

step "REGISTRY_ONLY: what is not seen is refused at the source, and named as Istio names it"
sidecar shop/orders.shop.svc.cluster.local REGISTRY_ONLY
eventually shut http://cart/whoami
for url in http://cart/whoami http://batch.legacy/whoami "$BATCH"; do refused "$url"; done
must get web http://orders/whoami
must get web "http://$(pod_v4 orders):8080/whoami"
must get web http://127.0.0.1:8080/whoami
must get rogue http://orders/whoami # another workload's Sidecar says nothing of it
must get rogue "$BATCH"
[ "$(metric node-a istio_tcp_connections_failed_total 'destination_service_name="BlackHoleCluster"' 'response_flags="UH"')" -ge 3 ] ||
    fail "what was refused is not counted as BlackHoleCluster"

step "ALLOW_ANY: what is not seen passes as it is, without the mesh's TLS"
sidecar shop/orders.shop.svc.cluster.local ALLOW_ANY
eventually get web "$BATCH"
mark
must_not get web "http://$(pod_v4 "$(replica node-b)"):8080/whoami" # a policy there wants an identity
logged node-b direction=inbound 'ending="denied by policy"'
must get web http://orders/whoami

step "an entry is for the namespaces that it is exported to"
entry() { # EXPORT
    printf '%s\n' 'apiVersion: networking.istio.io/v1' 'kind: ServiceEntry' 'metadata: {name: outside, namespace: legacy}' 'spec:' \
        '  hosts: [outside.example]' '  addresses: [240.0.0.77]' "  exportTo: [$1]" '  resolution: STATIC' \
        '  ports: [{number: 80, name: tcp}]' "  endpoints: [{address: $(pod_v4 orders), ports: {tcp: 8080}}]" >"$WORK/entry.yaml"
    lab apply "$WORK/entry.yaml"
}
OUTSIDE=http://240.0.0.77/whoami
entry shop
eventually get rogue "$OUTSIDE"
entry legacy
not_reached() { ! get rogue "$OUTSIDE" --connect-timeout 2; }
eventually not_reached
entry "'*'"
eventually get rogue "$OUTSIDE"
