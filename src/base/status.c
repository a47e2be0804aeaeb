/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <stdio.h>

enum { MESSAGE_MAX = 1024 };
static _Thread_local char message[MESSAGE_MAX];

const char *sc_status_text(sc_status status)
{
    switch (status) {
#define TEXT(name, code, text)                                                                                     \
    case name: return text;
        SC_STATUS_MAP(TEXT)
#undef TEXT
    }
    return "unknown status";
}

const char *sc_error(void) { return message; }

const char *sc_version(void) { return "0.1.0"; }

/* One line whatever a file put into it. */
static void tidy(char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f) *s = '?';
}

sc_status sc_fail(sc_status code, const char *fmt, ...)
{
    char text[MESSAGE_MAX]; /* the arguments may point into `message` */
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    tidy(text);
    memcpy(message, text, sizeof message);
    return code;
}

sc_status sc_nomem(void) { return sc_fail(SC_ENOMEM, "%s", sc_status_text(SC_ENOMEM)); }

sc_status sc_fail_in(sc_status code, const char *where, ...)
{
    char text[MESSAGE_MAX];
    va_list ap;
    va_start(ap, where);
    int n = vsnprintf(text, sizeof text, where, ap);
    va_end(ap);
    n = SC_MAX(0, SC_MIN(n, MESSAGE_MAX / 2));
    snprintf(text + n, sizeof text - (size_t)n, ": %.*s", MESSAGE_MAX - n - 3, message);
    tidy(text);
    memcpy(message, text, sizeof message);
    return code;
}
