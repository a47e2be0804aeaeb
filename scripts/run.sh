#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Answers PROMPT (from the environment) with the default model, or opens a chat.
set -eu
cd "$(dirname "$0")/.."
model=$(scripts/fetch-model.sh)
if [ -n "${PROMPT:-}" ]; then
    exec build/socle run "$model" -- "$PROMPT"
fi
[ -t 0 ] || exec build/socle run "$model"
# A process group of its own: Ctrl-C in the chat stops an answer, and must not reach the make that started this.
set -m
build/socle run "$model"
