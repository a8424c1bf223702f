#!/usr/bin/env bash
# timeout: 150
# builds: dev
# HTTPS at a Gateway: certificates out of Secrets, by the server that a client names, renewed while it is used; real clients (curl,
# openssl, h2load) from outside of the mesh.
#
#   node-a: front (the Gateway's pod, with an application at 443 that must never be seen), web, cart (1)   [legacy: batch]
#   node-b: cart (2), orders
. "$(dirname "$0")/lib.sh"
cp -r "$ROOT/docs/examples/shop" "$WORK/shop"
gateway_pod front node-a >"$WORK/shop/front.yaml"
cat >>"$WORK/shop/front.yaml" <<'END'
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front, namespace: shop}
spec:
  gatewayClassName: weir
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - {name: shop, port: 443, protocol: HTTPS, hostname: shop.example, tls: {certificateRefs: [{name: shop}]}}
  - {name: wild, port: 443, protocol: HTTPS, hostname: "*.wild.example", tls: {certificateRefs: [{name: wild}]}}
  - {name: none, port: 443, protocol: HTTPS, hostname: none.example, tls: {certificateRefs: [{name: none}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, namespace: shop}
spec:
  parentRefs: [{name: front, sectionName: shop}, {name: front, sectionName: wild}]
  rules: [{backendRefs: [{name: orders, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: redirect, namespace: shop}
spec:
  parentRefs: [{name: front, sectionName: http}]
  rules: [{filters: [{type: RequestRedirect, requestRedirect: {scheme: https, statusCode: 301}}]}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: only-by-tls, namespace: shop}
spec:
  selector: {matchLabels: {app: orders}}
  rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/front]}}], when: [{key: "request.headers[x-forwarded-proto]", values: [https]}]}]
END
make_certificate() { # NAME HOST ALGORITHM OPTION
    openssl req -x509 -newkey "$3" -pkeyopt "$4" -nodes -keyout "$WORK/$1.key" -out "$WORK/$1.crt" -days 2 -subj "/CN=$1" \
        -addext "subjectAltName=DNS:$2" -addext "basicConstraints=critical,CA:FALSE" 2>/dev/null
}
secret() { # NAME: of what make_certificate() made, as the API server has it
    printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: shop}\ntype: kubernetes.io/tls\ndata:\n  tls.crt: %s\n  tls.key: %s\n' \
        "$1" "$(base64 -w 0 <"$WORK/$1.crt")" "$(base64 -w 0 <"$WORK/$1.key")"
}
make_certificate shop shop.example EC ec_paramgen_curve:P-256
make_certificate wild '*.wild.example' RSA rsa_keygen_bits:2048
secret shop >"$WORK/shop/secret_shop.yaml"
secret wild >"$WORK/shop/secret_wild.yaml"
lab_up --manifests "$WORK/shop" --set-proxy-args "$EVERY_LINE"
FRONT=$(pod_v4 front)
lab exec front-0 -- /usr/bin/python3 -m http.server --bind :: 443 >"$WORK/behind" 2>&1 &
behind=$!

outside() { # CURL ARGUMENT...: of a pod that is not in the mesh
    lab exec batch -- curl -sS --max-time "$ANSWER_S" --connect-to "::$FRONT:" "$@"
}
at_shop() { outside --cacert "$WORK/shop.crt" "$@"; }
shows() { # HOST: what openssl says of the server, which it may fail at
    lab exec batch -- openssl s_client -connect "$FRONT:443" -servername "$1" </dev/null 2>&1 || true
}

