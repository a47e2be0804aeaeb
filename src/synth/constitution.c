/* SPDX-License-Identifier: Apache-2.0 */
/* Constitutional AI (Bai et al. 2022, "Constitutional AI: Harmlessness from AI feedback"): a model criticises its own answers
 * by principles and revises them, which is data to learn from; or says which of two answers a principle prefers. */
#include "synth/synth.h"

#include <math.h>

typedef struct item {
    const char *prompt;
    const char *first, *answer; /* as it was given, and as it was revised so far */
    json_t *steps;              /* critiques and revisions */
    const char *failed;         /* why it goes no further; NULL */
} item;

typedef struct bench {
    sc_synth w;
    sc_synth_constitution o;
    sc_principles principles;
    item *item;
    int64_t n, cap;
} bench;

static sc_status take_prompt(void *user, json_t *o, int64_t line)
{
    bench *b = user;
    const char *text = sc_synth_text_of(o, "prompt");
    if (!text) text = sc_synth_text_of(o, "instruction");
    if (!text) return sc_fail(SC_EFORMAT, "line %lld has no prompt", (long long)line);
    if (!sc_grow(&b->item, &b->cap, b->n + 1, sizeof *b->item)) return sc_nomem();
    b->item[b->n] = (item){.prompt = sc_arena_strndup(b->w.arena, text, strlen(text))};
    return b->item[b->n++].prompt ? SC_OK : sc_nomem();
}

/* The principle of one drawing. */
static const sc_principle *draw(const bench *b, const char *stage, int64_t at, int64_t turn)
{
    sc_rng r =
        sc_rng_make(b->w.o.seed, sc_hash(stage, (int64_t)strlen(stage)) + (uint64_t)at * 64 + (uint64_t)turn);
    return &b->principles.list[(int)(sc_rng_uniform(&r) * b->principles.n)];
}

/* ---- critique and revision ---- */

static sc_status give_up(item *x, const char *why)
{
    x->failed = why;
    return SC_OK;
}

static sc_status take_first(bench *b, int64_t at, const sc_reply *a)
{
    item *x = &b->item[at];
    x->first = x->answer = a->text;
    if (!(x->steps = json_array())) return sc_nomem();
    if (!a->whole) sc_synth_count(&b->w, "first_answers_cut", 1); /* it is only there to be revised */
    return *a->text ? SC_OK : give_up(x, "empty_answer");
}

/* What a model is told of the talk so far; more: what it wrote of it. */
static const char *critique_text(bench *b, const item *x, const sc_principle *p)
{
    return sc_arena_printf(
        b->w.arena,
        "Below is what a person asked an assistant, and the assistant's answer.\n\nPerson: %s\n\nAssistant: "
        "%s\n\nCritique request: %s Be short and name what is wrong; if nothing is, say so.\n\nCritique:",
        x->prompt, x->answer, p->critique);
}

static const char *revision_text(bench *b, const item *x, const sc_principle *p, const char *critique)
{
    return sc_arena_printf(
        b->w.arena,
        "Below is what a person asked an assistant, the assistant's answer, and a critique of it.\n\nPerson: "
        "%s\n\nAssistant: %s\n\nCritique: %s\n\nRevision request: %s Write the new answer to the person and "
        "nothing else.\n\nRevision:",
        x->prompt, x->answer, critique, p->revision);
}

static sc_status take_revision(bench *b, item *x, const sc_principle *p, const sc_reply *critique,
                               const sc_reply *a)
{
    json_t *step =
        json_pack("{s:s, s:s, s:s}", "principle", p->name, "critique", critique->text, "revision", a->text);
    if (!step || json_array_append_new(x->steps, step) != 0) return sc_nomem();
    if (!*critique->text) return give_up(x, "empty_critique");
    if (!*a->text) return give_up(x, "empty_revision");
    if (!a->whole) return give_up(x, "cut_revision");
    if (strcmp(a->text, critique->text) == 0 || strstr(a->text, "Critique:") ||
        strstr(a->text, "Revision request:"))
        return give_up(x, "revision_is_none");
    if (sc_synth_repeats(a->text)) return give_up(x, "revision_repeats");
    if (strcmp(a->text, x->answer) == 0) sc_synth_count(&b->w, "revisions_without_change", 1);
    x->answer = a->text;
    return SC_OK;
}

