/* SPDX-License-Identifier: Apache-2.0 */
#include "data/data.h"

/* Many documents lie ready, so none keeps much. */
enum { KEEP_ROOM = 64 << 10 };

static void empty(sc_str *s)
{
    if (s->cap > KEEP_ROOM) sc_str_free(s);
    s->len = 0;
    s->oom = false;
    if (s->p) s->p[0] = 0;
}

void sc_document_clear(sc_document *d)
{
    sc_document old = *d;
    empty(&old.text);
    empty(&old.url);
    empty(&old.id);
    empty(&old.charset);
    if (old.cap_ids * (int64_t)sizeof *old.ids > KEEP_ROOM) {
        sc_free(old.ids);
        old.ids = NULL;
        old.cap_ids = 0;
    }
    *d = (sc_document){.text = old.text,
                       .url = old.url,
                       .id = old.id,
                       .charset = old.charset,
                       .ids = old.ids,
                       .cap_ids = old.cap_ids};
}

void sc_document_free(sc_document *d)
{
    sc_str_free(&d->text);
    sc_str_free(&d->url);
    sc_str_free(&d->id);
    sc_str_free(&d->charset);
    sc_free(d->ids);
    *d = (sc_document){0};
}

void sc_document_language(sc_document *d, const char *code)
{
    snprintf(d->language, sizeof d->language, "%s", code);
}

void sc_document_domain(sc_document *d, const char *name) { snprintf(d->domain, sizeof d->domain, "%s", name); }

void sc_document_score(sc_document *d, const char *name, double value)
{
    int i = 0;
    while (i < d->n_scores && strcmp(d->score[i].name, name) != 0) i++;
    if (i == SC_DOCUMENT_SCORES) return;
    snprintf(d->score[i].name, sizeof d->score[i].name, "%s", name);
    d->score[i].value = value;
    if (i == d->n_scores) d->n_scores++;
}

const double *sc_document_get_score(const sc_document *d, const char *name)
{
    for (int i = 0; i < d->n_scores; i++)
        if (strcmp(d->score[i].name, name) == 0) return &d->score[i].value;
    return NULL;
}

void sc_document_set_text(sc_document *d, const char *p, int64_t n)
{
    if (d->text.p && p >= d->text.p && p <= d->text.p + d->text.len) {
        memmove(d->text.p, p, (size_t)n);
        d->text.len = n;
        d->text.p[n] = 0;
        return;
    }
    d->text.len = 0;
    sc_str_append(&d->text, p, n);
}

bool sc_document_oom(const sc_document *d) { return d->text.oom || d->url.oom || d->id.oom || d->charset.oom; }
