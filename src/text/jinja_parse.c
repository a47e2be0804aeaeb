/* SPDX-License-Identifier: Apache-2.0 */
/* Parses statements. Recursive descent; every level of nesting is counted, so no text overruns the stack. */
#include "text/jinja.h"

#include <stdio.h>

/* ---- shared with jinja_expr.c ---- */

void *jp_fail(jparser *p, const jtoken *at, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    p->status = sc_fail(SC_EFORMAT, "%s: line %d, column %d: %s", p->t->what, at->line, at->col, text);
    return NULL;
}

void *jp_alloc(jparser *p, int64_t n, size_t size)
{
    void *m = sc_arena_alloc(p->t->arena, (size_t)SC_MAX(n, 1) * size);
    if (!m) p->status = sc_nomem();
    return m;
}

jnode *jp_node(jparser *p, jkind kind, const jtoken *at)
{
    jnode *n = jp_alloc(p, 1, sizeof(*n));
    if (!n) return NULL;
    n->kind = kind;
    n->line = at->line;
    n->col = at->col;
    n->height = 1;
    n->slot_loop = n->slot_caller = n->slot_kwargs = n->slot_varargs = -1;
    return n;
}

const jstr *jp_str(jparser *p, const char *s, int64_t n)
{
    jstr *r = jp_alloc(p, 1, sizeof(*r));
    char *copy = r ? sc_arena_strndup(p->t->arena, n ? s : "", (size_t)n) : NULL;
    if (!copy) {
        p->status = sc_nomem();
        return NULL;
    }
    r->p = copy;
    r->n = n;
    for (int64_t i = 0; i < n; i++) r->chars += (copy[i] & 0xC0) != 0x80;
    return r;
}

jnode *jp_seal(jparser *p, jnode *n)
{
    if (!n) return NULL;
    jnode *const part[] = {n->a, n->b, n->c, n->d, n->e};
    for (int i = 0; i < SC_COUNT(part); i++) {
        if (part[i]) n->height = SC_MAX(n->height, part[i]->height + 1);
    }
    for (int i = 0; i < n->nkid; i++) n->height = SC_MAX(n->height, n->kid[i]->height + 1);
    if (n->args) {
        for (int i = 0; i < n->args->npos; i++) n->height = SC_MAX(n->height, n->args->pos[i]->height + 1);
        for (int i = 0; i < n->args->nkw; i++) n->height = SC_MAX(n->height, n->args->kw[i]->height + 1);
        if (n->args->star) n->height = SC_MAX(n->height, n->args->star->height + 1);
        if (n->args->starstar) n->height = SC_MAX(n->height, n->args->starstar->height + 1);
    }
    if (n->height > JINJA_MAX_HEIGHT) {
        p->status = sc_fail(SC_ELIMIT, "%s: line %d, column %d: the expression is nested deeper than %d levels",
                            p->t->what, n->line, n->col, JINJA_MAX_HEIGHT);
        return NULL;
    }
    return n;
}

bool jp_push(jparser *p, jnode ***v, int *n, int64_t *cap, jnode *item)
{
    if (!item) return false;
    if (*n >= *cap) { /* arena memory: the old array stays behind, at most as much again */
        int64_t more = *cap ? *cap * 2 : 4;
        jnode **grown = jp_alloc(p, more, sizeof(*grown));
        if (!grown) return false;
        if (*n) memcpy(grown, *v, (size_t)*n * sizeof(*grown));
        *v = grown;
        *cap = more;
    }
    (*v)[(*n)++] = item;
    return true;
}

bool jp_is(const jparser *p, jtok type) { return p->tok[p->pos].type == type; }

static bool token_is(const jtoken *k, const char *name)
{
    return k->type == JT_NAME && k->n == (int64_t)strlen(name) && memcmp(k->p, name, (size_t)k->n) == 0;
}

bool jp_is_name(const jparser *p, const char *name) { return token_is(&p->tok[p->pos], name); }

const jtoken *jp_next(jparser *p)
{
    const jtoken *k = &p->tok[p->pos];
    if (k->type != JT_EOF) p->pos++;
    return k;
}

bool jp_skip(jparser *p, jtok type)
{
    if (!jp_is(p, type)) return false;
    jp_next(p);
    return true;
}

bool jp_skip_name(jparser *p, const char *name)
{
    if (!jp_is_name(p, name)) return false;
    jp_next(p);
    return true;
}

bool jp_expect(jparser *p, jtok type, const char *what)
{
    char buf[64];
    if (jp_skip(p, type)) return true;
    jp_fail(p, &p->tok[p->pos], "expected %s, found %s", what, jinja_token_text(&p->tok[p->pos], buf));
    return false;
}

