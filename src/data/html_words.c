/* SPDX-License-Identifier: Apache-2.0 */
/* What authors call the parts of their pages. Words of classes and ids, cut where letters end and where a small letter is followed
 * by a capital: "navBar-left" has nav, bar, left. */
#include "data/html.h"

#include <stdlib.h>

typedef struct word {
    const char *text;
    unsigned mark;
} word;

/* Sorted. */
static const word words[] = {
    {"ad", SC_HTML_AWAY},
    {"ads", SC_HTML_AWAY},
    {"adsense", SC_HTML_AWAY},
    {"advert", SC_HTML_AWAY},
    {"advertisement", SC_HTML_AWAY},
    {"adverts", SC_HTML_AWAY},
    {"article", SC_HTML_LIKELY},
    {"articlebody", SC_HTML_MAIN},
    {"banner", SC_HTML_AWAY},
    {"breadcrumb", SC_HTML_AWAY},
    {"breadcrumbs", SC_HTML_AWAY},
    {"byline", SC_HTML_AWAY},
    {"catlinks", SC_HTML_AWAY},
    {"comment", SC_HTML_AWAY},
    {"comments", SC_HTML_AWAY},
    {"consent", SC_HTML_AWAY},
    {"content", SC_HTML_LIKELY},
    {"cookie", SC_HTML_AWAY},
    {"cookies", SC_HTML_AWAY},
    {"copyright", SC_HTML_AWAY},
    {"disqus", SC_HTML_AWAY},
    {"dropdown", SC_HTML_AWAY},
    {"editsection", SC_HTML_AWAY},
    {"entry", SC_HTML_LIKELY},
    {"flyout", SC_HTML_AWAY},
    {"footer", SC_HTML_AWAY},
    {"gdpr", SC_HTML_AWAY},
    {"hatnote", SC_HTML_AWAY},
    {"infobox", SC_HTML_AWAY},
    {"jump", SC_HTML_AWAY},
    {"login", SC_HTML_AWAY},
    {"main", SC_HTML_LIKELY},
    {"masthead", SC_HTML_AWAY},
    {"menu", SC_HTML_AWAY},
    {"menus", SC_HTML_AWAY},
    {"metadata", SC_HTML_AWAY},
    {"modal", SC_HTML_AWAY},
    {"nav", SC_HTML_AWAY},
    {"navbar", SC_HTML_AWAY},
    {"navbox", SC_HTML_AWAY},
    {"navigation", SC_HTML_AWAY},
    {"newsletter", SC_HTML_AWAY},
    {"noprint", SC_HTML_AWAY},
    {"outbrain", SC_HTML_AWAY},
    {"overlay", SC_HTML_AWAY},
    {"pager", SC_HTML_AWAY},
    {"pagination", SC_HTML_AWAY},
    {"paging", SC_HTML_AWAY},
    {"popup", SC_HTML_AWAY},
    {"post", SC_HTML_LIKELY},
    {"printfooter", SC_HTML_AWAY},
    {"promo", SC_HTML_AWAY},
    {"promotion", SC_HTML_AWAY},
    {"rating", SC_HTML_AWAY},
    {"recommendations", SC_HTML_AWAY},
    {"recommended", SC_HTML_AWAY},
    {"related", SC_HTML_AWAY},
    {"respond", SC_HTML_AWAY},
    {"share", SC_HTML_AWAY},
    {"sharing", SC_HTML_AWAY},
    {"sidebar", SC_HTML_AWAY},
    {"signup", SC_HTML_AWAY},
    {"sitesub", SC_HTML_AWAY},
    {"skip", SC_HTML_AWAY},
    {"skiplink", SC_HTML_AWAY},
    {"social", SC_HTML_AWAY},
    {"sponsor", SC_HTML_AWAY},
    {"sponsored", SC_HTML_AWAY},
    {"story", SC_HTML_LIKELY},
    {"subscribe", SC_HTML_AWAY},
    {"subscription", SC_HTML_AWAY},
    {"taboola", SC_HTML_AWAY},
    {"tagcloud", SC_HTML_AWAY},
    {"tags", SC_HTML_AWAY},
    {"toc", SC_HTML_AWAY},
    {"toolbar", SC_HTML_AWAY},
    {"topbar", SC_HTML_AWAY},
    {"widget", SC_HTML_AWAY},
    {"widgets", SC_HTML_AWAY},
};

static int compare(const void *key, const void *item) { return strcmp(key, ((const word *)item)->text); }

unsigned sc_html_words(const char *p, int64_t n)
{
    unsigned marks = 0;
    char w[20];
    int64_t len = 0;
    for (int64_t i = 0; i <= n; i++) {
        unsigned char c = i < n ? (unsigned char)p[i] : 0;
        bool capital = c >= 'A' && c <= 'Z', letter = capital || (c >= 'a' && c <= 'z');
        bool ends = !letter || (capital && i && p[i - 1] >= 'a' && p[i - 1] <= 'z');
        if (ends && len) {
            if (len > 1 && len < (int64_t)sizeof w) {
                w[len] = 0;
                const word *found = bsearch(w, words, SC_COUNT(words), sizeof *words, compare);
                if (found) marks |= found->mark;
            }
            len = 0;
        }
        if (!letter) continue;
        if (len < (int64_t)sizeof w - 1) w[len] = (char)(capital ? c + 32 : c);
        len++;
    }
    return marks;
}
