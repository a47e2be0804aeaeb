#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Small tokenizers of the kinds that GGUF has, and the ids that HuggingFace's tokenizers gives for some texts, into
tests/data/gguf_tokenizers/NAME: tokenizer.json, tokenizer_config.json, config.json, ids.json. Trained on this project's own
text. Needs the package tokenizers: python3 tests/data/make_gguf_tokenizers.py"""
import json
import os
import shutil

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
HERE = os.path.join(ROOT, "tests", "data", "gguf_tokenizers")
TEMPLATE = "{% for m in messages %}<|user|>{{ m['content'] }}<|end|>{% endfor %}"

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)"
          r"|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")

TEXTS = ["", "Hello world", "the library and the command", " two  spaces\n\nlines\t.", "12345 67 it's IT'S we'll",
         "caf\u00e9 na\u00efve e\u0301 \u2014 \ud55c\uad6d\uc5b4 \u6f22\u5b57 \U0001f600", "<|end|>not<|user|>", "x" * 70, "a\r\nb  ",
         "(sc_status) s = sc_fail(SC_EINVAL);"]


def corpus():
    for name in ("README.md", "CONTRIBUTING.md", "docs/architecture.md", "README.ko.md"):
        with open(os.path.join(ROOT, name), encoding="utf-8") as f:
            yield from f


def split(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def byte_level(steps, normalizer=None, ignore_merges=False):
    t = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer:
        t.normalizer = normalizer
    t.pre_tokenizer = pre_tokenizers.Sequence(steps) if len(steps) > 1 else steps[0]
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    t.train_from_iterator(corpus(), trainers.BpeTrainer(
        vocab_size=600, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<|bos|>"]))
    t.add_special_tokens(["<|end|>"])
    t.add_tokens([AddedToken("<|user|>", normalized=False)])
    return t


def plain_bytes():
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)


def sentencepiece():
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    # Words in training only: a merge across words would never be learned well from so little text.
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=True)
    t.train_from_iterator((line.strip("\n") for line in corpus()),
                          trainers.BpeTrainer(vocab_size=900, limit_alphabet=120, show_progress=False, special_tokens=special))
    j = json.loads(t.to_str())
    j["pre_tokenizer"] = None
    j["added_tokens"] = [a for a in j["added_tokens"] if not a["content"].startswith("<0x")]
    # As SentencePiece's vocabularies are: every way to split a token is a merge, in the order of the tokens.
    vocab, rank = j["model"]["vocab"], {}
    for i, (a, b) in enumerate(j["model"]["merges"]):
        rank.setdefault(a + b, i)
    j["model"]["merges"] = [[w[:k], w[k:]] for w in sorted(rank, key=rank.get) for k in range(len(w) - 1, 0, -1)
                            if w[:k] in vocab and w[k:] in vocab]
    t = Tokenizer.from_str(json.dumps(j))
    t.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
                                   decoders.Strip(" ", 1, 0)])
    t.add_special_tokens(["<|end|>"])
    t.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B",
                                                     special_tokens=[("<s>", t.token_to_id("<s>"))])
    return t


def save(name, t, pre, **settings):
    path = os.path.join(HERE, name)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    t.save(os.path.join(path, "tokenizer.json"), pretty=False)
    settings["chat_template"] = TEMPLATE
    end = t.token_to_id("<|end|>")
    # One row more than there are tokens, as tables are padded.
    config = {"vocab_size": t.get_vocab_size() + 1, "eos_token_id": end}
    ids = {"pre": pre, "texts": [{"text": x, "ids": t.encode(x).ids, "plain": t.encode(x, add_special_tokens=False).ids}
                                 for x in TEXTS]}
    for file, value in (("tokenizer_config.json", settings), ("config.json", config), ("ids.json", ids)):
        with open(os.path.join(path, file), "w", encoding="utf-8") as f:
            json.dump(value, f, indent=None if file == "ids.json" else 1)
            f.write("\n")


if __name__ == "__main__":
    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
    save("gpt2", byte_level([gpt2]), "gpt-2", bos_token="<|bos|>", eos_token="<|end|>")
    save("smollm", byte_level([pre_tokenizers.Digits(individual_digits=True), gpt2]), "smollm", eos_token="<|end|>")
    save("qwen2", byte_level([split(QWEN2), plain_bytes()], normalizers.NFC()), "qwen2", eos_token={"content": "<|end|>"})
    llama3 = byte_level([split(LLAMA3), plain_bytes()], ignore_merges=True)
    llama3.post_processor = processors.TemplateProcessing(single="<|bos|> $A", special_tokens=[("<|bos|>", 0)])
    save("llama3", llama3, "llama-bpe", bos_token="<|bos|>", eos_token="<|end|>")
    save("llama", sentencepiece(), "default", bos_token="<s>", eos_token="</s>", unk_token="<unk>")
