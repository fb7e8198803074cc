/* SPDX-License-Identifier: Apache-2.0
 *
 * What lies beside weights, read with every allocation and file operation failing in turn: what is
 * left out because it could not be read would be another model. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "bt/base/log.h"
#include "bt/ckpt.h"
#include "bt/fs.h"
#include "bt/tensor.h"
#include "bt/wire/safetensors.h"
#include "test_faults.h"
#include "test_support.h"

static const char *folder;

static void put(const char *name, const char *text) {
    char path[TEST_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    test_write_file(path, text, strlen(text));
}

static void make_folder(void) {
    static const float        values[4] = {1, 2, 3, 4};
    static const int64_t      dims[2] = {2, 2};
    static const bt_st_tensor tensor = {"bert.embeddings.word_embeddings.weight", BT_DTYPE_F32, 2,
                                        dims};
    bt_safetensors_writer    *writer = NULL;
    char                      path[TEST_PATH_MAX];
    folder = test_temp_dir();
    (void)snprintf(path, sizeof path, "%s/model.safetensors", folder);
    assert_ok(bt_safetensors_writer_create(path, &tensor, 1, NULL, 0, &writer, err));
    assert_ok(bt_safetensors_put(writer, values, sizeof values, err));
    assert_ok(bt_safetensors_writer_commit(&writer, err));
    (void)snprintf(path, sizeof path, "%s/1_Pooling", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    put("modules.json",
        "[{\"path\": \"\", \"type\": \"sentence_transformers.models.Transformer\"}, "
        "{\"path\": \"1_Pooling\", \"type\": "
        "\"sentence_transformers.models.Pooling\"}, {\"path\": \"2_Normalize\", "
        "\"type\": \"sentence_transformers.models.Normalize\"}]");
    put("1_Pooling/config.json", "{\"pooling_mode_max_tokens\": true}");
    put("sentence_bert_config.json", "{\"max_seq_length\": 77, \"do_lower_case\": true}");
    put("config_sentence_transformers.json", "{\"default_prompt_name\": null}");
    put("config.json", "{\"model_type\": \"bert\", \"layer_norm_eps\": 1e-05, \"id2label\": "
                       "{\"0\": \"no\", \"1\": \"yes\"}, \"architectures\": "
                       "[\"BertForSequenceClassification\"]}");
}

static bt_status read_all(void *context, bt_error *err) {
    bt_ckpt         *ckpt = NULL;
    bt_ckpt_sentence said;
    bt_ckpt_facts    facts;
    bt_ckpt_head     head = {0};
    bt_status        rc = BT_OK;
    (void)context;
    BT_TRY(bt_ckpt_open(folder, &ckpt, err));
    BT_CHECK(bt_ckpt_read_sentence(ckpt, &said, err));
    BT_CHECK(bt_ckpt_read_facts(ckpt, &facts, err));
    BT_CHECK(bt_ckpt_read_head(ckpt, &head, err));
    assert_string_equal(said.pooling, "max");
    assert_int_equal(said.normalize, 1);
    assert_int_equal(said.max_seq_length, 77);
    assert_true(said.lowers_case);
    assert_true(facts.norm_eps == 1e-5);
    assert_int_equal(head.n, 2);
    assert_string_equal(head.names[1], "yes");
done:
    bt_ckpt_head_deinit(&head);
    bt_ckpt_close(ckpt);
    return rc;
}

static void test_faults(void **state) {
    (void)state;
    assert_true(
        test_every_fault(&(test_work){.what = "what lies beside weights", .work = read_all}) > 40);
}

int main(void) {
    make_folder();
    bt_log_setup("test", BT_LOG_TEXT, BT_LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
