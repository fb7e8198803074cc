/* SPDX-License-Identifier: Apache-2.0
 *
 * comm, private: what its files share. Three times in the life of a job: its processes find each
 * other (comm_start.c, comm_accept.c, comm_greet.c), in the caller's thread, with time limits
 * everywhere; then a thread (comm_thread.c) moves bytes (comm_pump.c) of operations (comm_op.c)
 * that the caller posts (comm.c); then they part. Two connections to each other rank: one for
 * signs of life and bad news, which nothing holds up, and one for data. */
#ifndef BT_COMM_INTERNAL_H
#define BT_COMM_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "bt/base/bytes.h"
#include "bt/base/str.h"
#include "bt/comm.h"

enum {
    COMM_HOST_MAX = 256,
    COMM_LABEL_MAX = 360,
    COMM_KEY_BYTES = 32,
    COMM_MAC_BYTES = 32,
    COMM_NONCE_BYTES = 16,
    COMM_TAG_BYTES = 16,
    COMM_MAX_CANDIDATES = 8,
    COMM_CANDIDATE_MAX = 64,
    COMM_MAX_FACTS = 65536,
};

/* Who am I (comm_job.c, comm_tf_config.c). */

/* rank, size, addresses and name of what the text of TF_CONFIG says. */
BT_MUST_USE bt_status comm_tf_config_parse(bt_comm_job *job, const char *text, bt_error *err);
/* "host:port", "[v6]:port"; false: neither. */
BT_MUST_USE bool comm_address_parse(const char *address, char host[COMM_HOST_MAX], int32_t *port);
/* The first host of a list as Slurm writes it: "a[01-04,07]b,c" -> "a01b"; false: not one. */
BT_MUST_USE bool comm_first_host(const char *list, char host[COMM_HOST_MAX]);

/* What is sent (comm_format.c). */

typedef enum comm_channel { COMM_CONTROL, COMM_DATA, COMM_N_CHANNELS } comm_channel;

/* Who connects says hello; who listens answers and proves that it knows the key; who connected
 * proves it, too, and is welcomed. All of fixed lengths. The place of magic and protocol is the
 * same in every version of this program. */
enum {
    COMM_PROTOCOL = 1,
    COMM_HELLO_BYTES = 56,
    COMM_ANSWER_BYTES = 64,
    COMM_WELCOME_BYTES = 8,
};
typedef struct comm_hello {
    uint32_t protocol, rank, size, channel;
    uint8_t  nonce[COMM_NONCE_BYTES];
    uint8_t  tag[COMM_TAG_BYTES]; /* which job, without telling its key */
} comm_hello;
typedef enum comm_verdict {
    COMM_COME_IN,
    COMM_OTHER_JOB,
    COMM_OTHER_PROTOCOL,
    COMM_OTHER_SHAPE, /* a rank that cannot be, or another number of ranks */
    COMM_N_VERDICTS
} comm_verdict;
typedef struct comm_answer {
    uint32_t verdict, rank;
    uint8_t  nonce[COMM_NONCE_BYTES];
    uint8_t  mac[COMM_MAC_BYTES];
} comm_answer;
void              comm_hello_write(const comm_hello *hello, uint8_t out[COMM_HELLO_BYTES]);
BT_MUST_USE bool  comm_hello_parse(const uint8_t bytes[COMM_HELLO_BYTES], comm_hello *out);
void              comm_answer_write(const comm_answer *answer, uint8_t out[COMM_ANSWER_BYTES]);
BT_MUST_USE bool  comm_answer_parse(const uint8_t bytes[COMM_ANSWER_BYTES], comm_answer *out);
extern const char comm_welcome[COMM_WELCOME_BYTES + 1];

