#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Everything that --peft trains, beside PEFT: the adapter that a run leaves loads there with the same logits, and the gradients
of its second step are PEFT's (told from what three steps of SGD did to the tensors). Skipped (77) without torch, transformers
and peft."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings

try:
    import torch
    import transformers as tr
    from peft import PeftModel
    from safetensors.torch import load_file, save_file
except ImportError as e:
    print("skipped:", e)
    sys.exit(77)
warnings.filterwarnings("ignore")
tr.logging.set_verbosity_error()
tr.logging.disable_progress_bar()
socle = os.environ["SOCLE"]
tokenizer = os.path.join(os.environ.get("SOCLE_SOURCE_DIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")),
                         "tests", "data", "chat_model")
failed = passed = 0
RATE, MOMENTUM, LENGTH = 0.05, 0.9, 24


def check(name, ok, detail=""):
    global failed, passed
    passed, failed = passed + bool(ok), failed + (not ok)
    print(("ok   " if ok else "FAIL ") + name, detail)


def base_models(where):
    torch.manual_seed(3)
    vocab = len(tr.AutoTokenizer.from_pretrained(tokenizer))
    shapes = {
        "llama": tr.LlamaForCausalLM(tr.LlamaConfig(
            hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            vocab_size=vocab, tie_word_embeddings=False, initializer_range=0.2)),
        "gpt2": tr.GPT2LMHeadModel(tr.GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=vocab, n_positions=128,
                                                 initializer_range=0.2, bos_token_id=0, eos_token_id=0)),
    }
    for name, model in shapes.items():
        model.save_pretrained(os.path.join(where, name))
        for f in os.listdir(tokenizer):
            if f.startswith("tokenizer"):
                shutil.copy(os.path.join(tokenizer, f), os.path.join(where, name))


def run(base, out, data, *args):
    subprocess.run([socle, "train", "--model", base, "--data", data, "--out", out, "--batch", "2", "--length", str(LENGTH),
                    "--in-order", "--clip", "0", "--weight-decay", "0", "--warmup", "0", "--schedule", "constant",
                    "--save-every", "1", "--keep", "9", "--log-every", "1", "--quiet", "--threads", "2", *args], check=True,
                   timeout=300)


def logits_of(model, adapter, ids, where):
    paths = [os.path.join(where, x) for x in ("in.safetensors", "out.safetensors")]
    save_file({"input_ids": ids}, paths[0])
    subprocess.run([socle, "forward", model, *paths, "--quiet", *(["--adapter", adapter] if adapter else [])], check=True)
    return load_file(paths[1])["logits"]


def off(a, b):
    return ((a - b).abs().max() / b.abs().max().clamp(min=1e-9)).item()


def in_peft(base, adapter, trainable=False):
    model = tr.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    return PeftModel.from_pretrained(model, adapter, is_trainable=trainable).eval()


def gradients(base, adapter, ids):
    """PEFT's gradients by the names of its files."""
    try:
        model = in_peft(base, adapter, True)
    except ValueError:  # PEFT does not go on training virtual tokens, but gradients pass to them all the same
        model = in_peft(base, adapter)
        model.prompt_encoder.requires_grad_(True)
    if "bitfit" in adapter:  # PEFT trains biases only beside something else
        for key, p in model.named_parameters():
            p.requires_grad_(key.endswith(".bias"))
    logits = model(input_ids=ids[:, :-1]).logits
    logits = logits[:, -(ids.shape[1] - 1):]
    torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1)).backward()
    out = {}
    for name, p in model.named_parameters():
        if p.grad is not None:
            name = "prompt_embeddings" if name.startswith("prompt_encoder") else name
            for inner in (".modules_to_save.default", ".default"):
                name = name.replace(inner, "")
            out[name.replace("lora_magnitude_vector.weight", "lora_magnitude_vector")] = p.grad
    return out


