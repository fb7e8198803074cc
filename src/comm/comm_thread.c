/* SPDX-License-Identifier: Apache-2.0
 *
 * The thread of a job: takes what was posted, moves frames, gives and looks for signs of life, and
 * ends the job when a rank is gone. Bad news go over connections on which nothing else waits, so
 * that every rank hears who it was that died, and not who closed next. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/base/cores.h"
#include "bt/base/crc32c.h"
#include "bt/base/time.h"
#include "comm_internal.h"

static const double grace_seconds = 1.0; /* for news that explain a closed connection */

void comm_wake(bt_comm *comm) {
    const uint64_t one = 1;
    (void)!write(comm->wake_fd, &one, sizeof one);
}

/* Without memory the other sees the connection close, which is news enough. */
static void tell(bt_comm *comm, int32_t peer, comm_frame_kind kind, const void *payload, size_t n) {
    comm_peer *const  p = &comm->peers[peer];
    uint8_t           bytes[COMM_HEADER_BYTES];
    const comm_header header = {
        .kind = kind, .seq = comm->next_seq, .n_bytes = n, .crc = bt_crc32c(0, payload, n)};
    comm_header_write(&header, bytes);
    if (p->fds[COMM_CONTROL] < 0 ||
        bt_str_append_n(&p->control_out, bytes, sizeof bytes, NULL) != BT_OK ||
        bt_str_append_n(&p->control_out, payload, n, NULL) != BT_OK) {
        return;
    }
}

static void tell_all(bt_comm *comm, comm_frame_kind kind, const void *payload, size_t n) {
    for (int32_t peer = 0; peer < comm->size; peer++) {
        tell(comm, peer, kind, payload, n);
    }
}

static void finish_list(bt_comm_op *op, bt_status status) {
    for (; op != NULL; op = op->next) {
        op->is_done = true;
        op->status = status;
    }
}

void comm_end_job(bt_comm *comm, const bt_error *why) {
    uint8_t      payload[4 + BT_ERROR_MSG_MAX];
    const size_t n = strlen(why->msg);
    if (comm->is_over) {
        return;
    }
    comm->is_over = true;
    comm->over_since = bt_time_monotonic();
    pthread_mutex_lock(&comm->lock);
    comm->has_failed = true;
    comm->error = *why;
    for (uint64_t seq = comm->first_seq; seq < comm->next_seq; seq++) {
        bt_comm_op *const op = comm->queue[seq - comm->first_seq];
        if (op != NULL) {
            op->is_done = true;
            op->status = why->code;
        }
    }
    finish_list(comm->first_posted, why->code);
    comm->first_posted = NULL;
    comm->last_posted = NULL;
    pthread_cond_broadcast(&comm->changed);
    pthread_mutex_unlock(&comm->lock);
    bt_store_u32le(payload, why->code);
    memcpy(payload + 4, why->msg, n);
    tell_all(comm, COMM_FRAME_FAIL, payload, 4 + n);
}

