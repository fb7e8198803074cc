/* SPDX-License-Identifier: Apache-2.0
 *
 * comm: the processes of one job, on one host or several. Who am I and how was the job started
 * (bt_comm_job), and what the processes do together (bt_comm): sums of gradients, small vectors,
 * bytes, barriers. Knows nothing of BERT.
 *
 * Promises
 * - A sum is made in the order of the ranks, element by element: ((x0 + x1) + x2) + ..., whatever
 *   the timing and however a buffer was divided into calls. Every rank gets the same bits.
 * - All ranks make the same calls in the same order; a rank that makes another one is found out.
 * - A process that dies, or whose host does, is noticed within silence_seconds + 5 s by all the
 *   others: their calls return BT_E_BACKEND with one sentence that names its rank, host and process
 *   number. It is the same sentence everywhere, and so it stays: the job cannot go on.
 * - What comes from the network is checked before it is believed: who speaks (a secret, both ways),
 *   lengths, checksums. It is not encrypted.
 * - A job of one process opens nothing, starts nothing and changes no number: each call returns at
 *   once.
 *
 * Errors: BT_E_CONFIG what the environment says does not fit together; BT_E_UNSUPPORTED a way to
 * start that is not supported; BT_E_RESOURCE no port, no thread; BT_E_BACKEND another process.
 * BT_E_INTERRUPTED: asked to stop while the job was still starting (later waits go on: the others
 * must hear of the request, see below).
 *
 * A step of training on several ranks (docs/scaling.md has the reasons):
 *     bt_comm_combine_i64 {was this rank asked to stop, has it failed}, BT_COMM_MAX
 *     forward, loss; bt_comm_begin_sum_f32 of the logits
 *     backward, range by range; without a clip before the sum, after each range
 *         bt_comm_begin_sum_f32(comm, gradient + range.begin, range.n, wire, &ops[range])
 *     (with one: clip this rank's share, then begin them all)
 *     bt_comm_begin_combine_f64 {loss, ...}, BT_COMM_SUM
 *     for each range: bt_comm_wait(ops[range]), and its part of the update
 * The stop flag travels before the step, so all ranks stop after the same one; each then saves or
 * waits in a bt_comm_barrier, and bt_comm_close returns when all have come to it, so that no rank
 * ends (and makes mpirun kill the rest) while another still writes. */
#ifndef BT_COMM_H
#define BT_COMM_H

#include "bt/base/status.h"

/* How the job was started. */

typedef enum bt_comm_launch {
    BT_COMM_ALONE,
    BT_COMM_TF_CONFIG, /* the variable TF_CONFIG, as TensorFlow reads it */
    BT_COMM_OPENMPI,   /* mpirun: OMPI_COMM_WORLD_RANK and _SIZE */
    BT_COMM_SLURM,     /* srun: SLURM_PROCID, SLURM_STEP_NUM_TASKS and their kin */
} bt_comm_launch;
const char *bt_comm_launch_name(bt_comm_launch launch); /* "TF_CONFIG", "mpirun", ... */

enum { BT_COMM_MAX_RANKS = 1024 };

typedef struct bt_comm_job {
    bt_comm_launch launch;
    int32_t        rank, size;
    char         **addresses; /* owned, "host:port" or "[::1]:port": of every rank (TF_CONFIG), of
                               * rank 0 (srun, "host": the port follows from name) or none */
    int32_t n_addresses;
    char   *name; /* owned: what the processes of this job know and those of another one do not;
                   * NULL where MPI tells it */
} bt_comm_job;

/* From the environment. Two ways that contradict each other, or a half of one, are refused. */
BT_MUST_USE bt_status bt_comm_job_read(bt_comm_job *job, bt_error *err);
void                  bt_comm_job_deinit(bt_comm_job *job);

/* The job. */

typedef struct bt_comm    bt_comm;
typedef struct bt_comm_op bt_comm_op; /* begun, and not waited for yet */

typedef struct bt_comm_config {
    const char *version; /* of the program: equal on all ranks, or the job is refused */
    /* "name=value\n" lines that must be equal on all ranks; the sentence names the first that is
     * not. At most 64 KiB. */
    const char *facts;
    double      start_seconds;   /* how long the others are waited for; 0: 300 */
    double      silence_seconds; /* a rank that says nothing for so long is dead; 0: 20 */
} bt_comm_config;

