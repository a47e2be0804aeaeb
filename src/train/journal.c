/* SPDX-License-Identifier: Apache-2.0 */
#include "train/run.h"

#include <math.h>
#include <time.h>

enum { MAX_TRACKS = 24 };

struct sc_journal {
    const sc_context *ctx;
    sc_journal_about about;
    char *report;
    sc_lines metrics, samples;
    sc_events *events;
    sc_point *point;
    int64_t points, cap_points;
    sc_track track[MAX_TRACKS]; /* in the order in which they were first met */
    int tracks;
    sc_sample *sample;
    int64_t n_samples, cap_samples;
    sc_forgetting forgetting;
    bool warned, oom;
};

/* The page shows so many at most. */
enum { MAX_SAMPLES = 200 };

/* ---- what is known of the steps ---- */

/* Names in metrics.jsonl, in TensorBoard, and where the page has them from; 0: it does not. */
static const struct {
    const char *key, *tag;
    size_t at;
} numbers[] = {
    {"loss", "train/loss", offsetof(sc_point, loss)},
    {"learning_rate", "train/learning_rate", offsetof(sc_point, lr)},
    {"grad_norm", "train/grad_norm", offsetof(sc_point, norm)},
    {"tokens_per_second", "train/tokens_per_second", offsetof(sc_point, tokens_per_second)},
    {"share_of_peak", "train/share_of_peak", offsetof(sc_point, share)},
    {"seconds", "train/seconds", offsetof(sc_point, seconds)},
    {"epoch", "train/epoch", 0},
    {"eval_loss", "eval/loss", offsetof(sc_point, eval_loss)},
    {"ema_eval_loss", "eval/ema_loss", offsetof(sc_point, ema_loss)},
};

static const char *tag_of(const char *key, char text[80], size_t *at)
{
    *at = 0;
    for (int i = 0; i < SC_COUNT(numbers); i++)
        if (strcmp(key, numbers[i].key) == 0) {
            *at = numbers[i].at;
            return numbers[i].tag;
        }
    bool eval = strncmp(key, "eval_", 5) == 0;
    snprintf(text, 80, "%s/%s", eval ? "eval" : "train", eval ? key + 5 : key);
    return text;
}

/* A number that has no place of its own on the page. What does not fit stays in the file alone. */
static void take_other(sc_journal *r, double step, const char *key, double value)
{
    int k = 0, eval = strncmp(key, "eval_", 5) == 0;
    const char *name = eval ? key + 5 : key;
    while (k < r->tracks && strcmp(r->track[k].name, name) != 0) k++;
    if (k == MAX_TRACKS || strlen(name) >= sizeof r->track[k].name) return;
    sc_track *t = &r->track[k];
    if (k == r->tracks) {
        *t = (sc_track){0};
        snprintf(t->name, sizeof t->name, "%s", name);
        r->tracks++;
    }
    if (!t->n || t->point[t->n - 1].step != step) {
        if (!sc_grow(&t->point, &t->cap, t->n + 1, sizeof *t->point)) {
            r->oom = true;
            return;
        }
        t->point[t->n++] = (struct sc_track_point){step, {NAN, NAN}};
    }
    t->point[t->n - 1].value[eval] = value;
}

