/* SPDX-License-Identifier: Apache-2.0
 *
 * What comes from a port: greetings, headers, cards; what the environment says of a job; and what
 * two other ranks send, over sockets, to operations that are under way: whatever they say, nothing
 * is written outside of buffers, and what is complete has come complete. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/base/crc32c.h"
#include "comm_internal.h"
#include "fuzz_targets.h"

enum { MEND = 8, N_OPS = 4, SIZE = 3, RANK = 1, EDGE = 8, MAX_STREAM = 1 << 15 };

static void require(bool is_so) {
    if (!is_so) {
        abort();
    }
}

static void try_hello(const uint8_t *data) {
    comm_hello hello;
    uint8_t    again[COMM_HELLO_BYTES];
    if (comm_hello_parse(data, &hello)) {
        comm_hello_write(&hello, again);
        require(memcmp(again, data, sizeof again) == 0);
    }
}

static void try_answer(const uint8_t *data) {
    comm_answer answer;
    uint8_t     again[COMM_ANSWER_BYTES];
    if (comm_answer_parse(data, &answer)) {
        comm_answer_write(&answer, again);
        require(memcmp(again, data, sizeof again) == 0);
    }
}

static void try_header(const uint8_t *data) {
    comm_header header;
    uint8_t     again[COMM_HEADER_BYTES];
    if (comm_header_parse(data, &header)) {
        comm_header_write(&header, again);
        require(memcmp(again, data, sizeof again) == 0);
    }
}

static void try_card(const uint8_t *data, size_t n) {
    bt_reader reader = bt_reader_make(data, n);
    comm_card card;
    bt_str    again = BT_STR_INIT;
    if (comm_card_parse(&reader, &card) && comm_card_append(&card, &again, NULL) == BT_OK) {
        require(again.len <= n && memcmp(again.data, data, again.len) == 0);
    }
    bt_str_deinit(&again);
}

static void try_words(const char *text, bool is_job) {
    bt_comm_job job = {.size = 1};
    char        host[COMM_HOST_MAX];
    int32_t     port = 0;
    if (is_job && comm_tf_config_parse(&job, text, NULL) == BT_OK) {
        require(job.rank >= 0 && job.rank < job.size && job.n_addresses == job.size);
        for (int32_t i = 0; i < job.size; i++) {
            require(comm_address_parse(job.addresses[i], host, &port));
        }
    }
    bt_comm_job_deinit(&job);
    require(!comm_address_parse(text, host, &port) || (host[0] != '\0' && port > 0));
    require(!comm_first_host(text, host) || host[0] != '\0');
}

typedef struct world {
    bt_comm     comm;
    comm_peer   peers[SIZE];
    bt_comm_op  ops[N_OPS];
    bt_comm_op *queue[N_OPS];
    comm_bytes  in[N_OPS][SIZE];
    atomic_bool has_come[N_OPS][SIZE];
    float       sum[EDGE + 7 + EDGE];
    float       small_sum[EDGE + 2 + EDGE];
    uint8_t     place[EDGE + 16 + EDGE];
    int         ends[SIZE][COMM_N_CHANNELS]; /* of the others */
} world;

/* Sums and exchanges of which each takes another path; tests/fuzz/make_corpus.py has the answers.
 */
static void post_ops(world *w) {
    w->ops[0] = (bt_comm_op){.kind = COMM_FRAME_SUM, .values = w->sum + EDGE, .n = 7};
    w->ops[1] = (bt_comm_op){.kind = COMM_FRAME_EXCHANGE, .max_bytes = 64};
    w->ops[2] = (bt_comm_op){.kind = COMM_FRAME_EXCHANGE,
                             .pattern = COMM_FROM_ROOT,
                             .place = w->place + EDGE,
                             .min_bytes = 16,
                             .max_bytes = 16};
    w->ops[3] = (bt_comm_op){
        .kind = COMM_FRAME_SUM, .values = w->small_sum + EDGE, .n = 2, .wire = BT_COMM_BF16};
    for (size_t i = 0; i < N_OPS; i++) {
        w->ops[i].comm = &w->comm;
        w->ops[i].what = "fuzzing";
        w->ops[i].in = w->in[i];
        w->ops[i].has_come = w->has_come[i];
        require(comm_op_start(&w->comm, &w->ops[i], NULL) == BT_OK);
        w->queue[i] = &w->ops[i];
    }
    w->comm.next_seq = N_OPS;
}

