#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes beam.json: what generate(num_beams=...) of transformers finds in a model whose next-token logits are a table
looked up by the last two ids and the length n so far: logits = table[(3 * before_last + last + 5 * n) % V]. (Without n
there would be ties: the same steps in another order.) Needs torch and transformers.   make_beam.py [OUT]"""
import itertools
import json
import random
import sys

import torch
from transformers import GenerationConfig, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput


class TableConfig(PretrainedConfig):
    model_type = "table"


class TableModel(PreTrainedModel, GenerationMixin):
    config_class = TableConfig
    main_input_name = "input_ids"

    def __init__(self, config, table):
        super().__init__(config)
        self.table = torch.nn.Parameter(table)
        self.post_init()

    def _init_weights(self, module):
        pass

    def prepare_inputs_for_generation(self, input_ids, **kwargs):
        return {"input_ids": input_ids}

    def forward(self, input_ids, **kwargs):
        n = 1 + torch.arange(input_ids.shape[1])
        before = torch.cat((input_ids[:, :1] * 0, input_ids[:, :-1]), 1)
        return CausalLMOutput(logits=self.table[(3 * before + input_ids + 5 * n) % self.table.shape[0]])


def short(x):
    return float("%.9g" % x)


def main(out):
    rng = random.Random(11)
    tables, cases = [], []
    for v, spread in ((9, 1.0), (17, 2.0), (24, 0.6)):
        table = torch.tensor([[round(rng.gauss(0, spread), 4) for _ in range(v)] for _ in range(v)])
        tables.append([[short(x) for x in row] for row in table.tolist()])
        model = TableModel(TableConfig(vocab_size=v), table).eval()
        grid = list(itertools.product((2, 3, 5), (-0.7, 0.0, 1.0, 2.0), (False, True, "never"),
                                      ([], [2], [1, 4], [0, 3, 5]), (1, 2, 6, 15)))
        for beams, penalty, early, eos, length in rng.sample(grid, 70):
            prompt = [rng.randrange(v), rng.randrange(v)]
            config = GenerationConfig(
                num_beams=beams, num_return_sequences=rng.randint(1, beams), length_penalty=penalty, early_stopping=early,
                max_new_tokens=length, eos_token_id=eos or None, pad_token_id=v - 1, do_sample=False, use_cache=False,
                return_dict_in_generate=True, output_scores=True)
            r = model.generate(torch.tensor([prompt]), generation_config=config)
            found = []
            for seq, beam_indices, score in zip(r.sequences.tolist(), r.beam_indices.tolist(), r.sequences_scores.tolist()):
                n = sum(i >= 0 for i in beam_indices)  # the rest is padding
                found.append(dict(ids=seq[2:2 + n], score=short(score)))
            cases.append(dict(table=len(tables) - 1, prompt=prompt, num_beams=beams, length_penalty=penalty,
                              early_stopping=early, eos=eos, max_new_tokens=length, found=found))
    with open(out, "w") as f:
        f.write('{"tables":[\n' + ",\n".join(json.dumps(t, separators=(",", ":")) for t in tables) + '],\n"cases":[\n')
        f.write(",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "]}\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else __file__.rsplit("/", 1)[0] + "/beam.json")
