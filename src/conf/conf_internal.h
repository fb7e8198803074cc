/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the conf room share: values as YAML gives them, sections built from the
 * schema, where each value came from, and the list of problems. Not for other rooms. */
#ifndef BT_CONF_INTERNAL_H
#define BT_CONF_INTERNAL_H

#include "bt/base/arena.h"
#include "bt/conf.h"
#include "conf_schema.h"

/* Limits on what a YAML text may hold: a real configuration stays far below. */
enum {
    CONF_MAX_DEPTH = 64,            /* nested collections */
    CONF_MAX_NODES = 200000,        /* after aliases are expanded */
    CONF_MAX_FILE_BYTES = 16 << 20, /* of a configuration file */
    CONF_MAX_PROBLEMS = 100,        /* after which problems are only counted */
    CONF_MAX_INT_DIGITS = 4300,     /* as Python's int() */
    CONF_MAX_PATH = 512,            /* a dotted path in messages */
};

typedef enum conf_kind {
    K_NULL,
    K_BOOL,
    K_INT,
    K_BIGINT, /* decimal digits in u.s: beyond int64 */
    K_FLOAT,
    K_STR,
    K_ALIEN, /* a date, a set, bytes...: u.s names it; refused where it is used */
    K_LIST,
    K_TUPLE,
    K_MAP,    /* as read from YAML, not yet merged */
    K_OBJECT, /* a section of the schema */
} conf_kind;

typedef struct conf_value  conf_value;
typedef struct conf_pair   conf_pair;
typedef struct conf_object conf_object;

struct conf_value {
    conf_kind kind;
    int32_t   source; /* index into bt_conf.sources; 0 = default */
    int32_t   line;   /* from 1; 0 = the source has no lines */
    int32_t   column;
    union {
        bool    b;
        int64_t i;
        double  f;
        struct {
            const char *text; /* NUL-terminated, may hold NULs before */
            size_t      len;
        } s;
        struct {
            conf_value *items;
            size_t      n;
            const void *flat; /* the same as an array of char *, int64_t or double */
        } list;
        struct {
            conf_pair *items; /* sorted by key, each key once */
            size_t     n;
        } map;
        conf_object *object;
    } u;
};

struct conf_pair {
    conf_value key;
    conf_value value;
    size_t     order; /* a later pair of the same key wins */
};

typedef struct conf_slot {
    const conf_key *key;
    conf_value      value;
} conf_slot;

struct conf_object {
    const conf_class *cls;
    conf_slot        *slots; /* sorted by key name */
    size_t            n_slots;
};

typedef enum conf_source_kind {
    SOURCE_DEFAULT,
    SOURCE_FILE,    /* label:line:column */
    SOURCE_BUILTIN, /* label:line:column, of what bt_conf_builtin_at gives */
    SOURCE_INLINE,  /* YAML text in a flag: label, line and column within it */
    SOURCE_CSV,     /* the mini language in a flag: label: 'a.b=c' */
    SOURCE_FLAG,    /* label alone */
    SOURCE_FACT,    /* label alone: not written by the user, but found (conf_adopt.c) */
} conf_source_kind;

/* One "a.b=c" of a CSV text; spans of the source's text. */
typedef struct conf_csv_entry {
    const char *text;
    size_t      name_len;
    size_t      len;
} conf_csv_entry;

typedef struct conf_source {
    conf_source_kind kind;
    const char      *label;
    conf_csv_entry  *entries; /* SOURCE_CSV */
    size_t           n_entries;
} conf_source;

/* Everything of a conf lives in its arena; small pieces are cut from chunks, because an arena
 * allocation is 64 bytes at least. */
struct bt_conf {
    bt_arena                   arena;
    char                      *chunk;
    size_t                     chunk_left;
    const conf_experiment_def *experiment;
    conf_object               *root;
    conf_object               *defaults; /* the experiment's, untouched */
    conf_source               *sources;
    size_t                     n_sources;
    size_t                     cap_sources;
    size_t                     old_key; /* 1 + a row of conf_merge.c's renamed keys; 0: none used */
    /* Of a test that looks which rows of the schema are read; or NULL. */
    void (*on_read)(void *context, const conf_key *key);
    void *on_read_context;
};

/* conf_value.c */

void *conf_alloc(bt_conf *conf, size_t n, size_t size); /* NULL: out of memory */
char *conf_strndup(bt_conf *conf, const char *text, size_t n);
/* Appends a source and gives its index. label is copied. */
BT_MUST_USE bt_status conf_add_source(bt_conf *conf, conf_source_kind kind, const char *label,
                                      int32_t *index, bt_error *err);
BT_MUST_USE bt_status conf_copy_object(bt_conf *conf, const conf_object *from, conf_object **out,
                                       bt_error *err);
/* "path.name", cut off at CONF_MAX_PATH; returns out. name_len bytes of name. */
/* "encoder.*.num_layers" with the selected branch for the star, as the user writes it. */
const char *conf_expand_branch(const bt_conf *conf, const char *path, char out[CONF_MAX_PATH]);
/* What a word of other programs is called here, in the section of the path where it stands, or
 * NULL.
 */
const char *conf_find_alias(const bt_conf *conf, const char *word, const char *where,
                            char out[CONF_MAX_PATH]);
const char *conf_join_path(const char *path, const char *name, size_t name_len,
                           char out[CONF_MAX_PATH]);
