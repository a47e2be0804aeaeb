/* SPDX-License-Identifier: Apache-2.0 */
/* Binds names to slots by the rules of Jinja's compiler.
 *
 * A scope (template, loop body, macro, with, block set, ...) is analysed before its statements are bound, so that a
 * name stored anywhere in it is that scope's variable everywhere in it. On entry each variable of the scope is a
 * parameter, a copy of the outer variable (ALIAS), one of the render's variables (RESOLVE), or not set. `if` opens no
 * scope; what is stored in one of its branches only may keep the outer value, hence `in_if` below. */
#include "text/jinja.h"

typedef struct scope {
    struct scope *up;
    jfn *fn;
    int fn_depth;
    sc_map refs; /* name -> index into enter */
    jenter *enter;
    int64_t n, cap;
} scope;

typedef struct binder {
    sc_template *t;
    sc_status status;
    sc_map blocks; /* names of the {% block %}s seen */
} binder;

/* How the statements being bound sit in their surroundings. */
typedef struct place {
    scope *s;
    bool soft; /* inside an if: unknown filters and tests fail only when used */
    bool loop; /* break and continue have a loop */
} place;

static bool bind(binder *b, jnode *n, place at);
static bool analyse(binder *b, scope *s, jnode *n, bool in_if);

static bool fail(binder *b, const jnode *n, const char *message, const char *name)
{
    b->status =
        sc_fail(SC_EFORMAT, "%s: line %d, column %d: %s%s", b->t->what, n->line, n->col, message, name ? name : "");
    return false;
}

static bool nomem(binder *b)
{
    b->status = sc_nomem();
    return false;
}

static jenter *own(scope *s, const jstr *name)
{
    int64_t i;
    return sc_map_get(&s->refs, name->p, name->n, &i) ? &s->enter[i] : NULL;
}

static bool find(scope *s, int fn_depth, const jstr *name, jref *out)
{
    for (; s; s = s->up) {
        jenter *e = own(s, name);
        if (!e) continue;
        *out = (jref){.hops = fn_depth - s->fn_depth, .slot = e->slot};
        return true;
    }
    return false;
}

static bool define(binder *b, scope *s, const jstr *name, jload how, jref from)
{
    jenter *e = own(s, name);
    if (!e) {
        if (!sc_grow(&s->enter, &s->cap, s->n + 1, sizeof(*s->enter))) return nomem(b);
        if (!sc_map_put(&s->refs, name->p, name->n, s->n)) return nomem(b);
        e = &s->enter[s->n++];
        e->slot = s->fn->slots++;
    }
    e->how = how;
    e->name = name;
    e->from = from;
    return true;
}

static bool load(binder *b, scope *s, const jstr *name)
{
    jref r;
    return find(s, s->fn_depth, name, &r) || define(b, s, name, JLOAD_RESOLVE, (jref){0});
}

static bool store(binder *b, scope *s, const jstr *name, bool in_if)
{
    jref outer = {0};
    if (own(s, name)) return true;
    if (find(s->up, s->fn_depth, name, &outer)) return define(b, s, name, JLOAD_ALIAS, outer);
    return define(b, s, name, in_if ? JLOAD_RESOLVE : JLOAD_UNDEFINED, outer);
}

static bool analyse_args(binder *b, scope *s, const jnargs *a, bool in_if)
{
    if (!a) return true;
    for (int i = 0; i < a->npos; i++) {
        if (!analyse(b, s, a->pos[i], in_if)) return false;
    }
    for (int i = 0; i < a->nkw; i++) {
        if (!analyse(b, s, a->kw[i], in_if)) return false;
    }
    return (!a->star || analyse(b, s, a->star, in_if)) && (!a->starstar || analyse(b, s, a->starstar, in_if));
}

static bool analyse_kids(binder *b, scope *s, jnode *n, bool in_if)
{
    for (int i = 0; i < n->nkid; i++) {
        if (!analyse(b, s, n->kid[i], in_if)) return false;
    }
    return true;
}

