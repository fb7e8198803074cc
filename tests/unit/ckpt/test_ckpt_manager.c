/* SPDX-License-Identifier: Apache-2.0
 *
 * A folder of checkpoints: what is kept and what is removed, restarts, a state file that names a
 * missing or cut checkpoint, and failing disks: whatever fails, the state file names a whole one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/crc32c.h"
#include "bt/base/str.h"
#include "bt/base/time.h"
#include "bt/fs.h"
#include "manager_fixture.h"
#include "test_support.h"

static void test_keeps_the_last(void **state) {
    (void)state;
    manager_fixture  f = manager_make();
    bt_ckpt_manager *manager = NULL;
    char            *prefix = NULL;
    assert_ok(bt_ckpt_latest(f.folder, &prefix, err));
    assert_null(prefix); /* an empty folder has none, and that is not an error */
    assert_ok(bt_ckpt_manager_open(f.folder, 3, &manager, err));
    assert_null(bt_ckpt_manager_latest(manager));
    const double before = bt_time_unix();
    for (int64_t step = 5; step <= 25; step += 5) {
        assert_ok(manager_save(&f, manager, step, err));
    }
    assert_true(bt_str_ends_with(bt_ckpt_manager_latest(manager), "/ckpt-25"));
    static const char *const kept[] = {"ckpt-15.index", "ckpt-20.index", "ckpt-25.index",
                                       "ckpt-15.data-00000-of-00001"};
    static const char *const gone[] = {"ckpt-5.index", "ckpt-10.index",
                                       "ckpt-5.data-00000-of-00001", "ckpt-10.data-00000-of-00001"};
    for (size_t i = 0; i < 4; i++) {
        assert_true(manager_has(&f, kept[i]));
        assert_false(manager_has(&f, gone[i]));
    }
    bt_ckpt_state s = manager_state(&f);
    assert_string_equal(s.latest, "ckpt-25"); /* relative: the folder can be moved */
    assert_int_equal(s.n_paths, 3);
    assert_int_equal(s.n_times, 3);
    assert_string_equal(s.paths[0], "ckpt-15");
    assert_true(s.has_last_preserved && s.last_preserved < before &&
                s.last_preserved > before - 60);
    assert_true(s.times[0] > s.last_preserved && s.times[2] >= s.times[0]);
    bt_ckpt_state_deinit(&s);
    /* the same step again is one entry, not two */
    assert_ok(manager_save(&f, manager, 25, err));
    s = manager_state(&f);
    assert_int_equal(s.n_paths, 3);
    bt_ckpt_state_deinit(&s);
    bt_ckpt_manager_close(manager);
    assert_ok(bt_ckpt_latest(f.folder, &prefix, err));
    assert_true(bt_str_ends_with(prefix, "/ckpt-25"));
    bt_free(prefix);
    manager_free(&f);
}

/* After a restart the same rules go on, whatever the times say: a clock may run backwards. */
static void test_restart(void **state) {
    (void)state;
    manager_fixture  f = manager_make();
    bt_ckpt_manager *manager = NULL;
    char             path[TEST_PATH_MAX];
    char             text[1024];
    assert_ok(bt_ckpt_manager_open(f.folder, 2, &manager, err));
    assert_ok(manager_save(&f, manager, 1, err));
    assert_ok(manager_save(&f, manager, 2, err));
    bt_ckpt_manager_close(manager);
    assert_ok(bt_ckpt_manager_open(f.folder, 2, &manager, err));
    assert_true(bt_str_ends_with(bt_ckpt_manager_latest(manager), "/ckpt-2"));
    assert_ok(manager_save(&f, manager, 3, err));
    assert_false(manager_has(&f, "ckpt-1.index"));
    assert_true(manager_has(&f, "ckpt-2.index"));
    bt_ckpt_manager_close(manager);

    (void)snprintf(text, sizeof text,
                   "model_checkpoint_path: \"ckpt-3\"\nall_model_checkpoint_paths: \"ckpt-2\"\n"
                   "all_model_checkpoint_paths: \"ckpt-3\"\n"
                   "all_model_checkpoint_timestamps: 100.5\n"
                   "all_model_checkpoint_timestamps: %.3f\nlast_preserved_timestamp: 200.0\n",
                   bt_time_unix() - 5);
    manager_path(&f, "checkpoint", path);
    test_write_file(path, text, strlen(text));
    assert_ok(bt_ckpt_manager_open(f.folder, 1, &manager, err));
    assert_ok(manager_save(&f, manager, 4, err));
    assert_false(manager_has(&f, "ckpt-2.index")); /* older than last_preserved: no matter */
    assert_false(manager_has(&f, "ckpt-3.index"));
    assert_true(manager_has(&f, "ckpt-4.index"));
    bt_ckpt_state s = manager_state(&f);
    assert_true(s.last_preserved == 200.0);
    bt_ckpt_state_deinit(&s);
    bt_ckpt_manager_close(manager);
    /* 0: all are kept */
    assert_ok(bt_ckpt_manager_open(f.folder, 0, &manager, err));
    for (int64_t step = 5; step < 12; step++) {
        assert_ok(manager_save(&f, manager, step, err));
    }
    assert_true(manager_has(&f, "ckpt-4.index") && manager_has(&f, "ckpt-5.index"));
    bt_ckpt_manager_close(manager);
    manager_free(&f);
}

