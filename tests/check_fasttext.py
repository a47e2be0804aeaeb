#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What we write, fastText and gensim read to the same vectors and answers, and what fastText writes, we read; skipped (77) without
their Python packages."""
import os
import random
import subprocess
import sys
import tempfile

try:
    import fasttext
    import numpy as np
except ImportError as e:
    print("skipped:", e)
    sys.exit(77)
try:
    from gensim.models.fasttext import load_facebook_vectors
except ImportError:
    load_facebook_vectors = None

SOCLE = os.environ.get("SOCLE", "build/socle")
ASKED = ["cat", "catty", "naïve", "고양이", "unheard-of", "a"]
fasttext.FastText.eprint = lambda *a, **k: None


def run(*args, text=None):
    p = subprocess.run([SOCLE, *args], input=text, capture_output=True, text=True)
    assert p.returncode == 0, (args, p.stderr)
    return p.stdout


def make_texts(folder):
    """Sentences about kinds of things, each with a label or two."""
    rng = random.Random(5)
    kinds = {
        "animal": "cat catty dog horse naïve 고양이 runs sleeps eats barks".split(),
        "food": "bread soup apple cheese 김치 tastes smells cooks boils".split(),
        "sky": "moon star cloud rain 하늘 shines falls rises sets".split(),
    }
    common = "the a of and is was very often here".split()
    words, labelled = [], []
    for _ in range(3000):
        kind = rng.choice(sorted(kinds))
        tokens = [rng.choice(kinds[kind] if rng.random() < 0.5 else common) for _ in range(rng.randint(4, 12))]
        words.append(" ".join(tokens))
        also = " __label__long" if len(tokens) > 9 else ""
        labelled.append(f"__label__{kind}{also} " + " ".join(tokens))
    for name, lines in (("words.txt", words), ("train.txt", labelled[:2500]), ("test.txt", labelled[2500:])):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")


def check_vectors(folder, method, loss, more):
    out = os.path.join(folder, "v.bin")
    run("vectors", "train", os.path.join(folder, "words.txt"), "-o", out, "-m", method, "--loss", loss, "--width", "20",
        "--bucket", "5000", "-q", *more)
    ours = {}
    for line in run("vectors", "get", out, *ASKED).splitlines():
        word, *numbers = line.split(" ")
        ours[word] = np.array(numbers, np.float32)
    theirs = fasttext.load_model(out)
    assert theirs.get_dimension() == 20
    for word in ASKED:
        assert np.allclose(theirs.get_word_vector(word), ours[word], atol=1e-6), (method, loss, word)
    if load_facebook_vectors:
        kv = load_facebook_vectors(out)
        for word in ASKED:
            assert np.allclose(kv[word], ours[word], atol=1e-6), ("gensim", method, loss, word)


def predictions(model, lines, k):
    """fastText's own answers, by the call below its Python wrapper."""
    return [[(label[9:], p) for p, label in model.f.predict(line + "\n", k, 0.0, "strict")] for line in lines]


def compare(path, folder, what):
    lines = [" ".join(w for w in line.split() if not w.startswith("__label__"))
             for line in open(os.path.join(folder, "test.txt"), encoding="utf-8")]
    lines += ["nothing of this is known", "", "cat " * 300, "고양이 catty dogs"]
    out = run("classifier", "predict", path, "-k", "4", text="\n".join(lines) + "\n").split("\n")[:-1]
    assert len(out) == len(lines), (what, len(out), len(lines))
    for line, got, want in zip(lines, out, predictions(fasttext.load_model(path), lines, 4)):
        ours = dict((a.rsplit(" ", 1)[0], float(a.rsplit(" ", 1)[1])) for a in got.split("\t") if a)
        for label, p in want[:3]:
            # fastText adds 1e-5 to what it takes logarithms of, at each node of a tree.
            assert abs(ours.get(label, 0) - p) < 2e-4, (what, line, label, p, ours)
    precision = float(run("classifier", "test", path, os.path.join(folder, "test.txt"), "-q").split()[2])
    n, theirs, _ = fasttext.load_model(path).test(os.path.join(folder, "test.txt"))
    assert abs(precision - theirs) < 2e-3, (what, precision, theirs)
    return precision


def check_classifier(folder, loss):
    train = os.path.join(folder, "train.txt")
    ours, theirs, small = (os.path.join(folder, x) for x in ("c.bin", "t.bin", "c.ftz"))
    shape = ["--width", "12", "--word-ngrams", "2", "--min-chars", "2", "--max-chars", "4", "--bucket", "3000"]
    run("classifier", "train", train, "-o", ours, "--loss", loss, *shape, "-q", "--epochs", "10", "--rate", "0.3")
    m = fasttext.train_supervised(train, dim=12, wordNgrams=2, minn=2, maxn=4, bucket=3000, loss=loss, epoch=10, lr=0.3,
                                  thread=1, verbose=0)
    m.save_model(theirs)
    got = [compare(ours, folder, f"ours {loss}"), compare(theirs, folder, f"theirs {loss}")]
    assert got[0] > got[1] - 0.02, (loss, got)
    for more in (["--norms"], ["--cutoff", "600", "--retrain", train], []):
        run("classifier", "quantize", ours, "-o", small, "-q", *more)
        got.append(compare(small, folder, f"ours {loss} {more}"))
    m.quantize(train, qnorm=True, cutoff=500, retrain=True, dsub=2, verbose=0)
    m.save_model(small)
    got.append(compare(small, folder, f"theirs quantised {loss}"))
    print(loss, "precision: ours %.3f, fastText's %.3f, ours quantised %.3f, pruned %.3f, %.3f; fastText's %.3f" % tuple(got))


with tempfile.TemporaryDirectory() as folder:
    make_texts(folder)
    for method in ("fasttext", "fasttext-cbow"):
        for loss in ("ns", "hs"):
            check_vectors(folder, method, loss, [])
        check_vectors(folder, method, "ns", ["--deterministic"])
        check_vectors(folder, method, "ns", ["--min-chars", "2"])
    print("vectors: the same" + (" in gensim too" if load_facebook_vectors else "; gensim is not installed"))
    for loss in ("softmax", "hs", "ns", "ova"):
        check_classifier(folder, loss)
