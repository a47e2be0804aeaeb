/* SPDX-License-Identifier: Apache-2.0 */
/* A page without what does not matter for its text. Tags are read by the rules of HTML's tokenizer
 * (https://html.spec.whatwg.org/#tokenization); what is written is well nested: an end tag ends what is open within its
 * element, one without an element is left out, and beyond MOST_DEPTH only the tags of inner elements are left out. Elements for
 * looks alone (span, b, font) are not written at all unless they are marked, so the parser never has to put misnested ones
 * right, which is where pages can cost it quadratic time and memory. */
#include "data/html.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { MOST_DEPTH = 256, LONGEST_NAME = 16 };

/* How an element is treated. */
enum {
    BLOCK = 1,  /* it ends a paragraph that is open */
    WRITE = 2,  /* its tags are written; else only where it is marked, as span */
    VOID = 4,   /* it has no content */
    SKIP = 8,   /* it goes with its content, up to its end tag, which must be there */
    RAW = 16,   /* ... and its content is no HTML: without an end tag it is the rest of the page */
    FENCE = 32, /* an end tag of an element around it does not end it, but for tables' */
    TABLE = 64, /* ends what is open up to the table */
};

typedef struct element {
    const char *name;
    unsigned how;
} element;

/* Sorted. What is not here is transparent. */
static const element elements[] = {
    {"a", WRITE},
    {"address", BLOCK | WRITE},
    {"article", BLOCK | WRITE},
    {"aside", BLOCK | WRITE},
    {"audio", SKIP},
    {"blockquote", BLOCK | WRITE},
    {"body", WRITE},
    {"br", WRITE | VOID},
    {"button", SKIP},
    {"canvas", SKIP},
    {"caption", WRITE | TABLE | FENCE},
    {"center", BLOCK | WRITE},
    {"dd", BLOCK | WRITE},
    {"details", BLOCK | WRITE},
    {"dialog", BLOCK | WRITE},
    {"div", BLOCK | WRITE},
    {"dl", BLOCK | WRITE},
    {"dt", BLOCK | WRITE},
    {"fieldset", BLOCK | WRITE},
    {"figcaption", BLOCK | WRITE},
    {"figure", BLOCK | WRITE},
    {"footer", BLOCK | WRITE},
    {"form", BLOCK | WRITE},
    {"h1", BLOCK | WRITE},
    {"h2", BLOCK | WRITE},
    {"h3", BLOCK | WRITE},
    {"h4", BLOCK | WRITE},
    {"h5", BLOCK | WRITE},
    {"h6", BLOCK | WRITE},
    {"head", WRITE},
    {"header", BLOCK | WRITE},
    {"hgroup", BLOCK | WRITE},
    {"hr", BLOCK | WRITE | VOID},
    {"html", WRITE},
    {"iframe", SKIP | RAW},
    {"img", VOID},
    {"input", VOID},
    {"legend", BLOCK | WRITE},
    {"li", BLOCK | WRITE},
    {"link", VOID},
    {"main", BLOCK | WRITE},
    {"math", SKIP},
    {"menu", BLOCK | WRITE},
    {"meta", VOID},
    {"nav", BLOCK | WRITE},
    {"noembed", SKIP | RAW},
    {"noframes", SKIP | RAW},
    {"noscript", SKIP},
    {"object", SKIP},
    {"ol", BLOCK | WRITE},
    {"p", BLOCK | WRITE},
    {"pre", BLOCK | WRITE},
    {"script", SKIP | RAW},
    {"search", BLOCK | WRITE},
    {"section", BLOCK | WRITE},
    {"select", SKIP},
    {"style", SKIP | RAW},
    {"summary", BLOCK | WRITE},
    {"svg", SKIP},
    {"table", WRITE | FENCE},
    {"tbody", WRITE | TABLE},
    {"td", WRITE | TABLE | FENCE},
    {"template", SKIP},
    {"textarea", SKIP | RAW},
    {"tfoot", WRITE | TABLE},
    {"th", WRITE | TABLE | FENCE},
    {"thead", WRITE | TABLE},
    {"title", WRITE},
    {"tr", WRITE | TABLE},
    {"ul", BLOCK | WRITE},
    {"video", SKIP},
    {"wbr", VOID},
};
static const element span = {"span", WRITE};

