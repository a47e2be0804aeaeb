/* SPDX-License-Identifier: Apache-2.0 */
/* The filters on sequences and mappings. */
#include "text/jinja.h"

#define FILTER(name) static bool name(jx *x, jv self, jv *a, const jcall *c, jv *out)

static bool given(jv v) { return v.t != J_MISSING && v.t != J_NONE; }
static bool flag(jx *x, jv v) { return v.t != J_MISSING && jv_truth(x, v); }

/* ---- keys: an attribute path of each item, strings in lower case unless case matters ---- */

/* Follows one dotted path; a part of digits is an index. Where `fallback` is given it stands for what is undefined. */
static bool follow(jx *x, jv item, const char *p, int64_t n, jv fallback, jv *out)
{
    *out = item;
    for (int64_t i = 0; i <= n;) {
        int64_t end = i, index;
        bool digits = true, overflow;
        while (end < n && p[end] != '.') digits = digits && p[end] >= '0' && p[end] <= '9', end++;
        jv part;
        if (digits && end > i && jx_parse_int(p + i, end - i, 10, &index, &overflow))
            part = jv_int(index);
        else if (!jv_str(x, p + i, end - i, &part))
            return false;
        if (!jv_getitem(x, *out, part, out)) return false;
        if (out->t == J_UNDEF && given(fallback)) *out = fallback;
        i = end + 1;
    }
    return true;
}

static bool get_attr(jx *x, jv item, jv attribute, jv fallback, jv *out)
{
    if (attribute.t == J_STR) return follow(x, item, attribute.s->p, attribute.s->n, fallback, out);
    *out = item;
    if (!given(attribute)) return true;
    if (!jv_getitem(x, item, attribute, out)) return false;
    if (out->t == J_UNDEF && given(fallback)) *out = fallback;
    return true;
}

static bool fold(jx *x, jv *v, bool case_sensitive)
{
    if (case_sensitive || v->t != J_STR) return true;
    sc_str s = {0};
    juni_case(&s, v->s->p, v->s->n, JCASE_LOWER);
    return jv_take(x, &s, v);
}

/* sort's keys: a list with one value for each path of "a,b.c". */
static bool sort_key(jx *x, jv item, jv attribute, bool case_sensitive, jv *out)
{
    const char *p = attribute.t == J_STR ? attribute.s->p : "";
    int64_t n = attribute.t == J_STR ? attribute.s->n : 0;
    if (!jv_list(x, J_LIST, 0, out)) return false;
    for (int64_t i = 0; i <= n;) {
        int64_t end = i;
        while (end < n && p[end] != ',') end++;
        jv v;
        bool ok = attribute.t == J_STR ? follow(x, item, p + i, end - i, jv_missing(), &v)
                                       : get_attr(x, item, attribute, jv_missing(), &v);
        if (!ok || !fold(x, &v, case_sensitive) || !jlist_push(x, out->l, v)) return false;
        i = end + 1;
    }
    return true;
}

/* Sorts v[0..n) by key[0..n), stable, also when reversed: a merge sort from the bottom. */
static bool sort_by(jx *x, jv *v, jv *key, int64_t n, bool reverse)
{
    jv *tmp = jx_alloc(x, n * 2, sizeof(*tmp)), *tmp_key = tmp + n;
    if (!tmp) return false;
    for (int64_t width = 1; width < n; width *= 2) {
        for (int64_t lo = 0; lo < n; lo += 2 * width) {
            int64_t mid = SC_MIN(lo + width, n), hi = SC_MIN(lo + 2 * width, n), i = lo, j = mid;
            for (int64_t k = lo; k < hi; k++) {
                bool right = i == mid;
                if (!right && j < hi &&
                    !(reverse ? jv_less(x, key[i], key[j], JOP_LT, &right)
                              : jv_less(x, key[j], key[i], JOP_LT, &right)))
                    return false;
                int64_t from = right ? j++ : i++;
                tmp[k] = v[from];
                tmp_key[k] = key[from];
            }
        }
        memcpy(v, tmp, (size_t)n * sizeof(*v));
        memcpy(key, tmp_key, (size_t)n * sizeof(*key));
    }
    return true;
}

FILTER(f_sort)
{
    (void)c;
    if (!jx_args_list(x, self, out)) return false;
    int64_t n = out->l->n;
    jv *key = jx_alloc(x, n, sizeof(*key));
    if (!key) return false;
    for (int64_t i = 0; i < n; i++) {
        if (!sort_key(x, out->l->v[i], a[2], flag(x, a[1]), &key[i])) return false;
    }
    return sort_by(x, out->l->v, key, n, flag(x, a[0]));
}

