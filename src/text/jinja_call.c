/* SPDX-License-Identifier: Apache-2.0 */
/* Calls: macros, functions, methods; the global functions; the loop object. */
#include "text/jinja.h"

#include <stdio.h>
#include <time.h>

#define MAX_RANGE 100000 /* the sandbox's own limit */

/* ---- arguments ---- */

/* Puts a call's arguments where the parameter list says. */
static bool bind_params(jx *x, const jfunc *f, const jcall *c, jv a[JFUNC_MAX_PARAMS])
{
    const char *p = f->params;
    bool positional = *p == '/';
    int64_t count = 0, used = 0;
    if (positional) p++;
    while (*p) {
        size_t n = strcspn(p, " ");
        jv *kw = c->kw && !positional ? jdict_find(c->kw, p, (int64_t)n) : NULL;
        if (count < c->npos) {
            if (kw) return jx_fail(x, SC_EINVAL, "%s() got two values for '%.*s'", f->name, (int)n, p);
            a[count] = c->pos[count];
        } else if (kw) {
            a[count] = *kw;
            used++;
        } else if (count < f->need) {
            return jx_fail(x, SC_EINVAL, "%s() needs the argument '%.*s'", f->name, (int)n, p);
        }
        count++;
        p += n;
        while (*p == ' ') p++;
    }
    if (c->npos > count)
        return jx_fail(x, SC_EINVAL, "%s() takes at most %d arguments, %lld given", f->name, (int)count,
                       (long long)c->npos);
    if (c->kw && c->kw->n > used) return jx_fail(x, SC_EINVAL, "%s() got an unexpected keyword argument", f->name);
    return true;
}

bool jx_call_func(jx *x, const jfunc *f, jv self, const jcall *c, jv *out)
{
    jv a[JFUNC_MAX_PARAMS] = {{0}};
    if (!f->params) return f->fun(x, self, a, c, out);
    return bind_params(x, f, c, a) && f->fun(x, self, a, c, out);
}

bool jx_arg_int(jx *x, jv v, const char *what, int64_t *out)
{
    if (v.t == J_MISSING) return true;
    if (v.t == J_UNDEF) return jx_undefined_error(x, v);
    return jv_is_int(v, out) || jx_fail(x, SC_EINVAL, "%s must be an integer, not %s", what, jv_type_name(v));
}

bool jx_arg_str(jx *x, jv v, const char *what, const jstr **out)
{
    if (v.t == J_MISSING) return true;
    if (v.t != J_STR) return jx_fail(x, SC_EINVAL, "%s must be a string, not %s", what, jv_type_name(v));
    *out = v.s;
    return true;
}

static bool named_call(jx *x, jv name, jv value, const jcall *c, bool filter, jv *out)
{
    const char *kind = filter ? "filter" : "test";
    if (name.t != J_STR)
        return jx_fail(x, SC_EINVAL, "the name of a %s must be a string, not %s", kind, jv_type_name(name));
    const jfunc *f = filter ? jinja_filter(x->t, name.s->p, name.s->n) : jinja_test(name.s->p, name.s->n);
    if (!f) return jx_fail(x, SC_EINVAL, "there is no %s named %.60s", kind, name.s->p);
    return jx_call_func(x, f, value, c, out);
}

bool jx_call_filter(jx *x, jv name, jv value, const jcall *c, jv *out)
{
    return named_call(x, name, value, c, true, out);
}

bool jx_call_test(jx *x, jv name, jv value, const jcall *c, bool *out)
{
    jv v;
    if (!named_call(x, name, value, c, false, &v)) return false;
    *out = jv_truth(x, v);
    return true;
}

/* ---- macros ---- */

static bool same_text(const jstr *s, const char *p, int64_t n) { return s->n == n && !memcmp(s->p, p, (size_t)n); }

