/* SPDX-License-Identifier: Apache-2.0 */
#include "train/run.h"
#include "tune/policy.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

enum { AT_ONCE = 16 }; /* prompts */

typedef struct rejecting {
    sc_still x;
    int64_t group, best, done; /* done: prompts */
    double least;
    sc_lines part;
    sc_reject_counts counts;
} rejecting;

/* ---- what is done ---- */

static void take_line(void *user, const json_t *line)
{
    rejecting *r = user;
    const json_t *kept = json_object_get(line, "kept");
    if (!kept) return; /* the first line */
    r->done++;
    r->counts.answers += r->group;
    r->counts.mean += json_number_value(json_object_get(line, "mean"));
    r->counts.best += json_number_value(json_object_get(line, "best"));
    r->counts.kept += (int64_t)json_array_size(kept);
    for (size_t i = 0; i < json_array_size(kept); i++)
        r->counts.kept_mean += json_number_value(json_object_get(json_array_get(kept, i), "reward"));
}

/* What the answers follow from: another one is not gone on with. */
static json_t *first_line(const rejecting *r)
{
    char text[40];
    snprintf(text, sizeof text, "%.17g", r->least);
    return json_pack("{s:i, s:o, s:I, s:s, s:I}", "step", 0, "options", sc_train_options_json(&r->x.o), "best",
                     (json_int_t)r->best, "least", text, "prompts", (json_int_t)r->x.p.data[1].n);
}

static void look_at_first(void *user, const json_t *line)
{
    json_t **first = user;
    if (!*first) *first = json_deep_copy(line);
}

static sc_status open_part(rejecting *r, const char *path)
{
    char *dir = sc_strdup(path), *name = dir ? strrchr(dir, '/') : NULL;
    json_t *had = NULL, *want = first_line(r);
    sc_status s = dir && want ? SC_OK : sc_nomem();
    if (name) *name++ = 0;
    if (!s)
        s = sc_lines_open(&r->part, name ? (*dir ? dir : "/") : ".", name ? name : path, INT64_MAX, look_at_first,
                          &had);
    if (!s && had && !json_equal(had, want))
        s = sc_fail(SC_EINVAL, "%s has what other options gave: remove it, or choose another --out", path);
    if (!s && had) s = sc_lines_cut(&r->part, INT64_MAX, take_line, r);
    if (!s && !had) s = sc_lines_put(&r->part, want);
    json_decref(had);
    json_decref(want);
    sc_free(dir);
    return s;
}

/* ---- answers ---- */

static json_t *record_of(const sc_answer *a, double reward)
{
    if (!a->prompt->chat)
        return json_pack("{s:s, s:s%, s:f}", "prompt", a->prompt->text, "completion", a->text, (size_t)a->len,
                         "reward", reward);
    json_t *messages = json_loads(a->prompt->text, 0, NULL);
    if (!messages || json_array_append_new(messages, json_pack("{s:s, s:s%}", "role", "assistant", "content",
                                                               a->text, (size_t)a->len)) != 0) {
        json_decref(messages);
        return NULL;
    }
    return json_pack("{s:o, s:f}", "messages", messages, "reward", reward);
}

/* The best of a prompt's answers that are different and good enough, as a line. */
static sc_status keep(rejecting *r, const sc_answer *a, const float *score)
{
    json_t *kept = json_array();
    double mean = 0, best = -INFINITY;
    bool *taken = sc_calloc((size_t)r->group, sizeof *taken);
    sc_status s = kept && taken ? SC_OK : sc_nomem();
    for (int64_t i = 0; i < r->group; i++) mean += score[i] / (double)r->group, best = fmax(best, score[i]);
    for (int64_t k = 0; !s && k < r->best;) {
        int64_t at = -1;
        bool again = false;
        for (int64_t i = 0; i < r->group; i++)
            if (!taken[i] && (at < 0 || score[i] > score[at])) at = i;
        if (at < 0 || score[at] < r->least) break;
        taken[at] = true;
        for (int64_t i = 0; i < r->group; i++)
            again |= i != at && taken[i] && a[i].len == a[at].len &&
                     memcmp(a[i].text, a[at].text, (size_t)a[i].len) == 0;
        if (again) continue;
        json_t *o = record_of(&a[at], score[at]);
        if (!o || json_array_append_new(kept, o) != 0) s = sc_nomem();
        k++;
    }
    json_t *line = s ? NULL
                     : json_pack("{s:I, s:f, s:f, s:O}", "step", (json_int_t)(r->done + 1), "mean", mean, "best",
                                 best, "kept", kept);
    if (!s) s = line ? sc_lines_put(&r->part, line) : sc_nomem();
    if (!s) take_line(r, line);
    json_decref(line);
    json_decref(kept);
    sc_free(taken);
    return s;
}

