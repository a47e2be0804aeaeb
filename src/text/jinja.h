/* SPDX-License-Identifier: Apache-2.0 */
/* The Jinja interpreter behind socle/template.h.
 *
 * source -> tokens (jinja_lex.c) -> nodes (jinja_parse.c, jinja_expr.c) -> names bound to slots (jinja_scope.c)
 * -> evaluation (jinja_eval.c, jinja_call.c) over values (jinja_value.c, jinja_ops.c, jinja_iter.c).
 *
 * Jinja compiles templates to Python functions and decides at compile time which local variable a name is; what a
 * `set` inside a loop or a macro reaches follows from that, so names are bound here by the same rules: every
 * Python function is a jfn, its local variables are the slots of an activation (jact), closures point up.
 *
 * All values of one rendering live in one arena and are immutable once seen by the template, except namespaces,
 * iterators, cyclers, joiners and loops. Nothing is freed before the end; what may be taken is bounded. */
#ifndef SC_TEXT_JINJA_H
#define SC_TEXT_JINJA_H

#include "base/base.h"
#include "socle/template.h"

#define JINJA_MAX_SOURCE  (4 << 20)
#define JINJA_MAX_NESTING 200  /* of blocks and brackets in the source */
#define JINJA_MAX_HEIGHT  1000 /* of an expression's tree, chains of operators included */

/* ---- values ---- */

typedef enum jtype {
    J_MISSING, /* no value at all: an unset variable or argument; templates never see it */
    J_UNDEF,
    J_NONE,
    J_BOOL,
    J_INT,
    J_FLOAT,
    J_STR,
    J_LIST,
    J_TUPLE,
    J_DICT,
    J_RANGE,
    J_VIEW, /* dict.keys(), .values(), .items() */
    J_ITER, /* generators and iterators: consumed once */
    J_NS,
    J_MACRO,
    J_LOOP,
    J_FUNC,
    J_METHOD,
    J_CYCLER,
    J_JOINER,
} jtype;

typedef struct jstr {
    const char *p;
    int64_t n;     /* bytes */
    int64_t chars; /* code points */
    bool markup;   /* markupsafe.Markup, what |safe and |escape give */
} jstr;

typedef struct jlist jlist;
typedef struct jdict jdict;
typedef struct jiter jiter;
typedef struct jnode jnode;
typedef struct jact jact;
typedef struct jx jx;

typedef struct jv {
    jtype t;
    union {
        bool b;
        int64_t i;
        double f;
        const jstr *s;
        jlist *l;
        jdict *d; /* J_DICT, J_NS */
        struct jrange *r;
        struct jview *view;
        jiter *it;
        struct jundef *u; /* may be NULL */
        struct jmacro *macro;
        struct jloop *loop;
        const struct jfunc *func;
        struct jmethod *method;
        struct jcycler *cycler;
        struct jjoiner *joiner;
        const void *p;
    };
} jv;

struct jlist {
    jv *v;
    int64_t n, cap;
    bool group; /* groupby's pairs: attributes grouper and list */
};

typedef struct jentry {
    jv key, value;
    uint64_t hash;
} jentry;

struct jdict {
    jentry *e; /* in the order of insertion */
    int64_t n, cap;
    int64_t *index; /* n > 8: open addressing, entry + 1 */
    int64_t slots;
    uint64_t secret; /* of its hashes: the rendering's */
};

typedef struct jrange {
    int64_t start, stop, step, n;
} jrange;
typedef enum jview_kind { JVIEW_KEYS, JVIEW_VALUES, JVIEW_ITEMS } jview_kind;
typedef struct jview {
    jview_kind kind;
    jdict *d;
} jview;
typedef struct jundef {
    const char *message; /* what raising it says */
} jundef;
typedef struct jcycler {
    jlist *items;
    int64_t pos;
} jcycler;
typedef struct jjoiner {
    jv sep;
    bool used;
} jjoiner;
typedef struct jmacro {
    const jnode *node;
    jact *up;
    bool is_caller;
} jmacro;
typedef struct jmethod {
    jv self;
    const struct jfunc *func;
} jmethod;

typedef struct jloop {
    jv iterable;
    jiter *it;
    int64_t index0, length; /* length -1: not asked for yet */
    int64_t depth0;
    jv after, before, current; /* J_MISSING: none */
    jv changed;                /* the tuple last given to changed() */
    const jnode *recurse;      /* the recursive loop's node, or NULL */
    jact *act;
} jloop;

