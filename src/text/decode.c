/* SPDX-License-Identifier: Apache-2.0 */
/* Ids back to text. Decoders are a chain; each takes the text of tokens, in chunks with marks where a token begins and
 * ends, and hands on what it is sure of. Text is held back only where a later token could change it: the beginning of a
 * string to replace, spaces that may turn out to be the last, an unfinished character. */
#include "text/text.h"

enum {
    BEGIN = 1,
    END = 2,
    LITERAL = 4
}; /* LITERAL: an added token, whose text is not spelled in byte characters */

typedef struct level {
    sc_str held;
    sc_str last;   /* CTC: the token before */
    int64_t count; /* strip: characters taken or given up; metaspace: tokens seen */
    bool open;     /* something of the current token went on */
} level;

struct sc_detokenizer {
    const sc_tokenizer *t;
    unsigned flags;
    level level[SC_TEXT_MAX_STEPS];
    int64_t tokens;
    sc_str out;   /* decoded, not yet given */
    sc_str given; /* what the last call returned */
};

/* ---- reading ---- */

void sc_dec_step_free(sc_decode_step *s)
{
    sc_pattern_free(&s->pattern);
    sc_free(s->delimiter);
    sc_free(s->text);
}

sc_status sc_dec_add(sc_tokenizer *t, sc_decode_step step)
{
    if (t->n_dec == SC_TEXT_MAX_STEPS) {
        sc_dec_step_free(&step);
        return sc_fail(SC_ELIMIT, "tokenizer: more than %d decoders", SC_TEXT_MAX_STEPS);
    }
    t->dec[t->n_dec++] = step;
    return SC_OK;
}

static sc_status text_of(const json_t *j, const char *what, const char *key, const char *otherwise, char **text,
                         int64_t *len)
{
    const char *p = otherwise;
    sc_status s = sc_json_str(j, what, key, &p);
    if (s) return s;
    if (!p) return sc_fail(SC_EFORMAT, "%s: decoder: %s: expected a string", what, key);
    *len = (int64_t)strlen(p);
    if (*len > SC_TEXT_MAX_STRING)
        return sc_fail(SC_ELIMIT, "%s: decoder: %s: %lld bytes; at most %d", what, key, (long long)*len,
                       SC_TEXT_MAX_STRING);
    *text = sc_strdup(p);
    return *text ? SC_OK : sc_nomem();
}

static sc_status parse_one(const json_t *j, const char *what, const char *type, sc_decode_step *step)
{
    sc_status s = SC_OK;
    if (strcmp(type, "ByteLevel") == 0) {
        step->kind = SC_DEC_BYTES;
    } else if (strcmp(type, "ByteFallback") == 0) {
        step->kind = SC_DEC_BYTE_FALLBACK;
    } else if (strcmp(type, "Fuse") == 0) {
        step->kind = SC_DEC_FUSE;
    } else if (strcmp(type, "Replace") == 0) {
        step->kind = SC_DEC_REPLACE;
        s = sc_pattern_parse(&step->pattern, json_object_get(j, "pattern"), what);
        if (!s) s = text_of(j, what, "content", NULL, &step->text, &step->len);
    } else if (strcmp(type, "Strip") == 0) {
        step->kind = SC_DEC_STRIP;
        s = text_of(j, what, "content", " ", &step->text, &step->len);
        if (!s) s = sc_json_int(j, what, "start", 0, INT32_MAX, &step->start);
        if (!s) s = sc_json_int(j, what, "stop", 0, SC_TEXT_MAX_STRING, &step->stop);
        if (!s && step->len == 0) s = sc_fail(SC_EFORMAT, "%s: decoder: Strip: empty content", what);
    } else if (strcmp(type, "Metaspace") == 0) {
        step->kind = SC_DEC_METASPACE;
        bool add = true;
        const char *scheme = NULL;
        s = text_of(j, what, "replacement", SC_LOWLINE, &step->text, &step->len);
        if (!s) s = sc_json_bool(j, what, "add_prefix_space", &add);
        if (!s) s = sc_json_str(j, what, "prepend_scheme", &scheme);
        if (!s && step->len == 0) s = sc_fail(SC_EFORMAT, "%s: decoder: Metaspace: empty replacement", what);
        step->prepend = (scheme ? strcmp(scheme, "never") == 0 : !add) ? SC_PREPEND_NEVER : SC_PREPEND_ALWAYS;
    } else if (strcmp(type, "BPEDecoder") == 0) {
        step->kind = SC_DEC_SUFFIX;
        s = text_of(j, what, "suffix", "</w>", &step->text, &step->len);
    } else if (strcmp(type, "WordPiece") == 0) {
        step->kind = SC_DEC_WORDPIECE;
        step->cleanup = true;
        s = text_of(j, what, "prefix", "##", &step->text, &step->len);
        if (!s) s = sc_json_bool(j, what, "cleanup", &step->cleanup);
    } else if (strcmp(type, "CTC") == 0) {
        int64_t len;
        step->kind = SC_DEC_CTC;
        step->cleanup = true;
        s = text_of(j, what, "pad_token", "<pad>", &step->text, &step->len);
        if (!s) s = text_of(j, what, "word_delimiter_token", "|", &step->delimiter, &len);
        if (!s) s = sc_json_bool(j, what, "cleanup", &step->cleanup);
    } else {
        s = sc_fail(SC_EUNSUPPORTED, "%s: the decoder %s is not supported", what, type);
    }
    return s;
}

