#!/usr/bin/env bash
# timeout: 180
# The three processes of a node proxy: what each of them may do, and that a crash of either is repaired: of the one that reads
# the network (no connection is refused, no rule is missing meanwhile), and of the one that has the privileges.
#
#   supervisor (weir-nodeproxy) --+-- weir-warden   namespaces, rules, sockets; no traffic
#                                 `-- weir-data     traffic; no privileges
. "$(dirname "$0")/lib.sh"
lab_up

# A connection waits so long for the next data process; a sanitizer needs longer to begin.
SOON_S=2
! has_sanitizer || SOON_S=10
child() { pgrep -P "$(program_pid "${2:-node-a}")" -x "$1"; }
status_of() { sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"; }
# kill_data [NODE]: sets data. Dead it is when its ring is, too: what a dying ring has accepted is lost with it.
kill_data() {
    data=$(child weir-data "${1-}")
    kill -KILL "$data"
    until is_gone "$data"; do :; done
}
nothing=0000000000000000

step "what each process may do"
for process in data warden; do
    pid=$(child "weir-$process")
    for set in CapInh CapBnd CapAmb; do same "$(status_of "$pid" $set)" $nothing "$set of $process"; done
    same "$(status_of "$pid" NoNewPrivs)" 1 "NoNewPrivs of $process"
    same "$(status_of "$pid" Seccomp)" 2 "Seccomp of $process"
    must grep -qE '^Max core file size +0 +0 ' "/proc/$pid/limits"
done
pid=$(child weir-data)
for set in CapEff CapPrm; do same "$(status_of "$pid" $set)" $nothing "$set of data"; done
for task in /proc/"$pid"/task/*; do
    same "$(sed -n 's/^CapEff:[[:space:]]*//p' "$task/status")" $nothing "CapEff of ${task##*/}, a thread of data"
    same "$(sed -n 's/^Seccomp:[[:space:]]*//p' "$task/status")" 2 "Seccomp of ${task##*/}, a thread of data"
done
# net_admin, sys_ptrace, sys_admin
same "$(status_of "$(child weir-warden)" CapEff)" 0000000000281000 "CapEff of warden"
for process in nodeproxy warden data; do
    pid=$(if [ $process = nodeproxy ]; then program_pid node-a; else child weir-$process; fi)
    echo "  memory of weir-$process: $(awk '/^Pss:/ { pss = $2 } /^Private/ { own += $2 } END { print pss " KiB (PSS), " own " KiB its own" }' "/proc/$pid/smaps_rollup")"
done

# ask SECONDS: new connections, one after the other, for so long; the last word is how many were refused or reset.
cat >"$WORK/ask.py" <<'EOF'
import socket, sys, time
end, asked, failed, slowest = time.monotonic() + float(sys.argv[2]), 0, [], 0
print("begun", flush=True)
while time.monotonic() < end:
    start = time.monotonic()
    with socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET) as s:
        s.settimeout(10)
        try:
            s.connect((sys.argv[1], 8080))
            connected = True
            s.sendall(b"GET /whoami HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            if not s.recv(100).startswith(b"HTTP/1.1 200"):
                failed.append("no answer")
        except OSError as error:
            failed.append(repr(error))
    asked += 1
    slowest = max(slowest, time.monotonic() - start)
print(f"asked {asked}, failed {len(failed)}: {failed[:3]}; slowest {slowest:.3f} s")
EOF
begin_asking() {
    lab exec web -- /usr/bin/python3 "$WORK/ask.py" "$(pod_v4 orders)" "$1" >"$WORK/asked" &
    asking=$!
    eventually grep -q begun "$WORK/asked"
}
end_asking() {
    wait "$asking" || fail "the client ended badly"
    tail -n 1 "$WORK/asked" | sed 's/^/  /'
}
# watch_rules NETNS: looks whether the rules are there, again and again; ends when $WORK/enough is there.
watch_rules() {
    while [ ! -e "$WORK/enough" ]; do
        nsenter --net="/run/netns/$1" nft list table inet weir >"$WORK/rules.now" 2>&1 &&
            grep -q 'redirect to :15001' "$WORK/rules.now" && echo there || echo missing
    done
}
is_other() { new=$(child "$1") && [ -n "$new" ] && [ "$new" != "$2" ]; }

step "the data process is killed: a connection that is made right after waits, and is answered within $SOON_S s; rules stay"
rm -f "$WORK/enough"
watch_rules "$(pod_netns web)" >"$WORK/rules" &
watching=$!
for _ in 1 2 3; do
    mark
    kill_data
    must get web "http://$(pod_v4 orders):8080/whoami" -m "$SOON_S"
    eventually is_other weir-data "$data"
    logged node-a "serves node"
done
touch "$WORK/enough"
wait "$watching"
must_not grep -q missing "$WORK/rules"
must grep -q there "$WORK/rules"

step "and while clients go on: those that come are not refused; at most what was inside the process is lost"
begin_asking 3
kill_data
eventually is_other weir-data "$data"
end_asking
must_not grep -q 'Refused' "$WORK/asked"
read -r failed < <(sed -n 's/.*failed \([0-9]*\):.*/\1/p' "$WORK/asked")
[ "$failed" -le 2 ] || fail "$failed connections were lost by one crash"

step "inbound, too: to a pod of the node whose data process is killed"
must get batch "http://$(pod_v4 orders):8080/whoami"
kill_data node-b
must get batch "http://$(pod_v4 orders):8080/whoami" -m "$SOON_S"
kill_data
must get web "http://$(pod_v4 "$(replica node-a)"):8080/whoami" -m "$SOON_S"

step "the warden is killed: new connections go on, new pods are captured"
warden=$(child weir-warden)
begin_asking 3
kill -KILL "$warden"
must lab pod-down rogue
must lab pod-up rogue
eventually is_other weir-warden "$warden"
end_asking
must grep -q 'failed 0:' "$WORK/asked"
must_not get rogue "http://$(pod_v4 "$(replica node-b)"):8080/whoami" # captured: its policy counts

step "a new pod's first connection does not wait for the warden: its socket has come with the pod"
# Again where the machine was so slow that the socket has gone back meanwhile.
first_call() {
    local warden code=0
    lab pod-down web && lab pod-up web || return 1
    warden=$(child weir-warden)
    kill -STOP "$warden"
    get web "http://$(pod_v4 orders):8080/whoami" -m 3 || code=$?
    kill -CONT "$warden"
    return "$code"
}
eventually first_call

step "the new warden has been given the listeners: the data process may be killed again"
logged node-a "there is a new warden"
kill_data
must get web "http://$(pod_v4 orders):8080/whoami" -m "$SOON_S"
eventually is_other weir-data "$data"
must get web "http://$(pod_v4 orders):8080/whoami" -m "$SOON_S"

step "both at once"
data=$(child weir-data) warden=$(child weir-warden)
kill -KILL "$data" "$warden"
eventually is_other weir-data "$data"
eventually is_other weir-warden "$warden"
eventually get web "http://$(pod_v4 orders):8080/whoami"

step "whoever kills the supervisor leaves nothing behind"
pids="$(program_pid node-a) $(child weir-data) $(child weir-warden)"
must lab stop node-a KILL
for pid in $pids; do eventually is_gone "$pid"; done
must lab start node-a
eventually get web "http://$(pod_v4 orders):8080/whoami"

step "an orderly end takes all three along"
pids="$(program_pid node-a) $(child weir-data) $(child weir-warden)"
must lab stop node-a
for pid in $pids; do eventually is_gone "$pid"; done

step "what is wrong from the beginning ends at once, with a clear word"
start=$(cat "$RUN/commands/node-a")
code=0
timeout 20 bash -c "$start --identity nonsense" >"$WORK/out" 2>&1 || code=$?
same "$code" 1 "the exit code"
said "--identity"
code=0
timeout 20 bash -c "${start/$WEIR_BUILD/setpriv --bounding-set -sys_admin $WEIR_BUILD}" >"$WORK/out" 2>&1 || code=$?
same "$code" 1 "the exit code without CAP_SYS_ADMIN"
said "CAP_SYS_ADMIN is missing"
echo "all of it holds"
