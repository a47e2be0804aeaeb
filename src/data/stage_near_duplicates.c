/* SPDX-License-Identifier: Apache-2.0 */
/* Documents that are alike: MinHash (Broder 1997) and locality-sensitive hashing (Indyk and Motwani 1998).
 *
 * A document is the set of its n-grams of words. Of each of `hashes` orders of all n-grams it has a first one, and two
 * documents have the same with a chance that is their Jaccard similarity s. `rows` of them make a band; documents with a band
 * in common are candidates, which happens with a chance of 1 - (1 - s^rows)^bands. Candidates are compared, so that what is
 * merged is alike indeed.
 *
 * Step 0 makes pairs of what shares a band, step 1 compares them, step 2 decides which stay. */
#include "data/near.h"

#include <math.h>

enum { TASKS = 32, WINDOW = 8 };

void sc_near_bands(double threshold, int hashes, double caught, int *bands, int *rows)
{
    *rows = 1;
    for (int r = 2; r <= hashes; r++)
        if (1 - pow(1 - pow(threshold, r), hashes / r) >= caught) *rows = r;
    *bands = hashes / *rows;
}

void sc_near_init(sc_near *n, double threshold, int64_t words, int hashes, double caught)
{
    n->threshold = threshold;
    n->n = words;
    sc_near_bands(threshold, hashes, caught, &n->bands, &n->rows);
    for (int i = 0; i < SC_NEAR_HASHES; i++) {
        uint32_t r[4];
        /* not the run's seed: what is alike is no matter of chance */
        sc_philox(0, sc_hash("minhash", 7), (uint64_t)i, r);
        n->flip[i] = r[0];
        n->factor[i] = r[1] | 1;
    }
}

static sc_status near_open(void **self, const sc_stage_setup *x)
{
    sc_near *n = sc_calloc(1, sizeof *n);
    const char *units = sc_setting_text(&x->settings, "units"), *keep = sc_setting_text(&x->settings, "keep");
    sc_status s = SC_OK;
    if (!n) return sc_nomem();
    n->characters = strcmp(units, "characters") == 0;
    n->greedy = strcmp(keep, "unlike") == 0;
    n->compare = sc_setting_bool(&x->settings, "compare");
    sc_near_init(n, sc_setting_num(&x->settings, "threshold"), sc_setting_int(&x->settings, "n"),
                 (int)sc_setting_int(&x->settings, "hashes"), sc_setting_num(&x->settings, "caught"));
    if (sc_setting_given(&x->settings, "bands")) n->bands = (int)sc_setting_int(&x->settings, "bands");
    if (sc_setting_given(&x->settings, "rows")) n->rows = (int)sc_setting_int(&x->settings, "rows");
    if (!n->characters && strcmp(units, "words") != 0)
        s = sc_fail(SC_EINVAL, "%s: 'units' is words or characters, not '%s'", x->settings.where, units);
    if (!s && !n->greedy && strcmp(keep, "first") != 0)
        s = sc_fail(SC_EINVAL, "%s: 'keep' is first or unlike, not '%s'", x->settings.where, keep);
    if (!s && n->bands * n->rows > SC_NEAR_HASHES)
        s = sc_fail(SC_ELIMIT, "%s: %d bands of %d rows, more than %d hashes", x->settings.where, n->bands, n->rows,
                    SC_NEAR_HASHES);
    if (s)
        sc_free(n);
    else
        *self = n;
    return s;
}

static sc_status near_room(void **out, const void *self)
{
    (void)self;
    *out = sc_calloc(1, sizeof(sc_grams));
    return *out ? SC_OK : sc_nomem();
}

static void near_room_free(void *p)
{
    sc_grams_free(p);
    sc_free(p);
}

sc_status sc_near_set(const sc_near *n, sc_grams *w, const sc_document *d)
{
    sc_status s = sc_grams_words(w, d->text.p ? d->text.p : "", d->text.len, n->characters);
    return s ? s : sc_grams_make(w, n->n);
}

void sc_near_signature(const sc_near *n, const sc_grams *w, uint32_t *out)
{
    int k = n->bands * n->rows;
    for (int i = 0; i < k; i++) out[i] = UINT32_MAX;
    for (int64_t g = 0; g < w->grams; g++) {
        uint32_t x = (uint32_t)(w->gram[g] ^ w->gram[g] >> 32);
        for (int i = 0; i < k; i++) {
            uint32_t y = (x ^ n->flip[i]) * 0x9e3779b1u;
            y = (y ^ y >> 15) * n->factor[i];
            y ^= y >> 16;
            out[i] = y < out[i] ? y : out[i];
        }
    }
}

static sc_status near_note(const void *self, void *room, const sc_document *d, sc_notes *out)
{
    const sc_near *n = self;
    uint32_t signature[SC_NEAR_HASHES];
    sc_grams *w = room;
    sc_status s = sc_near_set(n, w, d);
    if (s || !w->grams) return s;
    sc_near_signature(n, w, signature);
    for (int b = 0; b < n->bands; b++) {
        uint64_t band[2] = {(uint64_t)b, sc_hash(signature + b * n->rows, n->rows * (int64_t)sizeof *signature)};
        sc_notes_add(out, sc_hash(band, sizeof band), NULL, 0);
    }
    return SC_OK;
}

