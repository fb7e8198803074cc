/* SPDX-License-Identifier: Apache-2.0
 *
 * bert-train config: what a configuration says and who said it, what two of them differ in, what a
 * key means. A configuration is that of flags, as of a training, or of what is named: an
 * experiment, a model_dir, a file. */
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/json_text.h"
#include "bt/base/log.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "command_config.h"

enum { EXIT_DIFFERENT = 1, ORIGIN_COLUMN = 72 };

static const char *const formats[] = {"text", "yaml", "json", NULL};

static const bt_flag_def defs[] = {
    {.name = "format",
     .kind = BT_FLAG_ENUM,
     .choices = formats,
     .default_text = "text",
     .help = "print: text says who said each value, yaml is what training would write into "
             "params.yaml; json and yaml have all that text has"},
    {.name = "changed",
     .kind = BT_FLAG_BOOL,
     .default_text = "false",
     .help = "print: leave out what has the default of its key or experiment"},
};

static const bt_flag_table flag_table = {
    .program = "bert-train config",
    .summary =
        "bert-train config: what configurations say. One is named by an experiment, a model_dir,\n"
        "a YAML file (with --experiment), or the flags of a training.\n"
        "\n"
        "bert-train config print [WHAT] FLAGS   its values, and who said each of them\n"
        "bert-train config diff A [B] FLAGS     what differs in two; exit status 1 if anything "
        "does\n"
        "bert-train config help KEY             what is known of a key\n"
        "bert-train config show NAME            the text of a built-in file (--list_configs)",
    .exit_codes = "1 of diff: they differ; ",
    .defs = defs,
    .n_defs = sizeof defs / sizeof defs[0],
    .shared = bert_train_conf_defs,
    .n_shared = BERT_TRAIN_N_CONF_DEFS,
};

static config_format format_of(const bt_flags *flags) {
    const char *const text = bt_flags_string(flags, "format");
    return bt_str_equal(text, "json")   ? CONFIG_JSON
           : bt_str_equal(text, "yaml") ? CONFIG_YAML
                                        : CONFIG_TEXT;
}

bt_status config_append_item(const char *text, size_t n, config_format format, bt_str *out,
                             bt_error *err) {
    if (format == CONFIG_YAML) { /* JSON is YAML, too */
        return bt_str_appendf(out, err, "- %s\n", text);
    }
    return bt_str_appendf(out, err, "%s%s", n == 0 ? "[\n" : ",\n", text);
}

bt_status config_end_list(size_t n, config_format format, bt_str *out, bt_error *err) {
    static const char *const empty[] = {"", "[]\n", "[]\n"};
    static const char *const ends[] = {"", "", "\n]\n"};
    return bt_str_append(out, n == 0 ? empty[format] : ends[format], err);
}

bt_status config_append_member(bt_str *object, const char *name, const char *text, bt_error *err) {
    BT_TRY(bt_str_appendf(object, err, "%s\"%s\": ", object->len > 1 ? ", " : "", name));
    return bt_str_append_json(object, text, err);
}

/* Naming. */

static const char *flag_or_null(const bt_flags *flags, const char *name) {
    const char *const text = bt_flags_string(flags, name);
    return text == NULL || text[0] == '\0' ? NULL : text;
}

static bool is_experiment(const char *name) {
    for (size_t i = 0; i < bt_conf_n_experiments(); i++) {
        if (bt_str_equal(bt_conf_experiment_at(i)->name, name)) {
            return true;
        }
    }
    return false;
}

static bt_status build_file(const char *what, const char *experiment, bt_conf **out,
                            bt_conf_errors *errors, bt_error *err) {
    size_t index = 0;
    if (experiment == NULL && !bt_fs_exists(what) && bt_conf_builtin_find(what, &index)) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s is built in, and fits more than one experiment: name it with "
                       "--experiment",
                       what);
    }
    if (experiment == NULL) {
        BT_TRY(find_experiment(what, &experiment, err));
    }
    const bt_conf_args args = {
        .experiment = experiment, .config_files = &what, .n_config_files = 1};
    return bt_conf_build(&args, out, errors, err);
}

