/* SPDX-License-Identifier: Apache-2.0
 *
 * The `checkpoint` state file (CheckpointState as text protobuf, docs/model_garden/config.md
 * section 6.5): fields "name: value" in any order, strings in double or single quotes with C
 * escapes. */
#include <ctype.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/number.h"
#include "bt/base/str.h"
#include "bt/wire/state_file.h"

typedef struct state_parser {
    const char *text;
    const char *pos;
    const char *end;
    const char *name;
    bt_str      value; /* text of the last value, unquoted */
} state_parser;

void bt_ckpt_state_deinit(bt_ckpt_state *state) {
    for (size_t i = 0; i < state->n_paths; i++) {
        bt_free(state->paths[i]);
    }
    bt_free(state->paths);
    bt_free(state->times);
    bt_free(state->latest);
    *state = (bt_ckpt_state){0};
}

static bt_status fail_syntax(const state_parser *p, const char *want, bt_error *err) {
    int line = 1;
    for (const char *c = p->text; c < p->pos; c++) {
        line += *c == '\n';
    }
    return BT_FAIL(err, BT_E_FORMAT, "%s:%d: %s expected in this checkpoint state file", p->name,
                   line, want);
}

static void skip_space(state_parser *p) {
    while (p->pos < p->end) {
        if (*p->pos == '#') {
            while (p->pos < p->end && *p->pos != '\n') {
                p->pos++;
            }
        } else if (isspace((unsigned char)*p->pos) || *p->pos == ';' || *p->pos == ',') {
            p->pos++;
        } else {
            return;
        }
    }
}

static bool is_octal(const state_parser *p) {
    return p->pos < p->end && *p->pos >= '0' && *p->pos <= '7';
}

/* One escape; pos is behind the backslash. */
static bt_status parse_escape(state_parser *p, bt_error *err) {
    static const char codes[] = "n\nt\tr\r\"\"''\\\\";
    if (is_octal(p)) {
        unsigned value = 0;
        for (int i = 0; i < 3 && is_octal(p); i++) {
            value = value * 8 + (unsigned)(*p->pos++ - '0');
        }
        return bt_str_append_char(&p->value, (char)(value & 0xff), err);
    }
    for (size_t i = 0; p->pos < p->end && i + 1 < sizeof codes; i += 2) {
        if (codes[i] == *p->pos) {
            p->pos++;
            return bt_str_append_char(&p->value, codes[i + 1], err);
        }
    }
    return fail_syntax(p, "a known escape", err);
}

static bt_status parse_quoted(state_parser *p, bt_error *err) {
    const char quote = *p->pos++;
    while (p->pos < p->end && *p->pos != quote && *p->pos != '\n' && *p->pos != '\0') {
        const char c = *p->pos++;
        if (c == '\\') {
            BT_TRY(parse_escape(p, err));
        } else {
            BT_TRY(bt_str_append_char(&p->value, c, err));
        }
    }
    if (p->pos == p->end || *p->pos != quote) {
        return fail_syntax(p, "a closing quote", err);
    }
    p->pos++;
    return memchr(bt_str_text(&p->value), 0, p->value.len) == NULL
               ? BT_OK
               : fail_syntax(p, "a path without NUL bytes", err);
}

static bt_status parse_value(state_parser *p, bool *quoted, bt_error *err) {
    bt_str_clear(&p->value);
    skip_space(p);
    *quoted = p->pos < p->end && (*p->pos == '"' || *p->pos == '\'');
    if (*quoted) {
        while (p->pos < p->end && (*p->pos == '"' || *p->pos == '\'')) { /* pieces join */
            BT_TRY(parse_quoted(p, err));
            skip_space(p);
        }
        return BT_OK;
    }
    while (p->pos < p->end && (isalnum((unsigned char)*p->pos) || strchr("+-._", *p->pos)) &&
           *p->pos != '\0') {
        BT_TRY(bt_str_append_char(&p->value, *p->pos++, err));
    }
    return p->value.len > 0 ? BT_OK : fail_syntax(p, "a value", err);
}

static bt_status add_time(bt_ckpt_state *state, double time, bt_error *err) {
    BT_TRY(bt_grow(&state->times, &state->cap_times, state->n_times + 1, sizeof state->times[0],
                   SIZE_MAX / 16, err));
    state->times[state->n_times++] = time;
    return BT_OK;
}

static bt_status add_path(bt_ckpt_state *state, const char *path, bt_error *err) {
    BT_TRY(bt_grow(&state->paths, &state->cap_paths, state->n_paths + 1, sizeof state->paths[0],
                   SIZE_MAX / 16, err));
    char *const copy = bt_strdup(path);
    if (copy == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the list of checkpoints");
    }
    state->paths[state->n_paths++] = copy;
    return BT_OK;
}

