/* SPDX-License-Identifier: Apache-2.0 */
/* Sequences over one model and one paged cache. A plan is made for each shape (tokens, sequences, wanted rows) and kept:
 * decoding runs the same one for every token.
 *
 * Recurrent states cannot go back to any earlier token, so the ids of such a model's sequences are kept: where the cache
 * goes back further than a trim asked for, the next evaluation begins with the ids between, and nobody can tell. */
#include "models/models.h"
#include "socle/session.h"

enum { PLANS = 8, MAX_CONTEXT_BY_DEFAULT = 8192, CHUNK = 512 };

typedef struct shape_plan {
    int64_t tokens, sequences, wanted;
    uint64_t used; /* when last, to find the one to give up */
    sc_text_graph t;
    sc_plan *plan;
} shape_plan;

/* What a sequence of a model with recurrent states holds. */
typedef struct history {
    int32_t *id;
    int64_t n, cap;
} history;

struct sc_session {
    const sc_model *m;
    sc_cache *cache;
    sc_cache *memory; /* keys and values of the encoder's output, which forks share; NULL: no encoder */
    history *history; /* of each sequence; NULL: the cache can go back to any token */
    int64_t context, chunk;
    int64_t prompt; /* virtual tokens of an adapter before every sequence's own, which callers do not see */
    int sequences;
    shape_plan plans[PLANS];
    uint64_t clock;
};

sc_status sc_session_new(sc_session **out, const sc_model *m, const sc_session_options *options)
{
    sc_session_options o = options ? *options : (sc_session_options){0};
    int64_t model_context = m->info.context ? m->info.context : MAX_CONTEXT_BY_DEFAULT;
    if (m->info.head != SC_HEAD_NEXT)
        return sc_fail(SC_EUNSUPPORTED, "%s: a model of type '%s' reads text and generates none", m->info.path,
                       m->info.model_type);
    if (o.context < 0 || o.source < 0 || o.sequences < 0 || o.sequences > 4096 || o.chunk < 0 || o.chunk > 1 << 20)
        return sc_fail(SC_EINVAL, "a session of %lld tokens, %d sequences and chunks of %lld", (long long)o.context,
                       o.sequences, (long long)o.chunk);
    if (o.cache != SC_F32 && o.cache != SC_F16 && o.cache != SC_BF16 && o.cache != SC_Q8_0)
        return sc_fail(SC_EUNSUPPORTED, "a cache of type %d: it can be f32, f16, bf16 or q8_0", (int)o.cache);
    sc_session *s = sc_calloc(1, sizeof *s);
    if (!s) return sc_nomem();
    s->m = m;
    s->sequences = o.sequences ? o.sequences : 1;
    s->context = o.context ? o.context : SC_MIN(model_context, MAX_CONTEXT_BY_DEFAULT);
    s->chunk = o.chunk ? o.chunk : CHUNK;
    int64_t rows = m->adapters.prompt.rows, source = o.source ? o.source : s->context;
    bool pair = m->info.source_vocab > 0;
    s->prompt = pair ? 0 : rows; /* those of a source are encoded with it */
    sc_status status =
        sc_cache_new(&s->cache, &m->cache, o.cache, s->context + s->prompt * s->sequences, s->sequences);
    if (!status && pair)
        status = sc_cache_new(&s->memory, &m->memory, o.cache, source + rows * s->sequences, s->sequences);
    if (!status && m->cache.n_states && !(s->history = sc_calloc((size_t)s->sequences, sizeof *s->history)))
        status = sc_nomem();
    if (status) {
        sc_session_free(s);
        return status;
    }
    *out = s;
    return SC_OK;
}

static void drop_plan(shape_plan *p)
{
    sc_plan_free(p->plan);
    sc_graph_free(p->t.g);
    *p = (shape_plan){0};
}

