/* SPDX-License-Identifier: Apache-2.0 */
/* Pre-tokenizers: steps that cut the text into the pieces that the model sees one by one.
 *
 * Steps run depth first: a step hands each piece it cuts to the next step at once, so that no list of pieces is ever
 * built and memory does not grow with the text. A step that changes text does so in the encoder's scratch of its
 * own level. */
#include "text/patterns.h"
#include "text/text.h"

/* what the Whitespace pre-tokenizer keeps; its \w counts joiners as well */
#define RUST_WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200c}\\x{200d}"
static const char word_pattern[] = "[" RUST_WORD "]+|[^" RUST_WORD "\\s]+";

/* ---- bytes as characters ----
 * GPT-2's table: printable Latin-1 stands for itself, the 68 other bytes for U+0100 and on, in order. */

static bool itself(unsigned b) { return (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || (b >= 0xae); }

void sc_byte_char(uint8_t byte, char out[2], int *n)
{
    uint32_t c = byte;
    if (!itself(byte)) {
        if (byte <= 0x20)
            c = 0x100 + byte;
        else if (byte == 0xad)
            c = 0x143;
        else
            c = 0x121 + (byte - 0x7fu); /* 0x7f to 0xa0 */
    }
    if (c < 0x80) {
        out[0] = (char)c;
        *n = 1;
    } else {
        out[0] = (char)(0xc0 | (c >> 6));
        out[1] = (char)(0x80 | (c & 0x3f));
        *n = 2;
    }
}

int sc_char_byte(uint32_t c)
{
    if (c < 0x100) return itself(c) ? (int)c : -1;
    if (c <= 0x120) return (int)(c - 0x100);
    if (c <= 0x142) return (int)(c - 0x121 + 0x7f);
    return c == 0x143 ? 0xad : -1;
}

/* ---- reading ---- */

sc_status sc_pre_add(sc_tokenizer *t, sc_pre_step step)
{
    if (t->n_pre == SC_TEXT_MAX_STEPS) {
        sc_pattern_free(&step.pattern);
        return sc_fail(SC_ELIMIT, "tokenizer: more than %d pre-tokenizers", SC_TEXT_MAX_STEPS);
    }
    t->pre[t->n_pre++] = step;
    if (step.kind != SC_PRE_BYTES) t->word_step = t->n_pre;
    return SC_OK;
}

sc_status sc_pre_add_class(sc_tokenizer *t, bool (*is)(uint32_t), sc_behavior behavior)
{
    return sc_pre_add(t, (sc_pre_step){.kind = SC_PRE_SPLIT, .pattern.is = is, .behavior = behavior});
}

static sc_status add_regex(sc_tokenizer *t, const char *pattern, sc_behavior behavior, bool invert)
{
    sc_regex *re;
    sc_status s = sc_regex_new(&re, pattern, (int64_t)strlen(pattern), "pre-tokenizer");
    if (s) return s;
    return sc_pre_add(
        t, (sc_pre_step){.kind = SC_PRE_SPLIT,
                         .pattern = {.re = re, .scan = sc_scanner_find(pattern, (int64_t)strlen(pattern))},
                         .behavior = behavior,
                         .invert = invert});
}

sc_status sc_pre_add_regex(sc_tokenizer *t, const char *regex) { return add_regex(t, regex, SC_ISOLATED, false); }

sc_status sc_pre_add_bytes(sc_tokenizer *t, bool prefix_space, bool regex)
{
    sc_status s = SC_OK;
    if (prefix_space) s = sc_pre_add(t, (sc_pre_step){.kind = SC_PRE_PREFIX_SPACE});
    if (!s && regex) s = sc_pre_add_regex(t, GPT2_PATTERN);
    return s ? s : sc_pre_add(t, (sc_pre_step){.kind = SC_PRE_BYTES});
}

static sc_status parse_behavior(const json_t *j, const char *what, sc_behavior *out)
{
    static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext",
                                        "Contiguous"};
    const char *name = NULL;
    sc_status s = sc_json_str(j, what, "behavior", &name);
    if (s || !name) return s;
    for (int i = 0; i < SC_COUNT(names); i++) {
        if (strcasecmp(name, names[i]) == 0) {
            *out = (sc_behavior)i;
            return SC_OK;
        }
    }
    return sc_fail(SC_EFORMAT, "%s: pre-tokenizer: unknown behavior %s", what, name);
}

static sc_status parse_split(sc_tokenizer *t, const json_t *j, const char *what)
{
    sc_pre_step step = {.kind = SC_PRE_SPLIT, .behavior = SC_ISOLATED};
    sc_status s = parse_behavior(j, what, &step.behavior);
    if (!s) s = sc_json_bool(j, what, "invert", &step.invert);
    if (!s) s = sc_pattern_parse(&step.pattern, json_object_get(j, "pattern"), what);
    return s ? s : sc_pre_add(t, step);
}

