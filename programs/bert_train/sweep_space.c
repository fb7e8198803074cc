/* SPDX-License-Identifier: Apache-2.0
 *
 * What a sweep tries: 'KEY=V1,V2;KEY2=...' of --grid, every combination, the last key fastest; and
 * of --random, where V1,V2 is drawn from, and log:A..B, uniform:A..B and int:A..B are ranges. What
 * is drawn follows from --sweep_seed, the number of the trial and the place of the key alone. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/number.h"
#include "bt/base/rng.h"
#include "command_sweep.h"

enum { VALUES_MAX = 1000, NUMBER_MAX = 64, DRAW_USE = 0x73776570 };

static bt_status fail_memory(bt_error *err) {
    return BT_FAIL(err, BT_E_NOMEM, "out of memory for the trials");
}

/* The first of the signs that stands outside of quotes and brackets, or the end. */
static const char *find_outside(const char *text, const char *signs) {
    char quote = '\0';
    int  depth = 0;
    for (; *text != '\0'; text++) {
        if (quote != '\0') {
            quote = *text == quote ? '\0' : quote;
        } else if (*text == '\'' || *text == '"') {
            quote = *text;
        } else if (*text == '[' || *text == '{') {
            depth++;
        } else if (*text == ']' || *text == '}') {
            depth--;
        } else if (depth <= 0 && strchr(signs, *text) != NULL) {
            break;
        }
    }
    return text;
}

static char *trimmed(bt_arena *texts, const char *from, const char *to) {
    while (from < to && strchr(" \t\r\n", *from) != NULL) {
        from++;
    }
    while (to > from && strchr(" \t\r\n", to[-1]) != NULL) {
        to--;
    }
    return bt_arena_strndup(texts, from, (size_t)(to - from));
}

static const char *flag_of(const sweep *s) {
    return s->is_random ? "--random" : "--grid";
}

static bt_status read_list(sweep *s, sweep_key *key, const char *text, bt_error *err) {
    size_t n = 1;
    for (const char *at = find_outside(text, ","); *at != '\0'; at = find_outside(at + 1, ",")) {
        n++;
    }
    key->values = bt_arena_alloc_array(&s->texts, n, sizeof *key->values);
    if (key->values == NULL) {
        return fail_memory(err);
    }
    for (const char *at = text;; at++) {
        const char *const end = find_outside(at, ",");
        char *const       value = trimmed(&s->texts, at, end);
        if (value == NULL) {
            return fail_memory(err);
        }
        for (size_t i = 0; i < key->n_values; i++) {
            if (bt_str_equal(key->values[i], value)) {
                return BT_FAIL(err, BT_E_CONFIG, "%s: %s has the value '%.100s' twice", flag_of(s),
                               key->name, value);
            }
        }
        if (value[0] == '\0' || key->n_values == VALUES_MAX) {
            return BT_FAIL(err, BT_E_CONFIG, "%s: %s has %s (expected KEY=V1,V2;KEY2=V3)",
                           flag_of(s), key->name,
                           value[0] == '\0' ? "an empty value" : "too many values");
        }
        key->values[key->n_values++] = value;
        at = end;
        if (*at == '\0') {
            return BT_OK;
        }
    }
}

static bt_status fail_range(const sweep_key *key, const char *text, bt_error *err) {
    return BT_FAIL(err, BT_E_CONFIG,
                   "--random: %s=%.100s is not a range: expected log:LOW..HIGH (above 0), "
                   "uniform:LOW..HIGH or int:LOW..HIGH with LOW below HIGH",
                   key->name, text);
}

