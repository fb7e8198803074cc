/* SPDX-License-Identifier: Apache-2.0
 *
 * What a plain YAML scalar means: YAML 1.1 as PyYAML's FullLoader resolves it, and the one float
 * form that Model Garden adds (1e6). The patterns are in the comments; the matchers follow them
 * character by character, because the exceptions (08 is a string, 1.5e3 too) are the point. */
#include "bt/base/number.h"
#include "conf_internal.h"

#include <math.h>
#include <string.h>

typedef struct cursor {
    const char *at;
    const char *end;
} cursor;

static bool is_one_of(char c, const char *set) {
    return c != '\0' && strchr(set, c) != NULL;
}

static bool take(cursor *c, const char *set) {
    if (c->at < c->end && is_one_of(*c->at, set)) {
        c->at++;
        return true;
    }
    return false;
}

static bool take_some(cursor *c, const char *set) {
    const char *start = c->at;
    while (take(c, set)) {
    }
    return c->at > start;
}

static bool at_end(const cursor *c) {
    return c->at == c->end;
}

static bool is_word(const char *text, size_t len, const char *words) {
    for (const char *at = words; *at != '\0';) {
        const size_t n = strcspn(at, "|");
        if (n == len && memcmp(at, text, n) == 0) {
            return true;
        }
        at += n + (at[n] == '|');
    }
    return false;
}

#define DIGITS "0123456789"
#define DIGITS_ "0123456789_"

/* (:[0-5]?[0-9])+ */
static bool take_sixties(cursor *c) {
    bool any = false;
    while (c->at < c->end && *c->at == ':') {
        cursor next = {c->at + 1, c->end};
        /* [0-5]?[0-9]: two digits if the first is below 6, else one */
        if (!take(&next, DIGITS)) {
            break;
        }
        if (next.at[-1] <= '5') {
            (void)take(&next, DIGITS);
        }
        *c = next;
        any = true;
    }
    return any;
}

/* [eE][-+][0-9]+ with the sign required or not; absent is fine too */
static bool take_exponent(cursor *c, bool sign_required) {
    if (!take(c, "eE")) {
        return true;
    }
    if (!take(c, "+-") && sign_required) {
        return false;
    }
    return take_some(c, DIGITS);
}

static bool matches_float(const char *text, size_t len) {
    cursor c = {text, text + len};
    if (is_word(text, len, ".inf|.Inf|.INF|+.inf|+.Inf|+.INF|-.inf|-.Inf|-.INF|.nan|.NaN|.NAN")) {
        return true;
    }
    if (take(&c, ".")) { /* \.[0-9][0-9_]*([eE][-+][0-9]+)? */
        if (!take(&c, DIGITS)) {
            return false;
        }
        (void)take_some(&c, DIGITS_);
        return take_exponent(&c, true) && at_end(&c);
    }
    (void)take(&c, "+-");
    if (!take(&c, DIGITS)) {
        return false;
    }
    (void)take_some(&c, DIGITS_);
    const bool base60 = take_sixties(&c);
    if (!take(&c, ".")) {
        return false;
    }
    (void)take_some(&c, DIGITS_);
    return (base60 || take_exponent(&c, true)) && at_end(&c);
}

static bool matches_int(const char *text, size_t len) {
    cursor c = {text, text + len};
    (void)take(&c, "+-");
    const cursor start = c;
    if (take(&c, "0")) {
        if (at_end(&c)) {
            return true;
        }
        if (take(&c, "b")) {
            return take_some(&c, "01_") && at_end(&c);
        }
        if (take(&c, "x")) {
            return take_some(&c, DIGITS_ "abcdefABCDEF") && at_end(&c);
        }
        return take_some(&c, "01234567_") && at_end(&c);
    }
    c = start;
    if (!take(&c, "123456789")) {
        return false;
    }
    (void)take_some(&c, DIGITS_);
    (void)take_sixties(&c);
    return at_end(&c);
}

/* n digits and after them, optionally, none */
static bool take_digits(cursor *c, size_t at_least, size_t at_most) {
    size_t n = 0;
    while (n < at_most && take(c, DIGITS)) {
        n++;
    }
    return n >= at_least;
}

/* [0-9]{4}-[0-9]{2}-[0-9]{2} or
 * [0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(\.[0-9]*)?
 * ([ \t]*(Z|[-+][0-9]{1,2}(:[0-9]{2})?))? */
