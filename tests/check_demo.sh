#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The demonstration, made very small: it comes to its end, goes on after it was stopped, and its page has all of its parts.
set -u
root=${SOCLE_SOURCE_DIR:-$(cd "$(dirname "$0")/.." && pwd)}
export SOCLE=${SOCLE:?run by ctest}
export DEMO_SCALE=0.03
[ -z "${SOCLE_SANITIZE:-}" ] || { echo "skipped: too slow under sanitizers"; exit 77; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
bad=0
fail() { echo "FAIL: $*"; bad=1; }
run() { "$root/scripts/demo.sh" "$tmp/demo" >"$tmp/out" 2>"$tmp/log"; }

# Without the step that learns languages, which takes longer than all others at this size.
mkdir -p "$tmp/demo/steps"
printf 0 >"$tmp/demo/steps/languages.seconds"

# Stopped before the model: the second time only what is missing is made.
mkdir "$tmp/bin"
printf '#!/bin/bash\n[ "$1" = train ] && exit 1\nexec "%s" "$@"\n' "$SOCLE" >"$tmp/bin/socle"
chmod +x "$tmp/bin/socle"
if SOCLE=$tmp/bin/socle run; then fail "a step that fails does not end it"; fi
[ -f "$tmp/demo/steps/shards.seconds" ] && [ ! -f "$tmp/demo/steps/train.seconds" ] || fail "what was done is not kept"
before=$(stat -c %Y.%i "$tmp/demo/crawl.warc.gz")
run || { cat "$tmp/log"; fail "it does not come to its end"; }
[ "$before" = "$(stat -c %Y.%i "$tmp/demo/crawl.warc.gz")" ] || fail "the crawl was made again"
[ "$(tail -1 "$tmp/out")" = "$tmp/demo/report.html" ] || fail "it does not say where the page is"
for part in 'A made crawl' 'Cleaning' 'near-copy' 'Tokenizer' 'Shards of tokens' 'Pre-training' 'Ladder and laws' 'Samples' 'Conversations and pairs' 'Fine-tuning' 'Reward model' \
    'PPO' 'DPO' 'What a judge says' 'Comparison' 'Where they disagree' 'Chat' '<svg'; do
    grep -q "$part" "$tmp/demo/report.html" || fail "the page has no $part"
done
grep -qE '(src|href)="?https?:|<script' <(sed 's/<pre>.*//' "$tmp/demo/report.html" | grep -v '&lt;') && fail "the page needs something from outside"
DEMO_SCALE=0.04 run && fail "another scale in the same folder"
grep -q 'begun with DEMO_SCALE=0.03' "$tmp/log" || fail "what it says of another scale"
[ "$bad" = 0 ] && echo "the demonstration goes through"
exit "$bad"
