/* SPDX-License-Identifier: Apache-2.0
 *
 * One YAML document to one value: libyaml scans and parses, this file composes. Anchors, aliases,
 * merge keys and PyYAML's tags are understood. Refused: several documents, nesting and expansion
 * beyond the limits in conf_internal.h (a bomb of aliases costs no more than its text). */
#include "bt/base/alloc.h"
#include "conf_internal.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

typedef struct anchor {
    const char *name;
    conf_value  value;
    size_t      weight; /* nodes below it, itself included */
} anchor;

typedef struct loader {
    bt_conf      *conf;
    yaml_parser_t parser;
    yaml_event_t  event;
    bool          has_event;
    int32_t       source;
    int           flow_depth;
    size_t        n_nodes; /* after expansion */
    anchor       *anchors;
    size_t        n_anchors;
    size_t        cap_anchors;
    const char   *cursor; /* up to here the text was looked through for tabs */
    const char   *end;
    size_t        cursor_index; /* the cursor in characters, as libyaml counts */
    conf_value   *stack;        /* children of the collections that are open */
    size_t        n_stack;
    size_t        cap_stack;
    bt_error     *err;
} loader;

#define YAML_TAG "tag:yaml.org,2002:"

static bt_status fail_at(loader *ld, yaml_mark_t mark, const char *text) {
    return BT_FAIL(ld->err, BT_E_CONFIG, "line %zu, column %zu: %s", mark.line + 1, mark.column + 1,
                   text);
}

static bt_status fail_nomem(loader *ld) {
    return BT_FAIL(ld->err, BT_E_NOMEM, "out of memory while reading YAML");
}

static bt_status next_event(loader *ld) {
    if (ld->has_event) {
        yaml_event_delete(&ld->event);
        ld->has_event = false;
    }
    if (yaml_parser_parse(&ld->parser, &ld->event) == 0) {
        const yaml_parser_t *p = &ld->parser;
        if (p->error == YAML_MEMORY_ERROR) {
            return fail_nomem(ld);
        }
        if (p->error == YAML_READER_ERROR) {
            return BT_FAIL(ld->err, BT_E_CONFIG, "byte %zu: %s", p->problem_offset, p->problem);
        }
        return BT_FAIL(ld->err, BT_E_CONFIG, "line %zu, column %zu: %s%s%s",
                       p->problem_mark.line + 1, p->problem_mark.column + 1, p->problem,
                       p->context == NULL ? "" : " ", p->context == NULL ? "" : p->context);
    }
    ld->has_event = true;
    return BT_OK;
}

/* PyYAML takes a tab only within quoted and block texts and comments; libyaml takes it as a space.
 * Moves the cursor to the character `index`; tabs in between are an error if `strict`. */
static bt_status pass_over(loader *ld, size_t index, bool strict, size_t line) {
    bool in_comment = false;
    bool after_blank = true;
    for (; ld->cursor < ld->end && ld->cursor_index < index; ld->cursor++) {
        const char c = *ld->cursor;
        ld->cursor_index += ((unsigned char)c & 0xC0U) != 0x80U;
        in_comment = c != '\n' && (in_comment || (strict && c == '#' && after_blank));
        after_blank = c == ' ' || c == '\n' || c == '\t';
        if (strict && c == '\t' && !in_comment) {
            return BT_FAIL(ld->err, BT_E_CONFIG,
                           "line %zu: a tab is where YAML wants spaces (before this line, "
                           "if there is none in it)",
                           line + 1);
        }
    }
    /* the rest of a character of several bytes */
    while (ld->cursor < ld->end && ((unsigned char)*ld->cursor & 0xC0U) == 0x80U) {
        ld->cursor++;
    }
    return BT_OK;
}

