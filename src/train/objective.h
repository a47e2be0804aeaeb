/* SPDX-License-Identifier: Apache-2.0 */
/* What a model learns: an objective is one file, which reads its data, cuts batches of it and says what the loss is. The
 * learner knows graphs and gradients, the loop steps and checkpoints; neither knows what is learned. */
#ifndef SC_TRAIN_OBJECTIVE_H
#define SC_TRAIN_OBJECTIVE_H

#include "models/models.h"
#include "socle/tokenizer.h"
#include "socle/train.h"

enum { SC_MORE = 8 }; /* further inputs of a loss, and metrics, at most */

/* Numbers that a loss needs beside the labels: what a reference model said, advantages, …; value NULL: there is none. */
typedef struct sc_more_input {
    const float *value;
    int64_t n;
    bool counts; /* times the batch's share of a step, as sc_text_batch.weight is */
} sc_more_input;

/* Sequences end to end, and what is expected of them. All is borrowed from whoever made it, until the next one. */
typedef struct sc_text_batch {
    int64_t tokens, sequences;
    const int32_t *ids, *start; /* (tokens), (sequences + 1) */
    const int32_t *types;       /* (tokens), or NULL: 0 */
    const int32_t *positions;   /* (tokens), or NULL: counted in each sequence */
    int64_t source;             /* tokens that an encoder-decoder's encoder reads, in as many sequences; else 0 */
    const int32_t *source_ids, *source_start, *source_positions;
    int64_t rows;                /* of the result that are compared with something: all that follow are (rows) */
    const int32_t *wanted;       /* the tokens that they are of; NULL: all tokens, or all sequences, in turn */
    const int32_t *labels;       /* what should come out, negative: nothing is expected of the row */
    const float *target;         /* the same where it is numbers, else NULL */
    const float *weight;         /* how much each counts; together 1 */
    sc_more_input more[SC_MORE]; /* in turn */
    int64_t counted;             /* rows that something is expected of, by which batches count in a mean */
    int64_t index;           /* since the beginning of the training: what is left out at random follows from it */
    int64_t examples, words; /* of the data, without what only fills up; words: tokens, of both sides */
} sc_text_batch;

/* Room for a batch with virtual tokens. Starts as {0}. (virtual.c) */
typedef struct sc_virtual {
    int32_t *ids, *types, *positions, *start, *wanted;
    int64_t cap_ids, cap_types, cap_positions, cap_start, cap_wanted;
} sc_virtual;
/* The same batch with the virtual tokens that a model trains before each sequence; as it is where there are none. What the rows
 * are of is told by `wanted` then. Valid until the next one. */
sc_status sc_virtual_batch(sc_virtual *v, const sc_model *m, const sc_text_batch *b, sc_text_batch *out);
void sc_virtual_free(sc_virtual *v);

/* Something of a batch beside its loss, for metrics.jsonl: one element, a sum of terms times `weight` or an input that counts, so
 * that those of a step's batches add up to its mean. */
typedef struct sc_metric {
    const char *name;
    sc_tensor *value;
} sc_metric;

/* A model with its loss. Of the inputs those of `t` and these are filled from a batch; NULL: there is none. */
typedef struct sc_loss_graph {
    bool learns; /* given: gradients are wanted too */
    sc_text_graph t;
    sc_tensor *labels, *target, *weight, *more[SC_MORE];
    sc_metric metric[SC_MORE]; /* in turn; the first without a value ends them */
    sc_tensor *loss;           /* one element: the sum of weight times the loss of each row */
    sc_tensor *result;         /* (rows, n) what the loss compares, for scores; NULL: there are none */
    sc_tensor **also;          /* (n_also) constants whose gradients are wanted too, in the graph's arena */
    int64_t n_also;
} sc_loss_graph;

/* Sums over the batches of an evaluation. */
typedef struct sc_measure {
    double loss, counted;       /* of loss: times counted */
    double right;               /* results whose largest value is at the label */
    double n, x, y, xx, yy, xy; /* of pairs of numbers, for a correlation */
    double metric[SC_MORE];     /* times counted */
} sc_measure;
/* The share of results that are right or, of numbers, Pearson's correlation with what they should be. */
double sc_measure_value(const sc_measure *s);

