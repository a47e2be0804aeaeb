/* SPDX-License-Identifier: Apache-2.0 */
/* Attention over ragged batches, with or without a cache; the softmax is taken tile by tile and never stored.
 * attention: q (T, H, D); k, v (T, Hkv, D), or caches (pages, Hkv, tile, D); start, past, pages, sinks, the keys' own
 * start table, bias.
 * attention_parts: the same over a cache, but the result is that of each segment of the keys, (T, H, S, D + 2): the S
 * largest scores and S sums of a head, which stand together, then S rows not yet divided.
 * attention_join: parts, sinks.
 * attention_grad: the inputs of attention, dy (T, H, Dv).
 * kv_write: cache; x (T, Hkv, D); slot (T). The result is the cache itself, so that readers depend on the write. */
#include "ops/ops.h"

static bool is_cache(const sc_tensor *k) { return k->shape.rank == 4; }
static int64_t value_width(const sc_tensor *v) { return v->shape.rank ? v->shape.dim[v->shape.rank - 1] : 0; }

static sc_status want_table(const sc_tensor *t, const char *what, int rank)
{
    if (!t) return sc_fail(SC_EINVAL, "no %s table", what);
    sc_status s = sc_want_dtype(t, what, SC_I32);
    return s ? s : sc_want_rank(t, what, rank);
}

/* Keys without a cache are one for each query, or have a start table of their own. */
static sc_status check_keys(const sc_tensor *y, const sc_tensor *k, int64_t sequences)
{
    if (!SC_ATTR(y, sc_attention_attr)->cross) return sc_want_dim(k, "the key", 0, y->in[0]->shape.dim[0]);
    sc_status s = want_table(y->in[7], "the keys' start", 1);
    return s ? s : sc_want_dim(y->in[7], "the keys' start", 0, sequences + 1);
}

static sc_status check(sc_tensor *y)
{
    const sc_tensor *q = y->in[0], *k = y->in[1], *v = y->in[2];
    sc_status s;
    if ((s = sc_want_dtype(q, "the query", SC_F32)) || (s = sc_want_rank(q, "the query", 3)) ||
        (s = want_table(y->in[3], "start", 1)))
        return s;
    bool cached = is_cache(k);
    int64_t sequences = y->in[3]->shape.dim[0] - 1;
    if (sequences < 1) return sc_fail(SC_ESHAPE, "the start table has no sequence");
    if (cached &&
        ((s = want_table(y->in[4], "past", 1)) || (s = want_table(y->in[5], "page", 2)) ||
         (s = sc_want_dim(y->in[4], "past", 0, sequences)) || (s = sc_want_dim(y->in[5], "page", 0, sequences)) ||
         (s = sc_want_dim(k, "the cache", 2, SC_ATTENTION_TILE))))
        return s;
    if (!cached && ((s = sc_want_dtype(k, "the key", SC_F32)) || (s = sc_want_rank(k, "the key", 3)) ||
                    (s = check_keys(y, k, sequences))))
        return s;
    int last = cached ? 3 : 2;
    if (k->shape.rank != v->shape.rank || memcmp(k->shape.dim, v->shape.dim, sizeof k->shape.dim[0] * (size_t)last))
        return sc_fail(SC_ESHAPE, "keys and values differ in more than their width");
    if ((s = sc_want_dtype(v, "the value", cached ? v->dtype : SC_F32))) return s;
    int64_t heads = q->shape.dim[1], kv_heads = k->shape.dim[1];
    if ((s = sc_want_dim(k, "the key", last, q->shape.dim[2]))) return s;
    if (heads < 1 || kv_heads < 1 || heads % kv_heads)
        return sc_fail(SC_ESHAPE, "%lld query heads over %lld key heads", (long long)heads, (long long)kv_heads);
    /* Pages may lie apart, and values may be a part of the keys. */
    for (int i = 0; cached && i < 3; i++)
        if (k->stride[i] % sc_dtype_get(k->dtype)->block || v->stride[i] % sc_dtype_get(v->dtype)->block)
            return sc_fail(SC_ESHAPE, "the cache's rows are not whole blocks");
    if (!sc_rows_dense(q) || !sc_rows_dense(k) || !sc_rows_dense(v))
        return sc_fail(SC_ESHAPE, "the heads are not dense");
    return SC_OK;
}