/* The current event is a scalar: what is before it, and a plain one itself, has no tabs. */
static bt_status check_tabs(loader *ld) {
    const yaml_event_t *event = &ld->event;
    const bool          plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    BT_TRY(pass_over(ld, event->start_mark.index, true, event->start_mark.line));
    return pass_over(ld, event->end_mark.index, plain, event->end_mark.line);
}

static bt_status count_nodes(loader *ld, size_t n) {
    ld->n_nodes += n;
    if (ld->n_nodes > CONF_MAX_NODES) {
        return BT_FAIL(
            ld->err, BT_E_CONFIG,
            "line %zu, column %zu: more than %d values (aliases counted as often as they "
            "are used): this is not a configuration",
            ld->event.start_mark.line + 1, ld->event.start_mark.column + 1, CONF_MAX_NODES);
    }
    return BT_OK;
}

static void set_place(const loader *ld, conf_value *value) {
    const yaml_mark_t mark = ld->event.start_mark;
    value->source = ld->source;
    value->line = mark.line < INT32_MAX ? (int32_t)mark.line + 1 : INT32_MAX;
    value->column = mark.column < INT32_MAX ? (int32_t)mark.column + 1 : INT32_MAX;
}

static bt_status push(loader *ld, const conf_value *value) {
    BT_TRY(bt_grow(&ld->stack, &ld->cap_stack, ld->n_stack + 1, sizeof(conf_value),
                   2 * (size_t)CONF_MAX_NODES + 16, ld->err));
    ld->stack[ld->n_stack++] = *value;
    return BT_OK;
}

static bt_status set_text(loader *ld, conf_kind kind, const char *text, size_t len,
                          conf_value *out) {
    char *copy = conf_strndup(ld->conf, text, len);
    if (copy == NULL) {
        return fail_nomem(ld);
    }
    out->kind = kind;
    out->u.s.text = copy;
    out->u.s.len = len;
    return BT_OK;
}

/* A message of the number constructors gets the place in front. */
static bt_status at_place(loader *ld, bt_status status) {
    if (status != BT_OK && status != BT_E_NOMEM) {
        return bt_error_prefix(ld->err, "line %zu, column %zu", ld->event.start_mark.line + 1,
                               ld->event.start_mark.column + 1);
    }
    return status;
}

static bt_status set_bool(loader *ld, const char *text, conf_value *out) {
    static const char *const yes[] = {"yes", "true", "on"};
    static const char *const no[] = {"no", "false", "off"};
    for (size_t i = 0; i < BT_ARRAY_LEN(yes); i++) {
        if (bt_str_equal_nocase(text, yes[i]) || bt_str_equal_nocase(text, no[i])) {
            out->kind = K_BOOL;
            out->u.b = bt_str_equal_nocase(text, yes[i]);
            return BT_OK;
        }
    }
    return fail_at(ld, ld->event.start_mark, "a !!bool must be true or false");
}

static bt_status set_number(loader *ld, conf_scalar what, const char *text, size_t len,
                            conf_value *out) {
    if (what == SCALAR_INT) {
        return at_place(ld, conf_scalar_int(ld->conf, text, len, out, ld->err));
    }
    out->kind = K_FLOAT;
    return at_place(ld, conf_scalar_float(text, len, &out->u.f, ld->err));
}

static bt_status set_plain(loader *ld, const char *text, size_t len, conf_value *out) {
    const conf_scalar what = conf_scalar_resolve(text, len);
    switch (what) {
    case SCALAR_STR:
        return set_text(ld, K_STR, text, len, out);
    case SCALAR_NULL:
        out->kind = K_NULL;
        return BT_OK;
    case SCALAR_BOOL:
        return set_bool(ld, text, out);
    case SCALAR_INT:
    case SCALAR_FLOAT:
    case SCALAR_ADDED_FLOAT:
        return set_number(ld, what, text, len, out);
    case SCALAR_TIMESTAMP:
        return set_text(ld, K_ALIEN, "a date", 6, out);
    case SCALAR_BROKEN:
        return fail_at(ld, ld->event.start_mark, "a number with a backslash in it");
    case SCALAR_MERGE:
        return fail_at(ld, ld->event.start_mark, "'<<' stands for no value here; quote it");
    case SCALAR_VALUE:
        return fail_at(ld, ld->event.start_mark, "'=' stands for no value; quote it");
    }
    return BT_OK;
}

