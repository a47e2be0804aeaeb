/* SPDX-License-Identifier: Apache-2.0 */
/* Preferences as they are published: a prompt with a chosen and a rejected answer, as texts or as messages; two whole conversations
 * that differ in their last answer (hh-rlhf); or a prompt, a completion and whether it was liked. */
#include "train/preferences.h"
#include "train/chat.h"

#include <math.h>

#define CHOSEN     "chosen"
#define REJECTED   "rejected"
#define COMPLETION "completion|response|answer"

void sc_preferences_free(sc_preferences *p)
{
    sc_free(p->ids);
    sc_free(p->item);
    sc_free(p->source);
    *p = (sc_preferences){0};
}

const int32_t *sc_preference_answer(const sc_preferences *p, const sc_preference *x, int k)
{
    return p->ids + x->at + x->prompt + (k ? x->n[0] : 0);
}

typedef struct reading {
    sc_preferences *p;
    const sc_objective_setup *setup;
    int64_t most;
    const int32_t *before; /* what the tokenizer puts before a text */
    int64_t n_before;
    /* Once a conversation came by: */
    sc_template *chat;
    char *source; /* of a template that is not the model's */
    sc_chat_format format;
} reading;

/* Ids of a whole text: prompt and answer. */
typedef struct whole {
    int32_t *ids;
    int64_t n;
} whole;

static sc_status fail_at(const sc_record *r, const char *what)
{
    return sc_fail(SC_EFORMAT, "%s: line %lld: %s", r->path, (long long)r->line, what);
}

/* ---- texts ---- */

static sc_status join(sc_str *s, whole *out, const reading *x)
{
    int32_t *ids = NULL, eos = sc_tokenizer_eos(x->setup->tokenizer);
    int64_t n = 0;
    if (s->oom) return sc_nomem();
    sc_status e =
        sc_tokenizer_encode(x->setup->tokenizer, s->p ? s->p : "", s->len, SC_TOKENIZE_PARSE_SPECIAL, &ids, &n);
    if (e) return e;
    int64_t lead =
        n >= x->n_before && memcmp(ids, x->before, sizeof *ids * (size_t)x->n_before) == 0 ? 0 : x->n_before;
    out->n = 0;
    if (!(out->ids = sc_malloc(sizeof *ids * (size_t)(lead + n + 2)))) e = sc_nomem();
    if (!e && lead + n == 0 && eos >= 0) out->ids[out->n++] = eos; /* something must stand before the answer */
    if (!e) {
        memcpy(out->ids + out->n, x->before, sizeof *ids * (size_t)lead);
        memcpy(out->ids + out->n + lead, ids, sizeof *ids * (size_t)n);
        out->n += lead + n;
    }
    sc_free(ids);
    return e;
}

/* A prompt's ids, or with `answer` those of both, with the end that a model should learn to write. */
static sc_status encode_text(const reading *x, sc_field prompt, const sc_field *answer, whole *out)
{
    sc_str s = {0};
    sc_str_append(&s, prompt.p, prompt.n);
    if (answer) sc_str_append(&s, answer->p, answer->n);
    sc_status e = join(&s, out, x);
    int32_t eos = sc_tokenizer_eos(x->setup->tokenizer);
    if (!e && answer && eos >= 0 && out->ids[out->n - 1] != eos) out->ids[out->n++] = eos;
    sc_str_free(&s);
    return e;
}

/* Where the answers of two whole conversations begin: behind the last turn's mark that both have, else where they part. */
static int64_t common_prompt(sc_field a, sc_field b)
{
    static const char mark[] = "\n\nAssistant:";
    int64_t n = 0, len = (int64_t)sizeof mark - 1;
    while (n < a.n && n < b.n && a.p[n] == b.p[n]) n++;
    for (int64_t i = n; i >= len; i--)
        if (memcmp(a.p + i - len, mark, (size_t)len) == 0) return i;
    while (n > 0 && n < a.n && ((unsigned char)a.p[n] & 0xc0) == 0x80) n--; /* between characters */
    return n > 0 && a.p[n - 1] == ' ' ? n - 1 : n;                          /* tokens begin with their space */
}

/* ---- conversations ---- */

