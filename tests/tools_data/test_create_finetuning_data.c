/* SPDX-License-Identifier: Apache-2.0
 *
 * create-finetuning-data through its command line: the project's own goldens, Model Garden's (byte
 * for byte, where they are), the GLUE folders as people have them, and bad input: one sentence, the
 * right exit status, nothing left behind. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run_tool.h"

#include "bt/base/alloc.h"
#include "bt/base/str.h"
#include "bt/fs.h"

static const char program[] = "create-finetuning-data";
static tool_run   run;

enum { ARGS_MAX = 1 << 13 };

static const char *const outputs[] = {"train.tf_record", "eval.tf_record", "test.tf_record",
                                      "meta_data"};
static const char *const output_flags[] = {"train_data_output_path", "eval_data_output_path",
                                           "test_data_output_path", "meta_data_file_path"};

/* Copies test_source_path's answer, which is static. */
static const char *own(const char *relative, char path[TEST_PATH_MAX]) {
    (void)snprintf(path, TEST_PATH_MAX, "%s", test_source_path(relative));
    return path;
}

static void add_output(char *args, const char *folder, size_t i) {
    const size_t n = strlen(args);
    (void)snprintf(args + n, ARGS_MAX - n, " --%s='%s/%s'", output_flags[i], folder, outputs[i]);
}

static void check_same_file(const char *got_path, const char *want_path, const char *name) {
    size_t      n_got = 0;
    size_t      n_want = 0;
    char *const got = test_read_file(got_path, &n_got);
    char *const want = test_read_file(want_path, &n_want);
    if (n_got != n_want || memcmp(got, want, n_got) != 0) {
        fail_msg("%s: %s differs from %s (%zu and %zu bytes)", name, got_path, want_path, n_got,
                 n_want);
    }
    bt_free(got);
    bt_free(want);
}

/* Every output that is in want_folder, byte for byte, and no other. */
static size_t check_outputs(const char *folder, const char *want_folder, const char *name) {
    size_t n = 0;
    for (size_t i = 0; i < BT_ARRAY_LEN(outputs); i++) {
        char got[TEST_PATH_MAX];
        char want[TEST_PATH_MAX];
        (void)snprintf(got, sizeof got, "%s/%s", folder, outputs[i]);
        (void)snprintf(want, sizeof want, "%s/%s", want_folder, outputs[i]);
        assert_int_equal(bt_fs_exists(got), bt_fs_exists(want));
        if (bt_fs_exists(want)) {
            check_same_file(got, want, name);
            n++;
        }
    }
    return n;
}

static void check_success(const char *name) {
    if (run.exit_status != 0) {
        fail_msg("%s: exit %d: %s", name, run.exit_status, run.err);
    }
}

static size_t count_entries(const char *folder) {
    bt_fs_names names = BT_FS_NAMES_INIT;
    assert_ok(bt_fs_list(folder, &names, err));
    const size_t n = names.n;
    bt_fs_names_deinit(&names);
    return n;
}

static void test_own_goldens(void **state) {
    (void)state;
    static const struct {
        const char *folder;
        const char *name;
        bool        has_test;
    } rows[] = {{"CoLA", "cola", true}, {"MRPC", "MRPC", true}, {"STS-B", "sts-b", false}};
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        for (int threads = 0; threads < 4; threads += 3) {
            char              args[ARGS_MAX];
            char              vocab[TEST_PATH_MAX];
            char              input[TEST_PATH_MAX];
            char              want[TEST_PATH_MAX];
            char              relative[128];
            const char *const folder = test_temp_dir();
            (void)snprintf(relative, sizeof relative, "tests/goldens/finetuning/%s",
                           rows[i].folder);
            (void)snprintf(args, sizeof args,
                           "--vocab_file='%s' --input_data_dir='%s/' --max_seq_length=16 "
                           "--classification_task_name=%s --num_threads=%d",
                           own("tests/goldens/text/vocab.txt", vocab), own(relative, input),
                           rows[i].name, threads);
            for (size_t k = 0; k < BT_ARRAY_LEN(outputs); k++) {
                if (k != 2 || rows[i].has_test) {
                    add_output(args, folder, k);
                }
            }
            run_tool(&run, program, NULL, args);
            check_success(rows[i].name);
            (void)snprintf(want, sizeof want, "%s/expected", input);
            assert_true(check_outputs(folder, want, rows[i].name) >= 3);
            assert_non_null(strstr(run.err, "records/s"));
        }
    }
}

