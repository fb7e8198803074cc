/* SPDX-License-Identifier: Apache-2.0
 *
 * PNG files of gray pictures (PNG specification, third edition; RFC 1950 within). */
#ifndef BT_WIRE_PNG_H
#define BT_WIRE_PNG_H

#include "bt/base/str.h"

/* Appends the file of a picture, a byte a pixel (0: black), row by row. */
BT_MUST_USE bt_status bt_png_append(bt_str *out, const uint8_t *pixels, uint32_t width,
                                    uint32_t height, bt_error *err);

#endif
