/* SPDX-License-Identifier: Apache-2.0
 *
 * base: lines of the log as JSON, what is read out of a message, times, and how wide text is. */
#include "bt/base/log.h"
#include "bt/base/terminal.h"
#include "bt/base/time.h"
#include "log_line.h"
#include "test_support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void test_times(void **state) {
    static const struct {
        int64_t     ms;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {951782399999, "2000-02-28T23:59:59.999Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {951868800000, "2000-03-01T00:00:00.000Z"},
        {1735689599001, "2024-12-31T23:59:59.001Z"},
        {4107542400000, "2100-03-01T00:00:00.000Z"},
        {4107542399000, "2100-02-28T23:59:59.000Z"},
    };
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        char text[BT_TIME_ISO_MAX];
        bt_time_iso(rows[i].ms, text);
        assert_string_equal(text, rows[i].text);
    }
}

static const char *json(log_line *line, bt_log_level level, const char *message,
                        const bt_log_field *fields, size_t n) {
    const log_frame frame = {.program = "p", .time = "T", .level = level};
    (void)snprintf(line->message, sizeof line->message, "%s", message);
    log_line_json(line, &frame, n > 0 ? "train" : NULL, fields, n);
    return line->text;
}

static void test_fields(void **state) {
    static log_line    line;
    const bt_log_field fields[] = {bt_log_int("step", -3), bt_log_number("loss", 0.1),
                                   bt_log_number("lost", (double)NAN), bt_log_text("path", "a\"b"),
                                   bt_log_text("none", NULL)};
    (void)state;
    assert_string_equal(json(&line, BT_LOG_INFO, "x", fields, BT_ARRAY_LEN(fields)),
                        "{\"time\": \"T\", \"level\": \"info\", \"program\": \"p\", \"event\": "
                        "\"train\", \"step\": -3, \"loss\": 0.1, \"lost\": null, \"path\": "
                        "\"a\\\"b\", \"message\": \"x\"}\n");
    assert_string_equal(json(&line, BT_LOG_DEBUG, "", NULL, 0),
                        "{\"time\": \"T\", \"level\": \"debug\", \"program\": \"p\", \"event\": "
                        "\"message\", \"message\": \"\"}\n");
}

static void test_signatures_of_fields_are_hidden(void **state) {
    static log_line    line;
    const bt_log_field fields[] = {
        bt_log_text("path", "https://host/a?X-Goog-Signature=secret0123456789&b=1")};
    (void)state;
    assert_null(strstr(json(&line, BT_LOG_INFO, "x", fields, 1), "secret0123456789"));
}

/* In Latin-1, cut, a surrogate, too long a form. */
static void test_what_is_not_utf8_is_replaced(void **state) {
    static log_line          line;
    static const char *const bad[] = {"\xE9t\xE9", "\xE2\x82", "\xED\xA0\x80", "\xC0\xAF"};
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(bad); i++) {
        const char *const text = json(&line, BT_LOG_INFO, bad[i], NULL, 0);
        for (size_t at = 0; text[at] != '\0';) {
            uint32_t     c = 0;
            const size_t n = bt_utf8_length(text + at, strlen(text + at), &c);
            assert_true(n > 0);
            at += n;
        }
        assert_non_null(strstr(text, "\xEF\xBF\xBD"));
    }
    assert_non_null(strstr(json(&line, BT_LOG_INFO, "\xE6\xBC\xA2", NULL, 0), "\xE6\xBC\xA2"));
}

/* Whatever does not fit: the line ends as an object does. */
static void test_long_lines_stay_whole(void **state) {
    static log_line line;
    static char     text[LOG_MESSAGE_MAX];
    bt_log_field    fields[6];
    (void)state;
    memset(text, 1, sizeof text - 1); /* six bytes each in JSON */
    for (size_t i = 0; i < BT_ARRAY_LEN(fields); i++) {
        fields[i] = bt_log_text("path", text);
    }
    const char *const made = json(&line, BT_LOG_ERROR, text, fields, BT_ARRAY_LEN(fields));
    assert_true(strlen(made) < LOG_JSON_MAX);
    assert_string_equal(made + strlen(made) - 3, "\"}\n");
    assert_non_null(strstr(made, "\"message\": \"\\u0001"));
}

typedef struct place_row {
    const char *message, *file, *key, *flag;
    int64_t     line;
} place_row;

static void assert_span(bt_log_span got, const char *want, const char *message) {
    if (want == NULL
            ? got.text != NULL
            : got.text == NULL || got.n != strlen(want) || strncmp(got.text, want, got.n) != 0) {
        fail_msg("%s: got '%.*s', expected %s", message, got.text != NULL ? (int)got.n : 0,
                 got.text != NULL ? got.text : "", want != NULL ? want : "nothing");
    }
}

static void test_places(void **state) {
    static const place_row rows[] = {
        {"train.tsv:12: 3 columns", "train.tsv", NULL, NULL, 12},
        {"a folder/x.json:3:14: not JSON", "a folder/x.json", NULL, NULL, 3},
        {"seed 3: run.yaml:7: trainer.train_steps: expected an integer", "run.yaml",
         "trainer.train_steps", NULL, 7},
        {"--params_override: 'trainer.train_steps=-1': trainer.train_steps: expected", NULL,
         "trainer.train_steps", "--params_override", 0},
        {"x/train.tfrecord: record 1207 at byte 88,412: crc", "x/train.tfrecord", NULL, NULL, 0},
        {"missing --mode, --model_dir (see --help)", NULL, NULL, "--mode", 0},
        {"it begins at 10:30: too late", NULL, NULL, NULL, 0},
        {"'a:1': not a number", NULL, NULL, NULL, 0},
        {"set task.train_data.input_path.", NULL, "task.train_data.input_path", NULL, 0},
        {"gs://bucket/a.tsv:9: no text", "gs://bucket/a.tsv", NULL, NULL, 9},
        {"mytask.train and a--b are words", NULL, NULL, NULL, 0},
        {"", NULL, NULL, NULL, 0},
    };
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        const place_row *const row = &rows[i];
        const bt_log_place     got = bt_log_find_place(row->message);
        assert_span(got.file, row->file, row->message);
        assert_span(got.key, row->key, row->message);
        assert_span(got.flag, row->flag, row->message);
        assert_int_equal(got.line, row->line);
    }
}

static void test_widths(void **state) {
    static const char line[] = "step 1/9 | loss 2 | 3 s";
    static const char wide[] = "\xE6\xBC\xA2\xE5\xAD\x97 | x"; /* two characters, four columns */
    (void)state;
    assert_int_equal(bt_text_fit("e\xCC\x81", 1), 3); /* an accent takes no column */
    assert_int_equal(bt_text_fit(line, 80), sizeof line - 1);
    assert_int_equal(bt_text_fit(line, sizeof line - 1), sizeof line - 1);
    assert_int_equal(bt_text_fit(line, sizeof line - 2), strlen("step 1/9 | loss 2"));
    assert_int_equal(bt_text_fit(line, 10), strlen("step 1/9"));
    assert_int_equal(bt_text_fit(line, 5), 5);
    assert_int_equal(bt_text_fit(wide, 7), 6);
    assert_int_equal(bt_text_fit(wide, 3), 3); /* not half a character */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_signatures_of_fields_are_hidden),
        cmocka_unit_test(test_what_is_not_utf8_is_replaced),
        cmocka_unit_test(test_long_lines_stay_whole),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_widths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
