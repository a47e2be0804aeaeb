/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of persons, told from other numbers by their form, their ranges and their check digits. */
#include "data/filters.h"

enum { MOST_DIGITS = 19, MOST_GROUPS = 8, WORD_BEFORE = 24 };

/* Digits in groups, each behind one separator of its kind: a space, a hyphen or a dot. */
typedef struct number {
    char digit[MOST_DIGITS + 1];
    int digits, groups;
    int group[MOST_GROUPS];
    char separator[MOST_GROUPS]; /* before the group; of the first 0 */
    int64_t end[MOST_GROUPS];    /* behind it, in the text */
    int64_t n;                   /* bytes in all */
} number;

/* The number at p[i], which is a digit; false: it goes on beyond what any kind has. */
static bool read_number(const char *p, int64_t n, int64_t i, number *x)
{
    int64_t from = i;
    *x = (number){.groups = 0};
    while (i < n && sc_is_digit(p[i])) {
        if (x->groups == MOST_GROUPS) return false;
        while (i < n && sc_is_digit(p[i])) {
            if (x->digits == MOST_DIGITS) return false;
            x->digit[x->digits++] = p[i++];
            x->group[x->groups]++;
        }
        x->end[x->groups++] = i;
        x->n = i - from;
        if (i + 1 >= n || !strchr(" -.", p[i]) || !sc_is_digit(p[i + 1])) break;
        if (x->groups < MOST_GROUPS) x->separator[x->groups] = p[i];
        i++;
    }
    return true;
}

/* Whether the separators between the first `groups` are all one of `of`; '*' allows different ones. */
static bool separated(const number *x, int groups, const char *of)
{
    for (int g = 1; g < groups; g++)
        if (!strchr(of, x->separator[g]) || x->separator[g] != x->separator[1]) return false;
    return true;
}

/* Whether behind byte i the text goes on as a number or a name. */
static bool goes_on(const char *p, int64_t n, int64_t i)
{
    if (i >= n) return false;
    if (sc_is_name(p[i])) return true;
    return i + 1 < n && strchr("-.,/:", p[i]) && sc_is_digit(p[i + 1]);
}

/* Whether before byte i a number goes on: 3.14, 1,000, 5-… */
static bool came_before(const char *p, int64_t i)
{
    if (i > 0 && sc_is_name(p[i - 1])) return true;
    if (i > 0 && strchr("$#=&", p[i - 1])) return true;
    return i > 1 && strchr("-.,/:_%", p[i - 1]) && sc_is_name(p[i - 2]);
}

static int value(const char *digit, int n)
{
    int v = 0;
    for (int i = 0; i < n; i++) v = v * 10 + digit[i] - '0';
    return v;
}

static bool word_before(const char *p, int64_t i, const char *const *words, int count)
{
    for (int k = 0; k < count; k++)
        if (sc_has_word(p, SC_MAX(0, i - WORD_BEFORE), i, words[k])) return true;
    return false;
}

/* ---- Korean resident registration numbers: YYMMDD-SNNNNNC ---- */

static bool is_rrn(const char *p, int64_t i, const number *x)
{
    static const char *const words[] = {"주민", "등록번호", "외국인"};
    static const int weight[] = {2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5};
    static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int sum = 0, year = value(x->digit, 2), month = value(x->digit + 2, 2), day = value(x->digit + 4, 2);
    int sex = x->digit[6] - '0';
    bool whole = x->groups == 1 && x->digits == 13;
    bool halves = x->groups == 2 && x->group[0] == 6 && x->group[1] == 7 && x->separator[1] != '.';
    if (!whole && !halves) return false;
    if (month < 1 || month > 12 || day < 1 || day > days[month - 1] || sex < 1 || sex > 8) return false;
    if (whole && !word_before(p, i, words, SC_COUNT(words))) return false; /* a time in milliseconds, a bar code */
    for (int k = 0; k < 12; k++) sum += weight[k] * (x->digit[k] - '0');
    int check = ((sex >= 5 ? 13 : 11) - sum % 11) % 10;
    if (check == x->digit[12] - '0') return true;
    /* Given out since October 2020 the last six digits are drawn by lot. */
    return (sex == 3 || sex == 4 || sex == 7 || sex == 8) && year * 100 + month >= 2010 && year <= 30;
}

