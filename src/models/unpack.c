/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints whose matrices are packed in ways that no kernel reads: they are unpacked when they are loaded, to the type
 * that the configuration's dtype names (f32 without). What x.weight (N, C) then is:
 *   8-bit floats      e4m3(w) * scale: x.weight_scale_inv or x.weight_scale, one, (N), (N, 1), or one a block of rows and
 *                     columns (DeepSeek-V3, fbgemm, compressed-tensors); 8-bit whole numbers with weight_scale the same
 *   GPTQ              (q - z - 1) s: x.qweight (C / P, N) of P fields a word, x.qzeros (G, N / P), x.scales (G, N), x.g_idx
 *                     (C) the group of a column; without the 1 as gptq_v2
 *   AWQ               (q - z) s: x.qweight (C, N / 8), x.qzeros (G, N / 8), their fields in AWQ's order, x.scales (G, N)
 *   pack-quantized    (q - 2^(bits - 1)) s: x.weight_packed (N, C / P), x.weight_scale (N, G); compressed-tensors */
#include "models/models.h"

#include <math.h>
#include <stdatomic.h>
#include <strings.h>

typedef enum packing { FLOAT8, INT8, GPTQ, AWQ, PACKED } packing;

typedef struct source {
    const sc_safetensors *st;
    sc_context *ctx;
    const json_t *how; /* quantization_config; NULL: none */
    sc_dtype to;
} source;

typedef struct matrix {
    packing kind;
    const sc_file_tensor *w, *scale, *zeros, *index;
    int64_t n, c, groups, group; /* group: columns, where there is no index */
    int64_t block[2];            /* rows and columns that share a scale */
    int64_t bits;
    int32_t zero_more; /* what GPTQ's zeros have less */
    sc_dtype to;
    void *out;
    atomic_llong next;
    atomic_bool failed;
} matrix;

enum { LINES = 32 }; /* rows of the result at once: as many as a cache line has words */

/* ---- values ---- */

static float e4m3(unsigned v)
{
    unsigned e = v >> 3 & 15, m = v & 7;
    float x = e ? ldexpf((float)(8 + m), (int)e - 10) : ldexpf((float)m, -9);
    if (e == 15 && m == 7) x = NAN;
    return v & 0x80 ? -x : x;
}

/* Element i of a scale, whatever its type. */
static float number(const sc_file_tensor *t, int64_t i)
{
    float x = 0;
    if (t->dtype == SC_F32)
        x = ((const float *)t->data)[i];
    else
        sc_dequantize(t->dtype, (const char *)t->data + i * sc_dtype_size(t->dtype, 1), &x, 1);
    return x;
}

/* Where AWQ keeps column i of 8. */
static int awq_place(int i)
{
    static const int place[] = {0, 4, 1, 5, 2, 6, 3, 7};
    return place[i];
}

static int32_t field(const matrix *m, const sc_file_tensor *t, int64_t word, int64_t i)
{
    uint32_t v;
    memcpy(&v, (const char *)t->data + 4 * word, sizeof v);
    return (int32_t)(v >> (i * m->bits) & ((1u << m->bits) - 1));
}

static int64_t group_of(const matrix *m, int64_t c)
{
    int32_t g;
    if (!m->index) return c / m->group;
    memcpy(&g, (const char *)m->index->data + 4 * c, sizeof g);
    return SC_MIN(SC_MAX((int64_t)g, 0), m->groups - 1);
}

static int32_t zero_of(const matrix *m, int64_t g, int64_t n)
{
    int64_t per = 32 / m->bits, word = g * (m->n / per) + n / per;
    if (!m->zeros) return 1 << (m->bits - 1);
    if (m->kind == AWQ) return field(m, m->zeros, word, awq_place((int)(n % per)));
    return (field(m, m->zeros, word, n % per) + m->zero_more) & ((1 << m->bits) - 1);
}

