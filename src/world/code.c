/* SPDX-License-Identifier: Apache-2.0 */
/* Short Python programs and what they print. */
#include "world/world.h"

#include <stdio.h>

typedef struct program {
    sc_str text;
    char output[64];
} program;

static const char *plural(sc_draft *d) { return sc_any_word(d, SC_FOOD)->many; }

static void sum_of_range(sc_draft *d, program *p)
{
    int64_t n = sc_between(d, 2, 12), k = sc_between(d, 1, 9), total = 0;
    for (int64_t i = 1; i <= n; i++) total += i * k;
    sc_str_printf(&p->text, "total = 0\nfor i in range(1, %lld):\n    total += i * %lld\nprint(total)\n",
                  (long long)n + 1, (long long)k);
    snprintf(p->output, sizeof p->output, "%lld", (long long)total);
}

static void call_function(sc_draft *d, program *p)
{
    static const char *const names[] = {"grow", "shift", "change", "step", "twice", "price", "score", "convert"};
    const char *name = names[sc_below(d, SC_COUNT(names))];
    int64_t a = sc_between(d, 2, 9), b = sc_between(d, 0, 20), x = sc_between(d, 1, 50);
    bool plus = sc_chance(d, 2);
    sc_str_printf(&p->text, "def %s(x):\n    return x * %lld %c %lld\n\nprint(%s(%lld))\n", name, (long long)a,
                  plus ? '+' : '-', (long long)b, name, (long long)x);
    snprintf(p->output, sizeof p->output, "%lld", (long long)(plus ? x * a + b : x * a - b));
}

static void count_while(sc_draft *d, program *p)
{
    int64_t n = sc_between(d, 20, 200), k = sc_between(d, 2, 5), steps = 0;
    sc_str_printf(&p->text, "n = %lld\nsteps = 0\nwhile n > 1:\n    n = n // %lld\n    steps += 1\nprint(steps)\n",
                  (long long)n, (long long)k);
    for (; n > 1; n /= k) steps++;
    snprintf(p->output, sizeof p->output, "%lld", (long long)steps);
}

static void list_work(sc_draft *d, program *p)
{
    static const char *const functions[] = {"max", "min", "sum", "len"};
    int n = 3 + (int)sc_below(d, 5), which = (int)sc_below(d, 4);
    int64_t most = 0, least = 100, sum = 0;
    const char *name = plural(d);
    sc_str_printf(&p->text, "%s = [", name);
    for (int i = 0; i < n; i++) {
        int64_t x = sc_between(d, 1, 99);
        most = SC_MAX(most, x);
        least = SC_MIN(least, x);
        sum += x;
        sc_str_printf(&p->text, i ? ", %lld" : "%lld", (long long)x);
    }
    sc_str_printf(&p->text, "]\nprint(%s(%s))\n", functions[which], name);
    int64_t result[] = {most, least, sum, n};
    snprintf(p->output, sizeof p->output, "%lld", (long long)result[which]);
}

static void branch(sc_draft *d, program *p)
{
    int64_t a = sc_between(d, 1, 99), b = sc_between(d, 1, 99);
    const char *x = sc_any_word(d, SC_COLOUR)->name[SC_EN], *y = sc_any_word(d, SC_PET)->name[SC_EN],
               *name = plural(d);
    sc_str_printf(&p->text, "%s = %lld\nif %s > %lld:\n    print(\"%s\")\nelse:\n    print(\"%s\")\n", name,
                  (long long)a, name, (long long)b, x, y);
    snprintf(p->output, sizeof p->output, "%s", a > b ? x : y);
}

static void word_work(sc_draft *d, program *p)
{
    const char *word = sc_any_word(d, SC_THING)->name[SC_EN];
    int n = (int)strlen(word), which = (int)sc_below(d, 4);
    static const char *const forms[] = {"print(word[::-1])", "print(len(word))", "print(word[0])",
                                        "print(word.upper())"};
    sc_str_printf(&p->text, "word = \"%s\"\n%s\n", word, forms[which]);
    if (which == 1)
        snprintf(p->output, sizeof p->output, "%d", n);
    else if (which == 2)
        snprintf(p->output, sizeof p->output, "%c", word[0]);
    else
        for (int i = 0; i <= n; i++)
            p->output[i] = i == n       ? 0
                           : which == 0 ? word[n - 1 - i]
                                        : (char)(word[i] >= 'a' && word[i] <= 'z' ? word[i] - 32 : word[i]);
}

static void remainder_count(sc_draft *d, program *p)
{
    int64_t n = sc_between(d, 5, 40), k = sc_between(d, 2, 7), count = 0;
    for (int64_t i = 0; i < n; i++) count += i % k == 0;
    sc_str_printf(&p->text,
                  "count = 0\nfor i in range(%lld):\n    if i %% %lld == 0:\n        count += 1\nprint(count)\n",
                  (long long)n, (long long)k);
    snprintf(p->output, sizeof p->output, "%lld", (long long)count);
}

static void look_up(sc_draft *d, program *p)
{
    const sc_word *a = sc_any_word(d, SC_FOOD), *b;
    do b = sc_any_word(d, SC_FOOD);
    while (b == a);
    int64_t x = sc_between(d, 1, 60), y = sc_between(d, 1, 60), n = sc_between(d, 2, 9);
    bool first = sc_chance(d, 2);
    sc_str_printf(&p->text, "price = {\"%s\": %lld, \"%s\": %lld}\nprint(price[\"%s\"] * %lld)\n", a->name[SC_EN],
                  (long long)x, b->name[SC_EN], (long long)y, first ? a->name[SC_EN] : b->name[SC_EN],
                  (long long)n);
    snprintf(p->output, sizeof p->output, "%lld", (long long)((first ? x : y) * n));
}

static void draw(sc_draft *d, program *p)
{
    static void (*const forms[])(sc_draft *, program *) = {sum_of_range, call_function, count_while,     list_work,
                                                           branch,       word_work,     remainder_count, look_up};
    int which = (int)sc_below(d, SC_COUNT(forms));
    static const int levels[] = {3, 2, 3, 2, 1, 1, 3, 2};
    forms[which](d, p);
    d->difficulty = levels[which];
    d->language = "code";
    sc_str_append(&d->key, p->text.p, p->text.len);
    d->text.oom |= p->text.oom;
}

static void programs(sc_draft *d)
{
    program p = {0};
    draw(d, &p);
    sc_str_printf(&d->prompt,
                  d->tongue == SC_EN ? "Program:\n%sOutput:" : "프로그램:\n%s출력:", p.text.p ? p.text.p : "");
    sc_str_printf(&d->answer, " %s", p.output);
    sc_str_free(&p.text);
}

static void code(sc_draft *d)
{
    static const char *const remarks[SC_TONGUES][3] = {
        {"# This program prints %s.\n", "# output: %s\n", "# It prints %s\n"},
        {"# 이 프로그램은 %s 값을 출력한다.\n", "# 출력: %s\n", "# %s 값이 나온다\n"}};
    program p = {0};
    draw(d, &p);
    bool first = sc_chance(d, 2);
    const char *form = remarks[d->tongue][sc_below(d, 3)];
    if (first) sc_str_printf(&d->text, form, p.output);
    sc_str_append(&d->text, p.text.p, p.text.len);
    if (!first) sc_str_printf(&d->text, form, p.output);
    d->difficulty = 0;
    sc_str_free(&p.text);
}

const sc_generator sc_world_code = {{"code", "short programs in Python with what they print", false}, 4, code};
const sc_generator sc_world_programs = {{"programs", "what a short program prints", true}, 1, programs};
