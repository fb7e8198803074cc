/* SPDX-License-Identifier: Apache-2.0
 *
 * train: the controller. Runs a mode of train.py (docs/model_garden/config.md sections 1.3 and 6)
 * over a merged configuration: restore or initialise, train in chunks, evaluate, save, export the
 * best, resume.
 */
#ifndef BT_TRAIN_H
#define BT_TRAIN_H

#include "bt/comm.h"
#include "bt/conf.h"
#include "bt/fs.h"
#include "bt/metrics.h"
#include "bt/task.h"

/* A value that the run is asked for by its name (--fail_below). */
typedef struct bt_train_asked {
    const char *flag; /* for messages */
    const char *name; /* as the user writes it: a class of any length */
    /* [BT_METRIC_NAME_MAX], of the caller; may be name itself. A run that evaluates writes here,
     * before anything is trained, under which name its values have it; others leave it. */
    char *own;
} bt_train_asked;

typedef struct bt_train_args {
    /* Merged and checked; borrowed. continuous_train_and_eval points task.init_checkpoint in it at
     * each new checkpoint; the other modes change what once_an_epoch says, and nothing else. */
    bt_conf     *conf;
    bt_conf_mode mode;
    const char  *model_dir;       /* made when missing */
    int64_t      pretrain_steps;  /* --pretrain_steps, or -1: only continuous_train_and_eval */
    const char  *command_line;    /* for the report, or NULL */
    const char  *prometheus_file; /* the state of the run, for its textfile collector; or NULL */
    double       process_began;   /* bt_time_monotonic; 0: not said */
    /* eval, predict, export: "latest" (or NULL), "best", or the prefix of a checkpoint */
    const char        *checkpoint;
    bt_prediction_args prediction;
    const char        *export_format;    /* of --mode=export: a name of bt/export.h */
    const char        *export_precision; /* likewise; NULL: float32 */
    const char        *export_path;      /* its folder */
    /* Keys or sections, separated by commas, that a run which goes on may have changed although
     * that is refused otherwise; NULL: none. */
    const char *allow_changed;
    bool        offline; /* --offline: modules come from the cache only */
    /* Checkpoints are written on a thread of their own while the steps go on, where the memory for
     * a copy of the state is there; false: between the steps. */
    bool saves_beside;
    /* trainer.validation_interval, checkpoint_interval, steps_per_loop and summary_interval that
     * nobody wrote follow from the rows of an epoch, and are set in conf. */
    bool once_an_epoch;
    /* The processes that were started together with this one, and which of them it is. They train
     * one model where runtime.distribution_strategy is multi_worker_mirrored; rank 0 alone writes,
     * and its summary is the result. NULL: there is none. Borrowed. */
    const bt_comm_job    *job;
    const bt_train_asked *asked; /* [n_asked], which bt_train_check_value_name has passed */
    size_t                n_asked;
} bt_train_args;

/* metrics, values of the task's output, and what the trainer adds; runtime.precision has them twice
 */
enum { BT_TRAIN_MAX_VALUES = 2 * (BT_METRIC_MAX + BT_TASK_VALUES_MAX + 16) };

/* What an evaluation, a chunk of steps or a run came to, in Model Garden's names. */
typedef struct bt_train_values {
    size_t          n;
    bt_metric_value items[BT_TRAIN_MAX_VALUES];
} bt_train_values;

/* What the weights say of themselves (task.init_checkpoint, task.hub_module_url; of a model_dir
 * with a checkpoint what params.yaml there says) into the keys of args->conf that nobody wrote:
 * sizes, kind and arithmetic of the encoder, the head. Before bt_train_check_conf. is_dry:
 * nothing is fetched. Errors are those of reading the weights. */
BT_MUST_USE bt_status bt_train_adopt_facts(const bt_train_args *args, bool is_dry, bt_error *err);

/* The folder of the best checkpoint, where one is kept and no other was named. */
#define BT_TRAIN_BEST_SUBDIR "best_ckpt"

/* Where a run in model_dir keeps its configuration; owned by the caller. */
BT_MUST_USE bt_status bt_train_params_path(const char *model_dir, char **path, bt_error *err);