void sc_session_free(sc_session *s)
{
    if (!s) return;
    for (int i = 0; i < PLANS; i++) drop_plan(&s->plans[i]);
    for (int i = 0; s->history && i < s->sequences; i++) sc_free(s->history[i].id);
    sc_free(s->history);
    sc_cache_free(s->cache);
    sc_cache_free(s->memory);
    sc_free(s);
}

int64_t sc_session_context(const sc_session *s) { return s->context; }
int sc_session_sequences(const sc_session *s) { return s->sequences; }
const sc_model *sc_session_model(const sc_session *s) { return s->m; }
int64_t sc_session_cache_bytes(const sc_session *s)
{
    return sc_cache_bytes(s->cache) + (s->memory ? sc_cache_bytes(s->memory) : 0);
}

static bool seq_ok(const sc_session *s, int seq) { return seq >= 0 && seq < s->sequences; }

/* With the virtual tokens. */
static int64_t held(const sc_session *s, int seq)
{
    return s->history ? s->history[seq].n : sc_cache_length(s->cache, seq);
}

int64_t sc_session_length(const sc_session *s, int seq)
{
    return seq_ok(s, seq) ? SC_MAX(held(s, seq) - s->prompt, 0) : 0;
}

/* Tokens that a sequence holds and the cache does not any more. */
static int64_t behind(const sc_session *s, int seq)
{
    return s->history ? s->history[seq].n - sc_cache_length(s->cache, seq) : 0;
}

/* Room for n ids more, so that nothing can fail after an evaluation. */
static sc_status remember_room(sc_session *s, int seq, int64_t n)
{
    if (!s->history) return SC_OK;
    history *h = &s->history[seq];
    return sc_grow(&h->id, &h->cap, h->n + n, sizeof *h->id) ? SC_OK : sc_nomem();
}

static void remember(sc_session *s, int seq, const int32_t *ids, int64_t n)
{
    if (!s->history) return;
    history *h = &s->history[seq];
    memcpy(h->id + h->n, ids, sizeof *ids * (size_t)n);
    h->n += n;
}

static sc_status plan_for(sc_session *s, int64_t tokens, int64_t sequences, int64_t wanted, shape_plan **out)
{
    shape_plan *p = &s->plans[0];
    for (int i = 0; i < PLANS; i++) {
        shape_plan *q = &s->plans[i];
        if (q->plan && q->tokens == tokens && q->sequences == sequences && q->wanted == wanted) {
            q->used = ++s->clock;
            *out = q;
            return SC_OK;
        }
        if (q->used < p->used) p = q;
    }
    drop_plan(p);
    sc_status status = sc_text_graph_build(
        &p->t, s->m,
        &(sc_text_shape){
            .tokens = tokens, .sequences = sequences, .wanted = wanted, .cache = s->cache, .memory = s->memory});
    if (!status) status = sc_text_graph_plan(&p->plan, &p->t, s->m, false);
    if (status) {
        drop_plan(p);
        return status;
    }
    p->tokens = tokens;
    p->sequences = sequences;
    p->wanted = wanted;
    p->used = ++s->clock;
    *out = p;
    return SC_OK;
}

static sc_status check_ids(const int32_t *ids, int64_t n, int64_t vocab)
{
    for (int64_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= vocab)
            return sc_fail(SC_ELIMIT, "token id %d is outside the vocabulary of %lld", ids[i], (long long)vocab);
    return SC_OK;
}

/* Where the i-th of a plan's sequences finds what the encoder made for it. */
static sc_status look_at_memory(sc_session *s, const shape_plan *p, int i, int seq)
{
    if (!s->memory) return SC_OK;
    int32_t *past = sc_plan_data(p->plan, p->t.memory.seqs.past),
            *pages = sc_plan_data(p->plan, p->t.memory.seqs.pages);
    int64_t length = sc_cache_length(s->memory, seq);
    if (length == 0) return sc_fail(SC_EINVAL, "sequence %d has no source: it must be encoded first", seq);
    if (past) past[i] = (int32_t)length;
    if (pages) sc_cache_table(s->memory, seq, pages + i * sc_cache_pages(s->memory));
    return SC_OK;
}

