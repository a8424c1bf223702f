#!/usr/bin/env bash
# timeout: 120
# builds: dev
# What a DestinationRule and a health check ask for, through real programs: subsets, shares of places, a consistent hash, an endpoint
# that fails and is left out, a limit of connections, and an endpoint that fails its checks; and an HTTPRoute's sessions.
#
#   node-a: web, cart (1)            node-b: cart (2), orders: all three serve the Services shelf, checked and kept
. "$(dirname "$0")/lib.sh"
lab_up --set-proxy-args "--http on $EVERY_LINE"

FIRST=$(replica node-a) SECOND=$(replica node-b) ORDERS=$(awk '$2 ~ /^orders/ { print $2 }' "$RUN/plan/pods")
mkfifo "$WORK/go"
exec {GO}<>"$WORK/go"
for pod in "$FIRST" "$SECOND" "$ORDERS"; do
    (exec "$ROOT/tests/lab.sh" exec "$pod" -- "$ROOT/tests/netns/http_clusters_server.py" "$pod" "$WORK") &
    listens() { lab exec "$pod" -- curl -sf -o "$WORK/listens" --max-time "$ANSWER_S" http://127.0.0.1:9000/; }
    eventually listens
done

service() { # NAME ADDRESS ANNOTATION [PODS]: of the three pods
    cat <<END
apiVersion: v1
kind: Service
metadata: {name: $1, namespace: shop, annotations: {$3}}
spec: {clusterIP: $2, clusterIPs: [$2], ports: [{name: http, port: 80, targetPort: 9000}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: $1-x, namespace: shop, labels: {kubernetes.io/service-name: $1}}
addressType: IPv4
ports: [{name: http, port: 9000, protocol: TCP}]
endpoints:
END
    local pod
    for pod in ${4:-"$FIRST" "$SECOND" "$ORDERS"}; do
        echo "- {addresses: [$(pod_v4 "$pod")], conditions: {ready: true}, targetRef: {kind: Pod, namespace: shop, name: $pod}}"
    done
    echo ---
}
shelf() { # CURL ARGUMENT...: from web
    lab exec web -- curl -sS --max-time "$DEADLINE_S" "$@"
}
who() { # SUBSET: the pods that answer thirty requests
    shelf -H "x-to: $1" 'http://10.96.0.98/?[1-30]' | sorted
}
sorted() { sort -u | tr '\n' ' '; }
ALL=$(printf '%s\n' "$FIRST" "$SECOND" "$ORDERS" | sorted)
CARTS=$(printf '%s\n' "$FIRST" "$SECOND" | sorted)

{
    service shelf 10.96.0.98 ""
    cat <<'END'
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: shelf, namespace: shop}
spec:
  host: shelf
  subsets:
  - {name: carts, labels: {app: cart}}
  - {name: orders, labels: {app: orders}}
  - name: spread
    trafficPolicy: {loadBalancer: {localityLbSetting: {distribute: [{from: region-1/zone-1/*, to: {region-1/zone-2: 100}}]}}}
  - {name: hashed, trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user}}}}
  - name: flaky
    trafficPolicy:
      outlierDetection: {consecutive5xxErrors: 3, interval: 500ms, baseEjectionTime: 1s, maxEjectionPercent: 50}
  - name: limited
    labels: {app: orders}
    trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shelf, namespace: shop}
spec:
  hosts: [shelf]
  http:
END
    for subset in carts orders spread hashed flaky limited; do
        echo "  - {match: [{headers: {x-to: {exact: $subset}}}], route: [{destination: {host: shelf, subset: $subset}}]}"
    done
    echo "  - {route: [{destination: {host: shelf}}]}"
} >"$WORK/shelf.yaml"
lab apply "$WORK/shelf.yaml"

step "subsets"
only_orders() { [ "$(who orders)" = "$ORDERS " ]; } # of three pods, thirty times
eventually only_orders
same "$(who carts)" "$CARTS" "who answers for the carts"
same "$(who nobody)" "$ALL" "who answers for nobody in particular"

step "from one place to another one, as somebody wrote it"
same "$(who spread)" "$(printf '%s\n' "$SECOND" "$ORDERS" | sorted)" "who answers from the other zone alone"

step "who brings the same header comes to the same pod"
USERS=12
for user in $(seq "$USERS"); do # three requests of each; two lines of each answer: who it was, and for whom
    printf 'next\nurl = "http://10.96.0.98/?[1-3]"\nheader = "x-to: hashed"\nheader = "x-user: %s"\nwrite-out = "%s\\n"\nmax-time = %s\n' \
        "$user" "$user" "$DEADLINE_S"
done | sed 1d >"$WORK/users.curl"
for _ in 1 2; do shelf -K "$WORK/users.curl"; done | paste - - | sort -u >"$WORK/users" # by two connections
same "$(wc -l <"$WORK/users")" "$USERS" "pods that each user came to, of all users"
[ "$(cut -f 1 "$WORK/users" | sort -u | wc -l)" -gt 1 ] || fail "all users came to $(cut -f 1 "$WORK/users" | sort -u)"

step "a pod that answers 500 three times in a row is left out for a while, though it is the nearest one"
same "$(who flaky)" "$FIRST " "who answers where outliers are left out"
touch "$WORK/fails.$FIRST"
left_out() {
    shelf -H 'x-to: flaky' -o /dev/null -w '%{http_code}\n' 'http://10.96.0.98/?[1-10]' >"$WORK/statuses"
    [ "$(grep -c 200 "$WORK/statuses")" = 10 ]
}
eventually left_out # by the worker that is asked; until then requests fail
rm "$WORK/fails.$FIRST"
comes_back() { [ "$(who flaky)" = "$FIRST " ]; }
eventually comes_back

# The second may wait for the connection, but not while the first waits for it: until it is there, or at the other worker.
step "one connection, at most one request that waits for it, and no more: 503 UO"
mark
shelf -Z --parallel-immediate --parallel-max 10 -H 'x-to: limited' -w '%{http_code}\n' -o /dev/null 'http://10.96.0.98/slow?[1-10]' \
    >"$WORK/limited" 2>"$WORK/progress" &
ASKING=$!
overflow() { [ "$(has_line node-a 'access: request complete' direction=outbound status=503 ending=overflow src.workload=web | wc -l)" -ge 8 ]; }
eventually overflow
printf 12 >&"$GO" # a byte for each of two
wait "$ASKING" || true
REFUSED=$(grep -c 503 "$WORK/limited") ANSWERED=$(grep -c 200 "$WORK/limited")
case "$REFUSED $ANSWERED" in
"8 2" | "9 1") ;;
*) fail "$REFUSED requests were refused, $ANSWERED answered" ;;
esac
counted() { [ "$(metric node-a istio_requests_total 'reporter="source"' 'response_flags="UO"' 'destination_service_name="shelf"')" = "$REFUSED" ]; }
eventually counted

step "a pod that fails its checks gets nothing, and is back when it is well"
service checked 10.96.0.99 "weir.mesh/health-check: '{\"type\":\"HTTP\",\"interval\":\"200ms\",\"healthyThreshold\":2,\"http\":{\"path\":\"/well\"}}'" \
    >"$WORK/checked.yaml"
lab apply "$WORK/checked.yaml"
checked() { shelf 'http://10.96.0.99/?[1-30]' | sorted; }
is_checked() { checked >/dev/null && [ -s "$WORK/checks.$ORDERS" ] && [ -s "$WORK/checks.$FIRST" ]; }
eventually is_checked
same "$(checked)" "$ALL" "who answers"
same "$(sort -u "$WORK/checks.$ORDERS")" "$(pod_v4 web) checked.shop.svc.cluster.local" "who checks orders, and as whom it calls it"
mark
touch "$WORK/unwell.$ORDERS"
unwell() { [ "$(checked)" = "$CARTS" ]; }
eventually unwell
logged node-a "outbound|80||checked.shop.svc.cluster.local: $(pod_v4 orders):9000 fails its checks (workload web"
same "$(shelf "http://$(pod_v4 orders):9000/")" "$ORDERS" "who answers at its own address"
rm "$WORK/unwell.$ORDERS"
well() { [ "$(checked)" = "$ALL" ]; }
eventually well

step "a session stays with its pod: by a cookie of curl's, by a header; when the pod has gone it goes on with another one"
{
    service kept 10.96.0.100 ""
    cat <<'END'
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: kept, namespace: shop}
spec:
  parentRefs: [{group: "", kind: Service, name: kept, port: 80}]
  rules:
  - matches: [{path: {value: /cookie}}]
    sessionPersistence: {sessionName: who, absoluteTimeout: 1h, cookieConfig: {lifetimeType: Permanent}}
    backendRefs: [{name: kept, port: 80}]
  - sessionPersistence: {sessionName: X-Who, type: Header}
    backendRefs: [{name: kept, port: 80}]
END
} >"$WORK/kept.yaml"
lab apply "$WORK/kept.yaml"
kept() { shelf "$@" | sorted; } # CURL ARGUMENT...
begins() { rm -f "$WORK/jar" && kept -c "$WORK/jar" http://10.96.0.100/cookie/a >"$WORK/kept" && grep -q 'who	1' "$WORK/jar"; }
eventually begins
same "$(awk -v now="$(date +%s)" '$6 == "who" { print $3, ($5 > now + 3400 && $5 < now + 3700) }' "$WORK/jar")" "/cookie 1" "the cookie's path, and whether it ends in an hour"
same "$(kept 'http://10.96.0.100/cookie/[1-30]')" "$ALL" "who answers without a cookie"
same "$(kept -b "$WORK/jar" 'http://10.96.0.100/cookie/[1-30]')" "$(cat "$WORK/kept")" "who answers with the cookie"
TOKEN=$(shelf -D - -o "$WORK/kept-header" http://10.96.0.100/ | tr -d '\r' | awk '$1 == "x-who:" { print $2 }')
same "$(kept -H "x-who: $TOKEN" 'http://10.96.0.100/[1-30]')" "$(sorted <"$WORK/kept-header")" "who answers with the header"
service kept 10.96.0.100 "" "$(printf '%s\n' $ALL | grep -vx "$(tr -d ' ' <"$WORK/kept")")" >"$WORK/kept-less.yaml"
lab delete kept.yaml
{ cat "$WORK/kept-less.yaml"; sed -n '/^apiVersion: gateway/,$p' "$WORK/kept.yaml"; } >"$WORK/kept-moved.yaml"
lab apply "$WORK/kept-moved.yaml"
moves() { # all of one other pod, told by the first answer
    rm -f "$WORK/answer"
    cp "$WORK/jar" "$WORK/jar-moved"
    kept -b "$WORK/jar-moved" -c "$WORK/jar-moved" 'http://10.96.0.100/cookie/[1-30]' >"$WORK/moved" &&
        ! grep -qx "$(cat "$WORK/kept")" "$WORK/moved" && [ "$(wc -w <"$WORK/moved")" = 1 ]
}
eventually moves
