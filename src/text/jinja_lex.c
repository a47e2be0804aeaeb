/* SPDX-License-Identifier: Apache-2.0 */
/* Cuts a template into tokens. The rules for white space around tags (trim_blocks, lstrip_blocks, the signs - and +)
 * are all applied here, so the parser sees only what will be written. */
#include "text/jinja.h"

#include <stdlib.h>

typedef struct lexer {
    sc_template *t;
    const char *s;
    int64_t n, pos;
    int64_t at; /* line and col belong to this position */
    int line, col;
    jtoken *tok;
    int64_t count, cap;
    char *open; /* brackets that wait for their partner */
    int64_t nopen, open_cap;
    bool line_starting; /* the last match ended a line */
    sc_status status;
} lexer;

static void locate(lexer *x, int64_t pos, int *line, int *col)
{
    for (; x->at < pos; x->at++) {
        if (x->s[x->at] == '\n') {
            x->line++;
            x->col = 1;
        } else if ((x->s[x->at] & 0xC0) != 0x80) {
            x->col++;
        }
    }
    *line = x->line;
    *col = x->col;
}

static bool fail(lexer *x, int64_t pos, const char *message)
{
    int line, col;
    locate(x, pos, &line, &col);
    x->status = sc_fail(SC_EFORMAT, "%s: line %d, column %d: %s", x->t->what, line, col, message);
    return false;
}

static jtoken *push(lexer *x, jtok type, int64_t pos)
{
    if (!sc_grow(&x->tok, &x->cap, x->count + 1, sizeof(*x->tok))) {
        x->status = sc_nomem();
        return NULL;
    }
    jtoken *k = &x->tok[x->count++];
    *k = (jtoken){.type = type};
    locate(x, pos, &k->line, &k->col);
    return k;
}

static bool starts(const lexer *x, int64_t pos, const char *z)
{
    int64_t n = (int64_t)strlen(z);
    return x->n - pos >= n && memcmp(x->s + pos, z, (size_t)n) == 0;
}

/* The end of the white space at pos. */
static int64_t skip_space(const lexer *x, int64_t pos)
{
    while (pos < x->n) {
        uint32_t c;
        int k = sc_utf8_decode(x->s + pos, x->n - pos, &c);
        if (!juni_space(c)) break;
        pos += k;
    }
    return pos;
}

/* `{%` sign space NAME space, then `%}` with a sign: the position after the name's white space, or -1. */
static int64_t raw_tag(const lexer *x, int64_t pos, const char *name, char *sign)
{
    if (!starts(x, pos, "{%")) return -1;
    pos += 2;
    *sign = 0;
    if (pos < x->n && (x->s[pos] == '-' || x->s[pos] == '+')) *sign = x->s[pos++];
    pos = skip_space(x, pos);
    if (!starts(x, pos, name)) return -1;
    return skip_space(x, pos + (int64_t)strlen(name));
}

/* The end of a closing tag at pos (-1: there is none): `-` takes the white space after it, `+` nothing, and without
 * a sign a block or comment takes one newline. */
static int64_t close_tag(const lexer *x, int64_t pos, const char *close, bool plus, bool trim)
{
    if (plus && starts(x, pos, "+") && starts(x, pos + 1, close)) return pos + 3;
    if (starts(x, pos, "-") && starts(x, pos + 1, close)) return skip_space(x, pos + 3);
    if (!starts(x, pos, close)) return -1;
    pos += 2;
    if (trim && !x->t->plain && pos < x->n && x->s[pos] == '\n') pos++;
    return pos;
}

/* The text before a tag, cut as the tag's sign and lstrip_blocks say. */
static bool push_data(lexer *x, int64_t start, int64_t end, char sign, bool variable)
{
    const char *p = x->s + start;
    int64_t n = end - start;
    if (sign == '-') {
        const char *q = p;
        jstr_strip(&q, &n, false, true);
    } else if (sign != '+' && !variable && !x->t->plain) {
        int64_t line = n;
        while (line > 0 && p[line - 1] != '\n') line--;
        if ((line > 0 || x->line_starting) && line < n && skip_space(x, start + line) >= end) n = line;
    }
    if (n == 0) return true;
    jtoken *k = push(x, JT_DATA, start);
    if (!k) return false;
    k->p = p;
    k->n = n;
    return true;
}

static void mark_line(lexer *x) { x->line_starting = x->pos > 0 && x->s[x->pos - 1] == '\n'; }

