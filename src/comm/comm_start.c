/* SPDX-License-Identifier: Apache-2.0
 *
 * The processes of a job find each other. Everybody connects to rank 0 and hands over a card: who
 * it is, what it runs, where it listens. Rank 0 compares, and gives the cards of all to all (or
 * the sentence that says what does not fit). Then each rank connects to those below it. A rank
 * waits only for lower ones before it listens, so that nobody waits in a circle. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/base/crc32c.h"
#include "bt/base/log.h"
#include "bt/base/number.h"
#include "bt/base/stop.h"
#include "bt/base/time.h"
#include "comm_internal.h"

enum {
    MAX_TARGETS = COMM_MAX_CANDIDATES + 2,
    FIRST_PORT = 20000, /* of srun's jobs: below those that systems hand out by themselves */
    N_PORTS = 12000,
    MAX_CARD_BYTES = COMM_MAX_FACTS + 4096,
};
static const double hopeless_seconds = 8.0;
static const double tell_seconds = 15.0;
static const double verdict_seconds = 5.0; /* that rank 0's sentence may come later than the end */

/* What MPI tells all ranks. */
typedef struct shared_start {
    comm_key  key;
    comm_card card; /* of rank 0 */
} shared_start;

typedef struct target {
    char    host[COMM_HOST_MAX];
    int32_t port;
} target;

typedef struct start {
    bt_comm              *comm;
    const bt_comm_job    *job;
    const bt_comm_config *config;
    comm_card             own;
    target                root; /* TF_CONFIG, srun; "": MPI tells it */
} start;

void comm_label(bt_comm *comm, int32_t rank) {
    const comm_card *const card = &comm->cards[rank];
    char *const            label = comm->peers[rank].label;
    if (card->host[0] == '\0') {
        (void)snprintf(label, COMM_LABEL_MAX, "rank %" PRId32 " of %" PRId32, rank, comm->size);
    } else {
        (void)snprintf(label, COMM_LABEL_MAX,
                       "rank %" PRId32 " of %" PRId32 " (host %.255s, process %" PRId64 ")", rank,
                       comm->size, card->host, card->pid);
    }
}

static bt_status try_target(bt_comm *comm, const target *t, int32_t rank, comm_channel channel,
                            bool *is_hopeless, bt_error *err) {
    int       fd = -1;
    bt_status rc = comm_connect(t->host, t->port, comm->start_deadline, &fd, err);
    if (rc == BT_OK) {
        rc = comm_greet(comm, fd, rank, channel, comm->start_deadline, is_hopeless, err);
    }
    if (rc != BT_OK) {
        comm_close_fd(&fd);
        return rc == BT_E_INTERRUPTED ? rc
                                      : bt_error_prefix(err, "%s at %s port %" PRId32,
                                                        comm->peers[rank].label, t->host, t->port);
    }
    comm->peers[rank].fds[channel] = fd;
    return BT_OK;
}

/* Each target once. *why: what is worth telling; an answer is worth more than none, and a try that
 * the end of the time cut short is worth nothing. */
static bt_status try_targets(bt_comm *comm, const target *targets, size_t n, int32_t rank,
                             comm_channel channel, bool *is_hopeless, bt_error *why) {
    for (size_t i = 0; i < n; i++) {
        bt_error        last = BT_ERROR_INIT;
        bool            is_answered = false;
        const bt_status rc = try_target(comm, &targets[i], rank, channel, &is_answered, &last);
        if (rc == BT_OK) {
            return rc;
        }
        if (rc != BT_E_BACKEND) {
            *why = last;
            return rc;
        }
        const bool is_cut = bt_time_monotonic() >= comm->start_deadline;
        if (is_answered || why->msg[0] == '\0' || (!*is_hopeless && !is_cut)) {
            *why = last;
        }
        *is_hopeless = *is_hopeless || is_answered;
    }
    return BT_E_BACKEND;
}

