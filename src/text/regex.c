/* SPDX-License-Identifier: Apache-2.0 */
/* Regular expressions of tokenizers. They are written for Oniguruma (Ruby syntax); PCRE2 reads nearly the same, and
 * what differs is rewritten first:
 *   \s \w \h        are Unicode's White_Space, word characters, and hexadecimal digits
 *   . ^ $ (?m)      as in Ruby: the anchors are a line's, (?m) lets . match a newline
 *   x{1,3}+         repeats x{1,3}; in PCRE2 it would be possessive
 *   \p{Han}         the script, not the script extensions; \p{Letter} has no long names in PCRE2 */
#include "text/text.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <ctype.h>
#include <pcre2.h>

#define MAX_PATTERN (64 << 10)
#define MAX_DEPTH   200
#define WORD        "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"

struct sc_regex {
    pcre2_code *code;
};

struct sc_matcher {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

/* ---- Ruby to PCRE2 ---- */

typedef struct rewriter {
    const char *p, *end, *what;
    sc_str out;
    int64_t atom;             /* where in out the last thing that can be repeated begins, -1 for none */
    int64_t group[MAX_DEPTH]; /* where the open groups begin */
    int depth;
} rewriter;

static sc_status unsupported(const rewriter *r, const char *thing)
{
    return sc_fail(SC_EUNSUPPORTED, "%s: regular expression: %s is not supported", r->what, thing);
}

static const char *const categories[][2] = {
    {"letter", "L"},
    {"mark", "M"},
    {"number", "N"},
    {"punctuation", "P"},
    {"symbol", "S"},
    {"separator", "Z"},
    {"other", "C"},
    {"uppercase_letter", "Lu"},
    {"lowercase_letter", "Ll"},
    {"titlecase_letter", "Lt"},
    {"modifier_letter", "Lm"},
    {"other_letter", "Lo"},
    {"decimal_number", "Nd"},
    {"alpha", "Alphabetic"},
    {"alphabetic", "Alphabetic"},
    {"white_space", "White_Space"},
    {"space", "White_Space"},
    {"digit", "Nd"},
    {"upper", "Uppercase"},
    {"lower", "Lowercase"},
    {"uppercase", "Uppercase"},
    {"lowercase", "Lowercase"},
    {"emoji", "Emoji"},
    {"any", "Any"},
    {"han", "sc:Han"},
    {"hangul", "sc:Hangul"},
    {"hiragana", "sc:Hiragana"},
    {"katakana", "sc:Katakana"},
    {"latin", "sc:Latin"},
    {"greek", "sc:Greek"},
    {"cyrillic", "sc:Cyrillic"},
    {"arabic", "sc:Arabic"},
    {"hebrew", "sc:Hebrew"},
    {"thai", "sc:Thai"},
    {"devanagari", "sc:Devanagari"},
    {"bengali", "sc:Bengali"},
    {"armenian", "sc:Armenian"},
    {"georgian", "sc:Georgian"},
    {"ethiopic", "sc:Ethiopic"},
    {"tamil", "sc:Tamil"},
    {"telugu", "sc:Telugu"},
    {"khmer", "sc:Khmer"},
    {"lao", "sc:Lao"},
    {"tibetan", "sc:Tibetan"},
    {"myanmar", "sc:Myanmar"},
    {"common", "sc:Common"},
    {"inherited", "sc:Inherited"},
    {"unknown", "sc:Unknown"},
};

/* \p{...}, \P{...}; p is after the p. */
static sc_status property(rewriter *r, char p)
{
    char name[40];
    size_t n = 0;
    if (r->p == r->end || *r->p != '{') return unsupported(r, "\\p without braces");
    for (r->p++; r->p < r->end && *r->p != '}' && n < sizeof(name) - 1; r->p++) name[n++] = *r->p;
    name[n] = 0;
    if (r->p == r->end || *r->p != '}') return unsupported(r, "a property's name that long or open");
    r->p++;
    const char *body = name, *sign = "";
    if (*body == '^') {
        sign = "^";
        body++;
    }
    if (strlen(body) > 2) {
        for (int i = 0; i < SC_COUNT(categories); i++) {
            if (strcasecmp(categories[i][0], body) == 0) {
                sc_str_printf(&r->out, "\\%c{%s%s}", p, sign, categories[i][1]);
                return SC_OK;
            }
        }
        const char *script;
        for (int i = 0; (script = sc_uni_script(i)) != NULL; i++) {
            if (strcasecmp(script, body) == 0) {
                sc_str_printf(&r->out, "\\%c{%ssc:%s}", p, sign, script);
                return SC_OK;
            }
        }
        char text[80];
        snprintf(text, sizeof(text), "the property %s", body);
        return unsupported(r, text);
    }
    sc_str_printf(&r->out, "\\%c{%s%s}", p, sign, body);
    return SC_OK;
}

/* What follows a backslash, inside a [class] or outside. */
static sc_status escape(rewriter *r, bool in_class)
{
    if (r->p == r->end) return unsupported(r, "a backslash at the end");
    char c = *r->p++;
    switch (c) {
    case 's': sc_str_puts(&r->out, "\\p{White_Space}"); return SC_OK;
    case 'S': sc_str_puts(&r->out, "\\P{White_Space}"); return SC_OK;
    case 'w': sc_str_puts(&r->out, in_class ? WORD : "[" WORD "]"); return SC_OK;
    case 'W':
        if (in_class) return unsupported(r, "\\W in a class");
        sc_str_puts(&r->out, "[^" WORD "]");
        return SC_OK;
    case 'h': sc_str_puts(&r->out, in_class ? "0-9a-fA-F" : "[0-9a-fA-F]"); return SC_OK;
    case 'p':
    case 'P': return property(r, c);
    case 'u': {
        if (r->end - r->p < 4) return unsupported(r, "a short \\u");
        sc_str_printf(&r->out, "\\x{%.4s}", r->p);
        r->p += 4;
        return SC_OK;
    }
    case 'H':
    case 'R':
    case 'X':
    case 'y':
    case 'Y':
    case 'K':
    case 'G':
    case 'C':
    case 'N':
    case 'O':
    case 'g':
    case 'k':
    case 'E':
    case 'Q':
    case 'L':
    case 'U':
    case 'l':
    case 'c':
    case 'M':
    case 'V':
    case 'v':
    case 'o': {
        char text[16];
        snprintf(text, sizeof(text), "\\%c", c);
        return unsupported(r, text);
    }
    default:
        sc_str_putc(&r->out, '\\');
        sc_str_putc(&r->out, c);
        return SC_OK;
    }
}

static sc_status class(rewriter *r) /* p is after the [ */
{
    sc_str_putc(&r->out, '[');
    if (r->p < r->end && *r->p == '^') sc_str_putc(&r->out, *r->p++);
    bool first = true;
    for (; r->p < r->end; first = false) {
        char c = *r->p++;
        if (c == ']' && !first) {
            sc_str_putc(&r->out, ']');
            return SC_OK;
        }
        if (c == '\\') {
            sc_status s = escape(r, true);
            if (s) return s;
        } else if (c == '[') {
            const char *close =
                r->p < r->end && *r->p == ':' ? memmem(r->p, (size_t)(r->end - r->p), ":]", 2) : NULL;
            if (!close) return unsupported(r, "a class in a class");
            sc_str_putc(&r->out, '[');
            sc_str_append(&r->out, r->p, close + 2 - r->p);
            r->p = close + 2;
        } else if (c == '&' && r->p < r->end && *r->p == '&') {
            return unsupported(r, "an intersection of classes");
        } else {
            if (c == ']') sc_str_putc(&r->out, '\\');
            sc_str_putc(&r->out, c);
        }
    }
    return unsupported(r, "an open class");
}

/* A {n,m}: as Ruby means it. p is after the brace. */
static void interval(rewriter *r)
{
    const char *q = r->p, *first = q;
    while (q < r->end && isdigit((unsigned char)*q)) q++;
    bool low = q > first, high = false, comma = q < r->end && *q == ',';
    if (comma) {
        const char *second = ++q;
        while (q < r->end && isdigit((unsigned char)*q)) q++;
        high = q > second;
    }
    if (q == r->end || *q != '}' || (!low && !high)) {
        sc_str_puts(&r->out, "\\{");
        r->atom = r->out.len - 2;
        return;
    }
    sc_str_puts(&r->out, low ? "{" : "{0");
    sc_str_append(&r->out, first, q + 1 - first);
    r->p = q + 1;
    if (r->p < r->end && *r->p == '+' && r->atom >= 0 && !r->out.oom) {
        sc_str copy = {0};
        sc_str_append(&copy, r->out.p + r->atom, r->out.len - r->atom);
        r->out.len = r->atom;
        sc_str_puts(&r->out, "(?:");
        sc_str_append(&r->out, copy.p, copy.len);
        sc_str_puts(&r->out, ")");
        r->out.oom |= copy.oom;
        sc_str_free(&copy);
    }
}

/* "(?" and options: Ruby's m is PCRE2's s. p is after the parenthesis. */
static sc_status group(rewriter *r)
{
    if (r->depth == MAX_DEPTH) return unsupported(r, "nesting that deep");
    r->group[r->depth++] = r->out.len;
    sc_str_putc(&r->out, '(');
    if (r->p == r->end || *r->p != '?') return SC_OK;
    sc_str_putc(&r->out, *r->p++);
    const char *q = r->p;
    while (q < r->end && (*q == 'i' || *q == 'm' || *q == 'x' || *q == '-')) q++;
    if (q < r->end && (*q == ':' || *q == ')')) {
        for (; r->p < q; r->p++) {
            if (*r->p == 'x') return unsupported(r, "(?x)");
            sc_str_putc(&r->out, *r->p == 'm' ? 's' : *r->p);
        }
        return SC_OK;
    }
    if (r->p < r->end && (*r->p == ':' || *r->p == '=' || *r->p == '!' || *r->p == '>')) return SC_OK;
    if (r->end - r->p >= 2 && *r->p == '<' && (r->p[1] == '=' || r->p[1] == '!')) return SC_OK;
    return unsupported(r, "this kind of group");
}

static sc_status rewrite(rewriter *r)
{
    while (r->p < r->end) {
        char c = *r->p++;
        int64_t here = r->out.len;
        sc_status s = SC_OK;
        switch (c) {
        case '\\':
            s = escape(r, false);
            r->atom = here;
            break;
        case '[':
            s = class(r);
            r->atom = here;
            break;
        case '(':
            s = group(r);
            r->atom = -1;
            break;
        case ')':
            sc_str_putc(&r->out, c);
            r->atom = r->depth > 0 ? r->group[--r->depth] : -1;
            break;
        case '{': interval(r); break;
        case '*':
        case '+':
        case '?': sc_str_putc(&r->out, c); break;
        case '|':
            sc_str_putc(&r->out, c);
            r->atom = -1;
            break;
        default:
            sc_str_putc(&r->out, c);
            if (((unsigned char)c & 0xc0) != 0x80) /* a character's first byte */
                r->atom = here;
        }
        if (s) return s;
        if (r->out.len > 4 * MAX_PATTERN)
            return sc_fail(SC_ELIMIT, "%s: regular expression longer than %d bytes", r->what, MAX_PATTERN);
    }
    return r->out.oom ? sc_nomem() : SC_OK;
}

sc_status sc_regex_new(sc_regex **out, const char *pattern, int64_t len, const char *what)
{
    if (len > MAX_PATTERN)
        return sc_fail(SC_ELIMIT, "%s: regular expression of %lld bytes; at most %d", what, (long long)len,
                       MAX_PATTERN);
    rewriter r = {.p = pattern, .end = pattern + len, .what = what, .atom = -1};
    sc_regex *re = NULL;
    pcre2_compile_context *context = NULL;
    sc_status s = rewrite(&r);
    if (s) goto done;
    re = sc_calloc(1, sizeof(*re));
    context = pcre2_compile_context_create(NULL);
    if (!re || !context) {
        s = sc_nomem();
        goto done;
    }
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_set_parens_nest_limit(context, MAX_DEPTH);
    int code;
    PCRE2_SIZE at;
    re->code = pcre2_compile((PCRE2_SPTR)(r.out.p ? r.out.p : ""), (PCRE2_SIZE)r.out.len,
                             PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &code, &at, context);
    if (!re->code) {
        PCRE2_UCHAR text[120];
        pcre2_get_error_message(code, text, sizeof(text));
        s = sc_fail(SC_EFORMAT, "%s: regular expression: %s", what, (char *)text);
        goto done;
    }
    pcre2_jit_compile(re->code, PCRE2_JIT_COMPLETE); /* without it, the interpreter */
    *out = re;
    re = NULL;
done:
    pcre2_compile_context_free(context);
    sc_regex_free(re);
    sc_str_free(&r.out);
    return s;
}

void sc_regex_free(sc_regex *re)
{
    if (re) pcre2_code_free(re->code);
    sc_free(re);
}

/* ---- matching ---- */

sc_status sc_matcher_new(sc_matcher **out)
{
    sc_matcher *m = sc_calloc(1, sizeof(*m));
    if (!m) return sc_nomem();
    m->data = pcre2_match_data_create(1, NULL);
    m->context = pcre2_match_context_create(NULL);
    m->stack = pcre2_jit_stack_create(32 << 10, 8 << 20, NULL);
    if (!m->data || !m->context) {
        sc_matcher_free(m);
        return sc_nomem();
    }
    pcre2_set_depth_limit(m->context, 100 * 1000);
    pcre2_set_heap_limit(m->context, 64 << 10);
    if (m->stack) pcre2_jit_stack_assign(m->context, NULL, m->stack);
    *out = m;
    return SC_OK;
}

void sc_matcher_free(sc_matcher *m)
{
    if (!m) return;
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->context);
    if (m->stack) pcre2_jit_stack_free(m->stack);
    sc_free(m);
}

