#!/usr/bin/env bash
# A mesh of two nodes on this machine, shown: identities, encryption, policy, metrics, load. Each claim is checked; the exit status is 0
# if all hold. Installs and builds what is missing first. Everything that it starts ends with it.
#
# usage: tests/demo.sh [vm] [--keep]
#   vm       another story: two machines and a CA, without Kubernetes (docs/VM.md)
#   --keep   leaves the mesh running and says how to look around
set -euo pipefail
cd "$(dirname "$0")/.."
ROOT=$PWD
KEEP= STORY=
checked=0 failures=0
BOLD= RESET=
[ ! -t 1 ] || { BOLD=$'\e[1m' RESET=$'\e[0m'; }

while [ $# -gt 0 ]; do
    case "$1" in
    --keep) KEEP=yes ;;
    vm) STORY=vm ;;
    -h | --help)
        sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    *)
        echo "demo.sh: unknown option $1" >&2
        exit 2
        ;;
    esac
    shift
done

# ---- telling ------------------------------------------------------------------------------------

title() { printf '\n%s== %s ==%s\n' "$BOLD" "$*" "$RESET"; }
note() { printf '%s\n' "$*"; }
indent() { sed 's/^/    /'; }
# holds CLAIM COMMAND...: checks and says so.
holds() {
    local claim=$1
    shift
    checked=$((checked + 1))
    if "$@"; then
        printf '  ok      %s\n' "$claim"
    else
        printf '  FAILED  %s\n' "$claim"
        failures=$((failures + 1))
    fi
}

# ---- the lab ------------------------------------------------------------------------------------

lab() { "$ROOT/tests/lab.sh" "$@"; }
RUN=$(tests/lab.sh path)
WORK=$(mktemp -d /tmp/weir-demo-XXXXXX)
ended() {
    local code=$?
    trap - EXIT INT TERM
    # shellcheck disable=SC2046 # numbers
    kill $(jobs -p) 2>/dev/null || true
    wait 2>/dev/null || true
    [ -n "$KEEP" ] && [ "$code" = 0 ] || lab down
    rm -rf "$WORK"
    exit "$code"
}
trap ended EXIT
trap 'exit 130' INT TERM

# Waits up to 20 s for a command to succeed.
eventually() {
    local end=$((${EPOCHREALTIME/[.,]/} + 20000000))
    until "$@" >/dev/null 2>&1; do
        [ "${EPOCHREALTIME/[.,]/}" -lt "$end" ] || return 1
        read -rt 0.05 <> <(:) || true
    done
}

# get WORKLOAD URL [CURL ARGUMENT...]
get() {
    local workload=$1 url=$2
    shift 2
    lab exec "$workload" -- curl -sS -f --max-time 10 "$@" "$url"
}
show() { # WORKLOAD URL: what a person would type, and what comes back, also in $WORK/shown
    note "    $1\$ curl $2"
    get "$1" "$2" >"$WORK/shown" 2>&1 && sed 's/^/    /' "$WORK/shown" && return
    sed 's/^/    /' "$WORK/shown"
    return 1
}
refused() { ! show "$@"; }

declare -A seen_size=()
mark() { for node in node-a node-b; do seen_size[$node]=$(stat -c %s "$RUN/logs/$node.log"); done; }
# line NODE TEXT...: the first access log line since the mark with all of these texts.
line() {
    local node=$1 lines text
    shift
    lines=$(tail -c "+$((${seen_size[$node]:-0} + 1))" "$RUN/logs/$node.log" | grep ' access: ') || return 1
    for text in "$@"; do lines=$(grep -F -- "$text" <<<"$lines") || return 1; done
    sed -n 1p <<<"$lines" >"$WORK/line"
}
# A line's fields, one to a row, those that matter here.
show_line() {
    sed 's/^[^ ]* [a-z]* access: //' "$WORK/line" |
        grep -oE '(src\.identity|dst\.identity|src\.workload|dst\.workload|dst\.addr|dst\.hbone_addr|direction|policy|ending|status)=("[^"]*"|[^ ]*)' |
        sed 's/^/      /'
}
value() { grep -oE "(^| )$1=(\"[^\"]*\"|[^ ]*)" "$WORK/line" | sed 's/^ *[^=]*=//; s/"//g'; }

metrics() { lab exec "$1" -- curl -sS -f --max-time 10 'http://[::1]:15020/metrics' | grep -v '^#' | sort; }

# ---- the story ----------------------------------------------------------------------------------

