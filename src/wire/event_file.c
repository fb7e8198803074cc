/* SPDX-License-Identifier: Apache-2.0
 *
 * TensorBoard event files: a TFRecord file of tensorflow.Event, scalars as the scalar plug-in's
 * float32 tensors, byte for byte as TensorFlow 2 lays them out
 * (docs/model_garden/config.md 6.5, 6.6). */
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/base/time.h"
#include "bt/fs.h"
#include "bt/proto.h"
#include "bt/tensor.h"
#include "bt/wire/events.h"
#include "bt/wire/tfrecord.h"
#include "event.pb-c.h"
#include "event_mark.h"
#include "event_write.h"

enum { HOST_NAME_MAX_BYTES = 256, SESSION_START = 1 };

struct bt_events_writer {
    bt_fs_writer *file;
    bt_str        message;
    bt_str        frame;
};

static bt_status write_event(bt_events_writer *writer, BtTf__Event *event, bt_error *err) {
    event->wall_time = bt_time_unix();
    bt_str_clear(&writer->message);
    bt_str_clear(&writer->frame);
    BT_TRY(bt_proto_append(&writer->message, &event->base, err));
    BT_TRY(bt_tfrecord_frame(&writer->frame, writer->message.data, writer->message.len, err));
    return bt_fs_writer_write(writer->file, writer->frame.data, writer->frame.len, err);
}

static bt_status write_version(bt_events_writer *writer, bt_error *err) {
    BtTf__SourceMetadata source = BT_TF__SOURCE_METADATA__INIT;
    BtTf__Event          event = BT_TF__EVENT__INIT;
    source.writer = bt_proto_text("tensorflow.core.util.events_writer");
    event.what_case = BT_TF__EVENT__WHAT_FILE_VERSION;
    event.file_version = bt_proto_text("brain.Event:2");
    event.source_metadata = &source;
    return write_event(writer, &event, err);
}

/* Readers take the files of a folder in the order of their names: a new one is the last, whatever
 * the clock says. */
static bt_status file_time(const char *folder, int64_t *time, bt_error *err) {
    int64_t last = 0;
    BT_TRY(events_last_time(folder, &last, err));
    *time = (int64_t)bt_time_unix();
    *time = *time > last ? *time : last + 1;
    return BT_OK;
}

static bt_status open_file(bt_events_writer *writer, const char *folder, bt_error *err) {
    static atomic_int counter;
    char              host[HOST_NAME_MAX_BYTES];
    int64_t           time = 0;
    bt_str            name = BT_STR_INIT;
    char             *path = NULL;
    bt_status         rc = BT_OK;
    if (gethostname(host, sizeof host) != 0) {
        memcpy(host, "localhost", sizeof "localhost");
    }
    host[sizeof host - 1] = '\0';
    BT_CHECK(bt_fs_make_folders(folder, err));
    BT_CHECK(file_time(folder, &time, err));
    BT_CHECK(bt_str_appendf(&name, err, "events.out.%s%010" PRId64 ".%s.%ld.%d%s", event_word, time,
                            host, (long)getpid(), atomic_fetch_add(&counter, 1), event_mark));
    BT_CHECK(bt_fs_join(folder, name.data, &path, err));
    BT_CHECK(bt_fs_writer_append(path, &writer->file, err));
done:
    bt_str_deinit(&name);
    bt_free(path);
    return rc;
}

static void events_free(bt_events_writer *writer) {
    bt_fs_writer_abort(writer->file);
    bt_str_deinit(&writer->message);
    bt_str_deinit(&writer->frame);
    bt_free(writer);
}

bt_status bt_events_create(const char *folder, bt_events_writer **out, bt_error *err) {
    bt_status               rc = BT_OK;
    bt_events_writer *const writer = bt_calloc_array(1, sizeof *writer);
    if (writer == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot write events to %s", folder);
    }
    BT_CHECK(open_file(writer, folder, err));
    BT_CHECK(write_version(writer, err));
    BT_CHECK(bt_events_flush(writer, err));
    *out = writer;
    return BT_OK;
done:
    events_free(writer);
    return rc;
}

