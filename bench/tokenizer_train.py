#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Speed and quality of training tokenizers on one mixed file: ours beside HuggingFace's tokenizers, sentencepiece and rustbpe, those
that have the kind and are installed, in turn in one run. Medians of the seconds that training takes; ours is the whole command, from
start to written files. Tokens: what a held-out text becomes, line by line.

    bench/tokenizer_train.py [--mb 20] [--size 32000] [--threads 2] [--runs 3] [--file FILE --held-out FILE] [KIND...]

KIND is byte-bpe, bpe, unigram or wordpiece; all by default. Needs no network; FILE is made by bench/tokenizer_corpus.py."""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON_PATH = list(sys.path)
sys.path[:0] = [os.path.join(HERE, "..", "tests"), HERE]
import common  # noqa: E402
import tokenizer_corpus  # noqa: E402

GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
TOOLS = {"byte-bpe": ("socle", "tokenizers", "rustbpe"), "bpe": ("socle", "tokenizers", "sentencepiece"),
         "unigram": ("socle", "sentencepiece", "tokenizers"), "wordpiece": ("socle", "tokenizers")}


def lines_of(path):
    with open(path, encoding="utf-8", newline="\n") as f:
        return f.read().splitlines(keepends=True)


# ---- one training, in a process of its own: prints seconds and tokens as JSON ----

def train_tokenizers(kind, a):
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    common_options = {"vocab_size": a.size, "show_progress": False}
    if kind == "byte-bpe":
        t = Tokenizer(models.BPE())
        t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(special_tokens=["<|endoftext|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                      **common_options)
    elif kind == "bpe":
        t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
        t.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.BpeTrainer(special_tokens=["<unk>", "<s>", "</s>"], **common_options)
    elif kind == "unigram":
        t = Tokenizer(models.Unigram())
        t.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(special_tokens=["<unk>", "<s>", "</s>"], unk_token="<unk>", **common_options)
    else:
        t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        t.normalizer, t.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], **common_options)
    start = time.perf_counter()
    t.train([a.file], trainer)
    seconds = time.perf_counter() - start
    return seconds, sum(len(e.ids) for e in t.encode_batch(lines_of(a.held_out), add_special_tokens=False))


def train_sentencepiece(kind, a):
    import sentencepiece
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "m")
        start = time.perf_counter()
        sentencepiece.SentencePieceTrainer.train(
            input=a.file, model_prefix=model, model_type=kind, vocab_size=a.size, num_threads=a.threads, byte_fallback=True,
            normalization_rule_name="identity", remove_extra_whitespaces=False, character_coverage=0.9995,
            max_sentence_length=1 << 20, minloglevel=2)
        seconds = time.perf_counter() - start
        p = sentencepiece.SentencePieceProcessor(model_file=model + ".model")
        return seconds, sum(len(p.encode(line.rstrip("\r\n"))) for line in lines_of(a.held_out))


def train_rustbpe(kind, a):
    import rustbpe
    lines = lines_of(a.file)
    t = rustbpe.Tokenizer()
    start = time.perf_counter()
    t.train_from_iterator(iter(lines), a.size - 1, pattern=GPT2)  # it has no special tokens
    seconds = time.perf_counter() - start
    return seconds, sum(len(t.encode(line)) for line in lines_of(a.held_out))


def train_socle(kind, a):
    import tokenizer_peers
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        common.call(common.tool("socle", "SOCLE"), "tokenizer", "train", "--kind", kind, "--size", a.size, "--threads", a.threads,
                    "--quiet", folder, a.file)
        seconds = time.perf_counter() - start
        t = tokenizer_peers.Ours(folder)
        ends = kind in ("byte-bpe", "wordpiece")
        return seconds, sum(t.count((line if ends else line.rstrip("\r\n")).encode()) for line in lines_of(a.held_out))


def child(tool, kind, a):
    try:
        print(json.dumps(globals()["train_" + tool](kind, a)))
    except ImportError as e:
        print(json.dumps(str(e)))


def measure(tool, kind, a):
    env = {**os.environ, "RAYON_NUM_THREADS": str(a.threads), "TOKENIZERS_PARALLELISM": "true"}
    args = [sys.executable, os.path.abspath(__file__), "--child", tool, "--file", a.file, "--held-out", a.held_out, "--size",
            str(a.size), "--threads", str(a.threads), kind]
    p = subprocess.run(args, capture_output=True, text=True, env=env)
    if p.returncode:
        sys.exit(f"{tool}: {p.stderr.strip().splitlines()[-1]}")
    return json.loads(p.stdout.splitlines()[-1])


def compare(kind, a):
    results = {}
    for _ in range(a.runs):
        for tool in TOOLS[kind]:
            got = measure(tool, kind, a)
            if isinstance(got, str):
                results[tool] = got
            elif not isinstance(results.get(tool), str):
                results.setdefault(tool, []).append(got)
    seconds = {t: common.median(s for s, _ in r) for t, r in results.items() if not isinstance(r, str)}
    size = os.path.getsize(a.held_out)
    return [[kind, t, f"{seconds[t]:.2f}", f"{seconds[t] / seconds['socle']:.2f}", r[0][1], f"{size / r[0][1]:.3f}"] if t in seconds
            else [kind, t, r, "", "", ""] for t, r in results.items()]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("kind", nargs="*", metavar="KIND", help="byte-bpe, bpe, unigram or wordpiece")
    p.add_argument("--mb", type=float, default=20)
    p.add_argument("--size", type=int, default=32000)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--runs", type=int, default=3)
    p.add_argument("--file")
    p.add_argument("--held-out")
    p.add_argument("--child", help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.child:
        sys.path[:] = PYTHON_PATH[1:] + [os.path.join(HERE, "..", "tests"), HERE]  # this folder's names are packages' too
        return child(a.child, a.kind[0], a)
    with tempfile.TemporaryDirectory() as folder:
        if not a.file:
            a.file, a.held_out = os.path.join(folder, "train.txt"), os.path.join(folder, "held-out.txt")
            tokenizer_corpus.make(a.file, a.mb * 1e6, a.held_out)
        rows = [row for kind in a.kind or TOOLS for row in compare(kind, a)]
    print(f"{common.cpu_name()}, {a.threads} threads, {a.size} tokens, {os.path.getsize(a.file) / 1e6 if os.path.exists(a.file) else a.mb:.1f} MB\n")
    print(common.table(["kind", "tool", "seconds", "of socle's", "tokens", "bytes/token"], rows))


if __name__ == "__main__":
    main()
