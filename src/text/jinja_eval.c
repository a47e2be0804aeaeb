/* SPDX-License-Identifier: Apache-2.0 */
/* Walks the nodes: expressions give values, statements write to x->out. */
#include "text/jinja.h"

typedef enum flow { FLOW_OK, FLOW_BREAK, FLOW_CONTINUE, FLOW_FAIL } flow;

static flow run(jx *x, const jnode *n, jact *act);

/* ---- variables ---- */

static jv *slot_of(jact *act, jref r)
{
    for (int i = 0; i < r.hops; i++) act = act->up;
    return &act->slot[r.slot];
}

jact *jx_act(jx *x, const jfn *fn, jact *up)
{
    jact *a = jx_alloc(x, 1, sizeof(*a));
    if (!a) return NULL;
    a->slot = jx_alloc(x, fn->slots, sizeof(*a->slot)); /* zeroed: J_MISSING */
    a->up = up;
    return a->slot ? a : NULL;
}

void jx_enter_frame(jx *x, const jframe *f, jact *act)
{
    for (int i = 0; i < f->n; i++) {
        const jenter *e = &f->enter[i];
        if (e->how == JLOAD_ALIAS)
            act->slot[e->slot] = *slot_of(act, e->from);
        else if (e->how == JLOAD_RESOLVE)
            act->slot[e->slot] = jx_lookup(x, e->name);
        else if (e->how == JLOAD_UNDEFINED)
            act->slot[e->slot] = jv_missing();
    }
}

static void leave_frame(const jframe *f, jact *act)
{
    for (int i = 0; i < f->n; i++) act->slot[f->enter[i].slot] = jv_missing();
}

static bool assign_attr(jx *x, const jnode *target, jact *act, jv value)
{
    jv ns = target->ref.hops < 0 ? jx_lookup(x, target->name) : *slot_of(act, target->ref);
    const jstr *name = target->value.s;
    x->at = target;
    if (ns.t != J_NS) return jx_fail(x, SC_EINVAL, "cannot assign attribute on non-namespace object");
    if (name->p[0] == '_')
        return jx_fail(x, SC_EINVAL, "a namespace cannot store the underscore-prefixed attribute '%s'", name->p);
    return jdict_set(x, ns.d, target->value, value);
}

bool jx_assign(jx *x, const jnode *target, jact *act, jv value)
{
    if (target->kind == JN_NAME) {
        *slot_of(act, target->ref) = value;
        if (!x->exported || act != x->root) return true;
        return jdict_set(x, x->exported, jv_s(target->name), value);
    }
    if (target->kind == JN_NSREF) return assign_attr(x, target, act, value);
    jiter *it;
    jv item;
    bool more;
    x->at = target;
    if (!jiter_new(x, value, &it)) return false;
    for (int i = 0; i < target->nkid; i++) {
        if (!jiter_next(x, it, &item, &more)) return false;
        if (!more)
            return jx_fail(x, SC_EINVAL, "not enough values to unpack (expected %d, got %d)", target->nkid, i);
        if (!jx_assign(x, target->kid[i], act, item)) return false;
    }
    if (!jiter_next(x, it, &item, &more)) return false;
    return !more || jx_fail(x, SC_EINVAL, "too many values to unpack (expected %d)", target->nkid);
}

/* ---- expressions ---- */

static bool eval_args(jx *x, const jnargs *a, jact *act, jcall *c)
{
    *c = (jcall){0};
    if (!a) return true;
    jv list;
    if (!jv_list(x, J_LIST, 0, &list)) return false;
    for (int i = 0; i < a->npos; i++) {
        jv v;
        if (!jx_eval(x, a->pos[i], act, &v) || !jlist_push(x, list.l, v)) return false;
    }
    if (a->star) {
        jv v, more;
        if (!jx_eval(x, a->star, act, &v) || !jx_args_list(x, v, &more)) return false;
        for (int64_t i = 0; i < more.l->n; i++) {
            if (!jlist_push(x, list.l, more.l->v[i])) return false;
        }
    }
    c->pos = list.l->v;
    c->npos = list.l->n;
    if (!a->nkw && !a->starstar) return true;
    if (!jdict_new(x, &c->kw)) return false;
    for (int i = 0; i < a->nkw; i++) {
        jv v;
        if (!jx_eval(x, a->kw[i], act, &v) || !jdict_set(x, c->kw, jv_s(a->key[i]), v)) return false;
    }
    if (!a->starstar) return true;
    jv v;
    if (!jx_eval(x, a->starstar, act, &v)) return false;
    if (v.t != J_DICT)
        return jx_fail(x, SC_EINVAL, "the argument after ** must be a mapping, not %s", jv_type_name(v));
    for (int64_t i = 0; i < v.d->n; i++) {
        jv key = v.d->e[i].key;
        if (key.t != J_STR) return jx_fail(x, SC_EINVAL, "keywords must be strings");
        if (jdict_find(c->kw, key.s->p, key.s->n))
            return jx_fail(x, SC_EINVAL, "the keyword argument '%.60s' is given twice", key.s->p);
        if (!jdict_set(x, c->kw, key, v.d->e[i].value)) return false;
    }
    return true;
}

