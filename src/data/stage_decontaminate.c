/* SPDX-License-Identifier: Apache-2.0 */
/* Takes out what evaluations ask: documents that have n words in a row in common with a text of an evaluation set, as GPT-3's
 * data was treated (Brown et al. 2020, appendix C). */
#include "data/data.h"
#include "data/grams.h"

enum { MOST_N = 64, LINE_MAX_BYTES = 16 << 20, MOST_DEPTH = 16 };

typedef struct decontaminate {
    int64_t n, least; /* words; texts shorter than n are looked for whole, from `least` words on */
    int64_t window;   /* characters around what is cut out */
    int64_t piece;    /* characters that a piece has at least */
    int64_t cuts;     /* at most; with more the document goes */
    int64_t matches;  /* n-grams that a document must have in common */
    bool cut;
    bool length[MOST_N + 1]; /* there are n-grams of so many words */
    uint64_t *gram;          /* (size) a hash table; 0: nothing is here */
    int64_t size, grams;
} decontaminate;

static void decontaminate_free(void *self)
{
    decontaminate *d = self;
    if (!d) return;
    sc_free(d->gram);
    sc_free(d);
}

static bool has(const decontaminate *d, uint64_t x)
{
    uint64_t i = x & (uint64_t)(d->size - 1);
    for (; d->gram[i]; i = (i + 1) & (uint64_t)(d->size - 1))
        if (d->gram[i] == x) return true;
    return false;
}

static void put(decontaminate *d, uint64_t x)
{
    uint64_t i = x & (uint64_t)(d->size - 1);
    while (d->gram[i] && d->gram[i] != x) i = (i + 1) & (uint64_t)(d->size - 1);
    d->grams += !d->gram[i];
    d->gram[i] = x;
}

static sc_status grow(decontaminate *d)
{
    uint64_t *old = d->gram;
    int64_t size = d->size;
    uint64_t *p = sc_calloc((size_t)SC_MAX(1024, size * 2), sizeof *p);
    if (!p) return sc_nomem();
    d->gram = p;
    d->size = SC_MAX(1024, size * 2);
    d->grams = 0;
    for (int64_t i = 0; i < size; i++)
        if (old[i]) put(d, old[i]);
    sc_free(old);
    return SC_OK;
}

/* ---- evaluation sets ---- */

typedef struct reading {
    decontaminate *d;
    sc_grams words;
    const sc_settings *settings;
    int64_t texts;
} reading;

static sc_status add_text(reading *r, const char *p, int64_t n)
{
    decontaminate *d = r->d;
    sc_status s = sc_grams_words(&r->words, p, n, false);
    if (s || r->words.n < d->least) return s;
    int64_t length = SC_MIN(d->n, r->words.n);
    s = sc_grams_make(&r->words, length);
    d->length[length] = true;
    r->texts++;
    for (int64_t i = 0; !s && i < r->words.grams; i++) {
        if ((d->grams + 1) * 2 > d->size) s = grow(d);
        if (!s) put(d, r->words.gram[i] | 1);
    }
    return s;
}

static bool is_wanted(const sc_settings *s, const char *field)
{
    int n = sc_setting_count(s, "fields");
    for (int i = 0; i < n; i++)
        if (strcmp(sc_setting_item(s, "fields", i), field) == 0) return true;
    return n == 0;
}

/* All texts in a value. */
static sc_status add_json(reading *r, const json_t *v, int depth)
{
    const char *key;
    json_t *item;
    size_t i;
    sc_status s = SC_OK;
    if (json_is_string(v)) return add_text(r, json_string_value(v), (int64_t)json_string_length(v));
    if (depth > MOST_DEPTH) return SC_OK;
    if (json_is_array(v)) json_array_foreach(v, i, item) if (!s) s = add_json(r, item, depth + 1);
    if (json_is_object(v))
        json_object_foreach((json_t *)v, key, item) if (!s && (depth || is_wanted(r->settings, key))) s =
            add_json(r, item, depth + 1);
    return s;
}

static sc_status add_line(reading *r, const char *path, int64_t number, const char *p, int64_t n, bool json)
{
    if (!n) return SC_OK;
    if (!json) return add_text(r, p, n);
    char what[64];
    json_t *o = NULL;
    snprintf(what, sizeof what, "line %lld", (long long)number);
    sc_status s = sc_json_parse(&o, p, n, what);
    s = s ? sc_fail_in(s, "%s", path) : add_json(r, o, 0);
    json_decref(o);
    return s;
}