/* The tables of one sequence of a plan, the i-th, for `each` tokens more. Some plans need only some of them. */
static sc_status fill(sc_session *s, const shape_plan *p, int i, int seq, int64_t each)
{
    const sc_seqs *q = &p->t.in.seqs;
    int32_t *slot = sc_plan_data(p->plan, q->slot), *past = sc_plan_data(p->plan, q->past),
            *pages = sc_plan_data(p->plan, q->pages), *position = sc_plan_data(p->plan, q->position),
            *from = sc_plan_data(p->plan, q->state_from), *to = sc_plan_data(p->plan, q->state_to);
    int64_t before = sc_cache_length(s->cache, seq), longest = s->m->info.context;
    if (longest && before + each > longest)
        return sc_fail(SC_ELIMIT, "%lld tokens, more than the model's context of %lld", (long long)(before + each),
                       (long long)longest);
    if (before + each > s->context + s->prompt)
        return sc_fail(SC_ELIMIT, "%lld tokens, more than the context of %lld",
                       (long long)(before + each - s->prompt), (long long)s->context);
    sc_status status = look_at_memory(s, p, i, seq);
    if (!status) status = sc_cache_append(s->cache, seq, each, slot ? slot + i * each : NULL);
    if (status) return status;
    if (past) past[i] = (int32_t)before;
    if (pages) sc_cache_table(s->cache, seq, pages + i * sc_cache_pages(s->cache));
    if (from) sc_cache_slots(s->cache, seq, from + i, to + i);
    for (int64_t t = 0; position && t < each; t++) position[i * each + t] = (int32_t)(before + t);
    return SC_OK;
}

/* `each` tokens of each of n sequences; logits for the last `rows` of each. */
static sc_status evaluate(sc_session *s, const int *seqs, int n, const int32_t *ids, int64_t each, int64_t rows,
                          const float **logits)
{
    shape_plan *p;
    sc_status status = plan_for(s, n * each, n, n * rows, &p);
    if (status) return status;
    int32_t *start = sc_plan_data(p->plan, p->t.in.seqs.start), *wanted = sc_plan_data(p->plan, p->t.in.wanted);
    int done = 0;
    memcpy(sc_plan_data(p->plan, p->t.in.ids), ids, sizeof *ids * (size_t)(n * each));
    while (done < n && !(status = fill(s, p, done, seqs[done], each))) done++;
    for (int i = 0; start && i <= n; i++) start[i] = (int32_t)(i * each);
    for (int64_t i = 0; i < n * rows; i++) wanted[i] = (int32_t)((i / rows + 1) * each - rows + i % rows);
    if (!status) status = sc_plan_run(p->plan);
    for (int i = 0; status && i < done; i++)
        sc_cache_trim(s->cache, seqs[i], sc_cache_length(s->cache, seqs[i]) - each);
    if (!status) *logits = sc_plan_data(p->plan, p->t.logits);
    return status;
}

/* Virtual tokens are the ids from the vocabulary's last on. */
static void write_prompt(const sc_session *s, int64_t vocab, int32_t *ids)
{
    for (int64_t i = 0; i < s->m->adapters.prompt.rows; i++) ids[i] = (int32_t)(vocab + i);
}

/* Evaluates the virtual tokens of a sequence that is empty. */
static sc_status begin(sc_session *s, int seq)
{
    const float *unused;
    if (!s->prompt || held(s, seq)) return SC_OK;
    int32_t *ids = sc_malloc(sizeof *ids * (size_t)s->prompt);
    if (!ids) return sc_nomem();
    write_prompt(s, s->m->info.vocab, ids);
    sc_status status = remember_room(s, seq, s->prompt);
    if (!status) status = evaluate(s, &seq, 1, ids, s->prompt, 1, &unused);
    if (!status) remember(s, seq, ids, s->prompt);
    sc_free(ids);
    return status;
}

