/* SPDX-License-Identifier: Apache-2.0 */
/* What a report has: fits, minima, best sizes, predictions, abilities. */
#ifndef SC_SCALE_SUMMARY_H
#define SC_SCALE_SUMMARY_H

#include "report/report.h"
#include "scale/scale.h"

enum { SC_MOST_ASKED = 100, SC_MOST_KINDS = 64 };

/* A run that a law is asked about. */
typedef struct sc_asked {
    const char *name;
    double n, d, actual;            /* actual: NAN where it is not known */
    sc_interval said[SC_LAW_FORMS]; /* of laws that there are */
} sc_asked;

/* The abilities of one run. */
typedef struct sc_able {
    char *name;
    double c, loss;
    int kinds;
    sc_ability kind[SC_MOST_KINDS]; /* whose names are owned */
} sc_able;

typedef struct sc_scale_summary {
    const sc_scale_points *points;
    sc_law_fit *fit[SC_LAW_FORMS]; /* NULL: the points cannot tell it */
    sc_isoflops *iso;
    double kappa;
    sc_scale_optimum optimum[SC_MOST_ASKED];
    int optima;
    sc_asked asked[SC_MOST_ASKED];
    int n_asked;
    sc_able *able;
    int64_t ables, cap_ables;
} sc_scale_summary;

/* tasks.json of all runs of a ladder's folder. (abilities.c) */
sc_status sc_scale_summary_abilities(sc_scale_summary *x, const char *dir);
void sc_able_free(sc_able *a);

json_t *sc_scale_summary_json(const sc_scale_summary *x); /* (summary.c) */
sc_status sc_scale_summary_page(const sc_scale_summary *x, const sc_scale_report *o,
                                const char *path); /* (page.c, curves.c) */

/* The pictures. (curves.c) */
void sc_scale_summary_charts(sc_page *p, const sc_scale_summary *x);
void sc_scale_summary_ability_charts(sc_page *p, const sc_scale_summary *x);

#endif
