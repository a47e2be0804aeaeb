/* SPDX-License-Identifier: Apache-2.0 */
/* One cell: its folder, and the way through the test items. */
#include "compare/compare.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

enum { CHUNK = 16, LEAST_ITEMS = 10, MOST_FILE = 1 << 30 };

/* ---- what stands in the folder ---- */

static sc_status add_answer(sc_compare_run *r, int64_t item, double score, const char *said)
{
    if (!sc_grow(&r->answer, &r->cap, r->n_answers + 1, sizeof *r->answer)) return sc_nomem();
    char *kept = sc_arena_strndup(r->arena, said, strlen(said));
    if (!kept) return sc_nomem();
    r->answer[r->n_answers++] = (sc_compare_answer){item, score, kept};
    return SC_OK;
}

/* Lines up to the first that is not whole, in chunks as they are asked, behind which the file is cut: there the machine or the
 * program stopped, and what follows is asked as it would have been. */
static sc_status read_answers(const sc_compare_state *c, sc_compare_run *r, const char *path)
{
    char *text;
    int64_t n, at = 0, whole = 0;
    double spent = 0;
    if (!sc_path_exists(path)) return SC_OK;
    sc_status s = sc_file_read(&text, &n, path, MOST_FILE);
    while (!s && at < n) {
        const char *end = memchr(text + at, '\n', (size_t)(n - at)), *said = NULL;
        json_t *o = NULL;
        double seconds = 0, score = NAN;
        int64_t item = -1;
        if (!end || sc_json_parse(&o, text + at, end - text - at, "an answer")) break;
        bool ok = !sc_json_int(o, "an answer", "item", 0, c->task.test.n - 1, &item) && item == r->n_answers &&
                  !sc_json_num(o, "an answer", "score", 0, 1, &score) && isfinite(score) &&
                  !sc_json_num(o, "an answer", "seconds", 0, 1e12, &seconds) &&
                  !sc_json_str(o, "an answer", "said", &said) && said;
        if (ok) s = add_answer(r, item, score, said);
        json_decref(o);
        if (!ok) break;
        r->seconds += seconds;
        at = end + 1 - text;
        if (r->n_answers % CHUNK && r->n_answers < c->task.test.n) continue;
        whole = at;
        spent = r->seconds;
    }
    if (!s && whole < at) r->n_answers -= r->n_answers % CHUNK;
    r->seconds = spent;
    if (!s && whole < n && truncate(path, whole)) s = sc_fail(SC_EIO, "%s: cannot be cut to its whole lines", path);
    sc_free(text);
    return s;
}

sc_status sc_compare_run_load(sc_compare_state *c, sc_compare_run *r)
{
    char *items = sc_path_join(r->dir, "items.jsonl"), *cell = sc_path_join(r->dir, "cell.json");
    const char *note = NULL;
    json_t *o = NULL;
    sc_status s = items && cell ? read_answers(c, r, items) : sc_nomem();
    if (!s && sc_path_exists(cell)) {
        s = sc_json_read(&o, cell, 1 << 20);
        if (!s) s = sc_json_num(o, cell, "train_seconds", 0, 1e12, &r->train_seconds);
        if (!s) s = sc_json_int(o, cell, "peak_bytes", 0, INT64_MAX, &r->peak_bytes);
        if (!s) s = sc_json_int(o, cell, "tokens", 0, INT64_MAX, &r->tokens);
        if (!s) s = sc_json_int(o, cell, "train", 0, INT64_MAX, &r->train);
        if (!s) s = sc_json_str(o, cell, "note", &note);
        if (!s && note && !(r->note = sc_arena_strndup(r->arena, note, strlen(note)))) s = sc_nomem();
        /* What was not possible is tried again, and what had no time for all goes on: limits may be others now. */
        r->ended = !s && r->n_answers == c->task.test.n;
        if (!s && !r->ended) r->note = NULL;
        json_decref(o);
    }
    sc_free(items);
    sc_free(cell);
    return s;
}

static sc_status end_cell(sc_compare_run *r)
{
    char *path = sc_path_join(r->dir, "cell.json");
    json_t *o = json_pack("{s:s, s:s, s:I, s:I, s:I, s:f, s:f, s:I, s:I}", "model", r->model_name, "method",
                          r->method->name, "seed", (json_int_t)r->seed, "train", (json_int_t)r->train, "items",
                          (json_int_t)r->n_answers, "seconds", r->seconds, "train_seconds", r->train_seconds,
                          "peak_bytes", (json_int_t)r->peak_bytes, "tokens", (json_int_t)r->tokens);
    char *text = NULL;
    if (o && r->note) json_object_set_new(o, "note", json_string(r->note));
    if (o) text = json_dumps(o, JSON_INDENT(1));
    sc_status s = path && text ? sc_file_write(path, text, (int64_t)strlen(text)) : sc_nomem();
    json_decref(o);
    sc_free(text);
    sc_free(path);
    return s;
}

/* ---- peak memory ---- */

/* The most that this process had resident since the last reset; 0: not known. */
static int64_t peak(void)
{
    char line[256];
    long long kilobytes = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %lld", &kilobytes) == 1) break;
    if (f) fclose(f);
    return kilobytes * 1024;
}

