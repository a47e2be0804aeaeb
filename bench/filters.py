#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""MB a second of the filters of the data pipeline on one core, and of datatrove's where that is installed.

usage: filters.py TEXTS.jsonl [--repeat 3]

TEXTS.jsonl has objects with "text" and "language". Each stage runs alone over all of them, with thresholds that no text fails,
so that every rule is measured; its time is what the run counted for it, reading and writing left out. datatrove's filters get the
same texts (at most 2 MB of them, they take long) with white space between words as socle has it, so that its time is that of
the rules and not of spaCy. Repetitions alternate; medians."""
import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time

from common import cpu_name, tool

# Every threshold where no text fails it; the line rules as they are.
OPEN = {"default": {"gopher_dup_paragraphs": 1, "gopher_dup_paragraph_chars": 1, "gopher_dup_lines": 1, "gopher_dup_line_chars": 1,
                    **{f"gopher_top_{n}gram": 100 for n in (2, 3, 4)}, **{f"gopher_dup_{n}gram": 1 for n in range(5, 11)},
                    "gopher_words_least": 0, "gopher_words_most": 1e12, "gopher_mean_word_least": 0,
                    "gopher_mean_word_most": 1e6, "gopher_hashes": 1e6, "gopher_ellipses": 1e6, "gopher_bullet_lines": 1,
                    "gopher_ellipsis_lines": 1, "gopher_alpha_words": 0, "c4_lorem_ipsum": 1e9, "c4_curly_brackets": 1e9,
                    "c4_sentences": 0, "fineweb_line_end": 0, "fineweb_short_lines": 1, "fineweb_dup_line_chars": 1,
                    "fineweb_newlines": 1e6, "gopher_stop_words": 0}}


def stages(rules):
    quality = {"stage": "quality", "rules": rules}
    return [("quality: all rules", quality)] + [
        (f"quality: {g}", dict(quality, groups=[g])) for g in ("repetition", "gopher", "c4", "fineweb")] + [
        ("personal", {"stage": "personal"}), ("harmful", {"stage": "harmful", "least": 1000000})]


def ours(path, stage, folder):
    config, out = os.path.join(folder, "run.json"), os.path.join(folder, "out")
    with open(config, "w") as f:
        json.dump({"sources": [path], "stages": [stage]}, f)
    subprocess.run(["rm", "-rf", out], check=True)
    subprocess.run([tool("socle", "SOCLE"), "data", "run", "--config", config, "-o", out, "-t", "1", "-q"], check=True,
                   capture_output=True)
    s = json.load(open(os.path.join(out, "data.json")))["stages"][0]
    return s["bytes_in"] / 1e6 / s["seconds"]


def peers():
    try:
        import datatrove.pipeline.filters as f
        import datatrove.pipeline.filters.c4_filters as c4
        import datatrove.pipeline.filters.fineweb_quality_filter as fineweb
        import datatrove.pipeline.filters.gopher_quality_filter as quality
        import datatrove.pipeline.filters.gopher_repetition_filter as repetition
        from datatrove.data import Document
    except ImportError:
        return {}
    for module in (fineweb, quality, repetition):
        module.split_into_words = lambda text, language: text.split()
    c4.split_into_sentences = lambda text, language: text.split(". ")
    big, none = 1e9, 0
    each = {
        "quality: repetition": f.GopherRepetitionFilter(1, 1, 1, 1, tuple((n, big) for n in (2, 3, 4)),
                                                        tuple((n, big) for n in range(5, 11))),
        "quality: gopher": f.GopherQualityFilter(none, big, none, big, big, 1, 1, none, none),
        "quality: c4": f.C4QualityFilter(filter_lorem_ipsum=False, filter_curly_bracket=False, min_num_sentences=0),
        "quality: fineweb": f.FineWebQualityFilter(line_punct_thr=0, short_line_thr=1, char_duplicates_ratio=1, new_line_ratio=big)}

    def run(filters, texts):
        begin = time.perf_counter()
        for t in texts:
            d = Document(text=t, id="")
            for x in filters:
                if d.text.strip():
                    x.filter(d)
        return sum(len(t.encode()) for t in texts) / 1e6 / (time.perf_counter() - begin)
    out = {name: (lambda texts, x=x: run([x], texts)) for name, x in each.items()}
    out["quality: all rules"] = lambda texts: run(list(each.values()), texts)
    return out


def main():
    p = argparse.ArgumentParser()
    p.add_argument("texts")
    p.add_argument("--repeat", type=int, default=3)
    args = p.parse_args()
    texts, size = [], 0
    for line in open(args.texts, encoding="utf-8"):
        texts.append(json.loads(line)["text"])
        size += len(texts[-1].encode())
        if size > 2e6:
            break
    other = peers()
    print(cpu_name() + ", one thread, MB/s\n")
    print(f"| {'stage':22} | socle | datatrove | times |\n|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        rules = os.path.join(folder, "rules.json")
        with open(rules, "w") as f:
            json.dump(OPEN, f)
        for name, stage in stages(rules):
            mine, theirs = [], []
            for _ in range(args.repeat):
                mine.append(ours(args.texts, stage, folder))
                if name in other:
                    theirs.append(other[name](texts))
            m, t = statistics.median(mine), statistics.median(theirs) if theirs else None
            print(f"| {name:22} | {m:.1f} | " + (f"{t:.2f} | {m / t:.0f} |" if t else "| |"), flush=True)


if __name__ == "__main__":
    main()
