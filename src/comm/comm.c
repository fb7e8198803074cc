/* SPDX-License-Identifier: Apache-2.0
 *
 * What bt/comm.h promises, on the caller's thread: operations are filled here and posted, and their
 * results taken. A job of one process has no bt_comm at all. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "bt/base/alloc.h"
#include "bt/base/time.h"
#include "comm_internal.h"

enum { PART_ELEMENTS = 1 << 22 }; /* of a sum: 16 MiB; what is added while the next one travels */
static const double usual_start_seconds = 300;
static const double usual_silence_seconds = 20;
static const double longest_alive_seconds = 2;

int32_t bt_comm_rank(const bt_comm *comm) {
    return comm != NULL ? comm->rank : 0;
}

int32_t bt_comm_size(const bt_comm *comm) {
    return comm != NULL ? comm->size : 1;
}

const char *bt_comm_host(const bt_comm *comm, int32_t rank) {
    return comm != NULL ? comm->cards[rank].host : "localhost";
}

bt_comm_stats bt_comm_get_stats(bt_comm *comm) {
    return comm == NULL ? (bt_comm_stats){0}
                        : (bt_comm_stats){.sent_bytes = atomic_load(&comm->n_sent),
                                          .received_bytes = atomic_load(&comm->n_received),
                                          .waited_seconds = comm->waited_seconds};
}

static void free_op(const bt_comm *comm, bt_comm_op *op) {
    for (int32_t i = 0; op->in != NULL && i < comm->size; i++) {
        bt_free(op->in[i].data);
    }
    bt_free(op->in);
    bt_free(op->own.data);
    bt_free(op->rounded.data);
    bt_free(op->has_come);
    bt_free(op);
}

static bt_status take_op(bt_comm *comm, comm_frame_kind kind, const char *what, bt_comm_op **out,
                         bt_error *err) {
    pthread_mutex_lock(&comm->lock);
    bt_comm_op *op = comm->free_ops;
    comm->free_ops = op != NULL ? op->next : NULL;
    pthread_mutex_unlock(&comm->lock);
    if (op == NULL) {
        op = bt_calloc_array(1, sizeof *op);
        if (op != NULL) {
            op->in = bt_calloc_array((size_t)comm->size, sizeof *op->in);
            op->has_come = bt_calloc_array((size_t)comm->size, sizeof *op->has_come);
        }
        if (op == NULL || op->in == NULL || op->has_come == NULL) {
            if (op != NULL) {
                free_op(comm, op);
            }
            return BT_FAIL(err, BT_E_NOMEM, "out of memory for what the ranks do together");
        }
    }
    *op = (bt_comm_op){.comm = comm,
                       .kind = kind,
                       .what = what,
                       .in = op->in,
                       .own = op->own,
                       .rounded = op->rounded,
                       .has_come = op->has_come};
    *out = op;
    return BT_OK;
}

/* With its further parts. */
static void release_op(bt_comm_op *op) {
    while (op != NULL) {
        bt_comm *const    comm = op->comm;
        bt_comm_op *const more = op->more;
        pthread_mutex_lock(&comm->lock);
        op->next = comm->free_ops;
        comm->free_ops = op;
        pthread_mutex_unlock(&comm->lock);
        op = more;
    }
}

static bt_status post_ops(bt_comm *comm, bt_comm_op *ops, bt_error *err) {
    pthread_mutex_lock(&comm->lock);
    const bool has_failed = comm->has_failed;
    for (bt_comm_op *op = ops; op != NULL && !has_failed; op = op->more) {
        op->next = NULL;
        if (comm->last_posted != NULL) {
            comm->last_posted->next = op;
        } else {
            comm->first_posted = op;
        }
        comm->last_posted = op;
    }
    const bt_error why = comm->error;
    pthread_mutex_unlock(&comm->lock);
    if (has_failed) {
        release_op(ops);
        return BT_FAIL(err, why.code, "%s", why.msg);
    }
    comm_wake(comm);
    return BT_OK;
}

