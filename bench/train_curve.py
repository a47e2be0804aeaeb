#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same training by socle and by PyTorch: the same first weights, text, order of the data, optimiser and schedule, and
the two curves of the loss side by side. Ends with exit code 1 where they differ by more than --within at any step.

usage: train_curve.py SOCLE TEXT [--steps 200] [--family gpt2|llama|qwen3] [--work DIR] [--json FILE]

Needs torch, transformers and tokenizers. --work keeps the first model, socle's run and a picture of the curves."""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import (AutoModelForCausalLM, GPT2Config, LlamaConfig, PreTrainedTokenizerFast, Qwen3Config,
                          get_cosine_schedule_with_warmup)

END = "<|endoftext|>"
VOCABULARY, WIDTH, LAYERS, HEADS, CONTEXT = 2048, 256, 4, 4, 128


def configuration(family):
    if family == "gpt2":
        return GPT2Config(vocab_size=VOCABULARY, n_positions=CONTEXT, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS,
                          resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, bos_token_id=0, eos_token_id=0)
    kind = {"llama": LlamaConfig, "qwen3": Qwen3Config}[family]
    return kind(vocab_size=VOCABULARY, max_position_embeddings=CONTEXT, hidden_size=WIDTH, num_hidden_layers=LAYERS,
                num_attention_heads=HEADS, num_key_value_heads=HEADS // 2, head_dim=WIDTH // HEADS,
                intermediate_size=WIDTH * 3, tie_word_embeddings=True, bos_token_id=0, eos_token_id=0)


def make_model(directory, text, family):
    """A model of random weights and a tokenizer of the text, as a directory."""
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train([text], vocab_size=VOCABULARY, special_tokens=[END], show_progress=False)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer._tokenizer, eos_token=END,
                            bos_token=END).save_pretrained(directory)
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(configuration(family), dtype=torch.float32)
    model.save_pretrained(directory)
    return tokenizer


def by_socle(a, directory, out):
    subprocess.run([a.socle, "train", "--model", directory, "--data", a.text, "--out", out, "--steps", str(a.steps),
                    "--batch", str(a.batch), "--length", str(CONTEXT), "--lr", str(a.lr), "--beta2", "0.95",
                    "--weight-decay", "0.1", "--warmup", "0.05", "--clip", "1", "--in-order", "--log-every", "1",
                    "--quiet"], check=True)
    with open(os.path.join(out, "metrics.jsonl")) as f:
        return [json.loads(line)["loss"] for line in f]


def by_torch(a, directory, tokenizer):
    with open(a.text, encoding="utf-8") as f:
        ids = tokenizer.encode(f.read()).ids + [0]  # a document ends with the end-of-text token
    ids = torch.tensor(ids)
    rows = (len(ids) - 1) // CONTEXT
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    model.train()
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0}],
                                  lr=a.lr, betas=(0.9, 0.95), eps=1e-8)
    schedule = get_cosine_schedule_with_warmup(optimizer, int(0.05 * a.steps), a.steps)
    losses = []
    for step in range(a.steps):
        first = [(step * a.batch + i) % rows * CONTEXT for i in range(a.batch)]
        x = torch.stack([ids[p:p + CONTEXT] for p in first])
        y = torch.stack([ids[p + 1:p + CONTEXT + 1] for p in first])
        loss = torch.nn.functional.cross_entropy(model(x).logits.flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


def main():
    p = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1][7:])
    p.add_argument("socle")
    p.add_argument("text")
    p.add_argument("--steps", type=int, default=200)
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--lr", type=float, default=1e-3)
    p.add_argument("--family", default="gpt2", choices=["gpt2", "llama", "qwen3"])
    p.add_argument("--within", type=float, default=0.01)
    p.add_argument("--work")
    p.add_argument("--json")
    a = p.parse_args()
    work = a.work or tempfile.mkdtemp(prefix="socle-curve-")
    first, out = os.path.join(work, "first"), os.path.join(work, "run")
    tokenizer = make_model(first, a.text, a.family)
    ours, theirs = by_socle(a, first, out), by_torch(a, first, tokenizer)
    if len(ours) != len(theirs):
        sys.exit(f"{len(ours)} steps by socle, {len(theirs)} by PyTorch")
    apart = [abs(x - y) / y for x, y in zip(ours, theirs)]
    print(f"{'step':>5} {'socle':>10} {'PyTorch':>10} {'apart':>9}")
    for i in sorted({0, a.steps - 1, *range(9, a.steps, max(a.steps // 10, 1))}):
        print(f"{i + 1:5} {ours[i]:10.5f} {theirs[i]:10.5f} {apart[i]:9.1e}")
    worst = max(range(a.steps), key=apart.__getitem__)
    print(f"farthest apart at step {worst + 1}: {apart[worst]:.1e}")
    if a.json:
        with open(a.json, "w") as f:
            json.dump({"socle": ours, "torch": theirs}, f)
    sys.exit(apart[worst] > a.within)


main()
