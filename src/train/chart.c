/* SPDX-License-Identifier: Apache-2.0 */
/* Lines over the steps of a run, as SVG. Many points are drawn as the means of bins within the band of their least and
 * greatest; a bin says its values where the pointer rests on it. */
#include "train/run.h"

#include <math.h>

enum { WIDTH = 640, HEIGHT = 240, LEFT = 62, RIGHT = 10, TOP = 10, BOTTOM = 26, BINS = 250, LOG_RATIO = 50 };

typedef struct bin {
    double sum, least, most, step;
    int64_t n;
} bin;

typedef struct axes {
    double x0, x1, y0, y1;
    bool log;
    double factor;
} axes;

static double value(const sc_chart *c, int series, const sc_point *p)
{
    double v;
    memcpy(&v, (const char *)p + c->series[series].at, sizeof v);
    return c->factor > 0 ? v * c->factor : v;
}

static double px(const axes *a, double step)
{
    double span = a->x1 > a->x0 ? a->x1 - a->x0 : 1;
    return LEFT + (step - a->x0) / span * (WIDTH - LEFT - RIGHT);
}

static double py(const axes *a, double y)
{
    double lo = a->log ? log(a->y0) : a->y0, hi = a->log ? log(a->y1) : a->y1, v = a->log ? log(y) : y;
    return TOP + (hi - v) / (hi > lo ? hi - lo : 1) * (HEIGHT - TOP - BOTTOM);
}

/* 1, 2 or 5 times a power of ten, so that `span` has about n of them. */
static double nice_step(double span, int n)
{
    double raw = span / n, power = pow(10, floor(log10(raw))), m = raw / power;
    return power * (m < 1.5 ? 1 : m < 3.5 ? 2 : m < 7.5 ? 5 : 10);
}

static bool find_axes(const sc_chart *c, const sc_point *p, int64_t n, axes *a)
{
    bool any = false;
    *a = (axes){.x0 = p[0].step, .x1 = p[n - 1].step, .y0 = INFINITY, .y1 = -INFINITY};
    for (int64_t i = 0; i < n; i++)
        for (int s = 0; s < c->n_series; s++) {
            double v = value(c, s, &p[i]);
            if (!isfinite(v)) continue;
            any = true;
            a->y0 = fmin(a->y0, v);
            a->y1 = fmax(a->y1, v);
        }
    if (!any) return false;
    a->log = c->wide && a->y0 > 0 && a->y1 > LOG_RATIO * a->y0;
    if (!a->log) {
        double room = a->y1 > a->y0 ? 0.05 * (a->y1 - a->y0) : fmax(fabs(a->y1) * 0.1, 1e-9);
        if (a->y0 >= 0 && a->y0 < 0.3 * a->y1) a->y0 = room; /* near enough to show zero */
        a->y0 -= room;
        a->y1 += room;
    }
    return true;
}

static void draw_grid(sc_str *out, const axes *a)
{
    double step = a->log ? 1 : nice_step(a->y1 - a->y0, 5);
    double from = a->log ? floor(log10(a->y0)) : ceil(a->y0 / step) * step, to = a->log ? log10(a->y1) : a->y1;
    for (double v = from; v <= to + 1e-9 * step; v += step) {
        double y = a->log ? pow(10, v) : fabs(v) < 1e-9 * step ? 0 : v;
        if (a->log && y < a->y0) continue;
        sc_str_printf(out, "<path class=grid d=\"M%d %.1fH%d\"/><text x=%d y=%.1f class=y>%.4g</text>\n", LEFT,
                      py(a, y), WIDTH - RIGHT, LEFT - 6, py(a, y) + 4, y);
    }
    step = fmax(nice_step(fmax(a->x1 - a->x0, 1), 6), 1);
    for (double x = ceil(a->x0 / step) * step; x <= a->x1; x += step)
        sc_str_printf(out, "<path class=grid d=\"M%.1f %dV%d\"/><text x=%.1f y=%d class=x>%.0f</text>\n", px(a, x),
                      TOP, HEIGHT - BOTTOM, px(a, x), HEIGHT - 8, x);
}

