/* SPDX-License-Identifier: Apache-2.0
 *
 * Models of every kind that can be written as an ONNX graph, small, with numbers in all their
 * parameters, and a batch of sequences of several lengths. */
#ifndef BT_ONNX_CASES_H
#define BT_ONNX_CASES_H

#include "bt/model.h"

typedef struct onnx_case {
    const char     *name;
    bt_encoder_type type;
    int64_t         embedding_size;
    bt_activation   activation;
    bool            norm_first;
    bt_head_kind    head;
    bt_loss_kind    loss;
    int64_t         n_classes;
    bt_pooling      pooling;
    bool            normalize;
} onnx_case;

extern const onnx_case onnx_cases[];
extern const size_t    onnx_n_cases;

/* Both fail the running test, and are the caller's: bt_model_free, bt_free. */
bt_model             *onnx_case_model(const onnx_case *c);
float                *onnx_case_params(const bt_model *model);
extern const bt_batch onnx_case_batch;

#endif
