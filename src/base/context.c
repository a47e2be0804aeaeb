/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <stdio.h>

sc_status sc_context_new(sc_context **out, const sc_context_options *options)
{
    sc_context *ctx = sc_calloc(1, sizeof *ctx);
    if (!ctx) return sc_nomem();
    if (options) ctx->options = *options;
    atomic_init(&ctx->cancelled, false);
    sc_status s = sc_pool_new(&ctx->pool, ctx->options.threads ? ctx->options.threads : sc_cpu_cores());
    if (s) {
        sc_free(ctx);
        return s;
    }
    *out = ctx;
    return SC_OK;
}

void sc_context_free(sc_context *ctx)
{
    if (!ctx) return;
    sc_pool_free(ctx->pool);
    sc_free(ctx);
}

int sc_context_threads(const sc_context *ctx) { return sc_pool_threads(ctx->pool); }
void sc_context_cancel(sc_context *ctx) { atomic_store(&ctx->cancelled, true); }
void sc_context_resume(sc_context *ctx) { atomic_store(&ctx->cancelled, false); }
bool sc_context_cancelled(const sc_context *ctx) { return atomic_load(&ctx->cancelled); }

void sc_log(const sc_context *ctx, sc_log_level level, const char *fmt, ...)
{
    char line[1024];
    if (!ctx->options.log) return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    ctx->options.log(ctx->options.user, level, line);
}

void sc_progress(const sc_context *ctx, const char *what, int64_t done, int64_t total)
{
    if (ctx->options.progress) ctx->options.progress(ctx->options.user, what, done, total);
}
