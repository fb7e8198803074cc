/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading tensors and logical variables: shapes are compared first, then the values are read
 * straight into the caller's buffer, or through a second one where they must be converted or
 * transposed. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/bf16.h"
#include "bt/base/bytes.h"
#include "bt/base/half.h"
#include "bt/base/number.h"
#include "ckpt_internal.h"

static size_t place_key(const char *name, const char *slot, char key[CKPT_NAME_MAX]) {
    const int n = slot == NULL ? snprintf(key, CKPT_NAME_MAX, "%s", name)
                               : snprintf(key, CKPT_NAME_MAX, "%s\x01%s", name, slot);
    return n < 0 ? 0 : (size_t)n < CKPT_NAME_MAX ? (size_t)n : CKPT_NAME_MAX - 1;
}

const ckpt_place *ckpt_find_place(const bt_ckpt *ckpt, const char *name, const char *slot) {
    char         key[CKPT_NAME_MAX];
    const size_t n = place_key(name, slot, key);
    int64_t      index = -1;
    return bt_map_get(ckpt->place_index, key, n, &index) ? &ckpt->places[index] : NULL;
}

bt_status ckpt_add_place(bt_ckpt *ckpt, const char *name, const char *slot, int64_t tensor,
                         bool transpose, bt_error *err) {
    if (ckpt_find_place(ckpt, name, slot) != NULL) {
        return BT_OK;
    }
    char         key[CKPT_NAME_MAX];
    const size_t n = place_key(name, slot, key);
    BT_TRY(bt_grow(&ckpt->places, &ckpt->cap_places, ckpt->n_places + 1, sizeof *ckpt->places,
                   SIZE_MAX / 64, err));
    ckpt->places[ckpt->n_places] = (ckpt_place){.tensor = tensor, .transpose = transpose};
    BT_TRY(bt_map_put(ckpt->place_index, key, n, (int64_t)ckpt->n_places, err));
    ckpt->n_places++;
    ckpt->n_adapters += slot == NULL && bt_str_ends_with(name, CKPT_ADAPTER_END);
    return BT_OK;
}

int64_t bt_ckpt_find_variable(const bt_ckpt *ckpt, const char *name, const char *slot) {
    const ckpt_place *const place = ckpt_find_place(ckpt, name, slot);
    return place == NULL ? -1 : place->tensor;
}

bt_status bt_ckpt_read_tensor(bt_ckpt *ckpt, size_t i, void *dst, size_t n_bytes, bt_error *err) {
    BT_ASSERT(i < ckpt->n_tensors);
    if (ckpt->st_places != NULL) {
        return bt_safetensors_read(ckpt->st_places[i].file, ckpt->st_places[i].entry, dst, n_bytes,
                                   err);
    }
    return bt_bundle_read(ckpt->bundle, bt_bundle_entry_at(ckpt->bundle, i), dst, n_bytes, err);
}

bt_status bt_ckpt_verify(bt_ckpt *ckpt, bt_error *err) {
    if (ckpt->bundle != NULL) {
        return bt_bundle_verify(ckpt->bundle, err);
    }
    for (size_t i = 0; i < ckpt->n_tensors; i++) {
        const bt_st_entry *const e = ckpt->st_places[i].entry;
        void *const              bytes = bt_alloc((size_t)e->n_bytes);
        if (bytes == NULL) {
            return BT_FAIL(err, BT_E_NOMEM, "%s: out of memory for %s", ckpt->path, e->name);
        }
        const bt_status rc =
            bt_safetensors_read(ckpt->st_places[i].file, e, bytes, (size_t)e->n_bytes, err);
        bt_free(bytes);
        BT_TRY(rc);
    }
    return BT_OK;
}

static float element_as_float(const void *data, bt_dtype dtype, size_t i) {
    if (dtype == BT_DTYPE_F64) {
        double value = 0;
        memcpy(&value, (const char *)data + i * sizeof value, sizeof value);
        return (float)value;
    }
    uint16_t half = 0;
    memcpy(&half, (const char *)data + i * sizeof half, sizeof half);
    if (dtype == BT_DTYPE_F16) {
        return bt_half_to_float(half);
    }
    return bt_bf16_widen(half);
}

static bool is_float_dtype(bt_dtype dtype) {
    return dtype == BT_DTYPE_F32 || dtype == BT_DTYPE_F64 || dtype == BT_DTYPE_F16 ||
           dtype == BT_DTYPE_BF16;
}

