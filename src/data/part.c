/* SPDX-License-Identifier: Apache-2.0 */
/* A part's documents through a pass. Three batches go round: while one is read, another's documents go through the stages on all
 * threads and a third is written, so results come out in the order of the input and memory is that of three batches. */
#include "data/run.h"

#include <stdlib.h>

enum { BATCH = 256, BATCH_BYTES = 4 << 20, DECISION = 64 };

typedef struct item {
    sc_document doc;
    bool stays, decided;
    sc_note decision; /* its bytes are in `bytes` */
    char bytes[DECISION];
    sc_notes notes;
} item;

typedef struct batch {
    item item[BATCH];
    int n;
} batch;

/* Of one thread. */
typedef struct worker {
    void **room;     /* of each stage */
    sc_tally *tally; /* of each stage */
    sc_summary before, after;
    sc_status status;
    char message[512];
} worker;

typedef struct part {
    sc_run *run;
    const sc_pass *pass;
    int64_t index;
    /* the first pass reads sources */
    int64_t slice; /* the next to open */
    const sc_format *format;
    void *reader; /* NULL: none is open */
    int32_t file;
    int64_t records;
    sc_tally read; /* of records */
    /* the others read what the pass before wrote */
    sc_piece *docs;
    sc_merge *decisions;
    sc_note decision;
    bool more; /* there is a decision */

    bool ended;
    batch *batch[3];
    worker *worker;
    int workers;
    sc_writer *piece;
    sc_spill *spill;
    sc_texts *texts;
    sc_str out;
    /* of a turn */
    batch *reading, *working, *writing;
    atomic_int next, failed;
} part;

/* ---- reading sources ---- */

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

/* *got false: nothing for the stages this time. */
static sc_status read_source(part *p, sc_document *d, bool *got)
{
    sc_found found = {0};
    sc_status s = SC_OK;
    *got = false;
    if (!p->reader) {
        p->ended = p->slice == p->run->plan.part[p->index + 1];
        return p->ended ? SC_OK : open_slice(p);
    }
    if ((s = p->format->next(p->reader, d, &found))) return s;
    if (found.what == SC_READ_END) {
        p->format->free(p->reader);
        p->reader = NULL;
        return SC_OK;
    }
    if (found.what == SC_READ_OTHER) {
        sc_counts_at(&p->read.things, found.reason)[0]++;
        return SC_OK;
    }
    label(p, d);
    if (found.what == SC_READ_BROKEN) {
        count_broken(p, d, &found);
        return SC_OK;
    }
    sc_tally_add(&p->read, &p->run->plan, d, &(sc_verdict){0}, d->language, d->text.len, p->index);
    *got = true;
    return SC_OK;
}

/* ---- reading what a pass wrote ---- */

static sc_status next_decision(part *p)
{
    return p->decisions ? sc_merge_next(p->decisions, &p->decision, &p->more) : SC_OK;
}

static sc_status read_piece(part *p, item *x, bool *got)
{
    int64_t place = 0;
    sc_status s = sc_piece_next(p->docs, &x->doc, &place, got);
    p->ended = !*got;
    if (s || !*got) return s;
    x->decided = p->more && p->decision.key == sc_ref(p->index, place);
    if (!x->decided) return SC_OK;
    x->decision = p->decision;
    x->decision.n = SC_MIN(p->decision.n, DECISION);
    if (x->decision.n) memcpy(x->bytes, p->decision.p, (size_t)x->decision.n);
    x->decision.p = x->bytes;
    return next_decision(p);
}

static sc_status read_batch(part *p, batch *b)
{
    int64_t bytes = 0, most = SC_MIN(BATCH_BYTES, p->run->config.memory / 16 + 1);
    b->n = 0;
    while (!p->ended && b->n < BATCH && bytes < most) {
        item *x = &b->item[b->n];
        bool got;
        sc_document_clear(&x->doc);
        x->notes.bytes.len = 0;
        x->decided = false;
        sc_status s = p->pass->told < 0 ? read_source(p, &x->doc, &got) : read_piece(p, x, &got);
        if (s) return s;
        if (got) b->n++;
        if (got) bytes += x->doc.text.len;
    }
    return p->read.oom || p->read.reasons.oom || p->read.languages.oom ? sc_nomem() : SC_OK;
}

/* ---- stages ---- */

static sc_status one_step(part *p, worker *w, int i, item *x)
{
    const sc_step *t = &p->run->config.step[i];
    sc_document *d = &x->doc;
    sc_verdict v = {0};
    char language[sizeof d->language];
    int64_t bytes = d->text.len;
    memcpy(language, d->language, sizeof language);
    sc_status s = t->stage->global ? t->stage->global->tell(t->self, d, x->decided ? &x->decision : NULL, &v)
                                   : t->stage->apply(t->self, w->room[i], d, &v);
    if (!s && sc_document_oom(d)) s = sc_nomem();
    if (s) return s;
    x->stays = v.fate == SC_KEEP;
    d->copies += v.copies;
    sc_tally_add(&w->tally[i], &p->run->plan, d, &v, language, bytes, p->index);
    return SC_OK;
}

