/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables: what they may look like, what labels mean, and everything that can be wrong with them:
 * one sentence that names file, line and column. */
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "data_fixture.h"

static const char *folder;

typedef struct table_case {
    const char *why;
    const char *file; /* its extension says the format */
    const char *text; /* NUL-terminated, unless n_bytes */
    size_t      n_bytes;
    const char *fields[3];   /* NULL: "a" */
    const char *label_field; /* NULL: "label" */
    int64_t     n_classes;   /* 0: 2 */
    const char *given[4];    /* label_names; then nothing is learned */
    bool        is_float;
    bool        is_evaluation; /* nothing is learned */
    bool        no_label;
    int64_t     skip;
    char        delimiter;
    char        quote;
    const char *encoding;
    const char *error;  /* NULL: it must open, and give */
    const char *labels; /* these labels, "0 1 0", */
    const char *tokens; /* these numbers of tokens, and */
    const char *known;  /* these names */
} table_case;

static bt_status open_case(const table_case *c, bt_data_stream **out, bt_error *problem) {
    static const char *fields[3];
    static const char *given[4];
    size_t             n_fields = 0;
    size_t             n_given = 0;
    bt_str             bytes = BT_STR_INIT;
    assert_ok(bt_str_append_n(&bytes, c->text, c->n_bytes > 0 ? c->n_bytes : strlen(c->text), err));
    const char *const path = fixture_write(folder, c->file, &bytes);
    bt_data_config    config = fixture_config(&path, 1);
    while (n_fields < 3 && c->fields[n_fields] != NULL) {
        fields[n_fields] = c->fields[n_fields];
        n_fields++;
    }
    fields[0] = n_fields == 0 ? "a" : fields[0];
    while (n_given < 4 && c->given[n_given] != NULL) {
        given[n_given] = c->given[n_given];
        n_given++;
    }
    const bt_data_schema schema = {
        .seq_length = 16,
        .label_kind = c->no_label   ? BT_LABEL_NONE
                      : c->is_float ? BT_LABEL_FLOAT
                                    : BT_LABEL_CLASS,
        .label_field = c->label_field != NULL ? c->label_field : "label",
        .n_classes = c->n_classes > 0 ? c->n_classes : 2,
        .vocab_size = 100,
        .type_vocab_size = 2,
        .learns_labels = !c->is_evaluation,
        .label_names = n_given > 0 ? given : NULL,
        .n_label_names = n_given,
        .text = {.fields = fields,
                 .n_fields = n_fields > 0 ? n_fields : 1,
                 .vocab_file = test_source_path("tests/goldens/text/vocab_tf.txt"),
                 .lower_case = true}};
    config.is_training = false;
    config.global_batch_size = 100;
    config.skip_bad_records = c->skip;
    config.delimiter = c->delimiter;
    config.quote = c->quote;
    config.encoding = c->encoding;
    return bt_data_open(&config, &schema, out, problem);
}

static void append_number(char *text, size_t n, double value) {
    const size_t at = strlen(text);
    (void)snprintf(text + at, n - at, at > 0 ? " %g" : "%g", value);
}

static void check_opened(const table_case *c, bt_data_stream *stream) {
    char                     labels[256] = "";
    char                     tokens[256] = "";
    char                     known[256] = "";
    const bt_batch          *batch = NULL;
    bool                     end = false;
    size_t                   n = 0;
    const char *const *const label_names = bt_data_label_names(stream, &n);
    assert_ok(bt_data_next_batch(stream, &batch, &end, err));
    assert_false(end);
    for (int64_t b = 0; b < batch->n_seqs; b++) {
        if (!c->no_label) {
            append_number(labels, sizeof labels,
                          c->is_float ? (double)batch->float_labels[b] : batch->int_labels[b]);
        }
        append_number(tokens, sizeof tokens, (double)(batch->offsets[b + 1] - batch->offsets[b]));
    }
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s",
                       i > 0 ? "," : "", label_names[i]);
    }
    if (strcmp(labels, c->labels != NULL ? c->labels : "0 1") != 0 ||
        (c->tokens != NULL && strcmp(tokens, c->tokens) != 0) ||
        strcmp(known, c->known != NULL ? c->known : "") != 0) {
        fail_msg("%s: labels %s, tokens %s, names '%s'", c->why, labels, tokens, known);
    }
}

