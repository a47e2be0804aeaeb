# SPDX-License-Identifier: Apache-2.0
"""For comparing tokenizers: our library through ctypes, lines of odd text, and the same real tokenizers in HuggingFace's
tokenizers, tiktoken and sentencepiece."""
import base64
import ctypes
import gzip
import json
import os
import random

HERE = os.path.dirname(os.path.abspath(__file__))
REAL = os.environ.get("SOCLE_REAL") or os.path.join(HERE, "..", "..", "shared", "real")
SPECIAL, PARSE, REPLACE, FIT = 1, 2, 4, 8


# ---- ours ----

class Span(ctypes.Structure):
    _fields_ = [("begin", ctypes.c_int32), ("end", ctypes.c_int32)]


def library():
    build = os.environ.get("SOCLE_BUILD_DIR") or os.path.join(HERE, "..", "build")
    lib = ctypes.CDLL(os.path.join(build, "libsocle.so"))
    lib.sc_error.restype = ctypes.c_char_p
    for name in ("sc_tokenizer_encode", "sc_tokenizer_encode_spans", "sc_tokenizer_decode", "sc_tokenizer_load"):
        getattr(lib, name).restype = ctypes.c_int
    lib.sc_free.argtypes = [ctypes.c_void_p]
    lib.sc_free.restype = None
    return lib


class Ours:
    def __init__(self, path, lib=None):
        self.lib = lib or library()
        self.t = ctypes.c_void_p()
        self.check(self.lib.sc_tokenizer_load(ctypes.byref(self.t), os.fsencode(path)))

    def check(self, status):
        if status:
            raise RuntimeError(self.lib.sc_error().decode())

    def encode(self, text, flags=0):
        """ids and spans in bytes"""
        raw = text if isinstance(text, bytes) else text.encode()
        ids, spans, n = ctypes.POINTER(ctypes.c_int32)(), ctypes.POINTER(Span)(), ctypes.c_int64()
        self.check(self.lib.sc_tokenizer_encode_spans(self.t, raw, ctypes.c_int64(len(raw)), flags, ctypes.byref(ids),
                                                      ctypes.byref(spans), ctypes.byref(n)))
        out = ids[:n.value], [(spans[i].begin, spans[i].end) for i in range(n.value)]
        self.lib.sc_free(ids)
        self.lib.sc_free(spans)
        return out

    def ids(self, text, flags=0):
        raw = text if isinstance(text, bytes) else text.encode()
        ids, n = ctypes.POINTER(ctypes.c_int32)(), ctypes.c_int64()
        self.check(self.lib.sc_tokenizer_encode(self.t, raw, ctypes.c_int64(len(raw)), flags, ctypes.byref(ids),
                                                ctypes.byref(n)))
        out = ids[:n.value]
        self.lib.sc_free(ids)
        return out

    def pair(self, a, b, flags=0):
        """ids, types"""
        a, b = a.encode(), b.encode()
        ids, types, n = ctypes.POINTER(ctypes.c_int32)(), ctypes.POINTER(ctypes.c_int32)(), ctypes.c_int64()
        self.check(self.lib.sc_tokenizer_encode_pair(self.t, a, ctypes.c_int64(len(a)), b, ctypes.c_int64(len(b)), flags,
                                                     ctypes.byref(ids), ctypes.byref(types), ctypes.byref(n)))
        out = ids[:n.value], types[:n.value]
        self.lib.sc_free(ids)
        self.lib.sc_free(types)
        return out

    def count(self, raw, flags=0):
        """The number of ids of bytes, without making Python objects of them."""
        ids, n = ctypes.c_void_p(), ctypes.c_int64()
        self.check(self.lib.sc_tokenizer_encode(self.t, raw, ctypes.c_int64(len(raw)), flags, ctypes.byref(ids),
                                                ctypes.byref(n)))
        self.lib.sc_free(ids)
        return n.value

    def decode(self, ids, skip=True):
        array = (ctypes.c_int32 * max(len(ids), 1))(*ids)
        text, n = ctypes.c_char_p(), ctypes.c_int64()
        self.check(self.lib.sc_tokenizer_decode(self.t, array, ctypes.c_int64(len(ids)), 2 + (1 if skip else 0),
                                                ctypes.byref(text), ctypes.byref(n)))
        out = ctypes.string_at(text, n.value)
        self.lib.sc_free(text)
        return out.decode()


# ---- texts ----

ENGLISH = ("the quick brown fox jumps over lazy dogs and doesn't care about 12345 things they've seen I'll say unbelievable "
           "internationalization HTTPServer McDonald's e-mail don't can't WON'T it's IT'S naïve café Zürich ﬁnally 3.14159 "
           "https://example.org/a?b=c&d=e#f user@mail.com C++ foo_bar CamelCase 1st 2nd 100% $5.00 (see) [1] {x}").split()
KOREAN = ("나는 어제 도서관에서 책을 읽었습니다 오늘은 비가 옵니다 안녕하세요 반갑습니다 대한민국 서울특별시 인공지능 모델을 학습시키는 "
          "토크나이저는 빠르고 정확해야 한다 뷁 쀍 꿻 값이 없었다 ㅋㅋㅋㅋ ㅠㅠ ㄱㄴㄷ ﾡﾢ 한글 ᄒ\u1161ᆫ").split()
