/* SPDX-License-Identifier: Apache-2.0 */
/* What items ask for, and how it is answered: by what was asked before, else by the asker, each answer being kept at once. */
#include "eval/run.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>

/* ---- windows ---- */

void sc_eval_window_clear(sc_eval_window *w)
{
    for (int64_t i = 0; i < w->n_items; i++) {
        sc_eval_parts_free(&w->item[i].parts);
        json_decref(w->item[i].prompts);
        sc_free(w->item[i].begin);
    }
    for (int64_t i = 0; i < w->n; i++) sc_free(w->ask[i].continuation);
    w->n_items = w->n = 0;
}

void sc_eval_window_free(sc_eval_window *w)
{
    sc_eval_window_clear(w);
    sc_free(w->item);
    sc_free(w->ask);
    *w = (sc_eval_window){0};
}

/* ---- who answers, and how ---- */

/* Names, sizes and times of a model's files: a changed one is another model. */
static void add_file(sc_str *s, const char *path, const char *name)
{
    struct stat st;
    if (!stat(path, &st) && S_ISREG(st.st_mode))
        sc_str_printf(s, "%s %lld %lld.%ld;", name, (long long)st.st_size, (long long)st.st_mtim.tv_sec,
                      st.st_mtim.tv_nsec);
}

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static char *identify(const sc_asker *asker, const sc_eval_options *o)
{
    sc_str s = {0};
    const char *name = sc_asker_name(asker);
    struct dirent **entry;
    sc_str_printf(&s, "%s\n%s\n", name, o->model ? o->model : "");
    if (sc_asker_pipeline(asker)) {
        add_file(&s, name, "");
        int n = sc_path_is_dir(name) ? scandir(name, &entry, NULL, by_name) : -1;
        for (int i = 0; i < n; i++) {
            char *path = sc_path_join(name, entry[i]->d_name);
            if (path) add_file(&s, path, entry[i]->d_name);
            sc_free(path);
            free(entry[i]);
        }
        if (n >= 0) free(entry);
    }
    return sc_str_take(&s, NULL);
}

static sc_status read_stops(sc_eval_requester *r)
{
    const json_t *until = json_object_get(r->t->generation, "until");
    size_t n = json_is_array(until) ? json_array_size(until) : 1;
    if (!(r->stop = sc_calloc(n + 1, sizeof *r->stop))) return sc_nomem();
    r->how.stop = r->stop;
    if (!until || json_is_null(until)) {
        if (*r->t->shot_delimiter) r->stop[r->how.n_stop++] = r->t->shot_delimiter;
        return SC_OK;
    }
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_is_array(until) ? json_array_get(until, i) : until);
        if (!text)
            return sc_fail(SC_EFORMAT, "%s: generation_kwargs: until must be a text or a list of texts",
                           r->t->where);
        if (*text) r->stop[r->how.n_stop++] = text;
    }
    return SC_OK;
}

static sc_status read_generation(sc_eval_requester *r)
{
    static const char *const names[] = {"max_completion_tokens", "max_tokens", "max_new_tokens", "max_gen_toks"};
    const json_t *g = r->t->generation;
    int64_t most = 0;
    bool sample = false;
    sc_status s = read_stops(r);
    for (int i = 0; !s && i < SC_COUNT(names); i++) s = sc_json_int(g, r->t->where, names[i], 1, 1000000, &most);
    if (!s) s = sc_json_bool(g, r->t->where, "do_sample", &sample);
    r->how.sampling = (sc_sampling)SC_SAMPLING_INIT;
    char *text = !s && g ? json_dumps(g, JSON_COMPACT) : NULL;
    if (text) s = sc_sampling_from_json(&r->how.sampling, text, (int64_t)strlen(text), r->t->where);
    free(text);
    r->how.sampling.do_sample = sample;
    r->how.sampling.seed = r->o->seed;
    r->how.max_new_tokens = most ? most : 256;
    if (r->o->most_tokens) r->how.max_new_tokens = most ? SC_MIN(most, r->o->most_tokens) : r->o->most_tokens;
    r->how.samples = (int)r->t->repeats;
    r->how.cut = true;
    return s;
}