static void check_case(const table_case *c) {
    bt_data_stream *stream = NULL;
    bt_error        problem = BT_ERROR_INIT;
    const bt_status rc = open_case(c, &stream, &problem);
    if (c->error == NULL) {
        if (rc != BT_OK) {
            fail_msg("%s: %s", c->why, problem.msg);
        }
        check_opened(c, stream);
    } else if (rc != BT_E_FORMAT || strstr(problem.msg, c->error) == NULL) {
        fail_msg("%s: status %d, '%s', expected '%s'", c->why, (int)rc, problem.msg, c->error);
    }
    bt_data_close(stream);
}

/* Of a row in a shuffled batch the file, its line and its number there, in whatever epoch. */
static void test_rows_are_told(void **state) {
    (void)state;
    static const char *const fields[] = {"a"};
    bt_str                   bytes = BT_STR_INIT;
    assert_ok(bt_str_append(&bytes, "a\tlabel\n", err));
    for (int i = 0; i < 9; i++) {
        assert_ok(bt_str_appendf(&bytes, err, "a b\t%d\n", i));
    }
    const char *const    path = fixture_write(folder, "r.tsv", &bytes);
    bt_data_config       config = fixture_config(&path, 1);
    const bt_data_schema schema = {
        .seq_length = 16,
        .label_kind = BT_LABEL_FLOAT,
        .label_field = "label",
        .vocab_size = 100,
        .type_vocab_size = 2,
        .text = {.fields = fields,
                 .n_fields = 1,
                 .vocab_file = test_source_path("tests/goldens/text/vocab_tf.txt"),
                 .lower_case = true}};
    bt_data_stream *stream = NULL;
    const bt_batch *batch = NULL;
    bool            end = false;
    int             n_moved = 0;
    config.is_training = true;
    config.shuffle_buffer_size = 100;
    config.global_batch_size = 12;
    assert_ok(bt_data_open(&config, &schema, &stream, err));
    assert_ok(bt_data_next_batch(stream, &batch, &end, err));
    float scores[12];
    memcpy(scores, batch->float_labels, sizeof scores);
    const int64_t first = batch->first_record;
    for (int i = 0; i < 12; i++) {
        char   want[64];
        bt_str got = BT_STR_INIT;
        (void)snprintf(want, sizeof want, "r.tsv:%d)", (int)scores[i] + 2);
        assert_ok(bt_data_say_row(stream, first + i, &got, err));
        assert_true(bt_str_ends_with(bt_str_text(&got), want));
        (void)snprintf(want, sizeof want, "row %d (", (int)scores[i]);
        assert_true(bt_str_starts_with(bt_str_text(&got), want));
        n_moved += (int)scores[i] != i;
        bt_str_deinit(&got);
    }
    assert_true(n_moved > 3);
    bt_data_close(stream);
}