/* The prepend_scheme of Metaspace, or the older add_prefix_space. */
static sc_status parse_scheme(const json_t *j, const char *what, sc_prepend *out)
{
    const char *scheme = NULL;
    bool add = true;
    sc_status s = sc_json_str(j, what, "prepend_scheme", &scheme);
    if (!s) s = sc_json_bool(j, what, "add_prefix_space", &add);
    if (s) return s;
    *out = add ? SC_PREPEND_ALWAYS : SC_PREPEND_NEVER;
    if (scheme) {
        if (strcmp(scheme, "always") == 0)
            *out = SC_PREPEND_ALWAYS;
        else if (strcmp(scheme, "first") == 0)
            *out = SC_PREPEND_FIRST;
        else if (strcmp(scheme, "never") == 0)
            *out = SC_PREPEND_NEVER;
        else
            return sc_fail(SC_EFORMAT, "%s: Metaspace: unknown prepend_scheme %s", what, scheme);
    }
    return SC_OK;
}

static sc_status parse_metaspace(sc_tokenizer *t, const json_t *j, const char *what)
{
    sc_pre_step step = {.kind = SC_PRE_METASPACE};
    const char *replacement = SC_LOWLINE;
    bool split = true;
    uint32_t cp;
    sc_status s = sc_json_str(j, what, "replacement", &replacement);
    if (!s) s = sc_json_bool(j, what, "split", &split);
    if (!s) s = parse_scheme(j, what, &step.prepend);
    if (s) return s;
    size_t len = strlen(replacement);
    if (len == 0 || sc_utf8_decode(replacement, (int64_t)len, &cp) != (int)len)
        return sc_fail(SC_EFORMAT, "%s: Metaspace: replacement is not one character", what);
    memcpy(step.replacement, replacement, len + 1);
    s = sc_pre_add(t, step);
    if (s || !split) return s;
    char *text = sc_strdup(replacement);
    if (!text) return sc_nomem();
    return sc_pre_add(t, (sc_pre_step){.kind = SC_PRE_SPLIT,
                                       .pattern = {.text = text, .len = (int64_t)len},
                                       .behavior = SC_MERGED_NEXT});
}

/* A run of one script, with the spaces in it and after it; kana are counted to the ideographs. */
static sc_status add_scripts(sc_tokenizer *t)
{
#define KANA "\\p{Han}\\p{Hiragana}\\p{Katakana}\\x{30fc}"
    sc_str pattern = {0};
    sc_str_puts(&pattern, "[" KANA "][" KANA "\\p{Unknown} ]*");
    const char *script;
    for (int i = 0; (script = sc_uni_script(i)) != NULL; i++) {
        bool common = strcmp(script, "Common") == 0; /* the space is of this one, but belongs to all */
        sc_str_printf(&pattern,
                      common ? "|(?![ \\x{30fc}])[\\p{%s}](?:(?!\\x{30fc})[\\p{%s}\\p{Unknown} ])*"
                             : "|[\\p{%s}][\\p{%s}\\p{Unknown} ]*",
                      script, script);
    }
    sc_status s = pattern.oom ? sc_nomem() : add_regex(t, pattern.p, SC_REMOVED, true);
    sc_str_free(&pattern);
    return s;
}

