/* SPDX-License-Identifier: Apache-2.0 */
/* The main text of web pages, in four steps:
 *   html_clean.c   scripts, comments, attributes and tags that do not matter go, what is left is well nested and not deep, in one
 *                  fast pass: so the parser has little to do, and nothing that a hostile page can make it slow with
 *   html_parse.c   the tree, by a parser of HTML5 (gumbo), in memory that is bounded
 *   html_blocks.c  the tree as a row of blocks: paragraphs, headings, items, rows of tables, code
 *   html_text.c    which blocks are the page's text, and the text */
#ifndef SC_DATA_HTML_H
#define SC_DATA_HTML_H

#include "base/base.h"

#include <gumbo.h>

typedef struct sc_html_options {
    bool markdown;  /* "# " before headings, fences around code */
    bool title;     /* the page's title is the first line */
    bool all;       /* everything visible, not the main text alone */
    int64_t memory; /* bytes that a page's tree may have; 0: 256 MiB */
} sc_html_options;

typedef struct sc_html_result {
    const char *text; /* in the room, until the next page */
    int64_t len;
    char language[16];    /* of the page's element, lower case: "en-us"; "" */
    int64_t blocks, kept; /* paragraphs and the like that the page has, and that are in the text */
} sc_html_result;

typedef struct sc_html sc_html; /* room of one thread */
sc_status sc_html_new(sc_html **out);
void sc_html_free(sc_html *h);
/* The main text of the page p[0..n), which is UTF-8, with "\n" between lines and an empty line between paragraphs. SC_ELIMIT:
 * its tree is too large. */
sc_status sc_html_text(sc_html *h, const char *p, int64_t n, const sc_html_options *o, sc_html_result *r);

/* ---- what html_clean.c leaves ---- */

/* What class, id, role and the like say of an element; the cleaned page has them as its only attribute, c="3". */
typedef enum sc_html_mark {
    SC_HTML_AWAY = 1,   /* navigation, advertisement and the like */
    SC_HTML_MAIN = 2,   /* it says that it is the main text */
    SC_HTML_HIDDEN = 4, /* not shown */
    SC_HTML_LIKELY = 8, /* words as "content" or "post" in its class */
} sc_html_mark;

void sc_html_clean(sc_str *out, const char *p, int64_t n, char language[16]);
/* Marks that the words of p[0..n), a class or id, stand for. (html_words.c) */
unsigned sc_html_words(const char *p, int64_t n);

/* ---- what html_parse.c makes of it: a tree that lives until the next ---- */

typedef struct sc_html_tree sc_html_tree;
sc_status sc_html_tree_new(sc_html_tree **out);
void sc_html_tree_free(sc_html_tree *t);
/* *root: the element html. SC_ELIMIT: more than `memory` bytes. */
sc_status sc_html_parse(sc_html_tree *t, const char *p, int64_t n, int64_t memory, const GumboNode **root);

/* ---- blocks (html_blocks.c) ---- */

typedef enum sc_html_kind {
    SC_HTML_PARAGRAPH,
    SC_HTML_HEADING,
    SC_HTML_ITEM,
    SC_HTML_ROW, /* of a table */
    SC_HTML_CODE,
} sc_html_kind;

typedef struct sc_html_block {
    int64_t at, len;                /* in the text */
    int32_t size;                   /* in letters of Latin script: one of Chinese counts for two and a half */
    int32_t linked;                 /* of `size`, within links */
    int32_t words, lower, stops;    /* words; those that begin with a small letter or have none; ends of clauses */
    uint8_t kind, level;            /* level: of a heading or of an item's list, from 1 */
    bool away;                      /* in navigation and the like */
    bool rights;                    /* it has a copyright sign */
    bool next;                      /* goes on the item that the block before belongs to */
    uint8_t verdict, before, after; /* html_text.c's */
    int64_t sum;                    /* of sizes without links of this block and those before; html_text.c's */
} sc_html_block;

/* Blocks first .. last - 1 are an element that may be the main text. */
typedef struct sc_html_region {
    int64_t first, last;
    enum { SC_HTML_SAYS_MAIN, SC_HTML_ARTICLE, SC_HTML_LOOKS_LIKELY, SC_HTML_MAYBE_AWAY } why;
} sc_html_region;

typedef struct sc_html_page {
    sc_str text, title, scratch;
    sc_html_block *block;
    int64_t n, cap;
    sc_html_region *region;
    int64_t n_regions, cap_regions;
    bool oom;
} sc_html_page;
/* Starts as {0} and is cleared first. */
sc_status sc_html_blocks(sc_html_page *p, const GumboNode *root);
void sc_html_page_free(sc_html_page *p);

#endif
