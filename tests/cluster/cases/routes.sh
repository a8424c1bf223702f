# Routes of the Gateway API and of Istio.
# shellcheck shell=bash

routes() { in_net control "$HERE/routes.py" --cluster "$CLUSTER" --api "$API" --kubectl "$TOOLS/kubectl" --image "$APPS" "$@"; }

# Definitions that come and go while the mesh runs; requests, and the status of routes: routes.py. Grants are asked for only where
# somebody has said so.
case_routes() {
    routes --keep
    step "a controller that asks for grants"
    helm upgrade weir "$ROOT/helm/weir" "${CHART[@]}" --set controller.requireGrants=true
    ready "$WEIR_NS" deploy/weir-controller
    routes --kept --grants
    helm rollback weir --namespace "$WEIR_NS"
    ready "$WEIR_NS" deploy/weir-controller
    eventually nothing_is_found
}
CASES+=(routes)

# Istio's traffic API: VirtualServices, DestinationRules and ServiceEntries, by the same program: what docs/TRAFFIC.md calls honoured.
case_istio() {
    routes --cases "$HERE/istio"
    eventually nothing_is_found
}
CASES+=(istio)