static sc_status parse(sc_tokenizer *t, const json_t *j, const char *what, int depth)
{
    const char *type = NULL;
    sc_status s = sc_json_str(j, what, "type", &type);
    if (s) return s;
    if (!type) return sc_fail(SC_EFORMAT, "%s: a pre-tokenizer without a type", what);
    if (strcmp(type, "Sequence") == 0) {
        const json_t *list = json_object_get(j, "pretokenizers");
        if (!json_is_array(list) || depth > 8)
            return sc_fail(SC_EFORMAT, "%s: pre-tokenizer: Sequence without a list, or too deep", what);
        for (size_t i = 0; i < json_array_size(list) && !s; i++)
            s = parse(t, json_array_get(list, i), what, depth + 1);
        return s;
    }
    if (strcmp(type, "ByteLevel") == 0) {
        bool prefix = true, regex = true;
        s = sc_json_bool(j, what, "add_prefix_space", &prefix);
        if (!s) s = sc_json_bool(j, what, "use_regex", &regex);
        return s ? s : sc_pre_add_bytes(t, prefix, regex);
    }
    if (strcmp(type, "Split") == 0) return parse_split(t, j, what);
    if (strcmp(type, "Metaspace") == 0) return parse_metaspace(t, j, what);
    if (strcmp(type, "Digits") == 0) {
        bool individual = false;
        s = sc_json_bool(j, what, "individual_digits", &individual);
        return s ? s : sc_pre_add_class(t, sc_uni_number, individual ? SC_ISOLATED : SC_CONTIGUOUS);
    }
    if (strcmp(type, "Punctuation") == 0) {
        sc_behavior behavior = SC_ISOLATED;
        s = parse_behavior(j, what, &behavior);
        return s ? s : sc_pre_add_class(t, sc_uni_old_punct, behavior);
    }
    if (strcmp(type, "Whitespace") == 0) return add_regex(t, word_pattern, SC_REMOVED, true);
    if (strcmp(type, "WhitespaceSplit") == 0) return sc_pre_add_class(t, sc_uni_white, SC_REMOVED);
    if (strcmp(type, "BertPreTokenizer") == 0) {
        s = sc_pre_add_class(t, sc_uni_white, SC_REMOVED);
        return s ? s : sc_pre_add_class(t, sc_uni_old_punct, SC_ISOLATED);
    }
    if (strcmp(type, "UnicodeScripts") == 0) return add_scripts(t);
    if (strcmp(type, "FixedLength") == 0) {
        sc_pre_step step = {.kind = SC_PRE_LENGTH, .length = 5};
        s = sc_json_int(j, what, "length", 1, INT32_MAX, &step.length);
        return s ? s : sc_pre_add(t, step);
    }
    if (strcmp(type, "CharDelimiterSplit") == 0) {
        sc_pre_step step = {.kind = SC_PRE_SPLIT, .behavior = SC_REMOVED};
        s = sc_pattern_parse(&step.pattern, json_object_get(j, "delimiter"), what);
        return s ? s : sc_pre_add(t, step);
    }
    return sc_fail(SC_EUNSUPPORTED, "%s: the pre-tokenizer %s is not supported", what, type);
}

sc_status sc_pre_parse(sc_tokenizer *t, const json_t *j, const char *what)
{
    return !j || json_is_null(j) ? SC_OK : parse(t, j, what, 0);
}

/* ---- running ---- */

typedef struct splitting {
    sc_encoder *e;
    const sc_pre_step *step;
    int next;
    sc_piece piece;
    bool held, match; /* [begin, end) waits for what follows it */
    int64_t begin, end;
} splitting;

static sc_piece cut(sc_piece p, int64_t begin, int64_t end)
{
    return (sc_piece){p.p + begin, end - begin, p.a ? p.a + begin : NULL, p.first && begin == 0};
}

static sc_status pass(splitting *s, int64_t begin, int64_t end)
{
    return end > begin ? sc_pre_run(s->e, s->next, cut(s->piece, begin, end)) : SC_OK;
}

static sc_status feed(void *user, int64_t begin, int64_t end, bool match)
{
    splitting *s = user;
    match ^= s->step->invert;
    bool join = false;
    switch (s->step->behavior) {
    case SC_REMOVED: return match ? SC_OK : pass(s, begin, end);
    case SC_ISOLATED: return pass(s, begin, end);
    case SC_MERGED_PREVIOUS: join = s->held && match && !s->match; break;
    case SC_MERGED_NEXT: join = s->held && s->match && !match; break;
    case SC_CONTIGUOUS: join = s->held && match == s->match; break;
    }
    sc_status status = SC_OK;
    if (!join) {
        if (s->held) status = pass(s, s->begin, s->end);
        s->begin = begin;
        s->held = true;
    }
    s->end = end;
    s->match = match;
    return status;
}

static sc_status run_word(sc_encoder *e, const void *how, sc_piece piece);

/* Matches that follow on one another, all of them pieces. */
static sc_status split_scanned(sc_encoder *e, int step, sc_piece piece)
{
    const sc_scanner *scan = e->t->pre[step].pattern.scan;
    bool words = step + 1 == e->t->word_step && !e->want_spans;
    sc_piece found[SC_WORD_BATCH];
    sc_status s = SC_OK;
    int n = 0;
    for (int64_t i = 0; i < piece.n && !s;) {
        int64_t k = sc_scanner_next(scan, piece.p + i, piece.n - i);
        if (!words) {
            s = sc_pre_run(e, step + 1, cut(piece, i, i + k));
        } else {
            found[n++] = cut(piece, i, i + k);
            if (n == SC_WORD_BATCH || i + k == piece.n) {
                s = sc_encoder_words(e, found, n, run_word, NULL);
                n = 0;
            }
        }
        i += k;
    }
    return s;
}

