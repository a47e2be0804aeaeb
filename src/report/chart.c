/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures as SVG. Sizes are in units of the picture, which is as wide as the page lets it be: the page's style makes
 * letters larger where that is narrow, so the margins have room for those. */
#include "report/report.h"

#include <math.h>

enum {
    WIDTH = 640,
    HEIGHT = 240,
    LEFT = 72,
    RIGHT = 12,
    TOP = 10,
    BOTTOM = 30,
    BINS = 250,
    LOG_RATIO = 50,
    TICKS = 32,
    LABEL = 55 /* room for one */
};

/* One axis: values from lo to hi lie from `from` to `to` in the picture. */
typedef struct axis {
    double lo, hi, from, to;
    bool log, whole; /* whole: no ticks between whole numbers */
} axis;

typedef struct axes {
    axis x, y;
    double factor;
} axes;

void sc_number_text(char out[48], double v)
{
    static const char *const power[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
    static const struct {
        double unit;
        const char *name;
    } units[] = {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}};
    double m = fabs(v);
    if (m >= 1e15 || (m > 0 && m < 1e-4)) {
        char digits[32];
        snprintf(digits, sizeof digits, "%.3e", v);
        char *e = strchr(digits, 'e');
        if (!e) {
            snprintf(out, 48, "%g", v);
            return;
        }
        long exponent = strtol(e + 1, NULL, 10);
        *e = 0;
        double mantissa = strtod(digits, NULL);
        int n = mantissa == 1 ? snprintf(out, 48, "10") : snprintf(out, 48, "%.4g·10", mantissa);
        if (exponent < 0) n += snprintf(out + n, (size_t)(48 - n), "⁻");
        snprintf(digits, sizeof digits, "%ld", labs(exponent));
        for (const char *d = digits; *d; d++) n += snprintf(out + n, (size_t)(48 - n), "%s", power[*d - '0']);
        return;
    }
    for (int i = 0; i < SC_COUNT(units); i++)
        if (m >= (i == SC_COUNT(units) - 1 ? 1e4 : units[i].unit * 0.99995)) {
            snprintf(out, 48, "%.4g%s", v / units[i].unit, units[i].name);
            return;
        }
    snprintf(out, 48, "%.4g", v);
}

/* ---- values and axes ---- */

static double at(const sc_series *s, const double *p, int64_t i)
{
    double v;
    memcpy(&v, (const char *)p + (size_t)i * (s->stride ? s->stride : sizeof *p), sizeof v);
    return v;
}

static double x_at(const sc_series *s, int64_t i) { return at(s, s->x, i); }
static double y_at(const axes *a, const sc_series *s, const double *y, int64_t i)
{
    return at(s, y, i) * a->factor;
}

static bool shown(const axis *a, double v) { return isfinite(v) && (!a->log || v > 0); }
static bool point_shown(const axes *a, const sc_series *s, int64_t i)
{
    return shown(&a->x, x_at(s, i)) && shown(&a->y, y_at(a, s, s->y, i));
}

static double place(const axis *a, double v)
{
    double lo = a->log ? log(a->lo) : a->lo, hi = a->log ? log(a->hi) : a->hi, x = a->log ? log(v) : v;
    return a->from + (x - lo) / (hi > lo ? hi - lo : 1) * (a->to - a->from);
}
static double px(const axes *a, double x) { return place(&a->x, x); }
static double py(const axes *a, double y) { return place(&a->y, fmin(fmax(y, a->y.lo), a->y.hi)); }

static void widen(axis *a, double v)
{
    if (!shown(a, v)) return;
    a->lo = fmin(a->lo, v);
    a->hi = fmax(a->hi, v);
}

static bool over_steps(const sc_series *s) { return s->kind == SC_SERIES_LINE; }

static bool collect(const sc_chart *c, axes *a)
{
    bool any = false;
    for (int k = 0; k < c->n_series; k++) {
        const sc_series *s = &c->series[k];
        for (int64_t i = 0; i < s->n; i++) {
            double x = x_at(s, i);
            a->x.whole &= x == floor(x);
            if (over_steps(s)) widen(&a->x, x); /* steps without this value are steps all the same */
            if (!point_shown(a, s, i)) continue;
            any = true;
            widen(&a->x, x);
            widen(&a->y, y_at(a, s, s->y, i));
            if (s->kind == SC_SERIES_COLUMNS) widen(&a->x, x_at(s, i + 1));
            if (s->low) widen(&a->y, y_at(a, s, s->low, i));
            if (s->high) widen(&a->y, y_at(a, s, s->high, i));
        }
    }
    return any;
}

