/* SPDX-License-Identifier: Apache-2.0
 *
 * Every allocation and every file operation fails, in turn, in what a run does with a folder of
 * checkpoints beside saving: it chooses one, ends a killed save, goes back, begins again; and while
 * a module or weights in several files are read. Whatever fails: a sentence, and a folder from
 * which the same thing can be done again. */
#include <stdio.h>
#include <string.h>

#include "bt/base/str.h"
#include "bt/fs.h"
#include "manager_fixture.h"
#include "test_faults.h"

/* What the checkpoints of `model` are when a try begins, and the folder in which it is done. */
typedef struct folder_case {
    manager_fixture model; /* its folder: how a try begins */
    const char     *folder;
    int64_t         newest; /* of the settling */
    int64_t least_step;     /* a whole checkpoint of at least this step is there after any try */
} folder_case;

static void prepare(void *context) {
    const folder_case *const c = context;
    manager_mirror(c->model.folder, c->folder);
}

static folder_case make_case(int64_t newest, int64_t least_step) {
    return (folder_case){manager_make(), test_temp_dir(), newest, least_step};
}

/* A fault in the middle loses nothing: what was whole can be taken, and no temporary stays. */
static void check_folder(void *context, bt_status rc) {
    const folder_case *const c = context;
    bt_ckpt_choice           choice = {0};
    bt_fs_names              names = BT_FS_NAMES_INIT;
    (void)rc;
    assert_ok(bt_ckpt_choose(c->folder, "ckpt", true, bt_ckpt_check_values, NULL, &choice, err));
    assert_true(choice.prefix != NULL && choice.step >= c->least_step);
    bt_ckpt_choice_deinit(&choice);
    assert_ok(bt_fs_list(c->folder, &names, err));
    for (size_t i = 0; i < names.n; i++) {
        assert_null(strstr(names.items[i], ".tmp-"));
    }
    bt_fs_names_deinit(&names);
}

static bt_status settle(void *context, bt_error *err) {
    const folder_case *const c = context;
    bt_ckpt_manager         *manager = NULL;
    BT_TRY(bt_ckpt_manager_open(c->folder, 2, &manager, err));
    const bt_status rc =
        bt_ckpt_manager_settle(manager, bt_ckpt_manager_latest(manager), c->newest, err);
    bt_ckpt_manager_close(manager);
    return rc;
}

static uint64_t settle_with_faults(folder_case *c, const char *what) {
    return test_every_fault(&(test_work){
        .what = what, .prepare = prepare, .work = settle, .check = check_folder, .context = c});
}