/* Everything that can be said of a configuration for a mode without looking at a file: the checks
 * of the rooms data, task, optim and train (bt_conf_check), keys that the schema refuses, and those
 * of runtime.distribution_strategy, which looks for no device. Adds to errors what is wrong, and as
 * findings what is missing; fails on BT_E_NOMEM only. bt_train_run makes these checks too. */
BT_MUST_USE bt_status bt_train_check_conf(const bt_conf *conf, bt_conf_mode mode,
                                          bt_conf_errors *errors, bt_error *err);

/* Are the processors here that runtime.isa, runtime.pin and runtime.threads ask for? Of a
 * configuration that may lack keys; bt_train_run asks it before it reads data. An export in float32
 * computes nothing and asks for none. BT_E_BACKEND, BT_E_CONFIG, BT_E_RESOURCE. */
BT_MUST_USE bt_status bt_train_check_processors(const bt_train_args *args, bt_error *err);

/* Could a run of that mode end with a value of that name (--fail_below)? BT_E_CONFIG where it
 * cannot, with those that it has and the nearest of them; flag is for messages. Keys that do not
 * say which values there are leave it open, and so does a class: bt_train_args.asked. */
BT_MUST_USE bt_status bt_train_check_value_name(const bt_conf *conf, bt_conf_mode mode,
                                                const char *name, const char *flag, bt_error *err);

/* Outputs beside those of the run are different files that may be written, and none is an input of
 * the run or kept by it under that name: BT_E_CONFIG, BT_E_RESOURCE. */
BT_MUST_USE bt_status bt_train_check_outputs(const bt_train_args *args, const bt_fs_named *outputs,
                                             size_t n, bt_error *err);

enum { BT_TRAIN_PATH_MAX = 1024 };

/* What the run ended with: the values of the last evaluation (or of the last training record when
 * the mode does not evaluate), in Model Garden's names. */
typedef struct bt_train_summary {
    int64_t         step;
    bt_train_values values;
    double          seconds;
    bt_status       report; /* of the report: what is wrong with it alone */
    bt_error        report_error;
    char            engine[256]; /* bt_exec_describe */
    /* Prefix of the newest checkpoint, or of the one that was evaluated; "": there is none, or its
     * path is longer. */
    char checkpoint[BT_TRAIN_PATH_MAX];
    /* Of the best evaluation so far, where a best checkpoint is kept and there is one. */
    bool            has_best;
    int64_t         best_step; /* -1: not said */
    bt_train_values best;
    char            best_checkpoint[BT_TRAIN_PATH_MAX];
} bt_train_summary;

/* The whole run. Everything that can be refused is refused before model_dir is touched. Errors are
 * those of the rooms below; BT_E_INTERRUPTED: stopped by request (bt_stop_requested), after saving
 * what a run of that mode saves (then bt_stop_mark_saved was called). */
BT_MUST_USE bt_status bt_train_run(const bt_train_args *args, bt_train_summary *summary,
                                   bt_error *err);

/* The report of what the folders hold, as a page of HTML: each is a run's, or has folders of runs
 * (--seeds, a sweep). path NULL: report.html in the only one of them. BT_E_IO: no run is there. */
BT_MUST_USE bt_status bt_train_write_report(const char *const *folders, size_t n, const char *path,
                                            bt_error *err);

/* A prediction whose rows the caller has. */
typedef struct bt_train_filter bt_train_filter;
/* Opens what bt_train_run opens for args, whose mode must be predict, but no data; restores the
 * model (with its averages, if it has any), and calls serve. Writes and locks nothing. model_dir
 * may be NULL where the weights hold the head (task.init_head). */
BT_MUST_USE bt_status bt_train_run_filter(const bt_train_args *args,
                                          bt_status (*serve)(void *context, bt_train_filter *filter,
                                                             bt_error *err),
                                          void *context, bt_error *err);
const bt_task_plan   *bt_train_filter_plan(const bt_train_filter *filter);
/* What the task's output is given of a batch (bt/task.h); borrowed until the next call. */
BT_MUST_USE bt_status bt_train_filter_logits(bt_train_filter *filter, const bt_batch *batch,
                                             const float **logits, bt_error *err);

