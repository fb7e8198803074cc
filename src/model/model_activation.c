/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of hidden activations, as Model Garden's encoders take them. */
#include "bt/base/str.h"
#include "bt/model.h"

typedef struct activation_row {
    const char   *name;
    bt_activation value;
} activation_row;

static const activation_row activation_rows[] = {
    {"gelu", BT_ACT_GELU},         /* what Model Garden means by it */
    {"gelu_erf", BT_ACT_GELU_ERF}, /* ours: what Hugging Face means by gelu */
    {"relu", BT_ACT_RELU},          {"relu6", BT_ACT_RELU6},     {"tanh", BT_ACT_TANH},
    {"simple_swish", BT_ACT_SWISH}, {"swish", BT_ACT_SWISH},     {"hard_swish", BT_ACT_HARD_SWISH},
    {"mish", BT_ACT_MISH},          {"sigmoid", BT_ACT_SIGMOID}, {"identity", BT_ACT_IDENTITY},
    {"linear", BT_ACT_IDENTITY},
};

bt_status bt_activation_from_name(const char *name, bt_activation *out, bt_error *err) {
    for (size_t i = 0; i < BT_ARRAY_LEN(activation_rows); i++) {
        if (bt_str_equal_nocase(name, activation_rows[i].name)) {
            *out = activation_rows[i].value;
            return BT_OK;
        }
    }
    return BT_FAIL(
        err, BT_E_UNSUPPORTED,
        "hidden_activation: expected one of gelu, gelu_erf, relu, relu6, tanh, simple_swish, "
        "swish, hard_swish, mish, sigmoid, identity, linear; got '%s'",
        name);
}

const char *bt_activation_name(bt_activation activation) {
    for (size_t i = 0; i < BT_ARRAY_LEN(activation_rows); i++) {
        if (activation_rows[i].value == activation) {
            return activation_rows[i].name;
        }
    }
    return "unknown";
}