static bool macro_args(jx *x, const jnode *n, const jcall *c, jact *act)
{
    const char *name = n->name ? n->name->p : "caller";
    int64_t used = 0;
    for (int i = 0; i < n->nkid; i++) {
        const jstr *param = n->kid[i]->name;
        jv *slot = &act->slot[n->kid[i]->ref.slot];
        jv *kw = c->kw ? jdict_find(c->kw, param->p, param->n) : NULL;
        if (i < c->npos) {
            *slot = c->pos[i];
        } else if (kw) {
            *slot = *kw;
            used++;
        }
    }
    jv *caller = c->kw ? jdict_find(c->kw, "caller", 6) : NULL;
    if (n->slot_caller >= 0) {
        jv *slot = &act->slot[n->slot_caller];
        if (caller) *slot = *caller;
        if (caller)
            used++;
        else if (!jv_undef(x, slot, "No caller defined"))
            return false;
    }
    if (n->slot_kwargs >= 0) {
        jdict *rest;
        if (!jdict_new(x, &rest)) return false;
        for (int64_t k = 0; c->kw && k < c->kw->n; k++) {
            jv key = c->kw->e[k].key;
            bool taken = n->slot_caller >= 0 && same_text(key.s, "caller", 6);
            for (int i = 0; i < n->nkid && !taken; i++)
                taken = i >= c->npos && same_text(key.s, n->kid[i]->name->p, n->kid[i]->name->n);
            if (!taken && !jdict_set(x, rest, key, c->kw->e[k].value)) return false;
        }
        act->slot[n->slot_kwargs] = (jv){.t = J_DICT, .d = rest};
    } else if (c->kw && c->kw->n > used) {
        return jx_fail(x, SC_EINVAL, "macro '%s' was given a keyword argument that it does not take", name);
    }
    if (n->slot_varargs >= 0) {
        jv rest;
        int64_t extra = SC_MAX(c->npos - n->nkid, 0);
        if (!jv_list(x, J_TUPLE, extra, &rest)) return false;
        for (int64_t i = 0; i < extra; i++) rest.l->v[i] = c->pos[n->nkid + i];
        act->slot[n->slot_varargs] = rest;
    } else if (c->npos > n->nkid) {
        return jx_fail(x, SC_EINVAL, "macro '%s' takes not more than %d arguments", name, n->nkid);
    }
    return true;
}

static bool call_macro(jx *x, const jmacro *m, const jcall *c, jv *out)
{
    const jnode *n = m->node;
    jact *act = jx_act(x, n->fn, m->up);
    if (!act || !macro_args(x, n, c, act)) return false;
    jx_enter_frame(x, &n->frame, act);
    for (int i = 0; i < n->nkid; i++) {
        jv *slot = &act->slot[n->kid[i]->ref.slot];
        int k = i - (n->nkid - n->nkid2);
        if (slot->t != J_MISSING) continue;
        if (k >= 0 ? !jx_eval(x, n->kid2[k], act, slot)
                   : !jv_undef(x, slot, "parameter '%s' was not provided", n->kid[i]->name->p)) {
            return false;
        }
    }
    return jx_capture(x, n->d, act, out);
}

bool jx_call(jx *x, jv f, const jcall *c, jv *out)
{
    bool ok;
    if (!jx_step(x, 1) || !jx_enter(x)) return false;
    switch (f.t) {
    case J_MACRO: ok = call_macro(x, f.macro, c, out); break;
    case J_FUNC: ok = jx_call_func(x, f.func, f, c, out); break;
    case J_METHOD: ok = jx_call_func(x, f.method->func, f.method->self, c, out); break;
    case J_JOINER:
        if (c->npos || (c->kw && c->kw->n)) return jx_fail(x, SC_EINVAL, "a joiner takes no arguments");
        ok = f.joiner->used || jv_cstr(x, "", out);
        if (f.joiner->used) *out = f.joiner->sep;
        f.joiner->used = true;
        break;
    case J_LOOP:
        if (c->npos != 1 || (c->kw && c->kw->n)) return jx_fail(x, SC_EINVAL, "loop() takes one argument");
        if (!f.loop->recurse)
            return jx_fail(x, SC_EINVAL, "the loop must have the 'recursive' marker to be called recursively");
        ok = jx_loop_call(x, f.loop->recurse, f.loop->act, c->pos[0], f.loop->depth0 + 1, out);
        break;
    case J_UNDEF: return jx_undefined_error(x, f);
    default: return jx_fail(x, SC_EINVAL, "%s is not callable", jv_type_name(f));
    }
    x->depth--;
    return ok;
}