static int64_t near_tasks(const void *self, const sc_deciding *x, int step)
{
    (void)self;
    return step == 0 ? TASKS : step == 1 ? x->parts : 1;
}

/* ---- pairs ---- */

/* Of documents that share a band: each with the first, and with those right before it. */
static sc_status pair_up(const sc_deciding *x, int64_t task, sc_spill *out)
{
    uint64_t last[WINDOW], key = 0, first = 0;
    int64_t n = 0;
    sc_merge *m;
    sc_note note;
    bool more;
    sc_status s = sc_deciding_share(x, &m, task, TASKS);
    while (!s && !(s = sc_merge_next(m, &note, &more)) && more) {
        if (note.key != key) n = 0;
        key = note.key;
        if (n == 0) first = note.ref;
        if (n > WINDOW) s = sc_spill_add(out, first, note.ref, NULL, 0);
        for (int64_t i = SC_MAX(0, n - WINDOW); !s && i < n; i++)
            if (last[i % WINDOW] != note.ref) s = sc_spill_add(out, last[i % WINDOW], note.ref, NULL, 0);
        last[n++ % WINDOW] = note.ref;
    }
    sc_merge_close(m);
    return s;
}

/* ---- comparing ---- */

typedef struct comparing {
    const sc_near *near;
    const sc_deciding *x;
    sc_document d;
    sc_grams left, right;
    uint64_t ref; /* of `left` */
    bool have;
    sc_same same; /* of `left` */
} comparing;

static sc_status load(comparing *c, uint64_t ref, sc_grams *w)
{
    sc_document_clear(&c->d);
    sc_status s = sc_deciding_document(c->x, ref, &c->d);
    if (!s) s = sc_near_set(c->near, w, &c->d);
    if (!s) sc_grams_set(w);
    return s;
}

static sc_status compare(comparing *c, const sc_note *pair, sc_spill *out)
{
    sc_status s = SC_OK;
    if (!c->have || c->ref != pair->key) {
        s = load(c, pair->key, &c->left);
        c->same = (sc_same){.file = c->d.file, .place = c->d.place};
        c->ref = pair->key;
        c->have = true;
    }
    c->same.similarity = 1;
    if (!s && c->near->compare) {
        s = load(c, pair->ref, &c->right);
        c->same.similarity = (float)sc_grams_jaccard(&c->left, &c->right);
    }
    if (s || c->same.similarity < c->near->threshold) return s;
    return sc_spill_add(out, pair->ref, pair->key, &c->same, sizeof c->same);
}

static sc_status compare_pairs(const sc_near *n, const sc_deciding *x, int64_t part, sc_spill *out)
{
    comparing c = {.near = n, .x = x};
    uint64_t key = 0, ref = 0;
    sc_merge *m;
    sc_note note;
    bool more, any = false;
    sc_status s = sc_deciding_notes(x, &m, sc_ref(part, 0), sc_ref(part + 1, 0) - 1);
    while (!s && !(s = sc_merge_next(m, &note, &more)) && more) {
        if (any && note.key == key && note.ref == ref) continue; /* they share more than one band */
        any = true;
        key = note.key;
        ref = note.ref;
        s = compare(&c, &note, out);
    }
    sc_merge_close(m);
    sc_document_free(&c.d);
    sc_grams_free(&c.left);
    sc_grams_free(&c.right);
    return s;
}

static sc_status near_decide(const void *self, const sc_deciding *x, int step, int64_t task, sc_spill *out)
{
    if (step == 0) return pair_up(x, task, out);
    if (step == 1) return compare_pairs(self, x, task, out);
    return sc_near_groups(x, ((const sc_near *)self)->greedy, out);
}

static sc_status near_tell(const void *self, const sc_document *d, const sc_note *decision, sc_verdict *v)
{
    (void)self, (void)d;
    if (decision) sc_merge_with(v, "alike", decision);
    return SC_OK;
}

static const sc_global global = {
    .note = near_note, .steps = 3, .tasks = near_tasks, .decide = near_decide, .tell = near_tell};
static const sc_setting settings[] = {
    {"threshold", SC_SET_NUM, "0.8", 0.05, 1, "Jaccard similarity from which documents are alike"},
    {"n", SC_SET_INT, "5", 1, 100, "words of an n-gram"},
    {"units", SC_SET_TEXT, "words", .help = "of n-grams: words or characters"},
    {"hashes", SC_SET_INT, "128", 1, SC_NEAR_HASHES, "of a document, to divide into bands"},
    {"caught", SC_SET_NUM, "0.99", 0.01, 0.999999, "share of pairs at the threshold that bands have to find"},
    {"bands", SC_SET_INT, NULL, 1, SC_NEAR_HASHES, "instead of what follows from the threshold"},
    {"rows", SC_SET_INT, NULL, 1, SC_NEAR_HASHES, "of a band, instead of what follows from the threshold"},
    {"compare", SC_SET_BOOL, "true",
     .help = "compare documents that share a band; else they are taken to be alike"},
    {"keep", SC_SET_TEXT, "first",
     .help = "first: one of those that hang together; unlike: also those that are like no document that is kept"},
    {0}};
const sc_stage sc_stage_near_duplicates = {.name = "near_duplicates",
                                           .summary = "merges documents that are alike (MinHash, bands)",
                                           .settings = settings,
                                           .open = near_open,
                                           .free = sc_free,
                                           .room = near_room,
                                           .room_free = near_room_free,
                                           .global = &global};
