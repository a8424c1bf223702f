#!/usr/bin/env bash
# timeout: 300
# Bounds: a crowd of connections, some that never send and some that never shake hands, a reader that stops, limits that are reached, and a
# process without descriptors. WEIR_CROWD=9000 and WEIR_SILENT=4000 are the numbers for a quiet machine.
#
#   node-a: web, rogue, cart (1)  [legacy: batch]      node-b: cart (2), orders
. "$(dirname "$0")/lib.sh"
CROWD=${WEIR_CROWD:-1500} SILENT=${WEIR_SILENT:-1000}
ulimit -n "$(ulimit -Hn)"
lab_up --set-proxy-args "--http-idle-timeout 1s --handshakes-max 600 --access-log-rate-max 5000"

# crowd NAME WORKLOAD NUMBER ADDRESS PORT talk|silent: it lives until it is told to go.
crowd() {
    mkfifo "$WORK/$1.in"
    lab exec "$2" -- /usr/bin/python3 "$ROOT/tests/netns/crowd.py" "$4" "$5" "$3" "$6" <"$WORK/$1.in" >"$WORK/$1" 2>&1 &
    exec {crowd_fd}>"$WORK/$1.in"
    DEADLINE_S=100 eventually grep -q '^open ' "$WORK/$1"
}
leave() { exec {crowd_fd}>&-; }
opened() { awk '$1 == "open" { print $2 }' "$WORK/$1"; }
proxies() { # NODE: the processes of its node proxy
    local pid
    read -r pid _ <"$RUN/pids/$1"
    echo "$pid $(pgrep -P "$pid" | tr '\n' ' ')"
}
memory_kib() {
    local pid sum=0
    for pid in $(proxies "$1"); do sum=$((sum + $(awk '$1 == "Pss:" { print $2 }' "/proc/$pid/smaps_rollup"))); done
    echo "$sum"
}
no_connections() { [ "$(metric node-a weir_connections_outbound)" = 0 ] && [ "$(metric node-b weir_connections_inbound)" = 0 ]; }

step "$CROWD connections at once through two nodes"
crowd many web "$CROWD" "$(pod_v4 orders)" 8080 talk
same "$(opened many)" "$CROWD" "the number of open connections"
[ "$(metric node-b weir_connections_inbound)" -ge "$CROWD" ] || fail "node-b counts $(metric node-b weir_connections_inbound)"
[ "$(metric node-a weir_limit_highest 'limit="outbound_connections"' 'scope="node"')" -ge "$CROWD" ] || fail "the limits do not count them"
printf '  memory with them: node-a %s KiB, node-b %s KiB\n' "$(memory_kib node-a)" "$(memory_kib node-b)"
must get rogue http://orders/whoami
leave
eventually no_connections

step "$SILENT connections that never send"
crowd quiet web "$SILENT" "$(pod_v4 orders)" 8080 silent
same "$(opened quiet)" "$SILENT" "the number of open connections"
must get rogue http://orders/whoami
leave
eventually no_connections

step "$SILENT that never shake hands: 600 may, the others are refused, and it is said"
mark
crowd mute batch "$SILENT" "$(pod_v4 orders)" 15008 silent
reached() { [ "$(metric node-b weir_limit_reached_total 'limit="handshakes"' 'scope="pod"')" -ge $((SILENT - 600)) ]; }
[ "$SILENT" -le 700 ] || eventually reached
[ "$(metric node-b weir_limit_highest 'limit="handshakes"' 'scope="pod"')" = 600 ] || fail "more handshakes than allowed"
logged node-b 'limits: handshakes of shop/orders'
logged node-b 'ending="limit reached"'
[ "$(since_mark node-b | grep -c 'limits: ')" -le 60 ] || fail "more than a line a second"
lab ctl node-b dump >"$WORK/dump" 2>&1 || lab exec node-b -- curl -sS http://127.0.0.1:15000/config_dump >"$WORK/dump"
must grep -q '"limit":"handshakes"' "$WORK/dump"
must get web "http://$(pod_v4 "$(replica node-b)"):8080/whoami" # a neighbour of orders
leave
nobody_shakes_hands() { [ "$(metric node-b weir_limit_current 'limit="handshakes"')" = 0 ]; }
eventually nobody_shakes_hands

