#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Gemma 3 270M (scripts/fetch-model.sh gemma-3-270m) beside llama.cpp: along llama.cpp's greedy continuations of ten
prompts, whatever token socle would choose instead is nearly as likely for both; the perplexity of a text is the same to 1%.
Skips without the model or the package llama_cpp."""
import json
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    from llama_cpp import Llama
    from safetensors.numpy import load_file, save_file
except ImportError as e:
    print(f"skipped: {e}")
    sys.exit(77)

ROOT = os.environ.get("SOCLE_SOURCE_DIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
SOCLE = os.environ.get("SOCLE", os.path.join(ROOT, "build", "socle"))
HOME = os.environ.get("SOCLE_MODELS") or os.path.join(os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share"),
                                                      "socle/models")
MODEL = os.path.join(HOME, "gemma-3-270m/gemma-3-270m-q4_k_m.gguf")
if not os.path.exists(MODEL):
    print(f"skipped: {MODEL} is not there; scripts/fetch-model.sh gemma-3-270m fetches it")
    sys.exit(77)

PROMPTS = ["The capital of France is", "Once upon a time", "def fibonacci(n):", "The three laws of thermodynamics are",
           "In 1969, the first", "To make pancakes, you need", "대한민국의 수도는", "The chemical symbol for gold is",
           "Dear Sir or Madam,", "1 2 3 4 5 6"]
STEPS = 32
# Both programs round activations to eight bits, each in its own way: either's logits are some 3% (root of the mean square)
# from those of unrounded activations, which is 0.4 here.
NEAR = 1.2


def llama():
    return Llama(MODEL, n_ctx=1024, logits_all=True, verbose=False, n_threads=2, type_k=0, type_v=0, flash_attn=False)


def socle_logits(ids):
    with tempfile.TemporaryDirectory() as folder:
        given, out = os.path.join(folder, "in.safetensors"), os.path.join(folder, "out.safetensors")
        save_file({"input_ids": np.array([ids], dtype=np.int32)}, given)
        subprocess.run([SOCLE, "forward", MODEL, given, out, "--quiet"], check=True)
        return load_file(out)["logits"][0]


def greedy(model, prompt):
    """The ids of prompt and continuation, and the logits at each of them."""
    ids = model.tokenize(prompt.encode())
    ours = json.loads(subprocess.run([SOCLE, "tokenize", MODEL, "-"], input=prompt, capture_output=True, text=True).stdout)
    if ours != ids:
        sys.exit(f"FAILED: {prompt!r} is {ours}, for llama.cpp {ids}")
    model.reset()
    model.eval(ids)
    start = len(ids)
    for _ in range(STEPS):
        ids.append(int(np.argmax(model.scores[len(ids) - 1])))
        model.eval(ids[-1:])
    return ids, start, np.array(model.scores[:len(ids)])


def perplexity(logits, ids):
    x = logits[:-1].astype(np.float64)
    x -= x.max(-1, keepdims=True)
    return float(np.exp(-(x - np.log(np.exp(x).sum(-1, keepdims=True)))[np.arange(len(ids) - 1), ids[1:]].mean()))


model, same, total = llama(), 0, 0
for prompt in PROMPTS:
    ids, start, theirs = greedy(model, prompt)
    mine, apart = socle_logits(ids), []
    for i in range(start - 1, len(ids) - 1):
        a, b = int(np.argmax(theirs[i])), int(np.argmax(mine[i]))
        total += 1
        same += a == b
        if a != b:
            apart.append((float(theirs[i][a] - theirs[i][b]), float(mine[i][b] - mine[i][a])))
    print(f"  {prompt!r}: {STEPS - len(apart)} of {STEPS} the same" +
          (", else " + ", ".join(f"{x:.2f} and {y:.2f} apart" for x, y in apart) if apart else ""))
    if any(max(x, y) > NEAR for x, y in apart):
        sys.exit(f"FAILED: {prompt!r}: not a near tie")
if same < 0.9 * total:
    sys.exit(f"FAILED: only {same} of {total} tokens are the same")

text = open(os.path.join(ROOT, "docs/architecture.md"), encoding="utf-8").read()
ids = model.tokenize(text.encode())[:700]  # beyond the window of 512
model.reset()
model.eval(ids)
theirs, mine = perplexity(np.array(model.scores[:len(ids)]), ids), perplexity(socle_logits(ids), ids)
print(f"perplexity {mine:.3f}, llama.cpp's {theirs:.3f}; {same} of {total} greedy tokens the same")
if abs(mine / theirs - 1) > 0.01:
    sys.exit("FAILED: the perplexities differ by more than 1%")
