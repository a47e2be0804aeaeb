/* SPDX-License-Identifier: Apache-2.0 */
/* Sequences over one model and one paged cache. A plan is made for each shape (tokens, sequences, wanted rows) and kept:
 * decoding runs the same one for every token. */
#include "models/models.h"
#include "socle/session.h"

enum { PLANS = 8, MAX_CONTEXT_BY_DEFAULT = 8192, CHUNK = 512 };

typedef struct shape_plan {
    int64_t tokens, sequences, wanted;
    uint64_t used; /* when last, to find the one to give up */
    sc_text_graph t;
    sc_plan *plan;
} shape_plan;

struct sc_session {
    const sc_model *m;
    sc_cache *cache;
    sc_cache *memory; /* keys and values of the encoder's output, which forks share; NULL: no encoder */
    int64_t context, chunk;
    int64_t prompt; /* virtual tokens of an adapter before every sequence's own, which lengths do not count */
    int sequences;
    shape_plan plans[PLANS];
    uint64_t clock;
};

sc_status sc_session_new(sc_session **out, const sc_model *m, const sc_session_options *options)
{
    sc_session_options o = options ? *options : (sc_session_options){0};
    int64_t model_context = m->info.context ? m->info.context : MAX_CONTEXT_BY_DEFAULT;
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
    if (status) {
        sc_cache_free(s->cache);
        sc_free(s);
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

int64_t sc_session_length(const sc_session *s, int seq)
{
    return seq_ok(s, seq) ? SC_MAX(sc_cache_length(s->cache, seq) - s->prompt, 0) : 0;
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

/* Virtual tokens are the ids from the vocabulary's last on. */
static void write_prompt(const sc_session *s, int64_t vocab, int32_t *ids)
{
    for (int64_t i = 0; i < s->m->adapters.prompt.rows; i++) ids[i] = (int32_t)(vocab + i);
}

static sc_status evaluate(sc_session *s, const int *seqs, int n, const int32_t *ids, int64_t each, bool all,
                          const float **logits);

/* Evaluates the virtual tokens of those sequences that are empty. */
static sc_status begin(sc_session *s, const int *seqs, int n)
{
    sc_status status = SC_OK;
    const float *unused;
    if (!s->prompt) return SC_OK;
    int32_t *ids = sc_malloc(sizeof *ids * (size_t)s->prompt);
    if (!ids) return sc_nomem();
    write_prompt(s, s->m->info.vocab, ids);
    for (int i = 0; !status && i < n; i++) {
        if (sc_cache_length(s->cache, seqs[i])) continue;
        status = evaluate(s, seqs + i, 1, ids, s->prompt, false, &unused);
        if (status) sc_cache_trim(s->cache, seqs[i], 0);
    }
    sc_free(ids);
    return status;
}

/* `each` tokens of each of n sequences. wanted: 1 gives logits for the last of each sequence, otherwise for all. */
static sc_status evaluate(sc_session *s, const int *seqs, int n, const int32_t *ids, int64_t each, bool all,
                          const float **logits)
{
    const sc_model *m = s->m;
    shape_plan *p;
    sc_status status = SC_OK;
    int done = 0;
    if ((status = plan_for(s, n * each, n, all ? n * each : n, &p))) return status;
    int32_t *slot = sc_plan_data(p->plan, p->t.in.seqs.slot), *past = sc_plan_data(p->plan, p->t.in.seqs.past),
            *start = sc_plan_data(p->plan, p->t.in.seqs.start), *pages = sc_plan_data(p->plan, p->t.in.seqs.pages),
            *position = sc_plan_data(p->plan, p->t.in.seqs.position),
            *wanted = sc_plan_data(p->plan, p->t.in.wanted);
    memcpy(sc_plan_data(p->plan, p->t.in.ids), ids, sizeof *ids * (size_t)(n * each));
    for (; done < n; done++) {
        int64_t before = sc_cache_length(s->cache, seqs[done]);
        if (m->info.context && before + each > m->info.context)
            status = sc_fail(SC_ELIMIT, "%lld tokens, more than the model's context of %lld",
                             (long long)(before + each), (long long)m->info.context);
        else if (before + each > s->context + s->prompt)
            status = sc_fail(SC_ELIMIT, "%lld tokens, more than the context of %lld",
                             (long long)(before + each - s->prompt), (long long)s->context);
        else
            status = look_at_memory(s, p, done, seqs[done]);
        if (!status) status = sc_cache_append(s->cache, seqs[done], each, slot + done * each);
        if (status) break;
        start[done] = (int32_t)(done * each);
        past[done] = (int32_t)before;
        sc_cache_table(s->cache, seqs[done], pages + done * sc_cache_pages(s->cache));
        for (int64_t i = 0; i < each; i++)
            if (position) position[done * each + i] = (int32_t)(before + i);
        if (!all) wanted[done] = (int32_t)((done + 1) * each - 1);
    }
    start[n] = (int32_t)(n * each);
    for (int64_t i = 0; all && i < n * each; i++) wanted[i] = (int32_t)i;
    if (!status) status = sc_plan_run(p->plan);
    if (status) {
        for (int i = 0; i < done; i++) sc_cache_trim(s->cache, seqs[i], past[i]);
        return status;
    }
    *logits = sc_plan_data(p->plan, p->t.logits);
    return SC_OK;
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
        sc_cache_trim(s->cache, seq, 0);
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
    if (!status) status = begin(s, &seq, 1);
    if (status) return status;
    const float *last = NULL;
    for (int64_t i = 0; i < n; i += s->chunk) {
        status = evaluate(s, &seq, 1, ids + i, SC_MIN(s->chunk, n - i), false, &last);
        if (status) {
            sc_session_trim(s, seq, before);
            return status;
        }
        if (n > s->chunk) sc_progress(s->m->ctx, "prompt", SC_MIN(i + s->chunk, n), n);
    }
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
    if (!status) status = begin(s, seqs, n);
    return status ? status : evaluate(s, seqs, n, ids, 1, false, logits);
}

sc_status sc_session_score(sc_session *s, int seq, const int32_t *ids, int64_t n, const float **logits)
{
    if (!seq_ok(s, seq) || n < 1 || n > s->chunk)
        return sc_fail(SC_EINVAL, "%lld tokens for sequence %d of %d, at most %lld at once", (long long)n, seq,
                       s->sequences, (long long)s->chunk);
    sc_status status = check_ids(ids, n, s->m->info.vocab);
    if (!status) status = begin(s, &seq, 1);
    return status ? status : evaluate(s, &seq, 1, ids, n, true, logits);
}

sc_status sc_session_fork(sc_session *s, int from, int to)
{
    if (!seq_ok(s, from) || !seq_ok(s, to))
        return sc_fail(SC_EINVAL, "sequences %d and %d of %d", from, to, s->sequences);
    sc_cache_fork(s->cache, from, to);
    if (s->memory) sc_cache_fork(s->memory, from, to);
    return SC_OK;
}

sc_status sc_session_trim(sc_session *s, int seq, int64_t n)
{
    if (!seq_ok(s, seq) || n < 0)
        return sc_fail(SC_EINVAL, "%lld tokens of sequence %d of %d", (long long)n, seq, s->sequences);
    sc_cache_trim(s->cache, seq, n ? n + s->prompt : 0);
    return SC_OK;
}