static bool has_kind(const sc_chart *c, sc_series_kind kind)
{
    for (int k = 0; k < c->n_series; k++)
        if (c->series[k].kind == kind) return true;
    return false;
}

/* Room around the values: some above and below, and beside single points. */
static void make_room(axis *a, double share, bool zero)
{
    if (a->log) {
        double room = a->hi > a->lo ? pow(a->hi / a->lo, share) : 1.5;
        a->lo /= room;
        a->hi *= room;
        return;
    }
    if (a->lo == 0 && a->hi == 0) a->hi = 1; /* nothing at all is shown as that */
    double room = a->hi > a->lo ? share * (a->hi - a->lo) : fmax(fabs(a->hi) * 0.1, 1e-9);
    if (zero && a->lo >= 0 && a->lo < 0.3 * a->hi) a->lo = room; /* near enough to show zero */
    a->lo -= room;
    a->hi += room;
}

static bool find_axes(const sc_chart *c, int height, axes *a)
{
    bool columns = has_kind(c, SC_SERIES_COLUMNS),
         dots = has_kind(c, SC_SERIES_DOTS) || has_kind(c, SC_SERIES_RINGS);
    *a = (axes){.x = {INFINITY, -INFINITY, LEFT, WIDTH - RIGHT, c->x == SC_AXIS_LOG, true},
                .y = {INFINITY, -INFINITY, height - BOTTOM - (c->named && c->x_name ? 18 : 0), TOP,
                      c->y == SC_AXIS_LOG, false},
                .factor = c->factor > 0 ? c->factor : 1};
    if (!collect(c, a)) return false;
    a->x.log |= c->x == SC_AXIS_WIDE && a->x.lo > 0 && a->x.hi > LOG_RATIO * a->x.lo;
    bool wide = c->y == SC_AXIS_WIDE && a->y.lo > 0 && a->y.hi > LOG_RATIO * a->y.lo;
    a->y.log |= wide;
    a->x.whole &= !a->x.log;
    if (columns && !a->y.log)
        a->y.lo = fmin(a->y.lo, 0), a->y.hi += 0.05 * (a->y.hi - a->y.lo);
    else if (!wide)
        make_room(&a->y, 0.05, true);
    if (dots) make_room(&a->x, 0.03, false);
    return true;
}

/* 1, 2 or 5 times a power of ten, so that `span` has about n of them. */
static double nice_step(double span, int n)
{
    double raw = span / n, power = pow(10, floor(log10(raw))), m = raw / power;
    return power * (m < 1.5 ? 1 : m < 3.5 ? 2 : m < 7.5 ? 5 : 10);
}

static int linear_ticks(const axis *a, int want, double out[TICKS])
{
    double step = nice_step(a->hi > a->lo ? a->hi - a->lo : 1, want);
    if (a->whole) step = fmax(step, 1);
    double from = ceil(a->lo / step - 1e-9);
    int n = 0;
    for (int i = 0; i < TICKS && (from + i) * step <= a->hi + 1e-9 * step; i++) out[n++] = (from + i) * step;
    return n;
}

/* Powers of ten, 1, 2 and 5 times them where those are few, and even steps where these are. */
static int log_ticks(const axis *a, int want, double out[TICKS])
{
    static const int factor[] = {1, 2, 5};
    double decades = log10(a->hi / a->lo);
    for (int many = 1; many <= 3; many += 2) {
        int every = many > 1 ? 1 : (int)fmax(1, ceil(decades / want)), n = 0;
        for (double e = floor(log10(a->lo) / every) * every; e <= log10(a->hi); e += every)
            for (int k = 0; k < many && n < TICKS; k++) {
                double v = factor[k] * pow(10, e);
                if (v >= a->lo * (1 - 1e-9) && v <= a->hi * (1 + 1e-9)) out[n++] = v;
            }
        if (n >= 3) return n;
    }
    return linear_ticks(a, want, out);
}

