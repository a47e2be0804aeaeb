/* SPDX-License-Identifier: Apache-2.0 */
/* Parses expressions. From loose to tight: if-else, or, and, not, comparisons, + -, ~, * / // %, **, unary, postfix,
 * filters and tests. */
#include "text/jinja.h"

static jnode *unary(jparser *p, bool filters);

static jnode *binary(jparser *p, jkind kind, int op, const jtoken *at, jnode *a, jnode *b)
{
    jnode *n = a && b ? jp_node(p, kind, at) : NULL;
    if (!n) return NULL;
    n->op = op;
    n->a = a;
    n->b = b;
    return jp_seal(p, n);
}

static jnode *parse_pow(jparser *p)
{
    jnode *left = unary(p, true);
    while (left && jp_is(p, JT_POW)) {
        const jtoken *at = jp_next(p);
        left = binary(p, JN_BINARY, JOP_POW, at, left, unary(p, true));
    }
    return left;
}

static jnode *parse_product(jparser *p)
{
    jnode *left = parse_pow(p);
    while (left && (jp_is(p, JT_MUL) || jp_is(p, JT_DIV) || jp_is(p, JT_FLOORDIV) || jp_is(p, JT_MOD))) {
        const jtoken *at = jp_next(p);
        int op = at->type == JT_MUL   ? JOP_MUL
                 : at->type == JT_DIV ? JOP_DIV
                 : at->type == JT_MOD ? JOP_MOD
                                      : JOP_FLOORDIV;
        left = binary(p, JN_BINARY, op, at, left, parse_pow(p));
    }
    return left;
}

static jnode *parse_concat(jparser *p)
{
    const jtoken *at = &p->tok[p->pos];
    jnode *left = parse_product(p);
    if (!left || !jp_is(p, JT_TILDE)) return left;
    jnode *n = jp_node(p, JN_CONCAT, at);
    int64_t cap = 0;
    if (!n || !jp_push(p, &n->kid, &n->nkid, &cap, left)) return NULL;
    while (jp_skip(p, JT_TILDE)) {
        if (!jp_push(p, &n->kid, &n->nkid, &cap, parse_product(p))) return NULL;
    }
    return jp_seal(p, n);
}

static jnode *parse_sum(jparser *p)
{
    jnode *left = parse_concat(p);
    while (left && (jp_is(p, JT_ADD) || jp_is(p, JT_SUB))) {
        const jtoken *at = jp_next(p);
        left = binary(p, JN_BINARY, at->type == JT_ADD ? JOP_ADD : JOP_SUB, at, left, parse_concat(p));
    }
    return left;
}

static int compare_op(jparser *p)
{
    static const struct {
        jtok tok;
        jop op;
    } ops[] = {{JT_EQ, JOP_EQ}, {JT_NE, JOP_NE}, {JT_LT, JOP_LT},
               {JT_LE, JOP_LE}, {JT_GT, JOP_GT}, {JT_GE, JOP_GE}};
    for (int i = 0; i < SC_COUNT(ops); i++) {
        if (jp_skip(p, ops[i].tok)) return ops[i].op;
    }
    if (jp_skip_name(p, "in")) return JOP_IN;
    if (!jp_is_name(p, "not")) return -1;
    jp_next(p);
    if (jp_skip_name(p, "in")) return JOP_NOTIN;
    p->pos--;
    return -1;
}

static jnode *parse_compare(jparser *p)
{
    const jtoken *at = &p->tok[p->pos];
    jnode *left = parse_sum(p), *n = NULL;
    int64_t cap = 0, ops_cap = 0;
    int op;
    while (left && (op = compare_op(p)) >= 0) {
        if (!n) {
            if (!(n = jp_node(p, JN_COMPARE, at))) return NULL;
            n->a = left;
        }
        if (n->nkid >= ops_cap) {
            int64_t more = ops_cap ? ops_cap * 2 : 2;
            int *grown = jp_alloc(p, more, sizeof(*grown));
            if (!grown) return NULL;
            if (n->nkid) memcpy(grown, n->ops, (size_t)n->nkid * sizeof(*grown));
            n->ops = grown;
            ops_cap = more;
        }
        n->ops[n->nkid] = op;
        if (!jp_push(p, &n->kid, &n->nkid, &cap, parse_sum(p))) return NULL;
    }
    return n ? jp_seal(p, n) : left;
}

