# SPDX-License-Identifier: Apache-2.0
"""Which rows are held out, by the rule of docs/formats.md: splitmix64 of seed and number; of each
kind the smallest ones."""

MASK = (1 << 64) - 1


def draw(i, seed):
    x = ((seed + 1) * 0x9e3779b97f4a7c15 + i) & MASK
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9 & MASK
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb & MASK
    return x ^ (x >> 31)


def drawn_of(numbers, seed=0, share=0.1):
    """Of rows of one kind, which have these numbers."""
    numbers = list(numbers)
    n_held = int(len(numbers) * share + 0.5) or (1 if len(numbers) > 1 else 0)
    return sorted(sorted(numbers, key=lambda i: draw(i, seed))[:n_held])


def drawn(n, seed=0, share=0.1):
    """Of n rows of one kind."""
    return drawn_of(range(n), seed, share)
