/* SPDX-License-Identifier: Apache-2.0 */
/* New adapters for a model. What there is to adapt is what its builder asks for, so no family is known here; only the names of
 * what attention and feed-forward layers end with are, for the methods that have their places there. */
#include "models/choice.h"
#include "models/models.h"

#include <ctype.h>
#include <math.h>

static const char prefix[] = "base_model.model.";

/* ---- the modules ---- */

typedef struct visitor {
    sc_model *m;
    sc_modules *out;
} visitor;

static sc_status give(void *user, const sc_param_request *want, sc_storage *out)
{
    const visitor *v = user;
    return v->m->source_.get(v->m->source_.user, want, out);
}

/* The parts that a module has are asked for one by one, in vain: each first question is a module. */
static bool note(void *user, const char *name, sc_lora_use use, int i, sc_lora *out)
{
    const visitor *v = user;
    sc_modules *to = v->out;
    char weight[512];
    int64_t at;
    (void)out;
    snprintf(weight, sizeof weight, "%s.weight", name);
    if (i > 0 || !sc_map_get(&v->m->declared, weight, (int64_t)strlen(weight), &at)) return false;
    for (int64_t k = 0; k < to->count; k++)
        if (strcmp(to->item[k].name, name) == 0) return false;
    if (!sc_grow(&to->item, &to->cap, to->count + 1, sizeof *to->item)) {
        to->oom = true;
        return false;
    }
    const sc_model_param *p = &v->m->param[at];
    bool turned = use == SC_LORA_IN_OUT || use == SC_LORA_TABLE;
    to->item[to->count++] = (sc_module){sc_arena_strndup(v->m->arena, name, strlen(name)), use, p->dim[turned],
                                        p->rank > 1 ? p->dim[!turned] : 1};
    to->oom |= !to->item[to->count - 1].name;
    return false;
}

sc_status sc_model_modules(sc_modules *out, sc_model *m)
{
    visitor v = {m, out};
    *out = (sc_modules){0};
    sc_status s = sc_model_visit(m, &(sc_param_source){.get = give, .lora = note, .user = &v});
    if (!s && out->oom) s = sc_nomem();
    if (s) sc_free(out->item);
    return s;
}

/* ---- which of them ---- */

/* What gives the result is not adapted where everything is. */
static bool is_head(const sc_model *m, const sc_modules *all, int64_t i)
{
    int64_t n = all->item[i].n;
    return i == all->count - 1 && !m->info.tied && (n == m->info.vocab || (m->info.labels && n == m->info.labels));
}

/* What models call the matrices that make keys and values, and those that attention and feed-forward layers end with. */
#define KEYS_AND_VALUES                                                                                            \
    "k_proj,v_proj,key,value,key_proj,value_proj,c_attn,query_key_value,qkv_proj,Wqkv,k_lin,v_lin,SelfAttention."  \
    "k,"                                                                                                           \
    "SelfAttention.v,EncDecAttention.k,EncDecAttention.v"
#define ATTENTION_ENDS                                                                                             \
    "o_proj,out_proj,attn.c_proj,attention.dense,self_attention.dense,self_attn.dense,attention.output.dense,"     \
    "attention.out_lin,attn.Wo,SelfAttention.o,EncDecAttention.o"
#define FFN_ENDS                                                                                                   \
    "down_proj,dense_4h_to_h,mlp.c_proj,mlp.fc2,fc2,fc_out,output.dense,ffn.lin2,mlp.Wo,mlp.wo,DenseReluDense.wo"

static sc_status is_one_of(const char *list, const char *name, bool *yes)
{
    sc_choice *c;
    sc_status s = sc_choice_new(&c, list, "targets");
    if (!s) s = sc_choice_has(c, name, yes);
    if (!s) sc_choice_free(c);
    return s;
}

/* BERT's kin call both ends "output.dense". */
static sc_status ends_ffn(const char *name, bool *yes)
{
    bool attention = false;
    sc_status s = is_one_of("attention.output.dense", name, &attention);
    if (!s) s = is_one_of(FFN_ENDS, name, yes);
    *yes = *yes && !attention;
    return s;
}

static bool is_whole(const sc_model *m, const char *module)
{
    size_t n = strlen(module);
    for (int64_t i = 0; i < m->adapters.n_learnt; i++) {
        const char *param = m->adapters.learnt[i].param;
        if (param && strncmp(param, module, n) == 0 && strcmp(param + n, ".weight") == 0) return true;
    }
    return false;
}

