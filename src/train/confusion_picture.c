/* SPDX-License-Identifier: Apache-2.0
 *
 * Draws a table of numbers with a font of the few signs that it needs. */
#include "confusion_picture.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"

enum {
    SCALE = 2, /* pixels of a dot */
    SIGN_COLUMNS = 5,
    SIGN_ROWS = 7,
    ADVANCE = (SIGN_COLUMNS + 1) * SCALE,
    SIDE = 8, /* between a text and its cell's border */
    CELL_HEIGHT = SIGN_ROWS * SCALE + 2 * SIDE,
    THICK = 3,
    BLACK = 0,
    WHITE = 255,
    DARKEST = 145, /* black on it is read well */
    NUMBER_MAX = 24
};

static const char rows_word[] = "LABEL";
static const char columns_word[] = "PREDICTED";

/* A row of dots a byte, the left one is 0x10. */
static const struct {
    char    sign;
    uint8_t dots[SIGN_ROWS];
} font[] = {
    {'0', {0x0e, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0e}},
    {'1', {0x04, 0x0c, 0x04, 0x04, 0x04, 0x04, 0x0e}},
    {'2', {0x0e, 0x11, 0x01, 0x02, 0x04, 0x08, 0x1f}},
    {'3', {0x1f, 0x02, 0x04, 0x02, 0x01, 0x11, 0x0e}},
    {'4', {0x02, 0x06, 0x0a, 0x12, 0x1f, 0x02, 0x02}},
    {'5', {0x1f, 0x10, 0x1e, 0x01, 0x01, 0x11, 0x0e}},
    {'6', {0x06, 0x08, 0x10, 0x1e, 0x11, 0x11, 0x0e}},
    {'7', {0x1f, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08}},
    {'8', {0x0e, 0x11, 0x11, 0x0e, 0x11, 0x11, 0x0e}},
    {'9', {0x0e, 0x11, 0x11, 0x0f, 0x01, 0x02, 0x0c}},
    {'A', {0x0e, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11}},
    {'B', {0x1e, 0x11, 0x11, 0x1e, 0x11, 0x11, 0x1e}},
    {'C', {0x0e, 0x11, 0x10, 0x10, 0x10, 0x11, 0x0e}},
    {'D', {0x1c, 0x12, 0x11, 0x11, 0x11, 0x12, 0x1c}},
    {'E', {0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x1f}},
    {'I', {0x0e, 0x04, 0x04, 0x04, 0x04, 0x04, 0x0e}},
    {'L', {0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x1f}},
    {'P', {0x1e, 0x11, 0x11, 0x1e, 0x10, 0x10, 0x10}},
    {'R', {0x1e, 0x11, 0x11, 0x1e, 0x14, 0x12, 0x11}},
    {'T', {0x1f, 0x04, 0x04, 0x04, 0x04, 0x04, 0x04}},
};

typedef struct box {
    uint32_t x, y, width, height;
} box;

static void fill(confusion_picture *p, box b, uint8_t gray) {
    for (uint32_t y = b.y; y < b.y + b.height; y++) {
        memset(p->pixels + (size_t)y * p->width + b.x, gray, b.width);
    }
}

static void frame(confusion_picture *p, box b, uint32_t thick) {
    fill(p, (box){b.x, b.y, b.width, thick}, BLACK);
    fill(p, (box){b.x, b.y + b.height - thick, b.width, thick}, BLACK);
    fill(p, (box){b.x, b.y, thick, b.height}, BLACK);
    fill(p, (box){b.x + b.width - thick, b.y, thick, b.height}, BLACK);
}

static void write_sign(confusion_picture *p, uint32_t x, uint32_t y, const uint8_t *dots) {
    for (uint32_t row = 0; row < SIGN_ROWS; row++) {
        for (uint32_t column = 0; column < SIGN_COLUMNS; column++) {
            if ((dots[row] >> (SIGN_COLUMNS - 1 - column) & 1) != 0) {
                fill(p, (box){x + column * SCALE, y + row * SCALE, SCALE, SCALE}, BLACK);
            }
        }
    }
}

static uint32_t text_width(const char *text) {
    return (uint32_t)strlen(text) * ADVANCE - SCALE;
}

/* In the middle of the box, which is large enough. */
static void write_text(confusion_picture *p, box b, const char *text) {
    uint32_t x = b.x + (b.width - text_width(text)) / 2;
    for (const char *s = text; *s != '\0'; s++, x += ADVANCE) {
        for (size_t i = 0; i < BT_ARRAY_LEN(font); i++) {
            if (font[i].sign == *s) {
                write_sign(p, x, b.y + SIDE, font[i].dots);
            }
        }
    }
}

static void write_number(confusion_picture *p, box b, int64_t number) {
    char text[NUMBER_MAX];
    (void)snprintf(text, sizeof text, "%" PRId64, number);
    write_text(p, b, text);
}

static uint32_t cell_width(const bt_metrics_confusion *c) {
    char    text[NUMBER_MAX];
    int64_t largest = 0;
    for (int64_t i = 0; i < c->n_classes * c->n_classes; i++) {
        largest = c->cells[i] > largest ? c->cells[i] : largest;
    }
    (void)snprintf(text, sizeof text, "%" PRId64, largest);
    const uint32_t width = text_width(text) + 2 * SIDE;
    const uint32_t least = (text_width(columns_word) + 2 * SIDE) / 2; /* of two classes */
    return width > least ? width : least;
}

static void draw_cell(confusion_picture *p, const bt_metrics_confusion *c, int64_t label,
                      int64_t prediction, box b) {
    const int64_t n = c->cells[label * c->n_classes + prediction];
    const double  share = c->labelled[label] > 0 ? (double)n / (double)c->labelled[label] : 0;
    fill(p, b, (uint8_t)(WHITE - share * (WHITE - DARKEST)));
    frame(p, b, label == prediction ? THICK : 1);
    write_number(p, b, n);
}

bt_status confusion_picture_draw(const bt_metrics_confusion *confusion, confusion_picture *out,
                                 bt_error *err) {
    const uint32_t n = (uint32_t)confusion->n_classes;
    const uint32_t left = text_width(rows_word) + 2 * SIDE;
    const uint32_t wide = cell_width(confusion);
    const uint32_t top = 2 * CELL_HEIGHT; /* the word, and the numbers of the classes */
    out->width = left + n * wide;
    out->height = top + n * CELL_HEIGHT;
    out->pixels = bt_alloc_array(out->width, out->height);
    if (out->pixels == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a picture of %" PRIu32 " classes", n);
    }
    fill(out, (box){0, 0, out->width, out->height}, WHITE);
    write_text(out, (box){left, 0, n * wide, CELL_HEIGHT}, columns_word);
    write_text(out, (box){0, CELL_HEIGHT, left, CELL_HEIGHT}, rows_word);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t y = top + i * CELL_HEIGHT;
        write_number(out, (box){left + i * wide, CELL_HEIGHT, wide, CELL_HEIGHT}, i);
        write_number(out, (box){0, y, left, CELL_HEIGHT}, i);
        for (uint32_t k = 0; k < n; k++) {
            draw_cell(out, confusion, i, k, (box){left + k * wide, y, wide, CELL_HEIGHT});
        }
    }
    return BT_OK;
}

void confusion_picture_free(confusion_picture *picture) {
    bt_free(picture->pixels);
    *picture = (confusion_picture){0};
}
