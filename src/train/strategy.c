/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the steps run: runtime.distribution_strategy and the keys beside it, taken as Model
 * Garden's distribute_utils takes them, become an engine and its devices here and nowhere else. One
 * row a strategy; what does not go together is refused, what has no effect is told. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/comm.h"
#include "bt/train.h"
#include "strategy.h"

/* What a strategy works on. */
typedef enum strategy_devices {
    ON_GPUS,       /* where runtime.num_gpus says so, else on the processors */
    ON_TPUS,       /* all that the plug-in has */
    ON_PROCESSORS, /* of each process */
} strategy_devices;

enum { N_ALGS = 2 };

typedef struct strategy_row {
    const char      *name;
    strategy_devices devices;
    int32_t          max_gpus;
    const char      *algs[N_ALGS]; /* values of all_reduce_alg in Model Garden; NULL: not read */
} strategy_row;

static const strategy_row strategies[] = {
    {.name = "off", .devices = ON_GPUS, .max_gpus = 1},
    {.name = "one_device", .devices = ON_GPUS, .max_gpus = 1},
    {.name = "mirrored",
     .devices = ON_GPUS,
     .max_gpus = INT32_MAX,
     .algs = {"nccl", "hierarchical_copy"}},
    {.name = STRATEGY_TOGETHER, .devices = ON_PROCESSORS, .algs = {"ring", "nccl"}},
    {.name = "tpu", .devices = ON_TPUS, .max_gpus = INT32_MAX},
};

#define RUNTIME "runtime"
#define STRATEGY RUNTIME ".distribution_strategy"

typedef struct strategy_keys {
    const char      *name, *plugin, *tpu, *attention, *shares;
    int32_t          n_gpus;
    bt_conf_opt_bool deterministic;
} strategy_keys;

static const bt_conf_field strategy_fields[] = {
    {"distribution_strategy", BT_CONF_FIELD_STR, offsetof(strategy_keys, name)},
    {"pjrt_plugin", BT_CONF_FIELD_STR, offsetof(strategy_keys, plugin)},
    {"tpu", BT_CONF_FIELD_STR, offsetof(strategy_keys, tpu)},
    {"attention", BT_CONF_FIELD_STR, offsetof(strategy_keys, attention)},
    {"batch_shares", BT_CONF_FIELD_STR, offsetof(strategy_keys, shares)},
    {"num_gpus", BT_CONF_FIELD_I32, offsetof(strategy_keys, n_gpus)},
    {"deterministic", BT_CONF_FIELD_OPT_BOOL, offsetof(strategy_keys, deterministic)},
};

typedef struct asked {
    const bt_conf      *conf;
    bt_conf_errors     *errors;
    const strategy_row *row;
    strategy_keys       keys;
    bt_error           *err;
} asked;

bool strategy_is_together(const bt_conf *conf) {
    const char *name = "";
    return bt_conf_get_str(conf, STRATEGY, &name, NULL) == BT_OK &&
           bt_str_equal_nocase(name, STRATEGY_TOGETHER);
}

static const strategy_row *find_row(const char *name) {
    for (size_t i = 0; i < BT_ARRAY_LEN(strategies); i++) {
        if (bt_str_equal_nocase(strategies[i].name, name)) {
            return &strategies[i];
        }
    }
    return NULL; /* the schema knows no other names */
}

static bt_status read_keys(asked *c) {
    BT_TRY(bt_conf_bind(c->conf, RUNTIME, strategy_fields, BT_ARRAY_LEN(strategy_fields), &c->keys,
                        c->err));
    c->row = find_row(c->keys.name);
    return c->row != NULL
               ? BT_OK
               : BT_FAIL(c->err, BT_E_INTERNAL, STRATEGY ": no row for '%s'", c->keys.name);
}

/* Of a key whose value is a text. */
static bt_status refuse_text(const asked *c, const char *path, const char *text, const char *why) {
    char value[128];
    (void)snprintf(value, sizeof value, "'%.100s'", text);
    return bt_conf_refuse(c->conf, c->errors, path, value, why, c->err);
}

static bt_status refuse_number(const asked *c, const char *path, int64_t number, const char *why) {
    char value[32];
    (void)snprintf(value, sizeof value, "%" PRId64, number);
    return bt_conf_refuse(c->conf, c->errors, path, value, why, c->err);
}

