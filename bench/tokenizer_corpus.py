#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A mixed text file to train tokenizers on: two parts English, one part Korean, two parts source code, from the real data files
(SOCLE_REAL) and what the machine has installed: documentation, translated messages, headers and Python modules.

    bench/tokenizer_corpus.py FILE [--mb 20] [--held-out FILE]

--held-out takes each tenth stretch, and FILE has none of them."""
import argparse
import csv
import glob
import gzip
import json
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
REAL = os.environ.get("SOCLE_REAL") or os.path.join(HERE, "..", "..", "shared", "real")
STRETCH = 20_000
SHARES = {"english": 0.4, "korean": 0.2, "code": 0.4}


def hangul(text):
    return any("\uac00" <= c <= "\ud7a3" for c in text)


def read(path):
    try:
        opened = gzip.open(path) if path.endswith(".gz") else open(path, "rb")
        with opened as f:
            return f.read(4 << 20).decode("utf-8")
    except (OSError, UnicodeDecodeError, EOFError):
        return ""


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for x in value.values() if isinstance(value, dict) else value:
            yield from strings(x)


def real(*names):
    return [p for n in names for p in sorted(glob.glob(os.path.join(REAL, "data", n)))]


def translated(path):
    """The translations of a .mo file."""
    with open(path, "rb") as f:
        raw = f.read()
    if raw[:4] != b"\xde\x12\x04\x95":
        return
    n, _, table = struct.unpack("<III", raw[8:20])
    for i in range(n):
        size, at = struct.unpack_from("<II", raw, table + 8 * i)
        yield raw[at:at + size].decode("utf-8", "replace").replace("\0", "\n")


def english():
    for p in real("botchan/*.txt", "tinyshakespeare/*.txt", "wikitext-2/*.txt"):
        yield read(p)
    for p in real("gsm8k/*.jsonl", "lambada/*.jsonl", "qasc/*.jsonl", "self-instruct/*.jsonl", "hh-rlhf/*.gz"):
        yield "\n".join(s for line in read(p).splitlines() for s in strings(json.loads(line)))
    doc = "/usr/share/doc/**/"
    for pattern in ("*.txt", "*.md", "*.rst", "README*", "NEWS*", "*.html", "changelog*.gz"):
        for p in sorted(glob.glob(doc + pattern, recursive=True)):
            if os.path.isfile(p):
                yield read(p)


def korean():
    for p in real("nsmc/*.tsv", "korsts/*.tsv", "tatoeba-en-ko/*.txt"):
        yield "\n".join(f for line in read(p).splitlines() for f in line.split("\t") if hangul(f))
    for p in real("chatbot-ko/*.csv"):
        yield "\n".join(f for row in csv.reader(read(p).splitlines()) for f in row if hangul(f))
    for p in real("klue/*.json"):
        yield "\n".join(s for s in strings(json.loads(read(p))) if hangul(s))
    for p in real("jhe-ko-en/*.ko"):
        yield read(p)
    for p in sorted(glob.glob("/usr/share/locale/ko*/LC_MESSAGES/*.mo")):
        yield "\n".join(s for s in translated(p) if hangul(s))


def code():
    files = sorted(glob.glob("/usr/lib/python3*/**/*.py", recursive=True))
    headers = sorted(glob.glob("/usr/include/**/*.h", recursive=True))
    for pair in zip(files, headers):
        for p in pair:
            yield read(p)


def stretches(texts):
    """Stretches of whole lines, about STRETCH bytes each, of texts without empty ones."""
    part, size = [], 0
    for text in texts:
        for line in text.splitlines(keepends=True):
            part.append(line)
            size += len(line.encode())
            if size >= STRETCH:
                yield "".join(part)
                part, size = [], 0
        if part and not part[-1].endswith("\n"):
            part.append("\n")
            size += 1


def make(path, size, held_out=None):
    sources = {name: stretches(fn()) for name, fn in (("english", english), ("korean", korean), ("code", code))}
    have = dict.fromkeys(sources, 0)
    out, held, n = [], [], 0
    while sources and sum(have.values()) < size:
        name = min(sources, key=lambda k: have[k] / SHARES[k])
        part = next(sources[name], None)
        if part is None:
            del sources[name]
            continue
        n += 1
        if held_out and n % 10 == 0:
            held.append(part)
            continue
        out.append(part)
        have[name] += len(part.encode())
    with open(path, "w", encoding="utf-8", newline="") as f:
        f.write("".join(out))
    if held_out:
        with open(held_out, "w", encoding="utf-8", newline="") as f:
            f.write("".join(held))
    return have


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("file")
    p.add_argument("--mb", type=float, default=20)
    p.add_argument("--held-out")
    a = p.parse_args()
    print(", ".join(f"{k} {v / 1e6:.1f} MB" for k, v in make(a.file, a.mb * 1e6, a.held_out).items()))


if __name__ == "__main__":
    main()
