#!/usr/bin/env bash
# alone
# timeout: 240
# builds: dev
# Noisy neighbours: the p99 of rogue's steady calls to cart, alone and while web, on the same two nodes, floods with each of: new connections, bytes,
# handshakes, readers that stop. What counts is the p99 beside a flood through the mesh, divided by that beside the same flood past the mesh, from a pod that
# is not in it to a program of the node: what both have is the kernel's work for packets and the processors' for the flood's own programs.
#
# A node is a machine: node-a has the first processor, node-b the second. A machine has more than one: so the neighbour's own programs get theirs whenever
# they want it (real-time), and the flood's own get what nobody else wants (idle). Docs/PERFORMANCE.md says what follows from that.
# WEIR_FAIR_PLACE=shared: both node proxies on the first processor, everything else on the second.
#
# WEIR_FAIR_S=3, WEIR_FAIR_ROUNDS=9 (their medians count) and a quiet machine give figures; WEIR_FAIR_PERCENT=10 and WEIR_FAIR_ROOM_US=0 make the aim a condition; WEIR_FAIR_ONLY=bytes is one flood.
#
#   node-a: web, rogue, cart (1)  [legacy: batch]      node-b: cart (2), orders
#
# All of it is in a control group of its own: else each program would have a group to itself (autogroup), between groups all are equal, and "idle" would
# mean nothing. The group comes before whatever else the machine does.
if [ -z "${WEIR_FAIR_GROUP-}" ]; then
    WEIR_FAIR_GROUP=/sys/fs/cgroup
    [ ! -e "$WEIR_FAIR_GROUP/cpu/cpu.shares" ] || WEIR_FAIR_GROUP+=/cpu
    export WEIR_FAIR_GROUP+=/weir-fair-$$
    if mkdir "$WEIR_FAIR_GROUP" 2>/dev/null && [ -e "$WEIR_FAIR_GROUP/cgroup.procs" ]; then
        for setting in cpu.shares=262144 cpu.weight=10000 cpu.rt_runtime_us=800000; do # of them, those that this kernel has
            [ ! -e "$WEIR_FAIR_GROUP/${setting%=*}" ] || echo "${setting#*=}" >"$WEIR_FAIR_GROUP/${setting%=*}" || true
        done
        bash -c 'echo $$ >"$WEIR_FAIR_GROUP/cgroup.procs"; exec "$@"' - "$0" "$@" &
        inner=$!
        trap 'kill -TERM $inner; wait $inner' TERM INT
        wait $inner
        code=$?
        rmdir "$WEIR_FAIR_GROUP" || code=1
        exit "$code"
    fi
    echo "no control group can be made: what is idle here competes with all else"
fi
. "$(dirname "$0")/lib.sh"
SECONDS_EACH=${WEIR_FAIR_S:-1}
lab_up --set-proxy-args "--workers 1 --access-log off"
lab delete policy.yaml # rogue may call cart here
CART=$(pod_v4 "$(replica node-b)")
eventually get rogue "http://$CART:8080/whoami"

# ---- who has which processor ----
declare -A processor=([node-a]=0 [node-b]=1)
[ "${WEIR_FAIR_PLACE:-nodes}" = nodes ] || processor=([node-a]=1 [node-b]=1)
[ "$(nproc)" -gt 1 ] || processor=([node-a]=0 [node-b]=0)
proxy_processor() { [ "${WEIR_FAIR_PLACE:-nodes}" = nodes ] && echo "${processor[$1]}" || echo 0; }
node_of() { awk -v pod="$1" '$3 == pod || $2 == pod || index($2, pod "-") == 1 { print $4; exit }' "$RUN/plan/pods"; }
for file in "$RUN"/pids/*; do
    read -r pid _ <"$file"
    case "${file##*/}" in
    node-*) at=$(proxy_processor "${file##*/}") ;;
    *) at=$(node_of "${file##*/}") && at=${processor[${at:-node-b}]} ;;
    esac
    for each in $pid $(pgrep -P "$pid"); do taskset -acp "$at" "$each" >/dev/null 2>&1 || true; done
done
first=(chrt --fifo)
rank=1
"${first[@]}" $rank true 2>/dev/null || { first=(chrt --other) && rank=0; } # a kernel whose groups have no real-time
"${first[@]}" -ap $rank "$(program_pid "$(pod_netns "$(replica node-b)")")"