static bt_status check_gpus(const asked *c) {
    char why[256];
    if (c->keys.n_gpus <= c->row->max_gpus) {
        return BT_OK;
    }
    (void)snprintf(why, sizeof why,
                   "the strategy '%s' takes %s: set " STRATEGY " to mirrored, or this to %d",
                   c->row->name, c->row->max_gpus > 0 ? "one GPU at most" : "processors only",
                   (int)c->row->max_gpus);
    return refuse_number(c, RUNTIME ".num_gpus", c->keys.n_gpus, why);
}

/* Model Garden reads the name of a TPU with its own strategy only, and trains on something else
 * without a word. Its address of another machine (grpc://) is nothing that a plug-in could reach.
 */
static bt_status check_tpu(const asked *c) {
    static const char path[] = RUNTIME ".tpu";
    char              why[256];
    if (c->keys.tpu[0] == '\0') {
        return BT_OK;
    }
    if (c->row->devices != ON_TPUS) {
        (void)snprintf(why, sizeof why,
                       "the strategy '%s' takes no TPU: set " STRATEGY
                       " to tpu, or leave --tpu out",
                       c->row->name);
        return refuse_text(c, path, c->keys.tpu, why);
    }
    return strstr(c->keys.tpu, "://") == NULL
               ? BT_OK
               : refuse_text(c, path, c->keys.tpu,
                             "TPUs of another machine cannot be used: run on the machine that has "
                             "them, with --tpu=local");
}

static bt_status check_plugin(const asked *c) {
    return c->keys.plugin[0] == '\0' || c->row->devices != ON_PROCESSORS
               ? BT_OK
               : refuse_text(c, RUNTIME ".pjrt_plugin", c->keys.plugin,
                             "several processes train on processors: leave it empty");
}

static bool is_on_devices(const asked *c) {
    return c->keys.plugin[0] != '\0' || c->row->devices == ON_TPUS || c->keys.n_gpus > 0;
}

static bt_status check_attention(const asked *c) {
    return is_on_devices(c) || bt_str_equal(c->keys.attention, "auto")
               ? BT_OK
               : refuse_text(c, RUNTIME ".attention", c->keys.attention,
                             "this run is on processors, which have one attention of their own: "
                             "set it to auto");
}

static bt_status check_precision(const asked *c) {
    static const char path[] = RUNTIME ".precision";
    return !is_on_devices(c) || bt_conf_peek_is_empty(c->conf, path)
               ? BT_OK
               : refuse_text(c, path, bt_conf_peek_str(c->conf, path),
                             "devices compute in what runtime.mixed_precision_dtype says: leave it "
                             "out, or evaluate and predict on the processors");
}

static bt_status check_freeze(const asked *c) {
    static const char path[] = "task.model.freeze";
    bt_conf_str_list  words = {0};
    if (is_on_devices(c) && !bt_conf_peek_is_null(c->conf, "task.model.lora")) {
        return refuse_text(c, "task.model.lora", "adapters",
                           "on devices the model itself is trained: set it to null, or train on "
                           "the processors");
    }
    if (!is_on_devices(c) || bt_conf_peek_is_empty(c->conf, path)) {
        return BT_OK;
    }
    BT_TRY(bt_conf_get_str_list(c->conf, path, &words, c->err));
    return refuse_text(c, path, words.n > 0 ? words.items[0] : "",
                       "on devices everything is trained: leave it out, or train on the "
                       "processors");
}

static const char not_deterministic[] =
    "a GPU adds up the gradients of the words in any order, so that the last bits may differ from "
    "run to run (docs/devices.md): leave it out, or train on the processors";

/* Of a plug-in that is named only its client knows what it has. */
static bt_status check_deterministic(const asked *c) {
    const bool is_gpu =
        c->row->devices == ON_GPUS && c->keys.n_gpus > 0 && c->keys.plugin[0] == '\0';
    return is_gpu && c->keys.deterministic.value
               ? bt_conf_refuse(c->conf, c->errors, RUNTIME ".deterministic", "true",
                                not_deterministic, c->err)
               : BT_OK;
}

/* Null is Model Garden's default; '' is not a value of its. */
static bt_status check_alg(const asked *c) {
    static const char        path[] = RUNTIME ".all_reduce_alg";
    const char *const *const algs = c->row->algs;
    const char *const        alg = bt_conf_peek_str(c->conf, path);
    char                     why[256];
    if (algs[0] == NULL || bt_conf_peek_is_null(c->conf, path) || bt_str_equal(alg, algs[0]) ||
        bt_str_equal(alg, algs[1])) {
        return BT_OK;
    }
    (void)snprintf(why, sizeof why, "the strategy '%s' takes %s or %s: set it to null",
                   c->row->name, algs[0], algs[1]);
    return refuse_text(c, path, alg, why);
}

