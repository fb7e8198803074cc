/* SPDX-License-Identifier: Apache-2.0
 *
 * What TensorBoard shows of a run beside its curves, in an event file of model_dir itself: what
 * runs are compared by (the HParams tab, whose metrics are the curves of the folders below) and, as
 * text, the whole configuration and the command. Written once, when a run begins, and its end when
 * it comes to it; a run that goes on finds both there. */
#include "run_session.h"

#include <stdint.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/signed_url.h"
#include "bt/wire/events.h"

#define SCHEDULE "trainer.optimizer_config.learning_rate"

static const struct {
    const char *name;
    const char *path;
} rows[] = {
    {"seed", "task.train_data.seed"},
    {"batch_size", "task.train_data.global_batch_size"},
    {"learning_rate", SCHEDULE ".*.initial_learning_rate"},
    {"learning_rate", SCHEDULE ".constant.learning_rate"},
    {"epochs", "task.train_data.epochs"},
    {"train_steps", "trainer.train_steps"},
    {"warmup_steps", "trainer.optimizer_config.warmup.*.warmup_steps"},
    {"warmup_fraction", "trainer.warmup_fraction"},
    {"weight_decay", "trainer.optimizer_config.optimizer.*.weight_decay_rate"},
    {"average_decay", "trainer.optimizer_config.ema.average_decay"},
    {"gradient_accumulation_steps", "trainer.gradient_accumulation_steps"},
    {"seq_length", "task.train_data.seq_length"},
    {"hidden_size", "task.model.encoder.*.hidden_size"},
    {"num_layers", "task.model.encoder.*.num_layers"},
    {"dropout", "task.model.encoder.*.dropout_rate"},
    {"head_dropout", "task.model.head_dropout"},
    {"label_smoothing", "task.label_smoothing"},
    {"num_classes", "task.model.num_classes"},
    {"freeze", "task.model.freeze"},
    {"init_checkpoint", "task.init_checkpoint"},
    {"train_data", "task.train_data.input_path"},
    {"mixed_precision", "runtime.mixed_precision_dtype"},
};
static const struct {
    const char *name;
    const char *section; /* of which the selected branch is the value */
} branches[] = {{"encoder", "task.model.encoder"},
                {"optimizer", "trainer.optimizer_config.optimizer"},
                {"schedule", SCHEDULE}};

/* Words of a list are its first: a name is enough to tell runs apart. */
static bool find_value(const bt_conf *conf, const char *path, bt_events_hparam *out) {
    if (bt_conf_peek_f64(conf, path, &out->number)) {
        out->text = NULL;
        return true;
    }
    const bt_conf_str_list list = bt_conf_peek_str_list(conf, path);
    out->text = list.n > 0 ? list.items[0] : bt_conf_peek_str(conf, path);
    return out->text[0] != '\0';
}

static size_t find_params(const train_run *run, bt_events_hparam *out) {
    size_t n = 0;
    out[n++] = (bt_events_hparam){.name = "experiment", .text = bt_conf_experiment_name(run->conf)};
    for (size_t i = 0; i < BT_ARRAY_LEN(branches); i++) {
        const char *const type = bt_conf_peek_type(run->conf, branches[i].section);
        if (type != NULL) {
            out[n++] = (bt_events_hparam){.name = branches[i].name, .text = type};
        }
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        out[n].name = rows[i].name;
        n += find_value(run->conf, rows[i].path, &out[n]) ? 1 : 0;
    }
    BT_ASSERT(n <= BT_EVENTS_MAX_HPARAMS);
    return n;
}

/* As a block of code of Markdown: lines that begin with four spaces. */
static bt_status append_code(bt_str *out, const char *text, bt_error *err) {
    while (*text != '\0') {
        const size_t n = strcspn(text, "\n");
        BT_TRY(bt_str_appendf(out, err, "    %.*s\n", (int)n, text));
        text += n + (text[n] == '\n');
    }
    return BT_OK;
}

static bt_status write_text(bt_events_writer *writer, const char *tag, const char *text,
                            bt_error *err) {
    bt_str    code = BT_STR_INIT;
    bt_status rc = append_code(&code, text, err);
    if (rc == BT_OK) {
        rc = bt_events_text(writer, 0, tag, bt_str_text(&code), err);
    }
    bt_str_deinit(&code);
    return rc;
}

enum { N_PARAMS = BT_ARRAY_LEN(rows) + BT_ARRAY_LEN(branches) + 1 };

/* Copies of the texts, a place may be an address with a signature; owned, NULL where none is. */
static bt_status hide_signatures(bt_events_hparam *params, size_t n, char *texts[N_PARAMS],
                                 bt_error *err) {
    for (size_t i = 0; i < n; i++) {
        if (params[i].text == NULL) {
            continue;
        }
        texts[i] = bt_strdup(params[i].text);
        if (texts[i] == NULL) {
            return BT_FAIL(err, BT_E_NOMEM, "out of memory for the run's parameters");
        }
        bt_hide_signatures(texts[i]);
        params[i].text = texts[i];
    }
    return BT_OK;
}

static bt_status write_start(const train_run *run, bt_events_writer *writer, bt_error *err) {
    bt_events_hparam params[N_PARAMS];
    char            *texts[N_PARAMS] = {NULL};
    bt_str           yaml = BT_STR_INIT;
    bt_status        rc = BT_OK;
    const size_t     n = find_params(run, params);
    BT_CHECK(hide_signatures(params, n, texts, err));
    BT_CHECK(bt_conf_dump_yaml(run->conf, &yaml, err));
    BT_CHECK(write_text(writer, "configuration", bt_str_text(&yaml), err));
    if (run->args->command_line != NULL) {
        BT_CHECK(write_text(writer, "command", run->args->command_line, err));
    }
    BT_CHECK(bt_events_session_start(writer, params, n, err)); /* the last: then all is there */
done:
    for (size_t i = 0; i < N_PARAMS; i++) {
        bt_free(texts[i]);
    }
    bt_str_deinit(&yaml);
    return rc;
}

static bool is_wanted(const train_run *run) {
    return run->config.summary_extras && run->round < 0 && run->dir.path != NULL &&
           bt_conf_mode_trains(run->args->mode);
}

/* ends: the run is at its end; else it begins. */
static bt_status write_once(const train_run *run, bool ends, bt_error *err) {
    bt_events_found   found = {0};
    bt_events_writer *writer = NULL;
    BT_TRY(bt_events_cut(run->dir.path, INT64_MAX, &found, err)); /* what a kill tore goes */
    if (ends ? found.has_session_end || !found.has_session_start : found.has_session_start) {
        return BT_OK;
    }
    BT_TRY(bt_events_create(run->dir.path, &writer, err));
    bt_status rc = ends ? bt_events_session_end(writer, err) : write_start(run, writer, err);
    if (rc == BT_OK) {
        rc = bt_events_sync(writer, err);
    }
    const bt_status closed = bt_events_close(writer, rc == BT_OK ? err : NULL);
    return rc == BT_OK ? closed : rc;
}

bt_status run_session_begin(const train_run *run, bt_error *err) {
    return is_wanted(run) ? write_once(run, false, err) : BT_OK;
}

bt_status run_session_end(const train_run *run, bt_error *err) {
    return is_wanted(run) ? write_once(run, true, err) : BT_OK;
}
