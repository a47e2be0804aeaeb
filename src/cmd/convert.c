/* SPDX-License-Identifier: Apache-2.0 */
/* `socle convert`: a model from one format to another. */
#include "cmd/cmd.h"
#include "socle/convert.h"
#include "socle/hub.h"

static int convert(sc_cmd *c)
{
    sc_context *ctx = sc_cmd_context(c);
    sc_convert_report r;
    char *in = NULL;
    if (!ctx) return sc_cmd_fail(c);
    sc_convert_options o = {.type = sc_cmd_str(c, "type"),
                            .name = sc_cmd_str(c, "name"),
                            .no_tokenizer = sc_cmd_flag(c, "no-tokenizer"),
                            .pure = true};
    sc_adapter_list adapters;
    int wrong = sc_cmd_adapters(c, &adapters);
    if (wrong) return wrong;
    if (sc_cmd_flag(c, "merge") != (adapters.n > 0))
        return sc_cmd_usage(c, adapters.n ? "--adapter needs --merge" : "--merge needs --adapter");
    o.adapters = adapters.dir;
    o.adapter_weights = adapters.weight;
    o.n_adapters = adapters.n;
    sc_status s = sc_hub_resolve(&in, sc_cmd_arg(c, 0));
    if (!s) s = sc_convert(ctx, in, sc_cmd_arg(c, 1), &o, &r);
    sc_cmd_clear_progress(c);
    if (!s)
        sc_cmd_note(c, "%s: %lld tensors, %lld parameters, %.1f MB%s", sc_cmd_arg(c, 1), (long long)r.tensors,
                    (long long)r.parameters, (double)r.bytes_after / 1e6, r.tokenizer ? "" : ", no tokenizer");
    sc_free(in);
    return s ? sc_cmd_fail(c) : 0;
}

static const sc_option options[] = {
    {"type", 'T', SC_OPT_STR, "TYPE",
     .help = "what matrices become: f32, f16, bf16, and for GGUF also q8_0, q4_0 and others; not given: as stored"},
    {"name", 0, SC_OPT_STR, "TEXT", .help = "general.name of a GGUF file"},
    {"no-tokenizer", 0, SC_OPT_FLAG, .help = "leave the tokenizer out"},
    SC_OPT_ADAPTER,
    {"merge", 0, SC_OPT_FLAG, .help = "write the weights that the model has with the adapters"},
    SC_OPT_CONTEXT,
    {0}};
static const sc_example examples[] = {
    {"socle convert ./model model.gguf --type f16", "A HuggingFace directory as one file for llama.cpp"},
    {"socle convert SmolLM2 ./model", "A GGUF file as a directory that transformers loads"},
    {"socle convert ./model ./merged --merge --adapter ./lora=0.5", "A model with half of a LoRA adapter in it"},
    {0}};
const sc_verb sc_verb_convert = {
    .name = "convert",
    .summary = "Convert a model between HuggingFace directories and GGUF",
    .args = "MODEL OUT",
    .min_args = 2,
    .max_args = 2,
    .about =
        "MODEL is a directory with config.json and safetensors, a .gguf file, or a model's name. OUT becomes a "
        "GGUF "
        "file where it ends in .gguf, with the tokenizer and the chat template; else a directory with config.json, "
        "model.safetensors and the tokenizer's files.\n\n"
        "Every matrix gets the one type; socle quantize makes mixtures and keeps some better. Norms and biases are "
        "f32 "
        "in GGUF. In directories all tensors get the type; what was quantised becomes f16 where none is given.",
    .options = options,
    .examples = examples,
    .run = convert};
