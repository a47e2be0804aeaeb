#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A text of English words to train word vectors on, from what a machine has: lower-case letters alone, digits spelled out, as in the
"text8" of word2vec's demonstration, but 1000 words a line.

    python3 bench/vectors_corpus.py OUT [--size BYTES] PATH...

PATH are files and folders: plain text, .gz, .dz (dictionaries of dictd), .pod, manual pages. Lines that were there already are left out,
so that licences and tables of contents do not count a thousand times. Debian's dict-gcide, dict-wn and bible-kjv-text have much English."""
import argparse
import gzip
import os
import re
import sys

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
TEXTS = (".txt", ".gz", ".dz", ".pod", ".rst", ".md", ".1", ".3", ".5", ".7", ".8", ".html", ".wikitext", "")
MARKUP = re.compile(rb"<[^<>]{0,300}>|&[a-z]{1,8};|\\f.|\\[-&()*]|^\.[A-Za-z]{1,3}\b|\{|\}", re.M)
OTHERS = re.compile(r"[^a-z]+")


def files(path):
    if os.path.isfile(path):
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            whole = os.path.join(folder, name)
            stem = name[:-3] if name.endswith((".gz", ".dz")) else name
            if os.path.splitext(name)[1] in TEXTS and not stem.startswith("changelog") and os.path.isfile(whole):
                yield whole


def content(path):
    try:
        with (gzip.open if path.endswith((".gz", ".dz")) else open)(path, "rb") as f:
            return f.read()
    except (OSError, EOFError, gzip.BadGzipFile):
        return b""


def words_of(line):
    line = MARKUP.sub(b" ", line).decode("utf-8", "ignore").lower()
    line = re.sub(r"[0-9]", lambda m: f" {DIGITS[int(m[0])]} ", line)
    return OTHERS.sub(" ", line).split()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("path", nargs="+")
    parser.add_argument("--size", type=int, default=40_000_000, help="bytes at most")
    args = parser.parse_args()
    seen, row, size, used = set(), [], 0, 0
    with open(args.out, "w", encoding="ascii") as out:
        for path in (f for p in args.path for f in files(p)):
            used += 1
            for line in content(path).split(b"\n"):
                key = hash(line.strip())
                if len(line) < 20 or key in seen:
                    continue
                seen.add(key)
                row += words_of(line)
                while len(row) >= 1000:
                    size += out.write(" ".join(row[:1000]) + "\n")
                    row = row[1000:]
            if size >= args.size:
                break
        size += out.write(" ".join(row) + "\n")
    print(f"{args.out}: {size} bytes of {used} files")
    return 0 if size > 1000 else 1


if __name__ == "__main__":
    sys.exit(main())
