/* SPDX-License-Identifier: Apache-2.0 */
#include "train/reference.h"
#include "train/train.h"

/* Logits that a part of a batch has at most, in bytes, and tokens: memory stays small for large vocabularies, and since a row
 * depends on its sequence alone, parts give what the whole would. */
enum { MOST_LOGITS = 128 << 20, MOST_TOKENS = 1 << 14 };

struct sc_reference {
    const sc_model *m;
    sc_model *own, *base; /* m, where it is not the caller's: opened, or another look at the caller's */
    /* One plan, kept for parts of the same sizes. */
    sc_loss_graph x;
    sc_plan *plan;
    sc_text_batch shape; /* its sizes */
    bool scores;         /* it gives the log-probabilities, else the logits */
    double temperature;  /* that these are of */
    sc_tensor *value;    /* NULL: not asked for */
    sc_maker maker;      /* the part that is run */
    sc_virtual virtual;  /* the batch, where an adapter has such tokens */
};

static void free_plan(sc_reference *r)
{
    sc_plan_free(r->plan);
    sc_graph_free(r->x.t.g);
    r->plan = NULL;
    r->value = NULL;
    r->x = (sc_loss_graph){0};
}

void sc_reference_free(sc_reference *r)
{
    if (!r) return;
    free_plan(r);
    sc_maker_free(&r->maker);
    sc_virtual_free(&r->virtual);
    sc_model_free(r->own);
    sc_model_base_free(r->base);
    sc_free(r);
}

sc_status sc_reference_new(sc_reference **out, const sc_model *m)
{
    if (m->info.source_vocab || m->info.head != SC_HEAD_NEXT)
        return sc_fail(SC_EUNSUPPORTED, "%s: a reference must be a decoder with a head for next tokens",
                       m->info.path);
    sc_reference *r = sc_calloc(1, sizeof *r);
    if (!r) return sc_nomem();
    r->m = m;
    *out = r;
    return SC_OK;
}

sc_status sc_reference_open(sc_reference **out, sc_context *ctx, const char *path, int64_t vocab)
{
    sc_model *m;
    sc_reference *r = NULL;
    sc_status s = sc_model_open(&m, ctx, path, NULL);
    if (s) return s;
    if (vocab && m->info.vocab != vocab)
        s = sc_fail(SC_EINVAL, "%s has %lld tokens, the model that learns %lld: a reference must have the same",
                    path, (long long)m->info.vocab, (long long)vocab);
    if (!s) s = sc_reference_new(&r, m);
    if (s) {
        sc_model_free(m);
        return s;
    }
    r->own = m;
    *out = r;
    return SC_OK;
}

sc_status sc_reference_base(sc_reference **out, const sc_model *m)
{
    sc_model *base;
    sc_reference *r = NULL;
    sc_status s = sc_model_base(&base, m);
    if (s) return s;
    if ((s = sc_reference_new(&r, base))) {
        sc_model_base_free(base);
        return s;
    }
    r->base = base;
    *out = r;
    return SC_OK;
}

const sc_model *sc_reference_model(const sc_reference *r) { return r->m; }

/* ---- parts of a batch ---- */

typedef struct wants {
    bool scores, values;
    double temperature;
} wants;

static sc_tensor *find_value(const sc_graph *g)
{
    for (int64_t i = 0; i < g->n_taps; i++)
        if (strcmp(g->tap[i].name, "value") == 0) return g->tap[i].tensor;
    return NULL;
}

static sc_status make_plan(sc_reference *r, const sc_text_batch *b, wants w)
{
    if (r->plan && r->scores == w.scores && r->temperature == w.temperature && !r->value == !w.values &&
        r->shape.tokens == b->tokens && r->shape.sequences == b->sequences && r->shape.rows == b->rows)
        return SC_OK;
    free_plan(r);
    sc_status s = sc_text_graph_new(&r->x.t, r->m, b->tokens, b->sequences, b->rows, NULL, NULL);
    if (s) return s;
    sc_graph *g = r->x.t.g;
    sc_tensor *logits = r->x.t.logits, *out[2] = {logits};
    if (w.temperature != 1) logits = sc_affine(g, logits, (float)(1 / w.temperature), 0);
    if (w.scores) { /* minus the cross entropy, row by row */
        sc_loss_inputs(&r->x, b->rows, false);
        out[0] = sc_cross_entropy(g, logits, r->x.labels, r->x.weight);
    }
    r->x.result = out[0];
    if (w.values && !(r->value = out[1] = find_value(g)))
        s = sc_fail(SC_EUNSUPPORTED, "%s has no value head", r->m->info.path);
    sc_linear_in_order(g, SC_F32);
    if (!s) s = g->status ? sc_fail(g->status, "%s", g->fault) : SC_OK;
    if (!s) s = sc_plan_new(&r->plan, g, r->m->backend, out, w.values ? 2 : 1);
    r->shape = *b;
    r->scores = w.scores;
    r->temperature = w.temperature;
    if (s) free_plan(r);
    return s;
}

