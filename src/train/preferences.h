/* SPDX-License-Identifier: Apache-2.0 */
/* What the objectives of preferences share: prompts with answers of which people like one better, or that they like or not; batches
 * of them; and what a loss is made of. P pairs (or examples) a batch, S sequences, R rows of logits. */
#ifndef SC_TRAIN_PREFERENCES_H
#define SC_TRAIN_PREFERENCES_H

#include "train/reference.h"

/* ---- data (preferences.c) ---- */

typedef enum sc_answers { SC_ANSWERS_PAIRS, SC_ANSWERS_SINGLE } sc_answers;

/* A prompt with its answers, one behind the other in the ids: the better, then the worse, or one alone. */
typedef struct sc_preference {
    int64_t at, prompt, n[2]; /* tokens; n[1] 0: there is one answer */
    float value;      /* of a pair by how much the better is (0: not said), of one answer 1: wanted, 0: not */
    const char *path; /* where it was read */
    int64_t line;
} sc_preference;

/* Starts as {0} but for `kind`. */
typedef struct sc_preferences {
    sc_answers kind;
    int32_t *ids;
    int64_t n_ids, cap_ids;
    sc_preference *item;
    int64_t count, cap;
    int64_t tokens, equal, too_long,
        shortened;          /* of pairs with equal sides, answers without room, prompts cut at the left */
    const char *equal_path; /* the first of them */
    int64_t equal_line;
    char *source; /* of a chat template that is not the model's; NULL: there is none */
} sc_preferences;
/* Reads files of pairs or of single answers, of which no sequence has more than `most` tokens. SC_EINVAL: equal sides, unless the
 * options say to leave them out; nothing is left. */
sc_status sc_preferences_read(sc_preferences *p, const sc_objective_setup *s, const char *const *path, int n,
                              int64_t most);
/* The same of one file's text. */
sc_status sc_preferences_parse(sc_preferences *p, const sc_objective_setup *s, const char *name, const char *text,
                               int64_t len, int64_t most);
/* Moves a share of the examples, at least one, to those to be measured; which ones follows from the seed. */
sc_status sc_preferences_divide(sc_preferences *p, sc_preferences *eval, double share, uint64_t seed);
void sc_preferences_free(sc_preferences *p);
/* Answer k of example i. */
const int32_t *sc_preference_answer(const sc_preferences *p, const sc_preference *x, int k);

/* ---- batches (preference_batch.c) ---- */

/* The inputs of a loss, in sc_text_batch.more. */
enum {
    SC_PREFER_MEMBER,    /* (S, R) 1 where a row is of a sequence's answer, or 1 / its number of tokens for means */
    SC_PREFER_MINUS,     /* (R) -1 */
    SC_PREFER_WEIGHT,    /* (P) counts: 1 / P */
    SC_PREFER_REFERENCE, /* (S) what the reference gives the answers */
    SC_PREFER_OWN,       /* an objective's own, three */
};

/* The data of an objective with its order, and what a reference said of it. Starts as {0} but for `data[].kind`, `means` and
 * `prompts`. */
typedef struct sc_preference_set {
    sc_preferences data[2]; /* the data, and the evaluation's */
    bool means;             /* log-probabilities of answers are means over their tokens */
    bool prompts;           /* the better answers' prompts have rows too, which belong to no answer */
    int64_t rows, most;     /* examples of a batch; tokens of a sequence */
    int64_t *length;
    sc_order order;
    sc_reference *reference; /* NULL: none, or everything is known */
    float *known[2];         /* (count, 2) what it gave each answer, NaN: not yet; NULL: there is no reference */
    sc_maker maker;
    int64_t *chosen; /* the examples of the batch */
    int64_t count;
    bool eval;
    int64_t *row_of;                         /* sequence of each row, -1: of none */
    int64_t cap_row_of, own_rows, sequences; /* own_rows: without what fills up */
    float *member, *minus, *weight, *said;   /* inputs */
    int64_t cap_member, cap_minus;
    float *scores; /* of rows */
    int64_t cap_scores;
} sc_preference_set;
/* Reads the data; refers: a reference is opened as the options say, or what it said is read or computed. */
sc_status sc_preference_set_open(sc_preference_set *x, const sc_objective_setup *s, bool refers);
void sc_preference_set_free(sc_preference_set *x);
/* Of an objective that begins with its set: as in sc_objective. publish is its `finish`. */
void sc_preference_set_size(const void *self, sc_objective_size *out);
void sc_preference_set_describe(void *self, int64_t index, sc_str *out);
sc_status sc_preference_set_publish(const void *self, const char *dir);
/* Batch `index`: all better answers, then all worse ones, with the inputs above. */
sc_status sc_preference_set_batch(sc_preference_set *x, bool eval, int64_t index, sc_text_batch *out);
/* The same in steps, for other sequences: begin, sequences, finish. */
void sc_preference_set_begin(sc_preference_set *x, bool eval, int64_t index);
/* Answer k of all examples, each behind its prompt. */
void sc_preference_set_answers(sc_preference_set *x, int k);
/* All prompts of single answers, each with the answer of another example of the batch. */
void sc_preference_set_strangers(sc_preference_set *x);
/* The sequences alone, for a model to be asked about; and with the inputs of a loss. */
sc_status sc_preference_set_close(sc_preference_set *x, sc_text_batch *out);
sc_status sc_preference_set_finish(sc_preference_set *x, sc_text_batch *out);
/* The weights of sc_preference_add_nll for a batch of pairs, in *room. */
sc_status sc_preference_nll_weights(const sc_preference_set *x, sc_text_batch *b, float **room, int64_t *cap,
                                    int which);