typedef struct cleaning {
    sc_str *out;
    const char *p;
    int64_t n;
    char *language;
    struct open {
        const element *e; /* NULL: another, transparent one */
        bool written;
        char name[LONGEST_NAME]; /* of a transparent one */
    } open[MOST_DEPTH];
    int depth, marked; /* open ones; those of them that are marked spans */
    int64_t deeper;    /* elements that were left out because of the depth */
    bool titled;
    bool no_end[SC_COUNT(elements)]; /* no end tag was found for one: none is looked for again */
} cleaning;

typedef struct tag {
    char name[LONGEST_NAME];
    const element *e;
    unsigned marks;
    bool end, empty; /* empty: <x/> */
    int64_t behind;  /* where the page goes on; -1: the tag has no end */
    char language[16];
} tag;

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f'; }
static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

static int compare(const void *key, const void *item) { return strcmp(key, ((const element *)item)->name); }

/* ---- tags ---- */

static bool is(const char *p, int64_t n, const char *word)
{
    return (int64_t)strlen(word) == n && strncasecmp(p, word, (size_t)n) == 0;
}

static bool has(const char *p, int64_t n, const char *word)
{
    int64_t k = (int64_t)strlen(word);
    for (int64_t i = 0; i + k <= n; i++)
        if (lower(p[i]) == word[0] && strncasecmp(p + i, word, (size_t)k) == 0) return true;
    return false;
}

static unsigned role_mark(const char *v, int64_t n)
{
    static const char *const away[] = {"navigation",    "banner",      "contentinfo", "search",
                                       "complementary", "menu",        "menubar",     "dialog",
                                       "alert",         "alertdialog", "toolbar",     "tablist"};
    if (is(v, n, "main") || is(v, n, "article")) return SC_HTML_MAIN;
    for (int i = 0; i < SC_COUNT(away); i++)
        if (is(v, n, away[i])) return SC_HTML_AWAY;
    return 0;
}

static bool is_hiding(const char *v, int64_t n)
{
    return n < 4096 &&
           ((has(v, n, "display:none") || has(v, n, "display: none")) || has(v, n, "visibility:hidden"));
}

static void attribute(tag *t, const char *a, int64_t an, const char *v, int64_t vn)
{
    switch (lower(*a)) {
    case 'c':
        if (is(a, an, "class")) t->marks |= sc_html_words(v, SC_MIN(vn, 512));
        break;
    case 'i':
        if (is(a, an, "id")) t->marks |= sc_html_words(v, SC_MIN(vn, 512));
        if (is(a, an, "itemprop") && is(v, vn, "articleBody")) t->marks |= SC_HTML_MAIN;
        break;
    case 'r':
        if (is(a, an, "role")) t->marks |= role_mark(v, vn);
        break;
    case 'h':
        if (is(a, an, "hidden")) t->marks |= SC_HTML_HIDDEN;
        break;
    case 'a':
        if (is(a, an, "aria-hidden") && is(v, vn, "true")) t->marks |= SC_HTML_HIDDEN;
        break;
    case 's':
        if (is(a, an, "style") && is_hiding(v, vn)) t->marks |= SC_HTML_HIDDEN;
        break;
    case 'l':
    case 'x':
        if (is(a, an, "lang") || (is(a, an, "xml:lang") && !t->language[0])) {
            size_t k = 0;
            while (k < sizeof t->language - 1 && (int64_t)k < vn &&
                   (is_letter(v[k]) || v[k] == '-' || v[k] == '_')) {
                t->language[k] = v[k] == '_' ? '-' : lower(v[k]);
                k++;
            }
            t->language[k] = 0;
        }
        break;
    }
}

