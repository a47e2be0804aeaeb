/* SPDX-License-Identifier: Apache-2.0 */
/* T5 in GGUF's words: two stacks of blocks, sizes of their own, and what GGUF takes for granted. */
#include "models/models.h"

/* HuggingFace's key, and GGUF's after the architecture, "t5" or "t5encoder". */
static const struct {
    const char *hf, *gguf;
    bool real;
    int64_t otherwise; /* where config.json is silent */
} keys[] = {
    {"d_model", "embedding_length", false, 0},
    {"d_ff", "feed_forward_length", false, 0},
    {"num_layers", "block_count", false, 0},
    {"num_decoder_layers", "decoder_block_count", false, 0},
    {"num_heads", "attention.head_count", false, 0},
    {"d_kv", "attention.key_length", false, 0},
    {"d_kv", "attention.value_length", false, 0},
    {"n_positions", "context_length", false, 512},
    {"relative_attention_num_buckets", "attention.relative_buckets_count", false, 32},
    {"decoder_start_token_id", "decoder_start_token_id", false, 0},
    {"layer_norm_epsilon", "attention.layer_norm_epsilon", true, 0},
    {"layer_norm_epsilon", "attention.layer_norm_rms_epsilon", true, 0},
};
static const double usual_epsilon = 1e-6;
enum { FARTHEST = 128 }; /* for which GGUF has no key */

static bool set(json_t *o, const char *name, json_t *value) { return json_object_set_new(o, name, value) == 0; }

sc_status sc_gguf_read_t5(json_t *o, const sc_gguf *file)
{
    const sc_file_tensor *t;
    const char *arch = "";
    bool gated = sc_gguf_find(file, "enc.blk.0.ffn_gate.weight", &t) == SC_OK,
         own_head = sc_gguf_find(file, "output.weight", &t) == SC_OK;
    sc_status s = sc_gguf_str(file, "general.architecture", &arch);
    bool alone = strcmp(arch, "t5encoder") == 0;
    for (int i = 0; !s && i < SC_COUNT(keys); i++) {
        char name[128];
        int64_t n = -1;
        double x = -1;
        snprintf(name, sizeof name, "%s.%s", arch, keys[i].gguf);
        s = keys[i].real ? sc_gguf_num(file, name, 0, 1, &x) : sc_gguf_int(file, name, 0, INT32_MAX, &n);
        if (s || (keys[i].real ? x < 0 : n < 0)) continue;
        if (!set(o, keys[i].hf, keys[i].real ? json_real(x) : json_integer(n))) s = sc_nomem();
    }
    if (!s) s = sc_gguf_find(file, "token_embd.weight", &t);
    if (s) return s;
    bool ok = set(o, "vocab_size", json_integer(t->rank == 2 ? t->dim[0] : 0)) &&
              set(o, "model_type", json_string("t5")) &&
              set(o, "feed_forward_proj", json_string(gated ? "gated-gelu" : "relu")) &&
              set(o, "is_encoder_decoder", json_boolean(!alone)) &&
              set(o, "tie_word_embeddings", json_boolean(!own_head)) &&
              set(o, "relative_attention_max_distance", json_integer(FARTHEST));
    if (alone) ok = ok && set(o, "architectures", json_pack("[s]", "T5EncoderModel"));
    return ok ? SC_OK : sc_nomem();
}

/* What a reader of the file could not know. */
sc_status sc_gguf_fits_t5(const sc_model *m)
{
    sc_config c = {.json = m->json, .what = m->info.path};
    int64_t farthest = sc_config_int(&c, "relative_attention_max_distance", FARTHEST, 0, INT32_MAX);
    const char *ffn = sc_config_str(&c, "feed_forward_proj", "relu"), *why = NULL;
    bool alone = strcmp(m->info.model_type, "t5_encoder") == 0,
         scaled = strcmp(m->info.model_type, "t5") == 0 &&
                  sc_config_bool(&c, "scale_decoder_outputs", sc_config_bool(&c, "tie_word_embeddings", true));
    if (farthest != FARTHEST) why = "relative_attention_max_distance other than 128";
    if (strcmp(ffn, "relu") != 0 && strcmp(ffn, "gated-gelu") != 0) why = "feed_forward_proj of this kind";
    if (!alone && scaled != m->info.tied) why = "scale_decoder_outputs that does not follow from the head";
    if (c.status || !why) return c.status;
    return sc_fail(SC_EUNSUPPORTED, "%s: GGUF has no key for %s", m->info.path, why);
}

sc_status sc_gguf_write_t5(sc_gguf_writer *w, const sc_model *m, const char *arch)
{
    sc_status s = sc_gguf_writer_str(w, "general.architecture", arch);
    bool alone = strcmp(arch, "t5encoder") == 0;
    for (int i = 0; !s && i < SC_COUNT(keys); i++) {
        char name[128];
        const json_t *v = json_object_get(m->json, keys[i].hf);
        int64_t n = json_is_integer(v) ? json_integer_value(v) : keys[i].otherwise;
        if (!json_is_integer(v) && strcmp(keys[i].hf, "num_decoder_layers") == 0)
            n = json_integer_value(json_object_get(m->json, "num_layers"));
        if (strcmp(keys[i].hf, "decoder_start_token_id") == 0) n = SC_MAX(m->decoder_start, 0);
        if (alone && strncmp(keys[i].gguf, "decoder", 7) == 0) continue;
        snprintf(name, sizeof name, "%s.%s", arch, keys[i].gguf);
        s = keys[i].real
                ? sc_gguf_writer_num(w, name, SC_GGUF_F32, json_is_number(v) ? json_number_value(v) : usual_epsilon)
                : sc_gguf_writer_int(w, name, SC_GGUF_U32, n);
    }
    return s;
}