/* Finds the others and connects to each. *out is freed by bt_comm_close. Environment:
 * BERT_TRAIN_COMM_SECRET, a word that all ranks must have; BERT_TRAIN_COMM_PORT, rank 0's port
 * under srun. */
BT_MUST_USE bt_status bt_comm_open(const bt_comm_job *job, const bt_comm_config *config,
                                   bt_comm **out, bt_error *err);
/* This rank cannot go on: the others get "rank R (host, process) ended: MESSAGE". */
void bt_comm_fail(bt_comm *comm, const bt_error *why);
/* Waits until every other rank came to its bt_comm_close, too (or died: BT_E_BACKEND), unless the
 * job has failed. Frees in any case; NULL: BT_OK. */
BT_MUST_USE bt_status bt_comm_close(bt_comm *comm, bt_error *err);

int32_t     bt_comm_rank(const bt_comm *comm); /* NULL: 0 */
int32_t     bt_comm_size(const bt_comm *comm); /* NULL: 1 */
const char *bt_comm_host(const bt_comm *comm, int32_t rank);

/* Together.
 * Begun operations go on by themselves, on a thread of their own, in the order in which they were
 * begun; their buffers are not touched until bt_comm_wait. Each must be waited for, once. *op is
 * NULL where nothing is to do. One thread at a time. */

typedef enum bt_comm_wire {
    BT_COMM_F32,
    BT_COMM_BF16, /* half the bytes: each rank's share and the sum are rounded to bfloat16 */
} bt_comm_wire;

BT_MUST_USE bt_status bt_comm_begin_sum_f32(bt_comm *comm, float *values, int64_t n,
                                            bt_comm_wire wire, bt_comm_op **op, bt_error *err);

typedef enum bt_comm_combine { BT_COMM_SUM, BT_COMM_MAX, BT_COMM_MIN } bt_comm_combine;
enum { BT_COMM_COMBINE_MAX = 4096 };
/* n <= BT_COMM_COMBINE_MAX; read at once, written by bt_comm_wait. Sums in the order of the ranks;
 * those of int64 wrap. A NaN is the result wherever there is one. */
BT_MUST_USE bt_status bt_comm_begin_combine_f64(bt_comm *comm, bt_comm_combine how, double *values,
                                                int32_t n, bt_comm_op **op, bt_error *err);
BT_MUST_USE bt_status bt_comm_wait(bt_comm_op *op, bt_error *err); /* NULL: BT_OK */

/* The same of integers, waited for. */
BT_MUST_USE bt_status bt_comm_combine_i64(bt_comm *comm, bt_comm_combine how, int64_t *values,
                                          int32_t n, bt_error *err);

/* n_bytes, the same number everywhere, of rank root to all. */
BT_MUST_USE bt_status bt_comm_broadcast(bt_comm *comm, int32_t root, void *bytes, size_t n_bytes,
                                        bt_error *err);

/* More of what bt_comm_config.facts says, once it is known: BT_E_CONFIG, with the same sentence on
 * all ranks, where it is not the same. */
BT_MUST_USE bt_status bt_comm_agree(bt_comm *comm, const char *facts, bt_error *err);

typedef struct bt_comm_piece {
    uint8_t *bytes; /* owned */
    size_t   n_bytes;
} bt_comm_piece;
/* Bytes of every rank, of any lengths up to max_bytes, to rank 0: pieces [size] there, untouched on
 * the others. The caller frees them with bt_comm_pieces_free. */
BT_MUST_USE bt_status bt_comm_gather(bt_comm *comm, const void *bytes, size_t n_bytes,
                                     size_t max_bytes, bt_comm_piece *pieces, bt_error *err);
void                  bt_comm_pieces_free(bt_comm_piece *pieces, int32_t n);

/* Returns when all ranks came to it. what: for the sentence, "before the first step". seconds 0:
 * waits as long as they live. Over time: BT_E_BACKEND names who did not come; the job has failed
 * then. */
BT_MUST_USE bt_status bt_comm_barrier(bt_comm *comm, const char *what, double seconds,
                                      bt_error *err);

typedef struct bt_comm_stats {
    uint64_t sent_bytes, received_bytes; /* payload */
    double   waited_seconds;             /* in bt_comm_wait and all that wait */
} bt_comm_stats;
bt_comm_stats bt_comm_get_stats(bt_comm *comm); /* NULL: zeros */

#endif
