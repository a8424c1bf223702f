# Many at once.
# shellcheck shell=bash

# So many pods started at once, each calling at its first instruction, under STRICT: every call is in the mesh.
case_crowd() {
    local count=${WEIR_CROWD:-200} lines pod begun=$SECONDS
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
    DEADLINE_S=900 eventually crowd_is_through
    k get pods -n shop -l app=crowd -o 'jsonpath={range .items[*]}{.status.phase}{"\n"}{end}' | sort | uniq -c
    for pod in $(k get pods -n shop -l app=crowd --field-selector status.phase=Failed -o name | head -n 5); do
        k get -n shop "$pod" -o 'jsonpath={.spec.nodeName} {.status.podIP}{"\n"}'
        k logs -n shop "$pod" | tail -n 3 || true
        { proxy_log node-a; proxy_log node-b; } | grep -F "src.addr=$(pod_ip "${pod#pod/}"):" | cut -c 1-400 | tail -n 4 || true
    done
    same "$(k get job -n shop crowd -o 'jsonpath={.status.succeeded}')" "$count" "pods whose first call was answered"
    k delete job -n shop crowd --wait --cascade=foreground --timeout=300s || k delete pods -n shop -l app=crowd --wait
    k delete peerauthentication -n shop strict
    eventually get outside/stranger http://cart.shop/whoami
    lines=$({ proxy_log node-a; proxy_log node-b; } | grep -c "src.identity=$ROGUE.*direction=inbound.*ending=closed" || true)
    echo "$((SECONDS - begun)) s; $count pods, $lines lines of calls that carried their identity"
    [ "$lines" -ge "$count" ]
}
# Each look waits: asking all the time would take the pods' processors.
crowd_is_through() {
    k wait -n shop --for=condition=Complete job/crowd --timeout=10s || k wait -n shop --for=condition=Failed job/crowd --timeout=1s
}
CASES+=(crowd)