/* Row n of an 8-bit matrix: the scale is one, one a row, or one a block. */
static void bring_bytes(const matrix *m, int64_t n, float *x)
{
    const unsigned char *w = (const unsigned char *)m->w->data + n * m->c;
    int64_t across = (m->c + m->block[1] - 1) / m->block[1];
    for (int64_t from = 0; from < m->c; from += m->block[1]) {
        int64_t stop = SC_MIN(from + m->block[1], m->c);
        float s = m->scale ? number(m->scale, n / m->block[0] * across + from / m->block[1]) : 1;
        for (int64_t c = from; c < stop; c++) x[c] = (m->kind == FLOAT8 ? e4m3(w[c]) : (float)(int8_t)w[c]) * s;
    }
}

/* Rows first .. first + count of a matrix whose fields are of few bits; their words lie by columns but for PACKED. */
static void bring_fields(const matrix *m, int64_t first, int64_t count, float *x)
{
    int64_t per = 32 / m->bits;
    float scale[LINES];
    int32_t zero[LINES];
    for (int64_t c = 0, last = -1; c < m->c; c++) {
        int64_t g = group_of(m, c);
        for (int64_t r = 0; g != last && r < count; r++) {
            scale[r] = number(m->scale, m->kind == PACKED ? (first + r) * m->groups + g : g * m->n + first + r);
            zero[r] = zero_of(m, g, first + r);
        }
        last = g;
        for (int64_t r = 0; r < count; r++) {
            int64_t n = first + r;
            int32_t q = m->kind == GPTQ  ? field(m, m->w, c / per * m->n + n, c % per)
                        : m->kind == AWQ ? field(m, m->w, c * (m->n / per) + n / per, awq_place((int)(n % per)))
                                         : field(m, m->w, n * ((m->c + per - 1) / per) + c / per, c % per);
            x[r * m->c + c] = (float)(q - zero[r]) * scale[r];
        }
    }
}

static void work(void *arg, int member)
{
    matrix *m = arg;
    (void)member;
    float *x = sc_malloc(sizeof *x * (size_t)(LINES * m->c));
    if (!x) atomic_store(&m->failed, true);
    int64_t bytes = sc_dtype_size(m->to, m->c);
    for (int64_t at; x && (at = atomic_fetch_add(&m->next, LINES)) < m->n;) {
        int64_t count = SC_MIN(LINES, m->n - at);
        if (m->kind == FLOAT8 || m->kind == INT8)
            for (int64_t r = 0; r < count; r++) bring_bytes(m, at + r, x + r * m->c);
        else
            bring_fields(m, at, count, x);
        if (m->to == SC_F32)
            memcpy((char *)m->out + at * bytes, x, (size_t)(count * bytes));
        else
            sc_quantize(m->to, x, (char *)m->out + at * bytes, count * m->c);
    }
    sc_free(x);
}

/* ---- what belongs together ---- */

static const sc_file_tensor *beside(const source *from, const char *stem, int n, const char *end)
{
    char name[512];
    bool fits = snprintf(name, sizeof name, "%.*s%s", n, stem, end) < (int)sizeof name;
    return fits ? sc_safetensors_any(from->st, name) : NULL;
}

static int64_t count_of(const sc_file_tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->rank; i++) n *= t->dim[i];
    return n;
}

static bool is_float(const sc_file_tensor *t)
{
    return t->dtype == SC_F32 || t->dtype == SC_F16 || t->dtype == SC_BF16;
}

static sc_status misfit(const sc_file_tensor *t, const char *what)
{
    return sc_fail(SC_ESHAPE, "'%s': %s", t->name, what);
}

/* One scale for `e` matrices of 8-bit values, a row's, or a block's. */
static sc_status fit_scale(const source *from, matrix *m, int64_t matrices)
{
    const json_t *size = json_object_get(from->how, "weight_block_size");
    int64_t n = m->scale ? count_of(m->scale) : 1, b[2] = {128, 128};
    for (int i = 0; i < 2; i++) {
        const json_t *v = json_array_get(size, (size_t)i);
        if (v && (!json_is_integer(v) || json_integer_value(v) < 1))
            return sc_fail(SC_EFORMAT, "quantization_config: weight_block_size is not two positive numbers");
        if (v) b[i] = SC_MIN(json_integer_value(v), (int64_t)1 << 30);
    }
    m->block[0] = m->n;
    m->block[1] = m->c;
    if (n == matrices) return SC_OK;
    m->block[0] = 1;
    if (n == matrices * m->n) return SC_OK;
    memcpy(m->block, b, sizeof b);
    int64_t down = (m->n + b[0] - 1) / b[0], across = (m->c + b[1] - 1) / b[1];
    return n == matrices * down * across ? SC_OK
                                         : misfit(m->scale, "is no scale of a matrix, its rows or its blocks");
}

