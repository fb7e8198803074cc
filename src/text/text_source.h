/* SPDX-License-Identifier: Apache-2.0
 *
 * text, private: bytes of another encoding -> UTF-8. */
#ifndef BT_TEXT_SOURCE_H
#define BT_TEXT_SOURCE_H

#include "bt/text.h"

/* Appends bytes of another encoding in UTF-8: one piece after the other, the rest of a character
 * waits for the next. encoding, path and key are borrowed; key: what sets it, for messages. */
typedef struct text_decoder text_decoder;
bt_status text_decoder_create(const char *encoding, const char *path, const char *key,
                              text_decoder **out, bt_error *err);
void      text_decoder_free(text_decoder *decoder);
bt_status text_decode(text_decoder *decoder, const char *bytes, size_t n, bool is_last,
                      bt_fs_scratch *out, bt_error *err);

#endif
