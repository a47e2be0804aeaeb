/* SPDX-License-Identifier: Apache-2.0 */
/* Inside a pipeline. */
#ifndef SC_INFER_INTERNAL_H
#define SC_INFER_INTERNAL_H

#include "base/base.h"
#include "socle/pipeline.h"

struct sc_pipeline {
    sc_context *ctx;
    sc_model *model;
    sc_tokenizer *tokenizer;
    sc_template *chat; /* NULL: the model has none */
    sc_session *session;
    int32_t *held; /* the ids of sequence 0 */
    int64_t n_held, cap_held;
};

#endif
