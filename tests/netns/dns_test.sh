#!/usr/bin/env bash
# timeout: 240
# builds: dev
# A pod's names: those of the mesh from the node proxy, all others from the resolver that the pod asks, which is a real one.
#
#   node-a: web, rogue, cart (1)   [legacy: batch]        node-b: cart (2), orders, and the cluster's resolver (dnsmasq)
. "$(dirname "$0")/lib.sh"
lab_up --set-proxy-args "--dns-rate-max 1000"

V4=$(node_v4 node-b)
V6=$(node_v6 node-b)
WEB=/etc/netns/$(pod_netns web)

# In the foreground of a job, so that it ends with the test; what it is asked goes to its log.
resolver_start() {
    nsenter --net="/run/netns/$WEIR_LAB_NAME-node-b" dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts \
        --pid-file= --user=root --bind-interfaces --listen-address="$V4,$V6" --local-ttl=60 --log-queries --log-facility=- \
        --local=/cluster.local/ --local=/test/ --local=/arpa/ --host-record=www.test,192.0.2.7,2001:db8::7 \
        --srv-host=_http._tcp.orders.shop.svc.cluster.local,orders.shop.svc.cluster.local,80 \
        --cname=outside.shop.svc.cluster.local,www.test --txt-record=words.test,"some words" --ptr-record=7.2.0.192.in-addr.arpa,www.test \
        --conf-file="$WORK/many" >"$WORK/dnsmasq.log" 2>&1 &
    RESOLVER=$!
    eventually resolver_answers
}
resolver_answers() { nsenter --net="/run/netns/$WEIR_LAB_NAME-node-b" dig +short +time=1 +tries=1 @"$V4" www.test A | grep -q 192.0.2.7; }
for i in $(seq 200); do echo "host-record=many.test,192.0.2.$i"; done >"$WORK/many"
resolver_start

# As kubelet writes it.
printf '127.0.0.1 localhost\n' >"$WEB/hosts"
printf 'search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver %s\noptions ndots:5\n' "$V4" >"$WEB/resolv.conf"

# ask NAME [TYPE] [OPTION...]: rows of the answer; "NXDOMAIN" or another status that is none.
ask_from() {
    local workload=$1
    shift
    lab exec "$workload" -- dig +noall +answer +comments +stats +time=10 +tries=1 "@${AT:-$V4}" "$@" >"$WORK/dig" || return 1
    ! grep -E 'unexpected source|mismatch|Warning:' "$WORK/dig" || return 1
    sed -n 's/.*status: \([A-Z]*\),.*/\1/p' "$WORK/dig" | grep -v NOERROR || true
    grep -v '^;' "$WORK/dig" | awk 'NF { $3 = ""; print }' | tr -s ' ' | sort
}
ask() { ask_from web "$@"; }
is() {
    local wanted=$1
    shift
    same "$(ask "$@" | tr '\n' '|')" "$wanted" "the answer to $*"
}
# What dig says that the last answer took: programs that are slow to start are not in it.
took_ms() { awk '/^;; Query time:/ { print $4 }' "$WORK/dig"; }

serves() { ask orders.shop.svc.cluster.local A | grep -q 10.96.0; }
eventually serves
orders4=$(awk '$2 == "orders.shop.svc.cluster.local" && !/:/ { print $1 }' "$RUN/plan/hosts/$(pod_netns web)")
orders6=$(awk '$2 == "orders.shop.svc.cluster.local" && /:/ { print $1 }' "$RUN/plan/hosts/$(pod_netns web)")
name=orders.shop.svc.cluster.local.

step "names of the mesh, in both families, whoever is asked, over UDP and TCP"
for AT in "$V4" "$V6" 192.0.2.53 2001:db8::53; do
    for how in +notcp +tcp; do
        is "$name 5 A $orders4|" $name A $how
        is "$name 5 AAAA $orders6|" $name AAAA $how
    done
done
unset AT
is "oRdErS.shop.svc.cluster.local. 5 A $orders4|" oRdErS.shop.svc.cluster.local A
is "" $name TXT
grep -q 'status: NOERROR' "$WORK/dig" || fail "a name that exists is denied"
must_not grep -q 'query\[A.*orders' "$WORK/dnsmasq.log"