static const struct {
    const char *folder; /* of the raw files */
    const char *task;
    const char *out;
    const char *flags;
    const char *vocab;
    bool        has_test;
} golden_rows[] = {
    {"AX", "AX", "ax", "", "uncased", true},
    {"CoLA", "COLA", "cola", "--do_lower_case=true", "uncased", true},
    {"MNLI", "MNLI", "mnli_matched", "--mnli_type=matched", "uncased", true},
    {"MNLI", "mnli", "mnli_mismatched", "--mnli_type=mismatched", "uncased", true},
    {"MRPC", "MRPC", "mrpc", "", "uncased", true},
    {"MRPC", "mrpc", "mrpc_cased", "--nodo_lower_case", "cased", true},
    {"MRPC", "MRPC", "mrpc_seq32", "--max_seq_length 32", "uncased", false},
    {"MRPC", "MRPC", "mrpc_seq5", "-max_seq_length=5", "uncased", false},
    {"QNLI", "QNLI", "qnli", "", "uncased", true},
    {"QQP", "QQP", "qqp", "", "uncased", true},
    {"RTE", "RTE", "rte", "", "uncased", true},
    {"SST-2", "sst-2", "sst-2", "", "uncased", true},
    {"STS-B", "STS-B", "sts-b", "", "uncased", true},
    {"WNLI", "WNLI", "wnli", "", "uncased", true},
};

static bool is_outside = false; /* the same of real text, which stands outside the repository */

static void test_model_garden_goldens(void **state) {
    (void)state;
    char   base[TEST_PATH_MAX];
    size_t n_files = 0;
    (void)snprintf(base, sizeof base, "%s", test_shared_path("goldens/data"));
    for (size_t i = 0; i < BT_ARRAY_LEN(golden_rows); i++) {
        char              args[ARGS_MAX];
        char              want[TEST_PATH_MAX + 64];
        const char *const folder = test_temp_dir();
        (void)snprintf(args, sizeof args,
                       "--vocab_file='%s/vocab/%s.txt' --input_data_dir='%s/finetuning/raw/%s' "
                       "--classification_task_name=%s %s",
                       base, golden_rows[i].vocab, base, golden_rows[i].folder, golden_rows[i].task,
                       golden_rows[i].flags);
        for (size_t k = 0; k < BT_ARRAY_LEN(outputs); k++) {
            if (k != 2 || golden_rows[i].has_test) {
                add_output(args, folder, k);
            }
        }
        run_tool(&run, program, NULL, args);
        check_success(golden_rows[i].out);
        (void)snprintf(want, sizeof want, "%s/finetuning/out/%s", base, golden_rows[i].out);
        n_files += check_outputs(folder, want, golden_rows[i].out);
    }
    assert_int_equal(n_files, 54);
}

/* MRPC as train.tsv/dev.tsv/test.tsv gives what its original files in extra/ give. */
static void test_mrpc_two_forms(void **state) {
    (void)state;
    char forms[2][TEST_PATH_MAX];
    char vocab[TEST_PATH_MAX];
    char input[TEST_PATH_MAX];
    (void)snprintf(vocab, sizeof vocab, "%s", test_shared_path("goldens/data/vocab/uncased.txt"));
    (void)snprintf(input, sizeof input, "%s",
                   test_shared_path(is_outside ? "data/glue/MRPC" : "goldens/data/mrpc_two_forms"));
    for (int form = 0; form < 2; form++) {
        char args[ARGS_MAX];
        (void)snprintf(forms[form], TEST_PATH_MAX, "%s", test_temp_dir());
        (void)snprintf(args, sizeof args,
                       "--vocab_file='%s' --input_data_dir='%s%s' --classification_task_name=MRPC",
                       vocab, input, form == 0 ? "" : "/extra");
        for (size_t k = 0; k < BT_ARRAY_LEN(outputs); k++) {
            add_output(args, forms[form], k);
        }
        run_tool(&run, program, NULL, args);
        check_success(form == 0 ? "tsv" : "msr");
    }
    assert_int_equal(check_outputs(forms[0], forms[1], "MRPC"), 4);
}

/* Small inputs of our own: spellings, partial outputs, bad input. */

/* A folder "in" with the files of the SST-2 layout, and where the outputs go. */
typedef struct small_case {
    char folder[TEST_PATH_MAX];
    char args[ARGS_MAX];
} small_case;

static void write_small(small_case *c, const char *name, const char *text, size_t n) {
    char path[TEST_PATH_MAX + 64];
    (void)snprintf(path, sizeof path, "%s/in/%s", c->folder, name);
    test_write_file(path, text, n);
}

