#!/usr/bin/env bash
# Measures Weir beside its peers on this machine, in namespaces of its own, and prints a line per comparison:
#
#   ratio CELL PEER MEDIAN MIN MAX      Weir's CPU per request (or per GB) divided by the peer's, over interleaved rounds
#
# usage: tests/perf/run.sh [CELL...] [--rounds N] [--seconds S] [--table FILE]
# cells: base l4-relay two-hop-mtls two-hop-low two-hop-one connect handshake bulk-plain bulk-mtls l7-one-hop l7-two-hop l7-low
# l7-low-one-hop l7-h2 l7-routes idle l7-idle l7-idle-one-hop allocs (default: all).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
if [ "$(id -u)" != 0 ]; then
    echo "tests/perf/run.sh: must be root: it makes network namespaces." >&2
    exit 1
fi
tests/setup.sh
if [ -z "${WEIR_BUILD-}" ]; then
    cmake --preset release >/dev/null
    cmake --build --preset release -j "$(nproc)" >/dev/null
    WEIR_BUILD=$PWD/build/release
fi
export WEIR_BUILD
# A namespace of its own for mounts and processes of the whole run would hide the proxies from perf; ends by itself all the same.
exec /usr/bin/python3 -B tests/perf/bench.py "$@"
