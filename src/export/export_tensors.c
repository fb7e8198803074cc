/* SPDX-License-Identifier: Apache-2.0
 *
 * A model's variables as the tensors of transformers: which there are, their names and shapes.
 * Dense kernels are [out,in] there, with the heads together. Of two poolers the one that the head
 * reads is written; a model that has none there gets none. */
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "export_internal.h"

bt_ckpt_encoder export_encoder(const bt_export_source *source) {
    return source->model->encoder.type == BT_ENCODER_ALBERT ? BT_CKPT_ALBERT : BT_CKPT_BERT;
}

/* What the layer after the encoder is called there; NULL: a bare encoder. */
static const char *head_name(const bt_export_source *source) {
    switch (source->kind) {
    case BT_EXPORT_CLASSES:
    case BT_EXPORT_LABELS:
    case BT_EXPORT_SCORE:
    case BT_EXPORT_TAGS:
        return "classifier";
    case BT_EXPORT_ANSWERS:
        return "qa_outputs";
    case BT_EXPORT_VECTORS:
        return NULL;
    }
    return NULL;
}

/* Models for tags and answers have no pooler there. */
static bool is_left_out(const bt_export_source *source, int64_t index) {
    const bt_model *const model = source->model;
    const bool            is_encoders =
        index == model->pooler_transform.kernel || index == model->pooler_transform.bias;
    const bool is_per_token = source->kind == BT_EXPORT_TAGS || source->kind == BT_EXPORT_ANSWERS;
    if (model->table.params[index].is_adapter) { /* merged, or in a file of their own */
        return true;
    }
    return is_encoders && (is_per_token || model->head_pooler.kernel >= 0);
}

/* How many of a kernel's dims are its input's: [H,NH,D] and [H,I] one, [NH,D,H] two. */
static int32_t n_inputs(const bt_param *param) {
    return param->rank == 3 && strstr(param->name, "attention_output/") != NULL ? 2 : 1;
}

static void set_shape(export_tensor *tensor, const bt_param *param) {
    const int32_t n_in = tensor->transpose ? n_inputs(param) : 1;
    int64_t       in = 1;
    int64_t       out = 1;
    for (int32_t i = 0; i < param->rank; i++) {
        *(i < n_in ? &in : &out) *= param->dim[i];
    }
    /* a bias of heads [NH,D] is [NH*D] there */
    const bool is_flat = !tensor->transpose && strstr(param->name, "/bias") != NULL;
    tensor->rank = param->rank == 1 || is_flat ? 1 : 2;
    tensor->dim[0] = tensor->rank == 1 ? param->n_elements : tensor->transpose ? out : in;
    tensor->dim[1] = tensor->rank == 1 ? 0 : tensor->transpose ? in : out;
    tensor->n_elements = param->n_elements;
}

static export_tensor *add(export_tensors *tensors, bt_error *err) {
    if (bt_grow(&tensors->items, &tensors->cap, tensors->n + 1, sizeof *tensors->items, 1 << 20,
                err) != BT_OK) {
        return NULL;
    }
    tensors->items[tensors->n] = (export_tensor){.param = NULL};
    return &tensors->items[tensors->n++];
}

bt_status export_tensors_add(const bt_export_source *source, int64_t index, export_tensors *tensors,
                             bt_error *err) {
    const bt_param *const param = &source->model->table.params[index];
    export_tensor *const  tensor = add(tensors, err);
    if (tensor == NULL) {
        return BT_E_NOMEM;
    }
    if (!bt_ckpt_hf_name(export_encoder(source), param->name, head_name(source), tensor->name,
                         &tensor->transpose)) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "the variable %s has no counterpart in transformers: this model cannot be "
                       "exported in this format",
                       param->name);
    }
    tensor->param = param;
    set_shape(tensor, param);
    return BT_OK;
}

/* An ALBERT there always has a layer between embeddings and encoder; where both are as wide ours
 * has none, which the identity computes to the last bit. */
static bt_status add_identity(const bt_export_source *source, export_tensors *tensors,
                              bt_error *err) {
    static const char *const names[] = {"embedding_projection/kernel", "embedding_projection/bias"};
    const int64_t            width = source->model->encoder.hidden_size;
    for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) {
        export_tensor *const tensor = add(tensors, err);
        if (tensor == NULL) {
            return BT_E_NOMEM;
        }
        const bool is_known = bt_ckpt_hf_name(BT_CKPT_ALBERT, names[i], head_name(source),
                                              tensor->name, &tensor->transpose);
        BT_ASSERT(is_known);
        (void)is_known;
        tensor->transpose = false;
        tensor->rank = i == 0 ? 2 : 1;
        tensor->dim[0] = width;
        tensor->dim[1] = i == 0 ? width : 0;
        tensor->n_elements = i == 0 ? width * width : width;
    }
    return BT_OK;
}

bt_status export_tensors_make(const bt_export_source *source, export_tensors *out, bt_error *err) {
    const bt_model *const model = source->model;
    bt_status             rc = BT_OK;
    *out = (export_tensors){.n = 0};
    for (int64_t i = 0; i < model->table.n_params; i++) {
        if (!is_left_out(source, i)) {
            BT_CHECK(export_tensors_add(source, i, out, err));
        }
    }
    if (export_encoder(source) == BT_CKPT_ALBERT && model->embedding_projection.kernel < 0) {
        BT_CHECK(add_identity(source, out, err));
    }
done:
    if (rc != BT_OK) {
        export_tensors_deinit(out);
    }
    return rc;
}

void export_tensors_deinit(export_tensors *tensors) {
    bt_free(tensors->items);
    *tensors = (export_tensors){.n = 0};
}

void export_tensor_fill(const export_tensor *tensor, const float *params, float *dst) {
    if (tensor->param == NULL) {
        memset(dst, 0, (size_t)tensor->n_elements * sizeof *dst);
        for (int64_t i = 0; tensor->rank == 2 && i < tensor->dim[0]; i++) {
            dst[i * tensor->dim[1] + i] = 1;
        }
        return;
    }
    const float *const from = params + tensor->param->offset;
    if (!tensor->transpose || tensor->rank == 1) {
        memcpy(dst, from, (size_t)tensor->n_elements * sizeof *dst);
        return;
    }
    const int64_t n_out = tensor->dim[0];
    const int64_t n_in = tensor->dim[1];
    for (int64_t o = 0; o < n_out; o++) {
        for (int64_t i = 0; i < n_in; i++) {
            dst[o * n_in + i] = from[i * n_out + o];
        }
    }
}