static bool file_is_there(const folder_case *c, const char *name) {
    char path[TEST_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", c->folder, name);
    return bt_fs_exists(path);
}

static void test_going_back(void **state) {
    (void)state;
    folder_case c = make_case(2, 2);
    manager_save_steps(&c.model, 5, 1, 4);
    manager_copy(&c.model, "ckpt-4", "ckpt-77");
    manager_put(&c.model, "checkpoint",
                "model_checkpoint_path: \"ckpt-2\"\nall_model_checkpoint_paths: \"ckpt-1\"\n"
                "all_model_checkpoint_paths: \"ckpt-2\"\nall_model_checkpoint_paths: \"ckpt-3\"\n");
    assert_true(settle_with_faults(&c, "going back") > 100);
    assert_true(file_is_there(&c, "ckpt-3.index.kept-1") && file_is_there(&c, "ckpt-77.index"));
    assert_false(file_is_there(&c, "ckpt-3.index") || file_is_there(&c, "ckpt-4.index"));
    manager_free(&c.model);
}

static void test_ending_a_killed_save(void **state) {
    (void)state;
    folder_case c = make_case(3, 3);
    manager_save_steps(&c.model, 5, 1, 4);
    manager_put(&c.model, "checkpoint",
                "model_checkpoint_path: \"ckpt-3\"\nall_model_checkpoint_paths: \"ckpt-2\"\n"
                "all_model_checkpoint_paths: \"ckpt-3\"\n");
    manager_put(&c.model, "checkpoint.journal",
                "bert-train checkpoint journal 1\nstate 7\nwrites ckpt-4\nremoves ckpt-1\n");
    assert_true(settle_with_faults(&c, "a killed save") > 50);
    assert_false(file_is_there(&c, "checkpoint.journal") || file_is_there(&c, "ckpt-1.index"));
    assert_false(file_is_there(&c, "ckpt-4.index"));
    manager_free(&c.model);
}

/* Saves two steps: the second finds a name that is in its way and removes what is too old. */
static bt_status save_twice(void *context, bt_error *err) {
    const folder_case *const c = context;
    manager_fixture          f = c->model;
    bt_ckpt_manager         *manager = NULL;
    bt_status                rc = BT_OK;
    f.folder = c->folder;
    BT_CHECK(bt_ckpt_manager_open(f.folder, 2, &manager, err));
    BT_CHECK(manager_save(&f, manager, 3, err));
    BT_CHECK(manager_save(&f, manager, 4, err));
done:
    bt_ckpt_manager_close(manager);
    return rc;
}

static void test_saving(void **state) {
    (void)state;
    folder_case c = make_case(0, 2);
    manager_save_steps(&c.model, 2, 1, 2);
    manager_copy(&c.model, "ckpt-2", "ckpt-4");
    assert_true(test_every_fault(&(test_work){.what = "saving twice",
                                              .prepare = prepare,
                                              .work = save_twice,
                                              .check = check_folder,
                                              .context = &c,
                                              .stride = 17}) > 100);
    assert_true(file_is_there(&c, "ckpt-4.index.kept-1") && file_is_there(&c, "ckpt-4.index"));
    assert_false(file_is_there(&c, "ckpt-1.index") || file_is_there(&c, "ckpt-2.index"));
    manager_free(&c.model);
}

static bt_status clear(void *context, bt_error *err) {
    return bt_ckpt_clear(((const folder_case *)context)->folder, "ckpt", err);
}

/* What the run did not write is there under its name or under the one for what is kept. */
static void check_kept(void *context, bt_status rc) {
    const folder_case *const c = context;
    assert_true(file_is_there(c, "ckpt-9.index") != file_is_there(c, "ckpt-9.index.kept-1"));
    assert_true(file_is_there(c, "mine-9.index"));
    assert_true(rc != BT_OK || !file_is_there(c, "ckpt-1.index"));
}

static void test_beginning_anew(void **state) {
    (void)state;
    folder_case c = make_case(0, 0);
    manager_save_steps(&c.model, 5, 1, 2);
    manager_copy(&c.model, "ckpt-2", "ckpt-9");
    manager_copy(&c.model, "ckpt-2", "mine-9");
    manager_put(&c.model, "ckpt-8.data-00000-of-00001", "x");
    assert_true(test_every_fault(&(test_work){.what = "beginning anew",
                                              .prepare = prepare,
                                              .work = clear,
                                              .check = check_kept,
                                              .context = &c}) > 50);
    manager_free(&c.model);
}

/* A checkpoint that cannot be read is passed over and told, so an operation that fails may lead to
 * an older one; memory that fails may not. */
static bt_status choose(void *context, bt_error *err) {
    const folder_case *const c = context;
    bt_ckpt_choice           choice = {0};
    const bt_status          rc =
        bt_ckpt_choose(c->folder, "ckpt", true, bt_ckpt_check_values, NULL, &choice, err);
    if (rc == BT_OK && choice.prefix == NULL) {
        fail_msg("began afresh beside checkpoints");
    }
    if (rc == BT_OK && choice.step != c->newest && choice.why.len == 0) {
        fail_msg("took step %lld and said nothing", (long long)choice.step);
    }
    if (rc == BT_OK && strstr(bt_str_text(&choice.why), "memory") != NULL) {
        fail_msg("took missing memory for damage: %s", bt_str_text(&choice.why));
    }
    bt_ckpt_choice_deinit(&choice);
    /* none can be read: told as damage, which is as true as that a read failed */
    return rc == BT_E_FORMAT ? BT_E_IO : rc;
}

static void test_choosing(void **state) {
    (void)state;
    static const char *const states[] = {"model_checkpoint_path: \"ckpt-3\"\n", "",
                                         "model_checkpoint_path: \"/no/such/ckpt-8\"\n",
                                         "last_preserved_timestamp: 5\n"};
    folder_case              c = make_case(3, 3);
    manager_save_steps(&c.model, 5, 1, 3);
    manager_copy(&c.model, "ckpt-2", "ckpt-9");
    for (size_t i = 0; i < BT_ARRAY_LEN(states); i++) {
        manager_put(&c.model, "checkpoint", states[i]);
        manager_mirror(c.model.folder, c.folder);
        assert_true(test_every_fault(&(test_work){
                        .what = "choosing", .work = choose, .context = &c, .stride = 7}) > 50);
    }
    manager_put(&c.model, "ckpt-3.index", "");
    manager_mirror(c.model.folder, c.folder);
    c.newest = -1;
    assert_true(test_every_fault(&(test_work){
                    .what = "falling back", .work = choose, .context = &c, .stride = 7}) > 50);
    manager_free(&c.model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_going_back), cmocka_unit_test(test_ending_a_killed_save),
        cmocka_unit_test(test_saving),     cmocka_unit_test(test_beginning_anew),
        cmocka_unit_test(test_choosing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
