/* SPDX-License-Identifier: Apache-2.0 */
/* Texts and pairs of texts with what stands around them, cut and filled up to a length where that is wanted. */
#include "text/text.h"

/* ---- reading ---- */

static sc_status direction(const json_t *j, const char *what, bool *left)
{
    const char *name = NULL;
    sc_status s = sc_json_str(j, what, "direction", &name);
    if (s || !name) return s;
    if (strcasecmp(name, "left") != 0 && strcasecmp(name, "right") != 0)
        return sc_fail(SC_EFORMAT, "%s: direction: %s is neither Left nor Right", what, name);
    *left = strcasecmp(name, "left") == 0;
    return SC_OK;
}

static sc_status parse_truncation(sc_fit *f, const json_t *j, const char *what)
{
    static const char *const names[] = {"LongestFirst", "OnlyFirst", "OnlySecond"};
    const char *name = names[0];
    f->truncate = true;
    f->max_length = 512;
    sc_status s = sc_json_int(j, what, "max_length", 0, INT32_MAX, &f->max_length);
    if (!s) s = direction(j, what, &f->truncate_left);
    if (!s) s = sc_json_str(j, what, "strategy", &name);
    for (int i = 0; i < SC_COUNT(names) && !s; i++) {
        if (strcmp(name, names[i]) == 0) {
            f->strategy = i;
            return SC_OK;
        }
    }
    return s ? s : sc_fail(SC_EFORMAT, "%s: truncation: unknown strategy %s", what, name);
}

static sc_status parse_padding(sc_fit *f, const json_t *j, const char *what)
{
    int64_t id = 0, type = 0;
    const json_t *strategy = json_object_get(j, "strategy");
    f->pad = true;
    sc_status s = json_is_object(strategy)
                      ? sc_json_int(strategy, what, "Fixed", 0, SC_TEXT_MAX_FILL, &f->pad_length)
                      : SC_OK;
    if (!s) s = direction(j, what, &f->pad_left);
    if (!s) s = sc_json_int(j, what, "pad_to_multiple_of", 0, SC_TEXT_MAX_FILL, &f->pad_multiple);
    if (!s) s = sc_json_int(j, what, "pad_id", 0, SC_TEXT_MAX_IDS - 1, &id);
    if (!s) s = sc_json_int(j, what, "pad_type_id", 0, INT32_MAX, &type);
    f->pad_id = (int32_t)id;
    f->pad_type = (int32_t)type;
    return s;
}

sc_status sc_fit_parse(sc_tokenizer *t, const json_t *root, const char *what)
{
    const json_t *cut = json_object_get(root, "truncation"), *pad = json_object_get(root, "padding");
    sc_status s = cut && !json_is_null(cut) ? parse_truncation(&t->fit, cut, what) : SC_OK;
    return !s && pad && !json_is_null(pad) ? parse_padding(&t->fit, pad, what) : s;
}

/* ---- lengths ---- */

typedef struct range {
    int64_t begin, end;
} range;

static void keep(range *r, int64_t n, bool left)
{
    if (r->end - r->begin <= n) return;
    if (left)
        r->begin = r->end - n;
    else
        r->end = r->begin + n;
}

/* Of two texts the longer one is cut first, to the length of the other. */
static sc_status truncate(const sc_fit *f, range *text, int texts, int64_t room)
{
    int64_t n[2] = {text[0].end - text[0].begin, texts > 1 ? text[1].end - text[1].begin : 0};
    int64_t total = n[0] + n[1];
    room = SC_MAX(room, 0);
    if (total <= room) return SC_OK;
    if (f->strategy == SC_TRUNCATE_LONGEST) {
        if (texts == 1) {
            keep(&text[0], room, f->truncate_left);
            return SC_OK;
        }
        int first = n[0] > n[1]; /* the shorter one */
        int64_t a = n[first], b = a > room ? a : SC_MAX(a, room - a);
        if (a + b > room) {
            a = room / 2;
            b = a + room % 2;
        }
        keep(&text[first], a, f->truncate_left);
        keep(&text[!first], b, f->truncate_left);
        return SC_OK;
    }
    int which = f->strategy == SC_TRUNCATE_SECOND;
    if (which >= texts || n[which] <= total - room)
        return sc_fail(SC_ELIMIT, "tokenizer: the %s text is too short to be cut to %lld tokens in all",
                       which ? "second" : "first", (long long)f->max_length);
    keep(&text[which], n[which] - (total - room), f->truncate_left);
    return SC_OK;
}

