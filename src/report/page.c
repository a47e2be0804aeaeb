/* SPDX-License-Identifier: Apache-2.0 */
#include "report/report.h"

#include <stdarg.h>
#include <math.h>

/* Letters of pictures grow where the page is narrow, since the pictures shrink with it. */
static const char style[] =
    ":root{--ink:#1d2330;--soft:#5f6b7d;--page:#fff;--box:#f5f7fa;--edge:#dfe4ec;--a:#1f66d1;--b:#d0561b;--c:#"
    "128a5e;"
    "--d:#8a4fc7;--e:#b8860b;--f:#0f8fa8;--g:#c2417f;--h:#6b7280;--mark:#c4203b;color-scheme:light dark}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e4e8ef;--soft:#97a3b5;--page:#12161d;--box:#1b212b;--edge:#"
    "303947;"
    "--a:#6ba6ff;--b:#ff9a5c;--c:#4fd1a0;--d:#c39bff;--e:#e5c04d;--f:#5fd3ea;--g:#ff8fc0;--h:#9aa5b5;--mark:#"
    "ff6b81}}\n"
    "*{box-sizing:border-box}body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);"
    "max-width:1320px;margin:0 auto;padding:24px;overflow-wrap:anywhere}\n"
    "h1{font-size:24px;line-height:1.25;margin:0 0 4px}h2{font-size:18px;margin:32px 0 8px}h3{font-size:15px;"
    "margin:20px 0 4px}p{margin:0 0 12px;max-width:80ch}.status{color:var(--soft);margin:0 0 16px}\n"
    ".facts{display:flex;flex-wrap:wrap;gap:8px 12px;padding:0;margin:0}.facts li{list-style:none;"
    "background:var(--box);border:1px solid var(--edge);border-radius:8px;padding:6px 12px}.facts b{display:block;"
    "font-size:17px}\n.facts span{color:var(--soft);font-size:13px}\n"
    ".charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr));gap:16px;margin-top:"
    "16px}\n"
    ".first>figure:first-child{grid-column:1/-1}figure{margin:0;background:var(--box);border:1px solid var(--edge);"
    "border-radius:8px;padding:12px;min-width:0}\n"
    "figcaption{font-weight:600;margin-bottom:4px}svg{width:100%;height:auto;display:block}\n"
    "svg text{fill:var(--soft);font-size:11px}.y{text-anchor:end}.x{text-anchor:middle}\n"
    ".grid{stroke:var(--edge);stroke-width:1;fill:none}.line{fill:none;stroke-width:1.8;stroke-linejoin:round}\n"
    ".line.dashed{stroke-dasharray:6 4}.band{opacity:.18;stroke:none}.column{opacity:.8}.over{fill:transparent}\n"
    ".ring{fill:var(--box);stroke-width:2}.mark{stroke:var(--mark);stroke-width:1.5;stroke-dasharray:4 3}\n"
    ".key{font-weight:400;font-size:13px;margin-left:14px;display:inline-block}.key::before{content:'';"
    "display:inline-block;width:14px;height:3px;margin-right:5px;vertical-align:middle;background:var(--k)}\n"
    ".key.round::before{width:9px;height:9px;border-radius:5px}.key.hollow::before{background:none;"
    "border:2px solid var(--k)}.key.dashed::before{background:none;height:0;border-top:3px dotted var(--k)}\n"
    "pre{background:var(--box);border:1px solid var(--edge);border-radius:8px;padding:12px;white-space:pre-wrap;"
    "overflow-wrap:anywhere;margin:0}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid var(--edge);"
    "padding:5px 10px 5px 0;text-align:left;vertical-align:top;overflow-wrap:anywhere}th{color:var(--soft);"
    "font-weight:500}\n"
    ".two{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr));gap:0 32px}\n"
    ".said{white-space:pre-wrap;unicode-bidi:isolate;min-width:12em}.said i{color:var(--soft);font-style:normal}"
    "td.n{white-space:nowrap;font-variant-numeric:tabular-nums}\n"
    ".bars td{border:0;padding:2px 10px 2px 0}.bars td:first-child{width:1%;min-width:6em;max-width:16em;"
    "white-space:nowrap;overflow:hidden;text-overflow:ellipsis}.bars td:last-child{width:1%;white-space:nowrap;"
    "color:var(--soft);padding:2px 0;font-variant-numeric:tabular-nums}.bars div{height:14px;border-radius:3px;"
    "min-width:1px;background:var(--k);margin-top:4px}.bars "
    "s{display:block;height:8px;margin-top:-11px;margin-bottom:3px;"
    "border:solid var(--ink);border-width:0 2px;background:linear-gradient(var(--ink),var(--ink)) 0 50%/100% 2px "
    "no-repeat}\n"
    ".wide th,.wide td{overflow-wrap:break-word}.wide td.said{overflow-wrap:anywhere}figure+figure{margin-top:12px}"
    ".charts figure+figure{margin-top:0}\n"
    "@media(max-width:600px){body{padding:12px}svg text{font-size:19px}.line{stroke-width:2.6}.bars "
    "tbody,.bars{display:block}.bars tr{display:grid;grid-template-columns:1fr auto;column-gap:10px;padding:3px "
    "0}.bars "
    "td{padding:0}.bars td:first-child{width:auto;max-width:none;white-space:normal;padding:0}.bars "
    "td:nth-child(2){grid-area:2/1/3/3}.bars td:last-child{width:auto;grid-area:1/2;padding:0}.bars div{margin:0}"
    ".key{margin:0 6px}figcaption{margin-bottom:8px}"
    ".wide table{font-size:13px}}\n";

