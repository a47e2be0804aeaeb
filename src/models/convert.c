/* SPDX-License-Identifier: Apache-2.0 */
/* Converting a model: what there is to write, and where to. */
#include "models/models.h"

#include <stdlib.h>

/* The first of a stack's experts becomes the item, */
static sc_status begin_stack(sc_items *items, const sc_model *m, sc_item *it)
{
    if (!(it->part = sc_arena_alloc(items->arena, sizeof *it->part * (size_t)m->info.experts))) return sc_nomem();
    it->part[it->parts++] = it->data;
    memmove(it->dim + 1, it->dim, sizeof *it->dim * (size_t)it->rank++);
    it->dim[0] = m->info.experts;
    return SC_OK;
}

/* the others, which follow it, its parts. */
static bool follows(const sc_items *items, const char *name)
{
    return items->count && items->item[items->count - 1].part &&
           strcmp(items->item[items->count - 1].name, name) == 0;
}

static sc_status add_expert(sc_items *items, const sc_model *m, const sc_model_param *p)
{
    sc_item *it = &items->item[items->count - 1];
    if (it->parts == it->dim[0] || it->from != p->dtype || it->transpose != p->transposed)
        return sc_fail(SC_EUNSUPPORTED, "%s: '%s' is stored in another way than the experts before it",
                       m->info.path, p->name);
    it->part[it->parts++] = p->data;
    return SC_OK;
}

/* What the output does with a parameter's axes and rows, against what the source has done. */
static sc_status add_param(sc_items *items, const sc_model *m, const sc_model_param *p, const char *arch)
{
    char name[512];
    int64_t skip = 0;
    bool encoder = sc_model_encoder(m) != NULL;
    const sc_gguf_name *row = !arch     ? NULL
                              : encoder ? sc_gguf_encoder_name(m, p->name, name, sizeof name, &skip)
                                        : sc_gguf_from_hf(arch, p->name, name, sizeof name);
    if (arch && !row && encoder) return SC_OK; /* of a head */
    if (arch && !row) return sc_fail(SC_EUNSUPPORTED, "%s: GGUF has no name for '%s'", m->info.path, p->name);
    if (row && row->experts && follows(items, name)) return add_expert(items, m, p);
    if (!sc_grow(&items->item, &items->cap, items->count + 1, sizeof *items->item)) return sc_nomem();
    sc_item *it = &items->item[items->count];
    *it = (sc_item){.rank = p->rank, .from = p->dtype, .to = p->dtype, .data = p->data, .layer = -1};
    const char *text = row ? name : p->name, *dot = strstr(text, "blk.");
    if (!(it->name = sc_arena_strndup(items->arena, text, strlen(text)))) return sc_nomem();
    memcpy(it->dim, p->dim, sizeof it->dim);
    if (skip) {
        it->data = (const char *)p->data + sc_dtype_size(p->dtype, skip * p->dim[1]);
        it->dim[0] -= skip;
    }
    bool turned = row && row->transposed && p->rank == 2, pairs = row && row->permuted;
    if (turned) it->dim[0] = p->dim[1], it->dim[1] = p->dim[0];
    it->transpose = turned != p->transposed;
    it->step = p->step;
    if (pairs != p->permuted) {
        it->rotate = m->info.head_dim;
        it->to_pairs = pairs;
        const sc_decoder *d = sc_model_decoder(m);
        if (d && d->rope.dim != d->attn.d)
            return sc_fail(SC_EUNSUPPORTED, "%s: GGUF has no order for heads that are rotated in part",
                           m->info.path);
        if (it->rotate % 2 || it->dim[0] % it->rotate)
            return sc_fail(SC_EFORMAT, "%s: '%s' has no whole number of heads", m->info.path, p->name);
    }
    bool joined = row && row->joined;
    if (joined != p->joined) {
        it->heads = m->info.heads;
        it->to_joined = joined;
        if (it->dim[0] % (3 * it->heads))
            return sc_fail(SC_EFORMAT, "%s: '%s' has no whole number of heads", m->info.path, p->name);
    }
    it->add = (float)((row && row->plus_one) - p->plus_one);
    sc_status s = sc_adapters_mark(it, m, p->name, turned);
    if (!s) s = sc_ssm_item(it, m, p, row);
    if (s) return s;
    if (dot) it->layer = strtol(dot + 4, NULL, 10);
    items->count++;
    if (row && row->vector && it->rank == 2 && it->dim[0] == 1) {
        it->rank = 1;
        it->dim[0] = it->dim[1];
    }
    return row && row->experts ? begin_stack(items, m, it) : SC_OK;
}

sc_status sc_convert_open(sc_model **out, sc_context *ctx, const char *in, const sc_convert_options *o)
{
    sc_model_options with = {
        .adapters = o->adapters, .adapter_weights = o->adapter_weights, .n_adapters = o->n_adapters};
    sc_status s = sc_model_open(out, ctx, in, &with);
    if (s || !(*out)->adapters.prompt.ids) return s;
    sc_model_free(*out);
    *out = NULL;
    return sc_fail(SC_EUNSUPPORTED, "virtual tokens cannot be merged into a model");
}

sc_status sc_items_from_model(sc_items *items, const sc_model *m, const char *arch)
{
    sc_status s = SC_OK;
    for (int64_t i = 0; !s && i < sc_model_param_count(m); i++) {
        bool added = false;
        if (!arch && m->family->columns) s = sc_items_add_column(items, m, sc_model_param_at(m, i), &added);
        if (!s && !added) s = add_param(items, m, sc_model_param_at(m, i), arch);
    }
    return s;
}

void sc_report_items(sc_convert_report *r, const sc_items *items)
{
    r->tensors = items->count;
    r->parameters = r->bytes_before = r->bytes_after = 0;
    for (int64_t i = 0; i < items->count; i++) {
        const sc_item *it = &items->item[i];
        sc_shape shape = {.rank = it->rank};
        memcpy(shape.dim, it->dim, sizeof shape.dim);
        int64_t n = sc_shape_elements(&shape);
        r->parameters += n;
        r->bytes_before += sc_dtype_size(it->from, n);
        r->bytes_after += sc_dtype_size(it->to, n);
    }
}

bool sc_same_file(const char *a, const char *b)
{
    char *x = realpath(a, NULL), *y = realpath(b, NULL);
    bool same = x && y && strcmp(x, y) == 0;
    free(x);
    free(y);
    return same;
}

sc_status sc_convert(sc_context *ctx, const char *in, const char *out, const sc_convert_options *options,
                     sc_convert_report *report)
{
    static const sc_convert_options defaults = {0};
    sc_convert_report unused;
    const sc_convert_options *o = options ? options : &defaults;
    sc_convert_report *r = report ? report : &unused;
    *r = (sc_convert_report){0};
    if (!in[0] || !out[0]) return sc_fail(SC_EINVAL, "an empty path");
    if (sc_same_file(in, out)) return sc_fail(SC_EINVAL, "%s: a model cannot be converted onto itself", out);
    bool gguf = sc_path_has_suffix(out, ".gguf");
    if (o->name && !gguf) return sc_fail(SC_EINVAL, "%s: a directory has no place for a name", out);
    if (o->name && !sc_utf8_valid(o->name, (int64_t)strlen(o->name)))
        return sc_fail(SC_EINVAL, "%s: the name is not UTF-8", out);
    return gguf ? sc_convert_to_gguf(ctx, in, out, o, r) : sc_convert_to_dir(ctx, in, out, o, r);
}
