#!/usr/bin/env bash
# timeout: 120
# builds: dev
# Bytes at a Gateway: a listener of TCP; of TLS that passes, and of TLS that ends there, beside HTTPS at the same port; real clients
# (openssl, curl) from outside of the mesh, and one within.
#
#   node-a: front (the Gateway's pod), web, cart (1)   [legacy: batch]        node-b: cart (2), orders, rear (another Gateway's)
. "$(dirname "$0")/lib.sh"
cp -r "$ROOT/docs/examples/shop" "$WORK/shop"
{ gateway_pod front node-a; gateway_pod rear node-b; } >"$WORK/shop/front.yaml"
cat >>"$WORK/shop/front.yaml" <<'END'
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front, namespace: shop}
spec:
  gatewayClassName: weir
  listeners:
  - {name: tcp, port: 70, protocol: TCP}
  - {name: round, port: 72, protocol: TCP}
  - {name: https, port: 443, protocol: HTTPS, hostname: "*.example", tls: {certificateRefs: [{name: shop}]}}
  - {name: passed, port: 443, protocol: TLS, hostname: "*.pass.example", tls: {mode: Passthrough}}
  - {name: ended, port: 443, protocol: TLS, hostname: db.example, tls: {certificateRefs: [{name: db}]}}
  - {name: alone, port: 444, protocol: TLS, tls: {mode: Passthrough}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: rear, namespace: shop}
spec: {gatewayClassName: weir, listeners: [{name: tcp, port: 70, protocol: TCP}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {selector: {app: orders}, clusterIP: 10.96.0.91, clusterIPs: [10.96.0.91], ports: [{name: tcp, port: 70, targetPort: 7000}, {name: tls, port: 71, targetPort: 7001}]}
---
apiVersion: v1
kind: Service
metadata: {name: back, namespace: shop}
spec: {selector: {app: rear}, clusterIP: 10.96.0.92, clusterIPs: [10.96.0.92], ports: [{name: tcp, port: 70}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, namespace: shop}
spec:
  parentRefs: [{name: front, sectionName: https}]
  rules: [{filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplaceFullPath, replaceFullPath: /there}, statusCode: 302}}]}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: only-front, namespace: shop}
spec:
  selector: {matchLabels: {app: orders}}
  rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/front]}}]}]
END
route() { # KIND NAME SECTION HOSTNAMES BACKEND PORT
    printf '%s\n' --- 'apiVersion: gateway.networking.k8s.io/v1alpha2' "kind: $1" "metadata: {name: $2, namespace: shop}" 'spec:' \
        "  parentRefs: [{name: front, sectionName: $3}, {name: rear, sectionName: $3}]" "  rules: [{backendRefs: [{name: $5, port: $6}]}]"
    if [ "$4" ]; then echo "  hostnames: [$4]"; fi
}
{
    route TCPRoute tcp tcp '' db 70
    route TCPRoute round round '' back 70
    route TLSRoute passed passed one.pass.example db 71
    route TCPRoute ended ended '' db 70
    route TLSRoute alone alone two.example db 71
} >>"$WORK/shop/front.yaml"
certificate() { # NAME HOST
    openssl req -x509 -newkey EC -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$WORK/$1.key" -out "$WORK/$1.crt" -days 2 -subj "/CN=$1" \
        -addext "subjectAltName=DNS:$2" -addext "basicConstraints=critical,CA:FALSE" 2>/dev/null
}
for name in shop:shop.example db:db.example behind:one.pass.example; do certificate "${name%:*}" "${name#*:}"; done
for name in shop db; do
    printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: shop}\ntype: kubernetes.io/tls\ndata:\n  tls.crt: %s\n  tls.key: %s\n' \
        "$name" "$(base64 -w 0 <"$WORK/$name.crt")" "$(base64 -w 0 <"$WORK/$name.key")" >"$WORK/shop/secret_$name.yaml"
done
lab_up --manifests "$WORK/shop" --set-proxy-args "$EVERY_LINE"
FRONT=$(pod_v4 front)

# Behind it: who greets, and says every line back; and a server of TLS that turns each line around.
cat >"$WORK/echo.py" <<'END'
import socket, threading
def speak(c):
    c.sendall(b"hello\n")
    while data := c.recv(65536):
        c.sendall(data)
    c.close()
s = socket.create_server(("::", 7000), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    threading.Thread(target=speak, args=(s.accept()[0],), daemon=True).start()
END
cat >"$WORK/call.py" <<'END'
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 60) as c:
        c.sendall(b"x" * 300000)
        c.shutdown(socket.SHUT_WR)
        print(sum(len(b) for b in iter(lambda: c.recv(65536), b"")))
except TimeoutError:
    print("silence")
except OSError:
    print("reset")
END
# talk.py ADDRESS CERTIFICATE SERVER WORD [LINES]: what is said to the word, by TLS that is believed and ends as it should.
cat >"$WORK/talk.py" <<'END'
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
with socket.create_connection((sys.argv[1], 443), 60) as plain, context.wrap_socket(plain, server_hostname=sys.argv[3]) as s:
    f = s.makefile("rwb")
    f.write(sys.argv[4].encode() + b"\n")
    f.flush()
    print(" ".join(f.readline().decode().strip() for _ in range(int((sys.argv[5:] or [1])[0]))))
