/* SPDX-License-Identifier: Apache-2.0 */
/* Which type each tensor of a converted model gets. */
#include "models/models.h"

#include <strings.h>

/* Some tensors of a layer lose more than others by coarse types: values (attn_v), ffn_down and, for the coarsest, the
 * output of attention. A mixture gives these a better type in some layers. */
typedef enum mixture { PLAIN, FIRST_LAYERS, SOME_LAYERS, ALL_LAYERS } mixture;

struct sc_type_name {
    const char *name;
    sc_dtype dtype, better;
    mixture mixture;
    bool attention_output;
    int file_type; /* GGUF's general.file_type */
};

static const struct sc_type_name types[] = {
    {"f32", SC_F32, 0, PLAIN, 0, 0},
    {"f16", SC_F16, 0, PLAIN, 0, 1},
    {"bf16", SC_BF16, 0, PLAIN, 0, 32},
    {"q8_0", SC_Q8_0, 0, PLAIN, 0, 7},
    {"q6_k", SC_Q6_K, 0, PLAIN, 0, 18},
    {"q5_1", SC_Q5_1, 0, PLAIN, 0, 9},
    {"q5_k_m", SC_Q5_K, SC_Q6_K, SOME_LAYERS, 0, 17},
    {"q5_k", SC_Q5_K, SC_Q6_K, SOME_LAYERS, 0, 17},
    {"q5_k_s", SC_Q5_K, 0, PLAIN, 0, 16},
    {"q5_0", SC_Q5_0, 0, PLAIN, 0, 8},
    {"q4_1", SC_Q4_1, 0, PLAIN, 0, 3},
    {"q4_k_m", SC_Q4_K, SC_Q6_K, SOME_LAYERS, 0, 15},
    {"q4_k", SC_Q4_K, SC_Q6_K, SOME_LAYERS, 0, 15},
    {"q4_k_s", SC_Q4_K, SC_Q5_K, FIRST_LAYERS, 0, 14},
    {"iq4_nl", SC_IQ4_NL, 0, PLAIN, 0, 25},
    {"q4_0", SC_Q4_0, 0, PLAIN, 0, 2},
    {"mxfp4", SC_MXFP4, 0, PLAIN, 0, 38},
    {"iq4_xs", SC_IQ4_XS, 0, PLAIN, 0, 30},
    {"q3_k_l", SC_Q3_K, SC_Q5_K, ALL_LAYERS, true, 13},
    {"q3_k_m", SC_Q3_K, SC_Q4_K, ALL_LAYERS, true, 12},
    {"q3_k", SC_Q3_K, SC_Q4_K, ALL_LAYERS, true, 12},
    {"q3_k_s", SC_Q3_K, 0, PLAIN, 0, 11},
    {"q2_k", SC_Q2_K, SC_Q3_K, ALL_LAYERS, true, 10},
};

const char *sc_convert_type_at(int i) { return i >= 0 && i < SC_COUNT(types) ? types[i].name : NULL; }

static sc_status find_type(const struct sc_type_name **out, const char *name)
{
    if (!name) return SC_OK;
    for (int i = 0; i < SC_COUNT(types); i++)
        if (strcasecmp(types[i].name, name) == 0) {
            *out = &types[i];
            return SC_OK;
        }
    return sc_fail(SC_EINVAL, "no type '%s'", name);
}

sc_status sc_type_plan_new(sc_type_plan *p, const sc_convert_options *o)
{
    *p = (sc_type_plan){.pure = o->pure};
    sc_status s = find_type(&p->type, o->type);
    if (!s) s = find_type(&p->output, o->output_type);
    if (!s) s = find_type(&p->embedding, o->embedding_type);
    return s;
}

/* The nearest type that rows of this width fit. */
static sc_dtype fitting(sc_dtype t, int64_t width)
{
    if (width % sc_dtype_get(t)->block == 0) return t;
    if (width % 32) return SC_F16;
    switch (t) {
    case SC_Q4_K: return SC_Q5_0;
    case SC_Q5_K: return SC_Q5_1;
    case SC_Q6_K: return SC_Q8_0;
    default: return SC_IQ4_NL;
    }
}