static void test_broken_state(void **state) {
    (void)state;
    manager_fixture  f = manager_make();
    bt_ckpt_manager *manager = NULL;
    char            *prefix = NULL;
    bt_ckpt         *ckpt = NULL;
    char             path[TEST_PATH_MAX];
    char             data[TEST_PATH_MAX];
    size_t           n = 0;
    assert_ok(bt_ckpt_manager_open(f.folder, 2, &manager, err));
    assert_ok(manager_save(&f, manager, 7, err));
    bt_ckpt_manager_close(manager);
    manager_path(&f, "ckpt-7.data-00000-of-00001", data);
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
    manager_path(&f, "checkpoint", path);
    for (size_t i = 0; i < BT_ARRAY_LEN(texts); i++) {
        test_write_file(path, texts[i], strlen(texts[i]));
        assert_int_equal(bt_status_exit_code(bt_ckpt_latest(f.folder, &prefix, &fault)), 3);
        assert_int_equal(bt_status_exit_code(bt_ckpt_open(f.folder, &ckpt, &fault)), 3);
    }
    manager_free(&f);
}

/* Whatever operation fails: a clean error, no temporary left, and what the state file names is
 * whole (or there is no state file yet). */
static void test_faults(void **state) {
    (void)state;
    manager_fixture f = manager_make();
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
            const bt_status rc = manager_save(&f, manager, ++step, &fault);
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
    manager_free(&f);
}

/* Only what a run wrote and recorded. */

/* Copies that a user put there, names of the same form or not, stay; as does what paths in the
 * state file lead to elsewhere. */
static void test_only_its_own(void **state) {
    (void)state;
    manager_fixture f = manager_make();
    manager_fixture other = f;
    char            text[2048];
    other.folder = test_temp_dir();
    manager_save_steps(&other, 0, 1, 3);
    manager_save_steps(&f, 2, 1, 2);
    manager_copy(&f, "ckpt-2", "ckpt-150000");
    manager_copy(&f, "ckpt-2", "ckpt-1.keep");
    manager_copy(&f, "ckpt-2", "mine-7");
    manager_save_steps(&f, 1, 3, 6);
    static const char *const kept[] = {"ckpt-150000.index", "ckpt-1.keep.index", "mine-7.index"};
    for (size_t i = 0; i < BT_ARRAY_LEN(kept); i++) {
        assert_true(manager_has(&f, kept[i]));
    }
    const char *const slash = strrchr(other.folder, '/');
    (void)snprintf(text, sizeof text,
                   "model_checkpoint_path: \"ckpt-6\"\n"
                   "all_model_checkpoint_paths: \"%s/ckpt-1\"\n"
                   "all_model_checkpoint_paths: \"../%s/ckpt-2\"\n"
                   "all_model_checkpoint_paths: \"mine-7\"\n"
                   "all_model_checkpoint_paths: \"./ckpt-150000\"\n"
                   "all_model_checkpoint_paths: \"*\"\n"
                   "all_model_checkpoint_paths: \"ckpt-*\"\n"
                   "all_model_checkpoint_paths: \"ckpt-6\"\n",
                   other.folder, slash + 1);
    manager_put(&f, "checkpoint", text);
    manager_save_steps(&f, 1, 7, 9);
    for (size_t i = 0; i < BT_ARRAY_LEN(kept); i++) {
        assert_true(manager_has(&f, kept[i]));
    }
    assert_true(manager_has(&other, "ckpt-1.index") && manager_has(&other, "ckpt-2.index"));
    assert_true(manager_has(&other, "ckpt-2.data-00000-of-00001"));
    assert_false(manager_has(&f, "ckpt-6.index"));
    assert_true(manager_has(&f, "ckpt-9.index"));
    bt_ckpt_state s = manager_state(&f);
    assert_int_equal(s.n_paths, 1);
    bt_ckpt_state_deinit(&s);
    manager_free(&f);
}