/* dst [n] from raw [n] of dtype; with rows > 0 raw is [cols][rows] and dst [rows][cols]. */
static void convert(float *dst, const void *raw, bt_dtype dtype, size_t n, size_t rows,
                    size_t cols) {
    for (size_t i = 0; i < n; i++) {
        const size_t source = rows == 0 ? i : i % cols * rows + i / cols;
        if (dtype == BT_DTYPE_F32) {
            memcpy(&dst[i], (const char *)raw + source * sizeof dst[i], sizeof dst[i]);
        } else {
            dst[i] = element_as_float(raw, dtype, source);
        }
    }
}

/* Are the param's dims the file's dims, or, in layouts that keep heads together, a split of them?
 * [H,NH,D] is stored as [H,NH*D], [NH,D,H] as [NH*D,H]. */
static bool shapes_agree(const bt_param *param, const int64_t *dims, int32_t rank, bool may_split) {
    int32_t at = 0;
    for (int32_t i = 0; i < rank; i++) {
        if (at >= param->rank) {
            return false;
        }
        int64_t product = param->dim[at++];
        while (may_split && product < dims[i] && at < param->rank) {
            product *= param->dim[at++]; /* cannot overflow: a part of n_elements */
        }
        if (product != dims[i]) {
            return false;
        }
    }
    return at == param->rank;
}

static bt_status check_place(const bt_ckpt *ckpt, const bt_param *param, const char *slot,
                             const ckpt_place *place, bt_error *err) {
    if (place == NULL) {
        return BT_FAIL(err, BT_E_FORMAT, "%s: no variable %s%s%s", ckpt->path, param->name,
                       slot != NULL ? ", slot " : "", slot != NULL ? slot : "");
    }
    const bt_ckpt_tensor *const tensor = &ckpt->tensors[place->tensor];
    if (!is_float_dtype(tensor->dtype)) {
        return BT_FAIL(err, BT_E_FORMAT, "%s: %s is %s, expected floating point values", ckpt->path,
                       tensor->name, bt_dtype_name(tensor->dtype));
    }
    int64_t dims[2] = {0};
    if (place->transpose && tensor->rank == 2) {
        dims[0] = tensor->dim[1];
        dims[1] = tensor->dim[0];
    }
    const int64_t *const shown = place->transpose && tensor->rank == 2 ? dims : tensor->dim;
    if (!shapes_agree(param, shown, tensor->rank, ckpt->layout != BT_CKPT_TF2)) {
        char has[BT_DIMS_TEXT_MAX];
        char wants[BT_DIMS_TEXT_MAX];
        return BT_FAIL(err, BT_E_SHAPE, "%s: the file has %s, the model wants %s%s", tensor->name,
                       bt_dims_text(tensor->dim, tensor->rank, has),
                       bt_dims_text(param->dim, param->rank, wants),
                       param->is_word_embedding
                           ? " (the size of the vocabulary or of the embedding differs)"
                           : "");
    }
    return BT_OK;
}

bt_status bt_ckpt_check_variable(bt_ckpt *ckpt, const bt_param *param, bt_error *err) {
    return check_place(ckpt, param, NULL, ckpt_find_place(ckpt, param->name, NULL), err);
}

bt_status bt_ckpt_read_variable(bt_ckpt *ckpt, const bt_param *param, const char *slot, float *dst,
                                bt_error *err) {
    const ckpt_place *const place = ckpt_find_place(ckpt, param->name, slot);
    BT_TRY(check_place(ckpt, param, slot, place, err));
    const bt_ckpt_tensor *const tensor = &ckpt->tensors[place->tensor];
    const size_t                n = (size_t)tensor->n_elements;
    const size_t                index = (size_t)place->tensor;
    if (tensor->dtype == BT_DTYPE_F32 && !place->transpose) {
        return bt_ckpt_read_tensor(ckpt, index, dst, n * sizeof *dst, err);
    }
    const size_t element_bytes = bt_dtype_size(tensor->dtype);
    void *const  raw = bt_alloc_array(n, element_bytes);
    if (raw == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "%s: out of memory for %s", ckpt->path, tensor->name);
    }
    const bt_status rc = bt_ckpt_read_tensor(ckpt, index, raw, n * element_bytes, err);
    if (rc == BT_OK) {
        const bool is_matrix = place->transpose && tensor->rank == 2;
        convert(dst, raw, tensor->dtype, n, is_matrix ? (size_t)tensor->dim[1] : 0,
                is_matrix ? (size_t)tensor->dim[0] : 0);
    }
    bt_free(raw);
    return rc;
}