/* Everything after the greeting is frames. */
enum { COMM_HEADER_BYTES = 40 };
typedef enum comm_frame_kind {
    COMM_FRAME_CARD = 1, /* who a rank is; to rank 0 */
    COMM_FRAME_TABLE,    /* the cards of all; from rank 0 */
    COMM_FRAME_ALIVE,
    COMM_FRAME_FAIL, /* u32 status, then the sentence */
    COMM_FRAME_BYE,
    COMM_FRAME_SUM,
    COMM_FRAME_EXCHANGE,
    COMM_N_FRAMES
} comm_frame_kind;
typedef struct comm_header {
    uint32_t kind, phase, detail;
    uint64_t seq, n_bytes;
    uint32_t crc; /* of the payload */
} comm_header;
void             comm_header_write(const comm_header *header, uint8_t out[COMM_HEADER_BYTES]);
BT_MUST_USE bool comm_header_parse(const uint8_t bytes[COMM_HEADER_BYTES], comm_header *out);

/* Who a rank is and where it listens. */
typedef struct comm_card {
    char    host[COMM_HOST_MAX];
    int64_t pid;
    int32_t port;
    int32_t n_candidates;
    char    candidates[COMM_MAX_CANDIDATES][COMM_CANDIDATE_MAX]; /* addresses in figures */
} comm_card;
BT_MUST_USE bt_status comm_card_append(const comm_card *card, bt_str *out, bt_error *err);
BT_MUST_USE bool      comm_card_parse(bt_reader *reader, comm_card *out);
BT_MUST_USE bt_status comm_text_append(bt_str *out, const char *text, bt_error *err);
/* max: with the NUL. false: longer, or a zero byte in it. */
BT_MUST_USE bool comm_text_parse(bt_reader *reader, char *out, size_t max);

/* The key (comm_secret.c). */

typedef struct comm_key {
    uint8_t bytes[COMM_KEY_BYTES];
} comm_key;
/* Of the words that the ranks share; secret may be NULL. */
BT_MUST_USE bt_status comm_key_make(const char *name, const char *secret, comm_key *out,
                                    bt_error *err);
BT_MUST_USE bt_status comm_mac(const comm_key *key, const char *purpose, const void *bytes,
                               size_t n_bytes, uint8_t out[COMM_MAC_BYTES], bt_error *err);
bool                  comm_equal(const uint8_t *a, const uint8_t *b, size_t n); /* in equal time */
BT_MUST_USE bt_status comm_random(void *bytes, size_t n, bt_error *err);

/* Sockets (comm_socket.c).
 * deadline: of bt_time_monotonic. Waits end early when the process is asked to stop. */

/* *port 0: any, and says which. Of IPv4 and IPv6, where the machine has both. */
BT_MUST_USE bt_status comm_listen(int32_t *port, int *fd, bt_error *err);
BT_MUST_USE bt_status comm_connect(const char *host, int32_t port, double deadline, int *fd,
                                   bt_error *err);
BT_MUST_USE bt_status comm_send_all(int fd, const void *bytes, size_t n, double deadline,
                                    bt_error *err);
BT_MUST_USE bt_status comm_recv_all(int fd, void *bytes, size_t n, double deadline, bt_error *err);
/* Milliseconds for poll(2), at most 200, so that a request to stop is seen. */
int                   comm_slice(double deadline);
BT_MUST_USE bt_status comm_set_socket(int       fd,
                                      bt_error *err); /* not blocking, at once, exec closes */
void                  comm_close_fd(int *fd);         /* -1 after it */
void                  comm_own_addresses(comm_card *card);

/* libmpi (comm_mpi.c). */

/* bytes of rank 0 to all, by the MPI that started this process; it is not used after that. */
BT_MUST_USE bt_status comm_mpi_share(int32_t rank, int32_t size, void *bytes, size_t n,
                                     bt_error *err);

/* The others. */

typedef struct comm_sending {
    uint8_t        header[COMM_HEADER_BYTES];
    const uint8_t *payload; /* borrowed: of the operation */
    size_t         n_bytes; /* of the payload */
    size_t         n_sent;  /* of header and payload together */
    bool           is_on;
} comm_sending;

typedef struct comm_receiving {
    uint8_t     bytes[COMM_HEADER_BYTES];
    comm_header header;
    uint8_t    *payload; /* borrowed: of the operation */
    size_t      n_got;   /* of header and payload together */
} comm_receiving;

