/* SPDX-License-Identifier: Apache-2.0 */
/* The only file that knows MPI. Its library is loaded when a process was started by mpirun and not linked: it brings a dozen
 * others, which nobody else should wait for. So nothing may be named here that is a symbol of it: its constants come from
 * the library too. */
#include "train/wire.h"
#include "socle/train.h"

#ifdef SC_WITH_MPI

#include <dlfcn.h>
#include <limits.h>
#include <mpi.h>
#include <time.h>

#ifndef OPEN_MPI
#error "the MPI that was found is not Open MPI: configure with -DSC_WITH_MPI=OFF"
#endif

enum { TAG_DATA = 1, TAG_CRY = 2 };

#define CALLS(X)                                                                                                   \
    X(Init_thread)                                                                                                 \
    X(Finalize)                                                                                                    \
    X(Comm_rank)                                                                                                   \
    X(Comm_size)                                                                                                   \
    X(Comm_set_errhandler)                                                                                         \
    X(Error_string)                                                                                                \
    X(Isend)                                                                                                       \
    X(Irecv)                                                                                                       \
    X(Test)                                                                                                        \
    X(Testall)                                                                                                     \
    X(Cancel)                                                                                                      \
    X(Wait)

struct sc_wire {
    void *library;
#define X(name) __typeof__(&MPI_##name) name;
    CALLS(X)
#undef X
    MPI_Comm world;
    MPI_Datatype byte;
    MPI_Request request[SC_WIRE_MOST], cry;
    int n;
    char heard[SC_WIRE_TEXT];
};

const char *sc_train_mpi(void)
{
#define TEXT(x)  TEXT_(x)
#define TEXT_(x) #x
    return "Open MPI " TEXT(OMPI_MAJOR_VERSION) "." TEXT(OMPI_MINOR_VERSION) "." TEXT(OMPI_RELEASE_VERSION);
}

static sc_status load(sc_wire *w)
{
    static const char *const names[] = {"libmpi.so.40", "libmpi.so"};
    for (int i = 0; !w->library && i < SC_COUNT(names); i++)
        w->library = dlopen(names[i], RTLD_NOW | RTLD_GLOBAL); /* its plugins look for it among the global ones */
    if (!w->library)
        return sc_fail(SC_EUNSUPPORTED, "started by mpirun, and Open MPI cannot be loaded: %s", dlerror());
    void *handler = dlsym(w->library, "ompi_mpi_errors_return");
    bool whole = handler && (w->world = dlsym(w->library, "ompi_mpi_comm_world")) &&
                 (w->byte = dlsym(w->library, "ompi_mpi_byte"));
#define X(name) whole = whole && (w->name = (__typeof__(w->name))dlsym(w->library, "MPI_" #name));
    CALLS(X)
#undef X
    if (!whole) return sc_fail(SC_EUNSUPPORTED, "this libmpi is not Open MPI's: %s", dlerror());
    int provided;
    if (w->Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS)
        return sc_fail(SC_ENETWORK, "MPI cannot begin");
    w->Comm_set_errhandler(w->world, handler);
    return SC_OK;
}

static sc_status check(const sc_wire *w, int code)
{
    char text[MPI_MAX_ERROR_STRING];
    int n;
    if (code == MPI_SUCCESS) return SC_OK;
    if (w->Error_string(code, text, &n) != MPI_SUCCESS) snprintf(text, sizeof text, "error %d", code);
    return sc_fail(SC_ENETWORK, "between ranks: %s", text);
}

static sc_status listen_for_cries(sc_wire *w)
{
    return check(w, w->Irecv(w->heard, SC_WIRE_TEXT, w->byte, MPI_ANY_SOURCE, TAG_CRY, w->world, &w->cry));
}

sc_status sc_wire_open(sc_wire **out, int *rank, int *count)
{
    sc_wire *w = sc_calloc(1, sizeof *w);
    if (!w) return sc_nomem();
    sc_status s = load(w);
    if (!s) s = check(w, w->Comm_rank(w->world, rank));
    if (!s) s = check(w, w->Comm_size(w->world, count));
    if (!s) s = listen_for_cries(w);
    if (s)
        sc_free(w); /* the library stays, and what it had begun */
    else
        *out = w;
    return s;
}

