/* SPDX-License-Identifier: Apache-2.0 */
/* What of a model is trained, where that is not all of its weights: small tensors beside them, with the base left as it is
 * stored, quantised or not. Saved as PEFT saves them (docs/adapters.md). */
#ifndef SOCLE_PEFT_H
#define SOCLE_PEFT_H

#include "socle/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* 0 or NULL: the default, in brackets. */
typedef struct sc_peft_options {
    /* NULL: all weights are trained, and nothing else here counts. "lora": products of two narrow matrices are added to
     * matrices (Hu et al. 2021, arXiv:2106.09685). */
    const char *method;
    /* Which linear layers: "all-linear" (all but the output's); names or their last parts with commas between,
     * "q_proj,v_proj"; or "re:" and a regular expression that whole names match. ["all-linear"] */
    const char *targets;
    int64_t rank; /* of lora [8] */
    double alpha; /* what is added counts alpha / rank times [2 rank] */
    bool rslora;  /* ... alpha / sqrt(rank) times (Kalajdzievski 2023, arXiv:2312.03732) */
} sc_peft_options;

#ifdef __cplusplus
}
#endif
#endif
