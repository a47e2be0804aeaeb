/* SPDX-License-Identifier: Apache-2.0 */
/* Values: making them, their truth, length, equality and order, and the two containers. */
#include "text/jinja.h"

#include <math.h>
#include <stdio.h>

/* ---- failures, memory, steps ---- */

bool jx_fail(jx *x, sc_status code, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    n = SC_MIN(n, (int)sizeof(text) - 1);
    text[n - (n > 0 ? sc_utf8_unfinished(text, n) : 0)] = 0;
    if (x->at)
        x->status = sc_fail(code, "%s: line %d, column %d: %s", x->t->what, x->at->line, x->at->col, text);
    else
        x->status = sc_fail(code, "%s: %s", x->t->what, text);
    return false;
}

void *jx_alloc(jx *x, int64_t n, int64_t size)
{
    int64_t bytes;
    if (!sc_mul_ok(n, size, &bytes) || bytes > x->max_memory - x->memory) {
        jx_fail(x, SC_ELIMIT, "the values take more than %lld bytes", (long long)x->max_memory);
        return NULL;
    }
    x->memory += bytes + 16;
    void *p = sc_arena_alloc(x->arena, (size_t)SC_MAX(bytes, 1));
    if (!p) x->status = sc_nomem();
    return p;
}

bool jx_step(jx *x, int64_t n)
{
    x->steps += n;
    if (x->steps <= x->max_steps) return true;
    return jx_fail(x, SC_ELIMIT, "the template takes more than %lld steps", (long long)x->max_steps);
}

bool jx_enter(jx *x)
{
    if (++x->depth <= x->max_depth) return true;
    x->depth--;
    return jx_fail(x, SC_ELIMIT, "nested deeper than %lld levels", (long long)x->max_depth);
}

/* ---- making ---- */

static bool make_str(jx *x, const char *p, int64_t n, bool markup, jv *out)
{
    jstr *s = jx_alloc(x, 1, sizeof(*s));
    if (!s) return false;
    s->p = p;
    s->n = n;
    s->markup = markup;
    for (int64_t i = 0; i < n; i++) s->chars += (p[i] & 0xC0) != 0x80;
    *out = jv_s(s);
    return jx_step(x, n / 64);
}

bool jv_view(jx *x, const char *p, int64_t n, bool markup, jv *out) { return make_str(x, p, n, markup, out); }

bool jv_str(jx *x, const char *p, int64_t n, jv *out)
{
    char *copy = jx_alloc(x, n + 1, 1);
    if (!copy) return false;
    if (n) memcpy(copy, p, (size_t)n);
    return make_str(x, copy, n, false, out);
}

bool jv_cstr(jx *x, const char *literal, jv *out)
{
    return make_str(x, literal, (int64_t)strlen(literal), false, out);
}

bool jstr_ok(jx *x, const sc_str *s)
{
    if (s->oom) {
        x->status = sc_nomem();
        return false;
    }
    if (s->len <= x->max_output && s->len <= x->max_memory - x->memory) return true;
    return jx_fail(x, SC_ELIMIT, "a string takes more than %lld bytes",
                   (long long)SC_MIN(x->max_output, SC_MAX(x->max_memory - x->memory, 0)));
}

bool jv_take(jx *x, sc_str *s, jv *out)
{
    bool ok = jstr_ok(x, s) && jv_str(x, s->p, s->len, out);
    sc_str_free(s);
    return ok;
}

bool jv_undef(jx *x, jv *out, const char *fmt, ...)
{
    char text[200];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    jundef *u = jx_alloc(x, 1, sizeof(*u));
    char *copy = u ? jx_alloc(x, SC_MIN(n, (int)sizeof(text) - 1) + 1, 1) : NULL;
    if (!copy) return false;
    memcpy(copy, text, strlen(text) + 1);
    u->message = copy;
    *out = (jv){.t = J_UNDEF, .u = u};
    return true;
}

bool jx_undefined_error(jx *x, jv u)
{
    return jx_fail(x, SC_EINVAL, "%s", u.u ? u.u->message : "undefined value used");
}