static void test_forms(void **state) {
    (void)state;
    static const table_case cases[] = {
        {"names", "t.tsv", "x\ta\tlabel\n?\ta b\t0\n?\ta\t1\n", .tokens = "4 3"},
        {"columns in another order", "t.tsv", "label\ta\n0\ta b\n1\ta\n", .tokens = "4 3"},
        {"no line end at the end", "t.tsv", "a\tlabel\na b\t0\na\t1", .tokens = "4 3"},
        {"CR LF, empty lines", "t.tsv", "\r\na\tlabel\r\n\r\na b\t0\r\na\t1\r\n\n\r\n",
         .tokens = "4 3"},
        {"a byte order mark", "t.tsv",
         "\xef\xbb\xbf"
         "a\tlabel\na b\t0\na\t1\n",
         .tokens = "4 3"},
        {"quotes are text in TSV", "t.tsv", "a\tlabel\n\"a\t0\n\"\"\"\t1\n", .tokens = "4 5"},
        {"an empty text", "t.tsv", "a\tlabel\n\t0\na\t1\n", .tokens = "2 3"},
        {"numbers of columns: no header", "t.tsv", "?\t0\t*\ta b\n?\t1\t*\ta\n", .fields = {"4"},
         .label_field = "2", .tokens = "4 3"},
        {"a number beside a name", "t.tsv", "z\tlabel\na b\t0\na\t1\n", .fields = {"1"},
         .tokens = "4 3"},
        {"a column that is called by a number", "t.tsv", "2\t1\tlabel\na b\tx\t0\na\tx\t1\n",
         .fields = {"2"}, .tokens = "4 3"},
        {"two texts", "t.tsv", "a\tb\tlabel\na b\ta\t0\na\t\t1\n", .fields = {"a", "b"},
         .tokens = "6 3"},
        {"no label wanted", "t.tsv", "a\na b\na\n", .no_label = true, .labels = "",
         .tokens = "4 3"},
        {"spaces around a label", "t.tsv", "a\tlabel\na\t 0\na\t1 \n", .labels = "0 1"},
        {"CSV", "t.csv", "a,label\na b,0\na,1\n", .tokens = "4 3"},
        {"CSV in capitals", "T.CSV", "a,label\na b,0\na,1\n", .tokens = "4 3"},
        {"commas, quotes and line ends in quotes", "t.csv",
         "\"a\",\"label\"\r\n\"a,b\",\"0\"\r\n\"a \"\"b\"\"\n\r\nc\",1\r\n", .tokens = "5 7"},
        {"an empty quoted field", "t.csv", "a,label\n\"\",0\n\"\"\"\",1", .tokens = "2 3"},
        {"JSON lines", "t.jsonl",
         "{\"a\": \"a b\", \"label\": 0}\n\n{\"label\": \"1\", \"a\": \"a\"}", .tokens = "4 3"},
        {"JSON escapes", "t.jsonl",
         "{\"a\": \"a\\tb\\n\\u0063\\ud83d\\ude00\", \"label\": 0}\n{\"label\": 1, \"a\": "
         "\"\"}\r\n",
         .tokens = "5 2"},
        {"floats", "t.tsv", "a\tlabel\na\t1.5\na\t-2e1\n", .is_float = true, .labels = "1.5 -20"},
        {"floats of JSON", "t.jsonl", "{\"a\":\"\",\"label\":0.25}\n{\"a\":\"\",\"label\":3}\n",
         .is_float = true, .labels = "0.25 3"},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(cases); i++) {
        check_case(&cases[i]);
    }
}

/* What labels mean: test_data_labels.c. */
static void test_label_names(void **state) {
    (void)state;
    static const table_case cases[] = {
        {"truths", "t.jsonl", "{\"a\":\"\",\"label\":true}\n{\"a\":\"\",\"label\":false}\n",
         .labels = "1 0", .known = "false,true"},
        {"floats", "t.jsonl", "{\"a\":\"\",\"label\":1.0}\n{\"a\":\"\",\"label\":0}\n",
         .labels = "1 0"},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(cases); i++) {
        check_case(&cases[i]);
    }
}

static void test_wrong_labels(void **state) {
    (void)state;
    static const table_case cases[] = {
        {"an empty label", "t.tsv", "a\tlabel\na\t0\na\t \n",
         .error = "t.tsv:3:1: the label is empty"},
        {"a text as score", "t.tsv", "a\tlabel\na\tgood\n", .is_float = true,
         .error = "t.tsv:2:1: field label: 'good' is not a number"},
        {"a missing score", "t.tsv", "a\tlabel\na\t1\na\tnan\n", .is_float = true,
         .error = "t.tsv:3:1: field label: 'nan' is not a score: is it missing?"},
        {"a score beyond float32", "t.tsv", "a\tlabel\na\t1e39\n", .is_float = true,
         .error = "t.tsv:2:1: field label: '1e39' is not a score"},
        {"a label that JSON cannot mean", "t.jsonl", "{\"a\":\"\",\"label\":[1]}",
         .error = "t.jsonl:1:1: \"label\" is a list, expected a text or a number"},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(cases); i++) {
        check_case(&cases[i]);
    }
}

#define BYTES(text) text, sizeof(text) - 1

/* How columns are apart, and characters are written. */