/* Letters that pictures and bars are coloured by. */
static void put_colours(sc_str *out)
{
    for (char c = 'a'; c < 'a' + SC_COLOURS; c++)
        sc_str_printf(
            out,
            ".%c{--k:var(--%c)}.line.%c,.ring.%c{stroke:var(--%c)}.band.%c,.dot.%c,.column.%c{fill:var(--%c)}\n", c,
            c, c, c, c, c, c, c, c);
}

void sc_page_escape(sc_str *out, const char *p, int64_t n)
{
    if (n < 0) n = (int64_t)strlen(p);
    while (n > 0) {
        uint32_t c;
        int took = sc_utf8_decode(p, n, &c);
        switch (c) {
        case '<': sc_str_puts(out, "&lt;"); break;
        case '>': sc_str_puts(out, "&gt;"); break;
        case '&': sc_str_puts(out, "&amp;"); break;
        case '"': sc_str_puts(out, "&quot;"); break;
        default:
            if ((c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c < 0xa0))
                sc_str_putc(out, ' '); /* control characters */
            else
                sc_str_utf8(out, c);
        }
        p += took;
        n -= took;
    }
}

static void put_json(sc_str *out, const json_t *v)
{
    if (json_is_string(v)) {
        sc_page_escape(out, json_string_value(v), (int64_t)json_string_length(v));
        return;
    }
    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
    if (text)
        sc_page_escape(out, text, -1);
    else
        out->oom = true;
    sc_free(text);
}

void sc_page_begin(sc_page *p, const char *title, const char *status)
{
    sc_str *out = &p->out;
    sc_str_puts(out, "<!doctype html>\n<html lang=en><meta charset=utf-8>\n<meta name=viewport "
                     "content=\"width=device-width,initial-scale=1\">\n<title>");
    sc_page_escape(out, title, -1);
    sc_str_printf(out, "</title>\n<style>\n%s", style);
    put_colours(out);
    sc_str_puts(out, "</style>\n<h1>");
    sc_page_escape(out, title, -1);
    sc_str_puts(out, "</h1>\n<p class=status>");
    sc_page_escape(out, status, -1);
    sc_str_puts(out, "</p>\n");
}

void sc_page_text(sc_page *p, const char *text)
{
    sc_str_puts(&p->out, "<p>");
    sc_page_escape(&p->out, text, -1);
    sc_str_puts(&p->out, "</p>\n");
}

static void put_heading(sc_page *p, int level, const char *heading, const char *text)
{
    sc_str_printf(&p->out, "<h%d>", level);
    sc_page_escape(&p->out, heading, -1);
    sc_str_printf(&p->out, "</h%d>\n", level);
    if (text) sc_page_text(p, text);
}

void sc_page_section(sc_page *p, const char *heading, const char *text) { put_heading(p, 2, heading, text); }
void sc_page_subsection(sc_page *p, const char *heading, const char *text) { put_heading(p, 3, heading, text); }

void sc_page_facts(sc_page *p, const char *const *fact, int n)
{
    sc_str_puts(&p->out, "<ul class=facts>\n");
    for (int i = 0; i < n; i++) {
        sc_str_puts(&p->out, "<li><b>");
        sc_page_escape(&p->out, fact[2 * i + 1], -1);
        sc_str_puts(&p->out, "</b><span>");
        sc_page_escape(&p->out, fact[2 * i], -1);
        sc_str_puts(&p->out, "</span>\n");
    }
    sc_str_puts(&p->out, "</ul>\n");
}

void sc_facts_add(sc_facts *f, const char *name, const char *fmt, ...)
{
    va_list args;
    if (f->n == SC_FACTS) return;
    va_start(args, fmt);
    vsnprintf(f->text[f->n], sizeof f->text[0], fmt, args);
    va_end(args);
    f->list[2 * f->n] = name;
    f->list[2 * f->n + 1] = f->text[f->n];
    f->n++;
}

void sc_page_command(sc_page *p, const char *heading, const char *command)
{
    if (!command) return;
    sc_page_section(p, heading, NULL);
    sc_str_puts(&p->out, "<pre>");
    sc_page_escape(&p->out, command, -1);
    sc_str_puts(&p->out, "</pre>\n");
}

void sc_page_charts(sc_page *p, bool first_wide)
{
    sc_str_puts(&p->out, first_wide ? "<div class=\"charts first\">\n" : "<div class=charts>\n");
}

void sc_page_chart(sc_page *p, const sc_chart *c) { sc_chart_draw(&p->out, c); }

void sc_page_charts_end(sc_page *p) { sc_str_puts(&p->out, "</div>\n"); }