/* !!int "5", !!python/str x, ... as FullLoader constructs them */
static bt_status set_tagged(loader *ld, const char *tag, const char *text, size_t len,
                            conf_value *out) {
    static const struct {
        const char *tag;
        conf_scalar what;
    } known[] = {
        {"str", SCALAR_STR},
        {"python/str", SCALAR_STR},
        {"python/unicode", SCALAR_STR},
        {"int", SCALAR_INT},
        {"python/int", SCALAR_INT},
        {"python/long", SCALAR_INT},
        {"float", SCALAR_FLOAT},
        {"python/float", SCALAR_FLOAT},
        {"bool", SCALAR_BOOL},
        {"python/bool", SCALAR_BOOL},
        {"null", SCALAR_NULL},
        {"python/none", SCALAR_NULL},
        {"binary", SCALAR_TIMESTAMP},
        {"timestamp", SCALAR_TIMESTAMP},
    };
    if (bt_str_starts_with(tag, YAML_TAG)) {
        const char *name = tag + strlen(YAML_TAG);
        for (size_t i = 0; i < BT_ARRAY_LEN(known); i++) {
            if (strcmp(known[i].tag, name) != 0) {
                continue;
            }
            if (known[i].what == SCALAR_STR) {
                return set_text(ld, K_STR, text, len, out);
            }
            if (known[i].what == SCALAR_NULL) {
                out->kind = K_NULL;
                return BT_OK;
            }
            if (known[i].what == SCALAR_BOOL) {
                return set_bool(ld, text, out);
            }
            if (known[i].what == SCALAR_TIMESTAMP) {
                return set_text(ld, K_ALIEN, name, strlen(name), out);
            }
            return set_number(ld, known[i].what, text, len, out);
        }
    }
    return BT_FAIL(ld->err, BT_E_CONFIG, "line %zu, column %zu: the tag '%.60s' is not supported",
                   ld->event.start_mark.line + 1, ld->event.start_mark.column + 1, tag);
}

static bt_status load_scalar(loader *ld, bool is_key, conf_value *out) {
    const char  *text = (const char *)ld->event.data.scalar.value;
    const size_t len = ld->event.data.scalar.length;
    const char  *tag = (const char *)ld->event.data.scalar.tag;
    BT_TRY(check_tabs(ld));
    if (tag != NULL && strcmp(tag, "!") != 0) {
        return set_tagged(ld, tag, text, len, out);
    }
    if (!ld->event.data.scalar.plain_implicit) {
        return set_text(ld, K_STR, text, len, out);
    }
    /* PyYAML ends a plain scalar in a flow collection at '?'; libyaml reads on */
    if (ld->flow_depth > 0 && ld->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
        memchr(text, '?', len) != NULL) {
        return fail_at(ld, ld->event.start_mark,
                       "'?' in a plain text inside {} or [] (or in an override a.b=c) must be "
                       "quoted");
    }
    if (is_key) { /* a key that reads as << or = is handled by load_mapping */
        const conf_scalar what = conf_scalar_resolve(text, len);
        if (what == SCALAR_MERGE || what == SCALAR_VALUE) {
            BT_TRY(set_text(ld, K_STR, text, len, out));
            out->kind = what == SCALAR_MERGE ? K_ALIEN : K_STR;
            return BT_OK;
        }
    }
    return set_plain(ld, text, len, out);
}

static bt_status load_node(loader *ld, int depth, bool is_key, conf_value *out);

