/* SPDX-License-Identifier: Apache-2.0
 *
 * labels.json of an earlier run: the first byte says how many classes the model has (bits 0 to 2)
 * and whether they have names (bit 3). What is taken from it is written, and taken from that again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/log.h"
#include "bt/base/str.h"
#include "fuzz_file.h"
#include "fuzz_targets.h"
#include "labels.h"

static void check_names(const bt_task_labels *labels) {
    for (int64_t i = 0; labels->names != NULL && i < labels->n; i++) {
        if (labels->names[i] == NULL || labels->names[i][0] == '\0') {
            abort();
        }
    }
}

static void check_again(const char *folder, const bt_task_plan *plan, bt_error *err) {
    bt_task_plan                again = {0};
    uint64_t                    words = 0;
    const bt_task_labels *const labels = &plan->labels;
    bt_task_labels *const       read = &again.labels;
    check_names(labels);
    read->n = labels->n;
    if (labels_write(folder, plan, 0, err) != BT_OK ||
        labels_settle(folder, &again, &words, err) != BT_OK) {
        (void)fprintf(stderr, "%s\n", err->msg);
        abort();
    }
    if ((labels->n > 0 && (labels->names != NULL) != (read->names != NULL)) ||
        !bt_str_equal(labels->processor, read->processor)) {
        abort();
    }
    for (int64_t i = 0; labels->names != NULL && i < labels->n; i++) { /* of scores: none */
        if (strcmp(labels->names[i], read->names[i]) != 0) {
            abort();
        }
    }
    bt_task_labels_deinit(read);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g"};
    bt_error                 err = BT_ERROR_INIT;
    if (size == 0) {
        return 0;
    }
    bt_log_setup("fuzz", BT_LOG_TEXT, BT_LOG_ERROR);
    const char *const folder = fuzz_folder("model");
    uint64_t          words = 0;
    bt_task_plan      plan = {.labels.n = data[0] & 7};
    (void)fuzz_file("model/labels.json", data + 1, size - 1);
    if ((data[0] & 8) != 0 &&
        bt_task_labels_set(&plan.labels, names, (size_t)plan.labels.n, "f", &err) != BT_OK) {
        abort();
    }
    const bt_status rc = labels_settle(folder, &plan, &words, &err);
    if (rc == BT_OK) {
        check_again(folder, &plan, &err);
    } else if (err.msg[0] == '\0' || (rc != BT_E_FORMAT && rc != BT_E_CONFIG)) {
        abort();
    }
    bt_task_labels_deinit(&plan.labels);
    return 0;
}
