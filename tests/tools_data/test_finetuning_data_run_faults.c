/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole runs of the data tool on the small inputs of tests/goldens/data_tool, one of every kind of
 * input, when memory, a read, a write, an fsync or a rename fails at one place after the other: a
 * clean error, no leak, and nothing left behind. */
#define _XOPEN_SOURCE 700
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/str.h"
#include "bt/fs.h"

#include "data_flags.h"
#include "data_run.h"
#include "test_support.h"

enum { MAX_ARGS = 32, ARG_MAX = TEST_PATH_MAX + 128, MAX_FAULTS = 20000 };

typedef struct run_case {
    char        folder[TEST_PATH_MAX]; /* of the golden */
    char        out[TEST_PATH_MAX];    /* does not exist before a run */
    char        args[MAX_ARGS][ARG_MAX];
    int         n_args;
    const char *name;
} run_case;

/* text with {in} and {out} replaced */
static void add_arg(run_case *c, const char *text) {
    char *const to = c->args[c->n_args++];
    size_t      used = 0;
    assert_true(c->n_args <= MAX_ARGS);
    while (*text != '\0' && used < ARG_MAX - 1) {
        const bool        is_in = bt_str_starts_with(text, "{in}");
        const bool        is_out = bt_str_starts_with(text, "{out}");
        const char *const value = is_in ? c->folder : c->out;
        if (is_in || is_out) {
            used += (size_t)snprintf(to + used, ARG_MAX - used, "%s%s", value, is_in ? "/in" : "");
            text += is_in ? 4 : 5;
        } else {
            to[used++] = *text++;
        }
    }
    assert_true(used < ARG_MAX - 1);
    to[used] = '\0';
}

static void begin_case(run_case *c, const json_t *description, const char *root) {
    const json_t *const args = json_object_get(description, "args");
    char                in[TEST_PATH_MAX + 16];
    *c = (run_case){.name = json_string_value(json_object_get(description, "name"))};
    (void)snprintf(c->folder, sizeof c->folder, "%s/%s",
                   test_source_path("tests/goldens/data_tool"), c->name);
    (void)snprintf(c->out, sizeof c->out, "%s/%s", root, c->name);
    (void)snprintf(in, sizeof in, "%s/in", c->folder);
    assert_int_equal(setenv("TFDS_DATA_DIR", in, 1), 0);
    add_arg(c, DATA_PROGRAM);
    add_arg(c, "--max_seq_length=16");
    add_arg(c, "--num_threads=1");
    add_arg(c, "--meta_data_file_path={out}/meta_data");
    (void)snprintf(c->args[c->n_args++], ARG_MAX, "--vocab_file=%s",
                   test_source_path("tests/goldens/text/vocab.txt"));
    for (size_t i = 0; i < json_array_size(args); i++) {
        add_arg(c, json_string_value(json_array_get(args, i)));
    }
}

static bt_status run_once(run_case *c, bt_error *err) {
    char     *argv[MAX_ARGS];
    bt_flags *flags = NULL;
    for (int i = 0; i < c->n_args; i++) {
        argv[i] = c->args[i];
    }
    bt_status rc = bt_flags_parse(&flags, &data_flag_table, c->n_args, argv, err);
    if (rc == BT_OK) {
        rc = data_run(flags, err);
    }
    bt_flags_free(flags);
    return rc;
}

static void check_nothing_left(const run_case *c, uint64_t k, const bt_error *err) {
    if (bt_fs_exists(c->out)) {
        fail_msg("%s: fault %llu (%s) left something in %s", c->name, (unsigned long long)k,
                 err->msg, c->out);
    }
}

/* Every fault up to 60, then fewer and fewer: a run makes thousands of allocations. */
static uint64_t next_fault(uint64_t k) {
    return k < 60 ? k + 1 : k + k / 16;
}

static void fail_memory(run_case *c) {
    for (uint64_t k = 1; k < MAX_FAULTS; k = next_fault(k)) {
        bt_error err = BT_ERROR_INIT;
        bt_alloc_fail_at(k, false);
        const bt_status rc = run_once(c, &err);
        bt_alloc_fail_at(0, false);
        if (rc == BT_OK) {
            return;
        }
        if (rc != BT_E_NOMEM) {
            fail_msg("%s: fault %llu: %s: %s", c->name, (unsigned long long)k, bt_status_name(rc),
                     err.msg);
        }
        check_nothing_left(c, k, &err);
    }
    fail_msg("%s: still failing after %d allocations", c->name, MAX_FAULTS);
}

static void fail_files(run_case *c, bt_fs_op op) {
    bt_status rc = BT_E_IO;
    uint64_t  k = 1;
    for (; rc != BT_OK && k < MAX_FAULTS; k = next_fault(k)) {
        bt_error err = BT_ERROR_INIT;
        bt_fs_fail_at(op, k, false);
        rc = run_once(c, &err);
        bt_fs_fail_at(op, 0, false);
        if (rc != BT_OK && rc != BT_E_IO && rc != BT_E_RESOURCE) {
            fail_msg("%s: fault %llu: %s", c->name, (unsigned long long)k, err.msg);
        }
        if (rc != BT_OK) {
            check_nothing_left(c, k, &err);
        }
    }
    assert_true(k > 2 && k < MAX_FAULTS);
}

/* Every case of cases.json; op < 0: memory. */
static void run_cases(int op) {
    size_t        n = 0;
    char *const   text = test_read_file(test_source_path("tests/goldens/data_tool/cases.json"), &n);
    json_t *const cases = json_loadb(text, n, 0, NULL);
    static run_case   c;
    const char *const root = test_temp_dir();
    assert_true(json_array_size(cases) > 10);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        begin_case(&c, json_array_get(cases, i), root);
        if (op < 0) {
            fail_memory(&c);
        } else {
            fail_files(&c, (bt_fs_op)op);
        }
        assert_true(bt_fs_exists(c.out)); /* the last run was whole */
    }
    json_decref(cases);
    bt_free(text);
}

static void test_out_of_memory(void **state) {
    (void)state;
    run_cases(-1);
}

static void test_file_faults(void **state) {
    (void)state;
    for (int op = 0; op < BT_FS_N_OPS; op++) {
        run_cases(op);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_file_faults),
    };
    bt_log_setup(DATA_PROGRAM, BT_LOG_TEXT, BT_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
