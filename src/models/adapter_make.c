/* SPDX-License-Identifier: Apache-2.0 */
/* New adapters for a model. What there is to adapt is what its builder asks for, so no family is known here. */
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

static sc_status choose(const sc_model *m, const sc_modules *all, const char *targets, bool *chosen)
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
        if (chosen[i] && x->use == SC_LORA_EXPERTS)
            s = sc_fail(SC_EUNSUPPORTED, "targets: '%s' is of experts, which no new adapter is for", x->name);
        n += chosen[i];
    }
    if (!s && !n) {
        sc_str some = {0};
        for (int64_t i = 0; i < SC_MIN(all->count, 9); i++)
            sc_str_printf(&some, "%s%s", i ? ", " : "", all->item[i].name);
        s = sc_fail(SC_ENOTFOUND, "no layer of %s is one of '%s'; there are %s, …", m->info.path, targets,
                    some.p ? some.p : "none");
        sc_str_free(&some);
    }
    sc_choice_free(c);
    return s;
}

/* ---- parts ---- */

typedef struct maker {
    sc_model *m;
    const sc_peft_options *o;
    uint64_t seed;
} maker;

/* Another tensor to train, zeros at first: (rows, cols) in memory. */
static sc_status add_learnt(const maker *k, const char *stem, const char *end, int64_t rows, int64_t cols,
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
    memset(l->buffer->data, 0, (size_t)bytes);
    a->n_learnt++;
    return SC_OK;
}

static void look_at(sc_storage *to, const sc_learnt *l)
{
    *to = (sc_storage){
        .dtype = SC_F32, .stride = {l->cols, 1}, .data = l->buffer->data, .buffer = sc_buffer_ref(l->buffer)};
}

static uint64_t stream_of(const sc_learnt *l) { return sc_hash(l->name, (int64_t)strlen(l->name)); }

/* As torch.nn.Linear begins, uniform within the root of the width's inverse. */
static void draw_uniform(const maker *k, sc_learnt *l, int64_t width)
{
    float *x = l->buffer->data;
    double most = 1 / sqrt((double)SC_MAX(width, 1));
    sc_rng r = sc_rng_make(k->seed, stream_of(l));
    for (int64_t i = 0; i < l->rows * l->cols; i++) x[i] = (float)(most * (2 * sc_rng_uniform(&r) - 1));
}

/* "base_model.model." and what the model's file calls the module. */
static const char *stem_of(const maker *k, const sc_module *x, const sc_weight **w)
{
    char name[512];
    snprintf(name, sizeof name, "%s.weight", x->name);
    const char *own = (*w = sc_model_weight(k->m, name)) ? (*w)->name : name;
    return sc_arena_printf(k->m->arena, "%s%.*s", prefix, (int)(strlen(own) - strlen(".weight")), own);
}

static sc_status new_part(const maker *k, const sc_module *x, sc_adapter_part **out, const sc_weight **w)
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

/* B begins with zeros, of a table A: so a new adapter changes nothing. */
static sc_status add_lora(const maker *k, const sc_module *x)
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
    s = table ? add_learnt(k, part->stem, ".lora_embedding_A", x->c, r, true, &l)
              : add_learnt(k, part->stem, ".lora_A.weight", r, x->c, false, &l);
    if (!s && !table) s = sc_adapter_order(&l->col, k->m, w, x->name, x->c, true);
    if (s) return s;
    look_at(&part->lora.a, l);
    if (!table) draw_uniform(k, l, x->c);
    s = add_learnt(k, part->stem, table ? ".lora_embedding_B" : ".lora_B.weight", x->n, r, false, &l);
    if (!s && !table) s = sc_adapter_order(&l->row, k->m, w, x->name, x->n, false);
    if (s) return s;
    look_at(&part->lora.b, l);
    if (table) sc_rng_normal_fill(k->seed, stream_of(l), 0, l->buffer->data, x->n * r);
    return SC_OK;
}

/* ---- adapter_config.json ---- */

static const char *last_part(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && !isdigit((unsigned char)dot[1]) ? dot + 1 : name;
}

