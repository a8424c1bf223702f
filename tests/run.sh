#!/usr/bin/env bash
# Runs all tests: the rules of the house, and then, with the build `dev` and again with `asan`, the
# unit tests, simulations and fuzz corpora (ctest) and the tests of the real programs (netns/ and
# interop/). As many as there are processors run at the same time; those that measure, alone.
#
# usage: tests/run.sh [--fast | --tsan] [--cluster] [PATTERN...]
#   --fast     only the build `dev`
#   --tsan     only the build `tsan` (threads), which the others leave out for its time: all that
#              ctest runs, and of the real programs those tests that use all their threads
#   --cluster  also the cases in a real Kubernetes (tests/cluster; once, with the release build)
#   PATTERN    only tests whose name matches one of these regular expressions, as in unit/mesh;
#              with cluster or cluster/NAME alone, only those cases
# Environment: WEIR_AT_ONCE, how many tests of the real programs run at the same time.
#
# One line a test; the last line is `N passed, N failed`. A test in netns/ or interop/ is an
# executable *_test.sh or *_test.py. It gets WEIR_BUILD, the folder of the build to test,
# WEIR_LAB_NAME, a name that no other test has, and TMPDIR, a folder of its own. In its first lines
# it may say `# timeout: SECONDS` (default 120), `# builds: dev`, and `# alone` if what it measures
# would be another with a test beside it. It exits with 77 to skip, and fails if it leaves anything
# behind.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
ROOT=$PWD
OUT=$ROOT/build/run
BUILDS=(dev asan)
PATTERN= CLUSTER= others=
AT_ONCE=${WEIR_AT_ONCE:-$(nproc)}
RUN=weir-test-$$ # what this run's labs and files begin with; other runs may go on beside it
LABS=$RUN
passed=0 failed=0 played=0

while [ $# -gt 0 ]; do
    case "$1" in
    --fast) BUILDS=(dev) ;;
    --tsan) BUILDS=(tsan) ;;
    --cluster) CLUSTER=yes ;;
    -h | --help)
        sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    -*)
        echo "run.sh: unknown option $1" >&2
        exit 2
        ;;
    *)
        PATTERN=${PATTERN:+$PATTERN|}$1
        if [[ $1 == cluster* ]]; then CLUSTER=yes; else others=yes; fi
        ;;
    esac
    shift
done
[ -z "$PATTERN" ] || [ -n "$others" ] || BUILDS=()

finish() {
    printf '%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" = 0 ] && [ "$passed" -gt 0 ]
    exit
}

selected() { [ -z "$PATTERN" ] || [[ $1 =~ $PATTERN ]]; }

ok() {
    printf 'ok   %s (%ss)\n' "$1" "$2"
    passed=$((passed + 1))
}

quote() { tail -n 60 "$1" | awk '{ print "     | " $0 }'; }
# fail NAME LOG [HOW]: how it ended, in the same line; the log's end may not tell.
fail() {
    printf 'FAIL %s%s\n' "$1" "${3:+ ($3)}"
    quote "$2"
    failed=$((failed + 1))
}

seconds_since() { awk -v now="$EPOCHREALTIME" -v then="$1" 'BEGIN { printf "%.1f", now - then }'; }

# What must not outlive a test. Processes of ours are those whose program is below build/.
remains() {
    local exe path
    ip netns list 2>/dev/null | sed -n "s/^\($LABS-[^ ]*\).*/network namespace \1/p"
    nft list tables 2>/dev/null | sed 's/^table/nft table/'
    for path in /run/weir/* /run/"$LABS"-* /tmp/"$LABS"-*; do
        [ -e "$path" ] && echo "file $path"
    done
    for path in /proc/[0-9]*/exe; do
        exe=$(readlink "$path" 2>/dev/null) || continue
        case "$exe" in
        "$ROOT"/build/*) path=${path%/exe} && echo "process ${path##*/} ($exe)" ;;
        esac
    done
}

# try_for_a_while COMMAND...: until it prints nothing, for up to three seconds: something may be just ending.
try_for_a_while() {
    local out
    for _ in 1 2 3 4 5 6; do
        out=$("$@")
        [ -z "$out" ] && return
        read -rt 0.5 <> <(:) || true
    done
    printf '%s\n' "$out" | sed 's/^/left behind: /'
}
new_since() { comm -13 "$1" <(remains | sort); }
# New since the snapshot in $1, whosever it is. Only while nothing runs.
left_behind() { try_for_a_while new_since "$1"; }