/* The first START that TensorBoard sees in a folder says nothing to it, each further one that
 * events from this step on are void. */
bt_status bt_events_restart(bt_events_writer *writer, int64_t step, bt_error *err) {
    BtTf__SessionLog log = BT_TF__SESSION_LOG__INIT;
    BtTf__Event      event = BT_TF__EVENT__INIT;
    log.status = SESSION_START;
    event.step = step;
    event.what_case = BT_TF__EVENT__WHAT_SESSION_LOG;
    event.session_log = &log;
    BT_TRY(write_event(writer, &event, err));
    return write_event(writer, &event, err);
}

bt_status events_write_tensor(bt_events_writer *writer, int64_t step, const event_value *value,
                              BtTf__TensorProto *tensor, bt_error *err) {
    enum { DATA_CLASS_TENSOR = 2 };
    BtTf__SummaryMetadata__PluginData data = BT_TF__SUMMARY_METADATA__PLUGIN_DATA__INIT;
    BtTf__SummaryMetadata             metadata = BT_TF__SUMMARY_METADATA__INIT;
    BtTf__Summary__Value              entry = BT_TF__SUMMARY__VALUE__INIT;
    BtTf__Summary__Value *const       entries[] = {&entry};
    BtTf__Summary                     summary = BT_TF__SUMMARY__INIT;
    BtTf__Event                       event = BT_TF__EVENT__INIT;
    data.plugin_name = bt_proto_text(value->plugin);
    if (value->content != NULL) {
        data.content = bt_proto_bytes(
            (bt_bytes){(const uint8_t *)bt_str_text(value->content), value->content->len});
    }
    if (value->description != NULL) {
        metadata.summary_description = bt_proto_text(value->description);
    }
    metadata.data_class = value->has_class ? DATA_CLASS_TENSOR : 0;
    metadata.plugin_data = &data;
    entry.tag = bt_proto_text(value->tag);
    entry.value_case = BT_TF__SUMMARY__VALUE__VALUE_TENSOR;
    entry.tensor = tensor;
    entry.metadata = &metadata;
    summary.n_value = 1;
    summary.value = (BtTf__Summary__Value **)(uintptr_t)entries;
    event.step = step;
    event.what_case = BT_TF__EVENT__WHAT_SUMMARY;
    event.summary = &summary;
    return write_event(writer, &event, err);
}

bt_status bt_events_scalar(bt_events_writer *writer, int64_t step, const char *tag, float value,
                           bt_error *err) {
    uint32_t               bits = 0;
    uint8_t                content[4];
    BtTf__TensorShapeProto scalar = BT_TF__TENSOR_SHAPE_PROTO__INIT;
    BtTf__TensorProto      tensor = BT_TF__TENSOR_PROTO__INIT;
    memcpy(&bits, &value, sizeof bits);
    bt_store_u32le(content, bits);
    tensor.dtype = BT_DTYPE_F32;
    tensor.tensor_shape = &scalar;
    tensor.tensor_content = bt_proto_bytes((bt_bytes){content, sizeof content});
    const event_value head = {.tag = tag, .plugin = event_scalars}; /* as TensorFlow 2 has them */
    return events_write_tensor(writer, step, &head, &tensor, err);
}

bt_status bt_events_flush(bt_events_writer *writer, bt_error *err) {
    return bt_fs_writer_flush(writer->file, false, err);
}

bt_status bt_events_sync(bt_events_writer *writer, bt_error *err) {
    return bt_fs_writer_flush(writer->file, true, err);
}

bt_status bt_events_close(bt_events_writer *writer, bt_error *err) {
    if (writer == NULL) {
        return BT_OK;
    }
    const bt_status rc = bt_fs_writer_commit(&writer->file, err);
    events_free(writer);
    return rc;
}

const char *bt_events_path(const bt_events_writer *writer) {
    return bt_fs_writer_path(writer->file);
}

bool bt_events_is_orphan(const bt_events_writer *writer) {
    return bt_fs_writer_is_orphan(writer->file);
}
