#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# docs/models.md is what the command makes of its registry, and every model type has its row.
set -eu
root=${SOCLE_SOURCE_DIR:-$(cd "$(dirname "$0")/.." && pwd)}
socle=${SOCLE:-$root/build/socle}
page=$(mktemp)
trap 'rm -f "$page"' EXIT
"$socle" list --families --markdown >"$page"
cmp "$page" "$root/docs/models.md" || { echo "docs/models.md is not what 'socle list --families --markdown' prints"; exit 1; }
if grep '| - | - |' "$page"; then echo "a model type without a row in src/models/types.def"; exit 1; fi
"$socle" list --families | grep '^gemma3_text ' >/dev/null || { echo "no gemma3_text among the families"; exit 1; }
"$socle" list --families --json | grep '"model_type": "llama"' >/dev/null || { echo "no llama in the JSON"; exit 1; }
if "$socle" list --markdown 2>/dev/null; then echo "--markdown alone was taken"; exit 1; fi
