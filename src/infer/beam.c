/* SPDX-License-Identifier: Apache-2.0 */
/* Beam search's bookkeeping for one prompt. Sequences are leaves of a tree of (parent, id) nodes, so a step copies
 * nothing. The rules are those of HuggingFace's generate, arithmetic in float as there:
 *  - from all rows the best K = max(2, 1 + n_eos) * num_beams continuations are candidates, best first;
 *  - of the first num_beams of them, those that end (an eos id, or the length limit) compete for the num_beams
 * places of finished sequences with their score divided by length^length_penalty;
 *  - the best num_beams that do not end live on. */
#include "base/base.h"
#include "socle/sampling.h"

#include <float.h>
#include <math.h>

#define MAX_VOCAB  ((int64_t)1 << 24)
#define MAX_BEAMS  1024
#define MAX_EOS    1024
#define MAX_LENGTH ((int64_t)1 << 24)

typedef struct candidate {
    float score;
    int64_t at; /* row * vocab + id */
} candidate;

typedef struct finished {
    float score; /* with the length penalty */
    int64_t node;
} finished;

struct sc_beam {
    sc_beam_options o; /* eos is ours */
    int32_t *eos;
    int64_t vocab, length; /* length: steps taken */
    bool done;

    struct beam_node {
        int64_t parent; /* -1: the prompt */
        int32_t id;
    } * nodes;
    int64_t n_nodes, cap_nodes;

    sc_beam_live_one *live, *next; /* num_beams each */
    int64_t *live_node, *next_node;
    int n_live;
    finished *finished; /* num_beams places, best first */
    int n_finished;
    candidate *heap; /* K, the worst one first while they are gathered */
    int64_t n_heap, k;
};

static sc_status check_options(const sc_beam_options *o, int64_t vocab)
{
    if (o->num_beams < 1 || o->num_beams > MAX_BEAMS)
        return sc_fail(SC_EINVAL, "num_beams is %d, allowed is 1 to %d", o->num_beams, MAX_BEAMS);
    if (o->num_return_sequences < 1 || o->num_return_sequences > o->num_beams)
        return sc_fail(SC_EINVAL, "num_return_sequences is %d, allowed is 1 to num_beams, which is %d",
                       o->num_return_sequences, o->num_beams);
    if (!(o->length_penalty >= -100 && o->length_penalty <= 100))
        return sc_fail(SC_EINVAL, "length_penalty is %g, allowed is [-100, 100]", o->length_penalty);
    if (o->early_stopping != SC_BEAM_HEURISTIC && o->early_stopping != SC_BEAM_EARLY &&
        o->early_stopping != SC_BEAM_NEVER)
        return sc_fail(SC_EINVAL, "early_stopping is %d, not one of its values", (int)o->early_stopping);
    if (o->max_new_tokens < 1 || o->max_new_tokens > MAX_LENGTH)
        return sc_fail(SC_EINVAL, "max_new_tokens is %lld, allowed is 1 to %lld", (long long)o->max_new_tokens,
                       (long long)MAX_LENGTH);
    if (o->n_eos < 0 || o->n_eos > MAX_EOS || (o->n_eos && !o->eos))
        return sc_fail(SC_EINVAL, "beam search: %lld end ids, allowed is 0 to %d", (long long)o->n_eos, MAX_EOS);
    if (vocab < 1 || vocab > MAX_VOCAB)
        return sc_fail(SC_EINVAL, "beam search: a vocabulary of %lld ids, allowed is 1 to %lld", (long long)vocab,
                       (long long)MAX_VOCAB);
    return SC_OK;
}

