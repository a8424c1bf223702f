# Routes of the Gateway API.
# shellcheck shell=bash

# Definitions that come and go while the mesh runs; requests, and the status of routes: routes.py.
case_routes() {
    in_net control "$HERE/routes.py" --cluster "$CLUSTER" --api "$API" --kubectl "$TOOLS/kubectl" --image "$APPS"
    eventually nothing_is_found
}
CASES+=(routes)