static int find_ticks(const axis *a, int want, double out[TICKS])
{
    return a->log ? log_ticks(a, want, out) : linear_ticks(a, want, out);
}

static void draw_grid(sc_str *out, const sc_chart *c, const axes *a, int height)
{
    double tick[TICKS];
    char text[48];
    int n = find_ticks(&a->y, 5, tick), bottom = (int)a->y.from;
    for (int i = 0; i < n; i++) {
        double y = py(a, tick[i]);
        sc_number_text(text, tick[i]);
        sc_str_printf(out, "<path class=grid d=\"M%d %.1fH%d\"/><text x=%d y=%.1f class=y>%s</text>\n", LEFT, y,
                      WIDTH - RIGHT, LEFT - 6, y + 4, text);
    }
    n = find_ticks(&a->x, 6, tick);
    double last = -INFINITY;
    for (int i = 0; i < n; i++) {
        double x = px(a, tick[i]);
        sc_str_printf(out, "<path class=grid d=\"M%.1f %dV%d\"/>", x, TOP, bottom);
        if (x - last < LABEL) continue; /* uneven ticks may be near each other */
        last = x;
        sc_number_text(text, tick[i]);
        sc_str_printf(out, "<text x=%.1f y=%d class=%s>%s</text>\n", x, bottom + 20,
                      x > WIDTH - RIGHT - 16 ? "y" : "x", text);
    }
    if (!c->named || !c->x_name) return;
    sc_str_printf(out, "<text x=%d y=%d class=y>", WIDTH - RIGHT, height - 4);
    sc_page_escape(out, c->x_name, -1);
    sc_str_puts(out, a->x.log ? ", logarithmic</text>\n" : "</text>\n");
}

/* ---- lines over steps ---- */

typedef struct bin {
    double sum, least, most, step;
    int64_t n;
} bin;

/* The values of one series by bins of steps; how many bins have some. */
static int gather(const sc_series *s, const axes *a, bin out[BINS])
{
    double span = fmax(a->x.hi - a->x.lo, 1);
    int used = 0, last = -1;
    for (int64_t i = 0; i < s->n; i++) {
        if (!point_shown(a, s, i)) continue;
        double v = y_at(a, s, s->y, i), x = x_at(s, i);
        int which = (int)((x - a->x.lo) / span * (BINS - 1));
        if (which != last && used < BINS) out[used++] = (bin){.least = v, .most = v};
        last = which;
        bin *b = &out[used - 1];
        b->sum += v;
        b->step += x;
        b->least = fmin(b->least, v);
        b->most = fmax(b->most, v);
        b->n++;
    }
    for (int i = 0; i < used; i++) {
        out[i].step /= (double)out[i].n;
        out[i].sum /= (double)out[i].n;
    }
    return used;
}

static char colour(const sc_series *s) { return (char)('a' + (s->colour % SC_COLOURS + SC_COLOURS) % SC_COLOURS); }

static void draw_band(sc_str *out, const axes *a, const bin *b, int n, char ink)
{
    bool wide = false;
    for (int i = 0; i < n; i++) wide |= b[i].n > 1;
    if (!wide) return;
    sc_str_printf(out, "<path class=\"band %c\" d=\"M", ink);
    for (int i = 0; i < n; i++) sc_str_printf(out, "%.1f %.1f ", px(a, b[i].step), py(a, b[i].most));
    for (int i = n - 1; i >= 0; i--) sc_str_printf(out, "%.1f %.1f ", px(a, b[i].step), py(a, b[i].least));
    sc_str_puts(out, "Z\"/>\n");
}

