/* SPDX-License-Identifier: Apache-2.0 */
/* Supervised fine-tuning: the assistant's answers of conversations, as the model's own template writes these. Sequences lie end
 * to end and see nothing of each other; with `pack` as many of them as fit `length` count as one. */
#include "train/chat.h"

#include <stdlib.h>

typedef enum learn_kind { LEARN_ANSWERS, LEARN_LAST, LEARN_ALL } learn_kind;
typedef enum overlong_kind { LONG_END, LONG_START, LONG_DROP } overlong_kind;

/* A text as ids, and how much each of them counts as what is to be predicted. */
typedef struct sequence {
    int64_t at, n;    /* in ids and weight */
    int64_t record;   /* that it comes from, in turn */
    const char *path; /* borrowed from the options */
    int64_t line;
} sequence;

/* Sequences that are trained on together: place[at .. at + n) are indices. */
typedef struct bin {
    int64_t at, n, tokens;
} bin;

typedef struct part {
    int64_t *place; /* the sequences of a part, those of a bin side by side */
    bin *bin;
    int64_t n, bins;
} part;

/* What was met in the data, for the log. */
typedef struct tally {
    int64_t kind[SC_CHAT_KINDS], records, apart, mute, overlong, cut, dropped;
} tally;

typedef struct sft {
    const sc_objective_setup *setup; /* while it is opened */
    sc_chat_format format;
    sc_template *template;
    char *source; /* of a template that is not the model's, for the run's folder */
    learn_kind learned;
    overlong_kind overlong;
    bool chat, pack;
    int64_t rows, length, vocab;
    int32_t *ids;
    float *weight;
    int64_t tokens, cap_ids, cap_weight;
    sequence *seq;
    int64_t n, cap_seq;
    part data[2];   /* to learn from, and to measure */
    int64_t *sizes; /* of the data's bins */
    sc_order order;
    sc_maker maker;
    /* of the record that is being read */
    const sc_conversation *talk;
    const sc_record *record;
    int64_t given; /* texts of it */
    tally met;
} sft;

static void sft_free(void *self)
{
    sft *x = self;
    if (!x) return;
    sc_chat_format_free(&x->format);
    sc_template_free(x->template);
    sc_free(x->source);
    sc_free(x->ids);
    sc_free(x->weight);
    sc_free(x->seq);
    for (int k = 0; k < 2; k++) {
        sc_free(x->data[k].place);
        sc_free(x->data[k].bin);
    }
    sc_free(x->sizes);
    sc_order_free(&x->order);
    sc_maker_free(&x->maker);
    sc_free(x);
}

/* ---- records as sequences ---- */

/* Whether any of weight[from..to) counts. */
static bool any(const float *weight, int64_t from, int64_t to)
{
    for (int64_t i = from; i < to; i++)
        if (weight[i] > 0) return true;
    return false;
}

/* Takes ids[0..n) as a sequence, of which weight[i] tells how much id i counts; what is too long is shortened. */
static sc_status take(sft *x, const int32_t *ids, const float *weight, int64_t n)
{
    int64_t from = 0, to = n;
    x->given++;
    if (n > x->length) {
        x->met.overlong++;
        if (x->overlong == LONG_END) to = x->length;
        if (x->overlong == LONG_START) from = n - x->length;
        if (x->overlong == LONG_DROP) to = 0;
        if (any(weight, 0, from) || any(weight, to, n)) x->met.cut++;
    }
    /* The first token is predicted by nothing. */
    if (!any(weight, from + 1, to)) {
        if (n > x->length)
            x->met.dropped++;
        else
            x->met.mute++;
        return SC_OK;
    }
    int64_t size = to - from;
    if (!sc_grow(&x->ids, &x->cap_ids, x->tokens + size, sizeof *x->ids) ||
        !sc_grow(&x->weight, &x->cap_weight, x->tokens + size, sizeof *x->weight) ||
        !sc_grow(&x->seq, &x->cap_seq, x->n + 1, sizeof *x->seq))
        return sc_nomem();
    for (int64_t i = from; i < to; i++) {
        if (ids[i] >= x->vocab)
            return sc_fail(SC_ELIMIT, "%s: line %lld: the tokenizer gives id %d, the model has %lld tokens",
                           x->record->path, (long long)x->record->line, ids[i], (long long)x->vocab);
        x->ids[x->tokens + i - from] = ids[i];
        x->weight[x->tokens + i - from] = weight[i];
    }
    x->seq[x->n++] = (sequence){x->tokens, size, x->met.records, x->record->path, x->record->line};
    x->tokens += size;
    return SC_OK;
}

