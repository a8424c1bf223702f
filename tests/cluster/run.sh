#!/usr/bin/env bash
# Installs Weir's image and charts into a real Kubernetes of two nodes and runs the cases of cases/*.sh there, in their order;
# afterwards all is taken away again.
#
# usage: tests/cluster/run.sh [--keep] [PATTERN...]
#   --keep     leaves the cluster as it is, to look around (tests/cluster/up.sh shell; tests/cluster/down.sh)
#   PATTERN    only cases whose name (cluster/NAME) matches one of these regular expressions, and those that all others need
#
# Prints a line per case: `ok cluster/NAME SECONDS`, `skip cluster/NAME REASON`, or `FAIL cluster/NAME LOG HOW`; what the cluster
# was like after a failure is in the file beside LOG, NAME.after.
# Environment: KUBE_BIN, HELM (default: helm 4), WEIR_BUILD (of the image; default build/release).
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$HERE/cases.sh"
OUT=$ROOT/build/run/cluster
LIMIT_S=1200 # of a case; the first one also builds
BUILD_S=3600
PATTERN= KEEP= failed=0 playing=
while [ $# -gt 0 ]; do
    case "$1" in
    --keep) KEEP=yes ;;
    -h | --help)
        sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    *) PATTERN=${PATTERN:+$PATTERN|}$1 ;;
    esac
    shift
done
selected() { [ -z "$PATTERN" ] || [[ cluster/$1 =~ $PATTERN ]]; }
seconds_since() { awk -v now="$EPOCHREALTIME" -v then="$1" 'BEGIN { printf "%.1f", now - then }'; }

# run NAME: the case case_NAME, in a shell of its own. 77: it can't be shown here, and the last line says why.
run() {
    local name=$1 start=$EPOCHREALTIME log=$OUT/$1.log limit=$LIMIT_S code how
    [ "$name" != up ] || limit=$BUILD_S
    # A shell of its own, since one that is asked for its status (`run || ...`) would not end at what fails; and a session, since
    # whoever ends us ends it, too. Its last line says what failed.
    OUT=$OUT setsid timeout -k 20 "$limit" bash -euo pipefail -c '. "$1/lib.sh" && . "$1/cases.sh"
        trap '\''code=$? last=$BASH_COMMAND; case "$code $last" in "0 "* | "77 "* | *" exit "*) ;; *) echo "FAILED: status $code of: $last" ;; esac'\'' EXIT
        "case_$2"' run "$HERE" "$name" >"$log" 2>&1 </dev/null 6>&- &
    playing=$!
    echo "$playing" >&6
    wait "$playing"
    code=$?
    playing=
    echo none >&6
    case "$code" in
    0) echo "ok cluster/$name $(seconds_since "$start")" ;;
    77) echo "skip cluster/$name $(tail -n 1 "$log")" ;;
    *)
        how="exit status $code"
        [ "$code" != 124 ] || how="timeout after $limit s"
        after_failure >"$OUT/$name.after" 2>&1
        echo "FAIL cluster/$name $log $how"
        failed=1
        return 1
        ;;
    esac
}

ended() {
    trap - EXIT
    trap '' INT TERM # once is enough
    [ -z "$playing" ] || kill -TERM -- "-$playing"
    [ -n "$KEEP" ] || "$HERE/down.sh"
    echo over >&6
    exit "$failed"
}

mkdir -p "$OUT" && rm -f "$OUT"/*.log "$OUT"/*.after
# One at a time on a machine: it has one set of names. Who starts us may have seen to that.
if [ -z "${WEIR_CLUSTER_MINE-}" ]; then
    exec 7>"$LOCK" && flock 7 || exit 1
    export WEIR_CLUSTER_MINE=yes
fi
# Whoever kills us leaves no case and no cluster either: this one sees that we are gone without a word. It has the lock until it is done.
watch='while read -r word; do
    case "$word" in over) exit ;; *) playing=$word ;; esac
done
[ "${playing:-none}" = none ] || kill -TERM -- "-$playing"
[ -n "$2" ] || exec "$1/down.sh"'
exec 6> >(exec setsid bash -c "$watch" run "$HERE" "$KEEP" >/dev/null 2>&1)
trap ended EXIT
trap 'failed=130; exit 130' INT TERM
for name in "${FIRST[@]}"; do run "$name" || exit 1; done
for name in "${CASES[@]}"; do
    if selected "$name"; then run "$name" || true; fi
done