const char *conf_join_index(const char *path, size_t index, char out[CONF_MAX_PATH]);
conf_slot  *conf_find_slot(const conf_object *object, const char *name, size_t len);
/* The value at a dotted path below root, or NULL. */
const conf_value *conf_find(const conf_object *root, const char *path);
bool              conf_equal(const conf_value *a, const conf_value *b);
/* Appends a value as JSON has it; numbers with a fraction, texts and sections as put_rest does. */
typedef bt_status     conf_put(bt_str *out, const conf_value *value, bt_error *err);
BT_MUST_USE bt_status conf_put_value(bt_str *out, const conf_value *value, conf_put *put_rest,
                                     bt_error *err);
/* null, false, 0, "" and empty collections, as Python sees them */
bool conf_is_truthy(const conf_value *value);
/* "the text 'many'", "null", "a list": for messages */
const char *conf_describe(const conf_value *value, char buffer[BT_CONF_ORIGIN_MAX]);
const char *conf_origin_text(const bt_conf *conf, const conf_value *value, const char *path,
                             char buffer[BT_CONF_ORIGIN_MAX]);

/* conf_yaml_scalar.c: what a plain scalar means. */

typedef enum conf_scalar {
    SCALAR_STR,
    SCALAR_NULL,
    SCALAR_BOOL,
    SCALAR_INT,
    SCALAR_FLOAT,
    SCALAR_ADDED_FLOAT, /* 1e6: a float for Model Garden, a string for standard YAML 1.1 */
    SCALAR_BROKEN,      /* matches a misspelt pattern of Model Garden's, which then fails */
    SCALAR_TIMESTAMP,
    SCALAR_MERGE,
    SCALAR_VALUE, /* a lone = */
} conf_scalar;

conf_scalar conf_scalar_resolve(const char *text, size_t len);
/* The constructors. text as it was accepted by conf_scalar_resolve, or explicitly tagged.
 * BT_E_CONFIG: not such a number. */
BT_MUST_USE bt_status conf_scalar_int(bt_conf *conf, const char *text, size_t len, conf_value *out,
                                      bt_error *err);
BT_MUST_USE bt_status conf_scalar_float(const char *text, size_t len, double *out, bt_error *err);

/* conf_yaml_load.c */

/* One document. BT_E_CONFIG: not YAML, or beyond the limits; the message has line and column. */
BT_MUST_USE bt_status conf_yaml_load(bt_conf *conf, const char *text, size_t len, int32_t source,
                                     conf_value *out, bt_error *err);

/* conf_builtin.c: the nearest name, or NULL. */
const char *conf_builtin_nearest(const char *name);

/* conf_dump.c: the first line of params.yaml where keys of ours are in a file beside it, and of
 * that file. */
#define CONF_OURS_MARK                                                                             \
    "# Keys that Model Garden does not have are in " BT_CONF_OURS_NAME " beside this file."
#define CONF_OURS_HEADER                                                                           \
    "# Keys that only bert-train has, read with " BT_CONF_PARAMS_NAME " beside this file."

/* conf_csv.c */

/* Converts "a.b=1,c=2" to a YAML flow mapping and lists its entries. BT_E_CONFIG: not CSV. */
BT_MUST_USE bt_status conf_csv_convert(bt_conf *conf, const char *text, bt_str *yaml,
                                       conf_source *source, bt_error *err);

/* conf_build.c, conf_merge.c, conf_check.c */

typedef struct conf_merge {
    bt_conf        *conf;
    bt_conf_errors *errors;
    bt_error       *err;
} conf_merge;

/* conf_file.c: what --config_file or --params_override gave and is neither name=value nor YAML: a
 * file, or the name of a built-in one, is merged. why_not: what kept the text from being an
 * override; said when the file cannot be read. */
BT_MUST_USE bt_status conf_merge_file(const conf_merge *merge, const char *flag, const char *path,
                                      const char *why_not);
/* A problem of a whole source: "--config_file='a.yaml': ...". */
BT_MUST_USE bt_status conf_report_source(const conf_merge *merge, const char *flag,
                                         const char *text, const char *what);

/* A section with the defaults of its class. */
BT_MUST_USE bt_status conf_create_object(bt_conf *conf, const conf_class *cls, conf_object **out,
                                         bt_error *err);
/* Merges a K_MAP into object, strictly; problems go to the list. Fails only on BT_E_NOMEM. */
BT_MUST_USE bt_status conf_merge_map(const conf_merge *merge, conf_object *object,
                                     const conf_value *map, const char *path);
/* Types, ranges and one-ofs of the whole tree. Fails only on BT_E_NOMEM. */
BT_MUST_USE bt_status conf_check_tree(const conf_merge *merge);
/* conf_read.c: false: it is no such number (null is none). */
bool conf_to_i64(const conf_value *value, int64_t *out);
bool conf_to_f64(const conf_value *value, double *out);
/* The selected branch; NULL where value is no one-of section (NULL: neither), or its type null. */
const char *conf_type_of_oneof(const conf_value *value);
/* conf_effects.c: a value for people: "0.001", "'adamw'", "[0, 1]", long ones cut. The caller
 * bt_free()s it; NULL: out of memory. */
char *conf_value_text(const conf_value *value, bt_error *err);
/* conf_paths.c: a ~ at the beginning of paths, in the whole tree, which is checked. */
BT_MUST_USE bt_status conf_expand_paths(bt_conf *conf, bt_error *err);
/* "origin: path: " and the text. */
BT_MUST_USE bt_status conf_report(const conf_merge *merge, bt_conf_severity severity,
                                  const conf_value *at, const char *path, const char *fmt, ...)
    BT_PRINTF(5, 6);

#endif