/* The arguments of one call. */
typedef struct jcall {
    jv *pos;
    int64_t npos;
    jdict *kw; /* NULL: none */
} jcall;

/* A function, method, filter or test in C. `params` names the parameters ("sep maxsplit"), a leading "/" makes them
 * positional only, NULL hands over the call as it is; `need` of them must be given. a[i] is J_MISSING where absent. */
typedef bool jcfun(jx *x, jv self, jv *a, const jcall *c, jv *out);
typedef struct jfunc {
    const char *name;
    jcfun *fun;
    const char *params;
    int need;
} jfunc;
#define JFUNC_MAX_PARAMS 6

/* ---- nodes ---- */

typedef enum jkind {
    /* expressions */
    JN_CONST,
    JN_NAME,
    JN_NSREF,
    JN_TUPLE,
    JN_LIST,
    JN_DICT, /* kid: key, value, key, value */
    JN_GETATTR,
    JN_GETITEM,
    JN_SLICE, /* a:b:c */
    JN_CALL,
    JN_FILTER,
    JN_TEST,
    JN_NOT,
    JN_NEG,
    JN_POS,
    JN_AND,
    JN_OR,
    JN_BINARY,
    JN_CONCAT,
    JN_COMPARE, /* a, then kid with ops */
    JN_COND,    /* b if a else c */
    /* statements */
    JN_BODY,
    JN_DATA,
    JN_OUTPUT,
    JN_ASSIGN,      /* a = b */
    JN_SETBLOCK,    /* a = captured d, through filter b */
    JN_FOR,         /* for a in b if c: d else e */
    JN_IF,          /* if a: d else e (an elif is an if alone in e) */
    JN_WITH,        /* kid: target, value, target, value; d */
    JN_MACRO,       /* kid: parameters; kid2: defaults of the last ones; d */
    JN_CALLBLOCK,   /* a: the call, NULL for {% generation %}; like a macro otherwise */
    JN_FILTERBLOCK, /* a: the filter, whose innermost operand is NULL; d */
    JN_SCOPE,       /* d: autoescape, whose switch a means nothing here */
    JN_BLOCK,       /* d, named */
    JN_BREAK,
    JN_CONTINUE,
    JN_UNSUPPORTED, /* include, import, extends: parsed, refused when reached */
} jkind;

typedef enum jop {
    JOP_ADD,
    JOP_SUB,
    JOP_MUL,
    JOP_DIV,
    JOP_FLOORDIV,
    JOP_MOD,
    JOP_POW,
    JOP_EQ,
    JOP_NE,
    JOP_LT,
    JOP_LE,
    JOP_GT,
    JOP_GE,
    JOP_IN,
    JOP_NOTIN,
} jop;

typedef enum jctx { JCTX_LOAD, JCTX_STORE, JCTX_PARAM } jctx;

typedef struct jnargs {
    jnode **pos;
    int npos;
    const jstr **key;
    jnode **kw;
    int nkw;
    jnode *star, *starstar;
} jnargs;

/* Where a name lives: `hops` activations up, slot `slot`; hops < 0: asked of the render's variables. */
typedef struct jref {
    int hops, slot;
} jref;

typedef enum jload { JLOAD_PARAM, JLOAD_RESOLVE, JLOAD_ALIAS, JLOAD_UNDEFINED } jload;

/* What entering a scope does to its variables. */
typedef struct jenter {
    jload how;
    int slot;
    const jstr *name; /* RESOLVE */
    jref from;        /* ALIAS */
} jenter;
typedef struct jframe {
    jenter *enter;
    int n;
} jframe;

/* One Python function of the compiled template. */
typedef struct jfn {
    int slots;
} jfn;

struct jact {
    jv *slot;
    jact *up;
};

struct jnode {
    jkind kind;
    int op;       /* jop, jctx */
    bool flag;    /* JN_FOR: recursive; JN_BLOCK: unused */
    bool special; /* JN_FOR: `loop` is used */
    int line, col;
    int height;
    jv value;         /* JN_CONST, JN_DATA */
    const jstr *name; /* JN_NAME, JN_GETATTR, filters, tests, macros */
    jref ref;
    jnode *a, *b, *c, *d, *e;
    jnode **kid, **kid2;
    int nkid, nkid2;
    int *ops;
    jnargs *args;
    const jfunc *func;            /* the filter or test; NULL: unknown */
    jfn *fn, *fn2;                /* macro, recursive loop, root, block; fn2: the loop's filter */
    jframe frame, frame2, frame3; /* own scope; a loop's else; a loop's filter */
    int slot_loop, slot_caller, slot_kwargs, slot_varargs; /* -1: not used */
};

