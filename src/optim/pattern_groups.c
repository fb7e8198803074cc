/* SPDX-License-Identifier: Apache-2.0
 *
 * What is in parentheses in Python's regular expressions: groups, their names and references,
 * look-around, conditions, flags. */
#include <string.h>

#include "pattern.h"

/* Inside a look-behind, whose length must be known. */
static bt_status check_reference(pattern_reader *r, int group, bt_error *err) {
    if (!r->is_behind) {
        return BT_OK;
    }
    if (group > r->n_groups || !r->groups[group].closed) {
        return pattern_refuse(r, r->at, err, "cannot refer to an open group");
    }
    if (group >= r->n_behind) {
        return pattern_refuse(r, r->at, err,
                              "cannot refer to group defined in the same lookbehind subpattern");
    }
    return BT_OK;
}

bt_status pattern_put_reference(pattern_reader *r, const char *at, int group, pattern_width *width,
                                bt_error *err) {
    if (!r->groups[group].closed) {
        return pattern_refuse(r, at, err, "cannot refer to an open group");
    }
    BT_TRY(check_reference(r, group, err));
    *width = r->groups[group].width;
    return bt_str_appendf(&r->out, err, "\\g{%d}", group);
}

/* The text up to `end`, which is passed. */
static bt_status read_until(pattern_reader *r, char end, const char *what, const char **text,
                            size_t *n, bt_error *err) {
    const char *const from = r->at;
    const char *const at = strchr(from, end);
    if (*from == '\0' || at == from) {
        return pattern_refuse(r, from, err, "missing %s", what);
    }
    if (at == NULL) {
        return pattern_refuse(r, from, err, "missing %c, unterminated name", end);
    }
    *text = from;
    *n = (size_t)(at - from);
    r->at = at + 1;
    return BT_OK;
}

static bool is_identifier(const char *text, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const char c = text[i];
        if (!pattern_is_letter(c) && c != '_' && (unsigned char)c < 0x80 &&
            (i == 0 || !pattern_is_digit(c))) {
            return false;
        }
    }
    return true;
}

static int find_group(const pattern_reader *r, const char *name, size_t n) {
    for (int i = 1; i <= r->n_groups; i++) {
        if (r->groups[i].n_name == n && memcmp(r->groups[i].name, name, n) == 0) {
            return i;
        }
    }
    return 0;
}

static bt_status check_name(const pattern_reader *r, const char *name, size_t n, bt_error *err) {
    if (!is_identifier(name, n)) {
        return pattern_refuse(r, name, err, "bad character in group name '%.*s'", (int)n, name);
    }
    return BT_OK;
}

static bt_status expect_close(pattern_reader *r, const char *start, bt_error *err) {
    if (*r->at != ')') {
        return pattern_refuse(r, start, err, "missing ), unterminated subpattern");
    }
    r->at++;
    return bt_str_append_char(&r->out, ')', err);
}

/* What is between an opening that was written and its ). */
static bt_status read_inside(pattern_reader *r, const char *start, pattern_width *width,
                             bt_error *err) {
    if (++r->depth > PATTERN_MAX_DEPTH) {
        return pattern_refuse(r, start, err, "more than %d groups inside one another",
                              PATTERN_MAX_DEPTH);
    }
    BT_TRY(pattern_read_branches(r, width, err));
    BT_TRY(expect_close(r, start, err));
    r->depth--;
    return BT_OK;
}

bt_status pattern_read_capture(pattern_reader *r, const char *start, const char *name,
                               size_t n_name, pattern_width *width, bt_error *err) {
    if (r->n_groups == PATTERN_MAX_GROUPS) {
        return pattern_refuse(r, start, err, "more than %d groups", PATTERN_MAX_GROUPS);
    }
    const int before = n_name > 0 ? find_group(r, name, n_name) : 0;
    if (before > 0) {
        return pattern_refuse(r, name, err,
                              "redefinition of group name '%.*s' as group %d; was group %d",
                              (int)n_name, name, r->n_groups + 1, before);
    }
    const int group = ++r->n_groups;
    r->groups[group] = (pattern_group){.name = name, .n_name = n_name};
    BT_TRY(bt_str_append_char(&r->out, '(', err));
    BT_TRY(read_inside(r, start, width, err));
    r->groups[group].closed = true;
    r->groups[group].width = *width;
    return BT_OK;
}

/* After (?P */
static bt_status read_named(pattern_reader *r, const char *start, pattern_width *width,
                            bt_error *err) {
    const char *name = "";
    size_t      n_name = 0;
    if (*r->at == '<') {
        r->at++;
        BT_TRY(read_until(r, '>', "group name", &name, &n_name, err));
        BT_TRY(check_name(r, name, n_name, err));
        return pattern_read_capture(r, start, name, n_name, width, err);
    }
    if (*r->at == '\0') {
        return pattern_refuse(r, r->at, err, "unexpected end of pattern");
    }
    if (*r->at != '=') {
        return pattern_refuse(r, start + 1, err, "unknown extension ?P%c", *r->at);
    }
    r->at++;
    BT_TRY(read_until(r, ')', "group name", &name, &n_name, err));
    BT_TRY(check_name(r, name, n_name, err));
    const int group = find_group(r, name, n_name);
    if (group == 0) {
        return pattern_refuse(r, name, err, "unknown group name '%.*s'", (int)n_name, name);
    }
    return pattern_put_reference(r, name, group, width, err);
}