/* Declares in `s` what `n` loads and stores there; inner scopes are left for later. */
static bool analyse(binder *b, scope *s, jnode *n, bool in_if)
{
    if (!n) return true;
    switch (n->kind) {
    case JN_NAME:
        if (n->op == JCTX_LOAD) return load(b, s, n->name);
        return n->op == JCTX_PARAM ? define(b, s, n->name, JLOAD_PARAM, (jref){0}) : store(b, s, n->name, in_if);
    case JN_NSREF: return load(b, s, n->name);
    case JN_IF:
        for (; n; n = n->e) {
            if (n->kind != JN_IF) return analyse(b, s, n, true);
            if (!analyse(b, s, n->a, in_if) || !analyse(b, s, n->d, true)) return false;
        }
        return true;
    case JN_MACRO: return store(b, s, n->name, in_if);
    case JN_ASSIGN: return analyse(b, s, n->b, in_if) && analyse(b, s, n->a, in_if);
    case JN_SETBLOCK: return analyse(b, s, n->a, in_if);
    case JN_FOR: return analyse(b, s, n->b, in_if);
    case JN_CALLBLOCK:
    case JN_FILTERBLOCK: return analyse(b, s, n->a, in_if);
    case JN_WITH:
        for (int i = 1; i < n->nkid; i += 2) {
            if (!analyse(b, s, n->kid[i], in_if)) return false;
        }
        return true;
    case JN_SCOPE:
    case JN_BLOCK: return true;
    default:
        return analyse(b, s, n->a, in_if) && analyse(b, s, n->b, in_if) && analyse(b, s, n->c, in_if) &&
               analyse(b, s, n->d, in_if) && analyse(b, s, n->e, in_if) && analyse_kids(b, s, n, in_if) &&
               analyse_args(b, s, n->args, in_if);
    }
}

/* ---- questions about whole subtrees ---- */

enum { WANT_LOOP = 1, WANT_CALLER = 2, WANT_KWARGS = 4, WANT_VARARGS = 8, STORES_LOOP = 16 };

typedef struct search {
    int names; /* still looked for: a name stored on the way is given up */
    int found;
} search;

static int special(const jstr *s)
{
    static const char *const names[] = {"loop", "caller", "kwargs", "varargs"};
    for (int i = 0; i < 4; i++) {
        if (!strcmp(s->p, names[i])) return 1 << i;
    }
    return 0;
}

static void look(search *f, const jnode *n)
{
    if (!n || n->kind == JN_BLOCK) return;
    if (n->kind == JN_NAME) {
        int bit = special(n->name);
        if (n->op == JCTX_LOAD)
            f->found |= bit & f->names;
        else
            f->names &= ~bit;
        if (n->op == JCTX_STORE && bit == WANT_LOOP) f->found |= STORES_LOOP;
        return;
    }
    if (n->kind != JN_MACRO) look(f, n->a); /* a macro's own name is no Name node in Jinja */
    if (n->kind == JN_IF) {
        for (; n; n = n->e) {
            if (n->kind != JN_IF) {
                look(f, n);
                return;
            }
            look(f, n->a);
            look(f, n->d);
        }
        return;
    }
    look(f, n->b);
    look(f, n->c);
    for (int i = 0; i < n->nkid; i++) look(f, n->kid[i]);
    for (int i = 0; i < n->nkid2; i++) look(f, n->kid2[i]);
    for (int i = 0; n->args && i < n->args->npos; i++) look(f, n->args->pos[i]);
    for (int i = 0; n->args && i < n->args->nkw; i++) look(f, n->args->kw[i]);
    if (n->args) look(f, n->args->star);
    if (n->args) look(f, n->args->starstar);
    look(f, n->d);
    look(f, n->e);
}

/* ---- binding ---- */

static bool bind_kids(binder *b, jnode **kid, int n, place at)
{
    for (int i = 0; i < n; i++) {
        if (!bind(b, kid[i], at)) return false;
    }
    return true;
}

