/* SPDX-License-Identifier: Apache-2.0 */
/* A file of preferences: pairs or single answers, texts or messages, by the first byte. */
#include "train/preferences.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A token a letter, and one for all else. */
static sc_tokenizer *make_tokenizer(void)
{
    static const char json[] =
        "{\"version\": \"1.0\", \"added_tokens\": [{\"id\": 1, \"content\": \"<end>\", \"special\": true, "
        "\"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false}], \"pre_tokenizer\": "
        "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"[\\\\s\\\\S]\"}, \"behavior\": \"Isolated\", \"invert\": "
        "false}, "
        "\"model\": {\"type\": \"WordLevel\", \"unk_token\": \"?\", \"vocab\": {\"?\": 0, \"<end>\": 1, \"a\": 2, "
        "\"b\": 3, \"c\": 4, \"\\n\": 5, \" \": 6}}}";
    sc_tokenizer *t = NULL;
    if (sc_tokenizer_from_json(&t, json, sizeof json - 1, "fuzz") || sc_tokenizer_set(t, "eos_token", 1)) abort();
    return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static sc_tokenizer *tokenizer;
    static sc_model model = {.info = {.vocab = 7}};
    if (!tokenizer) tokenizer = make_tokenizer();
    if (!size) return 0;
    sc_context ctx = {0};
    sc_train_options o = {.chat_template = data[0] & 4 ? "chatml" : "plain",
                          .chat = data[0] & 8,
                          .tokenizer = "none",
                          .prefer = {.skip_equal = data[0] & 16}};
    const sc_objective_setup setup = {.ctx = &ctx, .o = &o, .tokenizer = tokenizer, .model = &model};
    sc_preferences p = {.kind = data[0] & 1 ? SC_ANSWERS_SINGLE : SC_ANSWERS_PAIRS}, eval = {0};
    sc_status s = sc_preferences_parse(&p, &setup, data[0] & 2 ? "a.json" : "a.jsonl", (const char *)data + 1,
                                       (int64_t)size - 1, 24);
    for (int64_t i = 0; !s && i < p.count; i++) {
        const sc_preference *x = &p.item[i];
        int answers = x->n[1] ? 2 : 1;
        if (x->prompt < 1 || x->n[0] < 1 || answers != (data[0] & 1 ? 1 : 2)) abort();
        for (int k = 0; k < answers; k++)
            if (x->prompt + x->n[k] > 24 || sc_preference_answer(&p, x, k) + x->n[k] > p.ids + p.n_ids) abort();
    }
    if (!s) (void)sc_preferences_divide(&p, &eval, 0.3, 1);
    sc_preferences_free(&p);
    sc_preferences_free(&eval);
    return 0;
}
