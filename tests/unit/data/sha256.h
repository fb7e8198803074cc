/* SPDX-License-Identifier: Apache-2.0
 *
 * SHA-256 (FIPS 180-4) of a few kilobytes, because the loaders' goldens name batches by it. */
#ifndef TEST_SHA256_H
#define TEST_SHA256_H

#include <stddef.h>

/* The first 16 hex digits and a NUL into text. */
void sha256_16(const void *bytes, size_t n, char text[17]);

#endif
