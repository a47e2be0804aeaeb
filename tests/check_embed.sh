#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The verbs embed, similarity, neighbors, fill, classify and vectors as they are typed: answers, files, messages, exit codes.
set -u
: "${SOCLE_SOURCE_DIR:=$(cd "$(dirname "$0")/.." && pwd)}"
: "${SOCLE:=$SOCLE_SOURCE_DIR/build/socle}"
models=$SOCLE_SOURCE_DIR/tests/data/encoders
words=$SOCLE_SOURCE_DIR/tests/data/vectors
tmp=$(mktemp -d)
trap 'rm -r "$tmp"' EXIT
failed=0

fail() { echo "FAIL: $*"; failed=1; }

# says TEXT ARG...: socle ARG... ends well and its answer has a line that matches TEXT.
says()
{
    local text=$1
    shift
    "$SOCLE" "$@" > "$tmp/out" 2> "$tmp/err" || { fail "socle $*: exit $?"; cat "$tmp/err"; }
    grep -qE -- "$text" "$tmp/out" || { fail "socle $*: no '$text' in:"; cat "$tmp/out"; }
}

# refuses CODE TEXT ARG...: it ends with CODE and one line with TEXT on stderr.
refuses()
{
    local code=$1 text=$2 got
    shift 2
    "$SOCLE" "$@" > "$tmp/out" 2> "$tmp/err" < /dev/null
    got=$?
    if [ $got -ne "$code" ] || ! grep -qF -- "$text" "$tmp/err" || [ -s "$tmp/out" ]; then
        fail "socle $*: exit $got, not $code with '$text':"
        cat "$tmp/err"
    fi
}

embed=$models/bert_embed
printf 'the cat sleeps\na dog runs\nparis is the capital of france\n' > "$tmp/lines.txt"
printf '{"body": "the cat sleeps"}\n{"body": "a dog runs", "id": 2}\n\n"paris is the capital of france"\n' > "$tmp/lines.jsonl"

says '^\{"index": 2, "embedding": \[-?[0-9.e-]+(, -?[0-9.e-]+){6}\]\}$' embed "$embed" "$tmp/lines.txt" -q
cp "$tmp/out" "$tmp/want"
says index embed "$embed" "$tmp/lines.jsonl" --field body -q
cmp -s "$tmp/out" "$tmp/want" || fail "JSON lines give other vectors"
"$SOCLE" embed "$embed" -q < "$tmp/lines.txt" | cmp -s - "$tmp/want" || fail "standard input gives other vectors"
"$SOCLE" embed "$embed" "$tmp/lines.txt" -o "$tmp/x.jsonl" -q -t 1 && cmp -s "$tmp/x.jsonl" "$tmp/want" || fail "a file has other vectors"
"$SOCLE" embed "$embed" "$tmp/lines.txt" -o "$tmp/x.npy" -q && [ "$(wc -c < "$tmp/x.npy" | tr -d ' ')" -eq $((128 + 3 * 7 * 4)) ] || fail "x.npy is not 128 bytes and 21 numbers"
head -c 6 "$tmp/x.npy" | grep -qa NUMPY || fail "x.npy is no NumPy file"
"$SOCLE" embed "$embed" "$tmp/lines.txt" -o "$tmp/x.safetensors" -q || fail "x.safetensors was not written"
grep -qa '"embeddings":{"dtype":"F32","shape":\[3,7\]' "$tmp/x.safetensors" || fail "x.safetensors is not three vectors of 7"
tail -c $((3 * 7 * 4)) "$tmp/x.npy" | cmp -s - <(tail -c $((3 * 7 * 4)) "$tmp/x.safetensors") || fail "x.npy and x.safetensors differ"
says '^1\.0000$' similarity "$embed" 'a dog runs' 'a dog runs' -q
says '^1\.0000	a dog runs$' neighbors "$embed" "$tmp/lines.txt" 'a dog runs' -k 1 -q
says '"line": 2, "text": "a dog runs"' neighbors "$embed" "$tmp/lines.txt" 'a dog runs' -k 1 -j -q
says '^0\.[0-9]{4}	[^ ]+$' fill "$models/bert_fill" 'paris is the [MASK] of france' -k 2 -q
says '"gap": 1' fill "$models/bert_fill" '[MASK] is [MASK]' -k 1 -j -q
says '^0\.[0-9]{4}	LABEL_[012]$' classify "$models/bert_classes" 'the cat sleeps' -q
says '^\{"LABEL_[012]": 0\.' classify "$models/bert_classes" 'the cat' --pair 'a dog' -j -q
says '^0\.[0-9]{4}	(PER|LOC)	' classify "$models/bert_tags" 'ada lives in london' -q
says '^0\.[0-9]{4}	' classify "$models/bert_span" 'where is ada ?' --pair 'ada lives in london .' -q
says '^\{"probability": 0\.[0-9]+, "begin": [0-9]+, "end": [0-9]+, "text": "[a-z .]+"\}$' \
    classify "$models/bert_span" 'where is ada ?' --pair 'ada lives in london .' -q -j
