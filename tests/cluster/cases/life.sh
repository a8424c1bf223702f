# The life of pods.
# shellcheck shell=bash

# A Job of init container and container: each calls at its first instruction, is in the mesh, and the Job comes to its end.
case_job() {
    k apply -f - <<YAML
apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: shop}
spec:
  backoffLimit: 0
  template:
    metadata: {labels: {app: once}}
    spec:
      serviceAccountName: web
      restartPolicy: Never
      initContainers: [{name: before, image: "$APPS", imagePullPolicy: Never, command: [curl, -sSf, --max-time, "30", "http://cart/whoami"]}]
      containers: [{name: once, image: "$APPS", imagePullPolicy: Never, command: [curl, -sSf, --max-time, "30", "http://cart/whoami"]}]
YAML
    k wait -n shop --for=condition=Complete job/once --timeout="${DEADLINE_S}s"
    k delete job -n shop once --wait
}
CASES+=(job)

# What the next cases call, if it is not there yet: a StatefulSet of pods with two ports, behind a headless Service, and a Service of one of
# its pods, with a node's port.
db() {
    k apply -f - <<YAML
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec:
  clusterIP: None
  selector: {app: db}
  ports: [{name: one, port: 8081, targetPort: one}, {name: two, port: 8082}]
---
apiVersion: v1
kind: Service
metadata: {name: itself, namespace: shop}
spec:
  type: NodePort
  selector: {statefulset.kubernetes.io/pod-name: db-0}
  ports: [{name: one, port: 81, targetPort: one}, {name: two, port: 82, targetPort: 8082}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec:
  serviceName: db
  replicas: 2
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: one, image: "$APPS", imagePullPolicy: Never, command: [origin, --port, "8081", --pod, one], ports: [{name: one, containerPort: 8081}]}
      - {name: two, image: "$APPS", imagePullPolicy: Never, command: [origin, --port, "8082", --pod, two], ports: [{containerPort: 8082}]}
YAML
    ready shop sts/db
}

# By the headless Service's name, and by a pod's of the StatefulSet.
case_headless() {
    local pod
    db
    pod=$(pod web node-a)
    eventually get "$pod" http://db:8081/whoami
    eventually get "$pod" http://db-0.db:8082/whoami
    eventually get "$pod" http://db-1.db:8082/whoami
}
CASES+=(headless)

# Several ports of a pod and of its Service, one of them called by its name.
case_ports() {
    local pod
    db
    pod=$(pod web node-a)
    eventually get "$pod" http://itself:81/whoami
    same "$(get "$pod" http://itself:81/whoami | field pod)" one
    same "$(get "$pod" http://itself:82/whoami | field pod)" two
}
CASES+=(ports)

# A pod calls itself through its Service, from each of its containers.
case_itself() {
    db
    eventually get db-0 http://itself:82/whoami
    same "$(get db-0 http://itself:82/whoami | field pod)" two
    same "$(get db-0 http://itself:81/whoami | field pod)" one
}
CASES+=(itself)

# A Service that is another's name (ExternalName).
case_external_name() {
    k apply -f - <<YAML
apiVersion: v1
kind: Service
metadata: {name: alias, namespace: shop}
spec: {type: ExternalName, externalName: cart.shop.svc.cluster.local}
YAML
    eventually get "$(pod web node-a)" http://alias:80/whoami
    k delete svc/alias -n shop
}
CASES+=(external_name)

# From outside the cluster into an enrolled pod: by a port of its own node, and of another one.
case_node_port() {
    local port node
    db
    port=$(k get svc -n shop itself -o 'jsonpath={.spec.ports[0].nodePort}')
    for node in 1 2; do eventually in_net control curl -sSf --max-time 20 "http://10.80.0.1$node:$port/whoami"; done
    k delete sts/db svc/db svc/itself -n shop --wait
    k wait -n shop --for=delete pod/db-0 pod/db-1 --timeout="${DEADLINE_S}s"
}
CASES+=(node_port)

# Pods that are going away, and still answer: nobody new is sent to one while another is there, a connection that lives goes on; and where
# all of them are going away, they are called as long as they answer.
case_terminating() {
    local client node lost=
    client=$(pod web node-a)
    k apply -f - <<YAML
apiVersion: v1
kind: Service
metadata: {name: leaving, namespace: shop}
spec:
  selector: {app: leaving}
  ports: [{name: http, port: 80, targetPort: 8080}]
YAML
    for node in node-a node-b; do
        k apply -f - <<YAML
apiVersion: v1
kind: Pod
metadata: {name: leaving-$node, namespace: shop, labels: {app: leaving}}
spec:
  nodeName: $node
  serviceAccountName: cart
  terminationGracePeriodSeconds: 600
  containers:
  - name: it
    image: "$APPS"
    imagePullPolicy: Never
    command: [sh, -c, "trap 'kill \$!; exit' TERM; origin --pod $node & wait"]
    lifecycle: {preStop: {exec: {command: [sh, -c, "until [ -e /tmp/go ]; do sleep 1; done"]}}}
YAML
    done
    k wait -n shop --for=condition=Ready pod/leaving-node-a pod/leaving-node-b --timeout="${DEADLINE_S}s"
    eventually calls_answered_by "$client" node-a node-b
    lost=
    stream_start "$client" "$(pod_ip leaving-node-b):8080"
    stream_goes "$client"
    step "one of two goes away"
    k delete pod -n shop leaving-node-b --wait=false
    eventually calls_answered_by "$client" node-a
    stream_goes "$client"
    step "and the other one, too"
    k delete pod -n shop leaving-node-a --wait=false
    eventually is_terminating leaving-node-a
    eventually calls_answered_by "$client" node-a node-b
    same "$lost" "" "calls that were not answered meanwhile"
    stream_goes "$client"
    stream_end "$client"
    for node in node-a node-b; do in_pod "leaving-$node" touch /tmp/go; done
    k wait -n shop --for=delete pod/leaving-node-a pod/leaving-node-b --timeout="${DEADLINE_S}s"
    k delete -n shop service/leaving
}
# Who answers 20 calls of the Service, in one line; a call that is not answered is `none`.
answers() {
    in_pod "$1" sh -c 'for i in $(seq 20); do curl -sSf --max-time 20 http://leaving/whoami || echo none; echo; done' | sed -n 's/.*"pod": *"\([^"]*\)".*/\1/p; /none/p' |
        sort -u | paste -sd ' '
}
calls_answered_by() {
    local said
    said=$(answers "$1")
    echo "$said"
    [[ $said != *none* ]] || lost+="($said)"
    [ "$said" = "${*:2}" ]
}
# The endpoints say so, and that is what the controller reads.
is_terminating() {
    k get endpointslices -n shop -l kubernetes.io/service-name=leaving -o json | /usr/bin/python3 -c '
import json, sys
ends = [e for s in json.load(sys.stdin)["items"] for e in s["endpoints"] or [] if e["targetRef"]["name"] == sys.argv[1]]
print(ends)
sys.exit(not any(e["conditions"].get("terminating") and e["conditions"].get("serving") for e in ends))' "$1"
}
CASES+=(terminating)

