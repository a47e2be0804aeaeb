/* SPDX-License-Identifier: Apache-2.0 */
/* A teacher's answers to what data files ask, as data for fine-tuning. They are made and written in the order of the data, a few at
 * a time, so that what stands in the file tells where to go on. */
#include "socle/tune.h"
#include "train/chat.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum { AT_ONCE = 64, MAX_ANSWERS = 1 << 30 };

/* What is asked, and where it comes from. */
typedef struct question {
    char *text;       /* of a prompt; NULL: a conversation */
    json_t *talk;     /* {messages, tools, …} before the answer */
    const char *path; /* borrowed from the options */
    int64_t line;
} question;

typedef struct texts {
    sc_context *ctx;
    sc_asker *asker;
    const sc_tune_texts_options *o;
    question *q;
    int64_t n, cap, left_out; /* records that ask nothing */
} texts;

/* The conversation up to its last answer; false: nobody asks in it. */
static bool before_answer(json_t *variables)
{
    json_t *messages = json_object_get(variables, "messages");
    size_t n = json_array_size(messages), last = n;
    for (size_t i = 0; i < n; i++) {
        const char *role = json_string_value(json_object_get(json_array_get(messages, i), "role"));
        if (role && strcmp(role, "assistant") == 0) last = i;
    }
    while (json_array_size(messages) > last) json_array_remove(messages, json_array_size(messages) - 1);
    return last > 0;
}

static sc_status take(void *user, const sc_record *r)
{
    texts *x = user;
    sc_conversation c = {0};
    sc_status s = sc_conversation_read(&c, r, x->o->chat);
    if (s) return s;
    question q = {.path = r->path, .line = r->line};
    bool asks = c.variables ? before_answer(c.variables) : c.prompt.n > 0;
    if (!asks)
        x->left_out++;
    else if (!sc_grow(&x->q, &x->cap, x->n + 1, sizeof *x->q))
        s = sc_nomem();
    else if (c.variables)
        q.talk = json_incref(c.variables);
    else if (!(q.text = sc_strndup(c.prompt.p, (size_t)c.prompt.n)))
        s = sc_nomem();
    if (!s && asks) x->q[x->n++] = q;
    sc_conversation_free(&c);
    return s;
}

/* ---- the file ---- */

typedef struct lines {
    const texts *x;
    const char *begin; /* of the file's text */
    int64_t n, whole;  /* lines; bytes of those of questions that have all their answers */
} lines;

static sc_status check_line(void *user, const sc_record *r)
{
    lines *l = user;
    int64_t i = l->n / l->x->o->samples;
    const json_t *path = json_object_get(r->json, "source"), *line = json_object_get(r->json, "line"),
                 *teacher = json_object_get(r->json, "teacher");
    if (i >= l->x->n || !json_is_string(path) || strcmp(json_string_value(path), l->x->q[i].path) != 0 ||
        json_integer_value(line) != l->x->q[i].line || !json_is_string(teacher) ||
        strcmp(json_string_value(teacher), sc_asker_name(l->x->asker)) != 0)
        return sc_fail(SC_EINVAL,
                       "%s: line %lld is no answer of this teacher to this data; remove the file or choose another",
                       l->x->o->out, (long long)r->line);
    if (++l->n % l->x->o->samples == 0) l->whole = r->text.p + r->text.n + 1 - l->begin;
    return SC_OK;
}

/* How many answers stand in the file already. What a writer that was killed left of a line or of a question goes. */
static sc_status count_answers(const texts *x, int64_t *out)
{
    char *text;
    int64_t n, whole;
    *out = 0;
    if (!sc_path_exists(x->o->out)) return SC_OK;
    sc_status s = sc_file_read(&text, &n, x->o->out, MAX_ANSWERS);
    if (s) return s;
    lines l = {.x = x, .begin = text};
    for (whole = n; whole > 0 && text[whole - 1] != '\n';) whole--;
    s = sc_records_of(x->ctx, "answers.jsonl", text, whole, false, check_line, &l);
    if (!s && l.whole < n && truncate(x->o->out, (off_t)l.whole) != 0)
        s = sc_fail(SC_EIO, "cannot shorten %s: %s", x->o->out, strerror(errno));
    sc_free(text);
    *out = l.n - l.n % x->o->samples;
    return s;
}

/* An answer as a record of data. One that did not end, or is empty, is kept and not learned from. */
static json_t *record_of(const texts *x, const question *q, const sc_ask_answer *a)
{
    json_t *o = q->text ? json_pack("{s:s, s:s%}", "prompt", q->text, "completion", a->text, (size_t)a->len)
                        : json_deep_copy(q->talk);
    if (o && !q->text)
        json_array_append_new(json_object_get(o, "messages"),
                              json_pack("{s:s, s:s%}", "role", "assistant", "content", a->text, (size_t)a->len));
    json_object_set_new(o, "source", json_string(q->path));
    json_object_set_new(o, "line", json_integer((json_int_t)q->line));
    json_object_set_new(o, "teacher", json_string(sc_asker_name(x->asker)));
    json_object_set_new(o, "finish", json_string(a->finish_reason));
    if (!a->len || strcmp(a->finish_reason, "stop") != 0) json_object_set_new(o, "weight", json_integer(0));
    return o;
}

