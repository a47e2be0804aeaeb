/* SPDX-License-Identifier: Apache-2.0 */
/* What `train` and the verbs of `tune` share: rows of their tables, how these become sc_train_options, and the run with what
 * it shows. A verb of tune whose method is an objective is
 *
 *     static int tune_dpo(sc_cmd *c)
 *     {
 *         sc_cmd_training t;
 *         int rc = sc_cmd_tune_options(c, &t, "dpo");              // MODEL, --data, … into t.o; 0 or the exit code
 *         if (rc) return rc;
 *         t.o.dpo.beta = sc_cmd_typed_num(c, "beta");              // the method's own; 0 where not typed
 *         return sc_cmd_train(c, &t);                              // runs, and frees what t has
 *     }
 *     static const sc_option options[] = {
 *         {"beta", 0, SC_OPT_NUM, "B", "…", .value = "0.1", .lo = 0, .hi = 100},
 *         SC_OPT_TUNE,
 *         {0}};
 *
 * One with a loop of its own reads the same rows, or those groups of them that it has, calls sc_cmd_training_free and shows
 * sc_train_event with sc_cmd_train_event. */
#ifndef SC_CMD_TUNE_H
#define SC_CMD_TUNE_H

#include "cmd/cmd.h"
#include "socle/tune.h"

/* Rows of tables; clang-format would spread them one value a line. */
/* clang-format off */
#define SC_OPT_TUNE_DATA                                                                                           \
    {"data", 'd', SC_OPT_FILE, "FILE", ".jsonl, .json or .tsv to learn from, maybe .gz or .zst", .many = true},    \
    {"eval-data", 0, SC_OPT_FILE, "FILE", "the same to measure on, and not to learn from", .many = true}

#define SC_OPT_TRAIN_RUN                                                                                           \
    {"out", 'o', SC_OPT_DIR, "DIR", "the run's folder: a model directory with checkpoints, report.html and more"}, \
    {"resume", 'r', SC_OPT_FLAG, .help = "go on with the run in --out, whose options need not be given again"},    \
    {"steps", 'n', SC_OPT_INT, "N", "optimiser steps; 0: as many as --epochs need", .value = "0", .lo = 0,         \
     .hi = 1e12},                                                                                                  \
    {"epochs", 0, SC_OPT_NUM, "N", "times through the data", .value = "1", .lo = 1e-6, .hi = 1e6},                 \
    {"batch", 'b', SC_OPT_INT, "N", "sequences of a batch", .value = "8", .lo = 1, .hi = 65536},                   \
    {"length", 'l', SC_OPT_INT, "N", "tokens of a sequence; 0: the model's context, at most 512", .value = "0",    \
     .lo = 0, .hi = 1 << 20},                                                                                      \
    {"accumulate", 0, SC_OPT_INT, "N", "batches of a step", .value = "1", .lo = 1, .hi = 1e6}

/* what: is usual */
#define SC_OPT_TRAIN_LR(what)                                                                                      \
    {"lr", 0, SC_OPT_NUM, "RATE", "the highest learning rate; 0: " what, .value = "0", .lo = 0, .hi = 100}

