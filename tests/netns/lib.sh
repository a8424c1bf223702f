# What the tests in this folder share: a lab of their own, and assertions that wait for what must happen, with a deadline.
# Sourced, with `set -euo pipefail` on. Each test begins with `lab_up ...` and needs no end: the lab goes when the test does.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export WEIR_BUILD=${WEIR_BUILD:-$ROOT/build/dev}
export WEIR_LAB_NAME=${WEIR_LAB_NAME:-weir-test-$$}
RUN=/run/$WEIR_LAB_NAME
WORK=$(mktemp -d "${TMPDIR:-/tmp}/weir-netns-test-XXXXXX")
# Until what must happen has happened. More than 20 s: whoever finds a controller or a CA gone comes again after 15 s and jitter at the latest.
DEADLINE_S=${DEADLINE_S:-60}
ANSWER_S=20 # until a request is answered
mkfifo "$WORK/nothing" # nobody ever writes into it
declare -A marks=()

lab() { "$ROOT/tests/lab.sh" "$@"; }

ended() {
    local code=$?
    trap - EXIT INT TERM
    [ "$code" = 0 ] || failed_logs
    end_jobs
    rm -rf "$WORK"
    [ -z "${KEEP-}" ] || exit $code # to look around afterwards
    lab down || code=1
    exit "$code"
}
trap ended EXIT
trap 'exit 130' INT TERM

end_jobs() {
    local pids
    pids=$(jobs -p)
    # shellcheck disable=SC2086 # numbers
    [ -z "$pids" ] || kill $pids 2>/dev/null || true
    wait 2>/dev/null || true
}

