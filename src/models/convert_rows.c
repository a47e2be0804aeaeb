/* SPDX-License-Identifier: Apache-2.0 */
/* One tensor from one type and order to another: rows are read, put in the output's order, and written in its type. */
#include "models/models.h"

#include <math.h>

/* A thread takes a unit of rows at a time; a piece of several units is written while the next is converted. Which
 * thread has which unit changes no byte. */
enum { UNIT = 64 << 10, UNITS = 16 }; /* values of f32; units of a piece, at least */

typedef struct job {
    const sc_item *it;
    int64_t rows, width;          /* of the output */
    int64_t from_bytes, to_bytes; /* of a row */
    int64_t unit;                 /* rows */
    int64_t first, count;         /* rows of this piece */
    atomic_llong next;            /* the first row of it that nobody has taken */
    int64_t scratch_values;       /* of each thread */
    float *scratch;
    char *out[2];    /* the piece being filled, and the one being written */
    int64_t waiting; /* bytes of the latter */
    sc_sink *sink;
    void *user;
    sc_status written;
    atomic_bool overflow, not_finite;
} job;

int64_t sc_tiles_source(const sc_tiles *t, int64_t i)
{
    if (i < t->offset) return i;
    int64_t block = (i - t->offset) / t->size, in = (i - t->offset) % t->size;
    block = t->to_tiled ? block % t->groups * t->each + block / t->groups
                        : block % t->each * t->groups + block / t->each;
    return t->offset + block * t->size + in;
}

static bool moves_rows(const sc_item *it)
{
    return it->rotate || it->heads || (it->tiles.size && !it->tiles.columns);
}

/* The source's row that is row r of the output. */
static int64_t source_row(const sc_item *it, int64_t r)
{
    int64_t d = it->rotate;
    if (it->tiles.size && !it->tiles.columns) return sc_tiles_source(&it->tiles, r);
    if (it->heads) { /* row j of part p of head h is row (h, p, j) or (p, h, j) */
        d = it->dim[0] / (3 * it->heads);
        int64_t j = r % d, a = r / d;
        return it->to_joined ? (a % it->heads * 3 + a / it->heads) * d + j : (a % 3 * it->heads + a / 3) * d + j;
    }
    if (!d) return r;
    int64_t head = r / d, i = r % d;
    /* GGUF's row 2i+j of a head is HuggingFace's j*d/2+i. */
    return head * d + (it->to_pairs ? i % 2 * (d / 2) + i / 2 : i % (d / 2) * 2 + i / (d / 2));
}

/* Whether a magnitude is of [lo, end), both as bits. */
static bool any_within(const float *x, int64_t n, uint32_t lo, uint32_t end)
{
    uint32_t found = 0, u;
    for (int64_t i = 0; i < n; i++) {
        memcpy(&u, x + i, sizeof u);
        found |= (u & 0x7fffffff) - lo < end - lo;
    }
    return found;
}

static void check_values(job *j, const float *x, int64_t n)
{
    const uint32_t infinity = 0x7f800000, too_large = 0x477ff000; /* 65520 */
    sc_dtype to = j->it->to;
    if (sc_dtype_get(to)->block > 1 && any_within(x, n, infinity, 0x80000000)) atomic_store(&j->not_finite, true);
    if (to == SC_F16 && any_within(x, n, too_large, infinity)) atomic_store(&j->overflow, true);
}

/* Rows of the output, whose source has `width` rows of `rows`: pieces of its rows become columns. Units begin and end
 * with blocks and heads. */
static void read_turned(const job *j, int64_t first, int64_t n, float *x)
{
    const sc_item *it = j->it;
    float *line = x + n * j->width;
    int64_t step = SC_MAX(it->step, 1), bytes = sc_dtype_size(it->from, j->rows * step),
            one = sc_dtype_size(it->from, step);
    const char *from = (const char *)it->data + sc_dtype_size(it->from, first * step);
    for (int64_t i = 0; i < j->width; i++, from += bytes) {
        for (int64_t r = 0; r < n && step > 1; r++) sc_dequantize(it->from, from + r * one, line + r, 1);
        if (step == 1) sc_dequantize(it->from, from, line, n);
        for (int64_t r = 0; r < n; r++) x[r * j->width + i] = line[source_row(it, first + r) - first];
    }
}

static void read_rows(const job *j, int64_t first, int64_t n, float *x)
{
    const sc_item *it = j->it;
    const char *from = it->data;
    if (it->transpose)
        read_turned(j, first, n, x);
    else if (!moves_rows(it))
        sc_dequantize(it->from, from + first * j->from_bytes, x, n * j->width);
    else
        for (int64_t r = 0; r < n; r++)
            sc_dequantize(it->from, from + source_row(it, first + r) * j->from_bytes, x + r * j->width, j->width);
}

static void turn_columns(const job *j, int64_t n, float *x)
{
    float *line = x + n * j->width;
    for (int64_t r = 0; r < n; r++, x += j->width) {
        for (int64_t i = 0; i < j->width; i++) line[i] = x[sc_tiles_source(&j->it->tiles, i)];
        memcpy(x, line, sizeof *x * (size_t)j->width);
    }
}

