/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks: whether a model's answer is the expected one, how near it comes, and how likely the expected one was to it. */
#include "scale/summary.h"
#include "socle/pipeline.h"
#include "socle/world.h"

#include <math.h>
#include <stdlib.h>

enum { MAX_RESULT = 16 << 20, MAX_ANSWER = 256, MORE = 8, MAX_KINDS_TEXT = 1 << 16 };

/* ---- the tasks ---- */

typedef struct sets {
    sc_task_set *set[SC_MOST_KINDS];
    int n;
    uint64_t hash; /* of all prompts and answers */
} sets;

static void free_sets(sets *x)
{
    for (int i = 0; i < x->n; i++) sc_tasks_free(x->set[i]);
}

static uint64_t hash_of(const sets *x)
{
    uint64_t h = 0;
    for (int i = 0; i < x->n; i++)
        for (int64_t k = 0; k < x->set[i]->n; k++) {
            const sc_task *t = &x->set[i]->task[k];
            uint64_t part[] = {h, sc_hash(t->kind, (int64_t)strlen(t->kind)),
                               sc_hash(t->prompt, (int64_t)strlen(t->prompt)),
                               sc_hash(t->answer, (int64_t)strlen(t->answer))};
            h = sc_hash(part, sizeof part);
        }
    return h;
}

static sc_status make_kinds(sets *out, const char *names, int64_t count, uint64_t seed)
{
    char *list = sc_strdup(names), *save = NULL;
    sc_status s = list ? SC_OK : sc_nomem();
    for (char *kind = s ? NULL : strtok_r(list, ",", &save); kind && !s; kind = strtok_r(NULL, ",", &save)) {
        const sc_world_options o = {.kind = kind, .seed = seed, .split = "eval"};
        if (out->n == SC_MOST_KINDS) s = sc_fail(SC_ELIMIT, "more than %d kinds of tasks", SC_MOST_KINDS);
        if (!s && !(s = sc_tasks_make(&out->set[out->n], &o, count))) out->n++;
    }
    sc_free(list);
    return s;
}

static sc_status open_sets(sets *out, const char *tasks, int64_t count, uint64_t seed)
{
    bool file = sc_path_has_suffix(tasks, ".jsonl") || sc_path_exists(tasks);
    sc_status s = file ? sc_tasks_read(&out->set[0], tasks) : make_kinds(out, tasks, count, seed);
    if (!s && file) out->n = 1;
    if (!s && !out->n) s = sc_fail(SC_EINVAL, "no tasks in '%s'", tasks);
    if (!s) out->hash = hash_of(out);
    return s;
}

/* ---- one model ---- */

typedef struct pupil {
    sc_pipeline *p;
    sc_session *score; /* a session of its own: the pipeline keeps what it answered in its */
    int64_t vocab;
    sc_able *able;
} pupil;

/* The place of a kind's results, made with its first task. */
static sc_ability *ability_of(sc_able *a, const char *kind)
{
    for (int i = 0; i < a->kinds; i++)
        if (strcmp(a->kind[i].kind, kind) == 0) return &a->kind[i];
    char *name = a->kinds < SC_MOST_KINDS ? sc_strdup(kind) : NULL;
    if (!name) return NULL;
    a->kind[a->kinds] = (sc_ability){.kind = name};
    return &a->kind[a->kinds++];
}

/* Text as a document of the training begins: behind the end of another, where the tokenizer puts nothing before it. */
static sc_status ids_of(const pupil *u, const char *prompt, const char *answer, int32_t **out, int64_t *n)
{
    const sc_tokenizer *t = sc_pipeline_tokenizer(u->p);
    sc_str text = {0};
    int32_t *ids = NULL, end = sc_tokenizer_eos(t);
    sc_str_printf(&text, "%s%s", prompt, answer);
    sc_status s = text.oom ? sc_nomem() : sc_pipeline_text_ids(u->p, text.p, text.len, &ids, n);
    sc_str_free(&text);
    if (s) return s;
    bool lead = end >= 0 && end < u->vocab && (!*n || ids[0] != sc_tokenizer_bos(t));
    if (!(*out = sc_malloc(sizeof **out * (size_t)(*n + 1)))) s = sc_nomem();
    if (!s) {
        if (lead) (*out)[0] = end;
        memcpy(*out + lead, ids, sizeof *ids * (size_t)*n);
        *n += lead;
    }
    sc_free(ids);
    return s;
}