/* One critique and revision of all items of a round that go on. */
static sc_status revise(bench *b, int64_t from, int64_t to, int64_t turn)
{
    int64_t n = 0, most = to - from, *at = sc_calloc((size_t)most, sizeof *at);
    sc_question *q = sc_calloc((size_t)most, sizeof *q);
    sc_reply *critique = sc_calloc((size_t)most, sizeof *critique), *a = sc_calloc((size_t)most, sizeof *a);
    sc_status s = at && q && critique && a ? SC_OK : sc_nomem();
    for (int64_t i = from; !s && i < to; i++)
        if (!b->item[i].failed) at[n++] = i;
    for (int half = 0; !s && half < 2; half++) {
        for (int64_t i = 0; !s && i < n; i++) {
            item *x = &b->item[at[i]];
            const sc_principle *p = draw(b, "principle", at[i], turn);
            const char *text = half ? revision_text(b, x, p, critique[i].text) : critique_text(b, x, p);
            q[i] = (sc_question){.stage = half ? "revision" : "critique",
                                 .index = at[i] * 64 + turn,
                                 .text = text,
                                 .stop = b->w.model.chats ? NULL : "\n\nPerson:",
                                 .most = half ? 0 : SC_MIN(b->w.o.max_new_tokens, 256)};
            if (!text) s = sc_nomem();
        }
        if (!s) s = sc_synth_ask(&b->w, &b->w.model, q, n, half ? a : critique);
    }
    for (int64_t i = 0; !s && i < n; i++)
        s = take_revision(b, &b->item[at[i]], draw(b, "principle", at[i], turn), &critique[i], &a[i]);
    sc_free(at);
    sc_free(q);
    sc_free(critique);
    sc_free(a);
    return s;
}

static json_t *messages_of(const char *prompt, const char *answer)
{
    return json_pack("[{s:s, s:s}, {s:s, s:s}]", "role", "user", "content", prompt, "role", "assistant", "content",
                     answer);
}

static sc_status give_revised(bench *b, int64_t at)
{
    item *x = &b->item[at];
    json_t *from = sc_synth_provenance(&b->w, &b->w.model, "constitution", at);
    if (!from || json_object_set_new(from, "first", json_string(x->first)) != 0 ||
        json_object_set_new(from, "steps", x->steps) != 0)
        return sc_nomem();
    x->steps = NULL;
    if (x->failed)
        return sc_synth_reject(&b->w, json_pack("{s:s, s:o}", "prompt", x->prompt, "provenance", from), x->failed);
    json_t *line = json_pack("{s:s, s:o, s:o}", "prompt", x->prompt, "messages", messages_of(x->prompt, x->answer),
                             "provenance", from);
    const char *whole = sc_arena_printf(b->w.arena, "%s\n%s", x->prompt, x->answer);
    return whole ? sc_synth_keep(&b->w, line, whole) : sc_nomem();
}

static sc_status revise_round(bench *b, int64_t from, int64_t to)
{
    int64_t n = to - from;
    sc_question *q = sc_calloc((size_t)n, sizeof *q);
    sc_reply *a = sc_calloc((size_t)n, sizeof *a);
    sc_status s = q && a ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < n; i++)
        q[i] = (sc_question){.stage = "answer", .index = from + i, .text = b->item[from + i].prompt, .talk = true};
    if (!s) s = sc_synth_ask(&b->w, &b->w.model, q, n, a);
    for (int64_t i = 0; !s && i < n; i++) s = take_first(b, from + i, &a[i]);
    for (int64_t turn = 0; !s && turn < b->o.revisions; turn++) s = revise(b, from, to, turn);
    for (int64_t i = from; !s && i < to; i++) s = give_revised(b, i);
    sc_free(q);
    sc_free(a);
    return s;
}

/* ---- preferences ---- */

static const char *choice_text(bench *b, const char *prompt, const sc_principle *p, const char *one,
                               const char *two)
{
    return sc_arena_printf(
        b->w.arena,
        "Below is what a person asked an assistant, and two answers.\n\nPerson: %s\n\nAnswer 1: %s\n\nAnswer "
        "2: %s\n\n%s",
        prompt, one, two, p->preference);
}

/* Both orders of the answers, since models like one place better than the other. */
static sc_status make_choices(bench *b, int64_t at, const sc_reply *a, sc_choice *c)
{
    for (int64_t k = 0; k < b->o.judged; k++)
        for (int order = 0; order < 2; order++) {
            const sc_principle *p = draw(b, "preference", at, k);
            sc_choice *x = &c[2 * k + order];
            *x = (sc_choice){.stage = "preference",
                             .index = (at * 64 + k) * 2 + order,
                             .text = choice_text(b, b->item[at].prompt, p, a[order].text, a[!order].text),
                             .begin = "The better one is answer",
                             .option = {"1", "2"},
                             .n = 2};
            if (!x->text) return sc_nomem();
        }
    return SC_OK;
}