step "as applications ask: search domains, getent, curl"
for short in orders orders.shop orders.shop.svc orders.shop.svc.cluster.local; do
    must lab exec web -- getent ahosts "$short"
    said "$orders4"
    said "$orders6"
    [ "$(get web "http://$short/whoami" | field pod)" = "$(pod_field orders 2)" ] || fail "$short is somebody else"
done
is "batch.legacy.shop.svc.cluster.local. 5 CNAME batch.legacy.svc.cluster.local.|batch.legacy.svc.cluster.local. 5 A 10.96.0.20|" \
    batch.legacy.shop.svc.cluster.local A
must_not grep -q 'query\[A' <(grep -v www.test "$WORK/dnsmasq.log")

step "a headless service: its endpoints"
cat >"$WORK/headless.yaml" <<'END'
apiVersion: v1
kind: Service
metadata: {name: carts, namespace: shop}
spec:
  selector: {app: cart}
  clusterIP: None
  clusterIPs: [None]
  ports: [{name: http, port: 8080}]
END
lab apply "$WORK/headless.yaml"
carts() { ask carts.shop.svc.cluster.local "$1" | awk '{ print $4 }' | tr '\n' ' '; }
both_carts() { [ "$(carts "$1")" = "$2" ]; }
sorted() { printf '%s\n' "$@" | sort | tr '\n' ' '; }
eventually both_carts A "$(sorted "$(pod_v4 "$(replica node-a)")" "$(pod_v4 "$(replica node-b)")")"
eventually both_carts AAAA "$(sorted "$(pod_v6 "$(replica node-a)")" "$(pod_v6 "$(replica node-b)")")"

step "a host of a ServiceEntry: an address of its own, and its endpoints there; one that nobody resolves is the resolver's"
cat >"$WORK/entry.yaml" <<END
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ledger, namespace: shop}
spec:
  hosts: [ledger.example]
  resolution: STATIC
  ports: [{number: 81, name: http, protocol: HTTP, targetPort: 8080}]
  endpoints: [{address: $(pod_v4 batch)}, {address: $(pod_v4 orders)}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: www, namespace: shop}
spec: {hosts: [www.test], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}
END
lab apply "$WORK/entry.yaml"
ledger() { ask ledger.example A | grep -q '^ledger.example. 5 A 240\.2[45]'; }
eventually ledger
must lab exec web -- sh -c 'for i in $(seq 20); do curl -sS --max-time "$0" http://ledger.example:81/whoami || exit; done' "$DEADLINE_S"
same "$(grep -o '"pod": *"[^"]*"' "$WORK/out" | sort -u | grep -c '"batch\|"orders')" 2 "the endpoints that answered"
is "www.test. 60 A 192.0.2.7|" www.test A

step "all else is the resolver's: it sees the pod, and the pod sees it"
is "www.test. 60 A 192.0.2.7|" www.test A
is "www.test. 60 AAAA 2001:db8::7|" www.test AAAA
is "_http._tcp.$name 60 SRV 0 0 80 $name|" "_http._tcp.$name" SRV
is "outside.shop.svc.cluster.local. 60 CNAME www.test.|www.test. 60 A 192.0.2.7|" outside.shop.svc.cluster.local A
is 'words.test. 60 TXT "some words"|' words.test TXT
is "7.2.0.192.in-addr.arpa. 60 PTR www.test.|" -x 192.0.2.7
is "NXDOMAIN|" none.shop.svc.cluster.local A
is "www.test. 60 A 192.0.2.7|" www.test A +tcp
AT=$V6 is "www.test. 60 A 192.0.2.7|" www.test A
must grep -q "query\[TXT\] words.test from $(pod_v4 web)" "$WORK/dnsmasq.log"
must grep -q "query\[A\] www.test from $(pod_v6 web)" "$WORK/dnsmasq.log"

step "big answers: cut over UDP, whole over TCP"
ask many.test A +ignore +bufsize=512 >"$WORK/cut"
grep -q 'flags:.* tc' "$WORK/dig" || fail "that was not cut: $(cat "$WORK/dig")"
same "$(ask many.test A | wc -l)" 200 "addresses over TCP"

step "nobody else gets there: from a pod, from a node, from the pod's own addresses"
must_not lab exec batch -- dig +time=1 +tries=1 -p 15053 "@$(pod_v4 web)" "$name" A
must_not lab exec cart -- dig +time=1 +tries=1 -p 15053 "@$(pod_v6 web)" "$name" A
must_not nsenter --net="/run/netns/$WEIR_LAB_NAME-node-a" dig +time=1 +tries=1 -p 15053 "@$(pod_v4 web)" "$name" A
must_not lab exec web -- dig +time=1 +tries=1 -p 15053 @127.0.0.1 "$name" A
is "www.test. 60 A 192.0.2.7|" www.test A

step "a resolver that is not there, and one that is silent"
kill $RESOLVER
wait $RESOLVER 2>/dev/null || true
for how in +notcp +tcp; do
    is "SERVFAIL|" www.test A $how
    [ "$(took_ms)" -lt 1000 ] || fail "that took longer than a second"
done
nsenter --net="/run/netns/$WEIR_LAB_NAME-node-b" nft "table inet silent { chain c { type filter hook input priority 0; udp dport 53 drop; tcp dport 53 drop; }; }"
is "SERVFAIL|" www.test A
[ "$(took_ms)" -gt 3500 ] && [ "$(took_ms)" -lt 4900 ] || fail "a silent resolver took $(took_ms) ms"
is "$name 5 A $orders4|" $name A
nsenter --net="/run/netns/$WEIR_LAB_NAME-node-b" nft delete table inet silent

step "a pod that floods: bounded, and others do not wait for it"
nsenter --net="/run/netns/$(pod_netns rogue)" /usr/bin/python3 - "$V4" <<'END' &
import os, socket, sys, time
s = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(50)]
until = time.monotonic() + 2
n = 0
while time.monotonic() < until:
    for one in s:
        one.sendto(os.urandom(2) + b"\1\0\0\1\0\0\0\0\0\0" + b"\4www%d\4test\0" % (n % 10) + b"\0\1\0\1", (sys.argv[1], 53))
        n += 1
