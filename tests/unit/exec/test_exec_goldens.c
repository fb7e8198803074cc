/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine against the real Model Garden (goldens/numerics): encoder outputs, logits, loss, every
 * gradient, and 20 updates with every variable and slot, through the code that training runs, under
 * every instruction set of this machine. Tolerances: goldens/numerics/MANIFEST.md. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "task_goldens.h"

/* ---- encoder ------------------------------------------------------------------------------------
 */

typedef struct encoder_row {
    const char     *name;
    bt_encoder_type type;
    int64_t         V, H, L, N, I, P, types, E, B, S;
    bt_activation   act;
    bool            norm_first;
} encoder_row;

enum { N_OWN_ENCODERS = 7 }; /* the first ones, which tests/goldens/model_garden holds */
static const encoder_row encoder_rows[] = {
    {"tiny", BT_ENCODER_BERT, 200, 32, 2, 4, 64, 64, 2, 32, 4, 16, BT_ACT_GELU, false},
    {"tiny_v2", BT_ENCODER_BERT_V2, 200, 32, 2, 4, 64, 64, 2, 32, 4, 16, BT_ACT_GELU, false},
    {"tiny_relu", BT_ENCODER_BERT, 200, 32, 2, 4, 64, 64, 2, 32, 3, 10, BT_ACT_RELU, false},
    {"tiny_norm_first", BT_ENCODER_BERT, 200, 32, 2, 4, 64, 64, 2, 32, 3, 10, BT_ACT_GELU, true},
    {"tiny_factorized", BT_ENCODER_BERT, 200, 32, 2, 4, 64, 64, 16, 16, 3, 10, BT_ACT_GELU, false},
    {"tiny_mask_hole", BT_ENCODER_BERT, 200, 32, 2, 4, 64, 64, 2, 32, 3, 10, BT_ACT_GELU, false},
    {"tiny_uneven_h48", BT_ENCODER_BERT, 120, 48, 3, 4, 96, 40, 2, 48, 8, 24, BT_ACT_GELU, false},
    {"base_1layer", BT_ENCODER_BERT, 200, 768, 1, 12, 1024, 128, 2, 768, 2, 128, BT_ACT_GELU,
     false},
};

static void compare_encoder(fixture *f, const test_tensors *golden, const encoder_row *row,
                            const char *isa, bool drop) {
    static fixture_batch batch;
    fixture_pack(&batch, test_tensors_i32(golden, "in/input_word_ids", NULL),
                 test_tensors_i32(golden, "in/input_mask", NULL),
                 test_tensors_i32(golden, "in/input_type_ids", NULL), row->B, row->S, drop);
    float *const hidden = bt_alloc_array((size_t)(batch.batch.n_tokens * row->H), sizeof *hidden);
    float *const pooled = bt_alloc_array((size_t)(row->B * row->H), sizeof *pooled);
    assert_non_null(hidden);
    assert_non_null(pooled);
    for (int64_t layer = -1; layer < row->L; layer++) {
        char name[64];
        char what[256];
        (void)snprintf(name, sizeof name, "out/layer_%" PRId64, layer);
        const bool        last = layer == row->L - 1;
        const char *const key = layer < 0 ? "out/embedding_output" : name;
        assert_ok(bt_exec_encode(f->exec, &batch.batch, layer, hidden, last ? pooled : NULL, err));
        (void)snprintf(what, sizeof what, "%s %s %s %s", row->name, isa, drop ? "packed" : "padded",
                       key);
        if (test_tensors_has(golden, key)) {
            task_compare_rows(&batch, hidden, test_tensors_f32(golden, key, NULL), row->H, what);
        }
    }
    task_compare_rows(&batch, hidden, test_tensors_f32(golden, "out/sequence_output", NULL), row->H,
                      "sequence_output");
    test_close_f32(pooled, test_tensors_f32(golden, "out/pooled_output", NULL),
                   (size_t)(row->B * row->H), 1e-5, 0, "pooled_output");
    bt_free(hidden);
    bt_free(pooled);
}

