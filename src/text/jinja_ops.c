/* SPDX-License-Identifier: Apache-2.0 */
/* Operators, attributes, items and slices. */
#include "text/jinja.h"

#include <math.h>

static bool overflow(jx *x) { return jx_fail(x, SC_EUNSUPPORTED, "the integer result needs more than 64 bits"); }
static bool by_zero(jx *x) { return jx_fail(x, SC_EINVAL, "division by zero"); }

static bool int_power(jx *x, int64_t a, int64_t n, jv *out)
{
    int64_t r = 1;
    if (n < 0) {
        if (!a) return jx_fail(x, SC_EINVAL, "0 cannot be raised to a negative power");
        *out = jv_float(pow((double)a, (double)n));
        return true;
    }
    if (a == 0 || a == 1 || a == -1) {
        *out = jv_int(n == 0 ? 1 : a == -1 && n % 2 == 0 ? 1 : a);
        return true;
    }
    for (; n > 0; n--) { /* at most 63 rounds: |a| > 1 */
        if (__builtin_mul_overflow(r, a, &r)) return overflow(x);
    }
    *out = jv_int(r);
    return true;
}

static bool int_op(jx *x, int op, int64_t a, int64_t b, jv *out)
{
    int64_t r = 0;
    bool bad = false;
    switch (op) {
    case JOP_ADD: bad = __builtin_add_overflow(a, b, &r); break;
    case JOP_SUB: bad = __builtin_sub_overflow(a, b, &r); break;
    case JOP_MUL: bad = __builtin_mul_overflow(a, b, &r); break;
    case JOP_DIV:
        if (!b) return by_zero(x);
        *out = jv_float((double)((long double)a / (long double)b));
        return true;
    case JOP_FLOORDIV:
    case JOP_MOD:
        if (!b) return by_zero(x);
        if (b == -1) {
            bad = op == JOP_FLOORDIV && __builtin_sub_overflow((int64_t)0, a, &r);
            break;
        }
        r = op == JOP_MOD ? a % b : a / b;
        if (a % b && (a % b < 0) != (b < 0)) r += op == JOP_MOD ? b : -1;
        break;
    default: return int_power(x, a, b, out);
    }
    if (bad) return overflow(x);
    *out = jv_int(r);
    return true;
}

static bool float_op(jx *x, int op, double a, double b, jv *out)
{
    double r;
    switch (op) {
    case JOP_ADD: r = a + b; break;
    case JOP_SUB: r = a - b; break;
    case JOP_MUL: r = a * b; break;
    case JOP_DIV:
        if (b == 0) return by_zero(x);
        r = a / b;
        break;
    case JOP_FLOORDIV:
    case JOP_MOD: {
        if (b == 0) return by_zero(x);
        double m = fmod(a, b);
        if (m != 0 && (m < 0) != (b < 0)) m += b;
        if (m == 0) m = copysign(0.0, b);
        if (op == JOP_MOD) {
            r = m;
            break;
        }
        double q = (a - m) / b;
        r = q != 0 ? floor(q) : copysign(0.0, a / b);
        if (q - r > 0.5) r += 1.0;
        break;
    }
    default:
        if (a == 0 && b < 0) return jx_fail(x, SC_EINVAL, "0.0 cannot be raised to a negative power");
        if (a < 0 && b != floor(b) && isfinite(a) && isfinite(b))
            return jx_fail(x, SC_EUNSUPPORTED, "complex numbers are not supported");
        r = pow(a, b);
        if (isinf(r) && isfinite(a) && isfinite(b))
            return jx_fail(x, SC_EINVAL, "the result is too large for a float");
    }
    *out = jv_float(r);
    return true;
}

