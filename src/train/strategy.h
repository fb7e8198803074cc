/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: where the steps run: what the keys ask for, and the devices. */
#ifndef BT_TRAIN_STRATEGY_H
#define BT_TRAIN_STRATEGY_H

#include "bt/conf.h"
#include "bt/data.h"
#include "bt/exec.h"
#include "bt/model.h"
#include "bt/pjrt.h"

/* What runtime.distribution_strategy and the keys beside it come to. */
typedef struct run_strategy {
    const char  *name;       /* as Model Garden writes it */
    bool         on_devices; /* of a plug-in; false: the processors */
    const char  *plugin;     /* its path; NULL: one of the kind is looked for */
    bt_pjrt_kind kind;
    int32_t      n_replicas;    /* devices that train; 0, until they are counted: all there are */
    int32_t      n_gpus;        /* runtime.num_gpus */
    const char  *shares;        /* runtime.batch_shares */
    bool         deterministic; /* runtime.deterministic is true: no GPU */
} run_strategy;

/* Devices to compile for. */
typedef struct compile_target {
    const char    *name; /* as the user wrote it */
    bt_pjrt_target parsed;
} compile_target;

/* What an engine is made on. */
typedef struct run_devices {
    run_strategy          strategy;
    bt_pjrt_plugin       *plugin; /* of strategy.on_devices, once they are open */
    bt_pjrt_client       *client;
    const compile_target *target; /* --compile_only: devices that need not be here; else NULL */
    bt_exec_ahead        *ahead;  /* of the target, in place of plugin and client */
} run_devices;

/* What of the run says whether its batches can be shared between devices. */
typedef struct strategy_work {
    const bt_data_config *train_data; /* NULL: the mode does not train */
    bt_loss_kind          loss;
} strategy_work;

/* Of the processes of a job, which train together. */
#define STRATEGY_TOGETHER "multi_worker_mirrored"
bool strategy_is_together(const bt_conf *conf);
/* Do runtime.distribution_strategy and the keys beside it go together, and are they offered? Looks
 * for no device. */
BT_MUST_USE bt_status strategy_check(const bt_conf_check *check);
/* What the keys, which are checked, ask for; what has no effect is told. */
BT_MUST_USE bt_status strategy_read(const bt_conf *conf, run_strategy *out, bt_error *err);
/* Do the keys, which are checked, ask for devices? */
BT_MUST_USE bt_status strategy_wants_devices(const bt_conf *conf, bool *out, bt_error *err);
/* The devices, where there are to be any: found, opened and counted; BT_E_BACKEND: there are none.
 * strategy_close after the engine is freed. With a target those to compile for: it says of which
 * kind they are and how many. */
BT_MUST_USE bt_status strategy_open(run_devices *devices, const bt_conf *conf,
                                    const strategy_work *work, bt_error *err);
void                  strategy_close(run_devices *devices);
bt_exec_shares        strategy_shares(const run_strategy *strategy);
/* Devices, of n_replicas. */
int32_t               strategy_n_evaluating(const run_strategy *strategy, bt_loss_kind loss);
BT_MUST_USE bt_status strategy_create_exec(const run_devices *devices, const bt_model *model,
                                           const bt_optim *optim, const bt_exec_config *config,
                                           bt_exec **out, bt_error *err);

#endif