bool jp_deeper(jparser *p)
{
    const jtoken *k = &p->tok[p->pos];
    if (++p->depth <= JINJA_MAX_NESTING) return true;
    p->depth--;
    p->status = sc_fail(SC_ELIMIT, "%s: line %d, column %d: nested deeper than %d levels", p->t->what, k->line,
                        k->col, JINJA_MAX_NESTING);
    return false;
}

/* ---- statements ---- */

static jnode *body(jparser *p, const char *const *end, const jtoken *opened);

/* The end tag's colon, then the body up to one of `end` (which stays the current token). */
static jnode *block(jparser *p, const char *const *end, const jtoken *opened)
{
    jp_skip(p, JT_COLON);
    if (!jp_expect(p, JT_BLOCK_END, "%}")) return NULL;
    return body(p, end, opened);
}

static jnode *block_to(jparser *p, const char *end, const jtoken *opened)
{
    const char *const ends[] = {end, NULL};
    jnode *n = block(p, ends, opened);
    if (n) jp_next(p);
    return n;
}

static jnode *parse_set(jparser *p)
{
    const jtoken *at = jp_next(p);
    jnode *target = jp_target(p, false, NULL, true);
    if (!target) return NULL;
    bool assign = jp_skip(p, JT_ASSIGN);
    jnode *n = jp_node(p, assign ? JN_ASSIGN : JN_SETBLOCK, at);
    if (!n) return NULL;
    n->a = target;
    if (assign) {
        n->b = jp_tuple(p, false, true, NULL, false, false);
        return n->b ? n : NULL;
    }
    if (jp_is(p, JT_PIPE) && !(n->b = jp_filter(p, NULL, false))) return NULL;
    n->d = block_to(p, "endset", at);
    return n->d ? n : NULL;
}

static jnode *parse_for(jparser *p)
{
    static const char *const ends[] = {"endfor", "else", NULL};
    const jtoken *at = jp_next(p);
    jnode *n = jp_node(p, JN_FOR, at);
    if (!n || !(n->a = jp_target(p, false, "in", false))) return NULL;
    if (!jp_skip_name(p, "in")) return jp_fail(p, &p->tok[p->pos], "expected \"in\" after the loop's variable");
    if (!(n->b = jp_tuple(p, false, false, "recursive", false, false))) return NULL;
    if (jp_skip_name(p, "if") && !(n->c = jp_expression(p, true))) return NULL;
    n->flag = jp_skip_name(p, "recursive");
    if (!(n->d = block(p, ends, at))) return NULL;
    if (token_is(jp_next(p), "else") && !(n->e = block_to(p, "endfor", at))) return NULL;
    return n;
}

static jnode *parse_if(jparser *p)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    const jtoken *at = jp_next(p), *opened = at;
    jnode *first = NULL, *last = NULL;
    for (;;) {
        jnode *n = jp_node(p, JN_IF, at);
        if (!n || !(n->a = jp_tuple(p, false, false, NULL, false, false)) || !(n->d = block(p, ends, opened)))
            return NULL;
        if (last)
            last->e = n;
        else
            first = n;
        last = n;
        at = jp_next(p);
        if (token_is(at, "elif")) continue;
        if (token_is(at, "else") && !(n->e = block_to(p, "endif", opened))) return NULL;
        return first;
    }
}

static jnode *parse_with(jparser *p)
{
    const jtoken *at = jp_next(p);
    jnode *n = jp_node(p, JN_WITH, at);
    int64_t cap = 0;
    if (!n) return NULL;
    while (!jp_is(p, JT_BLOCK_END)) {
        if (n->nkid && !jp_expect(p, JT_COMMA, "a comma")) return NULL;
        jnode *target = jp_target(p, false, NULL, false);
        if (!target) return NULL;
        if (target->kind == JN_NAME) target->op = JCTX_PARAM;
        for (int i = 0; i < target->nkid; i++) target->kid[i]->op = JCTX_PARAM;
        if (!jp_expect(p, JT_ASSIGN, "=")) return NULL;
        jnode *value = jp_expression(p, true);
        if (!value || !jp_push(p, &n->kid, &n->nkid, &cap, target) || !jp_push(p, &n->kid, &n->nkid, &cap, value))
            return NULL;
    }
    n->d = block_to(p, "endwith", at);
    return n->d ? n : NULL;
}

