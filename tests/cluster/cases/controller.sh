# The controller on an API server that has troubles.
# shellcheck shell=bash

# A controller of its own, on the same API server, which is restarted, paused, forgets (etcd compacted), and answers 410 and 429: api_faults.py.
case_api_faults() {
    in_net control env WEIR_BUILD="$PROGRAMS" "$HERE/api_faults.py" --cluster "$CLUSTER" --api "$API"
}
CASES+=(api_faults)
