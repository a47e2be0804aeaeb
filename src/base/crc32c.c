/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (Castagnoli's polynomial, reflected), eight bytes at a time from tables that are made where they are needed. */
#include "base/base.h"

enum { SLICES = 8, WORTH_TABLES = 1 << 14 };

static uint32_t of_byte(uint32_t x)
{
    for (int bit = 0; bit < 8; bit++) x = (x >> 1) ^ (x & 1 ? 0x82f63b78u : 0);
    return x;
}

static void make_tables(uint32_t table[SLICES][256])
{
    for (uint32_t i = 0; i < 256; i++) table[0][i] = of_byte(i);
    for (int k = 1; k < SLICES; k++)
        for (int i = 0; i < 256; i++) table[k][i] = (table[k - 1][i] >> 8) ^ table[0][table[k - 1][i] & 0xff];
}

uint32_t sc_crc32c(uint32_t crc, const void *p, int64_t n)
{
    const unsigned char *c = p;
    crc = ~crc;
    if (n >= WORTH_TABLES) {
        uint32_t table[SLICES][256];
        make_tables(table);
        for (; n >= 8; n -= 8, c += 8) {
            uint64_t x;
            memcpy(&x, c, 8);
            x ^= crc;
            crc = 0;
            for (int k = 0; k < SLICES; k++) crc ^= table[7 - k][(x >> (8 * k)) & 0xff];
        }
    }
    for (; n > 0; n--) crc = (crc >> 8) ^ of_byte((crc ^ *c++) & 0xff);
    return ~crc;
}