static sc_status find_scale(const source *from, matrix *m, const sc_file_tensor *w)
{
    static const char *const ends[] = {"_scale_inv", "_scale"};
    for (int i = 0; i < SC_COUNT(ends) && !m->scale; i++)
        m->scale = beside(from, w->name, (int)strlen(w->name), ends[i]);
    return !m->scale || is_float(m->scale) ? SC_OK : misfit(m->scale, "has a type that is no scale's");
}

static sc_status run(const source *from, matrix *m)
{
    sc_pool_run(from->ctx->pool, work, m);
    return atomic_load(&m->failed) ? sc_nomem() : SC_OK;
}

static sc_status room(sc_storage *st, sc_shape *shape, int rank, const int64_t *dim, sc_dtype to)
{
    *shape = (sc_shape){.rank = rank};
    memcpy(shape->dim, dim, sizeof *dim * (size_t)rank);
    *st = (sc_storage){.dtype = to};
    int64_t bytes = sc_dtype_size(to, sc_shape_elements(shape));
    sc_dense_strides(shape, st->stride);
    if (bytes <= 0) return sc_fail(SC_ELIMIT, "a packed matrix without values, or with too many");
    sc_status s = sc_buffer_new(&st->buffer, bytes);
    if (!s) st->data = st->buffer->data;
    return s;
}

static sc_status add_bytes(sc_weights *w, const source *from, const sc_file_tensor *t, packing kind)
{
    int64_t matrices = t->rank == 3 ? t->dim[0] : 1;
    matrix m = {.kind = kind, .w = t, .to = from->to};
    sc_storage st;
    sc_shape shape;
    if (t->rank < 2 || t->rank > 3) return misfit(t, "is no matrix of 8-bit values");
    m.n = t->dim[t->rank - 2];
    m.c = t->dim[t->rank - 1];
    if (m.n < 1 || m.c < 1) return misfit(t, "has no values");
    sc_status s = find_scale(from, &m, t);
    if (!s) s = fit_scale(from, &m, matrices);
    if (!s) s = room(&st, &shape, t->rank, t->dim, from->to);
    if (s) return s;
    sc_file_tensor one = *t, scale = m.scale ? *m.scale : (sc_file_tensor){0};
    int64_t some = m.scale ? count_of(m.scale) / matrices * sc_dtype_size(scale.dtype, 1) : 0;
    for (int64_t e = 0; !s && e < matrices; e++) {
        one.data = (const char *)t->data + e * m.n * m.c;
        if (m.scale) scale.data = (const char *)m.scale->data + e * some;
        matrix part = {.kind = kind, .w = &one, .scale = m.scale ? &scale : NULL, .n = m.n, .c = m.c, .to = m.to};
        memcpy(part.block, m.block, sizeof m.block);
        part.out = (char *)st.data + e * sc_dtype_size(m.to, m.n * m.c);
        s = run(from, &part);
    }
    if (!s) s = sc_weights_add(w, t->name, &shape, &st);
    sc_buffer_unref(st.buffer);
    return s;
}