/* The same job with several seeds (--seeds). */

/* One value of the summaries over all seeds. */
typedef struct bt_train_spread {
    char   name[BT_METRIC_NAME_MAX];
    double mean;
    double stddev; /* of a sample: n - 1; NaN for one seed */
} bt_train_spread;

typedef struct bt_train_seeds_summary {
    size_t          n_values;
    bt_train_spread values[BT_TRAIN_MAX_VALUES];
    bool            has_best; /* trainer.best_checkpoint_* are set, and some value is a number */
    int64_t         best_seed;
    bt_status       report; /* of the first report that could not be written */
    bt_error        report_error;
} bt_train_seeds_summary;

/* One run a seed, each as bt_train_run with task.train_data.seed set to it (in args->conf, which
 * keeps the last one) and model_dir/seed_N; seeds[n_seeds] are distinct. A seed that is finished
 * with the same configuration is not run again (only its report is made where it is missing):
 * model_dir/seeds.json knows, and holds the values of every seed, means and deviations.
 * model_dir/best_seed becomes a link to the folder of the best. Only modes that train once: else
 * BT_E_UNSUPPORTED. BT_E_INTERRUPTED as bt_train_run. */
BT_MUST_USE bt_status bt_train_run_seeds(const bt_train_args *args, const int64_t *seeds,
                                         size_t n_seeds, bt_train_seeds_summary *summary,
                                         bt_error *err);
/* The mode check of bt_train_run_seeds alone. */
BT_MUST_USE bt_status bt_train_check_seeds_mode(bt_conf_mode mode, bt_error *err);

/* What a step costs (--benchmark). */

/* Where the seconds of a training step go. The phases are all of it. */
typedef enum bt_train_phase {
    BT_PHASE_INPUT, /* waiting for a batch */
    BT_PHASE_PRODUCTS,
    BT_PHASE_ATTENTION,
    BT_PHASE_OTHER_KERNELS, /* what is left of forward and backward */
    BT_PHASE_OPTIMIZER,
    BT_PHASE_REST, /* metrics of the batch, bookkeeping */
} bt_train_phase;
enum { BT_TRAIN_N_PHASES = BT_PHASE_REST + 1 };
const char *bt_train_phase_name(bt_train_phase phase); /* "other_kernels" */

/* How fast this machine makes one large matrix product (bt/exec.h), in one way. */
typedef struct bt_train_peak {
    char        kernels[128];
    const char *precision; /* "float32", "bfloat16", "float16"; static */
    double      gflops;    /* 10^9 a second */
} bt_train_peak;

/* Means over the measured steps. */
typedef struct bt_train_benchmark {
    char    engine[256]; /* bt_exec_describe */
    int64_t n_steps;
    int64_t n_warm_up;
    int64_t n_skipped;                /* not among them: float16 overflowed, nothing was updated */
    double  phase[BT_TRAIN_N_PHASES]; /* seconds a step */
    double  step;                     /* their sum: seconds of a step */
    double  fastest_step;
    double  make_batch; /* seconds in which the reading thread makes a batch, beside the steps */
    int64_t heap_calls; /* of the process in all the measured steps together */
    double  examples_per_second;
    double  tokens_per_second;
    double  products_gflop; /* of a step's products, 10^9 */
    size_t  n_peaks;        /* >= 1 */
    bt_train_peak peaks[4];
    size_t        yardstick;     /* which of peaks: the fastest one of the run's precision */
    int64_t peak_resident_bytes; /* of the process until the last step; 0: the system does not say
                                  */
    int64_t engine_bytes;
} bt_train_benchmark;

/* Builds what mode train builds of args (args->mode must be it) and trains n_steps (0: as many as
 * fit into ten seconds, at most 20) after some to warm up, on the rows that the training would
 * read. args->model_dir is neither read nor written. BT_E_INTERRUPTED: asked to stop. */
BT_MUST_USE bt_status bt_train_run_benchmark(const bt_train_args *args, int64_t n_steps,
                                             bt_train_benchmark *out, bt_error *err);

/* What a run would take on devices that are not here (--compile_only). */

