/* SPDX-License-Identifier: Apache-2.0
 *
 * params.yaml: the layout of PyYAML's emitter as Model Garden uses it (block mappings, flow lists,
 * tuples as tagged blocks, width 80): docs/model_garden/config.md section 4.4, byte for byte. Keys
 * that Model Garden does not have go to a file beside it, params_ours.yaml: with one of them in it
 * Model Garden would refuse the whole. */
#include "bt/base/number.h"
#include "bt/base/signed_url.h"
#include "conf_internal.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { WIDTH = 80 };

/* Which keys are printed: all, Model Garden's, ours (of a section that is not Model Garden's too).
 */
typedef enum dump_keys { DUMP_ALL, DUMP_GARDEN, DUMP_OURS } dump_keys;

typedef struct dumper {
    bt_str   *out;
    dump_keys keys;
    bool      is_new; /* in a section of ours that is null by default: it is printed in full */
    size_t    column; /* characters on the line; all output is ASCII */
    bt_error *err;
} dumper;

static bt_status put_n(dumper *d, const char *text, size_t n) {
    d->column += n;
    return bt_str_append_n(d->out, text, n, d->err);
}

static bt_status put(dumper *d, const char *text) {
    return put_n(d, text, strlen(text));
}

static bt_status new_line(dumper *d, size_t indent) {
    BT_TRY(bt_str_append_char(d->out, '\n', d->err));
    d->column = 0;
    for (size_t i = 0; i < indent; i++) {
        BT_TRY(put_n(d, " ", 1));
    }
    return BT_OK;
}

typedef enum text_style { STYLE_PLAIN, STYLE_SINGLE, STYLE_DOUBLE } text_style;

