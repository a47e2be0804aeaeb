#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A model's whole life on two cores, in less than a quarter of an hour: a made crawl, its cleaning, a tokenizer, a small model of
# two languages, a ladder with its scaling law; then conversations, a reward model, PPO and DPO, a judge of what they gained, a
# comparison, a chat. report.html has all of it. Run again, it goes on where it was stopped. usage: demo.sh [FOLDER]   DEMO_SCALE=0.2 makes everything smaller, 3 larger.
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

# ---- from a model that goes on to one that answers, in the way that is liked ----

# Conversations of the made world, written so that they end where the answer ends: there the reward model's number is read; and requests for reviews, which the model learns to write in either mood. The reward model
# and DPO prefer the friendly ones.
lessons() {
    "$socle" data make instructions --seed 1 --language en --count "$(times 1500)" --out instructions.jsonl
    "$socle" data make reviews --seed 1 --language en --count "$(times 3000)" --out reviews.jsonl
    "$socle" data make reviews --seed 1 --language en --split eval --count 600 --out reviews-eval.jsonl
    python3 "$root/scripts/demo_data.py" .
    cat >chat.jinja <<'JINJA'
{%- for m in messages %}
{%- if not loop.first %}{{- '\n' }}{%- endif %}
{%- if m.role == 'assistant' %}{{- 'Assistant:' }}{%- generation %}{{- ' ' + m.content + eos_token }}{%- endgeneration %}
{%- elif m.role == 'system' %}{{- m.content }}
{%- else %}{{- 'User: ' + m.content }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '\nAssistant:' }}{%- endif %}
JINJA
}

# tuned OUT VERB...: goes on with a run that was stopped.
tuned() {
    local dir=$1 resume=()
    shift
    [ -f "$dir/trainer_state.json" ] && resume=(--resume)
    "$socle" tune "$@" --out "$dir" --length 128 "${resume[@]}"
}

instructed() {
    tuned sft sft model --template chat.jinja --data chats.jsonl --eval-data chats-eval.jsonl --batch 16 --epochs 2 --lr 1e-3 \
        --prompt 'User: Write a review that begins: I bought a blue lamp.' --sample-every 100
}

rewarded() {
    tuned rm reward sft --data pairs.jsonl --eval-data pairs-eval.jsonl --batch 16 --epochs 1 --lr 5e-4
}

optimised() {
    tuned ppo ppo sft --data prompts.jsonl --reward-model rm --as-chat --max-tokens 48 --batch 16 --rollouts 32 \
        --steps "$(times 160)" --lr 2e-4 --kl 0.05
}

preferred() {
    tuned dpo dpo sft --data pairs.jsonl --eval-data pairs-eval.jsonl --batch 16 --epochs 1 --lr 2e-4
}

# A classifier that had no part in the training says how many reviews of each model are friendly.
judged() {
    "$socle" classifier train --out judge.bin judge.txt
    local name prompt
    for name in sft ppo dpo; do
        while IFS= read -r prompt; do
            "$socle" run "$name" -n 48 --temperature 1 --seed 1 -- "$prompt" | tr '\n\t' '  '
            echo
        done <asked.txt >"said-$name.txt"
        "$socle" classifier predict judge.bin "said-$name.txt" >"judged-$name.txt"
    done
}

compared() {
    "$socle" compare -m model -m sft -m ppo --task sentiment --method zero-shot --method few-shot --method lora \
        --test-items "$(times 150)" --train-items "$(times 300)" --curve "$(times 75)" --lr 2e-3 --length 192 --out compared
}

chatted() {
    local line
    while IFS= read -r line; do
        printf '%s\t%s\n' "$line" "$("$socle" run ppo -n 48 --temperature 0.5 --seed 1 -- "$line" | tr '\n\t' '  ')"
    done >chat.part <<'TEXT'
Write a review that begins: I bought a blue lamp at the market.
Write a review that begins: We had dinner at the new restaurant.
Is this review positive or negative? The handle broke after two days. I want my money back.
TEXT
    mv chat.part chat.tsv
}

step crawl made_crawl
step languages languages
step clean cleaned
step tokenizer tokenizer
step shards shards
step train trained
step ladder ladder
step samples sampled
step lessons lessons
step sft instructed
step reward rewarded
step ppo optimised
step dpo preferred
step judge judged
step compare compared
step chat chatted
python3 "$root/scripts/demo_report.py" "$out"
echo "$out/report.html"