static sc_status take_turns(void *user, const sc_turn_ids *t)
{
    sft *x = user;
    int32_t last = -1;
    float *weight = sc_calloc((size_t)t->n + 1, sizeof *weight);
    if (!weight) return sc_nomem();
    for (int64_t i = 0; i < t->n; i++) last = SC_MAX(last, t->turn[i]);
    for (int64_t i = 0; i < t->n; i++) {
        int32_t turn = t->turn[i];
        double w = x->learned == LEARN_ALL                                  ? 1
                   : turn < 0 || (x->learned == LEARN_LAST && turn != last) ? 0
                                                                            : sc_conversation_weight(x->talk, turn);
        weight[i] = (float)(w * x->talk->weight);
    }
    sc_status s = take(x, t->ids, weight, t->n);
    sc_free(weight);
    return s;
}

/* Texts that follow each other, and the token that ends texts, where the tokenizer does not put it there. */
static sc_status take_texts(sft *x, const sc_conversation *c)
{
    const sc_tokenizer *t = x->setup->tokenizer;
    sc_str text = {0};
    int32_t *ids = NULL, eos = sc_tokenizer_eos(t);
    sc_token_span *span = NULL;
    float *weight = NULL;
    int64_t n = 0, asked = x->learned == LEARN_ALL ? 0 : c->prompt.n;
    if (c->prompt.n) sc_str_append(&text, c->prompt.p, c->prompt.n);
    if (c->completion.n) sc_str_append(&text, c->completion.p, c->completion.n);
    sc_status s = text.oom ? sc_nomem() : SC_OK;
    if (!s)
        s = sc_tokenizer_encode_spans(t, text.p ? text.p : "", text.len,
                                      SC_TOKENIZE_SPECIAL | SC_TOKENIZE_PARSE_SPECIAL, &ids, &span, &n);
    bool ends = !s && eos >= 0 && (!n || ids[n - 1] != eos);
    if (!s && !(weight = sc_calloc((size_t)n + 1, sizeof *weight))) s = sc_nomem();
    int32_t *more = s || !ends ? NULL : sc_realloc(ids, ((size_t)n + 1) * sizeof *ids);
    if (more) {
        ids = more;
        ids[n] = eos;
    } else if (!s && ends)
        s = sc_nomem();
    for (int64_t i = 0; !s && i < n; i++) { /* what is not of the text is learned at its end: it ends it */
        bool own = span[i].end > asked || (span[i].end == 0 && ids[i] == eos && i == n - 1);
        weight[i] = own ? (float)c->weight : 0;
    }
    if (!s && ends) weight[n++] = (float)c->weight;
    if (!s) s = take(x, ids, weight, n);
    sc_str_free(&text);
    sc_free(ids);
    sc_free(span);
    sc_free(weight);
    return s;
}

static sc_status add(void *user, const sc_record *r)
{
    sft *x = user;
    sc_conversation c = {0};
    sc_status s = sc_conversation_read(&c, r, x->chat);
    if (s) return s;
    x->met.kind[c.kind]++;
    x->record = r;
    x->talk = &c;
    x->given = 0;
    if (!c.variables)
        s = take_texts(x, &c);
    else if (!x->template)
        s = sc_fail(
            SC_EUNSUPPORTED,
            "%s: line %lld is a conversation, and the model has no chat template: --template chatml, plain or a "
            "file",
            r->path, (long long)r->line);
    else {
        s = sc_chat_turns(&x->format, c.variables, take_turns, x);
        if (s) s = sc_fail_in(s, "%s: line %lld", r->path, (long long)r->line);
    }
    if (x->given > 1) x->met.apart++;
    if (!s && !x->given) x->met.mute++;
    x->met.records++;
    sc_conversation_free(&c);
    return s;
}

