#!/usr/bin/env bash
# alone
# timeout: 180
# What is trusted changes while traffic runs: another intermediate, then another root in its three steps, and no request fails; then an identity and
# a certificate are revoked, and what lives of them ends within 2 s, across nodes both ways and on one node, and nothing else does.
#
#   node-a: web, rogue, cart (1)      node-b: cart (2), orders
. "$(dirname "$0")/lib.sh"
lab_up --set-ca-args "--ttl 100s" --set-proxy-args "$EVERY_LINE"
STATE=$RUN/ca/state
WEB=spiffe://cluster.local/ns/shop/sa/web
ca() { "$WEIR_BUILD/weir-ca" "$1" "${@:2}" --state "$STATE"; }
node_trust() { grep -o 'trust [0-9]*: ' "$RUN/logs/$1.log" | tail -n 1 | tr -dc 0-9; }
# heard NUMBER: both nodes know what came after it.
heard() { [ "$(node_trust node-a)" -gt "$1" ] && [ "$(node_trust node-b)" -gt "$1" ]; }
known() { eventually heard 0; same "$(node_trust node-a)" "$(node_trust node-b)" "what node-a knows"; node_trust node-a; }
change() { # ...: a command of weir-ca, until both nodes have heard of it
    local before
    before=$(known)
    must ca "$@"
    eventually heard "$before"
}
# The lab's controller has its certificate from a file, which is the operator's to renew; so are the roots of node proxies.
controller_certificate() { must ca issue --identity spiffe://cluster.local/ns/weir-system/sa/weir-controller --out "$RUN/controller/controller"; }
traffic() { # SECONDS FILE: across nodes, on one node, and with a new connection for each request
    local host i=0 wrks=()
    for host in "$(pod_v4 "$(replica node-b)")" "$(pod_v4 "$(replica node-a)")"; do
        lab exec web -- wrk -t1 -c8 -d"$1" "http://$host:8080/" >"$WORK/$2-$i" 2>&1 &
        wrks+=($!) i=$((i + 1))
    done
    lab exec web -- wrk -t1 -c4 -d"$1" -H 'Connection: close' "http://$(pod_v4 orders):8080/" >"$WORK/$2-2" 2>&1 &
    wrks+=($!)
    wait "${wrks[@]}"
}
no_failures() { # FILE
    for i in 0 1 2; do
        must_not grep -E 'Socket errors|Non-2xx' "$WORK/$1-$i"
        must grep -E 'requests in' "$WORK/$1-$i"
        printf '  %s\n' "$(grep 'requests in' "$WORK/$1-$i")"
    done
}
# How many certificates there are; and whether all who have one have another since there were $1.
count() { ca list certificates --rows 100000 -o json | grep -c '"serial"'; }
all_renewed() {
    ca list certificates --rows 100000 -o json >"$WORK/list.json"
    /usr/bin/python3 - "$WORK/list.json" "$1" <<'END'
import json, sys
rows = json.load(open(sys.argv[1]))["certificates"]
new = {(r["identity"], r["node"]) for r in rows[:len(rows) - int(sys.argv[2])]}
missing = {(r["identity"], r["node"]) for r in rows if r["node"] and "weir-ca" not in r["identity"]} - new
print(missing)
sys.exit(bool(missing))
END
}

step "another intermediate, and another root that is trusted and then signs"
roots=$(ca roots | grep -c BEGIN)
same "$roots" 1 "the number of roots"
traffic 8s signing &
load=$!
pause 1
change rotate intermediate
change rotate root
same "$(ca roots | grep -c BEGIN)" 2 "the number of roots"
controller_certificate
pause 1
signed=$(count)
change rotate root --go-on
controller_certificate
must ca check
said "rotation: the new root signs"
wait "$load"
no_failures signing

step "all have certificates of the new root, and the old one goes"
DEADLINE_S=90 eventually all_renewed "$signed"
pause 1 # a worker has what its control thread has
traffic 4s gone &
load=$!
pause 1
change rotate root --go-on
same "$(ca roots | grep -c BEGIN)" 1 "the number of roots"
wait "$load"
no_failures gone
must lab exec node-a -- true
must_not ca rotate root --go-on

step "an identity is revoked"
stream there web "$(pod_v4 orders)" 8080
stream back orders "$(pod_v4 web)" 8080
stream near web "$(pod_v4 "$(replica node-a)")" 8080
stream other rogue "$(pod_v4 orders)" 8080
mark
must ca revoke --identity "$WEB" --reason test
began=$EPOCHREALTIME
for name in there back near; do stream_breaks "$name"; done
took_ms=$(awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { printf "%d", (b - a) * 1000 }')
printf '  its connections ended within %s ms\n' "$took_ms"
[ "$took_ms" -lt "${WEIR_REVOKED_MS:-2000}" ] || fail "that took too long"
either_node() { has_line node-a ending=revoked || has_line node-b ending=revoked; } # whoever heard of it first
eventually either_node
for url in "http://$(pod_v4 orders):8080/" "http://$(pod_v4 "$(replica node-a)"):8080/"; do must_not get web "$url" --max-time 3; done
must_not get orders "http://$(pod_v4 web):8080/" --max-time 3
must get rogue http://orders/whoami
stream_rest other

step "it may come again, with other certificates"
must ca revoke --identity "$WEB" --lift
eventually get web http://orders/whoami

step "one certificate is revoked: another takes its place"
serial=$(ca list certificates --identity "$WEB" -o json | /usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)["certificates"][0]["serial"])')
stream there2 web "$(pod_v4 orders)" 8080
began=$EPOCHREALTIME
must ca revoke --serial "$serial"
stream_breaks there2
took_ms=$(awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { printf "%d", (b - a) * 1000 }')
printf '  its connections ended within %s ms\n' "$took_ms"
[ "$took_ms" -lt "${WEIR_REVOKED_MS:-2000}" ] || fail "that took too long"
eventually get web http://orders/whoami