static sc_status check_sinks(const sc_tensor *sinks, int64_t heads)
{
    sc_status s;
    if (!sinks) return SC_OK;
    if ((s = sc_want_dtype(sinks, "the sinks", SC_F32)) || (s = sc_want_rank(sinks, "the sinks", 1)) ||
        (s = sc_want_dim(sinks, "the sinks", 0, heads)))
        return s;
    return sc_is_contiguous(sinks) ? SC_OK : sc_fail(SC_ESHAPE, "the sinks are not contiguous");
}

static sc_status check_bias(const sc_tensor *bias, const sc_attention_attr *a, int64_t heads)
{
    sc_status s;
    if (a->cross && (a->causal || a->window > 0 || bias))
        return sc_fail(SC_EINVAL, "another batch's keys have no place relative to the queries");
    if ((s = sc_attention_keys_check(a))) return s;
    if (!bias) return SC_OK;
    if ((s = sc_want_dtype(bias, "the bias", SC_F32)) || (s = sc_want_rank(bias, "the bias", 2)) ||
        (s = sc_want_dim(bias, "the bias", 0, heads)))
        return s;
    return bias->shape.dim[1] % 2 && sc_is_contiguous(bias) ? SC_OK
                                                            : sc_fail(SC_ESHAPE, "the bias is not of -M to M");
}

static sc_status infer(sc_tensor *y)
{
    sc_status s = check(y);
    if (!s) s = check_sinks(y->in[6], y->in[0]->shape.dim[1]);
    if (!s) s = check_bias(y->in[8], SC_ATTR(y, sc_attention_attr), y->in[0]->shape.dim[1]);
    if (s || (s = sc_infer_like_input(y))) return s;
    y->shape.dim[2] = value_width(y->in[2]);
    return SC_OK;
}

static sc_cost cost(const sc_step *s)
{
    const sc_tensor *q = s->in[0], *k = s->in[1];
    int64_t queries = q->shape.dim[0], keys = k->shape.dim[0];
    if (is_cache(k)) keys = s->in[5]->shape.dim[1] * SC_ATTENTION_TILE; /* a full cache */
    double widths = (double)(q->shape.dim[2] + value_width(s->in[2]));
    int64_t sequences = SC_MAX(s->in[3]->shape.dim[0] - 1, 1); /* as if all were of a length */
    queries = (queries + sequences - 1) / sequences;
    if (!is_cache(k)) keys = (keys + sequences - 1) / sequences;
    double pairs = (double)sequences * sc_attention_pairs(SC_ATTR(s, sc_attention_attr), SC_MAX(keys - queries, 0),
                                                          SC_MAX(keys, queries), keys);
    sc_cost c = {.flops = 2 * pairs * (double)q->shape.dim[1] * widths};
    c.bytes = 2 * sc_tensor_bytes(q) + 2 * sc_tensor_bytes(k);
    return c;
}

/* Part of the run that attention_grad gives, from *at on. */
static sc_tensor *part_of(sc_graph *g, sc_tensor *all, int64_t *at, int rank, const int64_t *dim)
{
    int64_t n = 1, from = *at;
    for (int i = 0; i < rank; i++) n *= dim[i];
    *at += n;
    return sc_reshape(g, sc_slice(g, all, 0, from, n), rank, dim);
}

static void backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy)
{
    sc_graph *g = sc_gradient_graph(b);
    sc_tensor *in[10], *sinks = y->in[6], *bias = y->in[8];
    memcpy(in, y->in, 9 * sizeof *in);
    in[9] = sc_contiguous(g, dy);
    sc_tensor *all = sc_graph_node(g, &sc_op_attention_grad, in, 10, y->attr, sizeof(sc_attention_attr));
    int64_t at = 0, heads = y->shape.dim[1];
    for (int i = 0; i < 3; i++) sc_gradient_add(b, in[i], part_of(g, all, &at, 3, in[i]->shape.dim));
    if (sinks) {
        sc_tensor *rows = part_of(g, all, &at, 2, (int64_t[]){y->shape.dim[0], heads});
        if (sc_gradient_wanted(b, sinks)) sc_gradient_add(b, sinks, sc_sum_leading(g, rows, 1));
    }
    if (sc_gradient_wanted(b, bias)) {
        int64_t of_sequences[] = {in[3]->shape.dim[0] - 1, heads, bias->shape.dim[1]};
        sc_gradient_add(b, bias, sc_sum_leading(g, part_of(g, all, &at, 3, of_sequences), 2));
    }
}

