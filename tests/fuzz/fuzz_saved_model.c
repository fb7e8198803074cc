/* SPDX-License-Identifier: Apache-2.0
 *
 * The messages of a SavedModel: the texts that are found have no more bytes than the input, all of
 * which are there. */
#include <stdlib.h>

#include "bt/base/bytes.h"
#include "bt/wire/saved_model.h"
#include "fuzz_targets.h"

typedef struct budget {
    size_t  left;
    uint8_t sum;
} budget;

static bt_status check_text(void *context, bt_bytes text, bt_error *err) {
    budget *const b = context;
    (void)err;
    if (text.n_bytes > b->left) {
        abort();
    }
    b->left -= text.n_bytes;
    for (size_t i = 0; i < text.n_bytes; i++) {
        b->sum ^= text.data[i];
    }
    return BT_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    for (int i = 0; i < 2; i++) {
        budget b = {.left = size};
        (void)(bt_saved_model_texts((bt_bytes){data, size}, i == 0, check_text, &b, NULL) == BT_OK);
    }
    return 0;
}
