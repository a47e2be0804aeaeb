#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tiny random encoder-decoders and what transformers computes with them, into tests/data/pairs: config.json,
model.safetensors, expected.safetensors and beams.json (answers of generate with several settings) each. Needs torch,
transformers, tokenizers and safetensors: python3 tests/data/make_pairs.py [--texts]: what texts come to, and nothing else."""
import json
import os
import shutil
import sys

import numpy as np
import torch
import transformers as tf
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pairs")
VOCAB, SOURCE, TARGET, STEPS, KEPT = 48, (40, 23), (11, 7), 12, 4

T5 = dict(vocab_size=VOCAB, d_model=16, d_kv=6, d_ff=20, num_layers=2, num_decoder_layers=1, num_heads=2,
          relative_attention_num_buckets=8, relative_attention_max_distance=20, dropout_rate=0.0, pad_token_id=0,
          eos_token_id=1, decoder_start_token_id=0)
BART = dict(vocab_size=VOCAB, d_model=16, encoder_layers=1, decoder_layers=2, encoder_attention_heads=2,
            decoder_attention_heads=4, encoder_ffn_dim=20, decoder_ffn_dim=12, max_position_embeddings=48, dropout=0.0,
            attention_dropout=0.0, activation_dropout=0.0, pad_token_id=1, bos_token_id=0, eos_token_id=2,
            decoder_start_token_id=2, forced_eos_token_id=None, init_std=0.3)
CASES = {
    "t5": (tf.T5Config, tf.T5ForConditionalGeneration, T5),
    "t5_gated": (tf.T5Config, tf.T5ForConditionalGeneration,
                 dict(T5, feed_forward_proj="gated-gelu", tie_word_embeddings=False)),
    "bart": (tf.BartConfig, tf.BartForConditionalGeneration, BART),
    "mbart": (tf.MBartConfig, tf.MBartForConditionalGeneration, dict(BART, scale_embedding=True)),
    "marian": (tf.MarianConfig, tf.MarianMTModel,
               dict(BART, scale_embedding=True, activation_function="swish", pad_token_id=VOCAB - 1, eos_token_id=0,
                    decoder_start_token_id=VOCAB - 1)),
}
# Settings as a generation_config.json has them.
SEARCHES = [
    dict(num_beams=3),
    dict(num_beams=4, length_penalty=0.4, early_stopping=True, no_repeat_ngram_size=2),
    dict(num_beams=2, forced_bos_token_id=7, forced_eos_token_id=5, min_length=6, bad_words_ids=[[9], [11], [30]]),
    dict(num_beams=5, early_stopping="never", length_penalty=2.0, repetition_penalty=1.4),
]


def shake(model, gen):
    """Large enough for answers that differ, and no norm or bias at its usual value."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() == 1:
                p.add_(torch.randn(p.shape, generator=gen) * 0.2)
            elif p.requires_grad:  # Marian's sines are none
                p.copy_(torch.randn(p.shape, generator=gen) * (1.0 if "relative" in name else 0.35))
        if hasattr(model, "final_logits_bias"):
            model.final_logits_bias.copy_(torch.randn(model.final_logits_bias.shape, generator=gen) * 0.3)


@torch.no_grad()
def expected(model, gen):
    c = model.config
    mask, ids = torch.zeros(2, SOURCE[0]).int(), torch.full((2, SOURCE[0]), c.pad_token_id)
    dec, lengths = torch.full((2, TARGET[0]), c.pad_token_id), torch.tensor(TARGET)
    logits, last = torch.zeros(2, TARGET[0], VOCAB), torch.zeros(2, SOURCE[0], c.d_model)
    for r in range(2):
        n, m = SOURCE[r], TARGET[r]
        ids[r, :n] = torch.randint(5, VOCAB - 1, (n,), generator=gen)
        mask[r, :n] = 1
        dec[r, 0] = c.decoder_start_token_id
        dec[r, 1:m] = torch.randint(5, VOCAB - 1, (m - 1,), generator=gen)
        out = model(input_ids=ids[r:r + 1, :n], decoder_input_ids=dec[r:r + 1, :m], use_cache=False)
        logits[r, :m], last[r, :n] = out.logits[0], out.encoder_last_hidden_state[0]
    fed, tokens, kept, margin = [c.decoder_start_token_id], [], [], 1e9
    for _ in range(STEPS):
        row = model(input_ids=ids[:1], decoder_input_ids=torch.tensor([fed]), use_cache=False).logits[0, -1]
        top = row.topk(2).values
        margin = min(margin, ((top[0] - top[1]) / row.abs().max()).item())
        kept.append(row)
        tokens.append(int(row.argmax()))
        fed.append(tokens[-1])
    return margin, {
        "input_ids": ids.int(), "attention_mask": mask, "decoder_input_ids": dec.int(), "decoder_lengths": lengths.int(),
        "logits": logits, "encoder_last_hidden_state": last, "greedy_prompt": ids[0].int(),
        "greedy_tokens": torch.tensor(tokens).int(), "greedy_logits_last": torch.stack(kept[-KEPT:])}


