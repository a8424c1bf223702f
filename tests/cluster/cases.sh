# The cases of the test cluster, in their order. Each is a function case_NAME; it runs in a shell with `set -euo pipefail`, and fails
# by its exit status. Nothing waits by the clock: everything waits for what must happen, with a deadline.
# shellcheck shell=bash
FIRST=(up install)
CASES=()
DEADLINE_S=${DEADLINE_S:-180}
APPS=weir.test/apps:1
IMAGE=weir.test/weir:test
WEIR_NS=weir-system

# ---- what the cases say -------------------------------------------------------------------------

fail() {
    printf 'FAILED: %s\n' "$*"
    exit 1
}
step() { printf '%s - %s\n' "$(date +%T)" "$*"; }

# eventually COMMAND...: until it succeeds, or $DEADLINE_S seconds are over.
eventually() {
    local end=$((${EPOCHREALTIME/[.,]/} + DEADLINE_S * 1000000)) out=$OUT/eventually.$BASHPID
    until "$@" >"$out" 2>&1; do
        if [ "${EPOCHREALTIME/[.,]/}" -ge "$end" ]; then
            cat "$out"
            fail "not within $DEADLINE_S s: $*"
        fi
        read -rt 0.3 <> <(:) || true
    done
    rm -f "$out"
}
same() { [ "$1" = "$2" ] || fail "${3:-value} is \"$1\", and should be \"$2\""; }

