/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters that are trained as they are, while the rest of the model stays: copies as f32 that graphs read in their place. In
 * PEFT's files they are modules to save. */
#include "models/choice.h"
#include "models/models.h"

static const char prefix[] = "base_model.model.";

/* Whether a parameter, or a module around it, is chosen. */
static sc_status is_within(const sc_choice *c, const char *name, bool *yes)
{
    char path[512];
    sc_status s = sc_choice_has(c, name, yes);
    snprintf(path, sizeof path, "%s", name);
    for (char *dot; !s && !*yes && (dot = strrchr(path, '.'));) {
        *dot = 0;
        s = sc_choice_has(c, path, yes);
    }
    return s;
}

/* What a new task's head is made of: of classifiers the module that gives the classes, by its first name. */
static bool is_of_head(const sc_model *m, const char *name)
{
    static const char *const heads[] = {"score.", "classifier.", "qa_outputs."};
    if (m->info.head != SC_HEAD_CLASSES && m->info.head != SC_HEAD_TAGS && m->info.head != SC_HEAD_SPAN)
        return false;
    for (int i = 0; i < SC_COUNT(heads); i++)
        if (strncmp(name, heads[i], strlen(heads[i])) == 0) return true;
    return false;
}

static sc_status check(const sc_model *m, const sc_model_param *p, const sc_weight *w)
{
    sc_published at;
    if (sc_param_published(m, p, &at))
        return sc_fail(SC_EUNSUPPORTED, "'%s' cannot be trained by itself: checkpoints have it in '%s' with others",
                       p->name, at.name);
    if (w->form == SC_FORM_NEG_EXP)
        return sc_fail(SC_EUNSUPPORTED, "'%s' cannot be trained by itself: it is computed with in another form",
                       p->name);
    return SC_OK;
}

static sc_status add(const sc_adapter_maker *k, const sc_model_param *p, json_t *modules)
{
    sc_weight *w = sc_model_weight(k->m, p->name);
    const char *dot = strrchr(w->name, '.'), *stem;
    int64_t rows = p->rank > 1 ? p->dim[0] : 1, cols = 1, stride[SC_MAX_RANK];
    sc_shape shape = {.rank = p->rank};
    sc_learnt *l;
    sc_status s = check(k->m, p, w);
    if (s) return s;
    memcpy(shape.dim, p->dim, sizeof shape.dim);
    for (int i = p->rank > 1; i < p->rank; i++) cols *= p->dim[i];
    if (!(stem = sc_arena_printf(k->m->arena, "%s%s", prefix, w->name))) return sc_nomem();
    if ((s = sc_adapter_learn(k, stem, "", rows, cols, false, &l))) return s;
    l->param = p->name;
    l->rank = p->rank;
    memcpy(l->dim, p->dim, sizeof l->dim);
    l->plain = p->rank < 2;
    l->add = w->plus_one ? 1 : 0;
    sc_dense_strides(&shape, stride);
    if (p->rank > 2) /* its last axes are one here */
        s = sc_dequantize(w->storage.dtype, w->storage.data, l->buffer->data, rows * cols);
    else
        s = sc_weight_copy(w, l->buffer->data, stride);
    if (!s && p->rank > 1) s = sc_adapter_order(&l->row, k->m, w, p->name, rows, false);
    if (!s) s = sc_adapter_order(&l->col, k->m, w, p->name, cols, p->rank > 1);
    w->trained = (sc_storage){.dtype = SC_F32, .data = l->buffer->data, .buffer = sc_buffer_ref(l->buffer)};
    memcpy(w->trained.stride, stride, sizeof stride);
    int64_t n = dot ? dot - w->name : (int64_t)strlen(w->name);
    bool has = false;
    for (size_t i = 0; i < json_array_size(modules); i++) {
        const char *other = json_string_value(json_array_get(modules, i));
        has |= (int64_t)strlen(other) == n && memcmp(other, w->name, (size_t)n) == 0;
    }
    if (!has && modules && json_array_append_new(modules, json_stringn(w->name, (size_t)n)) != 0) return sc_nomem();
    return s;
}

sc_status sc_adapter_learn_whole(const sc_adapter_maker *k, const char *names, const char *end, int64_t *n,
                                 json_t **modules)
{
    const sc_model *m = k->m;
    sc_choice *c = NULL;
    json_t *list = json_array();
    sc_status s = !list ? sc_nomem() : names ? sc_choice_new(&c, names, "the parameters to train") : SC_OK;
    *n = 0;
    for (int64_t i = 0; !s && i < m->n_params; i++) {
        const sc_model_param *p = &m->param[i];
        const sc_weight *w = sc_model_weight(k->m, p->name);
        bool head = w->made || is_of_head(m, p->name), ends = end && sc_path_has_suffix(p->name, end),
             named = false;
        if (c) s = is_within(c, p->name, &named);
        if (s || p->fixed || !(head || ends || named)) continue;
        s = add(k, p, head || named ? list : NULL);
        *n += named || ends;
    }
    sc_choice_free(c);
    if (s)
        json_decref(list);
    else
        *modules = list;
    return s;
}
