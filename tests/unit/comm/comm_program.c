/* SPDX-License-Identifier: Apache-2.0
 *
 * One process of a job, for comm_jobs.py: does what its arguments say together with the others and
 * holds every result against a serial sum that it makes itself, bit by bit. Ends as the program
 * does: a sentence on stderr and the exit code of its kind.
 * usage: comm_program WHAT [NAME=VALUE...] */
#define _GNU_SOURCE
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/base/crc32c.h"
#include "bt/base/log.h"
#include "bt/base/number.h"
#include "bt/base/rng.h"
#include "bt/base/stop.h"
#include "bt/base/time.h"
#include "comm_waited.h"

enum { MAX_SUM = 30000, MAX_OPS = 6 };

typedef struct world {
    bt_comm *comm;
    int32_t  rank, size;
    uint64_t seed;
    int64_t  rounds;
    double   delay; /* longest, in seconds */
    uint32_t digest;
} world;

static const char *option(int argc, char **argv, const char *name, const char *otherwise) {
    const size_t n = strlen(name);
    for (int i = 2; i < argc; i++) {
        if (strncmp(argv[i], name, n) == 0 && argv[i][n] == '=') {
            return argv[i] + n + 1;
        }
    }
    return otherwise;
}

static double number(int argc, char **argv, const char *name, double otherwise) {
    const char *const text = option(argc, argv, name, NULL);
    double            value = otherwise;
    return text != NULL && bt_parse_f64(text, &value) ? value : otherwise;
}

/* What rank has at a place of a round: exponents far apart, so that another order gives other
 * bits, and now and then a zero of either sign. */
static float value_of(const world *w, int64_t round, int32_t rank, int64_t i) {
    const bt_rng_key key = bt_rng_key_make(w->seed, (uint64_t)round, (uint32_t)rank, 1);
    uint32_t         words[4];
    bt_rng_block(key, (uint64_t)i, words);
    if (words[2] % 16 == 0) {
        return words[3] % 2 == 0 ? 0.0F : -0.0F;
    }
    const float scale = (float)(1 << (words[1] % 20));
    return ((float)words[0] / 4294967296.0F - 0.5F) * scale;
}

/* The same number on all ranks. */
static uint32_t draw(const world *w, int64_t round, uint32_t which, uint32_t below) {
    uint32_t words[4];
    bt_rng_block(bt_rng_key_make(w->seed, (uint64_t)round, 77777, 2), which, words);
    return words[0] % below;
}

static void pause_a_while(const world *w, int64_t round, uint32_t which) {
    uint32_t words[4];
    bt_rng_block(bt_rng_key_make(w->seed, (uint64_t)round, (uint32_t)w->rank, 2), 1000 + which,
                 words);
    if (w->delay > 0 && words[0] % 4 == 0) {
        (void)usleep((useconds_t)((double)words[1] / 4294967296.0 * w->delay * 1e6));
    }
}

/* Through double and by hand: another way than the program's. */
static float round_bf16(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint32_t low = bits & 0xffff;
    bits &= 0xffff0000;
    if (low > 0x8000 || (low == 0x8000 && (bits & 0x10000) != 0)) {
        bits += 0x10000;
    }
    memcpy(&x, &bits, sizeof x);
    return x;
}

static float serial_sum(const world *w, int64_t round, int64_t i, bool is_bf16) {
    float sum = 0;
    for (int32_t rank = 0; rank < w->size; rank++) {
        const float raw = value_of(w, round, rank, i);
        const float x = is_bf16 ? round_bf16(raw) : raw;
        sum = rank == 0 ? x : sum + x;
    }
    return is_bf16 && w->size > 1 ? round_bf16(sum) : sum;
}

static bt_status wrong(const char *what, int64_t round, int64_t i, bt_error *err) {
    return BT_FAIL(err, BT_E_INTERNAL, "WRONG: %s of round %" PRId64 ", element %" PRId64, what,
                   round, i);
}

static void add_digest(world *w, const void *bytes, size_t n) {
    w->digest = bt_crc32c(w->digest, bytes, n);
}

