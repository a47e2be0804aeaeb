/* SPDX-License-Identifier: Apache-2.0 */
/* The folders of a run's checkpoints.
 *
 * 1. checkpoint-STEP appears by one rename, after all that is in it was synced; it goes by one rename too.
 * 2. trainer_state.json has the sizes and checksums of the other files and one of itself, so damage shows when it is read.
 * 3. writing-STEP and removing-STEP are what a run that was killed left half done; the next one removes them. */
#include "train/run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define PREFIX   "checkpoint-"
#define WRITING  "writing-"
#define REMOVING "removing-"
#define DAMAGED  "damaged-"
#define STATE    "trainer_state.json"
enum { MAX_STATE = 64 << 20 };

static char *folder(const char *out, const char *prefix, int64_t step)
{
    char name[64];
    snprintf(name, sizeof name, "%s%lld", prefix, (long long)step);
    return sc_path_join(out, name);
}

/* STEP of "checkpoint-STEP"; -1: another name. */
static int64_t step_of(const char *name)
{
    char *end;
    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0) return -1;
    const char *digits = name + strlen(PREFIX);
    if (*digits < '0' || *digits > '9') return -1;
    long long step = strtoll(digits, &end, 10);
    return *end ? -1 : step;
}

/* The last checkpoint before step `before` whose step is a multiple of `every`; -1: none. */
static int64_t find_before(const char *out, int64_t before, int64_t every)
{
    int64_t best = -1;
    DIR *d = opendir(out);
    for (struct dirent *e; d && (e = readdir(d));) {
        int64_t step = step_of(e->d_name);
        if (step >= 0 && step < before && step % every == 0) best = SC_MAX(best, step);
    }
    if (d) closedir(d);
    return best;
}

bool sc_checkpoint_any(const char *out) { return find_before(out, INT64_MAX, 1) >= 0; }

static void remove_folder(const char *dir)
{
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        bool itself = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
        char *path = itself ? NULL : sc_path_join(dir, e->d_name);
        if (path) unlink(path);
        sc_free(path);
    }
    if (d) closedir(d);
    rmdir(dir);
}

/* So that a rename is on the disk too. */
static void sync_folder(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    fsync(fd);
    close(fd);
}

static bool begins(const char *name, const char *with) { return strncmp(name, with, strlen(with)) == 0; }

void sc_checkpoint_clean(const char *out)
{
    DIR *d = opendir(out);
    for (struct dirent *e; d && (e = readdir(d));) {
        bool folder = begins(e->d_name, WRITING) || begins(e->d_name, REMOVING);
        char *path = folder || strstr(e->d_name, ".partial.") ? sc_path_join(out, e->d_name) : NULL;
        if (path && folder)
            remove_folder(path);
        else if (path)
            unlink(path);
        sc_free(path);
    }
    if (d) closedir(d);
}

/* ---- sealing and checking ---- */

static void sum_text(char hex[16], const void *p, int64_t n) { snprintf(hex, 16, "%08x", sc_crc32c(0, p, n)); }

/* Of a state without its own sum. */
static sc_status state_sum(const json_t *state, char hex[16])
{
    json_t *rest = json_copy((json_t *)(uintptr_t)state);
    if (rest) json_object_del(rest, "crc32c");
    char *text = rest ? json_dumps(rest, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17)) : NULL;
    if (text) sum_text(hex, text, (int64_t)strlen(text));
    sc_free(text);
    json_decref(rest);
    return text ? SC_OK : sc_nomem();
}

