/* SPDX-License-Identifier: Apache-2.0 */
/* report.html: what a run did, as one page without scripts or anything from outside. */
#include "train/run.h"

#include <math.h>

static const char style[] =
    ":root{--ink:#1d2330;--soft:#5f6b7d;--page:#fff;--box:#f5f7fa;--edge:#dfe4ec;--a:#1f66d1;--b:#d0561b;--c:#"
    "128a5e;"
    "--mark:#c4203b;color-scheme:light dark}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e4e8ef;--soft:#97a3b5;--page:#12161d;--box:#1b212b;--edge:#"
    "303947;"
    "--a:#6ba6ff;--b:#ff9a5c;--c:#4fd1a0;--mark:#ff6b81}}\n"
    "body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);max-width:1320px;margin:0 "
    "auto;"
    "padding:24px}\n"
    "h1{font-size:24px;margin:0 0 4px}h2{font-size:18px;margin:32px 0 8px}.status{color:var(--soft);margin:0 0 "
    "16px}\n"
    ".facts{display:flex;flex-wrap:wrap;gap:8px 12px;padding:0;margin:0}.facts "
    "li{list-style:none;background:var(--box);"
    "border:1px solid var(--edge);border-radius:8px;padding:6px 12px}.facts b{display:block;font-size:17px}\n"
    ".facts span{color:var(--soft);font-size:13px}\n"
    ".charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr));gap:16px;margin-top:"
    "16px}\n"
    "figure:first-child{grid-column:1/-1}figure{margin:0;background:var(--box);border:1px solid "
    "var(--edge);border-radius:8px;padding:12px}\n"
    "figcaption{font-weight:600;margin-bottom:4px}svg{width:100%;height:auto;display:block}\n"
    "svg text{fill:var(--soft);font-size:11px}.y{text-anchor:end}.x{text-anchor:middle}\n"
    ".grid{stroke:var(--edge);stroke-width:1;fill:none}.line{fill:none;stroke-width:1.8;stroke-linejoin:round}\n"
    ".line.a{stroke:var(--a)}.line.b{stroke:var(--b)}.line.c{stroke:var(--c)}.band{opacity:.18;stroke:none}\n"
    ".band.a,.dot.a{fill:var(--a)}.band.b,.dot.b{fill:var(--b)}.band.c,.dot.c{fill:var(--c)}.over{fill:transparent}"
    "\n"
    ".mark{stroke:var(--mark);stroke-width:1.5;stroke-dasharray:4 3}.key{font-weight:400;font-size:13px;"
    "margin-left:14px}\n"
    ".key::before{content:'';display:inline-block;width:14px;height:3px;margin-right:5px;vertical-align:middle}\n"
    ".key.a::before{background:var(--a)}.key.b::before{background:var(--b)}.key.c::before{background:var(--c)}\n"
    "pre{background:var(--box);border:1px solid var(--edge);border-radius:8px;padding:12px;white-space:pre-wrap;"
    "overflow-wrap:anywhere;margin:0}\n"
    "table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid var(--edge);padding:5px 10px 5px 0;"
    "text-align:left;vertical-align:top;overflow-wrap:anywhere}th{color:var(--soft);font-weight:500}\n"
    ".two{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr));gap:0 32px}\n"
    ".said{white-space:pre-wrap}.said i{color:var(--soft);font-style:normal}td.n{white-space:nowrap;"
    "font-variant-numeric:tabular-nums}\n";

/* Text that stands for itself; control characters become spaces. */
static void put_escaped(sc_str *out, const char *z)
{
    for (; *z; z++) switch (*z) {
        case '<': sc_str_puts(out, "&lt;"); break;
        case '>': sc_str_puts(out, "&gt;"); break;
        case '&': sc_str_puts(out, "&amp;"); break;
        case '"': sc_str_puts(out, "&quot;"); break;
        default: sc_str_putc(out, (unsigned char)*z < 0x20 && *z != '\n' && *z != '\t' ? ' ' : *z);
        }
}

static void put_json(sc_str *out, const json_t *v)
{
    if (json_is_string(v)) {
        put_escaped(out, json_string_value(v));
        return;
    }
    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
    put_escaped(out, text ? text : "");
    sc_free(text);
}

static void put_table(sc_str *out, const char *title, const json_t *o)
{
    const char *key;
    json_t *v;
    if (json_object_size(o) == 0) return;
    sc_str_printf(out, "<div><h2>%s</h2><table>\n", title);
    json_object_foreach((json_t *)(uintptr_t)o, key, v)
    {
        sc_str_puts(out, "<tr><th>");
        put_escaped(out, key);
        sc_str_puts(out, "<td>");
        put_json(out, v);
        sc_str_puts(out, "\n");
    }
    sc_str_puts(out, "</table></div>\n");
}

