/* SPDX-License-Identifier: Apache-2.0
 *
 * Schema tables: runtime and trainer: where it runs, how long, what is saved.
 * One row a key: name, type, flags, default, range, meaning. Names and defaults are those of Model
 * Garden 2.19.1; EXT marks keys of our own. Keys stand in sorted order. */
#include "conf_schema.h"

/* These refer to each other. */
static const conf_class conf_class_trainer;
static const conf_class conf_class_runtime;

static const conf_key experiment_keys[] = {
    SECTION("runtime", &conf_class_runtime, "where and how the program runs"),
    SECTION("task", &conf_class_task, "what is learned from what data"),
    SECTION("trainer", &conf_class_trainer, "how long, at which rate, and what is saved"),
};
const conf_class conf_class_experiment = {"official.core.config_definitions.ExperimentConfig", NULL,
                                          experiment_keys, BT_ARRAY_LEN(experiment_keys), false};

static const conf_key differential_privacy_keys[] = {
    KEY("clipping_norm", T_FLOAT, 0, "100000000.0", RULE_GE0,
        "L2 norm to which gradients are clipped"),
    KEY("noise_multiplier", T_FLOAT, 0, "0.0", RULE_GE0, "noise as a multiple of clipping_norm"),
};
const conf_class conf_class_differential_privacy = {
    "official.modeling.privacy.configs.DifferentialPrivacyConfig", NULL, differential_privacy_keys,
    BT_ARRAY_LEN(differential_privacy_keys), false};

#define WHY_GRAPH "nothing here is a graph of TensorFlow's"
#define WHY_INPUT "batches are made by threads of our own"
#define WHY_MODEL_PARALLEL "a model is never divided over devices here"
#define WHY_WORKERS "TF_CONFIG, mpirun or srun say who the workers are (docs/scaling.md)"

static const conf_key trainer_keys[] = {
    KEY_IGNORED("allow_tpu_summary", T_BOOL, 0, "false", RULE_NONE, "write summaries from TPU",
                "summaries are written whatever the device is"),
    KEY("best_checkpoint_eval_metric", T_STR, NULLABLE, "", RULE_NONE,
        "metric that decides which checkpoint is best (empty = none is exported)"),
    KEY("best_checkpoint_export_subdir", T_STR, NULLABLE, "", RULE_NONE,
        "folder below model_dir for the best checkpoint (empty = none)"),
    KEY("best_checkpoint_metric_comp", T_STR, 0, "higher",
        &(const conf_rule)CHOICES("higher|lower"), "whether a higher or a lower metric is better"),
    KEY("checkpoint_interval", T_INT, NULLABLE, "1000", RULE_GE0,
        "steps between checkpoints (0 or null = none)"),
    KEY("checkpoint_retry", T_INT, EXT, "3", RULE_GE0, "how often a failed save is tried again"),
    KEY("continuous_eval_timeout", T_INT, NULLABLE, "3600", RULE_GE0,
        "seconds to wait for a new checkpoint (null = for ever)"),
    KEY("early_stopping_patience", T_INT, EXT, "0", RULE_GE0,
        "evaluations without a better best-checkpoint metric before stopping (0 = never); they "
        "then fall on multiples of validation_interval"),
    KEY_IGNORED("eval_tf_function", T_BOOL, QUIET, "true", RULE_NONE, "graph mode in evaluation",
                WHY_GRAPH),
    KEY_IGNORED("eval_tf_while_loop", T_BOOL, QUIET, "false", RULE_NONE,
                "evaluation loop on the device", WHY_GRAPH),
    KEY("gradient_accumulation_steps", T_INT, EXT, "1", RULE_GE1,
        "batches of global_batch_size that make one update, as one batch that large would but in "
        "the memory of one; train_steps counts updates"),
    KEY("loss_upper_bound", T_FLOAT, 0, "1000000.0", RULE_NONE,
        "a larger training loss counts as a failed loop"),
    KEY("max_to_keep", T_INT, NULLABLE, "5", RULE_GE1, "checkpoints kept (null = all)"),
    SECTION("optimizer_config", &conf_class_optimization,
            "optimizer, learning rate, warm-up and averaging"),
    KEY_IGNORED("preemption_on_demand_checkpoint", T_BOOL, 0, "true", RULE_NONE,
                "save when the machine is taken away",
                "a run that is told to stop always saves first (docs/reliability.md)"),
    KEY("recovery_begin_steps", T_INT, 0, "0", RULE_NONE,
        "step from which loss_upper_bound counts"),
    KEY("recovery_max_trials", T_INT, 0, "0", RULE_NONE,
        "failed loops allowed before giving up (negative = no check)"),
    KEY("report", T_BOOL, EXT, "true", RULE_NONE,
        "write report.html, for people, when the run ends (docs/guide/report.md)"),
    KEY("report_examples", T_INT, EXT, "20", RULE_GE0,
        "rows of the evaluation whose texts the report shows (0 = no text of the data in it)"),
    KEY("steps_per_loop", T_INT, 0, "1000", RULE_GE1, "steps between two reports"),
    KEY("summary_extras", T_BOOL, EXT, "true", RULE_NONE,
        "TensorBoard's files hold gradient norm, throughput, the wait for input, curves of "
        "precision "
        "and recall, the confusion matrix, the run's parameters and its configuration as well"),
    KEY_IGNORED(
        "summary_interval", T_INT, QUIET, "1000", RULE_GE1,
        "steps between summaries; a multiple of steps_per_loop",
        "summaries are written at each report; the number is only checked, as in Model Garden"),
    KEY("train_steps", T_INT, NULLABLE, "0", RULE_GE0,
        "last step of training, counted from the beginning"),
    KEY_IGNORED("train_tf_function", T_BOOL, QUIET, "true", RULE_NONE, "graph mode in training",
                WHY_GRAPH),
    KEY_IGNORED("train_tf_while_loop", T_BOOL, QUIET, "true", RULE_NONE,
                "training loop on the device", WHY_GRAPH),
    KEY("validation_interval", T_INT, NULLABLE, "1000", RULE_GE0,
        "steps between evaluations (0 or null = only at the end)"),
    KEY("validation_steps", T_INT, 0, "-1", &(const conf_rule)STEPS_OR_ALL,
        "batches per evaluation (-1 = all)"),
    KEY("validation_summary_subdir", T_STR, 0, "validation", RULE_NONE,
        "folder below model_dir for evaluation events"),
    KEY("warmup_fraction", T_FLOAT, EXT, "0.1", RULE_0_TO_1,
        "share of train_steps to warm up when warmup_steps is null"),
};
static const conf_class conf_class_trainer = {"official.core.config_definitions.TrainerConfig",
                                              NULL, trainer_keys, BT_ARRAY_LEN(trainer_keys),
                                              false};