static bt_status load_children(loader *ld, int depth, bool is_mapping, yaml_event_type_t end) {
    for (bool is_key = is_mapping;; is_key = is_mapping && !is_key) {
        BT_TRY(next_event(ld));
        if (ld->event.type == end) {
            return BT_OK;
        }
        conf_value child;
        BT_TRY(load_node(ld, depth + 1, is_key, &child));
        BT_TRY(push(ld, &child));
    }
}

static bt_status load_sequence(loader *ld, int depth, conf_value *out) {
    const char *tag = (const char *)ld->event.data.sequence_start.tag;
    const bool  is_plain = tag == NULL || strcmp(tag, "!") == 0 || strcmp(tag, YAML_TAG "seq") == 0;
    if (is_plain || strcmp(tag, YAML_TAG "python/list") == 0) {
        out->kind = K_LIST;
    } else if (strcmp(tag, YAML_TAG "python/tuple") == 0) {
        out->kind = K_TUPLE;
    } else {
        return BT_FAIL(ld->err, BT_E_CONFIG,
                       "line %zu, column %zu: the tag '%.60s' is not supported on a list",
                       ld->event.start_mark.line + 1, ld->event.start_mark.column + 1, tag);
    }
    const size_t base = ld->n_stack;
    BT_TRY(load_children(ld, depth, false, YAML_SEQUENCE_END_EVENT));
    const size_t n = ld->n_stack - base;
    conf_value  *items = conf_alloc(ld->conf, n, sizeof(conf_value));
    if (items == NULL) {
        return fail_nomem(ld);
    }
    if (n > 0) {
        memcpy(items, ld->stack + base, n * sizeof(conf_value));
    }
    ld->n_stack = base;
    out->u.list.items = items;
    out->u.list.n = n;
    return BT_OK;
}

static int compare_keys(const conf_value *a, const conf_value *b) {
    if (a->kind != K_STR || b->kind != K_STR) {
        return (a->kind == K_STR) - (b->kind == K_STR); /* other kinds first: errors anyway */
    }
    const size_t n = a->u.s.len < b->u.s.len ? a->u.s.len : b->u.s.len;
    const int    order = n == 0 ? 0 : memcmp(a->u.s.text, b->u.s.text, n);
    return order != 0 ? order : (a->u.s.len > b->u.s.len) - (a->u.s.len < b->u.s.len);
}

static int compare_pairs(const void *left, const void *right) {
    const conf_pair *a = left;
    const conf_pair *b = right;
    const int        order = compare_keys(&a->key, &b->key);
    return order != 0 ? order : (a->order > b->order) - (a->order < b->order);
}

static bool is_merge_key(const conf_value *key) {
    return key->kind == K_ALIEN && strcmp(key->u.s.text, "<<") == 0;
}

/* What <<: value adds; -1: it is neither a mapping nor a list of mappings. */
static int64_t count_merged(const conf_value *value) {
    if (value->kind == K_MAP) {
        return (int64_t)value->u.map.n;
    }
    if (value->kind != K_LIST) {
        return -1;
    }
    int64_t n = 0;
    for (size_t i = 0; i < value->u.list.n; i++) {
        if (value->u.list.items[i].kind != K_MAP) {
            return -1;
        }
        n += (int64_t)value->u.list.items[i].u.map.n;
    }
    return n;
}

static size_t add_merged(const conf_value *value, conf_pair *pairs, size_t n) {
    if (value->kind == K_MAP) {
        for (size_t i = 0; i < value->u.map.n; i++) {
            pairs[n] = value->u.map.items[i];
            pairs[n].order = n;
            n++;
        }
        return n;
    }
    for (size_t i = value->u.list.n; i > 0; i--) { /* the first of a list is to win */
        n = add_merged(&value->u.list.items[i - 1], pairs, n);
    }
    return n;
}