/* Who names several hosts would get one that does all the work, or each of them all of it. */
static bt_status check_workers(const asked *c) {
    static const char why[] = "hosts are not found by this key: set TF_CONFIG on each, or start "
                              "with mpirun or srun (docs/scaling.md), and leave it out";
    const char *const hosts = bt_conf_peek_str(c->conf, RUNTIME ".worker_hosts");
    int64_t           index = 0;
    bt_comm_job       job = {0};
    (void)bt_conf_peek_i64(c->conf, RUNTIME ".task_index", &index);
    if (hosts[0] == '\0' && index <= 0) {
        return BT_OK;
    }
    BT_TRY(bt_comm_job_read(&job, c->err));
    const bool is_alone = job.launch == BT_COMM_ALONE;
    bt_comm_job_deinit(&job);
    if (!is_alone) { /* which knows who they are */
        return BT_OK;
    }
    return hosts[0] != '\0' ? refuse_text(c, RUNTIME ".worker_hosts", hosts, why)
                            : refuse_number(c, RUNTIME ".task_index", index, why);
}

bt_status strategy_check(const bt_conf_check *check) {
    asked c = {.conf = check->conf, .errors = check->errors, .err = check->err};
    BT_TRY(read_keys(&c));
    BT_TRY(check_gpus(&c));
    BT_TRY(check_tpu(&c));
    BT_TRY(check_plugin(&c));
    BT_TRY(check_alg(&c));
    BT_TRY(check_attention(&c));
    BT_TRY(check_precision(&c));
    BT_TRY(check_freeze(&c));
    BT_TRY(check_deterministic(&c));
    return check_workers(&c);
}

static void tell_unused(const asked *c) {
    const strategy_keys *const k = &c->keys;
    if (k->deterministic.is_set && !k->deterministic.value && !is_on_devices(c)) {
        bt_log(BT_LOG_WARNING,
               RUNTIME ".deterministic: false has no effect: on processors the same command always "
                       "gives the same bits");
    }
    const char *const pin = bt_conf_peek_str(c->conf, RUNTIME ".pin");
    if (!bt_str_equal(pin, "none") && is_on_devices(c)) {
        bt_log(BT_LOG_WARNING,
               RUNTIME ".pin: %s has no effect: devices do the work, not threads of ours", pin);
    }
    if (c->row->devices == ON_TPUS && k->n_gpus > 0) {
        bt_log(BT_LOG_WARNING, "runtime.num_gpus: %" PRId32 " is not used: the strategy is tpu",
               k->n_gpus);
    }
    if (c->row->devices == ON_TPUS && k->tpu[0] != '\0' && !bt_str_equal(k->tpu, "local")) {
        bt_log(BT_LOG_INFO, "--tpu=%s: the TPUs of this machine, whatever their name", k->tpu);
    }
}

bt_status strategy_read(const bt_conf *conf, run_strategy *out, bt_error *err) {
    asked c = {.conf = conf, .err = err};
    BT_TRY(read_keys(&c));
    tell_unused(&c);
    const bool is_named = c.keys.plugin[0] != '\0';
    const bool is_tpu = c.row->devices == ON_TPUS;
    *out = (run_strategy){.name = c.row->name,
                          .plugin = is_named ? c.keys.plugin : NULL,
                          .kind = is_tpu ? BT_PJRT_TPU : BT_PJRT_CUDA,
                          .on_devices = is_on_devices(&c),
                          .n_replicas = is_tpu                 ? 0
                                        : c.row->max_gpus == 1 ? 1
                                                               : c.keys.n_gpus,
                          .n_gpus = c.keys.n_gpus,
                          .deterministic = c.keys.deterministic.value,
                          .shares = c.keys.shares};
    return BT_OK;
}

bt_status strategy_wants_devices(const bt_conf *conf, bool *out, bt_error *err) {
    asked c = {.conf = conf, .err = err};
    BT_TRY(read_keys(&c));
    *out = is_on_devices(&c);
    return BT_OK;
}

/* What to look at where the plug-in is there and finds no device. */
static const char *const device_hints[BT_PJRT_N_KINDS] = {
    [BT_PJRT_CPU] = "",
    [BT_PJRT_CUDA] = " (the GPU needs NVIDIA's driver: nvidia-smi lists it; on a machine without "
                     "one, runtime.num_gpus=0 trains on the processors)",
    [BT_PJRT_TPU] = " (a TPU is a device /dev/accel* or /dev/vfio/* of this very machine; on one "
                    "without, runtime.distribution_strategy=mirrored trains on the processors)",
};

