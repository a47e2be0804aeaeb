/* SPDX-License-Identifier: Apache-2.0 */
/* A file of conversations, whose first byte says of which kind it is and by which template they are written. Ids that are learned
 * are of a message that is there and the assistant's. */
#include "train/chat.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char bytes[] =
    "{\"model\": {\"type\": \"WordLevel\", \"vocab\": {\"[UNK]\": 0, \"a\": 1, \"b\": 2, \"<e>\": 3}, "
    "\"unk_token\": \"[UNK]\"}, \"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \".\"}, "
    "\"behavior\": \"Isolated\", \"invert\": false}, \"added_tokens\": [{\"id\": 3, \"content\": \"<e>\", "
    "\"special\": true}]}";
static const char *const templates[] = {
    "{% for m in messages %}{{ m.role }}:{{ m.content }}<e>{% endfor %}{% if add_generation_prompt %}assistant:{% "
    "endif %}",
    "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<e>{% endgeneration %}"
    "{% else %}{{ m.content }}{% endif %}{% endfor %}",
    "{% for m in messages %}{% if loop.last %}*{% endif %}{{ m.role }}{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}assistant{% endif %}",
};

static sc_status learn(void *user, const sc_turn_ids *t)
{
    const json_t *messages = user;
    for (int64_t i = 0; i < t->n; i++) {
        const json_t *m = json_array_get(messages, (size_t)SC_MAX(t->turn[i], 0));
        if (t->turn[i] < 0) continue;
        if (!m || strcmp(json_string_value(json_object_get(m, "role")), "assistant") != 0) abort();
    }
    return SC_OK;
}

static sc_status look(void *user, const sc_record *r)
{
    for (int chat = 0; chat < 2; chat++) {
        sc_conversation c = {0};
        if (sc_conversation_read(&c, r, chat)) continue;
        json_t *messages = json_object_get(c.variables, "messages");
        double sum = c.weight;
        for (size_t i = 0; i < json_array_size(messages); i++) sum += sc_conversation_weight(&c, (int64_t)i);
        if (!(sum >= 0)) abort();
        if (c.variables && json_array_size(messages) < 40) sc_chat_turns(user, c.variables, learn, messages);
        sc_conversation_free(&c);
    }
    return SC_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const kinds[] = {"a.jsonl", "a.json", "a.tsv"};
    sc_context ctx = {0};
    sc_tokenizer *tokenizer = NULL;
    sc_template *template = NULL;
    sc_chat_format format = {0};
    if (!size) return 0;
    const char *text = templates[data[0] / 3 % SC_COUNT(templates)];
    if (sc_tokenizer_from_json(&tokenizer, bytes, sizeof bytes - 1, "tokenizer") ||
        sc_template_new(&template, text, (int64_t)strlen(text), "template") ||
        sc_chat_format_new(&format, tokenizer, template))
        abort();
    sc_records_of(&ctx, kinds[data[0] % SC_COUNT(kinds)], (const char *)data + 1, (int64_t)size - 1, false, look,
                  &format);
    sc_chat_format_free(&format);
    sc_template_free(template);
    sc_tokenizer_free(tokenizer);
    return 0;
}