OTHER = ("今日は天気がいいですね 中文也可以 カタカナ ｶﾀｶﾅ ﾊﾟﾋﾟ ひらがな 東京都 Привет мир Ελληνικά ΣΊΣΥΦΟΣ şişe İstanbul مرحبا "
         "بالعالم नमस्ते दुनिया สวัสดีครับ שלום עולם Tiếng Việt ａｂｃ １２３ Ⅷ ½ ² ① ㎏ ㍿ ﷺ ﬃ ß ẞ ǅ").split()
CODE = ["for (int i = 0; i < n; i++) {", "    return x->y;", "\tdef f(self, *args):", "#include <stdio.h>", "a[i]+=b[j]*c;", "}\r\n",
        "=> !== === ... --> /* x */ // y", "print(f\"{x:>10.3f}\")", "<div class='a'>&nbsp;</div>", "\\n\\t\\x00 %s %d", "SELECT * FROM t;"]
EMOJI = ["😀", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇰🇷", "👍🏽", "❤️", "☃", "🜁", "𝒜𝔅ℂ", "1️⃣", "©", "™", "€", "→", "░▒▓", "…", "—", "“”", "•"]
MARKS = ["e\u0301", "a\u0308\u0323", "o\u0302\u0301", "\u0301", "\u0323\u0307", "n\u0303\u0303", "각", "q\u0307\u0323", "\u20dd", "\u0e33", "क\u094dष"]
CONTROL = ["\x00", "\x01", "\x07", "\x1b[0m", "\x7f", "\x80", "\x85", "\x9f", "\u200b", "\u200d", "\ufeff", "\u2028", "\u2029", "\u00ad",
           "\ufffd", "\u0085", "\u180e", "\u2060", "\t\t", "\r", "\r\n", "\n\n", "\v", "\f"]
SPACES = [" ", " ", " ", " ", " ", "  ", "   ", "\t", "\n", "", "", "\u3000", "\u00a0", "\u2003", " \n ", "\n\n\n", "        "]
INVALID = [b"\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\xc0\xaf", b"\x80\x80", b"\xf8\x88"]


def real_lines():
    """Lines of the real files, where they are there."""
    lines = []
    for name in ("data/tinyshakespeare/input.txt", "data/tatoeba-en-ko/kor.txt", "data/chatbot-ko/ChatbotData.csv",
                 "data/wagahai/wagahaiwa_nekodearu.txt", "data/botchan/botchan.txt", "data/gsm8k/test_300.jsonl"):
        try:
            with open(os.path.join(REAL, name), encoding="utf-8", errors="replace") as f:
                lines.append(f.read().split("\n"))
        except OSError:
            pass
    try:
        with gzip.open(os.path.join(REAL, "data/human-eval/HumanEval.jsonl.gz"), "rt") as f:
            for line in f:
                d = json.loads(line)
                lines.append((d["prompt"] + d["canonical_solution"]).split("\n"))
    except OSError:
        pass
    return lines


def odd_line(r):
    kinds = [ENGLISH, KOREAN, OTHER, CODE, EMOJI, MARKS, CONTROL]
    main = r.choice(kinds[:4])
    parts = []
    for _ in range(r.randint(1, 14)):
        kind = main if r.random() < 0.6 else r.choice(kinds)
        parts.append(r.choice(kind).encode())
        if r.random() < 0.03:
            parts.append(r.choice(INVALID))
        if r.random() < 0.04:
            parts.append(chr(r.choice([r.randint(0x20, 0x2fff), r.randint(0x3000, 0xd7ff), r.randint(0xf900, 0xffff)])).encode())
        if r.random() < 0.04:
            parts.append(str(r.randint(0, 10 ** r.randint(1, 12))).encode())
        parts.append(r.choice(SPACES).encode())
    return b"".join(parts).decode("utf-8", "replace")


def mixed_lines(n, seed=1):
    r = random.Random(seed)
    files = real_lines()
    out = []
    while len(out) < n:
        if files and r.random() < 0.4:
            out.append(r.choice(r.choice(files)))
        else:
            out.append(odd_line(r))
    return out


# ---- theirs ----

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CASED = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + CONTRACTIONS + r"?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + CONTRACTIONS + r"?|\p{N}{1,3}"
         r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
PATTERNS = {
    "gpt2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "llama3": CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + REST,
    "qwen": CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + REST,
    "cl100k": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    "o200k": CASED,
}
TIKTOKEN = {"cl100k": "cl100k/cl100k_base.tiktoken", "o200k": "o200k/o200k_base.tiktoken", "qwen": "qwen/qwen.tiktoken",
            "llama3": "llama3/tokenizer.model", "gpt2": "whisper/gpt2.tiktoken"}


def real(path):
    return os.path.join(REAL, "tokenizers", path)


def load_tiktoken(name):
    import tiktoken
    ranks = {}
    with open(real(TIKTOKEN[name]), "rb") as f:
        for line in f:
            token, rank = line.split()
            ranks[base64.b64decode(token)] = int(rank)
    return tiktoken.Encoding(name, pat_str=PATTERNS[name], mergeable_ranks=ranks, special_tokens={})
