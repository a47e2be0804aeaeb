#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The frame of the command: help, exit codes, streams, completions, man page.
set -u
socle=${SOCLE:?run by ctest}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
bad=0
# expect RC STDOUT-PATTERN STDERR-PATTERN COMMAND...; '' is: empty
expect() {
    local rc=$1 out=$2 err=$3 got
    shift 3
    "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
    got=$?
    [ $got = "$rc" ] || { echo "FAIL: $*: exit code $got, not $rc"; bad=1; }
    for stream in out err; do
        local pattern=${!stream}
        if [ -z "$pattern" ]; then
            [ ! -s "$tmp/$stream" ] || { echo "FAIL: $*: $stream is not empty: $(head -3 "$tmp/$stream")"; bad=1; }
        elif ! grep -qE -- "$pattern" "$tmp/$stream"; then
            echo "FAIL: $*: $stream lacks $pattern: $(head -3 "$tmp/$stream")"
            bad=1
        fi
    done
}

expect 2 '' 'usage: socle VERB' "$socle"
expect 0 'usage: socle VERB' '' "$socle" --help
expect 0 'usage: socle VERB' '' "$socle" help
expect 0 '^socle [0-9]+\.[0-9]+\.[0-9]+$' '' "$socle" --version
expect 0 '^socle [0-9]+\.[0-9]+\.[0-9]+$' '' "$socle" version
expect 2 '' "^socle: no verb 'vesion'; did you mean 'version'\?$" "$socle" vesion
expect 2 '' "^socle: no verb 'xyzzyx' \(see socle --help\)$" "$socle" xyzzyx
expect 2 '' '^socle: no option --mna; did you mean --man\?' "$socle" help --mna
expect 2 '' '^socle: no option --frob before the verb' "$socle" --frob version
expect 2 '' 'one argument too many' "$socle" version again
expect 2 '' 'too few arguments' "$socle" completion
expect 2 '' "no completion for 'fish'" "$socle" completion fish
# A name cannot steer the terminal.
expect 2 '' '^socle: no verb .\?\[31mred' "$socle" $'\033[31mred'

verbs=$("$socle" --help | awk '/^  [a-z]/ {print substr($0, 3, 22)}')
[ "$(grep -c . <<<"$verbs")" -ge 20 ] || { echo "FAIL: few verbs in the help: $verbs"; bad=1; }
"$socle" help --man >"$tmp/man" # whole: a reader that stops early makes the command fail
while read -r verb; do # one word or two
    expect 0 "^usage: socle $verb" '' "$socle" $verb --help
    expect 0 '^Examples:$' '' "$socle" help $verb
    awk 'length > 80 && !/^  (#|socle)/ {print "FAIL: line over 80 columns: " $0; bad = 1} END {exit bad}' "$tmp/out" || bad=1
    grep -qF ".SS \"socle ${verb//-/\\-}" "$tmp/man" || { echo "FAIL: $verb is not in the man page"; bad=1; }
done <<<"$verbs"
for group in $(awk 'NF == 2 {print $1}' <<<"$verbs" | sort -u); do
    expect 0 "^usage: socle $group VERB" '' "$socle" "$group" --help
    expect 2 '' "^usage: socle $group VERB" "$socle" "$group"
    expect 2 '' "no verb '$group nothing'" "$socle" "$group" nothing
done
# So is every variable of the environment that is read.
for name in $(grep -ohE "\"(HF|XDG|SOCLE)_[A-Z_]+\"" "$SOCLE_SOURCE_DIR"/src/*/*.c | tr -d '"' | sort -u); do
    grep -q "$name" "$tmp/man" || { echo "FAIL: $name is not in the man page"; bad=1; }
done

# Output that could not be written is a failure.
if [ -e /dev/full ]; then
    "$socle" help --man >/dev/full 2>"$tmp/err"
    [ $? = 1 ] && grep -q '^socle: cannot write to standard output' "$tmp/err" || { echo "FAIL: /dev/full"; bad=1; }
fi
# A reader that left: no death by signal.
(
    trap '' PIPE
    { sleep 0.2; "$socle" help --man; echo $? >"$tmp/rc"; } 2>/dev/null | true
)
[ "$(cat "$tmp/rc")" = 1 ] || { echo "FAIL: a closed pipe gives exit code $(cat "$tmp/rc")"; bad=1; }

# The completion script: verbs, then options of the verb.
"$socle" completion bash >"$tmp/socle.bash"
complete_words() {
    bash -c 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _socle; echo "${COMPREPLY[*]}"' _ "$tmp/socle.bash" "$@"
}
[ "$(complete_words socle vers)" = version ] || { echo "FAIL: completion of vers"; bad=1; }
[ "$(complete_words socle help --m)" = --man ] || { echo "FAIL: completion of --m"; bad=1; }
[ "$(complete_words socle help compl)" = completion ] || { echo "FAIL: completion of help compl"; bad=1; }
[ "$(complete_words socle completion z)" = zsh ] || { echo "FAIL: completion of completion z"; bad=1; }
mkdir "$tmp/a b"
[ "$(cd "$tmp" && complete_words socle unknown 'a ')" = 'a b' ] || { echo "FAIL: completion of a name with a blank"; bad=1; }
"$socle" completion zsh >"$tmp/_socle"
if command -v zsh >/dev/null; then zsh -n "$tmp/_socle" || bad=1; fi
if command -v groff >/dev/null; then
    "$socle" help --man | groff -man -Tutf8 -ww -z 2>"$tmp/err" && [ ! -s "$tmp/err" ] || { echo "FAIL: man page: $(head -3 "$tmp/err")"; bad=1; }
fi
exit $bad
