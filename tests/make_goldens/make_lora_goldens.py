# SPDX-License-Identifier: Apache-2.0
"""Writes tests/goldens/engine/lora_*.{json,safetensors} and tests/goldens/lora/: logits, loss, gradients
and four updates of tiny classifiers with adapters by the real PEFT, in the form of make_engine_steps.py;
and for reading, the folder of one of them as PEFT saved it, with its base model and the logits of both.

Needs torch, transformers and peft. Run from the root of the repository:
    python tests/make_goldens/make_lora_goldens.py
"""
import json
import os
import shutil

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from safetensors.numpy import save_file
from transformers import BertConfig, BertForSequenceClassification

B, S, N_BATCHES, N_STEPS, CLASSES = 3, 8, 2, 4, 3
ENCODER = dict(vocab_size=30, hidden_size=8, num_layers=2, num_attention_heads=2,
               intermediate_size=12, max_position_embeddings=10, type_vocab_size=2,
               dropout_rate=0.0, attention_dropout_rate=0.0, hidden_activation="gelu")
RATE, DECAY, EPSILON = 0.002, 0.01, 1e-12
OPTIMIZER = {
    "optimizer": {"type": "adamw", "adamw": {
        "weight_decay_rate": DECAY, "gradient_clip_norm": 0.0, "epsilon": EPSILON,
        "exclude_from_weight_decay": ["LayerNorm", "layer_norm", "bias"]}},
    "learning_rate": {"type": "constant", "constant": {"learning_rate": RATE}},
    "warmup": {"type": None},
}
TARGETS = {"query": "attention.self.query", "key": "attention.self.key",
           "value": "attention.self.value", "attention_output": "attention.output.dense",
           "intermediate": "intermediate.dense", "output": "output.dense"}
CASES = {
    "lora_query_value": dict(rank=2, alpha=4.0, rslora=False, targets=["query", "value"]),
    "lora_all": dict(rank=3, alpha=5.0, rslora=True, targets=list(TARGETS)),
}
DENSE = {"attention.self.query": "self_attention/query", "attention.self.key": "self_attention/key",
         "attention.self.value": "self_attention/value",
         "attention.output.dense": "self_attention/attention_output",
         "intermediate.dense": "intermediate", "output.dense": "output"}
NORM = {"attention.output.LayerNorm": "self_attention_layer_norm",
        "output.LayerNorm": "output_layer_norm"}
OTHER = {"bert.embeddings.word_embeddings.weight": "word_embeddings/embeddings",
         "bert.embeddings.position_embeddings.weight": "position_embedding/embeddings",
         "bert.embeddings.token_type_embeddings.weight": "type_embeddings/embeddings",
         "bert.embeddings.LayerNorm.weight": "embeddings/layer_norm/gamma",
         "bert.embeddings.LayerNorm.bias": "embeddings/layer_norm/beta",
         "bert.pooler.dense.weight": "sentence_prediction/pooler_dense/kernel",
         "bert.pooler.dense.bias": "sentence_prediction/pooler_dense/bias",
         "classifier.weight": "sentence_prediction/logits/kernel",
         "classifier.bias": "sentence_prediction/logits/bias"}


def ours(name):
    """Our name of PEFT's parameter; None: a copy that is not used."""
    name = name.removeprefix("base_model.model.")
    if ".original_module." in name:
        return None
    name = name.replace(".modules_to_save.default", "").replace(".base_layer", "")
    if name in OTHER:
        return OTHER[name]
    assert name.startswith("bert.encoder.layer."), name
    layer, rest = name.removeprefix("bert.encoder.layer.").split(".", 1)
    for table in (DENSE, NORM):
        for theirs, here in table.items():
            if rest.startswith(theirs + "."):
                leaf = rest.removeprefix(theirs + ".")
                leaf = {"lora_A.default.weight": "lora_a", "lora_B.default.weight": "lora_b",
                        "weight": "kernel" if table is DENSE else "gamma",
                        "bias": "bias" if table is DENSE else "beta"}[leaf]
                return f"transformer/layer_{layer}/{here}/{leaf}"
    raise KeyError(name)


def shaped(name, value):
    value = value.detach().numpy()
    leaf = name.rsplit("/", 1)[1]
    return np.ascontiguousarray(value.T if leaf in ("kernel", "lora_a", "lora_b") else value)


