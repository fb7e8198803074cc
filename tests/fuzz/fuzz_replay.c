/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a fuzz target over a corpus without libFuzzer: every file, every file cut at a few places
 * and with bytes changed by a fixed rule. usage: PROGRAM FOLDER */
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/rng.h"
#include "bt/fs.h"
#include "fuzz_targets.h"

enum { N_CHANGES = 300, N_CUTS = 40 };

static void replay(const uint8_t *data, size_t n) {
    uint8_t *const   copy = bt_alloc(n);
    const bt_rng_key key = bt_rng_key_make(1, n, 0, 2);
    (void)LLVMFuzzerTestOneInput(data, n);
    for (uint64_t i = 0; copy != NULL && n > 0 && i < N_CUTS + N_CHANGES; i++) {
        uint32_t words[4];
        bt_rng_block(key, i, words);
        memcpy(copy, data, n);
        if (i < N_CUTS) {
            (void)LLVMFuzzerTestOneInput(copy, words[0] % n);
            continue;
        }
        for (uint32_t k = 0; k <= words[3] % 3; k++) {
            copy[words[k] % n] = (uint8_t)(words[3] >> (8 * (k + 1)));
        }
        (void)LLVMFuzzerTestOneInput(copy, n);
    }
    bt_free(copy);
}

int main(int argc, char **argv) {
    bt_fs_names names = BT_FS_NAMES_INIT;
    bt_error    err = BT_ERROR_INIT;
    if (argc != 2 || bt_fs_list(argv[1], &names, &err) != BT_OK || names.n == 0) {
        (void)fprintf(stderr, "usage: PROGRAM FOLDER with files in it %s\n", err.msg);
        return 2;
    }
    for (size_t i = 0; i < names.n; i++) {
        char  *path = NULL;
        char  *bytes = NULL;
        size_t n = 0;
        if (bt_fs_join(argv[1], names.items[i], &path, &err) != BT_OK ||
            bt_fs_read_all(path, 1U << 24, &bytes, &n, &err) != BT_OK) {
            (void)fprintf(stderr, "%s\n", err.msg);
            return 1;
        }
        replay((const uint8_t *)bytes, n);
        bt_free(bytes);
        bt_free(path);
    }
    (void)printf("%zu inputs\n", names.n);
    bt_fs_names_deinit(&names);
    return 0;
}
