/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs of tensors, and the plans that run them.
 *
 * A model is a function that appends nodes to a graph, once for each shape. The planner turns what the wanted outputs
 * need into steps; a backend runs the steps as often as wanted. Positions, lengths and tables are inputs, so one plan
 * serves every step of a generation.
 *
 * Building is sticky: an operation given NULL or misfit shapes returns NULL and the graph keeps the first fault with
 * its operation, shapes and scope; sc_plan_new returns it. So code that builds has no checks.
 *
 * Ownership: nodes, names and attributes live in the graph's arena; storage is a refcounted buffer; a plan borrows its
 * graph and backend, which must outlive it. A graph and its plans have one owner (one thread at a time). */
#ifndef SC_TENSOR_INTERNAL_H
#define SC_TENSOR_INTERNAL_H

#include "base/base.h"
#include "socle/tensor.h"
#include "tensor/unary.h"

#include <stdio.h>

enum { SC_MAX_INPUTS = 16 };

typedef struct sc_tensor sc_tensor;
typedef struct sc_graph sc_graph;
typedef struct sc_step sc_step;
typedef struct sc_plan sc_plan;
typedef struct sc_backend sc_backend;
struct sc_gradients;

/* ---- shapes (shape.c) ---- */

typedef struct sc_shape {
    int rank;
    int64_t dim[SC_MAX_RANK]; /* outermost first */
} sc_shape;

/* Elements; -1 where the rank or a dimension is out of range or the product does not fit. */
int64_t sc_shape_elements(const sc_shape *s);
bool sc_shape_equal(const sc_shape *a, const sc_shape *b);
#define SC_SHAPE_TEXT 128
/* "(2, 16, 300)", into text[SC_SHAPE_TEXT]; returns text. */
char *sc_shape_text(const sc_shape *s, char *text);

/* ---- storage: where a leaf's values are ---- */

/* Values of type `dtype` at `data`, kept alive by `buffer`. Strides are in elements; the last axis of a block type has
 * stride 1. */
typedef struct sc_storage {
    sc_dtype dtype;
    int64_t stride[SC_MAX_RANK];
    void *data;
    sc_buffer *buffer;
    /* Of a stack of matrices that do not lie evenly spaced: where each begins, data being the first. For operations that
     * say so. */
    const void *const *part;
} sc_storage;

/* ---- operations ---- */

typedef struct sc_cost {
    double flops; /* floating-point operations, a multiply-add being two */
    double bytes; /* read and written at least once each */
} sc_cost;

/* An operation, whole: its shape rule, its cost, and how it may swallow the one node that uses it. Its attributes are
 * a struct of its own. */
typedef struct sc_op {
    const char *name;
    int id; /* SC_OP_… of ops.def: the backends' tables are indexed by it */
    /* Fills y->dtype and y->shape from y->in and y->attr, or fails. Views also fill stride, view_of and offset. */
    sc_status (*infer)(sc_tensor *y);
    sc_cost (*cost)(const sc_step *s);
    /* NULL, or: `s` is the only maker and `user` the only user of a tensor. May rewrite `s` to do the work of both and
     * return true; s->out becomes user's. */
    bool (*absorb)(sc_step *s, const sc_step *user);
    /* How gradients pass back, as formulas; "none: " and the reason where they do not. dy is the gradient of the result, da
     * that of an input a. */
    const char *derivative;
    /* Appends those formulas to the graph: sc_gradient_add for each input that wants its gradient (ops.h). NULL with
     * "none". */
    void (*backward)(struct sc_gradients *b, sc_tensor *y, sc_tensor *dy);
    unsigned optional; /* bit i: input i may be absent */
    bool constant;     /* its result counts as one: gradients go no further */
    bool view;         /* another look at in[0]'s storage: no work */
    unsigned in_place; /* bit i: out may be the storage of in[i] when that is not needed again */
} sc_op;

typedef enum sc_leaf { SC_NODE, SC_INPUT, SC_PARAM, SC_STATE } sc_leaf;

