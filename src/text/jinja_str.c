/* SPDX-License-Identifier: Apache-2.0 */
/* What filters and methods of strings share: offsets, stripping, escaping, replacing, lines, joining, numbers. */
#include "text/jinja.h"

#include <stdlib.h>

int64_t jstr_offset(const jstr *s, int64_t index)
{
    if (s->chars == s->n) return index;
    int64_t at = 0;
    if (index > s->chars / 2) {
        at = s->n;
        for (int64_t k = s->chars; k > index; k--) {
            at--;
            while ((s->p[at] & 0xC0) == 0x80) at--;
        }
        return at;
    }
    for (; index > 0; index--) {
        at++;
        while (at < s->n && (s->p[at] & 0xC0) == 0x80) at++;
    }
    return at;
}

void jstr_strip(const char **p, int64_t *n, bool left, bool right)
{
    uint32_t c;
    while (left && *n > 0) {
        int k = sc_utf8_decode(*p, *n, &c);
        if (!juni_space(c)) break;
        *p += k;
        *n -= k;
    }
    while (right && *n > 0) {
        int64_t at = *n - 1;
        while (at > 0 && ((*p)[at] & 0xC0) == 0x80) at--;
        sc_utf8_decode(*p + at, *n - at, &c);
        if (!juni_space(c)) break;
        *n = at;
    }
}

bool jstr_escape(jx *x, jv v, jv *out)
{
    jv text;
    if (!jv_soft_str(x, v, &text)) return false;
    if (text.s->markup) {
        *out = text;
        return true;
    }
    sc_str s = {0};
    for (int64_t i = 0; i < text.s->n; i++) {
        switch (text.s->p[i]) {
        case '&': sc_str_puts(&s, "&amp;"); break;
        case '<': sc_str_puts(&s, "&lt;"); break;
        case '>': sc_str_puts(&s, "&gt;"); break;
        case '"': sc_str_puts(&s, "&#34;"); break;
        case '\'': sc_str_puts(&s, "&#39;"); break;
        default: sc_str_putc(&s, text.s->p[i]);
        }
    }
    return jv_take(x, &s, &text) && jv_view(x, text.s->p, text.s->n, true, out);
}

bool jstr_replace(jx *x, const jstr *s, const jstr *from, const jstr *to, int64_t count, jv *out)
{
    sc_str r = {0};
    int64_t at = 0;
    bool ok = true;
    if (from->n == 0) { /* between all characters */
        while (ok && count != 0) {
            sc_str_append(&r, to->p, to->n);
            ok = jstr_ok(x, &r) && jx_step(x, 1);
            count -= count > 0;
            if (at >= s->n) break;
            uint32_t c;
            int k = sc_utf8_decode(s->p + at, s->n - at, &c);
            sc_str_append(&r, s->p + at, k);
            at += k;
        }
        if (at < s->n) sc_str_append(&r, s->p + at, s->n - at);
    } else {
        for (; ok && count != 0; count -= count > 0) {
            const char *hit = memmem(s->p + at, (size_t)(s->n - at), from->p, (size_t)from->n);
            if (!hit) break;
            sc_str_append(&r, s->p + at, hit - s->p - at);
            sc_str_append(&r, to->p, to->n);
            at = hit - s->p + from->n;
            ok = jstr_ok(x, &r) && jx_step(x, 1);
        }
        sc_str_append(&r, s->p + at, s->n - at);
    }
    if (ok) return jv_take(x, &r, out);
    sc_str_free(&r);
    return false;
}

bool jstr_lines(jx *x, const jstr *s, bool keep, jv *out)
{
    if (!jv_list(x, J_LIST, 0, out)) return false;
    for (int64_t at = 0; at < s->n;) {
        int64_t end = at, next = s->n;
        uint32_t c = 0;
        for (; end < s->n; end += 0) {
            int k = sc_utf8_decode(s->p + end, s->n - end, &c);
            if (juni_linebreak(c)) {
                next = end + k;
                if (c == '\r' && next < s->n && s->p[next] == '\n') next++;
                break;
            }
            end += k;
        }
        jv line;
        if (!jv_view(x, s->p + at, (keep ? next : end) - at, s->markup, &line) || !jlist_push(x, out->l, line))
            return false;
        at = next;
    }
    return true;
}

