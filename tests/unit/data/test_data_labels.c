/* SPDX-License-Identifier: Apache-2.0
 *
 * The one rule for the labels of a table, whatever the order of its rows: each set is read in every
 * order of its rows (rotations, forwards and backwards), and each must mean the same. */
#include <stdio.h>
#include <string.h>

#include "bt/base/log.h"
#include "data_fixture.h"

enum { MAX_ROWS = 16, MAX_GIVEN = 4, WORD_MAX = 40 };

static const char *folder;

typedef struct label_case {
    const char *why;
    const char *labels; /* of the rows, separated by spaces */
    int64_t     n_classes;
    const char *given[MAX_GIVEN]; /* label_names */
    bool        only_by_name;
    bool        is_evaluation; /* nothing is learned */
    const char *ids;           /* in the same order; NULL: refused, */
    const char *names;         /* ... and the classes' names, "a,b", or "" */
    const char *error;         /* with these words, and */
    const char *at;            /* at the row of this label */
} label_case;

/* The words of text, in pieces; how many. */
static size_t split(const char *text, char words[MAX_ROWS][WORD_MAX]) {
    size_t n = 0;
    while (*text != '\0') {
        const size_t length = strcspn(text, " ");
        assert_true(n < MAX_ROWS && length < WORD_MAX);
        memcpy(words[n], text, length);
        words[n++][length] = '\0';
        text += length + (text[length] == ' ' ? 1 : 0);
    }
    return n;
}

static size_t place_in_order(size_t i, size_t n, size_t first, bool backwards) {
    return (first + (backwards ? n - 1 - i : i)) % n;
}

static bt_status open_rows(const label_case *c, const char *path, bt_data_stream **out,
                           bt_error *problem) {
    static const char *const fields[] = {"a"};
    size_t                   n_given = 0;
    while (n_given < MAX_GIVEN && c->given[n_given] != NULL) {
        n_given++;
    }
    const bt_data_schema schema = {
        .seq_length = 16,
        .label_kind = BT_LABEL_CLASS,
        .label_field = "label",
        .n_classes = c->n_classes,
        .vocab_size = 100,
        .type_vocab_size = 2,
        .learns_labels = !c->is_evaluation,
        .only_by_name = c->only_by_name,
        .label_names = n_given > 0 ? c->given : NULL,
        .n_label_names = n_given,
        .label_source = n_given > 0 ? "SOURCE" : NULL,
        .text = {.fields = fields,
                 .n_fields = 1,
                 .vocab_file = test_source_path("tests/goldens/text/vocab_tf.txt"),
                 .lower_case = true}};
    bt_data_config config = fixture_config(&path, 1);
    config.is_training = false;
    config.global_batch_size = 100;
    return bt_data_open(&config, &schema, out, problem);
}

static void check_meaning(const label_case *c, bt_data_stream *stream, const size_t *order,
                          size_t n) {
    char                     ids[MAX_ROWS][WORD_MAX];
    char                     known[256] = "";
    const bt_batch          *batch = NULL;
    bool                     end = false;
    size_t                   n_names = 0;
    const char *const *const names = bt_data_label_names(stream, &n_names);
    assert_int_equal(split(c->ids, ids), n);
    assert_ok(bt_data_next_batch(stream, &batch, &end, err));
    for (size_t i = 0; i < n; i++) {
        char got[WORD_MAX];
        (void)snprintf(got, sizeof got, "%d", (int)batch->int_labels[i]);
        if (strcmp(got, ids[order[i]]) != 0) {
            fail_msg("%s: row %zu is %s, expected %s", c->why, order[i], got, ids[order[i]]);
        }
    }
    for (size_t i = 0; i < n_names; i++) {
        (void)snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s",
                       i > 0 ? "," : "", names[i]);
    }
    if (strcmp(known, c->names != NULL ? c->names : "") != 0) {
        fail_msg("%s: names '%s', expected '%s'", c->why, known, c->names);
    }
}

/* line: of the label that the message must point at */
static void check_refusal(const label_case *c, bt_status rc, const bt_error *problem, size_t line) {
    char place[32] = "";
    if (c->at != NULL) {
        (void)snprintf(place, sizeof place, "t.tsv:%zu:1: ", line);
    }
    if (rc != BT_E_FORMAT || strstr(problem->msg, c->error) == NULL ||
        strstr(problem->msg, place) == NULL) {
        fail_msg("%s: status %d, '%s', expected '%s%s'", c->why, (int)rc, problem->msg, place,
                 c->error);
    }
}

