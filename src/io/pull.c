/* SPDX-License-Identifier: Apache-2.0 */
/* Fetching a repository's model from a hub: what it holds, which of its files make the model, and those files. */
#include "socle/hub.h"

#include "io/io.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <strings.h>

#define LISTING_MAX (32LL << 20)
#define FILES_MAX   20000
#define CONFIG_NAME "config.json"

typedef struct remote {
    const char *name; /* borrowed from the listing */
    int64_t size;     /* -1: not said */
    const char *sha256, *git_sha1;
    bool chosen;
} remote;

typedef struct pull {
    const sc_context *ctx;
    const char *endpoint, *token, *revision, *pattern;
    char *name;   /* ORG/NAME */
    char *chosen; /* FILE of ORG/NAME:FILE */
    char *folder; /* where the files go */
    json_t *listing;
    remote *file;
    int64_t count;
} pull;

/* ---- names ---- */

static bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

static bool plain(const char *s, size_t n, const char *extra)
{
    if (!n || n > 200 || s[0] == '.' || s[0] == '-') return false;
    for (size_t i = 0; i < n; i++) {
        if (!letter(s[i]) && !strchr(extra, s[i])) return false;
        if (s[i] == '.' && i + 1 < n && s[i + 1] == '.') return false;
    }
    return true;
}

/* At most `parts` plain parts between slashes. */
static bool plain_path(const char *s, int parts, const char *extra)
{
    for (;; s++) {
        size_t n = strcspn(s, "/");
        if (parts-- == 0 || !plain(s, n, extra)) return false;
        s += n;
        if (!*s) return true;
    }
}

sc_status sc_hub_check_name(const char *name)
{
    if (plain_path(name, 2, "._-")) return SC_OK;
    return sc_fail(SC_EINVAL, "'%.200s' is no repository's name: ORG/NAME of letters, digits, '.', '_' and '-'",
                   name);
}

/* A file's name in the repository, which becomes a path in our folder. */
static sc_status check_file_name(const pull *p, const char *name)
{
    if (plain_path(name, 4, "._-+=@(), ")) return SC_OK;
    return sc_fail(SC_EFORMAT, "%s: the repository has a file called '%.200s', which is refused", p->name, name);
}

/* ---- the request ---- */

static bool offline(const sc_hub_pull_options *o)
{
    const char *v = getenv("HF_HUB_OFFLINE");
    if (o && o->offline) return true;
    return v && (!strcmp(v, "1") || !strcasecmp(v, "true") || !strcasecmp(v, "yes") || !strcasecmp(v, "on"));
}

static sc_status prepare(pull *p, const char *name, const sc_hub_pull_options *o)
{
    const char *colon = strchr(name, ':'), *endpoint = getenv("HF_ENDPOINT"), *token = getenv("HF_TOKEN");
    p->name = sc_strndup(name, colon ? (size_t)(colon - name) : strlen(name));
    if (colon && !(p->chosen = sc_strdup(colon + 1))) return sc_nomem();
    if (!p->name) return sc_nomem();
    sc_status e = sc_hub_check_name(p->name);
    if (e) return e;
    p->revision = o && o->revision ? o->revision : "main";
    if (!plain_path(p->revision, 4, "._-"))
        return sc_fail(SC_EINVAL, "'%.200s' is no revision: a branch, a tag or a commit", p->revision);
    p->pattern = o && o->file ? o->file : p->chosen;
    p->endpoint = endpoint && *endpoint ? endpoint : "https://huggingface.co";
    p->token = token && *token ? token : NULL;
    if (offline(o)) return sc_fail(SC_ENETWORK, "%s: not fetched: offline", p->name);
    char *models;
    if ((e = sc_hub_folder(&models))) return e;
    sc_str folder = {0};
    sc_str_printf(&folder, "%s/%s", models, p->name);
    if (strcmp(p->revision, "main")) {
        sc_str_putc(&folder, '@');
        for (const char *c = p->revision; *c; c++) sc_str_putc(&folder, *c == '/' ? '_' : *c);
    }
    sc_free(models);
    p->folder = sc_str_take(&folder, NULL);
    return p->folder ? SC_OK : sc_nomem();
}

/* endpoint + "/" + path, without doubling the slash. */
static void put_endpoint(sc_str *s, const pull *p)
{
    size_t n = strlen(p->endpoint);
    while (n && p->endpoint[n - 1] == '/') n--;
    sc_str_append(s, p->endpoint, (int64_t)n);
    sc_str_putc(s, '/');
}

static void put_escaped(sc_str *s, const char *text, bool keep_slash)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (letter((char)c) || strchr("._-", c) || (c == '/' && keep_slash))
            sc_str_putc(s, (char)c);
        else
            sc_str_printf(s, "%%%02X", c);
    }
}

