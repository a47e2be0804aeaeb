/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/compare.h"

static const sc_compare_method methods[] = {
    {"zero-shot", "the question alone"},
    {"one-shot", "one solved example before it", .shots = 1},
    {"few-shot", "several solved examples before it", .shots = -1},
    {"cot", "reasoning before the answer", .thinks = true},
    {"self-consistency", "several reasonings and a vote", .thinks = true, .samples = true},
    {"best-of-n", "several reasonings, and the one that the model finds likeliest", .thinks = true, .samples = true,
     .likeliest = true},
    {"prompt-tuned", "virtual tokens trained, the model as it is", .learns = SC_COMPARE_PROMPT},
    {"lora", "a LoRA adapter trained, the model as it is", .learns = SC_COMPARE_LORA},
    {"full", "all weights trained", .learns = SC_COMPARE_ALL},
};

/* What else they are called. */
static const char *const others[][2] = {{"chain-of-thought", "cot"},
                                        {"best-of", "best-of-n"},
                                        {"prompt-tuning", "prompt-tuned"},
                                        {"full-fine-tune", "full"},
                                        {"fine-tuned", "full"}};

const sc_compare_method *sc_compare_method_named(const char *name)
{
    for (int i = 0; i < SC_COUNT(others); i++)
        if (strcmp(others[i][0], name) == 0) name = others[i][1];
    for (int i = 0; i < SC_COUNT(methods); i++)
        if (strcmp(methods[i].name, name) == 0) return &methods[i];
    return NULL;
}

const char *sc_compare_method_at(int i, const char **summary)
{
    if (i < 0 || i >= SC_COUNT(methods)) return NULL;
    if (summary) *summary = methods[i].summary;
    return methods[i].name;
}
