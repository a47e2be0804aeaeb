/* SPDX-License-Identifier: Apache-2.0 */
/* What files of conversations look like: messages, ShareGPT, Alpaca, prompt and completion, questions and answers, texts. */
#include "train/chat.h"

#include <math.h>

enum { MAX_MESSAGES = 10000 };

static const char *const names[SC_CHAT_KINDS] = {
    [SC_CHAT_MESSAGES] = "messages",
    [SC_CHAT_SHAREGPT] = "ShareGPT",
    [SC_CHAT_ALPACA] = "Alpaca",
    [SC_CHAT_PAIR] = "prompt and completion as messages",
    [SC_CHAT_QUESTION] = "question and answer",
    [SC_CHAT_PROMPT] = "prompt and completion as text",
    [SC_CHAT_TEXT] = "text",
};

const char *sc_chat_kind_name(sc_chat_kind kind) { return names[kind]; }

void sc_conversation_free(sc_conversation *c)
{
    json_decref(c->variables);
    *c = (sc_conversation){0};
}

/* ---- messages ---- */

/* A role by the names that files give it; itself where it is none of them. */
static const char *role_of(const char *name)
{
    static const char *const known[][2] = {{"human", "user"},
                                           {"gpt", "assistant"},
                                           {"chatgpt", "assistant"},
                                           {"bing", "assistant"},
                                           {"bot", "assistant"},
                                           {"model", "assistant"},
                                           {"ai", "assistant"},
                                           {"prompter", "user"},
                                           {"observation", "tool"},
                                           {"function_response", "tool"},
                                           {"function_call", "assistant"}};
    for (int i = 0; i < SC_COUNT(known); i++)
        if (strcmp(known[i][0], name) == 0) return known[i][1];
    return name;
}

/* A list of parts as one text, where all of them are texts. */
static sc_status join_parts(const json_t *parts, json_t **out)
{
    sc_str text = {0};
    sc_status s = SC_OK;
    for (size_t i = 0; !s && i < json_array_size(parts); i++) {
        const json_t *part = json_array_get(parts, i), *piece = json_object_get(part, "text");
        if (json_is_string(piece))
            sc_str_append(&text, json_string_value(piece), (int64_t)json_string_length(piece));
        else
            s = sc_fail(SC_EUNSUPPORTED, "a part of its content is no text");
    }
    if (!s && (text.oom || !(*out = json_stringn(text.p ? text.p : "", (size_t)text.len)))) s = sc_nomem();
    sc_str_free(&text);
    return s;
}

/* A call of a tool that ShareGPT has as the text of a message. */
static sc_status tool_call(const json_t *value, json_t *message)
{
    json_t *call = NULL;
    sc_status s = sc_json_parse(&call, json_string_value(value), (int64_t)json_string_length(value), "the call");
    if (!s && !json_is_string(json_object_get(call, "name")))
        s = sc_fail(SC_EFORMAT, "the call of a tool has no name");
    if (!s && json_object_set_new(message, "tool_calls",
                                  json_pack("[{s:s, s:O}]", "type", "function", "function", call)) != 0)
        s = sc_nomem();
    json_decref(call);
    return s;
}

/* Appends a message as templates know it. */
static sc_status add_message(json_t *list, const json_t *from)
{
    const json_t *role = json_object_get(from, "role"), *content = json_object_get(from, "content");
    if (!role) role = json_object_get(from, "from");
    if (!content) content = json_object_get(from, "value");
    if (!json_is_object(from) || !json_is_string(role)) return sc_fail(SC_EFORMAT, "no role (or from)");
    json_t *to = json_copy((json_t *)(uintptr_t)from), *text = NULL;
    const char *name = role_of(json_string_value(role));
    bool call = strcmp(json_string_value(role), "function_call") == 0 && json_is_string(content);
    sc_status s = to ? SC_OK : sc_nomem();
    if (s) return s;
    json_object_del(to, "from");
    json_object_del(to, "value");
    if (call)
        s = tool_call(content, to);
    else if (json_is_array(content))
        s = join_parts(content, &text);
    else if (json_is_string(content))
        text = json_incref((json_t *)(uintptr_t)content);
    else if (content ? !json_is_null(content) : !json_object_get(from, "tool_calls"))
        s = sc_fail(SC_EFORMAT, "no text as content (or value)");
    if (!s &&
        (json_object_set_new(to, "role", json_string(name)) != 0 || json_object_set_new(to, "content",
                                                                                        text   ? json_incref(text)
                                                                                        : call ? json_string("")
                                                                                               : json_null()) != 0))
        s = sc_nomem();
    json_decref(text);
    if (!s && json_array_size(list) >= MAX_MESSAGES) s = sc_fail(SC_ELIMIT, "more than %d messages", MAX_MESSAGES);
    if (!s && json_array_append(list, to) != 0) s = sc_nomem();
    json_decref(to);
    return s;
}

