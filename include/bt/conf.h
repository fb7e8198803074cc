/* SPDX-License-Identifier: Apache-2.0
 *
 * conf: from experiment name, YAML files and override strings to one checked tree of values.
 *
 * Does what Model Garden's train.py does before it trains (defaults -> files -> --tpu ->
 * --tf_data_service -> --params_override -> restrictions) and prints the same params.yaml, byte for
 * byte. Unlike it, every value is checked against the schema tables, and everything wrong is
 * reported at once. Reads only the files it is told to; keeps nothing of the caller's memory.
 */
#ifndef BT_CONF_H
#define BT_CONF_H

#include "bt/base/str.h"

typedef struct bt_conf bt_conf;

/* What was found. */

typedef enum bt_conf_severity {
    BT_CONF_ERROR,   /* the user wrote something wrong: refuse, in a dry run too */
    BT_CONF_FINDING, /* something is still missing: --dry_run=config reports it, a run refuses */
} bt_conf_severity;

/* text is a complete sentence with origin, key, expected, got and the nearest valid name. */
typedef struct bt_conf_problem {
    bt_conf_severity severity;
    char            *path; /* dotted key, or "" */
    char            *text;
} bt_conf_problem;

/* Owned list of problems in the order in which they were found. */
typedef struct bt_conf_errors {
    bt_conf_problem *items;
    size_t           n;
    size_t           cap;
    size_t           n_errors; /* of severity BT_CONF_ERROR */
} bt_conf_errors;
#define BT_CONF_ERRORS_INIT                                                                        \
    { .items = NULL, .n = 0, .cap = 0, .n_errors = 0 }
void bt_conf_errors_deinit(bt_conf_errors *errors);
/* Appends a problem (rooms above use it for their own checks, so that all come out at once). */
BT_MUST_USE bt_status bt_conf_errors_add(bt_conf_errors *errors, bt_conf_severity severity,
                                         const char *path, bt_error *err, const char *fmt, ...)
    BT_PRINTF(5, 6);

/* A value that a room above cannot serve, and why (with what to set instead). errors NULL: this is
 * the failure, BT_E_UNSUPPORTED. Else it is added: an error where the user wrote it, a finding
 * where the experiment begins with it. */
BT_MUST_USE bt_status bt_conf_refuse(const bt_conf *conf, bt_conf_errors *errors, const char *path,
                                     const char *value, const char *why, bt_error *err);

/* Keys that the schema refuses, whose value is another than null, nothing and the key's default;
 * errors as in bt_conf_refuse. */
BT_MUST_USE bt_status bt_conf_check_refused(const bt_conf *conf, bt_conf_errors *errors,
                                            bt_error *err);
/* A warning for each key that has no effect and was written with another value than its default. */
BT_MUST_USE bt_status bt_conf_tell_ignored(const bt_conf *conf, bt_error *err);

/* Building. */

typedef struct bt_conf_args {
    const char *experiment; /* required */
    /* values of --config_file in order: paths, inline text, or names of what is built in */
    const char *const *config_files;
    size_t             n_config_files;
    const char        *params_override; /* NULL or "" = absent */
    const char        *tpu;             /* NULL = no --tpu: resets runtime.tpu of the files */
    const char        *tf_data_service; /* NULL or "" = absent */
} bt_conf_args;

/* Builds and checks. On success *out is owned by the caller (bt_conf_free), and errors holds
 * nothing new. When something is wrong with the configuration: BT_E_CONFIG, every problem in
 * errors, *err a summary with the first one, *out untouched. BT_E_NOMEM: out of memory. */
BT_MUST_USE bt_status bt_conf_build(const bt_conf_args *args, bt_conf **out, bt_conf_errors *errors,
                                    bt_error *err);
void                  bt_conf_free(bt_conf *conf); /* accepts NULL */

/* Applies one more override string ("a.b=1,c.d=2"); origin (copied) says who asks, e.g.
 * "--threads". All or nothing: on failure conf is as it was. */
BT_MUST_USE bt_status bt_conf_set(bt_conf *conf, const char *override, const char *origin,
                                  bt_conf_errors *errors, bt_error *err);

/* Facts in place of defaults. */

