/* SPDX-License-Identifier: Apache-2.0
 *
 * Text of another encoding -> UTF-8, by the iconv of libc; and what to say of bytes that are not
 * UTF-8, most of which are Windows-1252 (of which Latin-1 is a part, controls apart). */
#include <errno.h>
#include <iconv.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "text_source.h"

enum { NAME_MAX_BYTES = 64, CHARACTER_MAX_BYTES = 16, OUT_BYTES = 1 << 16 };

struct text_decoder {
    iconv_t     cd;
    const char *encoding; /* borrowed, as the next two */
    const char *path;
    const char *key;
    char        rest[CHARACTER_MAX_BYTES]; /* of a character whose end is in the next piece */
    size_t      n_rest;
    int64_t     n_done; /* bytes before the rest */
    char        out[OUT_BYTES];
};

/* Python's names are taken too: latin-1, utf_16_le, cp1252. */
static iconv_t open_converter(const char *encoding) {
    char    plain[NAME_MAX_BYTES] = "";
    size_t  n = 0;
    iconv_t cd = iconv_open("UTF-8", encoding);
    for (const char *p = encoding; *p != '\0' && n + 1 < sizeof plain; p++) {
        if (*p != '-' && *p != '_') {
            plain[n++] = *p;
        }
    }
    plain[n] = '\0';
    return cd != (iconv_t)-1 ? cd : iconv_open("UTF-8", plain);
}

bt_status text_decoder_create(const char *encoding, const char *path, const char *key,
                              text_decoder **out, bt_error *err) {
    text_decoder *const decoder = bt_calloc_array(1, sizeof *decoder);
    if (decoder == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "%s: out of memory to convert it from %s", path, encoding);
    }
    decoder->cd = open_converter(encoding);
    decoder->encoding = encoding;
    decoder->path = path;
    decoder->key = key;
    if (decoder->cd == (iconv_t)-1) {
        bt_free(decoder);
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s: the encoding '%.60s' is not known; expected a name that "
                       "iconv -l lists, as utf-8, windows-1252, utf-16le",
                       key, encoding);
    }
    *out = decoder;
    return BT_OK;
}

void text_decoder_free(text_decoder *decoder) {
    if (decoder != NULL) {
        (void)iconv_close(decoder->cd);
        bt_free(decoder);
    }
}

static bt_status refuse_bytes(const text_decoder *decoder, const char *at, size_t left,
                              bt_error *err) {
    static const char digits[] = "0123456789abcdef";
    char              bytes[4 * 3 + 1] = "";
    const size_t      n = left < 4 ? left : 4;
    for (size_t i = 0; i < n; i++) {
        bytes[3 * i] = digits[(unsigned char)at[i] >> 4];
        bytes[3 * i + 1] = digits[(unsigned char)at[i] & 15];
        bytes[3 * i + 2] = i + 1 < n ? ' ' : '\0';
    }
    return BT_FAIL(err, BT_E_FORMAT,
                   "%s: byte %" PRId64 " (%s) is not text in the encoding %s (a byte order mark or "
                   "%s says so)",
                   decoder->path, decoder->n_done, bytes, decoder->encoding, decoder->key);
}

/* Converts what can be: *at and *left move. */
static bt_status convert(text_decoder *decoder, char **at, size_t *left, bt_fs_scratch *out,
                         bt_error *err) {
    while (*left > 0) {
        char        *to = decoder->out;
        size_t       room = sizeof decoder->out;
        const size_t before = *left;
        const size_t result = iconv(decoder->cd, at, left, &to, &room);
        const int    why = result == (size_t)-1 ? errno : 0;
        decoder->n_done += (int64_t)(before - *left);
        BT_TRY(bt_fs_scratch_append(out, decoder->out, sizeof decoder->out - room, err));
        if (why == EINVAL) {
            return BT_OK; /* a character's end is missing yet */
        }
        if (why != 0 && why != E2BIG) {
            return refuse_bytes(decoder, *at, *left, err);
        }
    }
    return BT_OK;
}

/* The character that began in the piece before, completed byte by byte. */
static bt_status finish_rest(text_decoder *decoder, const char **bytes, size_t *n,
                             bt_fs_scratch *out, bt_error *err) {
    while (decoder->n_rest > 0 && *n > 0) {
        decoder->rest[decoder->n_rest++] = **bytes;
        *bytes += 1;
        *n -= 1;
        char  *at = decoder->rest;
        size_t left = decoder->n_rest;
        BT_TRY(convert(decoder, &at, &left, out, err));
        memmove(decoder->rest, at, left);
        decoder->n_rest = left;
        if (left == sizeof decoder->rest) {
            return refuse_bytes(decoder, decoder->rest, left, err);
        }
    }
    return BT_OK;
}

bt_status text_decode(text_decoder *decoder, const char *bytes, size_t n, bool is_last,
                      bt_fs_scratch *out, bt_error *err) {
    BT_TRY(finish_rest(decoder, &bytes, &n, out, err));
    char  *at = (char *)(uintptr_t)bytes; /* iconv's type; it does not write there */
    size_t left = n;
    BT_TRY(convert(decoder, &at, &left, out, err));
    if (left > 0 && left < sizeof decoder->rest) {
        memcpy(decoder->rest, at, left);
        decoder->n_rest = left;
    }
    if (is_last && decoder->n_rest > 0) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: ends within a character of the encoding %s: was it copied whole?",
                       decoder->path, decoder->encoding);
    }
    return BT_OK;
}

/* The text around a byte, as it would read in Windows-1252. */
const char *bt_text_encoding_advice(const char *key, const char *row, size_t n, size_t at,
                                    char advice[BT_TEXT_ADVICE_MAX]) {
    enum { BEFORE = 8, AFTER = 4 };
    size_t first = at;
    while (first > 0 && at - first < BEFORE && (unsigned char)row[first - 1] >= 0x20 &&
           (unsigned char)row[first - 1] < 0x80) {
        first--;
    }
    size_t end = at + 1;
    while (end < n && end - at <= AFTER && (unsigned char)row[end] >= 0x20 &&
           (unsigned char)row[end] < 0x7f) {
        end++;
    }
    char          shown[4 * (BEFORE + AFTER + 2)] = "";
    char         *from = (char *)(uintptr_t)(row + first); /* as above */
    char         *to = shown;
    size_t        left = end - first;
    size_t        room = sizeof shown - 1;
    const iconv_t cd = iconv_open("UTF-8", "WINDOWS-1252");
    advice[0] = '\0';
    if (cd == (iconv_t)-1) {
        return advice;
    }
    const bool fits = iconv(cd, &from, &left, &to, &room) != (size_t)-1;
    (void)iconv_close(cd);
    if (fits && (unsigned char)row[at] >= 0x80) {
        (void)snprintf(advice, BT_TEXT_ADVICE_MAX,
                       "; in Windows-1252 (Latin-1) it would read '%s': if that is meant, set "
                       "%s=windows-1252",
                       shown, key);
    }
    return advice;
}
