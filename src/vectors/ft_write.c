/* SPDX-License-Identifier: Apache-2.0 */
/* fastText's .bin and .ftz, version 12. */
#include "vectors/fasttext.h"

enum { VERSION = 12, CHOICES = 256 };

/* Writes in sequence; the first failure stays. */
typedef struct sink {
    sc_writer *file;
    sc_status status;
} sink;

static void put(sink *s, const void *p, int64_t n)
{
    if (!s->status) s->status = sc_writer_write(s->file, p, n);
}
static void put_i32(sink *s, int32_t x) { put(s, &x, sizeof x); }
static void put_i64(sink *s, int64_t x) { put(s, &x, sizeof x); }
static void put_flag(sink *s, bool x) { put(s, &(char){x}, 1); }

static void put_settings(sink *s, const sc_ft_settings *o)
{
    const int32_t field[] = {SC_FT_MAGIC,  VERSION,      o->width,       o->window,     o->epochs,
                             o->min_count, o->negatives, o->word_ngrams, o->loss,       o->model,
                             o->bucket,    o->shortest,  o->longest,     o->rate_update};
    for (int i = 0; i < SC_COUNT(field); i++) put_i32(s, field[i]);
    put(s, &o->sample, sizeof o->sample);
}

static void put_dictionary(sink *s, const sc_ft_model *m)
{
    put_i32(s, m->words + m->labels);
    put_i32(s, m->words);
    put_i32(s, m->labels);
    put_i64(s, m->dict->tokens);
    put_i64(s, m->pruned.n);
    for (int32_t i = 0; i < m->words + m->labels; i++) {
        put(s, m->dict->word[i].p, m->dict->word[i].len);
        put(s, "", 1);
        put_i64(s, m->dict->count[i]);
        put_flag(s, i >= m->words);
    }
    const sc_ft_pruned *k = &m->pruned;
    for (uint64_t i = 0; k->n > 0 && i <= k->mask; i++)
        if (k->place[i].bucket >= 0) put_i32(s, k->place[i].bucket), put_i32(s, k->place[i].row);
}

static void put_quantiser(sink *s, int64_t width, int32_t sub, int32_t subs, int32_t last,
                          const sc_ft_float *centroids)
{
    put_i32(s, (int32_t)width);
    put_i32(s, subs);
    put_i32(s, sub);
    put_i32(s, last);
    put(s, centroids, width * CHOICES * (int64_t)sizeof(float));
}

static void put_matrix(sink *s, const sc_ft_matrix *m)
{
    if (m->data) {
        put_i64(s, m->rows);
        put_i64(s, m->width);
        for (int64_t i = 0; i < m->rows; i++) put(s, m->data + i * m->stride, m->width * (int64_t)sizeof(float));
        return;
    }
    put_flag(s, m->norms != NULL);
    put_i64(s, m->rows);
    put_i64(s, m->width);
    put_i32(s, (int32_t)(m->rows * m->subs));
    put(s, m->codes, m->rows * m->subs);
    put_quantiser(s, m->width, m->sub, m->subs, m->last, m->centroids);
    if (!m->norms) return;
    put(s, m->norms, m->rows);
    put_quantiser(s, 1, 1, 1, 1, m->norm_choices);
}

sc_status sc_ft_write(const sc_ft_model *m, const char *path)
{
    sink s = {0};
    sc_status e = sc_writer_open(&s.file, path);
    if (e) return e;
    put_settings(&s, &m->set);
    put_dictionary(&s, m);
    put_flag(&s, !m->in.data);
    put_matrix(&s, &m->in);
    put_flag(&s, !m->out.data);
    put_matrix(&s, &m->out);
    if (!s.status) s.status = sc_writer_commit(s.file);
    sc_writer_close(s.file);
    return s.status;
}