/* Brings the cache up to the history, whose end it may have lost. */
static sc_status catch_up(sc_session *s, int seq, bool report)
{
    sc_status status = SC_OK;
    const float *unused;
    int64_t end = s->history ? s->history[seq].n : 0, first = sc_cache_length(s->cache, seq);
    for (int64_t i = first; !status && i < end; i += s->chunk) {
        int64_t n = SC_MIN(s->chunk, end - i);
        status = evaluate(s, &seq, 1, s->history[seq].id + i, n, 1, &unused);
        if (report && !status && end - first > s->chunk)
            sc_progress(s->m->ctx, "prompt", i + n - first, end - first);
    }
    return status;
}

/* Fills the memory of a sequence, whose slots are there, from the plan's source. */
static sc_status run_encoder(const sc_session *s, const sc_text_graph *t, const int32_t *ids, const int32_t *slots,
                             int64_t n)
{
    sc_plan *plan = NULL;
    sc_status status = sc_text_graph_plan_memory(&plan, t, s->m);
    if (status) return status;
    int32_t *position = sc_plan_data(plan, t->source.seqs.position),
            *start = sc_plan_data(plan, t->source.seqs.start);
    memcpy(sc_plan_data(plan, t->source.ids), ids, sizeof *ids * (size_t)n);
    memcpy(sc_plan_data(plan, t->memory.seqs.slot), slots, sizeof *slots * (size_t)n);
    for (int64_t i = 0; position && i < n; i++) position[i] = (int32_t)i;
    if (start) start[0] = 0, start[1] = (int32_t)n;
    status = sc_plan_run(plan);
    sc_plan_free(plan);
    return status;
}

sc_status sc_session_encode(sc_session *s, int seq, const int32_t *ids, int64_t n)
{
    const sc_model_info *info = &s->m->info;
    int64_t lead = s->m->adapters.prompt.rows, all = lead + n;
    if (!s->memory) return sc_fail(SC_EINVAL, "%s has no encoder", info->path);
    if (!seq_ok(s, seq) || n < 1)
        return sc_fail(SC_EINVAL, "%lld source tokens for sequence %d of %d", (long long)n, seq, s->sequences);
    if (info->context && all > info->context)
        return sc_fail(SC_ELIMIT, "%lld source tokens, more than the model's %lld", (long long)all,
                       (long long)info->context);
    sc_text_graph t = {0};
    int32_t *slots = sc_malloc(sizeof *slots * (size_t)all), *with = sc_malloc(sizeof *with * (size_t)all);
    sc_status status = slots && with ? check_ids(ids, n, info->source_vocab) : sc_nomem();
    if (!status) {
        write_prompt(s, info->source_vocab, with);
        memcpy(with + lead, ids, sizeof *ids * (size_t)n);
        sc_session_trim(s, seq, 0);
        sc_cache_trim(s->memory, seq, 0);
        status = sc_cache_append(s->memory, seq, all, slots);
    }
    if (!status)
        status = sc_text_graph_build(
            &t, s->m, &(sc_text_shape){.tokens = 1, .sequences = 1, .source = all, .memory = s->memory});
    if (!status) status = run_encoder(s, &t, with, slots, all);
    if (status) sc_cache_trim(s->memory, seq, 0);
    sc_graph_free(t.g);
    sc_free(slots);
    sc_free(with);
    return status;
}