/* ---- the listing ---- */

static const char *hex_of(const json_t *o, const char *key, size_t n)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s && strlen(s) == n && strspn(s, "0123456789abcdefABCDEF") == n ? s : NULL;
}

static sc_status read_listing(pull *p)
{
    const json_t *all = json_object_get(p->listing, "siblings");
    size_t n = json_array_size(all);
    if (!json_is_array(all)) return sc_fail(SC_EFORMAT, "%s: the hub's answer has no list of files", p->name);
    if (n > FILES_MAX) return sc_fail(SC_ELIMIT, "%s: %zu files, the limit is %d", p->name, n, FILES_MAX);
    if (!(p->file = sc_calloc(n, sizeof *p->file))) return sc_nomem();
    for (size_t i = 0; i < n; i++) {
        const json_t *x = json_array_get(all, i), *name = json_object_get(x, "rfilename"),
                     *lfs = json_object_get(x, "lfs");
        remote *r = &p->file[p->count];
        *r = (remote){.name = json_string_value(name), .size = -1};
        if (!r->name || strlen(r->name) != json_string_length(name))
            return sc_fail(SC_EFORMAT, "%s: a file in the hub's list has no proper name", p->name);
        sc_status e = sc_json_int(x, r->name, "size", 0, INT64_MAX, &r->size);
        if (!e && lfs) e = sc_json_int(lfs, r->name, "size", 0, INT64_MAX, &r->size);
        if (e) return sc_fail_in(e, "%s", p->name);
        r->sha256 = hex_of(lfs, "sha256", 64);
        if (!r->sha256 && !json_is_object(lfs)) r->git_sha1 = hex_of(x, "blobId", 40); /* of a pointer, with lfs */
        p->count++;
    }
    return SC_OK;
}

static sc_status list_files(pull *p)
{
    sc_str url = {0}, what = {0};
    char *text = NULL;
    int64_t len;
    put_endpoint(&url, p);
    sc_str_printf(&url, "api/models/%s/revision/", p->name);
    put_escaped(&url, p->revision, false);
    sc_str_puts(&url, "?blobs=true");
    sc_str_printf(&what, "%s (%s)", p->name, p->revision);
    sc_fetch f = {.ctx = p->ctx, .url = url.p, .token = p->token, .what = what.p, .size = -1};
    sc_status e = url.oom || what.oom ? sc_nomem() : sc_fetch_text(&f, LISTING_MAX, &text, &len);
    if (!e) e = sc_json_parse(&p->listing, text, len, "the hub's answer");
    if (!e) e = read_listing(p);
    sc_free(text);
    sc_str_free(&url);
    sc_str_free(&what);
    return e;
}

/* ---- which files ---- */

static bool is_text_part(const char *name)
{
    static const char *const suffixes[] = {".json", ".jinja", ".model", ".tiktoken"};
    static const char *const names[] = {"merges.txt", "vocab.txt"};
    const char *base = sc_path_base(name);
    for (int i = 0; i < SC_COUNT(suffixes); i++)
        if (sc_path_has_suffix(base, suffixes[i])) return true;
    for (int i = 0; i < SC_COUNT(names); i++)
        if (!strcmp(base, names[i])) return true;
    return false;
}

/* Weights that repeat the others in another layout are left out. */
static bool is_weight_part(const char *name)
{
    return sc_path_has_suffix(name, ".safetensors") && strncmp(sc_path_base(name), "consolidated", 12);
}

static bool has_letters(const char *text, const char *part)
{
    size_t n = strlen(part);
    for (; *text; text++)
        if (!strncasecmp(text, part, n)) return true;
    return false;
}

/* With a pattern: what it matches, or the GGUF files whose names hold it. */
static int64_t choose_matching(pull *p)
{
    int64_t n = 0;
    for (int64_t i = 0; i < p->count; i++) n += p->file[i].chosen = fnmatch(p->pattern, p->file[i].name, 0) == 0;
    for (int64_t i = 0; !n && i < p->count; i++)
        p->file[i].chosen =
            sc_path_has_suffix(p->file[i].name, ".gguf") && has_letters(p->file[i].name, p->pattern);
    for (int64_t i = 0; !n && i < p->count; i++)
        if (p->file[i].chosen) return 1;
    return n;
}

/* A pipeline of several models (model_index.json) has its parts in folders; others are complete at the top. */
static int64_t choose_whole(pull *p)
{
    bool pipeline = false;
    int64_t weights = 0;
    for (int64_t i = 0; i < p->count; i++) pipeline |= !strcmp(p->file[i].name, "model_index.json");
    for (int64_t i = 0; i < p->count; i++) {
        remote *r = &p->file[i];
        if (strchr(r->name, '/') && !pipeline) continue;
        bool weight = is_weight_part(r->name);
        r->chosen = weight || is_text_part(r->name);
        weights += weight;
    }
    for (int64_t i = 0; !weights && i < p->count; i++) p->file[i].chosen = false;
    return weights;
}

