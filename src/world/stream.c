/* SPDX-License-Identifier: Apache-2.0 */
/* Items one after another: the i-th follows from seed, kind and i. */
#include "world/world.h"

static const sc_generator *const generators[] = {
#define X(name) &sc_world_##name,
#include "world/kinds.def"
#undef X
};

static const sc_world_kind *const kinds[] = {
#define X(name) &sc_world_##name.about,
#include "world/kinds.def"
#undef X
};

/* Keys of other splits drawn in a row before a kind is taken to have none of the split that is asked for. */
enum { MAX_TRIES = 100000, MAX_SHOTS = 16, EVAL_OF = 16 };

struct sc_world_stream {
    sc_world *w;
    const sc_generator *g;
    sc_draft d;
    const char *language; /* NULL: both */
    uint64_t seed, stream;
    int64_t next;
    char *json;
};

const sc_world_kind *const *sc_world_kinds(int *count)
{
    *count = SC_COUNT(kinds);
    return kinds;
}

const sc_generator *sc_generator_named(const char *name)
{
    for (int i = 0; i < SC_COUNT(generators); i++)
        if (strcmp(generators[i]->about.name, name) == 0) return generators[i];
    return NULL;
}

sc_split sc_split_of(const char *key, int64_t n)
{
    return (sc_hash(key, (size_t)n) >> 20) % EVAL_OF == 0 ? SC_EVAL : SC_TRAIN;
}

/* ---- a draft ---- */

static void clear(sc_draft *d)
{
    d->text.len = d->prompt.len = d->answer.len = d->key.len = 0;
    json_decref(d->more);
    d->more = NULL;
    d->difficulty = 0;
    d->slots = 0;
}

static void end(sc_draft *d)
{
    sc_str_free(&d->text);
    sc_str_free(&d->prompt);
    sc_str_free(&d->answer);
    sc_str_free(&d->key);
    json_decref(d->more);
}

void sc_add_field(sc_draft *d, const char *name, json_t *value)
{
    if (!d->more) d->more = json_object();
    if (!value || !d->more || json_object_set_new(d->more, name, value) != 0) d->text.oom = true;
}

void sc_draw_task(sc_draft *d, const sc_generator *g, sc_split split)
{
    for (int i = 0; i < MAX_TRIES; i++) {
        d->prompt.len = d->answer.len = d->key.len = 0;
        d->slots = 0;
        g->make(d);
        if (split == SC_ALL || d->fault || sc_split_of(d->key.p, d->key.len) == split) return;
    }
    d->fault = "no key of this split";
}

void sc_ask(sc_draft *d, const char *question, const char *answer)
{
    sc_str_printf(&d->prompt, d->tongue == SC_EN ? "Question: %s\nAnswer:" : "질문: %s\n답:", question);
    sc_str_printf(&d->answer, " %s", answer);
}

static void put_solved(sc_str *out, const sc_draft *d)
{
    sc_str_append(out, d->prompt.p, d->prompt.len);
    sc_str_append(out, d->answer.p, d->answer.len);
    sc_str_putc(out, '\n');
}

/* A task behind solved ones, which are of the training split in any case, and the whole as text. */
static void make_task(sc_draft *d, const sc_generator *g)
{
    sc_str shots = {0};
    for (int64_t i = 0; i < d->shots; i++) {
        sc_draw_task(d, g, SC_TRAIN);
        put_solved(&shots, d);
        sc_str_putc(&shots, '\n');
    }
    sc_draw_task(d, g, d->split);
    sc_str_append(&shots, d->prompt.p, d->prompt.len);
    sc_str_free(&d->prompt);
    d->prompt = shots;
    put_solved(&d->text, d);
}

void sc_make_item(sc_draft *d, const sc_generator *g)
{
    d->kind = g->about.name;
    if (g->about.task)
        make_task(d, g);
    else
        g->make(d);
}

/* ---- the stream ---- */

static bool choose_split(const char *name, sc_split *out)
{
    static const char *const names[] = {"train", "eval", "all"};
    *out = SC_TRAIN;
    if (!name) return true;
    for (int i = 0; i < SC_COUNT(names); i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (sc_split)i;
            return true;
        }
    return false;
}

