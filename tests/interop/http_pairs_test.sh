#!/usr/bin/env bash
# timeout: 240
# builds: dev
# Real clients and servers of HTTP through two node proxies that look at each request (--http on): curl, wrk, h2load, nghttp and Node.js
# (with `ws`) before nginx, nghttpd and Node.js, HTTP/1.1 and HTTP/2; large bodies with flat memory, readers and writers that are
# slow, 1,000 streams of one connection at once.
#
#   node-a: web (the clients), its Services' requests are read here
#      |    HBONE
#   node-b: orders (the servers), and read here again
#
# WEIR_BODY_MIB: how large the large bodies are (64; 4096 has been played, docs/TESTING.md).
. "$(dirname "$0")/../netns/lib.sh"
ANSWER_S=120
BODY_MIB=${WEIR_BODY_MIB:-64}
GROWTH_MAX_KB=$((24 * 1024)) # of a node proxy, at its peak: the pool's chunks, that nobody had used before
PEERS=$(/usr/bin/python3 -B -c '
import sys; sys.path.insert(0, sys.argv[1])
import npm_packages
print(npm_packages.fetch("ws@8.18.0") if npm_packages.can_fetch() else "")' "$ROOT/tests/interop")
[ -n "$PEERS" ] || { echo "npm and node are not here"; trap - EXIT; rm -rf "$WORK"; exit 77; }
lab_up --set-proxy-args "$EVERY_LINE"

# A Service for each server: NAME PORT PROTOCOL, at 10.96.1.N.
declare -A at=()
N=0
while read -r name port protocol; do
    N=$((N + 1)) at[$name]=10.96.1.$N
    printf -- '---\napiVersion: v1\nkind: Service\nmetadata: {name: %s, namespace: shop}\nspec:\n  selector: {app: orders}\n  clusterIP: %s\n  clusterIPs: [%s]\n  ports: [{port: 80, targetPort: %s, appProtocol: %s}]\n' \
        "$name" "${at[$name]}" "${at[$name]}" "$port" "$protocol"
done >"$WORK/servers.yaml" <<'END'
nginx 8091 http
node1 8092 http
nghttpd 8093 kubernetes.io/h2c
node2 8094 kubernetes.io/h2c
END
lab apply "$WORK/servers.yaml"
eventually knows node-a node2
eventually knows node-b node2

web() { lab exec web -- "$@"; }
node_in_web() { web env NODE_PATH="$PEERS/node_modules" node "$ROOT/tests/interop/http_peer.js" "$@"; }
listens() { lab exec orders -- ss -Hltn "sport = :$1" | grep -q .; }
serve() { # PORT COMMAND...: in orders, in the background, until the test ends
    local port=$1
    shift
    lab exec orders -- "$@" >"$WORK/server-$port" 2>&1 &
    eventually listens "$port"
}
mkdir -p "$WORK/www" "$WORK/nginx"
printf 'a small page\n' >"$WORK/www/small"
head -c 3000000 /dev/urandom >"$WORK/www/large"
truncate -s "${BODY_MIB}M" "$WORK/www/zeros"
chmod -R a+rX "$WORK"
cat >"$WORK/nginx/nginx.conf" <<END
user root;
worker_processes 1;
pid $WORK/nginx/pid;
error_log stderr;
daemon off;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path $WORK/nginx/body;
    proxy_temp_path $WORK/nginx/proxy;
    fastcgi_temp_path $WORK/nginx/fastcgi;
    uwsgi_temp_path $WORK/nginx/uwsgi;
    scgi_temp_path $WORK/nginx/scgi;
    server { listen 8091; root $WORK/www; }
}
END
serve 8091 nginx -c "$WORK/nginx/nginx.conf" -e stderr
serve 8093 nghttpd --no-tls -m 1000 -d "$WORK/www" 8093
NODE_PATH=$PEERS/node_modules serve 8094 node "$ROOT/tests/interop/http_peer.js" server 8092 8094

PRIOR=--http2-prior-knowledge
step "curl: HTTP/1.1 and HTTP/2, before servers of both"
for name in nginx nghttpd; do
    mark
    same "$(get web "http://${at[$name]}/large" | sha256sum)" "$(sha256sum <"$WORK/www/large")" "a page of $name by HTTP/1.1"
    logged node-a 'access: request complete' path=/large status=200 src.workload=web
    logged node-b 'access: request complete' path=/large status=200 src.workload=web
    must get web "http://${at[$name]}/small" -I
    same "$(web curl -sS -o /dev/null -w '%{http_code}' "http://${at[$name]}/none")" 404 "what $name has not"