static sc_status write_answers(const texts *x, FILE *f, int64_t from, int64_t n, const sc_ask_answer *answers,
                               sc_tune_texts_counts *counts)
{
    sc_status s = SC_OK;
    for (int64_t i = 0; !s && i < n * x->o->samples; i++) {
        const sc_ask_answer *a = &answers[i];
        json_t *o = record_of(x, &x->q[from + i / x->o->samples], a);
        char *line = o ? json_dumps(o, JSON_COMPACT) : NULL;
        if (!line)
            s = sc_nomem();
        else if (fprintf(f, "%s\n", line) < 0)
            s = sc_fail(SC_EIO, "cannot write %s: %s", x->o->out, strerror(errno));
        counts->answers++;
        counts->unfinished += strcmp(a->finish_reason, "stop") != 0;
        counts->empty += a->len == 0;
        sc_free(line);
        json_decref(o);
    }
    if (!s && (fflush(f) != 0 || fsync(fileno(f)) != 0))
        s = sc_fail(SC_EIO, "cannot write %s: %s", x->o->out, strerror(errno));
    return s;
}

/* ---- asking ---- */

static sc_status ask(const texts *x, FILE *f, int64_t from, int64_t n, sc_tune_texts_counts *counts)
{
    sc_ask_request r[AT_ONCE] = {0};
    char *talk[AT_ONCE] = {0};
    sc_status s = SC_OK;
    sc_ask_answer *answers = sc_calloc((size_t)(n * x->o->samples), sizeof *answers);
    if (!answers) return sc_nomem();
    for (int64_t i = 0; !s && i < n; i++) {
        const question *q = &x->q[from + i];
        sc_sampling how = SC_SAMPLING_INIT;
        how.do_sample = x->o->temperature > 0;
        if (how.do_sample) how.temperature = (float)x->o->temperature;
        how.seed = x->o->seed;
        how.stream = (uint64_t)((from + i) * x->o->samples);
        if (!q->text && !(talk[i] = json_dumps(q->talk, JSON_COMPACT))) s = sc_nomem();
        r[i] = (sc_ask_request){
            .sampling = how, .max_new_tokens = x->o->max_new_tokens, .samples = x->o->samples, .cut = true};
        if (q->text) r[i].prompt = (sc_text){q->text, (int64_t)strlen(q->text)};
        if (talk[i]) r[i].messages = (sc_text){talk[i], (int64_t)strlen(talk[i])};
    }
    if (!s) s = sc_asker_generate(x->asker, r, n, answers, NULL, NULL);
    if (!s) {
        s = write_answers(x, f, from, n, answers, counts);
        sc_ask_answers_free(answers, n * x->o->samples);
    }
    for (int64_t i = 0; i < n; i++) sc_free(talk[i]);
    sc_free(answers);
    return s;
}

sc_status sc_tune_texts(sc_context *ctx, sc_asker *a, const sc_tune_texts_options *options,
                        sc_tune_texts_counts *out)
{
    sc_tune_texts_options o = *options;
    texts x = {.ctx = ctx, .asker = a, .o = &o};
    sc_tune_texts_counts counts = {0};
    int64_t have = 0;
    FILE *f = NULL;
    if (!o.samples) o.samples = 1;
    if (!o.max_new_tokens) o.max_new_tokens = 512;
    if (o.samples < 1 || o.samples > 1000 || o.max_new_tokens < 1 || !(o.temperature >= 0 && o.temperature <= 100))
        return sc_fail(SC_EINVAL, "answers, their tokens or the temperature are out of range");
    sc_status s = SC_OK;
    for (int i = 0; !s && i < o.n_data; i++) s = sc_records_each(ctx, o.data[i], false, take, &x);
    if (!s && !x.n) s = sc_fail(SC_EINVAL, "the data asks nothing");
    if (!s) s = count_answers(&x, &have);
    counts = (sc_tune_texts_counts){.kept = have, .left_out = x.left_out};
    have /= o.samples; /* they are written by questions */
    if (!s && have < x.n && !(f = fopen(o.out, "a")))
        s = sc_fail(SC_EIO, "cannot write %s: %s", o.out, strerror(errno));
    while (!s && have < x.n) {
        int64_t n = SC_MIN(x.n - have, SC_MAX(AT_ONCE / o.samples, 1));
        sc_progress(ctx, "asking the teacher", have, x.n);
        s = sc_context_cancelled(ctx) ? sc_fail(SC_ECANCELLED,
                                                "stopped after %lld of %lld questions; the same command "
                                                "goes on",
                                                (long long)have, (long long)x.n)
                                      : ask(&x, f, have, n, &counts);
        have += n;
    }
    if (f && fclose(f) != 0 && !s) s = sc_fail(SC_EIO, "cannot write %s: %s", o.out, strerror(errno));
    for (int64_t i = 0; i < x.n; i++) {
        sc_free(x.q[i].text);
        json_decref(x.q[i].talk);
    }
    sc_free(x.q);
    if (!s && out) *out = counts;
    return s;
}
