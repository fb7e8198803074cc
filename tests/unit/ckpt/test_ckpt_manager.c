/* SPDX-License-Identifier: Apache-2.0
 *
 * A folder of checkpoints: what is kept and what is removed, restarts, a state file that names a
 * missing or cut checkpoint, and failing disks: whatever fails, the state file names a whole one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/fs.h"
#include "bt/wire.h"
#include "ckpt_test_support.h"
#include "test_support.h"

typedef struct manager_fixture {
    bt_model     *model;
    float        *flat;
    bt_ckpt_train train;
    const char   *folder;
} manager_fixture;

static manager_fixture make_fixture(void) {
    manager_fixture f = {.model = test_make_model(&test_small_spec), .folder = test_temp_dir()};
    f.flat = test_fill_flat(f.model, 1);
    f.train = test_make_train(f.model, f.flat, f.flat, f.flat, NULL);
    return f;
}

static void free_fixture(manager_fixture *f) {
    bt_free(f->flat);
    bt_model_free(f->model);
}

static void make_path(const manager_fixture *f, const char *name, char path[TEST_PATH_MAX]) {
    (void)snprintf(path, TEST_PATH_MAX, "%s/%s", f->folder, name);
}

static bool is_there(const manager_fixture *f, const char *name) {
    char path[TEST_PATH_MAX];
    make_path(f, name, path);
    return bt_fs_exists(path);
}

static bt_ckpt_state read_state(const manager_fixture *f) {
    char          path[TEST_PATH_MAX];
    size_t        n = 0;
    bt_ckpt_state state = {0};
    make_path(f, "checkpoint", path);
    char *const text = test_read_file(path, &n);
    assert_ok(bt_ckpt_state_parse(text, n, path, &state, err));
    bt_free(text);
    return state;
}

static bt_status save(const manager_fixture *f, bt_ckpt_manager *manager, int64_t step,
                      bt_error *err) {
    char          name[64];
    bt_ckpt_train train = f->train;
    train.global_step = step;
    (void)snprintf(name, sizeof name, "ckpt-%lld", (long long)step);
    return bt_ckpt_manager_save(manager, name, &train, err);
}

static void test_keeps_the_last(void **state) {
    (void)state;
    manager_fixture  f = make_fixture();
    bt_ckpt_manager *manager = NULL;
    char            *prefix = NULL;
    assert_ok(bt_ckpt_latest(f.folder, &prefix, err));
    assert_null(prefix); /* an empty folder has none, and that is no error */
    assert_ok(bt_ckpt_manager_open(f.folder, 3, &manager, err));
    assert_null(bt_ckpt_manager_latest(manager));
    const double before = bt_time_unix();
    for (int64_t step = 5; step <= 25; step += 5) {
        assert_ok(save(&f, manager, step, err));
    }
    assert_true(bt_str_ends_with(bt_ckpt_manager_latest(manager), "/ckpt-25"));
    static const char *const kept[] = {"ckpt-15.index", "ckpt-20.index", "ckpt-25.index",
                                       "ckpt-15.data-00000-of-00001"};
    static const char *const gone[] = {"ckpt-5.index", "ckpt-10.index",
                                       "ckpt-5.data-00000-of-00001", "ckpt-10.data-00000-of-00001"};
    for (size_t i = 0; i < 4; i++) {
        assert_true(is_there(&f, kept[i]));
        assert_false(is_there(&f, gone[i]));
    }
    bt_ckpt_state s = read_state(&f);
    assert_string_equal(s.latest, "ckpt-25"); /* relative: the folder can be moved */
    assert_int_equal(s.n_paths, 3);
    assert_int_equal(s.n_times, 3);
    assert_string_equal(s.paths[0], "ckpt-15");
    assert_true(s.has_last_preserved && s.last_preserved < before &&
                s.last_preserved > before - 60);
    assert_true(s.times[0] > s.last_preserved && s.times[2] >= s.times[0]);
    bt_ckpt_state_deinit(&s);
    /* the same step again is one entry, not two */
    assert_ok(save(&f, manager, 25, err));
    s = read_state(&f);
    assert_int_equal(s.n_paths, 3);
    bt_ckpt_state_deinit(&s);
    bt_ckpt_manager_close(manager);
    assert_ok(bt_ckpt_latest(f.folder, &prefix, err));
    assert_true(bt_str_ends_with(prefix, "/ckpt-25"));
    bt_free(prefix);
    free_fixture(&f);
}

