# SPDX-License-Identifier: Apache-2.0
"""A run that is continued says what differs from how it began, key by key, then and now; what cannot
be meant is refused with exit code 2, unless --allow_changed names it. By value: a params.yaml of
Model Garden, or of an older version, says the same in other words."""
import gzip
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import jobs  # noqa: E402
from jobs import e2e  # noqa: E402

STEPS = 'trainer.train_steps=%d'
RATE = 'trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate'
OPTIMIZER = 'trainer.optimizer_config.optimizer'
ENCODER = 'task.model.encoder.bert.'


class Changed(e2e.Case):
    def setUp(self):
        super().setUp()
        jobs.make(self.folder)

    def run_job(self, override='', task='sentence', steps=20, expect=0, more=(), mode='train'):
        result = e2e.run(jobs.args(task, 'out', (STEPS % steps) + (',' if override else '') +
                                   override, mode, more), cwd=self.folder)
        self.assertEqual(result.code, expect, str(result))
        return result

    def told(self, result):
        """{key: (then, now)}"""
        return {key: (then, now) for key, then, now in re.findall(
            r'changed since the run began: (\S+): (.*) -> (.*)', result.stderr)}

    def params(self):
        with open(self.path('out/params.yaml'), encoding='utf-8') as source:
            return source.read()

    def test_nothing_changed(self):
        self.run_job()
        self.assertEqual(self.told(self.run_job()), {})
        self.assertNotIn('hanged', self.run_job().stderr)

    def test_what_is_told(self):
        """Rate, batch, length, data, seed, hyperparameters, dropout: each key once."""
        changes = {
            RATE: ('0.002', '0.001'),
            'task.train_data.global_batch_size': ('12', '10'),
            'task.train_data.seq_length': ('16', '20'),
            'task.train_data.seed': ('null', '7'),
            'task.train_data.input_path': ("'train.tsv'", "'other.tsv'"),
            OPTIMIZER + '.adamw.beta_1': ('0.9', '0.8'),
            ENCODER + 'dropout_rate': ('0.1', '0.2'),
            'task.model.cls_heads': None,
            'trainer.max_to_keep': ('2', '4'),
            'runtime.mixed_precision_dtype': ("''", "'bfloat16'"),
        }
        changes.pop('task.model.cls_heads')
        with open(self.path('train.tsv'), 'rb') as source:
            self.write('other.tsv', source.read())
        self.run_job(steps=20)
        before = self.params()
        override = ','.join('%s=%s' % (key, now.strip("'")) for key, (_, now) in changes.items())
        told = self.told(self.run_job(override, steps=25))
        self.assertEqual(told.pop('trainer.train_steps'), ('20', '25'))
        for key, (then, now) in told.items():
            want = changes[key]
            self.assertEqual(now, want[1], key)
            self.assertIn(then, (want[0], 'null'), key)
        self.assertEqual(sorted(told), sorted(changes))
        self.assertNotEqual(self.params(), before)
        self.assertEqual(self.told(self.run_job(override, steps=25)), {})

    def test_a_type_of_rate(self):
        """Of a one-of section whose type is another the type is told, not every key of both."""
        self.run_job()
        told = self.told(self.run_job('trainer.optimizer_config.learning_rate.type=constant,'
                                      'trainer.optimizer_config.learning_rate.constant.'
                                      'learning_rate=0.001', steps=21))
        self.assertEqual(sorted(told), ['trainer.optimizer_config.learning_rate.type',
                                        'trainer.train_steps'])

    def test_many(self):
        """Twenty lines and a count."""
        self.run_job()
        keys = [OPTIMIZER + '.adamw.' + k for k in (
            'beta_1=0.8', 'beta_2=0.99', 'epsilon=0.001', 'weight_decay_rate=0.02',
            'gradient_clip_norm=0.5')]
        for section in ('train_data', 'validation_data'):
            keys += ['task.%s.%s' % (section, k) for k in (
                'block_length=2', 'cycle_length=3', 'shuffle_buffer_size=50', 'seed=3',
                'skip_bad_records=1')]
        keys += ['trainer.' + k for k in ('max_to_keep=9', 'checkpoint_interval=7',
                                          'validation_interval=11', 'summary_interval=10')]
        keys += ['runtime.threads=2', ENCODER + 'dropout_rate=0.0',
                 ENCODER + 'attention_dropout_rate=0.0']
        result = self.run_job(','.join(keys), steps=21)
        self.assertEqual(len(self.told(result)), 20)
        self.assertRegex(result.stderr, r'changed since the run began: \d+ more keys')

    def refused(self, override, keys, task='sentence', allow=None, code=0):
        """Refused, nothing is written; the dry run says the same; allowed it goes on."""
        before = self.params()
        files = sorted(os.listdir(self.path('out')))
        error = self.one_error(self.run_job(override, task, 25, expect=2))
        for key in keys:
            self.assertIn(key, error)
        self.assertIn('--allow_changed=', error)
        self.assertEqual((self.params(), sorted(os.listdir(self.path('out')))), (before, files))
        dry = self.run_job(override, task, 25, more=['--dry_run'], expect=2)
        self.assertEqual(self.one_error(dry), error)
        said = re.search(r'--allow_changed=(\S+)', error).group(1)
        if code is not None:
            result = self.run_job(override, task, 25, expect=code,
                                  more=['--allow_changed=' + (allow or said)])
            if code == 0:
                self.assertIn('restored step 20', result.stderr)
            return result
        return None

    def test_other_optimizers(self):
        for name in ('sgd', 'lamb', 'adam', 'adamw_experimental'):
            with self.subTest(name):
                self.run_job()
                self.refused(OPTIMIZER + '.type=' + name, [
                    OPTIMIZER + ".type: 'adamw' -> '%s' (" % name], allow=OPTIMIZER)
                os.rename(self.path('out'), self.path('out-' + name))

    def test_other_slots_of_the_same_optimizer(self):
        sgd = OPTIMIZER + '.type=sgd'
        self.run_job(sgd)
        self.refused(sgd + ',%s.sgd.momentum=0.9' % OPTIMIZER,
                     [OPTIMIZER + '.sgd.momentum: 0.0 -> 0.9'])
        self.assertEqual(sorted(self.told(self.run_job(
            sgd + ',%s.sgd.momentum=0.8' % OPTIMIZER, steps=26))),
            [OPTIMIZER + '.sgd.momentum', 'trainer.train_steps'])

    def test_averages(self):
        ema = 'trainer.optimizer_config.ema.average_decay=%s'
        self.run_job()
        self.refused(ema % '0.9', ['trainer.optimizer_config.ema: null -> a section'])
        self.assertEqual(self.told(self.run_job(ema % '0.8', steps=30)), {
            'trainer.optimizer_config.ema.average_decay': ('0.9', '0.8'),
            'trainer.train_steps': ('25', '30')})
        before = self.params()
        self.one_error(self.run_job(steps=35, expect=2))
        self.assertEqual(self.params(), before)

    def test_averages_begin_at_the_weights(self):
        """Not at zero."""
        self.run_job()
        self.run_job('trainer.optimizer_config.ema.average_decay=0.9,trainer.checkpoint_interval=1,'
                     'trainer.steps_per_loop=1,trainer.summary_interval=1,%s=0.0' % RATE, steps=21,
                     more=['--allow_changed=trainer.optimizer_config.ema'])
        values = e2e.read_bundle(self.path('out/ckpt-21'))
        averages = [k for k in values if '/average' in k and values[k].dtype == 1]
        self.assertGreater(len(averages), 20)
        for key in averages:
            if 'kernel' in key:
                self.assertGreater(max(map(abs, values[key].floats())), 1e-4, key)

    def test_other_models(self):
        for override, key in ((ENCODER + 'hidden_activation=relu', 'hidden_activation'),
                              (ENCODER + 'num_layers=1', 'num_layers'),
                              (ENCODER + 'num_attention_heads=4', 'num_attention_heads'),
                              (ENCODER + 'norm_first=true', 'norm_first'),
                              (ENCODER + 'vocab_size=270', 'vocab_size'),
                              ('task.model.num_classes=3', 'num_classes')):
            with self.subTest(key):
                if not os.path.isdir(self.path('out')):
                    self.run_job()
                if key == 'num_classes':
                    os.unlink(self.path('out/labels.json'))
                self.refused(override, [key], code=None)

    def test_other_words(self):
        """By content: another name is told, other words under the same name are refused."""
        self.run_job()
        with open(self.path('vocab.txt'), encoding='utf-8') as source:
            lines = source.read().split('\n')
        self.write('same.txt', '\r\n'.join(lines))
        self.assertEqual(self.told(self.run_job(
            'task.train_data.vocab_file=same.txt,task.validation_data.vocab_file=same.txt', steps=21)), {
                'task.train_data.vocab_file': ("'vocab.txt'", "'same.txt'"),
                'task.validation_data.vocab_file': ("'vocab.txt'", "'same.txt'"),
                'trainer.train_steps': ('20', '21')})
        os.rename(self.path('out'), self.path('first'))
        self.run_job()
        other = lines[:10] + [lines[11], lines[10]] + lines[12:]
        self.write('vocab.txt', '\n'.join(other))
        self.refused('', ['task.train_data.vocab_file'])

    def test_other_words_of_an_evaluation(self):
        """Text cut into other words than the weights know: refused by eval and predict, too."""
        for task in ('sentence', 'squad'):
            with self.subTest(task):
                if os.path.isdir(self.path('out')):
                    shutil.rmtree(self.path('out'))
                self.run_job(task=task, mode='train_and_eval')
                with open(self.path('vocab.txt'), encoding='utf-8') as source:
                    lines = source.read().split('\n')
                self.write('same.txt', '\r\n'.join(lines))
                self.write('other.txt', '\n'.join(lines[:10] + [lines[11], lines[10]] + lines[12:]))
                self.run_job('task.validation_data.vocab_file=other.txt', task=task,
                             mode='continuous_eval', expect=2)
                for mode in ('eval', 'predict'):
                    self.run_job('task.validation_data.vocab_file=same.txt', task=task, mode=mode)
                    for more in ([], ['--checkpoint=best']):
                        error = self.one_error(self.run_job(
                            'task.validation_data.vocab_file=other.txt', task=task, mode=mode,
                            expect=2, more=more))
                        self.assertRegex(error, r'ckpt-\d+ was trained with another vocabulary '
                                         r'\(vocab.txt: \d+ bytes, crc32c \w+\) than '
                                         r'task.validation_data.vocab_file other.txt \(')
                    said = re.search(r'--allow_changed=(\S+)', error).group(1)
                    result = self.run_job('task.validation_data.vocab_file=other.txt', task=task,
                                          mode=mode, more=['--allow_changed=' + said])
                    self.assertIn('was trained with other words than other.txt has', result.stderr)

    def test_other_case(self):
        self.run_job()
        self.refused('task.train_data.lower_case=false,task.validation_data.lower_case=false',
                     ['task.train_data.lower_case: true -> false'])

    def test_other_windows(self):
        self.run_job(task='squad')
        self.refused('task.train_data.seq_length=30', ['task.train_data.seq_length: 32 -> 30'],
                     task='squad')

    def rows(self, change):
        """Changes the lines of train.tsv."""
        with open(self.path('train.tsv'), encoding='utf-8') as source:
            lines = source.read().splitlines()
        self.write('train.tsv', '\n'.join(change(lines)) + '\n')

    def test_other_rows(self):
        """Under the same name, as many, of the same size: the label of one row is another. And fewer,
        more, in another order; the same rows in two files or in gzip are the same."""
        def flip(lines):
            return lines[:100] + [lines[100][:-1] + '10'[int(lines[100][-1])]] + lines[101:]
        told = r'changed since the run began: the training data: 203 rows \(crc32c (\w+)\) -> ' \
               r'%d rows \(crc32c (\w+)\)'
        with open(self.path('train.tsv'), 'rb') as source:
            original = source.read()
        for change, n in ((flip, 203), (lambda x: x[:1] + x[2:3] + x[1:2] + x[3:], 203),
                          (lambda x: x[:-1], 202), (lambda x: x + x[-1:], 204)):
            self.write('train.tsv', original)
            self.run_job()
            self.rows(change)
            for more in (['--dry_run'], []):
                result = self.run_job(steps=25, more=more)
                found = re.search(told % n, result.stderr)
                self.assertTrue(found, str(result))
                self.assertNotEqual(found.group(1), found.group(2))
            self.assertNotIn('the training data', self.run_job(steps=30).stderr)
            shutil.rmtree(self.path('out'))
        self.write('train.tsv', original)
        self.run_job()
        self.write('again.tsv.gz', gzip.compress(original))
        self.assertNotIn('the training data', self.run_job(
            'task.train_data.input_path=again.tsv.gz', steps=25).stderr)

    def test_rows_that_end_before_the_place(self):
        """Refused; allowed, the next epoch begins."""
        self.run_job()
        self.rows(lambda lines: lines[:30])
        self.refused('', ['task.train_data.input_path: 203 rows (', ' -> 29 rows (',
                          'the place in the data'])

    def test_other_records(self):
        """By their checksums, which are read with their lengths."""
        self.run_job(task='tagging')
        with open(self.path('train.tf_record'), 'rb') as source:
            data = bytearray(source.read())
        records = e2e.read_records(self.path('train.tf_record'))
        self.write('train.tf_record', b''.join(e2e.frame(r) for r in records))
        self.assertNotIn('the training data', self.run_job(task='tagging', steps=21).stderr)
        swapped = records[:50] + [records[51], records[50]] + records[52:]
        self.write('train.tf_record', b''.join(e2e.frame(r) for r in swapped))
        self.assertEqual(len(b''.join(e2e.frame(r) for r in swapped)), len(data))
        self.assertIn('changed since the run began: the training data: 150 rows (crc32c ',
                      self.run_job(task='tagging', steps=22).stderr)

    def test_other_documents(self):
        """Windows over other documents are other rows."""
        self.run_job(task='squad')
        with open(self.path('train.json'), encoding='utf-8') as source:
            text = source.read()
        self.write('train.json', text.replace('"q3_0"', '"q3-0"'))
        self.refused('', ['task.train_data.input_path: '], task='squad')

    def test_other_pairs(self):
        self.run_job(task='pairs')
        with open(self.path('right.txt'), encoding='utf-8') as source:
            lines = source.read().splitlines()
        self.write('right.txt', '\n'.join(reversed(lines)) + '\n')
        self.assertIn('the training data: 160 rows (crc32c ', self.run_job(task='pairs', steps=21).stderr)

    def test_the_flag(self):
        self.run_job()
        for key in ('no.such', 'trainer.optimizer', 'trainer.train_steps,nothing', ','):
            error = self.one_error(self.run_job(expect=2, more=['--allow_changed=' + key]))
            self.assertIn('--allow_changed: ', error)
        self.one_error(self.run_job(expect=2, mode='eval',
                                    more=['--allow_changed=trainer.optimizer_config']))
        error = self.one_error(self.run_job(
            OPTIMIZER + '.type=sgd,' + ENCODER + 'hidden_activation=relu', steps=25, expect=2,
            more=['--allow_changed=task.model']))
        self.assertNotIn('hidden_activation', error)
        self.run_job(OPTIMIZER + '.type=sgd,' + ENCODER + 'hidden_activation=relu', steps=25,
                     more=['--allow_changed=task.model,' + OPTIMIZER])

    def test_a_finished_run(self):
        """Nothing is trained, so params.yaml stays what the weights were made with."""
        self.run_job()
        before = self.params()
        result = self.run_job(RATE + '=0.5')
        self.assertEqual(self.told(result), {RATE: ('0.002', '0.5')})
        self.assertIn('already finished at step 20', result.stderr)
        self.assertEqual(self.params(), before)

    def test_other_words_for_the_same(self):
        """Numbers, nulls, lists of one; keys that an older version did not have."""
        self.run_job()
        text = self.params()
        changed = text.replace('initial_learning_rate: 0.002', 'initial_learning_rate: 2.0e-3')
        changed = changed.replace('input_path: train.tsv', 'input_path: [train.tsv]')
        changed = changed.replace('  max_to_keep: 2\n', '  max_to_keep: 2.0\n')
        changed = re.sub(r'(?m)^  recovery_max_trials: .*\n', '', changed)
        self.assertGreater(len([1 for a, b in zip(text.split('\n'), changed.split('\n'))
                                if a != b]), 2)
        self.write('out/params.yaml', changed)
        self.assertEqual(self.told(self.run_job(steps=20)), {})

    def test_params_of_model_garden(self):
        """The real ones, of a run of the same experiment."""
        path = e2e.shared('goldens/config/run/2-train_and_eval/params.yaml') or e2e.shared(
            'goldens/config/run/6-mode-train/params.yaml')
        if path is None:
            self.skipTest('no ../shared: no params.yaml of Model Garden')
        self.run_job()
        with open(path, encoding='utf-8') as source:
            self.write('out/params.yaml', source.read())
        error = self.one_error(self.run_job(steps=25, expect=2))
        self.assertIn('task.model.', error)
        self.assertNotIn('cannot be determined', error)

    def test_params_that_cannot_be_read(self):
        self.run_job()
        for text in ('task: [1', 'task: {no_such_key: 1}\n'):
            self.write('out/params.yaml', text)
            result = self.run_job(steps=20)
            self.assertRegex(result.stderr, 'warning: what has changed since the run began cannot be determined: .*params.yaml')
        os.unlink(self.path('out/params.yaml'))
        self.assertRegex(self.run_job(steps=20).stderr, 'warning: .*params.yaml is missing')


if __name__ == '__main__':
    e2e.main()
