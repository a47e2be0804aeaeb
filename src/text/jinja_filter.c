/* SPDX-License-Identifier: Apache-2.0 */
/* The filters on one value. Those on sequences are in jinja_filter_seq.c. */
#include "text/jinja.h"
#include "text/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define FILTER(name) static bool name(jx *x, jv self, jv *a, const jcall *c, jv *out)

/* The method `name` of str(value), which stays a Markup. */
static bool as_method(jx *x, jv v, const char *name, const jcall *c, jv *out)
{
    bool mutates;
    jv s;
    const jfunc *f = jinja_method(J_STR, name, (int64_t)strlen(name), &mutates);
    return jv_soft_str(x, v, &s) && jx_call_func(x, f, s, c, out);
}

FILTER(f_upper) { return (void)a, as_method(x, self, "upper", c, out); }
FILTER(f_lower) { return (void)a, as_method(x, self, "lower", c, out); }
FILTER(f_capitalize) { return (void)a, as_method(x, self, "capitalize", c, out); }

FILTER(f_trim)
{
    (void)c;
    jcall inner = {.pos = a, .npos = a[0].t != J_MISSING};
    return as_method(x, self, "strip", &inner, out);
}

FILTER(f_center)
{
    jv width = a[0].t == J_MISSING ? jv_int(80) : a[0];
    (void)c;
    return as_method(x, self, "center", &(jcall){.pos = &width, .npos = 1}, out);
}

/* Words begin after a run of these. */
static bool word_break(uint32_t c)
{
    return juni_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
}

FILTER(f_title)
{
    jv v;
    sc_str s = {0};
    (void)a, (void)c;
    if (!jv_soft_str(x, self, &v) || !jx_step(x, v.s->n / 16)) return false;
    for (int64_t i = 0; i < v.s->n;) {
        uint32_t k;
        int64_t end = i, first = 0;
        bool gap = false;
        while (end < v.s->n) {
            int step = sc_utf8_decode(v.s->p + end, v.s->n - end, &k);
            if (end == i)
                gap = word_break(k);
            else if (word_break(k) != gap)
                break;
            if (end == i) first = step;
            end += step;
        }
        juni_case(&s, v.s->p + i, first, JCASE_UPPER);
        juni_case(&s, v.s->p + i + first, end - i - first, JCASE_LOWER);
        i = end;
    }
    return jv_take(x, &s, out);
}

FILTER(f_string) { return (void)a, (void)c, jv_soft_str(x, self, out); }
FILTER(f_escape) { return (void)a, (void)c, jstr_escape(x, self, out); }

FILTER(f_forceescape)
{
    jv s;
    (void)a, (void)c;
    return jv_to_str(x, self, &s) && jstr_escape(x, s, out);
}

FILTER(f_safe)
{
    jv s;
    (void)a, (void)c;
    return jv_to_str(x, self, &s) && jv_view(x, s.s->p, s.s->n, true, out);
}

FILTER(f_default)
{
    bool boolean = a[1].t != J_MISSING && jv_truth(x, a[1]);
    (void)c;
    *out = self;
    if (self.t != J_UNDEF && !(boolean && !jv_truth(x, self))) return true;
    *out = a[0];
    return a[0].t != J_MISSING || jv_cstr(x, "", out);
}

FILTER(f_replace)
{
    jv s, from, to;
    int64_t count = -1;
    (void)c;
    if (a[2].t != J_NONE && !jx_arg_int(x, a[2], "replace's count", &count)) return false;
    return jv_to_str(x, self, &s) && jv_to_str(x, a[0], &from) && jv_to_str(x, a[1], &to) &&
           jstr_replace(x, s.s, from.s, to.s, count, out);
}

FILTER(f_format)
{
    jv f, args;
    (void)a;
    if (c->npos && c->kw && c->kw->n)
        return jx_fail(x, SC_EINVAL, "format takes positional or keyword arguments, not both");
    if (!jv_soft_str(x, self, &f) || !jv_list(x, J_TUPLE, c->npos, &args)) return false;
    if (c->npos) memcpy(args.l->v, c->pos, (size_t)c->npos * sizeof(jv));
    if (c->kw && c->kw->n) args = (jv){.t = J_DICT, .d = c->kw};
    return jstr_percent(x, f.s, args, out);
}