/* After a restart the same rules go on; what is older than last_preserved_timestamp stays. */
static void test_restart(void **state) {
    (void)state;
    manager_fixture  f = make_fixture();
    bt_ckpt_manager *manager = NULL;
    char             path[TEST_PATH_MAX];
    char             text[1024];
    assert_ok(bt_ckpt_manager_open(f.folder, 2, &manager, err));
    assert_ok(save(&f, manager, 1, err));
    assert_ok(save(&f, manager, 2, err));
    bt_ckpt_manager_close(manager);
    assert_ok(bt_ckpt_manager_open(f.folder, 2, &manager, err));
    assert_true(bt_str_ends_with(bt_ckpt_manager_latest(manager), "/ckpt-2"));
    assert_ok(save(&f, manager, 3, err));
    assert_false(is_there(&f, "ckpt-1.index"));
    assert_true(is_there(&f, "ckpt-2.index"));
    bt_ckpt_manager_close(manager);

    (void)snprintf(text, sizeof text,
                   "model_checkpoint_path: \"ckpt-3\"\nall_model_checkpoint_paths: \"ckpt-2\"\n"
                   "all_model_checkpoint_paths: \"ckpt-3\"\n"
                   "all_model_checkpoint_timestamps: 100.5\n"
                   "all_model_checkpoint_timestamps: %.3f\nlast_preserved_timestamp: 200.0\n",
                   bt_time_unix() - 5);
    make_path(&f, "checkpoint", path);
    test_write_file(path, text, strlen(text));
    assert_ok(bt_ckpt_manager_open(f.folder, 1, &manager, err));
    assert_ok(save(&f, manager, 4, err));
    assert_true(is_there(&f, "ckpt-2.index")); /* older than last_preserved */
    assert_false(is_there(&f, "ckpt-3.index"));
    assert_true(is_there(&f, "ckpt-4.index"));
    bt_ckpt_state s = read_state(&f);
    assert_true(s.last_preserved == 200.0);
    bt_ckpt_state_deinit(&s);
    bt_ckpt_manager_close(manager);
    /* 0: all are kept */
    assert_ok(bt_ckpt_manager_open(f.folder, 0, &manager, err));
    for (int64_t step = 5; step < 12; step++) {
        assert_ok(save(&f, manager, step, err));
    }
    assert_true(is_there(&f, "ckpt-4.index") && is_there(&f, "ckpt-5.index"));
    bt_ckpt_manager_close(manager);
    free_fixture(&f);
}

static void test_broken_state(void **state) {
    (void)state;
    manager_fixture  f = make_fixture();
    bt_ckpt_manager *manager = NULL;
    char            *prefix = NULL;
    bt_ckpt         *ckpt = NULL;
    char             path[TEST_PATH_MAX];
    char             data[TEST_PATH_MAX];
    size_t           n = 0;
    assert_ok(bt_ckpt_manager_open(f.folder, 2, &manager, err));
    assert_ok(save(&f, manager, 7, err));
    bt_ckpt_manager_close(manager);
    make_path(&f, "ckpt-7.data-00000-of-00001", data);
    char *const bytes = test_read_file(data, &n);
    test_write_file(data, bytes, n - 1);
    bt_error fault = BT_ERROR_INIT;
    assert_int_equal(bt_status_exit_code(bt_ckpt_latest(f.folder, &prefix, &fault)), 3);
    assert_non_null(strstr(fault.msg, "ckpt-7"));
    assert_non_null(strstr(fault.msg, "checkpoint"));
    assert_int_equal(bt_status_exit_code(bt_ckpt_open(f.folder, &ckpt, &fault)), 3);
    assert_ok(bt_fs_remove(data, err));
    assert_int_equal(bt_status_exit_code(bt_ckpt_latest(f.folder, &prefix, &fault)), 3);
    test_write_file(data, bytes, n);
    bt_free(bytes);
    assert_ok(bt_ckpt_latest(f.folder, &prefix, err));
    bt_free(prefix);
    static const char *const texts[] = {"model_checkpoint_path: \"ckpt-8\"\n",
                                        "model_checkpoint_path: \"/no/such/ckpt-8\"\n",
                                        "model_checkpoint_path: ", "\x01\x02"};
    make_path(&f, "checkpoint", path);
    for (size_t i = 0; i < BT_ARRAY_LEN(texts); i++) {
        test_write_file(path, texts[i], strlen(texts[i]));
        assert_int_equal(bt_status_exit_code(bt_ckpt_latest(f.folder, &prefix, &fault)), 3);
        assert_int_equal(bt_status_exit_code(bt_ckpt_open(f.folder, &ckpt, &fault)), 3);
    }
    free_fixture(&f);
}

/* Whatever operation fails: a clean error, no temporary left, and what the state file names is
 * whole (or there is no state file yet). */
static void test_faults(void **state) {
    (void)state;
    manager_fixture f = make_fixture();
    for (int op = 0; op <= BT_FS_N_OPS; op++) {
        bool    succeeded = false;
        int64_t step = (int64_t)op * 1000;
        for (uint64_t k = 1; k < 5000 && !succeeded; k += k < 40 ? 1 : 61) {
            bt_ckpt_manager *manager = NULL;
            bt_error         fault = BT_ERROR_INIT;
            char            *prefix = NULL;
            assert_ok(bt_ckpt_manager_open(f.folder, 2, &manager, err));
            if (op < BT_FS_N_OPS) {
                bt_fs_fail_at((bt_fs_op)op, k, (k & 1) != 0);
            } else {
                bt_alloc_fail_at(k, (k & 1) != 0);
            }
            const bt_status rc = save(&f, manager, ++step, &fault);
            for (int o = 0; o < BT_FS_N_OPS; o++) {
                bt_fs_fail_at((bt_fs_op)o, 0, false);
            }
            bt_alloc_fail_at(0, false);
            bt_ckpt_manager_close(manager);
            succeeded = rc == BT_OK;
            if (!succeeded && rc != (op < BT_FS_N_OPS ? BT_E_RESOURCE : BT_E_NOMEM)) {
                fail_msg("operation %d, call %llu: %s: %s", op, (unsigned long long)k,
                         bt_status_name(rc), fault.msg);
            }
            assert_ok(bt_ckpt_latest(f.folder, &prefix, err));
            bt_free(prefix);
            bt_fs_names names = BT_FS_NAMES_INIT;
            assert_ok(bt_fs_list(f.folder, &names, err));
            for (size_t i = 0; i < names.n; i++) {
                assert_null(strstr(names.items[i], ".tmp-"));
            }
            bt_fs_names_deinit(&names);
        }
        assert_true(succeeded);
    }
    free_fixture(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeps_the_last),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_broken_state),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