static bool lex_comment(lexer *x, int64_t open)
{
    for (int64_t p = x->pos; p < x->n; p++) {
        int64_t end = close_tag(x, p, "#}", true, true);
        if (end < 0) continue;
        x->pos = end;
        mark_line(x);
        return true;
    }
    return fail(x, open, "this comment is not closed (\"#}\" is missing)");
}

static bool lex_raw(lexer *x, int64_t open)
{
    int64_t start = x->pos;
    for (int64_t p = start; p < x->n; p++) {
        char sign;
        if (x->s[p] != '{') continue;
        int64_t q = raw_tag(x, p, "endraw", &sign);
        if (q < 0) continue;
        int64_t end = close_tag(x, q, "%}", true, true);
        if (end < 0) continue;
        if (!push_data(x, start, p, sign, false)) return false;
        x->pos = end;
        mark_line(x);
        return true;
    }
    return fail(x, open, "this raw block is not closed ({% endraw %} is missing)");
}

static bool digit_in(char c, int base)
{
    int v = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : 99;
    return v < base;
}

/* Digits with single underscores between them; the end, or `pos` where there are none. */
static int64_t digits(const lexer *x, int64_t pos, int base)
{
    int64_t end = pos;
    while (end < x->n) {
        int64_t q = end > pos && x->s[end] == '_' ? end + 1 : end;
        if (q >= x->n || !digit_in(x->s[q], base)) break;
        end = q + 1;
    }
    return end;
}

static int64_t float_end(const lexer *x, int64_t pos)
{
    if (pos > 0 && x->s[pos - 1] == '.') return -1;
    int64_t p = digits(x, pos, 10);
    bool fraction = false;
    if (p < x->n && x->s[p] == '.') {
        int64_t q = digits(x, p + 1, 10);
        if (q > p + 1) {
            fraction = true;
            p = q;
        }
    }
    if (p < x->n && (x->s[p] | 32) == 'e') {
        int64_t q = p + 1;
        if (q < x->n && (x->s[q] == '+' || x->s[q] == '-')) q++;
        int64_t r = digits(x, q, 10);
        if (r > q) return r;
    }
    return fraction ? p : -1;
}

static bool lex_number(lexer *x)
{
    char buf[512];
    int64_t start = x->pos, end = float_end(x, start);
    bool is_float = end >= 0;
    int base = 10;
    int64_t from = start;
    if (!is_float) {
        char kind = starts(x, start, "0") && start + 1 < x->n ? (char)(x->s[start + 1] | 32) : 0;
        int want = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 0;
        int64_t after = want && start + 2 < x->n && x->s[start + 2] == '_' ? start + 3 : start + 2;
        if (want && digits(x, after, want) > after) {
            base = want;
            from = after;
            end = digits(x, after, want);
        } else if (x->s[start] == '0') {
            end = start + 1;
            while (starts(x, end, "0") || (starts(x, end, "_0"))) end += x->s[end] == '_' ? 2 : 1;
        } else {
            end = digits(x, start, 10);
        }
    }
    int64_t n = 0;
    for (int64_t p = from; p < end; p++) {
        if (x->s[p] == '_') continue;
        if (n == (int64_t)sizeof(buf) - 1) return fail(x, start, "this number has too many digits");
        buf[n++] = x->s[p];
    }
    buf[n] = 0;
    jtoken *k = push(x, is_float ? JT_FLOAT : JT_INT, start);
    if (!k) return false;
    if (is_float) {
        k->f = strtod(buf, NULL);
    } else {
        bool overflow = false;
        if (!jx_parse_int(buf, n, base, &k->i, &overflow))
            return fail(x, start, "this integer needs more than 64 bits");
    }
    x->pos = end;
    return true;
}

static int hex(const char *p, int64_t n, int want, uint32_t *out)
{
    if (n < want) return 0;
    *out = 0;
    for (int i = 0; i < want; i++) {
        if (!digit_in(p[i], 16)) return 0;
        *out = *out * 16 + (uint32_t)(p[i] <= '9' ? p[i] - '0' : (p[i] | 32) - 'a' + 10);
    }
    return want;
}