long=$(printf 'a %.0s' {1..200})
"$SOCLE" classify "$models/bert_classes" "$long" > "$tmp/out" 2> "$tmp/err" || fail "a long text is not classified"
grep -q 'tokens is classified by its first' "$tmp/err" || fail "nothing says that a long text is cut"
refuses 1 'tokens for a model of' fill "$models/bert_fill" "$long [MASK]" -q
printf 'a dog \xff\n' > "$tmp/bytes.txt"
refuses 1 'not UTF-8' neighbors "$embed" "$tmp/bytes.txt" 'a dog' -q -j
[ "$("$SOCLE" classify "$models/bert_multi" -f "$tmp/lines.txt" -q | grep -c LABEL)" -eq 6 ] || fail "three texts have not three answers"

says '^0\.[0-9]+	queen$' vectors analogy "$words/glove.txt" 'king - man + woman' -k 1 -q
says '^0\.[0-9]+	queen$' vectors analogy "$words/word2vec.bin" king man woman -k 1 -q
says '^all .* 3 of 6, 1 skipped$' vectors eval "$words/glove.txt" "$words/questions.txt" -q
says '^spearman 0\.2319, pearson 0\.0921 over 6 pairs, 1 skipped$' vectors eval "$words/glove.txt" "$words/pairs.txt" -q
says '^kingdom( -?[0-9.e-]+){5}$' vectors get "$words/sub.bin" kingdom -q
says '	' vectors neighbors "$words/sub.bin" king unheardof -q

refuses 1 'this model has no head that fills gaps' fill "$models/bert_classes" '[MASK]'
refuses 1 'the text has no gap: [MASK] marks one' fill "$models/bert_fill" 'paris'
refuses 1 'has no head that classifies texts' classify "$models/bert_fill" 'paris'
refuses 2 '--pair TEXT is the text to look in' classify "$models/bert_span" 'who ?'
refuses 1 'has no prompt' embed "$embed" "$tmp/lines.txt" --prompt-name passage
refuses 2 'exclude each other' embed "$embed" "$tmp/lines.txt" --prompt a --prompt-name b
refuses 2 '--output must end in' embed "$embed" "$tmp/lines.txt" -o "$tmp/x.csv"
refuses 1 "line 1 has no text 'text'" embed "$embed" "$tmp/lines.jsonl"
refuses 1 'reads text and generates none' run "$embed" 'hello'
refuses 1 "no vector for 'uncle'" vectors get "$words/glove.txt" uncle
refuses 1 'no questions' vectors eval "$words/glove.txt" /dev/null
refuses 2 "no verb 'vectors find'" vectors find "$words/glove.txt" king
refuses 1 'line 1 is no word with 3 numbers' vectors get "$tmp/lines.jsonl" king

# What contradicts itself is told in one line.
broken() # NAME FILE OLD NEW: a copy of the embedding model with a file changed
{
    rm -rf "$tmp/$1"
    cp -r "$embed" "$tmp/$1"
    chmod -R u+w "$tmp/$1"
    sed "s/$3/$4/" "$embed/$2" > "$tmp/$1/$2"
}
broken wide config.json '"hidden_size": 12' '"hidden_size": 15'
refuses 1 'has shape' embed "$tmp/wide" "$tmp/lines.txt"
broken heads config.json '"num_attention_heads": 3' '"num_attention_heads": 5'
refuses 1 'is not a multiple of num_attention_heads' embed "$tmp/heads" "$tmp/lines.txt"
broken module modules.json 'models.Dense' 'models.Router'
refuses 1 "module 'Router' is not known" embed "$tmp/module" "$tmp/lines.txt"
broken dense 2_Dense/config.json '"in_features": 12' '"in_features": 13'
refuses 1 'has shape' embed "$tmp/dense" "$tmp/lines.txt"
broken pool 1_Pooling/config.json 'pooling_mode_mean_tokens": true' 'pooling_mode_mean_tokens": false'
refuses 1 'pooling_mode' embed "$tmp/pool" "$tmp/lines.txt"
# Weights that are not numbers give no answer, where one would look like any other.
damaged() # MODEL: a copy with the end of its weights overwritten
{
    rm -rf "$tmp/damaged"
    cp -r "$models/$1" "$tmp/damaged"
    chmod -R u+w "$tmp/damaged"
    size=$(stat -c %s "$tmp/damaged/model.safetensors")
    { head -c $((size - 4000)) "$models/$1/model.safetensors"; head -c 4000 /dev/zero | tr '\0' '\377'; } > "$tmp/damaged/model.safetensors"
}
damaged bert_embed
refuses 1 'a vector that is not of numbers' embed "$tmp/damaged" "$tmp/lines.txt"
refuses 1 'a vector that is not of numbers' similarity "$tmp/damaged" a b
damaged bert_classes
refuses 1 'is not a number' classify "$tmp/damaged" hi --json
damaged bert_tags
refuses 1 'is not a number' classify "$tmp/damaged" hi
damaged bert_span
refuses 1 'is not a number' classify "$tmp/damaged" hi --pair foo
damaged bert_fill
refuses 1 'is not a number' fill "$tmp/damaged" 'a [MASK]'

broken class config.json 'BertModel' 'BertForMultipleChoice'
refuses 1 'has a head that is not known' embed "$tmp/class" "$tmp/lines.txt"
broken path modules.json '1_Pooling"' '..\/1_Pooling"'
refuses 1 'modules.json' embed "$tmp/path" "$tmp/lines.txt"

exit $failed
