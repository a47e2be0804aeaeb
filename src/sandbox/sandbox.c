/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/sandbox.h"

#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BOX "/box" /* the job's files, as a confined program sees them */
enum { MAX_ARGS = 512, MAX_READABLE = 64 };

static const char *const clean_env[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/tmp", "TMPDIR=/tmp",
                                        "LANG=C.UTF-8", NULL};

struct sc_sandbox {
    sc_sandbox_options o;
    sc_arena *arena;             /* of `readable` */
    const char *bwrap, *prlimit; /* NULL: not here, or of no use */
    bool unplugs;                /* a namespace without network can be had without bubblewrap */
    char gaps[96];
};

void sc_sandbox_free(sc_sandbox *s)
{
    if (!s) return;
    sc_arena_free(s->arena);
    sc_free(s);
}

const char *sc_sandbox_gaps(const sc_sandbox *s) { return s->gaps; }

static const char *first_there(const char *const *paths, int n)
{
    for (int i = 0; i < n; i++)
        if (access(paths[i], X_OK) == 0) return paths[i];
    return NULL;
}

/* ---- the command ---- */

typedef struct words {
    const char *word[MAX_ARGS + 1];
    int n;
    bool full;
} words;

static void put(words *w, const char *word)
{
    if (w->n < MAX_ARGS)
        w->word[w->n++] = word;
    else
        w->full = true;
    w->word[w->n] = NULL;
}

static void put_all(words *w, const char *const *list, int n)
{
    for (int i = 0; i < n; i++) put(w, list[i]);
}

/* What bubblewrap is told: little of the system, nothing that can be written to but folders of its own and of limited size. */
static void put_box(words *w, const sc_sandbox *s, const char *dir, const char *size)
{
    static const char *const first[] = {"--unshare-all", "--die-with-parent",
                                        "--new-session", "--ro-bind",
                                        "/usr",          "/usr",
                                        "--proc",        "/proc",
                                        "--dev",         "/dev"},
                             *const some[] = {"/bin",
                                              "/sbin",
                                              "/lib",
                                              "/lib32",
                                              "/lib64",
                                              "/etc/alternatives",
                                              "/etc/ld.so.cache",
                                              "/etc/localtime"};
    put(w, s->bwrap);
    put_all(w, first, SC_COUNT(first));
    for (int i = 0; i < SC_COUNT(some); i++) put_all(w, (const char *[]){"--ro-bind-try", some[i], some[i]}, 3);
    put_all(w, (const char *[]){"--size", size, "--tmpfs", "/dev/shm", "--remount-ro", "/dev"}, 6);
    put_all(w, (const char *[]){"--size", size, "--tmpfs", "/tmp"}, 4);
    for (int i = 0; i < s->o.n_readable; i++)
        put_all(w, (const char *[]){"--ro-bind", s->o.readable[i], s->o.readable[i]}, 3);
    put_all(w, (const char *[]){"--ro-bind", dir, BOX, "--chdir", BOX, "--remount-ro", "/", "--"}, 8);
}

/* Finds a program as PATH would. */
static sc_status look_up(const char *name, char *path, size_t size)
{
    static const char *const dirs[] = {"/usr/local/bin", "/usr/bin", "/bin"};
    for (int i = 0; i < SC_COUNT(dirs); i++) {
        bool whole = strchr(name, '/') != NULL;
        int n = whole ? snprintf(path, size, "%s", name) : snprintf(path, size, "%s/%s", dirs[i], name);
        if (n > 0 && (size_t)n < size && access(path, X_OK) == 0 && !sc_path_is_dir(path)) return SC_OK;
    }
    return sc_fail(SC_ENOTFOUND, "there is no program '%s'", name);
}

/* ---- the folder ---- */

static void remove_box(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    while (d && (e = readdir(d))) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        char *path = sc_path_join(dir, e->d_name);
        struct stat st;
        if (path && lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
            remove_box(path);
        else if (path)
            unlink(path);
        sc_free(path);
    }
    if (d) closedir(d);
    rmdir(dir);
}

