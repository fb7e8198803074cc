/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine's programs compiled for devices that are not here: what they would take there. */
#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/str.h"
#include "exec_pjrt_internal.h"

struct bt_exec_ahead {
    bt_pjrt_plugin   *plugin;
    bt_pjrt_topology *topology;
    bt_pjrt_kind      kind;
};

/* A client of the CUDA plug-in takes three quarters of a GPU's memory for its programs unless it
 * is told otherwise (memory_fraction of OpenXLA's GpuAllocatorConfig). */
static const double gpu_share = 0.75;

static void set_shape(bt_exec_shape *shape, const exec_bucket *bucket) {
    shape->n_rows = bucket->n_rows;
    shape->n_slots = bucket->n_slots;
    shape->n_seqs = bucket->n_seqs;
    shape->n_longest = bucket->n_longest;
}

bt_status bt_exec_find_shape(const bt_model *model, const bt_batch *batch, int32_t n_pieces,
                             bt_exec_shares shares, bt_exec_shape *out, bt_error *err) {
    exec_bucket bucket = {.n_rows = 0};
    BT_TRY(exec_bucket_of(batch, n_pieces, exec_division_of(model, shares), &bucket, err));
    set_shape(out, &bucket);
    out->has_key_mask = batch->key_mask != NULL;
    out->has_labels = exec_has_labels(model, batch);
    return BT_OK;
}

bt_status bt_exec_find_full_shape(const bt_model *model, int64_t n_seqs, int64_t length,
                                  int32_t n_pieces, bt_exec_shares shares, bt_exec_shape *shape,
                                  bt_error *err) {
    exec_bucket bucket = {.n_rows = 0};
    BT_TRY(exec_bucket_of_full(n_seqs, length, n_pieces, exec_division_of(model, shares), &bucket,
                               err));
    set_shape(shape, &bucket);
    return BT_OK;
}

bt_status bt_exec_ahead_open(const bt_pjrt_target *target, const char *plugin, bt_exec_ahead **out,
                             bt_error *err) {
    bt_status      rc = BT_OK;
    char          *path = NULL;
    bt_exec_ahead *ahead = bt_calloc_array(1, sizeof *ahead);
    if (ahead == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory to compile ahead");
    }
    ahead->kind = target->kind;
    if (plugin == NULL) {
        BT_CHECK(bt_pjrt_plugin_find(target->kind, &path, err));
    }
    BT_CHECK(bt_pjrt_plugin_open(plugin != NULL ? plugin : path, BT_PJRT_TO_COMPILE, &ahead->plugin,
                                 err));
    rc = bt_pjrt_topology_create(ahead->plugin, target, &ahead->topology, err);
    if (rc == BT_E_BACKEND && err != NULL) { /* there was no device to fail */
        const bt_error why = *err;
        rc = BT_FAIL(err, BT_E_CONFIG, "%s", why.msg);
    }
    BT_CHECK(rc);
    *out = ahead;
    ahead = NULL;
done:
    bt_free(path);
    bt_exec_ahead_close(ahead);
    return rc;
}

void bt_exec_ahead_close(bt_exec_ahead *ahead) {
    if (ahead != NULL) {
        bt_pjrt_topology_free(ahead->topology);
        bt_pjrt_plugin_close(ahead->plugin);
        bt_free(ahead);
    }
}

bt_exec_chips bt_exec_ahead_chips(const bt_exec_ahead *ahead) {
    const int64_t memory = bt_pjrt_topology_memory_bytes(ahead->topology);
    const double  share = ahead->kind == BT_PJRT_CUDA ? gpu_share : 1;
    return (bt_exec_chips){.kind = bt_pjrt_topology_kind(ahead->topology),
                           .plugin = bt_pjrt_plugin_path(ahead->plugin),
                           .version = bt_pjrt_topology_version(ahead->topology),
                           .api_minor = bt_pjrt_plugin_api_minor(ahead->plugin),
                           .n_devices = bt_pjrt_topology_n_devices(ahead->topology),
                           .memory_bytes = memory,
                           .usable_bytes = memory > 0 ? (int64_t)((double)memory * share) : -1};
}

double bt_exec_ahead_estimate(const bt_exec_wish *wish) {
    return exec_pjrt_step_bytes(wish->model, wish->config, wish->trains, wish->shape.n_rows,
                                wish->shape.n_slots);
}

static bt_status measure(bt_pjrt_program *program, bt_exec_compiled *out, bt_error *err) {
    bt_str    bytes = BT_STR_INIT;
    bt_status rc = BT_OK;
    out->seconds = bt_pjrt_program_seconds(program);
    BT_CHECK(bt_pjrt_program_memory(program, &out->memory, err));
    BT_CHECK(bt_pjrt_program_serialize(program, &bytes, err));
    out->n_bytes = bytes.len;
done:
    bt_str_deinit(&bytes);
    return rc;
}

bt_status bt_exec_ahead_compile(bt_exec_ahead *ahead, const bt_exec_wish *wish,
                                bt_exec_compiled *out, bt_error *err) {
    bt_status        rc = BT_OK;
    bt_hlo_program  *hlo = NULL;
    bt_pjrt_program *program = NULL;
    bt_error         why = BT_ERROR_INIT;
    const bool       updates = wish->trains && wish->config->part_seqs <= 0;
    bt_hlo_config    config = {.what = updates        ? BT_HLO_TRAIN
                                       : wish->trains ? BT_HLO_ACCUMULATE
                                                      : BT_HLO_EVALUATE,
                               .n_rows = wish->shape.n_rows,
                               .n_slots = wish->shape.n_slots,
                               .n_seqs = wish->shape.n_seqs,
                               .n_longest = wish->shape.n_longest,
                               .precision = wish->config->precision,
                               .has_key_mask = wish->shape.has_key_mask,
                               .has_labels = wish->shape.has_labels,
                               .recompute = wish->config->recompute,
                               .n_replicas = wish->n_replicas};
    *out = (bt_exec_compiled){.is_too_large = false};
    BT_CHECK(exec_pjrt_check_config(wish->model, wish->optim, wish->config, wish->n_replicas, err));
    BT_CHECK(bt_hlo_attention_choose(wish->model, wish->config->attention,
                                     bt_pjrt_kind_name(ahead->kind), &config, err));
    BT_CHECK(bt_hlo_program_create(wish->model, updates ? wish->optim : NULL, &config, &hlo, err));
    out->product_flops = hlo->product_flops;
    const bt_pjrt_compile_options options = {.n_replicas = wish->n_replicas};
    rc = bt_pjrt_compile_ahead(ahead->topology, hlo->text, hlo->n_bytes, &options, &program, &why);
    if (rc == BT_E_NOMEM) {
        bt_log(BT_LOG_DEBUG, "%s", why.msg);
        out->is_too_large = true;
        rc = BT_OK;
        goto done;
    }
    if (rc != BT_OK) {
        rc = BT_FAIL(err, rc, "%s", why.msg);
        goto done;
    }
    BT_CHECK(measure(program, out, err));
done:
    bt_pjrt_program_free(program);
    bt_hlo_program_free(hlo);
    return rc;
}
