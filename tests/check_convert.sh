#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The verbs convert and quantize as they are typed: files, messages, exit codes.
set -u
: "${SOCLE_SOURCE_DIR:=$(cd "$(dirname "$0")/.." && pwd)}"
: "${SOCLE:=$SOCLE_SOURCE_DIR/build/socle}"
models=$SOCLE_SOURCE_DIR/tests/data/models
tmp=$(mktemp -d)
trap 'rm -r "$tmp"' EXIT
failed=0

# expect CODE TEXT ARG...: socle ARG... ends with CODE and says TEXT on stderr, nothing on stdout.
expect()
{
    local code=$1 text=$2 got
    shift 2
    "$SOCLE" "$@" > "$tmp/out" 2> "$tmp/err"
    got=$?
    if [ $got -ne "$code" ] || { [ -n "$text" ] && ! grep -qF -- "$text" "$tmp/err"; } || [ -s "$tmp/out" ]; then
        echo "FAIL: socle $*: exit $got, not $code with '$text':"
        cat "$tmp/err"
        failed=1
    fi
}

same()
{
    cmp -s "$1" "$2" || { echo "FAIL: $1 is not $2"; failed=1; }
}

there()
{
    for file; do [ -s "$file" ] || { echo "FAIL: no $file"; failed=1; }; done
}

expect 0 'no tokenizer' convert "$models/llama_bias" "$tmp/a.gguf"
expect 0 'tensors' convert "$tmp/a.gguf" "$tmp/back"
there "$tmp/back/config.json" "$tmp/back/model.safetensors" "$tmp/back/generation_config.json"
expect 0 'tensors' convert "$tmp/back" "$tmp/again"
same "$tmp/back/model.safetensors" "$tmp/again/model.safetensors"
expect 0 'bits a weight' quantize "$tmp/a.gguf" "$tmp/q.gguf" Q8_0
expect 0 'do not fit q8_0; f16 instead' quantize "$models/llama" "$tmp/q.gguf" q8_0 --output-type f32
expect 0 '' quantize "$models/llama" "$tmp/q.gguf" bf16 --quiet
[ -s "$tmp/err" ] && { echo 'FAIL: --quiet says something'; failed=1; }

expect 1 "no type 'q9'" quantize "$tmp/a.gguf" "$tmp/none.gguf" q9
expect 1 'safetensors have no type' convert "$tmp/a.gguf" "$tmp/none" --type q4_0
expect 1 'onto itself' convert "$tmp/a.gguf" "$tmp/a.gguf"
expect 1 '/nowhere' convert /nowhere/model.gguf "$tmp/none.gguf"
expect 1 '/nowhere' convert "$tmp/a.gguf" /nowhere/model.gguf
expect 2 'must end in .gguf' quantize "$tmp/a.gguf" "$tmp/none" q8_0
[ -e "$tmp/none" ] || [ -e "$tmp/none.gguf" ] && { echo 'FAIL: a failure left a file'; failed=1; }
exit $failed
