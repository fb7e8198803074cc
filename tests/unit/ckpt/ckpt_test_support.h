/* SPDX-License-Identifier: Apache-2.0
 *
 * Models of the sizes that the checkpoint tests use, and the values that they put into them. */
#ifndef BT_CKPT_TEST_SUPPORT_H
#define BT_CKPT_TEST_SUPPORT_H

#include "bt/ckpt.h"
#include "bt/model.h"

typedef struct test_model_spec {
    bt_encoder_type type;
    int64_t         n_layers;
    int64_t         vocab_size;
    int64_t         hidden_size;
    int64_t         embedding_size;
    int64_t         n_heads;
    int64_t         intermediate_size;
    int64_t         n_positions;
    int64_t         n_classes;
    bt_head_kind    head; /* 0: a sentence head with its own pooler */
    bt_loss_kind    loss; /* 0 (none): as the kind of head wants, tokens: tagging */
    bool            normalize;
} test_model_spec;

/* The model behind Model Garden's checkpoints (goldens/numerics/checkpoints). */
extern const test_model_spec test_golden_spec;
/* The small one of tests/goldens/ckpt and of the test with the real TensorFlow. */
extern const test_model_spec test_small_spec;

/* The cases of tests/goldens/ckpt, by the names of make_ckpt_goldens.py. */
typedef struct test_graph_case {
    const char     *name;
    bt_encoder_type type;
    int64_t         embedding_size;
    bt_head_kind    head;
    bt_loss_kind    loss;
    bool            normalize;
    bool            ema;
} test_graph_case;
extern const test_graph_case test_graph_cases[];
extern const size_t          test_n_graph_cases;
bt_model                    *test_make_case_model(const test_graph_case *c);

bt_model *test_make_model(const test_model_spec *spec); /* fails the test on error */
/* [table.n_elements], every element another value that float32 holds exactly; the gaps are 0. */
float *test_fill_flat(const bt_model *model, int64_t seed);
/* What test_fill_flat puts at element i of parameter number p. */
float test_value(int64_t seed, int64_t p, int64_t i);

/* All of a training checkpoint from flat buffers that live as long as train is used. */
bt_ckpt_train test_make_train(const bt_model *model, const float *params, const float *m,
                              const float *v, const float *average);

#endif
