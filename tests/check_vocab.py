#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tokenizers that we train, on real texts where they are there: HuggingFace's tokenizers and transformers load them with the same ids;
merges are those of HuggingFace's trainers; Unigram needs no more tokens than sentencepiece's. Skipped (77) without the packages."""
import json
import os
import subprocess
import sys
import tempfile

import tokenizer_peers as peers

try:
    import sentencepiece
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
except ImportError as e:
    print("skipped:", e)
    sys.exit(77)

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("SOCLE_BUILD_DIR") or os.path.join(HERE, "..", "build")
REAL = ["data/botchan/botchan.txt", "data/nsmc/ratings_train_subset.tsv", "data/human-eval/HumanEval.jsonl.gz"]
ODD = ["", " ", "  two  spaces", "\ttab", "caf\u00e9 na\u00efve \U0001f600\U0001f1f0\U0001f1f7", "<s>x</s> <|endoftext|> [MASK] [CLS]",
       "\u4e2d\u6587\u5b57", "a" * 300, "1234567890", "don't WON'T we'll", "<0x41> \u2581x", "\x01\x7f\u00ad\u200b", "x\u0301\u1100\u1161\u11a8",
       "print(\"hello\")\n\n    return x  # 한국어\r\n", "\u00a0nbsp\u3000wide"]
faults = []


def fault(text):
    print("FAULT:", text)
    faults.append(text)


def texts():
    """Lines to train on and lines held out."""
    lines = []
    for name in REAL:
        path = os.path.join(peers.REAL, name)
        if not os.path.exists(path):
            continue
        if path.endswith(".gz"):
            import gzip
            with gzip.open(path, "rt", encoding="utf-8") as f:
                lines += [x for line in f for x in json.loads(line)["prompt"].splitlines()]
        else:
            with open(path, encoding="utf-8-sig", newline="\n") as f:
                lines += [x.rstrip("\r\n") for x in f.readlines()[:6000]]
    if not lines:
        with open(os.path.join(HERE, "data", "vocab", "text.txt"), encoding="utf-8", newline="\n") as f:
            lines = f.read().split("\n")[:-1]
    held = [x for i, x in enumerate(lines) if i % 10 == 9]
    return [x for i, x in enumerate(lines) if i % 10 != 9], held


def train(folder, path, *args):
    out = os.path.join(folder, "out")
    p = subprocess.run([os.path.join(BUILD, "socle"), "tokenizer", "train", "--quiet", *args, out, path], capture_output=True, text=True)
    if p.returncode:
        raise SystemExit(f"{args}: {p.stderr}")
    return out


def same_ids(name, out, lines):
    """Ours and HuggingFace's ids of lines, and what they are decoded to."""
    ours, theirs = peers.Ours(out), Tokenizer.from_file(os.path.join(out, "tokenizer.json"))
    bad = 0
    for line in lines:
        got, want = ours.ids(line, peers.SPECIAL | peers.PARSE), theirs.encode(line).ids
        back = theirs.decode(want, skip_special_tokens=False)
        if got != want or ours.decode(got, skip=False) != back:
            bad += 1
            if bad < 3:
                print(f"  {name}: {line[:80]!r}: {got[:12]}, not {want[:12]}; {ours.decode(got, skip=False)[:60]!r}, not {back[:60]!r}")
    if bad:
        fault(f"{name}: {bad} of {len(lines)} lines have other ids or text")


def same_merges(name, out, t, trainer, lines):
    t.train_from_iterator(lines, trainer)
    want = json.loads(t.to_str())["model"]
    with open(os.path.join(out, "tokenizer.json"), encoding="utf-8") as f:
        got = json.load(f)["model"]
    if "merges" in want:
        a = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in got["merges"]]
        b = [tuple(m) for m in want["merges"]]
        if a != b:
            k = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
            fault(f"{name}: {len(a)} and {len(b)} merges, the first other one is {k}: {a[k:k + 2]}, {b[k:k + 2]}")
    elif set(got["vocab"]) != set(want["vocab"]):
        other = set(got["vocab"]) ^ set(want["vocab"])
        # Characters inside words have ids in the order of a table there, which is another in each run: pairs of equal counts
        # at the end of the vocabulary may differ.
        if len(other) > 8:
            fault(f"{name}: {len(other)} other tokens: {sorted(other)[:10]}")


