/* SPDX-License-Identifier: Apache-2.0 */
/* Python's two ways to format: "%5.2f" % x and "{:>8}".format(x). */
#include "text/jinja.h"

#include <math.h>
#include <stdio.h>

#define MAX_WIDTH 100000 /* of one field, and digits of one number */

typedef struct spec {
    char fill[4];
    int fill_n;
    char align, sign, group, type; /* 0: not given */
    bool alternate, zero;
    int64_t width, precision; /* precision -1: not given */
} spec;

void jstr_pad(sc_str *s, const char *p, int64_t n, int64_t chars, int64_t width, char align, const char *fill,
              int fill_n)
{
    int64_t pad = SC_MAX(width - chars, 0);
    int64_t left = align == '<' ? 0 : align == '>' ? pad : pad / 2;
    for (int64_t i = 0; i < left; i++) sc_str_append(s, fill, fill_n);
    sc_str_append(s, p, n);
    for (int64_t i = left; i < pad; i++) sc_str_append(s, fill, fill_n);
}

static int64_t count_chars(const char *p, int64_t n)
{
    int64_t k = 0;
    for (int64_t i = 0; i < n; i++) k += (p[i] & 0xC0) != 0x80;
    return k;
}

/* Cuts to `limit` characters. */
static int64_t first_chars(const char *p, int64_t n, int64_t limit)
{
    int64_t i = 0;
    for (; i < n && limit > 0; limit--) {
        i++;
        while (i < n && (p[i] & 0xC0) == 0x80) i++;
    }
    return i;
}

/* The digits of |v| (b, o, d, x), with the prefix of '#', without a sign. */
static void int_digits(sc_str *s, int64_t v, const spec *f)
{
    char buf[80];
    int base = f->type == 'b' ? 2 : f->type == 'o' ? 8 : f->type == 'x' || f->type == 'X' ? 16 : 10, n = 0;
    const char *digit = f->type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    uint64_t u = v < 0 ? (uint64_t)0 - (uint64_t)v : (uint64_t)v;
    do buf[n++] = digit[u % (uint64_t)base];
    while (u /= (uint64_t)base);
    if (f->alternate && base != 10) sc_str_printf(s, "0%c", f->type);
    while (n) sc_str_putc(s, buf[--n]);
}

static void float_digits(sc_str *s, double v, const spec *f)
{
    char fmt[16], type = f->type ? f->type : 'g';
    double a = fabs(v) * (type == '%' ? 100 : 1);
    int precision = (int)(f->precision < 0 ? 6 : f->precision);
    int64_t start = s->len;
    if (isnan(v) || isinf(v)) {
        bool big = type == 'F' || type == 'E' || type == 'G';
        sc_str_puts(s, isnan(v) ? (big ? "NAN" : "nan") : big ? "INF" : "inf");
        if (type == '%') sc_str_putc(s, '%');
        return;
    }
    if (!f->type && f->precision < 0) {
        jv_write_float(s, a);
        return;
    }
    snprintf(fmt, sizeof(fmt), "%%%s.*%c", f->alternate ? "#" : "",
             type == '%' || type == 'n' ? (type == 'n' ? 'g' : 'f') : type);
    if ((type == 'g' || type == 'G' || type == 'n') && precision == 0) precision = 1;
    char buf[512];
    int n = snprintf(buf, sizeof(buf), fmt, precision, a);
    if (n < (int)sizeof(buf)) {
        sc_str_append(s, buf, n);
    } else { /* the numbers of a long precision */
        char *big = sc_malloc((size_t)n + 1);
        if (big) snprintf(big, (size_t)n + 1, fmt, precision, a);
        if (big)
            sc_str_append(s, big, n);
        else
            s->oom = true;
        sc_free(big);
    }
    if (!f->type && s->p && !memchr(s->p + start, '.', (size_t)(s->len - start)) &&
        !memchr(s->p + start, 'e', (size_t)(s->len - start))) {
        sc_str_puts(s, ".0");
    }
    if (type == '%') sc_str_putc(s, '%');
}

