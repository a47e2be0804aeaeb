/* SPDX-License-Identifier: Apache-2.0 */
/* What GGUF says of encoders, in both directions: it has names for what gives the states, and none for most heads. Position
 * tables begin with the row of a text's first token, so RoBERTa's is written without the rows in front, and a model that is
 * read back is a BERT. */
#include "models/models.h"

static bool set(json_t *o, const char *name, json_t *value) { return json_object_set_new(o, name, value) == 0; }
static bool is(const sc_gguf_arch *a, const char *arch) { return strcmp(a->arch, arch) == 0; }

static bool has(const sc_gguf *file, const char *name)
{
    const sc_file_tensor *t;
    return sc_gguf_find(file, name, &t) == SC_OK;
}

sc_status sc_gguf_read_encoder(json_t *o, const sc_gguf *file, const sc_gguf_arch *a)
{
    const sc_file_tensor *t;
    bool jina = is(a, "jina-bert-v2"), bert = is(a, "bert") || is(a, "nomic-bert") || jina;
    if (!bert && !is(a, "modern-bert")) return SC_OK;
    /* Set for every architecture, and nothing here. */
    static const char *const others[] = {"attention_bias",    "sliding_window",      "use_sliding_window",
                                         "max_window_layers", "num_key_value_heads", "mlp_bias"};
    for (int i = bert ? 0 : 1; i < SC_COUNT(others); i++) json_object_del(o, others[i]);
    if (!bert) {
        json_object_del(o, "rope_scaling");
        return set(o, "norm_bias", json_boolean(has(file, "output_norm.bias"))) ? SC_OK : sc_nomem();
    }
    int64_t types = sc_gguf_find(file, "token_types.weight", &t) == SC_OK && t->rank == 2 ? t->dim[0] : 0;
    if (is(a, "nomic-bert")) json_object_del(o, "rope_scaling");
    if (jina && (!set(o, "model_type", json_string("bert")) || !set(o, "feed_forward_type", json_string("geglu")) ||
                 !set(o, "position_embedding_type", json_string("alibi"))))
        return sc_nomem();
    return set(o, "type_vocab_size", json_integer(types)) ? SC_OK : sc_nomem();
}

sc_status sc_gguf_fits_encoder(const sc_model *m, const sc_gguf_arch *a)
{
    const sc_encoder *e = sc_model_encoder(m);
    const char *what = NULL;
    sc_config c = {.json = json_null(), .what = m->info.path};
    if (e->act != sc_activation_named(&c, "hidden_act", a->act)) what = "activation";
    if (e->embed_width != e->width) what = "width of embeddings";
    if (is(a, "bert") && !e->positions) what = "lack of positions";
    return what ? sc_fail(SC_EUNSUPPORTED, "%s: GGUF has no key for this model's %s", m->info.path, what) : SC_OK;
}

const sc_gguf_name *sc_gguf_encoder_name(const sc_model *m, const char *hf, char *out, size_t size, int64_t *skip)
{
    const sc_encoder *e = sc_model_encoder(m);
    size_t n = strlen(e->names->root);
    if (strncmp(hf, e->names->root, n) != 0 || hf[n] != '.') return NULL;
    const sc_gguf_name *row = sc_gguf_from_hf(sc_gguf_arch_of(m->info.model_type), hf + n + 1, out, size);
    *skip = row && strcmp(row->gguf, "position_embd") == 0 ? e->first_position : 0;
    return row;
}

typedef struct writer {
    sc_gguf_writer *w;
    const char *arch;
    sc_status status;
} writer;

static const char *key_of(const writer *w, const char *key, char name[256])
{
    snprintf(name, 256, "%s.%s", w->arch, key);
    return name;
}

static void put_int(writer *w, const char *key, int64_t value)
{
    char name[256];
    if (!w->status) w->status = sc_gguf_writer_int(w->w, key_of(w, key, name), SC_GGUF_U32, value);
}

static void put_num(writer *w, const char *key, double value)
{
    char name[256];
    if (!w->status) w->status = sc_gguf_writer_num(w->w, key_of(w, key, name), SC_GGUF_F32, value);
}

sc_status sc_gguf_write_encoder(sc_gguf_writer *out, const sc_model *m, const sc_gguf_arch *a)
{
    const sc_encoder *e = sc_model_encoder(m);
    char name[256];
    writer w = {.w = out, .arch = a->arch, .status = sc_gguf_writer_str(out, "general.architecture", a->arch)};
    put_int(&w, "block_count", e->layers);
    put_int(&w, "context_length", e->positions - e->first_position);
    put_int(&w, "embedding_length", e->width);
    put_int(&w, "feed_forward_length", e->ffn_width);
    put_int(&w, "attention.head_count", e->attn.heads);
    put_int(&w, "vocab_size", e->vocab);
    put_num(&w, "attention.layer_norm_epsilon", (double)e->eps);
    if (!w.status) w.status = sc_gguf_writer_int(out, key_of(&w, "attention.causal", name), SC_GGUF_BOOL, 0);
    if (e->types && !w.status)
        w.status = sc_gguf_writer_int(out, "tokenizer.ggml.token_type_count", SC_GGUF_U32, e->types);
    if (is(a, "nomic-bert")) put_num(&w, "rope.freq_base", sc_nomic_bert_theta(m));
    if (is(a, "jina-bert-v2")) put_num(&w, "attention.max_alibi_bias", 8);
    if (!w.status && is(a, "modern-bert")) w.status = sc_modernbert_write(out, m, a->arch);
    if (!w.status && e->head != SC_HEAD_NONE)
        sc_log(m->ctx, SC_LOG_WARNING, "%s: GGUF has no names for its head, which is left out", m->info.path);
    return w.status;
}