static sc_status split(sc_encoder *e, int step, sc_piece piece)
{
    const sc_pre_step *k = &e->t->pre[step];
    if (k->pattern.scan && e->valid && k->behavior == (k->invert ? SC_REMOVED : SC_ISOLATED))
        return split_scanned(e, step, piece);
    splitting s = {.e = e, .step = &e->t->pre[step], .next = step + 1, .piece = piece};
    sc_status status = s.step->pattern.re ? sc_encoder_matcher(e) : SC_OK;
    if (!status) status = sc_pattern_each(&s.step->pattern, e->matcher, piece.p, piece.n, e->valid, feed, &s);
    if (!status && s.held) status = pass(&s, s.begin, s.end);
    return status;
}

static sc_token_span first_span(const sc_piece *piece) { return piece->a ? piece->a[0] : (sc_token_span){0, 0}; }

/* Every byte becomes its character. */
static void put_bytes(sc_norm *x, const sc_piece *piece)
{
    if (!sc_grow(&x->p, &x->cap, 2 * piece->n + 1, 1) ||
        (x->track && !sc_grow(&x->a, &x->acap, 2 * piece->n + 1, sizeof(*x->a)))) {
        x->oom = true;
        return;
    }
    char *out = x->p;
    for (int64_t i = 0; i < piece->n; i++) {
        int n;
        sc_byte_char((uint8_t)piece->p[i], out, &n);
        for (int k = 0; x->track && k < n; k++) x->a[out - x->p + k] = piece->a[i];
        out += n;
    }
    x->n = out - x->p;
}

static void put_metaspace(sc_norm *x, const sc_pre_step *step, const sc_piece *piece)
{
    int64_t len = (int64_t)strlen(step->replacement);
    bool begins = piece->p[0] == ' ' || (piece->n >= len && memcmp(piece->p, step->replacement, (size_t)len) == 0);
    if (!begins && (step->prepend == SC_PREPEND_ALWAYS || (step->prepend == SC_PREPEND_FIRST && piece->first)))
        sc_norm_put(x, step->replacement, len, first_span(piece));
    for (int64_t i = 0; i < piece->n;) {
        const char *space = memchr(piece->p + i, ' ', (size_t)(piece->n - i));
        int64_t end = space ? space - piece->p : piece->n;
        sc_norm_copy(x, piece->p + i, end - i, piece->a ? piece->a + i : NULL);
        if (space) sc_norm_put(x, step->replacement, len, piece->a ? piece->a[end] : (sc_token_span){0, 0});
        i = end + 1;
    }
}

static sc_status cut_length(sc_encoder *e, int step, sc_piece piece)
{
    int64_t from = 0, count = 0;
    for (int64_t i = 0; i < piece.n;) {
        uint32_t cp;
        i += sc_utf8_decode(piece.p + i, piece.n - i, &cp);
        if (++count < e->t->pre[step].length && i < piece.n) continue;
        sc_status s = sc_pre_run(e, step + 1, cut(piece, from, i));
        if (s) return s;
        from = i;
        count = 0;
    }
    return SC_OK;
}

static sc_status run(sc_encoder *e, int step, sc_piece piece)
{
    if (step == e->t->n_pre) return e->t->model->encode(e->t->model, e, piece);
    const sc_pre_step *k = &e->t->pre[step];
    if (k->kind == SC_PRE_SPLIT) return split(e, step, piece);
    if (k->kind == SC_PRE_LENGTH) return cut_length(e, step, piece);
    if (k->kind == SC_PRE_PREFIX_SPACE && piece.p[0] == ' ') return sc_pre_run(e, step + 1, piece);
    sc_norm *x = &e->scratch[step];
    sc_norm_clear(x);
    x->track = piece.a != NULL;
    if (k->kind == SC_PRE_PREFIX_SPACE) {
        sc_norm_put(x, " ", 1, first_span(&piece));
        sc_norm_copy(x, piece.p, piece.n, piece.a);
    } else if (k->kind == SC_PRE_BYTES) {
        put_bytes(x, &piece);
    } else {
        put_metaspace(x, k, &piece);
    }
    if (x->oom) return sc_nomem();
    if (x->n > 4 * SC_TEXT_MAX_INPUT - 16)
        return sc_fail(SC_ELIMIT, "tokenizer: a text that grows past %lld bytes", 4 * SC_TEXT_MAX_INPUT - 16);
    return sc_pre_run(e, step + 1, (sc_piece){x->p, x->n, x->track ? x->a : NULL, piece.first});
}

static sc_status run_word(sc_encoder *e, const void *how, sc_piece piece)
{
    (void)how;
    return run(e, e->t->word_step, piece);
}

sc_status sc_pre_run(sc_encoder *e, int step, sc_piece piece)
{
    if (step > 0 && step == e->t->word_step) return sc_encoder_word(e, piece, run_word, NULL);
    return run(e, step, piece);
}