static void check_order(const label_case *c, size_t first, bool backwards) {
    char         words[MAX_ROWS][WORD_MAX];
    size_t       order[MAX_ROWS];
    size_t       line = 0;
    bt_str       text = BT_STR_INIT;
    const size_t n = split(c->labels, words);
    assert_ok(bt_str_append(&text, "a\tlabel\n", err));
    for (size_t i = 0; i < n; i++) {
        order[i] = place_in_order(i, n, first, backwards);
        assert_ok(bt_str_appendf(&text, err, "a\t%s\n", words[order[i]]));
        line = c->at != NULL && line == 0 && strcmp(words[order[i]], c->at) == 0 ? i + 2 : line;
    }
    bt_data_stream *stream = NULL;
    bt_error        problem = BT_ERROR_INIT;
    const bt_status rc = open_rows(c, fixture_write(folder, "t.tsv", &text), &stream, &problem);
    if (c->ids == NULL) {
        check_refusal(c, rc, &problem, line);
    } else if (rc != BT_OK) {
        fail_msg("%s: %s", c->why, problem.msg);
    } else {
        check_meaning(c, stream, order, n);
    }
    bt_data_close(stream);
}

static void check_all_orders(const label_case *cases, size_t n_cases) {
    for (size_t i = 0; i < n_cases; i++) {
        char         words[MAX_ROWS][WORD_MAX];
        const size_t n = split(cases[i].labels, words);
        for (size_t first = 0; first < n; first++) {
            check_order(&cases[i], first, false);
            check_order(&cases[i], first, true);
        }
    }
}

static void test_learning(void **state) {
    (void)state;
    static const label_case cases[] = {
        {"numbers are classes", "0 2 1", 3, .ids = "0 2 1"},
        {"not all classes occur", "0 1 1", 3, .ids = "0 1 1"},
        {"words are sorted", "no yes maybe", 3, .ids = "1 2 0", .names = "maybe,no,yes"},
        {"integers written as floats", "0.0 1.0 2.00", 3, .ids = "0 1 2"},
        {"as numpy writes them", "0.000000000000000000e+00 1e0 2.0", 3, .ids = "0 1 2"},
        {"both ways", "0 1 0.0 1.0", 2, .ids = "0 1 0 1"},
        {"two of ten, by value", "0.0 10.0 9.0 1.0", 11, .ids = "0 10 9 1"},
        {"integers that are not classes", "1.0 2 3 1", 3, .ids = "0 1 2 0", .names = "1,2,3"},
        {"numbers sort by value", "10 9 -1", 3, .ids = "2 1 0", .names = "-1,9,10"},
        {"so do those with a fraction", "10.5 9.5 -1", 3, .ids = "2 1 0", .names = "-1,9.5,10.5"},
        {"1.0 and 1 beside 1.5 are two", "1.0 1 1.5", 3, .ids = "1 0 2", .names = "1,1.0,1.5"},
        {"codes are names", "01 10 02", 3, .ids = "0 2 1", .names = "01,02,10"},
        {"a code among integers", "01 1 2.0", 3, .ids = "0 1 2", .names = "01,1,2.0"},
        {"words that look like numbers", "0x1 1e 1", 3, .ids = "0 2 1", .names = "0x1,1,1e"},
        {"signs", "1 -1 1", 2, .ids = "1 0 1", .names = "-1,1"},
        {"signs, written", "+1 -1", 2, .ids = "1 0", .names = "-1,+1"},
        {"a sign too many is a name", "+1 1 0", 3, .ids = "1 2 0", .names = "0,+1,1"},
        {"minus nothing is 0", "-0 1 -0.0", 2, .ids = "0 1 0"},
        {"from one to five", "1 5 3 2 4", 5, .ids = "0 4 2 1 3", .names = "1,2,3,4,5"},
        {"from one to five of six", "1 5 3 2 4", 6, .ids = "1 5 3 2 4"},
        {"truth", "True False True", 2, .ids = "1 0 1", .names = "False,True"},
        {"truth of JSON", "true false", 2, .ids = "1 0", .names = "false,true"},
        {"truth of both", "true True False", 3, .ids = "2 1 0", .names = "False,True,true"},
        {"case counts", "Yes yes", 2, .ids = "0 1", .names = "Yes,yes"},
        {"the form of Unicode counts", "\xc3\xa9 e\xcc\x81", 2, .ids = "1 0",
         .names = "e\xcc\x81,\xc3\xa9"},
        {"spaces of Unicode count", "a a\xc2\xa0", 2, .ids = "0 1", .names = "a,a\xc2\xa0"},
        {"integers of 64 bits are told apart",
         "9007199254740993 9007199254740992 -9007199254740993", 3, .ids = "2 1 0",
         .names = "-9007199254740993,9007199254740992,9007199254740993"},
        {"those below 0 too", "-9007199254740993 -9007199254740992", 2, .ids = "0 1",
         .names = "-9007199254740993,-9007199254740992"},
        {"more than 64 bits", "99999999999999999999 99999999999999999998", 2, .ids = "1 0",
         .names = "99999999999999999998,99999999999999999999"},
        {"infinity is a word", "inf 1", 2, .ids = "1 0", .names = "1,inf"},
        {"a missing word among words", "NA yes no", 3, .ids = "0 2 1", .names = "NA,no,yes"},
    };
    check_all_orders(cases, BT_ARRAY_LEN(cases));
}