/* The mean log probability of ids[known..n). */
static sc_status score(pupil *u, const int32_t *ids, int64_t n, int64_t known, double *out)
{
    const float *row;
    double sum = 0;
    sc_status s = sc_session_trim(u->score, 0, 0);
    for (int64_t i = 0; !s && i + 1 < n; i++) {
        /* What comes before the answer at once, its tokens one by one: they are few, and rows of logits wide. */
        int64_t take = i == 0 ? SC_MAX(known, 1) : 1;
        const int32_t one = ids[i];
        s = i == 0 ? sc_session_eval(u->score, 0, ids, take, &row) : sc_session_eval(u->score, 0, &one, 1, &row);
        if (s) break;
        i += take - 1;
        double top = row[0], all = 0;
        for (int64_t k = 1; k < u->vocab; k++) top = fmax(top, row[k]);
        for (int64_t k = 0; k < u->vocab; k++) all += exp(row[k] - top);
        sum += row[ids[i + 1]] - top - log(all);
    }
    *out = sum / (double)SC_MAX(n - SC_MAX(known, 1), 1);
    return s;
}

static bool take_text(void *user, const char *piece, int64_t len)
{
    sc_str_append(user, piece, len);
    return true;
}

static sc_status answer(pupil *u, const int32_t *ids, int64_t n, int64_t most, sc_str *out)
{
    static const char *const stop[] = {"\n"};
    const sc_sampling greedy = SC_SAMPLING_INIT;
    sc_text_request r = {.ids = ids,
                         .n_ids = n,
                         .sampling = greedy,
                         .max_new_tokens = most,
                         .stop = stop,
                         .n_stop = 1,
                         .text = take_text,
                         .user = out};
    sc_text_result result = {0};
    sc_status s = sc_pipeline_generate(u->p, &r, &result);
    sc_free(result.ids);
    return s ? s : out->oom ? sc_nomem() : SC_OK;
}

static sc_status try_task(pupil *u, const sc_task *t)
{
    int32_t *prompt = NULL, *whole = NULL;
    int64_t n = 0, all = 0, known = 0, context = sc_session_context(u->score);
    double logprob = 0;
    sc_str said = {0};
    sc_ability *a = ability_of(u->able, t->kind);
    sc_status s = a ? ids_of(u, t->prompt, "", &prompt, &n) : sc_nomem();
    if (!s) s = ids_of(u, t->prompt, t->answer, &whole, &all);
    if (!s) {
        while (known < n && known < all && prompt[known] == whole[known]) known++;
        known = SC_MIN(known, all - 1);
        int64_t most = SC_MIN(all - known + MORE, MAX_ANSWER), skip = SC_MAX(SC_MAX(all, n + most) - context, 0);
        if (n < 1 || all < 2 || skip >= known || skip >= n)
            s = sc_fail(SC_ELIMIT, "a task of %lld tokens in a context of %lld", (long long)all,
                        (long long)context);
        if (!s) s = score(u, whole + skip, all - skip, known - skip, &logprob);
        if (!s) s = answer(u, prompt + skip, n - skip, most, &said);
    }
    if (!s) {
        const char *text = said.p ? said.p : "";
        a->n++;
        a->exact += sc_task_exact(t, text);
        a->similarity += sc_task_similarity(t, text);
        a->logprob += logprob;
    }
    sc_str_free(&said);
    sc_free(prompt);
    sc_free(whole);
    return s;
}

/* ---- tasks.json ---- */

static json_t *able_json(const sc_able *a, const char *hash)
{
    json_t *kinds = json_array();
    for (int i = 0; i < a->kinds; i++) {
        const sc_ability *k = &a->kind[i];
        json_array_append_new(kinds,
                              json_pack("{s:s, s:I, s:f, s:f, s:f}", "kind", k->kind, "n", (json_int_t)k->n,
                                        "exact", k->exact, "similarity", k->similarity, "logprob", k->logprob));
    }
    return json_pack("{s:s, s:s, s:f, s:o}", "tasks", hash, "run", a->name, "compute", a->c, "kinds", kinds);
}

static sc_status write_able(const sc_able *a, const char *hash, const char *path)
{
    json_t *o = able_json(a, hash);
    char *text = o ? json_dumps(o, JSON_INDENT(2) | JSON_REAL_PRECISION(10)) : NULL;
    sc_status s = text ? sc_file_write(path, text, (int64_t)strlen(text)) : sc_nomem();
    sc_free(text);
    json_decref(o);
    return s;
}

static bool has_answered(const char *path, const char *hash)
{
    json_t *o = NULL;
    if (!sc_path_exists(path) || sc_json_read(&o, path, MAX_RESULT)) return false;
    const char *before = json_string_value(json_object_get(o, "tasks"));
    bool same = before && strcmp(before, hash) == 0;
    json_decref(o);
    return same;
}

void sc_able_free(sc_able *a)
{
    for (int i = 0; i < a->kinds; i++) sc_free((void *)(uintptr_t)a->kind[i].kind);
    sc_free(a->name);
}

