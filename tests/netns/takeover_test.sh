#!/usr/bin/env bash
# timeout: 300
# A new node proxy takes over from the running one: under load nothing is refused, reset or lost; and what goes wrong on the way
# leaves the running one as it was.
#
#   control: controller, CA      node-a: web, rogue, cart (1)  [legacy: batch]      node-b: cart (2), orders
. "$(dirname "$0")/lib.sh"
ROUNDS=${ROUNDS:-3}
lab_up --set-proxy-args "--drain 10m $EVERY_LINE"

pid_of() { cut -d ' ' -f 1 "$RUN/pids/$1"; }

# knocks NAME WORKLOAD HOST PORT PATH: in the background, until knocks_end.
declare -A knockers=()
knocks() {
    (exec "$ROOT/tests/lab.sh" exec "$2" -- "$ROOT/tests/netns/knock.py" "$3" "$4" "$5" 5) >"$WORK/knock-$1" 2>"$WORK/knock-$1.bad" &
    knockers[$1]=$!
}
# Each knocker has knocked well at least $1 times and never badly.
knocks_end() {
    local least=$1 name
    for name in "${!knockers[@]}"; do kill -TERM "${knockers[$name]}"; done
    for name in "${!knockers[@]}"; do
        wait "${knockers[$name]}" || { cat "$WORK/knock-$name.bad"; fail "the knocker $name"; }
        printf '  %-10s %s\n' "$name" "$(cat "$WORK/knock-$name")"
        sed 's/^/             /' "$WORK/knock-$name.bad"
        same "$(field bad <"$WORK/knock-$name")" 0 "connections of $name that went badly"
        [ "$(field good <"$WORK/knock-$name")" -ge "$least" ] || fail "$name knocked too little"
    done
    knockers=()
}

# Are our rules in the namespace, at every look?
watch_rules() {
    local ns looks=0 missing=0
    ns=$(pod_netns web)
    while [ ! -e "$WORK/stop-rules" ]; do
        nsenter --net="/run/netns/$ns" nft list table inet weir >/dev/null 2>&1 || missing=$((missing + 1))
        looks=$((looks + 1))
    done
    echo "$missing $looks" >"$WORK/rules"
}

step "under load: wrk, a long slow stream, new connections all the time, scrapes, a look at the rules"
stream slow web orders 80
lab exec web -- wrk -t1 -c16 -d10s --timeout 8s http://orders/ >"$WORK/wrk-web" 2>&1 &
wrk_web=$!
lab exec cart -- wrk -t1 -c8 -d10s --timeout 8s http://orders/ >"$WORK/wrk-cart" 2>&1 &
wrk_cart=$!
knocks pods web orders 80 /whoami
knocks same-node web "$(pod_v4 "$(replica node-a)")" 8080 /whoami
knocks plaintext batch "$(pod_v4 orders)" 8080 /whoami
knocks ready-a node-a "::1" 15021 /healthz/ready
knocks ready-b node-b "127.0.0.1" 15021 /healthz/ready
watch_rules &
watcher=$!

nobody_answers() { ! lab exec node-a -- curl -sS -f "$1"; }

step "the node proxies of both nodes are replaced $ROUNDS times, with other settings each time"
first_a=$(pid_of node-a) first_b=$(pid_of node-b)
olds=()
for round in $(seq "$ROUNDS"); do
    olds+=("$(pid_of node-a)" "$(pid_of node-b)")
    must lab replace node-a --workers "$round" --metrics "[::]:$((15100 + round))"
    must lab replace node-b --workers "$((ROUNDS + 1 - round))" --connect-timeout "${round}0s"
    if [ "$round" = 1 ]; then
        [ -e "/proc/$first_a" ] && [ -e "/proc/$first_b" ] || fail "those that drain are gone before their connections"
        must lab pod-down rogue # the runtime's requests meet the new one
        must lab pod-up rogue
    fi
    must lab exec node-a -- curl -sS -f "http://[::1]:$((15100 + round))/metrics"
    eventually nobody_answers "http://[::1]:$((15099 + round))/metrics"
    must lab exec node-b -- curl -sS -f "http://127.0.0.1:15020/metrics"
