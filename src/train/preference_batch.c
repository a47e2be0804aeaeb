/* SPDX-License-Identifier: Apache-2.0 */
/* Batches of preferences, and what a reference says of their answers: asked once for each, and kept. */
#include "train/preferences.h"
#include "train/chat.h"

#include <math.h>

/* ---- what a reference says ---- */

static bool is_known(const sc_preference_set *x, bool eval, int64_t i)
{
    return !x->known[eval] || !isnan(x->known[eval][2 * i]);
}

sc_status sc_preference_set_ask(sc_preference_set *x, sc_reference *r, const sc_text_batch *b, float *out)
{
    if (!sc_grow(&x->scores, &x->cap_scores, b->rows, sizeof *x->scores)) return sc_nomem();
    sc_status s = sc_reference_log_probs(r, b, x->scores);
    if (s) return s;
    for (int64_t q = 0, i = 0; q < x->sequences; q++) {
        double sum = 0;
        for (; i < x->own_rows && x->row_of[i] <= q; i++) sum += x->row_of[i] == q ? x->scores[i] : 0;
        out[q] = (float)sum;
    }
    return SC_OK;
}

static bool knows_all(const sc_preference_set *x)
{
    bool all = true;
    for (int64_t i = 0; i < x->count; i++) all = all && is_known(x, x->eval, x->chosen[i]);
    return all;
}

/* The answers of a batch that nobody was asked about yet. */
static sc_status ask_new(sc_preference_set *x, const sc_text_batch *b)
{
    float *known = x->known[x->eval];
    sc_status s = sc_preference_set_ask(x, x->reference, b, x->said);
    for (int64_t i = 0; !s && i < x->sequences; i++) {
        float *to = known + 2 * x->chosen[i % x->count] + (i >= x->count);
        *to = x->said[i];
        if (!isfinite(*to)) {
            const sc_preference *p = &x->data[x->eval].item[x->chosen[i % x->count]];
            s = sc_fail(SC_EINVAL, "%s: line %lld: the reference gives an answer the log-probability %g", p->path,
                        (long long)p->line, *to);
        }
    }
    return s;
}

/* ---- batches ---- */

void sc_preference_set_begin(sc_preference_set *x, bool eval, int64_t index)
{
    int64_t from = index * x->rows, to = from + x->rows;
    if (eval) to = SC_MIN(to, x->data[1].count);
    sc_maker_begin(&x->maker);
    x->eval = eval;
    x->count = x->sequences = 0;
    for (int64_t at = from; at < to; at++) x->chosen[x->count++] = eval ? at : sc_order_at(&x->order, at);
}

static void add_row(sc_preference_set *x, int64_t token, int32_t label, int64_t sequence)
{
    sc_maker *m = &x->maker;
    if (!sc_grow(&x->row_of, &x->cap_row_of, m->rows + 1, sizeof *x->row_of)) {
        m->failed = true;
        return;
    }
    x->row_of[m->rows] = sequence;
    sc_maker_row(m, token, label, 0);
}

static void put_text(sc_preference_set *x, const sc_preferences *p, const sc_preference *prompt,
                     const int32_t *answer, int64_t n, bool prompt_too)
{
    sc_maker *m = &x->maker;
    const int32_t *ids = p->ids + prompt->at;
    int64_t at = m->text.tokens, before = prompt->prompt;
    sc_maker_text(m, &m->text, ids, NULL, before, false);
    sc_maker_text(m, &m->text, answer, NULL, n, true);
    for (int64_t i = 1; prompt_too && i < before; i++) add_row(x, at + i - 1, ids[i], -1);
    for (int64_t i = 0; i < n; i++) add_row(x, at + before + i - 1, answer[i], x->sequences);
    x->sequences++;
}

/* As in a circle: the same answers as those that belong there. */
void sc_preference_set_strangers(sc_preference_set *x)
{
    const sc_preferences *p = &x->data[x->eval];
    for (int64_t i = 0; i < x->count; i++) {
        const sc_preference *from = &p->item[x->chosen[(i ? i : x->count) - 1]];
        sc_preference to = p->item[x->chosen[i]];
        int64_t keep = SC_MIN(to.prompt, x->most - from->n[0]); /* its end, as where an example is too long */
        to.at += to.prompt - keep;
        to.prompt = keep;
        put_text(x, p, &to, sc_preference_answer(p, from, 0), from->n[0], false);
    }
}

