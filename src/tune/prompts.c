/* SPDX-License-Identifier: Apache-2.0 */
#include "train/chat.h"
#include "tune/tune.h"

#define PROMPT "prompt|question|instruction|text"

typedef struct reading {
    sc_rl_prompts *p;
    const sc_objective_setup *setup;
    int64_t most;
    sc_template *chat; /* NULL: the model has none */
    char *source;      /* its text, where it is not the model's */
    sc_chat_format format;
} reading;

void sc_rl_prompts_free(sc_rl_prompts *p)
{
    for (int64_t i = 0; i < p->n; i++) {
        sc_free(p->item[i].ids);
        sc_free(p->item[i].text);
        json_decref(p->item[i].record);
    }
    sc_free(p->item);
    *p = (sc_rl_prompts){0};
}

static sc_status fail_at(const sc_record *r, const char *what)
{
    return sc_fail(SC_EFORMAT, "%s: line %lld: %s", r->path, (long long)r->line, what);
}

/* ---- ids ---- */

static sc_status encode_chat(const reading *x, const json_t *messages, int32_t **ids, int64_t *n)
{
    char *text = NULL;
    int64_t len;
    json_t *copy = json_deep_copy(messages),
           *v = copy ? json_pack("{s:o, s:b}", "messages", copy, "add_generation_prompt", 1) : NULL;
    sc_status s = v ? sc_chat_guard(&x->format, v) : sc_nomem();
    if (!s) s = sc_chat_usual(&x->format, v);
    if (!s) s = sc_chat_render(&x->format, v, &text, &len, NULL, NULL);
    if (!s) s = sc_chat_encode(&x->format, text, len, ids, NULL, n);
    json_decref(v);
    sc_free(text);
    return s;
}

/* As the tokenizer begins a text, but without what it puts at the end of one: the answer goes on there. */
static sc_status encode_text(const reading *x, sc_field f, int32_t **ids, int64_t *n)
{
    const sc_tokenizer *t = x->setup->tokenizer;
    int32_t eos = sc_tokenizer_eos(t);
    sc_status s = sc_tokenizer_encode(t, f.p, f.n, SC_TOKENIZE_SPECIAL, ids, n);
    if (!s && *n > 1 && (*ids)[*n - 1] == eos) --*n;
    return s;
}

/* ---- records ---- */

/* The messages that ask, a new reference; NULL: it is a text, *text. */
static sc_status read_question(const reading *x, const sc_record *r, json_t **messages, sc_field *text)
{
    const json_t *v = r->json ? sc_record_value(r, "messages") : NULL, *prompt;
    *messages = NULL;
    if (!v && r->json && (prompt = sc_record_value(r, "prompt")) && json_is_array(prompt)) v = prompt;
    if (v) {
        if (!json_is_array(v) || !json_array_size(v)) return fail_at(r, "its messages are no list of any");
        if (!(*messages = json_deep_copy(v))) return sc_nomem();
        size_t last = json_array_size(v) - 1;
        const char *role = json_string_value(json_object_get(json_array_get(v, last), "role"));
        if (role && strcmp(role, "assistant") == 0) json_array_remove(*messages, last);
        if (json_array_size(*messages)) return SC_OK;
        json_decref(*messages);
        *messages = NULL;
        return fail_at(r, "its messages ask nothing");
    }
    sc_status s = r->json || r->table ? sc_record_text(r, PROMPT, 0, text) : SC_OK;
    if (!r->json && !r->table) *text = r->text;
    if (s || !(x->setup->o->chat || (x->chat && sc_record_has(r, "question|instruction", -1)))) return s;
    *messages = json_pack("[{s:s, s:s%}]", "role", "user", "content", text->p, (size_t)text->n);
    return *messages ? SC_OK : sc_nomem();
}

/* What rewards see of a table's line are its columns by name. */
static json_t *record_of(const sc_record *r)
{
    static const char *const columns[] = {"answer", "tests"};
    json_t *o = r->json ? json_deep_copy(r->json) : json_object();
    for (int i = 0; o && !r->json && i < SC_COUNT(columns); i++) {
        sc_field f;
        if (sc_record_has(r, columns[i], i + 1) && sc_record_text(r, columns[i], i + 1, &f) == SC_OK)
            json_object_set_new(o, columns[i], json_stringn(f.p, (size_t)f.n));
    }
    return o;
}

static sc_status keep(reading *x, const sc_record *r, const json_t *messages, sc_field text, int32_t *ids,
                      int64_t n)
{
    sc_rl_prompts *p = x->p;
    if (!sc_grow(&p->item, &p->cap, p->n + 1, sizeof *p->item)) return sc_nomem();
    sc_rl_prompt *q = &p->item[p->n];
    *q = (sc_rl_prompt){.n = n, .record = record_of(r), .chat = messages != NULL};
    q->text = messages ? json_dumps(messages, JSON_COMPACT) : sc_strndup(text.p, (size_t)text.n);
    if (!q->text || !q->record) {
        sc_free(q->text);
        json_decref(q->record);
        return sc_nomem();
    }
    q->ids = ids;
    p->n++;
    p->tokens += n;
    p->longest = SC_MAX(p->longest, n);
    return SC_OK;
}

static sc_status add(void *user, const sc_record *r)
{
    reading *x = user;
    json_t *messages;
    sc_field text = {0};
    int32_t *ids = NULL;
    int64_t n = 0, vocab = x->setup->model->info.vocab;
    sc_status s = read_question(x, r, &messages, &text);
    if (s) return s;
    if (messages && !x->chat)
        s = fail_at(r, "messages need a chat template, which the model has not: --template");
    else if (!s)
        s = messages ? encode_chat(x, messages, &ids, &n) : encode_text(x, text, &ids, &n);
    for (int64_t i = 0; !s && i < n; i++)
        if (ids[i] >= vocab) s = fail_at(r, "the tokenizer gives an id that the model has not");
    if (!s && n == 0) s = fail_at(r, "an empty prompt");
    if (!s && n > x->most) {
        x->p->too_long++;
        sc_free(ids);
    } else if (!s && (s = keep(x, r, messages, text, ids, n)))
        sc_free(ids);
    else if (s)
        sc_free(ids);
    json_decref(messages);
    return s;
}

sc_status sc_rl_prompts_add(sc_rl_prompts *p, const sc_objective_setup *setup, const char *const *path, int n,
                            int64_t most)
{
    reading x = {.p = p, .setup = setup, .most = most};
    sc_status s = sc_chat_template_open(&x.chat, &x.source, setup->o->chat_template, setup->o->tokenizer);
    if (!s) s = sc_chat_format_new(&x.format, setup->tokenizer, x.chat);
    for (int i = 0; !s && i < n; i++) s = sc_records_each(setup->ctx, path[i], true, add, &x);
    if (!s && p->too_long)
        sc_log(setup->ctx, SC_LOG_WARNING,
               "%lld prompts of more than %lld tokens are left out: no room for an answer", (long long)p->too_long,
               (long long)most);
    if (!s && n && !p->n) s = sc_fail(SC_EINVAL, "%s has no prompt to answer", path[0]);
    sc_chat_format_free(&x.format);
    sc_template_free(x.chat);
    sc_free(x.source);
    return s;
}