/* A name that is to be written and is there already, written by nobody: kept under another one. */
static void test_makes_room(void **state) {
    (void)state;
    manager_fixture f = manager_make();
    manager_save_steps(&f, 2, 1, 1);
    manager_copy(&f, "ckpt-1", "ckpt-2");
    manager_put(&f, "ckpt-3.data-00000-of-00001", "mine");
    manager_put(&f, "ckpt-3.index.kept-1", "mine");
    manager_save_steps(&f, 2, 2, 3);
    assert_true(manager_has(&f, "ckpt-2.index") && manager_has(&f, "ckpt-2.index.kept-1"));
    assert_true(manager_has(&f, "ckpt-2.data-00000-of-00001.kept-1"));
    assert_true(manager_has(&f, "ckpt-3.index") && manager_has(&f, "ckpt-3.index.kept-1"));
    assert_true(manager_has(&f, "ckpt-3.data-00000-of-00001.kept-2")); /* 1 was taken */
    manager_free(&f);
}

/* What a killed save left: its journal says what was its own. */
static void test_ends_a_killed_save(void **state) {
    (void)state;
    manager_fixture  f = manager_make();
    bt_ckpt_manager *manager = NULL;
    char             path[TEST_PATH_MAX];
    char             journal[256];
    size_t           n = 0;
    manager_save_steps(&f, 3, 1, 3);
    manager_path(&f, "checkpoint", path);
    char *const text = test_read_file(path, &n);
    (void)snprintf(journal, sizeof journal,
                   "bert-train checkpoint journal 1\nstate %u\nwrites ckpt-4\nremoves ckpt-1\n",
                   (unsigned)bt_crc32c(1, text, n));
    bt_free(text);
    manager_copy(&f, "ckpt-3", "ckpt-4");
    manager_copy(&f, "ckpt-3", "ckpt-5");
    manager_put(&f, "checkpoint.journal", journal);
    assert_ok(bt_ckpt_manager_open(f.folder, 3, &manager, err));
    assert_ok(bt_ckpt_manager_settle(manager, bt_ckpt_manager_latest(manager), 7, err));
    bt_ckpt_manager_close(manager);
    assert_false(manager_has(&f, "ckpt-4.index") || manager_has(&f, "checkpoint.journal"));
    assert_true(manager_has(&f, "ckpt-1.index")); /* still listed, so not gone */
    assert_true(manager_has(&f, "ckpt-5.index")); /* nobody said that it wrote that */
    /* published, and then killed before the removal */
    manager_put(&f, "checkpoint",
                "model_checkpoint_path: \"ckpt-3\"\n"
                "all_model_checkpoint_paths: \"ckpt-2\"\n"
                "all_model_checkpoint_paths: \"ckpt-3\"\n");
    manager_put(&f, "checkpoint.journal",
                "bert-train checkpoint journal 1\nstate 7\nwrites ckpt-3\nremoves ckpt-1\n");
    manager_save_steps(&f, 3, 6, 6);
    assert_false(manager_has(&f, "ckpt-1.index"));
    assert_true(manager_has(&f, "ckpt-2.index") && manager_has(&f, "ckpt-3.index"));
    /* what is not a journal of ours removes nothing */
    static const char *const texts[] = {
        "",
        "x",
        "bert-train checkpoint journal 1\nstate 7\nwrites ckpt-9\nremoves ckpt-",
        "bert-train checkpoint journal 1\nstate 7\nwrites ../ckpt-2\n",
        "bert-train checkpoint journal 1\nstate 7\nwrites ckpt-2/x\n",
        "bert-train checkpoint journal 2\nstate 7\nwrites ckpt-9\nremoves ckpt-5\n"};
    for (size_t i = 0; i < BT_ARRAY_LEN(texts); i++) {
        manager_put(&f, "checkpoint.journal", texts[i]);
        manager_save_steps(&f, 3, 6, 6);
        assert_false(manager_has(&f, "checkpoint.journal"));
        assert_true(manager_has(&f, "ckpt-5.index") && manager_has(&f, "ckpt-2.index"));
    }
    manager_free(&f);
}

