#!/usr/bin/env bash
# timeout: 240
# builds: asan
# What goes on when parts are gone: controller and CA, the node proxy (orderly, and killed), and what it is like when they are back.
#
#   control: controller, CA      node-a: web, rogue, cart (1)  [legacy: batch]      node-b: cart (2), orders
. "$(dirname "$0")/lib.sh"
lab_up --set-proxy-args "$EVERY_LINE"

# A route of the Gateway API, NAME leading PATH of web to PORT.
route() {
    cat >"$WORK/$1.yaml" <<END
{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: $1, namespace: shop},
 spec: {parentRefs: [{group: '', kind: Service, name: web}],
        rules: [{matches: [{path: {value: $2}}], backendRefs: [{name: web, port: $3}]}]}}
END
    lab apply "$WORK/$1.yaml"
}
routes_of() { lab ctl "$1" routes | sed 's/   */|/g'; }
has_route() { routes_of "$1" | grep -F -q -e "$2"; }
table='shop|outbound|80||web.shop.svc.cluster.local'
must route first /first 80
for node in node-a node-b; do
    eventually has_route "$node" "$table|1|shop/first/0|in /first|outbound|80||web.shop.svc.cluster.local"
    same "$(routes_of "$node" | grep -c outbound)" 1 "tables: nobody wrote another"
done

# What a node proxy knows of the mesh, without what differs from one start to the next.
state_of() {
    local what
    for what in workloads services policies routes; do lab ctl "$1" "$what" -o json; done | /usr/bin/python3 -c '
import json, sys
def ordered(value):
    if isinstance(value, dict):
        return {key: ordered(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return sorted(map(ordered, value), key=json.dumps)
    return value
for line in sys.stdin:
    print(json.dumps(ordered(json.loads(line)), indent=1))'
}
state_of node-a >"$WORK/fresh-a" && state_of node-b >"$WORK/fresh-b"
must grep -q cart-only-from-web "$WORK/fresh-a"
has_state() { state_of "$1" | cmp - "$2"; }

all_works() {
    must get web http://orders/whoami
    for node in node-a node-b; do must get web "http://$(pod_v4 "$(replica "$node")"):8080/whoami"; done
    must_not get rogue "http://$(pod_v4 "$(replica node-b)"):8080/whoami"
    must get batch http://orders.shop/whoami
    must_not get batch http://cart.shop/whoami
}

step "controller and CA killed: traffic goes on, new connections and new tunnels too"
stream before web orders 80
must lab stop controller KILL
must lab stop ca KILL
all_works
must lab exec web -- wrk -t1 -c32 -d2s http://orders/
must_not grep -E 'Socket errors|Non-2xx' "$WORK/out"

step "meanwhile the mesh changes, a tunnel is made anew, a pod comes back"
lab apply "$ROOT/docs/examples/strict/peer-authentication.yaml"
must route second /second 81
must get batch http://orders.shop/whoami # nobody knows yet
must lab pod-down rogue
must lab pod-up rogue
must_not get rogue "http://$(pod_v4 "$(replica node-b)"):8080/whoami" -m 4

step "back again: the change arrives, and the state is that of a fresh start"
must lab start controller
must lab start ca
refused() { ! get batch http://orders.shop/whoami; }
eventually refused
eventually has_route node-b 'in /second|weir.invalid' # web has no port 81
lab delete peer-authentication.yaml second.yaml
eventually has_state node-a "$WORK/fresh-a"
eventually has_state node-b "$WORK/fresh-b"
eventually get batch http://orders.shop/whoami
all_works
stream_rest before

step "a node proxy without a controller at its start serves its pods again when it is back"
mark
must lab stop node-a
must_not get web http://orders/whoami # fail closed
must lab start node-a
eventually get web http://orders/whoami
logged node-a "$(pod_field web 2)" captured
eventually has_state node-a "$WORK/fresh-a"
all_works

step "a node proxy that is killed: its pods' connections are refused, and nothing leaks in plaintext"
lab exec node-b -- tcpdump -i eth0 -U -w "$WORK/wire" --immediate-mode 'ip or ip6' 2>"$WORK/tcpdump" &
eventually grep -q 'listening on' "$WORK/tcpdump"
must lab stop node-a KILL
for url in http://orders/echo "http://$(pod_v4 orders):8080/echo" "http://[$(pod_v6 orders)]:8080/echo" http://batch.legacy/echo; do
    must_not get web "$url" -v --data-binary a-secret-of-the-mesh
    said "Connection refused"
done
must_not get batch "http://$(pod_v4 web):8080/whoami"
must get batch "http://$(pod_v4 orders):8080/echo" --data-binary a-word-in-plaintext
eventually grep -q a-word-in-plaintext "$WORK/wire"
must_not grep -q a-secret-of-the-mesh "$WORK/wire"
end_jobs
must lab start node-a
eventually get web http://orders/whoami
all_works

step "everything ends and starts again"
for part in node-a node-b ca controller; do must lab stop "$part"; done
for part in node-b node-a controller ca; do must lab start "$part"; done
eventually get web http://orders/whoami
eventually get web http://cart/whoami
eventually has_state node-a "$WORK/fresh-a"
all_works
echo "all of it holds"