sc_status sc_checkpoint_write_state(const char *dir, json_t *state)
{
    char hex[16];
    sc_status s = state_sum(state, hex);
    if (!s && json_object_set_new(state, "crc32c", json_string(hex)) != 0) s = sc_nomem();
    char *path = sc_path_join(dir, STATE),
         *text = s ? NULL : json_dumps(state, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    if (!s) s = path && text ? sc_file_write(path, text, (int64_t)strlen(text)) : sc_nomem();
    sc_free(text);
    sc_free(path);
    return s;
}

sc_status sc_checkpoint_read_state(json_t **out, const char *dir)
{
    char hex[16], *path = sc_path_join(dir, STATE);
    json_t *state = NULL;
    sc_status s = path ? sc_json_read(&state, path, MAX_STATE) : sc_nomem();
    if (!s) s = state_sum(state, hex);
    const char *told = json_string_value(json_object_get(state, "crc32c"));
    if (!s && (!told || strcmp(told, hex) != 0))
        s = sc_fail(SC_EFORMAT, "%s does not have the checksum that it names", path);
    sc_free(path);
    if (s)
        json_decref(state);
    else
        *out = state;
    return s;
}

/* Sizes and sums of the files in a folder but the state. */
static sc_status add_sums(const char *dir, json_t *files)
{
    sc_status s = SC_OK;
    DIR *d = opendir(dir);
    for (struct dirent *e; !s && d && (e = readdir(d));) {
        char hex[16],
            *path = e->d_name[0] == '.' || strcmp(e->d_name, STATE) == 0 ? NULL : sc_path_join(dir, e->d_name);
        sc_buffer *file;
        if (!path) continue;
        s = sc_file_map(&file, path);
        if (!s) {
            sum_text(hex, file->data, file->size);
            json_t *sum = json_pack("{s:I, s:s}", "bytes", (json_int_t)file->size, "crc32c", hex);
            if (json_object_set_new(files, e->d_name, sum) != 0) s = sc_nomem();
            sc_buffer_unref(file);
        }
        sc_free(path);
    }
    if (d) closedir(d);
    return s;
}

sc_status sc_checkpoint_seal(const char *dir, json_t *state)
{
    json_t *files = json_object();
    sc_status s = files ? add_sums(dir, files) : sc_nomem();
    if (!s && json_object_set(state, "files", files) != 0) s = sc_nomem();
    json_decref(files);
    if (!s) s = sc_checkpoint_write_state(dir, state);
    if (!s) sync_folder(dir);
    return s;
}

static sc_status check_file(const char *dir, const char *name, const json_t *sum)
{
    char hex[16], *path = strchr(name, '/') ? NULL : sc_path_join(dir, name);
    const char *told = json_string_value(json_object_get(sum, "crc32c"));
    int64_t bytes = json_integer_value(json_object_get(sum, "bytes"));
    sc_buffer *file;
    sc_status s =
        path && told ? sc_file_map(&file, path) : sc_fail(SC_EFORMAT, "%s: '%s' is no file's name", dir, name);
    if (!s) {
        if (file->size != bytes)
            s = sc_fail(SC_EFORMAT, "%s has %lld bytes, not %lld", path, (long long)file->size, (long long)bytes);
        else
            sum_text(hex, file->data, file->size);
        if (!s && strcmp(told, hex) != 0) s = sc_fail(SC_EFORMAT, "%s has another checksum than it should", path);
        sc_buffer_unref(file);
    }
    sc_free(path);
    return s;
}

/* The state of a checkpoint that is whole. */
static sc_status check(const char *dir, json_t **out)
{
    static const char *const needed[2][3] = {
        {"config.json", "model.safetensors", "optimizer.safetensors"},
        {"adapter_config.json", "adapter_model.safetensors", "optimizer.safetensors"}};
    const char *name;
    json_t *state, *sum;
    sc_status s = sc_checkpoint_read_state(&state, dir);
    if (s) return s;
    json_t *files = json_object_get(state, "files");
    bool adapter = json_object_get(files, needed[1][0]) != NULL;
    for (int i = 0; !s && i < SC_COUNT(needed[0]); i++)
        if (!json_object_get(files, needed[adapter][i]))
            s = sc_fail(SC_EFORMAT, "%s lacks %s", dir, needed[adapter][i]);
    json_object_foreach(files, name, sum)
    {
        if (!s) s = check_file(dir, name, sum);
    }
    if (s)
        json_decref(state);
    else
        *out = state;
    return s;
}

static void put_aside(const char *out, int64_t step)
{
    char *from = folder(out, PREFIX, step), *to = folder(out, DAMAGED, step);
    if (from && to) {
        remove_folder(to);
        if (rename(from, to) == 0) sync_folder(out);
    }
    sc_free(from);
    sc_free(to);
}

sc_status sc_checkpoint_last(const sc_context *ctx, const char *out, int64_t every, char **dir, json_t **state)
{
    enum { MOST = 64 };
    int64_t step = INT64_MAX, bad[MOST];
    int n_bad = 0;
    char why[600] = "";
    while ((step = find_before(out, step, every)) >= 0 && n_bad < MOST) {
        char *path = folder(out, PREFIX, step);
        json_t *found;
        if (!path) return sc_nomem();
        sc_status s = check(path, &found);
        if (!s) {
            for (int i = 0; i < n_bad; i++) put_aside(out, bad[i]);
            if (n_bad)
                sc_log(ctx, SC_LOG_WARNING, "%s; it is now %s%lld, and the one before it, " PREFIX "%lld, is used",
                       why, DAMAGED, (long long)bad[0], (long long)step);
            *dir = path;
            *state = found;
            return SC_OK;
        }
        sc_free(path);
        if (s == SC_ENOMEM) return s;
        if (!n_bad) snprintf(why, sizeof why, "%s", sc_error());
        bad[n_bad++] = step;
    }
    if (n_bad) return sc_fail(SC_EFORMAT, "%s: no checkpoint is whole: %s", out, why);
    return sc_fail(SC_ENOTFOUND, "%s has no checkpoint to go on from", out);
}

/* ---- putting in place ---- */

sc_status sc_checkpoint_begin(const char *out, int64_t step, char **made)
{
    char *dir = folder(out, WRITING, step);
    if (!dir) return sc_nomem();
    remove_folder(dir);
    sc_status s = sc_mkdirs(dir);
    if (s)
        sc_free(dir);
    else
        *made = dir;
    return s;
}

static void take_away(const char *out, int64_t step)
{
    char *from = folder(out, PREFIX, step), *to = folder(out, REMOVING, step);
    if (from && to && sc_path_exists(from) && rename(from, to) == 0) remove_folder(to);
    sc_free(from);
    sc_free(to);
}

/* Keeps `keep` checkpoints of the regular steps; one that a stop made in between goes when there is a later one. */
static void prune(const char *out, int64_t newest, int64_t keep, int64_t every)
{
    int64_t kept = newest % every == 0;
    for (int64_t step = newest; (step = find_before(out, step, 1)) >= 0;) {
        bool stays = step % every == 0 && kept < keep;
        kept += stays;
        if (!stays) take_away(out, step);
    }
}

sc_status sc_checkpoint_end(const char *out, char *made, int64_t step, int64_t keep, int64_t every)
{
    char *dir = folder(out, PREFIX, step);
    sc_status s = dir ? SC_OK : sc_nomem();
    if (!s) {
        take_away(out, step); /* of before a damaged one */
        if (rename(made, dir) != 0) s = sc_fail(SC_EIO, "cannot rename %s: %s", made, strerror(errno));
    }
    if (!s) {
        sync_folder(out);
        prune(out, step, keep, every);
    }
    sc_free(dir);
    return s;
}

void sc_checkpoint_abandon(char *made) { remove_folder(made); }

/* ---- the run's folder as a model ---- */

static sc_status copy_small(const char *from, const char *to)
{
    sc_buffer *file;
    sc_status s = sc_file_map(&file, from);
    if (!s) {
        s = sc_file_write(to, file->data, file->size);
        sc_buffer_unref(file);
    }
    return s;
}

/* The same file under a second name, since weights are large; a copy where the file system has no links. */
static sc_status share_file(const char *from, const char *to)
{
    sc_str beside = {0};
    sc_str_printf(&beside, "%s.partial.link", to);
    if (beside.oom) return sc_nomem();
    unlink(beside.p);
    bool done = link(from, beside.p) == 0 && rename(beside.p, to) == 0;
    unlink(beside.p); /* renaming does nothing where both are the same file already */
    sc_str_free(&beside);
    return done ? SC_OK : copy_small(from, to);
}

sc_status sc_checkpoint_publish(const char *out, const char *dir, bool average)
{
    sc_status s = SC_OK;
    DIR *d = opendir(dir);
    if (!d) return sc_fail(SC_EIO, "cannot read %s: %s", dir, strerror(errno));
    for (struct dirent *e; !s && (e = readdir(d));) {
        const char *name = e->d_name;
        bool weights = strcmp(name, "model.safetensors") == 0 || strcmp(name, "ema.safetensors") == 0 ||
                       strcmp(name, "adapter_model.safetensors") == 0;
        if (name[0] == '.' || strcmp(name, "optimizer.safetensors") == 0 || strncmp(name, "rollouts", 8) == 0)
            continue;
        if (average && strcmp(name, "model.safetensors") == 0) name = "ema.safetensors";
        char *from = sc_path_join(dir, name), *to = sc_path_join(out, e->d_name);
        s = !from || !to ? sc_nomem() : weights ? share_file(from, to) : copy_small(from, to);
        sc_free(from);
        sc_free(to);
    }
    closedir(d);
    if (!s) sync_folder(out);
    return s;
}