static sc_status open_chat(reading *x, const char *path, int64_t line)
{
    const sc_train_options *o = x->setup->o;
    sc_status s = sc_chat_template_open(&x->chat, &x->source, o->chat_template, o->tokenizer);
    if (!s && !x->chat)
        return sc_fail(
            SC_EUNSUPPORTED,
            "%s: line %lld is a conversation, and the model has no chat template: --template chatml, plain "
            "or a file gives one",
            path, (long long)line);
    return s ? s : sc_chat_format_new(&x->format, x->setup->tokenizer, x->chat);
}

/* What the template makes of messages; ask: with what asks for an answer. */
static sc_status encode_chat(reading *x, json_t *messages, bool ask, whole *out)
{
    char *text = NULL;
    int64_t len;
    json_t *copy = json_deep_copy(messages),
           *v = json_pack("{s:o*, s:b}", "messages", copy, "add_generation_prompt", ask);
    sc_status s = v && copy ? sc_chat_guard(&x->format, v) : sc_nomem();
    if (!s) s = sc_chat_usual(&x->format, v);
    if (!s) s = sc_chat_render(&x->format, v, &text, &len, NULL, NULL);
    if (!s) s = sc_chat_encode(&x->format, text, len, &out->ids, NULL, &out->n);
    json_decref(v);
    sc_free(text);
    return s;
}

/* ---- items ---- */

/* Tokens that all begin with. */
static int64_t shared(const whole *w, int n)
{
    int64_t k = w[0].n;
    for (int i = 1; i < n; i++) {
        int64_t j = 0;
        while (j < k && j < w[i].n && w[0].ids[j] == w[i].ids[j]) j++;
        k = j;
    }
    return k;
}

/* The texts w[0] (the prompt) and w[1], w[2] (with answers) as an item. */
static sc_status add_item(const reading *x, const sc_record *r, const whole *w, int answers, float value)
{
    sc_preferences *p = x->p;
    int64_t vocab = x->setup->model->info.vocab, prompt = shared(w, answers + 1), longest = 0, total = 0;
    for (int k = 1; k <= answers; k++) {
        if (w[k].n == prompt) prompt--; /* an answer has a token at least */
        for (int64_t i = 0; i < w[k].n; i++)
            if (w[k].ids[i] >= vocab)
                return sc_fail(SC_ELIMIT, "%s: line %lld: the tokenizer gives id %d, the model has %lld tokens",
                               r->path, (long long)r->line, w[k].ids[i], (long long)vocab);
    }
    if (prompt < 1) return fail_at(r, "nothing stands before the answer, and the tokenizer has no token for that");
    for (int k = 1; k <= answers; k++) {
        longest = SC_MAX(longest, w[k].n - prompt);
        total += w[k].n - prompt;
    }
    if (longest >= x->most) {
        p->too_long++;
        return SC_OK;
    }
    int64_t keep = SC_MIN(prompt, x->most - longest);
    p->shortened += keep < prompt;
    if (!sc_grow(&p->ids, &p->cap_ids, p->n_ids + keep + total, sizeof *p->ids) ||
        !sc_grow(&p->item, &p->cap, p->count + 1, sizeof *p->item))
        return sc_nomem();
    sc_preference *item = &p->item[p->count++];
    *item = (sc_preference){.at = p->n_ids, .prompt = keep, .value = value, .path = r->path, .line = r->line};
    memcpy(p->ids + p->n_ids, w[1].ids + prompt - keep, sizeof *p->ids * (size_t)keep);
    p->n_ids += keep;
    for (int k = 0; k < answers; k++) {
        item->n[k] = w[k + 1].n - prompt;
        memcpy(p->ids + p->n_ids, w[k + 1].ids + prompt, sizeof *p->ids * (size_t)item->n[k]);
        p->n_ids += item->n[k];
        p->tokens += keep + item->n[k];
    }
    return SC_OK;
}

/* ---- records ---- */

/* What a record has: one of the two kinds of each. */
typedef struct parts {
    sc_field prompt, answer[2];
    json_t *prompt_messages, *answer_messages[2]; /* owned */
} parts;

static void free_parts(parts *t)
{
    json_decref(t->prompt_messages);
    for (int k = 0; k < 2; k++) json_decref(t->answer_messages[k]);
}

