# Weir is taken away, and put there again by the other helm.
# shellcheck shell=bash

# What of us is on a node: files, mounts, rules in its network and in its pods'. The cluster's own names have ours in them.
traces() {
    on "$1" sh -c 'ls -d /opt/cni/bin/*weir* /run/weir /var/lib/kubelet/seccomp/weir* /etc/cni/net.d/*weir* /etc/cni/net.d/.*weir* 2>/dev/null
        grep -l weir-cni /etc/cni/net.d/* 2>/dev/null
        grep -e weir-cni -e weir-nodeproxy -e weir-ca -e "run/weir " /proc/self/mounts
        nft list tables 2>/dev/null | grep weir
        ip rule | grep -e "fwmark" ; ip -6 rule | grep -e "fwmark"
        for pid in $(ls /proc | grep "^[0-9]*$"); do
            [ -e /proc/$pid/ns/net ] || continue
            net=$(readlink /proc/$pid/ns/net); case " $seen " in *" $net "*) continue ;; esac; seen="$seen $net"
            nsenter --target $pid --net sh -c "nft list tables 2>/dev/null | grep weir; ip rule | grep fwmark; ip -6 rule | grep fwmark" | sed "s/^/a pod: /"
        done' 2>/dev/null || true
}
no_traces() {
    local left
    left=$(traces node-a && traces node-b)
    echo "$left"
    [ -z "$left" ]
}
objects() {
    k get clusterrole,clusterrolebinding,crd,priorityclass,mutatingwebhookconfigurations,validatingwebhookconfigurations,namespace -o name |
        grep -i -e weir -e istio || true
    k get configmap,secret,service,lease -A -o name | grep -i weir || true
}
captured() { ctl status -o json | /usr/bin/python3 -c 'import json, sys; print(" ".join(row["captured"] for row in json.load(sys.stdin) if row["node"] != "-"))'; }
nothing_is_captured() { [ "$(captured)" = "0 0" ]; }

# The steps of docs/INSTALL.md, with the helm that is in $HELM.
everybody_leaves() { k label namespace -l weir.mesh/enrolled=true weir.mesh/enrolled-; }
mesh_goes() {
    eventually nothing_is_captured
    helm upgrade weir "$ROOT/helm/weir" --namespace "$WEIR_NS" --reuse-values --set cni.removeAtEnd=true --wait --timeout 5m
    ready "$WEIR_NS" ds/weir-cni
    helm uninstall weir --namespace "$WEIR_NS" --wait --timeout 5m
    k delete configmap -A --field-selector metadata.name=weir-ca-root
    k delete pvc -n "$WEIR_NS" state-weir-ca-0 --timeout="${DEADLINE_S}s"
}
namespace_goes() { k delete namespace "$WEIR_NS" --timeout="${DEADLINE_S}s"; }
uninstall() {
    mesh_goes
    helm uninstall weir-crds --namespace "$WEIR_NS"
    k delete crd authorizationpolicies.security.istio.io peerauthentications.security.istio.io \
        virtualservices.networking.istio.io destinationrules.networking.istio.io serviceentries.networking.istio.io workloadentries.networking.istio.io workloadgroups.networking.istio.io sidecars.networking.istio.io --timeout="${DEADLINE_S}s"
    namespace_goes
}

# After it nothing is left on the nodes and in the cluster, and pods that were in the mesh, with their connections, go on without it.
case_uninstall() {
    local client
    client=$(pod web node-a)
    traces node-a
    [ -n "$(traces node-a)" ] || fail "what is looked for is not there while Weir is"
    everybody_leaves
    eventually nothing_is_captured
    eventually plain_again "$client"
    stream_start "$client" "$(pod_ip "$(pod cart node-b)"):8080"
    stream_goes "$client"
    uninstall
    step "what is left"
    eventually no_traces
    same "$(objects)" "" "objects that are left"
    stream_goes "$client"
    stream_end "$client"
    get "$client" http://cart/whoami
    k rollout restart -n shop ds/web
    ready shop ds/web
    get "$(pod web node-b)" http://cart/whoami
}
plain_again() { plain_call "$1" "$(pod_ip "$(pod cart node-b)")"; }
CASES+=(uninstall)

# The commands of a section of docs/$DOC.md: its indented lines. Of another kind here are the images, which are the cluster's own, and
# where files lie; and where somebody would look until it is so, that is waited for.
DOC=INSTALL
commands() {
    awk -v section="## $1" '/^## / { inside = $0 == section } inside && sub(/^    /, "")' "$ROOT/docs/$DOC.md" | sed \
        -e "s|REGISTRY/weir:VERSION|$IMAGE|" -e "s|image: busybox|image: $APPS|" -e "s|weir-ca\.copy|$OUT/&|" \
        -e "s|REGISTRY/weir|${IMAGE%:*} -f $OUT/apps.yaml|" \
        -e "s|--image=nginx.*|--image=$APPS --port=80 -- origin --port 80|" -e "s|--image=curlimages/curl|--image=$APPS|" \
        -e 's|^until \(.*\); do sleep 1; done$|given() { \1; }; eventually given|' \
        -e 's|^weirctl status .*|eventually nothing_is_captured|' \
        -e 's|^\(kubectl.* logs .*\)$|looked() { \1; }; eventually looked|' \
        -e 's|^\(.*[^ ]\) *# refused$|if \1; then fail "that was not refused"; fi|'
}
typed() {
    commands "$1" >"$OUT/typed"
    [ "$(wc -l <"$OUT/typed")" -ge "$2" ] || fail "docs/$DOC.md says less in its section $1 than it did"
    (
        set -x
        cd "$ROOT" || exit 1
        . "$OUT/typed"
    )
}
kubectl() { KUBECTL_S=$DEADLINE_S k "$@"; }

# docs/INSTALL.md, word by word, with helm 3: on a cluster that has nothing of Weir but its image, which a registry would have.
case_as_documented() {
    local HELM=$TOOLS/helm3 node version
    k delete namespace shop outside --ignore-not-found --timeout="${DEADLINE_S}s"
    k delete pv weir-ca --ignore-not-found --timeout="${DEADLINE_S}s"
    rm -rf "$CLUSTER/volume"
    volume
    version=$(sed -n 's/^appVersion: *//p' "$ROOT/helm/weir/Chart.yaml")
    for node in $(nodes); do on "$node" ctr -n k8s.io images tag --force "$IMAGE" "${IMAGE%:*}:$version"; done
    cat >"$OUT/apps.yaml" <<YAML
test:
  image: $APPS
  client: [sh, -c, "until curl -sSf -m 5 http://\${WEIR_TEST_SERVICE_HOST:-weir-test}:8080/; do sleep 1; done"]
YAML
    typed Installing 8
    typed "The first encrypted call" 20
    get web http://cart/ >"$OUT/page"
    eventually nothing_is_found
    typed Uninstalling 10
    eventually no_traces
    same "$(objects)" "" "objects that are left"
    get web http://cart/ >"$OUT/page"
}
CASES+=(as_documented)

