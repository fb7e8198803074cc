# SPDX-License-Identifier: Apache-2.0
"""Training steps of BERT in JAX, for bench/gpu: padded sequences, cuDNN's attention by their lengths (XLA's elsewhere), bfloat16 products of float32
weights, AdamW, clipping, dropout but not on the probabilities (cuDNN's call has none here). One compiled step with donated state; layers in a scan.
Prints one JSON object as bench_step does. usage: gpu_jax.py JOB, a JSON object that bench/gpu makes."""
import functools
import json
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

DROPOUT = 0.1


def init(job):
    rng = np.random.default_rng(1)
    hidden, inner, layers = job["hidden"], job["intermediate"], job["layers"]
    draw = lambda *shape: jnp.asarray(rng.normal(0, 0.02, shape).astype(np.float32))
    zeros, ones = (lambda *s: jnp.zeros(s, jnp.float32)), (lambda *s: jnp.ones(s, jnp.float32))
    return {"words": draw(job["vocab"], hidden), "places": draw(512, hidden), "types": draw(2, hidden), "gain": ones(hidden), "bias": zeros(hidden),
            "pool": draw(hidden, hidden), "pool_bias": zeros(hidden), "head": draw(hidden, 2), "head_bias": zeros(2),
            "layers": {"qkv": draw(layers, hidden, 3 * hidden), "qkv_bias": zeros(layers, 3 * hidden), "out": draw(layers, hidden, hidden),
                       "out_bias": zeros(layers, hidden), "gain1": ones(layers, hidden), "bias1": zeros(layers, hidden), "up": draw(layers, hidden, inner),
                       "up_bias": zeros(layers, inner), "down": draw(layers, inner, hidden), "down_bias": zeros(layers, hidden),
                       "gain2": ones(layers, hidden), "bias2": zeros(layers, hidden)}}


def norm(x, gain, bias):
    x = x.astype(jnp.float32)
    mean = x.mean(-1, keepdims=True)
    return ((x - mean) * jax.lax.rsqrt(((x - mean) ** 2).mean(-1, keepdims=True) + 1e-12) * gain + bias).astype(jnp.bfloat16)


def dense(x, kernel, bias):
    return x @ kernel.astype(jnp.bfloat16) + bias.astype(jnp.bfloat16)


def drop(x, key):
    return jnp.where(jax.random.bernoulli(key, 1 - DROPOUT, x.shape), x / (1 - DROPOUT), 0).astype(x.dtype)


def forward(p, batch, key, heads, spans, attention):
    count, length = batch["ids"].shape
    x = norm(p["words"][batch["ids"]] + p["places"][:length] + p["types"][batch["types"]], p["gain"], p["bias"])
    x = drop(x, key)
    lengths = batch["lengths"]

    def layer(x, both):
        w, k = both
        keys = jax.random.split(k)
        q, k, v = (t.reshape(count, length, heads, -1) for t in jnp.split(dense(x, w["qkv"], w["qkv_bias"]), 3, -1))
        mixed = jax.nn.dot_product_attention(q, k, v, query_seq_lengths=lengths, key_value_seq_lengths=lengths, implementation=attention)
        x = norm(x + drop(dense(mixed.reshape(x.shape), w["out"], w["out_bias"]), keys[0]), w["gain1"], w["bias1"])
        inner = jax.nn.gelu(dense(x, w["up"], w["up_bias"]), approximate=True)
        return norm(x + drop(dense(inner, w["down"], w["down_bias"]), keys[1]), w["gain2"], w["bias2"]), None

    x, _ = jax.lax.scan(layer, x, (p["layers"], jax.random.split(key, p["layers"]["qkv"].shape[0])))
    if not spans:
        scores = dense(drop(jnp.tanh(dense(x[:, 0], p["pool"], p["pool_bias"])), key), p["head"], p["head_bias"]).astype(jnp.float32)
        return -jnp.take_along_axis(jax.nn.log_softmax(scores), batch["labels"][:, None], 1).mean()
    scores = dense(x, p["head"], p["head_bias"]).astype(jnp.float32)
    scores = jnp.where((jnp.arange(length) < lengths[:, None])[..., None], scores, -1e9)
    return -jnp.take_along_axis(jax.nn.log_softmax(scores, 1), (lengths - 1)[:, None, None], 1).mean()


def update(state, batch, number, heads, spans, attention):
    p, m, v = state
    loss, grad = jax.value_and_grad(forward)(p, batch, jax.random.fold_in(jax.random.PRNGKey(1), number), heads, spans, attention)
    size = jnp.sqrt(sum(jnp.vdot(g, g) for g in jax.tree.leaves(grad)))
    grad = jax.tree.map(lambda g: g / jnp.maximum(size, 1.0), grad)
    m = jax.tree.map(lambda a, g: 0.9 * a + 0.1 * g, m, grad)
    v = jax.tree.map(lambda a, g: 0.999 * a + 0.001 * g * g, v, grad)
    p = jax.tree.map(lambda w, a, b: w - 2e-5 * (a / (jnp.sqrt(b) + 1e-6) + 0.01 * w), p, m, v)
    return (p, m, v), loss


def make_batch(job):
    lengths, length = job["lengths"], job["length"]
    rng = np.random.default_rng(7)
    shape = (len(lengths), length)
    real = np.arange(length) < np.array(lengths)[:, None]
    ids = (rng.random(shape) ** 2 * (job["vocab"] - 1)).astype(np.int32) * real
    types = ((np.arange(length) > np.array(lengths)[:, None] // 2) & real).astype(np.int32)
    return {"ids": ids, "types": types, "lengths": np.array(lengths, np.int32), "labels": np.arange(len(lengths), dtype=np.int32) % 2}


def count_flops(job):
    hidden = job["hidden"]
    return 3 * job["layers"] * (sum(job["lengths"]) * 2 * (4 * hidden * hidden + 2 * hidden * job["intermediate"]) + 4 * hidden * sum(n * n for n in job["lengths"]))


def main():
    job = json.loads(sys.argv[1])
    on_gpu = jax.devices()[0].platform == "gpu"
    attention = "cudnn" if on_gpu else "xla"
    step = jax.jit(functools.partial(update, heads=job["heads"], spans=job["spans"], attention=attention), donate_argnums=0)
    p = init(job)
    state = (p, jax.tree.map(jnp.zeros_like, p), jax.tree.map(jnp.zeros_like, p))
    batch = jax.device_put(make_batch(job))
    start = time.perf_counter()
    state, loss = step(state, batch, 0)
    loss.block_until_ready()
    first = time.perf_counter() - start
    for number in range(3):
        state, loss = step(state, batch, number)
    loss.block_until_ready()
    steps, start = 0, time.perf_counter()
    while steps < 3 or time.perf_counter() - start < job["seconds"]:
        for _ in range(3):
            state, loss = step(state, batch, steps)
        steps += 3
        loss.block_until_ready()
    seconds = (time.perf_counter() - start) / steps
    stats = jax.devices()[0].memory_stats() or {}
    count = sum(job["lengths"])
    print(json.dumps({"batch": len(job["lengths"]), "tokens": count, "steps": steps, "seconds_per_step": seconds, "first_step_seconds": first,
                      "tokens_per_second": count / seconds, "flops": count_flops(job) / seconds, "loss": float(loss),
                      "peak_bytes": stats.get("peak_bytes_in_use", -1), "note": f"jax {jax.__version__}, padded, {attention}"}))


if __name__ == "__main__":
    main()
