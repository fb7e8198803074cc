/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine on PJRT devices: making it, its buffers as the trainer reads and writes them, and what
 * it says of itself. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/str.h"
#include "exec_pjrt_internal.h"

static void pjrt_destroy(bt_exec *base) {
    exec_pjrt *const exec = exec_pjrt_of(base);
    exec_flight_deinit(exec, &exec->flight);
    for (int i = 0; i < EXEC_PJRT_DEPTH; i++) {
        exec_flight_deinit(exec, &exec->steps[i]);
    }
    exec_arrays_drop(exec);
    for (size_t i = 0; i < exec->n_programs; i++) {
        exec_program_free(exec->programs[i]);
    }
    bt_free(exec->programs);
    bt_free(exec->base.param);
    bt_free(exec->base.grad);
    bt_free(exec->base.average);
    for (size_t i = 0; i < BT_OPTIM_MAX_SLOTS; i++) {
        bt_free(exec->base.slots[i]);
    }
    bt_free(exec->logits);
    bt_free(exec->scratch);
    bt_free(exec->cache_folder);
    if (!exec->is_client_borrowed) {
        bt_pjrt_client_free(exec->client);
        bt_pjrt_plugin_close(exec->plugin);
    }
    bt_free(exec);
}

static void pjrt_copy(bt_exec *base, float *to, const float *from) {
    memcpy(to, from, (size_t)exec_pjrt_seen(base)->model->table.n_elements * sizeof *to);
}

static bt_loss_scale pjrt_get_loss_scale(const bt_exec *base) {
    return exec_pjrt_seen(base)->scale.now;
}

static void pjrt_set_loss_scale(bt_exec *base, bt_loss_scale scale) {
    exec_scale *const own = &exec_pjrt_of(base)->scale;
    if (own->is_dynamic) {
        own->now = scale;
    }
}

static void pjrt_reserve_memory(bt_exec *base, uint64_t n_bytes) {
    exec_pjrt_of(base)->reserved_bytes = n_bytes;
}

/* Of the host. */
static size_t pjrt_memory_bytes(const bt_exec *base) {
    const exec_pjrt *const exec = exec_pjrt_seen(base);
    size_t                 n_flat = 1;
    n_flat += exec->base.grad != NULL;
    n_flat += exec->base.average != NULL;
    for (size_t i = 0; i < BT_OPTIM_MAX_SLOTS; i++) {
        n_flat += exec->base.slots[i] != NULL;
    }
    return (n_flat * (size_t)exec->model->table.n_elements + exec->logits_cap + exec->scratch_cap) *
           sizeof(float);
}

/* A device has no yardstick here yet. */
static bt_status pjrt_measure_peaks(bt_exec *base, bt_exec_peak peaks[BT_EXEC_MAX_PEAKS], size_t *n,
                                    bt_error *no_blas, bt_error *err) {
    (void)peaks;
    (void)no_blas;
    *n = 0;
    return BT_FAIL(err, BT_E_UNSUPPORTED, "%s: how fast a device multiplies is not measured",
                   exec_pjrt_seen(base)->description);
}

static const char *pjrt_describe(const bt_exec *base) {
    return exec_pjrt_seen(base)->description;
}

static const exec_engine pjrt_engine = {
    .destroy = pjrt_destroy,
    .train_depth = exec_pjrt_train_depth,
    .train_begin = exec_pjrt_train_begin,
    .train_end = exec_pjrt_train_end,
    .gradients = exec_pjrt_gradients,
    .evaluate = exec_pjrt_evaluate,
    .encode = exec_pjrt_encode,
    .settle = exec_pjrt_settle,
    .changed = exec_pjrt_changed,
    .copy = pjrt_copy,
    .swap_averages = exec_pjrt_swap_averages,
    .get_loss_scale = pjrt_get_loss_scale,
    .set_loss_scale = pjrt_set_loss_scale,
    .reserve_memory = pjrt_reserve_memory,
    .memory_bytes = pjrt_memory_bytes,
    .measure_peaks = pjrt_measure_peaks,
    .plan_memory = exec_pjrt_plan_memory,
    .measure_memory = exec_pjrt_measure_memory,
    .measure_evaluation = exec_pjrt_measure_evaluation,
    .describe = pjrt_describe,
};