static void flush_control(bt_comm *comm, int32_t peer) {
    comm_peer *const p = &comm->peers[peer];
    while (p->fds[COMM_CONTROL] >= 0 && p->n_control_sent < p->control_out.len) {
        const ssize_t got =
            send(p->fds[COMM_CONTROL], p->control_out.data + p->n_control_sent,
                 p->control_out.len - p->n_control_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (got < 0) {
            return; /* later; what is broken is noticed where it is read */
        }
        p->n_control_sent += (size_t)got;
    }
    bt_str_clear(&p->control_out);
    p->n_control_sent = 0;
}

/* What a failure of one rank is to the others: a bug and numbers that grew without bound are
 * everybody's; else they lost a process. */
static bt_status code_for_others(uint32_t code) {
    return code == BT_E_INTERNAL || code == BT_E_DIVERGED ? (bt_status)code : BT_E_BACKEND;
}

static void hear_failure(bt_comm *comm, int32_t peer, const uint8_t *payload, size_t n) {
    bt_error why = BT_ERROR_INIT;
    if (n < 4) {
        return;
    }
    const uint32_t code = bt_load_u32le(payload);
    if (n == 4 || payload[4] == '\0') {
        (void)BT_FAIL(&why, BT_E_BACKEND, "%s ended the job and did not say why",
                      comm->peers[peer].label);
    } else {
        (void)BT_FAIL(&why, code_for_others(code), "%.*s", (int)(n - 4), (const char *)payload + 4);
    }
    comm_end_job(comm, &why);
}

static void hear(bt_comm *comm, int32_t peer, const comm_header *header, const uint8_t *payload) {
    comm_peer *const p = &comm->peers[peer];
    if (header->kind == COMM_FRAME_FAIL) {
        hear_failure(comm, peer, payload, (size_t)header->n_bytes);
    } else if (header->kind == COMM_FRAME_BYE) {
        p->has_left = true;
        p->left_at = header->seq;
    }
}

/* Complete frames at the start of what came. */
static void parse_control(bt_comm *comm, int32_t peer) {
    comm_peer *const p = &comm->peers[peer];
    bt_error         why = BT_ERROR_INIT;
    comm_header      header;
    while (p->n_control_in >= COMM_HEADER_BYTES) {
        const uint8_t *const payload = p->control_in + COMM_HEADER_BYTES;
        if (!comm_header_parse(p->control_in, &header) ||
            header.n_bytes > sizeof p->control_in - COMM_HEADER_BYTES) {
            (void)BT_FAIL(&why, BT_E_BACKEND,
                          "%s sent bytes that are not a message of this program", p->label);
            comm_end_job(comm, &why);
            p->n_control_in = 0;
            return;
        }
        const size_t n = COMM_HEADER_BYTES + (size_t)header.n_bytes;
        if (p->n_control_in < n) {
            return;
        }
        if (bt_crc32c(0, payload, (size_t)header.n_bytes) == header.crc) {
            hear(comm, peer, &header, payload);
        }
        memmove(p->control_in, p->control_in + n, p->n_control_in - n);
        p->n_control_in -= n;
    }
}

static void lose_control(bt_comm *comm, int32_t peer, int failure) {
    comm_peer *const p = &comm->peers[peer];
    bt_error         why = BT_ERROR_INIT;
    comm_close_fd(&p->fds[COMM_CONTROL]);
    comm_close_fd(&p->fds[COMM_DATA]);
    if (p->has_left) {
        return;
    }
    (void)BT_FAIL(&why, BT_E_BACKEND,
                  "%s is gone: its connection was closed%s%s; the job ends here", p->label,
                  failure != 0 ? ": " : "", failure != 0 ? strerror(failure) : "");
    comm_end_job(comm, &why);
}

void comm_pump_control(bt_comm *comm, int32_t peer) {
    comm_peer *const p = &comm->peers[peer];
    while (p->fds[COMM_CONTROL] >= 0) {
        const size_t  room = sizeof p->control_in - p->n_control_in;
        const ssize_t got =
            recv(p->fds[COMM_CONTROL], p->control_in + p->n_control_in, room, MSG_DONTWAIT);
        if (got <= 0) {
            const int failure = got < 0 ? errno : 0;
            if (failure != EAGAIN && failure != EWOULDBLOCK && failure != EINTR) {
                lose_control(comm, peer, failure);
            }
            return;
        }
        p->heard = bt_time_monotonic();
        p->n_control_in += (size_t)got;
        parse_control(comm, peer);
    }
}

static bt_status append_to_queue(bt_comm *comm, bt_comm_op *op, bt_error *err) {
    size_t n = (size_t)(comm->next_seq - comm->first_seq);
    size_t n_done = 0;
    while (n_done < n && comm->queue[n_done] == NULL) {
        n_done++;
    }
    if (n_done > 0) {
        memmove(comm->queue, comm->queue + n_done, (n - n_done) * sizeof *comm->queue);
        comm->first_seq += n_done;
        n -= n_done;
    }
    BT_TRY(
        bt_grow(&comm->queue, &comm->cap_queue, n + 1, sizeof *comm->queue, (size_t)1 << 24, err));
    comm->queue[n] = op;
    comm->next_seq++;
    return BT_OK;
}

/* A rank that has left makes no further calls. */
static bt_status check_left(const bt_comm *comm, const bt_comm_op *op, uint64_t seq,
                            bt_error *err) {
    comm_span span;
    for (int32_t peer = 0; peer < comm->size; peer++) {
        const comm_peer *const p = &comm->peers[peer];
        if (peer != comm->rank && p->has_left && seq >= p->left_at &&
            (comm_op_expects(comm, op, 0, peer) || comm_op_expects(comm, op, 1, peer) ||
             comm_op_out(comm, op, 0, peer, &span) != COMM_NOTHING)) {
            return BT_FAIL(err, BT_E_INTERNAL,
                           "%s has ended after %" PRIu64 " calls, and rank %" PRId32
                           " makes another one (%s): the ranks do not make the same calls",
                           p->label, p->left_at, comm->rank, op->what);
        }
    }
    return BT_OK;
}

static void start_op(bt_comm *comm, bt_comm_op *op) {
    bt_error  why = BT_ERROR_INIT;
    bt_status rc = comm_op_start(comm, op, &why);
    if (rc == BT_OK) {
        rc = append_to_queue(comm, op, &why);
    }
    if (rc != BT_OK) { /* it is in no list, so it has to be ended by hand */
        bt_error told = BT_ERROR_INIT;
        (void)BT_FAIL(&told, rc, "%s: %s", comm->peers[comm->rank].label, why.msg);
        comm_end_job(comm, &told);
    }
    const uint64_t seq = comm->next_seq - 1;
    if (rc != BT_OK || op->n_left == 0) {
        if (rc == BT_OK) {
            comm->queue[seq - comm->first_seq] = NULL;
        }
        pthread_mutex_lock(&comm->lock);
        op->is_done = true;
        op->status = rc;
        pthread_cond_broadcast(&comm->changed);
        pthread_mutex_unlock(&comm->lock);
    }
}

static void look_for_left(bt_comm *comm) {
    bt_error why = BT_ERROR_INIT;
    for (uint64_t seq = comm->first_seq; seq < comm->next_seq && !comm->is_over; seq++) {
        const bt_comm_op *const op = comm->queue[seq - comm->first_seq];
        if (op != NULL && check_left(comm, op, seq, &why) != BT_OK) {
            comm_end_job(comm, &why);
        }
    }
}

/* true: the thread's time is over. */
static bool take_requests(bt_comm *comm) {
    bt_error why = BT_ERROR_INIT;
    pthread_mutex_lock(&comm->lock);
    bt_comm_op *op = comm->is_over ? NULL : comm->first_posted;
    const bool  fails = comm->wants_fail && !comm->is_over;
    const bool  leaves = comm->wants_bye && !comm->said_bye;
    const bool  ends = comm->wants_end;
    if (!comm->is_over) {
        comm->first_posted = NULL;
        comm->last_posted = NULL;
    }
    if (fails) {
        (void)BT_FAIL(&why, code_for_others(comm->failure.code), "%s ended: %s",
                      comm->peers[comm->rank].label, comm->failure.msg);
    }
    pthread_mutex_unlock(&comm->lock);
    while (op != NULL) {
        bt_comm_op *const next = op->next; /* op is its owner's again once it is done */
        if (comm->is_over) {
            pthread_mutex_lock(&comm->lock);
            op->is_done = true;
            op->status = comm->error.code;
            pthread_cond_broadcast(&comm->changed);
            pthread_mutex_unlock(&comm->lock);
        } else {
            start_op(comm, op);
        }
        op = next;
    }
    if (fails) {
        comm_end_job(comm, &why);
    }
    if (leaves && !comm->is_over) {
        tell_all(comm, COMM_FRAME_BYE, "", 0);
        comm->said_bye = true;
    }
    return ends;
}

static void look_for_dead(bt_comm *comm, double now) {
    bt_error why = BT_ERROR_INIT;
    for (int32_t peer = 0; peer < comm->size && !comm->is_over; peer++) {
        const comm_peer *const p = &comm->peers[peer];
        if (peer == comm->rank || p->has_left) {
            continue;
        }
        if (p->heard > 0 && now - p->heard > comm->silence_seconds) {
            (void)BT_FAIL(&why, BT_E_BACKEND,
                          "%s has given no sign of life for %.0f s: it was stopped, or its host or "
                          "the network is gone; the job ends here",
                          p->label, comm->silence_seconds);
        } else if (p->lost_data > 0 && now - p->lost_data > grace_seconds) {
            (void)BT_FAIL(&why, BT_E_BACKEND,
                          "%s is gone: its data connection was closed; the job ends here",
                          p->label);
        } else {
            continue;
        }
        comm_end_job(comm, &why);
    }
}

static void keep_time(bt_comm *comm) {
    const double now = bt_time_monotonic();
    /* a process that was stopped itself knows nothing of the others */
    if (comm->last_turn > 0 && now - comm->last_turn > comm->silence_seconds / 2) {
        for (int32_t peer = 0; peer < comm->size; peer++) {
            comm_peer *const p = &comm->peers[peer];
            p->heard = p->heard > 0 ? now : 0;
        }
    }
    comm->last_turn = now;
    if (comm->is_over) {
        return;
    }
    look_for_dead(comm, now);
    if (now - comm->said_alive >= comm->alive_seconds) {
        comm->said_alive = now;
        for (int32_t peer = 0; peer < comm->size; peer++) {
            if (comm->peers[peer].control_out.len == 0) {
                tell(comm, peer, COMM_FRAME_ALIVE, "", 0);
            }
        }
    }
}

static void look_for_end(bt_comm *comm) {
    bool is_flushed = true;
    bool all_left = true;
    for (int32_t peer = 0; peer < comm->size; peer++) {
        const comm_peer *const p = &comm->peers[peer];
        is_flushed = is_flushed && (p->fds[COMM_CONTROL] < 0 || p->control_out.len == 0);
        all_left = all_left && (peer == comm->rank || p->has_left);
    }
    const bool is_late = comm->is_over && bt_time_monotonic() - comm->over_since >
                                              grace_seconds; /* they are stuck */
    if ((comm->is_over && (is_flushed || is_late)) || (comm->said_bye && is_flushed && all_left)) {
        pthread_mutex_lock(&comm->lock);
        comm->may_end = true;
        pthread_cond_broadcast(&comm->changed);
        pthread_mutex_unlock(&comm->lock);
    }
}

static nfds_t list_sockets(bt_comm *comm) {
    nfds_t n = 0;
    comm->polled[n++] = (struct pollfd){.fd = comm->wake_fd, .events = POLLIN};
    for (int32_t peer = 0; peer < comm->size; peer++) {
        const comm_peer *const p = &comm->peers[peer];
        const short            control =
            (short)(POLLIN | (p->n_control_sent < p->control_out.len ? POLLOUT : 0));
        const short data =
            (short)((comm_wants_in(comm, peer) ? POLLIN : 0) | (p->out.is_on ? POLLOUT : 0));
        const bool moves = data != 0 && !comm->is_over;
        comm->polled[n++] = (struct pollfd){.fd = p->fds[COMM_CONTROL], .events = control};
        comm->polled[n++] = (struct pollfd){.fd = moves ? p->fds[COMM_DATA] : -1, .events = data};
    }
    return n;
}

static void move_bytes(bt_comm *comm) {
    for (int32_t peer = 0; peer < comm->size && !comm->is_over; peer++) {
        if (peer != comm->rank) {
            comm_pump_out(comm, peer);
        }
    }
    for (int32_t peer = 0; peer < comm->size; peer++) {
        flush_control(comm, peer);
    }
}

static void take_events(bt_comm *comm) {
    uint64_t count = 0;
    if (comm->polled[0].revents != 0) {
        (void)!read(comm->wake_fd, &count, sizeof count);
    }
    /* bad news first: they say why a data connection is closed */
    for (int32_t peer = 0; peer < comm->size; peer++) {
        if (comm->polled[1 + 2 * peer].revents != 0) {
            comm_pump_control(comm, peer);
        }
    }
    for (int32_t peer = 0; peer < comm->size && !comm->is_over; peer++) {
        if (comm->polled[2 + 2 * peer].revents != 0) {
            comm_pump_in(comm, peer);
        }
    }
}

void *comm_thread_main(void *context) {
    bt_comm *const comm = context;
    bt_cpus_unbind();
    while (!take_requests(comm)) {
        look_for_left(comm);
        keep_time(comm);
        move_bytes(comm);
        look_for_end(comm);
        const nfds_t n = list_sockets(comm);
        if (poll(comm->polled, n, (int)(comm->alive_seconds * 500)) > 0) {
            take_events(comm);
        }
    }
    return NULL;
}
