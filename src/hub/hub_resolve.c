/* SPDX-License-Identifier: Apache-2.0
 *
 * From a handle to a folder: what kind of place it names, whether the cache has it, and where to
 * fetch it from otherwise. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "hub_internal.h"

static const size_t max_archive_bytes = (size_t)1 << 33;
static const double give_up_seconds = 30.0;
static const char   archive_name[] = ".bert-train-archive";

static bool is_archive(const char *handle) {
    static const char *const tails[] = {".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tar.xz"};
    for (size_t i = 0; i < BT_ARRAY_LEN(tails); i++) {
        if (bt_str_ends_with(handle, tails[i])) {
            return true;
        }
    }
    return false;
}

static bt_status check_module(const char *folder, const char *handle, bt_error *err) {
    char *path = NULL;
    BT_TRY(bt_fs_join(folder, "saved_model.pb", &path, err));
    const bool there = bt_fs_exists(path);
    bt_free(path);
    return there ? BT_OK
                 : BT_FAIL(err, BT_E_FORMAT,
                           "%s: not a SavedModel: there is no saved_model.pb in it", handle);
}

/* "tf-hub-format=compressed" asks for the archive where a page would be shown. */
static bt_status first_place(const char *handle, char **url, bt_error *err) {
    bt_str     s = BT_STR_INIT;
    const bool asks = bt_str_starts_with(handle, "https://") && !is_archive(handle);
    bt_status  rc = bt_str_append(&s, handle, err);
    if (rc == BT_OK && asks && strstr(handle, "tf-hub-format=") == NULL) {
        rc = bt_str_appendf(&s, err, "%stf-hub-format=compressed",
                            strchr(handle, '?') == NULL ? "?" : "&");
    }
    *url = rc == BT_OK ? bt_str_take(&s) : NULL;
    bt_str_deinit(&s);
    return rc;
}

static bt_status fail_nowhere(const char *handle, const bt_error *first, bt_error *err) {
    return BT_FAIL(err, first->code == BT_E_UNSUPPORTED ? BT_E_UNSUPPORTED : BT_E_IO,
                   "module %.300s could not be fetched: %.400s. Bring its archive or its unpacked "
                   "folder to this machine and set task.hub_module_url to that path, or add a "
                   "place to configs/hub_handles.txt (BERT_TRAIN_HUB_HANDLES)",
                   handle, first->msg);
}

/* The handle itself, then the places that the table knows. The first failure is the one to tell. */
static bt_status download(const char *handle, const char *local, char sha256[BT_FS_HEX_MAX],
                          bt_error *err) {
    const bt_fs_download_limits limits = {max_archive_bytes, give_up_seconds};
    bt_status                   rc = BT_OK;
    bt_error                    first = BT_ERROR_INIT;
    char                       *table = NULL;
    char                       *url = NULL;
    BT_CHECK(hub_load_table(&table, err));
    BT_CHECK(first_place(handle, &url, err));
    for (size_t i = 0; url != NULL; i++) {
        bt_error problem = BT_ERROR_INIT;
        bt_log(BT_LOG_INFO, "module %s: fetching it%s%s", handle, i > 0 ? " from " : "",
               i > 0 ? url : "");
        rc = bt_fs_download(url, local, &limits, sha256, &problem);
        if (rc == BT_OK) {
            goto done;
        }
        first = i == 0 ? problem : first;
        bt_free(url);
        url = NULL;
        BT_CHECK(bt_hub_other_place(table, handle, i, &url, err));
    }
    rc = fail_nowhere(handle, &first, err);
done:
    bt_free(table);
    bt_free(url);
    return rc;
}

/* Unpacks the archive into the slot's temporary folder. */
static bt_status fill(const hub_slot *slot, const hub_pin *pin, const char *handle,
                      const char *archive, const char *sha256, bt_error *err) {
    BT_TRY(hub_pin_check_archive(pin, handle, sha256, err));
    const bt_status rc =
        bt_fs_unpack(archive, slot->temporary, HUB_MAX_ENTRIES, HUB_MAX_UNPACKED_BYTES, err);
    if (rc != BT_OK) {
        return bt_error_prefix(err, "module %.300s", handle);
    }
    return check_module(slot->temporary, handle, err);
}