typedef struct comm_peer {
    int  fds[COMM_N_CHANNELS];
    char label[COMM_LABEL_MAX]; /* "rank 2 of 4 (host b, process 71)" */

    /* of the thread */
    double         heard;     /* last sign of life; 0: not one yet */
    double         lost_data; /* since when the data connection is closed; 0: it is not */
    bool           has_left;  /* in good order, */
    uint64_t       left_at;   /* after so many operations */
    bt_str         control_out;
    size_t         n_control_sent;
    uint8_t        control_in[COMM_HEADER_BYTES + BT_ERROR_MSG_MAX + 8];
    size_t         n_control_in;
    comm_sending   out;
    comm_receiving in;
    uint64_t       out_seq, in_seq; /* the operation whose turn it is */
    uint32_t       out_phase, in_phase;
} comm_peer;

/* Operations (comm_op.c).
 * A sum has two phases: each rank gets its share of the buffer from all and adds, then gives the
 * sum to all. An exchange has one. Frames of a connection come in the order of operations and
 * phases, and none is read before its operation was posted: a rank that is ahead waits in the
 * network. */

typedef enum comm_pattern {
    COMM_ALL_TO_ALL,
    COMM_TO_ROOT,
    COMM_FROM_ROOT,
} comm_pattern;

typedef struct comm_bytes {
    uint8_t *data; /* owned */
    size_t   n, cap;
} comm_bytes;

/* Where others' shares of a sum wait. Whoever has a share of its own in a sum can be at most one
 * sum ahead of another rank, so two of these are in use; more where sums have fewer elements than
 * there are ranks. */
typedef struct comm_scratch {
    struct comm_scratch *next;
    comm_bytes           bytes;
    bool                 is_used;
} comm_scratch;
enum { COMM_N_PHASES = 2 };

typedef struct comm_span {
    const void *data; /* borrowed */
    size_t      n;
} comm_span;

struct bt_comm_op {
    bt_comm        *comm;
    bt_comm_op     *next; /* in the list of posted, or of free ones */
    bt_comm_op     *more; /* the next part of the same call */
    comm_frame_kind kind;
    const char     *what; /* borrowed, for sentences */

    /* COMM_FRAME_SUM */
    float        *values; /* borrowed */
    int64_t       n;
    bt_comm_wire  wire;
    comm_bytes    rounded; /* values as they travel in bfloat16 */
    comm_scratch *scratch;
    bool          is_reduced;

    /* COMM_FRAME_EXCHANGE */
    comm_pattern pattern;
    int32_t      root;
    comm_span    out;   /* to everybody */
    comm_bytes   own;   /* a copy of what goes out, where the caller's may change */
    comm_bytes  *in;    /* [size] */
    void        *place; /* borrowed; where the root's bytes go, NULL: to in */
    size_t       min_bytes, max_bytes;

    /* a combination of small vectors, made in bt_comm_wait */
    void           *result; /* borrowed; NULL: none */
    bool            is_f64;
    bt_comm_combine how;

    /* of the thread */
    int32_t      n_left;        /* frames to come and to go */
    int32_t      n_shares_left; /* of a sum: to come before this rank can add */
    atomic_bool *has_come;      /* [size], for the sentence of a barrier */

    /* under the lock */
    bool      is_done;
    bt_status status;
};

typedef enum comm_turn { COMM_NOTHING, COMM_LATER, COMM_READY } comm_turn;
/* What goes to peer, and whether something comes from it, in this phase. */
comm_turn comm_op_out(const bt_comm *comm, const bt_comm_op *op, uint32_t phase, int32_t peer,
                      comm_span *span);
bool      comm_op_expects(const bt_comm *comm, const bt_comm_op *op, uint32_t phase, int32_t peer);
/* Where a payload of n_bytes goes; what it must not be is an error. */
BT_MUST_USE bt_status comm_op_place(bt_comm *comm, bt_comm_op *op, const comm_header *header,
                                    int32_t peer, uint8_t **place, bt_error *err);
