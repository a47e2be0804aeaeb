/* SPDX-License-Identifier: Apache-2.0 */
/* From items to one number, and its standard error: by formula for means, else over bootstrap samples drawn by the random
 * numbers that lm-evaluation-harness draws them by, so that both give the same error. */
#include "eval/eval.h"

#include <math.h>
#include <stdlib.h>

/* ---- numbers of items pick[0..n) ---- */

static double mean(const double *item, const int64_t *pick, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += item[pick[i]];
    return n ? sum / (double)n : NAN;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double *item, const int64_t *pick, int64_t n)
{
    double *x = n ? sc_malloc((size_t)n * sizeof *x) : NULL, m = NAN;
    if (!x) return NAN;
    for (int64_t i = 0; i < n; i++) x[i] = item[pick[i]];
    qsort(x, (size_t)n, sizeof *x, by_value);
    m = x[n / 2];
    sc_free(x);
    return m;
}

static double perplexity(const double *item, const int64_t *pick, int64_t n) { return exp(-mean(item, pick, n)); }

static double weighted(const double *item, const int64_t *pick, int64_t n)
{
    double a = 0, b = 0;
    for (int64_t i = 0; i < n; i++) a += item[2 * pick[i]], b += item[2 * pick[i] + 1];
    return a / b;
}

static double weighted_perplexity(const double *item, const int64_t *pick, int64_t n)
{
    return exp(-weighted(item, pick, n));
}

static double bits_per_byte(const double *item, const int64_t *pick, int64_t n)
{
    return -weighted(item, pick, n) / log(2);
}

/* Of the class 1 where there are but 0 and 1, else the mean over classes. */
static double f1(const double *item, const int64_t *pick, int64_t n)
{
    int64_t classes = 0;
    for (int64_t i = 0; i < n; i++) {
        double top = SC_MAX(item[2 * pick[i]], item[2 * pick[i] + 1]);
        classes = SC_MAX(classes, (int64_t)SC_MIN(top, 1e6) + 1);
    }
    double sum = 0;
    int64_t used = 0;
    for (int64_t c = classes <= 2 ? 1 : 0; c < SC_MAX(classes, 2); c++) {
        double right = 0, given = 0, gold = 0;
        for (int64_t i = 0; i < n; i++) {
            bool g = item[2 * pick[i]] == (double)c, p = item[2 * pick[i] + 1] == (double)c;
            right += g && p;
            gold += g;
            given += p;
        }
        if (classes > 2 && gold + given == 0) continue;
        sum += gold + given > 0 ? 2 * right / (gold + given) : 0;
        used++;
    }
    return used ? sum / (double)used : 0;
}

/* Gorodkin's correlation of classes, which with two is Matthews'. */
static double matthews(const double *item, const int64_t *pick, int64_t n)
{
    double right = 0, both = 0, gold2 = 0, given2 = 0, all = (double)n;
    int64_t classes = 0;
    for (int64_t i = 0; i < n; i++) {
        double g = item[2 * pick[i]], p = item[2 * pick[i] + 1];
        right += g == p;
        classes = SC_MAX(classes, (int64_t)SC_MIN(SC_MAX(g, p), 1e6) + 1);
    }
    for (int64_t c = -1; c < classes; c++) { /* -1: a right answer that is none of the choices */
        double gold = 0, given = 0;
        for (int64_t i = 0; i < n; i++)
            gold += item[2 * pick[i]] == (double)c, given += item[2 * pick[i] + 1] == (double)c;
        both += gold * given;
        gold2 += gold * gold;
        given2 += given * given;
    }
    double below = sqrt(all * all - given2) * sqrt(all * all - gold2);
    return below > 0 ? (right * all - both) / below : 0;
}

