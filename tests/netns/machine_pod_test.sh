#!/usr/bin/env bash
# timeout: 120
# builds: dev
# A machine and pods call each other by identity, in both directions.
#
#   node-a: web ...     node-b: orders ...     db: a server (8080), users 4001 (chosen) and 4002
#      |                   |                      |
#   ---+-------------------+----------------------+------ underlay
. "$(dirname "$0")/lib.sh"
lab_up --family 4
DB=spiffe://cluster.local/ns/machines/sa/db WEB=spiffe://cluster.local/ns/shop/sa/web

step "the machine joins, and a pod calls it"
sed 's|machines/sa/web|shop/sa/web|' "$ROOT/tests/netns/machines/machines.yaml" >"$WORK/machines.yaml"
lab apply "$WORK/machines.yaml"
must lab machine-up db 192.168.50.41 machines/db-1 db --inbound-port 8080 --capture-user 4001
(exec "$ROOT/tests/lab.sh" exec db -- "$WEIR_BUILD/perf/origin" --port 8080 --pod db-1) >"$WORK/server" 2>&1 &
eventually lab exec db -- curl -sf --max-time 5 http://127.0.0.1:8080/whoami
has_workload() { lab ctl "$1" workloads -o json | grep '"192.168.50.41"'; }
eventually has_workload node-a # a call before that goes out in plaintext, and is refused
mark
must get web http://192.168.50.41:8080/whoami
logged db "src.identity=$WEB" "dst.identity=$DB" direction=inbound policy=machines/db-only-from-web
logged node-a "src.identity=$WEB" "dst.identity=$DB" direction=outbound

step "another pod may not, one outside of the mesh neither"
mark
must_not get rogue http://192.168.50.41:8080/whoami
logged db src.identity=spiffe://cluster.local/ns/shop/sa/rogue direction=inbound 'ending="denied by policy"'
must_not get batch http://192.168.50.41:8080/whoami

step "and the machine's chosen user calls a pod, by its address and by its Service"
mark
for to in "$(pod_v4 orders):8080" "$(awk '/clusterIP:/ { print $2 }' "$ROOT/docs/examples/shop/orders.yaml"):80"; do
    must lab exec db -- setpriv --reuid 4001 --clear-groups curl -sS -f --max-time "$ANSWER_S" "http://$to/whoami"
done
logged node-b "src.identity=$DB" dst.identity=spiffe://cluster.local/ns/shop/sa/orders direction=inbound
must_not lab exec db -- setpriv --reuid 4001 --clear-groups curl -sS -f --max-time "$ANSWER_S" "http://$(pod_v4 "$(replica node-b)"):8080/whoami"
logged node-b "src.identity=$DB" dst.identity=spiffe://cluster.local/ns/shop/sa/cart 'ending="denied by policy"'