static bool is_block(sc_dtype t) { return sc_dtype_get(t)->block > 1; }

/* Whether a type has fewer bits a weight than another. */
static bool coarser(sc_dtype a, sc_dtype b)
{
    const sc_dtype_info *x = sc_dtype_get(a), *y = sc_dtype_get(b);
    return x->bytes * y->block < y->bytes * x->block;
}

static bool is_float(sc_dtype t) { return is_block(t) || t == SC_F32 || t == SC_F16 || t == SC_BF16; }

static bool gets_better(const sc_type_plan *p, const sc_item *it)
{
    int64_t i = it->layer, n = p->layers, eighth = n / 8;
    bool output = strstr(it->name, ".attn_output.") != NULL;
    if (p->pure || i < 0 || (output && !p->type->attention_output)) return false;
    if (!output && !strstr(it->name, ".attn_v.") && !strstr(it->name, ".ffn_down.")) return false;
    switch (p->type->mixture) {
    case FIRST_LAYERS: return i < SC_MAX(eighth, 1);
    case SOME_LAYERS:
        return i < eighth || i >= 7 * n / 8 || (i - eighth) % 3 == 2; /* the ends, and a third between */
    case ALL_LAYERS: return true;
    default: return false;
    }
}

static sc_dtype wanted(const sc_type_plan *p, const sc_item *it)
{
    sc_dtype base = p->type ? p->type->dtype : it->from;
    if (it->role == SC_ITEM_MATRIX) return p->type && gets_better(p, it) ? p->type->better : base;
    const struct sc_type_name *named = it->role == SC_ITEM_EMBEDDING ? p->embedding : p->output;
    if (named) return named->dtype;
    if (!p->type || p->pure || !is_block(base) || !coarser(base, SC_Q6_K)) return base;
    return SC_Q6_K;
}

sc_status sc_type_plan_gguf(sc_type_plan *p, sc_context *ctx, sc_items *items)
{
    for (int64_t i = 0; i < items->count; i++) {
        sc_item *it = &items->item[i];
        it->to = it->from;
        if (it->from == SC_DTYPE_COUNT || !is_float(it->from)) continue;
        if (it->role == SC_ITEM_OTHER) {
            if (!is_block(it->from)) it->to = SC_F32;
            continue;
        }
        sc_dtype want = wanted(p, it);
        it->to = fitting(want, it->dim[it->rank - 1]);
        if (it->to == want) continue;
        p->fallbacks++;
        sc_log(ctx, SC_LOG_WARNING, "'%s': rows of %lld do not fit %s; %s instead", it->name,
               (long long)it->dim[it->rank - 1], sc_dtype_get(want)->name, sc_dtype_get(it->to)->name);
    }
    return SC_OK;
}

sc_status sc_type_plan_dir(sc_type_plan *p, sc_items *items)
{
    sc_dtype type = p->type ? p->type->dtype : SC_DTYPE_COUNT;
    if (p->output || p->embedding) return sc_fail(SC_EINVAL, "types of single matrices are for GGUF files");
    if (p->type && is_block(type))
        return sc_fail(SC_EINVAL, "safetensors have no type '%s'; f32, f16 and bf16 are for directories",
                       p->type->name);
    for (int64_t i = 0; i < items->count; i++) {
        sc_item *it = &items->item[i];
        it->to = it->from;
        if (it->from == SC_DTYPE_COUNT || !is_float(it->from)) continue;
        if (p->type)
            it->to = type;
        else if (is_block(it->from))
            it->to = SC_F16;
    }
    return SC_OK;
}

int sc_type_plan_file_type(const sc_type_plan *p, const sc_items *items)
{
    if (p->type) return p->type->file_type;
    /* As stored: what most matrices are. */
    int64_t of[SC_DTYPE_COUNT] = {0}, best = 0;
    for (int64_t i = 0; i < items->count; i++)
        if (items->item[i].role != SC_ITEM_OTHER) of[items->item[i].to]++;
    for (int t = 1; t < SC_DTYPE_COUNT; t++)
        if (of[t] > of[best]) best = t;
    for (int i = 0; i < SC_COUNT(types); i++)
        if (types[i].dtype == (sc_dtype)best) return types[i].file_type;
    return 0;
}
