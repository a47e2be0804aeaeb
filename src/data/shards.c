/* SPDX-License-Identifier: Apache-2.0 */
/* The last pass's sorted tokens to shards, each of a range of keys. A shard is put together in memory. */
#include "data/run.h"
#include "data/shards.h"

#include <unistd.h>

uint64_t sc_data_fingerprint(const sc_tokenizer *t)
{
    uint64_t x = sc_hash("tokens", 6);
    for (int64_t i = 0; i < sc_tokenizer_vocab_size(t); i++) {
        int64_t n = 0;
        const char *p = sc_tokenizer_token(t, (int32_t)i, &n);
        uint64_t one[2] = {x, sc_hash(p ? p : "", p ? n : 0) + (p != NULL)};
        x = sc_hash(one, sizeof one);
    }
    return x;
}

/* A shard being put together. */
typedef struct shard {
    int width; /* bytes of a token */
    char *tokens;
    int64_t n, cap; /* tokens; bytes */
    int64_t *end;
    int32_t *source;
    int64_t documents, cap_end, cap_source;
} shard;

static void shard_free(shard *s)
{
    sc_free(s->tokens);
    sc_free(s->end);
    sc_free(s->source);
    *s = (shard){0};
}

static sc_status add(shard *s, const char *tokens, int64_t n, int32_t source)
{
    if (!sc_grow(&s->tokens, &s->cap, (s->n + n) * s->width, 1) ||
        !sc_grow(&s->end, &s->cap_end, s->documents + 1, sizeof *s->end) ||
        !sc_grow(&s->source, &s->cap_source, s->documents + 1, sizeof *s->source))
        return sc_nomem();
    if (n) memcpy(s->tokens + s->n * s->width, tokens, (size_t)(n * s->width));
    s->n += n;
    s->end[s->documents] = s->n;
    s->source[s->documents++] = source;
    return SC_OK;
}

/* ---- documents whole in sequences ---- */

/* A piece of at most `length` tokens of the shard that is packed. */
typedef struct piece {
    int64_t at, n, next; /* next: in the same sequence, -1: none */
    int32_t source;
} piece;

/* Sequences by the room that is left in them. */
typedef struct bins {
    int64_t length, n, cap;
    struct bin {
        int64_t first, last, room, next; /* next: with as much room */
    } * bin;
    int64_t *head;  /* (length + 1) */
    uint64_t *have; /* a bit for each head that is not empty */
} bins;

static void bins_put(bins *b, int64_t i)
{
    int64_t room = b->bin[i].room;
    b->bin[i].next = b->head[room];
    b->head[room] = i;
    b->have[room / 64] |= 1ULL << (room % 64);
}

/* The sequence with the least room that is at least n, which is taken out; -1: none. */
static int64_t bins_take(bins *b, int64_t n)
{
    int64_t word = n / 64, words = b->length / 64 + 1;
    uint64_t bits = b->have[word] & ~0ULL << (n % 64);
    while (!bits && ++word < words) bits = b->have[word];
    if (!bits) return -1;
    int64_t room = word * 64 + __builtin_ctzll(bits), i = b->head[room];
    b->head[room] = b->bin[i].next;
    if (b->head[room] < 0) b->have[room / 64] &= ~(1ULL << (room % 64));
    return i;
}

/* Pieces in the order of their lengths, the longest first, by counting. */
static sc_status by_length(const piece *p, int64_t n, int64_t length, int64_t **out)
{
    int64_t *order = sc_malloc((size_t)(n + 1) * sizeof *order),
            *count = sc_calloc((size_t)length + 2, sizeof *count);
    if (order && count) {
        for (int64_t i = 0; i < n; i++) count[length - p[i].n + 1]++;
        for (int64_t i = 0; i < length; i++) count[i + 1] += count[i];
        for (int64_t i = 0; i < n; i++) order[count[length - p[i].n]++] = i;
    }
    sc_free(count);
    if (!count) sc_free(order);
    if (!order || !count) return sc_nomem();
    *out = order;
    return SC_OK;
}

/* Each piece into the fullest sequence that it fits (best fit, decreasing: Ding et al. 2024). */
static sc_status fit(bins *b, piece *p, int64_t n)
{
    int64_t *order;
    sc_status s = by_length(p, n, b->length, &order);
    if (s) return s;
    for (int64_t k = 0; !s && k < n; k++) {
        piece *x = &p[order[k]];
        int64_t i = bins_take(b, x->n);
        if (i < 0) {
            if (!sc_grow(&b->bin, &b->cap, b->n + 1, sizeof *b->bin)) {
                s = sc_nomem();
                break;
            }
            i = b->n++;
            b->bin[i] = (struct bin){.first = order[k], .last = order[k], .room = b->length};
        } else {
            p[b->bin[i].last].next = order[k];
            b->bin[i].last = order[k];
        }
        b->bin[i].room -= x->n;
        bins_put(b, i);
    }
    sc_free(order);
    return s;
}

