#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The first half of a model's life on two cores, in less than ten minutes: a made crawl, its cleaning, a tokenizer, a small
# model of two languages, a ladder with its scaling law, samples and tasks; report.html has all of it. Run again, it goes on
# where it was stopped. usage: demo.sh [FOLDER]   DEMO_SCALE=0.2 makes everything smaller, 3 larger.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
socle=${SOCLE:-$root/build/socle}
out=${1:-$root/build/demo}
scale=${DEMO_SCALE:-1}
mkdir -p "$out"
cd "$out"
printf '%s' "$scale" | grep -Eq '^[0-9]*\.?[0-9]+$' || { echo "demo: DEMO_SCALE is a number, not '$scale'" >&2; exit 2; }
if [ -f scale ] && [ "$(cat scale)" != "$scale" ]; then
    echo "demo: $out was begun with DEMO_SCALE=$(cat scale); another folder, or rm -r it" >&2
    exit 1
fi
printf '%s\n' "$scale" >scale

# Whole numbers that grow with DEMO_SCALE.
times() { awk -v a="$1" -v b="$scale" 'BEGIN { n = int(a * b); print n < 1 ? 1 : n }'; }

# Runs of few tokens need small batches, to have enough steps.
batch=$(awk -v b="$scale" 'BEGIN { print b < 0.3 ? 4 : 16 }')

# step NAME COMMAND...: once; its words and its seconds stay in steps/.
mkdir -p steps
step() {
    local name=$1 begun
    shift
    [ -f "steps/$name.seconds" ] && return
    printf '== %s\n' "$name" >&2
    begun=$(date +%s)
    "$@" 2>&1 | tee "steps/$name.log" >&2
    printf '%s' $(($(date +%s) - begun)) >"steps/$name.part"
    mv "steps/$name.part" "steps/$name.seconds"
}

made_crawl() {
    "$socle" data make crawl --seed 1 --count "$(times 20000)" --out crawl.warc.gz
    "$socle" data make crawl --seed 1 --count "$(times 20000)" --out crawl.jsonl # the same pages with what each is
    "$socle" data make two_facts --seed 1 --split eval --count 400 --out asked.jsonl
    "$socle" data make corpus --seed 1 --size "$(times 8192)K" --out lessons.jsonl
    "$socle" data make corpus --seed 1 --split eval --size 160K --out eval.jsonl
}

# What tells languages apart is learned from the translated messages of the programs that are installed; where those are too
# few, the crawl keeps its pages in other languages.
languages() {
    "$socle" languages train --most 1000 --least 300 --out languages.ftz || echo "no languages are told apart"
}

# The crawl's pages become text and are cleaned; lessons (tasks, few-shot, conversations) come in as they are.
cleaned() {
    local languages=
    [ -f languages.ftz ] && languages='{"stage": "languages", "model": "languages.ftz", "keep": ["en", "ko"]},'
    cat >clean.json <<JSON
{
  "sources": [{"path": "crawl.warc.gz", "name": "crawl", "domain": "web"}],
  "stages": [
    {"stage": "extract"},
    {"stage": "unicode"},
    $languages
    {"stage": "length", "min_chars": 200},
    {"stage": "quality", "groups": ["repetition", "gopher"]},
    {"stage": "harmful"},
    {"stage": "personal"},
    {"stage": "duplicates"},
    {"stage": "near_duplicates", "threshold": 0.7},
    {"stage": "decontaminate", "against": ["asked.jsonl"], "fields": ["prompt"], "min_n": 4}
  ],
  "documents": true
}
JSON
    "$socle" data run --config clean.json --out clean
}

tokenizer() {
    "$socle" tokenizer train --size 3000 --pattern llama3 --special '<|endoftext|>' --eos '<|endoftext|>' tok \
        clean/documents/* lessons.jsonl
}

shards() {
    cat >shards.json <<'JSON'
{
  "sources": [
    {"path": "clean/documents/*", "name": "crawl"},
    {"path": "lessons.jsonl", "name": "lessons"}
  ],
  "stages": [
    {"stage": "mix", "by": "source", "weights": {"crawl": 0.5, "lessons": 0.5}},
    {"stage": "tokens"}
  ],
  "tokenizer": "tok"
}
JSON
    "$socle" data run --config shards.json --out shards
}

config() { # width layers
    cat <<JSON
{
  "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
  "vocab_size": 3000, "hidden_size": $1, "intermediate_size": $(($1 * 3)), "num_hidden_layers": $2,
  "num_attention_heads": $(($1 / 32)), "num_key_value_heads": $(($1 / 32)), "head_dim": 32,
  "max_position_embeddings": 256, "rms_norm_eps": 1e-5, "tie_word_embeddings": true,
  "rope_theta": 10000.0, "initializer_range": 0.02
}
JSON
}

trained() {
    mkdir -p base
    config 128 4 >base/config.json
    local resume=()
    [ -f model/trainer_state.json ] && resume=(--resume)
    "$socle" train --config base/config.json --tokenizer tok --data shards --eval-data eval.jsonl --out model \
        --steps "$(times 1600)" --batch "$batch" --length 128 --lr 3e-3 --warmup 0.05 --save-every 200 --eval-every 200 \
        --prompt 'One rainy afternoon ' --prompt '어느 날 아침 ' --prompt $'Question: What is 3 + 4?\nAnswer:' \
        --sample-every 400 --sample-tokens 60 "${resume[@]}"
}

ladder() {
    [ -f ladder/ladder.json ] || "$socle" scale plan --config base/config.json --tokenizer tok --data shards \
        --eval-data eval.jsonl --size 60k,150k,350k --tokens "$(times 250)k,$(times 600)k,$(times 1500)k" --length 128 \
        --batch "$batch" --lr 3e-3 --out ladder
    "$socle" scale run ladder --tasks add,unscramble,sentiment --count "$(times 40)"
    "$socle" scale fit ladder
}

sampled() {
    local prompt
    cat >texts.txt <<'TEXT'
One rainy afternoon Mira lost her green umbrella.
비 오는 어느 오후에 미라는 초록색 우산을 잃어버렸다.
Question: What is 478 + 256?
for i in range(1, 8): total += i * 4
TEXT
    "$socle" tokenize --lines --spans tok texts.txt >spans.jsonl
    while IFS= read -r prompt; do
        printf '%s\t%s\n' "$prompt" "$("$socle" run model --raw -n 60 --temperature 0.7 --seed 1 -- "$prompt" | tr '\n\t' '  ')"
    done >samples.part <<'TEXT'
Mira lost her
In the market of
어느 날 저녁
질문: 3 더하기 4는 얼마인가?
English: a red umbrella
def price(x):
TEXT
    mv samples.part samples.tsv
}

step crawl made_crawl
step languages languages
step clean cleaned
step tokenizer tokenizer
step shards shards
step train trained
step ladder ladder
step samples sampled
python3 "$root/scripts/demo_report.py" "$out"
echo "$out/report.html"
