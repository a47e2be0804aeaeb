/* SPDX-License-Identifier: Apache-2.0 */
/* Programs of others: run within limits of time, memory, output, processes, files and network, and told apart by how they
 * ended; or kept open and asked line by line. */
#ifndef SC_SANDBOX_INTERNAL_H
#define SC_SANDBOX_INTERNAL_H

#include "base/base.h"

#include <sys/types.h>

/* ---- a process, its limits and its pipes (process.c) ---- */

typedef struct sc_process_start {
    const char *const *argv; /* ended by NULL; argv[0] is a path */
    const char *const *env;  /* ended by NULL; NULL: this process's */
    const char *dir;         /* where it runs; NULL: here */
    double seconds;          /* of computing; 0, as for the rest: no limit */
    int64_t memory, file_size;
    int64_t processes; /* counts all of its user's, but for those outside a namespace of its own */
    bool nobody;       /* where this process is root's, it becomes nobody's */
    bool unplug;       /* without network, where a namespace for that can be had */
    bool own_err;      /* its error output is read; else it goes where this process's goes */
} sc_process_start;

typedef struct sc_process {
    pid_t pid;
    int in, out, err; /* to it, from it; -1: closed */
    int status;       /* of waitpid, once it has ended */
    bool ended;
} sc_process;

/* SC_EIO: it cannot be started. The process leads a group of its own. */
sc_status sc_process_open(sc_process *p, const sc_process_start *how);
/* Whether it has ended; waits for that until `until` (sc_now) at most. */
bool sc_process_ended(sc_process *p, double until);
/* Kills what is left of its group and closes the pipes; also of one that was never opened and is all zeros. */
void sc_process_close(sc_process *p);

/* What a process said, of which at most `most` bytes are kept. */
typedef struct sc_said {
    sc_str text;
    int64_t most;
    bool cut; /* it said more */
} sc_said;
/* Writes and reads until the process has ended, `until` has come, the context is cancelled, or an output is cut. err may be
 * NULL. */
sc_status sc_process_talk(sc_process *p, const sc_context *ctx, const char *input, int64_t n, double until,
                          sc_said *out, sc_said *err);

/* ---- a program in a box (sandbox.c) ---- */

/* 0: what is in brackets. */
typedef struct sc_sandbox_options {
    double seconds;    /* of a run, by the clock [10] */
    int64_t memory;    /* bytes of address space of each process [1 GiB] */
    int64_t output;    /* bytes of each of the two outputs [1 MiB] */
    int64_t file_size; /* bytes of one file, and of all together where the box has files of its own [16 MiB] */
    int64_t processes; /* [64] */
    const char *const *readable; /* n_readable more files and folders that a program may read, at the same paths */
    int n_readable;
    bool bare; /* limits alone, as on a machine that lets nobody make namespaces */
} sc_sandbox_options;

/* Unchangeable once made: any number of threads may run programs in it. */
typedef struct sc_sandbox sc_sandbox;
/* Finds out what this machine allows: a view of /usr and little else that cannot be written to, a /tmp that is the run's own,
 * no network, processes that nobody else sees, by way of bubblewrap; else limits alone. */
sc_status sc_sandbox_new(sc_sandbox **out, const sc_sandbox_options *o);
void sc_sandbox_free(sc_sandbox *s);
/* What is not confined, "network, files, processes", for a warning; "": everything is. */
const char *sc_sandbox_gaps(const sc_sandbox *s);

typedef struct sc_sandbox_file {
    const char *name; /* without a slash */
    const char *data;
    int64_t n;
} sc_sandbox_file;

typedef struct sc_sandbox_job {
    const char *const
        *argv; /* ended by NULL; argv[0] is looked up in /usr/local/bin, /usr/bin, /bin where it has no slash */
    const char *input; /* n_input bytes that it reads */
    int64_t n_input;
    const sc_sandbox_file *file; /* n_files in the folder where it runs */
    int n_files;
} sc_sandbox_job;

typedef enum sc_sandbox_end {
    SC_SANDBOX_EXITED,
    SC_SANDBOX_CRASHED, /* by a signal */
    SC_SANDBOX_TIMED_OUT,
    SC_SANDBOX_TOO_MUCH, /* output */
} sc_sandbox_end;

typedef struct sc_sandbox_result {
    sc_sandbox_end end;
    int code; /* of its exit, or the signal */
    double seconds;
    char *out, *err; /* owned: sc_sandbox_result_free */
    int64_t n_out, n_err;
} sc_sandbox_result;

/* However the program ends, that is a result. SC_ENOTFOUND: there is no such program; SC_ECANCELLED; SC_EIO: no process or no
 * folder can be made. */
sc_status sc_sandbox_run(const sc_sandbox *s, const sc_context *ctx, const sc_sandbox_job *job,
                         sc_sandbox_result *out);
void sc_sandbox_result_free(sc_sandbox_result *r);

/* ---- a program that answers lines (partner.c) ---- */

/* A command of the user's own, not confined: it reads a line and writes one, again and again. */
typedef struct sc_partner sc_partner;
/* command: for /bin/sh, started when it is first asked. seconds: for an answer. */
sc_status sc_partner_new(sc_partner **out, const sc_context *ctx, const char *command, double seconds);
void sc_partner_free(sc_partner *p);
/* line: n bytes without an end of line. *answer is the partner's until the next call, and has no end of line. SC_EIO: it ended
 * instead, SC_ELIMIT: it did not answer in time or without end; it is started again when it is asked next. */
sc_status sc_partner_ask(sc_partner *p, const char *line, int64_t n, const char **answer, int64_t *n_answer);

#endif