static void scope_free(scope *s)
{
    sc_map_free(&s->refs);
    sc_free(s->enter);
}

/* Stores what entering the scope does, once it is complete. */
static bool finish(binder *b, scope *s, jframe *out)
{
    out->enter = sc_arena_alloc(b->t->arena, (size_t)SC_MAX(s->n, 1) * sizeof(*out->enter));
    if (!out->enter) return nomem(b);
    if (s->n) memcpy(out->enter, s->enter, (size_t)s->n * sizeof(*out->enter));
    out->n = (int)s->n;
    return true;
}

static scope inner(scope *up) { return (scope){.up = up, .fn = up->fn, .fn_depth = up->fn_depth}; }

static jfn *function(binder *b, scope *s)
{
    jfn *f = sc_arena_alloc(b->t->arena, sizeof(*f));
    if (!f) {
        nomem(b);
        return NULL;
    }
    s->fn = f;
    s->fn_depth++;
    return f;
}

/* A plain inner scope: `declared` nodes, then the body. */
static bool bind_inner(binder *b, jnode *body, scope *s, place at, jframe *frame)
{
    at.s = s;
    at.soft = false;
    return analyse(b, s, body, false) && bind(b, body, at) && finish(b, s, frame);
}

static bool define_special(binder *b, scope *s, const char *name, int *slot)
{
    jstr *text = sc_arena_alloc(b->t->arena, sizeof(*text));
    if (!text) return nomem(b);
    *text = (jstr){.p = name, .n = (int64_t)strlen(name), .chars = (int64_t)strlen(name)};
    if (!define(b, s, text, JLOAD_PARAM, (jref){0})) return false;
    *slot = own(s, text)->slot;
    return true;
}

static bool bind_macro(binder *b, jnode *n, place at)
{
    scope s = inner(at.s);
    search f = {.names = WANT_CALLER | WANT_KWARGS | WANT_VARARGS};
    bool ok = false;
    int params = 0;
    look(&f, n->d);
    for (int i = 0; i < n->nkid; i++) {
        int bit = special(n->kid[i]->name);
        if (bit == WANT_CALLER && (f.found & bit) && i < n->nkid - n->nkid2) {
            return fail(b, n->kid[i], "the special parameter \"caller\" needs a default", NULL);
        }
        params |= bit;
    }
    if (!(n->fn = function(b, &s))) return false;
    at.s = &s;
    at.soft = at.loop = false;
    for (int i = 0; i < n->nkid; i++) {
        if (!analyse(b, &s, n->kid[i], false)) goto end;
    }
    for (int i = 0; i < n->nkid2; i++) {
        if (!analyse(b, &s, n->kid2[i], false)) goto end;
    }
    if (!analyse(b, &s, n->d, false)) goto end;
    f.found &= ~params;
    if ((f.found & WANT_CALLER) && !define_special(b, &s, "caller", &n->slot_caller)) goto end;
    if ((f.found & WANT_KWARGS) && !define_special(b, &s, "kwargs", &n->slot_kwargs)) goto end;
    if ((f.found & WANT_VARARGS) && !define_special(b, &s, "varargs", &n->slot_varargs)) goto end;
    ok = bind_kids(b, n->kid, n->nkid, at) && bind_kids(b, n->kid2, n->nkid2, at) && bind(b, n->d, at) &&
         finish(b, &s, &n->frame);
end:
    scope_free(&s);
    return ok;
}

static void to_param(jnode *n)
{
    if (n->kind == JN_NAME) n->op = JCTX_PARAM;
    for (int i = 0; i < n->nkid; i++) to_param(n->kid[i]);
}

/* The loop's `if`: in Python a generator function of its own, with its own copies of the loop's variables. */
static bool bind_loop_filter(binder *b, jnode *n, scope *up)
{
    scope s = inner(up);
    place at = {.s = &s};
    bool ok = (n->fn2 = function(b, &s)) && analyse(b, &s, n->a, false) && analyse(b, &s, n->c, false) &&
              bind(b, n->c, at) && bind(b, n->a, at) && finish(b, &s, &n->frame3);
    /* The generator stores into its own copies: their slots go into a second target beside the loop's. */
    scope_free(&s);
    return ok;
}