FILTER(f_dictsort)
{
    const jstr *by = NULL;
    (void)c;
    if (!jx_arg_str(x, a[1], "dictsort's by", &by)) return false;
    bool value = by && by->n == 5 && !memcmp(by->p, "value", 5);
    if (by && !value && !(by->n == 3 && !memcmp(by->p, "key", 3)))
        return jx_fail(x, SC_EINVAL, "dictsort: by must be \"key\" or \"value\"");
    if (self.t == J_UNDEF) return jx_undefined_error(x, self);
    if (self.t != J_DICT) return jx_fail(x, SC_EINVAL, "dictsort: a dict is needed, not %s", jv_type_name(self));
    int64_t n = self.d->n;
    jv *key = jx_alloc(x, n, sizeof(*key));
    if (!key || !jv_list(x, J_LIST, n, out)) return false;
    for (int64_t i = 0; i < n; i++) {
        const jentry *e = &self.d->e[i];
        jv *pair = &out->l->v[i];
        if (!jv_list(x, J_TUPLE, 2, pair)) return false;
        pair->l->v[0] = e->key;
        pair->l->v[1] = e->value;
        key[i] = value ? e->value : e->key;
        if (!fold(x, &key[i], flag(x, a[0]))) return false;
    }
    return sort_by(x, out->l->v, key, n, flag(x, a[2]));
}

FILTER(f_groupby)
{
    jv items;
    (void)c;
    if (!jx_args_list(x, self, &items) || !jv_list(x, J_LIST, 0, out)) return false;
    int64_t n = items.l->n;
    jv *key = jx_alloc(x, n, sizeof(*key));
    if (!key) return false;
    for (int64_t i = 0; i < n; i++) {
        if (!get_attr(x, items.l->v[i], a[0], a[1], &key[i]) || !fold(x, &key[i], flag(x, a[2]))) return false;
    }
    if (!sort_by(x, items.l->v, key, n, false)) return false;
    for (int64_t i = 0; i < n;) {
        jv pair, group;
        bool same = true;
        int64_t from = i;
        if (!jv_list(x, J_TUPLE, 2, &pair) || !jv_list(x, J_LIST, 0, &group)) return false;
        for (; i < n && same; i += same) {
            if (!jv_equal(x, key[from], key[i], &same) || (same && !jlist_push(x, group.l, items.l->v[i])))
                return false;
        }
        pair.l->group = true;
        pair.l->v[1] = group;
        if (!get_attr(x, items.l->v[from], a[0], a[1], &pair.l->v[0]) || !jlist_push(x, out->l, pair)) return false;
    }
    return true;
}

static bool extreme(jx *x, jv self, jv *a, int op, jv *out)
{
    jiter *it;
    jv item, key, best;
    bool more, better = true;
    if (!jiter_new(x, self, &it)) return false;
    for (bool first = true;; first = false) {
        if (!jiter_next(x, it, &item, &more)) return false;
        if (!more) return !first || jv_undef(x, out, "No aggregated item, sequence was empty.");
        if (!get_attr(x, item, a[1], jv_missing(), &key) || !fold(x, &key, flag(x, a[0]))) return false;
        if (!first && !jv_less(x, key, best, op, &better)) return false;
        if (!better) continue;
        best = key;
        *out = item;
    }
}

FILTER(f_min) { return (void)c, extreme(x, self, a, JOP_LT, out); }
FILTER(f_max) { return (void)c, extreme(x, self, a, JOP_GT, out); }

FILTER(f_sum)
{
    jiter *it;
    jv item;
    bool more;
    (void)c;
    *out = a[1].t == J_MISSING ? jv_int(0) : a[1];
    if (out->t == J_STR) return jx_fail(x, SC_EINVAL, "sum: strings cannot be summed");
    if (!jiter_new(x, self, &it)) return false;
    for (;;) {
        if (!jiter_next(x, it, &item, &more)) return false;
        if (!more) return true;
        if (given(a[0]) && !get_attr(x, item, a[0], jv_missing(), &item)) return false;
        if (!jv_binary(x, JOP_ADD, *out, item, out)) return false;
    }
}

/* ---- ends, order, shape ---- */

FILTER(f_first)
{
    jiter *it;
    bool more;
    (void)a, (void)c;
    if (!jiter_new(x, self, &it) || !jiter_next(x, it, out, &more)) return false;
    return more || jv_undef(x, out, "No first item, sequence was empty.");
}

FILTER(f_last)
{
    jiter *it;
    bool more, able;
    (void)a, (void)c;
    if (!jiter_reversed(x, self, &it, &able)) return false;
    if (!able) return jx_fail(x, SC_EINVAL, "last: %s is not reversible", jv_type_name(self));
    if (!jiter_next(x, it, out, &more)) return false;
    return more || jv_undef(x, out, "No last item, sequence was empty.");
}