static sc_status add_file(reading *r, const char *path)
{
    sc_line_options o = {.bytes = {.strict = true}, .longest = LINE_MAX_BYTES};
    sc_line_reader *l;
    const char *p = "";
    int64_t n, before = r->texts;
    bool json = sc_path_is(path, ".jsonl") || sc_path_is(path, ".ndjson");
    sc_status s = sc_line_reader_open(&l, path, &o);
    if (s) return s;
    while (!s && !(s = sc_line_reader_next(l, &p, &n)) && p)
        s = add_line(r, path, sc_line_reader_count(l).lines, p, n, json);
    if (!s && sc_line_reader_count(l).longer)
        s = sc_fail(SC_ELIMIT, "%s has a line of more than %d bytes", path, LINE_MAX_BYTES);
    if (!s && r->texts == before)
        s = sc_fail(SC_EINVAL, "%s has no text of %lld words or more to look for", path, (long long)r->d->least);
    sc_line_reader_close(l);
    return s;
}

static sc_status decontaminate_open(void **self, const sc_stage_setup *x)
{
    const sc_settings *o = &x->settings;
    decontaminate *d = sc_calloc(1, sizeof *d);
    const char *action = sc_setting_text(o, "action");
    if (!d) return sc_nomem();
    reading r = {.d = d, .settings = o};
    d->n = sc_setting_int(o, "n");
    d->least = SC_MIN(d->n, sc_setting_int(o, "min_n"));
    d->window = sc_setting_int(o, "window");
    d->piece = sc_setting_int(o, "min_piece");
    d->cuts = sc_setting_int(o, "max_cuts");
    d->matches = sc_setting_int(o, "matches");
    d->cut = strcmp(action, "cut") == 0;
    sc_status s = d->cut || strcmp(action, "drop") == 0
                      ? grow(d)
                      : sc_fail(SC_EINVAL, "%s: 'action' is drop or cut, not '%s'", o->where, action);
    if (!s && !sc_setting_count(o, "against"))
        s = sc_fail(SC_EINVAL, "%s needs \"against\": files of evaluation texts", o->where);
    for (int i = 0; !s && i < sc_setting_count(o, "against"); i++) {
        s = add_file(&r, sc_setting_item(o, "against", i));
        if (s) sc_fail_in(s, "%s", o->where);
    }
    sc_grams_free(&r.words);
    if (s)
        decontaminate_free(d);
    else
        *self = d;
    return s;
}

/* ---- documents ---- */

/* What is in common: words first .. last. */
typedef struct match {
    int64_t first, last;
} match;

typedef struct room {
    sc_grams words;
    match *match;
    int64_t n, cap;
    sc_str text;
} room;

static sc_status decontaminate_room(void **out, const void *self)
{
    (void)self;
    *out = sc_calloc(1, sizeof(room));
    return *out ? SC_OK : sc_nomem();
}

static void decontaminate_room_free(void *p)
{
    room *r = p;
    sc_grams_free(&r->words);
    sc_free(r->match);
    sc_str_free(&r->text);
    sc_free(r);
}

static int by_place(const void *a, const void *b)
{
    const match *x = a, *y = b;
    return (x->first > y->first) - (x->first < y->first);
}

static sc_status find(const decontaminate *d, room *r, const sc_document *doc)
{
    sc_status s = sc_grams_words(&r->words, doc->text.p ? doc->text.p : "", doc->text.len, false);
    r->n = 0;
    for (int64_t n = d->least; !s && n <= d->n; n++) {
        if (!d->length[n] || r->words.n < n) continue;
        s = sc_grams_make(&r->words, n);
        for (int64_t i = 0; !s && i < r->words.grams; i++) {
            if (!has(d, r->words.gram[i] | 1)) continue;
            if (!sc_grow(&r->match, &r->cap, r->n + 1, sizeof *r->match)) return sc_nomem();
            r->match[r->n++] = (match){i, i + n - 1};
        }
    }
    if (r->n) qsort(r->match, (size_t)r->n, sizeof *r->match, by_place);
    return s;
}

