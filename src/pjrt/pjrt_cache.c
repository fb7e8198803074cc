/* SPDX-License-Identifier: Apache-2.0
 *
 * The compile cache: NAME.pjrt in a folder of the user's own, NAME a digest of all that decides
 * what comes out: the text, the options, the plug-in, the devices, the variables that compilers
 * read. What is in a file is run as code, so the folder must be private, and a file whose digest
 * does not fit is compiled again. A cache never makes a run fail: a line says what was
 * not used or not kept. */
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/bytes.h"
#include "bt/base/log.h"
#include "bt/fs.h"
#include "pjrt_cache.h"

static const char head[] = "bert-train compiled program 1\n";
static const char extension[] = ".pjrt";
enum { HEX_BYTES = 64, MAX_FILES = 200, EDGE_BYTES = 1 << 20 };
static const size_t max_bytes = (size_t)1 << 32;

/* A part with its length before it, so that no two lists of parts give the same bytes. */
static bt_status add_part(bt_fs_hasher *hasher, const void *bytes, size_t n, bt_error *err) {
    uint8_t size[8];
    bt_store_u64le(size, n);
    BT_TRY(bt_fs_hasher_add(hasher, size, sizeof size, err));
    return bt_fs_hasher_add(hasher, bytes, n, err);
}

static bt_status add_text(bt_fs_hasher *hasher, const char *text, bt_error *err) {
    return add_part(hasher, text != NULL ? text : "", text != NULL ? strlen(text) : 0, err);
}

/* Which build of a plug-in it is: its size, its first and its last bytes (all of its hundreds of
 * megabytes would take a second at each start). */
static bt_status add_plugin(bt_fs_hasher *hasher, const bt_pjrt_plugin *plugin, bt_error *err) {
    bt_status rc = BT_OK;
    bt_file  *file = NULL;
    size_t    got = 0;
    char     *edge = bt_alloc(EDGE_BYTES);
    if (edge == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "no memory to look at %s", plugin->path);
    }
    BT_CHECK(bt_fs_open(plugin->path, &file, err));
    const int64_t size = bt_fs_size(file);
    BT_CHECK(bt_fs_read_upto(file, 0, edge, EDGE_BYTES, &got, err));
    BT_CHECK(add_part(hasher, edge, got, err));
    BT_CHECK(bt_fs_read_upto(file, size > EDGE_BYTES ? size - EDGE_BYTES : 0, edge, EDGE_BYTES,
                             &got, err));
    BT_CHECK(add_part(hasher, edge, got, err));
    BT_CHECK(add_part(hasher, &size, sizeof size, err));
done:
    bt_fs_close(file);
    bt_free(edge);
    return rc;
}

/* A program for processors is for those of this machine. */
static bt_status add_processor(bt_fs_hasher *hasher, bt_error *err) {
    static const char *const wanted[] = {"model name", "flags", "Features", "CPU part"};
    bool                     seen[BT_ARRAY_LEN(wanted)] = {false};
    char                    *text = NULL;
    size_t                   n = 0;
    if (bt_fs_read_all("/proc/cpuinfo", (size_t)1 << 26, &text, &n, NULL) != BT_OK) {
        return BT_OK; /* not Linux: there the kind of device has to do */
    }
    bt_status rc = BT_OK;
    for (const char *line = text; *line != '\0' && rc == BT_OK;) {
        const size_t length = strcspn(line, "\n");
        for (size_t i = 0; i < BT_ARRAY_LEN(wanted) && rc == BT_OK; i++) {
            if (!seen[i] && bt_str_starts_with(line, wanted[i])) {
                seen[i] = true;
                rc = add_part(hasher, line, length, err);
            }
        }
        line += length + (line[length] == '\n' ? 1 : 0);
    }
    bt_free(text);
    return rc;
}

static bt_status add_all(bt_fs_hasher *hasher, const bt_pjrt_client *client, const char *text,
                         size_t n_bytes, const bt_str *options, bt_error *err) {
    static const char *const variables[] = {"XLA_FLAGS", "LIBTPU_INIT_ARGS"};
    BT_TRY(add_text(hasher, head, err));
    BT_TRY(add_part(hasher, text, n_bytes, err));
    BT_TRY(add_part(hasher, bt_str_text(options), options->len, err));
    BT_TRY(add_plugin(hasher, client->plugin, err));
    BT_TRY(add_text(hasher, client->platform, err));
    BT_TRY(add_text(hasher, client->version, err));
    BT_TRY(add_part(hasher, &client->n_devices, sizeof client->n_devices, err));
    for (size_t i = 0; i < client->n_devices; i++) {
        BT_TRY(add_text(hasher, client->kinds[i], err));
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(variables); i++) {
        BT_TRY(add_text(hasher, getenv(variables[i]), err));
    }
    return bt_str_equal(client->platform, "cpu") ? add_processor(hasher, err) : BT_OK;
}

