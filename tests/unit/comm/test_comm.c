/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts that need no other process: proofs against Python's hmac, sums in the order of the
 * ranks, bfloat16, what is sent as bytes, a job of one process; and two processes of which one has
 * no memory at each of its requests in turn. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/base/time.h"
#include "comm_internal.h"
#include "comm_waited.h"
#include "test_support.h"

/* Processes prove that they have the job's key by OpenSSL's hashes. */
static void skip_without_keys(void) {
    bt_error problem = BT_ERROR_INIT;
    comm_key key;
    if (comm_key_make("name", "secret", &key, &problem) == BT_E_UNSUPPORTED) {
        test_skip("built without OpenSSL");
    }
}

/* python3: hmac.new(bytes(range(32)), b"listens\0what is proven", hashlib.sha256) */
static void test_proof(void **state) {
    (void)state;
    skip_without_keys();
    static const uint8_t want[COMM_MAC_BYTES] = {0x56, 0xc3, 0x9d, 0x66, 0x0e, 0x84, 0x96, 0x9f,
                                                 0x85, 0xc9, 0x3e, 0x06, 0x16, 0x7d, 0xa2, 0x57,
                                                 0x4d, 0xb0, 0xe0, 0xf4, 0x6a, 0x63, 0xa8, 0xc6,
                                                 0x22, 0x07, 0xc7, 0x5e, 0xbd, 0xb0, 0x54, 0x18};
    /* hashlib.sha256(b"name\0secret") */
    static const uint8_t first_of_key[4] = {0x35, 0xba, 0xfd, 0x28};
    comm_key             key;
    comm_key             other;
    uint8_t              mac[COMM_MAC_BYTES];
    for (size_t i = 0; i < sizeof key.bytes; i++) {
        key.bytes[i] = (uint8_t)i;
    }
    assert_ok(comm_mac(&key, "listens", "what is proven", 14, mac, err));
    assert_memory_equal(mac, want, sizeof mac);
    assert_ok(comm_mac(&key, "connects", "what is proven", 14, mac, err));
    assert_false(comm_equal(mac, want, sizeof mac));
    assert_ok(comm_key_make("name", "secret", &key, err));
    assert_memory_equal(key.bytes, first_of_key, sizeof first_of_key);
    assert_ok(comm_key_make("name", NULL, &other, err));
    assert_false(comm_equal(key.bytes, other.bytes, sizeof key.bytes));
    assert_true(comm_equal(key.bytes, key.bytes, sizeof key.bytes));
}

static uint16_t rounded(float value) {
    uint16_t out = 0;
    comm_to_bf16(&out, &value, 1);
    return out;
}

static float widened(uint16_t value) {
    float out = 0;
    comm_from_bf16(&out, &value, 1);
    return out;
}

static void test_bf16(void **state) {
    (void)state;
    static const struct {
        float    value;
        uint16_t bits;
    } rows[] = {
        {0.0F, 0x0000},
        {-0.0F, 0x8000},
        {1.0F, 0x3f80},
        {0x1.01p0F, 0x3f80}, /* half way: to even */
        {0x1.03p0F, 0x3f82},
        {0x1.010002p0F, 0x3f81}, /* just above half */
        {0x1.fffffep127F, 0x7f80},
        {INFINITY, 0x7f80},
        {-INFINITY, 0xff80},
        {0x1p-149F, 0x0000},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        assert_int_equal(rounded(rows[i].value), rows[i].bits);
    }
    assert_true(isnan(widened(rounded(NAN))));
    const uint32_t low_nan = 0x7f800001; /* its upper half alone is infinity */
    float          value;
    memcpy(&value, &low_nan, sizeof value);
    assert_true(isnan(widened(rounded(value))));
    for (uint32_t bits = 0; bits < 65536; bits++) {
        const float x = widened((uint16_t)bits);
        assert_true(isnan(x) || rounded(x) == bits);
    }
}