bt_status exec_pjrt_check_config(const bt_model *model, const bt_optim *optim,
                                 const bt_exec_config *config, int32_t n_replicas, bt_error *err) {
    BT_TRY(exec_check_model(model, err));
    BT_TRY(exec_check_parts(model, optim, config, err));
    if (n_replicas < 0 || n_replicas > EXEC_PJRT_MAX_REPLICAS) {
        return BT_FAIL(err, BT_E_CONFIG, "%" PRId32 " devices: 1 to %d are used at once",
                       n_replicas, (int)EXEC_PJRT_MAX_REPLICAS);
    }
    if (config->part_seqs > 0 && model->head.loss == BT_LOSS_MSE_ALL_PAIRS) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "trainer.gradient_accumulation_steps: runtime.bug_compatible's loss of a "
                       "regression is over all pairs of a batch, which devices do not add up from "
                       "parts: set one of the two back");
    }
    return BT_OK;
}

static bt_status open_plugin(exec_pjrt *exec, const bt_exec_devices *devices, bt_error *err) {
    bt_status            rc = BT_OK;
    char                *path = NULL;
    const bt_pjrt_option count = {.name = "cpu_device_count",
                                  .type = BT_PJRT_OPTION_INT,
                                  .number = devices->n_replicas > 0 ? devices->n_replicas : 1};
    const bool           is_cpu = devices->plugin == NULL && devices->kind == BT_PJRT_CPU;
    if (devices->plugin == NULL) {
        BT_TRY(bt_pjrt_plugin_find(devices->kind, &path, err));
    }
    BT_CHECK(bt_pjrt_plugin_open(path != NULL ? path : devices->plugin, BT_PJRT_TO_RUN,
                                 &exec->plugin, err));
    BT_CHECK(bt_pjrt_client_create(exec->plugin, &count, is_cpu ? 1 : 0, &exec->client, err));
done:
    bt_free(path);
    return rc;
}

static bt_status choose_devices(exec_pjrt *exec, const bt_exec_devices *devices, bt_error *err) {
    bt_pjrt_device device;
    if (devices->client != NULL) {
        exec->client = devices->client;
        exec->is_client_borrowed = true;
    } else {
        BT_TRY(open_plugin(exec, devices, err));
    }
    const int32_t n_there = bt_pjrt_client_n_devices(exec->client);
    const char   *platform = bt_pjrt_client_platform(exec->client);
    if (devices->n_replicas > n_there) {
        return BT_FAIL(err, BT_E_BACKEND, "%" PRId32 " devices are requested, but %s has %" PRId32,
                       devices->n_replicas, platform, n_there);
    }
    exec->n_replicas = devices->n_replicas > 0            ? devices->n_replicas
                       : n_there < EXEC_PJRT_MAX_REPLICAS ? n_there
                                                          : EXEC_PJRT_MAX_REPLICAS;
    BT_TRY(bt_pjrt_client_device(exec->client, 0, &device, err));
    (void)snprintf(exec->description, sizeof exec->description,
                   "%s, %" PRId32 " device%s (%.100s), PJRT %.200s", platform, exec->n_replicas,
                   exec->n_replicas == 1 ? "" : "s", device.kind,
                   bt_pjrt_client_version(exec->client));
    return BT_OK;
}

/* "": beside where plug-ins are kept */
static bt_status choose_cache(exec_pjrt *exec, const char *folder, bt_error *err) {
    bt_str    path = BT_STR_INIT;
    bt_status rc = BT_OK;
    if (folder == NULL) {
        return BT_OK;
    }
    if (folder[0] == '\0') {
        BT_CHECK(bt_pjrt_append_folder(&path, err));
        BT_CHECK(bt_str_append(&path, "/programs", err));
    } else {
        BT_CHECK(bt_str_append(&path, folder, err));
    }
    exec->cache_folder = bt_str_take(&path);
done:
    bt_str_deinit(&path);
    return rc;
}