/* One after another, again and again: the other may start later, and one of its addresses may be
 * somebody else's here. */
static bt_status reach(bt_comm *comm, const target *targets, size_t n, int32_t rank,
                       comm_channel channel, bt_error *err) {
    const double begin = bt_time_monotonic();
    double       told = begin;
    double       pause = 0.05;
    bool         is_hopeless = false;
    bt_error     why = BT_ERROR_INIT;
    for (;;) {
        const bt_status rc = try_targets(comm, targets, n, rank, channel, &is_hopeless, &why);
        const double    now = bt_time_monotonic();
        if (rc == BT_OK) {
            return BT_OK;
        }
        if (rc != BT_E_BACKEND) {
            return BT_FAIL(err, rc, "%s", why.msg);
        }
        /* the job before this one may be about to end */
        if (now >= comm->start_deadline || (is_hopeless && now - begin > hopeless_seconds)) {
            return BT_FAIL(err, BT_E_BACKEND, "%s (tried for %.0f s)", why.msg, now - begin);
        }
        if (now - told > tell_seconds) {
            told = now;
            bt_log(BT_LOG_INFO, "waiting for another process: %s", why.msg);
        }
        if (!bt_stop_sleep(pause)) {
            return bt_stop_check(err);
        }
        pause = pause < 1 ? 1.5 * pause : 1;
    }
}

static size_t targets_of_card(const comm_card *card, const comm_card *own, target *targets) {
    size_t     n = 0;
    const bool is_beside = strcmp(card->host, own->host) == 0;
    for (int32_t i = 0; i < card->n_candidates; i++) {
        /* the loopback is last; from a host of the same name it is the best */
        const int32_t at = is_beside ? card->n_candidates - 1 - i : i;
        memcpy(targets[n].host, card->candidates[at], COMM_CANDIDATE_MAX);
        targets[n++].port = card->port;
    }
    return n;
}

static size_t targets_of(const start *s, int32_t rank, target *targets) {
    if (s->job->launch == BT_COMM_TF_CONFIG) {
        /* was parsed before */
        return comm_address_parse(s->job->addresses[rank], targets[0].host, &targets[0].port) ? 1
                                                                                              : 0;
    }
    if (rank == 0 && s->root.host[0] != '\0') {
        targets[0] = s->root;
        return 1;
    }
    return targets_of_card(&s->comm->cards[rank], &s->own, targets);
}

static bt_status reach_rank(start *s, int32_t rank, comm_channel channel, bt_error *err) {
    target       targets[MAX_TARGETS] = {{.port = 0}};
    const size_t n = targets_of(s, rank, targets);
    if (n == 0) {
        return BT_FAIL(err, BT_E_BACKEND, "%s told no address", s->comm->peers[rank].label);
    }
    return reach(s->comm, targets, n, rank, channel, err);
}

static bt_status send_frame(bt_comm *comm, int32_t rank, comm_frame_kind kind, const bt_str *text,
                            bt_error *err) {
    const int         fd = comm->peers[rank].fds[COMM_CONTROL];
    uint8_t           bytes[COMM_HEADER_BYTES];
    const comm_header header = {
        .kind = kind, .n_bytes = text->len, .crc = bt_crc32c(0, bt_str_text(text), text->len)};
    comm_header_write(&header, bytes);
    bt_status rc = comm_send_all(fd, bytes, sizeof bytes, comm->start_deadline, err);
    if (rc == BT_OK) {
        rc = comm_send_all(fd, bt_str_text(text), text->len, comm->start_deadline, err);
    }
    return rc == BT_E_BACKEND ? bt_error_prefix(err, "%s", comm->peers[rank].label) : rc;
}

