/* SPDX-License-Identifier: Apache-2.0 */
/* The chat: a line is a message, a line that begins with a slash is a command. Ctrl-C stops the answer, or empties the
 * line; Ctrl-D leaves. The prompt and all remarks go to stderr, so stdout holds the answers and nothing else. */
#include "cmd/cmd.h"

#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>
#include <wchar.h>
#if SC_WITH_EDIT
#include <histedit.h>
#endif

#define PROMPT "> "

/* Where lines come from. `edit` is NULL when they are read plainly. */
typedef struct reader {
#if SC_WITH_EDIT
    EditLine *edit;
    History *history;
    char history_path[PATH_MAX]; /* "": no place for it */
#endif
    char *line; /* what was typed, without its newline */
    size_t cap;
} reader;

typedef enum { LINE, INTERRUPTED, END } outcome;

/* The next byte typed: 1, 0 at the end, or -1 on an error or after Ctrl-C. A Ctrl-C that comes before the wait has begun
 * must end it too, so the signal is let through only while ppoll waits. */
static int read_byte(char *byte)
{
    sigset_t interrupt, before;
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    ssize_t n = -1;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    pthread_sigmask(SIG_BLOCK, &interrupt, &before);
    while (!sc_cmd_interrupted()) {
        int ready = ppoll(&in, 1, NULL, &before);
        if (ready > 0) n = read(STDIN_FILENO, byte, 1);
        if (ready > 0 ? n >= 0 || errno != EINTR : errno != EINTR) break;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return (int)n;
}

#if SC_WITH_EDIT

static char *prompt(EditLine *e)
{
    (void)e;
    return (char *)PROMPT;
}

/* One character for libedit. Its own reader tries again after a signal, and Ctrl-C would do nothing. */
static int read_char(EditLine *e, wchar_t *out)
{
    mbstate_t state = {0};
    (void)e;
    for (;;) {
        char byte;
        int n = read_byte(&byte);
        if (n <= 0) return n;
        size_t used = mbrtowc(out, &byte, 1, &state);
        if (used == (size_t)-2) continue; /* more bytes of this character to come */
        if (used != (size_t)-1) return 1;
        memset(&state, 0, sizeof state); /* not a character: forgotten */
    }
}

/* $XDG_STATE_HOME/socle/history, its folders made and closed to others. false: there is no place for it. */
static bool history_file(char *path, size_t size)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n;
    if (state && state[0] == '/')
        n = snprintf(path, size, "%s/socle/history", state);
    else if (home && home[0] == '/')
        n = snprintf(path, size, "%s/.local/state/socle/history", home);
    else
        return false;
    if (n < 0 || n >= (int)size) return false;
    for (char *p = path + 1; *p; p++) {
        if (*p != '/') continue;
        *p = 0;
        bool ok = mkdir(path, 0700) == 0 || errno == EEXIST;
        *p = '/';
        if (!ok) return false;
    }
    return true;
}

static void save_history(reader *r)
{
    HistEvent event;
    if (!r->history_path[0]) return;
    mode_t old = umask(077);
    history(r->history, &event, H_SAVE, r->history_path);
    umask(old);
}

static void open_editor(reader *r)
{
    HistEvent event;
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) return;
    /* libedit counts columns by the locale; numbers are read and written by the C locale's rules all the same. */
    setlocale(LC_CTYPE, "");
    if (MB_CUR_MAX == 1) setlocale(LC_CTYPE, "C.UTF-8");
    r->edit = el_init("socle", stdin, stderr, stderr);
    if (!r->edit) return;
    el_set(r->edit, EL_PROMPT, prompt);
    el_set(r->edit, EL_EDITOR, "emacs");
    el_set(r->edit, EL_GETCFN, read_char);
    r->history = history_init();
    if (!r->history) return;
    history(r->history, &event, H_SETSIZE, 1000);
    history(r->history, &event, H_SETUNIQUE, 1);
    el_set(r->edit, EL_HIST, history, r->history);
    if (!history_file(r->history_path, sizeof r->history_path))
        r->history_path[0] = 0;
    else
        history(r->history, &event, H_LOAD, r->history_path);
}

static void close_editor(reader *r)
{
    if (r->history) history_end(r->history);
    if (r->edit) el_end(r->edit);
}

static outcome edit_line(reader *r)
{
    int n = 0;
    el_resize(r->edit);
    const char *typed = el_gets(r->edit, &n);
    if (sc_cmd_interrupted()) {
        el_reset(r->edit);
        return INTERRUPTED;
    }
    if (!typed || n <= 0) return END;
    free(r->line);
    r->line = strdup(typed);
    if (!r->line) return END;
    r->line[strcspn(r->line, "\n")] = 0;
    if (r->history && r->line[strspn(r->line, " \t")]) {
        HistEvent event;
        history(r->history, &event, H_ENTER, r->line);
        save_history(r);
    }
    return LINE;
}

