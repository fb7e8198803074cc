/* SPDX-License-Identifier: Apache-2.0
 *
 * The part that counts entities among the tags of sentences, as seqeval does without a scheme (the
 * rules of CoNLL's evaluation script): a tag is a letter (B, I, E, S, O, or any other), "-" and a
 * type; an entity is right when its type and both ends are. Precision, recall and F1 are of all
 * types together, and of each type. Of the rows nothing is kept but where the entity that is open
 * began.
 *
 * seqeval's own ways are kept, so that the numbers are the same: of a name without "-" the first
 * letter is the tag and the rest the type, and what was open before a sentence's end is closed by
 * an "O" between them. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "metrics_internal.h"

typedef struct tag {
    char    letter;
    int32_t type; /* equal types have equal numbers */
} tag;

/* The walk along one row of tags. */
typedef struct walk {
    tag     previous;
    int64_t begin;   /* of the entity that is open */
    int64_t n_found; /* entities that ended */
} walk;

typedef struct entities {
    int64_t      n_classes;
    tag         *tags;    /* [n_classes] owned */
    int64_t      n_types; /* that entities may have; the number of the first is TYPE_NONE */
    const char **types;   /* [n_types] owned; the names are the caller's */
    int64_t     *counts;  /* [3,n_types] owned: labelled, predicted, both */
    int64_t     *closing; /* [3,n_types] owned: room for counts with the last sentence closed */
    bool         joins_sentences;
    int64_t      place; /* of the next tag; the "O" between sentences is a place */
    bool         is_begun;
    int64_t      sentence; /* of the last sequence, where they have numbers */
    walk         labels;
    walk         predictions;
    int64_t      n_right;
} entities;

enum { TYPE_START = 0, TYPE_NONE = 1, FIRST_TYPE = 2 };

static const tag outside = {'O', TYPE_NONE};

/* After the first character, which may be several bytes of UTF-8. */
static const char *skip_character(const char *name) {
    do {
        name++;
    } while (((unsigned char)*name & 0xC0) == 0x80);
    return name;
}

/* "B-PER" -> "PER", "NOUN" -> "OUN", "O" -> "". */
static const char *type_of(const char *name) {
    const char *const rest = skip_character(name);
    const char *const dash = strchr(rest, '-');
    return dash != NULL ? dash + 1 : rest;
}

static const char *type_name(const char *name) {
    const char *const type = type_of(name);
    return type[0] != '\0' ? type : "_";
}

/* The types of n_classes tags are at most as many, and that of tags without one. */
static void number_types(entities *e, const char *const *names) {
    int32_t n_types = FIRST_TYPE;
    e->types[0] = "_";
    for (int64_t c = 0; c < e->n_classes; c++) {
        const char *const type = type_name(names[c]);
        e->tags[c] = (tag){names[c][0], strcmp(type, "_") == 0 ? TYPE_NONE : n_types};
        for (int64_t k = 0; k < c && e->tags[c].type == n_types; k++) {
            if (strcmp(type_name(names[k]), type) == 0) {
                e->tags[c].type = e->tags[k].type;
            }
        }
        if (e->tags[c].type == n_types) {
            e->types[n_types++ - TYPE_NONE] = type;
        }
    }
    e->n_types = n_types - TYPE_NONE;
}

static bool is_one_of(char letter, const char *letters) {
    return letter != '\0' && strchr(letters, letter) != NULL;
}

static bool ends_between(tag a, tag b) {
    return is_one_of(a.letter, "ES") || (is_one_of(a.letter, "BI") && is_one_of(b.letter, "BSO")) ||
           (!is_one_of(a.letter, "O.") && a.type != b.type);
}

static bool starts_between(tag a, tag b) {
    return is_one_of(b.letter, "BS") || (is_one_of(a.letter, "ESO") && is_one_of(b.letter, "EI")) ||
           (!is_one_of(b.letter, "O.") && a.type != b.type);
}

static void advance(walk *w, tag next, bool ended, int64_t place) {
    w->n_found += ended ? 1 : 0;
    w->begin = starts_between(w->previous, next) ? place : w->begin;
    w->previous = next;
}

