/* SPDX-License-Identifier: Apache-2.0
 *
 * task.hub_module_sha256: what a module must be. The digest of its archive is held against the
 * archive when it is fetched and, because whoever may write to the cache may write any note there,
 * against the archive that is kept for that purpose each time the module is used; its files then
 * against those of the folder. "content:" and the digest of the files needs no archive. */
#include <string.h>

#include "hub_internal.h"

enum { HEX_DIGITS = 64 };
static const char content_prefix[] = "content:";

bt_status hub_pin_parse(const char *text, hub_pin *pin, bt_error *err) {
    *pin = (hub_pin){.kind = HUB_PIN_NONE};
    if (text == NULL || text[0] == '\0') {
        return BT_OK;
    }
    const bool        is_content = bt_str_starts_with(text, content_prefix);
    const char *const hex = is_content ? text + strlen(content_prefix) : text;
    if (strlen(hex) != HEX_DIGITS || strspn(hex, "0123456789abcdefABCDEF") != HEX_DIGITS) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "task.hub_module_sha256='%.100s': expected the SHA-256 of an archive, 64 "
                       "digits 0-9 and a-f, or content: and such a digest of the module's files",
                       text);
    }
    pin->kind = is_content ? HUB_PIN_CONTENT : HUB_PIN_ARCHIVE;
    memcpy(pin->sha256, hex, HEX_DIGITS + 1);
    return BT_OK;
}

bt_status hub_pin_check_archive(const hub_pin *pin, const char *handle, const char *sha256,
                                bt_error *err) {
    if (pin->kind != HUB_PIN_ARCHIVE || bt_str_equal_nocase(pin->sha256, sha256)) {
        return BT_OK;
    }
    return BT_FAIL(err, BT_E_FORMAT,
                   "%s: its archive has the SHA-256 %s, task.hub_module_sha256 says %s: it is not "
                   "the module that was pinned",
                   handle, sha256, pin->sha256);
}

bt_status hub_content_digest(const char *folder, char sha256[BT_FS_HEX_MAX], bt_error *err) {
    bt_fs_names content = BT_FS_NAMES_INIT;
    BT_TRY(bt_fs_folder_content(folder, HUB_MAX_ENTRIES, &content, err));
    const bt_status rc = bt_fs_content_digest(&content, sha256, err);
    bt_fs_names_deinit(&content);
    return rc;
}

bt_status hub_pin_check_content(const hub_pin *pin, const char *handle, const char *folder,
                                bt_error *err) {
    char sha256[BT_FS_HEX_MAX];
    if (pin->kind != HUB_PIN_CONTENT) {
        return BT_OK;
    }
    BT_TRY(hub_content_digest(folder, sha256, err));
    return bt_str_equal_nocase(pin->sha256, sha256)
               ? BT_OK
               : BT_FAIL(err, BT_E_FORMAT,
                         "%s: the files in %s have the digest content:%s, task.hub_module_sha256 "
                         "says content:%s: it is not the module that was pinned",
                         handle, folder, sha256, pin->sha256);
}

/* The first file that is in one of two sorted contents only, or differs. */
static const char *first_difference(const bt_fs_names *a, const bt_fs_names *b) {
    size_t i = 0;
    while (i < a->n && i < b->n && strcmp(a->items[i], b->items[i]) == 0) {
        i++;
    }
    if (i < a->n && i < b->n) {
        return strcmp(a->items[i], b->items[i]) < 0 ? a->items[i] : b->items[i];
    }
    return i < a->n ? a->items[i] : i < b->n ? b->items[i] : NULL;
}

bt_status hub_check_unpacked(const char *handle, const char *archive, const char *folder,
                             bt_error *err) {
    bt_status   rc = BT_OK;
    bt_fs_names packed = BT_FS_NAMES_INIT;
    bt_fs_names found = BT_FS_NAMES_INIT;
    BT_CHECK(bt_fs_archive_content(archive, HUB_MAX_ENTRIES, HUB_MAX_UNPACKED_BYTES, &packed, err));
    BT_CHECK(bt_fs_folder_content(folder, HUB_MAX_ENTRIES, &found, err));
    const char *const different = first_difference(&packed, &found);
    if (different != NULL) {
        rc = BT_FAIL(err, BT_E_FORMAT,
                     "%s: %s/%.*s is not as it is in the archive that task.hub_module_sha256 pins: "
                     "somebody changed it. Remove that folder to unpack the module again",
                     handle, folder, (int)strcspn(different, "\n"), different);
    }
done:
    bt_fs_names_deinit(&packed);
    bt_fs_names_deinit(&found);
    return rc;
}