/* Going back to step 2: what is newer gets other names, whether the list names it or not. */
static void test_goes_back(void **state) {
    (void)state;
    for (int is_listed = 0; is_listed < 2; is_listed++) {
        manager_fixture  f = manager_make();
        bt_ckpt_manager *manager = NULL;
        manager_save_steps(&f, 5, 1, 4);
        manager_copy(&f, "ckpt-4", "ckpt-77");
        manager_put(&f, "checkpoint",
                    is_listed ? "model_checkpoint_path: \"ckpt-2\"\n"
                                "all_model_checkpoint_paths: \"ckpt-1\"\n"
                                "all_model_checkpoint_paths: \"ckpt-2\"\n"
                                "all_model_checkpoint_paths: \"ckpt-3\"\n"
                                "all_model_checkpoint_paths: \"ckpt-4\"\n"
                              : "model_checkpoint_path: \"ckpt-2\"\n");
        assert_ok(bt_ckpt_manager_open(f.folder, 5, &manager, err));
        assert_ok(bt_ckpt_manager_settle(manager, bt_ckpt_manager_latest(manager), 2, err));
        assert_true(manager_has(&f, "ckpt-3.index.kept-1") &&
                    manager_has(&f, "ckpt-4.index.kept-1"));
        assert_true(manager_has(&f, "ckpt-4.data-00000-of-00001.kept-1"));
        assert_false(manager_has(&f, "ckpt-3.index") || manager_has(&f, "ckpt-4.index"));
        assert_true(manager_has(&f, "ckpt-2.index") && manager_has(&f, "ckpt-1.index"));
        assert_true(manager_has(&f, "ckpt-77.index")); /* a copy: its name is not its step */
        bt_ckpt_state s = manager_state(&f);
        assert_string_equal(s.latest, "ckpt-2");
        assert_string_equal(s.paths[s.n_paths - 1], "ckpt-2");
        assert_int_equal(s.n_paths, is_listed ? 2 : 1);
        bt_ckpt_state_deinit(&s);
        assert_ok(manager_save(&f, manager, 3, err));
        assert_true(manager_has(&f, "ckpt-3.index") && manager_has(&f, "ckpt-3.index.kept-1"));
        bt_ckpt_manager_close(manager);
        manager_free(&f);
    }
}

/* The state file goes while the run goes on: it is written again from what the run knows. */
/* What a stop saved goes before older ones; with room for all it stays. */
static void test_passing(void **state) {
    (void)state;
    for (int64_t max_to_keep = 2; max_to_keep <= 4; max_to_keep += 2) {
        manager_fixture  f = manager_make();
        bt_ckpt_manager *manager = NULL;
        char             prefix[TEST_PATH_MAX];
        assert_ok(bt_ckpt_manager_open(f.folder, max_to_keep, &manager, err));
        assert_ok(manager_save(&f, manager, 20, err));
        assert_ok(manager_save(&f, manager, 33, err)); /* the stop's */
        manager_path(&f, "ckpt-33", prefix);
        assert_ok(bt_ckpt_manager_mark_passing(manager, prefix, err));
        assert_ok(manager_save(&f, manager, 40, err));
        assert_true(manager_has(&f, "ckpt-20.index"));
        assert_int_equal(manager_has(&f, "ckpt-33.index"), max_to_keep == 4);
        assert_ok(manager_save(&f, manager, 60, err));
        assert_int_equal(manager_has(&f, "ckpt-20.index"), max_to_keep == 4);
        assert_false(manager_has(&f, "ckpt-33.index") && max_to_keep == 2);
        bt_ckpt_manager_close(manager);
        manager_free(&f);
    }
}