FILTER(f_indent)
{
    int64_t width = 4;
    const jstr *with = NULL;
    bool first = a[1].t != J_MISSING && jv_truth(x, a[1]), blank = a[2].t != J_MISSING && jv_truth(x, a[2]);
    sc_str s = {0}, indent = {0};
    jv lines, text;
    (void)c;
    if (self.t == J_UNDEF) return jx_undefined_error(x, self);
    if (self.t != J_STR) return jx_fail(x, SC_EINVAL, "indent: a string is needed, not %s", jv_type_name(self));
    if (a[0].t == J_STR)
        with = a[0].s;
    else if (!jx_arg_int(x, a[0], "indent's width", &width))
        return false;
    if (width > 10000) return jx_fail(x, SC_ELIMIT, "indent by more than 10000 spaces");
    if (with) sc_str_append(&indent, with->p, with->n);
    for (int64_t i = 0; !with && i < width; i++) sc_str_putc(&indent, ' ');
    sc_str_append(&s, self.s->p, self.s->n);
    sc_str_putc(&s, '\n'); /* as in Jinja, so that a newline at the end counts as one more line */
    bool ok = jv_take(x, &s, &text) && jstr_lines(x, text.s, false, &lines);
    for (int64_t i = 0; ok && i < lines.l->n; i++) {
        const jstr *l = lines.l->v[i].s;
        if (i) sc_str_putc(&s, '\n');
        if (i ? l->n || blank : first) sc_str_append(&s, indent.p, indent.len);
        sc_str_append(&s, l->p, l->n);
        ok = jstr_ok(x, &s) && jx_step(x, 1);
    }
    sc_str_free(&indent);
    if (ok) return jv_take(x, &s, out) && (!self.s->markup || jv_view(x, out->s->p, out->s->n, true, out));
    sc_str_free(&s);
    return false;
}

FILTER(f_truncate)
{
    int64_t length = 255, leeway = 5;
    jv end, cut, parts, rest;
    bool kill = a[1].t != J_MISSING && jv_truth(x, a[1]);
    (void)c;
    if (!jx_arg_int(x, a[0], "truncate's length", &length)) return false;
    if (a[3].t != J_NONE && !jx_arg_int(x, a[3], "truncate's leeway", &leeway)) return false;
    if (a[2].t == J_MISSING ? !jv_cstr(x, "...", &end) : a[2].t != J_STR)
        return jx_fail(x, SC_EINVAL, "truncate's end must be a string");
    if (a[2].t == J_STR) end = a[2];
    int64_t n;
    bool sized;
    if (!jv_len(x, self, &n, &sized)) return false;
    *out = self;
    if (sized && length >= end.s->chars && leeway >= 0 && n - leeway <= length) return true;
    if (self.t != J_STR) return jx_fail(x, SC_EINVAL, "truncate: a string is needed, not %s", jv_type_name(self));
    if (length < end.s->chars || leeway < 0) return jx_fail(x, SC_EINVAL, "truncate: the length is too small");
    if (!jv_slice(x, self, jv_none(), jv_int(length - end.s->chars), jv_none(), &cut)) return false;
    if (!kill) {
        jv args[2] = {{0}, jv_int(1)};
        if (!jv_cstr(x, " ", &args[0])) return false;
        if (!as_method(x, cut, "rsplit", &(jcall){.pos = args, .npos = 2}, &parts)) return false;
        rest = parts.l->v[0];
        cut = rest;
    }
    return jv_binary(x, JOP_ADD, cut, end, out);
}

FILTER(f_wordcount)
{
    jv s;
    int64_t n = 0;
    bool in = false;
    (void)a, (void)c;
    if (!jv_soft_str(x, self, &s) || !jx_step(x, s.s->n / 16)) return false;
    for (int64_t i = 0; i < s.s->n;) {
        uint32_t k;
        i += sc_utf8_decode(s.s->p + i, s.s->n - i, &k);
        bool word = juni_word(k);
        n += word && !in;
        in = word;
    }
    *out = jv_int(n);
    return true;
}

