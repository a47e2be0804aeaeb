/* SPDX-License-Identifier: Apache-2.0 */
/* What a model is asked, and what it is trained on: the same words for all methods, so that they differ in nothing else. */
#include "compare/compare.h"

static const char usual[] = "Question: {input}\nAnswer:";

const char *sc_compare_choice(const sc_compare_task *t, const sc_compare_item *item, int k)
{
    static const char *const letters[] = {"A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M",
                                          "N", "O", "P", "Q", "R", "S", "T", "U", "V", "W", "X", "Y", "Z"};
    return t->lists && k < SC_COUNT(letters) ? letters[k] : item->choices[k];
}

const char *sc_compare_gold(const sc_compare_task *t, const sc_compare_item *item)
{
    return t->lists ? sc_compare_choice(t, item, item->target) : item->answer;
}

static void put_choices(sc_str *out, const sc_compare_task *t, const sc_compare_item *item)
{
    for (int k = 0; k < item->n_choices; k++)
        sc_str_printf(out, "%s%s. %s", k ? "\n" : "", sc_compare_choice(t, item, k), item->choices[k]);
}

char *sc_compare_prompt(const sc_compare_options *o, const sc_compare_task *t, const sc_compare_item *item)
{
    sc_str s = {0};
    const char *form = o->prompt ? o->prompt : t->eval ? "{input}" : usual;
    while (*form) {
        const char *at = strchr(form, '{');
        if (!at) at = form + strlen(form);
        sc_str_append(&s, form, at - form);
        form = at;
        if (strncmp(form, "{input}", 7) == 0) {
            sc_str_puts(&s, item->input);
            form += 7;
        } else if (strncmp(form, "{choices}", 9) == 0) {
            put_choices(&s, t, item);
            form += 9;
        } else if (*form) {
            sc_str_putc(&s, *form++);
        }
    }
    return sc_str_take(&s, NULL);
}

char *sc_compare_beginning(const sc_compare_options *o)
{
    const char *form = o->prompt ? o->prompt : usual, *end = strchr(form, '{');
    size_t n = end ? (size_t)(end - form) : strlen(form);
    return n ? sc_strndup(form, n) : NULL;
}

static bool say(json_t *list, const char *role, const char *text)
{
    return text && json_array_append_new(list, json_pack("{s:s, s:s}", "role", role, "content", text)) == 0;
}

json_t *sc_compare_example(const sc_compare_options *o, const sc_compare_task *t, const sc_compare_item *item)
{
    char *prompt = sc_compare_prompt(o, t, item);
    const char *answer = sc_compare_gold(t, item);
    json_t *list = NULL, *example = NULL;
    if (prompt && o->chat) {
        list = json_array();
        bool ok = list && (!o->instruction || say(list, "system", o->instruction)) && say(list, "user", prompt) &&
                  say(list, "assistant", answer);
        if (ok) example = json_pack("{s:O}", "messages", list);
    } else if (prompt) {
        example = json_pack("{s:s++, s:s+}", "prompt", o->instruction ? o->instruction : "",
                            o->instruction ? "\n\n" : "", prompt, "completion", " ", answer);
    }
    json_decref(list);
    sc_free(prompt);
    return example;
}
