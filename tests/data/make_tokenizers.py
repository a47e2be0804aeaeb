#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/data/tokenizers/: two small tokenizers trained here, and what HuggingFace's tokenizers says of odd texts
under many variants of them. A SentencePiece model is trained too. Needs: tokenizers, sentencepiece."""
import copy
import io
import json
import pathlib
import random

import sentencepiece
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

OUT = pathlib.Path(__file__).parent / "tokenizers"
CORPUS = [
    "The quick brown fox jumps over the lazy dog, and the dog doesn't care. It's 12345 o'clock!",
    "int main(void)\n{\n    return 0; /* nothing to see here */\n}\n",
    "나는 어제 도서관에서 책을 읽었습니다. 오늘은 비가 옵니다. 안녕하세요, 반갑습니다!",
    "été déjà vu, naïve café, Größe, señor; “quoted” — dashes… and 100% of 3.14159",
    "今日は天気がいいですね。中文也可以。 カタカナ と ひらがな",
    "they're we've I'll he'd I'm HELLO WORLD CamelCase snake_case foo_bar x=y+z; a<b>c",
] * 20

TEXTS = [
    "", " ", "  ", "\n", " \n \r\n\t ", "Hello world", " Hello  world ", "I'LL don't 'ſ they'Re", "12345678901 ٣٤ ½ Ⅷ²",
    "한국어 문장입니다. 각 각", "e\u0301 a\u0308\u0323 \u0323\u0307 Å ﬁ ｶﾞ", "👨‍👩‍👧‍👦🏳️‍🌈🇰🇷😀", "a\u00a0b\u3000c\u2028d\x85e\u180ef",
    "tabs\tand\x00nul\x01\x7f", "<|end|>", "x<|end|> y", "a <|end|>  b<|pad|>c", "the<mask>  of", "  <mask>  ", "foo_bar",
    "xfoo_bar foo_bar foo_bary", "FOO_BAR Größe CAFÉ İstanbul ΣΑΣ", "!!!...?! a--b __init__ (x)[y]{z} $5 €6 `q` ^~|",
    "▁ ▁▁a ▁", "<0x41> <0xE5>", "中文字符。日本語、カタカナ", "The quick brown fox " * 4, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "مرحبا नमस्ते ไทย", "\ufffd \ufeff \u200d \u200b", "CamelCaseHTTPServer2Go", "a\r\nb\rc\n\nd", "zqxj 🜁 unseen ꙮ",
]

ADDED = [
    AddedToken("<|end|>", special=True, normalized=False),
    AddedToken("<|pad|>", special=True, normalized=False, rstrip=True),
    AddedToken("<mask>", special=True, normalized=False, lstrip=True),
    AddedToken("foo_bar", special=False, normalized=True, single_word=True),
]


def train_bytes():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=True)
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=560, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                                      show_progress=False))
    t.add_tokens(ADDED)
    return t


def train_fallback():
    t = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                   decoders.Strip(" ", 1, 0)])
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=620, special_tokens=special, limit_alphabet=120,
                                                      show_progress=False))
    d = json.loads(t.to_str())
    d["added_tokens"] = [x for x in d["added_tokens"] if x["id"] < 3]
    t = Tokenizer.from_str(json.dumps(d))
    t.add_tokens(ADDED)
    t.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    return t


GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}


def split(regex, behavior="Isolated", invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: regex}, "behavior": behavior, "invert": invert}


def seq(*steps):
    return {"pre_tokenizer": {"type": "Sequence", "pretokenizers": list(steps)}}


def norm(*steps):
    return {"normalizer": {"type": "Sequence", "normalizers": list(steps)}}


def strip(left, right):
    return {"type": "Strip", "strip_left": left, "strip_right": right}


VARIANTS = [
    ("bytes", {}),
    ("bytes", {"pre_tokenizer": {**BYTES, "use_regex": True, "add_prefix_space": True}}),
    ("bytes", {"pre_tokenizer": {**BYTES, "add_prefix_space": True}}),
    ("bytes", {"model.ignore_merges": True, **seq(split(LLAMA3), BYTES)}),
    *[("bytes", seq(split(r"\s+", b, i), BYTES)) for b in
      ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous") for i in (False, True)],
    *[("bytes", seq(split("a", b, False, "String"), BYTES)) for b in
      ("Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous")],
    ("bytes", seq(split(r"(?=(\d{3})+(?!\d))"), BYTES)),
    ("bytes", seq(split(r"\w{1,2}+|\W"), BYTES)),
    ("bytes", seq(split(r"^.|$|\p{Han}+|\h+"), BYTES)),
    ("bytes", seq({"type": "Digits", "individual_digits": True}, {**BYTES, "use_regex": True})),
    ("bytes", seq({"type": "Digits", "individual_digits": False}, BYTES)),
    ("bytes", seq({"type": "Punctuation", "behavior": "Isolated"}, BYTES)),
    ("bytes", seq({"type": "Punctuation", "behavior": "Contiguous"}, BYTES)),
    ("bytes", seq({"type": "Punctuation", "behavior": "MergedWithPrevious"}, BYTES)),
    ("bytes", seq({"type": "Whitespace"}, BYTES)),
    ("bytes", seq({"type": "WhitespaceSplit"}, BYTES)),
    ("bytes", seq({"type": "BertPreTokenizer"}, BYTES)),
    *[("bytes", {"normalizer": {"type": f}}) for f in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase")],
    ("bytes", norm({"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"})),
    ("bytes", norm(strip(True, False))), ("bytes", norm(strip(False, True))), ("bytes", norm(strip(True, True))),
    ("bytes", norm({"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "}, {"type": "Prepend", "prepend": "x "})),
    ("bytes", norm({"type": "Replace", "pattern": {"String": "a"}, "content": "ß한"})),
    ("bytes", {"normalizer": {"type": "ByteLevel"}, "pre_tokenizer": None}),
    ("bytes", {"post_processor": {"type": "RobertaProcessing", "sep": ["<|end|>", "<|end|>"], "cls": ["<|pad|>", "<|pad|>"],
                                  "trim_offsets": True, "add_prefix_space": False}}),
    ("bytes", {"post_processor": {"type": "Sequence", "processors": [
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
        {"type": "TemplateProcessing",
         "single": [{"SpecialToken": {"id": "<|end|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
         "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
         "special_tokens": {"<|end|>": {"id": "<|end|>", "ids": ["<|end|>"], "tokens": ["<|end|>"]}}}]}}),
    ("fallback", {}),
    ("fallback", {"model.byte_fallback": False}),
    ("fallback", {"model.byte_fallback": False, "model.fuse_unk": False}),
    ("fallback", {"model.byte_fallback": False, "model.unk_token": None}),
    *[("fallback", {"normalizer": None, "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": p,
                                                          "split": s},
                    "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": p, "split": s}})
      for p in ("always", "first", "never") for s in (False, True)],
    ("fallback", {"decoder": {"type": "Sequence", "decoders": [
        {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Replace", "pattern": {"String": "▁▁"}, "content": "="},
        {"type": "Strip", "content": "▁", "start": 2, "stop": 1}]}}),
    ("fallback", {"decoder": None}),
]


def with_ids(x, base):
    """The ids of the special tokens, which only training tells: [name, name] and {"ids": [name]}."""
    ids = {a["content"]: a["id"] for a in base["added_tokens"]}
    if isinstance(x, dict):
        return {k: [ids[v[0]]] if k == "ids" else with_ids(v, base) for k, v in x.items()}
    if isinstance(x, list):
        return [x[0], ids[x[0]]] if len(x) == 2 and x[0] == x[1] else [with_ids(v, base) for v in x]
    return x


def patch(base, change):
    d = copy.deepcopy(base)
    for key, value in change.items():
        at = d
        *path, last = key.split(".")
        for k in path:
            at = at[k]
        at[last] = value
    return d


def cases(d, texts):
    t = Tokenizer.from_str(json.dumps(d))
    for text in texts:
        e = t.encode(text)
        at = [0]
        for c in text:
            at.append(at[-1] + len(c.encode()))
        try:
            skip = t.decode(e.ids, skip_special_tokens=True)
        except BaseException:  # Strip at the end of nothing panics
            skip = None
        yield [text, e.ids, [x for a, b in e.offsets for x in (at[a], at[b])], skip]


def main():
    OUT.mkdir(exist_ok=True)
    base = {}
    for name, make in (("bytes", train_bytes), ("fallback", train_fallback)):
        base[name] = json.loads(make().to_str())
        (OUT / f"{name}.json").write_text(json.dumps(base[name], ensure_ascii=False), encoding="utf-8")
    r = random.Random(1)
    out = []
    for i, (name, change) in enumerate(VARIANTS):
        change = with_ids(change, base[name])
        texts = TEXTS if i == 0 or change == {} else r.sample(TEXTS, 14)
        out.append({"base": name, "change": change, "cases": list(cases(patch(base[name], change), texts))})
    (OUT / "cases.json").write_text("[\n" + ",\n".join(json.dumps(x, ensure_ascii=False) for x in out) + "\n]\n",
                                    encoding="utf-8")
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(x for c in CORPUS for x in c.split("\n") if x),
                                             model_writer=model, vocab_size=600, model_type="bpe", byte_fallback=True,
                                             normalization_rule_name="identity", remove_extra_whitespaces=False,
                                             character_coverage=0.98, user_defined_symbols=["<tool>", "foo bar"],
                                             minloglevel=2)
    (OUT / "bpe.model").write_bytes(model.getvalue())
    sp = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    texts = TEXTS + ["a<tool>b <tool> c", "foo bar foo  bar xfoo bary"]
    (OUT / "bpe_cases.json").write_text(json.dumps([[x, sp.encode(x), sp.decode(sp.encode(x))] for x in texts],
                                                   ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
