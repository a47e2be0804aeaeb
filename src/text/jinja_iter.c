/* SPDX-License-Identifier: Apache-2.0 */
/* Iterators: lazy where Python's are, since what a template sees (errors, one use only, no length) depends on it. */
#include "text/jinja.h"

bool jiter_make(jx *x, jnext *next, jv source, jiter **out)
{
    *out = jx_alloc(x, 1, sizeof(**out));
    if (!*out) return false;
    (*out)->next = next;
    (*out)->source = source;
    (*out)->step = 1;
    return true;
}

bool jiter_next(jx *x, jiter *it, jv *out, bool *more)
{
    if (!jx_step(x, 1)) return false;
    *more = false;
    return it->next(x, it, out, more);
}

static bool next_list(jx *x, jiter *it, jv *out, bool *more)
{
    (void)x;
    if (it->pos == it->stop) return true;
    *out = it->source.l->v[it->pos];
    it->pos += it->step;
    *more = true;
    return true;
}

static bool next_range(jx *x, jiter *it, jv *out, bool *more)
{
    (void)x;
    if (it->pos == it->stop) return true;
    *out = jv_int(it->source.r->start + it->pos * it->source.r->step);
    it->pos += it->step;
    *more = true;
    return true;
}

static bool next_char(jx *x, jiter *it, jv *out, bool *more)
{
    uint32_t c;
    const jstr *s = it->source.s;
    if (it->pos >= s->n) return true;
    int n = sc_utf8_decode(s->p + it->pos, s->n - it->pos, &c);
    it->pos += n;
    *more = true;
    return jv_view(x, s->p + it->pos - n, n, false, out);
}

static bool pair(jx *x, jv a, jv b, jv *out)
{
    if (!jv_list(x, J_TUPLE, 2, out)) return false;
    out->l->v[0] = a;
    out->l->v[1] = b;
    return true;
}

static bool next_dict(jx *x, jiter *it, jv *out, bool *more)
{
    const jdict *d = it->source.t == J_VIEW ? it->source.view->d : it->source.d;
    jview_kind kind = it->source.t == J_VIEW ? it->source.view->kind : JVIEW_KEYS;
    if (it->pos == it->stop) return true;
    const jentry *e = &d->e[it->pos];
    it->pos += it->step;
    *more = true;
    if (kind == JVIEW_ITEMS) return pair(x, e->key, e->value, out);
    *out = kind == JVIEW_KEYS ? e->key : e->value;
    return true;
}

static bool next_none(jx *x, jiter *it, jv *out, bool *more)
{
    (void)x, (void)it, (void)out, (void)more;
    return true;
}

bool jiter_able(jv v)
{
    return v.t == J_UNDEF || v.t == J_STR || v.t == J_LIST || v.t == J_TUPLE || v.t == J_DICT || v.t == J_RANGE ||
           v.t == J_VIEW || v.t == J_ITER || v.t == J_LOOP;
}

bool jiter_new(jx *x, jv v, jiter **out)
{
    jnext *next = next_none;
    int64_t stop = 0;
    switch (v.t) {
    case J_ITER: *out = v.it; return true;
    case J_UNDEF:
        if (!jx_defined(x, v)) return false;
        break;
    case J_STR: next = next_char; break;
    case J_LIST:
    case J_TUPLE:
        next = next_list;
        stop = v.l->n;
        break;
    case J_RANGE:
        next = next_range;
        stop = v.r->n;
        break;
    case J_DICT:
    case J_VIEW:
        next = next_dict;
        stop = v.t == J_DICT ? v.d->n : v.view->d->n;
        break;
    default: return jx_fail(x, SC_EINVAL, "%s is not iterable", jv_type_name(v));
    }
    if (!jiter_make(x, next, v, out)) return false;
    (*out)->stop = stop;
    return true;
}

/* reversed(v); *able is false where Python has none for this type. */
bool jiter_reversed(jx *x, jv v, jiter **out, bool *able)
{
    *able = v.t == J_UNDEF || v.t == J_LIST || v.t == J_TUPLE || v.t == J_RANGE || v.t == J_DICT || v.t == J_VIEW;
    if (v.t == J_STR) { /* no filter asks for it in order: |reverse gives a string */
        jv list;
        *able = true;
        return jx_args_list(x, v, &list) && jiter_reversed(x, list, out, able);
    }
    if (!*able) return true;
    if (!jiter_new(x, v, out)) return false;
    (*out)->pos = (*out)->stop - 1;
    (*out)->stop = -1;
    (*out)->step = -1;
    if (v.t == J_UNDEF) (*out)->pos = -1;
    return true;
}

bool jx_args_list(jx *x, jv v, jv *out)
{
    jiter *it;
    if (!jiter_new(x, v, &it) || !jv_list(x, J_LIST, 0, out)) return false;
    for (;;) {
        jv item;
        bool more;
        if (!jiter_next(x, it, &item, &more)) return false;
        if (!more) return true;
        if (!jlist_push(x, out->l, item)) return false;
    }
}