/* Sets [base, valid) to the next stretch of UTF-8 at or after `from`. */
static void next_stretch(sc_scan *s, int64_t from)
{
    uint32_t cp;
    int64_t i = from;
    while (i < s->n) {
        int k = sc_utf8_decode(s->p + i, s->n - i, &cp);
        if (cp != 0xfffd || (k == 3 && memcmp(s->p + i, "\xef\xbf\xbd", 3) == 0)) break;
        i += k;
    }
    s->base = s->pos = i;
    while (i < s->n) {
        int k = (unsigned char)s->p[i] < 0x80 ? (cp = 0, 1) : sc_utf8_decode(s->p + i, s->n - i, &cp);
        if (cp == 0xfffd && !(k == 3 && memcmp(s->p + i, "\xef\xbf\xbd", 3) == 0)) break;
        i += k;
    }
    s->valid = i;
}

sc_scan sc_scan_begin(const sc_regex *re, sc_matcher *m, const char *p, int64_t n, bool valid)
{
    /* One match may go back over each byte of the text some times, and no more. */
    pcre2_set_match_limit(m->context, (uint32_t)SC_MIN(10000000 + 4 * n, UINT32_MAX));
    sc_scan s = {.re = re, .m = m, .p = p, .n = n, .valid = n, .last = -1};
    if (!valid) next_stretch(&s, 0);
    return s;
}