# pod APP NODE [NAMESPACE]: the name of the application's pod on the node.
pod() {
    local name
    name=$(k get pods -n "${3:-shop}" -l "app=$1" --field-selector "spec.nodeName=$2,status.phase=Running" -o name | head -n 1)
    [ -n "$name" ] || fail "no pod of $1 on $2"
    echo "${name#pod/}"
}
pod_ip() { k get pod -n "${2:-shop}" "$1" -o 'jsonpath={.status.podIP}'; }
# in_pod POD COMMAND...: NAMESPACE/POD, or POD of shop.
in_pod() {
    local pod=$1 ns=shop
    shift
    [[ $pod != */* ]] || { ns=${pod%/*} pod=${pod#*/}; }
    k exec -q -n "$ns" "$pod" -- "$@"
}
# get POD URL [CURL ARGUMENT...]: prints the body; fails if there is no answer of 200.
get() {
    local pod=$1 url=$2
    shift 2
    in_pod "$pod" curl -sS -f --max-time 20 "$@" "$url"
}
get_fails() { ! get "$@" --max-time 5; }
field() { /usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

# Everything that the node proxy of a node has logged, also the one before a restart.
proxy_log() {
    local pod
    for pod in $(k get pods -n "$WEIR_NS" -l app.kubernetes.io/component=nodeproxy --field-selector "spec.nodeName=$1" -o name); do
        k logs -n "$WEIR_NS" "$pod" --all-containers 2>/dev/null || true
    done
}
has_line() {
    local node=$1 text lines
    shift
    lines=$(proxy_log "$node")
    for text in "$@"; do lines=$(grep -F -- "$text" <<<"$lines") || return 1; done
}
# logged NODE TEXT...: a line with all of these texts appears.
logged() { eventually has_line "$@"; }

ready() { k rollout status -n "$1" "$2" --timeout="${DEADLINE_S}s"; }

after_failure() {
    local pod
    echo "---- afterwards"
    k get pods -A -o wide
    k get events -A --sort-by=.lastTimestamp | tail -n 15 | cut -c 1-400
    for pod in $(k get pods -n "$WEIR_NS" -o name); do
        echo "---- the end of $pod"
        k logs -n "$WEIR_NS" "$pod" --all-containers --tail=8 | cut -c 1-400
    done
}

# ---- the cluster and the mesh -------------------------------------------------------------------

case_up() {
    step "images"
    mkdir -p "$OUT/images"
    "$ROOT/helm/image/build.sh" --name "$IMAGE" ${WEIR_BUILD:+--build "$WEIR_BUILD"} "$OUT/images/weir.tar"
    "$HERE/images.sh" apps "$OUT/images/apps.tar" "$APPS"
    step "Kubernetes"
    "$HERE/up.sh" "$OUT/images/weir.tar" "$OUT/images/apps.tar"
}

# The volume of the CA, as an administrator would make it: a folder that all nodes see.
volume() {
    install -d -o 65532 -g 65532 -m 700 "$CLUSTER/volume"
    k apply -f - <<YAML
apiVersion: v1
kind: PersistentVolume
metadata: {name: weir-ca}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: ""
  persistentVolumeReclaimPolicy: Retain
  hostPath: {path: $CLUSTER/volume, type: Directory}
YAML
}

# What is told apart from the chart's own values.
CHART=(--namespace "$WEIR_NS" --set image.repository="${IMAGE%:*}" --set image.tag="${IMAGE##*:}" --set image.pullPolicy=Never
    --set ca.persistence.storageClass= --set test.image="$APPS")

mesh_is_up() {
    ready "$WEIR_NS" sts/weir-ca
    ready "$WEIR_NS" deploy/weir-controller
    ready "$WEIR_NS" ds/weir-nodeproxy
    ready "$WEIR_NS" ds/weir-cni
}

# As docs/INSTALL.md says it, and `helm test` makes a call through the mesh.
case_install() {
    volume
    helm install weir-crds "$ROOT/helm/weir-crds" --namespace "$WEIR_NS" --create-namespace
    k wait --for=condition=Established crd/authorizationpolicies.security.istio.io --timeout="${DEADLINE_S}s"
    helm install weir "$ROOT/helm/weir" "${CHART[@]}"
    mesh_is_up
}

# ---- calls --------------------------------------------------------------------------------------

WEB=spiffe://cluster.local/ns/shop/sa/web
CART=spiffe://cluster.local/ns/shop/sa/cart
ROGUE=spiffe://cluster.local/ns/shop/sa/rogue

shop() {
    k apply -f "$HERE/manifests/shop.yaml"
    ready shop ds/web
    ready shop ds/cart
    k wait -n shop --for=condition=Ready pod/rogue --timeout="${DEADLINE_S}s"
    k wait -n outside --for=condition=Ready pod/stranger --timeout="${DEADLINE_S}s"
}

# Pods of a namespace that was labelled before them: calls between the nodes and within one, by the pod's address and by the
# Service's name. Both node proxies say both identities, and the application sees the caller's own address.
case_calls() {
    local client server ip
    k create namespace shop
    k label namespace shop weir.mesh/enrolled=true
    shop
    client=$(pod web node-a)
    for server in node-b node-a; do
        step "from node-a to $server"
        ip=$(pod_ip "$(pod cart "$server")")
        get "$client" "http://$ip:8080/whoami" >"$OUT/whoami"
        same "$(field pod <"$OUT/whoami")" "$server" "who answered"
        [[ $(field peer <"$OUT/whoami") == "$(pod_ip "$client"):"* ]] || fail "the application saw $(cat "$OUT/whoami")"
        logged "$server" "src.identity=$WEB" "dst.identity=$CART" direction=inbound "dst.addr=$ip:8080"
    done
    logged node-a "src.identity=$WEB" "dst.identity=$CART" direction=outbound
    step "by the Service's names"
    get "$client" http://cart/whoami
    get "$client" http://cart.shop.svc.cluster.local/whoami
    logged node-a "src.identity=$WEB" dst.service=cart
    step "from outside the mesh, without STRICT"
    get outside/stranger http://cart.shop/whoami
}
CASES+=(calls)

policy() {
    k apply -f - <<YAML
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: cart-only-from-web, namespace: shop}
spec:
  selector: {matchLabels: {app: cart}}
  action: ALLOW
  rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}]}]
YAML
}
strict() {
    k apply -f - <<YAML
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: shop}
spec: {mtls: {mode: STRICT}}
YAML
}

# What a policy does not allow is refused, and says so in the log; taken away, all is as before.
case_denial() {
    local web
    web=$(pod web node-a)
    get rogue http://cart/whoami
    policy
    eventually get_fails rogue http://cart/whoami
    logged node-a "src.identity=$ROGUE" "dst.identity=$CART" 'ending="denied by policy"'
    get "$web" http://cart/whoami
    get_fails outside/stranger http://cart.shop/whoami
    k delete authorizationpolicy -n shop cart-only-from-web
    eventually get rogue http://cart/whoami
}
CASES+=(denial)

