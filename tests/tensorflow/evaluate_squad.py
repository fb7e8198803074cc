#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An evaluation of bert/squad beside Model Garden's own, on the same checkpoint and the same JSON: the
same predictions, n best texts and scores. The checkpoint and the questions are made up here.

usage: evaluate_squad.py [PYTHON]     PYTHON, or $BT_TF_PYTHON: one that has tensorflow
Exit status 77: there is no TensorFlow, and nothing was tested.
"""
import json
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "e2e"), os.path.join(HERE, "..", "e2e", "support")]
from find_tensorflow import find_tensorflow  # noqa: E402

find_tensorflow(sys.argv[1] if len(sys.argv) > 1 else "")

import tensorflow as tf  # noqa: E402
import e2e  # noqa: E402
import squad  # noqa: E402
from official.nlp.configs import encoders  # noqa: E402
from official.nlp.data import question_answering_dataloader as loader  # noqa: E402
from official.nlp.data import squad_lib  # noqa: E402
from official.nlp.tasks import question_answering  # noqa: E402

ENCODER = {"hidden_size": 32, "intermediate_size": 64, "max_position_embeddings": 32,
           "num_attention_heads": 2, "num_layers": 2, "vocab_size": 60}


def write(folder, name, text):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
        f.write(text)


def bert_train(folder, mode, override):
    args = ["--experiment=bert/squad", f"--mode={mode}", "--model_dir=out",
            "--config_file=model.yaml", "--config_file=run.yaml", f"--params_override={override}"]
    done = e2e.run(args, cwd=folder)
    assert done.code == 0, str(done)


def our_evaluation(folder, override):
    """Metrics and the two files of predictions."""
    bert_train(folder, "eval", override)
    files = []
    for name in ("predictions.json", "nbest_predictions.json"):
        with open(os.path.join(folder, "out", name), encoding="utf-8") as f:
            files.append(json.load(f))
    return [r for r in e2e.read_jsonl(os.path.join(folder, "out"))
            if r["kind"] == "validation"][-1], *files


def their_evaluation(folder, dev, version_2):
    encoder = encoders.EncoderConfig(type="bert", bert=encoders.BertEncoderConfig(**ENCODER))
    data = loader.QADataConfig(
        is_training=False, input_path=os.path.join(folder, dev), global_batch_size=8, seq_length=24,
        doc_stride=8, query_length=8, vocab_file=os.path.join(folder, "vocab.txt"),
        version_2_with_negative=version_2, drop_remainder=False,
        input_preprocessed_data_path=os.path.join(folder, "windows"))
    task = question_answering.QuestionAnsweringTask(question_answering.QuestionAnsweringConfig(
        model=question_answering.ModelConfig(encoder=encoder), train_data=loader.QADataConfig(),
        validation_data=data))
    model = task.build_model()
    checkpoint = tf.train.Checkpoint(model=model, **model.checkpoint_items)
    checkpoint.read(tf.train.latest_checkpoint(os.path.join(folder, "out"))).expect_partial() \
        .assert_existing_objects_matched()
    state = None
    for inputs in task.build_inputs(data):
        outputs = task.validation_step(inputs, model)
        state = task.aggregate_logs(state, {k: (v,) for k, v in outputs.items()})
    predictions, nbest, _ = squad_lib.postprocess_output(
        task._eval_examples, task._eval_features, state, 20, 30, True,
        version_2_with_negative=version_2)
    return task.reduce_aggregated_logs(state), predictions, nbest


def compare(name, ours, theirs):
    problems = []
    (our_values, our_texts, our_nbest), (values, texts, nbest) = ours, theirs
    for key, value in values.items():
        tolerance = 1e-3 if "threshold" in key else 1e-9
        if abs(our_values[key] - value) > tolerance:
            problems.append(f"{name}: {key}: ours {our_values[key]}, theirs {value}")
    problems += [f"{name}: {key}: ours {our_texts[key]!r}, theirs {text!r}"
                 for key, text in texts.items() if our_texts[key] != text]
    n_entries = n_same = 0
    for key, entries in nbest.items():
        for mine, entry in zip(our_nbest[key], entries):
            n_entries += 1
            n_same += mine["text"] == entry["text"] and abs(
                mine["start_logit"] - float(entry["start_logit"])) < 1e-3
    print(f"{name}: {len(texts)} questions, {n_same} of {n_entries} of the n best as theirs, {values}")
    if n_same < 0.99 * n_entries:  # scores that differ in the last bits may change places
        problems.append(f"{name}: the n best differ")
    return problems


def main():
    problems = []
    with tempfile.TemporaryDirectory(prefix="bt-squad-") as folder:
        write(folder, "model.yaml", squad.MODEL)
        write(folder, "run.yaml", squad.RUN)
        write(folder, "vocab.txt", "\n".join(squad.SPECIAL + squad.WORDS + squad.GOLD) + "\n")
        for name, n, seed, version_2 in (("train", 40, 1, False), ("dev", 30, 2, False),
                                         ("dev2", 30, 4, True)):
            write(folder, name + ".json", json.dumps(squad.make_questions(n, seed, version_2)))
        bert_train(folder, "train", "trainer.train_steps=60")
        dev = "task.validation_data."
        for version_2, override in ((False, ""), (True, dev + "input_path=dev2.json," + dev +
                                                  "version_2_with_negative=true,")):
            theirs = their_evaluation(folder, "dev2.json" if version_2 else "dev.json", version_2)
            ours = our_evaluation(folder, override + "runtime.padding=keep")
            problems += compare("version 2.0" if version_2 else "version 1.1", ours, theirs)
            without = our_evaluation(folder, override + "runtime.padding=auto")
            if without[1] != ours[1]:
                problems.append("without padding the predictions are others")
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