/* `own`: the program may write there, since it has no other place. */
static sc_status make_box(char *dir, const sc_sandbox_job *job, bool own)
{
    if (!mkdtemp(dir)) return sc_fail(SC_EIO, "cannot make a folder like %s: %s", dir, strerror(errno));
    if (chmod(dir, own ? 0777 : 0755) != 0) return sc_fail(SC_EIO, "cannot open %s: %s", dir, strerror(errno));
    for (int i = 0; i < job->n_files; i++) {
        const sc_sandbox_file *f = &job->file[i];
        if (strchr(f->name, '/') || f->name[0] == '.' || !f->name[0])
            return sc_fail(SC_EINVAL, "'%s' is no name for a file in a sandbox", f->name);
        char *path = sc_path_join(dir, f->name);
        int fd = path ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644) : -1;
        int64_t done = 0;
        while (fd >= 0 && done < f->n) {
            ssize_t n = write(fd, f->data + done, (size_t)(f->n - done));
            if (n <= 0 && errno != EINTR) break;
            if (n > 0) done += n;
        }
        bool ok = fd >= 0 && done == f->n && fchmod(fd, 0644) == 0;
        if (fd >= 0 && close(fd) != 0) ok = false;
        sc_free(path);
        if (!ok) return sc_fail(SC_EIO, "cannot write %s/%s: %s", dir, f->name, strerror(errno));
    }
    return SC_OK;
}

/* ---- running ---- */

static void tell_end(sc_sandbox_result *r, const sc_process *p, bool boxed, bool late, bool cut)
{
    int status = p->status, code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    if (late || cut)
        r->end = late ? SC_SANDBOX_TIMED_OUT : SC_SANDBOX_TOO_MUCH;
    else if (WIFSIGNALED(status) || (boxed && code > 128 && code <= 128 + 64)) { /* as bubblewrap tells a signal */
        r->end = SC_SANDBOX_CRASHED;
        r->code = WIFSIGNALED(status) ? WTERMSIG(status) : code - 128;
        if (r->code == SIGXCPU) r->end = SC_SANDBOX_TIMED_OUT;
    } else
        r->code = code;
}

static sc_status run_in(const sc_sandbox *s, const sc_context *ctx, const sc_sandbox_job *job, const char *dir,
                        sc_sandbox_result *out)
{
    char program[4096], size[32], nproc[64];
    words w = {0};
    snprintf(size, sizeof size, "%lld", (long long)s->o.file_size);
    snprintf(nproc, sizeof nproc, "--nproc=%lld:%lld", (long long)s->o.processes, (long long)s->o.processes);
    sc_status st = look_up(job->argv[0], program, sizeof program);
    if (st) return st;
    if (s->bwrap) put_box(&w, s, dir, size);
    if (s->bwrap && s->prlimit) put_all(&w, (const char *[]){s->prlimit, nproc, "--"}, 3);
    put(&w, program);
    for (int i = 1; job->argv[i]; i++) put(&w, job->argv[i]);
    if (w.full) return sc_fail(SC_ELIMIT, "a sandboxed program has more than %d arguments", MAX_ARGS);
    sc_process p;
    sc_said said[2] = {{.most = s->o.output}, {.most = s->o.output}};
    double begun = sc_now(), until = begun + s->o.seconds;
    st = sc_process_open(&p, &(sc_process_start){.argv = w.word,
                                                 .env = clean_env,
                                                 .dir = dir,
                                                 .seconds = s->o.seconds,
                                                 .memory = s->o.memory,
                                                 .file_size = s->o.file_size,
                                                 .processes = s->unplugs ? s->o.processes : 0,
                                                 .nobody = true,
                                                 .unplug = s->unplugs,
                                                 .own_err = true});
    if (st) return st;
    st = sc_process_talk(&p, ctx, job->input, job->n_input, until, &said[0], &said[1]);
    bool late = !p.ended && sc_now() >= until, cut = said[0].cut || said[1].cut;
    sc_process_close(&p);
    *out = (sc_sandbox_result){.seconds = sc_now() - begun};
    tell_end(out, &p, s->bwrap != NULL, late, cut);
    if (!st && (!(out->out = sc_str_take(&said[0].text, &out->n_out)) ||
                !(out->err = sc_str_take(&said[1].text, &out->n_err))))
        st = sc_nomem();
    sc_str_free(&said[0].text);
    sc_str_free(&said[1].text);
    if (st) sc_sandbox_result_free(out);
    return st;
}