struct sc_template {
    sc_arena *arena;
    char *what;
    jnode *root;
    bool blocks; /* has {% block %} */
    bool plain;  /* Jinja's defaults, not those of chat templates */
};

/* ---- lexer ---- */

typedef enum jtok {
    JT_EOF,
    JT_DATA,
    JT_BLOCK_BEGIN,
    JT_BLOCK_END,
    JT_VAR_BEGIN,
    JT_VAR_END,
    JT_NAME,
    JT_STRING,
    JT_INT,
    JT_FLOAT,
    JT_ADD,
    JT_SUB,
    JT_MUL,
    JT_DIV,
    JT_FLOORDIV,
    JT_MOD,
    JT_POW,
    JT_TILDE,
    JT_LBRACKET,
    JT_RBRACKET,
    JT_LPAREN,
    JT_RPAREN,
    JT_LBRACE,
    JT_RBRACE,
    JT_EQ,
    JT_NE,
    JT_GT,
    JT_GE,
    JT_LT,
    JT_LE,
    JT_ASSIGN,
    JT_DOT,
    JT_COLON,
    JT_PIPE,
    JT_COMMA,
    JT_SEMICOLON,
} jtok;

typedef struct jtoken {
    jtok type;
    int line, col;
    const char *p; /* DATA, NAME, STRING */
    int64_t n;
    int64_t i;
    double f;
} jtoken;

/* Cuts a whole template. *tokens (sc_free) ends with JT_EOF; their texts live in t's arena. */
sc_status jinja_lex(jtoken **tokens, int64_t *count, sc_template *t, const char *source, int64_t len);
const char *jinja_token_text(const jtoken *k, char buf[64]); /* for messages */

/* ---- parser ---- */

typedef struct jparser {
    sc_template *t;
    const jtoken *tok;
    int64_t pos, count;
    int depth;
    sc_status status;
} jparser;

sc_status jinja_parse(sc_template *t, const jtoken *tokens, int64_t count);
sc_status jinja_bind(sc_template *t); /* jinja_scope.c */

/* Shared by the two parser files. All return NULL or false after a failure, with p->status and the message set. */
void *jp_fail(jparser *p, const jtoken *at, const char *fmt, ...) SC_PRINTF(3, 4);
jnode *jp_node(jparser *p, jkind kind, const jtoken *at);
void *jp_alloc(jparser *p, int64_t n, size_t size);
const jstr *jp_str(jparser *p, const char *s, int64_t n);
jnode *jp_seal(jparser *p, jnode *n); /* sets the height from the operands, checks it */
bool jp_push(jparser *p, jnode ***v, int *n, int64_t *cap, jnode *item);
bool jp_is(const jparser *p, jtok type);
bool jp_is_name(const jparser *p, const char *name);
bool jp_skip(jparser *p, jtok type);
bool jp_skip_name(jparser *p, const char *name);
bool jp_expect(jparser *p, jtok type, const char *what);
const jtoken *jp_next(jparser *p);
bool jp_deeper(jparser *p); /* one level down; pair with p->depth-- */
jnode *jp_expression(jparser *p, bool with_cond);
jnode *jp_tuple(jparser *p, bool simplified, bool with_cond, const char *end, bool parens, bool ns);
jnode *jp_target(jparser *p, bool name_only, const char *end, bool ns);
jnode *jp_filter(jparser *p, jnode *n, bool inline_start);

/* ---- evaluation ---- */

struct jx {
    const sc_template *t;
    sc_arena *arena;
    int64_t memory, max_memory;
    int64_t steps, max_steps;
    int64_t depth, max_depth;
    int64_t max_output;
    sc_str *out;                 /* where statements write */
    const sc_str *text;          /* the rendered text, where its generations are wanted; else NULL */
    sc_template_span *generated; /* in it */
    int64_t n_generated, cap_generated;
    const jnode *at; /* for messages */
    jdict *vars;     /* the render's variables */
    jdict *exported; /* top-level assignments, for blocks; NULL without */
    jact *root;
    jv filter_input; /* what a filter block captured */
    int64_t now[6];
    bool has_now;
    uint64_t secret; /* of the hashes of dicts */
    sc_status status;
};

