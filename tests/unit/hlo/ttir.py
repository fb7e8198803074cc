# SPDX-License-Identifier: Apache-2.0
"""Runs a kernel in Triton's IR (text) on arrays of numpy: what tests hold our kernels to where
there is no GPU. Operations mean what Triton's and MLIR's pages say (tt, arith, math, scf); those
that no kernel of ours has are refused.

Stricter than a GPU: reading or writing outside of an array, writing an element twice or reading
what is written in the same run is an error.
"""
import re

import numpy as np

FLOATS = {'f32', 'bf16', 'f16'}
INTS = {'i1': np.bool_, 'i32': np.int32, 'i64': np.int64}


class Mistake(Exception):
    """The kernel does what it must not do."""


def to_bf16(x):
    """float32 as near as bfloat16 can hold it: ties to even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    rounded = (bits + 0x7fff + ((bits >> 16) & 1)) & np.uint32(0xffff0000)
    return np.where(np.isnan(x), np.float32(np.nan), rounded.view(np.float32))


def rounded(x, element):
    if element == 'bf16':
        return to_bf16(x)
    if element == 'f16':
        with np.errstate(over='ignore'):
            return np.asarray(x, np.float16).astype(np.float32)
    return np.asarray(x, np.float32)


class Type:
    def __init__(self, text):
        match = re.fullmatch(r'tensor<((?:\d+x)+)(.*)>', text.strip())
        self.shape = tuple(int(n) for n in match.group(1)[:-1].split('x')) if match else ()
        element = match.group(2) if match else text.strip()
        pointer = re.fullmatch(r'!tt\.ptr<(\w+)>', element)
        self.is_pointer = pointer is not None
        self.element = pointer.group(1) if pointer else element
        if self.element not in FLOATS and self.element not in INTS:
            raise Mistake(f'the type {text!r}')
        for n in self.shape:
            if n & (n - 1):
                raise Mistake(f'{text!r} has an axis that is not a power of two')

    def key(self):
        return self.shape, self.element, self.is_pointer


class Pointers:
    """Places in one array."""

    def __init__(self, array, places):
        self.array = array
        self.places = places


class Array:
    """Memory that a kernel sees: flat; what it wrote and how often. None: to be written."""

    def __init__(self, name, element, values=None, n=0):
        self.name = name
        self.element = element
        self.is_result = values is None
        if self.is_result:
            self.values = np.full(n, np.nan, np.float32)
        elif element in FLOATS:
            self.values = rounded(values, element).ravel()
        else:
            self.values = np.ascontiguousarray(values, INTS[element]).ravel()
        self.n_writes = np.zeros(self.values.size, np.int32)


def split_types(text):
    """'A, B' where types hold no comma."""
    return [Type(part) for part in text.split(',')]


class Op:
    def __init__(self, line):
        self.line = line
        left, _, right = line.partition(' = ') if line.startswith('%') else ('', '', line)
        self.result, self.n_results = left, 1
        if ':' in left:
            self.result, count = left.split(':')
            self.n_results = int(count)
        name = re.match(r'"?([\w.]+)"?', right)
        self.name = name.group(1)
        self.rest = right[name.end():].strip()
        self.body = []
        self.arguments = []

    def operands(self, text=None):
        return re.findall(r'%\d+(?:#\d+)?', self.rest if text is None else text)


def parse(text):
    """The function's name, its arguments [(value, Type)], and its operations."""
    head = re.search(r'tt\.func public @(\w+)\((.*)\) \{', text)
    arguments = []
    for part in re.findall(r'(%\d+): (!tt\.ptr<\w+>) \{tt\.divisibility = 16 : i32\}', head.group(2)):
        arguments.append((part[0], Type(part[1])))
    if len(arguments) != head.group(2).count('%'):
        raise Mistake(f'the arguments {head.group(2)!r}')
    lines = [line.strip() for line in text[head.end():].split('\n') if line.strip()]
    stack = [[]]
    for line in lines:
        if line.startswith('^bb0('):
            stack[-2][-1].arguments = re.findall(r'%\d+', line)
        elif line.startswith('}'):
            if len(stack) > 1:
                op_body = stack.pop()
                stack[-1][-1].body = op_body
                stack[-1][-1].rest += ' ' + line
        else:
            stack[-1].append(Op(line))
            if line.endswith('{'):
                stack.append([])
    if len(stack) != 1:
        raise Mistake('braces that do not match')
    return head.group(1), arguments, stack[0]