static sc_status none_chosen(const sc_model *m, const sc_modules *all, const char *targets)
{
    sc_str some = {0};
    for (int64_t i = 0; i < SC_MIN(all->count, 9); i++)
        sc_str_printf(&some, "%s%s", i ? ", " : "", all->item[i].name);
    sc_status s = sc_fail(SC_ENOTFOUND, "no layer of %s is one of '%s'; there are %s, …", m->info.path, targets,
                          some.p ? some.p : "none");
    sc_str_free(&some);
    return s;
}

/* The modules that are adapted: not those that are trained as they are. */
static sc_status choose(const sc_model *m, const sc_modules *all, const char *targets, bool after_ffn, bool *chosen)
{
    sc_choice *c = NULL;
    bool everything = strcmp(targets, "all-linear") == 0;
    int64_t n = 0;
    sc_status s = everything ? SC_OK : sc_choice_new(&c, targets, "targets");
    for (int64_t i = 0; !s && i < all->count; i++) {
        const sc_module *x = &all->item[i];
        bool linear = x->use == SC_LORA_LINEAR || x->use == SC_LORA_IN_OUT;
        if (everything)
            chosen[i] = linear && !is_head(m, all, i);
        else
            s = sc_choice_has(c, x->name, &chosen[i]);
        if (!s && chosen[i] && after_ffn) s = ends_ffn(x->name, &chosen[i]);
        if (chosen[i] && x->use == SC_LORA_EXPERTS)
            s = sc_fail(SC_EUNSUPPORTED, "targets: '%s' is of experts, which no new adapter is for", x->name);
        chosen[i] = chosen[i] && !is_whole(m, x->name);
        n += chosen[i];
    }
    sc_choice_free(c);
    return s || n ? s : none_chosen(m, all, targets);
}

/* ---- parts ---- */

sc_status sc_adapter_learn(const sc_adapter_maker *k, const char *stem, const char *end, int64_t rows, int64_t cols,
                           bool turned, sc_learnt **out)
{
    sc_adapters *a = &k->m->adapters;
    int64_t n, bytes;
    if (!sc_grow(&a->learnt, &a->cap_learnt, a->n_learnt + 1, sizeof *a->learnt)) return sc_nomem();
    if (!sc_mul_ok(rows, cols, &n) || !sc_mul_ok(n, (int64_t)sizeof(float), &bytes))
        return sc_fail(SC_ELIMIT, "'%s%s' would be too large", stem, end);
    sc_learnt *l = *out = &a->learnt[a->n_learnt];
    *l = (sc_learnt){.rank = 2, .rows = rows, .cols = cols, .turned = turned};
    l->name = l->file = sc_arena_printf(k->m->arena, "%s%s", stem, end);
    l->dim[0] = turned ? cols : rows;
    l->dim[1] = turned ? rows : cols;
    sc_status s = l->name ? sc_buffer_new(&l->buffer, bytes) : sc_nomem();
    if (s) return s;
    memset(l->value = l->buffer->data, 0, (size_t)bytes);
    a->n_learnt++;
    return SC_OK;
}

static void look_at(sc_storage *to, const sc_learnt *l)
{
    *to = (sc_storage){
        .dtype = SC_F32, .stride = {l->cols, 1}, .data = l->buffer->data, .buffer = sc_buffer_ref(l->buffer)};
    if (l->cols == 1) to->stride[0] = 1;
}

static uint64_t stream_of(const sc_learnt *l) { return sc_hash(l->name, (int64_t)strlen(l->name)); }

/* As torch.nn.Linear begins, uniform within the root of the width's inverse. */
static void draw_uniform(const sc_adapter_maker *k, sc_learnt *l, int64_t width)
{
    float *x = l->buffer->data;
    double most = 1 / sqrt((double)SC_MAX(width, 1));
    sc_rng r = sc_rng_make(k->seed, stream_of(l));
    for (int64_t i = 0; i < l->rows * l->cols; i++) x[i] = (float)(most * (2 * sc_rng_uniform(&r) - 1));
}

