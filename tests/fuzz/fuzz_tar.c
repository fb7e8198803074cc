/* SPDX-License-Identifier: Apache-2.0
 *
 * Archives: whatever they hold, nothing appears beside the folder, and their content is that of the
 * folder. The first byte says whether the checksums of the others are mended (bit 0), and whether
 * they are packed then (bit 1). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/fs.h"
#include "fuzz_file.h"
#include "fuzz_mend.h"
#include "fuzz_targets.h"

enum { MAX_ENTRIES = 100, MAX_BYTES = 1 << 20, PACKS = 2 };

static void unpack(const char *archive, const char *folder) {
    bt_fs_names told = BT_FS_NAMES_INIT;
    bt_fs_names made = BT_FS_NAMES_INIT;
    const bool  is_told =
        bt_fs_archive_content(archive, MAX_ENTRIES, MAX_BYTES, &told, NULL) == BT_OK;
    if ((bt_fs_unpack(archive, folder, MAX_ENTRIES, MAX_BYTES, NULL) == BT_OK) && is_told) {
        if (bt_fs_folder_content(folder, MAX_ENTRIES, &made, NULL) != BT_OK || made.n != told.n) {
            abort();
        }
        for (size_t i = 0; i < made.n; i++) {
            if (strcmp(made.items[i], told.items[i]) != 0) {
                abort();
            }
        }
    }
    bt_fs_names_deinit(&told);
    bt_fs_names_deinit(&made);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bt_str packed = BT_STR_INIT;
    char          folder[4096];
    char         *parent = NULL;
    uint8_t      *copy = NULL;
    bt_fs_names   names = BT_FS_NAMES_INIT;
    if (size == 0 || (copy = bt_alloc(size)) == NULL) {
        return 0;
    }
    memcpy(copy, data + 1, size - 1);
    if ((data[0] & FUZZ_MENDS) != 0) {
        fuzz_mend_tar(copy, size - 1);
    }
    fuzz_pack((data[0] & PACKS) != 0 ? FUZZ_GZIP : FUZZ_PLAIN, copy, size - 1, &packed);
    bt_free(copy);
    const char *const archive =
        fuzz_file("fuzz.tar", (const uint8_t *)bt_str_text(&packed), packed.len);
    if (bt_fs_parent(archive, &parent, NULL) != BT_OK) {
        return 0;
    }
    (void)snprintf(folder, sizeof folder, "%s/unpacked", parent);
    if (bt_fs_make_folders(folder, NULL) == BT_OK) {
        unpack(archive, folder);
        if (bt_fs_list(parent, &names, NULL) != BT_OK || names.n != 2 ||
            bt_fs_remove_tree(folder, NULL) != BT_OK) {
            abort();
        }
        bt_fs_names_deinit(&names);
    }
    bt_free(parent);
    return 0;
}
