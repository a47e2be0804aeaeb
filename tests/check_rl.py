#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Policies beside TRL: from the same weights, with the same answers and rewards, each step's loss of TRL's own code. GRPO with TRL
from 1.0 on; PPO with a value head on the policy with TRL 0.11, the last one that has it. Skipped (77) without either. The answers
are ours, which each checkpoint has; all that TRL makes of them, probabilities and advantages too, it computes itself."""
import json
import os
import random
import subprocess
import sys
import tempfile

try:
    import datasets
    import torch
    import transformers as tr
    import trl
    from safetensors import safe_open
except ImportError as e:
    print("skipped:", e)
    sys.exit(77)
tr.logging.set_verbosity_error()
torch.set_num_threads(2)
socle = os.environ["SOCLE"]
OLD = tuple(int(x) for x in trl.__version__.split(".")[:2]) < (0, 12)
failed = passed = 0


def check(name, ok, detail=""):
    global failed, passed
    passed, failed = passed + bool(ok), failed + (not ok)
    print(("ok   " if ok else "FAIL ") + name, detail, flush=True)


def run(*args):
    return subprocess.run([socle, *args], check=True, timeout=300, capture_output=True).stdout.decode()


CONFIG = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 20, "hidden_size": 32,
          "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 64,
          "tie_word_embeddings": False}
STEPS, BATCH, GROUP, RATE = 6, 8, 4, 2e-3


def make_data(where):
    r = random.Random(1)
    file = lambda name, text: open(os.path.join(where, name), "w").write(text)
    file("config.json", json.dumps(CONFIG))
    pairs = [(r.randrange(10), r.randrange(10)) for _ in range(400)]
    file("sums.jsonl", "".join(json.dumps({"text": f"{a}+{b}={(a + b) if r.random() < .5 else r.randrange(19)}"}) + "\n"
                               for a, b in pairs))
    file("prompts.jsonl", "".join(json.dumps({"prompt": f"{a}+{b}=", "answer": str(a + b)}) + "\n" for a, b in pairs[:24]))
    base = os.path.join(where, "base")
    run("train", "--config", os.path.join(where, "config.json"), "--alphabet", "chars", "--data",
        os.path.join(where, "sums.jsonl"), "--out", base, "--steps", "60", "--batch", "8", "--length", "32", "--pack", "--lr",
        "5e-3", "--quiet")
    return base


def ours(where, base, name, method, *args, steps=STEPS, rate=RATE):
    """Each step's line, and the answers of each checkpoint."""
    out = os.path.join(where, name)
    run("tune", method, base, "--data", os.path.join(where, "prompts.jsonl"), "--out", out, "--steps", str(steps), "--batch",
        str(BATCH), "--lr", str(rate), "--beta2", "0.999", "--weight-decay", "0", "--schedule", "constant", "--warmup", "0",
        "--in-order", "--save-every", "1", "--keep", "100", "--max-tokens", "6", "--reward", "exact", "--reward", "0.3*length=2",
        "--rollouts", str(BATCH), "--quiet", *args)
    lines = [json.loads(x) for x in open(os.path.join(out, "metrics.jsonl"))]
    answers = []
    for i in range(steps):
        with safe_open(os.path.join(out, f"checkpoint-{i + 1}", "rollouts.safetensors"), "pt") as f:
            answers.append({k: f.get_tensor(k) for k in f.keys()})
    return lines, answers


def texts_of(x):
    start = x["start"].tolist()
    return [x["ids"][a:b].long() for a, b in zip(start, start[1:])]


def prompts_of(where, token):
    rows = [json.loads(x)["prompt"] for x in open(os.path.join(where, "prompts.jsonl"))]
    return [torch.tensor(token(x, add_special_tokens=True)["input_ids"]) for x in rows]


def pad(list_, left):
    n = max(len(x) for x in list_)
    ids, mask = torch.zeros(len(list_), n, dtype=torch.long), torch.zeros(len(list_), n, dtype=torch.long)
    for i, x in enumerate(list_):
        at = slice(n - len(x), n) if left else slice(0, len(x))
        ids[i, at], mask[i, at] = x, 1
    return ids, mask


def compare(name, mine, want, keys):
    check(name + ": steps", len(mine) == len(want) == STEPS)
    for a, b, most in keys:
        off = max(abs(x[a] - y[b]) for x, y in zip(mine, want))
        check(f"{name}: {a}", off <= most, f"differs by {off:.1e} at most, last {mine[-1][a]:.5f}")


# ---- GRPO ----