bool jx_defined(jx *x, jv v) { return v.t != J_UNDEF || !x->t->plain || jx_undefined_error(x, v); }

/* ---- lists ---- */

bool jv_list(jx *x, jtype t, int64_t n, jv *out)
{
    jlist *l = jx_alloc(x, 1, sizeof(*l));
    if (!l) return false;
    if (n) {
        l->v = jx_alloc(x, n, sizeof(*l->v));
        if (!l->v) return false;
    }
    l->n = l->cap = n;
    *out = (jv){.t = t, .l = l};
    return true;
}

bool jlist_push(jx *x, jlist *l, jv v)
{
    if (l->n >= l->cap) {
        int64_t cap = l->cap ? l->cap * 2 : 4;
        jv *grown = jx_alloc(x, cap, sizeof(*grown));
        if (!grown) return false;
        if (l->n) memcpy(grown, l->v, (size_t)l->n * sizeof(*grown));
        l->v = grown;
        l->cap = cap;
    }
    l->v[l->n++] = v;
    return true;
}

/* ---- dictionaries ---- */

bool jdict_new(jx *x, jdict **out)
{
    *out = jx_alloc(x, 1, sizeof(**out));
    if (*out) (*out)->secret = x->secret;
    return *out != NULL;
}

static void index_put(jdict *d, int64_t entry)
{
    uint64_t mask = (uint64_t)d->slots - 1, i = d->e[entry].hash & mask;
    while (d->index[i]) i = (i + 1) & mask;
    d->index[i] = entry + 1;
}

static bool dict_lookup(jx *x, const jdict *d, jv key, uint64_t hash, int64_t *at)
{
    bool same = false;
    *at = -1;
    if (!d->slots) {
        for (int64_t i = 0; i < d->n; i++) {
            if (d->e[i].hash != hash) continue;
            if (!jv_equal(x, d->e[i].key, key, &same)) return false;
            if (same) *at = i;
            if (same) return true;
        }
        return true;
    }
    uint64_t mask = (uint64_t)d->slots - 1;
    for (uint64_t i = hash & mask; d->index[i]; i = (i + 1) & mask) {
        int64_t e = d->index[i] - 1;
        if (d->e[e].hash != hash) continue;
        if (!jv_equal(x, d->e[e].key, key, &same)) return false;
        if (same) *at = e;
        if (same) return true;
    }
    return true;
}

bool jdict_set(jx *x, jdict *d, jv key, jv value)
{
    uint64_t hash;
    int64_t at;
    if (!jv_hash(x, key, &hash) || !dict_lookup(x, d, key, hash, &at)) return false;
    if (at >= 0) {
        d->e[at].value = value;
        return true;
    }
    if (d->n >= d->cap) {
        int64_t cap = d->cap ? d->cap * 2 : 4;
        jentry *grown = jx_alloc(x, cap, sizeof(*grown));
        if (!grown) return false;
        if (d->n) memcpy(grown, d->e, (size_t)d->n * sizeof(*grown));
        d->e = grown;
        d->cap = cap;
    }
    d->e[d->n++] = (jentry){.key = key, .value = value, .hash = hash};
    if (d->n > 8 && d->n * 2 > d->slots) {
        int64_t slots = d->slots ? d->slots * 2 : 32;
        int64_t *index = jx_alloc(x, slots, sizeof(*index));
        if (!index) {
            d->n--;
            return false;
        }
        d->index = index;
        d->slots = slots;
        for (int64_t i = 0; i < d->n; i++) index_put(d, i);
    } else if (d->slots) {
        index_put(d, d->n - 1);
    }
    return true;
}

bool jdict_get(jx *x, const jdict *d, jv key, jv *out, bool *found)
{
    uint64_t hash;
    int64_t at;
    *found = false;
    if (!jv_hash(x, key, &hash) || !dict_lookup(x, d, key, hash, &at)) return false;
    if (at >= 0) {
        *out = d->e[at].value;
        *found = true;
    }
    return true;
}

