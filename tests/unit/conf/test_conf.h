/* SPDX-License-Identifier: Apache-2.0
 *
 * The test groups of the conf room's files. */
#ifndef TEST_CONF_H
#define TEST_CONF_H

#include "bt/conf.h"
#include "test_support.h"

int run_value_tests(void); /* scalars, CSV, dumping, bombs */
int run_read_tests(void);
int run_diff_tests(void);

/* Must succeed without problems; free with bt_conf_free. */
bt_conf *build_conf(const char *experiment, const char *override);

#endif
