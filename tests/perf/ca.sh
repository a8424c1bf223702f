#!/usr/bin/env bash
# Measures weir-ca: certificates a second of one core and the time of one, with its state in a file and in PostgreSQL, beside what
# `openssl speed` says of the signature alone. Needs no privileges; the database is made and started for this.
#
# usage: tests/perf/ca.sh [--certificates N]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
tests/setup.sh
if [ -z "${WEIR_BUILD-}" ]; then
    cmake --preset release >/dev/null
    cmake --build --preset release -j "$(nproc)" --target weir-ca >/dev/null
    WEIR_BUILD=$PWD/build/release
fi
export WEIR_BUILD
exec /usr/bin/python3 -B tests/perf/ca_load.py "$@"
