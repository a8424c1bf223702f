#!/usr/bin/env bash
# timeout: 120
# builds: dev
# BackendTLSPolicy: TLS to a Service's endpoints, which are of no mesh, by what its policy says; nginx as the server. What can't be
# honoured, and a server whose certificate is not as it should be, is never spoken to in the clear; the same from a Gateway.
#
#   node-a: web, edge (a Gateway), batch (of no mesh: the server)
. "$(dirname "$0")/lib.sh"

make() { openssl "$@" >"$WORK/openssl" 2>&1 || fail "openssl $1: $(cat "$WORK/openssl")"; }
for root in known strange; do
    make req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$WORK/$root.key" -out "$WORK/$root.pem" -subj "/CN=$root" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign -days 2
done
make req -new -newkey rsa:2048 -nodes -keyout "$WORK/good.key" -out "$WORK/good.csr" -subj /CN=shop.example
printf 'subjectAltName=DNS:good.example,DNS:more.example\nextendedKeyUsage=serverAuth\n' >"$WORK/good.ext"
make x509 -req -in "$WORK/good.csr" -CA "$WORK/known.pem" -CAkey "$WORK/known.key" -CAcreateserial -days 1 -extfile "$WORK/good.ext" -out "$WORK/good.pem"

cp -r "$ROOT/docs/examples/shop" "$WORK/shop"
gateway_pod edge node-a >"$WORK/shop/edge.yaml"
lab_up --manifests "$WORK/shop" --set-proxy-args "--http on --system-roots $WORK/known.pem $EVERY_LINE"
BATCH=$(pod_v4 batch) SECURE=http://10.96.0.97
{
    printf '%s\n' "daemon off; master_process off; pid $WORK/nginx.pid; error_log $WORK/nginx.log info;" 'events {}' 'http {' "access_log $WORK/nginx.requests;" 'ssl_protocols TLSv1.3;'
    for kind in body proxy fastcgi uwsgi scgi; do
        case $kind in body) echo "client_body_temp_path $WORK/t;" ;; *) echo "${kind}_temp_path $WORK/t;" ;; esac
    done
    printf 'server { listen 8443 ssl; ssl_certificate %s; ssl_certificate_key %s; location / { return 200 "%s\\n"; } }\n' \
        "$WORK/good.pem" "$WORK/good.key" '$ssl_server_name $ssl_protocol $http_host'
    printf '%s\n' 'server { listen 8444; location / { return 200 "in the clear\n"; } }' '}'
} >"$WORK/nginx.conf"
lab exec batch -- nginx -p "$WORK" -c "$WORK/nginx.conf" 2>"$WORK/nginx.start" &
listens() { lab exec batch -- curl -sf -o "$WORK/listens" --max-time "$ANSWER_S" http://127.0.0.1:8444/; }
eventually listens
{
    cat <<END
apiVersion: v1
kind: Service
metadata: {name: secure, namespace: shop}
spec: {clusterIP: 10.96.0.97, clusterIPs: [10.96.0.97], ports: [{name: http, port: 80, targetPort: 8443}, {name: plain, port: 81, targetPort: 8444}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: secure-x, namespace: shop, labels: {kubernetes.io/service-name: secure}}
addressType: IPv4
ports: [{name: http, port: 8443, protocol: TCP}, {name: plain, port: 8444, protocol: TCP}]
endpoints: [{addresses: [$BATCH], conditions: {ready: true}}]
---
END
    cat <<'END'
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec: {gatewayClassName: weir, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: edge, namespace: shop}
spec: {parentRefs: [{name: edge}], rules: [{backendRefs: [{name: secure, port: 80}]}]}
END
} >"$WORK/secure.yaml"
roots() { # NAME FILE
    printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: shop}\ndata:\n  ca.crt: |\n' "$1"
    sed 's/^/    /' "$2"
}
policy() { # VALIDATION
    printf 'apiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {name: secure, namespace: shop}\nspec: {targetRefs: [{group: "", kind: Service, name: secure, sectionName: http}], validation: {%s}}\n' "$1" >"$WORK/policy.yaml"
    lab apply "$WORK/policy.yaml"
}
roots known "$WORK/known.pem" >"$WORK/known.yaml"
roots strange "$WORK/strange.pem" >"$WORK/strange.yaml"
maps() { echo "hostname: $1, caCertificateRefs: [{group: \"\", kind: ConfigMap, name: $2}]"; }

ask() { lab exec web -- curl -sS --max-time "$ANSWER_S" -w '%{http_code}\n' "$SECURE${1:-}/"; }
answers() { [ "$(ask)" = "$1" ]; }
is_status() { [[ $(ask) == *"$1" ]]; }
GOOD=$'good.example TLSv1.3 10.96.0.97\n200'

step "roots of a ConfigMap, and the name that the policy says"
policy "$(maps good.example known)"
lab apply "$WORK/known.yaml" "$WORK/strange.yaml" "$WORK/secure.yaml"
eventually answers "$GOOD"
same "$(ask :81)" $'in the clear\n200' "of a port that no policy names"

step "another name, other roots: 503, with the reason"
mark
policy "$(maps other.example known)"
eventually is_status 503
logged node-a direction=outbound status=503 'ending="peer not trusted"'
mark
policy "$(maps good.example strange)"
logged_again() { is_status 503 && has_line node-a direction=outbound status=503 'ending="peer not trusted"'; }
eventually logged_again

step "names of its own, by which the certificate is judged in place of the host's"
policy "$(maps good.example known), subjectAltNames: [{type: Hostname, hostname: more.example}]"
eventually answers "$GOOD"
policy "$(maps good.example known), subjectAltNames: [{type: Hostname, hostname: less.example}]"
eventually is_status 503

step "roots that are not there: closed, until they come"
policy "$(maps good.example late)"
eventually is_status 500
roots late "$WORK/known.pem" >"$WORK/late.yaml"
lab apply "$WORK/late.yaml"
eventually answers "$GOOD"
lab delete late.yaml
eventually is_status 500

step "the system's roots; and from a Gateway"
policy "hostname: good.example, wellKnownCACertificates: System"
eventually answers "$GOOD"
at_edge() { [ "$(lab exec batch -- curl -sS --max-time "$ANSWER_S" -H 'Host: shop.example' "http://$(pod_v4 edge)/")" = "good.example TLSv1.3 shop.example" ]; }
eventually at_edge

step "without a policy nobody asks for TLS: then nginx is told so"
! grep -q '"GET / HTTP/1.1" 400' "$WORK/nginx.requests" || fail "it was spoken to in the clear"
lab delete policy.yaml
eventually is_status 400
