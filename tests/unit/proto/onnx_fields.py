# SPDX-License-Identifier: Apache-2.0
"""The messages of proto/onnx.proto have the fields of the real onnx package, by name, number and type
(make_goldens/make_onnx_fields.py)."""
import json
import os
import unittest

from declared_fields import SOURCE, differences, read_file


class OnnxFields(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ours = read_file(os.path.join(SOURCE, 'proto/onnx.proto'))
        with open(os.path.join(SOURCE, 'tests/goldens/onnx/fields.json'), encoding='utf-8') as golden:
            cls.theirs = json.load(golden)['messages']

    def test_fields(self):
        self.assertEqual(differences(self.ours, self.theirs, 'ONNX'), [])

    def test_all_are_judged(self):
        self.assertEqual(set(self.ours), set(self.theirs))

    def test_it_can_fail(self):
        for wrong in ([4, 'int64', False], [3, 'int32', False], [3, 'int64', True]):
            self.assertEqual(len(differences({'bt_onnx.AttributeProto': {'i': wrong}}, self.theirs)), 1)


if __name__ == '__main__':
    unittest.main(verbosity=2)