/* The step at which a stop saved may be one whose save is due: it is saved again, and stays. */
static void test_passing_is_saved_again(void **state) {
    (void)state;
    for (int64_t first = 20; first <= 33; first += 13) { /* beside another one, and alone */
        manager_fixture  f = manager_make();
        bt_ckpt_manager *manager = NULL;
        char             prefix[TEST_PATH_MAX];
        assert_ok(bt_ckpt_manager_open(f.folder, 2, &manager, err));
        assert_ok(manager_save(&f, manager, first, err));
        assert_ok(manager_save(&f, manager, 33, err));
        manager_path(&f, "ckpt-33", prefix);
        assert_ok(bt_ckpt_manager_mark_passing(manager, prefix, err));
        assert_ok(manager_save(&f, manager, 33, err));
        assert_true(manager_has(&f, "ckpt-33.index"));
        assert_true(manager_has(&f, "ckpt-33.data-00000-of-00001"));
        assert_int_equal(manager_has(&f, "ckpt-20.index"), first == 20);
        bt_ckpt_state s = manager_state(&f);
        assert_string_equal(s.latest, "ckpt-33");
        bt_ckpt_state_deinit(&s);
        bt_ckpt_manager_close(manager);
        manager_free(&f);
    }
}

/* A run that goes back by itself removes what it saved since; a copy that somebody put there is
 * kept aside as ever. */
static void test_goes_back_by_itself(void **state) {
    (void)state;
    manager_fixture  f = manager_make();
    bt_ckpt_manager *manager = NULL;
    char             prefix[TEST_PATH_MAX];
    manager_save_steps(&f, 5, 1, 4);
    manager_save_steps(&f, 5, 7, 7);
    manager_put(&f, "checkpoint",
                "model_checkpoint_path: \"ckpt-4\"\nall_model_checkpoint_paths: \"ckpt-1\"\n"
                "all_model_checkpoint_paths: \"ckpt-2\"\nall_model_checkpoint_paths: \"ckpt-4\"\n");
    manager_path(&f, "ckpt-2", prefix);
    assert_ok(bt_ckpt_manager_open(f.folder, 5, &manager, err));
    assert_ok(bt_ckpt_manager_go_back(manager, prefix, 2, err));
    assert_true(manager_has(&f, "ckpt-1.index") && manager_has(&f, "ckpt-2.index"));
    assert_false(manager_has(&f, "ckpt-4.index") || manager_has(&f, "ckpt-4.index.kept-1"));
    assert_true(manager_has(&f, "ckpt-7.index.kept-1") && manager_has(&f, "ckpt-3.index.kept-1"));
    bt_ckpt_manager_close(manager);
    bt_ckpt_state s = manager_state(&f);
    assert_string_equal(s.latest, "ckpt-2");
    assert_int_equal(s.n_paths, 2);
    bt_ckpt_state_deinit(&s);
    manager_free(&f);
}

static void test_lost_state(void **state) {
    (void)state;
    manager_fixture  f = manager_make();
    bt_ckpt_manager *manager = NULL;
    char             path[TEST_PATH_MAX];
    manager_path(&f, "checkpoint", path);
    assert_ok(bt_ckpt_manager_open(f.folder, 2, &manager, err));
    assert_ok(manager_save(&f, manager, 1, err));
    assert_ok(manager_save(&f, manager, 2, err));
    assert_ok(bt_fs_remove(path, err));
    assert_ok(manager_save(&f, manager, 3, err));
    manager_put(&f, "checkpoint", "zzz");
    assert_ok(manager_save(&f, manager, 4, err));
    bt_ckpt_state s = manager_state(&f);
    assert_int_equal(s.n_paths, 2);
    bt_ckpt_state_deinit(&s);
    assert_false(manager_has(&f, "ckpt-1.index") || manager_has(&f, "ckpt-2.index"));
    assert_true(manager_has(&f, "ckpt-3.index"));
    bt_ckpt_manager_close(manager);
    manager_free(&f);
}

