/* SPDX-License-Identifier: Apache-2.0 */
/* Merging: tensor by tensor the models' values pass through a few sums of that tensor's size, so that memory does not grow with
 * the number of models. */
#include "socle/merge.h"
#include "models/models.h"

#include <math.h>

typedef enum method { LINEAR, SLERP, TASK, TIES, DARE, DARE_TIES, METHODS } method;

static const struct {
    const char *name, *summary;
    bool base, signs, drops;
    double density;
} methods[METHODS] = {
    [LINEAR] = {"linear", "the weighted mean"},
    [SLERP] = {"slerp", "two models, along the arc between them"},
    [TASK] = {"task", "the base and the weighted sum of what each changed", true},
    [TIES] = {"ties", "the largest changes, where they agree in sign", true, true, false, 0.2},
    [DARE] = {"dare", "changes dropped by chance and scaled up, summed", true, false, true, 0.5},
    [DARE_TIES] = {"dare_ties", "changes dropped by chance, where they agree in sign", true, true, true, 0.5},
};

const char *sc_merge_method_at(int i, const char **summary)
{
    if (i < 0 || i >= METHODS) return NULL;
    if (summary) *summary = methods[i].summary;
    return methods[i].name;
}

typedef struct merge {
    sc_context *ctx;
    const sc_merge_options *o;
    method how;
    double density, scale;
    sc_model *model[SC_MERGE_MOST + 1]; /* the base after the n models, where there is one */
    sc_items items[SC_MERGE_MOST + 1];
    int n, first; /* models; the one whose items are written */
    /* Of the tensor at hand. */
    float *x, *base, *sum, *same, *share; /* share: the weights of those that agree */
    int64_t cap;
} merge;

static double weight_of(const merge *m, int i) { return m->o->weights ? m->o->weights[i] : 1; }

/* ---- reading ---- */

typedef struct filling {
    float *to;
    int64_t at; /* values */
} filling;

static sc_status fill(void *user, const void *data, int64_t bytes)
{
    filling *f = user;
    int64_t n = bytes / (int64_t)sizeof *f->to;
    memcpy(f->to + f->at, data, (size_t)bytes);
    f->at += n;
    return SC_OK;
}

/* The i-th tensor of a model as f32. */
static sc_status read_values(const merge *m, int model, int64_t i, float *x, int64_t n)
{
    sc_item it = m->items[model].item[i];
    filling f = {x, 0};
    float off = 0;
    it.to = SC_F32;
    sc_status s = sc_item_convert(m->ctx, &it, fill, &f);
    if (s) return s;
    for (int64_t k = 0; k < n; k++) off += x[k] * 0;
    if (off != 0)
        return sc_fail(SC_ELIMIT, "%s: '%s' has values that are not finite", m->model[model]->info.path, it.name);
    return SC_OK;
}

/* What model i changed of the base. */
static sc_status read_change(const merge *m, int i, int64_t tensor, int64_t n)
{
    sc_status s = read_values(m, i, tensor, m->x, n);
    for (int64_t k = 0; !s && k < n; k++) m->x[k] -= m->base[k];
    return s;
}

/* ---- keeping a share of the changes ---- */

static uint32_t magnitude(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u & 0x7fffffff; /* finite numbers of one sign are in the order of their bits */
}

/* Sets all but the `keep` values of largest magnitude to 0; of equal ones the first stay. The last of them is found digit by
 * digit of 11, 10 and 10 bits. */
static void keep_largest(float *x, int64_t n, int64_t keep)
{
    static const int shift[] = {20, 10, 0}, bits[] = {11, 10, 10};
    uint32_t found = 0, known = 0;
    int64_t left = keep;
    if (keep >= n) return;
    for (int pass = 0; pass < 3; pass++) {
        int64_t count[1 << 11] = {0};
        uint32_t digit = (1u << bits[pass]) - 1;
        for (int64_t i = 0; i < n; i++)
            if ((magnitude(x[i]) & known) == found) count[magnitude(x[i]) >> shift[pass] & digit]++;
        uint32_t d = digit;
        while (count[d] < left) left -= count[d--];
        found |= d << shift[pass];
        known |= digit << shift[pass];
    }
    for (int64_t i = 0; i < n; i++) {
        uint32_t u = magnitude(x[i]);
        if (u < found || (u == found && left-- <= 0)) x[i] = 0;
    }
}