/* Sign, grouping, zeros and padding around digits. */
static void put_number(sc_str *s, bool negative, const char *digits, int64_t n, const spec *f)
{
    sc_str r = {0};
    int64_t whole = 0, prefix = 0;
    char sign = negative ? '-' : f->sign == '+' || f->sign == ' ' ? f->sign : 0;
    if (n > 2 && digits[0] == '0' && strchr("xXob", digits[1])) prefix = 2;
    while (prefix + whole < n && (unsigned char)(digits[prefix + whole] | 32) >= '0' &&
           strchr("0123456789abcdefABCDEF", digits[prefix + whole]) &&
           (prefix || (digits[prefix + whole] >= '0' && digits[prefix + whole] <= '9'))) {
        whole++;
    }
    if (sign) sc_str_putc(&r, sign);
    sc_str_append(&r, digits, prefix);
    int every = prefix ? 4 : 3;
    int64_t zeros = 0, body = n;
    if (f->group) body += SC_MAX(whole - 1, 0) / every;
    if (f->zero || f->align == '=') zeros = SC_MAX(f->width - body - (sign != 0), 0);
    bool zero_fill = f->zero && !(f->align == '=' && f->fill_n && f->fill[0] != '0');
    for (int64_t i = 0; i < zeros; i++) {
        if (zero_fill)
            sc_str_putc(&r, '0');
        else
            sc_str_append(&r, f->fill_n ? f->fill : " ", f->fill_n ? f->fill_n : 1);
    }
    for (int64_t i = 0; i < whole; i++) {
        if (f->group && i && (whole - i) % every == 0) sc_str_putc(&r, f->group);
        sc_str_putc(&r, digits[prefix + i]);
    }
    sc_str_append(&r, digits + prefix + whole, n - prefix - whole);
    char align = f->align && f->align != '=' ? f->align : '>';
    if (r.oom)
        s->oom = true;
    else
        jstr_pad(s, r.p, r.len, count_chars(r.p, r.len), f->width, align, f->fill_n ? f->fill : " ",
                 f->fill_n ? f->fill_n : 1);
    sc_str_free(&r);
}

static bool parse_spec(jx *x, const char *p, int64_t n, spec *f)
{
    uint32_t c;
    int64_t i = 0;
    *f = (spec){.precision = -1};
    int k = n > 0 ? sc_utf8_decode(p, n, &c) : 0;
    if (k && k < n && strchr("<>=^", p[k])) {
        memcpy(f->fill, p, (size_t)k);
        f->fill_n = k;
        f->align = p[k];
        i = k + 1;
    } else if (n && p[0] && strchr("<>=^", p[0])) {
        f->align = p[0];
        i = 1;
    }
    if (i < n && p[i] && strchr("+- ", p[i])) f->sign = p[i++];
    if (i < n && p[i] == '#') f->alternate = true, i++;
    if (i < n && p[i] == '0') f->zero = !f->align, i++;
    if (i < n && f->align && i && p[i - 1] == '0' && !f->fill_n) f->fill[0] = '0', f->fill_n = 1;
    for (; i < n && p[i] >= '0' && p[i] <= '9' && f->width <= MAX_WIDTH; i++)
        f->width = f->width * 10 + (p[i] - '0');
    if (i < n && (p[i] == ',' || p[i] == '_')) f->group = p[i++];
    if (i + 1 < n && p[i] == '.' && p[i + 1] >= '0' && p[i + 1] <= '9') {
        f->precision = 0;
        for (i++; i < n && p[i] >= '0' && p[i] <= '9' && f->precision <= MAX_WIDTH; i++)
            f->precision = f->precision * 10 + (p[i] - '0');
    }
    if (i < n && p[i] > ' ') f->type = p[i++];
    if (f->width > MAX_WIDTH || f->precision > MAX_WIDTH)
        return jx_fail(x, SC_ELIMIT, "a field wider than %d characters", MAX_WIDTH);
    return i == n || jx_fail(x, SC_EINVAL, "invalid format specifier");
}