static int64_t padded(const sc_fit *f, int64_t n)
{
    int64_t want = SC_MAX(n, f->pad_length);
    if (f->pad_multiple > 0) want = (want + f->pad_multiple - 1) / f->pad_multiple * f->pad_multiple;
    return want;
}

/* ---- putting together ---- */

static const sc_frame *choose(const sc_tokenizer *t, int texts, bool around, sc_frame *bare,
                              struct sc_frame_item item[2])
{
    const sc_frame *f = texts > 1 ? &t->pair : &t->single;
    if (around && f->n > 0) return f;
    item[0] = (struct sc_frame_item){SC_FRAME_A, 0};
    item[1] = (struct sc_frame_item){SC_FRAME_B, 1};
    *bare = (sc_frame){.item = item, .n = texts};
    return bare;
}

typedef struct output {
    int32_t *ids, *types;
    sc_token_span *spans;
    int64_t n;
} output;

static void put(output *o, int32_t id, int32_t type, sc_token_span a)
{
    o->ids[o->n] = id;
    o->types[o->n] = type;
    if (o->spans) o->spans[o->n] = a;
    o->n++;
}

static void fill(output *o, const sc_encoder *e, const sc_frame *f, const range *text)
{
    for (int64_t i = 0; i < f->n; i++) {
        struct sc_frame_item item = f->item[i];
        if (item.id >= 0) {
            put(o, item.id, item.type, (sc_token_span){0, 0});
            continue;
        }
        const range *r = &text[item.id == SC_FRAME_B];
        for (int64_t k = r->begin; k < r->end; k++)
            put(o, e->ids[k], item.type, o->spans ? e->spans[k] : (sc_token_span){0, 0});
    }
}

sc_status sc_frame_apply(sc_encoder *e, const int64_t *end, int texts, int32_t **types)
{
    const sc_fit *fit = &e->t->fit;
    bool bound = e->flags & SC_TOKENIZE_FIT;
    range text[2] = {{0, end[0]}, {end[0], texts > 1 ? end[1] : end[0]}};
    sc_frame bare;
    struct sc_frame_item item[2];
    const sc_frame *f = choose(e->t, texts, e->flags & SC_TOKENIZE_SPECIAL, &bare, item);
    if (bound && fit->truncate) {
        sc_status s = truncate(fit, text, texts, fit->max_length - (f->n - texts));
        if (s) return s;
    }
    int64_t n = f->n - texts + (text[0].end - text[0].begin) + (text[1].end - text[1].begin);
    int64_t all = bound && fit->pad ? padded(fit, n) : n;
    output o = {.ids = sc_malloc((size_t)(all + 1) * sizeof(*o.ids)),
                .types = sc_malloc((size_t)(all + 1) * sizeof(*o.types)),
                .spans = e->want_spans ? sc_malloc((size_t)(all + 1) * sizeof(*o.spans)) : NULL};
    if (!o.ids || !o.types || (e->want_spans && !o.spans)) {
        sc_free(o.ids);
        sc_free(o.types);
        sc_free(o.spans);
        return sc_nomem();
    }
    for (int64_t i = n; fit->pad_left && i < all; i++) put(&o, fit->pad_id, fit->pad_type, (sc_token_span){0, 0});
    fill(&o, e, f, text);
    while (o.n < all) put(&o, fit->pad_id, fit->pad_type, (sc_token_span){0, 0});
    sc_free(e->ids);
    sc_free(e->spans);
    e->ids = o.ids;
    e->spans = o.spans;
    e->n = o.n;
    e->cap = all + 1;
    e->span_cap = o.spans ? all + 1 : 0;
    *types = o.types;
    return SC_OK;
}
