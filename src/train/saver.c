/* SPDX-License-Identifier: Apache-2.0
 *
 * Saving beside training: the state is copied, and a thread of its own writes the copy while the
 * steps go on. One save at a time: the next one, and whatever must come after a save (reading it
 * back, the record of an evaluation, the end of the run), waits for the one before. Where there is
 * no room for the copy, or nothing would go on meanwhile, a save is written at once from the
 * engine's own buffers; the bytes are the same. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/base/cores.h"
#include "bt/base/log.h"
#include "bt/base/memory.h"
#include "bt/base/number.h"
#include "bt/base/stop.h"
#include "bt/base/time.h"
#include "bt/fs.h"
#include "saver.h"

static const double first_retry_seconds = 0.5;

/* The training threads come first: what the writer takes of a core, all of them wait for. */
enum { WRITER_NICE = 5 };

struct saver {
    bt_exec              *exec;    /* borrowed */
    const bt_param_table *table;   /* borrowed */
    size_t                n_bytes; /* of the copy: what of it is written */
    float                *copy;    /* NULL: not taken yet */
    bool                  is_off;  /* there was no room after all */
    bool                  is_running;
    pthread_t             thread;
    atomic_int            status; /* bt_status of the job that runs, once it is over */
    int64_t               last;   /* save_counts.last before it */
    save_order            order;
    int64_t               n_retries;
    bt_error              problem;
};

static bool is_gone(const char *folder) {
    bt_fs_info info;
    return !bt_fs_is_remote(folder) && bt_fs_stat(folder, &info, NULL) == BT_OK &&
           info.kind == BT_FS_MISSING;
}

static void tell_saved(const save_order *order, double seconds) {
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", order->folder, order->name);
    const bt_log_field fields[] = {bt_log_int("step", order->view.global_step),
                                   bt_log_text("path", path), bt_log_number("seconds", seconds)};
    bt_log_event(BT_LOG_INFO, "checkpoint", fields, BT_ARRAY_LEN(fields),
                 "saved checkpoint to %s/%s", order->folder, order->name);
}

/* A disk that is full for a moment must not end a run of hours: trainer.checkpoint_retry more
 * tries, each after twice the wait. What was there before stays whole in any case. */
static bt_status write_with_retries(const save_order *order, int64_t n_retries, bt_error *err) {
    double wait = first_retry_seconds;
    for (int64_t retry = 0;; retry++) {
        const double    began = bt_time_monotonic();
        const bt_status rc = bt_ckpt_manager_save(order->manager, order->name, &order->view, err);
        if (rc == BT_OK) {
            tell_saved(order, bt_time_monotonic() - began);
        }
        if (rc == BT_E_RESOURCE && is_gone(order->folder)) {
            return BT_FAIL(err, rc,
                           "%s was removed or renamed during the run: %s is not saved, and "
                           "nothing more is written there",
                           order->folder, order->name);
        }
        if (rc != BT_E_RESOURCE || retry >= n_retries || bt_stop_requested()) {
            return rc;
        }
        bt_log(BT_LOG_WARNING, "%s; trying again in %g seconds (%" PRId64 " of %" PRId64 ")",
               err != NULL ? err->msg : "cannot save", wait, retry + 1, n_retries);
        (void)bt_stop_sleep(wait);
        wait *= 2;
    }
}

bool saver_find_odd(const bt_ckpt_train *view, saver_odd *out) {
    const float *const flats[] = {view->params, view->average};
    for (size_t f = 0; f < BT_ARRAY_LEN(flats); f++) {
        for (int64_t i = 0; flats[f] != NULL && i < view->table->n_params; i++) {
            const bt_param *const param = &view->table->params[i];
            const int64_t         at = bt_f32_find_odd(flats[f] + param->offset, param->n_elements);
            if (at >= 0) {
                *out = (saver_odd){param->name, f > 0 ? " (its average)" : "",
                                   (double)flats[f][param->offset + at]};
                return true;
            }
        }
    }
    return false;
}

/* What nobody could go on from takes no place of what one can: an update may have made the weights
 * infinite, which shows in a loss only at the next step. */
static bt_status check_finite(const save_order *order, bt_error *err) {
    saver_odd odd;
    return !saver_find_odd(&order->view, &odd)
               ? BT_OK
               : BT_FAIL(err, BT_E_DIVERGED,
                         "step %" PRId64 ": %s%s is %g after its update, not a finite number: %s "
                         "is not saved, and %s; try a smaller learning rate",
                         order->view.global_step, odd.name, odd.part, odd.value, order->name,
                         order->last >= 0 ? "what was saved before stays"
                                          : "nothing was saved before it");
}

static bt_status check_and_write(const save_order *order, int64_t n_retries, bt_error *err) {
    BT_TRY(check_finite(order, err));
    return write_with_retries(order, n_retries, err);
}

static void free_order(save_order *order) {
    bt_str_deinit(&order->state);
    *order = (save_order){.state = BT_STR_INIT};
}

static void *write_beside(void *arg) {
    saver *const s = arg;
    bt_cpus_unbind();
    bt_stop_shield(true); /* as the thread that trains */
    const id_t self = (id_t)syscall(SYS_gettid);
    (void)setpriority(PRIO_PROCESS, self, getpriority(PRIO_PROCESS, self) + WRITER_NICE);
    const bt_status rc = check_and_write(&s->order, s->n_retries, &s->problem);
    bt_stop_shield(false);
    atomic_store(&s->status, (int)rc);
    return NULL;
}

