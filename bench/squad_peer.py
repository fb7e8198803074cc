#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures an evaluation on SQuAD beside Hugging Face Transformers padded to the longest window allowed, in turns (A B A B), and prints one JSON object.

  bench/squad_peer.py --build build/release --squad dev-v1.1.json --vocab vocab.txt --python PYTHON
                      [--questions 320] [--rounds 3] [--model minilm|base] [--seq_length 384] [--batch 32] [--threads 2]

Both evaluate the same questions, spread evenly over the file, with fresh weights. Ours is bert-train --mode=eval; its seconds are those of the whole evaluation (windows,
forward passes, answers, scores), without start and weights. The peer's are its forward passes alone (no_grad, eval mode), on windows made before; each padded to seq_length.
PYTHON has torch and transformers.
"""
import json
import os
import statistics
import tempfile

import bench_common as bench

HF = r'''
import json, sys, time
a = json.loads(sys.argv[1])
import torch
from tokenizers import BertWordPieceTokenizer
from transformers import BertConfig, BertForQuestionAnswering
torch.set_num_threads(a["threads"])
torch.manual_seed(0)
S = a["seq_length"]
plain, tokenizer = (BertWordPieceTokenizer(a["vocab"], lowercase=True) for _ in range(2))
tokenizer.enable_padding(length=S)
windows = []
for article in json.load(open(a["squad"], encoding="utf-8"))["data"]:
    for paragraph in article["paragraphs"]:
        for qa in paragraph["qas"]:
            # as Model Garden cuts: questions of at most 64 pieces, windows start 128 pieces apart
            n_question = min(64, len(plain.encode(qa["question"], add_special_tokens=False).ids))
            tokenizer.enable_truncation(S, stride=max(0, S - n_question - 3 - 128), strategy="only_second")
            first = tokenizer.encode(qa["question"], paragraph["context"])
            windows += [first] + list(first.overflowing)
L, H, I, heads = a["size"]
model = BertForQuestionAnswering(BertConfig(vocab_size=30522, num_hidden_layers=L, hidden_size=H, intermediate_size=I,
                                            num_attention_heads=heads)).eval()
batches = []
for i in range(0, len(windows), a["batch"]):
    some = windows[i:i + a["batch"]]
    batches.append(dict(input_ids=torch.tensor([w.ids for w in some]), token_type_ids=torch.tensor([w.type_ids for w in some]),
                        attention_mask=torch.tensor([w.attention_mask for w in some])))
with torch.no_grad():
    model(**batches[0])
    start = time.perf_counter()
    for batch in batches:
        model(**batch)
    seconds = time.perf_counter() - start
tokens = sum(sum(w.attention_mask) for w in windows)
print(json.dumps({"rate": len(windows) / seconds, "windows": len(windows), "tokens_per_window": round(tokens / len(windows), 1)}))
'''


def choose(path, count, out):
    """Every n-th question of the file with the first of its answers; training takes no more than one."""
    with open(path, encoding="utf-8") as file:
        data = json.load(file)["data"]
    total = sum(len(p["qas"]) for article in data for p in article["paragraphs"])
    step, seen = max(1, total // count), -1
    kept = 0
    for article in data:
        for paragraph in article["paragraphs"]:
            some = []
            for qa in paragraph["qas"]:
                seen += 1
                if seen % step == 0 and kept < count:
                    kept += 1
                    some.append({**qa, "answers": qa["answers"][:1]})
            paragraph["qas"] = some
        article["paragraphs"] = [p for p in article["paragraphs"] if p["qas"]]
    with open(out, "w", encoding="utf-8") as file:
        json.dump({"version": "1.1", "data": [article for article in data if article["paragraphs"]]}, file)
    return kept


def own_values(args, questions):
    vocab = f"'{args.vocab}'"
    return {**bench.model_overrides(args.model), "runtime.threads": args.threads, "task.train_data.input_path": f"'{questions}'",
            "task.train_data.vocab_file": vocab, "task.train_data.global_batch_size": 4, "task.train_data.seq_length": args.seq_length,
            "task.validation_data.input_path": f"'{questions}'", "task.validation_data.vocab_file": vocab,
            "task.validation_data.global_batch_size": args.batch, "task.validation_data.seq_length": args.seq_length,
            "trainer.validation_steps": -1, "trainer.best_checkpoint_export_subdir": "''"}


def train_once(args, questions, folder):
    """One step: an evaluation needs a checkpoint."""
    values = {**own_values(args, questions), "trainer.train_steps": 1, "trainer.steps_per_loop": 1, "trainer.summary_interval": 1,
              "trainer.optimizer_config.learning_rate.polynomial.decay_steps": 10, "trainer.optimizer_config.warmup.polynomial.warmup_steps": 1}
    bench.bert_train(args.build, folder, values, args.model, experiment="bert/squad")


def own(args, questions, folder, windows):
    bench.bert_train(args.build, folder, own_values(args, questions), args.model, mode="eval", experiment="bert/squad")
    return windows / bench.metrics(folder, "validation")[-1]["seconds"]


def main():
    parser = bench.parser(__doc__, ("squad", "vocab", "python"))
    parser.add_argument("--model", default="minilm", choices=sorted(bench.SIZES))
    parser.add_argument("--questions", type=int, default=320)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seq_length", type=int, default=384)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    args.vocab = os.path.abspath(args.vocab)
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as scratch:
        questions = os.path.join(scratch, "questions.json")
        n_questions = choose(args.squad, args.questions, questions)
        settings = {"squad": questions, "vocab": args.vocab, "seq_length": args.seq_length, "batch": args.batch, "threads": args.threads,
                    "size": bench.SIZES[args.model][:4]}
        train_once(args, questions, os.path.join(scratch, "run"))
        for _ in range(args.rounds):
            peer = bench.python_peer(args.python, HF, settings, env={"TOKENIZERS_PARALLELISM": "false"})
            theirs.append(peer["rate"])
            ours.append(own(args, questions, os.path.join(scratch, "run"), peer["windows"]))
    print(json.dumps({"model": args.model, "questions": n_questions, "windows": peer["windows"], "tokens_per_window": peer["tokens_per_window"],
                      "seq_length": args.seq_length, "examples_per_second": bench.median(ours, 1), "peer_examples_per_second": bench.median(theirs, 1),
                      "ratio": round(statistics.median(ours) / statistics.median(theirs), 2), "all": bench.rounded(ours, 1),
                      "peer_all": bench.rounded(theirs, 1)}))


if __name__ == "__main__":
    main()
