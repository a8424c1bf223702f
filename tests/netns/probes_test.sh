#!/usr/bin/env bash
# timeout: 180
# Probes of the node reach its pods under STRICT, and nobody else can pass for the node.
#
#   node-a (kubelet): web, rogue, cart (1)   [legacy: batch]        node-b: cart (2), orders
. "$(dirname "$0")/lib.sh"
lab_up
lab apply "$ROOT/docs/examples/strict/peer-authentication.yaml"
refused() { ! get batch http://orders.shop/whoami; }
eventually refused

CART=$(replica node-a)
probe() { curl_in "$1" "http://$2:8080/whoami"; }
curl_in() { lab exec "$1" -- curl -sS -f --max-time 5 "$2"; }

step "from the pod's own node: past policy and STRICT, with the probe's address"
same "$(probe node-a "$(pod_v4 "$CART")" | field peer | sed 's/:[0-9]*$//')" 169.254.7.127
same "$(probe node-a "[$(pod_v6 "$CART")]" | field peer | sed 's/:[0-9]*$//')" "[fd16:9254:7127:1337:ffff:ffff:ffff:ffff]"
must probe node-b "$(pod_v4 orders)"

step "from elsewhere it is refused: another node, other pods"
must_not probe node-b "$(pod_v4 "$CART")"
must_not probe node-a "$(pod_v4 orders)"
must_not probe control "$(pod_v4 "$CART")"
must_not get batch "http://$(pod_v4 "$CART"):8080/whoami"
must_not get rogue "http://$(pod_v4 "$CART"):8080/whoami"
must get web "http://$(pod_v4 "$CART"):8080/whoami"

step "a pod that gives itself the probe's address gets nowhere, on the same bridge and from another node"
# Both pods are outside the mesh or would be captured: batch is on node-a, next to cart. The address and the way back are made
# for it, so that only the node's rules stand between.
spoof() { # WORKLOAD FAMILY SOURCE TARGET SECONDS
    lab exec "$1" -- /usr/bin/python3 -c "
import socket
s = socket.socket(socket.AF_INET6 if ':' in '$3' else socket.AF_INET)
s.bind(('$3', 0))
s.settimeout($5)
s.connect(('$4', 8080))
s.sendall(b'GET /whoami HTTP/1.1\r\nHost: x\r\n\r\n')
raise SystemExit(0 if s.recv(100) else 1)"
}
netns=$(pod_netns batch)
ip -n "$netns" addr add 169.254.7.127/32 dev eth0
ip -n "$netns" addr add fd16:9254:7127:1337:ffff:ffff:ffff:ffff/128 dev eth0 nodad
ip -n "$WEIR_LAB_NAME-node-a" route add 169.254.7.127/32 via "$(pod_v4 batch)"
ip -n "$WEIR_LAB_NAME-node-a" route add fd16:9254:7127:1337:ffff:ffff:ffff:ffff/128 via "$(pod_v6 batch)"
for target in "$(pod_v4 "$CART")" "$(pod_v4 orders)"; do must_not spoof batch 4 169.254.7.127 "$target" 3; done
for target in "$(pod_v6 "$CART")" "$(pod_v6 orders)"; do
    must_not spoof batch 6 fd16:9254:7127:1337:ffff:ffff:ffff:ffff "$target" 3
done
# Without the node's rules it would get through: it is they that hold.
in_node() { nsenter --net="/run/netns/$WEIR_LAB_NAME-node-a" "$@"; }
in_node nft delete table bridge weir_node
in_node nft delete chain inet weir_node received
must spoof batch 4 169.254.7.127 "$(pod_v4 "$CART")" "$ANSWER_S"
echo "all of it holds"