static jnode *parse_not(jparser *p)
{
    if (!jp_is_name(p, "not")) return parse_compare(p);
    const jtoken *at = jp_next(p);
    jnode *n = jp_node(p, JN_NOT, at);
    if (!n || !jp_deeper(p)) return NULL;
    n->a = parse_not(p);
    p->depth--;
    return n->a ? jp_seal(p, n) : NULL;
}

static jnode *parse_and(jparser *p)
{
    jnode *left = parse_not(p);
    while (left && jp_is_name(p, "and")) {
        const jtoken *at = jp_next(p);
        left = binary(p, JN_AND, 0, at, left, parse_not(p));
    }
    return left;
}

static jnode *parse_or(jparser *p)
{
    jnode *left = parse_and(p);
    while (left && jp_is_name(p, "or")) {
        const jtoken *at = jp_next(p);
        left = binary(p, JN_OR, 0, at, left, parse_and(p));
    }
    return left;
}

static jnode *parse_cond(jparser *p)
{
    jnode *left = parse_or(p);
    while (left && jp_is_name(p, "if")) {
        const jtoken *at = jp_next(p);
        jnode *n = jp_node(p, JN_COND, at);
        if (!n || !(n->a = parse_or(p))) return NULL;
        n->b = left;
        if (jp_skip_name(p, "else")) {
            if (!jp_deeper(p)) return NULL;
            n->c = parse_cond(p);
            p->depth--;
            if (!n->c) return NULL;
        }
        left = jp_seal(p, n);
    }
    return left;
}

jnode *jp_expression(jparser *p, bool with_cond)
{
    if (!jp_deeper(p)) return NULL;
    jnode *n = with_cond ? parse_cond(p) : parse_or(p);
    p->depth--;
    return n;
}

/* ---- primaries ---- */

static jnode *parse_list(jparser *p, bool dict)
{
    const jtoken *at = jp_next(p);
    jtok end = dict ? JT_RBRACE : JT_RBRACKET;
    jnode *n = jp_node(p, dict ? JN_DICT : JN_LIST, at);
    int64_t cap = 0;
    if (!n) return NULL;
    while (!jp_is(p, end)) {
        if (n->nkid && !jp_expect(p, JT_COMMA, dict ? "a comma or }" : "a comma or ]")) return NULL;
        if (jp_is(p, end)) break;
        if (!jp_push(p, &n->kid, &n->nkid, &cap, jp_expression(p, true))) return NULL;
        if (!dict) continue;
        if (!jp_expect(p, JT_COLON, "a colon")) return NULL;
        if (!jp_push(p, &n->kid, &n->nkid, &cap, jp_expression(p, true))) return NULL;
    }
    jp_next(p);
    return jp_seal(p, n);
}

static bool name_is(const jtoken *k, const char *a)
{
    return k->n == (int64_t)strlen(a) && !memcmp(k->p, a, (size_t)k->n);
}

static jnode *parse_name(jparser *p, bool ns)
{
    const jtoken *k = jp_next(p);
    bool yes = name_is(k, "true") || name_is(k, "True"), no = name_is(k, "false") || name_is(k, "False");
    if (yes || no || name_is(k, "none") || name_is(k, "None")) {
        jnode *n = jp_node(p, JN_CONST, k);
        if (n) n->value = yes || no ? jv_bool(yes) : jv_none();
        return n;
    }
    bool ref = ns && jp_is(p, JT_DOT);
    jnode *n = jp_node(p, ref ? JN_NSREF : JN_NAME, k);
    if (!n || !(n->name = jp_str(p, k->p, k->n))) return NULL;
    if (!ref) return n;
    jp_next(p);
    k = &p->tok[p->pos];
    if (!jp_expect(p, JT_NAME, "an attribute's name")) return NULL;
    const jstr *attr = jp_str(p, k->p, k->n);
    if (!attr) return NULL;
    n->value = jv_s(attr);
    return n;
}