sc_status sc_world_open(sc_world_stream **out, const sc_world_options *o)
{
    const sc_generator *g = o->kind ? sc_generator_named(o->kind) : NULL;
    sc_split split;
    if (!g) return sc_fail(SC_EINVAL, "no kind \"%s\" can be made", o->kind ? o->kind : "");
    if (!choose_split(o->split, &split))
        return sc_fail(SC_EINVAL, "split \"%s\": expected train, eval or all", o->split);
    if (o->language && strcmp(o->language, "en") != 0 && strcmp(o->language, "ko") != 0)
        return sc_fail(SC_EINVAL, "language \"%s\": expected en or ko", o->language);
    if (o->shots < 0 || o->shots > MAX_SHOTS)
        return sc_fail(SC_EINVAL, "%lld shots: expected 0 to %d", (long long)o->shots, MAX_SHOTS);
    if (o->shots && !g->about.task && strcmp(o->kind, "fewshot") != 0)
        return sc_fail(SC_EINVAL, "%s: shots are for tasks", o->kind);
    if (o->first < 0) return sc_fail(SC_EINVAL, "first item %lld: expected 0 or more", (long long)o->first);
    sc_world_stream *s = sc_calloc(1, sizeof *s);
    if (!s) return sc_nomem();
    sc_status status = sc_world_new(&s->w, o->seed);
    if (status) {
        sc_free(s);
        return status;
    }
    s->g = g;
    s->language = !o->language ? NULL : strcmp(o->language, "ko") == 0 ? "ko" : "en";
    s->seed = o->seed;
    s->stream = sc_hash(g->about.name, strlen(g->about.name));
    s->next = o->first;
    s->d = (sc_draft){
        .w = s->w, .split = split, .shots = o->shots, .seed = o->seed, .one_tongue = o->language != NULL};
    *out = s;
    return SC_OK;
}

void sc_world_free(sc_world_stream *s)
{
    if (!s) return;
    end(&s->d);
    sc_world_end(s->w);
    sc_free(s->json);
    sc_free(s);
}

/* ---- an item ---- */

static void draw(sc_world_stream *s, int64_t i)
{
    sc_draft *d = &s->d;
    clear(d);
    d->index = i;
    d->rng = sc_rng_make(s->seed, s->stream + (uint64_t)i * 2);
    bool korean = sc_chance(d, 2);
    d->tongue = s->language ? (s->language[0] == 'k' ? SC_KO : SC_EN) : korean ? SC_KO : SC_EN;
    d->language = d->tongue == SC_KO ? "ko" : "en";
    sc_make_item(d, s->g);
}

static bool of_split(const sc_draft *d)
{
    const sc_str *key = d->key.len ? &d->key : &d->text;
    return d->split == SC_ALL || sc_split_of(key->p, key->len) == d->split;
}

static sc_status put_json(sc_world_stream *s)
{
    sc_draft *d = &s->d;
    json_t *o = json_pack("{s:s#, s:s, s:s}", "text", d->text.p, (size_t)d->text.len - 1, "kind", d->kind,
                          "language", d->language);
    bool ok = o != NULL;
    if (ok && d->prompt.len)
        ok = json_object_set_new(o, "prompt", json_string(d->prompt.p)) == 0 &&
             json_object_set_new(o, "answer", json_string(d->answer.p)) == 0 &&
             json_object_set_new(o, "difficulty", json_integer(d->difficulty)) == 0;
    if (ok && d->more) ok = json_object_update(o, d->more) == 0;
    sc_free(s->json);
    s->json = ok ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    return s->json ? SC_OK : sc_nomem();
}

sc_status sc_world_next(sc_world_stream *s, sc_world_item *out)
{
    sc_draft *d = &s->d;
    for (int tries = 0;; tries++) {
        if (tries == MAX_TRIES) return sc_fail(SC_ENOTFOUND, "%s: no item of this split", s->g->about.name);
        draw(s, s->next++);
        if (d->fault) return sc_fail(SC_EINVAL, "%s: template: %.40s", s->g->about.name, d->fault);
        if (d->text.oom || d->prompt.oom || d->answer.oom || d->key.oom) return sc_nomem();
        if (of_split(d)) break;
    }
    sc_status status = put_json(s);
    if (status) return status;
    *out = (sc_world_item){.kind = d->kind,
                           .language = d->language,
                           .text = d->text.p,
                           .json = s->json,
                           .prompt = d->prompt.len ? d->prompt.p : NULL,
                           .answer = d->prompt.len ? d->answer.p : NULL,
                           .url = d->more ? json_string_value(json_object_get(d->more, "url")) : NULL,
                           .difficulty = d->difficulty};
    return SC_OK;
}
