/* SPDX-License-Identifier: Apache-2.0
 *
 * The side that listens. Whoever connects has ten seconds to prove that it is a rank of this job;
 * many may try at once, and none of them holds up the others. A rank that was here already and
 * goes away while the rest is still coming ends the job at once. */
#define _GNU_SOURCE /* POLLRDHUP, accept4 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/stop.h"
#include "bt/base/time.h"
#include "comm_internal.h"

enum { MAX_GUESTS = 64 };
static const double guest_seconds = 10.0;
static const double tell_seconds = 15.0;

typedef struct guest {
    int     fd; /* -1: nobody */
    double  deadline;
    uint8_t bytes[COMM_HELLO_BYTES + COMM_ANSWER_BYTES + COMM_MAC_BYTES];
    size_t  n_got; /* of hello, then of proof */
    bool    is_answered;
    int32_t rank;
    int32_t channel;
} guest;

typedef struct reception {
    bt_comm      *comm;
    int32_t       first;
    bool          all;
    guest         guests[MAX_GUESTS];
    struct pollfd polled[1 + MAX_GUESTS + BT_COMM_MAX_RANKS];
} reception;

static void show_out(guest *g) {
    comm_close_fd(&g->fd);
}

static comm_verdict judge(const reception *r, const comm_hello *hello) {
    const bt_comm *const comm = r->comm;
    if (hello->protocol != COMM_PROTOCOL) {
        return COMM_OTHER_PROTOCOL;
    }
    if (!comm_equal(hello->tag, comm->tag, COMM_TAG_BYTES)) {
        return COMM_OTHER_JOB;
    }
    if (hello->size != (uint32_t)comm->size || hello->rank >= hello->size ||
        hello->rank <= (uint32_t)comm->rank) {
        return COMM_OTHER_SHAPE;
    }
    return COMM_COME_IN;
}

