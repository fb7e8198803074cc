/* SPDX-License-Identifier: Apache-2.0
 *
 * Every configuration case of Model Garden's: the same params.yaml byte for byte, or an error.
 * Where bert-train refuses what Model Garden accepts, the case is in docs/deviations.md with a
 * reason, and this test reads that list: a case that is listed must be refused, and none else. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/base/number.h"
#include "bt/base/str.h"
#include "bt/train.h"
#include "test_support.h"

enum { MAX_ARGS = 32, MAX_CASES = 512 };

/* Splits one line as a shell does: spaces, '...', "...". In place. */
static size_t split_line(char *line, char **words) {
    size_t n = 0;
    char  *out = line;
    for (char *in = line; *in != '\0' && *in != '\n';) {
        while (*in == ' ') {
            in++;
        }
        if (*in == '\0' || *in == '\n') {
            break;
        }
        assert_true(n < MAX_ARGS);
        words[n++] = out;
        while (*in != '\0' && *in != ' ' && *in != '\n') {
            const char quote = *in == '\'' || *in == '"' ? *in++ : '\0';
            while (*in != '\0' && (quote != '\0' ? *in != quote : strchr(" '\"\n", *in) == NULL)) {
                *out++ = *in++;
            }
            in += quote != '\0';
        }
        in += *in == ' ';
        *out++ = '\0';
    }
    return n;
}

typedef struct case_flags {
    bt_conf_args args;
    const char  *files[MAX_ARGS];
    bool         is_bad; /* the flags themselves are wrong */
} case_flags;

static void set_flag(case_flags *flags, const char *name, const char *value) {
    bt_conf_mode mode;
    int64_t      number;
    if (strcmp(name, "experiment") == 0) {
        flags->args.experiment = value;
    } else if (strcmp(name, "config_file") == 0) {
        flags->files[flags->args.n_config_files++] = value;
    } else if (strcmp(name, "params_override") == 0) {
        flags->args.params_override = value;
    } else if (strcmp(name, "tpu") == 0) {
        flags->args.tpu = value;
    } else if (strcmp(name, "tf_data_service") == 0) {
        flags->args.tf_data_service = value;
    } else if (strcmp(name, "mode") == 0) {
        flags->is_bad |= !bt_conf_mode_parse(value, &mode);
    } else if (strcmp(name, "pretrain_steps") == 0) {
        flags->is_bad |= !bt_parse_i64(value, &number);
    } else if (strcmp(name, "noenable_async_checkpointing") != 0) {
        flags->is_bad = true;
    }
}

static void parse_flags(char **words, size_t n, case_flags *flags) {
    *flags = (case_flags){.is_bad = false};
    flags->args.config_files = flags->files;
    for (size_t i = 0; i < n; i++) {
        char *name = words[i] + strspn(words[i], "-");
        char *equals = strchr(name, '=');
        if (equals != NULL) {
            *equals = '\0';
            set_flag(flags, name, equals + 1);
        } else if (strncmp(name, "no", 2) == 0) {
            set_flag(flags, name, "");
        } else if (i + 1 < n) {
            set_flag(flags, name, words[++i]);
        } else {
            flags->is_bad = true;
        }
    }
    flags->is_bad |= flags->args.experiment == NULL;
}

static bool file_exists(const char *path) {
    struct stat st;
    return stat(path, &st) == 0;
}

static bool is_deviation(const char *list, const char *name) {
    char row[256];
    (void)snprintf(row, sizeof(row), "| `%s` |", name);
    return list != NULL && strstr(list, row) != NULL;
}

/* Model Garden takes what is not supported here: keys that the schema refuses, and TPUs. */
static bool is_not_built(const bt_conf *conf, const bt_conf_problem *problem) {
    bt_conf_errors refused = BT_CONF_ERRORS_INIT;
    bool           is_one = strncmp(problem->path, "runtime.tpu", strlen("runtime.tpu")) == 0;
    assert_ok(bt_conf_check_refused(conf, &refused, err));
    for (size_t i = 0; i < refused.n; i++) {
        is_one = is_one || strcmp(refused.items[i].text, problem->text) == 0;
    }
    bt_conf_errors_deinit(&refused);
    return is_one;
}

/* What is found for a mode must not be an error either: a dry run would refuse it. */
static bool check_for_mode(const bt_conf *conf, const char *name, bt_conf_errors *errors) {
    bool ok = true;
    assert_ok(bt_train_check_conf(conf, BT_CONF_MODE_TRAIN_AND_EVAL, errors, err));
    for (size_t i = 0; i < errors->n; i++) {
        if (errors->items[i].severity == BT_CONF_ERROR && !is_not_built(conf, &errors->items[i])) {
            print_error("%s: %s\n", name, errors->items[i].text);
            ok = false;
        }
    }
    return ok;
}

static void print_first_difference(const char *got, const char *want) {
    size_t line = 1;
    while (*got != '\0' && *got == *want) {
        line += *got == '\n';
        got++;
        want++;
    }
    print_error("  line %zu: got '%.60s' want '%.60s'\n", line, got, want);
}