def grpo_theirs(where, base, answers, passes, beta, **options):
    token = tr.AutoTokenizer.from_pretrained(base)
    prompts = prompts_of(where, token)

    class Trainer(trl.GRPOTrainer):
        phase = 0

        def _generate_and_score_completions(self, inputs):
            x = answers[self.phase * passes]
            first = self.phase * (BATCH // GROUP)
            self.phase += 1
            asked = [prompts[(first + i // GROUP) % len(prompts)] for i in range(BATCH)]
            prompt_ids, prompt_mask = pad(asked, True)
            ids, mask = pad(texts_of(x), False)
            r = x["score"].view(-1, GROUP)
            a = r - r.mean(1, keepdim=True)
            if options.get("scale_rewards", "group") == "group":
                a = a / (r.std(1, keepdim=True) + 1e-4)
            out = {"prompt_ids": prompt_ids, "prompt_mask": prompt_mask, "completion_ids": ids, "completion_mask": mask,
                   "advantages": a.reshape(-1), "num_items_in_batch": mask.sum()}
            with torch.no_grad():
                both = torch.cat([prompt_ids, ids], 1), torch.cat([prompt_mask, mask], 1), ids.size(1)
                out["old_per_token_logps"] = self._get_per_token_logps_and_entropies(self.model, *both)[0]
                if beta:
                    out["ref_per_token_logps"] = self._get_per_token_logps_and_entropies(self.ref_model, *both)[0]
            return out

    args = trl.GRPOConfig(output_dir=os.path.join(where, "trl"), max_steps=STEPS, per_device_train_batch_size=BATCH,
                          num_generations=GROUP, num_iterations=passes, steps_per_generation=1, learning_rate=RATE, beta=beta,
                          lr_scheduler_type="constant", adam_beta2=0.999, weight_decay=0.0, max_grad_norm=1.0, logging_steps=1,
                          report_to=[], save_strategy="no", use_cpu=True, bf16=False, gradient_checkpointing=False,
                          max_completion_length=6, disable_tqdm=True, temperature=1.0, use_bias_correction_kl=False, **options)
    rows = datasets.Dataset.from_list([{"prompt": "x"}] * 48)
    t = Trainer(model=tr.AutoModelForCausalLM.from_pretrained(base), reward_funcs=lambda completions, **k: [0.0] * len(completions),
                args=args, train_dataset=rows, processing_class=token)
    t.train()
    return [x for x in t.state.log_history if "loss" in x]


def grpo(where, base):
    for name, passes, beta, mine, options in (
            ("grpo", 1, 0.04, (), {"loss_type": "grpo"}),
            ("grpo, two passes", 2, 0.04, ("--clip-low", "0.05", "--clip-high", "0.08"),
             {"loss_type": "grpo", "epsilon": 0.05, "epsilon_high": 0.08}),
            ("bnpo", 3, 0.0, ("--loss", "bnpo"), {"loss_type": "bnpo"}),
            ("dr_grpo", 2, 0.1, ("--loss", "dr_grpo"), {"loss_type": "dr_grpo", "scale_rewards": "none"}),
            ("gspo", 2, 0.0, ("--loss", "gspo", "--clip-low", "0.02"),
             {"loss_type": "grpo", "importance_sampling_level": "sequence", "epsilon": 0.02})):
        lines, answers = ours(where, base, "run-" + name.split(",")[0] + str(passes), "grpo", "--group-size", str(GROUP),
                              "--passes", str(passes), "--kl", str(beta), *mine)
        want = grpo_theirs(where, base, answers, passes, beta, **options)
        keys = [("loss", "loss", 1e-3), ("grad_norm", "grad_norm", 1e-2)]
        if beta:
            keys.append(("kl", "kl", 1e-3))
        compare(name, lines, want, keys)


# ---- PPO ----


def ppo_theirs(where, base, start, answers, passes):
    token = tr.AutoTokenizer.from_pretrained(base)
    prompts = prompts_of(where, token)
    model = trl.AutoModelForCausalLMWithValueHead.from_pretrained(start, summary_dropout_prob=0.0)
    with safe_open(os.path.join(start, "model.safetensors"), "pt") as f:
        model.v_head.summary.weight.data.copy_(f.get_tensor("v_head.summary.weight"))
        model.v_head.summary.bias.data.copy_(f.get_tensor("v_head.summary.bias"))
    reference = trl.AutoModelForCausalLMWithValueHead.from_pretrained(base)
    config = trl.PPOConfig(batch_size=BATCH, mini_batch_size=BATCH, ppo_epochs=passes, learning_rate=RATE, init_kl_coef=0.05,
                           adap_kl_ctrl=False, vf_coef=0.1, cliprange=0.2, cliprange_value=0.2, gamma=1.0, lam=0.95,
                           max_grad_norm=None, seed=0)  # which it would keep in its first step alone
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.999), weight_decay=0)
    t = trl.PPOTrainer(config, model, reference, token, optimizer=optimizer)
    out = []
    for phase in range(STEPS // passes):
        x = answers[phase * passes]
        asked = [prompts[(phase * BATCH + i) % len(prompts)] for i in range(BATCH)]
        s = t.step(asked, texts_of(x), list(x["score"]))
        out.append({"loss": float(s["ppo/loss/total"]), "policy_loss": float(s["ppo/loss/policy"]),
                    "value_loss": float(s["ppo/loss/value"]), "kl_answer": float(s["objective/kl"])})
    return out


def ppo(where, base):
    ours(where, base, "start", "ppo", steps=1, rate=1e-30)  # the value head that a run begins with
    for passes in 1, 2, 3:
        lines, answers = ours(where, base, f"run-ppo{passes}", "ppo", "--passes", str(passes), "--clip", "0")
        want = ppo_theirs(where, base, os.path.join(where, "start"), answers, passes)
        mine = [{k: sum(x[k] for x in lines[i:i + passes]) / passes for k in ("loss", "policy_loss", "value_loss", "kl_answer")}
                for i in range(0, STEPS, passes)]  # TRL tells the mean over a phase
        for k in mine[0]:
            off = max(abs(a[k] - b[k]) for a, b in zip(mine, want))
            check(f"ppo, {passes} passes: {k}", off <= 1e-3, f"differs by {off:.1e} at most, last {mine[-1][k]:.5f}")


with tempfile.TemporaryDirectory(prefix="socle-rl-") as where:
    base = make_data(where)
    (ppo if OLD else grpo)(where, base)
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