# Definitions that somebody else has installed, Istio's and the Gateway API's: Weir uses them, and leaves them there with their objects.
case_others_definitions() {
    local left kinds=authorizationpolicies.security.istio.io,httproutes.gateway.networking.k8s.io
    step "others' definitions and objects"
    k delete namespace shop outside --ignore-not-found --timeout="${DEADLINE_S}s"
    k delete pv weir-ca --ignore-not-found --timeout="${DEADLINE_S}s"
    rm -rf "$CLUSTER/volume"
    volume
    helm template weir-crds "$ROOT/helm/weir-crds" | sed -e '/^  labels:/,/^spec:/{/^spec:/!d}' | k apply -f -
    "$HERE/routes.py" --definitions | k apply -f -
    eventually k wait --for=condition=Established crd --all --timeout=10s
    k create namespace shop
    k label namespace shop weir.mesh/enrolled=true
    policy
    left=$(others)
    k apply -f - <<YAML
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: cart, namespace: shop}
spec: {parentRefs: [{group: "", kind: Service, name: cart}], rules: [{backendRefs: [{name: cart, port: 80}]}]}
YAML
    step "Weir beside them"
    k create namespace "$WEIR_NS"
    if helm install weir-crds "$ROOT/helm/weir-crds" --namespace "$WEIR_NS"; then fail "others' definitions were taken"; fi
    same "$(others)" "$left" "the definitions"
    helm install weir "$ROOT/helm/weir" "${CHART[@]}"
    mesh_is_up
    shop
    eventually get "$(pod web node-a)" http://cart/whoami
    eventually get_fails rogue http://cart/whoami
    eventually route_is_accepted
    step "and without it"
    everybody_leaves
    mesh_goes
    namespace_goes
    eventually no_traces
    same "$(others)" "$left" "the definitions"
    same "$(k get -n shop "$kinds" -o name | sort | paste -sd ' ')" \
        "authorizationpolicy.security.istio.io/cart-only-from-web httproute.gateway.networking.k8s.io/cart" "the objects"
    get rogue http://cart/whoami
}
# Whose definitions there are, and since when.
others() { k get crd -o 'jsonpath={range .items[*]}{.metadata.name} {.metadata.uid} {.metadata.labels}{"\n"}{end}'; }
route_is_accepted() {
    local said
    said=$(k get httproute -n shop cart -o 'jsonpath={.status.parents[*].conditions[?(@.type=="Accepted")].status}')
    echo "$said"
    [ "$said" = True ]
}
CASES+=(others_definitions)
