#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# socle scale plan, run and fit: a known law found again from a table, a small ladder to its report, and what is refused.
set -u
socle=${SOCLE:?run by ctest}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
bad=0
fail() {
    echo "FAIL: $*"
    bad=1
}
# refused RC PATTERN COMMAND...: one line on stderr
refused() {
    local rc=$1 pattern=$2 got
    shift 2
    "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
    got=$?
    [ $got = "$rc" ] || fail "$*: exit code $got, not $rc"
    grep -qE -- "$pattern" "$tmp/err" || fail "$*: $(head -2 "$tmp/err")"
    [ "$(wc -l <"$tmp/err")" = 1 ] || fail "$*: more than a line: $(cat "$tmp/err")"
}

# Runs of the law 1.8 + 400/N^0.35 + 500/D^0.3, the last one held out, in a table as a spreadsheet writes it.
awk 'BEGIN {
    print "name,Parameters,Tokens,Loss,held_out"
    for (i = 0; i < 5; i++)
        for (k = 0; k < 4; k++) {
            n = 1e6 * 2^i; d = 1e7 * 3^k
            printf "r%d%d,%.8g,%.8g,%.9f,%s\n", i, k, n, d, 1.8 + 400 / n^0.35 + 500 / d^0.3, i == 4 && k == 3 ? "true" : "false"
        }
}' >"$tmp/runs.csv"
"$socle" scale fit "$tmp/runs.csv" --out "$tmp/laws.html" --json --bootstrap 20 --budget 1e18 --predict 70M,1.4G -q >"$tmp/fit.json" ||
    fail "scale fit: exit code $?"
python3 - "$tmp/fit.json" "$tmp/laws.html" <<'PY' || bad=1
import json, sys
x = json.load(open(sys.argv[1]))
law = {l["law"]: l for l in x["laws"]}["Hoffmann"]
p = {k: v["value"] for k, v in law["parameters"].items()}
for name, want, share in (("E", 1.8, 1e-3), ("alpha", 0.35, 1e-3), ("beta", 0.3, 1e-3), ("A", 400, 0.02), ("B", 500, 0.02)):
    assert abs(p[name] / want - 1) < share, (name, p[name])
held, asked = x["predictions"]
assert held["name"] == "r43" and abs(held["laws"]["Hoffmann"]["off"]) < 1e-4, held
want = 1.8 + 400 / 70e6**0.35 + 500 / 1.4e9**0.3
assert abs(asked["laws"]["Hoffmann"]["value"] / want - 1) < 1e-3 and asked["actual"] is None
n, d = (x["optima"][0][k]["value"] for k in ("parameters", "tokens"))
g = (0.35 * 400 / (0.3 * 500)) ** (1 / 0.65)
assert abs(6 * n * d / 1e18 - 1) < 1e-6 and abs(n / (g * (1e18 / 6) ** (0.3 / 0.65)) - 1) < 0.02, (n, d)
page = open(sys.argv[2]).read()
assert "<svg" in page and "<script" not in page and "http" not in page and ">nan" not in page
PY

cat >"$tmp/config.json" <<'JSON'
{"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 300, "n_positions": 64}
JSON
for i in $(seq 400); do echo "The $i hares ran over $((i % 7)) hills and $((i % 11)) rivers."; done >"$tmp/data.txt"
head -40 "$tmp/data.txt" | rev >"$tmp/eval.txt"
plan="$socle scale plan --config $tmp/config.json --alphabet bytes --length 16 --batch 2"
refused 1 'too small a budget: 10 steps of a model of' $plan --budget 1M
refused 1 "the ladder's 4 runs take .* operations, the budget is 1M: fewer" $plan --budget 1M --size 10k,20k --tokens 1k,2k
refused 2 '--budget is needed' $plan
refused 2 '--size and --tokens go together' $plan --size 10k
refused 2 '--size and --tokens are numbers' $plan --size 10k --tokens many
refused 1 'a ladder needs data to train on' $plan --size 10k,20k --tokens 1k,2k --out "$tmp/none"
refused 1 'a ladder needs data for evaluation' $plan --size 10k,20k --tokens 1k,2k --out "$tmp/none" --data "$tmp/data.txt"
refused 1 'no ladder is planned there' "$socle" scale run "$tmp/none"
printf 'n\td\tloss\n1e6\t1e7\tx\n' >"$tmp/bad.tsv"
refused 1 "bad.tsv:2: 'x' is no number" "$socle" scale fit "$tmp/bad.tsv"
printf 'n\td\tloss\n1e6\t1e7\t3\n' >"$tmp/one.tsv"
refused 1 '1 runs cannot tell the law' "$socle" scale fit "$tmp/one.tsv"
: >"$tmp/empty.jsonl"
refused 1 'no runs in it' "$socle" scale fit "$tmp/empty.jsonl"

$plan --size 6k,12k,24k --tokens 1k,2k,4k --data "$tmp/data.txt" --eval-data "$tmp/eval.txt" --out "$tmp/ladder" -q >"$tmp/plan" ||
    fail "scale plan: exit code $?"
grep -q '^9 runs, ' "$tmp/plan" || fail "the plan: $(cat "$tmp/plan")"
"$socle" scale run "$tmp/ladder" --tasks add,unscramble --count 5 -q >"$tmp/run" || fail "scale run: exit code $?"
[ "$(grep -c ' loss [0-9]' "$tmp/run")" = 9 ] || fail "the runs: $(cat "$tmp/run")"
[ "$(wc -l <"$tmp/ladder/points.jsonl")" = 9 ] || fail "points.jsonl: $(cat "$tmp/ladder/points.jsonl")"
"$socle" scale fit "$tmp/ladder" --bootstrap 20 -q >"$tmp/fit" || fail "scale fit of the ladder: exit code $?"
grep -q 'off by ' "$tmp/fit" || fail "no prediction beside the loss: $(cat "$tmp/fit")"
grep -q 'Abilities' "$tmp/ladder/report.html" || fail "report.html has no abilities"
refused 1 'there is a ladder already' $plan --size 6k,12k --tokens 1k,2k --data "$tmp/data.txt" --eval-data "$tmp/eval.txt" \
    --out "$tmp/ladder"
exit $bad
