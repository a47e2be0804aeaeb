#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# socle compare and socle merge from the command line, with a tiny model: every method, stopping and going on, adding to a
# folder, and what is refused.
set -u
root=${SOCLE_SOURCE_DIR:-$(cd "$(dirname "$0")/.." && pwd)}
socle=${SOCLE:?run by ctest}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp" || exit 1
bad=0
fail() { echo "FAIL: $*"; bad=1; }

cp -r "$root/tests/data/chat_model" model
cp -r model other
for i in $(seq 1 60); do
    [ $((i % 2)) = 0 ] && echo "\"what is $i, then\",even" || echo "\"what is $i, then\",odd"
done >rows.part
{ echo input,answer; cat rows.part; } >rows.csv
compare() { "$socle" compare --task rows.csv --test-items 12 --train-items 20 --think-tokens 6 --samples 2 --epochs 1 --out cmp "$@" >out.txt 2>err.txt; }

# All methods; what one cannot do is told, and the others are there.
compare -m model --method zero-shot --method one-shot --method few-shot --method cot --method self-consistency --method best-of-n --method few-shot:2 --method tree \
    --method prompt-tuned --method lora --method full --curve 8 || { cat err.txt; fail "it does not come to its end"; }
for method in zero-shot one-shot few-shot few-shot:2 cot self-consistency best-of-n tree prompt-tuned lora full; do
    grep -qE "^\| model \| $method \| [0-9]+ \| \**[0-9.]+%" out.txt || { grep "$method" out.txt; fail "no result of $method"; }
    [ "$(wc -l <"$(echo cmp/cells/model/${method/:/-}-*seed0/items.jsonl | cut -d' ' -f1)")" = 12 ] || fail "$method has not answered all"
done
[ "$(grep -c '| lora | 8 |' out.txt)" = 1 ] || fail "no point of a learning curve"
grep -q 'Learning curves' cmp/report.html || fail "the page has no learning curve"
python3 -c "import json; r = json.load(open('cmp/results.json')); assert len(r['results']) == 14 and r['pairs'], r" || fail "results.json"

# The same again does nothing; a model and a method are added; an answer that is gone is given again, the same.
before=$(cat cmp/cells/model/*/items.jsonl | cksum)
compare -m model --method zero-shot --method few-shot || fail "the same again"
compare -m model -m other --method zero-shot --method cot || fail "another model"
grep -q '| other | cot |' out.txt || fail "a model that was added"
[ "$before" = "$(cat cmp/cells/model/*/items.jsonl | cksum)" ] || fail "what was done was done again"
strip() { sed 's/,"seconds":[^,}]*//' "$1"; }
strip cmp/cells/model/few-shot-seed0/items.jsonl >whole
head -c 400 cmp/cells/model/few-shot-seed0/items.jsonl >cut && mv cut cmp/cells/model/few-shot-seed0/items.jsonl
rm cmp/cells/model/few-shot-seed0/cell.json
compare -m model --method few-shot || fail "after an answer was torn"
strip cmp/cells/model/few-shot-seed0/items.jsonl | cmp -s - whole || fail "a cell that was stopped does not come to the same answers"

refused() { # CODE WORDS COMMAND...
    local code=$1 words=$2
    shift 2
    "$@" >out.txt 2>err.txt
    [ $? = "$code" ] || { cat err.txt; fail "$*: not exit code $code"; }
    grep -q "$words" err.txt || { cat err.txt; fail "$*: not '$words'"; }
}
refused 1 'begun with another shots' compare -m model --shots 3
refused 1 'no way of asking is called' "$socle" compare -m model --task rows.csv --method magic --out new
refused 1 'no such file\|not found\|no such model\|No such file' "$socle" compare -m ./nowhere --task rows.csv --out new
refused 2 'out DIR is needed' "$socle" compare -m model --task rows.csv
refused 2 'no --model' "$socle" compare --task rows.csv --out new
refused 2 '1e6 is not\|4G' "$socle" compare -m model --task rows.csv --memory lots --out new
refused 2 'ANSWER=WORD' "$socle" compare -m model --task rows.csv --label x --out new
refused 1 'given twice' "$socle" compare -m model -m model --task rows.csv --out new
# What needs more memory is left out with its reason, and the command comes to its end.
"$socle" compare -m model --task rows.csv --test-items 4 --method zero-shot --method full --memory 200000 --out small >out.txt 2>err.txt ||
    fail "a limit of memory ends everything"
grep -q 'needs more than' out.txt || fail "no reason for what is left out"

# A model behind an endpoint is asked like one here, and not trained.
mkfifo hold
python3 "$root/tests/ask_server.py" log <hold >port &
exec 3>hold
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
"$socle" compare --api "http://127.0.0.1:$(cat port)/v1" --api-model somebody -m model --task rows.csv --test-items 6 --train-items 9 \
    --method zero-shot --method few-shot --method lora --epochs 1 --out api >out.txt 2>err.txt || { cat err.txt; fail "an endpoint"; }
exec 3>&-
if grep -q 'without libcurl' out.txt; then
    echo "built without libcurl: endpoints are not asked"
else
    grep -qE '^\| somebody \| few-shot \| 5 \| \**[0-9.]+%' out.txt || { cat out.txt; fail "no answers of an endpoint"; }
    grep -qE '^\| somebody \| lora .*is not trained' out.txt || fail "it is not told that an endpoint is not trained"
    grep -qE '^\| model \| lora \| 9 \| \**[0-9.]+%' out.txt || fail "a model here beside an endpoint"
fi

# Merging, from the command line: a model with itself is itself.
"$socle" merge -q model other --out merged 2>err.txt || { cat err.txt; fail "merge"; }
[ "$("$socle" run model -n 8 --raw -- "a b" 2>/dev/null)" = "$("$socle" run merged -n 8 --raw -- "a b" 2>/dev/null)" ] || fail "a merged model"
[ -f merged/tokenizer.json ] || fail "the merged model has no tokenizer"
refused 2 'weight for' "$socle" merge model other --weight 1 --out merged2
refused 2 'is no number' "$socle" merge model other --weight 1 --weight x --out merged2
refused 2 'position is for slerp' "$socle" merge model other --position 0.2 --out merged2
refused 1 'needs a base' "$socle" merge model other --method ties --out merged2

[ "$bad" = 0 ] && echo "comparisons and merges go through"
exit "$bad"