sc_status sc_scan_next(sc_scan *s, bool *found, int64_t *begin, int64_t *end)
{
    *found = false;
    for (;;) {
        int rc = PCRE2_ERROR_NOMATCH;
        if (s->pos <= s->valid)
            rc = pcre2_match(s->re->code, (PCRE2_SPTR)(s->p + s->base), (PCRE2_SIZE)(s->valid - s->base),
                             (PCRE2_SIZE)(s->pos - s->base), PCRE2_NO_UTF_CHECK, s->m->data, s->m->context);
        if (rc == PCRE2_ERROR_NOMATCH) {
            if (s->valid >= s->n) return SC_OK;
            next_stretch(s, s->valid);
            continue;
        }
        if (rc < 0) {
            PCRE2_UCHAR text[120];
            pcre2_get_error_message(rc, text, sizeof(text));
            return sc_fail(SC_ELIMIT, "tokenizer: a pre-tokenizer's regular expression: %s", (char *)text);
        }
        const PCRE2_SIZE *v = pcre2_get_ovector_pointer(s->m->data);
        *begin = s->base + (int64_t)v[0];
        *end = s->base + (int64_t)v[1];
        if (*end <= *begin && (s->last == *end || *end < *begin)) { /* an empty match right after the last one */
            if (s->pos >= s->valid) {
                s->pos = s->valid + 1;
            } else {
                uint32_t cp;
                s->pos += sc_utf8_decode(s->p + s->pos, s->valid - s->pos, &cp);
            }
            continue;
        }
        s->pos = s->last = *end;
        *found = true;
        return SC_OK;
    }
}

