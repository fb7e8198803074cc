/* SPDX-License-Identifier: Apache-2.0
 *
 * The flags of bert-train: those of Model Garden's train.py (docs/model_garden/config.md 1.1) and
 * our own. Flags that train.py declares and never reads are taken and do nothing here as well. */
#include <stdio.h>
#include <string.h>

#include "bert_train.h"
#include "bt/conf.h"

static const char *const modes[] = {"train",
                                    "eval",
                                    "train_and_eval",
                                    "continuous_eval",
                                    "continuous_train_and_eval",
                                    "train_and_validate",
                                    "train_and_post_eval",
                                    "predict",
                                    "export",
                                    NULL};
static const char *const dry_runs[] = {"config", NULL};

/* What says the configuration. */
const bt_flag_def bert_train_conf_defs[BERT_TRAIN_N_CONF_DEFS] = {
    {.name = "experiment",
     .kind = BT_FLAG_STRING,
     .values = values_of_experiment,
     .help =
         "the experiment to run, e.g. bert/sentence_prediction (--list_experiments lists them)"},
    {.name = "mode", .kind = BT_FLAG_ENUM, .choices = modes, .help = "what to do"},
    {.name = "model_dir",
     .kind = BT_FLAG_STRING,
     .is_path = true,
     .help = "folder for checkpoints, events and metrics; an unfinished run in it is continued"},
    {.name = "init",
     .kind = BT_FLAG_STRING,
     .is_path = true,
     .help = "weights to start from: a Hugging Face folder (or hf://owner/name), a checkpoint, or "
             "a TF Hub module; short for task.init_checkpoint or task.hub_module_url. A vocab.txt "
             "beside the weights is the vocabulary"},
    {.name = "train",
     .kind = BT_FLAG_STRING,
     .is_path = true,
     .help = "training data; short for task.train_data.input_path. What you do not set is inferred "
             "from the data: the columns of a table (--text, --label), num_classes from the "
             "labels, the tags of words, SQuAD 2 if some questions have no answer. Defaults: 3 "
             "epochs in batches of 32 (questions: 2 epochs, batches of 48), learning rate 2e-5 "
             "(tags and questions: 5e-5) with a warm-up of 10 % and a decay to 0, an evaluation "
             "and a checkpoint every epoch; without --eval, 10 % is held out"},
    {.name = "eval",
     .kind = BT_FLAG_STRING,
     .is_path = true,
     .help = "evaluation data; short for task.validation_data.input_path"},
    {.name = "predict",
     .kind = BT_FLAG_STRING,
     .is_path = true,
     .help = "--mode=predict: the data to predict; short for task.validation_data.input_path"},
    {.name = "text",
     .kind = BT_FLAG_STRING,
     .help = "COLUMN[,COLUMN]: the columns that hold the text, in both sections (default: the "
             "first of these that exist: sentence1,sentence2; question1,question2; "
             "premise,hypothesis; question,sentence; text_a,text_b; sentence; text; review; for "
             "pairs also anchor,positive; query,answer; left,right; source,target). Words with "
             "tags: the number of the word's column (for CoNLL-U Plus also its name)"},
    {.name = "label",
     .kind = BT_FLAG_STRING,
     .help = "COLUMN: the column that holds the label, in both sections (default: the first of "
             "label, labels, class, category and target that exists). Words with tags: the number "
             "of the tag's column, or its name (default: the last column)"},
    {.name = "config_file",
     .kind = BT_FLAG_LIST,
     .values = values_of_config,
     .help = "YAML file (or inline YAML, or the name of a built-in file: --list_configs) that "
             "overrides the experiment's defaults; may be given several times"},
    {.name = "params_override",
     .kind = BT_FLAG_STRING,
     .values = values_of_override,
     .help = "overrides of the files: a.b=1,c=[x,y] or YAML"},
    {.name = "tpu",
     .kind = BT_FLAG_STRING,
     .help = "local, or the name of this machine's TPUs; sets runtime.tpu, for the strategy tpu"},
    {.name = "tf_data_service",
     .kind = BT_FLAG_STRING,
     .help = "address of a tf.data service; sets it in both data sections"},
    {.name = "offline",
     .kind = BT_FLAG_BOOL,
     .default_text = "false",
     .help = "take task.hub_module_url from the module cache only; fetch nothing"},
    {.name = "isa",
     .kind = BT_FLAG_STRING,
     .help = "auto, ref, avx2, avx512 or neon; short for runtime.isa"},
};

