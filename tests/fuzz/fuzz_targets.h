/* SPDX-License-Identifier: Apache-2.0
 *
 * The entry point that each fuzz target defines, as libFuzzer wants it. */
#ifndef BT_FUZZ_TARGETS_H
#define BT_FUZZ_TARGETS_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