/* To begin again removes what the list names, and keeps the rest. */
static void test_clear(void **state) {
    (void)state;
    manager_fixture f = manager_make();
    manager_save_steps(&f, 5, 1, 3);
    manager_copy(&f, "ckpt-2", "ckpt-9");
    manager_copy(&f, "ckpt-2", "mine-9");
    manager_put(&f, "ckpt-8.data-00000-of-00001", "x");
    assert_ok(bt_ckpt_clear(f.folder, "ckpt", err));
    static const char *const gone[] = {"checkpoint",   "ckpt-1.index",
                                       "ckpt-3.index", "ckpt-3.data-00000-of-00001",
                                       "ckpt-9.index", "ckpt-8.data-00000-of-00001"};
    static const char *const kept[] = {"ckpt-9.index.kept-1", "mine-9.index",
                                       "ckpt-8.data-00000-of-00001.kept-1"};
    for (size_t i = 0; i < BT_ARRAY_LEN(gone); i++) {
        assert_false(manager_has(&f, gone[i]));
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(kept); i++) {
        assert_true(manager_has(&f, kept[i]));
    }
    manager_free(&f);
}

typedef struct choice_row {
    const char *what;   /* of ckpt-1, ckpt-2, ckpt-3 and a copy ckpt-9 of ckpt-2 */
    const char *state;  /* the state file; NULL: none */
    const char *damage; /* files that are cut to nothing, by spaces */
    int64_t     step;   /* -1: refused */
    bool        is_fallback;
} choice_row;

#define NAMES_3 "model_checkpoint_path: \"ckpt-3\"\n"
static const choice_row choice_rows[] = {
    {"as it should be", NAMES_3, "", 3, false},
    {"no state file", NULL, "", 3, true},
    {"an empty one", "", "", 3, true},
    {"one that names nothing", "last_preserved_timestamp: 5\n", "", 3, true},
    {"one that is garbage", "hello\n", "", 3, true},
    {"one that is cut", "model_checkpoint_path: \"ckpt-", "", 3, true},
    {"the newest has no index", NAMES_3, "ckpt-3.index", 2, true},
    {"the newest has no data", NAMES_3, "ckpt-3.data-00000-of-00001", 2, true},
    {"no state, and that", NULL, "ckpt-3.data-00000-of-00001", 2, true},
    {"two are damaged", NAMES_3, "ckpt-3.index ckpt-2.data-00000-of-00001", 1, true},
    {"a name that is nowhere", "model_checkpoint_path: \"ckpt-8\"\n", "", 3, true},
    {"a place that is nowhere", "model_checkpoint_path: \"/no/such/ckpt-8\"\n", "", 3, true},
    {"went back, and that is damaged", "model_checkpoint_path: \"ckpt-2\"\n", "ckpt-2.index", 1,
     true},
    {"only the copy is whole", NULL, "ckpt-1.index ckpt-2.index ckpt-3.index", 2, true},
    {"none before it", "model_checkpoint_path: \"ckpt-1\"\n", "ckpt-1.index", -1, false},
    {"none is whole", NULL, "ckpt-1.index ckpt-2.index ckpt-3.index ckpt-9.index", -1, false},
};

