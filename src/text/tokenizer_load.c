/* SPDX-License-Identifier: Apache-2.0 */
/* Finding a tokenizer in a model's directory, and telling files apart. */
#include "socle/gguf.h"
#include "text/text.h"

/* Whether a tokenizer.model's texts get a bos and an eos, which that file itself does not say. */
static sc_status read_around(sc_tokenizer *t, const json_t *root, const char *path)
{
    bool bos = t->n_before > 0, eos = t->n_after > 0;
    sc_status s = sc_json_bool(root, path, "add_bos_token", &bos);
    if (!s) s = sc_json_bool(root, path, "add_eos_token", &eos);
    if (s) return s;
    return sc_post_wrap(t, bos ? t->bos : -1, eos ? t->eos : -1);
}

/* The bos, eos, pad and unk tokens that a tokenizer_config.json or special_tokens_map.json names. */
static sc_status read_names(sc_tokenizer *t, const char *path, bool around)
{
    static const char *const names[] = {"bos_token", "eos_token", "pad_token", "unk_token"};
    json_t *root;
    sc_status s = sc_json_read(&root, path, SC_TEXT_MAX_FILE);
    if (s) return s;
    for (int i = 0; i < SC_COUNT(names); i++) {
        const json_t *j = json_object_get(root, names[i]);
        if (json_is_object(j)) j = json_object_get(j, "content");
        if (!json_is_string(j)) continue;
        int32_t id = sc_tokenizer_id(t, json_string_value(j), (int64_t)json_string_length(j));
        if (id >= 0) sc_tokenizer_set(t, names[i], id);
    }
    s = around ? read_around(t, root, path) : SC_OK;
    json_decref(root);
    return s;
}

static sc_status load_gguf(sc_tokenizer **out, const char *path)
{
    sc_gguf *file;
    sc_status s = sc_gguf_open(&file, path);
    if (s) return s;
    s = sc_tokenizer_from_gguf(out, file);
    sc_gguf_free(file);
    return s;
}

/* The tokenizer_config.json beside a file; {} where there is none. */
static sc_status read_settings(json_t **out, const char *path)
{
    const char *base = sc_path_base(path);
    char *dir = NULL, *file = NULL;
    sc_str s = {0};
    sc_str_append(&s, path, base - path);
    sc_str_puts(&s, base == path ? "./" : "");
    dir = sc_str_take(&s, NULL);
    if (dir) file = sc_path_join(dir, "tokenizer_config.json");
    sc_status status = file ? SC_OK : sc_nomem();
    if (!status && sc_path_exists(file))
        status = sc_json_read(out, file, SC_TEXT_MAX_FILE);
    else if (!status && !(*out = json_object()))
        status = sc_nomem();
    sc_free(dir);
    sc_free(file);
    return status;
}

/* vocab.txt, or a vocabulary in JSON and its merges, whose name is in `merges`. */
static sc_status load_lists(sc_tokenizer **out, const char *path, const char *data, int64_t len, const char *merges)
{
    json_t *settings = NULL;
    char *text = NULL;
    int64_t n = 0;
    sc_status s = read_settings(&settings, path);
    if (!s && merges) s = sc_file_read(&text, &n, merges, SC_TEXT_MAX_FILE);
    if (!s)
        s = merges ? sc_tokenizer_from_merges(out, settings, data, len, text, n, path)
                   : sc_tokenizer_from_vocab_txt(out, settings, data, len, path);
    sc_free(text);
    json_decref(settings);
    return s;
}

/* The merges that belong to a vocabulary: beside it, under the name that goes with its own. *out NULL: none. */
static sc_status find_merges(char **out, const char *path)
{
    static const char *const names[][2] = {{"vocab.json", "merges.txt"}, {"encoder.json", "vocab.bpe"}};
    const char *base = sc_path_base(path);
    *out = NULL;
    for (int i = 0; i < SC_COUNT(names); i++) {
        if (!sc_path_has_suffix(base, names[i][0])) continue;
        sc_str s = {0};
        sc_str_append(&s, path, (int64_t)(strlen(path) - strlen(names[i][0])));
        sc_str_puts(&s, names[i][1]);
        *out = sc_str_take(&s, NULL);
        if (!*out) return sc_nomem();
        if (sc_path_exists(*out)) return SC_OK;
        sc_free(*out);
        *out = NULL;
    }
    return SC_OK;
}

static sc_status load_data(sc_tokenizer **out, const char *path, const char *data, int64_t len)
{
    int64_t i = 0;
    char *merges = NULL;
    while (i < len && (data[i] == ' ' || data[i] == '\n' || data[i] == '\r' || data[i] == '\t')) i++;
    if ((i < len && data[i] == '{') || sc_path_has_suffix(path, ".json")) {
        sc_status s = find_merges(&merges, path);
        if (!s)
            s = merges ? load_lists(out, path, data, len, merges) : sc_tokenizer_from_json(out, data, len, path);
        sc_free(merges);
        return s;
    }
    if (sc_path_has_suffix(path, ".txt") && !sc_is_tiktoken(data, len))
        return load_lists(out, path, data, len, NULL);
    return sc_tokenizer_from_spm(out, data, len, path);
}

static sc_status load_file(sc_tokenizer **out, const char *path)
{
    if (sc_path_has_suffix(path, ".gguf")) return load_gguf(out, path);
    char *data;
    int64_t len;
    sc_status s = sc_file_read(&data, &len, path, SC_TEXT_MAX_FILE);
    if (s) return s;
    s = load_data(out, path, data, len);
    sc_free(data);
    return s;
}

static sc_status load_names(sc_tokenizer *t, const char *dir, bool around)
{
    static const char *const files[] = {"special_tokens_map.json", "tokenizer_config.json"}; /* the last counts */
    for (int i = 0; i < SC_COUNT(files); i++) {
        char *path = sc_path_join(dir, files[i]);
        if (!path) return sc_nomem();
        sc_status s = sc_path_exists(path) ? read_names(t, path, around) : SC_OK;
        sc_free(path);
        if (s) return s;
    }
    return SC_OK;
}

sc_status sc_tokenizer_load(sc_tokenizer **out, const char *path)
{
    static const char *const files[] = {"tokenizer.json", "tokenizer.model", "spiece.model", "tiktoken.model",
                                        "vocab.json",     "encoder.json",    "vocab.txt"};
    if (!sc_path_is_dir(path)) return load_file(out, path);
    for (int i = 0; i < SC_COUNT(files); i++) {
        char *file = sc_path_join(path, files[i]);
        if (!file) return sc_nomem();
        if (!sc_path_exists(file)) {
            sc_free(file);
            continue;
        }
        sc_tokenizer *t;
        sc_status s = load_file(&t, file);
        sc_free(file);
        if (s) return s;
        s = load_names(t, path, i == 1 || i == 2);
        if (s) {
            sc_tokenizer_free(t);
            return s;
        }
        *out = t;
        return SC_OK;
    }
    return sc_fail(SC_ENOTFOUND, "%s: no tokenizer.json, tokenizer.model, vocab.json or vocab.txt", path);
}
