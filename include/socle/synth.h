/* SPDX-License-Identifier: Apache-2.0 */
/* Data that models make: instructions with their answers, talk about pictures that are only described, answers that were
 * revised by principles, preferences between answers, attacks and how often they succeed.
 *
 * Each function fills a folder:
 *   data.jsonl      what was made, a JSON object a line, with its provenance
 *   rejected.jsonl  what was made and left out, with `reason`
 *   answers.jsonl   each answer of each model, as it came. What is in it is not asked again: a call that was stopped goes on by
 *                   being called again, to the same result
 *   summary.json    counts, by reason and by kind
 *   report.html     the same as a page, with examples
 * All but answers.jsonl appear whole or not at all. docs/synth.md has the fields. */
#ifndef SOCLE_SYNTH_H
#define SOCLE_SYNTH_H

#include "socle/ask.h"

#ifdef __cplusplus
extern "C" {
#endif

/* 0 or NULL: the default, in brackets. */
typedef struct sc_synth_options {
    const char *out;           /* the folder; made */
    uint64_t seed;             /* of everything that is drawn */
    double temperature, top_p; /* of answers [0.7, 0.95]; temperature below 0: the likeliest tokens */
    int64_t max_new_tokens;    /* of an answer [512] */
    int64_t round;  /* questions that are asked together before their answers are looked at [16]; what is made
                                   depends on it */
    double novelty; /* ROUGE-L with something made before, above which an instruction is none [0.7] */
    double near;    /* similarity of sets of word 5-grams with a line made before, from which a line is left out
                                   [0.8]; above 1: none is */
    bool plain;     /* ask in plain text even where the model chats */
    const char *command; /* as it was typed, for the report; NULL: unknown */
} sc_synth_options;

typedef struct sc_synth_result {
    int64_t asked, before;  /* answers that were asked for; that answers.jsonl had already */
    int64_t kept, rejected; /* lines */
} sc_synth_result;

/* ---- instructions (Wang et al. 2023, "Self-Instruct") ---- */

typedef struct sc_self_instruct {
    const char
        *seeds;    /* .jsonl: "instruction", "instances" with "input" and "output", "is_classification"; or Alpaca's
                          "instruction", "input", "output" */
    int64_t count; /* instructions to make [100] */
    int64_t
        shown; /* of those that there are, in a prompt [8]; a quarter of them made ones, where there are as many */
    int64_t instances; /* examples of an instruction to keep, at most [1] */
} sc_self_instruct;
/* Ends before `count` where eight rounds one after the other gave nothing new: told as a warning. */
SC_API sc_status sc_synth_self_instruct(sc_context *ctx, sc_asker *model, const sc_synth_options *o,
                                        const sc_self_instruct *x, sc_synth_result *result);

/* ---- talk about pictures, by a model that sees their captions and boxes (Liu et al. 2023, "Visual Instruction Tuning") ---- */

typedef struct sc_synth_visual {
    const char *
        pictures; /* .jsonl: "image", "captions", "boxes" of "label" and "box" [x0, y0, x1, y1] or "bbox" [x, y, w, h], in
                             pixels with "width" and "height", or as shares */
    const char *const *kinds; /* "conversation", "detail", "reasoning" [all three] */
    int n_kinds;
    int64_t limit; /* pictures [all] */
} sc_synth_visual;
SC_API sc_status sc_synth_visual_instruct(sc_context *ctx, sc_asker *model, const sc_synth_options *o,
                                          const sc_synth_visual *x, sc_synth_result *result);

/* ---- answers by principles (Bai et al. 2022, "Constitutional AI") ---- */

typedef struct sc_synth_constitution {
    const char *constitution; /* JSON as sc_synth_constitution_text gives it; NULL: the project's */
    const char *prompts;      /* text, a prompt a line, or .jsonl with "prompt" */
    int64_t limit;            /* prompts [all] */
    int64_t revisions;        /* critiques and revisions of an answer, one after the other [1] */
    bool preferences;         /* instead: two answers each, and which of them the principles prefer */
    int64_t judged;           /* principles that a preference is the mean over [1] */
    double margin; /* of preferences: the chance of the better one less a half must be so large [0.05], up to 0.5 */
} sc_synth_constitution;
/* data.jsonl: messages to learn from, or prompt, chosen and rejected. */
SC_API sc_status sc_synth_constitutional(sc_context *ctx, sc_asker *model, const sc_synth_options *o,
                                         const sc_synth_constitution *x, sc_synth_result *result);
/* The project's constitution as JSON, to be changed; owned (sc_free). */
SC_API sc_status sc_synth_constitution_text(char **out);

/* ---- attacks ---- */

typedef struct sc_synth_redteam {
    const char
        *prompts; /* further attacks, .jsonl with "prompt", and "category" and "harmful" where known; NULL: none */
    bool no_templates;        /* the project's own are left out */
    int64_t generate;         /* attacks to be written by `model` after the examples of those [0] */
    int64_t limit;            /* attacks [all] */
    sc_asker *const *targets; /* models to attack, [0] the one before and [1] after, or any; n_targets may be 0 */
    int n_targets;
    sc_asker *judge; /* says whether an answer helps with harm; NULL: rules alone decide */
} sc_synth_redteam;
/* data.jsonl: the attacks, each with the targets' answers and what they were judged to be. summary.json has for each target the
 * rates of refusals and of harmful answers with 95% intervals, and for two targets whether they differ. model may be NULL where
 * nothing is to be written. */
SC_API sc_status sc_synth_attack(sc_context *ctx, sc_asker *model, const sc_synth_options *o,
                                 const sc_synth_redteam *x, sc_synth_result *result);

#ifdef __cplusplus
}
#endif
#endif
