#!/usr/bin/env bash
# timeout: 120
# builds: dev
# Requests instead of bytes (--http on): curl, bad requests and a WebSocket through real node proxies, to ports declared HTTP.
#
#   node-a: web, cart (1)   [legacy: batch]        node-b: cart (2), orders
. "$(dirname "$0")/lib.sh"
lab_up --set-proxy-args "--http on"

ORDERS=$(pod_v4 orders)
at_orders() { # CURL ARGUMENT...
    lab exec web -- curl -sS --max-time "$ANSWER_S" "$@"
}

step "a request by a tunnel: the application sees its client, and it is one line"
mark
same "$(get web "http://$ORDERS:8080/a/%2e%2e/whoami" --path-as-is | field peer | cut -d : -f 1)" "$(pod_v4 web)" "who asks"
logged node-b 'access: request complete' method=GET "authority=$ORDERS:8080" path=/whoami status=200 src.workload=web ending=closed

step "within a node, and from outside of the mesh"
mark
must get web "http://$(pod_v4 "$(replica node-a)"):8080/whoami"
logged node-a 'access: request complete' src.workload=web dst.workload=cart status=200
must get batch "http://$ORDERS:8080/whoami"
logged node-b 'access: request complete' src.workload=batch dst.workload=orders status=200
mapfile -t many < <(for ((i = 0; i < 110; i++)); do printf -- '-H\nx-%d: 1\n' "$i"; done)
same "$(lab exec batch -- curl -sS --max-time "$ANSWER_S" -o /dev/null -w '%{http_code}' "${many[@]}" "http://$ORDERS:8080/whoami")" 431 "the status of a stranger's 113 fields"

step "bodies each way, HEAD, many requests by one connection"
head -c 5000000 /dev/urandom >"$WORK/body"
at_orders --data-binary @- "http://$ORDERS:8080/echo" <"$WORK/body" | cmp - "$WORK/body" || fail "the echo is another one"
must at_orders -I "http://$ORDERS:8080/whoami"
said "200 OK"
same "$(at_orders -o /dev/null -w '%{num_connects} ' "http://$ORDERS:8080/whoami" -o /dev/null "http://$ORDERS:8080/whoami")" "1 0 " "new connections"

step "what is no request is answered and ends"
raw() { # TEXT: the first line of the answer
    lab exec web -- /usr/bin/python3 -c '
import socket, sys
c = socket.create_connection((sys.argv[1], 8080), timeout=10)
c.sendall(sys.argv[2].encode().decode("unicode_escape").encode("latin-1"))
data = b""
while (part := c.recv(4096)):
    data += part
print(data.partition(b"\r\n")[0].decode())' "$ORDERS" "$1"
}
mark
same "$(raw 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n')" "HTTP/1.1 400 Bad Request" "of two hosts"
same "$(raw 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n')" "HTTP/1.1 400 Bad Request" "of two lengths"
same "$(raw 'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n')" "HTTP/1.1 405 Method Not Allowed" "of CONNECT"
logged node-b 'access: request complete' status=400 'ending="bad request"'
has_line node-b 'access: request complete' path=/smuggled && fail "a smuggled request went on"

step "a policy still ends what lives, and the mesh goes on"
must_not get rogue "http://$(pod_v4 "$(replica node-b)"):8080/whoami"
must get web "http://$ORDERS:8080/whoami"