static bool parse_signature(jparser *p, jnode *n)
{
    int64_t cap = 0, cap2 = 0;
    if (!jp_expect(p, JT_LPAREN, "(")) return false;
    while (!jp_is(p, JT_RPAREN)) {
        if (n->nkid && !jp_expect(p, JT_COMMA, "a comma")) return false;
        const jtoken *at = &p->tok[p->pos];
        jnode *arg = jp_target(p, true, NULL, false);
        if (!arg) return false;
        arg->op = JCTX_PARAM;
        if (jp_skip(p, JT_ASSIGN)) {
            if (!jp_push(p, &n->kid2, &n->nkid2, &cap2, jp_expression(p, true))) return false;
        } else if (n->nkid2) {
            jp_fail(p, at, "a parameter without a default follows one with a default");
            return false;
        }
        for (int i = 0; i < n->nkid; i++) {
            if (n->kid[i]->name->n != arg->name->n ||
                memcmp(n->kid[i]->name->p, arg->name->p, (size_t)arg->name->n))
                continue;
            jp_fail(p, at, "this parameter is named twice");
            return false;
        }
        if (n->nkid >= 255) {
            jp_fail(p, at, "more than 255 parameters");
            return false;
        }
        if (!jp_push(p, &n->kid, &n->nkid, &cap, arg)) return false;
    }
    return jp_expect(p, JT_RPAREN, ")");
}

static jnode *parse_macro(jparser *p)
{
    const jtoken *at = jp_next(p);
    jnode *n = jp_node(p, JN_MACRO, at);
    jnode *name = n ? jp_target(p, true, NULL, false) : NULL;
    if (!name || !parse_signature(p, n)) return NULL;
    n->name = name->name;
    n->a = name;
    n->d = block_to(p, "endmacro", at);
    return n->d ? n : NULL;
}

static jnode *parse_call(jparser *p)
{
    const jtoken *at = jp_next(p);
    jnode *n = jp_node(p, JN_CALLBLOCK, at);
    if (!n || (jp_is(p, JT_LPAREN) && !parse_signature(p, n))) return NULL;
    if (!(n->a = jp_expression(p, true))) return NULL;
    if (n->a->kind != JN_CALL) return jp_fail(p, at, "{%% call %%} needs a call");
    n->d = block_to(p, "endcall", at);
    return n->d ? n : NULL;
}

static jnode *parse_generation(jparser *p)
{
    const jtoken *at = jp_next(p);
    jnode *n = jp_node(p, JN_CALLBLOCK, at);
    if (n) n->d = block_to(p, "endgeneration", at);
    return n && n->d ? n : NULL;
}

static jnode *parse_filter_block(jparser *p)
{
    const jtoken *at = jp_next(p);
    jnode *n = jp_node(p, JN_FILTERBLOCK, at);
    if (!n || !(n->a = jp_filter(p, NULL, true))) return NULL;
    n->d = block_to(p, "endfilter", at);
    return n->d ? n : NULL;
}

static jnode *parse_print(jparser *p)
{
    jnode *n = jp_node(p, JN_OUTPUT, jp_next(p));
    int64_t cap = 0;
    while (n && !jp_is(p, JT_BLOCK_END)) {
        if (n->nkid && !jp_expect(p, JT_COMMA, "a comma")) return NULL;
        if (!jp_push(p, &n->kid, &n->nkid, &cap, jp_expression(p, true))) return NULL;
    }
    return n;
}

static jnode *parse_autoescape(jparser *p)
{
    const jtoken *at = jp_next(p);
    jnode *n = jp_node(p, JN_SCOPE, at);
    if (!n || !(n->a = jp_expression(p, true))) return NULL;
    /* transformers renders with escaping off; a template that turns it on asks for other strings than these are. */
    if (n->a->kind != JN_CONST || jv_truth(NULL, n->a->value)) return jp_fail(p, at, "autoescape is not supported");
    n->d = block_to(p, "endautoescape", at);
    return n->d ? n : NULL;
}

static jnode *parse_block(jparser *p)
{
    const jtoken *at = jp_next(p), *name = &p->tok[p->pos];
    jnode *n = jp_node(p, JN_BLOCK, at);
    if (!n || !jp_expect(p, JT_NAME, "the block's name")) return NULL;
    if (!(n->name = jp_str(p, name->p, name->n))) return NULL;
    if (jp_is_name(p, "scoped") || jp_is_name(p, "required"))
        return jp_fail(p, at, "scoped and required blocks are not supported");
    if (!(n->d = block_to(p, "endblock", at))) return NULL;
    if (jp_is(p, JT_NAME) && p->tok[p->pos].n == n->name->n &&
        !memcmp(p->tok[p->pos].p, n->name->p, (size_t)n->name->n))
        jp_next(p);
    p->t->blocks = true;
    return n;
}

