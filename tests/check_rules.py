#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The quality rules beside datatrove's, on real English text: with words divided as socle divides them, each text's first failed
rule must be the same; with datatrove's own words (spaCy's), how often it is. What C4's line rules leave must be the same lines.
Skipped (77) without datatrove and spaCy or without the real texts."""
import collections
import glob
import gzip
import json
import os
import random
import re
import subprocess
import sys
import tempfile

ROOT = os.environ.get("SOCLE_SOURCE_DIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
REAL = os.path.join(ROOT, "..", "shared", "real", "data")
try:
    import datatrove.pipeline.filters.c4_filters as c4
    import datatrove.pipeline.filters.fineweb_quality_filter as fineweb
    import datatrove.pipeline.filters.gopher_quality_filter as quality
    import datatrove.pipeline.filters.gopher_repetition_filter as repetition
    import spacy  # noqa: F401
    from datatrove.data import Document
except ImportError as e:
    print("skipped:", e)
    sys.exit(77)
if not os.path.isdir(REAL):
    print("skipped: no", REAL)
    sys.exit(77)
socle = os.environ.get("SOCLE", os.path.join(ROOT, "build", "socle"))

# Where datatrove's own default is another than the papers' (docs/data-rules.md says which).
THRESHOLDS = {"fineweb_dup_line_chars": 0.01, "c4_sentences": 5, "c4_line_words": 3}


def read(*path):
    name = os.path.join(REAL, *path)
    opened = gzip.open(name, "rt", encoding="utf-8") if name.endswith(".gz") else open(name, encoding="utf-8")
    with opened as f:
        return f.read()


def pieces(text, lines):
    rows = text.split("\n")
    return ["\n".join(rows[i : i + lines]) for i in range(0, len(rows), lines)]


QUOTES = str.maketrans("\u201c\u201d\u2018\u2019", "\"\"''")


def plain(text):
    """Without what socle takes otherwise on purpose: lines of white space alone and white space around lines, which it never
    counts, and curly quotation marks, with which a line may end. docs/data-rules.md has these differences."""
    text = re.sub(r"[ \t\r]*\n[ \t\r]*", "\n", text.translate(QUOTES).strip())
    return re.sub(r"\n{3,}", "\n\n", text)


def texts():
    """Prose, dialogue, lists, tables, code, crawled pages: about 6,000 texts."""
    out = re.split(r"\n = [^=].*[^=] = \n", read("wikitext-2", "valid.txt"))
    out += pieces(read("botchan", "botchan.txt"), 40)
    out += pieces(read("tinyshakespeare", "input.txt"), 60)
    for line in read("hh-rlhf", "harmless-base_test.jsonl.gz").splitlines():
        out += list(json.loads(line).values())[:1]
    for line in read("human-eval", "HumanEval.jsonl.gz").splitlines():
        o = json.loads(line)
        out.append(o["prompt"] + o["canonical_solution"])
    for name, key in (("gsm8k/train_1000.jsonl", "answer"), ("lambada/lambada_test_1000.jsonl", "text")):
        out += [json.loads(line)[key] for line in read(name).splitlines()]
    for name in sorted(glob.glob(os.path.join(REAL, "mmlu", "test", "*.csv"))):
        out += pieces(read(name), 30)
    for record in read("warc", "whirlwind.warc.wet").split("\r\n\r\n"):
        out += [record] + pieces(record, 25)
    out += pieces(read("self-instruct", "seed_tasks.jsonl").replace("\\n", "\n"), 2)
    # What real text seldom has: repeated sentences, lines and paragraphs, in all amounts.
    random.seed(2026)
    prose = [t for t in out if len(t.split()) > 80]
    for _ in range(600):
        rows = re.split(r"(?<=[.!?]) +", random.choice(prose))
        again = random.choices(rows, k=random.randint(1, len(rows)))
        between = random.choice([" ", "\n", "\n\n"])
        mixed = rows + again * random.randint(1, 3)
        random.shuffle(mixed)
        out.append(between.join(mixed))
    return [plain(t) for t in out if t.strip()]


def filters():
    return [repetition.GopherRepetitionFilter(), quality.GopherQualityFilter(), c4.C4QualityFilter(),
            fineweb.FineWebQualityFilter()]


NAMES = {"dup_para_frac": "gopher_dup_paragraphs", "dup_para_char_frac": "gopher_dup_paragraph_chars",
         "dup_line_frac": "gopher_dup_lines", "dup_line_char_frac": "gopher_dup_line_chars",
         "gopher_short_doc": "gopher_words_least", "gopher_long_doc": "gopher_words_most",
         "gopher_below_avg_threshold": "gopher_mean_word_least", "gopher_above_avg_threshold": "gopher_mean_word_most",
         "gopher_too_many_hashes": "gopher_hashes", "gopher_too_many_ellipsis": "gopher_ellipses",
         "gopher_too_many_bullets": "gopher_bullet_lines", "gopher_too_many_end_ellipsis": "gopher_ellipsis_lines",
         "gopher_below_alpha_threshold": "gopher_alpha_words", "gopher_enough_stop_words": "gopher_stop_words",
         "lorem_ipsum": "c4_lorem_ipsum", "curly_bracket": "c4_curly_brackets", "too_few_sentences": "c4_sentences",
         "line_punct_ratio": "fineweb_line_end", "short_line_ratio": "fineweb_short_lines",
         "char_dup_ratio": "fineweb_dup_line_chars", "list_ratio": "fineweb_newlines", None: None}


def name_of(reason):
    m = re.fullmatch(r"top_(\d)_gram|duplicated_(\d+)_n_grams", reason or "")
    if m:
        return f"gopher_top_{m[1]}gram" if m[1] else f"gopher_dup_{m[2]}gram"
    return NAMES[reason]


def theirs(chain, text):
    doc = Document(text=text, id="")
    for f in chain:
        verdict = f.filter(doc)
        if verdict is not True:
            return name_of(verdict[1]), None
    return None, doc.text


def ours(documents, folder):
    path, rules = os.path.join(folder, "texts.jsonl"), os.path.join(folder, "rules.json")
    with open(rules, "w") as f:
        json.dump({"default": THRESHOLDS}, f)
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(json.dumps({"text": t}, ensure_ascii=False) + "\n" for t in documents)
    run = subprocess.run([socle, "data", "check", "--rules", rules, path], check=True, capture_output=True)
    return [json.loads(line) for line in run.stdout.decode().splitlines()]


def compare(documents, mine, chain, what):
    same, other = 0, []
    for text, o in zip(documents, mine):
        reason, left = theirs(chain, text)
        lines = [x.strip() for x in (left or "").splitlines() if x.strip()]
        kept = [x.strip() for x in o.get("text", text).splitlines() if x.strip()]
        if reason == o["rule"] and (reason or lines == kept):
            same += 1
        else:
            other.append((reason, o["rule"], text, o, lines, kept))
    print(f"{what}: {same} of {len(documents)} the same, {len(documents) - same} not")
    for pair, n in collections.Counter((a, b) for a, b, *_ in other).most_common(12):
        print(f"   {n:5d}  datatrove {pair[0]}, socle {pair[1]}")
    return other


def main():
    documents = texts()
    with tempfile.TemporaryDirectory() as folder:
        mine = ours(documents, folder)
    print("socle:", collections.Counter(o["rule"] for o in mine).most_common())
    own_words = compare(documents, mine, filters(), "with spaCy's words")
    # The same rules on the same words: white space divides, punctuation belongs to its word.
    for module in (repetition, quality, fineweb):
        module.split_into_words = lambda text, language: text.split()
    same_words = compare(documents, mine, filters(), "with the same words")
    if "--show" in sys.argv:
        for reason, rule, text, o, lines, kept in (same_words or own_words)[:20]:
            print("=" * 80, "\ndatatrove:", reason, "socle:", rule, o["values"].get(rule), o["values"].get(reason))
            print(repr(text[:1500]))
            if not reason and not rule:
                print("-", [x for x in lines if x not in kept][:5], "\n+", [x for x in kept if x not in lines][:5])
    return len(same_words), len(documents)


if __name__ == "__main__":
    different, n = main()
    sys.exit(different > 0.005 * n)
