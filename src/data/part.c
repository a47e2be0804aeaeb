/* SPDX-License-Identifier: Apache-2.0 */
/* A part's documents through the stages. Three batches go round: while one is read, another's documents go through the stages
 * on all threads and a third is written, so results come out in the order of the input and memory is that of three batches. */
#include "data/run.h"

enum { BATCH = 256, BATCH_BYTES = 4 << 20 };

typedef struct batch {
    sc_document doc[BATCH];
    bool stays[BATCH];
    int n;
} batch;

/* Of one thread. */
typedef struct worker {
    void **room;     /* of each stage */
    sc_tally *tally; /* of each stage */
    sc_summary before, after;
    sc_status status;
    char message[256];
} worker;

typedef struct part {
    sc_run *run;
    int64_t index, slice; /* slice: the next to open */
    const sc_format *format;
    void *reader; /* NULL: none is open */
    int32_t file;
    int64_t records;
    bool ended;
    sc_tally read; /* of records */
    batch *batch[3];
    worker *worker;
    int workers;
    sc_writer *piece;
    sc_str frame;
    /* of a turn */
    batch *reading, *working, *writing;
    atomic_int next, failed;
} part;

/* ---- reading ---- */

static sc_status open_slice(part *p)
{
    const sc_parts *plan = &p->run->plan;
    const sc_slice *s = &plan->slice[p->slice++];
    const sc_parts_file *f = &plan->file[s->file];
    sc_reader_setup x = {.ctx = p->run->ctx,
                         .path = f->path,
                         .from = s->from,
                         .to = f->packed ? INT64_MAX : s->to,
                         .largest = p->run->config.largest};
    sc_status e = sc_source_settings(&p->run->config.source[f->source], f->format, &x.settings);
    p->format = f->format;
    p->file = s->file;
    return e ? e : f->format->open(&p->reader, &x);
}

static void count_broken(part *p, sc_document *d, const sc_found *found)
{
    sc_verdict v = {.fate = SC_DROP, .reason = found->reason};
    memcpy(v.detail, found->detail, sizeof v.detail);
    sc_tally_add(&p->read, &p->run->plan, d, &v, d->language, d->text.len, p->index);
}

static void label(part *p, sc_document *d)
{
    const sc_parts_file *f = &p->run->plan.file[p->file];
    const sc_source *s = &p->run->config.source[f->source];
    d->file = p->file;
    d->source = f->source;
    d->record = p->records++;
    if (!d->language[0] && s->language) sc_document_language(d, s->language);
    if (!d->domain[0] && s->domain) sc_document_domain(d, s->domain);
}

static sc_status read_batch(part *p, batch *b)
{
    int64_t bytes = 0;
    b->n = 0;
    while (!p->ended && b->n < BATCH && bytes < BATCH_BYTES) {
        sc_status s = SC_OK;
        sc_found found = {0};
        if (!p->reader) {
            p->ended = p->slice == p->run->plan.part[p->index + 1];
            if (!p->ended && (s = open_slice(p))) return s;
            continue;
        }
        sc_document *d = &b->doc[b->n];
        sc_document_clear(d);
        if ((s = p->format->next(p->reader, d, &found))) return s;
        if (found.what == SC_READ_END) {
            p->format->free(p->reader);
            p->reader = NULL;
            continue;
        }
        if (found.what == SC_READ_OTHER) {
            sc_counts_at(&p->read.things, found.reason)[0]++;
            continue;
        }
        label(p, d);
        if (found.what == SC_READ_BROKEN) {
            count_broken(p, d, &found);
            continue;
        }
        sc_tally_add(&p->read, &p->run->plan, d, &(sc_verdict){0}, d->language, d->text.len, p->index);
        bytes += d->text.len;
        b->n++;
    }
    return p->read.oom ? sc_nomem() : SC_OK;
}

/* ---- stages ---- */

static sc_status work_on(part *p, worker *w, sc_document *d, bool *stays)
{
    const sc_config *c = &p->run->config;
    char language[sizeof d->language];
    *stays = true;
    sc_summary_add(&w->before, c, d);
    double before = sc_now();
    for (int i = 0; *stays && i < c->n_steps; i++) {
        sc_verdict v = {0};
        int64_t bytes = d->text.len;
        memcpy(language, d->language, sizeof language);
        sc_status s = c->step[i].stage->apply(c->step[i].self, w->room[i], d, &v);
        if (!s && sc_document_oom(d)) s = sc_nomem();
        if (s) return s;
        *stays = v.fate == SC_KEEP;
        sc_tally_add(&w->tally[i], &p->run->plan, d, &v, language, bytes, p->index);
        double now = sc_now();
        w->tally[i].seconds += now - before;
        before = now;
    }
    if (*stays) sc_summary_add(&w->after, c, d);
    return SC_OK;
}

static sc_status write_batch(part *p, const batch *b)
{
    p->frame.len = 0;
    for (int i = 0; i < b->n; i++)
        if (b->stays[i]) sc_frame_put(&p->frame, &b->doc[i]);
    if (p->frame.oom) return sc_nomem();
    return sc_writer_write(p->piece, p->frame.p, p->frame.len);
}