static void test_choice(void **state) {
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(choice_rows); i++) {
        const choice_row *const row = &choice_rows[i];
        manager_fixture         f = manager_make();
        bt_ckpt_choice          choice = {0};
        bt_error                fault = BT_ERROR_INIT;
        char                    path[TEST_PATH_MAX];
        char                    damage[256];
        manager_save_steps(&f, 5, 1, 3);
        manager_copy(&f, "ckpt-2", "ckpt-9");
        manager_path(&f, "checkpoint", path);
        assert_ok(bt_fs_remove(path, err));
        if (row->state != NULL) {
            manager_put(&f, "checkpoint", row->state);
        }
        for (const char *at = row->damage; *at != '\0'; at += strspn(at, " ")) {
            const size_t n = strcspn(at, " ");
            (void)snprintf(damage, sizeof damage, "%.*s", (int)n, at);
            manager_put(&f, damage, "");
            at += n;
        }
        const bt_status rc =
            bt_ckpt_choose(f.folder, "ckpt", true, bt_ckpt_check_values, NULL, &choice, &fault);
        if ((rc == BT_OK ? choice.step : -1) != row->step ||
            choice.is_fallback != row->is_fallback) {
            fail_msg("%s: %s, step %lld: %s", row->what, bt_status_name(rc), (long long)choice.step,
                     rc == BT_OK ? bt_str_text(&choice.why) : fault.msg);
        }
        assert_true(row->is_fallback == (choice.why.len > 0));
        assert_true(rc == BT_OK || bt_status_exit_code(rc) == 3);
        bt_ckpt_choice_deinit(&choice);
        manager_free(&f);
    }
}

/* Nothing there is no error; shards of one checkpoint are a first save that was killed, of several
 * a loss. */
static void test_choice_of_nothing(void **state) {
    (void)state;
    manager_fixture f = manager_make();
    bt_ckpt_choice  choice = {0};
    bt_error        fault = BT_ERROR_INIT;
    assert_ok(bt_ckpt_choose(f.folder, "ckpt", true, bt_ckpt_check_values, NULL, &choice, err));
    assert_null(choice.prefix);
    assert_int_equal(choice.why.len, 0);
    manager_put(&f, "ckpt-5.data-00000-of-00001", "x");
    assert_ok(bt_ckpt_choose(f.folder, "ckpt", true, bt_ckpt_check_values, NULL, &choice, err));
    assert_null(choice.prefix);
    assert_non_null(strstr(bt_str_text(&choice.why), "ckpt-5"));
    bt_ckpt_choice_deinit(&choice);
    manager_put(&f, "ckpt-6.data-00000-of-00001", "x");
    assert_int_equal(bt_status_exit_code(bt_ckpt_choose(
                         f.folder, "ckpt", true, bt_ckpt_check_values, NULL, &choice, &fault)),
                     3);
    manager_free(&f);
}

static const char state_of_9[] = "model_checkpoint_path: \"ckpt-9\"\n"
                                 "all_model_checkpoint_paths: \"ckpt-9\"\n";

/* A training saves its next checkpoint, and takes this one away, while it is looked at. */
static bt_status goes_while_looked_at(void *context, const char *prefix, int64_t *step,
                                      bt_error *err) {
    if (strcmp(bt_fs_basename(prefix), "ckpt-9") == 0) {
        *step = 9;
        return BT_OK;
    }
    manager_put(context, "checkpoint", state_of_9);
    return BT_FAIL(err, BT_E_IO, "%s: no such checkpoint", prefix);
}

static void test_choice_beside_a_training(void **state) {
    (void)state;
    manager_fixture f = manager_make();
    bt_ckpt_choice  choice = {0};
    manager_put(&f, "checkpoint",
                "model_checkpoint_path: \"ckpt-4\"\nall_model_checkpoint_paths: \"ckpt-4\"\n");
    assert_ok(bt_ckpt_choose(f.folder, "ckpt", true, goes_while_looked_at, &f, &choice, err));
    assert_non_null(choice.prefix);
    assert_string_equal(bt_fs_basename(choice.prefix), "ckpt-9");
    assert_false(choice.is_fallback);
    bt_ckpt_choice_deinit(&choice);
    manager_free(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeps_the_last),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_broken_state),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_only_its_own),
        cmocka_unit_test(test_makes_room),
        cmocka_unit_test(test_ends_a_killed_save),
        cmocka_unit_test(test_goes_back),
        cmocka_unit_test(test_passing),
        cmocka_unit_test(test_passing_is_saved_again),
        cmocka_unit_test(test_goes_back_by_itself),
        cmocka_unit_test(test_lost_state),
        cmocka_unit_test(test_clear),
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_choice_of_nothing),
        cmocka_unit_test(test_choice_beside_a_training),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
