#!/usr/bin/env bash
# timeout: 120
# builds: dev
# Requests of a workload to Services (--http on): each to an endpoint of its own by one connection of the client, answers of the
# node proxy itself, a split, a rewrite and a redirect by an HTTPRoute, and a VirtualService.
#
#   node-a: web, cart (1)   [legacy: batch]        node-b: cart (2), orders
. "$(dirname "$0")/lib.sh"
lab_up --set-proxy-args "--http on"

from_web() { # CURL ARGUMENT...
    lab exec web -- curl -sS --max-time "$DEADLINE_S" "$@"
}
pods_of() { # URL: the pods that answered, and how often each
    from_web -w '\n' "$1" | grep -o '"pod": *"[^"]*"' | sort | uniq -c | awk '{ print $NF, $1 }'
}

step "one connection of curl, and both replicas answer"
mark
pods_of 'http://cart/whoami?[1-40]' >"$WORK/pods"
same "$(wc -l <"$WORK/pods")" 2 "the number of replicas that answered"
same "$(awk '{ sum += $2 } END { print sum }' "$WORK/pods")" 40 "answers"
same "$(from_web -o /dev/null -w '%{num_connects} ' http://cart/whoami -o /dev/null http://cart/whoami)" "1 0 " "new connections"
logged node-a 'access: request complete' direction=outbound path=/whoami?7 status=200 src.workload=web ending=closed
same "$(get web http://cart/whoami -4 | field peer | cut -d : -f 1)" "$(pod_v4 web)" "who asks"

step "bodies each way"
head -c 3000000 /dev/urandom >"$WORK/body"
from_web --data-binary @- http://orders/echo <"$WORK/body" | cmp - "$WORK/body" || fail "the echo is another one"

step "weirctl tap at the side that asks: a line for each request, with the query where it is wanted"
(exec "$ROOT/tests/lab.sh" ctl node-a tap web --query --max 1) >"$WORK/tap" 2>"$WORK/tap.err" &
TAP=$!
eventually grep -q '^weirctl: tapping' "$WORK/tap.err"
must from_web -f "http://orders/whoami?key=shown"
wait "$TAP" || fail "the tap did not end well: $(cat "$WORK/tap.err")"
grep -qE "^[^ ]+ outbound shop/web \(spiffe://.*/sa/web\) -> shop/orders \(spiffe://.*/sa/orders\) GET orders /whoami\?key=shown 200 [0-9]+ms " "$WORK/tap" ||
    fail "the line: $(cat "$WORK/tap")"

step "a workload calls itself, and one outside of the mesh"
must get web http://web/whoami
must get web http://batch.legacy/whoami

step "what is refused at the destination is answered 403"
same "$(lab exec rogue -- curl -sS --max-time "$DEADLINE_S" -o /dev/null -w '%{http_code}' http://cart/whoami)" 403 "the status"
logged node-a 'access: request complete' direction=outbound src.workload=rogue status=403 'ending="denied by policy"'

step "a Service without endpoints"
cat >"$WORK/nobody.yaml" <<'END'
apiVersion: v1
kind: Service
metadata: {name: nobody, namespace: shop}
spec:
  selector: {app: nobody}
  clusterIP: 10.96.0.97
  clusterIPs: [10.96.0.97]
  ports: [{name: http, port: 80, targetPort: 8080}]
END
lab apply "$WORK/nobody.yaml"
eventually knows node-a nobody
same "$(from_web -o /dev/null -w '%{http_code} ' http://10.96.0.97/ -o /dev/null http://10.96.0.97/)" "503 503 " "the statuses"

step "a cluster that somebody asked for, as weirctl shows it: its endpoint, and the request in flight there"
cat >"$WORK/rule.yaml" <<'END'
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: orders, namespace: shop}
spec: {host: orders, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}}
END
lab apply "$WORK/rule.yaml"
shows() { # LEFT-OUT|REQUESTS
    lab ctl node-a clusters -n shop | awk -F '   +' '$1 == "outbound|80||orders.shop.svc.cluster.local" { print $2 "|" $3 "|" $7 "|" $8 "|" $9 }' |
        tee /dev/stderr | grep -Fx -e "round robin|$(pod_v4 orders):8080|healthy|$1" -e "round robin|[$(pod_v6 orders)]:8080|healthy|$1"
}
eventually shows '-|0'
(exec "$ROOT/tests/lab.sh" exec web -- curl -sS --limit-rate 1k --max-time "$((2 * DEADLINE_S))" -o /dev/null 'http://orders/big?bytes=50000000') &
DOWNLOAD=$!
eventually shows 'by 0 of 1|1'
end_job "$DOWNLOAD"
eventually shows 'by 0 of 1|0'
must lab exec node-a -- curl -sS -f http://127.0.0.1:15000/config_dump
said '"clusterUse":[{"workload":"shop/web'
said '"cluster":"outbound|80||orders.shop.svc.cluster.local","connections":'