static sc_status work_on(part *p, worker *w, item *x)
{
    const sc_config *c = &p->run->config;
    const sc_pass *pass = p->pass;
    sc_status s = SC_OK;
    x->stays = true;
    if (pass->told < 0) sc_summary_add(&w->before, c, &x->doc);
    double before = sc_now();
    for (int i = pass->told < 0 ? pass->first : pass->told; !s && x->stays && i < pass->last; i++) {
        s = one_step(p, w, i, x);
        double now = sc_now();
        w->tally[i].seconds += now - before;
        before = now;
    }
    if (s || !x->stays) return s;
    if (pass->ends) {
        sc_summary_add(&w->after, c, &x->doc);
        return SC_OK;
    }
    const sc_step *t = &c->step[pass->last];
    s = t->stage->global->note(t->self, w->room[pass->last], &x->doc, &x->notes);
    w->tally[pass->last].seconds += sc_now() - before;
    return s ? s : x->notes.bytes.oom ? sc_nomem() : SC_OK;
}

/* ---- writing ---- */

/* Tokens of a document, and of its copies, under keys that put them in their order. */
static sc_status spill_tokens(part *p, const sc_document *d, sc_str *room)
{
    const sc_config *c = &p->run->config;
    bool narrow = sc_tokenizer_vocab_size(c->tokenizer) <= 65536;
    int32_t source = d->source;
    room->len = 0;
    sc_str_append(room, (const char *)&source, sizeof source);
    for (int64_t i = 0; narrow && i < d->n_ids; i++) {
        uint16_t id = (uint16_t)d->ids[i];
        sc_str_append(room, (const char *)&id, sizeof id);
    }
    if (!narrow) sc_str_append(room, (const char *)d->ids, d->n_ids * (int64_t)sizeof *d->ids);
    if (room->oom) return sc_nomem();
    for (int64_t i = 0; i <= d->copies; i++) {
        int64_t place[3] = {p->index, d->record, i};
        uint32_t x[4];
        uint64_t ref = sc_ref(p->index, d->record), key = ref;
        if (c->shuffle) {
            sc_philox(c->seed, sc_hash("shuffle", 7), sc_hash(place, sizeof place), x);
            key = (uint64_t)x[1] << 32 | x[0];
        }
        sc_status s = sc_spill_add(p->spill, key, ref, room->p, room->len);
        if (s) return s;
    }
    return SC_OK;
}

static sc_status spill_notes(part *p, const item *x, uint64_t ref)
{
    struct {
        uint64_t key;
        int64_t n;
    } head;
    const char *at = x->notes.bytes.p;
    for (const char *end = at + x->notes.bytes.len; at < end; at += head.n) {
        memcpy(&head, at, sizeof head);
        at += sizeof head;
        sc_status s = sc_spill_add(p->spill, head.key, ref, at, head.n);
        if (s) return s;
    }
    return SC_OK;
}

static sc_status write_one(part *p, item *x)
{
    sc_status s = SC_OK;
    if (!p->pass->ends) {
        uint64_t ref = sc_ref(p->index, sc_writer_tell(p->piece));
        p->out.len = 0;
        sc_frame_put(&p->out, &x->doc);
        if (p->out.oom) return sc_nomem();
        s = sc_writer_write(p->piece, p->out.p, p->out.len);
        return s || !x->notes.bytes.len ? s : spill_notes(p, x, ref);
    }
    if (p->texts) s = sc_texts_add(p->texts, &x->doc);
    if (!s && p->spill) s = spill_tokens(p, &x->doc, &p->out);
    return s;
}

static sc_status write_batch(part *p, batch *b)
{
    sc_status s = SC_OK;
    for (int i = 0; !s && i < b->n; i++)
        if (b->item[i].stays) s = write_one(p, &b->item[i]);
    return s;
}

/* ---- turns ---- */

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
            s = work_on(p, w, &p->working->item[i - 2]);
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

static sc_status sum_tallies(const part *p, int i, json_t *stages)
{
    sc_tally t = {0};
    char name[16];
    sc_status s = SC_OK;
    for (int k = 0; !s && k < p->workers; k++) {
        json_t *one = sc_tally_json(&p->worker[k].tally[i]);
        s = one ? sc_tally_add_json(&t, one) : sc_nomem();
        json_decref(one);
    }
    snprintf(name, sizeof name, "%d", i);
    if (!s && json_object_set_new(stages, name, sc_tally_json(&t))) s = sc_nomem();
    sc_tally_free(&t);
    return s;
}

static sc_status sum_summaries(const part *p, bool after, json_t *o)
{
    sc_summary sum = {0};
    sc_status s = SC_OK;
    for (int k = 0; !s && k < p->workers; k++) {
        json_t *one = sc_summary_json(after ? &p->worker[k].after : &p->worker[k].before);
        s = one ? sc_summary_add_json(&sum, one) : sc_nomem();
        json_decref(one);
    }
    if (!s && json_object_set_new(o, after ? "after" : "before", sc_summary_json(&sum))) s = sc_nomem();
    sc_summary_free(&sum);
    return s;
}

