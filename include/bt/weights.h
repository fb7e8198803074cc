/* SPDX-License-Identifier: Apache-2.0
 *
 * weights: what a run starts from: task.init_checkpoint, or the TF Hub module of
 * task.hub_module_url. Opened, held against the model, loaded; and what they say of themselves
 * (sizes, arithmetic, head, vocabulary), into the keys that nobody wrote. Knows of no run and of no
 * model_dir. */
#ifndef BT_WEIGHTS_H
#define BT_WEIGHTS_H

#include "bt/conf.h"
#include "bt/data.h"
#include "bt/model.h"
#include "bt/task.h"

typedef struct bt_weights bt_weights;

/* Reads the keys of conf, and nothing else. offline: modules come from the cache only. conf lives
 * longer. */
BT_MUST_USE bt_status bt_weights_create(const bt_conf *conf, bool offline, bt_weights **out,
                                        bt_error *err);
void                  bt_weights_free(bt_weights *w); /* NULL: nothing */

/* What the weights are for. Borrowed. */
typedef struct bt_weights_use {
    const bt_conf        *conf;
    bt_conf_mode          mode;
    const bt_data_config *train_data, *validation_data; /* read where the mode has the section */
    bt_task_plan         *plan; /* its schemas get the vocabulary of a module */
    const bt_model       *model;
} bt_weights_use;

/* The module's vocabulary and do_lower_case into the schemas of data sections that read text and
 * name no vocabulary. Looks for the module only where there is such a section. */
BT_MUST_USE bt_status bt_weights_give_assets(bt_weights *w, const bt_weights_use *use,
                                             bt_error *err);
/* Finds the module, if there is one: it must be what the model is; where the text of a section has
 * another vocabulary or case is told. */
BT_MUST_USE bt_status bt_weights_prepare(bt_weights *w, const bt_weights_use *use, bt_error *err);
/* Once prepared: the checkpoint, or the folder of the module; "": training starts from random
 * weights. */
const char *bt_weights_path(const bt_weights *w);
/* Once prepared: opens it and compares kind, names and shapes, without reading values. */
BT_MUST_USE bt_status bt_weights_check(const bt_weights *w, const bt_weights_use *use,
                                       bt_error *err);
/* Who gets the parameters, one after the other: gives a place for the values of one, which then has
 * them. One may come twice: what comes last counts. */
typedef struct bt_weights_taker {
    float *(*place)(void *context, int64_t param);
    bt_status (*take)(void *context, int64_t param, bt_error *err);
    void *context;
} bt_weights_taker;
/* Once prepared: to the taker, values of the file for the encoder (and the head, where asked),
 * fresh ones by the init rules and the seed for all else, then adapters and what was trained with
 * them. What was loaded, what stays fresh and what was left over is told. */
BT_MUST_USE bt_status bt_weights_load(const bt_weights *w, const bt_weights_use *use, uint64_t seed,
                                      const bt_weights_taker *taker, bt_error *err);

/* What the weights say of themselves into the keys of conf that nobody wrote: sizes, kind and
 * arithmetic of the encoder, the head, vocabulary and treatment of text. Before
 * bt_conf_check_for_mode. Errors are those of reading the weights. */
BT_MUST_USE bt_status bt_weights_adopt_facts(bt_conf *conf, bt_conf_mode mode, bool offline,
                                             bt_error *err);
/* Before the configuration is checked for a mode: what the file says of a head that is taken from
 * task.init_checkpoint (the names of its classes), or of how a dual encoder makes its vectors, into
 * the keys that the user left open.
 * BT_E_CONFIG where he says something else. Nothing, where the file cannot be opened. */
BT_MUST_USE bt_status bt_weights_read_head(bt_conf *conf, bt_conf_errors *errors, bt_error *err);

#endif