BINARY = {
    'arith.addi': np.add, 'arith.subi': np.subtract, 'arith.muli': np.multiply,
    'arith.andi': np.bitwise_and, 'arith.ori': np.bitwise_or,
    'arith.minsi': np.minimum, 'arith.maxsi': np.maximum,
    'arith.addf': np.add, 'arith.subf': np.subtract, 'arith.mulf': np.multiply,
    'arith.divf': np.divide, 'arith.maxnumf': np.fmax,
}
COMPARE = {'eq': np.equal, 'ne': np.not_equal, 'slt': np.less, 'sge': np.greater_equal}
REDUCE = {'arith.addf': np.sum, 'arith.maxnumf': np.fmax.reduce,
          'arith.minsi': np.min, 'arith.maxsi': np.max}


def shifted(name, a, b):
    """By 32 or more, and by less than 0, the result is poison."""
    if np.any((b < 0) | (b >= 8 * a.dtype.itemsize)):
        raise Mistake(f'{name} by {b[(b < 0) | (b >= 8 * a.dtype.itemsize)].ravel()[0]}')
    if name == 'arith.shli':
        return np.left_shift(a, b)
    if name == 'arith.shrsi':
        return np.right_shift(a, b)
    return np.right_shift(a.view(np.uint32), b.view(np.uint32)).view(np.int32)


