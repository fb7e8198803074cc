# SPDX-License-Identifier: Apache-2.0
"""Training steps of BERT in PyTorch, for bench/gpu: packed tokens, flash attention over sequences of different lengths, bfloat16 by autocast,
AdamW (fused on a GPU), clipping, dropout. Prints one JSON object as bench_step does. usage: gpu_torch.py JOB, a JSON object that bench/gpu makes."""
import itertools
import json
import sys
import time

import torch
from torch import nn
from torch.nn import functional

DROPOUT = 0.1


def flash(q, k, v, offsets, longest):
    """[T, heads, D] of packed sequences, with dropout on the probabilities."""
    return torch.ops.aten._flash_attention_forward(q, k, v, offsets, offsets, longest, longest, DROPOUT, False, False)[0]


def one_by_one(q, k, v, offsets, _longest):
    """Where there is no flash attention: a sequence at a time."""
    at = offsets.tolist()
    parts = [functional.scaled_dot_product_attention(*(x[a:b].transpose(0, 1)[None] for x in (q, k, v)), dropout_p=DROPOUT)[0].transpose(0, 1)
             for a, b in zip(at, at[1:])]
    return torch.cat(parts)


class Layer(nn.Module):
    def __init__(self, job):
        super().__init__()
        hidden = job["hidden"]
        self.heads = job["heads"]
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.out = nn.Linear(hidden, hidden)
        self.norm1 = nn.LayerNorm(hidden, eps=1e-12)
        self.up = nn.Linear(hidden, job["intermediate"])
        self.down = nn.Linear(job["intermediate"], hidden)
        self.norm2 = nn.LayerNorm(hidden, eps=1e-12)

    def forward(self, x, attend, offsets, longest):
        q, k, v = self.qkv(x).view(x.shape[0], 3, self.heads, -1).unbind(1)
        mixed = attend(q, k, v, offsets, longest).reshape(x.shape[0], -1)
        x = self.norm1(x + functional.dropout(self.out(mixed), DROPOUT))
        inner = functional.gelu(self.up(x), approximate="tanh")
        return self.norm2(x + functional.dropout(self.down(inner), DROPOUT))


class Bert(nn.Module):
    def __init__(self, job):
        super().__init__()
        hidden = job["hidden"]
        self.words = nn.Embedding(job["vocab"], hidden)
        self.places = nn.Embedding(512, hidden)
        self.types = nn.Embedding(2, hidden)
        self.norm = nn.LayerNorm(hidden, eps=1e-12)
        self.layers = nn.ModuleList(Layer(job) for _ in range(job["layers"]))
        self.pooler = nn.Linear(hidden, hidden)
        self.head = nn.Linear(hidden, 2)
        self.spans = job["spans"]

    def forward(self, batch, attend):
        x = self.norm(self.words(batch["ids"]) + self.places(batch["positions"]) + self.types(batch["types"]))
        x = functional.dropout(x, DROPOUT)
        for layer in self.layers:
            x = layer(x, attend, batch["offsets"], batch["longest"])
        if not self.spans:
            first = torch.tanh(self.pooler(x[batch["offsets"][:-1].long()]))
            return functional.cross_entropy(self.head(functional.dropout(first, DROPOUT)).float(), batch["labels"])
        scores = self.head(x).float()  # the softmax of each side over its own sequence
        total = scores.exp().new_zeros(batch["labels"].shape[0], 2).index_add(0, batch["sequence"], scores.exp()).log()
        last = batch["offsets"][1:].long() - 1
        return (total - scores[last]).mean()


def make_batch(job, device):
    lengths = job["lengths"]
    offsets = [0, *itertools.accumulate(lengths)]
    generator = torch.Generator().manual_seed(7)
    count = offsets[-1]
    drawn = (torch.rand(count, generator=generator) ** 2 * (job["vocab"] - 1)).long()
    move = lambda x: x.to(device)
    return {"ids": move(drawn), "positions": move(torch.cat([torch.arange(n) for n in lengths])),
            "types": move(torch.cat([(torch.arange(n) > n // 2).long() for n in lengths])),
            "sequence": move(torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))),
            "labels": move(torch.arange(len(lengths)) % 2), "offsets": move(torch.tensor(offsets, dtype=torch.int32)),
            "longest": max(lengths), "count": count}


def count_flops(job):
    hidden = job["hidden"]
    return 3 * job["layers"] * (sum(job["lengths"]) * 2 * (4 * hidden * hidden + 2 * hidden * job["intermediate"]) + 4 * hidden * sum(n * n for n in job["lengths"]))


def main():
    job = json.loads(sys.argv[1])
    on_gpu = torch.cuda.is_available()
    device = "cuda" if on_gpu else "cpu"
    wait = torch.cuda.synchronize if on_gpu else lambda: None
    torch.manual_seed(1)
    model = Bert(job).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5, weight_decay=0.01, fused=on_gpu)
    batch = make_batch(job, device)
    attend = flash if on_gpu else one_by_one

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, dtype=torch.bfloat16):
            loss = model(batch, attend)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss

    start = time.perf_counter()
    step()
    wait()
    first = time.perf_counter() - start
    for _ in range(3):
        step()
    wait()
    steps, start = 0, time.perf_counter()
    while steps < 3 or time.perf_counter() - start < job["seconds"]:
        for _ in range(3):  # the clock is looked at where the device is not far behind
            loss = step()
        steps += 3
        wait()
    seconds = (time.perf_counter() - start) / steps
    print(json.dumps({"batch": len(job["lengths"]), "tokens": batch["count"], "steps": steps, "seconds_per_step": seconds, "first_step_seconds": first,
                      "tokens_per_second": batch["count"] / seconds, "flops": count_flops(job) / seconds, "loss": float(loss),
                      "peak_bytes": torch.cuda.max_memory_allocated() if on_gpu else -1,
                      "note": f"torch {torch.__version__}, {'flash attention, packed' if on_gpu else 'no GPU: a sequence at a time'}"}))


if __name__ == "__main__":
    main()
