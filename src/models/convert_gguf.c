/* SPDX-License-Identifier: Apache-2.0 */
/* Writing GGUF: from a model, or from another GGUF file tensor by tensor, whatever its architecture. */
#include "models/models.h"

#include <stdlib.h>

/* Tensors that stay f32 although they have two axes and ".weight": small, and read element by element. */
static bool stays(const char *name)
{
    static const char *const parts[] = {"norm",         "attn_rel_b", "position_embd", "token_types",
                                        "ffn_gate_inp", "ssm_conv1d", "rope_f"};
    for (int i = 0; i < SC_COUNT(parts); i++)
        if (strstr(name, parts[i])) return true;
    return !sc_path_has_suffix(name, ".weight");
}

/* Gives every item its role and the plan its number of layers. */
static void set_roles(sc_items *items, sc_type_plan *plan)
{
    bool head = false;
    for (int64_t i = 0; i < items->count; i++) head |= strcmp(items->item[i].name, "output.weight") == 0;
    for (int64_t i = 0; i < items->count; i++) {
        sc_item *it = &items->item[i];
        plan->layers = SC_MAX(plan->layers, it->layer + 1);
        if (it->rank < 2 || stays(it->name))
            it->role = SC_ITEM_OTHER;
        else if (strcmp(it->name, "output.weight") == 0)
            it->role = SC_ITEM_OUTPUT;
        else if (strcmp(it->name, "token_embd.weight") != 0)
            it->role = SC_ITEM_MATRIX;
        /* A tied table is both, and more is lost in the logits. */
        else
            it->role = head || plan->embedding ? SC_ITEM_EMBEDDING : SC_ITEM_OUTPUT;
    }
}

static sc_status to_writer(void *user, const void *data, int64_t bytes)
{
    return sc_gguf_writer_write(user, data, bytes);
}

static sc_status write_tensors(sc_gguf_writer *w, sc_context *ctx, const sc_items *items)
{
    sc_status s = SC_OK;
    int64_t turn = 0, done = 0, first = -1;
    for (int64_t i = 0; !s && i < items->count; i++) {
        const sc_item *it = &items->item[i];
        s = sc_gguf_writer_tensor(w, it->name, it->to, it->rank, it->dim, NULL);
    }
    /* The writer counts from the tensors that were declared before these, whose data it has. */
    while (!s && !(s = sc_gguf_writer_next(w, &turn)) && turn >= 0) {
        if (first < 0) first = turn;
        const sc_item *it = &items->item[turn - first];
        sc_progress(ctx, it->name, done++, items->count);
        s = sc_item_convert(ctx, it, to_writer, w);
    }
    if (!s) sc_progress(ctx, "", items->count, items->count);
    return s;
}

static sc_status write_types(sc_gguf_writer *w, const sc_type_plan *plan, const sc_items *items)
{
    bool blocks = false;
    for (int64_t i = 0; i < items->count; i++)
        blocks |= items->item[i].to < SC_DTYPE_COUNT && sc_dtype_get(items->item[i].to)->block > 1;
    sc_status s = sc_gguf_writer_int(w, "general.file_type", SC_GGUF_U32, sc_type_plan_file_type(plan, items));
    return s || !blocks ? s : sc_gguf_writer_int(w, "general.quantization_version", SC_GGUF_U32, 2);
}

/* Decides types, writes what goes with them, and the tensors. */
static sc_status finish(sc_gguf_writer *w, sc_context *ctx, sc_items *items, sc_type_plan *plan,
                        sc_convert_report *r)
{
    set_roles(items, plan);
    sc_status s = sc_type_plan_gguf(plan, ctx, items);
    if (!s) s = sc_items_check(items);
    if (!s) s = write_types(w, plan, items);
    if (!s) s = write_tensors(w, ctx, items);
    if (!s) s = sc_gguf_writer_finish(w);
    if (s) return s;
    sc_report_items(r, items);
    r->fallbacks = plan->fallbacks;
    return SC_OK;
}

/* ---- from a model ---- */

/* What to call the model: its directory's name, unless that says nothing. */
static sc_status write_name(sc_gguf_writer *w, const char *in, const char *name)
{
    char *path = name ? NULL : realpath(in, NULL);
    const char *base = name ? name : path ? sc_path_base(path) : "";
    sc_status s = sc_gguf_writer_str(w, "general.type", "model");
    if (!s && base[0] && sc_utf8_valid(base, (int64_t)strlen(base)))
        s = sc_gguf_writer_str(w, "general.name", base);
    free(path);
    return s;
}

