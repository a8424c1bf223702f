#!/usr/bin/env bash
# timeout: 120
# builds: dev
# Requests between two workloads of one node (--http on): without a tunnel, thus without TLS, and with the same identities,
# policies and metrics as between two nodes.
#
#   node-a: web, rogue (called by the Service near), cart (1)   [legacy: batch]        node-b: cart (2), orders
. "$(dirname "$0")/lib.sh"
lab_up --set-proxy-args "--http on"

cat >"$WORK/near.yaml" <<'END'
apiVersion: v1
kind: Service
metadata: {name: near, namespace: shop}
spec:
  selector: {app: rogue}
  clusterIP: 10.96.0.97
  clusterIPs: [10.96.0.97]
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: near-never, namespace: shop}
spec:
  selector: {matchLabels: {app: rogue}}
  action: DENY
  rules:
    - to: [{operation: {paths: ["/secret*"]}}]
    - from: [{source: {principals: ["cluster.local/ns/shop/sa/orders"]}}]
END
lab apply "$WORK/near.yaml"
eventually knows node-a near
code() { # WORKLOAD PATH
    lab exec "$1" -- curl -sS -o "$WORK/body" -w '%{http_code}' --max-time "$ANSWER_S" "http://10.96.0.97$2" || true
}
answers() { [ "$(code "${@:2}")" = "$1" ]; }
tunnels() { # of the pod, that were opened to anybody and live
    ip netns exec "$(pod_netns web)" ss -Htn state established dport = :15008
}

step "a request to a workload of the same node, and the connection is kept; nobody encrypts"
eventually answers 200 web /whoami
mark
answers 200 web /whoami || fail "the second one"
logged node-a 'access: request complete' direction=inbound path=/whoami src.workload=web src.identity=spiffe://cluster.local/ns/shop/sa/web \
    dst.workload=rogue status=200
logged node-a 'access: request complete' direction=outbound path=/whoami src.workload=web status=200
same "$(tunnels)" "" "tunnels of web"
same "$(field peer <"$WORK/body" | cut -d : -f 1)" "$(pod_v4 web)" "who asks"

step "its policies count, about requests and about who asks"
eventually answers 403 web /secret/a
logged node-a 'access: request complete' direction=inbound path=/secret/a status=403 policy=shop/near-never
answers 200 web /whoami || fail "the same connection"

step "both ends count, with both identities, and say that nothing was encrypted"
for reporter in source destination; do
    counted() {
        metrics node-a | grep "^istio_requests_total{reporter=\"$reporter\",source_workload=\"web\"" | grep -F 'destination_workload="rogue"' |
            grep -F 'source_principal="spiffe://cluster.local/ns/shop/sa/web"' | grep -F 'destination_principal="spiffe://cluster.local/ns/shop/sa/rogue"' |
            grep -F 'destination_service="near.shop.svc.cluster.local"' | grep -F 'connection_security_policy="none"' | grep -qF 'response_code="200"'
    }
    eventually counted
done

step "bodies each way"
head -c 3000000 /dev/urandom >"$WORK/sent"
lab exec web -- curl -sS --max-time "$ANSWER_S" --data-binary @- http://10.96.0.97/echo <"$WORK/sent" | cmp - "$WORK/sent" || fail "the echo is another one"

step "to another node it is a tunnel"
must get web http://orders/whoami
[ -n "$(tunnels)" ] || fail "there is no tunnel"
