# The life of pods.
# shellcheck shell=bash

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