/* The last parts of the chosen names where those say the same, else whole names. */
static json_t *target_names(const sc_modules *all, const bool *chosen)
{
    json_t *list = json_array();
    bool same = true;
    for (int64_t i = 0; i < all->count; i++)
        for (int64_t k = 0; same && chosen[i] && k < all->count; k++)
            same = chosen[k] || strcmp(last_part(all->item[i].name), last_part(all->item[k].name)) != 0;
    for (int64_t i = 0; i < all->count; i++) {
        const char *name = same ? last_part(all->item[i].name) : all->item[i].name;
        bool has = !chosen[i];
        for (size_t k = 0; !has && k < json_array_size(list); k++)
            has = strcmp(json_string_value(json_array_get(list, k)), name) == 0;
        if (!has) json_array_append_new(list, json_string(name));
    }
    return list;
}

static const char *task_type(const sc_model *m)
{
    return m->info.source_vocab              ? "SEQ_2_SEQ_LM"
           : m->info.head == SC_HEAD_NEXT    ? "CAUSAL_LM"
           : m->info.head == SC_HEAD_CLASSES ? "SEQ_CLS"
           : m->info.head == SC_HEAD_TAGS    ? "TOKEN_CLS"
                                             : NULL;
}

static sc_status describe(const maker *k, const sc_modules *all, const bool *chosen)
{
    const char *task = task_type(k->m);
    bool turned = false;
    for (int64_t i = 0; i < all->count; i++) turned |= chosen[i] && all->item[i].use == SC_LORA_IN_OUT;
    k->m->adapters.config = json_pack(
        "{s:s, s:s?, s:s, s:b, s:n, s:o, s:I, s:f, s:f, s:b, s:s, s:b, s:b, s:n, s:o, s:o}", "peft_type", "LORA",
        "task_type", task, "base_model_name_or_path", k->m->info.path, "inference_mode", 1, "revision",
        "target_modules", target_names(all, chosen), "r", (json_int_t)k->o->rank, "lora_alpha", k->o->alpha,
        "lora_dropout", 0.0, "use_rslora", k->o->rslora, "bias", "none", "fan_in_fan_out", turned,
        "init_lora_weights", 1, "modules_to_save", "rank_pattern", json_object(), "alpha_pattern", json_object());
    return k->m->adapters.config ? SC_OK : sc_nomem();
}

/* ---- all of it ---- */

static sc_status take_options(sc_peft_options *o)
{
    if (strcmp(o->method, "lora") != 0)
        return sc_fail(SC_EINVAL, "no way of training a part of a model is called '%s'", o->method);
    if (!o->targets) o->targets = "all-linear";
    if (!o->rank) o->rank = 8;
    if (o->alpha == 0) o->alpha = 2 * (double)o->rank;
    if (o->rank < 1 || o->rank > 1 << 16) return sc_fail(SC_EINVAL, "a rank of %lld", (long long)o->rank);
    if (!(fabs(o->alpha) <= 1e9)) return sc_fail(SC_EINVAL, "an alpha of %g", o->alpha);
    return SC_OK;
}

sc_status sc_adapters_make(sc_model *m, const sc_peft_options *options, uint64_t seed)
{
    sc_peft_options o = *options;
    maker k = {m, &o, seed};
    sc_modules all = {0};
    bool *chosen = NULL;
    sc_status s = take_options(&o);
    if (!s && m->adapters.n_learnt) s = sc_fail(SC_EINVAL, "%s has an adapter in training already", m->info.path);
    if (!s) s = sc_model_modules(&all, m);
    if (!s && !(chosen = sc_calloc((size_t)all.count + 1, sizeof *chosen))) s = sc_nomem();
    if (!s) s = choose(m, &all, o.targets, chosen);
    for (int64_t i = 0; !s && i < all.count; i++)
        if (chosen[i]) s = add_lora(&k, &all.item[i]);
    if (!s) s = describe(&k, &all, chosen);
    m->adapters.adapters++;
    m->source_.learning = true;
    sc_free(chosen);
    sc_free(all.item);
    return s;
}