/* Sets each value to 0 with the chance 1 - density and divides the others by density. */
static void keep_by_chance(float *x, int64_t n, double density, uint64_t seed, int model, const char *name)
{
    uint64_t stream = sc_hash(name, (int64_t)strlen(name)) + (uint64_t)model * 0x9e3779b97f4a7c15u;
    uint64_t limit = (uint64_t)(density * 4294967296.0);
    float scale = (float)(1 / density);
    for (int64_t i = 0; i < n; i += 4) {
        uint32_t r[4];
        sc_philox(seed, stream, (uint64_t)(i / 4), r);
        for (int64_t k = 0; k < 4 && i + k < n; k++) x[i + k] = r[k] < limit ? x[i + k] * scale : 0;
    }
}

static sc_status read_kept(const merge *m, int i, int64_t tensor, int64_t n)
{
    sc_status s = read_change(m, i, tensor, n);
    if (s) return s;
    if (methods[m->how].drops)
        keep_by_chance(m->x, n, m->density, m->o->seed, i, m->items[i].item[tensor].name);
    else if (methods[m->how].signs)
        keep_largest(m->x, n, SC_MAX((int64_t)(m->density * (double)n), 1));
    return SC_OK;
}

/* ---- the methods: each leaves the result in sum ---- */

static sc_status add_weighted(merge *m, int64_t tensor, int64_t n)
{
    double all = 0;
    sc_status s = SC_OK;
    memset(m->sum, 0, sizeof *m->sum * (size_t)n);
    for (int i = 0; i < m->n; i++) all += weight_of(m, i);
    for (int i = 0; !s && i < m->n; i++) {
        float w = (float)(m->how == LINEAR ? weight_of(m, i) / all : m->scale * weight_of(m, i));
        s = m->how == LINEAR ? read_values(m, i, tensor, m->x, n) : read_kept(m, i, tensor, n);
        for (int64_t k = 0; !s && k < n; k++) m->sum[k] += w * m->x[k];
    }
    for (int64_t k = 0; !s && m->how != LINEAR && k < n; k++) m->sum[k] += m->base[k];
    return s;
}

/* Twice through the models: for the signs, and for the mean of the changes that have them. */
static sc_status add_agreeing(merge *m, int64_t tensor, int64_t n)
{
    sc_status s = SC_OK;
    memset(m->sum, 0, sizeof *m->sum * (size_t)n);
    memset(m->same, 0, sizeof *m->same * (size_t)n);
    memset(m->share, 0, sizeof *m->share * (size_t)n);
    for (int i = 0; !s && i < m->n; i++) {
        float w = (float)weight_of(m, i);
        s = read_kept(m, i, tensor, n);
        for (int64_t k = 0; !s && k < n; k++) m->sum[k] += w * m->x[k];
    }
    for (int i = 0; !s && i < m->n; i++) {
        float w = (float)weight_of(m, i);
        s = read_kept(m, i, tensor, n);
        for (int64_t k = 0; !s && k < n; k++) {
            float d = w * m->x[k];
            if (d == 0 || (d > 0) != (m->sum[k] >= 0)) continue;
            m->same[k] += d;
            m->share[k] += fabsf(w);
        }
    }
    for (int64_t k = 0; !s && k < n; k++)
        m->sum[k] = m->base[k] + (m->share[k] > 0 ? (float)m->scale * (m->same[k] / m->share[k]) : 0);
    return s;
}

static sc_status along_arc(merge *m, int64_t tensor, int64_t n)
{
    double dot = 0, a2 = 0, b2 = 0, t = m->o->t;
    sc_status s = read_values(m, 0, tensor, m->sum, n);
    if (!s) s = read_values(m, 1, tensor, m->x, n);
    if (s) return s;
    for (int64_t k = 0; k < n; k++) {
        dot += (double)m->sum[k] * m->x[k];
        a2 += (double)m->sum[k] * m->sum[k];
        b2 += (double)m->x[k] * m->x[k];
    }
    double cosine = a2 > 0 && b2 > 0 ? dot / sqrt(a2 * b2) : 1, p = 1 - t, q = t;
    if (fabs(cosine) < 0.9995) {
        double angle = acos(cosine);
        p = sin((1 - t) * angle) / sin(angle);
        q = sin(t * angle) / sin(angle);
    }
    for (int64_t k = 0; k < n; k++) m->sum[k] = (float)(p * m->sum[k] + q * m->x[k]);
    return SC_OK;
}

