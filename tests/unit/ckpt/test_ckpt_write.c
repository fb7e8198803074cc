/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing training checkpoints: object graphs equal to those of the real Model Garden, node by node
 * (tests/goldens/ckpt, made by make_ckpt_goldens.py); Model Garden's own checkpoints read and
 * written again with equal keys, shapes and bytes; our state beside them; failing disks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/bytes.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "bt/tensor.h"
#include "bt/wire/bundle.h"
#include "bt/wire/object_graph.h"
#include "ckpt_test_support.h"
#include "test_faults.h"
#include "test_support.h"

#define GOLDENS "goldens/numerics/checkpoints/"

static void read_graph(const char *prefix, bt_graph *graph) {
    bt_bundle *bundle = NULL;
    bt_bytes  *value = NULL;
    assert_ok(bt_bundle_open(prefix, &bundle, err));
    assert_ok(
        bt_bundle_read_strings(bundle, bt_bundle_find(bundle, BT_BUNDLE_GRAPH_KEY), &value, err));
    assert_ok(bt_graph_parse(value[0], graph, err));
    bt_free(value);
    bt_bundle_close(bundle);
}

/* As make_ckpt_goldens.py describes a graph. */
static void describe_graph(const char *prefix, bt_str *out) {
    bt_graph graph;
    read_graph(prefix, &graph);
    for (size_t i = 0; i < graph.n_nodes; i++) {
        const bt_graph_node *const node = &graph.nodes[i];
        assert_ok(bt_str_appendf(out, err, "%zu", i));
        for (size_t c = 0; c < node->n_children; c++) {
            assert_ok(
                bt_str_appendf(out, err, " %s=%d", node->children[c].name, node->children[c].node));
        }
        for (size_t a = 0; a < node->n_attributes; a++) {
            assert_ok(bt_str_appendf(out, err, " : %s", node->attributes[a].checkpoint_key));
        }
        assert_ok(bt_str_append(out, "\n", err));
    }
    for (size_t i = 0; i < graph.n_nodes; i++) {
        for (size_t s = 0; s < graph.nodes[i].n_slots; s++) {
            const bt_graph_slot *const slot = &graph.nodes[i].slots[s];
            assert_ok(bt_str_appendf(out, err, "slot %zu %d %s %d\n", i, slot->variable_node,
                                     slot->slot_name, slot->slot_node));
        }
    }
    bt_graph_deinit(&graph);
}

static void check_text(const char *name, const char *got, const char *want) {
    for (int line = 1; *got != '\0' || *want != '\0'; line++) {
        const size_t n_got = strcspn(got, "\n");
        const size_t n_want = strcspn(want, "\n");
        if (n_got != n_want || memcmp(got, want, n_got) != 0) {
            fail_msg("%s: line %d:\n   got %.*s\n  want %.*s", name, line, (int)n_got, got,
                     (int)n_want, want);
        }
        got += n_got + (got[n_got] == '\n');
        want += n_want + (want[n_want] == '\n');
    }
}

static void check_graph(const test_graph_case *c) {
    char            prefix[TEST_PATH_MAX];
    char            golden[TEST_PATH_MAX];
    bt_str          text = BT_STR_INIT;
    bt_model *const model = test_make_case_model(c);
    float *const    flat = test_fill_flat(model, 1);
    (void)snprintf(prefix, sizeof prefix, "%s/ckpt-4", test_temp_dir());
    const bt_ckpt_train train = test_make_train(model, flat, flat, flat, c->ema ? flat : NULL);
    assert_ok(bt_ckpt_write_train(prefix, &train, err));
    describe_graph(prefix, &text);
    (void)snprintf(golden, sizeof golden, "tests/goldens/ckpt/%s.graph.txt", c->name);
    char *const want = test_read_file(test_source_path(golden), NULL);
    check_text(c->name, bt_str_text(&text), want);
    bt_free(want);
    bt_str_deinit(&text);
    bt_free(flat);
    bt_model_free(model);
}