static sc_status add_messages(json_t *list, const json_t *from, const char *field)
{
    if (!json_is_array(from)) return sc_fail(SC_EFORMAT, "\"%s\" is no list of messages", field);
    for (size_t i = 0; i < json_array_size(from); i++) {
        sc_status s = add_message(list, json_array_get(from, i));
        if (s) return sc_fail_in(s, "message %zu", i + 1);
    }
    return SC_OK;
}

static sc_status add_turn(json_t *list, const char *role, sc_field text)
{
    json_t *m = json_pack("{s:s, s:s%}", "role", role, "content", text.p ? text.p : "", (size_t)text.n);
    return m && json_array_append_new(list, m) == 0 ? SC_OK : sc_nomem();
}

/* ---- records ---- */

static bool field_of(const json_t *o, const char *name, sc_field *out)
{
    const json_t *v = json_object_get(o, name);
    *out = json_is_string(v) ? (sc_field){json_string_value(v), (int64_t)json_string_length(v)} : (sc_field){0};
    return out->p != NULL;
}

/* A system text, which comes first. */
static sc_status add_system(json_t *list, const json_t *o)
{
    sc_field text;
    return field_of(o, "system", &text) && text.n ? add_turn(list, "system", text) : SC_OK;
}

/* Earlier turns of Alpaca's files: [[question, answer], …]. */
static sc_status add_history(json_t *list, const json_t *history)
{
    sc_status s = SC_OK;
    for (size_t i = 0; !s && i < json_array_size(history); i++) {
        const json_t *turn = json_array_get(history, i);
        for (size_t k = 0; !s && k < 2; k++) {
            const json_t *text = json_array_get(turn, k);
            if (!json_is_string(text)) return sc_fail(SC_EFORMAT, "\"history\" is no list of pairs of texts");
            s = add_turn(list, k ? "assistant" : "user",
                         (sc_field){json_string_value(text), (int64_t)json_string_length(text)});
        }
    }
    return s;
}

static sc_status add_alpaca(json_t *list, const sc_record *r, sc_field instruction, sc_field output)
{
    sc_field input = {0};
    sc_str asked = {0};
    sc_status s = add_system(list, r->json);
    if (!s) s = add_history(list, json_object_get(r->json, "history"));
    if (!field_of(r->json, "input", &input)) field_of(r->json, "context", &input);
    sc_str_append(&asked, instruction.p, instruction.n);
    if (input.n) {
        if (asked.len) sc_str_putc(&asked, '\n');
        sc_str_append(&asked, input.p, input.n);
    }
    if (!s && asked.oom) s = sc_nomem();
    if (!s) s = add_turn(list, "user", (sc_field){asked.p, asked.len});
    if (!s) s = add_turn(list, "assistant", output);
    sc_str_free(&asked);
    return s;
}

/* What templates take beside the messages. */
static sc_status add_more(json_t *variables, const json_t *o)
{
    json_t *tools = json_object_get(o, "tools"), *parsed = NULL;
    const json_t *more = json_object_get(o, "chat_template_kwargs"), *documents = json_object_get(o, "documents");
    sc_status s = SC_OK;
    if (json_is_object(more) && json_object_update_missing(variables, (json_t *)(uintptr_t)more) != 0)
        s = sc_nomem();
    if (!s && json_is_string(tools)) { /* as some files have them */
        if (json_string_length(tools))
            s = sc_json_parse(&parsed, json_string_value(tools), (int64_t)json_string_length(tools), "\"tools\"");
        tools = parsed;
    }
    if (!s && json_array_size(tools) && json_object_set(variables, "tools", tools) != 0) s = sc_nomem();
    if (!s && json_is_array(documents) &&
        json_object_set(variables, "documents", (json_t *)(uintptr_t)documents) != 0)
        s = sc_nomem();
    json_decref(parsed);
    return s;
}