/* A pinned archive stays beside the module, to hold its files against whenever it is used. */
static bt_status keep_archive(const hub_slot *slot, const hub_pin *pin, const char *archive,
                              bt_error *err) {
    if (pin->kind != HUB_PIN_ARCHIVE) {
        return bt_fs_remove(archive, err);
    }
    return rename(archive, slot->archive) == 0
               ? BT_OK
               : BT_FAIL(err, BT_E_RESOURCE, "cannot keep the archive %s: %s", slot->archive,
                         strerror(errno));
}

static bt_status fetch_and_fill(const hub_slot *slot, const hub_pin *pin, bt_error *err) {
    bt_status rc = BT_OK;
    char     *archive = NULL;
    char      sha256[BT_FS_HEX_MAX];
    BT_CHECK(bt_fs_join(slot->temporary, archive_name, &archive, err));
    BT_CHECK(download(slot->handle, archive, sha256, err));
    BT_CHECK(fill(slot, pin, slot->handle, archive, sha256, err));
    BT_CHECK(keep_archive(slot, pin, archive, err));
    BT_CHECK(hub_pin_check_content(pin, slot->handle, slot->temporary, err));
    BT_CHECK(hub_slot_publish(slot, sha256, err));
done:
    bt_free(archive);
    return rc;
}

/* The archive of a module that was cached without it (not pinned then, or by another program). */
static bt_status fetch_archive(hub_slot *slot, const hub_pin *pin, bt_error *err) {
    bt_status rc = BT_OK;
    char     *archive = NULL;
    char      sha256[BT_FS_HEX_MAX];
    BT_TRY(hub_slot_lock_always(slot, err));
    BT_CHECK(bt_fs_join(slot->temporary, archive_name, &archive, err));
    BT_CHECK(download(slot->handle, archive, sha256, err));
    BT_CHECK(hub_pin_check_archive(pin, slot->handle, sha256, err));
    BT_CHECK(keep_archive(slot, pin, archive, err));
done:
    hub_slot_unlock(slot);
    bt_free(archive);
    return rc;
}

/* What is in the cache was perhaps put there, or changed, by somebody else. */
static bt_status check_cached(hub_slot *slot, const hub_pin *pin, bool offline, bt_error *err) {
    char sha256[BT_FS_HEX_MAX];
    BT_TRY(bt_fs_check_private_folder(slot->module, err));
    BT_TRY(hub_pin_check_content(pin, slot->handle, slot->module, err));
    if (pin->kind != HUB_PIN_ARCHIVE) {
        return BT_OK;
    }
    if (!bt_fs_exists(slot->archive)) {
        if (offline) {
            BT_TRY(hub_content_digest(slot->module, sha256, err));
            return BT_FAIL(err, BT_E_FORMAT,
                           "%s: it is in the cache (%s), but not its archive, which "
                           "task.hub_module_sha256 pins: run once without --offline, which fetches "
                           "it, or, if these files are to be trusted, pin them: content:%s",
                           slot->handle, slot->module, sha256);
        }
        BT_TRY(fetch_archive(slot, pin, err));
    }
    BT_TRY(bt_fs_hash_file(slot->archive, sha256, err));
    BT_TRY(hub_pin_check_archive(pin, slot->handle, sha256, err));
    return hub_check_unpacked(slot->handle, slot->archive, slot->module, err);
}

