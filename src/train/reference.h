/* SPDX-License-Identifier: Apache-2.0 */
/* A model that says what it makes of tokens while another one learns: a reference, a teacher, or the learner itself without
 * gradients. */
#ifndef SC_TRAIN_REFERENCE_H
#define SC_TRAIN_REFERENCE_H

#include "train/objective.h"

/* A row's values depend on its sequence alone: they are the same bits in any batch, and for weights of f32 those that a
 * learner without gradients would have. */
typedef struct sc_reference sc_reference;
/* Of a model that is the caller's and must outlive it; its weights may change between calls. SC_EUNSUPPORTED: it gives no logits
 * of next tokens. */
sc_status sc_reference_new(sc_reference **out, const sc_model *m);
/* Of one at `path` that it opens for itself, as it is stored; SC_EINVAL: it has not `vocab` tokens (0: any). */
sc_status sc_reference_open(sc_reference **out, sc_context *ctx, const char *path, int64_t vocab);
/* Of a model whose adapters are trained, without these: the same weights, which are not there twice. As sc_reference_new. */
sc_status sc_reference_base(sc_reference **out, const sc_model *m);
void sc_reference_free(sc_reference *r);
const sc_model *sc_reference_model(const sc_reference *r);
/* out[i] (rows): the log-probability of labels[i] after token wanted[i] of the batch (NULL: after token i), 0 where the label is
 * negative. Of a batch ids, start, wanted (rising) and labels are read. */
sc_status sc_reference_log_probs(sc_reference *r, const sc_text_batch *b, float *out);
/* The same, of the logits over `temperature`; values (rows), may be NULL: what the model's value head expects after the same
 * tokens. SC_EUNSUPPORTED: it has none. */
sc_status sc_reference_policy(sc_reference *r, const sc_text_batch *b, double temperature, float *out,
                              float *values);
/* The logits themselves, out (rows, V). */
sc_status sc_reference_logits(sc_reference *r, const sc_text_batch *b, float *out);

#endif