/* What there is when an objective is opened. */
typedef struct sc_objective_setup {
    sc_context *ctx;
    sc_train_options *o; /* an objective puts in what it chose for a 0 */
    const json_t *config;
    const sc_tokenizer *tokenizer;
    bool lines;            /* each line of a text file is a document */
    const sc_model *model; /* NULL before it is open */
    int64_t parts;         /* of ranks: the options' batch is one of so many parts of a batch */
} sc_objective_setup;

typedef struct sc_objective_size {
    int64_t examples; /* to train on, of which a batch has as many as the options say */
    int64_t tokens;   /* in them; a run goes on only with as many */
    int64_t eval_batches;
    bool evaluates; /* there are none, but sc_objective.evaluate measures */
} sc_objective_size;

/* What models are there to learn. */
enum { SC_LEARNS_DECODER = 1, SC_LEARNS_ENCODER = 2, SC_LEARNS_PAIR = 4 };

typedef struct sc_objective {
    const char *name, *summary;
    unsigned kinds;      /* that it is for: SC_LEARNS_… */
    bool together;       /* the examples of a batch are compared with each other, so it cannot be divided */
    const char *measure; /* what sc_measure_value is called in metrics.jsonl; NULL: it has none */
    double rate;         /* of the optimisers' usual learning rates, the usual share for it; 0: 1 */
    const char *head;    /* of the class that an encoder must be of, "MaskedLM"; NULL: any */
    /* NULL, or: adds what else of the configuration has to be otherwise, before the model is opened. */
    sc_status (*changes)(const sc_objective_setup *s, json_t *config);
    sc_status (*open)(void **self, const sc_objective_setup *s); /* reads the data */
    void (*free)(void *self);                                    /* takes NULL */
    void (*size)(const void *self, sc_objective_size *out);
    /* Batch `index` since the beginning of the training, or of the evaluation's: the same whenever it is asked for. */
    sc_status (*batch)(void *self, int64_t index, sc_text_batch *out);
    sc_status (*eval_batch)(void *self, int64_t index, sc_text_batch *out);
    /* NULL, or: appends which files, lines and tokens batch `index` of the training is made of. */
    void (*describe)(void *self, int64_t index, sc_str *out);
    /* Builds the model and its loss for batches of b's sizes. Faults may stay in the graph. */
    sc_status (*build)(const void *self, sc_loss_graph *out, const sc_model *m, const sc_text_batch *b);
    /* Of one whose batches follow from what was learned before; NULL: they do not. What of it a run that goes on from a
     * checkpoint needs, as files in its folder; the name of one that the run's own folder need not have begins with "rollouts". */
    sc_status (*save)(const void *self, const char *dir);
    sc_status (*load)(void *self, const char *dir);
    void (*note)(const void *self, json_t *line); /* NULL, or: adds to a step's line what was measured for it */
    const char *told;                             /* NULL, or what of that a step is best told by */
    /* NULL, or, where size says so: measures on the evaluation data, into a line of metrics.jsonl. */
    sc_status (*evaluate)(void *self, json_t *line);
    /* NULL, or: the i-th thing to show of how it goes, UTF-8, borrowed; false: there are no more. */
    bool (*show)(const void *self, int64_t i, const char **prompt, const char **text);
    /* NULL, or: writes what a model of this kind has beside its files. */
    sc_status (*finish)(const void *self, const char *dir);
} sc_objective;

#define O(name) extern const sc_objective sc_objective_##name;
#include "train/objectives.def"
#undef O

/* ---- choosing one (objective.c) ---- */

/* The objective of that name, or of the configuration's kind of model where name is NULL. */
sc_status sc_objective_choose(const sc_objective **out, const char *name, const json_t *config, const char *path);
/* SC_LEARNS_… of a configuration whose type is known. */
unsigned sc_objective_kind(const json_t *config);
/* Adds what of the configuration must be otherwise for it. */
sc_status sc_objective_changes(json_t *changes, const sc_objective *o, const sc_objective_setup *s);