def searches(model, source):
    out = []
    for how in SEARCHES:
        ids = model.generate(torch.tensor([source]), max_new_tokens=10, do_sample=False, **how)[0, 1:].tolist()
        while ids and ids[-1] == model.config.pad_token_id:
            ids.pop()
        out.append(dict(config=how, ids=ids))
    return out


def make(name, cls, model_cls, more):
    for seed in range(100):
        gen = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        model = model_cls(cls(**more)).eval().float()
        if name == "t5_gated":  # checkpoints of this kind have a head of their own
            model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.lm_head.weight))
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
    seen, weights = set(), {}
    for k, v in model.state_dict().items():
        if v.data_ptr() in seen or "embed_positions" in k and name == "marian":
            continue
        seen.add(v.data_ptr())
        weights[k] = np.ascontiguousarray(v.numpy())
    save_file(weights, os.path.join(path, "model.safetensors"), {"format": "pt"})
    save_file({k: np.ascontiguousarray(v.numpy()) for k, v in out.items()}, os.path.join(path, "expected.safetensors"))
    found = searches(model, out["greedy_prompt"].tolist())
    with open(os.path.join(path, "beams.json"), "w") as f:
        json.dump(found, f)
        f.write("\n")
    print(f"{name}: seed {seed}, margin {margin:.3f}", [s["ids"] for s in found])


@torch.no_grad()
def texts(name, model_cls):
    """A tokenizer of words, and for a few texts the mean of the encoder's states and how well targets are predicted."""
    path = os.path.join(HERE, name)
    model = model_cls.from_pretrained(path).eval()
    c = model.config
    words = [f"w{i}" for i in range(VOCAB)]
    t = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="w3"))
    t.pre_tokenizer = pre_tokenizers.Whitespace()
    t.post_processor = processors.TemplateProcessing(f"$A w{c.eos_token_id}",
                                                     special_tokens=[(f"w{c.eos_token_id}", c.eos_token_id)])
    t.save(os.path.join(path, "tokenizer.json"))
    rng = np.random.default_rng(1)
    sources, targets = ([" ".join(f"w{i}" for i in rng.integers(5, VOCAB - 1, n)) for n in ns]
                        for ns in ((7, 1, 30), (4, 9, 2)))
    nll, count, mean = 0.0, 0, []
    for source, target in zip(sources, targets):
        x, y = torch.tensor([t.encode(source).ids]), torch.tensor([t.encode(target).ids])
        decoder = torch.cat([torch.tensor([[c.decoder_start_token_id]]), y[:, :-1]], 1)
        o = model(input_ids=x, decoder_input_ids=decoder)
        nll -= o.logits[0].double().log_softmax(-1).gather(1, y[0][:, None]).sum().item()
        count += y.shape[1]
        mean.append(torch.nn.functional.normalize(o.encoder_last_hidden_state[0].mean(0), dim=0).tolist())
    with open(os.path.join(path, "texts.json"), "w") as f:
        json.dump({"sources": sources, "targets": targets, "nll": nll, "scored": count, "mean": mean}, f)
        f.write("\n")


if __name__ == "__main__":
    for name, case in CASES.items():
        if "--texts" not in sys.argv:
            make(name, *case)
        if name in ("t5", "bart"):
            texts(name, case[1])
