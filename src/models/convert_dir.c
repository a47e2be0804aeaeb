/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a HuggingFace directory: weights first, so that a directory with a config.json is whole. */
#include "models/models.h"

#include <unistd.h>

enum { MAX_COPIED = 256 << 20 };

static sc_status to_writer(void *user, const void *data, int64_t bytes)
{
    return sc_safetensors_writer_write(user, data, bytes);
}

static sc_status as_stored(void *user, const sc_items *items, int64_t i, sc_sink *sink, void *sink_user)
{
    return sc_item_convert(user, &items->item[i], sink, sink_user);
}

static sc_status write_weights(sc_context *ctx, const char *path, const sc_items *items, sc_item_values *values,
                               void *user)
{
    sc_safetensors_writer *w;
    int64_t turn = 0, done = 0;
    sc_status s = sc_safetensors_writer_new(&w, path);
    if (s) return s;
    s = sc_safetensors_writer_meta(w, "format", "pt");
    for (int64_t i = 0; !s && i < items->count; i++) {
        const sc_item *it = &items->item[i];
        s = sc_safetensors_writer_add(w, it->name, it->to, it->rank, it->dim, NULL);
    }
    while (!s && !(s = sc_safetensors_writer_next(w, &turn)) && turn >= 0) {
        sc_progress(ctx, items->item[turn].name, done++, items->count);
        s = values(user, items, turn, to_writer, w);
    }
    if (!s) sc_progress(ctx, "", items->count, items->count);
    if (!s) s = sc_safetensors_writer_finish(w);
    sc_safetensors_writer_free(w);
    return s;
}

static sc_status write_text(const char *dir, const char *name, const char *text)
{
    char *path = sc_path_join(dir, name);
    sc_status s = path ? sc_file_write(path, text, (int64_t)strlen(text)) : sc_nomem();
    sc_free(path);
    return s;
}

static sc_status write_json(const char *dir, const char *name, const json_t *o)
{
    char *text = json_dumps(o, JSON_INDENT(2) | JSON_SORT_KEYS);
    sc_status s = text ? write_text(dir, name, text) : sc_nomem();
    sc_free(text);
    return s;
}

/* ---- the files beside the weights ---- */

static sc_status copy_file(const char *from, const char *to, const char *name, bool *found)
{
    char *a = sc_path_join(from, name), *b = sc_path_join(to, name), *data;
    int64_t n;
    sc_status s = a && b ? SC_OK : sc_nomem();
    if (!s && sc_path_exists(a)) {
        s = sc_file_read(&data, &n, a, MAX_COPIED);
        if (!s) {
            s = sc_file_write(b, data, n);
            sc_free(data);
            if (found) *found = true;
        }
    }
    sc_free(a);
    sc_free(b);
    return s;
}

sc_status sc_copy_tokenizer(const char *in, const char *out, bool *found)
{
    static const char *const tokenizers[] = {"tokenizer.json", "tokenizer.model", "spiece.model", "tiktoken.model",
                                             "vocab.json",     "encoder.json",    "vocab.txt"};
    static const char *const others[] = {
        "vocab.bpe",         "merges.txt",          "tokenizer_config.json", "special_tokens_map.json",
        "added_tokens.json", "chat_template.jinja", "chat_template.json"};
    sc_status s = SC_OK;
    for (int i = 0; !s && i < SC_COUNT(tokenizers); i++) s = copy_file(in, out, tokenizers[i], found);
    for (int i = 0; !s && i < SC_COUNT(others); i++) s = copy_file(in, out, others[i], NULL);
    return s;
}

