/* SPDX-License-Identifier: Apache-2.0
 *
 * The picture of labels against predictions: size, shades, borders and numbers, and memory. */
#include "confusion_picture.h"
#include "test_faults.h"
#include "test_support.h"

#include "bt/base/alloc.h"

enum {
    LEFT = 74, /* "LABEL" and its sides */
    ROW = 30,
    SIDE = 8,
    TOP = 2 * ROW
};

static const int64_t cells[] = {3, 1, 0, 0, 1234567, 0, 2, 0, 0};
static const int64_t labelled[] = {4, 1234567, 2};

static bt_metrics_confusion of_classes(int64_t n) {
    return (bt_metrics_confusion){.n_classes = n, .labelled = labelled, .cells = cells};
}

static uint8_t pixel(const confusion_picture *p, uint32_t x, uint32_t y) {
    assert_true(x < p->width && y < p->height);
    return p->pixels[y * p->width + x];
}

static void test_cells(void **state) {
    confusion_picture          p = {0};
    const bt_metrics_confusion confusion = of_classes(3);
    (void)state;
    assert_ok(confusion_picture_draw(&confusion, &p, err));
    const uint32_t wide = (p.width - LEFT) / 3;
    assert_int_equal(LEFT + 3 * wide, p.width);
    assert_int_equal(p.height, TOP + 3 * ROW);
    static const uint8_t shades[3][3] = {{172, 227, 255}, {255, 145, 255}, {145, 255, 255}};
    for (uint32_t label = 0; label < 3; label++) {
        for (uint32_t prediction = 0; prediction < 3; prediction++) {
            const uint32_t x = LEFT + prediction * wide;
            const uint32_t y = TOP + label * ROW;
            assert_int_equal(pixel(&p, x, y), 0);
            assert_int_equal(pixel(&p, x + 2, y + 5),
                             label == prediction ? 0 : shades[label][prediction]);
            assert_int_equal(pixel(&p, x + 3, y + 5), shades[label][prediction]);
        }
    }
    assert_int_equal(pixel(&p, 0, 0), 255);
    confusion_picture_free(&p);
}

/* The number of a cell, dot by dot. */
static void test_digits(void **state) {
    static const int64_t     many[] = {1234567890, 0, 0, 1};
    static const int64_t     rows[] = {1234567890, 1};
    static const char *const want[] = {
        "..#....###..#####....#..#####...##..#####..###...###...###.",
        ".##...#...#....#....##..#......#........#.#...#.#...#.#...#",
        "..#.......#...#....#.#..####..#........#..#...#.#...#.#..##",
        "..#......#.....#..#..#......#.####....#....###...####.#.#.#",
        "..#.....#.......#.#####.....#.#...#..#....#...#.....#.##..#",
        "..#....#....#...#....#..#...#.#...#..#....#...#....#..#...#",
        ".###..#####..###.....#...###...###...#.....###...##....###.",
    };
    confusion_picture          p = {0};
    const bt_metrics_confusion confusion = {.n_classes = 2, .labelled = rows, .cells = many};
    (void)state;
    assert_ok(confusion_picture_draw(&confusion, &p, err));
    for (uint32_t y = 0; y < BT_ARRAY_LEN(want); y++) {
        char got[60] = "";
        for (uint32_t x = 0; x < sizeof got - 1; x++) {
            got[x] = pixel(&p, LEFT + SIDE + 2 * x, TOP + SIDE + 2 * y) == 0 ? '#' : '.';
        }
        assert_string_equal(got, want[y]);
    }
    confusion_picture_free(&p);
}

static bt_status draw_as_work(void *context, bt_error *fault) {
    const bt_metrics_confusion confusion = of_classes(3);
    confusion_picture          p = {0};
    const bt_status            rc = confusion_picture_draw(&confusion, &p, fault);
    (void)context;
    confusion_picture_free(&p);
    return rc;
}

static void test_memory(void **state) {
    const test_work work = {.what = "a picture", .work = draw_as_work};
    (void)state;
    assert_true(test_every_fault(&work) > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cells),
        cmocka_unit_test(test_digits),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