step "a reader that stops: memory stays flat"
before=$(memory_kib node-a)/$(memory_kib node-b)
mkfifo "$WORK/reader.in"
(exec "$ROOT/tests/lab.sh" exec web -- /usr/bin/python3 -c "
import socket, sys
c = socket.create_connection(('$(pod_v4 orders)', 8080), timeout=$DEADLINE_S)
c.sendall(b'GET /big?bytes=4294967296 HTTP/1.1\r\nHost: orders\r\n\r\n')
n = 0
while n < 3000000:
    n += len(c.recv(65536))
print('stopped', flush=True)
sys.stdin.read()") <>"$WORK/reader.in" >"$WORK/reader" 2>&1 &
reader=$!
eventually grep -q stopped "$WORK/reader"
received() { metric node-a istio_tcp_sent_bytes_total 'reporter="source"' 'destination_workload="orders"'; } # by its address: bytes
last=-1
stands_still() { # all windows are full
    local now
    now=$(received) || return
    [ "$now" = "$last" ] && return
    last=$now
    return 1
}
eventually stands_still
printf '  memory in KiB, node-a/node-b: before %s, with it %s/%s\n' "$before" "$(memory_kib node-a)" "$(memory_kib node-b)"
room=12000 # of 4 GiB; a sanitizer keeps what was freed for a while
! has_sanitizer || room=300000
[ $(($(memory_kib node-a) - ${before%/*})) -lt $room ] && [ $(($(memory_kib node-b) - ${before#*/})) -lt $room ] || fail "memory grows with what is not read"
buffered=$(metric node-a weir_limit_current 'limit="buffered_bytes"')
{ [ "$buffered" -gt 0 ] && [ "$buffered" -lt 4000000 ]; } || fail "more is buffered than a stream may"
must get rogue http://orders/whoami
end_job "$reader"

step "no descriptors left: new connections wait, and the processor has nothing to do"
pids=$(proxies node-b)
# A limit below which 12 numbers are free.
descriptors() { find "/proc/$1/fd" -mindepth 1 -printf '%f\n' | awk '{ used[$1] = 1 } END { for (n = 0; free < 12; n++) free += !(n in used); print n }'; }
for pid in $pids; do prlimit --pid "$pid" --nofile="$(descriptors "$pid"):20000"; done
cpu_ms() {
    local pid sum=0
    for pid in $pids; do sum=$((sum + $(awk '{ sub(/.*\) /, ""); print ($12 + $13) * 10 }' "/proc/$pid/stat"))); done
    echo $sum
}
mkfifo "$WORK/starved.in"
lab exec batch -- /usr/bin/python3 "$ROOT/tests/netns/crowd.py" "$(pod_v4 orders)" 8080 600 talk <>"$WORK/starved.in" >"$WORK/starved" 2>&1 &
pause 1 # no event tells that nothing happens
began=$(cpu_ms)
pause 2
spent=$(($(cpu_ms) - began))
printf '  processor time in 2 s without descriptors: %s ms\n' "$spent"
must_not grep -x "open 600" "$WORK/starved" # it was about descriptors
[ "$spent" -lt 1000 ] || fail "the node proxy spins"
for pid in $pids; do prlimit --pid "$pid" --nofile=20000:20000; done
must get web http://orders/whoami
must get batch "http://$(pod_v4 orders):8080/whoami" # as those that wait: in plaintext, by a new descriptor
eventually grep -q '^open ' "$WORK/starved" # those that wait have been served, or ended meanwhile
printf '  of 600 that came then: %s\n' "$(tr '\n' ' ' <"$WORK/starved")"
[ "$(awk '$1 == "open" { print $2 }' "$WORK/starved")" -ge 300 ] || fail "most of them did not wait"