void sc_preference_set_answers(sc_preference_set *x, int k)
{
    const sc_preferences *p = &x->data[x->eval];
    for (int64_t i = 0; i < x->count; i++) {
        const sc_preference *e = &p->item[x->chosen[i]];
        put_text(x, p, e, sc_preference_answer(p, e, k), e->n[k], x->prompts && !k);
    }
    x->maker.examples = x->count;
}

/* The answers of the batch's examples, the better ones first. */
static void put_pairs(sc_preference_set *x)
{
    sc_preference_set_answers(x, 0);
    if (x->data[x->eval].kind == SC_ANSWERS_PAIRS) sc_preference_set_answers(x, 1);
}

/* Which rows are whose. */
static sc_status make_member(sc_preference_set *x, int64_t rows)
{
    int64_t n;
    if (!sc_mul_ok(x->sequences, rows, &n) || !sc_grow(&x->member, &x->cap_member, n, sizeof *x->member) ||
        !sc_grow(&x->minus, &x->cap_minus, rows, sizeof *x->minus))
        return sc_nomem();
    memset(x->member, 0, sizeof *x->member * (size_t)n);
    for (int64_t i = 0; i < rows; i++) x->minus[i] = -1;
    for (int64_t i = 0; i < x->own_rows; i++)
        if (x->row_of[i] >= 0) x->member[x->row_of[i] * rows + i] = 1;
    for (int64_t q = 0; x->means && q < x->sequences; q++) {
        float *row = x->member + q * rows, count = 0;
        for (int64_t i = 0; i < rows; i++) count += row[i];
        for (int64_t i = 0; i < rows; i++) row[i] /= count;
    }
    return SC_OK;
}

/* What the reference gave the answers, as their log-probabilities are counted. */
static void fill_said(sc_preference_set *x)
{
    const sc_preferences *p = &x->data[x->eval];
    for (int64_t i = 0; i < x->sequences; i++) {
        int64_t e = x->chosen[i % x->count];
        int k = i >= x->count;
        x->said[i] = x->known[x->eval][2 * e + k] / (x->means ? (float)p->item[e].n[k] : 1);
    }
}

sc_status sc_preference_set_close(sc_preference_set *x, sc_text_batch *out)
{
    x->own_rows = x->maker.rows;
    return sc_maker_finish(&x->maker, SC_ROWS_WANTED, out);
}

sc_status sc_preference_set_finish(sc_preference_set *x, sc_text_batch *out)
{
    sc_status s = sc_preference_set_close(x, out);
    if (!s) s = make_member(x, out->rows);
    if (!s && x->known[x->eval] && !knows_all(x)) s = ask_new(x, out);
    if (s) return s;
    for (int64_t i = 0; i < x->count; i++) x->weight[i] = 1 / (float)x->count;
    out->more[SC_PREFER_MEMBER] = (sc_more_input){x->member, x->sequences * out->rows, false};
    out->more[SC_PREFER_MINUS] = (sc_more_input){x->minus, out->rows, false};
    out->more[SC_PREFER_WEIGHT] = (sc_more_input){x->weight, x->count, true};
    if (x->known[x->eval]) {
        fill_said(x);
        out->more[SC_PREFER_REFERENCE] = (sc_more_input){x->said, x->sequences, false};
    }
    out->counted = x->count;
    return SC_OK;
}

sc_status sc_preference_set_batch(sc_preference_set *x, bool eval, int64_t index, sc_text_batch *out)
{
    sc_preference_set_begin(x, eval, index);
    put_pairs(x);
    return sc_preference_set_finish(x, out);
}

sc_status sc_preference_nll_weights(const sc_preference_set *x, sc_text_batch *b, float **room, int64_t *cap,
                                    int which)
{
    int64_t better = 0;
    if (!sc_grow(room, cap, b->rows, sizeof **room)) return sc_nomem();
    /* Rows of prompts are of no answer, and only the better ones have some, which come first. */
    while (better < x->own_rows && x->row_of[better] < x->count) better++;
    for (int64_t i = 0; i < b->rows; i++) (*room)[i] = i < better ? 1 / (float)better : 0;
    b->more[which] = (sc_more_input){*room, b->rows, true};
    return SC_OK;
}

/* ---- all of it beforehand, as a file of the run ---- */