static void test_nothing_to_learn(void **state) {
    (void)state;
    static const label_case cases[] = {
        {"one more", "0 1 2", 2, .at = "2",
         .error = "label '2': 3 different labels occur in task.train_data ('0', '1', '2'), but "
                  "task.model.num_classes is 2"},
        {"below 0", "0 1 -1", 2, .at = "-1",
         .error = "3 different labels occur in task.train_data ('-1', '0', '1'), but "
                  "task.model.num_classes is 2"},
        {"a missing one is one more", "0 1 NA 1", 2, .at = "NA",
         .error = "label 'NA' among numbers looks like a missing one: 3 different labels occur in "
                  "task.train_data ('0', '1', 'NA'), but task.model.num_classes is 2"},
        {"pandas' missing one", "1.0 nan 0.0", 2, .at = "nan",
         .error = "label 'nan' among numbers looks like a missing one: 3 different"},
        {"a missing one instead of a class", "1.0 nan 1.0", 2, .at = "nan",
         .error = "label 'nan' among numbers looks like a missing one (task.train_data has the "
                  "labels "},
        {"a gap", "0 7", 2,
         .error = "task.train_data: the labels are numbers, '0', '7', but there are 2 classes "
                  "(task.model.num_classes): expected 0 to 1"},
        {"a gap at 2^53", "9007199254740992 0", 2,
         .error = "the labels are numbers, '0', '9007199254740992', but there are 2 classes"},
        {"yes and Yes are one more", "yes Yes no", 2,
         .error = "3 different labels occur in task.train_data ('Yes', 'no', 'yes'), but "
                  "task.model.num_classes is 2"},
        {"none among numbers", "0 None 1", 2, .at = "None", .error = "looks like a missing one"},
        {"too few", "x x", 2,
         .error = "task.train_data: only 1 different labels occur ('x'), but "
                  "task.model.num_classes is 2: name all classes in task.label_names"},
    };
    check_all_orders(cases, BT_ARRAY_LEN(cases));
}

static void test_known_names(void **state) {
    (void)state;
    static const label_case cases[] = {
        {"in their order", "no yes", 2, {"yes", "no"}, .ids = "1 0", .names = "yes,no"},
        {"names that are numbers", "1 0", 2, {"1", "0"}, .ids = "0 1", .names = "1,0"},
        {"written as floats",
         "1.0 2 3",
         3,
         {"1", "2", "3"},
         .only_by_name = true,
         .is_evaluation = true,
         .ids = "0 1 2",
         .names = "1,2,3"},
        {"names written as floats", "1 2.0", 2, {"2.0", "1.0"}, .ids = "1 0", .names = "2.0,1.0"},
        {"numbers in spite of names", "1 0.0 1", 2, {"yes", "no"}, .ids = "1 0 1"},
        {"a name that does not occur", "c c", 3, {"c", "b", "a"}, .ids = "0 0", .names = "c,b,a"},
        {"an unknown one",
         "yes maybe no",
         2,
         {"yes", "no"},
         .at = "maybe",
         .error = "label 'maybe' is none of the classes 'yes', 'no' of SOURCE"},
        {"two unknown ones",
         "0 yes maybe",
         2,
         {"yes", "no"},
         .error = "is none of the classes 'yes', 'no' of SOURCE, nor is '"},
        {"another case",
         "yes No",
         2,
         {"yes", "no"},
         .at = "No",
         .error = "label 'No' is none of the classes 'yes', 'no' of SOURCE"},
        {"another form of Unicode",
         "e\xcc\x81",
         1,
         {"\xc3\xa9"},
         .error = "is none of the classes"},
        {"signs that are known", "1 -1 1.0", 2, {"-1", "1"}, .ids = "1 0 1", .names = "-1,1"},
        {"0 beside signs",
         "1 0",
         2,
         {"-1", "1"},
         .at = "0",
         .error = "label '0' is none of the classes '-1', '1' of SOURCE"},
        {"a code where names are integers",
         "01 2",
         2,
         {"1", "2"},
         .at = "01",
         .error = "label '01' is none of the classes '1', '2' of SOURCE"},
        {"a written sign where names are integers",
         "+1 2",
         2,
         {"1", "2"},
         .at = "+1",
         .error = "label '+1' is none of the classes '1', '2' of SOURCE"},
        {"an exponent where names are integers",
         "1e0 2",
         2,
         {"1", "2"},
         .ids = "0 1",
         .names = "1,2"},
        {"a number among names",
         "yes 1",
         2,
         {"yes", "no"},
         .at = "1",
         .error = "label '1' is none of the classes"},
        {"a number that is not a class",
         "1 2",
         2,
         {"yes", "no"},
         .error = "is none of the classes 'yes', 'no' of SOURCE"},
        {"a number beside names that are numbers",
         "0 1",
         3,
         {"1", "2", "3"},
         .at = "0",
         .error = "label '0' is none of the classes '1', '2', '3' of SOURCE"},
        {"no more than that number",
         "0 0",
         3,
         {"1", "2", "3"},
         .is_evaluation = true,
         .at = "0",
         .error = "label '0' is none of the classes '1', '2', '3' of SOURCE"},
        {"numbers where training had names",
         "1 0",
         2,
         {"yes", "no"},
         .only_by_name = true,
         .is_evaluation = true,
         .error = "is none of the classes 'yes', 'no' of SOURCE, nor is '"},
    };
    check_all_orders(cases, BT_ARRAY_LEN(cases));
}