static const conf_key runtime_keys[] = {
    KEY_IGNORED("all_reduce_alg", T_STR, NULLABLE, NULL, RULE_NONE,
                "how gradients are summed over devices (null = chosen); values that Model Garden "
                "refuses are "
                "refused",
                "how gradients are summed is not a choice here"),
    KEY("attention", T_STR, EXT, "auto", &(const conf_rule)CHOICES("auto|xla|triton|cudnn"),
        "how devices compute attention: xla writes it out, triton is our kernels for GPUs, cudnn "
        "NVIDIA's without dropout, auto is triton where there are GPUs; processors have their own"),
    KEY("batch_shares", T_STR, EXT, "tokens", &(const conf_rule)CHOICES("tokens|sequences"),
        "how a batch is divided over devices or processes: equal work, or equal numbers of "
        "sequences as Model Garden's replicas have them"),
    KEY_IGNORED("batchnorm_spatial_persistent", T_BOOL, QUIET, "false", RULE_NONE,
                "a setting of cuDNN", "BERT has no batch normalisation"),
    KEY("blas_library", T_STR, EXT | NULLABLE | PATH, "", RULE_NONE,
        "path or name of the CBLAS that is loaded when something multiplies with one (empty = the "
        "first there is of libopenblas.so.0, libblis.so.4, libmkl_rt.so.2, libblas.so.3)"),
    KEY("bug_compatible", T_BOOL, EXT, "false", RULE_NONE,
        "reproduce Model Garden's known defects, for parity tests"),
    KEY("data_index", T_STR, EXT, "auto", RULE_NONE,
        "where it is kept for the next start what was found by reading a large table or record "
        "file through: auto (a hidden file beside it, else the user's cache), none, or a folder"),
    KEY_IGNORED("dataset_num_private_threads", T_INT, NULLABLE, NULL, RULE_NONE,
                "threads of the input pipeline", WHY_INPUT),
    KEY_IGNORED("default_shard_dim", T_INT, 0, "-1", RULE_NONE,
                "dimension that model parallelism would shard", WHY_MODEL_PARALLEL),
    KEY("deterministic", T_BOOL, EXT | NULLABLE, NULL, RULE_NONE,
        "true: refuse what does not promise that the same command gives the same bits, which is a "
        "GPU (docs/devices.md); else it does on processors whatever stands here"),
    KEY("distribution_strategy", T_STR, 0, "mirrored",
        &(const conf_rule)CHOICES_NOCASE("off|one_device|mirrored|multi_worker_mirrored|tpu"),
        "how the work is spread over devices"),
    KEY_IGNORED("enable_xla", T_BOOL, 0, "false", RULE_NONE, "compile with XLA when there are GPUs",
                "devices always run programs that XLA compiled, processors never"),
    KEY_IGNORED("gpu_thread_mode", T_STR, NULLABLE, NULL, RULE_NONE,
                "how TensorFlow's GPU threads are pooled", "devices manage their own threads"),
    KEY("gradient_wire", T_STR, EXT, "float32", &(const conf_rule)CHOICES("float32|bfloat16"),
        "in what gradients travel between processes (multi_worker_mirrored); bfloat16: half the "
        "bytes, and each share and each sum is rounded"),
    KEY("isa", T_STR, EXT, "auto", &(const conf_rule)CHOICES("auto|ref|avx2|avx512|neon"),
        "instruction set of the kernels"),
    KEY("loss_scale", T_STR_OR_FLOAT, NULLABLE, NULL, &(const conf_rule)CHOICES("dynamic"),
        "what float16 multiplies the loss by: null or dynamic, or a fixed factor"),
    KEY("matmul", T_STR, EXT, "auto", &(const conf_rule)CHOICES("auto|blas"),
        "what computes matrix products: auto is our own kernels where the instruction set has "
        "them"),
    KEY("mixed_precision_dtype", T_STR, NULLABLE, NULL,
        &(const conf_rule)CHOICES("float16|bfloat16|float32"),
        "what the factors of the large matrix products are rounded to (null = float32); weights "
        "and all "
        "else stay float32; bfloat16 is fast where the processor has it"),
    KEY_IGNORED("num_cores_per_replica", T_INT, 0, "1", RULE_NONE,
                "cores a model replica uses on TPU", WHY_MODEL_PARALLEL),
    KEY("num_gpus", T_INT, 0, "0", RULE_GE0, "number of GPUs to use; 0 = the CPU"),
    KEY_IGNORED("num_packs", T_INT, 0, "1", RULE_NONE, "tensors per all-reduce pack",
                "how gradients are summed is not a choice here"),
    KEY("padding", T_STR, EXT, "auto", &(const conf_rule)CHOICES("auto|keep|drop"),
        "auto computes no padding wherever that leaves the result the same"),
    KEY_IGNORED("per_gpu_thread_count", T_INT, 0, "0", RULE_NONE, "threads per GPU",
                "devices manage their own threads"),
    KEY("pin", T_STR, EXT, "none", &(const conf_rule)CHOICES("none|cores|nodes"),
        "where CPU threads run: none leaves it to the kernel, cores binds each to a core of its "
        "own, nodes each to the cores that share a memory (docs/scaling.md)"),
    KEY("pjrt_plugin", T_STR, EXT | NULLABLE, "", RULE_NONE,
        "path of a PJRT plug-in (a shared library) on whose devices the steps run; empty = the "
        "strategy looks for one, or needs none"),
    KEY("precision", T_STR, EXT | NULLABLE, NULL, &(const conf_rule)CHOICES("int8"),
        "int8: evaluations and predictions multiply the encoder's weights in 8 bits, and tell what "
        "that costs (null = in mixed_precision_dtype; docs/guide/predictions.md)"),
    KEY("precision_compared", T_BOOL, EXT, "true", RULE_NONE,
        "with precision: int8, compute in floats first, to tell what 8 bits cost; false: no time "
        "and no memory for that"),
    KEY("recompute", T_BOOL, EXT, "false", RULE_NONE, "recompute activations in the backward pass"),
    KEY_IGNORED("run_eagerly", T_BOOL, 0, "false", RULE_NONE, "run op by op", WHY_GRAPH),
    KEY_IGNORED("task_index", T_INT, 0, "-1", RULE_NONE,
                "index of this worker; refused above 0 where this is the only process",
                WHY_WORKERS),
    KEY("threads", T_INT, EXT, "0", RULE_THREADS, "CPU threads; 0 = one a physical core"),
    KEY("tpu", T_STR, NULLABLE, NULL, RULE_NONE,
        "name or address of the TPU; the flag --tpu sets it, and resets it when absent"),
    KEY_IGNORED("tpu_enable_xla_dynamic_padder", T_BOOL, NULLABLE, NULL, RULE_NONE,
                "dynamic shapes on TPU", "shapes of programs are always fixed"),
    KEY_IGNORED("use_tpu_mp_strategy", T_BOOL, 0, "false", RULE_NONE, "model parallelism on TPU",
                WHY_MODEL_PARALLEL),
    KEY_IGNORED("worker_hosts", T_STR, NULLABLE, NULL, RULE_NONE,
                "addresses of workers; refused where this is the only process", WHY_WORKERS),
};
static const conf_class conf_class_runtime = {"official.core.config_definitions.RuntimeConfig",
                                              NULL, runtime_keys, BT_ARRAY_LEN(runtime_keys),
                                              false};

const conf_class conf_class_empty = {"official.modeling.hyperparams.base_config.Config", NULL, NULL,
                                     0, false};