#define KEPT "reference.safetensors"

/* By what data it is and whose answer. */
static void fingerprint(const sc_preference_set *x, const char *reference, char text[40])
{
    uint64_t h = sc_hash(reference, (int64_t)strlen(reference));
    for (int k = 0; k < 2; k++) {
        const sc_preferences *p = &x->data[k];
        h = h * 31 + sc_hash(p->ids, p->n_ids * (int64_t)sizeof *p->ids);
        for (int64_t i = 0; i < p->count; i++)
            h = h * 31 + (uint64_t)(p->item[i].at * 3 + p->item[i].prompt + 7 * p->item[i].n[0]);
    }
    snprintf(text, 40, "%016llx", (unsigned long long)h);
}

static sc_status take_kept(sc_preference_set *x, const char *path, const char *print, bool *found)
{
    static const char *const names[] = {"train", "eval"};
    sc_safetensors *st = NULL;
    *found = false;
    if (!sc_path_exists(path)) return SC_OK;
    sc_status s = sc_safetensors_open(&st, path);
    const char *have = s ? NULL : sc_safetensors_meta(st, "fingerprint");
    bool ok = have && strcmp(have, print) == 0;
    for (int k = 0; !s && ok && k < 2; k++) {
        const sc_file_tensor *t = sc_safetensors_any(st, names[k]);
        int64_t n = x->data[k].count;
        ok = !n || (t && t->dtype == SC_F32 && t->rank == 2 && t->dim[0] == n && t->dim[1] == 2);
        if (ok && n) memcpy(x->known[k], t->data, sizeof(float) * 2 * (size_t)n);
    }
    sc_safetensors_free(st);
    *found = !s && ok;
    return s;
}

static sc_status write_kept(const sc_preference_set *x, const char *path, const char *print)
{
    static const char *const names[] = {"train", "eval"};
    sc_safetensors_writer *w;
    sc_status s = sc_safetensors_writer_new(&w, path);
    if (s) return s;
    s = sc_safetensors_writer_meta(w, "fingerprint", print);
    for (int k = 0; !s && k < 2; k++)
        if (x->data[k].count)
            s = sc_safetensors_writer_add(w, names[k], SC_F32, 2, (int64_t[]){x->data[k].count, 2}, x->known[k]);
    if (!s) s = sc_safetensors_writer_finish(w);
    sc_safetensors_writer_free(w);
    return s;
}

static sc_status compute_all(sc_preference_set *x, const sc_objective_setup *s)
{
    sc_status e = SC_OK;
    int64_t total = x->data[0].count + x->data[1].count, done = 0;
    for (int k = 0; !e && k < 2; k++)
        for (int64_t i = 0; !e && i < x->data[k].count; i += x->count) {
            sc_text_batch b;
            if (sc_context_cancelled(s->ctx)) return SC_ECANCELLED;
            sc_progress(s->ctx, "reference", done, total);
            sc_maker_begin(&x->maker);
            x->eval = k;
            x->sequences = 0;
            x->count = SC_MIN(x->rows, x->data[k].count - i);
            for (int64_t r = 0; r < x->count; r++) x->chosen[r] = i + r;
            put_pairs(x);
            e = sc_preference_set_finish(x, &b);
            done += x->count;
        }
    if (!e) sc_progress(s->ctx, "reference", total, total);
    return e;
}

/* Where adapters are trained, the model without them is there already. */
static sc_status find_reference(sc_preference_set *x, const sc_objective_setup *s, const char *path)
{
    if (s->o->peft.method && !s->o->prefer.reference) return sc_reference_base(&x->reference, s->model);
    return sc_reference_open(&x->reference, s->ctx, path, s->model->info.vocab);
}

static sc_status know_all(sc_preference_set *x, const sc_objective_setup *s, const char *reference)
{
    char print[40], *path = sc_path_join(s->o->out, KEPT);
    bool found;
    fingerprint(x, reference, print);
    sc_status e = path ? take_kept(x, path, print, &found) : sc_nomem();
    if (!e && !found) {
        e = find_reference(x, s, reference);
        if (!e) e = compute_all(x, s);
        if (!e) e = sc_mkdirs(s->o->out);
        if (!e && sc_train_rank() == 0) e = write_kept(x, path, print);
        sc_reference_free(x->reference);
        x->reference = NULL;
    }
    sc_free(path);
    return e;
}