static void draw_hints(sc_str *out, const sc_chart *c, int which, const axes *a, const bin *b, int used)
{
    double bottom = a->y.from, top = TOP + which * (bottom - TOP) / SC_MAX(c->n_series, 3);
    for (int i = 0; i < used; i++) {
        double left = i ? px(a, (b[i - 1].step + b[i].step) / 2) : px(a, b[i].step) - 2,
               right = i + 1 < used ? px(a, (b[i].step + b[i + 1].step) / 2) : px(a, b[i].step) + 2;
        sc_str_printf(out, "<rect class=over x=%.1f y=%.0f width=%.1f height=%.0f><title>", left, top, right - left,
                      bottom - top);
        sc_page_escape(out, c->x_name ? c->x_name : "", -1);
        sc_str_printf(out, " %.0f: ", b[i].step);
        sc_page_escape(out, c->series[which].name, -1);
        sc_str_printf(out, " %.5g</title></rect>", b[i].sum);
    }
}

static void draw_line(sc_str *out, const sc_chart *c, int which, const axes *a)
{
    enum { DOTS = 40 };
    bin b[BINS];
    const sc_series *s = &c->series[which];
    int used = gather(s, a, b);
    char ink = colour(s);
    if (!used) return;
    draw_band(out, a, b, used, ink);
    sc_str_printf(out, "<path class=\"line %c\" d=\"M", ink);
    for (int i = 0; i < used; i++) sc_str_printf(out, "%.1f %.1f ", px(a, b[i].step), py(a, b[i].sum));
    sc_str_puts(out, "\"/>\n");
    for (int i = 0; used <= DOTS && i < used; i++)
        sc_str_printf(out, "<circle class=\"dot %c\" cx=%.1f cy=%.1f r=2.5 />", ink, px(a, b[i].step),
                      py(a, b[i].sum));
    draw_hints(out, c, which, a, b, used);
}

/* ---- the other kinds ---- */

static void draw_curve(sc_str *out, const axes *a, const sc_series *s)
{
    bool pen = false;
    if (s->low && s->high) {
        sc_str_printf(out, "<path class=\"band %c\" d=\"M", colour(s));
        for (int64_t i = 0; i < s->n; i++)
            if (point_shown(a, s, i) && shown(&a->y, y_at(a, s, s->high, i)))
                sc_str_printf(out, "%.1f %.1f ", px(a, x_at(s, i)), py(a, y_at(a, s, s->high, i)));
        for (int64_t i = s->n; i-- > 0;)
            if (point_shown(a, s, i) && shown(&a->y, y_at(a, s, s->low, i)))
                sc_str_printf(out, "%.1f %.1f ", px(a, x_at(s, i)), py(a, y_at(a, s, s->low, i)));
        sc_str_puts(out, "Z\"/>\n");
    }
    sc_str_printf(out, "<path class=\"line %c%s\" d=\"", colour(s), s->kind == SC_SERIES_DASHED ? " dashed" : "");
    for (int64_t i = 0; i < s->n; i++) {
        bool here = point_shown(a, s, i);
        if (here) sc_str_printf(out, "%c%.1f %.1f", pen ? 'L' : 'M', px(a, x_at(s, i)), py(a, y_at(a, s, s->y, i)));
        pen = here;
    }
    sc_str_puts(out, "\"/>\n");
}

static void draw_dots(sc_str *out, const sc_chart *c, const axes *a, const sc_series *s)
{
    char xs[48], ys[48];
    for (int64_t i = 0; i < s->n; i++) {
        if (!point_shown(a, s, i)) continue;
        double x = px(a, x_at(s, i)), y = y_at(a, s, s->y, i);
        if (s->low && s->high && shown(&a->y, y_at(a, s, s->low, i)) && shown(&a->y, y_at(a, s, s->high, i)))
            sc_str_printf(out, "<path class=\"line %c\" d=\"M%.1f %.1fV%.1f\"/>", colour(s), x,
                          py(a, y_at(a, s, s->low, i)), py(a, y_at(a, s, s->high, i)));
        sc_str_printf(out, "<circle class=\"%s %c\" cx=%.1f cy=%.1f r=4.5><title>",
                      s->kind == SC_SERIES_RINGS ? "ring" : "dot", colour(s), x, py(a, y));
        sc_page_escape(out, s->name, -1);
        sc_str_puts(out, ": ");
        if (s->hint && s->hint[i])
            sc_page_escape(out, s->hint[i], -1);
        else {
            sc_number_text(xs, x_at(s, i));
            sc_number_text(ys, y);
            sc_page_escape(out, c->x_name ? c->x_name : "", -1);
            sc_str_printf(out, " %s: %s", xs, ys);
        }
        sc_str_puts(out, "</title></circle>\n");
    }
}

