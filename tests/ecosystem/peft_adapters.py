# SPDX-License-Identifier: Apache-2.0
"""Adapters that were trained here, in the real PEFT: PeftModel.from_pretrained over the base that the
run started from gives our probabilities. (The cheap twin: tests/e2e/tuning.py.)"""
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, 'support'))
sys.path.insert(0, os.path.join(HERE, '../e2e/support'))
import ecosystem  # noqa: E402
import e2e  # noqa: E402

SIZES = (('hidden_size: 32', 'hidden_size: 8'), ('intermediate_size: 64', 'intermediate_size: 12'),
         ('max_position_embeddings: 16', 'max_position_embeddings: 10'), ('vocab_size: 100', 'vocab_size: 30'))


@ecosystem.needs('hf')
class Peft(e2e.Case):
    def setUp(self):
        super().setUp()
        self.rows = e2e.make_rows(32, seed=3, vocab=30, seq_length=8)[:32]
        e2e.write_records(self.path('train.tf_record'), self.rows)
        e2e.write_records(self.path('eval.tf_record'), self.rows[:12])
        model = e2e.TINY_MODEL
        for old, new in SIZES:
            model = model.replace(old, new)
        self.write('model.yaml', model)
        self.write('run.yaml', e2e.TINY_RUN.replace('seq_length: 16', 'seq_length: 8'))

    def check(self, name, lora, n_adapters):
        base = e2e.golden('lora/base')
        override = (lora + ',task.init_checkpoint=' + base
                    + ',trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate=0.02')
        self.train(mode='train', model_dir=name, override=override)
        self.train(mode='export', model_dir=name, override=override,
                   more=['--export_format=peft', '--output_path=%s-peft' % name])
        self.train(mode='predict', model_dir=name, override=override, more=['--output_path=%s.jsonl' % name])
        with open(self.path(name + '.jsonl'), encoding='utf-8') as source:
            ours = [json.loads(line)['probabilities'] for line in source]
        answer = ecosystem.ask('hf', 'peft_judge.py', dict(
            base=base, adapter=self.path(name + '-peft'), rows=self.rows[:12]))
        self.assertEqual(answer['adapters'], n_adapters)
        self.assertEqual(len(answer['probabilities']), len(ours))
        moved = 0
        for got, want, plain in zip(ours, answer['probabilities'], answer['plain']):
            for c, p in enumerate(want):
                self.assertLess(abs(got[str(c)] - p), 1e-5)
                moved = max(moved, abs(got[str(c)] - plain[c]))
        self.assertGreater(moved, 0.05)

    def test_query_and_value(self):
        self.check('a', 'task.model.lora.rank=2,task.model.lora.alpha=4.0', 4)

    def test_other_kernels_by_the_root(self):
        self.check('b', 'task.model.lora.rank=3,task.model.lora.rslora=true,'
                        'task.model.lora.targets=[output,key,intermediate]', 6)


if __name__ == '__main__':
    e2e.main()
