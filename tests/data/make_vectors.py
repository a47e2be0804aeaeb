#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Small word vectors in every format, and what others make of them, into tests/data/vectors. Needs the package fasttext-wheel
and numpy: python3 tests/data/make_vectors.py"""
import json
import os
import random

import fasttext
import numpy as np

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vectors")
NOUNS = "king queen man woman boy girl prince princess dog cat house garden town river".split()
VERBS = "sees likes finds leaves walks to runs from".split()
ASKED = ["king", "King", "</s>", "kingdom", "naïveté", "고양이", "a", "<", "éa", "the", "unheardofword"]


def text():
    r = random.Random(4)
    return "\n".join(f"the {r.choice(NOUNS)} {r.choice(VERBS)} the {r.choice(NOUNS)} naïve 고양이" for _ in range(400)) + "\n"


def analogies(words, unit, questions):
    """Answers by b - a + c over unit vectors, without the three words, in small letters."""
    low = [w.lower() for w in words]
    first = {w: low.index(w) for w in low}
    asked = correct = skipped = 0
    for q in questions:
        q = [w.lower() for w in q]
        if any(w not in first for w in q):
            skipped += 1
            continue
        a, b, c = (unit[first[w]] for w in q[:3])
        score = unit @ (b - a + c)
        for i, w in enumerate(low):
            if w in q[:3]:
                score[i] = -np.inf
        asked += 1
        correct += low[int(score.argmax())] == q[3]
    return {"asked": asked, "correct": correct, "skipped": skipped}


def ranks(x):
    order, out = sorted(range(len(x)), key=lambda i: x[i]), [0.0] * len(x)
    i = 0
    while i < len(order):
        j = i
        while j < len(order) and x[order[j]] == x[order[i]]:
            j += 1
        for k in range(i, j):
            out[order[k]] = (i + j + 1) / 2
        i = j
    return out


def main():
    os.makedirs(HERE, exist_ok=True)
    source = os.path.join(HERE, "text.tmp")
    with open(source, "w", encoding="utf-8") as f:
        f.write(text())
    models = {"sub": dict(minn=2, maxn=4, bucket=60, dim=5), "whole": dict(maxn=0, dim=4), "ones": dict(minn=1, maxn=2, bucket=11, dim=3)}
    out = {"asked": ASKED, "fasttext": {}}
    for name, settings in models.items():
        m = fasttext.train_unsupervised(source, minCount=1, epoch=3, thread=1, verbose=0, **settings)
        m.save_model(os.path.join(HERE, name + ".bin"))
        # Training leaves the last bits to the run; so what is in the file counts.
        m = fasttext.load_model(os.path.join(HERE, name + ".bin"))
        near = m.get_nearest_neighbors("king", k=4)
        out["fasttext"][name] = {"vectors": [m.get_word_vector(w).tolist() for w in ASKED],
                                 "near": [[w, float(s)] for s, w in near]}
    os.remove(source)

    r = np.random.default_rng(3)
    words = NOUNS + ["The", "two words", "Ünï"]
    base = {w: r.normal(size=6) for w in words}
    for a, b in (("king", "queen"), ("prince", "princess"), ("boy", "girl")):
        base[b] = base[a] - base["man"] + base["woman"] + r.normal(size=6) * 0.15
    table = np.array([base[w] for w in words], np.float32)
    lines = [w + " " + " ".join(f"{x:.9g}" for x in v) + "\n" for w, v in zip(words, table)]
    plain = [x for x in lines if not x.startswith("two words")]
    with open(os.path.join(HERE, "glove.txt"), "w", encoding="utf-8") as f:
        f.writelines(lines)
    with open(os.path.join(HERE, "word2vec.txt"), "w", encoding="utf-8") as f:
        f.writelines([f"{len(plain)} 6\n"] + plain)
    for name, end in (("word2vec.bin", b"\n"), ("gensim.bin", b"")):
        with open(os.path.join(HERE, name), "wb") as f:
            f.write(f"{len(plain)} 6\n".encode())
            for w, v in zip(words, table):
                if w != "two words":
                    f.write(w.encode() + b" " + v.tobytes() + end)
    out["words"], out["table"] = words, table.tolist()
    unit = table / np.linalg.norm(table.astype(np.float64), axis=1, keepdims=True)
    family = [("man", "woman", "king", "queen"), ("Man", "Woman", "prince", "princess"), ("boy", "girl", "king", "queen"),
              ("man", "woman", "dog", "cat"), ("man", "woman", "uncle", "aunt")]
    gram = [("house", "garden", "town", "river"), ("king", "queen", "boy", "girl")]
    with open(os.path.join(HERE, "questions.txt"), "w") as f:
        for title, part in (("family", family), ("gram1-nouns", gram)):
            f.write(f": {title}\n" + "".join(" ".join(q) + "\n" for q in part))
    out["family"], out["gram"] = analogies(words, unit, family), analogies(words, unit, gram)
    pairs = [("king", "queen", 9.0), ("man", "woman", 8.5), ("dog", "cat", 7.5), ("house", "garden", 6.0), ("river", "KING", 1.0),
             ("town", "river", 6.0), ("uncle", "aunt", 5.0)]
    with open(os.path.join(HERE, "pairs.txt"), "w") as f:
        f.write("".join(f"{a}\t{b}\t{s}\n" for a, b, s in pairs))
    low = [w.lower() for w in words]
    known = [(a, b, s) for a, b, s in pairs if a in low]
    ours = [float(unit[low.index(a)] @ unit[low.index(b.lower())]) for a, b, s in known]
    theirs = [s for _, _, s in known]
    out["pairs"] = {"pearson": float(np.corrcoef(ours, theirs)[0, 1]),
                    "spearman": float(np.corrcoef(ranks(ours), ranks(theirs))[0, 1]), "scored": len(known),
                    "skipped": len(pairs) - len(known)}
    with open(os.path.join(HERE, "answers.json"), "w", encoding="utf-8") as f:
        json.dump(out, f, ensure_ascii=False, indent=0)
        f.write("\n")


if __name__ == "__main__":
    main()