static bt_status read_assertion(pattern_reader *r, const char *start, const char *opening,
                                bool is_behind, bt_error *err) {
    const bool    was_behind = r->is_behind;
    pattern_width inside = {0, 0};
    if (is_behind && !was_behind) {
        r->is_behind = true;
        r->n_behind = r->n_groups + 1;
    }
    BT_TRY(bt_str_append(&r->out, opening, err));
    BT_TRY(read_inside(r, start, &inside, err));
    r->is_behind = was_behind;
    if (is_behind && inside.least != inside.most && r->unfixed_at == NULL) {
        r->unfixed_at = start; /* Python says so when all else is read */
    }
    return BT_OK;
}

static bt_status read_condition_group(pattern_reader *r, int *group, bt_error *err) {
    const char *name = "";
    size_t      n_name = 0;
    BT_TRY(read_until(r, ')', "group name", &name, &n_name, err));
    if (!pattern_is_digit(name[0])) {
        BT_TRY(check_name(r, name, n_name, err));
        *group = find_group(r, name, n_name);
        if (*group == 0) {
            return pattern_refuse(r, name, err, "unknown group name '%.*s'", (int)n_name, name);
        }
        return check_reference(r, *group, err);
    }
    int value = 0;
    for (size_t i = 0; i < n_name; i++) {
        if (!pattern_is_digit(name[i])) {
            return pattern_refuse(r, name, err, "bad character in group name '%.*s'", (int)n_name,
                                  name);
        }
        value = value > PATTERN_MAX_GROUPS ? value : value * 10 + (name[i] - '0');
    }
    if (value == 0) {
        return pattern_refuse(r, name, err, "bad group number");
    }
    if (value > r->max_condition) { /* it may still be to come */
        r->max_condition = value;
        r->condition_at = name;
    }
    *group = value;
    return check_reference(r, *group, err);
}

/* After (?( */
static bt_status read_conditional(pattern_reader *r, const char *start, pattern_width *width,
                                  bt_error *err) {
    int           group = 0;
    pattern_width yes = {0, 0};
    pattern_width no = {0, 0};
    BT_TRY(read_condition_group(r, &group, err));
    BT_TRY(bt_str_appendf(&r->out, err, "(?(%d)", group));
    if (++r->depth > PATTERN_MAX_DEPTH) {
        return pattern_refuse(r, start, err, "more than %d groups inside one another",
                              PATTERN_MAX_DEPTH);
    }
    BT_TRY(pattern_read_branch(r, false, &yes, err));
    if (*r->at == '|') {
        r->at++;
        BT_TRY(bt_str_append_char(&r->out, '|', err));
        BT_TRY(pattern_read_branch(r, false, &no, err));
        if (*r->at == '|') {
            return pattern_refuse(r, r->at, err, "conditional backref with more than two branches");
        }
    }
    r->depth--;
    *width = (pattern_width){yes.least < no.least ? yes.least : no.least,
                             yes.most > no.most ? yes.most : no.most};
    return expect_close(r, start, err);
}

static const char flag_letters[] = "aimsxuL";

typedef struct flag_set {
    char   letters[8]; /* those of i, m, s that were said, for PCRE2 */
    size_t n;
    bool   ascii, unicode, verbose;
} flag_set;

static bool is_flag(char c) {
    return c != '\0' && strchr(flag_letters, c) != NULL;
}

static bt_status add_flag(pattern_reader *r, flag_set *set, bool turn_on, bt_error *err) {
    const char c = *r->at;
    if (!turn_on && strchr("auL", c) != NULL) {
        return pattern_refuse(r, r->at + 1, err,
                              "bad inline flags: cannot turn off flags 'a', 'u' and 'L'");
    }
    if (c == 'L') {
        return pattern_refuse(r, r->at + 1, err,
                              "bad inline flags: cannot use 'L' flag with a str pattern");
    }
    set->ascii = set->ascii || c == 'a';
    set->unicode = set->unicode || c == 'u';
    set->verbose = set->verbose || c == 'x';
    if (set->ascii && set->unicode) {
        return pattern_refuse(r, r->at + 1, err,
                              "bad inline flags: flags 'a', 'u' and 'L' are incompatible");
    }
    if (strchr("ims", c) != NULL && memchr(set->letters, c, set->n) == NULL) {
        set->letters[set->n++] = c;
    }
    return BT_OK;
}

