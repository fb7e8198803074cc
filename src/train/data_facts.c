/* SPDX-License-Identifier: Apache-2.0
 *
 * What is told of the data before the first step, a line each: rows without text, rows that are
 * cut, rows that are never read, classes of one section only, rows of both sections, and a
 * vocabulary that does not fit the case of the text. Nothing of it stops a run; all of it explains
 * numbers. */
#include "run_checks.h"

#include <inttypes.h>
#include <stdio.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"

static double share(int64_t part, int64_t all) {
    return all > 0 ? 100.0 * (double)part / (double)all : 0;
}

/* " of the first 1000 rows", or "" when that is all of them. */
static const char *of_sample(const bt_data_census *census, char text[64]) {
    text[0] = '\0';
    if (census->n_sampled < census->n_rows) {
        (void)snprintf(text, 64, " of the first %" PRId64 " %ss", census->n_sampled, census->unit);
    }
    return text;
}

/* A vocabulary of cased text has capital letters in a third of its pieces, one of lower-cased text
 * in none or by accident. Both sides of pairs have the same. */
static void tell_case(const bt_data_census *census, const bt_data_census *right,
                      const char *section) {
    const int32_t n_capital = census->letters.n_capital;
    const int32_t n_letters = n_capital + census->letters.n_small;
    const bool    is_cased = n_capital > n_letters / 10;
    int64_t       n_unknown = census->n_unknown;
    int64_t       n_tokens = census->n_tokens;
    char          sample[64];
    if (n_letters == 0 || census->lower_case != is_cased) {
        return;
    }
    if (right != NULL) {
        n_unknown += right->n_unknown;
        n_tokens += right->n_tokens;
    }
    bt_log(BT_LOG_WARNING,
           "%s.%s is %s, but %" PRId32 " of %" PRId32
           " pieces with letters in %s have a capital one: %s; %.1f %% of the tokens%s are [UNK]",
           section, census->case_key, is_cased ? "true" : "false", n_capital, n_letters,
           census->vocab_file,
           is_cased ? "those are never found" : "words with one are rarely found",
           share(n_unknown, n_tokens), of_sample(census, sample));
}

/* name: of the section, or of a side of its pairs. */
static void tell_texts(const bt_data_census *census, const char *name, int64_t seq_length) {
    if (census->n_without_text > 0) {
        bt_log(BT_LOG_WARNING, "%s: %" PRId64 " of %" PRId64 " %ss %s, the first is %s", name,
               census->n_without_text, census->n_rows, census->unit, census->lack,
               census->first_without_text);
    }
    if (census->n_cut > 0) {
        bt_log(BT_LOG_INFO,
               "%s: %" PRId64 " of %" PRId64 " %ss%s are longer than seq_length %" PRId64
               " and cut: %.1f %% of all tokens are "
               "left out",
               name, census->n_cut, census->n_sampled, census->unit,
               census->n_sampled < census->n_rows ? " (the first ones)" : "", seq_length,
               share(census->n_lost, census->n_tokens));
    }
}

/* Of files of words. */
static void tell_words(const bt_data_census *census, const char *section,
                       const bt_data_schema *schema) {
    if (census->n_divided > 0 && schema->words.is_used) {
        bt_log(BT_LOG_INFO,
               "%s: %" PRId64 " of %" PRId64 " %ss are longer than seq_length %" PRId64
               " and divided between words: %" PRId64 " rows in all",
               section, census->n_divided, census->n_rows, census->unit, schema->seq_length,
               census->n_made);
    }
    if (census->n_empty_words > 0) {
        bt_log(BT_LOG_WARNING,
               "%s: words without text, which are left out with their tags: %" PRId64, section,
               census->n_empty_words);
    }
}

static void tell_part(const char *section, int64_t part, int64_t all, const char *what) {
    if (part > 0) {
        bt_log(BT_LOG_WARNING, "%s: %" PRId64 " of %" PRId64 " questions %s", section, part, all,
               what);
    }
}

static void tell_answers(const bt_data_census *census, const char *section) {
    const bt_data_squad_facts *const squad = &census->squad;
    tell_part(section, squad->n_hidden, census->n_rows,
              "have an answer that no window shows as a whole, and train that there is none "
              "(seq_length, doc_stride)");
    if (squad->n_unanswered > 0) {
        bt_log(BT_LOG_INFO, "%s: %" PRId64 " of %" PRId64 " questions have no answer", section,
               squad->n_unanswered, census->n_rows);
    }
    if (squad->n_absent > 0) {
        const bool is_all = squad->n_searched + squad->n_unanswered == census->n_rows;
        bt_log(BT_LOG_WARNING,
               "%s: of %" PRId64 " of %s%" PRId64
               " questions with answers none occurs in the context: they cannot be answered "
               "exactly",
               section, squad->n_absent, is_all ? "" : "the first ", squad->n_searched);
    }
}