sc_status sc_beam_new(sc_beam **out, const sc_beam_options *options, int64_t vocab)
{
    sc_status st = check_options(options, vocab);
    if (st != SC_OK) return st;
    sc_beam *b = sc_calloc(1, sizeof *b);
    if (!b) return sc_nomem();
    size_t n = (size_t)options->num_beams, n_eos = (size_t)options->n_eos;
    b->o = *options;
    b->vocab = vocab;
    b->k = SC_MAX(2, 1 + options->n_eos) * options->num_beams;
    b->eos = sc_malloc(n_eos * sizeof *b->eos);
    b->live = sc_calloc(n, sizeof *b->live);
    b->next = sc_calloc(n, sizeof *b->next);
    b->live_node = sc_calloc(n, sizeof *b->live_node);
    b->next_node = sc_calloc(n, sizeof *b->next_node);
    b->finished = sc_calloc(n, sizeof *b->finished);
    b->heap = sc_calloc((size_t)b->k, sizeof *b->heap);
    if (!b->eos || !b->live || !b->next || !b->live_node || !b->next_node || !b->finished || !b->heap) {
        sc_beam_free(b);
        return sc_nomem();
    }
    if (n_eos) memcpy(b->eos, options->eos, n_eos * sizeof *b->eos);
    b->o.eos = b->eos;
    b->live[0] = (sc_beam_live_one){.parent = 0, .id = -1, .score = 0};
    b->live_node[0] = -1;
    b->n_live = 1;
    *out = b;
    return SC_OK;
}

void sc_beam_free(sc_beam *b)
{
    if (!b) return;
    sc_free(b->eos);
    sc_free(b->nodes);
    sc_free(b->live);
    sc_free(b->next);
    sc_free(b->live_node);
    sc_free(b->next_node);
    sc_free(b->finished);
    sc_free(b->heap);
    sc_free(b);
}

bool sc_beam_done(const sc_beam *b) { return b->done; }

int sc_beam_live(const sc_beam *b, const sc_beam_live_one **beams)
{
    *beams = b->live;
    return b->done ? 0 : b->n_live;
}

int64_t sc_beam_length(const sc_beam *b) { return b->length; }

/* The ids on the way to a node, in order; ids may be NULL to count them. */
static int64_t path(const sc_beam *b, int64_t at, int32_t *ids)
{
    int64_t n = 0;
    for (int64_t i = at; i >= 0; i = b->nodes[i].parent) n++;
    if (ids)
        for (int64_t i = at, j = n; i >= 0; i = b->nodes[i].parent) ids[--j] = b->nodes[i].id;
    return n;
}

sc_status sc_beam_ids(const sc_beam *b, int i, int32_t *ids)
{
    if (b->done || i < 0 || i >= b->n_live)
        return sc_fail(SC_EINVAL, "beam search: no live beam %d of %d", i, b->done ? 0 : b->n_live);
    path(b, b->live_node[i], ids);
    return SC_OK;
}

/* Whether a comes before b: the greater score, of equals the earlier place. */
static bool better(const candidate *a, const candidate *b)
{
    if (a->score > b->score) return true;
    return !(a->score < b->score) && a->at < b->at;
}

/* Lets h[at] sink in the heap whose first element is the worst. */
static void sink(candidate *h, int64_t n, int64_t at)
{
    for (int64_t c; (c = 2 * at + 1) < n; at = c) {
        if (c + 1 < n && better(&h[c], &h[c + 1])) c++;
        if (!better(&h[at], &h[c])) return;
        candidate t = h[at];
        h[at] = h[c];
        h[c] = t;
    }
}

/* Puts the best k continuations into heap[], best first. */
static sc_status gather(sc_beam *b, const float *logprobs)
{
    candidate *h = b->heap;
    b->n_heap = 0;
    for (int row = 0; row < b->n_live; row++) {
        const float *p = logprobs + row * b->vocab;
        float base = b->live[row].score;
        for (int64_t id = 0; id < b->vocab; id++) {
            if (!(p[id] <= FLT_MAX))
                return sc_fail(SC_EINVAL, "beam search: the log-probability of id %lld in row %d is %s",
                               (long long)id, row, isnan(p[id]) ? "not a number" : "infinite");
            candidate c = {.score = p[id] + base, .at = row * b->vocab + id};
            if (!(c.score >= -FLT_MAX)) continue;
            if (b->n_heap < b->k) {
                h[b->n_heap++] = c;
                if (b->n_heap == b->k)
                    for (int64_t i = b->k / 2; i-- > 0;) sink(h, b->k, i);
            } else if (c.score > h[0].score) { /* an equal one comes later, so it is not better */
                h[0] = c;
                sink(h, b->k, 0);
            }
        }
    }
    if (!b->n_heap) return sc_fail(SC_EINVAL, "beam search: no id can follow, all log-probabilities are -infinity");
    int64_t n = b->n_heap;
    if (n < b->k)
        for (int64_t i = n / 2; i-- > 0;) sink(h, n, i);
    while (n-- > 1) { /* the worst goes to the end */
        candidate t = h[0];
        h[0] = h[n];
        h[n] = t;
        sink(h, n, 0);
    }
    return SC_OK;
}

