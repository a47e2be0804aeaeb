#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One page of the demonstration's folder: what was made, and the reports of its stages within it, since they share their
style. usage: demo_report.py FOLDER"""
import glob
import html
import json
import os
import re
import shutil
import subprocess
import sys

out = sys.argv[1]


def read(name):
    try:
        with open(os.path.join(out, name), encoding="utf-8") as f:
            return f.read()
    except FileNotFoundError:
        return ""


def lines(name):
    return [json.loads(line) for line in read(name).splitlines() if line.strip()]


def escape(text):
    return html.escape(str(text))


def details(title, body):
    return f"<details><summary>{escape(title)}</summary>\n{body}</details>\n" if body.strip() else ""


def report(name):
    """A stage's report: its style, and what stands below its title, one level lower."""
    page = read(name)
    style = re.search(r"<style>(.*?)</style>", page, re.S)
    body = page.split("</h1>", 1)[1] if "</h1>" in page else ""
    body = re.sub(r"</(body|html)>", "", body)
    rest = body.find("<h2>Command")
    if rest >= 0:  # how it was run is below what came of it
        body, rest = body[:rest], body[rest:]
    else:
        rest = ""
    body = re.sub(r"<(/?)h3\b", r"<\1h4", body)
    body = re.sub(r"<(/?)h2\b", r"<\1h3", body)
    return (style.group(1) if style else ""), body + details("How it was run", rest)


def table(head, rows, said=()):
    cells = lambda row: "".join(
        f"<td class={'said' if i in said else 'n' if isinstance(x, (int, float)) else 'w'}>{escape(x)}</td>"
        for i, x in enumerate(row))
    return ("<div class=wide><table><tr>" + "".join(f"<th>{escape(h)}</th>" for h in head) + "</tr>\n" +
            "\n".join(f"<tr>{cells(row)}</tr>" for row in rows) + "</table></div>\n")


def seconds(name):
    text = read(f"steps/{name}.seconds")
    return int(text) if text else 0


def size(name):
    path = os.path.join(out, name)
    if os.path.isdir(path):
        n = sum(os.path.getsize(os.path.join(d, f)) for d, _, files in os.walk(path) for f in files)
    elif os.path.exists(path):
        n = os.path.getsize(path)
    else:
        return ""
    return f"{n / 1e6:.1f} MB" if n >= 1e5 else f"{n / 1e3:.1f} kB"


def planted(pages):
    """What the crawl was made with beside what is left of it, by address."""
    paths = sorted(glob.glob(os.path.join(out, "clean/documents/*.zst")))
    if not paths or not shutil.which("zstd"):
        return ""
    texts = subprocess.run(["zstd", "-dcq", *paths], stdout=subprocess.PIPE, check=True).stdout.decode()
    left = {json.loads(line).get("url") for line in texts.splitlines()}
    made, kept = {}, {}
    for p in pages:
        made[p["planted"]] = made.get(p["planted"], 0) + 1
        kept[p["planted"]] = kept.get(p["planted"], 0) + (p["url"] in left)
    return table(["planted", "pages", "left", "share"],
                 [(k, n, kept[k], f"{100 * kept[k] / n:.0f}%") for k, n in sorted(made.items(), key=lambda x: -x[1])])


def cut_texts():
    """Texts and where their tokens begin."""
    rows = []
    for text, spans in zip(read("texts.txt").splitlines(), lines("spans.jsonl")):
        data = text.encode()
        pieces = [data[a:b].decode(errors="replace") for a, b in spans["spans"] if b > a]
        rows.append((text, len(spans["ids"]), " | ".join(pieces)))
    return table(["text", "tokens", "cut"], rows, said=(0, 2))


def said_in(message):
    return " ".join(m["content"] for m in message)


def lessons():
    chats, pairs = lines("chats.jsonl")[:3], lines("pairs.jsonl")[:3]
    return (table(["conversation"], [["\n".join(f"{m['role']}: {m['content']}" for m in c["messages"])] for c in chats], said=(0,)) +
            table(["asked", "preferred", "not preferred"],
                  [(said_in(p["prompt"]), said_in(p["chosen"]), said_in(p["rejected"])) for p in pairs], said=(0, 1, 2)))


def judged():
    """How many reviews of each model are friendly, with an interval (Wilson's), and the first ones side by side."""
    rows, said = [], {}
    for name, title in [("sft", "fine-tuned"), ("ppo", "after PPO"), ("dpo", "after DPO")]:
        verdicts = read(f"judged-{name}.txt").splitlines()
        said[title] = read(f"said-{name}.txt").splitlines()
        n, good = len(verdicts), sum("positive" in v for v in verdicts)
        if not n:
            continue
        p, z = good / n, 1.96
        middle, half = (p + z * z / (2 * n)) / (1 + z * z / n), z / (1 + z * z / n) * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
        rows.append((title, n, f"{100 * p:.0f}%", f"{100 * (middle - half):.0f} to {100 * (middle + half):.0f}"))
    asked = read("asked.txt").splitlines()
    beside = [(a, *(said[t][i] if i < len(said[t]) else "" for t in said)) for i, a in enumerate(asked[:8])]
    return table(["model", "reviews", "friendly", "interval"], rows) + details(
        "Side by side", table(["asked", *said], beside, said=(0, 1, 2, 3)))