static bt_status open_client(run_devices *d, bt_error *err) {
    const run_strategy *const s = &d->strategy;
    bt_status                 rc = BT_OK;
    char                     *path = NULL;
    if (s->plugin == NULL) {
        BT_CHECK(bt_pjrt_plugin_find(s->kind, &path, err));
    }
    BT_CHECK(bt_pjrt_plugin_open(path != NULL ? path : s->plugin, BT_PJRT_TO_RUN, &d->plugin, err));
    rc = bt_pjrt_client_create(d->plugin, NULL, 0, &d->client, err);
    if (rc != BT_OK && s->plugin == NULL && err != NULL) {
        bt_error why = *err;
        rc = BT_FAIL(err, rc, "%s%s", why.msg, device_hints[s->kind]);
    }
done:
    bt_free(path);
    return rc;
}

/* Who asked for a device, where nobody named the plug-in. */
static bt_status name_asker(const run_strategy *s, bt_error *err) {
    if (s->plugin != NULL) {
        return err->code;
    }
    return s->kind == BT_PJRT_TPU
               ? bt_error_prefix(err, STRATEGY ": tpu")
               : bt_error_prefix(err, RUNTIME ".num_gpus: %" PRId32 " (strategy %s)", s->n_gpus,
                                 s->name);
}

static bool is_of_all_pairs(bt_loss_kind loss) {
    return loss == BT_LOSS_RANKING || loss == BT_LOSS_MSE_ALL_PAIRS;
}

/* A loss over all pairs of a share needs equal shares of every batch, the last one of an epoch too.
 */
static bt_status check_shares(const strategy_work *work, int32_t n, bt_error *err) {
    const bt_data_config *const data = work->train_data;
    if (n == 1 || data == NULL || !is_of_all_pairs(work->loss)) {
        return BT_OK;
    }
    const int64_t batch = data->global_batch_size;
    if (!data->drop_remainder) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "task.train_data.drop_remainder: false leaves a last batch that has no "
                       "equal shares for %" PRId32
                       " devices, which a loss over all pairs of a batch needs: set it to true, or "
                       "runtime.distribution_strategy to one_device",
                       n);
    }
    if (batch % n != 0) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "task.train_data.global_batch_size: %" PRId64
                       " has no equal shares for %" PRId32
                       " devices, which a loss over all pairs of a batch needs: set it to a "
                       "multiple of %" PRId32,
                       batch, n, n);
    }
    return BT_OK;
}

static bt_status tell_order(const run_strategy *s, bt_error *err) {
    if (s->deterministic) {
        return BT_FAIL(err, BT_E_CONFIG, RUNTIME ".deterministic: true: %s", not_deterministic);
    }
    bt_log(BT_LOG_INFO, "a GPU adds up the gradients of the words in any order: the last bits may "
                        "differ from run to run (docs/devices.md)");
    return BT_OK;
}

static bt_status count_replicas(run_devices *d, bt_error *err) {
    run_strategy *const s = &d->strategy;
    const int32_t       n_there = bt_pjrt_client_n_devices(d->client);
    bt_pjrt_device      device = {.kind = ""};
    BT_TRY(bt_pjrt_client_device(d->client, 0, &device, err));
    if (s->n_gpus > n_there && s->kind != BT_PJRT_TPU) {
        return BT_FAIL(err, BT_E_BACKEND,
                       "runtime.num_gpus: %" PRId32 " devices are requested, but %s has %" PRId32
                       " (%s): set it to at most that",
                       s->n_gpus, bt_pjrt_plugin_path(d->plugin), n_there, device.kind);
    }
    s->n_replicas = s->n_replicas > 0 ? s->n_replicas : n_there;
    bt_log(BT_LOG_INFO, "strategy %s: %" PRId32 " of %" PRId32 " devices (%s) of %s", s->name,
           s->n_replicas, n_there, device.kind, bt_pjrt_plugin_path(d->plugin));
    if (bt_str_equal(bt_pjrt_client_platform(d->client), "cuda")) {
        BT_TRY(tell_order(s, err));
    }
    return BT_OK;
}

static bt_status fail_target(const compile_target *target, const char *what, const char *value,
                             const char *why, bt_error *err) {
    return BT_FAIL(err, BT_E_CONFIG, "--compile_only=%s: %s is %s: %s", target->name, what, value,
                   why);
}