prepare() {
    if [ -z "${WEIR_BUILD-}" ]; then
        title "Setting up"
        tests/setup.sh
        note "building (release) ..."
        { cmake --preset release && cmake --build --preset release; } >"$WORK/build.log" 2>&1 || {
            tail -n 40 "$WORK/build.log"
            note "demo: Weir does not build; the end of the build's output is above."
            exit 1
        }
        export WEIR_BUILD=$ROOT/build/release
    fi
    "$WEIR_BUILD/weir-nodeproxy" --version
}

begin() {
    title "A mesh of two nodes"
    lab up
    note "Each node and each pod is a network namespace. The namespace shop is enrolled, legacy is not:"
    lab ps | sed -n '/^NAMESPACE/,$p' | indent
}

identities() {
    local node name
    title "Identities: each workload has its own SPIFFE ID and certificate"
    for node in node-a node-b; do
        note "    $node\$ weirctl certificates"
        lab ctl "$node" certificates >"$WORK/certificates"
        grep -E '^CERTIFICATE NAME| Leaf ' "$WORK/certificates" | indent
        for name in web:node-a rogue:node-a cart:node-a cart:node-b orders:node-b; do
            [ "${name#*:}" = "$node" ] || continue
            holds "$node holds a valid certificate of spiffe://cluster.local/ns/shop/sa/${name%:*}" \
                grep -qE "/ns/shop/sa/${name%:*} +Leaf +Available +true" "$WORK/certificates"
        done
    done
    holds "no certificate was made for batch, which is not in the mesh" \
        eval '! grep -q /ns/legacy/ "$RUN"/logs/ca.log'
}

allowed() {
    local cart_b
    title "web may call cart"
    mark
    holds "web reaches cart" show web http://cart/whoami
    cart_b=$(awk '$2 ~ /^cart-/ && $4 == "node-b" { print $5 }' "$RUN/plan/pods")
    holds "web reaches the replica on the other node" show web "http://$cart_b:8080/whoami"
    holds "cart sees web's own address" grep -qF "\"$(awk '$2 ~ /^web-/ { print $5 }' "$RUN/plan/pods"):" "$WORK/shown"
    holds "node-b has it in its access log, with both identities" eventually line node-b direction=inbound \
        src.identity=spiffe://cluster.local/ns/shop/sa/web dst.identity=spiffe://cluster.local/ns/shop/sa/cart
    show_line
    holds "by the policy cart-only-from-web" [ "$(value policy)" = shop/cart-only-from-web ]
}

# The log names it, or says that no ALLOW policy matched: then the workload says which ones select it.
names_policy() {
    grep -q 'policy=.*shop/cart-only-from-web' "$WORK/line" && return
    grep -q 'no ALLOW policy matched' "$WORK/line" || return 1
    lab ctl node-a workloads -o json | /usr/bin/python3 -c '
import json, sys
policies = {tuple(w["policies"]) for w in json.load(sys.stdin)["workloads"] if w["workloadName"] == "cart"}
print("      policies that select cart (weirctl workloads):", *policies.pop())
sys.exit(policies != set())' >"$WORK/policies"
    cat "$WORK/policies"
    grep -q 'shop/cart-only-from-web$' "$WORK/policies"
}

denied() {
    title "rogue may not"
    note "    policy.yaml: $(grep '^#' docs/examples/shop/policy.yaml | sed 's/^# //')"
    mark
    holds "rogue is refused" refused rogue http://cart/whoami
    denied_line() { line node-a src.workload=rogue direction=inbound || line node-b src.workload=rogue direction=inbound; }
    holds "the access log has it" eventually denied_line
    show_line
    holds "refused by policy" [ "$(value ending)" = "denied by policy" ]
    holds "the policy that selects cart and does not allow it: shop/cart-only-from-web" names_policy
    holds "rogue may call orders, which no policy selects" show rogue http://orders/whoami
}

