/* SPDX-License-Identifier: Apache-2.0 */
/* From a configuration to a task: its keys, its data. */
#include "eval/eval.h"

#include <stdlib.h>

void sc_eval_task_free(sc_eval_task *t)
{
    if (!t) return;
    sc_eval_value *const values[] = {&t->text,        &t->target,    &t->choice,      &t->description,
                                     &t->prefix,      &t->shot_text, &t->shot_target, &t->shot_choice,
                                     &t->shot_prefix, &t->first,     &t->second,      &t->score,
                                     &t->query,       &t->document,  &t->document_id, &t->relevant};
    for (int i = 0; i < SC_COUNT(values); i++) sc_eval_value_free(values[i]);
    sc_filters_free(t);
    sc_metrics_free(t);
    json_decref(t->rows);
    json_decref(t->examples);
    json_decref(t->corpus);
    json_decref(t->config);
    sc_free(t->name);
    sc_free(t->where);
    sc_free(t);
}

/* ---- keys ---- */

static sc_status text_key(const sc_eval_task *t, const json_t *o, const char *key, const char *otherwise,
                          const char **out)
{
    *out = otherwise;
    return sc_json_str(o, t->where, key, out);
}

static sc_status read_kind(sc_eval_task *t)
{
    static const char *const names[] = {"multiple_choice", "loglikelihood", "loglikelihood_rolling",
                                        "generate_until",  "similarity",    "retrieval"};
    const char *word;
    sc_status s = text_key(t, t->config, "output_type", "generate_until", &word);
    if (s) return s;
    for (int i = 0; i < SC_COUNT(names); i++) {
        if (strcmp(names[i], word) != 0) continue;
        t->kind = (sc_eval_kind)i;
        return SC_OK;
    }
    return sc_fail(SC_EFORMAT,
                   "%s: output_type is multiple_choice, loglikelihood, loglikelihood_rolling, generate_until, "
                   "similarity or retrieval, not '%.60s'",
                   t->where, word);
}

/* What would change results if it were passed over. */
static sc_status refuse_keys(const sc_eval_task *t)
{
    static const char *const keys[] = {"process_docs", "process_results", "custom_dataset", "doc_to_image",
                                       "doc_to_audio", "use_prompt",      "class"};
    for (int i = 0; i < SC_COUNT(keys); i++) {
        const json_t *v = json_object_get(t->config, keys[i]);
        if (v && !json_is_null(v) && !json_is_false(v))
            return sc_fail(SC_EUNSUPPORTED, "%s: %s is not supported", t->where, keys[i]);
    }
    return SC_OK;
}

/* Values of keys; those for examples are the task's own where fewshot_config says nothing. */
static sc_status read_values(sc_eval_task *t)
{
    json_t *shots = json_object_get(t->config, "fewshot_config");
    const struct {
        sc_eval_value *value;
        const char *key;
    } keys[] = {{&t->text, "doc_to_text"},
                {&t->target, "doc_to_target"},
                {&t->choice, "doc_to_choice"},
                {&t->description, "description"},
                {&t->prefix, "gen_prefix"},
                {&t->first, "first"},
                {&t->second, "second"},
                {&t->score, "score"},
                {&t->query, "query"},
                {&t->document, "document"},
                {&t->document_id, "document_id"},
                {&t->relevant, "relevant"}};
    const struct {
        sc_eval_value *value;
        const char *key;
    } own[] = {{&t->shot_text, "doc_to_text"},
               {&t->shot_target, "doc_to_target"},
               {&t->shot_choice, "doc_to_choice"},
               {&t->shot_prefix, "gen_prefix"}};
    sc_status s = SC_OK;
    if (shots && !json_is_object(shots) && !json_is_null(shots))
        return sc_fail(SC_EFORMAT, "%s: fewshot_config must be a mapping", t->where);
    for (int i = 0; !s && i < SC_COUNT(keys); i++)
        s = sc_eval_value_new(keys[i].value, t->config, keys[i].key, t->where);
    for (int i = 0; !s && i < SC_COUNT(own); i++) {
        const json_t *v = json_object_get(shots, own[i].key);
        s = sc_eval_value_new(own[i].value, v && !json_is_null(v) ? shots : t->config, own[i].key, t->where);
    }
    return s;
}

