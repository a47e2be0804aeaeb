/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as what a model says, as examples, and as what an endpoint sends back. */
#include "ask/asking.h"
#include "ask/reply.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_reply(const char *p, int64_t n)
{
    static const char *const stop[] = {"\n"};
    sc_ask_reply reply;
    sc_ask_counts counts = {0};
    if (!sc_ask_reply_read(&reply, p, n, "endpoint")) {
        sc_ask_request r = {.stop = stop, .n_stop = 1};
        for (int i = 0; i < sc_ask_reply_choices(&reply); i++) {
            sc_ask_answer a = {0};
            if (!sc_ask_reply_choice(&reply, i, &r, &a) && (int64_t)strlen(a.text) > a.len) abort();
            sc_ask_answers_free(&a, 1);
        }
        sc_ask_continuation c = {.context = {"a b", 3}, .continuation = {" c", 2}};
        sc_ask_score score;
        (void)sc_ask_reply_score(&reply, &c, &score);
        if (sc_ask_reply_usage(&reply, &counts) < 0 || counts.prompt_tokens < 0) abort();
    }
    sc_ask_reply_free(&reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const sc_answer_kind kinds[] = {SC_ANSWER_TEXT, SC_ANSWER_NUMBER, SC_ANSWER_CHOICE};
    const sc_text choices[] = {{"yes", 3}, {"no", 2}, {"B", 1}};
    const char *p = (const char *)data;
    int64_t n = (int64_t)size, rows[8];
    sc_ask_examples *e;
    for (int i = 0; i < SC_COUNT(kinds); i++) {
        char *answer;
        if (sc_ask_extract(&answer, kinds[i], p, n, choices, 3) || !answer) continue;
        if (!*answer) abort();
        (void)sc_ask_same(kinds[i], answer, "7");
        sc_free(answer);
    }
    if (!sc_ask_examples_parse(&e, p, n, "input")) {
        int found;
        for (int pick = SC_PICK_FIRST; pick <= SC_PICK_NEAREST; pick++)
            if (!sc_ask_examples_pick(e, (sc_ask_pick)pick, 8, 1, 1, (sc_text){p, SC_MIN(n, 100)}, rows, &found) &&
                found > sc_ask_examples_count(e))
                abort();
        sc_ask_examples_free(e);
    }
    as_reply(p, n);
    return 0;
}