static void draw_normal(const sc_adapter_maker *k, sc_learnt *l, float std)
{
    float *x = l->buffer->data;
    sc_rng_normal_fill(k->seed, stream_of(l), 0, x, l->rows * l->cols);
    for (int64_t i = 0; i < l->rows * l->cols; i++) x[i] *= std;
}

/* "base_model.model." and what the model's file calls the module. */
static const char *stem_of(const sc_adapter_maker *k, const sc_module *x, const sc_weight **w)
{
    char name[512];
    snprintf(name, sizeof name, "%s.weight", x->name);
    const char *own = (*w = sc_model_weight(k->m, name)) ? (*w)->name : name;
    return sc_arena_printf(k->m->arena, "%s%.*s", prefix, (int)(strlen(own) - strlen(".weight")), own);
}

static sc_status new_part(const sc_adapter_maker *k, const sc_module *x, sc_adapter_part **out, const sc_weight **w)
{
    sc_adapters *a = &k->m->adapters;
    const char *stem = stem_of(k, x, w);
    if (!stem || !sc_grow(&a->part, &a->cap, a->count + 1, sizeof *a->part)) return sc_nomem();
    if (!*w) return sc_fail(SC_ENOTFOUND, "'%s' has no matrix to adapt", x->name);
    *out = &a->part[a->count++];
    **out = (sc_adapter_part){.name = x->name,
                              .stem = stem,
                              .scale = 1,
                              .use = x->use,
                              .weight = 1,
                              .adapter = a->adapters,
                              .used = true,
                              .lora = {.rows = x->n, .cols = x->c}};
    return SC_OK;
}

/* The lengths of the matrix's rows, to begin with, and their squares. */
static sc_status add_lengths(const sc_adapter_maker *k, const sc_module *x, sc_adapter_part *part,
                             const sc_weight *w)
{
    sc_learnt *l;
    bool turned = x->use == SC_LORA_IN_OUT;
    int64_t stride[2] = {turned ? 1 : x->c, turned ? x->c : 1}; /* whole as (N, C) */
    float *whole = sc_malloc(sizeof *whole * (size_t)(x->n * x->c));
    sc_status s = whole ? sc_weight_copy(w, whole, stride) : sc_nomem();
    if (!s) s = sc_adapter_learn(k, part->stem, ".lora_magnitude_vector", x->n, 1, false, &l);
    if (!s) s = sc_adapter_order(&l->row, k->m, w, x->name, x->n, false);
    sc_storage *square = &part->lora.square;
    *square = (sc_storage){.dtype = SC_F32, .stride = {1}};
    if (!s) s = sc_buffer_new(&square->buffer, x->n * (int64_t)sizeof(float));
    if (!s) {
        l->rank = 1;
        l->plain = true;
        look_at(&part->lora.magnitude, l);
        square->data = square->buffer->data;
    }
    for (int64_t i = 0; !s && i < x->n; i++) {
        double sum = 0;
        for (int64_t c = 0; c < x->c; c++) sum += (double)whole[i * x->c + c] * whole[i * x->c + c];
        ((float *)square->data)[i] = (float)sum;
        ((float *)l->buffer->data)[i] = (float)sqrt(sum);
    }
    sc_free(whole);
    return s;
}

/* B begins with zeros, of a table A: so a new adapter changes nothing. */
static sc_status add_lora(const sc_adapter_maker *k, const sc_module *x)
{
    bool table = x->use == SC_LORA_TABLE;
    int64_t r = k->o->rank;
    sc_adapter_part *part;
    const sc_weight *w;
    sc_learnt *l;
    sc_status s = new_part(k, x, &part, &w);
    if (s) return s;
    part->alpha = k->o->alpha;
    part->lora.rank = r;
    part->lora.scale = (float)(k->o->alpha / (k->o->rslora ? sqrt((double)r) : (double)r));
    part->lora.dropout = (float)k->o->dropout;
    s = table ? sc_adapter_learn(k, part->stem, ".lora_embedding_A", x->c, r, true, &l)
              : sc_adapter_learn(k, part->stem, ".lora_A.weight", r, x->c, false, &l);
    if (!s && !table) s = sc_adapter_order(&l->col, k->m, w, x->name, x->c, true);
    if (s) return s;
    look_at(&part->lora.a, l);
    if (!table) draw_uniform(k, l, x->c);
    s = sc_adapter_learn(k, part->stem, table ? ".lora_embedding_B" : ".lora_B.weight", x->n, r, false, &l);
    if (!s && !table) s = sc_adapter_order(&l->row, k->m, w, x->name, x->n, false);
    if (s) return s;
    look_at(&part->lora.b, l);
    if (table) draw_normal(k, l, 1);
    return k->o->dora && !table ? add_lengths(k, x, part, w) : SC_OK;
}