/* The user wrote it, in a file or a flag: it is not a default, and was not adopted. */
bool bt_conf_is_written(const bt_conf *conf, const char *path);
/* Some key of the section was written. */
bool bt_conf_is_written_below(const bt_conf *conf, const char *path);

typedef enum bt_conf_fact_kind {
    BT_CONF_FACT_BOOL,
    BT_CONF_FACT_I64,
    BT_CONF_FACT_F64,
    BT_CONF_FACT_STR,
    BT_CONF_FACT_STR_LIST,
} bt_conf_fact_kind;
typedef struct bt_conf_fact {
    bt_conf_fact_kind kind;
    union {
        bool        b;
        int64_t     i;
        double      f;
        const char *s; /* copied */
        struct {
            const char *const *items; /* [n] copied */
            size_t             n;
        } list;
    } u;
} bt_conf_fact;

/* What is known of a key that nobody wrote: the value takes the default's place, origin (copied)
 * says who knows it. Nothing happens where the key was written, is not there, or says the same.
 * The caller gives values of the key's type and range. */
BT_MUST_USE bt_status bt_conf_adopt(bt_conf *conf, const char *path, const bt_conf_fact *fact,
                                    const char *origin, bool *adopted, bt_error *err);
/* The same with the value that another configuration of the same experiment has (of lists, those
 * of texts only). */
BT_MUST_USE bt_status bt_conf_adopt_from(bt_conf *conf, const bt_conf *from, const char *path,
                                         bt_error *err);

/* Modes. */

typedef enum bt_conf_mode {
    BT_CONF_MODE_TRAIN,
    BT_CONF_MODE_EVAL,
    BT_CONF_MODE_TRAIN_AND_EVAL,
    BT_CONF_MODE_CONTINUOUS_EVAL,
    BT_CONF_MODE_CONTINUOUS_TRAIN_AND_EVAL,
    BT_CONF_MODE_TRAIN_AND_VALIDATE, /* recognised; refused by the program as Model Garden does */
    BT_CONF_MODE_TRAIN_AND_POST_EVAL,
    BT_CONF_MODE_PREDICT,
    BT_CONF_MODE_EXPORT, /* reads no data */
} bt_conf_mode;
enum { BT_CONF_N_MODES = BT_CONF_MODE_EXPORT + 1 };

BT_MUST_USE bool bt_conf_mode_parse(const char *text, bt_conf_mode *out); /* case sensitive */
const char      *bt_conf_mode_name(bt_conf_mode mode);
/* "train|eval|...": for messages */
const char *bt_conf_mode_names(void);
bool        bt_conf_mode_trains(bt_conf_mode mode);    /* reads task.train_data */
bool        bt_conf_mode_evaluates(bt_conf_mode mode); /* reads task.validation_data */
/* Reads the mode that section? */
bool bt_conf_mode_reads(bt_conf_mode mode, const char *section);
#define BT_CONF_TRAIN_DATA "task.train_data"
#define BT_CONF_VALIDATION_DATA "task.validation_data"

/* Output. */

/* All keys, byte for byte as Model Garden prints them in params.yaml; extension keys only where
 * they differ from their default. Appends to *out. */
BT_MUST_USE bt_status bt_conf_dump_yaml(const bt_conf *conf, bt_str *out, bt_error *err);
/* The same as the two files of a run: params.yaml with the keys that Model Garden has, and
 * params_ours.yaml with the others, which bt_conf_build reads with the first wherever that lies.
 * params.yaml says in its first line that there is a second one, so that none is lost in silence.
 * Appends to both; ours is a comment alone where bt_conf_has_ours() is false. */
#define BT_CONF_PARAMS_NAME "params.yaml"
#define BT_CONF_OURS_NAME "params_ours.yaml"
BT_MUST_USE bt_status bt_conf_dump_files(const bt_conf *conf, bt_str *params, bt_str *ours,
                                         bt_error *err);
/* Some extension key is another than its default. */
bool bt_conf_has_ours(const bt_conf *conf);

/* Who said a value. */
typedef enum bt_conf_author {
    BT_CONF_BY_KEY,        /* the key's own default */
    BT_CONF_BY_EXPERIMENT, /* the experiment's */
    BT_CONF_BY_FILE,
    BT_CONF_BY_BUILTIN, /* file */
    BT_CONF_BY_FLAG,
    BT_CONF_BY_FACT, /* found in weights, or in an earlier run */
} bt_conf_author;
const char *bt_conf_author_name(bt_conf_author author); /* "default", "experiment", "file", ... */

