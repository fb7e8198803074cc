/* SPDX-License-Identifier: Apache-2.0
 *
 * Which vocabulary the weights were trained with: the file may have another name later, or other
 * words under the same name. */
#include "model_dir.h"

#include <inttypes.h>

#include "bt/base/alloc.h"
#include "bt/base/crc32c.h"
#include "bt/fs.h"
#include "bt/text.h"
#include "vocabulary.h"

enum { VOCABULARY_MAX_BYTES = 1 << 28 };

const char *vocabulary_file(const bt_data_schema *schema) {
    const char *const path =
        schema->squad.vocab_file != NULL ? schema->squad.vocab_file : schema->text.vocab_file;
    return path != NULL && path[0] != '\0' ? path : NULL;
}

/* Of the lines: how they end says nothing. */
static uint64_t fingerprint(const char *text, size_t n_bytes) {
    uint32_t crc = 0;
    uint64_t n = 0;
    while (n_bytes > 0 && (text[n_bytes - 1] == '\n' || text[n_bytes - 1] == '\r')) {
        n_bytes--;
    }
    for (size_t i = 0; i < n_bytes; i++) {
        if (text[i] != '\r') {
            crc = bt_crc32c(crc, text + i, 1);
            n++;
        }
    }
    return (n << 32) | crc;
}

bt_status vocabulary_read(const char *path, uint64_t *out, bt_error *err) {
    char  *text = NULL;
    size_t n_bytes = 0;
    bool   is_there = false;
    *out = 0;
    if (path[0] != '\0') {
        BT_TRY(bt_fs_look(path, &is_there, err));
    }
    if (!is_there) {
        return BT_OK;
    }
    BT_TRY(bt_text_vocab_read_lines(path, &text, &n_bytes, err));
    *out = fingerprint(text, n_bytes);
    bt_free(text);
    return BT_OK;
}

/* Both sections read text: the model is evaluated on the words that it is trained on. */
static bt_status check_sections(const bt_task_plan *plan, uint64_t trained, bt_error *err) {
    const char *const path = vocabulary_file(&plan->validation_schema);
    uint64_t          evaluated = 0;
    if (path == NULL) {
        return BT_OK;
    }
    BT_TRY(vocabulary_read(path, &evaluated, err));
    if (evaluated == 0 || evaluated == trained) {
        return BT_OK;
    }
    return BT_FAIL(err, BT_E_CONFIG,
                   "task.validation_data.vocab_file %s (%" PRIu64 " bytes, crc32c %08" PRIx32
                   ") has other words than task.train_data.vocab_file %s (%" PRIu64
                   " bytes, crc32c %08" PRIx32
                   "): the model would be evaluated on other ids than it is trained on",
                   path, evaluated >> 32, (uint32_t)evaluated, vocabulary_file(&plan->train_schema),
                   trained >> 32, (uint32_t)trained);
}

bt_status vocabulary_fingerprint(const bt_task_plan *plan, bool evaluates, uint64_t *out,
                                 bt_error *err) {
    const char *const path = vocabulary_file(&plan->train_schema);
    *out = 0;
    if (path == NULL) {
        return BT_OK;
    }
    BT_TRY(vocabulary_read(path, out, err));
    return *out != 0 && evaluates ? check_sections(plan, *out, err) : BT_OK;
}

/* Predictions need nothing but model_dir: the words are kept there too. */
bt_status vocabulary_keep(const char *folder, const bt_data_schema *schema, uint64_t words,
                          bt_error *err) {
    const char *const path = vocabulary_file(schema);
    bt_status         rc = BT_OK;
    char             *kept = NULL;
    char             *text = NULL;
    size_t            n_bytes = 0;
    uint64_t          there = 0;
    if (words == 0 || path == NULL) {
        return BT_OK;
    }
    const bool is_json = bt_str_ends_with(path, ".json");
    BT_CHECK(model_dir_file(folder, is_json ? MODEL_TOKENIZER : MODEL_VOCAB, &kept, err));
    BT_CHECK(vocabulary_read(kept, &there, err));
    if (there != words) {
        BT_CHECK(bt_fs_read_all(path, VOCABULARY_MAX_BYTES, &text, &n_bytes, err));
        BT_CHECK(bt_fs_replace(kept, text, n_bytes, err));
    }
done:
    bt_free(kept);
    bt_free(text);
    return rc;
}