bool jv_format_spec(jx *x, sc_str *s, jv v, const char *p, int64_t n)
{
    spec f;
    int64_t i;
    double d = 0;
    if (n == 0) return jv_write(x, s, v, false);
    if (v.t != J_STR && !jv_is_number(v, &d))
        return jx_fail(x, SC_EINVAL, "unsupported format string for %s", jv_type_name(v));
    if (!parse_spec(x, p, n, &f)) return false;
    if (v.t == J_STR) {
        if ((f.type && f.type != 's') || f.sign || f.align == '=' || f.group)
            return jx_fail(x, SC_EINVAL, "invalid format specifier for a string");
        int64_t len = f.precision < 0 ? v.s->n : first_chars(v.s->p, v.s->n, f.precision);
        const char *fill = f.fill_n ? f.fill : f.zero ? "0" : " ";
        jstr_pad(s, v.s->p, len, count_chars(v.s->p, len), f.width, f.align ? f.align : '<', fill,
                 f.fill_n ? f.fill_n : 1);
        return true;
    }
    sc_str digits = {0};
    bool integer = jv_is_int(v, &i) && (!f.type || strchr("bdoxXnc", f.type));
    if (integer && f.precision >= 0)
        return jx_fail(x, SC_EINVAL, "precision not allowed in integer format specifier");
    if (integer && f.type == 'c') {
        if (i < 0 || i > 0x10FFFF) return jx_fail(x, SC_EINVAL, "%%c arg not in range(0x110000)");
        sc_str_utf8(&digits, (uint32_t)i);
        jstr_pad(s, digits.p, digits.len, 1, f.width, f.align ? f.align : '<', f.fill_n ? f.fill : " ",
                 f.fill_n ? f.fill_n : 1);
        sc_str_free(&digits);
        return true;
    }
    if (integer)
        int_digits(&digits, i, &f);
    else if (!f.type || strchr("eEfFgGn%", f.type))
        float_digits(&digits, d, &f);
    else
        return jx_fail(x, SC_EINVAL, "unknown format code '%c' for %s", f.type, jv_type_name(v));
    put_number(s, integer ? i < 0 : signbit(d) && !isnan(d), digits.p ? digits.p : "", digits.len, &f);
    if (digits.oom) s->oom = true;
    sc_str_free(&digits);
    return true;
}

/* ---- % ---- */

typedef struct percent {
    jx *x;
    const jstr *f;
    jv args;
    int64_t at, next; /* in the format; the argument to take */
    bool mapping;
} percent;

static bool next_arg(percent *p, jv *out)
{
    if (p->args.t == J_TUPLE) {
        if (p->next >= p->args.l->n) return jx_fail(p->x, SC_EINVAL, "not enough arguments for format string");
        *out = p->args.l->v[p->next++];
        return true;
    }
    if (p->next++) return jx_fail(p->x, SC_EINVAL, "not enough arguments for format string");
    *out = p->args;
    return true;
}

static bool percent_number(percent *p, int64_t *out, bool star)
{
    if (star && p->at < p->f->n && p->f->p[p->at] == '*') {
        jv v;
        p->at++;
        if (!next_arg(p, &v)) return false;
        if (v.t != J_INT) return jx_fail(p->x, SC_EINVAL, "* wants int");
        *out = v.i;
    } else {
        while (p->at < p->f->n && p->f->p[p->at] >= '0' && p->f->p[p->at] <= '9' && *out <= MAX_WIDTH)
            *out = *out * 10 + (p->f->p[p->at++] - '0');
    }
    return (*out >= -MAX_WIDTH && *out <= MAX_WIDTH) ||
           jx_fail(p->x, SC_ELIMIT, "a field wider than %d characters", MAX_WIDTH);
}