/* A value that counts: one of a branch that is not selected does not. Borrowed. */
typedef struct bt_conf_entry {
    const char    *path;
    const char    *json; /* the value; signatures of URLs are left out */
    bt_conf_author author;
    const char    *origin; /* bt_conf_origin */
} bt_conf_entry;
/* In the order of params.yaml. Stops at the first failure of visit. */
BT_MUST_USE bt_status bt_conf_visit_values(const bt_conf *conf,
                                           bt_status (*visit)(void                *context,
                                                              const bt_conf_entry *entry,
                                                              bt_error            *err),
                                           void *context, bt_error *err);

/* Reading.
 * A path is dotted: "trainer.train_steps". In a one-of section the selected branch may be named or
 * written as '*': "task.model.encoder.*.num_layers". A branch that is not selected is not there.
 * Strings and lists are borrowed until the conf changes or is freed. Errors: BT_E_CONFIG, with the
 * path, the origin, expected and got. */

const char *bt_conf_experiment_name(const bt_conf *conf);

/* Was a key given by a name that it had in earlier versions? Which; borrowed for ever. */
bool bt_conf_old_key(const bt_conf *conf, const char **section, const char **old,
                     const char **name);
bool bt_conf_has(const bt_conf *conf, const char *path);     /* the key exists, maybe null */
bool bt_conf_is_null(const bt_conf *conf, const char *path); /* absent counts as null */
/* It has another value than the experiment's default. */
bool bt_conf_is_changed(const bt_conf *conf, const char *path);

BT_MUST_USE bt_status bt_conf_get_bool(const bt_conf *conf, const char *path, bool *out,
                                       bt_error *err);
/* An integral float (12.0) is an integer here. Null is an error. */
BT_MUST_USE bt_status bt_conf_get_i64(const bt_conf *conf, const char *path, int64_t *out,
                                      bt_error *err);
BT_MUST_USE bt_status bt_conf_get_f64(const bt_conf *conf, const char *path, double *out,
                                      bt_error *err);
/* Null reads as "". */
BT_MUST_USE bt_status bt_conf_get_str(const bt_conf *conf, const char *path, const char **out,
                                      bt_error *err);

/* Null-aware: *is_null says so, and *out is then fallback. */
BT_MUST_USE bt_status bt_conf_get_i64_or(const bt_conf *conf, const char *path, int64_t fallback,
                                         int64_t *out, bool *is_null, bt_error *err);
BT_MUST_USE bt_status bt_conf_get_f64_or(const bt_conf *conf, const char *path, double fallback,
                                         double *out, bool *is_null, bt_error *err);

/* Lists: null and [] both give n = 0; see bt_conf_is_null. A single string reads as a list of one
 * (input_path), the empty string as none. */
typedef struct bt_conf_str_list {
    const char *const *items;
    size_t             n;
} bt_conf_str_list;
typedef struct bt_conf_i64_list {
    const int64_t *items;
    size_t         n;
} bt_conf_i64_list;
typedef struct bt_conf_f64_list {
    const double *items;
    size_t        n;
} bt_conf_f64_list;
BT_MUST_USE bt_status bt_conf_get_str_list(const bt_conf *conf, const char *path,
                                           bt_conf_str_list *out, bt_error *err);
BT_MUST_USE bt_status bt_conf_get_i64_list(const bt_conf *conf, const char *path,
                                           bt_conf_i64_list *out, bt_error *err);
BT_MUST_USE bt_status bt_conf_get_f64_list(const bt_conf *conf, const char *path,
                                           bt_conf_f64_list *out, bt_error *err);
/* Number of sections in a list of sections (cls_heads); read them as "path.0.key". 0 when null. */
size_t bt_conf_n_items(const bt_conf *conf, const char *path);

/* The selected branch of a one-of section, or NULL when its type is null or it is not one. */
const char *bt_conf_type_of_oneof(const bt_conf *conf, const char *path);

/* Checks: each room has an entry point that looks at the keys whose meaning it knows and adds all
 * that is wrong, before a run and before any file is looked at. Looking is not reading: the values
 * come by bt_conf_peek_*, a key that is only checked does not act. */