FILTER(f_reverse)
{
    jiter *it;
    bool able;
    (void)a, (void)c;
    if (self.t == J_STR) return jv_slice(x, self, jv_none(), jv_none(), jv_int(-1), out);
    if (!jiter_reversed(x, self, &it, &able)) return false;
    if (able) return *out = (jv){.t = J_ITER, .it = it}, true;
    if (!jx_args_list(x, self, out)) return false;
    return jv_slice(x, *out, jv_none(), jv_none(), jv_int(-1), out);
}

FILTER(f_list) { return (void)a, (void)c, jx_args_list(x, self, out); }

static bool as_iterator(jx *x, jv list, jv *out)
{
    jiter *it;
    if (!jiter_new(x, list, &it)) return false;
    *out = (jv){.t = J_ITER, .it = it};
    return true;
}

FILTER(f_batch)
{
    int64_t size = 0;
    jv items, rows, row;
    (void)c;
    if (!jx_arg_int(x, a[0], "batch's size", &size) || !jx_args_list(x, self, &items)) return false;
    if (!jv_list(x, J_LIST, 0, &rows) || !jv_list(x, J_LIST, 0, &row)) return false;
    for (int64_t i = 0; i < items.l->n; i++) {
        if (row.l->n == size && (!jlist_push(x, rows.l, row) || !jv_list(x, J_LIST, 0, &row))) return false;
        if (!jlist_push(x, row.l, items.l->v[i])) return false;
    }
    if (row.l->n && !jlist_push(x, rows.l, row)) return false;
    while (row.l->n && given(a[1]) && row.l->n < size) {
        if (!jx_step(x, 1) || !jlist_push(x, row.l, a[1])) return false;
    }
    return as_iterator(x, rows, out);
}

FILTER(f_slice)
{
    int64_t slices = 0, at = 0;
    jv items, rows;
    (void)c;
    if (!jx_arg_int(x, a[0], "slice's count", &slices) || !jx_args_list(x, self, &items) ||
        !jv_list(x, J_LIST, 0, &rows))
        return false;
    if (slices == 0) return jx_fail(x, SC_EINVAL, "division by zero");
    for (int64_t i = 0; i < slices; i++) {
        int64_t n = items.l->n / slices + (i < items.l->n % slices);
        jv row;
        if (!jx_step(x, 1) || !jv_slice(x, items, jv_int(at), jv_int(at + n), jv_none(), &row)) return false;
        if (given(a[1]) && i >= items.l->n % slices && !jlist_push(x, row.l, a[1])) return false;
        if (!jlist_push(x, rows.l, row)) return false;
        at += n;
    }
    return as_iterator(x, rows, out);
}

static bool next_unique(jx *x, jiter *it, jv *out, bool *more)
{
    for (;;) {
        jv key, v;
        bool seen;
        if (!jiter_next(x, it->in, out, more)) return false;
        if (!*more) return true;
        if (!get_attr(x, *out, it->attr, jv_missing(), &key) || !fold(x, &key, it->negate)) return false;
        if (!jdict_get(x, it->seen, key, &v, &seen)) return false;
        if (!seen) return jdict_set(x, it->seen, key, jv_none());
    }
}

FILTER(f_unique)
{
    jiter *it, *in;
    (void)c;
    if (!jiter_new(x, self, &in) || !jiter_make(x, next_unique, self, &it) || !jdict_new(x, &it->seen))
        return false;
    it->in = in;
    it->attr = a[1];
    it->negate = flag(x, a[0]);
    *out = (jv){.t = J_ITER, .it = it};
    return true;
}

FILTER(f_join)
{
    jv sep, items = self;
    (void)c;
    if (a[0].t == J_MISSING ? !jv_cstr(x, "", &sep) : !jv_to_str(x, a[0], &sep)) return false;
    if (given(a[1])) {
        jiter *it;
        jv item;
        bool more;
        if (!jiter_new(x, self, &it) || !jv_list(x, J_LIST, 0, &items)) return false;
        for (;;) {
            if (!jiter_next(x, it, &item, &more)) return false;
            if (!more) break;
            if (!get_attr(x, item, a[1], jv_missing(), &item) || !jlist_push(x, items.l, item)) return false;
        }
    }
    return jstr_join(x, sep.s, items, true, out);
}

static bool next_items(jx *x, jiter *it, jv *out, bool *more)
{
    if (!it->in) {
        jview *view = jx_alloc(x, 1, sizeof(*view));
        if (it->source.t == J_UNDEF) return true;
        if (it->source.t != J_DICT) return jx_fail(x, SC_EINVAL, "Can only get item pairs from a mapping.");
        if (!view) return false;
        *view = (jview){.kind = JVIEW_ITEMS, .d = it->source.d};
        if (!jiter_new(x, (jv){.t = J_VIEW, .view = view}, &it->in)) return false;
    }
    return jiter_next(x, it->in, out, more);
}

