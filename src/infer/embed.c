/* SPDX-License-Identifier: Apache-2.0 */
/* Texts to vectors. Texts of like lengths are computed together, end to end without padding; then come pooling and the
 * model's own modules, for a batch at once. */
#include "infer/infer.h"

#include <math.h>
#include <stdlib.h>

enum { MOST_BY_DEFAULT = 8192, BATCH_TOKENS = 1024 };

struct sc_embedder {
    sc_context *ctx;
    sc_model *model;
    sc_tokenizer *tokenizer;
    sc_embed_plan plan;
    char *prompt;        /* "" for none */
    int64_t skip;        /* the prompt's tokens, where they are not pooled */
    int64_t pooled;      /* numbers after pooling */
    int64_t width;       /* of the result */
    int64_t dimensions;  /* 0: all */
    int64_t most, batch; /* tokens of a text, of a batch */
};

/* ---- opening ---- */

static sc_status choose_prompt(sc_embedder *e, const sc_embed_options *o)
{
    const json_t *all = json_object_get(e->plan.prompts, "prompts");
    const char *name = o->prompt_name, *text = o->prompt;
    if (!name && !text) name = json_string_value(json_object_get(e->plan.prompts, "default_prompt_name"));
    if (!text && name) {
        if (!(text = json_string_value(json_object_get(all, name)))) {
            sc_str known = {0};
            const char *key;
            json_t *value;
            json_object_foreach((json_t *)(uintptr_t)all, key, value)
                sc_str_printf(&known, "%s%s", known.len ? ", " : "", key);
            sc_fail(SC_ENOTFOUND, "%s has no prompt '%s' (it has: %s)", e->plan.model, name,
                    known.p ? known.p : "none");
            sc_str_free(&known);
            return SC_ENOTFOUND;
        }
    }
    return (e->prompt = sc_strdup(text ? text : "")) ? SC_OK : sc_nomem();
}

/* The tokens that a prompt alone has before what the tokenizer puts at the end. */
static sc_status count_prompt(sc_embedder *e)
{
    const int32_t *before, *after;
    int64_t nb, na;
    sc_text_ids x = {0};
    if (!e->prompt[0] || !e->plan.skip_prompt) return SC_OK;
    sc_status s = sc_text_ids_new(&x, e->tokenizer, (sc_text){e->prompt, (int64_t)strlen(e->prompt)}, (sc_text){0},
                                  INT32_MAX);
    if (s) return s;
    sc_tokenizer_template(e->tokenizer, &before, &nb, &after, &na);
    e->skip = SC_MAX(x.n - na, 0);
    sc_text_ids_free(&x);
    return SC_OK;
}

static sc_status choose_pooling(sc_embedder *e, const sc_embed_options *o, const sc_model_info *info)
{
    if (o->pooling) {
        int kind = sc_pool_named(o->pooling);
        if (kind < 0) return sc_fail(SC_EINVAL, "pooling '%s' is not known", o->pooling);
        e->plan.pools = 1u << kind;
    }
    if (!e->plan.pools)
        e->plan.pools = 1u << (info->head == SC_HEAD_NEXT && !info->source_vocab ? SC_POOL_LAST : SC_POOL_MEAN);
    e->pooled = __builtin_popcount(e->plan.pools) * info->width;
    return SC_OK;
}