/* What was found, a line a file, and what was left out. */
static void say(const sft *x, const char *path, const tally *t)
{
    const sc_context *ctx = x->setup->ctx;
    sc_str kinds = {0};
    for (int k = 0; k < SC_CHAT_KINDS; k++)
        if (t->kind[k])
            sc_str_printf(&kinds, "%s%lld %s (%s)", kinds.len ? ", " : "", (long long)t->kind[k],
                          k == SC_CHAT_PROMPT || k == SC_CHAT_TEXT ? "texts" : "conversations",
                          sc_chat_kind_name((sc_chat_kind)k));
    if (!kinds.oom) sc_log(ctx, SC_LOG_INFO, "%s: %s", path, kinds.p ? kinds.p : "nothing");
    sc_str_free(&kinds);
    if (t->apart)
        sc_log(ctx, SC_LOG_INFO,
               "%s: the template writes earlier turns otherwise, so each answer of %lld conversations is a "
               "sequence of "
               "its own",
               path, (long long)t->apart);
    if (t->overlong)
        sc_log(
            ctx, SC_LOG_WARNING,
            "%s: %lld of %lld are longer than %lld tokens and %s; of %lld a part of what is to be learned is lost, "
            "%lld have nothing left of it and are left out",
            path, (long long)t->overlong, (long long)t->records, (long long)x->length,
            x->overlong == LONG_DROP    ? "left out"
            : x->overlong == LONG_START ? "lose their beginning"
                                        : "lose their end",
            (long long)t->cut, (long long)t->dropped);
    if (t->mute)
        sc_log(ctx, SC_LOG_WARNING, "%s: %lld have no answer to learn and are left out", path, (long long)t->mute);
}

static sc_status read_files(sft *x, const char *const *path, int n)
{
    for (int i = 0; i < n; i++) {
        int64_t before = x->n, records = x->met.records;
        x->met = (tally){.records = 0};
        sc_status s = sc_records_each(x->setup->ctx, path[i], false, add, x);
        if (s) return s;
        say(x, path[i], &x->met);
        if (x->n == before)
            return sc_fail(SC_EINVAL, "%s has nothing to learn%s", path[i],
                           x->met.dropped ? " within --length" : "");
        for (int64_t k = before; k < x->n; k++) x->seq[k].record += records; /* of all files */
        x->met.records += records;
    }
    return SC_OK;
}

/* ---- parts and bins ---- */

static int longest_first(const void *a, const void *b, void *user)
{
    const sequence *seq = user;
    int64_t i = *(const int64_t *)a, k = *(const int64_t *)b;
    if (seq[i].n != seq[k].n) return seq[i].n > seq[k].n ? -1 : 1;
    return i < k ? -1 : i > k;
}

/* Bins by how much room they have left: first[r] is the last one made or changed with r, next links to others. */
typedef struct shelf {
    int64_t *first, *next, *of; /* of: the bin of each sequence, in turn of the sorted ones */
    int64_t *full;              /* per 64 rooms whether there is any: a coarse index */
} shelf;

static void put_bin(shelf *f, int64_t room, int64_t b)
{
    f->next[b] = f->first[room];
    f->first[room] = b;
    f->full[room / 64]++;
}

/* A bin with the least room that n fit into, taken from its shelf; -1: there is none. */
static int64_t best_bin(shelf *f, int64_t n, int64_t length)
{
    for (int64_t room = n; room <= length; room++) {
        if (room % 64 == 0)
            while (room <= length && !f->full[room / 64]) room += 64;
        if (room > length) break;
        int64_t b = f->first[room];
        if (b < 0) continue;
        f->first[room] = f->next[b];
        f->full[room / 64]--;
        return b;
    }
    return -1;
}