static bt_status build_folder(const char *what, const char *experiment, bt_conf **out,
                              bt_conf_errors *errors, bt_error *err) {
    recalled_run run = {0};
    bt_status    rc = recall_folder(what, experiment, &run, err);
    if (rc == BT_OK && run.params == NULL) {
        rc =
            BT_FAIL(err, BT_E_CONFIG, "%s: there is no params.yaml in it: train there first", what);
    }
    if (rc == BT_OK) {
        const bt_conf_args args = {.experiment = run.experiment,
                                   .config_files = (const char *const[]){run.params},
                                   .n_config_files = 1};
        rc = bt_conf_build(&args, out, errors, err);
    }
    recalled_deinit(&run);
    return rc;
}

static bt_status build_named(const char *what, const bt_flags *flags, bt_conf **out,
                             bt_conf_errors *errors, bt_error *err) {
    const char *const experiment = flag_or_null(flags, "experiment");
    bt_fs_info        info;
    size_t            index = 0;
    if (is_experiment(what)) {
        const bt_conf_args args = {.experiment = what};
        return bt_conf_build(&args, out, errors, err);
    }
    BT_TRY(bt_fs_stat(what, &info, err));
    if (info.kind == BT_FS_MISSING && !bt_conf_builtin_find(what, &index)) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s: there is no such experiment (--list_experiments), built-in file "
                       "(--list_configs), model_dir or YAML file",
                       what);
    }
    return info.kind == BT_FS_FOLDER ? build_folder(what, experiment, out, errors, err)
                                     : build_file(what, experiment, out, errors, err);
}

/* What weights say of themselves belongs to what a run would have, but they need not be here. */
static bt_status adopt_found(const bt_flags *flags, bt_conf *conf, bt_error *err) {
    bt_error      why = BT_ERROR_INIT;
    bt_train_args args = {.conf = conf,
                          .mode = BT_CONF_MODE_TRAIN_AND_EVAL,
                          .model_dir = flag_or_null(flags, "model_dir"),
                          .offline = true,
                          .pretrain_steps = -1};
    if (flag_or_null(flags, "mode") != NULL &&
        !bt_conf_mode_parse(flag_or_null(flags, "mode"), &args.mode)) {
        return BT_FAIL(err, BT_E_INTERNAL, "--mode is not a mode");
    }
    const bt_status rc = bt_train_adopt_facts(&args, true, &why);
    if (rc == BT_E_NOMEM || rc == BT_E_INTERRUPTED) {
        *err = why;
        return rc;
    }
    if (rc != BT_OK) {
        bt_log(BT_LOG_WARNING, "what the weights say of themselves is not there: %s", why.msg);
    }
    return BT_OK;
}

/* what NULL: that of the flags. Problems are shown here. */
static bt_status build_what(const char *what, const bt_flags *flags, bt_conf **out, bt_error *err) {
    const char *const  model_dir = flag_or_null(flags, "model_dir");
    const char *const *files = NULL;
    bt_conf_errors     errors = BT_CONF_ERRORS_INIT;
    bt_status          rc = BT_OK;
    if (what == NULL && flag_or_null(flags, "experiment") == NULL) {
        if (model_dir == NULL || bt_flags_list(flags, "config_file", &files) > 0 ||
            flag_or_null(flags, "params_override") != NULL) {
            return BT_FAIL(err, BT_E_CONFIG,
                           "missing --experiment, or the name of a model_dir or file (see --help)");
        }
        what = model_dir;
    }
    if (what != NULL) {
        rc = build_named(what, flags, out, &errors, err);
    } else {
        rc = build_conf(flags, out, &errors, err);
        rc = rc == BT_OK ? adopt_found(flags, *out, err) : rc;
    }
    if (errors.n > 0 && show_problems(&errors, true)) {
        rc = BT_E_CONFIG;
        err->msg[0] = '\0';
    }
    bt_conf_errors_deinit(&errors);
    return rc;
}