/* What fits into an empty socket at once; else the guest does not read and may go. */
static bool say(const guest *g, const void *bytes, size_t n) {
    return send(g->fd, bytes, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static bt_status answer_guest(reception *r, guest *g, bt_error *err) {
    comm_hello  hello;
    comm_answer answer = {.rank = (uint32_t)r->comm->rank};
    if (!comm_hello_parse(g->bytes, &hello)) {
        show_out(g);
        return BT_OK;
    }
    const comm_verdict verdict = judge(r, &hello);
    answer.verdict = verdict;
    BT_TRY(comm_random(answer.nonce, sizeof answer.nonce, err));
    comm_answer_write(&answer, g->bytes + COMM_HELLO_BYTES);
    if (verdict == COMM_COME_IN) { /* to others nothing is proved */
        BT_TRY(
            comm_mac(&r->comm->key, "listens", g->bytes, COMM_HELLO_BYTES + 32, answer.mac, err));
        comm_answer_write(&answer, g->bytes + COMM_HELLO_BYTES);
    }
    const bool is_said = say(g, g->bytes + COMM_HELLO_BYTES, COMM_ANSWER_BYTES);
    if (!is_said || verdict != COMM_COME_IN) {
        show_out(g);
        return BT_OK;
    }
    g->is_answered = true;
    g->rank = (int32_t)hello.rank;
    g->channel = (int32_t)hello.channel;
    return BT_OK;
}

static bt_status take_in(reception *r, guest *g, bt_error *err) {
    uint8_t mac[COMM_MAC_BYTES];
    BT_TRY(comm_mac(&r->comm->key, "connects", g->bytes, COMM_HELLO_BYTES + COMM_ANSWER_BYTES, mac,
                    err));
    const uint8_t *const proof = g->bytes + COMM_HELLO_BYTES + COMM_ANSWER_BYTES;
    if (!comm_equal(mac, proof, sizeof mac) || !say(g, comm_welcome, COMM_WELCOME_BYTES)) {
        show_out(g);
        return BT_OK;
    }
    int *const place = &r->comm->peers[g->rank].fds[g->channel];
    comm_close_fd(place); /* it tried again, so it gave the first one up */
    *place = g->fd;
    g->fd = -1;
    return BT_OK;
}

static bt_status listen_to_guest(reception *r, guest *g, bt_error *err) {
    while (g->fd >= 0) {
        const size_t  want = g->is_answered ? COMM_MAC_BYTES : COMM_HELLO_BYTES;
        const size_t  begin = g->is_answered ? COMM_HELLO_BYTES + COMM_ANSWER_BYTES : 0;
        const ssize_t got = recv(g->fd, g->bytes + begin + g->n_got, want - g->n_got, 0);
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
            return BT_OK;
        }
        if (got <= 0) {
            show_out(g);
            return BT_OK;
        }
        g->n_got += (size_t)got;
        if (g->n_got == want) {
            g->n_got = 0;
            BT_TRY(g->is_answered ? take_in(r, g, err) : answer_guest(r, g, err));
        }
    }
    return BT_OK;
}

static void open_doors(reception *r) {
    for (;;) {
        guest *free_place = &r->guests[0];
        int    fd = accept4(r->comm->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            return;
        }
        for (size_t i = 0; i < MAX_GUESTS && free_place->fd >= 0; i++) {
            const guest *const g = &r->guests[i];
            if (g->fd < 0 || g->deadline < free_place->deadline) {
                free_place = &r->guests[i];
            }
        }
        show_out(free_place); /* the one who has been here longest, when there are too many */
        *free_place = (guest){.fd = fd, .deadline = bt_time_monotonic() + guest_seconds};
        if (comm_set_socket(fd, NULL) != BT_OK) {
            show_out(free_place);
        }
    }
}

static bool is_here(const reception *r, int32_t rank) {
    const comm_peer *const p = &r->comm->peers[rank];
    return p->fds[COMM_CONTROL] >= 0 && (!r->all || p->fds[COMM_DATA] >= 0);
}

/* "3, 5, 6"; how many. */
static int32_t list_missing(const reception *r, char *out, size_t cap) {
    int32_t n = 0;
    out[0] = '\0';
    for (int32_t rank = r->first; rank < r->comm->size; rank++) {
        char number[16];
        if (!is_here(r, rank)) {
            (void)snprintf(number, sizeof number, "%" PRId32, rank);
            (void)bt_list_add(out, cap, number);
            n++;
        }
    }
    return n;
}

/* Ranks that are known are not asked anything yet: only whether they are still there. */
static bt_status wait_a_while(reception *r, bt_error *err) {
    bt_comm *const comm = r->comm;
    nfds_t         n = 0;
    r->polled[n++] = (struct pollfd){.fd = comm->listener, .events = POLLIN};
    for (size_t i = 0; i < MAX_GUESTS; i++) {
        if (r->guests[i].fd >= 0 && bt_time_monotonic() > r->guests[i].deadline) {
            show_out(&r->guests[i]);
        }
        r->polled[n++] = (struct pollfd){.fd = r->guests[i].fd, .events = POLLIN};
    }
    for (int32_t rank = 0; rank < comm->size; rank++) {
        r->polled[n++] =
            (struct pollfd){.fd = comm->peers[rank].fds[COMM_CONTROL], .events = POLLRDHUP};
    }
    if (poll(r->polled, n, comm_slice(comm->start_deadline)) < 0 && errno != EINTR) {
        return BT_FAIL(err, BT_E_RESOURCE, "waiting for connections: %s", strerror(errno));
    }
    BT_TRY(bt_stop_check_now(err));
    for (int32_t rank = 0; rank < comm->size; rank++) {
        if (r->polled[1 + MAX_GUESTS + rank].revents != 0 &&
            r->polled[1 + MAX_GUESTS + rank].fd >= 0) {
            return BT_FAIL(err, BT_E_BACKEND, "%s went away while the job was still starting",
                           comm->peers[rank].label);
        }
    }
    return BT_OK;
}

static bt_status receive_guests(reception *r, bt_error *err) {
    double told = bt_time_monotonic();
    char   missing[BT_LIST_MAX];
    while (list_missing(r, missing, sizeof missing) > 0) {
        BT_TRY(wait_a_while(r, err));
        for (size_t i = 0; i < MAX_GUESTS; i++) {
            BT_TRY(listen_to_guest(r, &r->guests[i], err));
        }
        open_doors(r);
        const double  now = bt_time_monotonic();
        const int32_t n = list_missing(r, missing, sizeof missing);
        if (n > 0 && now > r->comm->start_deadline) {
            return BT_FAIL(err, BT_E_BACKEND,
                           "%" PRId32 " of %" PRId32
                           " processes did not come in time, ranks %s: are they started, and can "
                           "they reach this host?",
                           n, r->comm->size, missing);
        }
        if (n > 0 && now - told > tell_seconds) {
            told = now;
            bt_log(BT_LOG_INFO, "waiting for ranks %s", missing);
        }
    }
    return BT_OK;
}

bt_status comm_accept(bt_comm *comm, int32_t first, bool all, bt_error *err) {
    reception *const r = bt_calloc_array(1, sizeof *r);
    if (r == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for connections");
    }
    r->comm = comm;
    r->first = first;
    r->all = all;
    for (size_t i = 0; i < MAX_GUESTS; i++) {
        r->guests[i].fd = -1;
    }
    const bt_status rc = receive_guests(r, err);
    for (size_t i = 0; i < MAX_GUESTS; i++) {
        show_out(&r->guests[i]);
    }
    bt_free(r);
    return rc;
}
