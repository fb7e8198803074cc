/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes a training checkpoint: the tensors in the order of their keys, the object graph, and our
 * own state under a key that no object refers to, so TensorFlow never looks at it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/bytes.h"
#include "ckpt_graph_build.h"
#include "ckpt_internal.h"

static int compare_keys(const void *a, const void *b) {
    const ckpt_item *const x = a;
    const ckpt_item *const y = b;
    return strcmp(x->key, y->key);
}

static bt_status add_string(bt_bundle_writer *writer, const char *name, const void *data,
                            size_t n_bytes, bt_error *err) {
    const bt_bytes value = {.data = data, .n_bytes = n_bytes};
    return bt_bundle_add_strings(writer, name, 0, NULL, &value, err);
}

/* room: for the values of the largest parameter, where they are asked for. */
static bt_status write_item(bt_bundle_writer *writer, const ckpt_item *item,
                            const bt_ckpt_train *train, float *room, bt_error *err) {
    const void *data = item->data;
    if (data == NULL) {
        BT_TRY(train->values(train->values_context, item->param, item->slot, room, err));
        data = room;
    }
    return bt_bundle_add(writer, item->key, (bt_dtype)item->dtype, item->rank, item->dim, data,
                         err);
}

static bt_status write_plan(bt_bundle_writer *writer, ckpt_plan *plan, const bt_ckpt_train *train,
                            float *room, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    graph = BT_STR_INIT;
    qsort(plan->items, plan->n_items, sizeof *plan->items, compare_keys);
    for (size_t i = 0; i < plan->n_items; i++) {
        BT_CHECK(write_item(writer, &plan->items[i], train, room, err));
    }
    BT_CHECK(bt_graph_serialize(&plan->graph, &graph, err));
    BT_CHECK(add_string(writer, BT_BUNDLE_GRAPH_KEY, graph.data, graph.len, err));
    if (train->n_info_bytes > 0) {
        BT_CHECK(add_string(writer, BT_CKPT_INFO_KEY, train->info, train->n_info_bytes, err));
    }
    if (train->n_state_bytes > 0) {
        BT_CHECK(add_string(writer, BT_CKPT_STATE_KEY, train->state, train->n_state_bytes, err));
    }
done:
    bt_str_deinit(&graph);
    return rc;
}

static bt_status alloc_room(const bt_ckpt_train *train, float **out, bt_error *err) {
    int64_t n = 1;
    if (train->values == NULL) {
        return BT_OK;
    }
    for (int64_t i = 0; i < train->table->n_params; i++) {
        const int64_t n_elements = train->table->params[i].n_elements;
        n = n_elements > n ? n_elements : n;
    }
    *out = bt_alloc_array((size_t)n, sizeof **out);
    return *out != NULL ? BT_OK
                        : BT_FAIL(err, BT_E_NOMEM,
                                  "out of memory for %" PRId64 " numbers of a "
                                  "checkpoint",
                                  n);
}

bt_status bt_ckpt_write_train(const char *prefix, const bt_ckpt_train *train, bt_error *err) {
    bt_status         rc = BT_OK;
    bt_bundle_writer *writer = NULL;
    ckpt_plan         plan = {0};
    float            *room = NULL;
    BT_CHECK(alloc_room(train, &room, err));
    BT_CHECK(ckpt_plan_make(train, &plan, err));
    BT_CHECK(bt_bundle_writer_create(prefix, &writer, err));
    BT_CHECK(write_plan(writer, &plan, train, room, err));
    BT_CHECK(bt_bundle_writer_commit(&writer, err));
done:
    bt_bundle_writer_abort(writer);
    ckpt_plan_deinit(&plan);
    bt_free(room);
    return rc;
}
