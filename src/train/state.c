/* SPDX-License-Identifier: Apache-2.0 */
/* The options of a run as JSON and back: trainer_state.json has them all, so that a run can go on without being told them
 * again, and with none that would change what it gives. */
#include "train/run.h"

#include <stdlib.h>

typedef enum field_kind {
    INT,
    SEED,
    NUM,
    OFF,
    STR,
    PATH,
    FLAG,
    TEXTS,
    PATHS
} field_kind; /* OFF: below 0 is none */

typedef struct field {
    const char *name; /* of the command's option, behind a dot where several methods have one of that name */
    field_kind kind;
    size_t at, count;
    bool
        free; /* may be another when a run goes on: what it gives does not depend on it, or it is compared by content */
} field;

#define FIELD(name, kind, member)                                                                                  \
    {                                                                                                              \
        name, kind, offsetof(sc_train_options, member), 0, false                                                   \
    }
#define FREE(name, kind, member)                                                                                   \
    {                                                                                                              \
        name, kind, offsetof(sc_train_options, member), 0, true                                                    \
    }
#define LIST(name, kind, member, free)                                                                             \
    {                                                                                                              \
        name, kind, offsetof(sc_train_options, member), offsetof(sc_train_options, n_##member), free               \
    }

#define LIST_IN(name, kind, part, member)                                                                          \
    {                                                                                                              \
        name, kind, offsetof(sc_train_options, part.member), offsetof(sc_train_options, part.n_##member), false    \
    }

static const field fields[] = {
    FREE("model", PATH, model),
    FREE("tokenizer", PATH, tokenizer),
    FREE("from-weights", FLAG, from_weights),
    FIELD("peft", STR, peft.method),
    FIELD("targets", STR, peft.targets),
    FIELD("rank", INT, peft.rank),
    FIELD("alpha", NUM, peft.alpha),
    FIELD("rslora", FLAG, peft.rslora),
    FIELD("dora", FLAG, peft.dora),
    FIELD("dropout", NUM, peft.dropout),
    FIELD("train-also", STR, peft.save),
    FIELD("width", INT, peft.width),
    FIELD("after-ffn", FLAG, peft.after_ffn),
    FIELD("virtual-tokens", INT, peft.tokens),
    FIELD("virtual-text", STR, peft.first),
    FIELD("objective", STR, objective),
    LIST("data", PATHS, data, true),
    LIST("eval-data", PATHS, eval_data, true),
    FIELD("steps", INT, steps),
    FIELD("epochs", NUM, epochs),
    FIELD("batch", INT, batch),
    FIELD("length", INT, length),
    FIELD("accumulate", INT, accumulate),
    FIELD("optimizer", STR, optimizer),
    FIELD("schedule", STR, schedule),
    FIELD("lr", NUM, lr),
    FIELD("rest-lr", NUM, rest_lr),
    FIELD("muon-scale", STR, muon_scale),
    FIELD("beta1", NUM, beta1),
    FIELD("beta2", NUM, beta2),
    FIELD("eps", NUM, eps),
    FIELD("weight-decay", OFF, weight_decay),
    FIELD("decay", STR, decayed),
    LIST("group", TEXTS, groups, false),
    FIELD("warmup", OFF, warmup),
    FIELD("clip", OFF, clip),
    FIELD("ema", NUM, ema),
    FREE("ema-model", FLAG, ema_model),
    FIELD("alphabet", PATH, alphabet),
    LIST("replay", PATHS, replay, true),
    FIELD("replay-share", NUM, replay_share),
    LIST("old-eval-data", PATHS, old_eval_data, true),
    FIELD("ewc", OFF, ewc),
    LIST("ewc-data", PATHS, ewc_data, true),
    FREE("ewc-from", PATH, ewc_from), /* what it said is in the run's own file */
    FIELD("ewc-examples", INT, ewc_examples),
    FIELD("l2-start", OFF, l2_start),
    FIELD("pack", FLAG, pack),
    FIELD("whole-words", FLAG, whole_words),
    FIELD("keep-order", FLAG, keep_order),
    FIELD("mask-share", NUM, mask_share),
    FIELD("mean-span", NUM, mean_span),
    FIELD("label-smoothing", NUM, smoothing),
    FIELD("scale", NUM, scale),
    FIELD("pooling", STR, pooling),
    LIST_IN("reward", TEXTS, rl, rewards),
    FREE("reward-seconds", NUM, rl.reward_seconds),
    FIELD("reward-failed", NUM, rl.reward_failed),
    FIELD("rollouts", INT, rl.rollouts),
    FIELD("group-size", INT, rl.group),
    FIELD("passes", INT, rl.passes),
    FIELD("max-tokens", INT, rl.max_tokens),
    FIELD("rl.temperature", NUM, rl.temperature),
    FIELD("rl.reference", PATH, rl.reference),
    FIELD("kl", OFF, rl.kl),
    FIELD("kl-target", NUM, rl.kl_target),
    FIELD("kl-horizon", NUM, rl.kl_horizon),
    FIELD("discount", OFF, rl.gamma),
    FIELD("lambda", OFF, rl.lambda),
    FIELD("clip-low", NUM, rl.clip_low),
    FIELD("clip-high", NUM, rl.clip_high),
    FIELD("value-clip", NUM, rl.value_clip),
    FIELD("value-coef", NUM, rl.value_coef),
    FIELD("no-end", NUM, rl.no_end),
    FIELD("rl.loss", STR, rl.loss),
    FIELD("advantage-scale", STR, rl.scale),
    FIELD("leave-out", FLAG, rl.leave_out),
    FIELD("whiten-rewards", FLAG, rl.whiten_rewards),
    FIELD("keep-advantages", FLAG, rl.keep_advantages),
    FIELD("loss", STR, prefer.loss),
    FIELD("beta", NUM, prefer.beta),
    FIELD("gamma", OFF, prefer.gamma),
    FIELD("sft-weight", NUM, prefer.sft),
    FIELD("desirable", NUM, prefer.desirable),
    FIELD("undesirable", NUM, prefer.undesirable),
    FIELD("center", NUM, prefer.center),
    FIELD("reference", PATH, prefer.reference),
    FREE("precompute", FLAG, prefer.precompute),
    FIELD("skip-equal", FLAG, prefer.skip_equal),
    FIELD("template", PATH, chat_template),
    FIELD("learn", STR, learn),
    FIELD("overlong", STR, overlong),
    FIELD("as-chat", FLAG, chat),
    FREE("teacher", PATH, distill.teacher),
    FIELD("divergence", STR, distill.divergence),
    FIELD("distill.temperature", NUM, distill.temperature),
    FIELD("on-policy", NUM, distill.on_policy),
    FIELD("distill.max-tokens", INT, distill.max_tokens),
    FIELD("answer-temperature", NUM, distill.answer_temperature),
    FIELD("mixture", NUM, distill.beta),
    FIELD("teacher-share", NUM, distill.share),
    FIELD("eval-share", NUM, eval_share),
    FIELD("precision", STR, precision),
    FREE("recompute", FLAG, recompute),
    FIELD("seed", SEED, seed),
    FIELD("in-order", FLAG, in_order),
    FREE("save-every", INT, save_every),
    FREE("keep", INT, keep),
    FIELD("best", FLAG, best),
    FREE("eval-every", INT, eval_every),
    FREE("log-every", INT, log_every),
    FREE("sample-every", INT, sample_every),
    LIST("prompt", TEXTS, prompts, true),
    FREE("sample-tokens", INT, sample_tokens),
    FIELD("on-spike", STR, on_spike),
    FIELD("spike-factor", NUM, spike_factor),
    FIELD("spike-window", INT, spike_window),
    FIELD("spike-limit", INT, spike_limit),
};

/* ---- to JSON ---- */

static json_t *text_of(const field *f, const char *text)
{
    char *path = f->kind == PATH || f->kind == PATHS ? sc_path_absolute(text) : NULL;
    json_t *v = json_string(path ? path : text);
    sc_free(path);
    return v;
}

static json_t *list_of(const field *f, const char *const *list, int n)
{
    json_t *v = json_array();
    for (int i = 0; v && i < n; i++)
        if (json_array_append_new(v, text_of(f, list[i])) != 0) {
            json_decref(v);
            return NULL;
        }
    return v;
}

/* NULL: the option has no value. */
static json_t *value_of(const field *f, const sc_train_options *o)
{
    const char *p = (const char *)o + f->at;
    switch (f->kind) {
    case INT: return json_integer((json_int_t) * (const int64_t *)p);
    case SEED: return json_integer((json_int_t) * (const uint64_t *)p);
    case NUM: return json_real(*(const double *)p);
    case OFF: return json_real(SC_MAX(*(const double *)p, 0));
    case FLAG: return json_boolean(*(const bool *)p);
    case STR:
    case PATH: return *(const char *const *)p ? text_of(f, *(const char *const *)p) : NULL;
    case TEXTS:
    case PATHS: {
        int n = *(const int *)((const char *)o + f->count);
        return n ? list_of(f, *(const char *const *const *)p, n) : NULL;
    }
    }
    return NULL;
}

json_t *sc_train_options_json(const sc_train_options *o)
{
    json_t *all = json_object();
    for (int i = 0; all && i < SC_COUNT(fields); i++) {
        json_t *v = value_of(&fields[i], o);
        if (v && json_object_set_new(all, fields[i].name, v) != 0) {
            json_decref(all);
            return NULL;
        }
    }
    return all;
}

/* ---- from JSON ---- */

static sc_status take_list(const field *f, const json_t *v, sc_train_options *o, sc_arena *arena)
{
    size_t n = json_array_size(v);
    const char **list = sc_arena_alloc(arena, (n + 1) * sizeof *list);
    if (!list) return sc_nomem();
    for (size_t i = 0; i < n; i++) {
        const json_t *text = json_array_get(v, i);
        if (!json_is_string(text)) return sc_fail(SC_EFORMAT, "options: '%s' is no list of texts", f->name);
        list[i] = sc_arena_strndup(arena, json_string_value(text), json_string_length(text));
        if (!list[i]) return sc_nomem();
    }
    *(const char *const **)((char *)o + f->at) = list;
    *(int *)((char *)o + f->count) = (int)n;
    return SC_OK;
}

/* An option that the caller leaves open, from the run's own. */
static sc_status take(const field *f, const json_t *v, sc_train_options *o, sc_arena *arena)
{
    char *p = (char *)o + f->at;
    double x = json_number_value(v);
    switch (f->kind) {
    case INT:
        if (!*(int64_t *)p) *(int64_t *)p = json_integer_value(v);
        break;
    case SEED:
        if (!*(uint64_t *)p) *(uint64_t *)p = (uint64_t)json_integer_value(v);
        break;
    case NUM:
        if (*(double *)p == 0) *(double *)p = x;
        break;
    case OFF:
        if (*(double *)p == 0) *(double *)p = x > 0 ? x : -1;
        break;
    case FLAG:
        if (!*(bool *)p) *(bool *)p = json_is_true(v);
        break;
    case STR:
    case PATH:
        if (*(const char **)p || !json_is_string(v)) break;
        *(const char **)p = sc_arena_strndup(arena, json_string_value(v), json_string_length(v));
        return *(const char **)p ? SC_OK : sc_nomem();
    case TEXTS:
    case PATHS:
        if (!*(int *)((char *)o + f->count)) return take_list(f, v, o, arena);
    }
    return SC_OK;
}

sc_status sc_train_options_fill(sc_train_options *o, const json_t *all, sc_arena *arena)
{
    sc_status s = SC_OK;
    for (int i = 0; !s && i < SC_COUNT(fields); i++) {
        const json_t *v = json_object_get(all, fields[i].name);
        if (v) s = take(&fields[i], v, o, arena);
    }
    return s;
}

/* ---- going on ---- */

static void spell(const json_t *v, char text[100])
{
    char *dump = v ? json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    snprintf(text, 100, "%.99s", json_is_string(v) ? json_string_value(v) : dump ? dump : "not given");
    sc_free(dump);
}

sc_status sc_train_options_same(const sc_train_options *o, const json_t *all, const char *out)
{
    for (int i = 0; i < SC_COUNT(fields); i++) {
        const field *f = &fields[i];
        const json_t *before = json_object_get(all, f->name);
        json_t *now = value_of(f, o);
        /* Where a run goes back to depends on where it was saved. */
        bool fixed =
            !f->free || (strcmp(f->name, "save-every") == 0 && o->on_spike && strcmp(o->on_spike, "rollback") == 0);
        bool same = !fixed || (!now && !before) || (now && before && json_equal(now, before));
        char a[100], b[100];
        spell(now, a);
        spell(before, b);
        json_decref(now);
        const char *dot = strchr(f->name, '.');
        if (!same)
            return sc_fail(SC_EINVAL, "%s: --%s is %s, the run was started with %s; go on with that or without it",
                           out, dot ? dot + 1 : f->name, a, b);
    }
    return SC_OK;
}

/* ---- files by their content ---- */

static sc_status file_sum(const char *path, json_t **out)
{
    sc_buffer *file;
    char *whole, hex[16];
    sc_status s = sc_file_map(&file, path);
    if (s) return s;
    snprintf(hex, sizeof hex, "%08x", sc_crc32c(0, file->data, file->size));
    if ((whole = sc_path_absolute(path)))
        *out = json_pack("{s:s, s:I, s:s}", "path", whole, "bytes", (json_int_t)file->size, "crc32c", hex);
    sc_free(whole);
    sc_buffer_unref(file);
    return *out ? SC_OK : sc_nomem();
}

sc_status sc_files_state(json_t **out, const char *const *path, int n)
{
    json_t *list = json_array();
    sc_status s = list ? SC_OK : sc_nomem();
    for (int i = 0; !s && i < n; i++) {
        json_t *sum = NULL;
        /* Of a folder of shards: its index, which has the sums of all. */
        char *index = sc_path_is_dir(path[i]) ? sc_path_join(path[i], "index.json") : NULL;
        s = file_sum(index ? index : path[i], &sum);
        sc_free(index);
        if (!s && json_array_append_new(list, sum) != 0) s = sc_nomem();
    }
    if (s)
        json_decref(list);
    else
        *out = list;
    return s;
}

sc_status sc_files_same(const json_t *now, const json_t *before, const char *option, const char *out)
{
    size_t n = json_array_size(now), had = json_array_size(before);
    if (n != had)
        return sc_fail(SC_EINVAL, "%s: %zu files with --%s, the run was started with %zu", out, n, option, had);
    for (size_t i = 0; i < n; i++) {
        const json_t *a = json_array_get(now, i), *b = json_array_get(before, i);
        if (!json_equal(json_object_get(a, "crc32c"), json_object_get(b, "crc32c")) ||
            !json_equal(json_object_get(a, "bytes"), json_object_get(b, "bytes")))
            return sc_fail(SC_EINVAL, "%s: %s is not what the run was started with", out,
                           json_string_value(json_object_get(a, "path")));
    }
    return SC_OK;
}
