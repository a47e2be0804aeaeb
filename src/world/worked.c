/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic as it is taught: column by column with what is carried, and tables. */
#include "world/world.h"

#include <stdio.h>

static const char *const places[SC_TONGUES][8] = {
    {"ones", "tens", "hundreds", "thousands", "ten thousands", "hundred thousands", "millions", "ten millions"},
    {"일", "십", "백", "천", "만", "십만", "백만", "천만"},
};

/* "478 + 256" behind "Work out" in words of the language. */
static void put_task(sc_draft *d, const sc_sum *s)
{
    sc_bind(d, "a", "%lld", (long long)s->a);
    sc_bind(d, "b", "%lld", (long long)s->b);
    sc_bind(d, "sign", "%c", s->sign);
    sc_bind(d, "r", "%lld", (long long)s->result);
    sc_say(d, &d->text,
           d->tongue == SC_EN ? "[Work out|Calculate|Find] {a} {sign} {b}.\n"
                              : "{a} {sign} {b}~을 [계산하라|구하라|셈하라].\n");
}

static void put_answer(sc_draft *d) { sc_say(d, &d->text, d->tongue == SC_EN ? "Answer: {r}\n" : "답: {r}\n"); }

/* One column: "Ones: 8 + 6 = 14, write 4, carry 1." */
static void put_column(sc_draft *d, int place, const char *sum, int written, int carried)
{
    const char *name = places[d->tongue][place];
    if (d->tongue == SC_EN) {
        sc_bind(d, "place", "%s", name);
        sc_say(d, &d->text, "^{place}: ");
        sc_str_printf(&d->text, carried ? "%s, write %d, carry %d.\n" : "%s, write %d.\n", sum, written, carried);
        return;
    }
    sc_bind(d, "w", "%d", written);
    sc_bind(d, "c", "%d", carried);
    sc_str_printf(&d->text, "%s의 자리: %s, ", name, sum);
    sc_say(d, &d->text, carried ? "{w}~을 쓰고 {c}~을 올린다.\n" : "{w}~을 쓴다.\n");
}

static void add_columns(sc_draft *d, const sc_sum *s)
{
    int64_t a = s->a, b = s->b;
    int carry = 0;
    for (int place = 0; a || b || carry || place == 0; place++, a /= 10, b /= 10) {
        int x = (int)(a % 10), y = (int)(b % 10), sum = x + y + carry;
        char text[64];
        if (carry)
            snprintf(text, sizeof text, "%d + %d + %d = %d", x, y, carry, sum);
        else
            snprintf(text, sizeof text, "%d + %d = %d", x, y, sum);
        carry = sum / 10;
        put_column(d, place, text, sum % 10, carry);
    }
}

static void subtract_columns(sc_draft *d, const sc_sum *s)
{
    int64_t a = s->a, b = s->b;
    int borrow = 0;
    for (int place = 0; a || b || place == 0; place++, a /= 10, b /= 10) {
        int x = (int)(a % 10), y = (int)(b % 10), left = x - borrow, less = left < y;
        sc_bind(d, "place", "%s", places[d->tongue][place]);
        sc_bind(d, "w", "%d", left + 10 * less - y);
        if (d->tongue == SC_EN) {
            sc_say(d, &d->text, "^{place}: ");
            if (borrow) sc_str_printf(&d->text, "%d - 1 = %d, ", x, left);
            if (less) sc_str_puts(&d->text, "borrow 10, ");
        } else {
            sc_say(d, &d->text, "{place}의 자리: ");
            if (borrow) sc_str_printf(&d->text, "%d - 1 = %d, ", x, left);
            if (less) sc_str_puts(&d->text, "10을 빌려 온다, ");
        }
        sc_str_printf(&d->text, "%d - %d = %d.\n", left + 10 * less, y, left + 10 * less - y);
        borrow = less;
    }
}

static void multiply_columns(sc_draft *d, const sc_sum *s)
{
    int64_t b = s->b, unit = 1, sum = 0;
    for (; b; b /= 10, unit *= 10) {
        int64_t part = s->a * (b % 10) * unit;
        if (b % 10 == 0) continue;
        sc_str_printf(&d->text, "%lld * %lld = %lld\n", (long long)s->a, (long long)(b % 10 * unit),
                      (long long)part);
        if (sum)
            sc_str_printf(&d->text, "%lld + %lld = %lld\n", (long long)sum, (long long)part,
                          (long long)(sum + part));
        sum += part;
    }
}

void sc_draw_sum(sc_draft *d, char sign, int max_digits, sc_sum *s)
{
    do sc_calculate(d, sign, max_digits, s);
    while (d->split != SC_ALL && sc_split_of(d->key.p, d->key.len) != d->split);
    d->key.len = 0;
    d->difficulty = 0;
}

static void columns(sc_draft *d)
{
    static const char signs[] = "+-*";
    static void (*const by_sign[])(sc_draft *, const sc_sum *) = {add_columns, subtract_columns, multiply_columns};
    int which = (int)sc_below(d, 3);
    sc_sum s;
    sc_draw_sum(d, signs[which], which == 2 ? 3 : 6, &s);
    put_task(d, &s);
    by_sign[which](d, &s);
    put_answer(d);
}

/* Lines of short sums: "34 + 8 = 42". */
static void drill(sc_draft *d)
{
    static const char signs[] = "+-*";
    int n = 4 + (int)sc_below(d, 9), which = (int)sc_below(d, 4);
    for (int i = 0; i < n; i++) {
        char sign = signs[which == 3 ? sc_below(d, 3) : (uint32_t)which];
        sc_sum s;
        sc_draw_sum(d, sign, sign == '*' ? 2 : 3, &s);
        sc_str_printf(&d->text, "%lld %c %lld = %lld\n", (long long)s.a, sign, (long long)s.b, (long long)s.result);
    }
}

static void by_task(sc_draft *d)
{
    sc_draw_task(d, &sc_world_problems, d->split);
    sc_str_append(&d->text, d->prompt.p, (int64_t)strcspn(d->prompt.p ? d->prompt.p : "", "\n"));
    sc_say(d, &d->text, d->tongue == SC_EN ? "\nReasoning: {work}\nAnswer:" : "\n풀이: {work}\n답:");
    sc_str_append(&d->text, d->answer.p, d->answer.len);
    sc_str_putc(&d->text, '\n');
    d->prompt.len = d->answer.len = d->key.len = 0;
    d->difficulty = 0;
}

static void arithmetic(sc_draft *d)
{
    static void (*const forms[])(sc_draft *) = {columns, columns, drill, by_task, by_task};
    forms[sc_below(d, SC_COUNT(forms))](d);
}

const sc_generator sc_world_arithmetic = {
    {"arithmetic", "sums, differences, products and word problems with their steps", false}, 12, arithmetic};