static bool matches_timestamp(const char *text, size_t len) {
    cursor c = {text, text + len};
    if (take_digits(&c, 4, 4) && take(&c, "-") && take_digits(&c, 2, 2) && take(&c, "-") &&
        take_digits(&c, 2, 2) && at_end(&c)) {
        return true;
    }
    c.at = text;
    if (!(take_digits(&c, 4, 4) && take(&c, "-") && take_digits(&c, 1, 2) && take(&c, "-") &&
          take_digits(&c, 1, 2) && (take(&c, "Tt") || take_some(&c, " \t")))) {
        return false;
    }
    if (!(take_digits(&c, 1, 2) && take(&c, ":") && take_digits(&c, 2, 2) && take(&c, ":") &&
          take_digits(&c, 2, 2))) {
        return false;
    }
    if (take(&c, ".")) {
        (void)take_some(&c, DIGITS);
    }
    if (at_end(&c)) {
        return true;
    }
    (void)take_some(&c, " \t");
    if (take(&c, "Z")) {
        return at_end(&c);
    }
    return take(&c, "+-") && take_digits(&c, 1, 2) &&
           (at_end(&c) || (take(&c, ":") && take_digits(&c, 2, 2) && at_end(&c)));
}

/* [-+]?[0-9][0-9_]*[eE][-+]?[0-9]+ */
static bool matches_added_float(const char *text, size_t len) {
    cursor c = {text, text + len};
    (void)take(&c, "+-");
    if (!take(&c, DIGITS)) {
        return false;
    }
    (void)take_some(&c, DIGITS_);
    return c.at < c.end && is_one_of(*c.at, "eE") && take_exponent(&c, false) && at_end(&c);
}

/* Model Garden's patterns with a doubled backslash: a number, then a backslash and any character
 * where the point should be. */
static bool matches_broken(const char *text, size_t len) {
    cursor c = {text, text + len};
    (void)take(&c, "+-");
    const bool digits = take(&c, DIGITS);
    (void)take_some(&c, digits ? DIGITS_ : "");
    const bool base60 = digits && take_sixties(&c);
    if (!take(&c, "\\") || at_end(&c)) {
        return false;
    }
    c.at++;
    if (!digits) {
        return is_word(c.at, (size_t)(c.end - c.at), "inf|Inf|INF");
    }
    (void)take_some(&c, DIGITS_);
    return (base60 || take_exponent(&c, false)) && at_end(&c);
}

conf_scalar conf_scalar_resolve(const char *text, size_t len) {
    if (len == 0) {
        return SCALAR_NULL;
    }
    /* PyYAML looks resolvers up by the first character, in this order */
    if (is_word(text, len,
                "yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF")) {
        return SCALAR_BOOL;
    }
    if (matches_float(text, len)) {
        return SCALAR_FLOAT;
    }
    if (matches_int(text, len)) {
        return SCALAR_INT;
    }
    if (is_word(text, len, "<<")) {
        return SCALAR_MERGE;
    }
    if (is_word(text, len, "~|null|Null|NULL")) {
        return SCALAR_NULL;
    }
    if (matches_timestamp(text, len)) {
        return SCALAR_TIMESTAMP;
    }
    if (is_word(text, len, "=")) {
        return SCALAR_VALUE;
    }
    if (matches_added_float(text, len)) {
        return SCALAR_ADDED_FLOAT;
    }
    if (is_one_of(text[0], "+-" DIGITS) && matches_broken(text, len)) {
        return SCALAR_BROKEN;
    }
    return SCALAR_STR;
}

/* Numbers.
 * Python's integers have no bounds, and params.yaml prints them in full: sums are kept in limbs of
 * nine decimal digits, least significant first. */

enum { N_LIMBS = CONF_MAX_INT_DIGITS / 9 + 4, LIMB = 1000000000 };

typedef struct bigint {
    uint32_t limb[N_LIMBS];
    size_t   n;
} bigint;

/* value = value * factor + add; false: too large */
static bool bigint_push(bigint *b, uint32_t factor, uint32_t add) {
    uint64_t carry = add;
    for (size_t i = 0; i < b->n; i++) {
        carry += (uint64_t)b->limb[i] * factor;
        b->limb[i] = (uint32_t)(carry % LIMB);
        carry /= LIMB;
    }
    if (carry > 0) {
        if (b->n == N_LIMBS) {
            return false;
        }
        b->limb[b->n++] = (uint32_t)carry;
    }
    return true;
}

static int digit_value(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return 99;
}