/* Checks that each module takes what the one before gives, and brings the option on lengths into their list. */
static sc_status check_modules(sc_embedder *e, const sc_embed_options *o)
{
    sc_embed_plan *p = &e->plan;
    int64_t width = e->pooled, kept = 0;
    bool unit = false;
    for (int64_t i = 0; i < p->n_modules; i++) {
        sc_embed_module *m = &p->module[i];
        if (m->kind != SC_EMBED_UNIT) {
            if (m->in != width)
                return sc_fail(SC_ESHAPE, "%s: module %lld takes %lld numbers, the one before gives %lld", p->model,
                               (long long)i, (long long)m->in, (long long)width);
            width = m->out;
        }
        unit = m->kind == SC_EMBED_UNIT;
        if (unit && o->normalize < 0) continue;
        p->module[kept++] = *m;
    }
    p->n_modules = kept;
    if (o->dimensions < 0 || o->dimensions > width)
        return sc_fail(SC_EINVAL, "%lld dimensions of vectors that have %lld", (long long)o->dimensions,
                       (long long)width);
    e->dimensions = o->dimensions;
    e->width = o->dimensions ? o->dimensions : width;
    bool want = o->normalize > 0 || (o->normalize == 0 && (!p->given || unit));
    if (!want || (unit && o->normalize >= 0)) return SC_OK;
    if (!sc_grow(&p->module, &p->cap_modules, p->n_modules + 1, sizeof *p->module)) return sc_nomem();
    p->module[p->n_modules++] = (sc_embed_module){.kind = SC_EMBED_UNIT};
    return SC_OK;
}

static sc_status set_up(sc_embedder *e, const sc_embed_options *o)
{
    sc_model_info info;
    sc_model_describe(e->model, &info);
    sc_status s = choose_pooling(e, o, &info);
    if (!s) s = check_modules(e, o);
    if (!s) s = choose_prompt(e, o);
    if (!s) s = count_prompt(e);
    if (s) return s;
    if (o->max_tokens < 0 || o->batch_tokens < 0) return sc_fail(SC_EINVAL, "a negative number of tokens");
    int64_t limit = info.context ? info.context : INT32_MAX;
    e->most = SC_MIN(o->max_tokens        ? o->max_tokens
                     : e->plan.max_tokens ? e->plan.max_tokens
                                          : MOST_BY_DEFAULT,
                     limit);
    e->batch = SC_MIN(o->batch_tokens ? o->batch_tokens : BATCH_TOKENS, (int64_t)1 << 24);
    return SC_OK;
}

sc_status sc_embedder_open(sc_embedder **out, sc_context *ctx, const char *path, const sc_embed_options *options)
{
    static const sc_embed_options defaults = {0};
    sc_embedder *e = sc_calloc(1, sizeof *e);
    if (!e) return sc_nomem();
    e->ctx = ctx;
    sc_status s = sc_embed_plan_read(&e->plan, path);
    if (!s) s = sc_model_open(&e->model, ctx, e->plan.model, NULL);
    if (!s) s = sc_tokenizer_load(&e->tokenizer, e->plan.model);
    if (!s) s = set_up(e, options ? options : &defaults);
    if (s)
        sc_embedder_free(e);
    else
        *out = e;
    return s;
}

void sc_embedder_free(sc_embedder *e)
{
    if (!e) return;
    sc_embed_plan_free(&e->plan);
    sc_tokenizer_free(e->tokenizer);
    sc_model_free(e->model);
    sc_free(e->prompt);
    sc_free(e);
}

const sc_model *sc_embedder_model(const sc_embedder *e) { return e->model; }
int64_t sc_embedder_width(const sc_embedder *e) { return e->width; }

/* ---- embedding ---- */

typedef struct entry {
    sc_text_ids x;
    int64_t at; /* in the caller's order */
} entry;

/* Longest first, so that a limit of memory shows at once; else as given. */
static int by_length(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->x.n != y->x.n) return x->x.n > y->x.n ? -1 : 1;
    return x->at < y->at ? -1 : 1;
}

static sc_status tokenize(sc_embedder *e, const sc_text *text, sc_text_ids *out)
{
    sc_text whole = *text;
    sc_str joined = {0};
    if (e->prompt[0]) {
        sc_str_puts(&joined, e->prompt);
        sc_str_append(&joined, text->p, text->len);
        if (joined.oom) {
            sc_str_free(&joined);
            return sc_nomem();
        }
        whole = (sc_text){joined.p, joined.len};
    }
    sc_status s = sc_text_ids_new(out, e->tokenizer, whole, (sc_text){0}, e->most);
    sc_str_free(&joined);
    if (!s && !out->n)
        s = sc_fail(SC_EINVAL,
                    "a text without tokens has no vector: this tokenizer puts nothing around an empty one");
    return s;
}