/* Of SQuAD files. n: windows, which are the rows. */
static void tell_squad(const bt_data_census *census, const char *section,
                       const bt_data_schema *schema, int64_t n) {
    const bt_data_squad_facts *const squad = &census->squad;
    char                             blind[96] = "";
    if (squad->n_blind > 0) {
        (void)snprintf(blind, sizeof blind,
                       "; %" PRId64 " do not show the answer and train that there is none",
                       squad->n_blind);
    }
    if (census->n_divided > 0) {
        bt_log(BT_LOG_INFO,
               "%s: %" PRId64 " of %" PRId64
               " questions need several windows of seq_length %" PRId64 ": %" PRId64
               " windows in all%s",
               section, census->n_divided, census->n_rows, schema->seq_length, n, blind);
    }
    if (squad->n_cut > 0) {
        bt_log(BT_LOG_INFO,
               "%s: %" PRId64 " of %" PRId64 " questions are longer than query_length %" PRId64
               " and cut",
               section, squad->n_cut, census->n_rows, schema->squad.max_query_length);
    }
    tell_part(section, squad->n_wordless, census->n_rows,
              "have a context without words, so that nothing is trained or computed of them");
    tell_answers(census, section);
}

/* What is counted was counted before rows were held out, but for questions; "" where none are. */
static const char *of_both(const bt_data_config *config, const bt_data_schema *schema) {
    if (config->held_out == BT_HELD_OUT_ALL || schema->squad.vocab_file != NULL) {
        return "";
    }
    return config->held_out == BT_HELD_OUT_ONLY ? ", with the rows to train on"
                                                : ", with the rows to evaluate on";
}

static void tell_census(const data_side *side) {
    const bt_data_stream *const data = side->data;
    const bt_data_config *const config = side->config;
    const bt_data_schema *const schema = side->schema;
    const bt_data_census *const left = bt_data_get_census(data, 0);
    const bt_data_census *const right = bt_data_get_census(data, 1);
    const bt_data_census *const sides[] = {left, right};
    char                        name[160] = "";
    for (size_t i = 0; i < BT_ARRAY_LEN(sides); i++) {
        (void)snprintf(name, sizeof name, "%s%s%s", config->section, of_both(config, schema),
                       right == NULL ? ""
                       : i == 0      ? ", left side"
                                     : ", right side");
        if (sides[i] != NULL) {
            tell_texts(sides[i], name, schema->seq_length);
        }
    }
    if (left != NULL) {
        (void)snprintf(name, sizeof name, "%s%s", config->section, of_both(config, schema));
        tell_words(left, name, schema);
        if (schema->squad.vocab_file != NULL) {
            tell_squad(left, name, schema, bt_data_n_rows(data));
        }
        tell_case(left, right, config->section);
    }
}

/* is_told: of the same rows all was said, before some were held out. */
static void tell_section(const data_side *side, bool is_told) {
    const bt_data_config *const config = side->config;
    const int64_t               n = bt_data_n_rows(side->data);
    const int64_t               rest = n % config->global_batch_size;
    if (!is_told || of_both(config, side->schema)[0] == '\0') {
        tell_census(side);
    }
    if (config->drop_remainder && !config->is_training && rest > 0) {
        bt_log(BT_LOG_WARNING,
               "%s.drop_remainder is true: the last %" PRId64 " of %" PRId64
               " rows are never read, because they do not fill a batch of %" PRId64,
               config->section, rest, n, config->global_batch_size);
    }
}

/* How often each class occurs in a section, and in how many of its rows. */
typedef struct class_counts {
    const char *section;
    int64_t    *counts;
    int64_t     n_rows;
    int64_t     n_counted;
} class_counts;

static bool is_whole(const class_counts *counts) {
    return counts->n_counted == counts->n_rows;
}

/* "; of SECTION the first 1000 rows were looked at", or "" when all were. */
static const char *looked_at(const class_counts *counts, char text[128]) {
    text[0] = '\0';
    if (!is_whole(counts)) {
        (void)snprintf(text, 128, "; of %s the first %" PRId64 " rows were looked at",
                       counts->section, counts->n_counted);
    }
    return text;
}