/* ---- patterns ---- */

void sc_pattern_free(sc_pattern *p)
{
    sc_regex_free(p->re);
    sc_free(p->text);
    memset(p, 0, sizeof(*p));
}

static sc_status each_regex(const sc_pattern *pat, sc_matcher *m, const char *p, int64_t n, bool valid,
                            sc_pattern_fn *fn, void *user)
{
    sc_scan scan = sc_scan_begin(pat->re, m, p, n, valid);
    int64_t prev = 0, begin, end;
    for (;;) {
        bool found;
        sc_status s = sc_scan_next(&scan, &found, &begin, &end);
        if (s) return s;
        if (!found) break;
        if (prev != begin && (s = fn(user, prev, begin, false)) != SC_OK) return s;
        if ((s = fn(user, begin, end, true)) != SC_OK) return s;
        prev = end;
    }
    return prev < n ? fn(user, prev, n, false) : SC_OK;
}

static sc_status each_text(const sc_pattern *pat, const char *p, int64_t n, sc_pattern_fn *fn, void *user)
{
    int64_t prev = 0;
    while (prev < n && pat->len > 0) {
        const char *hit = memmem(p + prev, (size_t)(n - prev), pat->text, (size_t)pat->len);
        if (!hit) break;
        sc_status s = hit - p > prev ? fn(user, prev, hit - p, false) : SC_OK;
        if (!s) s = fn(user, hit - p, hit - p + pat->len, true);
        if (s) return s;
        prev = hit - p + pat->len;
    }
    return prev < n ? fn(user, prev, n, false) : SC_OK;
}