/* n characters before or behind a place. */
static int64_t back(const char *p, int64_t at, int64_t n)
{
    for (; at > 0 && n > 0; n--) do
            at--;
        while (at > 0 && ((unsigned char)p[at] & 0xc0) == 0x80);
    return at;
}

static int64_t ahead(const char *p, int64_t len, int64_t at, int64_t n)
{
    for (; at < len && n > 0; n--) do
            at++;
        while (at < len && ((unsigned char)p[at] & 0xc0) == 0x80);
    return at;
}

static void keep_piece(const decontaminate *d, room *r, const char *p, int64_t from, int64_t to)
{
    int64_t chars = 0;
    for (int64_t i = from; i < to && chars < d->piece; i++) chars += ((unsigned char)p[i] & 0xc0) != 0x80;
    if (chars < d->piece) return;
    if (r->text.len) sc_str_puts(&r->text, "\n\n");
    sc_str_append(&r->text, p + from, to - from);
}

/* What is left lies as pieces in one document, an empty line between them. */
static void cut_out(const decontaminate *d, room *r, sc_document *doc, sc_verdict *v)
{
    const char *p = doc->text.p;
    int64_t from = 0, cuts = 0;
    r->text.len = 0;
    for (int64_t i = 0, k; i < r->n; i = k) {
        int64_t end = ahead(p, doc->text.len, r->words.word[r->match[i].last].end, d->window);
        int64_t begin = back(p, r->words.word[r->match[i].first].begin, d->window);
        for (k = i + 1; k < r->n; k++) {
            if (back(p, r->words.word[r->match[k].first].begin, d->window) > end) break;
            end = SC_MAX(end, ahead(p, doc->text.len, r->words.word[r->match[k].last].end, d->window));
        }
        keep_piece(d, r, p, from, begin);
        from = end;
        cuts++;
    }
    keep_piece(d, r, p, from, doc->text.len);
    sc_verdict_add(v, "cuts", cuts);
    if (cuts > d->cuts) {
        sc_drop_value(v, "too_many_cuts", (double)cuts);
    } else if (!r->text.len) {
        sc_drop_value(v, "nothing_left", (double)cuts);
    } else {
        sc_document_set_text(doc, r->text.p, r->text.len);
        v->changed = true;
    }
}

static sc_status decontaminate_apply(const void *self, void *own, sc_document *doc, sc_verdict *v)
{
    const decontaminate *d = self;
    room *r = own;
    sc_status s = find(d, r, doc);
    if (s || r->n < d->matches) return s;
    int64_t begin = r->words.word[r->match[0].first].begin, end = r->words.word[r->match[0].last].end;
    sc_verdict_detail(v, doc->text.p + begin, end - begin);
    sc_verdict_add(v, "ngrams", r->n);
    if (d->cut)
        cut_out(d, r, doc, v);
    else
        sc_drop_value(v, "contaminated", (double)r->n);
    return r->text.oom ? sc_nomem() : SC_OK;
}

static const sc_setting settings[] = {
    {"against", SC_SET_LIST, .help = "evaluation sets: JSONL, or text with one example a line"},
    {"fields", SC_SET_LIST, .help = "of JSONL, whose texts count; all of them where none is named"},
    {"n", SC_SET_INT, "13", 1, MOST_N, "words in a row that are too much in common"},
    {"min_n", SC_SET_INT, "8", 1, MOST_N, "examples with fewer words than n are looked for whole, from so many on"},
    {"matches", SC_SET_INT, "1", 1, 1e9, "n-grams in common that make a document contaminated"},
    {"action", SC_SET_TEXT, "drop", .help = "drop the document, or cut what is in common out of it"},
    {"window", SC_SET_INT, "200", 0, 1e9, "cut: characters on both sides that go too"},
    {"min_piece", SC_SET_INT, "200", 1, 1e9, "cut: characters of a piece that is worth keeping"},
    {"max_cuts", SC_SET_INT, "10", 1, 1e9, "cut: with more the whole document goes"},
    {0}};
const sc_stage sc_stage_decontaminate = {.name = "decontaminate",
                                         .summary =
                                             "drops documents that have words in common with evaluation sets",
                                         .settings = settings,
                                         .open = decontaminate_open,
                                         .free = decontaminate_free,
                                         .room = decontaminate_room,
                                         .room_free = decontaminate_room_free,
                                         .apply = decontaminate_apply};
