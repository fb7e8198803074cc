/* SPDX-License-Identifier: Apache-2.0
 *
 * Work grows as the input does: four times as many names, tensors, nodes, children, slots take
 * about four times the processor time, on whatever machine. Work in the square of the input takes
 * sixteen times as much, and at these sizes more than anything else that is done. BT_LONG_TESTS=1:
 * 125,000 and 500,000 of each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bt/base/alloc.h"
#include "bt/base/bytes.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "bt/tensor.h"
#include "bt/wire/bundle.h"
#include "bt/wire/object_graph.h"
#include "ckpt_test_support.h"
#include "test_support.h"

enum { SMALL = 10000, LONG_SMALL = 125000, TIMES = 4, TRIES = 3 };
static const double most = 8; /* between TIMES and its square */

static double cpu_seconds(void) {
    return (double)clock() / CLOCKS_PER_SEC;
}

typedef struct scale {
    bt_model     *model;
    float        *flat;
    bt_ckpt_train train;
    const char   *folder;
} scale;

static void make_path(const scale *s, const char *name, char path[TEST_PATH_MAX]) {
    (void)snprintf(path, TEST_PATH_MAX, "%s/%s", s->folder, name);
}

/* Names that no file belongs to; all of them are dropped by the save. */
static void make_names(const scale *s, size_t n) {
    bt_str text = BT_STR_INIT;
    char   path[TEST_PATH_MAX];
    for (size_t i = 0; i < n; i++) {
        assert_ok(bt_str_appendf(&text, err, "all_model_checkpoint_paths: \"ckpt-%zu\"\n", i + 9));
    }
    assert_ok(bt_str_append(&text, "model_checkpoint_path: \"ckpt-9\"\n", err));
    make_path(s, "checkpoint", path);
    test_write_file(path, text.data, text.len);
    bt_str_deinit(&text);
}

static void use_names(const scale *s) {
    bt_ckpt_manager *manager = NULL;
    assert_ok(bt_ckpt_manager_open(s->folder, 2, &manager, err));
    assert_ok(bt_ckpt_manager_save(manager, "ckpt-5", &s->train, err));
    bt_ckpt_manager_close(manager);
}

static void make_safetensors(const scale *s, size_t n) {
    bt_str  text = BT_STR_INIT;
    uint8_t length[8];
    char    path[TEST_PATH_MAX];
    assert_ok(bt_str_append_n(&text, "\0\0\0\0\0\0\0\0{", 9, err));
    for (size_t i = 0; i < n; i++) {
        assert_ok(bt_str_appendf(&text, err,
                                 "%s\"t%zu\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[%zu,"
                                 "%zu]}",
                                 i > 0 ? "," : "", i, i, i + 1));
    }
    assert_ok(bt_str_append(&text, "}", err));
    bt_store_u64le(length, text.len - 8);
    memcpy(text.data, length, sizeof length);
    for (size_t i = 0; i < n; i++) {
        assert_ok(bt_str_append_char(&text, 'x', err));
    }
    make_path(s, "large.safetensors", path);
    test_write_file(path, text.data, text.len);
    bt_str_deinit(&text);
}

static void open_and_close(const scale *s, const char *name) {
    bt_ckpt *ckpt = NULL;
    char     path[TEST_PATH_MAX];
    make_path(s, name, path);
    assert_ok(bt_ckpt_open(path, &ckpt, err));
    assert_int_equal(bt_ckpt_find_tensor(ckpt, "no such name"), -1);
    bt_ckpt_close(ckpt);
}

static void use_safetensors(const scale *s) {
    open_and_close(s, "large.safetensors");
}

/* A bundle of n scalars "vI", with the graph in it, or without one when it is NULL. */
static void make_bundle(const scale *s, size_t n, const bt_graph *graph) {
    bt_bundle_writer *writer = NULL;
    char              path[TEST_PATH_MAX];
    make_path(s, "large", path);
    assert_ok(bt_bundle_writer_create(path, &writer, err));
    for (size_t i = 0; i < n; i++) {
        char        name[32];
        const float value = 1.0F;
        (void)snprintf(name, sizeof name, "v%07zu", i);
        assert_ok(bt_bundle_add(writer, name, BT_DTYPE_F32, 0, NULL, &value, err));
    }
    if (graph != NULL) {
        bt_str text = BT_STR_INIT;
        assert_ok(bt_graph_serialize(graph, &text, err));
        const bt_bytes value = {(const uint8_t *)text.data, text.len};
        assert_ok(bt_bundle_add_strings(writer, BT_BUNDLE_GRAPH_KEY, 0, NULL, &value, err));
        bt_str_deinit(&text);
    }
    assert_ok(bt_bundle_writer_commit(&writer, err));
}

