/* SPDX-License-Identifier: Apache-2.0
 *
 * Each row of the schema says whether its key acts, is ignored or refused. Here every experiment
 * that is built runs in every mode, with each optimizer, schedule and encoder, over a
 * configuration that tells which rows are read: what acts must be read by one of these runs at
 * least, and what does not act by none. (Checks look at values otherwise, and do not count.) */
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "bt/train.h"
#include "conf_internal.h"
#include "test_support.h"

enum { MAX_ROWS = 2048, TEXT_MAX = 8192 };

/* Which rows were read. */

typedef struct seen_row {
    const conf_key *key;
    char            path[CONF_MAX_PATH]; /* where it was met first */
    bool            is_read;
} seen_row;

static seen_row rows[MAX_ROWS];
static size_t   n_rows;

static seen_row *find_row(const conf_key *key) {
    for (size_t i = 0; i < n_rows; i++) {
        if (rows[i].key == key) {
            return &rows[i];
        }
    }
    return NULL;
}

static void note_read(void *context, const conf_key *key) {
    (void)context;
    seen_row *const row = find_row(key);
    if (row != NULL) {
        row->is_read = true;
    }
}

static void list_class(const conf_class *cls, const char *path);

static void list_key(const conf_class *cls, const conf_key *key, const char *path) {
    char below[CONF_MAX_PATH];
    (void)conf_join_path(path, key->name, strlen(key->name), below);
    if (find_row(key) == NULL) {
        assert_true(n_rows < MAX_ROWS);
        rows[n_rows].key = key;
        memcpy(rows[n_rows++].path, below, sizeof below);
    }
    const bool is_replaced = cls == &conf_class_experiment && strcmp(key->name, "task") == 0;
    if (key->sub != NULL && key->effect != CONF_REFUSED && !is_replaced) {
        list_class(key->sub, below);
    }
}

/* Rows below a refused one do not count: nobody gets there. */
static void list_class(const conf_class *cls, const char *path) {
    const conf_key *keys[128];
    const size_t    n = conf_class_count_keys(cls);
    assert_true(n <= BT_ARRAY_LEN(keys));
    conf_class_list_keys(cls, keys);
    for (size_t i = 0; i < n; i++) {
        const bool is_data = strstr(path, "task") == path && strlen(path) == 4 &&
                             bt_str_ends_with(keys[i]->name, "_data");
        if (!is_data) { /* an experiment has data of its own kind there */
            list_key(cls, keys[i], path);
        }
    }
}

static void list_rows(void) {
    n_rows = 0;
    list_class(&conf_class_experiment, "");
    for (size_t i = 0; i < conf_n_experiments; i++) {
        const conf_experiment_def *const def = &conf_experiments[i];
        const bt_task                   *task = NULL;
        bt_error                         unbuilt = BT_ERROR_INIT;
        if (bt_task_find(def->name, &task, &unbuilt) == BT_OK) {
            list_class(def->task, "task");
            list_class(def->train_data, "task.train_data");
            list_class(def->validation_data, "task.validation_data");
        }
    }
}

/* Runs. */

typedef struct job {
    const char *experiment;
    const char *text; /* YAML over the base; %s: where the data are */
} job;

#define ENCODER                                                                                    \
    "encoder: {type: bert, bert: {hidden_size: 4, num_layers: 1, num_attention_heads: 2, "         \
    "intermediate_size: 4, vocab_size: 48, max_position_embeddings: 64}}"
#define TRAINER                                                                                    \
    "{train_steps: 2, steps_per_loop: 1, summary_interval: 1, checkpoint_interval: 2, "            \
    "validation_interval: 2, continuous_eval_timeout: 0"