/* *kind: one of the two that are expected. text: at most max bytes. */
static bt_status recv_frame(bt_comm *comm, int32_t rank, size_t max, comm_frame_kind *kind,
                            bt_str *text, bt_error *err) {
    const int   fd = comm->peers[rank].fds[COMM_CONTROL];
    uint8_t     bytes[COMM_HEADER_BYTES];
    uint8_t    *payload = NULL;
    comm_header header;
    bt_status   rc = BT_OK;
    BT_CHECK(comm_recv_all(fd, bytes, sizeof bytes, comm->start_deadline, err));
    if (!comm_header_parse(bytes, &header) || header.n_bytes > max) {
        rc = BT_FAIL(err, BT_E_BACKEND, "sent something that is not a message of this program");
        goto done;
    }
    payload = bt_alloc((size_t)header.n_bytes);
    if (payload == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a message of %" PRIu64 " bytes",
                       header.n_bytes);
    }
    BT_CHECK(comm_recv_all(fd, payload, (size_t)header.n_bytes, comm->start_deadline, err));
    if (bt_crc32c(0, payload, (size_t)header.n_bytes) != header.crc) {
        rc = BT_FAIL(err, BT_E_BACKEND, "sent a message that was damaged on its way");
        goto done;
    }
    *kind = (comm_frame_kind)header.kind;
    BT_CHECK(bt_str_append_n(text, payload, (size_t)header.n_bytes, err));
done:
    bt_free(payload);
    return rc == BT_E_BACKEND ? bt_error_prefix(err, "%s", comm->peers[rank].label) : rc;
}

static bt_status compare(const start *s, int32_t rank, const char *version, const char *facts,
                         bt_error *err) {
    if (strcmp(version, s->config->version) != 0) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s runs version '%.100s' of the program, rank 0 (host %s) '%.100s': all "
                       "ranks must run the same one",
                       s->comm->peers[rank].label, version, s->own.host, s->config->version);
    }
    return comm_facts_compare(s->comm, rank, s->config->facts, facts, err);
}

/* On rank 0: the card of a rank, and what it runs. *first: what does not fit, of the first one; the
 * other cards are read, too, since a connection that is closed with bytes that nobody has read
 * takes back what was said. */
static bt_status take_card(start *s, int32_t rank, bt_error *first, bt_error *err) {
    bt_str          text = BT_STR_INIT;
    char            version[256];
    char *const     facts = bt_alloc(COMM_MAX_FACTS + 1);
    comm_frame_kind kind = COMM_FRAME_CARD;
    bt_status       rc = BT_OK;
    if (facts == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory for the facts of a job");
        goto done;
    }
    BT_CHECK(recv_frame(s->comm, rank, MAX_CARD_BYTES, &kind, &text, err));
    bt_reader reader = bt_reader_make(bt_str_text(&text), text.len);
    if (kind != COMM_FRAME_CARD || !comm_card_parse(&reader, &s->comm->cards[rank]) ||
        !comm_text_parse(&reader, version, sizeof version) ||
        !comm_text_parse(&reader, facts, COMM_MAX_FACTS + 1)) {
        rc = BT_FAIL(err, BT_E_BACKEND, "%s introduced itself with something else than a card",
                     s->comm->peers[rank].label);
        goto done;
    }
    comm_label(s->comm, rank);
    if (first->code == BT_OK) {
        (void)!compare(s, rank, version, facts, first);
    }
done:
    bt_free(facts);
    bt_str_deinit(&text);
    return rc;
}

static bt_status send_card(start *s, bt_error *err) {
    bt_str    text = BT_STR_INIT;
    bt_status rc = BT_OK;
    BT_CHECK(comm_card_append(&s->own, &text, err));
    BT_CHECK(comm_text_append(&text, s->config->version, err));
    BT_CHECK(comm_text_append(&text, s->config->facts, err));
    BT_CHECK(send_frame(s->comm, 0, COMM_FRAME_CARD, &text, err));
done:
    bt_str_deinit(&text);
    return rc;
}