/* ---- global functions ---- */

static bool fn_range(jx *x, jv self, jv *a, const jcall *c, jv *out)
{
    int64_t v[3] = {0, 0, 1};
    (void)self;
    for (int i = 0; i < 3; i++) {
        if (!jx_arg_int(x, a[i], "range()'s argument", &v[i])) return false;
    }
    if (c->npos == 1) {
        v[1] = v[0];
        v[0] = 0;
    }
    if (v[2] == 0) return jx_fail(x, SC_EINVAL, "range() step must not be zero");
    uint64_t span = v[2] > 0 ? (uint64_t)v[1] - (uint64_t)v[0] : (uint64_t)v[0] - (uint64_t)v[1];
    uint64_t step = v[2] > 0 ? (uint64_t)v[2] : (uint64_t)0 - (uint64_t)v[2];
    bool empty = v[2] > 0 ? v[0] >= v[1] : v[0] <= v[1];
    uint64_t n = empty ? 0 : (span - 1) / step + 1;
    if (n > MAX_RANGE) return jx_fail(x, SC_ELIMIT, "range() of more than %d elements", MAX_RANGE);
    jrange *r = jx_alloc(x, 1, sizeof(*r));
    if (!r) return false;
    *r = (jrange){.start = v[0], .stop = v[1], .step = v[2], .n = (int64_t)n};
    *out = (jv){.t = J_RANGE, .r = r};
    return true;
}

/* dict(mapping or pairs, **more) */
static bool make_dict(jx *x, const jcall *c, jdict **out)
{
    if (!jdict_new(x, out)) return false;
    if (c->npos > 1) return jx_fail(x, SC_EINVAL, "dict() takes at most one positional argument");
    if (c->npos && (c->pos[0].t == J_DICT)) {
        const jdict *d = c->pos[0].d;
        for (int64_t i = 0; i < d->n; i++) {
            if (!jx_step(x, 1) || !jdict_set(x, *out, d->e[i].key, d->e[i].value)) return false;
        }
    } else if (c->npos) {
        jiter *it;
        jv item, pair;
        bool more;
        if (!jiter_new(x, c->pos[0], &it)) return false;
        for (;;) {
            if (!jiter_next(x, it, &item, &more)) return false;
            if (!more) break;
            if (!jx_args_list(x, item, &pair)) return false;
            if (pair.l->n != 2)
                return jx_fail(x, SC_EINVAL, "dict() needs pairs, an element has length %lld",
                               (long long)pair.l->n);
            if (!jdict_set(x, *out, pair.l->v[0], pair.l->v[1])) return false;
        }
    }
    for (int64_t i = 0; c->kw && i < c->kw->n; i++) {
        if (!jdict_set(x, *out, c->kw->e[i].key, c->kw->e[i].value)) return false;
    }
    return true;
}

static bool fn_dict(jx *x, jv self, jv *a, const jcall *c, jv *out)
{
    jdict *d;
    (void)self, (void)a;
    if (!make_dict(x, c, &d)) return false;
    *out = (jv){.t = J_DICT, .d = d};
    return true;
}

static bool fn_namespace(jx *x, jv self, jv *a, const jcall *c, jv *out)
{
    jdict *d;
    (void)self, (void)a;
    if (!make_dict(x, c, &d)) return false;
    for (int64_t i = 0; i < d->n; i++) {
        jv k = d->e[i].key;
        if (k.t == J_STR && k.s->n && k.s->p[0] == '_')
            return jx_fail(x, SC_EINVAL, "a namespace cannot store the underscore-prefixed attribute '%.60s'",
                           k.s->p);
    }
    *out = (jv){.t = J_NS, .d = d};
    return true;
}

static bool fn_cycler(jx *x, jv self, jv *a, const jcall *c, jv *out)
{
    jv items;
    (void)self, (void)a;
    if (!c->npos || (c->kw && c->kw->n)) return jx_fail(x, SC_EINVAL, "cycler() needs at least one item");
    jcycler *y = jx_alloc(x, 1, sizeof(*y));
    if (!y || !jv_list(x, J_TUPLE, c->npos, &items)) return false;
    memcpy(items.l->v, c->pos, (size_t)c->npos * sizeof(jv));
    y->items = items.l;
    *out = (jv){.t = J_CYCLER, .cycler = y};
    return true;
}

