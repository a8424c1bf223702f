#!/usr/bin/env bash
# timeout: 150
# builds: dev
# Under load from several workloads: node proxies replaced, data processes killed, controller and CA killed, again and again. In the
# end nothing was refused through a replacement, and descriptors and memory are where they were.
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
PAUSE_MS=$((MINUTES > 0 ? MINUTES * 60000 / ROUNDS : 2000)) # of load, in each round
lab_up --set-proxy-args "--drain 1h --access-log off"

pause() { # while the load runs
    local end=$((${EPOCHREALTIME/[.,]/} + $1 * 1000))
    while [ "${EPOCHREALTIME/[.,]/}" -lt "$end" ]; do read -rt 0.1 <> <(:) || true; done
}
tree_of() { # a process and all below it
    local child
    echo "$1"
    for child in $(cat "/proc/$1/task/$1/children" 2>/dev/null); do tree_of "$child"; done
}
is_gone() { [ ! -e "/proc/$1" ]; }
pid_of() { cut -d ' ' -f 1 "$RUN/pids/$1"; }
data_of() { # the process that reads the network: the one with the most descriptors
    local pid
    for pid in $(tree_of "$(pid_of "$1")"); do echo "$(find "/proc/$pid/fd" -type l 2>/dev/null | wc -l) $pid"; done | sort -n | tail -n 1 | cut -d ' ' -f 2
}
# Sums over a node proxy's processes: descriptors, and PSS in KiB.
count_fds() { for pid in $(tree_of "$(pid_of "$1")"); do find "/proc/$pid/fd" -type l 2>/dev/null; done | wc -l; }
count_kib() {
    for pid in $(tree_of "$(pid_of "$1")"); do cat "/proc/$pid/smaps_rollup" 2>/dev/null; done | awk '/^Pss:/ { sum += $2 } END { print sum }'
}

declare -A knockers=()
knocks() {
    (exec "$ROOT/tests/lab.sh" exec "$2" -- "$ROOT/tests/netns/knock.py" "$3" "$4" "$5" 10) >"$WORK/knock-$1" 2>"$WORK/knock-$1.bad" &
    knockers[$1]=$!
}
load_begins() {
    knocks pods web orders 80 /whoami
    knocks same-node web "$(pod_v4 "$(replica node-a)")" 8080 /whoami
    knocks plaintext batch "$(pod_v4 orders)" 8080 /whoami
    lab exec web -- wrk -t1 -c8 -d"$1"s http://orders/ >"$WORK/wrk-web" 2>&1 &
    loads=($!)
    lab exec cart -- wrk -t1 -c8 -d"$1"s http://orders/ >"$WORK/wrk-cart" 2>&1 &
    loads+=($!)
}
load_ends() { # nothing may have gone wrong
    local name
    for name in "${loads[@]}"; do wait "$name" || fail "wrk"; done
    for name in "${!knockers[@]}"; do kill -TERM "${knockers[$name]}"; done
    for name in "${!knockers[@]}"; do
        wait "${knockers[$name]}" || fail "the knocker $name"
        [ "$(field bad <"$WORK/knock-$name")" = 0 ] || { cat "$WORK/knock-$name" "$WORK/knock-$name.bad"; fail "$name: not all went well"; }
        good=$((good + $(field good <"$WORK/knock-$name")))
    done
    knockers=()
    must cat "$WORK/wrk-web" "$WORK/wrk-cart"
    must_not grep -E 'Socket errors|Non-2xx' "$WORK/out"
}

good=0
: >"$WORK/figures"
for round in $(seq "$ROUNDS"); do
    olds=("$(pid_of node-a)" "$(pid_of node-b)")
    load_begins $((PAUSE_MS / 1000 + 2))
    must lab replace node-a
    must lab stop controller KILL
    must lab stop ca KILL
    must lab start controller
    must lab start ca
    must lab replace node-b
    pause "$PAUSE_MS"
    load_ends
    for pid in "${olds[@]}"; do eventually is_gone "$pid"; done

    # A data process that is killed loses what is inside it, and nothing else: whoever knocks then waits a little, and is served.
    if [ $((round % 2)) = 1 ]; then
        victim=$(data_of node-a)
        [ "$victim" != "$(pid_of node-a)" ] || fail "node-a has no data process of its own"
        kill -KILL "$victim"
        must get web http://orders/whoami
        must get web http://cart/whoami
    fi
    eventually get web http://orders/whoami
    echo "$round $(count_fds node-a) $(count_fds node-b) $(count_kib node-a) $(count_kib node-b)" >>"$WORK/figures"
    printf '  round %s: descriptors %s and %s, memory %s and %s KiB\n' $(tail -n 1 "$WORK/figures")
done
step "$good new connections, none of them went badly; $ROUNDS rounds"
/usr/bin/python3 - "$WORK/figures" <<'PY'
import sys
rounds = [list(map(int, line.split())) for line in open(sys.argv[1])]
for name, column, slack in (("descriptors", 1, 24), ("descriptors", 2, 24), ("KiB", 3, 6144), ("KiB", 4, 6144)):
    first, last = rounds[0][column], rounds[-1][column]
    if last > first + slack:
        sys.exit(f"FAILED: {name} grew from {first} to {last}")
PY
must_not grep -lE 'ERROR: AddressSanitizer|runtime error|LeakSanitizer' "$RUN"/logs/node-a.log "$RUN"/logs/node-b.log
echo "all of it holds"
