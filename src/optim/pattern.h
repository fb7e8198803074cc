/* SPDX-License-Identifier: Apache-2.0
 *
 * Python's regular expressions, read as Python 3.11 reads them and written down for PCRE2:
 * pattern_syntax.c reads, pattern_set.c has [ ] and the classes of characters, pattern.c compiles
 * and searches. The text that comes out uses only what both libraries understand alike: every
 * literal is a number, groups have numbers and no names, classes are spelt out. */
#ifndef BT_PATTERN_H
#define BT_PATTERN_H

#include "optim_internal.h"

/* At most so many groups in a pattern, and so deep (PCRE2 stops at 250 deep). */
enum { PATTERN_MAX_GROUPS = 500, PATTERN_MAX_DEPTH = 100 };

/* How many characters something can match: Python wants one length for a look-behind. */
typedef struct pattern_width {
    uint64_t least;
    uint64_t most;
} pattern_width;

typedef struct pattern_group {
    const char   *name; /* borrowed from the pattern; n_name 0: it has none */
    size_t        n_name;
    bool          closed;
    pattern_width width;
} pattern_group;

typedef struct pattern_reader {
    const char   *key;
    const char   *pattern;
    const char   *at;
    bt_str        out; /* the same for PCRE2 */
    bool          ascii;
    bool          verbose;
    bool          said_ascii;   /* (?a) for the whole pattern */
    bool          said_unicode; /* (?u) likewise */
    bool          is_behind;    /* inside a look-behind that began with n_behind groups */
    int           n_behind;
    int           depth;
    int           n_groups; /* group i is groups[i]; 0 is the whole */
    int           max_condition;
    const char   *condition_at; /* where max_condition was asked for */
    const char   *unfixed_at;   /* the first look-behind of no fixed length */
    pattern_group groups[PATTERN_MAX_GROUPS + 1];
} pattern_reader;

/* BT_E_CONFIG with the sentence "KEY: pattern '...': what at position N", N counted as Python
 * does. */
bt_status pattern_refuse(const pattern_reader *r, const char *at, bt_error *err, const char *fmt,
                         ...) BT_PRINTF(4, 5);

bool pattern_is_digit(char c);  /* ASCII */
bool pattern_is_letter(char c); /* ASCII */

/* Reads r->pattern (key and pattern are set, all else 0) into r->out, which the caller frees. */
BT_MUST_USE bt_status pattern_read(pattern_reader *r, bt_error *err);

/* The character at r->at; moves after it. Not at the end of the pattern. */
BT_MUST_USE bt_status pattern_next(pattern_reader *r, uint32_t *c, bt_error *err);
BT_MUST_USE bt_status pattern_put_literal(pattern_reader *r, uint32_t c, bt_error *err);

/* Escapes that are one character anywhere: \n \x41 \u00e9 ... r->at is behind the backslash.
 * *is_one false: another escape, nothing was read. */
BT_MUST_USE bt_status pattern_read_character(pattern_reader *r, bool *is_one, uint32_t *c,
                                             bt_error *err);
BT_MUST_USE bt_status pattern_read_octal(pattern_reader *r, const char *from, int n_max,
                                         uint32_t *c, bt_error *err);

/* What is before a quantifier. */
typedef enum pattern_item {
    PATTERN_NONE,
    PATTERN_PLACE, /* ^ $ \b ..: nothing to repeat */
    PATTERN_REPEAT,
    PATTERN_ATOM,
} pattern_item;

/* Alternatives up to a ) or the end; one of them. is_first: nothing but flags and comments came
 * before it. */
BT_MUST_USE bt_status pattern_read_branches(pattern_reader *r, pattern_width *width, bt_error *err);
BT_MUST_USE bt_status pattern_read_branch(pattern_reader *r, bool is_first, pattern_width *width,
                                          bt_error *err);
/* After a ( that is at start: a group with or (n_name 0) without a name. */
BT_MUST_USE bt_status pattern_read_capture(pattern_reader *r, const char *start, const char *name,
                                           size_t n_name, pattern_width *width, bt_error *err);
/* After (? ; *kind stays where that was a comment, or flags of the whole pattern. */
BT_MUST_USE bt_status pattern_read_extension(pattern_reader *r, const char *start, bool is_first,
                                             pattern_item *kind, pattern_width *width,
                                             bt_error *err);
BT_MUST_USE bt_status pattern_put_reference(pattern_reader *r, const char *at, int group,
                                            pattern_width *width, bt_error *err);

/* [ ]; r->at is after the [. */
BT_MUST_USE bt_status pattern_read_set(pattern_reader *r, bt_error *err);
/* \d \D \s \S \w \W \b \B as an atom of their own. */
BT_MUST_USE bt_status pattern_put_class(pattern_reader *r, char letter, bt_error *err);

#endif