static sc_status parse(sc_tokenizer *t, const json_t *j, const char *what, int depth)
{
    const char *type = NULL;
    sc_status s = sc_json_str(j, what, "type", &type);
    if (s) return s;
    if (!type) return sc_fail(SC_EFORMAT, "%s: a decoder without a type", what);
    if (strcmp(type, "Sequence") == 0) {
        const json_t *list = json_object_get(j, "decoders");
        if (!json_is_array(list) || depth > 8)
            return sc_fail(SC_EFORMAT, "%s: decoder: Sequence without a list, or too deep", what);
        for (size_t i = 0; i < json_array_size(list) && !s; i++)
            s = parse(t, json_array_get(list, i), what, depth + 1);
        return s;
    }
    sc_decode_step step = {0};
    s = parse_one(j, what, type, &step);
    if (s) {
        sc_dec_step_free(&step);
        return s;
    }
    return sc_dec_add(t, step);
}

sc_status sc_dec_parse(sc_tokenizer *t, const json_t *j, const char *what)
{
    return !j || json_is_null(j) ? SC_OK : parse(t, j, what, 0);
}

/* ---- the chain ---- */

static sc_status push(sc_detokenizer *d, int at, const char *p, int64_t n, int marks);

static sc_status push_bytes(sc_detokenizer *d, int at, const char *p, int64_t n, int marks)
{
    level *l = &d->level[at];
    bool plain = !(marks & LITERAL);
    l->held.len = 0;
    for (int64_t i = 0; i < n && plain;) {
        uint32_t cp;
        i += sc_utf8_decode(p + i, n - i, &cp);
        int byte = sc_char_byte(cp);
        if (byte < 0)
            plain = false;
        else
            sc_str_putc(&l->held, (char)byte);
    }
    if (l->held.oom) return sc_nomem();
    int begin = l->open ? 0 : BEGIN;
    l->open = true;
    return plain ? push(d, at + 1, l->held.p, l->held.len, begin) : push(d, at + 1, p, n, begin);
}

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static sc_status push_byte_fallback(sc_detokenizer *d, int at, const char *p, int64_t n, int marks)
{
    if (n == 6 && memcmp(p, "<0x", 3) == 0 && p[5] == '>' && hex(p[3]) >= 0 && hex(p[4]) >= 0) {
        char byte = (char)(hex(p[3]) << 4 | hex(p[4]));
        return push(d, at + 1, &byte, 1, marks);
    }
    return push(d, at + 1, p, n, marks);
}

