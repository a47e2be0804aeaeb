#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Distillation step by step beside a plain loop over transformers' models: every divergence, with and without the data's part,
for AdamW's first steps; Jensen-Shannon's beside TRL's generalized_jsd_loss where that is installed. Skipped (77) without torch
and transformers."""
import json
import os
import random
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
    from trl.experimental.gkd import GKDTrainer
except Exception:  # not installed, or moved
    GKDTrainer = None
tr.logging.set_verbosity_error()
tr.logging.disable_progress_bar()
torch.set_num_threads(2)
socle = os.environ["SOCLE"]
student = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "chat_model")
STEPS, BATCH, RATE = 6, 4, 3e-3
failed = passed = 0


def check(name, ok, detail=""):
    global failed, passed
    passed, failed = passed + bool(ok), failed + (not ok)
    print(("ok   " if ok else "FAIL ") + name, detail)


def data():
    r = random.Random(6)
    words = "one two three four five six seven".split()

    def text():
        return " ".join(r.choice(words) for _ in range(r.randint(1, 5)))
    return [{"messages": [{"role": "user", "content": text()}, {"role": "assistant", "content": text()}]}
            for _ in range(STEPS * BATCH)]


def teacher(where):
    """The student with other weights, of another size."""
    torch.manual_seed(3)
    config = tr.AutoConfig.from_pretrained(student)
    config.hidden_size, config.intermediate_size, config.head_dim = 48, 96, 12
    m = tr.AutoModelForCausalLM.from_config(config)
    for p in m.parameters():
        p.data = torch.randn_like(p) * 0.3
    out = os.path.join(where, "teacher")
    m.save_pretrained(out)
    tr.AutoTokenizer.from_pretrained(student).save_pretrained(out)
    return out


def ours(where, file, teaches, name, *more):
    out = os.path.join(where, name)
    subprocess.run([socle, "tune", "distill", student, "--teacher", teaches, "--data", file, "--out", out, "--in-order", "--steps",
                    str(STEPS), "--batch", str(BATCH), "--lr", str(RATE), "--schedule", "constant", "--warmup", "0",
                    "--weight-decay", "0", "--beta1", "0.9", "--beta2", "0.999", "--clip", "1", "--log-every", "1", "--quiet",
                    *more], check=True)
    with open(os.path.join(out, "metrics.jsonl")) as f:
        return [json.loads(line)["loss"] for line in f]


def divergence(s, t, kind, temperature, beta):
    q, p = F.log_softmax(s / temperature, -1), F.log_softmax(t / temperature, -1)

    def kl(a, b):
        return (a.exp() * (a - b)).sum(-1)
    m = torch.logaddexp(p + torch.log(torch.tensor(beta)), q + torch.log(torch.tensor(1 - beta)))
    return {"forward": kl(p, q), "reverse": kl(q, p), "symmetric": (kl(p, q) + kl(q, p)) / 2,
            "js": beta * kl(p, m) + (1 - beta) * kl(q, m)}[kind].mean()


def theirs(rows, teaches, kind, temperature, share, beta):
    tok, m = tr.AutoTokenizer.from_pretrained(student), tr.AutoModelForCausalLM.from_pretrained(student, dtype=torch.float32)
    big = tr.AutoModelForCausalLM.from_pretrained(teaches, dtype=torch.float32)
    step, losses = torch.optim.AdamW(m.parameters(), RATE, eps=1e-8, weight_decay=0), []
    for at in range(0, len(rows), BATCH):
        s, t, labels = [], [], []
        for d in rows[at:at + BATCH]:
            a = tok.apply_chat_template(d["messages"][:1], add_generation_prompt=True, return_dict=True)["input_ids"]
            b = torch.tensor([tok.apply_chat_template(d["messages"], return_dict=True)["input_ids"]])
            s.append(m(input_ids=b).logits[0, len(a) - 1:-1])
            with torch.no_grad():
                t.append(big(input_ids=b).logits[0, len(a) - 1:-1])
            labels.append(b[0, len(a):])
        s, t, labels = torch.cat(s), torch.cat(t), torch.cat(labels)
        apart = divergence(s, t, kind, temperature, beta)
        if kind == "js" and GKDTrainer and at == 0:
            other = GKDTrainer.generalized_jsd_loss(s[None], t[None], labels=labels[None], beta=beta, temperature=temperature)
            check("Jensen-Shannon's divergence is TRL's", abs(other.item() - apart.item()) < 1e-5,
                  f"({apart.item():.6f} and {other.item():.6f})")
        loss = share * temperature ** 2 * apart + (1 - share) * F.cross_entropy(s, labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(m.parameters(), 1.0)
        step.step()
        step.zero_grad()
        losses.append(loss.item())
    return losses


with tempfile.TemporaryDirectory(prefix="socle-distill-") as where:
    rows, teaches, file = data(), teacher(where), os.path.join(where, "data.jsonl")
    with open(file, "w") as f:
        f.writelines(json.dumps(d) + "\n" for d in rows)
    if not GKDTrainer:
        print("     TRL is not installed")
    for i, (kind, temperature, share, beta) in enumerate([("forward", 1, 0.5, 0.5), ("forward", 2, 1, 0.5), ("reverse", 1, 1, 0.5),
                                                          ("symmetric", 1.5, 0.7, 0.5), ("js", 1, 1, 0.3), ("js", 2, 0.5, 0.9)]):
        mine = ours(where, file, teaches, f"run{i}", "--divergence", kind, "--temperature", str(temperature), "--teacher-share",
                    str(share), "--mixture", str(beta))
        other = theirs(rows, teaches, kind, temperature, share, beta)
        worst = max(abs(a - b) for a, b in zip(mine, other))
        check(f"{kind}, T {temperature}, share {share}: the losses of {STEPS} steps", len(mine) == STEPS and worst < 1e-3,
              f"(largest difference {worst:.2e}, from {mine[0]:.4f} to {mine[-1]:.4f})")
print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
