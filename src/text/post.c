/* SPDX-License-Identifier: Apache-2.0 */
/* Post-processors: what a tokenizer puts around the ids of a text, and of a pair of texts. All of them come down to two
 * frames: lists of ids and of the places of the texts. */
#include "text/text.h"

#define MAX_FRAME 128

static sc_status put(sc_frame *f, int32_t id, int32_t type, const char *what)
{
    if (f->n >= MAX_FRAME)
        return sc_fail(SC_ELIMIT, "%s: post-processor: more than %d ids around a text", what, MAX_FRAME - 1);
    if (!sc_grow(&f->item, &f->cap, f->n + 1, sizeof(*f->item))) return sc_nomem();
    f->item[f->n++] = (struct sc_frame_item){id, type};
    return SC_OK;
}

void sc_frame_free(sc_frame *f)
{
    sc_free(f->item);
    memset(f, 0, sizeof(*f));
}

/* Fills before and after from the frame of a single text. */
static sc_status split_frame(sc_tokenizer *t)
{
    sc_free(t->before);
    sc_free(t->after);
    t->n_before = t->n_after = 0;
    t->after = NULL;
    t->before = sc_malloc((size_t)(t->single.n + 1) * sizeof(*t->before));
    if (t->before) t->after = sc_malloc((size_t)(t->single.n + 1) * sizeof(*t->after));
    if (!t->after) return sc_nomem();
    bool text = false;
    for (int64_t i = 0; i < t->single.n; i++) {
        int32_t id = t->single.item[i].id;
        if (id < 0)
            text = true;
        else if (text)
            t->after[t->n_after++] = id;
        else
            t->before[t->n_before++] = id;
    }
    return SC_OK;
}

/* Frames of at most one id on each side of a text; between two texts, `middle` more of the last. */
static sc_status wrap(sc_tokenizer *t, int32_t before, int32_t after, int middle, int32_t second, const char *what)
{
    sc_status s = SC_OK;
    sc_frame_free(&t->single);
    sc_frame_free(&t->pair);
    for (int pair = 0; pair < 2 && !s; pair++) {
        sc_frame *f = pair ? &t->pair : &t->single;
        if (before >= 0) s = put(f, before, 0, what);
        if (!s) s = put(f, SC_FRAME_A, 0, what);
        if (!s && after >= 0) s = put(f, after, 0, what);
        if (!pair) continue;
        for (int i = 0; i < middle && !s; i++) s = put(f, after, 0, what);
        if (!s) s = put(f, SC_FRAME_B, second, what);
        if (!s && after >= 0) s = put(f, after, second, what);
    }
    return s ? s : split_frame(t);
}

sc_status sc_post_wrap(sc_tokenizer *t, int32_t before, int32_t after)
{
    return wrap(t, before, after, 0, 1, "tokenizer");
}

static sc_status known_id(const sc_tokenizer *t, const json_t *j, const char *what, int32_t *out)
{
    json_int_t id = json_is_integer(j) ? json_integer_value(j) : -1;
    if (id < 0 || id >= t->vocab.ids || !t->vocab.text[id])
        return sc_fail(SC_EFORMAT, "%s: post-processor: an id that no token has", what);
    *out = (int32_t)id;
    return SC_OK;
}

static sc_status type_id(const json_t *item, const char *what, int32_t *out)
{
    int64_t type = 0;
    sc_status s = sc_json_int(item, what, "type_id", 0, INT32_MAX, &type);
    *out = (int32_t)type;
    return s;
}

/* One of a template's lists: {"SpecialToken": {"id": name}} and {"Sequence": {"id": "A"}}. */
static sc_status parse_list(sc_tokenizer *t, const json_t *j, const char *key, const char *what, sc_frame *f)
{
    const json_t *list = json_object_get(j, key), *specials = json_object_get(j, "special_tokens");
    int texts[2] = {0}, wanted = strcmp(key, "pair") == 0;
    if (!json_is_array(list)) return sc_fail(SC_EFORMAT, "%s: TemplateProcessing: %s: expected a list", what, key);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i), *special = json_object_get(item, "SpecialToken");
        const json_t *text = json_object_get(item, "Sequence"), *found = special ? special : text;
        const char *name = NULL;
        int32_t type = 0;
        sc_status s = found ? sc_json_str(found, what, "id", &name) : SC_OK;
        if (!s && found) s = type_id(found, what, &type);
        if (s) return s;
        if (text) {
            int which = name && strcmp(name, "B") == 0;
            if (texts[which]++) return sc_fail(SC_EFORMAT, "%s: TemplateProcessing: %s: the text twice", what, key);
            s = put(f, which ? SC_FRAME_B : SC_FRAME_A, type, what);
        }
        const json_t *ids = name && special ? json_object_get(json_object_get(specials, name), "ids") : NULL;
        if (!text && !json_is_array(ids))
            return sc_fail(SC_EFORMAT, "%s: TemplateProcessing: %s: item %zu names no special token", what, key, i);
        for (size_t k = 0; k < json_array_size(ids) && !s; k++) {
            int32_t id;
            s = known_id(t, json_array_get(ids, k), what, &id);
            if (!s) s = put(f, id, type, what);
        }
        if (s) return s;
    }
    if (texts[0] != 1 || texts[1] != wanted)
        return sc_fail(SC_EFORMAT, "%s: TemplateProcessing: %s: without the text", what, key);
    return SC_OK;
}

static sc_status parse_template(sc_tokenizer *t, const json_t *j, const char *what)
{
    sc_frame_free(&t->single);
    sc_frame_free(&t->pair);
    sc_status s = parse_list(t, j, "single", what, &t->single);
    const json_t *pair = json_object_get(j, "pair");
    if (!s && pair && !json_is_null(pair)) {
        s = parse_list(t, j, "pair", what, &t->pair);
    } else if (!s) {
        s = put(&t->pair, SC_FRAME_A, 0, what);
        if (!s) s = put(&t->pair, SC_FRAME_B, 1, what);
    }
    return s ? s : split_frame(t);
}

/* RobertaProcessing and BertProcessing: "cls": [text, id], "sep": [text, id]. */
static sc_status parse_pair(sc_tokenizer *t, const json_t *j, const char *what, bool roberta)
{
    int32_t cls, sep;
    sc_status s = known_id(t, json_array_get(json_object_get(j, "cls"), 1), what, &cls);
    if (!s) s = known_id(t, json_array_get(json_object_get(j, "sep"), 1), what, &sep);
    return s ? s : wrap(t, cls, sep, roberta ? 1 : 0, roberta ? 0 : 1, what);
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
    if (strcmp(type, "BertProcessing") == 0) return parse_pair(t, j, what, false);
    if (strcmp(type, "RobertaProcessing") == 0) {
        s = parse_trim(t, j, what);
        return s ? s : parse_pair(t, j, what, true);
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
