/* SPDX-License-Identifier: Apache-2.0
 *
 * crc32c: polynomial 0x1EDC6F41 reflected (0x82F63B78), initial and final xor 0xFFFFFFFF
 * (docs/model_garden/data.md section 5). By the instructions of SSE4.2 or of ARMv8's CRC32 where
 * the processor has them, else slicing by eight. */
#include <pthread.h>
#include <string.h>
#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

#include "bt/base/bytes.h"
#include "bt/base/crc32c.h"

static uint32_t       tables[8][256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void make_tables(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) {
            c = (c & 1) != 0 ? (c >> 1) ^ UINT32_C(0x82F63B78) : c >> 1;
        }
        tables[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; i++) {
        for (int t = 1; t < 8; t++) {
            tables[t][i] = tables[0][tables[t - 1][i] & 0xff] ^ (tables[t - 1][i] >> 8);
        }
    }
}

uint32_t bt_crc32c_table(uint32_t crc, const void *data, size_t n) {
    (void)pthread_once(&tables_once, make_tables);
    const uint8_t *p = data;
    uint32_t       c = ~crc;
    for (; n >= 8; n -= 8, p += 8) {
        const uint64_t w = bt_load_u64le(p) ^ c;
        c = tables[7][w & 0xff] ^ tables[6][(w >> 8) & 0xff] ^ tables[5][(w >> 16) & 0xff] ^
            tables[4][(w >> 24) & 0xff] ^ tables[3][(w >> 32) & 0xff] ^
            tables[2][(w >> 40) & 0xff] ^ tables[1][(w >> 48) & 0xff] ^ tables[0][w >> 56];
    }
    for (; n > 0; n--, p++) {
        c = tables[0][(c ^ *p) & 0xff] ^ (c >> 8);
    }
    return ~c;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const void *data,
                                                                 size_t n) {
    const uint8_t *p = data;
    uint64_t       c = ~crc;
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t w = 0;
        memcpy(&w, p, sizeof w);
        c = __builtin_ia32_crc32di(c, w);
    }
    uint32_t c32 = (uint32_t)c;
    for (; n > 0; n--, p++) {
        c32 = __builtin_ia32_crc32qi(c32, *p);
    }
    return ~c32;
}

bool bt_crc32c_has_instruction(void) {
    return __builtin_cpu_supports("sse4.2");
}

#elif defined(__aarch64__) && defined(__linux__)

#if defined(__clang__)
#define CRC_TARGET __attribute__((target("crc")))
#define CRC_OF_8 __builtin_arm_crc32cd
#define CRC_OF_1 __builtin_arm_crc32cb
#else
#define CRC_TARGET __attribute__((target("+crc")))
#define CRC_OF_8 __builtin_aarch64_crc32cx
#define CRC_OF_1 __builtin_aarch64_crc32cb
#endif

CRC_TARGET static uint32_t by_instruction(uint32_t crc, const void *data, size_t n) {
    const uint8_t *p = data;
    uint32_t       c = ~crc;
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t w = 0;
        memcpy(&w, p, sizeof w);
        c = CRC_OF_8(c, w);
    }
    for (; n > 0; n--, p++) {
        c = CRC_OF_1(c, *p);
    }
    return ~c;
}

bool bt_crc32c_has_instruction(void) {
    enum { CRC32 = 1 << 7 }; /* of AT_HWCAP */
    return (getauxval(AT_HWCAP) & CRC32) != 0;
}

#else

static uint32_t by_instruction(uint32_t crc, const void *data, size_t n) {
    return bt_crc32c_table(crc, data, n);
}

bool bt_crc32c_has_instruction(void) {
    return false;
}
#endif

uint32_t bt_crc32c(uint32_t crc, const void *data, size_t n) {
    return bt_crc32c_has_instruction() ? by_instruction(crc, data, n)
                                       : bt_crc32c_table(crc, data, n);
}

uint32_t bt_crc32c_mask(uint32_t crc) {
    return ((crc >> 15) | (crc << 17)) + UINT32_C(0xa282ead8);
}
