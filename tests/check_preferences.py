#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Learning from preferences beside what people use: each step's loss of TRL's trainers from the same weights on the same data, and
scores of reward models in transformers. Skipped (77) without torch and transformers; what needs TRL, without it."""
import json
import os
import random
import subprocess
import sys
import tempfile

try:
    import torch
    import transformers as tr
except ImportError as e:
    print("skipped:", e)
    sys.exit(77)
try:
    import datasets
    import trl
except ImportError as e:
    print("without TRL:", e)
    trl = None
tr.logging.set_verbosity_error()
tr.logging.disable_progress_bar()
torch.set_num_threads(2)
socle = os.environ["SOCLE"]
failed = passed = 0


def check(name, ok, detail=""):
    global failed, passed
    passed, failed = passed + bool(ok), failed + (not ok)
    print(("ok   " if ok else "FAIL ") + name, detail, flush=True)


def run(*args, **more):
    return subprocess.run([socle, *args], check=True, timeout=300, capture_output=True, **more).stdout.decode()


LETTERS = "abcdefgh"
CONFIG = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 12, "hidden_size": 32,
          "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 64,
          "tie_word_embeddings": False}
STEPS, BATCH, RATE = 6, 4, 2e-3


def letters(r, n, step):
    at = r.randrange(8)
    return "".join(LETTERS[(at + step * k) % 8] for k in range(n))


def make_data(where):
    r = random.Random(1)
    file = lambda name, text: open(os.path.join(where, name), "w").write(text)
    file("config.json", json.dumps(CONFIG))
    file("symbols.txt", "\n".join(LETTERS) + "\n")
    file("text.txt", "".join(letters(r, r.randint(8, 30), r.choice([1, -1])) + "\n" for _ in range(200)))
    pairs = [dict(prompt=letters(r, r.randint(2, 5), 1), chosen=letters(r, r.randint(2, 9), 1),
                  rejected=letters(r, r.randint(2, 9), -1)) for _ in range(STEPS * BATCH)]
    votes = [dict(prompt=p["prompt"], completion=p["chosen"] if i % 3 else p["rejected"], label=bool(i % 3))
             for i, p in enumerate(pairs)]
    margins = [dict(p, margin=round(r.random(), 3)) for p in pairs]
    for name, rows in ("pairs", pairs), ("votes", votes), ("margins", margins):
        file(name + ".jsonl", "".join(json.dumps(x) + "\n" for x in rows))
    base = os.path.join(where, "base")
    run("train", "--config", os.path.join(where, "config.json"), "--alphabet", os.path.join(where, "symbols.txt"), "--data",
        os.path.join(where, "text.txt"), "--out", base, "--steps", "40", "--batch", "8", "--length", "32", "--lr", "3e-3",
        "--quiet")
    return base


def ours(where, base, name, method, data, *args):
    out = os.path.join(where, "run-" + name)
    run("tune", method, base, "--data", os.path.join(where, data + ".jsonl"), "--out", out, "--steps", str(STEPS), "--batch",
        str(BATCH), "--length", "64", "--lr", str(RATE), "--beta2", "0.999", "--weight-decay", "0", "--schedule", "constant",
        "--warmup", "0", "--in-order", "--log-every", "1", "--quiet", *args)
    return [json.loads(x) for x in open(os.path.join(out, "metrics.jsonl"))]


def theirs(where, base, trainer, config, data, cls=tr.AutoModelForCausalLM, reference=False, **options):
    rows = [json.loads(x) for x in open(os.path.join(where, data + ".jsonl"))]
    token = tr.AutoTokenizer.from_pretrained(base)
    if "experimental" in trainer.__module__:
        token.bos_token = None # which they put before prompts though the tokenizer does not
    more = {"num_labels": 1} if cls is tr.AutoModelForSequenceClassification else {}
    model = cls.from_pretrained(base, **more)
    if more: # the same first head
        mine = tr.AutoModelForSequenceClassification.from_pretrained(os.path.join(where, "head"))
        model.score.load_state_dict(mine.score.state_dict())
    args = config(output_dir=os.path.join(where, "trl"), max_steps=STEPS, per_device_train_batch_size=BATCH, learning_rate=RATE,
                  lr_scheduler_type="constant", adam_beta2=0.999, weight_decay=0.0, max_grad_norm=1.0, logging_steps=1,
                  report_to=[], save_strategy="no", use_cpu=True, bf16=False, gradient_checkpointing=False,
                  train_sampling_strategy="sequential", remove_unused_columns=False, max_length=64, disable_tqdm=True, **options)
    more = {"ref_model": cls.from_pretrained(base)} if reference else {}
    t = trainer(model=model, args=args, train_dataset=datasets.Dataset.from_list(rows), processing_class=token, **more)
    t.train()
    return [x for x in t.state.log_history if "loss" in x]


def compare(name, mine, want, metrics=()):
    off = max(abs(a["loss"] - b["loss"]) for a, b in zip(mine, want))
    check(name, len(mine) == len(want) == STEPS and off <= 1e-3, f"losses differ by {off:.1e} at most, last {mine[-1]['loss']:.4f}")
    for m in metrics:
        off = max(abs(a[m] - b[m]) for a, b in zip(mine, want))
        check(f"{name}: {m}", off <= 2e-3, f"{off:.1e}")


def step_by_step(where, base):
    rewards = ("rewards/chosen", "rewards/rejected", "rewards/margins")
    for name, mine, options in (("sigmoid", (), {"loss_type": ["sigmoid"]}),
                                ("hinge", ("--loss", "hinge"), {"loss_type": ["hinge"]}),
                                ("ipo", ("--loss", "ipo"), {"loss_type": ["ipo"]}),
                                ("robust", ("--loss", "robust", "--label-smoothing", "0.2"),
                                 {"loss_type": ["robust"], "label_smoothing": 0.2})):
        got = ours(where, base, "dpo-" + name, "dpo", "pairs", *mine)
        want = theirs(where, base, trl.DPOTrainer, trl.DPOConfig, "pairs", reference=True, beta=0.1, **options)
        compare("dpo " + name, got, want, rewards if name == "sigmoid" else ())
    got = ours(where, base, "kto", "kto", "votes", "--undesirable", "1.5")
    want = theirs(where, base, trl.KTOTrainer, trl.KTOConfig, "votes", reference=True, beta=0.1, undesirable_weight=1.5)
    compare("kto", got, want, ("kl",))
    from trl.experimental.cpo import CPOConfig, CPOTrainer
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer
    got = ours(where, base, "orpo", "orpo", "pairs", "--beta", "0.2")
    compare("orpo", got, theirs(where, base, ORPOTrainer, ORPOConfig, "pairs", beta=0.2), ("nll_loss",))
    got = ours(where, base, "simpo", "simpo", "pairs", "--gamma", "0.5", "--label-smoothing", "0.1")
    want = theirs(where, base, CPOTrainer, CPOConfig, "pairs", beta=2.0, loss_type="simpo", simpo_gamma=0.5, cpo_alpha=0.0,
                  label_smoothing=0.1)
    compare("simpo", got, want)
    for data, mine, options in ("pairs", (), {}), ("margins", ("--center", "0.01"), {"center_rewards_coefficient": 0.01}):
        got = ours(where, base, "reward-" + data, "reward", data, *mine)
        want = theirs(where, base, trl.RewardTrainer, trl.RewardConfig, data, tr.AutoModelForSequenceClassification, **options)
        compare("reward " + data, got, want)


def first_head(where, base):
    """The model that `tune reward` begins with: a step whose rate is nothing."""
    run("tune", "reward", base, "--data", os.path.join(where, "pairs.jsonl"), "--out", os.path.join(where, "head"), "--steps", "1",
        "--batch", "2", "--lr", "1e-30", "--weight-decay", "0", "--quiet")


USUAL = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4,
             max_position_embeddings=64)
FAMILIES = {
    "llama": dict(USUAL, num_key_value_heads=2), "mistral": dict(USUAL, num_key_value_heads=2), "qwen2": USUAL,
    "qwen3": dict(USUAL, head_dim=8), "gpt2": dict(n_embd=32, n_layer=2, n_head=4, n_positions=64), "gpt_neox": USUAL,
    "gptj": dict(n_embd=32, n_layer=2, n_head=4, rotary_dim=4, n_positions=64),
    "opt": dict(USUAL, ffn_dim=64, word_embed_proj_dim=32), "bloom": dict(hidden_size=32, n_layer=2, n_head=4), "phi": USUAL,
    "phi3": USUAL, "gemma2": dict(USUAL, head_dim=8), "starcoder2": USUAL, "mixtral": dict(USUAL, num_local_experts=4),
    "smollm3": USUAL,
}


def heads(where, base):
    token = tr.AutoTokenizer.from_pretrained(base)
    for kind, own in FAMILIES.items():
        torch.manual_seed(7)
        config = tr.AutoConfig.for_model(kind, vocab_size=len(token) + 3, num_labels=1, pad_token_id=token.pad_token_id,
                                         bos_token_id=1, eos_token_id=2, **own)
        model = tr.AutoModelForSequenceClassification.from_config(config).eval()
        for p in model.parameters():
            p.data += 0.05 * torch.randn_like(p)
        folder = os.path.join(where, kind)
        model.save_pretrained(folder)
        token.save_pretrained(folder)
        worst = 0
        for text in ("abcdefg", "hgfa", "a"):
            ids = torch.tensor([json.loads(run("tokenize", folder, input=text.encode()))])
            with torch.no_grad():
                want = model(input_ids=ids).logits[0, 0].item()
            worst = max(worst, abs(json.loads(run("classify", folder, text, "--json"))["LABEL_0"] - want))
        check(f"score of {type(model).__name__}", worst < 1e-4, f"off by {worst:.1e}")


def published(where):
    """What tune reward leaves behind, in transformers."""
    folder = os.path.join(where, "head")
    model, token = tr.AutoModelForSequenceClassification.from_pretrained(folder).eval(), tr.AutoTokenizer.from_pretrained(folder)
    ids = torch.tensor([json.loads(run("tokenize", folder, input=b"abcabc"))])
    got = json.loads(run("classify", folder, "abcabc", "--json"))["LABEL_0"]
    with torch.no_grad():
        want = model(input_ids=ids).logits[0, 0].item()
    check("a reward model in transformers", abs(got - want) < 1e-5 and model.config.num_labels == 1, (got, want))


with tempfile.TemporaryDirectory(prefix="socle-preferences-") as where:
    base = make_data(where)
    first_head(where, base)
    published(where)
    heads(where, base)
    if trl:
        step_by_step(where, base)
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