/* Kind and number are the target's; what the keys say besides must be the same. */
static bt_status agree_with_target(run_devices *d, const bt_conf *conf, int32_t n_there,
                                   bt_error *err) {
    run_strategy *const       s = &d->strategy;
    const strategy_row *const row = find_row(s->name);
    const bool                is_tpu = d->target->parsed.kind == BT_PJRT_TPU;
    char                      number[16];
    if (is_tpu && row->devices != ON_TPUS && bt_conf_is_changed(conf, STRATEGY)) {
        return fail_target(d->target, STRATEGY, s->name, "these are TPUs: set it to tpu", err);
    }
    if (!is_tpu && row->devices == ON_TPUS) {
        return fail_target(d->target, STRATEGY, s->name, "these are GPUs: set it to mirrored", err);
    }
    if (!is_tpu && row->devices == ON_PROCESSORS) {
        return fail_target(d->target, STRATEGY, s->name,
                           "it trains on processors, which need no compiling: set it to mirrored",
                           err);
    }
    if (!is_tpu && row->max_gpus < n_there) {
        return fail_target(d->target, STRATEGY, s->name,
                           "it takes one GPU at most: set it to mirrored, or name one device", err);
    }
    if (s->n_gpus > 0 && row->devices != ON_TPUS && (is_tpu || s->n_gpus != n_there)) {
        (void)snprintf(number, sizeof number, "%" PRId32, s->n_gpus);
        return fail_target(d->target, RUNTIME ".num_gpus", number,
                           is_tpu ? "these are TPUs: set it to 0"
                                  : "the target has another number: set it to that or to 0",
                           err);
    }
    if (d->target->parsed.kind == BT_PJRT_CUDA && s->deterministic) {
        return fail_target(d->target, RUNTIME ".deterministic", "true", not_deterministic, err);
    }
    s->name = is_tpu ? "tpu" : s->name;
    s->kind = d->target->parsed.kind;
    s->on_devices = true;
    s->n_replicas = n_there;
    return BT_OK;
}

static bt_status open_target(run_devices *d, const bt_conf *conf, bt_error *err) {
    const bt_status rc = bt_exec_ahead_open(&d->target->parsed, d->strategy.plugin, &d->ahead, err);
    if (rc == BT_E_CONFIG && err != NULL) {
        const bt_error why = *err;
        return BT_FAIL(err, rc, "--compile_only=%s: %s: choose %s", d->target->name, why.msg,
                       bt_pjrt_target_names);
    }
    if (rc != BT_OK) {
        return bt_error_prefix(err, "--compile_only=%s", d->target->name);
    }
    return agree_with_target(d, conf, bt_exec_ahead_chips(d->ahead).n_devices, err);
}

static bt_status open_devices(run_devices *d, const bt_conf *conf, bt_error *err) {
    if (d->target != NULL) {
        return open_target(d, conf, err);
    }
    return open_client(d, err) == BT_OK ? count_replicas(d, err) : name_asker(&d->strategy, err);
}

bt_status strategy_open(run_devices *d, const bt_conf *conf, const strategy_work *work,
                        bt_error *err) {
    if (d->target == NULL && !d->strategy.on_devices) {
        return BT_OK;
    }
    BT_TRY(open_devices(d, conf, err));
    return check_shares(work, d->strategy.n_replicas, err);
}

void strategy_close(run_devices *d) {
    bt_exec_ahead_close(d->ahead);
    bt_pjrt_client_free(d->client);
    bt_pjrt_plugin_close(d->plugin);
}

bt_exec_shares strategy_shares(const run_strategy *s) {
    return bt_str_equal(s->shares, "sequences") ? BT_EXEC_SHARES_SEQUENCES : BT_EXEC_SHARES_TOKENS;
}

int32_t strategy_n_evaluating(const run_strategy *s, bt_loss_kind loss) {
    return is_of_all_pairs(loss) ? 1 : s->n_replicas;
}

bt_status strategy_create_exec(const run_devices *d, const bt_model *model, const bt_optim *optim,
                               const bt_exec_config *config, bt_exec **out, bt_error *err) {
    const bt_exec_devices devices = {
        .client = d->client, .n_replicas = d->strategy.n_replicas, .cache_folder = ""};
    return d->strategy.on_devices ? bt_exec_create_pjrt(model, optim, config, &devices, out, err)
                                  : bt_exec_create_cpu(model, optim, config, out, err);
}
