/* SPDX-License-Identifier: Apache-2.0 */
#include "data/source.h"

#include <stdio.h>

void sc_found_broken(sc_found *found, const char *reason, const char *detail)
{
    found->what = SC_READ_BROKEN;
    found->reason = reason;
    if (detail) snprintf(found->detail, sizeof found->detail, "%s", detail);
}

bool sc_damage_tell(struct sc_damage *told, const struct sc_damage *now, sc_found *found)
{
    const char *reason = NULL;
    if (told->broken < now->broken) {
        told->broken++;
        reason = "broken_member";
    } else if (told->torn < now->torn) {
        told->torn++;
        reason = "torn";
    } else if (told->longer < now->longer) {
        told->longer++;
        reason = "too_large";
    }
    if (reason) sc_found_broken(found, reason, NULL);
    return reason != NULL;
}

sc_status sc_source_lines_open(sc_source_lines *l, const sc_reader_setup *x, int64_t longest, bool cut)
{
    sc_bytes *b;
    *l = (sc_source_lines){0};
    /* The line that byte `from` is in the middle of is the part's before: from one byte earlier its end is looked for. */
    sc_line_options o = {
        .bytes.start = x->from ? x->from - 1 : 0, .longest = longest, .cut = cut, .behind = x->from > 0};
    sc_status s = sc_bytes_open(&b, x->path, &o.bytes);
    if (s) return s;
    sc_bytes_counts c = sc_bytes_count(b);
    if (!c.packed && x->to < c.size) o.to = x->to;
    s = sc_line_reader_of(&l->lines, b, &o);
    if (s) sc_bytes_close(b);
    return s;
}

void sc_source_lines_close(sc_source_lines *l) { sc_line_reader_close(l->lines); }

sc_status sc_source_lines_next(sc_source_lines *l, sc_found *found)
{
    if (!l->p && !l->end) {
        sc_status s = sc_line_reader_next(l->lines, &l->p, &l->n);
        if (s) return s;
        l->end = !l->p;
    }
    sc_line_counts c = sc_line_reader_count(l->lines);
    struct sc_damage now = {c.bytes.broken, c.longer, c.torn};
    if (!sc_damage_tell(&l->told, &now, found) && l->end) found->what = SC_READ_END;
    return SC_OK;
}