/* Several sums under way at once, and a combination after them. */
static bt_status do_sums(world *w, int64_t round, bt_error *err) {
    static float values[MAX_OPS][MAX_SUM];
    bt_comm_op  *ops[MAX_OPS] = {NULL};
    bt_comm_op  *last = NULL;
    int64_t      sizes[MAX_OPS];
    double       most[3] = {(double)round, w->rank, -w->rank};
    const bool   is_bf16 = draw(w, round, 0, 2) == 1;
    const bool   is_small = draw(w, round, 7, 3) == 0;
    const int    n_ops = 1 + (int)draw(w, round, 1, MAX_OPS);
    for (int k = 0; k < n_ops; k++) {
        sizes[k] = draw(w, round, 10 + (uint32_t)k, is_small ? 6 : MAX_SUM);
        for (int64_t i = 0; i < sizes[k]; i++) {
            values[k][i] = value_of(w, round, w->rank, i + k * MAX_SUM);
        }
        pause_a_while(w, round, (uint32_t)k);
        BT_TRY(bt_comm_begin_sum_f32(w->comm, values[k], sizes[k],
                                     is_bf16 ? BT_COMM_BF16 : BT_COMM_F32, &ops[k], err));
    }
    BT_TRY(bt_comm_begin_combine_f64(w->comm, BT_COMM_MAX, most, 3, &last, err));
    for (int k = n_ops - 1; k >= 0; k--) { /* in any order */
        BT_TRY(bt_comm_wait(ops[k], err));
        for (int64_t i = 0; i < sizes[k]; i++) {
            const float want = serial_sum(w, round, i + k * MAX_SUM, is_bf16 && w->size > 1);
            if (memcmp(&want, &values[k][i], sizeof want) != 0) {
                return wrong(is_bf16 ? "a bfloat16 sum" : "a sum", round, i, err);
            }
        }
        add_digest(w, values[k], (size_t)sizes[k] * sizeof values[k][0]);
    }
    BT_TRY(bt_comm_wait(last, err));
    const bool is_max = most[0] == (double)round && most[1] == w->size - 1 && most[2] == 0;
    return is_max ? BT_OK : wrong("a maximum", round, 0, err);
}

static bt_status do_numbers(world *w, int64_t round, bt_error *err) {
    double  sums[2] = {(double)value_of(w, round, w->rank, 5) * 1e-9,
                       (double)value_of(w, round, w->rank, 6)};
    double  want[2] = {0, 0};
    double  least = w->rank == w->size - 1 ? (double)NAN : 1.0;
    int64_t n = INT64_MAX;
    for (int32_t rank = 0; rank < w->size; rank++) {
        const double a = (double)value_of(w, round, rank, 5) * 1e-9;
        const double b = (double)value_of(w, round, rank, 6);
        want[0] = rank == 0 ? a : want[0] + a;
        want[1] = rank == 0 ? b : want[1] + b;
    }
    pause_a_while(w, round, 60);
    BT_TRY(waited_combine_f64(w->comm, BT_COMM_SUM, sums, 2, err));
    BT_TRY(waited_combine_f64(w->comm, BT_COMM_MIN, &least, 1, err));
    BT_TRY(bt_comm_combine_i64(w->comm, BT_COMM_SUM, &n, 1, err));
    const int64_t wrapped = (int64_t)((uint64_t)INT64_MAX * (uint64_t)w->size);
    if (memcmp(sums, want, sizeof sums) != 0 || least == least || n != wrapped) {
        return wrong("a combination", round, 0, err);
    }
    add_digest(w, sums, sizeof sums);
    return BT_OK;
}

static void fill(const world *w, int64_t round, int32_t rank, uint8_t *bytes, size_t n) {
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (uint8_t)(value_of(w, round, rank, (int64_t)i) * 16);
    }
}

static size_t length_of(const world *w, int64_t round, int32_t rank) {
    return draw(w, round, 100 + (uint32_t)rank, 5000) * draw(w, round, 200 + (uint32_t)rank, 2);
}

static bt_status do_bytes(world *w, int64_t round, bt_error *err) {
    static uint8_t bytes[5000];
    static uint8_t want[5000];
    bt_comm_piece  pieces[16];
    const int32_t  root = (int32_t)draw(w, round, 3, (uint32_t)w->size);
    const size_t   n = draw(w, round, 4, 5000);
    fill(w, round, w->rank, bytes, n);
    fill(w, round, root, want, n);
    pause_a_while(w, round, 70);
    BT_TRY(bt_comm_broadcast(w->comm, root, bytes, n, err));
    if (memcmp(bytes, want, n) != 0) {
        return wrong("a broadcast", round, root, err);
    }
    const size_t own = length_of(w, round, w->rank);
    fill(w, round + 1, w->rank, bytes, own);
    BT_TRY(bt_comm_gather(w->comm, bytes, own, 5000, pieces, err));
    for (int32_t rank = 0; w->rank == 0 && rank < w->size; rank++) {
        const size_t m = length_of(w, round, rank);
        fill(w, round + 1, rank, want, m);
        if (pieces[rank].n_bytes != m || memcmp(pieces[rank].bytes, want, m) != 0) {
            return wrong("a gathered piece", round, rank, err);
        }
    }
    if (w->rank == 0) {
        bt_comm_pieces_free(pieces, w->size);
    }
    return BT_OK;
}