/* One run of dq, dk, dv, with sinks (T, H) for them, with a bias (S, H, 2M + 1) for it: a kernel makes them all at once. */
static sc_status grad_infer(sc_tensor *y)
{
    const sc_tensor *q = y->in[0], *sinks = y->in[6], *bias = y->in[8];
    sc_status s = infer(y);
    if (s) return s;
    if (is_cache(y->in[1])) return sc_fail(SC_EUNSUPPORTED, "no derivative of attention over a cache");
    if (!sc_shape_equal(&y->in[9]->shape, &y->shape)) return sc_fail(SC_ESHAPE, "the gradient has another shape");
    int64_t n = sc_tensor_count(q) + sc_tensor_count(y->in[1]) + sc_tensor_count(y->in[2]);
    if (sinks) n += q->shape.dim[0] * q->shape.dim[1];
    if (bias) n += (y->in[3]->shape.dim[0] - 1) * sc_tensor_count(bias);
    y->shape = (sc_shape){1, {n}};
    return SC_OK;
}

static sc_cost grad_cost(const sc_step *s)
{
    sc_cost c = cost(s);
    c.flops *= 2.5; /* five products of its size where attention has two */
    c.bytes *= 2;
    return c;
}

const sc_op sc_op_attention_grad = {.name = "attention_grad",
                                    .id = SC_OP_attention_grad,
                                    .derivative = "none: second derivatives are not taken",
                                    .infer = grad_infer,
                                    .cost = grad_cost,
                                    .optional = 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8};

const sc_op sc_op_attention = {.name = "attention",
                               .id = SC_OP_attention,
                               .derivative =
                                   "with p = softmax(scores) and dp = dy v^T: dv = p^T dy; ds = p * (dp - row sums "
                                   "of p * dp); dq = scale ds k; dk = scale ds^T q; a cap multiplies ds by 1 - (s "
                                   "/ cap)^2; a sink's score gets minus its share of the row sums; "
                                   "dbias = ds summed by distance",
                               .backward = backward,
                               .infer = infer,
                               .cost = cost,
                               .optional = 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8};

/* ---- in parts ---- */

static int64_t segments_of(const sc_tensor *pages)
{
    return (pages->shape.dim[1] * SC_ATTENTION_TILE + SC_ATTENTION_SEGMENT - 1) / SC_ATTENTION_SEGMENT;
}

static sc_status parts_infer(sc_tensor *y)
{
    const sc_tensor *q = y->in[0];
    sc_status s = check(y);
    if (!s) s = check_bias(y->in[8], SC_ATTR(y, sc_attention_attr), q->shape.dim[1]);
    if (s) return s;
    if (!is_cache(y->in[1])) return sc_fail(SC_ESHAPE, "parts of what is not a cache");
    y->dtype = SC_F32;
    y->shape = (sc_shape){4, {q->shape.dim[0], q->shape.dim[1], segments_of(y->in[5]), value_width(y->in[2]) + 2}};
    return SC_OK;
}

const sc_op sc_op_attention_parts = {.name = "attention_parts",
                                     .id = SC_OP_attention_parts,
                                     .derivative = "none: only over a cache, which generation alone uses",
                                     .infer = parts_infer,
                                     .cost = cost,
                                     .optional = 1 << 6 | 1 << 7 | 1 << 8};

static sc_status join_infer(sc_tensor *y)
{
    const sc_tensor *parts = y->in[0];
    sc_status s;
    if ((s = sc_want_dtype(parts, "the parts", SC_F32)) || (s = sc_want_rank(parts, "the parts", 4)) ||
        (s = check_sinks(y->in[1], parts->shape.dim[1])))
        return s;
    if (parts->shape.dim[3] < 2 || !sc_is_contiguous(parts)) return sc_fail(SC_ESHAPE, "these are no parts");
    y->dtype = SC_F32;
    y->shape = (sc_shape){3, {parts->shape.dim[0], parts->shape.dim[1], parts->shape.dim[3] - 2}};
    return SC_OK;
}

static sc_cost join_cost(const sc_step *s)
{
    double n = (double)sc_tensor_count(s->in[0]);
    return (sc_cost){.flops = 3 * n, .bytes = 4 * n + sc_tensor_bytes(s->out)};
}

const sc_op sc_op_attention_join = {.name = "attention_join",
                                    .id = SC_OP_attention_join,
                                    .derivative = "none: only over a cache, which generation alone uses",
                                    .infer = join_infer,
                                    .cost = join_cost,
                                    .optional = 1 << 1};

/* Worth it where there are fewer pairs of token and key head than a large machine can share among its threads, and the
 * parts, which are as many as the longest sequence may have, are not much memory. */
