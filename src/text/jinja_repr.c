/* SPDX-License-Identifier: Apache-2.0 */
/* Values as text: Python's str and repr, and json.dumps. */
#include "text/jinja.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* The shortest digits that read back as the same number, written as Python's repr does. */
void jv_write_float(sc_str *s, double f)
{
    char buf[40];
    if (isnan(f) || isinf(f)) {
        sc_str_puts(s, isnan(f) ? "nan" : f < 0 ? "-inf" : "inf");
        return;
    }
    int digits = 1;
    for (; digits < 17; digits++) {
        snprintf(buf, sizeof(buf), "%.*e", digits - 1, f);
        if (strtod(buf, NULL) == f) break;
    }
    snprintf(buf, sizeof(buf), "%.*e", digits - 1, f);
    char *e = strchr(buf, 'e');
    int exponent = atoi(e + 1);
    if (exponent < -4 || exponent >= 16) {
        sc_str_append(s, buf, e - buf);
        sc_str_printf(s, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
        return;
    }
    int decimals = SC_MAX(digits - 1 - exponent, 0);
    sc_str_printf(s, "%.*f%s", decimals, f, decimals ? "" : ".0");
}

static void write_repr(sc_str *s, const jstr *v)
{
    char quote = memchr(v->p, '\'', (size_t)v->n) && !memchr(v->p, '"', (size_t)v->n) ? '"' : '\'';
    if (v->markup) sc_str_puts(s, "Markup(");
    sc_str_putc(s, quote);
    for (int64_t i = 0; i < v->n;) {
        uint32_t c;
        int k = sc_utf8_decode(v->p + i, v->n - i, &c);
        if (c == (uint32_t)quote || c == '\\')
            sc_str_printf(s, "\\%c", (char)c);
        else if (c == '\n')
            sc_str_puts(s, "\\n");
        else if (c == '\r')
            sc_str_puts(s, "\\r");
        else if (c == '\t')
            sc_str_puts(s, "\\t");
        else if (juni_printable(c))
            sc_str_append(s, v->p + i, k);
        else
            sc_str_printf(s, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)c);
        i += k;
    }
    sc_str_putc(s, quote);
    if (v->markup) sc_str_putc(s, ')');
}

static bool write_items(jx *x, sc_str *s, const jlist *l, char open, char close)
{
    sc_str_putc(s, open);
    for (int64_t i = 0; i < l->n; i++) {
        if (i) sc_str_puts(s, ", ");
        if (!jv_write(x, s, l->v[i], true)) return false;
    }
    if (open == '(' && l->n == 1) sc_str_putc(s, ',');
    sc_str_putc(s, close);
    return true;
}

static bool write_dict(jx *x, sc_str *s, const jdict *d)
{
    sc_str_putc(s, '{');
    for (int64_t i = 0; i < d->n; i++) {
        if (i) sc_str_puts(s, ", ");
        if (!jv_write(x, s, d->e[i].key, true)) return false;
        sc_str_puts(s, ": ");
        if (!jv_write(x, s, d->e[i].value, true)) return false;
    }
    sc_str_putc(s, '}');
    return true;
}

static bool write_view(jx *x, sc_str *s, const jview *v)
{
    static const char *const names[] = {"dict_keys([", "dict_values([", "dict_items(["};
    sc_str_puts(s, names[v->kind]);
    for (int64_t i = 0; i < v->d->n; i++) {
        const jentry *e = &v->d->e[i];
        if (i) sc_str_puts(s, ", ");
        if (v->kind == JVIEW_ITEMS) sc_str_putc(s, '(');
        if (v->kind != JVIEW_VALUES && !jv_write(x, s, e->key, true)) return false;
        if (v->kind == JVIEW_ITEMS) sc_str_puts(s, ", ");
        if (v->kind != JVIEW_KEYS && !jv_write(x, s, e->value, true)) return false;
        if (v->kind == JVIEW_ITEMS) sc_str_putc(s, ')');
    }
    sc_str_puts(s, "])");
    return true;
}