/* One of each kind of task; the data of the sample set. */
static const job bases[] = {
    {"bert/sentence_prediction",
     "{task: {model: {num_classes: 2, " ENCODER "}, train_data: {input_path: '%s/train.tsv', "
     "vocab_file: '%s/vocab.txt', text_fields: [sentence], seq_length: 32, held_out: without, "
     "held_out_share: 0.1}, validation_data: {input_path: '%s/dev.tsv', vocab_file: "
     "'%s/vocab.txt', text_fields: [sentence], seq_length: 32}}, trainer: " TRAINER "}}"},
    {"bert/sentence_prediction_text",
     "{task: {model: {num_classes: 2, " ENCODER "}, train_data: {input_path: '%s/train.tsv', "
     "vocab_file: '%s/vocab.txt', text_fields: [sentence], seq_length: 32, held_out: without, "
     "held_out_share: 0.1}, validation_data: {input_path: '%s/dev.tsv', vocab_file: "
     "'%s/vocab.txt', text_fields: [sentence], seq_length: 32}}, trainer: " TRAINER "}}"},
    {"bert/tagging",
     "{task: {model: {" ENCODER "}, train_data: {input_path: '%s/tags_train.conll', vocab_file: "
     "'%s/vocab.txt', seq_length: 64, global_batch_size: 8, held_out: without, held_out_share: "
     "0.1}, validation_data: {input_path: '%s/tags_dev.conll', vocab_file: '%s/vocab.txt', "
     "seq_length: 64, global_batch_size: 8}}, trainer: " TRAINER "}}"},
    {"bert/squad",
     "{task: {model: {" ENCODER "}, train_data: {input_path: '%s/questions_train.json', "
     "vocab_file: '%s/vocab.txt', seq_length: 64, query_length: 16, doc_stride: 32, "
     "global_batch_size: 8, held_out: without, held_out_share: 0.1}, validation_data: "
     "{input_path: '%s/questions_dev.json', vocab_file: '%s/vocab.txt', seq_length: 64, "
     "query_length: 16, doc_stride: 32, global_batch_size: 8}}, trainer: " TRAINER "}}"},
    {"bert/dual_encoder",
     "{task: {model: {max_sequence_length: 32, " ENCODER "}, train_data: {input_path: "
     "'%s/pairs_train.tsv', vocab_file: '%s/vocab.txt', left_text_fields: [query], "
     "right_text_fields: [answer], seq_length: 32, global_batch_size: 8}, validation_data: "
     "{input_path: '%s/pairs_dev.tsv', vocab_file: '%s/vocab.txt', left_text_fields: [query], "
     "right_text_fields: [answer], seq_length: 32, global_batch_size: 8}}, trainer: " TRAINER "}}"},
};

/* What else there is to choose, over the first of the bases. */
static const char *const choices[] = {
    "{task: {model: {encoder: {type: albert, albert: {hidden_size: 4, num_layers: 1, "
    "num_attention_heads: 2, intermediate_size: 4, embedding_width: 4, vocab_size: 48, "
    "max_position_embeddings: 64}}}}}",
    "{task: {model: {encoder: {type: bert_v2, bert_v2: {hidden_size: 4, num_layers: 1, "
    "num_attention_heads: 2, intermediate_size: 4, vocab_size: 48, max_position_embeddings: "
    "64}}}}}",
    "{task: {model: {lora: {rank: 2}}}}",
    "{trainer: {optimizer_config: {ema: {}}}}",
    "{trainer: {optimizer_config: {optimizer: {type: sgd}}}}",
    "{trainer: {optimizer_config: {optimizer: {type: sgd_experimental}}}}",
    "{trainer: {optimizer_config: {optimizer: {type: adam}}}}",
    "{trainer: {optimizer_config: {optimizer: {type: adam_experimental}}}}",
    "{trainer: {optimizer_config: {optimizer: {type: adamw_experimental}}}}",
    "{trainer: {optimizer_config: {optimizer: {type: lamb}}}}",
    "{trainer: {optimizer_config: {optimizer: {type: rmsprop}}}}",
    "{trainer: {optimizer_config: {optimizer: {type: lars}}}}",
    "{trainer: {optimizer_config: {optimizer: {type: adagrad}}}}",
    "{trainer: {optimizer_config: {learning_rate: {type: constant}}}}",
    "{trainer: {optimizer_config: {learning_rate: {type: stepwise, stepwise: {boundaries: [1], "
    "values: [0.1, 0.2]}}}}}",
    "{trainer: {optimizer_config: {learning_rate: {type: exponential, exponential: "
    "{initial_learning_rate: 0.1, decay_rate: 0.5, decay_steps: 1}}}}}",
    "{trainer: {optimizer_config: {learning_rate: {type: cosine, cosine: "
    "{initial_learning_rate: 0.1}}}}}",
    "{trainer: {optimizer_config: {learning_rate: {type: power, power: {initial_learning_rate: "
    "0.1}}}}}",
    "{trainer: {optimizer_config: {learning_rate: {type: power_linear, power_linear: "
    "{initial_learning_rate: 0.1, total_decay_steps: 10}}}}}",
    "{trainer: {optimizer_config: {learning_rate: {type: power_with_offset, power_with_offset: "
    "{initial_learning_rate: 0.1, pre_offset_learning_rate: 0.1}}}}}",
    "{trainer: {optimizer_config: {learning_rate: {type: step_cosine_with_offset, "
    "step_cosine_with_offset: {boundaries: [0, 5], values: [0.1, 0.2]}}}}}",
    "{trainer: {optimizer_config: {warmup: {type: linear}}}}",
};

static void put_base(char *out, const job *base, const char *folder) {
    (void)snprintf(out, TEXT_MAX, base->text, folder, folder, folder, folder);
}

