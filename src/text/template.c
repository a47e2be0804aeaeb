/* SPDX-License-Identifier: Apache-2.0 */
/* The public face of the interpreter: parse, render, limits. */
#include "text/jinja.h"

#include <stdio.h>

#define DEFAULT_STEPS  20000000
#define DEFAULT_OUTPUT (64 << 20)
#define DEFAULT_DEPTH  1000
#define HIGHEST_DEPTH  10000
#define DEFAULT_MEMORY ((int64_t)512 << 20)

static sc_status template_new(sc_template **out, const char *source, int64_t len, const char *what, bool plain)
{
    sc_status status = SC_OK;
    jtoken *tokens = NULL;
    int64_t count = 0;
    if (!what) what = "template";
    if (!out || !source || len < 0) return sc_fail(SC_EINVAL, "%s: no text given", what);
    if (len > JINJA_MAX_SOURCE) return sc_fail(SC_ELIMIT, "%s: longer than %d bytes", what, JINJA_MAX_SOURCE);
    if (!sc_utf8_valid(source, len)) return sc_fail(SC_EFORMAT, "%s: not UTF-8", what);
    sc_template *t = sc_calloc(1, sizeof(*t));
    if (!t || !(t->what = sc_strdup(what)) || !(t->arena = sc_arena_new())) {
        sc_template_free(t);
        return sc_nomem();
    }
    t->plain = plain;
    status = jinja_lex(&tokens, &count, t, source, len);
    if (!status) status = jinja_parse(t, tokens, count);
    if (!status) status = jinja_bind(t);
    sc_free(tokens);
    if (status)
        sc_template_free(t);
    else
        *out = t;
    return status;
}

sc_status sc_template_new(sc_template **out, const char *source, int64_t len, const char *what)
{
    return template_new(out, source, len, what, false);
}

sc_status sc_template_new_plain(sc_template **out, const char *source, int64_t len, const char *what)
{
    return template_new(out, source, len, what, true);
}

void sc_template_free(sc_template *t)
{
    if (!t) return;
    sc_arena_free(t->arena);
    sc_free(t->what);
    sc_free(t);
}

static sc_status set_clock(jx *x, const char *now)
{
    static const int lowest[6] = {1, 1, 1, 0, 0, 0}, highest[6] = {9999, 12, 31, 23, 59, 59};
    int v[6], used = 0;
    bool ok = sscanf(now, "%4d-%2d-%2d %2d:%2d:%2d%n", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &used) == 6 &&
              !now[used];
    for (int i = 0; ok && i < 6; i++) {
        ok = v[i] >= lowest[i] && v[i] <= highest[i];
        x->now[i] = v[i];
    }
    x->has_now = true;
    return ok ? SC_OK
              : sc_fail(SC_EINVAL, "the clock must be given as \"YYYY-MM-DD HH:MM:SS\", not \"%.40s\"", now);
}

static sc_status set_limits(jx *x, const sc_template_options *o)
{
    if (o->max_steps < 0 || o->max_output < 0 || o->max_depth < 0 || o->max_memory < 0) {
        return sc_fail(SC_EINVAL, "%s: a negative limit", x->t->what);
    }
    x->max_steps = o->max_steps ? o->max_steps : DEFAULT_STEPS;
    x->max_output = o->max_output ? o->max_output : DEFAULT_OUTPUT;
    x->max_depth = o->max_depth ? SC_MIN(o->max_depth, HIGHEST_DEPTH) : DEFAULT_DEPTH;
    x->max_memory = o->max_memory ? o->max_memory : DEFAULT_MEMORY;
    return o->now ? set_clock(x, o->now) : SC_OK;
}

/* A variable that must be a list of dicts where it is given; absent, it is none. */
static bool dicts(jx *x, const char *name, bool must, jv **out)
{
    jv key, *v = jdict_find(x->vars, name, (int64_t)strlen(name));
    *out = v;
    if (!v) return !must || (jv_cstr(x, name, &key) && jdict_set(x, x->vars, key, jv_none()));
    if (v->t == J_NONE && must) return true;
    if (v->t != J_LIST)
        return jx_fail(x, SC_EINVAL, "%s must be a list of objects, not %s", name, jv_type_name(*v));
    for (int64_t i = 0; i < v->l->n; i++) {
        if (v->l->v[i].t != J_DICT)
            return jx_fail(x, SC_EINVAL, "%s[%lld] must be an object, not %s", name, (long long)i,
                           jv_type_name(v->l->v[i]));
    }
    return true;
}

