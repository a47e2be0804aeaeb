#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A run's event files as TensorBoard itself reads them, against metrics.jsonl and samples.jsonl.

usage: check_events.py SOCLE; skipped where the package tensorboard is not installed."""
import json
import os
import subprocess
import sys
import tempfile

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
except ImportError:
    print("skipped: no package tensorboard")
    sys.exit(77)

ROOT = os.environ.get("SOCLE_SOURCE_DIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
MODEL = os.path.join(ROOT, "tests/data/chat_model")
TAGS = {"eval_loss": "eval/loss", "ema_eval_loss": "eval/ema_loss", "eval_token_accuracy": "eval/token_accuracy"}


def lines(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def check(run):
    events = EventAccumulator(run, size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    seen = {tag: {e.step: e.value for e in events.Scalars(tag)} for tag in events.Tags()["scalars"]}
    expected = 0
    for line in lines(os.path.join(run, "metrics.jsonl")):
        for key, value in line.items():
            if key == "step":
                continue
            got = seen[TAGS.get(key, "train/" + key)][line["step"]]
            assert abs(got - value) <= 1e-6 * max(abs(value), 1e-9), (key, line["step"], got, value)
            expected += 1
    assert expected == sum(len(v) for v in seen.values()), "more or fewer values than metrics.jsonl has"
    samples = lines(os.path.join(run, "samples.jsonl"))
    texts = [(e.step, e.tensor_proto.string_val[0].decode()) for tag in events.Tags()["tensors"]
             for e in events.Tensors(tag)]
    assert sorted(texts) == sorted((s["step"], s["prompt"] + s["text"]) for s in samples), texts
    assert all(events.SummaryMetadata(t).plugin_data.plugin_name == "text" for t in events.Tags()["tensors"])
    print(f"{expected} numbers and {len(texts)} samples")


with tempfile.TemporaryDirectory() as work:
    text, run = os.path.join(work, "text.txt"), os.path.join(work, "run")
    with open(text, "w", encoding="utf-8") as f:
        f.write("one two three, one two three.\n" * 60)
    base = [sys.argv[1], "train", "--out", run, "--quiet", "--threads", "1"]
    subprocess.run(base + ["--config", MODEL, "--tokenizer", MODEL, "--data", text, "--eval-data", text, "--steps", "6",
                           "--batch", "2", "--length", "16", "--save-every", "3", "--log-every", "1", "--ema", "0.9",
                           "--prompt", "één", "--prompt", "one"], check=True)
    check(run)
    # Cut back to step 3 and made again.
    subprocess.run(["rm", "-r", os.path.join(run, "checkpoint-6")], check=True)
    subprocess.run(base + ["--resume"], check=True)
    check(run)
