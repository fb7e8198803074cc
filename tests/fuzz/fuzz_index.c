/* SPDX-License-Identifier: Apache-2.0
 *
 * An index of an input (docs/formats.md), as it was kept and then changed. Question, paths and
 * states of files in it are those of this machine and moment, so the input does not hold an index,
 * but changes of the one that is made here: the first byte says of which kind of input (1: a table
 * of which some rows are held out, 2: records, else a table) and whether lengths and checksums are
 * mended (4); then four bytes a change: what, where (16 bits, modulo the bytes that are there) and
 * by what. However it is changed, it is not believed, or rows come of it, or what was wrong is
 * said. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/bytes.h"
#include "bt/base/crc32c.h"
#include "bt/base/log.h"
#include "bt/data.h"
#include "bt/fs.h"
#include "bt/wire/example.h"
#include "fuzz_file.h"
#include "fuzz_mend.h"
#include "fuzz_targets.h"

enum { N_KINDS = 3, HELD_OUT = 1, RECORDS = 2, N_RECORDS = 12, HEADER = 72, PATH_BYTES = 4096 };
enum { CHANGE_BYTES = 4, MAX_CHANGES = 64, MENDED = 4 };

static const char vocab[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\nc\n";
static const char table[] = "a\tyes\nb\tno\na b\tyes\nb a\tno\nc\tyes\na c\tno\nb c\tyes\nc a\tno\n"
                            "a b c\tyes\nc b a\tno\n";

/* What is opened, and the index that was made of it. */
typedef struct index_case {
    char           path[PATH_BYTES], vocab_path[PATH_BYTES];
    const char    *paths[1];
    bt_data_config config;
    bt_data_schema schema;
    char           name[300]; /* of its file in the folder */
    bt_str         whole;
} index_case;

static index_case cases[N_KINDS];

static void *fail(const char *what) {
    (void)fprintf(stderr, "%s\n", what);
    abort();
}

static void add_frame(bt_str *out, bt_bytes data) {
    uint8_t              head[12] = {0};
    static const uint8_t crc[4] = {0};
    bt_store_u64le(head, data.n_bytes);
    if (bt_str_append_n(out, head, sizeof head, NULL) != BT_OK ||
        bt_str_append_n(out, data.data, data.n_bytes, NULL) != BT_OK ||
        bt_str_append_n(out, crc, sizeof crc, NULL) != BT_OK) {
        abort();
    }
}

static void make_records(bt_str *out) {
    static const char *const names[] = {"input_ids", "input_mask", "segment_ids"};
    bt_example_builder       builder = BT_EXAMPLE_BUILDER_INIT;
    for (int64_t i = 0; i < N_RECORDS; i++) {
        const int64_t columns[3][4] = {{2, 4 + i % 3, 3, 0}, {1, 1, 1, 0}, {0}};
        const int64_t label = i % 2;
        bt_bytes      bytes = {0};
        bt_example_builder_clear(&builder);
        for (size_t k = 0; k < BT_ARRAY_LEN(names); k++) {
            if (bt_example_add_i64(&builder, names[k], columns[k], 4, NULL) != BT_OK) {
                abort();
            }
        }
        if (bt_example_add_i64(&builder, "label_ids", &label, 1, NULL) != BT_OK ||
            bt_example_finish(&builder, &bytes, NULL) != BT_OK) {
            abort();
        }
        add_frame(out, bytes);
    }
    bt_example_builder_deinit(&builder);
    fuzz_mend_records((uint8_t *)out->data, out->len);
}

static bool is_known(const char *name) {
    bool known = strstr(name, ".bert-index") == NULL;
    for (int i = 0; i < N_KINDS; i++) {
        known = known || strcmp(cases[i].name, name) == 0;
    }
    return known;
}

/* The one that no other case has made. */
static void find_name(const char *folder, char name[300]) {
    DIR *const           list = opendir(folder);
    const struct dirent *entry = NULL;
    while (list != NULL && (entry = readdir(list)) != NULL) { // NOLINT(concurrency-mt-unsafe)
        if (!is_known(entry->d_name)) {
            (void)snprintf(name, 300, "index/%s", entry->d_name);
        }
    }
    if (list == NULL || closedir(list) != 0 || name[0] == '\0') {
        (void)fail("no index was kept");
    }
}

static void set_case(index_case *c, int kind) {
    static const char *const fields[] = {"1"};
    bt_str                   records = BT_STR_INIT;
    if (kind == RECORDS) {
        make_records(&records);
        (void)snprintf(c->path, sizeof c->path, "%s",
                       fuzz_file("t.tf_record", (const uint8_t *)records.data, records.len));
    } else {
        (void)snprintf(c->path, sizeof c->path, "%s",
                       fuzz_file("t.tsv", (const uint8_t *)table, sizeof table - 1));
    }
    bt_str_deinit(&records);
    (void)snprintf(c->vocab_path, sizeof c->vocab_path, "%s",
                   fuzz_file("vocab.txt", (const uint8_t *)vocab, sizeof vocab - 1));
    c->paths[0] = c->path;
    c->config =
        (bt_data_config){.paths = c->paths,
                         .n_paths = 1,
                         .global_batch_size = 4,
                         .shuffle_buffer_size = 1,
                         .held_out = kind == HELD_OUT ? BT_HELD_OUT_WITHOUT : BT_HELD_OUT_ALL,
                         .held_out_share = 0.25,
                         .index = fuzz_folder("index"),
                         .section = "task.train_data"};
    c->schema = (bt_data_schema){.seq_length = 4,
                                 .label_kind = BT_LABEL_CLASS,
                                 .label_field = kind == RECORDS ? "label_ids" : "2",
                                 .n_classes = 2,
                                 .vocab_size = 7,
                                 .type_vocab_size = 2,
                                 .learns_labels = kind != RECORDS};
    if (kind != RECORDS) {
        c->schema.text =
            (bt_data_text){.fields = fields, .n_fields = 1, .vocab_file = c->vocab_path};
    }
}

