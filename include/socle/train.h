/* SPDX-License-Identifier: Apache-2.0 */
/* Training: a model from a config.json and text, as a run directory that can be stopped and gone on with at any time. */
#ifndef SOCLE_TRAIN_H
#define SOCLE_TRAIN_H

#include "socle/model.h"
#include "socle/peft.h"
#include "socle/rl.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How preferences are learned (docs/preferences.md). 0 or NULL: the default, in brackets. */
typedef struct sc_preference_options {
    const char *loss; /* dpo: "sigmoid", "hinge", "ipo" (of means over tokens), "ipo_sum", "robust" ["sigmoid"] */
    double beta;  /* how far from the reference rewards are counted; orpo: how much the odds count [0.1; simpo 2] */
    double gamma; /* simpo: by how much the chosen answer is to be ahead, in rewards [1]; below 0: 0 */
    double sft;   /* dpo, simpo: how much the chosen answers' cross entropy counts beside [0] */
    double desirable, undesirable; /* kto: weights of answers that are wanted and that are not [1] */
    double center; /* reward: of the square of the sum of both rewards, which keeps them around 0 [0] */
    const char *
        reference; /* dpo, kto: the model that stays as it is, a folder or a GGUF file [the model that is begun with] */
    bool
        precompute; /* all that the reference says is computed first and kept in the run's folder; its memory is given back */
    bool skip_equal; /* pairs of equal answers are left out; else they are an error */
} sc_preference_options;

/* How a model learns from a teacher (docs/distill.md). 0 or NULL: the default, in brackets. */
typedef struct sc_distill_options {
    const char *teacher;    /* a folder or a GGUF file, of the same tokenizer */
    const char *divergence; /* "forward", "reverse", "symmetric", "js" ["forward"] */
    double temperature;     /* that the logits of both are divided by [1] */
    double beta;            /* js: the teacher's share in the mixture [0.5] */
    double on_policy;       /* share of batches whose answers the student gives itself; sc_tune_distill alone [0] */
    int64_t max_tokens;     /* of these answers [128] */
    double answer_temperature; /* that they are sampled at [1] */
    double share;              /* of the divergence in the loss, the rest is the cross entropy [0.5] */
} sc_distill_options;

