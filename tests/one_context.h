/* SPDX-License-Identifier: Apache-2.0 */
/* The context that the tests of one file share, made and freed around them. */
#ifndef TESTS_ONE_CONTEXT_H
#define TESTS_ONE_CONTEXT_H

#include "base/base.h"

static sc_context *ctx;

static inline int one_thread(void **state)
{
    (void)state;
    return sc_context_new(&ctx, &(sc_context_options){.threads = 1});
}

static inline int two_threads(void **state)
{
    (void)state;
    return sc_context_new(&ctx, &(sc_context_options){.threads = 2});
}

static inline int as_many_threads_as_cores(void **state)
{
    (void)state;
    return sc_context_new(&ctx, NULL);
}

static inline int no_context(void **state)
{
    (void)state;
    sc_context_free(ctx);
    return 0;
}

#endif