static bool eval_list(jx *x, const jnode *n, jact *act, jv *out)
{
    if (!jv_list(x, n->kind == JN_LIST ? J_LIST : J_TUPLE, n->nkid, out)) return false;
    for (int i = 0; i < n->nkid; i++) {
        if (!jx_eval(x, n->kid[i], act, &out->l->v[i])) return false;
    }
    return true;
}

static bool eval_dict(jx *x, const jnode *n, jact *act, jv *out)
{
    jdict *d;
    if (!jdict_new(x, &d)) return false;
    for (int i = 0; i < n->nkid; i += 2) {
        jv key, value;
        if (!jx_eval(x, n->kid[i], act, &key) || !jx_eval(x, n->kid[i + 1], act, &value)) return false;
        x->at = n->kid[i];
        if (!jdict_set(x, d, key, value)) return false;
    }
    *out = (jv){.t = J_DICT, .d = d};
    return true;
}

static bool eval_compare(jx *x, const jnode *n, jact *act, jv *out)
{
    jv left, right;
    bool yes = true;
    if (!jx_eval(x, n->a, act, &left)) return false;
    for (int i = 0; yes && i < n->nkid; i++) {
        if (!jx_eval(x, n->kid[i], act, &right)) return false;
        x->at = n;
        if (!jv_compare_op(x, n->ops[i], left, right, &yes)) return false;
        left = right;
    }
    *out = jv_bool(yes);
    return true;
}

static bool eval_concat(jx *x, const jnode *n, jact *act, jv *out)
{
    sc_str s = {0};
    for (int i = 0; i < n->nkid; i++) {
        jv v;
        bool ok = jx_eval(x, n->kid[i], act, &v);
        x->at = n;
        if (!ok || !jv_write(x, &s, v, false)) {
            sc_str_free(&s);
            return false;
        }
    }
    return jv_take(x, &s, out);
}

static bool eval_item(jx *x, const jnode *n, jact *act, jv *out)
{
    jv of, part[3] = {jv_none(), jv_none(), jv_none()};
    if (!jx_eval(x, n->a, act, &of)) return false;
    if (n->b->kind != JN_SLICE) {
        if (!jx_eval(x, n->b, act, &part[0])) return false;
        x->at = n;
        return jv_getitem(x, of, part[0], out);
    }
    const jnode *bound[3] = {n->b->a, n->b->b, n->b->c};
    for (int i = 0; i < 3; i++) {
        if (bound[i] && !jx_eval(x, bound[i], act, &part[i])) return false;
    }
    x->at = n;
    return jv_slice(x, of, part[0], part[1], part[2], out);
}

static bool eval_filter(jx *x, const jnode *n, jact *act, jv *out)
{
    jv v = x->filter_input;
    jcall c;
    if (n->a && !jx_eval(x, n->a, act, &v)) return false;
    x->at = n;
    if (!n->func)
        return jx_fail(x, SC_EINVAL, "there is no %s named %s", n->kind == JN_FILTER ? "filter" : "test",
                       n->name->p);
    if (!eval_args(x, n->args, act, &c)) return false;
    x->at = n;
    return jx_call_func(x, n->func, v, &c, out);
}

static bool eval_call(jx *x, const jnode *n, jact *act, const jv *caller, jv *out)
{
    jv callee;
    jcall c;
    if (!jx_eval(x, n->a, act, &callee) || !eval_args(x, n->args, act, &c)) return false;
    x->at = n;
    if (caller) {
        jv key;
        if (!c.kw && !jdict_new(x, &c.kw)) return false;
        if (!jv_cstr(x, "caller", &key) || !jdict_set(x, c.kw, key, *caller)) return false;
    }
    bool ok = jx_call(x, callee, &c, out);
    if (ok) x->at = n;
    return ok;
}

static bool eval_name(jx *x, const jnode *n, jact *act, jv *out)
{
    *out = n->ref.hops < 0 ? jx_lookup(x, n->name) : *slot_of(act, n->ref);
    if (out->t != J_MISSING) return true;
    return jv_undef(x, out, "'%.100s' is undefined", n->name->p);
}

