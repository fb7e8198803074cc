/* SPDX-License-Identifier: Apache-2.0
 *
 * Figures of an evaluation, each written by what the metrics have counted anyway. */
#include "run_figures.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/str.h"
#include "bt/text.h"
#include "bt/wire/png.h"
#include "confusion_picture.h"

enum { NAME_MAX_BYTES = 100, TAG_MAX = BT_METRIC_NAME_MAX + 16 };

static const char curve_tag[] = "pr_curve";

/* Of two classes the second says it all, and it needs no name. */
static void name_curve(const bt_task_labels *labels, bool is_one, int64_t c, char tag[TAG_MAX]) {
    char name[BT_METRIC_NAME_MAX];
    bt_metrics_call_class((const char *const *)labels->names, labels->n, c, name);
    const size_t n = strlen(name);
    if (bt_text_utf8_valid_prefix(name, n) != n) { /* readers would refuse the file */
        (void)snprintf(name, sizeof name, "number/%" PRId64, c);
    }
    (void)snprintf(tag, TAG_MAX, "%s%s%s", curve_tag, is_one ? "" : "/", is_one ? "" : name);
}

static bt_status write_curves(const run_figures *seen, bt_events_writer *writer, int64_t step,
                              bt_error *err) {
    const int64_t n = seen->labels->n;
    const bool    is_one = n == 2 && !bt_metrics_has_label_sets(seen->metrics);
    float         values[BT_METRIC_CURVE_FIGURES * BT_METRIC_THRESHOLDS];
    char          tag[TAG_MAX];
    for (int64_t c = is_one ? 1 : 0; c < n; c++) {
        if (bt_metrics_get_pr_curve(seen->metrics, c, values)) {
            name_curve(seen->labels, is_one, c, tag);
            BT_TRY(bt_events_pr_curve(writer, step, tag, values, BT_METRIC_THRESHOLDS, err));
        }
    }
    return BT_OK;
}

/* What of it is text: bytes that are none would make the file unreadable. */
static bt_status append_name(bt_str *out, const char *name, bt_error *err) {
    const size_t n = strlen(name);
    const size_t n_shown = bt_text_utf8_valid_prefix(name, n < NAME_MAX_BYTES ? n : NAME_MAX_BYTES);
    for (size_t i = 0; i < n_shown; i++) {
        BT_TRY(bt_str_append_char(out, (unsigned char)name[i] < ' ' ? ' ' : name[i], err));
    }
    return bt_str_append(out, n_shown < n ? "...\n" : "\n", err);
}

/* Markdown: a block of code is shown as it stands. */
static bt_status describe(const bt_task_labels *labels, bt_str *out, bt_error *err) {
    BT_TRY(bt_str_append(out, "Rows: labels. Columns: predictions.\n\n", err));
    for (int64_t c = 0; c < labels->n; c++) {
        char text[BT_TASK_LABEL_TEXT_MAX];
        BT_TRY(bt_str_appendf(out, err, "    %2" PRId64 "  ", c));
        BT_TRY(append_name(out, bt_task_label_text(labels, c, text), err));
    }
    return BT_OK;
}

static bt_status write_picture(const run_figures *seen, const bt_metrics_confusion *confusion,
                               bt_events_writer *writer, int64_t step, bt_error *err) {
    bt_status         rc = BT_OK;
    confusion_picture drawn = {0};
    bt_str            png = BT_STR_INIT;
    bt_str            text = BT_STR_INIT;
    BT_CHECK(confusion_picture_draw(confusion, &drawn, err));
    BT_CHECK(bt_png_append(&png, drawn.pixels, drawn.width, drawn.height, err));
    BT_CHECK(describe(seen->labels, &text, err));
    const bt_events_picture picture = {
        .tag = "confusion_matrix",
        .description = bt_str_text(&text),
        .width = drawn.width,
        .height = drawn.height,
        .png = {(const uint8_t *)bt_str_text(&png), png.len},
    };
    BT_CHECK(bt_events_image(writer, step, &picture, err));
done:
    confusion_picture_free(&drawn);
    bt_str_deinit(&png);
    bt_str_deinit(&text);
    return rc;
}

bt_status run_figures_write(const run_figures *seen, bt_events_writer *writer, int64_t step,
                            bt_error *err) {
    bt_metrics_confusion confusion;
    BT_TRY(write_curves(seen, writer, step, err));
    const bool is_drawn = bt_metrics_get_confusion(seen->metrics, &confusion) &&
                          confusion.cells != NULL && confusion.n_classes == seen->labels->n &&
                          confusion.n_classes <= RUN_FIGURES_MAX_CELLS;
    return is_drawn ? write_picture(seen, &confusion, writer, step, err) : BT_OK;
}
