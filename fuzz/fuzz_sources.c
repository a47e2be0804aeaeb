/* SPDX-License-Identifier: Apache-2.0 */
/* Files of sources, plain or compressed: the first byte says which format reads them. */
#include "data/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct {
        const sc_format *format;
        const char *settings;
    } kinds[] = {{&sc_format_warc, "{}"},
                 {&sc_format_jsonl, "{\"text\": \"a.b\"}"},
                 {&sc_format_text, "{\"documents\": \"paragraphs\"}"},
                 {&sc_format_text, "{}"},
                 {&sc_format_html, "{}"}};
    if (size < 1) return 0;
    int fd = memfd_create("input", 0);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fd < 0 || write(fd, data + 1, size - 1) != (ssize_t)size - 1) abort();
    int kind = data[0] % SC_COUNT(kinds);
    const sc_format *f = kinds[kind].format;
    json_t *json = json_loads(kinds[kind].settings, 0, NULL);
    sc_reader_setup x = {.path = path,
                         .from = data[0] >> 4,
                         .to = INT64_MAX,
                         .largest = 4096,
                         .settings = {"source", json, f->settings}};
    void *self;
    if (f->open(&self, &x) == SC_OK) {
        sc_document d = {0};
        sc_found found = {0};
        sc_status s = SC_OK;
        /* No reader tells of more things than there are bytes. */
        for (int64_t n = 0; !s && found.what != SC_READ_END; n++) {
            if (n > 4096 + 64 * (int64_t)size && kind != 3) abort();
            found = (sc_found){0};
            sc_document_clear(&d);
            s = f->next(self, &d, &found);
            if (found.what == SC_READ_DOCUMENT && d.text.len > 2 * x.largest) abort();
        }
        sc_document_free(&d);
        f->free(self);
    }
    json_decref(json);
    close(fd);
    return 0;
}