/* On rank 0, to those that came: why it will not be a job. */
static void refuse_all(start *s, const bt_error *why) {
    bt_str  text = BT_STR_INIT;
    uint8_t status[4];
    bt_store_u32le(status, why->code);
    if (bt_str_append_n(&text, status, sizeof status, NULL) == BT_OK &&
        bt_str_append(&text, why->msg, NULL) == BT_OK) {
        s->comm->start_deadline = bt_time_monotonic() + 1;
        for (int32_t rank = 1; rank < s->comm->size; rank++) {
            if (s->comm->peers[rank].fds[COMM_CONTROL] >= 0 &&
                send_frame(s->comm, rank, COMM_FRAME_FAIL, &text, NULL) != BT_OK) {
                continue; /* it is gone, too */
            }
        }
    }
    bt_str_deinit(&text);
    /* until they have heard it and gone */
    for (int32_t rank = 1; rank < s->comm->size; rank++) {
        const int fd = s->comm->peers[rank].fds[COMM_CONTROL];
        uint8_t   byte = 0;
        while (fd >= 0 && comm_recv_all(fd, &byte, 1, s->comm->start_deadline, NULL) == BT_OK) {
        }
    }
}

static bt_status send_table(start *s, bt_error *err) {
    bt_str    text = BT_STR_INIT;
    bt_status rc = BT_OK;
    for (int32_t rank = 0; rank < s->comm->size; rank++) {
        BT_CHECK(comm_card_append(&s->comm->cards[rank], &text, err));
    }
    for (int32_t rank = 1; rank < s->comm->size; rank++) {
        BT_CHECK(send_frame(s->comm, rank, COMM_FRAME_TABLE, &text, err));
    }
done:
    bt_str_deinit(&text);
    return rc;
}

static bt_status take_table(start *s, bt_error *err) {
    bt_comm *const  comm = s->comm;
    bt_str          text = BT_STR_INIT;
    comm_frame_kind kind = COMM_FRAME_TABLE;
    bt_status       rc = BT_OK;
    BT_CHECK(recv_frame(comm, 0, (size_t)comm->size * sizeof(comm_card) + 4096, &kind, &text, err));
    if (kind == COMM_FRAME_FAIL && text.len >= 4) {
        const uint32_t code = bt_load_u32le((const uint8_t *)text.data);
        rc = BT_FAIL(err, code == BT_E_CONFIG ? BT_E_CONFIG : BT_E_BACKEND, "%s", text.data + 4);
        goto done;
    }
    bt_reader reader = bt_reader_make(bt_str_text(&text), text.len);
    for (int32_t rank = 0; rank < comm->size && rc == BT_OK; rank++) {
        if (kind != COMM_FRAME_TABLE || !comm_card_parse(&reader, &comm->cards[rank])) {
            rc = BT_FAIL(err, BT_E_BACKEND, "%s sent no table of the ranks", comm->peers[0].label);
        }
        comm_label(comm, rank);
    }
done:
    bt_str_deinit(&text);
    return rc;
}

static bt_status choose_port(start *s, int32_t *port, bt_error *err) {
    char              host[COMM_HOST_MAX];
    const char *const chosen = getenv("BERT_TRAIN_COMM_PORT");
    int64_t           number = 0;
    *port = 0;
    if (s->job->launch == BT_COMM_TF_CONFIG) {
        return comm_address_parse(s->job->addresses[s->comm->rank], host, port)
                   ? BT_OK
                   : BT_FAIL(err, BT_E_CONFIG, "TF_CONFIG has no address of this rank");
    }
    if (s->job->launch != BT_COMM_SLURM) {
        return BT_OK;
    }
    number = FIRST_PORT + bt_crc32c(0, s->job->name, strlen(s->job->name)) % N_PORTS;
    if (chosen != NULL && (!bt_parse_i64(chosen, &number) || number < 1 || number > 65535)) {
        return BT_FAIL(err, BT_E_CONFIG, "BERT_TRAIN_COMM_PORT is '%s': expected 1 to 65535",
                       chosen);
    }
    (void)snprintf(s->root.host, sizeof s->root.host, "%s", s->job->addresses[0]);
    s->root.port = (int32_t)number;
    *port = s->comm->rank == 0 ? (int32_t)number : 0;
    return BT_OK;
}