END
flood=$!
slowest=0
while kill -0 $flood 2>/dev/null; do
    is "$name 5 A $orders4|" $name A
    took=$(took_ms)
    [ "$took" -lt "$slowest" ] || slowest=$took
done
wait $flood
echo "  the slowest answer meanwhile: $slowest ms"
[ "$slowest" -lt 2000 ] || fail "others waited for $slowest ms"
reached=$(metric node-a weir_limit_reached_total dns_queries) || true
[ "${reached:-0}" -gt 0 ] || fail "no limit was reached"

step "a crash of the data process, and another node proxy, while it is asked: each query has an answer"
# As a cluster's resolver knows: it is asked until the new process knows the mesh.
echo "host-record=${name%.},$orders4" >>"$WORK/many"
resolver_start
asking() {
    while [ ! -e "$WORK/stop" ]; do
        for one in "$name $orders4" "www.test 192.0.2.7"; do
            read -r host wanted <<<"$one"
            [ "$(lab exec web -- dig +short +time=3 +tries=3 "@$V4" "$host" A)" = "$wanted" ] || echo "bad $host"
            echo "asked"
        done
    done
}
asking >"$WORK/asked" &
ASKING=$!
asked() { [ "$(grep -c asked "$WORK/asked")" -ge "$1" ]; }
eventually asked 6
data=$(pgrep -P "$(program_pid node-a)" weir-data)
kill -KILL "$data"
eventually asked $(($(grep -c asked "$WORK/asked") + 10))
must lab replace node-a
eventually asked $(($(grep -c asked "$WORK/asked") + 10))
touch "$WORK/stop"
wait $ASKING
must_not grep bad "$WORK/asked"
is "$name 5 A $orders4|" $name A +tcp

step "it is counted"
same "$(metric node-a istio_dns_requests_total 'request_query_type="a"' 'request_protocol="tcp"')" 1 "queries over TCP of the new node proxy"
for what in istio_dns_upstream_requests_total istio_dns_upstream_request_duration_seconds_count; do
    [ "$(metric node-a $what 'request_query_type="a"' 'source_canonical_service="web"')" -gt 0 ] || fail "$what is not counted"
done

step "switched off: queries pass as they are"
must lab replace node-a --dns-capture off
is "NXDOMAIN|" cart.shop.svc.cluster.local A
is "www.test. 60 A 192.0.2.7|" www.test A
must_not nsenter --net="/run/netns/$(pod_netns web)" nft list chain inet weir output_dns
echo "all of it holds"