/* Best fit, the longest first, as few bins of `length` as that makes. */
static sc_status fill_bins(const sft *x, part *p, shelf *f)
{
    int64_t *start;
    qsort_r(p->place, (size_t)p->n, sizeof *p->place, longest_first, x->seq);
    for (int64_t r = 0; r <= x->length; r++) f->first[r] = -1;
    for (int64_t i = 0; i < p->n; i++) {
        int64_t n = x->seq[p->place[i]].n, b = best_bin(f, n, x->length);
        if (b < 0) {
            b = p->bins++;
            p->bin[b] = (bin){0};
        }
        p->bin[b].n++;
        p->bin[b].tokens += n;
        f->of[i] = b;
        put_bin(f, x->length - p->bin[b].tokens, b);
    }
    int64_t *sorted = sc_calloc((size_t)p->n + 1, sizeof *sorted);
    start = sc_calloc((size_t)p->bins + 1, sizeof *start);
    for (int64_t b = 0, at = 0; sorted && start && b < p->bins; at += p->bin[b++].n) p->bin[b].at = start[b] = at;
    for (int64_t i = 0; sorted && start && i < p->n; i++) sorted[start[f->of[i]]++] = p->place[i];
    if (sorted && start) memcpy(p->place, sorted, (size_t)p->n * sizeof *sorted);
    bool ok = sorted && start;
    sc_free(sorted);
    sc_free(start);
    return ok ? SC_OK : sc_nomem();
}

static sc_status make_bins(const sft *x, part *p)
{
    if (!(p->bin = sc_calloc((size_t)p->n + 1, sizeof *p->bin))) return sc_nomem();
    if (!x->pack) {
        for (int64_t i = 0; i < p->n; i++) p->bin[i] = (bin){i, 1, x->seq[p->place[i]].n};
        p->bins = p->n;
        return SC_OK;
    }
    shelf f = {.first = sc_calloc((size_t)x->length + 1, sizeof *f.first),
               .full = sc_calloc((size_t)x->length / 64 + 2, sizeof *f.full),
               .next = sc_calloc((size_t)p->n + 1, sizeof *f.next),
               .of = sc_calloc((size_t)p->n + 1, sizeof *f.of)};
    sc_status s = f.first && f.full && f.next && f.of ? fill_bins(x, p, &f) : sc_nomem();
    sc_free(f.first);
    sc_free(f.full);
    sc_free(f.next);
    sc_free(f.of);
    return s;
}

/* Which of n records are measured and not learned from: round(share n), at least one, by the seed. */
static sc_status choose(bool **out, int64_t n, double share, uint64_t seed)
{
    int64_t wanted = SC_MAX((int64_t)(share * (double)n + 0.5), 1);
    if (wanted >= n)
        return sc_fail(SC_EINVAL, "--eval-share leaves nothing to learn from of %lld records", (long long)n);
    bool *eval = sc_calloc((size_t)n, sizeof *eval);
    if (!eval) return sc_nomem();
    sc_rng r = sc_rng_make(seed, sc_hash("evaluation", 10));
    for (int64_t i = 0; wanted && i < n; i++) { /* each of those left with the same chance */
        eval[i] = sc_rng_uniform(&r) * (double)(n - i) < (double)wanted;
        wanted -= eval[i];
    }
    *out = eval;
    return SC_OK;
}

/* Sequences from `from` on are the evaluation's; before it those of the records that are chosen. */
static sc_status divide(sft *x, int64_t from)
{
    const sc_train_options *o = x->setup->o;
    bool *eval = NULL;
    sc_status s = SC_OK;
    if (o->eval_share > 0) s = choose(&eval, from ? x->seq[from - 1].record + 1 : 0, o->eval_share, o->seed);
    for (int k = 0; !s && k < 2; k++)
        if (!(x->data[k].place = sc_calloc((size_t)x->n + 1, sizeof *x->data[k].place))) s = sc_nomem();
    for (int64_t i = 0; !s && i < x->n; i++) {
        part *p = &x->data[i >= from || (eval && eval[x->seq[i].record])];
        p->place[p->n++] = i;
    }
    sc_free(eval);
    if (!s && !x->data[0].n) s = sc_fail(SC_EINVAL, "nothing is left to learn from");
    for (int k = 0; !s && k < 2; k++) s = make_bins(x, &x->data[k]);
    if (!s && x->pack)
        sc_log(x->setup->ctx, SC_LOG_INFO, "%lld sequences packed into %lld of %lld tokens",
               (long long)x->data[0].n, (long long)x->data[0].bins, (long long)x->length);
    return s;
}