/* All rows; what is wrong is said. */
static void read_rows(const index_case *c) {
    bt_data_stream *stream = NULL;
    bt_error        err = BT_ERROR_INIT;
    bool            end = false;
    bt_status       rc = bt_data_open(&c->config, &c->schema, &stream, &err);
    while (rc == BT_OK && !end) {
        const bt_batch *batch = NULL;
        rc = bt_data_next_batch(stream, &batch, &end, &err);
    }
    if (rc != BT_OK && (err.msg[0] == '\0' || (rc != BT_E_FORMAT && rc != BT_E_NOMEM))) {
        (void)fail(err.msg);
    }
    bt_data_close(stream);
}

static void read_whole(const char *path, bt_str *out) {
    bt_fs_view view = {0};
    if (bt_fs_view_open(path, &view, NULL) != BT_OK ||
        bt_str_append_n(out, view.data, view.n_bytes, NULL) != BT_OK) {
        (void)fail("an index cannot be read");
    }
    bt_fs_view_close(&view);
}

/* Twice: an index knows a file that was written a moment ago by its bytes alone. */
static const index_case *open_case(int kind) {
    index_case *const c = &cases[kind];
    char              path[PATH_BYTES];
    if (c->name[0] != '\0') {
        return c;
    }
    (void)setenv("BERT_TRAIN_INDEX_BYTES", "0", 1); // NOLINT(concurrency-mt-unsafe)
    set_case(c, kind);
    read_rows(c);
    char name[300] = "";
    find_name(c->config.index, name);
    (void)snprintf(path, sizeof path, "%.*s%s", (int)(strlen(c->config.index) - strlen("index")),
                   c->config.index, name);
    read_whole(path, &c->whole);
    (void)snprintf(c->name, sizeof c->name, "%s", strchr(name, '/') + 1);
    (void)fuzz_file(name, (const uint8_t *)c->whole.data, c->whole.len);
    read_rows(c);
    return c;
}

static void insert(bt_str *bytes, size_t at, uint8_t by) {
    if (bt_str_append_char(bytes, '\0', NULL) != BT_OK) {
        abort();
    }
    memmove(bytes->data + at + 1, bytes->data + at, bytes->len - 1 - at);
    bytes->data[at] = (char)by;
}

static void change(bt_str *bytes, const uint8_t how[CHANGE_BYTES]) {
    if (bytes->len == 0) {
        return;
    }
    const size_t at = (size_t)(how[1] | how[2] << 8) % bytes->len;
    const size_t word = at / 8 * 8;
    switch (how[0] % 5) {
    case 0:
        bytes->data[at] = (char)(bytes->data[at] ^ how[3]);
        break;
    case 1: /* a word: a small number, one below 0, or a large one */
        if (word + 8 <= bytes->len) {
            const int64_t small = (int8_t)how[3];
            bt_store_u64le((uint8_t *)bytes->data + word,
                           how[3] % 8 == 7 ? (uint64_t)1 << (how[3] / 8 + 32) : (uint64_t)small);
        }
        break;
    case 2:
        insert(bytes, at, how[3]);
        break;
    case 3:
        memmove(bytes->data + at, bytes->data + at + 1, bytes->len - at - 1);
        bytes->len--;
        break;
    default: /* the end goes */
        bytes->len = at;
        break;
    }
}

/* By our own reading of the format: the facts are what the other parts leave, and three sums. */
static void mend(bt_str *bytes) {
    uint8_t *const data = (uint8_t *)bytes->data;
    if (bytes->len < HEADER) {
        return;
    }
    const uint64_t rest = bytes->len - HEADER;
    const uint64_t behind =
        bt_load_u64le(data + 32) + bt_load_u64le(data + 40) + 8 * bt_load_u64le(data + 48);
    if (behind <= rest) {
        bt_store_u64le(data + 24, rest - behind);
    }
    const uint64_t n_facts = bt_load_u64le(data + 24);
    if (n_facts <= rest) {
        bt_store_u32le(data + 56, bt_crc32c(0, data + HEADER, (size_t)n_facts));
        bt_store_u32le(data + 60, bt_crc32c(0, data + HEADER + n_facts, (size_t)(rest - n_facts)));
    }
    bt_store_u32le(data + 68, bt_crc32c(0, data, 68));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char   name[320];
    bt_str bytes = BT_STR_INIT;
    if (size == 0 || size > 1 + MAX_CHANGES * CHANGE_BYTES) {
        return 0;
    }
    bt_log_setup("fuzz", BT_LOG_TEXT, BT_LOG_ERROR);
    const index_case *const c = open_case(data[0] % 4 % N_KINDS);
    if (bt_str_append_n(&bytes, c->whole.data, c->whole.len, NULL) != BT_OK) {
        abort();
    }
    for (size_t at = 1; at + CHANGE_BYTES <= size; at += CHANGE_BYTES) {
        change(&bytes, data + at);
    }
    if ((data[0] & MENDED) != 0) {
        mend(&bytes);
    }
    (void)snprintf(name, sizeof name, "index/%s", c->name);
    (void)fuzz_file(name, (const uint8_t *)bytes.data, bytes.len);
    read_rows(c);
    bt_str_deinit(&bytes);
    return 0;
}