static void make_tensors(const scale *s, size_t n) {
    make_bundle(s, n, NULL);
}

static void use_bundle(const scale *s) {
    open_and_close(s, "large");
}

/* A root with n children, each a variable of its own Keras name and with a slot of the root. With
 * an encoder the children are layers of it, which are looked up one after another. */
static void make_graph(const scale *s, size_t n, bool has_encoder) {
    typedef struct row {
        char               name[48];
        char               key[16];
        bt_graph_attribute attribute;
    } row;
    bt_graph_node *const  nodes = bt_calloc_array(n + 2, sizeof *nodes);
    bt_graph_child *const children = bt_calloc_array(n + 1, sizeof *children);
    bt_graph_slot *const  slots = bt_calloc_array(n + 1, sizeof *slots);
    row *const            rows = bt_calloc_array(n + 1, sizeof *rows);
    bt_graph_child        encoder = {.node = 1, .name = "encoder"};
    assert_true(nodes != NULL && children != NULL && slots != NULL && rows != NULL);
    for (size_t i = 0; i < n; i++) {
        row *const r = &rows[i];
        (void)snprintf(r->name, sizeof r->name, "layer_with_weights-%zu", i);
        (void)snprintf(r->key, sizeof r->key, "v%07zu", i);
        r->attribute = (bt_graph_attribute){"VARIABLE_VALUE", r->name, r->key};
        children[i] = (bt_graph_child){.node = (int32_t)i + 2, .name = r->name};
        slots[i] = (bt_graph_slot){(int32_t)i + 2, "m", (int32_t)(n - 1 - i) + 2};
        nodes[i + 2] =
            (bt_graph_node){.attributes = &r->attribute, .n_attributes = 1, .has_values = -1};
    }
    nodes[0] = (bt_graph_node){.slots = slots, .n_slots = n, .has_values = -1};
    nodes[1] = (bt_graph_node){.children = children, .n_children = n, .has_values = -1};
    nodes[0].children = has_encoder ? &encoder : children;
    nodes[0].n_children = has_encoder ? 1 : n;
    const bt_graph graph = {.nodes = nodes, .n_nodes = n + 2};
    make_bundle(s, n, &graph);
    bt_free(nodes);
    bt_free(children);
    bt_free(slots);
    bt_free(rows);
}

static void make_variables(const scale *s, size_t n) {
    make_graph(s, n, false);
}

static void make_layers(const scale *s, size_t n) {
    make_graph(s, n, true);
}

typedef struct scale_row {
    const char *what;
    void (*make)(const scale *s, size_t n);
    void (*use)(const scale *s);
} scale_row;

static const scale_row scale_rows[] = {
    {"names in the state file", make_names, use_names},
    {"tensors of a safetensors file", make_safetensors, use_safetensors},
    {"entries of a bundle's index", make_tensors, use_bundle},
    {"variables of an object graph, with slots", make_variables, use_bundle},
    {"layers of an encoder in an object graph", make_layers, use_bundle},
};

static double fastest(const scale *s, const scale_row *row, size_t n) {
    double best = 1e9;
    for (int i = 0; i < TRIES; i++) {
        row->make(s, n);
        const double start = cpu_seconds();
        row->use(s);
        const double took = cpu_seconds() - start;
        best = took < best ? took : best;
    }
    return best;
}

static void test_growth(void **state) {
    (void)state;
    const char *const asked = getenv("BT_LONG_TESTS");
    const size_t      n = asked != NULL && strcmp(asked, "1") == 0 ? LONG_SMALL : SMALL;
    scale             s = {.model = test_make_model(&test_small_spec), .folder = test_temp_dir()};
    s.flat = test_fill_flat(s.model, 1);
    s.train = test_make_train(s.model, s.flat, s.flat, s.flat, NULL);
    for (size_t i = 0; i < BT_ARRAY_LEN(scale_rows); i++) {
        const scale_row *const row = &scale_rows[i];
        const double           small = fastest(&s, row, n);
        const double           large = fastest(&s, row, TIMES * n);
        print_message("%s: %.1f ms for %zu, %.1f ms for %zu\n", row->what, small * 1e3, n,
                      large * 1e3, TIMES * n);
        if (large > most * small) {
            fail_msg("%s: %d times as many take %.1f times the time", row->what, TIMES,
                     large / small);
        }
    }
    bt_free(s.flat);
    bt_model_free(s.model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_growth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
