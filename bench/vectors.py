#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Training of word vectors beside gensim and fastText: words a second, and answers.

    python3 bench/vectors.py TEXT [--threads 2] [--repeat 3] [--only skipgram,cbow] [--quality QUESTIONS...]

TEXT as bench/vectors_corpus.py makes it. The three take turns; each figure is the median of its turns. A word is one of the text, whether
it is kept or not; counting the words beforehand is not in the time (of fastText it is taken out by the difference of two numbers of epochs). With --quality all
train five epochs with the same settings and are asked the same questions by `socle vectors eval`; nothing is timed then. Peers that are not installed
are left out: pip install gensim fasttext-wheel."""
import argparse
import os
import re
import subprocess
import sys
import tempfile
import time

from common import call, cpu_name, median, table, tool

METHODS = {  # name: (socle's options, gensim's, fastText's)
    "skipgram": (["-m", "skipgram"], dict(sg=1, hs=0, negative=5), dict(model="skipgram", loss="ns")),
    "cbow": (["-m", "cbow"], dict(sg=0, hs=0, negative=5), dict(model="cbow", loss="ns")),
    "skipgram-hs": (["-m", "skipgram", "--loss", "hs"], dict(sg=1, hs=1, negative=0), dict(model="skipgram", loss="hs")),
    "cbow-hs": (["-m", "cbow", "--loss", "hs"], dict(sg=0, hs=1, negative=0), dict(model="cbow", loss="hs")),
}
RATE = {"skipgram": 0.025, "cbow": 0.05}


def ours(text, out, options, epochs, threads):
    command = [tool("socle", "SOCLE"), "vectors", "train", text, "-o", out, "-d", "100", "-w", "5", "-n", "5", "-e", str(epochs),
               "-t", str(threads)] + options
    p = subprocess.run(command, capture_output=True)
    if p.returncode:
        sys.exit(p.stderr.decode())
    return float(re.search(r"([0-9]+) words/s", p.stderr.decode())[1])


def gensim(text, out, options, epochs, threads, name):
    from gensim.models import Word2Vec
    model = Word2Vec(vector_size=100, window=5, min_count=5, sample=1e-3, workers=threads, epochs=epochs,
                     alpha=RATE[name.split("-")[0]], **options)
    model.build_vocab(corpus_file=text)
    start = time.perf_counter()
    model.train(corpus_file=text, total_examples=model.corpus_count, total_words=model.corpus_total_words, epochs=epochs)
    seconds = time.perf_counter() - start
    if out:
        model.wv.save_word2vec_format(out, binary=True)
    return model.corpus_total_words * epochs / seconds


def fasttext_seconds(text, out, options, epochs, threads, name):
    import fasttext
    start = time.perf_counter()
    model = fasttext.train_unsupervised(text, dim=100, ws=5, neg=5, minCount=5, t=1e-3, maxn=0, minn=0, epoch=epochs, thread=threads,
                                        lr=RATE[name.split("-")[0]], bucket=0, verbose=0, **options)
    seconds = time.perf_counter() - start
    if out:
        with open(out, "w", encoding="utf-8") as f:
            words = model.get_words()
            f.write(f"{len(words)} 100\n")
            for word in words:
                f.write(word + " " + " ".join(f"{x:.9g}" for x in model.get_word_vector(word)) + "\n")
    return seconds


def words_in(text):
    with open(text, "rb") as f:
        return sum(len(line.split()) for line in f)


def have(name):
    try:
        __import__(name)
        return True
    except ImportError:
        print(f"without {name}: it is not installed", file=sys.stderr)
        return False


def speeds(args, where):
    peers = [p for p in ("gensim", "fasttext") if have(p)]
    words, rows = words_in(args.text), []
    for name in args.only.split(","):
        options = METHODS[name]
        rate = {"socle": [], "socle, deterministic": [], "gensim": [], "fasttext": []}
        for _ in range(args.repeat):
            out = os.path.join(where, "v")
            rate["socle"].append(ours(args.text, out, options[0], 1, args.threads))
            rate["socle, deterministic"].append(ours(args.text, out, options[0] + ["--deterministic"], 1, args.threads))
            if "gensim" in peers:
                rate["gensim"].append(gensim(args.text, None, options[1], 1, args.threads, name))
            if "fasttext" in peers:
                one, two = (fasttext_seconds(args.text, None, options[2], e, args.threads, name) for e in (1, 2))
                rate["fasttext"].append(words / (two - one))
        first = median(rate["socle"])
        rows += [[name, who, f"{median(r) / 1e3:.0f}", f"{first / median(r):.2f}"] for who, r in rate.items() if r]
    print(table(["method", "program", "1000 words/s", "socle is faster by"], rows))


def quality(args, where):
    rows = []
    for name in args.only.split(","):
        options = METHODS[name]
        out = {who: os.path.join(where, who) for who in ("socle", "deterministic", "gensim", "fasttext")}
        ours(args.text, out["socle"], options[0], 5, args.threads)
        ours(args.text, out["deterministic"], options[0] + ["--deterministic"], 5, args.threads)
        if have("gensim"):
            gensim(args.text, out["gensim"], options[1], 5, args.threads, name)
        if have("fasttext"):
            fasttext_seconds(args.text, out["fasttext"], options[2], 5, args.threads, name)
        for who, path in out.items():
            if os.path.exists(path):
                said = [call(tool("socle", "SOCLE"), "vectors", "eval", path, q, "-q").strip().split("\n")[-1] for q in args.quality]
                rows.append([name, who] + [re.search(r"[0-9.]+%|spearman -?[0-9.]+", s)[0] for s in said])
    print(table(["method", "program"] + [os.path.basename(q) for q in args.quality], rows))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", default="skipgram,cbow", help="of " + ", ".join(METHODS))
    parser.add_argument("--quality", nargs="+", metavar="QUESTIONS", help="files for `socle vectors eval`")
    args = parser.parse_args()
    print(f"{cpu_name()}, {args.threads} threads; {os.path.basename(args.text)}, {os.path.getsize(args.text)} bytes")
    with tempfile.TemporaryDirectory() as where:
        (quality if args.quality else speeds)(args, where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