/* 2^24 + 1 - 2^24 + 1: 1, 2 or 0, as the order is. */
static void test_order(void **state) {
    (void)state;
    static const float shares[4] = {16777216.0F, 1.0F, -16777216.0F, 1.0F};
    enum { N = 3001 };
    static float own[N];
    static float others[3 * N];
    for (int32_t rank = 0; rank < 4; rank++) {
        for (int64_t i = 0; i < N; i++) {
            own[i] = shares[rank];
            for (int32_t k = 0, row = 0; k < 4; k++) {
                if (k != rank) {
                    others[row++ * N + i] = shares[k];
                }
            }
        }
        comm_add_f32(own, others, N, rank, 4);
        for (int64_t i = 0; i < N; i++) {
            assert_true(own[i] == 1.0F);
        }
    }
}

static void test_formats(void **state) {
    (void)state;
    const comm_hello hello = {.protocol = 7, .rank = 3, .size = 9, .channel = COMM_DATA};
    comm_hello       read_hello;
    uint8_t          bytes[COMM_HELLO_BYTES];
    comm_hello_write(&hello, bytes);
    assert_true(comm_hello_parse(bytes, &read_hello));
    assert_memory_equal(&hello, &read_hello, sizeof hello);
    bytes[20] = COMM_N_CHANNELS;
    assert_false(comm_hello_parse(bytes, &read_hello));
    const comm_header header = {
        .kind = COMM_FRAME_SUM, .phase = 1, .detail = 1, .seq = 5, .n_bytes = 1 << 20, .crc = 77};
    comm_header read_header;
    uint8_t     frame[COMM_HEADER_BYTES];
    comm_header_write(&header, frame);
    for (size_t i = 0; i < 8 * sizeof frame; i++) { /* no bit of it may change */
        frame[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_false(comm_header_parse(frame, &read_header));
        frame[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    assert_true(comm_header_parse(frame, &read_header));
    assert_int_equal(read_header.n_bytes, header.n_bytes);
    comm_card card = {.host = "here", .pid = 5, .port = 65535};
    comm_card read_card;
    bt_str    text = BT_STR_INIT;
    comm_own_addresses(&card);
    assert_true(card.n_candidates > 0);
    assert_ok(comm_card_append(&card, &text, err));
    for (size_t n = 0; n <= text.len; n++) {
        bt_reader reader = bt_reader_make(text.data, n);
        assert_int_equal(comm_card_parse(&reader, &read_card), n == text.len);
    }
    assert_memory_equal(&card, &read_card, sizeof card);
    bt_str_deinit(&text);
}

/* Nothing is opened, started, allocated or changed. */
static void test_alone(void **state) {
    (void)state;
    const bt_comm_job    job = {.size = 1};
    const bt_comm_config config = {.version = "1", .facts = ""};
    bt_comm             *comm = NULL;
    bt_comm_op          *op = NULL;
    float                values[3] = {1.00001F, -0.0F, NAN};
    float                same[3];
    double               number = 0.1;
    int64_t              whole = -7;
    const uint64_t       before = bt_alloc_count();
    memcpy(same, values, sizeof same);
    assert_ok(bt_comm_open(&job, &config, &comm, err));
    assert_null(comm);
    assert_int_equal(bt_comm_size(comm), 1);
    assert_int_equal(bt_comm_rank(comm), 0);
    assert_ok(bt_comm_begin_sum_f32(comm, values, 3, BT_COMM_BF16, &op, err));
    assert_null(op);
    assert_ok(bt_comm_wait(op, err));
    assert_ok(waited_sum_f32(comm, values, 3, BT_COMM_F32, err));
    assert_ok(waited_combine_f64(comm, BT_COMM_SUM, &number, 1, err));
    assert_ok(bt_comm_combine_i64(comm, BT_COMM_MIN, &whole, 1, err));
    assert_ok(bt_comm_broadcast(comm, 0, values, sizeof values, err));
    assert_ok(bt_comm_barrier(comm, "nothing", 1, err));
    bt_comm_fail(comm, NULL);
    assert_ok(bt_comm_close(comm, err));
    assert_int_equal(bt_alloc_count(), before);
    assert_memory_equal(values, same, sizeof same);
    assert_true(number == 0.1 && whole == -7);

    bt_comm_piece piece;
    assert_ok(bt_comm_gather(comm, values, sizeof values, 99, &piece, err));
    assert_memory_equal(piece.bytes, values, sizeof values);
    bt_comm_pieces_free(&piece, 1);
}

static char *addresses[2];

static bt_status work_of_one(int32_t rank, bt_error *err) {
    const bt_comm_job    job = {.launch = BT_COMM_TF_CONFIG,
                                .rank = rank,
                                .size = 2,
                                .addresses = addresses,
                                .n_addresses = 2,
                                .name = addresses[0]};
    const bt_comm_config config = {
        .version = "1", .facts = "a=1\n", .start_seconds = 2, .silence_seconds = 10};
    static float  values[1000];
    bt_comm_piece pieces[2] = {{.bytes = NULL}, {.bytes = NULL}};
    bt_comm      *comm = NULL;
    int64_t       stop = 0;
    bt_status     rc = BT_OK;
    BT_CHECK(bt_comm_open(&job, &config, &comm, err));
    BT_CHECK(waited_sum_f32(comm, values, 1000, BT_COMM_F32, err));
    BT_CHECK(waited_sum_f32(comm, values, 1000, BT_COMM_BF16, err));
    BT_CHECK(bt_comm_combine_i64(comm, BT_COMM_MAX, &stop, 1, err));
    BT_CHECK(bt_comm_agree(comm, "b=2\n", err));
    BT_CHECK(bt_comm_gather(comm, "abc", 3, 10, pieces, err));
done:
    bt_comm_pieces_free(pieces, 2);
    if (rc != BT_OK) {
        bt_error unheard = BT_ERROR_INIT;
        bt_comm_fail(comm, err);
        (void)!bt_comm_close(comm, &unheard);
        return rc;
    }
    return bt_comm_close(comm, err);
}

static pid_t start_one(int32_t rank, uint64_t fail_at) {
    const pid_t child = fork();
    if (child == 0) {
        bt_error err = BT_ERROR_INIT;
        bt_alloc_fail_at(fail_at, false);
        const bt_status rc = work_of_one(rank, &err);
        const bool      has_sentence = rc == BT_OK || err.msg[0] != '\0';
        /* 0: nothing failed; 1: no memory; 2: the other said so; 3: wrong */
        const int code = rc == BT_OK ? 0 : rc == BT_E_NOMEM ? 1 : rc == BT_E_BACKEND ? 2 : 3;
        _exit(has_sentence ? code : 3);
    }
    return child;
}

static int code_of(pid_t child) {
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
}

/* Each ends with a sentence, whichever request of whichever rank is refused, and none waits on. */
static void test_no_memory(void **state) {
    (void)state;
    skip_without_keys();
    for (int32_t victim = 0; victim < 2; victim++) {
        int n_faults = 0;
        for (uint64_t k = 1; k < 60; k += 5) {
            for (int i = 0; i < 2; i++) {
                char text[64];
                (void)snprintf(text, sizeof text, "127.0.0.1:%d", test_free_port());
                bt_free(addresses[i]);
                addresses[i] = bt_strdup(text);
            }
            const double begin = bt_time_monotonic();
            const pid_t  sound = start_one(1 - victim, 0);
            const pid_t  starved = start_one(victim, k);
            const int    starved_code = code_of(starved);
            if (starved_code == 1 || starved_code == 2) {
                n_faults++;
                assert_int_equal(code_of(sound), 2);
            } else {
                assert_int_equal(starved_code, 0);
                assert_int_equal(code_of(sound), 0);
            }
            assert_true(bt_time_monotonic() - begin < 60);
        }
        assert_true(n_faults > 5);
    }
    bt_free(addresses[0]);
    bt_free(addresses[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proof), cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_order), cmocka_unit_test(test_formats),
        cmocka_unit_test(test_alone), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
