/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames of operations over the data connection of a rank, as far as the sockets take and give.
 * Runs on the thread. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "bt/base/crc32c.h"
#include "bt/base/time.h"
#include "comm_internal.h"

/* NULL: done, or (seq == next_seq) not posted yet. */
static bt_comm_op *op_of(const bt_comm *comm, uint64_t seq) {
    return seq >= comm->first_seq && seq < comm->next_seq ? comm->queue[seq - comm->first_seq]
                                                          : NULL;
}

/* A frame of it has come or gone. */
static void count_frame(bt_comm *comm, bt_comm_op *op, uint64_t seq) {
    op->n_left--;
    if (op->n_left > 0) {
        return;
    }
    comm->queue[seq - comm->first_seq] = NULL;
    pthread_mutex_lock(&comm->lock);
    op->is_done = true;
    op->status = BT_OK;
    pthread_cond_broadcast(&comm->changed);
    pthread_mutex_unlock(&comm->lock);
}

static void lose_data(bt_comm *comm, int32_t peer) {
    comm_peer *const p = &comm->peers[peer];
    comm_close_fd(&p->fds[COMM_DATA]);
    if (p->lost_data <= 0) {
        p->lost_data = bt_time_monotonic();
    }
}

static bool is_later(void) {
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* In which way, of its kind: the same on both sides, or they are not in the same call. */
static uint32_t detail_of(const bt_comm_op *op) {
    return op->kind == COMM_FRAME_SUM ? (uint32_t)op->wire : (uint32_t)op->pattern;
}

/* The next frame for this rank, in the order of operations; NULL: there is none now. */
static bt_comm_op *next_out(bt_comm *comm, int32_t peer, comm_span *span) {
    comm_peer *const p = &comm->peers[peer];
    while (p->out_seq < comm->next_seq) {
        bt_comm_op *const op = op_of(comm, p->out_seq);
        if (op == NULL || p->out_phase >= COMM_N_PHASES) {
            p->out_seq++;
            p->out_phase = 0;
            continue;
        }
        const comm_turn turn = comm_op_out(comm, op, p->out_phase, peer, span);
        if (turn != COMM_NOTHING) {
            return turn == COMM_READY ? op : NULL;
        }
        p->out_phase++;
    }
    return NULL;
}

static void begin_frame(comm_peer *p, const bt_comm_op *op, const comm_span *span) {
    const comm_header header = {.kind = op->kind,
                                .phase = p->out_phase,
                                .detail = detail_of(op),
                                .seq = p->out_seq,
                                .n_bytes = span->n,
                                .crc = bt_crc32c(0, span->data, span->n)};
    comm_header_write(&header, p->out.header);
    p->out.payload = span->data != NULL ? span->data : (const uint8_t *)"";
    p->out.n_bytes = span->n;
    p->out.n_sent = 0;
    p->out.is_on = true;
}

/* false: it takes no more now. */
static bool push_frame(bt_comm *comm, int32_t peer) {
    comm_peer *const    p = &comm->peers[peer];
    comm_sending *const s = &p->out;
    while (s->n_sent < COMM_HEADER_BYTES + s->n_bytes) {
        const size_t  n_header = s->n_sent < COMM_HEADER_BYTES ? COMM_HEADER_BYTES - s->n_sent : 0;
        const size_t  at = s->n_sent + n_header - COMM_HEADER_BYTES; /* in the payload */
        struct iovec  parts[2] = {{s->header + COMM_HEADER_BYTES - n_header, n_header},
                                  {(void *)(uintptr_t)(s->payload + at), s->n_bytes - at}};
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        const ssize_t got = sendmsg(p->fds[COMM_DATA], &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (got < 0) {
            if (!is_later()) {
                lose_data(comm, peer);
            }
            return false;
        }
        s->n_sent += (size_t)got;
    }
    atomic_fetch_add_explicit(&comm->n_sent, s->n_bytes, memory_order_relaxed);
    s->is_on = false;
    return true;
}

void comm_pump_out(bt_comm *comm, int32_t peer) {
    comm_peer *const p = &comm->peers[peer];
    comm_span        span = {NULL, 0};
    while (p->fds[COMM_DATA] >= 0) {
        if (!p->out.is_on) {
            const bt_comm_op *const op = next_out(comm, peer, &span);
            if (op == NULL) {
                return;
            }
            begin_frame(p, op, &span);
        }
        if (!push_frame(comm, peer)) {
            return;
        }
        const uint64_t seq = p->out_seq;
        p->out_phase++;
        count_frame(comm, op_of(comm, seq), seq);
    }
}

static bt_comm_op *next_in(bt_comm *comm, int32_t peer) {
    comm_peer *const p = &comm->peers[peer];
    while (p->in_seq < comm->next_seq) {
        bt_comm_op *const op = op_of(comm, p->in_seq);
        if (op == NULL || p->in_phase >= COMM_N_PHASES) {
            p->in_seq++;
            p->in_phase = 0;
            continue;
        }
        if (comm_op_expects(comm, op, p->in_phase, peer)) {
            return op;
        }
        p->in_phase++;
    }
    return NULL;
}

bool comm_wants_in(bt_comm *comm, int32_t peer) {
    return comm->peers[peer].fds[COMM_DATA] >= 0 && next_in(comm, peer) != NULL;
}

/* A header is complete: is it the one that is expected, and where does its payload go? */
static bool take_header(bt_comm *comm, int32_t peer, bt_comm_op *op) {
    comm_peer *const      p = &comm->peers[peer];
    comm_receiving *const r = &p->in;
    const uint32_t        detail = detail_of(op);
    bt_error              err = BT_ERROR_INIT;
    if (!comm_header_parse(r->bytes, &r->header)) {
        (void)BT_FAIL(&err, BT_E_BACKEND,
                      "%s sent bytes that are not a message of this program (for %s)", p->label,
                      op->what);
        comm_end_job(comm, &err);
        return false;
    }
    if (r->header.kind != op->kind || r->header.seq != p->in_seq ||
        r->header.phase != p->in_phase || r->header.detail != detail) {
        (void)BT_FAIL(&err, BT_E_INTERNAL,
                      "%s is at its call %" PRIu64 " of kind %" PRIu32 ".%" PRIu32 ", rank %" PRId32
                      " at %" PRIu64 " of kind %d.%" PRIu32
                      " (%s): the ranks do not make the same calls",
                      p->label, r->header.seq, r->header.kind, r->header.detail, comm->rank,
                      p->in_seq, (int)op->kind, detail, op->what);
        comm_end_job(comm, &err);
        return false;
    }
    if (comm_op_place(comm, op, &r->header, peer, &r->payload, &err) != BT_OK) {
        comm_end_job(comm, &err);
        return false;
    }
    return true;
}

static bool take_payload(bt_comm *comm, int32_t peer, bt_comm_op *op) {
    comm_peer *const      p = &comm->peers[peer];
    comm_receiving *const r = &p->in;
    const size_t          n = (size_t)r->header.n_bytes;
    bt_error              err = BT_ERROR_INIT;
    if (bt_crc32c(0, r->payload, n) != r->header.crc) {
        (void)BT_FAIL(&err, BT_E_BACKEND,
                      "%s sent %zu bytes for %s that were damaged on their way (crc32c)", p->label,
                      n, op->what);
        comm_end_job(comm, &err);
        return false;
    }
    atomic_fetch_add_explicit(&comm->n_received, n, memory_order_relaxed);
    const uint64_t seq = p->in_seq;
    const uint32_t phase = p->in_phase;
    r->n_got = 0;
    p->in_phase++;
    comm_op_arrived(comm, op, phase, peer);
    count_frame(comm, op, seq);
    return true;
}

/* More bytes of header or payload; false: none now. */
static bool pull(bt_comm *comm, int32_t peer) {
    comm_peer *const      p = &comm->peers[peer];
    comm_receiving *const r = &p->in;
    const bool            is_header = r->n_got < COMM_HEADER_BYTES;
    const size_t          at = is_header ? r->n_got : r->n_got - COMM_HEADER_BYTES;
    uint8_t *const        to = is_header ? r->bytes + at : r->payload + at;
    const size_t  want = is_header ? COMM_HEADER_BYTES - at : (size_t)r->header.n_bytes - at;
    const ssize_t got = recv(p->fds[COMM_DATA], to, want, MSG_DONTWAIT);
    if (got > 0) {
        r->n_got += (size_t)got;
        p->heard = bt_time_monotonic();
        return true;
    }
    if (got == 0 || !is_later()) {
        lose_data(comm, peer);
    }
    return false;
}

void comm_pump_in(bt_comm *comm, int32_t peer) {
    comm_peer *const p = &comm->peers[peer];
    while (p->fds[COMM_DATA] >= 0 && !comm->is_over) {
        bt_comm_op *const op = next_in(comm, peer);
        if (op == NULL || !pull(comm, peer)) {
            return;
        }
        if (p->in.n_got == COMM_HEADER_BYTES && !take_header(comm, peer, op)) {
            return;
        }
        if (p->in.n_got >= COMM_HEADER_BYTES &&
            p->in.n_got == COMM_HEADER_BYTES + (size_t)p->in.header.n_bytes &&
            !take_payload(comm, peer, op)) {
            return;
        }
    }
}
