/* SPDX-License-Identifier: Apache-2.0
 *
 * The greeting of the side that connects. (The other side's: comm_accept.c.) Both prove that they
 * know the job's key, over numbers that each has just drawn, so that nothing heard before helps. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/time.h"
#include "comm_internal.h"

static const double answer_seconds = 10.0;

static bt_status refused(const bt_comm *comm, const comm_answer *answer, bt_error *err) {
    switch ((comm_verdict)answer->verdict) {
    case COMM_OTHER_JOB:
        return BT_FAIL(err, BT_E_BACKEND,
                       "is of another job: its TF_CONFIG or BERT_TRAIN_COMM_SECRET is another one, "
                       "or a job that uses the same port has not ended yet");
    case COMM_OTHER_PROTOCOL:
        return BT_FAIL(err, BT_E_BACKEND,
                       "speaks another version of the protocol: all ranks must run the same "
                       "version of the program");
    case COMM_OTHER_SHAPE:
        return BT_FAIL(err, BT_E_BACKEND,
                       "expects no rank %" PRId32 " of %" PRId32
                       ": all ranks must be told the same number of processes",
                       comm->rank, comm->size);
    case COMM_COME_IN:
    case COMM_N_VERDICTS:
        break;
    }
    return BT_OK;
}

static bt_status check_answer(const bt_comm *comm, const uint8_t hello[COMM_HELLO_BYTES],
                              const uint8_t bytes[COMM_ANSWER_BYTES], int32_t rank,
                              bool *is_hopeless, bt_error *err) {
    uint8_t     proven[COMM_HELLO_BYTES + 32];
    uint8_t     mac[COMM_MAC_BYTES];
    comm_answer answer;
    if (!comm_answer_parse(bytes, &answer)) {
        return BT_FAIL(err, BT_E_BACKEND, "is another program");
    }
    *is_hopeless = answer.verdict != COMM_COME_IN;
    BT_TRY(refused(comm, &answer, err));
    memcpy(proven, hello, COMM_HELLO_BYTES);
    memcpy(proven + COMM_HELLO_BYTES, bytes, 32);
    BT_TRY(comm_mac(&comm->key, "listens", proven, sizeof proven, mac, err));
    if (!comm_equal(mac, answer.mac, sizeof mac)) {
        return BT_FAIL(err, BT_E_BACKEND, "does not know the key of this job");
    }
    if (answer.rank != (uint32_t)rank) {
        return BT_FAIL(err, BT_E_BACKEND, "is rank %" PRIu32 " and not %" PRId32, answer.rank,
                       rank);
    }
    return BT_OK;
}

bt_status comm_greet(const bt_comm *comm, int fd, int32_t rank, comm_channel channel,
                     double deadline, bool *is_hopeless, bt_error *err) {
    const double own_deadline = bt_time_monotonic() + answer_seconds;
    const double end = own_deadline < deadline ? own_deadline : deadline;
    comm_hello   hello = {.protocol = COMM_PROTOCOL,
                          .rank = (uint32_t)comm->rank,
                          .size = (uint32_t)comm->size,
                          .channel = channel};
    uint8_t      both[COMM_HELLO_BYTES + COMM_ANSWER_BYTES];
    uint8_t      proof[COMM_MAC_BYTES];
    uint8_t      welcome[COMM_WELCOME_BYTES];
    memcpy(hello.tag, comm->tag, sizeof hello.tag);
    BT_TRY(comm_random(hello.nonce, sizeof hello.nonce, err));
    comm_hello_write(&hello, both);
    BT_TRY(comm_send_all(fd, both, COMM_HELLO_BYTES, end, err));
    BT_TRY(comm_recv_all(fd, both + COMM_HELLO_BYTES, COMM_ANSWER_BYTES, end, err));
    BT_TRY(check_answer(comm, both, both + COMM_HELLO_BYTES, rank, is_hopeless, err));
    BT_TRY(comm_mac(&comm->key, "connects", both, sizeof both, proof, err));
    BT_TRY(comm_send_all(fd, proof, sizeof proof, end, err));
    BT_TRY(comm_recv_all(fd, welcome, sizeof welcome, end, err));
    return memcmp(welcome, comm_welcome, sizeof welcome) == 0
               ? BT_OK
               : BT_FAIL(err, BT_E_BACKEND, "is another program");
}
