#!/usr/bin/env bash
# timeout: 240
# builds: dev
# A plain gRPC client and server (@grpc/grpc-js) that know nothing of the mesh, through two node proxies that look at each request:
# each kind of call, statuses, 100 MB of messages each way, deadlines, cancellation, and load while connections end by GOAWAY: the server's, and
# those of node proxies that are replaced.
#
#   node-a: web (the client), its Service's requests are read here
#      |    HBONE
#   node-b: orders (the server), and read here again
. "$(dirname "$0")/../netns/lib.sh"
PEERS=$(/usr/bin/python3 -B -c '
import sys; sys.path.insert(0, sys.argv[1])
import npm_packages
print(npm_packages.fetch("@grpc/grpc-js@1.13.4", "@grpc/grpc-js-xds@1.13.0") if npm_packages.can_fetch() else "")' "$ROOT/tests/interop")
[ -n "$PEERS" ] || { echo "npm and node are not here"; trap - EXIT; rm -rf "$WORK"; exit 77; }
lab_up --set-proxy-args "--http on --log-rate 0 --drain 30s"

AGE_MS=300
for service in "echo 10.96.1.1 9091" "aging 10.96.1.2 9092"; do
    # shellcheck disable=SC2086 # words
    set -- $service
    printf -- '---\napiVersion: v1\nkind: Service\nmetadata: {name: %s, namespace: shop}\nspec:\n  selector: {app: orders}\n  clusterIP: %s\n  clusterIPs: [%s]\n  ports: [{port: 80, targetPort: %s, appProtocol: grpc}]\n' "$1" "$2" "$2" "$3"
done >"$WORK/grpc.yaml"
lab apply "$WORK/grpc.yaml"
eventually knows node-a aging
eventually knows node-b aging

in_pod() { # WORKLOAD WORD...
    local pod=$1
    shift
    lab exec "$pod" -- env NODE_PATH="$PEERS/node_modules" node "$ROOT/tests/interop/grpc_mesh_peer.js" "$@"
}
client() { in_pod web client 10.96.1.1:80 "$@"; }
for server in "9091 0" "9092 $AGE_MS"; do
    # shellcheck disable=SC2086 # words
    in_pod orders server $server >"$WORK/server-${server% *}" 2>&1 &
    eventually grep -q listening "$WORK/server-${server% *}"
done

step "calls, metadata both ways, statuses with their details"
mark
same "$(client calls)" '{"answer":"a message","heard":["hello"],"last":[0,1,255],"refused":5,"details":true,"none":12}' "what came back"
logged node-a 'access: request complete' path=/test.Echo/Refuse status=200 grpc_status=5 src.workload=web
logged node-b 'access: request complete' path=/test.Echo/Refuse status=200 grpc_status=5 src.workload=web

step "100 MB of messages each way, and one by one"
same "$(client stream down 100 1000000)" '{"bytes":100000000}' "what came down"
same "$(client stream up 100 1000000)" '{"bytes":100000000}' "what went up"
same "$(client stream up 10000 1000)" '{"bytes":10000000}' "what went up in small messages"
same "$(client stream both 500 20000)" '{"bytes":10000000}' "what went both ways"

step "a deadline and a cancellation: the client's status, and the server is told"
same "$(client deadline 500)" '{"code":"DEADLINE_EXCEEDED","cancelled":1}' "a deadline"
same "$(client cancel)" '{"code":"CANCELLED","cancelled":1}' "a cancellation"

# loaded NAME TARGET: calls without end, until rested. Each has an answer.
loaded() {
    mkfifo "$WORK/$1.in"
    (in_pod web client "$2" load 8) <>"$WORK/$1.in" >"$WORK/$1" 2>&1 &
    loads[$1]=$!
    eventually grep -q begun "$WORK/$1"
}
declare -A loads=()
rested() {
    echo >"$WORK/$1.in"
    wait "${loads[$1]}" || { cat "$WORK/$1"; fail "the load $1"; }
    same "$(tail -n 1 "$WORK/$1" | jq -c .errors)" "{}" "the calls under load that failed"
    [ "$(tail -n 1 "$WORK/$1" | jq .calls)" -gt 100 ] || fail "there was no load: $(tail -n 1 "$WORK/$1")"
}

step "a server whose connections end by GOAWAY every $AGE_MS ms: no call fails"
mark
loaded aging 10.96.1.2:80
connections() { [ "$(has_line node-b 'access: connection complete' direction=inbound dst.hbone_addr="$(pod_v4 orders):9092" | wc -l)" -ge 5 ]; }
eventually connections
rested aging

step "node proxies that are replaced under load: no call fails"
loaded replaced 10.96.1.1:80
must lab replace node-b
must lab replace node-a
rested replaced
echo "all of it holds"
