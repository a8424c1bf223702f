#!/usr/bin/env bash
# timeout: 120
# builds: dev
# AuthorizationPolicies about requests (--http on), from the manifest to curl's 403, and the metrics of requests.
#
#   node-a: web, rogue, cart (1)   [legacy: batch]        node-b: cart (2), orders
. "$(dirname "$0")/lib.sh"
lab_up --set-proxy-args "--http on"

ORDERS=$(pod_v4 orders)
code() { # WORKLOAD PATH CURL-ARGUMENT...
    local workload=$1 path=$2
    shift 2
    lab exec "$workload" -- curl -sS -o "$WORK/body" -w '%{http_code}' --max-time "$DEADLINE_S" "$@" "http://$ORDERS:8080$path" || true
}
answers() { [ "$(code "${@:2}")" = "$1" ]; }
gives() { # CODE WORKLOAD PATH CURL-ARGUMENT...
    same "$(code "${@:2}")" "$1" "${*:2}"
}

cat >"$WORK/requests.yaml" <<'END'
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: orders-requests, namespace: shop}
spec:
  selector: {matchLabels: {app: orders}}
  rules:
    - from: [{source: {principals: ["cluster.local/ns/shop/sa/web"]}}]
      to: [{operation: {methods: [GET], paths: [/whoami, "/items/{*}", "/open*"]}}]
    - to: [{operation: {methods: [GET], paths: [/whoami]}}]
      when: [{key: "request.headers[X-Team]", values: [shop]}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: orders-never, namespace: shop}
spec:
  selector: {matchLabels: {app: orders}}
  action: DENY
  rules:
    - to: [{operation: {paths: ["/secret*"]}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: orders-seen, namespace: shop}
spec:
  selector: {matchLabels: {app: orders}}
  action: AUDIT
  rules:
    - to: [{operation: {methods: [GET]}}]
END

step "by who asks, the method and the path: 403, and the log says by which policy"
gives 404 web /anything
lab apply "$WORK/requests.yaml"
eventually answers 403 web /anything
mark
gives 200 web /whoami
logged node-b 'access: request complete' path=/whoami status=200 src.workload=web policy=shop/orders-requests audit=shop/orders-seen
gives 403 web /whoami -X POST -d a=b
same "$(cat "$WORK/body")" "RBAC: access denied" "what is said"
logged node-b 'access: request complete' method=POST status=403 'ending="denied by policy"' policy=shop/orders-requests
gives 403 rogue /whoami
gives 200 rogue /whoami -H 'x-team: shop'
gives 403 web /secret/a
logged node-b 'access: request complete' path=/secret/a status=403 policy=shop/orders-never
gives 404 web /items/7
gives 403 web /items/7/8

step "one connection, of which each request is decided on by itself"
same "$(lab exec web -- curl -sS --max-time "$DEADLINE_S" -o /dev/null -w '%{http_code} %{num_connects} ' "http://$ORDERS:8080/whoami" \
    --next -sS -o /dev/null -w '%{http_code} %{num_connects} ' "http://$ORDERS:8080/secret" \
    --next -sS -o /dev/null -w '%{http_code} %{num_connects} ' "http://$ORDERS:8080/whoami")" "200 1 403 0 200 0 " "codes, new connections"

step "however it is written: as it stands it would be allowed"
gives 404 web /open/secret
for path in /open/../secret /open/%2e%2e/secret /open/.%2E/%73ecret /open/x/../../secret; do
    mark
    gives 403 web "$path" --path-as-is
    logged node-b 'access: request complete' path=/secret status=403 policy=shop/orders-never
done

step "what is another path is not allowed by anybody"
for path in '/whoami/..%2fsecret' '/items/..;/secret' '//secret' '/%2fsecret' '/secret;a=b'; do
    gives 403 web "$path" --path-as-is
done

step "metrics: a line for each of who, whom, code, and the histograms"
line='reporter="destination",source_workload="web",source_workload_namespace="shop",source_principal="spiffe://cluster.local/ns/shop/sa/web",source_app="web"'
line_end='request_protocol="http",response_flags="-",connection_security_policy="mutual_tls",response_code="403",grpc_response_status=""}'
metrics node-b >"$WORK/metrics"
grep -F "istio_requests_total{$line" "$WORK/metrics" | grep -F 'destination_workload="orders",destination_workload_namespace="shop"' |
    grep -qF "$line_end" || fail "no line of 403s"
same "$(grep -c '^# TYPE istio_request_duration_milliseconds histogram' "$WORK/metrics")" 1 "the type of the durations"
count=$(metric node-b istio_requests_total 'source_workload="web"' 'response_code="200"')
same "$(metric node-b istio_request_duration_milliseconds_count 'source_workload="web"' 'response_code="200"')" "$count" "durations"
must get web "http://$ORDERS:8080/whoami"
one_more() { [ "$(metric node-b istio_requests_total 'source_workload="web"' 'response_code="200"')" = $((count + 1)) ]; }
eventually one_more

step "the source counts them, too, by Service and endpoint"
must get web http://orders/whoami
from_web() {
    metrics node-a | grep '^istio_requests_total{reporter="source",source_workload="web"' | grep -F 'destination_workload="orders"' |
        grep -F 'destination_principal="spiffe://cluster.local/ns/shop/sa/orders"' | grep -F 'destination_service="orders.shop.svc.cluster.local"' |
        grep -qF 'request_protocol="http",response_flags="-",connection_security_policy="mutual_tls",response_code="200",grpc_response_status=""} 1'
}
eventually from_web

step "where requests are bytes, who can't see the method allows nothing"
cat >"$WORK/raw.yaml" <<'END'
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: rogue-requests, namespace: shop}
spec:
  selector: {matchLabels: {app: rogue}}
  rules: [{to: [{operation: {methods: [GET]}}]}]
END
mark
must_not get web "http://$(pod_v4 rogue):9100/" # nobody listens there
logged node-a 'access: connection complete' direction=inbound ending=unreachable
lab apply "$WORK/raw.yaml"
denied() {
    ! get web "http://$(pod_v4 rogue):9100/" && has_line node-a 'access: connection complete' 'ending="denied by policy"' policy=shop/rogue-requests
}
eventually denied
