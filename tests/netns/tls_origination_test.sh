#!/usr/bin/env bash
# timeout: 120
# builds: dev
# TLS to servers outside of the mesh, as DestinationRules ask for it: nginx and openssl as servers, each with what may be wrong with
# one; what is refused is never said in the clear.
#
#   node-a: web, batch (of no mesh: the servers)        node-b: orders (a workload of the mesh)
. "$(dirname "$0")/lib.sh"

# ---- certificates: a root that is trusted, one that isn't ----
make() { openssl "$@" >"$WORK/openssl" 2>&1 || fail "openssl $1: $(cat "$WORK/openssl")"; }
root() { # NAME
    make req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$WORK/$1.key" -out "$WORK/$1.pem" -subj "/CN=$1" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign -days 2
}
server() { # NAME SAN ROOT [DAYS] [KIND...]
    make req -new -newkey "${5:-rsa:2048}" ${6:+-pkeyopt "$6"} -nodes -keyout "$WORK/$1.key" -out "$WORK/$1.csr" -subj /CN=shop.example
    printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\n' "$2" >"$WORK/$1.ext"
    make x509 -req -in "$WORK/$1.csr" -CA "$WORK/$3.pem" -CAkey "$WORK/$3.key" -CAcreateserial -days "${4:-1}" -extfile "$WORK/$1.ext" \
        -out "$WORK/$1.pem"
}
root known
root strange
server good 'DNS:good.example,DNS:*.wild.example' known
server other 'DNS:other.example,IP:192.0.2.1,URI:spiffe://shop/other' known 1 ec ec_paramgen_curve:P-384
server stranger 'DNS:stranger.example' strange
server old 'DNS:old.example' known -1

# ---- servers, in a pod that has nothing to do with the mesh ----
lab_up --set-proxy-args "--http on --system-roots $WORK/known.pem $EVERY_LINE"
{
    printf '%s\n' "daemon off; master_process off; pid $WORK/nginx.pid; error_log $WORK/nginx.log info;" 'events {}' 'http {' \
        'log_format short "$server_port $request";' "access_log $WORK/nginx.requests short;" 'ssl_protocols TLSv1.3;'
    for kind in body proxy fastcgi uwsgi scgi; do
        case $kind in body) echo "client_body_temp_path $WORK/t;" ;; *) echo "${kind}_temp_path $WORK/t;" ;; esac
    done
    https() { # PORT CERTIFICATE [HTTP2]
        printf 'server { listen %s ssl %s; ssl_certificate %s.pem; ssl_certificate_key %s.key; location / { return 200 "%s\\n"; } }\n' \
            "$1" "${3:-}" "$WORK/$2" "$WORK/$2" '$ssl_server_name $ssl_alpn_protocol $server_protocol $ssl_protocol $http_host'
    }
    https 8443 good
    https 8444 good http2
    https 8445 other
    https 8446 stranger
    https 8447 old
    printf '%s\n' 'server { listen 8448; location / { return 200 "in the clear"; } }' '}'
} >"$WORK/nginx.conf"
lab exec batch -- nginx -p "$WORK" -c "$WORK/nginx.conf" 2>"$WORK/nginx.start" &
lab exec batch -- openssl s_server -accept 9443 -tls1_3 -rev -cert "$WORK/good.pem" -key "$WORK/good.key" >"$WORK/s_server" 2>&1 &
cat >"$WORK/silent.py" <<'END'
import socket
s, held = socket.create_server(("0.0.0.0", 8449)), []
while True:
    held.append(s.accept())
END
lab exec batch -- /usr/bin/python3 "$WORK/silent.py" &
cat >"$WORK/line.py" <<'END'
import socket, sys
c = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=60)
c.sendall(b"olleh\n")
print(c.makefile().readline().strip())
END
listen() { [ "$(lab exec batch -- ss -Htln '( sport >= 8443 and sport <= 8449 ) or sport = 9443' | wc -l)" -ge 8 ]; }
eventually listen

