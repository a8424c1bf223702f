# Pods that run already.
# shellcheck shell=bash

# stream_start POD ADDRESS:PORT [COUNT]: two exchanges a second in one connection; stream_goes POD: there are more of them;
# stream_end POD: all were answered, in one connection.
stream_start() {
    in_pod "$1" sh -c "rm -f /tmp/stream*; { curl -sS --rate 2/s -o /dev/null -w '%{stderr}%{num_connects} %{http_code}\n' \
        'http://$2/whoami#[1-${3:-100000}]'; echo over >>/tmp/stream.over; } >/tmp/stream 2>&1 </dev/null &"
}
stream_size() { in_pod "$1" wc -l /tmp/stream | cut -d ' ' -f 1; }
stream_grew() { [ "$(stream_size "$1")" -gt "$2" ]; }
stream_goes() { eventually stream_grew "$1" "$(($(stream_size "$1") + 2))"; }
stream_is_over() { in_pod "$1" test -e /tmp/stream.over; }
stream_end() {
    in_pod "$1" sh -c 'for p in /proc/[0-9]*; do [ "$(cat $p/comm 2>/dev/null)" != curl ] || kill ${p#/proc/}; done'
    same "$(in_pod "$1" grep -v '^Terminated' /tmp/stream | sort | uniq -c | awk '{ print $2, $3, $2 == 1 ? $1 : "more" }' | paste -sd ,)" "0 200 more,1 200 1" \
        "connections and answers of the stream"
}

# The label on a namespace captures its running pods, and its end releases them: no restart, no broken connection.
case_running() {
    local client server ip
    k label namespace shop weir.mesh/enrolled-
    client=$(pod web node-a) server=$(pod cart node-b)
    ip=$(pod_ip "$server")
    eventually nothing_is_captured
    eventually plain_call "$client" "$ip"
    stream_start "$client" "$ip:8080"
    stream_goes "$client"
    step "the label comes"
    k label namespace shop weir.mesh/enrolled=true
    eventually meshed_call "$client" "$ip"
    stream_goes "$client"
    stream_end "$client"
    stream_start "$client" "$ip:8080"
    stream_goes "$client"
    step "the label goes"
    k label namespace shop weir.mesh/enrolled-
    eventually plain_call "$client" "$ip"
    stream_goes "$client"
    stream_end "$client"
    same "$(k get pod -n shop "$client" "$server" -o 'jsonpath={.items[*].status.containerStatuses[*].restartCount}')" "0 0" restarts
    k label namespace shop weir.mesh/enrolled=true
    eventually meshed_call "$client" "$ip"
}
# Of an enrolled namespace a pod that says `false` is not taken, and one of the node's network never is, which is said: under STRICT the
# one calls in vain, and the other as the node that it is.
case_not_enrolled() {
    local cart name
    cart=$(pod_ip "$(pod cart node-a)")
    strict
    eventually get_fails outside/stranger http://cart.shop/whoami
    for name in free host; do
        k apply -f - <<YAML
apiVersion: v1
kind: Pod
metadata: {name: $name, namespace: shop, labels: {app: $name$([ "$name" = host ] || echo ', weir.mesh/enrolled: "false"')}}
spec:
  nodeName: node-a
  hostNetwork: $([ "$name" = host ] && echo true || echo false)
  terminationGracePeriodSeconds: 1
  containers: [{name: it, image: "$APPS", imagePullPolicy: Never, command: [sleep, "86400"]}]
YAML
    done
    k wait -n shop --for=condition=Ready pod/free pod/host --timeout="${DEADLINE_S}s"
    get_fails free "http://$cart:8080/whoami"
    [[ $(get host "http://$cart:8080/whoami" | field peer) == "$PROBE:"* ]] || fail "the node's call had another address"
    eventually says "the pod is its node to others, and never in the mesh" problems
    ! ctl problems | grep -F shop/free || fail "who does not want to is no problem"
    k delete pod -n shop free host --wait
    k delete peerauthentication -n shop strict
    eventually get outside/stranger http://cart.shop/whoami
    eventually nothing_is_found
}
CASES+=(not_enrolled)

# A call with a port of its own, so that its line in the log is its own too.
PORTS=$((20000 + RANDOM % 10000))
meshed_call() {
    PORTS=$((PORTS + 1))
    get "$1" "http://$2:8080/whoami" --local-port "$PORTS" && (DEADLINE_S=2 && logged node-a "src.identity=$WEB" ":$PORTS ")
}
plain_call() {
    PORTS=$((PORTS + 1))
    get "$1" "http://$2:8080/whoami" --local-port "$PORTS" && ! has_line node-a "src.identity=$WEB" ":$PORTS "
}
CASES+=(running)
