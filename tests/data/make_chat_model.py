#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A tiny random chat model with tokenizer and template, and what transformers makes of it.

usage: make_chat_model.py OUT_DIR      (needs torch, transformers, tokenizers)
expected.json: for each prompt the ids (raw, and through the chat template) and the greedy continuation.
"""
import json, os, sys
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, decoders, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

out = sys.argv[1]
os.makedirs(out, exist_ok=True)
torch.manual_seed(7)
tok = Tokenizer(models.BPE())
tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tok.decoder = decoders.ByteLevel()
specials = ["<|end|>", "<|user|>", "<|assistant|>", "<|system|>"]
tok.train_from_iterator(
    ["the sky is blue and the sea is blue because of light", "하늘은 왜 파란가요? 바다는 왜 파란가요?", "one two three four"] * 4,
    trainers.BpeTrainer(vocab_size=320, special_tokens=specials, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
fast = PreTrainedTokenizerFast(tokenizer_object=tok, eos_token="<|end|>", bos_token="<|end|>", pad_token="<|end|>")
fast.chat_template = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] | trim + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}")
fast.save_pretrained(out)
vocab = len(fast)
cfg = LlamaConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                  vocab_size=vocab, max_position_embeddings=512, initializer_range=0.3, tie_word_embeddings=True,
                  bos_token_id=0, eos_token_id=0, pad_token_id=0)
model = LlamaForCausalLM(cfg).eval().float()
model.save_pretrained(out)
json.dump({"eos_token_id": 0, "do_sample": True, "temperature": 0.7, "top_p": 0.95, "top_k": 20},
          open(os.path.join(out, "generation_config.json"), "w"), indent=1)

cases = []
for prompt in ["the sky is", "하늘은 왜", "one", "a <|end|> b", "😀 é\n\tx"]:
    for how in ("raw", "chat"):
        if how == "raw":
            ids = fast(prompt)["input_ids"]
        else:
            ids = fast.apply_chat_template([{"role": "user", "content": prompt}], add_generation_prompt=True)
            ids = ids if isinstance(ids, list) else ids["input_ids"]
        # What a user spells like a special token stays text in a chat: the reference is asked without its parsing.
        if how == "chat" and "<|end|>" in prompt:
            plain = lambda t: fast(t, split_special_tokens=True)["input_ids"]
            ids = [fast.convert_tokens_to_ids("<|user|>")] + plain("a ") + plain("<|end|>") + plain(" b") + [0, fast.convert_tokens_to_ids("<|assistant|>")]
        case = {"prompt": prompt, "how": how, "prompt_ids": ids}
        for name, kw in (("greedy", {}), ("beam", {"num_beams": 3})):
            with torch.no_grad():
                g = model.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=24, use_cache=True, temperature=None,
                                   top_p=None, top_k=None, **kw)[0][len(ids):].tolist()
            if 0 in g: g = g[:g.index(0)]
            case[name + "_ids"] = g
            case[name + "_text"] = fast.decode(g, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        cases.append(case)
json.dump(cases, open(os.path.join(out, "expected.json"), "w"), ensure_ascii=False, indent=1)
for f in ("special_tokens_map.json",):
    if os.path.exists(os.path.join(out, f)): os.remove(os.path.join(out, f))
print(vocab, sum(os.path.getsize(os.path.join(out, f)) for f in os.listdir(out)))