static bool eval_pair(jx *x, const jnode *n, jact *act, jv *out)
{
    jv a, b;
    if (!jx_eval(x, n->a, act, &a)) return false;
    if (n->kind == JN_AND || n->kind == JN_OR) {
        *out = a;
        return jv_truth(x, a) == (n->kind == JN_OR) || jx_eval(x, n->b, act, out);
    }
    if (!jx_eval(x, n->b, act, &b)) return false;
    x->at = n;
    return jv_binary(x, n->op, a, b, out);
}

static bool eval_cond(jx *x, const jnode *n, jact *act, jv *out)
{
    jv v;
    if (!jx_eval(x, n->a, act, &v)) return false;
    if (jv_truth(x, v)) return jx_eval(x, n->b, act, out);
    if (n->c) return jx_eval(x, n->c, act, out);
    return jv_undef(
        x, out, "the inline if-expression on line %d evaluated to false and no else section was defined", n->line);
}

static bool eval_kind(jx *x, const jnode *n, jact *act, jv *out)
{
    jv v;
    switch (n->kind) {
    case JN_CONST: *out = n->value; return true;
    case JN_NAME: return eval_name(x, n, act, out);
    case JN_LIST:
    case JN_TUPLE: return eval_list(x, n, act, out);
    case JN_DICT: return eval_dict(x, n, act, out);
    case JN_GETATTR:
        if (!jx_eval(x, n->a, act, &v)) return false;
        x->at = n;
        return jv_getattr(x, v, n->name, out);
    case JN_GETITEM: return eval_item(x, n, act, out);
    case JN_CALL: return eval_call(x, n, act, NULL, out);
    case JN_FILTER:
    case JN_TEST: return eval_filter(x, n, act, out);
    case JN_NOT:
        if (!jx_eval(x, n->a, act, &v)) return false;
        *out = jv_bool(!jv_truth(x, v));
        return true;
    case JN_NEG:
    case JN_POS:
        if (!jx_eval(x, n->a, act, &v)) return false;
        x->at = n;
        return jv_unary(x, n->kind == JN_NEG, v, out);
    case JN_AND:
    case JN_OR:
    case JN_BINARY: return eval_pair(x, n, act, out);
    case JN_CONCAT: return eval_concat(x, n, act, out);
    case JN_COMPARE: return eval_compare(x, n, act, out);
    case JN_COND: return eval_cond(x, n, act, out);
    default: /* a slice among several subscripts: Python takes it as a key, which nothing here has */
        return jv_undef(x, out, "no such element");
    }
}

bool jx_eval(jx *x, const jnode *n, jact *act, jv *out)
{
    x->at = n;
    if (!jx_step(x, 1) || !jx_enter(x)) return false;
    bool ok = eval_kind(x, n, act, out);
    x->depth--;
    return ok;
}

/* ---- statements ---- */

bool jx_emit(jx *x, const char *p, int64_t n)
{
    sc_str_append(x->out, p, n);
    return jstr_ok(x, x->out) && jx_step(x, n / 16);
}

static bool emit_value(jx *x, jv v)
{
    int64_t before = x->out->len;
    return jv_write(x, x->out, v, false) && jstr_ok(x, x->out) && jx_step(x, (x->out->len - before) / 16);
}

/* Runs a body with its output caught. The flow tells whether a break or continue left it early. */
static flow capture(jx *x, const jnode *body, jact *act, jv *out)
{
    sc_str s = {0}, *outer = x->out;
    x->out = &s;
    flow f = run(x, body, act);
    x->out = outer;
    if (f == FLOW_FAIL)
        sc_str_free(&s);
    else if (!jv_take(x, &s, out))
        f = FLOW_FAIL;
    return f;
}

bool jx_capture(jx *x, const jnode *body, jact *act, jv *out) { return capture(x, body, act, out) != FLOW_FAIL; }

/* The loop's `if`, as the generator that Python makes of it: gives the loop's targets for which the test holds. */
static bool next_filtered(jx *x, jiter *it, jv *out, bool *more)
{
    for (;;) {
        jv item, test;
        if (!jiter_next(x, it->in, &item, more)) return false;
        if (!*more) return true;
        if (!jx_assign(x, it->node->kid[0], it->act, item)) return false;
        if (!jx_eval(x, it->node->c, it->act, &test)) return false;
        *out = item;
        if (jv_truth(x, test)) return true;
    }
}