static sc_status choose_gguf(pull *p)
{
    remote *only = NULL, *usual = NULL;
    int64_t n = 0, usuals = 0;
    sc_str names = {0};
    for (int64_t i = 0; i < p->count; i++) {
        remote *r = &p->file[i];
        if (!sc_path_has_suffix(r->name, ".gguf")) continue;
        sc_str_printf(&names, "%s%s", n && n < 20 ? ", " : "", n < 20 ? r->name : "");
        only = r;
        n++;
        if (!has_letters(r->name, "q4_k_m")) continue;
        usual = r;
        usuals++;
    }
    sc_status e = SC_OK;
    if (n == 1)
        only->chosen = true;
    else if (usuals == 1)
        usual->chosen = true;
    else if (!n)
        e = sc_fail(SC_ENOTFOUND, "%s: the repository holds neither safetensors nor GGUF files", p->name);
    else
        e = sc_fail(SC_EINVAL, "%s: choose one of its files: %s", p->name, names.oom ? "" : names.p);
    sc_str_free(&names);
    return e;
}

static sc_status choose(pull *p)
{
    sc_status e = SC_OK;
    if (p->pattern && !choose_matching(p))
        return sc_fail(SC_ENOTFOUND, "%s: the repository has no file that fits '%.200s'", p->name, p->pattern);
    if (!p->pattern && !choose_whole(p)) e = choose_gguf(p);
    for (int64_t i = 0; !e && i < p->count; i++)
        if (p->file[i].chosen) e = check_file_name(p, p->file[i].name);
    return e;
}

/* ---- the files ---- */

static sc_status fetch_one(const pull *p, const remote *r)
{
    sc_str url = {0};
    char *path = sc_path_join(p->folder, r->name);
    sc_status e = SC_OK;
    put_endpoint(&url, p);
    sc_str_printf(&url, "%s/resolve/", p->name);
    put_escaped(&url, p->revision, false);
    sc_str_putc(&url, '/');
    put_escaped(&url, r->name, true);
    if (!path || url.oom) {
        e = sc_nomem();
        goto done;
    }
    sc_fetch f = {.ctx = p->ctx, .url = url.p, .token = p->token, .what = r->name, .size = r->size};
    f.sha256 = r->sha256;
    f.git_sha1 = r->git_sha1;
    if ((f.sha256 || f.git_sha1) && sc_fetch_verify(&f, path) == SC_OK) goto done; /* it is there */
    char *slash = strrchr(path, '/');
    *slash = 0;
    e = sc_mkdirs(path);
    *slash = '/';
    if (!e && (e = sc_fetch_file(&f, path))) sc_fail_in(e, "%s", p->name);
done:
    sc_free(path);
    sc_str_free(&url);
    return e;
}

/* A folder counts as a model once it has config.json: that comes last. */
static sc_status fetch_files(const pull *p)
{
    sc_status e = SC_OK;
    for (bool last = false;; last = true) {
        for (int64_t i = 0; !e && i < p->count; i++)
            if (p->file[i].chosen && (strcmp(p->file[i].name, CONFIG_NAME) == 0) == last)
                e = fetch_one(p, &p->file[i]);
        if (e || last) return e;
    }
}

/* What to open: the one GGUF file that was fetched, or the folder. */
static char *result_of(const pull *p)
{
    const remote *gguf = NULL;
    int64_t n = 0;
    for (int64_t i = 0; i < p->count; i++) {
        if (!p->file[i].chosen) continue;
        if (sc_path_has_suffix(p->file[i].name, ".gguf")) gguf = &p->file[i];
        n++;
    }
    return gguf && n == 1 ? sc_path_join(p->folder, gguf->name) : sc_strdup(p->folder);
}

sc_status sc_hub_pull(char **path, const sc_context *ctx, const char *name, const sc_hub_pull_options *options)
{
    if (!path || !name) return sc_fail(SC_EINVAL, "sc_hub_pull: NULL argument");
    pull p = {.ctx = ctx};
    sc_status e = prepare(&p, name, options);
    if (!e) e = list_files(&p);
    if (!e) e = choose(&p);
    if (!e) e = fetch_files(&p);
    if (!e && !(*path = result_of(&p))) e = sc_nomem();
    json_decref(p.listing);
    sc_free(p.file);
    sc_free(p.name);
    sc_free(p.chosen);
    sc_free(p.folder);
    return e;
}