enum { MOST_GROWTH = 16 << 20 }; /* bytes that a replacement may make of fewer: steps in a row would multiply */

typedef struct replacing {
    const sc_decode_step *step;
    sc_str *out;
    const char *p;
    int64_t n;
} replacing;

static sc_status replace(void *user, int64_t begin, int64_t end, bool match)
{
    replacing *r = user;
    if (r->out->len > SC_MAX(r->n + r->n / 8, MOST_GROWTH))
        return sc_fail(SC_ELIMIT, "tokenizer: a decoder makes %lld bytes of %lld", (long long)r->out->len,
                       (long long)r->n);
    if (match)
        sc_str_append(r->out, r->step->text, r->step->len);
    else
        sc_str_append(r->out, r->p + begin, end - begin);
    return SC_OK;
}

/* Of the end of p[0..n), how much could be the beginning of the pattern's text. */
static int64_t unsure(const sc_pattern *pat, const char *p, int64_t n)
{
    for (int64_t k = SC_MIN(n, pat->len - 1); k > 0; k--) {
        if (memcmp(p + n - k, pat->text, (size_t)k) == 0) return k;
    }
    return 0;
}

static sc_status push_replace(sc_detokenizer *d, int at, const char *p, int64_t n, int marks)
{
    level *l = &d->level[at];
    const sc_decode_step *step = &d->t->dec[at];
    sc_str out = {0};
    sc_matcher *m = NULL;
    sc_status s = SC_OK;
    if (marks & BEGIN) {
        l->held.len = 0;
        l->open = false;
    }
    sc_str_append(&l->held, p, n);
    if (step->pattern.re && !(marks & END)) return l->held.oom ? sc_nomem() : SC_OK;
    /* whole matches first: only what follows the last of them is unsure */
    int64_t keep = 0, done = 0;
    if (!(marks & END)) {
        const char *hit, *text = step->pattern.text;
        while (step->pattern.len > 0 && l->held.len > done &&
               (hit = memmem(l->held.p + done, (size_t)(l->held.len - done), text, (size_t)step->pattern.len)) !=
                   NULL)
            done = hit - l->held.p + step->pattern.len;
        keep = unsure(&step->pattern, l->held.p + done, l->held.len - done);
    }
    int64_t sure = l->held.len - keep;
    replacing r = {step, &out, l->held.p, sure};
    if (step->pattern.re) s = sc_matcher_new(&m);
    if (!s && sure > 0)
        s = sc_pattern_each(&step->pattern, m, l->held.p, sure, sc_utf8_valid(l->held.p, sure), replace, &r);
    if (!s && (out.oom || l->held.oom)) s = sc_nomem();
    if (!s && (out.len > 0 || (marks & END))) {
        s = push(d, at + 1, out.p ? out.p : "", out.len, (l->open ? 0 : BEGIN) | (marks & (END | LITERAL)));
        l->open = true;
    }
    if (keep > 0) memmove(l->held.p, l->held.p + sure, (size_t)keep);
    l->held.len = keep;
    sc_matcher_free(m);
    sc_str_free(&out);
    return s;
}

static sc_status push_strip(sc_detokenizer *d, int at, const char *p, int64_t n, int marks)
{
    level *l = &d->level[at];
    const sc_decode_step *step = &d->t->dec[at];
    if (marks & BEGIN) {
        l->count = 0;
        l->held.len = 0;
        l->open = false;
    }
    while (l->count < step->start && n >= step->len && memcmp(p, step->text, (size_t)step->len) == 0) {
        l->count++;
        p += step->len;
        n -= step->len;
    }
    if (n > 0) l->count = step->start;
    sc_str_append(&l->held, p, n);
    if (l->held.oom) return sc_nomem();
    int64_t sure = l->held.len;
    for (int64_t k = 0; k < step->stop && sure >= step->len; k++) {
        if (memcmp(l->held.p + sure - step->len, step->text, (size_t)step->len) != 0) break;
        sure -= step->len;
    }
    sc_status s = SC_OK;
    if (sure > 0 || (marks & END)) {
        s = push(d, at + 1, l->held.p ? l->held.p : "", sure, (l->open ? 0 : BEGIN) | (marks & (END | LITERAL)));
        l->open = true;
    }
    if (l->held.len > sure) memmove(l->held.p, l->held.p + sure, (size_t)(l->held.len - sure));
    l->held.len = marks & END ? 0 : l->held.len - sure;
    return s;
}

