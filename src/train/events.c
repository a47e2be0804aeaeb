/* SPDX-License-Identifier: Apache-2.0 */
/* TensorBoard's event files: records (length, its masked CRC-32C, bytes, their masked CRC-32C), each a protocol buffer of
 * the message tensorflow.Event. Of its fields: 1 wall_time (double), 2 step (int64), 3 file_version, 5 summary. */
#include "train/run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PREFIX "events.out.tfevents."
enum { MAX_RECORD = 64 << 20 };

struct sc_events {
    char *path;
    int fd;
    int64_t size; /* up to the end of the last whole record */
};

/* ---- protocol buffers ---- */

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

static void put_varint(sc_str *s, uint64_t x)
{
    for (; x >= 0x80; x >>= 7) sc_str_putc(s, (char)(x | 0x80));
    sc_str_putc(s, (char)x);
}

static void put_key(sc_str *s, int field, int wire) { put_varint(s, (uint64_t)(field << 3 | wire)); }

static void put_number(sc_str *s, int field, int64_t x)
{
    put_key(s, field, WIRE_VARINT);
    put_varint(s, (uint64_t)x);
}

static void put_bytes(sc_str *s, int field, const char *p, int64_t n)
{
    put_key(s, field, WIRE_BYTES);
    put_varint(s, (uint64_t)n);
    sc_str_append(s, p, n);
}

static void put_text(sc_str *s, int field, const char *z) { put_bytes(s, field, z, (int64_t)strlen(z)); }

/* A message within a message; `inner` is emptied. */
static void put_message(sc_str *s, int field, sc_str *inner)
{
    put_bytes(s, field, inner->p ? inner->p : "", inner->len);
    s->oom |= inner->oom;
    sc_str_free(inner);
}

/* ---- records ---- */

static uint32_t masked(const void *p, int64_t n)
{
    uint32_t crc = sc_crc32c(0, p, n);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static sc_status fail(const sc_events *e, const char *what)
{
    return sc_fail(SC_EIO, "%s: cannot %s: %s", e->path, what, strerror(errno));
}

static sc_status shorten(sc_events *e, int64_t size)
{
    if (ftruncate(e->fd, size) != 0 || lseek(e->fd, size, SEEK_SET) < 0) return fail(e, "cut it back");
    e->size = size;
    return SC_OK;
}

/* One write, so that who reads meanwhile sees whole records; what is left of one that failed is taken back. */
static sc_status put_record(sc_events *e, sc_str *event)
{
    sc_str r = {0};
    uint64_t n = (uint64_t)event->len;
    uint32_t crc = masked(&n, 8);
    sc_str_append(&r, (const char *)&n, 8);
    sc_str_append(&r, (const char *)&crc, 4);
    sc_str_append(&r, event->p, event->len);
    crc = masked(event->p, event->len);
    sc_str_append(&r, (const char *)&crc, 4);
    sc_status s = r.oom || event->oom ? sc_nomem() : SC_OK;
    if (!s && write(e->fd, r.p, (size_t)r.len) != r.len) {
        s = fail(e, "write");
        (void)!ftruncate(e->fd, e->size);
        lseek(e->fd, e->size, SEEK_SET);
    }
    if (!s) e->size += r.len;
    sc_str_free(&r);
    sc_str_free(event);
    return s;
}

static sc_str begin_event(int64_t step)
{
    struct timespec now;
    sc_str s = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    double wall = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    put_key(&s, 1, WIRE_64);
    sc_str_append(&s, (const char *)&wall, 8);
    if (step) put_number(&s, 2, step);
    return s;
}

/* Summary: 1 value. Value: 1 tag, 2 simple_value (float), 8 tensor, 9 metadata. */
sc_status sc_events_scalars(sc_events *e, int64_t step, const char *const *names, const double *values, int n)
{
    sc_str event = begin_event(step), summary = {0};
    for (int i = 0; i < n; i++) {
        sc_str value = {0};
        float x = (float)values[i];
        put_text(&value, 1, names[i]);
        put_key(&value, 2, WIRE_32);
        sc_str_append(&value, (const char *)&x, 4);
        put_message(&summary, 1, &value);
    }
    put_message(&event, 5, &summary);
    return put_record(e, &event);
}

/* A tensor of one string for the plug-in "text". TensorProto: 1 dtype (7: string), 2 shape, 8 string_val.
 * SummaryMetadata: 1 plugin_data, whose 1 is the plug-in's name. */
sc_status sc_events_text(sc_events *e, int64_t step, const char *name, const char *text)
{
    sc_str event = begin_event(step), summary = {0}, value = {0}, plugin = {0}, metadata = {0}, tensor = {0},
           shape = {0}, dim = {0};
    put_text(&value, 1, name);
    put_number(&tensor, 1, 7);
    put_number(&dim, 1, 1);
    put_message(&shape, 2, &dim);
    put_message(&tensor, 2, &shape);
    put_text(&tensor, 8, text);
    put_message(&value, 8, &tensor);
    put_text(&plugin, 1, "text");
    put_message(&metadata, 1, &plugin);
    put_message(&value, 9, &metadata);
    put_message(&summary, 1, &value);
    put_message(&event, 5, &summary);
    return put_record(e, &event);
}

/* ---- going on in a file ---- */

static bool get_varint(const unsigned char **p, const unsigned char *end, uint64_t *x)
{
    *x = 0;
    for (int shift = 0; *p < end && shift < 64; shift += 7) {
        unsigned char c = *(*p)++;
        *x |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80) return true;
    }
    return false;
}

