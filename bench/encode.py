#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Encoding speed on one mixed file (English, Korean, Japanese, code), one thread: ours beside tiktoken, HuggingFace's tokenizers and
sentencepiece, those that know the vocabulary, in one run. Medians of the processor's time; each tool gets the text in the way it is
fastest: whole, or line by line. Needs the real tokenizers (SOCLE_REAL) and the Python packages.

    bench/encode.py [--mb 4] [--runs 5] [NAME...]"""
import argparse
import os
import statistics
import sys
import time

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "tests"), HERE]
import common  # noqa: E402
import tokenizer_peers as peers  # noqa: E402

sys.path[:] = [p for p in sys.path if os.path.abspath(p) != HERE]  # this file's name is a package's too

PATHS = {**peers.TIKTOKEN, "gpt2": "gpt2/encoder.json", "deepseek-v3": "deepseek-v3/tokenizer.json",
         "bert": "bert-base-uncased/tokenizer.json", "xlm-r": "xlm-r/tokenizer.json", "llama2": "llama2/tokenizer.model",
         "mistral": "mistral/tokenizer.model.v1", "unigram": "sentencepiece/librispeech_unigram5000.model"}
HUGGINGFACE = {"deepseek-v3", "bert", "xlm-r"}
SENTENCEPIECE = {"llama2", "mistral", "unigram"}


def mixed_text(size):
    """Stretches of 30 lines of each file in turn, until there is enough."""
    files, out, have, at = peers.real_lines(), [], 0, 0
    if not files:
        sys.exit("no real files: name their folder in SOCLE_REAL")
    while have < size:
        for lines in files:
            k = at * 30 % max(len(lines) - 30, 1)
            part = "\n".join(lines[k:k + 30]) + "\n"
            out.append(part)
            have += len(part.encode())
        at += 1
    return "".join(out)


def huggingface(name):
    from tokenizers import Tokenizer, models, pre_tokenizers
    if name in HUGGINGFACE:
        t = Tokenizer.from_file(peers.real(PATHS[name]))
    elif name == "gpt2":
        t = Tokenizer(models.BPE.from_file(peers.real("gpt2/encoder.json"), peers.real("gpt2/vocab.bpe")))
        t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        return None
    t.no_truncation()
    t.no_padding()
    return t


def tools(name, text):
    """(tool, whole or lines, function) for all that know the vocabulary."""
    lines, raw = text.split("\n"), text.encode()
    raw_lines = raw.split(b"\n")
    ours = peers.Ours(peers.real(PATHS[name]))
    yield "socle", "whole", lambda: ours.count(raw)
    yield "socle", "lines", lambda: [ours.count(x) for x in raw_lines]
    if name in peers.TIKTOKEN:
        e = peers.load_tiktoken(name)
        yield "tiktoken", "whole", lambda: e.encode_ordinary(text)
        yield "tiktoken", "lines", lambda: [e.encode_ordinary(x) for x in lines]
    h = huggingface(name)
    if h:
        yield "tokenizers", "lines", lambda: h.encode_batch_fast(lines, add_special_tokens=False)
    if name in SENTENCEPIECE:
        import sentencepiece
        s = sentencepiece.SentencePieceProcessor(model_file=peers.real(PATHS[name]))
        yield "sentencepiece", "lines", lambda: [s.encode(x) for x in lines]


def measure(functions, runs):
    """Medians, the tools taking turns."""
    times = [[] for _ in functions]
    for _ in range(runs):
        for t, f in zip(times, functions):
            start = time.process_time()
            f()
            t.append(time.process_time() - start)
    return [statistics.median(t) for t in times]


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("names", nargs="*", default=list(PATHS))
    a.add_argument("--mb", type=float, default=4)
    a.add_argument("--runs", type=int, default=5)
    a = a.parse_args()
    text = mixed_text(a.mb * 1e6)
    size = len(text.encode()) / 1e6
    rows = []
    for name in a.names:
        found = list(tools(name, text))
        seconds = measure([f for _, _, f in found], a.runs)
        speed = {}
        for (tool, way, _), s in zip(found, seconds):
            speed.setdefault(tool, []).append((size / s, way))
        best = {tool: max(v) for tool, v in speed.items()}
        peer = max((v[0] for tool, v in best.items() if tool in ("tiktoken", "tokenizers")), default=None)
        peer = peer or max((v[0] for tool, v in best.items() if tool != "socle"), default=None)
        rows.append([name] + ["%.1f" % speed["socle"][0][0], "%.1f" % speed["socle"][1][0]] +
                    ["%.1f (%s)" % best[tool] if tool in best else "-" for tool in ("tiktoken", "tokenizers", "sentencepiece")] +
                    ["%.1f" % (best["socle"][0] / peer) if peer else "-"])
    print(common.cpu_name() + ", %.1f MB, MB/s of processor time, median of %d" % (size, a.runs))
    print(common.table(["tokenizer", "socle whole", "socle lines", "tiktoken", "tokenizers", "sentencepiece", "times"], rows))


if __name__ == "__main__":
    main()