static void test_graphs(void **state) {
    (void)state;
    for (size_t i = 0; i < test_n_graph_cases; i++) {
        check_graph(&test_graph_cases[i]);
    }
}

/* What is written is read back. */

static void check_variables(bt_ckpt *ckpt, const bt_model *model, const char *slot, int64_t seed,
                            bool every_variable) {
    float *const got = bt_alloc((size_t)model->table.n_elements * sizeof *got);
    for (int64_t p = 0; p < model->table.n_params; p++) {
        const bt_param *const param = &model->table.params[p];
        if (!every_variable && !param->has_gradient) {
            assert_int_equal(bt_ckpt_find_variable(ckpt, param->name, slot), -1);
            continue;
        }
        assert_ok(bt_ckpt_read_variable(ckpt, param, slot, got, err));
        for (int64_t i = 0; i < param->n_elements; i++) {
            if (got[i] != test_value(seed, p, i)) {
                fail_msg("%s %s: element %lld", param->name, slot != NULL ? slot : "",
                         (long long)i);
            }
        }
    }
    bt_free(got);
}

static void check_scalar(bt_ckpt *ckpt, const char *name, int64_t want) {
    int64_t value = -1;
    bool    found = false;
    assert_ok(bt_ckpt_read_scalar(ckpt, name, &value, &found, err));
    assert_true(found);
    assert_int_equal(value, want);
}

static void check_written(bt_ckpt *ckpt, const bt_model *model, const test_graph_case *c) {
    bt_str     bytes = BT_STR_INIT;
    bool       found = false;
    const bool is_albert = c->type == BT_ENCODER_ALBERT;
    assert_ok(bt_ckpt_verify(ckpt, err));
    assert_int_equal(bt_ckpt_n_layers(ckpt), is_albert ? 1 : 2);
    assert_int_equal(bt_ckpt_get_encoder(ckpt), is_albert ? BT_CKPT_ALBERT : BT_CKPT_BERT);
    check_variables(ckpt, model, NULL, 0, true);
    check_variables(ckpt, model, "m", 1, false);
    check_variables(ckpt, model, "v", 2, false);
    if (c->ema) {
        check_variables(ckpt, model, "average", 3, true);
    }
    check_scalar(ckpt, "global_step", 4);
    check_scalar(ckpt, "iterations", 4);
    check_scalar(ckpt, "save_counter", 0);
    assert_ok(bt_ckpt_read_state(ckpt, &bytes, &found, err));
    assert_true(found);
    assert_string_equal(bt_str_text(&bytes), "cursor 17");
    bt_str_deinit(&bytes);
}

static void check_weights_only(bt_ckpt *ckpt, const bt_model *model) {
    bt_str bytes = BT_STR_INIT;
    bool   found = true;
    check_variables(ckpt, model, NULL, 0, true);
    assert_int_equal(bt_ckpt_find_variable(ckpt, "word_embeddings/embeddings", "m"), -1);
    assert_ok(bt_ckpt_read_state(ckpt, &bytes, &found, err));
    assert_false(found);
    bt_str_deinit(&bytes);
}

typedef struct given_values {
    const bt_model *model;
    float *const   *flats;
    int64_t         n_calls;
    int64_t         last; /* the call that fails; 0: none */
} given_values;

static bt_status give_values(void *context, int64_t param, const char *slot, float *to,
                             bt_error *err) {
    given_values *const   given = context;
    const bt_param *const p = &given->model->table.params[param];
    const size_t i = slot == NULL ? 0 : strcmp(slot, "m") == 0 ? 1 : strcmp(slot, "v") == 0 ? 2 : 3;
    if (given->n_calls + 1 == given->last) {
        return BT_FAIL(err, BT_E_FORMAT, "no %s", p->name);
    }
    memcpy(to, given->flats[i] + p->offset, (size_t)p->n_elements * sizeof *to);
    given->n_calls++;
    return BT_OK;
}