static bool start_loop(jx *x, const jnode *n, jact *act, jv *iterable, int64_t depth0, jloop **loop)
{
    jiter *it;
    x->at = n->b;
    if (!jiter_new(x, *iterable, &it)) return false;
    if (n->c) {
        jiter *f;
        if (!jiter_make(x, next_filtered, *iterable, &f)) return false;
        f->in = it;
        f->node = n;
        if (!(f->act = jx_act(x, n->fn2, act))) return false;
        jx_enter_frame(x, &n->frame3, f->act);
        it = f;
        *iterable = (jv){.t = J_ITER, .it = it};
    }
    if (!(*loop = jx_alloc(x, 1, sizeof(**loop)))) return false;
    **loop = (jloop){.iterable = *iterable,
                     .it = it,
                     .index0 = -1,
                     .length = -1,
                     .depth0 = depth0,
                     .recurse = n->flag ? n : NULL,
                     .act = n->flag ? act->up : NULL};
    return true;
}

static bool loop_next(jx *x, jloop *l, jv *item, bool *more)
{
    *more = true;
    if (l->after.t != J_MISSING) {
        *item = l->after;
        l->after = jv_missing();
    } else if (!jiter_next(x, l->it, item, more)) {
        return false;
    }
    if (!*more) return true;
    l->index0++;
    l->before = l->current;
    l->current = *item;
    return true;
}

static flow run_loop(jx *x, const jnode *n, jact *act, jv iterable, int64_t depth0)
{
    jloop *l;
    bool none = true;
    if (!start_loop(x, n, act, &iterable, depth0, &l)) return FLOW_FAIL;
    for (;;) {
        jv item;
        bool more;
        x->at = n;
        if (!loop_next(x, l, &item, &more)) return FLOW_FAIL;
        if (!more) break;
        if (!jx_assign(x, n->a, act, item)) return FLOW_FAIL;
        if (n->special) act->slot[n->slot_loop] = (jv){.t = J_LOOP, .loop = l};
        jx_enter_frame(x, &n->frame, act);
        flow f = run(x, n->d, act);
        if (f == FLOW_FAIL) return f;
        if (f == FLOW_OK) none = false; /* as in Jinja, only an iteration that reaches its end spares the else */
        if (f == FLOW_BREAK) break;
    }
    leave_frame(&n->frame, act);
    if (!n->e || !none) return FLOW_OK;
    jx_enter_frame(x, &n->frame2, act);
    flow f = run(x, n->e, act);
    if (f == FLOW_OK) leave_frame(&n->frame2, act);
    return f;
}

bool jx_loop_call(jx *x, const jnode *n, jact *up, jv iterable, int64_t depth0, jv *out)
{
    sc_str s = {0}, *outer = x->out;
    jact *act = jx_act(x, n->fn, up);
    if (!act || !jx_enter(x)) return false;
    x->out = &s;
    flow f = run_loop(x, n, act, iterable, depth0);
    x->out = outer;
    x->depth--;
    if (f != FLOW_FAIL) return jv_take(x, &s, out);
    sc_str_free(&s);
    return false;
}

static flow run_for(jx *x, const jnode *n, jact *act)
{
    jv iterable, text;
    if (!jx_eval(x, n->b, act, &iterable)) return FLOW_FAIL;
    if (!n->flag) return run_loop(x, n, act, iterable, 0);
    if (!jx_loop_call(x, n, act, iterable, 0, &text)) return FLOW_FAIL;
    return emit_value(x, text) ? FLOW_OK : FLOW_FAIL;
}

static flow run_if(jx *x, const jnode *n, jact *act)
{
    for (; n && n->kind == JN_IF; n = n->e) {
        jv v;
        if (!jx_eval(x, n->a, act, &v)) return FLOW_FAIL;
        bool yes = jv_truth(x, v);
        if (x->status) return FLOW_FAIL;
        if (yes) return run(x, n->d, act);
    }
    return n ? run(x, n, act) : FLOW_OK;
}

static flow run_set_block(jx *x, const jnode *n, jact *act)
{
    jv v, saved = x->filter_input;
    jx_enter_frame(x, &n->frame, act);
    flow f = capture(x, n->d, act, &v);
    if (f != FLOW_OK) return f;
    if (n->b) {
        x->filter_input = v;
        if (!jx_eval(x, n->b, act, &v)) return FLOW_FAIL;
        x->filter_input = saved;
    }
    if (!jx_assign(x, n->a, act, v)) return FLOW_FAIL;
    leave_frame(&n->frame, act);
    return FLOW_OK;
}