/* include, import, from, extends: there is no other template to reach; refused where such a statement is executed. */
static jnode *parse_other_template(jparser *p)
{
    const jtoken *at = jp_next(p);
    jnode *n = jp_node(p, JN_UNSUPPORTED, at);
    int64_t cap = 0;
    if (!n || !(n->name = jp_str(p, at->p, at->n)) || !jp_expression(p, true)) return NULL;
    while (!jp_is(p, JT_BLOCK_END)) {
        const jtoken *k = jp_next(p);
        if (k->type == JT_COMMA) continue;
        if (k->type != JT_NAME) return jp_fail(p, k, "this cannot stand in an %s statement", n->name->p);
        jnode *name = jp_node(p, JN_NAME, k);
        if (!name || !(name->name = jp_str(p, k->p, k->n))) return NULL;
        name->op = JCTX_STORE;
        if (*at->p == 'f' || (*at->p == 'i' && at->p[1] == 'm')) {
            if (!jp_push(p, &n->kid, &n->nkid, &cap, name)) return NULL;
        }
    }
    return n;
}

static jnode *parse_jump(jparser *p)
{
    const jtoken *at = jp_next(p);
    return jp_node(p, *at->p == 'b' ? JN_BREAK : JN_CONTINUE, at);
}

static jnode *statement(jparser *p, const char *const *end, const jtoken *opened)
{
    static const struct {
        const char *name;
        jnode *(*parse)(jparser *);
    } table[] = {
        {"for", parse_for},
        {"if", parse_if},
        {"set", parse_set},
        {"macro", parse_macro},
        {"call", parse_call},
        {"filter", parse_filter_block},
        {"with", parse_with},
        {"print", parse_print},
        {"break", parse_jump},
        {"continue", parse_jump},
        {"generation", parse_generation},
        {"autoescape", parse_autoescape},
        {"block", parse_block},
        {"include", parse_other_template},
        {"import", parse_other_template},
        {"from", parse_other_template},
        {"extends", parse_other_template},
    };
    char buf[64];
    const jtoken *k = &p->tok[p->pos];
    if (k->type != JT_NAME) return jp_fail(p, k, "expected the name of a tag");
    for (int i = 0; i < SC_COUNT(table); i++) {
        if (!token_is(k, table[i].name)) continue;
        if (!jp_deeper(p)) return NULL;
        jnode *n = table[i].parse(p);
        p->depth--;
        return n;
    }
    jinja_token_text(k, buf);
    if (!end) return jp_fail(p, k, "unknown tag %s", buf);
    return jp_fail(p, k, "unknown or misplaced tag %s; the tag of line %d still needs its {%% %s %%}", buf,
                   opened->line, end[0][0] == 'e' && end[1] && end[2] ? end[2] : end[0]);
}

/* Text, prints and statements up to a tag whose name is one of `end`, or to the end of the template. */
static jnode *body(jparser *p, const char *const *end, const jtoken *opened)
{
    jnode *n = jp_node(p, JN_BODY, &p->tok[p->pos]), *item = NULL;
    int64_t cap = 0;
    if (!n) return NULL;
    for (;;) {
        const jtoken *k = &p->tok[p->pos];
        if (k->type == JT_EOF) {
            if (end)
                return jp_fail(p, opened, "this tag is not closed: {%% %s %%} is missing",
                               end[1] && end[2] ? end[2] : end[0]);
            return n;
        }
        jp_next(p);
        if (k->type == JT_DATA) {
            item = jp_node(p, JN_DATA, k);
            if (item && !(item->name = jp_str(p, k->p, k->n))) return NULL;
        } else if (k->type == JT_VAR_BEGIN) {
            int64_t one = 0;
            item = jp_node(p, JN_OUTPUT, k);
            if (!item || !jp_push(p, &item->kid, &item->nkid, &one, jp_tuple(p, false, true, NULL, false, false)))
                return NULL;
            if (!jp_expect(p, JT_VAR_END, "}}")) return NULL;
        } else { /* JT_BLOCK_BEGIN: the lexer gives nothing else here */
            for (int i = 0; end && end[i]; i++) {
                if (jp_is_name(p, end[i])) return n;
            }
            item = statement(p, end, opened);
            if (item && !jp_expect(p, JT_BLOCK_END, "%}")) return NULL;
        }
        if (!jp_push(p, &n->kid, &n->nkid, &cap, item)) return NULL;
    }
}

sc_status jinja_parse(sc_template *t, const jtoken *tokens, int64_t count)
{
    jparser p = {.t = t, .tok = tokens, .count = count};
    t->root = body(&p, NULL, NULL);
    return t->root ? SC_OK : p.status;
}