/* ---- graphs that objectives share (objective.c) ---- */

/* Adds inputs "weight" and "labels", or "target" for numbers (rows). */
void sc_loss_inputs(sc_loss_graph *out, int64_t rows, bool numbers);
/* The sum of losses (rows), one element. */
sc_tensor *sc_loss_total(sc_graph *g, sc_tensor *losses);
/* Adds inputs "labels" and "weight" (rows) and the cross entropy of logits (rows, n), with `smoothing` of each label spread
 * over all (Szegedy et al. 2016). */
void sc_loss_cross_entropy(sc_loss_graph *out, sc_tensor *logits, int64_t rows, float smoothing);
/* The mean of the squares of what numbers (rows, 1) are off. */
void sc_loss_squares(sc_loss_graph *out, sc_tensor *numbers, int64_t rows);
/* An encoder-decoder's, of each token of the decoder. */
sc_status sc_build_pair(sc_loss_graph *out, const sc_model *m, const sc_text_batch *b, float smoothing);
/* Tokens of a sequence: as the options say, else as many as the model takes up to 512. */
sc_status sc_objective_length(const sc_objective_setup *s, int64_t *out);

/* ---- files as records (records.c) ---- */

typedef struct sc_field {
    const char *p; /* NULL: there is none */
    int64_t n;
} sc_field;

typedef struct sc_record {
    const char *path;
    int64_t line;       /* that it begins with; 0: the file as a whole */
    const json_t *json; /* of .jsonl and .json */
    sc_field text;      /* the text, sequence or line itself */
    sc_field header;    /* the first line, where that names columns */
    bool table;         /* text is a line of .tsv */
} sc_record;
typedef sc_status sc_record_fn(void *user, const sc_record *r);
/* Calls fn for each record of a file, kinds of which are told by its name: .jsonl, .json (a list), .tsv, FASTA, or else
 * text, with `lines` a record a line. SC_EFORMAT: not text, not UTF-8, not what the name says. */
sc_status sc_records_each(sc_context *ctx, const char *path, bool lines, sc_record_fn *fn, void *user);
/* The same of a file's text. */
sc_status sc_records_of(sc_context *ctx, const char *path, const char *text, int64_t len, bool lines,
                        sc_record_fn *fn, void *user);
/* A field by the first of its names, "source|text", that is there; in a table without a header the column counts. */
sc_status sc_record_text(const sc_record *r, const char *names, int column, sc_field *out);
bool sc_record_has(const sc_record *r, const char *names, int column);
const json_t *sc_record_value(const sc_record *r, const char *names); /* of JSON; NULL: none */
sc_status sc_record_document(const sc_record *r, sc_field *out);

/* ---- documents as token ids (text_data.c) ---- */

/* Documents end to end: in memory, or in shards that are mapped. Starts as {0}. */
typedef struct sc_token_data {
    bool ends;   /* given: the tokenizer's end-of-text token follows each, where it has one */
    bool breaks; /* given: sentences are wanted */
    int32_t *ids;
    int64_t n, cap;
    int64_t *end; /* of each document, in ids */
    struct sc_document_source {
        const char *path; /* borrowed from the options */
        int64_t line;     /* 0: the file as a whole */
    } * source;           /* of each document */
    int64_t documents, cap_documents, cap_sources;
    bool *last; /* (n) the token ends a sentence; with `breaks` */
    int64_t cap_last;
    /* In place of ids, end, source and last: shards, and which tokens of the vocabulary end a sentence. */
    struct sc_data_shards *shards;
    const char *path; /* of them */
    int32_t eos;      /* that their documents end with, where `ends` does not ask for it; -1: none */
    bool *stops;
    int64_t vocab; /* that `stops` has */
    int32_t *room; /* of a passage */
    bool *room_last;
    int64_t cap_room, cap_room_last;
} sc_token_data;
/* The documents of files, or of shards that `socle data run` made, which stand alone. SC_EFORMAT: as sc_records_each, or without
 * "text"; SC_EINVAL: no text in one, shards of another tokenizer; SC_ELIMIT: an id that `vocab` rows of embeddings do not have. */