/* 0 or NULL: the default, in brackets. Rates and shares are plain numbers, not percent. */
typedef struct sc_train_options {
    const char
        *model; /* a config.json, or a directory with one: a new model; with weights and `from_weights`: that one */
    const char *
        tokenizer; /* a directory, whose files the run gets too, or a file, as sc_tokenizer_load takes it [`model`] */
    bool from_weights;
    sc_peft_options
        peft; /* what of `model` is trained beside or in place of all its weights; with `from_weights` */
    const char *objective; /* what it learns, a name of sc_train_objective_at [that of the model's kind] */
    /* Text files, .jsonl with an object a line, .json with a list of them, .tsv, or FASTA; docs/train.md has the fields. Or, alone,
     * a folder of shards that sc_data_run made. */
    const char *const *data;
    int n_data;
    const char *const *eval_data; /* the same, for the loss on text that is not trained on */
    int n_eval_data;
    /* Learning on without forgetting (docs/continual.md). replay: old data as `data`, of which `replay_share` [0.1] of each
     * batch's examples are. old_eval_data: up to 8 files whose loss is measured before the first step and with each evaluation,
     * for the report and forgetting.json; they are not trained on. ewc, l2_start: how strongly weights are held where they
     * began, by the Fisher information of old data (ewc_data, of which `ewc_examples` [256] are looked at; added to it that of
     * ewc_from, the anchor.safetensors of an earlier run), or all alike; 0: not. */
    const char *const *replay;
    int n_replay;
    double replay_share;
    const char *const *old_eval_data;
    int n_old_eval_data;
    double ewc, l2_start;
    const char *const *ewc_data;
    int n_ewc_data;
    const char *ewc_from;
    int64_t ewc_examples;
    const char *out; /* the run directory; made */
    bool
        resume; /* go on from the last checkpoint in `out`, or from the beginning where it has none yet. Options that are
                    0 are the run's own then; others must be what they were, but for paths, how often something is
                    done, and how much is kept */
    int64_t steps; /* [as many as `epochs` need] */
    double epochs; /* [1] */
    int64_t batch, length,
        accumulate;        /* sequences, tokens each [8, the model's context up to 512]; batches a step [1] */
    const char *optimizer; /* "adamw", "adam", "sgd", "lion", "adafactor", "muon" ["adamw"] */
    const char *schedule;  /* "cosine", "linear", "constant", "inverse_sqrt", "wsd", "noam" ["cosine"] */
    double lr, beta1, beta2, eps,
        weight_decay;       /* [those usual for the optimiser; decay 0.1]; decay below 0: none */
    double rest_lr;         /* Muon changes matrices between layers; the rate of AdamW for the rest [1e-3] */
    const char *muon_scale; /* of rates by shape, as torch.optim.Muon: "original", "match_rms_adamw",
                               "spectral_unclamped" ["original"] */
    const char *decayed; /* what decays: "matrices", "all", "hidden" (no tables of tokens or positions and no head)
                               ["matrices"] */
    const char *const
        *groups; /* settings of parameters by name, "PATTERN:lr=1e-4,decay=0", both or one; a pattern is a
                                  shell's; the last that fits counts */
    int n_groups;
    double ema;     /* what a step leaves of the averages of the weights, 0.999; 0: there are none */
    bool ema_model; /* the run's model has the averages for weights */
    double warmup;  /* share of all steps [0.02]; below 0: none */
    double clip;    /* largest norm of the gradients [1]; below 0: none */
    const char
        *alphabet;     /* in place of a tokenizer: "chars", "bytes", "protein", "dna", "chess", "words", or a file
                             with a symbol a line. A new model gets its vocabulary */
    bool pack;         /* causal, sft: tokens see their own document alone */
    bool whole_words;  /* mlm: all tokens of a word or none */
    bool keep_order;   /* denoise: sentences stay where they are */
    double mask_share; /* of tokens: mlm and span [0.15], denoise [0.3] */
    double mean_span;  /* tokens: span and denoise [3] */
    double
        smoothing; /* seq2seq: this much of each label goes to all tokens alike; dpo, simpo: the share of pairs that are
                          taken to be the wrong way round [0] */
    double scale;                 /* contrastive: of cosines [20] */
    const char *pooling;          /* contrastive: "mean", "cls", "last", "max", … ["mean"; of decoders "last"] */
    sc_preference_options prefer; /* reward, dpo, kto, orpo, simpo */
    /* sft; templates and shares for preferences too */
    const char *chat_template; /* "chatml", "plain", a file or a folder [the model's] */
    const char *learn;         /* "answers", "last" or "all" of a conversation ["answers"] */
    const char
        *overlong; /* what is longer than `length` loses its "end" or its "start", or "drop": is left out ["end"] */
    bool chat;     /* a prompt and its completion are a turn of a conversation, not a text */
    sc_distill_options distill;
    double eval_share; /* of the data's records, which are measured and not learned from [0] */
    const char
        *precision; /* "f32", or "bf16": products of values rounded to it where the machine multiplies that, with
                              sums, weights and all else f32 ["f32"] */
    bool
        recompute; /* of each block keep only what it was given, and make the rest again for its gradients: the same
                       bits in less memory and more time */
    uint64_t seed;
    bool in_order; /* examples as the data has them, epoch after epoch, and not in an order of the seed */
    int64_t save_every, keep; /* steps between checkpoints [500], and how many are kept [2] */
    bool best; /* the run's model is the checkpoint with the lowest evaluation loss, which stays as out/best */
    int64_t eval_every;         /* [with each checkpoint] */
    int64_t log_every;          /* [10] */
    int64_t sample_every;       /* steps between samples [with each checkpoint, where there is a prompt] */
    const char *const *prompts; /* that samples continue; "": from nothing */
    int n_prompts;
    int64_t sample_tokens; /* [64] */
    /* A loss is a spike where it is `spike_factor` [8] deviations above the median of the `spike_window` [128] before it,
     * or no number. "warn" goes on with it and stops where there is no number; "skip" leaves its batches out; "rollback"
     * goes back to the last checkpoint and leaves out all batches since ["warn"]. At most spike_limit [10] times. */
    const char *on_spike;
    double spike_factor;
    int64_t spike_window, spike_limit;
    sc_rl_options rl;        /* of sc_tune_policy */
    double peak_flops;       /* operations a second that the machine can do, for shares of it; 0: not known */
    const char *const *args; /* the command as it was typed, to be kept with the run */
    int n_args;
} sc_train_options;