sc_status sc_eval_requester_start(sc_eval_requester *r, sc_context *ctx, const sc_eval_task *t,
                                  const sc_eval_options *o, sc_asker *asker)
{
    *r = (sc_eval_requester){.ctx = ctx, .t = t, .o = o, .asker = asker};
    if (o->chat && !sc_asker_chats(asker))
        return sc_fail(SC_EUNSUPPORTED, "%s: has no chat template", sc_asker_name(asker));
    if (o->chat && t->kind == SC_EVAL_ROLLING)
        return sc_fail(SC_EUNSUPPORTED, "%s: whole texts are no conversation", t->name);
    if (o->chat && t->kind != SC_EVAL_GENERATE && sc_eval_value_given(&t->prefix))
        return sc_fail(SC_EUNSUPPORTED, "%s: gen_prefix in a conversation is for generated answers", t->name);
    if (t->kind == SC_EVAL_ROLLING && !sc_asker_pipeline(asker))
        return sc_fail(SC_EUNSUPPORTED, "%s: an endpoint does not tell the likelihood of whole texts", t->name);
    if (!(r->identity = identify(asker, o))) return sc_nomem();
    sc_status s = t->kind == SC_EVAL_GENERATE ? read_generation(r) : SC_OK;
    if (!s) s = sc_eval_cache_open(&r->cache, o->cache);
    return s;
}

void sc_eval_requester_end(sc_eval_requester *r)
{
    sc_eval_cache_close(r->cache);
    sc_free(r->identity);
    sc_free(r->stop);
}

/* ---- requests of an item ---- */

/* What an answer depends on, as one text. */
static char *terms(const sc_eval_requester *r, const char *begin)
{
    sc_str s = {0};
    const sc_ask_request *h = &r->how;
    sc_str_printf(&s, "kind %d chat %d", r->t->kind == SC_EVAL_CHOICE ? SC_EVAL_LIKELIHOOD : (int)r->t->kind,
                  r->o->chat);
    if (r->t->kind == SC_EVAL_GENERATE) {
        char *how = NULL;
        if (sc_sampling_describe(&how, &h->sampling)) how = NULL;
        sc_str_printf(&s, " most %lld samples %d %s begin %s", (long long)h->max_new_tokens, h->samples,
                      how ? how : "", begin);
        for (int64_t i = 0; i < h->n_stop; i++) sc_str_printf(&s, " until %s\n", h->stop[i]);
        sc_free(how);
    }
    return sc_str_take(&s, NULL);
}

/* Takes continuation. */
static sc_status add_ask(sc_eval_window *w, sc_eval_requester *r, const char *prompt, char *continuation,
                         const char *begin)
{
    char *how = terms(r, begin);
    if (!how || !sc_grow(&w->ask, &w->cap, w->n + 1, sizeof *w->ask)) {
        sc_free(how);
        sc_free(continuation);
        return sc_nomem();
    }
    sc_eval_ask *a = &w->ask[w->n++];
    *a = (sc_eval_ask){.prompt = prompt, .continuation = continuation};
    sc_eval_cache_key(a->key, (const char *const[]){r->identity, how, prompt, continuation ? continuation : ""}, 4);
    sc_free(how);
    return SC_OK;
}

static char *joined(const char *a, const char *b)
{
    sc_str s = {0};
    sc_str_puts(&s, a);
    sc_str_puts(&s, b);
    if (!s.p) sc_str_puts(&s, "");
    return sc_str_take(&s, NULL);
}

static sc_status ask_choices(sc_eval_window *w, sc_eval_requester *r, const sc_eval_asked *x)
{
    const sc_eval_task *t = r->t;
    size_t n = json_array_size(x->parts.choices);
    const char *between = r->o->chat ? "" : t->delimiter,
               *prompt = json_string_value(json_array_get(x->prompts, 0));
    char *target = NULL;
    sc_status s = t->many_inputs ? sc_eval_target_text(&target, &x->parts) : SC_OK;
    for (size_t i = 0; !s && i < n; i++) {
        const char *choice = json_string_value(json_array_get(x->parts.choices, i));
        if (t->many_inputs) prompt = json_string_value(json_array_get(x->prompts, i));
        char *text = joined(between, t->many_inputs ? target : choice);
        s = !text ? sc_nomem() : add_ask(w, r, prompt, text, "");
    }
    for (size_t i = 0; !s && t->mutual && i < n; i++) {
        char *text = joined(between, json_string_value(json_array_get(x->parts.choices, i)));
        s = !text ? sc_nomem() : add_ask(w, r, "", text, "");
    }
    sc_free(target);
    return s;
}