sc_status sc_token_data_add(sc_token_data *d, const sc_objective_setup *s, const char *const *path, int n,
                            int64_t vocab);
void sc_token_data_free(sc_token_data *d);
/* Whether a path is of shards: a folder, or a shard. */
bool sc_is_shards(const char *path);
/* The token behind a document's last. */
int64_t sc_token_data_end(const sc_token_data *d, int64_t document);
void sc_token_data_read(const sc_token_data *d, int64_t at, int64_t n, int32_t *to);
/* The document that token `at` is in. */
int64_t sc_token_data_document(const sc_token_data *d, int64_t at);
/* Appends where n tokens come from: "book.txt tokens 0-255", "a.jsonl line 7 tokens 12-80 to line 9". */
void sc_token_data_describe(const sc_token_data *d, int64_t at, int64_t n, sc_str *out);

/* A part of it. */
typedef struct sc_stretch {
    int64_t at, n;
} sc_stretch;
/* A stretch's tokens, and which of them end a sentence (with `breaks`); valid until the next one. */
typedef struct sc_passage {
    const int32_t *ids;
    const bool *last;
    int64_t n;
} sc_passage;
sc_status sc_token_data_passage(sc_token_data *d, sc_stretch part, sc_passage *out);
/* Cuts documents into stretches of at most `most`. */
sc_status sc_token_data_cut(const sc_token_data *d, int64_t most, sc_stretch **out, int64_t *n);

/* ---- examples of one or more texts (examples.c) ---- */

/* `columns` texts an example, each with what the tokenizer puts around it. Starts as {0}. */
typedef struct sc_examples {
    int columns; /* given */
    int64_t count, texts, tokens;
    int32_t *ids, *types;
    int64_t cap_ids, cap_types;
    int64_t *at; /* where text k of example i begins: at[i columns + k], and one more */
    int64_t cap_at;
    float *value; /* (count) a label or number */
    int64_t cap_value;
} sc_examples;
/* Another text, of at most `most` tokens: its last are left out. `pair` may have no text. */
sc_status sc_examples_text(sc_examples *e, const sc_tokenizer *t, sc_field text, sc_field pair, int64_t most,
                           int64_t vocab);
/* The texts since the last are an example. */
sc_status sc_examples_end(sc_examples *e, float value);
void sc_examples_free(sc_examples *e);

/* ---- batches (batches.c) ---- */

/* An order of n examples that is another in each epoch and follows from the seed and the epoch alone. */
typedef struct sc_order {
    bool plain;       /* no other order than 0, 1, … */
    int64_t n, epoch; /* epoch: that `place` is of, -1: none */
    uint64_t seed;
    int64_t *place;
    /* Not NULL: examples of like lengths come together, `batch` of them at a time. */
    int64_t batch;
    const int64_t *length;
} sc_order;
sc_status sc_order_new(sc_order *o, int64_t n, const sc_train_options *x);
void sc_order_free(sc_order *o);
/* The example that comes at place `at` of the whole training. */
int64_t sc_order_at(sc_order *o, int64_t at);

typedef struct sc_side {
    int32_t *ids, *types, *start;
    int64_t tokens, sequences, cap_ids, cap_types, cap_start;
} sc_side;

