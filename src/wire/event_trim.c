/* SPDX-License-Identifier: Apache-2.0
 *
 * Takes out of event files what a run that goes back to an earlier step will write again, and what
 * a kill or a power cut tore. Where the rest of a file goes it is cut off in place; where something
 * after it stays, the file is replaced. Only files that carry our mark in their name are changed.
 */
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/arena.h"
#include "bt/base/bytes.h"
#include "bt/base/crc32c.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "bt/proto.h"
#include "bt/wire/events.h"
#include "event.pb-c.h"
#include "event_mark.h"
#include "event_session.h"
#include "tfrecord_frame.h"

/* What becomes of one file: [0, cut) stays; when is_rewritten, kept holds all that stays. */
typedef struct trim {
    int64_t  last_step;
    bool     is_rewritten;
    size_t   cut;
    bool     has_gap; /* something before this place goes */
    bt_str   kept;
    bt_arena scratch; /* the message of one event */
    int64_t  n_cut;
    int64_t  n_last;
    int64_t  n_damaged; /* bytes */
    bool     has_session_start;
    bool     has_session_end;
} trim;

/* The whole frame that begins at data, or 0: its size. */
static size_t whole_frame(const uint8_t *data, size_t n_left) {
    if (n_left < TFRECORD_HEADER_BYTES + TFRECORD_FOOTER_BYTES ||
        bt_load_u32le(data + 8) != bt_crc32c_mask(bt_crc32c(0, data, 8))) {
        return 0;
    }
    const uint64_t n = bt_load_u64le(data);
    if (n > n_left - TFRECORD_HEADER_BYTES - TFRECORD_FOOTER_BYTES) {
        return 0;
    }
    const uint8_t *const record = data + TFRECORD_HEADER_BYTES;
    const bool           is_good =
        bt_load_u32le(record + n) == bt_crc32c_mask(bt_crc32c(0, record, (size_t)n));
    return is_good ? TFRECORD_HEADER_BYTES + (size_t)n + TFRECORD_FOOTER_BYTES : 0;
}

static bool has_summary(const BtTf__Event *event) {
    return event->what_case == BT_TF__EVENT__WHAT_SUMMARY && event->summary->n_value > 0 &&
           event->summary->value[0]->tag.len > 0;
}

static bool is_bytes(const ProtobufCBinaryData *bytes, const char *text) {
    return bytes->len == strlen(text) && memcmp(bytes->data, text, bytes->len) == 0;
}

/* Of another plug-in's values there may be any number. */
static bool is_scalar(const BtTf__Summary__Value *value) {
    const BtTf__SummaryMetadata *const metadata = value->metadata;
    return value->value_case == BT_TF__SUMMARY__VALUE__VALUE_SIMPLE_VALUE ||
           (metadata != NULL && metadata->plugin_data != NULL &&
            is_bytes(&metadata->plugin_data->plugin_name, event_scalars));
}

static void count(trim *t, const BtTf__Event *event) {
    if (has_summary(event)) {
        const ProtobufCBinaryData *const tag = &event->summary->value[0]->tag;
        t->n_last += event->step == t->last_step && is_scalar(event->summary->value[0]);
        t->has_session_start = t->has_session_start || is_bytes(tag, events_session_start);
        t->has_session_end = t->has_session_end || is_bytes(tag, events_session_end);
    }
}

/* Does the event stay? Counts it. */
static bool judge(trim *t, const BtTf__Event *event) {
    if (event->what_case == BT_TF__EVENT__WHAT_FILE_VERSION) {
        return true;
    }
    if (event->step > t->last_step) {
        t->n_cut++;
        return false;
    }
    count(t, event);
    return true;
}

/* What is not an event is none of ours and stays. */
static bt_status judge_frame(trim *t, const uint8_t *frame, size_t n_frame, bool *stays,
                             bt_error *err) {
    const ProtobufCMessage *message = NULL;
    const bt_bytes          record = {frame + TFRECORD_HEADER_BYTES,
                                      n_frame - TFRECORD_HEADER_BYTES - TFRECORD_FOOTER_BYTES};
    bt_error                fault = BT_ERROR_INIT;
    bt_arena_reset(&t->scratch);
    const bt_status rc =
        bt_proto_unpack(&bt_tf__event__descriptor, record, &t->scratch, &message, &fault);
    if (rc == BT_E_NOMEM) {
        return BT_FAIL(err, rc, "%s", fault.msg);
    }
    *stays = rc != BT_OK || judge(t, (const BtTf__Event *)message);
    return BT_OK;
}

