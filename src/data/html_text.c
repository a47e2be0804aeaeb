/* SPDX-License-Identifier: Apache-2.0 */
/* Which blocks are the page's main text.
 *
 * The heart is jusText (J. Pomikalek, "Removing boilerplate and duplicate content from web corpora", Masaryk University 2011):
 * long blocks of sentences with few links are good, blocks of links are bad, and what is between follows its neighbours. In
 * place of its lists of stop words, one a language, blocks are asked for what running text has in any language: words that
 * begin small, or have no capitals, and ends of clauses. What a page says of itself (main, article, class names) narrows the
 * blocks first, but is believed only as far as the text bears it out, as readability and trafilatura do. */
#include "data/html.h"

#include <stdio.h>

enum { SHORT = 70, LONG = 200, HEADING_REACH = 240, ENOUGH = 200 };

struct sc_html {
    sc_html_tree *tree;
    sc_str clean, out;
    sc_html_page page;
};

enum verdict { BAD, BRIEF, NEAR, GOOD, LEFT_OUT }; /* brief: too short to tell */

sc_status sc_html_new(sc_html **out)
{
    sc_html *h = sc_calloc(1, sizeof *h);
    sc_status s = h ? sc_html_tree_new(&h->tree) : sc_nomem();
    if (s)
        sc_html_free(h);
    else
        *out = h;
    return s;
}

void sc_html_free(sc_html *h)
{
    if (!h) return;
    sc_html_tree_free(h->tree);
    sc_str_free(&h->clean);
    sc_str_free(&h->out);
    sc_html_page_free(&h->page);
    sc_free(h);
}

/* ---- what the page says of its parts ---- */

/* What is not in links, of the blocks that were not left out. */
static void sum_up(sc_html_page *p)
{
    int64_t n = 0;
    for (int64_t i = 0; i < p->n; i++) {
        sc_html_block *b = &p->block[i];
        if (!b->away) n += b->size - b->linked;
        b->sum = n;
    }
}

static int64_t free_size(const sc_html_page *p, int64_t first, int64_t last)
{
    return last > first ? p->block[last - 1].sum - (first ? p->block[first - 1].sum : 0) : 0;
}

/* Parts with class names of navigation and the like go, unless they hold most of the page's text: then the name means
 * something else ("content-with-sidebar"). */
static void leave_out(sc_html_page *p)
{
    sum_up(p);
    int64_t all = free_size(p, 0, p->n);
    for (int64_t i = 0; i < p->n_regions; i++) {
        const sc_html_region *r = &p->region[i];
        if (r->why != SC_HTML_MAYBE_AWAY || free_size(p, r->first, r->last) * 5 > all * 2) continue;
        for (int64_t k = r->first; k < r->last; k++) p->block[k].away = true;
    }
    sum_up(p);
}

/* The part that is the main text, by what the page says: main, an article that outweighs all others, or a class name; as
 * small as it can be. Without one, all blocks. *said: it says so in an element made for that. */
static void choose(const sc_html_page *p, int64_t *first, int64_t *last, bool *said)
{
    static const int share[] = {[SC_HTML_SAYS_MAIN] = 40, [SC_HTML_ARTICLE] = 50, [SC_HTML_LOOKS_LIKELY] = 75};
    *first = 0;
    *last = p->n;
    *said = false;
    for (int why = SC_HTML_SAYS_MAIN; why <= SC_HTML_LOOKS_LIKELY; why++) {
        int64_t all = free_size(p, *first, *last), best = -1, best_size = INT64_MAX;
        for (int64_t i = 0; i < p->n_regions; i++) {
            const sc_html_region *r = &p->region[i];
            if ((int)r->why != why || r->first < *first || r->last > *last) continue;
            int64_t size = free_size(p, r->first, r->last);
            if (size >= ENOUGH && size * 100 >= all * share[why] && size < best_size) {
                best = i;
                best_size = size;
            }
        }
        if (best < 0) continue;
        *first = p->region[best].first;
        *last = p->region[best].last;
        *said = *said || why != SC_HTML_LOOKS_LIKELY;
    }
}

/* ---- blocks by themselves ---- */

