/* SPDX-License-Identifier: Apache-2.0 */
/* Questions as prompts: with their examples, as one text or as a conversation. */
#include "ask/asking.h"

#include <stdlib.h>

static const char usual_input[] = "Question: ", usual_answer[] = "Answer:";

static bool all_numbers(const sc_ask_examples *e)
{
    bool any = false;
    for (int64_t i = 0, n = e ? sc_ask_examples_count(e) : 0; i < n && i < 100; i++) {
        sc_text t = sc_ask_examples_at(e, i)->answer;
        char text[64], *end;
        if (t.len < 1 || t.len >= (int64_t)sizeof text) return false;
        int64_t len = 0;
        for (int64_t k = 0; k < t.len; k++)
            if (t.p[k] != ',' && t.p[k] != '$') text[len++] = t.p[k];
        text[len] = 0;
        strtod(text, &end);
        if (end == text || *end) return false;
        any = true;
    }
    return any;
}

sc_answer_kind sc_ask_kind_of(const sc_ask_task *t, const sc_ask_question *q)
{
    if (t->kind != SC_ANSWER_AUTO) return t->kind;
    if (q->n_choices) return SC_ANSWER_CHOICE;
    return all_numbers(t->examples) ? SC_ANSWER_NUMBER : SC_ANSWER_TEXT;
}

static bool labelled(const sc_ask_run *r, const sc_ask_question *q)
{
    const sc_ask_task *t = r->t;
    if (t->bare) return false;
    return t->input_label || t->answer_label || (t->examples && r->m->shots > 0) || q->n_choices;
}

static void put(sc_str *s, sc_text t) { sc_str_append(s, t.p, t.len); }

/* Choices are told where the model is to name one, not where their likelihoods are compared. */
static void put_question(sc_str *s, const sc_ask_run *r, sc_text input, const sc_text *choices, int64_t n)
{
    put(s, input);
    if (!n || (r->scores && (r->t->bare || r->m->reasoning == SC_REASON_NONE))) return;
    sc_str_puts(s, "\nOptions:");
    for (int64_t i = 0; i < n; i++) {
        sc_str_puts(s, "\n- ");
        put(s, choices[i]);
    }
}

/* With its reasoning before it, where the method reasons. */
static void put_answer(sc_str *s, const sc_ask_run *r, const sc_ask_example *x, sc_text answer)
{
    if (r->m->reasoning != SC_REASON_NONE && x->reasoning.p) {
        put(s, x->reasoning);
        if (x->reasoning.len && !memchr("\n ", x->reasoning.p[x->reasoning.len - 1], 2)) sc_str_putc(s, ' ');
        sc_str_puts(s, SC_ASK_CONCLUDE " ");
    }
    put(s, answer);
    if (r->m->reasoning != SC_REASON_NONE && x->reasoning.p) sc_str_putc(s, '.');
}

typedef struct shots {
    int64_t row[256];
    int64_t answer[256]; /* whose answer each gets */
    int n;
} shots;

static sc_status pick(const sc_ask_run *r, const sc_ask_question *q, shots *x)
{
    const sc_ask_method *m = r->m;
    x->n = 0;
    if (!r->t->examples) return SC_OK;
    sc_status s =
        sc_ask_examples_pick(r->t->examples, m->pick, m->shots, m->seed, m->order, q->input, x->row, &x->n);
    for (int i = 0; i < x->n; i++) x->answer[i] = x->row[i];
    sc_rng rng = sc_rng_make(m->seed, m->swap_labels);
    for (int i = x->n - 1; m->swap_labels && i > 0; i--) {
        int k = (int)(sc_rng_uniform(&rng) * (i + 1));
        int64_t swap = x->answer[i];
        x->answer[i] = x->answer[k];
        x->answer[k] = swap;
    }
    return s;
}

