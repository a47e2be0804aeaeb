/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes and the lines of files that may be compressed: plain, gzip (RFC 1952, any number of members) or zstd
 * (RFC 8878, any number of frames; skippable ones are passed over). What a file is, its first bytes say, not its name.
 *
 * Memory does not depend on the size of a file. What is broken in a compressed file ends where the next member begins:
 * it is counted and passed over, or refused where the caller is strict. A reader has one owner. */
#ifndef SOCLE_BYTES_H
#define SOCLE_BYTES_H

#include "socle/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sc_bytes sc_bytes;

typedef struct sc_bytes_options {
    bool strict;     /* the first broken member is a failure (SC_EFORMAT, SC_ELIMIT), told with its place */
    int64_t ratio;   /* most bytes that one compressed byte may become, counted over a member past its first 16 MiB;
                        0: 1,000. A member beyond it is a broken one */
    int64_t most;    /* bytes to give in all, then SC_ELIMIT; 0: no limit */
    int window_bits; /* of a zstd frame, 10 to 31: its decoder needs 2 to that many bytes; 0: 27 (128 MiB), as the
                        zstd command has it. A frame beyond it is a broken one */
    int64_t
        start; /* where in the file to begin: in a compressed one where a member begins (`member` of the counts) */
} sc_bytes_options;

typedef struct sc_bytes_counts {
    int64_t in, out; /* bytes of the file passed, and given */
    int64_t size;    /* the file's bytes; 0: not known (a pipe) */
    int64_t members; /* begun: of a compressed file its members or frames, else 1 */
    int64_t broken;  /* members that were invalid, cut off or beyond a limit, and stretches that belong to none */
    int64_t lost;    /* bytes of the file that were passed over because of them */
    int64_t fault;   /* where in the file the member began that was broken last */
    bool packed;     /* the file is gzip or zstd */
    int64_t member;  /* where in the file the member began that the last bytes came from; a plain file: 0 */
} sc_bytes_counts;

/* Opens a regular file, or standard input for "-". options may be NULL. SC_ENOTFOUND, SC_EIO, SC_EINVAL (a folder,
 * options out of range), SC_EUNSUPPORTED (bzip2, xz: the message says what to do), SC_ENOMEM. */
SC_API sc_status sc_bytes_open(sc_bytes **out, const char *path, const sc_bytes_options *options);
SC_API void sc_bytes_close(sc_bytes *b);

/* Up to `cap` (> 0) bytes into p, *n of them; 0 at the end alone. They come from one member. *gap (may be NULL): bytes
 * before these were lost, so what was begun before is not continued here; at the end it may be true too. */
SC_API sc_status sc_bytes_read(sc_bytes *b, void *p, int64_t cap, int64_t *n, bool *gap);
SC_API sc_bytes_counts sc_bytes_count(const sc_bytes *b);

/* All bytes of a file, of which there may be `most` at most; strict. *data is owned (sc_free) and ends in a NUL that
 * *len does not count. */
SC_API sc_status sc_bytes_all(char **data, int64_t *len, const char *path, int64_t most);

/* Does the name end so, with or without .gz or .zst behind? sc_path_is("a.jsonl.gz", ".jsonl") is true. */
SC_API bool sc_path_is(const char *path, const char *suffix);

/* ---- lines ---- */

typedef struct sc_line_reader sc_line_reader;

typedef struct sc_line_options {
    sc_bytes_options bytes;
    int64_t longest; /* bytes of a line, without its end; 0: 16 MiB */
    bool cut;        /* a longer line is cut at a character's end there, else left out; both are counted */
    bool behind;     /* what comes before the first line's end is not given: bytes.start may be within a line */
    int64_t to;      /* lines that begin at this byte of the unpacked file or behind it are not given; 0: all are */
} sc_line_options;

typedef struct sc_line_counts {
    sc_bytes_counts bytes;
    int64_t lines;  /* that were met, empty ones too: the number of the one given last, from 1 */
    int64_t longer; /* left out or cut because of their length */
    int64_t torn;   /* left out because a broken member took a part of them */
    int64_t begin;  /* where in the unpacked file the one given last began */
} sc_line_counts;

SC_API sc_status sc_line_reader_open(sc_line_reader **out, const char *path, const sc_line_options *options);
SC_API void sc_line_reader_close(sc_line_reader *l);
/* The next line without its "\n" or "\r\n", valid until the next call; *p is NULL at the end. A byte order mark before
 * the first is dropped. The bytes are as the file has them: any, NUL too. */
SC_API sc_status sc_line_reader_next(sc_line_reader *l, const char **p, int64_t *n);
SC_API sc_line_counts sc_line_reader_count(const sc_line_reader *l);

#ifdef __cplusplus
}
#endif
#endif
