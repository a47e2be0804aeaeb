/* SPDX-License-Identifier: Apache-2.0 */
/* Documents whose texts are the same: the first stays. */
#include "data/global.h"

enum { TASKS = 32, KNOWN = 64 };

typedef struct duplicates {
    bool url;
    enum { SAME, SPACES, LETTERS } compare;
} duplicates;

typedef struct payload {
    uint64_t check; /* the other half of the hash */
    sc_same same;
} payload;

static sc_status duplicates_open(void **self, const sc_stage_setup *x)
{
    static const char *const words[] = {"text", "spaces", "letters", "url"};
    const char *by = sc_setting_text(&x->settings, "by");
    duplicates *d = sc_calloc(1, sizeof *d);
    int i = 0;
    if (!d) return sc_nomem();
    while (i < SC_COUNT(words) && strcmp(words[i], by) != 0) i++;
    if (i == SC_COUNT(words)) {
        sc_free(d);
        return sc_fail(SC_EINVAL, "%s: 'by' is text, spaces, letters or url, not '%s'", x->settings.where, by);
    }
    d->url = i == 3;
    d->compare = d->url ? SAME : i;
    *self = d;
    return SC_OK;
}

typedef struct room {
    sc_str text;
} room;

static sc_status duplicates_room(void **out, const void *self)
{
    (void)self;
    *out = sc_calloc(1, sizeof(room));
    return *out ? SC_OK : sc_nomem();
}

static void duplicates_room_free(void *p)
{
    sc_str_free(&((room *)p)->text);
    sc_free(p);
}

/* What is compared: runs of white space as one space, or letters and digits alone. */
static sc_str *reduced(const duplicates *x, room *r, const sc_document *d)
{
    const char *p = d->text.p;
    bool space = true; /* also at the beginning */
    r->text.len = 0;
    for (int64_t i = 0; i < d->text.len; i++) {
        unsigned char c = (unsigned char)p[i];
        bool blank = c <= ' ', letter = c >= 0x80 || (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
        if (x->compare == LETTERS && letter) sc_str_putc(&r->text, (char)(c >= 'A' && c <= 'Z' ? c | 32 : c));
        if (x->compare == LETTERS) continue;
        if (!blank && space && r->text.len) sc_str_putc(&r->text, ' ');
        if (!blank) sc_str_putc(&r->text, (char)c);
        space = blank;
    }
    return &r->text;
}

static sc_status duplicates_note(const void *self, void *own, const sc_document *d, sc_notes *out)
{
    const duplicates *x = self;
    const sc_str *s = x->url ? &d->url : x->compare == SAME ? &d->text : reduced(x, own, d);
    if (s->oom) return sc_nomem();
    if (x->url && !s->len) return SC_OK;
    payload p = {.same = {.file = d->file, .place = d->place, .similarity = 1}};
    uint64_t key = sc_hash(s->p ? s->p : "", s->len);
    p.check = (uint64_t)sc_crc32c(0, s->p ? s->p : "", s->len) << 32 | (uint32_t)s->len;
    sc_notes_add(out, key, &p, sizeof p);
    return SC_OK;
}

static int64_t duplicates_tasks(const void *self, const sc_deciding *x, int step)
{
    (void)self, (void)x, (void)step;
    return TASKS;
}

/* Texts whose keys are the same, which are very few: each with its first document. */
typedef struct group {
    uint64_t key;
    int n;
    struct {
        uint64_t ref;
        payload p;
    } first[KNOWN];
} group;

static sc_status take(group *g, const sc_note *note, sc_spill *out)
{
    payload p;
    memcpy(&p, note->p, sizeof p);
    for (int i = 0; i < g->n; i++)
        if (g->first[i].p.check == p.check) {
            sc_same same = g->first[i].p.same;
            return sc_spill_add(out, note->ref, g->first[i].ref, &same, sizeof same);
        }
    if (g->n < KNOWN) {
        g->first[g->n].ref = note->ref;
        g->first[g->n++].p = p;
    }
    return SC_OK;
}

static sc_status duplicates_decide(const void *self, const sc_deciding *x, int step, int64_t task, sc_spill *out)
{
    sc_merge *m;
    sc_note note;
    bool more;
    group *g = sc_calloc(1, sizeof *g);
    (void)self, (void)step;
    if (!g) return sc_nomem();
    sc_status s = sc_deciding_share(x, &m, task, TASKS);
    while (!s && !(s = sc_merge_next(m, &note, &more)) && more) {
        if (note.key != g->key) g->n = 0;
        g->key = note.key;
        s = note.n == sizeof(payload) ? take(g, &note, out) : sc_fail(SC_EFORMAT, "a note is damaged");
    }
    sc_merge_close(m);
    sc_free(g);
    return s;
}

static sc_status duplicates_tell(const void *self, const sc_document *d, const sc_note *decision, sc_verdict *v)
{
    (void)d;
    if (decision) sc_merge_with(v, ((const duplicates *)self)->url ? "same_url" : "same_text", decision);
    return SC_OK;
}

static const sc_global global = {.note = duplicates_note,
                                 .steps = 1,
                                 .tasks = duplicates_tasks,
                                 .decide = duplicates_decide,
                                 .tell = duplicates_tell};
static const sc_setting settings[] = {{"by", SC_SET_TEXT, "spaces",
                                       .help = "what is compared: text as it is, spaces (runs of them are one), "
                                               "letters (and digits, without case), or url"},
                                      {0}};
const sc_stage sc_stage_duplicates = {.name = "duplicates",
                                      .summary = "merges documents whose texts are the same",
                                      .settings = settings,
                                      .open = duplicates_open,
                                      .free = sc_free,
                                      .room = duplicates_room,
                                      .room_free = duplicates_room_free,
                                      .global = &global};
