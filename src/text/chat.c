/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the chat template of a model. */
#include "base/base.h"
#include "socle/gguf.h"
#include "socle/template.h"

#define MAX_TEMPLATE (4 << 20)
#define MAX_CONFIG   (64 << 20) /* tokenizer_config.json lists every added token */

static sc_status from_file(sc_template **out, const char *path)
{
    char *text = NULL;
    int64_t len = 0;
    sc_status s = sc_file_read(&text, &len, path, MAX_TEMPLATE);
    if (!s) s = sc_template_new(out, text, len, path);
    sc_free(text);
    return s;
}

/* dir/file, where it exists; *found otherwise false. */
static sc_status from_dir(sc_template **out, const char *dir, const char *file, bool *found)
{
    char *path = sc_path_join(dir, file);
    if (!path) return sc_nomem();
    *found = sc_path_exists(path);
    sc_status s = *found ? from_file(out, path) : SC_OK;
    sc_free(path);
    return s;
}

/* The text under `name` in a list of {name, template}, or NULL. */
static const json_t *named(const json_t *list, const char *name)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const char *key = json_string_value(json_object_get(item, "name"));
        if (key && strcmp(key, name) == 0) return json_object_get(item, "template");
    }
    return NULL;
}

static sc_status from_config(sc_template **out, const json_t *config, const char *path, const char *name,
                             bool tools)
{
    const json_t *t = json_object_get(config, "chat_template");
    if (json_is_array(t)) {
        const json_t *list = t;
        t = name ? named(list, name) : tools ? named(list, "tool_use") : NULL;
        if (!t && !name) t = named(list, "default");
        if (!t)
            return sc_fail(SC_ENOTFOUND, "%s: chat_template has no template named \"%s\"", path,
                           name ? name : "default");
    } else if (name && strcmp(name, "default") != 0) {
        return sc_fail(SC_ENOTFOUND, "%s: there is one chat template only, none named \"%s\"", path, name);
    }
    if (!t || json_is_null(t)) return sc_fail(SC_ENOTFOUND, "%s: the model has no chat template", path);
    if (!json_is_string(t))
        return sc_fail(SC_EFORMAT, "%s: chat_template is neither a text nor a list of named texts", path);
    return sc_template_new(out, json_string_value(t), (int64_t)json_string_length(t), path);
}

/* additional_chat_templates/NAME.jinja, beside chat_template.jinja. */
static sc_status from_additional(sc_template **out, const char *dir, const char *name, bool *found)
{
    sc_str file = {0};
    if (strchr(name, '/') || name[0] == '.')
        return sc_fail(SC_EINVAL, "\"%s\" is no name of a chat template", name);
    sc_str_printf(&file, "additional_chat_templates/%s.jinja", name);
    sc_status s = file.oom ? sc_nomem() : from_dir(out, dir, file.p, found);
    sc_str_free(&file);
    return s;
}

/* tokenizer.chat_template, or tokenizer.chat_template.NAME. */
static sc_status from_gguf(sc_template **out, const char *path, const char *name, bool tools)
{
    sc_gguf *g = NULL;
    sc_gguf_text text = {0};
    sc_str key = {0};
    sc_status s = sc_gguf_open(&g, path);
    const char *wanted = name ? name : tools ? "tool_use" : "default";
    if (!s && strcmp(wanted, "default") != 0) {
        sc_str_printf(&key, "tokenizer.chat_template.%s", wanted);
        s = key.oom ? sc_nomem() : sc_gguf_text_of(g, key.p, &text);
    }
    bool plain = !name || strcmp(name, "default") == 0;
    if (!s && !text.p && plain) s = sc_gguf_text_of(g, "tokenizer.chat_template", &text);
    if (!s && !text.p)
        s = sc_fail(SC_ENOTFOUND, "%s: the model has no chat template%s%s", path, plain ? "" : " named ",
                    plain ? "" : name);
    if (!s) s = sc_template_new(out, text.p, text.n, path);
    sc_str_free(&key);
    sc_gguf_free(g);
    return s;
}

sc_status sc_template_load(sc_template **out, const char *model_path, const char *name, bool tools)
{
    bool found = false;
    json_t *config = NULL;
    if (!out || !model_path) return sc_fail(SC_EINVAL, "a model and a place for its template are needed");
    if (sc_path_has_suffix(model_path, ".gguf")) return from_gguf(out, model_path, name, tools);
    if (!sc_path_is_dir(model_path)) return from_file(out, model_path);
    const char *wanted = name ? name : tools ? "tool_use" : NULL;
    sc_status s = SC_OK;
    if (wanted && strcmp(wanted, "default") != 0) s = from_additional(out, model_path, wanted, &found);
    if (!s && !found && (!name || strcmp(name, "default") == 0))
        s = from_dir(out, model_path, "chat_template.jinja", &found);
    if (s || found) return s;
    char *path = sc_path_join(model_path, "tokenizer_config.json");
    if (!path) return sc_nomem();
    if (!sc_path_exists(path))
        s = sc_fail(SC_ENOTFOUND, "%s: the model has no chat template", model_path);
    else
        s = sc_json_read(&config, path, MAX_CONFIG);
    if (!s && !json_is_object(config)) s = sc_fail(SC_EFORMAT, "%s: a JSON object is needed", path);
    if (!s) s = from_config(out, config, path, name, tools);
    json_decref(config);
    sc_free(path);
    return s;
}
