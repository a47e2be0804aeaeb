/* SPDX-License-Identifier: Apache-2.0 */
/* What a run begins with: the objective by the configuration, the tokenizer, the model as the objective needs it, the data. */
#include "train/continual.h"

enum { MAX_CONFIG = 16 << 20 };

static sc_status read_gguf(json_t **out, const char *path, bool adapted)
{
    sc_gguf *file;
    if (!adapted)
        return sc_fail(
            SC_EUNSUPPORTED,
            "%s: all weights of a GGUF file cannot be trained: train an adapter (--peft lora), or convert it "
            "to a directory",
            path);
    sc_status s = sc_gguf_open(&file, path);
    if (s) return s;
    s = sc_gguf_config(out, file);
    sc_gguf_free(file);
    return s;
}

/* config.json, of a folder or itself, or what a GGUF file says. */
static sc_status read_config(json_t **out, const char *path, bool adapted)
{
    char *file = sc_path_is_dir(path) ? sc_path_join(path, "config.json") : sc_strdup(path);
    sc_status s = file ? SC_OK : sc_nomem();
    bool gguf = !s && sc_path_has_suffix(file, ".gguf");
    if (!s) s = gguf ? read_gguf(out, path, adapted) : sc_json_read(out, file, MAX_CONFIG);
    if (!s && !json_is_object(*out)) s = sc_fail(SC_EFORMAT, "%s: not a JSON object", file);
    sc_free(file);
    return s;
}

/* Its files for the run, which the GGUF file has in another form. */
static sc_status read_gguf_tokenizer(sc_task *t, const char *path)
{
    sc_gguf *file;
    sc_status s = sc_gguf_open(&file, path);
    if (s) return s;
    s = sc_gguf_tokenizer_json(&t->alphabet.tokenizer, &t->alphabet.config, file);
    sc_gguf_free(file);
    return s;
}

static sc_status open_tokenizer(sc_task *t, const sc_objective_setup *x, json_t *changes)
{
    if (x->o->alphabet) {
        if (x->o->from_weights)
            return sc_fail(SC_EINVAL, "an alphabet is for a new model: %s has its tokens already", x->o->model);
        sc_status s = sc_alphabet_make(&t->alphabet, t->objective, sc_objective_kind(x->config), x, changes);
        return s ? s : sc_alphabet_tokenizer(&t->tokenizer, &t->alphabet);
    }
    bool gguf = sc_path_has_suffix(x->o->tokenizer, ".gguf");
    sc_status s = sc_tokenizer_load(&t->tokenizer, x->o->tokenizer);
    if (!s && gguf) s = read_gguf_tokenizer(t, x->o->tokenizer);
    if (!s && !gguf && !sc_path_is_dir(x->o->tokenizer))
        sc_log(x->ctx, SC_LOG_WARNING, "%s is no folder: the run gets no tokenizer of its own", x->o->tokenizer);
    return s;
}

static sc_status make_adapters(sc_task *t, const sc_train_options *o)
{
    const char *first = o->peft.first;
    int32_t *ids = NULL;
    int64_t n = 0;
    sc_status s = first ? sc_tokenizer_encode(t->tokenizer, first, (int64_t)strlen(first), 0, &ids, &n) : SC_OK;
    if (!s && first && !n) s = sc_fail(SC_EINVAL, "the text that virtual tokens begin as has no tokens");
    if (!s) s = sc_adapters_make(t->model, &o->peft, o->seed, ids, n);
    sc_free(ids);
    return s;
}

/* The new data, and the old of which some is in each batch. */
static sc_status open_data(sc_task *t, const sc_objective_setup *x)
{
    int64_t batch = x->o->batch, old;
    sc_status s = sc_replay_rows(x->o, x->parts, &old);
    if (s) return s;
    x->o->batch = batch - old;
    s = t->objective->open(&t->self, x);
    x->o->batch = batch;
    if (!s) t->objective->size(t->self, &t->size);
    if (!s && old) s = sc_replay_open(&t->replay, t->objective, x, old);
    t->replayed = old * x->parts;
    return s;
}

sc_status sc_task_open(sc_task *t, sc_context *ctx, sc_train_options *o, const char *path, bool fresh,
                       int64_t parts)
{
    const sc_model_options make = {.weights = fresh ? SC_WEIGHTS_FRESH : SC_WEIGHTS_FILE, .seed = o->seed};
    json_t *config = NULL, *changes = NULL;
    sc_status s = read_config(&config, path, o->peft.method != NULL);
    sc_objective_setup x = {.ctx = ctx, .o = o, .config = config, .parts = parts};
    if (!s && !t->objective) s = sc_objective_choose(&t->objective, o->objective, config, path);
    if (!s && parts > 1 && t->objective->together)
        s = sc_fail(
            SC_EINVAL,
            "'%s' compares the examples of a batch, so ranks can divide batches only: --accumulate must be a "
            "multiple of the ranks",
            t->objective->name);
    if (!s && !(changes = json_object())) s = sc_nomem();
    if (!s) s = open_tokenizer(t, &x, changes);
    x.tokenizer = t->tokenizer;
    x.lines = t->alphabet.lines;
    if (!s) s = sc_objective_changes(changes, t->objective, &x);
    if (!s) s = sc_model_open_changed(&t->model, ctx, path, &make, changes);
    if (!s && o->n_prompts && (t->model->info.source_vocab || t->model->info.head != SC_HEAD_NEXT))
        s = sc_fail(SC_EINVAL, "--prompt: samples are of decoders; %s is none", path);
    if (!s && fresh) sc_fresh_weights(t->model);
    if (!s && o->peft.method) s = make_adapters(t, o);
    x.model = t->model;
    if (!s) s = open_data(t, &x);
    json_decref(config);
    json_decref(changes);
    return s;
}

void sc_task_close(sc_task *t)
{
    if (t->objective) t->objective->free(t->self);
    sc_replay_free(t->replay);
    sc_tokenizer_free(t->tokenizer);
    sc_model_free(t->model);
    sc_alphabet_free(&t->alphabet);
}

sc_status sc_task_batch(const sc_task *t, int64_t index, sc_text_batch *out)
{
    sc_status s = t->objective->batch(t->self, index, out);
    return s || !t->replay ? s : sc_replay_add(t->replay, index, out);
}

void sc_task_describe(const sc_task *t, int64_t index, sc_str *out)
{
    if (t->objective->describe)
        t->objective->describe(t->self, index, out);
    else
        sc_str_printf(out, "batch %lld of the data's order", (long long)index);
    if (t->replay) sc_replay_describe(t->replay, index, out);
}

sc_status sc_task_measure(const sc_task *t, sc_context *ctx, const sc_train_options *o, const char *const *path,
                          int n, void **self, int64_t *eval_batches)
{
    sc_train_options own = *o;
    sc_objective_size size;
    sc_objective_setup x = {.ctx = ctx,
                            .o = &own,
                            .config = t->model->json,
                            .tokenizer = t->tokenizer,
                            .lines = t->alphabet.lines,
                            .model = t->model,
                            .parts = 1};
    if (t->objective->evaluate)
        return sc_fail(SC_EUNSUPPORTED, "'%s' measures what it makes itself: it looks at no other data",
                       t->objective->name);
    own.data = own.eval_data = path; /* an objective has data to learn from, too */
    own.n_data = own.n_eval_data = n;
    own.eval_share = 0;
    own.prefer.precompute = false; /* the file for it is of the new data */
    sc_status s = t->objective->open(self, &x);
    if (s) return s;
    t->objective->size(*self, &size);
    *eval_batches = size.eval_batches;
    return SC_OK;
}
