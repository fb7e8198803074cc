/* SPDX-License-Identifier: Apache-2.0
 *
 * TensorBoard event files: scalars and figures of a run, written, read and cut. */
#ifndef BT_WIRE_EVENTS_H
#define BT_WIRE_EVENTS_H

#include "bt/base/bytes.h"
#include "bt/base/status.h"

typedef struct bt_events_writer bt_events_writer;
/* Creates folder when needed and in it events.out.tfevents.<unix s>.<host>.<pid>.<n>.bert-train.v2,
 * whose first record is file_version "brain.Event:2". n counts the event files of this process;
 * the name is the last of the folder in order of time, whatever the clock says. */
BT_MUST_USE bt_status bt_events_create(const char *folder, bt_events_writer **out, bt_error *err);
BT_MUST_USE bt_status bt_events_scalar(bt_events_writer *writer, int64_t step, const char *tag,
                                       float value, bt_error *err);
/* What TensorBoard's HParams tab shows of a run: a session in the folder above those of its curves,
 * with the numbers and words that it was given; its end says that the run came to it. */
typedef struct bt_events_hparam {
    const char *name;
    const char *text; /* or NULL: a number */
    double      number;
} bt_events_hparam;
enum { BT_EVENTS_MAX_HPARAMS = 32 };
BT_MUST_USE bt_status bt_events_session_start(bt_events_writer       *writer,
                                              const bt_events_hparam *params, size_t n,
                                              bt_error *err);
BT_MUST_USE bt_status bt_events_session_end(bt_events_writer *writer, bt_error *err);
/* Of its Text tab. */
BT_MUST_USE bt_status bt_events_text(bt_events_writer *writer, int64_t step, const char *tag,
                                     const char *markdown, bt_error *err);
/* Of its PR Curves tab: values [6,n_thresholds], by threshold i/(n_thresholds-1) true positives,
 * false positives, true negatives, false negatives, precision, recall. */
BT_MUST_USE bt_status bt_events_pr_curve(bt_events_writer *writer, int64_t step, const char *tag,
                                         const float *values, size_t n_thresholds, bt_error *err);
/* Of its Images tab. */
typedef struct bt_events_picture {
    const char *tag;
    const char *description; /* Markdown */
    uint32_t    width, height;
    bt_bytes    png; /* the file */
} bt_events_picture;
BT_MUST_USE bt_status bt_events_image(bt_events_writer *writer, int64_t step,
                                      const bt_events_picture *picture, bt_error *err);
/* Tells TensorBoard, also one that is reading the folder now, that what it saw of this step and
 * later ones is void. */
BT_MUST_USE bt_status bt_events_restart(bt_events_writer *writer, int64_t step, bt_error *err);
BT_MUST_USE bt_status bt_events_flush(bt_events_writer *writer, bt_error *err);
/* The same, and waits until the disk or the store has it. */
BT_MUST_USE bt_status bt_events_sync(bt_events_writer *writer, bt_error *err);
/* Flushes and frees, also on failure; NULL is BT_OK. */
BT_MUST_USE bt_status bt_events_close(bt_events_writer *writer, bt_error *err);
const char           *bt_events_path(const bt_events_writer *writer);
bool bt_events_is_orphan(const bt_events_writer *writer); /* see bt_fs_writer_is_orphan */

typedef struct bt_events_found {
    size_t  n_files; /* event files in the folder, whoever wrote them */
    int64_t n_last;  /* scalars of last_step in them */
    int64_t n_cut;   /* events that were taken out */
    int64_t n_damaged_bytes;
    bool    has_session_start; /* of the HParams plug-in, in a file of bert-train's */
    bool    has_session_end;
} bt_events_found;
/* Takes out of the event files of folder (which may be missing) that bert-train wrote every event
 * of a step after last_step, and what is torn or damaged; files of others stay as they are. At any
 * moment a file holds at least what stays. */
BT_MUST_USE bt_status bt_events_cut(const char *folder, int64_t last_step, bt_events_found *found,
                                    bt_error *err);

#endif
