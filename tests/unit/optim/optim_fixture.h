/* SPDX-License-Identifier: Apache-2.0
 *
 * Configurations for the optimizer's tests, and a table of a few parameters. */
#ifndef BT_OPTIM_FIXTURE_H
#define BT_OPTIM_FIXTURE_H

#include "test_tensors.h"

#include "bt/conf.h"
#include "bt/optim.h"

/* bert/sentence_prediction with trainer.optimizer_config merged from JSON texts (or NULL), in
 * order. Fails the test when the configuration is refused. */
bt_conf *fixture_conf(const char *first, const char *second);
/* The same from a golden's JSON object below optimizer_config, over Model Garden's class defaults
 * (the experiment sets some of them otherwise). */
bt_conf *fixture_conf_of(const json_t *optimizer_config);

/* An optimizer for a table of no parameters, or for `table`. Fails the test on errors. */
bt_optim *fixture_optim(const bt_conf *conf, const bt_param_table *table);
/* Such a configuration is refused, by the checks or at last where the optimizer is made, with a
 * message that holds the text. */
void fixture_refuses(const char *optimizer_config, const char *text);

/* Appends a parameter of a golden. */
void fixture_add_param(bt_param_table *table, const char *name, int32_t rank, const int64_t *dim,
                       bool has_gradient);

#endif
