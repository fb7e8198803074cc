/* SPDX-License-Identifier: Apache-2.0
 *
 * params.yaml and params_ours.yaml: the first holds Model Garden's keys and no other, the two of
 * them everything, and neither is read without the other in silence. */
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "conf_ours.h"
#include "test_conf.h"
#include "test_faults.h"

#define CLASSIFY "bert/sentence_prediction"

bt_conf *build_conf(const char *experiment, const char *override) {
    bt_conf           *conf = NULL;
    bt_conf_errors     errors = BT_CONF_ERRORS_INIT;
    const bt_conf_args args = {.experiment = experiment, .params_override = override};
    assert_ok(bt_conf_build(&args, &conf, &errors, err));
    return conf;
}

static const char *path_of(const char *name) {
    static const char *folder;
    static char        path[TEST_PATH_MAX];
    folder = folder != NULL ? folder : bt_strdup(test_temp_dir());
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_text(const char *name, const char *text) {
    test_write_file(path_of(name), text, strlen(text));
}

static bt_status read_params(const char *experiment, bt_conf **out, bt_error *why) {
    const char        *files[] = {path_of(BT_CONF_PARAMS_NAME)};
    const bt_conf_args args = {
        .experiment = experiment, .config_files = files, .n_config_files = 1};
    bt_conf_errors  errors = BT_CONF_ERRORS_INIT;
    const bt_status rc = bt_conf_build(&args, out, &errors, why);
    bt_conf_errors_deinit(&errors);
    return rc;
}

static void assert_same(const bt_conf *a, const bt_conf *b) {
    bt_str first = BT_STR_INIT;
    bt_str second = BT_STR_INIT;
    assert_ok(bt_conf_dump_yaml(a, &first, err));
    assert_ok(bt_conf_dump_yaml(b, &second, err));
    assert_string_equal(bt_str_text(&first), bt_str_text(&second));
    bt_str_deinit(&first);
    bt_str_deinit(&second);
}

static const char *without_comments(const char *text) {
    while (*text == '#') {
        text += strcspn(text, "\n") + 1;
    }
    return text;
}

/* The last part of each path is a key of the text, at the depth that it has in the tree. */
static void assert_has_all(const char *ours, const char *names) {
    char line[256];
    for (const char *at = names; *at != '\0'; at += strcspn(at, "\n") + 1) {
        int depth = 0;
        int begin = 0;
        int n = (int)strcspn(at, "\n");
        for (int i = 0; i < n; i++) {
            depth += at[i] == '.' ? 2 : 0;
            begin = at[i] == '.' ? i + 1 : begin;
        }
        (void)snprintf(line, sizeof line, "\n%*s%.*s: ", depth, "", n - begin, at + begin);
        if (strstr(ours, line) == NULL) {
            fail_msg("%.*s is not in %s:\n%s", n, at, BT_CONF_OURS_NAME, ours);
        }
    }
}

/* That a configuration of defaults has the keys of Model Garden's and no other is held against its
 * own files in test_conf_goldens.c. */
static void check_experiment(const char *experiment, const char *override) {
    bt_conf *const plain = build_conf(experiment, override);
    bt_conf *const conf = build_conf(experiment, override);
    bt_conf       *again = NULL;
    bt_str         names = BT_STR_INIT;
    bt_str         params = BT_STR_INIT;
    bt_str         ours = BT_STR_INIT;
    bt_str         defaults = BT_STR_INIT;
    assert_false(bt_conf_has_ours(plain));
    assert_ok(conf_change_ours(conf, &names, err));
    assert_true(bt_conf_has_ours(conf));
    assert_ok(bt_conf_dump_yaml(plain, &defaults, err));
    assert_ok(bt_conf_dump_files(conf, &params, &ours, err));
    assert_string_equal(without_comments(bt_str_text(&params)), bt_str_text(&defaults));
    assert_has_all(bt_str_text(&ours), bt_str_text(&names));
    write_text(BT_CONF_PARAMS_NAME, bt_str_text(&params));
    write_text(BT_CONF_OURS_NAME, bt_str_text(&ours));
    assert_ok(read_params(experiment, &again, err));
    assert_same(conf, again);
    assert_true(bt_conf_is_written(again, "runtime.threads"));
    bt_conf_free(plain);
    bt_conf_free(conf);
    bt_conf_free(again);
    bt_str_deinit(&names);
    bt_str_deinit(&params);
    bt_str_deinit(&ours);
    bt_str_deinit(&defaults);
}

static void test_every_key_of_ours(void **state) {
    (void)state;
    for (size_t i = 0; i < bt_conf_n_experiments(); i++) {
        const char *const name = bt_conf_experiment_at(i)->name;
        check_experiment(name, "trainer.train_steps=7");
        if (strcmp(name, "electra/pretraining") != 0) {
            check_experiment(name, "task.model.encoder.type=albert");
            check_experiment(name, "task.model.encoder.type=bert_v2");
        }
    }
}

static void test_what_is_beside(void **state) {
    (void)state;
    static const char older[] = "runtime:\n  threads: 3\n";
    bt_conf          *conf = NULL;
    int64_t           n = 0;
    bt_str            params = BT_STR_INIT;
    bt_str            ours = BT_STR_INIT;
    conf = build_conf(CLASSIFY, "runtime.threads=5");
    assert_ok(bt_conf_dump_files(conf, &params, &ours, err));
    bt_conf_free(conf);

    /* the second was left behind */
    write_text(BT_CONF_PARAMS_NAME, bt_str_text(&params));
    assert_ok(bt_fs_remove(path_of(BT_CONF_OURS_NAME), err));
    assert_fails(read_params(CLASSIFY, &conf, err), BT_E_CONFIG,
                 "params.yaml: some of its keys are in params_ours.yaml, says its first line, but "
                 "there is no such file beside it: copy it too, or remove that line");

    /* a file of an earlier version, with all keys in it; and one that says no key */
    write_text(BT_CONF_PARAMS_NAME, older);
    for (int i = 0; i < 2; i++) {
        assert_ok(read_params(CLASSIFY, &conf, err));
        assert_ok(bt_conf_get_i64(conf, "runtime.threads", &n, err));
        assert_int_equal(n, 3);
        bt_conf_free(conf);
        write_text(BT_CONF_OURS_NAME, "# nothing\n");
    }

    /* the second counts, also where the first does not say so: somebody rewrote it */
    write_text(BT_CONF_OURS_NAME, bt_str_text(&ours));
    assert_ok(read_params(CLASSIFY, &conf, err));
    assert_ok(bt_conf_get_i64(conf, "runtime.threads", &n, err));
    assert_int_equal(n, 5);
    bt_conf_free(conf);

    /* what is wrong in it is said with its name */
    write_text(BT_CONF_OURS_NAME, "runtime:\n  thread: 3\n");
    assert_fails(read_params(CLASSIFY, &conf, err), BT_E_CONFIG, "/params_ours.yaml:2:3: ");
    bt_str_deinit(&params);
    bt_str_deinit(&ours);
}

static void test_an_experiment_of_ours(void **state) {
    (void)state;
    bt_conf *conf = build_conf("bert/dual_encoder", "trainer.train_steps=7");
    bt_str   params = BT_STR_INIT;
    bt_str   ours = BT_STR_INIT;
    assert_ok(bt_conf_dump_files(conf, &params, &ours, err));
    assert_int_equal(strncmp(bt_str_text(&params), "# Model Garden has the task, but no experiment",
                             strlen("# Model Garden has the task, but no experiment")),
                     0);
    bt_str_deinit(&params);
    bt_str_deinit(&ours);
    bt_conf_free(conf);
}

static bt_status read_both(void *context, bt_error *why) {
    bt_conf        *conf = NULL;
    const bt_status rc = read_params(context, &conf, why);
    bt_conf_free(conf);
    return rc;
}

static void test_memory_that_fails(void **state) {
    (void)state;
    static char experiment[] = CLASSIFY;
    check_experiment(CLASSIFY, "trainer.train_steps=7"); /* leaves both files */
    assert_true(test_every_fault(&(test_work){
                    .what = "reading both", .work = read_both, .context = experiment}) > 50);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key_of_ours),
        cmocka_unit_test(test_what_is_beside),
        cmocka_unit_test(test_an_experiment_of_ours),
        cmocka_unit_test(test_memory_that_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
