/* SPDX-License-Identifier: Apache-2.0
 *
 * A folder of checkpoints of a small model, and what tests do with it. */
#ifndef BT_MANAGER_FIXTURE_H
#define BT_MANAGER_FIXTURE_H

#include "bt/wire/state_file.h"
#include "ckpt_test_support.h"
#include "test_support.h"

typedef struct manager_fixture {
    bt_model     *model;
    float        *flat;
    bt_ckpt_train train;
    const char   *folder;
} manager_fixture;

manager_fixture manager_make(void);
void            manager_free(manager_fixture *f);
void            manager_path(const manager_fixture *f, const char *name, char path[TEST_PATH_MAX]);
bool            manager_has(const manager_fixture *f, const char *name);
bt_ckpt_state   manager_state(const manager_fixture *f);
bt_status       manager_save(const manager_fixture *f, bt_ckpt_manager *manager, int64_t step,
                             bt_error *err);
void            manager_put(const manager_fixture *f, const char *name, const char *text);
void            manager_copy(const manager_fixture *f, const char *from, const char *to);
void manager_save_steps(const manager_fixture *f, int64_t max_to_keep, int64_t first, int64_t last);
/* All files of `from` are those of `to`, which must be there, and no others. */
void manager_mirror(const char *from, const char *to);

#endif