static sc_status make_room(merge *m, int64_t n)
{
    float **const all[] = {&m->x, &m->sum, &m->base, &m->same, &m->share};
    int used = methods[m->how].signs ? 5 : methods[m->how].base ? 3 : 2;
    if (n <= m->cap) return SC_OK;
    m->cap = 0;
    for (int i = 0; i < used; i++) {
        sc_free(*all[i]);
        if (!(*all[i] = sc_malloc(sizeof(float) * (size_t)n))) return sc_nomem();
    }
    m->cap = n;
    return SC_OK;
}

static sc_status merged(void *user, const sc_items *items, int64_t i, sc_sink *sink, void *sink_user)
{
    merge *m = user;
    sc_item it = items->item[i];
    sc_shape shape = {.rank = it.rank};
    memcpy(shape.dim, it.dim, sizeof shape.dim);
    int64_t n = sc_shape_elements(&shape);
    if (sc_context_cancelled(m->ctx)) return sc_fail(SC_ECANCELLED, "cancelled");
    if (sc_dequantize(it.from, NULL, NULL, 0)) return sc_item_convert(m->ctx, &it, sink, sink_user); /* integers */
    sc_status s = make_room(m, n);
    if (!s && methods[m->how].base) s = read_values(m, m->n, i, m->base, n);
    if (!s)
        s = m->how == SLERP         ? along_arc(m, i, n)
            : methods[m->how].signs ? add_agreeing(m, i, n)
                                    : add_weighted(m, i, n);
    if (s) return s;
    sc_item done = {.name = it.name, .rank = it.rank, .from = SC_F32, .to = it.to, .data = m->sum};
    memcpy(done.dim, it.dim, sizeof done.dim);
    return sc_item_convert(m->ctx, &done, sink, sink_user);
}

/* ---- what is merged ---- */

static sc_status check_options(merge *m, const char *out)
{
    const sc_merge_options *o = m->o;
    double all = 0;
    int k = 0;
    while (k < METHODS && (!o->method || strcmp(methods[k].name, o->method) != 0)) k++;
    if (k == METHODS) return sc_fail(SC_EINVAL, "no way of merging is called '%s'", o->method ? o->method : "");
    m->how = (method)k;
    m->n = o->n;
    m->density = o->density != 0 ? o->density : methods[k].density;
    m->scale = o->scale != 0 ? o->scale : 1;
    if (o->n < 1 || o->n > SC_MERGE_MOST)
        return sc_fail(SC_EINVAL, "%d models; 1 to %d can be merged", o->n, SC_MERGE_MOST);
    if (k == SLERP && (o->n != 2 || o->weights))
        return sc_fail(SC_EINVAL, "slerp is between two models, without weights");
    if (k == LINEAR && o->n < 2) return sc_fail(SC_EINVAL, "linear takes two models or more");
    if (methods[k].base != (o->base != NULL))
        return sc_fail(SC_EINVAL, methods[k].base ? "%s needs a base" : "%s has no base", o->method);
    if (!(o->t >= 0 && o->t <= 1)) return sc_fail(SC_EINVAL, "t is %g, not within 0 and 1", o->t);
    if (o->density != 0 && (!methods[k].density || !(o->density > 0 && o->density <= 1)))
        return sc_fail(SC_EINVAL,
                       methods[k].density ? "a density of %g is not within 0 and 1"
                                          : "a density is for ties and dare",
                       o->density);
    for (int i = 0; i < o->n; i++) all += weight_of(m, i);
    if (!isfinite(all) || !isfinite(m->scale)) return sc_fail(SC_EINVAL, "a weight is not finite");
    if (k == LINEAR && fabs(all) < 1e-9) return sc_fail(SC_EINVAL, "the weights' sum is 0");
    for (int i = 0; i < o->n + (o->base != NULL); i++)
        if (sc_same_file(i < o->n ? o->models[i] : o->base, out))
            return sc_fail(SC_EINVAL, "%s: a model cannot be merged onto itself", out);
    return SC_OK;
}

