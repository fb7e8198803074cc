/* SPDX-License-Identifier: Apache-2.0
 *
 * What differs between two configurations: by value, selected branches only, as people read it. */
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/str.h"
#include "test_conf.h"

static const struct {
    const char *then;
    const char *now;
    const char *want; /* "path: then -> now;" of each, "" for none */
} rows[] = {
    {"", "", ""},
    {"trainer.train_steps=5", "trainer.train_steps=6", "trainer.train_steps: 5 -> 6;"},
    {"trainer.train_steps=5", "trainer.train_steps=5.0", ""},
    {"trainer.max_to_keep=5", "trainer.max_to_keep=null", "trainer.max_to_keep: 5 -> null;"},
    {"task.init_checkpoint=''", "task.init_checkpoint=null", ""},
    {"task.train_data.input_path='a'", "task.train_data.input_path=['a']", ""},
    {"task.train_data.input_path=['a','b']", "task.train_data.input_path=['a','c']",
     "task.train_data.input_path: ['a', 'b'] -> ['a', 'c'];"},
    {"task.train_data.input_path='a'", "task.train_data.input_path=['a','b']",
     "task.train_data.input_path: 'a' -> ['a', 'b'];"},
    {"trainer.optimizer_config.optimizer.type=adamw", "trainer.optimizer_config.optimizer.type=sgd",
     "trainer.optimizer_config.optimizer.type: 'adamw' -> 'sgd';"},
    {"trainer.optimizer_config.optimizer.sgd.momentum=0.5", "", ""}, /* not selected */
    {"", "trainer.optimizer_config.ema.average_decay=0.5",
     "trainer.optimizer_config.ema: null -> a section;"},
    {"trainer.optimizer_config.ema.average_decay=0.25",
     "trainer.optimizer_config.ema.average_decay=0.5",
     "trainer.optimizer_config.ema.average_decay: 0.25 -> 0.5;"},
    {"task.model.encoder.bert.num_layers=2,runtime.threads=1",
     "task.model.encoder.bert.num_layers=3,runtime.threads=2",
     "runtime.threads: 1 -> 2;task.model.encoder.bert.num_layers: 2 -> 3;"},
    /* signed anew: the same file */
    {"task.train_data.input_path='https://h/a?X-Amz-Signature=1&v=1'",
     "task.train_data.input_path='https://h/a?X-Amz-Signature=...&v=1'", ""},
    {"task.train_data.input_path='https://h/a?sig=1&v=1'",
     "task.train_data.input_path='https://h/a?sig=1&v=2'",
     "task.train_data.input_path: 'https://h/a?sig=1&v=1' -> 'https://h/a?sig=1&v=2';"},
    {"task.train_data.is_training=true", "task.train_data.is_training=false",
     "task.train_data.is_training: true -> false;"},
};

static void append_changes(const bt_conf_changes *changes, bt_str *text) {
    for (size_t i = 0; i < changes->n; i++) {
        const bt_conf_change *const c = &changes->items[i];
        assert_ok(bt_str_appendf(text, err, "%s: %s -> %s;", c->path, c->then, c->now));
    }
}

static void test_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        bt_conf        *then = build_conf("bert/sentence_prediction", rows[i].then);
        bt_conf        *now = build_conf("bert/sentence_prediction", rows[i].now);
        bt_conf_changes changes = BT_CONF_CHANGES_INIT;
        bt_str          text = BT_STR_INIT;
        assert_ok(bt_conf_diff(then, now, &changes, err));
        append_changes(&changes, &text);
        assert_string_equal(bt_str_text(&text), rows[i].want);
        bt_conf_changes_deinit(&changes);
        bt_str_deinit(&text);
        bt_conf_free(then);
        bt_conf_free(now);
    }
}

/* Another section of a list is named by its number; a long value ends in dots. */
static void test_lists_and_long_values(void **state) {
    (void)state;
    char override[512];
    (void)snprintf(override, sizeof override, "task.init_checkpoint='%0300d'", 7);
    bt_conf        *then = build_conf("bert/sentence_prediction", "");
    bt_conf        *now = build_conf("bert/sentence_prediction", override);
    bt_conf_changes changes = BT_CONF_CHANGES_INIT;
    assert_ok(bt_conf_diff(then, now, &changes, err));
    assert_int_equal(changes.n, 1);
    assert_int_equal(strlen(changes.items[0].now), 100);
    assert_true(bt_str_ends_with(changes.items[0].now, "000..."));
    bt_conf_changes_deinit(&changes);
    for (uint64_t k = 1;; k++) {
        bt_error fault = BT_ERROR_INIT;
        bt_alloc_fail_at(k, false);
        const bt_status rc = bt_conf_diff(then, now, &changes, &fault);
        bt_alloc_fail_at(0, false);
        if (rc == BT_OK) {
            break;
        }
        assert_int_equal(rc, BT_E_NOMEM);
        assert_int_equal(changes.n, 0);
    }
    bt_conf_changes_deinit(&changes);
    bt_conf_free(then);
    bt_conf_free(now);
}

int run_diff_tests(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_lists_and_long_values),
    };
    return cmocka_run_group_tests_name("conf_diff", tests, NULL, NULL);
}