FILTER(f_striptags)
{
    jv s;
    sc_str r = {0};
    bool gap = false;
    (void)a, (void)c;
    if (!jv_to_str(x, self, &s)) return false;
    const char *p = s.s->p, *end = p + s.s->n;
    while (p < end) {
        if (*p == '<') { /* a tag or comment that is closed disappears */
            bool comment = end - p >= 4 && !memcmp(p, "<!--", 4);
            const char *q =
                comment ? memmem(p + 4, (size_t)(end - p - 4), "-->", 3) : memchr(p, '>', (size_t)(end - p));
            if (q) {
                p = q + (comment ? 3 : 1);
                continue;
            }
        }
        uint32_t k;
        int step = sc_utf8_decode(p, end - p, &k);
        if (juni_space(k)) {
            gap = true;
        } else {
            static const struct {
                const char *from, *to;
            } entity[] = {
                {"&amp;", "&"},  {"&lt;", "<"},  {"&gt;", ">"},          {"&quot;", "\""},
                {"&#34;", "\""}, {"&#39;", "'"}, {"&nbsp;", "\xC2\xA0"},
            };
            if (gap && r.len) sc_str_putc(&r, ' ');
            gap = false;
            int hit = -1;
            for (int i = 0; i < SC_COUNT(entity) && hit < 0; i++) {
                int64_t n = (int64_t)strlen(entity[i].from);
                if (end - p >= n && !memcmp(p, entity[i].from, (size_t)n)) hit = i;
            }
            if (hit >= 0) {
                sc_str_puts(&r, entity[hit].to);
                step = (int)strlen(entity[hit].from);
            } else {
                sc_str_append(&r, p, step);
            }
        }
        p += step;
    }
    return jv_take(x, &r, out);
}

FILTER(f_urlencode)
{
    sc_str s = {0};
    jv text, pairs = self;
    jiter *it;
    bool more, single = self.t == J_STR || !jiter_able(self);
    (void)a, (void)c;
    if (self.t == J_DICT && !jv_getattr(x, self, &(jstr){.p = "items", .n = 5, .chars = 5}, &pairs)) return false;
    if (self.t == J_DICT && !jx_call(x, pairs, &(jcall){0}, &pairs)) return false;
    if (!single && !jiter_new(x, pairs, &it)) return false;
    for (bool first = true;; first = false) {
        jv item = self, two = {0};
        if (single && !first) break;
        if (!single && (!jiter_next(x, it, &item, &more) || (more && !jx_args_list(x, item, &two)))) goto fail;
        if (!single && !more) break;
        if (!single && two.l->n != 2) {
            jx_fail(x, SC_EINVAL, "urlencode: pairs are needed");
            goto fail;
        }
        if (!single && !first) sc_str_putc(&s, '&');
        for (int k = 0; k < (single ? 1 : 2); k++) {
            if (!jv_to_str(x, single ? item : two.l->v[k], &text)) goto fail;
            if (k) sc_str_putc(&s, '=');
            for (int64_t i = 0; i < text.s->n; i++) {
                unsigned char b = (unsigned char)text.s->p[i];
                bool plain = (b | 32) >= 'a' && (b | 32) <= 'z';
                if (plain || (b >= '0' && b <= '9') || (b && strchr("_.-~", b)) || (single && b == '/'))
                    sc_str_putc(&s, (char)b);
                else if (b == ' ' && !single)
                    sc_str_putc(&s, '+');
                else
                    sc_str_printf(&s, "%%%02X", b);
            }
            if (!jstr_ok(x, &s)) goto fail;
        }
    }
    return jv_take(x, &s, out);
fail:
    sc_str_free(&s);
    return false;
}