/* ---- payment cards (ISO/IEC 7812) ---- */

static bool luhn(const number *x)
{
    int sum = 0;
    for (int i = 0; i < x->digits; i++) {
        int d = x->digit[x->digits - 1 - i] - '0';
        sum += i % 2 ? (d > 4 ? 2 * d - 9 : 2 * d) : d;
    }
    return sum % 10 == 0;
}

static bool issuer(const number *x)
{
    int two = value(x->digit, 2), three = value(x->digit, 3), four = value(x->digit, 4), n = x->digits;
    if (two == 34 || two == 37) return n == 15;
    if (two == 36 || two == 38 || two == 39 || (three >= 300 && three <= 305)) return n == 14;
    if (two / 10 == 4) return n == 16 || (n == 13 && x->groups > 1);
    return n == 16 && ((two >= 51 && two <= 55) || (four >= 2221 && four <= 2720) || four == 6011 || two == 65 ||
                       (three >= 644 && three <= 649) || (four >= 3528 && four <= 3589) || two == 62 || two == 94);
}

static bool is_card(const number *x)
{
    static const int by[][4] = {{4, 4, 4, 4}, {4, 6, 5, 0}, {4, 6, 4, 0}, {4, 3, 3, 3}};
    bool grouped = x->groups == 1 && x->digits >= 14;
    for (int k = 0; k < SC_COUNT(by) && !grouped; k++) {
        int groups = by[k][3] ? 4 : 3;
        grouped = x->groups == groups && separated(x, groups, " -") &&
                  !memcmp(x->group, by[k], (size_t)groups * sizeof(int));
    }
    return grouped && issuer(x) && luhn(x);
}

/* ---- IPv4 ---- */

static bool is_ipv4(const char *p, int64_t i, const number *x)
{
    static const char *const words[] = {"version", "ver.",     "release", "section", "chapter",
                                        "rfc",     "firmware", "build",   "oid",     "버전"};
    int octet[4], small = 0;
    const char *d = x->digit;
    if (x->groups != 4 || !separated(x, 4, ".")) return false;
    for (int g = 0; g < 4; d += x->group[g++]) {
        if (x->group[g] > 3 || (x->group[g] > 1 && *d == '0')) return false;
        octet[g] = value(d, x->group[g]);
        if (octet[g] > 255) return false;
        small += octet[g] < 20;
    }
    int a = octet[0], b = octet[1], c = octet[2];
    if (small == 4 || (i > 0 && (p[i - 1] | 32) == 'v')) return false; /* numbers of sections and versions */
    if (a == 0 || a == 10 || a == 127 || a >= 224 || (a == 172 && b >= 16 && b < 32) || (a == 192 && b == 168) ||
        (a == 169 && b == 254) || (a == 100 && b >= 64 && b < 128) || (a == 192 && b == 0) ||
        (a == 198 && (b == 18 || b == 19 || (b == 51 && c == 100))) || (a == 203 && b == 0 && c == 113))
        return false;
    return !word_before(p, i, words, SC_COUNT(words));
}

int64_t sc_personal_ipv6(const char *p, int64_t n, int64_t i)
{
    int64_t from = i;
    int groups = 0;
    bool gap = false;
    while (i < n) {
        int digits = 0;
        for (; i < n && digits < 5 && (sc_is_digit(p[i]) || ((p[i] | 32) >= 'a' && (p[i] | 32) <= 'f')); i++)
            digits++;
        if (digits > 4 || (!groups && digits != 4)) return 0; /* 2000::/3 is what is given out */
        groups += digits > 0;
        if (i >= n || p[i] != ':' || groups == 8) break;
        if (i + 1 < n && p[i + 1] == ':') {
            if (gap) return 0;
            gap = true;
            i++;
        } else if (!digits) {
            return 0;
        }
        i++;
    }
    while (i > from && p[i - 1] == ':' && !gap) i--;
    if ((groups != 8 && !(gap && groups >= 3)) || (i < n && (sc_is_name(p[i]) || p[i] == ':'))) return 0;
    return i - from >= 9 && !memcmp(p + from, "2001:", 5) && (p[from + 5] | 32) == 'd'
               ? 0
               : i - from; /* 2001:db8: examples */
}

/* ---- telephones ---- */

