/* SPDX-License-Identifier: Apache-2.0 */
/* A shard: this header, tokens, where documents end, which source each is of. docs/data.md describes it. */
#ifndef SC_DATA_SHARDS_H
#define SC_DATA_SHARDS_H

#include "base/base.h"

#define SC_SHARD_MAGIC "SOCLESHD"
enum { SC_SHARD_VERSION = 1 };

/* Little-endian, 128 bytes. Behind it, each filled up with zeros to a multiple of 8 bytes: tokens of token_bytes each;
 * documents int64, the token behind each document's last; documents int32, each one's source. */
typedef struct sc_shard_header {
    char magic[8];
    uint32_t version, token_bytes; /* 2 or 4 */
    int64_t tokens, documents;
    int64_t sequence;       /* documents lie whole in sequences of so many tokens; 0: they do not */
    uint64_t tokenizer;     /* sc_data_fingerprint */
    int32_t eos;            /* that each document ends with; -1: none */
    uint32_t vocab;         /* ids are below */
    uint32_t number, count; /* of all shards */
    uint8_t rest[56];       /* 0 */
    uint32_t crc;           /* CRC-32C of everything behind the header */
    uint32_t header_crc;    /* of the header before this */
} sc_shard_header;
_Static_assert(sizeof(sc_shard_header) == 128, "the format's");

static inline int64_t sc_shard_padded(int64_t n) { return (n + 7) / 8 * 8; }

#endif