/* What a run does with it. */
static const bt_flag_def defs[] = {
    {.name = "allow_changed",
     .kind = BT_FLAG_STRING,
     .help = "KEY,...: keys (or sections) that may differ from those the run began with, where "
             "that is refused otherwise: another optimizer, model or vocabulary; for an evaluation "
             "or prediction: task.validation_data.vocab_file"},
    {.name = "seeds",
     .kind = BT_FLAG_STRING,
     .help = "1,2,3 or 1..3: train once with each seed, in model_dir/seed_N, and report mean and "
             "standard deviation of every result; model_dir/best_seed is the best run"},
    {.name = "checkpoint",
     .kind = BT_FLAG_STRING,
     .is_path = true,
     .help = "eval, predict and export: latest (default) or best, both of model_dir, or the prefix "
             "of any "
             "checkpoint"},
    {.name = "output_path",
     .kind = BT_FLAG_STRING,
     .is_path = true,
     .help = "predict: the file to write (default: predictions.tsv in model_dir; for pairs "
             "pairs.tsv); for bert/squad the folder (default: model_dir). export: the folder to "
             "make"},
    {.name = "output_format",
     .kind = BT_FLAG_STRING,
     .help = "predict: tsv, jsonl or, for tags, conll (default: by the extension of output_path, "
             "else tsv)"},
    {.name = "export_format",
     .kind = BT_FLAG_STRING,
     .help = "export: hf (a folder for transformers), safetensors (its weights and config.json "
             "alone), sentence_transformers, onnx or saved_model (for TensorFlow Serving)"},
    {.name = "export_precision",
     .kind = BT_FLAG_STRING,
     .help = "export as onnx: float32 (default), float16 or int8; what the last two cost on the "
             "validation data is told"},
    {.name = "glue_submission",
     .kind = BT_FLAG_STRING,
     .is_path = true,
     .help = "predict: folder for the file that the GLUE leaderboard expects for this task"},
    {.name = "glue_task",
     .kind = BT_FLAG_STRING,
     .help = "predict: CoLA, SST-2, MRPC, STS-B, QQP, MNLI-m, MNLI-mm, QNLI, RTE, WNLI or AX "
             "(default: from the meta data)"},
    {.name = "fail_below",
     .kind = BT_FLAG_STRING,
     .help = "NAME=NUMBER[,...]: exit code 8 when such a value of the end (with --seeds: its mean) "
             "is below the number, or not a number; e.g. cls_accuracy=0.9"},
    {.name = "fail_above",
     .kind = BT_FLAG_STRING,
     .help = "NAME=NUMBER[,...]: likewise when it is above; e.g. validation_loss=0.5"},
    {.name = "result_json",
     .kind = BT_FLAG_STRING,
     .is_path = true,
     .help = "file for the result as one JSON object, also of a run that fails; - is standard "
             "output"},
    {.name = "result_junit",
     .kind = BT_FLAG_STRING,
     .is_path = true,
     .help = "likewise as JUnit's XML: a test case for the run and one for each limit"},
    {.name = "result_markdown",
     .kind = BT_FLAG_STRING,
     .is_path = true,
     .help = "likewise as a Markdown table, e.g. --result_markdown=$GITHUB_STEP_SUMMARY"},
    {.name = "prometheus_file",
     .kind = BT_FLAG_STRING,
     .is_path = true,
     .help = "local file NAME.prom for Prometheus' textfile collector: step, losses, speed and the "
             "last evaluation, replaced at each record"},
    {.name = "pretrain_steps",
     .kind = BT_FLAG_INT,
     .help = "continuous_train_and_eval: the last step of the pre-training job"},
    {.name = "gin_file",
     .kind = BT_FLAG_LIST,
     .help = "gin configuration (refused: bert-train has no gin)"},
    {.name = "gin_params",
     .kind = BT_FLAG_LIST,
     .help = "gin bindings (refused: bert-train has no gin)"},
    {.name = "enable_async_checkpointing",
     .kind = BT_FLAG_BOOL,
     .default_text = "true",
     .help = "write checkpoints while training continues, if a copy of the state fits into memory; "
             "false: training continues only when a checkpoint is complete on disk"},
    {.name = "dry_run",
     .kind = BT_FLAG_BOOL,
     .choices = dry_runs,
     .default_text = "false",
     .help = "print the merged parameters as YAML and refuse what the run would refuse, with the "
             "same exit code; train and write nothing. --dry_run=config (and --dry_run without "
             "--mode) checks only the parameters, no files"},
    {.name = "benchmark",
     .kind = BT_FLAG_BOOL,
     .default_text = "false",
     .help = "train a few steps and print what they cost, phase by phase, beside the machine's "
             "peak (with --log_format=json as one JSON object); writes nothing, and needs neither "
             "--mode nor --model_dir"},
    {.name = "benchmark_steps",
     .kind = BT_FLAG_INT,
     .help = "--benchmark: the number of steps to measure (default: as many as take ten seconds, "
             "at most 20)"},
    {.name = "compile_only",
     .kind = BT_FLAG_STRING,
     .help = "compile the training and evaluation of this command for devices that are not "
             "present, and print what they would take (with --log_format=json as one JSON object): "
             "a100, h100, h200, h100:8 for 8 of them, a TPU topology (v5e:2x2), or a file with a "
             "GpuTargetConfigProto. Exit code 4: a batch does not fit. Trains and writes nothing"},
    {.name = "largest_batch",
     .kind = BT_FLAG_BOOL,
     .help = "--compile_only: also search for the largest batch that fits, which compiles a few "
             "more programs (default: true)"},
    {.name = "list_experiments",
     .kind = BT_FLAG_BOOL,
     .default_text = "false",
     .help = "list the experiments and exit"},
    {.name = "list_configs",
     .kind = BT_FLAG_BOOL,
     .default_text = "false",
     .help = "list the configurations that are built in, by the names that --config_file takes, "
             "and exit"},
    {.name = "help_experiment",
     .kind = BT_FLAG_STRING,
     .values = values_of_experiment,
     .help = "print every key of an experiment with its type, default and meaning, and exit"},
    /* declared by train.py, without effect there or here */
    {.name = "tpu_platform", .kind = BT_FLAG_STRING},
    {.name = "tfhub_handle", .kind = BT_FLAG_STRING},
    {.name = "tflex_output_uri", .kind = BT_FLAG_STRING},
};

