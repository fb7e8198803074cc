/* SPDX-License-Identifier: Apache-2.0
 *
 * The key of a job and proofs that one knows it: HMAC-SHA256 (RFC 2104), made of the digests that
 * the room fs has. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "bt/fs.h"
#include "comm_internal.h"

static int digit_of(char c) {
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* SHA-256 of the pieces, one after another. */
static bt_status digest(const comm_span *pieces, size_t n, uint8_t out[32], bt_error *err) {
    bt_fs_hasher *hasher = NULL;
    char          hex[BT_FS_HEX_MAX] = "";
    bt_status     rc = BT_OK;
    BT_CHECK(bt_fs_hasher_create(BT_FS_SHA256, &hasher, err));
    for (size_t i = 0; i < n; i++) {
        BT_CHECK(bt_fs_hasher_add(hasher, pieces[i].data, pieces[i].n, err));
    }
    BT_CHECK(bt_fs_hasher_finish(hasher, hex, err));
    for (size_t i = 0; i < 32; i++) {
        out[i] = (uint8_t)(digit_of(hex[2 * i]) << 4 | digit_of(hex[2 * i + 1]));
    }
done:
    bt_fs_hasher_free(hasher);
    if (rc == BT_E_UNSUPPORTED) {
        (void)bt_error_prefix(err, "several processes of one job");
    }
    return rc;
}

bt_status comm_key_make(const char *name, const char *secret, comm_key *out, bt_error *err) {
    const comm_span pieces[] = {
        {name, strlen(name) + 1},
        {secret != NULL ? secret : "", secret != NULL ? strlen(secret) : 0}};
    return digest(pieces, BT_ARRAY_LEN(pieces), out->bytes, err);
}

bt_status comm_mac(const comm_key *key, const char *purpose, const void *bytes, size_t n_bytes,
                   uint8_t out[COMM_MAC_BYTES], bt_error *err) {
    uint8_t inner[64];
    uint8_t outer[64];
    uint8_t first[32];
    memset(inner, 0x36, sizeof inner);
    memset(outer, 0x5c, sizeof outer);
    for (size_t i = 0; i < COMM_KEY_BYTES; i++) {
        inner[i] ^= key->bytes[i];
        outer[i] ^= key->bytes[i];
    }
    const comm_span inside[] = {
        {inner, sizeof inner}, {purpose, strlen(purpose) + 1}, {bytes, n_bytes}};
    const comm_span outside[] = {{outer, sizeof outer}, {first, sizeof first}};
    BT_TRY(digest(inside, BT_ARRAY_LEN(inside), first, err));
    return digest(outside, BT_ARRAY_LEN(outside), out, err);
}

bool comm_equal(const uint8_t *a, const uint8_t *b, size_t n) {
    unsigned difference = 0;
    for (size_t i = 0; i < n; i++) {
        difference |= (unsigned)(a[i] ^ b[i]);
    }
    return difference == 0;
}

bt_status comm_random(void *bytes, size_t n, bt_error *err) {
    ssize_t got = -1;
    do {
        got = getrandom(bytes, n, 0);
    } while (got < 0 && errno == EINTR);
    if (got != (ssize_t)n) {
        return BT_FAIL(err, BT_E_RESOURCE, "the system provides no random numbers: %s",
                       strerror(errno));
    }
    return BT_OK;
}