# ---- what somebody wrote ----
n=9
declare -A at=()
entry() { # HOST PORT PROTOCOL TARGET TLS [POLICY]: an entry, and a rule with this tls
    at[$1]=240.0.7.$((++n))
    cat <<END
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: e$n, namespace: shop}
spec:
  hosts: [$1]
  addresses: [${at[$1]}]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: $2, name: a, protocol: $3}]
  endpoints: [{address: $(pod_v4 batch), ports: {a: $4}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: e$n, namespace: shop}
spec: {host: $1, trafficPolicy: {${6:-}tls: $5}}
---
END
}
SIMPLE='{mode: SIMPLE}'
{
    entry good.example 80 HTTP 8443 "$SIMPLE"
    entry h2.example 80 HTTP2 8444 '{mode: SIMPLE, sni: good.example}'
    entry noh2.example 80 HTTP2 8443 '{mode: SIMPLE, sni: good.example}'
    entry a.wild.example 80 HTTP 8443 "$SIMPLE"
    entry wrong.example 80 HTTP 8445 "$SIMPLE"
    entry named.example 80 HTTP 8445 '{mode: SIMPLE, sni: other.example, subjectAltNames: [nobody.example, "spiffe://shop/other"]}'
    entry stranger.example 80 HTTP 8446 "$SIMPLE"
    entry believed.example 80 HTTP 8446 '{mode: SIMPLE, insecureSkipVerify: true}'
    entry old.example 80 HTTP 8447 "$SIMPLE"
    entry plain.example 80 HTTP 8448 "$SIMPLE"
    entry silent.example 80 HTTP 8449 "$SIMPLE" 'connectionPool: {tcp: {connectTimeout: 500ms}}, '
    entry mutual.example 80 HTTP 8448 '{mode: MUTUAL, credentialName: nobody}'
    entry tcp.example 9000 TCP 9443 '{mode: SIMPLE, sni: good.example}'
    entry tcpwrong.example 9000 TCP 9443 "$SIMPLE"
    entry tcpplain.example 9000 TCP 8448 "$SIMPLE"
    cat <<'END'
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: orders, namespace: shop}
spec: {host: orders, trafficPolicy: {portLevelSettings: [{port: {number: 80}, tls: {mode: SIMPLE}}]}}
END
} >"$WORK/tls.yaml"
lab apply "$WORK/tls.yaml"

ask() { # HOST [CURL ARGUMENT...]: from web
    local host=$1
    shift
    lab exec web -- curl -sS --max-time "$DEADLINE_S" -H "Host: $host" "$@" "http://${at[$host]}/"
}
is() { [ "$(ask "$1")" = "$2" ]; }

step "the right name and a trusted root: TLS 1.3, the name said, the request as it was"
eventually is good.example 'good.example http/1.1 HTTP/1.1 TLSv1.3 good.example'
same "$(ask a.wild.example)" 'a.wild.example http/1.1 HTTP/1.1 TLSv1.3 a.wild.example' 'below a wildcard'
same "$(ask named.example)" 'other.example http/1.1 HTTP/1.1 TLSv1.3 named.example' 'by a URI'
same "$(ask believed.example)" 'believed.example http/1.1 HTTP/1.1 TLSv1.3 believed.example' 'any certificate'
same "$(ask h2.example)" 'good.example h2 HTTP/2.0 TLSv1.3 h2.example' 'HTTP/2, by ALPN'

# refused HOST STATUS ENDING REASON
refused() {
    mark
    same "$(ask "$1" -o /dev/null -w '%{http_code}')" "$2" "$1"
    logged node-a 'access: request complete' "status=$2" "ending=\"$3\"" ${4:+"error=\"$4"} direction=outbound
}
step "what a server may lack: 503, with the reason"
refused wrong.example 503 'peer not trusted' 'the certificate is for another name'
refused stranger.example 503 'peer not trusted' 'no path to a trusted root'
refused old.example 503 'peer not trusted' 'the certificate has expired'
refused noh2.example 503 'tls failed' 'the peer does not speak our protocol (ALPN)'
refused plain.example 503 'tls failed' ''
refused silent.example 503 'handshake timeout' ''

step "what is not done: 500, and nothing is said"
refused mutual.example 500 'not done here' 'TLS without roots'
mark
same "$(lab exec web -- curl -sS -o /dev/null -w '%{http_code}' --max-time "$DEADLINE_S" http://orders/whoami)" 500 orders
logged node-a 'access: request complete' status=500 'error="TLS of its own is not made to a workload of the mesh' direction=outbound

step "connections of bytes, by TLS or not at all"
line() { lab exec web -- /usr/bin/python3 "$WORK/line.py" "${at[$1]}" 9000; }
same "$(line tcp.example)" hello 'a line, turned round by openssl'
broken() { # HOST ENDING REASON
    mark
    same "$(line "$1" 2>/dev/null || true)" '' "$1"
    logged node-a 'access: connection complete' "ending=\"$2\"" ${3:+"error=\"$3"} direction=outbound
}
broken tcpwrong.example 'peer not trusted' 'the certificate is for another name'
broken tcpplain.example 'tls failed' ''

step "no request has come to the server that speaks in the clear"
must_not grep '^8448 [A-Z]* /' "$WORK/nginx.requests"
grep -q '^8443 GET /' "$WORK/nginx.requests" || fail "nginx wrote no requests"
