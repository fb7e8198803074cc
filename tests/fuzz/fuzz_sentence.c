/* SPDX-License-Identifier: Apache-2.0
 *
 * What sentence-transformers writes beside weights, apart by NULs: modules.json,
 * 1_Pooling/config.json, sentence_bert_config.json, config_sentence_transformers.json. What is
 * taken is one of the poolings that are computed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/log.h"
#include "bt/ckpt.h"
#include "bt/tensor.h"
#include "bt/wire/safetensors.h"
#include "fuzz_file.h"
#include "fuzz_targets.h"

static const char *const names[] = {"s/modules.json", "s/1_Pooling/config.json",
                                    "s/sentence_bert_config.json",
                                    "s/config_sentence_transformers.json"};

static bt_ckpt *open_weights(void) {
    static const float        values[4] = {1, 2, 3, 4};
    static const int64_t      dims[2] = {2, 2};
    static const bt_st_tensor tensor = {"bert.embeddings.word_embeddings.weight", BT_DTYPE_F32, 2,
                                        dims};
    bt_safetensors_writer    *writer = NULL;
    bt_ckpt                  *ckpt = NULL;
    char                      path[4096];
    (void)snprintf(path, sizeof path, "%s", fuzz_file("s/model.safetensors", NULL, 0));
    if (bt_safetensors_writer_create(path, &tensor, 1, NULL, 0, &writer, NULL) != BT_OK ||
        bt_safetensors_put(writer, values, sizeof values, NULL) != BT_OK ||
        bt_safetensors_writer_commit(&writer, NULL) != BT_OK ||
        bt_ckpt_open(path, &ckpt, NULL) != BT_OK) {
        abort();
    }
    return ckpt;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bt_ckpt  *ckpt;
    bt_error         err = BT_ERROR_INIT;
    bt_ckpt_sentence said;
    (void)fuzz_folder("s");
    (void)fuzz_folder("s/1_Pooling");
    bt_log_setup("fuzz", BT_LOG_TEXT, BT_LOG_ERROR);
    if (ckpt == NULL) {
        ckpt = open_weights();
    }
    (void)fuzz_files(names, BT_ARRAY_LEN(names), data, data + size);
    const bt_status rc = bt_ckpt_read_sentence(ckpt, &said, &err);
    if (rc != BT_OK) {
        if ((rc != BT_E_FORMAT && rc != BT_E_UNSUPPORTED && rc != BT_E_NOMEM && rc != BT_E_IO) ||
            err.msg[0] == '\0') {
            (void)fprintf(stderr, "%d: %s\n", (int)rc, err.msg);
            abort();
        }
        return 0;
    }
    if ((said.pooling[0] != '\0' && strcmp(said.pooling, "cls") != 0 &&
         strcmp(said.pooling, "mean") != 0 && strcmp(said.pooling, "max") != 0) ||
        said.normalize < -1 || said.normalize > 1 || said.max_seq_length < 0) {
        abort();
    }
    return 0;
}