bt_status bt_ckpt_read_weight(bt_ckpt *ckpt, const bt_param *param, const char *slot, float *dst,
                              bt_error *err) {
    BT_TRY(bt_ckpt_read_variable(ckpt, param, slot, dst, err));
    const int64_t at = bt_f32_find_odd(dst, param->n_elements);
    return at < 0 ? BT_OK
                  : BT_FAIL(err, BT_E_FORMAT,
                            "%s: %s%s%s holds %g (number %" PRId64 " of %" PRId64
                            "), not a finite number: the file is damaged, or the training that "
                            "wrote it diverged; take another checkpoint",
                            ckpt->path, param->name, slot != NULL ? " slot " : "",
                            slot != NULL ? slot : "", (double)dst[at], at + 1, param->n_elements);
}

/* The node of "global_step", "save_counter" or "iterations"; -1: not there. */
static int32_t scalar_node(const bt_ckpt *ckpt, const char *name) {
    if (!bt_str_equal(name, "iterations")) {
        return bt_graph_child_node(&ckpt->graph, 0, name);
    }
    const int32_t optimizer = bt_graph_child_node(&ckpt->graph, 0, "optimizer");
    if (optimizer < 0) {
        return -1;
    }
    const int32_t inner = bt_graph_child_node(&ckpt->graph, optimizer, "ema_base_optimizer");
    return bt_graph_child_node(&ckpt->graph, inner >= 0 ? inner : optimizer, "iter");
}

bt_status bt_ckpt_read_scalar(bt_ckpt *ckpt, const char *name, int64_t *value, bool *found,
                              bt_error *err) {
    *found = false;
    int64_t tensor = -1;
    if (ckpt->layout == BT_CKPT_TF2) {
        const int32_t     node = scalar_node(ckpt, name);
        const char *const key = node < 0 ? NULL : bt_graph_variable_key(&ckpt->graph, node);
        tensor = key == NULL ? -1 : bt_ckpt_find_tensor(ckpt, key);
    } else {
        tensor = bt_ckpt_find_tensor(ckpt, name);
    }
    if (tensor < 0) {
        return BT_OK;
    }
    const bt_ckpt_tensor *const t = &ckpt->tensors[tensor];
    if (t->dtype != BT_DTYPE_I64 || t->n_elements != 1) {
        return BT_FAIL(err, BT_E_FORMAT, "%s: %s is %s of %" PRId64 " values, expected one int64",
                       ckpt->path, t->name, bt_dtype_name(t->dtype), t->n_elements);
    }
    BT_TRY(bt_ckpt_read_tensor(ckpt, (size_t)tensor, value, sizeof *value, err));
    *found = true;
    return BT_OK;
}

static bt_status read_own(bt_ckpt *ckpt, const char *key, bt_str *bytes, bool *found,
                          bt_error *err) {
    *found = false;
    const bt_bundle_entry *const entry =
        ckpt->bundle == NULL ? NULL : bt_bundle_find(ckpt->bundle, key);
    if (entry == NULL) {
        return BT_OK;
    }
    if (entry->dtype != BT_DTYPE_STRING || entry->n_elements != 1) {
        return BT_FAIL(err, BT_E_FORMAT, "%s: %s is not a scalar string", ckpt->path, key);
    }
    bt_bytes *values = NULL;
    BT_TRY(bt_bundle_read_strings(ckpt->bundle, entry, &values, err));
    const bt_status rc = bt_str_append_n(bytes, values[0].data, values[0].n_bytes, err);
    bt_free(values);
    *found = rc == BT_OK;
    return rc;
}

bt_status bt_ckpt_read_state(bt_ckpt *ckpt, bt_str *bytes, bool *found, bt_error *err) {
    return read_own(ckpt, BT_CKPT_STATE_KEY, bytes, found, err);
}

bt_status bt_ckpt_read_info(bt_ckpt *ckpt, bt_str *bytes, bool *found, bt_error *err) {
    return read_own(ckpt, BT_CKPT_INFO_KEY, bytes, found, err);
}
