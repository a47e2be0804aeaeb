#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real tokenizers on mixed lines against HuggingFace's tokenizers, tiktoken and sentencepiece: ids, spans, decoded text, pairs;
and vocabularies in GGUF on the texts beside them. Skipped (77) without the packages or the files.

    tests/check_tokenizers.py [LINES [SEED [NAME...]]]"""
import glob
import os
import random
import sys

import tokenizer_peers as peers

try:
    import sentencepiece
    from tokenizers import BertWordPieceTokenizer, Tokenizer, decoders, models, pre_tokenizers, processors
    import tiktoken  # noqa: F401
except ImportError as e:
    print("skipped:", e)
    sys.exit(77)
if not os.path.isdir(peers.real("")):
    print("skipped: no", peers.real(""))
    sys.exit(77)

SENTENCEPIECE = {"llama2": "llama2/tokenizer.model", "mistral": "mistral/tokenizer.model.v1",
                 "mistral-v3": "mistral/mistral_instruct_tokenizer_240323.model.v3",
                 "unigram": "sentencepiece/librispeech_unigram5000.model"}
GGUF_ELSEWHERE = {"llama-bpe": "llama3/tokenizer.model", "qwen2": "qwen/qwen.tiktoken", "deepseek-r1-qwen": "qwen/qwen.tiktoken"}


def gpt2():
    t = Tokenizer(models.BPE.from_file(peers.real("gpt2/encoder.json"), peers.real("gpt2/vocab.bpe")))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    t.add_special_tokens(["<|endoftext|>"])
    return t


def from_file(path):
    return lambda: Tokenizer.from_file(peers.real(path))


def bert(path):
    return lambda: BertWordPieceTokenizer(peers.real(path), lowercase=True)._tokenizer


HUGGINGFACE = {
    "bert": ("bert-base-uncased/tokenizer.json", from_file("bert-base-uncased/tokenizer.json")),
    "xlm-r": ("xlm-r/tokenizer.json", from_file("xlm-r/tokenizer.json")),
    "deepseek-v3": ("deepseek-v3/tokenizer.json", from_file("deepseek-v3/tokenizer.json")),
    "kcbert": ("kcbert/vocab.txt", bert("kcbert/vocab.txt")),
    "bert vocab.txt": ("bert-base-uncased/vocab.txt", bert("bert-base-uncased/vocab.txt")),
    "gpt2 encoder.json": ("gpt2/encoder.json", gpt2),
}


class Count:
    def __init__(self, name):
        self.name, self.bad, self.shown = name, {}, 0

    def check(self, what, line, got, want):
        if got == want:
            return True
        self.bad[what] = self.bad.get(what, 0) + 1
        if self.shown < 5:
            self.shown += 1
            k = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
            print(f"  {self.name}: {what} of {line[:100]!r} at {k}: {got[k:k + 6]!r}, not {want[k:k + 6]!r}")
        return False

    def done(self, n):
        print(f"{self.name}: {n} lines, " + (", ".join(f"{v} other {k}" for k, v in self.bad.items()) or "all the same"))
        return not self.bad


def byte_offsets(text, offsets):
    at = [0]
    for c in text:
        at.append(at[-1] + len(c.encode()))
    return [(at[a], at[b]) for a, b in offsets]


def whole_characters(raw, pieces):
    """The spans of tokens that follow on one another, widened to whole characters as ours are."""
    out, end = [], 0
    for n in pieces:
        a, end = end, end + n
        b = end
        while a > 0 and raw[a] & 0xc0 == 0x80:
            a -= 1
        while b < len(raw) and raw[b] & 0xc0 == 0x80:
            b += 1
        out.append((a, b))
    return out


def check_huggingface(name, lines, lib):
    path, make = HUGGINGFACE[name]
    theirs, ours, c = make(), peers.Ours(peers.real(path), lib), Count(name)
    fitted = Tokenizer.from_str(theirs.to_str())
    theirs.no_truncation()
    theirs.no_padding()
    flags = peers.SPECIAL | peers.PARSE
    for x in lines:
        want = theirs.encode(x)
        ids, spans = ours.encode(x, flags)
        if not c.check("ids", x, ids, want.ids):
            continue
        c.check("ids without spans", x, ours.ids(x, flags), ids)
        c.check("spans", x, spans, byte_offsets(x, want.offsets))
        for skip in (True, False):
            c.check("text", x, ours.decode(ids, skip), theirs.decode(ids, skip_special_tokens=skip))
    r = random.Random(1)
    for _ in range(len(lines) // 10):
        a, b = r.choice(lines), r.choice(lines)
        want = fitted.encode(a, b)
        c.check("pairs", a, list(ours.pair(a, b, flags | peers.FIT)), [want.ids, want.type_ids])
    return c.done(len(lines))


def check_tiktoken(name, lines, lib):
    theirs, ours, c = peers.load_tiktoken(name), peers.Ours(peers.real(peers.TIKTOKEN[name]), lib), Count(name)
    for x in lines:
        want = theirs.encode_ordinary(x)
        ids, spans = ours.encode(x)
        if not c.check("ids", x, ids, want):
            continue
        c.check("ids without spans", x, ours.ids(x), ids)
        sizes = [len(theirs.decode_single_token_bytes(i)) for i in ids]
        c.check("spans", x, spans, whole_characters(x.encode(), sizes))
        c.check("text", x, ours.decode(ids, False), theirs.decode(ids))
    return c.done(len(lines))


def check_sentencepiece(name, lines, lib):
    """Its spans are of another kind, and its unknown token is decoded as another text."""
    path = peers.real(SENTENCEPIECE[name])
    theirs, ours, c = sentencepiece.SentencePieceProcessor(model_file=path), peers.Ours(path, lib), Count(name)
    for x in lines:
        want = theirs.encode(x)
        ids = ours.ids(x)
        if c.check("ids", x, ids, want):
            c.check("ids with spans", x, ours.encode(x)[0], ids)
            if theirs.unk_id() not in ids:
                c.check("text", x, ours.decode(ids, False), theirs.decode(ids))
    return c.done(len(lines))


def check_gguf(lib):
    good = True
    for inp in sorted(glob.glob(peers.real("vocab-gguf/*.inp"))):
        path = inp[:-4]
        name = os.path.basename(path)[len("ggml-vocab-"):-len(".gguf")]
        if not os.path.exists(path):
            if name not in GGUF_ELSEWHERE:
                continue
            path = peers.real(GGUF_ELSEWHERE[name])
        with open(inp, newline="", encoding="utf-8") as f:
            texts = f.read().split("\n__ggml_vocab_test__\n")
        with open(inp[:-4] + ".out", encoding="utf-8") as f:
            outs = f.read().split("\n")
        ours, c = peers.Ours(path, lib), Count("gguf " + name)
        for text, out in zip(texts, outs):
            c.check("ids", text, ours.ids(text), [int(x) for x in out.split()])
        good &= c.done(len(texts))
    return good


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    lines = peers.mixed_lines(n, int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    names, lib, good = sys.argv[3:], peers.library(), True
    for table, check in ((HUGGINGFACE, check_huggingface), (peers.TIKTOKEN, check_tiktoken), (SENTENCEPIECE, check_sentencepiece)):
        for name in table:
            if not names or name in names:
                good &= check(name, lines, lib)
    if not names or "gguf" in names:
        good &= check_gguf(lib)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
