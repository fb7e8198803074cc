# SPDX-License-Identifier: Apache-2.0
"""Reads ONNX files with the standard library alone: protobuf's wire format, and the fields that bert-train writes
(numbers: tests/goldens/onnx/fields.json)."""
import hashlib
import os
import struct

TYPES = {1: ('float32', 4), 2: ('uint8', 1), 3: ('int8', 1), 7: ('int64', 8), 10: ('float16', 2)}


def varint(data, at):
    value, shift = 0, 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def fields(data):
    """[(number, value)]: an int, or bytes"""
    at, found = 0, []
    while at < len(data):
        tag, at = varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 5:
            value, at = struct.unpack_from('<f', data, at)[0], at + 4
        else:
            assert kind == 2, kind
            n, at = varint(data, at)
            assert at + n <= len(data), 'a length beyond the end'
            value, at = data[at:at + n], at + n
        found.append((tag >> 3, value))
    return found


def all_of(message, number):
    return [value for field, value in message if field == number]


def one(message, number, default=None):
    values = all_of(message, number)
    assert len(values) <= 1, number
    return values[0] if values else default


def entry(data):
    pair = fields(data)
    return one(pair, 1, b'').decode(), one(pair, 2, b'').decode()


class Tensor:
    def __init__(self, data, folder):
        message = fields(data)
        self.name = one(message, 8).decode()
        self.dims = all_of(message, 1)
        self.type, self.size = TYPES[one(message, 2)]
        self.place = dict(entry(e) for e in all_of(message, 13))
        self.raw = one(message, 9)
        if one(message, 14) == 1:
            with open(os.path.join(folder, self.place['location']), 'rb') as file:
                file.seek(int(self.place['offset']))
                self.raw = file.read(int(self.place['length']))

    def n_bytes(self):
        n = self.size
        for dim in self.dims:
            n *= dim
        return n


class Node:
    def __init__(self, data):
        message = fields(data)
        self.inputs = [name.decode() for name in all_of(message, 1)]
        self.outputs = [name.decode() for name in all_of(message, 2)]
        self.name = one(message, 3).decode()
        self.op = one(message, 4).decode()
        self.attributes = {one(fields(a), 1).decode(): a for a in all_of(message, 5)}


def value_info(data):
    """(name, [dims]): a dim is a number or a name"""
    message = fields(data)
    tensor = fields(one(fields(one(message, 2)), 1))
    dims = [fields(dim)[0][1] for dim in all_of(fields(one(tensor, 2)), 1)]
    return one(message, 1).decode(), [dim.decode() if isinstance(dim, bytes) else dim for dim in dims]


class Model:
    def __init__(self, path):
        with open(path, 'rb') as file:
            self.message = fields(file.read())
        folder = os.path.dirname(path)
        self.graph = fields(one(self.message, 7))
        self.nodes = [Node(data) for data in all_of(self.graph, 1)]
        self.tensors = [Tensor(data, folder) for data in all_of(self.graph, 5)]
        self.inputs = [value_info(data) for data in all_of(self.graph, 11)]
        self.outputs = [value_info(data) for data in all_of(self.graph, 12)]
        self.opsets = [(one(fields(o), 1, b'').decode(), one(fields(o), 2)) for o in all_of(self.message, 8)]
        self.facts = dict(entry(e) for e in all_of(self.message, 14))
        self.path = path

    def digest(self):
        """Of all that decides what the model computes: not of the program's version and the facts."""
        seen = hashlib.sha256(one(self.message, 7) + repr(self.opsets).encode())
        for tensor in self.tensors:
            seen.update(tensor.raw)
        return seen.hexdigest()


class ServingNode:
    """Of a saved_model.pb; attributes by name, as bytes."""

    def __init__(self, data):
        message = fields(data)
        self.name = one(message, 1).decode()
        self.op = one(message, 2).decode()
        self.inputs = [name.decode() for name in all_of(message, 3)]
        self.attributes = {}
        for item in all_of(message, 5):
            pair = fields(item)
            self.attributes[one(pair, 1).decode()] = one(pair, 2, b'')

    def constant(self):
        """(type, dims, bytes)"""
        tensor = fields(one(fields(self.attributes['value']), 8))
        dims = [one(fields(dim), 1, 0) for dim in all_of(fields(one(tensor, 2, b'')), 2)]
        return {1: 'float32', 3: 'int32', 9: 'int64'}[one(tensor, 1)], dims, one(tensor, 4, b'')


class SavedModel:
    def __init__(self, path):
        with open(path, 'rb') as file:
            message = fields(file.read())
        self.schema = one(message, 1)
        self.meta = fields(one(message, 2))
        self.tags = [tag.decode() for tag in all_of(fields(one(self.meta, 1)), 4)]
        self.graph = one(self.meta, 2)
        self.nodes = [ServingNode(data) for data in all_of(fields(self.graph), 1)]
        pair = fields(one(self.meta, 5))
        self.signature = one(pair, 1).decode()
        signature = fields(one(pair, 2))
        self.inputs = {key: name for key, name in map(self.info, all_of(signature, 1))}
        self.outputs = {key: name for key, name in map(self.info, all_of(signature, 2))}
        self.method = one(signature, 3).decode()

    @staticmethod
    def info(data):
        pair = fields(data)
        return one(pair, 1).decode(), one(fields(one(pair, 2)), 1).decode()

    def digest(self):
        return hashlib.sha256(self.graph + repr((self.inputs, self.outputs)).encode()).hexdigest()
