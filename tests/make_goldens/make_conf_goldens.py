#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/goldens/conf: small configuration cases, answered by the real Model Garden.

Usage: make_conf_goldens.py   (with a Python that has tf-models-official 2.19.1)
Every case is a folder with args (one shell line), its files, and expected.yaml (what Model Garden
writes to params.yaml) or expected.error (the type of its exception). Versions and the sum of all
files go to tests/goldens/conf/SOURCE.md.
"""
import hashlib
import os
import pathlib
import shlex
import shutil
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
OUT = pathlib.Path(__file__).resolve().parent.parent / "goldens" / "conf"
CLS = "bert/sentence_prediction"
DUAL = "bert/dual_encoder"
RATE = "trainer.optimizer_config.learning_rate."
LONG = "word " * 30


def override(experiment, text):
    return {"experiment": experiment, "params_override": text}


CASES = {
    "defaults-classify": {"experiment": CLS},
    "defaults-squad": {"experiment": "bert/squad"},
    "defaults-tagging": {"experiment": "bert/tagging"},
    "defaults-dynamic": {"experiment": "bert/pretraining_dynamic"},
    "defaults-dual-encoder": {"experiment": DUAL},
    "dual-encoder": override(DUAL, "task.model={bidirectional: true, logit_scale: 20.0},"
                             "task.model.eval_top_k=[1, 5],task.model.logit_margin=0.3,"
                             "task.train_data.left_text_fields=[de, more],"
                             "task.train_data.input_path='a,b'"),
    "err-dual-encoder": override(DUAL, "task.model.num_classes=2"),
    "stacked": {
        "experiment": CLS, "config_file": ["a.yaml", "b.yaml"], "tpu": "local",
        "params_override": "trainer.train_steps=7, task.name=over",
        "files": {"a.yaml": "trainer: {train_steps: 5, max_to_keep: 2}\nruntime: {tpu: gone}\n",
                  "b.yaml": "trainer:\n  train_steps: 6\ntask:\n  model:\n    num_classes: 2\n"}},
    "merge-keys": {
        "experiment": CLS, "config_file": ["a.yaml"],
        "files": {"a.yaml": "task:\n  train_data: &t {seq_length: 9, seed: 07}\n"
                            + "  validation_data:\n    <<: [*t, {seq_length: 8}]\n    cache: Yes\n"}},
    "text-styles": {
        "experiment": CLS, "config_file": ["a.yaml"],
        "files": {"a.yaml": "task:\n  name: \"" + LONG + "\\t" + LONG + "\"\n"
                            "  init_checkpoint: '" + LONG + ": it''s " + LONG + "'\n"
                            "  train_data:\n    input_path: ['a, b', 'c: d', '" + LONG + "', \"\\u00e9 " + LONG + "\"]\n"
                            "    label_field: |-\n      one\n\n      two\n"
                            "  validation_data:\n    label_field: '?x'\n    tfds_name: '- '\n    tfds_split: '1e'\n"}},
    "numbers": override(CLS, RATE + "type=stepwise," + RATE + "stepwise.boundaries[1]=20," + RATE
                        + "stepwise.boundaries[0]=1_0," + RATE + "stepwise.values=[1e-3, .5, 1.0e+20]"),
    "one-ofs": override(CLS, "task.model.encoder.type=fnet,trainer.optimizer_config.optimizer.type="
                        "lamb,trainer.optimizer_config.ema={},trainer.optimizer_config.warmup.type=linear"),
    "paths": override(CLS, "task.init_checkpoint=gs://b/c-1,task.train_data.input_path=[/a,gs://b],"
                      "task.validation_data.input_path='x,y',"),
    "err-unknown": override(CLS, "trainer.trainsteps=1"),
    "err-list": override(CLS, "task.train_data.input_path=[[1],[2]]"),
    "err-type": override(CLS, "task.model.encoder.type=bart"),
    "err-text": override(CLS, "task.name=a: b"),
    "err-yaml": {"experiment": CLS, "config_file": ["a.yaml"], "files": {"a.yaml": "a: [1\n"}},
}
# Files of configs/experiments with keys that Model Garden has, on a file of configs/models: what it makes of them.
STACKED = {
    CLS: {"glue_cola": "bert_en_cased_base", "glue_mnli_matched": "bert_en_uncased_base", "glue_mrpc": "minilm",
          "glue_qnli": "minilm", "glue_qqp": "minilm", "glue_rte": "minilm", "glue_sst2": "bert_en_uncased_large",
          "glue_stsb": "minilm", "glue_wnli": "albert_base"},
    CLS + "_text": {"glue_mnli_text": "bert_en_uncased_base"},
    "bert/squad": {"squad_v1": "distilbert_base_uncased", "squad_v1.1": "distilbert_base_uncased"},
    "bert/tagging": {"tagging_panx": "bert_en_cased_base", "tagging_udpos": "minilm"},
}
for EXPERIMENT, FILES in STACKED.items():
    for FILE, MODEL in FILES.items():
        CASES["file-" + FILE.replace(".", "-")] = {
            "experiment": EXPERIMENT, "config_file": [f"../../../../configs/models/{MODEL}.yaml",
                                                      f"../../../../configs/experiments/{FILE}.yaml"]}


def register_dual_encoder():
    """Model Garden has the task, but no experiment: ours, in its own classes."""
    from official.core import config_definitions as cfg
    from official.core import exp_factory
    from official.nlp.configs import finetuning_experiments
    from official.nlp.data import dual_encoder_dataloader as data
    from official.nlp.tasks import dual_encoder

    @exp_factory.register_config_factory(DUAL)
    def bert_dual_encoder():
        like = finetuning_experiments.bert_sentence_prediction()
        return cfg.ExperimentConfig(
            task=dual_encoder.DualEncoderConfig(
                train_data=data.DualEncoderDataConfig(seq_length=64),
                validation_data=data.DualEncoderDataConfig(
                    is_training=False, drop_remainder=False, seq_length=64)),
            trainer=like.trainer,
            restrictions=["task.train_data.is_training != None",
                          "task.validation_data.is_training != None"])


def run(case, folder):
    from absl import flags
    from official.nlp.configs import experiment_configs  # noqa: F401  registers the experiments
    from official.common import flags as tfm_flags
    from official.core import train_utils
    values = flags.FlagValues()
    for name in ("experiment", "params_override", "tpu", "tf_data_service", "model_dir"):
        flags.DEFINE_string(name, None, "", flag_values=values)
    flags.DEFINE_multi_string("config_file", [], "", flag_values=values)
    del tfm_flags
    values(["make_conf_goldens"] + [
        "--%s=%s" % (name, value) for name in ("experiment", "config_file", "tpu", "params_override")
        if name in case
        for value in (case[name] if isinstance(case[name], list) else [case[name]])])
    os.chdir(folder)
    with tempfile.TemporaryDirectory() as model_dir:
        try:
            params = train_utils.parse_configuration(values, print_return=False)
            train_utils.serialize_config(params, model_dir)
        except Exception as error:  # whatever it is: the type is what we keep
            return "expected.error", "%s.%s\n" % (type(error).__module__, type(error).__qualname__)
        return "expected.yaml", pathlib.Path(model_dir, "params.yaml").read_text()


def main():
    register_dual_encoder()
    shutil.rmtree(OUT, ignore_errors=True)
    digest = hashlib.sha256()
    for name, case in CASES.items():
        folder = OUT / name
        folder.mkdir(parents=True)
        for file, text in case.get("files", {}).items():
            (folder / file).write_text(text)
        words = ["--%s=%s" % (flag, value) for flag in ("experiment", "config_file", "tpu", "params_override")
                 if flag in case
                 for value in (case[flag] if isinstance(case[flag], list) else [case[flag]])]
        (folder / "args").write_text(" ".join(shlex.quote(word) for word in words) + "\n")
        file, text = run(case, folder)
        (folder / file).write_text(text)
        for path in sorted(folder.iterdir()):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    import tensorflow as tf
    import yaml
    (OUT / "SOURCE.md").write_text(
        "# Configuration goldens of our own\n\nWritten by tests/make_goldens/make_conf_goldens.py with "
        "tf-models-official 2.19.1, TensorFlow %s, PyYAML %s, Python %s.\nsha256 over names and bytes: `%s`\n"
        % (tf.__version__, yaml.__version__, sys.version.split()[0], digest.hexdigest()))


if __name__ == "__main__":
    main()
