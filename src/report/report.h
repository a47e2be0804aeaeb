/* SPDX-License-Identifier: Apache-2.0 */
/* Reports: one HTML page with its style and pictures in it, without scripts or anything from outside, readable on a
 * screen and at a phone's width, light and dark. All text given is escaped; what is not UTF-8 becomes U+FFFD. */
#ifndef SC_REPORT_H
#define SC_REPORT_H

#include "base/base.h"

/* A number as people write it: "0.0012", "3.412", "20k", "1.5M", "2G", "3T", "4.2·10¹⁸"; at most 4 digits. */
void sc_number_text(char out[48], double v);

/* ---- pictures (chart.c) ---- */

typedef enum sc_series_kind {
    SC_SERIES_LINE,    /* over whole x in order: many points are drawn as the means of bins within the band of their
                          least and greatest; says its values where the pointer rests */
    SC_SERIES_CURVE,   /* through all points as they come, for functions; says nothing */
    SC_SERIES_DASHED,  /* the same, dashed */
    SC_SERIES_DOTS,    /* single points, each with its hint; `low` and `high` are drawn as bars */
    SC_SERIES_RINGS,   /* the same, hollow: what was predicted or left out */
    SC_SERIES_COLUMNS, /* a histogram: y[i] (n) from x[i] to x[i + 1], so x has n + 1 */
} sc_series_kind;

enum { SC_COLOURS = 8 };

/* Values that are not finite are left out, and so are those not above 0 on a logarithmic axis. */
typedef struct sc_series {
    const char *name; /* in the key, where there are several, and in hints; "": not in the key */
    sc_series_kind kind;
    int colour;               /* counted modulo SC_COLOURS */
    const double *x, *y;      /* (n) */
    const double *low, *high; /* (n) of y, both or NULL; of curves: the band around them */
    const char *const *hint;  /* (n), of dots; NULL: their x and y */
    int64_t n;
    size_t
        stride; /* bytes from one value to the next in all of these arrays of numbers; 0: they are closely packed */
} sc_series;

typedef enum sc_axis_kind {
    SC_AXIS_LINEAR,
    SC_AXIS_LOG,
    SC_AXIS_WIDE, /* logarithmic where the values span more than a factor of 50 */
} sc_axis_kind;

typedef struct sc_chart {
    const char *title;
    const char *x_name, *y_name; /* x_name: in hints; both beside the axes where `named`; may be NULL */
    bool named;
    sc_axis_kind x, y;
    double factor; /* of y: 100 for percent; 0: 1 */
    int height;    /* of 640 wide; 0: 240 */
    const sc_series *series;
    int n_series;
    const double *mark; /* n_marks places on the x axis to point out */
    int n_marks;
    const char *mark_name; /* "spike at step": before the number, in their hints */
} sc_chart;
/* A <figure> with an <svg>; nothing where no series has a value. */
void sc_chart_draw(sc_str *out, const sc_chart *c);

/* ---- the page (page.c) ---- */

/* A page grows from top to bottom; failures (memory) are told by sc_page_write. Starts as {0}. */
typedef struct sc_page {
    sc_str out;
} sc_page;

void sc_page_begin(sc_page *p, const char *title, const char *status); /* status: a line below the title */
/* A heading, and a paragraph below it; text may be NULL. */
void sc_page_section(sc_page *p, const char *heading, const char *text);
void sc_page_subsection(sc_page *p, const char *heading, const char *text); /* the same, one level below */
void sc_page_text(sc_page *p, const char *text);                            /* a paragraph */
void sc_page_facts(sc_page *p, const char *const *fact, int n); /* n names and values in turn, as boxes */
/* The same as they come up: names are borrowed, values written as printf does. Starts as {0}; more than fit are left out. */
enum { SC_FACTS = 16 };
typedef struct sc_facts {
    const char *list[2 * SC_FACTS];
    char text[SC_FACTS][160];
    int n;
} sc_facts;
void sc_facts_add(sc_facts *f, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void sc_page_command(sc_page *p, const char *heading, const char *command); /* set as it was typed; NULL: nothing */

/* Charts stand side by side where there is room, the first one, if `first_wide`, over the whole width. */
void sc_page_charts(sc_page *p, bool first_wide);
void sc_page_chart(sc_page *p, const sc_chart *c);
void sc_page_charts_end(sc_page *p);

/* Lengths beside names: counts by rule, language, domain. */
typedef struct sc_bar {
    const char *name;
    double value;     /* not negative; others are drawn as 0 */
    const char *text; /* behind the bar; NULL: the value */
    int colour;
    double low, high; /* an interval around the value, drawn over the bar; both 0 or not finite: none */
} sc_bar;
/* In the order given, the longest filling its room. title may be NULL. */
void sc_page_bars(sc_page *p, const char *title, const sc_bar *bar, int n);

/* Tables are written cell by cell: begin with n columns' names, then for each row sc_page_row and its cells. */
void sc_page_table(sc_page *p, const char *const *head, int n);
void sc_page_row(sc_page *p);
void sc_page_cell(sc_page *p, const char *text);                      /* NULL: empty */
void sc_page_cellf(sc_page *p, const char *fmt, ...) SC_PRINTF(2, 3); /* a number: not wrapped */
void sc_page_cell_json(sc_page *p, const json_t *v);                  /* a string as it is, others as JSON */
void sc_page_cell_said(sc_page *p, const char *soft, const char *text, int64_t n); /* text as it was written, of n
                          bytes (-1: to its end), behind `soft` in a paler colour; NULL: none */
void sc_page_table_end(sc_page *p);

/* Tables of the names and values of two objects side by side; those that are NULL or empty are left out. */
void sc_page_objects(sc_page *p, const char *heading1, const json_t *o1, const char *heading2, const json_t *o2);

/* What there is besides: the page's text, escaped. */
void sc_page_escape(sc_str *out, const char *p, int64_t n); /* n -1: to the end */

/* Ends the page, writes the file whole or not at all, and frees the page. */
sc_status sc_page_write(sc_page *p, const char *path);
void sc_page_free(sc_page *p); /* of a page that is not to be written */

#endif