/* Reads the tag at p[i], a '<' before a letter or "/" and a letter. */
static void read_tag(const cleaning *c, int64_t i, tag *t)
{
    const char *p = c->p;
    int64_t n = c->n, len = 0;
    *t = (tag){.behind = -1};
    i++;
    if (p[i] == '/') {
        t->end = true;
        i++;
    }
    for (; i < n && !is_space(p[i]) && p[i] != '>' && p[i] != '/'; i++, len++)
        if (len < LONGEST_NAME - 1) t->name[len] = lower(p[i]);
    t->e = len < LONGEST_NAME ? bsearch(t->name, elements, SC_COUNT(elements), sizeof *elements, compare) : NULL;
    while (i < n) {
        while (i < n && (is_space(p[i]) || p[i] == '/')) i++;
        if (i >= n) return;
        if (p[i] == '>') {
            t->empty = p[i - 1] == '/';
            t->behind = i + 1;
            return;
        }
        int64_t a = i++; /* a name may begin with '=' */
        while (i < n && !is_space(p[i]) && p[i] != '/' && p[i] != '>' && p[i] != '=') i++;
        int64_t an = i - a, v = i, vn = 0;
        while (i < n && is_space(p[i])) i++;
        if (i < n && p[i] == '=') {
            i++;
            while (i < n && is_space(p[i])) i++;
            if (i < n && (p[i] == '"' || p[i] == '\'')) {
                const char *q = memchr(p + i + 1, p[i], (size_t)(n - i - 1));
                if (!q) return;
                v = i + 1;
                vn = q - p - v;
                i = q + 1 - p;
            } else {
                v = i;
                while (i < n && !is_space(p[i]) && p[i] != '>') i++;
                vn = i - v;
            }
        }
        if (!t->end) attribute(t, p + a, an, p + v, vn);
    }
}

/* ---- elements that are open ---- */

static void write_end(cleaning *c, const struct open *o)
{
    if (!o->written) return;
    sc_str_puts(c->out, "</");
    sc_str_puts(c->out, o->e->name);
    sc_str_putc(c->out, '>');
}

static void close_to(cleaning *c, int depth)
{
    while (c->depth > depth) {
        write_end(c, &c->open[--c->depth]);
        c->marked -= c->open[c->depth].e == &span;
    }
}

static bool named(const struct open *o, const char *name)
{
    return o->e ? strcmp(o->e->name, name) == 0 : strcmp(o->name, name) == 0;
}

static bool one_of(const struct open *o, const char *names)
{
    if (!o->e) return false;
    const char *at = strstr(names, o->e->name);
    size_t n = strlen(o->e->name);
    return at && (at == names || at[-1] == ' ') && (at[n] == ' ' || !at[n]);
}

/* Ends the innermost of the open elements `names` that no element of `stop` is within. */
static void end_inner(cleaning *c, const char *names, const char *stop)
{
    for (int i = c->depth - 1; i >= 0 && !one_of(&c->open[i], stop); i--)
        if (one_of(&c->open[i], names)) {
            close_to(c, i);
            return;
        }
}

/* What an element's beginning ends: paragraphs, and items, rows and cells without end tags. */
static void end_implied(cleaning *c, const element *e)
{
    static const char fences[] = "ul ol menu dl table td th caption button blockquote";
    if ((e->how & BLOCK) && c->depth && named(&c->open[c->depth - 1], "p")) close_to(c, c->depth - 1);
    if (strcmp(e->name, "li") == 0) end_inner(c, "li", fences);
    if (strcmp(e->name, "dd") == 0 || strcmp(e->name, "dt") == 0) end_inner(c, "dd dt", fences);
    if (!(e->how & TABLE)) return;
    if (strcmp(e->name, "td") == 0 || strcmp(e->name, "th") == 0)
        end_inner(c, "td th", "table tr");
    else if (strcmp(e->name, "tr") == 0)
        end_inner(c, "tr", "table");
    else
        end_inner(c, "tbody thead tfoot caption", "table");
}

static void begin(cleaning *c, const tag *t)
{
    const element *e = t->e;
    unsigned marks = t->marks & (SC_HTML_AWAY | SC_HTML_HIDDEN);
    if (e && strcmp(e->name, "html") == 0 && !c->language[0]) memcpy(c->language, t->language, sizeof t->language);
    if (e && (e->how & WRITE)) {
        marks = t->marks;
        end_implied(c, e);
    } else if (marks) {
        e = &span;
    }
    bool written = e && (e->how & WRITE), inside = !(e && (e->how & VOID)) && (written || (c->marked && !t->empty));
    if (inside && c->depth == MOST_DEPTH) {
        c->deeper++;
        return;
    }
    if (written) {
        sc_str_putc(c->out, '<');
        sc_str_puts(c->out, e->name);
        if (marks) {
            sc_str_puts(c->out, " c=");
            sc_str_putc(c->out, (char)('0' + marks / 10 % 10));
            sc_str_putc(c->out, (char)('0' + marks % 10));
        }
        sc_str_putc(c->out, '>');
    }
    if (!inside) return; /* a transparent one matters only where it may end a marked one too early */
    c->marked += e == &span;
    struct open *o = &c->open[c->depth++];
    o->e = written ? e : NULL;
    o->written = written;
    memcpy(o->name, t->name, sizeof o->name);
}

