#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Adapters for the models of tests/data/models and tests/data/pairs, and the logits that PEFT has with them, into
tests/data/adapters. Needs torch, transformers, peft and safetensors: python3 tests/data/make_adapters.py"""
import json
import os
import shutil

import torch
import transformers as tf
from peft import LoraConfig, PeftModel, PromptTuningConfig, get_peft_model
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "adapters")

LLAMA, GPT2, T5 = "models/llama_bias", "models/gpt2", "pairs/t5"
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
}


def base_of(path):
    path = os.path.join(HERE, path)
    cls = getattr(tf, json.load(open(os.path.join(path, "config.json")))["architectures"][0])
    return cls.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()


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


if __name__ == "__main__":
    for name, (base, config) in CASES.items():
        make(name, base, config)
    half()