static bool want_parts(const sc_tensor *q, const sc_tensor *k, const sc_tensor *v, const sc_tensor *pages)
{
    enum { FEW = 64, MOST = 4 << 20 };
    if (!q || !k || !v || !pages || q->shape.rank != 3 || !is_cache(k) || pages->shape.rank != 2) return false;
    int64_t segments = segments_of(pages), n = q->shape.dim[0] * k->shape.dim[1], floats;
    return segments > 1 && n < FEW && sc_mul_ok(q->shape.dim[0] * q->shape.dim[1], segments, &floats) &&
           sc_mul_ok(floats, value_width(v) + 2, &floats) && floats <= MOST;
}

/* Two nodes where that is worth it: the sinks then join the result and not the parts. */
static sc_tensor *attend(sc_graph *g, sc_tensor *const *in, const sc_attention_attr *attr)
{
    enum { INPUTS = 9, SINKS = 6 };
    if (!want_parts(in[0], in[1], in[2], in[5]))
        return sc_graph_node(g, &sc_op_attention, in, INPUTS, attr, sizeof *attr);
    sc_tensor *without[INPUTS];
    memcpy(without, in, sizeof without);
    without[SINKS] = NULL;
    sc_tensor *parts = sc_graph_node(g, &sc_op_attention_parts, without, INPUTS, attr, sizeof *attr);
    return sc_graph_node(g, &sc_op_attention_join, (sc_tensor *[]){parts, in[SINKS]}, 2, NULL, 0);
}

sc_tensor *sc_attention(sc_graph *g, sc_tensor *q, sc_tensor *k, sc_tensor *v, const sc_seqs *seqs,
                        const sc_attention_attr *attr)
{
    return attend(g, (sc_tensor *[9]){q, k, v, sc_contiguous(g, seqs->start), [6] = attr->sinks, [8] = attr->bias},
                  attr);
}

sc_tensor *sc_attention_cached(sc_graph *g, sc_tensor *q, sc_kv kv, const sc_seqs *seqs,
                               const sc_attention_attr *attr)
{
    return attend(g,
                  (sc_tensor *[9]){q, kv.k, kv.v, sc_contiguous(g, seqs->start), sc_contiguous(g, seqs->past),
                                   sc_contiguous(g, seqs->pages), attr->sinks, [8] = attr->bias},
                  attr);
}

sc_tensor *sc_attention_cross(sc_graph *g, sc_tensor *q, sc_kv kv, const sc_seqs *seqs, const sc_seqs *memory,
                              const sc_attention_attr *attr)
{
    return attend(g,
                  (sc_tensor *[9]){q, kv.k, kv.v, sc_contiguous(g, seqs->start), sc_contiguous(g, memory->past),
                                   sc_contiguous(g, memory->pages), attr->sinks, sc_contiguous(g, memory->start),
                                   attr->bias},
                  attr);
}

/* ---- kv_write ---- */

static sc_status write_infer(sc_tensor *y)
{
    sc_tensor *cache = y->in[0], *x = y->in[1];
    sc_status s;
    if ((s = sc_want_rank(cache, "the cache", 4)) || (s = sc_want_dim(cache, "the cache", 2, SC_ATTENTION_TILE)) ||
        (s = sc_want_dtype(x, "the input", SC_F32)) || (s = sc_want_rank(x, "the input", 3)) ||
        (s = sc_want_dim(cache, "the cache", 1, x->shape.dim[1])) ||
        (s = sc_want_dim(cache, "the cache", 3, x->shape.dim[2])) || (s = want_table(y->in[2], "slot", 1)) ||
        (s = sc_want_dim(y->in[2], "slot", 0, x->shape.dim[0])))
        return s;
    if (cache->leaf != SC_STATE) return sc_fail(SC_EINVAL, "the cache is not kept between runs");
    if (!sc_rows_dense(x)) return sc_fail(SC_ESHAPE, "the heads are not dense");
    y->view_of = cache; /* the same storage, but unlike a view it has work to do */
    return sc_infer_like_input(y);
}

static sc_cost write_cost(const sc_step *s)
{
    return (sc_cost){.flops = 0, .bytes = 2 * sc_tensor_bytes(s->in[1])};
}

const sc_op sc_op_kv_write = {.name = "kv_write",
                              .id = SC_OP_kv_write,
                              .derivative = "none: the cache is a state of generation, not a function of weights",
                              .infer = write_infer,
                              .cost = write_cost};

sc_tensor *sc_kv_write(sc_graph *g, sc_tensor *cache, sc_tensor *x, const sc_seqs *seqs)
{
    sc_tensor *in[] = {cache, x, sc_contiguous(g, seqs->slot)};
    return sc_graph_node(g, &sc_op_kv_write, in, 3, NULL, 0);
}