/* The ids that end an answer are all that GGUF knows of it. */
static sc_status write_generation(const sc_model *m, const json_t *config, const char *out)
{
    json_t *o = json_object(), *eos = json_array();
    for (int64_t i = 0; eos && i < m->n_eos; i++) {
        bool again = false;
        for (int64_t k = 0; k < i; k++) again |= m->eos[k] == m->eos[i];
        if (!again) json_array_append_new(eos, json_integer(m->eos[i]));
    }
    bool ok = o && eos;
    static const char *const keys[] = {"bos_token_id", "pad_token_id"};
    for (int i = 0; ok && i < SC_COUNT(keys); i++) {
        json_t *v = json_object_get(config, keys[i]);
        if (json_is_integer(v)) ok = json_object_set(o, keys[i], v) == 0;
    }
    if (ok && json_array_size(eos))
        ok = json_object_set(o, "eos_token_id", json_array_size(eos) > 1 ? eos : json_array_get(eos, 0)) == 0;
    sc_status s = ok ? write_json(out, "generation_config.json", o) : sc_nomem();
    json_decref(eos);
    json_decref(o);
    return s;
}

/* What is written after the weights, made before: a tokenizer that cannot be said is known early. */
typedef struct rest {
    json_t *config;
    char *tokenizer, *tokenizer_config; /* from GGUF; else copied */
} rest;

static sc_status prepare(rest *x, const sc_model *m, const char *in, const sc_items *items, bool tokenizer)
{
    sc_gguf *file = NULL;
    sc_status s = sc_path_is_dir(in) ? SC_OK : sc_gguf_open(&file, in);
    if (!s) s = sc_config_for_hf(&x->config, m, items->count ? items->item[0].to : SC_F32, file);
    if (!s && file && tokenizer) s = sc_gguf_tokenizer_json(&x->tokenizer, &x->tokenizer_config, file);
    if (s == SC_ENOTFOUND) s = SC_OK;
    sc_gguf_free(file);
    return s;
}

static sc_status write_rest(const rest *x, const sc_model *m, const char *in, const char *out, bool tokenizer,
                            bool *written)
{
    bool dir = sc_path_is_dir(in);
    sc_status s = SC_OK;
    if (dir && tokenizer) s = sc_copy_tokenizer(in, out, written);
    if (x->tokenizer) {
        s = write_text(out, "tokenizer.json", x->tokenizer);
        if (!s) s = write_text(out, "tokenizer_config.json", x->tokenizer_config);
        *written = !s;
    }
    if (!s) s = dir ? copy_file(in, out, "generation_config.json", NULL) : write_generation(m, x->config, out);
    return s ? s : write_json(out, "config.json", x->config);
}

sc_status sc_write_model_dir(sc_context *ctx, const sc_model *m, const char *in, const char *out,
                             const sc_items *items, sc_item_values *values, void *user, bool *tokenizer)
{
    rest x = {0};
    bool made = !sc_path_exists(out), wanted = *tokenizer;
    char *weights = sc_path_join(out, "model.safetensors");
    sc_status s = weights ? prepare(&x, m, in, items, wanted) : sc_nomem();
    *tokenizer = false;
    if (!s) s = sc_mkdirs(out);
    if (!s) s = write_weights(ctx, weights, items, values, user);
    if (!s) s = write_rest(&x, m, in, out, wanted, tokenizer);
    if (s && made) rmdir(out); /* where nothing was written into it */
    json_decref(x.config);
    sc_free(x.tokenizer);
    sc_free(x.tokenizer_config);
    sc_free(weights);
    return s;
}

sc_status sc_convert_to_dir(sc_context *ctx, const char *in, const char *out, const sc_convert_options *o,
                            sc_convert_report *r)
{
    sc_model *m = NULL;
    sc_items items = {0};
    sc_type_plan plan;
    bool tokenizer = !o->no_tokenizer;
    sc_status s = sc_type_plan_new(&plan, o);
    if (!s && !(items.arena = sc_arena_new())) s = sc_nomem();
    if (!s) s = sc_convert_open(&m, ctx, in, o);
    if (!s) s = sc_items_from_model(&items, m, NULL);
    if (!s) s = sc_type_plan_dir(&plan, &items);
    if (!s) s = sc_items_check(&items);
    if (!s) s = sc_write_model_dir(ctx, m, in, out, &items, as_stored, ctx, &tokenizer);
    if (!s) {
        r->tokenizer = tokenizer;
        sc_report_items(r, &items);
    }
    sc_model_free(m);
    sc_free(items.item);
    sc_arena_free(items.arena);
    return s;
}