#endif

static outcome plain_line(reader *r)
{
    if (isatty(STDIN_FILENO)) {
        fputs(PROMPT, stderr);
        fflush(stderr);
    }
    int got;
    size_t n = 0;
    do {
        if (n == r->cap) {
            char *more = realloc(r->line, r->cap = 2 * r->cap + 128);
            if (!more) return END;
            r->line = more;
        }
        r->line[n++] = 0;
    } while ((got = read_byte(&r->line[n - 1])) > 0 && r->line[n - 1] != '\n');
    r->line[n - 1] = 0;
    if (sc_cmd_interrupted()) return INTERRUPTED;
    return got > 0 || n > 1 ? LINE : END;
}

static outcome next_line(reader *r)
{
#if SC_WITH_EDIT
    if (r->edit) return edit_line(r);
#endif
    return plain_line(r);
}

static void say_help(void)
{
    fputs("/help               this list\n"
          "/clear              forget the conversation\n"
          "/system TEXT        another system prompt, and a new conversation; without TEXT the model's own\n"
          "/set                show the settings\n"
          "/set NAME VALUE     change one, as in /set temperature 0.7\n"
          "/quit               leave, as Ctrl-D does\n"
          "Ctrl-C stops an answer. A message that begins with a slash goes after a space.\n",
          stderr);
}

/* Cuts the first word off *rest and returns it; *rest is what follows, without blanks around. */
static char *cut_word(char **rest)
{
    char *word = *rest + strspn(*rest, " \t");
    char *end = word + strcspn(word, " \t");
    *rest = end + strspn(end, " \t");
    *end = 0;
    for (char *p = *rest + strlen(*rest); p > *rest && (p[-1] == ' ' || p[-1] == '\t'); *--p = 0) {}
    return word;
}

/* 0 to go on, an exit code, or -1: leave. */
static int run_command(const sc_chat *chat, char *line)
{
    static const char *const names[] = {"/help", "/clear", "/system", "/set", "/quit"};
    char *rest = line, *name = cut_word(&rest);
    if (strcmp(name, "/quit") == 0 || strcmp(name, "/exit") == 0) return -1;
    if (strcmp(name, "/help") == 0) {
        say_help();
        return 0;
    }
    if (strcmp(name, "/clear") == 0) return chat->clear(chat->user);
    if (strcmp(name, "/system") == 0) return chat->system(chat->user, rest);
    if (strcmp(name, "/set") == 0) {
        if (!*rest) return chat->set(chat->user, NULL, NULL);
        const char *setting = cut_word(&rest);
        if (*rest) return chat->set(chat->user, setting, rest);
        sc_cmd_message("/set %s needs a value", setting);
        return 0;
    }
    const char *near = sc_cmd_nearest(name, names, (int)(sizeof names / sizeof names[0]));
    if (near)
        sc_cmd_message("no command %s; did you mean %s?", name, near);
    else
        sc_cmd_message("no command %s; /help lists them", name);
    return 0;
}

static int answer_line(sc_cmd *c, const sc_chat *chat, const char *line)
{
    int rc = chat->answer(chat->user, line);
    sc_cmd_clear_progress(c);
    fputc('\n', stdout);
    if (fflush(stdout) != 0) return rc ? rc : 1;
    if (sc_cmd_interrupted()) {
        fputs("(stopped)\n", stderr);
        sc_cmd_resume(c);
        return 0;
    }
    return rc;
}

int sc_chat_run(sc_cmd *c, const sc_chat *chat)
{
    reader r = {0};
    int rc = 0;
#if SC_WITH_EDIT
    open_editor(&r);
#endif
    if (isatty(STDERR_FILENO)) fprintf(stderr, "%s. /help lists the commands, Ctrl-D leaves.\n", chat->name);
    while (rc == 0) {
        outcome o = next_line(&r);
        if (o == INTERRUPTED) {
            fputc('\n', stderr);
            sc_cmd_resume(c);
        } else if (o == END) {
            if (isatty(STDIN_FILENO)) fputc('\n', stderr);
            break;
        } else if (r.line[0] == '/') {
            rc = run_command(chat, r.line);
        } else if (r.line[strspn(r.line, " \t\r")]) {
            rc = answer_line(c, chat, r.line + (r.line[0] == ' ' && r.line[1] == '/'));
        }
    }
#if SC_WITH_EDIT
    close_editor(&r);
#endif
    free(r.line);
    return rc < 0 ? 0 : rc;
}
