/* SPDX-License-Identifier: Apache-2.0 */
/* Sums, differences and products as tasks; their difficulty is the digits of the longer number. */
#include "world/world.h"

#include <stdio.h>

enum { ADD_DIGITS = 6, SUBTRACT_DIGITS = 6, MULTIPLY_DIGITS = 4 };

int64_t sc_number_of_digits(sc_draft *d, int digits)
{
    int64_t lo = 1;
    for (int i = 1; i < digits; i++) lo *= 10;
    return sc_between(d, digits == 1 ? 0 : lo, lo * 10 - 1);
}

static int digits_of(int64_t x)
{
    int n = 1;
    while (x >= 10) x /= 10, n++;
    return n;
}

/* Two numbers, the longer one of as many digits as the difficulty says, in either order. */
static void two_numbers(sc_draft *d, int max_digits, int64_t *a, int64_t *b)
{
    d->difficulty = 1 + (int)sc_below(d, (uint32_t)max_digits);
    *a = sc_number_of_digits(d, d->difficulty);
    *b = sc_number_of_digits(d, sc_chance(d, 3) ? 1 + (int)sc_below(d, (uint32_t)d->difficulty) : d->difficulty);
    if (sc_chance(d, 2)) {
        int64_t t = *a;
        *a = *b;
        *b = t;
    }
}

void sc_calculate(sc_draft *d, char sign, int max_digits, sc_sum *s)
{
    s->sign = sign;
    two_numbers(d, max_digits, &s->a, &s->b);
    if (sign == '-' && s->a < s->b) {
        int64_t t = s->a;
        s->a = s->b;
        s->b = t;
    }
    s->result = sign == '+' ? s->a + s->b : sign == '-' ? s->a - s->b : s->a * s->b;
    d->difficulty = digits_of(SC_MAX(s->a, s->b));
    sc_sum_key(d, s);
}

void sc_sum_key(sc_draft *d, const sc_sum *s)
{
    bool turn = s->sign != '-' && s->a > s->b; /* 3 + 5 and 5 + 3 are one problem */
    d->key.len = 0;
    sc_str_printf(&d->key, "%c %lld %lld", s->sign, (long long)(turn ? s->b : s->a),
                  (long long)(turn ? s->a : s->b));
}

static void ask(sc_draft *d, const sc_sum *s)
{
    static const char *const korean[] = {"%lld 더하기 %lld", "%lld 빼기 %lld", "%lld 곱하기 %lld"};
    static const char *const english[] = {"%lld plus %lld", "%lld minus %lld", "%lld times %lld"};
    static const char *const signs[] = {"%lld + %lld", "%lld - %lld", "%lld * %lld"};
    int which = s->sign == '+' ? 0 : s->sign == '-' ? 1 : 2;
    const char *const *form = sc_chance(d, 2) ? signs : d->tongue == SC_KO ? korean : english;
    char sum[64], question[96], answer[32];
    snprintf(sum, sizeof sum, form[which], (long long)s->a, (long long)s->b);
    sc_str q = {0};
    sc_bind(d, "sum", "%s", sum);
    sc_say(d, &q, d->tongue == SC_KO ? "{sum}~은 얼마인가?" : "What is {sum}?");
    snprintf(question, sizeof question, "%s", q.p ? q.p : "");
    d->text.oom |= q.oom;
    sc_str_free(&q);
    snprintf(answer, sizeof answer, "%lld", (long long)s->result);
    sc_ask(d, question, answer);
}

static void task(sc_draft *d, char sign, int max_digits)
{
    sc_sum s;
    sc_calculate(d, sign, max_digits, &s);
    ask(d, &s);
}

static void add(sc_draft *d) { task(d, '+', ADD_DIGITS); }
static void subtract(sc_draft *d) { task(d, '-', SUBTRACT_DIGITS); }
static void multiply(sc_draft *d) { task(d, '*', MULTIPLY_DIGITS); }

const sc_generator sc_world_add = {{"add", "sums of two numbers of 1 to 6 digits", true}, 3, add};
const sc_generator sc_world_subtract = {
    {"subtract", "differences of two numbers of 1 to 6 digits", true}, 3, subtract};
const sc_generator sc_world_multiply = {
    {"multiply", "products of two numbers of 1 to 4 digits", true}, 3, multiply};