# Under STRICT nobody calls without an identity; the kubelet's probes go on: by HTTP, TCP and exec.
case_probes() {
    strict
    eventually get_fails outside/stranger http://cart.shop/whoami
    get "$(pod web node-b)" http://cart/whoami
    k apply -f - <<YAML
apiVersion: v1
kind: Pod
metadata: {name: probed, namespace: shop, labels: {app: probed}}
spec:
  nodeName: node-b
  terminationGracePeriodSeconds: 1
  containers:
  - {name: http, image: "$APPS", imagePullPolicy: Never, command: [origin, --port, "8081"], readinessProbe: {httpGet: {path: /whoami, port: 8081}, periodSeconds: 1}}
  - {name: tcp, image: "$APPS", imagePullPolicy: Never, command: [origin, --port, "8082"], readinessProbe: {tcpSocket: {port: 8082}, periodSeconds: 1}}
  - {name: exec, image: "$APPS", imagePullPolicy: Never, command: [origin, --port, "8083"], readinessProbe: {exec: {command: [curl, -sSf, "http://localhost:8083/whoami"]}, periodSeconds: 1}}
YAML
    k wait -n shop --for=condition=Ready pod/probed --timeout="${DEADLINE_S}s"
    step "a probe that fails is not let through: nothing listens"
    k delete pod -n shop probed --wait
    k delete peerauthentication -n shop strict
    eventually get outside/stranger http://cart.shop/whoami
}
CASES+=(probes)

# ---- life of pods -------------------------------------------------------------------------------

# A Job of init container and container; each calls at its first instruction.
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

# A StatefulSet behind a headless Service: by the Service's name, by a pod's name, and a pod calling itself through a Service of its own.
# Two ports, one by name; a NodePort from outside the cluster; an ExternalName.
case_services() {
    local node_port pod
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
apiVersion: v1
kind: Service
metadata: {name: alias, namespace: shop}
spec: {type: ExternalName, externalName: cart.shop.svc.cluster.local}
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
    pod=$(pod web node-a)
    step "headless"
    eventually get "$pod" http://db:8081/whoami
    eventually get "$pod" http://db-1.db:8082/whoami
    step "several ports, one of them by name"
    same "$(get "$pod" http://itself:81/whoami | field pod)" one
    same "$(get "$pod" http://itself:82/whoami | field pod)" two
    step "a pod calls itself through its Service"
    same "$(get db-0 http://itself:82/whoami | field pod)" two
    step "a name that is another's"
    get "$pod" http://alias:80/whoami
    step "from outside the cluster by a node's port"
    node_port=$(k get svc -n shop itself -o 'jsonpath={.spec.ports[0].nodePort}')
    for node in 1 2; do in_net control curl -sSf --max-time 20 "http://10.80.0.1$node:$node_port/whoami"; done
    k delete sts/db svc/db svc/itself svc/alias -n shop --wait
    k wait -n shop --for=delete pod/db-0 pod/db-1 --timeout="${DEADLINE_S}s"
}
CASES+=(services)

# An address that goes at once to a pod of another service account never carries the old identity.
case_address_reused() {
    local ip again
    policy
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

# ---- pods that run already ----------------------------------------------------------------------

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

# ---- many ---------------------------------------------------------------------------------------

# So many pods started at once, each calling at its first instruction, under STRICT: every call is in the mesh.
case_crowd() {
    local count=${WEIR_CROWD:-50} lines
    strict
    eventually get_fails outside/stranger http://cart.shop/whoami
    k apply -f - <<YAML
apiVersion: batch/v1
kind: Job
metadata: {name: crowd, namespace: shop}
spec:
  backoffLimit: 0
  parallelism: $count
  completions: $count
  template:
    metadata: {labels: {app: crowd}}
    spec:
      serviceAccountName: rogue
      restartPolicy: Never
      terminationGracePeriodSeconds: 1
      containers: [{name: it, image: "$APPS", imagePullPolicy: Never, command: [curl, -sSf, --max-time, "60", "http://cart/whoami"]}]
YAML
    DEADLINE_S=900 eventually crowd_is_through "$count"
    k logs -n shop -l app=crowd --tail=1 --max-log-requests=250 | sort | uniq -c | sort -rn | head -n 5
    same "$(k get job -n shop crowd -o 'jsonpath={.status.succeeded}')" "$count" "pods whose first call was answered"
    k delete job -n shop crowd --wait --cascade=foreground --timeout=300s || k delete pods -n shop -l app=crowd --wait
    k delete peerauthentication -n shop strict
    eventually get outside/stranger http://cart.shop/whoami
    lines=$({ proxy_log node-a; proxy_log node-b; } | grep -c "src.identity=$ROGUE.*direction=inbound.*ending=closed" || true)
    echo "$count pods, $lines lines of calls that carried their identity"
    [ "$lines" -ge "$count" ]
}
crowd_is_through() {
    local failed succeeded
    failed=$(k get job -n shop crowd -o 'jsonpath={.status.failed}')
    succeeded=$(k get job -n shop crowd -o 'jsonpath={.status.succeeded}')
    [ "$succeeded" = "$1" ] || [ "${failed:-0}" != 0 ]
}
CASES+=(crowd)