static sc_status read_keys(sc_eval_task *t)
{
    const json_t *c = t->config, *shots = json_object_get(c, "fewshot_config");
    const char *sampler;
    sc_status s = read_kind(t);
    if (!s) s = refuse_keys(t);
    if (!s) s = read_values(t);
    if (!s) s = text_key(t, c, "target_delimiter", " ", &t->delimiter);
    if (!s) s = text_key(t, c, "fewshot_delimiter", "\n\n", &t->shot_delimiter);
    if (!s) s = text_key(t, shots, "target_delimiter", t->delimiter, &t->shots_target_delimiter);
    if (!s) s = text_key(t, shots, "fewshot_delimiter", t->shot_delimiter, &t->shots_delimiter);
    if (!s) s = text_key(t, shots, "sampler", "default", &sampler);
    if (!s) s = sc_json_int(c, t->where, "num_fewshot", 0, 1000, &t->shots);
    t->repeats = 1;
    if (!s) s = sc_json_int(c, t->where, "repeats", 1, 4096, &t->repeats);
    if (s) return s;
    t->first_n = strcmp(sampler, "first_n") == 0;
    if (!t->first_n && strcmp(sampler, "default") != 0)
        return sc_fail(SC_EUNSUPPORTED, "%s: the sampler is default or first_n, not '%.60s'", t->where, sampler);
    t->generation = json_object_get(c, "generation_kwargs");
    if (json_is_null(t->generation)) t->generation = NULL;
    if (t->generation && !json_is_object(t->generation))
        return sc_fail(SC_EFORMAT, "%s: generation_kwargs must be a mapping", t->where);
    return SC_OK;
}

/* ---- data ---- */

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? sc_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : sc_strdup(".");
}

sc_status sc_eval_find(char **out, const char *path, const char *beside, const sc_eval_open_options *o)
{
    if (*path == '/' || sc_path_exists(path)) {
        if (!sc_path_exists(path)) return sc_fail(SC_ENOTFOUND, "%s: no such file", path);
        return (*out = sc_strdup(path)) ? SC_OK : sc_nomem();
    }
    char *folder = folder_of(beside);
    if (!folder) return sc_nomem();
    sc_status s = SC_ENOTFOUND;
    for (int i = -1; s == SC_ENOTFOUND && i < o->n_folders; i++) {
        char *at = sc_path_join(i < 0 ? folder : o->folders[i], path);
        if (!at) {
            s = SC_ENOMEM;
        } else if (sc_path_exists(at)) {
            *out = at;
            at = NULL;
            s = SC_OK;
        }
        sc_free(at);
    }
    sc_free(folder);
    if (s == SC_ENOMEM) return sc_nomem();
    return s ? sc_fail(SC_ENOTFOUND, "%s: no such file here, beside %s, or in a folder given for data", path,
                       beside)
             : SC_OK;
}

/* Appends the rows of a path, or of each of a list of them. */
static sc_status read_files(json_t *rows, const sc_eval_task *t, const json_t *paths, const char *kind,
                            const sc_eval_open_options *o)
{
    const json_t *kwargs = json_object_get(t->config, "dataset_kwargs");
    size_t n = json_is_array(paths) ? json_array_size(paths) : 1;
    for (size_t i = 0; i < n; i++) {
        const char *path = json_string_value(json_is_array(paths) ? json_array_get(paths, i) : paths);
        char *at = NULL;
        if (!path) return sc_fail(SC_EFORMAT, "%s: data_files: a path is expected", t->where);
        sc_status s = sc_eval_find(&at, path, t->where, o);
        if (!s) s = sc_dataset_read(rows, at, kind, kwargs);
        sc_free(at);
        if (s) return sc_fail_in(s, "%s", t->name);
    }
    return SC_OK;
}

/* The file that the options give for a split, or NULL. The last one that fits counts. */
static const char *given_file(const sc_eval_task *t, const char *split, bool evaluated,
                              const sc_eval_open_options *o)
{
    for (int i = o->n_data - 1; i >= 0; i--) {
        const sc_eval_data *d = &o->data[i];
        if (d->task && strcmp(d->task, t->name) != 0) continue;
        if (d->split ? strcmp(d->split, split) == 0 : evaluated) return d->path;
    }
    return NULL;
}

static bool all_mappings(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!json_is_object(json_array_get(list, i))) return false;
    return json_array_size(list) > 0;
}

