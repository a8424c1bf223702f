#!/usr/bin/env bash
# timeout: 240
# builds: asan
# Whoever says that he is somebody else: with another's address, with the proxy's mark, with rules taken away, with an address
# that a pod has just given up. An identity comes from the namespace that a connection was accepted in, and from nothing
# else. What a pod with CAP_NET_ADMIN can do is to have no identity. (The probe's address: probes_test. Authorities, headers and
# certificates: interop/hbone_client_test. The proxy's ports: own_ports_test.)
#
#   node-a: web, rogue, cart (1)   [legacy: batch, not enrolled]        node-b: cart (2), orders
. "$(dirname "$0")/lib.sh"
lab_up --set-proxy-args "--log-rate 0"

CART_A=$(replica node-a) CART_B=$(replica node-b)
WEB=$(pod_v4 web) WEB6=$(pod_v6 web) ROGUE=$(pod_v4 rogue)
ROGUE_ID=sa/rogue WEB_ID=sa/web

# ask WORKLOAD TARGET PORT [mark] [from ADDRESS]: a request, as an application that may do all inside its pod does it. Prints the answer.
ask() {
    local workload=$1
    shift
    lab exec "$workload" -- /usr/bin/python3 -c '
import socket, sys
timeout = float(sys.argv.pop(1))
target, port, rest = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
s = socket.socket(socket.AF_INET6 if ":" in target else socket.AF_INET)
s.settimeout(timeout)
if "mark" in rest:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 0x539)
if "from" in rest:
    source = rest[rest.index("from") + 1]
    s.setsockopt(*((41, 75, 1) if ":" in source else (socket.IPPROTO_IP, 19, 1)))  # IP(V6)_TRANSPARENT
    s.bind((source, 0))
s.connect((target, port))
s.sendall(b"GET /whoami HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
data = b""
while True:
    part = s.recv(4096)
    if not part:
        break
    data += part
if b"200 OK" not in data:
    raise SystemExit(f"no answer: {data!r}")
print(data.split(b"\r\n\r\n", 1)[1].decode())' "${ASK_S:-4}" "$@"
}

step "it works, and who may not may not"
must ask web "$(pod_v4 "$CART_B")" 8080
must_not ask rogue "$(pod_v4 "$CART_B")" 8080
must_not ask rogue "$(pod_v4 "$CART_A")" 8080

step "another pod's address as the source (IP_TRANSPARENT): the connection is captured, and is rogue's"
for target in "$(pod_v4 "$CART_A")" "$(pod_v4 "$CART_B")"; do
    mark
    ASK_S=2 must_not ask rogue "$target" 8080 from "$WEB" # the answer goes to web, and the log is what counts
    no_web() { ! has_line node-a "src.identity=spiffe://cluster.local/ns/shop/$WEB_ID" && ! has_line node-b "src.identity=spiffe://cluster.local/ns/shop/$WEB_ID"; }
    no_web || fail "rogue's connection was taken for web's"
done
ASK_S=2 must_not ask rogue "$(pod_v6 "$CART_B")" 8080 from "$WEB6"
must ask rogue "$(pod_v4 orders)" 8080
logged node-b "src.identity=spiffe://cluster.local/ns/shop/$ROGUE_ID" "dst.workload=orders" "ending=closed"

step "the proxy's mark (needs CAP_NET_ADMIN): past its own proxy, so without an identity"
mark
must_not ask rogue "$(pod_v4 "$CART_A")" 8080 mark
must_not ask rogue "$(pod_v4 "$CART_B")" 8080 mark
logged node-a "src.addr=$ROGUE:" "dst.workload=cart" 'ending="denied by policy"'
logged node-b "src.addr=$ROGUE:" "dst.workload=cart" 'ending="denied by policy"'
no_identity() { ! has_line node-b "src.addr=$ROGUE:" "src.identity"; }
no_identity || fail "a plaintext connection has an identity"
must ask rogue "$(pod_v4 orders)" 8080 mark # whom no policy protects, and who is not STRICT
mark
must_not ask rogue "$(pod_v4 "$CART_B")" 15008 mark
must_not ask rogue "$(pod_v4 "$CART_B")" 8080 mark from "$WEB"

step "web's address on rogue's own interface, and the neighbours told so: web's address, still no identity"
ip -n "$(pod_netns rogue)" addr add "$WEB/32" dev eth0
take_over() { # all on the bridge believe that web's address is at rogue's interface
    local mac pod
    mac=$(ip -n "$(pod_netns rogue)" -o link show dev eth0 | sed 's/.*link\/ether \([^ ]*\).*/\1/')
    for pod in "$(pod_netns "$CART_A")" "$WEIR_LAB_NAME-node-a"; do
        ip -n "$pod" neigh replace "$WEB" lladdr "$mac" dev "$([ "$pod" = "$WEIR_LAB_NAME-node-a" ] && echo cni0 || echo eth0)" nud permanent
    done
}
take_over
mark
for target in "$CART_A" "$CART_B"; do
    must_not ask rogue "$(pod_v4 "$target")" 8080 mark from "$WEB"
    must_not ask rogue "$(pod_v4 "$target")" 8080 from "$WEB"