def make_inputs(rng):
    lengths = rng.randint(2, S + 1, size=B)
    mask = (np.arange(S)[None, :] < lengths[:, None]).astype(np.int32)
    ids = rng.randint(1, 12, size=(B, S)).astype(np.int32) * mask
    types = (np.arange(S)[None, :] > lengths[:, None] // 2).astype(np.int32) * mask
    return dict(input_word_ids=ids, input_mask=mask, input_type_ids=types,
                label_ids=rng.randint(0, CLASSES, size=B).astype(np.int32))


def make_base():
    return BertForSequenceClassification(BertConfig(
        vocab_size=30, hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=12, max_position_embeddings=10, type_vocab_size=2, hidden_act="gelu_new",
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_labels=CLASSES))


def logits_of(model, batch):
    return model(input_ids=torch.tensor(batch["input_word_ids"], dtype=torch.long),
                 attention_mask=torch.tensor(batch["input_mask"], dtype=torch.long),
                 token_type_ids=torch.tensor(batch["input_type_ids"], dtype=torch.long)).logits


def run(name, case, seed):
    torch.manual_seed(seed)
    rng = np.random.RandomState(seed)
    base = make_base()
    with torch.no_grad():
        for key, p in base.named_parameters():
            size = 0.1 if key.endswith("bias") else 0.4
            p.copy_(torch.tensor(rng.randn(*p.shape) * size + ("LayerNorm.weight" in key)))
    folder = "tests/goldens/lora"
    if name == "lora_all":
        shutil.rmtree(folder, ignore_errors=True)
        base.save_pretrained(f"{folder}/base")
    model = get_peft_model(base, LoraConfig(
        task_type="SEQ_CLS", r=case["rank"], lora_alpha=case["alpha"], lora_dropout=0.0,
        use_rslora=case["rslora"], target_modules=[TARGETS[target] for target in case["targets"]],
        modules_to_save=["classifier", "pooler"]))  # "output.dense" is attention.output.dense too
    with torch.no_grad():
        for key, p in model.named_parameters():
            if "lora_B" in key:
                p.copy_(torch.tensor(rng.randn(*p.shape) * 0.4))
    batches = [make_inputs(rng) for _ in range(N_BATCHES)]
    named = [(ours(key), p) for key, p in model.named_parameters() if ours(key) is not None]
    trained = [(key, p) for key, p in named if p.requires_grad]
    out = {f"batch{i}/{key}": v for i, b in enumerate(batches) for key, v in b.items()}
    out.update({f"w/{key}": shaped(key, p).copy() for key, p in named})
    for key, shape in (("kernel", (8, 8)), ("bias", (8,))):  # the encoder's pooler, which no head reads
        out[f"w/pooler_transform/{key}"] = np.zeros(shape, np.float32)
    optimizer = torch.optim.AdamW(
        [dict(params=[p for key, p in trained if not key.endswith("bias")], weight_decay=DECAY),
         dict(params=[p for key, p in trained if key.endswith("bias")], weight_decay=0.0)],
        lr=RATE, eps=EPSILON)
    losses, norms = [], []
    for step in range(N_STEPS):
        batch = batches[step % N_BATCHES]
        logits = logits_of(model, batch)
        loss = torch.nn.functional.cross_entropy(
            logits, torch.tensor(batch["label_ids"], dtype=torch.long))
        optimizer.zero_grad()
        loss.backward()
        losses.append(float(loss.detach()))
        norms.append(float(torch.sqrt(sum((p.grad.double() ** 2).sum() for _key, p in trained))))
        if step == 0:
            out["out/logits"] = logits.detach().numpy()
            out.update({f"grad/{key}": shaped(key, p.grad) for key, p in trained})
        optimizer.step()
    out[f"step{N_STEPS}/iterations"] = np.array([N_STEPS], np.int64)
    out.update({f"step{N_STEPS}/var/{key}": shaped(key, p) for key, p in named})
    for key in ("kernel", "bias"):
        out[f"step{N_STEPS}/var/pooler_transform/{key}"] = out[f"w/pooler_transform/{key}"]
    out.update({f"step{N_STEPS}/v/{key}": shaped(key, optimizer.state[p]["exp_avg_sq"])
                for key, p in trained})
    out.update(loss=np.array(losses[:1], np.float32), losses=np.array(losses, np.float32),
               global_norm=np.array(norms[:1], np.float32), global_norms=np.array(norms, np.float32),
               lrs=np.full(N_STEPS, RATE, np.float32))
    save_file({k: np.ascontiguousarray(v) for k, v in out.items()},
              f"tests/goldens/engine/{name}.safetensors")
    os.chmod(f"tests/goldens/engine/{name}.safetensors", 0o644)
    config = dict(encoder=ENCODER, encoder_type="bert", optimizer=OPTIMIZER, batch=B, seq=S,
                  batches=N_BATCHES, steps=N_STEPS, lora=case, seed=seed)
    with open(f"tests/goldens/engine/{name}.json", "w", encoding="utf-8") as file:
        json.dump(config, file, indent=1, sort_keys=True)
        file.write("\n")
    if name == "lora_all":
        model.save_pretrained(f"{folder}/adapter")
        os.remove(f"{folder}/adapter/README.md")  # a form of PEFT's, not filled in
        with torch.no_grad():
            logits = [logits_of(model, b).numpy().tolist() for b in batches]
        with open(f"{folder}/logits.json", "w", encoding="utf-8") as file:
            json.dump(dict(batches=[{k: v.tolist() for k, v in b.items()} for b in batches],
                           logits=logits), file)
            file.write("\n")


def main():
    for seed, (name, case) in enumerate(CASES.items()):
        run(name, case, seed + 1)


if __name__ == "__main__":
    main()