static void add_tags(entities *e, tag label, tag prediction) {
    walk *const   a = &e->labels;
    walk *const   b = &e->predictions;
    const bool    label_ended = ends_between(a->previous, label);
    const bool    prediction_ended = ends_between(b->previous, prediction);
    const int32_t type = a->previous.type - TYPE_NONE; /* of an entity it is not TYPE_START */
    if (label_ended) {
        e->counts[type]++;
    }
    if (prediction_ended) {
        e->counts[e->n_types + b->previous.type - TYPE_NONE]++;
    }
    if (label_ended && prediction_ended && a->begin == b->begin &&
        a->previous.type == b->previous.type) {
        e->n_right++;
        e->counts[2 * e->n_types + type]++;
    }
    advance(a, label, label_ended, e->place);
    advance(b, prediction, prediction_ended, e->place);
    e->place++;
}

static void end_sentence(entities *e) {
    if (e->is_begun) {
        add_tags(e, outside, outside);
    }
}

static void reset_entities(void *state) {
    entities *const e = state;
    const walk      start = {.previous = {'O', TYPE_START}};
    e->place = 0;
    e->is_begun = false;
    e->sentence = 0;
    e->labels = start;
    e->predictions = start;
    e->n_right = 0;
    memset(e->counts, 0, 3 * (size_t)e->n_types * sizeof *e->counts);
}

static void free_entities(void *state) {
    entities *const e = state;
    if (e != NULL) {
        bt_free(e->tags);
        bt_free(e->types);
        bt_free(e->counts);
        bt_free(e->closing);
        bt_free(e);
    }
}

static bt_status create_entities(const bt_metrics_config *config, void **state, bt_error *err) {
    BT_ASSERT(config->class_names != NULL);
    entities *const e = bt_calloc_array(1, sizeof *e);
    if (e != NULL) {
        e->n_classes = config->n_classes;
        e->joins_sentences = config->bug_compatible;
        const size_t n = (size_t)e->n_classes;
        e->tags = bt_calloc_array(n, sizeof *e->tags);
        e->types = bt_calloc_array(n + 1, sizeof *e->types);
        e->counts = bt_calloc_array(3 * (n + 1), sizeof *e->counts);
        e->closing = bt_calloc_array(3 * (n + 1), sizeof *e->closing);
    }
    if (e == NULL || e->tags == NULL || e->types == NULL || e->counts == NULL ||
        e->closing == NULL) {
        free_entities(e);
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for tags of %" PRId64 " classes",
                       config->n_classes);
    }
    number_types(e, config->class_names);
    reset_entities(e);
    *state = e;
    return BT_OK;
}

/* Does sequence b go on with the sentence of the one before it? */
static bool continues(const entities *e, const bt_batch *batch, int64_t b) {
    if (e->joins_sentences) {
        return b > 0;
    }
    return batch->sentence_ids != NULL && batch->sub_sentence_ids[b] > 0 &&
           batch->sentence_ids[b] == e->sentence;
}

static bt_status update_entities(void *state, const bt_batch *batch, const float *logits,
                                 bt_error *err) {
    entities *const e = state;
    for (int64_t b = 0; b < batch->n_seqs; b++) {
        if (!continues(e, batch, b)) {
            end_sentence(e);
        }
        e->is_begun = true;
        e->sentence = batch->sentence_ids != NULL ? batch->sentence_ids[b] : 0;
        for (int64_t t = batch->offsets[b]; t < batch->offsets[b + 1]; t++) {
            const int32_t label = batch->int_labels[t];
            if (label < 0) {
                continue;
            }
            BT_TRY(metric_check_label(label, e->n_classes, t, err));
            const int64_t best = metric_argmax(logits + t * e->n_classes, e->n_classes);
            add_tags(e, e->tags[label], e->tags[best]);
        }
    }
    return BT_OK;
}

enum { N_WORDS = 12 };

static void walk_words(const walk *w, uint64_t words[4]) {
    words[0] = (uint64_t)(unsigned char)w->previous.letter;
    words[1] = (uint64_t)w->previous.type;
    words[2] = (uint64_t)w->begin;
    words[3] = (uint64_t)w->n_found;
}