static bool write_nested(jx *x, sc_str *s, jv v)
{
    switch (v.t) {
    case J_LIST: return write_items(x, s, v.l, '[', ']');
    case J_TUPLE: return write_items(x, s, v.l, '(', ')');
    case J_VIEW: return write_view(x, s, v.view);
    case J_DICT: return write_dict(x, s, v.d);
    default:
        sc_str_puts(s, "<Namespace ");
        if (!write_dict(x, s, v.d)) return false;
        sc_str_putc(s, '>');
        return true;
    }
}

bool jv_write(jx *x, sc_str *s, jv v, bool repr)
{
    int64_t n;
    if (!jx_step(x, 1) || !jstr_ok(x, s)) return false;
    switch (v.t) {
    case J_MISSING: return true;
    case J_UNDEF: sc_str_puts(s, repr ? "Undefined" : ""); return repr || jx_defined(x, v);
    case J_NONE: sc_str_puts(s, "None"); return true;
    case J_BOOL: sc_str_puts(s, v.b ? "True" : "False"); return true;
    case J_INT: sc_str_printf(s, "%lld", (long long)v.i); return true;
    case J_FLOAT: jv_write_float(s, v.f); return true;
    case J_STR:
        if (repr)
            write_repr(s, v.s);
        else
            sc_str_append(s, v.s->p, v.s->n);
        return jx_step(x, v.s->n / 64);
    case J_RANGE:
        sc_str_printf(s, "range(%lld, %lld", (long long)v.r->start, (long long)v.r->stop);
        if (v.r->step != 1) sc_str_printf(s, ", %lld", (long long)v.r->step);
        sc_str_putc(s, ')');
        return true;
    case J_LIST:
    case J_TUPLE:
    case J_VIEW:
    case J_DICT:
    case J_NS: {
        if (!jx_enter(x)) return false;
        bool ok = write_nested(x, s, v);
        x->depth--;
        return ok;
    }
    case J_MACRO:
        sc_str_puts(s, "<Macro ");
        if (v.macro->node->name)
            write_repr(s, v.macro->node->name);
        else
            sc_str_puts(s, "None");
        sc_str_putc(s, '>');
        return true;
    case J_LOOP:
        if (!jx_loop_length(x, v.loop, &n)) return false;
        sc_str_printf(s, "<LoopContext %lld/%lld>", (long long)v.loop->index0 + 1, (long long)n);
        return true;
    default: /* Python shows an address here; no template can mean it */
        return jx_fail(x, SC_EUNSUPPORTED, "a %s cannot be printed", jv_type_name(v));
    }
}

bool jv_to_str(jx *x, jv v, jv *out)
{
    if (v.t == J_STR && !v.s->markup) {
        *out = v;
        return true;
    }
    if (v.t == J_STR) return jv_view(x, v.s->p, v.s->n, false, out);
    sc_str s = {0};
    if (!jv_write(x, &s, v, false)) {
        sc_str_free(&s);
        return false;
    }
    return jv_take(x, &s, out);
}

bool jv_soft_str(jx *x, jv v, jv *out)
{
    if (v.t != J_STR) return jv_to_str(x, v, out);
    *out = v;
    return true;
}

/* ---- json.dumps ---- */

static void put_json_string(sc_str *s, const jstr *v, bool ascii)
{
    sc_str_putc(s, '"');
    for (int64_t i = 0; i < v->n;) {
        uint32_t c;
        int k = sc_utf8_decode(v->p + i, v->n - i, &c);
        static const char from[] = "\"\\\n\r\t\f\b", to[] = "\"\\nrtfb";
        const char *hit = c && c < 128 ? strchr(from, (int)c) : NULL;
        if (hit)
            sc_str_printf(s, "\\%c", to[hit - from]);
        else if (c < 32 || (ascii && c > 126 && c < 0x10000))
            sc_str_printf(s, "\\u%04x", (unsigned)c);
        else if (ascii && c > 126)
            sc_str_printf(s, "\\u%04x\\u%04x", 0xD7C0 + (c >> 10), 0xDC00 + (c & 0x3FF));
        else
            sc_str_append(s, v->p + i, k);
        i += k;
    }
    sc_str_putc(s, '"');
}

