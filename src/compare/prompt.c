/* SPDX-License-Identifier: Apache-2.0 */
/* What a model is asked, and what it is trained on: the same words for all methods, so that they differ in nothing else. */
#include "compare/compare.h"

static const char usual[] = "Question: {input}\nAnswer:", usual_lists[] = "Question: {input}\n{choices}\nAnswer:";
static const char think[] = "Let's think step by step.", conclude[] = "Therefore, the answer is";

const char *sc_compare_choice(const sc_compare_task *t, const sc_compare_item *item, int k)
{
    static const char *const letters[] = {"A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M",
                                          "N", "O", "P", "Q", "R", "S", "T", "U", "V", "W", "X", "Y", "Z"};
    return t->lists && k < SC_COUNT(letters) ? letters[k] : item->choices[k];
}

static const char *answer_of(const sc_compare_task *t, const sc_compare_item *item)
{
    return t->lists ? sc_compare_choice(t, item, item->target) : item->answer;
}

static void put_choices(sc_str *out, const sc_compare_task *t, const sc_compare_item *item)
{
    for (int k = 0; k < item->n_choices; k++)
        sc_str_printf(out, "%s%s. %s", k ? "\n" : "", sc_compare_choice(t, item, k), item->choices[k]);
}

static void put_question(sc_str *out, const sc_compare_prompter *p, const sc_compare_item *item)
{
    const char *form = p->o->prompt     ? p->o->prompt
                       : p->task->eval  ? "{input}"
                       : p->task->lists ? usual_lists
                                        : usual;
    while (*form) {
        const char *at = strchr(form, '{');
        if (!at) at = form + strlen(form);
        sc_str_append(out, form, at - form);
        form = at;
        if (strncmp(form, "{input}", 7) == 0) {
            sc_str_puts(out, item->input);
            form += 7;
        } else if (strncmp(form, "{choices}", 9) == 0) {
            put_choices(out, p->task, item);
            form += 9;
        } else if (*form) {
            sc_str_putc(out, *form++);
        }
    }
}

static char *plain(const sc_compare_prompter *p, const sc_compare_item *item, const sc_compare_item *const *shot,
                   int n, sc_compare_stage stage, const char *thought)
{
    sc_str s = {0};
    if (p->o->instruction) sc_str_printf(&s, "%s\n\n", p->o->instruction);
    for (int i = 0; i < n; i++) {
        put_question(&s, p, shot[i]);
        sc_str_printf(&s, "%s%s\n\n", shot[i]->delimiter, answer_of(p->task, shot[i]));
    }
    put_question(&s, p, item);
    if (stage != SC_COMPARE_ASKS) sc_str_printf(&s, " %s", think);
    if (stage == SC_COMPARE_CONCLUDES) sc_str_printf(&s, "%s\n%s", thought, conclude);
    return sc_str_take(&s, NULL);
}

static bool say(json_t *list, const char *role, const char *text)
{
    return text && json_array_append_new(list, json_pack("{s:s, s:s}", "role", role, "content", text)) == 0;
}

static bool say_question(json_t *list, const sc_compare_prompter *p, const sc_compare_item *item, const char *more)
{
    sc_str s = {0};
    put_question(&s, p, item);
    if (more) sc_str_printf(&s, "\n\n%s", more);
    char *text = sc_str_take(&s, NULL);
    bool ok = say(list, "user", text);
    sc_free(text);
    return ok;
}

static json_t *messages(const sc_compare_prompter *p, const sc_compare_item *item,
                        const sc_compare_item *const *shot, int n, sc_compare_stage stage, const char *thought)
{
    json_t *list = json_array();
    bool ok = list && (!p->o->instruction || say(list, "system", p->o->instruction));
    for (int i = 0; ok && i < n; i++)
        ok = say_question(list, p, shot[i], NULL) && say(list, "assistant", answer_of(p->task, shot[i]));
    if (ok) ok = say_question(list, p, item, stage == SC_COMPARE_ASKS ? NULL : think);
    if (ok && stage == SC_COMPARE_CONCLUDES) ok = say(list, "assistant", thought) && say(list, "user", conclude);
    if (ok) return list;
    json_decref(list);
    return NULL;
}

char *sc_compare_prompt(const sc_compare_prompter *p, const sc_compare_item *item,
                        const sc_compare_item *const *shot, int n_shots, sc_compare_stage stage,
                        const char *thought)
{
    if (!p->o->chat) return plain(p, item, shot, n_shots, stage, thought);
    json_t *list = messages(p, item, shot, n_shots, stage, thought);
    char *text = list ? json_dumps(list, JSON_COMPACT) : NULL;
    json_decref(list);
    return text;
}

json_t *sc_compare_example(const sc_compare_prompter *p, const sc_compare_item *item)
{
    const char *answer = answer_of(p->task, item);
    if (p->o->chat) {
        json_t *list = messages(p, item, NULL, 0, SC_COMPARE_ASKS, NULL);
        if (list && say(list, "assistant", answer)) return json_pack("{s:o}", "messages", list);
        json_decref(list);
        return NULL;
    }
    char *prompt = plain(p, item, NULL, 0, SC_COMPARE_ASKS, NULL);
    json_t *o = prompt ? json_pack("{s:s, s:s+}", "prompt", prompt, "completion", item->delimiter, answer) : NULL;
    sc_free(prompt);
    return o;
}

/* An answer of several lines ends at an empty one, others with their line. */
const char *sc_compare_stop(const sc_compare_task *t)
{
    for (int64_t i = 0; i < t->train.n; i++)
        if (strchr(t->train.item[i]->answer, '\n')) return "\n\n";
    return "\n";
}

/* ---- worked examples ---- */

/* The i-th of the training examples in an order of the seed: a walk by a step that has no divisor with n. */
typedef struct walk {
    uint64_t n, at, step;
} walk;

static uint64_t divisor(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

static walk walk_of(int64_t n, uint64_t seed)
{
    sc_rng r = sc_rng_make(seed, sc_hash("compare shots", 13));
    walk w = {.n = (uint64_t)n};
    w.at = (uint64_t)(sc_rng_uniform(&r) * (double)n);
    do w.step = 1 + (uint64_t)(sc_rng_uniform(&r) * (double)n);
    while (divisor(w.step, w.n) != 1);
    return w;
}

int sc_compare_shots(const sc_compare_prompter *p, int k, uint64_t seed, const sc_compare_item **shot)
{
    const sc_compare_part *train = &p->task->train;
    int n = 0;
    int64_t used[64] = {0}; /* of each class */
    if (train->n < 1) return 0;
    bool balanced = p->task->n_classes > 0 && (!p->o->pick || strcmp(p->o->pick, "balanced") == 0);
    for (int64_t most = 1; n < k && n < train->n; most++) {
        walk w = walk_of(train->n, seed);
        for (int64_t i = 0; i < train->n && n < k; i++, w.at = (w.at + w.step) % w.n) {
            const sc_compare_item *it = train->item[w.at];
            bool had = false;
            for (int j = 0; j < n && !had; j++) had = shot[j] == it;
            if (had || (balanced && used[it->target] >= most)) continue;
            if (balanced) used[it->target]++;
            shot[n++] = it;
        }
    }
    return n;
}