static void run_encoder(const encoder_row *row, const char *isa) {
    char path[256];
    (void)snprintf(path, sizeof path, "goldens/numerics/encoder/%s.safetensors", row->name);
    test_tensors *const     golden = test_tensors_open(test_shared_path(path));
    const bt_encoder_config encoder = {.type = row->type,
                                       .vocab_size = row->V,
                                       .hidden_size = row->H,
                                       .embedding_size = row->E,
                                       .num_layers = row->L,
                                       .num_attention_heads = row->N,
                                       .intermediate_size = row->I,
                                       .max_position_embeddings = row->P,
                                       .type_vocab_size = row->types,
                                       .hidden_activation = row->act,
                                       .norm_first = row->norm_first};
    const bt_head_config    head = {.kind = BT_HEAD_POOLED_OUTPUT, .loss = BT_LOSS_NONE};
    fixture                 f;
    fixture_open(&f, &encoder, &head, NULL, isa, 2);
    fixture_load(&f, golden, "w/");
    compare_encoder(&f, golden, row, isa, false);
    compare_encoder(&f, golden, row, isa, true);
    fixture_close(&f);
    test_tensors_close(golden);
}

static void run_encoders(size_t first, size_t n) {
    for (const char *const *isa = fixture_isas(); *isa != NULL; isa++) {
        for (size_t i = first; i < first + n; i++) {
            run_encoder(&encoder_rows[i], *isa);
        }
    }
}

static void encoder_outputs_match(void **state) {
    (void)state;
    run_encoders(0, N_OWN_ENCODERS);
}

static void outputs_of_other_encoders_match(void **state) {
    (void)state;
    if (test_shared_path("goldens/numerics/tasks") == NULL) {
        test_skip("the folder of Model Garden's other goldens is absent");
    }
    run_encoders(N_OWN_ENCODERS, BT_ARRAY_LEN(encoder_rows) - N_OWN_ENCODERS);
}

/* ---- tasks
 * ---------------------------------------------------------------------------------------- */

static void run_task(const task_row *row, const char *isa, bool trajectory, int64_t part_seqs) {
    static task_case c;
    task_case_open(&c, row, isa, trajectory, part_seqs);
    if (trajectory) {
        task_run_trajectory(&c);
    } else {
        task_run_layers(&c);
        task_run_gradients(&c);
    }
    task_case_close(&c);
}

/* May the batch be worked on in parts? Then Model Garden's numbers for the whole batch come out. */
static bool adds_up(const task_row *row) {
    return row->head.loss != BT_LOSS_RANKING;
}

static void run_shared_tasks(bool trajectory) {
    if (test_shared_path("goldens/numerics/tasks") == NULL) {
        test_skip("the folder of Model Garden's goldens is absent");
    }
    for (const char *const *isa = fixture_isas(); *isa != NULL; isa++) {
        for (size_t i = 0; i < n_task_rows; i++) {
            run_task(&task_rows[i], *isa, trajectory, 0);
            if (adds_up(&task_rows[i])) {
                run_task(&task_rows[i], *isa, trajectory, 2);
            }
        }
    }
}

static void gradients_match(void **state) {
    (void)state;
    run_shared_tasks(false);
}

static void trajectories_match(void **state) {
    (void)state;
    run_shared_tasks(true);
}

static void own_goldens_match(void **state) {
    (void)state;
    for (const char *const *isa = fixture_isas(); *isa != NULL; isa++) {
        for (size_t i = 0; i < n_own_rows; i++) {
            for (int64_t part_seqs = 0; part_seqs < (adds_up(&own_rows[i]) ? 3 : 1); part_seqs++) {
                run_task(&own_rows[i], *isa, false, part_seqs);
                run_task(&own_rows[i], *isa, true, part_seqs);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_goldens_match),
        cmocka_unit_test(encoder_outputs_match),
        cmocka_unit_test(outputs_of_other_encoders_match),
        cmocka_unit_test(gradients_match),
        cmocka_unit_test(trajectories_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