static jnode *parse_string(jparser *p)
{
    jnode *n = jp_node(p, JN_CONST, &p->tok[p->pos]);
    sc_str s = {0};
    while (jp_is(p, JT_STRING)) {
        const jtoken *k = jp_next(p);
        sc_str_append(&s, k->p, k->n);
    }
    const jstr *v = n && !s.oom ? jp_str(p, s.p, s.len) : NULL;
    if (s.oom) p->status = sc_nomem();
    sc_str_free(&s);
    if (!v) return NULL;
    n->value = jv_s(v);
    return n;
}

static jnode *primary(jparser *p, bool ns)
{
    char buf[64];
    const jtoken *k = &p->tok[p->pos];
    jnode *n;
    switch (k->type) {
    case JT_NAME: return parse_name(p, ns);
    case JT_STRING: return parse_string(p);
    case JT_INT:
    case JT_FLOAT:
        jp_next(p);
        n = jp_node(p, JN_CONST, k);
        if (n) n->value = k->type == JT_INT ? jv_int(k->i) : jv_float(k->f);
        return n;
    case JT_LPAREN:
        jp_next(p);
        if (!jp_deeper(p)) return NULL;
        n = jp_tuple(p, false, true, NULL, true, false);
        p->depth--;
        return n && jp_expect(p, JT_RPAREN, ")") ? n : NULL;
    case JT_LBRACKET: return parse_list(p, false);
    case JT_LBRACE: return parse_list(p, true);
    default: return jp_fail(p, k, "expected an expression, found %s", jinja_token_text(k, buf));
    }
}

jnode *jp_tuple(jparser *p, bool simplified, bool with_cond, const char *end, bool parens, bool ns)
{
    char buf[64];
    const jtoken *at = &p->tok[p->pos];
    jnode **v = NULL;
    int n = 0;
    int64_t cap = 0;
    bool is_tuple = false;
    for (;;) {
        if (n && !jp_expect(p, JT_COMMA, "a comma")) return NULL;
        if (jp_is(p, JT_VAR_END) || jp_is(p, JT_BLOCK_END) || jp_is(p, JT_RPAREN) || (end && jp_is_name(p, end)))
            break;
        if (!jp_push(p, &v, &n, &cap, simplified ? primary(p, ns) : jp_expression(p, with_cond))) return NULL;
        if (!jp_is(p, JT_COMMA)) break;
        is_tuple = true;
    }
    if (!is_tuple && n) return v[0];
    if (!is_tuple && !parens) {
        at = &p->tok[p->pos];
        return jp_fail(p, at, "expected an expression, found %s", jinja_token_text(at, buf));
    }
    jnode *t = jp_node(p, JN_TUPLE, at);
    if (!t) return NULL;
    t->kid = v;
    t->nkid = n;
    return jp_seal(p, t);
}

static bool store(jparser *p, jnode *n, const jtoken *at)
{
    if (n->kind == JN_NAME) {
        n->op = JCTX_STORE;
        return true;
    }
    if (n->kind == JN_NSREF) return true;
    if (n->kind != JN_TUPLE) {
        jp_fail(p, at, "this cannot be assigned to");
        return false;
    }
    for (int i = 0; i < n->nkid; i++) {
        if (!store(p, n->kid[i], at)) return false;
    }
    return true;
}

jnode *jp_target(jparser *p, bool name_only, const char *end, bool ns)
{
    const jtoken *at = &p->tok[p->pos];
    jnode *n;
    if (name_only) {
        if (!jp_expect(p, JT_NAME, "a name")) return NULL;
        p->pos--;
        n = parse_name(p, false);
    } else {
        n = jp_tuple(p, true, true, end, false, ns);
    }
    return n && store(p, n, at) ? n : NULL;
}

/* ---- postfix: attributes, items, calls, filters, tests ---- */

static jnode *subscribed(jparser *p)
{
    const jtoken *at = &p->tok[p->pos];
    jnode *lo = NULL;
    if (!jp_is(p, JT_COLON)) {
        lo = jp_expression(p, true);
        if (!lo || !jp_is(p, JT_COLON)) return lo;
    }
    jp_next(p);
    jnode *n = jp_node(p, JN_SLICE, at);
    if (!n) return NULL;
    n->a = lo;
    if (!jp_is(p, JT_COLON) && !jp_is(p, JT_RBRACKET) && !jp_is(p, JT_COMMA) && !(n->b = jp_expression(p, true)))
        return NULL;
    if (jp_skip(p, JT_COLON) && !jp_is(p, JT_RBRACKET) && !jp_is(p, JT_COMMA) && !(n->c = jp_expression(p, true)))
        return NULL;
    return jp_seal(p, n);
}

