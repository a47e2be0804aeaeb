#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tiny random models and what transformers computes with them, into tests/data/models: config.json, model.safetensors and
expected.safetensors each. Needs torch, transformers and safetensors: python3 tests/data/make_models.py"""
import json
import os
import shutil

import numpy as np
import torch
import transformers as tf
from safetensors.numpy import save_file

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "models")
VOCAB, PROMPT, STEPS, KEPT = 64, 10, 12, 4

BASE = dict(vocab_size=VOCAB, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, head_dim=8, max_position_embeddings=64, tie_word_embeddings=True,
            initializer_range=0.3, bos_token_id=1, eos_token_id=2, pad_token_id=None)


def rope(kind, theta=10000.0, **more):
    return dict(rope_parameters=dict(rope_type=kind, rope_theta=theta, **more))


# Lengths of more than 24 tokens: past what "dynamic", "longrope" and the sliding window change at.
CASES = {
    "llama": (tf.LlamaConfig, rope("default")),
    "llama_bias": (tf.LlamaConfig, dict(attention_bias=True, mlp_bias=True, tie_word_embeddings=False, **rope("default"))),
    "llama_llama3": (tf.LlamaConfig, rope("llama3", 500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                          original_max_position_embeddings=32)),
    "llama_linear": (tf.LlamaConfig, rope("linear", factor=4.0)),
    "llama_dynamic": (tf.LlamaConfig, dict(max_position_embeddings=16, **rope("dynamic", factor=2.0))),
    "llama_yarn": (tf.LlamaConfig, rope("yarn", factor=4.0, original_max_position_embeddings=16)),
    "llama_longrope": (tf.LlamaConfig, rope("longrope", factor=4.0, original_max_position_embeddings=16,
                                            short_factor=[1.0, 1.1, 1.25, 1.5], long_factor=[1.0, 2.0, 3.5, 4.0])),
    "mistral": (tf.MistralConfig, dict(sliding_window=6, tie_word_embeddings=False, **rope("default"))),
    "qwen2": (tf.Qwen2Config, rope("default", 1000000.0)),
    "qwen3": (tf.Qwen3Config, dict(head_dim=6, **rope("default", 1000000.0))),
    "gpt2": (tf.GPT2Config, None),
}


def make_config(cls, more):
    if cls is tf.GPT2Config:
        return cls(vocab_size=VOCAB, n_embd=16, n_layer=2, n_head=4, n_positions=64, initializer_range=0.3, bos_token_id=1,
                   eos_token_id=2, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    return cls(**{**BASE, **more})


def shake(model, gen):
    """Norms and biases are constant in fresh models, which would hide mistakes with them."""
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() == 1:
                p.add_(torch.randn(p.shape, generator=gen) * 0.2)


@torch.no_grad()
def expected(model, gen):
    ids = torch.randint(3, VOCAB, (2, 28), generator=gen)
    mask = torch.ones_like(ids)
    mask[1, 15:] = 0
    ids[1, 15:] = 0
    # Rows apart: what depends on a row's length (dynamic, longrope) must not see the other's.
    logits = torch.zeros(2, 28, VOCAB)
    for row, n in ((0, 28), (1, 15)):
        out = model(ids[row:row + 1, :n], output_hidden_states=True, use_cache=False)
        logits[row, :n] = out.logits[0]
        if row == 0:
            hidden = torch.stack([h[0] for h in out.hidden_states])
    # Through the cache, as generate() goes: rotations that depend on the length leave earlier keys as they are.
    # Prompt and answer stay within the model's context, as generations do.
    longest = min(getattr(model.config, "max_position_embeddings", 64), PROMPT + STEPS)
    prompt = longest - STEPS
    fed, cache = ids[0, :prompt], None
    kept, tokens, margin = [], [], 1e9
    for _ in range(STEPS):
        out = model(fed[None], past_key_values=cache, use_cache=True)
        last, cache = out.logits[0, -1], out.past_key_values
        kept.append(last)
        top = last.topk(2).values
        margin = min(margin, ((top[0] - top[1]) / last.abs().max()).item())
        fed = last.argmax()[None]
        tokens.append(int(fed))
    return margin, {
        "input_ids": ids.int(), "attention_mask": mask.int(), "logits": logits, "hidden_states": hidden,
        "greedy_prompt": ids[0, :prompt].int(), "greedy_tokens": torch.tensor(tokens).int(),
        "greedy_logits_last": torch.stack(kept[-KEPT:])}


def make(name, cls, more):
    # Greedy answers that a rounding could turn would test nothing: another seed then.
    for seed in range(100):
        torch.manual_seed(1000 + seed)
        gen = torch.Generator().manual_seed(seed)
        model = cls_of(cls)(make_config(cls, more)).eval().float()
        shake(model, gen)
        margin, out = expected(model, gen)
        if margin > 5e-3:
            break
    path = os.path.join(HERE, name)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    config = model.config.to_dict()
    config["architectures"] = [type(model).__name__]
    for key in ("_name_or_path", "transformers_version"):
        config.pop(key, None)
    with open(os.path.join(path, "config.json"), "w") as f:
        json.dump(config, f, indent=1, sort_keys=True)
        f.write("\n")
    tied = config["tie_word_embeddings"]
    weights = {k: np.ascontiguousarray(v.numpy()) for k, v in model.state_dict().items()
               if not (tied and k == "lm_head.weight")}
    save_file(weights, os.path.join(path, "model.safetensors"), {"format": "pt"})
    save_file({k: np.ascontiguousarray(v.numpy()) for k, v in out.items()}, os.path.join(path, "expected.safetensors"))
    print(f"{name}: seed {seed}, margin {margin:.3f}")


def cls_of(config):
    return {tf.LlamaConfig: tf.LlamaForCausalLM, tf.MistralConfig: tf.MistralForCausalLM, tf.Qwen2Config: tf.Qwen2ForCausalLM,
            tf.Qwen3Config: tf.Qwen3ForCausalLM, tf.GPT2Config: tf.GPT2LMHeadModel}[config]


if __name__ == "__main__":
    torch.set_num_threads(1)
    for case, (config_class, extra) in CASES.items():
        make(case, config_class, extra)