/* Factors of what comes out, or of a feed-forward's last matrix of what goes in. */
static sc_status add_ia3(const sc_adapter_maker *k, const sc_module *x)
{
    bool in;
    sc_adapter_part *part;
    const sc_weight *w;
    sc_learnt *l;
    sc_status s = ends_ffn(x->name, &in);
    if (!s && x->use == SC_LORA_TABLE) s = sc_fail(SC_EUNSUPPORTED, "'%s' is a table: ia3 is not for it", x->name);
    if (!s) s = new_part(k, x, &part, &w);
    if (!s) s = sc_adapter_learn(k, part->stem, ".ia3_l", in ? 1 : x->n, in ? x->c : 1, false, &l);
    if (s) return s;
    part->lora.kind = in ? SC_LORA_SCALES_IN : SC_LORA_SCALES_OUT;
    part->lora.rank = 1;
    look_at(in ? &part->lora.a : &part->lora.b, l);
    (in ? &part->lora.a : &part->lora.b)->stride[0] = 1;
    l->plain = true;
    for (int64_t i = 0; i < l->rows * l->cols; i++) ((float *)l->buffer->data)[i] = 1;
    return in ? sc_adapter_order(&l->col, k->m, w, x->name, x->c, true)
              : sc_adapter_order(&l->row, k->m, w, x->name, x->n, false);
}

/* y + up(relu(down(y))): up begins with zeros. */
static sc_status add_bottleneck(const sc_adapter_maker *k, const sc_module *x)
{
    int64_t width = k->o->width ? k->o->width : SC_MAX(x->n / 16, 8);
    static const char *const ends[] = {".adapter_down.weight", ".adapter_down.bias", ".adapter_up.weight",
                                       ".adapter_up.bias"};
    const int64_t rows[] = {width, width, x->n, x->n}, cols[] = {x->n, 1, width, 1};
    sc_adapter_part *part;
    const sc_weight *w;
    sc_status s = x->use == SC_LORA_TABLE ? sc_fail(SC_EUNSUPPORTED, "'%s' is a table: no layer to follow", x->name)
                                          : new_part(k, x, &part, &w);
    if (s) return s;
    sc_lora *to = &part->lora;
    sc_storage *const storage[] = {&to->a, &to->a_bias, &to->b, &to->b_bias};
    to->kind = SC_LORA_FOLLOWS;
    to->rank = width;
    for (int i = 0; !s && i < 4; i++) {
        sc_learnt *l;
        s = sc_adapter_learn(k, part->stem, ends[i], rows[i], cols[i], false, &l);
        if (s) break;
        look_at(storage[i], l);
        l->plain = cols[i] == 1;
        l->rank = l->plain ? 1 : 2;
        if (i == 0) draw_uniform(k, l, x->n);
        s = i == 0  ? sc_adapter_order(&l->col, k->m, w, x->name, x->n, false)
            : i > 1 ? sc_adapter_order(&l->row, k->m, w, x->name, x->n, false)
                    : SC_OK;
    }
    return s;
}

/* ---- virtual tokens ---- */

/* Row `id` of a table as it is stored; false: it is not dense. */
static bool read_row(const sc_weight *w, int64_t id, int64_t width, float *to)
{
    const sc_storage *st = &w->storage;
    if (st->stride[1] != 1) return false;
    int64_t at = sc_dtype_size(st->dtype, id * st->stride[0]);
    return at >= 0 && sc_dequantize(st->dtype, (const char *)st->data + at, to, width) == SC_OK;
}

