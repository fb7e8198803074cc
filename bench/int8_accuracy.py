#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What 8 bits cost on rows of GLUE: fine-tunes a model, computes the development rows in float32 and in 8 bits, here and in ONNX Runtime, and prints one JSON
object a task.

  bench/int8_accuracy.py --build build/release --glue GLUE_DIR --model MODEL_DIR --work DIR
                         [--tasks MRPC] [--steps 200] [--threads 0] [--python PYTHON]

The job is that of bench/glue.py with so many steps. PYTHON has onnxruntime and numpy; without it ONNX Runtime is left out. Of each way: how far the difference of a row's two
logits (of a score: the score) is from float32's, root mean square and largest, how many rows get another class, and the metric. ONNX Runtime reads the ids of the same
records, a row at a time and eight at a time, padded. "runs_apart": the same between both programs in float32. Of --steps 0 the folder WORK/int8/TASK is taken as it is.
"""
import json
import math
import os
import sys

import bench_common as bench
import glue

JUDGE = r'''
import json, sys
import numpy, onnxruntime
a = json.loads(sys.argv[1])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = a["threads"]
with open(a["rows"]) as file:
    rows = json.load(file)
found = {}
for name, folder, batch in a["ways"]:
    session = onnxruntime.InferenceSession(folder + "/model.onnx", options, providers=["CPUExecutionProvider"])
    out = []
    for i in range(0, len(rows), batch):
        some = rows[i:i + batch]
        width = max(len(ids) for ids, _ in some)
        pad = lambda lists: numpy.array([x + [0] * (width - len(x)) for x in lists], numpy.int64)
        fed = {"input_ids": pad([ids for ids, _ in some]), "attention_mask": pad([[1] * len(ids) for ids, _ in some]), "token_type_ids": pad([types for _, types in some])}
        out += session.run(["logits"], fed)[0].tolist()
    found[name] = out
print(json.dumps({"logits": found, "version": onnxruntime.__version__}))
'''


def run_own(args, words):
    return glue.run([os.path.join(args.build, "bert-train"), f"--model_dir={args.folder}", *words])


def feature(record, name):
    for _, feature_map in bench.fields(record[12:-4]):
        for _, entry in bench.fields(feature_map):
            parts = dict(bench.fields(entry))
            if parts[1].decode() == name:
                return parts[2]
    return None


def read_rows(path):
    """[(ids, types)] without padding."""
    rows = []
    for record in bench.raw_records(path):
        n = sum(bench.int_list(feature(record, "input_mask")))
        rows.append((bench.int_list(feature(record, "input_ids"))[:n], bench.int_list(feature(record, "segment_ids"))[:n]))
    return rows


def difference_of(logits):
    return logits[1] - logits[0] if len(logits) == 2 else logits[0]


def predict(args, task, records, precision):
    """Of each row the difference of its logits, or its score."""
    path = os.path.join(args.folder, precision + ".jsonl")
    run_own(args, predict_words(args, task, records, precision) + ["--mode=predict", f"--output_path={path}"])
    out = []
    with open(path, encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if "score" in row:
                out.append(row["score"])
            else:
                none, one = list(row["probabilities"].values())
                out.append(math.log(one) - math.log(none))
    return out


def predict_words(args, task, records, precision):
    values = glue.overrides(args, task, 1, records) + (",runtime.precision=int8" if precision == "int8" else "")
    return ["--experiment=bert/sentence_prediction", f"--config_file={args.config}", f"--params_override={values}"]


def train(args, task, records):
    values = glue.overrides(args, task, 1, records).replace("trainer.train_steps=0", f"trainer.train_steps={args.steps}")
    glue.run(["rm", "-rf", args.folder])
    run_own(args, ["--experiment=bert/sentence_prediction", "--mode=train", f"--config_file={args.config}", f"--params_override={values}"])


def evaluate(args, task, records):
    """The metrics in float32 and in 8 bits."""
    path = os.path.join(args.folder, "int8.json")
    run_own(args, predict_words(args, task, records, "int8") + ["--mode=eval", f"--result_json={path}"])
    with open(path, encoding="utf-8") as result:
        values = json.load(result)["values"]
    start = "float32/"
    return {name[len(start):]: {"float32": value, "int8": values[name[len(start):]]} for name, value in values.items() if name.startswith(start)}


def compare(exact, other, is_score):
    off = [b - a for a, b in zip(exact, other)]
    found = {"rms": round(math.sqrt(sum(x * x for x in off) / len(off)), 7), "largest": round(max(map(abs, off)), 7)}
    if not is_score:
        found["rows_of_another_class"] = sum((a > 0) != (b > 0) for a, b in zip(exact, other))
    return found


def ask_onnxruntime(args, task, records):
    """{way: numbers of the rows}"""
    ways = []
    for precision in ("float32", "int8"):
        folder = os.path.join(args.folder, "onnx-" + precision)
        glue.run(["rm", "-rf", folder])
        run_own(args, predict_words(args, task, records, "float32") + ["--mode=export", "--export_format=onnx", f"--export_precision={precision}", f"--output_path={folder}"])
        ways += [(f"{precision}-1", folder, 1)] + ([("int8-8", folder, 8)] if precision == "int8" else [])
    rows = os.path.join(args.folder, "rows.json")
    with open(rows, "w", encoding="utf-8") as out:
        json.dump(read_rows(records["eval"]), out)
    answer = bench.python_peer(args.python, JUDGE, {"ways": ways, "rows": rows, "threads": args.threads or 2})
    return {way: [difference_of(row) for row in logits] for way, logits in answer["logits"].items()}, answer["version"]


def accuracy(numbers, records):
    labels = [bench.int_list(feature(record, "label_ids"))[0] for record in bench.raw_records(records["eval"])]
    return round(sum((x > 0) == (label == 1) for x, label in zip(numbers, labels)) / len(labels), 4)


def measure(args, task):
    args.folder = os.path.join(args.work, "int8", task)
    records = glue.make_records(args, task)
    is_score = glue.TASKS[task][1] == 1
    if args.steps > 0:
        train(args, task, records)
    exact = predict(args, task, records, "float32")
    found = {"task": task, "steps": args.steps, "rows": len(exact), "rms_of_float32": round(math.sqrt(sum(x * x for x in exact) / len(exact)), 4),
             "metrics": evaluate(args, task, records), "int8": compare(exact, predict(args, task, records, "int8"), is_score)}
    if args.python:
        others, found["onnxruntime"] = ask_onnxruntime(args, task, records)
        found["runs_apart"] = compare(exact, others["float32-1"], is_score)
        for way in ("int8-1", "int8-8"):
            found["onnxruntime-" + way] = compare(exact, others[way], is_score)
            if not is_score:
                found["onnxruntime-" + way]["accuracy"] = accuracy(others[way], records)
    return found


def main():
    parser = bench.parser(__doc__, ("glue", "model", "work"))
    parser.add_argument("--config", default="configs/models/minilm.yaml")
    parser.add_argument("--tasks", default="MRPC")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--python", default="", help="with onnxruntime and numpy")
    parser.set_defaults(rows=0, learning_rate="0.0001")
    args = parser.parse_args()
    for task in args.tasks.split(","):
        print(json.dumps(measure(args, task)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