static void write_vocabulary(const char *folder) {
    static const char text[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nthe\nit\n";
    char              path[TEST_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/vocab.txt", folder);
    test_write_file(path, text, sizeof text - 1);
    static const char *const names[] = {"train.tsv",
                                        "dev.tsv",
                                        "tags_train.conll",
                                        "tags_dev.conll",
                                        "questions_train.json",
                                        "questions_dev.json",
                                        "pairs_train.tsv",
                                        "pairs_dev.tsv"};
    for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) {
        char   source[64];
        size_t n = 0;
        (void)snprintf(source, sizeof source, "data/%s", names[i]);
        char *const bytes = test_read_file(test_source_path(source), &n);
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        test_write_file(path, bytes, n);
        bt_free(bytes);
    }
}

static bt_conf *build(const char *experiment, const char *base, const char *choice) {
    const char *const  files[] = {base, choice};
    const bt_conf_args args = {
        .experiment = experiment, .config_files = files, .n_config_files = choice == NULL ? 1 : 2};
    bt_conf_errors errors = BT_CONF_ERRORS_INIT;
    bt_conf       *conf = NULL;
    assert_ok(bt_conf_build(&args, &conf, &errors, err));
    bt_conf_errors_deinit(&errors);
    conf->on_read = note_read;
    return conf;
}

static void run(const char *experiment, const char *base, const char *choice, bt_conf_mode mode,
                const char *model_dir) {
    bt_conf *const      conf = build(experiment, base, choice);
    const bt_train_args args = {
        .conf = conf, .mode = mode, .model_dir = model_dir, .pretrain_steps = 0};
    bt_train_summary summary = {0};
    bt_error         why = BT_ERROR_INIT;
    if (bt_train_run(&args, &summary, &why) != BT_OK) {
        fail_msg("%s, --mode=%s, %s: %s", experiment, bt_conf_mode_name(mode),
                 choice == NULL ? "" : choice, why.msg);
    }
    bt_conf_free(conf);
}

static void run_all(void) {
    static const bt_conf_mode modes[] = {BT_CONF_MODE_TRAIN_AND_EVAL,      BT_CONF_MODE_TRAIN,
                                         BT_CONF_MODE_TRAIN_AND_POST_EVAL, BT_CONF_MODE_EVAL,
                                         BT_CONF_MODE_CONTINUOUS_EVAL,     BT_CONF_MODE_PREDICT};
    const char *const         folder = test_temp_dir();
    const char               *pretrained = NULL;
    char                      fine_tune[TEST_PATH_MAX];
    char                      base[TEXT_MAX];
    write_vocabulary(folder);
    for (size_t i = 0; i < BT_ARRAY_LEN(bases); i++) {
        const char *const model_dir = test_temp_dir();
        put_base(base, &bases[i], folder);
        pretrained = i == 0 ? model_dir : pretrained;
        for (size_t k = 0; k < BT_ARRAY_LEN(modes); k++) {
            run(bases[i].experiment, base, NULL, modes[k], model_dir);
        }
    }
    put_base(base, &bases[0], folder);
    (void)snprintf(fine_tune, sizeof fine_tune, "{task: {init_checkpoint: '%s'}}", pretrained);
    run(bases[0].experiment, base, fine_tune, BT_CONF_MODE_CONTINUOUS_TRAIN_AND_EVAL,
        test_temp_dir());
    for (size_t i = 0; i < BT_ARRAY_LEN(choices); i++) {
        run(bases[0].experiment, base, choices[i], BT_CONF_MODE_TRAIN, test_temp_dir());
    }
}

static void test_every_key_does_what_its_row_says(void **state) {
    size_t counts[3] = {0};
    size_t n_wrong = 0;
    (void)state;
    list_rows();
    run_all();
    for (size_t i = 0; i < n_rows; i++) {
        const conf_key *const key = rows[i].key;
        const bool            is_container = key->type == T_SECTION || key->type == T_SECTIONS;
        counts[key->effect]++;
        if (!is_container && rows[i].is_read != (key->effect == CONF_ACTS)) {
            print_error("%s %s\n", rows[i].path,
                        rows[i].is_read ? "does not act by its row of the schema, and is read"
                                        : "acts by its row of the schema, and no run reads it");
            n_wrong++;
        }
    }
    print_message("%zu rows act, %zu are ignored, %zu refused\n", counts[CONF_ACTS],
                  counts[CONF_IGNORED], counts[CONF_REFUSED]);
    assert_int_equal(n_wrong, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key_does_what_its_row_says),
    };
    bt_log_setup("test_key_effects", BT_LOG_TEXT, BT_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