/* ---- opening ---- */

static sc_status open_reference(sc_preference_set *x, const sc_objective_setup *s)
{
    const sc_preference_options *o = &s->o->prefer;
    const char *path = o->reference ? o->reference : s->o->model;
    for (int k = 0; k < 2; k++) {
        int64_t n = 2 * x->data[k].count;
        if (!(x->known[k] = sc_malloc(sizeof(float) * (size_t)SC_MAX(n, 1)))) return sc_nomem();
        for (int64_t i = 0; i < n; i++) x->known[k][i] = NAN;
    }
    if (!o->reference && !s->o->from_weights)
        return sc_fail(SC_EINVAL, "a new model has no reference to stay near: name one (--reference)");
    if (o->precompute && x->data[0].kind == SC_ANSWERS_SINGLE)
        return sc_fail(SC_EINVAL, "single answers need the reference in each batch: nothing can be computed first");
    if (o->precompute) return know_all(x, s, path);
    return find_reference(x, s, path);
}

static sc_status order_by_length(sc_preference_set *x, const sc_objective_setup *s)
{
    const sc_preferences *p = &x->data[0];
    sc_status e = sc_order_new(&x->order, p->count, s->o);
    if (e) return e;
    if (!(x->length = sc_calloc((size_t)p->count, sizeof *x->length))) return sc_nomem();
    for (int64_t i = 0; i < p->count; i++)
        x->length[i] = p->item[i].prompt + SC_MAX(p->item[i].n[0], p->item[i].n[1]);
    x->order.length = x->length;
    x->order.batch = x->rows * s->parts;
    return SC_OK;
}

sc_status sc_preference_set_open(sc_preference_set *x, const sc_objective_setup *s, bool refers)
{
    const sc_train_options *o = s->o;
    sc_status e = sc_objective_length(s, &x->most);
    x->rows = o->batch;
    if (!e) e = sc_preferences_read(&x->data[0], s, o->data, o->n_data, x->most);
    if (!e) e = sc_preferences_read(&x->data[1], s, o->eval_data, o->n_eval_data, x->most);
    if (!e && o->eval_share > 0 && o->n_eval_data)
        e = sc_fail(SC_EINVAL, "--eval-share is of --data, with --eval-data there is no need of it");
    else if (!e && o->eval_share != 0)
        e = sc_preferences_divide(&x->data[0], &x->data[1], o->eval_share, o->seed);
    if (!e) e = order_by_length(x, s);
    size_t n = (size_t)x->rows;
    if (!e && (!(x->chosen = sc_calloc(n, sizeof *x->chosen)) || !(x->weight = sc_calloc(n, sizeof *x->weight)) ||
               !(x->said = sc_calloc(2 * n, sizeof *x->said))))
        e = sc_nomem();
    return e || !refers ? e : open_reference(x, s);
}

void sc_preference_set_free(sc_preference_set *x)
{
    for (int k = 0; k < 2; k++) {
        sc_preferences_free(&x->data[k]);
        sc_free(x->known[k]);
    }
    sc_order_free(&x->order);
    sc_maker_free(&x->maker);
    sc_reference_free(x->reference);
    sc_free(x->length);
    sc_free(x->chosen);
    sc_free(x->row_of);
    sc_free(x->member);
    sc_free(x->minus);
    sc_free(x->weight);
    sc_free(x->said);
    sc_free(x->scores);
}

sc_status sc_preference_set_publish(const void *self, const char *dir)
{
    const sc_preference_set *x = self;
    return x->data[0].source ? sc_chat_template_write(x->data[0].source, dir) : SC_OK;
}

void sc_preference_set_size(const void *self, sc_objective_size *out)
{
    const sc_preference_set *x = self;
    *out = (sc_objective_size){.examples = x->data[0].count,
                               .tokens = x->data[0].tokens,
                               .eval_batches = (x->data[1].count + x->rows - 1) / x->rows};
}

void sc_preference_set_describe(void *self, int64_t index, sc_str *out)
{
    sc_preference_set *x = self;
    for (int64_t i = 0; i < x->rows; i++) {
        const sc_preference *p = &x->data[0].item[sc_order_at(&x->order, index * x->rows + i)];
        sc_str_printf(out, "%s%s line %lld", i ? ", " : "", sc_path_base(p->path), (long long)p->line);
    }
}
