# SPDX-License-Identifier: Apache-2.0
"""Every file that the programs write, written below a name that nothing in the store has yet ("a
folder that does not exist"): the same bytes as on the local disk."""
import json
import os
import random
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import remote_case  # noqa: E402
from remote_case import e2e  # noqa: E402

WORDS = 'the film was good bad great awful a plot actors and boring fun no idea'.split()
VOCAB = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'] + WORDS


class OutputCase(remote_case.RemoteCase):
    scheme = 'gs'

    def setUp(self):
        super().setUp()
        self.write('vocab.txt', '\n'.join(VOCAB) + '\n')
        if self.scheme == 's3':
            self.env.update(AWS_ENDPOINT_URL=self.server.url, AWS_ACCESS_KEY_ID='AKID',
                            AWS_SECRET_ACCESS_KEY='S3CRET')
            self.store.s3_key = ('AKID', 'S3CRET')

    def at(self, name):
        return '%s://bucket/new/%s' % (self.scheme, name)

    def read(self, *names):
        with open(self.path(*names), 'rb') as source:
            return source.read()

    def predict(self, path, how='--output_path=', expect=0, **more):
        return self.train(mode='predict', more=[how + path] + list(more.pop('flags', ())),
                          expect=expect, run_how={'env': self.env}, **more)

    def same(self, local, *names):
        for name in names:
            got = self.store.get('new/' + name)
            self.assertIsNotNone(got, '%s is not in %s' % (name, self.store.names()))
            self.assertEqual(got, self.read(local, os.path.basename(name)), name)

    def data_tool(self, where):
        rows = ['sentence\tlabel']
        for i in range(20):
            rows.append('%s\t%d' % (' '.join(WORDS[(i * 7 + k * k) % 15] for k in range(5)), i % 2))
        os.makedirs(self.path('SST-2'), exist_ok=True)
        for name in ('train', 'dev'):
            self.write('SST-2/%s.tsv' % name, '\n'.join(rows) + '\n')
        return e2e.run(['--input_data_dir=SST-2', '--vocab_file=vocab.txt',
                        '--train_data_output_path=%s/train.tf_record' % where,
                        '--eval_data_output_path=%s/deep/eval.tf_record' % where,
                        '--meta_data_file_path=%s/meta' % where, '--max_seq_length=16',
                        '--fine_tuning_task_type=classification',
                        '--classification_task_name=SST-2'],
                       name='create-finetuning-data', cwd=self.folder, env=self.env)