/* Whether it is for these devices at all: sizes come with the batches. */
static bt_status check_attention(const exec_pjrt *exec, bt_error *err) {
    bt_hlo_config smallest = {.what = exec->optim != NULL ? BT_HLO_TRAIN : BT_HLO_EVALUATE,
                              .n_rows = 1,
                              .n_slots = 1,
                              .precision = exec->precision};
    return bt_hlo_attention_choose(exec->model, exec->attention,
                                   bt_pjrt_client_platform(exec->client), &smallest, err);
}

/* Model Garden clips by these keys what all replicas have together
 * (docs/model_garden/config.md section 5.3); a program clips each share by itself, which is right
 * for adamw's gradient_clip_norm alone. */
static bt_status check_clips(const exec_pjrt *exec, bt_error *err) {
    if (exec->optim == NULL || exec->n_replicas == 1) {
        return BT_OK;
    }
    const bt_optim_facts facts = bt_optim_get_facts(exec->optim);
    const char *const    key = facts.clipvalue > 0         ? "clipvalue"
                               : facts.clipnorm > 0        ? "clipnorm"
                               : facts.global_clipnorm > 0 ? "global_clipnorm"
                                                           : NULL;
    return key == NULL
               ? BT_OK
               : BT_FAIL(err, BT_E_UNSUPPORTED,
                         "%s clips the sum of all devices' gradients, which %" PRId32
                         " devices do not offer: set it to null (adamw's gradient_clip_norm clips "
                         "each share), or take one device",
                         key, exec->n_replicas);
}

static bt_status alloc_state(exec_pjrt *exec, bt_error *err) {
    const bt_param_table *const table = &exec->model->table;
    BT_TRY(exec_flat_create(NULL, table, 0, &exec->base.param, err));
    if (exec->optim == NULL) {
        return BT_OK;
    }
    for (int32_t i = 0; i < bt_optim_n_slots(exec->optim); i++) {
        BT_TRY(exec_flat_create(NULL, table, bt_optim_slot_init(exec->optim, i),
                                &exec->base.slots[i], err));
    }
    return bt_optim_has_average(exec->optim)
               ? exec_flat_create(NULL, table, 0, &exec->base.average, err)
               : BT_OK;
}

bt_status bt_exec_create_pjrt(const bt_model *model, const bt_optim *optim,
                              const bt_exec_config *config, const bt_exec_devices *devices,
                              bt_exec **out, bt_error *err) {
    bt_status rc = BT_OK;
    BT_TRY(exec_pjrt_check_config(model, optim, config, devices->n_replicas, err));
    exec_pjrt *exec = bt_calloc_array(1, sizeof *exec);
    if (exec == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the engine");
    }
    exec->base.engine = &pjrt_engine;
    exec->base.model = model;
    exec->model = model;
    exec->optim = optim;
    exec->shares = config->shares;
    exec->part_seqs = config->part_seqs;
    exec->precision = config->precision;
    exec->attention = config->attention;
    exec->recompute = config->recompute;
    exec->memory_limit = config->memory_limit;
    exec->flags = devices->flags;
    exec->n_flags = devices->n_flags;
    exec_scale_init(&exec->scale, config->precision, config->loss_scale);
    BT_CHECK(choose_cache(exec, devices->cache_folder, err));
    BT_CHECK(choose_devices(exec, devices, err));
    BT_CHECK(check_attention(exec, err));
    BT_CHECK(check_clips(exec, err));
    BT_CHECK(alloc_state(exec, err));
    *out = &exec->base;
    exec = NULL;
done:
    if (exec != NULL) {
        pjrt_destroy(&exec->base);
    }
    return rc;
}