end_job() {
    kill "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

failed_logs() {
    local file
    for file in "$RUN"/logs/{controller,ca,node-?}.log; do
        [ -e "$file" ] || continue
        echo "---- the end of ${file##*/}"
        tail -n 12 "$file" | cut -c 1-400
    done
}

fail() {
    printf 'FAILED: %s\n' "$*"
    exit 1
}
step() { printf '%s\n' "- $*"; }
# For --set-proxy-args: nothing is held back by the bounds of the log. A flood writes more lines a second than they allow, and then the line that is looked for may be
# missing.
EVERY_LINE="--log-rate 0 --access-log-rate-max 0"
lab_up() { lab up "$@" || fail "the lab does not come up"; }

# pause SECONDS: between two looks. It starts no process, so that $! and `wait` stay what they are.
pause() { read -rt "$1" <>"$WORK/nothing" || true; }

# eventually COMMAND...: until it succeeds, or $DEADLINE_S seconds are over.
eventually() {
    local end=$((${EPOCHREALTIME/[.,]/} + DEADLINE_S * 1000000))
    until "$@" >"$WORK/eventually" 2>&1; do
        if [ "${EPOCHREALTIME/[.,]/}" -ge "$end" ]; then
            cat "$WORK/eventually"
            fail "not within $DEADLINE_S s: $*"
        fi
        pause 0.05
    done
}
# must COMMAND...: it succeeds; must_not: it fails. What it prints goes to $WORK/out.
must() {
    "$@" >"$WORK/out" 2>&1 && return
    cat "$WORK/out"
    fail "$*"
}
must_not() {
    "$@" >"$WORK/out" 2>&1 || return 0
    cat "$WORK/out"
    fail "it should not have worked: $*"
}
said() { grep -qF -- "$1" "$WORK/out" || { cat "$WORK/out"; fail "that does not say \"$1\""; }; }
same() { [ "$1" = "$2" ] || fail "${3:-value} is \"$1\", and should be \"$2\""; }

# ---- requests ----

# get WORKLOAD URL [CURL ARGUMENT...]: prints the body; fails if there is no answer of 200.
get() {
    local workload=$1 url=$2
    shift 2
    lab exec "$workload" -- curl -sS -f --max-time "$ANSWER_S" "$@" "$url"
}
# stream NAME WORKLOAD HOST PORT: a connection that lives until stream_rest, or until it is broken.
declare -A streams=()
stream() {
    mkfifo "$WORK/$1.in"
    (exec "$ROOT/tests/lab.sh" exec "$2" -- "$ROOT/tests/netns/stream.py" "$3" "$4" 50000000) <>"$WORK/$1.in" >"$WORK/$1" 2>&1 &
    streams[$1]=$!
    eventually grep -q begun "$WORK/$1"
}
stream_rest() { # all the rest of it comes, and the end
    echo >"$WORK/$1.in"
    wait "${streams[$1]}" || fail "the stream $1: $(tail -n 1 "$WORK/$1")"
    same "$(tail -n 1 "$WORK/$1")" whole "the stream $1"
}
stream_breaks() { eventually grep '^broken after' "$WORK/$1"; } # from the other side
field() { /usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
pod_field() { awk -v name="$1" -v field="$2" '$2 == name || index($2, name "-") == 1 { print $field; exit }' "$RUN/plan/pods"; }
pod_netns() { pod_field "$1" 3; }
pod_v4() { pod_field "$1" 5; }
pod_v6() { pod_field "$1" 6; }
node_v4() { awk -v node="$1" '$1 == node { print $3 }' "$RUN/plan/nodes"; }
node_v6() { awk -v node="$1" '$1 == node { print $4 }' "$RUN/plan/nodes"; }
# Of a node proxy: the supervisor.
program_pid() { awk '{ print $1 }' "$RUN/pids/$1"; }
# Of any process, and not only dead: its parent knows, too.
is_gone() { [ ! -e "/proc/$1" ]; }
has_sanitizer() { [[ $(ldd "$WEIR_BUILD/weir-nodeproxy") == *san.so* ]]; }
# The second replica of cart is on node-b.
replica() { awk -v node="$1" '$2 ~ /^cart-/ && $4 == node { print $2 }' "$RUN/plan/pods"; }
# gateway_pod NAME NODE: a Gateway's pod (its documents, for docs/examples/shop) with an account of its name, at .60 of the node
gateway_pod() {
    local net=1
    [ "$2" = node-a ] || net=2
    cat <<END
apiVersion: v1
kind: ServiceAccount
metadata: {name: $1, namespace: shop}
---
apiVersion: v1
kind: Pod
metadata:
  name: $1-0
  namespace: shop
  labels: {app: $1, gateway.networking.k8s.io/gateway-name: $1}
spec: {nodeName: $2, serviceAccountName: $1, containers: [{name: pause, image: example.test/pause:1}]}
status:
  phase: Running
  podIP: 10.244.$net.60
  podIPs: [{ip: 10.244.$net.60}, {ip: "fd00:10:244:$net::60"}]
  conditions: [{type: Ready, status: "True"}]
---
END
}

# ---- logs: only what was written since the last mark counts ----

mark() {
    local file
    for file in "$RUN"/logs/*.log; do marks[$file]=$(stat -c %s "$file"); done
}
since_mark() { tail -c "+$((${marks[$RUN/logs/$1.log]:-0} + 1))" "$RUN/logs/$1.log"; }
has_line() {
    local name=$1 text lines
    shift
    lines=$(since_mark "$name")
    for text in "$@"; do
        lines=$(grep -F -- "$text" <<<"$lines") || return 1
    done
    printf '%s\n' "$lines"
}
# logged NODE TEXT...: a line with all of these texts appears.
logged() { eventually has_line "$@"; }
# knows NODE SERVICE: calls to it before that pass as they are, and are counted as such.
knows() { lab ctl "$1" services -o json | grep "\"$2\""; }

# ---- metrics ----

metrics() { lab exec "$1" -- curl -sS -f --max-time "$ANSWER_S" 'http://[::1]:15020/metrics'; }
# The sum of a metric's series that hold all of these texts. Without an answer it fails and prints nothing: that is not 0.
metric() {
    local node=$1 name=$2 lines text
    shift 2
    lines=$(metrics "$node") || return
    lines=$(grep "^$name[{ ]" <<<"$lines") || true
    for text in "$@"; do lines=$(grep -F -- "$text" <<<"$lines") || true; done
    awk '{ sum += $NF } END { printf "%d\n", sum }' <<<"$lines"
}