step "an HTTPRoute: a split, a rewrite with edits, a redirect, and what no rule takes"
cat >"$WORK/route.yaml" <<'END'
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: orders, namespace: shop}
spec:
  parentRefs: [{group: "", kind: Service, name: orders, port: 80}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /split}}]
    filters:
    - type: URLRewrite
      urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /whoami}}
    - type: ResponseHeaderModifier
      responseHeaderModifier: {set: [{name: x-route, value: split}]}
    backendRefs: [{name: orders, port: 80, weight: 80}, {name: cart, port: 80, weight: 20}]
  - matches: [{path: {type: PathPrefix, value: /old}}]
    filters:
    - type: RequestRedirect
      requestRedirect: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}, statusCode: 301}
END
lab apply "$WORK/route.yaml"
routed() { [ "$(from_web -o /dev/null -w '%{http_code}' http://orders/old)" = 301 ]; } # whereas the pods answer 404
eventually routed
from_web -w '\n' 'http://orders/split?[1-1000]' >"$WORK/split"
same "$(grep -c '"pod"' "$WORK/split")" 1000 "answers"
N=$(grep -o '"pod": *"cart' "$WORK/split" | wc -l)
[ "$N" -gt 130 ] && [ "$N" -lt 270 ] || fail "of 1000 requests cart had $N, and should have 200" # 5 deviations
must from_web -D - -o /dev/null http://orders/split
said "x-route: split"
same "$(from_web -o /dev/null -w '%{http_code} %{redirect_url}' http://orders/old/a?b=c)" "301 http://orders/new/a?b=c" "the redirect"
must get web http://cart/whoami # has no routes

step "a VirtualService: the list's order, who asks, a rewrite, a fault, an answer of its own, and what can't be honoured"
cat >"$WORK/virtual.yaml" <<'END'
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: cart, namespace: shop}
spec:
  hosts: [cart]
  http:
  - {match: [{sourceNamespace: elsewhere, uri: {prefix: /}}], directResponse: {status: 418}}
  - {match: [{uri: {prefix: /teapot}, sourceNamespace: shop}], directResponse: {status: 418, body: {string: short and stout}}}
  - match: [{uri: {prefix: /who}, headers: {x-to: {prefix: ord}}}]
    rewrite: {uri: /who}
    headers: {response: {set: {x-route: virtual}}}
    route: [{destination: {host: orders}}]
  - {match: [{uri: {exact: /broken}}], fault: {abort: {httpStatus: 555, percentage: {value: 100}}}, route: [{destination: {host: cart}}]}
  - {match: [{uri: {prefix: /delegated}}], delegate: {name: x}}
  - {match: [{uri: {prefix: /who}}], route: [{destination: {host: cart}}]}
END
lab apply "$WORK/virtual.yaml"
virtual() { [ "$(from_web -o /dev/null -w '%{http_code}' http://cart/teapot)" = 418 ]; }
eventually virtual
same "$(from_web -w ' %{http_code}' http://cart/teapot)" "short and stout 418" "the answer"
same "$(pods_of 'http://cart/whoami?[1-8]' | grep -c cart)" 2 "the replicas that answered"
must from_web -D - -H 'x-to: orders' http://cart/whoami
said "x-route: virtual"
same "$(from_web -H 'x-to: orders' http://cart/whoami | grep -c '"pod": *"orders')" 1 "answers of orders"
same "$(from_web -o /dev/null -w '%{http_code} ' http://cart/broken -o /dev/null http://cart/delegated/a)" "555 500 " "the statuses"

step "weirctl says what becomes of such a request, and because of which objects"
explain() { must ip netns exec "$WEIR_LAB_NAME-control" "$WEIR_BUILD/weirctl" --controller 127.0.0.1:15014 explain "$(pod_v4 web)" shop/cart:80 "$@"; }
explain --path /whoami --header 'x-to: orders'
said "shop/cart/2 takes it: to outbound|80||orders.shop.svc.cluster.local"
said "allowed  shop/orders-"
explain --path /teapot
said "answered 418"