# What is one test's, while others run: it has the name of the test's lab, or a process has inherited that; or it is in the test's
# session, or in its folder.
left_of() {
    local lab=$1 session=$2 folder=$3 line pid
    remains | while read -r line; do
        case "$line" in
        "file $folder") ;;
        *"$lab"-* | *"$lab") echo "$line" ;;
        process*)
            pid=${line#process } pid=${pid%% *}
            { tr '\0' '\n' <"/proc/$pid/environ" | grep -qxF "WEIR_LAB_NAME=$lab"; } 2>/dev/null && echo "$line"
            ;;
        esac
    done
    find "$folder" -mindepth 1 -maxdepth 1 -printf 'file %p\n'
    ps -o stat=,pid=,args= -s "$session" | sed -n '/^Z/!s/^[^ ]* *//p' | sed 's/^ */process /'
}

# simple NAME COMMAND...: a test that is one command.
simple() {
    local name=$1 start=$EPOCHREALTIME
    shift
    selected "$name" || return 0
    if "$@" >"$OUT/log" 2>&1; then
        ok "$name" "$(seconds_since "$start")"
    else
        fail "$name" "$OUT/log" "exit status $?"
    fi
}

# build PRESET: not a test, but it fails like one.
build() {
    local start=$EPOCHREALTIME
    if { cmake --preset "$1" && cmake --build --preset "$1"; } >"$OUT/build-$1.log" 2>&1; then
        printf 'built %s (%ss)\n' "$1" "$(seconds_since "$start")"
        return 0
    fi
    fail "build/$1" "$OUT/build-$1.log"
    return 1
}

# Prints ctest's results (a JUnit file), one line a test, as `ok NAME SECONDS` or `FAIL NAME LOG HOW...`.
ctest_results() {
    /usr/bin/python3 - "$1" "$OUT" <<'PYTHON'
import sys
import xml.etree.ElementTree as tree
for number, case in enumerate(tree.parse(sys.argv[1]).getroot().iter("testcase")):
    if case.get("status") == "run":
        print("ok", case.get("name"), f"{float(case.get('time')):.1f}")
        continue
    log = f"{sys.argv[2]}/ctest-{number}.log"
    with open(log, "w", encoding="utf-8") as file:
        file.write(case.findtext("system-out") or "")
    failure = case.find("failure")
    how = (failure.get("message") if failure is not None else "") or case.get("status")
    print("FAIL", case.get("name"), log, how.lower(), "after", f"{float(case.get('time')):.0f} s")
PYTHON
}

run_ctest() {
    local preset=$1 status name rest how junit=$OUT/junit-$1.xml
    rm -f "$junit"
    remains | sort >"$OUT/before"
    mkdir "/tmp/$RUN-0"
    TMPDIR=/tmp/$RUN-0 ctest --test-dir "build/$preset" -j $((2 * $(nproc))) --no-tests=ignore ${PATTERN:+-R "$PATTERN"} \
        --output-junit "$junit" >"$OUT/ctest-$preset.log" 2>&1
    if [ ! -e "$junit" ]; then
        # Where no test is selected, ctest writes no results.
        grep -q 'No tests were found' "$OUT/ctest-$preset.log" ||
            fail "ctest [$preset]" "$OUT/ctest-$preset.log"
        rm -rf "/tmp/$RUN-0"
        return
    fi
    while read -r status name rest how; do
        if [ "$status" = ok ]; then ok "$name [$preset]" "$rest"; else fail "$name [$preset]" "$rest" "$how"; fi
    done < <(ctest_results "$junit" || echo "FAIL ctest-results $OUT/ctest-$preset.log")
    find "/tmp/$RUN-0" -mindepth 1 -maxdepth 1 -printf 'left behind: file %p\n' >"$OUT/left"
    rm -rf "/tmp/$RUN-0"
    left_behind "$OUT/before" >>"$OUT/left"
    [ ! -s "$OUT/left" ] || fail "ctest/left-behind [$preset]" "$OUT/left"
}

# The value of `# KEY: VALUE` in the first lines of a file.
setting() { sed -n "1,40s/^# $2: *//p" "$1" | head -n 1; }

# Does a file say `# WORD` in its first lines?
says() { sed -n 1,40p "$1" | grep -qx "# $2"; }

# end_sessions SIGNAL PLACE...: of those that play, or should not any more.
end_sessions() {
    local signal=$1 place
    shift
    for place in "$@"; do
        [ -s "$place/session" ] && pkill "-$signal" -s "$(<"$place/session")"
    done
    return 0
}
# They take their labs down, and the cluster itself away. Whoever is impatient is not heard meanwhile.
cluster=
interrupted() {
    trap '' INT TERM
    end_sessions TERM "$OUT"/place-*
    [ -z "$cluster" ] || kill "$cluster"
    wait
    rm -rf --one-file-system "/tmp/$RUN"-*
    exit 130
}
trap interrupted INT TERM