static bt_status keep(trim *t, const bt_fs_view *file, size_t at, size_t n, bt_error *err) {
    if (!t->has_gap) {
        t->cut = at + n;
        return BT_OK;
    }
    if (!t->is_rewritten) {
        t->is_rewritten = true;
        BT_TRY(bt_str_append_n(&t->kept, file->data, t->cut, err));
    }
    return bt_str_append_n(&t->kept, file->data + at, n, err);
}

static bt_status scan(trim *t, const bt_fs_view *file, bt_error *err) {
    for (size_t at = 0; at < file->n_bytes;) {
        const size_t n = whole_frame(file->data + at, file->n_bytes - at);
        bool         stays = false;
        if (n > 0) {
            BT_TRY(judge_frame(t, file->data + at, n, &stays, err));
        }
        if (stays) {
            BT_TRY(keep(t, file, at, n, err));
        } else {
            t->has_gap = true;
            t->n_damaged += n == 0;
        }
        at += n > 0 ? n : 1; /* damaged: on to the next place where a record begins */
    }
    return BT_OK;
}

static bt_status trim_file(const char *path, bool is_ours, int64_t last_step,
                           bt_events_found *found, bt_error *err) {
    bt_status  rc = BT_OK;
    bt_fs_view file = {0};
    trim       t = {.last_step = last_step, .kept = BT_STR_INIT};
    BT_TRY(bt_fs_view_open(path, &file, err));
    BT_CHECK(bt_arena_init(&t.scratch, 1U << 12, err));
    BT_CHECK(scan(&t, &file, err));
    const bool is_cut = t.cut < file.n_bytes && !t.is_rewritten;
    bt_fs_view_close(&file); /* before the file changes below it */
    found->n_last += t.n_last;
    if (!is_ours) {
        goto done;
    }
    if (t.is_rewritten) {
        BT_CHECK(bt_fs_replace(path, t.kept.data, t.kept.len, err));
    } else if (is_cut) {
        BT_CHECK(bt_fs_cut(path, (int64_t)t.cut, err));
    }
    found->n_cut += t.n_cut;
    found->has_session_start = found->has_session_start || t.has_session_start;
    found->has_session_end = found->has_session_end || t.has_session_end;
    found->n_damaged_bytes += t.n_damaged;
done:
    bt_fs_view_close(&file);
    bt_str_deinit(&t.kept);
    bt_arena_deinit(&t.scratch);
    return rc;
}

/* Names of the event files in folder, which may be missing. */
static bt_status list_files(const char *folder, bt_fs_names *names, bt_error *err) {
    bt_fs_info info = {0};
    BT_TRY(bt_fs_stat(folder, &info, err));
    return info.kind == BT_FS_FOLDER ? bt_fs_list(folder, names, err) : BT_OK;
}

bt_status bt_events_cut(const char *folder, int64_t last_step, bt_events_found *found,
                        bt_error *err) {
    bt_status   rc = BT_OK;
    char       *path = NULL;
    bt_fs_names names = BT_FS_NAMES_INIT;
    *found = (bt_events_found){0};
    BT_CHECK(list_files(folder, &names, err));
    for (size_t i = 0; i < names.n; i++) {
        if (strstr(names.items[i], event_word) == NULL) {
            continue;
        }
        found->n_files++;
        BT_CHECK(bt_fs_join(folder, names.items[i], &path, err));
        BT_CHECK(trim_file(path, bt_str_ends_with(path, event_mark), last_step, found, err));
        bt_free(path);
        path = NULL;
    }
done:
    bt_fs_names_deinit(&names);
    bt_free(path);
    return rc;
}

bt_status events_last_time(const char *folder, int64_t *last, bt_error *err) {
    bt_status   rc = BT_OK;
    bt_fs_names names = BT_FS_NAMES_INIT;
    *last = 0;
    BT_CHECK(list_files(folder, &names, err));
    for (size_t i = 0; i < names.n; i++) {
        const char *const at = strstr(names.items[i], event_word);
        const int64_t     time =
            at != NULL ? (int64_t)strtoll(at + sizeof event_word - 1, NULL, 10) : 0;
        *last = time > *last ? time : *last;
    }
done:
    bt_fs_names_deinit(&names);
    return rc;
}
