#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A real ladder on the project's own sources and documents: its law says the loss of the largest run before that is looked at.
#   bench/ladder.sh [SOCLE [FOLDER [SEED]]]    about a minute of one core
set -eu
socle=${1:-build/socle}
out=${2:-$(mktemp -d)}
seed=${3:-0}
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$out"
: >"$out/train.txt"
: >"$out/eval.txt"
# The beginning of every twentieth file is what losses are measured on.
n=0
while read -r file; do
    if [ $((n % 20)) = 7 ] && [ "$(wc -c <"$out/eval.txt")" -lt 60000 ]; then
        head -c 6000 "$root/$file" | iconv -c -f UTF-8 -t UTF-8 >>"$out/eval.txt"
    else
        cat "$root/$file" >>"$out/train.txt"
    fi
    n=$((n + 1))
done < <(cd "$root" && find src include docs tests -name '*.c' -o -name '*.h' -o -name '*.md' | grep -v -e unicode -e lexicon | LC_ALL=C sort)
cat >"$out/config.json" <<'JSON'
{"model_type": "llama", "hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 8, "num_key_value_heads": 8,
 "intermediate_size": 384, "vocab_size": 300, "max_position_embeddings": 128, "tie_word_embeddings": true}
JSON
"$socle" scale plan --config "$out/config.json" --size 10.9k,21k,35k,52k --tokens 400k,700k,1200k --alphabet bytes --length 128 \
    --batch 4 --lr 3e-3 --warmup 0.1 --seed "$seed" --data "$out/train.txt" --eval-data "$out/eval.txt" --out "$out/ladder"
"$socle" scale run "$out/ladder" -t 1
"$socle" scale fit "$out/ladder"
grep -m1 'model name' /proc/cpuinfo | sed 's/.*: //'
