/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the ways of asking. Whatever the way, what is asked is a prompt (a plain text or messages) and, behind it, how the
 * answer begins: reasoning so far, a tree's thoughts, the words that call for the answer. */
#ifndef SC_ASK_ASKING_H
#define SC_ASK_ASKING_H

#include "ask/ask.h"
#include "socle/asking.h"

/* A question as it is asked. */
typedef struct sc_ask_prompt {
    const sc_ask_question *question;
    sc_text plain, messages; /* one of them; owned */
    sc_answer_kind kind;
} sc_ask_prompt;

/* What all steps of one call need. */
typedef struct sc_ask_run {
    sc_asker *a;
    const sc_ask_method *m;
    const sc_ask_task *t;
    bool chat;
    bool scores;         /* likelihoods of given answers can be had */
    const char *stop[4]; /* what ends an answer's text, n_stop */
    int64_t n_stop;
    const char *open, *close; /* around thinking */
    const char *conclude;     /* calls for the answer behind a reasoning */
    int64_t tokens;           /* generated */
} sc_ask_run;

/* sc_ask_examples_read of a text. (examples.c) */
sc_status sc_ask_examples_parse(sc_ask_examples **out, const char *p, int64_t n, const char *what);

sc_answer_kind sc_ask_kind_of(const sc_ask_task *t, const sc_ask_question *q);
sc_status sc_ask_prompt_make(sc_ask_prompt *out, const sc_ask_run *r, const sc_ask_question *q);
void sc_ask_prompt_free(sc_ask_prompt *p);
/* What a question's choices are called when the model is to say one. */
sc_ask_request sc_ask_request_of(const sc_ask_run *r, const sc_ask_prompt *p, sc_text begin, int64_t tokens);

/* One of a question's samples on its way. */
typedef struct sc_ask_candidate {
    const sc_ask_prompt *prompt;
    uint64_t sample; /* tells its random numbers from others */
    sc_str said;     /* reasoning so far, as the assistant's words */
    char *answer;    /* owned; NULL: none was found */
    double logprob;  /* of all that was generated; NAN: not known */
    int64_t tokens;
    double share; /* of the probability, where choices were compared; NAN */
    double score; /* what it is chosen by */
} sc_ask_candidate;

/* n candidates' answers: of choices by their likelihood behind what was said, else short texts. `calls`: the words that call
 * for the answer stand between. (answer.c) */
sc_status sc_ask_answer_all(sc_ask_run *r, sc_ask_candidate **c, int64_t n, bool calls);
/* The answer is announced in words ("the answer is", "####", …), not only to be guessed. (extract.c) */
sc_status sc_ask_trimmed(char **out, const char *said,
                         int64_t len); /* without spaces around it; NULL: nothing is left */
bool sc_ask_told(const char *said, int64_t len);
/* Reasoning of n candidates: a chain, or thinking within the budget. (reason.c) */
sc_status sc_ask_reason_all(sc_ask_run *r, sc_ask_candidate *c, int64_t n);
/* Grows one question's tree; c becomes the best leaf, without its answer. *details: an array of thoughts, owned. (tree.c) */
sc_status sc_ask_tree_grow(sc_ask_run *r, sc_ask_candidate *c, json_t **details);

/* Whether one of several words is behind a prompt, as probabilities that sum to 1: by their likelihood where that can be had, else
 * by asking a few times. (answer.c) */
sc_status sc_ask_words(sc_ask_run *r, const sc_text *plain, int64_t n, const char *const *words, int n_words,
                       double *p);

/* The example's answer behind its reasoning, where the method reasons. */
#define SC_ASK_CONCLUDE "The answer is"

#endif
