#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every public header compiles alone, as C11 and as C++11, without a warning.
set -eu
root=${SOCLE_SOURCE_DIR:-$(cd "$(dirname "$0")/.." && pwd)}
cc=${CC:-cc}
cxx=$(command -v c++ || command -v clang++ || true)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
n=0
for header in "$root"/include/socle/*.h; do
    name=socle/$(basename "$header")
    # Twice: the guard has to work as well.
    printf '#include "%s"\n#include "%s"\nint main(void) { return 0; }\n' "$name" "$name" >"$tmp/alone.c"
    "$cc" -std=c11 -Wall -Wextra -Wstrict-prototypes -pedantic -Werror -I"$root/include" -fsyntax-only "$tmp/alone.c"
    if [ -n "$cxx" ]; then
        "$cxx" -x c++ -std=c++11 -Wall -Wextra -pedantic -Werror -I"$root/include" -fsyntax-only "$tmp/alone.c"
    fi
    n=$((n + 1))
done
echo "$n headers compile alone${cxx:+, in C and C++}"
