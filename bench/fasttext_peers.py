#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""socle and fastText side by side on the same text: words a second of skip-gram and CBOW with sub-words and of the classifier, by
turns in one run; medians and ratios.

    python3 bench/fasttext_peers.py TEXT [--labelled LINES] [--repeat 3] [--threads 2] [--epochs 1] [--fasttext COMMAND]

Speed is of the passes over the text alone, without counting words, as both programs report it; the whole run is
the command's, with reading and writing. LINES: labelled lines, such as those
of `socle languages train --lines`."""
import argparse
import os
import re
import statistics
import subprocess
import tempfile
import time

from common import cpu_name, tool

RATE = re.compile(r"words/sec/thread:\s+(\d+)")


def ours(args):
    start = time.perf_counter()
    p = subprocess.run([tool("socle", "SOCLE"), *args], capture_output=True, text=True, check=True)
    m = re.search(r"([\d.]+) (million tokens a second|words/s)", p.stderr)
    return float(m[1]) * (1e6 if m[2].startswith("million") else 1), time.perf_counter() - start


def theirs(command, args, threads):
    start = time.perf_counter()
    p = subprocess.run([command, *args], capture_output=True, text=True, check=True)
    return int(RATE.findall(p.stderr + p.stdout)[-1]) * threads, time.perf_counter() - start


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("text")
    a.add_argument("--labelled")
    a.add_argument("--repeat", type=int, default=3)
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--epochs", type=int, default=1)
    a.add_argument("--fasttext", default="fasttext")
    o = a.parse_args()
    t, e = str(o.threads), str(o.epochs)
    print(f"{cpu_name()}, {o.threads} threads, medians of {o.repeat}")
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "x")
        rows = []
        for name, method, verb in (("skip-gram, sub-words", "fasttext", "skipgram"), ("CBOW, sub-words", "fasttext-cbow", "cbow")):
            rows.append((name, ["vectors", "train", o.text, "-o", out, "-m", method, "-t", t, "-e", e],
                         [verb, "-input", o.text, "-output", out, "-thread", t, "-epoch", e]))
        if o.labelled:
            shape = [("--width", "-dim", "16"), ("--min-chars", "-minn", "2"), ("--max-chars", "-maxn", "4"),
                     ("--bucket", "-bucket", "200000"), ("--min-count", "-minCount", "1000")]
            rows.append(("classifier, n-grams of 2 to 4 characters",
                         ["classifier", "train", o.labelled, "-o", out, "-t", t, "-n", e, *(x for s in shape for x in (s[0], s[2]))],
                         ["supervised", "-input", o.labelled, "-output", out, "-thread", t, "-epoch", e,
                          *(x for s in shape for x in (s[1], s[2]))]))
            rows.append(("classifier, words and pairs of words",
                         ["classifier", "train", o.labelled, "-o", out, "-t", t, "-n", e, "--word-ngrams", "2"],
                         ["supervised", "-input", o.labelled, "-output", out, "-thread", t, "-epoch", e, "-wordNgrams", "2"]))
        for name, mine, other in rows:
            got = [(ours(mine), theirs(o.fasttext, other, o.threads)) for _ in range(o.repeat)]
            s, f = (statistics.median(x[i][0] for x in got) for i in (0, 1))
            whole = [statistics.median(x[i][1] for x in got) for i in (0, 1)]
            print(f"{name:40} socle {s / 1e3:6.0f}k words/s  fastText {f / 1e3:6.0f}k  {s / f:5.2f}x   whole run "
                  f"{whole[0]:5.1f} s, {whole[1]:5.1f} s, {whole[1] / whole[0]:5.2f}x", flush=True)


main()