static bt_status save_entities(const void *state, bt_str *bytes, bt_error *err) {
    const entities *const e = state;
    uint64_t words[N_WORDS] = {(uint64_t)e->place, e->is_begun ? 1 : 0, (uint64_t)e->sentence,
                               (uint64_t)e->n_right};
    walk_words(&e->labels, words + 4);
    walk_words(&e->predictions, words + 8);
    BT_TRY(metric_put_words(bytes, words, N_WORDS, err));
    return metric_put_counts(bytes, e->counts, 3 * e->n_types, err);
}

static bt_status read_walk(const entities *e, const uint64_t words[4], walk *out, bt_error *err) {
    if (words[1] > (uint64_t)e->n_types || (words[1] == TYPE_START && words[0] != 'O')) {
        return BT_FAIL(err, BT_E_FORMAT, "metrics state: type %" PRIu64 " of %" PRId64, words[1],
                       e->n_types);
    }
    *out = (walk){.previous = {(char)(unsigned char)words[0], (int32_t)words[1]},
                  .begin = (int64_t)words[2],
                  .n_found = (int64_t)words[3]};
    BT_TRY(metric_check_count(out->begin, err));
    return metric_check_count(out->n_found, err);
}

static bt_status load_entities(void *state, bt_reader *bytes, bt_error *err) {
    entities *const e = state;
    uint64_t        words[N_WORDS];
    BT_TRY(metric_get_words(bytes, words, N_WORDS, err));
    e->place = (int64_t)words[0];
    e->is_begun = words[1] != 0;
    e->sentence = (int64_t)words[2];
    e->n_right = (int64_t)words[3];
    BT_TRY(metric_check_count(e->place, err));
    BT_TRY(metric_check_count(e->n_right, err));
    BT_TRY(read_walk(e, words + 4, &e->labels, err));
    BT_TRY(read_walk(e, words + 8, &e->predictions, err));
    return metric_get_counts(bytes, e->counts, 3 * e->n_types, err);
}

const metric_part metric_part_entities = {
    .wants_labels = "class",
    .create = create_entities,
    .destroy = free_entities,
    .reset = reset_entities,
    .update = update_entities,
    .save = save_entities,
    .load = load_entities,
};

/* The last sentence has no next one that closes it. */
static entities closed(const bt_metrics *metrics) {
    entities e = *(const entities *)metrics->states[PART_ENTITIES];
    memcpy(e.closing, e.counts, 3 * (size_t)e.n_types * sizeof *e.counts);
    e.counts = e.closing;
    end_sentence(&e);
    return e;
}

metric_counts metric_entity_counts(const bt_metrics *metrics) {
    const entities e = closed(metrics);
    return (metric_counts){e.n_types, e.counts, e.counts + e.n_types, e.counts + 2 * e.n_types};
}

/* "O" begins no entity. */
const char *const *metric_entity_types(const bt_metrics *metrics, int64_t *n, int64_t *first) {
    const entities *const e = metrics->states[PART_ENTITIES];
    *n = e->n_types;
    *first = 1;
    for (int64_t c = 0; c < e->n_classes; c++) {
        if (e->tags[c].type == TYPE_NONE && !is_one_of(e->tags[c].letter, "O.")) {
            *first = 0;
        }
    }
    return (const char *const *)e->types;
}

static double share(int64_t part, int64_t whole) {
    return whole > 0 ? (double)part / (double)whole : 0.0;
}

double metric_entity_precision(const bt_metrics *metrics) {
    const entities e = closed(metrics);
    return share(e.n_right, e.predictions.n_found);
}

double metric_entity_recall(const bt_metrics *metrics) {
    const entities e = closed(metrics);
    return share(e.n_right, e.labels.n_found);
}

double metric_entity_f1(const bt_metrics *metrics) {
    const double precision = metric_entity_precision(metrics);
    const double recall = metric_entity_recall(metrics);
    return precision + recall > 0.0 ? 2.0 * precision * recall / (precision + recall) : 0.0;
}
