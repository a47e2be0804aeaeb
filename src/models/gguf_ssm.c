/* SPDX-License-Identifier: Apache-2.0 */
/* What GGUF says of recurrent layers, in both directions. Its keys "ssm.…" mean Mamba's sizes and stand for those of other
 * kinds as well: the state's width is that of a key, the groups are key heads, the rank of the steps counts value heads. */
#include "models/models.h"

static bool set(json_t *o, const char *name, json_t *value) { return json_object_set_new(o, name, value) == 0; }
static bool is(const sc_gguf_arch *a, const char *arch) { return strcmp(a->arch, arch) == 0; }
static bool is_qwen35(const sc_gguf_arch *a) { return is(a, "qwen35") || is(a, "qwen35moe"); }
static bool is_hybrid(const sc_gguf_arch *a) { return is_qwen35(a) || is(a, "qwen3next"); }
static bool is_recurrent(const sc_gguf_arch *a) { return is(a, "mamba") || is(a, "mamba2") || is_hybrid(a); }

enum { CONTEXT = 1 << 20 }; /* what files say of models that have no positions */

/* ---- from GGUF ---- */

static sc_status number(const sc_gguf *file, const sc_gguf_arch *a, const char *key, int64_t *out)
{
    char name[256];
    snprintf(name, sizeof name, "%s.%s", a->arch, key);
    return sc_gguf_int(file, name, 1, 1 << 24, out);
}

static bool has(const sc_gguf *file, const char *name)
{
    const sc_file_tensor *t;
    return sc_gguf_find(file, name, &t) == SC_OK;
}

static sc_status read_mamba(json_t *o, const sc_gguf *file, const sc_gguf_arch *a, const sc_ssm_sizes *z)
{
    /* Set for every architecture, and nothing here. */
    static const char *const others[] = {"intermediate_size", "num_attention_heads", "num_key_value_heads",
                                         "head_dim",          "attention_bias",      "mlp_bias",
                                         "sliding_window",    "use_sliding_window",  "max_position_embeddings"};
    int64_t width = json_integer_value(json_object_get(o, "hidden_size"));
    bool one = is(a, "mamba"), norms = false, whole = width > 0 && z->inner % width == 0;
    sc_status s = one ? sc_gguf_bool(file, "mamba.ssm.dt_b_c_rms", &norms) : SC_OK;
    if (s) return s;
    for (int i = 0; i < SC_COUNT(others); i++) json_object_del(o, others[i]);
    bool ok =
        set(o, "conv_kernel", json_integer(z->taps)) && set(o, "state_size", json_integer(z->state)) &&
        set(o, "expand",
            whole ? json_integer(z->inner / width) : json_real((double)z->inner / (double)SC_MAX(width, 1))) &&
        set(o, "use_bias", json_boolean(has(file, "blk.0.ssm_in.bias"))) &&
        set(o, "use_conv_bias", json_boolean(has(file, "blk.0.ssm_conv1d.bias")));
    if (one)
        ok = ok && set(o, "time_step_rank", json_integer(z->rank)) &&
             (!norms || set(o, "model_type", json_string("falcon_mamba")));
    else
        ok = ok && set(o, "num_heads", json_integer(z->rank)) && set(o, "n_groups", json_integer(z->groups)) &&
             set(o, "head_dim", json_integer(z->inner / z->rank));
    return ok ? SC_OK : sc_nomem();
}

static sc_status read_hybrid(json_t *o, const sc_gguf *file, const sc_gguf_arch *a, const sc_ssm_sizes *z)
{
    int64_t interval = 4;
    sc_status s = number(file, a, "full_attention_interval", &interval);
    if (s) return s;
    json_object_del(o, "sliding_window");
    json_object_del(o, "use_sliding_window");
    return set(o, "linear_conv_kernel_dim", json_integer(z->taps)) &&
                   set(o, "linear_key_head_dim", json_integer(z->state)) &&
                   set(o, "linear_num_key_heads", json_integer(z->groups)) &&
                   set(o, "linear_num_value_heads", json_integer(z->rank)) &&
                   set(o, "linear_value_head_dim", json_integer(z->inner / z->rank)) &&
                   set(o, "full_attention_interval", json_integer(interval)) &&
                   set(o, "linear_heads_tiled", json_boolean(is_qwen35(a))) &&
                   set(o, "linear_qkvz_apart", json_boolean(has(file, "blk.0.attn_qkv.weight")))
               ? SC_OK
               : sc_nomem();
}

sc_status sc_gguf_read_ssm(json_t *o, const sc_gguf *file, const sc_gguf_arch *a)
{
    sc_ssm_sizes z = {.groups = 1};
    sc_status s = SC_OK;
    if (!is_recurrent(a)) return SC_OK;
    if ((s = number(file, a, "ssm.conv_kernel", &z.taps)) || (s = number(file, a, "ssm.inner_size", &z.inner)) ||
        (s = number(file, a, "ssm.state_size", &z.state)) || (s = number(file, a, "ssm.time_step_rank", &z.rank)) ||
        (s = number(file, a, "ssm.group_count", &z.groups)))
        return s;
    if (!z.taps || !z.inner || !z.state || !z.rank)
        return sc_fail(SC_EFORMAT, "%s: a size of the recurrent layers (%s.ssm.…) is missing", sc_gguf_path(file),
                       a->arch);
    return is_hybrid(a) ? read_hybrid(o, file, a, &z) : read_mamba(o, file, a, &z);
}

/* ---- to GGUF ---- */

typedef struct number_key {
    const char *key;
    int64_t value;
} number_key;