static sc_status push_metaspace(sc_detokenizer *d, int at, const char *p, int64_t n, int marks)
{
    level *l = &d->level[at];
    const sc_decode_step *step = &d->t->dec[at];
    l->count += marks & BEGIN;
    l->held.len = 0;
    for (int64_t i = 0; i < n;) {
        if (n - i >= step->len && memcmp(p + i, step->text, (size_t)step->len) == 0) {
            if (l->count != 1 || step->prepend == SC_PREPEND_NEVER) sc_str_putc(&l->held, ' ');
            i += step->len;
        } else {
            sc_str_putc(&l->held, p[i++]);
        }
    }
    return l->held.oom ? sc_nomem() : push(d, at + 1, l->held.p ? l->held.p : "", l->held.len, marks);
}

/* A token's end-of-word mark is a space, but not the last token's: a token waits for the next one. */
static sc_status give_suffix(sc_detokenizer *d, int at, const char *mark)
{
    level *l = &d->level[at];
    const sc_decode_step *step = &d->t->dec[at];
    sc_str out = {0};
    for (int64_t i = 0; i < l->held.len;) {
        if (step->len > 0 && l->held.len - i >= step->len &&
            memcmp(l->held.p + i, step->text, (size_t)step->len) == 0) {
            sc_str_puts(&out, mark);
            i += step->len;
        } else {
            sc_str_putc(&out, l->held.p[i++]);
        }
    }
    l->held.len = 0;
    sc_status s = out.oom ? sc_nomem() : push(d, at + 1, out.p ? out.p : "", out.len, BEGIN | END);
    sc_str_free(&out);
    return s;
}

static sc_status push_suffix(sc_detokenizer *d, int at, const char *p, int64_t n, int marks)
{
    level *l = &d->level[at];
    sc_status s = SC_OK;
    if ((marks & BEGIN) && l->open) s = give_suffix(d, at, " ");
    l->open = true;
    sc_str_append(&l->held, p, n);
    return s ? s : l->held.oom ? sc_nomem() : SC_OK;
}

/* A whole token in held goes on, changed by `change`. */
static sc_status give_whole(sc_detokenizer *d, int at, const char *p, int64_t n, int marks,
                            bool (*change)(sc_str *s, const sc_decode_step *step, level *l))
{
    level *l = &d->level[at];
    if (marks & BEGIN) l->held.len = 0;
    sc_str_append(&l->held, p, n);
    if (l->held.oom) return sc_nomem();
    if (!(marks & END)) return SC_OK;
    sc_str out = {0};
    sc_str_append(&out, l->held.p, l->held.len);
    bool goes = change(&out, &d->t->dec[at], l);
    sc_status s = out.oom ? sc_nomem() : goes ? push(d, at + 1, out.p, out.len, marks | BEGIN) : SC_OK;
    sc_str_free(&out);
    return s;
}

/* Every `from` in s becomes `to`; it must not be empty. */
static void replace_all(sc_str *s, const char *from, const char *to)
{
    size_t k = strlen(from);
    const char *hit = k && s->p ? memmem(s->p, (size_t)s->len, from, k) : NULL;
    if (!hit) return;
    sc_str out = {0};
    int64_t done = 0;
    for (; hit; hit = memmem(s->p + done, (size_t)(s->len - done), from, k)) {
        sc_str_append(&out, s->p + done, hit - s->p - done);
        sc_str_puts(&out, to);
        done = hit - s->p + (int64_t)k;
    }
    sc_str_append(&out, s->p + done, s->len - done);
    out.oom |= s->oom;
    sc_str_free(s);
    *s = out;
}