void                  comm_op_arrived(bt_comm *comm, bt_comm_op *op, uint32_t phase, int32_t peer);
/* Before its first frame. BT_E_NOMEM. */
BT_MUST_USE bt_status comm_op_start(bt_comm *comm, bt_comm_op *op, bt_error *err);
BT_MUST_USE bt_status comm_bytes_reserve(comm_bytes *bytes, size_t n, bt_error *err);
/* The sum of n numbers in the order of the ranks: own, and others [size-1, n] without own. */
void comm_add_f32(float *own, const float *others, int64_t n, int32_t rank, int32_t size);
/* The same of bfloat16; own becomes the rounded sum. */
void comm_add_bf16(uint16_t *own, const uint16_t *others, int64_t n, int32_t rank, int32_t size);
void comm_to_bf16(uint16_t *out, const float *in,
                  int64_t n); /* nearest, ties to even; NaN stays one */
void comm_from_bf16(float *out, const uint16_t *in, int64_t n);

/* The job. */

struct bt_comm {
    int32_t    rank, size;
    double     silence_seconds, alive_seconds, start_deadline;
    comm_key   key;
    uint8_t    tag[COMM_TAG_BYTES];
    int        listener;
    comm_peer *peers; /* [size] */
    comm_card *cards; /* [size] */

    pthread_t       thread;
    bool            has_thread, has_lock;
    int             wake_fd;
    pthread_mutex_t lock;
    pthread_cond_t  changed;
    /* under the lock */
    bt_comm_op *first_posted, *last_posted, *free_ops;
    bool        wants_bye, wants_end, wants_fail, has_failed;
    bool        may_end; /* all others have left in good order, or have the bad news */
    bt_error    failure; /* of this rank, for the others (wants_fail) */
    bt_error    error;   /* of the job (has_failed) */

    /* of the thread */
    bt_comm_op         **queue; /* those from first_seq on; NULL: done */
    size_t               cap_queue;
    uint64_t             first_seq, next_seq;
    struct pollfd       *polled;  /* [1 + 2 size] */
    comm_scratch        *scratch; /* the first */
    bool                 said_bye, is_over;
    double               last_turn, said_alive, over_since;
    atomic_uint_fast64_t n_sent, n_received;
    /* of the caller's thread */
    bool   is_refused; /* by bt_comm_agree, with one sentence for all */
    double waited_seconds;
};

/* comm_greet.c: over a connection; rank is the other's, as expected and as found. */
BT_MUST_USE bt_status comm_greet(const bt_comm *comm, int fd, int32_t rank, comm_channel channel,
                                 double deadline, bool *is_hopeless, bt_error *err);
/* comm_accept.c: until every rank from first on has this channel (all: both). */
BT_MUST_USE bt_status comm_accept(bt_comm *comm, int32_t first, bool all, bt_error *err);
/* comm_start.c: connections to all others. */
BT_MUST_USE bt_status comm_start(bt_comm *comm, const bt_comm_job *job,
                                 const bt_comm_config *config, bt_error *err);
void                  comm_label(bt_comm *comm, int32_t rank);
/* comm_facts.c: of a rank, and of rank 0; BT_E_CONFIG names the first that differs. */
BT_MUST_USE bt_status comm_facts_compare(const bt_comm *comm, int32_t rank, const char *ours,
                                         const char *theirs, bt_error *err);
/* comm_thread.c */
void *comm_thread_main(void *comm);
void  comm_wake(bt_comm *comm);
/* The job has failed, for this sentence; the others are told. Of the thread. */
void comm_end_job(bt_comm *comm, const bt_error *why);
/* What another rank says of itself and of the job, as far as it has come. */
void comm_pump_control(bt_comm *comm, int32_t peer);
/* comm_pump.c: as far as it goes now. */
void comm_pump_out(bt_comm *comm, int32_t peer);
void comm_pump_in(bt_comm *comm, int32_t peer);
bool comm_wants_in(bt_comm *comm, int32_t peer); /* is something expected from it? */

#endif