/* Task 0 writes, task 1 reads, the others are documents. */
static void turn(void *user, int member)
{
    part *p = user;
    worker *w = &p->worker[member];
    int documents = p->working ? p->working->n : 0;
    for (;;) {
        int i = atomic_fetch_add(&p->next, 1);
        if (i >= documents + 2 || atomic_load(&p->failed)) return;
        sc_status s = SC_OK;
        if (i == 0)
            s = p->writing ? write_batch(p, p->writing) : SC_OK;
        else if (i == 1)
            s = read_batch(p, p->reading);
        else
            s = work_on(p, w, &p->working->doc[i - 2], &p->working->stays[i - 2]);
        if (s) {
            w->status = s;
            snprintf(w->message, sizeof w->message, "%s", sc_error());
            atomic_store(&p->failed, 1);
        }
    }
}

static sc_status all_turns(part *p)
{
    batch *b = NULL, *done = NULL;
    for (int i = 0;; i++) {
        p->reading = p->batch[i % 3];
        p->working = b;
        p->writing = done;
        atomic_store(&p->next, 0);
        sc_pool_run(p->run->ctx->pool, turn, p);
        for (int k = 0; k < p->workers; k++)
            if (p->worker[k].status) return sc_fail(p->worker[k].status, "%s", p->worker[k].message);
        if (sc_context_cancelled(p->run->ctx)) return sc_fail(SC_ECANCELLED, "stopped");
        if (!p->reading->n && p->ended && !b) return SC_OK;
        done = b;
        b = p->reading->n ? p->reading : NULL;
    }
}

/* ---- what was counted ---- */

static json_t *counts_of(part *p)
{
    json_t *o = json_object(), *stages = json_array();
    sc_tally t = {0};
    sc_summary before = {0}, after = {0};
    sc_status s = SC_OK;
    for (int i = 0; i < p->run->config.n_steps; i++) {
        for (int k = 0; !s && k < p->workers; k++) {
            json_t *one = sc_tally_json(&p->worker[k].tally[i]);
            s = p->worker[k].tally[i].oom ? sc_nomem() : sc_tally_add_json(&t, one);
            json_decref(one);
        }
        json_array_append_new(stages, sc_tally_json(&t));
        sc_tally_free(&t);
    }
    for (int k = 0; !s && k < p->workers; k++) {
        json_t *x = sc_summary_json(&p->worker[k].before), *y = sc_summary_json(&p->worker[k].after);
        s = sc_summary_add_json(&before, x);
        if (!s) s = sc_summary_add_json(&after, y);
        json_decref(x);
        json_decref(y);
    }
    json_object_set_new(o, "read", sc_tally_json(&p->read));
    json_object_set_new(o, "stages", stages);
    json_object_set_new(o, "before", sc_summary_json(&before));
    json_object_set_new(o, "after", sc_summary_json(&after));
    sc_summary_free(&before);
    sc_summary_free(&after);
    if (!s) return o;
    json_decref(o);
    return NULL;
}

static sc_status write_counts(part *p)
{
    char *path = sc_run_path(p->run, "part-%06lld.json", (long long)p->index);
    json_t *o = counts_of(p);
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    sc_status s = path && text ? sc_file_write(path, text, (int64_t)strlen(text)) : sc_nomem();
    sc_free(path);
    json_decref(o);
    free(text);
    return s;
}

/* ---- from the beginning to the end ---- */

static sc_status open_part(part *p)
{
    const sc_config *c = &p->run->config;
    p->slice = p->run->plan.part[p->index];
    p->workers = sc_pool_threads(p->run->ctx->pool);
    p->worker = sc_calloc((size_t)p->workers, sizeof *p->worker);
    if (!p->worker) return sc_nomem();
    for (int i = 0; i < 3; i++)
        if (!(p->batch[i] = sc_calloc(1, sizeof *p->batch[i]))) return sc_nomem();
    for (int k = 0; k < p->workers; k++) {
        worker *w = &p->worker[k];
        w->room = sc_calloc((size_t)c->n_steps + 1, sizeof *w->room);
        w->tally = sc_calloc((size_t)c->n_steps + 1, sizeof *w->tally);
        if (!w->room || !w->tally) return sc_nomem();
        for (int i = 0; i < c->n_steps; i++) {
            const sc_step *t = &c->step[i];
            sc_status s = t->stage->room ? t->stage->room(&w->room[i], t->self) : SC_OK;
            if (s) return s;
        }
    }
    char *path = sc_run_path(p->run, "part-%06lld.docs", (long long)p->index);
    sc_status s = path ? sc_writer_open(&p->piece, path) : sc_nomem();
    sc_free(path);
    return s;
}

static void close_part(part *p)
{
    const sc_config *c = &p->run->config;
    if (p->reader) p->format->free(p->reader);
    for (int k = 0; p->worker && k < p->workers; k++) {
        worker *w = &p->worker[k];
        for (int i = 0; i < c->n_steps; i++) {
            if (w->room && w->room[i] && c->step[i].stage->room_free) c->step[i].stage->room_free(w->room[i]);
            if (w->tally) sc_tally_free(&w->tally[i]);
        }
        sc_summary_free(&w->before);
        sc_summary_free(&w->after);
        sc_free(w->room);
        sc_free(w->tally);
    }
    sc_free(p->worker);
    for (int i = 0; i < 3; i++) {
        for (int k = 0; p->batch[i] && k < BATCH; k++) sc_document_free(&p->batch[i]->doc[k]);
        sc_free(p->batch[i]);
    }
    sc_tally_free(&p->read);
    sc_writer_close(p->piece);
    sc_str_free(&p->frame);
}

sc_status sc_part_run(sc_run *r, int64_t index)
{
    part p = {.run = r, .index = index};
    sc_status s = open_part(&p);
    if (!s) s = all_turns(&p);
    if (!s) s = sc_writer_commit(p.piece);
    if (!s) s = write_counts(&p);
    close_part(&p);
    return s;
}
