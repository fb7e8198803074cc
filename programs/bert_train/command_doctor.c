/* SPDX-License-Identifier: Apache-2.0
 *
 * bert-train doctor: what a training here would find and use, and why; what to do where something
 * is wrong. Changes nothing: what it writes to measure a disk has no name and is gone with it. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/json_text.h"
#include "bt/base/stop.h"
#include "bt/base/str.h"
#include "command_doctor.h"

enum { NAME_COLUMN = 11 };

static const char *const formats[] = {"text", "json", NULL};

static const bt_flag_def defs[] = {
    {.name = "model_dir",
     .kind = BT_FLAG_STRING,
     .is_path = true,
     .help = "the folder whose disk is looked at and measured, for a second at most (default: the "
             "current one)"},
    {.name = "store",
     .kind = BT_FLAG_LIST,
     .help = "gs://, s3://, hf:// or https:// address that should be reached; may be given several "
             "times"},
    {.name = "format",
     .kind = BT_FLAG_ENUM,
     .choices = formats,
     .default_text = "text",
     .help = "json: an object with a list of what was found"},
};

static const bt_flag_table flag_table = {
    .program = "bert-train doctor",
    .summary =
        "bert-train doctor: what a training would find on this machine and use of it, and what\n"
        "to do where something is wrong. Each line: ok, note or PROBLEM.",
    .exit_codes = "4 of a PROBLEM; 5 of one with a plug-in for accelerators; ",
    .defs = defs,
    .n_defs = sizeof defs / sizeof defs[0],
};

bt_status doctor_tell(doctor *d, const doctor_check *check, doctor_state state, const char *advice,
                      bt_error *err, const char *fmt, ...) {
    static const char *const words[] = {"ok", "note", "PROBLEM"};
    static const char *const names[] = {"ok", "note", "problem"};
    char                     text[BT_ERROR_MSG_MAX];
    va_list                  args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (state == DOCTOR_PROBLEM && check->status > d->status) {
        d->status = check->status;
    }
    d->n++;
    if (!d->is_json) {
        BT_TRY(bt_str_appendf(d->out, err, "%-8s %-*s %s\n", words[state], NAME_COLUMN, check->name,
                              text));
        return advice == NULL
                   ? BT_OK
                   : bt_str_appendf(d->out, err, "%-8s %-*s %s\n", "", NAME_COLUMN, "->", advice);
    }
    BT_TRY(bt_str_appendf(d->out, err, "%s{\"check\": \"%s\", \"state\": \"%s\", \"found\": ",
                          d->n > 1 ? ",\n" : "", check->name, names[state]));
    BT_TRY(bt_str_append_json(d->out, text, err));
    if (advice != NULL) {
        BT_TRY(bt_str_append(d->out, ", \"do\": ", err));
        BT_TRY(bt_str_append_json(d->out, advice, err));
    }
    return bt_str_append_char(d->out, '}', err);
}

/* What --version says, line by line. */
static bt_status tell_libraries(doctor *d, const doctor_check *check, bt_error *err) {
    bt_str    text = BT_STR_INIT;
    bt_status rc = bert_train_append_build_info(&text, err);
    for (char *line = text.data; rc == BT_OK && line != NULL && *line != '\0';) {
        char *const end = strchr(line, '\n');
        if (end != NULL) {
            *end = '\0';
        }
        rc = doctor_tell(d, check, DOCTOR_OK, NULL, err, "%s", line);
        line = end != NULL ? end + 1 : NULL;
    }
    bt_str_deinit(&text);
    return rc;
}

static bt_status tell_job(doctor *d, const doctor_check *check, bt_error *err) {
    bt_comm_job job = {0};
    bt_error    why = BT_ERROR_INIT;
    if (bt_comm_job_read(&job, &why) != BT_OK) {
        return doctor_tell(
            d, check, DOCTOR_PROBLEM,
            "start the processes by one of TF_CONFIG, mpirun and srun, or unset what "
            "is left of another",
            err, "%s", why.msg);
    }
    const bt_status rc =
        job.size > 1 ? doctor_tell(d, check, DOCTOR_OK, NULL, err,
                                   "process %d of %d, started by %s; they train one model with "
                                   "runtime.distribution_strategy=multi_worker_mirrored",
                                   (int)job.rank, (int)job.size, bt_comm_launch_name(job.launch))
                     : doctor_tell(d, check, DOCTOR_OK, NULL, err,
                                   "one process (neither TF_CONFIG nor mpirun nor srun)");
    bt_comm_job_deinit(&job);
    return rc;
}

/* In this order; the exit code is that of the gravest. */
static const doctor_check checks[] = {
    {"processor", 4, doctor_processor}, {"kernels", 4, doctor_kernels},
    {"memory", 4, doctor_memory},       {"disk", 4, doctor_disk},
    {"devices", 5, doctor_devices},     {"stores", 4, doctor_stores},
    {"caches", 4, doctor_caches},       {"job", 4, tell_job},
    {"clock", 4, doctor_clock},         {"locale", 4, doctor_locale},
    {"libraries", 4, tell_libraries},
};

static bt_status run(const bt_flags *flags, int *status, bt_error *err) {
    const char *const *args = NULL;
    bt_str             out = BT_STR_INIT;
    bt_status          rc = BT_OK;
    doctor             d = {.flags = flags,
                            .is_json = bt_str_equal(bt_flags_string(flags, "format"), "json"),
                            .out = &out};
    if (bt_flags_args(flags, &args) > 0) {
        return BT_FAIL(err, BT_E_CONFIG, "argument '%.200s' is not expected (see --help)", args[0]);
    }
    if (d.is_json) {
        BT_CHECK(bt_str_append(&out, "{\"checks\": [\n", err));
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(checks); i++) {
        BT_CHECK(bt_stop_check(err));
        BT_CHECK(checks[i].run(&d, &checks[i], err));
    }
    if (d.is_json) {
        BT_CHECK(bt_str_appendf(&out, err, "\n], \"exit_code\": %d}\n", d.status));
    }
    *status = d.status;
    rc = bt_cli_print(&out, BT_READER_MAY_LEAVE, err);
done:
    bt_str_deinit(&out);
    return rc;
}

const bt_cli_program command_doctor = {
    .flags = &flag_table, .append_build_info = bert_train_append_build_info, .run = run};