static void check_same_file(const char *prefix, const char *other, const char *end) {
    char   path[TEST_PATH_MAX + 32];
    size_t n = 0;
    size_t n_other = 0;
    (void)snprintf(path, sizeof path, "%s%s", prefix, end);
    char *const bytes = test_read_file(path, &n);
    (void)snprintf(path, sizeof path, "%s%s", other, end);
    char *const others = test_read_file(path, &n_other);
    assert_int_equal(n, n_other);
    assert_memory_equal(bytes, others, n);
    bt_free(bytes);
    bt_free(others);
}

/* Of values that are given one by one. */
static bt_ckpt_train make_given(const bt_ckpt_train *train, given_values *given) {
    bt_ckpt_train without = *train;
    without.has_average = train->average != NULL;
    without.params = without.average = NULL;
    without.slots[0] = without.slots[1] = NULL;
    without.values = give_values;
    without.values_context = given;
    return without;
}

static void check_given(const char *prefix, const bt_ckpt_train *train, const bt_model *model,
                        float *const flats[4]) {
    char                other[TEST_PATH_MAX + 8];
    given_values        given = {.model = model, .flats = flats};
    const bt_ckpt_train without = make_given(train, &given);
    (void)snprintf(other, sizeof other, "%s-given", prefix);
    assert_ok(bt_ckpt_write_train(other, &without, err));
    assert_true(given.n_calls >= model->table.n_params);
    check_same_file(prefix, other, ".index");
    check_same_file(prefix, other, ".data-00000-of-00001");
}

static void check_read_back(const test_graph_case *c) {
    char            prefix[TEST_PATH_MAX];
    bt_model *const model = test_make_case_model(c);
    float          *flats[4];
    bt_ckpt        *ckpt = NULL;
    for (int64_t i = 0; i < 4; i++) {
        flats[i] = test_fill_flat(model, i);
    }
    (void)snprintf(prefix, sizeof prefix, "%s/ckpt-4", test_temp_dir());
    bt_ckpt_train train =
        test_make_train(model, flats[0], flats[1], flats[2], c->ema ? flats[3] : NULL);
    assert_ok(bt_ckpt_write_train(prefix, &train, err));
    check_given(prefix, &train, model, flats);
    assert_ok(bt_ckpt_open(prefix, &ckpt, err));
    check_written(ckpt, model, c);
    bt_ckpt_close(ckpt);
    train.without_optimizer = true;
    train.n_state_bytes = 0;
    assert_ok(bt_ckpt_write_train(prefix, &train, err));
    check_given(prefix, &train, model, flats);
    assert_ok(bt_ckpt_open(prefix, &ckpt, err));
    check_weights_only(ckpt, model);
    bt_ckpt_close(ckpt);
    for (int64_t i = 0; i < 4; i++) {
        bt_free(flats[i]);
    }
    bt_model_free(model);
}

static void test_read_back(void **state) {
    (void)state;
    /* no golden: Model Garden cannot build that model */
    static const test_graph_case v2_pairs = {
        "bert_v2_dual", BT_ENCODER_BERT_V2, 4, BT_HEAD_POOLED_OUTPUT, BT_LOSS_RANKING, true, true};
    for (size_t c = 0; c < test_n_graph_cases; c++) {
        check_read_back(&test_graph_cases[c]);
    }
    check_read_back(&v2_pairs);
}

/* Model Garden's own checkpoint, read and written again. */

static float *read_flat(bt_ckpt *ckpt, const bt_model *model, const char *slot) {
    float *const flat = bt_calloc_array((size_t)model->table.n_elements, sizeof *flat);
    for (int64_t p = 0; p < model->table.n_params; p++) {
        const bt_param *const param = &model->table.params[p];
        if (bt_ckpt_find_variable(ckpt, param->name, slot) >= 0) {
            assert_ok(bt_ckpt_read_variable(ckpt, param, slot, flat + param->offset, err));
        }
    }
    return flat;
}