static jnode *clone_target(binder *b, const jnode *n)
{
    jnode *c = sc_arena_alloc(b->t->arena, sizeof(*c));
    if (!c) return NULL;
    *c = *n;
    if (!n->nkid) return c;
    c->kid = sc_arena_alloc(b->t->arena, (size_t)n->nkid * sizeof(*c->kid));
    for (int i = 0; c->kid && i < n->nkid; i++) {
        if (!(c->kid[i] = clone_target(b, n->kid[i]))) return NULL;
    }
    return c->kid ? c : NULL;
}

static bool bind_for(binder *b, jnode *n, place at)
{
    search body = {.names = WANT_LOOP}, all = {.names = WANT_LOOP};
    look(&body, n->d);
    look(&all, n);
    if (all.found & STORES_LOOP)
        return fail(b, n, "the special variable \"loop\" cannot be assigned inside a for loop", NULL);
    n->special = n->flag || (body.found & WANT_LOOP);
    to_param(n->a);
    if (!bind(b, n->b, at)) return false;
    scope s = inner(at.s), other = inner(at.s);
    bool ok = false;
    if (n->flag) {
        if (!(n->fn = function(b, &s))) return false;
        other.fn = s.fn;
        other.fn_depth = s.fn_depth;
    }
    if (n->c) {
        /* kid[0] is the filter's own target: the same names bound in its own function */
        jnode *target = clone_target(b, n->a), *mine = n->a;
        jnode **kid = sc_arena_alloc(b->t->arena, sizeof(*kid));
        if (!target || !kid) {
            nomem(b);
            goto end;
        }
        scope up = inner(at.s);
        up.fn = s.fn;
        up.fn_depth = s.fn_depth;
        n->a = target;
        bool bound = bind_loop_filter(b, n, &up);
        n->a = mine;
        scope_free(&up);
        if (!bound) goto end;
        kid[0] = target;
        n->kid = kid; /* nkid stays 0: no walk over the tree meets it again */
    }
    place in = {.s = &s, .loop = true};
    if (n->special && !define_special(b, &s, "loop", &n->slot_loop)) goto end;
    if (!analyse(b, &s, n->a, false) || !analyse(b, &s, n->d, false)) goto end;
    if (!bind(b, n->a, in) || !bind(b, n->d, in) || !finish(b, &s, &n->frame)) goto end;
    ok = !n->e || bind_inner(b, n->e, &other, at, &n->frame2);
end:
    scope_free(&s);
    scope_free(&other);
    return ok;
}

static bool bind_with(binder *b, jnode *n, place at)
{
    for (int i = 1; i < n->nkid; i += 2) {
        if (!bind(b, n->kid[i], at)) return false;
    }
    scope s = inner(at.s);
    place in = {.s = &s, .loop = at.loop};
    bool ok = true;
    for (int i = 0; ok && i < n->nkid; i += 2) {
        to_param(n->kid[i]);
        ok = analyse(b, &s, n->kid[i], false);
    }
    ok = ok && analyse(b, &s, n->d, false);
    for (int i = 0; ok && i < n->nkid; i += 2) ok = bind(b, n->kid[i], in);
    ok = ok && bind(b, n->d, in) && finish(b, &s, &n->frame);
    scope_free(&s);
    return ok;
}