/* What pooling gave, (n, pooled), through the modules, to the rows of out. */
static sc_status finish(sc_embedder *e, const sc_batch *b, const entry *item, int64_t n, float *out)
{
    sc_graph *g;
    sc_plan *plan = NULL;
    sc_status s = sc_graph_new(&g, NULL);
    if (s) return s;
    sc_tensor *x = sc_graph_input(g, "pooled", SC_F32, &(sc_shape){2, {n, e->pooled}});
    sc_tensor *y = sc_contiguous(g, sc_embed_plan_build(g, &e->plan, x));
    bool unit = e->plan.n_modules && e->plan.module[e->plan.n_modules - 1].kind == SC_EMBED_UNIT;
    if (e->dimensions) y = sc_contiguous(g, sc_slice(g, y, 1, 0, e->dimensions));
    if (e->dimensions && unit) y = sc_unit(g, y);
    s = g->status ? sc_fail(g->status, "%s", g->fault) : sc_plan_new(&plan, g, e->model->backend, &y, 1);
    if (!s) {
        float *to = sc_plan_data(plan, x);
        int64_t c = e->model->info.width, at = 0;
        for (int k = 0; k < SC_POOL_COUNT; k++) {
            if (!b->pooled[k]) continue;
            const float *from = sc_plan_data(b->plan, b->pooled[k]);
            for (int64_t i = 0; i < n; i++) memcpy(to + i * e->pooled + at, from + i * c, sizeof *to * (size_t)c);
            at += c;
        }
        s = sc_plan_run(plan);
    }
    for (int64_t i = 0; !s && i < n; i++) {
        const float *row = (const float *)sc_plan_data(plan, y) + i * e->width;
        for (int64_t k = 0; !s && k < e->width; k++)
            if (!isfinite(row[k]))
                s = sc_fail(SC_EINVAL, "the model gives text %lld a vector that is not of numbers",
                            (long long)item[i].at);
        memcpy(out + item[i].at * e->width, row, sizeof *out * (size_t)e->width);
    }
    sc_plan_free(plan);
    sc_graph_free(g);
    return s;
}

static sc_status embed_batch(sc_embedder *e, const entry *item, int64_t n, int64_t tokens, float *out)
{
    sc_batch b = {0};
    sc_batch_text *text = sc_calloc((size_t)n, sizeof *text);
    if (!text) return sc_nomem();
    for (int64_t i = 0; i < n; i++)
        text[i] = (sc_batch_text){.ids = item[i].x.ids,
                                  .types = item[i].x.types,
                                  .n = item[i].x.n,
                                  .skip = SC_MIN(e->skip, item[i].x.n - 1)};
    sc_status s = sc_batch_new(&b, e->model, tokens, n, e->plan.pools, 0);
    if (!s) s = sc_batch_run(&b, text, n);
    if (!s) s = finish(e, &b, item, n, out);
    sc_batch_free(&b);
    sc_free(text);
    return s;
}

sc_status sc_embedder_embed(sc_embedder *e, const sc_text *texts, int64_t n, float *out)
{
    sc_status s = SC_OK;
    if (n < 0) return sc_fail(SC_EINVAL, "%lld texts", (long long)n);
    entry *item = sc_calloc((size_t)n + 1, sizeof *item);
    if (!item) return sc_nomem();
    for (int64_t i = 0; !s && i < n; i++) {
        item[i].at = i;
        if ((s = tokenize(e, &texts[i], &item[i].x))) sc_fail_in(s, "text %lld", (long long)i + 1);
    }
    if (!s) qsort(item, (size_t)n, sizeof *item, by_length);
    for (int64_t i = 0; !s && i < n;) {
        int64_t end = i, tokens = 0;
        while (end < n && (end == i || tokens + item[end].x.n <= e->batch)) tokens += item[end++].x.n;
        s = embed_batch(e, item + i, end - i, tokens, out);
        sc_progress(e->ctx, "embedding", i = end, n);
    }
    for (int64_t i = 0; i < n; i++) sc_text_ids_free(&item[i].x);
    sc_free(item);
    return s;
}
