/* SPDX-License-Identifier: Apache-2.0 */
/* One tensor from one type and order to another: rows are read, put in the output's order, and written in its type. */
#include "models/models.h"

#include <math.h>

enum { PIECE = 8 << 20 }; /* bytes of f32 worked on at a time */

typedef struct job {
    const sc_item *it;
    int64_t rows, width;          /* of the output */
    int64_t first, count;         /* rows of this piece */
    int64_t from_bytes, to_bytes; /* of a row */
    int threads;
    const float *turned; /* the whole output in f32, where it is transposed */
    float *whole;        /* being filled: the source's rows, turned */
    float *scratch;      /* a row for each thread */
    char *out;
    atomic_bool overflow, not_finite;
} job;

/* The source's row that is row r of the output. */
static int64_t source_row(const sc_item *it, int64_t r)
{
    int64_t d = it->rotate;
    if (!d) return r;
    int64_t head = r / d, i = r % d;
    /* GGUF's row 2i+j of a head is HuggingFace's j*d/2+i. */
    return head * d + (it->to_pairs ? i % 2 * (d / 2) + i / 2 : i % (d / 2) * 2 + i / (d / 2));
}

static void check_values(job *j, const float *x)
{
    sc_dtype to = j->it->to;
    bool block = sc_dtype_get(to)->block > 1;
    if (to != SC_F16 && !block) return;
    for (int64_t i = 0; i < j->width; i++) {
        if (block && !isfinite(x[i])) atomic_store(&j->not_finite, true);
        if (to == SC_F16 && fabsf(x[i]) >= 65520 && isfinite(x[i])) atomic_store(&j->overflow, true);
    }
}

static void convert_rows(void *arg, int member)
{
    job *j = arg;
    const sc_item *it = j->it;
    float *x = j->scratch + member * j->width;
    for (int64_t i = member; i < j->count; i += j->threads) {
        int64_t r = source_row(it, j->first + i);
        char *to = j->out + i * j->to_bytes;
        const char *from = (const char *)it->data + r * j->from_bytes;
        if (!j->turned && it->from == it->to) {
            memcpy(to, from, (size_t)j->to_bytes);
            continue;
        }
        const float *row = j->turned ? j->turned + r * j->width : x;
        if (!j->turned) sc_dequantize(it->from, from, x, j->width);
        check_values(j, row);
        sc_quantize(it->to, row, to, j->width);
    }
}

/* The source has `width` rows of `rows`. */
static void turn(void *arg, int member)
{
    job *j = arg;
    float *x = j->scratch + member * j->rows;
    int64_t bytes = sc_dtype_size(j->it->from, j->rows);
    for (int64_t i = member; i < j->width; i += j->threads) {
        sc_dequantize(j->it->from, (const char *)j->it->data + i * bytes, x, j->rows);
        for (int64_t r = 0; r < j->rows; r++) j->whole[r * j->width + i] = x[r];
    }
}

static sc_status run(const sc_context *ctx, job *j, sc_sink *sink, void *user)
{
    int64_t piece = SC_MAX(PIECE / (SC_MAX(j->width, 1) * 4), j->threads);
    piece = SC_MIN(piece, j->rows);
    if (!(j->out = sc_malloc((size_t)(piece * j->to_bytes)))) return sc_nomem();
    for (j->first = 0; j->first < j->rows; j->first += piece) {
        j->count = SC_MIN(piece, j->rows - j->first);
        if (sc_context_cancelled(ctx)) return sc_fail(SC_ECANCELLED, "cancelled");
        sc_pool_run(ctx->pool, convert_rows, j);
        if (j->overflow)
            return sc_fail(SC_ELIMIT, "'%s' has values beyond what f16 holds; bf16 holds them", j->it->name);
        if (j->not_finite)
            return sc_fail(SC_ELIMIT, "'%s' has values that are not finite, which %s cannot hold", j->it->name,
                           sc_dtype_get(j->it->to)->name);
        sc_status s = sink(user, j->out, j->count * j->to_bytes);
        if (s) return s;
    }
    return SC_OK;
}

sc_status sc_item_convert(const sc_context *ctx, const sc_item *it, sc_sink *sink, void *user)
{
    sc_shape shape = {.rank = it->rank};
    memcpy(shape.dim, it->dim, sizeof shape.dim);
    int64_t n = sc_shape_elements(&shape), longest;
    if (n == 0) return SC_OK;
    job j = {.it = it, .threads = sc_pool_threads(ctx->pool)};
    /* A vector whose elements change places is a column. */
    j.width = it->rank == 0 || (it->rank == 1 && it->rotate) ? 1 : it->dim[it->rank - 1];
    j.rows = n / j.width;
    longest = it->transpose ? SC_MAX(j.rows, j.width) : j.width;
    j.from_bytes = it->transpose ? 0 : sc_dtype_size(it->from, j.width);
    j.to_bytes = sc_dtype_size(it->to, j.width);
    if (j.from_bytes < 0 || j.to_bytes < 0)
        return sc_fail(SC_EUNSUPPORTED, "'%s': rows of %lld are no whole number of blocks", it->name,
                       (long long)j.width);
    sc_status s = SC_OK;
    if (!(j.scratch = sc_malloc(sizeof *j.scratch * (size_t)(longest * j.threads)))) return sc_nomem();
    if (it->transpose) {
        if (!(j.whole = sc_malloc(sizeof *j.whole * (size_t)n)))
            s = sc_nomem();
        else
            sc_pool_run(ctx->pool, turn, &j);
        j.turned = j.whole;
    }
    if (!s) s = run(ctx, &j, sink, user);
    sc_free(j.out);
    sc_free(j.whole);
    sc_free(j.scratch);
    return s;
}

sc_status sc_items_check(const sc_items *items)
{
    for (int64_t i = 0; i < items->count; i++) {
        const sc_item *it = &items->item[i];
        if (it->from == SC_DTYPE_COUNT)
            return sc_fail(SC_EUNSUPPORTED, "'%s' has a type that is not supported", it->name);
        if (it->from == it->to && !it->transpose) continue;
        sc_status s = sc_dequantize(it->from, NULL, NULL, 0);
        if (!s) s = sc_quantize(it->to, NULL, NULL, 0);
        if (s) return sc_fail_in(s, "'%s'", it->name);
    }
    return SC_OK;
}
