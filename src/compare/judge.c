/* SPDX-License-Identifier: Apache-2.0 */
/* Is an answer right? */
#include "compare/compare.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

/* ---- numbers in texts ---- */

/* The number at p, with commas between thousands; false: there is none. *end is behind it. */
static bool number_at(const char *p, double *x, const char **end)
{
    char digits[64];
    int n = 0;
    const char *q = p;
    if (*q == '-' || *q == '+') digits[n++] = *q++;
    if (!isdigit((unsigned char)*q) && !(*q == '.' && isdigit((unsigned char)q[1]))) return false;
    bool point = false;
    for (; n < 60; q++) {
        bool thousands = *q == ',' && isdigit((unsigned char)q[1]) && isdigit((unsigned char)q[2]) &&
                         isdigit((unsigned char)q[3]);
        if (thousands) continue;
        if (*q == '.' && !point && isdigit((unsigned char)q[1]))
            point = true;
        else if (!isdigit((unsigned char)*q))
            break;
        digits[n++] = *q;
    }
    digits[n] = 0;
    *x = strtod(digits, NULL);
    *end = q;
    return true;
}

/* What a text comes to: the number behind "####", as worked answers end, else the last one. */
static const char *last_number(const char *text, double *x)
{
    const char *mark = strstr(text, "####"), *found = NULL, *end;
    double v;
    for (const char *p = mark ? mark + 4 : text; *p;) {
        bool sign = (*p == '-' || *p == '+') && p > text && (isalnum((unsigned char)p[-1]) || p[-1] == ')');
        if (!sign && number_at(p, &v, &end)) {
            found = p;
            *x = v;
            if (mark) break;
            p = end;
        } else {
            p++;
        }
    }
    return found;
}

/* ---- texts ---- */

/* Letters small (ASCII), blanks single, none of them and no full stop or quote at the ends; owned. */
static char *plain_text(const char *p)
{
    sc_str s = {0};
    while (*p && (isspace((unsigned char)*p) || strchr("\"'`*", *p))) p++;
    for (; *p; p++) {
        if (!isspace((unsigned char)*p))
            sc_str_putc(&s, (char)tolower((unsigned char)*p));
        else if (s.len && s.p[s.len - 1] != ' ')
            sc_str_putc(&s, ' ');
    }
    while (s.len && strchr(" .\"'`*!,;:", s.p[s.len - 1])) s.p[--s.len] = 0;
    if (!s.p) sc_str_puts(&s, "");
    return sc_str_take(&s, NULL);
}

void sc_compare_extract(const sc_compare_task *t, char *text)
{
    double x;
    if (t->metric == SC_COMPARE_TASK) return; /* its filters see the whole answer */
    const char *number = t->metric == SC_COMPARE_NUMBER ? last_number(text, &x) : NULL, *end;
    if (number) {
        number_at(number, &x, &end);
        memmove(text, number, (size_t)(end - number));
        text[end - number] = 0;
        return;
    }
    char *p = text;
    while (isspace((unsigned char)*p)) p++;
    size_t n = t->metric == SC_COMPARE_CONTAINS ? strlen(p) : strcspn(p, "\n");
    while (n && isspace((unsigned char)p[n - 1])) n--;
    memmove(text, p, n);
    text[n] = 0;
}

static bool is_right(const sc_compare_task *t, const sc_compare_item *item, const char *said)
{
    double want, got;
    bool right = false;
    if (t->metric == SC_COMPARE_NUMBER) {
        for (int i = 0; i < item->n_correct && !right; i++)
            right = last_number(item->correct[i], &want) && last_number(said, &got) &&
                    fabs(want - got) <= 1e-6 * fmax(1, fabs(want));
        return right;
    }
    char *a = plain_text(said);
    for (int i = 0; a && i < item->n_correct && !right; i++) {
        char *b = plain_text(item->correct[i]);
        right = b && (t->metric == SC_COMPARE_CONTAINS ? strstr(a, b) != NULL : strcmp(a, b) == 0);
        sc_free(b);
    }
    sc_free(a);
    return right;
}

sc_status sc_compare_grade(double *out, const sc_compare_task *t, const sc_compare_item *item, const char *said)
{
    if (t->metric == SC_COMPARE_TASK) return sc_eval_grade(out, t->eval, item->place, said);
    *out = is_right(t, item, said);
    return SC_OK;
}

int sc_compare_named(const sc_compare_task *t, const sc_compare_item *item, const char *text)
{
    char *a = plain_text(text);
    int found = -1;
    const char *first = NULL;
    size_t length = 0;
    for (int k = 0; a && k < item->n_choices; k++) {
        char *b = plain_text(sc_compare_choice(t, item, k));
        size_t n = b ? strlen(b) : 0;
        for (const char *at = n ? strstr(a, b) : NULL; at; at = strstr(at + 1, b)) {
            bool whole = (at == a || !isalnum((unsigned char)at[-1])) && !isalnum((unsigned char)at[n]);
            if (!whole || (first && (at > first || (at == first && n <= length)))) continue;
            first = at;
            length = n;
            found = k;
        }
        sc_free(b);
    }
    sc_free(a);
    return found;
}