static bool percent_text(percent *p, sc_str *s, jv v, const spec *f, bool left)
{
    sc_str t = {0};
    jv text;
    bool ok = true;
    int64_t i;
    if (f->type == 'c' && jv_is_int(v, &i)) {
        if (i < 0 || i > 0x10FFFF) return jx_fail(p->x, SC_EINVAL, "%%c arg not in range(0x110000)");
        sc_str_utf8(&t, (uint32_t)i);
    } else {
        if (f->type == 'c' && (v.t != J_STR || v.s->chars != 1))
            return jx_fail(p->x, SC_EINVAL, "%%c requires int or char");
        ok = jv_write(p->x, &t, v, f->type == 'r' || f->type == 'a');
    }
    bool safe = v.t == J_STR && v.s->markup && f->type == 's';
    ok = ok && jv_take(p->x, &t, &text);
    sc_str_free(&t);
    if (!ok || (p->f->markup && !safe && !jstr_escape(p->x, text, &text))) return false;
    int64_t n = f->precision < 0 || f->type == 'c' ? text.s->n : first_chars(text.s->p, text.s->n, f->precision);
    jstr_pad(s, text.s->p, n, count_chars(text.s->p, n), f->width, left ? '<' : '>', " ", 1);
    return true;
}

static bool percent_int(percent *p, sc_str *s, jv v, spec *f)
{
    int64_t i = 0;
    sc_str digits = {0};
    if (v.t == J_UNDEF) return jx_undefined_error(p->x, v);
    if (v.t == J_FLOAT && f->type == 'd') {
        if (!(v.f > -9.2e18 && v.f < 9.2e18))
            return jx_fail(p->x, SC_EUNSUPPORTED, "the integer needs more than 64 bits");
        i = (int64_t)v.f;
    } else if (!jv_is_int(v, &i)) {
        return jx_fail(p->x, SC_EINVAL, "%%%c format: a number is required, not %s", f->type, jv_type_name(v));
    }
    int_digits(&digits, i, f);
    for (int64_t k = digits.len; k < f->precision; k++) sc_str_putc(s, '0');
    put_number(s, i < 0, digits.p ? digits.p : "", digits.len, f);
    if (digits.oom) s->oom = true;
    sc_str_free(&digits);
    return true;
}

static bool percent_float(percent *p, sc_str *s, jv v, spec *f)
{
    double d;
    sc_str digits = {0};
    if (v.t == J_UNDEF) return jx_undefined_error(p->x, v);
    if (!jv_is_number(v, &d)) return jx_fail(p->x, SC_EINVAL, "must be real number, not %s", jv_type_name(v));
    float_digits(&digits, d, f);
    put_number(s, signbit(d) && !isnan(d), digits.p ? digits.p : "", digits.len, f);
    if (digits.oom) s->oom = true;
    sc_str_free(&digits);
    return true;
}

static bool percent_key(percent *p, jv *v)
{
    int64_t start = ++p->at, depth = 1;
    jv key;
    if (!p->mapping) return jx_fail(p->x, SC_EINVAL, "format requires a mapping");
    for (; p->at < p->f->n; p->at++) {
        if (p->f->p[p->at] == '(') depth++;
        if (p->f->p[p->at] == ')' && --depth == 0) break;
    }
    if (p->at >= p->f->n) return jx_fail(p->x, SC_EINVAL, "incomplete format key");
    if (!jv_view(p->x, p->f->p + start, p->at - start, false, &key)) return false;
    p->at++;
    if (p->args.t == J_UNDEF) return jx_undefined_error(p->x, p->args);
    bool found = false;
    if (p->args.t == J_DICT && !jdict_get(p->x, p->args.d, key, v, &found)) return false;
    return found || jx_fail(p->x, SC_EINVAL, "format key '%.60s' is missing", key.s->p);
}

