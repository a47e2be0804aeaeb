#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the rest of tests/data/tokenizers/: small WordPiece, Unigram and WordLevel tokenizers trained here, a SentencePiece Unigram
model, and what HuggingFace's tokenizers and sentencepiece say under many variants of them: ids, spans,
decoded text, pairs with their types, cut and padded. Needs: tokenizers, sentencepiece."""
import io
import json
import random
import tempfile

import sentencepiece
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from make_tokenizers import CORPUS, OUT, TEXTS, patch, with_ids

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
MORE = ["Ｆｕｌｌ　ｗｉｄｔｈ ﬁve ①② ㎏ ㍿ ﷺ", "don't do not  it 's , yes . ok ? no !", "a\u0000b\u0007c\u200bd\u00ade\ufefff", "x" * 120,
        "\u0301lead mark", "각\u1100\u1161\u11a8 ﾡ ᄀ", "ᬀ\u1b34 \u061c \U0001f1f0\U0001f1f7\U0001f1f0", "\u166d\u061d\u2e5d\u111c9",
        "漢字かなカナー混じり text 123", "  leading and trailing  ", "aaa bbb  aaa", "<0x41><unk> <s>x</s>", "ḍ̇ ṩ Ⅸ ǅ"]
PAIRS = [("Hello world", "the dog"), ("", "second"), ("first text", ""), ("The quick brown fox jumps over", "the lazy dog and runs"),
         ("a", "12345 67890 12345")]


def train_wordpiece():
    t = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=30))
    t.normalizer = normalizers.BertNormalizer()
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    t.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=420, special_tokens=SPECIAL, limit_alphabet=160,
                                                            show_progress=False))
    t.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(x, t.token_to_id(x)) for x in ("[CLS]", "[SEP]")])
    return t


# A small character map; NFKC's would be 240 KB.
RULES = [("FF26", "46"), ("FF55", "75"), ("FF4C", "6C"), ("3000", "20"), ("A0", "20"), ("9", "20"), ("A", "20"), ("D", "20"),
         ("FB01", "66 69"), ("2460", "31"), ("338F", "6B 67"), ("65 301", "E9"), ("61 308", "E4"), ("1100 1161 11A8", "AC01"), ("7", ""),
         ("200B", "20"), ("FDFA", "635 644 649 20 627 644 644 647"), ("AD", ""), ("FEFF", ""), ("2026", "2E 2E 2E"),
         ("FF21 FF22", "41 42"), ("D A", "20")]


def train_sentencepiece():
    model = io.BytesIO()
    with tempfile.NamedTemporaryFile("w", suffix=".tsv", encoding="utf-8") as f:
        f.write("".join(f"{a}\t{b}\n" for a, b in RULES))
        f.flush()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(x for c in CORPUS for x in c.split("\n") if x), model_writer=model, vocab_size=300,
            hard_vocab_limit=False, model_type="unigram", character_coverage=0.98, user_defined_symbols=["<tool>", "foo bar"],
            normalization_rule_tsv=f.name, minloglevel=2)
    return model.getvalue()


def field(data, *path):
    """The bytes of a protocol buffer's field."""
    i = 0

    def varint():
        nonlocal i
        v = shift = 0
        while True:
            b = data[i]
            i += 1
            v |= (b & 127) << shift
            shift += 7
            if b < 128:
                return v
    while i < len(data):
        key = varint()
        if key & 7 == 2:
            n = varint()
            if key >> 3 == path[0]:
                return field(data[i:i + n], *path[1:]) if path[1:] else data[i:i + n]
            i += n
        elif key & 7 == 0:
            varint()
        else:
            i += 4 if key & 7 == 5 else 8
    return b""


def train_unigram(blob):
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Sequence([normalizers.Precompiled(blob), normalizers.Replace(" ", "▁")])
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    t.decoder = decoders.Metaspace()
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    t.train_from_iterator(CORPUS, trainers.UnigramTrainer(vocab_size=560, special_tokens=special, unk_token="<unk>",
                                                          show_progress=False))
    d = json.loads(t.to_str())
    d["added_tokens"] = [x for x in d["added_tokens"] if x["id"] < 3]
    t = Tokenizer.from_str(json.dumps(d))
    t.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 2)])
    return t


def train_wordlevel():
    t = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    t.pre_tokenizer = pre_tokenizers.Whitespace()
    t.train_from_iterator(CORPUS, trainers.WordLevelTrainer(vocab_size=90, special_tokens=SPECIAL, show_progress=False))
    return t


def bert(**change):
    return {"normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
                           "lowercase": True, **change}}


def pre(*steps):
    return {"pre_tokenizer": {"type": "Sequence", "pretokenizers": list(steps)}}


def cut(n, strategy="LongestFirst", direction="Right"):
    return {"truncation": {"max_length": n, "strategy": strategy, "stride": 0, "direction": direction}}


def pad(strategy="BatchLongest", direction="Right", multiple=None):
    return {"padding": {"strategy": strategy, "direction": direction, "pad_to_multiple_of": multiple, "pad_id": 0, "pad_type_id": 3,
                        "pad_token": "[PAD]"}}


