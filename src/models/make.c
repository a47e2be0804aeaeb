/* SPDX-License-Identifier: Apache-2.0 */
/* Weights that come from no file: fresh ones by each parameter's initialiser, and noise to measure speed with. */
#include "models/models.h"

#include <math.h>

static float drawn(sc_init init, sc_rng *r)
{
    double lo = init.lo, hi = init.hi, u = sc_rng_uniform(r);
    if (init.kind != SC_INIT_STEPS) {
        double x = lo + u * (hi - lo);
        return (float)(init.kind == SC_INIT_LOG_UNIFORM ? log(x) : x);
    }
    double step = exp(log(lo) + u * (log(hi) - log(lo)));
    return (float)(step + log(-expm1(-step)));
}

/* n values in rows of c. */
static void fill(float *x, int64_t n, int64_t c, sc_init init, uint64_t seed, uint64_t stream)
{
    sc_rng r = sc_rng_make(seed, stream);
    if (init.kind == SC_INIT_NORMAL) {
        sc_rng_normal_fill(seed, stream, 0, x, n);
        for (int64_t i = 0; i < n; i++) x[i] *= init.std;
        return;
    }
    for (int64_t i = 0; i < n; i++) switch (init.kind) {
        case SC_INIT_LOG_COUNT: x[i] = logf((float)(i % c + 1)); break;
        case SC_INIT_UNIFORM:
        case SC_INIT_LOG_UNIFORM:
        case SC_INIT_STEPS: x[i] = drawn(init, &r); break;
        default: x[i] = init.kind == SC_INIT_ONES ? 1 : 0;
        }
}

/* Rows of noise of `type`: one row is made and quantised, the others are its blocks moved round. */
static sc_status noise(void *data, sc_dtype type, int64_t rows, int64_t c, const sc_param_request *want,
                       uint64_t stream)
{
    int64_t bytes = sc_dtype_size(type, c), block = sc_dtype_get(type)->bytes;
    float *row = sc_malloc(sizeof *row * (size_t)c);
    if (!row) return sc_nomem();
    fill(row, c, c, want->init, 0, stream);
    sc_status s = SC_OK;
    if (type == SC_F32)
        memcpy(data, row, (size_t)bytes);
    else
        s = sc_quantize(type, row, data, c);
    for (int64_t r = 1; !s && r < rows; r++) {
        int64_t shift = r % (bytes / block) * block;
        char *to = (char *)data + r * bytes;
        memcpy(to, (char *)data + shift, (size_t)(bytes - shift));
        memcpy(to + bytes - shift, data, (size_t)shift);
    }
    sc_free(row);
    return s;
}

static int64_t row_of(const sc_param_request *want)
{
    return want->shape.rank ? want->shape.dim[want->shape.rank - 1] : 1;
}

/* Not a vector, nor what is f32 in graphs anyway. */
static bool is_matrix(const sc_param_request *want)
{
    return want->shape.rank > 1 && want->form <= SC_FORM_COLUMNS;
}

static sc_dtype type_of(const sc_param_request *want, const sc_model_options *o)
{
    return o->weights == SC_WEIGHTS_SYNTHETIC && is_matrix(want) ? o->type : SC_F32;
}

sc_status sc_weights_size(const sc_param_request *want, const sc_model_options *o, int64_t *bytes)
{
    const sc_dtype_info *d = sc_dtype_get(type_of(want, o));
    int64_t n = sc_shape_elements(&want->shape), c = row_of(want), size;
    char shape[SC_SHAPE_TEXT];
    if (c % d->block)
        return sc_fail(SC_EUNSUPPORTED, "'%s': rows of %lld are not whole blocks of %s", want->name, (long long)c,
                       d->name);
    if (n < 0 || (size = sc_dtype_size(type_of(want, o), n)) < 0)
        return sc_fail(SC_ELIMIT, "'%s': the shape %s is too large", want->name,
                       sc_shape_text(&want->shape, shape));
    *bytes = size;
    return SC_OK;
}

sc_status sc_weights_make(sc_weights *w, const sc_param_request *want, const sc_model_options *o)
{
    int64_t n = sc_shape_elements(&want->shape), c = row_of(want), bytes;
    bool synthetic = o->weights == SC_WEIGHTS_SYNTHETIC;
    sc_storage st = {.dtype = type_of(want, o)};
    /* The stream is the name, so a weight does not depend on what else the model has. */
    uint64_t stream = sc_hash(want->name, (int64_t)strlen(want->name));
    sc_status s;
    if ((s = sc_weights_size(want, o, &bytes)) || (s = sc_buffer_new(&st.buffer, bytes))) return s;
    st.data = st.buffer->data;
    sc_dense_strides(&want->shape, st.stride);
    if (o->config_only)
        s = SC_OK;
    else if (synthetic && is_matrix(want))
        s = noise(st.data, st.dtype, n / SC_MAX(c, 1), c, want, stream);
    else
        fill(st.data, n, SC_MAX(c, 1), want->init, o->seed, stream);
    if (!s) s = sc_weights_add(w, want->name, &want->shape, &st);
    sc_buffer_unref(st.buffer);
    return s;
}