static sc_status ask_target(sc_eval_window *w, sc_eval_requester *r, const sc_eval_asked *x)
{
    char *text = NULL;
    sc_status s = sc_eval_target_text(&text, &x->parts);
    if (s) return s;
    bool rolling = r->t->kind == SC_EVAL_ROLLING;
    return add_ask(w, r, rolling ? "" : json_string_value(json_array_get(x->prompts, 0)), text, "");
}

sc_status sc_eval_request(sc_eval_window *w, sc_eval_requester *r, sc_eval_prompter *p, int64_t item)
{
    const sc_eval_task *t = r->t;
    if (!sc_grow(&w->item, &w->cap_items, w->n_items + 1, sizeof *w->item)) return sc_nomem();
    sc_eval_asked *x = &w->item[w->n_items++];
    *x = (sc_eval_asked){.item = item, .row = json_array_get(t->rows, (size_t)item), .first = w->n};
    sc_status s = sc_eval_parts_get(&x->parts, t, x->row, false);
    if (!s && t->many_inputs && !json_is_integer(x->parts.text))
        s = sc_fail(SC_EFORMAT, "doc_to_text is a choice's number in the first row, and none in this one");
    if (!s && t->kind != SC_EVAL_ROLLING) s = sc_eval_prompts(&x->prompts, p, x->row, &x->parts);
    if (!s && t->kind == SC_EVAL_GENERATE) {
        if (r->o->chat)
            s = sc_eval_value_text(&x->begin, &t->prefix, x->row);
        else
            x->begin = sc_strdup("");
        if (!s && !x->begin) s = sc_nomem();
        if (!s) s = add_ask(w, r, json_string_value(json_array_get(x->prompts, 0)), NULL, x->begin);
    } else if (!s) {
        s = t->kind == SC_EVAL_CHOICE ? ask_choices(w, r, x) : ask_target(w, r, x);
    }
    x->n = w->n - x->first;
    return s ? sc_fail_in(s, "%s: item %lld", t->name, (long long)item) : SC_OK;
}

/* ---- answers ---- */

typedef struct waiting {
    sc_eval_window *w;
    sc_eval_requester *r;
    int64_t *at; /* the asker's requests are these of the window */
    int64_t n;
    sc_status status;
} waiting;

static bool keep(waiting *x, int64_t i, json_t *value)
{
    sc_eval_ask *a = &x->w->ask[x->at[i]];
    x->status = sc_eval_cache_put(x->r->cache, a->key, value);
    return !x->status;
}

static bool keep_score(void *user, int64_t i, const void *result)
{
    const sc_ask_score *score = result;
    return keep(user, i, json_pack("[f, b]", score->logprob, score->greedy));
}

/* What is not UTF-8, and a NUL, which ends texts here, become U+FFFD. */
static json_t *clean_text(const char *p, int64_t n)
{
    sc_str s = {0};
    uint32_t c;
    for (int64_t i = 0; i < n;) {
        i += sc_utf8_decode(p + i, n - i, &c);
        sc_str_utf8(&s, c ? c : 0xFFFD);
    }
    json_t *v = s.oom ? NULL : json_stringn(s.p ? s.p : "", (size_t)s.len);
    sc_str_free(&s);
    return v;
}

static bool keep_answers(void *user, int64_t i, const void *result)
{
    waiting *x = user;
    const sc_ask_answer *answer = result;
    json_t *list = json_array();
    for (int k = 0; list && k < x->r->how.samples; k++) {
        json_t *text = clean_text(answer[k].text, answer[k].len);
        json_array_append_new(list, text);
    }
    return keep(x, i, list);
}

static sc_text text_of(const char *p) { return (sc_text){p, (int64_t)strlen(p)}; }

