/* SPDX-License-Identifier: Apache-2.0
 *
 * See hlo_custom.h. */
#include <inttypes.h>

#include "hlo_custom.h"

void hlo_call_operand(hlo_call *c, hlo_value x) {
    c->in[c->n_in++] = x;
}

void hlo_call_result(hlo *h, hlo_call *c, bt_dtype dtype, int32_t rank, const int64_t *dims) {
    c->out[c->n_out++] = hlo_new(h, dtype, rank, dims);
}

void hlo_put_quoted(hlo *h, const char *text) {
    char   piece[256];
    size_t n = 0;
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\n' || *text == '\\') {
            static const char digits[] = "0123456789ABCDEF";
            piece[n++] = '\\';
            piece[n++] = digits[(unsigned char)*text >> 4];
            piece[n++] = digits[(unsigned char)*text & 15];
        } else {
            piece[n++] = *text;
        }
        if (n + 4 > sizeof piece || text[1] == '\0') {
            piece[n] = '\0';
            hlo_put_text(h, piece);
            n = 0;
        }
    }
}

/* "[dense<[1, 0]> : tensor<2xindex>, ...]": the last axis is that of neighbours */
static void put_layouts(hlo *h, const hlo_value *values, const bool *is_swapped, int32_t n) {
    hlo_put(h, "[");
    for (int32_t i = 0; i < n; i++) {
        hlo_put(h, "%sdense<[", i > 0 ? ", " : "");
        for (int32_t axis = values[i].rank - 1; axis >= 0; axis--) {
            const bool swaps = is_swapped != NULL && is_swapped[i] && (axis == 1 || axis == 2);
            hlo_put(h, "%" PRId32 "%s", swaps ? 3 - axis : axis, axis > 0 ? ", " : "");
        }
        hlo_put(h, "]> : tensor<%" PRId32 "xindex>", values[i].rank);
    }
    hlo_put(h, "]");
}

static void put_types(hlo *h, const hlo_value *values, int32_t n) {
    hlo_put(h, "(");
    for (int32_t i = 0; i < n; i++) {
        hlo_put(h, "%s", i > 0 ? ", " : "");
        hlo_put_type(h, values[i]);
    }
    hlo_put(h, ")");
}

void hlo_call_begin(hlo *h, hlo_call *c, const char *target) {
    const int32_t id = h->n_values++;
    hlo_put_line(h);
    hlo_put(h, "%%v%" PRId32 ":%" PRId32 " = stablehlo.custom_call @%s(", id, c->n_out, target);
    for (int32_t i = 0; i < c->n_in; i++) {
        hlo_put(h, "%s", i > 0 ? ", " : "");
        hlo_put_value(h, c->in[i]);
    }
    hlo_put(h, ") {");
    for (int32_t i = 0; i < c->n_out; i++) {
        c->out[i].id = id;
        c->out[i].part = i;
    }
}

void hlo_call_end(hlo *h, hlo_call *c) {
    hlo_put(h, ", operand_layouts = ");
    put_layouts(h, c->in, NULL, c->n_in);
    hlo_put(h, ", result_layouts = ");
    put_layouts(h, c->out, c->is_swapped, c->n_out);
    hlo_put(h, "} : ");
    put_types(h, c->in, c->n_in);
    hlo_put(h, " -> ");
    put_types(h, c->out, c->n_out);
}