/* The step of an event; 0 where it has none, -1 where it is no event. */
static int64_t step_of(const unsigned char *p, int64_t n)
{
    const unsigned char *end = p + n;
    int64_t step = 0;
    while (p < end) {
        uint64_t key, x;
        if (!get_varint(&p, end, &key)) return -1;
        switch (key & 7) {
        case WIRE_VARINT:
            if (!get_varint(&p, end, &x)) return -1;
            if (key >> 3 == 2) step = (int64_t)x;
            continue;
        case WIRE_64: x = 8; break;
        case WIRE_32: x = 4; break;
        case WIRE_BYTES:
            if (!get_varint(&p, end, &x)) return -1;
            break;
        default: return -1;
        }
        if (x > (uint64_t)(end - p)) return -1;
        p += x;
    }
    return step;
}

/* Where the records of steps up to `step` end: before a later one, or one that is not whole. */
static int64_t end_of(const unsigned char *p, int64_t size, int64_t step)
{
    int64_t at = 0;
    while (size - at >= 16) {
        uint64_t n;
        uint32_t crc_n, crc;
        memcpy(&n, p + at, 8);
        memcpy(&crc_n, p + at + 8, 4);
        if (crc_n != masked(p + at, 8) || n > MAX_RECORD || (int64_t)n > size - at - 16) break;
        memcpy(&crc, p + at + 12 + n, 4);
        if (crc != masked(p + at + 12, (int64_t)n)) break;
        int64_t its = step_of(p + at + 12, (int64_t)n);
        if (its < 0 || its > step) break;
        at += 16 + (int64_t)n;
    }
    return at;
}

sc_status sc_events_cut(sc_events *e, int64_t step)
{
    sc_buffer *file;
    sc_status s = sc_file_map(&file, e->path);
    if (s) return s;
    int64_t size = end_of(file->data, file->size, step);
    sc_buffer_unref(file);
    return shorten(e, size);
}

/* The event file of an earlier part of the run; NULL: none. */
static char *find_file(const char *dir)
{
    char *found = NULL;
    DIR *d = opendir(dir);
    for (struct dirent *f; d && !found && (f = readdir(d));)
        if (strncmp(f->d_name, PREFIX, strlen(PREFIX)) == 0) found = sc_path_join(dir, f->d_name);
    if (d) closedir(d);
    return found;
}

static char *new_name(const char *dir)
{
    char host[65] = "", name[160];
    if (gethostname(host, sizeof host - 1) != 0 || !host[0]) strcpy(host, "localhost");
    snprintf(name, sizeof name, PREFIX "%lld.%s.%ld.0", (long long)time(NULL), host, (long)getpid());
    return sc_path_join(dir, name);
}

sc_status sc_events_open(sc_events **out, const char *dir, int64_t step)
{
    sc_events *e = sc_calloc(1, sizeof *e);
    if (!e) return sc_nomem();
    e->fd = -1;
    e->path = find_file(dir);
    if (!e->path) e->path = new_name(dir);
    sc_status s = e->path ? SC_OK : sc_nomem();
    if (!s && (e->fd = open(e->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666)) < 0) s = fail(e, "write");
    if (!s) s = sc_events_cut(e, step);
    if (!s && e->size == 0) {
        sc_str event = begin_event(0);
        put_text(&event, 3, "brain.Event:2");
        s = put_record(e, &event);
    }
    if (s)
        sc_events_free(e);
    else
        *out = e;
    return s;
}

void sc_events_free(sc_events *e)
{
    if (!e) return;
    if (e->fd >= 0) close(e->fd);
    sc_free(e->path);
    sc_free(e);
}