/* What is known after a step. */
typedef struct sc_train_event {
    int64_t step, steps;
    double epoch, loss, eval_loss; /* eval_loss: negative where it was not measured */
    double ema_loss;               /* of the averaged weights; negative likewise */
    const char *measure;           /* "token_accuracy", …: what was measured with eval_loss; NULL: nothing */
    double measured;
    const char *told; /* "reward": what such a training is best told by at each step; NULL: its loss */
    double telling;   /* its value */
    double lr, norm;  /* of the gradients, before clipping */
    double tokens_per_second, flops; /* flops: operations a second */
    double seconds, left;            /* in training so far; to the end as far as can be told */
    int ranks;                       /* processes that train together */
    double communication,
        transfer; /* of the time of all steps, the shares in which a rank waited for others, and in which
                                        something was under way between them */
} sc_train_event;
/* The objectives there are; NULL: there are fewer. */
SC_API const char *sc_train_objective_at(int i, const char **summary);

typedef void sc_train_report(void *user, const sc_train_event *e);

/* Trains to the end, or until the context is cancelled: the step is finished then, a checkpoint written, and SC_ECANCELLED
 * returned. report may be NULL. The run directory is a model directory, that of the last checkpoint, with checkpoint-N
 * folders and what docs/train-run.md describes beside the model's files. */
SC_API sc_status sc_train(sc_context *ctx, const sc_train_options *o, sc_train_report *report, void *user);

/* ---- many processes ----
 * Under Open MPI's mpirun, sc_train is called by each process with the same options and divides the work: each step's batches,
 * and the optimiser's memory. Only rank 0 writes files, calls report and logs. A failure is told once: elsewhere sc_train
 * returns it with an empty message. */

/* The MPI that this library was built for, "Open MPI 4.1.4"; NULL: none, and sc_train fails under mpirun. */
SC_API const char *sc_train_mpi(void);
/* Rank of this process among those that mpirun started; 0 without. */
SC_API int sc_train_rank(void);
/* How many processes mpirun started together; 1 without. */
SC_API int sc_train_ranks(void);
/* Threads that are this process's share of the machine's cores, where mpirun started several on it; then they are kept to
 * cores of their own unless mpirun has done so. 0 without. */
SC_API int sc_train_share_cores(void);

/* sc_model_forward with, beside its outputs, a loss and its gradients: loss (1); grad.NAME for every weight, in its shape and
 * as the model's file calls it, zeros where the loss does not depend on it; and for every matrix of LoRA adapters and virtual
 * tokens, under the name that their file has. The loss is the one that transformers' class of that head takes from `labels`, a
 * mean over those that are not negative:
 *   tokens       the cross entropy with labels (B, T), which causal models predict from the tokens before. Encoder-decoders:
 *                (B, T) of the decoder. With next_sentence_label (B), BERT's second head adds its own.
 *   classes      the cross entropy with labels (B); where problem_type is multi_label_classification, binary with labels
 *                (B, classes) of 0 and 1; of a single class the mean square of what the logit is off numbers (B)
 *   SC_HEAD_REPLACED  binary cross entropy with labels (B, T) of 0 and 1
 *   SC_HEAD_NONE the cosine between the mean states of the two rows that there must be; labels are not read
 * The model's weights become f32 in memory of their own, which stay: nothing else may use the model meanwhile. SC_EINVAL: no
 * label counts. SC_EUNSUPPORTED: a model from GGUF, SC_HEAD_SPAN, an adapter other than plain LoRA and virtual tokens, a part without a derivative. SC_ELIMIT: a
 * label that the head has no class for. */
SC_API sc_status sc_model_gradients(sc_outputs **out, sc_model *m, const sc_named_tensor *in, int64_t n_in,
                                    bool all);

#ifdef __cplusplus
}
#endif
#endif