static bool bind_inner_block(binder *b, jnode *n, place at)
{
    int64_t seen;
    if (n->kind == JN_BLOCK) {
        if (sc_map_get(&b->blocks, n->name->p, n->name->n, &seen))
            return fail(b, n, "this block is defined twice: ", n->name->p);
        if (!sc_map_put(&b->blocks, n->name->p, n->name->n, 1)) return nomem(b);
    }
    scope s = n->kind == JN_BLOCK ? (scope){.fn_depth = -1} : inner(at.s);
    if (n->kind == JN_BLOCK && !(n->fn = function(b, &s))) return false;
    if (n->kind == JN_BLOCK) at.loop = false;
    bool ok = true;
    place in = {.s = &s};
    if (n->kind == JN_FILTERBLOCK) ok = analyse(b, &s, n->a, false);
    ok = ok && bind_inner(b, n->d, &s, at, &n->frame);
    if (ok && n->kind != JN_SCOPE && n->kind != JN_BLOCK) {
        if (n->kind == JN_FILTERBLOCK) ok = bind(b, n->a, in);
        if (n->kind == JN_SETBLOCK) ok = bind(b, n->a, at) && (!n->b || bind(b, n->b, in));
    }
    scope_free(&s);
    return ok;
}

static bool bind_args(binder *b, jnargs *a, place at)
{
    if (!a) return true;
    return bind_kids(b, a->pos, a->npos, at) && bind_kids(b, a->kw, a->nkw, at) &&
           (!a->star || bind(b, a->star, at)) && (!a->starstar || bind(b, a->starstar, at));
}

static bool bind_if(binder *b, jnode *n, place at)
{
    at.soft = true;
    for (; n; n = n->e) {
        if (n->kind != JN_IF) return bind(b, n, at);
        if (!bind(b, n->a, at) || !bind(b, n->d, at)) return false;
    }
    return true;
}

static bool bind_default(binder *b, jnode *n, place at)
{
    if (n->kind == JN_COND) at.soft = true;
    return (!n->a || bind(b, n->a, at)) && (!n->b || bind(b, n->b, at)) && (!n->c || bind(b, n->c, at)) &&
           (!n->d || bind(b, n->d, at)) && (!n->e || bind(b, n->e, at)) && bind_kids(b, n->kid, n->nkid, at) &&
           bind_args(b, n->args, at);
}

static bool bind(binder *b, jnode *n, place at)
{
    switch (n->kind) {
    case JN_NAME:
    case JN_NSREF:
        if (!find(at.s, at.s->fn_depth, n->name, &n->ref)) n->ref.hops = -1;
        return true;
    case JN_FILTER:
        n->func = jinja_filter(b->t, n->name->p, n->name->n);
        if (!n->func && !at.soft) return fail(b, n, "there is no filter named ", n->name->p);
        return bind_default(b, n, at);
    case JN_TEST:
        n->func = jinja_test(n->name->p, n->name->n);
        if (!n->func && !at.soft) return fail(b, n, "there is no test named ", n->name->p);
        return bind_default(b, n, at);
    case JN_IF: return bind_if(b, n, at);
    case JN_FOR: return bind_for(b, n, at);
    case JN_MACRO: return bind(b, n->a, at) && bind_macro(b, n, at);
    case JN_CALLBLOCK: return (!n->a || bind(b, n->a, at)) && bind_macro(b, n, at);
    case JN_WITH: return bind_with(b, n, at);
    case JN_SETBLOCK:
    case JN_FILTERBLOCK:
    case JN_SCOPE:
    case JN_BLOCK: return bind_inner_block(b, n, at);
    case JN_BREAK:
    case JN_CONTINUE: return at.loop || fail(b, n, "break and continue need a loop around them", NULL);
    default: return bind_default(b, n, at);
    }
}

sc_status jinja_bind(sc_template *t)
{
    binder b = {.t = t};
    scope s = {0};
    jnode *root = t->root;
    root->fn = sc_arena_alloc(t->arena, sizeof(*root->fn));
    if (!root->fn) return sc_nomem();
    s.fn = root->fn;
    bool ok = analyse(&b, &s, root, false) && bind(&b, root, (place){.s = &s}) && finish(&b, &s, &root->frame);
    scope_free(&s);
    sc_map_free(&b.blocks);
    return ok ? SC_OK : b.status;
}
