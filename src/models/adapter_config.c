/* SPDX-License-Identifier: Apache-2.0 */
/* adapter_config.json for what is trained. PEFT has no type for some of it: parameters alone are a LoRA on nothing with modules to
 * save, and a bottleneck has a type of its own here. */
#include "models/models.h"

#include <ctype.h>

static const char *last_part(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && !isdigit((unsigned char)dot[1]) ? dot + 1 : name;
}

/* Two parts, where the last one alone could be of another module. */
static const char *last_parts(const char *name)
{
    const char *last = last_part(name), *at = last > name + 1 ? last - 2 : name;
    while (at > name && *at != '.') at--;
    return at > name && !isdigit((unsigned char)at[1]) ? at + 1 : last;
}

typedef const char *shorten(const char *name);
static const char *whole_name(const char *name) { return name; }

/* Whether what the chosen modules are called so is what no other one is. */
static bool tells(const sc_modules *all, const bool *chosen, shorten *f)
{
    for (int64_t i = 0; i < all->count; i++)
        for (int64_t k = 0; chosen[i] && k < all->count; k++) {
            const char *end = f(all->item[i].name), *name = all->item[k].name;
            size_t n = strlen(end), whole = strlen(name);
            if (!chosen[k] && n <= whole && strcmp(name + whole - n, end) == 0 &&
                (n == whole || name[whole - n - 1] == '.'))
                return false;
        }
    return true;
}

/* The ends of the chosen names where these say enough, else whole names. of: kind of their parts, -1: any. */
static json_t *target_names(const sc_adapters *a, const sc_modules *all, const bool *chosen, int of)
{
    shorten *f = tells(all, chosen, last_part)    ? last_part
                 : tells(all, chosen, last_parts) ? last_parts
                                                  : whole_name;
    json_t *list = json_array();
    for (int64_t i = 0; list && i < all->count; i++) {
        const char *name = f(all->item[i].name);
        bool has = !chosen[i];
        for (int64_t k = 0; of >= 0 && !has && k < a->count; k++)
            has = a->part[k].name == all->item[i].name && (int)a->part[k].lora.kind != of;
        for (size_t k = 0; !has && k < json_array_size(list); k++)
            has = strcmp(json_string_value(json_array_get(list, k)), name) == 0;
        if (!has) json_array_append_new(list, json_string(name));
    }
    return list;
}

static const char *task_type(const sc_model *m)
{
    if (m->info.source_vocab) return "SEQ_2_SEQ_LM";
    switch (m->info.head) {
    case SC_HEAD_NEXT: return "CAUSAL_LM";
    case SC_HEAD_CLASSES: return "SEQ_CLS";
    case SC_HEAD_TAGS: return "TOKEN_CLS";
    case SC_HEAD_SPAN: return "QUESTION_ANS";
    default: return NULL;
    }
}

static bool set(json_t *o, const char *key, json_t *v) { return json_object_set_new(o, key, v) == 0; }

static bool add_lora(json_t *o, const sc_adapter_maker *k, const sc_modules *all, const bool *chosen)
{
    bool turned = false;
    for (int64_t i = 0; i < all->count; i++) turned |= chosen[i] && all->item[i].use == SC_LORA_IN_OUT;
    return set(o, "target_modules", target_names(&k->m->adapters, all, chosen, -1)) &&
           set(o, "r", json_integer((json_int_t)k->o->rank)) && set(o, "lora_alpha", json_real(k->o->alpha)) &&
           set(o, "lora_dropout", json_real(k->o->dropout)) && set(o, "use_rslora", json_boolean(k->o->rslora)) &&
           set(o, "use_dora", json_boolean(k->o->dora)) && set(o, "fan_in_fan_out", json_boolean(turned)) &&
           set(o, "bias", json_string("none")) && set(o, "init_lora_weights", json_true()) &&
           set(o, "rank_pattern", json_object()) && set(o, "alpha_pattern", json_object());
}

static bool add_virtual(json_t *o, const sc_model *m)
{
    const sc_prompt *p = &m->adapters.prompt;
    return set(o, "num_virtual_tokens", json_integer((json_int_t)p->rows)) &&
           set(o, "token_dim", json_integer((json_int_t)(p->layers ? m->info.width : p->width))) &&
           set(o, "num_transformer_submodules", json_integer(1)) &&
           set(o, "num_attention_heads", json_integer((json_int_t)m->info.heads)) &&
           set(o, "num_layers", json_integer((json_int_t)(p->layers ? p->layers : m->info.layers))) &&
           (!p->layers || (set(o, "encoder_hidden_size", json_integer((json_int_t)m->info.width)) &&
                           set(o, "prefix_projection", json_false())));
}

/* Modules to save beside a head that is tied to them would part from it. */
static bool add_modules(json_t *o, const sc_model *m, json_t *modules)
{
    bool some = json_array_size(modules) > 0;
    return set(o, "modules_to_save", some ? json_incref(modules) : json_null()) &&
           (!some || !m->info.tied || set(o, "ensure_weight_tying", json_true()));
}

sc_status sc_adapter_describe(const sc_adapter_maker *k, const sc_modules *all, const bool *chosen, json_t *modules)
{
    static const char *const types[][2] = {{"lora", "LORA"},
                                           {"ia3", "IA3"},
                                           {"bottleneck", "BOTTLENECK"},
                                           {"prompt", "PROMPT_TUNING"},
                                           {"prefix", "PREFIX_TUNING"},
                                           {"bitfit", "LORA"},
                                           {"layers", "LORA"}};
    const sc_adapters *a = &k->m->adapters;
    const char *type = NULL, *method = k->o->method;
    for (int i = 0; i < SC_COUNT(types); i++)
        if (strcmp(method, types[i][0]) == 0) type = types[i][1];
    char *base = sc_path_absolute(k->m->info.path);
    json_t *o = json_pack("{s:s, s:s?, s:s?, s:b, s:n}", "peft_type", type, "task_type", task_type(k->m),
                          "base_model_name_or_path", base, "inference_mode", 1, "revision");
    bool ok = o && base && add_modules(o, k->m, modules);
    if (ok && strcmp(method, "lora") == 0) ok = add_lora(o, k, all, chosen);
    if (ok && strcmp(method, "ia3") == 0)
        ok = set(o, "target_modules", target_names(a, all, chosen, -1)) &&
             set(o, "feedforward_modules", target_names(a, all, chosen, SC_LORA_SCALES_IN)) &&
             set(o, "init_ia3_weights", json_true());
    if (ok && strcmp(method, "bottleneck") == 0)
        ok = set(o, "target_modules", target_names(a, all, chosen, -1)) &&
             set(o, "non_linearity", json_string("relu"));
    if (ok && a->prompt.rows) ok = add_virtual(o, k->m);
    if (ok && (strcmp(method, "bitfit") == 0 || strcmp(method, "layers") == 0)) /* as PEFT spells "none" */
        ok = set(o, "target_modules", json_string("dummy-target-modules")) && set(o, "r", json_integer(1)) &&
             set(o, "lora_alpha", json_real(1)) &&
             set(o, "bias", json_string(strcmp(method, "bitfit") == 0 ? "all" : "none"));
    sc_free(base);
    if (!ok) {
        json_decref(o);
        return sc_nomem();
    }
    k->m->adapters.config = o;
    return SC_OK;
}
