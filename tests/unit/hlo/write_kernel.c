/* SPDX-License-Identifier: Apache-2.0
 *
 * Prints an attention kernel for tests in Python: a line with its grid, then its text. usage:
 * write_kernel forward|backward ROWS SLOTS HEADS HEAD_SIZE f32|bf16|f16 BIAS WORDS SCALE
 * BIAS 0 or 1; WORDS of dropout, 0: none. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hlo_flash.h"

static bt_dtype dtype_of(const char *name) {
    return strcmp(name, "f32") == 0    ? BT_DTYPE_F32
           : strcmp(name, "bf16") == 0 ? BT_DTYPE_BF16
                                       : BT_DTYPE_F16;
}

int main(int argc, char **argv) {
    bt_error   err = BT_ERROR_INIT;
    hlo_kernel kernel = {.text = BT_STR_INIT};
    if (argc != 10) {
        (void)fprintf(stderr, "write_kernel: error: 9 arguments\n");
        return 2;
    }
    const hlo_flash_shape shape = {.n_rows = strtol(argv[2], NULL, 10),
                                   .n_slots = strtol(argv[3], NULL, 10),
                                   .n_heads = strtol(argv[4], NULL, 10),
                                   .head_size = strtol(argv[5], NULL, 10),
                                   .dtype = dtype_of(argv[6]),
                                   .has_bias = strcmp(argv[7], "1") == 0,
                                   .n_words = strtol(argv[8], NULL, 10),
                                   .has_dropout = strtol(argv[8], NULL, 10) > 0,
                                   .scale = strtod(argv[9], NULL)};
    const bt_status       rc = strcmp(argv[1], "forward") == 0
                                   ? hlo_flash_forward(&shape, &kernel, &err)
                                   : hlo_flash_backward(&shape, &kernel, &err);
    if (rc != BT_OK) {
        (void)fprintf(stderr, "write_kernel: error: %s\n", err.msg);
        return 1;
    }
    (void)printf("%lld %lld %lld %d\n%s", (long long)kernel.grid[0], (long long)kernel.grid[1],
                 (long long)kernel.grid[2], (int)kernel.n_warps, bt_str_text(&kernel.text));
    bt_str_deinit(&kernel.text);
    return 0;
}
