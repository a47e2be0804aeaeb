/* SPDX-License-Identifier: Apache-2.0 */
/* Ways of asking a question: with solved examples before it, with reasoning before the answer, several times with a vote or a
 * choice among the answers, along a tree of thoughts, with a budget of thinking. All work on any asker (ask.h). */
#ifndef SOCLE_ASKING_H
#define SOCLE_ASKING_H

#include "socle/ask.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- examples ---- */

typedef struct sc_ask_example {
    sc_text input, answer;
    sc_text reasoning; /* what leads to the answer; p NULL: there is none */
    const sc_text *choices;
    int64_t n_choices;
} sc_ask_example;

/* Solved examples to choose from. One owner. */
typedef struct sc_ask_examples sc_ask_examples;
SC_API sc_status sc_ask_examples_new(sc_ask_examples **out);
/* JSON Lines or one JSON array, plain or compressed, of objects. input: "input", "question", "prompt" or "text"; answer:
 * "answer", "output", "target", "label" or "completion"; reasoning: "reasoning", "rationale" or "cot"; "choices": an array, and
 * then an answer that is a number is the place of the right one, counted from 0. An answer with "####" in it (GSM8K) is
 * reasoning before it and the answer behind. */
SC_API sc_status sc_ask_examples_read(sc_ask_examples **out, const char *path);
SC_API void sc_ask_examples_free(sc_ask_examples *e);
SC_API sc_status sc_ask_examples_add(sc_ask_examples *e, const sc_ask_example *x); /* copies */
SC_API int64_t sc_ask_examples_count(const sc_ask_examples *e);
SC_API const sc_ask_example *sc_ask_examples_at(const sc_ask_examples *e,
                                                int64_t i); /* borrowed; NULL: there are fewer */
/* From now on meanings are compared as `by` embeds inputs (it must outlive e); without it nearest is by the words that two
 * inputs share, rare ones counting more (cosine of tf-idf; of scripts without spaces pairs of characters). */
SC_API sc_status sc_ask_examples_embed(sc_ask_examples *e, sc_embedder *by);

typedef enum sc_ask_pick {
    SC_PICK_FIRST,    /* the first ones, as they stand */
    SC_PICK_RANDOM,   /* by the seed, the same for every question */
    SC_PICK_BALANCED, /* the same, of each answer as many as can be */
    SC_PICK_NEAREST,  /* for each question those whose inputs are most like it, the most alike last */
} sc_ask_pick;
/* Which `shots` examples stand before `input`, into rows; *n of them, fewer where there are fewer. One whose input is the very
 * same is never among them. order: 0: as picked; else a permutation of its own for each number. */
SC_API sc_status sc_ask_examples_pick(sc_ask_examples *e, sc_ask_pick pick, int shots, uint64_t seed,
                                      uint64_t order, sc_text input, int64_t *rows, int *n);

/* ---- the task ---- */

typedef enum sc_answer_kind {
    SC_ANSWER_AUTO, /* a choice where there are choices, a number where all examples' answers are numbers, else a text */
    SC_ANSWER_TEXT,   /* what was said, without spaces around it */
    SC_ANSWER_NUMBER, /* the number that it comes to */
    SC_ANSWER_CHOICE, /* one of the choices */
} sc_answer_kind;

/* The answer within what a model said: behind the last "answer is", "####" or "\boxed{" where there is one, else the last
 * number, the last choice named, or all of it. *out is owned; NULL: there is none. */
SC_API sc_status sc_ask_extract(char **out, sc_answer_kind kind, const char *said, int64_t len,
                                const sc_text *choices, int64_t n_choices);
/* Two answers mean the same: numbers by value, texts without case, spaces and punctuation around them, articles. */
SC_API bool sc_ask_same(sc_answer_kind kind, const char *a, const char *b);

/* Scores what was answered to a question's input: more is better. */
typedef struct sc_ask_reward {
    sc_status (*score)(void *user, sc_text prompt, const sc_text *answers, int64_t n, double *out);
    void *user;
} sc_ask_reward;
/* A reward model: a classifier with one label, in HuggingFace's layout or GGUF; what it reads is its chat template's rendering
 * of the prompt and the answer, or without a template one behind the other and the token that ends texts. */
typedef struct sc_ask_judge sc_ask_judge;
SC_API sc_status sc_ask_judge_open(sc_ask_judge **out, sc_context *ctx, const char *path);
SC_API void sc_ask_judge_free(sc_ask_judge *j);
SC_API sc_ask_reward sc_ask_judge_reward(sc_ask_judge *j); /* valid as long as j is */

typedef enum sc_ask_form {
    SC_FORM_AUTO,  /* messages where the asker takes them */
    SC_FORM_PLAIN, /* one text: input_label input, answer_label answer, … */
    SC_FORM_CHAT,  /* examples are turns of a conversation */
} sc_ask_form;

typedef struct sc_ask_task {
    const char *instruction; /* before everything, or the system prompt; NULL: none */
    const char *input_label,
        *answer_label; /* of plain prompts; NULL: "Question: " and "Answer:" where there are examples,
                                               else the question stands alone */
    bool
        bare; /* inputs are whole prompts: nothing is put around them, and answers follow behind a space. input_label
                  is then how one begins, where that is known: where it comes again, an answer ends */
    bool labels; /* choices are labels of one set: their likelihoods are compared as they are, and not per byte */
    sc_ask_form form;
    sc_answer_kind kind;
    sc_ask_examples *examples; /* NULL: none */
    sc_ask_reward reward;      /* score NULL: none */
} sc_ask_task;