static bool add_strings(jx *x, jv a, jv b, jv *out)
{
    bool markup = a.s->markup || b.s->markup;
    if (markup && !a.s->markup && !jstr_escape(x, a, &a)) return false;
    if (markup && !b.s->markup && !jstr_escape(x, b, &b)) return false;
    int64_t n;
    if (!sc_add_ok(a.s->n, b.s->n, &n)) return jx_fail(x, SC_ELIMIT, "the string is too long");
    char *p = jx_alloc(x, n + 1, 1);
    if (!p) return false;
    memcpy(p, a.s->p, (size_t)a.s->n);
    memcpy(p + a.s->n, b.s->p, (size_t)b.s->n);
    return jv_view(x, p, n, markup, out);
}

static bool repeat(jx *x, jv v, int64_t times, jv *out)
{
    int64_t n = v.t == J_STR ? v.s->n : v.l->n, total;
    times = SC_MAX(times, 0);
    if (!sc_mul_ok(n, times, &total)) return jx_fail(x, SC_ELIMIT, "the repeated value is too long");
    if (!jx_step(x, total / 16)) return false;
    if (v.t != J_STR) {
        if (!jv_list(x, v.t, total, out)) return false;
        for (int64_t i = 0; i < total; i++) out->l->v[i] = v.l->v[i % n];
        return true;
    }
    char *p = jx_alloc(x, total + 1, 1);
    if (!p) return false;
    for (int64_t i = 0; n && i < times; i++) memcpy(p + i * n, v.s->p, (size_t)n);
    return jv_view(x, p, total, v.s->markup, out);
}

static bool concat_lists(jx *x, jv a, jv b, jv *out)
{
    int64_t n = a.l->n + b.l->n;
    if (!jx_step(x, n / 4) || !jv_list(x, a.t, n, out)) return false;
    if (a.l->n) memcpy(out->l->v, a.l->v, (size_t)a.l->n * sizeof(jv));
    if (b.l->n) memcpy(out->l->v + a.l->n, b.l->v, (size_t)b.l->n * sizeof(jv));
    return true;
}

bool jv_binary(jx *x, int op, jv a, jv b, jv *out)
{
    static const char *const sign[] = {"+", "-", "*", "/", "//", "%", "**"};
    int64_t i, j;
    double f, g;
    if (op == JOP_MOD && a.t == J_STR) return jstr_percent(x, a.s, b, out);
    if (a.t == J_UNDEF) return jx_undefined_error(x, a);
    if (b.t == J_UNDEF) return jx_undefined_error(x, b);
    if (jv_is_int(a, &i) && jv_is_int(b, &j)) return int_op(x, op, i, j, out);
    if (jv_is_number(a, &f) && jv_is_number(b, &g)) return float_op(x, op, f, g, out);
    if (op == JOP_ADD && a.t == J_STR && b.t == J_STR) return add_strings(x, a, b, out);
    if (op == JOP_ADD && a.t == b.t && (a.t == J_LIST || a.t == J_TUPLE)) return concat_lists(x, a, b, out);
    if (op == JOP_MUL && (a.t == J_STR || a.t == J_LIST || a.t == J_TUPLE) && jv_is_int(b, &j))
        return repeat(x, a, j, out);
    if (op == JOP_MUL && (b.t == J_STR || b.t == J_LIST || b.t == J_TUPLE) && jv_is_int(a, &i))
        return repeat(x, b, i, out);
    return jx_fail(x, SC_EINVAL, "unsupported operand types for %s: %s and %s", sign[op], jv_type_name(a),
                   jv_type_name(b));
}

bool jv_unary(jx *x, bool negative, jv a, jv *out)
{
    int64_t i;
    if (a.t == J_UNDEF) return jx_undefined_error(x, a);
    if (a.t == J_FLOAT) {
        *out = jv_float(negative ? -a.f : a.f);
        return true;
    }
    if (!jv_is_int(a, &i))
        return jx_fail(x, SC_EINVAL, "bad operand type for unary %s: %s", negative ? "-" : "+", jv_type_name(a));
    if (negative && __builtin_sub_overflow((int64_t)0, i, &i)) return overflow(x);
    *out = jv_int(i);
    return true;
}