VARIANTS = [
    ("wordpiece", {}),
    ("wordpiece", bert(lowercase=False)), ("wordpiece", bert(strip_accents=False)), ("wordpiece", bert(strip_accents=True, lowercase=False)),
    ("wordpiece", bert(clean_text=False)), ("wordpiece", bert(handle_chinese_chars=False)),
    ("wordpiece", {"model.max_input_chars_per_word": 5}), ("wordpiece", {"model.continuing_subword_prefix": ""}),
    ("wordpiece", {"decoder": {"type": "WordPiece", "prefix": "##", "cleanup": False}}),
    ("wordpiece", {"decoder": {"type": "CTC", "pad_token": "[PAD]", "word_delimiter_token": "|", "cleanup": True}}),
    ("wordpiece", {"decoder": {"type": "CTC", "pad_token": "e", "word_delimiter_token": "o", "cleanup": True}}),
    ("wordpiece", {"normalizer": {"type": "Nmt"}}),
    ("wordpiece", {"normalizer": {"type": "StripAccents"}}),
    ("wordpiece", pre({"type": "UnicodeScripts"})), ("wordpiece", pre({"type": "FixedLength", "length": 3})),
    ("wordpiece", pre({"type": "CharDelimiterSplit", "delimiter": "o"})),
    ("wordpiece", pre({"type": "WhitespaceSplit"}, {"type": "Punctuation", "behavior": "MergedWithNext"})),
    ("wordpiece", {"post_processor": {"type": "BertProcessing", "sep": ["[SEP]", "[SEP]"], "cls": ["[CLS]", "[CLS]"]}}),
    ("wordpiece", {"post_processor": {"type": "RobertaProcessing", "sep": ["[SEP]", "[SEP]"], "cls": ["[CLS]", "[CLS]"],
                                      "trim_offsets": True, "add_prefix_space": True}}),
    ("wordpiece", {"post_processor": None}),
    ("wordpiece", cut(6)), ("wordpiece", cut(6, direction="Left")), ("wordpiece", cut(8, "OnlyFirst")), ("wordpiece", cut(9, "OnlySecond")),
    ("wordpiece", pad({"Fixed": 12})), ("wordpiece", pad(multiple=8, direction="Left")), ("wordpiece", {**cut(7), **pad({"Fixed": 7})}),
    ("unigram", {}),
    ("unigram", {"model.byte_fallback": True}), ("unigram", {"model.byte_fallback": True, "pre_tokenizer": None}),
    ("unigram", {"pre_tokenizer": None}),
    ("unigram", {"pre_tokenizer.prepend_scheme": "first"}), ("unigram", {"pre_tokenizer.split": False}),
    ("unigram", {"normalizer": None}),
    ("unigram", {"normalizer": {"type": "Sequence", "normalizers": [{"type": "Nmt"}, {"type": "NFKC"},
                 {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]}}),
    ("wordlevel", {}), ("wordlevel", {"normalizer": {"type": "Lowercase"}}), ("wordlevel", {"pre_tokenizer": {"type": "WhitespaceSplit"}}),
]


def spans(text, offsets):
    at = [0]
    for c in text:
        at.append(at[-1] + len(c.encode()))
    return [x for a, b in offsets for x in (at[a], at[b])]


def case(t, text):
    try:
        e = t.encode(text)
    except BaseException:  # no second text to cut
        return [text, None, None, None]
    return [text, e.ids, spans(text, e.offsets), t.decode(e.ids, skip_special_tokens=True)]


def pair(t, a, b):
    try:
        e = t.encode(a, b)
    except BaseException:  # too short to be cut so
        return [a, b, None, None]
    return [a, b, e.ids, e.type_ids]


def main():
    base = {}
    model = train_sentencepiece()
    blob = field(model, 3, 2)
    for name, make in (("wordpiece", train_wordpiece), ("unigram", lambda: train_unigram(blob)), ("wordlevel", train_wordlevel)):
        base[name] = json.loads(make().to_str())
        (OUT / f"{name}.json").write_text(json.dumps(base[name], ensure_ascii=False), encoding="utf-8")
    r = random.Random(2)
    out = []
    for name, change in VARIANTS:
        change = with_ids(change, base[name])
        fit = "truncation" in change or "padding" in change
        texts = TEXTS + MORE if change == {} else r.sample(TEXTS, 8) + (r.sample(MORE, 6) if not fit else [])
        if "UnicodeScripts" in str(change):  # theirs are of an older Unicode
            texts = [x for x in texts if "\u061d" not in x]
        t = Tokenizer.from_str(json.dumps(patch(base[name], change)))
        key = "fitted" if fit else "cases"
        out.append({"base": name, "change": change, key: [case(t, x) for x in texts], "pairs": [pair(t, *p) for p in PAIRS]})
    (OUT / "kind_cases.json").write_text("[\n" + ",\n".join(json.dumps(x, ensure_ascii=False) for x in out) + "\n]\n",
                                         encoding="utf-8")
    (OUT / "unigram.model").write_bytes(model)
    sp = sentencepiece.SentencePieceProcessor(model_proto=model)
    texts = TEXTS + MORE + ["a<tool>b <tool> c", "foo bar foo  bar xfoo bary"]
    (OUT / "unigram_cases.json").write_text(json.dumps([[x, sp.encode(x), None] for x in texts], ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
