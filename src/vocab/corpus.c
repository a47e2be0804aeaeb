/* SPDX-License-Identifier: Apache-2.0 */
/* Files as counted words. Threads take blocks of whole lines in turn and count into tables of their own; the tables are then
 * put together by shares of the hashes. */
#include "socle/bytes.h"
#include "vocab/vocab.h"

#include <pthread.h>
#include <sys/stat.h>

/* What is read of the files, in order; one thread at a time. */
typedef struct source {
    pthread_mutex_t lock;
    const sc_recipe *r;
    int file;        /* the one being read */
    sc_bytes *bytes; /* NULL: it has to be opened */
    bool jsonl, ended;
    char *carry; /* the beginning of a line that the last block did not end */
    int64_t carry_n, carry_cap;
    int64_t line;        /* lines of this file before the carry */
    int64_t read;        /* bytes of text */
    int64_t done, total; /* bytes of files, of those before this one and of all */
    bool begins;         /* nothing was read of this file */
} source;

typedef struct block {
    char *p;
    int64_t n, cap;
    bool jsonl;
    const char *path;
    int64_t line; /* before it */
} block;

/* One thread's part. */
typedef struct worker {
    struct counting *job;
    sc_tokenizer *cut; /* the layout's steps and a model that counts */
    sc_census *census;
    sc_encoder *e;
    block b;
    int64_t words, records, invalid;
    sc_status status;
    char message[512];
} worker;

typedef struct counting {
    sc_context *ctx;
    const sc_recipe *r;
    source src;
    worker *worker;
    int workers;
    sc_census *met, *table;
    atomic_bool stop;
} counting;

/* ---- reading ---- */