static void test_evaluation_by_number(void **state) {
    (void)state;
    static const label_case cases[] = {
        {"by number", "1 0", 2, .is_evaluation = true, .ids = "1 0"},
        {"floats", "1.0 0.0 1", 2, .is_evaluation = true, .ids = "1 0 1"},
        {"one more", "1 0 2", 2, .is_evaluation = true, .at = "2",
         .error = "label 2, but there are 2 classes (task.model.num_classes): expected 0 to 1 (3 "
                  "different labels occur in task.train_data: '0', '1', '2')"},
        {"a word", "1 yes", 2, .is_evaluation = true, .at = "yes",
         .error = "label 'yes' is not a class number, and the names of the classes are not known: "
                  "list them in the order of their numbers in task.label_names (2 different labels "
                  "occur in task.train_data: '1', 'yes'; task.model.num_classes is 2)"},
    };
    check_all_orders(cases, BT_ARRAY_LEN(cases));
}

/* Spaces and tabs around a label are none of it, and spaces alone are not a label. */
static void test_blanks(void **state) {
    (void)state;
    static const label_case c = {.why = "spaces", .labels = "", .n_classes = 2};
    bt_str                  text = BT_STR_INIT;
    bt_data_stream         *stream = NULL;
    size_t                  n = 0;
    assert_ok(bt_str_append(&text, "a\tlabel\na\t x\na\ty \na\tx\na\t  y  \r\n", err));
    assert_ok(open_rows(&c, fixture_write(folder, "t.tsv", &text), &stream, err));
    const char *const *const names = bt_data_label_names(stream, &n);
    assert_int_equal(n, 2);
    assert_string_equal(names[0], "x");
    assert_string_equal(names[1], "y");
    bt_data_close(stream);
    static const char *const empty[] = {"", " ", "  "};
    for (size_t i = 0; i < BT_ARRAY_LEN(empty); i++) {
        bt_str row = BT_STR_INIT;
        assert_ok(bt_str_appendf(&row, err, "a\tlabel\na\tx\na\t%s\n", empty[i]));
        assert_fails(open_rows(&c, fixture_write(folder, "t.tsv", &row), &stream, err), BT_E_FORMAT,
                     "t.tsv:3:1: the label is empty");
    }
}

/* A column of texts is told early, and not held in memory. */
static void test_no_column_of_labels(void **state) {
    (void)state;
    static const label_case c = {.why = "texts", .labels = "", .n_classes = 2};
    bt_str                  text = BT_STR_INIT;
    bt_data_stream         *stream = NULL;
    assert_ok(bt_str_append(&text, "a\tlabel\n", err));
    for (int i = 0; i < 5000; i++) {
        assert_ok(bt_str_appendf(&text, err, "a\ttext %d\n", i));
    }
    assert_fails(open_rows(&c, fixture_write(folder, "t.tsv", &text), &stream, err), BT_E_FORMAT,
                 "t.tsv:1004:1: label 'text 1002' is different label number 1003, but "
                 "task.model.num_classes is 2: is 'label' the column of the labels?");
}

static int make_folder(void **state) {
    (void)state;
    folder = test_temp_dir();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learning),    cmocka_unit_test(test_nothing_to_learn),
        cmocka_unit_test(test_known_names), cmocka_unit_test(test_evaluation_by_number),
        cmocka_unit_test(test_blanks),      cmocka_unit_test(test_no_column_of_labels),
    };
    bt_log_setup("test", BT_LOG_TEXT, BT_LOG_ERROR);
    return cmocka_run_group_tests(tests, make_folder, NULL);
}