/* Letters up to one of `ends`, which is not passed. */
static bt_status read_flag_letters(pattern_reader *r, flag_set *set, bool turn_on,
                                   const char *missing, bt_error *err) {
    const char *const ends = turn_on ? ")-:" : ":";
    do {
        if (!is_flag(*r->at)) {
            return pattern_refuse(r, r->at, err, "%s",
                                  pattern_is_letter(*r->at) ? "unknown flag" : missing);
        }
        BT_TRY(add_flag(r, set, turn_on, err));
        r->at++;
        missing = turn_on ? "missing -, : or )" : "missing :";
    } while (*r->at == '\0' || strchr(ends, *r->at) == NULL);
    return BT_OK;
}

/* (?ims) for the whole pattern; r->at is on the ). */
static bt_status set_whole_flags(pattern_reader *r, const char *start, bool is_first,
                                 const flag_set *on, bt_error *err) {
    r->at++;
    if (!is_first) {
        return pattern_refuse(r, start, err, "global flags not at the start of the expression");
    }
    r->said_ascii = r->said_ascii || on->ascii;
    r->said_unicode = r->said_unicode || on->unicode;
    if (r->said_ascii && r->said_unicode) {
        return pattern_refuse(r, start, err, "ASCII and UNICODE flags are incompatible");
    }
    r->ascii = r->said_ascii;
    r->verbose = r->verbose || on->verbose;
    return on->n == 0 ? BT_OK : bt_str_appendf(&r->out, err, "(?%.*s)", (int)on->n, on->letters);
}

/* After (?, at a flag or a hyphen. *kind stays when the flags are the whole pattern's. */
static bt_status read_flags(pattern_reader *r, const char *start, bool is_first, pattern_item *kind,
                            pattern_width *width, bt_error *err) {
    flag_set on = {0};
    flag_set off = {0};
    if (*r->at != '-') {
        BT_TRY(read_flag_letters(r, &on, true, "missing -, : or )", err));
        if (*r->at == ')') {
            return set_whole_flags(r, start, is_first, &on, err);
        }
    }
    if (*r->at == '-') {
        r->at++;
        BT_TRY(read_flag_letters(r, &off, false, "missing flag", err));
    }
    for (size_t i = 0; i < on.n; i++) {
        if (memchr(off.letters, on.letters[i], off.n) != NULL) {
            return pattern_refuse(r, r->at, err, "bad inline flags: flag turned on and off");
        }
    }
    if (on.verbose && off.verbose) {
        return pattern_refuse(r, r->at, err, "bad inline flags: flag turned on and off");
    }
    r->at++; /* the : */
    const bool ascii = r->ascii;
    const bool verbose = r->verbose;
    r->ascii = on.ascii || (ascii && !on.unicode);
    r->verbose = (verbose || on.verbose) && !off.verbose;
    BT_TRY(bt_str_appendf(&r->out, err, "(?%.*s%s%.*s:", (int)on.n, on.letters,
                          off.n > 0 ? "-" : "", (int)off.n, off.letters));
    BT_TRY(read_inside(r, start, width, err));
    r->ascii = ascii;
    r->verbose = verbose;
    *kind = PATTERN_ATOM;
    return BT_OK;
}

/* After (? */
bt_status pattern_read_extension(pattern_reader *r, const char *start, bool is_first,
                                 pattern_item *kind, pattern_width *width, bt_error *err) {
    const char c = *r->at;
    if (c == '\0') {
        return pattern_refuse(r, r->at, err, "unexpected end of pattern");
    }
    if (is_flag(c) || c == '-') {
        return read_flags(r, start, is_first, kind, width, err);
    }
    r->at++;
    if (c == '#') {
        const char *const end = strchr(r->at, ')');
        if (end == NULL) {
            return pattern_refuse(r, start, err, "missing ), unterminated comment");
        }
        r->at = end + 1;
        return BT_OK; /* what stood before may still be repeated */
    }
    *kind = PATTERN_ATOM;
    switch (c) {
    case 'P':
        return read_named(r, start, width, err);
    case ':':
    case '>':
        BT_TRY(bt_str_append(&r->out, c == ':' ? "(?:" : "(?>", err));
        return read_inside(r, start, width, err);
    case '=':
    case '!':
        return read_assertion(r, start, c == '=' ? "(?=" : "(?!", false, err);
    case '(':
        return read_conditional(r, start, width, err);
    case '<':
        if (*r->at == '=' || *r->at == '!') {
            const bool equal = *r->at++ == '=';
            return read_assertion(r, start, equal ? "(?<=" : "(?<!", true, err);
        }
        return *r->at == '\0' ? pattern_refuse(r, r->at, err, "unexpected end of pattern")
                              : pattern_refuse(r, start + 1, err, "unknown extension ?<%c", *r->at);
    default:
        return pattern_refuse(r, start + 1, err, "unknown extension ?%c", c);
    }
}