/* One part. *is_late: not done by the deadline. */
static bt_status wait_part(bt_comm_op *op, double deadline, bool *is_late, bt_error *err) {
    bt_comm *const        comm = op->comm;
    const struct timespec until = {.tv_sec = (time_t)deadline,
                                   .tv_nsec = (long)((deadline - (double)(time_t)deadline) * 1e9)};
    bt_error              why = BT_ERROR_INIT;
    int                   waited = 0;
    pthread_mutex_lock(&comm->lock);
    while (!op->is_done && waited != ETIMEDOUT) {
        waited = deadline > 0 ? pthread_cond_timedwait(&comm->changed, &comm->lock, &until)
                              : pthread_cond_wait(&comm->changed, &comm->lock);
    }
    const bool      is_done = op->is_done;
    const bt_status rc = op->status;
    if (is_done && rc != BT_OK) {
        why = comm->error;
    }
    pthread_mutex_unlock(&comm->lock);
    *is_late = !is_done;
    return is_done && rc != BT_OK ? BT_FAIL(err, why.code, "%s", why.msg) : BT_OK;
}

/* The first who did not come yet, and how many others. */
static bt_status fail_late(const bt_comm_op *op, bt_error *err) {
    const bt_comm *const comm = op->comm;
    const char          *first = "";
    int32_t              n = 0;
    for (int32_t rank = 0; rank < comm->size; rank++) {
        if (rank != comm->rank && !atomic_load(&op->has_come[rank])) {
            first = n == 0 ? comm->peers[rank].label : first;
            n++;
        }
    }
    if (n <= 1) {
        return BT_FAIL(err, BT_E_BACKEND, "%s: %s did not come in time", op->what, first);
    }
    return BT_FAIL(err, BT_E_BACKEND, "%s: %s and %" PRId32 " more did not come in time", op->what,
                   first, n - 1);
}

static bt_status wait_op(bt_comm_op *op, double deadline, bt_error *err) {
    const double begin = bt_time_monotonic();
    bt_status    rc = BT_OK;
    bool         is_late = false;
    for (bt_comm_op *part = op; part != NULL; part = part->more) {
        bt_error        why = BT_ERROR_INIT;
        const bt_status status = wait_part(part, deadline, &is_late, &why);
        if (is_late) {
            (void)!fail_late(part, &why);
            bt_comm_fail(part->comm, &why);
            (void)!wait_part(part, 0, &is_late, NULL); /* the thread lets go of it */
            rc = rc != BT_OK ? rc : BT_FAIL(err, why.code, "%s", why.msg);
        } else if (status != BT_OK && rc == BT_OK) {
            rc = BT_FAIL(err, status, "%s", why.msg);
        }
    }
    if (op != NULL) {
        op->comm->waited_seconds += bt_time_monotonic() - begin;
    }
    return rc;
}

bt_status bt_comm_begin_sum_f32(bt_comm *comm, float *values, int64_t n, bt_comm_wire wire,
                                bt_comm_op **op, bt_error *err) {
    bt_comm_op *first = NULL;
    bt_comm_op *last = NULL;
    *op = NULL;
    if (comm == NULL || n <= 0) {
        return BT_OK;
    }
    for (int64_t begin = 0; begin < n; begin += PART_ELEMENTS) {
        bt_comm_op     *part = NULL;
        const bt_status rc = take_op(comm, COMM_FRAME_SUM, "a sum of gradients", &part, err);
        if (rc != BT_OK) {
            release_op(first);
            return rc;
        }
        part->values = values + begin;
        part->n = n - begin < PART_ELEMENTS ? n - begin : PART_ELEMENTS;
        part->wire = wire;
        if (first == NULL) {
            first = part;
        } else {
            last->more = part;
        }
        last = part;
    }
    BT_TRY(post_ops(comm, first, err));
    *op = first;
    return BT_OK;
}

static double combine_f64(bt_comm_combine how, double a, double b) {
    if (how == BT_COMM_SUM || a != a || b != b) {
        return a + b;
    }
    return (how == BT_COMM_MAX) == (a > b) ? a : b;
}

static int64_t combine_i64(bt_comm_combine how, int64_t a, int64_t b) {
    if (how == BT_COMM_SUM) {
        return (int64_t)((uint64_t)a + (uint64_t)b);
    }
    return (how == BT_COMM_MAX) == (a > b) ? a : b;
}

static const uint8_t *vector_of(const bt_comm_op *op, int32_t rank) {
    return rank == op->comm->rank ? op->own.data : op->in[rank].data;
}

