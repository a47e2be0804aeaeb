#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sentences per second of `socle embed` against PyTorch, and how far their vectors are apart.

usage: embed.py SOCLE MODEL FILE [--sentences 1024] [--threads 2] [--batch 32] [--repeat 3] [--sorted]

FILE has a sentence a line. PyTorch runs transformers' model in batches, padded to their longest, with mean pooling to length
1; --sorted gives it its sentences by length, as sentence-transformers does. Both sides' times leave loading out: socle's is
the time for all sentences less that for one. The repetitions alternate, and the best of each counts. Needs torch,
transformers and numpy."""
import argparse
import os
import subprocess
import tempfile
import time

import numpy as np


def socle_time(args, path, out):
    begin = time.perf_counter()
    subprocess.run([args.socle, "embed", args.model, path, "-o", out, "-q", "-t", str(args.threads)], check=True)
    return time.perf_counter() - begin


def torch_embed(model, tokenizer, lines, batch, by_length):
    import torch
    order = sorted(range(len(lines)), key=lambda i: -len(lines[i])) if by_length else range(len(lines))
    order, out = list(order), None
    with torch.inference_mode():
        for i in range(0, len(order), batch):
            rows = order[i:i + batch]
            x = tokenizer([lines[k] for k in rows], padding=True, truncation=True, max_length=256, return_tensors="pt")
            h = model(**x).last_hidden_state
            mask = x["attention_mask"].unsqueeze(-1).float()
            v = torch.nn.functional.normalize((h * mask).sum(1) / mask.sum(1)).numpy()
            if out is None:
                out = np.zeros((len(lines), v.shape[1]), np.float32)
            out[rows] = v
    return out


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("socle")
    ap.add_argument("model")
    ap.add_argument("file")
    ap.add_argument("--sentences", type=int, default=1024)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--batch", type=int, default=32)
    ap.add_argument("--repeat", type=int, default=3)
    ap.add_argument("--sorted", action="store_true")
    args = ap.parse_args()
    with open(args.file, encoding="utf-8") as f:
        lines = [x.strip() for x in f if x.strip()][:args.sentences]

    import torch
    import transformers
    torch.set_num_threads(args.threads)
    tokenizer = transformers.AutoTokenizer.from_pretrained(args.model)
    model = transformers.AutoModel.from_pretrained(args.model, dtype=torch.float32).eval()
    torch_embed(model, tokenizer, lines[:args.batch], args.batch, args.sorted)

    ours, base, theirs = [], [], []
    with tempfile.TemporaryDirectory() as tmp:
        path, one, out = (os.path.join(tmp, x) for x in ("all.txt", "one.txt", "out.npy"))
        with open(path, "w", encoding="utf-8") as f:
            f.write("".join(x + "\n" for x in lines))
        with open(one, "w", encoding="utf-8") as f:
            f.write(lines[0] + "\n")
        for _ in range(args.repeat):
            base.append(socle_time(args, one, out))
            ours.append(socle_time(args, path, out))
            got = np.load(out)
            begin = time.perf_counter()
            want = torch_embed(model, tokenizer, lines, args.batch, args.sorted)
            theirs.append(time.perf_counter() - begin)
    n = len(lines)
    a, b = n / (min(ours) - min(base)), n / min(theirs)
    print(f"{n} sentences, {args.threads} threads: socle {a:.0f}/s, PyTorch {b:.0f}/s, ratio {a / b:.2f}; "
          f"largest difference {np.abs(got - want).max():.1e}")


if __name__ == "__main__":
    main()
