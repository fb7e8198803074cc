/* SPDX-License-Identifier: Apache-2.0
 *
 * The `checkpoint` state file: what parses is written so that it parses to the same. */
#include <stdlib.h>
#include <string.h>

#include "bt/base/str.h"
#include "bt/wire/state_file.h"
#include "fuzz_targets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bt_ckpt_state state = {0};
    bt_ckpt_state again = {0};
    bt_str        text = BT_STR_INIT;
    if (bt_ckpt_state_parse((const char *)data, size, "fuzz", &state, NULL) != BT_OK) {
        return 0;
    }
    if (bt_ckpt_state_format(&state, &text, NULL) != BT_OK ||
        bt_ckpt_state_parse(bt_str_text(&text), text.len, "again", &again, NULL) != BT_OK ||
        again.n_paths != state.n_paths || again.n_times != state.n_times) {
        abort();
    }
    for (size_t i = 0; i < state.n_paths; i++) {
        if (strcmp(state.paths[i], again.paths[i]) != 0) {
            abort();
        }
    }
    bt_ckpt_state_deinit(&state);
    bt_ckpt_state_deinit(&again);
    bt_str_deinit(&text);
    return 0;
}