/* The items of model i in the order of the first: by name. */
static sc_status match(merge *m, int i)
{
    sc_items *want = &m->items[m->first], *have = &m->items[i], ordered = {.arena = have->arena};
    const char *path = m->model[i]->info.path, *first = m->model[m->first]->info.path;
    sc_map names = {0};
    sc_status s = SC_OK;
    for (int64_t k = 0; !s && k < have->count; k++)
        if (!sc_map_put(&names, have->item[k].name, (int64_t)strlen(have->item[k].name), k)) s = sc_nomem();
    if (!s && !sc_grow(&ordered.item, &ordered.cap, want->count, sizeof *ordered.item)) s = sc_nomem();
    for (int64_t k = 0; !s && k < want->count; k++) {
        const sc_item *w = &want->item[k];
        int64_t at;
        if (!sc_map_get(&names, w->name, (int64_t)strlen(w->name), &at)) {
            s = sc_fail(SC_ESHAPE, "%s has no '%s', which %s has", path, w->name, first);
            break;
        }
        const sc_item *h = &have->item[at];
        bool same = h->rank == w->rank;
        for (int d = 0; d < h->rank && same; d++) same = h->dim[d] == w->dim[d];
        if (!same)
            s = sc_fail(SC_ESHAPE, "'%s' has another shape in %s (first axis %lld) than in %s (%lld)", w->name,
                        path, (long long)h->dim[0], first, (long long)w->dim[0]);
        ordered.item[ordered.count++] = *h;
    }
    if (!s && have->count != want->count)
        s = sc_fail(SC_ESHAPE, "%s has %lld tensors, %s %lld", path, (long long)have->count, first,
                    (long long)want->count);
    sc_map_free(&names);
    sc_free(s ? ordered.item : have->item);
    if (!s) *have = ordered;
    return s;
}

static sc_status open_models(merge *m, sc_type_plan *plan)
{
    int all = m->n + methods[m->how].base;
    const sc_convert_options none = {0};
    sc_status s = SC_OK;
    m->first = methods[m->how].base ? m->n : 0;
    for (int i = 0; !s && i < all; i++) {
        const char *path = i < m->n ? m->o->models[i] : m->o->base;
        if (!(m->items[i].arena = sc_arena_new())) return sc_nomem();
        s = sc_convert_open(&m->model[i], m->ctx, path, &none);
        if (!s) s = sc_items_from_model(&m->items[i], m->model[i], NULL);
        if (!s) s = sc_type_plan_dir(plan, &m->items[i]);
        if (!s) s = sc_items_check(&m->items[i]);
    }
    for (int i = 0; !s && i < all; i++) {
        const sc_model *a = m->model[m->first], *b = m->model[i];
        if (i == m->first) continue;
        if (a->family != b->family)
            s = sc_fail(SC_EUNSUPPORTED, "%s and %s are of different architectures", b->info.path, a->info.path);
        if (!s) s = match(m, i);
    }
    return s;
}

sc_status sc_merge(sc_context *ctx, const char *out, const sc_merge_options *options, sc_convert_report *report)
{
    merge m = {.ctx = ctx, .o = options};
    const sc_convert_options convert = {.type = options->type};
    sc_type_plan plan;
    bool tokenizer = true;
    sc_status s = check_options(&m, out);
    if (!s) s = sc_type_plan_new(&plan, &convert);
    if (!s) s = open_models(&m, &plan);
    if (!s)
        s = sc_write_model_dir(ctx, m.model[m.first], options->base ? options->base : options->models[0], out,
                               &m.items[m.first], merged, &m, &tokenizer);
    if (!s && report) {
        *report = (sc_convert_report){.tokenizer = tokenizer};
        sc_report_items(report, &m.items[m.first]);
    }
    for (int i = 0; i <= SC_MERGE_MOST; i++) {
        sc_model_free(m.model[i]);
        sc_free(m.items[i].item);
        sc_arena_free(m.items[i].arena);
    }
    float *const all[] = {m.x, m.base, m.sum, m.same, m.share};
    for (int i = 0; i < SC_COUNT(all); i++) sc_free(all[i]);
    return s;
}
