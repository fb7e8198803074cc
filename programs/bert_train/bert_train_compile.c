/* SPDX-License-Identifier: Apache-2.0
 *
 * --compile_only: its flags, and its result as a table for people or as JSON for programs. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bert_train.h"
#include "bt/base/json_text.h"
#include "bt/pjrt.h"

static const double gib = 0x1p30, mib = 0x1p20;

bt_status check_compile_flags(const bt_flags *flags, bt_error *err) {
    static const char *const others[] = {"dry_run", "benchmark", "seeds"};
    const char *const        target = bt_flags_string(flags, "compile_only");
    bt_pjrt_target           parsed;
    bt_error                 why = BT_ERROR_INIT;
    if (target == NULL) {
        if (bt_flags_is_set(flags, "largest_batch")) {
            return BT_FAIL(err, BT_E_CONFIG, "--largest_batch is for --compile_only=TARGET");
        }
        return BT_OK;
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(others); i++) {
        const char *const value = bt_flags_string(flags, others[i]);
        if (value != NULL && !bt_str_equal(value, "false")) {
            return BT_FAIL(err, BT_E_CONFIG,
                           "--compile_only compiles one run and trains nothing: leave --%s out",
                           others[i]);
        }
    }
    const bt_status rc = bt_pjrt_target_parse(target, &parsed, &why);
    if (rc != BT_OK) {
        return BT_FAIL(err, rc, "--compile_only: %s", why.msg);
    }
    bt_pjrt_target_deinit(&parsed);
    return BT_OK;
}

enum { CELL = 48, N_PARTS = 2 };

static const char *put_size(char out[CELL], int64_t n_bytes) {
    const bool   is_large = (double)n_bytes >= gib;
    const double size = (double)n_bytes / (is_large ? gib : mib);
    (void)snprintf(out, CELL, "%.2f %s", size, is_large ? "GiB" : "MiB");
    return out;
}

/* A row of the table: what a program has in it. */
typedef struct table_row {
    const char *name;
    void (*cell)(const bt_train_compiled *r, const bt_train_program *p, char out[CELL]);
    size_t bytes_at; /* without cell: a number of bytes there */
} table_row;

static void cell_batch(const bt_train_compiled *r, const bt_train_program *p, char out[CELL]) {
    (void)r;
    if (p->n_parts > 1) {
        (void)snprintf(out, CELL, "%" PRId32 " x %" PRId64 " on %" PRId32, p->n_parts, p->batch,
                       p->n_devices);
    } else {
        (void)snprintf(out, CELL, "%" PRId64 " on %" PRId32, p->batch, p->n_devices);
    }
}

static void cell_shapes(const bt_train_compiled *r, const bt_train_program *p, char out[CELL]) {
    (void)r;
    (void)snprintf(out, CELL, "%" PRId64 " (%" PRId64 " batches)", p->n_shapes, p->n_batches);
}

static void cell_shape(const bt_train_compiled *r, const bt_train_program *p, char out[CELL]) {
    (void)r;
    (void)snprintf(out, CELL, "%" PRId64 " x %" PRId64 ", %" PRId64, p->n_rows, p->n_slots,
                   p->n_seqs);
}

static void cell_flop(const bt_train_compiled *r, const bt_train_program *p, char out[CELL]) {
    (void)r;
    (void)snprintf(out, CELL, "%.3f GFLOP", p->product_gflop);
}

static void cell_results(const bt_train_compiled *r, const bt_train_program *p, char out[CELL]) {
    (void)r;
    (void)put_size(out, p->result_bytes - p->donated_bytes);
}

static void cell_share(const bt_train_compiled *r, const bt_train_program *p, char out[CELL]) {
    const double share = 100 * (double)p->total_bytes / (double)r->usable_bytes;
    if (r->usable_bytes > 0) {
        (void)snprintf(out, CELL, "%.1f %%", share);
    } else {
        (void)snprintf(out, CELL, "not known");
    }
}

static void cell_seconds(const bt_train_compiled *r, const bt_train_program *p, char out[CELL]) {
    (void)r;
    (void)snprintf(out, CELL, "%.1f s", p->seconds);
}

#define BYTES(member) NULL, offsetof(bt_train_program, member)
static const table_row table[] = {
    {"examples, devices", cell_batch, 0},       {"programs", cell_shapes, 0},
    {"rows x slots, sequences", cell_shape, 0}, {"matmul of a step", cell_flop, 0},
    {"arguments", BYTES(argument_bytes)},       {"results beside", cell_results, 0},
    {"temporary", BYTES(temporary_bytes)},      {"code", BYTES(code_bytes)},
    {"rest of the state", BYTES(beside_bytes)}, {"together", BYTES(total_bytes)},
    {"of what is there", cell_share, 0},        {"serialized", BYTES(serialized_bytes)},
    {"compiled in", cell_seconds, 0},
};
enum { N_SHAPE_ROWS = 4 }; /* the first of them: known of a program that is too large, too */

