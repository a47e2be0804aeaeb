/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a shard of tokens, its checksum made right: what can be opened can be read. */
#include "base/base.h"
#include "data/shards.h"
#include "socle/data.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const sc_data_shards *x)
{
    const sc_data_shards_info *f = sc_data_shards_get(x);
    int32_t ids[100];
    int64_t before = 0;
    for (int64_t at = 0; at < f->tokens; at += 100) {
        int64_t n = SC_MIN(100, f->tokens - at);
        sc_data_shards_read(x, at, n, ids);
        for (int64_t i = 0; i < n; i++)
            if (ids[i] < 0) abort();
    }
    for (int64_t i = 0; i < f->documents; i++) {
        int64_t end = sc_data_shards_end(x, i);
        if (end <= before || end > f->tokens) abort();
        before = end;
        sc_data_shards_source(x, i);
    }
    (void)sc_data_shards_check(x, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sc_data_shards *x;
    char path[64];
    int fd = memfd_create("shard", MFD_CLOEXEC);
    if (fd < 0) return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    for (int mend = 0; mend < 2; mend++) {
        sc_shard_header h;
        if (size < sizeof h) break;
        memcpy(&h, data, sizeof h);
        if (mend) h.header_crc = sc_crc32c(0, &h, (int64_t)offsetof(sc_shard_header, header_crc));
        if (pwrite(fd, &h, sizeof h, 0) != (ssize_t)sizeof h ||
            pwrite(fd, data + sizeof h, size - sizeof h, sizeof h) != (ssize_t)(size - sizeof h))
            break;
        if (sc_data_shards_open(&x, path) != SC_OK) continue;
        read_all(x);
        sc_data_shards_free(x);
    }
    close(fd);
    return 0;
}