/* sep.join(items); coerce: items that are no strings are made some (the filter), otherwise they are refused. */
bool jstr_join(jx *x, const jstr *sep, jv items, bool coerce, jv *out)
{
    jiter *it;
    jv v;
    bool more, ok, first = true, markup = sep->markup && !coerce;
    sc_str s = {0};
    if (!jiter_new(x, items, &it)) return false;
    for (;; first = false) {
        ok = jiter_next(x, it, &v, &more);
        if (!ok || !more) break;
        if (!first) sc_str_append(&s, sep->p, sep->n);
        if (!coerce && v.t != J_STR && !markup)
            ok = jx_fail(x, SC_EINVAL, "join: expected a string, found %s", jv_type_name(v));
        ok = ok && (!markup || jstr_escape(x, v, &v)) && jv_write(x, &s, v, false) && jstr_ok(x, &s);
        if (!ok) break;
    }
    if (ok)
        ok = jv_take(x, &s, out);
    else
        sc_str_free(&s);
    return ok && (!markup || jv_view(x, out->s->p, out->s->n, true, out));
}

/* int(text, base) without its white space; false where it is no integer. */
bool jx_parse_int(const char *p, int64_t n, int base, int64_t *out, bool *overflow)
{
    bool negative = false, digit = false, bad = false;
    uint64_t v = 0;
    *overflow = false;
    jstr_strip(&p, &n, true, true);
    if (n && (*p == '-' || *p == '+')) {
        negative = *p == '-';
        p++;
        n--;
    }
    if (n > 2 && *p == '0') {
        int kind = (p[1] | 32) == 'x' ? 16 : (p[1] | 32) == 'o' ? 8 : (p[1] | 32) == 'b' ? 2 : 0;
        if (kind && (base == kind || base == 0)) {
            base = kind;
            p += p[2] == '_' ? 3 : 2;
            n -= p[-1] == '_' ? 3 : 2;
        }
    }
    if (base == 0) base = 10;
    for (int64_t i = 0; i < n; i++) {
        int d = p[i] >= '0' && p[i] <= '9'                 ? p[i] - '0'
                : (p[i] | 32) >= 'a' && (p[i] | 32) <= 'z' ? (p[i] | 32) - 'a' + 10
                                                           : 99;
        if (p[i] == '_' && digit && i + 1 < n) {
            digit = false;
            continue;
        }
        if (d >= base) return false;
        digit = true;
        bad = bad || __builtin_mul_overflow(v, (uint64_t)base, &v) || __builtin_add_overflow(v, (uint64_t)d, &v);
    }
    if (!digit) return false;
    *overflow = bad || v > (uint64_t)INT64_MAX + negative;
    *out = negative ? (int64_t)((uint64_t)0 - v) : (int64_t)v;
    return !*overflow;
}

bool jx_parse_float(const char *p, int64_t n, double *out)
{
    char buf[400], *end;
    int64_t k = 0;
    jstr_strip(&p, &n, true, true);
    for (int64_t i = 0; i < n; i++) {
        bool digits =
            i > 0 && i + 1 < n && p[i - 1] >= '0' && p[i - 1] <= '9' && p[i + 1] >= '0' && p[i + 1] <= '9';
        if (p[i] == '_' && digits) continue;
        if (k == (int64_t)sizeof(buf) - 1 || !p[i] || !strchr("0123456789+-.eEinfatyINFATY", p[i])) return false;
        buf[k++] = p[i];
    }
    buf[k] = 0;
    if (!k || strchr(buf, '(')) return false;
    *out = strtod(buf, &end);
    return *end == 0;
}