/* Numbers of quantization_config; compressed-tensors has those of weights deeper. group -1: of all columns. */
static sc_status read_bits(const source *from, matrix *m)
{
    const char *what = "quantization_config";
    const json_t *o = from->how, *groups = json_object_get(o, "config_groups"), *first;
    m->group = m->kind == PACKED ? -1 : 128;
    void *it = json_object_iter((json_t *)(uintptr_t)groups);
    if (m->kind == PACKED && it && (first = json_object_get(json_object_iter_value(it), "weights"))) o = first;
    m->bits = 4;
    static const char *const bits[] = {"bits", "w_bit", "num_bits"}, *const group[] = {"group_size",
                                                                                       "q_group_size"};
    sc_status s = SC_OK;
    for (int i = 0; !s && i < SC_COUNT(bits); i++) s = sc_json_int(o, what, bits[i], 1, 8, &m->bits);
    for (int i = 0; !s && i < SC_COUNT(group); i++) s = sc_json_int(o, what, group[i], -1, 1 << 24, &m->group);
    if (!s && m->bits != 2 && m->bits != 4 && m->bits != 8)
        s = sc_fail(SC_EUNSUPPORTED, "%s: fields of %lld bits", what, (long long)m->bits);
    if (!s && m->kind == AWQ && m->bits != 4) s = sc_fail(SC_EUNSUPPORTED, "%s: AWQ of other than 4 bits", what);
    const char *format = "", *version = "gemm";
    if (!s) s = sc_json_str(from->how, what, "checkpoint_format", &format);
    if (!s && m->kind == AWQ) s = sc_json_str(from->how, what, "version", &version);
    if (!s && strcasecmp(version, "gemm") != 0)
        s = sc_fail(SC_EUNSUPPORTED, "%s: AWQ in the form '%s' is not known, only gemm", what, version);
    m->zero_more = strcmp(format, "gptq_v2") == 0 ? 0 : 1;
    return s;
}

/* All tensors have the sizes that the matrix's make them have. */
static sc_status fit_fields(matrix *m)
{
    int64_t per = 32 / m->bits;
    m->groups = (m->c + m->group - 1) / m->group;
    if (!m->scale || !is_float(m->scale)) return misfit(m->w, "has no scales");
    if (m->index) { /* the groups are as many as there are scales */
        if (strcmp(m->index->type, "I32") != 0 || count_of(m->index) != m->c)
            return misfit(m->index, "has not one group for each column");
        m->groups = m->n > 0 ? count_of(m->scale) / m->n : 0;
    }
    if (m->n < 1 || m->c < 1 || m->groups < 1 || count_of(m->scale) != m->groups * m->n)
        return misfit(m->scale, "has not one scale for each group and row");
    if (m->kind != PACKED && m->n % per) return misfit(m->w, "has rows that fill no whole words");
    if (m->zeros && (strcmp(m->zeros->type, "I32") != 0 || count_of(m->zeros) != m->groups * (m->n / per)))
        return misfit(m->zeros, "has not one zero for each group and row");
    return SC_OK;
}

static sc_status add_fields(sc_weights *w, const source *from, const sc_file_tensor *t, packing kind,
                            const char *end)
{
    int stem = (int)(strlen(t->name) - strlen(end));
    matrix m = {.kind = kind, .w = t, .to = from->to};
    char name[512];
    sc_storage st;
    sc_shape shape;
    if (t->rank != 2 || strcmp(t->type, "I32") != 0) return misfit(t, "is no matrix of words");
    if (kind == GPTQ) m.n = t->dim[1];
    if (kind == AWQ) m.c = t->dim[0];
    if (kind == PACKED) m.n = t->dim[0];
    m.bits = 4;
    const sc_file_tensor *real = beside(from, t->name, stem, ".weight_shape");
    m.scale = beside(from, t->name, stem, kind == PACKED ? ".weight_scale" : ".scales");
    m.zeros = kind == PACKED ? NULL : beside(from, t->name, stem, ".qzeros");
    m.index = beside(from, t->name, stem, kind == PACKED ? ".weight_g_idx" : ".g_idx");
    if (kind == PACKED && beside(from, t->name, stem, ".weight_zero_point"))
        return sc_fail(SC_EUNSUPPORTED, "'%s' has zero points, which are not known in this form", t->name);
    sc_status s = read_bits(from, &m);
    if (s) return s;
    int64_t per = 32 / m.bits;
    if (kind == GPTQ) m.c = t->dim[0] * per;
    if (kind == AWQ) m.n = t->dim[1] * per;
    if (kind == PACKED) m.c = t->dim[1] * per;
    if (kind == PACKED && real && real->rank == 1 && real->dim[0] == 2 && strcmp(real->type, "I64") == 0) {
        int64_t dim[2];
        memcpy(dim, real->data, sizeof dim);
        if (dim[0] != m.n || dim[1] < 1 || (dim[1] + per - 1) / per != t->dim[1])
            return misfit(real, "contradicts the packed matrix");
        m.c = dim[1];
    }
    if (m.group < 1 || (kind == PACKED && m.scale && m.scale->rank == 2 && m.scale->dim[1] == 1)) m.group = m.c;
    if ((s = fit_fields(&m)) || (s = room(&st, &shape, 2, (int64_t[]){m.n, m.c}, from->to))) return s;
    m.out = st.data;
    snprintf(name, sizeof name, "%.*s.weight", stem, t->name);
    if (!(s = run(from, &m))) s = sc_weights_add(w, name, &shape, &st);
    sc_buffer_unref(st.buffer);
    return s;
}