static sc_status answer(rejecting *r)
{
    sc_policy *p = &r->x.p;
    const sc_rl_prompt *prompt[AT_ONCE];
    int64_t n = SC_MIN(AT_ONCE, p->data[1].n - r->done), first = r->done;
    float *score = sc_calloc((size_t)(n * r->group), sizeof *score);
    sc_rollouts answers = {0};
    sc_answer *a = NULL;
    double failed;
    for (int64_t i = 0; i < n; i++) prompt[i] = &p->data[1].item[first + i];
    sc_status s = score
                      ? sc_roller_run(p->roller, prompt, n, r->group, (uint64_t)(first * r->group), false, &answers)
                      : sc_nomem();
    if (!s) s = sc_policy_tell(p, &answers, prompt, r->group, &a);
    if (!s) s = sc_policy_judge(p, a, n * r->group, score, p->said, &failed);
    for (int64_t i = 0; !s && i < n; i++) s = keep(r, a + i * r->group, score + i * r->group);
    sc_answers_free(a, answers.n);
    sc_rollouts_free(&answers);
    sc_free(score);
    return s;
}

/* ---- the file ---- */

typedef struct publishing {
    sc_writer *w;
    sc_status s;
} publishing;

static void publish_line(void *user, const json_t *line)
{
    publishing *p = user;
    const json_t *kept = json_object_get(line, "kept");
    for (size_t i = 0; !p->s && i < json_array_size(kept); i++) {
        char *text = json_dumps(json_array_get(kept, i), JSON_COMPACT | JSON_REAL_PRECISION(9));
        p->s = text ? sc_writer_write(p->w, text, (int64_t)strlen(text)) : sc_nomem();
        if (!p->s) p->s = sc_writer_write(p->w, "\n", 1);
        sc_free(text);
    }
}

static sc_status publish(rejecting *r, const char *out)
{
    publishing p = {0};
    sc_status s = sc_writer_open(&p.w, out);
    if (s) return s;
    s = sc_lines_cut(&r->part, INT64_MAX, publish_line, &p);
    if (!s) s = p.s;
    if (!s) s = sc_writer_commit(p.w);
    sc_writer_close(p.w);
    if (!s) unlink(r->part.path);
    return s;
}

sc_status sc_tune_reject(sc_context *ctx, const sc_train_options *o, int64_t best, double least,
                         sc_reject_counts *out)
{
    rejecting r = {.group = o->rl.group ? o->rl.group : 8, .best = best ? best : 1, .least = least, .part.fd = -1};
    char path[4096];
    if (!o->out || snprintf(path, sizeof path, "%s.part", o->out) >= (int)sizeof path)
        return sc_fail(SC_EINVAL, "answers need a file to go to");
    if (r.group < 1 || r.group > 4096 || r.best < 1 || r.best > r.group || isnan(least))
        return sc_fail(SC_EINVAL, "the best %lld of %lld answers", (long long)r.best, (long long)r.group);
    sc_status s = sc_still_open(&r.x, ctx, o);
    if (!s) s = open_part(&r, path);
    while (!s && r.done < r.x.p.data[1].n) {
        s = answer(&r);
        if (!s) sc_progress(ctx, "prompts", r.done, r.x.p.data[1].n);
    }
    if (!s) s = publish(&r, o->out);
    if (!s) {
        *out = r.counts;
        out->prompts = r.done;
        out->mean /= (double)r.done;
        out->best /= (double)r.done;
        out->kept_mean = out->kept ? out->kept_mean / (double)out->kept : 0;
    }
    sc_lines_close(&r.part);
    sc_still_close(&r.x);
    return s;
}