def byte_bpe(folder, path, lines, held):
    ends = [x + "\n" for x in lines]
    for pattern in ("gpt2", "llama3", "qwen2", "o200k", "none"):
        args = ["--size", "600" if pattern == "none" else "4000", "--pattern", pattern]
        same_ids("byte-bpe " + pattern, train(folder, path, *args), held + ODD)
    out = train(folder, path, "--size", "4000")
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    same_merges("byte-bpe", out, t, trainers.BpeTrainer(vocab_size=4000, special_tokens=["<|endoftext|>"], show_progress=False,
                                                        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()), ends)
    out = train(folder, path, "--size", "1000", "--special", "<s>", "--special", "</s>", "--add-bos", "--add-eos", "--prefix-space",
                "--split-digits", "--normalizer", "nfkc,lowercase")
    same_ids("byte-bpe with more steps", out, held + ODD)


def bpe(folder, path, lines, held):
    out = train(folder, path, "--kind", "bpe", "--size", "4000", "--coverage", "1", "--no-byte-fallback")
    t = Tokenizer(models.BPE(unk_token="<unk>"))
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    same_merges("bpe", out, t, trainers.BpeTrainer(vocab_size=4000, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False), lines)
    same_ids("bpe without bytes", out, held + ODD)
    for more in ([], ["--no-prefix-space", "--split-digits", "--split-punctuation"], ["--limit-alphabet", "200", "--add-bos"]):
        same_ids("bpe " + " ".join(more), train(folder, path, "--kind", "bpe", "--size", "3000", *more), held + ODD)


def wordpiece(folder, path, lines, held):
    out = train(folder, path, "--kind", "wordpiece", "--size", "4000")
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer, t.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    same_merges("wordpiece", out, t, trainers.WordPieceTrainer(vocab_size=4000, special_tokens=special, show_progress=False), lines)
    same_ids("wordpiece", out, held + ODD)


def unigram(folder, path, lines, held):
    size, model = 4000, os.path.join(folder, "spm")
    out = train(folder, path, "--kind", "unigram", "--size", str(size))
    same_ids("unigram", out, held + ODD)
    for more in (["--no-byte-fallback"], ["--no-prefix-space", "--normalizer", "nfkc"]):
        same_ids("unigram " + " ".join(more), train(folder, path, "--kind", "unigram", "--size", "2000", *more), held + ODD)
    have = Tokenizer.from_file(os.path.join(out, "tokenizer.json")).get_vocab_size()
    for free in (True, False):  # pieces within one script and number, as is usual there, or as ours
        sentencepiece.SentencePieceTrainer.train(
            input=path, model_prefix=model, model_type="unigram", vocab_size=have, byte_fallback=True, minloglevel=2,
            normalization_rule_name="identity", remove_extra_whitespaces=False, character_coverage=0.9995, hard_vocab_limit=False,
            split_by_unicode_script=free, split_by_number=free)
        p = sentencepiece.SentencePieceProcessor(model_file=model + ".model")
        ours = peers.Ours(out)
        a, b = sum(len(ours.ids(x)) for x in held), sum(len(p.encode(x)) for x in held)
        print(f"unigram: {a} tokens held out, sentencepiece {b}")
        if a > 1.01 * b:
            fault(f"unigram: {a} tokens where sentencepiece has {b}")


def loads_in_transformers(folder, path):
    try:
        from transformers import PreTrainedTokenizerFast
    except ImportError as e:
        print("not compared with transformers:", e)
        return
    with open(os.path.join(folder, "chat.jinja"), "w") as f:
        f.write("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}")
    out = train(folder, path, "--size", "500", "--bos", "<s>", "--eos", "</s>", "--pad", "<pad>", "--add-bos", "--chat-template",
                f.name)
    t = PreTrainedTokenizerFast.from_pretrained(out)
    chat = [{"role": "user", "content": "hi"}]
    if (t.bos_token, t.eos_token, t.pad_token) != ("<s>", "</s>", "<pad>") or t("hi")["input_ids"][0] != t.bos_token_id:
        fault("transformers: other special tokens")
    if t.apply_chat_template(chat, tokenize=False) != "<user>hi":
        fault("transformers: no chat template")


def main():
    lines, held = texts()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "text.txt")
        with open(path, "w", encoding="utf-8", newline="") as f:
            f.write("".join(x + "\n" for x in lines))
        for check in (byte_bpe, bpe, wordpiece, unigram):
            check(folder, path, lines, held)
        loads_in_transformers(folder, path)
    print(f"{len(lines)} lines to train on, {len(held)} held out: {len(faults)} faults")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