static bool has_interval(const sc_bar *b)
{
    return isfinite(b->low) && isfinite(b->high) && b->high > 0 && b->high >= b->low;
}

void sc_page_bars(sc_page *p, const char *title, const sc_bar *bar, int n)
{
    double most = 0;
    char text[48];
    for (int i = 0; i < n; i++)
        if (isfinite(bar[i].value)) most = fmax(most, has_interval(&bar[i]) ? bar[i].high : bar[i].value);
    if (n < 1) return;
    sc_str_puts(&p->out, "<figure>");
    if (title) {
        sc_str_puts(&p->out, "<figcaption>");
        sc_page_escape(&p->out, title, -1);
        sc_str_puts(&p->out, "</figcaption>");
    }
    sc_str_puts(&p->out, "<table class=bars>\n");
    for (int i = 0; i < n; i++) {
        double v = isfinite(bar[i].value) ? fmax(bar[i].value, 0) : 0;
        sc_number_text(text, bar[i].value);
        sc_str_puts(&p->out, "<tr><td title=\"");
        sc_page_escape(&p->out, bar[i].name, -1);
        sc_str_puts(&p->out, "\">");
        sc_page_escape(&p->out, bar[i].name, -1);
        sc_str_printf(&p->out, "<td><div class=%c style=\"width:%.2f%%\"></div>",
                      'a' + (bar[i].colour % SC_COLOURS + SC_COLOURS) % SC_COLOURS, most > 0 ? 100 * v / most : 0);
        if (has_interval(&bar[i]) && most > 0)
            sc_str_printf(&p->out, "<s style=\"margin-left:%.2f%%;width:%.2f%%\"></s>",
                          100 * fmax(bar[i].low, 0) / most, 100 * (bar[i].high - fmax(bar[i].low, 0)) / most);
        sc_str_puts(&p->out, "<td>");
        sc_page_escape(&p->out, bar[i].text ? bar[i].text : text, -1);
        sc_str_puts(&p->out, "\n");
    }
    sc_str_puts(&p->out, "</table></figure>\n");
}

/* ---- tables ---- */

void sc_page_table(sc_page *p, const char *const *head, int n)
{
    sc_str_puts(&p->out, "<div class=wide><table>\n<tr>");
    for (int i = 0; i < n; i++) {
        sc_str_puts(&p->out, "<th>");
        sc_page_escape(&p->out, head[i], -1);
    }
    sc_str_puts(&p->out, "\n");
}

void sc_page_row(sc_page *p) { sc_str_puts(&p->out, "<tr>"); }

void sc_page_cell(sc_page *p, const char *text)
{
    sc_str_puts(&p->out, "<td>");
    if (text) sc_page_escape(&p->out, text, -1);
    sc_str_puts(&p->out, "\n");
}

void sc_page_cellf(sc_page *p, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    sc_str_puts(&p->out, "<td class=n>");
    sc_page_escape(&p->out, text, -1);
    sc_str_puts(&p->out, "\n");
}

void sc_page_cell_json(sc_page *p, const json_t *v)
{
    sc_str_puts(&p->out, json_is_number(v) ? "<td class=n>" : "<td>");
    if (v) put_json(&p->out, v);
    sc_str_puts(&p->out, "\n");
}

void sc_page_cell_said(sc_page *p, const char *soft, const char *text, int64_t n)
{
    sc_str_puts(&p->out, "<td class=said>");
    if (soft) {
        sc_str_puts(&p->out, "<i>");
        sc_page_escape(&p->out, soft, -1);
        sc_str_puts(&p->out, "</i>");
    }
    sc_page_escape(&p->out, text, n);
    sc_str_puts(&p->out, "\n");
}

void sc_page_table_end(sc_page *p) { sc_str_puts(&p->out, "</table></div>\n"); }

static void put_object(sc_page *p, const char *heading, const json_t *o)
{
    const char *key;
    json_t *v;
    if (json_object_size(o) == 0) return;
    sc_str_puts(&p->out, "<div>");
    sc_page_section(p, heading, NULL);
    sc_str_puts(&p->out, "<table>\n");
    json_object_foreach((json_t *)(uintptr_t)o, key, v)
    {
        sc_str_puts(&p->out, "<tr><th>");
        sc_page_escape(&p->out, key, -1);
        sc_str_puts(&p->out, "<td>");
        put_json(&p->out, v);
        sc_str_puts(&p->out, "\n");
    }
    sc_str_puts(&p->out, "</table></div>\n");
}

void sc_page_objects(sc_page *p, const char *heading1, const json_t *o1, const char *heading2, const json_t *o2)
{
    sc_str_puts(&p->out, "<div class=two>\n");
    put_object(p, heading1, o1);
    put_object(p, heading2, o2);
    sc_str_puts(&p->out, "</div>\n");
}

void sc_page_free(sc_page *p) { sc_str_free(&p->out); }

sc_status sc_page_write(sc_page *p, const char *path)
{
    sc_status s = p->out.oom ? sc_nomem() : sc_file_write(path, p->out.p, p->out.len);
    sc_page_free(p);
    return s;
}