static bt_status read_range(sweep_key *key, const char *text, size_t n_word, bt_error *err) {
    char              low[NUMBER_MAX];
    const char *const from = text + n_word;
    const char *const dots = strstr(from, "..");
    if (dots == NULL || (size_t)(dots - from) >= sizeof low) {
        return fail_range(key, text, err);
    }
    (void)snprintf(low, sizeof low, "%.*s", (int)(dots - from), from);
    if (!bt_parse_f64(low, &key->low) || !bt_parse_f64(dots + 2, &key->high) ||
        !isfinite(key->low) || !isfinite(key->high) || key->low >= key->high ||
        (key->kind == SWEEP_LOG && key->low <= 0)) {
        return fail_range(key, text, err);
    }
    const double limit = 9007199254740992.0; /* 2^53: each integer below is a double */
    return key->kind == SWEEP_INT &&
                   (floor(key->low) != key->low || floor(key->high) != key->high ||
                    fabs(key->low) > limit || fabs(key->high) > limit)
               ? fail_range(key, text, err)
               : BT_OK;
}

static bt_status read_key(sweep *s, const char *from, const char *to, bt_error *err) {
    static const struct {
        const char *word;
        sweep_kind  kind;
    } ranges[] = {{"log:", SWEEP_LOG}, {"uniform:", SWEEP_UNIFORM}, {"int:", SWEEP_INT}};
    char *const text = trimmed(&s->texts, from, to);
    if (text == NULL) {
        return fail_memory(err);
    }
    char *const equals = strchr(text, '=');
    if (equals == NULL || equals == text) {
        return BT_FAIL(err, BT_E_CONFIG, "%s: '%.200s': expected KEY=V1,V2;KEY2=V3", flag_of(s),
                       text);
    }
    if (s->n_keys == SWEEP_KEYS_MAX) {
        return BT_FAIL(err, BT_E_CONFIG, "%s: more than %d keys", flag_of(s), SWEEP_KEYS_MAX);
    }
    *equals = '\0';
    sweep_key *const key = &s->keys[s->n_keys];
    key->name = trimmed(&s->texts, text, equals);
    if (key->name == NULL) {
        return fail_memory(err);
    }
    for (size_t i = 0; i < s->n_keys; i++) {
        if (bt_str_equal(s->keys[i].name, key->name)) {
            return BT_FAIL(err, BT_E_CONFIG, "%s: %s appears twice", flag_of(s), key->name);
        }
    }
    s->n_keys++;
    for (size_t i = 0; s->is_random && i < BT_ARRAY_LEN(ranges); i++) {
        if (bt_str_starts_with(equals + 1, ranges[i].word)) {
            key->kind = ranges[i].kind;
            return read_range(key, equals + 1, strlen(ranges[i].word), err);
        }
    }
    return read_list(s, key, equals + 1, err);
}

/* In [0,1), of 53 bits. */
static double draw(uint64_t seed, size_t trial, size_t key) {
    uint32_t words[4];
    bt_rng_block(bt_rng_key_make(seed, trial, (uint32_t)key, DRAW_USE), 0, words);
    return ((double)(words[0] >> 5) * 67108864.0 + (double)(words[1] >> 6)) / 9007199254740992.0;
}

/* Five digits: what was tried can be written down. With a point: YAML reads 1e-05 as a word. */
static void write_real(double value, char out[NUMBER_MAX]) {
    const double size = fabs(value);
    (void)snprintf(out, NUMBER_MAX, size != 0 && (size < 1e-3 || size >= 1e5) ? "%.4e" : "%.5g",
                   value);
    if (strpbrk(out, ".e") == NULL) {
        (void)snprintf(out + strlen(out), NUMBER_MAX - strlen(out), ".0");
    }
}

static const char *draw_value(sweep *s, const sweep_key *key, double u) {
    char         text[NUMBER_MAX];
    const double span = key->high - key->low;
    switch (key->kind) {
    case SWEEP_LIST:
        return key->values[(size_t)(u * (double)key->n_values)];
    case SWEEP_INT:
        (void)snprintf(text, sizeof text, "%.0f", key->low + floor(u * (span + 1)));
        break;
    case SWEEP_UNIFORM:
        write_real(key->low + u * span, text);
        break;
    case SWEEP_LOG:
        write_real(exp(log(key->low) + u * (log(key->high) - log(key->low))), text);
        break;
    }
    return bt_arena_strdup(&s->texts, text);
}

