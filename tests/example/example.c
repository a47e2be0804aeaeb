/* SPDX-License-Identifier: Apache-2.0 */
#include <socle/base.h>
#include <stdio.h>

int main(void)
{
    sc_context *ctx;
    if (sc_context_new(&ctx, NULL) != SC_OK) return fprintf(stderr, "%s\n", sc_error()), 1;
    printf("socle %s, %d threads\n", sc_version(), sc_context_threads(ctx));
    sc_context_free(ctx);
    return 0;
}
