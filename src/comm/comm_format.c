/* SPDX-License-Identifier: Apache-2.0
 *
 * What is sent, as bytes: greetings, headers of frames, cards. Little-endian. What is parsed comes
 * from whoever found the port: nothing is believed but what these checks let through. */
#include <string.h>

#include "bt/base/crc32c.h"
#include "comm_internal.h"

static const char     hello_magic[9] = "BTcomm\r\n";
static const char     answer_magic[9] = "BTansw\r\n";
const char            comm_welcome[COMM_WELCOME_BYTES + 1] = "BTwelc\r\n";
static const uint32_t frame_magic = 0x46547442; /* "BtTF" */

void comm_hello_write(const comm_hello *hello, uint8_t out[COMM_HELLO_BYTES]) {
    memcpy(out, hello_magic, 8);
    bt_store_u32le(out + 8, hello->protocol);
    bt_store_u32le(out + 12, hello->rank);
    bt_store_u32le(out + 16, hello->size);
    bt_store_u32le(out + 20, hello->channel);
    memcpy(out + 24, hello->nonce, COMM_NONCE_BYTES);
    memcpy(out + 40, hello->tag, COMM_TAG_BYTES);
}

bool comm_hello_parse(const uint8_t bytes[COMM_HELLO_BYTES], comm_hello *out) {
    if (memcmp(bytes, hello_magic, 8) != 0) {
        return false;
    }
    out->protocol = bt_load_u32le(bytes + 8);
    out->rank = bt_load_u32le(bytes + 12);
    out->size = bt_load_u32le(bytes + 16);
    out->channel = bt_load_u32le(bytes + 20);
    memcpy(out->nonce, bytes + 24, COMM_NONCE_BYTES);
    memcpy(out->tag, bytes + 40, COMM_TAG_BYTES);
    return out->channel < COMM_N_CHANNELS;
}

void comm_answer_write(const comm_answer *answer, uint8_t out[COMM_ANSWER_BYTES]) {
    memcpy(out, answer_magic, 8);
    bt_store_u32le(out + 8, answer->verdict);
    bt_store_u32le(out + 12, answer->rank);
    memcpy(out + 16, answer->nonce, COMM_NONCE_BYTES);
    memcpy(out + 32, answer->mac, COMM_MAC_BYTES);
}

bool comm_answer_parse(const uint8_t bytes[COMM_ANSWER_BYTES], comm_answer *out) {
    if (memcmp(bytes, answer_magic, 8) != 0) {
        return false;
    }
    out->verdict = bt_load_u32le(bytes + 8);
    out->rank = bt_load_u32le(bytes + 12);
    memcpy(out->nonce, bytes + 16, COMM_NONCE_BYTES);
    memcpy(out->mac, bytes + 32, COMM_MAC_BYTES);
    return out->verdict < COMM_N_VERDICTS;
}

void comm_header_write(const comm_header *header, uint8_t out[COMM_HEADER_BYTES]) {
    bt_store_u32le(out, frame_magic);
    bt_store_u32le(out + 4, header->kind);
    bt_store_u32le(out + 8, header->phase);
    bt_store_u32le(out + 12, header->detail);
    bt_store_u64le(out + 16, header->seq);
    bt_store_u64le(out + 24, header->n_bytes);
    bt_store_u32le(out + 32, header->crc);
    bt_store_u32le(out + 36, bt_crc32c(0, out, 36));
}

bool comm_header_parse(const uint8_t bytes[COMM_HEADER_BYTES], comm_header *out) {
    if (bt_load_u32le(bytes) != frame_magic ||
        bt_load_u32le(bytes + 36) != bt_crc32c(0, bytes, 36)) {
        return false;
    }
    out->kind = bt_load_u32le(bytes + 4);
    out->phase = bt_load_u32le(bytes + 8);
    out->detail = bt_load_u32le(bytes + 12);
    out->seq = bt_load_u64le(bytes + 16);
    out->n_bytes = bt_load_u64le(bytes + 24);
    out->crc = bt_load_u32le(bytes + 32);
    return out->kind >= COMM_FRAME_CARD && out->kind < COMM_N_FRAMES && out->phase < COMM_N_PHASES;
}

static bt_status append_u32(bt_str *out, uint32_t value, bt_error *err) {
    uint8_t bytes[4];
    bt_store_u32le(bytes, value);
    return bt_str_append_n(out, bytes, sizeof bytes, err);
}

bt_status comm_text_append(bt_str *out, const char *text, bt_error *err) {
    const size_t n = strlen(text);
    BT_ASSERT(n <= COMM_MAX_FACTS);
    BT_TRY(append_u32(out, (uint32_t)n, err));
    return bt_str_append_n(out, text, n, err);
}

bool comm_text_parse(bt_reader *reader, char *out, size_t max) {
    uint32_t       n = 0;
    const uint8_t *bytes = NULL;
    if (!bt_read_u32le(reader, &n) || n >= max || !bt_read_bytes(reader, n, &bytes) ||
        memchr(bytes, '\0', n) != NULL) {
        return false;
    }
    memcpy(out, bytes, n);
    out[n] = '\0';
    return true;
}

bt_status comm_card_append(const comm_card *card, bt_str *out, bt_error *err) {
    BT_TRY(comm_text_append(out, card->host, err));
    BT_TRY(append_u32(out, (uint32_t)card->pid, err));
    BT_TRY(append_u32(out, (uint32_t)card->port, err));
    BT_TRY(append_u32(out, (uint32_t)card->n_candidates, err));
    for (int32_t i = 0; i < card->n_candidates; i++) {
        BT_TRY(comm_text_append(out, card->candidates[i], err));
    }
    return BT_OK;
}

bool comm_card_parse(bt_reader *reader, comm_card *out) {
    uint32_t pid = 0;
    uint32_t port = 0;
    uint32_t n = 0;
    *out = (comm_card){.pid = 0};
    if (!comm_text_parse(reader, out->host, sizeof out->host) || !bt_read_u32le(reader, &pid) ||
        !bt_read_u32le(reader, &port) || !bt_read_u32le(reader, &n) || port > 65535 ||
        n > COMM_MAX_CANDIDATES) {
        return false;
    }
    out->pid = pid;
    out->port = (int32_t)port;
    for (uint32_t i = 0; i < n; i++) {
        if (!comm_text_parse(reader, out->candidates[i], COMM_CANDIDATE_MAX)) {
            return false;
        }
    }
    out->n_candidates = (int32_t)n;
    return true;
}