static bool contains_any(const char *text, size_t len, const char *set) {
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '\0' && strchr(set, text[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static bool needs_escapes(const char *text, size_t len) {
    for (size_t i = 0; i < len; i++) {
        const unsigned char c = (unsigned char)text[i];
        const char          next = i + 1 < len ? text[i + 1] : '\0';
        if (c != '\n' && (c < 0x20 || c > 0x7E)) {
            return true;
        }
        if ((c == ' ' && next == '\n') || (c == '\n' && next == ' ')) {
            return true;
        }
    }
    return false;
}

static bool has_plain_start(const char *text, size_t len, bool in_flow) {
    if (strchr("#,[]{}&*!|>'\"%@`", text[0]) != NULL) {
        return false;
    }
    if (len >= 3 && (memcmp(text, "---", 3) == 0 || memcmp(text, "...", 3) == 0)) {
        return false;
    }
    const bool alone = len == 1 || text[1] == ' ';
    if (text[0] == '-') {
        return !alone;
    }
    return (text[0] != '?' && text[0] != ':') || (!alone && !in_flow);
}

static bool can_be_plain(const char *text, size_t len, bool in_flow) {
    if (len == 0 || text[0] == ' ' || text[len - 1] == ' ' || memchr(text, '\n', len) != NULL) {
        return false;
    }
    const conf_scalar what = conf_scalar_resolve(text, len);
    if (what != SCALAR_STR) {
        return false;
    }
    if (!has_plain_start(text, len, in_flow) || text[len - 1] == ':') {
        return false;
    }
    for (size_t i = 0; i + 1 < len; i++) {
        if ((text[i] == ':' && text[i + 1] == ' ') || (text[i] == ' ' && text[i + 1] == '#')) {
            return false;
        }
    }
    return !in_flow || !contains_any(text, len, ",?[]{}:");
}

static text_style choose_style(const char *text, size_t len, bool in_flow) {
    if (needs_escapes(text, len)) {
        return STYLE_DOUBLE;
    }
    return can_be_plain(text, len, in_flow) ? STYLE_PLAIN : STYLE_SINGLE;
}

/* A single space beyond the width becomes a line break; longer runs are kept. */
static bt_status put_spaces(dumper *d, const char *text, size_t start, size_t end, size_t len,
                            bool keep_ends, size_t indent) {
    const bool at_end = start == 0 || end == len;
    if (end - start == 1 && d->column > WIDTH && !(keep_ends && at_end)) {
        return new_line(d, indent);
    }
    return put_n(d, text + start, end - start);
}

static bt_status put_plain(dumper *d, const char *text, size_t len, size_t indent) {
    for (size_t i = 0; i < len;) {
        const size_t start = i;
        const bool   blank = text[i] == ' ';
        while (i < len && (text[i] == ' ') == blank) {
            i++;
        }
        BT_TRY(blank ? put_spaces(d, text, start, i, len, false, indent)
                     : put_n(d, text + start, i - start));
    }
    return BT_OK;
}

/* k line breaks in a row are k + 1 in the file: the first one alone would be folded to a space. */
static bt_status put_breaks(dumper *d, size_t n, size_t indent) {
    for (size_t i = 0; i < n; i++) {
        BT_TRY(new_line(d, 0));
    }
    return new_line(d, indent);
}

static bt_status put_single(dumper *d, const char *text, size_t len, size_t indent) {
    BT_TRY(put(d, "'"));
    for (size_t i = 0; i < len;) {
        const size_t start = i;
        const char   c = text[i];
        if (c == '\'') {
            BT_TRY(put(d, "''"));
            i++;
            continue;
        }
        if (c == ' ' || c == '\n') {
            while (i < len && text[i] == c) {
                i++;
            }
            BT_TRY(c == ' ' ? put_spaces(d, text, start, i, len, true, indent)
                            : put_breaks(d, i - start, indent));
            continue;
        }
        while (i < len && text[i] != ' ' && text[i] != '\n' && text[i] != '\'') {
            i++;
        }
        BT_TRY(put_n(d, text + start, i - start));
    }
    return put(d, "'");
}

/* One character of checked UTF-8. */
static uint32_t decode_utf8(const char *text, size_t len, size_t *n) {
    const unsigned char *s = (const unsigned char *)text;
    const size_t         want = s[0] < 0x80 ? 1 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
    uint32_t             c = want == 1 ? s[0] : s[0] & (0xFFU >> (want + 1));
    *n = want <= len ? want : len;
    for (size_t i = 1; i < *n; i++) {
        c = (c << 6) | (s[i] & 0x3FU);
    }
    return c;
}

static bt_status put_escape(dumper *d, uint32_t c) {
    static const struct {
        uint32_t c;
        char     text[3];
    } codes[] = {{0, "\\0"},     {0x07, "\\a"}, {0x08, "\\b"}, {0x09, "\\t"},   {0x0A, "\\n"},
                 {0x0B, "\\v"},  {0x0C, "\\f"}, {0x0D, "\\r"}, {0x1B, "\\e"},   {'"', "\\\""},
                 {'\\', "\\\\"}, {0x85, "\\N"}, {0xA0, "\\_"}, {0x2028, "\\L"}, {0x2029, "\\P"}};
    const size_t before = d->out->len;
    for (size_t i = 0; i < BT_ARRAY_LEN(codes); i++) {
        if (codes[i].c == c) {
            return put(d, codes[i].text);
        }
    }
    if (c <= 0xFF) {
        BT_TRY(bt_str_appendf(d->out, d->err, "\\x%02" PRIX32, c));
    } else if (c <= 0xFFFF) {
        BT_TRY(bt_str_appendf(d->out, d->err, "\\u%04" PRIX32, c));
    } else {
        BT_TRY(bt_str_appendf(d->out, d->err, "\\U%08" PRIX32, c));
    }
    d->column += d->out->len - before;
    return BT_OK;
}

/* Runs of plain characters are held back until a space or an escape decides where they go; a line
 * may also end right after an escape. */
static bt_status put_double(dumper *d, const char *text, size_t len, size_t indent) {
    size_t start = 0; /* of the run that is held back */
    BT_TRY(put(d, "\""));
    for (size_t i = 0; i < len;) {
        size_t         n = 1;
        const uint32_t c = decode_utf8(text + i, len - i, &n);
        const bool     escaped = c < 0x20 || c > 0x7E || c == '"' || c == '\\';
        const bool     last = i + n >= len;
        const bool     first = i == 0;
        if (escaped) {
            BT_TRY(put_n(d, text + start, i - start));
            BT_TRY(put_escape(d, c));
            start = i + n;
        }
        /* after an escape the held run counts as one character short of empty */
        const size_t reach = escaped ? d->column - 1 : d->column + (i - start);
        if (!first && !last && (escaped || c == ' ' || start == i) && reach > WIDTH) {
            if (!escaped) {
                BT_TRY(put_n(d, text + start, i - start));
                start = i;
            }
            BT_TRY(put(d, "\\"));
            BT_TRY(new_line(d, indent));
            if (text[start] == ' ') {
                BT_TRY(put(d, "\\"));
            }
        }
        i += n;
    }
    BT_TRY(put_n(d, text + start, len - start));
    return put(d, "\"");
}

static bt_status put_text(dumper *d, const char *text, size_t len, size_t indent, bool in_flow) {
    switch (choose_style(text, len, in_flow)) {
    case STYLE_PLAIN:
        return put_plain(d, text, len, indent);
    case STYLE_SINGLE:
        return put_single(d, text, len, indent);
    case STYLE_DOUBLE:
        return put_double(d, text, len, indent);
    }
    return BT_OK;
}

static bt_status put_float(dumper *d, double value) {
    char repr[BT_F64_TEXT_MAX];
    if (isnan(value)) {
        return put(d, ".nan");
    }
    if (isinf(value)) {
        return put(d, value > 0 ? ".inf" : "-.inf");
    }
    const char  *text = bt_f64_repr(value, repr);
    const size_t mantissa = strcspn(text, "e");
    BT_TRY(put_n(d, text, mantissa));
    if (text[mantissa] == 'e' && memchr(text, '.', mantissa) == NULL) {
        BT_TRY(put(d, ".0"));
    }
    return put(d, text + mantissa);
}

static bt_status put_int(dumper *d, int64_t value) {
    const size_t before = d->out->len;
    BT_TRY(bt_str_appendf(d->out, d->err, "%" PRId64, value));
    d->column += d->out->len - before;
    return BT_OK;
}

/* A text as it may be written into params.yaml: the signature of a URL stays out. */
static bt_status put_string(dumper *d, const conf_value *value, size_t indent, bool in_flow) {
    const char *const text = value->u.s.text;
    bt_str            shown = BT_STR_INIT;
    bool              is_hidden = false;
    if (strlen(text) != value->u.s.len || !bt_has_signature(text, &is_hidden)) {
        return put_text(d, text, value->u.s.len, indent, in_flow);
    }
    BT_TRY(bt_str_append(&shown, text, d->err));
    bt_hide_signatures(shown.data);
    const bt_status rc = put_text(d, shown.data, strlen(shown.data), indent, in_flow);
    bt_str_deinit(&shown);
    return rc;
}

static bt_status put_scalar(dumper *d, const conf_value *value, size_t indent, bool in_flow) {
    switch (value->kind) {
    case K_NULL:
        return put(d, "null");
    case K_BOOL:
        return put(d, value->u.b ? "true" : "false");
    case K_INT:
        return put_int(d, value->u.i);
    case K_BIGINT:
        return put_n(d, value->u.s.text, value->u.s.len);
    case K_FLOAT:
        return put_float(d, value->u.f);
    case K_STR:
        return put_string(d, value, indent, in_flow);
    case K_ALIEN:
    case K_LIST:
    case K_TUPLE:
    case K_MAP:
    case K_OBJECT:
        break;
    }
    return BT_FAIL(d->err, BT_E_INTERNAL, "a value of kind %d is not a scalar", (int)value->kind);
}

/* indent: of the key that holds the list */
static bt_status put_flow_object(dumper *d, const conf_object *object, size_t indent) {
    BT_TRY(put(d, "{"));
    for (size_t i = 0; i < object->n_slots; i++) {
        BT_TRY(put(d, i > 0 ? "," : ""));
        if (d->column > WIDTH) {
            BT_TRY(new_line(d, indent + 4));
        } else {
            BT_TRY(put(d, i > 0 ? " " : ""));
        }
        BT_TRY(put(d, object->slots[i].key->name));
        BT_TRY(put(d, ": "));
        BT_TRY(put_scalar(d, &object->slots[i].value, indent + 6, true));
    }
    return put(d, "}");
}

static bt_status put_flow_list(dumper *d, const conf_value *list, size_t indent) {
    BT_TRY(put(d, "["));
    for (size_t i = 0; i < list->u.list.n; i++) {
        const conf_value *item = &list->u.list.items[i];
        BT_TRY(put(d, i > 0 ? "," : ""));
        if (d->column > WIDTH) {
            BT_TRY(new_line(d, indent + 2));
        } else {
            BT_TRY(put(d, i > 0 ? " " : ""));
        }
        BT_TRY(item->kind == K_OBJECT ? put_flow_object(d, item->u.object, indent)
                                      : put_scalar(d, item, indent + 4, true));
    }
    return put(d, "]");
}

static bt_status put_object(dumper *d, const conf_object *object, const conf_object *defaults,
                            size_t indent, bool continues_line);

static bt_status put_tuple(dumper *d, const conf_value *tuple, size_t indent) {
    BT_TRY(put(d, tuple->u.list.n == 0 ? "!!python/tuple []" : "!!python/tuple"));
    for (size_t i = 0; i < tuple->u.list.n; i++) {
        const conf_value *item = &tuple->u.list.items[i];
        BT_TRY(new_line(d, indent));
        BT_TRY(put(d, "- "));
        BT_TRY(item->kind == K_OBJECT ? put_object(d, item->u.object, NULL, indent + 2, true)
                                      : put_scalar(d, item, indent + 2, false));
    }
    return BT_OK;
}

/* Of two sections of one class, the defaults; NULL: there are none. */
static const conf_object *defaults_of(const conf_value *value, const conf_value *normal) {
    return value->kind == K_OBJECT && normal != NULL && normal->kind == K_OBJECT &&
                   normal->u.object->cls == value->u.object->cls
               ? normal->u.object
               : NULL;
}

static const conf_value *normal_value(const conf_object *defaults, size_t i) {
    return defaults == NULL ? NULL : &defaults->slots[i].value;
}

/* Of a one-of only "type" and the selected branch count. */
static bool is_selected(const conf_object *object, size_t i) {
    const char *const name = object->slots[i].key->name;
    if (!object->cls->is_one_of || strcmp(name, "type") == 0) {
        return true;
    }
    const conf_slot *type = conf_find_slot(object, "type", 4);
    return type->value.kind == K_STR && strcmp(type->value.u.s.text, name) == 0;
}

/* A section that is null by default says something by being there. */
static bool is_new_section(const conf_value *value, const conf_value *normal) {
    return value->kind == K_OBJECT && normal != NULL && normal->kind != K_OBJECT;
}

/* Has the section a key of ours that is not as it was? */
static bool has_ours(const conf_object *object, const conf_object *defaults, bool is_ours) {
    for (size_t i = 0; i < object->n_slots; i++) {
        const conf_value *const value = &object->slots[i].value;
        const conf_value *const normal = normal_value(defaults, i);
        const bool              ours = is_ours || (object->slots[i].key->flags & EXT) != 0;
        if (!is_selected(object, i)) {
            continue;
        }
        if (value->kind == K_OBJECT
                ? (ours && is_new_section(value, normal)) ||
                      has_ours(value->u.object, defaults_of(value, normal), ours)
                : ours && value->source != 0 && (normal == NULL || !conf_equal(value, normal))) {
            return true;
        }
    }
    return false;
}

/* Our own keys stay out where they are as they were. */
static bool is_dumped(const dumper *d, const conf_object *object, const conf_object *defaults,
                      size_t i) {
    const conf_value *const value = &object->slots[i].value;
    const conf_value *const normal = normal_value(defaults, i);
    const bool              ours = (object->slots[i].key->flags & EXT) != 0;
    if (!is_selected(object, i) || (ours && d->keys == DUMP_GARDEN)) {
        return false;
    }
    if (d->is_new || (ours && is_new_section(value, normal))) {
        return true;
    }
    if (value->kind == K_OBJECT && (ours || d->keys == DUMP_OURS)) {
        return has_ours(value->u.object, defaults_of(value, normal), ours);
    }
    return ours ? value->source != 0 && (normal == NULL || !conf_equal(value, normal))
                : d->keys != DUMP_OURS;
}

static bt_status put_slot_value(dumper *d, const conf_value *value, const conf_value *normal,
                                size_t indent) {
    if (value->kind == K_OBJECT && value->u.object->n_slots > 0) {
        return put_object(d, value->u.object, defaults_of(value, normal), indent + 2, false);
    }
    BT_TRY(put(d, " "));
    if (value->kind == K_OBJECT) {
        return put(d, "{}");
    }
    if (value->kind == K_LIST) {
        return put_flow_list(d, value, indent);
    }
    if (value->kind == K_TUPLE) {
        return put_tuple(d, value, indent);
    }
    return put_scalar(d, value, indent + 2, false);
}

static bt_status put_object(dumper *d, const conf_object *object, const conf_object *defaults,
                            size_t indent, bool continues_line) {
    for (size_t i = 0; i < object->n_slots; i++) {
        const bool is_own_section =
            (object->slots[i].key->flags & EXT) != 0 && object->slots[i].value.kind == K_OBJECT;
        if (!is_dumped(d, object, defaults, i)) {
            continue;
        }
        if (!continues_line) {
            BT_TRY(new_line(d, indent));
        }
        continues_line = false;
        BT_TRY(put(d, object->slots[i].key->name));
        BT_TRY(put(d, ":"));
        const dumper before = *d;
        d->keys = is_own_section ? DUMP_ALL : d->keys; /* what is below it is ours as well */
        d->is_new = d->is_new || (is_own_section && is_new_section(&object->slots[i].value,
                                                                   normal_value(defaults, i)));
        BT_TRY(put_slot_value(d, &object->slots[i].value, normal_value(defaults, i), indent));
        d->keys = before.keys;
        d->is_new = before.is_new;
    }
    return BT_OK;
}

bt_status bt_conf_dump_yaml(const bt_conf *conf, bt_str *out, bt_error *err) {
    dumper d = {.out = out, .keys = DUMP_ALL, .err = err};
    BT_TRY(put_object(&d, conf->root, conf->defaults, 0, true));
    return new_line(&d, 0);
}

bt_status bt_conf_dump_files(const bt_conf *conf, bt_str *params, bt_str *ours, bt_error *err) {
    const conf_experiment_def *const experiment = conf->experiment;
    dumper                           theirs = {.out = params, .keys = DUMP_GARDEN, .err = err};
    dumper                           own = {.out = ours, .keys = DUMP_OURS, .err = err};
    BT_TRY(bt_str_append(ours, CONF_OURS_HEADER "\n", err));
    if (has_ours(conf->root, conf->defaults, false)) {
        BT_TRY(bt_str_append(params, CONF_OURS_MARK "\n", err));
        BT_TRY(put_object(&own, conf->root, conf->defaults, 0, true));
        BT_TRY(new_line(&own, 0));
    }
    if (experiment->is_ours) {
        BT_TRY(bt_str_appendf(params, err,
                              "# Model Garden has the task, but no experiment of the name %s: "
                              "register one of these classes to load this there.\n",
                              experiment->name));
    }
    BT_TRY(put_object(&theirs, conf->root, conf->defaults, 0, true));
    return new_line(&theirs, 0);
}

bool bt_conf_has_ours(const bt_conf *conf) {
    return has_ours(conf->root, conf->defaults, false);
}
