/* SPDX-License-Identifier: Apache-2.0
 *
 * The schema: what sections there are, which keys they hold, of which type and range, and what
 * they mean. Everything else in this room (merging, checking, printing, help, did-you-mean) reads
 * these tables. Adding a key is adding one row. */
#ifndef BT_CONF_SCHEMA_H
#define BT_CONF_SCHEMA_H

#include <math.h>

#include "bt/base/compiler.h"

typedef enum conf_type {
    T_BOOL,
    T_INT,
    T_FLOAT,
    T_STR,
    T_STR_LIST,
    T_INT_LIST,
    T_FLOAT_LIST,
    T_PATHS,          /* a string or a list of strings */
    T_STR_OR_FLOAT,   /* loss_scale, decision_threshold */
    T_INT_OR_LIST,    /* pool_stride */
    T_FLOATS_OR_WORD, /* class_weights */
    T_NULL,           /* nothing but null can be written in YAML */
    T_SECTION,
    T_SECTIONS, /* a list of sections */
} conf_type;

enum {
    NULLABLE = 1, /* null is a value */
    EXT = 2,      /* ours: Model Garden has no such key (test_conf_goldens.c compares); printed only
                   * where it differs from its default, and into a file of its own */
    TUPLE = 4,    /* the default is a Python tuple */
    PAIR = 8,     /* a list of exactly two */
    ABSENT = 16,  /* a section that is null by default */
    PATH = 32,    /* names files or folders: a ~ at its beginning is expanded */
    QUIET = 64,   /* ignored, and nothing is lost by it: no run speaks of it */
};

/* What a value must satisfy besides its type. Either a range or a list of words. */
typedef struct conf_rule {
    double      lo;
    double      hi;
    bool        lo_open;
    bool        hi_open;
    bool        nocase;  /* choices in any case */
    bool        no_zero; /* 0 is not allowed although it is in the range */
    const char *choices; /* "a|b|c", or NULL */
    const char *words;   /* how a message names the rule */
} conf_rule;

#define CHOICES(list)                                                                              \
    { .choices = (list), .words = NULL }
#define CHOICES_NOCASE(list)                                                                       \
    { .choices = (list), .nocase = true }
#define STEPS_OR_ALL                                                                               \
    { .lo = -1, .hi = HUGE_VAL, .no_zero = true, .words = "-1 or at least 1" }

extern const conf_rule conf_rule_finite;
extern const conf_rule conf_rule_ge0;
extern const conf_rule conf_rule_ge1;
extern const conf_rule conf_rule_0_to_1;
extern const conf_rule conf_rule_threads;
extern const conf_rule conf_rule_inside;
extern const conf_rule conf_rule_rate;
#define RULE_NONE NULL
#define RULE_FINITE &conf_rule_finite
#define RULE_GE0 &conf_rule_ge0 /* at least 0, and finite */
#define RULE_GE1 &conf_rule_ge1 /* at least 1, and finite */
#define RULE_0_TO_1 &conf_rule_0_to_1
#define RULE_THREADS &conf_rule_threads
#define RULE_INSIDE &conf_rule_inside /* 0 < x < 1 */
#define RULE_RATE &conf_rule_rate     /* 0 <= x < 1 */

typedef struct conf_class conf_class;

/* What becomes of a key's value. */
typedef enum conf_effect {
    CONF_ACTS,    /* some line obeys it: tests/unit/train/test_key_effects.c looks for it */
    CONF_IGNORED, /* nothing does: told where it is another than the default, unless QUIET */
    CONF_REFUSED, /* a run refuses all but null, '' and the default */
} conf_effect;

typedef struct conf_key {
    const char       *name;
    conf_type         type;
    unsigned          flags;
    const char       *def; /* NULL = null; lists: items separated by ", " */
    const conf_class *sub; /* T_SECTION, T_SECTIONS */
    const conf_rule  *rule;
    const char       *doc; /* a few words that say what it means */
    conf_effect       effect;
    const char       *why; /* unless it acts: the reason, and what to do instead */
} conf_key;

#define KEY(name, type, flags, def, rule, doc)                                                     \
    { name, type, flags, def, NULL, rule, doc, CONF_ACTS, NULL }
