#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds a preset with its tests and runs them. usage: test.sh PRESET [CTEST ARGUMENT...]
set -eu
cd "$(dirname "$0")/.."
preset=$1
shift
dir=build
[ "$preset" = release ] || dir=build-$preset
# Configured anew each time: a test, source or library may have come since.
cmake --preset "$preset" >"/tmp/socle-configure-$$.log" 2>&1 || { cat "/tmp/socle-configure-$$.log" >&2; rm -f "/tmp/socle-configure-$$.log"; exit 1; }
rm -f "/tmp/socle-configure-$$.log"
cmake --build "$dir" --target all tests
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
exec ctest --preset "$preset" -j "$jobs" "$@"
