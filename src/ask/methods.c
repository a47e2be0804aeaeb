/* SPDX-License-Identifier: Apache-2.0 */
/* Ways of asking by their names. */
#include "ask/asking.h"

#include <stdlib.h>

static const struct {
    const char *name, *other, *summary;
    const char *number; /* what a number behind the name says; NULL: none may stand there */
} methods[] = {
    {"zero-shot", "zero_shot", "the question alone", NULL},
    {"one-shot", "one_shot", "one solved example before it", NULL},
    {"few-shot", "few_shot", "several solved examples before it", "examples"},
    {"chain-of-thought", "cot", "reasoning step by step, then the answer", NULL},
    {"few-shot-cot", "few_shot_cot", "worked examples, and reasoning like theirs", "examples"},
    {"self-consistency", "self_consistency", "several reasonings and a vote", "samples"},
    {"best-of-n", "best-of", "several answers, and the one with the highest reward or likelihood", "samples"},
    {"tree", "tree-bfs", "a beam of thoughts, valued step by step", "thoughts at each step"},
    {"tree-dfs", "tree_dfs", "thoughts followed in depth, with going back", "thoughts at each step"},
    {"think", "budget", "a budget of thinking, then the answer", "tokens"},
};

const char *sc_ask_method_at(int i, const char **summary)
{
    if (i < 0 || i >= SC_COUNT(methods)) return NULL;
    if (summary) *summary = methods[i].summary;
    return methods[i].name;
}

static sc_ask_method usual(void)
{
    sc_ask_method m = {.steps = 6,
                       .width = 3,
                       .keep = 2,
                       .threshold = 0.3,
                       .most = 60,
                       .think_least = 0,
                       .think_most = 512,
                       .samples = 1,
                       .sampling = SC_SAMPLING_INIT,
                       .reason_tokens = 256,
                       .answer_tokens = 64};
    m.sampling.temperature = 0.7; /* of self-consistency's paper, as is the top_k */
    m.sampling.top_k = 40;
    return m;
}

static int find(const char *name, size_t n)
{
    for (int i = 0; i < SC_COUNT(methods); i++)
        if ((strlen(methods[i].name) == n && !memcmp(methods[i].name, name, n)) ||
            (strlen(methods[i].other) == n && !memcmp(methods[i].other, name, n)))
            return i;
    return -1;
}

static void set_number(sc_ask_method *m, int i, int number)
{
    const char *what = methods[i].number;
    if (strcmp(what, "examples") == 0) m->shots = number;
    if (strcmp(what, "samples") == 0) m->samples = number;
    if (strncmp(what, "thoughts", 8) == 0) m->width = number;
    if (strcmp(what, "tokens") == 0) m->think_most = number;
}

sc_status sc_ask_method_named(sc_ask_method *out, const char *name)
{
    const char *colon = strchr(name, ':');
    int i = find(name, colon ? (size_t)(colon - name) : strlen(name));
    long number = 0;
    if (i < 0) return sc_fail(SC_ENOTFOUND, "no way of asking is called '%s'", name);
    if (colon) {
        char *end;
        number = strtol(colon + 1, &end, 10);
        if (!methods[i].number || end == colon + 1 || *end || number < 1 || number > 100000)
            return sc_fail(SC_EINVAL, "'%s': %s", name,
                           methods[i].number ? "behind the colon stands a number" : "it takes no number");
    }
    sc_ask_method m = usual();
    const char *n = methods[i].name;
    if (strcmp(n, "one-shot") == 0) m.shots = 1;
    if (strncmp(n, "few-shot", 8) == 0) m.shots = 4;
    if (strcmp(n, "chain-of-thought") == 0 || strcmp(n, "few-shot-cot") == 0 || strcmp(n, "self-consistency") == 0)
        m.reasoning = SC_REASON_CHAIN;
    if (strcmp(n, "self-consistency") == 0) m.samples = 8;
    if (strcmp(n, "best-of-n") == 0) {
        m.samples = 8;
        m.choosing = SC_CHOOSE_LIKELIEST;
    }
    if (strncmp(n, "tree", 4) == 0) m.reasoning = SC_REASON_TREE;
    if (strcmp(n, "tree-dfs") == 0) m.depth_first = true;
    if (strncmp(n, "tree", 4) == 0) m.reason_tokens = 64; /* of one thought */
    if (strcmp(n, "think") == 0) m.reasoning = SC_REASON_THINK;
    if (colon) set_number(&m, i, (int)number);
    sc_status s = sc_ask_method_check(&m);
    if (!s) *out = m;
    return s;
}

sc_status sc_ask_method_check(const sc_ask_method *m)
{
    const struct {
        const char *name;
        int64_t value, least, most;
    } fields[] = {{"shots", m->shots, 0, 256},
                  {"steps", m->steps, 1, 100},
                  {"width", m->width, 1, 256},
                  {"keep", m->keep, 1, 256},
                  {"most", m->most, 1, 100000},
                  {"think_least", m->think_least, 0, 1 << 24},
                  {"think_most", m->think_most, 1, 1 << 24},
                  {"samples", m->samples, 1, 4096},
                  {"reason_tokens", m->reason_tokens, 1, 1 << 24},
                  {"answer_tokens", m->answer_tokens, 1, 1 << 24}};
    for (int i = 0; i < SC_COUNT(fields); i++)
        if (fields[i].value < fields[i].least || fields[i].value > fields[i].most)
            return sc_fail(SC_EINVAL, "a method's %s is %lld, outside %lld to %lld", fields[i].name,
                           (long long)fields[i].value, (long long)fields[i].least, (long long)fields[i].most);
    if (!(m->threshold >= 0 && m->threshold <= 1))
        return sc_fail(SC_EINVAL, "a method's threshold is %g, outside 0 to 1", m->threshold);
    if (m->think_least > m->think_most)
        return sc_fail(SC_EINVAL, "at least %lld tokens of thinking and at most %lld", (long long)m->think_least,
                       (long long)m->think_most);
    return sc_sampling_check(&m->sampling);
}
