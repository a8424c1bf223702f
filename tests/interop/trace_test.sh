#!/usr/bin/env bash
# timeout: 120
# builds: dev
# Requests as they are seen from outside: traces at a collector of another make (grpcio), a span of the client's node and one of the
# destination's, each below the one before; and the access log as Istio writes it.
#
#   control: trace_collector.py <--- OTLP over gRPC --- node-a (web)  node-b (orders, with a server that answers the request's fields)
. "$(dirname "$0")/../netns/lib.sh"
HERE=$ROOT/tests/interop COLLECTOR=192.168.50.2:4317
/usr/bin/python3 "$HERE/trace_collector.py" --check || { echo "skipped: no grpcio"; exit 0; }
lab_up --set-proxy-args "--http on --http-log istio --trace-collector http://$COLLECTOR --trace-sampling 100"

collect() {
    : >"$WORK/spans"
    lab exec control -- /usr/bin/python3 "$HERE/trace_collector.py" "$COLLECTOR" >"$WORK/spans" 2>"$WORK/collector.log" &
    eventually grep -q "^{\"pid\"" "$WORK/spans"
}
from_web() { lab exec web -- curl -sS --max-time "$DEADLINE_S" "$@"; }
# span KEY OF TRACE KIND: of the one span of this kind in the trace.
span() {
    /usr/bin/python3 - "$WORK/spans" "$@" <<'PY'
import json, sys
file, key, trace, kind = sys.argv[1:]
found = [s for s in map(json.loads, open(file, encoding="utf-8")) if s.get("trace") == trace and s["kind"] == kind]
assert len(found) == 1, f"{len(found)} spans"
value = found[0]
for part in key.split("/"):
    value = value[part]
print(value)
PY
}
has_both() { span span "$1" client && span span "$1" server; }

step "a Service whose server answers with the fields of the request"
cat >"$WORK/fields.py" <<'PY'
import http.server
class Fields(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = "".join(f"{k.lower()}={v}\n" for k, v in self.headers.items()).encode()
        self.send_response(int(self.path.rsplit("/", 1)[1].split("?")[0]))
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("0.0.0.0", 8090), Fields).serve_forever()
PY
lab exec orders -- /usr/bin/python3 "$WORK/fields.py" >"$WORK/fields.log" 2>&1 &
cat >"$WORK/fields.yaml" <<'END_'
apiVersion: v1
kind: Service
metadata: {name: fields, namespace: shop}
spec:
  selector: {app: orders}
  clusterIP: 10.96.0.98
  clusterIPs: [10.96.0.98]
  ports: [{name: http, port: 80, targetPort: 8090}]
END_
lab apply "$WORK/fields.yaml"
eventually knows node-a fields
U=http://10.96.0.98
answers() { [ "$(from_web -o /dev/null -w '%{http_code}' "$U/200")" = 200 ]; }
eventually answers
collect

step "a trace of the application goes on: client's span, server's span, the server's own"
T=0af7651916cd43dd8448eb211c80319c A=b7ad6b7169203331
must from_web -H "traceparent: 00-$T-$A-01" -H "tracestate: vendor=1" -H "x-request-id: r-1" -A agent/1 "$U/200?q=1"
cp "$WORK/out" "$WORK/fields"
eventually has_both $T
same "$(span parent $T client)" $A "the parent of the client's span"
same "$(span parent $T server)" "$(span span $T client)" "the parent of the server's span"
grep -qx "traceparent=00-$T-$(span span $T server)-01" "$WORK/fields" || fail "the server was told: $(cat "$WORK/fields")"
grep -qx "tracestate=vendor=1" "$WORK/fields" || fail "tracestate is lost"
grep -qx "x-request-id=r-1" "$WORK/fields" || fail "x-request-id is lost"
same "$(span resource/service.name $T client) $(span resource/service.name $T server)" "web.shop orders.shop" "the services"
same "$(span name $T client)" "10.96.0.98/*" "the span's name"
same "$(span attributes/http.url $T server)" "$U/200?q=1" "http.url"
same "$(span attributes/http.status_code $T client) $(span attributes/response_flags $T client)" "200 -" "the answer"
same "$(span attributes/guid:x-request-id $T client) $(span attributes/user_agent $T client)" "r-1 agent/1" "the request"
same "$(span attributes/istio.canonical_service $T client) $(span attributes/istio.namespace $T client)" "web shop" "whose it is"
same "$(span attributes/upstream_cluster $T client)" "outbound|80||fields.shop.svc.cluster.local" "the cluster"
same "$(span error $T client)" False "the failure"
[ "$(span start $T client)" -le "$(span start $T server)" ] || fail "the server's span began before the client's"

