/* SPDX-License-Identifier: Apache-2.0 */
/* Text as numbers, before training: what is looked up and hashed is looked up and hashed once. */
#include "vectors/fasttext.h"

/* ---- rows of words ---- */

typedef struct adding {
    sc_ft_parts *parts;
    const sc_ft_model *model;
    int64_t n; /* rows so far */
} adding;

static bool put_row(adding *a, int64_t row)
{
    sc_ft_parts *p = a->parts;
    if (row < 0) return true;
    if (!sc_grow(&p->row, &p->cap_row, a->n + 1, sizeof *p->row)) return false;
    p->row[a->n++] = (int32_t)row;
    return true;
}

static bool put_bucket(void *user, int32_t bucket)
{
    adding *a = user;
    return put_row(a, sc_ft_row(a->model, bucket));
}

/* Word number p->n, which has row `own` (-1: none). */
static bool put_word(sc_ft_parts *p, const sc_ft_model *m, const char *word, int64_t len, int64_t own)
{
    adding a = {p, m, p->n ? p->at[p->n] : 0};
    if (!sc_grow(&p->at, &p->cap_at, p->n + 2, sizeof *p->at)) return false;
    if (!p->n) p->at[0] = 0;
    if (!put_row(&a, own) || (!sc_ft_is_end(word, len) && !sc_ft_ngrams(&m->set, word, len, put_bucket, &a)))
        return false;
    p->at[++p->n] = a.n;
    return true;
}

sc_status sc_ft_parts_new(sc_ft_parts *p, const sc_ft_model *m)
{
    *p = (sc_ft_parts){0};
    for (int32_t i = 0; i < m->words; i++)
        if (!put_word(p, m, m->dict->word[i].p, m->dict->word[i].len, i)) return sc_nomem();
    return SC_OK;
}

void sc_ft_parts_free(sc_ft_parts *p)
{
    sc_free(p->at);
    sc_free(p->row);
    *p = (sc_ft_parts){0};
}

/* ---- lines ---- */

static bool put_hash(sc_ft_corpus *c, const char *p, int64_t len)
{
    if (!sc_grow(&c->hash, &c->cap_hash, c->parts.n, sizeof *c->hash)) return false;
    c->hash[c->parts.n - 1] = sc_ft_hash(p, len);
    return true;
}

/* The number of a word that the dictionary lacks; -1 without memory. */
static int64_t rare(sc_ft_corpus *c, const sc_ft_model *m, const char *p, int64_t len)
{
    int64_t i;
    if (sc_map_get(&c->rare, p, len, &i)) return i;
    if (c->parts.n == INT32_MAX || !put_word(&c->parts, m, p, len, -1) || !put_hash(c, p, len) ||
        !sc_map_put(&c->rare, p, len, c->parts.n - 1))
        return -1;
    return c->parts.n - 1;
}

static bool put_token(sc_ft_corpus *c, int32_t token)
{
    if (!sc_grow(&c->token, &c->cap_tokens, c->n_tokens + 1, sizeof *c->token)) return false;
    c->token[c->n_tokens++] = token;
    return true;
}

static bool put_label(sc_ft_corpus *c, int32_t label)
{
    if (!sc_grow(&c->label, &c->cap_labels, c->n_labels + 1, sizeof *c->label)) return false;
    c->label[c->n_labels++] = -1 - label;
    return true;
}

/* A line whose words begin at `from` is over; it stays where it has words and labels. Labels go first. */
static bool put_line(sc_ft_corpus *c, int64_t from)
{
    int64_t n = c->n_labels, words = c->n_tokens - from;
    c->n_labels = 0;
    if (!n || !words) {
        c->n_tokens = from;
        return true;
    }
    if (!sc_grow(&c->line, &c->cap_lines, c->n_lines + 2, sizeof *c->line) ||
        !sc_grow(&c->token, &c->cap_tokens, c->n_tokens + n, sizeof *c->token))
        return false;
    memmove(c->token + from + n, c->token + from, (size_t)words * sizeof *c->token);
    memcpy(c->token + from, c->label, (size_t)n * sizeof *c->token);
    c->n_tokens += n;
    c->line[c->n_lines++] = from;
    c->line[c->n_lines] = c->n_tokens;
    return true;
}

static bool take(sc_ft_corpus *c, const sc_ft_model *m, const char *p, int64_t len)
{
    int32_t id = sc_lexicon_find(m->dict, p, len);
    c->seen++;
    if (id >= m->words) return put_label(c, id - m->words);
    if (id < 0 && sc_ft_is_label(p, len)) return true; /* seen too rarely */
    /* Nothing of a rare word is learned where there are no n-grams. */
    if (id < 0 && !m->set.longest && m->set.word_ngrams < 2) return true;
    int64_t i = id >= 0 ? id : rare(c, m, p, len);
    return i >= 0 && put_token(c, (int32_t)i);
}

sc_status sc_ft_corpus_new(sc_ft_corpus *c, const sc_ft_model *m, const char *text, int64_t len)
{
    const char *p = text, *end = text + len, *word;
    int64_t n, from = 0;
    *c = (sc_ft_corpus){0};
    sc_status s = sc_ft_parts_new(&c->parts, m);
    if (!s && !(c->hash = sc_malloc(sizeof *c->hash * (size_t)(c->cap_hash = m->words + 1)))) s = sc_nomem();
    for (int32_t i = 0; !s && i < m->words; i++) c->hash[i] = sc_ft_hash(m->dict->word[i].p, m->dict->word[i].len);
    while (!s && (word = sc_word_next(&p, end, &n))) {
        if (!take(c, m, n ? word : SC_LINE_END, n ? n : (int64_t)sizeof SC_LINE_END - 1)) s = sc_nomem();
        if (s || n) continue;
        if (!put_line(c, from)) s = sc_nomem();
        from = c->n_tokens;
    }
    if (!s && !put_line(c, from)) s = sc_nomem();
    if (s) sc_ft_corpus_free(c);
    return s;
}

void sc_ft_corpus_free(sc_ft_corpus *c)
{
    sc_ft_parts_free(&c->parts);
    sc_map_free(&c->rare);
    sc_free(c->hash);
    sc_free(c->token);
    sc_free(c->label);
    sc_free(c->line);
    *c = (sc_ft_corpus){0};
}