/* A key of the configuration that was typed as a flag. */
static const char *other_name(const char *name, size_t n, char *out, size_t cap) {
    char word[64];
    char key[BT_CONF_ALIAS_MAX];
    if (n >= sizeof word) {
        return NULL;
    }
    memcpy(word, name, n);
    word[n] = '\0';
    if (bt_conf_alias(word, key) == NULL) {
        return NULL;
    }
    (void)snprintf(out, cap, "%s%s%s", key[0] == '-' ? "" : "--params_override=", key,
                   key[0] == '-' ? "" : "=...");
    return out;
}

const bt_flag_table bert_train_flags = {
    .program = "bert-train",
    .summary = "Fine-tunes BERT as TensorFlow Model Garden's official/nlp/train.py does.\n"
               "  bert-train --experiment=bert/sentence_prediction --mode=train_and_eval "
               "--model_dir=DIR \\\n"
               "    --init=FOLDER --train=a.csv --eval=b.csv\n"
               "  bert-train --experiment=bert/sentence_prediction --mode=train_and_eval "
               "--model_dir=DIR \\\n"
               "    --config_file=MODEL.yaml --config_file=TASK.yaml "
               "--params_override=task.init_checkpoint=CKPT",
    .exit_codes =
        "5 a device, or a process of the job, is lost; 6 training diverged (a loss or gradient "
        "that is not finite, or a loss above trainer.loss_upper_bound); 8 a result is beyond "
        "--fail_below or --fail_above; ",
    .defs = bert_train_conf_defs,
    .n_defs = BERT_TRAIN_N_CONF_DEFS,
    .shared = defs,
    .n_shared = sizeof defs / sizeof defs[0],
    .other_name = other_name,
};
