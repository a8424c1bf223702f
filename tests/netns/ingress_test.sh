#!/usr/bin/env bash
# timeout: 120
# builds: dev
# A Gateway: who is outside of the mesh asks a pod whose listeners the node proxy serves, and the requests go on into the mesh as
# the Gateway's own.
#
#   node-a: front (the Gateway's pod, without an application), web, cart (1)   [legacy: batch]
#   node-b: back (another Gateway's), cart (2), orders
. "$(dirname "$0")/lib.sh"
cp -r "$ROOT/docs/examples/shop" "$WORK/shop"
gateway_pod front node-a >"$WORK/shop/front.yaml"
gateway_pod back node-b >>"$WORK/shop/front.yaml"
cat >>"$WORK/shop/front.yaml" <<'END'
apiVersion: v1
kind: Service
metadata: {name: back, namespace: shop}
spec:
  selector: {app: back}
  ipFamilies: [IPv4, IPv6]
  clusterIP: 10.96.0.61
  clusterIPs: [10.96.0.61, "fd00:10:96::61"]
  ports: [{name: http, port: 80, targetPort: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: front, namespace: shop}
spec:
  selector: {app: front}
  ipFamilies: [IPv4, IPv6]
  clusterIP: 10.96.0.60
  clusterIPs: [10.96.0.60, "fd00:10:96::60"]
  ports: [{name: http, port: 80, targetPort: 80}, {name: tls, port: 443, targetPort: 443}]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: shop}
spec: {mtls: {mode: STRICT}}
END
lab_up --manifests "$WORK/shop" --set-proxy-args "$EVERY_LINE --http-idle-timeout 10m"

outside() { # CURL ARGUMENT...: of a pod that is not in the mesh
    lab exec batch -- curl -sS --max-time "$ANSWER_S" "$@"
}
status_of() { outside -o /dev/null -w '%{http_code}' "$@"; }

step "a port of the pod without a listener has nobody behind it"
must_not outside http://front.shop/

