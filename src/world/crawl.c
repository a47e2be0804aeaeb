/* SPDX-License-Identifier: Apache-2.0 */
/* A made crawl: web pages of the world among what a crawl has besides: copies, near-copies, spam, other languages, pages of
 * nothing but menus, addresses, decomposed letters and questions that are asked elsewhere. Each page knows which it is
 * ("planted"), so that what a pipeline does can be checked. */
#include "world/world.h"

#include <stdio.h>

typedef enum planted {
    CLEAN,
    COPY,
    NEAR_COPY,
    SPAM,
    FOREIGN,
    THIN,
    REPEATED,
    PERSONAL,
    DECOMPOSED,
    LEAK,
    PLANTED
} planted;
static const char *const planted_names[PLANTED] = {"clean", "copy",     "near-copy", "spam",       "foreign",
                                                   "thin",  "repeated", "personal",  "decomposed", "leak"};
static const uint32_t planted_share[PLANTED] = {58, 8, 8, 6, 5, 5, 3, 3, 2, 2};

enum { HOSTS = 12, LANGUAGES = 6, BACK = 300, SENTENCES = 3, LEAKED = 400 };
static const char *const hosts[HOSTS] = {"news.vale.example",    "www.atlas.example",    "stories.reed.example",
                                         "blog.hill.example",    "wiki.made.example",    "town.herald.example",
                                         "www.review.example",   "kids.library.example", "nature.field.example",
                                         "school.pages.example", "forum.world.example",  "daily.post.example"};
static const char *const foreign[LANGUAGES][SENTENCES + 1] = {
    {"de", "Der Markt von %s öffnet jeden Morgen um acht Uhr, und viele Leute kommen aus den Dörfern.",
     "Am Fluss steht eine alte Mühle, in der früher Getreide gemahlen wurde.",
     "Die Kinder gehen zu Fuß zur Schule und singen dabei Lieder, die ihre Großeltern schon kannten."},
    {"fr", "Le marché de %s ouvre chaque matin à huit heures et beaucoup de gens viennent des villages.",
     "Au bord de la rivière se trouve un vieux moulin où l'on faisait autrefois de la farine.",
     "Les enfants vont à l'école à pied en chantant des chansons que leurs grands-parents connaissaient déjà."},
    {"es", "El mercado de %s abre todas las mañanas a las ocho y mucha gente viene de los pueblos.",
     "A la orilla del río hay un viejo molino donde antes se molía el trigo.",
     "Los niños van a pie a la escuela y cantan canciones que ya conocían sus abuelos."},
    {"it", "Il mercato di %s apre ogni mattina alle otto e molta gente arriva dai villaggi.",
     "Lungo il fiume c'è un vecchio mulino dove una volta si macinava il grano.",
     "I bambini vanno a scuola a piedi e cantano canzoni che già i loro nonni conoscevano."},
    {"ja", "%sの市場は毎朝八時に開き、村からたくさんの人がやって来ます。",
     "川のそばには、昔小麦をひいていた古い水車小屋があります。",
     "子どもたちは歌を歌いながら歩いて学校へ行きます。"},
    {"ru", "Рынок города %s открывается каждое утро в восемь часов, и многие люди приезжают из деревень.",
     "У реки стоит старая мельница, где раньше мололи зерно.",
     "Дети ходят в школу пешком и поют песни, которые знали ещё их бабушки и дедушки."},
};
static const char *const spam_words[] = {"cheap",    "watches", "casino", "bonus",   "free",   "click",
                                         "here",     "best",    "price",  "pills",   "loan",   "winner",
                                         "discount", "online",  "buy",    "now",     "credit", "offer",
                                         "limited",  "deal",    "viagra", "jackpot", "poker",  "replica"};

/* ---- what a page says ---- */

typedef struct body {
    char title[200];
    sc_str html; /* of the article alone */
} body;

static void put_escaped(sc_str *out, const char *p)
{
    for (; *p; p++) {
        if (*p == '&')
            sc_str_puts(out, "&amp;");
        else if (*p == '<')
            sc_str_puts(out, "&lt;");
        else if (*p == '>')
            sc_str_puts(out, "&gt;");
        else
            sc_str_putc(out, *p);
    }
}