/* All functions below that return bool: false after a failure, with the message set. */
bool jx_fail(jx *x, sc_status code, const char *fmt, ...) SC_PRINTF(3, 4); /* always false */
void *jx_alloc(jx *x, int64_t n, int64_t size);                            /* zeroed; NULL after a failure */
bool jx_step(jx *x, int64_t n);                                            /* counts n steps */
bool jx_enter(jx *x); /* one level deeper; pair with x->depth-- */
bool jx_eval(jx *x, const jnode *n, jact *act, jv *out);
bool jx_run(jx *x, const jnode *body, jact *act);              /* statements, writing to x->out */
bool jx_capture(jx *x, const jnode *body, jact *act, jv *out); /* a body's output as a string */
bool jx_loop_call(jx *x, const jnode *n, jact *up, jv iterable, int64_t depth0, jv *out);
bool jx_assign(jx *x, const jnode *target, jact *act, jv value);
void jx_enter_frame(jx *x, const jframe *f, jact *act);
jact *jx_act(jx *x, const jfn *fn, jact *up);
jv jx_lookup(jx *x, const jstr *name); /* variables, then globals; J_MISSING */
bool jx_call(jx *x, jv callee, const jcall *c, jv *out);
bool jx_call_func(jx *x, const jfunc *f, jv self, const jcall *c, jv *out);
bool jx_call_filter(jx *x, jv name, jv value, const jcall *c, jv *out);
bool jx_call_test(jx *x, jv name, jv value, const jcall *c, bool *out);
bool jx_emit(jx *x, const char *p, int64_t n);

/* ---- making values ---- */

static inline jv jv_none(void) { return (jv){.t = J_NONE}; }
static inline jv jv_bool(bool b) { return (jv){.t = J_BOOL, .b = b}; }
static inline jv jv_int(int64_t i) { return (jv){.t = J_INT, .i = i}; }
static inline jv jv_float(double f) { return (jv){.t = J_FLOAT, .f = f}; }
static inline jv jv_s(const jstr *s) { return (jv){.t = J_STR, .s = s}; }
static inline jv jv_missing(void) { return (jv){.t = J_MISSING}; }

bool jv_str(jx *x, const char *p, int64_t n, jv *out);               /* copies */
bool jv_view(jx *x, const char *p, int64_t n, bool markup, jv *out); /* does not copy: p lives as long as x */
bool jv_cstr(jx *x, const char *literal, jv *out);
bool jv_take(jx *x, sc_str *s, jv *out); /* copies what s holds and frees it, also on failure */
bool jv_undef(jx *x, jv *out, const char *fmt, ...) SC_PRINTF(3, 4);
bool jv_list(jx *x, jtype t, int64_t n, jv *out); /* n elements, J_MISSING until set */
bool jlist_push(jx *x, jlist *l, jv v);
bool jdict_new(jx *x, jdict **out);
bool jdict_set(jx *x, jdict *d, jv key, jv value);
bool jdict_get(jx *x, const jdict *d, jv key, jv *out, bool *found);
jv *jdict_find(const jdict *d, const char *key, int64_t n); /* a string key; NULL */
bool jv_from_json(jx *x, const json_t *j, jv *out);

/* ---- what can be done with values ---- */

const char *jv_type_name(jv v);
bool jv_truth(jx *x, jv v);
bool jv_hash(jx *x, jv v, uint64_t *out);
bool jv_equal(jx *x, jv a, jv b, bool *out);
bool jv_less(jx *x, jv a, jv b, int op, bool *out); /* JOP_LT, LE, GT, GE */
bool jv_compare_op(jx *x, int op, jv a, jv b, bool *out);
bool jv_binary(jx *x, int op, jv a, jv b, jv *out);
bool jv_unary(jx *x, bool negative, jv a, jv *out);
bool jv_contains(jx *x, jv container, jv item, bool *out);
bool jv_len(jx *x, jv v, int64_t *out, bool *sized); /* sized false: has no length, not a failure */
bool jv_getattr(jx *x, jv v, const jstr *name, jv *out);
bool jv_attr(jx *x, jv v, const jstr *name, jv *out, bool *found); /* Python's attributes alone */
bool jv_getitem(jx *x, jv v, jv key, jv *out);
bool jv_slice(jx *x, jv v, jv lo, jv hi, jv step, jv *out);
bool jv_is_number(jv v, double *out);    /* bool, int, float */
bool jv_is_int(jv v, int64_t *out);      /* bool, int */
bool jx_undefined_error(jx *x, jv u);    /* raises it */
bool jx_defined(jx *x, jv v);            /* false, raised: v is undefined where that may not be used (plain) */
bool jx_args_list(jx *x, jv v, jv *out); /* list(v) */