#define SC_OPT_TRAIN_RATE                                                                                          \
    {"optimizer", 0, SC_OPT_CHOICE, "adamw|adam|sgd|lion|adafactor|muon", "how gradients change weights",          \
     .value = "adamw"},                                                                                            \
    {"schedule", 0, SC_OPT_CHOICE, "cosine|linear|constant|inverse_sqrt|wsd|noam", "of the learning rate",         \
     .value = "cosine"},                                                                                           \
    {"rest-lr", 0, SC_OPT_NUM, "RATE", "with muon, of tables, heads and vectors, which AdamW changes",             \
     .value = "0.001", .lo = 1e-12, .hi = 100},                                                                    \
    {"muon-scale", 0, SC_OPT_CHOICE, "original|match_rms_adamw|spectral_unclamped",                                \
     "how muon's rate depends on a matrix's shape; match_rms_adamw takes AdamW's rates", .value = "original"},     \
    {"beta1", 0, SC_OPT_NUM, "B", "decay of the first moment; 0: the optimiser's own", .value = "0", .lo = 0,      \
     .hi = 1},                                                                                                     \
    {"beta2", 0, SC_OPT_NUM, "B", "decay of the second moment; 0: the optimiser's own", .value = "0", .lo = 0,     \
     .hi = 1},                                                                                                     \
    {"weight-decay", 0, SC_OPT_NUM, "W", "of what --decay says", .value = "0.1", .lo = 0, .hi = 10},               \
    {"decay", 0, SC_OPT_CHOICE, "matrices|hidden|all", "what decays; hidden: no tables of tokens and no head",     \
     .value = "matrices"},                                                                                         \
    {"group", 0, SC_OPT_STR, "PATTERN:lr=RATE,decay=W",                                                            \
     "other settings of the parameters whose names fit, such as '*.bias:decay=0'; the last that fits counts",      \
     .many = true},                                                                                                \
    {"warmup", 0, SC_OPT_NUM, "SHARE", "of all steps, in which the rate rises", .value = "0.02", .lo = 0, .hi = 1}, \
    {"clip", 0, SC_OPT_NUM, "NORM", "of the gradients, at most; 0: any", .value = "1", .lo = 0, .hi = 1e9},        \
    {"precision", 0, SC_OPT_CHOICE, "f32|bf16",                                                                    \
     "bf16: round what is multiplied, where the machine multiplies that; sums and weights stay f32",               \
     .value = "f32"},                                                                                              \
    {"recompute", 0, SC_OPT_FLAG,                                                                                  \
     .help = "keep less for the backward pass and compute it again: less memory, more time, the same bits"}

#define SC_OPT_PEFT                                                                                                \
    {"peft", 0, SC_OPT_CHOICE, "lora|ia3|bottleneck|prompt|prefix|bitfit|layers",                                  \
     "train small tensors beside the weights, or a few of these; the rest stays as it is stored"},                 \
    {"targets", 0, SC_OPT_STR, "NAMES",                                                                            \
     "of which layers: all-linear; names or their ends, q_proj,v_proj; re:REGEX (what is usual for the method)"},  \
    {"rank", 0, SC_OPT_INT, "R", "lora: of what is added", .value = "8", .lo = 1, .hi = 65536},                    \
    {"alpha", 0, SC_OPT_NUM, "A", "lora: it counts A / R times; 0: twice", .value = "0", .lo = 0, .hi = 1e9},      \
    {"rslora", 0, SC_OPT_FLAG, .help = "lora: it counts A / sqrt(R) times"},                                       \
    {"dora", 0, SC_OPT_FLAG, .help = "lora: the lengths of rows are trained by themselves"},                       \
    {"dropout", 0, SC_OPT_NUM, "SHARE", "lora: of its input that is left out at random", .value = "0", .lo = 0,    \
     .hi = 0.99},                                                                                                  \
    {"train-also", 0, SC_OPT_STR, "NAMES", "parameters to train as they are beside that: such as lm_head"},       \
    {"width", 0, SC_OPT_INT, "N", "bottleneck: its width; 0: a sixteenth of the model's", .value = "0", .lo = 0,   \
     .hi = 1 << 20},                                                                                               \
    {"after-ffn", 0, SC_OPT_FLAG, .help = "bottleneck: none behind attention"},                                    \
    {"virtual-tokens", 0, SC_OPT_INT, "N", "prompt, prefix: how many", .value = "20", .lo = 1, .hi = 65536},       \
    {"virtual-text", 0, SC_OPT_STR, "TEXT", "prompt: what they begin as (tokens by chance)"}

#define SC_OPT_TRAIN_AVERAGE                                                                                       \
    {"ema", 0, SC_OPT_NUM, "SHARE", "keep averages of the weights, of which a step leaves so much (0.999); 0: none", \
     .value = "0", .lo = 0, .hi = 0.999999999},                                                                    \
    {"ema-model", 0, SC_OPT_FLAG, .help = "the run's model has the averages for weights"}

#define SC_OPT_TRAIN_ORDER                                                                                         \
    {"seed", 's', SC_OPT_INT, "N", "of the first weights and of the order of the data", .value = "0", .lo = 0,     \
     .hi = 1e15},                                                                                                  \
    {"in-order", 0, SC_OPT_FLAG, .help = "take the data as it comes and do not shuffle it"}

