/* SPDX-License-Identifier: Apache-2.0
 *
 * See squad_fixture.h. */
#include "squad_fixture.h"
#include "squad_score.h"

#include <string.h>

void squad_fixture_init(squad_fixture *f, const squad_case *c) {
    *f = (squad_fixture){0};
    assert_ok(bt_text_vocab_load(&f->vocab, c->vocab, err));
    assert_ok(bt_text_tokenizer_create(&f->tokenizer, f->vocab, c->do_lower_case, err));
    assert_ok(bt_squad_read(&f->set, c->json, &(bt_text_encoding){0}, c->use, c->version_2, err));
    assert_ok(bt_squad_windows_create(&f->windows, &f->set, f->tokenizer, &c->options, err));
}

void squad_fixture_deinit(squad_fixture *f) {
    bt_squad_windows_free(f->windows);
    bt_squad_set_deinit(&f->set);
    bt_text_tokenizer_free(f->tokenizer);
    bt_text_vocab_free(f->vocab);
}

bt_squad_text squad_text_of(const json_t *string) {
    assert_true(json_is_string(string));
    return (bt_squad_text){json_string_value(string), json_string_length(string)};
}

void check_squad_text(bt_squad_text got, const json_t *want, const char *name) {
    const bt_squad_text text = squad_text_of(want);
    if (got.n_bytes != text.n_bytes || memcmp(got.bytes, text.bytes, text.n_bytes) != 0) {
        fail_msg("%s: got '%.*s', expected '%s'", name, (int)got.n_bytes, got.bytes, text.bytes);
    }
}

void check_squad_number(double got, const json_t *want, const char *name) {
    assert_true(json_is_number(want));
    const double number = json_number_value(want);
    test_close_f64(&got, &number, 1, 0, 1e-12, name);
}

int64_t squad_find_question(const bt_squad_set *set, const char *id) {
    for (int64_t q = 0; q < set->n_questions; q++) {
        if (strcmp(set->questions[q].id.bytes, id) == 0) {
            return q;
        }
    }
    return -1;
}

bt_status squad_compare(bt_text_scratch *scratch, bt_squad_text predicted, bt_squad_text answer,
                        bool version_2, bool *exact, double *f1, bt_error *err) {
    squad_scorer s = {.scratch = scratch};
    bt_status    rc = BT_OK;
    BT_CHECK(squad_fill_bag(&s, &s.bags[0], predicted, err));
    BT_CHECK(squad_compare_bag(&s, answer, version_2, exact, f1, err));
done:
    s.scratch = NULL; /* the caller's */
    squad_scorer_deinit(&s);
    return rc;
}
