#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Adapters for the models of tests/data/models and tests/data/pairs, and the logits that PEFT has with them, into
tests/data/adapters. Needs torch, transformers, peft and safetensors: python3 tests/data/make_adapters.py [NAME...]"""
import json
import os
import shutil
import sys

import torch
import transformers as tf
from peft import (IA3Config, LoraConfig, PeftModel, PrefixTuningConfig, PromptEncoderConfig, PromptTuningConfig, VeraConfig,
                  get_peft_model)
from safetensors.torch import load_file, save_file

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "adapters")

LLAMA, GPT2, T5 = "models/llama_bias", "models/gpt2", "pairs/t5"
MIXTRAL, GPT_OSS, QWEN3_5 = "adapters/base_mixtral", "adapters/base_gpt_oss", "adapters/base_qwen3_5"
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CASES = {
    "patterns": (LLAMA, LoraConfig(r=3, lora_alpha=5, target_modules=ALL, rank_pattern={"q_proj": 5, "layers.1.mlp.up_proj": 2},
                                   alpha_pattern={"k_proj": 9, "^model.layers.0.mlp.down_proj": 2}, use_rslora=True)),
    "dora": (LLAMA, LoraConfig(r=3, lora_alpha=4, target_modules=ALL, use_dora=True)),
    "whole": (LLAMA, LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"], modules_to_save=["lm_head", "norm"])),
    "biases": (LLAMA, LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "up_proj"], bias="lora_only")),
    "table": (LLAMA, LoraConfig(r=2, lora_alpha=3, target_modules=["embed_tokens", "v_proj"])),
    "gpt2": (GPT2, LoraConfig(r=2, lora_alpha=4, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True, use_dora=True)),
    "t5": (T5, LoraConfig(r=2, lora_alpha=4, target_modules=["q", "v", "wo"], task_type="SEQ_2_SEQ_LM")),
    "prompt_gpt2": (GPT2, PromptTuningConfig(num_virtual_tokens=5, task_type="CAUSAL_LM")),
    "prompt_t5": (T5, PromptTuningConfig(num_virtual_tokens=4, task_type="SEQ_2_SEQ_LM", num_transformer_submodules=1)),
    "prompt_p_tuning": (LLAMA, PromptEncoderConfig(num_virtual_tokens=5, encoder_hidden_size=7, task_type="CAUSAL_LM")),
    "prompt_p_tuning_lstm": (LLAMA, PromptEncoderConfig(num_virtual_tokens=3, encoder_hidden_size=6, task_type="CAUSAL_LM",
                                                        encoder_reparameterization_type="LSTM", encoder_dropout=0.0)),
    "prompt_prefix": (LLAMA, PrefixTuningConfig(num_virtual_tokens=5, task_type="CAUSAL_LM")),
    "prompt_prefix_projected": (GPT2, PrefixTuningConfig(num_virtual_tokens=3, prefix_projection=True, encoder_hidden_size=9,
                                                         task_type="CAUSAL_LM")),
    "ia3": (LLAMA, IA3Config(target_modules=["k_proj", "v_proj", "down_proj", "o_proj"], feedforward_modules=["down_proj"])),
    "ia3_gpt2": (GPT2, IA3Config(target_modules=["c_attn", "mlp.c_proj"], feedforward_modules=["mlp.c_proj"],
                                 fan_in_fan_out=True)),
    "vera": (LLAMA, VeraConfig(r=4, target_modules=["q_proj", "down_proj", "k_proj"], save_projection=True)),
    "experts": (MIXTRAL, LoraConfig(r=2, lora_alpha=5, target_modules=["q_proj"], use_rslora=True,
                                    target_parameters=["mlp.experts.gate_up_proj", "mlp.experts.down_proj"])),
    "experts_down": (MIXTRAL, LoraConfig(r=3, lora_alpha=4, target_modules=["gate_proj"],
                                         target_parameters=["mlp.experts.down_proj"])),
    "experts_gpt_oss": (GPT_OSS, LoraConfig(r=2, lora_alpha=5, target_modules=["q_proj"],
                                            target_parameters=["mlp.experts.gate_up_proj", "mlp.experts.down_proj"])),
    "tiled": (QWEN3_5, LoraConfig(r=2, lora_alpha=4, target_modules=["in_proj_qkv", "in_proj_z", "in_proj_a", "in_proj_b",
                                                                     "out_proj"])),
    "tiled_dora": (QWEN3_5, LoraConfig(r=2, lora_alpha=4, use_dora=True, target_modules=["in_proj_qkv", "out_proj"])),
}
SIZES = dict(vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
             max_position_embeddings=64)
BASES = {
    MIXTRAL: (tf.MixtralForCausalLM, tf.MixtralConfig(**SIZES, intermediate_size=24, num_local_experts=4,
                                                      num_experts_per_tok=2)),
    GPT_OSS: (tf.GptOssForCausalLM, tf.GptOssConfig(**SIZES, head_dim=8, intermediate_size=24, num_local_experts=4,
                                                    num_experts_per_tok=2, sliding_window=8, rope_scaling=None)),
    QWEN3_5: (tf.Qwen3_5ForCausalLM, tf.Qwen3_5TextConfig(
        **SIZES, head_dim=8, intermediate_size=24, linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=8,
        linear_value_head_dim=8, layer_types=["linear_attention", "full_attention"], full_attention_interval=2)),
}


def base_of(path):
    path = os.path.join(HERE, path)
    cls = getattr(tf, json.load(open(os.path.join(path, "config.json")))["architectures"][0])
    return cls.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()


@torch.no_grad()
def make_base(path, cls, config):
    path = os.path.join(HERE, path)
    shutil.rmtree(path, ignore_errors=True)
    torch.manual_seed(11)
    model = cls(config).eval().float()
    for n, p in model.named_parameters():
        p.copy_(torch.randn(p.shape) * (0.3 if p.dim() > 1 else 0.1) + (1 if "norm" in n and p.dim() == 1 else 0))
    model.save_pretrained(path)


def inputs(pair, vocab, gen):
    x = dict(input_ids=torch.randint(3, vocab, (1, 11), generator=gen))
    x["attention_mask"] = torch.ones_like(x["input_ids"])
    if pair:
        x["decoder_input_ids"] = torch.randint(3, vocab, (1, 7), generator=gen)
    return x


@torch.no_grad()
def make(name, base, config):
    path = os.path.join(OUT, name)
    shutil.rmtree(path, ignore_errors=True)
    gen = torch.Generator().manual_seed(len(name))
    torch.manual_seed(3)
    model = get_peft_model(base_of(base), config).eval()
    for n, p in model.named_parameters():
        if p.requires_grad:  # what the adapter has
            p.add_(torch.randn(p.shape, generator=gen) * (0.3 if "magnitude" not in n else 0.1))
    model.save_pretrained(path)
    os.remove(os.path.join(path, "README.md"))
    model = PeftModel.from_pretrained(base_of(base), path).eval()
    x = inputs("pairs" in base, model.config.vocab_size, gen)
    logits = model(**x).logits
    logits = logits[:, -(x["decoder_input_ids"] if "pairs" in base else x["input_ids"]).shape[1]:]
    save_file({k: v.int().contiguous() for k, v in x.items()} | {"logits": logits.contiguous()},
              os.path.join(path, "expected.safetensors"))
    tidy(path)


def tidy(path):
    file = os.path.join(path, "adapter_config.json")
    c = json.load(open(file))
    c["base_model_name_or_path"] = ""
    with open(file, "w") as f:
        json.dump(c, f, indent=1, sort_keys=True)
        f.write("\n")


@torch.no_grad()
def half():
    """Half of an adapter."""
    gen = torch.Generator().manual_seed(77)
    model = PeftModel.from_pretrained(base_of(LLAMA), os.path.join(OUT, "patterns"), adapter_name="a").eval()
    for module in model.modules():
        if hasattr(module, "scaling") and isinstance(module.scaling, dict) and "a" in module.scaling:
            module.scaling["a"] *= 0.5
    model.base_model.set_adapter(["a"])
    x = inputs(False, model.config.vocab_size, gen)
    save_file({k: v.int().contiguous() for k, v in x.items()} | {"logits": model(**x).logits.contiguous()},
              os.path.join(OUT, "half_patterns.safetensors"))


def apart():
    """The adapter "experts" as PEFT has it of models with a module for each expert."""
    path, like = os.path.join(OUT, "experts_apart"), os.path.join(OUT, "experts")
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(like, path)
    old, new = load_file(os.path.join(like, "adapter_model.safetensors")), {}
    for key, a in old.items():
        if ".experts." not in key or "lora_A" not in key:
            if ".experts." not in key:
                new[key] = a
            continue
        b = old[key.replace("lora_A", "lora_B")]
        layer = key[:key.index(".mlp.experts")] + ".block_sparse_moe.experts."
        a, b = a.reshape(4, -1, a.shape[1]), b.reshape(b.shape[0], -1, 4)
        for e in range(4):
            up = {"w1": b[:24, :, e], "w3": b[24:, :, e]} if b.shape[0] == 48 else {"w2": b[:, :, e]}
            for name, part in up.items():
                new[f"{layer}{e}.{name}.lora_A.weight"] = a[e].clone()
                new[f"{layer}{e}.{name}.lora_B.weight"] = part.contiguous()
    save_file(new, os.path.join(path, "adapter_model.safetensors"))


if __name__ == "__main__":
    only = sys.argv[1:]
    for path, case in BASES.items():
        if not only or path in only:
            make_base(path, *case)
    for name, (base, config) in CASES.items():
        if not only or name in only or base in only:
            make(name, base, config)
    apart()
    if not only:
        half()