static sc_status encode_part(reading *x, const parts *t, int k, whole *out)
{
    if (!t->prompt_messages) return encode_text(x, t->prompt, k < 0 ? NULL : &t->answer[k], out);
    json_t *all = json_copy(t->prompt_messages);
    sc_status s = all && (k < 0 || json_array_extend(all, t->answer_messages[k]) == 0) ? SC_OK : sc_nomem();
    if (!s) s = encode_chat(x, all, k < 0, out);
    json_decref(all);
    return s;
}

static bool equal_sides(const parts *t)
{
    if (t->prompt_messages) return json_equal(t->answer_messages[0], t->answer_messages[1]);
    return t->answer[0].n == t->answer[1].n && memcmp(t->answer[0].p, t->answer[1].p, (size_t)t->answer[0].n) == 0;
}

static sc_status add_parts(reading *x, const sc_record *r, const parts *t, int answers, float value)
{
    whole w[3] = {{0}};
    sc_status s = SC_OK;
    if (answers == 2 && equal_sides(t)) {
        if (!x->p->equal++) {
            x->p->equal_path = r->path;
            x->p->equal_line = r->line;
        }
        return SC_OK;
    }
    if (t->prompt_messages && !x->chat) s = open_chat(x, r->path, r->line);
    for (int k = 0; !s && k <= answers; k++) {
        s = encode_part(x, t, k - 1, &w[k]);
        if (s) s = sc_fail_in(s, "%s: line %lld", r->path, (long long)r->line);
    }
    if (!s) s = add_item(x, r, w, answers, value);
    for (int k = 0; k < 3; k++) sc_free(w[k].ids);
    return s;
}

/* Messages that both conversations begin with become the prompt, unless there is one; what is left are the answers. */
static sc_status split_messages(const sc_record *r, const json_t *prompt, json_t *const *side, int answers,
                                parts *t)
{
    size_t n = json_is_array(prompt) ? 0 : json_array_size(side[0]);
    for (int k = 1; k < answers; k++) {
        size_t j = 0;
        while (j < n && json_equal(json_array_get(side[0], j), json_array_get(side[k], j))) j++;
        n = j;
    }
    /* Of one alone, or of equal ones, all but the last message. */
    for (int k = 0; k < answers; k++)
        if (!json_is_array(prompt) && n >= json_array_size(side[k])) n = json_array_size(side[k]) - 1;
    bool ok = (t->prompt_messages = json_is_array(prompt) ? json_copy((json_t *)(uintptr_t)prompt) : json_array());
    for (size_t i = 0; ok && i < n; i++)
        ok = json_array_append(t->prompt_messages, json_array_get(side[0], i)) == 0;
    /* A prompt as text before answers that are messages without it is what the user says. */
    if (ok && !n && json_is_string(prompt))
        ok = json_array_append_new(t->prompt_messages, json_pack("{s:s, s:O}", "role", "user", "content",
                                                                 (json_t *)(uintptr_t)prompt)) == 0;
    for (int k = 0; ok && k < answers; k++) {
        ok = (t->answer_messages[k] = json_array()) != NULL;
        for (size_t i = n; ok && i < json_array_size(side[k]); i++)
            ok = json_array_append(t->answer_messages[k], json_array_get(side[k], i)) == 0;
    }
    if (!ok) return sc_nomem();
    if (!json_array_size(t->prompt_messages))
        return fail_at(r, "the conversation has no message before the answer");
    return SC_OK;
}

