/* SPDX-License-Identifier: Apache-2.0 */
/* The tree of a page as a row of blocks. Text runs together until an element that begins a line of its own begins or ends. */
#include "data/html.h"

enum { MOST_NESTING = 4000, CELL_MAX = 240, CELLS_MAX = 64 };

typedef struct walk {
    sc_html_page *p;
    sc_html_block now; /* the block that grows; its text is behind `now.at` */
    int links, away, pre, list, main_depth;
    int heading;  /* its level; 0: none */
    bool item;    /* the next block is an item's first */
    bool of_item; /* within an item */
    bool space;   /* before the next letter */
    bool word;    /* the character before was one of a word */
} walk;

void sc_html_page_free(sc_html_page *p)
{
    sc_str_free(&p->text);
    sc_str_free(&p->title);
    sc_str_free(&p->scratch);
    sc_free(p->block);
    sc_free(p->region);
    *p = (sc_html_page){0};
}

/* ---- text ---- */

static bool is_space(unsigned char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Letters of scripts that say more with each, by their UTF-8 lead byte and the next: Chinese and Japanese 5/2, Korean 2. */
static int letter_size(const unsigned char *u)
{
    if (u[0] < 0xe2) return 2;
    if (u[0] == 0xe2) return 2;
    if (u[0] == 0xe3 || (u[0] >= 0xe4 && u[0] <= 0xe9)) return 5;
    return u[0] >= 0xea && u[0] <= 0xed ? 4 : 2;
}

/* Marks that end clauses in the scripts of the world: U+3001, U+3002, fullwidth , . ! ? : ;, Arabic comma and question mark,
 * danda, and those of ASCII. */
static bool ends_clause(const unsigned char *u, int64_t n)
{
    if (u[0] < 0x80) return (strchr(".,;:!?", u[0]) && (n == 1 || is_space(u[1]) || u[1] == '"' || u[1] == ')'));
    if (u[0] == 0xe3 && n > 2) return u[1] == 0x80 && (u[2] == 0x81 || u[2] == 0x82);
    if (u[0] == 0xef && n > 2)
        return u[1] == 0xbc &&
               (u[2] == 0x8c || u[2] == 0x8e || u[2] == 0x81 || u[2] == 0x9f || u[2] == 0x9a || u[2] == 0x9b);
    if (u[0] == 0xd8 && n > 1) return u[1] == 0x8c || u[1] == 0x9f || u[1] == 0x9b;
    if (u[0] == 0xe0 && n > 2) return u[1] == 0xa5 && (u[2] == 0xa4 || u[2] == 0xa5);
    return false;
}

/* Counts a run of characters without spaces. */
static void count_run(walk *w, const char *s, int64_t n)
{
    const unsigned char *u = (const unsigned char *)s;
    int64_t halves = 0;
    if (!w->word) {
        w->now.words++;
        /* A capital of Latin, Greek or Cyrillic, or a digit or a sign, begins no common word. */
        bool capital = (u[0] < 0x80 && !(u[0] >= 'a' && u[0] <= 'z')) || (u[0] == 0xc3 && n > 1 && u[1] < 0x9f) ||
                       (u[0] == 0xce && n > 1 && u[1] < 0xab) || (u[0] == 0xd0 && n > 1 && u[1] < 0xb0);
        w->now.lower += !capital;
        w->word = true;
    }
    for (int64_t i = 0; i < n; i++) {
        if ((u[i] & 0xc0) == 0x80) continue;
        halves += letter_size(u + i);
        w->now.stops += ends_clause(u + i, n - i);
        if (u[i] == 0xc2 && i + 1 < n && u[i + 1] == 0xa9) w->now.rights = true;
    }
    w->now.size += (int32_t)(halves / 2);
    if (w->links) w->now.linked += (int32_t)(halves / 2);
}

static void add_text(walk *w, const char *s)
{
    sc_str *t = &w->p->text;
    while (*s) {
        const char *from = s;
        if (is_space((unsigned char)*s)) {
            while (is_space((unsigned char)*s)) s++;
            w->word = false;
            if (w->pre)
                sc_str_append(t, from, s - from);
            else
                w->space = true;
            continue;
        }
        while (*s && !is_space((unsigned char)*s)) s++;
        bool first = t->len == w->now.at;
        if (w->space && !first && t->p[t->len - 1] != '\n') {
            sc_str_putc(t, ' ');
            w->now.size++;
            if (w->links) w->now.linked++;
        }
        w->space = false;
        sc_str_append(t, from, s - from);
        count_run(w, from, s - from);
    }
}

/* ---- blocks ---- */

static bool put_block(sc_html_page *p, const sc_html_block *b)
{
    if (!sc_grow(&p->block, &p->cap, p->n + 1, sizeof *p->block)) {
        p->oom = true;
        return false;
    }
    p->block[p->n++] = *b;
    return true;
}

/* Ends the block that grows. */
static void flush(walk *w)
{
    sc_html_page *p = w->p;
    sc_html_block *b = &w->now;
    int64_t end = p->text.len;
    const char *t = p->text.p;
    if (w->pre) /* empty lines around code */
        while (end > b->at && (t[end - 1] == '\n' || t[end - 1] == '\r' || t[end - 1] == ' ')) end--;
    else
        while (end > b->at && is_space((unsigned char)t[end - 1])) end--;
    b->len = end - b->at;
    if (b->len && b->size) {
        b->kind = w->pre       ? SC_HTML_CODE
                  : w->heading ? SC_HTML_HEADING
                  : w->of_item ? SC_HTML_ITEM
                               : SC_HTML_PARAGRAPH;
        if (b->kind == SC_HTML_ITEM && !w->item) b->next = true;
        b->level = (uint8_t)(b->kind == SC_HTML_HEADING ? w->heading : SC_MIN(w->list, 8));
        b->away = w->away > 0;
        put_block(p, b);
        w->item = false;
        p->text.len = end;
    } else {
        p->text.len = b->at;
    }
    w->now = (sc_html_block){.at = p->text.len};
    w->space = w->word = false;
}

static void put_region(walk *w, int64_t first, int why)
{
    sc_html_page *p = w->p;
    if (p->n == first) return;
    if (!sc_grow(&p->region, &p->cap_regions, p->n_regions + 1, sizeof *p->region)) {
        p->oom = true;
        return;
    }
    p->region[p->n_regions++] = (sc_html_region){first, p->n, why};
}

/* The blocks from `first` on are a row's cells: short ones become one line. `cell` has each cell's first block. */
static void join_row(walk *w, int64_t first, const int64_t *cell, int cells)
{
    sc_html_page *p = w->p;
    if (cells < 2 || p->n == first || p->oom) return;
    for (int i = 0; i < cells; i++) {
        int64_t to = i + 1 < cells ? cell[i + 1] : p->n;
        if (to - cell[i] > 1) return;
        if (to > cell[i] && (p->block[cell[i]].size > CELL_MAX || p->block[cell[i]].kind == SC_HTML_CODE)) return;
    }
    sc_html_block row = {.at = p->block[first].at, .kind = SC_HTML_ROW, .away = p->block[first].away};
    p->scratch.len = 0;
    for (int i = 0; i < cells; i++) {
        int64_t to = i + 1 < cells ? cell[i + 1] : p->n;
        if (i) sc_str_puts(&p->scratch, " | ");
        if (to == cell[i]) continue;
        const sc_html_block *b = &p->block[cell[i]];
        for (int64_t k = b->at; k < b->at + b->len; k++) /* lines within a cell */
            sc_str_putc(&p->scratch, p->text.p[k] == '\n' ? ' ' : p->text.p[k]);
        row.size += b->size;
        row.linked += b->linked;
        row.words += b->words;
        row.lower += b->lower;
        row.stops += b->stops;
        row.rights |= b->rights;
    }
    p->text.len = row.at;
    sc_str_append(&p->text, p->scratch.p, p->scratch.len);
    p->oom = p->oom || p->scratch.oom;
    row.len = p->scratch.len;
    p->n = first;
    put_block(p, &row);
    w->now = (sc_html_block){.at = p->text.len};
}

/* ---- elements ---- */

static unsigned marks_of(const GumboElement *e)
{
    unsigned marks = 0;
    if (!e->attributes.length) return 0;
    const GumboAttribute *a = gumbo_get_attribute(&e->attributes, "c");
    for (const char *v = a ? a->value : ""; *v >= '0' && *v <= '9'; v++) marks = marks * 10 + (unsigned)(*v - '0');
    return marks;
}

static bool is_inline(GumboTag tag) { return tag == GUMBO_TAG_A || tag == GUMBO_TAG_SPAN; }

static bool is_away(GumboTag tag, const walk *w)
{
    if (tag == GUMBO_TAG_NAV || tag == GUMBO_TAG_FOOTER || tag == GUMBO_TAG_ASIDE || tag == GUMBO_TAG_MENU)
        return true;
    return tag == GUMBO_TAG_HEADER && !w->main_depth; /* the site's; an article's has its title */
}

static void children(walk *w, const GumboVector *v, int depth);

static void row(walk *w, const GumboVector *v, int depth)
{
    int64_t first = w->p->n, cell[CELLS_MAX];
    int cells = 0;
    for (unsigned i = 0; i < v->length; i++) {
        const GumboNode *n = v->data[i];
        bool is_cell =
            n->type == GUMBO_NODE_ELEMENT && (n->v.element.tag == GUMBO_TAG_TD || n->v.element.tag == GUMBO_TAG_TH);
        if (is_cell && cells < CELLS_MAX) cell[cells++] = w->p->n;
        children(w, &(GumboVector){.data = v->data + i, .length = 1}, depth);
    }
    flush(w);
    if (cells < CELLS_MAX && !w->pre) join_row(w, first, cell, cells);
}

/* What an element is to the walk, while within it. */
static void element(walk *w, const GumboNode *node, int depth)
{
    const GumboElement *e = &node->v.element;
    GumboTag tag = e->tag;
    unsigned marks = marks_of(e);
    if (marks & SC_HTML_HIDDEN) return;
    if (tag == GUMBO_TAG_BR) {
        sc_str *t = &w->p->text;
        if (!w->pre && t->len > w->now.at && t->p[t->len - 1] == '\n') {
            flush(w); /* two make a paragraph */
        } else if (t->len > w->now.at || w->pre) {
            sc_str_putc(t, '\n');
            w->space = w->word = false;
        }
        return;
    }
    bool line = !is_inline(tag), away = is_away(tag, w), said = (marks & SC_HTML_MAIN) || tag == GUMBO_TAG_MAIN;
    bool article = tag == GUMBO_TAG_ARTICLE;
    if (line) flush(w);
    walk saved = *w;
    int64_t first = w->p->n, text_at = w->p->text.len;
    w->links += tag == GUMBO_TAG_A;
    w->away += away;
    w->main_depth += said || article;
    if (tag == GUMBO_TAG_PRE) w->pre++;
    if (tag == GUMBO_TAG_UL || tag == GUMBO_TAG_OL) w->list++;
    if (tag == GUMBO_TAG_LI) w->item = w->of_item = true;
    if (tag >= GUMBO_TAG_H1 && tag <= GUMBO_TAG_H6) w->heading = 1 + (int)(tag - GUMBO_TAG_H1);
    if (tag == GUMBO_TAG_TR)
        row(w, &e->children, depth);
    else
        children(w, &e->children, depth);
    if (line) flush(w);
    w->links = saved.links;
    w->away = saved.away;
    w->main_depth = saved.main_depth;
    w->pre = saved.pre;
    w->list = saved.list;
    w->of_item = saved.of_item;
    w->heading = saved.heading;
    if (tag == GUMBO_TAG_LI) w->item = false;
    if (!line) {
        if ((marks & SC_HTML_AWAY) && w->p->n == first && saved.now.at == w->now.at) { /* out of a block's middle */
            w->p->text.len = text_at;
            w->now = saved.now;
            w->space = true;
        }
        return;
    }
    if (said) put_region(w, first, SC_HTML_SAYS_MAIN);
    if (article) put_region(w, first, SC_HTML_ARTICLE);
    if ((marks & SC_HTML_LIKELY) && !(marks & SC_HTML_AWAY)) put_region(w, first, SC_HTML_LOOKS_LIKELY);
    if (marks & SC_HTML_AWAY) put_region(w, first, SC_HTML_MAYBE_AWAY);
}

static void title(walk *w, const GumboVector *v)
{
    for (unsigned i = 0; i < v->length; i++) {
        const GumboNode *n = v->data[i];
        if (n->type != GUMBO_NODE_TEXT || w->p->title.len) continue;
        bool space = false;
        for (const char *s = n->v.text.text; *s; s++) {
            if (is_space((unsigned char)*s)) {
                space = true;
                continue;
            }
            if (space && w->p->title.len) sc_str_putc(&w->p->title, ' ');
            space = false;
            sc_str_putc(&w->p->title, *s);
        }
    }
}

static void children(walk *w, const GumboVector *v, int depth)
{
    if (depth > MOST_NESTING || w->p->oom) return;
    for (unsigned i = 0; i < v->length; i++) {
        const GumboNode *n = v->data[i];
        if (n->type == GUMBO_NODE_ELEMENT && n->v.element.tag == GUMBO_TAG_TITLE)
            title(w, &n->v.element.children);
        else if (n->type == GUMBO_NODE_ELEMENT)
            element(w, n, depth + 1);
        else if (n->type == GUMBO_NODE_TEXT || n->type == GUMBO_NODE_WHITESPACE || n->type == GUMBO_NODE_CDATA)
            add_text(w, n->v.text.text);
    }
}

static void clear(sc_str *s)
{
    s->len = 0;
    s->oom = false;
}

sc_status sc_html_blocks(sc_html_page *p, const GumboNode *root)
{
    clear(&p->text);
    clear(&p->title);
    clear(&p->scratch);
    p->n = p->n_regions = 0;
    p->oom = false;
    walk w = {.p = p};
    children(&w, &root->v.element.children, 0);
    flush(&w);
    return p->oom || p->text.oom || p->title.oom ? sc_nomem() : SC_OK;
}