jv *jdict_find(const jdict *d, const char *key, int64_t n)
{
    uint64_t hash = sc_hash_with(d->secret, key, n);
    if (!d->slots) {
        for (int64_t i = 0; i < d->n; i++) {
            const jv *k = &d->e[i].key;
            if (d->e[i].hash == hash && k->t == J_STR && k->s->n == n && !memcmp(k->s->p, key, (size_t)n))
                return &d->e[i].value;
        }
        return NULL;
    }
    uint64_t mask = (uint64_t)d->slots - 1;
    for (uint64_t i = hash & mask; d->index[i]; i = (i + 1) & mask) {
        jentry *e = &d->e[d->index[i] - 1];
        if (e->hash == hash && e->key.t == J_STR && e->key.s->n == n && !memcmp(e->key.s->p, key, (size_t)n))
            return &e->value;
    }
    return NULL;
}

bool jv_from_json(jx *x, const json_t *j, jv *out)
{
    if (json_is_string(j)) return jv_str(x, json_string_value(j), (int64_t)json_string_length(j), out);
    if (json_is_integer(j))
        *out = jv_int(json_integer_value(j));
    else if (json_is_real(j))
        *out = jv_float(json_real_value(j));
    else if (json_is_boolean(j))
        *out = jv_bool(json_is_true(j));
    else
        *out = jv_none();
    if (json_is_array(j)) {
        int64_t n = (int64_t)json_array_size(j);
        if (!jv_list(x, J_LIST, n, out)) return false;
        for (int64_t i = 0; i < n; i++) {
            if (!jv_from_json(x, json_array_get(j, (size_t)i), &out->l->v[i])) return false;
        }
    } else if (json_is_object(j)) {
        const char *key;
        size_t n;
        json_t *value;
        jdict *d;
        if (!jdict_new(x, &d)) return false;
        json_object_keylen_foreach((json_t *)(uintptr_t)j, key, n, value)
        {
            jv k, v;
            if (!jv_str(x, key, (int64_t)n, &k) || !jv_from_json(x, value, &v) || !jdict_set(x, d, k, v))
                return false;
        }
        *out = (jv){.t = J_DICT, .d = d};
    }
    return true;
}

/* ---- questions ---- */

const char *jv_type_name(jv v)
{
    static const char *const names[] = {
        "nothing", "Undefined",   "NoneType", "bool",   "int",       "float",     "str",
        "list",    "tuple",       "dict",     "range",  "dict view", "generator", "Namespace",
        "Macro",   "LoopContext", "function", "method", "Cycler",    "Joiner",
    };
    return names[v.t];
}

bool jv_truth(jx *x, jv v)
{
    int64_t n;
    switch (v.t) {
    case J_UNDEF: jx_defined(x, v); return false;
    case J_MISSING:
    case J_NONE: return false;
    case J_BOOL: return v.b;
    case J_INT: return v.i != 0;
    case J_FLOAT: return v.f != 0;
    case J_STR: return v.s->n > 0;
    case J_LIST:
    case J_TUPLE: return v.l->n > 0;
    case J_DICT: return v.d->n > 0;
    case J_RANGE: return v.r->n > 0;
    case J_VIEW: return v.view->d->n > 0;
    case J_LOOP: return jx_loop_length(x, v.loop, &n) && n > 0;
    default: return true;
    }
}

bool jv_len(jx *x, jv v, int64_t *out, bool *sized)
{
    *sized = true;
    *out = 0;
    switch (v.t) {
    case J_UNDEF: return jx_defined(x, v);
    case J_STR: *out = v.s->chars; return true;
    case J_LIST:
    case J_TUPLE: *out = v.l->n; return true;
    case J_DICT: *out = v.d->n; return true;
    case J_RANGE: *out = v.r->n; return true;
    case J_VIEW: *out = v.view->d->n; return true;
    case J_LOOP: return jx_loop_length(x, v.loop, out);
    default: *sized = false; return true;
    }
}

bool jv_is_int(jv v, int64_t *out)
{
    if (v.t != J_INT && v.t != J_BOOL) return false;
    *out = v.t == J_BOOL ? v.b : v.i;
    return true;
}

