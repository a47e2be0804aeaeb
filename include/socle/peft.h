/* SPDX-License-Identifier: Apache-2.0 */
/* What of a model is trained, where that is not all of its weights: small tensors beside them, or a few of them, with the rest
 * of the base left as it is stored, quantised or not. Saved as PEFT saves them (docs/adapters.md). */
#ifndef SOCLE_PEFT_H
#define SOCLE_PEFT_H

#include "socle/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* 0 or NULL: the default, in brackets. A head that no file has, and that of a classifier, are always trained too. */
typedef struct sc_peft_options {
    /* NULL: all weights are trained, and nothing else here counts.
     *   "lora"        products of two narrow matrices are added to matrices (Hu et al. 2021, arXiv:2106.09685)
     *   "ia3"         factors of keys, values and what feed-forward layers end with (Liu et al. 2022, arXiv:2205.05638)
     *   "bottleneck"  small networks behind attention and feed-forward (Houlsby et al. 2019, arXiv:1902.00751), or with
     *                 `after_ffn` behind the feed-forward alone (Pfeiffer et al. 2020, arXiv:2005.00247)
     *   "prompt"      virtual tokens before a text (Lester et al. 2021, arXiv:2104.08691)
     *   "prefix"      keys and values of virtual tokens in every layer (Li and Liang 2021, arXiv:2101.00190)
     *   "bitfit"      biases (Ben Zaken et al. 2021, arXiv:2106.10199)
     *   "layers"      the parameters within `targets` */
    const char *method;
    /* Which linear layers: "all-linear" (all but the output's); names or their last parts with commas between,
     * "q_proj,v_proj"; or "re:" and a regular expression that whole names match. [lora: "all-linear"; ia3, bottleneck: those of
     * the paper, where the model calls them by a name that is known; layers: must be given, names of parameters or of modules
     * around them] */
    const char *targets;
    int64_t rank; /* of lora [8] */
    double alpha; /* lora: what is added counts alpha / rank times [2 rank] */
    bool rslora;  /* ... alpha / sqrt(rank) times (Kalajdzievski 2023, arXiv:2312.03732) */
    bool
        dora; /* the rows of matrix and addition get lengths that are trained (Liu et al. 2024, arXiv:2402.09353) */
    double dropout; /* lora: share of what the first matrix is given that is left out at random, below 1 [0] */
    const char
        *save;     /* parameters to train as they are, beside the method's own, as `targets` of "layers" [none] */
    int64_t width; /* of a bottleneck [a sixteenth of the model's, at least 8] */
    bool after_ffn;
    int64_t tokens;    /* virtual ones [20] */
    const char *first; /* prompt: a text whose tokens' vectors they begin as [those of tokens by chance] */
} sc_peft_options;

#ifdef __cplusplus
}
#endif
#endif
