/* SPDX-License-Identifier: Apache-2.0 */
/* The tests: what stands after `is`. */
#include "text/jinja.h"

#define TEST(name) static bool name(jx *x, jv self, jv *a, const jcall *c, jv *out)
#define TYPE_TEST(name, condition)                                                                                 \
    TEST(name) { return (void)x, (void)a, (void)c, *out = jv_bool(condition), true; }

TYPE_TEST(t_defined, self.t != J_UNDEF)
TYPE_TEST(t_undefined, self.t == J_UNDEF)
TYPE_TEST(t_none, self.t == J_NONE)
TYPE_TEST(t_boolean, self.t == J_BOOL)
TYPE_TEST(t_true, self.t == J_BOOL && self.b)
TYPE_TEST(t_false, self.t == J_BOOL && !self.b)
TYPE_TEST(t_integer, self.t == J_INT)
TYPE_TEST(t_float, self.t == J_FLOAT)
TYPE_TEST(t_number, self.t == J_INT || self.t == J_FLOAT || self.t == J_BOOL)
TYPE_TEST(t_string, self.t == J_STR)
TYPE_TEST(t_mapping, self.t == J_DICT)
TYPE_TEST(t_iterable, jiter_able(self))
TYPE_TEST(t_sequence, self.t == J_STR || self.t == J_LIST || self.t == J_TUPLE || self.t == J_DICT ||
                          self.t == J_RANGE || self.t == J_UNDEF)
TYPE_TEST(t_callable, self.t == J_UNDEF || self.t == J_MACRO || self.t == J_FUNC || self.t == J_METHOD ||
                          self.t == J_LOOP || self.t == J_JOINER)
TYPE_TEST(t_escaped, self.t == J_STR && self.s->markup)

static bool remainder_is(jx *x, jv v, jv by, int64_t want, jv *out)
{
    jv r;
    bool same;
    if (v.t == J_STR) return jx_fail(x, SC_EINVAL, "a number is needed, not str");
    if (!jv_binary(x, JOP_MOD, v, by, &r) || !jv_equal(x, r, jv_int(want), &same)) return false;
    *out = jv_bool(same);
    return true;
}

TEST(t_odd) { return (void)a, (void)c, remainder_is(x, self, jv_int(2), 1, out); }
TEST(t_even) { return (void)a, (void)c, remainder_is(x, self, jv_int(2), 0, out); }
TEST(t_divisibleby) { return (void)c, remainder_is(x, self, a[0], 0, out); }

static bool case_test(jx *x, jv self, const char *method, jv *out)
{
    jv s;
    bool mutates;
    return jv_to_str(x, self, &s) && jx_call_func(x, jinja_method(J_STR, method, 7, &mutates), s, &(jcall){0}, out);
}

TEST(t_lower) { return (void)a, (void)c, case_test(x, self, "islower", out); }
TEST(t_upper) { return (void)a, (void)c, case_test(x, self, "isupper", out); }

TEST(t_filter)
{
    (void)a, (void)c;
    *out = jv_bool(self.t == J_STR && jinja_filter(x->t, self.s->p, self.s->n));
    uint64_t hash;
    return jv_hash(x, self, &hash);
}

TEST(t_test)
{
    (void)a, (void)c;
    *out = jv_bool(self.t == J_STR && jinja_test(self.s->p, self.s->n));
    uint64_t hash;
    return jv_hash(x, self, &hash);
}

TEST(t_sameas)
{
    bool same = self.t == a[0].t;
    (void)c;
    if (same && self.t != J_NONE) {
        bool by_value = self.t == J_BOOL || self.t == J_INT || self.t == J_STR;
        if (!by_value)
            same = self.p == a[0].p;
        else if (!jv_equal(x, self, a[0], &same))
            return false;
    }
    *out = jv_bool(same);
    return true;
}

static bool compare(jx *x, int op, jv l, jv r, jv *out)
{
    bool yes;
    if (!jv_compare_op(x, op, l, r, &yes)) return false;
    *out = jv_bool(yes);
    return true;
}

TEST(t_in) { return (void)c, compare(x, JOP_IN, self, a[0], out); }
TEST(t_eq) { return (void)c, compare(x, JOP_EQ, self, a[0], out); }
TEST(t_ne) { return (void)c, compare(x, JOP_NE, self, a[0], out); }
TEST(t_lt) { return (void)c, compare(x, JOP_LT, self, a[0], out); }
TEST(t_le) { return (void)c, compare(x, JOP_LE, self, a[0], out); }
TEST(t_gt) { return (void)c, compare(x, JOP_GT, self, a[0], out); }
TEST(t_ge) { return (void)c, compare(x, JOP_GE, self, a[0], out); }

const jfunc *jinja_test(const char *name, int64_t n)
{
    static const jfunc table[] = {
        {"defined", t_defined, "", 0},    {"undefined", t_undefined, "", 0},
        {"none", t_none, "", 0},          {"string", t_string, "", 0},
        {"mapping", t_mapping, "", 0},    {"sequence", t_sequence, "", 0},
        {"iterable", t_iterable, "", 0},  {"boolean", t_boolean, "", 0},
        {"true", t_true, "", 0},          {"false", t_false, "", 0},
        {"integer", t_integer, "", 0},    {"float", t_float, "", 0},
        {"number", t_number, "", 0},      {"callable", t_callable, "", 0},
        {"escaped", t_escaped, "", 0},    {"odd", t_odd, "", 0},
        {"even", t_even, "", 0},          {"divisibleby", t_divisibleby, "num", 1},
        {"lower", t_lower, "", 0},        {"upper", t_upper, "", 0},
        {"filter", t_filter, "", 0},      {"test", t_test, "", 0},
        {"sameas", t_sameas, "other", 1}, {"in", t_in, "seq", 1},
        {"eq", t_eq, "/other", 1},        {"equalto", t_eq, "/other", 1},
        {"==", t_eq, "/other", 1},        {"ne", t_ne, "/other", 1},
        {"!=", t_ne, "/other", 1},        {"lt", t_lt, "/other", 1},
        {"lessthan", t_lt, "/other", 1},  {"<", t_lt, "/other", 1},
        {"le", t_le, "/other", 1},        {"<=", t_le, "/other", 1},
        {"gt", t_gt, "/other", 1},        {"greaterthan", t_gt, "/other", 1},
        {">", t_gt, "/other", 1},         {"ge", t_ge, "/other", 1},
        {">=", t_ge, "/other", 1},
    };
    for (int i = 0; i < SC_COUNT(table); i++) {
        if ((int64_t)strlen(table[i].name) == n && !memcmp(table[i].name, name, (size_t)n)) return &table[i];
    }
    return NULL;
}