static void draw_columns(sc_str *out, const axes *a, const sc_series *s)
{
    char from[48], to[48], much[48];
    for (int64_t i = 0; i < s->n; i++) {
        double right = x_at(s, i + 1), y = y_at(a, s, s->y, i);
        if (!point_shown(a, s, i) || !shown(&a->x, right) || y == 0) continue;
        double x = px(a, x_at(s, i)), top = py(a, y), bottom = py(a, a->y.log ? a->y.lo : 0);
        sc_number_text(from, x_at(s, i));
        sc_number_text(to, right);
        sc_number_text(much, y);
        sc_str_printf(out, "<rect class=\"column %c\" x=%.1f y=%.1f width=%.1f height=%.1f><title>", colour(s), x,
                      top, fmax(px(a, right) - x - 1, 0.5), fmax(bottom - top, 0));
        sc_page_escape(out, s->name, -1);
        sc_str_printf(out, ", %s to %s: %s</title></rect>\n", from, to, much);
    }
}

static void draw_series(sc_str *out, const sc_chart *c, int which, const axes *a)
{
    const sc_series *s = &c->series[which];
    switch (s->kind) {
    case SC_SERIES_LINE: draw_line(out, c, which, a); break;
    case SC_SERIES_CURVE:
    case SC_SERIES_DASHED: draw_curve(out, a, s); break;
    case SC_SERIES_DOTS:
    case SC_SERIES_RINGS: draw_dots(out, c, a, s); break;
    case SC_SERIES_COLUMNS: draw_columns(out, a, s); break;
    }
}

static void draw_caption(sc_str *out, const sc_chart *c, const axes *a)
{
    sc_str_puts(out, "<figure><figcaption>");
    sc_page_escape(out, c->title, -1);
    if (c->named && c->y_name) {
        sc_str_puts(out, ": ");
        sc_page_escape(out, c->y_name, -1);
    }
    if (a->y.log) sc_str_puts(out, ", logarithmic");
    for (int k = 0; k < c->n_series; k++) {
        const sc_series *s = &c->series[k];
        bool any = false;
        for (int64_t i = 0; i < s->n && !any; i++) any = point_shown(a, s, i);
        if (!any || c->n_series < 2 || !*s->name) continue;
        bool round = s->kind == SC_SERIES_DOTS || s->kind == SC_SERIES_RINGS;
        sc_str_printf(out, "<span class=\"key %c%s%s\">", colour(s), round ? " round" : "",
                      s->kind == SC_SERIES_RINGS    ? " hollow"
                      : s->kind == SC_SERIES_DASHED ? " dashed"
                                                    : "");
        sc_page_escape(out, s->name, -1);
        sc_str_puts(out, "</span>");
    }
    sc_str_puts(out, "</figcaption>\n");
}

void sc_chart_draw(sc_str *out, const sc_chart *c)
{
    axes a;
    int height = c->height > 0 ? c->height : HEIGHT;
    if (!find_axes(c, height, &a)) return;
    draw_caption(out, c, &a);
    sc_str_printf(out, "<svg viewBox=\"0 0 %d %d\" role=img aria-label=\"", WIDTH, height);
    sc_page_escape(out, c->title, -1);
    sc_str_puts(out, "\">\n");
    draw_grid(out, c, &a, height);
    for (int i = 0; i < c->n_marks; i++)
        if (c->mark[i] >= a.x.lo && c->mark[i] <= a.x.hi) {
            char text[48];
            sc_number_text(text, c->mark[i]);
            if (a.x.whole) snprintf(text, sizeof text, "%.0f", c->mark[i]);
            sc_str_printf(out, "<path class=mark d=\"M%.1f %dV%.0f\"><title>", px(&a, c->mark[i]), TOP, a.y.from);
            sc_page_escape(out, c->mark_name ? c->mark_name : "", -1);
            sc_str_printf(out, " %s</title></path>\n", text);
        }
    for (int k = 0; k < c->n_series; k++) draw_series(out, c, k, &a);
    sc_str_puts(out, "</svg></figure>\n");
}