step "an answer 500 is an error; B3 in one field goes on in it; what was left out is left out"
T=80f198ee56343ba864fe8b2a57d3eff7 LEFT=00f198ee56343ba864fe8b2a57d3eff0
must from_web -H "traceparent: 00-$LEFT-$A-00" "$U/200"
said "traceparent=00-$LEFT-$A-00"
must from_web -H "b3: $T-$A-1" "$U/500"
cp "$WORK/out" "$WORK/fields"
eventually has_both $T
same "$(span error $T client) $(span error $T server)" "True True" "the failures"
grep -qx "b3=$T-$(span span $T server)-1-$(span span $T client)" "$WORK/fields" || fail "the server was told: $(cat "$WORK/fields")"
must_not grep -q "$LEFT" "$WORK/spans"

step "a request without a trace begins one, and gets an id"
must from_web "$U/200"
T=$(sed -n 's/^traceparent=00-\([0-9a-f]*\)-[0-9a-f]*-01$/\1/p' "$WORK/out")
ID=$(sed -n 's/^x-request-id=//p' "$WORK/out")
eventually has_both "$T"
same "$(span parent "$T" client)" "" "the parent of the first span"
same "$(span attributes/guid:x-request-id "$T" server)" "$ID" "the request's id"

step "the access log, as Istio writes it"
mark
must from_web -A agent/2 -H "x-request-id: r-2" "$U/200/200?a=\"b"
TIME='\[20[0-9-]*T[0-9:.]*Z\]' ADDRESS='[0-9.]*:[0-9]*' ORDERS=$(pod_v4 orders)
line_a="^$TIME \"GET /200/200\\?a=.{1,4}b HTTP/1.1\" 200 - via_upstream - \"-\" 0 [0-9]+ [0-9]+ [0-9]+ \"-\" \"agent/2\" \"r-2\" \"10.96.0.98\" \
\"$ORDERS:8090\" outbound\\|80\\|\\|fields.shop.svc.cluster.local - 10.96.0.98:80 $ADDRESS - default$"
line_b="^$TIME \"GET /200/200.* \"$ORDERS:8090\" inbound\\|8090\\|\\| - $ORDERS:8090 $ADDRESS - default$"
has_a() { since_mark node-a | grep -qE "$line_a"; }
has_b() { since_mark node-b | grep -qE "$line_b"; }
eventually has_a
eventually has_b
same "$(lab exec rogue -- curl -sS --max-time "$DEADLINE_S" -o /dev/null -w '%{http_code}' http://cart/whoami)" 403 "the status"
logged node-a '"GET /whoami HTTP/1.1" 403 - ' '"cart"'

step "without a collector requests go on, and their spans wait for it"
PID=$(head -1 "$WORK/spans" | field pid)
kill "$PID"
eventually is_gone "$PID"
T=11f198ee56343ba864fe8b2a57d3eff1
must from_web -H "traceparent: 00-$T-$A-01" "$U/200"
logged node-a "spans can't be given to the collector"
collect
eventually has_both $T

step "numbers: requests are counted, and not the bytes of their connections"
[ "$(metric node-a weir_trace_spans_exported_total)" -ge 4 ] || fail "no spans were counted"
same "$(metric node-a istio_tcp_connections_opened_total 'source_workload="web"')" 0 "TCP connections of web"
[ "$(metric node-a istio_requests_total 'reporter="source"' 'source_workload="web"')" -ge 5 ] || fail "requests are not counted"
[ "$(metric node-a weir_http_connections_opened_total 'source_workload="web"')" -ge 5 ] || fail "connections of requests are not counted"