bool jv_is_number(jv v, double *out)
{
    int64_t i;
    if (v.t == J_FLOAT)
        *out = v.f;
    else if (jv_is_int(v, &i))
        *out = (double)i;
    else
        return false;
    return true;
}

bool jv_hash(jx *x, jv v, uint64_t *out)
{
    int64_t i;
    switch (v.t) {
    case J_STR: *out = sc_hash_with(x->secret, v.s->p, v.s->n); return jx_step(x, v.s->n / 256);
    case J_BOOL:
    case J_INT:
        jv_is_int(v, &i);
        *out = sc_hash_number(x->secret, (uint64_t)i);
        return true;
    case J_FLOAT: /* 1.0 and 1 are one key */
        if (v.f >= -9.2e18 && v.f <= 9.2e18 && v.f == floor(v.f))
            *out = sc_hash_number(x->secret, (uint64_t)(int64_t)v.f);
        else
            *out = sc_hash_with(x->secret, &v.f, sizeof(v.f));
        return true;
    case J_LIST:
    case J_DICT:
    case J_VIEW: return jx_fail(x, SC_EINVAL, "unhashable type: %s", jv_type_name(v));
    case J_TUPLE:
        *out = 0x345678;
        if (!jx_enter(x) || !jx_step(x, v.l->n)) return false;
        for (int64_t k = 0; k < v.l->n; k++) {
            uint64_t h;
            if (!jv_hash(x, v.l->v[k], &h)) return false;
            *out = sc_hash_number(x->secret, *out * 31 + h);
        }
        x->depth--;
        return true;
    case J_UNDEF:
    case J_NONE: *out = (uint64_t)v.t; return true;
    case J_RANGE: *out = sc_hash_number(x->secret, (uint64_t)v.r->start * 3 + (uint64_t)v.r->n); return true;
    default: *out = sc_hash_number(x->secret, (uint64_t)(uintptr_t)v.p); return true;
    }
}

static bool lists_equal(jx *x, const jlist *a, const jlist *b, bool *out)
{
    *out = a->n == b->n;
    for (int64_t i = 0; *out && i < a->n; i++) {
        if (!jv_equal(x, a->v[i], b->v[i], out)) return false;
    }
    return true;
}

static bool dicts_equal(jx *x, const jdict *a, const jdict *b, bool *out)
{
    *out = a->n == b->n;
    for (int64_t i = 0; *out && i < a->n; i++) {
        jv other = jv_missing();
        if (!jdict_get(x, b, a->e[i].key, &other, out)) return false;
        if (*out && !jv_equal(x, a->e[i].value, other, out)) return false;
    }
    return true;
}

static bool ints_vs_float(int64_t i, double f)
{
    return (double)i == f && f < 9.2233720368547758e18 && (int64_t)f == i;
}

bool jv_equal(jx *x, jv a, jv b, bool *out)
{
    int64_t i, j;
    *out = false;
    if (!jx_step(x, 1) || !jx_defined(x, a) || !jx_defined(x, b)) return false;
    if (jv_is_int(a, &i)) {
        if (jv_is_int(b, &j))
            *out = i == j;
        else if (b.t == J_FLOAT)
            *out = ints_vs_float(i, b.f);
        return true;
    }
    if (a.t == J_FLOAT && jv_is_int(b, &i)) {
        *out = ints_vs_float(i, a.f);
        return true;
    }
    if (a.t != b.t) return true;
    switch (a.t) {
    case J_FLOAT: *out = a.f == b.f; return true;
    case J_STR:
        *out = a.s == b.s || (a.s->n == b.s->n && !memcmp(a.s->p, b.s->p, (size_t)a.s->n));
        return jx_step(x, a.s->n / 256);
    case J_UNDEF:
    case J_MISSING:
    case J_NONE: *out = true; return true;
    case J_RANGE: {
        const jrange *r = a.r, *s = b.r;
        *out = r->n == s->n && (r->n == 0 || (r->start == s->start && (r->n == 1 || r->step == s->step)));
        return true;
    }
    case J_VIEW:
        if (a.view->kind != JVIEW_KEYS || b.view->kind != JVIEW_KEYS || a.view->d == b.view->d) {
            *out = a.view->d == b.view->d && a.view->kind == b.view->kind && a.view->kind != JVIEW_VALUES;
            return true;
        }
        *out = a.view->d->n == b.view->d->n;
        for (int64_t k = 0; *out && k < a.view->d->n; k++) {
            jv other;
            if (!jdict_get(x, b.view->d, a.view->d->e[k].key, &other, out)) return false;
        }
        return true;
    case J_METHOD: *out = a.method->func == b.method->func && a.method->self.p == b.method->self.p; return true;
    case J_LIST:
    case J_TUPLE:
    case J_DICT: break;
    default: *out = a.p == b.p; return true;
    }
    if (a.p == b.p) {
        *out = true;
        return true;
    }
    if (!jx_enter(x)) return false;
    bool ok = a.t == J_DICT ? dicts_equal(x, a.d, b.d, out) : lists_equal(x, a.l, b.l, out);
    x->depth--;
    return ok;
}