bool jv_contains(jx *x, jv c, jv item, bool *out)
{
    jiter *it;
    jv v;
    bool more;
    *out = false;
    if (c.t == J_STR) {
        if (item.t != J_STR)
            return jx_fail(x, SC_EINVAL, "'in <string>' requires a string on its left, not %s", jv_type_name(item));
        *out =
            item.s->n == 0 || (item.s->n <= c.s->n && memmem(c.s->p, (size_t)c.s->n, item.s->p, (size_t)item.s->n));
        return jx_step(x, c.s->n / 64);
    }
    if (c.t == J_DICT) return jdict_get(x, c.d, item, &v, out);
    if (c.t == J_VIEW && c.view->kind == JVIEW_KEYS) return jdict_get(x, c.view->d, item, &v, out);
    if (!jiter_new(x, c, &it)) return false;
    for (;;) {
        if (!jiter_next(x, it, &v, &more)) return false;
        if (!more) return true;
        if (!jv_equal(x, v, item, out)) return false;
        if (*out) return true;
    }
}

/* ---- attributes ---- */

static bool is(const jstr *s, const char *z) { return !strcmp(s->p, z) && s->n == (int64_t)strlen(z); }

/* The attributes that are plain values; methods are in their tables. */
static bool value_attr(jx *x, jv v, const jstr *name, jv *out, bool *found)
{
    int64_t i;
    *found = true;
    if (v.t == J_TUPLE && v.l->group) {
        if (is(name, "grouper")) return *out = v.l->v[0], true;
        if (is(name, "list")) return *out = v.l->v[1], true;
    } else if (v.t == J_RANGE) {
        if (is(name, "start")) return *out = jv_int(v.r->start), true;
        if (is(name, "stop")) return *out = jv_int(v.r->stop), true;
        if (is(name, "step")) return *out = jv_int(v.r->step), true;
    } else if (jv_is_int(v, &i)) {
        if (is(name, "real") || is(name, "numerator")) return *out = jv_int(i), true;
        if (is(name, "imag")) return *out = jv_int(0), true;
        if (is(name, "denominator")) return *out = jv_int(1), true;
    } else if (v.t == J_FLOAT) {
        if (is(name, "real")) return *out = v, true;
        if (is(name, "imag")) return *out = jv_float(0), true;
    } else if (v.t == J_CYCLER) {
        if (is(name, "current")) return *out = v.cycler->items->v[v.cycler->pos], true;
        if (is(name, "pos")) return *out = jv_int(v.cycler->pos), true;
        if (is(name, "items")) return *out = (jv){.t = J_TUPLE, .l = v.cycler->items}, true;
    } else if (v.t == J_JOINER) {
        if (is(name, "sep")) return *out = v.joiner->sep, true;
        if (is(name, "used")) return *out = jv_bool(v.joiner->used), true;
    } else if (v.t == J_MACRO && is(name, "name")) {
        if (v.macro->node->name) return *out = jv_s(v.macro->node->name), true;
        return *out = jv_none(), true;
    }
    (void)x;
    *found = false;
    return true;
}

static bool dunder(const jstr *name)
{
    return name->n > 4 && !memcmp(name->p, "__", 2) && !memcmp(name->p + name->n - 2, "__", 2);
}