/* Two texts by any of their names, "a|b"; false: the record does not have both. */
static bool pair_of(const sc_record *r, const char *first, const char *second, sc_field *a, sc_field *b)
{
    return sc_record_has(r, first, 0) && sc_record_has(r, second, 1) && sc_record_text(r, first, 0, a) == SC_OK &&
           sc_record_text(r, second, 1, b) == SC_OK;
}

/* Fills c->kind and its messages or texts. */
static sc_status read_record(sc_conversation *c, const sc_record *r, bool chat, json_t *list)
{
    const json_t *o = r->json, *messages = json_object_get(o, "messages"),
                 *turns = json_object_get(o, "conversations"), *prompt = json_object_get(o, "prompt");
    sc_field a = {0}, b = {0};
    sc_status s = SC_OK;
    if (!turns) turns = json_object_get(o, "conversation");
    if (messages || turns) {
        c->kind =
            messages || json_object_get(json_array_get(turns, 0), "role") ? SC_CHAT_MESSAGES : SC_CHAT_SHAREGPT;
        s = add_system(list, o);
        return s ? s : add_messages(list, messages ? messages : turns, messages ? "messages" : "conversations");
    }
    if (json_is_array(prompt)) {
        c->kind = SC_CHAT_PAIR;
        s = add_messages(list, prompt, "prompt");
        c->first = (int64_t)json_array_size(list);
        return s ? s : add_messages(list, json_object_get(o, "completion"), "completion");
    }
    if (o && pair_of(r, "instruction", "output|response|answer|completion", &a, &b)) {
        c->kind = SC_CHAT_ALPACA;
        return add_alpaca(list, r, a, b);
    }
    if (pair_of(r, "prompt", "completion", &a, &b) && (o || r->header.p)) {
        c->kind = SC_CHAT_PROMPT;
        c->prompt = a;
        c->completion = b;
    } else if (pair_of(r, "question|query|input|source|prompt", "answer|response|output|target", &a, &b)) {
        c->kind = SC_CHAT_QUESTION;
        chat = true;
    } else if ((o || r->header.p) && sc_record_has(r, "text", 0)) {
        c->kind = SC_CHAT_TEXT;
        return sc_record_text(r, "text", 0, &c->completion);
    } else
        return sc_fail(SC_EFORMAT,
                       "neither messages, conversations, instruction and output, prompt and completion, "
                       "question and answer, nor text");
    if (!chat) return SC_OK;
    s = o ? add_system(list, o) : SC_OK;
    if (!s) s = add_turn(list, "user", a);
    return s ? s : add_turn(list, "assistant", b);
}

sc_status sc_conversation_read(sc_conversation *out, const sc_record *r, bool chat)
{
    sc_conversation c = {.weight = 1};
    json_t *list = json_array();
    sc_status s = list ? SC_OK : sc_nomem();
    if (!s && !r->json && !r->table) s = sc_fail(SC_EFORMAT, "conversations are read from .jsonl, .json or .tsv");
    if (!s) s = read_record(&c, r, chat, list);
    if (!s) s = sc_json_num(r->json, "the record", "weight", 0, 1e6, &c.weight);
    if (!s && json_array_size(list)) {
        c.variables = json_pack("{s:O}", "messages", list);
        s = c.variables ? add_more(c.variables, r->json) : sc_nomem();
    } else if (!s && c.kind != SC_CHAT_PROMPT && c.kind != SC_CHAT_TEXT)
        s = sc_fail(SC_EFORMAT, "no messages");
    json_decref(list);
    if (s) {
        sc_conversation_free(&c);
        return sc_fail_in(s, "%s: line %lld", r->path, (long long)r->line);
    }
    *out = c;
    return SC_OK;
}

double sc_conversation_weight(const sc_conversation *c, int64_t i)
{
    const json_t *m = json_array_get(json_object_get(c->variables, "messages"), (size_t)i),
                 *weight = json_object_get(m, "weight");
    if (i < c->first || json_is_false(json_object_get(m, "train"))) return 0;
    double w = json_is_number(weight) ? json_number_value(weight) : 1;
    return isfinite(w) && w > 0 ? w : 0;
}
