/* SPDX-License-Identifier: Apache-2.0
 *
 * png_program WIDTH HEIGHT < pixels > picture.png: the program that png_judge.py judges. */
#include <stdio.h>
#include <stdlib.h>

#include "bt/base/alloc.h"
#include "bt/wire/png.h"

int main(int argc, char **argv) {
    bt_error       err = BT_ERROR_INIT;
    bt_str         png = BT_STR_INIT;
    const uint32_t width = argc == 3 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
    const uint32_t height = argc == 3 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
    const size_t   n = (size_t)width * height;
    uint8_t *const pixels = bt_alloc_array(n + 1, 1);
    if (n == 0 || pixels == NULL || fread(pixels, 1, n + 1, stdin) != n) {
        (void)fprintf(stderr, "usage: png_program WIDTH HEIGHT < a byte a pixel\n");
        return 2;
    }
    const bt_status rc = bt_png_append(&png, pixels, width, height, &err);
    const bool      is_written =
        rc == BT_OK && fwrite(png.data, 1, png.len, stdout) == png.len && fflush(stdout) == 0;
    bt_str_deinit(&png);
    bt_free(pixels);
    return is_written ? 0 : 1;
}
