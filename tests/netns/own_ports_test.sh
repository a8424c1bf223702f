#!/usr/bin/env bash
# timeout: 240
# The proxy's own ports and sockets are no way in, and nothing can be led in a circle, neither by pods of the mesh nor by others.
#
#   node-a: web, rogue, cart (1)   [legacy: batch]        node-b: cart (2), orders
. "$(dirname "$0")/lib.sh"
lab_up

# knock WORKLOAD ADDRESS PORT: what a plain HTTP request to it comes to: refused, or closed without a byte of an answer.
# An answer, and one that never comes, are failures.
knock() {
    lab exec "$1" -- /usr/bin/python3 -c '
import socket, sys
address, port = sys.argv[1], int(sys.argv[2])
try:
    c = socket.create_connection((address, port), timeout=15)
    c.sendall(b"GET /config_dump HTTP/1.1\r\nHost: x\r\n\r\n")
    data = c.recv(1000)
except (ConnectionRefusedError, ConnectionResetError, BrokenPipeError, OSError) as error:
    if isinstance(error, TimeoutError):
        raise SystemExit(f"{address} port {port}: no end in 15 s")
    data = b""
if data:
    raise SystemExit(f"{address} port {port} answers {data!r}")' "$2" "$3"
}
no_connections() {
    local all
    all=$(lab ctl "$1" connections) && ! grep -q :15 <<<"$all"
}

step "from a pod of the mesh and from another one: pods' addresses, its own, the loopback, the nodes"
for from in web batch; do
    for address in "$(pod_v4 "$from")" "$(pod_v6 "$from")" 127.0.0.1 ::1 "$(pod_v4 rogue)" "$(pod_v4 orders)" \
        "$(pod_v6 orders)"; do
        for port in 15001 15006 15008 15053 15080; do must knock "$from" "$address" "$port"; done
    done
    for address in "$(node_v4 node-a)" "$(node_v6 node-a)" "$(node_v4 node-b)"; do
        for port in 15000 15001 15006 15008; do must knock "$from" "$address" "$port"; done
    done
done

step "a Service whose target is one of them"
cat >"$WORK/own-port.yaml" <<'END'
apiVersion: v1
kind: Service
metadata: {name: own-port, namespace: shop}
spec:
  selector: {app: orders}
  clusterIP: 10.96.0.99
  clusterIPs: [10.96.0.99]
  ports:
    - {name: outbound, port: 1, targetPort: 15001}
    - {name: inbound, port: 6, targetPort: 15006}
    - {name: hbone, port: 8, targetPort: 15008}
END
lab apply "$WORK/own-port.yaml"
eventually knows node-a own-port
for port in 1 6 8; do must knock web 10.96.0.99 "$port"; done

step "nothing of that goes on, and the mesh works"
eventually no_connections node-a
eventually no_connections node-b
must get web http://cart/whoami
must get batch http://orders.shop/whoami

step "the admin socket and endpoint are the node's own"
must_not lab exec web -- curl -sS --max-time 5 "http://$(node_v4 node-a):15000/config_dump"
must lab exec node-a -- curl -sS -f -o /dev/null http://127.0.0.1:15000/config_dump
same "$(stat -c '%a %U' "$RUN/node-a/cni.sock")" "600 root" "the mode of the plugin's socket"

step "the proxy's mark is no way in from outside of the pod (addresses that are somebody else's: spoofing_test)"
# The mark that the proxy's sockets have, from outside of the pod: it does not cross.
lab exec batch -- /usr/bin/python3 -c "
import socket
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 0x539)
s.settimeout(15)
try:
    s.connect(('$(pod_v4 "$(replica node-a)")', 8080))
    s.sendall(b'GET /whoami HTTP/1.1\r\nHost: x\r\n\r\n')
    data = s.recv(1000)
except OSError:
    data = b''
raise SystemExit(1 if data else 0)" || fail "the mark opened cart to batch"
echo "all of it holds"
