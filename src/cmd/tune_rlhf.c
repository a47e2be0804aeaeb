/* SPDX-License-Identifier: Apache-2.0 */
/* `socle tune rlhf`: fine-tuning, a reward model and PPO, one after the other. */
#include "cmd/tune.h"
#include "socle/hub.h"

/* What the stages have in common, and how many steps each makes. */
static void fill(sc_cmd *c, sc_train_options *x, const char *steps)
{
    *x = (sc_train_options){.steps = sc_cmd_int(c, steps),
                            .batch = sc_cmd_int(c, "batch"),
                            .length = sc_cmd_int(c, "length"),
                            .lr = sc_cmd_typed_num(c, "lr"),
                            .seed = (uint64_t)sc_cmd_int(c, "seed"),
                            .chat_template = sc_cmd_typed_str(c, "template"),
                            .chat = sc_cmd_typed_flag(c, "as-chat")};
}

static int tune_rlhf(sc_cmd *c)
{
    static const char *const needed[] = {"out", "sft", "pairs", "prompts"};
    sc_cmd_training t = {0};
    sc_rlhf_options o = {.out = sc_cmd_str(c, "out")};
    if (!sc_cmd_arg(c, 0)) return sc_cmd_usage(c, "a MODEL to begin with is needed");
    for (int i = 0; i < 4; i++)
        if (!sc_cmd_count(c, needed[i]) && !(i == 0 && o.out)) return sc_cmd_usage(c, "--%s is needed", needed[i]);
    fill(c, &o.sft, "sft-steps");
    fill(c, &o.reward, "reward-steps");
    fill(c, &o.ppo, "ppo-steps");
    o.sft.eval_share = o.reward.eval_share = sc_cmd_num(c, "eval-share");
    o.ppo.lr = sc_cmd_typed_num(c, "ppo-lr");
    o.ppo.rl.max_tokens = sc_cmd_int(c, "max-tokens");
    o.ppo.rl.kl = sc_cmd_num(c, "kl") > 0 ? sc_cmd_num(c, "kl") : -1;
    if (!sc_cmd_typed_list(c, &t, "sft", &o.sft.data, &o.sft.n_data) ||
        !sc_cmd_typed_list(c, &t, "pairs", &o.reward.data, &o.reward.n_data) ||
        !sc_cmd_typed_list(c, &t, "prompts", &o.ppo.data, &o.ppo.n_data) ||
        !sc_cmd_typed_list(c, &t, "eval-prompts", &o.eval_prompts, &o.n_eval_prompts)) {
        sc_cmd_training_free(&t);
        return sc_cmd_error(c, "out of memory");
    }
    sc_context *ctx = sc_cmd_context(c);
    sc_cmd_view v = sc_cmd_view_of(c);
    sc_status s = ctx ? sc_hub_resolve(&t.model, sc_cmd_arg(c, 0)) : SC_EINVAL;
    o.sft.model = t.model;
    if (!s) s = sc_tune_rlhf(ctx, &o, sc_cmd_train_event, &v);
    if (!s) sc_cmd_note(c, "%s/report.html tells what each stage gained; the model is %s/ppo", o.out, o.out);
    sc_cmd_training_free(&t);
    return s ? sc_cmd_fail(c) : 0;
}

static const sc_option options[] = {
    {"sft", 0, SC_OPT_FILE, "FILE", "conversations to fine-tune on, as of `socle tune sft`", .many = true},
    {"pairs", 0, SC_OPT_FILE, "FILE", "preferences for the reward model, as of `socle tune reward`", .many = true},
    {"prompts", 0, SC_OPT_FILE, "FILE", "what PPO asks, as of `socle tune ppo`", .many = true},
    {"eval-prompts", 0, SC_OPT_FILE, "FILE", "what each stage's gain is measured on (--prompts)", .many = true},
    {"out", 'o', SC_OPT_DIR, "DIR", "gets sft, reward and ppo, runs with reports of their own, and report.html"},
    {"sft-steps", 0, SC_OPT_INT, "N", "of fine-tuning; 0: once through the data", .value = "0", .lo = 0, .hi = 1e9},
    {"reward-steps", 0, SC_OPT_INT, "N", "of the reward model; 0: once through the data", .value = "0", .lo = 0,
     .hi = 1e9},
    {"ppo-steps", 0, SC_OPT_INT, "N", "of PPO; 0: once through the prompts", .value = "0", .lo = 0, .hi = 1e9},
    {"batch", 'b', SC_OPT_INT, "N", "sequences of a step", .value = "8", .lo = 1, .hi = 65536},
    {"length", 'l', SC_OPT_INT, "N", "tokens of a sequence; 0: the model's context, at most 512", .value = "0",
     .lo = 0, .hi = 1 << 20},
    SC_OPT_TRAIN_LR("what is usual for each stage"),
    {"ppo-lr", 0, SC_OPT_NUM, "RATE", "PPO's; 0: what is usual", .value = "0", .lo = 0, .hi = 100},
    {"eval-share", 0, SC_OPT_NUM, "SHARE", "of conversations and pairs, to measure on and not to learn from",
     .value = "0.1", .lo = 0, .hi = 0.9},
    {"max-tokens", 0, SC_OPT_INT, "N", "of an answer", .value = "64", .lo = 1, .hi = 1 << 20},
    {"kl", 0, SC_OPT_NUM, "B", "how little PPO is to leave the fine-tuned model; 0: it may", .value = "0.05",
     .lo = 0, .hi = 100},
    {"template", 0, SC_OPT_FILE, "NAME", "chat template: chatml, plain or a file (the model's own)"},
    {"as-chat", 0, SC_OPT_FLAG, .help = "prompts are turns of a conversation, not texts to go on from"},
    {"seed", 's', SC_OPT_INT, "N", "of all stages", .value = "0", .lo = 0, .hi = 1e15},
    SC_OPT_CONTEXT,
    {0}};
static const sc_example examples[] = {
    {"socle tune rlhf SmolLM2-135M --template chatml --sft chats.jsonl --pairs hh.jsonl.gz --prompts asks.jsonl "
     "--out road",
     "All three stages"},
    {"socle tune rlhf base --sft demos.jsonl --pairs pairs.jsonl --prompts asks.jsonl --eval-prompts held.jsonl "
     "--ppo-steps 200 --out road",
     "With a number of steps, and prompts to measure on"},
    {0}};
const sc_verb sc_verb_tune_rlhf = {
    .name = "tune rlhf",
    .summary = "Fine-tune, make a reward model and train by PPO, in one command",
    .args = "MODEL",
    .about =
        "The road of RLHF: --out gets the runs sft, reward and ppo, and a report of what each stage gained: mean "
        "rewards of\n"
        "the likeliest answers before and after. The same command goes on where it was stopped.",
    .max_args = 1,
    .options = options,
    .examples = examples,
    .run = tune_rlhf};