static void convert_unit(job *j, int64_t at, float *x)
{
    const sc_item *it = j->it;
    int64_t first = j->first + at, n = SC_MIN(j->unit, j->count - at);
    char *to = j->out[0] + at * j->to_bytes;
    bool values = it->add != 0 || it->neg_exp || (it->tiles.size && it->tiles.columns) || it->adapters;
    if (!it->transpose && it->from == it->to && !values) {
        for (int64_t r = 0; r < n; r++)
            memcpy(to + r * j->to_bytes, (const char *)it->data + source_row(it, first + r) * j->from_bytes,
                   (size_t)j->to_bytes);
        return;
    }
    read_rows(j, first, n, x);
    for (int64_t r = 0; it->adapters && r < n; r++)
        sc_adapters_merge_row(it, source_row(it, first + r), j->width, x + r * j->width);
    for (int64_t i = 0; it->add != 0 && i < n * j->width; i++) x[i] += it->add;
    for (int64_t i = 0; it->neg_exp && i < n * j->width; i++) x[i] = it->neg_exp > 0 ? -expf(x[i]) : logf(-x[i]);
    if (it->tiles.size && it->tiles.columns) turn_columns(j, n, x);
    check_values(j, x, n * j->width);
    sc_quantize(it->to, x, to, n * j->width);
}

static void convert_piece(void *arg, int member)
{
    job *j = arg;
    float *x = j->scratch + member * j->scratch_values;
    if (member == 0 && j->waiting) j->written = j->sink(j->user, j->out[1], j->waiting);
    for (int64_t at; (at = atomic_fetch_add(&j->next, j->unit)) < j->count;) convert_unit(j, at, x);
}

static sc_status run(const sc_context *ctx, job *j)
{
    int64_t piece = j->unit * SC_MAX(UNITS, 4 * sc_pool_threads(ctx->pool));
    piece = SC_MIN(piece, j->rows);
    for (int i = 0; i < 2; i++)
        if (!(j->out[i] = sc_malloc((size_t)(piece * j->to_bytes)))) return sc_nomem();
    for (j->first = 0; j->first < j->rows; j->first += piece) {
        j->count = SC_MIN(piece, j->rows - j->first);
        atomic_store(&j->next, 0);
        if (sc_context_cancelled(ctx)) return sc_fail(SC_ECANCELLED, "cancelled");
        sc_pool_run(ctx->pool, convert_piece, j);
        if (j->written) return j->written;
        if (j->overflow)
            return sc_fail(SC_ELIMIT, "'%s' has values beyond what f16 holds; bf16 holds them", j->it->name);
        if (j->not_finite)
            return sc_fail(SC_ELIMIT, "'%s' has values that are not finite, which %s cannot hold", j->it->name,
                           sc_dtype_get(j->it->to)->name);
        char *full = j->out[0];
        j->out[0] = j->out[1];
        j->out[1] = full;
        j->waiting = j->count * j->to_bytes;
    }
    return j->sink(j->user, j->out[1], j->waiting);
}

/* How many rows make a unit: a transposed source is cut between its blocks and its heads. */
static int64_t unit_rows(const job *j)
{
    const sc_item *it = j->it;
    int64_t block = sc_dtype_get(it->from)->block, d = SC_MAX(it->rotate, 1), step = 1;
    if (it->transpose) step = block % d == 0 ? block : d % block == 0 ? d : block * d;
    int64_t n = SC_MAX(UNIT / SC_MAX(j->width, 1) / step, 1) * step;
    return SC_MIN(n, j->rows);
}

sc_status sc_item_convert(const sc_context *ctx, const sc_item *it, sc_sink *sink, void *user)
{
    sc_status status = SC_OK;
    if (it->columns) return sc_item_columns(it, sink, user);
    for (int64_t i = 0; !status && it->part && i < it->parts; i++) {
        sc_item one = *it;
        one.part = NULL;
        one.data = it->part[i];
        one.expert = i;
        memmove(one.dim, it->dim + 1, sizeof *one.dim * (size_t)--one.rank);
        status = sc_item_convert(ctx, &one, sink, user);
    }
    if (it->part) return status;
    sc_shape shape = {.rank = it->rank};
    memcpy(shape.dim, it->dim, sizeof shape.dim);
    int64_t n = sc_shape_elements(&shape);
    if (n == 0) return SC_OK;
    job j = {.it = it, .sink = sink, .user = user};
    /* A vector whose elements change places is a column. */
    j.width = it->rank == 0 || (it->rank == 1 && moves_rows(it)) ? 1 : it->dim[it->rank - 1];
    j.rows = n / j.width;
    j.from_bytes = it->transpose ? 0 : sc_dtype_size(it->from, j.width);
    j.to_bytes = sc_dtype_size(it->to, j.width);
    if (j.from_bytes < 0 || j.to_bytes < 0)
        return sc_fail(SC_EUNSUPPORTED, "'%s': rows of %lld are no whole number of blocks", it->name,
                       (long long)j.width);
    j.unit = unit_rows(&j);
    j.scratch_values = j.unit * (j.width + 1) + j.width; /* and a line or a column */
    size_t bytes = sizeof *j.scratch * (size_t)(j.scratch_values * sc_pool_threads(ctx->pool));
    sc_status s = (j.scratch = sc_malloc(bytes)) ? run(ctx, &j) : sc_nomem();
    sc_free(j.out[0]);
    sc_free(j.out[1]);
    sc_free(j.scratch);
    return s;
}

sc_status sc_items_check(const sc_items *items)
{
    for (int64_t i = 0; i < items->count; i++) {
        const sc_item *it = &items->item[i];
        if (it->from == SC_DTYPE_COUNT)
            return sc_fail(SC_EUNSUPPORTED, "'%s' has a type that is not supported", it->name);
        if (it->from == it->to && !it->transpose && !it->neg_exp && !it->tiles.columns && !it->adapters) continue;
        sc_status s = sc_dequantize(it->from, NULL, NULL, 0);
        if (!s) s = sc_quantize(it->to, NULL, NULL, 0);
        if (s) return sc_fail_in(s, "'%s'", it->name);
    }
    return SC_OK;
}