void sc_wire_close(sc_wire *w, bool clean)
{
    if (!w) return;
    if (clean) {
        w->Cancel(&w->cry);
        w->Wait(&w->cry, MPI_STATUS_IGNORE);
        w->Finalize();
    }
    sc_free(w);
}

sc_status sc_wire_send(sc_wire *w, int to, const void *data, int64_t bytes)
{
    if (w->n == SC_WIRE_MOST || bytes > INT_MAX) return sc_fail(SC_ELIMIT, "too much at once between ranks");
    return check(w, w->Isend(data, (int)bytes, w->byte, to, TAG_DATA, w->world, &w->request[w->n++]));
}

sc_status sc_wire_receive(sc_wire *w, int from, void *data, int64_t bytes)
{
    if (w->n == SC_WIRE_MOST || bytes > INT_MAX) return sc_fail(SC_ELIMIT, "too much at once between ranks");
    return check(w, w->Irecv(data, (int)bytes, w->byte, from, TAG_DATA, w->world, &w->request[w->n++]));
}

sc_status sc_wire_poll(sc_wire *w, bool *done)
{
    int all = 1;
    sc_status s = check(w, w->Testall(w->n, w->request, &all, MPI_STATUSES_IGNORE));
    if (!s && all) w->n = 0;
    *done = all;
    return s;
}

sc_status sc_wire_cry(sc_wire *w, int to, const char text[SC_WIRE_TEXT])
{
    MPI_Request q;
    sc_status s = check(w, w->Isend(text, SC_WIRE_TEXT, w->byte, to, TAG_CRY, w->world, &q));
    /* It is small, so it leaves at once; who does not take it is gone. */
    for (int i = 0, sent = 0; !s && !sent && i < 200; i++) {
        s = check(w, w->Test(&q, &sent, MPI_STATUS_IGNORE));
        if (!sent) nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    return s;
}

bool sc_wire_heard(sc_wire *w, int *from, char text[SC_WIRE_TEXT])
{
    MPI_Status status;
    int there = 0;
    if (w->Test(&w->cry, &there, &status) != MPI_SUCCESS || !there) return false;
    memcpy(text, w->heard, SC_WIRE_TEXT);
    text[SC_WIRE_TEXT - 1] = 0;
    *from = status.MPI_SOURCE;
    return listen_for_cries(w) == SC_OK;
}

#else

const char *sc_train_mpi(void) { return NULL; }

sc_status sc_wire_open(sc_wire **out, int *rank, int *count)
{
    (void)out;
    (void)rank;
    (void)count;
    return sc_fail(SC_EUNSUPPORTED,
                   "started by mpirun, but this socle was built without MPI (see docs/train-ranks.md)");
}

void sc_wire_close(sc_wire *w, bool clean)
{
    (void)w;
    (void)clean;
}

static sc_status none(void) { return sc_fail(SC_EUNSUPPORTED, "built without MPI"); }

sc_status sc_wire_send(sc_wire *w, int to, const void *data, int64_t bytes)
{
    (void)w, (void)to, (void)data, (void)bytes;
    return none();
}

sc_status sc_wire_receive(sc_wire *w, int from, void *data, int64_t bytes)
{
    (void)w, (void)from, (void)data, (void)bytes;
    return none();
}

sc_status sc_wire_poll(sc_wire *w, bool *done)
{
    (void)w, (void)done;
    return none();
}

sc_status sc_wire_cry(sc_wire *w, int to, const char text[SC_WIRE_TEXT])
{
    (void)w, (void)to, (void)text;
    return none();
}

bool sc_wire_heard(sc_wire *w, int *from, char text[SC_WIRE_TEXT])
{
    (void)w, (void)from, (void)text;
    return false;
}

#endif