# IPv6: calls by the pods' addresses, between the nodes and within one; identities, denial, and the kubelet's way in under STRICT.
case_ipv6() {
    local client server ip own
    client=$(pod web node-a)
    own=$(pod_ip6 "$client")
    [[ $own == *:* ]] || fail "pods have no second family: $own"
    for server in node-b node-a; do
        ip=$(pod_ip6 "$(pod cart "$server")")
        get "$client" "http://[$ip]:8080/whoami" >"$OUT/whoami"
        same "$(field pod <"$OUT/whoami")" "$server" "who answered"
        [[ $(field peer <"$OUT/whoami") == "[$own]:"* ]] || fail "the application saw $(cat "$OUT/whoami")"
        logged "$server" "src.identity=$WEB" "dst.identity=$CART" direction=inbound "dst.addr=[$ip]:8080"
    done
    step "denied"
    policy
    eventually get_fails rogue "http://[$ip]:8080/whoami"
    eventually is_refused "dst.addr=[$ip]:8080"
    get "$client" "http://[$ip]:8080/whoami"
    k delete authorizationpolicy -n shop cart-only-from-web
    eventually get rogue "http://[$ip]:8080/whoami"
    step "under STRICT: from the node, and from a stranger"
    strict
    eventually get_fails outside/stranger "http://[$ip]:8080/whoami"
    on node-a curl -sSf --max-time 20 "http://[$ip]:8080/whoami"
    k delete peerauthentication -n shop strict
    eventually get outside/stranger "http://[$ip]:8080/whoami"
}
CASES+=(ipv6)

# Services of IPv6, and of both families: by name, each family's way.
case_dual_stack() {
    local client family
    client=$(pod web node-a)
    k apply -f - <<YAML
apiVersion: v1
kind: Service
metadata: {name: six, namespace: shop}
spec:
  ipFamilyPolicy: SingleStack
  ipFamilies: [IPv6]
  selector: {app: cart}
  ports: [{name: http, port: 80, targetPort: http}]
---
apiVersion: v1
kind: Service
metadata: {name: both, namespace: shop}
spec:
  ipFamilyPolicy: RequireDualStack
  ipFamilies: [IPv4, IPv6]
  selector: {app: cart}
  ports: [{name: http, port: 80, targetPort: http}]
YAML
    eventually get "$client" http://six/whoami
    logged node-a "src.identity=$WEB" dst.service=six direction=outbound
    for family in 4 6; do eventually get "$client" http://both/whoami "-$family"; done
    logged node-a "src.identity=$WEB" dst.service=both "dst.addr=[fd00:96:"
    logged node-a "src.identity=$WEB" dst.service=both dst.addr=10.96.
    k delete svc -n shop six both
}
CASES+=(dual_stack)

# An address that goes at once to a pod of another service account never carries the old identity.
case_address_reused() {
    local ip again
    policy
    eventually get_fails rogue http://cart/whoami
    run_pod first web
    ip=$(pod_ip first)
    eventually get first http://cart/whoami
    k delete pod -n shop first --wait --now
    # The plugin that gives out addresses goes round: the next one is the one that has just been freed.
    on node-a sh -c "printf %s ${ip%.*}.$((${ip##*.} - 1)) >/var/lib/cni/networks/pods/last_reserved_ip.0"
    run_pod second rogue
    again=$(pod_ip second)
    same "$again" "$ip" "the second pod's address"
    get_fails second http://cart/whoami
    logged node-a "src.identity=$ROGUE" "src.addr=$ip" 'ending="denied by policy"'
    k delete pod -n shop second --wait --now
    k delete authorizationpolicy -n shop cart-only-from-web
}
# run_pod NAME ACCOUNT: on node-a.
run_pod() {
    k apply -f - <<YAML
apiVersion: v1
kind: Pod
metadata: {name: $1, namespace: shop, labels: {app: $1}}
spec:
  nodeName: node-a
  serviceAccountName: $2
  terminationGracePeriodSeconds: 1
  containers: [{name: it, image: "$APPS", imagePullPolicy: Never, command: [sleep, "86400"]}]
YAML
    k wait -n shop --for=condition=Ready "pod/$1" --timeout="${DEADLINE_S}s"
}
CASES+=(address_reused)