FILTER(f_xmlattr)
{
    sc_str s = {0};
    bool space = a[0].t == J_MISSING || jv_truth(x, a[0]);
    (void)c;
    if (self.t != J_DICT) return jx_fail(x, SC_EINVAL, "xmlattr: a dict is needed, not %s", jv_type_name(self));
    for (int64_t i = 0; i < self.d->n; i++) {
        jv key = self.d->e[i].key, value = self.d->e[i].value;
        if (value.t == J_NONE || value.t == J_UNDEF) continue;
        bool ok = key.t == J_STR;
        for (int64_t k = 0; ok && k < key.s->n; k++) ok = !strchr(" \t\n\r\f\v/>=", key.s->p[k]);
        if (!ok) jx_fail(x, SC_EINVAL, "xmlattr: invalid attribute name");
        if (!ok || !jstr_escape(x, key, &key) || !jstr_escape(x, value, &value)) {
            sc_str_free(&s);
            return false;
        }
        if (s.len || space) sc_str_putc(&s, ' ');
        sc_str_append(&s, key.s->p, key.s->n);
        sc_str_puts(&s, "=\"");
        sc_str_append(&s, value.s->p, value.s->n);
        sc_str_putc(&s, '"');
    }
    return jv_take(x, &s, out);
}

FILTER(f_filesizeformat)
{
    static const char *const prefix = "kMGTPEZY";
    double v, base = a[0].t != J_MISSING && jv_truth(x, a[0]) ? 1024 : 1000, unit = base;
    char buf[400];
    int i = 0;
    (void)c;
    if (self.t == J_UNDEF) return jx_undefined_error(x, self);
    if (!jv_is_number(self, &v) && !(self.t == J_STR && jx_parse_float(self.s->p, self.s->n, &v))) {
        return jx_fail(x, SC_EINVAL, "filesizeformat: a number is needed");
    }
    if (v == 1) return jv_cstr(x, "1 Byte", out);
    if (v < base) {
        snprintf(buf, sizeof(buf), "%lld Bytes", (long long)v);
        return jv_str(x, buf, (int64_t)strlen(buf), out);
    }
    while (i < 7 && v >= unit * base) unit *= base, i++;
    char first = base == 1024 && i == 0 ? 'K' : prefix[i];
    snprintf(buf, sizeof(buf), "%.1f %c%sB", v / unit, first, base == 1024 ? "i" : "");
    return jv_str(x, buf, (int64_t)strlen(buf), out);
}

/* ---- numbers ---- */

FILTER(f_abs)
{
    int64_t i;
    (void)a, (void)c;
    if (self.t == J_UNDEF) return jx_undefined_error(x, self);
    if (self.t == J_FLOAT) return *out = jv_float(fabs(self.f)), true;
    if (!jv_is_int(self, &i)) return jx_fail(x, SC_EINVAL, "bad operand type for abs(): %s", jv_type_name(self));
    return jv_unary(x, i < 0, self, out);
}

static bool truncated(jx *x, double f, jv *out)
{
    if (!(f > -9.2233720368547758e18 && f < 9.2233720368547758e18))
        return jx_fail(x, SC_EUNSUPPORTED, "the integer needs more than 64 bits");
    *out = jv_int((int64_t)f);
    return true;
}

FILTER(f_int)
{
    int64_t i, base = 10;
    double f;
    bool overflow = false;
    jv fallback = a[0].t == J_MISSING ? jv_int(0) : a[0];
    (void)c;
    if (!jx_arg_int(x, a[1], "int's base", &base)) return false;
    if (self.t == J_UNDEF) return jx_undefined_error(x, self);
    *out = fallback;
    if (self.t == J_STR) {
        if ((base == 0 || (base >= 2 && base <= 36)) &&
            jx_parse_int(self.s->p, self.s->n, (int)base, &i, &overflow))
            return *out = jv_int(i), true;
        if (overflow) return jx_fail(x, SC_EUNSUPPORTED, "the integer needs more than 64 bits");
        return !jx_parse_float(self.s->p, self.s->n, &f) || !isfinite(f) || truncated(x, f, out);
    }
    if (jv_is_int(self, &i)) return *out = jv_int(i), true;
    if (self.t != J_FLOAT || isnan(self.f)) return true;
    if (isinf(self.f)) return jx_fail(x, SC_EINVAL, "cannot convert float infinity to integer");
    return truncated(x, self.f, out);
}

