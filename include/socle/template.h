/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: the Jinja templates that come with models, rendered as transformers' apply_chat_template does.
 *
 * The language is Jinja 2 as that function configures it: the immutable sandbox, trim_blocks and lstrip_blocks, `break`
 * and `continue`, {% generation %}, a tojson without HTML escapes, raise_exception and strftime_now. Values are those
 * of Python, with integers of 64 bits: a result outside them is an error, never a wrapped number. Templates and
 * variables are untrusted: parsing and rendering are bounded in depth, steps, memory and output, reach no file, and
 * answer every text with a string or an error that names the line and column. */
#ifndef SOCLE_TEMPLATE_H
#define SOCLE_TEMPLATE_H

#include "socle/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A parsed template. Immutable, so any number of threads may render it at once. */
typedef struct sc_template sc_template;

typedef struct sc_template_options {
    const char *now; /* the clock that strftime_now reads, "YYYY-MM-DD HH:MM:SS"; NULL: the machine's local time */
    int64_t max_steps;  /* nodes evaluated and items looped over; 0: 20,000,000 */
    int64_t max_output; /* bytes of the text, and of every piece captured on the way; 0: 64 MiB */
    int64_t max_depth;  /* nested evaluations, macro calls included; 0: 1,000; at most 10,000 */
    int64_t max_memory; /* bytes that the values of one rendering may take together; 0: 512 MiB */
} sc_template_options;

/* Parses source[0..len), at most 4 MiB of UTF-8, once. `what` names the template in messages (copied).
 * SC_EFORMAT: a syntax error; SC_ELIMIT: too long, or nested deeper than 200 levels. End with sc_template_free. */
SC_API sc_status sc_template_new(sc_template **out, const char *source, int64_t len, const char *what);
/* The same for a template that is none of a chat, with Jinja's own defaults, as the prompts of evaluation tasks are written:
 * lines around tags stay as they are, and so does the newline at the end; what is undefined may be asked for
 * (`is defined`, `default`) but not be used; any variable may have any type; and there is a filter
 * regex_replace(pattern, replacement, count=0), which is Python's re.sub. */
SC_API sc_status sc_template_new_plain(sc_template **out, const char *source, int64_t len, const char *what);
SC_API void sc_template_free(sc_template *t);

/* Renders with the members of the JSON object variables_json[0..variables_len) as the template's variables (messages,
 * tools, add_generation_prompt, bos_token, ...). As apply_chat_template does: messages, tools and documents are lists of
 * objects; tools and documents that are absent are none, add_generation_prompt is false; a message's reasoning_content,
 * thinking or reasoning is found under the first two names. Any other variable that is absent is undefined.
 * *text is owned (sc_free) and NUL-terminated; len may be NULL. options may be NULL.
 * SC_EINVAL: the template raised, or did what Python refuses; SC_ELIMIT: one of the limits above. */
SC_API sc_status sc_template_render(char **text, int64_t *len, const sc_template *t, const char *variables_json,
                                    int64_t variables_len, const sc_template_options *options);

/* Bytes [begin, end) of a rendered text. */
typedef struct sc_template_span {
    int64_t begin, end;
} sc_template_span;
/* The same, and what {% generation %} wrote: the assistant's answers, where a template marks them. *spans: n_spans of them in
 * order, owned (sc_free), maybe NULL; those within a macro or another captured block are left out. */
SC_API sc_status sc_template_render_spans(char **text, int64_t *len, sc_template_span **spans, int64_t *n_spans,
                                          const sc_template *t, const char *variables_json, int64_t variables_len,
                                          const sc_template_options *options);

/* Loads a model's template: `model_path` is a template file itself, or a directory, where chat_template.jinja comes
 * first, then tokenizer_config.json's chat_template (a string, or a list of named ones), or a GGUF file. `name` chooses among named
 * ones (also additional_chat_templates/NAME.jinja); NULL: "tool_use" where `tools` is set and there is one, otherwise
 * "default". SC_ENOTFOUND where the model has none. */
SC_API sc_status sc_template_load(sc_template **out, const char *model_path, const char *name, bool tools);

#ifdef __cplusplus
}
#endif
#endif