/* A paragraph a line of text. */
static void put_paragraphs(sc_str *out, const char *text)
{
    while (*text) {
        size_t n = strcspn(text, "\n");
        if (n) {
            sc_str line = {0};
            sc_str_append(&line, text, (int64_t)n);
            sc_str_puts(out, "<p>");
            put_escaped(out, line.p ? line.p : "");
            sc_str_puts(out, "</p>\n");
            out->oom |= line.oom;
            sc_str_free(&line);
        }
        text += n + (text[n] == '\n');
    }
}

static void put_story(sc_draft *d, sc_str *out)
{
    sc_str s = {0};
    sc_unbind(d);
    sc_tell_story(d, &s, sc_any_hero(d));
    put_paragraphs(out, s.p ? s.p : "");
    out->oom |= s.oom;
    sc_str_free(&s);
}

static void write_page(sc_draft *d, body *b)
{
    sc_entry p = {0};
    sc_entity_kind of = (sc_entity_kind)sc_below(d, SC_ENTITIES);
    sc_entry_write(d, &p, of, sc_any_of(d, of));
    snprintf(b->title, sizeof b->title, "%s", p.title);
    sc_str_puts(&b->html, "<h1>");
    put_escaped(&b->html, p.title);
    sc_str_puts(&b->html, "</h1>\n");
    for (int i = 0; i < p.sections; i++) {
        if (p.heading[i][0]) sc_str_printf(&b->html, "<h2>%s</h2>\n", p.heading[i]);
        put_paragraphs(&b->html, p.text[i].p ? p.text[i].p : "");
        b->html.oom |= p.text[i].oom;
    }
    sc_entry_end(&p);
    if (of > SC_TOWN || sc_chance(d, 2)) put_story(d, &b->html);
}

static void write_stories(sc_draft *d, body *b)
{
    int n = 2 + (int)sc_below(d, 2);
    snprintf(b->title, sizeof b->title, "%s %u", d->tongue == SC_KO ? "이야기 모음" : "A collection of stories",
             1 + sc_below(d, 500));
    sc_str_printf(&b->html, "<h1>%s</h1>\n", b->title);
    for (int i = 0; i < n; i++) put_story(d, &b->html);
}

static void write_reviews(sc_draft *d, body *b)
{
    int n = 4 + (int)sc_below(d, 4);
    snprintf(b->title, sizeof b->title, "%s %u", d->tongue == SC_KO ? "독자 평" : "What our readers say",
             1 + sc_below(d, 500));
    sc_str_printf(&b->html, "<h1>%s</h1>\n", b->title);
    for (int i = 0; i < n; i++) {
        sc_str s = {0};
        sc_unbind(d);
        sc_write_review(d, &s, sc_chance(d, 2));
        put_paragraphs(&b->html, s.p ? s.p : "");
        b->html.oom |= s.oom;
        sc_str_free(&s);
    }
}

static void write_lesson(sc_draft *d, body *b)
{
    static const sc_generator *const of[] = {&sc_world_questions, &sc_world_arithmetic, &sc_world_translation,
                                             &sc_world_code};
    const sc_generator *g = of[sc_below(d, SC_COUNT(of))];
    snprintf(b->title, sizeof b->title, "%s %u", d->tongue == SC_KO ? "공부방" : "Lesson", 1 + sc_below(d, 900));
    sc_str_printf(&b->html, "<h1>%s</h1>\n", b->title);
    put_story(d, &b->html);
    for (int i = 0; i < 4; i++) {
        d->text.len = 0;
        sc_unbind(d);
        sc_make_item(d, g);
        bool code = g == &sc_world_code;
        if (code) sc_str_puts(&b->html, "<pre><code>");
        if (code)
            put_escaped(&b->html, d->text.p ? d->text.p : "");
        else
            put_paragraphs(&b->html, d->text.p ? d->text.p : "");
        if (code) sc_str_puts(&b->html, "</code></pre>\n");
    }
    d->text.len = d->prompt.len = d->answer.len = d->key.len = 0;
    json_decref(d->more);
    d->more = NULL;
    d->difficulty = 0;
}

