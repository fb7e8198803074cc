/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory fails at every place where a configuration is built, checked, compared and read, and at
 * every byte of what is written of it: out of memory is what is said, and a dump that could not be
 * finished is none. */
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/str.h"
#include "test_conf.h"
#include "test_faults.h"

static const char override[] =
    "task.train_data.input_path=['a','b'],task.model.num_classes=3,task.class_weights=[1,2,3.5],"
    "trainer.train_steps=7,trainer.optimizer_config.ema.average_decay=0.5";
static const char yaml[] =
    "task:\n  train_data: {global_batch_size: 4, seq_length: 16}\n  init_checkpoint: 'it''s: #1'\n"
    "trainer: {checkpoint_interval: 3, best_checkpoint_eval_metric: \"a\\tb\\u2028\"}\n";

bt_conf *build_conf(const char *experiment, const char *text) {
    static const char *const files[] = {yaml};
    bt_conf                 *conf = NULL;
    bt_conf_errors           errors = BT_CONF_ERRORS_INIT;
    const bt_conf_args       args = {.experiment = experiment,
                                     .config_files = files,
                                     .n_config_files = 1,
                                     .params_override = text};
    assert_ok(bt_conf_build(&args, &conf, &errors, err));
    return conf;
}

static bt_status build(const bt_conf_args *args, bt_conf **out, bt_error *err) {
    bt_conf_errors  errors = BT_CONF_ERRORS_INIT;
    const bt_status rc = bt_conf_build(args, out, &errors, err);
    bt_conf_errors_deinit(&errors);
    return rc;
}

static bt_status use(const bt_conf *conf, const bt_conf *other, bt_error *err) {
    bt_conf_errors   errors = BT_CONF_ERRORS_INIT;
    bt_conf_changes  changes = BT_CONF_CHANGES_INIT;
    bt_conf_str_list paths = {0};
    bt_str           text = BT_STR_INIT;
    bt_str           ours = BT_STR_INIT;
    bt_status        rc = BT_OK;
    BT_CHECK(bt_conf_check_refused(conf, &errors, err));
    BT_CHECK(bt_conf_tell_ignored(conf, err));
    BT_CHECK(bt_conf_diff(conf, other, &changes, err));
    assert_true(changes.n >= 4);
    BT_CHECK(bt_conf_get_str_list(conf, "task.train_data.input_path", &paths, err));
    assert_int_equal(paths.n, 2);
    BT_CHECK(bt_conf_dump_yaml(conf, &text, err));
    BT_CHECK(bt_conf_dump_files(conf, &text, &ours, err));
done:
    bt_str_deinit(&ours);
    bt_str_deinit(&text);
    bt_conf_changes_deinit(&changes);
    bt_conf_errors_deinit(&errors);
    return rc;
}

static bt_status build_and_use(void *context, bt_error *err) {
    static const char *const files[] = {yaml};
    const bt_conf_args       args = {.experiment = context,
                                     .config_files = files,
                                     .n_config_files = 1,
                                     .params_override = override,
                                     .tpu = "local",
                                     .tf_data_service = "grpc://x"};
    const bt_conf_args       plain = {.experiment = context};
    bt_conf                 *conf = NULL;
    bt_conf                 *other = NULL;
    bt_status                rc = BT_OK;
    BT_CHECK(build(&args, &conf, err));
    BT_CHECK(build(&plain, &other, err));
    BT_CHECK(use(conf, other, err));
done:
    bt_conf_free(conf);
    bt_conf_free(other);
    return rc;
}

static void test_building(void **state) {
    (void)state;
    assert_true(test_every_fault(&(test_work){.what = "building",
                                              .work = build_and_use,
                                              .context = "bert/sentence_prediction"}) > 50);
}

/* What is wrong is told, or that memory is gone; never that all is well. */
static void test_problems(void **state) {
    (void)state;
    static const char *const bad[] = {
        "trainer.train_stepz=1",           "trainer.train_steps=x",
        "task.train_data.input_path={}",   "trainer.optimizer_config.optimizer.type=none",
        "task.model.num_classes=1e99",     "task.train_data.seq_length=-1",
        "trainer.optimizer_config.a.b=[1", "best_checkpoint_export_subdir=../x",
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(bad); i++) {
        const bt_conf_args args = {.experiment = "bert/sentence_prediction",
                                   .params_override = bad[i]};
        uint64_t           k = 1;
        for (bt_status rc = BT_E_NOMEM; rc == BT_E_NOMEM; k++) {
            bt_conf *conf = NULL;
            bt_error fault = BT_ERROR_INIT;
            bt_alloc_fail_at(k, true);
            rc = build(&args, &conf, &fault);
            bt_alloc_fail_at(0, false);
            if ((rc != BT_E_NOMEM && rc != BT_E_CONFIG) || fault.msg[0] == '\0') {
                fail_msg("'%s', allocation %d: %s: %s", bad[i], (int)k, bt_status_name(rc),
                         fault.msg);
            }
            bt_conf_free(conf);
        }
        assert_true(k > 3);
    }
}

typedef bt_status (*writer_fn)(const void *what, bt_str *out, bt_error *err);

static bt_status dump(const void *what, bt_str *out, bt_error *err) {
    return bt_conf_dump_yaml(what, out, err);
}

/* There is room for n bytes and no more, for each n. */
static void check_each_length(writer_fn write, const void *what) {
    bt_str whole = BT_STR_INIT;
    assert_ok(write(what, &whole, err));
    for (size_t n = 1; n <= whole.len; n++) {
        bt_str   out = {.data = bt_alloc(n), .len = 0, .cap = n};
        bt_error fault = BT_ERROR_INIT;
        out.data[0] = '\0';
        bt_alloc_fail_at(1, true);
        const bt_status rc = write(what, &out, &fault);
        bt_alloc_fail_at(0, false);
        if (rc != BT_E_NOMEM || memcmp(out.data, whole.data, out.len) != 0) {
            fail_msg("room for %zu of %zu bytes: %s: %s", n, whole.len, bt_status_name(rc),
                     fault.msg);
        }
        bt_str_deinit(&out);
    }
    bt_str_deinit(&whole);
}

static void test_dump(void **state) {
    (void)state;
    bt_conf *const conf = build_conf("bert/sentence_prediction", override);
    check_each_length(dump, conf);
    bt_conf_free(conf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_building),
        cmocka_unit_test(test_problems),
        cmocka_unit_test(test_dump),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
