#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tiny random models as Hugging Face Transformers writes them, and what they compute:
tests/goldens/hf/NAME/{model.safetensors, config.json, expected.safetensors}.

Needs torch, transformers 5 and safetensors. usage: make_hugging_face.py [FOLDER]
"""
import pathlib
import sys

import torch
import transformers
from safetensors.torch import save_file

B, S = 3, 7
SIZES = dict(vocab_size=20, hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
             intermediate_size=12, max_position_embeddings=10, num_labels=3)
MODELS = {
    "bert_classifier": (transformers.BertForSequenceClassification, transformers.BertConfig(
        **SIZES, type_vocab_size=2)),
    "bert_span": (transformers.BertForQuestionAnswering, transformers.BertConfig(
        **dict(SIZES, num_labels=2), type_vocab_size=2)),
    "albert_classifier": (transformers.AlbertForSequenceClassification, transformers.AlbertConfig(
        **SIZES, embedding_size=4, type_vocab_size=2)),
    "distilbert_tagger": (transformers.DistilBertForTokenClassification,
                          transformers.DistilBertConfig(
                              vocab_size=20, dim=8, n_layers=2, n_heads=2, hidden_dim=12,
                              max_position_embeddings=10, num_labels=3)),
    "bert_multi_label": (transformers.BertForSequenceClassification, transformers.BertConfig(
        **dict(SIZES, num_labels=4), type_vocab_size=2, problem_type="multi_label_classification",
        id2label={0: "toxic", 1: "insult", 2: "threat, open", 3: "other"})),
}


def randomise(model, generator):
    for name, value in model.named_parameters():
        noise = torch.randn(value.shape, generator=generator)
        is_norm_weight = "norm" in name.lower() and name.endswith("weight")
        value.data = 1 + 0.2 * noise if is_norm_weight else 0.4 * noise


def make(folder, name, seed):
    model_class, config = MODELS[name]
    generator = torch.Generator().manual_seed(seed)
    model = model_class(config).eval()
    randomise(model, generator)
    model.save_pretrained(folder / name)
    lengths = torch.tensor([S, 4, 2])
    mask = (torch.arange(S)[None] < lengths[:, None]).int()
    ids = torch.randint(1, 20, (B, S), generator=generator).int() * mask
    types = (torch.arange(S)[None] >= lengths[:, None] // 2).int() * mask
    inputs = dict(input_ids=ids.long(), attention_mask=mask.long(), output_hidden_states=True)
    if config.model_type != "distilbert":
        inputs["token_type_ids"] = types.long()
    if config.problem_type == "multi_label_classification":
        labels = torch.tensor([[1, 0, 1, 0], [0, 0, 0, 0], [0.25, 0.75, 0, 1]])
        inputs["labels"] = labels
    with torch.no_grad():
        got = model(**inputs)
    out = dict(input_word_ids=ids, input_mask=mask, input_type_ids=types)
    for i, hidden in enumerate(got.hidden_states):
        out[f"hidden_{i}"] = hidden
    logits = [got.start_logits, got.end_logits] if name == "bert_span" else [got.logits]
    if "labels" in inputs:  # BCEWithLogitsLoss, mean, and its gradient
        leaf = got.logits.clone().requires_grad_(True)
        torch.nn.BCEWithLogitsLoss()(leaf, labels).backward()
        out.update(labels=labels, loss=got.loss.reshape(1), d_logits=leaf.grad)
    out["logits"] = torch.stack(logits, -1) if name == "bert_span" else logits[0]
    save_file({k: v.contiguous() for k, v in out.items()}, folder / name / "expected.safetensors")
    print(name, transformers.__version__)


def main():
    default = pathlib.Path(__file__).resolve().parent.parent / "goldens" / "hf"
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    for seed, name in enumerate(MODELS):
        make(folder, name, seed)


if __name__ == "__main__":
    main()
