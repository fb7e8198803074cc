/* SPDX-License-Identifier: Apache-2.0
 *
 * bert-checkpoint show: a tensor's description, then its values, a row of the last dimension a
 * line; numbers in the shortest form that reads back as the same value, strings in C escapes. */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/bytes.h"
#include "bt/base/number.h"
#include "tensor_source.h"

static float half_to_float(uint16_t half) {
    const uint32_t exponent = half >> 10 & 31U;
    const uint32_t mantissa = half & 1023U;
    float          value = 0;
    if (exponent == 0) {
        value = (float)mantissa / 16777216.0F;
    } else {
        const uint32_t bits = (exponent == 31 ? 255U : exponent + 112U) << 23 | mantissa << 13;
        memcpy(&value, &bits, sizeof value);
    }
    return (half & 0x8000U) != 0 ? -value : value;
}

static bt_status put_f32(bt_str *out, const uint8_t *bytes, bt_error *err) {
    char  text[BT_F64_TEXT_MAX];
    float value = 0;
    memcpy(&value, bytes, sizeof value);
    return bt_str_append(out, bt_f32_repr(value, text), err);
}

static bt_status put_f64(bt_str *out, const uint8_t *bytes, bt_error *err) {
    char   text[BT_F64_TEXT_MAX];
    double value = 0;
    memcpy(&value, bytes, sizeof value);
    return bt_str_append(out, bt_f64_repr(value, text), err);
}

static bt_status put_16(bt_str *out, bt_dtype dtype, const uint8_t *bytes, bt_error *err) {
    char           text[BT_F64_TEXT_MAX];
    const uint16_t bits = (uint16_t)(bytes[0] | bytes[1] << 8);
    int16_t        value = 0;
    memcpy(&value, bytes, sizeof value);
    if (dtype == BT_DTYPE_I16) {
        return bt_str_appendf(out, err, "%d", value);
    }
    if (dtype == BT_DTYPE_U16) {
        return bt_str_appendf(out, err, "%u", bits);
    }
    if (dtype == BT_DTYPE_F16) {
        return bt_str_append(out, bt_f32_repr(half_to_float(bits), text), err);
    }
    const uint32_t wide = (uint32_t)bits << 16; /* bfloat16 */
    float          number = 0;
    memcpy(&number, &wide, sizeof number);
    return bt_str_append(out, bt_f32_repr(number, text), err);
}

static bt_status put_complex(bt_str *out, bt_dtype dtype, const uint8_t *bytes, bt_error *err) {
    BT_TRY(bt_str_append(out, "(", err));
    BT_TRY(dtype == BT_DTYPE_C64 ? put_f32(out, bytes, err) : put_f64(out, bytes, err));
    BT_TRY(bt_str_append(out, ",", err));
    BT_TRY(dtype == BT_DTYPE_C64 ? put_f32(out, bytes + 4, err) : put_f64(out, bytes + 8, err));
    return bt_str_append(out, ")", err);
}

static bt_status put_element(bt_str *out, bt_dtype dtype, const uint8_t *bytes, bt_error *err) {
    int8_t  i8 = 0;
    int32_t i32 = 0;
    int64_t i64 = 0;
    switch (dtype) {
    case BT_DTYPE_F32:
        return put_f32(out, bytes, err);
    case BT_DTYPE_F64:
        return put_f64(out, bytes, err);
    case BT_DTYPE_I32:
        memcpy(&i32, bytes, sizeof i32);
        return bt_str_appendf(out, err, "%" PRId32, i32);
    case BT_DTYPE_I64:
        memcpy(&i64, bytes, sizeof i64);
        return bt_str_appendf(out, err, "%" PRId64, i64);
    case BT_DTYPE_I8:
        memcpy(&i8, bytes, sizeof i8);
        return bt_str_appendf(out, err, "%d", i8);
    case BT_DTYPE_U8:
        return bt_str_appendf(out, err, "%u", bytes[0]);
    case BT_DTYPE_BOOL:
        return bt_str_append(out, bytes[0] != 0 ? "true" : "false", err);
    case BT_DTYPE_U32:
        return bt_str_appendf(out, err, "%" PRIu32, bt_load_u32le(bytes));
    case BT_DTYPE_U64:
        return bt_str_appendf(out, err, "%" PRIu64, bt_load_u64le(bytes));
    case BT_DTYPE_I16:
    case BT_DTYPE_U16:
    case BT_DTYPE_F16:
    case BT_DTYPE_BF16:
        return put_16(out, dtype, bytes, err);
    case BT_DTYPE_C64:
    case BT_DTYPE_C128:
        return put_complex(out, dtype, bytes, err);
    case BT_DTYPE_STRING:
    case BT_DTYPE_INVALID:
        break;
    }
    return BT_FAIL(err, BT_E_INTERNAL, "type %d has no text", (int)dtype);
}

static bt_status put_string(bt_str *out, bt_bytes value, bt_error *err) {
    BT_TRY(bt_str_append_char(out, '"', err));
    for (size_t i = 0; i < value.n_bytes; i++) {
        const uint8_t c = value.data[i];
        if (c == '"' || c == '\\') {
            BT_TRY(bt_str_appendf(out, err, "\\%c", c));
        } else if (isprint(c)) {
            BT_TRY(bt_str_append_char(out, (char)c, err));
        } else {
            BT_TRY(bt_str_appendf(out, err, "\\x%02x", c));
        }
    }
    return bt_str_append_char(out, '"', err);
}

bt_status command_show(tensor_source *source, const char *name, bt_str *out, bt_error *err) {
    const int64_t i = source_find(source, name);
    if (i < 0) {
        return BT_FAIL(err, BT_E_CONFIG, "%s has no tensor '%s': `list` tells the names",
                       bt_ckpt_path(source->ckpt), name);
    }
    const source_tensor tensor = source_tensor_at(source, (size_t)i);
    const bool          is_text = tensor.dtype == BT_DTYPE_STRING;
    const size_t        size = bt_dtype_size(tensor.dtype);
    const int64_t       row = tensor.rank == 0 ? 1 : tensor.dim[tensor.rank - 1];
    bt_bytes           *values = NULL;
    void               *data = NULL;
    bt_status           rc = BT_OK;
    BT_CHECK(source_describe(&tensor, out, err));
    if (is_text) {
        BT_CHECK(source_read_strings(source, (size_t)i, &values, err));
    } else {
        BT_CHECK(source_read(source, (size_t)i, &data, err));
    }
    for (int64_t k = 0; k < tensor.n_elements; k++) {
        BT_CHECK(is_text ? put_string(out, values[k], err)
                         : put_element(out, tensor.dtype, (uint8_t *)data + (size_t)k * size, err));
        BT_CHECK(bt_str_append_char(out, (k + 1) % row == 0 ? '\n' : ' ', err));
    }
done:
    bt_free(values);
    bt_free(data);
    return rc;
}