typedef struct sc_ask_question {
    sc_text input;
    const sc_text *choices; /* n_choices; none: the answer is free */
    int64_t n_choices;
} sc_ask_question;

/* ---- the method ---- */

typedef enum sc_ask_reasoning {
    SC_REASON_NONE,  /* the answer at once; choices are compared by their likelihood where that can be had */
    SC_REASON_CHAIN, /* step by step, then the answer (Wei et al. 2022; without examples Kojima et al. 2022) */
    SC_REASON_TREE,  /* thoughts are tried, valued and kept or dropped (Yao et al. 2023) */
    SC_REASON_THINK, /* a budget of thinking, lengthened or cut (Muennighoff et al. 2025, "s1") */
} sc_ask_reasoning;

typedef enum sc_ask_choosing {
    SC_CHOOSE_VOTE,      /* the answer of most samples (Wang et al. 2022), of equal ones the likelier */
    SC_CHOOSE_LIKELIEST, /* the sample with the highest mean log probability of its tokens */
    SC_CHOOSE_REWARD,    /* the sample with the highest reward */
} sc_ask_choosing;

typedef enum sc_ask_valuing {
    SC_VALUE_JUDGED,    /* the model says sure, likely or impossible of each */
    SC_VALUE_VOTED,     /* the model says which of them is best */
    SC_VALUE_LIKELIHOOD /* the mean log probability of the thought; needs no further question */
} sc_ask_valuing;

typedef struct sc_ask_method {
    /* examples */
    int shots; /* 0 to 256 */
    sc_ask_pick pick;
    uint64_t order;       /* as in sc_ask_examples_pick */
    uint64_t swap_labels; /* not 0: the examples' answers are exchanged among them, by this number */
    /* reasoning */
    sc_ask_reasoning reasoning;
    bool depth_first; /* of trees: follow the best, go back from what falls below `threshold`; else keep a beam */
    int steps;        /* thoughts behind one another at most */
    int width;        /* thoughts tried behind each */
    int keep;         /* of a beam */
    double threshold; /* 0 to 1, of depth_first */
    int most;         /* thoughts in all, of depth_first */
    sc_ask_valuing valuing;
    int64_t think_least, think_most; /* tokens of thinking */
    const char *more;                /* what is put where thinking ends too early; NULL: "\nWait," */
    /* samples */
    int samples; /* 1: greedy, unless a tree is grown */
    sc_ask_choosing choosing;
    sc_sampling sampling;                 /* of samples and thoughts; do_sample is set where there are several */
    int64_t reason_tokens, answer_tokens; /* at most */
    uint64_t seed;
} sc_ask_method;

/* A method by its name: "zero-shot", "one-shot", "few-shot[:K]", "chain-of-thought" (or "cot"), "few-shot-cot[:K]",
 * "self-consistency[:N]", "best-of-n[:N]", "tree", "tree-dfs", "think[:TOKENS]", with usual values for the rest. SC_ENOTFOUND. */
SC_API sc_status sc_ask_method_named(sc_ask_method *out, const char *name);
/* What there is: name and summary, for help; NULL: there are fewer. */
SC_API const char *sc_ask_method_at(int i, const char **summary);
SC_API sc_status sc_ask_method_check(const sc_ask_method *m);

typedef struct sc_ask_solution {
    char *answer;       /* owned; "" where none was found */
    char *text;         /* owned: what the chosen sample said, reasoning and all */
    char *details;      /* owned: JSON, {"prompt", "samples": [{"text", "answer", "score"}]} or a tree's thoughts */
    int samples, votes; /* answered, and of them those with this answer */
    double confidence;  /* of choices by likelihood the share of the probability, else the share of the votes */
    int64_t tokens;     /* generated for it */
} sc_ask_solution;
SC_API void sc_ask_solutions_free(sc_ask_solution *s, int64_t n);

/* Answers n questions; out: n solutions, done's result is the sc_ask_solution. Questions are taken in blocks, so that much is
 * computed at once; results do not depend on it. */
SC_API sc_status sc_ask_solve(sc_asker *a, const sc_ask_method *m, const sc_ask_task *t, const sc_ask_question *q,
                              int64_t n, sc_ask_solution *out, sc_ask_done done, void *user);

/* ---- how much the examples' order and labels decide ---- */

typedef struct sc_ask_stability {
    int orders;
    double same_order; /* of questions and further orders, the share with the answer of the first order */
    double
        same_labels; /* … with the examples' answers exchanged: near 1, the answers were not learned from the examples */
    double least, mean, most; /* share of right answers over the orders; NAN without answers to compare with */
    double labels;            /* … with exchanged answers */
} sc_ask_stability;
/* Asks the n questions under `orders` orders (>= 2) of the method's examples, and under as many exchanges of their answers.
 * answers: what is right; NULL: not known. Needs shots. */
SC_API sc_status sc_ask_stability_of(sc_asker *a, const sc_ask_method *m, const sc_ask_task *t,
                                     const sc_ask_question *q, const char *const *answers, int64_t n, int orders,
                                     sc_ask_stability *out);

#ifdef __cplusplus
}
#endif
#endif
