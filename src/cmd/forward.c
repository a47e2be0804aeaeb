/* SPDX-License-Identifier: Apache-2.0 */
/* `socle forward`: a model as a function from a file of named tensors to another. */
#include "cmd/cmd.h"
#include "socle/hub.h"
#include "socle/model.h"
#include "socle/safetensors.h"
#include "socle/train.h"

#include <stdlib.h>
#include <string.h>

/* The tensors of IN that can be inputs; a leading "in." is dropped. */
static sc_status gather(const sc_safetensors *st, sc_named_tensor **out, int64_t *count)
{
    int64_t n = sc_safetensors_count(st);
    *out = calloc((size_t)n + 1, sizeof **out);
    *count = 0;
    if (!*out) return SC_ENOMEM;
    for (int64_t i = 0; i < n; i++) {
        const sc_file_tensor *t = sc_safetensors_get(st, i);
        if (t->dtype == SC_DTYPE_COUNT) continue;
        sc_named_tensor *x = &(*out)[(*count)++];
        *x = (sc_named_tensor){.name = strncmp(t->name, "in.", 3) == 0 ? t->name + 3 : t->name,
                               .dtype = t->dtype,
                               .rank = t->rank,
                               .data = (void *)(uintptr_t)t->data};
        memcpy(x->dim, t->dim, sizeof x->dim);
    }
    return SC_OK;
}

static sc_status write_outputs(const sc_outputs *o, const char *path)
{
    sc_safetensors_writer *w;
    sc_status s = sc_safetensors_writer_new(&w, path);
    if (s) return s;
    for (int64_t i = 0; !s && i < sc_outputs_count(o); i++) {
        const sc_named_tensor *t = sc_outputs_at(o, i);
        s = sc_safetensors_writer_add(w, t->name, t->dtype, t->rank, t->dim, t->data);
    }
    if (!s) s = sc_safetensors_writer_finish(w);
    sc_safetensors_writer_free(w);
    return s;
}

static int forward(sc_cmd *c)
{
    sc_context *ctx = sc_cmd_context(c);
    sc_model *m = NULL;
    sc_safetensors *in = NULL;
    sc_named_tensor *inputs = NULL;
    sc_outputs *out = NULL;
    char *path = NULL;
    sc_adapter_list adapters;
    int64_t n;
    if (!ctx) return sc_cmd_fail(c);
    int wrong = sc_cmd_adapters(c, &adapters);
    if (wrong) return wrong;
    sc_model_options o = {.adapters = adapters.dir, .adapter_weights = adapters.weight, .n_adapters = adapters.n};
    sc_status s = sc_hub_resolve(&path, sc_cmd_arg(c, 0));
    if (!s) s = sc_safetensors_open(&in, sc_cmd_arg(c, 1));
    if (!s) s = sc_model_open(&m, ctx, path, &o);
    if (!s) s = gather(in, &inputs, &n);
    if (!s)
        s = sc_cmd_flag(c, "grad") ? sc_model_gradients(&out, m, inputs, n, sc_cmd_flag(c, "all"))
                                   : sc_model_forward(&out, m, inputs, n, sc_cmd_flag(c, "all"));
    if (!s) s = write_outputs(out, sc_cmd_arg(c, 2));
    int code = s ? sc_cmd_fail(c) : 0;
    sc_outputs_free(out);
    free(inputs);
    sc_safetensors_free(in);
    sc_model_free(m);
    sc_free(path);
    return code;
}

static const sc_option options[] = {
    {"all", 'a', SC_OPT_FLAG, .help = "intermediate outputs too: hidden_states"},
    {"grad", 'g', SC_OPT_FLAG, .help = "the loss of `labels` and its gradients too"},
    SC_OPT_ADAPTER,
    SC_OPT_CONTEXT,
    {0}};
static const sc_example examples[] = {
    {"socle forward SmolLM2 in.safetensors out.safetensors", "Logits of the input_ids in a file"},
    {"socle forward ./model in.safetensors out.safetensors --all", "And what enters each layer"},
    {"socle forward ./model in.safetensors out.safetensors --grad", "And loss and grad.NAME of each weight"},
    {0}};
const sc_verb sc_verb_forward = {
    .name = "forward",
    .summary = "Run a model on named tensors",
    .args = "MODEL IN.safetensors OUT.safetensors",
    .min_args = 3,
    .max_args = 3,
    .about =
        "IN holds the arguments of HuggingFace's forward by name: input_ids (batch, tokens) and, where rows are "
        "padded, attention_mask. A leading \"in.\" of a name is dropped and tensors that are no input are ignored. "
        "OUT gets logits (batch, tokens, vocabulary), zero at padded places; with --all also hidden_states "
        "(layers + 1, tokens, width) of the first row. Encoder-decoders also take decoder_input_ids and give the "
        "two sides' states. With --grad, IN also has labels, -100 where none counts, and OUT gets loss and "
        "grad.NAME for every weight and adapter.",
    .options = options,
    .examples = examples,
    .run = forward};