FILTER(f_items)
{
    jiter *it;
    (void)a, (void)c;
    if (!jiter_make(x, next_items, self, &it)) return false;
    *out = (jv){.t = J_ITER, .it = it};
    return true;
}

/* ---- map, select, reject: generators, so mistakes in their arguments show at the first item ---- */

static bool next_map(jx *x, jiter *it, jv *out, bool *more)
{
    jv item;
    if (!it->started) {
        const jdict *kw = it->call.kw;
        jv *attribute = kw && !it->call.npos ? jdict_find(kw, "attribute", 9) : NULL;
        it->started = true;
        if (!jv_truth(x, it->source)) return true;
        if (!jiter_new(x, it->source, &it->in)) return false;
        if (attribute) {
            jv *fallback = jdict_find(kw, "default", 7);
            if (kw->n > 1 + (fallback != NULL)) return jx_fail(x, SC_EINVAL, "map: unexpected keyword argument");
            it->attr = *attribute;
            it->fill = fallback ? *fallback : jv_missing();
            it->by_attr = true;
        } else if (!it->call.npos) {
            return jx_fail(x, SC_EINVAL, "map requires a filter argument");
        }
    }
    if (!it->in) return true;
    if (!jiter_next(x, it->in, &item, more) || !*more) return !*more && !x->status;
    if (it->by_attr) return get_attr(x, item, it->attr, it->fill, out);
    jcall rest = {.pos = it->call.pos + 1, .npos = it->call.npos - 1, .kw = it->call.kw};
    return jx_call_filter(x, it->call.pos[0], item, &rest, out);
}

static bool next_select(jx *x, jiter *it, jv *out, bool *more)
{
    int64_t off = it->by_attr;
    if (!it->started) {
        it->started = true;
        if (!jv_truth(x, it->source)) return true;
        if (!jiter_new(x, it->source, &it->in)) return false;
        if (it->by_attr && !it->call.npos) return jx_fail(x, SC_EINVAL, "missing parameter for attribute name");
    }
    while (it->in) {
        jv v;
        bool yes;
        if (!jiter_next(x, it->in, out, more)) return false;
        if (!*more) return true;
        v = *out;
        if (it->by_attr && !get_attr(x, *out, it->call.pos[0], jv_missing(), &v)) return false;
        if (it->call.npos > off) {
            jcall rest = {.pos = it->call.pos + off + 1, .npos = it->call.npos - off - 1, .kw = it->call.kw};
            if (!jx_call_test(x, it->call.pos[off], v, &rest, &yes)) return false;
        } else {
            yes = jv_truth(x, v);
        }
        if (yes != it->negate) return true;
    }
    return true;
}

static bool generator(jx *x, jnext *next, jv self, const jcall *c, bool by_attr, bool negate, jv *out)
{
    jiter *it;
    if (!jiter_make(x, next, self, &it)) return false;
    it->call = *c;
    it->by_attr = by_attr;
    it->negate = negate;
    *out = (jv){.t = J_ITER, .it = it};
    return true;
}

FILTER(f_map) { return (void)a, generator(x, next_map, self, c, false, false, out); }
FILTER(f_select) { return (void)a, generator(x, next_select, self, c, false, false, out); }
FILTER(f_reject) { return (void)a, generator(x, next_select, self, c, false, true, out); }
FILTER(f_selectattr) { return (void)a, generator(x, next_select, self, c, true, false, out); }
FILTER(f_rejectattr) { return (void)a, generator(x, next_select, self, c, true, true, out); }

const jfunc *jinja_filter_seq(const char *name, int64_t n)
{
    static const jfunc table[] = {
        {"join", f_join, "d attribute", 0},
        {"list", f_list, "", 0},
        {"items", f_items, "", 0},
        {"map", f_map, NULL, 0},
        {"selectattr", f_selectattr, NULL, 0},
        {"rejectattr", f_rejectattr, NULL, 0},
        {"select", f_select, NULL, 0},
        {"reject", f_reject, NULL, 0},
        {"first", f_first, "", 0},
        {"last", f_last, "", 0},
        {"reverse", f_reverse, "", 0},
        {"sort", f_sort, "reverse case_sensitive attribute", 0},
        {"dictsort", f_dictsort, "case_sensitive by reverse", 0},
        {"groupby", f_groupby, "attribute default case_sensitive", 1},
        {"unique", f_unique, "case_sensitive attribute", 0},
        {"min", f_min, "case_sensitive attribute", 0},
        {"max", f_max, "case_sensitive attribute", 0},
        {"sum", f_sum, "attribute start", 0},
        {"batch", f_batch, "linecount fill_with", 1},
        {"slice", f_slice, "slices fill_with", 1},
    };
    for (int i = 0; i < SC_COUNT(table); i++) {
        if ((int64_t)strlen(table[i].name) == n && !memcmp(table[i].name, name, (size_t)n)) return &table[i];
    }
    return NULL;
}