static void end(cleaning *c, const tag *t)
{
    if (t->e && (t->e->how & (VOID | SKIP))) return;
    if (c->deeper) {
        c->deeper--;
        return;
    }
    bool table = t->e && ((t->e->how & TABLE) || strcmp(t->e->name, "table") == 0);
    for (int i = c->depth - 1; i >= 0; i--) {
        const struct open *o = &c->open[i];
        if (strcmp(o->name, t->name) == 0) {
            close_to(c, i);
            return;
        }
        bool fence = o->e && (o->e->how & FENCE) && (!table || strcmp(o->e->name, "table") == 0);
        if (fence) return;
    }
}

/* ---- the page ---- */

/* Behind the end tag of the element that t began; -1: there is none. Elements of the same name within are counted. */
static int64_t behind_element(const cleaning *c, const tag *t)
{
    int64_t depth = 1;
    size_t len = strlen(t->name);
    for (int64_t i = t->behind; i < c->n;) {
        const char *lt = memchr(c->p + i, '<', (size_t)(c->n - i));
        if (!lt) return -1;
        i = lt + 1 - c->p;
        bool ends = i < c->n && c->p[i] == '/';
        int64_t name = i + ends, after = name + (int64_t)len;
        if (after >= c->n || strncasecmp(c->p + name, t->name, len) != 0) continue;
        if (!is_space(c->p[after]) && c->p[after] != '>' && c->p[after] != '/') continue;
        if (!ends) {
            depth += !(t->e->how & RAW);
            continue;
        }
        if (--depth) continue;
        const char *gt = memchr(c->p + after, '>', (size_t)(c->n - after));
        return gt ? gt + 1 - c->p : c->n;
    }
    return -1;
}

/* Behind "<!" or "<?" or "</" that begins no tag: a comment. */
static int64_t behind_comment(const cleaning *c, int64_t i)
{
    const char *p = c->p + i, *end;
    int64_t n = c->n - i;
    if (n >= 4 && memcmp(p, "<!--", 4) == 0) {
        if (n >= 5 && p[4] == '>') return i + 5;
        if (n >= 6 && p[4] == '-' && p[5] == '>') return i + 6;
        end = memmem(p + 4, (size_t)(n - 4), "-->", 3);
        return end ? end + 3 - c->p : c->n;
    }
    end = memchr(p, '>', (size_t)n);
    return end ? end + 1 - c->p : c->n;
}

/* The tag at p[i]; where the page goes on. */
static int64_t take_tag(cleaning *c, int64_t i)
{
    tag t;
    read_tag(c, i, &t);
    if (t.behind < 0) return c->n; /* the page ends in it */
    if (t.end) {
        end(c, &t);
        return t.behind;
    }
    if (t.e && strcmp(t.e->name, "title") == 0) { /* its content is text */
        if (c->titled) return t.behind;
        int64_t to = behind_element(c, &t);
        c->titled = true;
        if (to < 0) return t.behind;
        sc_str_puts(c->out, "<title>");
        sc_str_append(c->out, c->p + t.behind, to - t.behind);
        return to;
    }
    if (t.e && (t.e->how & SKIP)) {
        if (t.empty && strcmp(t.e->name, "svg") == 0) return t.behind;
        bool *no_end = &c->no_end[t.e - elements];
        int64_t to = *no_end ? -1 : behind_element(c, &t);
        if (to >= 0) return to;
        *no_end = true;
        return t.e->how & RAW ? c->n : t.behind;
    }
    begin(c, &t);
    return t.behind;
}

void sc_html_clean(sc_str *out, const char *p, int64_t n, char language[16])
{
    cleaning c = {.out = out, .p = p, .n = n, .language = language};
    language[0] = 0;
    for (int64_t i = 0; i < n;) {
        const char *lt = memchr(p + i, '<', (size_t)(n - i));
        int64_t at = lt ? lt - p : n;
        sc_str_append(out, p + i, at - i);
        i = at;
        if (i + 1 >= n) break;
        char next = p[i + 1];
        if (is_letter(next) || (next == '/' && i + 2 < n && is_letter(p[i + 2]))) {
            i = take_tag(&c, i);
        } else if (next == '!' || next == '?' || next == '/') {
            i = behind_comment(&c, i);
        } else {
            sc_str_puts(out, "&lt;");
            i++;
        }
    }
    close_to(&c, 0);
}
