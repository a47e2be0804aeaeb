#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes sampling.json: logits, history and options, and the probabilities that the logits processors of transformers
make of them. Needs torch and transformers.   make_sampling.py [OUT]"""
import json
import random
import sys

import torch
from transformers.generation import logits_process as lp

V = 32


def sort_low_ids_last(x, descending=False):
    """torch.sort leaves the order of equal values open, and top_p depends on it: settled here so that low ids are kept."""
    values, at = plain_sort(x.flip(-1), dim=-1, descending=descending, stable=True)
    return values, x.shape[-1] - 1 - at


plain_sort = torch.sort


def reference(logits, history, generated, r):
    s = torch.tensor([logits], dtype=torch.float32)
    ids = torch.tensor([history], dtype=torch.int64)
    count = torch.zeros(s.shape[-1])
    for i in history[len(history) - generated:] if generated else []:
        count[i] += 1
    # OpenAI's formula, over what was generated
    s = s - r.get("frequency_penalty", 0.0) * count - r.get("presence_penalty", 0.0) * (count > 0).float()
    if "repetition_penalty" in r:
        s = lp.RepetitionPenaltyLogitsProcessor(r["repetition_penalty"])(ids, s)
    if "no_repeat_ngram_size" in r:
        s = lp.NoRepeatNGramLogitsProcessor(r["no_repeat_ngram_size"])(ids, s)
    if "bias" in r:
        finite = {(i,): v for i, v in r["bias"] if v is not None}
        bad = [[i] for i, v in r["bias"] if v is None]
        if finite:
            s = lp.SequenceBiasLogitsProcessor([[list(k), v] for k, v in finite.items()])(ids, s)
        if bad:
            s = lp.NoBadWordsLogitsProcessor(bad)(ids, s)
    for name, make in [
        ("temperature", lp.TemperatureLogitsWarper), ("top_k", lp.TopKLogitsWarper), ("top_p", lp.TopPLogitsWarper),
        ("min_p", lp.MinPLogitsWarper), ("typical_p", lp.TypicalLogitsWarper),
        ("epsilon_cutoff", lp.EpsilonLogitsWarper), ("eta_cutoff", lp.EtaLogitsWarper),
    ]:
        if name in r:
            torch.sort = sort_low_ids_last if name == "top_p" else plain_sort
            s = make(r[name])(ids, s)
            torch.sort = plain_sort
    return s.softmax(-1)[0].tolist()


def make_logits(rng, kind, v):
    if kind == "ties":
        return [float(rng.randrange(-3, 4)) for _ in range(v)]
    if kind == "flat":
        return [0.5] * v
    if kind == "peaked":
        return [rng.gauss(0, 8) for _ in range(v)]
    if kind == "far":
        return [rng.gauss(0, 100) for _ in range(v)]
    x = [rng.gauss(0, 2) for _ in range(v)]
    if kind == "masked":
        for i in range(v):
            if rng.random() < 0.4 and i != 5:
                x[i] = None
    return x


def make_options(rng, i):
    ranges = {
        "frequency_penalty": lambda: round(rng.uniform(-1, 1.5), 2),
        "presence_penalty": lambda: round(rng.uniform(-1, 1.5), 2),
        "repetition_penalty": lambda: rng.choice([0.7, 1.05, 1.3, 2.0]),
        "no_repeat_ngram_size": lambda: rng.choice([1, 2, 3]),
        "bias": lambda: [[k, rng.choice([None, round(rng.uniform(-3, 3), 2)])] for k in rng.sample(range(V), 4)],
        "temperature": lambda: rng.choice([0.1, 0.5, 0.7, 1.3, 2.5]),
        "top_k": lambda: rng.choice([1, 2, 3, 5, 10, 20, 31, 32, 100]),
        "top_p": lambda: rng.choice([0.0, 0.1, 0.25, 0.5, 0.75, 0.8, 0.9, 0.95, 0.999]),
        "min_p": lambda: rng.choice([0.01, 0.05, 0.2, 1.0]),
        "typical_p": lambda: rng.choice([0.05, 0.2, 0.5, 0.75, 0.9, 0.99]),
        "epsilon_cutoff": lambda: rng.choice([0.0003, 0.01, 0.1, 0.9]),
        "eta_cutoff": lambda: rng.choice([0.0003, 0.01, 0.1, 0.9]),
    }
    names = list(ranges)
    # every option alone first, then mixtures
    chosen = [names[i % len(names)]] if i < 4 * len(names) else rng.sample(names, rng.randint(2, 5))
    return {k: ranges[k]() for k in names if k in chosen}


def cases(seed, n, v=V):
    rng = random.Random(seed)
    kinds = ["plain", "ties", "flat", "peaked", "masked", "far"]
    i = 0
    while i < n:
        # float32 values, so that both sides start from the same numbers
        logits = [None if x is None else torch.tensor(x, dtype=torch.float32).item()
                  for x in make_logits(rng, kinds[i % len(kinds)] if i < 48 else rng.choice(kinds), v)]
        history = [rng.randrange(min(v, 12)) for _ in range(rng.randint(0, 24))] or [1]
        generated = rng.randint(0, len(history))
        r = make_options(rng, i)
        probs = reference([float("-inf") if x is None else x for x in logits], history, generated, r)
        i += 1
        if any(p != p for p in probs):  # nothing was left
            continue
        yield dict(logits=logits, history=history, generated=generated, options=r, probs=probs)


if __name__ == "__main__":
    out = sys.argv[1] if len(sys.argv) > 1 else __file__.rsplit("/", 1)[0] + "/sampling.json"

    def short(x):
        if isinstance(x, float):
            return float("%.9g" % x)
        if isinstance(x, list):
            return [short(y) for y in x]
        return {k: short(v) for k, v in x.items()} if isinstance(x, dict) else x

    rows = [json.dumps(short(c), separators=(",", ":")) for c in cases(7, 180)]
    with open(out, "w") as f:
        f.write("[\n" + ",\n".join(rows) + "\n]\n")