/* Korean: mobiles, areas, internet telephones; digits with or without separators. The count of groups used, 0: none. */
static int korean(const number *x)
{
    int area = x->digit[0] != '0' ? 0 : x->digit[1] == '2' ? 2 : 3, code = value(x->digit, 3);
    bool mobile = code == 10 || code == 11 || (code >= 16 && code <= 19);
    bool known = mobile || area == 2 || (code >= 31 && code <= 33) || (code >= 41 && code <= 44) ||
                 (code >= 51 && code <= 55) || (code >= 61 && code <= 64) || code == 70;
    if (!area || !known) return 0;
    if (x->groups == 1) return code == 10 && x->digits == 11 && x->digit[3] >= '2';
    if (x->groups < 3 || !separated(x, 3, " -.")) return 0;
    return x->group[0] == area && x->group[1] >= 3 && x->group[1] <= 4 && x->group[2] == 4 &&
                   x->digit[area] != '0' && x->digit[area] != '1'
               ? 3
               : 0;
}

static int american(const number *x, bool bracket)
{
    if (x->groups < 3 || x->group[0] != 3 || x->group[1] != 3 || x->group[2] != 4) return 0;
    if (!bracket && !separated(x, 3, "-.")) return 0;
    bool fiction =
        !memcmp(x->digit + 3, "555", 3) && x->digit[6] == '0' && x->digit[7] == '1'; /* kept free for films */
    return x->digit[0] >= '2' && x->digit[3] >= '2' && !fiction ? 3 : 0;
}

/* +CC and 8 to 15 digits in all (E.164), with spaces, hyphens, dots or the area in brackets. */
static int64_t international(const char *p, int64_t n, int64_t i)
{
    int digits = 0;
    int64_t end = 0, from = i++;
    if (i >= n || p[i] < '1' || p[i] > '9') return 0;
    for (int gap = 0; i < n && digits <= 15; i++) {
        if (sc_is_digit(p[i])) {
            digits++;
            gap = 0;
            end = i + 1;
        } else if (!strchr(" -.()", p[i]) || ++gap > 2) {
            break;
        }
    }
    return digits >= 9 && digits <= 15 && !goes_on(p, n, end) ? end - from : 0;
}

/* Behind a word that says so, any 7 to 12 digits in groups that begin with 0 or have separators. */
static int announced(const char *p, int64_t i, const number *x)
{
    static const char *const words[] = {"tel",  "phone",    "telephone", "cellphone", "mobile",  "cell",
                                        "fax",  "whatsapp", "전화",      "연락처",    "핸드폰",  "휴대폰",
                                        "팩스", "電話",     "电话",      "手机",      "telefon", "téléphone"};
    if (x->digits < 7 || x->digits > 12 || x->groups > 5) return 0;
    if (x->groups == 1 && x->digit[0] != '0' && x->digits < 10) return 0;
    if (x->groups == 2 && x->group[0] == 4 && x->group[1] == 4 && x->digit[0] == '1' && x->digit[1] >= '5')
        return 0;
    return word_before(p, i, words, SC_COUNT(words)) && (x->groups == 1 || separated(x, x->groups, " -."))
               ? x->groups
               : 0;
}

/* An area in brackets and the number behind it; the bytes. */
static int64_t bracketed(const char *p, int64_t n, int64_t i)
{
    number area, rest, x;
    int64_t at = i + 1;
    if (at >= n || !sc_is_digit(p[at]) || !read_number(p, n, at, &area) || area.groups != 1 || area.digits > 4)
        return 0;
    at += area.n;
    if (at >= n || p[at++] != ')') return 0;
    while (at < n && (p[at] == ' ' || p[at] == '-') && at < i + 9) at++;
    if (at >= n || !sc_is_digit(p[at]) || !read_number(p, n, at, &rest) || rest.groups > 3) return 0;
    if (area.digits + rest.digits > MOST_DIGITS) return 0;
    x = (number){.digits = area.digits + rest.digits, .groups = 1 + rest.groups, .group = {area.digits}};
    memcpy(x.digit, area.digit, (size_t)area.digits);
    memcpy(x.digit + area.digits, rest.digit, (size_t)rest.digits);
    for (int g = 0; g < rest.groups; g++) {
        x.group[g + 1] = rest.group[g];
        x.separator[g + 1] = '-';
        x.end[g + 1] = rest.end[g];
    }
    if (!american(&x, true) && !korean(&x)) return 0;
    return x.groups == 3 && !goes_on(p, n, x.end[2]) ? x.end[2] - i : 0;
}