static sc_status add_prompt(const sc_adapter_maker *k, const sc_modules *all, const int32_t *ids, int64_t n_ids)
{
    sc_model *m = k->m;
    const sc_module *table = NULL;
    const sc_weight *w;
    sc_learnt *l;
    for (int64_t i = 0; !table && i < all->count; i++)
        if (all->item[i].use == SC_LORA_TABLE && all->item[i].c >= m->info.vocab) table = &all->item[i];
    if (!table || !stem_of(k, table, &w) || !w)
        return sc_fail(SC_EUNSUPPORTED, "%s has no table of tokens that others could follow", m->info.path);
    int64_t tokens = k->o->tokens ? k->o->tokens : n_ids ? n_ids : 20;
    sc_status s = sc_adapter_learn(k, "", "prompt_embeddings", tokens, table->n, false, &l);
    if (s) return s;
    draw_normal(k, l, 0.02F);
    sc_rng r = sc_rng_make(k->seed, stream_of(l) + 1);
    for (int64_t i = 0; i < tokens; i++) {
        int64_t id = n_ids ? ids[i % n_ids] : (int64_t)(sc_rng_uniform(&r) * (double)m->info.vocab);
        if (id >= 0 && id < table->c) read_row(w, id, table->n, (float *)l->buffer->data + i * table->n);
    }
    m->adapters.prompt = (sc_prompt){.ids = "input_ids", .rows = tokens, .width = table->n, .vocab = m->info.vocab};
    look_at(&m->adapters.prompt.table, l);
    return SC_OK;
}

/* Each layer's keys, then its values, are trained by themselves; in the file they are side by side. */
static sc_status add_prefix(const sc_adapter_maker *k)
{
    sc_model *m = k->m;
    int64_t layers = m->cache.n_layers, tokens = k->o->tokens ? k->o->tokens : 20, width = 0;
    sc_prompt prompt = {.ids = "input_ids", .rows = tokens, .layers = layers, .vocab = m->info.vocab};
    for (int64_t i = 0; i < layers; i++) {
        int64_t keys = m->cache.layer[i].kv_heads * m->cache.layer[i].d,
                values = m->cache.layer[i].kv_heads * m->cache.layer[i].v_d;
        if (i == 0) width = keys;
        if (keys != width || values != width)
            return sc_fail(SC_EUNSUPPORTED,
                           "no prefix tuning: the layers' keys and values are not all of one width");
    }
    if (!layers || m->cache.n_states)
        return sc_fail(SC_EUNSUPPORTED, "no prefix tuning without keys in every layer");
    prompt.width = width;
    sc_buffer *table;
    sc_status s = sc_buffer_new(&table, 2 * layers * tokens * width * (int64_t)sizeof(float));
    if (s) return s;
    prompt.table =
        (sc_storage){.dtype = SC_F32, .data = table->data, .buffer = table, .stride = {tokens * width, width, 1}};
    m->adapters.prompt = prompt;
    for (int64_t i = 0; !s && i < 2 * layers; i++) {
        sc_learnt *l;
        char end[40];
        snprintf(end, sizeof end, "prompt_embeddings.%lld", (long long)i);
        if ((s = sc_adapter_learn(k, "", end, tokens, width, false, &l))) break;
        l->file = "prompt_embeddings";
        l->dim[1] = 2 * layers * width;
        l->at = i * width;
        l->value = (float *)table->data + i * tokens * width;
        sc_rng_normal_fill(k->seed, stream_of(l), 0, l->value, tokens * width);
        for (int64_t e = 0; e < tokens * width; e++) l->value[e] *= 0.02F;
    }
    return s;
}

/* ---- all of it ---- */

typedef enum method { LORA, IA3, BOTTLENECK, PROMPT, PREFIX, BITFIT, LAYERS } method;
static const char *const methods[] = {"lora", "ia3", "bottleneck", "prompt", "prefix", "bitfit", "layers"};

