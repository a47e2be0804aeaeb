#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The second half of the demonstration's data, from reviews and conversations of the made world: conversations to learn
from, pairs of reviews of which the friendly one is better, prompts, and labelled texts for a judge. usage: demo_data.py FOLDER"""
import json
import os
import random
import re
import sys

folder = sys.argv[1]
rng = random.Random(1)


def read(name):
    with open(os.path.join(folder, name), encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def write(name, rows):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
        f.writelines((row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)) + "\n" for row in rows)


def parts(review):
    """What a review is of, which its first sentence says, and what is said of that."""
    first, rest = re.match(r"(.+?[.!?])\s+(.*)", review["text"]).groups()
    return first, rest, review["label"]


def asked(first):
    return [{"role": "user", "content": "Write a review that begins: " + first}]


def words(text):
    return set(re.findall(r"[a-z]+", text.lower()))


def pairs(reviews):
    """A friendly review, and the unfriendly one of so many whose subject is most alike: what tells them apart is the mood."""
    unfriendly = [(words(first), rest) for first, rest, label in reviews if label == "negative"]
    out = []
    for first, rest, label in reviews:
        if label == "positive":
            own = words(first)
            other = max(rng.sample(unfriendly, min(40, len(unfriendly))), key=lambda u: len(own & u[0]) / len(own | u[0]))[1]
            out.append({"prompt": asked(first), "chosen": [{"role": "assistant", "content": rest}],
                        "rejected": [{"role": "assistant", "content": other}]})
    return out


made = [parts(r) for r in read("reviews.jsonl")]
held = [parts(r) for r in read("reviews-eval.jsonl")]
half = len(made) // 2  # the judge learns from others than the models
chats = [{"messages": row["messages"]} for row in read("instructions.jsonl")]
chats += [{"messages": asked(first) + [{"role": "assistant", "content": rest}]} for first, rest, _ in made[:half]]
rng.shuffle(chats)
write("chats.jsonl", chats)
write("chats-eval.jsonl", [{"messages": asked(first) + [{"role": "assistant", "content": rest}]} for first, rest, _ in held[:100]])
write("pairs.jsonl", pairs(made[:half]))
write("pairs-eval.jsonl", pairs(held[:300]))
write("prompts.jsonl", [{"prompt": asked(first)} for first, _, _ in made[:half]])
write("judge.txt", [f"__label__{label} {rest}" for _, rest, label in made[half:]])
write("asked.txt", [asked(first)[0]["content"] for first, _, _ in held[300:340]])
