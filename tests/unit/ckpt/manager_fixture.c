/* SPDX-License-Identifier: Apache-2.0
 *
 * Saves, copies and names checkpoints of a small model in a folder of its own. */
#include "manager_fixture.h"

#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/fs.h"

manager_fixture manager_make(void) {
    manager_fixture f = {.model = test_make_model(&test_small_spec), .folder = test_temp_dir()};
    f.flat = test_fill_flat(f.model, 1);
    f.train = test_make_train(f.model, f.flat, f.flat, f.flat, NULL);
    return f;
}

void manager_free(manager_fixture *f) {
    bt_free(f->flat);
    bt_model_free(f->model);
}

void manager_path(const manager_fixture *f, const char *name, char path[TEST_PATH_MAX]) {
    (void)snprintf(path, TEST_PATH_MAX, "%s/%s", f->folder, name);
}

bool manager_has(const manager_fixture *f, const char *name) {
    char path[TEST_PATH_MAX];
    manager_path(f, name, path);
    return bt_fs_exists(path);
}

bt_ckpt_state manager_state(const manager_fixture *f) {
    char          path[TEST_PATH_MAX];
    size_t        n = 0;
    bt_ckpt_state state = {0};
    manager_path(f, "checkpoint", path);
    char *const text = test_read_file(path, &n);
    assert_ok(bt_ckpt_state_parse(text, n, path, &state, err));
    bt_free(text);
    return state;
}

bt_status manager_save(const manager_fixture *f, bt_ckpt_manager *manager, int64_t step,
                       bt_error *err) {
    char          name[64];
    bt_ckpt_train train = f->train;
    train.global_step = step;
    (void)snprintf(name, sizeof name, "ckpt-%lld", (long long)step);
    return bt_ckpt_manager_save(manager, name, &train, err);
}

void manager_put(const manager_fixture *f, const char *name, const char *text) {
    char path[TEST_PATH_MAX];
    manager_path(f, name, path);
    test_write_file(path, text, strlen(text));
}

void manager_copy(const manager_fixture *f, const char *from, const char *to) {
    static const char *const endings[] = {"index", "data-00000-of-00001"};
    for (size_t i = 0; i < BT_ARRAY_LEN(endings); i++) {
        char   name[128];
        char   path[TEST_PATH_MAX];
        size_t n = 0;
        (void)snprintf(name, sizeof name, "%s.%s", from, endings[i]);
        manager_path(f, name, path);
        char *const bytes = test_read_file(path, &n);
        (void)snprintf(name, sizeof name, "%s.%s", to, endings[i]);
        manager_path(f, name, path);
        test_write_file(path, bytes, n);
        bt_free(bytes);
    }
}

void manager_save_steps(const manager_fixture *f, int64_t max_to_keep, int64_t first,
                        int64_t last) {
    bt_ckpt_manager *manager = NULL;
    assert_ok(bt_ckpt_manager_open(f->folder, max_to_keep, &manager, err));
    for (int64_t step = first; step <= last; step++) {
        assert_ok(manager_save(f, manager, step, err));
    }
    bt_ckpt_manager_close(manager);
}

void manager_mirror(const char *from, const char *to) {
    const char *const folders[] = {to, from};
    for (size_t f = 0; f < BT_ARRAY_LEN(folders); f++) {
        bt_fs_names names = BT_FS_NAMES_INIT;
        assert_ok(bt_fs_list(folders[f], &names, err));
        for (size_t i = 0; i < names.n; i++) {
            char   path[2][TEST_PATH_MAX];
            size_t n = 0;
            (void)snprintf(path[0], sizeof path[0], "%s/%s", from, names.items[i]);
            (void)snprintf(path[1], sizeof path[1], "%s/%s", to, names.items[i]);
            if (f == 0) {
                assert_ok(bt_fs_remove(path[1], err));
                continue;
            }
            char *const bytes = test_read_file(path[0], &n);
            test_write_file(path[1], bytes, n);
            bt_free(bytes);
        }
        bt_fs_names_deinit(&names);
    }
}
