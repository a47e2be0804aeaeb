#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `socle convert` writes, read by others: GGUF by the package gguf, with every tensor compared; directories by
transformers, with the logits compared; tokenizer.json by tokenizers, with the ids compared. Skips without the packages."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

try:
    import gguf
    import numpy as np
    import torch
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
except ImportError as e:
    print(f"skipped: {e}")
    sys.exit(77)

ROOT = os.environ.get("SOCLE_SOURCE_DIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
SOCLE = os.environ.get("SOCLE", os.path.join(ROOT, "build", "socle"))
MODELS, TOKENIZERS = os.path.join(ROOT, "tests/data/models"), os.path.join(ROOT, "tests/data/gguf_tokenizers")
checked = 0


def socle(*args):
    subprocess.run([SOCLE, *args, "--quiet"], check=True)


def check(ok, text):
    global checked
    checked += 1
    if not ok:
        sys.exit(f"FAILED: {text}")


def permuted(x, heads):
    """llama.cpp's order of the rows of q and k, as its converter makes it."""
    return x.reshape(heads, 2, x.shape[0] // heads // 2, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)


NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output", "transformer.wte": "token_embd",
         "transformer.wpe": "position_embd", "transformer.ln_f": "output_norm"}
PARTS = {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate",
         "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
         "ln_1": "attn_norm", "ln_2": "ffn_norm", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output", "mlp.c_fc": "ffn_up",
         "mlp.c_proj": "ffn_down"}


def gguf_name(name):
    stem, end = name.rsplit(".", 1)
    if stem in NAMES:
        return f"{NAMES[stem]}.{end}"
    layer, part = stem.replace("model.layers.", "").replace("transformer.h.", "").split(".", 1)
    return f"blk.{layer}.{PARTS[part]}.{end}"


def value(reader, key):
    field = reader.fields.get(key)
    return None if field is None else field.contents()


def check_file(name, path, kind):
    config = json.load(open(os.path.join(MODELS, name, "config.json")))
    weights = load_file(os.path.join(MODELS, name, "model.safetensors"))
    r = gguf.GGUFReader(path)
    have = {t.name: t for t in r.tensors}
    arch = value(r, "general.architecture")
    check(arch == {"mistral": "llama"}.get(config["model_type"], config["model_type"]), f"{name}: architecture {arch}")
    check(value(r, f"{arch}.block_count") == 2, f"{name}: block_count")
    for key, w in weights.items():
        if arch == "llama" and ("q_proj" in key or "k_proj" in key):
            w = permuted(w, config["num_attention_heads" if "q_proj" in key else "num_key_value_heads"])
        if arch == "gpt2" and key.endswith(".weight") and any(p in key for p in (".c_attn.", ".c_proj.", ".c_fc.")):
            w = w.T
        t = have.pop(gguf_name(key))
        matrix = w.ndim > 1 and "wpe" not in key
        check(t.tensor_type.name == (kind if matrix else "F32"), f"{name}: {t.name} is {t.tensor_type.name}")
        x = gguf.dequantize(t.data, t.tensor_type).reshape(w.shape)
        want = w.astype(np.float16).astype(np.float32) if kind == "F16" and matrix else w
        check(np.array_equal(x, want), f"{name}: {t.name} differs")
    check(all(n.startswith("rope_f") for n in have), f"{name}: also {sorted(have)}")


def check_directory(name, path):
    want = load_file(os.path.join(MODELS, name, "expected.safetensors"))
    model, info = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, output_loading_info=True)
    check(not info["missing_keys"] and not info["unexpected_keys"], f"{name}: {info}")
    model.eval()
    for row in range(2):
        n = int(want["attention_mask"][row].sum())
        with torch.no_grad():
            got = model(torch.tensor(want["input_ids"][row:row + 1, :n]).long(), use_cache=False).logits[0].numpy()
        d = np.abs(got - want["logits"][row, :n]).max() / np.abs(want["logits"]).max()
        check(d < 3e-5, f"{name}: logits differ by {d:.1e}")


def check_tokenizer(name, tmp):
    """Beside a model of as many rows, through GGUF and back."""
    source = os.path.join(tmp, "with-" + name)
    os.makedirs(source)
    here = os.path.join(TOKENIZERS, name)
    config = json.load(open(os.path.join(MODELS, "llama", "config.json")))
    config.update(json.load(open(os.path.join(here, "config.json"))))
    json.dump(config, open(os.path.join(source, "config.json"), "w"))
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(os.path.join(here, file), source)
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(source))
    model.save_pretrained(source)
    socle("convert", source, source + ".gguf")
    socle("convert", source + ".gguf", source + "-back")
    a, b = Tokenizer.from_file(os.path.join(here, "tokenizer.json")), Tokenizer.from_file(source + "-back/tokenizer.json")
    ids = json.load(open(os.path.join(here, "ids.json")))
    for x in ids["texts"]:
        check(b.encode(x["text"]).ids == x["ids"], f"{name}: ids of {x['text']!r}")
        check(a.decode(x["ids"]) == b.decode(x["ids"]), f"{name}: decoding {x['text']!r}")
    t = AutoTokenizer.from_pretrained(source + "-back")
    check(t("Hello world").input_ids == a.encode("Hello world").ids, f"{name}: AutoTokenizer")
    check(t.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False) == "<|user|>x<|end|>", f"{name}: chat template")
    r = gguf.GGUFReader(source + ".gguf")
    check(value(r, "tokenizer.ggml.pre") == ids["pre"], f"{name}: pre")
    check(len(value(r, "tokenizer.ggml.tokens")) == config["vocab_size"], f"{name}: tokens")


with tempfile.TemporaryDirectory() as folder:
    for case in sorted(os.listdir(MODELS)):
        for kind in ("F32", "F16"):
            out = os.path.join(folder, f"{case}-{kind}.gguf")
            socle("convert", os.path.join(MODELS, case), out, "--type", kind)
            check_file(case, out, kind)
        socle("convert", os.path.join(folder, f"{case}-F32.gguf"), os.path.join(folder, case))
        check_directory(case, os.path.join(folder, case))
    for case in sorted(os.listdir(TOKENIZERS)):
        check_tokenizer(case, folder)
print(f"{checked} checks")