/* A program of the run, compiled. Bytes are those of one device. */
typedef struct bt_train_program {
    int64_t batch; /* examples, on all devices together, of a step or of one of its parts */
    int32_t n_devices;
    int32_t n_parts;                 /* of a step: trainer.gradient_accumulation_steps */
    int64_t n_batches;               /* that were read to see how long the sequences are */
    int64_t n_shapes;                /* that they have: so many programs */
    int64_t n_rows, n_slots, n_seqs; /* of a device, in the largest of them: bt_exec_shape */
    double  product_gflop;           /* 10^9 operations of one device's products in a step */
    bool    is_too_large;            /* the compiler saw that it does not fit: no bytes are known */
    int64_t argument_bytes, result_bytes, donated_bytes, temporary_bytes, code_bytes;
    int64_t beside_bytes; /* of the state, what stays and is not an argument: slots and averages
                           * while a run that trains evaluates, or works on a part */
    int64_t total_bytes;
    int64_t serialized_bytes;
    double  seconds; /* to compile */
} bt_train_program;

/* The largest batch whose program fits if all sequences are as long as may be. */
typedef struct bt_train_largest {
    bool             is_known;   /* it was looked for, and some batch fits; else nothing else is */
    bool             is_bounded; /* one more does not fit; false: none larger was tried */
    int64_t          batch;
    bt_train_program program; /* its own */
    int32_t          n_compiled;
} bt_train_largest;

typedef struct bt_train_part {
    bool             is_there;
    bt_train_program program;      /* of the largest batch among those that were read */
    int64_t full_rows, full_slots; /* of such a batch whose sequences all are as long as may
                                    * be, by which a run judges whether it fits */
    int64_t          full_bytes;   /* its bytes, by estimate */
    bool             has_full;
    bt_train_program full; /* the same, compiled: where the estimate is more than half of what is
                            * there, or the largest batch is looked for */
    bt_train_largest largest;
} bt_train_part;

typedef struct bt_train_compiled {
    char          chip[128], plugin[1024], version[256];
    int           api_minor;
    int32_t       n_devices;
    int64_t       memory_bytes; /* of a device; -1: not known */
    int64_t       usable_bytes; /* of it, by programs; -1: not known, and nothing is judged */
    bt_train_part training, evaluation;
} bt_train_compiled;

/* Builds what args build, without weights, reads the rows of the first epoch (and of an evaluation)
 * to see which shapes of batches they give, and compiles for target the program of the largest one.
 * finds_largest: compiles some more to find the largest batch that fits; also done where this one
 * does not. Makes the checks of bt_train_check, and writes nothing. *is_whole: out is filled, which
 * it is too with BT_E_NOMEM of a batch that does not fit a device. target: bt_pjrt_target_parse's
 * words. BT_E_CONFIG: target and configuration say different things; BT_E_BACKEND: there is no
 * plug-in, or what it says. */
BT_MUST_USE bt_status bt_train_compile_only(const bt_train_args *args, const char *target,
                                            bool finds_largest, bt_train_compiled *out,
                                            bool *is_whole, bt_error *err);

/* --dry_run: makes the checks of bt_train_run in their order and fails as that would, with the same
 * sentence: configuration, data, model, steps, what it starts from, memory; also what the run would
 * find later: damage in the checkpoint, and in any row that it would read. Trains nothing and
 * writes nothing; what is derived, and what the run would restore, is logged. Not looked at: who
 * else holds model_dir, and whether the disk takes what will be written. */
BT_MUST_USE bt_status bt_train_check(const bt_train_args *args, bt_error *err);
/* The steps that a run of a mode that trains would end at, and those of its warm-up where
 * trainer.warmup_fraction says them (else 0). Makes the checks of bt_train_run, reads no rows. */
BT_MUST_USE bt_status bt_train_find_steps(const bt_train_args *args, int64_t *n_steps,
                                          int64_t *n_warmup, bt_error *err);
/* bt_train_check of every run of bt_train_run_seeds. */
BT_MUST_USE bt_status bt_train_check_seeds(const bt_train_args *args, const int64_t *seeds,
                                           size_t n_seeds, bt_error *err);

#endif