static void test_delimiters(void **state) {
    (void)state;
    static const table_case cases[] = {
        {"semicolons", "t.csv", "a;label\n\"a;b\";0\na;1\n", .tokens = "5 3"},
        {"semicolons and commas in the text", "t.csv", "a;label\na,b;0\na;1\n", .tokens = "5 3"},
        {"tabs in .csv", "t.csv", "label\ta\n0\t\"a b\"\n1\ta\n", .tokens = "4 3"},
        {"commas in .tsv", "t.tsv", "a,label\n\"a b\",0\na,1\n", .tokens = "4 3"},
        {"semicolons without names", "t.csv", "a b;0\na;1\n", .fields = {"1"}, .label_field = "2",
         .tokens = "4 3"},
        {"a comma without names is one", "t.csv", "a;b,0\na,1\n", .fields = {"1"},
         .label_field = "2", .tokens = "5 3"},
        {"sep=", "t.csv", "\xef\xbb\xbfsep=|\r\na|label\r\na b|0\r\na|1\r\n", .tokens = "4 3"},
        {"sep= of a comma", "t.csv", "sep=,\na,label\na b,0\na,1\n", .tokens = "4 3"},
        {"the key", "t.csv", "a|label\n\"a|b\"|0\na|1\n", .delimiter = '|', .tokens = "5 3"},
        {"the key and sep=", "t.tsv", "sep=;\na\tlabel\na b\t0\na\t1\n", .delimiter = '\t',
         .tokens = "4 3"},
        {"another quote", "t.csv", "a,label\n'a,''b',0\n\"a,1\n", .quote = '\'', .tokens = "6 4"},
        {"no quote", "t.csv", "a,label\n\"a\",0\n\"a,1\n", .quote = BT_DATA_NO_QUOTE,
         .tokens = "5 4"},
        {"quotes in TSV", "t.tsv", "a\tlabel\n\"a\nb\"\t0\n\"a\t\"\t1\n", .quote = '"',
         .tokens = "4 3"},
        {"a quote is text where it does not begin the field", "t.csv",
         "a,label\na \"b\" a,0\na 5\",1\n", .tokens = "7 5"},
        {"a quote after a space is text", "t.csv", "a, label\n \"a\",0\na,1\n", .tokens = "5 3"},
        {"spaces around names", "t.tsv", " a \t label\na b\t0\na\t1\n", .tokens = "4 3"},
        {"CR", "t.csv", "a,label\ra b,0\ra,1\r", .tokens = "4 3"},
        {"CR in .jsonl", "t.jsonl", "{\"a\":\"a b\",\"label\":0}\r{\"a\":\"a\",\"label\":1}",
         .tokens = "4 3"},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(cases); i++) {
        check_case(&cases[i]);
    }
}

static void test_encodings(void **state) {
    (void)state;
    static const table_case cases[] = {
        {"UTF-16, little end first", "t.tsv",
         BYTES("\xff\xfe"
               "a\0\t\0l\0a\0b\0e\0l\0\r\0\n\0a\0 \0\x3d\xd8\x00\xde\t\0"
               "0\0\n\0a\0\t\0"
               "1\0"),
         .tokens = "4 3"},
        {"UTF-16, big end first", "t.tsv",
         BYTES("\xfe\xff\0a\0\t\0l\0a\0b\0e\0l\0\n\0a\0 \0b\0\t\0"
               "0\0\n\0a\0\t\0"
               "1\0\n"),
         .tokens = "4 3"},
        {"UTF-32", "t.csv",
         BYTES("\xff\xfe\0\0a\0\0\0,\0\0\0l\0\0\0a\0\0\0b\0\0\0e\0\0\0l\0\0\0\n\0\0\0a\0\0\0,\0\0\0"
               "0\0\0\0\n\0\0\0b\0\0\0,\0\0\0"
               "1\0\0\0"),
         .tokens = "3 3"},
        {"UTF-16 without a mark", "t.csv",
         BYTES("a\0,\0l\0a\0b\0e\0l\0\n\0a\0,\0"
               "0\0\n\0"),
         .error = "t.csv: looks like UTF-16LE without a byte order mark (NUL bytes beside its "
                  "letters): if it is that, set task.train_data.encoding=UTF-16LE"},
        {"UTF-16 by the key", "t.csv",
         BYTES("a\0,\0l\0a\0b\0e\0l\0\n\0a\0,\0"
               "0\0\n\0b\0,\0"
               "1\0"),
         .encoding = "utf_16_le", .tokens = "3 3"},
        {"CR in UTF-16", "t.csv",
         BYTES("\xff\xfe"
               "a\0,\0l\0a\0b\0e\0l\0\r\0a\0,\0"
               "0\0\r\0b\0,\0"
               "1\0"),
         .tokens = "3 3"},
        {"half a character", "t.csv",
         BYTES("\xff\xfe"
               "a\0,\0l"),
         .error = "t.csv: ends within a character of the encoding UTF-16LE"},
        {"half a pair", "t.csv",
         BYTES("\xff\xfe"
               "a\0\0\xdc\0\xdc"),
         .error = "t.csv: byte 4 (00 dc 00 dc) is not text in the encoding UTF-16LE"},
        {"Windows-1252", "t.csv", BYTES("a,label\nvoil\xe0 a,0\na,1\n"),
         .error =
             "t.csv:2:5: byte 0xe0 is not valid UTF-8; in Windows-1252 (Latin-1) it would read "
             "'voil\xc3\xa0 a,0': if that is meant, set task.train_data.encoding=windows-1252"},
        {"Windows-1252 by the key", "t.csv", BYTES("a,label\na \x93,0\na,1\n"),
         .encoding = "windows-1252", .tokens = "4 3"},
        {"Latin-1 in Python's words", "t.csv", BYTES("a,label\na \xe9,0\na,1\n"),
         .encoding = "latin-1", .tokens = "4 3"},
        {"what Windows-1252 has not", "t.csv", BYTES("a,label\na \x81,0\na,1\n"),
         .encoding = "windows-1252", .error = "t.csv: byte 10 (81 2c 30 0a) is not text in the "},
        {"UTF-8 by the key", "t.csv", BYTES("a,label\na b,0\na,1\n"), .encoding = "UTF-8",
         .tokens = "4 3"},
        {"a mark that says something else", "t.csv",
         BYTES("\xef\xbb\xbf"
               "a,label\na,0\na,1\n"),
         .encoding = "latin-1", .error = "t.csv: its byte order mark says UTF-8, but "},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(cases); i++) {
        check_case(&cases[i]);
    }
}