END
talk() { lab exec batch -- /usr/bin/python3 "$WORK/talk.py" "$FRONT" "$@"; }
lab exec orders -- /usr/bin/python3 "$WORK/echo.py" >"$WORK/echo" 2>&1 &
lab exec orders -- openssl s_server -accept 7001 -4 -cert "$WORK/behind.crt" -key "$WORK/behind.key" -rev -quiet >"$WORK/rev" 2>&1 &
listens() { lab exec orders -- ss -Hltn "sport = :$1" | grep -q .; }
eventually listens 7000
eventually listens 7001
call() { lab exec "$1" -- /usr/bin/python3 "$WORK/call.py" "$FRONT" "$2"; }
subject() { # PORT ARGUMENT...: whose certificate is shown to openssl
    lab exec batch -- timeout "$DEADLINE_S" openssl s_client -connect "$FRONT:$1" "${@:2}" </dev/null 2>/dev/null | grep -o '^subject=.*' | tr -d ' '
}
shows() { [ "$(subject "${@:2}")" = "subject=CN=$1" ]; } # NAME PORT ARGUMENT...

step "TCP: who comes from outside is led on as the Gateway, and all of its bytes; so is who is in the mesh"
served() { [ "$(call batch 70)" = 300006 ]; }
eventually served
mark
same "$(call batch 70)" 300006 "the bytes that came back"
logged node-a 'access: connection complete' direction=inbound dst.addr="$FRONT:70" dst.workload=front-0 route=shop/tcp/0 endpoint="$(pod_v4 orders):7000" ending=closed
logged node-b 'access: connection complete' direction=inbound src.identity=spiffe://cluster.local/ns/shop/sa/front bytes_recv=300000
same "$(call web 70)" 300006 "the bytes that came back to who is in the mesh"
counted() { [ "$(metric node-a istio_tcp_connections_opened_total 'reporter="source"' 'source_principal="spiffe://cluster.local/ns/shop/sa/front"' 'destination_service_name="db"')" = 3 ]; }
eventually counted # of the Gateway, and once

step "a Gateway's bytes do not come to a Gateway"
mark
same "$(call batch 72)" reset "who would go round"
logged node-b direction=inbound dst.workload=rear-0 'ending="own port"' src.identity=spiffe://cluster.local/ns/shop/sa/front

step "TLS that passes: to the server itself, older versions too, and by no other name"
eventually shows behind 443 -servername one.pass.example
must shows behind 443 -servername one.pass.example -tls1_2
same "$(talk "$WORK/behind.crt" one.pass.example olleh)" hello "what the server said"
mark
must_not subject 443 -servername other.pass.example
logged node-a 'access: ' dst.addr="$FRONT:443" 'ending="no route"' 'no route is for the server other.pass.example'

step "at a port of its own: by the server that it names alone"
must shows behind 444 -servername two.example
must_not subject 444 -servername three.example
must_not subject 444 -noservername
same "$(call batch 444)" reset "who speaks no TLS"

step "TLS that ends here, and bytes in it, beside HTTPS at the same port"
eventually shows db 443 -servername db.example
must shows shop 443 -servername a.example
same "$(talk "$WORK/db.crt" db.example again 2)" "hello again" "what the server said"
at() { lab exec batch -- curl -sS --max-time "$ANSWER_S" --connect-to "::$FRONT:" --cacert "$WORK/shop.crt" -o /dev/null -w '%{http_code}' "$@"; }
same "$(at https://shop.example/)" 302 "the status by HTTPS"
same "$(at -H 'Host: db.example' https://shop.example/)" 421 "the status of the host of a listener of bytes"
same "$(at -H 'Host: x.pass.example' https://shop.example/)" 404 "the status of a host whose TLS passes"
must_not lab exec batch -- curl -sS --max-time "$ANSWER_S" "http://$FRONT:443/"

step "policies at the Gateway: what they let in of requests they don't of bytes"
cat >"$WORK/gets.yaml" <<'END'
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: gets, namespace: shop}
spec:
  selector: {matchLabels: {app: front}}
  rules: [{to: [{operation: {methods: [GET], ports: ["443"]}}]}, {to: [{operation: {ports: ["70", "444"]}}]}]
END
lab apply "$WORK/gets.yaml"
mark
denied() { ! shows behind 443 -servername one.pass.example && has_line node-a dst.addr="$FRONT:443" 'ending="denied by policy"'; }
eventually denied
must_not subject 443 -servername none.pass.example
same "$(at https://shop.example/)" 302 "the status of a GET"
same "$(at -X POST https://shop.example/)" 403 "the status of a POST"
must shows behind 444 -servername two.example
same "$(call batch 70)" 300006 "the bytes that came back by TCP"
lab delete gets.yaml
eventually shows behind 443 -servername one.pass.example

step "another node proxy takes over: who is connected stays, who comes is served"
mkfifo "$WORK/go"
lab exec batch -- /usr/bin/python3 -c '
import socket, sys
with socket.create_connection((sys.argv[1], 70), 60) as c:
    f = c.makefile("rwb")
    print(f.readline(), flush=True)
    sys.stdin.readline()
    f.write(b"still\n")
    f.flush()
    print(f.readline(), flush=True)' "$FRONT" <"$WORK/go" >"$WORK/kept" 2>&1 &
kept=$!
exec 5>"$WORK/go"
eventually grep hello "$WORK/kept"
lab replace node-a
must shows behind 443 -servername one.pass.example
same "$(call batch 70)" 300006 "the bytes that came back by the new one"
echo >&5
wait "$kept" || fail "the connection that was kept: $(cat "$WORK/kept")"
must grep still "$WORK/kept"

step "without its Secret TLS does not end here any more; TLS that passes goes on"
lab delete secret_db.yaml
falls() { ! shows db 443 -servername db.example; }
eventually falls
must shows behind 443 -servername one.pass.example