/* Without packing, sequences of like lengths come together. */
static sc_status make_order(sft *x)
{
    const part *p = &x->data[0];
    sc_status s = sc_order_new(&x->order, p->bins, x->setup->o);
    if (s || x->pack) return s;
    if (!(x->sizes = sc_calloc((size_t)p->bins + 1, sizeof *x->sizes))) return sc_nomem();
    for (int64_t i = 0; i < p->bins; i++) x->sizes[i] = p->bin[i].tokens;
    x->order.length = x->sizes;
    x->order.batch = x->rows * x->setup->parts;
    return SC_OK;
}

/* ---- opening ---- */

static sc_status word(const char *what, const char *name, const char *const *known, int n, int *out)
{
    for (*out = 0; name && *out < n; ++*out)
        if (strcmp(name, known[*out]) == 0) return SC_OK;
    *out = 0;
    return name ? sc_fail(SC_EINVAL, "%s is '%s', which is none of those known", what, name) : SC_OK;
}

static sc_status settle(sft *x, sc_train_options *o)
{
    static const char *const parts[] = {"answers", "last", "all"}, *const rules[] = {"end", "start", "drop"};
    int learned, rule;
    sc_status s = word("--learn", o->learn, parts, SC_COUNT(parts), &learned);
    if (!s) s = word("--overlong", o->overlong, rules, SC_COUNT(rules), &rule);
    if (s) return s;
    if (!(o->eval_share >= 0 && o->eval_share < 1))
        return sc_fail(SC_EINVAL, "--eval-share is %g, which is no share", o->eval_share);
    if (o->eval_share > 0 && o->n_eval_data)
        return sc_fail(SC_EINVAL, "--eval-share is of --data, with --eval-data there is no need of it");
    o->learn = parts[learned];
    o->overlong = rules[rule];
    x->learned = (learn_kind)learned;
    x->overlong = (overlong_kind)rule;
    x->chat = o->chat;
    x->pack = o->pack;
    x->rows = o->batch;
    x->vocab = x->setup->model->info.vocab;
    return sc_objective_length(x->setup, &x->length);
}

static sc_status sft_open(void **self, const sc_objective_setup *setup)
{
    sft *x = sc_calloc(1, sizeof *x);
    if (!x) return sc_nomem();
    sc_train_options *o = setup->o;
    x->setup = setup;
    sc_status s = settle(x, o);
    if (!s) s = sc_chat_template_open(&x->template, &x->source, o->chat_template, o->tokenizer);
    if (!s) s = sc_chat_format_new(&x->format, setup->tokenizer, x->template);
    if (!s) s = read_files(x, o->data, o->n_data);
    int64_t learned = x->n;
    if (!s) s = read_files(x, o->eval_data, o->n_eval_data);
    if (!s) s = divide(x, learned);
    if (!s) s = make_order(x);
    x->setup = NULL;
    sc_chat_format_free(&x->format);
    if (s)
        sft_free(x);
    else
        *self = x;
    return s;
}

static void sft_size(const void *self, sc_objective_size *out)
{
    const sft *x = self;
    *out = (sc_objective_size){.examples = x->data[0].bins,
                               .tokens = x->tokens,
                               .eval_batches = (x->data[1].bins + x->rows - 1) / x->rows};
}

/* ---- batches ---- */

