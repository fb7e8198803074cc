# SPDX-License-Identifier: Apache-2.0
"""Every field of the real TrainingArguments has a row in docs/moving.md. (The cheap twin, which holds what the rows say
against our programs: tests/docs/moving.py.)"""
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, 'support'))
sys.path.insert(1, os.path.join(HERE, '../docs'))
import ecosystem  # noqa: E402
import e2e  # noqa: E402
import moving  # noqa: E402


@ecosystem.needs('hf')
class TrainingArguments(unittest.TestCase):
    def test_every_field_has_a_row(self):
        answer = ecosystem.ask('hf', 'training_arguments_judge.py', {})
        rows = {flag for theirs, _cell, _rest in moving.table() for flag in theirs}
        self.assertGreater(len(answer['fields']), 90)
        self.assertEqual(sorted(set(answer['fields']) - rows), [], 'of transformers ' + answer['version'])


if __name__ == '__main__':
    e2e.main()
