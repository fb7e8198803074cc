/* SPDX-License-Identifier: Apache-2.0
 *
 * What a test may ask of the fake plug-in (fake_plugin.c) through dlsym. */
#ifndef BT_TEST_FAKE_PLUGIN_H
#define BT_TEST_FAKE_PLUGIN_H

#include <stdint.h>

typedef struct fake_plugin {
    const char *fail;       /* name of the function that fails ("PJRT_Client_Create"); NULL: none */
    int         fail_code;  /* of PJRT_Error_Code */
    int         fail_after; /* so many calls of it go well first */
    int         major, minor;  /* of the table that GetPjrtApi gives */
    int         n_missing;     /* that many functions are missing at the end of the table */
    int         gives_nothing; /* GetPjrtApi gives NULL */
    int         n_devices;
    int         n_results;                    /* of each program: copies of its arguments; 0: two */
    int64_t     temporary_bytes, limit_bytes; /* of each program; of each device. 0: 77 and 1000 */
    int         live;                         /* objects given out and not given back */
} fake_plugin;

/* "fake_plugin_state": the one that the plug-in uses. */
typedef fake_plugin *(*fake_plugin_state_fn)(void);

#endif
