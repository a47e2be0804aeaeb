/* SPDX-License-Identifier: Apache-2.0 */
/* Parquet is not read: no C library for it is in Debian 12, and one of its files takes a C++ library of many megabytes. Whoever
 * has such files is told what to do. */
#include "data/source.h"

static sc_status parquet_open(void **self, const sc_reader_setup *x)
{
    (void)self;
    return sc_fail(SC_EUNSUPPORTED,
                   "%s: Parquet is not read; make it JSONL first, for instance: "
                   "duckdb -c \"COPY (SELECT text FROM 'FILE.parquet') TO 'FILE.jsonl.gz'\"",
                   x->path);
}

static void parquet_free(void *self) { (void)self; }

static sc_status parquet_next(void *self, sc_document *d, sc_found *found)
{
    (void)self;
    (void)d;
    found->what = SC_READ_END;
    return SC_OK;
}

static int64_t parquet_tell(const void *self)
{
    (void)self;
    return 0;
}

const sc_format sc_format_parquet = {.name = "parquet",
                                     .summary = "not read: it says what to make of it",
                                     .suffixes = "|.parquet|",
                                     .open = parquet_open,
                                     .free = parquet_free,
                                     .next = parquet_next,
                                     .tell = parquet_tell};