static jnode *subscript(jparser *p, jnode *of)
{
    const jtoken *at = jp_next(p);
    if (at->type == JT_DOT) {
        const jtoken *k = jp_next(p);
        if (k->type != JT_NAME && k->type != JT_INT)
            return jp_fail(p, k, "expected a name or a number after the dot");
        jnode *n = jp_node(p, k->type == JT_NAME ? JN_GETATTR : JN_GETITEM, at);
        if (!n) return NULL;
        n->a = of;
        if (k->type == JT_NAME) {
            if (!(n->name = jp_str(p, k->p, k->n))) return NULL;
        } else {
            if (!(n->b = jp_node(p, JN_CONST, k))) return NULL;
            n->b->value = jv_int(k->i);
        }
        return jp_seal(p, n);
    }
    jnode *n = jp_node(p, JN_GETITEM, at), *t = jp_node(p, JN_TUPLE, at);
    int64_t cap = 0;
    if (!n || !t) return NULL;
    while (!jp_is(p, JT_RBRACKET)) {
        if (t->nkid && !jp_expect(p, JT_COMMA, "a comma or ]")) return NULL;
        if (!jp_push(p, &t->kid, &t->nkid, &cap, subscribed(p))) return NULL;
    }
    jp_next(p);
    n->a = of;
    n->b = t->nkid == 1 ? t->kid[0] : jp_seal(p, t);
    return n->b ? jp_seal(p, n) : NULL;
}

static bool keyword(jparser *p, jnargs *a, int64_t *cap, int64_t *key_cap)
{
    const jtoken *k = jp_next(p);
    jp_next(p);
    if (a->nkw >= *key_cap) {
        int64_t more = *key_cap ? *key_cap * 2 : 4;
        const jstr **grown = jp_alloc(p, more, sizeof(*grown));
        if (!grown) return false;
        if (a->nkw) memcpy(grown, a->key, (size_t)a->nkw * sizeof(*grown));
        a->key = grown;
        *key_cap = more;
    }
    const jstr *name = jp_str(p, k->p, k->n);
    if (!name) return false;
    for (int i = 0; i < a->nkw && i < 64; i++) {
        if (a->key[i]->n != name->n || memcmp(a->key[i]->p, name->p, (size_t)name->n)) continue;
        jp_fail(p, k, "the keyword argument \"%s\" is given twice", name->p);
        return false;
    }
    a->key[a->nkw] = name;
    return jp_push(p, &a->kw, &a->nkw, cap, jp_expression(p, true));
}

static jnargs *call_args(jparser *p)
{
    const jtoken *at = jp_next(p);
    jnargs *a = jp_alloc(p, 1, sizeof(*a));
    int64_t cap = 0, kw_cap = 0, key_cap = 0;
    if (!a) return NULL;
    for (bool comma = false; !jp_is(p, JT_RPAREN); comma = true) {
        if (comma) {
            if (!jp_expect(p, JT_COMMA, "a comma or )")) return NULL;
            if (jp_is(p, JT_RPAREN)) break;
        }
        bool ok = true;
        if (jp_skip(p, JT_MUL)) {
            ok = !a->star && !a->starstar;
            if (ok && !(a->star = jp_expression(p, true))) return NULL;
        } else if (jp_skip(p, JT_POW)) {
            ok = !a->starstar;
            if (ok && !(a->starstar = jp_expression(p, true))) return NULL;
        } else if (jp_is(p, JT_NAME) && p->tok[p->pos + 1].type == JT_ASSIGN) {
            ok = !a->starstar;
            if (ok && !keyword(p, a, &kw_cap, &key_cap)) return NULL;
        } else {
            ok = !a->star && !a->starstar && !a->nkw;
            if (ok && !jp_push(p, &a->pos, &a->npos, &cap, jp_expression(p, true))) return NULL;
        }
        if (!ok) return jp_fail(p, at, "the arguments of this call are in the wrong order");
    }
    jp_next(p);
    return a;
}