typedef struct bt_conf_check {
    const bt_conf  *conf;
    bt_conf_mode    mode;
    bt_conf_errors *errors;
    bt_error       *err; /* of BT_E_NOMEM */
} bt_conf_check;

/* a (or b, which it does not go with; or NULL) is wrong: an error where the user wrote one of the
 * two, about that one; else a finding about a. */
BT_MUST_USE bt_status bt_conf_check_fail(const bt_conf_check *check, const char *a, const char *b,
                                         const char *fmt, ...) BT_PRINTF(4, 5);
/* A finding whoever wrote it. */
BT_MUST_USE bt_status bt_conf_check_missing(const bt_conf_check *check, const char *path,
                                            const char *fmt, ...) BT_PRINTF(3, 4);

/* "section.key", of names that the program says itself; returns path. */
enum { BT_CONF_PATH_MAX = 160 };
const char *bt_conf_join(const char *section, const char *key, char path[BT_CONF_PATH_MAX]);

/* null, false, 0, "", an empty list, or not there */
bool bt_conf_peek_is_empty(const bt_conf *conf, const char *path);
bool bt_conf_peek_is_null(const bt_conf *conf, const char *path);
/* false: null, not there, or of another type; *out is as it was */
bool             bt_conf_peek_i64(const bt_conf *conf, const char *path, int64_t *out);
bool             bt_conf_peek_f64(const bt_conf *conf, const char *path, double *out);
const char      *bt_conf_peek_str(const bt_conf *conf, const char *path); /* never NULL */
bt_conf_str_list bt_conf_peek_str_list(const bt_conf *conf, const char *path);
bool        bt_conf_peek_i64_list(const bt_conf *conf, const char *path, bt_conf_i64_list *out);
bool        bt_conf_peek_f64_list(const bt_conf *conf, const char *path, bt_conf_f64_list *out);
size_t      bt_conf_peek_n_items(const bt_conf *conf, const char *path); /* of any list */
const char *bt_conf_peek_type(const bt_conf *conf, const char *path);    /* of a one-of, or NULL */

/* What a word of other programs ("num_train_epochs") is called here: a key with the usual branches,
 * or a flag with its dashes; NULL: no word of theirs. Returns out. */
enum { BT_CONF_ALIAS_MAX = 128 };
const char *bt_conf_alias(const char *word, char out[BT_CONF_ALIAS_MAX]);

/* The files that the configuration came from ("--config_file"), and every path that the keys which
 * name files or folders say, one by one (a list's items each; what is separated by commas
 * together), key for messages: "task.train_data.input_path". Stops at the first failure of visit.
 */
BT_MUST_USE bt_status bt_conf_visit_paths(const bt_conf *conf,
                                          bt_status (*visit)(void *context, const char *key,
                                                             const char *path, bt_error *err),
                                          void *context, bt_error *err);

/* Where the value comes from: "a.yaml:12:3", "--params_override: 'a.b=1'", "--tpu", "default".
 * Writes at most BT_CONF_ORIGIN_MAX bytes into buffer and returns it. */
enum { BT_CONF_ORIGIN_MAX = 256 };
const char *bt_conf_origin(const bt_conf *conf, const char *path, char buffer[BT_CONF_ORIGIN_MAX]);

/* What changed. */

/* A key whose value differs; of a one-of section whose type differs only the type. The values are
 * for people: "0.001", "'adamw'", "[0, 1]", "null", "a section", long ones cut. All owned. */
typedef struct bt_conf_change {
    char *path;
    char *then;
    char *now;
} bt_conf_change;
typedef struct bt_conf_changes {
    bt_conf_change *items;
    size_t          n;
    size_t          cap;
} bt_conf_changes;
#define BT_CONF_CHANGES_INIT                                                                       \
    { .items = NULL, .n = 0, .cap = 0 }
void bt_conf_changes_deinit(bt_conf_changes *changes);
/* Both of one experiment. By value, not by text: 1 is 1.0, null is '' and [], a is [a]. Sorted as
 * in params.yaml. */
BT_MUST_USE bt_status bt_conf_diff(const bt_conf *then, const bt_conf *now, bt_conf_changes *out,
                                   bt_error *err);

/* Binding tables: a section into a typed struct. */