/* The values of one series by bins of steps; how many bins have some. */
static int gather(const sc_chart *c, int series, const sc_point *p, int64_t n, const axes *a, bin out[BINS])
{
    double span = fmax(a->x1 - a->x0, 1);
    int used = 0, last = -1;
    for (int64_t i = 0; i < n; i++) {
        double v = value(c, series, &p[i]);
        if (!isfinite(v)) continue;
        int which = (int)((p[i].step - a->x0) / span * (BINS - 1));
        if (which != last) out[used++] = (bin){.least = v, .most = v};
        last = which;
        bin *b = &out[used - 1];
        b->sum += v;
        b->step += p[i].step;
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

static void draw_band(sc_str *out, const axes *a, const bin *b, int n, const char *colour)
{
    bool wide = false;
    for (int i = 0; i < n; i++) wide |= b[i].n > 1;
    if (!wide) return;
    sc_str_printf(out, "<path class=\"band %s\" d=\"M", colour);
    for (int i = 0; i < n; i++) sc_str_printf(out, "%.1f %.1f ", px(a, b[i].step), py(a, b[i].most));
    for (int i = n - 1; i >= 0; i--) sc_str_printf(out, "%.1f %.1f ", px(a, b[i].step), py(a, b[i].least));
    sc_str_puts(out, "Z\"/>\n");
}

static void draw_series(sc_str *out, const sc_chart *c, int series, const sc_point *p, int64_t n, const axes *a)
{
    enum { DOTS = 40 };
    bin b[BINS];
    int used = gather(c, series, p, n, a, b);
    const char *colour = c->series[series].colour;
    if (!used) return;
    draw_band(out, a, b, used, colour);
    sc_str_printf(out, "<path class=\"line %s\" d=\"M", colour);
    for (int i = 0; i < used; i++) sc_str_printf(out, "%.1f %.1f ", px(a, b[i].step), py(a, b[i].sum));
    sc_str_puts(out, "\"/>\n");
    for (int i = 0; used <= DOTS && i < used; i++)
        sc_str_printf(out, "<circle class=\"dot %s\" cx=%.1f cy=%.1f r=2.5 />", colour, px(a, b[i].step),
                      py(a, b[i].sum));
    for (int i = 0; i < used; i++) {
        double left = i ? px(a, (b[i - 1].step + b[i].step) / 2) : px(a, b[i].step) - 2,
               right = i + 1 < used ? px(a, (b[i].step + b[i + 1].step) / 2) : px(a, b[i].step) + 2;
        sc_str_printf(out,
                      "<rect class=over x=%.1f y=%d width=%.1f height=%d><title>step %.0f: %s %.5g</title></rect>",
                      left, series * 60 + TOP, right - left, HEIGHT - TOP - BOTTOM - series * 60, b[i].step,
                      c->series[series].name, b[i].sum);
    }
}

void sc_chart_draw(sc_str *out, const sc_chart *c, const sc_point *p, int64_t n)
{
    axes a;
    if (n < 1 || !find_axes(c, p, n, &a)) return;
    sc_str_printf(out, "<figure><figcaption>%s%s", c->title, a.log ? ", logarithmic" : "");
    for (int s = 0; s < c->n_series; s++) {
        bool any = false;
        for (int64_t i = 0; i < n && !any; i++) any = isfinite(value(c, s, &p[i]));
        if (any && c->n_series > 1)
            sc_str_printf(out, "<span class=\"key %s\">%s</span>", c->series[s].colour, c->series[s].name);
    }
    sc_str_printf(out, "</figcaption>\n<svg viewBox=\"0 0 %d %d\" role=img aria-label=\"%s\">\n", WIDTH, HEIGHT,
                  c->title);
    draw_grid(out, &a);
    for (int i = 0; i < c->n_marks; i++)
        if (c->mark[i] >= a.x0 && c->mark[i] <= a.x1)
            sc_str_printf(out, "<path class=mark d=\"M%.1f %dV%d\"><title>spike at step %.0f</title></path>\n",
                          px(&a, c->mark[i]), TOP, HEIGHT - BOTTOM, c->mark[i]);
    for (int s = 0; s < c->n_series; s++) draw_series(out, c, s, p, n, &a);
    sc_str_puts(out, "</svg></figure>\n");
}