/* print */

typedef struct config_print {
    config_format format;
    bool          only_changed;
    const char   *experiment;
    size_t        n;
    bt_str       *out;
} config_print;

static bt_status print_text(const config_print *print, const bt_conf_entry *entry, bt_error *err) {
    const size_t before = print->out->len;
    BT_TRY(bt_str_appendf(print->out, err, "%s: %s", entry->path, entry->json));
    const size_t n = print->out->len - before;
    BT_TRY(bt_str_appendf(print->out, err, "%*s  # ",
                          n < ORIGIN_COLUMN ? (int)(ORIGIN_COLUMN - n) : 0, ""));
    for (const char *at = entry->origin; *at != '\0'; at++) { /* one line each */
        BT_TRY(bt_str_append_char(print->out, (unsigned char)*at < ' ' ? ' ' : *at, err));
    }
    return bt_str_appendf(print->out, err, "%s%s\n",
                          entry->author == BT_CONF_BY_EXPERIMENT ? " of " : "",
                          entry->author == BT_CONF_BY_EXPERIMENT ? print->experiment : "");
}

static bt_status print_object(config_print *print, const bt_conf_entry *entry, bt_error *err) {
    bt_str    object = BT_STR_INIT;
    bt_status rc = BT_OK;
    BT_CHECK(bt_str_append_char(&object, '{', err));
    BT_CHECK(config_append_member(&object, "key", entry->path, err));
    BT_CHECK(bt_str_appendf(&object, err, ", \"value\": %s", entry->json));
    BT_CHECK(config_append_member(&object, "from", bt_conf_author_name(entry->author), err));
    BT_CHECK(config_append_member(&object, "origin", entry->origin, err));
    BT_CHECK(bt_str_append_char(&object, '}', err));
    BT_CHECK(config_append_item(bt_str_text(&object), print->n, print->format, print->out, err));
done:
    bt_str_deinit(&object);
    return rc;
}

static bt_status print_entry(void *context, const bt_conf_entry *entry, bt_error *err) {
    config_print *const print = context;
    if (print->only_changed &&
        (entry->author == BT_CONF_BY_KEY || entry->author == BT_CONF_BY_EXPERIMENT)) {
        return BT_OK;
    }
    BT_TRY(print->format == CONFIG_TEXT ? print_text(print, entry, err)
                                        : print_object(print, entry, err));
    print->n++;
    return BT_OK;
}

static bt_status run_print(const bt_flags *flags, const char *const *args, size_t n_args,
                           bt_str *out, int *status, bt_error *err) {
    bt_conf     *conf = NULL;
    config_print print = {
        .format = format_of(flags), .only_changed = bt_flags_bool(flags, "changed"), .out = out};
    bt_status rc = build_what(n_args > 0 ? args[0] : NULL, flags, &conf, err);
    (void)status;
    if (rc == BT_OK && print.format == CONFIG_YAML && !print.only_changed) {
        rc = bt_conf_dump_yaml(conf, out, err);
    } else if (rc == BT_OK) {
        print.experiment = bt_conf_experiment_name(conf);
        rc = bt_conf_visit_values(conf, print_entry, &print, err);
        rc = rc == BT_OK ? config_end_list(print.n, print.format, out, err) : rc;
    }
    bt_conf_free(conf);
    return rc;
}

/* The others. */