typedef enum bt_conf_field_type {
    BT_CONF_FIELD_BOOL,     /* bool */
    BT_CONF_FIELD_I32,      /* int32_t; out of range is an error */
    BT_CONF_FIELD_I64,      /* int64_t */
    BT_CONF_FIELD_F32,      /* float */
    BT_CONF_FIELD_F64,      /* double */
    BT_CONF_FIELD_STR,      /* const char *, never NULL */
    BT_CONF_FIELD_OPT_I64,  /* bt_conf_opt_i64 */
    BT_CONF_FIELD_OPT_F64,  /* bt_conf_opt_f64 */
    BT_CONF_FIELD_OPT_BOOL, /* bt_conf_opt_bool */
    BT_CONF_FIELD_STR_LIST, /* bt_conf_str_list */
    BT_CONF_FIELD_I64_LIST, /* bt_conf_i64_list */
    BT_CONF_FIELD_F64_LIST, /* bt_conf_f64_list */
} bt_conf_field_type;

typedef struct bt_conf_opt_i64 {
    bool    is_set;
    int64_t value;
} bt_conf_opt_i64;
typedef struct bt_conf_opt_f64 {
    bool   is_set;
    double value;
} bt_conf_opt_f64;
typedef struct bt_conf_opt_bool {
    bool is_set;
    bool value;
} bt_conf_opt_bool;

typedef struct bt_conf_field {
    const char        *key; /* below the prefix, may be dotted */
    bt_conf_field_type type;
    size_t             offset; /* offsetof in dst */
} bt_conf_field;

/* Reads every field below prefix ("" = root) into dst. The first failure is returned. */
BT_MUST_USE bt_status bt_conf_bind(const bt_conf *conf, const char *prefix,
                                   const bt_conf_field *fields, size_t n_fields, void *dst,
                                   bt_error *err);

/* Listings. */

typedef struct bt_conf_experiment {
    const char *name;
    const char *doc; /* one sentence */
} bt_conf_experiment;
size_t                    bt_conf_n_experiments(void); /* those that can be built */
const bt_conf_experiment *bt_conf_experiment_at(size_t index);

/* The files of configs/, built in. Static. */
typedef struct bt_conf_builtin {
    const char *name; /* "models/minilm" */
    const char *text; /* YAML */
    const char *doc;  /* [doc_len] of text: the first words of its comment */
    size_t      doc_len;
} bt_conf_builtin;
size_t          bt_conf_n_builtins(void);
bt_conf_builtin bt_conf_builtin_at(size_t index);
/* That of a name: "models/minilm", "minilm", "minilm.yaml", "configs/models/minilm.yaml". */
bool bt_conf_builtin_find(const char *name, size_t *index);

/* Every key of the experiment: path, type, default, meaning. Appends to *out. */
BT_MUST_USE bt_status bt_conf_help(const char *experiment, bt_str *out, bt_error *err);

/* What the schema says of a key, as an experiment has it. All borrowed. */
typedef struct bt_conf_key_info {
    const char *path;         /* of what is in a list of sections: "a.N.b" */
    const char *type;         /* "an integer", "a section" */
    const char *choices;      /* "a|b|c", or NULL */
    const char *range;        /* "of at least 0", or NULL */
    const char *default_text; /* the experiment's; of a section "" */
    const char *doc;          /* a sentence without its point, its first letter small */
    const char *why_not;      /* it does not act: the reason, and what to do; or NULL */
    bool        is_refused;   /* with why_not: a run refuses it; else it has no effect */
    bool        is_quiet;     /* with why_not: and nothing is lost by it */
    bool        is_section;
    bool        is_ours; /* Model Garden does not have it */
    bool        may_be_null;
} bt_conf_key_info;
/* Stops at the first failure of visit. */
BT_MUST_USE bt_status bt_conf_visit_keys(const char *experiment,
                                         bt_status (*visit)(void                   *context,
                                                            const bt_conf_key_info *key,
                                                            bt_error               *err),
                                         void *context, bt_error *err);
/* The paragraph of bt_conf_help. */
BT_MUST_USE bt_status bt_conf_append_key(const bt_conf_key_info *key, bt_str *out, bt_error *err);

/* The candidate nearest to word, or NULL when none is near enough to be what was meant. */
const char *bt_conf_nearest(const char *word, const char *const *candidates, size_t n);

#endif
