/* SPDX-License-Identifier: Apache-2.0
 *
 * The messages of a SavedModel: every text that is found lies inside the input. */
#include <stdlib.h>

#include "bt/base/bytes.h"
#include "bt/wire/saved_model.h"
#include "fuzz_targets.h"

typedef struct input {
    const uint8_t *data;
    size_t         size;
} input;

static bt_status check_text(void *context, bt_bytes text, bt_error *err) {
    const input *const in = context;
    (void)err;
    if (text.n_bytes > in->size ||
        (text.n_bytes > 0 &&
         (text.data < in->data || text.data + text.n_bytes > in->data + in->size))) {
        abort();
    }
    return BT_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input in = {data, size};
    for (int i = 0; i < 2; i++) {
        (void)(bt_saved_model_texts((bt_bytes){data, size}, i == 0, check_text, &in, NULL) ==
               BT_OK);
    }
    return 0;
}