static sc_status cut(const shard *s, int64_t length, piece **out, int64_t *n)
{
    piece *p = NULL;
    int64_t cap = 0, at = 0, count = 0;
    for (int64_t d = 0; d < s->documents; d++)
        for (; at < s->end[d]; at += p[count++].n) {
            if (!sc_grow(&p, &cap, count + 1, sizeof *p)) {
                sc_free(p);
                return sc_nomem();
            }
            p[count] = (piece){at, SC_MIN(length, s->end[d] - at), -1, s->source[d]};
        }
    *out = p;
    *n = count;
    return SC_OK;
}

/* The sequences' order is drawn anew: they came by the length of what they begin with. What is left of one is filled up with
 * documents of a single token. */
static sc_status lay(const bins *b, const piece *p, const shard *from, shard *to, uint64_t seed, int64_t filler)
{
    int64_t *order = sc_malloc((size_t)(b->n + 1) * sizeof *order);
    sc_rng r = sc_rng_make(seed, sc_hash("sequences", 9));
    sc_status s = order ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < b->n; i++) {
        int64_t k = (int64_t)(sc_rng_uniform(&r) * (double)(i + 1));
        order[i] = order[k];
        order[k] = i;
    }
    for (int64_t i = 0; !s && i < b->n; i++) {
        const struct bin *x = &b->bin[order[i]];
        for (int64_t k = x->first; !s && k >= 0; k = p[k].next)
            s = add(to, from->tokens + p[k].at * from->width, p[k].n, p[k].source);
        for (int64_t k = 0; !s && k < x->room; k++) s = add(to, (const char *)&filler, 1, -1);
    }
    sc_free(order);
    return s;
}

static sc_status pack(shard *s, int64_t length, uint64_t seed, int64_t filler)
{
    bins b = {.length = length};
    shard packed = {.width = s->width};
    piece *p = NULL;
    int64_t n = 0;
    sc_status e = cut(s, length, &p, &n);
    b.head = sc_malloc((size_t)(length + 1) * sizeof *b.head);
    b.have = sc_calloc((size_t)(length / 64 + 1), sizeof *b.have);
    if (!e && (!b.head || !b.have)) e = sc_nomem();
    for (int64_t i = 0; !e && i <= length; i++) b.head[i] = -1;
    if (!e) e = fit(&b, p, n);
    if (!e) e = lay(&b, p, s, &packed, seed, filler);
    sc_free(b.bin);
    sc_free(b.head);
    sc_free(b.have);
    sc_free(p);
    if (e) {
        shard_free(&packed);
        return e;
    }
    shard_free(s);
    *s = packed;
    return SC_OK;
}

/* ---- the file ---- */

static sc_status write_section(sc_writer *w, const void *p, int64_t n)
{
    static const char zeros[8];
    sc_status s = sc_writer_write(w, p, n);
    return s ? s : sc_writer_write(w, zeros, sc_shard_padded(n) - n);
}

static uint32_t sum_section(uint32_t crc, const void *p, int64_t n)
{
    static const char zeros[8];
    crc = n ? sc_crc32c(crc, p, n) : crc;
    return sc_crc32c(crc, zeros, sc_shard_padded(n) - n);
}

static sc_status write_file(const shard *s, sc_shard_header *h, const char *path)
{
    sc_writer *w;
    const void *section[] = {s->tokens, s->end, s->source};
    int64_t bytes[] = {s->n * s->width, s->documents * (int64_t)sizeof *s->end,
                       s->documents * (int64_t)sizeof *s->source};
    for (int i = 0; i < 3; i++) h->crc = sum_section(h->crc, section[i], bytes[i]);
    h->header_crc = sc_crc32c(0, h, (int64_t)offsetof(sc_shard_header, header_crc));
    sc_status e = sc_writer_open(&w, path);
    if (e) return e;
    e = sc_writer_write(w, h, sizeof *h);
    for (int i = 0; !e && i < 3; i++) e = write_section(w, section[i], bytes[i]);
    if (!e) e = sc_writer_commit(w);
    sc_writer_close(w);
    return e;
}

/* ---- all of them ---- */

typedef struct writing {
    sc_run *run;
    int64_t shards;
    char **path;     /* of the parts' notes */
    uint64_t *first; /* (shards + 1) the key that each begins with; the last: 0, behind all */
    uint64_t fingerprint;
} writing;