static sc_status take_options(sc_peft_options *o, method *out)
{
    static const char *const usual[] = {
        "all-linear", KEYS_AND_VALUES "," FFN_ENDS, ATTENTION_ENDS "," FFN_ENDS, NULL, NULL, NULL, NULL};
    int i = 0;
    while (i < SC_COUNT(methods) && strcmp(o->method, methods[i]) != 0) i++;
    if (i == SC_COUNT(methods))
        return sc_fail(SC_EINVAL, "no way of training a part of a model is called '%s'", o->method);
    *out = (method)i;
    if (!o->targets) o->targets = usual[i];
    if (i == LAYERS && !o->targets) return sc_fail(SC_EINVAL, "which layers are to be trained? (targets)");
    if (!o->rank) o->rank = 8;
    if (o->alpha == 0) o->alpha = 2 * (double)o->rank;
    if (o->rank < 1 || o->rank > 1 << 16) return sc_fail(SC_EINVAL, "a rank of %lld", (long long)o->rank);
    if (!(fabs(o->alpha) <= 1e9)) return sc_fail(SC_EINVAL, "an alpha of %g", o->alpha);
    if (!(o->dropout >= 0 && o->dropout < 1)) return sc_fail(SC_EINVAL, "a dropout of %g", o->dropout);
    if (o->width < 0 || o->width > 1 << 20) return sc_fail(SC_EINVAL, "a width of %lld", (long long)o->width);
    if (o->tokens < 0 || o->tokens > 1 << 16)
        return sc_fail(SC_EINVAL, "%lld virtual tokens", (long long)o->tokens);
    return SC_OK;
}

/* The parameters that are trained as they are. */
static sc_status add_whole(const sc_adapter_maker *k, method how, json_t **modules)
{
    int64_t n;
    sc_str both = {0};
    const char *names = how == LAYERS ? k->o->targets : k->o->save;
    if (how == LAYERS && k->o->save && strncmp(names, "re:", 3) != 0) {
        sc_str_printf(&both, "%s,%s", names, k->o->save);
        names = both.p;
    }
    sc_status s =
        both.oom ? sc_nomem() : sc_adapter_learn_whole(k, names, how == BITFIT ? ".bias" : NULL, &n, modules);
    if (!s && !n && (names || how == BITFIT))
        s = sc_fail(SC_ENOTFOUND, "%s has no parameter to train that is %s%s%s", k->m->info.path,
                    how == BITFIT ? "a bias" : "within '", how == BITFIT ? "" : names, how == BITFIT ? "" : "'");
    sc_str_free(&both);
    return s;
}

static sc_status add_parts(const sc_adapter_maker *k, method how, const sc_modules *all, bool *chosen)
{
    static sc_status (*const add[])(const sc_adapter_maker *, const sc_module *) = {
        [LORA] = add_lora, [IA3] = add_ia3, [BOTTLENECK] = add_bottleneck};
    sc_status s = choose(k->m, all, k->o->targets, how == BOTTLENECK && k->o->after_ffn, chosen);
    for (int64_t i = 0; !s && i < all->count; i++)
        if (chosen[i]) s = add[how](k, &all->item[i]);
    return s;
}

static sc_status check_model(const sc_model *m, method how)
{
    if (m->adapters.n_learnt) return sc_fail(SC_EINVAL, "%s has an adapter in training already", m->info.path);
    if (how != PROMPT && how != PREFIX) return SC_OK;
    if (m->info.source_vocab || m->info.head != SC_HEAD_NEXT)
        return sc_fail(SC_EUNSUPPORTED, "%s: virtual tokens are for decoders that generate", m->info.path);
    if (m->adapters.prompt.ids) return sc_fail(SC_EUNSUPPORTED, "%s has virtual tokens already", m->info.path);
    return SC_OK;
}

sc_status sc_adapters_make(sc_model *m, const sc_peft_options *options, uint64_t seed, const int32_t *ids,
                           int64_t n_ids)
{
    sc_peft_options o = *options;
    sc_adapter_maker k = {m, &o, seed};
    sc_modules all = {0};
    json_t *modules = NULL;
    bool *chosen = NULL;
    method how;
    sc_status s = take_options(&o, &how);
    if (!s) s = check_model(m, how);
    if (!s) s = sc_model_modules(&all, m);
    if (!s && !(chosen = sc_calloc((size_t)all.count + 1, sizeof *chosen))) s = sc_nomem();
    if (!s) s = add_whole(&k, how, &modules);
    if (!s && how <= BOTTLENECK) s = add_parts(&k, how, &all, chosen);
    if (!s && how == PROMPT) s = add_prompt(&k, &all, ids, n_ids);
    if (!s && how == PREFIX) s = add_prefix(&k);
    if (!s) s = sc_adapter_describe(&k, &all, chosen, modules);
    m->adapters.adapters++;
    m->adapters.seed = sc_hash("dropout", 7) ^ seed;
    m->source_.learning = true;
    m->source_.prompt = m->adapters.prompt;
    json_decref(modules);
    sc_free(chosen);
    sc_free(all.item);
    return s;
}
