/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer and the chat template that come with a model, whatever its format. */
#include "models/models.h"
#include "socle/pipeline.h"

sc_status sc_tokenizer_of_model(sc_tokenizer **out, const char *path)
{
    sc_gguf *file;
    if (sc_path_is_dir(path) || !sc_path_has_suffix(path, ".gguf")) return sc_tokenizer_load(out, path);
    sc_status s = sc_gguf_open(&file, path);
    if (s) return s;
    s = sc_tokenizer_from_gguf(out, file);
    sc_gguf_free(file);
    return s;
}

sc_status sc_template_of_model(sc_template **out, const char *path, bool tools)
{
    sc_gguf *file;
    sc_gguf_text text = {0};
    if (sc_path_is_dir(path) || !sc_path_has_suffix(path, ".gguf")) return sc_template_load(out, path, NULL, tools);
    sc_status s = sc_gguf_open(&file, path);
    if (s) return s;
    if (tools) s = sc_gguf_text_of(file, "tokenizer.chat_template.tool_use", &text);
    if (!s && !text.p) s = sc_gguf_text_of(file, "tokenizer.chat_template", &text);
    if (!s && !text.p) s = sc_fail(SC_ENOTFOUND, "%s: no chat template", path);
    if (!s) s = sc_template_new(out, text.p, text.n, path);
    sc_gguf_free(file);
    return s;
}