bool jv_attr(jx *x, jv v, const jstr *name, jv *out, bool *found)
{
    bool mutates = false;
    *found = false;
    if (v.t == J_NS) {
        jv *hit = jdict_find(v.d, name->p, name->n);
        if (hit) *out = *hit;
        *found = hit != NULL;
        return true;
    }
    if (dunder(name)) {
        static const char *const known[] = {
            "__class__",         "__doc__",          "__init__",         "__str__",
            "__repr__",          "__eq__",           "__ne__",           "__hash__",
            "__dir__",           "__format__",       "__getattribute__", "__new__",
            "__init_subclass__", "__subclasshook__", "__reduce__",       "__sizeof__"};
        for (int i = 0; i < SC_COUNT(known) && !*found; i++) *found = is(name, known[i]);
        if (!*found) return true;
        return jv_undef(x, out, "access to attribute '%s' of '%s' object is unsafe", name->p, jv_type_name(v));
    }
    if (v.t == J_UNDEF) return jx_undefined_error(x, v);
    if (v.t == J_LOOP) return jx_loop_attr(x, v.loop, name, out, found);
    if (!value_attr(x, v, name, out, found)) return false;
    if (*found) return true;
    if (v.t == J_FUNC && strcmp(v.func->name, "dict")) return true;
    const jfunc *f = jinja_method(v.t, name->p, name->n, &mutates);
    if (!f) return true;
    *found = true;
    if (mutates)
        return jv_undef(x, out, "access to attribute '%s' of '%s' object is unsafe", name->p, jv_type_name(v));
    jmethod *m = jx_alloc(x, 1, sizeof(*m));
    if (!m) return false;
    m->self = v;
    m->func = f;
    *out = (jv){.t = J_METHOD, .method = m};
    return true;
}

static bool no_attr(jx *x, jv v, const jstr *name, jv *out)
{
    return jv_undef(x, out, "'%s object' has no attribute '%.100s'", jv_type_name(v), name->p);
}

bool jv_getattr(jx *x, jv v, const jstr *name, jv *out)
{
    bool found;
    if (!jv_attr(x, v, name, out, &found)) return false;
    if (found) return true;
    if (v.t == J_UNDEF) return jx_undefined_error(x, v);
    jv *hit = v.t == J_DICT ? jdict_find(v.d, name->p, name->n) : NULL;
    if (!hit) return no_attr(x, v, name, out);
    *out = *hit;
    return true;
}

static bool hashable(jv v)
{
    if (v.t == J_LIST || v.t == J_DICT || v.t == J_VIEW) return false;
    for (int64_t i = 0; v.t == J_TUPLE && i < v.l->n; i++) {
        if (v.l->v[i].t == J_LIST || v.l->v[i].t == J_DICT) return false;
    }
    return true;
}

bool jv_getitem(jx *x, jv v, jv key, jv *out)
{
    int64_t i, n;
    bool found;
    if (v.t == J_UNDEF) return jx_undefined_error(x, v);
    if (v.t == J_DICT && hashable(key)) {
        if (!jdict_get(x, v.d, key, out, &found)) return false;
        if (found) return true;
    }
    bool indexed = v.t == J_STR || v.t == J_LIST || v.t == J_TUPLE || v.t == J_RANGE;
    if (indexed && jv_is_int(key, &i)) {
        if (!jv_len(x, v, &n, &found)) return false;
        if (i < 0) i += n;
        if (i >= 0 && i < n) {
            if (v.t == J_RANGE)
                *out = jv_int(v.r->start + i * v.r->step);
            else if (v.t != J_STR)
                *out = v.l->v[i];
            if (v.t != J_STR) return true;
            int64_t from = jstr_offset(v.s, i), to = jstr_offset(v.s, i + 1);
            return jx_step(x, v.s->chars == v.s->n ? 0 : from / 64) &&
                   jv_view(x, v.s->p + from, to - from, v.s->markup, out);
        }
    }
    if (key.t == J_STR) {
        if (key.s->p[key.s->n] && !jv_str(x, key.s->p, key.s->n, &key))
            return false; /* attribute names end with a NUL */
        if (!jv_attr(x, v, key.s, out, &found)) return false;
        return found || no_attr(x, v, key.s, out);
    }
    return jv_undef(x, out, "%s object has no such element", jv_type_name(v));
}

