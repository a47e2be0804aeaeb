#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning on conversations step by step beside transformers: which ids are learned (its mask of the assistant's tokens), and
the loss of each step of AdamW; beside TRL's SFTTrainer too, where that is installed. Skipped (77) without torch and transformers."""
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

try:
    import torch
    import torch.nn.functional as F
    import transformers as tr
except ImportError as e:
    print("skipped:", e)
    sys.exit(77)
try:
    import trl
    from datasets import Dataset
except ImportError:
    trl = None
tr.logging.set_verbosity_error()
tr.logging.disable_progress_bar()
torch.set_num_threads(2)
socle = os.environ["SOCLE"]
model = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "chat_model")
STEPS, BATCH, RATE = 8, 4, 3e-3
MARKED = ("{% for m in messages %}{{ '<|' + m['role'] + '|>' }}{% if m['role'] == 'assistant' %}{% generation %}"
          "{{ m['content'] + '<|end|>' }}{% endgeneration %}{% else %}{{ m['content'] + '<|end|>' }}{% endif %}"
          "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}")
failed = passed = 0


def check(name, ok, detail=""):
    global failed, passed
    passed, failed = passed + bool(ok), failed + (not ok)
    print(("ok   " if ok else "FAIL ") + name, detail)


def text(r):
    return " ".join(r.choice("one two three four five six seven".split()) for _ in range(r.randint(1, 6)))


def talks(turns):
    r = random.Random(4)
    return [{"messages": [{"role": role, "content": text(r)} for _ in range(r.randint(1, turns))
                          for role in ("user", "assistant")]} for _ in range(STEPS * BATCH)]


def pairs():
    return [{"prompt": t["messages"][:1], "completion": t["messages"][1:]} for t in talks(1)]


def texts():
    r = random.Random(5)
    return [{"prompt": text(r), "completion": " " + text(r)} for _ in range(STEPS * BATCH)]


def ours(where, data, base, *more):
    out, file = os.path.join(where, "run"), os.path.join(where, "data.jsonl")
    with open(file, "w") as f:
        f.writelines(json.dumps(d) + "\n" for d in data)
    subprocess.run([socle, "tune", "sft", base, "--data", file, "--out", out, "--in-order", "--steps", str(STEPS), "--batch",
                    str(BATCH), "--lr", str(RATE), "--schedule", "constant", "--warmup", "0", "--weight-decay", "0",
                    "--beta1", "0.9", "--beta2", "0.999", "--clip", "1", "--log-every", "1", "--quiet", *more], check=True)
    with open(os.path.join(out, "metrics.jsonl")) as f:
        losses = [json.loads(line)["loss"] for line in f]
    shutil.rmtree(out)
    return losses


def encode(tok, d):
    """ids and what is learned of them, as transformers tells it."""
    if "messages" in d:
        o = tok.apply_chat_template(d["messages"], tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
        return o["input_ids"], o["assistant_masks"]
    if isinstance(d["prompt"], str):
        a = tok(d["prompt"])["input_ids"]
        b = tok(d["prompt"] + d["completion"] + tok.eos_token)["input_ids"]
    else:
        a = tok.apply_chat_template(d["prompt"], add_generation_prompt=True, return_dict=True)["input_ids"]
        b = tok.apply_chat_template(d["prompt"] + d["completion"], return_dict=True)["input_ids"]
    assert b[:len(a)] == a
    return b, [0] * len(a) + [1] * (len(b) - len(a))


def theirs(data, base):
    tok, m = tr.AutoTokenizer.from_pretrained(base), tr.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    step, losses = torch.optim.AdamW(m.parameters(), RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=0), []
    for at in range(0, len(data), BATCH):
        rows = [encode(tok, d) for d in data[at:at + BATCH]]
        total, n = 0, 0
        for ids, mask in rows:
            labels = torch.tensor([i if k else -100 for i, k in zip(ids, mask)])
            logits = m(input_ids=torch.tensor([ids])).logits[0]
            total = total + F.cross_entropy(logits[:-1], labels[1:], ignore_index=-100, reduction="sum")
            n += int((labels[1:] >= 0).sum())
        (total / n).backward()
        torch.nn.utils.clip_grad_norm_(m.parameters(), 1.0)
        step.step()
        step.zero_grad()
        losses.append((total / n).item())
    return losses


def by_trl(where, data, base):
    config = trl.SFTConfig(output_dir=os.path.join(where, "trl"), per_device_train_batch_size=BATCH, max_steps=STEPS,
                           learning_rate=RATE, lr_scheduler_type="constant", warmup_steps=0, weight_decay=0, adam_beta2=0.999,
                           max_grad_norm=1.0, logging_steps=1, save_strategy="no", report_to=[], use_cpu=True, bf16=False,
                           gradient_checkpointing=False, max_length=256, disable_tqdm=True,
                           assistant_only_loss="messages" in data[0])

    class InOrder(trl.SFTTrainer):
        def _get_train_sampler(self, *args, **kw):
            return torch.utils.data.SequentialSampler(self.train_dataset)

    m = tr.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    t = InOrder(model=m, args=config, train_dataset=Dataset.from_list(data),
                processing_class=tr.AutoTokenizer.from_pretrained(base))
    t.train()
    return [h["loss"] for h in t.state.log_history if "loss" in h]


def compare(name, where, data, base, *more):
    mine = ours(where, data, base, *more)
    for what, other in (("transformers", theirs(data, base)), ("TRL", by_trl(where, data, base) if trl else None)):
        if other is None:
            print(f"     {name}: TRL is not installed")
            continue
        worst = max(abs(a - b) for a, b in zip(mine, other))
        check(f"{name}: the losses of {len(other)} steps are those of {what}", len(mine) == len(other) and worst < 1e-3,
              f"(largest difference {worst:.2e}, from {mine[0]:.4f} to {mine[-1]:.4f})")


with tempfile.TemporaryDirectory(prefix="socle-sft-") as where:
    marked = os.path.join(where, "marked")
    shutil.copytree(model, marked)
    with open(os.path.join(marked, "chat_template.jinja"), "w") as f:
        f.write(MARKED)
    compare("conversations", where, talks(3), marked)
    compare("prompts and completions as messages", where, pairs(), model)
    compare("prompts and completions as text", where, texts(), model)
    # The model's own template, without marks, gives what the marked one does.
    a, b = ours(where, talks(3), marked), ours(where, talks(3), model)
    check("a template without marks gives the losses of one with them", a == b, f"({a[-1]} and {b[-1]})")
    # Packed: a batch of all sequences of a step.
    a, b = ours(where, talks(3)[:BATCH], marked, "--steps", "1"), ours(where, talks(3)[:BATCH], marked, "--steps", "1", "--pack",
                                                                       "--length", "512", "--batch", "1")
    check("packed sequences have the same loss", abs(a[0] - b[0]) < 1e-5, f"({a[0]} and {b[0]})")
print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
