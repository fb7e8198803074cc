/* SPDX-License-Identifier: Apache-2.0
 *
 * Which parameters are not trained, by words: a frozen parameter has no gradient, and everybody who
 * walks the table leaves it alone. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/number.h"
#include "bt/base/str.h"
#include "bt/model.h"

#define KEY "task.model.freeze"

enum { WORD_MAX_BYTES = 64, KINDS_MAX_BYTES = 256 };

/* Parameters by depth and by whose they are. */
typedef struct part {
    int64_t first, last; /* depths */
    bool    has_encoder, has_head;
} part;

static int64_t pooler_depth(const bt_model *model) {
    return model->encoder.num_layers + 1;
}

/* What there is to name, for messages. */
static const char *kinds_of(const bt_model *model, char text[KINDS_MAX_BYTES]) {
    char          layers[96] = ""; /* of ALBERT there is one set of parameters */
    const int64_t last = model->encoder.num_layers - 1;
    if (model->encoder.type != BT_ENCODER_ALBERT) {
        (void)snprintf(layers, sizeof layers, ", layers.N, layers.A-B (0 to %" PRId64 ")", last);
    }
    (void)snprintf(text, KINDS_MAX_BYTES, "embeddings, layers%s%s, encoder%s", layers,
                   bt_model_reads_pooler(&model->head) ? ", pooler" : "",
                   model->head_logits.kernel >= 0 ? ", head" : "");
    return text;
}

static bt_status fail_unknown(const bt_model *model, const char *word, bt_error *err) {
    char kinds[KINDS_MAX_BYTES];
    return BT_FAIL(err, BT_E_CONFIG, KEY ": '%s' is nothing of this model: name some of %s", word,
                   kinds_of(model, kinds));
}

/* "4" or "0-5" after "layers." */
static bt_status find_layers(const bt_model *model, const char *word, const char *range, part *out,
                             bt_error *err) {
    const int64_t     n = model->encoder.num_layers;
    const char *const dash = strchr(range, '-');
    char              text[WORD_MAX_BYTES];
    int64_t           first = -1;
    int64_t           last = -1;
    (void)snprintf(text, sizeof text, "%s", range);
    if (dash != NULL) {
        text[dash - range] = '\0';
    }
    if (!bt_parse_i64(text, &first) || first < 0 ||
        !bt_parse_i64(dash != NULL ? dash + 1 : text, &last) || last < 0) {
        return fail_unknown(model, word, err);
    }
    if (model->encoder.type == BT_ENCODER_ALBERT) {
        return BT_FAIL(err, BT_E_CONFIG,
                       KEY ": '%s': ALBERT's layers share one set of parameters, so that none of "
                           "them can be frozen alone: say layers",
                       word);
    }
    if (last < first || last >= n) {
        return BT_FAIL(err, BT_E_CONFIG,
                       KEY ": '%s': the model has %" PRId64 " layers, 0 to %" PRId64
                           ", and a range goes from the lower to the higher",
                       word, n, n - 1);
    }
    *out = (part){.first = first + 1, .last = last + 1, .has_encoder = true};
    return BT_OK;
}

static bt_status find_part(const bt_model *model, const char *word, part *out, bt_error *err) {
    static const char layers[] = "layers.";
    const int64_t     top = pooler_depth(model);
    if (strncmp(word, layers, sizeof layers - 1) == 0) {
        return find_layers(model, word, word + sizeof layers - 1, out, err);
    }
    if (strcmp(word, "embeddings") == 0) {
        *out = (part){.first = 0, .last = 0, .has_encoder = true};
    } else if (strcmp(word, "layers") == 0) {
        *out = (part){.first = 1, .last = top - 1, .has_encoder = true};
    } else if (strcmp(word, "pooler") == 0 && bt_model_reads_pooler(&model->head)) {
        *out = (part){.first = top, .last = top, .has_encoder = true};
    } else if (strcmp(word, "encoder") == 0) {
        *out = (part){.first = 0, .last = top, .has_encoder = true};
    } else if (strcmp(word, "head") == 0 && model->head_logits.kernel >= 0) {
        *out = (part){.first = top, .last = top, .has_head = true};
    } else {
        return fail_unknown(model, word, err);
    }
    return BT_OK;
}

static bt_status freeze_word(bt_model *model, const char *word, bt_error *err) {
    part p = {0};
    BT_TRY(find_part(model, word, &p, err));
    for (int64_t i = 0; i < model->table.n_params; i++) {
        bt_param *const param = &model->table.params[i];
        if (param->depth >= p.first && param->depth <= p.last &&
            (param->is_encoder ? p.has_encoder : p.has_head)) {
            param->has_gradient = false;
        }
    }
    return BT_OK;
}

/* The words of one text. */
static bt_status freeze_text(bt_model *model, const char *text, bt_error *err) {
    static const char blanks[] = " \t";
    char              word[WORD_MAX_BYTES];
    for (const char *at = text; *at != '\0';) {
        const size_t      n_all = strcspn(at, ",");
        const char *const next = at + n_all + (at[n_all] == ',');
        const size_t      n_blank = strspn(at, blanks);
        size_t            n = n_blank < n_all ? n_all - n_blank : 0;
        at += n_all - n;
        while (n > 0 && strchr(blanks, at[n - 1]) != NULL) {
            n--;
        }
        const size_t n_kept = n < sizeof word ? n : sizeof word - 1;
        memcpy(word, at, n_kept);
        word[n_kept] = '\0';
        BT_TRY(freeze_word(model, word, err));
        at = next;
    }
    return BT_OK;
}

bt_status bt_model_freeze(bt_model *model, const char *const *texts, size_t n_texts,
                          bt_error *err) {
    for (size_t i = 0; i < n_texts; i++) {
        BT_TRY(freeze_text(model, texts[i], err));
    }
    return n_texts == 0 || bt_param_table_n_trained(&model->table) > 0
               ? BT_OK
               : BT_FAIL(err, BT_E_CONFIG,
                         KEY ": nothing is left to be trained: leave out what is to learn");
}