static bt_status do_all(world *w, bt_error *err) {
    for (int64_t round = 0; round < w->rounds; round++) {
        BT_TRY(do_sums(w, round, err));
        if (draw(w, round, 91, 2) == 0) {
            BT_TRY(do_numbers(w, round, err));
        }
        if (draw(w, round, 92, 2) == 0) {
            BT_TRY(do_bytes(w, round, err));
        }
        if (draw(w, round, 93, 4) == 0) {
            BT_TRY(bt_comm_barrier(w->comm, "a round of the test", 60, err));
        }
    }
    return BT_OK;
}

/* A sum larger than one part, and no call of the heap once it was made. */
static bt_status do_large(world *w, bt_error *err) {
    const int64_t n = 9000001;
    float *const  values = bt_alloc_array((size_t)n, sizeof *values);
    uint64_t      heap_calls = 0;
    bt_status     rc = BT_OK;
    if (values == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory");
    }
    for (int64_t round = 0; round < 4; round++) {
        double loss = w->rank;
        for (int64_t i = 0; i < n; i++) {
            values[i] = (float)(i % 1000 + w->rank) * 0.1F;
        }
        if (round == 3) { /* others' threads have their buffers, too */
            BT_CHECK(bt_comm_barrier(w->comm, "counting", 60, err));
            heap_calls = bt_alloc_count();
        }
        BT_CHECK(waited_sum_f32(w->comm, values, n, BT_COMM_F32, err));
        BT_CHECK(waited_combine_f64(w->comm, BT_COMM_SUM, &loss, 1, err));
    }
    heap_calls = bt_alloc_count() - heap_calls;
    for (int64_t i = 0; i < n; i++) {
        float sum = 0;
        for (int32_t rank = 0; rank < w->size; rank++) {
            const float x = (float)(i % 1000 + rank) * 0.1F;
            sum = rank == 0 ? x : sum + x;
        }
        if (sum != values[i]) {
            rc = wrong("a large sum", 0, i, err);
            goto done;
        }
    }
    if (heap_calls > 0) {
        rc = BT_FAIL(err, BT_E_INTERNAL, "WRONG: %" PRIu64 " heap calls", heap_calls);
    }
done:
    bt_free(values);
    return rc;
}

/* Steps until somebody is asked to stop: all stop after the same one. */
static bt_status do_steps(world *w, int64_t *step, bt_error *err) {
    static float gradient[4096];
    for (*step = 0;; (*step)++) {
        int64_t stop = bt_stop_requested();
        for (size_t i = 0; i < BT_ARRAY_LEN(gradient); i++) {
            gradient[i] = 1;
        }
        BT_TRY(waited_sum_f32(w->comm, gradient, BT_ARRAY_LEN(gradient), BT_COMM_F32, err));
        BT_TRY(bt_comm_combine_i64(w->comm, BT_COMM_MAX, &stop, 1, err));
        if (stop != 0) {
            return BT_OK;
        }
        if (*step == 0) { /* who reads this may begin to disturb */
            (void)printf("first step\n");
            (void)fflush(stdout);
        }
        (void)usleep(2000);
    }
}

static bt_status do_what(world *w, const char *what, bt_error *err) {
    int64_t   step = 0;
    bt_status rc = BT_OK;
    if (strcmp(what, "all") == 0) {
        return do_all(w, err);
    }
    if (strcmp(what, "large") == 0) {
        return do_large(w, err);
    }
    if (strcmp(what, "steps") == 0) {
        rc = do_steps(w, &step, err);
        if (rc == BT_OK) {
            (void)printf("stopped at step %" PRId64 "\n", step);
            bt_stop_mark_saved();
            rc = BT_FAIL(err, BT_E_INTERRUPTED, "stopped");
        }
        return rc;
    }
    if (strcmp(what, "other_call") == 0) {
        int64_t x = 0;
        return w->rank == 1 ? bt_comm_barrier(w->comm, "nothing", 0, err)
                            : bt_comm_combine_i64(w->comm, BT_COMM_SUM, &x, 1, err);
    }
    if (strcmp(what, "other_size") == 0) {
        static float x[100];
        return waited_sum_f32(w->comm, x, 50 + 10 * w->rank, BT_COMM_F32, err);
    }
    if (strcmp(what, "leave") == 0) { /* rank 1 is through */
        return w->rank == 1 ? BT_OK : bt_comm_barrier(w->comm, "one more", 0, err);
    }
    if (strcmp(what, "disk_full") == 0) {
        return w->rank == 1 ? BT_FAIL(err, BT_E_RESOURCE, "the disk is full")
                            : bt_comm_barrier(w->comm, "nothing", 0, err);
    }
    if (strcmp(what, "diverged") == 0) {
        return w->rank == 1 ? BT_FAIL(err, BT_E_DIVERGED, "the loss is not finite")
                            : bt_comm_barrier(w->comm, "nothing", 0, err);
    }
    if (strcmp(what, "late") == 0) {
        (void)(w->rank == 2 && sleep(6));
        return bt_comm_barrier(w->comm, "the first step", 3, err);
    }
    if (strcmp(what, "save") == 0 && w->rank == 0) {
        (void)usleep(1500000); /* the others are through; who ends now would have mpirun kill us */
        (void)printf("worked until %.6f\n", bt_time_monotonic());
    }
    return BT_OK; /* open */
}