#define SC_OPT_TRAIN_KEEP                                                                                          \
    {"save-every", 0, SC_OPT_INT, "N", "steps between checkpoints", .value = "500", .lo = 1, .hi = 1e12},          \
    {"keep", 0, SC_OPT_INT, "N", "checkpoints to keep", .value = "2", .lo = 1, .hi = 1e6},                         \
    {"eval-every", 0, SC_OPT_INT, "N", "steps between evaluations; 0: with each checkpoint", .value = "0", .lo = 0, \
     .hi = 1e12},                                                                                                  \
    {"best", 0, SC_OPT_FLAG, .help = "the run's model is the checkpoint with the lowest evaluation loss"},         \
    {"log-every", 0, SC_OPT_INT, "N", "steps between lines of metrics.jsonl", .value = "10", .lo = 1, .hi = 1e12}, \
    {"prompt", 'p', SC_OPT_STR, "TEXT", "a text to continue along the way, for the report", .many = true},         \
    {"sample-every", 0, SC_OPT_INT, "N", "steps between samples; 0: with each checkpoint", .value = "0", .lo = 0,  \
     .hi = 1e12},                                                                                                  \
    {"sample-tokens", 0, SC_OPT_INT, "N", "tokens of a sample, at most", .value = "64", .lo = 1, .hi = 1e6}

#define SC_OPT_TRAIN_SPIKES                                                                                        \
    {"on-spike", 0, SC_OPT_CHOICE, "warn|skip|rollback",                                                           \
     "when the loss leaps: say so; leave the batch out; or go back to the last checkpoint and leave out all since", \
     .value = "warn"},                                                                                             \
    {"spike-factor", 0, SC_OPT_NUM, "X", "deviations above the median that make a spike", .value = "8", .lo = 0.1, \
     .hi = 1e9},                                                                                                   \
    {"spike-window", 0, SC_OPT_INT, "N", "steps before it that the median is of", .value = "128", .lo = 4,         \
     .hi = 1 << 20},                                                                                               \
    {"spike-limit", 0, SC_OPT_INT, "N", "spikes to leave out before giving up", .value = "10", .lo = 1, .hi = 1e6}

#define SC_OPT_SFT                                                                                                 \
    {"template", 0, SC_OPT_FILE, "NAME", "chat template: chatml, plain or a file (the model's own)"},              \
    {"learn", 0, SC_OPT_CHOICE, "answers|last|all", "what of a conversation is learned", .value = "answers"},      \
    {"overlong", 0, SC_OPT_CHOICE, "end|start|drop",                                                               \
     "what is longer than --length loses its end or its start, or is left out", .value = "end"},                   \
    {"as-chat", 0, SC_OPT_FLAG, .help = "a prompt and its completion are a turn of a conversation, not one text"}, \
    {"pack", 0, SC_OPT_FLAG, .help = "as many sequences as fit --length count as one; they do not see each other"}, \
    {"eval-share", 0, SC_OPT_NUM, "SHARE", "of --data, to measure on and not to learn from", .value = "0", .lo = 0, \
     .hi = 0.99}

#define SC_OPT_TRAIN_CONTINUAL                                                                                     \
    {"replay", 0, SC_OPT_FILE, "FILE", "old data, to learn along with the new so that it is not forgotten",        \
     .many = true},                                                                                                \
    {"replay-share", 0, SC_OPT_NUM, "SHARE", "of each batch's examples that are old", .value = "0.1", .lo = 0.001, \
     .hi = 0.999},                                                                                                 \
    {"old-eval-data", 0, SC_OPT_FILE, "FILE",                                                                      \
     "old data to measure before, along the way and after, for what the report says of forgetting", .many = true}, \
    {"ewc", 0, SC_OPT_NUM, "X",                                                                                    \
     "hold weights where they began, each as strongly as old data needs it, times this; 0: not", .value = "0",     \
     .lo = 0, .hi = 1e12},                                                                                         \
    {"ewc-data", 0, SC_OPT_FILE, "FILE", "old data for --ewc", .many = true},                                      \
    {"ewc-from", 0, SC_OPT_FILE, "FILE", "for --ewc, anchor.safetensors of an earlier run, added to --ewc-data"},  \
    {"ewc-examples", 0, SC_OPT_INT, "N", "examples of --ewc-data to look at", .value = "256", .lo = 1, .hi = 1e9}, \
    {"l2-start", 0, SC_OPT_NUM, "X", "hold all weights alike where they began; 0: not", .value = "0", .lo = 0,     \
     .hi = 1e6}

