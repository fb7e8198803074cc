/* SPDX-License-Identifier: Apache-2.0
 *
 * report: whatever bytes the texts have, the page is UTF-8 without a character that HTML forbids,
 * and no text becomes markup; with memory failing at each place. (What the page looks like as a
 * whole: tests/e2e/report.py.) */
#include "test_faults.h"
#include "test_support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/str.h"
#include "bt/report.h"
#include "bt/text.h"

static char *copy(const char *text) {
    char *const out = bt_strdup(text);
    assert_non_null(out);
    return out;
}

static void fill(bt_report_run *run, const char *text) {
    *run = (bt_report_run){.name = copy(text), .experiment = copy(text), .status = copy(text)};
    run->command = copy(text);
    run->last_step = 30;
    assert_ok(bt_report_add_setting(run, text, text, text, text, err));
    assert_ok(bt_report_add_fact(run, text, text, err));
    assert_ok(bt_report_add_pause(run, 10, 100, err));
    for (int step = 0; step <= 30; step += 10) {
        assert_ok(bt_report_add_value(run, "training_loss", false, step, 1.0 / (1 + step), err));
        assert_ok(
            bt_report_add_value(run, "cls_accuracy", true, step, step == 10 ? NAN : 0.5, err));
    }
}

static size_t count(const char *text, const char *word) {
    size_t n = 0;
    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word)) {
        n++;
    }
    return n;
}

/* No controls but line ends and tabs, no code point that never is a character. */
static void check_characters(const bt_str *html) {
    assert_int_equal(bt_text_utf8_valid_prefix(html->data, html->len), html->len);
    assert_int_equal(strlen(html->data), html->len);
    for (const char *at = html->data; *at != '\0';) {
        uint32_t c = 0;
        assert_true(bt_text_read_utf8(&at, html->data + html->len, &c));
        assert_true(c >= ' ' || c == '\n' || c == '\t');
        assert_false(c >= 0x7F && c < 0xA0);
        assert_false((c & 0xFFFE) == 0xFFFE || (c >= 0xFDD0 && c <= 0xFDEF));
    }
}

static void write_page(const bt_report_run *runs, size_t n, bt_str *html) {
    assert_ok(bt_report_write_page(runs, n, html, err));
    check_characters(html);
}

/* The page of a text has as much markup as that of a harmless one. */
static void check_text(const char *text) {
    bt_report_run runs[2];
    bt_str        html = BT_STR_INIT;
    bt_str        plain = BT_STR_INIT;
    fill(&runs[0], text);
    fill(&runs[1], "x");
    write_page(runs, 1, &html);
    write_page(runs + 1, 1, &plain);
    assert_int_equal(count(html.data, "<") - count(html.data, "<wbr>"),
                     count(plain.data, "<") - count(plain.data, "<wbr>"));
    bt_str_clear(&html);
    write_page(runs, 2, &html);
    bt_str_deinit(&html);
    bt_str_deinit(&plain);
    bt_report_run_deinit(&runs[0]);
    bt_report_run_deinit(&runs[1]);
}

static void test_no_text_becomes_markup(void **state) {
    static const char *const texts[] = {
        "",
        "</script><script>alert(1)</script>",
        "\" onmouseover=\"alert(1)",
        "' a=b <!-- --> ]]> &lt; &amp; &#0;",
        "\x01\x02\x1b[31m\x7f\r\n\t",
        "\xc2\x80\xc2\x9f \xef\xbf\xbe\xef\xbf\xbf \xef\xb7\x90",
        "\xff\xfe\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80\xe2\x82",
        "\xe2\x80\xae rtl \xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d \xe2\x81\xa6",
        "</bdi></td></table></main></html>",
    };
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(texts); i++) {
        check_text(texts[i]);
    }
}

static uint64_t next_word(uint64_t *word) {
    *word = *word * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *word >> 33;
}

static void test_random_bytes(void **state) {
    uint64_t word = 11;
    (void)state;
    for (int i = 0; i < 300; i++) {
        char         text[48];
        const size_t n = next_word(&word) % sizeof text;
        for (size_t k = 0; k < n; k++) {
            text[k] = (char)(1 + next_word(&word) % 255);
        }
        text[n] = '\0';
        check_text(text);
    }
}

static bt_status write_twice(void *context, bt_error *err) {
    bt_str    html = BT_STR_INIT;
    bt_status rc = bt_report_write_page(context, 1, &html, err);
    bt_str_deinit(&html);
    if (rc == BT_OK) {
        rc = bt_report_write_page(context, 2, &html, err);
        bt_str_deinit(&html);
    }
    return rc;
}

static void test_no_memory(void **state) {
    bt_report_run runs[2];
    (void)state;
    fill(&runs[0], "a<b");
    fill(&runs[1], "c");
    const test_work work = {.what = "the page", .work = write_twice, .context = runs};
    assert_true(test_every_fault(&work) > 0);
    bt_report_run_deinit(&runs[0]);
    bt_report_run_deinit(&runs[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_text_becomes_markup),
        cmocka_unit_test(test_random_bytes),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