static void begin_small(small_case *c) {
    static const char  rows[] = "sentence\tlabel\nthe cat\t1\ncats\t0\n";
    static const char *root = NULL;
    static int         n_cases = 0;
    char               path[TEST_PATH_MAX + 64];
    char               vocab[TEST_PATH_MAX];
    if (root == NULL) {
        root = test_temp_dir();
    }
    (void)snprintf(c->folder, sizeof c->folder, "%s/%d", root, n_cases++);
    assert_int_equal(mkdir(c->folder, 0755), 0);
    (void)snprintf(path, sizeof path, "%s/in", c->folder);
    assert_int_equal(mkdir(path, 0755), 0);
    write_small(c, "train.tsv", rows, sizeof rows - 1);
    write_small(c, "dev.tsv", rows, sizeof rows - 1);
    (void)snprintf(c->args, sizeof c->args,
                   "--classification_task_name=SST-2 --max_seq_length=8 --vocab_file='%s' "
                   "--input_data_dir='%s/in' --train_data_output_path='%s/out/deep/train' "
                   "--eval_data_output_path='%s/out/eval' --meta_data_file_path='%s/out/meta'",
                   own("tests/goldens/text/vocab.txt", vocab), c->folder, c->folder, c->folder,
                   c->folder);
}

/* Runs with further flags; %s in them is the case's folder. */
static void run_small(small_case *c, const char *more) {
    char         args[ARGS_MAX];
    const size_t n = (size_t)snprintf(args, sizeof args, "%s ", c->args);
    size_t       used = n;
    for (; *more != '\0' && used + TEST_PATH_MAX < sizeof args; more++) {
        if (more[0] == '%' && more[1] == 's') {
            used += (size_t)snprintf(args + used, sizeof args - used, "%s", c->folder);
            more++;
        } else {
            args[used++] = *more;
        }
    }
    args[used] = '\0';
    run_tool(&run, program, NULL, args);
}

/* Only the folder "in" is there: no output, no temporary file, no folder made for outputs. */
static void check_nothing_left(const small_case *c, const char *why) {
    if (count_entries(c->folder) != 1) {
        fail_msg("%s: something was left in %s", why, c->folder);
    }
}

static void test_folders_and_partial_outputs(void **state) {
    (void)state;
    static small_case c;
    char              path[TEST_PATH_MAX + 64];
    static const char only_eval[] = "{\n    \"processor_type\": \"SST-2\",\n"
                                    "    \"train_data_size\": 0,\n"
                                    "    \"max_seq_length\": 8,\n"
                                    "    \"task_type\": \"bert_classification\",\n"
                                    "    \"num_labels\": 2,\n"
                                    "    \"eval_data_size\": 2\n}\n";
    begin_small(&c);
    run_small(&c, "");
    check_success("both outputs");
    (void)snprintf(path, sizeof path, "%s/out/deep/train", c.folder);
    assert_true(bt_fs_exists(path));

    begin_small(&c);
    run_small(&c, "--train_data_output_path=");
    check_success("eval only");
    (void)snprintf(path, sizeof path, "%s/out/meta", c.folder);
    size_t      n = 0;
    char *const meta = test_read_file(path, &n);
    assert_string_equal(meta, only_eval);
    bt_free(meta);
    (void)snprintf(path, sizeof path, "%s/out", c.folder);
    assert_int_equal(count_entries(path), 2);

    begin_small(&c);
    run_small(&c, "--eval_data_output_path=");
    check_success("train only");
    begin_small(&c); /* running again replaces what is there */
    run_small(&c, "");
    run_small(&c, "--max_seq_length=9");
    check_success("again");
}

