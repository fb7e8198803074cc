/* SPDX-License-Identifier: Apache-2.0
 *
 * An event file of an earlier run: the first byte says whether the checksums of the others are
 * mended (bit 0), the rest of it which step is the last. After the cut the file holds whole records
 * of no later step, and another cut finds nothing. */
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/arena.h"
#include "bt/proto.h"
#include "bt/wire/events.h"
#include "bt/wire/tfrecord.h"
#include "event.pb-c.h"
#include "fuzz_file.h"
#include "fuzz_mend.h"
#include "fuzz_targets.h"

static void check_rest(const char *path, int64_t last_step) {
    bt_tfrecord_reader *reader = NULL;
    bt_record           record;
    bt_arena            arena = {0};
    bool                end = false;
    if (bt_arena_init(&arena, 1U << 12, NULL) != BT_OK ||
        bt_tfrecord_open(path, BT_COMPRESSION_NONE, &reader, NULL) != BT_OK) {
        abort();
    }
    for (;;) {
        if (bt_tfrecord_next(reader, &record, &end, NULL) != BT_OK) {
            abort();
        }
        if (end) {
            break;
        }
        const ProtobufCMessage *message = NULL;
        bt_arena_reset(&arena);
        (void)(bt_proto_unpack(&bt_tf__event__descriptor, record.data, &arena, &message, NULL) ==
               BT_OK);
        const BtTf__Event *const event = (const BtTf__Event *)message;
        if (event != NULL && event->what_case != BT_TF__EVENT__WHAT_FILE_VERSION &&
            event->step > last_step) {
            abort();
        }
    }
    if (bt_tfrecord_trailing_bytes(reader) != 0) {
        abort();
    }
    bt_tfrecord_close(reader);
    bt_arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t        *copy = NULL;
    bt_events_found found;
    bt_events_found again;
    if (size == 0 || (copy = bt_alloc(size)) == NULL) {
        return 0;
    }
    const int64_t last_step = data[0] / 2;
    memcpy(copy, data + 1, size - 1);
    if ((data[0] & FUZZ_MENDS) != 0) {
        fuzz_mend_records(copy, size - 1);
    }
    const char *const folder = fuzz_folder("train");
    const char *const path =
        fuzz_file("train/events.out.tfevents.1.h.1.0.bert-train.v2", copy, size - 1);
    if (bt_events_cut(folder, last_step, &found, NULL) != BT_OK ||
        bt_events_cut(folder, last_step, &again, NULL) != BT_OK || again.n_cut != 0 ||
        again.n_damaged_bytes != 0 || again.n_last != found.n_last || found.n_files != 1) {
        abort();
    }
    check_rest(path, last_step);
    bt_free(copy);
    return 0;
}