typedef struct jjson {
    bool ascii, sort;
    const char *indent; /* NULL: one line */
    int64_t indent_n;
    const char *item, *key;
    int64_t item_n, key_n;
} jjson;

bool jv_to_str(jx *x, jv v, jv *out);             /* str(v) */
bool jv_soft_str(jx *x, jv v, jv *out);           /* str(v), keeping Markup */
bool jv_write(jx *x, sc_str *s, jv v, bool repr); /* str(v) or repr(v), appended */
bool jv_write_json(jx *x, sc_str *s, jv v, const jjson *o, int level);
void jv_write_float(sc_str *s, double f);
bool jstr_ok(jx *x, const sc_str *s); /* not out of memory, within the limits */

/* ---- iterators (jinja_iter.c) ---- */

typedef bool jnext(jx *x, jiter *it, jv *out, bool *more);
struct jiter {
    jnext *next;
    jv source;
    jiter *in;
    int64_t pos, stop, step;
    const jfunc *func;
    jv name, attr, fill;
    jcall call;
    bool negate, by_attr, started;
    jdict *seen;
    const jnode *node;
    jact *act;
};
bool jiter_new(jx *x, jv v, jiter **out); /* iter(v) */
bool jiter_able(jv v);
bool jiter_next(jx *x, jiter *it, jv *out, bool *more);
bool jiter_make(jx *x, jnext *next, jv source, jiter **out);
bool jiter_reversed(jx *x, jv v, jiter **out, bool *able);

/* ---- strings (jinja_str.c, jinja_unicode.c) ---- */

bool juni_space(uint32_t c);
bool juni_word(uint32_t c);
bool juni_digit(uint32_t c);
bool juni_decimal(uint32_t c);
bool juni_numeric(uint32_t c);
bool juni_alpha(uint32_t c);
bool juni_linebreak(uint32_t c);
bool juni_printable(uint32_t c);
bool juni_lower_case(uint32_t c);
bool juni_upper_case(uint32_t c);
typedef enum jcase { JCASE_UPPER, JCASE_LOWER, JCASE_TITLE, JCASE_CAPITALIZE, JCASE_SWAP, JCASE_FOLD } jcase;
void juni_case(sc_str *s, const char *p, int64_t n, jcase how);
int64_t jstr_offset(const jstr *s, int64_t index); /* byte offset of a code point index, 0 to chars */
void jstr_strip(const char **p, int64_t *n, bool left, bool right); /* white space */
bool jstr_escape(jx *x, jv v, jv *out);                             /* markupsafe.escape */
bool jstr_replace(jx *x, const jstr *s, const jstr *from, const jstr *to, int64_t count, jv *out);
bool jstr_percent(jx *x, const jstr *f, jv args, jv *out); /* f % args */
bool jstr_format(jx *x, const jstr *f, const jcall *c, jv *out);
bool jstr_lines(jx *x, const jstr *s, bool keep, jv *out);
bool jstr_join(jx *x, const jstr *sep, jv items, bool coerce, jv *out);
bool jv_format_spec(jx *x, sc_str *s, jv v, const char *spec, int64_t n);
void jstr_pad(sc_str *s, const char *p, int64_t n, int64_t chars, int64_t width, char align, const char *fill,
              int fn);

const jfunc *jinja_method(jtype t, const char *name, int64_t n, bool *mutates);
const jfunc *jinja_filter(const sc_template *t, const char *name, int64_t n);
const jfunc *jinja_filter_seq(const char *name, int64_t n);
const jfunc *jinja_test(const char *name, int64_t n);
const jfunc *jinja_global(const char *name, int64_t n);
bool jx_parse_int(const char *p, int64_t n, int base, int64_t *out, bool *overflow);
bool jx_parse_float(const char *p, int64_t n, double *out);
bool jx_arg_int(jx *x, jv v, const char *what, int64_t *out);
bool jx_arg_str(jx *x, jv v, const char *what, const jstr **out);
bool jx_loop_attr(jx *x, jloop *l, const jstr *name, jv *out, bool *found);
bool jx_loop_length(jx *x, jloop *l, int64_t *out);

#endif