/* Prompt and answers, by the names of the answers' fields. */
static sc_status read_parts(const sc_record *r, const char *const *names, int answers, bool chat, parts *t)
{
    json_t *side[2] = {NULL, NULL};
    const json_t *prompt = sc_record_value(r, "prompt|question|instruction|input");
    if (!r->json) return fail_at(r, "preferences are read from .jsonl or .json");
    for (int k = 0; k < answers; k++) {
        side[k] = (json_t *)(uintptr_t)sc_record_value(r, names[k]);
        bool texts = json_is_string(side[0]),
             same = json_typeof(side[0] ? side[0] : json_null()) == json_typeof(side[k] ? side[k] : json_null());
        if (!side[k] || !(texts || (json_is_array(side[0]) && json_array_size(side[k]))) || !same)
            return sc_fail(SC_EFORMAT, "%s: line %lld: \"%.*s\" is neither a text nor a list of messages%s",
                           r->path, (long long)r->line, (int)strcspn(names[k], "|"), names[k],
                           side[k] && !same ? ", as the other side is" : "");
    }
    if (json_is_array(side[0])) return split_messages(r, prompt, side, answers, t);
    if (json_is_array(prompt) || (chat && json_is_string(prompt))) { /* the answers are what the assistant says */
        json_t *asked = (json_t *)(uintptr_t)prompt;
        for (int k = 0; k < answers; k++)
            if (!(t->answer_messages[k] = json_pack("[{s:s, s:O}]", "role", "assistant", "content", side[k])))
                return sc_nomem();
        t->prompt_messages =
            json_is_array(prompt) ? json_copy(asked) : json_pack("[{s:s, s:O}]", "role", "user", "content", asked);
        return t->prompt_messages ? SC_OK : sc_nomem();
    }
    for (int k = 0; k < answers; k++)
        t->answer[k] = (sc_field){json_string_value(side[k]), (int64_t)json_string_length(side[k])};
    if (json_is_string(prompt)) {
        t->prompt = (sc_field){json_string_value(prompt), (int64_t)json_string_length(prompt)};
        return SC_OK;
    }
    if (answers < 2) return fail_at(r, "there is no \"prompt\"");
    t->prompt = (sc_field){t->answer[0].p, common_prompt(t->answer[0], t->answer[1])};
    for (int k = 0; k < 2; k++) {
        t->answer[k].p += t->prompt.n;
        t->answer[k].n -= t->prompt.n;
    }
    return SC_OK;
}

static sc_status add_pair(void *user, const sc_record *r)
{
    static const char *const names[] = {CHOSEN, REJECTED};
    reading *x = user;
    const json_t *margin = r->json ? sc_record_value(r, "margin") : NULL;
    parts t = {0};
    if (margin && !(json_is_number(margin) && isfinite((float)json_number_value(margin))))
        return fail_at(r, "\"margin\" is no number");
    sc_status s = read_parts(r, names, 2, x->setup->o->chat, &t);
    if (!s) s = add_parts(x, r, &t, 2, (float)json_number_value(margin));
    free_parts(&t);
    return s;
}

/* Single answers; a pair is one that is wanted and one that is not. */
static sc_status add_single(void *user, const sc_record *r)
{
    static const char *const names[] = {CHOSEN, REJECTED}, *const own[] = {COMPLETION};
    reading *x = user;
    const json_t *label = r->json ? sc_record_value(r, "label|desirable") : NULL;
    bool pair = r->json && sc_record_value(r, CHOSEN),
         number = json_is_integer(label) && json_integer_value(label) / 2 == 0 && json_integer_value(label) >= 0;
    if (!pair && !json_is_boolean(label) && !number)
        return fail_at(r, "there is no \"label\" that is true or false");
    parts t = {0};
    sc_status s = read_parts(r, pair ? names : own, pair ? 2 : 1, x->setup->o->chat, &t);
    if (!s && pair && equal_sides(&t)) {
        s = add_parts(x, r, &t, 2, 0); /* which counts it */
        free_parts(&t);
        return s;
    }
    bool wanted = json_is_true(label) || (number && json_integer_value(label) == 1);
    if (!s) s = add_parts(x, r, &t, 1, pair || wanted);
    if (!s && pair) {
        t.answer[0] = t.answer[1];
        json_t *first = t.answer_messages[0];
        t.answer_messages[0] = t.answer_messages[1];
        t.answer_messages[1] = first;
        s = add_parts(x, r, &t, 1, 0);
    }
    free_parts(&t);
    return s;
}

/* ---- files ---- */

static sc_status complain(const sc_preferences *p, const sc_objective_setup *s, int64_t most)
{
    if (p->equal && !s->o->prefer.skip_equal)
        return sc_fail(SC_EINVAL,
                       "%s: line %lld: both sides are equal, as in %lld pairs of %lld: there is nothing to prefer "
                       "(--skip-equal leaves them out)",
                       p->equal_path, (long long)p->equal_line, (long long)p->equal,
                       (long long)(p->equal + p->count + p->too_long));
    if (p->equal)
        sc_log(s->ctx, SC_LOG_WARNING, "%lld pairs with equal sides are left out, the first in %s line %lld",
               (long long)p->equal, p->equal_path, (long long)p->equal_line);
    if (p->too_long)
        sc_log(s->ctx, SC_LOG_WARNING,
               "%lld of %lld examples have an answer longer than %lld tokens and are left out (--length)",
               (long long)p->too_long, (long long)(p->count + p->too_long), (long long)most);
    if (p->shortened)
        sc_log(s->ctx, SC_LOG_WARNING, "%lld prompts are cut at their beginning to fit %lld tokens",
               (long long)p->shortened, (long long)most);
    return p->count ? SC_OK : sc_fail(SC_EINVAL, "no example is left to learn from");
}