static bool push_digits(bigint *b, const char *at, const char *end, uint32_t base) {
    bool any = false;
    for (; at < end; at++) {
        if (*at == '_') {
            continue;
        }
        const int digit = digit_value(*at);
        if (digit >= (int)base || !bigint_push(b, base, (uint32_t)digit)) {
            return false;
        }
        any = true;
    }
    return any;
}

/* a:b:c in base 60, each part decimal */
static bool push_sixties(bigint *b, const char *at, const char *end) {
    while (at < end) {
        const char *stop = memchr(at, ':', (size_t)(end - at));
        stop = stop == NULL ? end : stop;
        bigint part = {.n = 0};
        if (!push_digits(&part, at, stop, 10) || part.n > 1) {
            return false;
        }
        const uint32_t add = part.n == 0 ? 0 : part.limb[0];
        if (!bigint_push(b, 60, 0) || !bigint_push(b, 1, add)) {
            return false;
        }
        at = stop == end ? end : stop + 1;
    }
    return true;
}

static bool parse_bigint(const char *at, const char *end, bigint *out) {
    if (end - at > 2 && at[0] == '0' && at[1] == 'b') {
        return push_digits(out, at + 2, end, 2);
    }
    if (end - at > 2 && at[0] == '0' && at[1] == 'x') {
        return push_digits(out, at + 2, end, 16);
    }
    if (at < end && memchr(at, ':', (size_t)(end - at)) != NULL) {
        return push_sixties(out, at, end);
    }
    if (end - at > 1 && at[0] == '0') {
        return push_digits(out, at, end, 8);
    }
    return push_digits(out, at, end, 10);
}

bt_status conf_scalar_int(bt_conf *conf, const char *text, size_t len, conf_value *out,
                          bt_error *err) {
    const char *at = text;
    const char *end = text + len;
    const bool  negative = len > 0 && text[0] == '-';
    if (len > 0 && is_one_of(text[0], "+-")) {
        at++;
    }
    bigint b = {.n = 0};
    if (len > CONF_MAX_INT_DIGITS || !parse_bigint(at, end, &b)) {
        return BT_FAIL(err, BT_E_CONFIG, "'%.60s' is not an integer", text);
    }
    char   digits[N_LIMBS * 9 + 2];
    size_t n = 0;
    digits[n++] = '-';
    for (size_t i = b.n; i > 0; i--) {
        for (uint32_t unit = LIMB / 10; unit > 0; unit /= 10) {
            digits[n++] = (char)('0' + b.limb[i - 1] / unit % 10);
        }
    }
    size_t first = 1;
    while (first < n && digits[first] == '0') {
        first++;
    }
    digits[n] = '\0';
    if (first == n) {
        out->kind = K_INT;
        out->u.i = 0;
        return BT_OK;
    }
    if (negative) {
        digits[--first] = '-';
    }
    if (bt_parse_i64(digits + first, &out->u.i)) {
        out->kind = K_INT;
        return BT_OK;
    }
    out->kind = K_BIGINT;
    out->u.s.len = n - first;
    out->u.s.text = conf_strndup(conf, digits + first, n - first);
    if (out->u.s.text == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a number of %zu digits", n);
    }
    return BT_OK;
}

bt_status conf_scalar_float(const char *text, size_t len, double *out, bt_error *err) {
    char   clean[CONF_MAX_INT_DIGITS + 1];
    size_t n = 0;
    double sign = 1;
    for (size_t i = 0; i < len && n < sizeof(clean) - 1; i++) {
        if (text[i] != '_') {
            clean[n++] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + 32) : text[i];
        }
    }
    clean[n] = '\0';
    char *at = clean;
    if (*at == '-' || *at == '+') {
        sign = *at == '-' ? -1 : 1;
        at++;
    }
    if (strcmp(at, ".inf") == 0) {
        *out = sign * (double)INFINITY;
        return BT_OK;
    }
    if (strcmp(at, ".nan") == 0) {
        *out = (double)NAN;
        return BT_OK;
    }
    double value = 0;
    for (char *part = at; part != NULL;) { /* base 60, or one part */
        char  *colon = strchr(part, ':');
        double digit = 0;
        if (colon != NULL) {
            *colon = '\0';
        }
        if (len > sizeof(clean) - 1 || is_one_of(*part, "+- ") || !bt_parse_f64(part, &digit)) {
            return BT_FAIL(err, BT_E_CONFIG, "'%.60s' is not a number", text);
        }
        value = value * 60 + digit;
        part = colon == NULL ? NULL : colon + 1;
    }
    *out = sign * value;
    return BT_OK;
}