/* A batch being made. Starts as {0}. */
typedef struct sc_maker {
    sc_side text, source;
    int32_t *wanted, *label;
    float *target, *weight;
    int64_t rows, cap_wanted, cap_label, cap_target, cap_weight, examples, words;
    bool failed; /* without memory; sc_maker_finish says so */
} sc_maker;
void sc_maker_begin(sc_maker *m);
void sc_maker_free(sc_maker *m);
/* Another sequence; types may be NULL. Pieces of one are put together with `more`. */
void sc_maker_text(sc_maker *m, sc_side *side, const int32_t *ids, const int32_t *types, int64_t n, bool more);
/* Another row: what is expected of a token (wanted -1: of the next in turn). */
void sc_maker_row(sc_maker *m, int64_t wanted, int32_t label, float target);
/* What the decoder should make of a sequence that was put into m->source: it is given `start` and all labels but the last. */
void sc_maker_answer(sc_maker *m, const int32_t *labels, int64_t n, int32_t start);
/* What rows are of: tokens at places, all tokens of the decoder, all sequences, or what the objective makes of them. */
typedef enum sc_rows_of { SC_ROWS_WANTED, SC_ROWS_TOKENS, SC_ROWS_SEQUENCES, SC_ROWS_OWN } sc_rows_of;
/* Fills sizes up to round numbers, so that one plan does for many batches, with a sequence that nothing is expected of. */
sc_status sc_maker_finish(sc_maker *m, sc_rows_of kind, sc_text_batch *out);

/* ---- examples of files (examples.c) ---- */

/* The data, and the evaluation's. Starts as {0} but for the columns of both. */
typedef struct sc_collection {
    sc_examples data[2];
    int64_t *length;
    sc_order order;
    sc_maker maker;
    int64_t rows, most;
    const sc_objective_setup *setup; /* while it is opened */
    sc_examples *to;                 /* where `add` puts a record's texts (sc_collection_text) and ends it */
} sc_collection;
/* Calls `add` for each record of the files; by_length: examples of like lengths come together. */
sc_status sc_collection_open(sc_collection *c, const sc_objective_setup *x, bool by_length, sc_record_fn *add,
                             void *user);
void sc_collection_free(sc_collection *c);
void sc_collection_size(const sc_collection *c, sc_objective_size *out);
sc_status sc_collection_text(sc_collection *c, const sc_record *r, sc_field text, sc_field pair, int64_t vocab);
/* Calls fn for each example of a batch, which it is to put into c->maker. */
typedef void sc_example_fn(void *user, const sc_examples *e, int64_t i);
void sc_collection_batch(sc_collection *c, bool eval, int64_t index, sc_example_fn *fn, void *user);

/* ---- a text that is spoilt (corpus.c) ---- */

/* The data, and the evaluation's. Starts as {0}. */
typedef struct sc_corpus {
    sc_token_data data[2];
    sc_stretch *part[2];
    int64_t parts[2], rows;
    int64_t *length; /* of the data's parts */
    sc_order order;
    sc_maker maker;
    uint64_t seed;
} sc_corpus;
/* Parts of at most `most` tokens, each below `vocab`; breaks: with the ends of sentences. */
sc_status sc_corpus_open(sc_corpus *c, const sc_objective_setup *x, int64_t most, int64_t vocab, bool breaks);
void sc_corpus_free(sc_corpus *c);
void sc_corpus_size(const sc_corpus *c, sc_objective_size *out);
/* Calls fn for each part of a batch, which it is to put into c->maker; what is random comes from r. */
typedef sc_status sc_corpus_fn(void *user, const sc_passage *part, sc_rng *r);
sc_status sc_corpus_batch(sc_corpus *c, bool eval, int64_t index, sc_corpus_fn *fn, void *user);
void sc_corpus_describe(sc_corpus *c, int64_t index, sc_str *out); /* as sc_objective.describe */
/* A whole number from 0 to n - 1. */
static inline int64_t sc_rng_below(sc_rng *r, int64_t n) { return (int64_t)(sc_rng_uniform(r) * (double)n); }

/* ---- encoder-decoders (objective.c) ---- */

/* The ids that a decoder's texts begin and end with; SC_EINVAL: the model and its tokenizer tell none. */
typedef struct sc_pair_ids {
    int32_t start, end;
    bool wraps; /* it begins with the last of what it is to write, a language (mBART) */
} sc_pair_ids;
sc_status sc_pair_ids_of(sc_pair_ids *out, const sc_objective_setup *x);

#endif