static jnode *call(jparser *p, jnode *of)
{
    jnode *n = jp_node(p, JN_CALL, &p->tok[p->pos]);
    if (!n || !(n->args = call_args(p))) return NULL;
    n->a = of;
    return jp_seal(p, n);
}

static jnode *postfix(jparser *p, jnode *n)
{
    while (n) {
        if (jp_is(p, JT_DOT) || jp_is(p, JT_LBRACKET))
            n = subscript(p, n);
        else if (jp_is(p, JT_LPAREN))
            n = call(p, n);
        else
            break;
    }
    return n;
}

/* The name of a filter or test, which may have dots. */
static bool dotted(jparser *p, jnode *n)
{
    sc_str s = {0};
    const jtoken *k = &p->tok[p->pos];
    if (!jp_expect(p, JT_NAME, "a name")) return false;
    sc_str_append(&s, k->p, k->n);
    while (jp_skip(p, JT_DOT)) {
        k = &p->tok[p->pos];
        if (!jp_expect(p, JT_NAME, "a name")) {
            sc_str_free(&s);
            return false;
        }
        sc_str_putc(&s, '.');
        sc_str_append(&s, k->p, k->n);
    }
    n->name = s.oom ? NULL : jp_str(p, s.p, s.len);
    if (s.oom) p->status = sc_nomem();
    sc_str_free(&s);
    return n->name != NULL;
}

jnode *jp_filter(jparser *p, jnode *of, bool inline_start)
{
    while (inline_start || jp_is(p, JT_PIPE)) {
        if (!inline_start) jp_next(p);
        inline_start = false;
        jnode *n = jp_node(p, JN_FILTER, &p->tok[p->pos]);
        if (!n || !dotted(p, n)) return NULL;
        if (jp_is(p, JT_LPAREN) && !(n->args = call_args(p))) return NULL;
        n->a = of;
        if (!(of = jp_seal(p, n))) return NULL;
    }
    return of;
}

static jnode *test(jparser *p, jnode *of)
{
    const jtoken *at = jp_next(p);
    bool negated = jp_skip_name(p, "not");
    jnode *n = jp_node(p, JN_TEST, at);
    if (!n || !dotted(p, n)) return NULL;
    const jtoken *k = &p->tok[p->pos];
    if (k->type == JT_LPAREN) {
        if (!(n->args = call_args(p))) return NULL;
    } else if ((k->type == JT_NAME || k->type == JT_STRING || k->type == JT_INT || k->type == JT_FLOAT ||
                k->type == JT_LBRACKET || k->type == JT_LBRACE) &&
               !jp_is_name(p, "else") && !jp_is_name(p, "or") && !jp_is_name(p, "and")) {
        if (jp_is_name(p, "is")) return jp_fail(p, k, "tests cannot be chained with \"is\"");
        int64_t cap = 0;
        if (!(n->args = jp_alloc(p, 1, sizeof(*n->args)))) return NULL;
        if (!jp_deeper(p)) return NULL;
        jnode *arg = postfix(p, primary(p, false));
        p->depth--;
        if (!jp_push(p, &n->args->pos, &n->args->npos, &cap, arg)) return NULL;
    }
    n->a = of;
    if (!jp_seal(p, n) || !negated) return n->height > JINJA_MAX_HEIGHT ? NULL : n;
    jnode *not = jp_node(p, JN_NOT, at);
    if (!not ) return NULL;
    not ->a = n;
    return jp_seal(p, not );
}

static jnode *unary(jparser *p, bool filters)
{
    jnode *n;
    if (jp_is(p, JT_SUB) || jp_is(p, JT_ADD)) {
        const jtoken *at = jp_next(p);
        n = jp_node(p, at->type == JT_SUB ? JN_NEG : JN_POS, at);
        if (!n || !jp_deeper(p)) return NULL;
        n->a = unary(p, false);
        p->depth--;
        n = n->a ? jp_seal(p, n) : NULL;
    } else {
        n = primary(p, false);
    }
    n = postfix(p, n);
    while (filters && n) {
        if (jp_is(p, JT_PIPE))
            n = jp_filter(p, n, false);
        else if (jp_is_name(p, "is"))
            n = test(p, n);
        else if (jp_is(p, JT_LPAREN))
            n = call(p, n);
        else
            break;
    }
    return n;
}