static void make_plain(sc_str *s, const sc_ask_run *r, const sc_ask_question *q, const shots *x)
{
    const sc_ask_task *t = r->t;
    bool labels = labelled(r, q);
    const char *before = t->bare          ? ""
                         : t->input_label ? t->input_label
                         : labels         ? usual_input
                                          : "",
               *after = t->bare           ? ""
                        : t->answer_label ? t->answer_label
                        : labels          ? usual_answer
                                          : "";
    if (t->instruction && *t->instruction) sc_str_printf(s, "%s\n\n", t->instruction);
    for (int i = 0; i < x->n; i++) {
        const sc_ask_example *e = sc_ask_examples_at(t->examples, x->row[i]);
        sc_str_puts(s, before);
        put_question(s, r, e->input, e->choices, e->n_choices);
        sc_str_printf(s, t->bare ? "%s " : "\n%s ", after);
        put_answer(s, r, e, sc_ask_examples_at(t->examples, x->answer[i])->answer);
        sc_str_puts(s, "\n\n");
    }
    sc_str_puts(s, before);
    put_question(s, r, q->input, q->choices, q->n_choices);
    if (labels) sc_str_printf(s, "\n%s", after);
}

/* {"role", "content"}; the text is taken. */
static sc_status say(json_t *list, const char *role, sc_str *text)
{
    json_t *m = json_object();
    json_t *content = text->oom ? NULL : json_stringn(text->p ? text->p : "", (size_t)text->len);
    bool utf8 = text->oom || content;
    bool ok = m && content && !json_object_set_new(m, "role", json_string(role)) &&
              !json_object_set(m, "content", content) && !json_array_append(list, m);
    json_decref(m);
    json_decref(content);
    sc_str_free(text);
    return ok ? SC_OK : utf8 ? sc_nomem() : sc_fail(SC_EINVAL, "a question or an example that is not UTF-8");
}

static sc_status make_messages(json_t *list, const sc_ask_run *r, const sc_ask_question *q, const shots *x)
{
    const sc_ask_task *t = r->t;
    sc_str s = {0};
    sc_status status = SC_OK;
    if (t->instruction && *t->instruction) {
        sc_str_puts(&s, t->instruction);
        status = say(list, "system", &s);
    }
    for (int i = 0; i < x->n && !status; i++) {
        const sc_ask_example *e = sc_ask_examples_at(t->examples, x->row[i]);
        put_question(&s, r, e->input, e->choices, e->n_choices);
        if ((status = say(list, "user", &s))) break;
        put_answer(&s, r, e, sc_ask_examples_at(t->examples, x->answer[i])->answer);
        status = say(list, "assistant", &s);
    }
    if (status) return status;
    put_question(&s, r, q->input, q->choices, q->n_choices);
    return say(list, "user", &s);
}

sc_status sc_ask_prompt_make(sc_ask_prompt *out, const sc_ask_run *r, const sc_ask_question *q)
{
    shots x;
    sc_str s = {0};
    *out = (sc_ask_prompt){.question = q, .kind = sc_ask_kind_of(r->t, q)};
    sc_status status = pick(r, q, &x);
    if (status) return status;
    if (out->kind == SC_ANSWER_CHOICE && !q->n_choices)
        return sc_fail(SC_EINVAL, "a question without choices, where one of them is the answer");
    if (r->chat) {
        json_t *list = json_array();
        status = list ? make_messages(list, r, q, &x) : sc_nomem();
        char *text = status ? NULL : json_dumps(list, JSON_COMPACT);
        if (text) sc_str_puts(&s, text);
        if (!status && !text) status = sc_nomem();
        sc_free(text);
        json_decref(list);
    } else {
        make_plain(&s, r, q, &x);
    }
    if (!status && s.oom) status = sc_nomem();
    sc_text *to = r->chat ? &out->messages : &out->plain;
    if (!status && !(to->p = sc_str_take(&s, &to->len))) status = sc_nomem();
    sc_str_free(&s);
    return status;
}

void sc_ask_prompt_free(sc_ask_prompt *p)
{
    sc_free((char *)(uintptr_t)p->plain.p);
    sc_free((char *)(uintptr_t)p->messages.p);
    *p = (sc_ask_prompt){0};
}

sc_ask_request sc_ask_request_of(const sc_ask_run *r, const sc_ask_prompt *p, sc_text begin, int64_t tokens)
{
    return (sc_ask_request){.prompt = p->plain,
                            .messages = p->messages,
                            .begin = begin.len ? begin : (sc_text){0},
                            .sampling = r->m->sampling,
                            .max_new_tokens = tokens,
                            .stop = r->stop,
                            .n_stop = r->n_stop,
                            .samples = 1,
                            .cut = true,
                            .logprob = r->m->choosing == SC_CHOOSE_LIKELIEST ||
                                       (r->m->reasoning == SC_REASON_TREE && r->m->valuing == SC_VALUE_LIKELIHOOD)};
}