static sc_status each_class(const sc_pattern *pat, const char *p, int64_t n, sc_pattern_fn *fn, void *user)
{
    int64_t prev = 0;
    for (int64_t i = 0; i < n;) {
        uint32_t cp;
        int k = sc_utf8_decode(p + i, n - i, &cp);
        if (pat->is(cp)) {
            sc_status s = i > prev ? fn(user, prev, i, false) : SC_OK;
            if (!s) s = fn(user, i, i + k, true);
            if (s) return s;
            prev = i + k;
        }
        i += k;
    }
    return prev < n ? fn(user, prev, n, false) : SC_OK;
}

sc_status sc_pattern_each(const sc_pattern *pat, sc_matcher *m, const char *p, int64_t n, bool valid,
                          sc_pattern_fn *fn, void *user)
{
    if (pat->re) return each_regex(pat, m, p, n, valid, fn, user);
    return pat->is ? each_class(pat, p, n, fn, user) : each_text(pat, p, n, fn, user);
}

sc_status sc_pattern_parse(sc_pattern *out, const json_t *j, const char *what)
{
    const json_t *text = json_is_string(j) ? j : json_object_get(j, "String");
    if (json_is_string(text)) {
        if (json_string_length(text) > SC_TEXT_MAX_STRING)
            return sc_fail(SC_ELIMIT, "%s: pattern: %zu bytes; at most %d", what, json_string_length(text),
                           SC_TEXT_MAX_STRING);
        char *copy = sc_malloc(json_string_length(text) + 1);
        if (!copy) return sc_nomem();
        memcpy(copy, json_string_value(text), json_string_length(text) + 1);
        *out = (sc_pattern){.text = copy, .len = (int64_t)json_string_length(text)};
        return SC_OK;
    }
    const json_t *regex = json_object_get(j, "Regex");
    if (!json_is_string(regex))
        return sc_fail(SC_EFORMAT, "%s: pattern: expected {\"String\": ...} or {\"Regex\": ...}", what);
    sc_regex *re;
    sc_status s = sc_regex_new(&re, json_string_value(regex), (int64_t)json_string_length(regex), what);
    if (!s)
        *out = (sc_pattern){.re = re,
                            .scan = sc_scanner_find(json_string_value(regex), (int64_t)json_string_length(regex))};
    return s;
}