/* The article of page i, which depends on i alone: a copy of it is written by writing it again. */
static void write_body(sc_draft *d, int64_t i, body *b)
{
    sc_rng kept = d->rng;
    d->rng = sc_rng_make(d->seed, sc_hash("crawled", 7) + (uint64_t)i * 2);
    d->tongue = d->one_tongue ? d->tongue : (sc_tongue)sc_below(d, 2);
    static void (*const forms[])(sc_draft *, body *) = {write_page,    write_page,    write_page,
                                                        write_stories, write_reviews, write_lesson};
    forms[sc_below(d, SC_COUNT(forms))](d, b);
    d->rng = kept;
    d->language = d->tongue == SC_KO ? "ko" : "en";
}

/* ---- what is planted ---- */

static void write_spam(sc_draft *d, body *b)
{
    snprintf(b->title, sizeof b->title, "BEST PRICE!!! %u%% OFF", 10 + sc_below(d, 80));
    sc_str_printf(&b->html, "<h1>%s</h1>\n", b->title);
    for (int i = 0; i < 6; i++) {
        sc_str_puts(&b->html, "<p>");
        for (int k = 0; k < 30; k++)
            sc_str_printf(&b->html, "%s%s ", spam_words[sc_below(d, SC_COUNT(spam_words))],
                          sc_chance(d, 6) ? "!!!" : "");
        sc_str_printf(&b->html, "<a href=\"http://win%u.example/\">CLICK HERE</a></p>\n", sc_below(d, 1000));
    }
    d->language = "en";
}

static void write_foreign(sc_draft *d, body *b)
{
    const char *const *of = foreign[sc_below(d, LANGUAGES)];
    const char *town = d->w->town[sc_any_of(d, SC_TOWN)].name.of[SC_EN];
    snprintf(b->title, sizeof b->title, "%s", town);
    sc_str_printf(&b->html, "<h1>%s</h1>\n", town);
    for (int i = 0; i < 3; i++) {
        int first = (int)sc_below(d, SENTENCES);
        sc_str_puts(&b->html, "<p>");
        for (int k = 0; k < SENTENCES; k++) {
            sc_str_printf(&b->html, of[1 + (first + k) % SENTENCES],
                          d->w->town[sc_any_of(d, SC_TOWN)].name.of[SC_EN]);
            sc_str_putc(&b->html, ' ');
        }
        sc_str_puts(&b->html, "</p>\n");
    }
    d->language = of[0];
}

static void write_thin(sc_draft *d, body *b)
{
    static const char *const of[] = {
        "<h1>404</h1><p>Page not found.</p>", "<p>Please enable JavaScript.</p>",
        "<p>lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor.</p>",
        "<p>Loading...</p>", "<h1>Login</h1><form><input name=\"user\"></form>"};
    snprintf(b->title, sizeof b->title, "Page %u", sc_below(d, 1000));
    sc_str_puts(&b->html, of[sc_below(d, SC_COUNT(of))]);
}

static void write_repeated(sc_draft *d, body *b)
{
    int id = sc_any_of(d, SC_TOWN), n = 30 + (int)sc_below(d, 30);
    sc_str s = {0};
    sc_say_fact(d, &s, sc_any_relation(d, SC_TOWN, id), id, SC_FULL);
    snprintf(b->title, sizeof b->title, "%s", sc_name_of(d->w, SC_TOWN, id, d->tongue));
    for (int i = 0; i < n; i++) put_paragraphs(&b->html, s.p ? s.p : "");
    b->html.oom |= s.oom;
    sc_str_free(&s);
}

static void add_personal(sc_draft *d, body *b)
{
    const sc_person *p = &d->w->person[sc_any_of(d, SC_PERSON)];
    sc_str_puts(&b->html, d->tongue == SC_KO ? "<p>문의는 " : "<p>Write to ");
    for (const char *c = p->full.of[SC_EN]; *c; c++) sc_str_putc(&b->html, *c == ' ' ? '.' : (char)(*c | 32));
    sc_str_printf(&b->html,
                  d->tongue == SC_KO ? "@mail%u-post.net 또는 010-0%03u-%04u로 한다.</p>\n"
                                     : "@mail%u-post.net or call +1 (555) %03u-%04u.</p>\n",
                  sc_below(d, 100), sc_below(d, 1000), sc_below(d, 10000));
}