static void test_bad_flags(void **state) {
    (void)state;
    static const struct {
        const char *flags;
        int         exit_status;
        const char *text;
    } rows[] = {
        {"--frobnicate=1", 2, "unknown command line flag 'frobnicate'"},
        {"--vocab=x", 2, "did you mean --vocab_file?"},
        {"--fine_tuning_task_type=ner", 2, "should be one of classification, regression"},
        {"--classification_task_name=SST2", 2, "should be one of AX, COLA"},
        {"--classification_task_name=xnli", 3, "/in/multinli/multinli.train.en.tsv: no such file"},
        {"--fine_tuning_task_type=squad", 2, "squad needs --squad_data_file"},
        {"--fine_tuning_task_type=regression", 2, "regression needs --tfds_params; STS-B is made"},
        {"--fine_tuning_task_type=tagging", 3, "/in/train-en.tsv: no such file"},
        {"--fine_tuning_task_type=retrieval --train_data_output_path=", 3,
         "/in/de-en.dev.de: no su"},
        {"--languages=en", 2, "SST-2 data have no languages to choose from"},
        {"--tokenization=SentencePiece", 2, "WordPiece only"},
        {"--do_lower_case=maybe", 2, "true or false"},
        {"--do_lower_case false", 2, "unexpected argument 'false'"},
        {"--max_seq_length=abc", 2, "an integer is expected"},
        {"--max_seq_length=1", 2, "--max_seq_length=1: must be 2"},
        {"--max_seq_length=-5", 2, "--max_seq_length=-5: must be 2"},
        {"--max_seq_length=99999999999", 2, "must be 2"},
        {"--num_threads=-1", 2, "--num_threads=-1: must be 0"},
        {"--vocab_file=", 2, "--vocab_file must be given"},
        {"--meta_data_file_path=", 2, "--meta_data_file_path is empty"},
        {"--input_data_dir=", 2, "SST-2 needs --input_data_dir"},
        {"--train_data_output_path= --eval_data_output_path=", 2, "must be given"},
        {"--meta_data_file_path=%s/out/eval", 2, "are the same file"},
        {"--meta_data_file_path=%s/out/deep/../eval", 2, "are the same file"},
        {"--vocab_file=/nonexistent/vocab", 3, "/nonexistent/vocab: no such file"},
        {"--vocab_file=%s/in", 3, "is a folder"},
        {"--vocab_file=%s/in/train.tsv", 3, "has no [CLS]"},
        {"--input_data_dir=/nonexistent/glue", 3, "/nonexistent/glue: no such folder"},
        {"--input_data_dir=%s/in/train.tsv", 3, "is a file, but a folder is expected"},
        {"--test_data_output_path=%s/t", 3, "no file for test found there"},
        {"--classification_task_name=MRPC", 3, "no column '#1 String' in the header"},
        {"--classification_task_name=COLA", 3,
         "train.tsv:1: expected at least 4 tab separated "
         "columns, got 2"},
        {"--train_data_output_path=%s/in", 4, "is a folder"},
        {"--train_data_output_path=%s/in/dev.tsv/x", 4, "a file"},
        {"--train_data_output_path=/proc/x", 4, "/proc/x"},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        static small_case c;
        begin_small(&c);
        run_small(&c, rows[i].flags);
        check_tool_error(&run, program, rows[i].exit_status, rows[i].text);
        check_nothing_left(&c, rows[i].flags);
    }
    run_tool(&run, program, NULL, "");
    check_tool_error(&run, program, 2, "must be given: --meta_data_file_path");
}

static void test_bad_files(void **state) {
    (void)state;
#define BYTES(text) text, sizeof(text) - 1
    static const struct {
        const char *bytes;
        size_t      n;
        const char *text;
    } rows[] = {
        {BYTES(""), "dev.tsv: the file is empty; expected a header line"},
        {BYTES("\n\n"), "dev.tsv:1: no column 'sentence' in the header; got 0"},
        {BYTES("sentence\tlabel\n"), "dev.tsv: the file has no rows of data"},
        {BYTES("sentence\tlabel\na\n\t\n"),
         "dev.tsv: no row has all values; 2 lack one, the first at line 2"},
        {BYTES("text\tlabel\na\t1\n"), "got 2 tab separated columns: 'text', 'label'"},
        {BYTES("sentence\tgold\na\t1\n"), "no column 'label' in the header"},
        {BYTES("sentence\tlabel\na\t1\nb\t2\n"), "dev.tsv:3: unknown label '2'; expected negative"},
        {BYTES("sentence\tlabel\na\t-1\n"), "dev.tsv:2: unknown label '-1'"},
        {BYTES("sentence\tlabel\na\tgood\n"), "unknown label 'good'"},
        {BYTES("sentence\tlabel\na\t1\rb\xff\t1\n"), "dev.tsv:3: byte 2 of the line (0xff)"},
        {BYTES("sent\xc3\tlabel\n"), "dev.tsv:1: byte 5 of the line (0xc3)"},
    };
#undef BYTES
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        static small_case c;
        begin_small(&c);
        write_small(&c, "dev.tsv", rows[i].bytes, rows[i].n);
        run_small(&c, "");
        check_tool_error(&run, program, 3, rows[i].text);
        check_nothing_left(&c, rows[i].text);
    }
}

