/* SPDX-License-Identifier: Apache-2.0 */
/* Inside a pipeline. */
#ifndef SC_INFER_INTERNAL_H
#define SC_INFER_INTERNAL_H

#include "base/base.h"
#include "socle/pipeline.h"

typedef struct sc_special {
    const char *text; /* borrowed from the tokenizer; at least 2 bytes */
    int64_t len;
} sc_special;

struct sc_pipeline {
    sc_context *ctx;
    sc_model *model;
    sc_tokenizer *tokenizer;
    sc_template *chat; /* NULL: the model has none */
    sc_session *session;
    sc_special *special; /* the tokens that a message must not be able to spell */
    int64_t n_special;
    bool begins_special[256]; /* by their first byte */
    int32_t *held;            /* the ids of sequence 0 */
    int64_t n_held, cap_held;
};

/* Collects the special tokens, once. (prompt.c) */
sc_status sc_pipeline_find_specials(sc_pipeline *p);

#endif