/* Hangul syllables as the letters that they are made of, as some systems write them. */
static void decompose(sc_str *html)
{
    sc_str out = {0};
    for (int64_t at = 0; at < html->len;) {
        uint32_t c;
        int n = sc_utf8_decode(html->p + at, html->len - at, &c);
        if (c >= 0xac00 && c <= 0xd7a3) {
            uint32_t i = c - 0xac00;
            sc_str_utf8(&out, 0x1100 + i / 588);
            sc_str_utf8(&out, 0x1161 + i % 588 / 28);
            if (i % 28) sc_str_utf8(&out, 0x11a7 + i % 28);
        } else {
            sc_str_append(&out, html->p + at, n);
        }
        at += n;
    }
    out.oom |= html->oom;
    sc_str_free(html);
    *html = out;
}

/* A paragraph less and another in its place: near to the original, and not the same. */
static void change(sc_draft *d, body *b)
{
    char *end = b->html.p ? strstr(b->html.p, "</p>") : NULL;
    if (!end) return;
    sc_str out = {0};
    int id = sc_any_of(d, SC_PERSON);
    sc_str_append(&out, b->html.p, end - b->html.p);
    sc_str_putc(&out, ' ');
    sc_say_fact(d, &out, sc_any_relation(d, SC_PERSON, id), id, SC_FULL);
    sc_str_puts(&out, end);
    out.oom |= b->html.oom;
    sc_str_free(&b->html);
    b->html = out;
}

/* Questions that tasks ask, of the first ones that the seed makes for the evaluation: what has them tells a model the answers
 * before it is examined. */
static void add_leak(sc_draft *d, body *b)
{
    sc_rng kept = d->rng;
    sc_tongue tongue = d->tongue;
    for (int i = 0; i < 4; i++) {
        d->rng = kept;
        uint64_t item = sc_below(d, LEAKED);
        kept = d->rng;
        d->rng = sc_rng_make(d->seed, sc_hash("two_facts", 9) + item * 2); /* as stream.c draws them */
        d->tongue = sc_chance(d, 2) ? SC_KO : SC_EN;
        sc_draw_task(d, &sc_world_two_facts, SC_EVAL);
        sc_str s = {0};
        sc_str_printf(&s, "%s%s\n", d->prompt.p ? d->prompt.p : "", d->answer.p ? d->answer.p : "");
        put_paragraphs(&b->html, s.p ? s.p : "");
        b->html.oom |= s.oom;
        sc_str_free(&s);
    }
    d->rng = kept;
    d->tongue = tongue;
    d->prompt.len = d->answer.len = d->key.len = 0;
    d->difficulty = 0;
}

/* ---- a page around it ---- */

static void put_menu(sc_draft *d, sc_str *out, const char *host)
{
    static const char *const items[SC_TONGUES][6] = {{"Home", "News", "Archive", "About us", "Contact", "Log in"},
                                                     {"처음", "소식", "지난 글", "소개", "연락처", "로그인"}};
    sc_str_puts(out, "<nav><ul>");
    for (int i = 0; i < 6; i++)
        sc_str_printf(out, "<li><a href=\"https://%s/%d\">%s</a></li>", host, i, items[d->tongue][i]);
    sc_str_puts(out, "</ul></nav>\n");
}

