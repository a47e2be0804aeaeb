#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds a preset with its tests and runs them; the last line is ctest's count. usage: test.sh PRESET [CTEST ARGUMENT...]
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
shift
dir=build
[ "$preset" = release ] || dir=build-$preset
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Configured anew each time: a library may have been installed since.
cmake --preset "$preset" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
cmake --build "$dir" --target all tests
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
rc=0
ctest --preset "$preset" -j "$jobs" "$@" 2>&1 | tee "$log" || rc=1
grep 'tests passed' "$log" | tail -1
exit $rc