static sc_status shard_done(void *user, int64_t i, bool *there)
{
    const writing *w = user;
    char *path = sc_out_path(w->run, "shard-%05lld.bin", (long long)i);
    if (!path) return sc_nomem();
    *there = sc_path_exists(path);
    sc_free(path);
    return SC_OK;
}

static sc_status gather(const writing *w, int64_t i, shard *to)
{
    sc_merge *m = NULL;
    sc_note note;
    bool more = true;
    sc_status s = sc_merge_open(&m, w->path, w->run->plan.n_parts, w->first[i], w->first[i + 1] - 1,
                                w->run->config.memory / 8);
    while (!s && !(s = sc_merge_next(m, &note, &more)) && more) {
        int32_t source;
        if (note.n < (int64_t)sizeof source) {
            s = sc_fail(SC_EFORMAT, "a document's tokens are damaged");
            break;
        }
        memcpy(&source, note.p, sizeof source);
        s = add(to, note.p + sizeof source, (note.n - (int64_t)sizeof source) / to->width, source);
        if (!s && sc_context_cancelled(w->run->ctx)) s = sc_fail(SC_ECANCELLED, "stopped");
    }
    sc_merge_close(m);
    return s;
}

static sc_status write_shard(void *user, int64_t i)
{
    const writing *w = user;
    const sc_config *c = &w->run->config;
    int64_t vocab = sc_tokenizer_vocab_size(c->tokenizer);
    int32_t eos = sc_tokenizer_eos(c->tokenizer);
    shard x = {.width = vocab <= 65536 ? 2 : 4};
    sc_status s = gather(w, i, &x);
    if (!s && c->pack) s = pack(&x, c->pack, c->seed + (uint64_t)i, eos >= 0 ? eos : 0);
    sc_shard_header h = {.magic = SC_SHARD_MAGIC,
                         .version = SC_SHARD_VERSION,
                         .token_bytes = (uint32_t)x.width,
                         .tokens = x.n,
                         .documents = x.documents,
                         .sequence = c->pack,
                         .tokenizer = w->fingerprint,
                         .eos = eos,
                         .vocab = (uint32_t)vocab,
                         .number = (uint32_t)i,
                         .count = (uint32_t)w->shards};
    char *path = s ? NULL : sc_out_path(w->run, "shard-%05lld.bin", (long long)i);
    if (!s) s = path ? write_file(&x, &h, path) : sc_nomem();
    sc_free(path);
    shard_free(&x);
    return s;
}

/* Shuffled, shards are ranges of keys of the same size. In the order of the input, they are of whole parts. */
static sc_status divide(writing *w, int64_t bytes)
{
    const sc_run *r = w->run;
    int64_t parts = r->plan.n_parts, most = SC_MAX(r->config.shard, 1);
    w->shards = SC_MAX(1, (bytes + most - 1) / most);
    if (!r->config.shuffle) w->shards = SC_MIN(w->shards, parts);
    if (w->shards > 99999)
        return sc_fail(SC_ELIMIT, "%lld shards, at most 99999: shards are too small", (long long)w->shards);
    if (!(w->first = sc_calloc((size_t)w->shards + 1, sizeof *w->first))) return sc_nomem();
    for (int64_t i = 1; i < w->shards; i++)
        w->first[i] = r->config.shuffle ? (uint64_t)(((unsigned __int128)i << 64) / (uint64_t)w->shards)
                                        : sc_ref(i * parts / w->shards, 0);
    return SC_OK;
}

sc_status sc_shards_write(sc_run *r)
{
    writing w = {.run = r, .fingerprint = sc_data_fingerprint(r->config.tokenizer)};
    sc_summary sum = {0};
    int64_t parts = r->plan.n_parts;
    sc_status s = sc_pass_summary(r, r->passes - 1, "after", &sum);
    int width = sc_tokenizer_vocab_size(r->config.tokenizer) <= 65536 ? 2 : 4;
    if (!s) s = divide(&w, sum.tokens * width);
    sc_summary_free(&sum);
    if (!s && !(w.path = sc_calloc((size_t)parts, sizeof *w.path))) s = sc_nomem();
    for (int64_t i = 0; !s && i < parts; i++)
        if (!(w.path[i] = sc_run_path(r, "pass-%d/part-%06lld.notes", r->passes - 1, (long long)i))) s = sc_nomem();
    if (!s)
        s = sc_work_all(r, &(sc_phase){.what = "shards",
                                       .number = r->phase++,
                                       .tasks = w.shards,
                                       .done = shard_done,
                                       .run = write_shard,
                                       .user = &w});
    r->shards = w.shards;
    for (int64_t i = 0; w.path && i < parts; i++) sc_free(w.path[i]);
    sc_free(w.path);
    sc_free(w.first);
    return s;
}