/* A message's reasoning has had several names; every template finds it under those it may ask for. */
static bool alias_reasoning(jx *x, jv *message)
{
    static const char *const names[] = {"reasoning_content", "thinking", "reasoning"};
    const jdict *d = message->d;
    jv *reasoning = NULL, key;
    jdict *copy;
    for (int i = 0; i < 3 && !reasoning; i++) {
        reasoning = jdict_find(d, names[i], (int64_t)strlen(names[i]));
        if (reasoning && reasoning->t == J_NONE) reasoning = NULL;
    }
    if (!reasoning) return true;
    if (!jdict_new(x, &copy) || !jv_cstr(x, names[1], &key) || !jdict_set(x, copy, key, *reasoning)) return false;
    for (int64_t i = 0; i < d->n; i++) {
        if (!jdict_set(x, copy, d->e[i].key, d->e[i].value)) return false;
    }
    message->d = copy;
    return jv_cstr(x, names[0], &key) && jdict_set(x, copy, key, *reasoning);
}

/* What apply_chat_template does to the variables before a template sees them. */
static bool prepare(jx *x)
{
    jv *list, key;
    if (!dicts(x, "tools", true, &list) || !dicts(x, "documents", true, &list) ||
        !dicts(x, "messages", false, &list))
        return false;
    for (int64_t i = 0; list && i < list->l->n; i++) {
        if (!alias_reasoning(x, &list->l->v[i])) return false;
    }
    if (jdict_find(x->vars, "add_generation_prompt", 21)) return true;
    return jv_cstr(x, "add_generation_prompt", &key) && jdict_set(x, x->vars, key, jv_bool(false));
}

static bool render(jx *x, const json_t *variables)
{
    const jnode *root = x->t->root;
    jv v;
    if (!jv_from_json(x, variables, &v)) return false;
    x->vars = v.d;
    if (!x->t->plain && !prepare(x)) return false;
    if (x->t->blocks && !jdict_new(x, &x->exported)) return false;
    if (!(x->root = jx_act(x, root->fn, NULL))) return false;
    jx_enter_frame(x, &root->frame, x->root);
    return jx_run(x, root, x->root);
}

sc_status sc_template_render_spans(char **text, int64_t *len, sc_template_span **spans, int64_t *n_spans,
                                   const sc_template *t, const char *variables_json, int64_t variables_len,
                                   const sc_template_options *options)
{
    static const sc_template_options none;
    json_t *variables = NULL;
    sc_str out = {0};
    if (!text || !t || !variables_json || variables_len < 0 || (spans && !n_spans))
        return sc_fail(SC_EINVAL, "a template, variables and a place for the text are needed");
    jx x = {.t = t, .out = &out, .text = spans ? &out : NULL, .secret = sc_hash_secret()};
    sc_status status = set_limits(&x, options ? options : &none);
    if (!status) status = sc_json_parse(&variables, variables_json, variables_len, "template variables");
    if (!status && !json_is_object(variables))
        status = sc_fail(SC_EFORMAT, "template variables: a JSON object is needed");
    if (!status && !(x.arena = sc_arena_new())) status = sc_nomem();
    if (!status && (!render(&x, variables) || x.status)) status = x.status;
    if (!status) {
        int64_t n;
        char *p = sc_str_take(&out, &n);
        if (!p)
            status = sc_nomem();
        else
            *text = p;
        if (p && len) *len = n;
    }
    if (!status && spans) {
        *spans = x.generated;
        *n_spans = x.n_generated;
    } else
        sc_free(x.generated);
    sc_str_free(&out);
    sc_arena_free(x.arena);
    json_decref(variables);
    return status;
}

sc_status sc_template_render(char **text, int64_t *len, const sc_template *t, const char *variables_json,
                             int64_t variables_len, const sc_template_options *options)
{
    return sc_template_render_spans(text, len, NULL, NULL, t, variables_json, variables_len, options);
}