struct sc_tensor {
    const sc_op *op; /* what makes it; NULL: a leaf */
    sc_leaf leaf;    /* SC_INPUT: written by the caller before each run. SC_PARAM: constant. SC_STATE: kept between
                        runs and written by operations (caches) */
    sc_graph *graph;
    const char *name; /* scope and name; "" without */
    int id;
    sc_dtype dtype;
    sc_shape shape;
    int64_t stride[SC_MAX_RANK]; /* elements */
    sc_tensor *in[SC_MAX_INPUTS];
    int n_in;
    const void *attr;
    const sc_tensor *after; /* not to be made before this one is, though it could be; NULL: as soon as it can */
    sc_tensor *view_of;     /* the tensor whose storage this one looks at, never itself a view; NULL: own storage */
    int64_t view_start;     /* elements from its beginning */
    sc_storage storage;     /* of SC_PARAM and SC_STATE */
};

/* Attributes of an operation, typed: SC_ATTR(y, sc_attention_attr)->causal. */
#define SC_ATTR(y, type) ((const type *)(y)->attr)

bool sc_is_contiguous(const sc_tensor *t);
/* Last axis dense, whatever the others. */
bool sc_rows_dense(const sc_tensor *t);

/* ---- parameters: asked for by name ---- */

typedef struct sc_init {
    enum {
        SC_INIT_NORMAL,
        SC_INIT_ZEROS,
        SC_INIT_ONES,
        SC_INIT_UNIFORM,     /* within lo … hi */
        SC_INIT_LOG_UNIFORM, /* the logarithm of that */
        SC_INIT_LOG_COUNT,   /* log 1, log 2, … along the last axis */
        SC_INIT_STEPS, /* what softplus makes steps of, whose logarithms are uniform within log lo … log hi */
    } kind;
    float std; /* of SC_INIT_NORMAL */
    float lo, hi;
} sc_init;

/* What is made of a stored parameter once, when a model is opened. */
typedef enum sc_form {
    SC_FORM_STORED,  /* nothing */
    SC_FORM_COLUMNS, /* it is read along its columns too, so a block type is unpacked */
    SC_FORM_TAPS,    /* f32 (C, 1, K) with the last axis outermost in memory: convolutions go along the channels */
    SC_FORM_NEG_EXP, /* f32 -exp(x): rates of decay, which checkpoints keep as logarithms */
} sc_form;

typedef struct sc_param_request {
    const char *name; /* scope and name, HuggingFace's */
    sc_shape shape;
    sc_init init;
    sc_form form;
    bool expert; /* one of a stack: read only for the tokens that choose it */
    bool fixed;  /* training leaves it as it is */
} sc_param_request;

/* Who asks for additions: a linear layer with its matrix stored (N, C) or (C, N), a look-up in a table (C, N), or a
 * mixture's experts, whose name has "%d" for the expert. */
typedef enum sc_lora_use { SC_LORA_LINEAR, SC_LORA_IN_OUT, SC_LORA_TABLE, SC_LORA_EXPERTS } sc_lora_use;

/* A low-rank addition to a matrix w (N, C): x w^T + (x a^T) b^T, a (R, C), b (N, R). Hu et al. 2021, "LoRA". To a table, a
 * is stored (C, R), since rows of it are looked up. With a gain (N), x w^T is also added times that: Liu et al. 2024,
 * "DoRA". */
typedef struct sc_lora {
    int64_t rank, rows, cols; /* R, N, C */
    sc_storage a, b, gain;    /* gain.data NULL: none. Of E experts: a (E, R, C), b (E, N, R) */
    /* Or factors of what goes in, a (C), or of what comes out with its bias, b (N): Liu et al. 2022, "IA3". */
    /* Or a network behind it, y + relu(y a^T + a_bias) b^T + b_bias, a (R, N), b (N, R): Houlsby et al. 2019. */
    enum { SC_LORA_ADDS, SC_LORA_SCALES_IN, SC_LORA_SCALES_OUT, SC_LORA_FOLLOWS } kind;
    sc_storage a_bias, b_bias;
    int64_t experts; /* E; 0: a single matrix */
    float scale;     /* of what is added, where b does not have it already; 0: it has */
    float dropout;   /* of what a is given, where gradients are wanted (sc_param_source.chance) */
    /* Of DoRA in training, in place of a gain: magnitudes (N), and the squares of the lengths of w's rows (N). */
    sc_storage magnitude, square;
} sc_lora;