static enum verdict alone(const sc_html_block *b, bool said)
{
    if (b->away) return LEFT_OUT;
    int percent = b->size ? (int)(100LL * b->linked / b->size) : 0;
    /* Words in scripts without spaces are as long as a clause. */
    bool dense = b->words && b->size / b->words > 14;
    bool prose = b->stops >= 1 && (dense || (b->words >= 6 && b->lower * 100 >= b->words * 45));
    bool words = dense || (b->words >= 8 && b->lower * 100 >= b->words * 60);
    if (b->kind == SC_HTML_CODE) return percent > 50 ? BAD : b->size < 20 ? BRIEF : NEAR;
    if (b->rights && b->size < LONG) return BAD;
    if (percent > 50 && (b->kind == SC_HTML_HEADING || b->kind == SC_HTML_ROW) && said) return BRIEF;
    /* Encyclopedias link half of their words: sentences may have more links than other blocks. */
    if (percent > (prose && b->size >= SHORT ? (said ? 85 : 60) : 50)) return BAD;
    if (b->kind == SC_HTML_HEADING) return BRIEF;
    if (b->size < SHORT)
        return percent > 20 && !said ? BAD : said && (prose || b->kind == SC_HTML_ROW) ? NEAR : BRIEF;
    if (percent > 33 && !(prose && said)) return BAD;
    if (prose) return b->size > LONG ? GOOD : NEAR;
    return words || said ? NEAR : BAD;
}

/* ---- blocks among others ---- */

/* Headings of what is good behind them. */
static void keep_headings(sc_html_page *p, int64_t first, int64_t last)
{
    int64_t way = HEADING_REACH + 1; /* to the next good one */
    for (int64_t i = last - 1; i >= first; i--) {
        sc_html_block *b = &p->block[i];
        if (b->verdict == LEFT_OUT) continue;
        bool heading = b->kind == SC_HTML_HEADING;
        if (heading && b->verdict == BRIEF && way <= HEADING_REACH) b->verdict = NEAR;
        way = !heading && (b->verdict == GOOD || b->verdict == NEAR) ? 0 : SC_MIN(way + b->size, HEADING_REACH + 1);
    }
}

/* For each block the nearest verdicts on its sides that decide: good and bad, and near ones where `near`. */
static void look_around(sc_html_page *p, int64_t first, int64_t last, bool near, enum verdict edge)
{
    uint8_t seen = (uint8_t)edge;
    for (int64_t i = first; i < last; i++) {
        uint8_t v = p->block[i].verdict;
        p->block[i].before = seen;
        if (v == GOOD || v == BAD || (near && v == NEAR)) seen = v;
    }
    seen = (uint8_t)edge;
    for (int64_t i = last - 1; i >= first; i--) {
        uint8_t v = p->block[i].verdict;
        p->block[i].after = seen;
        if (v == GOOD || v == BAD || (near && v == NEAR)) seen = v;
    }
}

static void among_others(sc_html_page *p, int64_t first, int64_t last, bool said)
{
    enum verdict edge = said ? GOOD : BAD;
    keep_headings(p, first, last);
    look_around(p, first, last, true, edge);
    for (int64_t i = first; i < last; i++) {
        sc_html_block *b = &p->block[i];
        if (b->verdict != BRIEF) continue;
        bool both = b->before != BAD && b->after != BAD, one = b->before != BAD || b->after != BAD;
        b->verdict = both || (said && one) ? NEAR : BAD;
    }
    look_around(p, first, last, false, edge);
    for (int64_t i = first; i < last; i++) {
        sc_html_block *b = &p->block[i];
        if (b->verdict == NEAR && (said || b->before == GOOD || b->after == GOOD)) b->verdict = GOOD;
    }
}

/* A page without one long paragraph: what reads like sentences is its text. */
static void rescue(sc_html_page *p, int64_t first, int64_t last)
{
    int64_t good = 0;
    for (int64_t i = first; i < last; i++)
        if (p->block[i].verdict == GOOD) good += p->block[i].size;
    if (good >= ENOUGH) return;
    for (int64_t i = first; i < last; i++)
        if (p->block[i].verdict == NEAR) p->block[i].verdict = GOOD;
}

