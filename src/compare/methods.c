/* SPDX-License-Identifier: Apache-2.0 */
/* Methods by their names: the ways of asking (asking.h), and the ways of training, which are asked plainly afterwards. */
#include "compare/compare.h"

static const struct {
    const char *name, *other, *summary;
    sc_compare_learns learns;
} trained[] = {
    {"prompt-tuned", "prompt-tuning", "virtual tokens trained, the model as it is", SC_COMPARE_PROMPT},
    {"lora", "qlora", "a LoRA adapter trained, the model as it is stored", SC_COMPARE_LORA},
    {"full", "fine-tuned", "all weights trained", SC_COMPARE_ALL},
};

const char *sc_compare_method_at(int i, const char **summary)
{
    int asked = 0;
    while (sc_ask_method_at(asked, NULL)) asked++;
    if (i < asked) return sc_ask_method_at(i, summary);
    if (i - asked >= SC_COUNT(trained)) return NULL;
    if (summary) *summary = trained[i - asked].summary;
    return trained[i - asked].name;
}

sc_status sc_compare_method_make(sc_compare_method *out, const char *name, const sc_compare_options *o)
{
    sc_compare_method m = {.name = name};
    const char *asked = name, *colon = strchr(name, ':');
    for (int i = 0; i < SC_COUNT(trained); i++)
        if (strcmp(trained[i].name, name) == 0 || strcmp(trained[i].other, name) == 0) {
            m.learns = trained[i].learns;
            m.name = trained[i].name;
            asked = "zero-shot";
        }
    sc_status s = sc_ask_method_named(&m.ask, asked);
    if (s) return s;
    if (!colon && m.ask.shots > 1) m.ask.shots = (int)o->shots;
    if (!colon && m.ask.samples > 1) m.ask.samples = (int)o->samples;
    if (!colon && m.ask.reasoning == SC_REASON_THINK) m.ask.think_most = o->think_tokens;
    m.ask.reason_tokens = o->think_tokens;
    m.ask.answer_tokens = o->max_tokens;
    m.ask.pick = !o->pick || strcmp(o->pick, "balanced") == 0 ? SC_PICK_BALANCED
                 : strcmp(o->pick, "nearest") == 0            ? SC_PICK_NEAREST
                                                              : SC_PICK_RANDOM;
    if (o->reward && strncmp(name, "best-of", 7) == 0) m.ask.choosing = SC_CHOOSE_REWARD;
    *out = m;
    return sc_ask_method_check(&m.ask);
}

bool sc_compare_by_chance(const sc_compare_method *m)
{
    return m->learns || m->ask.samples > 1 || m->ask.reasoning == SC_REASON_TREE ||
           (m->ask.shots && m->ask.pick != SC_PICK_NEAREST);
}