/* One escape of a string at p (after the backslash): the bytes it takes, 0 where it is malformed. */
static int64_t unescape(sc_str *out, const char *p, int64_t n)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    const char *hit = *p ? strchr(from, *p) : NULL;
    if (hit) {
        sc_str_putc(out, to[hit - from]);
        return 1;
    }
    if (*p == '\n') return 1;
    uint32_t c = 0;
    if (*p >= '0' && *p <= '7') {
        int64_t k = 0;
        while (k < 3 && k < n && p[k] >= '0' && p[k] <= '7') c = c * 8 + (uint32_t)(p[k++] - '0');
        sc_str_utf8(out, c);
        return k;
    }
    int want = *p == 'x' ? 2 : *p == 'u' ? 4 : *p == 'U' ? 8 : 0;
    if (want) {
        if (!hex(p + 1, n - 1, want, &c) || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) return 0;
        sc_str_utf8(out, c);
        return want + 1;
    }
    if (*p == 'N') return 0;
    sc_str_putc(out, '\\');
    if (!((unsigned char)*p & 0x80)) {
        sc_str_putc(out, *p);
        return 1;
    }
    /* Jinja turns what is not ASCII into escapes before it resolves escapes, so that the backslash escapes that one. */
    int k = sc_utf8_decode(p, n, &c);
    sc_str_printf(out, c < 0x100 ? "x%02x" : c < 0x10000 ? "u%04x" : "U%08x", (unsigned)c);
    return k;
}

static bool lex_string(lexer *x)
{
    int64_t start = x->pos, p = start + 1;
    char quote = x->s[start];
    bool escaped = false;
    while (p < x->n && x->s[p] != quote) {
        if (x->s[p] == '\\') {
            escaped = true;
            p++;
        }
        p++;
    }
    if (p >= x->n) return fail(x, start, "this string is not closed");
    jtoken *k = push(x, JT_STRING, start);
    if (!k) return false;
    k->p = x->s + start + 1;
    k->n = p - start - 1;
    x->pos = p + 1;
    if (!escaped) return true;
    sc_str out = {0};
    for (int64_t i = 0; i < k->n;) {
        if (k->p[i] != '\\') {
            sc_str_putc(&out, k->p[i++]);
            continue;
        }
        int64_t took = unescape(&out, k->p + i + 1, k->n - i - 1);
        if (!took) {
            int64_t where = (k->p - x->s) + i;
            sc_str_free(&out);
            x->at = 0; /* the token's start was located already */
            x->line = x->col = 1;
            return fail(x, where, "this escape in a string is malformed or not supported");
        }
        i += took + 1;
    }
    char *copy = out.oom ? NULL : sc_arena_strndup(x->t->arena, out.p ? out.p : "", (size_t)out.len);
    k->p = copy;
    k->n = out.len;
    sc_str_free(&out);
    if (!copy) x->status = sc_nomem();
    return copy != NULL;
}

static bool lex_name(lexer *x)
{
    int64_t start = x->pos, p = start;
    while (p < x->n) {
        uint32_t c;
        int k = sc_utf8_decode(x->s + p, x->n - p, &c);
        if (!juni_word(c)) break;
        p += k;
    }
    jtoken *k = push(x, JT_NAME, start);
    if (!k) return false;
    k->p = x->s + start;
    k->n = p - start;
    x->pos = p;
    return true;
}

static bool lex_operator(lexer *x)
{
    static const struct {
        const char *z;
        jtok type;
    } ops[] = {
        {"//", JT_FLOORDIV}, {"**", JT_POW},   {"==", JT_EQ},      {"!=", JT_NE},      {">=", JT_GE},
        {"<=", JT_LE},       {"+", JT_ADD},    {"-", JT_SUB},      {"/", JT_DIV},      {"*", JT_MUL},
        {"%", JT_MOD},       {"~", JT_TILDE},  {"[", JT_LBRACKET}, {"]", JT_RBRACKET}, {"(", JT_LPAREN},
        {")", JT_RPAREN},    {"{", JT_LBRACE}, {"}", JT_RBRACE},   {">", JT_GT},       {"<", JT_LT},
        {"=", JT_ASSIGN},    {".", JT_DOT},    {":", JT_COLON},    {"|", JT_PIPE},     {",", JT_COMMA},
        {";", JT_SEMICOLON},
    };
    for (int i = 0; i < SC_COUNT(ops); i++) {
        if (!starts(x, x->pos, ops[i].z)) continue;
        char c = ops[i].z[0];
        if (strchr("([{", c)) {
            if (!sc_grow(&x->open, &x->open_cap, x->nopen + 1, 1)) {
                x->status = sc_nomem();
                return false;
            }
            x->open[x->nopen++] = c == '(' ? ')' : c == '[' ? ']' : '}';
        } else if (strchr(")]}", c)) {
            if (!x->nopen || x->open[x->nopen - 1] != c)
                return fail(x, x->pos, "this closing bracket fits no opening one");
            x->nopen--;
        }
        if (!push(x, ops[i].type, x->pos)) return false;
        x->pos += (int64_t)strlen(ops[i].z);
        return true;
    }
    return fail(x, x->pos, "this character cannot stand here");
}