/* In the order of the ranks. */
static void combine(bt_comm_op *op) {
    const size_t n = op->out.n / 8;
    for (size_t i = 0; i < n; i++) {
        double  f64 = 0;
        int64_t i64 = 0;
        for (int32_t rank = 0; rank < op->comm->size; rank++) {
            double  x = 0;
            int64_t y = 0;
            memcpy(&x, vector_of(op, rank) + 8 * i, sizeof x);
            memcpy(&y, vector_of(op, rank) + 8 * i, sizeof y);
            f64 = rank == 0 ? x : combine_f64(op->how, f64, x);
            i64 = rank == 0 ? y : combine_i64(op->how, i64, y);
        }
        void *const to = (uint8_t *)op->result + 8 * i;
        memcpy(to, op->is_f64 ? (const void *)&f64 : (const void *)&i64, 8);
    }
}

static bt_status begin_combine(bt_comm *comm, bt_comm_combine how, void *values, int32_t n,
                               bool is_f64, bt_comm_op **out, bt_error *err) {
    bt_comm_op  *op = NULL;
    const size_t n_bytes = 8 * (size_t)n;
    BT_ASSERT(n <= BT_COMM_COMBINE_MAX);
    *out = NULL;
    if (comm == NULL || n <= 0) {
        return BT_OK;
    }
    BT_TRY(take_op(comm, COMM_FRAME_EXCHANGE, "a combination of numbers", &op, err));
    const bt_status rc = comm_bytes_reserve(&op->own, n_bytes, err);
    if (rc != BT_OK) {
        release_op(op);
        return rc;
    }
    memcpy(op->own.data, values, n_bytes);
    op->out = (comm_span){op->own.data, n_bytes};
    op->min_bytes = n_bytes;
    op->max_bytes = n_bytes;
    op->result = values;
    op->is_f64 = is_f64;
    op->how = how;
    BT_TRY(post_ops(comm, op, err));
    *out = op;
    return BT_OK;
}

bt_status bt_comm_begin_combine_f64(bt_comm *comm, bt_comm_combine how, double *values, int32_t n,
                                    bt_comm_op **op, bt_error *err) {
    return begin_combine(comm, how, values, n, true, op, err);
}

bt_status bt_comm_wait(bt_comm_op *op, bt_error *err) {
    const bt_status rc = wait_op(op, 0, err);
    if (rc == BT_OK && op != NULL && op->result != NULL) {
        combine(op);
    }
    release_op(op);
    return rc;
}

bt_status bt_comm_combine_i64(bt_comm *comm, bt_comm_combine how, int64_t *values, int32_t n,
                              bt_error *err) {
    bt_comm_op *op = NULL;
    BT_TRY(begin_combine(comm, how, values, n, false, &op, err));
    return bt_comm_wait(op, err);
}

bt_status bt_comm_broadcast(bt_comm *comm, int32_t root, void *bytes, size_t n_bytes,
                            bt_error *err) {
    bt_comm_op *op = NULL;
    if (comm == NULL) {
        return BT_OK;
    }
    BT_ASSERT(root >= 0 && root < comm->size);
    BT_TRY(take_op(comm, COMM_FRAME_EXCHANGE, "a broadcast", &op, err));
    op->pattern = COMM_FROM_ROOT;
    op->root = root;
    op->min_bytes = n_bytes;
    op->max_bytes = n_bytes;
    op->out = (comm_span){bytes, n_bytes};
    op->place = comm->rank == root ? NULL : bytes;
    BT_TRY(post_ops(comm, op, err));
    return bt_comm_wait(op, err);
}

void bt_comm_pieces_free(bt_comm_piece *pieces, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        bt_free(pieces[i].bytes);
        pieces[i] = (bt_comm_piece){.bytes = NULL};
    }
}

