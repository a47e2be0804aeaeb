#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A step of training LoRA adapters by socle and by PyTorch with peft, on the same work in one run, taking turns; medians.

    python3 bench/lora_peers.py                # GPT-2 124M, rank 16 on all linear layers, f32
    python3 bench/lora_peers.py --write        # and the table of docs/adapters.md
    python3 bench/lora_peers.py --qlora q4_k   # instead: socle alone on a quantised model of 1.2 billion parameters

Needs build/bench/train (cmake -DSC_BENCH=ON), torch, transformers and peft; --qlora numpy. Programs and figures as in
bench/train_peers.py."""
import argparse
import datetime
import json
import os
import sys
import tempfile

import shape1b
from common import ROOT, call, cpu_name, median, table, tool
from train_peers import MODELS, PEERS, Worker, take_turns

MARKS = "<!-- results: written by bench/lora_peers.py --write -->", "<!-- end of results -->"


def torch_worker(rank, rows, length, mode, threads):
    """One process: warms up, then makes a step for each line of stdin and prints its seconds."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import GPT2Config, GPT2LMHeadModel
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    config = GPT2Config(**MODELS["gpt2"][1], resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, use_cache=False, bos_token_id=0,
                        eos_token_id=0)
    config._attn_implementation = "sdpa"
    model = get_peft_model(GPT2LMHeadModel(config), LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear",
                                                               fan_in_fan_out=True, task_type="CAUSAL_LM")).train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0.1, fused=True)
    ids, labels = (torch.randint(0, config.vocab_size, (rows, length)) for _ in range(2))

    def loss_of(x, y):
        logits = model(input_ids=x).logits
        return torch.nn.functional.cross_entropy(logits.view(-1, logits.size(-1)), y.view(-1))

    loss_of = torch.compile(loss_of) if mode.startswith("compile") else loss_of

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss_of(ids, labels).backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()

    take_turns(step)


def own(model, rows, length, args, *more):
    return [tool("bench/train", "SOCLE_BENCH_TRAIN"), model, "--batch", rows, "--length", length, "--threads", args.threads,
            "--lora", args.rank, "--steps", args.repeat, "--json", *more]


def against_peft(args, say):
    text, shape, rows, length = MODELS["gpt2"]
    with tempfile.TemporaryDirectory() as folder:
        config = os.path.join(folder, "config.json")
        with open(config, "w", encoding="utf-8") as f:
            json.dump({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "activation_function": "gelu_new",
                       "layer_norm_epsilon": 1e-5, **shape}, f)
        commands = [("socle", own(config, rows, length, args, "--turns"), {})]
        for mode, env in PEERS.items():
            if args.no_compile and mode.startswith("compile"):
                continue
            commands.append((f"PyTorch + peft, {mode}",
                             [sys.executable, os.path.abspath(__file__), "--worker",
                              json.dumps([args.rank, rows, length, mode, args.threads])], env))
        workers = []
        for command in commands:
            workers.append(Worker(*command))
            workers[-1].ready()
            say(f"{workers[-1].name}: ready")
        for _ in range(args.repeat):
            for w in workers:
                w.step()
        for w in workers:
            w.end()
    best = min(median(w.seconds) for w in workers[1:])
    least = min(w.report["peak_memory_bytes"] for w in workers[1:])
    lines = []
    for w in workers:
        seconds, peak = median(w.seconds), w.report["peak_memory_bytes"]
        lines.append([f"LoRA of rank {args.rank}, {text}, f32", w.name, f"{seconds:.3f}", f"{rows * length / seconds:.0f}",
                      f"{peak * 1e-6:.0f}", f"{best / seconds:.2f}x" if w is workers[0] else "-",
                      f"{peak / least:.2f}x" if w is workers[0] else "-"])
    return table(["work", "by", "seconds", "tokens/s", "peak memory, MB", "to the fastest PyTorch", "to the smallest PyTorch"],
                 lines)


def qlora(args):
    """A step on a quantised base: what the process takes at most beside the size of the file."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.gguf")
        shape1b.write(path, args.qlora)
        size = os.path.getsize(path)
        r = json.loads(call(*own(path, 1, args.length, args, *(["--recompute"] if args.recompute else []))))
    return table(["base", "tokens a step", "seconds", "tokens/s", "file, MB", "peak memory, MB", "beside the file, MB"],
                 [[f"1.2 billion parameters, {args.qlora}", f"{r['tokens']:.0f}", f"{r['seconds']:.2f}",
                   f"{r['tokens_per_second']:.0f}", f"{size * 1e-6:.0f}", f"{r['peak_memory_bytes'] * 1e-6:.0f}",
                   f"{(r['peak_memory_bytes'] - size) * 1e-6:.0f}"]])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-t", "--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("-r", "--repeat", type=int, default=5, help="turns")
    p.add_argument("--rank", type=int, default=16)
    p.add_argument("--no-compile", action="store_true", help="leave out torch.compile, which takes minutes to begin")
    p.add_argument("--qlora", metavar="TYPE")
    p.add_argument("--length", type=int, default=256, help="tokens of a step with --qlora")
    p.add_argument("--recompute", action="store_true", help="with --qlora")
    p.add_argument("--write", action="store_true", help="put the table into docs/adapters.md")
    p.add_argument("--worker", help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.worker:
        torch_worker(*json.loads(args.worker))
        return
    text = qlora(args) if args.qlora else against_peft(args, lambda line: print(line, file=sys.stderr, flush=True))
    about = f"{datetime.date.today()}, {cpu_name()}, {args.threads} threads, medians of {args.repeat} turns. "
    if not args.qlora:
        versions = json.loads(call(sys.executable, "-c", "import json, torch, transformers, peft; print(json.dumps("
                                                         "[torch.__version__, transformers.__version__, peft.__version__]))"))
        about += f"PyTorch {versions[0]}, transformers {versions[1]}, peft {versions[2]}. "
    about += f"Made by\n\n    python3 bench/lora_peers.py {' '.join(a for a in sys.argv[1:] if a != '--write')}".rstrip() + "\n"
    print(about + "\n" + text)
    if args.write:
        path = os.path.join(ROOT, "docs", "adapters.md")
        with open(path, encoding="utf-8") as f:
            page = f.read()
        begin, end = page.index(MARKS[0]) + len(MARKS[0]), page.index(MARKS[1])
        with open(path, "w", encoding="utf-8") as f:
            f.write(page[:begin] + "\n" + about + "\n" + text + "\n" + page[end:])


if __name__ == "__main__":
    main()