static sc_status write_numbers(sc_gguf_writer *w, const sc_gguf_arch *a, const number_key *k, int n)
{
    sc_status s = SC_OK;
    for (int i = 0; !s && i < n; i++) {
        char name[256];
        snprintf(name, sizeof name, "%s.%s", a->arch, k[i].key);
        if (k[i].value >= 0) s = sc_gguf_writer_int(w, name, SC_GGUF_U32, k[i].value);
    }
    return s;
}

static sc_status write_mamba(sc_gguf_writer *w, const sc_model *m, const sc_gguf_arch *a, const sc_ssm_sizes *z)
{
    const number_key sizes[] = {{"context_length", CONTEXT},     {"embedding_length", m->info.width},
                                {"block_count", m->info.layers}, {"vocab_size", m->info.vocab},
                                {"feed_forward_length", 0},      {"attention.head_count", 0}};
    char name[256];
    snprintf(name, sizeof name, "%s.attention.layer_norm_rms_epsilon", a->arch);
    sc_status s = sc_gguf_writer_str(w, "general.architecture", a->arch);
    if (!s) s = write_numbers(w, a, sizes, SC_COUNT(sizes));
    if (!s) s = sc_gguf_writer_num(w, name, SC_GGUF_F32, (double)z->eps);
    return s || !is(a, "mamba") ? s : sc_gguf_writer_int(w, "mamba.ssm.dt_b_c_rms", SC_GGUF_BOOL, z->norms);
}

/* The places of a text are three times the same, so the sections of the rotation matter to pictures only. */
static sc_status write_sections(sc_gguf_writer *w, const sc_model *m, const sc_gguf_arch *a)
{
    char name[256];
    int32_t sections[4] = {11, 11, 10, 0};
    const json_t *given = json_object_get(json_object_get(m->json, "rope_parameters"), "mrope_section");
    for (size_t i = 0; i < 3 && i < json_array_size(given); i++)
        sections[i] = (int32_t)json_integer_value(json_array_get(given, i));
    snprintf(name, sizeof name, "%s.rope.dimension_sections", a->arch);
    return sc_gguf_writer_array(w, name, SC_GGUF_I32, sections, 4);
}

sc_status sc_gguf_write_ssm(sc_gguf_writer *w, const sc_model *m, const sc_gguf_arch *a)
{
    sc_ssm_sizes z;
    m->family->ssm(m->config, &z);
    const number_key keys[] = {{"ssm.conv_kernel", z.taps},
                               {"ssm.inner_size", z.inner},
                               {"ssm.state_size", z.state},
                               {"ssm.time_step_rank", z.rank},
                               {"ssm.group_count", z.groups ? z.groups : -1},
                               {"full_attention_interval", is_hybrid(a) ? z.interval : -1}};
    sc_status s = is_hybrid(a) ? SC_OK : write_mamba(w, m, a, &z);
    if (!s) s = write_numbers(w, a, keys, SC_COUNT(keys));
    return s || !is_qwen35(a) ? s : write_sections(w, m, a);
}

sc_status sc_gguf_fits_ssm(const sc_model *m, const sc_gguf_arch *a)
{
    sc_ssm_sizes z;
    m->family->ssm(m->config, &z);
    const char *what = z.limited                                 ? "time_step_limit"
                       : is_hybrid(a) && z.interval < 1          ? "layer_types"
                       : !is_hybrid(a) && z.act != SC_UNARY_SILU ? "hidden_act"
                                                                 : NULL;
    if (!what && z.unusual)
        sc_log(m->ctx, SC_LOG_WARNING,
               "%s: it is written, but other programs may not read its biases or head widths", m->info.path);
    return what ? sc_fail(SC_EUNSUPPORTED, "%s: GGUF has no key for this model's %s", m->info.path, what) : SC_OK;
}

/* ---- tensors ---- */

sc_status sc_ssm_tiles(sc_tiles *out, const sc_model *m, const char *name, int way, int64_t n, bool to_tiled)
{
    sc_ssm_sizes z;
    m->family->ssm(m->config, &z);
    sc_tiles t = {.groups = z.groups, .each = z.rank / z.groups, .to_tiled = to_tiled};
    t.columns = way == SC_TILED_COLUMNS;
    t.offset = way == SC_TILED_TAIL ? 2 * z.groups * z.state : 0;
    t.size = (n - t.offset) / z.rank;
    if (t.size < 1 || n < t.offset)
        return sc_fail(SC_EFORMAT, "%s: '%s' has no whole number of heads", m->info.path, name);
    *out = t;
    return SC_OK;
}

sc_status sc_ssm_item(sc_item *it, const sc_model *m, const sc_model_param *p, const sc_gguf_name *row)
{
    it->neg_exp = (row && row->neg_exp) - p->neg_exp;
    if (row && row->axes == SC_AXES_SQUEEZED && it->rank == 3) {
        it->dim[1] = it->dim[2];
        it->rank = 2;
    }
    int tiled = row ? row->tiled : SC_TILED_NOT;
    if (!m->family->ssm || (tiled == p->tiled && (!row || row->axes < SC_AXES_COLUMN))) return SC_OK;
    sc_ssm_sizes z;
    m->family->ssm(m->config, &z);
    if (row && row->axes >= SC_AXES_COLUMN && it->rank == 1) {
        int64_t groups = row->axes == SC_AXES_COLUMN ? it->dim[0] : z.groups;
        it->dim[1] = it->dim[0] / groups;
        it->dim[0] = groups;
        it->rank = 2;
    }
    if (tiled == p->tiled) return SC_OK;
    int way = tiled ? tiled : p->tiled;
    return sc_ssm_tiles(&it->tiles, m, p->name, way, way == SC_TILED_COLUMNS ? it->dim[it->rank - 1] : it->dim[0],
                        tiled != SC_TILED_NOT);
}