/* Rows that stand behind a table of tokens: ids from the table's last row on. (Lester et al. 2021, "prompt tuning") Or what
 * they have as keys and values in each layer, in place of what would be computed. (Li and Liang 2021, "prefix tuning") */
typedef struct sc_prompt {
    const char *ids; /* the name of the input whose look-up has them; NULL: no prompt */
    int64_t rows, width;
    sc_storage table; /* (rows, width), or (2 * layers, rows, width): keys, then values of each layer */
    int64_t layers;   /* > 0: the latter */
    int64_t vocab;    /* the first id of a virtual token */
} sc_prompt;

typedef struct sc_param_source {
    /* Gives a parameter's storage; an empty one (data NULL) when only declaring. */
    sc_status (*get)(void *user, const sc_param_request *want, sc_storage *out);
    /* The i-th addition to the matrix of this name (without ".weight"), false where there are no more. May be NULL. */
    bool (*lora)(void *user, const char *name, sc_lora_use use, int i, sc_lora *out);
    void *user;
    sc_prompt prompt;
    bool chance;   /* values are left out at random, where parts say so */
    bool learning; /* the way that is shorter to differentiate is taken where there are two */
    bool changing; /* parameters change between runs: graphs make their forms themselves */
} sc_param_source;

/* ---- graph (graph.c) ---- */

struct sc_graph {
    sc_arena *arena;
    const sc_param_source *params;
    sc_tensor **tensor; /* in order of making, which is an order of dependence */
    int64_t count, cap;
    const char *scope[64];
    int depth;
    sc_status status; /* the first fault */
    char fault[512];
    struct {
        const char *name;
        sc_tensor *tensor;
    } * tap;
    int64_t n_taps, cap_taps;
    sc_tensor *chance; /* (2) i32, an input: the seed of what is left out; NULL: nothing is */
};

sc_status sc_graph_new(sc_graph **out, const sc_param_source *params); /* params may be NULL; borrowed */
void sc_graph_free(sc_graph *g);
/* Records a fault unless there is one, and returns NULL. The message is this thread's. */
sc_tensor *sc_graph_fault(sc_graph *g, sc_status status);

/* Names asked for between push and pop begin with the scope: push("layers.%d", 3), "weight" → "layers.3.weight". */
void sc_scope_push(sc_graph *g, const char *fmt, ...) SC_PRINTF(2, 3);
void sc_scope_pop(sc_graph *g);

/* Appends a node. The attributes are copied. */
sc_tensor *sc_graph_node(sc_graph *g, const sc_op *op, sc_tensor *const *in, int n_in, const void *attr,
                         size_t attr_size);
/* Appends a node that does what t does, of inputs like t's; it is made no sooner than `after`. */
sc_tensor *sc_graph_again(sc_graph *g, const sc_tensor *t, sc_tensor *const *in, const sc_tensor *after);
sc_tensor *sc_graph_input(sc_graph *g, const char *name, sc_dtype dtype, const sc_shape *shape);
sc_tensor *sc_graph_state(sc_graph *g, const char *name, const sc_shape *shape, const sc_storage *storage);
sc_tensor *sc_param(sc_graph *g, const char *name, sc_init init, int rank, const int64_t *dim);
sc_tensor *sc_param_formed(sc_graph *g, const char *name, sc_init init, sc_form form, int rank, const int64_t *dim);
/* One that training leaves as it is. */
sc_tensor *sc_param_fixed(sc_graph *g, const char *name, sc_init init, int rank, const int64_t *dim);
/* n parameters of one shape, whose names differ in the number that stands for the pattern's "%d", as one tensor (n, …)
 * without a copy: see sc_storage.part. */
