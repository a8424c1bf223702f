#!/usr/bin/env bash
# timeout: 120
# What happens to pods and Services besides calls between two of them.
#
#   outside (control)     node-a: web, rogue, cart (1)   [legacy: batch]        node-b: cart (2), orders
. "$(dirname "$0")/lib.sh"
lab_up

in_pod() { nsenter --net="/run/netns/$(pod_netns "$1")" "${@:2}"; }
in_node() { nsenter --net="/run/netns/$WEIR_LAB_NAME-$1" "${@:2}"; }
# edit FILE PYTHON: the manifests of the example's file, changed by statements on `objects`, are applied.
edit() {
    /usr/bin/python3 - "$ROOT/docs/examples/shop/$1" "$WORK/$1" "$2" <<'PYTHON'
import sys
import yaml
with open(sys.argv[1], encoding="utf-8") as file:
    objects = list(yaml.safe_load_all(file))
exec(sys.argv[3], {"objects": objects})
with open(sys.argv[2], "w", encoding="utf-8") as file:
    yaml.safe_dump_all(objects, file)
PYTHON
    must lab apply "$WORK/$1"
}

step "a pod that calls itself through its Service, and by its own address"
mark
must get orders http://orders/whoami
said '"pod": "'"$(pod_field orders 2)"
must get orders "http://$(pod_v4 orders):8080/whoami"
must get orders "http://[$(pod_v6 orders)]:8080/whoami"
must get orders http://localhost:8080/whoami

step "a pod that is just being made: known by its node before it has an address, and its first call is in the mesh"
must lab pod-down web
edit web.yaml 'next(o for o in objects if o["kind"] == "Pod").update(status={"phase": "Pending"})'
mark
must lab pod-up web
must get web http://orders/whoami # as an init container would
logged node-b src.identity=spiffe://cluster.local/ns/shop/sa/web dst.workload=orders
must lab apply "$ROOT/docs/examples/shop/web.yaml"
eventually get orders http://web/whoami
logged node-a src.identity=spiffe://cluster.local/ns/shop/sa/orders dst.workload=web direction=inbound

step "a Service with several ports, by name and by number"
edit orders.yaml '
pod = next(o for o in objects if o["kind"] == "Pod")
pod["spec"]["containers"].append({"name": "side", "ports": [{"name": "admin", "containerPort": 9901}]})
service = next(o for o in objects if o["kind"] == "Service")
service["spec"]["ports"] += [{"name": "admin", "port": 81, "targetPort": "admin"}, {"name": "number", "port": 82, "targetPort": 9902}]'
for port in 9901 9902; do
    in_pod orders "$WEIR_BUILD/perf/origin" --port "$port" --pod "side-$port" >"$WORK/side-$port" 2>&1 &
done
reaches_side() { get web "http://orders:$1/whoami" | grep -qF "side-$2"; }
mark
eventually reaches_side 81 9901
eventually reaches_side 82 9902
must get web http://orders/whoami
said '"pod": "'"$(pod_field orders 2)"
logged node-b src.identity=spiffe://cluster.local/ns/shop/sa/web dst.addr= :9902 dst.service=orders.shop.svc.cluster.local
must_not get web http://orders:83/whoami

step "a headless Service: its pods are called by their addresses, in the mesh"
edit orders.yaml 'next(o for o in objects if o["kind"] == "Service")["spec"].update(clusterIP="None", clusterIPs=["None"])'
mark
must get web "http://$(pod_v4 orders):8080/whoami"
logged node-b src.identity=spiffe://cluster.local/ns/shop/sa/web dst.workload=orders direction=inbound
must lab apply "$ROOT/docs/examples/shop/orders.yaml"

step "from outside through a node's port: plaintext, to a pod of that node and of another one"
# As kube-proxy does it, externalTrafficPolicy: Cluster: the caller becomes the node.
in_node node-a nft -f - <<NFT
table ip node_ports {
    chain received {
        type nat hook prerouting priority dstnat; policy accept;
        tcp dport 30080 dnat to $(pod_v4 web):8080
        tcp dport 30081 dnat to $(pod_v4 orders):8080
    }
    chain sent {
        type nat hook postrouting priority srcnat; policy accept;
        ct status dnat ip daddr 10.244.0.0/16 masquerade
    }
}
NFT
outside() { lab exec control -- curl -sS -f --max-time 5 "http://$(node_v4 node-a):$1/whoami"; }
mark
must outside 30080
said '"pod": "'"$(pod_field web 2)"
must outside 30081
said '"pod": "'"$(pod_field orders 2)"
logged node-a dst.workload=web direction=inbound ending=closed
logged node-b dst.workload=orders direction=inbound ending=closed
! has_line node-a dst.workload=web direction=inbound src.identity || fail "who comes from outside has an identity"

step "and under STRICT it is refused"
must lab apply "$ROOT/docs/examples/strict/peer-authentication.yaml"
is_refused() { ! outside "$1"; }
eventually is_refused 30080
eventually is_refused 30081
must lab delete peer-authentication.yaml
eventually outside 30080

step "a pod that is going away gets no new connections, and keeps those that it has"
edit cart.yaml '
pod = [o for o in objects if o["kind"] == "Pod"][0]
pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
pod["status"]["conditions"] = [{"type": "Ready", "status": "False"}]'
leaving=$(replica node-a)
only_the_other() {
    local _
    for _ in $(seq 12); do get web http://cart/whoami | grep -qvF "$leaving" || return 1; done
}
eventually only_the_other
must get web "http://$(pod_v4 "$leaving"):8080/whoami" # by its address it still answers
echo "all of it holds"