done
same "$(get web "http://${at[nghttpd]}/large" $PRIOR | sha256sum)" "$(sha256sum <"$WORK/www/large")" "a page of nghttpd by HTTP/2"
same "$(get web "http://${at[node1]}/")" "HTTP/1.1 by Node" "a page of Node by HTTP/1.1"
same "$(get web "http://${at[node2]}/")" "HTTP/2.0 by Node" "a page of Node's HTTP/2 by HTTP/1.1"
same "$(get web "http://${at[node2]}/" $PRIOR)" "HTTP/2.0 by Node" "a page of Node's HTTP/2 by HTTP/2"
for how in "node1" "node2" "node2 $PRIOR"; do
    # shellcheck disable=SC2086 # words
    set -- $how
    same "$(get web "http://${at[$1]}/echo" ${2-} --data-binary "@$WORK/www/large" | sha256sum)" "$(sha256sum <"$WORK/www/large")" "the echo of $how"
    same "$(get web "http://${at[$1]}/echo" ${2-} -T - <"$WORK/www/large" | sha256sum)" "$(sha256sum <"$WORK/www/large")" "the echo in chunks of $how"
done

step "wrk and h2load: no error"
for name in nginx node1 nghttpd node2; do
    page=small
    must web wrk -t 1 -c 16 -d 1s --timeout 20s "http://${at[$name]}/$page"
    if grep -Eq 'Socket errors|Non-2xx' "$WORK/out" || ! grep -Eq '[1-9][0-9]* requests in' "$WORK/out"; then
        cat "$WORK/out"
        fail "wrk has errors with $name"
    fi
    must web h2load --h1 -n 500 -c 10 "http://${at[$name]}/$page"
    said '0 failed, 0 errored, 0 timeout'
done
for name in nghttpd node2; do
    must web h2load -n 2000 -c 4 -m 50 "http://${at[$name]}/small"
    said 'requests: 2000 total, 2000 started, 2000 done, 2000 succeeded, 0 failed, 0 errored, 0 timeout'
done
same "$(web nghttp "http://${at[nghttpd]}/small")" "a small page" "a page by nghttp"

step "a WebSocket"
mark
same "$(node_in_web websocket "ws://${at[node1]}/socket")" "closed 1000 bye" "the WebSocket"
logged node-a 'access: request complete' path=/socket status=101 ending=closed

step "1,000 streams of one connection at once"
mark
same "$(node_in_web streams "http://${at[node2]}/gather?1000" 1000)" "1000 answered at once" "streams"

step "a byte, and the next one when its echo has come"
for how in "1 node1" "1 node2" "2 node2"; do
    # shellcheck disable=SC2086 # words
    set -- $how
    same "$(node_in_web turns "$1" "http://${at[$2]}/echo" 200)" "200 turns" "HTTP/$1 to $2"
done

# Of a node proxy, all its processes: the most that it has been since the last look, in KB.
processes() { local pid; pid=$(program_pid "$1"); echo "$pid" $(ps -o pid= --ppid "$pid"); }
memory() { # NODE FIELD
    local pid sum=0
    for pid in $(processes "$1"); do
        sum=$((sum + $(awk -v field="$2:" '$1 == field { print $2 }' "/proc/$pid/status")))
    done
    echo "$sum"
}
declare -A before=()
measure() {
    local node pid
    for node in node-a node-b; do
        for pid in $(processes "$node"); do echo 5 >"/proc/$pid/clear_refs"; done
        before[$node]=$(memory "$node" VmRSS)
    done
}
is_flat() { # WHAT
    local node grown
    for node in node-a node-b; do
        grown=$(($(memory "$node" VmHWM) - before[$node]))
        printf '    %s: %s grew by %d KB\n' "$1" "$node" "$grown"
        [ "$grown" -lt "$GROWTH_MAX_KB" ] || fail "$1: $node grew by $grown KB"
    done
}
size() { web curl -sS -f --max-time 600 "$@" | wc -c; }

step "bodies of $BODY_MIB MiB each way"
BYTES=$((BODY_MIB * 1024 * 1024))
measure
same "$(size "http://${at[nginx]}/zeros")" "$BYTES" "what came from nginx by HTTP/1.1"
is_flat "down, HTTP/1.1"
measure
same "$(size "http://${at[nghttpd]}/zeros" $PRIOR)" "$BYTES" "what came from nghttpd by HTTP/2"
is_flat "down, HTTP/2"
measure
same "$(size -T "$WORK/www/zeros" http://orders/echo)" "$BYTES" "the echo by HTTP/1.1"
is_flat "both ways, HTTP/1.1"
measure
same "$(size $PRIOR -T "$WORK/www/zeros" "http://${at[node2]}/echo")" "$BYTES" "the echo by HTTP/2"
is_flat "both ways, HTTP/2"

step "readers that stop in the middle of an answer without end"
measure
for how in "1 node1" "2 node2"; do
    # shellcheck disable=SC2086 # words
    set -- $how
    mkfifo "$WORK/leave$1"
    (node_in_web left "$1" "http://${at[$2]}/endless") <>"$WORK/leave$1" >"$WORK/left$1" 2>&1 &
    eventually grep -q stopped "$WORK/left$1"
done
must get web "http://${at[node2]}/" $PRIOR # others are served meanwhile
must get web "http://${at[node1]}/"
is_flat "two readers that stopped"
mark
for version in 1 2; do echo >"$WORK/leave$version"; done
logged node-a 'access: request complete' path=/endless src.workload=web
eventually grep -q left "$WORK/left1"
eventually grep -q left "$WORK/left2"
echo "all of it holds"