/* Of all methods that learn from preferences. */
#define SC_OPT_PREFER                                                                                              \
    {"template", 0, SC_OPT_FILE, "NAME", "chat template: chatml, plain or a file (the model's own)"},              \
    {"as-chat", 0, SC_OPT_FLAG, .help = "a prompt and its answers are a turn of a conversation, not one text"},    \
    {"eval-share", 0, SC_OPT_NUM, "SHARE", "of --data, to measure on and not to learn from", .value = "0", .lo = 0, \
     .hi = 0.99},                                                                                                  \
    {"skip-equal", 0, SC_OPT_FLAG, .help = "leave out pairs of equal answers, which are an error otherwise"}
/* what: is usual */
#define SC_OPT_PREFER_BETA(usual, what)                                                                            \
    {"beta", 0, SC_OPT_NUM, "B", what "; 0: " usual, .value = "0", .lo = 0, .hi = 1000}
#define SC_OPT_PREFER_REFERENCE                                                                                    \
    {"reference", 0, SC_OPT_FILE, "MODEL", "folder or GGUF file of the model that stays as it is (MODEL)"}
#define SC_OPT_PREFER_PRECOMPUTE                                                                                   \
    {"precompute", 0, SC_OPT_FLAG,                                                                                 \
     .help = "ask the reference about all data first, keep that in --out, and give its memory back"}
#define SC_OPT_PREFER_SFT                                                                                          \
    {"sft-weight", 0, SC_OPT_NUM, "W", "how much the chosen answers' own loss counts beside", .value = "0", .lo = 0, \
     .hi = 1000}

/* What answers are worth and how they are made. */
#define SC_OPT_REWARDS \
    {"reward", 0, SC_OPT_STR, "[FACTOR*]NAME[=X]", "what is good in an answer, as below; several add up", .many = true}, \
    {"reward-model", 0, SC_OPT_STR, "DIR", "a reward model, as `socle tune reward` makes", .many = true}, \
    {"reward-cmd", 0, SC_OPT_STR, "COMMAND", "a command that reads JSON lines of prompt, completion and record and answers each with a number", .many = true}, \
    {"reward-seconds", 0, SC_OPT_NUM, "S", "for a program to answer, or for tests to end", .value = "10", .lo = 0.01, .hi = 1e5}, \
    {"reward-failed", 0, SC_OPT_NUM, "R", "for an answer whose program crashed or did not end", .value = "0", .lo = -1e6, .hi = 1e6}, \
    {"max-tokens", 0, SC_OPT_INT, "N", "of an answer", .value = "64", .lo = 1, .hi = 1 << 20}, \
    {"temperature", 0, SC_OPT_NUM, "T", "that answers are sampled at", .value = "1", .lo = 0.01, .hi = 100}, \
    {"no-end", 0, SC_OPT_NUM, "R", "taken off an answer that does not end within --max-tokens", .value = "0", .lo = 0, .hi = 1e6}, \
    {"template", 0, SC_OPT_FILE, "NAME", "chat template: chatml, plain or a file (the model's own)"}, \
    {"as-chat", 0, SC_OPT_FLAG, .help = "a prompt is a turn of a conversation, not a text to go on from"}
/* Of methods that learn from it. kl, rollouts, passes, group: what is usual */
#define SC_OPT_POLICY(kl, rollouts, passes, group) \
    SC_OPT_REWARDS, \
    {"rollouts", 0, SC_OPT_INT, "N", "answers to make before learning from them; 0: " rollouts, .value = "0", .lo = 0, .hi = 1 << 20}, \
    {"group-size", 0, SC_OPT_INT, "N", "answers to the same prompt; 0: " group, .value = "0", .lo = 0, .hi = 4096}, \
    {"passes", 0, SC_OPT_INT, "N", "times that an answer is learned from; 0: " passes, .value = "0", .lo = 0, .hi = 1000}, \
    {"kl", 0, SC_OPT_NUM, "B", "how little it is to leave the reference; 0: there is none (" kl ")", .value = kl, .lo = 0, .hi = 100}, \
    {"reference", 0, SC_OPT_FILE, "MODEL", "folder or GGUF file of the model that stays as it is (MODEL)"}, \
    {"clip-low", 0, SC_OPT_NUM, "E", "ratios of probabilities count from 1 - E on", .value = "0.2", .lo = 0.001, .hi = 1}, \
    {"clip-high", 0, SC_OPT_NUM, "E", "... up to 1 + E; 0: as --clip-low", .value = "0", .lo = 0, .hi = 100}