/* What a model gives the answers of a finished batch: (S) sums over their tokens. */
sc_status sc_preference_set_ask(sc_preference_set *x, sc_reference *r, const sc_text_batch *b, float *out);

/* ---- graphs (preference_loss.c) ---- */

/* What a loss is of: numbers of the better and the worse answers, (P) each. */
typedef struct sc_sides {
    sc_tensor *better, *worse;
} sc_sides;

/* Pairs, or examples, of a batch. */
int64_t sc_preference_pairs(const sc_text_batch *b);
/* Builds the model for a batch and adds the inputs above, that of the reference where it is wanted: *p is what the model gives
 * the answers (S). */
sc_status sc_preference_log_probs(sc_loss_graph *out, const sc_model *m, const sc_text_batch *b, bool refers,
                                  sc_tensor **p);
/* Adds the input more[which]. */
sc_tensor *sc_preference_input(sc_loss_graph *out, int which, const char *name, int rank, const int64_t *dim);
/* x (2P or more) as sides. */
sc_sides sc_preference_sides(sc_graph *g, sc_tensor *x, int64_t pairs);
sc_tensor *sc_minus(sc_graph *g, sc_tensor *a, sc_tensor *b);
/* Adds a metric: the sum of weight times x, both (P). */
void sc_preference_metric(sc_loss_graph *out, const char *name, sc_tensor *x, sc_tensor *weight);
/* Rewards of both sides as metrics, and in how many pairs the better one's is higher. */
void sc_preference_rewards(sc_loss_graph *out, sc_sides rewards, sc_tensor *weight);
/* Adds `times` the mean cross entropy of the better answers' rows to the loss, and as a metric; their weights are more[which]. */
void sc_preference_add_nll(sc_loss_graph *out, const sc_text_batch *b, int which, float times);

typedef enum sc_dpo_loss { SC_DPO_SIGMOID, SC_DPO_HINGE, SC_DPO_IPO, SC_DPO_IPO_SUM, SC_DPO_ROBUST } sc_dpo_loss;
/* The kind by its name; -1: none. */
int sc_dpo_named(const char *name);
/* Losses (P) of how much more the better answers are ahead of the worse ones than with the reference. smoothing: the share of pairs
 * that may be the wrong way round. (Rafailov et al. 2023; hinge: Zhao et al. 2023, "SLiC-HF"; IPO: Azar et al. 2023; robust:
 * Chowdhury et al. 2024) */
sc_tensor *sc_dpo_losses(sc_graph *g, sc_dpo_loss kind, sc_tensor *ahead, float beta, float smoothing);
/* Of mean log-probabilities a token (Hong et al. 2024): minus the logarithm of the sigmoid of the log odds ratio, (P). */
sc_tensor *sc_orpo_losses(sc_graph *g, sc_sides means);
/* Of the same (Meng et al. 2024). */
sc_tensor *sc_simpo_losses(sc_graph *g, sc_sides means, float beta, float gamma, float smoothing);
/* Of answers' log ratios to the reference, the divergence from it and 1 or -1 (Ethayarajh et al. 2024), (P) each. */
sc_tensor *sc_kto_losses(sc_graph *g, sc_tensor *ratio, sc_tensor *divergence, sc_tensor *sign, float beta);
/* reward.better - reward.worse is to be above margin (P; NULL: 0), and their sum near 0 as far as `center` says. */
sc_tensor *sc_reward_losses(sc_graph *g, sc_sides reward, sc_tensor *margin, float center);

#endif