/* The current folder is the case's. */
static bool run_case(const char *name, const char *deviations) {
    char          *line = test_read_file("args", NULL);
    char          *words[MAX_ARGS];
    case_flags     flags;
    bt_conf_errors errors = BT_CONF_ERRORS_INIT;
    bt_error       why = BT_ERROR_INIT;
    bt_conf       *conf = NULL;
    bt_str         yaml = BT_STR_INIT;
    bool           ok = true;
    parse_flags(words, split_line(line, words), &flags);
    const bool refused = flags.is_bad || bt_conf_build(&flags.args, &conf, &errors, &why) != BT_OK;
    const bool want_error = file_exists("expected.error");
    const bool listed = is_deviation(deviations, name);
    if (refused != (want_error || listed)) {
        print_error("%s: %s, should be %s: %s\n", name, refused ? "refused" : "accepted",
                    want_error || listed ? "refused" : "accepted", why.msg);
        ok = false;
    } else if (!refused) {
        char *want = test_read_file("expected.yaml", NULL);
        assert_ok(bt_conf_dump_yaml(conf, &yaml, err));
        ok = strcmp(bt_str_text(&yaml), want) == 0;
        if (!ok) {
            print_error("%s: params.yaml differs\n", name);
            print_first_difference(bt_str_text(&yaml), want);
        }
        ok = check_for_mode(conf, name, &errors) && ok;
        bt_free(want);
    } else if (!flags.is_bad && (errors.n_errors == 0 || why.code != BT_E_CONFIG)) {
        print_error("%s: refused without a reason\n", name);
        ok = false;
    }
    if (getenv("BT_TEST_SHOW_ERRORS") != NULL) {
        for (size_t i = 0; i < errors.n; i++) {
            print_message("%s: %s\n", name, errors.items[i].text);
        }
    }
    bt_str_deinit(&yaml);
    bt_conf_free(conf);
    bt_conf_errors_deinit(&errors);
    bt_free(line);
    return ok;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t list_folder(const char *folder, char **names) {
    DIR   *dir = opendir(folder);
    size_t n = 0;
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_name[0] != '.' && strstr(entry->d_name, ".") == NULL) {
            assert_true(n < MAX_CASES);
            names[n] = bt_strdup(entry->d_name);
            assert_non_null(names[n++]);
        }
    }
    (void)closedir(dir);
    qsort(names, n, sizeof(names[0]), compare_names);
    return n;
}

static size_t run_folder(const char *folder, size_t *n_failed) {
    static char *names[MAX_CASES];
    char         home[TEST_PATH_MAX];
    char         path[TEST_PATH_MAX];
    const char  *deviations_path = test_source_path("docs/deviations.md");
    char        *deviations = test_read_file(deviations_path, NULL);
    const size_t n = list_folder(folder, names);
    assert_non_null(getcwd(home, sizeof(home)));
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        assert_int_equal(chdir(path), 0);
        *n_failed += run_case(names[i], deviations) ? 0 : 1;
        assert_int_equal(chdir(home), 0);
        bt_free(names[i]);
    }
    bt_free(deviations);
    return n;
}

static void test_model_garden_cases(void **state) {
    (void)state;
    const char *folder = test_shared_path("goldens/config/cases");
    size_t      n_failed = 0;
    if (folder == NULL) {
        test_skip("the folder of Model Garden's goldens is absent");
        return;
    }
    const size_t n = run_folder(folder, &n_failed);
    print_message("%zu cases, %zu differ\n", n, n_failed);
    assert_int_equal(n, 182);
    assert_int_equal(n_failed, 0);
}

static void test_own_cases(void **state) {
    (void)state;
    size_t       n_failed = 0;
    const size_t n = run_folder(test_source_path("tests/goldens/conf"), &n_failed);
    print_message("%zu cases, %zu differ\n", n, n_failed);
    assert_true(n > 0);
    assert_int_equal(n_failed, 0);
}

/* At most 25 rows: a longer list would no longer be the same program. */
static void test_deviations_are_few(void **state) {
    (void)state;
    char  *text = test_read_file(test_source_path("docs/deviations.md"), NULL);
    size_t n = 0;
    for (const char *at = strstr(text, "\n| `"); at != NULL; at = strstr(at + 1, "\n| `")) {
        n += at[4] >= '0' && at[4] <= '9';
    }
    assert_in_range(n, 1, 25);
    bt_free(text);
}

