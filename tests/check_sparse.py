#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mixtures of experts, latent attention and recurrent layers that learn, beside transformers: the loss with that for the
balance of the experts, its gradients, and models that `socle train` made from a config.json, whose folders transformers
loads and runs to the same logits; and a checkpoint with stacked experts, which stay stacked. Skips without the packages."""
import json
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
    from safetensors.numpy import load_file, save_file
    from transformers import AutoConfig, AutoModelForCausalLM
except ImportError as e:
    print(f"skipped: {e}")
    sys.exit(77)

ROOT = os.environ.get("SOCLE_SOURCE_DIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
SOCLE = os.environ.get("SOCLE", os.path.join(ROOT, "build", "socle"))
TOKENIZER = os.path.join(ROOT, "tests/data/chat_model")
VOCABULARY = len(json.load(open(os.path.join(TOKENIZER, "tokenizer.json")))["model"]["vocab"]) + 64
torch.set_num_threads(1)

SIZES = dict(vocab_size=VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
             num_key_value_heads=2, head_dim=8, max_position_embeddings=64, bos_token_id=1, eos_token_id=2)
ROUTED = dict(SIZES, num_experts_per_tok=2, output_router_logits=True, router_aux_loss_coef=0.3)
MIXTURE = dict(ROUTED, num_experts=6, moe_intermediate_size=24)
BALANCED = {
    "mixtral": dict(ROUTED, num_local_experts=6),
    "qwen2_moe": dict(MIXTURE, shared_expert_intermediate_size=20),
    "qwen3_moe": dict(MIXTURE, norm_topk_prob=True, mlp_only_layers=[1]),
    "gpt_oss": dict(ROUTED, num_local_experts=6, sliding_window=4),
    "qwen3_next": dict(MIXTURE, shared_expert_intermediate_size=20, linear_key_head_dim=8, linear_value_head_dim=8,
                       linear_num_key_heads=2, linear_num_value_heads=4, full_attention_interval=3),
}
TRAINED = {
    "qwen3_moe": BALANCED["qwen3_moe"],
    "qwen3_next": BALANCED["qwen3_next"],
    "gpt_oss": BALANCED["gpt_oss"],
    "deepseek_v3": dict(SIZES, n_routed_experts=8, num_experts_per_tok=2, moe_intermediate_size=16, n_group=4,
                        topk_group=2, n_shared_experts=1, first_k_dense_replace=1, kv_lora_rank=16, q_lora_rank=24,
                        qk_nope_head_dim=8, qk_rope_head_dim=8, v_head_dim=12, num_key_value_heads=4),
    "mamba2": dict(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, state_size=16, num_heads=8, head_dim=8,
                   expand=2, n_groups=2, chunk_size=8, bos_token_id=1, eos_token_id=2, pad_token_id=0),
}


def config_of(kind, values):
    return AutoConfig.for_model(kind, **values)


def off(got, want):
    return float(np.abs(got.astype(np.float64) - want).max() / max(1e-9, np.abs(want).max()))


def batch(rows, columns, seed):
    return torch.tensor(np.random.default_rng(seed).integers(3, VOCABULARY, (rows, columns)))


def socle(*args):
    done = subprocess.run([SOCLE, *args, "--quiet"], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"socle {' '.join(args)}: {done.stderr}")


def forward(model, inputs, *flags):
    with tempfile.TemporaryDirectory() as t:
        files = [os.path.join(t, n) for n in ("in.safetensors", "out.safetensors")]
        save_file(inputs, files[0])
        socle("forward", model, *files, *flags)
        return load_file(files[1])


def check_balance(kind, values, folder):
    """The loss of labels, with that of the routers, and the gradients of all weights, under the names of the file."""
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(config_of(kind, values), attn_implementation="eager").float()
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.3 if p.dim() > 1 else 0.1)
    model.save_pretrained(folder)
    ids = batch(3, 9, 4)
    labels = ids.clone()
    labels[0, :3] = -100
    out = model(input_ids=ids, labels=labels)
    assert out.aux_loss.item() > 0
    got = forward(folder, {"input_ids": ids.numpy(), "labels": labels.numpy()}, "--grad")
    worst = off(got["loss"], out.loss.detach().numpy())
    assert worst < 1e-5, f"{kind}: the loss is {got['loss']}, not {out.loss}"
    out.loss.backward()
    router = [(n, p) for n, p in model.named_parameters() if ("gate.weight" in n or "router.weight" in n)]
    assert router
    for name, p in router:
        at = "grad." + name
        if at not in got:
            at = at.replace(".mlp.gate", ".block_sparse_moe.gate")
        worst = max(worst, off(got[at], p.grad.numpy()))
    assert worst < 1e-3, f"{kind}: gradients of routers are off by {worst}"
    print(f"balance {kind}: {worst:.1e}")


def check_run(kind, values, folder, data):
    """A model from its configuration alone, trained for a few steps, as transformers runs it."""
    config = os.path.join(folder, "config.json")
    os.makedirs(folder)
    made = json.loads(config_of(kind, values).to_json_string(use_diff=False))
    made["architectures"] = [type(AutoModelForCausalLM.from_config(config_of(kind, values))).__name__]
    json.dump(made, open(config, "w"))
    run = os.path.join(folder, "run")
    socle("train", "--config", config, "--tokenizer", TOKENIZER, "--data", data, "--out", run, "--steps", "4",
          "--batch", "2", "--length", "24", "--lr", "1e-3")
    log = [json.loads(line) for line in open(os.path.join(run, "metrics.jsonl"))]
    model, report = AutoModelForCausalLM.from_pretrained(run, dtype=torch.float32, attn_implementation="eager",
                                                         output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"], f"{kind}: {report}"
    ids = batch(2, 11, 8)
    with torch.no_grad():
        want = model.eval()(input_ids=ids).logits.numpy()
    worst = off(forward(run, {"input_ids": ids.numpy()})["logits"], want)
    assert worst < 3e-5, f"{kind}: logits of the run are off by {worst}"
    print(f"run {kind}: {worst:.1e}, loss {log[-1]['loss']:.3f}")


def check_stacked(folder, data):
    """A checkpoint that has a layer's experts in one tensor is written so again."""
    torch.manual_seed(5)
    values = dict(BALANCED["qwen3_moe"])
    model = AutoModelForCausalLM.from_config(config_of("qwen3_moe", values)).float()
    stacked = {n: p.detach().numpy().copy() for n, p in model.named_parameters()}
    assert any(n.endswith("experts.gate_up_proj") for n in stacked)
    model.config.save_pretrained(folder)
    save_file(stacked, os.path.join(folder, "model.safetensors"), {"format": "pt"})
    run = os.path.join(folder, "run")
    socle("train", "--model", folder, "--tokenizer", TOKENIZER, "--data", data, "--out", run, "--steps", "2", "--batch",
          "1", "--length", "16", "--lr", "1e-3")
    after = load_file(os.path.join(run, "model.safetensors"))
    assert set(after) == set(stacked), set(after) ^ set(stacked)
    moved = [n for n in after if "experts" in n and np.abs(after[n] - stacked[n]).max() > 1e-5]
    assert all(after[n].shape == stacked[n].shape for n in after) and len(moved) == 4, moved
    loaded = AutoModelForCausalLM.from_pretrained(run, dtype=torch.float32)
    ids = batch(1, 9, 2)
    with torch.no_grad():
        want = loaded.eval()(input_ids=ids).logits.numpy()
    worst = off(forward(run, {"input_ids": ids.numpy()})["logits"], want)
    assert worst < 3e-5, f"logits of the stacked run are off by {worst}"
    print(f"stacked: {worst:.1e}")


with tempfile.TemporaryDirectory() as work:
    text = os.path.join(work, "text.txt")
    with open(text, "w") as f:
        f.write("the quick brown fox jumps over the lazy dog, and the dog says nothing at all.\n" * 60)
    for name, sizes in BALANCED.items():
        check_balance(name, sizes, os.path.join(work, "balance-" + name))
    for name, sizes in TRAINED.items():
        check_run(name, sizes, os.path.join(work, "run-" + name), text)
    check_stacked(os.path.join(work, "stacked"), text)
