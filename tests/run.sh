#!/usr/bin/env bash
# Runs all tests: the rules of the house, and then, with the build `dev` and again with `asan`, the
# unit tests, simulations and fuzz corpora (ctest) and the tests of the real programs (netns/ and
# interop/, one after the other).
#
# usage: tests/run.sh [--fast | --tsan] [--cluster] [PATTERN...]
#   --fast     only the build `dev`
#   --tsan     only the build `tsan` (threads), which the others leave out for its time: all that
#              ctest runs, and of the real programs those tests that use all their threads
#   --cluster  also the cases in a real Kubernetes (tests/cluster; once, with the release build)
#   PATTERN    only tests whose name matches one of these regular expressions, as in unit/mesh;
#              with cluster or cluster/NAME alone, only those cases
#
# One line a test; the last line is `N passed, N failed`. A test in netns/ or interop/ is an
# executable *_test.sh or *_test.py. It gets WEIR_BUILD, the folder of the build to test, may say
# `# timeout: SECONDS` (default 120) and `# builds: dev` in its first lines, exits with 77 to skip,
# and fails if it leaves anything behind.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
ROOT=$PWD
OUT=$ROOT/build/run
BUILDS=(dev asan)
PATTERN= CLUSTER= others=
passed=0 failed=0 session=

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

# fail NAME LOG
fail() {
    printf 'FAIL %s\n' "$1"
    tail -n 60 "$2" | sed 's/^/     | /'
    failed=$((failed + 1))
}

seconds_since() { awk -v now="$EPOCHREALTIME" -v then="$1" 'BEGIN { printf "%.1f", now - then }'; }

# What must not outlive a test. Processes of ours are those whose program is below build/.
remains() {
    local exe path
    ip netns list 2>/dev/null | sed -n 's/^\(weir-[^ ]*\).*/network namespace \1/p'
    nft list tables 2>/dev/null | sed 's/^table/nft table/'
    for path in /run/weir/* /tmp/weir-*; do
        [ -e "$path" ] && echo "file $path"
    done
    for path in /proc/[0-9]*/exe; do
        exe=$(readlink "$path" 2>/dev/null) || continue
        case "$exe" in
        "$ROOT"/build/*) path=${path%/exe} && echo "process ${path##*/} ($exe)" ;;
        esac
    done
}

# New since the snapshot in $1, after up to three seconds for what is just ending.
left_behind() {
    local try new
    for try in 1 2 3 4 5 6; do
        new=$(comm -13 "$1" <(remains | sort))
        [ -z "$new" ] && return
        sleep 0.5
    done
    printf '%s\n' "$new" | sed 's/^/left behind: /'
}

# simple NAME COMMAND...: a test that is one command.
simple() {
    local name=$1 start=$EPOCHREALTIME
    shift
    selected "$name" || return 0
    if "$@" >"$OUT/log" 2>&1; then
        ok "$name" "$(seconds_since "$start")"
    else
        fail "$name" "$OUT/log"
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

# Prints ctest's results (a JUnit file), one line a test, as `ok NAME SECONDS` or `FAIL NAME LOG`.
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
        failure = case.find("failure")
        file.write(f"{case.get('status')}: "
                   f"{failure.get('message') if failure is not None else ''}\n")
        file.write(case.findtext("system-out") or "")
    print("FAIL", case.get("name"), log)
PYTHON
}

run_ctest() {
    local preset=$1 status name rest junit=$OUT/junit-$1.xml
    rm -f "$junit"
    remains | sort >"$OUT/before"
    ctest --test-dir "build/$preset" -j "$(nproc)" --no-tests=ignore ${PATTERN:+-R "$PATTERN"} \
        --output-junit "$junit" >"$OUT/ctest-$preset.log" 2>&1
    if [ ! -e "$junit" ]; then
        # Where no test is selected, ctest writes no results.
        grep -q 'No tests were found' "$OUT/ctest-$preset.log" ||
            fail "ctest [$preset]" "$OUT/ctest-$preset.log"
        return
    fi
    while read -r status name rest; do
        if [ "$status" = ok ]; then ok "$name [$preset]" "$rest"; else fail "$name [$preset]" "$rest"; fi
    done < <(ctest_results "$junit" || echo "FAIL ctest-results $OUT/ctest-$preset.log")
    left_behind "$OUT/before" >"$OUT/left"
    [ ! -s "$OUT/left" ] || fail "ctest/left-behind [$preset]" "$OUT/left"
}

