#!/usr/bin/env bash
# timeout: 120
# builds: dev asan
# Circuit breakers and retry budgets of a DestinationRule, exactly at their limits: a server that holds what it is asked, and notes what
# came; what is beyond is refused at once, and when the server lets go everything passes as before.
#
#   node-a: web (curl)            node-b: orders serves the Service shelf, to two workers of node-a's node proxy
. "$(dirname "$0")/lib.sh"
lab_up --set-proxy-args "--http on --workers 2 $EVERY_LINE"

ORDERS=$(awk '$2 ~ /^orders/ { print $2 }' "$RUN/plan/pods")
SHELF=http://10.96.0.98
mkfifo "$WORK/go"
exec {GO}<>"$WORK/go"
(exec "$ROOT/tests/lab.sh" exec "$ORDERS" -- "$ROOT/tests/netns/http_clusters_server.py" "$ORDERS" "$WORK") 2>"$WORK/server" &
listens() { lab exec "$ORDERS" -- curl -sf -o "$WORK/listens" --max-time "$ANSWER_S" http://127.0.0.1:9000/; }
eventually listens

limited() { # NAME POLICY: a subset, and the requests that go to it
    echo "  - {name: $1, trafficPolicy: {$2}}" >>"$WORK/subsets"
    echo "  - match: [{headers: {x-to: {exact: $1}}}]
    route: [{destination: {host: shelf, subset: $1}}]
    retries: {attempts: 1, perTryTimeout: 100s, retryOn: 5xx}" >>"$WORK/routes"
}
limited requests 'connectionPool: {http: {http2MaxRequests: 5}}'
limited connections 'connectionPool: {tcp: {maxConnections: 4}, http: {http1MaxPendingRequests: 3}}'
limited retries 'connectionPool: {http: {maxRetries: 3}}'
limited budget 'retryBudget: {percent: 20, minRetryConcurrency: 1}'
cat >"$WORK/shelf.yaml" <<END
apiVersion: v1
kind: Service
metadata: {name: shelf, namespace: shop}
spec: {clusterIP: 10.96.0.98, clusterIPs: [10.96.0.98], selector: {app: orders}, ports: [{name: http, port: 80, targetPort: 9000}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: shelf, namespace: shop}
spec:
  host: shelf
  subsets:
$(<"$WORK/subsets")
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shelf, namespace: shop}
spec:
  hosts: [shelf]
  http:
$(<"$WORK/routes")
END
lab apply "$WORK/shelf.yaml"

came() { touch "$WORK/came.$ORDERS" && wc -l <"$WORK/came.$ORDERS"; }
have_come() { [ "$(came)" = "$1" ]; }
# ask TO COUNT PATH: so many requests at once, each over a connection of its own; a line of each answer goes to $WORK/answers
ask() {
    (seq "$2" | exec "$ROOT/tests/lab.sh" exec web -- xargs -P 50 -I{} curl -sS --max-time "$DEADLINE_S" -H "x-to: $1" -o /dev/null \
        -w '%{http_code} %header{x-envoy-overloaded}\n' "$SHELF$3?{}") >>"$WORK/answers" 2>"$WORK/progress" &
    asking+=($!)
}
# A policy that nobody was told of yet limits nothing: by then it must have been asked for once, and passed.
begin() { # TO
    rm -f "$WORK/answers" "$WORK/came.$ORDERS"
    asking=()
    mark
    is_told() { get web "$SHELF/" -H "x-to: $1"; }
    eventually is_told "$1"
    touch "$WORK/answers"
}
answers() { grep -c "^$1" "$WORK/answers" || true; }
have_answers() { [ "$(answers "$1")" = "$2" ]; }
let_go() { # COUNT
    printf "%$1s" '' >&"$GO"
    for pid in "${asking[@]}"; do wait "$pid" || fail "curl: $(<"$WORK/progress")"; done
}
flagged() { metric node-a istio_requests_total 'reporter="source"' 'destination_service_name="shelf"' "response_flags=\"$1\""; }

step "five requests at once, and not one more"
begin requests
before=$(flagged UO)
ask requests 20 /slow
eventually have_come 5
eventually have_answers "503 true" 15
ask requests 1 /slow/late
eventually have_answers "503 true" 16
same "$(came)" 5 "requests that came"
let_go 5
same "$(answers 200)" 5 "requests that were answered"
counted() { [ $(($(flagged UO) - before)) = 16 ]; }
eventually counted
is_logged() { [ "$(has_line node-a 'access: request complete' direction=outbound status=503 ending=overflow | wc -l)" = 16 ]; }
eventually is_logged
must get web "$SHELF/" -H 'x-to: requests'

step "of twenty requests that fail, three at once are tried again"
begin retries
ask retries 20 /again
eventually have_come 3
eventually have_answers 500 17
same "$(came)" 3 "tries again"
let_go 3
same "$(answers 200)" 3 "requests that were answered"

step "a budget: one try again by itself, two of six beside ten requests"
begin budget
for i in 1 2 3; do
    ask budget 1 "/again/alone/$i"
    if [ "$i" = 1 ]; then eventually have_come 1; else eventually have_answers 500 $((i - 1)); fi
done
let_go 1
same "$(answers 200)" 1 "requests that were answered"
begin budget
ask budget 10 /slow
eventually have_come 10
for i in 1 2 3 4 5 6; do
    ask budget 1 "/again/beside/$i"
    if [ "$i" -le 2 ]; then eventually have_come $((10 + i)); else eventually have_answers 500 $((i - 2)); fi
done
same "$(came)" 12 "requests that are held"
let_go 12
same "$(answers 200)" 12 "requests that were answered"

# Each worker may have one connection whatever the limit, as Envoy's threads: here there is one.
step "four connections, three requests that wait for one, and not one more"
lab replace node-a --workers 1
begin connections
for i in 1 2 3 4; do
    ask connections 1 "/slow/$i"
    eventually have_come "$i"
done
waits() { lab ctl node-a clusters -o json | /usr/bin/python3 -c '
import json, sys
def walk(x):
    if isinstance(x, dict):
        if "pending" in x and isinstance(x["pending"], dict): print(x["pending"]["used"])
        x = list(x.values())
    if isinstance(x, list):
        for y in x: walk(y)
walk(json.load(sys.stdin))' | sort -n | tail -n 1; }
wait_now() { [ "$(waits)" = "$1" ]; }
for i in 5 6 7; do
    ask connections 1 "/slow/$i"
    eventually wait_now $((i - 4))
done
ask connections 5 /slow/beyond
eventually have_answers "503 true" 5
same "$(came)" 4 "requests that came"
same "$(waits)" 3 "requests that wait"
let_go 7
same "$(answers 200)" 7 "requests that were answered"
same "$(came)" 7 "requests that came"
must get web "$SHELF/" -H 'x-to: connections'
