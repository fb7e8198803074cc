/* SPDX-License-Identifier: Apache-2.0
 *
 * Classes that were learned from rows and are perhaps a slip: two that are one but for case,
 * accents, spaces or the form of a number, and what stands for a missing label. They stay as they
 * are, and are told. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/log.h"
#include "bt/base/str.h"
#include "data_labels.h"

/* What is left of a label without all that; numbers by their value. */
static bt_status fold(bt_text_scratch *scratch, const char *text, bt_str *out, bt_error *err) {
    const double        most = 9007199254740992.0; /* 2^53: beyond it integers share a float64 */
    const bt_text_word *words = NULL;
    size_t              n = 0;
    double              number = 0;
    bt_str_clear(out);
    if (data_label_number(text, &number) && fabs(number) < most) {
        return bt_str_appendf(out, err, "%.17g", number);
    }
    BT_TRY(bt_text_split_words(scratch, text, strlen(text), true, true, &words, &n, err));
    for (size_t i = 0; i < n; i++) {
        BT_TRY(bt_str_append_char(out, ' ', err));
        BT_TRY(bt_str_append_n(out, words[i].bytes, words[i].n_bytes, err));
    }
    return BT_OK;
}

typedef struct alike_labels {
    const data_label *a; /* the first pair */
    const data_label *b;
    size_t            n;
} alike_labels;

static bt_status find_alike(const data_labels *labels, alike_labels *alike, bt_error *err) {
    bt_status        rc = BT_OK;
    bt_text_scratch *scratch = NULL;
    bt_map          *places = NULL;
    bt_str           folded = BT_STR_INIT;
    BT_CHECK(bt_text_scratch_create(&scratch, err));
    BT_CHECK(bt_map_create(&places, labels->n_seen, err));
    for (size_t i = 0; i < labels->n_seen; i++) {
        const data_label *const label = &labels->seen[i];
        int64_t                 place = 0;
        BT_CHECK(fold(scratch, label->text, &folded, err));
        if (!bt_map_get(places, bt_str_text(&folded), folded.len, &place)) {
            BT_CHECK(bt_map_put(places, bt_str_text(&folded), folded.len, (int64_t)i, err));
        } else if (labels->seen[place].id != label->id) {
            alike->a = alike->n == 0 ? &labels->seen[place] : alike->a;
            alike->b = alike->n == 0 ? label : alike->b;
            alike->n++;
        }
    }
done:
    bt_str_deinit(&folded);
    bt_map_free(places);
    bt_text_scratch_free(scratch);
    return rc;
}

bool data_label_says_missing(const char *text) {
    static const char *const words[] = {"nan",  "NaN",  "NAN",  "NA",   "N/A", "n/a", "<NA>",
                                        "null", "NULL", "None", "none", "-",   "?",   "#N/A"};
    for (size_t i = 0; i < BT_ARRAY_LEN(words); i++) {
        if (strcmp(text, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

bt_status data_labels_tell_slips(const data_labels *labels, const char *section, bt_error *err) {
    alike_labels alike = {0};
    char         more[48] = "";
    BT_TRY(find_alike(labels, &alike, err));
    if (alike.n > 1) {
        (void)snprintf(more, sizeof more, " (there are %zu such pairs)", alike.n);
    }
    if (alike.n > 0) {
        bt_log(BT_LOG_WARNING,
               "%s: labels '%s' (%" PRId64 " rows) and '%s' (%" PRId64
               " rows) are two classes that differ only in case, accents, spaces or the form of a "
               "number%s",
               section, alike.a->text, alike.a->count, alike.b->text, alike.b->count, more);
    }
    for (size_t i = 0; i < labels->n_seen; i++) {
        if (data_label_says_missing(labels->seen[i].text)) {
            bt_log(BT_LOG_WARNING,
                   "%s: label '%s' (%" PRId64 " rows) is a class like the others: is it a missing "
                   "one?",
                   section, labels->seen[i].text, labels->seen[i].count);
        }
    }
    return BT_OK;
}