done
wait "$wrk_web" || fail "wrk"
wait "$wrk_cart" || fail "wrk"
must cat "$WORK/wrk-web" "$WORK/wrk-cart"
must_not grep -E 'Socket errors|Non-2xx' "$WORK/out"
grep -h "requests in" "$WORK/wrk-web" "$WORK/wrk-cart"
stream_rest slow
knocks_end 100
touch "$WORK/stop-rules"
wait "$watcher"
same "$(cut -d ' ' -f 1 "$WORK/rules")" 0 "looks at the rules that found none"
printf '  the rules were there at %s looks\n' "$(cut -d ' ' -f 2 "$WORK/rules")"

step "those that were replaced end by themselves when their last connection has ended"
for pid in "${olds[@]}"; do eventually is_gone "$pid"; done
must_not grep -lE 'ERROR: AddressSanitizer|runtime error|LeakSanitizer' "$RUN"/logs/node-a.log "$RUN"/logs/node-b.log
must get web http://orders/whoami
must_not get rogue "http://$(pod_v4 "$(replica node-b)"):8080/whoami"

step "policy still ends what is connected through the one that drains"
mark
stream held batch "$(pod_v4 orders)" 8080
old=$(pid_of node-b)
must lab replace node-b
lab apply "$ROOT/docs/examples/strict/peer-authentication.yaml"
stream_breaks held
eventually is_gone "$old"
logged node-b 'ending="policy changed"'
lab delete peer-authentication.yaml
eventually get batch "http://$(pod_v4 orders):8080/whoami"

step "a connection that lasts longer than --drain ends then, and not before"
must lab replace node-a --drain 2s
stream long web orders 80
old=$(pid_of node-a)
begin=${EPOCHREALTIME/[.,]/}
must lab replace node-a
stream_breaks long
[ $((${EPOCHREALTIME/[.,]/} - begin)) -ge 2000000 ] || fail "it ended before the deadline"
eventually is_gone "$old"

step "whoever can't take over changes nothing: garbage, a port that is taken, one that is killed while it waits"
knocks through web orders 80 /whoami
old=$(pid_of node-a)
/usr/bin/python3 - "$RUN/node-a/takeover.sock" <<'PY'
import array, os, socket, sys
for packets in ([b"garbage"], [b'{"message":"hello","protocol":3,"version":"9"}'], [b'{"message":"next"}'],
                [b'{"message":"hello","protocol":2,"version":"9"}', b'{"message":"ask"}', b'{"message":"ask"}'],
                [b'{"message":"hello","protocol":2,"version":"9"}', b'{"message":"ask"}', b'{"message":"taken"}x'],
                [b"x" * 60000], [b'{"message":"refuse","why":"no"}']):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(10)
    s.connect(sys.argv[1])
    got = []
    for packet in packets:
        s.send(packet)
        if b"next" not in packet and len(packets) > 1:
            got.append(s.recv(65536))
    if len(packets) == 1 and b"refuse" not in packets[0]:
        got.append(s.recv(65536))
        assert b'"refuse"' in got[0], got
    s.close()
PY
must_not lab replace node-a --admin 127.0.0.1:15021 --metrics 127.0.0.1:15021
sed -i 's/ --admin 127.0.0.1:15021 --metrics 127.0.0.1:15021//' "$RUN/commands/node-a"
mv "$RUN/pids/node-a.$old" "$RUN/pids/node-a"
cp "$RUN/commands/node-a" "$WORK/command"
sed -i 's/--controller [^ ]*/--controller 127.0.0.1:1/' "$RUN/commands/node-a"
mv "$RUN/pids/node-a" "$RUN/pids/node-a.old"
mark
must lab start node-a
logged node-a "a successor is there"
must lab stop node-a KILL
logged node-a "the successor does not take over"
mv "$RUN/pids/node-a.old" "$RUN/pids/node-a"
cp "$WORK/command" "$RUN/commands/node-a"
same "$(pid_of node-a)" "$old" "the node proxy that serves"
must lab pod-down rogue
must lab pod-up rogue
must lab replace node-a
knocks_end 20

step "asked to end while a successor waits for the mesh, it lets that one take over first"
sed -i 's/--controller [^ ]*/--controller 127.0.0.1:1/' "$RUN/commands/node-a"
old=$(pid_of node-a)
mv "$RUN/pids/node-a" "$RUN/pids/node-a.$old"
mark
must lab start node-a
logged node-a "a successor is there"
kill -TERM "$old"
logged node-a "this node proxy has taken over"
eventually is_gone "$old"
cp "$WORK/command" "$RUN/commands/node-a"
must lab replace node-a
eventually get web http://orders/whoami
echo "all of it holds"