static const struct {
    const char *experiment;
    const char *model;
    const char *file;
    const char *same_as; /* a golden case that stacks Model Garden's own files, or NULL */
} config_rows[] = {
    {"bert/sentence_prediction", "bert_en_uncased_base", "glue_mnli_matched",
     "008-real-mnli-bert-base"},
    {"bert/sentence_prediction_text", "bert_en_uncased_base", "glue_mnli_text",
     "011-real-mnli-text"},
    {"bert/squad", "bert_en_uncased_base", "squad_v1", "010-real-squad-v1"},
    {"bert/squad", "bert_en_uncased_base", "squad_v1.1", "010-real-squad-v1"},
    {"bert/squad", "minilm", "squad_v2.0", NULL},
    {"bert/sentence_prediction", "bert_en_cased_base", "glue_cola", NULL},
    {"bert/sentence_prediction", "bert_en_uncased_large", "glue_sst2", NULL},
    {"bert/sentence_prediction", "albert_base", "glue_mnli_matched", "012-real-albert-mnli"},
    {"bert/sentence_prediction", "distilbert_base_uncased", "glue_sst2", NULL},
    {"bert/sentence_prediction", "minilm", "glue_mrpc", NULL},
    {"bert/sentence_prediction", "minilm", "glue_stsb", NULL},
    {"bert/sentence_prediction", "minilm", "glue_rte", NULL},
    {"bert/sentence_prediction", "minilm", "glue_qnli", NULL},
    {"bert/sentence_prediction", "minilm", "glue_wnli", NULL},
    {"bert/sentence_prediction", "minilm", "glue_qqp", NULL},
    {"bert/sentence_prediction", "minilm", "quickstart", NULL},
    {"bert/dual_encoder", "minilm", "pairs", NULL},
    {"bert/tagging", "minilm", "tagging_udpos", NULL},
    {"bert/tagging", "bert_en_cased_base", "tagging_panx", NULL},
};

static bt_conf *build_config(size_t row) {
    char               model[TEST_PATH_MAX];
    char               file[TEST_PATH_MAX];
    const char        *files[] = {model, file};
    const bt_conf_args args = {
        .experiment = config_rows[row].experiment, .config_files = files, .n_config_files = 2};
    bt_conf       *conf = NULL;
    bt_conf_errors errors = BT_CONF_ERRORS_INIT;
    (void)snprintf(model, sizeof(model), "%s/%s.yaml", test_source_path("configs/models"),
                   config_rows[row].model);
    (void)snprintf(file, sizeof(file), "%s/%s.yaml", test_source_path("configs/experiments"),
                   config_rows[row].file);
    assert_ok(bt_conf_build(&args, &conf, &errors, err));
    assert_true(check_for_mode(conf, config_rows[row].file, &errors));
    for (size_t i = 0; i < errors.n; i++) { /* nothing is missing but the paths */
        assert_true(strstr(errors.items[i].path, "input_path") != NULL ||
                    strstr(errors.items[i].path, "vocab_file") != NULL ||
                    is_not_built(conf, &errors.items[i]));
    }
    bt_conf_errors_deinit(&errors);
    return conf;
}

/* Defaults that the files say all the same: unwritten, facts of --train and --init would replace
 * them. */
static void check_written(const bt_conf *conf) {
    static const char *const keys[] = {
        "task.model.num_classes",
        "task.train_data.global_batch_size",
        "task.train_data.seq_length",
        "task.train_data.label_type",
        "task.validation_data.global_batch_size",
        "task.validation_data.seq_length",
        "task.validation_data.label_type",
        "trainer.train_steps",
        "trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate",
        "trainer.optimizer_config.learning_rate.polynomial.decay_steps",
        "trainer.optimizer_config.warmup.polynomial.warmup_steps",
        "trainer.steps_per_loop",
        "trainer.summary_interval",
        "trainer.checkpoint_interval",
        "trainer.validation_interval",
        "trainer.validation_steps",
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(keys); i++) {
        if (!bt_conf_is_written(conf, keys[i])) {
            fail_msg("%s is not written", keys[i]);
        }
    }
}

/* Each file is good, and those that Model Garden has too give the same params.yaml; those with keys
 * of Model Garden's only are also cases of tests/goldens/conf, file-*. */
static void test_config_files(void **state) {
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(config_rows); i++) {
        bt_conf    *conf = build_config(i);
        bt_str      yaml = BT_STR_INIT;
        const char *cases = test_shared_path("goldens/config/cases"); /* static: not for long */
        assert_ok(bt_conf_dump_yaml(conf, &yaml, err));
        if (strncmp(config_rows[i].file, "glue_", 5) == 0 &&
            strcmp(config_rows[i].file, "glue_mnli_text") != 0) {
            check_written(conf);
        }
        if (cases != NULL && config_rows[i].same_as != NULL) {
            char path[TEST_PATH_MAX];
            (void)snprintf(path, sizeof(path), "%s/%s/expected.yaml", cases,
                           config_rows[i].same_as);
            char *want = test_read_file(path, NULL);
            assert_string_equal(bt_str_text(&yaml), want);
            bt_free(want);
        }
        bt_str_deinit(&yaml);
        bt_conf_free(conf);
    }
}

int main(void) {
    /* Model Garden leaves a ~ in paths as it is; with this home we do, too */
    (void)setenv("HOME", "~", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model_garden_cases),
        cmocka_unit_test(test_own_cases),
        cmocka_unit_test(test_deviations_are_few),
        cmocka_unit_test(test_config_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
