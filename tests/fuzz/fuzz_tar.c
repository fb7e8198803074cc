/* SPDX-License-Identifier: Apache-2.0
 *
 * Archives: whatever they hold, nothing appears beside the folder. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/fs.h"
#include "fuzz_file.h"
#include "fuzz_targets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *const archive = fuzz_file("fuzz.tar", data, size);
    char             *parent = NULL;
    char              folder[4096];
    bt_fs_names       names = BT_FS_NAMES_INIT;
    if (bt_fs_parent(archive, &parent, NULL) != BT_OK) {
        return 0;
    }
    (void)snprintf(folder, sizeof folder, "%s/unpacked", parent);
    if (bt_fs_make_folders(folder, NULL) == BT_OK) {
        (void)(bt_fs_unpack(archive, folder, 100, 1 << 20, NULL) == BT_OK);
        if (bt_fs_list(parent, &names, NULL) != BT_OK || names.n != 2 ||
            bt_fs_remove_tree(folder, NULL) != BT_OK) {
            abort();
        }
        bt_fs_names_deinit(&names);
    }
    bt_free(parent);
    return 0;
}