/* The rows of a split. */
static sc_status read_split(json_t **out, const sc_eval_task *t, const char *split, bool evaluated,
                            const sc_eval_open_options *o)
{
    const char *path = NULL;
    json_t *kwargs = json_object_get(t->config, "dataset_kwargs"), *files = json_object_get(kwargs, "data_files");
    json_t *inside = json_object_get(json_object_get(t->config, "rows"), split);
    sc_status s = sc_json_str(t->config, t->where, "dataset_path", &path);
    if (s) return s;
    const char *given = given_file(t, split, evaluated, o);
    if (inside && !given) { /* a built-in task's, or a task file that has them within */
        if (!all_mappings(inside)) return sc_fail(SC_EFORMAT, "%s: rows: a list of mappings is expected", t->where);
        *out = json_incref(inside);
        return SC_OK;
    }
    const char *kind =
        path && (!strcmp(path, "json") || !strcmp(path, "csv") || !strcmp(path, "text")) ? path : NULL;
    if (!given && path && !kind)
        return sc_fail(SC_ENOTFOUND,
                       "%s: dataset_path '%.100s': data are read from files (json, csv, text); give one with "
                       "its split",
                       t->where, path);
    if (!given && json_is_object(files)) files = json_object_get(files, split);
    if (!given && !files)
        return sc_fail(SC_ENOTFOUND,
                       "%s: no data for the split '%.60s': say so in dataset_kwargs: data_files, or give a file",
                       t->where, split);
    json_t *rows = json_array(), *name = given ? json_string(given) : json_incref(files);
    if (!rows || !name) s = sc_nomem();
    if (!s) s = read_files(rows, t, name, given && kind && !strcmp(kind, "json") ? NULL : kind, o);
    json_decref(name);
    if (!s && json_array_size(rows) == 0)
        s = sc_fail(SC_EFORMAT, "%s: no rows in the split '%.60s'", t->where, split);
    if (s)
        json_decref(rows);
    else
        *out = rows;
    return s;
}

static sc_status read_data(sc_eval_task *t, const sc_eval_open_options *o)
{
    const char *test = NULL, *validation = NULL, *train = NULL, *shots = NULL, *documents = NULL;
    const json_t *c = t->config, *few = json_object_get(c, "fewshot_config");
    sc_status s = text_key(t, c, "test_split", NULL, &test);
    if (!s) s = text_key(t, c, "validation_split", NULL, &validation);
    if (!s) s = text_key(t, c, "training_split", NULL, &train);
    if (!s) s = text_key(t, c, "fewshot_split", NULL, &shots);
    if (!s) s = text_key(t, few, "split", shots, &shots);
    if (!s) s = text_key(t, c, "corpus_split", NULL, &documents);
    const char *evaluated = test ? test : validation;
    if (!s && !evaluated) s = sc_fail(SC_EFORMAT, "%s: neither test_split nor validation_split is given", t->where);
    if (!s) s = read_split(&t->rows, t, evaluated, true, o);
    if (!s && documents) s = read_split(&t->corpus, t, documents, false, o);
    /* Examples: of their own split, listed, else of the training split, of that for validation, or of what is evaluated. */
    json_t *listed = json_object_get(few, "samples");
    if (!s && !shots && listed && !json_is_null(listed)) {
        if (!all_mappings(listed))
            return sc_fail(SC_EFORMAT, "%s: fewshot_config: samples: a list of mappings is expected", t->where);
        t->examples = json_incref(listed);
        return SC_OK;
    }
    if (s) return s;
    t->may_meet_itself =
        shots && test ? strcmp(shots, test) == 0 : shots == test; /* as lm-evaluation-harness has it */
    if (!shots) shots = train ? train : validation ? validation : test;
    t->shots_from_test = strcmp(shots, evaluated) == 0;
    t->may_meet_itself |= t->shots_from_test; /* and where it would show a row its own answer */
    if (t->shots_from_test)
        t->examples = json_incref(t->rows);
    else if ((s = read_split(&t->examples, t, shots, false, o)) == SC_ENOTFOUND && !t->shots) {
        t->examples = json_incref(t->rows); /* a task that shows none need not have them */
        t->shots_from_test = true;
        s = SC_OK;
    }
    return s;
}