/* Names of the classes that occur in one of the sections alone. */
static void tell_lonely(const bt_task_labels *labels, bool are_tags, const class_counts *here,
                        const class_counts *there, bool is_bad) {
    const int64_t n = labels->n;
    char          list[BT_LIST_MAX] = "";
    char          notes[2][128];
    int64_t       n_lonely = 0;
    int64_t       n_rows = 0;
    for (int64_t c = 0; c < n; c++) {
        char text[BT_TASK_LABEL_TEXT_MAX];
        if (here->counts[c] > 0 && there->counts[c] == 0) {
            (void)bt_list_add(list, sizeof list, bt_task_label_text(labels, c, text));
            n_lonely++;
            n_rows += here->counts[c];
        }
    }
    if (n_lonely > 0) {
        bt_log(is_bad && is_whole(there) ? BT_LOG_WARNING : BT_LOG_INFO,
               "%" PRId64 " of %" PRId64 " %s occur%s in %s only (%" PRId64
               " %s) and not in %s: %s%s%s",
               n_lonely, n, are_tags ? "tags" : "classes", n_lonely == 1 ? "s" : "", here->section,
               n_rows, are_tags ? "words" : "rows", there->section, list, looked_at(here, notes[0]),
               looked_at(there, notes[1]));
    }
}

static bt_status tell_classes(const data_side *training, const bt_data_stream *evaluation,
                              const bt_task_labels *labels, bt_error *err) {
    const int64_t n = labels->n;
    const bool    are_tags = training->schema->label_kind == BT_LABEL_TOKENS;
    class_counts  train = {.section = "task.train_data", .n_rows = bt_data_n_rows(training->data)};
    class_counts  other = {.section = "task.validation_data", .n_rows = bt_data_n_rows(evaluation)};
    train.counts = n > 0 ? bt_calloc_array((size_t)n * 2, sizeof *train.counts) : NULL;
    if (n == 0) {
        return BT_OK;
    }
    if (train.counts == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for counts of %" PRId64 " classes", n);
    }
    other.counts = train.counts + n;
    train.n_counted = bt_data_class_counts(training->data, train.counts, n);
    other.n_counted = bt_data_class_counts(evaluation, other.counts, n);
    if (train.n_counted > 0 && other.n_counted > 0) {
        tell_lonely(labels, are_tags, &train, &other, false);
        tell_lonely(labels, are_tags, &other, &train, true);
    }
    bt_free(train.counts);
    return BT_OK;
}

static bt_status tell_shared(const bt_data_stream *train, const bt_data_stream *other,
                             bt_error *err) {
    const bt_data_census *const census = bt_data_get_census(other, 0);
    const char *const           unit = census != NULL ? census->unit : "record";
    bt_data_shared              shared = {0};
    BT_TRY(bt_data_count_shared(other, train, &shared, err));
    if (shared.n > 0) {
        bt_log(BT_LOG_WARNING,
               "task.validation_data: %" PRId64 " of %" PRId64
               " %ss (%.1f %%) have the %s of a %s of task.train_data, the first is %s %" PRId64
               ": what is measured on them was memorized",
               shared.n, shared.n_of, unit, share(shared.n, shared.n_of),
               census != NULL ? "texts" : "length and checksum", unit, unit,
               /* records are numbered from 0 in all messages */
               shared.first + (census != NULL ? 1 : 0));
    }
    return BT_OK;
}

/* A model of pairs that is given single texts answers all the same. */
static void tell_texts_a_row(const bt_data_text *train, const bt_data_text *other) {
    if (train->n_fields > 0 && other->n_fields > 0 && train->n_fields != other->n_fields) {
        bt_log(BT_LOG_WARNING,
               "task.train_data has %zu text%s a row (text_fields), task.validation_data %zu: the "
               "model learns from other rows than it is asked about",
               train->n_fields, train->n_fields == 1 ? "" : "s", other->n_fields);
    }
}

bt_status data_facts_tell(const data_side *train, const data_side *other,
                          const bt_task_labels *labels, bt_error *err) {
    const bool has_both = train->data != NULL && other->data != NULL;
    if (other->data != NULL) {
        tell_texts_a_row(&train->schema->text, &other->schema->text);
    }
    if (train->data != NULL) {
        tell_section(train, false);
    }
    if (other->data != NULL) {
        tell_section(other,
                     has_both && bt_data_content(train->data) == bt_data_content(other->data));
    }
    if (!has_both) {
        return BT_OK;
    }
    BT_TRY(tell_classes(train, other->data, labels, err));
    return tell_shared(train->data, other->data, err);
}