static bt_status make_trial(sweep *s, size_t i, bt_error *err) {
    sweep_trial *const trial = &s->trials[i];
    const uint64_t     seed = (uint64_t)bt_flags_int(s->flags, "sweep_seed");
    size_t             rest = i;
    trial->values = bt_arena_alloc_array(&s->texts, s->n_keys + 1, sizeof *trial->values);
    if (trial->values == NULL) {
        return fail_memory(err);
    }
    for (size_t k = s->n_keys; k > 0; k--) {
        const sweep_key *const key = &s->keys[k - 1];
        trial->values[k - 1] = s->is_random ? draw_value(s, key, draw(seed, i, k - 1))
                                            : key->values[rest % key->n_values];
        if (trial->values[k - 1] == NULL) {
            return fail_memory(err);
        }
        rest /= s->is_random ? 1 : key->n_values;
    }
    return BT_OK;
}

static bt_status count_trials(sweep *s, bt_error *err) {
    const int64_t n_drawn = bt_flags_int(s->flags, "trials");
    if (s->is_random != bt_flags_is_set(s->flags, "trials")) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "--random and --trials=N (how many are drawn) go together, and without "
                       "--grid");
    }
    if (s->is_random && (n_drawn < 1 || n_drawn > SWEEP_RUNS_MAX)) {
        return BT_FAIL(err, BT_E_CONFIG, "--trials=%" PRId64 ": expected 1 to %d", n_drawn,
                       SWEEP_RUNS_MAX);
    }
    s->n_trials = s->is_random ? (size_t)n_drawn : 1;
    for (size_t k = 0; !s->is_random && k < s->n_keys; k++) {
        s->n_trials *= s->keys[k].n_values;
        if (s->n_trials > SWEEP_RUNS_MAX) {
            return BT_FAIL(err, BT_E_CONFIG, "--grid: more than %d combinations", SWEEP_RUNS_MAX);
        }
    }
    return BT_OK;
}

bt_status sweep_read_space(sweep *s, bt_error *err) {
    const char *const grid = bt_flags_string(s->flags, "grid");
    const char *const random = bt_flags_string(s->flags, "random");
    if (grid != NULL && random != NULL) {
        return BT_FAIL(err, BT_E_CONFIG, "--grid and --random: one of them");
    }
    s->is_random = random != NULL;
    const char *const text = s->is_random ? random : grid;
    for (const char *at = text; at != NULL && *at != '\0';) {
        const char *const end = find_outside(at, ";");
        if (at[strspn(at, " \t\r\n")] != ';' && at + strspn(at, " \t\r\n") != end) {
            BT_TRY(read_key(s, at, end, err));
        }
        at = *end == ';' ? end + 1 : end;
    }
    if (text != NULL && s->n_keys == 0) {
        return BT_FAIL(err, BT_E_CONFIG, "%s is empty: expected KEY=V1,V2;KEY2=V3", flag_of(s));
    }
    BT_TRY(count_trials(s, err));
    s->trials = bt_calloc_array(s->n_trials, sizeof *s->trials);
    if (s->trials == NULL) {
        return fail_memory(err);
    }
    for (size_t i = 0; i < s->n_trials; i++) {
        BT_TRY(make_trial(s, i, err));
    }
    return BT_OK;
}

bt_status sweep_append_values(const sweep *s, size_t trial, bt_str *out, bt_error *err) {
    for (size_t k = 0; k < s->n_keys; k++) {
        BT_TRY(bt_str_appendf(out, err, "%s%s=%s", k > 0 ? "," : "", s->keys[k].name,
                              s->trials[trial].values[k]));
    }
    return BT_OK;
}