size_t saver_state_bytes(const bt_param_table *table, const bt_optim *optim) {
    const size_t n_flat = bt_optim_has_average(optim) ? 2 : 1;
    return (n_flat * (size_t)table->n_elements +
            (size_t)bt_optim_n_slots(optim) * (size_t)bt_param_table_n_trained(table)) *
           sizeof(float);
}

bt_status saver_create(bt_exec *exec, const bt_param_table *table, size_t n_bytes, saver **out,
                       bt_error *err) {
    saver *const s = bt_calloc_array(1, sizeof *s);
    if (s == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory to save");
    }
    s->exec = exec;
    s->table = table;
    s->n_bytes = n_bytes;
    *out = s;
    return BT_OK;
}

/* Not worth ending a run: it saves between the steps then. */
static bool has_copy(saver *s, const bt_ckpt_train *view) {
    const size_t n_flat = 1 + (size_t)view->n_slots + (view->average != NULL ? 1 : 0);
    if (s->copy == NULL && !s->is_off) {
        bt_exec_reserve_memory(s->exec, 0); /* it is taken now */
        s->copy = bt_memory_available("") >= s->n_bytes
                      ? bt_alloc_array(n_flat * (size_t)s->table->n_elements, sizeof *s->copy)
                      : NULL;
        s->is_off = s->copy == NULL;
    }
    if (s->copy == NULL) {
        bt_log(BT_LOG_INFO,
               "checkpoints are written between the steps from now on: the %.1f MiB for a copy of "
               "the state are no longer available",
               (double)s->n_bytes / 0x1p20);
    }
    return s->copy != NULL;
}

/* From the engine's buffer, at *view, into the copy, which takes its place. */
static void copy_buffer(const saver *s, float **at, const float **view) {
    bt_exec_copy(s->exec, *at, *view);
    *view = *at;
    *at += s->table->n_elements;
}

/* The same of a slot, of which nothing is kept where a parameter is not trained. */
static void copy_slot(const saver *s, float **at, const float **view) {
    const bt_param_table *const table = s->table;
    for (int64_t i = 0; i < table->n_params; i++) {
        const bt_param *const param = &table->params[i];
        if (param->has_gradient) {
            memcpy(*at + param->offset, *view + param->offset,
                   (size_t)param->n_elements * sizeof **at);
        }
    }
    *view = *at;
    *at += table->n_elements;
}

static void copy_all(const saver *s, bt_ckpt_train *view) {
    float *at = s->copy;
    /* a pooler that no head reads is not worth another way than that of all threads */
    const bool trains_most = bt_param_table_n_trained(s->table) > s->table->n_elements / 2;
    copy_buffer(s, &at, &view->params);
    for (int32_t i = 0; i < view->n_slots; i++) {
        if (trains_most) {
            copy_buffer(s, &at, &view->slots[i]);
        } else {
            copy_slot(s, &at, &view->slots[i]);
        }
    }
    if (view->average != NULL) {
        copy_buffer(s, &at, &view->average);
    }
}

/* The thread takes no signals: they are for the one that trains. false: there is no thread. */
static bool start_thread(saver *s) {
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(&s->thread, NULL, write_beside, s);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed == 0;
}

/* Moves the order. false: nothing was done. */
static bool save_beside(saver *s, save_order *order, int64_t n_retries, const save_counts *counts) {
    if (s->is_off || !has_copy(s, &order->view)) {
        return false;
    }
    copy_all(s, &order->view);
    s->order = *order;
    s->n_retries = n_retries;
    s->last = counts->last;
    s->problem = (bt_error)BT_ERROR_INIT;
    atomic_store(&s->status, (int)BT_OK);
    *order = (save_order){.state = BT_STR_INIT};
    s->is_running = start_thread(s);
    if (!s->is_running) { /* the copy is as good */
        *order = s->order;
        s->order = (save_order){.state = BT_STR_INIT};
    }
    return s->is_running;
}

bt_status saver_save(saver *s, save_order *order, bool goes_on, int64_t n_retries,
                     save_counts *counts, bt_error *err) {
    bt_status  rc = saver_join(s, counts, err);
    const bool is_beside =
        rc == BT_OK && goes_on && s != NULL && save_beside(s, order, n_retries, counts);
    if (rc == BT_OK && !is_beside) {
        rc = check_and_write(order, n_retries, err);
    }
    free_order(order);
    return rc;
}

bool saver_has_failed(const saver *s) {
    return s != NULL && s->is_running && atomic_load(&s->status) != (int)BT_OK;
}

bt_status saver_join(saver *s, save_counts *counts, bt_error *err) {
    if (s == NULL || !s->is_running) {
        return BT_OK;
    }
    (void)pthread_join(s->thread, NULL);
    s->is_running = false;
    free_order(&s->order);
    const bt_status rc = (bt_status)atomic_load(&s->status);
    if (rc == BT_OK) {
        return BT_OK;
    }
    counts->last = s->last;
    counts->n--;                                      /* it was counted when it began */
    if (rc == BT_E_RESOURCE && bt_stop_requested()) { /* the stop saves, too: another try */
        bt_log(BT_LOG_WARNING, "%s", s->problem.msg);
        return bt_stop_check(err);
    }
    if (err != NULL) {
        *err = s->problem;
    }
    return rc;
}

void saver_free(saver *s) {
    bt_error        problem = BT_ERROR_INIT;
    save_counts     ignored = {0};
    const bt_status rc = saver_join(s, &ignored, &problem);
    if (rc != BT_OK && rc != BT_E_INTERRUPTED) {
        bt_log(BT_LOG_WARNING, "%s", problem.msg); /* of a run that ends with another error */
    }
    if (s != NULL) {
        bt_free(s->copy);
        bt_free(s);
    }
}