/* Sequences first .. end of a batch, whose rows are from .. to, into the maker. */
static sc_status make_part(sc_reference *r, const sc_text_batch *b, int64_t first, int64_t end, int64_t from,
                           int64_t to, sc_text_batch *out)
{
    sc_maker *m = &r->maker;
    int32_t base = b->start[first];
    sc_maker_begin(m);
    for (int64_t q = first; q < end; q++)
        sc_maker_text(m, &m->text, b->ids + b->start[q], NULL, b->start[q + 1] - b->start[q], false);
    for (int64_t i = from; i < to; i++)
        sc_maker_row(m, (b->wanted ? b->wanted[i] : i) - base, b->labels ? b->labels[i] : 0, 0);
    return sc_maker_finish(m, SC_ROWS_WANTED, out);
}

static sc_status run_part(sc_reference *r, const sc_text_batch *part, int64_t rows, wants w, float *out,
                          float *values)
{
    int64_t vocab = r->m->info.vocab;
    sc_status s = make_plan(r, part, w);
    if (s) return s;
    sc_batch_fill(r->plan, &r->x, part);
    float *weight = w.scores ? sc_plan_data(r->plan, r->x.weight) : NULL;
    for (int64_t i = 0; weight && i < part->rows; i++) weight[i] = -1;
    if ((s = sc_plan_run(r->plan))) return s;
    memcpy(out, sc_plan_data(r->plan, r->x.result), sizeof *out * (size_t)(w.scores ? rows : rows * vocab));
    if (w.values) memcpy(values, sc_plan_data(r->plan, r->value), sizeof *values * (size_t)rows);
    return SC_OK;
}

/* The rows that are of tokens before `token`, from `row` on. */
static int64_t rows_before(const sc_text_batch *b, int64_t row, int64_t token)
{
    if (!b->wanted) return SC_MIN(token, b->rows);
    while (row < b->rows && b->wanted[row] < token) row++;
    return row;
}

static sc_status run(sc_reference *r, const sc_text_batch *given, wants w, float *out, float *values)
{
    int64_t vocab = r->m->info.vocab, most = SC_MAX(MOST_LOGITS / (vocab * (int64_t)sizeof(float)), 1);
    sc_text_batch with, *b = &with;
    sc_status s = sc_virtual_batch(&r->virtual, r->m, given, b);
    for (int64_t q = 0, row = 0; !s && q < b->sequences;) {
        int64_t end = q, to = row;
        while (end < b->sequences) {
            int64_t next = rows_before(b, to, b->start[end + 1]);
            if (end > q && (next - row > most || b->start[end + 1] - b->start[q] > MOST_TOKENS)) break;
            to = next;
            end++;
        }
        if (to > row) {
            sc_text_batch part;
            s = make_part(r, b, q, end, row, to, &part);
            if (!s)
                s = run_part(r, &part, to - row, w, out + (w.scores ? row : row * vocab),
                             w.values ? values + row : NULL);
        }
        q = end;
        row = to;
    }
    return s;
}

sc_status sc_reference_log_probs(sc_reference *r, const sc_text_batch *b, float *out)
{
    return run(r, b, (wants){true, false, 1}, out, NULL);
}

sc_status sc_reference_policy(sc_reference *r, const sc_text_batch *b, double temperature, float *out,
                              float *values)
{
    return run(r, b, (wants){true, values != NULL, temperature}, out, values);
}

sc_status sc_reference_logits(sc_reference *r, const sc_text_batch *b, float *out)
{
    return run(r, b, (wants){false, false, 1}, out, NULL);
}