/* What lies between two processes that time nothing else: for docs/scaling.md. */
static bt_status do_time(world *w, int64_t n, bt_comm_wire wire, bt_error *err) {
    float *const values = bt_calloc_array((size_t)n, sizeof *values);
    double       best = 1e9;
    double       small = 1e9;
    bt_status    rc = BT_OK;
    if (values == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory");
    }
    for (int k = 0; k < 20; k++) {
        int64_t stop = 0;
        BT_CHECK(bt_comm_barrier(w->comm, "timing", 0, err));
        const double begin = bt_time_monotonic();
        BT_CHECK(waited_sum_f32(w->comm, values, n, wire, err));
        const double middle = bt_time_monotonic();
        BT_CHECK(bt_comm_combine_i64(w->comm, BT_COMM_MAX, &stop, 1, err));
        const double end = bt_time_monotonic();
        best = middle - begin < best ? middle - begin : best;
        small = end - middle < small ? end - middle : small;
    }
    if (w->rank == 0) {
        (void)printf("%" PRId64 " floats: %.2f ms, %.2f GB/s of gradient; one number: %.0f us\n", n,
                     best * 1e3, (double)n * 4 / best * 1e-9, small * 1e6);
    }
done:
    bt_free(values);
    return rc;
}

int main(int argc, char **argv) {
    bt_error       error = BT_ERROR_INIT;
    bt_error      *err = &error;
    bt_comm_job    job = {.size = 1};
    world          w = {.rounds = (int64_t)number(argc, argv, "rounds", 10),
                        .seed = (uint64_t)number(argc, argv, "seed", 1),
                        .delay = number(argc, argv, "delay", 0)};
    const char    *what = argc > 1 ? argv[1] : "open";
    bt_comm_config config = {.version = option(argc, argv, "version", "1.0"),
                             .facts = option(argc, argv, "facts", "experiment=a\nbatch=32\n"),
                             .start_seconds = number(argc, argv, "start", 60),
                             .silence_seconds = number(argc, argv, "silence", 0)};
    bt_status      rc = BT_OK;
    bt_log_setup("comm", BT_LOG_TEXT, 0);
    bt_stop_install();
    BT_CHECK(bt_comm_job_read(&job, err));
    BT_CHECK(bt_comm_open(&job, &config, &w.comm, err));
    w.rank = bt_comm_rank(w.comm);
    w.size = bt_comm_size(w.comm);
    if (strcmp(what, "time") == 0) {
        const bool is_bf16 = strcmp(option(argc, argv, "wire", "f32"), "bf16") == 0;
        rc = do_time(&w, (int64_t)number(argc, argv, "n", 1e6),
                     is_bf16 ? BT_COMM_BF16 : BT_COMM_F32, err);
    } else {
        rc = do_what(&w, what, err);
    }
    if (rc != BT_OK && rc != BT_E_INTERRUPTED) {
        bt_comm_fail(w.comm, err);
    }
done:
    if (rc == BT_OK || rc == BT_E_INTERRUPTED) {
        const bt_status closed = bt_comm_close(w.comm, err);
        if (strcmp(what, "save") == 0 && w.rank != 0) {
            (void)printf("parted at %.6f\n", bt_time_monotonic());
        }
        rc = closed != BT_OK ? closed : rc;
    } else {
        bt_error  unheard = BT_ERROR_INIT;
        bt_status ignored = bt_comm_close(w.comm, &unheard);
        (void)ignored;
    }
    if (rc == BT_OK) {
        (void)printf("rank %" PRId32 " of %" PRId32 " digest %08" PRIx32 "\n", w.rank, w.size,
                     w.digest);
    } else {
        bt_log(BT_LOG_ERROR, "%s", error.msg);
    }
    bt_comm_job_deinit(&job);
    (void)fflush(stdout);
    return rc == BT_E_INTERRUPTED ? bt_stop_exit_code() : bt_status_exit_code(rc);
}