static sc_status ask_scores(waiting *x)
{
    sc_ask_continuation *q = sc_calloc((size_t)x->n, sizeof *q);
    sc_ask_score *score = sc_calloc((size_t)x->n, sizeof *score);
    sc_status s = q && score ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < x->n; i++) {
        const sc_eval_ask *a = &x->w->ask[x->at[i]];
        bool chat = x->r->o->chat && *a->prompt;
        q[i].continuation = text_of(a->continuation);
        if (chat)
            q[i].messages = text_of(a->prompt);
        else
            q[i].context = text_of(a->prompt);
        if (!*a->continuation) s = sc_fail(SC_EFORMAT, "%s: an empty continuation cannot be scored", x->r->t->name);
    }
    if (!s) s = sc_asker_score(x->r->asker, q, x->n, score, keep_score, x);
    sc_free(q);
    sc_free(score);
    return s;
}

static sc_status ask_texts(waiting *x)
{
    sc_text *q = sc_calloc((size_t)x->n, sizeof *q);
    sc_ask_score *score = sc_calloc((size_t)x->n, sizeof *score);
    sc_status s = q && score ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < x->n; i++) q[i] = text_of(x->w->ask[x->at[i]].continuation);
    if (!s) s = sc_asker_score_texts(x->r->asker, q, x->n, score, keep_score, x);
    sc_free(q);
    sc_free(score);
    return s;
}

/* The item that a request of the window is of. */
static const sc_eval_asked *item_of(const sc_eval_window *w, int64_t ask)
{
    int64_t lo = 0, hi = w->n_items - 1;
    while (lo < hi) {
        int64_t mid = (lo + hi + 1) / 2;
        if (w->item[mid].first <= ask)
            lo = mid;
        else
            hi = mid - 1;
    }
    return &w->item[lo];
}

static sc_status ask_answers(waiting *x)
{
    int64_t all = x->n * x->r->how.samples;
    sc_ask_request *q = sc_calloc((size_t)x->n, sizeof *q);
    sc_ask_answer *answer = sc_calloc((size_t)all, sizeof *answer);
    sc_status s = q && answer ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < x->n; i++) {
        const sc_eval_asked *item = item_of(x->w, x->at[i]);
        q[i] = x->r->how;
        q[i].sampling.stream = (uint64_t)(item->item * x->r->how.samples);
        if (x->r->o->chat) {
            q[i].messages = text_of(x->w->ask[x->at[i]].prompt);
            if (*item->begin) q[i].begin = text_of(item->begin);
        } else {
            q[i].prompt = text_of(x->w->ask[x->at[i]].prompt);
        }
    }
    if (!s) s = sc_asker_generate(x->r->asker, q, x->n, answer, keep_answers, x);
    if (!s) sc_ask_answers_free(answer, all);
    sc_free(q);
    sc_free(answer);
    return s;
}

sc_status sc_eval_answer(sc_eval_window *w, sc_eval_requester *r)
{
    waiting x = {.w = w, .r = r, .at = sc_malloc((size_t)SC_MAX(w->n, 1) * sizeof(int64_t))};
    sc_map seen = {0}; /* the same request may be there twice */
    sc_status s = x.at ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < w->n; i++) {
        int64_t other;
        if (sc_eval_cache_get(r->cache, w->ask[i].key)) {
            r->cached++;
            continue;
        }
        if (sc_map_get(&seen, w->ask[i].key, 32, &other)) continue;
        if (!sc_map_put(&seen, w->ask[i].key, 32, i)) s = sc_nomem();
        x.at[x.n++] = i;
    }
    r->requests += w->n;
    if (!s && x.n)
        s = r->t->kind == SC_EVAL_GENERATE  ? ask_answers(&x)
            : r->t->kind == SC_EVAL_ROLLING ? ask_texts(&x)
                                            : ask_scores(&x);
    if (x.status) s = x.status;
    for (int64_t i = 0; !s && i < w->n; i++) {
        w->ask[i].value = sc_eval_cache_get(r->cache, w->ask[i].key);
        if (!json_is_array(w->ask[i].value)) s = sc_fail(SC_EFORMAT, "%s: a kept request is damaged", r->o->cache);
    }
    sc_map_free(&seen);
    sc_free(x.at);
    return s;
}