static bool percent_field(percent *p, sc_str *s)
{
    const char *q = p->f->p;
    spec f = {.precision = -1};
    bool left = false, keyed = false;
    jv v;
    if (p->at < p->f->n && q[p->at] == '(') {
        if (!percent_key(p, &v)) return false;
        keyed = true;
    }
    for (; p->at < p->f->n && q[p->at] && strchr("-+ #0", q[p->at]); p->at++) {
        char c = q[p->at];
        if (c == '-')
            left = true;
        else if (c == '#')
            f.alternate = true;
        else if (c == '0')
            f.zero = true;
        else if (f.sign != '+')
            f.sign = c;
    }
    if (!percent_number(p, &f.width, true)) return false;
    if (f.width < 0) left = true, f.width = -f.width;
    if (p->at < p->f->n && q[p->at] == '.') {
        f.precision = 0;
        p->at++;
        if (!percent_number(p, &f.precision, true)) return false;
        f.precision = SC_MAX(f.precision, 0);
    }
    while (p->at < p->f->n && q[p->at] && strchr("hlL", q[p->at])) p->at++;
    if (p->at >= p->f->n) return jx_fail(p->x, SC_EINVAL, "incomplete format");
    f.type = q[p->at++];
    if (f.type == '%') {
        sc_str_putc(s, '%');
        return true;
    }
    if (!f.type || !strchr("diuoxXeEfFgGcrsa", f.type))
        return jx_fail(p->x, SC_EINVAL, "unsupported format character");
    if (!keyed && !next_arg(p, &v)) return false;
    if (left) f.zero = false, f.align = '<';
    if (strchr("crsa", f.type)) return percent_text(p, s, v, &f, left);
    if (strchr("iu", f.type)) f.type = 'd';
    return strchr("doxX", f.type) ? percent_int(p, s, v, &f) : percent_float(p, s, v, &f);
}

bool jstr_percent(jx *x, const jstr *f, jv args, jv *out)
{
    percent p = {.x = x, .f = f, .args = args};
    sc_str s = {0};
    bool ok = true;
    p.mapping = args.t == J_DICT || args.t == J_LIST || args.t == J_UNDEF || args.t == J_RANGE;
    while (ok && p.at < f->n) {
        const char *hit = memchr(f->p + p.at, '%', (size_t)(f->n - p.at));
        int64_t to = hit ? hit - f->p : f->n;
        sc_str_append(&s, f->p + p.at, to - p.at);
        p.at = to + 1;
        if (hit) ok = percent_field(&p, &s) && jstr_ok(x, &s) && jx_step(x, 1);
    }
    int64_t given = args.t == J_TUPLE ? args.l->n : 1;
    if (ok && !p.mapping && p.next < given)
        ok = jx_fail(x, SC_EINVAL, "not all arguments converted during string formatting");
    if (ok) return jv_take(x, &s, out) && (!f->markup || jv_view(x, out->s->p, out->s->n, true, out));
    sc_str_free(&s);
    return false;
}

/* ---- str.format ---- */

typedef struct braces {
    jx *x;
    const jcall *c;
    int64_t next; /* automatic numbering; -1: the fields are numbered by hand */
    bool markup;
} braces;

static bool field_value(braces *b, const char *p, int64_t n, jv *v)
{
    int64_t first = 0, index;
    bool overflow, number = true;
    while (first < n && p[first] != '.' && p[first] != '[')
        number = number && p[first] >= '0' && p[first] <= '9', first++;
    if (first == 0) {
        if (b->next < 0)
            return jx_fail(b->x, SC_EINVAL,
                           "cannot switch from manual field specification to automatic field numbering");
        index = b->next++;
    } else if (number && jx_parse_int(p, first, 10, &index, &overflow)) {
        if (b->next > 0)
            return jx_fail(b->x, SC_EINVAL,
                           "cannot switch from automatic field numbering to manual field specification");
        b->next = -1;
    } else {
        jv *hit = b->c->kw ? jdict_find(b->c->kw, p, first) : NULL;
        if (!hit)
            return jx_fail(b->x, SC_EINVAL, "format: there is no argument named '%.*s'", (int)SC_MIN(first, 60), p);
        *v = *hit;
        index = -1;
    }
    if (index >= b->c->npos)
        return jx_fail(b->x, SC_EINVAL, "format: replacement index %lld out of range", (long long)index);
    if (index >= 0) *v = b->c->pos[index];
    for (int64_t i = first; i < n;) {
        jv key;
        bool attr = p[i] == '.';
        int64_t start = ++i;
        while (i < n && (attr ? p[i] != '.' && p[i] != '[' : p[i] != ']')) i++;
        if (i == start || (!attr && i >= n)) return jx_fail(b->x, SC_EINVAL, "format: malformed field name");
        if (!jv_str(b->x, p + start, i - start, &key)) return false;
        if (attr) {
            if (!jv_getattr(b->x, *v, key.s, v)) return false;
            continue;
        }
        if (jx_parse_int(p + start, i - start, 10, &index, &overflow) && p[start] >= '0' && p[start] <= '9')
            key = jv_int(index);
        if (!jv_getitem(b->x, *v, key, v)) return false;
        i++;
    }
    return true;
}