static float normalised(const sc_beam *b, float score, int64_t length)
{
    return score / (float)pow((double)length, b->o.length_penalty);
}

static bool ends(const sc_beam *b, int32_t id)
{
    if (b->length + 1 >= b->o.max_new_tokens) return true;
    for (int64_t i = 0; i < b->o.n_eos; i++)
        if (b->eos[i] == id) return true;
    return false;
}

static int64_t add_node(sc_beam *b, int64_t parent, int32_t id)
{
    b->nodes[b->n_nodes] = (struct beam_node){.parent = parent, .id = id};
    return b->n_nodes++;
}

/* Takes a place among the finished, behind those of the same score, if it is good enough. */
static void finish(sc_beam *b, float score, int64_t parent, int32_t id)
{
    int at = b->n_finished;
    while (at > 0 && b->finished[at - 1].score < score) at--;
    if (at == b->o.num_beams) return;
    if (b->n_finished < b->o.num_beams) b->n_finished++;
    memmove(b->finished + at + 1, b->finished + at, (size_t)(b->n_finished - 1 - at) * sizeof *b->finished);
    b->finished[at] = (finished){.score = score, .node = add_node(b, parent, id)};
}

/* Whether the search is over, given the new live beams. */
static bool is_over(const sc_beam *b)
{
    if (!b->n_live) return true;
    if (b->n_finished < b->o.num_beams) return false;
    if (b->o.early_stopping == SC_BEAM_EARLY) return true;
    bool longest = b->o.early_stopping == SC_BEAM_NEVER && b->o.length_penalty > 0;
    float best = normalised(b, b->live[0].score, longest ? b->o.max_new_tokens : b->length);
    return !(best > b->finished[b->n_finished - 1].score);
}

sc_status sc_beam_step(sc_beam *b, const float *logprobs)
{
    if (b->done) return sc_fail(SC_EINVAL, "beam search: a step after the end");
    /* First what can fail: at most num_beams live on and num_beams finish. */
    if (!sc_grow(&b->nodes, &b->cap_nodes, b->n_nodes + 2 * b->o.num_beams, sizeof *b->nodes)) return sc_nomem();
    sc_status st = gather(b, logprobs);
    if (st != SC_OK) return st;
    int n = 0;
    for (int64_t i = 0; i < b->n_heap; i++) {
        const candidate *c = &b->heap[i];
        int32_t row = (int32_t)(c->at / b->vocab), id = (int32_t)(c->at % b->vocab);
        if (ends(b, id)) {
            if (i < b->o.num_beams) finish(b, normalised(b, c->score, b->length + 1), b->live_node[row], id);
        } else if (n < b->o.num_beams) {
            b->next[n] = (sc_beam_live_one){.parent = row, .id = id, .score = c->score};
            b->next_node[n++] = add_node(b, b->live_node[row], id);
        }
    }
    sc_beam_live_one *live = b->live;
    int64_t *live_node = b->live_node;
    b->live = b->next;
    b->live_node = b->next_node;
    b->next = live;
    b->next_node = live_node;
    b->n_live = n;
    b->length++;
    b->done = is_over(b);
    return SC_OK;
}

int sc_beam_results(const sc_beam *b) { return b->done ? SC_MIN(b->n_finished, b->o.num_return_sequences) : 0; }

sc_status sc_beam_result(const sc_beam *b, int i, int32_t **ids, int64_t *n, float *score)
{
    if (i < 0 || i >= sc_beam_results(b))
        return sc_fail(SC_EINVAL, "beam search: no result %d of %d", i, sc_beam_results(b));
    int64_t len = path(b, b->finished[i].node, NULL);
    int32_t *a = sc_malloc((size_t)len * sizeof *a);
    if (!a) return sc_nomem();
    path(b, b->finished[i].node, a);
    *ids = a;
    *n = len;
    if (score) *score = b->finished[i].score;
    return SC_OK;
}
