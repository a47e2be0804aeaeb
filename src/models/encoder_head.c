/* SPDX-License-Identifier: Apache-2.0 */
/* Heads of encoders: which one a checkpoint has, and what it computes. */
#include "models/models.h"

static bool has_matrix(const sc_config *c, const sc_encoder *e, const char *name, bool otherwise)
{
    char text[256];
    if (!name) return false;
    snprintf(text, sizeof text, "%s.weight", name);
    return sc_config_has_weight(c, e->names->root, text, otherwise);
}

/* By the class that the checkpoint says it is of; SC_HEAD_COUNT: it says none. */
static sc_head head_of_class(sc_config *c, const sc_encoder *e)
{
    static const struct {
        const char *suffix;
        sc_head head;
    } classes[] = {
        {"ForMaskedLM", SC_HEAD_FILL},
        {"ForPreTraining", SC_HEAD_FILL},
        {"ForSequenceClassification", SC_HEAD_CLASSES},
        {"ForTokenClassification", SC_HEAD_TAGS},
        {"ForQuestionAnswering", SC_HEAD_SPAN},
        {"Model", SC_HEAD_NONE},
    };
    const char *name = json_string_value(json_array_get(json_object_get(c->json, "architectures"), 0));
    if (!name) return SC_HEAD_COUNT;
    for (int i = 0; i < SC_COUNT(classes); i++) {
        if (!sc_path_has_suffix(name, classes[i].suffix)) continue;
        bool pretraining = strcmp(classes[i].suffix, "ForPreTraining") == 0;
        return pretraining && e->names->head[SC_HEAD_REPLACED].out ? SC_HEAD_REPLACED : classes[i].head;
    }
    sc_config_fault(c, "architecture '%s' has a head that is not known", name);
    return SC_HEAD_NONE;
}

/* By the tensors that only one head has. */
static sc_head head_of_weights(const sc_config *c, const sc_encoder *e)
{
    for (int h = SC_HEAD_NONE + 1; h < SC_HEAD_COUNT; h++) {
        const sc_head_names *n = &e->names->head[h];
        const char *own = h == SC_HEAD_FILL ? n->dense : n->out;
        if (has_matrix(c, e, own, false)) return (sc_head)h;
    }
    return SC_HEAD_NONE;
}

void sc_encoder_configure_head(sc_config *c, sc_encoder *e)
{
    const sc_encoder_names *n = e->names;
    const json_t *labels = json_object_get(c->json, "id2label");
    sc_head said = head_of_class(c, e);
    e->head = said == SC_HEAD_COUNT ? head_of_weights(c, e) : said;
    /* A masked-word model is often saved without its head, for its states alone. */
    if (e->head == SC_HEAD_FILL && !has_matrix(c, e, n->head[SC_HEAD_FILL].dense, true)) e->head = SC_HEAD_NONE;
    if (!n->head[e->head].out && e->head != SC_HEAD_NONE && e->head != SC_HEAD_FILL)
        sc_config_fault(c, "this family has no head of that kind");
    /* A matrix of its own has a bias of its own. */
    e->fill_bias = n->fill_bias;
    if (!e->tied && n->fill_bias && n->head[SC_HEAD_FILL].out) {
        const char *own = sc_arena_printf(c->arena, "%s.bias", n->head[SC_HEAD_FILL].out);
        if (!own) c->status = sc_nomem();
        if (own && sc_config_has_weight(c, n->root, own, false)) e->fill_bias = own;
    }
    e->labels =
        sc_config_int(c, "num_labels", json_is_object(labels) ? (int64_t)json_object_size(labels) : 2, 1, 1 << 20);
    if (e->head == SC_HEAD_SPAN) e->labels = 2;
    if (e->head == SC_HEAD_REPLACED) e->labels = 1;
    bool bare = e->head == SC_HEAD_NONE || e->head == SC_HEAD_FILL;
    e->pooler = bare && has_matrix(c, e, n->pooler, e->head == SC_HEAD_NONE);
    e->next_sentence = e->pooler && has_matrix(c, e, n->next_sentence, false);
}

/* The first token of each sequence, or the mean of all. */
static sc_tensor *pooled(sc_graph *g, sc_text_in *in, sc_tensor *x, sc_pool_kind kind)
{
    int64_t n = in->seqs.start->shape.dim[0] - 1;
    return sc_pool_tokens(g, kind, x, sc_slice(g, in->seqs.start, 0, 0, n), sc_slice(g, in->seqs.start, 0, 1, n));
}

/* Logits over the vocabulary: the table of words where tied, and a bias of its own. */
static sc_tensor *fill(sc_graph *g, const sc_encoder *e, sc_text_in *in, sc_tensor *x)
{
    const sc_encoder_names *n = e->names;
    char name[256];
    if (in->wanted) x = sc_rows(g, x, in->wanted);
    if (!x) return NULL;
    if (e->tied)
        snprintf(name, sizeof name, "%s.%s.weight", n->root, n->word);
    else
        snprintf(name, sizeof name, "%s.weight", n->head[SC_HEAD_FILL].out);
    sc_tensor *w = sc_param(g, name, (sc_init){SC_INIT_NORMAL, 0.02f}, 2, (int64_t[]){e->vocab, x->shape.dim[1]});
    sc_tensor *b = e->fill_bias ? sc_param(g, e->fill_bias, (sc_init){SC_INIT_ZEROS, 0}, 1, &e->vocab) : NULL;
    return sc_apply_linear(g, x, w, b);
}

sc_tensor *sc_encoder_head(sc_graph *g, const sc_encoder *e, sc_text_in *in, sc_tensor *x)
{
    const sc_head_names *h = &e->names->head[e->head];
    if (e->pooler) {
        sc_tensor *p = sc_linear(g, e->names->pooler, pooled(g, in, x, SC_POOL_FIRST), e->width, SC_BIAS);
        p = sc_tap(g, sc_unary(g, SC_UNARY_TANH, p), "sequence.pooler_output");
        if (e->next_sentence)
            sc_tap(g, sc_linear(g, e->names->next_sentence, p, 2, SC_BIAS), "sequence.seq_relationship_logits");
    }
    if (e->head == SC_HEAD_NONE) return x;
    if (e->head == SC_HEAD_CLASSES) x = pooled(g, in, x, e->pool);
    int64_t width = e->head == SC_HEAD_FILL ? e->embed_width : e->width;
    if (h->dense) x = sc_unary(g, e->head_act, sc_linear(g, h->dense, x, width, e->head_flags));
    if (h->norm) x = sc_norm(g, e->norm, h->norm, x, e->eps);
    return e->head == SC_HEAD_FILL ? fill(g, e, in, x) : sc_linear(g, h->out, x, e->labels, SC_BIAS);
}