/* UTF-8 sorts by bytes as code points do. */
static int str_order(const jstr *a, const jstr *b)
{
    int c = memcmp(a->p, b->p, (size_t)SC_MIN(a->n, b->n));
    return c ? c : a->n < b->n ? -1 : a->n > b->n;
}

static bool by_order(int op, int c)
{
    return op == JOP_LT ? c < 0 : op == JOP_LE ? c <= 0 : op == JOP_GT ? c > 0 : c >= 0;
}

static bool sequences_less(jx *x, const jlist *a, const jlist *b, int op, bool *out)
{
    int64_t n = SC_MIN(a->n, b->n);
    for (int64_t i = 0; i < n; i++) {
        bool same;
        if (!jv_equal(x, a->v[i], b->v[i], &same)) return false;
        if (!same) return jv_less(x, a->v[i], b->v[i], op, out);
    }
    *out = by_order(op, a->n < b->n ? -1 : a->n > b->n);
    return true;
}

bool jv_less(jx *x, jv a, jv b, int op, bool *out)
{
    static const char *const sign[] = {"<", "<=", ">", ">="};
    int64_t i, j;
    double f, g;
    if (!jx_step(x, 1)) return false;
    if (a.t == J_UNDEF) return jx_undefined_error(x, a);
    if (b.t == J_UNDEF) return jx_undefined_error(x, b);
    if (jv_is_int(a, &i) && jv_is_int(b, &j)) {
        *out = by_order(op, i < j ? -1 : i > j);
        return true;
    }
    if (jv_is_number(a, &f) && jv_is_number(b, &g)) {
        *out = op == JOP_LT ? f < g : op == JOP_LE ? f <= g : op == JOP_GT ? f > g : f >= g;
        return true;
    }
    if (a.t == J_STR && b.t == J_STR) {
        *out = by_order(op, str_order(a.s, b.s));
        return jx_step(x, SC_MIN(a.s->n, b.s->n) / 256);
    }
    if (a.t == b.t && (a.t == J_LIST || a.t == J_TUPLE)) {
        if (!jx_enter(x)) return false;
        bool ok = sequences_less(x, a.l, b.l, op, out);
        x->depth--;
        return ok;
    }
    return jx_fail(x, SC_EINVAL, "'%s' not supported between %s and %s", sign[op - JOP_LT], jv_type_name(a),
                   jv_type_name(b));
}

bool jv_compare_op(jx *x, int op, jv a, jv b, bool *out)
{
    bool ok;
    switch (op) {
    case JOP_EQ: return jv_equal(x, a, b, out);
    case JOP_NE:
        ok = jv_equal(x, a, b, out);
        *out = !*out;
        return ok;
    case JOP_IN: return jv_contains(x, b, a, out);
    case JOP_NOTIN:
        ok = jv_contains(x, b, a, out);
        *out = !*out;
        return ok;
    default: return jv_less(x, a, b, op, out);
    }
}
