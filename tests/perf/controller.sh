#!/usr/bin/env bash
# Measures weir-controller on a scripted API server: 5,000 pods and 500 services that change 50 times a second; memory, CPU, and the
# time from a change to its acknowledgement by a client. Needs no privileges and no cluster.
#
# usage: tests/perf/controller.sh [--pods N] [--services N] [--rate N] [--seconds S]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
tests/setup.sh
if [ -z "${WEIR_BUILD-}" ]; then
    cmake --preset release >/dev/null
    cmake --build --preset release -j "$(nproc)" --target weir-controller >/dev/null
    WEIR_BUILD=$PWD/build/release
fi
export WEIR_BUILD
exec /usr/bin/python3 -B tests/perf/controller_load.py "$@"