/* JSON that is not an object a line, and what other programs write into fields that nobody reads.
 */
static void test_json_forms(void **state) {
    (void)state;
    static const table_case cases[] = {
        {"a list", "t.jsonl", "[{\"a\":\"a b\",\"label\":0},\n{\"a\":\"a\",\"label\":1}]\n",
         .tokens = "4 3"},
        {"a list in one line", "t.json",
         "[{\"a\":\"a b\",\"label\":0} , {\"a\":\"]}\\\"\",\"label\":1}]", .tokens = "4 5"},
        {"a list with a mark and spaces", "t.ndjson",
         "\xef\xbb\xbf \n[\n {\"a\":\"a b\",\r\n\"label\":0}\n,\n{\"label\":1, \"a\":\"a\"}\n "
         "]\n\n",
         .tokens = "4 3"},
        {"one object a few lines", "t.json",
         "{\n \"a\": \"a b\",\n \"label\": 0\n}\n{\n \"a\": \"a {\",\n \"x\": [{}, []],\n "
         "\"label\": 1\n}",
         .tokens = "4 4"},
        {"spaces on a line", "t.jsonl",
         " \n{\"a\":\"a b\",\"label\":0}\n \t\r\n{\"a\":\"a\",\"label\":1}\n \n", .tokens = "4 3"},
        {"NaN in another field", "t.jsonl",
         "{\"a\":\"a "
         "b\",\"label\":0,\"x\":NaN}\n{\"x\":[-Infinity,{\"y\":Infinity}],\"a\":\"a\",\"label\":1}"
         "\n",
         .tokens = "4 3"},
        {"an integer of 25 digits in another field", "t.jsonl",
         "{\"a\":\"a "
         "b\",\"label\":0,\"x\":1234567890123456789012345}\n{\"x\":-1e999,\"a\":\"a\",\"label\":1}",
         .tokens = "4 3"},
        {"NUL and half a pair in another field", "t.jsonl",
         "{\"a\":\"a "
         "b\",\"label\":0,\"x\":\"\\u0000\"}\n{\"x\":\"\\ud83d\",\"a\":\"a\",\"label\":1}",
         .tokens = "4 3"},
        {"NUL in the text", "t.jsonl",
         "{\"a\":\"a \\u0000b\",\"label\":0}\n{\"a\":\"a\",\"label\":1}", .tokens = "4 3"},
        {"an escaped key", "t.jsonl",
         "{\"\\u0061\":\"a b\",\"label\":0,\"x\":NaN}\n{\"a\":\"a\",\"label\":1}", .tokens = "4 3"},
        {"NaN as the label", "t.jsonl", "{\"a\":\"a b\",\"label\":NaN}\n",
         .error = "t.jsonl:1:22: not JSON: "},
        {"another field that is not JSON", "t.jsonl", "{\"a\":\"a b\",\"label\":0,\"x\":nan}\n",
         .error = "t.jsonl:1:28: not JSON: "},
        {"an item that is not an object", "t.json", "[{\"a\":\"a\",\"label\":0},\n 7]",
         .error = "t.json:2:2: expected an object"},
        {"a list that is a member", "t.json",
         "{\"version\":1,\n\"data\":[{\"a\":\"a "
         "b\",\"label\":0},\n{\"a\":\"a\",\"label\":1}],\"n\":[2]}\n",
         .tokens = "4 3"},
        {"no member", "t.jsonl",
         "{\"x\":[{\"a\":\"c\"}],\"a\":\"a b\",\"label\":0}\n{\"x\":[],\"a\":\"a\",\"label\":1}\n",
         .tokens = "4 3"},
        {"two members", "t.json", "{\"data\":[{\"a\":\"a b\",\"label\":0}],\"b\":[{\"a\":\"a\"}]}",
         .error = "t.json:1:38: a second list of objects"},
        {"a mistake in a member", "t.json", "{\"data\":\n[ {\"a\":\"a b\",\"label\":0},{\"a\":1}]}",
         .error = "t.json:2:25: \"a\" is a number"},
        {"one line", "t.json", "[{\"a\":\"a\",\"label\":0}, {\"a\":1,\"label\":1}]",
         .error = "t.json:1:23: \"a\" is a number, expected a text"},
        {"one line, no JSON", "t.json", "[{\"a\":\"a\",\"label\":0}, {\"a\":\"a\",\"label\":x}]",
         .error = "t.json:1:40: not JSON: "},
        {"a key twice", "t.jsonl", "{\"a\":\"a\",\"label\":0,\"a\":\"b\"}\n",
         .error = "t.jsonl:1:22: not JSON: duplicate object key"},
        {"no comma", "t.json", "[{\"a\":\"a\",\"label\":0}\n{\"a\":\"a\",\"label\":1}]",
         .error = "t.json:2:1: expected a comma or ] after an object of the list"},
        {"a cut list", "t.json", "[{\"a\":\"a\",\"label\":0},\n{\"a\":\"a\",\"label\":1}\n",
         .error = "t.json:3:1: the list that the file begins with is not closed"},
        {"a cut object", "t.json", "[{\"a\":\"a\",\"label\":0},\n{\"a\":\"a\"",
         .error = "t.json:2:1: the object that begins here is never closed"},
        {"more than a list", "t.json", "[{\"a\":\"a\",\"label\":0}]\n[]",
         .error = "t.json:2:1: something follows the list"},
        {"an empty list", "t.json", "[ ]\n", .error = "t.json: no rows"},
        {"a mistake on an object's third line", "t.json", "{\n\"a\":\"a\",\n\"label\": x\n}\n",
         .error = "t.json:3:10: not JSON: "},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(cases); i++) {
        check_case(&cases[i]);
    }
}