plaintext() {
    title "batch is not in the mesh: plaintext, until STRICT"
    mark
    holds "batch reaches orders" show batch http://orders.shop/whoami
    holds "in plaintext: orders' proxy knows no identity of it" eval \
        'eventually line node-b src.workload=batch direction=inbound && [ -z "$(value src.identity)" ]'
    show_line
    note "    adding to the running mesh:"
    grep -v '^#' docs/examples/strict/peer-authentication.yaml | indent
    lab apply docs/examples/strict/peer-authentication.yaml
    strict() { ! get batch http://orders.shop/whoami; }
    holds "under STRICT batch is refused" eventually strict
    holds "refused" refused batch http://orders.shop/whoami
    holds "the log says why" eventually line node-b src.workload=batch direction=inbound 'ending="denied by policy"'
    show_line
    holds "web, with an identity, is not" show web http://orders/whoami
    lab delete peer-authentication.yaml
    holds "without the PeerAuthentication batch reaches orders again" eventually get batch http://orders.shop/whoami
}

wire() {
    local orders
    title "On the wire between the nodes"
    orders=$(awk '$2 ~ /^orders-/ { print $5 }' "$RUN/plan/pods")
    lab exec node-a -- tcpdump -i eth0 -U --immediate-mode -w "$WORK/wire" 'ip or ip6' 2>"$WORK/tcpdump" &
    eventually grep -q 'listening on' "$WORK/tcpdump"
    get web "http://$orders:8080/echo" --data-binary 'the-secret-of-web' >"$WORK/shown"
    holds "web sends 'the-secret-of-web' to orders on the other node, and orders returns it" grep -q the-secret-of-web "$WORK/shown"
    get batch "http://$orders:8080/echo" --data-binary 'the-open-word-of-batch' >/dev/null
    holds "the capture has what batch sent in plaintext ('the-open-word-of-batch')" eventually grep -q the-open-word-of-batch "$WORK/wire"
    holds "and nowhere what web sent" eval '! grep -q the-secret-of-web "$WORK/wire"'
    kill %% && wait 2>/dev/null || true
    note "    $(tcpdump -r "$WORK/wire" -nn 'tcp port 15008' 2>/dev/null | wc -l) packets of tunnels were captured; one of them:"
    tcpdump -r "$WORK/wire" -nn -X 'tcp port 15008 and greater 200' -c 1 2>/dev/null | head -n 6 | indent
}

load() {
    local cart_b
    title "Load: wrk, 64 connections for 10 s, from web to cart through the tunnel"
    cart_b=$(awk '$2 ~ /^cart-/ && $4 == "node-b" { print $5 }' "$RUN/plan/pods")
    lab exec web -- wrk -t1 -c64 -d10s --latency "http://$cart_b:8080/" >"$WORK/wrk"
    indent <"$WORK/wrk"
    holds "no errors" eval '! grep -qE "Socket errors|Non-2xx" "$WORK/wrk"'
    holds "more than a thousand requests a second" eval '[ "$(awk "/^Requests.sec/ { print int(\$2) }" "$WORK/wrk")" -gt 1000 ]'
}

# What of the metrics grew, one line a series, with the labels that tell series apart.
changes() {
    join -t "$(printf '\t')" -a 2 -e 0 -o 0,1.2,2.2 <(sed 's/ \([^ ]*\)$/\t\1/' "$1") <(sed 's/ \([^ ]*\)$/\t\1/' "$2") |
        awk -F '\t' '$2 != $3' | grep -E '^(istio_tcp|istio_requests_total|weir_(tunnel|peer|connections_ended))' |
        sed -E -e 's/\{.*reporter="([^"]*)".*source_workload="([^"]*)".*destination_workload="([^"]*)".*destination_service_name="([^"]*)".*connection_security_policy="([^"]*)".*\}/ \1 \2->\3 \5, service \4/' \
            -e 's/, service unknown//' |
        awk -F '\t' '{ printf "%-80s %8.0f -> %.0f\n", $1, $2, $3 }'
}

metrics_changed() {
    local node
    title "Metrics: what has changed since the mesh came up"
    for node in node-a node-b; do
        metrics "$node" >"$WORK/$node.after"
        note "    $node\$ curl localhost:15020/metrics"
        changes "$WORK/$node.before" "$WORK/$node.after" >"$WORK/$node.changes"
        indent <"$WORK/$node.changes"
    done
    holds "the source's node counts connections of web to cart, mutual TLS" grep -q 'opened_total source web->cart mutual_tls' "$WORK/node-a.changes"
    holds "the destination's node counts their requests" grep -q 'requests_total destination web->cart mutual_tls' "$WORK/node-b.changes"
    holds "refusals are counted" grep -q 'denied by policy' "$WORK/node-b.changes"
}

finish() {
    title "$checked claims checked, $failures failed"
    [ "$failures" = 0 ] || exit 1
    [ -n "$KEEP" ] || return 0
    cat <<END
The mesh is still running. Look around:
    tests/lab.sh ps
    tests/lab.sh exec web -- curl http://cart/whoami
    tests/lab.sh ctl node-a workloads      (services, policies, certificates, connections)
    tests/lab.sh logs node-a
    tests/lab.sh apply FILE.yaml
    tests/lab.sh down                      when you are done
END
}

[ "$(id -u)" = 0 ] || {
    echo "demo: network namespaces need root: run this as root." >&2
    exit 1
}
prepare
if [ "$STORY" = vm ]; then
    . tests/demo_vm.sh
    exit
fi
begin
for node in node-a node-b; do metrics "$node" >"$WORK/$node.before"; done
identities
allowed
denied
plaintext
wire
load
metrics_changed
finish