static bt_status take_pieces(const bt_comm_op *op, int32_t size, bt_comm_piece *pieces,
                             bt_error *err) {
    for (int32_t rank = 0; rank < size; rank++) {
        const bool        is_own = op == NULL || rank == op->root;
        const void *const from = is_own ? pieces[rank].bytes : op->in[rank].data;
        const size_t      n = is_own ? pieces[rank].n_bytes : op->in[rank].n;
        uint8_t *const    copy = bt_alloc(n);
        if (copy == NULL) {
            for (int32_t i = rank; i < size; i++) {
                pieces[i] = (bt_comm_piece){.bytes = NULL};
            }
            bt_comm_pieces_free(pieces, rank);
            return BT_FAIL(err, BT_E_NOMEM, "out of memory for %zu bytes of rank %" PRId32, n,
                           rank);
        }
        if (n > 0) {
            memcpy(copy, from, n);
        }
        pieces[rank] = (bt_comm_piece){.bytes = copy, .n_bytes = n};
    }
    return BT_OK;
}

bt_status bt_comm_gather(bt_comm *comm, const void *bytes, size_t n_bytes, size_t max_bytes,
                         bt_comm_piece *pieces, bt_error *err) {
    bt_comm_op         *op = NULL;
    const bt_comm_piece own = {.bytes = (uint8_t *)(uintptr_t)bytes, .n_bytes = n_bytes};
    BT_ASSERT(n_bytes <= max_bytes);
    if (comm == NULL) {
        pieces[0] = own;
        return take_pieces(NULL, 1, pieces, err);
    }
    BT_TRY(take_op(comm, COMM_FRAME_EXCHANGE, "gathering bytes", &op, err));
    op->pattern = COMM_TO_ROOT;
    op->root = 0;
    op->max_bytes = max_bytes;
    op->out = (comm_span){bytes, n_bytes};
    BT_TRY(post_ops(comm, op, err));
    bt_status rc = wait_op(op, 0, err);
    if (rc == BT_OK && comm->rank == 0) {
        pieces[0] = own;
        rc = take_pieces(op, comm->size, pieces, err);
    }
    release_op(op);
    return rc;
}

bt_status bt_comm_barrier(bt_comm *comm, const char *what, double seconds, bt_error *err) {
    bt_comm_op *op = NULL;
    if (comm == NULL) {
        return BT_OK;
    }
    BT_TRY(take_op(comm, COMM_FRAME_EXCHANGE, what, &op, err));
    BT_TRY(post_ops(comm, op, err));
    const bt_status rc = wait_op(op, seconds > 0 ? bt_time_monotonic() + seconds : 0, err);
    release_op(op);
    return rc;
}

static void free_comm(bt_comm *comm) {
    for (bt_comm_op *op = comm->free_ops; op != NULL;) {
        bt_comm_op *const next = op->next;
        free_op(comm, op);
        op = next;
    }
    for (int32_t rank = 0; comm->peers != NULL && rank < comm->size; rank++) {
        comm_close_fd(&comm->peers[rank].fds[COMM_CONTROL]);
        comm_close_fd(&comm->peers[rank].fds[COMM_DATA]);
        bt_str_deinit(&comm->peers[rank].control_out);
    }
    while (comm->scratch != NULL) {
        comm_scratch *const scratch = comm->scratch;
        comm->scratch = scratch->next;
        bt_free(scratch->bytes.data);
        bt_free(scratch);
    }
    if (comm->has_lock) {
        pthread_mutex_destroy(&comm->lock);
        pthread_cond_destroy(&comm->changed);
    }
    comm_close_fd(&comm->listener);
    comm_close_fd(&comm->wake_fd);
    bt_free(comm->queue);
    bt_free(comm->polled);
    bt_free(comm->peers);
    bt_free(comm->cards);
    bt_free(comm);
}

