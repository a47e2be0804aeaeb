/* SPDX-License-Identifier: Apache-2.0 */
/* `socle tune reject`: a model's best answers, as data to fine-tune on. */
#include "cmd/tune.h"

#include <math.h>

static int tune_reject(sc_cmd *c)
{
    sc_cmd_training t;
    sc_reject_counts n;
    int rc = sc_cmd_tune_options(c, &t, NULL);
    if (rc) return rc;
    if (!sc_cmd_policy_options(c, &t)) {
        sc_cmd_training_free(&t);
        return sc_cmd_error(c, "out of memory");
    }
    t.o.rl.group = sc_cmd_int(c, "samples");
    sc_context *ctx = sc_cmd_context(c);
    sc_status s = ctx ? sc_tune_reject(ctx, &t.o, sc_cmd_int(c, "best"),
                                       sc_cmd_given(c, "least") ? sc_cmd_num(c, "least") : -INFINITY, &n)
                      : SC_EINVAL;
    if (!s)
        sc_cmd_note(c,
                    "%lld prompts, %lld answers: mean reward %.3f, of each prompt's best %.3f; kept %lld with %.3f",
                    (long long)n.prompts, (long long)n.answers, n.mean, n.best, (long long)n.kept, n.kept_mean);
    sc_cmd_training_free(&t);
    return s ? sc_cmd_fail(c) : 0;
}

static const sc_option options[] = {
    SC_OPT_REWARDS,
    {"samples", 0, SC_OPT_INT, "N", "answers to each prompt", .value = "8", .lo = 1, .hi = 4096},
    {"best", 0, SC_OPT_INT, "K", "of them to keep, if they are different", .value = "1", .lo = 1, .hi = 4096},
    {"least", 0, SC_OPT_NUM, "R", "reward that an answer must have to be kept (any)", .value = "0", .lo = -1e9,
     .hi = 1e9},
    SC_OPT_TUNE_DATA,
    {"out", 'o', SC_OPT_FILE, "FILE", "the .jsonl to write: prompt and completion, or messages, and reward"},
    {"seed", 's', SC_OPT_INT, "N", "of the answers", .value = "0", .lo = 0, .hi = 1e15},
    SC_OPT_CONTEXT,
    {0}};
static const sc_example examples[] = {
    {"socle tune reject run-sft --data gsm8k.jsonl --reward number --least 1 --samples 16 --best 4 --max-tokens "
     "256 "
     "--out right.jsonl",
     "Right answers alone, four different ones of sixteen, to fine-tune on"},
    {"socle tune reject run-sft --data prompts.jsonl --reward-model run-rm --samples 8 --out best.jsonl",
     "The best of eight by a reward model"},
    {0}};
const sc_verb sc_verb_tune_reject = {
    .name = "tune reject",
    .summary = "Sample answers and keep the best as data to fine-tune on",
    .args = "MODEL",
    .about =
        "Best-of-n and rejection sampling: what is written is data for `socle tune sft`. What was done is kept "
        "beside --out\n"
        "until the file is whole, and the same command goes on from there.\n" SC_CMD_REWARDS,
    .max_args = 1,
    .options = options,
    .examples = examples,
    .run = tune_reject};
