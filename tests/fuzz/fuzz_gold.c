/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of gold pairs: what was read is sorted, each pair once, and found again. */
#include <stdlib.h>

#include "fuzz_file.h"
#include "fuzz_targets.h"
#include "task_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    task_gold gold = {0};
    bt_error  err = BT_ERROR_INIT;
    if (task_gold_read(&gold, fuzz_file("gold", data, size), &err) != BT_OK) {
        if (err.msg[0] == '\0' || gold.pairs != NULL) {
            abort();
        }
        return 0;
    }
    for (int64_t i = 0; i < gold.n; i++) {
        const task_gold_pair pair = gold.pairs[i];
        if (pair.left < 0 || pair.right < 0 || !task_gold_has(&gold, pair.left, pair.right)) {
            abort();
        }
        if (i > 0 && pair.left == gold.pairs[i - 1].left && pair.right == gold.pairs[i - 1].right) {
            abort();
        }
    }
    task_gold_deinit(&gold);
    return 0;
}
