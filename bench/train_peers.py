#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A step of training by socle and by PyTorch, on the same work in one run, taking turns; medians.

    python3 bench/train_peers.py                     # GPT-2 124M and a small model, f32 and bf16
    python3 bench/train_peers.py --only gpt2-f32     # one of them
    python3 bench/train_peers.py --write             # and the table of docs/train-speed.md

Needs build/bench/train (cmake -DSC_BENCH=ON), torch and transformers. Every program is started and warmed up first, two
steps each, compilation included; then each makes one step in turn. --wait: asks for a line on stdin before each turn, for
machines that must be made quiet. Peak memory is VmHWM of each process at its end."""
import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time

from common import ROOT, call, cpu_name, median, table, tool

MARKS = "<!-- results: written by bench/train_peers.py --write -->", "<!-- end of results -->"
MODELS = {
    "gpt2": ("GPT-2 124M, 4 x 256", dict(n_layer=12, n_embd=768, n_head=12, vocab_size=50257, n_positions=1024), 4, 256),
    "small": ("6 layers of 384, 16 x 256", dict(n_layer=6, n_embd=384, n_head=6, vocab_size=4096, n_positions=256), 16, 256),
}
# glibc gives large blocks back to the system and asks for them again, which costs PyTorch a tenth of its time.
KEEP = {"MALLOC_MMAP_THRESHOLD_": "8589934592", "MALLOC_TRIM_THRESHOLD_": "8589934592"}
PEERS = {"eager": {}, "eager, memory kept": KEEP, "compile, memory kept": KEEP}


def take_turns(step):
    """Warms up, then makes a step for each line of stdin and prints its seconds."""
    step()
    step()
    print("ready", flush=True)
    for _ in sys.stdin:
        begun = time.perf_counter()
        step()
        print(time.perf_counter() - begun, flush=True)
    with open("/proc/self/status", encoding="utf-8") as f:
        peak = next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM"))
    print(json.dumps({"peak_memory_bytes": peak}), flush=True)


def torch_worker(kind, precision, mode, threads):
    """One process: warms up, then makes a step for each line of stdin and prints its seconds."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel
    _, shape, rows, length = MODELS[kind]
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    config = GPT2Config(**shape, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, use_cache=False, bos_token_id=0, eos_token_id=0)
    config._attn_implementation = "sdpa"
    model = GPT2LMHeadModel(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.1, fused=True)
    ids, labels = (torch.randint(0, config.vocab_size, (rows, length)) for _ in range(2))

    def loss_of(x, y):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            logits = model(x).logits
        return torch.nn.functional.cross_entropy(logits.view(-1, logits.size(-1)).float(), y.view(-1))

    loss_of = torch.compile(loss_of) if mode.startswith("compile") else loss_of

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss_of(ids, labels).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    take_turns(step)


class Worker:
    def __init__(self, name, args, env=None):
        self.name, self.seconds = name, []
        self.p = subprocess.Popen([str(a) for a in args], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, text=True, env={**os.environ, **(env or {})})

    def ready(self):
        if self.p.stdout.readline().strip() != "ready":
            sys.exit(f"{self.name}: did not start")

    def step(self):
        self.p.stdin.write("\n")
        self.p.stdin.flush()
        self.seconds.append(float(self.p.stdout.readline()))

    def end(self):
        self.p.stdin.close()
        self.report = json.loads(self.p.stdout.readline())
        self.p.wait()


def measure(kind, precision, args, say):
    text, shape, rows, length = MODELS[kind]
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as f:
            json.dump({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "activation_function": "gelu_new",
                       "layer_norm_epsilon": 1e-5, **shape}, f)
        own = [tool("bench/train", "SOCLE_BENCH_TRAIN"), os.path.join(folder, "config.json"), "--batch", rows, "--length",
               length, "--threads", args.threads, "--precision", precision, "--steps", args.repeat, "--turns", "--json"]
        commands = [("socle", own, {}), ("socle --recompute", own + ["--recompute"], {})]
        for mode, env in PEERS.items():
            commands.append(("PyTorch " + mode, [sys.executable, os.path.abspath(__file__), "--worker",
                                                 json.dumps([kind, precision, mode, args.threads])], env))
        workers = []
        for command in commands:  # one after another: the first thing that socle's does is to measure the machine's peak
            workers.append(Worker(*command))
            workers[-1].ready()
        say(f"{kind} {precision}: ready")
        for _ in range(args.repeat):
            if args.wait:
                sys.stdin.readline()
            for w in workers:
                w.step()
        for w in workers:
            w.end()
    tokens, socle = rows * length, workers[0]
    best = min(median(w.seconds) for w in workers[2:])
    least = min(w.report["peak_memory_bytes"] for w in workers[2:])
    lines = []
    for w in workers:
        seconds, peak = median(w.seconds), w.report["peak_memory_bytes"]
        share = w.report.get("peak_gflops") and w.report["flops"] / seconds / w.report["peak_gflops"] * 1e-9
        lines.append([f"{text}, {precision}", w.name, f"{seconds:.3f}", f"{tokens / seconds:.0f}",
                      f"{100 * share:.0f}%" if share else "-", f"{peak * 1e-6:.0f}",
                      f"{best / seconds:.2f}x" if w in workers[:2] else "-", f"{peak / least:.2f}x" if w in workers[:2] else "-"])
    say("\n".join(" ".join(line[1:]) for line in lines))
    return lines, socle.report["peak_gflops"]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-t", "--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("-r", "--repeat", type=int, default=5, help="turns")
    p.add_argument("--only", help="gpt2-f32, gpt2-bf16, small-f32 or small-bf16; several with commas")
    p.add_argument("--wait", action="store_true")
    p.add_argument("--write", action="store_true", help="put the table into docs/train-speed.md")
    p.add_argument("--worker", help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.worker:
        torch_worker(*json.loads(args.worker))
        return

    def say(text):
        print(text, file=sys.stderr, flush=True)

    rows, peaks = [], []
    for kind in MODELS:
        for precision in ("f32", "bf16"):
            if args.only and f"{kind}-{precision}" not in args.only.split(","):
                continue
            lines, peak = measure(kind, precision, args, say)
            rows += lines
            peaks.append(peak)
    versions = json.loads(call(sys.executable, "-c", "import json, torch, transformers; print(json.dumps("
                                                     "[torch.__version__, transformers.__version__]))"))
    text = table(["work", "by", "seconds", "tokens/s", "of the f32 peak", "peak memory, MB", "to the fastest PyTorch",
                  "to the smallest PyTorch"], rows)
    about = (f"{datetime.date.today()}, {cpu_name()}, {args.threads} threads, medians of {args.repeat} turns; measured peak "
             f"{min(peaks):.0f} to {max(peaks):.0f} GFLOP/s f32. PyTorch {versions[0]}, transformers {versions[1]}. Made by\n\n"
             f"    python3 bench/train_peers.py {' '.join(a for a in sys.argv[1:] if a not in ('--wait',))}\n")
    print(about + "\n" + text)
    if args.write:
        path = os.path.join(ROOT, "docs", "train-speed.md")
        with open(path, encoding="utf-8") as f:
            page = f.read()
        begin, end = page.index(MARKS[0]) + len(MARKS[0]), page.index(MARKS[1])
        with open(path, "w", encoding="utf-8") as f:
            f.write(page[:begin] + "\n" + about + "\n" + text + "\n" + page[end:])


if __name__ == "__main__":
    main()