static void create_world(world *w) {
    w->comm = (bt_comm){.rank = RANK,
                        .size = SIZE,
                        .peers = w->peers,
                        .queue = w->queue,
                        .cap_queue = N_OPS,
                        .listener = -1,
                        .wake_fd = -1};
    require(pthread_mutex_init(&w->comm.lock, NULL) == 0 &&
            pthread_cond_init(&w->comm.changed, NULL) == 0);
    memset(w->place, 0x5a, sizeof w->place);
    for (int32_t peer = 0; peer < SIZE; peer++) {
        for (int channel = 0; channel < COMM_N_CHANNELS; channel++) {
            int pair[2] = {-1, -1};
            require(peer == RANK || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
            w->peers[peer].fds[channel] = pair[0];
            w->ends[peer][channel] = pair[1];
        }
    }
    post_ops(w);
}

static void destroy_world(world *w) {
    for (int32_t peer = 0; peer < SIZE; peer++) {
        for (int channel = 0; channel < COMM_N_CHANNELS; channel++) {
            comm_close_fd(&w->peers[peer].fds[channel]);
            comm_close_fd(&w->ends[peer][channel]);
        }
        bt_str_deinit(&w->peers[peer].control_out);
    }
    for (size_t i = 0; i < N_OPS; i++) {
        bt_free(w->ops[i].rounded.data);
        for (size_t k = 0; k < SIZE; k++) {
            bt_free(w->in[i][k].data);
        }
    }
    while (w->comm.scratch != NULL) {
        comm_scratch *const scratch = w->comm.scratch;
        w->comm.scratch = scratch->next;
        bt_free(scratch->bytes.data);
        bt_free(scratch);
    }
    (void)pthread_mutex_destroy(&w->comm.lock);
    (void)pthread_cond_destroy(&w->comm.changed);
}

/* Frames one after another get the checksums of what they are. */
static void mend(uint8_t *bytes, size_t n) {
    for (size_t at = 0; at + COMM_HEADER_BYTES <= n;) {
        uint8_t *const header = bytes + at;
        const uint64_t n_bytes = bt_load_u64le(header + 24);
        const size_t   left = n - at - COMM_HEADER_BYTES;
        memcpy(header, "BtTF", 4);
        if (n_bytes <= left) {
            bt_store_u32le(header + 32, bt_crc32c(0, header + COMM_HEADER_BYTES, (size_t)n_bytes));
        }
        bt_store_u32le(header + 36, bt_crc32c(0, header, 36));
        at += COMM_HEADER_BYTES + (n_bytes <= left ? (size_t)n_bytes : left);
    }
}

static void send_stream(int fd, const uint8_t *bytes, size_t n, bool is_mended) {
    static uint8_t stream[MAX_STREAM];
    const size_t   m = n < sizeof stream ? n : sizeof stream;
    memcpy(stream, bytes, m);
    if (is_mended) {
        mend(stream, m);
    }
    require(m == 0 || write(fd, stream, m) == (ssize_t)m);
}

static void check_world(const world *w) {
    for (size_t i = 0; i < EDGE; i++) {
        require(w->place[i] == 0x5a && w->place[EDGE + 16 + i] == 0x5a);
        require(w->sum[i] == 0 && w->sum[EDGE + 7 + i] == 0);
        require(w->small_sum[i] == 0 && w->small_sum[EDGE + 2 + i] == 0);
    }
    for (size_t i = 0; i < N_OPS; i++) {
        const bt_comm_op *const op = &w->ops[i];
        require(!op->is_done || op->status != BT_OK || op->n_left == 0);
        require(!w->comm.has_failed || op->is_done);
    }
    require(!w->comm.has_failed || w->comm.error.msg[0] != '\0');
}

static void try_frames(const uint8_t *data, size_t n, comm_channel channel, bool is_mended) {
    world *const w = calloc(1, sizeof *w);
    require(w != NULL && n >= 2);
    const size_t wanted = (size_t)data[0] | (size_t)data[1] << 8;
    const size_t first = wanted < n - 2 ? wanted : n - 2;
    create_world(w);
    send_stream(w->ends[0][channel], data + 2, first, is_mended);
    send_stream(w->ends[2][channel], data + 2 + first, n - 2 - first, is_mended);
    for (int turn = 0; turn < 3 * N_OPS && !w->comm.is_over; turn++) {
        for (int32_t peer = 0; peer < SIZE && !w->comm.is_over; peer += 2) {
            comm_pump_out(&w->comm, peer);
            if (channel == COMM_CONTROL) {
                comm_pump_control(&w->comm, peer);
            } else {
                comm_pump_in(&w->comm, peer);
            }
        }
    }
    check_world(w);
    destroy_world(w);
    free(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t block[COMM_HELLO_BYTES + COMM_ANSWER_BYTES] = {0};
    if (size < 3 || size > MAX_STREAM) {
        return 0;
    }
    const uint8_t *const rest = data + 1;
    const size_t         n = size - 1;
    const int            kind = data[0] % 8;
    memcpy(block, rest, n < sizeof block ? n : sizeof block);
    char *const text = bt_strndup((const char *)rest, n);
    switch (kind) {
    case 0:
        try_hello(block);
        break;
    case 1:
        try_answer(block);
        break;
    case 2:
        try_header(block);
        break;
    case 3:
        try_card(rest, n);
        break;
    case 4:
    case 5:
        if (text != NULL) {
            try_words(text, kind == 4);
        }
        break;
    default:
        try_frames(rest, n, kind == 6 ? COMM_DATA : COMM_CONTROL, (data[0] & MEND) != 0);
        break;
    }
    bt_free(text);
    return 0;
}