step "by the name that the client says; HTTP/2 and HTTP/1.1, believed by curl; requests go on as the Gateway's"
served() { at_shop -f -o /dev/null https://shop.example/whoami; }
eventually served
mark
same "$(at_shop -o /dev/null -w '%{http_version} %{http_code} %{ssl_verify_result}' https://shop.example/whoami)" "2 200 0" "HTTP/2"
same "$(at_shop --http1.1 -o /dev/null -w '%{http_version} %{http_code}' https://shop.example/whoami)" "1.1 200" "HTTP/1.1"
same "$(outside --cacert "$WORK/wild.crt" -o /dev/null -w '%{http_code}' https://a.wild.example/whoami)" 200 "the wildcard's status, by RSA"
logged node-a 'access: request complete' direction=inbound authority=shop.example status=200 dst.workload=front-0 ending=closed
logged node-b 'access: request complete' path=/whoami status=200 src.identity=spiffe://cluster.local/ns/shop/sa/front
same "$(outside -o /dev/null -w '%{http_code} %{redirect_url}' http://shop.example/whoami)" "301 https://shop.example/whoami" "the redirect"

step "who names no listener, or one without a certificate, is refused by an alert; nothing is there in the clear, or by older protocols"
for host in other.example none.example wild.example; do
    shows "$host" | grep -q 'unrecognized name' || fail "$host: not refused by its name"
done
must_not outside http://shop.example:443/
must_not lab exec web -- curl -sS --max-time "$ANSWER_S" -o /dev/null "http://$FRONT:443/"
must_not at_shop --tls-max 1.2 https://shop.example/
logged node-a 'ending="tls failed"' dst.addr="$FRONT:443"

step "a request for another listener's host does not pass on a connection that is not for it"
same "$(at_shop -o /dev/null -w '%{http_code}' -H 'Host: a.wild.example' https://shop.example/whoami)" 421 "the status of another listener's host"
same "$(at_shop -o /dev/null -w '%{http_code}' -H 'Host: other.example' https://shop.example/whoami)" 421 "the status of nobody's host"
same "$(at_shop -o /dev/null -w '%{http_code}' -H 'Host: SHOP.example:443' https://shop.example/whoami)" 200 "the status of its own"

step "many at a time"
if command -v h2load >/dev/null; then
    must lab exec batch -- h2load -n 400 -c 8 -m 10 --connect-to "$FRONT:443" https://shop.example/whoami
    said "400 succeeded"
fi

step "a certificate is renewed: who is connected goes on, who comes sees the new one"
cat >"$WORK/keeps.py" <<'END'
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
with socket.create_connection((sys.argv[1], 443), 60) as plain, context.wrap_socket(plain, server_hostname="shop.example") as s:
    def ask():
        s.sendall(b"GET /whoami HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        print("answered" if s.recv(65536).startswith(b"HTTP/1.1 200 ") else "refused", flush=True)
    ask()
    sys.stdin.readline()
    ask()
END
mkfifo "$WORK/go"
lab exec batch -- /usr/bin/python3 "$WORK/keeps.py" "$FRONT" "$WORK/shop.crt" <"$WORK/go" >"$WORK/kept" 2>&1 &
keeps=$!
exec 5>"$WORK/go"
eventually grep -x answered "$WORK/kept"
cp "$WORK/shop.key" "$WORK/old.key"
make_certificate shop shop.example EC ec_paramgen_curve:P-384
secret shop >"$WORK/secret_shop.yaml"
lab apply "$WORK/secret_shop.yaml"
eventually served # by the new one alone: no other is in shop.crt
echo >&5
wait "$keeps" || fail "the connection that was kept: $(cat "$WORK/kept")"
exec 5>&-
same "$(grep -c -x answered "$WORK/kept")" 2 "the answers on the connection that was kept"

step "no key is in a log or a dump; another node's proxy was never told of one"
for key in "$WORK"/*.key; do
    line=$(sed -n 2p "$key")
    if grep -r -F -q -- "$line" "$RUN/logs"; then fail "a key is in the logs"; fi
done
has_line node-b 'certificates of' && fail "node-b was told of certificates"

step "another node proxy takes over, and nobody is refused who comes before it knows the certificates"
lab exec batch -- /usr/bin/python3 -c '
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
while True:
    with socket.create_connection((sys.argv[1], 443), 30) as plain, context.wrap_socket(plain, server_hostname="shop.example") as s:
        print("in", flush=True)' "$FRONT" "$WORK/shop.crt" >"$WORK/comes" 2>&1 &
comes=$!
eventually grep -x in "$WORK/comes"
lab replace node-a
before=$(wc -l <"$WORK/comes")
more() { [ "$(wc -l <"$WORK/comes")" -gt $((before + 20)) ]; }
eventually more
end_job "$comes"
if grep -q -v -x in "$WORK/comes"; then fail "somebody was refused: $(tail -3 "$WORK/comes")"; fi

step "without its Secret a listener is closed"
lab delete secret_shop.yaml
gone() { shows shop.example | grep 'unrecognized name'; }
eventually gone
must outside --cacert "$WORK/wild.crt" -f -o /dev/null https://a.wild.example/whoami
end_job "$behind"
