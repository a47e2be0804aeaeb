#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Answers PROMPT (from the environment) with the default model, or opens a chat.
set -eu
cd "$(dirname "$0")/.."
model=$(scripts/fetch-model.sh)
if [ -n "${PROMPT:-}" ]; then
    exec build/socle run "$model" -- "$PROMPT"
fi
exec build/socle run "$model"
