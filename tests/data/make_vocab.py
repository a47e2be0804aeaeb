#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/data/vocab/: a small text of made-up English, Korean and code, and the vocabularies that HuggingFace's trainers learn
from it. Each is trained several times, as the trainers' tables are in another order each time: what depends on that is no golden.
Needs: tokenizers."""
import json
import os
import random

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vocab")
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def words(rng, n):
    """Words of a made-up language, the first the most frequent."""
    starts, middles, ends = ("st", "pr", "k", "m", "tr", "l", "Sh", "br", "n"), ("a", "e", "io", "ou", "i"), ("nd", "ll", "r", "sting", "", "ns", "t's")
    return ["".join((rng.choice(starts), rng.choice(middles), rng.choice(starts) + rng.choice(middles) if rng.random() < 0.4 else "",
                     rng.choice(ends))) for _ in range(n)]


def korean(rng, n):
    parts = ["가", "나", "다", "은", "는", "하", "고", "서", "울", "사", "람", "이", "에", "집"]
    return ["".join(rng.choice(parts) for _ in range(rng.randint(1, 4))) for _ in range(n)]


def make_text():
    rng = random.Random(7)
    english, hangul = words(rng, 300), korean(rng, 120)
    lines = []

    def draw(of):
        return of[min(int(rng.paretovariate(0.7)) - 1, len(of) - 1)]

    for _ in range(420):
        kind = rng.random()
        if kind < 0.5:
            line = " ".join(draw(english) for _ in range(rng.randint(3, 12))) + rng.choice([".", "!", "...", ", 2024", ""])
        elif kind < 0.75:
            line = " ".join(draw(hangul) for _ in range(rng.randint(2, 8))) + rng.choice([".", "?", ""])
        elif kind < 0.95:
            line = "    " * rng.randint(0, 3) + f"{draw(english)}_{draw(english)}({draw(english)}[{rng.randint(0, 3000)}]) == \"x\";"
        else:
            line = rng.choice(["", "\t", "aaaaaaaaaaaa aaaa", "----------------", "naïve café 😀", "e" * 30])
        lines.append(line + "\n")
    return "".join(lines)


def byte_level():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return t


def llama3():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"),
                                               pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    return t


def metaspace():
    t = Tokenizer(models.BPE(unk_token="<unk>"))
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    return t


def bert():
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer, t.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    return t


def inner_characters(text):
    """What continues a word, as tokens: named beforehand they have the same ids in every training."""
    t = bert()
    found = set()
    for line in text.splitlines(keepends=True):
        for word, _ in t.pre_tokenizer.pre_tokenize_str(t.normalizer.normalize_str(line)):
            found.update("##" + c for c in word[1:])
    return sorted(found)


def train(make, trainer, text, ends):
    seen = []
    for _ in range(5):
        t = make()
        t.train_from_iterator(text.splitlines(keepends=True) if ends else text.splitlines(), trainer)
        model = json.loads(t.to_str())["model"]
        seen.append((model["vocab"], model.get("merges")))
    if any(s != seen[0] for s in seen):
        raise SystemExit("a training that depends on the order of a table")
    return {"vocab": sorted(seen[0][0], key=seen[0][0].get), "merges": seen[0][1]}


def main():
    text = make_text()
    all_bytes = pre_tokenizers.ByteLevel.alphabet()
    three = ["<unk>", "<s>", "</s>"]
    marked = BERT + inner_characters(text)

    def bpe(size, special, **more):
        return trainers.BpeTrainer(vocab_size=size, special_tokens=special, show_progress=False, **more)

    cases = [
        ({"kind": "byte-bpe", "size": 600}, train(byte_level, bpe(600, ["<|endoftext|>"], initial_alphabet=all_bytes), text, True)),
        ({"kind": "byte-bpe", "size": 3000}, train(byte_level, bpe(3000, ["<|endoftext|>"], initial_alphabet=all_bytes), text, True)),
        ({"kind": "byte-bpe", "size": 500, "pattern": "llama3", "initial_alphabet": "", "min_frequency": 9,
          "special": ["<|a|>", "ou", "s"]},
         train(llama3, bpe(500, ["<|a|>", "ou", "s"], min_frequency=9), text, True)),
        ({"kind": "byte-bpe", "size": 900, "max_token_length": 5},
         train(byte_level, bpe(900, ["<|endoftext|>"], initial_alphabet=all_bytes, max_token_length=5), text, True)),
        ({"kind": "bpe", "size": 500, "coverage": 1, "no_byte_fallback": True}, train(metaspace, bpe(500, three), text, False)),
        ({"kind": "bpe", "size": 2000, "limit_alphabet": 40, "no_byte_fallback": True, "initial_alphabet": "Zß"},
         train(metaspace, bpe(2000, three, limit_alphabet=40, initial_alphabet=["Z", "ß"]), text, False)),
        ({"kind": "wordpiece", "size": 400, "special": marked},
         train(bert, trainers.WordPieceTrainer(vocab_size=400, special_tokens=marked, show_progress=False), text, True)),
        ({"kind": "wordpiece", "size": 1500, "special": marked, "min_frequency": 2},
         train(bert, trainers.WordPieceTrainer(vocab_size=1500, special_tokens=marked, min_frequency=2, show_progress=False), text,
               True)),
    ]
    os.makedirs(OUT, exist_ok=True)
    with open(os.path.join(OUT, "text.txt"), "w", encoding="utf-8", newline="") as f:
        f.write(text)
    with open(os.path.join(OUT, "golden.json"), "w", encoding="utf-8") as f:
        json.dump([{"recipe": recipe, **want} for recipe, want in cases], f, ensure_ascii=False, separators=(",", ":"))
        f.write("\n")
    for recipe, want in cases:
        print(recipe["kind"], len(want["vocab"]), len(want["merges"] or []))


if __name__ == "__main__":
    main()