/* With `text` (n bytes) in place of the file's own. */
static sc_status read_file(reading *x, const char *path, const char *text, int64_t n)
{
    const sc_preferences *p = x->p;
    int64_t before = p->count + p->equal + p->too_long;
    sc_record_fn *fn = p->kind == SC_ANSWERS_PAIRS ? add_pair : add_single;
    sc_status s = text ? sc_records_of(x->setup->ctx, path, text, n, false, fn, x)
                       : sc_records_each(x->setup->ctx, path, false, fn, x);
    if (s || p->count + p->equal + p->too_long > before) return s;
    return sc_fail(SC_EINVAL, "%s has no preferences", path);
}

static sc_status end_reading(reading *x, sc_status s)
{
    sc_preferences *p = x->p;
    if (!s) s = complain(p, x->setup, x->most);
    sc_chat_format_free(&x->format);
    sc_template_free(x->chat);
    if (p->source)
        sc_free(x->source);
    else
        p->source = x->source;
    return s;
}

static reading begin_reading(sc_preferences *p, const sc_objective_setup *setup, int64_t most)
{
    reading x = {.p = p, .setup = setup, .most = most};
    const int32_t *after;
    int64_t n_after;
    sc_tokenizer_template(setup->tokenizer, &x.before, &x.n_before, &after, &n_after);
    return x;
}

sc_status sc_preferences_read(sc_preferences *p, const sc_objective_setup *setup, const char *const *path, int n,
                              int64_t most)
{
    reading x = begin_reading(p, setup, most);
    sc_status s = SC_OK;
    for (int i = 0; !s && i < n; i++) s = read_file(&x, path[i], NULL, 0);
    return n ? end_reading(&x, s) : SC_OK;
}

sc_status sc_preferences_parse(sc_preferences *p, const sc_objective_setup *setup, const char *name,
                               const char *text, int64_t len, int64_t most)
{
    reading x = begin_reading(p, setup, most);
    return end_reading(&x, read_file(&x, name, text, len));
}

/* ---- what is measured and not learned from ---- */

static sc_status move_item(sc_preferences *to, const sc_preferences *from, const sc_preference *x)
{
    int64_t n = x->prompt + x->n[0] + x->n[1];
    if (!sc_grow(&to->ids, &to->cap_ids, to->n_ids + n, sizeof *to->ids) ||
        !sc_grow(&to->item, &to->cap, to->count + 1, sizeof *to->item))
        return sc_nomem();
    memcpy(to->ids + to->n_ids, from->ids + x->at, sizeof *to->ids * (size_t)n);
    to->item[to->count] = *x;
    to->item[to->count++].at = to->n_ids;
    to->n_ids += n;
    return SC_OK;
}

sc_status sc_preferences_divide(sc_preferences *p, sc_preferences *eval, double share, uint64_t seed)
{
    int64_t wanted = SC_MAX((int64_t)(share * (double)p->count + 0.5), 1), kept = 0;
    sc_rng r = sc_rng_make(seed, sc_hash("evaluation", 10));
    if (!(share > 0 && share < 1)) return sc_fail(SC_EINVAL, "--eval-share is %g, which is no share", share);
    if (wanted >= p->count)
        return sc_fail(SC_EINVAL, "--eval-share leaves nothing to learn from of %lld examples",
                       (long long)p->count);
    for (int64_t i = 0, n = p->count; i < n; i++) { /* each of those left with the same chance */
        sc_preference *x = &p->item[i];
        if (sc_rng_uniform(&r) * (double)(n - i) >= (double)wanted) {
            p->item[kept++] = *x;
            continue;
        }
        wanted--;
        p->tokens -= x->prompt * (1 + (x->n[1] > 0)) + x->n[0] + x->n[1];
        sc_status s = move_item(eval, p, x);
        if (s) return s;
    }
    p->count = kept;
    return SC_OK;
}