/* children: key, value, key, value. Merged pairs first, so that own ones win. */
static bt_status make_map(loader *ld, yaml_mark_t mark, const conf_value *children, size_t n,
                          conf_value *out) {
    size_t total = 0;
    for (size_t i = 0; i + 1 < n; i += 2) {
        const int64_t add = is_merge_key(&children[i]) ? count_merged(&children[i + 1]) : 1;
        if (add < 0) {
            return fail_at(ld, mark, "'<<' wants a mapping or a list of mappings");
        }
        total += (size_t)add;
        if (total > CONF_MAX_NODES) {
            return fail_at(ld, mark, "too many keys");
        }
    }
    conf_pair *pairs = conf_alloc(ld->conf, total, sizeof(conf_pair));
    if (pairs == NULL) {
        return fail_nomem(ld);
    }
    size_t n_pairs = 0;
    for (size_t i = 0; i + 1 < n; i += 2) {
        if (is_merge_key(&children[i])) {
            n_pairs = add_merged(&children[i + 1], pairs, n_pairs);
        }
    }
    for (size_t i = 0; i + 1 < n; i += 2) {
        if (!is_merge_key(&children[i])) {
            pairs[n_pairs] =
                (conf_pair){.key = children[i], .value = children[i + 1], .order = n_pairs};
            n_pairs++;
        }
    }
    qsort(pairs, n_pairs, sizeof(conf_pair), compare_pairs);
    size_t kept = 0;
    for (size_t i = 0; i < n_pairs; i++) {
        const bool again = i + 1 < n_pairs && pairs[i].key.kind == K_STR &&
                           compare_keys(&pairs[i].key, &pairs[i + 1].key) == 0;
        if (!again) {
            pairs[kept++] = pairs[i];
        }
    }
    out->kind = K_MAP;
    out->u.map.items = pairs;
    out->u.map.n = kept;
    return BT_OK;
}

static bt_status load_mapping(loader *ld, int depth, conf_value *out) {
    const char       *tag = (const char *)ld->event.data.mapping_start.tag;
    const yaml_mark_t mark = ld->event.start_mark;
    if (tag != NULL && strcmp(tag, "!") != 0 && strcmp(tag, YAML_TAG "map") != 0 &&
        strcmp(tag, YAML_TAG "python/dict") != 0) {
        return BT_FAIL(ld->err, BT_E_CONFIG,
                       "line %zu, column %zu: the tag '%.60s' is not supported on a mapping",
                       mark.line + 1, mark.column + 1, tag);
    }
    const size_t base = ld->n_stack;
    BT_TRY(load_children(ld, depth, true, YAML_MAPPING_END_EVENT));
    BT_TRY(make_map(ld, mark, ld->stack + base, ld->n_stack - base, out));
    ld->n_stack = base;
    return BT_OK;
}

static const anchor *find_anchor(const loader *ld, const char *name) {
    for (size_t i = 0; i < ld->n_anchors; i++) {
        if (strcmp(ld->anchors[i].name, name) == 0) {
            return &ld->anchors[i];
        }
    }
    return NULL;
}

static bt_status load_alias(loader *ld, conf_value *out) {
    const anchor *target = find_anchor(ld, (const char *)ld->event.data.alias.anchor);
    if (target == NULL) {
        return fail_at(ld, ld->event.start_mark,
                       "an alias of an anchor that is not (or not yet wholly) defined");
    }
    BT_TRY(count_nodes(ld, target->weight));
    *out = target->value;
    return BT_OK;
}

static bt_status add_anchor(loader *ld, const char *name, const conf_value *value, size_t weight) {
    BT_TRY(
        bt_grow(&ld->anchors, &ld->cap_anchors, ld->n_anchors + 1, sizeof(anchor), 10000, ld->err));
    ld->anchors[ld->n_anchors++] = (anchor){.name = name, .value = *value, .weight = weight};
    return BT_OK;
}