static void reset_peak(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "w");
    if (!f) return; /* the peak is then the process's */
    fputs("5", f);
    fclose(f);
}

/* ---- the items ---- */

static sc_status write_answers(sc_compare_run *r, FILE *f, const sc_compare_asked *a, int64_t n, double seconds)
{
    for (int64_t i = 0; i < n; i++) {
        json_t *o = json_pack("{s:I, s:s, s:f, s:f}", "item", (json_int_t)(r->n_answers), "said", a[i].said,
                              "score", a[i].score, "seconds", seconds / (double)n);
        if (o && a[i].thought) json_object_set_new(o, "thought", json_string(a[i].thought));
        char *line = o ? json_dumps(o, JSON_COMPACT) : NULL;
        json_decref(o);
        if (!line) return sc_nomem();
        fputs(line, f);
        fputc('\n', f);
        sc_free(line);
        sc_status s = add_answer(r, r->n_answers, a[i].score, a[i].said);
        if (s) return s;
    }
    r->seconds += seconds;
    return fflush(f) || ferror(f) ? sc_fail(SC_EIO, "%s: cannot be written", r->dir) : SC_OK;
}

static sc_status answer_items(sc_compare_state *c, sc_compare_run *r, sc_asker *asker, double until)
{
    sc_compare_asking ask;
    char *path = sc_path_join(r->dir, "items.jsonl");
    FILE *f = path ? fopen(path, "a") : NULL;
    sc_status s = sc_compare_asking_open(&ask, &c->o, &c->task, r->method, asker, c->judge, c->o.seed + r->seed);
    if (!s) s = !path ? sc_nomem() : !f ? sc_fail(SC_EIO, "%s: cannot be opened", path) : SC_OK;
    if (!r->method->learns) r->train = SC_MIN(r->method->ask.shots, c->task.train.n);
    while (!s && r->n_answers < c->task.test.n) {
        sc_compare_asked a[CHUNK] = {0};
        int64_t n = SC_MIN(CHUNK, c->task.test.n - r->n_answers);
        double began = sc_now();
        if (until > 0 && began > until && r->n_answers >= LEAST_ITEMS) {
            r->note = sc_arena_printf(r->arena, "its time was over after %lld of %lld items",
                                      (long long)r->n_answers, (long long)c->task.test.n);
            break;
        }
        s = sc_compare_ask(&ask, c->task.test.item + r->n_answers, n, a);
        if (!s) s = write_answers(r, f, a, n, sc_now() - began);
        for (int64_t i = 0; i < n; i++) sc_compare_asked_free(&a[i]);
        sc_progress(c->ctx, r->model_name, r->n_answers, c->task.test.n);
    }
    if (f && fclose(f) && !s) s = sc_fail(SC_EIO, "%s: cannot be written", path);
    sc_compare_asking_close(&ask);
    sc_free(path);
    return s;
}

/* ---- the whole ---- */

static sc_status open_asker(sc_compare_state *c, sc_compare_run *r, const char *model, const char *adapter,
                            sc_asker **out)
{
    if (r->model >= c->o.n_models) return sc_asker_open_api(out, c->ctx, &c->o.apis[r->model - c->o.n_models]);
    const char *const adapters[] = {adapter};
    const sc_model_options with = {.adapters = adapters, .n_adapters = adapter ? 1 : 0};
    const sc_asker_options o = {.model = &with};
    sc_status s = sc_asker_open(out, c->ctx, model ? model : c->o.models[r->model], &o);
    if (!s && c->o.chat && !sc_asker_chats(*out)) {
        sc_asker_free(*out);
        *out = NULL;
        s = sc_fail(SC_EUNSUPPORTED, "the model has no chat template");
    }
    return s;
}

static sc_status try_cell(sc_compare_state *c, sc_compare_run *r, double until)
{
    char *model = NULL, *adapter = NULL;
    sc_asker *asker = NULL;
    sc_ask_counts counts;
    sc_status s = sc_compare_fits(c, r);
    double began = sc_now();
    if (!s && r->method->learns) {
        /* Answers need their share of the time, too. */
        s = sc_compare_learn(c, r, until > 0 ? began + 0.7 * (until - began) : 0, &model, &adapter);
        r->train_seconds += sc_now() - began;
    }
    if (!s) s = open_asker(c, r, model, adapter, &asker);
    if (!s) s = answer_items(c, r, asker, until);
    if (asker) {
        sc_asker_counts(asker, &counts);
        r->tokens += counts.generated_tokens + counts.scored_tokens + counts.prompt_tokens - counts.cached_tokens;
    }
    sc_asker_free(asker);
    sc_free(model);
    sc_free(adapter);
    return s;
}

sc_status sc_compare_run_go(sc_compare_state *c, sc_compare_run *r, double seconds)
{
    double until = seconds > 0 ? sc_now() + seconds : 0;
    sc_status s = sc_mkdirs(r->dir);
    if (s) return s;
    reset_peak();
    s = try_cell(c, r, until);
    if (s == SC_ECANCELLED) return s;
    if (s && !(r->note = sc_arena_printf(r->arena, "%s", sc_error()))) return sc_nomem();
    r->peak_bytes = SC_MAX(r->peak_bytes, r->model < c->o.n_models ? peak() : 0);
    r->ended = !s && r->n_answers == c->task.test.n;
    return end_cell(r);
}