static sc_status write_counts(part *p)
{
    char *path = sc_run_path(p->run, "pass-%d/part-%06lld.json", p->pass->number, (long long)p->index);
    json_t *o = json_object(), *stages = json_object();
    sc_status s = path && o && stages ? SC_OK : sc_nomem();
    int first = p->pass->told < 0 ? p->pass->first : p->pass->told;
    int last = p->pass->ends ? p->pass->last : p->pass->last + 1;
    for (int i = first; !s && i < last; i++) s = sum_tallies(p, i, stages);
    if (!s && p->pass->told < 0) s = json_object_set_new(o, "read", sc_tally_json(&p->read)) ? sc_nomem() : SC_OK;
    if (!s && p->pass->told < 0) s = sum_summaries(p, false, o);
    if (!s && p->pass->ends) s = sum_summaries(p, true, o);
    if (!s && json_object_set(o, "stages", stages)) s = sc_nomem();
    char *text = s ? NULL : json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
    if (!s) s = text ? sc_file_write(path, text, (int64_t)strlen(text)) : sc_nomem();
    sc_free(path);
    json_decref(stages);
    json_decref(o);
    free(text);
    return s;
}

/* ---- from the beginning to the end ---- */

static sc_status open_workers(part *p)
{
    const sc_config *c = &p->run->config;
    p->workers = sc_pool_threads(p->run->ctx->pool);
    p->worker = sc_calloc((size_t)p->workers, sizeof *p->worker);
    for (int i = 0; i < 3; i++)
        if (!(p->batch[i] = sc_calloc(1, sizeof *p->batch[i]))) return sc_nomem();
    if (!p->worker) return sc_nomem();
    for (int k = 0; k < p->workers; k++) {
        worker *w = &p->worker[k];
        w->room = sc_calloc((size_t)c->n_steps + 1, sizeof *w->room);
        w->tally = sc_calloc((size_t)c->n_steps + 1, sizeof *w->tally);
        if (!w->room || !w->tally) return sc_nomem();
        for (int i = p->pass->first; i < c->n_steps && i <= p->pass->last; i++) {
            const sc_step *t = &c->step[i];
            sc_status s = t->stage->room ? t->stage->room(&w->room[i], t->self) : SC_OK;
            if (s) return s;
        }
    }
    return SC_OK;
}

static sc_status open_input(part *p)
{
    int before = p->pass->number - 1;
    p->slice = p->run->plan.part[p->index];
    if (before < 0) return SC_OK;
    sc_status s = sc_piece_open(&p->docs, p->run, before, p->index);
    if (!s) s = sc_decisions_open(&p->decisions, p->run, before, p->index);
    return s ? s : next_decision(p);
}

static sc_status open_output(part *p)
{
    const sc_config *c = &p->run->config;
    char *docs = sc_run_path(p->run, "pass-%d/part-%06lld.docs", p->pass->number, (long long)p->index);
    char *notes = sc_run_path(p->run, "pass-%d/part-%06lld.notes", p->pass->number, (long long)p->index);
    sc_status s = docs && notes ? SC_OK : sc_nomem();
    if (!s && !p->pass->ends) s = sc_writer_open(&p->piece, docs);
    if (!s && (!p->pass->ends || c->tokenizer)) s = sc_spill_open(&p->spill, notes, c->memory / 4);
    if (!s && p->pass->ends && c->documents) s = sc_texts_open(&p->texts, p->run, p->index);
    sc_free(docs);
    sc_free(notes);
    return s;
}

static sc_status commit(part *p)
{
    sc_status s = p->piece ? sc_writer_commit(p->piece) : SC_OK;
    if (!s && p->spill) s = sc_spill_commit(p->spill);
    if (!s && p->texts) s = sc_texts_commit(p->texts);
    return s ? s : write_counts(p);
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
        for (int k = 0; p->batch[i] && k < BATCH; k++) {
            sc_document_free(&p->batch[i]->item[k].doc);
            sc_str_free(&p->batch[i]->item[k].notes.bytes);
        }
        sc_free(p->batch[i]);
    }
    sc_tally_free(&p->read);
    sc_piece_close(p->docs);
    sc_merge_close(p->decisions);
    sc_writer_close(p->piece);
    sc_spill_close(p->spill);
    sc_texts_close(p->texts);
    sc_str_free(&p->out);
}

sc_status sc_part_run(sc_run *r, const sc_pass *pass, int64_t index)
{
    part p = {.run = r, .pass = pass, .index = index};
    sc_status s = open_workers(&p);
    if (!s) s = open_input(&p);
    if (!s) s = open_output(&p);
    if (!s) s = all_turns(&p);
    if (!s) s = commit(&p);
    close_part(&p);
    return s;
}
