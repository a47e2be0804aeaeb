#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tiny random encoders and what transformers computes with them, into tests/data/encoders: config.json, model.safetensors and
expected.safetensors each, and for those with a tokenizer answers.json: what embed, fill and classify must say. Needs torch,
transformers, tokenizers and safetensors: python3 tests/data/make_encoders.py [NAME...]"""
import json
import os
import shutil
import sys
import types

import torch
import transformers as tf
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "encoders")
WORDS = ("[PAD] [UNK] [CLS] [SEP] [MASK] a the cat dog sleeps runs in on house garden paris is capital of france ada lives "
         "london who where ? . : ask ##s ##ing").split()
VOCAB, SHORT, LONG = len(WORDS), (20, 9, 1), (70, 33, 1)
BASE = dict(vocab_size=VOCAB, hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=20,
            max_position_embeddings=80, pad_token_id=0, bos_token_id=2, eos_token_id=3)
DEBERTA = dict(BASE, type_vocab_size=0, relative_attention=True, position_biased_input=False, norm_rel_ebd="layer_norm")
DISTIL = dict(vocab_size=VOCAB, dim=12, n_heads=3, n_layers=2, hidden_dim=20, max_position_embeddings=80, pad_token_id=0)
MODERN = dict(BASE, cls_token_id=2, sep_token_id=3)
NAMES = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC"}

class JinaBert(tf.PreTrainedModel):
    """Jina BERT v2, whose own code does not come with transformers, after its paper and the names in its checkpoints."""
    config_class = tf.BertConfig
    base_model_prefix = "bert"

    def __init__(self, config):
        super().__init__(config)
        c, n = config.hidden_size, torch.nn
        self.embeddings = n.ModuleDict({"word_embeddings": n.Embedding(config.vocab_size, c),
                                        "token_type_embeddings": n.Embedding(config.type_vocab_size, c),
                                        "LayerNorm": n.LayerNorm(c, eps=config.layer_norm_eps)})
        def layer():
            part = {"query": n.Linear(c, c), "key": n.Linear(c, c), "value": n.Linear(c, c)}
            out = {"dense": n.Linear(c, c), "LayerNorm": n.LayerNorm(c, eps=config.layer_norm_eps)}
            mlp = {"gated_layers": n.Linear(c, 2 * config.intermediate_size, bias=False),
                   "wo": n.Linear(config.intermediate_size, c), "layernorm": n.LayerNorm(c, eps=config.layer_norm_eps)}
            attention = n.ModuleDict({"self": n.ModuleDict(part), "output": n.ModuleDict(out)})
            return n.ModuleDict({"attention": attention, "mlp": n.ModuleDict(mlp)})
        self.encoder = n.ModuleDict({"layer": n.ModuleList([layer() for _ in range(config.num_hidden_layers)])})
        self.post_init()

    def slopes(self, heads):
        power = 1
        while power * 2 <= heads:
            power *= 2
        s = [2 ** (-8 * (i + 1) / power) for i in range(power)]
        return torch.tensor(s + [2 ** (-4 * (2 * i + 1) / power) for i in range(heads - power)])

    def forward(self, ids, attention_mask=None, token_type_ids=None, output_hidden_states=True):
        f, e, b, t = torch.nn.functional, self.embeddings, *ids.shape
        heads = self.config.num_attention_heads
        x = e["word_embeddings"](ids) + e["token_type_embeddings"](token_type_ids)
        x = e["LayerNorm"](x)
        at = torch.arange(t)
        bias = -(at[:, None] - at).abs() * self.slopes(heads)[:, None, None]
        bias = bias[None] + (1 - attention_mask.float())[:, None, None] * -1e9
        states = [x]
        for layer in self.encoder["layer"]:
            part, out, mlp = layer["attention"]["self"], layer["attention"]["output"], layer["mlp"]
            q, k, v = (part[p](x).view(b, t, heads, -1).transpose(1, 2) for p in ("query", "key", "value"))
            p = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5 + bias).softmax(-1)
            x = out["LayerNorm"](out["dense"]((p @ v).transpose(1, 2).reshape(b, t, -1)) + x)
            gate, up = mlp["gated_layers"](x).chunk(2, -1)
            x = mlp["layernorm"](mlp["wo"](f.gelu(gate) * up) + x)
            states.append(x)
        return types.SimpleNamespace(last_hidden_state=x, hidden_states=states)


CASES = {
    "bert_embed": (tf.BertModel, tf.BertConfig(**BASE)),
    "bert_fill": (tf.BertForMaskedLM, tf.BertConfig(**BASE)),
    "bert_fill_untied": (tf.BertForMaskedLM, tf.BertConfig(**dict(BASE, hidden_act="gelu_new"), tie_word_embeddings=False)),
    "bert_classes": (tf.BertForSequenceClassification, tf.BertConfig(**BASE, num_labels=3)),
    "bert_multi": (tf.BertForSequenceClassification,
                   tf.BertConfig(**BASE, num_labels=2, problem_type="multi_label_classification")),
    "bert_tags": (tf.BertForTokenClassification,
                  tf.BertConfig(**BASE, id2label=NAMES, label2id={v: k for k, v in NAMES.items()})),
    "bert_span": (tf.BertForQuestionAnswering, tf.BertConfig(**BASE)),
    "roberta": (tf.RobertaForMaskedLM, tf.RobertaConfig(**dict(BASE, pad_token_id=1), type_vocab_size=1)),
    "xlm_roberta_classes": (tf.XLMRobertaForSequenceClassification,
                            tf.XLMRobertaConfig(**dict(BASE, pad_token_id=1), type_vocab_size=1, num_labels=3)),
    "electra": (tf.ElectraForPreTraining, tf.ElectraConfig(**BASE, embedding_size=8)),
    "electra_fill": (tf.ElectraForMaskedLM, tf.ElectraConfig(**BASE, embedding_size=8)),
    "distilbert": (tf.DistilBertForMaskedLM, tf.DistilBertConfig(**DISTIL)),
    "distilbert_classes": (tf.DistilBertForSequenceClassification, tf.DistilBertConfig(**DISTIL)),
    "modernbert": (tf.ModernBertForMaskedLM, tf.ModernBertConfig(**dict(MODERN, num_hidden_layers=4), local_attention=6)),
    "modernbert_classes": (tf.ModernBertForSequenceClassification,
                           tf.ModernBertConfig(**MODERN, local_attention=20, classifier_pooling="mean", norm_bias=True,
                                               attention_bias=True, mlp_bias=True, classifier_bias=True)),
    "deberta": (tf.DebertaV2ForMaskedLM, tf.DebertaV2Config(**DEBERTA, position_buckets=8, share_att_key=True,
                                                            pos_att_type=["p2c", "c2p"])),
    "deberta_own_head": (tf.DebertaV2ForMaskedLM, tf.DebertaV2Config(**DEBERTA, share_att_key=False, pos_att_type="c2p|p2c",
                                                                     legacy=False)),
    "deberta_conv": (tf.DebertaV2ForSequenceClassification,
                     tf.DebertaV2Config(**DEBERTA, position_buckets=30, max_relative_positions=20, share_att_key=False,
                                        pos_att_type=["p2c"], conv_kernel_size=3, conv_act="gelu")),
    "big_bird_full": (tf.BigBirdForMaskedLM, tf.BigBirdConfig(**BASE, attention_type="original_full", use_bias=False,
                                                              rescale_embeddings=True)),
    "big_bird": (tf.BigBirdForPreTraining, tf.BigBirdConfig(**BASE, block_size=4, num_random_blocks=1)),
    "big_bird_classes": (tf.BigBirdForSequenceClassification,
                         tf.BigBirdConfig(**BASE, block_size=3, num_random_blocks=2, num_labels=3)),
    "longformer": (tf.LongformerModel, tf.LongformerConfig(**dict(BASE, pad_token_id=1), attention_window=[6, 18])),
    "longformer_global": (tf.LongformerModel, tf.LongformerConfig(**dict(BASE, pad_token_id=1), attention_window=[8, 4],
                                                                  global_tokens=3)),
    "longformer_classes": (tf.LongformerForSequenceClassification,
                           tf.LongformerConfig(**dict(BASE, pad_token_id=1), attention_window=6, num_labels=3)),
    "longformer_fill": (tf.LongformerForMaskedLM,
                        tf.LongformerConfig(**dict(BASE, pad_token_id=1), attention_window=[10, 10])),
    "nomic_bert": (tf.NomicBertModel, tf.NomicBertConfig(**BASE)),
    "nomic_bert_fill": (tf.NomicBertForMaskedLM, tf.NomicBertConfig(**BASE)),
    "nomic_bert_classes": (tf.NomicBertForSequenceClassification, tf.NomicBertConfig(**BASE, num_labels=3)),
    "jina_bert": (JinaBert, tf.BertConfig(**BASE, position_embedding_type="alibi",
                                          feed_forward_type="geglu", architectures=["JinaBertModel"])),
    "t5_encoder": (tf.T5EncoderModel, tf.T5Config(vocab_size=VOCAB, d_model=12, d_kv=5, d_ff=20, num_layers=2, num_heads=3,
                                                  relative_attention_num_buckets=8,
                                                  feed_forward_proj="gated-gelu")),
}
SPARSE = ("big_bird", "longformer")


def tokenizer():
    t = Tokenizer(models.WordPiece({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer()
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    t.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", [("[CLS]", 2), ("[SEP]", 3)])
    return t


def shake(model, gen):
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(torch.randn(p.shape, generator=gen) * (0.3 if p.dim() > 1 else 0.1))
            if "norm" in name.lower() and name.endswith("weight"):
                p.add_(1)


def alone(model, ids, lengths, **more):
    """Each row by itself, and the results padded to the longest."""
    rows, out = [], types.SimpleNamespace()
    base = getattr(model, "bert", model)
    for i, n in enumerate(lengths):
        base.attention_type = "x"  # a short text has switched the blocks off for good
        base.set_attention_type(model.config.attention_type)
        row = {k: v[i:i + 1, :n] if torch.is_tensor(v) else v for k, v in more.items()}
        rows.append(model(ids[i:i + 1, :n], attention_mask=torch.ones(1, n), **row))
    for key in ("logits", "prediction_logits", "last_hidden_state", "pooler_output", "seq_relationship_logits"):
        v = [getattr(r, key, None) for r in rows]
        if v[0] is not None and v[0].dim() == 3:
            v = [torch.nn.functional.pad(x, (0, 0, 0, max(lengths) - x.shape[1])) for x in v]
        if v[0] is not None:
            setattr(out, "logits" if key == "prediction_logits" else key, torch.cat(v))
    out.hidden_states = rows[0].hidden_states
    return out


@torch.no_grad()
def expected(model, config, gen):
    lengths = LONG if config.model_type in ("deberta-v2", "modernbert", "nomic_bert", "t5", *SPARSE) or model.__class__ == JinaBert else SHORT
    rows, longest = len(lengths), max(lengths)
    ids = torch.randint(5, VOCAB, (rows, longest), generator=gen)
    mask = torch.zeros(rows, longest, dtype=torch.long)
    for i, n in enumerate(lengths):
        mask[i, :n] = 1
        ids[i, n:] = config.pad_token_id
    more = {}
    if getattr(config, "type_vocab_size", 0) == 2 and config.model_type != "t5":
        more["token_type_ids"] = torch.randint(0, 2, (rows, longest), generator=gen)
    def call(model, **more):
        if config.model_type == "longformer" and getattr(config, "global_tokens", 0):
            first = torch.arange(longest)[None] < config.global_tokens
            more["global_attention_mask"] = (first & (mask > 0)).long()
        if config.model_type != "big_bird":
            return model(ids, attention_mask=mask, **more)
        return alone(model, ids, lengths, **more)  # its blocks at the end are those of the longest row

    o = call(model, output_hidden_states=True, **more)
    out = {"input_ids": ids.int(), "attention_mask": mask.int(), **{k: v.int() for k, v in more.items()}}
    for key in ("logits", "last_hidden_state", "pooler_output", "start_logits", "end_logits"):
        v = getattr(o, key, None)
        if v is None:
            continue
        if v.shape[:2] == (rows, longest):
            v = v * (mask[..., None] if v.dim() == 3 else mask)
        out[key] = v.clone().contiguous()
    out["hidden_states"] = torch.stack([h[0, :longest] for h in o.hidden_states]).contiguous()
    if "last_hidden_state" not in out:
        if config.model_type == "longformer" and model.__class__.__name__.endswith("SequenceClassification"):
            more["global_attention_mask"] = (torch.arange(longest)[None] < 1).long().expand(rows, -1)
        base = call(getattr(model, model.base_model_prefix), **more).last_hidden_state
        out["last_hidden_state"] = (base * mask[..., None]).contiguous()
    return out


def run(model, t, text, pair=None):
    x = t.encode(text, pair) if pair else t.encode(text)
    o = model(torch.tensor([x.ids]), token_type_ids=torch.tensor([x.type_ids]))
    return x, o


@torch.no_grad()
def answers(name, model, t, path, gen):
    if name == "bert_embed":
        texts = ["the cat sleeps in the house", "a dog runs", "paris is the capital of france .", "who ?"]
        dense = {"linear.weight": torch.randn(7, 12, generator=gen), "linear.bias": torch.randn(7, generator=gen) * 0.1}
        for sub in ("1_Pooling", "2_Dense"):
            os.makedirs(os.path.join(path, sub), exist_ok=True)
        save_file(dense, os.path.join(path, "2_Dense", "model.safetensors"))
        kind = "sentence_transformers.models."
        dump(path, "modules.json", [{"idx": i, "name": str(i), "path": p, "type": kind + c} for i, (p, c) in enumerate(
            [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Dense", "Dense"), ("3_Normalize", "Normalize")])])
        dump(path, "1_Pooling/config.json", {"word_embedding_dimension": 12, "pooling_mode_cls_token": False,
                                             "pooling_mode_mean_tokens": True, "include_prompt": False})
        dump(path, "2_Dense/config.json", {"in_features": 12, "out_features": 7, "bias": True,
                                           "activation_function": "torch.nn.modules.activation.Tanh"})
        dump(path, "config_sentence_transformers.json", {"prompts": {"query": "ask : "}, "default_prompt_name": None})
        dump(path, "sentence_bert_config.json", {"max_seq_length": 6, "do_lower_case": False})

        def states(text, most):
            x = t.encode(text)
            ids = x.ids if len(x.ids) <= most else x.ids[:most - 1] + [3]
            return model(torch.tensor([ids])).last_hidden_state[0]

        def tail(v):
            return torch.nn.functional.normalize(torch.tanh(dense["linear.weight"] @ v + dense["linear.bias"]), dim=0)
        out = {"texts": texts, "dense": [], "query": [], "plain": {k: [] for k in ("cls", "last", "max", "mean_sqrt_len",
                                                                                   "weightedmean", "mean")}}
        for text in texts:
            h = states(text, 6)
            out["dense"].append(tail(h.mean(0)).tolist())
            p = states("ask : " + text, 6)
            out["query"].append(tail(p[3:].mean(0)).tolist())  # [CLS] ask : are the prompt's
            w = torch.arange(1, len(h) + 1).float()[:, None]
            for key, v in {"cls": h[0], "last": h[-1], "max": h.max(0).values, "mean": h.mean(0),
                           "mean_sqrt_len": h.sum(0) / len(h) ** 0.5, "weightedmean": (h * w).sum(0) / w.sum()}.items():
                out["plain"][key].append(tail(v).tolist())
        return out
    if name == "bert_fill":
        text = "paris is the [MASK] of [MASK] ."
        x, o = run(model, t, text)
        p = o.logits[0].softmax(-1)
        return {"text": text, "gaps": [[[int(i), float(p[k, i])] for i in p[k].topk(3).indices]
                                       for k, v in enumerate(x.ids) if v == 4]}
    if name in ("bert_classes", "bert_multi"):
        out = {"text": "the cat sleeps", "pair": "a dog runs in the garden"}
        for key, pair in (("one", None), ("two", out["pair"])):
            logits = run(model, t, out["text"], pair)[1].logits[0]
            out[key] = (logits.sigmoid() if name == "bert_multi" else logits.softmax(-1)).tolist()
        return out
    if name == "bert_tags":
        text = "ada lives in london , the capitals of france ."
        x, o = run(model, t, text)
        p = o.logits[0].softmax(-1)
        return {"text": text, "tags": [[x.offsets[i][0], x.offsets[i][1], int(p[i].argmax()), float(p[i].max())]
                                       for i in range(1, len(x.ids) - 1)]}
    if name == "bert_span":
        question, text = "where is ada ?", "ada lives in london . the cat sleeps in the house ."
        x, o = run(model, t, question, text)
        first = [i for i, v in enumerate(x.type_ids) if v == 1][:-1]
        s, e = o.start_logits[0].log_softmax(-1), o.end_logits[0].log_softmax(-1)
        i, j = max(((i, j) for i in first for j in first if i <= j < i + 30), key=lambda ij: float(s[ij[0]] + e[ij[1]]))
        return {"question": question, "text": text, "begin": x.offsets[i][0], "end": x.offsets[j][1],
                "probability": float((s[i] + e[j]).exp())}
    return None


def dump(path, name, value):
    with open(os.path.join(path, name), "w") as f:
        json.dump(value, f, indent=1)
        f.write("\n")


def old_keys(path):
    """The same model with the keys that Nomic's own configurations have."""
    old = path + "_old"
    shutil.rmtree(old, ignore_errors=True)
    os.makedirs(old)
    for f in ("model.safetensors", "expected.safetensors"):
        shutil.copy(os.path.join(path, f), old)
    dump(old, "config.json", {"model_type": "nomic_bert", "architectures": ["NomicBertModel"], "n_layer": 2, "n_embd": 12,
                              "n_head": 3, "n_inner": 20, "n_positions": 80, "vocab_size": VOCAB, "type_vocab_size": 2,
                              "layer_norm_epsilon": 1e-12, "activation_function": "swiglu", "rotary_emb_base": 1000,
                              "rotary_emb_fraction": 1.0, "rotary_emb_interleaved": False, "qkv_proj_bias": False,
                              "mlp_fc1_bias": False, "mlp_fc2_bias": False, "prenorm": False, "causal": False})


def main():
    torch.set_num_threads(1)
    for number, (name, (cls, config)) in enumerate(CASES.items()):
        if len(sys.argv) > 1 and name not in sys.argv[1:]:
            continue
        config._attn_implementation = "eager"
        gen = torch.Generator().manual_seed(number)
        model = cls(config).eval()
        shake(model, gen)
        path = os.path.join(HERE, name)
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
        model.save_pretrained(path)
        if cls == JinaBert:
            config.architectures = ["JinaBertModel"]
            config.save_pretrained(path)
        save_file(expected(model, config, gen), os.path.join(path, "expected.safetensors"))
        if name == "nomic_bert":
            old_keys(path)
        if name.startswith("bert_") and name != "bert_fill_untied":
            t = tokenizer()
            t.save(os.path.join(path, "tokenizer.json"))
            dump(path, "answers.json", answers(name, model, t, path, gen))


if __name__ == "__main__":
    main()