static void fill_cell(const bt_train_compiled *r, const bt_train_program *p, size_t row,
                      char out[CELL]) {
    int64_t n_bytes = 0;
    if (row >= N_SHAPE_ROWS && p->is_too_large) {
        (void)snprintf(out, CELL, "too large");
    } else if (table[row].cell != NULL) {
        table[row].cell(r, p, out);
    } else {
        memcpy(&n_bytes, (const char *)p + table[row].bytes_at, sizeof n_bytes);
        (void)put_size(out, n_bytes);
    }
}

static bt_status append_head(const bt_train_compiled *r, const char *target, bt_str *out,
                             bt_error *err) {
    char all[CELL];
    char usable[CELL];
    BT_TRY(bt_str_appendf(out, err, "target           %s: %" PRId32 " x %s\n", target, r->n_devices,
                          r->chip));
    if (r->memory_bytes > 0) {
        BT_TRY(bt_str_appendf(out, err, "memory a chip    %s, of it for programs %s\n",
                              put_size(all, r->memory_bytes), put_size(usable, r->usable_bytes)));
    } else {
        BT_TRY(bt_str_append(out, "memory a chip    the plug-in does not report it\n", err));
    }
    return bt_str_appendf(out, err, "plug-in          %s, interface 0.%d, %s\n\n", r->plugin,
                          r->api_minor, r->version);
}

/* What a run is judged by: no batch takes more. */
static bt_status append_full(const bt_train_compiled *r, bt_str *out, bt_error *err) {
    const bt_train_part *const parts[N_PARTS] = {&r->training, &r->evaluation};
    BT_TRY(bt_str_appendf(out, err, "%-24s", "all of full length"));
    for (int i = 0; i < N_PARTS; i++) {
        char cell[CELL];
        (void)snprintf(cell, sizeof cell, "%" PRId64 " x %" PRId64, parts[i]->full_rows,
                       parts[i]->full_slots);
        BT_TRY(parts[i]->is_there ? bt_str_appendf(out, err, " %20s", cell) : BT_OK);
    }
    BT_TRY(bt_str_appendf(out, err, "\n%-24s", "would take"));
    for (int i = 0; i < N_PARTS; i++) {
        const bt_train_part *const part = parts[i];
        char                       size[CELL];
        char                       cell[CELL + 8];
        if (part->has_full ? part->full.is_too_large : part->program.is_too_large) {
            (void)snprintf(cell, sizeof cell, "too large");
        } else {
            (void)snprintf(
                cell, sizeof cell, "%s%s", part->has_full ? "" : "about ",
                put_size(size, part->has_full ? part->full.total_bytes : part->full_bytes));
        }
        BT_TRY(part->is_there ? bt_str_appendf(out, err, " %20s", cell) : BT_OK);
    }
    return bt_str_append(out, "\n", err);
}

static bt_status append_rows(const bt_train_compiled *r, bt_str *out, bt_error *err) {
    const bt_train_part *const parts[N_PARTS] = {&r->training, &r->evaluation};
    static const char *const   names[N_PARTS] = {"training", "evaluation"};
    BT_TRY(bt_str_appendf(out, err, "%-24s", "of one device"));
    for (int i = 0; i < N_PARTS; i++) {
        BT_TRY(parts[i]->is_there ? bt_str_appendf(out, err, " %20s", names[i]) : BT_OK);
    }
    BT_TRY(bt_str_append(out, "\n", err));
    for (size_t row = 0; row < BT_ARRAY_LEN(table); row++) {
        BT_TRY(bt_str_appendf(out, err, "%-24s", table[row].name));
        for (int i = 0; i < N_PARTS; i++) {
            char cell[CELL];
            if (parts[i]->is_there) {
                fill_cell(r, &parts[i]->program, row, cell);
                BT_TRY(bt_str_appendf(out, err, " %20s", cell));
            }
        }
        BT_TRY(bt_str_append(out, "\n", err));
    }
    return append_full(r, out, err);
}

static bt_status append_largest(const char *what, const bt_train_part *part, bt_str *out,
                                bt_error *err) {
    const bt_train_largest *const l = &part->largest;
    char                          size[CELL];
    if (!part->is_there || l->n_compiled == 0) {
        return BT_OK;
    }
    if (!l->is_known) {
        return bt_str_appendf(out, err, "\nlargest batch    none fits (%s, %" PRId32 " compiled)\n",
                              what, l->n_compiled);
    }
    return bt_str_appendf(
        out, err,
        "\nlargest batch    %" PRId64 " examples of full length (%s)%s: %" PRId64 " x %" PRId64
        " slots a device take %s; %" PRId32 " program%s compiled for this, "
        "that one among them\n",
        l->batch, what, l->is_bounded ? "" : ", and none larger was tried", l->program.n_rows,
        l->program.n_slots, put_size(size, l->program.total_bytes), l->n_compiled,
        l->n_compiled == 1 ? "" : "s");
}

static bt_status append_table(const bt_train_compiled *r, const char *target, bt_str *out,
                              bt_error *err) {
    BT_TRY(append_head(r, target, out, err));
    BT_TRY(append_rows(r, out, err));
    BT_TRY(append_largest("training", &r->training, out, err));
    return append_largest("evaluation", &r->evaluation, out, err);
}