/* The key, and where rank 0 is, where only MPI knows. */
static bt_status share(start *s, bt_error *err) {
    bt_comm *const    comm = s->comm;
    const char *const secret = getenv("BERT_TRAIN_COMM_SECRET");
    uint8_t           mac[COMM_MAC_BYTES];
    if (s->job->launch == BT_COMM_OPENMPI) {
        shared_start shared;
        memset(&shared, 0, sizeof shared);
        BT_TRY(comm_random(&shared.key, sizeof shared.key, err));
        shared.card = s->own;
        BT_TRY(comm_mpi_share(comm->rank, comm->size, &shared, sizeof shared, err));
        comm->key = shared.key;
        comm->cards[0] = shared.card;
    } else {
        BT_TRY(comm_key_make(s->job->name, secret, &comm->key, err));
    }
    BT_TRY(comm_mac(&comm->key, "job", "", 0, mac, err));
    memcpy(comm->tag, mac, sizeof comm->tag);
    return BT_OK;
}

static bt_status start_root(start *s, bt_error *err) {
    bt_error first = BT_ERROR_INIT;
    s->comm->cards[0] = s->own;
    BT_TRY(comm_accept(s->comm, 1, false, err));
    for (int32_t rank = 1; rank < s->comm->size; rank++) {
        BT_TRY(take_card(s, rank, &first, err));
    }
    if (first.code != BT_OK) {
        return BT_FAIL(err, first.code, "%s", first.msg);
    }
    comm_label(s->comm, 0);
    BT_TRY(send_table(s, err));
    return comm_accept(s->comm, 1, true, err);
}

static bt_status start_other(start *s, bt_error *err) {
    BT_TRY(reach_rank(s, 0, COMM_CONTROL, err));
    const bt_status sent = send_card(s, err);
    if (sent != BT_OK && sent != BT_E_BACKEND) {
        return sent;
    }
    s->comm->start_deadline += verdict_seconds;
    BT_TRY(take_table(s, err)); /* or why there will be none, also where the card was not taken */
    for (int32_t rank = 1; rank < s->comm->rank; rank++) {
        BT_TRY(reach_rank(s, rank, COMM_CONTROL, err));
        BT_TRY(reach_rank(s, rank, COMM_DATA, err));
    }
    BT_TRY(reach_rank(s, 0, COMM_DATA, err));
    return comm_accept(s->comm, s->comm->rank + 1, true, err);
}

bt_status comm_start(bt_comm *comm, const bt_comm_job *job, const bt_comm_config *config,
                     bt_error *err) {
    start   s = {.comm = comm, .job = job, .config = config};
    int32_t port = 0;
    if (gethostname(s.own.host, sizeof s.own.host - 1) != 0) {
        (void)snprintf(s.own.host, sizeof s.own.host, "unknown");
    }
    s.own.pid = getpid();
    comm_own_addresses(&s.own);
    BT_TRY(choose_port(&s, &port, err));
    const bt_status listening = comm_listen(&port, &comm->listener, err);
    if (listening != BT_OK) {
        return job->launch == BT_COMM_SLURM
                   ? bt_error_prefix(err, "set BERT_TRAIN_COMM_PORT for all ranks")
                   : listening;
    }
    s.own.port = port;
    BT_TRY(share(&s, err));
    bt_error        why = BT_ERROR_INIT;
    const bt_status rc = comm->rank == 0 ? start_root(&s, &why) : start_other(&s, &why);
    comm_close_fd(&comm->listener);
    if (rc != BT_OK) {
        if (comm->rank == 0) {
            refuse_all(&s, &why);
        }
        return BT_FAIL(err, rc, "%s", why.msg);
    }
    return BT_OK;
}
