#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages of scripts/packages.txt that are missing. usage: install.sh [build|test|optional]
# Nothing missing: says nothing, touches no network.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
upto=${1:-build}
case $upto in
build) groups='build' ;;
test) groups='build|test' ;;
optional) groups='build|test|optional' ;;
*) echo "usage: scripts/install.sh [build|test|optional]" >&2; exit 2 ;;
esac
names=$(awk -v groups="^($groups)\$" '!/^#/ && $2 ~ groups {print $1}' "$here/packages.txt")

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    # Elsewhere the libraries may be there under other names: that decides, not a list of packages.
    missing=
    for tool in cmake ninja pkg-config cc; do command -v $tool >/dev/null || missing="$missing $tool"; done
    if command -v pkg-config >/dev/null; then
        for lib in "jansson >= 2.14" libpcre2-8 libutf8proc zlib libzstd gumbo yaml-0.1; do
            pkg-config --exists "$lib" || missing="$missing ${lib%% *}"
        done
        case $groups in *test*) pkg-config --exists cmocka || missing="$missing cmocka" ;; esac
    fi
    [ -z "$missing" ] && exit 0
    {
        echo "socle: this system is not Debian, so install these yourself; missing:$missing"
        echo "  tools:     a C11 compiler (gcc 12 or clang 14 and later), cmake 3.25, ninja, pkg-config, python3 with pip"
        echo "  libraries: jansson 2.14, pcre2 (8 bit), utf8proc, zlib, zstd, gumbo, libyaml; optional: libedit, libcurl with openssl; for tests: cmocka"
    } >&2
    exit 1
fi

missing=
for name in $names; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing="$missing $name"
done
[ -z "$missing" ] && exit 0

# To stderr, as all that is not an answer.
echo "Installing Debian packages:" >&2
for name in $missing; do awk -v n="$name" '$1 == n {$2 = ""; printf "  %-22s ", $1; $1 = ""; sub(/^ +/, ""); print}' "$here/packages.txt"; done >&2
as_root=
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "socle: neither root nor sudo here; as root run: apt-get install$missing" >&2
        exit 1
    fi
    as_root="sudo"
fi
failed() {
    echo "socle: could not install the packages; with a network, as root: apt-get update && apt-get install$missing" >&2
    exit 1
}
# DEBIAN_FRONTEND goes through env because sudo drops the environment.
$as_root apt-get -q update >&2 || failed
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends $missing </dev/null >&2 || failed