static bool format_text(braces *b, sc_str *s, const char *p, int64_t n, int depth);

static bool format_field(braces *b, sc_str *s, const char *p, int64_t n, int depth)
{
    int64_t name = 0, square = 0;
    char conversion = 0;
    jv v;
    while (name < n && (square || (p[name] != '!' && p[name] != ':'))) {
        square = p[name] == '[' ? 1 : p[name] == ']' ? 0 : square;
        name++;
    }
    if (!field_value(b, p, name, &v)) return false;
    int64_t i = name;
    if (i < n && p[i] == '!') {
        if (i + 1 >= n || !strchr("rsa", p[i + 1]) || (i + 2 < n && p[i + 2] != ':'))
            return jx_fail(b->x, SC_EINVAL, "format: malformed conversion");
        conversion = p[i + 1];
        i += 2;
    }
    sc_str spec_text = {0}, value = {0};
    bool ok = i >= n || format_text(b, &spec_text, p + i + 1, n - i - 1, depth + 1);
    if (ok && conversion) ok = jv_write(b->x, &value, v, conversion != 's') && jv_take(b->x, &value, &v);
    if (ok && b->markup && spec_text.len == 0) ok = jstr_escape(b->x, v, &v);
    ok = ok && jstr_ok(b->x, &spec_text) &&
         jv_format_spec(b->x, s, v, spec_text.p ? spec_text.p : "", spec_text.len);
    sc_str_free(&value);
    sc_str_free(&spec_text);
    return ok;
}

static bool format_text(braces *b, sc_str *s, const char *p, int64_t n, int depth)
{
    if (depth > 2) return jx_fail(b->x, SC_EINVAL, "format: fields are nested too deeply");
    for (int64_t i = 0; i < n; i++) {
        if (p[i] != '{' && p[i] != '}') {
            sc_str_putc(s, p[i]);
            continue;
        }
        if (i + 1 < n && p[i + 1] == p[i]) {
            sc_str_putc(s, p[i++]);
            continue;
        }
        if (p[i] == '}') return jx_fail(b->x, SC_EINVAL, "format: single '}' encountered");
        int64_t start = ++i, open = 1;
        for (; i < n; i++) {
            if (p[i] == '{') open++;
            if (p[i] == '}' && --open == 0) break;
        }
        if (i >= n) return jx_fail(b->x, SC_EINVAL, "format: a '{' is not closed");
        if (!format_field(b, s, p + start, i - start, depth) || !jstr_ok(b->x, s) || !jx_step(b->x, 1))
            return false;
    }
    return true;
}

bool jstr_format(jx *x, const jstr *f, const jcall *c, jv *out)
{
    braces b = {.x = x, .c = c, .markup = f->markup};
    sc_str s = {0};
    if (format_text(&b, &s, f->p, f->n, 0)) {
        return jv_take(x, &s, out) && (!f->markup || jv_view(x, out->s->p, out->s->n, true, out));
    }
    sc_str_free(&s);
    return false;
}
