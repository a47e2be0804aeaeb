/* SPDX-License-Identifier: Apache-2.0 */
/* socle VERB …: finds the verb, reads its options, runs it, and makes sure that what it wrote was written. */
#include "cmd/cmd.h"

#include <errno.h>
#include <string.h>

/* `socle data`, `socle data --help` and `socle data something`: what the group has. */
static int group_of_verbs(const char *name, const char *second)
{
    bool asked = second && (strcmp(second, "--help") == 0 || strcmp(second, "-h") == 0);
    if (second && !asked) {
        sc_cmd_message("no verb '%s %s' (see socle %s --help)", name, second, name);
        return 2;
    }
    sc_help_group(asked ? stdout : stderr, name);
    return asked ? 0 : 2;
}

static int unknown_verb(const char *name)
{
    const char *names[64];
    int count;
    const sc_verb *const *verbs = sc_verbs(&count);
    if (count > 64) count = 64;
    for (int i = 0; i < count; i++) names[i] = verbs[i]->name;
    const char *near = sc_cmd_nearest(name, names, count);
    if (near)
        sc_cmd_message("no verb '%s'; did you mean '%s'?", name, near);
    else
        sc_cmd_message("no verb '%s' (see socle --help)", name);
    return 2;
}

static int run_verb(const sc_verb *v, int argc, char **argv)
{
    sc_cmd c;
    int rc = sc_cmd_parse(&c, v, argc, argv);
    if (rc == 0) {
        rc = v->run(&c);
        if (sc_cmd_interrupted()) rc = 130; /* also where what there was till then was the answer */
    } else if (rc < 0) {
        sc_help_verb(stdout, v);
        rc = 0;
    }
    sc_cmd_end(&c);
    return rc;
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        sc_help_program(stderr);
        return 2;
    }
    const char *first = argv[1];
    if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0) {
        sc_help_program(stdout);
        return 0;
    }
    if (strcmp(first, "--version") == 0 || strcmp(first, "-V") == 0) {
        printf("socle %s\n", sc_version());
        return 0;
    }
    if (first[0] == '-') {
        sc_cmd_message("no option %s before the verb (see socle --help)", first);
        return 2;
    }
    const sc_verb *v = sc_verb_named(argc - 1, argv + 1);
    if (v) return run_verb(v, argc - 1, argv + 1);
    return sc_verb_group(first) ? group_of_verbs(first, argc > 2 ? argv[2] : NULL) : unknown_verb(first);
}

int main(int argc, char **argv)
{
    sc_cmd_signals();
    int rc = dispatch(argc, argv);
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout)) {
        sc_cmd_message("cannot write to standard output: %s", errno ? strerror(errno) : "an earlier write failed");
        return rc ? rc : 1;
    }
    return rc;
}