step "a Gateway with a route: from outside of the mesh to Services in it"
cat >"$WORK/gateway.yaml" <<'END'
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front, namespace: shop}
spec:
  gatewayClassName: weir
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - {name: tls, port: 443, protocol: HTTPS}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, namespace: shop}
spec:
  parentRefs: [{name: front}]
  hostnames: [shop.example]
  rules:
  - matches: [{path: {type: PathPrefix, value: /orders}}]
    filters:
    - {type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}
    backendRefs: [{name: orders, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /cart}}]
    filters:
    - {type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}
    backendRefs: [{name: cart, port: 80}]
  - {matches: [{path: {type: PathPrefix, value: /again}}], backendRefs: [{name: front, port: 80}]}
  - {matches: [{path: {type: PathPrefix, value: /circle}}], backendRefs: [{name: back, port: 80}]}
  - matches: [{path: {type: Exact, value: /teapot}}]
    filters: [{type: RequestRedirect, requestRedirect: {scheme: https, statusCode: 301}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: back, namespace: shop}
spec: {gatewayClassName: weir, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: circle, namespace: shop}
spec:
  parentRefs: [{name: back}]
  rules:
  - {matches: [{path: {type: PathPrefix, value: /circle}}], backendRefs: [{name: front, port: 80}]}
  - matches: [{path: {type: Exact, value: /there}}]
    filters: [{type: RequestRedirect, requestRedirect: {statusCode: 302}}]
END
lab apply "$WORK/gateway.yaml"
routed() { [ "$(status_of -H 'Host: shop.example' http://front.shop/teapot)" = 301 ]; }
eventually routed
mark
must outside -H 'Host: shop.example:8080' http://front.shop/orders/whoami
said '"orders'
logged node-a 'access: request complete' direction=inbound authority=shop.example:8080 path=/orders/whoami status=200 dst.workload=front-0 route=shop/shop/0 ending=closed
logged node-b 'access: request complete' direction=inbound path=/whoami status=200 src.identity=spiffe://cluster.local/ns/shop/sa/front
same "$(outside -o /dev/null -w '%{redirect_url}' -H 'Host: shop.example' http://front.shop/teapot)" https://shop.example/teapot "the redirect"
same "$(outside -o /dev/null -w '%{http_version} %{http_code}' --http2-prior-knowledge -H 'Host: shop.example' http://front.shop/orders/whoami)" "2 200" "HTTP/2"
same "$(status_of -H 'Host: other.example' http://front.shop/orders/whoami)" 404 "the status of another host"
same "$(status_of -H 'Host: shop.example' http://front.shop/nothing)" 404 "the status of a path without a rule"
source_requests() { metric node-a istio_requests_total 'reporter="source"' 'source_workload="front-0"' 'destination_service_name="orders"' 'response_code="200"'; }
counted() { [ "$(source_requests)" = 2 ]; }
eventually counted

step "strangers come to the listener's port: at all others of the pod STRICT holds"
lab exec front-0 -- /usr/bin/python3 -m http.server --bind :: 9090 >"$WORK/application" 2>&1 &
application=$!
of_mesh() { [ "$(lab exec web -- curl -sS --max-time "$ANSWER_S" -o /dev/null -w '%{http_code}' "http://$(pod_v4 front):9090/")" = 200 ]; }
eventually of_mesh
mark
must_not outside "http://$(pod_v4 front):9090/"
logged node-a 'ending="denied by policy"' policy=shop/converted_gateway_front dst.addr="$(pod_v4 front):9090"
must outside -f -H 'Host: shop.example' http://front.shop/orders/whoami
end_job "$application"

step "both policies count: cart's, which names web alone, and one of the Gateway's pod"
same "$(status_of -H 'Host: shop.example' http://front.shop/cart/whoami)" 403 "cart's status"
cat >"$WORK/policy.yaml" <<END
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: front-no-secrets, namespace: shop}
spec:
  selector: {matchLabels: {app: front}}
  action: DENY
  rules: [{to: [{operation: {paths: ["/orders/secret*"]}}]}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: cart-only-from-web, namespace: shop}
spec:
  selector: {matchLabels: {app: cart}}
  action: ALLOW
  rules:
  - from: [{source: {principals: [cluster.local/ns/shop/sa/front]}}]
    when: # who is forwarded for, and nothing that a client says of it
    - {key: "request.headers[x-forwarded-for]", values: ["$(pod_v4 batch)"]}
    - {key: "request.headers[x-forwarded-proto]", values: [http]}
    - {key: "request.headers[x-real-ip]", notValues: ["*"]}
    - {key: "request.headers[x-forwarded-client-cert]", notValues: ["*"]}
    - {key: "request.headers[traceparent]", notValues: ["*"]}
    - {key: "request.headers[x-b3-traceid]", notValues: ["*"]}
END
lab apply "$WORK/policy.yaml"
let_in() {
    [ "$(status_of -4 -H 'Host: shop.example' -H 'X-Forwarded-For: 1.2.3.4' -H 'x-forwarded-proto: https' -H 'X-Real-IP: 1.2.3.4' \
        -H 'X-Forwarded-Client-Cert: By=x' -H 'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' \
        -H 'X-B3-TraceId: 0af7651916cd43dd8448eb211c80319c' http://front.shop/cart/whoami)" = 200 ]
}
eventually let_in
denied() { [ "$(status_of -H 'Host: shop.example' http://front.shop/orders/secret)" = 403 ]; }
eventually denied
must outside -f -H 'Host: shop.example' http://front.shop/orders/whoami

step "a listener that is not served in TLS is not served in the clear, and STRICT holds for everybody else"
lab exec front-0 -- /usr/bin/python3 -m http.server --bind :: 443 >"$WORK/behind" 2>&1 &
application=$!
eventually lab exec front-0 -- curl -sS --max-time "$ANSWER_S" -o /dev/null http://127.0.0.1:443/
mark
must_not outside -4 -H 'Host: shop.example' http://front.shop:443/orders/whoami
logged node-a 'ending="no listener"' dst.addr="$(pod_v4 front):443"
must_not lab exec web -- curl -sS --max-time "$ANSWER_S" -o /dev/null "http://$(pod_v4 front):443/"
end_job "$application"
must_not outside http://orders.shop/whoami

step "the mesh may ask, too, by the Service; but for the Gateway itself"
same "$(lab exec web -- curl -sS --max-time "$ANSWER_S" -o /dev/null -w '%{http_code}' -H 'Host: shop.example' http://front/orders/whoami)" 200 "the status for web"

same "$(status_of -H 'Host: shop.example' http://front.shop/again)" 503 "the status of what leads back to the Gateway"

step "two Gateways whose routes lead to each other do not ask each other for ever"
there() { [ "$(status_of http://back.shop/there)" = 302 ]; }
eventually there
same "$(status_of -H 'Host: shop.example' http://front.shop/circle)" 508 "the status of what goes in a circle"
same "$(status_of -H 'Host: shop.example' -H 'x-weir-hops: 8' http://front.shop/orders/whoami)" 200 "the status of what a stranger says of that"

step "a request of as many fields as may be, by the mesh; no more from outside"
fields() { for ((i = 0; i < $1; i++)); do printf -- '-H\nx-%d: 1\n' "$i"; done; }
mapfile -t few < <(fields 97)
mapfile -t many < <(fields 110)
same "$(lab exec web -- curl -sS --max-time "$ANSWER_S" -o /dev/null -w '%{http_code}' -H 'Host: shop.example' "${few[@]}" http://front/orders/whoami)" 200 "the status of 100 fields"
same "$(status_of -H 'Host: shop.example' "${few[@]}" http://front.shop/orders/whoami)" 200 "the status of a stranger's 100 fields"
same "$(status_of -H 'Host: shop.example' "${many[@]}" http://front.shop/orders/whoami)" 431 "the status of a stranger's 113 fields"

step "another node proxy takes over: the listeners are the pod's, and go on; who keeps a connection is told to come again, in order"
cat >"$WORK/keeps.py" <<'END'
import socket, sys
with socket.create_connection((sys.argv[1], 80), 60) as s:
    s.sendall(b"GET /orders/whoami HTTP/1.1\r\nHost: shop.example\r\n\r\n")
    print("answered" if s.recv(65536).startswith(b"HTTP/1.1 200 ") else "refused", flush=True)
    try:
        while s.recv(65536):
            pass
        print("told", flush=True)
    except OSError as e:
        print("broken", e, flush=True)
END
lab exec batch -- /usr/bin/python3 "$WORK/keeps.py" "$(pod_v4 front)" >"$WORK/kept" 2>&1 &
keeps=$!
eventually grep -x answered "$WORK/kept"
lab replace node-a
eventually grep -x told "$WORK/kept"
end_job "$keeps"
must outside -f -H 'Host: shop.example' http://front.shop/orders/whoami

step "without the Gateway nothing is served"
lab delete gateway.yaml
closed() { ! outside -o /dev/null http://front.shop/; }
eventually closed
