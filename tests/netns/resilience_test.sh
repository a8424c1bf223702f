#!/usr/bin/env bash
# timeout: 150
# builds: dev
# What clients see of endpoints that fail every second time, hang or are killed under load, with retries and outlier detection, and
# without; a POST is never sent twice meanwhile; and a split of 70 to 30, over 100,000 requests.
#
#   node-a: web, cart (1)            node-b: cart (2), orders: all three serve the Service shelf
. "$(dirname "$0")/lib.sh"
lab_up --set-proxy-args "--http on --access-log off"

FIRST=$(replica node-a) SECOND=$(replica node-b) ORDERS=$(awk '$2 ~ /^orders/ { print $2 }' "$RUN/plan/pods")
PODS="$FIRST $SECOND $ORDERS"
REQUESTS=2000
mkfifo "$WORK/go"
declare -A servers=()
for pod in $PODS; do
    (exec "$ROOT/tests/lab.sh" exec "$pod" -- "$ROOT/tests/netns/http_clusters_server.py" "$pod" "$WORK") 2>"$WORK/server.$pod" &
    servers[$pod]=$!
    listens() { lab exec "$pod" -- curl -sf -o "$WORK/listens" --max-time "$ANSWER_S" http://127.0.0.1:9000/; }
    eventually listens
done

service() { # NAME ADDRESS PORT
    cat <<END
apiVersion: v1
kind: Service
metadata: {name: $1, namespace: shop}
spec: {clusterIP: $2, clusterIPs: [$2], ports: [{name: http, port: 80, targetPort: $3}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: $1-x, namespace: shop, labels: {kubernetes.io/service-name: $1}}
addressType: IPv4
ports: [{name: http, port: $3, protocol: TCP}]
endpoints:
END
    local pod
    for pod in $PODS; do
        echo "- {addresses: [$(pod_v4 "$pod")], conditions: {ready: true}, targetRef: {kind: Pod, namespace: shop, name: $pod}}"
    done
    echo ---
}
{
    service shelf 10.96.0.98 9000
    service split 10.96.0.99 8080
    cat <<'END'
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: shelf, namespace: shop}
spec:
  host: shelf
  trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN, localityLbSetting: {enabled: false}}}
  subsets:
  - {name: bare}
  - name: guarded
    trafficPolicy:
      outlierDetection: {consecutive5xxErrors: 3, interval: 500ms, baseEjectionTime: 1s, maxEjectionPercent: 50}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shelf, namespace: shop}
spec:
  hosts: [shelf]
  http:
  - match: [{headers: {x-to: {exact: guarded}}}]
    route: [{destination: {host: shelf, subset: guarded}}]
    retries: {attempts: 3, perTryTimeout: 3s, retryOn: "5xx,reset,connect-failure"}
  - {match: [{headers: {x-to: {exact: posts}}}], route: [{destination: {host: shelf, subset: bare}}]}
  - route: [{destination: {host: shelf, subset: bare}}]
    timeout: 3s
    retries: {attempts: 0}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: split, namespace: shop}
spec:
  host: split
  subsets:
  - {name: carts, labels: {app: cart}}
  - {name: orders, labels: {app: orders}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: split, namespace: shop}
spec:
  hosts: [split]
  http:
  - route:
    - {destination: {host: split, subset: carts}, weight: 70}
    - {destination: {host: split, subset: orders}, weight: 30}
END
} >"$WORK/shelf.yaml"
lab apply "$WORK/shelf.yaml"

ask() { # NAME TO REQUESTS [COMMAND...]: prints nothing; how it went is in $WORK/NAME
    local name=$1 to=$2 requests=$3
    shift 3
    (exec "$ROOT/tests/lab.sh" exec web -- h2load --h1 -t1 -c8 "-n$requests" -H "x-to: $to" http://10.96.0.98/) >"$WORK/$name" 2>&1 &
    local asking=$!
    "$@"
    wait "$asking" || fail "h2load"
}
answered() { sed -n 's/^status codes: \([0-9]*\) 2xx.*/\1/p' "$WORK/$1"; }
tell() { printf '  %s: %s answered of %s\n' "$1" "$(answered "$1")" "$2"; }
all_answer() {
    tell "$1" "$REQUESTS"
    same "$(answered "$1")" "$REQUESTS" "requests that were answered ($1)"
}
some_fail() { # without retries
    tell "$1" "$2"
    [ "$(answered "$1")" -lt "$2" ] || fail "without retries nothing failed ($1): nothing is shown"
}
is_there() { get web http://10.96.0.98/ -H 'x-to: guarded' && get web http://10.96.0.99/whoami; }
eventually is_there

step "an endpoint that fails every second time"
touch "$WORK/half.$ORDERS"
ask half-bare bare 300
some_fail half-bare 300
ask half guarded "$REQUESTS"
all_answer half
rm "$WORK/half.$ORDERS"

step "an endpoint that hangs"
touch "$WORK/hangs.$ORDERS"
ask hangs-bare bare 24
some_fail hangs-bare 24
ask hangs guarded "$REQUESTS"
all_answer hangs
rm "$WORK/hangs.$ORDERS"

step "an endpoint that is killed under load"
kill_second() {
    is_asked() { [ "$(metric node-a istio_requests_total 'reporter="source"' 'destination_service_name="shelf"')" -gt $((asked + 200)) ]; }
    eventually is_asked
    kill -KILL "${servers[$SECOND]}"
}
asked=$(metric node-a istio_requests_total 'reporter="source"' 'destination_service_name="shelf"')
ask killed guarded "$REQUESTS" kill_second
all_answer killed
ask killed-bare bare 300
some_fail killed-bare 300

step "POSTs that an endpoint reads and does not answer: each came once"
touch "$WORK/cuts.$ORDERS"
lab exec web -- curl -sS --max-time "$DEADLINE_S" -H 'x-to: posts' -d x -o "$WORK/post-answer" -w '%{http_code}\n' \
    'http://10.96.0.98/post?[1-1000]' >"$WORK/post-statuses" 2>"$WORK/post-progress" || true
cat "$WORK"/posts.* | sort >"$WORK/posts"
answered=$(grep -c 200 "$WORK/post-statuses")
printf '  %s POSTs came, %s of 1000 were answered by 200\n' "$(wc -l <"$WORK/posts")" "$answered"
same "$(uniq -d "$WORK/posts" | wc -l)" 0 "POSTs that came twice"
[ "$answered" -lt 1000 ] || fail "no POST was broken off: nothing is shown"
[ "$(wc -l <"$WORK/posts")" -gt "$answered" ] || fail "no POST was read and not answered: nothing is shown"

step "a split of 70 to 30, over 100,000 requests"
count() { metric node-a istio_requests_total 'reporter="source"' 'destination_service_name="split"' "$@"; }
before=$(count) orders_before=$(count 'destination_workload="orders"')
lab exec web -- h2load --h1 -t1 -c16 -n100000 http://10.96.0.99/whoami >"$WORK/split" 2>&1 || fail "h2load"
same "$(answered split)" 100000 "requests that were answered"
is_counted() { [ $(($(count) - before)) = 100000 ]; }
eventually is_counted
orders=$(($(count 'destination_workload="orders"') - orders_before))
echo "  orders had $orders"
[ "$orders" -ge 29500 ] && [ "$orders" -le 30500 ] || fail "orders had $orders of 100000 requests"