/* Every tensor of both bundles: same name, type, shape, bytes; only our state may be more. */
static void check_same_tensors(const char *ours, const char *theirs) {
    bt_bundle *a = NULL;
    bt_bundle *b = NULL;
    assert_ok(bt_bundle_open(ours, &a, err));
    assert_ok(bt_bundle_open(theirs, &b, err));
    assert_int_equal(bt_bundle_n_entries(a), bt_bundle_n_entries(b) + 1);
    assert_non_null(bt_bundle_find(a, "bert_train/state"));
    for (size_t i = 0; i < bt_bundle_n_entries(b); i++) {
        const bt_bundle_entry *const want = bt_bundle_entry_at(b, i);
        const bt_bundle_entry *const got = bt_bundle_find(a, want->name);
        if (got == NULL) {
            fail_msg("no %s", want->name);
        }
        assert_int_equal(got->dtype, want->dtype);
        assert_int_equal(got->rank, want->rank);
        assert_memory_equal(got->dim, want->dim, sizeof got->dim);
        if (want->dtype !=
            BT_DTYPE_STRING) { /* equal bytes have equal checksums, and are verified */
            assert_int_equal(got->crc, want->crc);
            assert_int_equal(got->n_bytes, want->n_bytes);
        }
    }
    assert_ok(bt_bundle_verify(a, err));
    bt_bundle_close(a);
    bt_bundle_close(b);
}

/* The checkpoint that Model Garden left at prefix, read and written again, is the same one. */
static void check_again(const char *from, const bt_model *model, bool ema) {
    char     to[TEST_PATH_MAX];
    bt_ckpt *ckpt = NULL;
    bt_str   got = BT_STR_INIT;
    bt_str   want = BT_STR_INIT;
    bool     found = false;
    (void)snprintf(to, sizeof to, "%s/%s", test_temp_dir(), bt_fs_basename(from));
    assert_ok(bt_ckpt_open(from, &ckpt, err));
    float *const  params = read_flat(ckpt, model, NULL);
    float *const  m = read_flat(ckpt, model, "m");
    float *const  v = read_flat(ckpt, model, "v");
    float *const  average = ema ? read_flat(ckpt, model, "average") : NULL;
    bt_ckpt_train train = test_make_train(model, params, m, v, average);
    assert_ok(bt_ckpt_read_scalar(ckpt, "global_step", &train.global_step, &found, err));
    assert_ok(bt_ckpt_read_scalar(ckpt, "iterations", &train.iterations, &found, err));
    assert_ok(bt_ckpt_read_scalar(ckpt, "save_counter", &train.save_counter, &found, err));
    bt_ckpt_close(ckpt);
    assert_ok(bt_ckpt_write_train(to, &train, err));
    check_same_tensors(to, from);
    describe_graph(to, &got);
    describe_graph(from, &want);
    check_text(from, bt_str_text(&got), bt_str_text(&want));
    bt_str_deinit(&got);
    bt_str_deinit(&want);
    bt_free(params);
    bt_free(m);
    bt_free(v);
    bt_free(average);
}

static void test_shared_again(void **state) {
    (void)state;
    if (test_shared_path(GOLDENS) == NULL) {
        test_skip("no goldens of Model Garden here");
    }
    bt_model *const model = test_make_model(&test_golden_spec);
    check_again(test_shared_path(GOLDENS "train/adamw/ckpt-4"), model, false);
    check_again(test_shared_path(GOLDENS "train/ema/ckpt-4"), model, true);
    bt_model_free(model);
}

