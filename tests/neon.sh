#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The kernels of AArch64, compiled by its cross compiler and run under emulation on other machines.
set -eu
root=${SOCLE_SOURCE_DIR:-$(cd "$(dirname "$0")/.." && pwd)}
compiler=$(command -v aarch64-linux-gnu-gcc || true)
emulator=$(command -v qemu-aarch64 || command -v qemu-aarch64-static || true)
if [ "$(uname -m)" = aarch64 ]; then
    echo "skipped: this machine runs them in test_kernels"
    exit 77
fi
if [ -z "$compiler" ] || [ -z "$emulator" ]; then
    echo "skipped: needs aarch64-linux-gnu-gcc and qemu-aarch64"
    exit 77
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
# As in the build, nothing is fused that is not fused by name: the bytes of the quantisers depend on it.
compile() {
    "$compiler" -std=gnu11 -O2 -ffp-contract=off -static -Wall -Wextra -Wshadow -Wstrict-prototypes -Werror \
        -I "$root/include" -I "$root/src" "$@"
}
(cd "$tmp" && compile -c "$root"/src/cpu/kernels/*.c "$root"/src/cpu/kernels/*/*.c)
mkdir "$tmp/rows"
(cd "$tmp/rows" && compile -c "$root/src/vectors/kernels/ref.c" "$root/src/vectors/kernels/arm/neon.c")
compile -o "$tmp/test_kernels" "$root/tests/test_kernels.c" "$tmp"/*.o -lm
compile -o "$tmp/test_vector_kernels" "$root/tests/test_vector_kernels.c" "$tmp"/rows/*.o "$tmp"/*.o -lm
for test in test_kernels test_vector_kernels; do
    "$emulator" "$tmp/$test" >"$tmp/out" || { cat "$tmp/out"; exit 1; }
    cat "$tmp/out"
    grep -q '^NEON: [1-9]' "$tmp/out"
done