static bt_status append_json_program(const bt_train_program *p, bt_str *out, bt_error *err) {
    return bt_str_appendf(
        out, err,
        "\"batch\": %" PRId64 ", \"devices\": %" PRId32 ", \"parts\": %" PRId32
        ", \"rows\": %" PRId64 ", \"slots\": %" PRId64 ", \"places\": %" PRId64
        ", \"batches\": %" PRId64 ", \"programs\": %" PRId64
        ", \"products_gflop\": %.9f, \"is_too_large\": %s, \"argument_bytes\": %" PRId64
        ", \"result_bytes\": %" PRId64 ", \"donated_bytes\": %" PRId64
        ", \"temporary_bytes\": %" PRId64 ", \"code_bytes\": %" PRId64
        ", \"beside_bytes\": %" PRId64 ", \"total_bytes\": %" PRId64
        ", \"serialized_bytes\": %" PRId64 ", \"seconds\": %.3f",
        p->batch, p->n_devices, p->n_parts, p->n_rows, p->n_slots, p->n_seqs, p->n_batches,
        p->n_shapes, p->product_gflop, p->is_too_large ? "true" : "false", p->argument_bytes,
        p->result_bytes, p->donated_bytes, p->temporary_bytes, p->code_bytes, p->beside_bytes,
        p->total_bytes, p->serialized_bytes, p->seconds);
}

static bt_status append_json_part(const char *name, const bt_train_part *part, bt_str *out,
                                  bt_error *err) {
    if (!part->is_there) {
        return BT_OK;
    }
    BT_TRY(bt_str_appendf(out, err, ", \"%s\": {", name));
    BT_TRY(append_json_program(&part->program, out, err));
    BT_TRY(bt_str_appendf(out, err,
                          ", \"full_rows\": %" PRId64 ", \"full_slots\": %" PRId64
                          ", \"full_bytes_estimated\": %" PRId64,
                          part->full_rows, part->full_slots, part->full_bytes));
    if (part->has_full) {
        BT_TRY(bt_str_append(out, ", \"full\": {", err));
        BT_TRY(append_json_program(&part->full, out, err));
        BT_TRY(bt_str_append(out, "}", err));
    }
    if (part->largest.n_compiled > 0) {
        BT_TRY(bt_str_appendf(out, err,
                              ", \"largest\": {\"is_known\": %s, \"is_bounded\": %s, "
                              "\"compiled\": %" PRId32 ", ",
                              part->largest.is_known ? "true" : "false",
                              part->largest.is_bounded ? "true" : "false",
                              part->largest.n_compiled));
        bt_train_program largest = part->largest.program;
        largest.batch = part->largest.batch;
        BT_TRY(append_json_program(&largest, out, err));
        BT_TRY(bt_str_append(out, "}", err));
    }
    return bt_str_append(out, "}", err);
}

static bt_status append_json(const bt_train_compiled *r, const char *target, bt_str *out,
                             bt_error *err) {
    BT_TRY(bt_str_append(out, "{\"target\": ", err));
    BT_TRY(bt_str_append_json(out, target, err));
    BT_TRY(bt_str_append(out, ", \"chip\": ", err));
    BT_TRY(bt_str_append_json(out, r->chip, err));
    BT_TRY(bt_str_append(out, ", \"plugin\": ", err));
    BT_TRY(bt_str_append_json(out, r->plugin, err));
    BT_TRY(bt_str_append(out, ", \"version\": ", err));
    BT_TRY(bt_str_append_json(out, r->version, err));
    BT_TRY(bt_str_appendf(out, err,
                          ", \"api_minor\": %d, \"devices\": %" PRId32
                          ", \"memory_bytes\": %" PRId64 ", \"usable_bytes\": %" PRId64,
                          r->api_minor, r->n_devices, r->memory_bytes, r->usable_bytes));
    BT_TRY(append_json_part("training", &r->training, out, err));
    BT_TRY(append_json_part("evaluation", &r->evaluation, out, err));
    return bt_str_append(out, "}\n", err);
}

bt_status run_compile_only(const bt_train_args *args, const bt_flags *flags, bt_error *err) {
    bt_status         rc = BT_OK;
    bt_str            text = BT_STR_INIT;
    bt_train_compiled result;
    bool              is_whole = false;
    bt_error          unfit = BT_ERROR_INIT;
    const char *const target = bt_flags_string(flags, "compile_only");
    const bool        as_json = bt_str_equal(bt_flags_string(flags, "log_format"), "json");
    const bool        finds_largest =
        !bt_flags_is_set(flags, "largest_batch") || bt_flags_bool(flags, "largest_batch");
    const bt_status found =
        bt_train_compile_only(args, target, finds_largest, &result, &is_whole, &unfit);
    if (!is_whole) {
        *err = unfit;
        return found;
    }
    BT_CHECK(as_json ? append_json(&result, target, &text, err)
                     : append_table(&result, target, &text, err));
    BT_CHECK(bt_cli_print(&text, BT_READER_NEEDS_ALL, err));
    rc = found;
    if (rc != BT_OK) {
        *err = unfit;
    }
done:
    bt_str_deinit(&text);
    return rc;
}
