/* SPDX-License-Identifier: Apache-2.0
 *
 * The labels of a table as facts of an index, before they are settled. */
#include <string.h>

#include "data_index.h"
#include "data_labels.h"

static bt_status put_place(const data_label_place *place, bt_str *facts, bt_error *err) {
    const int64_t values[] = {(int64_t)place->part, place->line, place->column};
    return data_index_put_all(facts, values, BT_ARRAY_LEN(values), err);
}

bt_status data_labels_put(const data_labels *labels, bt_str *facts, bt_error *err) {
    const int64_t values[] = {labels->n_lists, labels->n_vectors, (int64_t)labels->n_seen};
    BT_TRY(data_index_put_all(facts, values, BT_ARRAY_LEN(values), err));
    BT_TRY(put_place(&labels->vector, facts, err));
    BT_TRY(put_place(&labels->other, facts, err));
    for (size_t i = 0; i < labels->n_seen; i++) {
        const data_label *const label = &labels->seen[i];
        BT_TRY(data_index_put_text(facts, label->text, strlen(label->text), err));
        BT_TRY(data_index_put(facts, label->count, err));
        BT_TRY(put_place(&label->place, facts, err));
    }
    return BT_OK;
}

static bool take_place(bt_reader *r, size_t n_parts, data_label_place *place) {
    int64_t    values[3] = {0};
    const bool ok =
        data_index_take_all(r, values, BT_ARRAY_LEN(values)) && (uint64_t)values[0] < n_parts;
    *place = (data_label_place){(size_t)values[0], values[1], values[2]};
    return ok;
}

bt_status data_labels_take(bt_reader *r, data_labels *labels, size_t n_parts, bool *ok,
                           bt_error *err) {
    const int64_t n_classes = labels->schema->n_classes;
    int64_t       n[3] = {0};
    *ok = data_index_take_all(r, n, BT_ARRAY_LEN(n)) && take_place(r, n_parts, &labels->vector) &&
          take_place(r, n_parts, &labels->other) && n[2] <= DATA_LABELS_MAX &&
          (n_classes <= 0 || n[2] <= n_classes + DATA_LABELS_MORE);
    labels->n_lists = n[0];
    labels->n_vectors = n[1];
    for (int64_t i = 0; *ok && i < n[2]; i++) {
        bt_text_span     text = {0};
        data_label_place place = {0};
        int64_t          count = 0;
        *ok = data_index_take_text(r, &text) && text.n_bytes > 0 &&
              memchr(text.text, '\0', text.n_bytes) == NULL &&
              data_index_take(r, 1, INT64_MAX, &count) && take_place(r, n_parts, &place);
        if (*ok) {
            BT_TRY(data_labels_learn(labels, text, place, err));
            *ok = labels->n_seen == (size_t)i + 1;
            labels->seen[labels->n_seen - 1].count = count;
        }
    }
    data_labels_forget_rows(labels);
    return BT_OK;
}
