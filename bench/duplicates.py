#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Near duplicates among planted ones: 10,000 documents, 1,000 of them copies with words exchanged at similarities spread over
0.4 to 1. Prints recall, precision and time with the bands that follow from the threshold, and beside the theory the share of
copies that share a band at each similarity.

    bench/duplicates.py [--documents 10000] [--copies 1000] [--threads 2]
"""
import argparse
import collections
import json
import os
import random
import subprocess
import tempfile
import time

from common import tool

N = 5


def shingles(words):
    return {tuple(words[i:i + N]) for i in range(len(words) - N + 1)}


def copy_of(rng, words, vocabulary, target):
    """Exchanges words until the similarity is at the target; (words, similarity)."""
    mine, out = shingles(words), list(words)
    similarity = 1.0
    for i in rng.sample(range(len(words)), len(words)):
        if similarity <= target:
            break
        out[i] = rng.choice(vocabulary)
        other = shingles(out)
        similarity = len(mine & other) / len(mine | other)
    return out, similarity


def plant(path, documents, copies):
    rng = random.Random(1)
    vocabulary = [f"w{i}" for i in range(20000)]
    docs = [[rng.choice(vocabulary) for _ in range(rng.randrange(80, 400))] for _ in range(documents - copies)]
    similarity = {}
    for source in rng.sample(range(len(docs)), copies):
        words, s = copy_of(rng, docs[source], vocabulary, 0.4 + 0.6 * rng.random())
        similarity[len(docs)] = s
        docs.append(words)
    with open(path, "w", encoding="utf-8") as f:
        for i, words in enumerate(docs):
            f.write(json.dumps({"id": str(i), "text": " ".join(words)}) + "\n")
    return len(docs), similarity


def merged(folder, name, n, source, threads, stage):
    out = os.path.join(folder, name)
    config = os.path.join(folder, name + ".json")
    with open(config, "w", encoding="utf-8") as f:
        json.dump({"sources": source, "stages": ["duplicates", stage], "documents": True}, f)
    began = time.monotonic()
    subprocess.run([tool("socle", "SOCLE"), "data", "run", "--config", config, "--out", out, "-q", "-t", str(threads)],
                   check=True)
    took = time.monotonic() - began
    kept = set()
    for part in os.listdir(out + "/documents"):
        texts = subprocess.run(["zstd", "-dcq", f"{out}/documents/{part}"], capture_output=True, check=True).stdout
        kept.update(int(json.loads(line)["id"]) for line in texts.decode().splitlines())
    return set(range(n)) - kept, took


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--documents", type=int, default=10000)
    p.add_argument("--copies", type=int, default=1000)
    p.add_argument("--threads", type=int, default=2)
    o = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = folder + "/planted.jsonl"
        n, similarity = plant(source, o.documents, o.copies)
        true = {i for i, s in similarity.items() if s >= 0.8}
        gone, took = merged(folder, "found", n, source, o.threads, "near_duplicates")
        print(f"{n} documents, {len(similarity)} copies, {len(true)} of them with a similarity of 0.8 or more")
        print(f"recall {len(gone & true) / len(true):.4f}, precision {len(gone & true) / max(1, len(gone)):.4f}, "
              f"{took:.2f} s with {o.threads} threads ({os.path.getsize(source) / took / 1e6:.1f} MB/s)\n")
        bands, rows = 16, 8
        gone, _ = merged(folder, "bands", n, source, o.threads,
                         {"stage": "near_duplicates", "compare": False, "bands": bands, "rows": rows})
        bins = collections.defaultdict(list)
        for i, s in similarity.items():
            bins[min(19, int(s * 20))].append((i in gone, 1 - (1 - s ** rows) ** bands))
        print(f"| similarity | copies | share a band | 1 - (1 - s^{rows})^{bands} |\n| --- | --- | --- | --- |")
        for b, found in sorted(bins.items()):
            share, theory = (sum(x[k] for x in found) / len(found) for k in (0, 1))
            print(f"| {b / 20:.2f} to {b / 20 + 0.05:.2f} | {len(found)} | {share:.3f} | {theory:.3f} |")


if __name__ == "__main__":
    main()