sc_status sc_sandbox_run(const sc_sandbox *s, const sc_context *ctx, const sc_sandbox_job *job,
                         sc_sandbox_result *out)
{
    char dir[] = "/tmp/socle-box-XXXXXX";
    sc_sandbox_result r = {0};
    sc_status st = make_box(dir, job, s->bwrap == NULL);
    if (!st) st = run_in(s, ctx, job, dir, &r);
    remove_box(dir);
    if (!st) *out = r;
    return st;
}

void sc_sandbox_result_free(sc_sandbox_result *r)
{
    sc_free(r->out);
    sc_free(r->err);
    *r = (sc_sandbox_result){0};
}

/* ---- what this machine allows ---- */

/* Whether a program that does nothing ends well the way that s says. */
static bool works(const sc_sandbox *s)
{
    sc_context quiet = {0};
    sc_sandbox_result r = {0};
    const char *const argv[] = {"true", NULL};
    bool ok = sc_sandbox_run(s, &quiet, &(sc_sandbox_job){.argv = argv}, &r) == SC_OK &&
              r.end == SC_SANDBOX_EXITED && r.code == 0;
    sc_sandbox_result_free(&r);
    return ok;
}

static void find_means(sc_sandbox *s)
{
    static const char *const bwraps[] = {"/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap"},
                             *const prlimits[] = {"/usr/bin/prlimit", "/bin/prlimit"};
    if (!s->o.bare) {
        s->prlimit = first_there(prlimits, SC_COUNT(prlimits));
        if ((s->bwrap = first_there(bwraps, SC_COUNT(bwraps))) && !works(s)) s->bwrap = NULL;
        s->unplugs = !s->bwrap;
        if (s->unplugs && !works(s)) s->unplugs = false;
    }
    if (!s->bwrap)
        snprintf(s->gaps, sizeof s->gaps, "files, processes that leave their group%s",
                 s->unplugs ? "" : ", number of processes, network");
    else if (!s->prlimit)
        snprintf(s->gaps, sizeof s->gaps, "number of processes");
}

sc_status sc_sandbox_new(sc_sandbox **out, const sc_sandbox_options *o)
{
    if (o->n_readable > MAX_READABLE)
        return sc_fail(SC_ELIMIT, "%d paths for a sandbox: at most %d", o->n_readable, MAX_READABLE);
    sc_sandbox *s = sc_calloc(1, sizeof *s);
    const char **list = NULL;
    if (!s || !(s->arena = sc_arena_new()) ||
        !(list = sc_arena_alloc(s->arena, (size_t)(o->n_readable + 1) * sizeof *list))) {
        sc_sandbox_free(s);
        return sc_nomem();
    }
    s->o = *o;
    s->o.readable = list;
    if (!(s->o.seconds > 0)) s->o.seconds = 10;
    if (s->o.memory <= 0) s->o.memory = (int64_t)1 << 30;
    if (s->o.output <= 0) s->o.output = 1 << 20;
    if (s->o.file_size <= 0) s->o.file_size = 16 << 20;
    if (s->o.processes <= 0) s->o.processes = 64;
    for (int i = 0; i < o->n_readable; i++)
        if (!(list[i] = sc_arena_strndup(s->arena, o->readable[i], strlen(o->readable[i])))) {
            sc_sandbox_free(s);
            return sc_nomem();
        }
    find_means(s);
    *out = s;
    return SC_OK;
}
