/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: what a model_dir says of its run, read for a report. */
#ifndef BT_TRAIN_REPORT_READ_H
#define BT_TRAIN_REPORT_READ_H

#include <jansson.h>

#include "bt/report.h"
#include "model_dir.h"

/* What its records say. out: deinit also after a failure. Files that are not there say nothing;
 * damaged ones are BT_E_FORMAT, here and below. */
BT_MUST_USE bt_status report_read_run(const char *folder, bt_report_run *out, bt_error *err);
/* ... and the files beside them; after a failure out is as good as without these. */
BT_MUST_USE bt_status report_read_beside(const char *folder, bt_report_run *out, bt_error *err);
/* *out (decref it) stays as it is where there is no such file. */
BT_MUST_USE bt_status report_read_object(const char *folder, model_file file, json_t **out,
                                         bt_error *err);

#endif
