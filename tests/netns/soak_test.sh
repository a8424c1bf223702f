#!/usr/bin/env bash
# alone
# timeout: 150
# builds: dev
# Under load from several workloads, all the time: node proxies are replaced; data processes, wardens, controller and CA killed (-9).
# Nobody is refused, and nothing is lost but what was inside of a killed process (soak_judge.py); in the end descriptors and memory
# are where they were.
#
# usage: soak_test.sh [--minutes N] [--rounds N]    (default: 3 short rounds; `--minutes 5 --rounds 10` is the long form)
#
#   control: controller, CA      node-a: web, rogue, cart (1)  [legacy: batch]      node-b: cart (2), orders
. "$(dirname "$0")/lib.sh"
MINUTES=0 ROUNDS=3
while [ $# -gt 0 ]; do
    case "$1" in
    --minutes) MINUTES=$2 && shift ;;
    --rounds) ROUNDS=$2 && shift ;;
    *) fail "there is no option $1" ;;
    esac
    shift
done
ROUND_MS=$((MINUTES > 0 ? MINUTES * 60000 / ROUNDS : 7000))
lab_up --set-proxy-args "--drain 1h --access-log off"

now() { echo "$EPOCHREALTIME"; }
passed() { [ "${EPOCHREALTIME/[.,]/}" -ge "$1" ]; }
pause_until() { # while the load runs
    until passed "$1"; do pause 0.1; done
}
is_dead() { [ ! -e "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }
is_other() { local new; new=$(data_of "$1") && [ -n "$new" ] && [ "$new" != "$2" ]; }
data_of() { pgrep -P "$(program_pid "$1")" -x weir-data; }
tree_of() { echo "$(program_pid "$1") $(pgrep -d ' ' -P "$(program_pid "$1")")"; }
# Sums over a node proxy's three processes: descriptors, and PSS in KiB.
count_fds() { for pid in $(tree_of "$1"); do find "/proc/$pid/fd" -type l 2>/dev/null; done | wc -l; }
count_kib() { for pid in $(tree_of "$1"); do cat "/proc/$pid/smaps_rollup" 2>/dev/null; done | awk '/^Pss:/ { sum += $2 } END { print sum }'; }
figures() { # NAME: of the moment
    local line
    line="$1 $(count_fds node-a) $(count_fds node-b) $(count_kib node-a) $(count_kib node-b)"
    echo "$line" >>"$WORK/figures"
    # shellcheck disable=SC2086 # words
    printf '  %-6s descriptors %s and %s, memory %s and %s KiB\n' $line
}

# ---- what is done: each is noted, with its time ----

declare -A since=([node-a]=$(now) [node-b]=$(now) [control]=0)
noted() { # WHAT NODE COMMAND...
    local what=$1 node=$2 begin
    begin=$(now)
    shift 2
    "$@"
    echo "$what $node $begin $(now) ${since[$node]}" >>"$WORK/actions"
}
olds=()
replace() {
    olds+=("$(program_pid "$1")")
    must lab replace "$1"
}
begin_anew() { # controller or ca, by a kill
    must lab stop "$1" KILL
    must lab start "$1"
}
kill_data() {
    victim=$(data_of "$1")
    kill -KILL "$victim"
    until is_dead "$victim"; do :; done
}

# ---- the load ----

declare -A loads=()
load() { # NAME WORKLOAD HOST PORT STREAM_S...
    (exec "$ROOT/tests/lab.sh" exec "$2" -- "$ROOT/tests/netns/soak_load.py" "$3" "$4" 5 "${@:5}") >"$WORK/load-$1" 2>"$WORK/load-$1.bad" &
    loads[$1]=$!
}
# wrk plays while nothing is done that may lose a connection, and so loses none: no keep-alive connection of those it has, either.
wrks=() wrk_count=0
wrk_from() { # WORKLOAD
    wrk_count=$((wrk_count + 1))
    (exec "$ROOT/tests/lab.sh" exec "$1" -- wrk -t1 -c8 -d1h --timeout 8s http://orders/) >"$WORK/wrk-$wrk_count-$1" 2>&1 &
    wrks+=($!)
}
wrks_end() {
    local pid
    for pid in "${wrks[@]}"; do
        until is_dead "$pid"; do # not by one signal: it may not hear yet
            kill -INT "$pid" 2>/dev/null || true
            pause 0.1
        done
        wait "$pid" || fail "wrk"
    done
    wrks=()
}

figures before
step "$ROUNDS rounds of $((ROUND_MS / 1000)) s under load"
load pods web orders 80 0 2 7
load pods-too cart orders 80 3
load same-node web "$(pod_v4 "$(replica node-a)")" 8080 0 3
load plaintext batch "$(pod_v4 orders)" 8080 3
begin=${EPOCHREALTIME/[.,]/}
for round in $(seq "$ROUNDS"); do
    wrk_from web
    wrk_from cart
    noted replace node-a replace node-a
    since[node-a]=$(now)
    noted kill-controller control begin_anew controller
    noted replace node-b replace node-b
    since[node-b]=$(now)
    noted kill-ca control begin_anew ca
    [ $((round % 2)) = 1 ] || noted kill-warden node-b pkill -KILL -P "$(program_pid node-b)" -x weir-warden # costs nobody anything
    wrks_end
    if [ $((round % 2)) = 1 ]; then
        node=node-$([ $((round % 4)) = 1 ] && echo a || echo b)
        noted kill-data "$node" kill_data "$node"
        eventually is_other "$node" "$victim"
        DEADLINE_S=5 ANSWER_S=5 eventually get web http://orders/whoami # and it did not wait for a minute
    fi
    pause_until $((begin + round * ROUND_MS * 1000))
    figures "$round"
done

step "what the load lost"
for name in "${!loads[@]}"; do kill -TERM "${loads[$name]}"; done
for name in "${!loads[@]}"; do wait "${loads[$name]}" || { cat "$WORK/load-$name.bad"; fail "the load $name"; }; done
code=0
/usr/bin/python3 "$ROOT/tests/netns/soak_judge.py" "$WORK/actions" pods=node-a+node-b="$WORK/load-pods" \
    pods-too=node-a+node-b="$WORK/load-pods-too" same-node=node-a="$WORK/load-same-node" plaintext=node-b="$WORK/load-plaintext" ||
    code=$?
# In all rounds, by all the connections of wrk: not one of them was lost, refused or left waiting, and no answer was another one.
awk '/requests in/ { sum += $1 } END { print "  wrk: " sum " requests" }' "$WORK"/wrk-*
same "$(grep -lE '^ *[1-9][0-9]* requests in' "$WORK"/wrk-* | wc -l)" $((2 * ROUNDS)) "wrks that came to their end"
must_not grep -E 'Socket errors|Non-2xx' "$WORK"/wrk-*
[ "$code" = 0 ] || exit "$code"

step "descriptors and memory when all is over"
for pid in "${olds[@]}"; do eventually is_gone "$pid"; done
eventually get web http://orders/whoami
replace node-a # whose successors begin without sockets that were made ready for connections, as the first ones did
replace node-b
for pid in "${olds[@]}"; do eventually is_gone "$pid"; done
figures after
/usr/bin/python3 - "$WORK/figures" <<'PY'
import sys
lines = [line.split() for line in open(sys.argv[1])]
rounds = [list(map(int, line[1:])) for line in lines[1:-1]]
before, after = ([int(word) for word in lines[i][1:]] for i in (0, -1))
middle = (len(rounds) - 1) / 2
# In the first round node-a's process is killed, and so the figures are those of one that has just begun: of three rounds that is
# the line. What stays is seen afterwards.
kib = 3072 if len(rounds) > 5 else 8192
for name, column, slack, slack_after in (("descriptors of node-a", 0, 24, 4), ("descriptors of node-b", 1, 24, 4),
                                         ("KiB of node-a", 2, kib, 2048), ("KiB of node-b", 3, kib, 2048)):
    # The slope of the line through all rounds, over all rounds.
    spread = sum((i - middle) ** 2 for i in range(len(rounds)))
    growth = sum((i - middle) * line[column] for i, line in enumerate(rounds)) / spread * (len(rounds) - 1)
    print(f"  {name}: {growth:+.0f} from the first round to the last, {after[column] - before[column]:+} from before to after")
    if growth > slack or after[column] > before[column] + slack_after:
        sys.exit(f"FAILED: {name} grew")
PY
must_not grep -lE 'ERROR: AddressSanitizer|runtime error|LeakSanitizer' "$RUN"/logs/node-a.log "$RUN"/logs/node-b.log
echo "all of it holds"