/* Objects over the borders of what is read at once, in a list on one line. */
static void test_long_list(void **state) {
    (void)state;
    bt_str          text = BT_STR_INIT;
    bt_data_stream *stream = NULL;
    int64_t         n = 0;
    assert_ok(bt_str_append(&text, "[", err));
    for (; text.len < 900000; n++) {
        assert_ok(bt_str_appendf(&text, err, "%s{\"a\": \"a%*s b\", \"label\": %d}",
                                 n > 0 ? "," : "", (int)(n % 97), "", (int)(n % 2)));
    }
    assert_ok(bt_str_append(&text, "]", err));
    const table_case c = {
        .why = "a long list", .file = "t.json", .text = bt_str_text(&text), .n_bytes = text.len};
    assert_ok(open_case(&c, &stream, err));
    assert_int_equal(bt_data_n_rows(stream), n);
    for (bool end = false; !end;) {
        const bt_batch *batch = NULL;
        assert_ok(bt_data_next_batch(stream, &batch, &end, err));
        for (int64_t b = 0; !end && b < batch->n_seqs; b++) {
            assert_int_equal(batch->offsets[b + 1] - batch->offsets[b], 4);
            n--;
        }
    }
    assert_int_equal(n, 0);
    bt_data_close(stream);
    bt_str_deinit(&text);
}