# ---- what is measured ----
micros() { awk '$1 == "99%" { v = $2; u = v; sub(/[0-9.]+/, "", u); print int(v * (u == "us" ? 1 : u == "ms" ? 1000 : 1000000)) }' "$1"; }
# The calls that matter, few at once; sets p99.
steady() {
    taskset -c "${processor[node-a]}" "${first[@]}" "$rank" "$ROOT/tests/lab.sh" exec rogue -- wrk -t1 -c2 -d"${SECONDS_EACH}s" --latency "http://$CART:8080/" \
        >"$WORK/steady" 2>&1 || fail "$(cat "$WORK/steady")"
    must_not grep -E 'Socket errors|Non-2xx' "$WORK/steady"
    p99=$(micros "$WORK/steady")
}
# The turns of a node proxy's loop, and the processor time that it got and waited for.
state() {
    metrics "$1" | awk -F '[ "]' '/^weir_turn_duration_seconds_bucket/ { print "le", $2, $4 }
        /^weir_turn_duration_seconds_sum/ { print "sum", "-", $2 } /^weir_ring_turns_total/ { print "turns", "-", $2 }
        /^weir_turn_duration_seconds_count/ { print "count", "-", $2 }'
    for data in $(pgrep -P "$(program_pid "$1")"); do cat /proc/"$data"/task/*/schedstat 2>/dev/null || true; done | awk '{ run += $1; wait += $2 } END { print "run", "-", run; print "wait", "-", wait }'
}
turned() { # STATE BEFORE, STATE AFTER
    awk 'NR == FNR { before[$1 $2] = $3; next } { d = $3 - before[$1 $2] }
        $1 == "count" { n = d } $1 == "sum" { sum = d } $1 == "turns" { turns = d } $1 == "run" { run = d } $1 == "wait" { wait = d }
        $1 == "le" { le[++k] = $2; of[k] = d }
        END { for (i = 1; i <= k && of[i] < 0.99 * n; i++); printf "%d turns, %.0f us each, 99 %% of them below %s s; ran %.2f s, waited for the processor %.2f s",
            turns, n ? sum * 1e6 / n : 0, le[i], run / 1e9, wait / 1e9 }' "$1" "$2"
}
flood() { # WORKLOAD -- COMMAND...: the script becomes the command, so that killing it is the end
    taskset -c "${processor[node-a]}" chrt --idle 0 "$ROOT/tests/lab.sh" exec "$@" >"$WORK/flood" 2>&1 &
    flooder=$!
}
calm() {
    kill "$flooder" 2>/dev/null || true
    wait "$flooder" 2>/dev/null || true
}
median() { printf '%s\n' "$@" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
no_connections() { [ "$(metric node-a weir_connections_outbound)" = 0 ]; }
wanted() { case "$1" in *"${WEIR_FAIR_ONLY:-}"*) step "$1" ;; *) return 1 ;; esac }

step "alone"
steady
alone=$p99
printf '  %-22s p99 %6s us\n' alone "$alone"

# The flood's server has what nobody else wants, too; and there is one that is not in the mesh.
for pid in $(program_pid "$(pod_netns orders)"); do chrt --idle -ap 0 "$pid" >/dev/null; done
taskset -c "${processor[node-b]}" chrt --idle 0 "$ROOT/tests/lab.sh" exec node-b -- "$WEIR_BUILD/perf/origin" --port 8080 >"$WORK/origin" 2>&1 &
OUTSIDE=$(node_v4 node-b)
ORDERS=$(pod_v4 orders)
outside_serves() { lab exec batch -- curl -sS -o /dev/null "http://$OUTSIDE:8080/"; }
eventually outside_serves
# compare NAME: the floods past=(COMMAND...) from batch and through=(WORKLOAD -- COMMAND...), one after the other in each round. UNTIL: what the flood says when it
# has begun.
compare() {
    local name=$1 round withs=() withouts=()
    for ((round = 0; round < ${WEIR_FAIR_ROUNDS:-1}; round++)); do
        flood batch -- "${past[@]}"
        [ "${UNTIL-}" = "" ] || eventually grep -q "$UNTIL" "$WORK/flood"
        steady
        withouts+=("$p99")
        calm
        flood "${through[@]}"
        [ "${UNTIL-}" = "" ] || eventually grep -q "$UNTIL" "$WORK/flood"
        for node in node-a node-b; do state $node >"$WORK/$node.before"; done
        steady
        for node in node-a node-b; do state $node >"$WORK/$node.after"; done
        withs+=("$p99")
        calm
        eventually no_connections
    done
    local with without
    with=$(median "${withs[@]}") without=$(median "${withouts[@]}")
    printf '  %-22s p99 %6s us, alone %6s us; the same flood past the mesh %6s us; ratio %d.%02d\n' "$name" "$with" "$alone" "$without" \
        $((with / without)) $((with * 100 / without % 100))
    [ "$round" = 1 ] || printf '    through the mesh %s us; past it %s us\n' "${withs[*]}" "${withouts[*]}"
    for node in node-a node-b; do printf '    %s: %s\n' $node "$(turned "$WORK/$node.before" "$WORK/$node.after")"; done
    # Room for machines where others work, unless figures are wanted.
    [ "$with" -lt $((without * (100 + ${WEIR_FAIR_PERCENT:-2000}) / 100 + ${WEIR_FAIR_ROOM_US:-100000})) ] || fail "the neighbour of $name waits"
}
READER='
import socket, sys, time
all = []
for _ in range(200):
    c = socket.create_connection((sys.argv[1], 8080))
    c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    c.sendall(b"GET /big?bytes=100000000 HTTP/1.1\r\nHost: orders\r\n\r\n")
    all.append(c)
print("stopped", flush=True)
time.sleep(60)'

if wanted "new connections"; then
    past=(wrk -t1 -c64 -d60s -H 'Connection: close' "http://$OUTSIDE:8080/")
    through=(web -- wrk -t1 -c64 -d60s -H 'Connection: close' "http://$ORDERS:8080/")
    compare "new connections"
fi
# What is no certificate costs the other side a signature all the same; past the mesh there are only the connections.
if wanted "handshakes"; then
    past=(wrk -t1 -c64 -d60s -H 'Connection: close' "http://$OUTSIDE:8080/")
    through=(batch -- wrk -t1 -c64 -d60s -H 'Connection: close' "https://$ORDERS:15008/")
    compare handshakes
fi
if wanted "bytes"; then
    past=(wrk -t1 -c16 -d60s "http://$OUTSIDE:8080/big?bytes=10000000")
    through=(web -- wrk -t1 -c16 -d60s "http://$ORDERS:8080/big?bytes=10000000")
    compare bytes
fi
if wanted "readers that stop"; then
    past=(/usr/bin/python3 -c "$READER" "$OUTSIDE")
    through=(web -- /usr/bin/python3 -c "$READER" "$ORDERS")
    UNTIL=stopped compare "readers that stop"
fi