bt_status pjrt_cache_path(const bt_pjrt_client *client, const char *folder, const char *text,
                          size_t n_bytes, const bt_str *options, char **path, bt_error *err) {
    bt_status     rc = BT_OK;
    bt_fs_hasher *hasher = NULL;
    bt_str        name = BT_STR_INIT;
    char          hex[BT_FS_HEX_MAX];
    BT_CHECK(bt_fs_hasher_create(BT_FS_SHA256, &hasher, err));
    BT_CHECK(add_all(hasher, client, text, n_bytes, options, err));
    BT_CHECK(bt_fs_hasher_finish(hasher, hex, err));
    BT_CHECK(bt_str_appendf(&name, err, "%s%s", hex, extension));
    BT_CHECK(bt_fs_join(folder, bt_str_text(&name), path, err));
done:
    bt_fs_hasher_free(hasher);
    bt_str_deinit(&name);
    return rc;
}

static bt_status hash_bytes(const void *bytes, size_t n, char hex[BT_FS_HEX_MAX], bt_error *err) {
    bt_fs_hasher *hasher = NULL;
    BT_TRY(bt_fs_hasher_create(BT_FS_SHA256, &hasher, err));
    bt_status rc = bt_fs_hasher_add(hasher, bytes, n, err);
    if (rc == BT_OK) {
        rc = bt_fs_hasher_finish(hasher, hex, err);
    }
    bt_fs_hasher_free(hasher);
    return rc;
}

bt_status pjrt_cache_read(const char *path, bt_str *out, bt_error *err) {
    const size_t n_head = strlen(head) + HEX_BYTES + 1;
    char        *bytes = NULL;
    size_t       n = 0;
    bt_error     why = BT_ERROR_INIT;
    if (!bt_fs_exists(path)) {
        return BT_OK;
    }
    bt_status rc = BT_OK;
    char      hex[BT_FS_HEX_MAX] = {0};
    if (bt_fs_read_all(path, max_bytes, &bytes, &n, &why) != BT_OK) {
        bt_log(BT_LOG_WARNING, "%s; the program is compiled again", why.msg);
        goto done;
    }
    if (n > n_head) {
        BT_CHECK(hash_bytes(bytes + n_head, n - n_head, hex, err));
    }
    if (n <= n_head || memcmp(bytes, head, strlen(head)) != 0 ||
        memcmp(bytes + strlen(head), hex, HEX_BYTES) != 0) {
        bt_log(BT_LOG_WARNING,
               "%s: a damaged file of the compile cache (its SHA-256 differs); the "
               "program is compiled again",
               path);
        goto done;
    }
    BT_CHECK(bt_str_append_n(out, bytes + n_head, n - n_head, err));
done:
    bt_free(bytes);
    return rc;
}

/* The oldest files go when there are too many. */
static bt_status make_room(const char *folder, bt_error *err) {
    bt_fs_names names = BT_FS_NAMES_INIT;
    bt_status   rc = BT_OK;
    char       *path = NULL;
    char       *oldest = NULL;
    BT_CHECK(bt_fs_list(folder, &names, err));
    double when = 0;
    size_t n_ours = 0;
    for (size_t i = 0; i < names.n; i++) {
        bt_fs_info info;
        if (!bt_str_ends_with(names.items[i], extension)) {
            continue;
        }
        bt_free(path);
        path = NULL;
        BT_CHECK(bt_fs_join(folder, names.items[i], &path, err));
        BT_CHECK(bt_fs_stat(path, &info, err));
        n_ours++;
        if (oldest == NULL || info.modified_unix < when) {
            bt_free(oldest);
            oldest = path;
            path = NULL;
            when = info.modified_unix;
        }
    }
    if (n_ours >= MAX_FILES) {
        BT_CHECK(bt_fs_remove(oldest, err));
    }
done:
    bt_fs_names_deinit(&names);
    bt_free(path);
    bt_free(oldest);
    return rc;
}

static bt_status write_file(const char *folder, const char *path, const void *bytes, size_t n_bytes,
                            bt_error *err) {
    bt_status     rc = BT_OK;
    bt_fs_writer *writer = NULL;
    char          hex[BT_FS_HEX_MAX];
    BT_CHECK(hash_bytes(bytes, n_bytes, hex, err));
    BT_CHECK(make_room(folder, err));
    BT_CHECK(bt_fs_writer_create(path, &writer, err));
    BT_CHECK(bt_fs_writer_write(writer, head, strlen(head), err));
    BT_CHECK(bt_fs_writer_write(writer, hex, HEX_BYTES, err));
    BT_CHECK(bt_fs_writer_write(writer, "\n", 1, err));
    BT_CHECK(bt_fs_writer_write(writer, bytes, n_bytes, err));
    BT_CHECK(bt_fs_writer_commit(&writer, err));
done:
    bt_fs_writer_abort(writer);
    return rc;
}

void pjrt_cache_write(const char *folder, const char *path, const void *bytes, size_t n_bytes) {
    bt_error why = BT_ERROR_INIT;
    if (write_file(folder, path, bytes, n_bytes, &why) != BT_OK) {
        bt_log(BT_LOG_WARNING, "the compiled program is not kept for the next start: %s", why.msg);
    }
}