/* Longer than the bytes that are looked at, and than a block. */
static void test_long_conversion(void **state) {
    (void)state;
    bt_str          text = BT_STR_INIT;
    bt_data_stream *stream = NULL;
    assert_ok(bt_str_append(&text, "a,label\r", err));
    while (text.len < 700000) {
        assert_ok(bt_str_append(&text, "a b,0\ra,1\r", err));
    }
    table_case longer = {.why = "many lines", .file = "t.csv", .n_bytes = text.len};
    longer.text = bt_str_text(&text);
    assert_ok(open_case(&longer, &stream, err));
    assert_int_equal(bt_data_n_rows(stream), (text.len - 8) / 10 * 2);
    bt_data_close(stream);
    assert_ok(bt_str_append(&text, "a,1\n", err));
    longer.text = bt_str_text(&text);
    longer.n_bytes = text.len;
    longer.error = "t.csv: its lines end with CR at first, but there is an LF at byte 70001";
    check_case(&longer);
    bt_str_deinit(&text);
}

static void test_bad_tables(void **state) {
    (void)state;
    static const table_case cases[] = {
        {"empty file", "t.tsv", BYTES("\n"), .error = "t.tsv: no rows"},
        {"only a header", "t.csv", BYTES("a,label\r\n"), .error = "t.csv: no rows"},
        {"bad UTF-8", "t.tsv", BYTES("a\tlabel\nab\xff\t0\n"),
         .error = "t.tsv:2:3: byte 0xff is not valid UTF-8"},
        {"bad UTF-8 in the header", "t.tsv", BYTES("\xc3(\tlabel\na\t0\n"),
         .error = "t.tsv:1:1: byte 0xc3 is not valid UTF-8"},
        {"NUL", "t.csv", BYTES("a,label\na\0b,0\n"),
         .error = "t.csv:2:2: a NUL byte: is this a text file?"},
        {"a short row", "t.tsv", BYTES("a\tb\tlabel\na\tb\t0\na b\t1\n"),
         .error = "t.tsv:3:1: the row has 2 columns, the header has 3"},
        {"spaces for tabs", "t.tsv", BYTES("a\tlabel\na 0\n"),
         .error = "t.tsv:2:1: the row has 1 column, the header has 2 (separated by tabs)"},
        {"a long row", "t.csv", BYTES("a,label\nhello, world,0\n"),
         .error = "t.csv:2:1: the row has 3 columns, the header has 2"},
        {"a short row without header", "t.tsv", BYTES("a\t0\nb\n"), .fields = {"1"},
         .label_field = "2", .error = "t.tsv:2:1: the row has 1 column, the first row has 2"},
        {"no such column", "t.tsv", BYTES("text\tlabel\na\t0\n"),
         .error = "t.tsv:1:1: no column is called 'a'; the columns are: text, label (when "
                  "text_fields and label_field are all numbers, the first row is not a header)"},
        {"no such number", "t.tsv", BYTES("a\t0\n"), .fields = {"3"}, .label_field = "2",
         .error = "t.tsv:1:1: there is no column 3: the first row has 2 columns"},
        {"column 0", "t.tsv", BYTES("a\t0\n"), .fields = {"0"}, .label_field = "2",
         .error = "t.tsv:1:1: there is no column 0"},
        {"a name twice", "t.tsv", BYTES("a\ta\tlabel\na\tb\t0\n"),
         .error = "t.tsv:1:1: two columns are called 'a'; use their numbers"},
        {"an open quote", "t.csv", BYTES("a,label\nx,0\n\"a,1\nb,0\n"),
         .error = "t.csv:3: a quote that is opened in this row is never closed"},
        {"text after a quote", "t.csv", BYTES("a,label\n\"a\nb\"c,0\n"),
         .error = "t.csv:3:3: text after a closing quote"},
        {"broken JSON", "t.jsonl",
         BYTES("{\"a\": \"x\", \"label\": 0}\n{\"a\": \"x\", label: 0}\n"),
         .error = "t.jsonl:2:16: not JSON: "},
        {"half a line of JSON", "t.jsonl", BYTES("{\"a\": \"x\","), .error = "t.jsonl:1:"},
        {"a list", "t.jsonl", BYTES("[\"x\", 0]\n"),
         .error = "t.jsonl:1:2: expected an object {\"field\": ...}"},
        {"a list after an object", "t.jsonl", BYTES("{\"a\": \"x\", \"label\": 0}\n[\"x\", 0]\n"),
         .error = "t.jsonl:2:1: the line is a list, expected an object"},
        {"a key twice", "t.jsonl", BYTES("{\"a\": \"x\", \"a\": \"y\", \"label\": 0}\n"),
         .error = "t.jsonl:1:14: not JSON: duplicate object key"},
        {"no key", "t.jsonl", BYTES("{\"text\": \"x\", \"label\": 0}\n"),
         .error = "t.jsonl:1:1: \"a\" is missing or null"},
        {"null", "t.jsonl", BYTES("{\"a\": null, \"label\": 0}\n"),
         .error = "t.jsonl:1:1: \"a\" is missing or null"},
        {"a number as text", "t.jsonl", BYTES("{\"a\": 5, \"label\": 0}\n"),
         .error = "t.jsonl:1:1: \"a\" is a number, expected a text"},
        {"half a pair", "t.jsonl", BYTES("{\"a\": \"\\ud83d\", \"label\": 0}\n"),
         .error = "t.jsonl:1:"},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(cases); i++) {
        check_case(&cases[i]);
    }
}