/* The page's heading often stands before the part that was chosen; and what follows a heading may all have gone. */
static void settle_headings(sc_html_page *p, int64_t first, int64_t last)
{
    bool top = false, any = false;
    for (int64_t i = last - 1; i >= first; i--) {
        sc_html_block *b = &p->block[i];
        if (b->verdict == GOOD && b->kind == SC_HTML_HEADING && !any) b->verdict = BAD;
        any = any || b->verdict == GOOD;
    }
    for (int64_t i = first; i < last && !top; i++)
        top = p->block[i].verdict == GOOD && p->block[i].kind == SC_HTML_HEADING && p->block[i].level == 1;
    for (int64_t i = first - 1; i >= 0 && any && !top; i--) {
        sc_html_block *b = &p->block[i];
        if (b->kind != SC_HTML_HEADING || b->level != 1 || b->away) continue;
        b->verdict = GOOD;
        top = true;
    }
}

static void judge(sc_html_page *p, bool everything)
{
    int64_t first, last;
    bool said;
    if (everything) {
        for (int64_t i = 0; i < p->n; i++) p->block[i].verdict = GOOD;
        return;
    }
    leave_out(p);
    choose(p, &first, &last, &said);
    for (int64_t i = 0; i < p->n; i++)
        p->block[i].verdict = i >= first && i < last ? (uint8_t)alone(&p->block[i], said) : LEFT_OUT;
    among_others(p, first, last, said);
    rescue(p, first, last);
    settle_headings(p, first, last);
}

/* ---- the text ---- */

static void put_text(sc_str *out, const sc_html_page *p, const sc_html_block *b, bool markdown)
{
    const char *t = p->text.p + b->at;
    if (b->kind == SC_HTML_HEADING && markdown) {
        for (int i = 0; i < b->level; i++) sc_str_putc(out, '#');
        sc_str_putc(out, ' ');
    }
    if (b->kind == SC_HTML_ITEM) {
        for (int i = 1; i < b->level; i++) sc_str_puts(out, "  ");
        sc_str_puts(out, b->next ? "  " : "- ");
    }
    if (b->kind == SC_HTML_CODE && markdown) sc_str_puts(out, "```\n");
    int64_t skip = 0;
    if (b->kind == SC_HTML_CODE) /* an empty line at its beginning; the first line's indentation stays */
        for (int64_t i = 0; i < b->len && (t[i] == ' ' || t[i] == '\n' || t[i] == '\r'); i++)
            if (t[i] == '\n') skip = i + 1;
    sc_str_append(out, t + skip, b->len - skip);
    if (b->kind == SC_HTML_CODE && markdown) sc_str_puts(out, "\n```");
}

static void compose(sc_html *h, const sc_html_options *o, sc_html_result *r)
{
    const sc_html_page *p = &h->page;
    const sc_html_block *before = NULL;
    sc_str *out = &h->out;
    out->len = 0;
    out->oom = false;
    r->kept = 0;
    for (int64_t i = 0; i < p->n; i++) {
        const sc_html_block *b = &p->block[i];
        if (b->verdict != GOOD) continue;
        bool same = before && b->kind == before->kind && (b->kind == SC_HTML_ITEM || b->kind == SC_HTML_ROW);
        if (before) sc_str_puts(out, same ? "\n" : "\n\n");
        if (!before && o->title && p->title.len) {
            bool there = b->len == p->title.len && memcmp(p->text.p + b->at, p->title.p, (size_t)b->len) == 0;
            if (!there) {
                if (o->markdown) sc_str_puts(out, "# ");
                sc_str_append(out, p->title.p, p->title.len);
                sc_str_puts(out, "\n\n");
            }
        }
        put_text(out, p, b, o->markdown);
        before = b;
        r->kept++;
    }
}

sc_status sc_html_text(sc_html *h, const char *p, int64_t n, const sc_html_options *o, sc_html_result *r)
{
    const GumboNode *root;
    *r = (sc_html_result){0};
    h->clean.len = 0;
    h->clean.oom = false;
    sc_html_clean(&h->clean, p, n, r->language);
    if (h->clean.oom) return sc_nomem();
    sc_status s = sc_html_parse(h->tree, h->clean.p ? h->clean.p : "", h->clean.len,
                                o->memory ? o->memory : 256LL << 20, &root);
    if (!s) s = sc_html_blocks(&h->page, root);
    if (s) return s;
    judge(&h->page, o->all);
    compose(h, o, r);
    if (h->out.oom) return sc_nomem();
    r->text = h->out.p ? h->out.p : "";
    r->len = h->out.len;
    r->blocks = h->page.n;
    return SC_OK;
}