STEPS = [("crawl", "A made crawl", "crawl.warc.gz"), ("languages", "Languages", "languages.ftz"), ("clean", "Cleaning", "clean"), ("tokenizer", "Tokenizer", "tok"),
         ("shards", "Shards of tokens", "shards"), ("train", "Pre-training", "model"), ("ladder", "Ladder and laws", "ladder"),
         ("samples", "Samples", "samples.tsv"), ("lessons", "Conversations and pairs", "chats.jsonl"), ("sft", "Fine-tuning", "sft"),
         ("reward", "Reward model", "rm"), ("ppo", "PPO", "ppo"), ("dpo", "DPO", "dpo"), ("judge", "What a judge says", "judge.bin"),
         ("compare", "Comparison", "compared"), ("chat", "Chat", "chat.tsv")]


def main():
    styles, parts = [], {}
    for name, path in [("clean", "clean/report.html"), ("shards", "shards/report.html"), ("train", "model/report.html"),
                       ("ladder", "ladder/report.html"), ("sft", "sft/report.html"), ("reward", "rm/report.html"),
                       ("ppo", "ppo/report.html"), ("dpo", "dpo/report.html"), ("compare", "compared/report.html")]:
        style, parts[name] = report(path)
        if style and style not in styles:
            styles.append(style)
    base = max(styles, key=len) if styles else "body{font:15px sans-serif;max-width:1320px;margin:0 auto;padding:24px}"
    own = ("details{border:1px solid var(--edge);border-radius:8px;padding:8px 14px;margin:12px 0}"
           "summary{cursor:pointer;font-weight:600}h2{border-top:1px solid var(--edge);padding-top:24px}"
           "h3{font-size:16px;margin:20px 0 4px}h4{font-size:14px;margin:16px 0 4px}nav a{margin-right:14px;display:inline-block}")
    total = sum(seconds(name) for name, _, _ in STEPS)
    pages = lines("crawl.jsonl")
    first = [next((p for p in pages if p["planted"] == kind), None) for kind in ("clean", "spam", "leak")]
    page = [f"<!doctype html>\n<html lang=en><meta charset=utf-8>\n<meta name=viewport content=\"width=device-width,"
            f"initial-scale=1\">\n<title>A model's whole life</title>\n<style>\n{base}\n{own}</style>\n",
            "<h1>A model's whole life</h1>\n<p class=status>From a made crawl to a small model of English and Korean, "
            f"on this machine in {total // 60} min {total % 60} s.</p>\n"]
    page.append("<nav>" + "".join(f"<a href=\"#{n}\">{escape(t)}</a>" for n, t, _ in STEPS if n != "languages") + "</nav>\n")
    page.append(table(["step", "what came out", "size", "seconds"],
                      [(title, path, size(path), seconds(name)) for name, title, path in STEPS]))

    def section(name, text, body):
        title = next(t for n, t, _ in STEPS if n == name)
        page.append(f"<h2 id={name}>{escape(title)}</h2>\n<p>{text}</p>\n{body}")

    section("crawl", "Pages of a small made world as a WARC file, among copies, near-copies, spam, other languages, menus without a "
            "text, addresses, decomposed letters and questions that the tasks ask. Its facts are the same wherever they are told.",
            "".join(details(f"A page ({p['planted']}): {p['title']}", f"<pre>{escape(p['text'])}</pre>") for p in first if p))
    section("clean", "The crawl through the stages of <code>socle data run</code>. What was planted, and what of it is left "
            "(of copies one stays; addresses are masked, letters composed, and these pages stay):", planted(pages) + details("The report of the run", parts["clean"]))
    section("tokenizer", "A byte-level tokenizer trained on what was left, and on lessons from the same world (exercises, questions, "
            "conversations).", cut_texts())
    section("shards", "Both sources mixed, half and half, as tokens.", details("The report of the run", parts["shards"]))
    section("train", "A Llama of four layers from nothing; the loss is also measured on documents that are in no training text.", parts["train"])
    section("ladder", "Three sizes of the model on three amounts of tokens; the law is fitted to all but the largest, whose loss it "
            "predicts. Each rung is also asked sums, scrambled words and opinions that it never saw. Nine runs of seconds on text "
            "that rules make, whose loss falls in jumps, predict with errors of ten percent and more; docs/scale.md has a ladder "
            "that comes within two.", parts["ladder"])
    samples = [line.split("\t", 1) for line in read("samples.tsv").splitlines()]
    section("samples", "What the model of the pre-training goes on with.",
            table(["prompt", "goes on"], [s for s in samples if len(s) == 2], said=(0, 1)))
    section("lessons", "Conversations about the made world, and requests for reviews with reviews of either mood. Of two reviews of "
            "much the same thing, the friendly one is preferred.", details("Some of each", lessons()))
    section("sft", "The model of the pre-training learns to answer: the loss counts on the assistant's words alone.",
            details("The report of the run", parts["sft"]))
    section("reward", "The same model with one number in place of words learns which of two reviews is preferred.",
            details("The report of the run", parts["reward"]))
    section("ppo", "The fine-tuned model writes reviews, the reward model scores them, and what scored better than expected becomes "
            "likelier, as long as the model stays near to what it was.", details("The report of the run", parts["ppo"]))
    section("dpo", "The same preferences without a reward model and without writing: the pairs themselves.",
            details("The report of the run", parts["dpo"]))
    section("judge", "A classifier of words, learned from reviews that no model saw, reads what each model writes to prompts that none "
            "was trained on.", judged())
    section("compare", "Which of the models tells friendly from unfriendly reviews best, asked as it is, with examples, or trained for it?",
            parts["compare"])
    chat = [line.split("\t", 1) for line in read("chat.tsv").splitlines()]
    section("chat", "The model after PPO.", table(["asked", "answered"], [c for c in chat if len(c) == 2], said=(0, 1)))
    with open(os.path.join(out, "report.part"), "w", encoding="utf-8") as f:
        f.write("".join(page))
    os.replace(os.path.join(out, "report.part"), os.path.join(out, "report.html"))


main()