static void test_long_rows(void **state) {
    (void)state;
    const size_t     n = (size_t)17 << 20;
    char *const      text = bt_alloc(n);
    const table_case plain = {.why = "a long row",
                              .file = "t.tsv",
                              .text = text,
                              .n_bytes = n,
                              .error = "t.tsv:2: the row has more than 16777216 bytes"};
    const table_case quoted = {.why = "a quote that swallows the file",
                               .file = "t.csv",
                               .text = text,
                               .n_bytes = n,
                               .error = "t.csv:2: the row has more than 16777216 bytes; is a quote "
                                        "not closed?"};
    memset(text, 'x', n);
    memcpy(text, "a\tlabel\n", 8);
    check_case(&plain);
    for (size_t i = 8; i < n; i++) {
        text[i] = i % 80 == 0 ? '\n' : 'x';
    }
    memcpy(text, "a,label\n\"", 9);
    check_case(&quoted);
    memset(text, '\t', n);
    text[n / 2] = '\n';
    const table_case columns = {.why = "too many columns",
                                .file = "t.tsv",
                                .text = text,
                                .n_bytes = n,
                                .error = "t.tsv:1:1: the row has more than 65536 columns"};
    check_case(&columns);
    bt_free(text);
}

static void test_skipping(void **state) {
    (void)state;
    static const char       text[] = "a\tlabel\na\t0\nbad\na b\t1\n\xff\t1\na\t1\n";
    static const table_case cases[] = {
        {"two of two", "t.tsv", text, .skip = 2, .labels = "0 1 1", .tokens = "3 4 3"},
        {"two of one", "t.tsv", text, .skip = 1, .error = "t.tsv:5:1: byte 0xff"},
        {"a label is never skipped", "t.tsv", "a\tlabel\na\t0\na\t7\n", .skip = 5,
         .error = "task.train_data: the labels are numbers, '0', '7', but there are 2 classes"},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(cases); i++) {
        check_case(&cases[i]);
    }
}

/* Damage that comes later is told with its line too, counted from the beginning of the file. */
static void test_file_that_changes(void **state) {
    (void)state;
    static const table_case c = {"t", "t.tsv", "a\tlabel\n\na\t0\n\n\na\t1\n", .skip = 0};
    char                    path[TEST_PATH_MAX];
    bt_data_stream         *stream = NULL;
    const bt_batch         *batch = NULL;
    bool                    end = false;
    assert_ok(open_case(&c, &stream, err));
    (void)snprintf(path, sizeof path, "%s/t.tsv", folder);
    test_write_file(path, "a\tlabel\n\na\t0\n\n\n\xff\t1\n", strlen(c.text));
    assert_fails(bt_data_next_batch(stream, &batch, &end, err), BT_E_FORMAT,
                 "t.tsv:6:1: byte 0xff is not valid UTF-8");
    bt_data_close(stream);
}

static int make_folder(void **state) {
    (void)state;
    folder = test_temp_dir();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_rows_are_told),
        cmocka_unit_test(test_delimiters),
        cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_long_conversion),
        cmocka_unit_test(test_json_forms),
        cmocka_unit_test(test_long_list),
        cmocka_unit_test(test_label_names),
        cmocka_unit_test(test_wrong_labels),
        cmocka_unit_test(test_bad_tables),
        cmocka_unit_test(test_long_rows),
        cmocka_unit_test(test_skipping),
        cmocka_unit_test(test_file_that_changes),
    };
    bt_log_setup("test", BT_LOG_TEXT, BT_LOG_ERROR);
    return cmocka_run_group_tests(tests, make_folder, NULL);
}
