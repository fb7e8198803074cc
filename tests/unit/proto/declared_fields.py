# SPDX-License-Identifier: Apache-2.0
"""The messages of proto/*.proto have the fields of TensorFlow's own: the descriptors that TensorBoard carries
(TensorFlow's, where the Python named by BT_TF_PYTHON has it) know each by name, number and type."""
import json
import os
import re
import subprocess
import sys
import unittest

SOURCE = os.environ['BT_SOURCE_DIR']
# TensorBoard does not carry these; written files of TensorFlow judge them (test_bundle, test_ckpt_read)
NOT_CARRIED = {'bt_serving.SavedModel', 'bt_tf.BundleHeaderProto', 'bt_tf.BundleEntryProto', 'bt_tf.TensorSliceProto',
               'bt_tf.TensorSliceProto.Extent', 'bt_tf.SavedModel', 'bt_keras.SavedMetadata', 'bt_keras.SavedObject'}
# ours -> theirs that have the same bytes; a message that we keep as it stands is declared as bytes
SAME = {'bytes': {'bytes', 'string', 'message'}, 'int32': {'int32', 'enum'}}

LOOK_UP = '''
import importlib, json, sys
from google.protobuf import descriptor_pool, wrappers_pb2
for root in ('tensorboard.compat.proto', 'tensorflow.core.framework', 'tensorflow.core.protobuf', 'tensorflow.core.util',
             'tensorflow.python.keras.protobuf', 'tensorboard.plugins.hparams',
             'tensorboard.plugins.pr_curve', 'google.protobuf'):
    for name in ('event', 'summary', 'tensor', 'tensor_shape', 'versions', 'trackable_object_graph', 'meta_graph',
                 'saved_object_graph', 'saved_model', 'tensor_slice', 'tensor_bundle', 'saved_metadata', 'plugin_data', 'struct'):
        try:
            importlib.import_module(root + '.' + name + '_pb2')
        except Exception:
            pass
TYPES = {1: 'double', 2: 'float', 3: 'int64', 5: 'int32', 7: 'fixed32', 8: 'bool', 9: 'string', 11: 'message', 12: 'bytes',
         13: 'uint32', 14: 'enum'}
found = {}
PACKAGES = {'bt_tb': ('tensorboard.hparams', 'tensorboard', 'google.protobuf'),
            'bt_serving': ('tensorflow', 'tensorboard', 'google.protobuf'), 'bt_tf': ('tensorflow', 'tensorboard', 'google.protobuf'),
            'bt_keras': ('third_party.tensorflow.python.keras.protobuf',)}
for message in json.load(sys.stdin):
    ours, name = message.split('.', 1)
    for package in PACKAGES[ours]:
        try:
            descriptor = descriptor_pool.Default().FindMessageTypeByName(package + '.' + name)
        except KeyError:
            continue
        found[message] = {f.name: [f.number, TYPES.get(f.type, str(f.type)), f.is_repeated if hasattr(f, 'is_repeated') else f.label == 3]
                          for f in descriptor.fields}
        break
json.dump(found, sys.stdout)
'''


def read_messages(text):
    """{package.message: {field: [number, type, is repeated]}}"""
    messages, opened = {}, []
    package = re.search(r'^package (\w+);', text, re.MULTILINE)[1]
    for line in re.sub(r'//[^\n]*', '', text).splitlines():
        start = re.match(r'\s*(message|oneof) (\w+) \{', line)
        field = re.match(r'\s*(repeated |optional )?([\w.]+) (\w+) = (\d+);', line)
        if start:
            opened.append(start.groups())
        elif re.match(r'\s*\}', line):
            opened.pop()
        elif field and opened:
            name = '.'.join([package] + [word for kind, word in opened if kind == 'message'])
            kind = field[2] if field[2].islower() else 'message'
            messages.setdefault(name, {})[field[3]] = [int(field[4]), kind, field[1] == 'repeated ']
    return messages


def read_file(path):
    with open(path, encoding='utf-8') as source:
        return read_messages(source.read())


def declared():
    messages = {}
    folder = os.path.join(SOURCE, 'proto')
    for name in sorted(os.listdir(folder)):
        # XLA's, which no Python package carries; ONNX's: onnx_fields.py
        if name not in ('compile_options.proto', 'onnx.proto'):
            messages.update(read_file(os.path.join(folder, name)))
    return messages


def differences(ours, theirs, who='TensorFlow'):
    found = []
    for message, fields in ours.items():
        for name, (number, kind, is_repeated) in fields.items():
            other = theirs.get(message, {}).get(name)
            if message in theirs and (other is None or other[0] != number or other[2] != is_repeated or
                                      other[1] not in SAME.get(kind, {kind})):
                found.append('%s.%s: %s, and %s has %s' % (message, name, [number, kind, is_repeated], who, other))
    return found


class DeclaredFields(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        python = os.environ.get('BT_TF_PYTHON')
        if python is None:
            script = os.path.join(SOURCE, 'tests/reliability/get_tensorboard.sh')
            done = subprocess.run([script, os.environ['BT_BUILD_DIR']], capture_output=True, text=True, timeout=600)
            if done.returncode != 0:
                print('SKIPPED: ' + done.stderr.strip())
                sys.exit(77)
            python = done.stdout.strip()
        cls.ours = declared()
        done = subprocess.run([python, '-c', LOOK_UP], input=json.dumps(list(cls.ours)), capture_output=True, text=True,
                              timeout=300)
        assert done.returncode == 0, done.stderr
        cls.theirs = json.loads(done.stdout)

    def test_fields(self):
        self.assertEqual(differences(self.ours, self.theirs), [])

    def test_all_are_judged(self):
        self.assertEqual(set(self.ours) - set(self.theirs) - NOT_CARRIED, set())

    def test_it_can_fail(self):
        for wrong in ([2, 'double', False], [1, 'float', False], [1, 'double', True]):
            self.assertEqual(len(differences({'bt_tf.Event': {'wall_time': wrong}}, self.theirs)), 1)
        self.assertEqual(len(differences({'bt_tf.Event': {'no_such': [1, 'double', False]}}, self.theirs)), 1)


if __name__ == '__main__':
    unittest.main(verbosity=2)