class Gcs(OutputCase):
    def test_predictions(self):
        self.train()
        for name in ('p.tsv', 'p.jsonl', 'more/p.tsv'):
            self.predict(os.path.basename(name))
            self.predict(self.at(name))
            self.same('.', name)
        self.predict('sub', '--glue_submission=', flags=['--glue_task=AX'])
        self.predict(self.at('sub'), '--glue_submission=', flags=['--glue_task=AX'])
        self.same('sub', 'sub/AX.tsv')
        self.assertEqual(len(self.store.names('new/')), 4)

    def test_exports(self):
        """The README.md has the name of the folder; nothing that is there is replaced."""
        self.train()
        how = '--export_format=hf'
        override = 'task.train_data.vocab_file=vocab.txt'
        for where in ('model', self.at('model')):
            self.train(mode='export', more=[how, '--output_path=' + where], override=override,
                       run_how={'env': self.env})
        names = sorted(os.listdir(self.path('model')))
        self.assertEqual(sorted(self.store.names('new/')), ['new/model/' + name for name in names])
        self.assertEqual(len(names), 7)
        self.same('model', *['model/' + name for name in names])
        for more in ([], ['--dry_run']):
            result = self.train(mode='export', more=[how, '--output_path=' + self.at('model')] + more,
                                override=override, expect=2, run_how={'env': self.env})
            self.assertIn('the folder is not empty', result.stderr)

    def test_tags(self):
        rows = e2e.make_rows(16, seed=8)
        for row in rows:
            row['label_ids'] = [i % 3 if i else -1 for i in row['input_ids']]
        for name in ('train.tf_record', 'eval.tf_record'):
            e2e.write_records(self.path(name), rows)
        override = ('trainer.best_checkpoint_eval_metric=validation_loss,'
                    'task.class_names=[O,B-a,I-a],task.train_data.include_sentence_id=false')
        how = {'override': override}
        args = [a.replace('sentence_prediction', 'tagging') for a in self.args(mode='train', **how)]
        yaml = re.sub(r'(?m)^ *num_classes.*\n|^ *use_encoder_pooler.*\n', '', e2e.TINY_MODEL)
        self.write('model.yaml', yaml)
        self.write('run.yaml', e2e.TINY_RUN.replace('  metric_type: accuracy\n', ''))
        made = e2e.run(args, cwd=self.folder)
        self.assertEqual(made.code, 0, str(made))
        for path in ('p.conll', self.at('p.conll')):
            args = [a.replace('sentence_prediction', 'tagging') for a in self.args(
                mode='predict', more=['--output_path=' + path], **how)]
            result = e2e.run(args, cwd=self.folder, env=self.env)
            self.assertEqual(result.code, 0, str(result))
        self.same('.', 'p.conll')

    def test_records(self):
        for where in ('here', '%s://bucket/new/data' % self.scheme):
            result = self.data_tool(where)
            self.assertEqual(result.code, 0, str(result))
        self.same('here', 'data/train.tf_record', 'data/meta')
        self.same('here/deep', 'data/deep/eval.tf_record')

    def test_seeds(self):
        for where in ('seeds', self.at('seeds')):
            self.train(mode='train_and_eval', model_dir=where, more=['--seeds=1,2'],
                       override='trainer.train_steps=5,trainer.validation_interval=5',
                       run_how={'env': self.env})
        text = json.loads(self.store.get('new/seeds/seeds.json'))
        want = json.loads(self.read('seeds', 'seeds.json'))
        self.assertEqual(sorted(text), sorted(want))

    def test_an_evaluation_beside_a_training(self):
        """Two processes and one model_dir: neither ends the other, and no record is lost."""
        override = 'trainer.train_steps=1000000,trainer.steps_per_loop=10,trainer.checkpoint_interval=500'
        training = subprocess.Popen(
            [e2e.program()] + self.args(mode='train', model_dir=self.at('both'), override=override),
            cwd=self.folder, stderr=subprocess.PIPE, text=True,
            env=dict(os.environ, BERT_TRAIN_UPLOAD_SECONDS='0.01', **self.env))
        self.addCleanup(training.communicate)
        self.addCleanup(training.kill)
        end = time.monotonic() + e2e.TIMEOUT
        while not self.store.get('new/both/checkpoint') and time.monotonic() < end:
            self.assertIsNone(training.poll())
            time.sleep(0.05)
        how = {'mode': 'eval', 'model_dir': self.at('both'), 'run_how': {'env': self.env}}
        self.train(**how)
        beside = self.store.get('new/both/metrics-eval.jsonl') or b''
        self.assertEqual([json.loads(line)['kind'] for line in beside.splitlines()],
                         ['validation', 'final'])
        time.sleep(0.5)
        training.send_signal(signal.SIGTERM)
        said = training.communicate(timeout=e2e.TIMEOUT)[1]
        self.assertEqual(training.returncode, 75, said)
        own = self.store.get('new/both/metrics.jsonl')
        self.assertNotIn(b'"mode"', own)
        self.train(**how)
        both = self.store.get('new/both/metrics.jsonl')
        self.assertTrue(both.startswith(own))
        self.assertEqual(both.count(b'"mode": "eval"'), 2)
        self.assertEqual(self.store.get('new/both/metrics-eval.jsonl'), beside)

    def test_a_bucket_that_is_not_there(self):
        self.train(mode='train')
        result = self.predict('%s://none/p.tsv' % self.scheme, expect=4)
        self.assertIn('none', self.one_error(result))


class S3(Gcs):
    scheme = 's3'


class Answers(OutputCase):
    """The predictions of SQuAD are a folder."""

    def test_squad(self):
        rng = random.Random(3)
        paragraphs = []
        for i in range(8):
            words = [rng.choice(WORDS) for _ in range(10)]
            at = len(' '.join(words[:4])) + 1
            paragraphs.append({'context': ' '.join(words), 'qas': [{
                'id': str(i), 'question': 'a plot', 'answers': [
                    {'text': words[4], 'answer_start': at}]}]})
        self.write('train.json', json.dumps({'version': '1.1', 'data': [
            {'title': 't', 'paragraphs': paragraphs}]}))
        part = ('{input_path: train.json, vocab_file: vocab.txt, seq_length: 24, doc_stride: 8, '
                'query_length: 8, global_batch_size: 8}')
        yaml = re.sub(r'(?m)^ *num_classes.*\n|^ *use_encoder_pooler.*\n', '', e2e.TINY_MODEL)
        self.write('model.yaml', yaml)
        self.write('run.yaml', 'task:\n  train_data: %s\n  validation_data: %s\n'
                   'trainer: {train_steps: 5, checkpoint_interval: 5, validation_interval: 5,\n'
                   '  best_checkpoint_eval_metric: final_f1, best_checkpoint_export_subdir: best}\n'
                   % (part, part))
        for mode, more in (('train', []), ('predict', ['--output_path=here']),
                           ('predict', ['--output_path=' + self.at('squad')])):
            args = [a.replace('sentence_prediction', 'squad')
                    for a in self.args(mode=mode, more=more,
                                       override='task.model.encoder.bert.max_position_embeddings=32')]
            result = e2e.run(args, cwd=self.folder, env=self.env)
            self.assertEqual(result.code, 0, str(result))
        self.same('here', 'squad/predictions.json', 'squad/nbest_predictions.json')


if __name__ == '__main__':
    remote_case.main()
