#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""PPO and GRPO on a reward that can be checked, for three seeds: a small model is trained on sums of two digits of which half are
wrong, so that it begins with about half of its sampled answers right, and learns from rewards for right ones. Prints, for each
method and seed, the mean reward and the divergence from the reference at the beginning and the end, the reward of its likeliest
answers, and seconds. Everything is made in a temporary folder: bench/rl_sums.py [SOCLE]"""
import json
import os
import random
import subprocess
import sys
import tempfile
import time

SOCLE = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "../build/socle")
CONFIG = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 32, "hidden_size": 64,
          "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
          "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "hidden_act": "silu"}
METHODS = {"grpo": ["--group-size", "8", "--batch", "128", "--steps", "300", "--lr", "1e-3"],
           "ppo": ["--batch", "128", "--steps", "600", "--lr", "5e-4"]}


def run(*args):
    subprocess.run([SOCLE, *args, "--quiet"], check=True)


def cpu():
    with open("/proc/cpuinfo") as f:
        return next((x.split(":")[1].strip() for x in f if x.startswith("model name")), "?")


with tempfile.TemporaryDirectory(prefix="socle-sums-") as where:
    at = lambda name: os.path.join(where, name)
    r = random.Random(1)
    with open(at("sums.jsonl"), "w") as f:
        for _ in range(20000):
            a, b = r.randrange(10), r.randrange(10)
            f.write(json.dumps({"text": f"{a}+{b}={a + b if r.random() < 0.5 else r.randrange(19)}"}) + "\n")
    with open(at("prompts.jsonl"), "w") as f:
        for i in range(100):
            f.write(json.dumps({"prompt": f"{i // 10}+{i % 10}=", "answer": str(i // 10 + i % 10)}) + "\n")
    with open(at("config.json"), "w") as f:
        json.dump(CONFIG, f)
    began = time.time()
    run("train", "--config", at("config.json"), "--alphabet", "chars", "--data", at("sums.jsonl"), "--out", at("base"), "--steps",
        "800", "--batch", "32", "--length", "32", "--lr", "3e-3", "--pack")
    print(f"{cpu()}; pre-training {time.time() - began:.0f} s")
    print("| method | seed | reward at first | at last | of the likeliest | KL of an answer | seconds |\n|---|---|---|---|---|---|---|")
    for method, options in METHODS.items():
        for seed in "1", "2", "3":
            out, began = at(method + seed), time.time()
            run("tune", method, at("base"), "--data", at("prompts.jsonl"), "--eval-data", at("prompts.jsonl"), "--reward", "exact",
                "--max-tokens", "4", "--seed", seed, "--out", out, *options)
            lines = [json.loads(x) for x in open(os.path.join(out, "metrics.jsonl"))]
            steps = [x for x in lines if "reward" in x]
            last = steps[-10:]
            mean = lambda key: sum(x[key] for x in last) / len(last)
            print(f"| {method} | {seed} | {steps[0]['reward']:.2f} | {mean('reward'):.3f} | {lines[-1]['eval_reward']:.2f} | "
                  f"{mean('kl_answer'):.2f} | {time.time() - began:.0f} |", flush=True)