/* A line's numbers into the point of its step: a step may have two lines, one of its training and one of its evaluation. */
static void take_line(void *user, const json_t *line)
{
    sc_journal *r = user;
    double step = (double)json_integer_value(json_object_get(line, "step"));
    const char *key;
    json_t *v;
    if (sc_forgetting_take(&r->forgetting, line)) r->oom = true;
    if (!r->points || r->point[r->points - 1].step != step) {
        if (!sc_grow(&r->point, &r->cap_points, r->points + 1, sizeof *r->point)) {
            r->oom = true;
            return;
        }
        r->point[r->points++] = (sc_point){step, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    }
    json_object_foreach((json_t *)(uintptr_t)line, key, v)
    {
        char text[80];
        size_t at;
        double x = json_number_value(v);
        if (!json_is_number(v) || strcmp(key, "step") == 0) continue;
        bool other = tag_of(key, text, &at) == text;
        if (other && strncmp(key, SC_OLD_KEY, strlen(SC_OLD_KEY)) != 0) /* those have a section of their own */
            take_other(r, step, key, x);
        else if (!other && at)
            memcpy((char *)&r->point[r->points - 1] + at, &x, sizeof x);
    }
}

static void free_sample(sc_sample *s)
{
    sc_free(s->prompt);
    sc_free(s->text);
}

static void take_sample(void *user, const json_t *line)
{
    sc_journal *r = user;
    const char *prompt = json_string_value(json_object_get(line, "prompt")),
               *text = json_string_value(json_object_get(line, "text"));
    if (!prompt || !text) return;
    if (r->n_samples == MAX_SAMPLES) {
        free_sample(&r->sample[0]);
        memmove(r->sample, r->sample + 1, (size_t)(--r->n_samples) * sizeof *r->sample);
    }
    sc_sample s = {json_integer_value(json_object_get(line, "step")), sc_strdup(prompt), sc_strdup(text)};
    if (s.prompt && s.text && sc_grow(&r->sample, &r->cap_samples, r->n_samples + 1, sizeof *r->sample))
        r->sample[r->n_samples++] = s;
    else {
        free_sample(&s);
        r->oom = true;
    }
}

bool sc_journal_has_eval(const sc_journal *r, int64_t step)
{
    bool has = sc_forgetting_has(&r->forgetting, step);
    has = has || (r->points && r->point[r->points - 1].step == (double)step &&
                  isfinite(r->point[r->points - 1].eval_loss));
    for (int i = 0; !has && i < r->tracks; i++) {
        const sc_track *t = &r->track[i];
        has = t->n && t->point[t->n - 1].step == (double)step && isfinite(t->point[t->n - 1].value[1]);
    }
    return has;
}

int64_t sc_journal_samples_at(const sc_journal *r, int64_t step)
{
    int64_t n = 0;
    while (n < r->n_samples && r->sample[r->n_samples - 1 - n].step == step) n++;
    return n;
}

/* ---- files ---- */

static void tell(sc_journal *r, sc_status s)
{
    if (!s || r->warned) return;
    r->warned = true;
    sc_log(r->ctx, SC_LOG_WARNING, "%s; the training goes on", sc_error());
}

void sc_journal_put(sc_journal *r, json_t *line)
{
    enum { MOST = 32 };
    const char *tag[MOST], *key;
    char text[MOST][80];
    double value[MOST];
    int n = 0;
    json_t *v;
    if (!line) {
        tell(r, sc_nomem());
        return;
    }
    take_line(r, line);
    json_object_foreach(line, key, v)
    {
        size_t at;
        if (n == MOST || !json_is_number(v) || strcmp(key, "step") == 0) continue;
        value[n] = json_number_value(v);
        tag[n] = tag_of(key, text[n], &at);
        n++;
    }
    tell(r, sc_lines_put(&r->metrics, line));
    tell(r, sc_events_scalars(r->events, json_integer_value(json_object_get(line, "step")), tag, value, n));
    json_decref(line);
}

void sc_journal_sample(sc_journal *r, int64_t step, const char *prompt, const char *text)
{
    json_t *line = json_pack("{s:I, s:s, s:s}", "step", (json_int_t)step, "prompt", prompt, "text", text);
    sc_str all = {0};
    sc_str_printf(&all, "%s%s", prompt, text);
    if (!line || all.oom)
        tell(r, sc_nomem());
    else {
        take_sample(r, line);
        tell(r, sc_lines_put(&r->samples, line));
        char name[64];
        int n = (int)SC_MIN(strlen(prompt), 40);
        while (n > 0 && ((unsigned char)prompt[n] & 0xc0) == 0x80) n--; /* between characters */
        snprintf(name, sizeof name, "sample/%.*s", n, prompt);
        tell(r, sc_events_text(r->events, step, name, all.p));
    }
    json_decref(line);
    sc_str_free(&all);
}

static void forget(sc_journal *r)
{
    for (int64_t i = 0; i < r->n_samples; i++) free_sample(&r->sample[i]);
    for (int k = 0; k < r->tracks; k++) sc_free(r->track[k].point);
    r->points = r->n_samples = r->tracks = 0;
    sc_forgetting_clear(&r->forgetting);
}

void sc_journal_cut(sc_journal *r, int64_t step)
{
    forget(r);
    tell(r, sc_lines_cut(&r->metrics, step, take_line, r));
    tell(r, sc_lines_cut(&r->samples, step, take_sample, r));
    tell(r, sc_events_cut(r->events, step));
}

sc_status sc_journal_open(sc_journal **out, const sc_context *ctx, const sc_journal_about *about, int64_t step)
{
    sc_journal *r = sc_calloc(1, sizeof *r);
    if (!r) return sc_nomem();
    r->ctx = ctx;
    r->about = *about;
    r->forgetting = about->old;
    sc_status s = (r->report = sc_path_join(about->out, "report.html")) ? SC_OK : sc_nomem();
    if (!s) s = sc_lines_open(&r->metrics, about->out, "metrics.jsonl", step, take_line, r);
    if (!s) s = sc_lines_open(&r->samples, about->out, "samples.jsonl", step, take_sample, r);
    if (!s) s = sc_events_open(&r->events, about->out, step);
    if (!s && r->oom) s = sc_nomem();
    if (s)
        sc_journal_free(r);
    else
        *out = r;
    return s;
}

void sc_journal_free(sc_journal *r)
{
    if (!r) return;
    forget(r);
    sc_forgetting_free(&r->forgetting);
    sc_lines_close(&r->metrics);
    sc_lines_close(&r->samples);
    sc_events_free(r->events);
    sc_free(r->point);
    sc_free(r->sample);
    sc_free(r->report);
    sc_free(r);
}

/* ---- the page ---- */

static void duration(char text[32], double seconds)
{
    long long s = (long long)seconds;
    if (s >= 3600)
        snprintf(text, 32, "%lld h %02lld min", s / 3600, s / 60 % 60);
    else
        snprintf(text, 32, "%lld min %02lld s", s / 60, s % 60);
}

/* The last value of a number that was measured; NAN: none was. */
static double last_of(const sc_journal *r, size_t at)
{
    for (int64_t i = r->points; i-- > 0;) {
        double v;
        memcpy(&v, (const char *)&r->point[i] + at, sizeof v);
        if (isfinite(v)) return v;
    }
    return NAN;
}

static void gather_facts(const sc_journal *r, sc_facts *f)
{
    static const struct {
        const char *name, *format;
        size_t at;
        double factor;
    } measured[] = {{"loss", "%.4f", offsetof(sc_point, loss), 1},
                    {"evaluation's loss", "%.4f", offsetof(sc_point, eval_loss), 1},
                    {"loss of the averaged weights", "%.4f", offsetof(sc_point, ema_loss), 1},
                    {"tokens a second", "%.0f", offsetof(sc_point, tokens_per_second), 1},
                    {"of the peak", "%.0f%%", offsetof(sc_point, share), 100}};
    double step = r->points ? r->point[r->points - 1].step : 0, seconds = last_of(r, offsetof(sc_point, seconds));
    sc_facts_add(f, "steps", "%.0f of %lld", step, (long long)r->about.steps);
    for (int i = 0; i < SC_COUNT(measured); i++) {
        double v = last_of(r, measured[i].at);
        if (isfinite(v)) sc_facts_add(f, measured[i].name, measured[i].format, v * measured[i].factor);
    }
    if (isfinite(seconds)) {
        char text[32];
        duration(text, seconds);
        sc_facts_add(f, "in training", "%s", text);
    }
    double n = (double)r->about.parameters;
    const char *unit = n >= 1e9 ? " billion" : n >= 1e6 ? " million" : "";
    sc_facts_add(f, "parameters", "%.6g%s", n >= 1e9 ? n / 1e9 : n >= 1e6 ? n / 1e6 : n, unit);
}

void sc_journal_report(sc_journal *r, const char *status, const json_t *spikes)
{
    sc_facts f = {0};
    char when[64] = "", text[256];
    time_t now = time(NULL);
    struct tm local;
    gather_facts(r, &f);
    if (localtime_r(&now, &local)) strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S %Z", &local);
    snprintf(text, sizeof text, "%s; as of %s", status, when);
    sc_report page = {.title = r->about.title,
                      .status = text,
                      .command = r->about.command,
                      .options = r->about.options,
                      .config = r->about.config,
                      .spikes = spikes,
                      .fact = f.list,
                      .n_facts = f.n,
                      .point = r->point,
                      .points = r->points,
                      .track = r->track,
                      .tracks = r->tracks,
                      .sample = r->sample,
                      .samples = r->n_samples,
                      .forgetting = &r->forgetting};
    tell(r, sc_report_write(&page, r->report));
    tell(r, sc_forgetting_write(&r->forgetting, r->about.out));
}