static bt_status create(const bt_comm_job *job, const bt_comm_config *config, bt_comm **out,
                        bt_error *err) {
    const size_t       n = (size_t)job->size;
    bt_comm *const     comm = bt_calloc_array(1, sizeof *comm);
    pthread_condattr_t monotonic;
    if (comm == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a job of %zu processes", n);
    }
    *out = comm; /* the caller frees it, whatever comes */
    comm->rank = job->rank;
    comm->size = job->size;
    comm->listener = -1;
    comm->wake_fd = -1;
    comm->silence_seconds =
        config->silence_seconds > 0 ? config->silence_seconds : usual_silence_seconds;
    comm->alive_seconds = comm->silence_seconds / 10 < longest_alive_seconds
                              ? comm->silence_seconds / 10
                              : longest_alive_seconds;
    comm->start_deadline = bt_time_monotonic() + (config->start_seconds > 0 ? config->start_seconds
                                                                            : usual_start_seconds);
    comm->peers = bt_calloc_array(n, sizeof *comm->peers);
    for (size_t i = 0; comm->peers != NULL && i < n; i++) {
        comm->peers[i].fds[COMM_CONTROL] = -1;
        comm->peers[i].fds[COMM_DATA] = -1;
    }
    comm->cards = bt_calloc_array(n, sizeof *comm->cards);
    comm->polled = bt_calloc_array(1 + 2 * n, sizeof *comm->polled);
    if (comm->peers == NULL || comm->cards == NULL || comm->polled == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a job of %zu processes", n);
    }
    for (int32_t rank = 0; rank < job->size; rank++) {
        comm_label(comm, rank);
    }
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&comm->lock, NULL);
    (void)pthread_cond_init(&comm->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    comm->has_lock = true;
    comm->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return comm->wake_fd >= 0
               ? BT_OK
               : BT_FAIL(err, BT_E_RESOURCE, "no descriptor for a thread: %s", strerror(errno));
}

/* Signals are the main thread's. */
static bt_status start_thread(bt_comm *comm, bt_error *err) {
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failure = pthread_create(&comm->thread, NULL, comm_thread_main, comm);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    comm->has_thread = failure == 0;
    return failure == 0
               ? BT_OK
               : BT_FAIL(err, BT_E_RESOURCE, "cannot start the thread for the other ranks: %s",
                         strerror(failure));
}

static void stop_thread(bt_comm *comm) {
    if (comm->has_thread) {
        pthread_mutex_lock(&comm->lock);
        comm->wants_end = true;
        pthread_mutex_unlock(&comm->lock);
        comm_wake(comm);
        (void)pthread_join(comm->thread, NULL);
        comm->has_thread = false;
    }
}

/* Until the others have this rank's goodbye and it has theirs, or they have the bad news. */
static void part(bt_comm *comm) {
    pthread_mutex_lock(&comm->lock);
    comm->wants_bye = true;
    comm_wake(comm);
    while (!comm->may_end) {
        (void)pthread_cond_wait(&comm->changed, &comm->lock);
    }
    pthread_mutex_unlock(&comm->lock);
}

bt_status bt_comm_open(const bt_comm_job *job, const bt_comm_config *config, bt_comm **out,
                       bt_error *err) {
    bt_comm  *comm = NULL;
    bt_status rc = BT_OK;
    *out = NULL;
    if (job->size <= 1) {
        return BT_OK;
    }
    if (strlen(config->facts) > COMM_MAX_FACTS || strlen(config->version) > 255) {
        return BT_FAIL(err, BT_E_CONFIG, "the facts of the job are longer than %d bytes",
                       (int)COMM_MAX_FACTS);
    }
    BT_CHECK(create(job, config, &comm, err));
    BT_CHECK(comm_start(comm, job, config, err));
    BT_CHECK(start_thread(comm, err));
    const double left = comm->start_deadline - bt_time_monotonic();
    BT_CHECK(bt_comm_barrier(comm, "the start of the job", left > 1 ? left : 1, err));
    *out = comm;
    comm = NULL;
done:
    if (comm != NULL) {
        if (comm->has_thread) { /* the barrier failed */
            bt_comm_fail(comm, err);
            part(comm);
        }
        stop_thread(comm);
        free_comm(comm);
    }
    return rc;
}

void bt_comm_fail(bt_comm *comm, const bt_error *why) {
    if (comm == NULL || comm->is_refused) { /* then all say the same, and part as they came */
        return;
    }
    pthread_mutex_lock(&comm->lock);
    if (!comm->has_failed && !comm->wants_fail) {
        comm->wants_fail = true;
        comm->failure = why != NULL ? *why : (bt_error)BT_ERROR_INIT;
    }
    pthread_mutex_unlock(&comm->lock);
    comm_wake(comm);
}

bt_status bt_comm_close(bt_comm *comm, bt_error *err) {
    if (comm == NULL) {
        return BT_OK;
    }
    part(comm);
    stop_thread(comm);
    const bool     has_failed = comm->has_failed;
    const bool     is_own = comm->wants_fail;
    const bt_error why = comm->error;
    free_comm(comm);
    return has_failed && !is_own ? BT_FAIL(err, why.code, "%s", why.msg) : BT_OK;
}
