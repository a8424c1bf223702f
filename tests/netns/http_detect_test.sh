#!/usr/bin/env bash
# timeout: 60
# builds: dev
# A port that nobody declares, by --http-detect on: requests where the client speaks HTTP, with routes (by the labels of who calls) and
# rules about methods; bytes where the server greets, which are denied where such a rule could be broken by them. Besides, what a port
# that is declared does: HTTP/2 to a server of HTTP/1.1, and as many fields as a head may have.
#
#   node-a: web, rogue                             node-b: orders, with a server that speaks HTTP or greets like SMTP
. "$(dirname "$0")/lib.sh"
lab_up --set-proxy-args "--http on --http-detect on"

cat >"$WORK/server.py" <<'END'
import select, socket, threading

def lines(c):
    data = b""
    while part := c.recv(4096):
        data += part
        while b"\r\n" in data:
            line, _, data = data.partition(b"\r\n")
            yield line.decode()

def serve(c):
    said = lines(c)
    if select.select([c], [], [], 0.2)[0]:
        method = next(said, "").split(" ")[0]
        if not method:
            return c.close()
        c.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(method) + 1, method.encode() + b"\n"))
        return c.close()
    c.sendall(b"220 ready\r\n")
    for line in said:
        c.sendall(b"221 bye\r\n" if line == "QUIT" else b"250 " + line.encode() + b"\r\n")
        if line == "QUIT":
            return c.close()

s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("", 2525))
s.listen()
print("listening", flush=True)
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
END
cat >"$WORK/client.py" <<'END'
import smtplib, sys
with smtplib.SMTP(sys.argv[1], 2525, local_hostname="web", timeout=float(sys.argv[2])) as c:
    print(c.ehlo("web"))
END
cat >"$WORK/mail.yaml" <<'END'
apiVersion: v1
kind: Service
metadata: {name: mail, namespace: shop}
spec:
  selector: {app: orders}
  clusterIP: 10.96.0.99
  clusterIPs: [10.96.0.99]
  ports: [{port: 2525, targetPort: 2525}]
END
lab apply "$WORK/mail.yaml"
told() { lab ctl "$1" services -o json | grep -q 10.96.0.99; }
eventually told node-a
eventually told node-b
lab exec orders -- /usr/bin/python3 "$WORK/server.py" >"$WORK/server" 2>&1 &
eventually grep -q listening "$WORK/server"

mail() { lab exec "$1" -- /usr/bin/python3 "$WORK/client.py" "$2" "$ANSWER_S"; } # WORKLOAD ADDRESS
ask() { lab exec "$1" -- curl -sS --max-time "$ANSWER_S" -w ' %{http_code}' "${@:2}" http://10.96.0.99:2525/a; }

step "a request is one, at both ends"
mark
same "$(ask web)" $'GET\n 200' "the answer"
logged node-a 'access: request complete' direction=outbound src.workload=web path=/a status=200
logged node-b 'access: request complete' direction=inbound src.workload=web path=/a status=200

step "the same port greets who says nothing, by the Service and by the pod's address"
mark
must mail web 10.96.0.99
said "(250, b'ehlo web')"
logged node-a 'access: connection complete' direction=outbound src.workload=web dst.service=mail ending=closed
must mail web "$(pod_v4 orders)"
said "(250, b'ehlo web')"

step "who calls is known by its labels"
cat >"$WORK/virtual.yaml" <<'END'
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: mail, namespace: shop}
spec:
  hosts: [mail]
  http:
  - {match: [{sourceLabels: {app: web}}], directResponse: {status: 418}}
  - {match: [{sourceLabels: {app: rogue}}], route: [{destination: {host: mail}}], headers: {response: {set: {x-who: rogue}}}}
END
lab apply "$WORK/virtual.yaml"
routed() { [ "$(ask web)" = " 418" ]; }
eventually routed
same "$(ask rogue -D - -o /dev/null | grep -c 'x-who: rogue')" 1 "answers to rogue by its route"

step "a rule about methods: each request by itself, and bytes not at all"
cat >"$WORK/policy.yaml" <<'END'
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-post, namespace: shop}
spec:
  selector: {matchLabels: {app: orders}}
  action: DENY
  rules: [{to: [{operation: {methods: [POST]}}]}]
END
lab apply "$WORK/policy.yaml"
denied() { ask rogue -d x | grep -q ' 403$'; }
eventually denied
same "$(ask rogue)" $'GET\n 200' "the answer to GET"
mark
must_not mail web 10.96.0.99
logged node-b 'access: connection complete' direction=inbound src.workload=web 'ending="denied by policy"'
must_not mail web "$(pod_v4 orders)"

step "a client of HTTP/2 and a server of HTTP/1.1, at a port that is declared http"
same "$(lab exec web -- curl -sS --max-time "$ANSWER_S" --http2-prior-knowledge -o /dev/null -w '%{http_version} %{http_code}' http://cart/whoami)" "2 200" "version and status"

step "a head of as many fields as one may have goes through both node proxies, with what they add"
fields() { for ((i = 0; i < $1; i++)); do printf -- '-H\nx-%s: 1\n' "$i"; done; }
sent() { # FIELDS: the status, of a request that has three more
    local -a list
    mapfile -t list < <(fields "$1")
    lab exec web -- curl -sS --max-time "$ANSWER_S" -o /dev/null -w '%{http_code}' "${list[@]}" http://cart/whoami
}
same "$(sent 97)" 200 "with 100 fields the status"
same "$(sent 98)" 431 "with 101"