#define KEY_IGNORED(name, type, flags, def, rule, doc, why)                                        \
    { name, type, flags, def, NULL, rule, doc, CONF_IGNORED, why }
#define KEY_REFUSED(name, type, flags, def, rule, doc, why)                                        \
    { name, type, flags, def, NULL, rule, doc, CONF_REFUSED, why }
#define SECTION(name, cls, doc)                                                                    \
    { name, T_SECTION, 0, NULL, cls, NULL, doc, CONF_ACTS, NULL }
/* A branch that cannot be chosen. */
#define SECTION_REFUSED(name, cls, doc, why)                                                       \
    { name, T_SECTION, 0, NULL, cls, NULL, doc, CONF_REFUSED, why }
#define NO_SECTION(name, cls, doc)                                                                 \
    { name, T_SECTION, NULLABLE | ABSENT, NULL, cls, NULL, doc, CONF_ACTS, NULL }
/* A section that must stay null. */
#define NO_SECTION_REFUSED(name, cls, doc, why)                                                    \
    { name, T_SECTION, NULLABLE | ABSENT, NULL, cls, NULL, doc, CONF_REFUSED, why }
#define SECTIONS(name, cls, doc)                                                                   \
    { name, T_SECTIONS, 0, NULL, cls, NULL, doc, CONF_ACTS, NULL }

/* Reasons of several tables. */
#define WHY_NAME "it names an object of TensorFlow's"
#define WHY_OUTPUTS "it adds outputs that no task here uses"

struct conf_class {
    const char       *qualified; /* Model Garden's name: users search for it */
    const conf_class *base;      /* keys that are not in `keys` come from here; or NULL */
    const conf_key   *keys;      /* sorted by name */
    size_t            n_keys;
    bool              is_one_of; /* `type` names the branch that counts */
};

extern const conf_class conf_class_experiment;
extern const conf_class conf_class_differential_privacy;
extern const conf_class conf_class_empty;
extern const conf_class conf_class_optimization;
extern const conf_class conf_class_lr;
extern const conf_class conf_class_warmup;
extern const conf_class conf_class_encoder;
extern const conf_class conf_class_funnel_encoder;
extern const conf_class conf_class_kernel_encoder;
extern const conf_class conf_class_reuse_encoder;
extern const conf_class conf_class_f_net_encoder;
extern const conf_class conf_class_sparse_mixer_encoder;
extern const conf_class conf_class_data;
extern const conf_class conf_class_sentence_prediction_data;
extern const conf_class conf_class_sentence_prediction_text_data;
extern const conf_class conf_class_qa_data;
extern const conf_class conf_class_tagging_data;
extern const conf_class conf_class_dual_encoder_data;
extern const conf_class conf_class_pretrain_data;
extern const conf_class conf_class_pretrain_dynamic_data;
extern const conf_class conf_class_pretrain_text_data;
extern const conf_class conf_class_task;
extern const conf_class conf_class_sentence_prediction;
extern const conf_class conf_class_question_answering;
extern const conf_class conf_class_tagging;
extern const conf_class conf_class_dual_encoder;
extern const conf_class conf_class_masked_lm;
extern const conf_class conf_class_electra_pretrain;

/* One experiment that can be built. defaults is YAML, merged into the class defaults. */
typedef struct conf_experiment_def {
    const char       *name;
    const char       *doc;
    const conf_class *task;
    const conf_class *train_data;
    const conf_class *validation_data;
    const char       *defaults;
    bool              is_ours; /* Model Garden has no experiment of that name */
} conf_experiment_def;

extern const conf_experiment_def conf_experiments[];
extern const size_t              conf_n_experiments;
const conf_experiment_def       *conf_experiment_find(const char *name); /* or NULL */
/* Why a name of Model Garden's that bert-train does not train is refused; NULL: unknown name. */
const char *conf_experiment_refusal(const char *name);

/* Number of keys, bases included, each name once; conf_class_list_keys writes them sorted. */
size_t conf_class_count_keys(const conf_class *cls);
void   conf_class_list_keys(const conf_class *cls, const conf_key **out);
/* "an integer", "a list of strings"... as messages and help say it. */
const char *conf_type_words(conf_type type);
const char *
conf_key_words(const conf_key *key); /* those that name no file are strings, not paths */

#endif