static bt_status run_diff(const bt_flags *flags, const char *const *args, size_t n_args,
                          bt_str *out, int *status, bt_error *err) {
    bt_conf  *a = NULL;
    bt_conf  *b = NULL;
    bool      differ = false;
    bt_status rc = BT_OK;
    BT_CHECK(build_what(args[0], flags, &a, err));
    BT_CHECK(build_what(n_args > 1 ? args[1] : NULL, flags, &b, err));
    BT_CHECK(config_diff(a, b, format_of(flags), out, &differ, err));
    *status = differ ? EXIT_DIFFERENT : 0;
done:
    bt_conf_free(a);
    bt_conf_free(b);
    return rc;
}

static bt_status run_help(const bt_flags *flags, const char *const *args, size_t n_args,
                          bt_str *out, int *status, bt_error *err) {
    (void)n_args;
    (void)status;
    return config_help(args[0], flag_or_null(flags, "experiment"), format_of(flags), out, err);
}

static bt_status run_show(const bt_flags *flags, const char *const *args, size_t n_args,
                          bt_str *out, int *status, bt_error *err) {
    size_t index = 0;
    (void)flags;
    (void)n_args;
    (void)status;
    return bt_conf_builtin_find(args[0], &index)
               ? bt_str_append(out, bt_conf_builtin_at(index).text, err)
               : BT_FAIL(err, BT_E_CONFIG,
                         "%s: nothing is built in under that name (bert-train --list_configs)",
                         args[0]);
}

typedef struct config_verb {
    const char *name;
    size_t      least, most; /* arguments after it */
    const char *usage;
    bt_status (*run)(const bt_flags *flags, const char *const *args, size_t n_args, bt_str *out,
                     int *status, bt_error *err);
} config_verb;

static const config_verb verbs[] = {
    {"print", 0, 1, "print [WHAT] FLAGS", run_print},
    {"diff", 1, 2, "diff A [B] FLAGS", run_diff},
    {"help", 1, 1, "help KEY", run_help},
    {"show", 1, 1, "show NAME", run_show},
};

static bt_status run(const bt_flags *flags, int *status, bt_error *err) {
    const char *const *args = NULL;
    const size_t       n_args = bt_flags_args(flags, &args);
    const config_verb *verb = NULL;
    bt_str             out = BT_STR_INIT;
    for (size_t i = 0; n_args > 0 && i < BT_ARRAY_LEN(verbs); i++) {
        verb = bt_str_equal(verbs[i].name, args[0]) ? &verbs[i] : verb;
    }
    if (verb == NULL) {
        return BT_FAIL(err, BT_E_CONFIG, "%s%s%sprint, diff, help or show is expected (see --help)",
                       n_args > 0 ? "'" : "", n_args > 0 ? args[0] : "", n_args > 0 ? "': " : "");
    }
    if (n_args - 1 < verb->least || n_args - 1 > verb->most) {
        return BT_FAIL(err, BT_E_CONFIG, "%s got %zu arguments: bert-train config %s", verb->name,
                       n_args - 1, verb->usage);
    }
    bt_status rc = verb->run(flags, args + 1, n_args - 1, &out, status, err);
    if (rc == BT_OK) { /* all of it, or nothing */
        rc = bt_cli_print(&out, BT_READER_MAY_LEAVE, err);
    }
    bt_str_deinit(&out);
    return rc;
}

/* A verb, then what it is about. */
static bt_status offer_arguments(bt_cli_words *words, const char *const *before, size_t n,
                                 bt_error *err) {
    for (size_t i = 0; n == 0 && i < BT_ARRAY_LEN(verbs); i++) {
        BT_TRY(bt_cli_offer(words, verbs[i].name, verbs[i].usage, err));
    }
    if (n == 0) {
        return BT_OK;
    }
    if (bt_str_equal(before[0], "help")) {
        return values_of_key(words, err);
    }
    if (!bt_str_equal(before[0], "show")) {
        BT_TRY(values_of_experiment(words, err));
    }
    return values_of_config(words, err);
}

const bt_cli_program command_config = {.flags = &flag_table,
                                       .arguments = offer_arguments,
                                       .append_build_info = bert_train_append_build_info,
                                       .run = run};