static void test_field_limit(void **state) {
    (void)state;
    static small_case c;
    static const char head[] = "sentence\tlabel\n";
    bt_str            text = BT_STR_INIT;
    for (int excess = 0; excess < 2; excess++) {
        bt_str_clear(&text);
        assert_ok(bt_str_append(&text, head, err));
        for (int i = 0; i < 131072 + excess; i++) {
            assert_ok(bt_str_append(&text, "\xc3\xa9", err));
        }
        assert_ok(bt_str_append(&text, "\t1\n", err));
        begin_small(&c);
        write_small(&c, "train.tsv", text.data, text.len);
        run_small(&c, "");
        if (excess == 0) {
            check_success("a field of the largest size");
        } else {
            check_tool_error(&run, program, 3, "train.tsv:2: column 1 has 131073 characters");
            check_nothing_left(&c, "a field too large");
        }
    }
    bt_str_deinit(&text);
}

/* Regression labels, and MRPC's dev ids. */
static void test_bad_labels_and_ids(void **state) {
    (void)state;
    static const char scores[] = "sentence1\tsentence2\tscore\na\tb\tnan\n";
    static const char pairs[] = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t1\t2\ta\tb\n";
    static small_case c;
    begin_small(&c);
    write_small(&c, "train.tsv", scores, sizeof scores - 1);
    run_small(&c, "--classification_task_name=STS-B --eval_data_output_path=");
    check_tool_error(&run, program, 3, "train.tsv:2: label 'nan' is not a finite number");
    check_nothing_left(&c, "label nan");

    begin_small(&c);
    write_small(&c, "msr_paraphrase_train.txt", pairs, sizeof pairs - 1);
    (void)snprintf(c.args + strlen(c.args), 64, " --classification_task_name=MRPC");
    char path[TEST_PATH_MAX + 64];
    (void)snprintf(path, sizeof path, "%s/in/train.tsv", c.folder);
    assert_int_equal(unlink(path), 0);
    run_small(&c, "--eval_data_output_path=");
    check_tool_error(&run, program, 3, "the ids of MRPC's dev rows");
    write_small(&c, "dev_ids.tsv", "1\n", 2);
    run_small(&c, "--eval_data_output_path=");
    check_tool_error(&run, program, 3, "dev_ids.tsv:1: expected two tab separated ids");
    write_small(&c, "dev_ids.tsv", "\n", 1);
    run_small(&c, "--eval_data_output_path=");
    check_tool_error(&run, program, 3, "dev_ids.tsv: no ids in the file");
    write_small(&c, "dev_ids.tsv", "1\t2\n", 4);
    run_small(&c, "--eval_data_output_path=");
    check_tool_error(&run, program, 3, "the file has no rows of data"); /* all are dev rows */
    run_small(&c, "--train_data_output_path= --max_seq_length=2");
    check_tool_error(&run, program, 3, "dev.tsv:1: no column '#1 String'"); /* dev.tsv: SST-2's */
}

static void test_help(void **state) {
    (void)state;
    run_tool(&run, program, NULL, "--help");
    assert_int_equal(run.exit_status, 0);
    assert_non_null(strstr(run.out, "--classification_task_name  (choice, default MNLI)"));
    assert_null(strstr(run.out, "sp_model_file"));
    assert_string_equal(run.err, "");
    run_tool(&run, program, NULL, "--helpfull");
    assert_int_equal(run.exit_status, 0);
    assert_non_null(strstr(run.out, "sp_model_file"));
    run_tool(&run, program, NULL, "--version");
    assert_int_equal(run.exit_status, 0);
    assert_true(bt_str_starts_with(run.out, "create-finetuning-data "));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_goldens),    cmocka_unit_test(test_model_garden_goldens),
        cmocka_unit_test(test_mrpc_two_forms), cmocka_unit_test(test_folders_and_partial_outputs),
        cmocka_unit_test(test_bad_flags),      cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_field_limit),    cmocka_unit_test(test_bad_labels_and_ids),
        cmocka_unit_test(test_help),
    };
    const struct CMUnitTest again[] = {cmocka_unit_test(test_model_garden_goldens),
                                       cmocka_unit_test(test_mrpc_two_forms)};
    int                     rc = cmocka_run_group_tests(tests, NULL, NULL);
    if (test_outside_path("goldens/data/finetuning") != NULL) {
        is_outside = true;
        test_prefer_outside(true);
        rc |= cmocka_run_group_tests_name("text outside the repository", again, NULL, NULL);
    }
    return rc;
}