#define SC_CMD_REWARDS                                                                                             \
    "Rewards: number (the answer's last number is the last of the record's \"answer\"), exact (the texts are the\n" \
    "same), regex=PATTERN, schema=FILE (JSON as the schema says), tests (Python that passes the record's\n"        \
    "\"tests\" in a sandbox), length=TOKENS, model=DIR, cmd=COMMAND.\n"

/* clang-format on */
/* All that a verb of tune has beside what its method needs. */
#define SC_OPT_TUNE                                                                                                \
    SC_OPT_TUNE_DATA, SC_OPT_TRAIN_RUN, SC_OPT_TRAIN_LR("what is usual for the method and the optimiser"),         \
        SC_OPT_PEFT, SC_OPT_TRAIN_RATE, SC_OPT_TRAIN_AVERAGE, SC_OPT_TRAIN_ORDER, SC_OPT_TRAIN_KEEP,               \
        SC_OPT_TRAIN_CONTINUAL, SC_OPT_TRAIN_SPIKES, SC_OPT_CONTEXT

/* What is shown of a run. */
typedef struct sc_cmd_view {
    sc_cmd *cmd;
    bool quiet, terminal;
    double peak,
        last; /* f32 operations a second that this machine can do, 0: not known; when the last line was drawn */
    int ranks;
    double communication, transfer; /* of the last step's event */
} sc_cmd_view;
sc_cmd_view sc_cmd_view_of(sc_cmd *c);
/* One line that is drawn over at a terminal; elsewhere a line at a time, and seldom. A sc_train_report, of a sc_cmd_view. */
void sc_cmd_train_event(void *view, const sc_train_event *e);

/* Options, and what they look into. */
typedef struct sc_cmd_training {
    sc_train_options o;
    char *model;           /* its path; NULL: o.model is what was typed */
    const char **list[16]; /* values of options that may be given several times */
    int lists;
    bool distills; /* sc_tune_distill */
    const char *policy; /* "ppo", "grpo": of sc_tune_policy; NULL: sc_train */
} sc_cmd_training;
/* Of the rows above those that the verb's table has. 0, or the exit code after a message; nothing is left to free then. */
int sc_cmd_training_options(sc_cmd *c, sc_cmd_training *t);
/* The same for a verb of tune, with the model as first argument: what of it is missing is told. */
int sc_cmd_tune_options(sc_cmd *c, sc_cmd_training *t, const char *objective);
/* SC_OPT_SFT into options. */
void sc_cmd_sft_options(sc_cmd *c, sc_train_options *o);
/* SC_OPT_PREFER… and what else the verb's table has of sc_preference_options. */
void sc_cmd_prefer_options(const sc_cmd *c, sc_train_options *o);
/* A whole verb of tune that learns `objective` from preferences. */
int sc_cmd_tune_preferences(sc_cmd *c, const char *objective);
void sc_cmd_training_free(sc_cmd_training *t);
/* The rows of SC_OPT_POLICY or SC_OPT_REWARDS into t->o; false without memory. */
bool sc_cmd_policy_options(sc_cmd *c, sc_cmd_training *t);
/* A verb whose method is "ppo" or "grpo", whole. */
int sc_cmd_tune_policy(sc_cmd *c, const char *method);
/* sc_train with them, shown; frees what t has. The exit code. */
int sc_cmd_train(sc_cmd *c, sc_cmd_training *t);

/* In sc_train_options 0 is what is usual, as for options that were not typed: a run that goes on has its own. A number
 * below 0 says none there (sc_cmd_typed_or_none); at the command line 0 does. Rows that the table lacks are not typed. */
int64_t sc_cmd_typed_int(const sc_cmd *c, const char *name);
double sc_cmd_typed_num(const sc_cmd *c, const char *name);
double sc_cmd_typed_or_none(const sc_cmd *c, const char *name);
const char *sc_cmd_typed_str(const sc_cmd *c, const char *name);
bool sc_cmd_typed_flag(const sc_cmd *c, const char *name);
/* The values of an option that may be given several times. false without memory. */
bool sc_cmd_typed_list(const sc_cmd *c, sc_cmd_training *t, const char *name, const char *const **out, int *n);

#endif
