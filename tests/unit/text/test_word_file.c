/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of labelled words: comments, CoNLL-U, MultiCoNER, lines of JSON, entities that begin with
 * I-; and everything that can be wrong with them. What a file holds is written "word/LABEL", a bar
 * between sentences. */
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "bt/text.h"
#include "test_support.h"

static const char *folder;

typedef struct word_case {
    const char *why;
    const char *file;
    const char *text;
    const char *words; /* expected, or */
    const char *error;
    int         word_column;
    int         label_column; /* 0: the last */
    const char *word_name;
    const char *label_name;
    bool        repair_bio;
} word_case;

static void append(bt_str *out, const char *text, size_t n) {
    assert_ok(bt_str_append_n(out, text, n, err));
}

static bt_status read_words(const word_case *c, bt_str *out, bt_error *problem) {
    const bt_text_word_form form = {.is_conll = true,
                                    .repair_bio = c->repair_bio,
                                    .word_column = c->word_column,
                                    .label_column = c->label_column == 0 ? BT_TEXT_LAST_COLUMN
                                                                         : c->label_column,
                                    .word_name = c->word_name,
                                    .label_name = c->label_name,
                                    .conll_advice = "CONLL",
                                    .columns_advice = "COLUMNS"};
    bt_text_word_file      *file = NULL;
    bt_status               rc = BT_OK;
    bool                    end = false;
    bool                    is_first = true;
    char                    path[TEST_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", folder, c->file);
    test_write_file(path, c->text, strlen(c->text));
    assert_ok(bt_text_word_file_open(&file, path, &form, err));
    while (rc == BT_OK && !end) {
        bt_text_word_line word = {0};
        bool              is_break = false;
        rc = bt_text_word_file_next(file, &word, &is_break, &end, problem);
        if (rc != BT_OK || end) {
            break;
        }
        if (is_break) {
            append(out, "|", out->len > 0 && out->data[out->len - 1] != '|' ? 1 : 0);
            is_first = true;
            continue;
        }
        append(out, " ", is_first ? 0 : 1);
        append(out, word.word, word.n_word);
        append(out, word.label_is_id ? "=" : "/", word.label != NULL ? 1 : 0);
        append(out, word.label, word.n_label);
        is_first = false;
    }
    bt_text_word_file_tell(file, "REPAIR");
    bt_text_word_file_close(file);
    return rc;
}

static void check(const word_case *cases, size_t n) {
    for (size_t i = 0; i < n; i++) {
        bt_str          out = BT_STR_INIT;
        bt_error        problem = BT_ERROR_INIT;
        const bt_status rc = read_words(&cases[i], &out, &problem);
        if (cases[i].error != NULL
                ? rc != BT_E_FORMAT || strstr(problem.msg, cases[i].error) == NULL
                : rc != BT_OK || strcmp(bt_str_text(&out), cases[i].words) != 0) {
            fail_msg("%s: status %d, '%s', words %s", cases[i].why, (int)rc, problem.msg,
                     bt_str_text(&out));
        }
        bt_str_deinit(&out);
    }
}

static void test_comments(void **state) {
    (void)state;
    static const word_case cases[] = {
        {"MultiCoNER", "a.txt",
         "# id 4711\tdomain=en\nthe _ _ O\nparis _ _ B-LOC\n\n# id 4712\tdomain=en\nrome _ _ "
         "B-LOC\n",
         .words = "the/O paris/B-LOC|rome/B-LOC"},
        {"tabs", "a.txt", "# id 4711\tdomain=en\nthe\tO\n\n# id 4712\tdomain=en\nrome\tB\n\n",
         .words = "the/O|rome/B|"},
        {"sent_id and text", "a.txt",
         "# sent_id = 1\n# text = The film is # 1\nThe O\n\n# sent_id = 2\nfilm O\n",
         .words = "The/O|film/O"},
        {"four columns, as many as sent_id has", "a.txt",
         "# sent_id = 1\nThe DT B O\n# NN I O\n\n# sent_id = 2\nfilm NN B O\n",
         .words = "The/O #/O|film/O"},
        {"OntoNotes", "a.txt", "#begin document (bc/cctv); part 000\na O\n\n#end document\n",
         .words = "a/O|"},
        {"free words", "a.txt", "# made by hand in June\na O\n\n# the end\n", .words = "a/O|"},
        {"a word # is one", "a.txt", "a O\n# O\n1 B\n\n# O\nb O\n", .words = "a/O #/O 1/B|#/O b/O"},
        {"first of all, too", "a.txt", "# O\na O\n", .words = "#/O a/O"},
        {"a word # after a tab", "a.txt", "#\tO\n#tag\tB\n\n#\tO\n", .words = "#/O #tag/B|#/O"},
        {"a word that begins with it", "a.txt", "#metoo NN B-EVENT\n# NN O\n\n",
         .words = "#metoo/B-EVENT #/O|"},
        {"only comments", "a.txt", "# a\n\n# b = c\n", .words = ""},
        {"CR LF", "a.txt", "# sent_id = 1\r\na O\r\n\r\n# newdoc id = x\r\nb O\r\n",
         .words = "a/O|b/O"},
        {"a comment within a sentence", "a.txt", "a\tO\n# id 4\tx\nb\tO\n", .words = "a/O b/O"},
    };
    check(cases, BT_ARRAY_LEN(cases));
}

#define CONLLU                                                                                     \
    "# sent_id = 1\n# text = vamonos al mar\n"                                                     \
    "1-2\tvamonos\t_\t_\t_\t_\t_\t_\t_\t_\n1\tvamos\tir\tVERB\t_\t_\t0\troot\t_\t_\n"              \
    "2\tnos\tnosotros\tPRON\t_\t_\t1\tobj\t_\tx=y\n3-4\tal\t_\t_\t_\t_\t_\t_\t_\t_\n"              \
    "3\ta\ta\tADP\t_\t_\t5\tcase\t_\t_\n4\tel\tel\tDET\t_\t_\t5\tdet\t_\t_\n"                      \
    "4.1\tnada\t_\tX\t_\t_\t_\t_\t1:x\t_\n5\tmar\tmar\tNOUN\tS\t_\t1\tobl\t_\t_\n\n"               \
    "# sent_id = 2\n1\tsi\tsi\tINTJ\t_\t_\t0\troot\t_\t_\n\n"

static void test_conllu(void **state) {
    (void)state;
    static const word_case cases[] = {
        {"form and UPOS", "a.conllu", CONLLU,
         .words = "vamos/VERB nos/PRON a/ADP el/DET mar/NOUN|si/INTJ|"},
        {"columns that are given", "a.conllu", CONLLU, .word_column = 2, .label_column = 7,
         .words = "ir/root nosotros/obj a/case el/det mar/obl|si/root|"},
        {"ten columns of spaces are none", "a.txt", "1 a b c d e f g h I\n", .words = "1/I"},
        {"ten columns without numbers are none", "a.txt", "w\ta\tb\tc\td\te\tf\tg\th\tI\n",
         .words = "w/I"},
    };
    check(cases, BT_ARRAY_LEN(cases));
}

#define PLUS                                                                                       \
    "# global.columns = ID FORM UPOS HEAD PARSEME:MWE\n# sent_id = 1\n1-2\tvamonos\t_\t_\t*\n"     \
    "1\tvamos\tVERB\t0\t1:IRV\n2\tnos\tPRON\t1\t1\n3.1\tx\tX\t_\t_\n\n1\tNew York\tPROPN\t0\t*\n"

static void test_conllu_plus(void **state) {
    (void)state;
    static const word_case cases[] = {
        {"the column of its own", "a.conllup", PLUS, .words = "vamos/1:IRV nos/1|New York/*"},
        {"by name", "a.conllup", PLUS, .word_name = "FORM", .label_name = "UPOS",
         .words = "vamos/VERB nos/PRON|New York/PROPN"},
        {"by number", "a.conllup", PLUS, .word_column = 1, .label_column = 3,
         .words = "vamos/0 nos/1|New York/0"},
        {"the label's name alone", "a.conllup", "# global.columns = FORM LEMMA NER\na\tb\tO\n",
         .label_name = "LEMMA", .words = "a/b"},
        {"no column of its own", "a.txt",
         "# newdoc\n# global.columns = UPOS FORM ID\nDET\tthe\t1\n", .words = "the/DET"},
        {"two of its own", "a.txt", "# global.columns = ID FORM A:X B:Y\n1\ta\tb\tc\n",
         .error = "a.txt: which of its columns hold the word and the label? They are 'ID', 'FORM', "
                  "'A:X', 'B:Y' (COLUMNS says it)"},
        {"no word", "a.txt", "# global.columns = ID UPOS\n1\tX\n",
         .error = "a.txt: which of its columns hold"},
        {"no such name", "a.txt", PLUS, .word_name = "FORM", .label_name = "NER",
         .error = "a.txt: no column is called NER; the columns are 'ID', 'FORM', 'UPOS'"},
        {"names without the line", "a.txt", "a\tb\n", .word_name = "FORM", .label_name = "NER",
         .error = "a.txt: no line '# global.columns = ...' before its first word"},
        {"a name twice", "a.txt", "# global.columns = ID FORM FORM\n1\ta\tb\n",
         .error = "a.txt:1: global.columns: 'FORM' appears twice"},
        {"a line that lost a column", "a.txt", "# global.columns = ID FORM NER\n1\ta\tO\n2\tb\n",
         .error = "a.txt:3: 2 columns, but global.columns names 3"},
    };
    check(cases, BT_ARRAY_LEN(cases));
}

static void test_width(void **state) {
    (void)state;
    static const word_case cases[] = {
        {"a space in a word", "a.txt", "a O\nNew York B-LOC\n",
         .error = "a.txt:2: 3 columns, but the words before it have 2"},
        {"in another sentence", "a.txt", "a O\n\nNew York B-LOC\n",
         .error = "a.txt:3: 3 columns, but the words before it have 2"},
        {"CoNLL-U that lost a column", "a.conllu", CONLLU "1\tx\tx\tX\t_\t_\t0\troot\t_\n",
         .error = "9 columns, but the words before it have 10"},
        {"sentences of CoNLL-2012", "a.txt", "d 0 0 a DT O x\n\nd 0 0 b NN O x y z\n",
         .word_column = 3, .label_column = 4, .words = "a/DT|b/NN"},
        {"within a sentence", "a.txt", "d a DT O x\nd b c NN O x\n", .word_column = 1,
         .label_column = 2, .error = "a.txt:2: 6 columns, but the words before it have 5"},
        {"words without a tag", "a.txt", "a\nb O\nc\n", .words = "a b/O c"},
        {"spaces at the end", "a.txt", "a O \nb\tO\t\n-DOCSTART- -X- O O\n\nc O",
         .words = "a/O b/O|c/O"},
        {"IOBES and BILOU", "a.txt", "a S-X\nb B-X\nc E-X\nd U-X\ne L-X\n",
         .words = "a/S-X b/B-X c/E-X d/U-X e/L-X"},
    };
    check(cases, BT_ARRAY_LEN(cases));
    char line[2 * 65 + 1];
    memset(line, 0, sizeof line);
    for (size_t i = 0; i < 65; i++) {
        line[2 * i] = 'a';
        line[2 * i + 1] = i < 64 ? ' ' : '\n';
    }
    const word_case many = {"65 columns", "a.txt", line, .error = "a.txt:1: more than 64 columns"};
    check(&many, 1);
}

/* The same words as the package conllu has of the same file. */
static void check_golden(const char *file_path, const char *golden) {
    const bt_text_word_form form = {.is_conll = true,
                                    .label_column = BT_TEXT_LAST_COLUMN,
                                    .conll_advice = "",
                                    .columns_advice = ""};
    bt_text_word_file      *file = NULL;
    bt_str                  got = BT_STR_INIT;
    char                   *want = NULL;
    size_t                  n = 0;
    bool                    end = false;
    bool                    is_break = true;
    assert_ok(bt_text_word_file_open(&file, test_source_path(file_path), &form, err));
    while (!end) {
        bt_text_word_line word = {0};
        const bool        starts = is_break;
        assert_ok(bt_text_word_file_next(file, &word, &is_break, &end, err));
        if (!end) {
            append(&got, is_break ? "\n" : "|", is_break || !starts ? 1 : 0);
            append(&got, word.word, is_break ? 0 : word.n_word);
            append(&got, "/", is_break ? 0 : 1);
            append(&got, word.label, is_break ? 0 : word.n_label);
        }
    }
    bt_text_word_file_close(file);
    assert_ok(bt_fs_read_all(test_source_path(golden), 1 << 20, &want, &n, err));
    assert_string_equal(bt_str_text(&got), want);
    bt_free(want);
    bt_str_deinit(&got);
}

static void test_conllu_golden(void **state) {
    (void)state;
    check_golden("tests/goldens/text/words.conllu", "tests/goldens/text/words_conllu.txt");
    check_golden("tests/goldens/text/words.conllup", "tests/goldens/text/words_conllup.txt");
}

static void test_json(void **state) {
    (void)state;
    static const word_case cases[] = {
        {"words and ner", "a.jsonl",
         "{\"words\": [\"Anna\", \"in\"], \"ner\": [\"B-PER\", \"O\"]}\n\n{\"ner\": [\"O\"], "
         "\"words\": "
         "[\"x y\"]}",
         .words = "Anna/B-PER in/O|x y/O|"},
        {"tokens and numbers", "a.JSONL",
         "{\"id\": 1, \"tokens\": [\"a\", \"b\"], \"ner_tags\": [0, 3], \"pos_tags\": [9, 9]}\r\n",
         .words = "a=0 b=3|"},
        {"tags", "a.ndjson", "\xef\xbb\xbf{\"tokens\": [\"\\u00e9\"], \"tags\": [\"O\"]}",
         .words = "\xc3\xa9/O|"},
        {"no labels", "a.json", "{\"tokens\": [\"a\", \"b\"], \"tags\": null}\n{\"tokens\": []}\n",
         .words = "a b|"},
        {"a list", "a.json",
         "[{\"tokens\": [\"a\"], \"tags\": [\"O\"]}, {\"tokens\": []},\n"
         "{\"words\": [\"b\", \"c\"], \"ner\": [1, 0]}\n]\n",
         .words = "a/O|b=1 c=0|"},
        {"pretty-printed", "a.jsonl",
         "{\n \"tokens\": [\n  \"a\"\n ],\n \"tags\": [\n  \"O\"\n ]\n}\n{\n \"tokens\": "
         "[\"b\"]\n}\n",
         .words = "a/O|b|"},
        {"a list that is a member", "a.json",
         "\xef\xbb\xbf{\"version\": \"1\", \"tags\": [\"O\", \"B\"], \"data\": [ {\"id\": 7, "
         "\"tokens\": "
         "[\"a\"], \"tags\": [\"B\"]},\n{\"tokens\": [\"}{\"]}\n], \"more\": {\"x\": [1, "
         "\"[\"]}}\n",
         .words = "a/B|}{|"},
        {"no member: what nobody reads is a list of objects", "a.json",
         "{\"spans\": [{\"text\": \"a\"}], \"tokens\": [\"a\"], \"tags\": [\"O\"]}\n",
         .words = "a/O|"},
        {"two lists", "a.json",
         "{\"train\": [{\"tokens\": [\"a\"]}],\n \"test\": [{\"tokens\": [\"b\"]}]}",
         .error = "a.json:2:11: a second list of objects"},
        {"a member that is cut", "a.json", "{\"data\": [{\"tokens\": [\"a\"]}]\n",
         .error = "a.json:2:1: the object that the file begins with is never closed"},
        {"a list that is cut", "a.json", "{\"data\": [{\"tokens\": [\"a\"]}\n",
         .error = "a.json:2:1: the list that the file begins with is not closed"},
        {"after the member's object", "a.json", "{\"data\": [{\"tokens\": [\"a\"]}]} {}",
         .error = "a.json:1:31: something follows the list"},
        {"a place in one line", "a.json", "[{\"tokens\": [\"a\"]}, {\"tokens\": [1]}]",
         .error = "a.json:1:21: word 1 is not text"},
        {"what nobody reads may be anything", "a.jsonl",
         "{\"id\": 123456789012345678901234567890, \"x\": NaN, \"y\": \"\\ud800\", \"z\": "
         "\"\\u0000\", "
         "\"tokens\": [\"a\"], \"tags\": [\"O\"]}\n",
         .words = "a/O|"},
        {"half a pair in a word", "a.jsonl", "{\"tokens\": [\"\\ud800\"], \"tags\": [\"O\"]}\n",
         .error = "a.jsonl:1: not JSON: "},
        {"NUL in a word", "a.jsonl", "{\"tokens\": [\"a\", \"\\u0000\"]}\n",
         .error = "a.jsonl:1: word 2 is a text with a NUL character"},
        {"NUL in a label", "a.jsonl", "{\"tokens\": [\"a\"], \"tags\": [\"O\\u0000\"]}\n",
         .error = "a.jsonl:1: the label of word 1 is neither"},
        {"a key twice", "a.jsonl", "{\"tokens\": [\"a\"], \"tags\": [\"O\"], \"tags\": [\"B\"]}\n",
         .error = "a.jsonl:1: not JSON: duplicate object key"},
        {"bytes that are not UTF-8", "a.json", "[{\"tokens\": [\"caf\xe9\"]}]",
         .error = "a.json:1: byte 17 of the line (0xe9) is not valid UTF-8; in Windows-1252"},
        {"no JSON", "a.json", "{\"tokens\": [\"a\"]}\n{\"tokens\"\n",
         .error = "a.json:2: not JSON: "},
        {"no words", "a.json", "{\"text\": \"a\"}",
         .error = "a.json:1: neither tokens nor words is"},
        {"a text", "a.json", "{\"tokens\": \"a\"}",
         .error = "a.json:1: tokens is not a list of words"},
        {"more words", "a.json", "{\"tokens\": [\"a\"], \"ner_tags\": []}",
         .error = "a.json:1: 1 in tokens, but 0 in ner_tags"},
        {"a number for a word", "a.json", "{\"tokens\": [\"a\", 1], \"tags\": [\"O\", \"O\"]}",
         .error = "a.json:1: word 2 is not text"},
        {"a list for a label", "a.json", "{\"tokens\": [\"a\"], \"tags\": [[]]}",
         .error = "a.json:1: the label of word 1 is neither a name nor a number"},
    };
    check(cases, BT_ARRAY_LEN(cases));
}

static void test_bio(void **state) {
    (void)state;
    static const char text[] = "a I-X\nb I-X\nc B-X\nd I-X\ne I-Y\nf O\ng I-Y\n\nh I-Y\ni I-Y\n";
    static const word_case cases[] = {
        {"told", "a.txt", text, .words = "a/I-X b/I-X c/B-X d/I-X e/I-Y f/O g/I-Y|h/I-Y i/I-Y"},
        {"repaired", "a.txt", text, .repair_bio = true,
         .words = "a/B-X b/I-X c/B-X d/I-X e/B-Y f/O g/B-Y|h/B-Y i/I-Y"},
        {"of JSON", "a.jsonl",
         "{\"tokens\": [\"a\", \"b\"], \"tags\": [\"I-X\", \"I-X\"]}\n"
         "{\"tokens\": [\"a\"], \"tags\": [\"I-X\"]}\n",
         .repair_bio = true, .words = "a/B-X b/I-X|a/B-X|"},
        {"an empty label", "a.txt", "a\t\tb\nc\tI-X\tb\n", .label_column = 1, .words = "a/ c/I-X"},
        {"I alone is not an entity", "a.txt", "a I\nb I-\n", .repair_bio = true,
         .words = "a/I b/I-"},
    };
    check(cases, BT_ARRAY_LEN(cases));
}

static int make_folder(void **state) {
    (void)state;
    folder = test_temp_dir();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comments),      cmocka_unit_test(test_conllu),
        cmocka_unit_test(test_conllu_golden), cmocka_unit_test(test_json),
        cmocka_unit_test(test_bio),           cmocka_unit_test(test_conllu_plus),
        cmocka_unit_test(test_width),
    };
    return cmocka_run_group_tests(tests, make_folder, NULL);
}
