#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The tables of docs/data-rules.md are what the command makes of its rules; thresholds that are printed are read again as the same.
set -eu
root=${SOCLE_SOURCE_DIR:-$(cd "$(dirname "$0")/.." && pwd)}
socle=${SOCLE:-$root/build/socle}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"$socle" data rules --markdown >"$dir/tables"
tail -c "$(wc -c <"$dir/tables")" "$root/docs/data-rules.md" >"$dir/page"
cmp "$dir/tables" "$dir/page" || { echo "docs/data-rules.md does not end with what 'socle data rules --markdown' prints"; exit 1; }
"$socle" data rules >"$dir/rules.json"
"$socle" data rules "$dir/rules.json" >"$dir/again.json"
cmp "$dir/rules.json" "$dir/again.json"
printf 'Call (415) 867-5309 or write a@b.org.\n' >"$dir/letter.txt"
[ "$("$socle" data check --mask "$dir/letter.txt")" = 'Call [PHONE] or write [EMAIL].' ] || { echo "not masked"; exit 1; }
[ "$("$socle" data check --brief "$dir/letter.txt")" = 'gopher_top_2gram' ] || { echo "another rule"; exit 1; }
# A classifier of two made kinds of text tells them apart, and its stage drops one of them.
for i in $(seq 1 60); do
    echo "the river $i runs under a bridge of stone and the boat $((i % 7)) goes down to the sea"
done >"$dir/good.txt"
for i in $(seq 1 60); do echo "win bonus $i spins now click $((i % 5)) casino jackpot cash"; done >"$dir/bad.txt"
"$socle" data train-classifier -l "good=$dir/good.txt" -l "bad=$dir/bad.txt" -o "$dir/model.bin" --deterministic -q >"$dir/test"
grep -E '^all +12 +1.000 +1.000$' "$dir/test" >/dev/null || { cat "$dir/test"; exit 1; }
cat "$dir/good.txt" "$dir/bad.txt" | sed 's/.*/{"text": "&"}/' >"$dir/all.jsonl"
cat >"$dir/run.json" <<EOF
{"sources": ["$dir/all.jsonl"], "stages": [{"stage": "classify", "model": "$dir/model.bin", "label": "good", "least": 0.5},
 {"stage": "classify", "model": "$dir/model.bin"}]}
EOF
"$socle" data run --config "$dir/run.json" -o "$dir/out" -q
grep -q 'score_low: 60 documents' "$dir/out/report.html" || { echo "the report lacks the rule"; exit 1; }
