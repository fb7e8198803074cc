/* SPDX-License-Identifier: Apache-2.0
 *
 * A SQuAD file with its vocabulary and windows, as tests want it; and comparing with JSON. */
#ifndef BT_TEST_SQUAD_FIXTURE_H
#define BT_TEST_SQUAD_FIXTURE_H

#include "test_support.h"
#include "test_tensors.h"

#include "bt/squad.h"

typedef struct squad_fixture {
    bt_text_vocab     *vocab;
    bt_text_tokenizer *tokenizer;
    bt_squad_set       set;
    bt_squad_windows  *windows;
} squad_fixture;

typedef struct squad_case {
    const char             *json; /* path */
    const char             *vocab;
    bool                    do_lower_case;
    bt_squad_use            use;
    bool                    version_2;
    bt_squad_window_options options;
} squad_case;

/* Every step must succeed. */
void squad_fixture_init(squad_fixture *f, const squad_case *c);
void squad_fixture_deinit(squad_fixture *f);

bt_squad_text squad_text_of(const json_t *string);
/* Of one prediction against one answer. version_2: two empty ones agree (f1 1, not 0). */
bt_status squad_compare(bt_text_scratch *scratch, bt_squad_text predicted, bt_squad_text answer,
                        bool version_2, bool *exact, double *f1, bt_error *err);
void      check_squad_text(bt_squad_text got, const json_t *want, const char *name);
/* |got - want| <= 1e-12 |want| */
void check_squad_number(double got, const json_t *want, const char *name);
/* The question of that id, or -1. */
int64_t squad_find_question(const bt_squad_set *set, const char *id);

#endif