static flow run_filter_block(jx *x, const jnode *n, jact *act)
{
    jv v, saved = x->filter_input;
    jx_enter_frame(x, &n->frame, act);
    flow f = capture(x, n->d, act, &v);
    if (f != FLOW_OK) return f;
    x->filter_input = v;
    if (!jx_eval(x, n->a, act, &v)) return FLOW_FAIL;
    x->filter_input = saved;
    if (!emit_value(x, v)) return FLOW_FAIL;
    leave_frame(&n->frame, act);
    return FLOW_OK;
}

static flow run_with(jx *x, const jnode *n, jact *act)
{
    jx_enter_frame(x, &n->frame, act);
    for (int i = 0; i < n->nkid; i += 2) {
        jv v;
        if (!jx_eval(x, n->kid[i + 1], act, &v) || !jx_assign(x, n->kid[i], act, v)) return FLOW_FAIL;
    }
    flow f = run(x, n->d, act);
    if (f == FLOW_OK) leave_frame(&n->frame, act);
    return f;
}

static flow run_scope(jx *x, const jnode *n, jact *act)
{
    if (n->kind == JN_BLOCK && !(act = jx_act(x, n->fn, NULL))) return FLOW_FAIL;
    jx_enter_frame(x, &n->frame, act);
    return run(x, n->d, act);
}

/* Remembers what {% generation %} wrote since `from`. */
static bool note_generation(jx *x, int64_t from)
{
    if (x->out != x->text) return true;
    if (!sc_grow(&x->generated, &x->cap_generated, x->n_generated + 1, sizeof *x->generated))
        return jx_fail(x, SC_ENOMEM, "out of memory");
    x->generated[x->n_generated++] = (sc_template_span){from, x->out->len};
    return true;
}

static flow run_macro(jx *x, const jnode *n, jact *act)
{
    int64_t from = x->out->len;
    jmacro *m = jx_alloc(x, 1, sizeof(*m));
    if (!m) return FLOW_FAIL;
    m->node = n;
    m->up = act;
    jv v = {.t = J_MACRO, .macro = m}, text;
    if (n->kind == JN_MACRO) return jx_assign(x, n->a, act, v) ? FLOW_OK : FLOW_FAIL;
    bool ok = n->a ? eval_call(x, n->a, act, &v, &text) : jx_call(x, v, &(jcall){0}, &text);
    ok = ok && emit_value(x, text);
    return ok && (n->a || note_generation(x, from)) ? FLOW_OK : FLOW_FAIL;
}

static flow run_output(jx *x, const jnode *n, jact *act)
{
    for (int i = 0; i < n->nkid; i++) {
        jv v;
        if (!jx_eval(x, n->kid[i], act, &v)) return FLOW_FAIL;
        x->at = n->kid[i];
        if (!emit_value(x, v)) return FLOW_FAIL;
    }
    return FLOW_OK;
}

static flow run_kind(jx *x, const jnode *n, jact *act)
{
    jv v;
    flow f = FLOW_OK;
    switch (n->kind) {
    case JN_BODY:
        for (int i = 0; f == FLOW_OK && i < n->nkid; i++) f = run(x, n->kid[i], act);
        return f;
    case JN_DATA: return jx_emit(x, n->name->p, n->name->n) ? FLOW_OK : FLOW_FAIL;
    case JN_OUTPUT: return run_output(x, n, act);
    case JN_ASSIGN: return jx_eval(x, n->b, act, &v) && jx_assign(x, n->a, act, v) ? FLOW_OK : FLOW_FAIL;
    case JN_SETBLOCK: return run_set_block(x, n, act);
    case JN_FOR: return run_for(x, n, act);
    case JN_IF: return run_if(x, n, act);
    case JN_WITH: return run_with(x, n, act);
    case JN_MACRO:
    case JN_CALLBLOCK: return run_macro(x, n, act);
    case JN_FILTERBLOCK: return run_filter_block(x, n, act);
    case JN_SCOPE:
    case JN_BLOCK: return run_scope(x, n, act);
    case JN_BREAK: return FLOW_BREAK;
    case JN_CONTINUE: return FLOW_CONTINUE;
    default:
        x->at = n;
        jx_fail(x, SC_EUNSUPPORTED, "%s: a chat template has no other template to reach", n->name->p);
        return FLOW_FAIL;
    }
}

static flow run(jx *x, const jnode *n, jact *act)
{
    x->at = n;
    if (!jx_step(x, 1) || !jx_enter(x)) return FLOW_FAIL;
    flow f = run_kind(x, n, act);
    x->depth--;
    return f;
}

bool jx_run(jx *x, const jnode *body, jact *act) { return run(x, body, act) != FLOW_FAIL; }