sc_status sc_session_eval(sc_session *s, int seq, const int32_t *ids, int64_t n, const float **logits)
{
    if (!seq_ok(s, seq) || n < 1)
        return sc_fail(SC_EINVAL, "%lld tokens for sequence %d of %d", (long long)n, seq, s->sequences);
    int64_t before = sc_session_length(s, seq);
    if (n > s->context - before)
        return sc_fail(SC_ELIMIT, "%lld tokens do not fit a context of %lld that holds %lld", (long long)n,
                       (long long)s->context, (long long)before);
    sc_status status = check_ids(ids, n, s->m->info.vocab);
    if (!status) status = begin(s, seq);
    if (!status) status = remember_room(s, seq, n);
    if (!status) status = catch_up(s, seq, true);
    if (status) return status;
    const float *last = NULL;
    before = held(s, seq);
    if (n > 1) sc_cache_mark(s->cache, seq); /* to come back to where a piece of it fails */
    for (int64_t i = 0; i < n; i += s->chunk) {
        status = evaluate(s, &seq, 1, ids + i, SC_MIN(s->chunk, n - i), 1, &last);
        if (status) {
            sc_cache_trim(s->cache, seq, before);
            return status;
        }
        if (n > s->chunk) sc_progress(s->m->ctx, "prompt", SC_MIN(i + s->chunk, n), n);
    }
    if (n > 1) sc_cache_mark(s->cache, seq); /* another answer to the same prompt begins here */
    remember(s, seq, ids, n);
    *logits = last;
    return SC_OK;
}

sc_status sc_session_step(sc_session *s, const int *seqs, const int32_t *ids, int n, const float **logits)
{
    for (int i = 0; i < n; i++) {
        if (!seq_ok(s, seqs[i])) return sc_fail(SC_EINVAL, "sequence %d of %d", seqs[i], s->sequences);
        for (int k = 0; k < i; k++)
            if (seqs[k] == seqs[i]) return sc_fail(SC_EINVAL, "sequence %d is there twice", seqs[i]);
    }
    if (n < 1) return sc_fail(SC_EINVAL, "a step of no sequences");
    sc_status status = check_ids(ids, n, s->m->info.vocab);
    for (int i = 0; !status && i < n; i++)
        if (!(status = begin(s, seqs[i])) && !(status = remember_room(s, seqs[i], 1)))
            status = catch_up(s, seqs[i], false);
    if (!status) status = evaluate(s, seqs, n, ids, 1, 1, logits);
    for (int i = 0; !status && i < n; i++) remember(s, seqs[i], ids + i, 1);
    return status;
}

sc_status sc_session_score(sc_session *s, int seq, const int32_t *ids, int64_t n, const float **logits)
{
    if (!seq_ok(s, seq) || n < 1 || n > s->chunk)
        return sc_fail(SC_EINVAL, "%lld tokens for sequence %d of %d, at most %lld at once", (long long)n, seq,
                       s->sequences, (long long)s->chunk);
    sc_status status = check_ids(ids, n, s->m->info.vocab);
    if (!status) status = begin(s, seq);
    if (!status) status = remember_room(s, seq, n);
    if (status) return status;
    int64_t late = behind(s, seq);
    if (late + n > s->chunk && (status = catch_up(s, seq, false))) return status;
    late = behind(s, seq);
    /* What is late goes along: after a rejected draft each round has some. */
    remember(s, seq, ids, n);
    if (late) ids = s->history[seq].id + s->history[seq].n - n - late;
    status = evaluate(s, &seq, 1, ids, late + n, n, logits);
    if (status && s->history) s->history[seq].n -= n;
    return status;
}

sc_status sc_session_fork(sc_session *s, int from, int to)
{
    if (!seq_ok(s, from) || !seq_ok(s, to))
        return sc_fail(SC_EINVAL, "sequences %d and %d of %d", from, to, s->sequences);
    if (from == to) return SC_OK;
    if (s->history) {
        const history *h = &s->history[from];
        s->history[to].n = 0;
        sc_status status = remember_room(s, to, h->n);
        if (status) return status;
        remember(s, to, h->id, h->n);
    }
    sc_cache_fork(s->cache, from, to);
    if (s->memory) sc_cache_fork(s->memory, from, to);
    return SC_OK;
}

sc_status sc_session_trim(sc_session *s, int seq, int64_t n)
{
    if (!seq_ok(s, seq) || n < 0)
        return sc_fail(SC_EINVAL, "%lld tokens of sequence %d of %d", (long long)n, seq, s->sequences);
    if (n) n += s->prompt;
    if (s->history) s->history[seq].n = SC_MIN(s->history[seq].n, n);
    sc_cache_trim(s->cache, seq, n);
    return SC_OK;
}