static const char *path_of(const source *x)
{
    const char *path = x->r->in.file[x->file];
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

static sc_status open_next(source *x)
{
    const char *path = x->r->in.file[x->file];
    sc_status s = sc_bytes_open(&x->bytes, path, &(sc_bytes_options){.strict = true});
    x->jsonl = sc_path_is(path, ".jsonl");
    x->line = 0;
    x->begins = true;
    return s;
}

static void close_file(source *x)
{
    if (x->bytes) x->done += sc_bytes_count(x->bytes).in;
    sc_bytes_close(x->bytes);
    x->bytes = NULL;
}

/* Reads until b has `most` bytes or the file ends. */
static sc_status fill(source *x, block *b, int64_t most, bool *end)
{
    if (!sc_grow(&b->p, &b->cap, most, 1)) return sc_nomem();
    for (int64_t k = 1; b->n < most && k > 0; b->n += k, x->read += k) {
        sc_status s = sc_bytes_read(x->bytes, b->p + b->n, most - b->n, &k, NULL);
        if (s) return s;
    }
    *end = b->n < most;
    return SC_OK;
}

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

/* Where a block that goes on may be cut: after its last line; within a line that is longer before a space that follows
 * something else, or else between characters. `documents`: spaces at the cut belong to what comes after it. */
static int64_t cut_at(const char *p, int64_t n, bool documents)
{
    for (int64_t i = n - 1; i > 0; i--)
        if (p[i - 1] == '\n' && !(documents && is_space(p[i]))) return i;
    for (int64_t i = n - 1; i > n / 2; i--)
        if (is_space(p[i]) && !is_space(p[i - 1])) return i;
    int cut = sc_utf8_unfinished(p, n);
    return n - cut;
}

static int64_t count_lines(const char *p, int64_t n)
{
    int64_t lines = 0;
    for (int64_t i = 0; i < n; i++) lines += p[i] == '\n';
    return lines;
}

/* The end of the last whole line of a .jsonl's block, 0: it has none. */
static int64_t last_line(const char *p, int64_t n)
{
    while (n > 0 && p[n - 1] != '\n') n--;
    return n;
}

static sc_status keep_rest(source *x, block *b, int64_t cut)
{
    x->carry_n = b->n - cut;
    if (!sc_grow(&x->carry, &x->carry_cap, x->carry_n + 1, 1)) return sc_nomem();
    memcpy(x->carry, b->p + cut, (size_t)x->carry_n);
    b->n = cut;
    return SC_OK;
}

/* The next block of the current file, from what was carried over; *end: it is the file's last. */
static sc_status read_block(source *x, block *b, bool *end)
{
    b->n = 0;
    if (x->carry_n) {
        if (!sc_grow(&b->p, &b->cap, SC_TRAIN_BLOCK, 1)) return sc_nomem();
        if (!sc_grow(&b->p, &b->cap, x->carry_n, 1)) return sc_nomem();
        memcpy(b->p, x->carry, (size_t)x->carry_n);
        b->n = x->carry_n;
        x->carry_n = 0;
    }
    sc_status s = fill(x, b, SC_MAX(SC_TRAIN_BLOCK, b->n + SC_TRAIN_BLOCK / 2), end);
    int64_t cut = b->n;
    while (!s && x->jsonl && !*end && !(cut = last_line(b->p, b->n))) {
        if (b->n >= SC_TRAIN_MAX_RECORD)
            return sc_fail(SC_ELIMIT, "%s: line %lld is longer than %d MiB", path_of(x), (long long)x->line + 1,
                           SC_TRAIN_MAX_RECORD >> 20);
        s = fill(x, b, 2 * b->n, end);
        cut = b->n;
    }
    if (s) return s;
    if (!x->jsonl && !*end) cut = cut_at(b->p, b->n, x->r->in.documents);
    b->line = x->line;
    if (x->jsonl) x->line += count_lines(b->p, cut);
    return keep_rest(x, b, cut);
}

/* b->n 0: there is nothing left. */
static sc_status take(source *x, block *b)
{
    b->n = 0;
    while (!x->ended && b->n == 0) {
        bool end = false;
        sc_status s = !x->bytes ? open_next(x) : SC_OK;
        b->path = path_of(x);
        b->jsonl = x->jsonl;
        if (!s) s = read_block(x, b, &end);
        if (s) {
            x->ended = true;
            return s;
        }
        if (x->begins && b->n >= 3 && memcmp(b->p, "\xef\xbb\xbf", 3) == 0) /* a byte order mark */
            memmove(b->p, b->p + 3, (size_t)(b->n -= 3));
        x->begins = false;
        if (!end) continue;
        close_file(x);
        x->ended = ++x->file == x->r->in.files;
    }
    return SC_OK;
}

/* ---- cutting ---- */

typedef struct counter {
    sc_token_model base;
    worker *w;
} counter;

static sc_status count_piece(const sc_token_model *m, sc_encoder *e, sc_piece piece)
{
    (void)e;
    worker *w = ((const counter *)m)->w;
    w->words++;
    return piece.n ? sc_census_add(w->census, piece.p, piece.n, 1) : SC_OK;
}

static void counter_free(sc_token_model *m) { sc_free(m); }

static sc_status new_cutter(worker *w, const json_t *layout, bool *bytes)
{
    sc_tokenizer *t = NULL;
    sc_status s = sc_tokenizer_begin(&t);
    if (s) return s;
    w->cut = t;
    counter *c = sc_calloc(1, sizeof *c);
    if (!c) return sc_nomem();
    *c = (counter){{count_piece, counter_free}, w};
    t->model = &c->base;
    s = sc_norm_parse(t, json_object_get(layout, "normalizer"), "normalizer");
    if (!s) s = sc_pre_parse(t, json_object_get(layout, "pre_tokenizer"), "pattern");
    if (s) return s;
    /* The last step of byte-level tokenizers spells bytes as characters: half the work when it is left to the end. */
    *bytes = t->n_pre > 0 && t->pre[t->n_pre - 1].kind == SC_PRE_BYTES;
    t->n_pre -= *bytes;
    t->word_step = 0; /* every piece comes to the model, also one that came before */
    return sc_encoder_take(&w->e, t, 0, false);
}

/* A text that is UTF-8. */
static sc_status cut_valid(worker *w, const char *p, int64_t n)
{
    sc_encoder *e = w->e;
    e->valid = true;
    if (w->cut->n_norm == 0) return sc_pre_run(e, 0, (sc_piece){p, n, NULL, true});
    sc_norm *x = &e->norm[0];
    sc_norm_clear(x);
    x->track = false;
    sc_norm_put(x, p, n, (sc_token_span){0, 0});
    sc_status s = x->oom ? sc_nomem() : sc_encoder_matcher(e);
    if (!s) s = sc_norm_run(w->cut, e->matcher, x, &e->norm[1], true);
    return s || x->n == 0 ? s : sc_pre_run(e, 0, (sc_piece){x->p, x->n, NULL, true});
}

/* The bytes that are UTF-8 at the beginning of p[0..n). */
static int64_t valid_bytes(const char *p, int64_t n)
{
    int64_t i = 0;
    while (i < n) {
        uint32_t cp;
        int k = sc_utf8_decode(p + i, n - i, &cp);
        if (cp == 0xfffd && !(k == 3 && memcmp(p + i, "\xef\xbf\xbd", 3) == 0)) break;
        i += k;
    }
    return i;
}

static sc_status cut_text(worker *w, const char *p, int64_t n)
{
    sc_status s = SC_OK;
    w->records++;
    if (sc_utf8_valid(p, n)) return n ? cut_valid(w, p, n) : SC_OK;
    while (n > 0 && !s) {
        int64_t good = valid_bytes(p, n), bad = 0;
        if (good) s = cut_valid(w, p, good);
        p += good;
        n -= good;
        if (n > 0) {
            uint32_t cp;
            bad = sc_utf8_decode(p, n, &cp);
        }
        w->invalid += bad;
        p += bad;
        n -= bad;
    }
    return s;
}

static sc_status cut_record(worker *w, const char *p, int64_t n, int64_t line)
{
    const char *field = w->job->r->in.field;
    char what[40];
    json_t *o = NULL;
    while (n && is_space(p[n - 1])) n--;
    if (!n) return SC_OK;
    snprintf(what, sizeof what, "line %lld", (long long)line);
    sc_status s = sc_json_parse(&o, p, n, what);
    const json_t *text = s ? NULL : json_object_get(o, field);
    if (!s && !json_is_string(text)) s = sc_fail(SC_EFORMAT, "%s has no text \"%s\"", what, field);
    s = s ? sc_fail_in(s, "%s", w->b.path)
          : cut_text(w, json_string_value(text), (int64_t)json_string_length(text));
    json_decref(o);
    return s;
}

static sc_status cut_block(worker *w)
{
    const block *b = &w->b;
    const sc_recipe *r = w->job->r;
    bool ends = r->kind == SC_KIND_BYTES || r->kind == SC_KIND_WORDPIECE; /* lines have their ends */
    if (r->in.documents && !b->jsonl) return cut_text(w, b->p, b->n);
    sc_status s = SC_OK;
    for (int64_t i = 0, line = b->line + 1; i < b->n && !s; line++) {
        const char *end = memchr(b->p + i, '\n', (size_t)(b->n - i));
        int64_t n = end ? end + 1 - (b->p + i) : b->n - i, text = n;
        while (!ends && text && (b->p[i + text - 1] == '\n' || b->p[i + text - 1] == '\r')) text--;
        s = b->jsonl ? cut_record(w, b->p + i, n, line) : cut_text(w, b->p + i, text);
        i += n;
    }
    return s;
}

/* ---- threads ---- */

static void give_up(worker *w, sc_status s)
{
    w->status = s;
    snprintf(w->message, sizeof w->message, "%s", sc_error());
    atomic_store(&w->job->stop, true);
}

static void work(void *arg, int member)
{
    counting *job = arg;
    worker *w = &job->worker[member];
    while (!atomic_load(&job->stop)) {
        pthread_mutex_lock(&job->src.lock);
        sc_status s = take(&job->src, &w->b);
        const source *x = &job->src;
        int64_t done = x->done + (x->bytes ? sc_bytes_count(x->bytes).in : 0);
        pthread_mutex_unlock(&job->src.lock);
        if (!s && sc_context_cancelled(job->ctx)) s = sc_fail(SC_ECANCELLED, "cancelled");
        if (!s && w->b.n == 0) return;
        if (!s) s = cut_block(w);
        if (s) {
            give_up(w, s);
            return;
        }
        if (member == 0 && x->total) sc_progress(job->ctx, "reading", SC_MIN(done, x->total), x->total);
    }
}

static void gather(void *arg, int member)
{
    counting *job = arg;
    worker *w = &job->worker[member];
    sc_status s = sc_census_gather(&job->table[member], job->met, job->workers, member, job->workers);
    if (s) give_up(w, s);
}

static sc_status failure_of(const counting *job)
{
    for (int i = 0; i < job->workers; i++)
        if (job->worker[i].status) return sc_fail(job->worker[i].status, "%s", job->worker[i].message);
    return SC_OK;
}

/* 0: not known. */
static int64_t size_of_files(const sc_recipe *r)
{
    int64_t total = 0;
    for (int i = 0; i < r->in.files; i++) {
        struct stat st;
        if (stat(r->in.file[i], &st) != 0 || !S_ISREG(st.st_mode)) return 0;
        total += st.st_size;
    }
    return total;
}

static sc_status begin(counting *job, sc_train_words *out, const json_t *layout)
{
    int n = job->workers;
    uint64_t secret = sc_hash_secret();
    job->worker = sc_calloc((size_t)n, sizeof *job->worker);
    job->met = out->met = sc_calloc((size_t)n, sizeof *job->met);
    job->table = out->table = sc_calloc((size_t)n, sizeof *job->table);
    if (!job->worker || !job->met || !job->table) return sc_nomem();
    out->met_n = out->tables = n;
    for (int i = 0; i < n; i++) {
        job->met[i] = (sc_census){.secret = secret, .limit = SC_MAX(job->r->in.memory / n, 1)};
        job->table[i] = (sc_census){.secret = secret};
        job->worker[i].job = job;
        job->worker[i].census = &job->met[i];
        sc_status s = new_cutter(&job->worker[i], layout, &out->bytes);
        if (s) return s;
    }
    return SC_OK;
}

static void end(counting *job, sc_train_words *out)
{
    for (int i = 0; job->worker && i < job->workers; i++) {
        worker *w = &job->worker[i];
        out->words += w->words;
        out->records += w->records;
        out->invalid += w->invalid;
        if (w->e) sc_encoder_give(w->e);
        sc_tokenizer_free(w->cut);
        sc_free(w->b.p);
        if (out->table) out->distinct += out->table[i].n;
    }
    out->read = job->src.read;
    close_file(&job->src);
    sc_free(job->src.carry);
    sc_free(job->worker);
    pthread_mutex_destroy(&job->src.lock);
}

sc_status sc_train_words_count(sc_train_words *out, sc_context *ctx, const sc_recipe *r, const json_t *layout)
{
    counting job = {.ctx = ctx, .r = r, .workers = sc_pool_threads(ctx->pool), .src = {.r = r}};
    *out = (sc_train_words){0};
    pthread_mutex_init(&job.src.lock, NULL);
    job.src.total = size_of_files(r);
    sc_status s = begin(&job, out, layout);
    if (!s) {
        sc_pool_run(ctx->pool, work, &job);
        s = failure_of(&job);
    }
    if (!s) {
        sc_pool_run(ctx->pool, gather, &job);
        s = failure_of(&job);
    }
    end(&job, out);
    if (s) sc_train_words_free(out);
    return s;
}