static void put_facts(sc_str *out, const sc_report *r)
{
    sc_str_puts(out, "<ul class=facts>\n");
    for (int i = 0; i < r->n_facts; i++) {
        sc_str_puts(out, "<li><b>");
        put_escaped(out, r->fact[2 * i + 1]);
        sc_str_puts(out, "</b><span>");
        put_escaped(out, r->fact[2 * i]);
        sc_str_puts(out, "</span>\n");
    }
    sc_str_puts(out, "</ul>\n");
}

static void put_charts(sc_str *out, const sc_report *r)
{
    enum { MOST = 100 };
    double mark[MOST];
    int marks = 0;
    for (size_t i = 0; i < json_array_size(r->spikes) && marks < MOST; i++)
        mark[marks++] = json_number_value(json_object_get(json_array_get(r->spikes, i), "step"));
    const sc_chart charts[] = {
        {"Loss",
         false,
         0,
         {SC_SERIES("training", "a", loss), SC_SERIES("evaluation", "b", eval_loss),
          SC_SERIES("evaluation of the average", "c", ema_loss)},
         3,
         mark,
         marks},
        {"Learning rate", false, 0, {SC_SERIES("learning rate", "a", lr)}, 1, NULL, 0},
        {"Norm of the gradients", true, 0, {SC_SERIES("norm", "a", norm)}, 1, mark, marks},
        {"Tokens a second", false, 0, {SC_SERIES("tokens a second", "a", tokens_per_second)}, 1, NULL, 0},
        {"Share of the peak, %", false, 100, {SC_SERIES("share", "a", share)}, 1, NULL, 0},
    };
    sc_str_puts(out, "<div class=charts>\n");
    for (int i = 0; i < SC_COUNT(charts); i++) sc_chart_draw(out, &charts[i], r->point, r->points);
    sc_str_puts(out, "</div>\n");
}

static void put_spikes(sc_str *out, const json_t *spikes)
{
    if (json_array_size(spikes) == 0) return;
    sc_str_puts(out, "<h2>Loss spikes</h2><table>\n<tr><th>step<th>loss<th>median before<th>done<th>batch\n");
    for (size_t i = 0; i < json_array_size(spikes); i++) {
        static const char *const keys[] = {"step", "loss", "median", "action", "batch"};
        sc_str_puts(out, "<tr>");
        for (int k = 0; k < SC_COUNT(keys); k++) {
            sc_str_puts(out, k < 3 ? "<td class=n>" : "<td>");
            const json_t *v = json_object_get(json_array_get(spikes, i), keys[k]);
            if (v) put_json(out, v);
        }
        sc_str_puts(out, "\n");
    }
    sc_str_puts(out, "</table>\n");
}

static void put_samples(sc_str *out, const sc_report *r)
{
    if (!r->samples) return;
    sc_str_puts(out, "<h2>Samples along the way</h2><table>\n<tr><th>step<th>text\n");
    for (int64_t i = r->samples; i-- > 0;) {
        sc_str_printf(out, "<tr><td class=n>%lld<td class=said><i>", (long long)r->sample[i].step);
        put_escaped(out, r->sample[i].prompt);
        sc_str_puts(out, "</i>");
        put_escaped(out, r->sample[i].text);
        sc_str_puts(out, "\n");
    }
    sc_str_puts(out, "</table>\n");
}

sc_status sc_report_write(const sc_report *r, const char *path)
{
    sc_str out = {0};
    sc_str_puts(&out, "<!doctype html>\n<html lang=en><meta charset=utf-8>\n<meta name=viewport "
                      "content=\"width=device-width,initial-scale=1\">\n<title>");
    put_escaped(&out, r->title);
    sc_str_printf(&out, "</title>\n<style>\n%s</style>\n<h1>", style);
    put_escaped(&out, r->title);
    sc_str_puts(&out, "</h1>\n<p class=status>");
    put_escaped(&out, r->status);
    sc_str_puts(&out, "</p>\n");
    put_facts(&out, r);
    put_charts(&out, r);
    put_spikes(&out, r->spikes);
    put_samples(&out, r);
    if (r->command) {
        sc_str_puts(&out, "<h2>Command</h2><pre>");
        put_escaped(&out, r->command);
        sc_str_puts(&out, "</pre>\n");
    }
    sc_str_puts(&out, "<div class=two>\n");
    put_table(&out, "Options", r->options);
    put_table(&out, "Configuration", r->config);
    sc_str_puts(&out, "</div>\n");
    sc_status s = out.oom ? sc_nomem() : sc_file_write(path, out.p, out.len);
    sc_str_free(&out);
    return s;
}
