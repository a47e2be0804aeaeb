/* SPDX-License-Identifier: Apache-2.0 */
/* From a recipe to a tokenizer's files. */
#include "vocab/vocab.h"

static sc_status add_specials(sc_token_list *l, const sc_recipe *r)
{
    sc_status s = SC_OK;
    int32_t id;
    for (int i = 0; i < r->in.specials && !s; i++)
        s = sc_token_list_add(l, r->special[i], (int64_t)strlen(r->special[i]), &id);
    for (int b = 0; r->byte_fallback && b < 256 && !s; b++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", b);
        s = sc_token_list_add(l, name, 6, &id);
    }
    return s;
}

static sc_status learn(sc_token_list *l, sc_context *ctx, const sc_train_words *w, const sc_recipe *r,
                       sc_tokenizer_report *report)
{
    sc_characters c = {0};
    sc_token_list letters = {0};
    bool apart = r->kind == SC_KIND_UNIGRAM; /* characters get their places by their scores */
    sc_status s = add_specials(l, r);
    if (!s && apart) s = sc_token_list_begin(&letters);
    if (!s) s = sc_characters_choose(&c, apart ? &letters : l, w, r);
    if (s) {
        sc_token_list_free(&letters);
        return s;
    }
    int64_t need = l->n + letters.n;
    report->alphabet = c.kept;
    report->left_out = c.left_out;
    report->uncovered = c.occurrences ? (double)c.occurrences_left_out / (double)c.occurrences : 0;
    if (need > r->in.size)
        s = sc_fail(
            SC_EINVAL,
            "a vocabulary of %lld tokens has no room for the %lld that special tokens and the alphabet need",
            (long long)r->in.size, (long long)need);
    if (!s) s = apart ? sc_unigram_learn(l, ctx, w, &c, &letters, r) : sc_merges_learn(l, ctx, w, &c, r);
    sc_characters_free(&c);
    sc_token_list_free(&letters);
    return s;
}

static sc_status make(json_t *layout, const sc_recipe *r, sc_context *ctx, sc_tokenizer_report *report)
{
    sc_train_words w;
    sc_token_list l;
    double start = sc_now();
    sc_status s = sc_train_words_count(&w, ctx, r, layout);
    if (s) return s;
    *report = (sc_tokenizer_report){.bytes = w.read,
                                    .records = w.records,
                                    .words = w.words,
                                    .distinct = w.distinct,
                                    .invalid = w.invalid,
                                    .read_seconds = sc_now() - start};
    start = sc_now();
    s = w.distinct ? sc_token_list_begin(&l) : sc_fail(SC_EINVAL, "there is no text to train a tokenizer on");
    if (s) {
        sc_train_words_free(&w);
        return s;
    }
    s = learn(&l, ctx, &w, r, report);
    sc_train_words_free(&w);
    report->tokens = l.n;
    report->merges = l.merges;
    report->learn_seconds = sc_now() - start;
    if (!s) s = sc_layout_fill(layout, r, &l);
    sc_token_list_free(&l);
    return s;
}

sc_status sc_recipe_train(json_t **out, const sc_recipe *r, sc_context *ctx, sc_tokenizer_report *report)
{
    json_t *layout = NULL;
    sc_status s = sc_layout_make(&layout, r);
    if (!s) s = make(layout, r, ctx, report);
    if (s)
        json_decref(layout);
    else
        *out = layout;
    return s;
}

sc_status sc_tokenizer_train(const sc_tokenizer_recipe *recipe, sc_context *ctx, const char *dir,
                             sc_tokenizer_report *report)
{
    sc_tokenizer_report mine;
    json_t *tokenizer = NULL;
    sc_recipe *r = sc_malloc(sizeof *r);
    sc_status s = r ? sc_recipe_read(r, recipe) : sc_nomem();
    if (!s) s = sc_recipe_train(&tokenizer, r, ctx, report ? report : &mine);
    if (!s) s = sc_layout_write(dir, r, tokenizer);
    json_decref(tokenizer);
    sc_free(r);
    return s;
}
