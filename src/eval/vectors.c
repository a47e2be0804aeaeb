/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks that vectors of texts answer: whether pairs are as alike as people say, and whether queries find their documents. */
#include "eval/run.h"

#include <math.h>
#include <stdlib.h>

typedef struct vectors {
    const sc_eval_task *t;
    sc_context *ctx;
    sc_embedder *embedder;
    int64_t items, width;
    char **text; /* owned */
    int64_t n_texts, cap_texts;
    float *x; /* (n_texts, width), of length 1 */
    sc_eval_numbers numbers;
    sc_eval_result *result;
} vectors;

static void end(vectors *v)
{
    for (int64_t i = 0; i < v->n_texts; i++) sc_free(v->text[i]);
    for (int i = 0; i < SC_COUNT(v->numbers.x); i++) sc_free(v->numbers.x[i]);
    sc_free(v->text);
    sc_free(v->x);
    sc_eval_result_free(v->result);
}

static sc_status add_text(vectors *v, const sc_eval_value *value, const json_t *row)
{
    if (!sc_grow(&v->text, &v->cap_texts, v->n_texts + 1, sizeof *v->text)) return sc_nomem();
    sc_status s = sc_eval_value_text(&v->text[v->n_texts], value, row);
    if (!s) v->n_texts++;
    return s;
}

static sc_status embed(vectors *v)
{
    sc_text *list = sc_malloc((size_t)SC_MAX(v->n_texts, 1) * sizeof *list);
    int64_t n;
    v->width = sc_embedder_width(v->embedder);
    if (!list || !sc_mul_ok(v->n_texts, v->width * (int64_t)sizeof(float), &n) || !(v->x = sc_malloc((size_t)n))) {
        sc_free(list);
        return sc_nomem();
    }
    for (int64_t i = 0; i < v->n_texts; i++) list[i] = (sc_text){v->text[i], (int64_t)strlen(v->text[i])};
    sc_status s = sc_embedder_embed(v->embedder, list, v->n_texts, v->x);
    sc_free(list);
    for (int64_t i = 0; !s && i < v->n_texts; i++) {
        float *x = v->x + i * v->width;
        double length = 0;
        for (int64_t k = 0; k < v->width; k++) length += (double)x[k] * x[k];
        for (int64_t k = 0; k < v->width && length > 0; k++) x[k] = (float)(x[k] / sqrt(length));
    }
    return s;
}

static double dot(const float *a, const float *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)a[i] * b[i];
    return sum;
}

/* ---- similarity ---- */

static sc_status said_score(double *out, const sc_eval_task *t, const json_t *row)
{
    char *text, *stop;
    sc_status s = sc_eval_value_text(&text, &t->score, row);
    if (s) return s;
    *out = strtod(text, &stop);
    while (*stop == ' ') stop++;
    if (!*text || *stop || !isfinite(*out))
        s = sc_fail(SC_EFORMAT, "%s: score: '%.40s' is no number", t->where, text);
    sc_free(text);
    return s;
}

static sc_status run_similarity(vectors *v)
{
    sc_status s = SC_OK;
    for (int64_t i = 0; !s && i < v->items; i++) {
        const json_t *row = json_array_get(v->t->rows, (size_t)i);
        s = add_text(v, &v->t->first, row);
        if (!s) s = add_text(v, &v->t->second, row);
    }
    if (!s) s = embed(v);
    for (int64_t i = 0; !s && i < v->items; i++) {
        json_t *row = json_array_get(v->t->rows, (size_t)i);
        double said, cosine = dot(v->x + 2 * i * v->width, v->x + (2 * i + 1) * v->width, v->width);
        s = said_score(&said, v->t, row);
        if (s) break;
        for (int k = 0; k < v->t->n_metrics; k++) {
            v->numbers.x[k][2 * i] = said;
            v->numbers.x[k][2 * i + 1] = cosine;
        }
        sc_eval_sample sample = {.item = i, .score = NAN, .gold = -1, .chosen = -1};
        s = sc_eval_result_set(
            v->result, i, &sample,
            json_pack("{s:I, s:O, s:f, s:f}", "item", (json_int_t)i, "row", row, "score", said, "cosine", cosine));
    }
    return s;
}

/* ---- retrieval ---- */

/* How relevant a document is to a query: said by a list of names, one name, or names with grades. */
static double grade(const json_t *relevant, const char *id)
{
    if (json_is_object(relevant)) return json_number_value(json_object_get(relevant, id));
    for (size_t i = 0; i < json_array_size(relevant); i++) {
        const json_t *v = json_array_get(relevant, i);
        char number[32];
        if (json_is_integer(v)) snprintf(number, sizeof number, "%lld", (long long)json_integer_value(v));
        if (strcmp(json_is_integer(v) ? number : json_is_string(v) ? json_string_value(v) : "", id) == 0) return 1;
    }
    return 0;
}