static void json_float(sc_str *s, double f)
{
    if (isnan(f))
        sc_str_puts(s, "NaN");
    else if (isinf(f))
        sc_str_puts(s, f < 0 ? "-Infinity" : "Infinity");
    else
        jv_write_float(s, f);
}

static void json_newline(sc_str *s, const jjson *o, int level)
{
    if (!o->indent) return;
    sc_str_putc(s, '\n');
    for (int i = 0; i < level; i++) sc_str_append(s, o->indent, o->indent_n);
}

static bool json_key(jx *x, sc_str *s, jv k, const jjson *o)
{
    if (k.t == J_STR) {
        put_json_string(s, k.s, o->ascii);
        return true;
    }
    if (k.t != J_INT && k.t != J_FLOAT && k.t != J_BOOL && k.t != J_NONE) {
        return jx_fail(x, SC_EINVAL, "tojson: keys must be str, int, float, bool or None, not %s", jv_type_name(k));
    }
    sc_str_putc(s, '"');
    if (!jv_write_json(x, s, k, o, 0)) return false;
    sc_str_putc(s, '"');
    return true;
}

/* The entries in order of their keys: an insertion into a copy, by halves. */
static bool sorted_entries(jx *x, const jdict *d, const jentry **out)
{
    jentry *e = jx_alloc(x, d->n, sizeof(*e));
    if (!e) return false;
    for (int64_t i = 0; i < d->n; i++) {
        int64_t lo = 0, hi = i;
        while (lo < hi) {
            int64_t mid = (lo + hi) / 2;
            bool less;
            if (!jv_less(x, d->e[i].key, e[mid].key, JOP_LT, &less)) return false;
            if (less)
                hi = mid;
            else
                lo = mid + 1;
        }
        if (!jx_step(x, (i - lo) / 16)) return false;
        memmove(e + lo + 1, e + lo, (size_t)(i - lo) * sizeof(*e));
        e[lo] = d->e[i];
    }
    *out = e;
    return true;
}

static bool json_container(jx *x, sc_str *s, jv v, const jjson *o, int level)
{
    bool dict = v.t == J_DICT;
    int64_t n = dict ? v.d->n : v.l->n;
    const jentry *e = dict ? v.d->e : NULL;
    if (n == 0) {
        sc_str_puts(s, dict ? "{}" : "[]");
        return true;
    }
    if (dict && o->sort && !sorted_entries(x, v.d, &e)) return false;
    sc_str_putc(s, dict ? '{' : '[');
    for (int64_t i = 0; i < n; i++) {
        if (i) sc_str_append(s, o->item, o->item_n);
        json_newline(s, o, level + 1);
        if (dict) {
            if (!json_key(x, s, e[i].key, o)) return false;
            sc_str_append(s, o->key, o->key_n);
        }
        if (!jv_write_json(x, s, dict ? e[i].value : v.l->v[i], o, level + 1)) return false;
    }
    json_newline(s, o, level);
    sc_str_putc(s, dict ? '}' : ']');
    return true;
}

bool jv_write_json(jx *x, sc_str *s, jv v, const jjson *o, int level)
{
    if (!jx_step(x, 1) || !jstr_ok(x, s)) return false;
    switch (v.t) {
    case J_NONE: sc_str_puts(s, "null"); return true;
    case J_BOOL: sc_str_puts(s, v.b ? "true" : "false"); return true;
    case J_INT: sc_str_printf(s, "%lld", (long long)v.i); return true;
    case J_FLOAT: json_float(s, v.f); return true;
    case J_STR: put_json_string(s, v.s, o->ascii); return jx_step(x, v.s->n / 64);
    case J_LIST:
    case J_TUPLE:
    case J_DICT: {
        if (!jx_enter(x)) return false;
        bool ok = json_container(x, s, v, o, level);
        x->depth--;
        return ok;
    }
    case J_UNDEF: return jx_fail(x, SC_EINVAL, "tojson: %s", v.u ? v.u->message : "undefined");
    default: return jx_fail(x, SC_EINVAL, "tojson: a %s has no JSON form", jv_type_name(v));
    }
}