/* The inside of {% %} or {{ }}, up to and with its end. */
static bool lex_tag(lexer *x, bool block, int64_t open)
{
    while (x->pos < x->n) {
        if (!x->nopen) {
            int64_t end = close_tag(x, x->pos, block ? "%}" : "}}", block, block);
            if (end >= 0) {
                if (!push(x, block ? JT_BLOCK_END : JT_VAR_END, x->pos)) return false;
                x->pos = end;
                mark_line(x);
                return true;
            }
        }
        int64_t space = skip_space(x, x->pos);
        if (space > x->pos) {
            x->pos = space;
            continue;
        }
        uint32_t c;
        sc_utf8_decode(x->s + x->pos, x->n - x->pos, &c);
        bool ok = c >= '0' && c <= '9'             ? lex_number(x)
                  : c == '"' || c == '\''          ? lex_string(x)
                  : juni_word(c) && !juni_digit(c) ? lex_name(x)
                                                   : lex_operator(x);
        if (!ok) return false;
    }
    return fail(x, SC_MAX(open, x->at),
                block ? "the template ends inside a {% tag" : "the template ends inside a {{ tag");
}

static bool lex_root(lexer *x)
{
    while (x->pos < x->n) {
        int64_t start = x->pos, p = start;
        while (p < x->n && !(x->s[p] == '{' && p + 1 < x->n && strchr("{%#", x->s[p + 1]) && x->s[p + 1])) p++;
        if (p >= x->n) {
            jtoken *k = push(x, JT_DATA, start);
            if (!k) return false;
            k->p = x->s + start;
            k->n = x->n - start;
            x->pos = x->n;
            break;
        }
        char kind = x->s[p + 1], sign = 0;
        int64_t raw = raw_tag(x, p, "raw", &sign), end = raw < 0                 ? -1
                                                         : starts(x, raw, "-%}") ? skip_space(x, raw + 3)
                                                         : starts(x, raw, "%}")  ? raw + 2
                                                                                 : -1;
        if (end < 0) {
            end = p + 2;
            sign = 0;
            if (end < x->n && (x->s[end] == '-' || x->s[end] == '+')) sign = x->s[end++];
            raw = -1;
        }
        if (!push_data(x, start, p, sign, kind == '{')) return false;
        x->pos = end;
        mark_line(x);
        if (raw >= 0) {
            if (!lex_raw(x, p)) return false;
        } else if (kind == '#') {
            if (!lex_comment(x, p)) return false;
        } else {
            if (!push(x, kind == '%' ? JT_BLOCK_BEGIN : JT_VAR_BEGIN, p)) return false;
            if (!lex_tag(x, kind == '%', p)) return false;
        }
    }
    return true;
}

sc_status jinja_lex(jtoken **tokens, int64_t *count, sc_template *t, const char *source, int64_t len)
{
    lexer x = {.t = t, .line = 1, .col = 1, .line_starting = true};
    char *s = sc_arena_alloc(t->arena, (size_t)len + 1);
    if (!s) return sc_nomem();
    for (int64_t i = 0; i < len; i++) {
        if (source[i] == '\r' && i + 1 < len && source[i + 1] == '\n') continue;
        s[x.n++] = source[i] == '\r' ? '\n' : source[i];
    }
    if (x.n && s[x.n - 1] == '\n' && !t->plain) x.n--;
    x.s = s;
    bool ok = lex_root(&x) && push(&x, JT_EOF, x.n);
    sc_free(x.open);
    if (!ok) {
        sc_free(x.tok);
        return x.status;
    }
    *tokens = x.tok;
    *count = x.count;
    return SC_OK;
}

const char *jinja_token_text(const jtoken *k, char buf[64])
{
    static const char *const text[] = {
        "the end of the template",
        "text",
        "{%",
        "%}",
        "{{",
        "}}",
        "a name",
        "a string",
        "an integer",
        "a number",
        "+",
        "-",
        "*",
        "/",
        "//",
        "%",
        "**",
        "~",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        "==",
        "!=",
        ">",
        ">=",
        "<",
        "<=",
        "=",
        ".",
        ":",
        "|",
        ",",
        ";",
    };
    if (k->type != JT_NAME) return text[k->type];
    int64_t n = SC_MIN(k->n, 40);
    n -= sc_utf8_unfinished(k->p, n);
    snprintf(buf, 64, "\"%.*s%s\"", (int)n, k->p, n < k->n ? "..." : "");
    return buf;
}