FILTER(f_float)
{
    double f;
    (void)c;
    if (self.t == J_UNDEF) return jx_undefined_error(x, self);
    *out = a[0].t == J_MISSING ? jv_float(0) : a[0];
    if (jv_is_number(self, &f) || (self.t == J_STR && jx_parse_float(self.s->p, self.s->n, &f))) *out = jv_float(f);
    return true;
}

static double round_to(double v, int64_t digits)
{
    char buf[512];
    if (!isfinite(v) || digits > 300) return v;
    if (digits >= 0) {
        snprintf(buf, sizeof(buf), "%.*f", (int)digits, v); /* half to even of the exact value, as Python */
        return strtod(buf, NULL);
    }
    if (digits < -308) return copysign(0.0, v);
    double unit = pow(10, (double)-digits);
    return nearbyint(v / unit) * unit;
}

FILTER(f_round)
{
    int64_t digits = 0, i;
    double v;
    const jstr *method = NULL;
    (void)c;
    if (self.t == J_UNDEF) return jx_undefined_error(x, self);
    if (!jx_arg_int(x, a[0], "round's precision", &digits) || !jx_arg_str(x, a[1], "round's method", &method))
        return false;
    bool common = !method || (method->n == 6 && !memcmp(method->p, "common", 6));
    bool up = method && method->n == 4 && !memcmp(method->p, "ceil", 4),
         down = method && method->n == 5 && !memcmp(method->p, "floor", 5);
    if (!common && !up && !down) return jx_fail(x, SC_EINVAL, "round: the method must be common, ceil or floor");
    if (!jv_is_number(self, &v))
        return jx_fail(x, SC_EINVAL, "round: a number is needed, not %s", jv_type_name(self));
    if (common && jv_is_int(self, &i)) {
        *out = jv_int(i);
        return digits >= 0 || truncated(x, round_to((double)i, digits), out);
    }
    if (common) return *out = jv_float(round_to(v, digits)), true;
    double unit = pow(10, (double)digits);
    *out = jv_float((up ? ceil(v * unit) : floor(v * unit)) / unit);
    return true;
}

/* ---- the rest ---- */

FILTER(f_length)
{
    int64_t n;
    bool sized;
    (void)a, (void)c;
    if (!jv_len(x, self, &n, &sized)) return false;
    if (!sized) return jx_fail(x, SC_EINVAL, "object of type %s has no length", jv_type_name(self));
    *out = jv_int(n);
    return true;
}

FILTER(f_attr)
{
    const jstr *name = NULL;
    bool found;
    (void)c;
    if (!jx_arg_str(x, a[0], "attr's name", &name) || !jv_attr(x, self, name, out, &found)) return false;
    return found || jv_undef(x, out, "'%s object' has no attribute '%.100s'", jv_type_name(self), name->p);
}

static bool separators(jx *x, jv v, jjson *o)
{
    if (v.t == J_MISSING || v.t == J_NONE) return true;
    if ((v.t != J_TUPLE && v.t != J_LIST) || v.l->n != 2 || v.l->v[0].t != J_STR || v.l->v[1].t != J_STR) {
        return jx_fail(x, SC_EINVAL, "tojson: separators must be two strings");
    }
    o->item = v.l->v[0].s->p;
    o->item_n = v.l->v[0].s->n;
    o->key = v.l->v[1].s->p;
    o->key_n = v.l->v[1].s->n;
    return true;
}

FILTER(f_tojson)
{
    jjson o = {.item = ", ", .item_n = 2, .key = ": ", .key_n = 2};
    sc_str s = {0};
    jv indent;
    int64_t width;
    (void)c;
    o.ascii = a[0].t != J_MISSING && jv_truth(x, a[0]);
    o.sort = a[3].t != J_MISSING && jv_truth(x, a[3]);
    if (a[1].t == J_STR) {
        o.indent = a[1].s->p;
        o.indent_n = a[1].s->n;
    } else if (jv_is_int(a[1], &width)) {
        if (width > 1000) return jx_fail(x, SC_ELIMIT, "tojson: an indent of more than 1000 spaces");
        if (!jv_cstr(x, " ", &indent) || !jv_binary(x, JOP_MUL, indent, jv_int(width), &indent)) return false;
        o.indent = indent.s->p;
        o.indent_n = indent.s->n;
    } else if (a[1].t != J_MISSING && a[1].t != J_NONE) {
        return jx_fail(x, SC_EINVAL, "tojson: indent must be an integer or a string, not %s", jv_type_name(a[1]));
    }
    if (o.indent_n > 1000) return jx_fail(x, SC_ELIMIT, "tojson: an indent of more than 1000 bytes");
    if (o.indent) o.item = ",", o.item_n = 1;
    if (!separators(x, a[2], &o)) return false;
    if (jv_write_json(x, &s, self, &o, 0)) return jv_take(x, &s, out);
    sc_str_free(&s);
    return false;
}

