# SPDX-License-Identifier: Apache-2.0
"""Our attention kernels for GPUs (src/hlo/hlo_flash.c), run by ttir.py, against attention as it is
written in a textbook, one sequence at a time, in float64: context, maxima and sums, the gradient of
query, key and value, which tiles are walked. Then the same with mistakes written into the text,
each of which must be seen. usage: flash.py BUILD [CASE...]
"""
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SKIP = 77
BUILD = sys.argv[1]


def add_numpy():
    done = subprocess.run([os.path.join(HERE, '../../support/get_pypi.sh'), BUILD, 'numpy', 'numpy'],
                          stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        print('SKIPPED: numpy is not there and could not be installed')
        sys.exit(SKIP)
    sys.path.insert(0, done.stdout.strip())


add_numpy()
import numpy as np  # noqa: E402

import ttir  # noqa: E402


class Case:
    """lengths: of the sequences of each row; a negative one is a gap of empty slots."""

    def __init__(self, name, element, heads, head_size, slots, lengths, rate=0.0, bias=False):
        self.name, self.element, self.heads, self.head_size = name, element, heads, head_size
        self.slots, self.lengths, self.rate, self.bias = slots, lengths, rate, bias
        self.rows = len(lengths)
        self.words = -(-max((n for row in lengths for n in row), default=1) // 32)

    def kernel(self, which):
        tool = os.path.join(BUILD, 'tests/unit/hlo/write_kernel')
        sizes = (self.rows, self.slots, self.heads, self.head_size, self.element, int(self.bias),
                 self.words if self.rate else 0, 1 / (1 - self.rate))
        text = subprocess.run([tool, which, *map(str, sizes)], check=True, stdout=subprocess.PIPE,
                              text=True).stdout
        head, text = text.split('\n', 1)
        return tuple(int(n) for n in head.split()[:3]), text


CASES = [
    # one token alone; a sequence over several tiles; an empty row; a full one; numbers of sequences
    # fall and rise within a row; a last tile that is not whole
    Case('bf16_64', 'bf16', 2, 64, 200, [[1, 71, 37], [200], [], [3, 60, 2, 100]], 0.1),
    Case('f32_64', 'f32', 2, 64, 200, [[1, 71, 37], [], [150, -13, 33]], 0.1),
    Case('f32_no_dropout', 'f32', 1, 64, 128, [[1, 71, 37], [128]]),
    # heads that are not a power of two, or below what a product of tiles takes; masked keys
    Case('f32_48_masked', 'f32', 2, 48, 130, [[65, 64], [5, 1, 90]], 0.25, bias=True),
    Case('f32_8_masked', 'f32', 4, 8, 19, [[5, 7], [19], [1]], bias=True),
    Case('f16_32', 'f16', 3, 32, 96, [[40, 41], [96]], 0.1),
    Case('bf16_128', 'bf16', 1, 128, 160, [[100, 60], [31, -4, 125]], 0.1, bias=True),
    Case('bf16_256', 'bf16', 1, 256, 70, [[33, 37], [64]], 0.1),
]


class Batch:
    """Numbers drawn for a case, and where its sequences stand."""

    def __init__(self, case):
        draw = np.random.default_rng(7)
        shape = (case.rows, case.slots, case.heads, case.head_size)
        self.case = case
        self.qkv = ttir.rounded(draw.normal(size=(case.rows, case.slots, 3) + shape[2:]), case.element)
        self.d_context = ttir.rounded(draw.normal(size=shape), case.element)
        self.segments = np.full((case.rows, case.slots), -1, np.int32)
        self.firsts, self.behinds = np.zeros_like(self.segments), np.zeros_like(self.segments)
        self.bias = np.zeros((case.rows, case.slots), np.float32)
        self.bits = draw.integers(-2**31, 2**31, (case.rows, case.slots, case.heads, case.words),
                                  np.int64).astype(np.int32)
        for index in range(case.rows // 2):  # more than one in eight bits is 0, so that it shows
            self.bits[index] |= draw.integers(0, 2**31, self.bits[index].shape, np.int64).astype(np.int32)
        self.sequences = []
        number = 50
        for r, lengths in enumerate(case.lengths):
            at = 0
            for n in lengths:
                if n > 0:
                    number = number - 7 if number > 20 else number + 61
                    self.segments[r, at:at + n] = number
                    self.sequences.append((r, at, n))
                at += abs(n)
            assert at <= case.slots
        if case.bias:
            self.bias[draw.random(self.bias.shape) < 0.3] = -1e9
            r, at, n = self.sequences[0]
            self.bias[r, at:at + n] = -1e9  # all of them: the mean of the values
        for r in range(case.rows):
            for s in range(case.slots):
                own = np.flatnonzero(self.segments[r] == self.segments[r, s])
                self.firsts[r, s], self.behinds[r, s] = own[0], own[-1] + 1
        self.d_context[self.segments < 0] = 0

    def kept(self, r, at, n, head):
        """[n,n] of 0 and 1"""
        words = self.bits[r, at:at + n, head].view(np.uint32)
        k = np.arange(n)
        return (words[:, k // 32] >> (k % 32).astype(np.uint32)) & 1


def textbook(batch):
    """context, max, 1 / sum, d_qkv: NaN where there is no sequence."""
    case = batch.case
    context = np.full((case.rows, case.slots, case.heads, case.head_size), np.nan)
    largest = np.full((case.rows, case.heads, case.slots), np.nan)
    inverse = np.full_like(largest, np.nan)
    d_qkv = np.full(batch.qkv.shape, np.nan)
    root = 1 / np.sqrt(np.float64(case.head_size))
    for r, at, n in batch.sequences:
        own = slice(at, at + n)
        for head in range(case.heads):
            q, k, v = (batch.qkv[r, own, i, head].astype(np.float64) for i in range(3))
            d = batch.d_context[r, own, head].astype(np.float64)
            # as float32 has it: it has steps of 64 at 1e9
            scores = (q @ k.T * root).astype(np.float32) + batch.bias[r, own]
            scores = scores.astype(np.float64)
            top = scores.max(axis=1)
            e = np.exp(scores - top[:, None])
            p = e / e.sum(axis=1)[:, None]
            mask = batch.kept(r, at, n, head) / (1 - case.rate) if case.rate else np.ones((n, n))
            d_p = d @ v.T * mask
            d_scores = p * (d_p - (p * d_p).sum(axis=1)[:, None])
            context[r, own, head] = (p * mask) @ v
            largest[r, head, own] = top
            inverse[r, head, own] = 1 / e.sum(axis=1)
            d_qkv[r, own, 0, head] = d_scores @ k * root
            d_qkv[r, own, 1, head] = d_scores.T @ q * root
            d_qkv[r, own, 2, head] = (p * mask).T @ d
    return context, largest, inverse, d_qkv


class Wrong(Exception):
    pass


# of the largest: what rounding of factors and of probabilities may do
TOLERANCES = {'f32': 3e-6, 'bf16': 1.2e-2, 'f16': 1.5e-3}


def compare(what, got, want, tolerance):
    there = ~np.isnan(want)
    if not np.all(np.isfinite(got)):
        raise Wrong(f'{what} is not finite')
    worst = np.max(np.abs(got - want)[there])
    if not worst <= tolerance * max(1, np.max(np.abs(want[there]))):
        raise Wrong(f'{what} is off by {worst:.3g} of {np.max(np.abs(want[there])):.3g}')


def tiles_walked(batch, own, other):
    """Of all programs: how many tiles of `other` slots have something for a tile of `own` slots."""
    n = 0
    for r in range(batch.case.rows):
        for first in range(0, batch.case.slots, own):
            tile = slice(first, first + own)
            low, high = batch.firsts[r, tile].min() // other, -(-batch.behinds[r, tile].max() // other)
            n += high - low
    return n * batch.case.heads


def tile_of(text):
    """Where segments are compared."""
    return [int(n) for n in re.search(r'arith.cmpi eq, .* : tensor<(\d+)x(\d+)xi32>', text).groups()]


def run(batch, which, text, grid, results):
    """results: [(name, element, n)]; their arrays."""
    case = batch.case
    arrays = [ttir.Array('qkv', case.element, batch.qkv), ttir.Array('segments', 'i32', batch.segments),
              ttir.Array('firsts', 'i32', batch.firsts), ttir.Array('behinds', 'i32', batch.behinds)]
    if case.bias:
        arrays.append(ttir.Array('bias', 'f32', batch.bias))
    if case.rate:
        arrays.append(ttir.Array('bits', 'i32', batch.bits))
    if which == 'backward':
        along = np.sum(batch.context * batch.d_context, axis=3, dtype=np.float32).transpose(0, 2, 1)
        arrays += [ttir.Array('d_context', case.element, batch.d_context),
                   ttir.Array('max', 'f32', batch.max), ttir.Array('inv_sum', 'f32', batch.inv_sum),
                   ttir.Array('along', 'f32', along)]
    out = [ttir.Array(name, element, n=n) for name, element, n in results]
    kernel = ttir.Kernel(text, arrays + out)
    kernel.run(grid)
    return kernel, [array.values for array in out]


def check_forward(batch, want, change=lambda text: text):
    case = batch.case
    n = case.rows * case.slots * case.heads
    grid, text = case.kernel('forward')
    kernel, (context, largest, inverse) = run(
        batch, 'forward', change(text), grid,
        [('context', case.element, n * case.head_size), ('max', 'f32', n), ('inv_sum', 'f32', n)])
    compare('context', context.reshape(want[0].shape), want[0], TOLERANCES[case.element])
    exact = 1e-2 if case.element == 'bf16' else 2e-3 if case.element == 'f16' else 3e-6
    compare('max', largest.reshape(want[1].shape), want[1], exact)
    compare('inv_sum', inverse.reshape(want[2].shape), want[2], exact)
    expected = tiles_walked(batch, *tile_of(text))
    if kernel.n_steps != expected:
        raise Wrong(f'{kernel.n_steps} tiles were walked, not {expected}')
    batch.context = context.reshape(want[0].shape)
    batch.max, batch.inv_sum = largest, inverse


def check_backward(batch, want, change=lambda text: text):
    case = batch.case
    grid, text = case.kernel('backward')
    kernel, (d_qkv,) = run(batch, 'backward', change(text), grid,
                           [('d_qkv', case.element, batch.qkv.size)])
    d_qkv = d_qkv.reshape(batch.qkv.shape)
    for i, part in enumerate(('query', 'key', 'value')):
        compare(f"the {part}'s gradient", d_qkv[:, :, i], want[3][:, :, i], TOLERANCES[case.element])
    if np.any(d_qkv[batch.segments < 0] != 0):
        raise Wrong('empty slots have a gradient')
    expected = 2 * tiles_walked(batch, *tile_of(text))
    if kernel.n_steps != expected:
        raise Wrong(f'{kernel.n_steps} tiles were walked, not {expected}')


# what is replaced in the text, one place at a time, and by what
MISTAKES = [
    ('arith.cmpi eq', 'arith.cmpi ne'),
    ('arith.cmpi slt', 'arith.cmpi sge'),
    ('arith.shrui', 'arith.shli'),
    ('arith.maxnumf', 'arith.addf'),
    ('arith.minsi', 'arith.maxsi'),
    ('arith.maxsi', 'arith.minsi'),
    ('arith.constant 1.44269504088896339e+00', 'arith.constant 1.00000000000000000e+00'),
    ('arith.constant -64', 'arith.constant -128'),
    ('arith.subi', 'arith.addi'),
    ('arith.subf', 'arith.addf'),
    ('arith.andi', 'arith.ori'),
    ('tt.get_program_id y', 'tt.get_program_id x'),
    ('math.exp2', 'arith.addf'),
]


def count_unseen(case):
    """Mistakes at the first places where they fit, in both kernels: those that nothing saw. (Masks of
    what cannot happen for these sizes are left out.)"""
    batch = Batch(case)
    want = textbook(batch)
    check_forward(batch, want)
    unseen, n = [], 0
    for which, check in (('forward', check_forward), ('backward', check_backward)):
        text = case.kernel(which)[1]
        for old, new in MISTAKES:
            for place in [match.start() for match in re.finditer(re.escape(old), text)
                          if 'xi1>' not in text[match.start():].split('\n')[0]][:4]:
                kept = batch.context, batch.max, batch.inv_sum
                n += 1
                try:
                    check(batch, want, lambda t, at=place, a=old, b=new: t[:at] + b + t[at + len(a):])
                    unseen.append(f'{which}: {text[place:].splitlines()[0]} -> {new}')
                except (Wrong, ttir.Mistake, IndexError, ValueError, TypeError, KeyError):
                    pass
                batch.context, batch.max, batch.inv_sum = kept
    return n, unseen


def main():
    names = sys.argv[2:]
    failures = 0
    np.seterr(over='ignore', invalid='ignore', divide='ignore')
    for case in CASES:
        if names and case.name not in names:
            continue
        try:
            batch = Batch(case)
            want = textbook(batch)
            check_forward(batch, want)
            check_backward(batch, want)
            print(f'ok {case.name}')
        except (Wrong, ttir.Mistake) as problem:
            print(f'FAILED {case.name}: {problem}')
            failures += 1
    if not names or 'mistakes' in names:
        n, unseen = count_unseen(Case('mistakes', 'f32', 2, 16, 150, [[3, 70, 40], [-60, 90]], 0.3))
        print(f'{n} mistakes, {len(unseen)} not seen')
        for line in unseen:
            print(f'FAILED: {line}')
        failures += len(unseen)
    sys.exit(1 if failures else 0)


main()
