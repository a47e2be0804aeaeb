/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of asking share: short requests, and the endpoint of tests/ask_server.py. */
#ifndef TESTS_ASK_COMMON_H
#define TESTS_ASK_COMMON_H

#include "base/base.h"
#include "socle/ask.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define CHAT_MODEL SOCLE_SOURCE_DIR "/tests/data/chat_model"

static inline void ok(sc_status s)
{
    if (s) fail_msg("%s", sc_error());
}

static inline void fails(sc_status s, sc_status want, const char *part)
{
    assert_int_equal(s, want);
    if (!strstr(sc_error(), part)) fail_msg("'%s' is not in '%s'", part, sc_error());
}

static inline sc_text text_of(const char *z) { return (sc_text){z, (int64_t)strlen(z)}; }

/* ---- the endpoint ---- */

typedef struct endpoint {
    pid_t pid;
    int quit; /* closing it ends the server */
    char dir[40], log[64], url[64];
} endpoint;

static inline int start_script(void **state, const char *script)
{
    endpoint *e = calloc(1, sizeof *e);
    int in[2], out[2];
    *state = e;
    strcpy(e->dir, "/tmp/socle-ask-XXXXXX");
    if (!mkdtemp(e->dir)) return -1;
    snprintf(e->log, sizeof e->log, "%s/log", e->dir);
    if (system("python3 -c '' 2>/dev/null") != 0 || pipe(in) || pipe(out)) return 0;
    e->pid = fork();
    if (e->pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[1]);
        close(out[0]);
        execlp("python3", "python3", script, e->log, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    e->quit = in[1];
    FILE *f = fdopen(out[0], "r");
    int port = 0;
    if (!f || fscanf(f, "%d", &port) != 1) return -1;
    fclose(f);
    snprintf(e->url, sizeof e->url, "http://127.0.0.1:%d/v1/", port);
    return 0;
}

static inline int start_endpoint(void **state)
{
    return start_script(state, SOCLE_SOURCE_DIR "/tests/ask_server.py");
}

static inline int stop_endpoint(void **state)
{
    endpoint *e = *state;
    if (e->pid > 0) {
        close(e->quit);
        waitpid(e->pid, NULL, 0);
    }
    unlink(e->log);
    rmdir(e->dir);
    free(e);
    return 0;
}

/* An asker of this model there; skips where nothing can be asked. */
static inline sc_asker *endpoint_asker(void **state, const sc_asker_api *how)
{
    endpoint *e = *state;
    sc_asker *a = NULL;
    sc_asker_api api = *how;
    if (e->pid <= 0) {
        print_message("no python3: skipped\n");
        skip();
    }
    if (!api.url) api.url = e->url;
    sc_status s = sc_asker_open_api(&a, NULL, &api);
    if (s == SC_EUNSUPPORTED) {
        print_message("built without libcurl: skipped\n");
        skip();
    }
    ok(s);
    return a;
}

/* Lines of the log, each a JSON object with what was asked; *n of them. */
static inline json_t *logged(void **state)
{
    endpoint *e = *state;
    json_t *all = json_array();
    char line[1 << 16];
    FILE *f = fopen(e->log, "r");
    while (f && fgets(line, sizeof line, f)) json_array_append_new(all, json_loads(line, 0, NULL));
    if (f) fclose(f);
    return all;
}

#endif
