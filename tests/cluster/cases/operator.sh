# What people look with: weirctl against a real API server, and `helm test`.
# shellcheck shell=bash

PROGRAMS=${WEIR_BUILD:-$ROOT/build/release}
ctl() { in_net control env KUBECONFIG="$CLUSTER/admin.kubeconfig" "$PROGRAMS/weirctl" "$@"; }
# What `weirctl check` finds that is not in order, a line each: LEVEL SUBJECT: TEXT -> REMEDY.
findings() {
    ctl check -o json | /usr/bin/python3 -c '
import json, sys
for line in json.load(sys.stdin)["lines"]:
    if line["level"] != "ok":
        print(line["level"], line["subject"] + ":", line["text"], "->", line["remedy"])'
}
nothing_is_found() { [ -z "$(findings)" ] && ctl check; }
# found PART...: one line has them all.
found() {
    local part lines
    lines=$(findings)
    echo "$lines"
    for part in "$@"; do lines=$(grep -F -- "$part" <<<"$lines") || return 1; done
}
# says TEXT COMMAND...: what weirctl prints has the text.
says() {
    local text=$1 said
    shift
    said=$(ctl "$@") || true
    printf '%s\n' "$said"
    [[ $said == *"$text"* ]]
}

# A call through the mesh, under STRICT, in a namespace that comes and goes.
case_helm_test() {
    helm test weir --namespace "$WEIR_NS" --timeout 3m
    ! k get namespace weir-test -o 'jsonpath={.status.phase}' | grep Active || fail "the test's namespace is still there"
}
CASES+=(helm_test)

# A healthy mesh, and what would happen in it.
case_weirctl() {
    local web
    web=$(pod web node-a)
    step "a healthy mesh"
    eventually nothing_is_found
    ctl check
    ctl status
    same "$(ctl status -o json | /usr/bin/python3 -c 'import json, sys; print([(r["node"], r["ready"], r["workloads"], r["policies"]) for r in json.load(sys.stdin) if r["node"] != "-"])')" \
        "[('node-a', 'yes', 'synced', 'synced'), ('node-b', 'yes', 'synced', 'synced')]" "the proxies"
    says "$web" workloads -n shop
    (export PATH=$PROGRAMS:$TOOLS:$PATH KUBECONFIG=$CLUSTER/admin.kubeconfig; in_net control kubectl weir status)

    step "explain: allowed, refused by a policy, refused for want of an identity"
    says "=> allowed" explain "shop/$web" shop/cart:80
    policy
    eventually says "no rule of AuthorizationPolicy shop/cart-only-from-web" explain shop/rogue shop/cart:80
    says "=> refused" explain shop/rogue shop/cart:80
    says "=> allowed" explain "shop/$web" shop/cart:80
    k delete authorizationpolicy -n shop cart-only-from-web
    strict
    eventually says "refused by PeerAuthentication" explain outside/stranger shop/cart:80
    eventually get_fails outside/stranger http://cart.shop/whoami
    k delete peerauthentication -n shop strict
    eventually says "=> allowed" explain outside/stranger shop/cart:80

    step "enrol, unenrol"
    says "1 pod join" enrol outside
    eventually says HBONE workloads -n outside
    says "1 pod leave" unenrol outside
    eventually says TCP workloads -n outside
}
CASES+=(weirctl)

# What is broken is found, and named with its remedy.
case_broken() {
    local web name ip
    web=$(pod web node-a)
    step "broken 1: an object that is refused"
    k apply -f - <<YAML
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: typo, namespace: shop}
spec: {action: DENY, rules: [{from: [{source: {ipBlocks: [10.0.0.300]}}]}]}
YAML
    eventually found FAIL configuration "AuthorizationPolicy shop/typo" ipBlocks "correct the field"
    eventually policy_is typo False Invalid
    k delete authorizationpolicy -n shop typo
    eventually nothing_is_found

    step "broken 2: the CNI installer is kept off a node"
    k label node node-a weir.test/only=here
    k patch ds -n "$WEIR_NS" weir-cni --type=json -p '[{"op": "add", "path": "/spec/template/spec/nodeSelector/weir.test~1only", "value": "here"}]'
    eventually found FAIL cni "node node-b has none" tolerations
    ready "$WEIR_NS" ds/weir-cni # the kubelet of 1.20 may leave a pod for a minute that is deleted while it starts
    k patch ds -n "$WEIR_NS" weir-cni --type=json -p '[{"op": "remove", "path": "/spec/template/spec/nodeSelector/weir.test~1only"}]'
    k label node node-a weir.test/only-
    ready "$WEIR_NS" ds/weir-cni

    step "broken 3: an image that is not there"
    k set image -n "$WEIR_NS" sts/weir-ca ca=weir.test/none:1
    eventually found FAIL "ca:" weir-ca-0 "the registry"
    # helm 4 says whose a field is, and takes it back only where it is told to: the upgrade would stop at it.
    helm upgrade weir "$ROOT/helm/weir" "${CHART[@]}" --force-conflicts
    k delete pod -n "$WEIR_NS" weir-ca-0 --wait
    ready "$WEIR_NS" sts/weir-ca
    eventually nothing_is_found

    step "broken 4: no controller"
    k scale -n "$WEIR_NS" deploy/weir-controller --replicas=0
    eventually found FAIL controller "there is none in namespace $WEIR_NS" "docs/INSTALL.md"
    k scale -n "$WEIR_NS" deploy/weir-controller --replicas=1
    ready "$WEIR_NS" deploy/weir-controller
    eventually nothing_is_found

    step "broken 5: a seccomp profile that forbids io_uring"
    for name in node-a node-b; do
        on "$name" sh -c 'echo "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [{\"names\": [\"io_uring_setup\"], \"action\": \"SCMP_ACT_ERRNO\"}]}" >/var/lib/kubelet/seccomp/none.json'
    done
    k patch ds -n "$WEIR_NS" weir-nodeproxy --type=json -p '[{"op": "replace",
        "path": "/spec/template/spec/containers/0/securityContext/seccompProfile/localhostProfile", "value": "none.json"}]'
    eventually found FAIL "node proxies" "io_uring_setup was refused" "Localhost profile"
    k rollout undo -n "$WEIR_NS" ds/weir-nodeproxy
    mesh_is_up
    eventually nothing_is_found
    eventually get "$web" http://cart/whoami
    for name in node-a node-b; do on "$name" rm /var/lib/kubelet/seccomp/none.json; done

    step "nothing can be asked"
    ip=$CONTROL_IP
    sed "s/$ip:6443/$ip:6444/" "$CLUSTER/admin.kubeconfig" >"$OUT/gone.kubeconfig"
    says "look at --kubeconfig" check --kubeconfig "$OUT/gone.kubeconfig"
}
# policy_is NAME STATUS REASON: what the leading controller wrote on it.
policy_is() {
    local said
    said=$(k get authorizationpolicy -n shop "$1" -o json | /usr/bin/python3 -c '
import json, sys
print(*[c["status"] + " " + c["reason"] for c in json.load(sys.stdin).get("status", {}).get("conditions", []) if c["type"] == "weir.mesh/Accepted"])')
    echo "$said"
    [ "$said" = "$2 $3" ]
}
CASES+=(broken)
