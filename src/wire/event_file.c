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
#include "bt/tensor.h"
#include "bt/wire/events.h"
#include "bt/wire/tfrecord.h"
#include "event_mark.h"
#include "proto_wire.h"

enum { HOST_NAME_MAX_BYTES = 256, SESSION_START = 1 };

struct bt_events_writer {
    bt_fs_writer *file;
    bt_str        event;
    bt_str        part[4]; /* nested messages, innermost first */
    bt_str        frame;
};

/* Event {1: wall_time, 2: step, 3: file_version, 5: summary, 10: source_metadata} */
static bt_status begin_event(bt_events_writer *writer, int64_t step, bt_error *err) {
    const double wall_time = bt_time_unix();
    uint64_t     bits = 0;
    memcpy(&bits, &wall_time, sizeof bits);
    bt_str_clear(&writer->event);
    for (size_t i = 0; i < BT_ARRAY_LEN(writer->part); i++) {
        bt_str_clear(&writer->part[i]);
    }
    BT_TRY(pw_put_fixed64(&writer->event, 1, bits, err));
    return step == 0 ? BT_OK : pw_put_int(&writer->event, 2, (uint64_t)step, err);
}

static bt_status end_event(bt_events_writer *writer, bt_error *err) {
    bt_str_clear(&writer->frame);
    BT_TRY(bt_tfrecord_frame(&writer->frame, writer->event.data, writer->event.len, err));
    return bt_fs_writer_write(writer->file, writer->frame.data, writer->frame.len, err);
}

static bt_status put_str(bt_str *out, uint32_t field, const bt_str *message, bt_error *err) {
    return pw_put_bytes(out, field, message->data, message->len, err);
}

static bt_status write_version(bt_events_writer *writer, bt_error *err) {
    BT_TRY(begin_event(writer, 0, err));
    BT_TRY(pw_put_text(&writer->event, 3, "brain.Event:2", err));
    BT_TRY(pw_put_text(&writer->part[0], 1, "tensorflow.core.util.events_writer", err));
    BT_TRY(put_str(&writer->event, 10, &writer->part[0], err));
    return end_event(writer, err);
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
    bt_str_deinit(&writer->event);
    bt_str_deinit(&writer->frame);
    for (size_t i = 0; i < BT_ARRAY_LEN(writer->part); i++) {
        bt_str_deinit(&writer->part[i]);
    }
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

/* Event 7: SessionLog {1: status}. The first START that TensorBoard sees in a folder says nothing
 * to it, each further one that events from this step on are void. */
bt_status bt_events_restart(bt_events_writer *writer, int64_t step, bt_error *err) {
    for (int i = 0; i < 2; i++) {
        BT_TRY(begin_event(writer, step, err));
        BT_TRY(pw_put_int(&writer->part[0], 1, SESSION_START, err));
        BT_TRY(put_str(&writer->event, 7, &writer->part[0], err));
        BT_TRY(end_event(writer, err));
    }
    return BT_OK;
}

/* Value {1: tag, 8: tensor {1: dtype, 2: shape, 4: content}, 9: metadata {1: plugin {1: name}}} */
bt_status bt_events_scalar(bt_events_writer *writer, int64_t step, const char *tag, float value,
                           bt_error *err) {
    uint32_t      bits = 0;
    uint8_t       content[4];
    bt_str *const tensor = &writer->part[0];
    bt_str *const metadata = &writer->part[1];
    bt_str *const entry = &writer->part[2];
    bt_str *const summary = &writer->part[3];
    memcpy(&bits, &value, sizeof bits);
    bt_store_u32le(content, bits);
    BT_TRY(begin_event(writer, step, err));
    BT_TRY(pw_put_int(tensor, 1, BT_DTYPE_F32, err));
    BT_TRY(pw_put_bytes(tensor, 2, "", 0, err));
    BT_TRY(pw_put_bytes(tensor, 4, content, sizeof content, err));
    BT_TRY(pw_put_text(entry, 1, "scalars", err)); /* the innermost message first, then emptied */
    BT_TRY(put_str(metadata, 1, entry, err));
    bt_str_clear(entry);
    BT_TRY(pw_put_text(entry, 1, tag, err));
    BT_TRY(put_str(entry, 8, tensor, err));
    BT_TRY(put_str(entry, 9, metadata, err));
    BT_TRY(put_str(summary, 1, entry, err));
    BT_TRY(put_str(&writer->event, 5, summary, err));
    return end_event(writer, err);
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

static bool parse_tensor(bt_bytes bytes, bt_event *out) {
    bt_reader r = pw_open(bytes);
    while (bt_reader_left(&r) > 0) {
        pw_field field;
        if (!pw_next(&r, &field)) {
            return false;
        }
        const bool is_value = field.number == 4 || field.number == 5;
        if (is_value && field.type == PW_BYTES && field.bytes.n_bytes == 4) {
            out->value = pw_f32(bt_load_u32le(field.bytes.data));
        } else if (is_value && field.type == PW_FIXED32) {
            out->value = pw_f32((uint32_t)field.value);
        }
    }
    return true;
}

/* SummaryMetadata {1: PluginData {1: plugin_name}} */
static bool parse_metadata(bt_bytes bytes, bt_event *out) {
    bt_reader r = pw_open(bytes);
    while (bt_reader_left(&r) > 0) {
        pw_field field;
        if (!pw_next(&r, &field)) {
            return false;
        }
        if (field.number == 1 && field.type == PW_BYTES) {
            bt_reader inner = pw_open(field.bytes);
            pw_field  name = {0};
            if (bt_reader_left(&inner) > 0 && !pw_next(&inner, &name)) {
                return false;
            }
            if (field.bytes.n_bytes > 0 && name.number == 1) {
                out->plugin = name.bytes;
            }
        }
    }
    return true;
}

static bool parse_summary(bt_bytes bytes, bt_event *out) {
    bt_reader r = pw_open(bytes);
    pw_field  field;
    if (bt_reader_left(&r) == 0) {
        return true;
    }
    if (!pw_next(&r, &field) || field.number != 1 || field.type != PW_BYTES) {
        return false;
    }
    r = pw_open(field.bytes);
    while (bt_reader_left(&r) > 0) {
        bool good = pw_next(&r, &field);
        if (good && field.number == 1) {
            out->tag = field.bytes;
        } else if (good && field.number == 2) {
            out->value = pw_f32((uint32_t)field.value);
        } else if (good && field.number == 8) {
            good = parse_tensor(field.bytes, out);
        } else if (good && field.number == 9) {
            good = parse_metadata(field.bytes, out);
        }
        if (!good) {
            return false;
        }
    }
    return true;
}

bt_status bt_event_parse(bt_bytes bytes, bt_event *out, bt_error *err) {
    bt_reader r = pw_open(bytes);
    *out = (bt_event){0};
    while (bt_reader_left(&r) > 0) {
        pw_field field;
        bool     good = pw_next(&r, &field);
        if (good && field.number == 1) {
            out->wall_time = pw_f64(field.value);
        } else if (good && field.number == 2) {
            out->step = (int64_t)field.value;
        } else if (good && field.number == 3) {
            out->file_version = field.bytes;
        } else if (good && field.number == 5) {
            good = parse_summary(field.bytes, out);
        }
        if (!good) {
            return BT_FAIL(err, BT_E_FORMAT, "not an event: the message of %zu bytes is damaged",
                           bytes.n_bytes);
        }
    }
    return BT_OK;
}
