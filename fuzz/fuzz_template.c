/* SPDX-License-Identifier: Apache-2.0 */
/* A template from anywhere, and variables where the text has a NUL: variables follow it. Rendered within small limits. */
#include "base/base.h"
#include "socle/template.h"

#include <stdlib.h>

static const char variables[] = "{\"messages\": [{\"role\": \"system\", \"content\": \"Be \\u00e9.\"}, {\"role\": "
                                "\"user\", \"content\": \"<hi> \\ud55c\\n\"}, "
                                "{\"role\": \"assistant\", \"content\": null, \"tool_calls\": [{\"function\": "
                                "{\"name\": \"f\", \"arguments\": {\"x\": [1, 2.5, true]}}}]}], "
                                "\"tools\": [{\"type\": \"function\"}], \"add_generation_prompt\": true, "
                                "\"bos_token\": \"<s>\", \"n\": 7, \"l\": [3, 1, 2]}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *source = (const char *)data, *vars = variables, *nul = size ? memchr(data, 0, size) : NULL;
    int64_t n = nul ? nul - source : (int64_t)size, vars_n = (int64_t)sizeof variables - 1;
    if (nul) {
        vars = nul + 1;
        vars_n = (int64_t)size - n - 1;
    }
    sc_template *t = NULL;
    char *text = NULL;
    int64_t len = -1;
    sc_template_options o = {
        .now = "2026-01-15 09:30:00", .max_steps = 20000, .max_output = 1 << 16, .max_memory = 8 << 20};
    sc_status s = sc_template_new(&t, source ? source : "", n, "fuzz");
    if (!s) s = sc_template_render(&text, &len, t, vars, vars_n, &o);
    if (s && (text || !sc_error()[0] || strpbrk(sc_error(), "\n\033"))) abort();
    if (!s && (!text || len < 0 || len > o.max_output || text[len] || !sc_utf8_valid(text, len))) abort();
    sc_free(text);
    sc_template_free(t);
    return 0;
}
