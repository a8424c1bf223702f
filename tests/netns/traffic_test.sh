#!/usr/bin/env bash
# timeout: 300
# Traffic through the mesh: policy, identities, the client's address, both ends' half-close, large bodies, plaintext.
#
#   node-a: web, rogue, cart (1)   [legacy: batch, not enrolled]
#      |
#   underlay  <- captured here
#      |
#   node-b: cart (2), orders
. "$(dirname "$0")/lib.sh"
lab_up --set-proxy-args "$EVERY_LINE"

WEB=spiffe://cluster.local/ns/shop/sa/web CART=spiffe://cluster.local/ns/shop/sa/cart
CART_A=$(pod_v4 "$(replica node-a)") CART_B=$(pod_v4 "$(replica node-b)")

step "web reaches both replicas of cart; they see its address"
declare -A seen=()
for _ in $(seq 40); do
    body=$(get web http://cart/whoami)
    peer=$(field peer <<<"$body")
    same "${peer%:*}" "[$(pod_v6 web)]" "the client's address as cart sees it"
    seen[$(field pod <<<"$body")]=1
    [ ${#seen[@]} -lt 2 ] || break
done
same ${#seen[@]} 2 "the number of replicas that answered"
peer=$(get web http://cart/whoami -4 | field peer)
same "${peer%:*}" "$(pod_v4 web)" "the client's IPv4 address as cart sees it"

step "both ends log both identities and the policy"
mark
must get web "http://$(pod_v4 orders):8080/whoami"
logged node-a "src.identity=$WEB" "dst.identity=spiffe://cluster.local/ns/shop/sa/orders" direction=outbound \
    "dst.hbone_addr=$(pod_v4 orders):8080"
logged node-b "src.identity=$WEB" "dst.identity=spiffe://cluster.local/ns/shop/sa/orders" direction=inbound
must get web "http://$CART_B:8080/whoami"
logged node-b "src.identity=$WEB" "dst.identity=$CART" policy=shop/cart-only-from-web

step "rogue is refused, on both nodes' replicas"
for node in node-a node-b; do
    mark
    must_not get rogue "http://$(pod_v4 "$(replica "$node")"):8080/whoami"
    logged "$node" src.identity=spiffe://cluster.local/ns/shop/sa/rogue "dst.identity=$CART" direction=inbound \
        'ending="denied by policy"'
done
must get rogue http://orders/whoami

step "the same node: identities and policy, without a tunnel"
mark
must get web "http://$CART_A:8080/whoami"
logged node-a "src.identity=$WEB" "dst.identity=$CART" direction=inbound policy=shop/cart-only-from-web

step "what is not in the mesh: in plaintext, in and out"
mark
same "$(get batch http://orders.shop/whoami -4 | field peer | cut -d : -f 1)" "$(pod_v4 batch)" "batch's address"
logged node-b src.workload=batch dst.workload=orders direction=inbound
must_not get batch http://cart.shop/whoami
must get web http://batch.legacy/whoami
must get batch "http://$(pod_v4 batch):8080/whoami"
must get web http://web/whoami
must get web "http://$(pod_v4 web):8080/whoami"
must get web http://127.0.0.1:8080/whoami

step "a client outside may use a port that the proxy uses for its address"
lab exec batch -- /usr/bin/python3 -c "
import json, socket
def ask(s):
    s.settimeout(10)
    s.sendall(b'GET /whoami HTTP/1.1\r\nHost: x\r\n\r\n')
    return json.loads(s.recv(4096).partition(b'\r\n\r\n')[2])['peer']
to = ('$(pod_v4 orders)', 8080)
open = [socket.create_connection(to, 10) for _ in range(8)]
used = [int(ask(s).rpartition(':')[2]) for s in open]
for port in set(used) - {s.getsockname()[1] for s in open}:
    s = socket.socket()
    try:
        s.bind(('', port))
    except OSError:  # batch itself has had it, a moment ago
        continue
    s.settimeout(10)
    s.connect(to)
    ask(s)
[ask(s) for s in open]" || fail "the two are mixed up"

step "large bodies, both ways at once"
head -c 48000000 /dev/urandom >"$WORK/body"
sum=$(sha256sum <"$WORK/body")
for url in http://orders/echo "http://$CART_A:8080/echo" http://batch.legacy/echo; do
    same "$(get web "$url" --data-binary "@$WORK/body" -H Expect: | sha256sum)" "$sum" "the sum of what $url returns"
done
want=$(/usr/bin/python3 -c '
import hashlib
print(hashlib.sha256((bytes(range(251)) * (100000000 // 251 + 1))[:100000000]).hexdigest())')
same "$(get web 'http://orders/big?bytes=100000000' | sha256sum | cut -d ' ' -f 1)" "$want" "the sum of a download"

# A server and a client of one exchange each, in two pods: `server CODE` has the connection as c, `client CODE` too.
exchange() {
    local from=$1 to=$2 address=$3 server=$4 client=$5 job
    rm -f "$WORK/server"
    lab exec "$to" -- /usr/bin/python3 -c "
import socket, struct, sys
s = socket.create_server(('', 9090), family=socket.AF_INET6, dualstack_ipv6=True)
s.settimeout($DEADLINE_S)
print('listening', flush=True)
c, _ = s.accept()
c.settimeout($DEADLINE_S)
def read_all():
    n = 0
    while data := c.recv(65536):
        n += len(data)
    return n
$server" >"$WORK/server" 2>&1 &
    job=$! # now: eventually has children of its own
    eventually grep -q listening "$WORK/server"
    must lab exec "$from" -- /usr/bin/python3 -c "
import socket, struct
c = socket.create_connection(('$address', 9090), timeout=$DEADLINE_S)
def read_all():
    n = 0
    while data := c.recv(65536):
        n += len(data)
    return n
$client"
    wait "$job" || { cat "$WORK/server"; fail "the server of the exchange"; }
}
half_close() { # FROM TO ADDRESS
    exchange "$1" "$2" "$3" "
n = read_all()
c.sendall(b'%d' % n + b'x' * 1000000)
c.close()" "
c.sendall(b'a' * 3000000)
c.shutdown(socket.SHUT_WR)
assert read_all() == 1000007"
    exchange "$1" "$2" "$3" "
c.sendall(b'a' * 1000)
c.shutdown(socket.SHUT_WR)
n = read_all()
assert n == 3000000, n" "
assert read_all() == 1000
c.sendall(b'a' * 3000000)
c.close()"
}
reset() {
    exchange "$1" "$2" "$3" "
c.recv(1)
c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
c.close()" "
c.sendall(b'a')
try:
    c.recv(1)
    raise SystemExit('no reset')
except ConnectionResetError:
    pass"
}
step "half-close and reset, from either end: through a tunnel, on one node, to and from plaintext"
for way in "web orders $(pod_v4 orders)" "web cart $CART_A" "web orders $(pod_v6 orders)" \
    "web batch $(pod_v4 batch)" "batch orders $(pod_v4 orders)" "batch web $(pod_v4 web)"; do
    # shellcheck disable=SC2086 # fields
    half_close $way
    # shellcheck disable=SC2086
    reset $way
done

step "a port that nobody listens on is refused, not left open"
must_not lab exec web -- curl -sS --max-time "$ANSWER_S" "http://$(pod_v4 orders):9999/"
must_not lab exec batch -- curl -sS --max-time "$ANSWER_S" "http://$(pod_v4 orders):9999/"

step "between the nodes nothing of the mesh can be read"
lab exec node-a -- tcpdump -i eth0 -U -w "$WORK/wire" --immediate-mode 'ip or ip6' 2>"$WORK/tcpdump" &
eventually grep -q 'listening on' "$WORK/tcpdump"
must get web "http://$(pod_v4 orders):8080/echo" --data-binary "a-secret-of-the-mesh"
same "$(<"$WORK/out")" a-secret-of-the-mesh
must get batch "http://$(pod_v4 orders):8080/echo" --data-binary "a-word-in-plaintext"
# The capture holds the second, so it would hold the first.
eventually grep -q a-word-in-plaintext "$WORK/wire"
must_not grep -q a-secret-of-the-mesh "$WORK/wire"
must grep -q . "$WORK/wire"
end_jobs

step "many at once, without errors"
must lab exec web -- wrk -t1 -c64 -d3s "http://$(pod_v4 orders):8080/"
must_not grep -E 'Socket errors|Non-2xx' "$WORK/out"

step "STRICT, while the mesh runs: plaintext is refused, tunnels are not"
must get batch http://orders.shop/whoami
mark
lab apply "$ROOT/docs/examples/strict/peer-authentication.yaml"
refused() { ! get batch http://orders.shop/whoami; }
eventually refused
must refused # once more: the first may have begun before, and ended as "policy changed"
logged node-b src.workload=batch dst.workload=orders 'ending="denied by policy"' policy=
must get web http://orders/whoami
must get web http://cart/whoami
lab delete peer-authentication.yaml
eventually get batch http://orders.shop/whoami

step "a policy that changes ends the connections that it no longer allows"
mark
mkfifo "$WORK/silent"
exec 7<>"$WORK/silent"
lab exec batch -- nc "$(pod_v4 orders)" 8080 <&7 >/dev/null 2>&1 &
client=$!
is_listed() { lab ctl node-b connections | grep -q "$(pod_v4 batch)"; }
eventually is_listed
lab apply "$ROOT/docs/examples/strict/peer-authentication.yaml"
is_over() { ! kill -0 "$client" 2>/dev/null; }
eventually is_over
logged node-b src.workload=batch 'ending="policy changed"'

step "metrics of it"
# An address was called: bytes to the client's node. At the destination its port is declared HTTP: requests.
counts() { # NODE REPORTER METRIC
    [ "$(metric "$1" "$3" "reporter=\"$2\"" "source_principal=\"$WEB\"" 'destination_workload="orders"' \
        'connection_security_policy="mutual_tls"')" -gt 64 ] || fail "$1 counts too few: $3"
}
counts node-a source istio_tcp_connections_opened_total
counts node-b destination istio_requests_total
counts node-b destination weir_http_connections_opened_total
[ "$(metric node-b weir_connections_ended_total 'ending="denied by policy"')" -gt 0 ] || fail "no refusal was counted"
echo "all of it holds"