/* The file's tensors that belong to a packed one, and hold nothing else. */
static bool is_companion(const source *from, const sc_file_tensor *t)
{
    static const char *const ends[] = {".qzeros", ".scales", ".g_idx", ".weight_shape", ".weight_g_idx"};
    static const char *const scales[] = {"_scale_inv", "_scale"};
    static const char *const of[] = {".qweight", ".weight_packed", ".qweight", ".weight_packed"};
    for (int i = 0; i < SC_COUNT(ends); i++)
        for (int k = 0; k < 2; k++)
            if (sc_path_has_suffix(t->name, ends[i]) &&
                beside(from, t->name, (int)(strlen(t->name) - strlen(ends[i])), of[k]))
                return true;
    for (int i = 0; i < SC_COUNT(scales); i++) {
        if (!sc_path_has_suffix(t->name, scales[i])) continue;
        int n = (int)(strlen(t->name) - strlen(scales[i]));
        const sc_file_tensor *w = beside(from, t->name, n, "");
        if ((w && (strcmp(w->type, "F8_E4M3") == 0 || strcmp(w->type, "I8") == 0)) ||
            beside(from, t->name, n, "_packed"))
            return true;
    }
    /* Scales of activations, which are computed as they are. */
    return from->how &&
           (sc_path_has_suffix(t->name, ".input_scale") || sc_path_has_suffix(t->name, ".activation_scale") ||
            sc_path_has_suffix(t->name, ".input_scale_ub"));
}

static sc_status take(sc_weights *w, const source *from, const sc_file_tensor *t, bool *taken)
{
    const char *method = "";
    sc_status s = from->how ? sc_json_str(from->how, "quantization_config", "quant_method", &method) : SC_OK;
    *taken = true;
    if (s) return s;
    if (strcmp(t->type, "F8_E4M3") == 0) return add_bytes(w, from, t, FLOAT8);
    if (strcmp(t->type, "I8") == 0 && sc_path_has_suffix(t->name, ".weight")) return add_bytes(w, from, t, INT8);
    if (sc_path_has_suffix(t->name, ".weight_packed")) return add_fields(w, from, t, PACKED, ".weight_packed");
    if (sc_path_has_suffix(t->name, ".qweight")) {
        if (strcmp(method, "awq") != 0 && strcmp(method, "gptq") != 0)
            return sc_fail(SC_EUNSUPPORTED, "quantization_config: '%s' is packed as '%s', which is not known",
                           t->name, method);
        return add_fields(w, from, t, strcmp(method, "awq") == 0 ? AWQ : GPTQ, ".qweight");
    }
    *taken = is_companion(from, t);
    return SC_OK;
}

/* As the weights that are not packed: the model's own type. */
static sc_dtype type_named(const json_t *config)
{
    const char *keys[] = {"dtype", "torch_dtype"};
    for (int i = 0; i < 2; i++) {
        const char *name = json_string_value(json_object_get(config, keys[i]));
        if (name && strcmp(name, "bfloat16") == 0) return SC_BF16;
        if (name && strcmp(name, "float16") == 0) return SC_F16;
    }
    return SC_F32;
}

sc_status sc_weights_unpack(sc_weights *w, sc_context *ctx, const sc_safetensors *st, const sc_file_tensor *t,
                            const json_t *config, bool *taken)
{
    source from = {
        .st = st, .ctx = ctx, .how = json_object_get(config, "quantization_config"), .to = type_named(config)};
    if (!json_is_object(from.how)) from.how = NULL;
    *taken = false;
    bool scale = sc_path_has_suffix(t->name, "_scale") || sc_path_has_suffix(t->name, "_scale_inv");
    if (!from.how && !scale && strcmp(t->type, "F8_E4M3") != 0) return SC_OK;
    return take(w, &from, t, taken);
}