step "weirctl tap: requests as they end, of whom is asked for, without queries and secrets"
(exec "$ROOT/tests/lab.sh" ctl node-b tap shop/orders --direction inbound --status 2xx --path /who --max 2 -o json) >"$WORK/tap" 2>"$WORK/tap.err" &
TAP=$!
eventually grep -q '^weirctl: tapping' "$WORK/tap.err"
must at_orders -H 'Authorization: Bearer topsecret' -o /dev/null "http://$ORDERS:8080/whoami?key=hidden"
must at_orders -o /dev/null "http://$ORDERS:8080/echo"
must get web "http://$ORDERS:8080/whoami?too"
wait "$TAP" || fail "the tap did not end well: $(cat "$WORK/tap.err")"
/usr/bin/python3 - "$WORK/tap" "$(pod_v4 web)" <<'END' || fail "the lines of the tap: $(cat "$WORK/tap")"
import json, sys
text = open(sys.argv[1]).read()
assert "secret" not in text and "hidden" not in text
one, two = [json.loads(line) for line in text.splitlines()]
assert one["path"] == two["path"] == "/whoami"
for line in one, two:
    assert (line["direction"], line["status"], line["method"], line["flags"]) == ("inbound", 200, "GET", "-"), line
    assert (line["source"], line["destination"]) == ("shop/web", "shop/orders"), line
    assert line["sourceIdentity"].endswith("/ns/shop/sa/web") and line["sourceAddress"] == sys.argv[2], line
    assert line["bytesSent"] > 0 and line["durationMs"] >= 0 and line["time"].endswith("Z"), line
END
must_not lab ctl node-a tap --status 9xx
said 'status: a code or a class of them is wanted'

step "a node has so many taps, and one that goes makes room"
TAPS=()
for i in 1 2 3 4; do
    (exec "$ROOT/tests/lab.sh" ctl node-b tap) >"$WORK/tap.$i" 2>"$WORK/tap.err.$i" &
    TAPS+=($!)
    eventually grep -q '^weirctl: tapping' "$WORK/tap.err.$i"
done
must_not lab ctl node-b tap
said 'tapped by as many as it allows'
end_job "${TAPS[0]}"
taps_one() {
    (exec "$ROOT/tests/lab.sh" ctl node-b tap --max 1) >"$WORK/tap" 2>"$WORK/tap.err" &
    TAP=$!
    until ! kill -0 "$TAP" 2>/dev/null || grep -q '^weirctl: tapping' "$WORK/tap.err"; do pause 0.05; done
    grep -q '^weirctl: tapping' "$WORK/tap.err"
}
eventually taps_one
must get web "http://$ORDERS:8080/whoami"
wait "$TAP" || fail "the tap did not end well: $(cat "$WORK/tap.err")"
for i in 1 2 3; do end_job "${TAPS[$i]}"; done

step "bytes of a WebSocket pass after 101"
cat >"$WORK/upgrade.py" <<'END'
import socket
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("", 9090))
s.listen()
print("listening", flush=True)
c, _ = s.accept()
data = b""
while b"\r\n\r\n" not in data:
    data += c.recv(4096)
assert b"upgrade: websocket" in data.lower(), data
c.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
while (part := c.recv(4096)):
    c.sendall(part[::-1])
END
cat >"$WORK/upgrading.yaml" <<'END'
apiVersion: v1
kind: Service
metadata: {name: upgrading, namespace: shop}
spec:
  selector: {app: orders}
  clusterIP: 10.96.0.98
  clusterIPs: [10.96.0.98]
  ports: [{name: http, port: 9090, targetPort: 9090}]
END
lab apply "$WORK/upgrading.yaml"
eventually knows node-b upgrading
lab exec orders -- /usr/bin/python3 "$WORK/upgrade.py" >"$WORK/upgraded" 2>&1 &
listens() { grep -q listening "$WORK/upgraded"; }
eventually listens
mark
lab exec web -- /usr/bin/python3 -c '
import socket, sys
c = socket.create_connection((sys.argv[1], 9090), timeout=10)
c.sendall(b"GET /socket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
data = b""
while b"\r\n\r\n" not in data:
    data += c.recv(4096)
assert data.startswith(b"HTTP/1.1 101 "), data
c.sendall(b"abc")
assert c.recv(100) == b"cba"
c.shutdown(socket.SHUT_WR)
assert c.recv(100) == b""' "$ORDERS" || fail "the WebSocket did not pass"
logged node-b 'access: request complete' path=/socket status=101 ending=closed
