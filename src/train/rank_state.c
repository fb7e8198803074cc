/* SPDX-License-Identifier: Apache-2.0
 *
 * What the ranks that did not restore a run get from the one that did: all that it goes on from. */
#include <string.h>

#include "bt/base/alloc.h"
#include "run.h"

/* In pieces, so that no message is longer than comm's. */
static bt_status tell_flat(ranks *r, float *flat, int64_t n, bt_error *err) {
    enum { PIECE = 1 << 22 };
    for (int64_t at = 0; flat != NULL && at < n; at += PIECE) {
        BT_TRY(ranks_tell(r, flat + at, (size_t)(n - at < PIECE ? n - at : PIECE) * sizeof *flat,
                          err));
    }
    return BT_OK;
}

static bt_status tell_buffers(train_run *run, bt_error *err) {
    const int64_t n = run->model->table.n_elements;
    BT_TRY(bt_exec_settle(run->exec, err));
    BT_TRY(tell_flat(&run->ranks, bt_exec_params(run->exec), n, err));
    for (int32_t i = 0; i < bt_optim_n_slots(run->optim); i++) {
        BT_TRY(tell_flat(&run->ranks, bt_exec_slot(run->exec, i), n, err));
    }
    BT_TRY(tell_flat(&run->ranks, bt_exec_average(run->exec), n, err));
    return bt_exec_changed(run->exec, err);
}

/* What the state of a checkpoint does not hold, and how long that state is. */
enum { TELL_STEP, TELL_LAST_SAVED, TELL_KNOWS_BEST, TELL_N_BYTES, N_TOLD };

bt_status ranks_share_state(train_run *run, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    bytes = BT_STR_INIT;
    uint8_t  *state = NULL;
    if (run->ranks.comm == NULL) {
        return BT_OK;
    }
    if (run_writes(run)) {
        BT_CHECK(course_write(run, &bytes, err));
    }
    int64_t told[N_TOLD] = {run->step, run->saved.last, run->knows_best, (int64_t)bytes.len};
    BT_CHECK(ranks_tell(&run->ranks, told, sizeof told, err));
    state = bt_alloc((size_t)told[TELL_N_BYTES] + 1);
    if (state == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory for the state of a run");
        goto done;
    }
    memcpy(state, bt_str_text(&bytes), bytes.len);
    BT_CHECK(ranks_tell(&run->ranks, state, (size_t)told[TELL_N_BYTES], err));
    BT_CHECK(tell_buffers(run, err));
    if (!run_writes(run)) {
        run->step = told[TELL_STEP];
        run->saved.last = told[TELL_LAST_SAVED];
        BT_CHECK(course_take(run, state, (size_t)told[TELL_N_BYTES], err));
        run->knows_best = told[TELL_KNOWS_BEST] != 0;
    }
done:
    bt_free(state);
    bt_str_deinit(&bytes);
    return rc;
}
