/* SPDX-License-Identifier: Apache-2.0 */
/* Between run.c and run_ask.c: the options of `socle run` that ask in another way than once. */
#ifndef SC_CMD_RUN_ASK_H
#define SC_CMD_RUN_ASK_H

#include "cmd/cmd.h"

struct sc_sampling;
/* What of its numbers was typed, into *o. (run.c) */
void sc_run_read_sampling(const sc_cmd *c, struct sc_sampling *o);
/* Whether one of these options, or an endpoint, was given. */
bool sc_run_asks(const sc_cmd *c);
/* The whole verb then. The exit code. */
int sc_run_ask(sc_cmd *c);

#define SC_OPT_RUN_ASK                                                                                              \
    {"method", 0, SC_OPT_STR, "NAME[:N]",                                                                           \
     "a way of asking: zero-shot, one-shot, few-shot, chain-of-thought, few-shot-cot, self-consistency, "           \
     "best-of-n, tree, tree-dfs, think"},                                                                           \
        {"examples", 0, SC_OPT_FILE, "FILE", "solved examples (JSON Lines: input, answer[, reasoning])"},           \
        {"shots", 0, SC_OPT_INT, "K", "put K of them before the prompt (4)", .lo = 0, .hi = 256},                   \
        {"pick", 0, SC_OPT_CHOICE, "random|balanced|nearest|first", "which ones", .value = "random"},               \
        {"pick-by", 0, SC_OPT_STR, "MODEL", "nearest by the meaning that this embedding model gives"},              \
        {"cot", 0, SC_OPT_FLAG, .help = "reason step by step before the answer"},                                   \
        {"samples", 0, SC_OPT_INT, "N", "answer N times and vote", .lo = 1, .hi = 4096},                            \
        {"vote", 0, SC_OPT_FLAG, .help = "of several samples the answer that most give, as is usual"},              \
        {"best-of", 0,         SC_OPT_INT, "N", "answer N times and take the best: the likeliest, or by --reward",  \
         .lo = 1,   .hi = 4096},                                                                                    \
        {"reward", 0, SC_OPT_DIR, "DIR", "a reward model that says which answer is best"},                          \
        {"tree", 0, SC_OPT_CHOICE, "bfs|dfs", "a tree of thoughts: a beam of them, or in depth with going back"},   \
        {"tree-steps", 0, SC_OPT_INT, "N", "thoughts behind one another, at most (6)", .lo = 1, .hi = 100},         \
        {"tree-width", 0, SC_OPT_INT, "N", "thoughts tried behind each (3)", .lo = 1, .hi = 256},                   \
        {"tree-keep", 0, SC_OPT_INT, "N", "of a beam (2)", .lo = 1, .hi = 256},                                     \
        {"tree-value", 0, SC_OPT_CHOICE, "judge|vote|likelihood", "how thoughts are compared", .value = "judge"},   \
        {"think", 0, SC_OPT_INT, "N", "think before the answer, at most N tokens", .lo = 1, .hi = 1e7},             \
        {"think-least", 0,        SC_OPT_INT, "N", "... and at least N: a shorter thinking is told to go on",       \
         .lo = 0,       .hi = 1e7},                                                                                 \
        {"answer", 0, SC_OPT_CHOICE, "auto|text|number", "what an answer is within what is said", .value = "auto"}, \
        {"choice", 0, SC_OPT_STR, "TEXT", "the answer is one of these", .many = true},                              \
        {"reasoning", 0, SC_OPT_FLAG, .help = "print the reasoning before the answer"},                             \
    {                                                                                                               \
        "check-order", 0, SC_OPT_INT, "N",                                                                          \
            "say how far N orders of the examples, and N exchanges of their answers, change the answer",            \
            .lo = 2, .hi = 1000                                                                                     \
    }

#endif