static void put_around(sc_draft *d, sc_str *out, const body *b, const char *host)
{
    static const char *const opens[] = {"<article>\n", "<div id=\"content\">\n", "<main>\n",
                                        "<div class=\"post-body\">\n"};
    static const char *const closes[] = {"</article>\n", "</div>\n", "</main>\n", "</div>\n"};
    bool ko = d->tongue == SC_KO;
    uint32_t layout = sc_below(d, 4);
    sc_str_printf(out, "<!DOCTYPE html>\n<html lang=\"%s\">\n<head>\n<meta charset=\"utf-8\">\n<title>",
                  d->language);
    put_escaped(out, b->title);
    sc_str_printf(out, " | %s</title>\n<style>body { margin: 0; } nav li { display: inline; }</style>\n", host);
    sc_str_printf(out,
                  "<script>var page = %u; function track() { send(\"/hit?\" + page); }</script>\n</head>\n<body>\n",
                  sc_below(d, 100000));
    put_menu(d, out, host);
    if (sc_chance(d, 2))
        sc_str_puts(out, ko ? "<div class=\"cookie\">이 사이트는 쿠키를 사용합니다. <button>동의</button></div>\n"
                            : "<div class=\"cookie\">This site uses cookies. <button>Accept all</button></div>\n");
    sc_str_puts(out, opens[layout]);
    sc_str_append(out, b->html.p, b->html.len);
    sc_str_puts(out, closes[layout]);
    sc_str_puts(out, "<aside><h3>");
    sc_str_puts(out, ko ? "많이 본 글" : "Most read");
    sc_str_puts(out, "</h3><ul>");
    for (int i = 0; i < 5; i++)
        sc_str_printf(out, "<li><a href=\"/%u\">%s</a></li>", sc_below(d, 10000),
                      sc_name_of(d->w, SC_TOWN, sc_any_of(d, SC_TOWN), d->tongue));
    sc_str_printf(out,
                  ko ? "</ul></aside>\n<footer>&copy; 2025 %s. 모든 권리 보유. <a href=\"/p\">개인정보 "
                       "처리방침</a></footer>\n"
                     : "</ul></aside>\n<footer>&copy; 2025 %s. All rights reserved. <a href=\"/p\">Privacy "
                       "policy</a></footer>\n",
                  host);
    sc_str_puts(out, "<!-- end of page -->\n</body>\n</html>\n");
}

/* What page i is; it can be asked without making the page. */
static planted planted_of(const sc_draft *d, int64_t i)
{
    sc_draft own = {.rng = sc_rng_make(d->seed, sc_hash("planted", 7) + (uint64_t)i * 2)};
    uint32_t sum = 0, at;
    for (int k = 0; k < PLANTED; k++) sum += planted_share[k];
    at = sc_below(&own, sum);
    int p = 0;
    while (at >= planted_share[p]) at -= planted_share[p++];
    return (planted)p;
}

/* An earlier page that is clean, to copy; index itself where there is none near. */
static int64_t original(sc_draft *d)
{
    if (d->index == 0) return d->index;
    int64_t i = d->index - 1 - (int64_t)sc_below(d, (uint32_t)SC_MIN(d->index, BACK));
    while (i >= 0 && planted_of(d, i) != CLEAN) i--;
    return i < 0 ? d->index : i;
}

static void write_planted(sc_draft *d, planted p, body *b)
{
    static void (*const alone[PLANTED])(sc_draft *, body *) = {
        [SPAM] = write_spam, [FOREIGN] = write_foreign, [THIN] = write_thin, [REPEATED] = write_repeated};
    int64_t i = p == COPY || p == NEAR_COPY ? original(d) : d->index;
    if (alone[p]) {
        alone[p](d, b);
    } else {
        write_body(d, i, b);
        if (p == NEAR_COPY) change(d, b);
        if (p == PERSONAL) add_personal(d, b);
        if (p == LEAK) add_leak(d, b);
        if (p == DECOMPOSED) decompose(&b->html);
    }
    d->key.len = 0;
    sc_str_printf(&d->key, "page %lld", (long long)i); /* copies are of their original's split */
}

static void crawl(sc_draft *d)
{
    body b = {0};
    planted p = planted_of(d, d->index);
    write_planted(d, p, &b);
    sc_unbind(d);
    const char *host = hosts[sc_below(d, HOSTS)];
    char url[128];
    snprintf(url, sizeof url, "https://%s/%lld/%u.html", host, (long long)d->index, sc_below(d, 1000000));
    d->text.len = 0;
    put_around(d, &d->text, &b, host);
    d->text.oom |= b.html.oom;
    sc_str_free(&b.html);
    sc_add_field(d, "url", json_string(url));
    sc_add_field(d, "title", json_string(b.title));
    sc_add_field(d, "planted", json_string(planted_names[p]));
}

const sc_generator sc_world_crawl = {
    {"crawl", "web pages as HTML, with all that has to be cleaned away", false}, 0, crawl};