/* The same with those kept here, one of each kind of head. */
static void test_kept_again(void **state) {
    (void)state;
    static const char *const names[] = {"bert_span", "bert_v2_tagging_ema", "bert_dual",
                                        "albert_dense"};
    for (size_t n = 0; n < BT_ARRAY_LEN(names); n++) {
        for (size_t c = 0; c < test_n_graph_cases; c++) {
            if (bt_str_equal(test_graph_cases[c].name, names[n])) {
                char            path[TEST_PATH_MAX / 2];
                bt_model *const model = test_make_case_model(&test_graph_cases[c]);
                (void)snprintf(path, sizeof path, "tests/goldens/ckpt/%s/ckpt-2", names[n]);
                check_again(test_source_path(path), model, test_graph_cases[c].ema);
                bt_model_free(model);
                break;
            }
            assert_true(c + 1 < test_n_graph_cases);
        }
    }
}

typedef struct faulty_save {
    const char          *folder;
    char                 prefix[TEST_PATH_MAX];
    const bt_ckpt_train *train;
} faulty_save;

static bt_status save_as_work(void *context, bt_error *err) {
    const faulty_save *const save = context;
    return bt_ckpt_write_train(save->prefix, save->train, err);
}

/* Nothing temporary is left, and where there is an index, the checkpoint is whole. */
static void look_at_folder(void *context, bt_status rc) {
    const faulty_save *const save = context;
    bt_fs_names              names = BT_FS_NAMES_INIT;
    bt_ckpt                 *ckpt = NULL;
    assert_true(rc != BT_E_IO); /* it reads nothing */
    assert_ok(bt_fs_list(save->folder, &names, err));
    for (size_t i = 0; i < names.n; i++) {
        assert_null(strstr(names.items[i], ".tmp-"));
        if (bt_str_ends_with(names.items[i], ".index")) {
            assert_ok(bt_ckpt_open(save->prefix, &ckpt, err));
            assert_ok(bt_ckpt_verify(ckpt, err));
            bt_ckpt_close(ckpt);
        }
    }
    bt_fs_names_deinit(&names);
}

static void test_faults(void **state) {
    (void)state;
    bt_model *const     model = test_make_case_model(&test_graph_cases[1]);
    float *const        flat = test_fill_flat(model, 1);
    float *const        flats[] = {flat, flat, flat, flat};
    given_values        given = {.model = model, .flats = flats};
    const bt_ckpt_train whole = test_make_train(model, flat, flat, flat, flat);
    const bt_ckpt_train train = make_given(&whole, &given);
    faulty_save         save = {.folder = test_temp_dir(), .train = &train};
    const test_work     work = {.what = "saving",
                                .work = save_as_work,
                                .check = look_at_folder,
                                .context = &save,
                                .stride = 23};
    (void)snprintf(save.prefix, sizeof save.prefix, "%s/ckpt-4", save.folder);
    assert_true(test_every_fault(&work) > 0);
    bt_free(flat);
    bt_model_free(model);
}

/* Of a checkpoint whose values break off nothing stays. */
static void test_values_that_fail(void **state) {
    (void)state;
    char                prefix[TEST_PATH_MAX];
    const char *const   folder = test_temp_dir();
    bt_model *const     model = test_make_case_model(&test_graph_cases[1]);
    float *const        flat = test_fill_flat(model, 1);
    float *const        flats[] = {flat, flat, flat, flat};
    given_values        given = {.model = model, .flats = flats, .last = model->table.n_params};
    bt_fs_names         names = BT_FS_NAMES_INIT;
    const bt_ckpt_train whole = test_make_train(model, flat, flat, flat, flat);
    const bt_ckpt_train train = make_given(&whole, &given);
    (void)snprintf(prefix, sizeof prefix, "%s/ckpt-4", folder);
    assert_fails(bt_ckpt_write_train(prefix, &train, err), BT_E_FORMAT, "no ");
    assert_int_equal(given.n_calls, given.last - 1);
    assert_ok(bt_fs_list(folder, &names, err));
    assert_int_equal(names.n, 0);
    bt_fs_names_deinit(&names);
    bt_free(flat);
    bt_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_graphs),     cmocka_unit_test(test_read_back),
        cmocka_unit_test(test_kept_again), cmocka_unit_test(test_shared_again),
        cmocka_unit_test(test_faults),     cmocka_unit_test(test_values_that_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
