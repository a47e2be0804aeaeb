#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast a model reads prompts of several lengths and writes behind them, how soon the first token is there, and how
much memory that takes: a table, then JSON with --json FILE.

    python3 bench/model.py MODEL [--prompts 16,128,512,2048] [--decode 32] [--threads T] [--repeat 5] [--json FILE]
"""
import argparse
import json

from common import cpu_name, first_byte, median, peak_memory, socle_bench, table, tool

PROMPT = "The capital of France is"

parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
parser.add_argument("model")
parser.add_argument("--prompts", default="16,128,512,2048")
parser.add_argument("--decode", type=int, default=32)
parser.add_argument("--sequences", default="1,4,16")
parser.add_argument("--threads", type=int, default=0)
parser.add_argument("--repeat", type=int, default=5)
parser.add_argument("--cache-type", default="f16")
parser.add_argument("--json", metavar="FILE")
args = parser.parse_args()

common = ["-t", args.threads, "-R", args.repeat, "--cache-type", args.cache_type, "-q"]
prompts = [int(n) for n in args.prompts.split(",")]
runs = [socle_bench(args.model, "-p", n, "-d", args.decode, *common) for n in prompts]
together = [socle_bench(args.model, "-p", 1, "-f", 64, "-d", args.decode, "-s", s, *common)
            for s in args.sequences.split(",")]
run = [tool("socle", "SOCLE"), "run", args.model, "--raw", "--greedy", "-q", "-t", args.threads, "-c", 512]
start = median([first_byte([*run, "-n", 1, PROMPT]) for _ in range(args.repeat)])
memory = peak_memory([*run, "--ignore-eos", "-n", 64, PROMPT])

best = max(runs + together, key=lambda r: r["bandwidth_gbs"])
print(f"{args.model}: {runs[0]['dtypes']}; {cpu_name()}, {runs[0]['threads']} threads, {best['isa']}")
print(f"limits: {best['bandwidth_gbs']:.1f} GB/s read, {best['peak_gflops']:.1f} GFLOP/s f32\n")
print(table(["prompt", "prefill tokens/s", "of the peak", "decode tokens/s", "GB/s", "of the bandwidth"],
            [[r["prefill_tokens"], f"{r['prefill_tps']:.1f}", f"{100 * r['prefill_share']:.1f}%", f"{r['decode_tps']:.1f}",
              f"{r['decode_gbs']:.1f}", f"{100 * r['decode_share']:.1f}%"] for r in runs]))
print()
print(table(["sequences", "decode tokens/s", "to one", "of the bandwidth", "of the peak"],
            [[r["sequences"], f"{r['decode_tps']:.1f}", f"{r['decode_tps'] / together[0]['decode_tps']:.2f}x",
              f"{100 * r['decode_share']:.1f}%", f"{100 * r['decode_peak_share']:.1f}%"] for r in together]))
print(f"\nfrom start to the first token {1000 * start:.0f} ms; {memory / 2**20:.1f} MiB at most for 64 tokens")
if args.json:
    with open(args.json, "w", encoding="utf-8") as f:
        json.dump({"model": args.model, "cpu": cpu_name(), "prompts": runs, "together": together,
                   "first_token_seconds": start, "peak_memory_bytes": memory}, f, indent=1)