static int64_t phone(const char *p, int64_t n, int64_t i, const number *x)
{
    int groups = korean(x);
    if (!groups) groups = american(x, false);
    if (!groups) groups = announced(p, i, x);
    return groups && !goes_on(p, n, x->end[groups - 1]) ? x->end[groups - 1] - i : 0;
}

static bool is_ssn(const number *x)
{
    int area = value(x->digit, 3);
    return x->groups == 3 && separated(x, 3, "-") && x->group[0] == 3 && x->group[1] == 2 && x->group[2] == 4 &&
           area > 0 && area != 666 && area < 900 && value(x->digit + 3, 2) > 0 && value(x->digit + 5, 4) > 0 &&
           memcmp(x->digit, "123456789", 9) != 0;
}

int64_t sc_personal_number(const char *p, int64_t n, int64_t i, unsigned kinds, sc_personal_kind *kind)
{
    number x;
    int64_t len;
    bool phones = kinds >> SC_PERSONAL_phone & 1;
    if (came_before(p, i)) return 0;
    *kind = SC_PERSONAL_phone;
    if (p[i] == '+') return phones ? international(p, n, i) : 0;
    if (p[i] == '(') return phones ? bracketed(p, n, i) : 0;
    if (!read_number(p, n, i, &x)) return 0;
    bool over = goes_on(p, n, i + x.n);
    if (!over && (kinds >> SC_PERSONAL_rrn & 1) && is_rrn(p, i, &x)) return *kind = SC_PERSONAL_rrn, x.n;
    if (!over && (kinds >> SC_PERSONAL_card & 1) && is_card(&x)) return *kind = SC_PERSONAL_card, x.n;
    bool tagged = i + x.n + 1 < n && p[i + x.n] == '-' && sc_is_letter(p[i + x.n + 1]); /* 12.4.254.14-rc1 */
    if (!over && !tagged && (kinds >> SC_PERSONAL_ip & 1) && is_ipv4(p, i, &x)) return *kind = SC_PERSONAL_ip, x.n;
    if (!over && (kinds >> SC_PERSONAL_ssn & 1) && is_ssn(&x)) return *kind = SC_PERSONAL_ssn, x.n;
    if (phones && (len = phone(p, n, i, &x))) return len;
    return 0;
}

/* ---- bank accounts (ISO 13616) ---- */

static int iban_length(char a, char b)
{
    static const char known[] =
        "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BR29BY28CH21CR22CY28CZ24DE22DK18DO28EE20EG29ES24"
        "FI18FO18FR27GB22GE22GI23GL18GR27GT28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32"
        "LI21LT20LU20LV21LY25MC27MD24ME22MK19MR27MT31MU30NL18NO15PK24PL28PS29PT25QA29RO24RS22"
        "SA24SC31SE24SI19SK24SM27ST25SV28TL23TN24TR26UA29VA22VG24XK20";
    for (const char *k = known; *k; k += 4)
        if (k[0] == a && k[1] == b) return (k[2] - '0') * 10 + k[3] - '0';
    return 0;
}

int64_t sc_personal_iban(const char *p, int64_t n, int64_t i)
{
    char c[40];
    int len = 0, want = i + 4 < n ? iban_length(p[i], p[i + 1]) : 0;
    int64_t at = i;
    unsigned remainder = 0;
    if (!want || !sc_is_digit(p[i + 2]) || !sc_is_digit(p[i + 3])) return 0;
    for (; at < n && len < want; at++) {
        if (sc_is_digit(p[at]) || (p[at] >= 'A' && p[at] <= 'Z'))
            c[len++] = p[at];
        else if (p[at] != ' ' || len % 4)
            return 0;
    }
    if (len != want || (at < n && sc_is_name(p[at]))) return 0;
    for (int k = 0; k < want; k++) { /* the first four characters come last */
        char x = c[(k + 4) % want];
        remainder =
            sc_is_digit(x) ? remainder * 10 + (unsigned)(x - '0') : remainder * 100 + (unsigned)(x - 'A' + 10);
        remainder %= 97;
    }
    return remainder == 1 ? at - i : 0;
}
