/* SPDX-License-Identifier: Apache-2.0
 *
 * What all ranks must have alike, as lines "name=value": compared on rank 0, told to all. */
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "comm_internal.h"

static bool has_line(const char *facts, const char *line, size_t n) {
    for (const char *at = facts; *at != '\0';) {
        const size_t n_at = strcspn(at, "\n");
        if (n_at == n && memcmp(at, line, n) == 0) {
            return true;
        }
        at += n_at + (at[n_at] == '\n');
    }
    return false;
}

/* The first line of these that those have not; "": there is none. */
static const char *missing_line(const char *these, const char *those) {
    const char *line = these;
    while (*line != '\0' && has_line(those, line, strcspn(line, "\n"))) {
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    return line;
}

/* The name of the first line in which they differ: "name" [cap]. A fact may be told where it is
 * not the usual one only. */
static void first_difference(const char *a, const char *b, char *name, size_t cap) {
    const char *line = missing_line(a, b);
    line = *line != '\0' ? line : missing_line(b, a);
    line = *line != '\0' ? line : a; /* the same lines in another order */
    const size_t n = strcspn(line, "=\n");
    (void)snprintf(name, cap, "%.*s", (int)(n < cap ? n : cap - 1), line);
}

static const char *value_of(const char *facts, const char *name, char *out, size_t cap) {
    const size_t n = strlen(name);
    (void)snprintf(out, cap, "(nothing)");
    for (const char *line = facts; *line != '\0';) {
        const size_t n_line = strcspn(line, "\n");
        if (strncmp(line, name, n) == 0 && line[n] == '=') {
            const size_t n_value = n_line - n - 1;
            (void)snprintf(out, cap, "%.*s", (int)(n_value < cap ? n_value : cap - 1),
                           line + n + 1);
            break;
        }
        line += n_line + (line[n_line] == '\n');
    }
    return out;
}

bt_status comm_facts_compare(const bt_comm *comm, int32_t rank, const char *ours,
                             const char *theirs, bt_error *err) {
    char name[128];
    char our_value[160];
    char their_value[160];
    if (strcmp(ours, theirs) == 0) {
        return BT_OK;
    }
    first_difference(ours, theirs, name, sizeof name);
    return BT_FAIL(
        err, BT_E_CONFIG, "%s has %s '%s', rank 0 (host %s) '%s': all ranks must run the same job",
        comm->peers[rank].label, name, value_of(theirs, name, their_value, sizeof their_value),
        comm->cards[0].host, value_of(ours, name, our_value, sizeof our_value));
}

/* Rank 0's judgement, as it is told. */
typedef struct verdict {
    uint32_t code;
    char     msg[BT_ERROR_MSG_MAX];
} verdict;

static bt_status judge(const bt_comm *comm, const char *facts, const bt_comm_piece *pieces,
                       verdict *out, bt_error *err) {
    for (int32_t rank = 1; rank < comm->size; rank++) {
        bt_error     why = BT_ERROR_INIT;
        const size_t n = pieces[rank].n_bytes;
        char *const  theirs = bt_alloc(n + 1);
        if (theirs == NULL) {
            return BT_FAIL(err, BT_E_NOMEM, "out of memory for the facts of a job");
        }
        if (n > 0) {
            memcpy(theirs, pieces[rank].bytes, n);
        }
        theirs[n] = '\0';
        out->code = (uint32_t)comm_facts_compare(comm, rank, facts, theirs, &why);
        bt_free(theirs);
        if (out->code != BT_OK) {
            (void)snprintf(out->msg, sizeof out->msg, "%s", why.msg);
            break;
        }
    }
    return BT_OK;
}

bt_status bt_comm_agree(bt_comm *comm, const char *facts, bt_error *err) {
    const size_t n = strlen(facts);
    verdict      said = {.code = BT_OK};
    if (comm == NULL) {
        return BT_OK;
    }
    if (n > COMM_MAX_FACTS) {
        return BT_FAIL(err, BT_E_CONFIG, "the facts of the job are longer than %d bytes",
                       (int)COMM_MAX_FACTS);
    }
    bt_comm_piece *const pieces = bt_calloc_array((size_t)comm->size, sizeof *pieces);
    bt_status            rc = BT_OK;
    if (pieces == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the facts of a job");
    }
    BT_CHECK(bt_comm_gather(comm, facts, n, COMM_MAX_FACTS, pieces, err));
    if (comm->rank == 0) {
        BT_CHECK(judge(comm, facts, pieces, &said, err));
    }
    BT_CHECK(bt_comm_broadcast(comm, 0, &said, sizeof said, err));
    if (said.code != BT_OK) {
        said.msg[sizeof said.msg - 1] = '\0';
        comm->is_refused = true;
        rc = BT_FAIL(err, BT_E_CONFIG, "%s", said.msg);
    }
done:
    bt_comm_pieces_free(pieces, comm->size);
    bt_free(pieces);
    return rc;
}