class Kernel:
    def __init__(self, text, arrays):
        self.name, arguments, self.ops = parse(text)
        if len(arguments) != len(arrays):
            raise Mistake(f'{self.name} has {len(arguments)} arguments, not {len(arrays)}')
        self.arrays = arrays
        self.start, self.types = {}, {}
        for (value, kind), array in zip(arguments, arrays):
            if kind.element != array.element:
                raise Mistake(f'{self.name}: {array.name} is {array.element}, not {kind.element}')
            self.start[value] = Pointers(array, np.zeros((), np.int64))
            self.types[value] = kind
        self.n_steps = 0  # of loops

    def run(self, grid):
        for z in range(grid[2]):
            for y in range(grid[1]):
                for x in range(grid[0]):
                    self.ids = dict(zip('xyz', (x, y, z)))
                    self.values = dict(self.start)
                    self.block(self.ops)
        for array in self.arrays:
            if array.is_result and np.any(array.n_writes == 0):
                raise Mistake(f'{self.name} left {np.sum(array.n_writes == 0)} of {array.name}')

    def block(self, ops):
        for op in ops:
            if op.name in ('scf.yield', 'tt.return', 'tt.reduce.return'):
                return op
            try:
                getattr(self, 'do_' + op.name.replace('.', '_'), self.element_wise)(op)
            except Mistake as mistake:
                raise Mistake(f'{mistake}, in {op.line}') from None
        return None

    def take(self, names, types):
        """Their values; each must have the type that the operation says."""
        for name, kind in zip(names, types):
            if self.types[name].key() != kind.key():
                raise Mistake(f'{name} has another type')
        return [self.values[name] for name in names]

    def give(self, op, kind, value, part=None):
        name = op.result if part is None else f'{op.result}#{part}'
        places = value.places if isinstance(value, Pointers) else value
        if np.shape(places) != kind.shape:
            raise Mistake(f'a value of shape {np.shape(places)}')
        if not kind.is_pointer and kind.element in INTS and value.dtype != INTS[kind.element]:
            raise Mistake(f'a value of {value.dtype}')
        self.values[name], self.types[name] = value, kind

    # arith, math

    def element_wise(self, op):
        text, kind = op.rest.rsplit(' : ', 1)
        kind = Type(kind)
        names = op.operands(text)
        values = self.take(names, [kind] * len(names))
        if op.name in ('arith.shli', 'arith.shrui', 'arith.shrsi'):
            return self.give(op, kind, shifted(op.name, *values))
        if op.name == 'math.exp2':
            return self.give(op, kind, np.exp2(values[0]))
        if op.name not in BINARY or op.name.endswith('f') != (kind.element in FLOATS):
            raise Mistake(f'the operation {op.name}')
        with np.errstate(over='ignore', invalid='ignore', divide='ignore'):
            value = BINARY[op.name](*values)
        return self.give(op, kind, rounded(value, kind.element) if kind.element in FLOATS else value)

    def do_arith_constant(self, op):
        number, kind = op.rest.rsplit(' : ', 1)
        kind = Type(kind)
        number = re.fullmatch(r'(?:dense<)?([-+.\de]+)>?', number).group(1)
        if kind.element in FLOATS:
            return self.give(op, kind, rounded(np.full(kind.shape, float(number)), kind.element))
        return self.give(op, kind, np.full(kind.shape, int(number), INTS[kind.element]))

    def do_arith_cmpi(self, op):
        predicate, a, b, kind = re.fullmatch(r'(\w+), (\S+), (\S+) : (.*)', op.rest).groups()
        kind = Type(kind)
        values = self.take((a, b), (kind, kind))
        out = Type(kind_text(kind.shape, 'i1'))
        self.give(op, out, np.asarray(COMPARE[predicate](*values)))

    def do_arith_select(self, op):
        text, kinds = op.rest.rsplit(' : ', 1)
        condition, kind = split_types(kinds)
        values = self.take(op.operands(text), (condition, kind, kind))
        self.give(op, kind, np.where(*values))

    def cast(self, op):
        name, source, target = re.fullmatch(r'(\S+) : (.*) to (.*)', op.rest).groups()
        source, target = Type(source), Type(target)
        value, = self.take((name,), (source,))
        widths = {'f32': 32, 'bf16': 16, 'f16': 16}
        if (widths[source.element] > widths[target.element]) != (op.name == 'arith.truncf'):
            raise Mistake('a cast that goes the other way')
        self.give(op, target, rounded(value, target.element))

    do_arith_truncf = do_arith_extf = cast

    # shapes

    def do_tt_get_program_id(self, op):
        self.give(op, Type('i32'), np.array(self.ids[op.rest[0]], np.int32))

    def do_tt_make_range(self, op):
        end, start, kind = re.fullmatch(r'\{end = (\d+) : i32, start = (\d+) : i32\} : (.*)', op.rest).groups()
        self.give(op, Type(kind), np.arange(int(start), int(end), dtype=np.int32))

    def mapped(self, op, change):
        text, kinds = op.rest.rsplit(' : ', 1)
        source, target = [Type(part) for part in kinds.split(' -> ')]
        value, = self.take(op.operands(text), (source,))
        if source.element != target.element or source.is_pointer != target.is_pointer:
            raise Mistake('another element comes out')
        if isinstance(value, Pointers):
            self.give(op, target, Pointers(value.array, change(value.places, target.shape)))
        else:
            self.give(op, target, change(value, target.shape))

    def do_tt_splat(self, op):
        self.mapped(op, lambda x, shape: np.full(shape, x, x.dtype))

    def do_tt_broadcast(self, op):
        self.mapped(op, np.broadcast_to)

    def do_tt_expand_dims(self, op):
        axis = int(re.search(r'\{axis = (\d) : i32\}', op.rest).group(1))
        self.mapped(op, lambda x, _: np.expand_dims(x, axis))

    def do_tt_trans(self, op):
        if '{order = array<i32: 1, 0>}' not in op.rest:
            raise Mistake('another order')
        self.mapped(op, lambda x, _: x.T)

    # products, sums

    def do_tt_dot(self, op):
        text, kinds = op.rest.rsplit(' : ', 1)
        a, b, out = [Type(part) for part in re.split(r' \* | -> ', kinds)]
        values = self.take(op.operands(text), (a, b, out))
        if a.element != b.element or out.element != 'f32' or a.shape[1] < 16:
            raise Mistake('a product of other types')
        if ('inputPrecision = tf32x3' in text) != (a.element == 'f32'):
            raise Mistake('a product in another precision')
        with np.errstate(invalid='ignore'):
            self.give(op, out, values[2] + values[0] @ values[1])

    def do_tt_reduce(self, op):
        name, axis = re.match(r'\((%\d+(?:#\d+)?)\) <\{axis = (\d) : i32\}> \(\{', op.rest).groups()
        source, target = [Type(part) for part in re.search(r'\}\) : \((.*)\) -> (.*)$', op.rest).groups()]
        value, = self.take((name,), (source,))
        both, back = op.body
        if both.operands(both.rest.rsplit(' : ', 1)[0]) != op.arguments or back.name != 'tt.reduce.return':
            raise Mistake('a reduction of other values')
        out = np.asarray(REDUCE[both.name](value, axis=int(axis)))
        self.give(op, target, out.astype(value.dtype))

    # memory

    def do_tt_addptr(self, op):
        text, kinds = op.rest.rsplit(' : ', 1)
        pointers, offsets = split_types(kinds)
        start, offset = self.take(op.operands(text), (pointers, offsets))
        self.give(op, pointers, Pointers(start.array, start.places + offset.astype(np.int64)))

    def places(self, pointers, mask):
        places = pointers.places[mask]
        if np.any((places < 0) | (places >= pointers.array.values.size)):
            wrong = places[(places < 0) | (places >= pointers.array.values.size)]
            raise Mistake(f'element {wrong.ravel()[0]} of {pointers.array.name}, which has {pointers.array.values.size}')
        return places

    def memory_operands(self, op, n_values):
        """Pointers, the values beside them, and the mask."""
        text, kind = op.rest.rsplit(' : ', 1)
        kind = Type(kind)
        names = op.operands(text)
        value = Type(kind_text(kind.shape, kind.element))
        mask = Type(kind_text(kind.shape, 'i1'))
        types = [kind, value, mask] if n_values else [kind, mask, value]
        values = self.take(names, types[:len(names)])
        everywhere = np.ones(kind.shape, np.bool_)
        if n_values:
            return value, values[0], values[1], values[2] if len(values) > 2 else everywhere
        return value, values[0], values[2] if len(values) > 2 else None, values[1] if len(values) > 1 else everywhere

    def do_tt_load(self, op):
        kind, pointers, other, mask = self.memory_operands(op, 0)
        if pointers.array.is_result:
            raise Mistake(f'{pointers.array.name} is read, a result')
        out = np.array(other) if other is not None else np.zeros(kind.shape, pointers.array.values.dtype)
        out[mask] = pointers.array.values[self.places(pointers, mask)]
        self.give(op, kind, out)

    def do_tt_store(self, op):
        _, pointers, value, mask = self.memory_operands(op, 1)
        if not pointers.array.is_result:
            raise Mistake(f'{pointers.array.name} is written, no result')
        places = self.places(pointers, mask)
        np.add.at(pointers.array.n_writes, places, 1)
        if np.any(pointers.array.n_writes > 1):
            raise Mistake(f'{pointers.array.name} is written twice')
        pointers.array.values[places] = value[mask]

    # loops

    def do_scf_for(self, op):
        head = re.match(r'(%\d+) = (\S+) to (\S+) step (\S+) iter_args\((.*?)\) -> \((.*?)\) : i32 \{', op.rest)
        counter, first, limit, step = head.groups()[:4]
        carried = re.findall(r'(%\d+) = (%\d+(?:#\d+)?)', head.group(5))
        kinds = split_types(head.group(6))
        bounds = [int(x) for x in self.take((first, limit, step), [Type('i32')] * 3)]
        values = self.take([start for _, start in carried], kinds)
        for i in range(*bounds):
            self.n_steps += 1
            self.values[counter], self.types[counter] = np.array(i, np.int32), Type('i32')
            for (name, _), kind, value in zip(carried, kinds, values):
                self.values[name], self.types[name] = value, kind
            last = self.block(op.body)
            values = self.take(last.operands(last.rest.split(' : ')[0]), kinds)
        for i, (kind, value) in enumerate(zip(kinds, values)):
            self.give(op, kind, value, i if op.n_results > 1 else None)


def kind_text(shape, element):
    return f"tensor<{''.join(f'{n}x' for n in shape)}{element}>" if shape else element