/* The anchor of the current event, copied; NULL: none (or *rc says out of memory). */
static bt_status copy_anchor_name(loader *ld, const char **out) {
    const yaml_char_t *name = NULL;
    if (ld->event.type == YAML_SCALAR_EVENT) {
        name = ld->event.data.scalar.anchor;
    } else if (ld->event.type == YAML_SEQUENCE_START_EVENT) {
        name = ld->event.data.sequence_start.anchor;
    } else {
        name = ld->event.data.mapping_start.anchor;
    }
    *out = NULL;
    if (name == NULL) {
        return BT_OK;
    }
    if (find_anchor(ld, (const char *)name) != NULL) {
        return fail_at(ld, ld->event.start_mark, "an anchor of this name is defined already");
    }
    *out = conf_strndup(ld->conf, (const char *)name, strlen((const char *)name));
    return *out == NULL ? fail_nomem(ld) : BT_OK;
}

static bool is_flow(const yaml_event_t *event) {
    return event->type == YAML_SEQUENCE_START_EVENT
               ? event->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE
               : event->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE;
}

/* The current event begins a node. */
static bt_status load_node(loader *ld, int depth, bool is_key, conf_value *out) {
    if (depth > CONF_MAX_DEPTH) {
        return BT_FAIL(
            ld->err, BT_E_CONFIG, "line %zu, column %zu: nested more than %d levels deep",
            ld->event.start_mark.line + 1, ld->event.start_mark.column + 1, CONF_MAX_DEPTH);
    }
    if (ld->event.type == YAML_ALIAS_EVENT) {
        return load_alias(ld, out);
    }
    const char  *name = NULL;
    const size_t before = ld->n_nodes;
    BT_TRY(copy_anchor_name(ld, &name));
    BT_TRY(count_nodes(ld, 1));
    *out = (conf_value){.kind = K_NULL};
    set_place(ld, out);
    if (ld->event.type == YAML_SCALAR_EVENT) {
        BT_TRY(load_scalar(ld, is_key, out));
    } else {
        const bool flow = is_flow(&ld->event);
        ld->flow_depth += flow;
        BT_TRY(ld->event.type == YAML_SEQUENCE_START_EVENT ? load_sequence(ld, depth, out)
                                                           : load_mapping(ld, depth, out));
        ld->flow_depth -= flow;
    }
    return name == NULL ? BT_OK : add_anchor(ld, name, out, ld->n_nodes - before);
}

static bt_status load_document(loader *ld, conf_value *out) {
    BT_TRY(next_event(ld)); /* stream start */
    BT_TRY(next_event(ld));
    if (ld->event.type == YAML_STREAM_END_EVENT) {
        return BT_OK;
    }
    BT_TRY(next_event(ld));
    BT_TRY(load_node(ld, 0, false, out));
    BT_TRY(next_event(ld)); /* document end */
    BT_TRY(next_event(ld));
    if (ld->event.type != YAML_STREAM_END_EVENT) {
        return fail_at(ld, ld->event.start_mark, "a second document; one is expected");
    }
    return pass_over(ld, SIZE_MAX, true, ld->event.start_mark.line);
}

bt_status conf_yaml_load(bt_conf *conf, const char *text, size_t len, int32_t source,
                         conf_value *out, bt_error *err) {
    loader ld = {.conf = conf, .source = source, .err = err};
    if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3;
        len -= 3;
    }
    if (yaml_parser_initialize(&ld.parser) == 0) {
        return fail_nomem(&ld);
    }
    ld.cursor = text;
    ld.end = text + len;
    yaml_parser_set_encoding(&ld.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&ld.parser, (const unsigned char *)text, len);
    *out = (conf_value){.kind = K_NULL, .source = source, .line = 1, .column = 1};
    const bt_status rc = load_document(&ld, out);
    if (ld.has_event) {
        yaml_event_delete(&ld.event);
    }
    yaml_parser_delete(&ld.parser);
    bt_free(ld.anchors);
    bt_free(ld.stack);
    return rc;
}
