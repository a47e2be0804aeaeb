/* SPDX-License-Identifier: Apache-2.0 */
/* Post-processors: what a tokenizer puts around the ids of a text. All of them come down to ids before and after. */
#include "text/text.h"

#define MAX_AROUND 64 /* ids on one side */

static sc_status insert(int32_t **list, int64_t *n, int64_t at, int32_t id, const char *what)
{
    if (*n >= MAX_AROUND)
        return sc_fail(SC_ELIMIT, "%s: post-processor: more than %d ids around a text", what, MAX_AROUND);
    int32_t *grown = sc_realloc(*list, (size_t)(*n + 1) * sizeof(**list));
    if (!grown) return sc_nomem();
    memmove(grown + at + 1, grown + at, (size_t)(*n - at) * sizeof(**list));
    grown[at] = id;
    *list = grown;
    ++*n;
    return SC_OK;
}

sc_status sc_post_wrap(sc_tokenizer *t, int32_t before, int32_t after)
{
    sc_status s = before >= 0 ? insert(&t->before, &t->n_before, 0, before, "tokenizer") : SC_OK;
    if (!s && after >= 0) s = insert(&t->after, &t->n_after, t->n_after, after, "tokenizer");
    return s;
}

static sc_status known_id(const sc_tokenizer *t, const json_t *j, const char *what, int32_t *out)
{
    json_int_t id = json_is_integer(j) ? json_integer_value(j) : -1;
    if (id < 0 || id >= t->vocab.ids || !t->vocab.text[id])
        return sc_fail(SC_EFORMAT, "%s: post-processor: an id that no token has", what);
    *out = (int32_t)id;
    return SC_OK;
}

static sc_status parse_template(sc_tokenizer *t, const json_t *j, const char *what)
{
    const json_t *single = json_object_get(j, "single"), *specials = json_object_get(j, "special_tokens");
    if (!json_is_array(single)) return sc_fail(SC_EFORMAT, "%s: TemplateProcessing: single: expected a list", what);
    int64_t at = 0; /* in before, whose older ids stay nearer to the text */
    bool text = false;
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *item = json_array_get(single, i), *special = json_object_get(item, "SpecialToken");
        if (json_object_get(item, "Sequence")) {
            if (text) return sc_fail(SC_EFORMAT, "%s: TemplateProcessing: single: the text twice", what);
            text = true;
            continue;
        }
        const char *name = NULL;
        sc_status s = special ? sc_json_str(special, what, "id", &name) : SC_OK;
        if (s) return s;
        const json_t *ids = name ? json_object_get(json_object_get(specials, name), "ids") : NULL;
        if (!json_is_array(ids))
            return sc_fail(SC_EFORMAT, "%s: TemplateProcessing: single: item %zu names no special token", what, i);
        for (size_t k = 0; k < json_array_size(ids); k++) {
            int32_t id;
            s = known_id(t, json_array_get(ids, k), what, &id);
            if (!s)
                s = text ? insert(&t->after, &t->n_after, t->n_after, id, what)
                         : insert(&t->before, &t->n_before, at++, id, what);
            if (s) return s;
        }
    }
    return text ? SC_OK : sc_fail(SC_EFORMAT, "%s: TemplateProcessing: single: without the text", what);
}

/* RobertaProcessing and BertProcessing: "cls": [text, id], "sep": [text, id]. */
static sc_status parse_pair(sc_tokenizer *t, const json_t *j, const char *what)
{
    int32_t cls, sep;
    sc_status s = known_id(t, json_array_get(json_object_get(j, "cls"), 1), what, &cls);
    if (!s) s = known_id(t, json_array_get(json_object_get(j, "sep"), 1), what, &sep);
    return s ? s : sc_post_wrap(t, cls, sep);
}

static sc_status parse_trim(sc_tokenizer *t, const json_t *j, const char *what)
{
    bool trim = true, prefix = true;
    sc_status s = sc_json_bool(j, what, "trim_offsets", &trim);
    if (!s) s = sc_json_bool(j, what, "add_prefix_space", &prefix);
    if (s || !trim) return s;
    t->trim_spans = true;
    t->trim_prefix = prefix;
    return SC_OK;
}

static sc_status parse(sc_tokenizer *t, const json_t *j, const char *what, int depth)
{
    const char *type = NULL;
    sc_status s = sc_json_str(j, what, "type", &type);
    if (s) return s;
    if (!type) return sc_fail(SC_EFORMAT, "%s: a post-processor without a type", what);
    if (strcmp(type, "Sequence") == 0) {
        const json_t *list = json_object_get(j, "processors");
        if (!json_is_array(list) || depth > 8)
            return sc_fail(SC_EFORMAT, "%s: post-processor: Sequence without a list, or too deep", what);
        for (size_t i = 0; i < json_array_size(list) && !s; i++)
            s = parse(t, json_array_get(list, i), what, depth + 1);
        return s;
    }
    if (strcmp(type, "ByteLevel") == 0) return parse_trim(t, j, what);
    if (strcmp(type, "TemplateProcessing") == 0) return parse_template(t, j, what);
    if (strcmp(type, "BertProcessing") == 0) return parse_pair(t, j, what);
    if (strcmp(type, "RobertaProcessing") == 0) {
        s = parse_trim(t, j, what);
        return s ? s : parse_pair(t, j, what);
    }
    return sc_fail(SC_EUNSUPPORTED, "%s: the post-processor %s is not supported", what, type);
}

sc_status sc_post_parse(sc_tokenizer *t, const json_t *j, const char *what)
{
    return !j || json_is_null(j) ? SC_OK : parse(t, j, what, 0);
}

static int32_t last_char(const char *p, int32_t n) /* bytes of the character that ends p[0..n), n > 0 */
{
    int32_t k = 1;
    while (k < 4 && k < n && ((unsigned char)p[n - k] & 0xc0) == 0x80) k++;
    uint32_t cp;
    return sc_utf8_decode(p + n - k, k, &cp) == k ? k : 1;
}

/* Spaces at the ends of a byte-level token leave its span. A space that the pre-tokenizer put before the text is not of
 * the text, so the first token's is not taken out a second time. */
void sc_post_trim(const sc_tokenizer *t, sc_encoder *e, const char *text, int64_t from)
{
    for (int64_t i = from; i < e->n; i++) {
        int64_t len;
        const char *p = sc_vocab_text(&t->vocab, e->ids[i], &len);
        sc_token_span *a = &e->spans[i];
        if (t->vocab.flags[e->ids[i]] & SC_TOKEN_ADDED) { /* these may have taken spaces beside them */
            p = text + a->begin;
            len = a->end - a->begin;
        }
        int32_t lead = 0, trail = 0;
        bool in_lead = true;
        for (int64_t k = 0; p && k < len;) {
            uint32_t cp;
            k += sc_utf8_decode(p + k, len - k, &cp);
            bool white = cp == 0x120 || sc_uni_white(cp); /* U+0120 spells the byte 0x20 */
            in_lead &= white;
            lead += in_lead;
            trail = white ? trail + 1 : 0;
        }
        if (lead > 0) {
            if ((i == from || a->begin == 0) && t->trim_prefix && lead == 1) lead = 0;
            uint32_t cp; /* counted in characters of the text, whatever they are */
            for (; lead > 0 && a->begin < a->end; lead--)
                a->begin += sc_utf8_decode(text + a->begin, a->end - a->begin, &cp);
        }
        int32_t end = a->end;
        for (; trail > 0 && end > 0; trail--) end -= last_char(text, end);
        if (trail == 0) a->end = SC_MAX(end, a->begin);
    }
}