/* Python's slice.indices, and how many elements that makes. */
static void slice_range(int64_t n, jv lo, jv hi, int64_t step, int64_t *start, int64_t *count)
{
    int64_t first = step < 0 ? n - 1 : 0, last = step < 0 ? -1 : n, i;
    int64_t bound[2] = {first, last};
    jv given[2] = {lo, hi};
    for (int k = 0; k < 2; k++) {
        if (!jv_is_int(given[k], &i)) continue;
        if (i < 0) i = i < -n ? -1 : i + n;
        bound[k] = step < 0 ? SC_MIN(i, n - 1) : SC_MAX(SC_MIN(i, n), 0);
    }
    *start = bound[0];
    int64_t span = step < 0 ? bound[0] - bound[1] : bound[1] - bound[0];
    uint64_t size = step < 0 ? (uint64_t)0 - (uint64_t)step : (uint64_t)step;
    *count = span <= 0 ? 0 : (int64_t)(((uint64_t)span - 1) / size) + 1;
}

static bool slice_string(jx *x, const jstr *s, int64_t start, int64_t step, int64_t count, jv *out)
{
    if (step == 1) {
        int64_t from = count ? jstr_offset(s, start) : 0, to = count ? jstr_offset(s, start + count) : 0;
        return jx_step(x, s->chars == s->n ? 0 : s->n / 64) && jv_view(x, s->p + from, to - from, s->markup, out);
    }
    sc_str r = {0};
    if (!jx_step(x, count)) return false;
    int64_t at = count ? jstr_offset(s, start) : 0;
    for (int64_t i = 0; i < count; i++) {
        uint32_t c;
        int k = sc_utf8_decode(s->p + at, s->n - at, &c);
        sc_str_append(&r, s->p + at, k);
        if (i + 1 == count) break;
        for (int64_t m = 0; m < step; m++) at += sc_utf8_decode(s->p + at, s->n - at, &c);
        for (int64_t m = 0; m > step; m--) {
            at--;
            while ((s->p[at] & 0xC0) == 0x80) at--;
        }
    }
    bool markup = s->markup;
    jv copy;
    if (!jv_take(x, &r, &copy)) return false;
    return jv_view(x, copy.s->p, copy.s->n, markup, out);
}

bool jv_slice(jx *x, jv v, jv lo, jv hi, jv step_value, jv *out)
{
    int64_t step = 1, start, count, n = 0, i;
    bool sized;
    if (v.t == J_UNDEF) return jx_undefined_error(x, v);
    bool ok = v.t == J_STR || v.t == J_LIST || v.t == J_TUPLE || v.t == J_RANGE;
    const jv part[3] = {lo, hi, step_value};
    for (int k = 0; k < 3; k++) ok = ok && (part[k].t == J_NONE || jv_is_int(part[k], &i));
    if (!ok) return jx_fail(x, SC_EINVAL, "%s cannot be sliced like this", jv_type_name(v));
    if (jv_is_int(step_value, &step) && step == 0) return jx_fail(x, SC_EINVAL, "slice step cannot be zero");
    if (!jv_len(x, v, &n, &sized)) return false;
    slice_range(n, lo, hi, step, &start, &count);
    if (v.t == J_STR) return slice_string(x, v.s, start, step, count, out);
    if (v.t == J_RANGE) {
        jrange *r = jx_alloc(x, 1, sizeof(*r));
        if (!r) return false;
        if (count == 0) step = 1;
        r->n = count;
        if (__builtin_mul_overflow(start, v.r->step, &i) || __builtin_add_overflow(v.r->start, i, &r->start) ||
            __builtin_mul_overflow(v.r->step, count > 1 ? step : 1, &r->step) ||
            __builtin_mul_overflow(count, r->step, &i) || __builtin_add_overflow(r->start, i, &r->stop))
            return overflow(x);
        *out = (jv){.t = J_RANGE, .r = r};
        return true;
    }
    if (!jx_step(x, count / 4) || !jv_list(x, v.t, count, out)) return false;
    for (int64_t k = 0; k < count; k++) out->l->v[k] = v.l->v[start + k * step];
    return true;
}