static sc_status from_model(sc_gguf_writer *w, sc_context *ctx, const char *in, const sc_convert_options *o,
                            sc_type_plan *plan, sc_items *items, sc_convert_report *r)
{
    sc_model *m;
    sc_status s = sc_convert_open(&m, ctx, in, o);
    if (s) return s;
    s = sc_config_fits_gguf(m);
    if (!s) s = sc_items_from_model(items, m, sc_gguf_arch_of(m->info.model_type));
    if (!s) s = sc_gguf_write_config(w, m, items->arena);
    if (!s) s = write_name(w, in, o->name);
    if (!s && !o->no_tokenizer) {
        s = sc_gguf_writer_tokenizer(w, in, m->info.vocab);
        r->tokenizer = !s;
        if (s == SC_ENOTFOUND) {
            sc_log(ctx, SC_LOG_WARNING, "%s: no tokenizer.json, so the file has no tokenizer", in);
            s = SC_OK;
        }
    }
    if (!s) s = finish(w, ctx, items, plan, r);
    sc_model_free(m);
    return s;
}

/* ---- from another file ---- */

static sc_status copy_keys(sc_gguf_writer *w, const sc_gguf *file, const sc_convert_options *o,
                           sc_convert_report *r)
{
    static const char *const own[] = {"general.alignment", "general.file_type", "general.quantization_version"};
    sc_status s = o->name ? sc_gguf_writer_str(w, "general.name", o->name) : SC_OK;
    for (int64_t i = 0; !s && i < sc_gguf_key_count(file); i++) {
        const sc_gguf_value *v = sc_gguf_key_at(file, i);
        bool tokenizer = strncmp(v->key, "tokenizer.", 10) == 0,
             skip = o->name && strcmp(v->key, "general.name") == 0;
        for (int k = 0; k < SC_COUNT(own); k++) skip |= strcmp(v->key, own[k]) == 0;
        if (skip || (tokenizer && o->no_tokenizer)) continue;
        r->tokenizer |= tokenizer;
        s = sc_gguf_writer_copy(w, v);
    }
    return s;
}

static sc_status add_file_tensor(sc_items *items, const sc_file_tensor *t)
{
    if (!sc_grow(&items->item, &items->cap, items->count + 1, sizeof *items->item)) return sc_nomem();
    sc_item *it = &items->item[items->count++];
    *it =
        (sc_item){.name = t->name, .rank = t->rank, .from = t->dtype, .to = t->dtype, .data = t->data, .layer = -1};
    memcpy(it->dim, t->dim, sizeof it->dim);
    if (strncmp(t->name, "blk.", 4) == 0) it->layer = strtol(t->name + 4, NULL, 10);
    return SC_OK;
}

/* With adapters the file is a model; what the model asks no parameter for (tables of the rotation) is copied. */
static sc_status add_merged(sc_model **m, sc_items *items, sc_context *ctx, const char *in,
                            const sc_convert_options *o, const sc_gguf *file)
{
    sc_status s = sc_convert_open(m, ctx, in, o);
    if (!s) s = sc_items_from_model(items, *m, sc_gguf_arch_of((*m)->info.model_type));
    for (int64_t i = 0; !s && i < sc_gguf_count(file); i++) {
        const sc_file_tensor *t = sc_gguf_get(file, i);
        bool there = false;
        for (int64_t k = 0; !there && k < items->count; k++) there = strcmp(items->item[k].name, t->name) == 0;
        if (!there) s = add_file_tensor(items, t);
    }
    return s;
}

static sc_status from_gguf(sc_gguf_writer *w, sc_context *ctx, const char *in, const sc_convert_options *o,
                           sc_type_plan *plan, sc_items *items, sc_convert_report *r)
{
    sc_gguf *file;
    sc_model *m = NULL;
    sc_status s = sc_gguf_open(&file, in);
    if (s) return s;
    s = copy_keys(w, file, o, r);
    if (!s && o->n_adapters) s = add_merged(&m, items, ctx, in, o, file);
    for (int64_t i = 0; !s && !o->n_adapters && i < sc_gguf_count(file); i++)
        s = add_file_tensor(items, sc_gguf_get(file, i));
    if (!s) s = finish(w, ctx, items, plan, r);
    sc_model_free(m);
    sc_gguf_free(file);
    return s;
}

sc_status sc_convert_to_gguf(sc_context *ctx, const char *in, const char *out, const sc_convert_options *o,
                             sc_convert_report *r)
{
    sc_gguf_writer *w = NULL;
    sc_items items = {0};
    sc_type_plan plan;
    sc_status s = sc_type_plan_new(&plan, o);
    if (!s && !(items.arena = sc_arena_new())) s = sc_nomem();
    if (!s) s = sc_gguf_writer_new(&w, out);
    if (!s)
        s = sc_path_is_dir(in) ? from_model(w, ctx, in, o, &plan, &items, r)
                               : from_gguf(w, ctx, in, o, &plan, &items, r);
    sc_gguf_writer_free(w);
    sc_free(items.item);
    sc_arena_free(items.arena);
    return s;
}