static sc_status ask(sc_context *ctx, const sc_rung *r, const char *model, const sets *x, const char *hash,
                     const char *path)
{
    sc_able able = {.name = sc_strdup(r->name), .c = r->compute};
    pupil u = {.able = &able};
    sc_model_info info;
    int64_t done = 0, all = 0;
    sc_status s = able.name ? sc_pipeline_open(&u.p, ctx, model, NULL) : sc_nomem();
    if (!s) {
        sc_model_describe(sc_pipeline_model(u.p), &info);
        u.vocab = info.vocab;
        if (info.head != SC_HEAD_NEXT || info.source_vocab)
            s = sc_fail(SC_EUNSUPPORTED, "%s: only decoders answer tasks", model);
    }
    if (!s) s = sc_session_new(&u.score, sc_pipeline_model(u.p), NULL);
    for (int i = 0; i < x->n; i++) all += x->set[i]->n;
    for (int i = 0; !s && i < x->n; i++)
        for (int64_t k = 0; !s && k < x->set[i]->n; k++) {
            s = try_task(&u, &x->set[i]->task[k]);
            sc_progress(ctx, "tasks", ++done, all);
            if (!s && atomic_load(&ctx->cancelled)) s = sc_fail(SC_ECANCELLED, "stopped");
        }
    for (int i = 0; i < able.kinds; i++) {
        able.kind[i].exact /= (double)able.kind[i].n;
        able.kind[i].similarity /= (double)able.kind[i].n;
        able.kind[i].logprob /= (double)able.kind[i].n;
    }
    if (!s) s = write_able(&able, hash, path);
    sc_session_free(u.score);
    sc_pipeline_free(u.p);
    sc_able_free(&able);
    return s;
}

static char *path_of(const char *dir, const char *name, const char *file)
{
    sc_str s = {0};
    sc_str_printf(&s, "%s/%s/%s", dir, name, file);
    return sc_str_take(&s, NULL);
}

sc_status sc_ladder_tasks(sc_context *ctx, const char *dir, const char *tasks, int64_t count, uint64_t seed)
{
    sets x = {0};
    sc_ladder *l = NULL;
    char hash[32];
    int64_t n = 0;
    sc_status s = open_sets(&x, tasks, count, seed);
    if (!s) s = sc_ladder_open(&l, dir);
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)x.hash);
    const sc_rung *r = s ? NULL : sc_ladder_rungs(l, &n);
    for (int64_t i = 0; !s && i < n; i++) {
        char *path = path_of(dir, r[i].name, "tasks.json"), *model = path_of(dir, r[i].name, "run");
        if (!path || !model)
            s = sc_nomem();
        else if (r[i].done && !has_answered(path, hash))
            s = ask(ctx, &r[i], model, &x, hash, path);
        sc_free(path);
        sc_free(model);
    }
    free_sets(&x);
    sc_ladder_free(l);
    return s;
}

/* ---- reading them again ---- */

static sc_status read_able(sc_able *a, const json_t *o, const char *path, const sc_rung *r)
{
    const json_t *kinds = json_object_get(o, "kinds");
    *a = (sc_able){.name = sc_strdup(r->name), .c = r->compute, .loss = r->loss};
    sc_status s = a->name ? SC_OK : sc_nomem();
    for (size_t i = 0; !s && i < json_array_size(kinds) && i < SC_MOST_KINDS; i++) {
        const json_t *k = json_array_get(kinds, i);
        const char *name = NULL;
        sc_ability v = {0};
        if (!json_is_object(k)) s = sc_fail(SC_EFORMAT, "%s: a kind is no object", path);
        if (s || (s = sc_json_str(k, path, "kind", &name)) || (s = sc_json_int(k, path, "n", 0, INT64_MAX, &v.n)) ||
            (s = sc_json_num(k, path, "exact", 0, 1, &v.exact)) ||
            (s = sc_json_num(k, path, "similarity", 0, 1, &v.similarity)) ||
            (s = sc_json_num(k, path, "logprob", -1e9, 0, &v.logprob)))
            break;
        sc_ability *to = ability_of(a, name ? name : "");
        if (!to) return sc_nomem();
        v.kind = to->kind;
        *to = v;
    }
    return s;
}

static int by_compute(const void *a, const void *b)
{
    const sc_able *x = a, *y = b;
    return x->c < y->c ? -1 : x->c > y->c;
}

sc_status sc_scale_summary_abilities(sc_scale_summary *x, const char *dir)
{
    sc_ladder *l = NULL;
    int64_t n = 0;
    sc_status s = sc_ladder_open(&l, dir);
    const sc_rung *r = s ? NULL : sc_ladder_rungs(l, &n);
    for (int64_t i = 0; !s && i < n; i++) {
        json_t *o = NULL;
        char *path = path_of(dir, r[i].name, "tasks.json");
        if (!path || !sc_grow(&x->able, &x->cap_ables, x->ables + 1, sizeof *x->able))
            s = sc_nomem();
        else if (sc_path_exists(path) && !(s = sc_json_read(&o, path, MAX_RESULT)))
            s = read_able(&x->able[x->ables++], o, path, &r[i]);
        json_decref(o);
        sc_free(path);
    }
    if (!s && x->ables) qsort(x->able, (size_t)x->ables, sizeof *x->able, by_compute);
    sc_ladder_free(l);
    return s;
}
