/* SPDX-License-Identifier: Apache-2.0 */
/* Several models of one shape as one, without training. docs/merge.md says which way is for what. */
#ifndef SOCLE_MERGE_H
#define SOCLE_MERGE_H

#include "socle/convert.h"

#ifdef __cplusplus
extern "C" {
#endif

/* For every tensor, x_i being the models', w_i their weights, b the base's and d_i = x_i - b:
 *   linear     sum w_i x_i / sum w_i (Wortsman et al. 2022, "Model soups")
 *   slerp      of two models: (sin((1 - t) a) x_1 + sin(t a) x_2) / sin a, where a is the angle between them (Shoemake 1985,
 *              "Animating rotation with quaternion curves"); linear where they are all but parallel or one of them is 0
 *   task       b + scale * sum w_i d_i (Ilharco et al. 2023, "Editing models with task arithmetic")
 *   ties       of each d_i the share `density` of largest magnitude is kept; of the values at one place those count whose sign
 *              is that of sum w_i d_i; b + scale * their mean weighted by w_i (Yadav et al. 2023, "TIES-merging"). The share is
 *              kept tensor by tensor
 *   dare       of each d_i the share `density` is kept by chance, divided by density; then as task (Yu et al. 2024, "Language
 *              models are super Mario")
 *   dare_ties  the same, then signs as ties */
typedef struct sc_merge_options {
    const char *method;        /* one of the above */
    const char *const *models; /* n directories or GGUF files of the same architecture and shape */
    int n;                     /* 1 to SC_MERGE_MOST; 2 for slerp; linear takes at least 2 */
    const double *weights;     /* (n), finite; NULL: 1 each. Not for slerp */
    const char *base;          /* for task, ties, dare and dare_ties, which need it; NULL with the others */
    double t;                  /* slerp: 0 the first model, 1 the second; [0, 1] */
    double density;            /* (0, 1]; 0: 0.2 for ties, 0.5 for dare and dare_ties */
    double scale;              /* 0: 1 */
    uint64_t seed;             /* of what dare drops */
    const char *type;          /* f32, f16, bf16; NULL: that of the base or the first model, f16 for block types */
} sc_merge_options;

enum { SC_MERGE_MOST = 64 };

/* i-th method's name; NULL: there are fewer. *summary may be NULL. */
SC_API const char *sc_merge_method_at(int i, const char **summary);

/* Writes the directory `out` with model.safetensors, the configuration and the tokenizer of the base or the first model; each
 * file whole or not at all, the configuration last. One tensor after the other is in memory, as f32, five times at most. The
 * same bits for any number of threads. report may be NULL.
 *
 * SC_EINVAL: options that do not fit the method, `out` is one of the models; SC_ESHAPE: a tensor that one model lacks or has in
 * another shape; SC_EUNSUPPORTED: another architecture; SC_ELIMIT: values that are not finite or that the type cannot hold. */
SC_API sc_status sc_merge(sc_context *ctx, const char *out, const sc_merge_options *options,
                          sc_convert_report *report);

#ifdef __cplusplus
}
#endif
#endif