static double correlation(const double *x, const double *y, int64_t n)
{
    double mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
    for (int64_t i = 0; i < n; i++) mx += x[i], my += y[i];
    mx /= (double)n;
    my /= (double)n;
    for (int64_t i = 0; i < n; i++) {
        xx += (x[i] - mx) * (x[i] - mx);
        yy += (y[i] - my) * (y[i] - my);
        xy += (x[i] - mx) * (y[i] - my);
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 0;
}

typedef struct ranked {
    double value;
    int64_t at;
} ranked;

static int by_rank(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    return (x->value > y->value) - (x->value < y->value);
}

/* Each value's place among all, equal ones the mean of theirs. */
static void to_ranks(double *x, ranked *order, int64_t n)
{
    for (int64_t i = 0; i < n; i++) order[i] = (ranked){x[i], i};
    qsort(order, (size_t)n, sizeof *order, by_rank);
    for (int64_t i = 0, j; i < n; i = j) {
        for (j = i; j < n && order[j].value == order[i].value; j++) {}
        for (int64_t k = i; k < j; k++) x[order[k].at] = (double)(i + j + 1) / 2;
    }
}

static double pair_correlation(const double *item, const int64_t *pick, int64_t n, bool ranks)
{
    double *x = sc_malloc((size_t)(2 * n + 1) * sizeof *x), r = NAN;
    ranked *order = sc_malloc((size_t)(n + 1) * sizeof *order);
    if (x && order && n) {
        for (int64_t i = 0; i < n; i++) x[i] = item[2 * pick[i]], x[n + i] = item[2 * pick[i] + 1];
        if (ranks) to_ranks(x, order, n), to_ranks(x + n, order, n);
        r = correlation(x, x + n, n);
    }
    sc_free(x);
    sc_free(order);
    return r;
}

static double pearson(const double *item, const int64_t *pick, int64_t n)
{
    return pair_correlation(item, pick, n, false);
}
static double spearman(const double *item, const int64_t *pick, int64_t n)
{
    return pair_correlation(item, pick, n, true);
}

static const sc_aggregation aggregations[] = {
    {"mean", 1, mean, false, 0},
    {"nanmean", 1, mean, true, 0},
    {"median", 1, median, true, 0},
    {"perplexity", 1, perplexity, true, 0},
    {"weighted_perplexity", 2, weighted_perplexity, false, 0},
    {"bits_per_byte", 2, bits_per_byte, false, 0},
    {"f1", 2, f1, true, 0},
    {"matthews_corrcoef", 2, matthews, true, 0},
    {"brier_score", 1, mean, false, 0},
    {"bleu", 10, sc_bleu_of, true, 100},
    {"chrf", 18, sc_chrf_of, true, 100},
    {"chrf++", 24, sc_chrfpp_of, true, 100},
    {"pearson", 2, pearson, true, 1000},
    {"spearman", 2, spearman, true, 1000},
};

const sc_aggregation *sc_aggregation_named(const char *name)
{
    for (int i = 0; i < SC_COUNT(aggregations); i++)
        if (strcmp(aggregations[i].name, name) == 0) return &aggregations[i];
    return NULL;
}

/* ---- errors ---- */

static double deviation(const double *x, int64_t n)
{
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    for (int64_t i = 0; i < n; i++) squares += (x[i] - sum / (double)n) * (x[i] - sum / (double)n);
    return n > 1 ? sqrt(squares / (double)(n - 1)) : NAN;
}

/* Samples come in chunks, each with a random stream of its own number: members take chunks in turn. */
typedef struct boot {
    const sc_aggregation *a;
    const double *item;
    int64_t n, chunk, chunks;
    int members;
    double *value; /* (chunks, chunk) */
    int64_t *pick; /* (members, n) */
    const sc_context *ctx;
} boot;

static void boot_member(void *arg, int member)
{
    const boot *b = arg;
    int64_t *pick = b->pick + member * b->n;
    for (int64_t c = member; c < b->chunks && !sc_context_cancelled(b->ctx); c += b->members) {
        sc_py_random random;
        sc_py_seed(&random, (uint64_t)c);
        for (int64_t k = 0; k < b->chunk; k++) {
            for (int64_t i = 0; i < b->n; i++) pick[i] = (int64_t)(sc_py_uniform(&random) * (double)b->n);
            b->value[c * b->chunk + k] = b->a->of(b->item, pick, b->n);
        }
    }
}

static sc_status bootstrap(const sc_aggregation *a, const double *item, int64_t n, int64_t samples, sc_context *ctx,
                           double *error)
{
    boot b = {.a = a,
              .item = item,
              .n = n,
              .chunk = SC_MIN(samples, 1000),
              .members = sc_context_threads(ctx),
              .ctx = ctx};
    b.chunks = samples / b.chunk;
    b.value = sc_malloc((size_t)(b.chunks * b.chunk) * sizeof *b.value);
    b.pick = sc_malloc((size_t)(b.members * n) * sizeof *b.pick);
    sc_status s = b.value && b.pick ? SC_OK : sc_nomem();
    if (!s) sc_pool_run(ctx->pool, boot_member, &b);
    if (!s && sc_context_cancelled(ctx)) s = sc_fail(SC_ECANCELLED, "cancelled");
    if (!s) *error = deviation(b.value, b.chunks * b.chunk);
    sc_free(b.value);
    sc_free(b.pick);
    return s;
}

sc_status sc_aggregate(const sc_aggregation *a, const double *item, int64_t n, int64_t samples, sc_context *ctx,
                       double *value, double *error)
{
    int64_t *all = sc_malloc((size_t)SC_MAX(n, 1) * sizeof *all);
    sc_status s = SC_OK;
    if (!all) return sc_nomem();
    for (int64_t i = 0; i < n; i++) all[i] = i;
    *value = a->of(item, all, n);
    *error = NAN;
    if (a->most) samples = SC_MIN(samples, a->most);
    if (a->of == mean && strcmp(a->name, "mean") == 0 && n > 1)
        *error = deviation(item, n) / sqrt((double)n);
    else if (a->bootstrap && samples > 0 && n > 1)
        s = bootstrap(a, item, n, samples, ctx, error);
    sc_free(all);
    return s;
}