sc_tensor *sc_param_stack(sc_graph *g, const char *pattern, sc_init init, int64_t n, int rank, const int64_t *dim);
/* A constant that is there already. */
sc_tensor *sc_graph_constant(sc_graph *g, const char *name, const sc_shape *shape, const sc_storage *storage);
/* Marks t as an intermediate output that a caller may ask for by name, e.g. "hidden_states.%d". Returns t. */
sc_tensor *sc_tap(sc_graph *g, sc_tensor *t, const char *fmt, ...) SC_PRINTF(3, 4);

/* ---- plan (plan.c, print.c) ---- */

/* One unit of work: an operation after fusion, with what it reads and writes. */
struct sc_step {
    const sc_op *op;
    const void *attr;
    sc_tensor *in[SC_MAX_INPUTS];
    int n_in;
    sc_tensor *out;
    void *in_data[SC_MAX_INPUTS]; /* fixed when planned */
    void *out_data;
    int stage;     /* steps of one stage do not depend on each other; stages run one after another */
    int64_t tasks; /* units that may run in any order and on any thread; their number depends on shapes alone */
    const void *kernel; /* the backend's */
    const void *own;    /* the backend's: a weight in a form of its own, NULL: there is none */
};

struct sc_plan {
    sc_graph *graph;
    sc_backend *backend;
    sc_step *step; /* ordered by stage */
    int n_steps, n_stages;
    int *stage_begin; /* n_stages + 1 entries: the first step of each */
    void **data;      /* of each tensor of the graph, NULL where none */
    sc_buffer *arena; /* inputs and intermediate values */
    int64_t arena_bytes;
    int64_t unshared_bytes; /* what they would take without sharing */
    int fused;              /* nodes that other nodes' steps absorbed */
    int64_t scratch_bytes;  /* of each thread */
    /* NULL, or seconds that each thread spent on each step, [thread * n_steps + step], to which runs add; the caller's. */
    double *spent;
    void *backend_state;
    /* NULL, or told of each stage when it has been run, on the thread that called sc_plan_run while others may go on. */
    void (*stage_done)(void *user, int stage);
    void *stage_user;
};

/* Where the work is done. `self` is the backend; functions may be called from the plan's owner only. */
struct sc_backend {
    const char *name;
    bool bf16; /* products of f32 values may be asked for in it (sc_linear_in_order) */
    /* An operation that input i of a step is to go through first, a form that this backend's kernel for the step reads
     * faster; NULL: none. One step makes it for all that read the same tensor so. */
    const sc_op *(*lower)(sc_backend *self, const sc_step *s, int i);
    /* Chooses a kernel and fills s->tasks and s->kernel and raises *scratch, or says why there is none. */
    sc_status (*prepare)(sc_backend *self, sc_step *s, int64_t *scratch);
    sc_status (*plan_ready)(sc_backend *self, sc_plan *p); /* may set p->backend_state */
    void (*plan_free)(sc_backend *self, sc_plan *p);
    sc_status (*run)(sc_backend *self, sc_plan *p);
    void (*free)(sc_backend *self);
};

/* The backend that a context's work is done on: today always the CPU's, with all that this machine has. Declared here and
 * defined by the backends, so that nothing above knows which there are. */
sc_status sc_backend_new(sc_backend **out, sc_context *ctx);

/* Plans what `outputs` need. They stay readable after a run until the next one. */
sc_status sc_plan_new(sc_plan **out, sc_graph *g, sc_backend *backend, sc_tensor *const *outputs, int n_outputs);
void sc_plan_free(sc_plan *p);
/* Where an input is to be written or an output lies; contiguous, but for a state's part, which has the strides that its
 * storage has. NULL where the plan does not need t. */
void *sc_plan_data(const sc_plan *p, const sc_tensor *t);
sc_status sc_plan_run(sc_plan *p);
/* The last stage in which anything reads or writes t's memory: after it, an output is its reader's alone. -1: in none. */
int sc_plan_last_stage(const sc_plan *p, const sc_tensor *t);
sc_cost sc_plan_cost(const sc_plan *p);
/* The plan as text, one step a line, and totals. */
void sc_plan_print(const sc_plan *p, sc_str *out);

#endif