static bool fn_joiner(jx *x, jv self, jv *a, const jcall *c, jv *out)
{
    (void)self, (void)c;
    jjoiner *j = jx_alloc(x, 1, sizeof(*j));
    if (!j) return false;
    j->sep = a[0];
    if (a[0].t == J_MISSING && !jv_cstr(x, ", ", &j->sep)) return false;
    *out = (jv){.t = J_JOINER, .joiner = j};
    return true;
}

static bool fn_raise(jx *x, jv self, jv *a, const jcall *c, jv *out)
{
    jv text;
    (void)self, (void)c, (void)out;
    if (!jv_to_str(x, a[0], &text)) return false;
    return jx_fail(x, SC_EINVAL, "the template raised: %.*s", (int)SC_MIN(text.s->n, 300), text.s->p);
}

static bool fn_lipsum(jx *x, jv self, jv *a, const jcall *c, jv *out)
{
    (void)self, (void)a, (void)c, (void)out;
    return jx_fail(x, SC_EUNSUPPORTED, "lipsum() writes random text, which a prompt cannot mean");
}

/* One % directive at p (after the sign); the bytes it takes. Without a time zone Python writes nothing for %z, %Z. */
static int64_t time_directive(sc_str *s, const char *p, int64_t n, const struct tm *t)
{
    char fmt[16], buf[256];
    int64_t k = 0;
    while (k < n && k < 8 && strchr("-_0^#123456789EO", p[k]) && p[k]) k++;
    if (k >= n || !p[k] || (p[k] & 0x80)) {
        sc_str_putc(s, '%');
        return 0;
    }
    if (p[k] == 'f') {
        sc_str_puts(s, "000000");
    } else if (p[k] != 'z' && p[k] != 'Z') {
        snprintf(fmt, sizeof(fmt), "%%%.*s", (int)k + 1, p);
        size_t got = strftime(buf, sizeof(buf), fmt, t);
        sc_str_append(s, buf, (int64_t)got);
    }
    return k + 1;
}

static bool fn_strftime(jx *x, jv self, jv *a, const jcall *c, jv *out)
{
    const jstr *f = NULL;
    struct tm t = {0};
    time_t now = time(NULL);
    (void)self, (void)c;
    if (!jx_arg_str(x, a[0], "strftime_now()'s format", &f)) return false;
    if (x->has_now) {
        t.tm_year = (int)x->now[0] - 1900;
        t.tm_mon = (int)x->now[1] - 1;
        t.tm_mday = (int)x->now[2];
        t.tm_hour = (int)x->now[3];
        t.tm_min = (int)x->now[4];
        t.tm_sec = (int)x->now[5];
        now = timegm(&t);
        gmtime_r(&now, &t);
    } else {
        localtime_r(&now, &t);
    }
    sc_str s = {0};
    for (int64_t i = 0; i < f->n; i++) {
        if (f->p[i] != '%')
            sc_str_putc(&s, f->p[i]);
        else
            i += time_directive(&s, f->p + i + 1, f->n - i - 1, &t);
    }
    return jv_take(x, &s, out);
}

const jfunc *jinja_global(const char *name, int64_t n)
{
    static const jfunc table[] = {
        {"range", fn_range, "/start stop step", 1},
        {"dict", fn_dict, NULL, 0},
        {"namespace", fn_namespace, NULL, 0},
        {"cycler", fn_cycler, NULL, 0},
        {"joiner", fn_joiner, "sep", 0},
        {"raise_exception", fn_raise, "message", 1},
        {"strftime_now", fn_strftime, "format", 1},
        {"lipsum", fn_lipsum, NULL, 0},
    };
    for (int i = 0; i < SC_COUNT(table); i++) {
        if ((int64_t)strlen(table[i].name) == n && !memcmp(table[i].name, name, (size_t)n)) return &table[i];
    }
    return NULL;
}