static int falling(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* nDCG with the grades themselves as gains (as trec_eval), the first right place's reciprocal, the share that is found. */
static void rank_metrics(vectors *v, int64_t item, const double *found, int64_t n_found, double *all, int64_t n_all)
{
    int64_t relevant = 0;
    qsort(all, (size_t)n_all, sizeof *all, falling);
    for (int64_t i = 0; i < n_all; i++) relevant += all[i] > 0;
    for (int k = 0; k < v->t->n_metrics; k++) {
        const sc_task_metric *m = &v->t->metric[k];
        double gain = 0, best = 0, first = 0, hits = 0;
        for (int64_t i = 0; i < m->depth; i++) {
            double discount = log2((double)i + 2), g = i < n_found ? found[i] : 0;
            gain += g / discount;
            if (i < n_all) best += SC_MAX(all[i], 0) / discount;
            if (g > 0 && first == 0) first = 1 / (double)(i + 1);
            hits += g > 0;
        }
        v->numbers.x[k][item] = strcmp(m->name, "ndcg") == 0  ? (best > 0 ? gain / best : 0)
                                : strcmp(m->name, "mrr") == 0 ? first
                                                              : (relevant ? hits / (double)relevant : 0);
    }
}

static sc_status relevant_of(json_t **out, const sc_eval_task *t, const json_t *row)
{
    sc_status s = sc_eval_value_get(out, &t->relevant, row);
    if (s || json_is_object(*out) || json_is_array(*out)) return s;
    json_t *list = json_pack("[o]", *out);
    *out = list;
    return list ? SC_OK : sc_nomem();
}

static sc_status run_query(vectors *v, char *const *id, int64_t documents, int64_t item, int64_t depth)
{
    json_t *row = json_array_get(v->t->rows, (size_t)item), *relevant = NULL;
    sc_neighbor *near = sc_malloc((size_t)depth * sizeof *near);
    double *found = sc_malloc((size_t)depth * sizeof *found), *all = sc_malloc((size_t)documents * sizeof *all);
    int64_t n = 0;
    sc_status s = near && found && all ? relevant_of(&relevant, v->t, row) : sc_nomem();
    if (!s)
        s = sc_nearest(v->ctx, v->x, documents, v->width, v->x + (documents + item) * v->width, depth, near, &n);
    json_t *places = json_array();
    for (int64_t i = 0; !s && i < n; i++) {
        found[i] = grade(relevant, id[near[i].row]);
        json_array_append_new(places, json_string(id[near[i].row]));
    }
    for (int64_t i = 0; !s && i < documents; i++) all[i] = grade(relevant, id[i]);
    if (!s) {
        rank_metrics(v, item, found, n, all, documents);
        sc_eval_sample sample = {.item = item, .score = v->numbers.x[0][item], .gold = -1, .chosen = -1};
        s = sc_eval_result_set(v->result, item, &sample,
                               json_pack("{s:I, s:O, s:O, s:f}", "item", (json_int_t)item, "row", row, "found",
                                         places, "metric", sample.score));
    }
    json_decref(places);
    json_decref(relevant);
    sc_free(near);
    sc_free(found);
    sc_free(all);
    return s;
}

/* Documents first, then queries, in one table of vectors. */
static sc_status run_retrieval(vectors *v)
{
    int64_t documents = (int64_t)json_array_size(v->t->corpus), depth = 1;
    char **id = sc_calloc((size_t)SC_MAX(documents, 1), sizeof *id);
    sc_status s = id ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < documents; i++) {
        const json_t *row = json_array_get(v->t->corpus, (size_t)i);
        s = add_text(v, &v->t->document, row);
        if (!s && sc_eval_value_given(&v->t->document_id)) s = sc_eval_value_text(&id[i], &v->t->document_id, row);
        if (!s && !id[i]) {
            sc_str number = {0};
            sc_str_printf(&number, "%lld", (long long)i);
            if (!(id[i] = sc_str_take(&number, NULL))) s = sc_nomem();
        }
    }
    for (int64_t i = 0; !s && i < v->items; i++)
        s = add_text(v, &v->t->query, json_array_get(v->t->rows, (size_t)i));
    if (!s) s = embed(v);
    for (int k = 0; k < v->t->n_metrics; k++) depth = SC_MAX(depth, v->t->metric[k].depth);
    for (int64_t i = 0; !s && i < v->items; i++) s = run_query(v, id, documents, i, SC_MIN(depth, documents));
    for (int64_t i = 0; id && i < documents; i++) sc_free(id[i]);
    sc_free(id);
    return s;
}

sc_status sc_eval_run_vectors(sc_eval_result **out, sc_context *ctx, const sc_eval_task *t, sc_embedder *embedder,
                              const sc_eval_options *options)
{
    sc_eval_options o = options ? *options : sc_eval_options_default();
    vectors v = {.t = t, .ctx = ctx, .embedder = embedder, .items = sc_eval_task_items(t, SC_EVAL_TEST)};
    double began = sc_now();
    if (t->kind < SC_EVAL_SIMILARITY)
        return sc_fail(SC_EINVAL, "%s: is answered by texts, not by vectors", t->name);
    if (o.limit) v.items = SC_MIN(v.items, o.limit);
    sc_status s = sc_eval_result_new(&v.result, t, v.items);
    for (int k = 0; !s && k < t->n_metrics; k++) {
        v.numbers.x[k] = sc_calloc((size_t)(v.items * t->metric[k].aggregation->width) + 1, sizeof(double));
        if (!v.numbers.x[k]) s = sc_nomem();
    }
    if (!s) s = t->kind == SC_EVAL_SIMILARITY ? run_similarity(&v) : run_retrieval(&v);
    if (!s) s = sc_eval_result_measure(v.result, t, &v.numbers, v.items, o.bootstrap, ctx);
    if (!s) {
        v.result->requests = v.n_texts;
        v.result->seconds = sc_now() - began;
        *out = v.result;
        v.result = NULL;
    }
    end(&v);
    return s;
}