static bt_status resolve_remote(const bt_hub_request *request, const hub_pin *pin, char **folder,
                                bt_error *err) {
    hub_slot  slot;
    bt_status rc = BT_OK;
    bool      filled = false;
    BT_CHECK(hub_slot_init(&slot, request->handle, err));
    filled = hub_slot_is_filled(&slot);
    if (!filled && request->offline) {
        rc = BT_FAIL(
            err, BT_E_IO,
            "%s: not in the cache of modules %s, and a run with --offline or --dry_run fetches "
            "nothing",
            request->handle, slot.cache);
        goto done;
    }
    if (!filled) {
        BT_CHECK(hub_slot_lock(&slot, &filled, err));
    }
    if (filled) {
        BT_CHECK(check_cached(&slot, pin, request->offline, err));
    } else {
        rc = fetch_and_fill(&slot, pin, err);
        hub_slot_unlock(&slot);
        BT_CHECK(rc);
    }
    BT_CHECK(check_module(slot.module, request->handle, err));
    *folder = slot.module;
    slot.module = NULL;
done:
    hub_slot_deinit(&slot);
    return rc;
}

/* A local archive is cached by what is in it. */
static bt_status resolve_local_archive(const bt_hub_request *request, const hub_pin *pin,
                                       char **folder, bt_error *err) {
    hub_slot  slot = {0};
    bt_str    key = BT_STR_INIT;
    bt_status rc = BT_OK;
    bool      filled = false;
    char      sha256[BT_FS_HEX_MAX];
    BT_CHECK(bt_fs_hash_file(request->handle, sha256, err));
    BT_CHECK(hub_pin_check_archive(pin, request->handle, sha256, err));
    BT_CHECK(bt_str_appendf(&key, err, "sha256:%s", sha256));
    BT_CHECK(hub_slot_init(&slot, key.data, err));
    BT_CHECK(hub_slot_lock(&slot, &filled, err));
    if (!filled) {
        rc = fill(&slot, pin, request->handle, request->handle, sha256, err);
        if (rc == BT_OK) {
            rc = hub_pin_check_content(pin, request->handle, slot.temporary, err);
        }
        if (rc == BT_OK) {
            rc = hub_slot_publish(&slot, sha256, err);
        }
        hub_slot_unlock(&slot);
        BT_CHECK(rc);
    } else {
        BT_CHECK(bt_fs_check_private_folder(slot.module, err));
        BT_CHECK(hub_pin_check_content(pin, request->handle, slot.module, err));
        if (pin->kind == HUB_PIN_ARCHIVE) {
            BT_CHECK(hub_check_unpacked(request->handle, request->handle, slot.module, err));
        }
    }
    BT_CHECK(check_module(slot.module, request->handle, err));
    *folder = slot.module;
    slot.module = NULL;
done:
    hub_slot_deinit(&slot);
    bt_str_deinit(&key);
    return rc;
}

static bt_status resolve_folder(const bt_hub_request *request, const hub_pin *pin, char **folder,
                                bt_error *err) {
    if (pin->kind == HUB_PIN_ARCHIVE) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "task.hub_module_sha256 is the digest of an archive, but %s is a folder: "
                       "content: and the digest of its files pins one",
                       request->handle);
    }
    BT_TRY(bt_fs_require_folder(request->handle, err));
    BT_TRY(check_module(request->handle, request->handle, err));
    BT_TRY(hub_pin_check_content(pin, request->handle, request->handle, err));
    *folder = bt_strdup(request->handle);
    return *folder != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for a path");
}

bt_status bt_hub_resolve(const bt_hub_request *request, char **folder, bt_error *err) {
    const char *const handle = request->handle;
    hub_pin           pin;
    BT_TRY(hub_pin_parse(request->sha256, &pin, err));
    if (bt_str_starts_with(handle, "https://") || (bt_fs_is_remote(handle) && is_archive(handle))) {
        return resolve_remote(request, &pin, folder, err);
    }
    if (bt_fs_is_remote(handle) && request->offline) {
        return BT_FAIL(err, BT_E_IO, "%s: a run with --offline or --dry_run reads no remote module",
                       handle);
    }
    if (!bt_fs_is_remote(handle) && is_archive(handle)) {
        BT_TRY(bt_fs_require_file(handle, NULL, err));
        return resolve_local_archive(request, &pin, folder, err);
    }
    return resolve_folder(request, &pin, folder, err);
}
