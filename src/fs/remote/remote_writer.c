/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing remote files. There is no rename: an object appears whole when its upload is finished, so
 * a replace needs none. Large ones go up in chunks while they are written; small ones in one
 * request at commit. Appending is not to be had either: the whole (small) file is uploaded anew at
 * intervals, under the condition that nobody else changed it meanwhile. */
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/number.h"
#include "bt/base/stop.h"
#include "bt/base/time.h"
#include "remote.h"

static const size_t append_max_bytes = (size_t)1 << 28;
static const double upload_interval_seconds = 30.0;

/* BERT_TRAIN_CHUNK_BYTES, in whole multiples of what stores want. */
static size_t chunk_size(void) {
    enum { UNIT = 1 << 18, USUAL = 8 << 20, MOST = 1 << 30 };
    const char *const text = getenv("BERT_TRAIN_CHUNK_BYTES");
    int64_t           n = USUAL;
    if (text == NULL || !bt_parse_i64(text, &n) || n < UNIT || n > MOST) {
        n = USUAL;
    }
    return (size_t)(n / UNIT * UNIT);
}

struct remote_writer {
    char               *path;
    const remote_store *store;
    bool                append;
    bt_str              bytes;    /* replace: what is not uploaded; append: everything */
    int64_t             n_before; /* uploaded chunks */
    size_t              n_chunk;
    void               *upload;     /* of chunks; NULL: none begun */
    bool                is_dirty;   /* append: there is more than was uploaded */
    int64_t             version;    /* append: of the object that we wrote or found */
    bool                has_failed; /* append: no more tries; the failure was told */
    double              last_upload;
};

static bt_status load_before(remote_writer *writer, bt_error *err) {
    bt_fs_info info = {0};
    char      *text = NULL;
    size_t     n = 0;
    BT_TRY(remote_stat(writer->path, &info, err));
    writer->version = info.version;
    if (info.kind == BT_FS_MISSING) {
        return BT_OK;
    }
    BT_TRY(remote_read_all(writer->path, append_max_bytes, &text, &n, err));
    const bt_status rc = bt_str_append_n(&writer->bytes, text, n, err);
    bt_free(text);
    return rc;
}

bt_status remote_writer_create(const char *path, bool append, remote_writer **out, bt_error *err) {
    bt_status rc = BT_OK;
    BT_TRY(remote_check_writable(path, err));
    remote_name name;
    BT_TRY(remote_name_parse(path, &name, err));
    if (name.name[0] == '\0' || bt_str_ends_with(path, "/")) {
        return BT_FAIL(err, BT_E_RESOURCE, "cannot write %s: it is a folder", path);
    }
    remote_writer *writer = bt_calloc_array(1, sizeof *writer);
    if (writer == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot open %s for writing", path);
    }
    writer->store = remote_store_of(path);
    writer->append = append;
    writer->n_chunk = chunk_size();
    writer->path = bt_strdup(path);
    writer->last_upload = bt_time_monotonic();
    if (writer->path == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot open %s for writing", path);
        goto done;
    }
    if (append) {
        BT_CHECK(load_before(writer, err));
    }
    *out = writer;
    writer = NULL;
done:
    remote_writer_free(writer);
    return rc;
}

void remote_writer_free(remote_writer *writer) {
    if (writer != NULL) {
        if (writer->upload != NULL) {
            bt_stop_shield(true); /* giving up is what remains to be done */
            writer->store->upload_end(writer->upload);
            bt_stop_shield(false);
        }
        bt_str_deinit(&writer->bytes);
        bt_free(writer->path);
        bt_free(writer);
    }
}

int64_t remote_writer_offset(const remote_writer *writer) {
    return writer->n_before + (int64_t)writer->bytes.len;
}

static bt_status send_chunk(remote_writer *writer, bool last, bt_error *err) {
    if (writer->upload == NULL) {
        BT_TRY(writer->store->upload_begin(writer->path, &writer->upload, err));
    }
    BT_TRY(writer->store->upload_chunk(writer->upload, bt_str_text(&writer->bytes),
                                       writer->bytes.len, last, err));
    writer->n_before += (int64_t)writer->bytes.len;
    bt_str_clear(&writer->bytes);
    return BT_OK;
}

bt_status remote_writer_write(remote_writer *writer, const void *bytes, size_t n, bt_error *err) {
    writer->is_dirty = writer->is_dirty || n > 0;
    if (writer->append && n > append_max_bytes - writer->bytes.len) {
        return BT_FAIL(err, BT_E_RESOURCE,
                       "%s: more than %zu bytes cannot be kept up to date in a store without "
                       "appending",
                       writer->path, append_max_bytes);
    }
    while (!writer->append && n > writer->n_chunk - writer->bytes.len) {
        /* a full chunk goes only when something follows: the last one must not be empty */
        const size_t part = writer->n_chunk - writer->bytes.len;
        BT_TRY(bt_str_append_n(&writer->bytes, bytes, part, err));
        BT_TRY(send_chunk(writer, false, err));
        bytes = (const char *)bytes + part;
        n -= part;
    }
    return bt_str_append_n(&writer->bytes, bytes, n, err);
}

static bt_status upload_appended(remote_writer *writer, bt_error *err) {
    if (!writer->is_dirty || writer->has_failed) {
        return BT_OK;
    }
    writer->has_failed = true;
    BT_TRY(writer->store->put(writer->path, bt_str_text(&writer->bytes), writer->bytes.len,
                              writer->version, &writer->version, err));
    writer->has_failed = false;
    writer->is_dirty = false;
    writer->last_upload = bt_time_monotonic();
    return BT_OK;
}

bt_status remote_writer_flush(remote_writer *writer, bool at_once, bt_error *err) {
    const double interval = http_env_seconds("BERT_TRAIN_UPLOAD_SECONDS", upload_interval_seconds);
    if (!writer->append || (!at_once && bt_time_monotonic() - writer->last_upload < interval)) {
        return BT_OK;
    }
    return upload_appended(writer, err);
}

void remote_writer_close_append(remote_writer *writer) {
    if (writer->append && upload_appended(writer, NULL) != BT_OK) {
        bt_log(BT_LOG_DEBUG, "%s: the last lines could not be uploaded", writer->path);
    }
}

bt_status remote_writer_commit(remote_writer *writer, bt_error *err) {
    remote_told_forget(writer->path);
    if (writer->append) {
        return upload_appended(writer, err);
    }
    if (writer->upload != NULL) {
        return send_chunk(writer, true, err);
    }
    int64_t version = 0;
    return writer->store->put(writer->path, bt_str_text(&writer->bytes), writer->bytes.len,
                              BT_FS_ANY_VERSION, &version, err);
}
