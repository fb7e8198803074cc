/* SPDX-License-Identifier: Apache-2.0
 *
 * Matrix products in oneDNN (its interface of version 2, as Debian has it). */
#include <math.h>

#include "bench_product.h"

#ifdef BT_BENCH_HAVE_ONEDNN
#include <dlfcn.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>

#include "bt/base/alloc.h"

struct onednn {
    dnnl_engine_t         engine;
    dnnl_stream_t         stream;
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t      primitive;
    dnnl_memory_t         a, b, b_packed, c;
};

#define DNNL(call)                                                                                 \
    do {                                                                                           \
        const dnnl_status_t dnnl_rc = (call);                                                      \
        if (dnnl_rc != dnnl_success) {                                                             \
            return BT_FAIL(err, BT_E_BACKEND, "oneDNN: %s: status %d", #call, (int)dnnl_rc);       \
        }                                                                                          \
    } while (0)

const char *onednn_version(void) {
    static char                 text[32];
    const dnnl_version_t *const v = dnnl_version();
    (void)snprintf(text, sizeof text, "%d.%d.%d", v->major, v->minor, v->patch);
    return text;
}

static void forget_product(onednn *o) {
    dnnl_memory_t *const all[] = {&o->a, &o->b, &o->b_packed, &o->c};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (*all[i] != NULL) {
            (void)dnnl_memory_destroy(*all[i]);
        }
        *all[i] = NULL;
    }
    if (o->primitive != NULL) {
        (void)dnnl_primitive_destroy(o->primitive);
    }
    if (o->desc != NULL) {
        (void)dnnl_primitive_desc_destroy(o->desc);
    }
    o->primitive = NULL;
    o->desc = NULL;
}

void onednn_free(onednn *o) {
    if (o != NULL) {
        forget_product(o);
        (void)dnnl_stream_destroy(o->stream);
        (void)dnnl_engine_destroy(o->engine);
        bt_free(o);
    }
}

/* Its threads are OpenMP's. */
static void set_threads(int32_t n_threads) {
    void *const found = dlsym(RTLD_DEFAULT, "omp_set_num_threads");
    if (found != NULL) {
        void (*set)(int) = NULL;
        *(void **)(void *)&set = found;
        set(n_threads);
    }
}

bt_status onednn_create(int32_t n_threads, onednn **out, bt_error *err) {
    onednn *o = bt_calloc_array(1, sizeof *o);
    if (o == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory");
    }
    *out = o;
    set_threads(n_threads);
    DNNL(dnnl_engine_create(&o->engine, dnnl_cpu, 0));
    DNNL(dnnl_stream_create(&o->stream, o->engine, dnnl_stream_default_flags));
    return BT_OK;
}

/* Weights as it likes them, from row-major ones. */
static bt_status pack_weights(onednn *o, const dnnl_memory_desc_t *liked, bt_error *err) {
    dnnl_primitive_desc_t reorder_desc;
    dnnl_primitive_t      reorder;
    DNNL(dnnl_memory_create(&o->b_packed, liked, o->engine, DNNL_MEMORY_ALLOCATE));
    const dnnl_memory_desc_t *from = NULL;
    DNNL(dnnl_memory_get_memory_desc(o->b, &from));
    DNNL(
        dnnl_reorder_primitive_desc_create(&reorder_desc, from, o->engine, liked, o->engine, NULL));
    DNNL(dnnl_primitive_create(&reorder, reorder_desc));
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, o->b}, {DNNL_ARG_TO, o->b_packed}};
    DNNL(dnnl_primitive_execute(reorder, o->stream, 2, args));
    DNNL(dnnl_stream_wait(o->stream));
    DNNL(dnnl_primitive_destroy(reorder));
    DNNL(dnnl_primitive_desc_destroy(reorder_desc));
    return BT_OK;
}

bt_status onednn_prepare(onednn *o, const product_shape *s, const product_numbers *x, bool is_16,
                         bt_error *err) {
    const dnnl_data_type_t type = is_16 ? dnnl_bf16 : dnnl_f32;
    const dnnl_dims_t      a_dims = {s->M, s->K};
    const dnnl_dims_t      b_dims = {s->K, s->N};
    const dnnl_dims_t      c_dims = {s->M, s->N};
    dnnl_memory_desc_t     a, b, liked, c;
    dnnl_matmul_desc_t     matmul;
    forget_product(o);
    DNNL(dnnl_memory_desc_init_by_tag(&a, 2, a_dims, type, s->is_gradient ? dnnl_ba : dnnl_ab));
    DNNL(dnnl_memory_desc_init_by_tag(&b, 2, b_dims, type, dnnl_ab));
    DNNL(dnnl_memory_desc_init_by_tag(&liked, 2, b_dims, type,
                                      s->is_gradient ? dnnl_ab : dnnl_format_tag_any));
    DNNL(dnnl_memory_desc_init_by_tag(&c, 2, c_dims, s->is_gradient ? dnnl_f32 : type, dnnl_ab));
    DNNL(dnnl_matmul_desc_init(&matmul, &a, &liked, NULL, &c));
    DNNL(dnnl_primitive_desc_create(&o->desc, &matmul, NULL, o->engine, NULL));
    DNNL(dnnl_primitive_create(&o->primitive, o->desc));
    DNNL(dnnl_memory_create(&o->a, &a, o->engine, is_16 ? (void *)x->a16 : (void *)x->a));
    DNNL(dnnl_memory_create(&o->b, &b, o->engine, is_16 ? (void *)x->b16 : (void *)x->b));
    DNNL(dnnl_memory_create(&o->c, &c, o->engine,
                            is_16 && !s->is_gradient ? (void *)x->c16 : (void *)x->c));
    return pack_weights(o, dnnl_primitive_desc_query_md(o->desc, dnnl_query_weights_md, 0), err);
}

double onednn_seconds(onednn *o, int64_t times) {
    const dnnl_exec_arg_t args[] = {
        {DNNL_ARG_SRC, o->a}, {DNNL_ARG_WEIGHTS, o->b_packed}, {DNNL_ARG_DST, o->c}};
    double start = 0;
    for (int64_t i = -1; i < times; i++) {
        start = i == 0 ? product_clock() : start; /* its threads are awake then */
        if (dnnl_primitive_execute(o->primitive, o->stream, 3, args) != dnnl_success) {
            return INFINITY;
        }
    }
    (void)dnnl_stream_wait(o->stream);
    return (product_clock() - start) / (double)times;
}
#else

const char *onednn_version(void) {
    return "";
}
bt_status onednn_create(int32_t n_threads, onednn **out, bt_error *err) {
    (void)n_threads;
    (void)err;
    *out = NULL;
    return BT_OK;
}
void onednn_free(onednn *o) {
    (void)o;
}
bt_status onednn_prepare(onednn *o, const product_shape *shape, const product_numbers *x,
                         bool is_16, bt_error *err) {
    (void)o;
    (void)shape;
    (void)x;
    (void)is_16;
    (void)err;
    return BT_OK;
}
double onednn_seconds(onednn *o, int64_t times) {
    (void)o;
    (void)times;
    return INFINITY;
}
#endif
