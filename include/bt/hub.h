/* SPDX-License-Identifier: Apache-2.0
 *
 * hub: where a TF Hub module is. A handle (https:// URL, gs:// path, local folder or archive)
 * becomes the folder of a SavedModel, downloaded and unpacked when it must be, into TensorFlow
 * Hub's own cache layout: modules that other programs cached are found, and ours by them.
 */
#ifndef BT_HUB_H
#define BT_HUB_H

#include "bt/base/status.h"

typedef struct bt_hub_request {
    const char *handle;
    const char *sha256; /* of the archive, in hex, or "content:" and bt_fs_content_digest of the
                         * folder; NULL or "": not pinned */
    bool offline;       /* use what is there, ask nobody */
} bt_hub_request;

/* *folder holds saved_model.pb (local, or gs:// when the handle is such a folder); the caller
 * bt_free()s it. BT_E_IO: not to be had, and what to do; BT_E_FORMAT: it was, and is not a module,
 * or not the pinned one. */
BT_MUST_USE bt_status bt_hub_resolve(const bt_hub_request *request, char **folder, bt_error *err);

/* Where else a handle's archive may be, from the text of a table of handles
 * (configs/hub_handles.txt says its form): the n-th place (0, 1, ...), NULL in *url when there are
 * no more. Owned by the caller. */
BT_MUST_USE bt_status bt_hub_other_place(const char *table, const char *handle, size_t n,
                                         char **url, bt_error *err);

#endif
