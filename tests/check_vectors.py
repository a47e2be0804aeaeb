#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Word vectors trained by the command, read by gensim: gensim's own vocabulary, most frequent words first, the same floats in every format,
the same nearest words and scores; and what the command refuses. Skipped (77) without gensim, but for the latter."""
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

SOCLE = os.environ.get("SOCLE", "build/socle")


def run(*args, code=0):
    p = subprocess.run([SOCLE, "vectors", *map(str, args)], capture_output=True, timeout=300)
    if p.returncode != code:
        sys.exit(f"vectors {' '.join(map(str, args))}: {p.returncode}, not {code}: {p.stderr.decode()}")
    return p.stdout.decode(), p.stderr.decode()


def text(path):
    """Sentences over a few subjects; the words of each meet."""
    draw = random.Random(3)
    with open(path, "w", encoding="utf-8") as f:
        for _ in range(3000):
            subject = draw.randrange(6)
            f.write(" ".join(f"{'αβcdef'[subject]}{int(40 * draw.random() ** 2)}" for _ in range(draw.randrange(2, 15))) + "\n")


def messages(where):
    data, out = os.path.join(where, "text"), os.path.join(where, "no.bin")
    for args, code, says in (
            (("train", data), 2, "--out is needed"),
            (("train", os.path.join(where, "nothing"), "-o", out), 1, "No such file"),
            (("train", data, "-o", os.path.join(where, "none", "x")), 1, "cannot write"),
            (("train", data, "-o", out, "--min-count", "1000000"), 1, "none was seen at least 1000000 times"),
            (("train", "/dev/null", "-o", out), 1, "not a regular file"),
            (("train", data, "-o", out, "--loss", "hs", "--out-contexts", out), 2, "not for --loss hs"),
            (("train", data, "-o", out, "--width", "0"), 2, "width")):
        said = run(*args, code=code)[1]
        if says not in said or len(said.strip().split("\n")) != 1:
            sys.exit(f"{args}: '{said}' lacks '{says}'")
        assert not os.path.exists(out)


def interrupted(where):
    """Stopped at any moment and gone on with: the same bits."""
    data, want, out = (os.path.join(where, n) for n in ("text", "want", "out"))
    for method in ("skipgram", "glove"):
        options = ["-m", method, "-e", "30", "--deterministic", "-d", "32"]
        run("train", data, "-o", want, *options)
        for wait in (0.05, 0.2):
            p = subprocess.Popen([SOCLE, "vectors", "train", data, "-o", out, *options, "-t", "2"], stderr=subprocess.DEVNULL)
            time.sleep(wait)
            p.send_signal(signal.SIGINT)
            # killed by it: a slow machine had not begun yet
            if p.wait(timeout=60) not in (0, 130, -signal.SIGINT):
                sys.exit(f"{method}: exit code {p.returncode} after Ctrl-C")
        run("train", data, "-o", out, *options, "-t", "1")
        with open(want, "rb") as a, open(out, "rb") as b:
            if a.read() != b.read():
                sys.exit(f"{method}: other bits after stops")
        assert not os.path.exists(out + ".state")


def formats(where):
    import numpy
    from gensim.models import KeyedVectors, Word2Vec

    data, want = os.path.join(where, "text"), None
    theirs = Word2Vec(corpus_file=data, vector_size=4, min_count=3, epochs=1)
    for format, how in (("binary", dict(binary=True)), ("text", dict(binary=False)), ("glove", dict(binary=False, no_header=True))):
        out = os.path.join(where, "v." + format)
        run("train", data, "-o", out, "-f", format, "-d", "20", "--min-count", "3", "--deterministic")
        v = KeyedVectors.load_word2vec_format(out, **how)
        count = [theirs.wv.get_vecattr(w, "count") for w in v.index_to_key]
        assert set(v.index_to_key) == set(theirs.wv.index_to_key) and count == sorted(count, reverse=True), f"{format}: other words"
        want = v.vectors if want is None else want
        assert numpy.array_equal(v.vectors, want), f"{format}: other floats"
        word = v.index_to_key[7]
        line = run("get", out, word, "-q")[0].split()
        assert numpy.array_equal(numpy.array(line[1:], dtype=numpy.float32), v[word])
        near = [line.split("\t") for line in run("neighbors", out, word, "-k", "5", "-q")[0].strip().split("\n")]
        for (score, other), (wanted, likeness) in zip(near, v.most_similar(word, topn=5)):
            assert other == wanted and abs(float(score) - likeness) < 1e-4, (other, wanted)
    pairs, questions = os.path.join(where, "pairs"), os.path.join(where, "questions")
    words = v.index_to_key
    draw = random.Random(5)
    with open(pairs, "w", encoding="utf-8") as f:
        for _ in range(60):
            f.write(f"{draw.choice(words)}\t{draw.choice(words)}\t{draw.random():.3f}\n")
    with open(questions, "w", encoding="utf-8") as f:
        f.write(": made up\n")
        for _ in range(300):
            f.write(" ".join(draw.sample(words, 4)) + "\n")
    pearson, spearman, _ = v.evaluate_word_pairs(pairs)
    said = re.search(r"spearman (\S+), pearson (\S+) over", run("eval", out, pairs, "-q")[0])
    assert abs(float(said[1]) - spearman[0]) < 1e-3 and abs(float(said[2]) - pearson[0]) < 1e-3, (said[0], spearman, pearson)
    share, _ = v.evaluate_word_analogies(questions)
    said = re.search(r"all +([0-9.]+)%", run("eval", out, questions, "-q")[0])
    assert abs(float(said[1]) - 100 * share) < 0.7, (said[0], share)


def main():
    with tempfile.TemporaryDirectory() as where:
        text(os.path.join(where, "text"))
        messages(where)
        interrupted(where)
        try:
            import gensim
        except ImportError:
            print("gensim is not installed: not compared with it")
            return 77
        print("gensim", gensim.__version__)
        formats(where)
    return 0


sys.exit(main())
