#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/goldens/onnx/fields.json: name, number, type of each field of the messages of proto/onnx.proto, as the
real package has them. Needs: pip install onnx (made with 1.23.2). Usage: make_onnx_fields.py [FILE]; the
ecosystem test onnx_models.py compares the file with the package that is installed."""
import json
import os
import sys

import onnx

FIELD_TYPES = {1: 'double', 2: 'float', 3: 'int64', 4: 'uint64', 5: 'int32', 9: 'string', 11: 'message', 12: 'bytes', 14: 'enum'}
MESSAGES = ('StringStringEntryProto', 'TensorProto', 'AttributeProto', 'NodeProto', 'TensorShapeProto',
            'TensorShapeProto.Dimension', 'TypeProto', 'TypeProto.Tensor', 'ValueInfoProto', 'GraphProto', 'OperatorSetIdProto',
            'ModelProto')
OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'goldens', 'onnx', 'fields.json')


def is_repeated(field):
    try:
        return field.is_repeated
    except AttributeError:
        return field.label == 3


def fields():
    found = {}
    for message in MESSAGES:
        kind = onnx
        for word in message.split('.'):
            kind = getattr(kind, word)
        found['bt_onnx.' + message] = {f.name: [f.number, FIELD_TYPES[f.type], is_repeated(f)]
                                       for f in kind.DESCRIPTOR.fields}
    return found


def main():
    with open(sys.argv[1] if len(sys.argv) > 1 else OUT, 'w', encoding='utf-8') as out:
        json.dump({'onnx': onnx.__version__, 'messages': fields()}, out, indent=1, sort_keys=True)
        out.write('\n')


if __name__ == '__main__':
    main()