def method(where, family, name, args, with_gradients=True):
    base, data = os.path.join(where, family), os.path.join(where, "data.txt")
    folder = lambda x: os.path.join(where, f"{family}-{name}-{x}".replace(" ", "-"))
    args = ["--optimizer", "sgd", "--seed", "5", *args]
    ids = torch.tensor(json.loads(subprocess.run([socle, "tokenize", base], check=True, input=open(data, "rb").read(),
                                                 capture_output=True).stdout))
    try:
        run(base, folder("still"), data, *args, "--steps", "1", "--lr", "1e-12")
        run(base, folder("run"), data, *args, "--steps", "3", "--lr", str(RATE))
    except subprocess.CalledProcessError as e:
        check(f"{family} {name}", False, e)
        return
    model = in_peft(base, folder("run"))
    some = ids[: 2 * LENGTH].reshape(2, LENGTH)
    with torch.no_grad():
        theirs = model(input_ids=some).logits[:, -LENGTH:]
        if not name.startswith(("prompt", "prefix", "bitfit")):
            with model.disable_adapter():
                plain = model(input_ids=some).logits
        else:
            plain = tr.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()(input_ids=some).logits
    mine = logits_of(base, folder("run"), some, where)
    check(f"{family} {name}: logits", off(mine, theirs) < 3e-5 and off(plain, theirs) > 1e-4,
          f"{off(mine, theirs):.1e}, of an effect of {off(plain, theirs):.1e}")
    if not with_gradients:
        return
    w = [load_file(os.path.join(folder(a), f"checkpoint-{b}", "adapter_model.safetensors"))
         for a, b in (("still", 1), ("run", 1), ("run", 2))]
    # The second step's batch, in the data's order.
    second = torch.stack([ids[i * LENGTH: (i + 1) * LENGTH + 1] for i in (2, 3)])
    want, worst, n = gradients(base, os.path.join(folder("run"), "checkpoint-1"), second), 0, 0
    for key in w[0]:
        if key not in want:
            check(f"{family} {name}: {key}", False, f"PEFT has {list(want)[:4]}")
            continue
        first = (w[0][key] - w[1][key]) / RATE
        got = (w[1][key] - w[2][key]) / RATE - MOMENTUM * first
        error = (got - want[key].reshape(got.shape)).abs().max().item()
        # What subtracting f32 weights leaves, and gradients themselves.
        room = 4e-7 * w[1][key].abs().max().item() / RATE + 2e-4 * want[key].abs().max().item()
        worst, n = max(worst, error / room), n + 1
    check(f"{family} {name}: gradients", n and worst <= 1, f"{n} of them, the worst takes {worst:.2f} of what rounding may")


def main():
    with tempfile.TemporaryDirectory() as where:
        base_models(where)
        with open(os.path.join(where, "data.txt"), "w", encoding="utf-8") as f:
            f.writelines(f"line {i}: the {'quick brown fox jumps over the lazy dog'.split()[i % 8]} says {i * i}.\n"
                         for i in range(60))
        for family, keys in (("llama", "q_proj,v_proj"), ("gpt2", "attn.c_attn,mlp.c_proj")):
            method(where, family, "lora", ["--peft", "lora", "--rank", "4"])
            method(where, family, "lora of some", ["--peft", "lora", "--rank", "4", "--targets", keys, "--rslora"])
            method(where, family, "lora by expression", ["--peft", "lora", "--targets", r"re:.*\.1\..*(q_proj|c_attn)"])
            method(where, family, "dora", ["--peft", "lora", "--dora", "--rank", "4"])
            method(where, family, "dropout", ["--peft", "lora", "--dora", "--dropout", "0.2"], with_gradients=False)
            method(where, family, "ia3", ["--peft", "ia3"])
            method(where, family, "prompt", ["--peft", "prompt", "--virtual-tokens", "6"])
            method(where, family, "prompt from a text", ["--peft", "prompt", "--virtual-text", "line 3: the"])
            method(where, family, "prefix", ["--peft", "prefix", "--virtual-tokens", "5"])
            norm = "norm" if family == "llama" else "ln_f"
            method(where, family, "lora and a norm", ["--peft", "lora", "--train-also", norm])
            method(where, family, "layers", ["--peft", "layers", "--targets", f"{'layers' if family == 'llama' else 'h'}.1,{norm}"])
        method(where, "gpt2", "bitfit", ["--peft", "bitfit"])
        method(where, "llama", "lora of tokens", ["--peft", "lora", "--targets", "embed_tokens,q_proj"])
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


main()