done
logged node-b "src.addr=$WEB:" "dst.workload=cart" 'ending="denied by policy"'
same "$(has_line node-b "src.addr=$WEB:" "src.identity=spiffe://cluster.local/ns/shop/$WEB_ID" || true)" "" "what was taken for web"
for pod in "$(pod_netns "$CART_A")" "$WEIR_LAB_NAME-node-a"; do
    ip -n "$pod" neigh flush nud permanent to "$WEB"
done
ip -n "$(pod_netns rogue)" addr del "$WEB/32" dev eth0

step "a pod that takes its own rules away has no identity either, and no one else's rules"
nsenter --net="/run/netns/$(pod_netns rogue)" nft delete table inet weir
mark
must_not ask rogue "$(pod_v4 "$CART_B")" 8080
logged node-b "src.addr=$ROGUE:" 'ending="denied by policy"'
no_identity || fail "a connection past the proxy has an identity"
must nsenter --net="/run/netns/$(pod_netns web)" nft list table inet weir

step "under STRICT plaintext is refused everywhere"
lab apply "$ROOT/docs/examples/strict/peer-authentication.yaml"
strict() { ! ask rogue "$(pod_v4 orders)" 8080 mark; }
eventually strict
must ask web "$(pod_v4 orders)" 8080
lab delete peer-authentication.yaml
permissive() { ask rogue "$(pod_v4 orders)" 8080 mark; }
eventually permissive

step "web's address goes to another pod while the controller is away: no certificate, no identity, and no byte meant for web"
lab stop controller
WEB_POD=$(pod_field web 2) WEB_NETNS=$(pod_netns web)
lab pod-down web
THIEF=$WEIR_LAB_NAME-thief
ip netns add "$THIEF"
ip -n "$THIEF" link set lo up
ip -n "$WEIR_LAB_NAME-node-a" link add thief type veth peer name eth0 netns "$THIEF"
ip -n "$WEIR_LAB_NAME-node-a" link set thief master cni0 up
ip -n "$THIEF" addr add "$WEB/24" dev eth0
ip -n "$THIEF" link set eth0 up
read -r gateway < <(awk '$1 == "node-a" { print $7 }' "$RUN/plan/nodes")
ip -n "$THIEF" route add default via "$gateway"
for netns in "$(pod_netns "$CART_A")" "$(pod_netns rogue)" "$WEIR_LAB_NAME-node-a"; do ip -n "$netns" neigh flush to "$WEB" || true; done
sed "s/$WEB_NETNS/$THIEF/g" "$RUN/plan/cni/$WEB_NETNS" >"$WORK/thief.json"
thief_cni() { # NAME: the plugin, for a pod of that name
    CNI_COMMAND=ADD CNI_CONTAINERID=$THIEF CNI_NETNS=/run/netns/$THIEF CNI_IFNAME=eth0 CNI_PATH=$WEIR_BUILD \
        CNI_ARGS="IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=$1;K8S_POD_INFRA_CONTAINER_ID=$THIEF" \
        timeout 60 "$WEIR_BUILD/weir-cni" <"$WORK/thief.json"
}
mark
must_not thief_cni thief-1 # nobody knows this pod: the runtime is told so, and does not start it
same "$(has_line node-a "shop/thief-1" "is captured" || true)" "" "what was captured"
thief() { # TARGET PORT: a request from inside, which nothing captures
    nsenter --net="/run/netns/$THIEF" curl -sS -f --max-time 5 "http://$1:$2/whoami"
}
mark
must_not thief "$(pod_v4 "$CART_A")" 8080
must_not thief "$(pod_v4 "$CART_B")" 8080
logged node-b "src.addr=$WEB:" "dst.workload=cart" 'ending="denied by policy"'
same "$(has_line node-b "src.addr=$WEB:" "src.identity" || true)" "" "an identity by an address"
# It listens where web did, and to what a proxy would: a call that is meant for web brings it no byte.
nsenter --net="/run/netns/$THIEF" /usr/bin/python3 -c "
import select, socket, sys
listeners = [socket.create_server(('', port)) for port in (8080, 15008)]
print('ready', flush=True)
poll = select.poll()
for l in listeners:
    poll.register(l, select.POLLIN)
names = {l.fileno(): l for l in listeners}
while True:
    for number, _ in poll.poll():
        c, _ = names[number].accept()
        c.settimeout(5)
        try:
            data = c.recv(4096)
        except OSError:
            data = b''
        print(names[number].getsockname()[1], data[:3].hex(), b'secret' in data, flush=True)
        c.close()
" >"$WORK/thief.log" 2>&1 &
ready() { grep -q ready "$WORK/thief.log"; }
eventually ready
must_not lab exec "$CART_A" -- curl -sS -f --max-time 4 -H 'X: secret' "http://$WEB:8080/whoami"
must_not lab exec orders -- curl -sS -f --max-time 4 -H 'X: secret' "http://$WEB:8080/whoami"
eventually grep -q "^15008 1603" "$WORK/thief.log" # a handshake began, and its end would have been web's certificate
must_not grep -q "^8080" "$WORK/thief.log" # in plain: never
must_not grep -q "True" "$WORK/thief.log"

step "the controller comes back: web elsewhere, and all is as it was"
end_jobs
ip netns delete "$THIEF"
lab start controller
lab pod-up "$WEB_POD"
again() { ask web "$(pod_v4 "$CART_B")" 8080; }
eventually again
echo "all of it holds"