static bt_status set_field(state_parser *p, const char *key, bool quoted, bt_ckpt_state *state,
                           bt_error *err) {
    const char *const text = bt_str_text(&p->value);
    const bool        is_latest = strcmp(key, "model_checkpoint_path") == 0;
    const bool        is_time = strcmp(key, "all_model_checkpoint_timestamps") == 0;
    const bool        is_preserved = strcmp(key, "last_preserved_timestamp") == 0;
    double            number = 0;
    if (is_latest || strcmp(key, "all_model_checkpoint_paths") == 0) {
        if (!quoted) {
            return fail_syntax(p, "a quoted path", err);
        }
        if (!is_latest) {
            return add_path(state, text, err);
        }
        bt_free(state->latest);
        state->latest = bt_strdup(text);
        return state->latest != NULL
                   ? BT_OK
                   : BT_FAIL(err, BT_E_NOMEM, "out of memory for the name of a checkpoint");
    }
    if (!is_time && !is_preserved) {
        return BT_OK; /* a field of a newer TensorFlow */
    }
    if (quoted || !bt_parse_f64(text, &number)) {
        return fail_syntax(p, "a number of seconds", err);
    }
    if (is_time) {
        return add_time(state, number, err);
    }
    state->last_preserved = number;
    state->has_last_preserved = true;
    return BT_OK;
}

static bt_status parse_field(state_parser *p, bt_ckpt_state *state, bt_error *err) {
    char   key[64];
    size_t n = 0;
    bool   quoted = false;
    while (p->pos < p->end && (isalnum((unsigned char)*p->pos) || *p->pos == '_') &&
           n + 1 < sizeof key) {
        key[n++] = *p->pos++;
    }
    key[n] = '\0';
    skip_space(p);
    if (n == 0 || p->pos == p->end || *p->pos != ':') {
        return fail_syntax(p, "'name: value'", err);
    }
    p->pos++;
    BT_TRY(parse_value(p, &quoted, err));
    return set_field(p, key, quoted, state, err);
}

bt_status bt_ckpt_state_parse(const char *text, size_t n_bytes, const char *name,
                              bt_ckpt_state *out, bt_error *err) {
    state_parser p = {
        .text = text, .pos = text, .end = text + n_bytes, .name = name, .value = BT_STR_INIT};
    bt_ckpt_state state = {0};
    bt_status     rc = BT_OK;
    skip_space(&p);
    while (p.pos < p.end && rc == BT_OK) {
        rc = parse_field(&p, &state, err);
        skip_space(&p);
    }
    bt_str_deinit(&p.value);
    if (rc != BT_OK) {
        bt_ckpt_state_deinit(&state);
        return rc;
    }
    *out = state;
    return BT_OK;
}

bt_status bt_ckpt_state_append(bt_ckpt_state *state, const char *path, double time, bt_error *err) {
    BT_TRY(add_time(state, time, err));
    const bt_status rc = add_path(state, path, err);
    if (rc != BT_OK) {
        state->n_times--;
    }
    return rc;
}

static bt_status put_quoted(bt_str *out, const char *key, const char *text, bt_error *err) {
    BT_TRY(bt_str_appendf(out, err, "%s: \"", key));
    for (const char *p = text; *p != '\0'; p++) {
        const unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\' || c == '\'') {
            BT_TRY(bt_str_appendf(out, err, "\\%c", c));
        } else if (c == '\n') {
            BT_TRY(bt_str_append(out, "\\n", err));
        } else if (c < 0x20 || c >= 0x7f) {
            BT_TRY(bt_str_appendf(out, err, "\\%03o", (unsigned)c));
        } else {
            BT_TRY(bt_str_append_char(out, *p, err));
        }
    }
    return bt_str_append(out, "\"\n", err);
}

bt_status bt_ckpt_state_format(const bt_ckpt_state *state, bt_str *out, bt_error *err) {
    char number[BT_F64_TEXT_MAX];
    if (state->latest != NULL) {
        BT_TRY(put_quoted(out, "model_checkpoint_path", state->latest, err));
    }
    for (size_t i = 0; i < state->n_paths; i++) {
        BT_TRY(put_quoted(out, "all_model_checkpoint_paths", state->paths[i], err));
    }
    for (size_t i = 0; i < state->n_times; i++) {
        BT_TRY(bt_str_appendf(out, err, "all_model_checkpoint_timestamps: %s\n",
                              bt_f64_repr(state->times[i], number)));
    }
    if (state->has_last_preserved) {
        BT_TRY(bt_str_appendf(out, err, "last_preserved_timestamp: %s\n",
                              bt_f64_repr(state->last_preserved, number)));
    }
    return BT_OK;
}
