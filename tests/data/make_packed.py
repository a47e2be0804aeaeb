#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tiny checkpoints whose matrices are packed (8-bit floats, GPTQ, AWQ, compressed-tensors) or that are a part of a larger model,
and what transformers computes with the same weights unpacked, into tests/data/packed. Needs torch, transformers and
safetensors: python3 tests/data/make_packed.py"""
import json
import os
import shutil

import torch
import transformers as tf
from safetensors.torch import load_file, save_file

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "packed")
SIZES = dict(vocab_size=48, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=False)


def words(fields, dim, bits, order=None):
    """Whole numbers, as many as a word of 32 bits has room for in each, along dim."""
    per = 32 // bits
    f = fields.movedim(dim, -1).reshape(*fields.movedim(dim, -1).shape[:-1], -1, per).long()
    if order:
        f = f[..., order]
    w = (f << (torch.arange(per) * bits)).sum(-1)
    return torch.where(w >= 2 ** 31, w - 2 ** 32, w).int().movedim(-1, dim).contiguous()


def fp8(shape):
    def pack(w, name, gen):
        n, c = w.shape
        scale = {"block": (-(-n // 16), -(-c // 24)), "row": (n, 1), "one": (1,)}[shape]
        s = (torch.rand(scale, generator=gen) + 0.5) / 64
        q = (w / 0.02).clamp(-448, 448).to(torch.float8_e4m3fn)
        if shape == "block":
            full = s.repeat_interleave(16, 0)[:n].repeat_interleave(24, 1)[:, :c]
        else:
            full = s
        return {name + ("_scale_inv" if shape == "block" else "_scale"): s, name: q}, q.float() * full
    return pack


def int8(w, name, gen):
    q = torch.randint(-127, 128, w.shape, generator=gen)
    s = (torch.rand(w.shape[0], 1, generator=gen) + 0.5) / 300
    return {name: q.to(torch.int8), name + "_scale": s}, q.float() * s


def gptq(bits, group, v2, act_order):
    def pack(w, name, gen):
        n, c = w.shape
        stem, most, groups = name[:-len("weight")], 2 ** bits, -(-c // group)
        q = torch.randint(0, most, (n, c), generator=gen)
        z = torch.randint(0, most, (groups, n), generator=gen)
        s = ((torch.rand(groups, n, generator=gen) + 0.5) / most).half()
        g = torch.arange(c) // group
        if act_order:
            g = g[torch.randperm(c, generator=gen)]
        out = {stem + "qweight": words(q.T, 0, bits), stem + "qzeros": words(z if v2 else (z - 1) % most, 1, bits),
               stem + "scales": s}
        if act_order or bits == 8:
            out[stem + "g_idx"] = g.int()
        return out, (q.T - z[g]).float().mul(s.float()[g]).T.contiguous()
    return pack


def awq(w, name, gen):
    n, c = w.shape
    stem, order, group = name[:-len("weight")], [0, 2, 4, 6, 1, 3, 5, 7], 16
    q = torch.randint(0, 16, (n, c), generator=gen)
    z = torch.randint(0, 16, (c // group, n), generator=gen)
    s = ((torch.rand(c // group, n, generator=gen) + 0.5) / 16).half()
    g = torch.arange(c) // group
    return ({stem + "qweight": words(q.T, 1, 4, order), stem + "qzeros": words(z, 1, 4, order), stem + "scales": s},
            (q.T - z[g]).float().mul(s.float()[g]).T.contiguous())


def packed(group):
    def pack(w, name, gen):
        n, c = w.shape
        g = c if group < 0 else group
        q = torch.randint(-8, 8, (n, c), generator=gen)
        s = ((torch.rand(n, c // g, generator=gen) + 0.5) / 16).bfloat16()
        return ({name + "_packed": words(q + 8, 1, 4), name + "_scale": s, name + "_shape": torch.tensor([n, c])},
                q.float() * s.float().repeat_interleave(g, 1))
    return pack


CT = {"quant_method": "compressed-tensors"}
CASES = {
    "fp8_block": (fp8("block"), {"quant_method": "fp8", "weight_block_size": [16, 24], "activation_scheme": "dynamic"}, None),
    "fp8_row": (fp8("row"), {"quant_method": "fbgemm_fp8"}, None),
    "fp8_one": (fp8("one"), dict(CT, format="float-quantized"), "bfloat16"),
    "int8": (int8, dict(CT, format="int-quantized"), "float16"),
    "gptq": (gptq(4, 16, False, False), {"quant_method": "gptq", "bits": 4, "group_size": 16, "sym": False}, None),
    "gptq_order": (gptq(4, 8, True, True), {"quant_method": "gptq", "bits": 4, "group_size": 8, "desc_act": True,
                                            "checkpoint_format": "gptq_v2"}, None),
    "gptq_8": (gptq(8, 16, False, False), {"quant_method": "gptq", "bits": 8, "group_size": 16}, None),
    "awq": (awq, {"quant_method": "awq", "bits": 4, "group_size": 16, "zero_point": True, "version": "gemm"}, None),
    "int4": (packed(16), dict(CT, format="pack-quantized",
                              config_groups={"group_0": {"weights": {"num_bits": 4, "group_size": 16}}}), None),
    "int4_rows": (packed(-1), dict(CT, format="pack-quantized",
                                   config_groups={"group_0": {"weights": {"num_bits": 4, "group_size": None}}}), None),
}


@torch.no_grad()
def expected(model, path, gen):
    ids = torch.randint(3, 48, (2, 11), generator=gen)
    mask = torch.ones_like(ids)
    mask[1, :4] = 0
    o = model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
    save_file({"input_ids": ids.int(), "attention_mask": mask.int(), "logits": (o.logits * mask[..., None]).contiguous(),
               "hidden_states": torch.stack([h[0] for h in o.hidden_states]).contiguous()},
              os.path.join(path, "expected.safetensors"))


@torch.no_grad()
def make(name, pack, how, dtype):
    path = os.path.join(HERE, name)
    shutil.rmtree(path, ignore_errors=True)
    gen = torch.Generator().manual_seed(len(name))
    torch.manual_seed(len(name))
    model = tf.LlamaForCausalLM(tf.LlamaConfig(**SIZES, initializer_range=0.3)).eval()
    tensors = {}
    for key, p in model.state_dict().items():
        if p.dim() == 2 and "proj" in key:
            some, value = pack(p, key, gen)
            tensors.update(some)
            p.copy_(value.to(getattr(torch, dtype)).float() if dtype else value)
        else:
            tensors[key] = p.clone()
    os.makedirs(path)
    save_file(tensors, os.path.join(path, "model.safetensors"), {"format": "pt"})
    config = model.config.to_dict() | {"quantization_config": how, "dtype": dtype or "float32"}
    with open(os.path.join(path, "config.json"), "w") as f:
        json.dump(config, f, indent=1, sort_keys=True)
        f.write("\n")
    expected(model, path, gen)


VISION = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=8, patch_size=4)
WRAPPED = {
    "gemma3": (tf.Gemma3ForConditionalGeneration, tf.Gemma3Config(
        text_config=dict(SIZES, num_hidden_layers=2, head_dim=8, sliding_window=4, query_pre_attn_scalar=8),
        vision_config=dict(VISION), mm_tokens_per_image=4, image_token_index=47, boi_token_index=45, eoi_token_index=46)),
    "mistral3": (tf.Mistral3ForConditionalGeneration, tf.Mistral3Config(
        text_config=dict(SIZES, model_type="mistral", head_dim=8), vision_config=dict(VISION, model_type="pixtral"),
        image_token_index=47)),
    "llava": (tf.LlavaForConditionalGeneration, tf.LlavaConfig(
        text_config=dict(SIZES, model_type="llama"), vision_config=dict(VISION, model_type="clip_vision_model"),
        image_token_index=47)),
    "qwen3_5": (tf.Qwen3_5ForConditionalGeneration, tf.Qwen3_5Config(
        text_config=dict(SIZES, num_hidden_layers=2, head_dim=8, linear_num_key_heads=1, linear_num_value_heads=2,
                         linear_key_head_dim=8, linear_value_head_dim=8, full_attention_interval=2,
                         layer_types=["linear_attention", "full_attention"]),
        vision_config=dict(depth=1, hidden_size=8, intermediate_size=8, num_heads=2, out_hidden_size=32, patch_size=4),
        image_token_id=47, video_token_id=46, vision_start_token_id=45, vision_end_token_id=44)),
}


@torch.no_grad()
def wrap(name, cls, config):
    path = os.path.join(HERE, name)
    shutil.rmtree(path, ignore_errors=True)
    gen = torch.Generator().manual_seed(5)
    torch.manual_seed(5)
    model = cls(config).eval().float()
    for n, p in model.named_parameters():
        p.copy_(torch.randn(p.shape, generator=gen) * (0.3 if p.dim() > 1 else 0.1) + (1 if "norm" in n and p.dim() == 1 else 0))
    model.save_pretrained(path)
    if name == "llava":  # as it was published
        file = os.path.join(path, "model.safetensors")
        names = {k: k.replace("model.language_model.", "language_model.model.").replace("lm_head.", "language_model.lm_head.", 1)
                 .replace("model.vision_tower.", "vision_tower.") if "language_model.lm_head" not in k else k
                 for k in load_file(file)}
        names = {k: v.replace("language_model.language_model", "language_model") for k, v in names.items()}
        save_file({names[k]: v for k, v in load_file(file).items()}, file, {"format": "pt"})
    expected(model, path, gen)


if __name__ == "__main__":
    for name, case in CASES.items():
        make(name, *case)
    for name, case in WRAPPED.items():
        wrap(name, *case)
