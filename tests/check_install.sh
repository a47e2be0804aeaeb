#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` lays down is whole: a program outside the tree builds with it through pkg-config and through
# find_package, shared and static, from a tree that was moved after it was installed.
set -eu
root=${SOCLE_SOURCE_DIR:?run by ctest}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cmake --install "$SOCLE_BUILD_DIR" --prefix "$tmp/first" >"$tmp/log" || { cat "$tmp/log"; exit 1; }
mv "$tmp/first" "$tmp/moved"
prefix=$tmp/moved
lib=$(dirname "$(find "$prefix" -name 'libsocle.a')")

die() { echo "FAIL: $*"; exit 1; }
for file in bin/socle include/socle/base.h include/socle/dtypes.def share/man/man1/socle.1 \
    share/bash-completion/completions/socle share/zsh/site-functions/_socle; do
    [ -s "$prefix/$file" ] || die "$file was not installed"
done
[ "$(readlink "$lib/libsocle.so")" = libsocle.so.0 ] || die "libsocle.so is no link to libsocle.so.0"
readelf -d "$lib/libsocle.so" | grep -q 'SONAME.*\[libsocle.so.0\]' || die "SONAME"
# Hidden visibility: nothing but the public names is exported, and all of them are ours.
foreign=$(nm -D --defined-only "$lib/libsocle.so" | awk '$2 != "A" && $3 !~ /^sc_/ {print $3}')
[ -z "$foreign" ] || die "exported beyond sc_: $foreign"
nm -D --defined-only "$lib/libsocle.so" | grep -q ' sc_context_new$' || die "sc_context_new is not exported"
! nm -D --defined-only "$lib/libsocle.so" | grep -q ' sc_arena_new$' || die "sc_arena_new is exported"

export PKG_CONFIG_PATH=$lib/pkgconfig
want="socle $(pkg-config --modversion socle)"
says() { "$@" | grep -q "^$want, [1-9][0-9]* threads$" || die "$* says: $("$@" 2>&1)"; }
${CC:-cc} -Wall -Werror "$root/tests/example/example.c" -o "$tmp/by_pkg_config" $(pkg-config --cflags --libs socle)
LD_LIBRARY_PATH=$lib says "$tmp/by_pkg_config"
${CC:-cc} "$root/tests/example/example.c" -o "$tmp/by_pkg_config_static" $(pkg-config --cflags socle) \
    "$lib/libsocle.a" $(pkg-config --static --libs-only-l socle | sed 's/-lsocle//')
says "$tmp/by_pkg_config_static"
cmake -G Ninja -S "$root/tests/example" -B "$tmp/out" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="${CC:-cc}" \
    >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
cmake --build "$tmp/out" >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
says "$tmp/out/example_shared"
says "$tmp/out/example_static"
[ "$("$prefix/bin/socle" --version)" = "$want" ] || die "the installed command"
echo "installed library: pkg-config and CMake, shared and static"
