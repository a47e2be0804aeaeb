/* SPDX-License-Identifier: Apache-2.0 */
/* Training on a model's own answers. */
#ifndef SOCLE_TUNE_H
#define SOCLE_TUNE_H

#include "socle/ask.h"
#include "socle/train.h"

#ifdef __cplusplus
extern "C" {
#endif

/* sc_train of a decoder with rewards for its answers to the data's prompts, as o->rl says. method: "ppo" (Schulman et al. 2017,
 * arXiv:1707.06347, with the details of Ouyang et al. 2022, arXiv:2203.02155: a value head on the policy's own states) or "grpo"
 * (Shao et al. 2024, arXiv:2402.03300). An epoch is all prompts once, and each answer learned from as often as
 * o->rl.passes says. The data are .jsonl, .json or .tsv: "prompt" (a text, or a list of messages), and what rewards look at:
 * "answer", "tests". SC_EINVAL: a reward is no number, and all that sc_train returns; the run is as it was after its last
 * checkpoint then. */
SC_API sc_status sc_tune_policy(sc_context *ctx, const sc_train_options *o, const char *method,
                                sc_train_report *report, void *user);

/* sc_train of the objective "distill", of whose batches o->distill.on_policy have the student's own answers. */
SC_API sc_status sc_tune_distill(sc_context *ctx, const sc_train_options *o, sc_train_report *report, void *user);

/* What a teacher is asked, and how. 0: the default, in brackets. */
typedef struct sc_tune_texts_options {
    const char *const *
        data; /* n_data files of conversations or prompts, as for fine-tuning (docs/tune.md); answers in them are left out */
    int n_data;
    const char *out;        /* a .jsonl file, which is gone on with where it is there */
    bool chat;              /* prompts with completions are turns of conversations */
    int64_t max_new_tokens; /* of an answer [512] */
    double temperature;     /* 0: the likeliest token each time */
    int samples;            /* answers to each question, at most 1000 [1] */
    uint64_t seed;
} sc_tune_texts_options;
typedef struct sc_tune_texts_counts {
    int64_t kept, answers;     /* that were there; new ones */
    int64_t unfinished, empty; /* of the new ones: cut off, without text; they are written with "weight": 0 */
    int64_t left_out;          /* records that ask nothing */
} sc_tune_texts_counts;
/* Asks for the last answer of each conversation and for what follows each prompt, and writes a record of data with each answer, in
 * which "source", "line" and "teacher" say where it comes from. Answers follow from the seed and their place alone. SC_EINVAL:
 * nothing is asked, or out has answers of another teacher or to other data; SC_ECANCELLED: what is written is whole. */
SC_API sc_status sc_tune_texts(sc_context *ctx, sc_asker *a, const sc_tune_texts_options *o,
                               sc_tune_texts_counts *out);

/* Best-of-n and rejection sampling (Nakano et al. 2021, arXiv:2112.09332; Touvron et al. 2023, "Llama 2"): o->rl.group answers
 * [8] of o->model to each prompt of o->data, of which the `best` [1] with the highest rewards, of at least `least`, are written to
 * the file o->out as data for sft: prompt, completion or messages, and reward. What is done is kept in o->out.part, from which the
 * same call goes on where it was stopped; the file appears whole. */
typedef struct sc_reject_counts {
    int64_t prompts, answers, kept;
    double mean, best, kept_mean; /* rewards: of all answers, of each prompt's best, of those that were kept */
} sc_reject_counts;
SC_API sc_status sc_tune_reject(sc_context *ctx, const sc_train_options *o, int64_t best, double least,
                                sc_reject_counts *out);

/* The three stages of RLHF (Ouyang et al. 2022) one after the other: OUT/sft from conversations, OUT/reward from preferences,
 * OUT/ppo from prompts with the reward model, and OUT/report.html and OUT/rlhf.json with what each gained: mean rewards of
 * answers to `eval_prompts` [prompts] before and after. Stages that are finished are not made again, one that was stopped
 * goes on. */
typedef struct sc_rlhf_options {
    const char *out;
    sc_train_options sft, reward, ppo; /* model of the first, data and sizes of each; the rest is filled in */
    const char *const *eval_prompts;
    int n_eval_prompts;
} sc_rlhf_options;
SC_API sc_status sc_tune_rlhf(sc_context *ctx, const sc_rlhf_options *o, sc_train_report *report, void *user);

#ifdef __cplusplus
}
#endif
#endif
