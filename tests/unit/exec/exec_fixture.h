/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of the engine share: a model and an engine from a golden case's configuration, and
 * golden batches [B,S] packed as training packs them. */
#ifndef BT_EXEC_FIXTURE_H
#define BT_EXEC_FIXTURE_H

#include "bt/exec.h"
#include "test_tensors.h"

enum { FIXTURE_MAX_SEQS = 24, FIXTURE_MAX_TOKENS = 1024, FIXTURE_MAX_CLASSES = 3 };

typedef struct fixture_batch {
    bt_batch batch; /* points into this struct */
    int64_t  offsets[FIXTURE_MAX_SEQS + 1];
    int32_t  ids[FIXTURE_MAX_TOKENS], types[FIXTURE_MAX_TOKENS], positions[FIXTURE_MAX_TOKENS];
    uint8_t  key_mask[FIXTURE_MAX_TOKENS];
    int32_t  int_labels[FIXTURE_MAX_TOKENS];
    float    float_labels[FIXTURE_MAX_SEQS * FIXTURE_MAX_CLASSES];
    int64_t  example_ids[FIXTURE_MAX_SEQS];
    int64_t  places[FIXTURE_MAX_TOKENS]; /* b * S + s of each token kept */
    int64_t  n_places;                   /* B * S */
} fixture_batch;

/* drop: leave masked tokens out, but for sequences whose first token is masked. */
void fixture_pack(fixture_batch *out, const int32_t *ids, const int32_t *mask, const int32_t *types,
                  int64_t B, int64_t S, bool drop);

/* Rows of made-up words, of these lengths (1 or more). Labels are 0; key_mask leaves every fifth
 * token out of a batch that is pointed at it. */
void fixture_rows_of(fixture_batch *out, const int64_t *lengths, int64_t n_seqs, int32_t n_words);
/* The same of a length, so much less, twice that less, ...: n_lengths in turn, each of one token at
 * least. */
typedef struct fixture_lengths {
    int64_t longest, less, n_lengths;
} fixture_lengths;
void fixture_rows(fixture_batch *out, int64_t n_seqs, fixture_lengths lengths, int32_t n_words);
/* What [n_elements] of the model has where nothing is 0 or 1, adapters neither. The caller frees it
 * by bt_free. */
float *fixture_params(const bt_model *model);

bt_encoder_config fixture_encoder(void); /* the tiny golden encoder: V200 H32 L2 N4 I64 P64 T2 */

typedef struct fixture {
    bt_model *model;
    bt_conf  *conf;
    bt_optim *optim;
    bt_exec  *exec;
} fixture;

/* optimizer: the case's `optimizer` object, or NULL: no updates. */
void fixture_open(fixture *f, const bt_encoder_config *encoder, const bt_head_config *head,
                  json_t *optimizer, const char *isa, int32_t n_threads);
/* The same with an engine made so. */
void fixture_with(fixture *f, const bt_exec_config *config);
/* The same with an engine that works on part_seqs sequences of a batch at a time. */
void fixture_in_parts(fixture *f, const char *isa, int32_t n_threads, int64_t part_seqs);
/* The same with an engine on two threads that rounds the factors of its products, and with the
 * optimizer as such a run has it. loss_scale 0: dynamic. */
void fixture_in_precision(fixture *f, json_t *optimizer, const char *isa, bt_precision precision,
                          double loss_scale);
/* The same with a model of which task.model.freeze names a part. */
void fixture_freeze(fixture *f, json_t *optimizer, const char *words, const char *isa,
                    int32_t n_threads);
/* The same with an engine of one of several processes, whose shares are Model Garden's. */
void fixture_with_others(fixture *f, const char *isa, bt_comm *comm);
void fixture_close(fixture *f);
/* Every parameter of the table from tensors "prefix" + tf_name. */
void fixture_load(fixture *f, const test_tensors *golden, const char *prefix);

/* A buffer of the engine, with what the steps made in it. */
static inline float *settled(bt_exec *exec, float *buffer) {
    bt_error problem = BT_ERROR_INIT;
    assert_int_equal(bt_exec_settle(exec, &problem), BT_OK);
    return buffer;
}

/* The isas of this machine, NULL-terminated. */
const char *const *fixture_isas(void);

#endif