/* The rows at fewshot_indices alone. */
static sc_status pick_examples(sc_eval_task *t)
{
    const json_t *list = json_object_get(json_object_get(t->config, "fewshot_config"), "fewshot_indices");
    if (!list || json_is_null(list)) return SC_OK;
    json_t *picked = json_array();
    sc_status s = picked ? SC_OK : sc_nomem();
    for (size_t i = 0; !s && i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        json_t *row = json_is_integer(v) && json_integer_value(v) >= 0
                          ? json_array_get(t->examples, (size_t)json_integer_value(v))
                          : NULL;
        if (!row)
            s = sc_fail(SC_EFORMAT, "%s: fewshot_indices: number %zu of the list is none of the split's rows",
                        t->where, i + 1);
        else if (json_array_append(picked, row))
            s = sc_nomem();
    }
    json_decref(t->examples);
    t->examples = picked;
    return s;
}

/* ---- the whole ---- */

static sc_status check_kind(const sc_eval_task *t)
{
    const char *missing = NULL;
    if (t->kind == SC_EVAL_SIMILARITY) {
        missing = !sc_eval_value_given(&t->first)    ? "first"
                  : !sc_eval_value_given(&t->second) ? "second"
                  : !sc_eval_value_given(&t->score)  ? "score"
                                                     : NULL;
    } else if (t->kind == SC_EVAL_RETRIEVAL) {
        missing = !sc_eval_value_given(&t->query)      ? "query"
                  : !sc_eval_value_given(&t->document) ? "document"
                  : !sc_eval_value_given(&t->relevant) ? "relevant"
                  : !t->corpus                         ? "corpus_split"
                                                       : NULL;
    } else {
        missing = !sc_eval_value_given(&t->target)                                ? "doc_to_target"
                  : !sc_eval_value_given(&t->text) && t->kind != SC_EVAL_ROLLING  ? "doc_to_text"
                  : !sc_eval_value_given(&t->choice) && t->kind == SC_EVAL_CHOICE ? "doc_to_choice"
                                                                                  : NULL;
    }
    return missing ? sc_fail(SC_EFORMAT, "%s: %s is missing", t->where, missing) : SC_OK;
}

/* What the first row says of all: an integer for a text means that choices differ in what comes before them. */
static sc_status look_at_first(sc_eval_task *t)
{
    sc_eval_parts parts;
    if (t->kind >= SC_EVAL_SIMILARITY) return SC_OK;
    sc_status s = sc_eval_parts_get(&parts, t, json_array_get(t->rows, 0), false);
    if (s) return s;
    t->many_inputs = json_is_integer(parts.text) && parts.choices;
    t->many_targets = json_is_array(parts.target);
    sc_eval_parts_free(&parts);
    return SC_OK;
}

sc_status sc_eval_task_new(sc_eval_task **out, json_t *config, const char *where, const sc_eval_open_options *o)
{
    const char *name = NULL;
    sc_eval_task *t = sc_calloc(1, sizeof *t);
    if (!t) {
        json_decref(config);
        return sc_nomem();
    }
    t->config = config;
    t->where = sc_strdup(where);
    sc_status s = !t->where                 ? sc_nomem()
                  : !json_is_object(config) ? sc_fail(SC_EFORMAT, "%s: a mapping is expected", where)
                                            : sc_json_str(config, where, "task", &name);
    if (!s && !(t->name = sc_strdup(name ? name : sc_path_base(where)))) s = sc_nomem();
    if (!s) s = read_keys(t);
    if (!s) s = sc_metrics_read(t);
    if (!s) s = sc_filters_read(t);
    if (!s) s = read_data(t, o);
    if (!s) s = pick_examples(t);
    if (!s) s = check_kind(t);
    if (!s) s = look_at_first(t);
    if (s)
        sc_eval_task_free(t);
    else
        *out = t;
    return s;
}

/* ---- what is asked of a task ---- */

const char *sc_eval_task_name(const sc_eval_task *t) { return t->name; }
sc_eval_kind sc_eval_task_kind(const sc_eval_task *t) { return t->kind; }
int64_t sc_eval_task_shots(const sc_eval_task *t) { return t->shots; }

int64_t sc_eval_task_items(const sc_eval_task *t, sc_eval_part part)
{
    return (int64_t)json_array_size(part == SC_EVAL_TEST ? t->rows : t->examples);
}

bool sc_eval_task_has_examples(const sc_eval_task *t) { return !t->shots_from_test; }