static sc_status give_pair(bench *b, int64_t at, const sc_reply *a, double (*share)[SC_CHOICES])
{
    const char *prompt = b->item[at].prompt;
    double sum = 0;
    int64_t told = 0, agree = 0;
    json_t *names = json_array(), *from = sc_synth_provenance(&b->w, &b->w.model, "preference", at);
    for (int64_t k = 0; k < b->o.judged; k++) {
        json_array_append_new(names, json_string(draw(b, "preference", at, k)->name));
        if (isnan(share[2 * k][0]) || isnan(share[2 * k + 1][0])) continue;
        sum += (share[2 * k][0] + 1 - share[2 * k + 1][0]) / 2;
        agree += (share[2 * k][0] > 0.5) == (share[2 * k + 1][0] < 0.5);
        told++;
    }
    double first = told ? sum / (double)told : NAN, better = fmax(first, 1 - first);
    if (!names || !from || json_object_set_new(from, "principles", names) != 0) return sc_nomem();
    if (told) json_object_set_new(from, "preference", json_real(better));
    sc_synth_count(&b->w, "orders_compared", told);
    sc_synth_count(&b->w, "orders_that_agree", agree);
    const sc_reply *chosen = &a[first < 0.5], *rejected = &a[!(first < 0.5)];
    const char *why = !*a[0].text || !*a[1].text          ? "empty_answer"
                      : !a[0].whole || !a[1].whole        ? "cut_answer"
                      : strcmp(a[0].text, a[1].text) == 0 ? "equal_answers"
                      : !told                             ? "not_told"
                      : better - 0.5 < b->o.margin        ? "undecided"
                                                          : NULL;
    json_t *line = json_pack("{s:s, s:s, s:s, s:o}", "prompt", prompt, "chosen", chosen->text, "rejected",
                             rejected->text, "provenance", from);
    if (why) return sc_synth_reject(&b->w, line, why);
    const char *whole = sc_arena_printf(b->w.arena, "%s\n%s\n%s", prompt, chosen->text, rejected->text);
    return whole ? sc_synth_keep(&b->w, line, whole) : sc_nomem();
}

static sc_status prefer_round(bench *b, int64_t from, int64_t to)
{
    int64_t n = to - from, each = 2 * b->o.judged;
    sc_question *q = sc_calloc((size_t)n, sizeof *q);
    sc_reply *a = sc_calloc((size_t)n * 2, sizeof *a);
    sc_choice *c = sc_calloc((size_t)(n * each), sizeof *c);
    double(*share)[SC_CHOICES] = sc_calloc((size_t)(n * each), sizeof *share);
    sc_status s = q && a && c && share ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < n; i++)
        q[i] = (sc_question){
            .stage = "pair", .index = from + i, .text = b->item[from + i].prompt, .talk = true, .samples = 2};
    if (!s) s = sc_synth_ask(&b->w, &b->w.model, q, n, a);
    for (int64_t i = 0; !s && i < n; i++) s = make_choices(b, from + i, &a[2 * i], &c[i * each]);
    if (!s) s = sc_synth_choose(&b->w, &b->w.model, c, n * each, share);
    for (int64_t i = 0; !s && i < n; i++) s = give_pair(b, from + i, &a[2 * i], &share[i * each]);
    sc_free(q);
    sc_free(a);
    sc_free(c);
    sc_free(share);
    return s;
}

static sc_status check(bench *b)
{
    sc_synth_constitution *o = &b->o;
    if (!o->revisions) o->revisions = 1;
    if (!o->judged) o->judged = 1;
    if (o->margin == 0) o->margin = 0.05;
    if (o->revisions < 1 || o->revisions > 16 || o->judged < 1 || o->judged > 16 || !(o->margin <= 0.5))
        return sc_fail(SC_EINVAL, "%lld revisions, %lld principles of a preference or a margin of %g: out of range",
                       (long long)o->revisions, (long long)o->judged, o->margin);
    return o->prompts ? SC_OK : sc_fail(SC_EINVAL, "principles need prompts to be tried on");
}

sc_status sc_synth_constitutional(sc_context *ctx, sc_asker *model, const sc_synth_options *o,
                                  const sc_synth_constitution *x, sc_synth_result *result)
{
    bench b = {.o = *x};
    sc_status s = sc_synth_open(&b.w, ctx, model, o, x->preferences ? "ai-preferences" : "constitution");
    if (!s) s = check(&b);
    if (!s) s = sc_principles_read(&b.principles, b.w.arena, x->constitution);
    if (!s) s = sc_synth_read(x->prompts, x->limit, take_prompt, &b);
    if (!s && !b.n) s = sc_fail(SC_EINVAL, "%s has no prompts", x->prompts);
    for (int64_t at = 0; !s && at < b.n; at += b.w.o.round) {
        int64_t to = SC_MIN(at + b.w.o.round, b.n);
        s = b.o.preferences ? prefer_round(&b, at, to) : revise_round(&b, at, to);
        sc_progress(ctx, b.o.preferences ? "comparing answers" : "revising answers", to, b.n);
    }
    if (!s) sc_synth_count(&b.w, "prompts", b.n);
    for (int64_t i = 0; i < b.n; i++) json_decref(b.item[i].steps);
    s = sc_synth_finish(&b.w, s, result);
    sc_free(b.item);
    return s;
}
