#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs every fuzz target for a time, on a working copy of its seeds. usage: fuzz.sh SECONDS [NAME...]
# A crash leaves its input in build-fuzz/ and ends with exit code 1.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-60}
[ $# -gt 0 ] && shift
command -v clang >/dev/null || { echo "socle: fuzzing needs clang" >&2; exit 1; }
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz
[ $# -gt 0 ] || set -- $(cd fuzz && ls fuzz_*.c | sed 's/^fuzz_//; s/\.c$//')
for name in "$@"; do
    mkdir -p "build-fuzz/corpus/$name"
    echo "== $name: $seconds s"
    dict=
    [ -f "fuzz/$name.dict" ] && dict="-dict=fuzz/$name.dict"
    # New inputs go to the first folder; the committed seeds are only read.
    build-fuzz/fuzz_"$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="build-fuzz/crash-$name-" $dict "build-fuzz/corpus/$name" "fuzz/corpus/$name" 2>"build-fuzz/$name.log" ||
        { tail -40 "build-fuzz/$name.log" >&2; echo "socle: fuzz target $name failed, see build-fuzz/$name.log" >&2; exit 1; }
    grep -E 'stat::(number_of_executed_units|new_units_added|peak_rss_mb)' "build-fuzz/$name.log"
done
