#!/usr/bin/env bash
# timeout: 120
# builds: dev
# The SPIFFE Workload API on a node: each pod's processes get that pod's identity, and nobody else's; a client of another make.
#
#   node-a: web, rogue, cart (1)   [legacy: batch, not enrolled]      node-b: cart (2), orders
. "$(dirname "$0")/lib.sh"
/usr/bin/python3 -c 'import grpc' 2>"$WORK/out" || {
    echo "without python3-grpcio there is no client of another make: $(tail -n 1 "$WORK/out")"
    exit 0
}
lab_up --family 4 --set-proxy-args "--workload-api spiffe.sock"

ROOTS=$RUN/controller/controller-roots.pem
as() { # WORKLOAD ARGUMENT...: in its network namespace, at its node's socket
    local workload=$1 node=node-a
    shift
    [[ $workload != orders && $workload != node-b ]] || node=node-b
    lab exec "$workload" -- /usr/bin/python3 "$ROOT/tests/netns/workload_api.py" "$RUN/$node/spiffe.sock" "$@"
}

step "each pod gets its own"
for name in web rogue orders; do must as $name svid "spiffe://cluster.local/ns/shop/sa/$name" "$ROOTS"; done

step "nobody else gets any: the node's own processes, a pod that is not enrolled, one of another node"
must as node-a denied
must as batch denied
must lab exec orders -- /usr/bin/python3 "$ROOT/tests/netns/workload_api.py" "$RUN/node-a/spiffe.sock" denied
must as web strict

step "who takes all the connections that one may have takes nobody else's"
mkfifo "$WORK/go"
(as rogue crowd 64 <"$WORK/go") >"$WORK/crowd" 2>&1 &
crowd=$!
exec 7>"$WORK/go"
eventually grep -q full "$WORK/crowd"
must as web svid spiffe://cluster.local/ns/shop/sa/web "$ROOTS"
must as batch denied
exec 7>&-
must wait "$crowd"

step "a stream is told when its pod leaves the mesh; after a new node proxy took over there is the socket still"
(as rogue watch spiffe://cluster.local/ns/shop/sa/rogue) >"$WORK/rogue" 2>&1 &
eventually grep -q serial "$WORK/rogue"
sed 's|^    app: rogue$|&\n    weir.mesh/enrolled: "false"|' "$ROOT/docs/examples/shop/rogue.yaml" >"$WORK/rogue.yaml"
lab apply "$WORK/rogue.yaml"
eventually grep -q "ended PERMISSION_DENIED" "$WORK/rogue"
lab replace node-a
must as web svid spiffe://cluster.local/ns/shop/sa/web "$ROOTS"

step "a stream is told of another root at once, and of another certificate; one that asks for bundles, of roots alone"
(as web watch spiffe://cluster.local/ns/shop/sa/web) >"$WORK/web" 2>&1 &
(as web roots) >"$WORK/roots" 2>&1 &
eventually grep -q "roots 1" "$WORK/web"
eventually grep -q "roots 1" "$WORK/roots"
is_another() { [[ $(tail -n 1 "$WORK/web") == serial* && $(tail -n 1 "$WORK/web") != "serial $serial "* ]]; }
serial=$(sed -n '1s/^serial \([0-9a-f]*\) .*/\1/p' "$WORK/web")
must "$WEIR_BUILD/weir-ca" rotate root --state "$RUN/ca/state"
eventually grep -qx "serial $serial roots 2" "$WORK/web"
eventually grep -q "roots 2" "$WORK/roots"
must "$WEIR_BUILD/weir-ca" revoke --serial "$serial" --state "$RUN/ca/state"
eventually is_another
same "$(wc -l <"$WORK/roots")" 2 "the bundles that were told"
