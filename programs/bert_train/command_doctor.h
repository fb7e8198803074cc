/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of bert-train doctor: what is found is told to a list, check by check. */
#ifndef BT_CLI_COMMAND_DOCTOR_H
#define BT_CLI_COMMAND_DOCTOR_H

#include "bert_train.h"

typedef enum doctor_state {
    DOCTOR_OK,
    DOCTOR_NOTE,    /* worth knowing; nothing has to be done */
    DOCTOR_PROBLEM, /* decides the exit code */
} doctor_state;

typedef struct doctor {
    const bt_flags *flags;
    bool            is_json;
    int             status; /* of the gravest problem so far; 0: none */
    size_t          n;
    bt_str         *out;
} doctor;

/* The check that is under way. */
typedef struct doctor_check {
    const char *name;
    int         status; /* the exit code of a problem of this kind */
    bt_status (*run)(doctor *d, const struct doctor_check *check, bt_error *err);
} doctor_check;

/* One finding. advice: what to do, or NULL. */
BT_MUST_USE bt_status doctor_tell(doctor *d, const doctor_check *check, doctor_state state,
                                  const char *advice, bt_error *err, const char *fmt, ...)
    BT_PRINTF(6, 7);

/* doctor_machine.c */
BT_MUST_USE bt_status doctor_processor(doctor *d, const doctor_check *check, bt_error *err);
BT_MUST_USE bt_status doctor_kernels(doctor *d, const doctor_check *check, bt_error *err);
BT_MUST_USE bt_status doctor_memory(doctor *d, const doctor_check *check, bt_error *err);
BT_MUST_USE bt_status doctor_clock(doctor *d, const doctor_check *check, bt_error *err);
BT_MUST_USE bt_status doctor_locale(doctor *d, const doctor_check *check, bt_error *err);

/* doctor_places.c */
BT_MUST_USE bt_status doctor_disk(doctor *d, const doctor_check *check, bt_error *err);
BT_MUST_USE bt_status doctor_stores(doctor *d, const doctor_check *check, bt_error *err);
BT_MUST_USE bt_status doctor_caches(doctor *d, const doctor_check *check, bt_error *err);

/* doctor_devices.c */
BT_MUST_USE bt_status doctor_devices(doctor *d, const doctor_check *check, bt_error *err);

#endif