jv jx_lookup(jx *x, const jstr *name)
{
    jv *hit = x->exported ? jdict_find(x->exported, name->p, name->n) : NULL;
    if (!hit) hit = jdict_find(x->vars, name->p, name->n);
    if (hit) return *hit;
    const jfunc *f = jinja_global(name->p, name->n);
    return f ? (jv){.t = J_FUNC, .func = f} : jv_missing();
}

/* ---- the loop object ---- */

bool jx_loop_length(jx *x, jloop *l, int64_t *out)
{
    bool sized;
    if (l->length < 0) {
        if (!jv_len(x, l->iterable, &l->length, &sized)) return false;
        if (!sized) { /* a generator: what is left of it becomes a list */
            jv rest;
            if (!jx_args_list(x, (jv){.t = J_ITER, .it = l->it}, &rest) || !jiter_new(x, rest, &l->it))
                return false;
            l->length = rest.l->n + l->index0 + 1 + (l->after.t != J_MISSING);
        }
    }
    *out = l->length;
    return true;
}

static bool peek(jx *x, jloop *l, bool *more)
{
    *more = true;
    if (l->after.t != J_MISSING) return true;
    if (!jiter_next(x, l->it, &l->after, more)) return false;
    if (!*more) l->after = jv_missing();
    return true;
}

static bool loop_cycle(jx *x, jv self, jv *a, const jcall *c, jv *out)
{
    (void)a;
    if (!c->npos) return jx_fail(x, SC_EINVAL, "no items for cycling given");
    *out = c->pos[self.loop->index0 % c->npos];
    return true;
}

static bool loop_changed(jx *x, jv self, jv *a, const jcall *c, jv *out)
{
    jv now;
    bool same = false;
    (void)a;
    if (!jv_list(x, J_TUPLE, c->npos, &now)) return false;
    if (c->npos) memcpy(now.l->v, c->pos, (size_t)c->npos * sizeof(jv));
    if (self.loop->changed.t != J_MISSING && !jv_equal(x, self.loop->changed, now, &same)) return false;
    if (!same) self.loop->changed = now;
    *out = jv_bool(!same);
    return true;
}

bool jx_loop_attr(jx *x, jloop *l, const jstr *name, jv *out, bool *found)
{
    static const jfunc methods[] = {{"cycle", loop_cycle, NULL, 0}, {"changed", loop_changed, NULL, 0}};
    const char *s = name->p;
    int64_t n;
    bool more;
    *found = true;
    if (!strcmp(s, "index")) return *out = jv_int(l->index0 + 1), true;
    if (!strcmp(s, "index0")) return *out = jv_int(l->index0), true;
    if (!strcmp(s, "first")) return *out = jv_bool(l->index0 == 0), true;
    if (!strcmp(s, "depth")) return *out = jv_int(l->depth0 + 1), true;
    if (!strcmp(s, "depth0")) return *out = jv_int(l->depth0), true;
    if (!strcmp(s, "last") || !strcmp(s, "nextitem")) {
        if (!peek(x, l, &more)) return false;
        if (s[0] == 'l') return *out = jv_bool(!more), true;
        if (!more) return jv_undef(x, out, "there is no next item");
        return *out = l->after, true;
    }
    if (!strcmp(s, "previtem")) {
        if (l->index0 == 0) return jv_undef(x, out, "there is no previous item");
        return *out = l->before, true;
    }
    if (!strcmp(s, "length") || !strcmp(s, "revindex") || !strcmp(s, "revindex0")) {
        if (!jx_loop_length(x, l, &n)) return false;
        return *out = jv_int(s[0] == 'l' ? n : s[8] ? n - l->index0 - 1 : n - l->index0), true;
    }
    for (int i = 0; i < SC_COUNT(methods); i++) {
        if (strcmp(s, methods[i].name)) continue;
        jmethod *m = jx_alloc(x, 1, sizeof(*m));
        if (!m) return false;
        m->self = (jv){.t = J_LOOP, .loop = l};
        m->func = &methods[i];
        return *out = (jv){.t = J_METHOD, .method = m}, true;
    }
    *found = false;
    return true;
}