/* English as it is written: no space before signs and the ends of contractions. */
static void clean_up(sc_str *s)
{
    static const char *const changes[][2] = {{" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
                                             {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
                                             {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (int i = 0; i < SC_COUNT(changes); i++) replace_all(s, changes[i][0], changes[i][1]);
}

static bool join_wordpiece(sc_str *s, const sc_decode_step *step, level *l)
{
    if (l->count++ > 0) {
        bool inner = s->len >= step->len && memcmp(s->p, step->text, (size_t)step->len) == 0;
        int64_t skip = inner ? step->len : 0;
        sc_str out = {0};
        if (!inner) sc_str_putc(&out, ' ');
        sc_str_append(&out, s->p + skip, s->len - skip);
        sc_str_free(s);
        *s = out;
    }
    if (step->cleanup) clean_up(s);
    return true;
}

/* A token that repeats the one before gives nothing; the pad token neither, so that it separates equal ones. */
static bool join_ctc(sc_str *s, const sc_decode_step *step, level *l)
{
    if (l->count++ > 0 && s->len == l->last.len && memcmp(s->p, l->last.p, (size_t)s->len) == 0) return false;
    l->last.len = 0;
    sc_str_append(&l->last, s->p, s->len);
    s->oom |= l->last.oom;
    replace_all(s, step->text, "");
    if (step->cleanup) {
        clean_up(s);
        replace_all(s, step->delimiter, " ");
    }
    return s->len > 0 || s->oom;
}

static sc_status push(sc_detokenizer *d, int at, const char *p, int64_t n, int marks)
{
    if (at == d->t->n_dec) {
        sc_str_append(&d->out, p, n);
        return d->out.oom ? sc_nomem() : SC_OK;
    }
    switch (d->t->dec[at].kind) {
    case SC_DEC_BYTES: return push_bytes(d, at, p, n, marks);
    case SC_DEC_BYTE_FALLBACK: return push_byte_fallback(d, at, p, n, marks);
    case SC_DEC_FUSE: {
        int begin = d->level[at].open ? 0 : BEGIN;
        d->level[at].open = true;
        return push(d, at + 1, p, n, begin);
    }
    case SC_DEC_REPLACE: return push_replace(d, at, p, n, marks);
    case SC_DEC_STRIP: return push_strip(d, at, p, n, marks);
    case SC_DEC_METASPACE: return push_metaspace(d, at, p, n, marks);
    case SC_DEC_SUFFIX: return push_suffix(d, at, p, n, marks);
    case SC_DEC_WORDPIECE: return give_whole(d, at, p, n, marks, join_wordpiece);
    case SC_DEC_CTC: return give_whole(d, at, p, n, marks, join_ctc);
    }
    return SC_OK;
}

static sc_status end(sc_detokenizer *d)
{
    sc_status s = SC_OK;
    for (int i = 0; i < d->t->n_dec && !s; i++) {
        int kind = d->t->dec[i].kind;
        if ((kind == SC_DEC_FUSE || kind == SC_DEC_BYTES) && d->level[i].open)
            s = push(d, i + 1, "", 0, END);
        else if (kind == SC_DEC_SUFFIX && d->level[i].open)
            s = give_suffix(d, i, "");
    }
    for (int i = 0; i < SC_TEXT_MAX_STEPS; i++) {
        d->level[i].held.len = d->level[i].last.len = 0;
        d->level[i].count = 0;
        d->level[i].open = false;
    }
    d->tokens = 0;
    return s;
}

/* ---- the public face ---- */

static sc_status take(sc_detokenizer *d, int32_t id)
{
    int64_t len = 0;
    const char *p = sc_vocab_text(&d->t->vocab, id, &len);
    if (id < 0 || id >= d->t->vocab.ids)
        return sc_fail(SC_EINVAL, "token id %d; the vocabulary has ids 0 to %lld", id,
                       (long long)d->t->vocab.ids - 1);
    uint8_t flags = d->t->vocab.flags[id];
    if (!p || ((d->flags & SC_DETOKENIZE_SKIP_SPECIAL) && (flags & SC_TOKEN_SPECIAL))) return SC_OK;
    for (int64_t i = 0; (flags & SC_TOKEN_NORMALIZED) && i < d->t->n_added; i++) {
        if (d->t->added[i].id == id && d->t->added[i].text) {
            p = d->t->added[i].text;
            len = d->t->added[i].len;
        }
    }
    if (d->t->n_dec == 0 && d->tokens > 0) sc_str_putc(&d->out, ' ');
    d->tokens++;
    return push(d, 0, p, len, BEGIN | END | (flags & SC_TOKEN_ADDED ? LITERAL : 0));
}

/* Moves the first n bytes of out to given. */
static sc_status give(sc_detokenizer *d, int64_t n, const char **text, int64_t *len)
{
    d->given.len = 0;
    sc_str_append(&d->given, "", 0);
    if ((d->flags & SC_DETOKENIZE_REPLACE_INVALID) && !sc_utf8_valid(d->out.p ? d->out.p : "", n)) {
        for (int64_t i = 0; i < n;) {
            uint32_t cp;
            i += sc_utf8_decode(d->out.p + i, n - i, &cp);
            sc_str_utf8(&d->given, cp);
        }
    } else {
        sc_str_append(&d->given, d->out.p ? d->out.p : "", n);
    }
    if (d->given.oom || d->out.oom) return sc_nomem();
    if (n > 0) memmove(d->out.p, d->out.p + n, (size_t)(d->out.len - n));
    d->out.len -= n;
    if (d->given.p) d->given.p[d->given.len] = 0;
    *text = d->given.p ? d->given.p : "";
    *len = d->given.len;
    return SC_OK;
}

sc_status sc_detokenizer_new(sc_detokenizer **out, const sc_tokenizer *t, unsigned flags)
{
    sc_detokenizer *d = sc_calloc(1, sizeof(*d));
    if (!d) return sc_nomem();
    d->t = t;
    d->flags = flags;
    *out = d;
    return SC_OK;
}

sc_status sc_detokenizer_push(sc_detokenizer *d, int32_t id, const char **text, int64_t *len)
{
    sc_status s = take(d, id);
    if (s) return s;
    return give(d, d->out.len - (d->out.len > 0 ? sc_utf8_unfinished(d->out.p, d->out.len) : 0), text, len);
}

sc_status sc_detokenizer_flush(sc_detokenizer *d, const char **text, int64_t *len)
{
    sc_status s = end(d);
    return s ? s : give(d, d->out.len, text, len);
}

void sc_detokenizer_free(sc_detokenizer *d)
{
    if (!d) return;
    for (int i = 0; i < SC_TEXT_MAX_STEPS; i++) {
        sc_str_free(&d->level[i].held);
        sc_str_free(&d->level[i].last);
    }
    sc_str_free(&d->out);
    sc_str_free(&d->given);
    sc_free(d);
}

sc_status sc_tokenizer_decode(const sc_tokenizer *t, const int32_t *ids, int64_t n, unsigned flags, char **text,
                              int64_t *len)
{
    sc_detokenizer *d = NULL;
    sc_status s = sc_detokenizer_new(&d, t, flags);
    if (s) return s;
    for (int64_t i = 0; i < n && !s; i++) s = take(d, ids[i]);
    const char *p;
    int64_t k;
    if (!s) s = sc_detokenizer_flush(d, &p, &k);
    if (!s) {
        char *copy = sc_malloc((size_t)k + 1);
        if (copy) {
            memcpy(copy, p, (size_t)k);
            copy[k] = 0;
            *text = copy;
            *len = k;
        } else {
            s = sc_nomem();
        }
    }
    sc_detokenizer_free(d);
    return s;
}