# The value of `# KEY: VALUE` in the first lines of a file.
setting() { sed -n "1,40s/^# $2: *//p" "$1" | head -n 1; }

end_session() {
    [ -n "$session" ] && pkill "$1" -s "$session"
    return 0
}
trap 'end_session -KILL; exit 130' INT TERM

# run_program FILE PRESET: one test of the real programs, in a session of its own.
run_program() {
    local file=$1 preset=$2 name builds limit start log=$OUT/log code layout=()
    name=${file#tests/}
    name=${name%.*}
    selected "$name" || return 0
    builds=$(setting "$file" builds)
    [ -z "$builds" ] || [[ " $builds " == *" $preset "* ]] || return 0
    limit=$(setting "$file" timeout)
    name="$name [$preset]"
    if [ ! -x "$file" ]; then
        echo "$file is not executable" >"$log"
        fail "$name" "$log"
        return
    fi
    remains | sort >"$OUT/before"
    rm -f "$OUT"/sanitizer/*
    start=$EPOCHREALTIME
    # ThreadSanitizer knows only the address layouts of older kernels.
    [ "$preset" != tsan ] || layout=(setarch --addr-no-randomize)
    WEIR_BUILD=$ROOT/build/$preset \
        TSAN_OPTIONS=log_path=$OUT/sanitizer/report \
        ASAN_OPTIONS=log_path=$OUT/sanitizer/report \
        UBSAN_OPTIONS=print_stacktrace=1:log_path=$OUT/sanitizer/report \
        setsid "${layout[@]}" timeout -k 10 "${limit:-120}" "$file" </dev/null >"$log" 2>&1 8>&- &
    session=$!
    wait "$session"
    code=$?
    [ "$code" = 124 ] && echo "timeout: not done after ${limit:-120} s" >>"$log"
    {
        left_behind "$OUT/before"
        ps -o stat=,pid=,args= -s "$session" | sed -n '/^Z/!s/^[^ ]* *//p' | sed 's/^ */left behind: process /'
    } >"$OUT/left"
    end_session -KILL
    session=
    # A sanitizer's report counts, even if the test did not look how its programs ended.
    if [ "$code" = 0 ] || [ "$code" = 77 ]; then
        [ -s "$OUT/left" ] && code=1
        compgen -G "$OUT/sanitizer/*" >/dev/null && code=1
    fi
    cat "$OUT/left" >>"$log"
    tail -n 45 "$OUT"/sanitizer/* >>"$log" 2>/dev/null
    case "$code" in
    0) ok "$name" "$(seconds_since "$start")" ;;
    77) printf 'skip %s: %s\n' "$name" "$(tail -n 1 "$log")" ;;
    *) fail "$name" "$log" ;;
    esac
}

# The cases of a real Kubernetes; its runner prints `ok NAME SECONDS`, `FAIL NAME LOG` or `skip NAME WHY`.
run_cluster() {
    local status name rest
    if ! tests/cluster/setup.sh >"$OUT/cluster-setup.log" 2>&1; then
        fail cluster/setup "$OUT/cluster-setup.log"
        return
    fi
    remains | sort >"$OUT/before"
    while read -r status name rest; do
        case "$status" in
        ok) ok "$name" "$rest" ;;
        skip) printf 'skip %s: %s\n' "$name" "$rest" ;;
        FAIL) fail "$name" "$rest" ;;
        esac
    done < <(tests/cluster/run.sh ${PATTERN:+"$PATTERN"} 2>"$OUT/cluster.log" </dev/null)
    left_behind "$OUT/before" >"$OUT/left"
    [ ! -s "$OUT/left" ] || fail cluster/left-behind "$OUT/left"
}

mkdir -p "$OUT/sanitizer" && chmod 1777 "$OUT/sanitizer" || exit 1
# One run at a time in a tree: its builds and what its tests leave are judged as its own.
exec 8>"$OUT/lock"
flock 8
rm -f "$OUT"/*.log "$OUT"/*.xml

if ! tests/setup.sh; then
    failed=1
    finish
fi
simple house/check tests/house/check.py
simple house/check_test tests/house/check_test.py

shopt -s nullglob
programs=(tests/{netns,interop}/*_test.{sh,py})
[ "${BUILDS[*]}" != tsan ] || programs=(tests/netns/{enrol,traffic}_test.sh)
for preset in "${BUILDS[@]}"; do
    build "$preset" || continue
    run_ctest "$preset"
    for file in "${programs[@]}"; do
        run_program "$file" "$preset"
    done
done
[ -z "$CLUSTER" ] || run_cluster
finish