/* A sequence, and a row for each id that counts: at the token before it. */
static void put(sft *x, const sequence *q)
{
    sc_maker *m = &x->maker;
    int64_t at = m->text.tokens;
    sc_maker_text(m, &m->text, x->ids + q->at, NULL, q->n, false);
    for (int64_t i = 1; i < q->n; i++)
        if (x->weight[q->at + i] > 0) sc_maker_row(m, at + i - 1, x->ids[q->at + i], x->weight[q->at + i]);
}

static const bin *bin_at(sft *x, bool eval, int64_t at)
{
    return &x->data[eval].bin[eval ? at : sc_order_at(&x->order, at)];
}

/* Packed batches all have as many tokens, and numbers of sequences are round, so that one plan does for many. */
static void fill_up(sft *x, int64_t tokens)
{
    sc_maker *m = &x->maker;
    int64_t words = m->words;
    if (m->text.tokens < tokens) sc_maker_text(m, &m->text, NULL, NULL, tokens - m->text.tokens, false);
    while (!m->failed && m->text.sequences % 16) sc_maker_text(m, &m->text, NULL, NULL, 0, false);
    m->words = words;
}

static sc_status batch(sft *x, bool eval, int64_t index, sc_text_batch *out)
{
    sc_maker *m = &x->maker;
    const part *p = &x->data[eval];
    int64_t from = index * x->rows, to = eval ? SC_MIN(from + x->rows, p->bins) : from + x->rows;
    double sum = 0;
    sc_maker_begin(m);
    for (int64_t at = from; at < to; at++) {
        const bin *b = bin_at(x, eval, at);
        for (int64_t k = 0; k < b->n; k++) put(x, &x->seq[p->place[b->at + k]]);
        m->examples++;
    }
    if (x->pack) fill_up(x, (to - from) * x->length);
    sc_status s = sc_maker_finish(m, SC_ROWS_WANTED, out);
    if (s) return s;
    for (int64_t i = 0; i < m->rows; i++) sum += m->label[i] >= 0 ? m->target[i] : 0;
    for (int64_t i = 0; i < m->rows; i++) m->weight[i] = m->label[i] >= 0 ? (float)(m->target[i] / sum) : 0;
    out->target = NULL;
    return SC_OK;
}

static sc_status sft_batch(void *self, int64_t index, sc_text_batch *out) { return batch(self, false, index, out); }
static sc_status sft_eval_batch(void *self, int64_t index, sc_text_batch *out)
{
    return batch(self, true, index, out);
}

static void sft_describe(void *self, int64_t index, sc_str *out)
{
    sft *x = self;
    for (int64_t r = 0; r < x->rows; r++) {
        const bin *b = bin_at(x, false, index * x->rows + r);
        for (int64_t k = 0; k < b->n; k++) {
            const sequence *q = &x->seq[x->data[0].place[b->at + k]];
            sc_str_printf(out, "%s%s line %lld", r || k ? "; " : "", sc_path_base(q->path), (long long)q->line);
        }
    }
}

static sc_status sft_build(const void *self, sc_loss_graph *out, const sc_model *m, const sc_text_batch *b)
{
    (void)self;
    sc_status s = sc_text_graph_new(&out->t, m, b->tokens, b->sequences, b->rows, NULL, NULL);
    if (!s) sc_loss_cross_entropy(out, out->t.logits, b->rows, 0);
    return s;
}

/* The template, where it is not the model's own. */
static sc_status sft_finish(const void *self, const char *dir)
{
    const sft *x = self;
    return x->source ? sc_chat_template_write(x->source, dir) : SC_OK;
}

const sc_objective sc_objective_sft = {.name = "sft",
                                       .summary = "the answers of conversations",
                                       .kinds = SC_LEARNS_DECODER,
                                       .measure = "token_accuracy",
                                       .rate = 0.02,
                                       .open = sft_open,
                                       .free = sft_free,
                                       .size = sft_size,
                                       .batch = sft_batch,
                                       .eval_batch = sft_eval_batch,
                                       .describe = sft_describe,
                                       .build = sft_build,
                                       .finish = sft_finish};