# clear_away LAB: what a test could not do itself any more, so that it is in nobody's way.
clear_away() {
    [ ! -e "/run/$1" ] || WEIR_LAB_NAME=$1 tests/lab.sh down >/dev/null 2>&1
    rm -rf --one-file-system "/tmp/${1:?}"
}

# play FILE PRESET PLACE LAB: one test of the real programs, in a session of its own. How it ended is then in PLACE/result, as
# `ok SECONDS`, `skip` or `FAIL HOW`, and what it said in PLACE/log.
play() {
    local file=$1 preset=$2 place=$3 lab=$4 limit start log=$3/log code session how layout=()
    limit=$(setting "$file" timeout)
    limit=${limit:-120}
    if [ ! -x "$file" ]; then
        echo "FAIL not executable" >"$place/result"
        return
    fi
    mkdir -m 711 "/tmp/$lab" || return
    start=$EPOCHREALTIME
    # ThreadSanitizer knows only the address layouts of older kernels.
    [ "$preset" != tsan ] || layout=(setarch --addr-no-randomize)
    WEIR_BUILD=$ROOT/build/$preset WEIR_LAB_NAME=$lab TMPDIR=/tmp/$lab \
        TSAN_OPTIONS=log_path=$place/sanitizer/report \
        ASAN_OPTIONS=log_path=$place/sanitizer/report \
        UBSAN_OPTIONS=print_stacktrace=1:log_path=$place/sanitizer/report \
        setsid "${layout[@]}" timeout -k 40 "$limit" "$file" </dev/null >"$log" 2>&1 7>&- 8>&- &
    session=$!
    echo "$session" >"$place/session"
    wait "$session"
    code=$?
    how="exit status $code"
    [ "$code" -le 128 ] || how="signal $((code - 128))"
    if [ "$code" = 124 ] || { [ "$code" = 137 ] && [ "${EPOCHREALTIME%.*}" -ge $((${start%.*} + limit)) ]; }; then
        how="timeout after $limit s"
    fi
    try_for_a_while left_of "$lab" "$session" "/tmp/$lab" >"$place/left"
    pkill -KILL -s "$session"
    rm -f "$place/session"
    clear_away "$lab"
    cat "$place/left" >>"$log"
    # A sanitizer's report counts, even if the test did not look how its programs ended.
    tail -n 45 "$place"/sanitizer/* >>"$log" 2>/dev/null
    if [ "$code" = 0 ] || [ "$code" = 77 ]; then
        [ -s "$place/left" ] && code=1 how="something is left behind"
        compgen -G "$place/sanitizer/*" >/dev/null && code=1 how="a sanitizer's report"
    fi
    case "$code" in
    0) echo "ok $(seconds_since "$start")" ;;
    77) echo skip ;;
    *) echo "FAIL $how" ;;
    esac >"$place/result"
}

# Of the tests that play, by their number: name, place, and the process that plays it.
declare -A names=() places=() players=()

# start_program FILE PRESET: now, in a free place.
start_program() {
    local place n=0 name=${1#tests/}
    while [[ " ${places[*]} " == *" $OUT/place-$n "* ]]; do n=$((n + 1)); done
    place=$OUT/place-$n
    played=$((played + 1))
    rm -rf "$place"
    # The data process, which has no user of its own in some tests, writes its reports there, too.
    mkdir -p "$place/sanitizer" && chmod 1777 "$place/sanitizer"
    {
        play "$1" "$2" "$place" "$RUN-$played"
        echo "$played" >&7
    } &
    names[$played]="${name%.*} [$2]"
    places[$played]=$place
    players[$played]=$!
}

# Waits for the next one that ends, and says how.
end_program() {
    local ended each status= rest= name place
    until read -rt 5 ended <&7; do # or somebody has killed the process that plays it
        for each in "${!players[@]}"; do kill -0 "${players[$each]}" 2>/dev/null || break 2; done
    done
    ended=${ended:-$each}
    [ -n "${names[$ended]-}" ] || return 0 # that was found out already
    name=${names[$ended]} place=${places[$ended]}
    unset "names[$ended]" "places[$ended]" "players[$ended]"
    [ ! -e "$place/result" ] || read -r status rest <"$place/result"
    touch "$place/log"
    case "$status" in
    ok) ok "$name" "$rest" ;;
    skip) printf 'skip %s: %s\n' "$name" "$(tail -n 1 "$place/log")" ;;
    *)
        fail "$name" "$place/log" "${rest:-no result}"
        end_sessions KILL "$place"
        [ -n "$status" ] || clear_away "$RUN-$ended"
        ;;
    esac
}
# Until at most N play.
end_programs() { while [ "${#places[@]}" -gt "$1" ]; do end_program; done; }

# Those with the longest time limit first, so that none of them runs alone in the end.
longest_first() {
    local file limit
    for file in "$@"; do
        limit=$(setting "$file" timeout)
        printf '%s %s\n' "${limit:-120}" "$file"
    done | sort -srnk 1,1 | cut -d ' ' -f 2
}

# run_programs PRESET FILE...
run_programs() {
    local preset=$1 file name builds together=() alone=()
    shift
    for file in $(longest_first "$@"); do
        name=${file#tests/}
        selected "${name%.*}" || continue
        builds=$(setting "$file" builds)
        [ -z "$builds" ] || [[ " $builds " == *" $preset "* ]] || continue
        if says "$file" alone; then alone+=("$file"); else together+=("$file"); fi
    done
    [ $((${#together[@]} + ${#alone[@]})) -gt 0 ] || return 0
    remains | sort >"$OUT/before"
    for file in "${together[@]}"; do
        end_programs $((AT_ONCE - 1))
        start_program "$file" "$preset"
    done
    end_programs 0
    for file in "${alone[@]}"; do
        start_program "$file" "$preset"
        end_programs 0
    done
    # What nobody could be blamed for, because it has no test's name.
    left_behind "$OUT/before" >"$OUT/left"
    [ ! -s "$OUT/left" ] || fail "netns/left-behind [$preset]" "$OUT/left"
}

# Where no Kubernetes can be brought up, that is a failure, and its last line says what the machine lacks. One cluster at a time, and
# what it leaves behind is looked for before somebody else's comes.
cluster_ready() {
    tests/cluster/up.sh able && tests/cluster/setup.sh && exec 4>"/var/tmp/$1.lock" || return
    until flock -w 5 4; do :; done
    mkdir "/tmp/$RUN-0"
}

# The cases of a real Kubernetes; its runner prints `ok NAME SECONDS`, `FAIL NAME LOG HOW` or `skip NAME WHY`.
run_cluster() {
    local status name rest code was_failed=$failed was_played=$((passed + failed)) folder=/tmp/$RUN-0
    LABS=${WEIR_CLUSTER_NAME:-weir-cluster}
    if ! cluster_ready "$LABS" >"$OUT/cluster-setup.log" 2>&1; then
        fail cluster/setup "$OUT/cluster-setup.log"
        return
    fi
    remains | sort >"$OUT/before"
    exec 5< <(WEIR_CLUSTER_MINE=yes TMPDIR=$folder exec tests/cluster/run.sh ${PATTERN:+"$PATTERN"} 2>"$OUT/cluster.log" </dev/null 7>&- 8>&-)
    cluster=$!
    while read -ru 5 status name rest; do
        case "$status" in
        ok) ok "$name" "$rest" ;;
        skip) printf 'skip %s: %s\n' "$name" "$rest" ;;
        FAIL)
            fail "$name" "${rest%% *}" "${rest#* }"
            quote "${rest%%.log *}.after"
            ;;
        esac
    done
    wait "$cluster" # which takes everything away
    code=$?
    cluster=
    exec 5<&-
    [ "$code" = 0 ] || [ "$failed" -gt "$was_failed" ] || fail cluster/run "$OUT/cluster.log" "exit status $code"
    [ $((passed + failed)) -gt "$was_played" ] || fail cluster/run "$OUT/cluster.log" "no case was played"
    find "$folder" -mindepth 1 -maxdepth 1 -printf 'left behind: file %p\n' >"$OUT/left"
    rm -rf "$folder"
    left_behind "$OUT/before" >>"$OUT/left"
    [ ! -s "$OUT/left" ] || fail cluster/left-behind "$OUT/left"
    exec 4>&-
}

mkdir -p "$OUT" || exit 1
mkfifo "$OUT/ends-$$" && exec 7<>"$OUT/ends-$$" && rm "$OUT/ends-$$" || exit 1
# One run at a time in a tree: its builds and what its tests leave are judged as its own.
exec 8>"$OUT/lock"
flock 8
rm -rf "$OUT"/*.log "$OUT"/*.xml "$OUT"/place-*

if ! tests/setup.sh; then
    failed=1
    finish
fi
simple house/check tests/house/check.py
simple house/check_test tests/house/check_test.py
simple house/routes_test tests/house/routes_test.py

shopt -s nullglob
programs=(tests/{netns,interop}/*_test.{sh,py})
[ "${BUILDS[*]}" != tsan ] || programs=(tests/netns/{enrol,traffic}_test.sh)
for preset in "${BUILDS[@]}"; do
    build "$preset" || continue
    run_ctest "$preset"
    run_programs "$preset" "${programs[@]}"
done
[ -z "$CLUSTER" ] || run_cluster
finish