FILTER(f_unsupported)
{
    (void)self, (void)a, (void)c, (void)out;
    return jx_fail(x, SC_EUNSUPPORTED, "this filter is not supported in chat templates");
}

/* regex_replace(pattern, replacement, count=0): Python's re.sub. */
FILTER(f_regex_replace)
{
    jv s, pattern, with;
    int64_t count = 0;
    sc_search *search = NULL;
    sc_str text = {0};
    (void)c;
    if (a[2].t != J_MISSING && !jx_arg_int(x, a[2], "regex_replace's count", &count)) return false;
    if (!jv_to_str(x, self, &s) || !jv_to_str(x, a[0], &pattern) || !jv_to_str(x, a[1], &with)) return false;
    sc_status status = sc_search_new(&search, pattern.s->p, pattern.s->n, 0, x->t->what);
    if (!status)
        status = sc_search_replace(search, s.s->p, s.s->n, with.s->p, with.s->n, SC_MAX(count, 0), x->max_output,
                                   &text);
    sc_search_free(search);
    if (!status) return jv_take(x, &text, out);
    sc_str_free(&text);
    x->status = status;
    return false;
}

const jfunc *jinja_filter(const sc_template *t, const char *name, int64_t n)
{
    static const jfunc regex = {"regex_replace", f_regex_replace, "pattern repl count", 2};
    static const jfunc table[] = {
        {"tojson", f_tojson, "ensure_ascii indent separators sort_keys", 0},
        {"trim", f_trim, "chars", 0},
        {"length", f_length, "", 0},
        {"count", f_length, "", 0},
        {"default", f_default, "default_value boolean", 0},
        {"d", f_default, "default_value boolean", 0},
        {"string", f_string, "", 0},
        {"upper", f_upper, "", 0},
        {"lower", f_lower, "", 0},
        {"title", f_title, "", 0},
        {"capitalize", f_capitalize, "", 0},
        {"safe", f_safe, "", 0},
        {"replace", f_replace, "old new count", 2},
        {"indent", f_indent, "width first blank", 0},
        {"int", f_int, "default base", 0},
        {"float", f_float, "default", 0},
        {"abs", f_abs, "", 0},
        {"round", f_round, "precision method", 0},
        {"format", f_format, NULL, 0},
        {"escape", f_escape, "", 0},
        {"e", f_escape, "", 0},
        {"forceescape", f_forceescape, "", 0},
        {"attr", f_attr, "name", 1},
        {"center", f_center, "width", 0},
        {"truncate", f_truncate, "length killwords end leeway", 0},
        {"wordcount", f_wordcount, "", 0},
        {"striptags", f_striptags, "", 0},
        {"urlencode", f_urlencode, "", 0},
        {"xmlattr", f_xmlattr, "autospace", 0},
        {"filesizeformat", f_filesizeformat, "binary", 0},
        {"pprint", f_unsupported, NULL, 0},
        {"random", f_unsupported, NULL, 0},
        {"urlize", f_unsupported, NULL, 0},
        {"wordwrap", f_unsupported, NULL, 0},
    };
    for (int i = 0; i < SC_COUNT(table); i++) {
        if ((int64_t)strlen(table[i].name) == n && !memcmp(table[i].name, name, (size_t)n)) return &table[i];
    }
    if (t->plain && n == (int64_t)strlen(regex.name) && !memcmp(regex.name, name, (size_t)n)) return &regex;
    return jinja_filter_seq(name, n);
}
