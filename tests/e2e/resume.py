# SPDX-License-Identifier: Apache-2.0
"""Stop anywhere, start again, and the weights have the same bits as those of a run that was never
stopped: by SIGTERM (exit 75, everything saved) and by kill -9 at random instants (what was saved
last is continued). With dropout and shuffling on; with a moving average; in train_and_eval, where
an evaluation may be what was interrupted. Also from folders that the real Model Garden wrote.

BT_LONG_TESTS=1 kills many more times."""
import json
import os
import random
import re
import shutil
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402

STEPS = 2000 if e2e.LONG else 1000 if not e2e.SANITIZED else 400
KILLS = 40 if e2e.LONG else 5
BASE = ('trainer.train_steps=%d,trainer.steps_per_loop=20,trainer.summary_interval=20,'
        'trainer.checkpoint_interval=60,trainer.validation_interval=%d,trainer.max_to_keep=2,'
        'trainer.optimizer_config.learning_rate.polynomial.decay_steps=%d'
        % (STEPS, STEPS // 4, STEPS))
VARIANTS = {
    'adamw': BASE,
    'ema': BASE + ',trainer.optimizer_config.ema.average_decay=0.99',
    'lamb': BASE + ',trainer.optimizer_config.optimizer.type=lamb',
    'accumulated': BASE + ',trainer.gradient_accumulation_steps=3',
    'albert': BASE + ',' + ','.join('task.model.encoder.' + key for key in (
        'type=albert', 'albert.vocab_size=100', 'albert.embedding_width=8',
        'albert.hidden_size=32', 'albert.num_layers=3', 'albert.num_attention_heads=2',
        'albert.intermediate_size=64', 'albert.max_position_embeddings=16',
        'albert.dropout_rate=0.1', 'albert.attention_dropout_rate=0.1')),
}


def ended_by(signal_number):
    """The exit codes of a run that this signal may hit at any moment: it had finished, it saved,
    it had nothing to save, or it had not come to its handlers."""
    return 0, 75, 128 + signal_number, -signal_number


class Stops(e2e.Case):
    """Runs that are stopped from outside."""

    def last_step(self, model_dir):
        latest = e2e.read_state_file(self.path(model_dir))[0]
        return int(latest.split('-')[1]) if latest else 0

    def straight(self, override, mode='train_and_eval'):
        """An unstopped run, to compare with."""
        self.train(mode=mode, model_dir='straight', override=override)

    def after_step(self, step, delay=0.0):
        """A function that says whether the run that begins now has come to that step (then waits a bit): the
        one before may have, before it heard of its stop."""
        path = self.path('out/metrics.jsonl')

        def steps():
            try:
                with open(path, 'rb') as source:
                    return [int(s) for s in re.findall(rb'"step": (\d+)', source.read())]
            except FileNotFoundError:
                return []
        before = max(steps(), default=0)

        def there():
            if step > 0 and not any(s >= step and s > before for s in steps()):
                return False
            time.sleep(delay)
            return True
        return there

    def stopped(self, signal_number, at_step, override, mode='train_and_eval', delay=0.0):
        """Runs until that signal ends it, soon after a step."""
        result = self.train(expect=None, mode=mode, override=override, run_how={
            'stop_when': (self.after_step(at_step, delay), signal_number)})
        if result.code == 75:
            self.assertNotIn('error', result.stderr)
            self.assertIn('; again to stop now', result.stderr)
            found = re.search(r'stopped by SIG\w+ at step (\d+)', result.stderr)
            if found:
                self.assertEqual(self.last_step('out'), int(found.group(1)))
        return result


class Resume(Stops):
    def finish(self, override, mode='train_and_eval', model_dir='out'):
        self.train(mode=mode, model_dir=model_dir, override=override)
        name = 'ckpt-%d' % STEPS
        self.assertEqual(e2e.read_state_file(self.path(model_dir))[0], name)
        self.same_values(self.path('straight', name), self.path(model_dir, name))

    def same_records(self):
        """Numbers that do not depend on time."""
        def values(folder):
            records = {}
            for record in e2e.read_jsonl(self.path(folder)):
                kept = {k: v for k, v in record.items()
                        if 'second' not in k and k != 'input_wait'}
                records[(record['kind'], record['step'])] = kept
            return records
        straight = values('straight')
        stopped = values('out')
        self.assertEqual(sorted(stopped), sorted(straight))
        for key, want in straight.items():
            self.assertEqual(stopped[key], want)

    def stop_and_go(self, variant, mode='train_and_eval', signal_number=signal.SIGTERM):
        override = VARIANTS[variant]
        self.straight(override, mode)
        n_stopped = 0
        for share in (0.1, 0.35, 0.6):
            result = self.stopped(signal_number, int(STEPS * share), override, mode)
            self.assertIn(result.code, (0, 75), str(result))
            n_stopped += result.code == 75
        self.assertGreater(n_stopped, 0, 'the run ended before it could be stopped')
        self.finish(override, mode)
        self.same_records()

    def test_sigterm(self):
        self.stop_and_go('adamw')

    def test_sigterm_with_an_average(self):
        self.stop_and_go('ema')

    def test_sigterm_with_lamb(self):
        self.stop_and_go('lamb', mode='train')

    def test_sigterm_with_accumulation(self):
        self.stop_and_go('accumulated')

    def test_sigterm_with_shared_layers(self):
        self.stop_and_go('albert', mode='train')

    def test_sigint_is_the_same(self):
        self.stop_and_go('adamw', mode='train', signal_number=signal.SIGINT)

    def kill_often(self, variant, kills=KILLS):
        override = VARIANTS[variant]
        self.straight(override)
        rng = random.Random(variant)
        n_killed = 0
        for i in range(kills):
            step = int(STEPS * 0.9 * i / kills)
            result = self.stopped(signal.SIGKILL, step, override, delay=rng.random() * 0.02)
            self.assertIn(result.code, (0, -signal.SIGKILL), str(result))
            n_killed += result.code != 0
            if os.path.isdir(self.path('out')):
                self.whole()
        self.assertGreater(n_killed, 0)
        self.finish(override)

    def whole(self):
        """What the state files name is there, and every byte of it can be read."""
        for folder in ('out', 'out/best_ckpt'):
            if not os.path.isdir(self.path(folder)):
                continue
            latest, names = e2e.read_state_file(self.path(folder))
            for name in ([latest] if latest else []) + names:
                self.assertGreater(len(e2e.trained_values(self.path(folder, name))), 40)

    def test_kill_9(self):
        self.kill_often('adamw')

    def test_kill_9_with_an_average(self):
        self.kill_often('ema')

    def test_no_temporary_files_stay(self):
        """A kill inside a write may leave a temporary; the next run cleans up or ignores it, and
        ends with the files of a straight run."""
        self.kill_often('adamw', kills=3)
        self.assertEqual(sorted(n for n in os.listdir(self.path('out')) if 'ckpt' in n),
                         sorted(n for n in os.listdir(self.path('straight')) if 'ckpt' in n))

    def test_stopped_inside_an_evaluation(self):
        """Evaluations take nearly all of the time here, so that the stop hits one; it is owed, and
        made by the run that continues: after SIGTERM, and after kill -9."""
        n_rows = 6000 if not e2e.SANITIZED else 1500
        e2e.write_records(self.path('eval.tf_record'), e2e.make_rows(60) * (n_rows // 60))
        override = ('trainer.train_steps=40,trainer.steps_per_loop=10,'
                    'trainer.validation_interval=10,trainer.summary_interval=10')
        self.straight(override)
        for step, number in ((10, signal.SIGTERM), (30, signal.SIGKILL)):
            result = self.stopped(number, step, override, delay=0.01)
            self.assertIn(result.code, (75, -signal.SIGKILL), str(result))
        self.train(override=override)
        self.same_values(self.path('straight/ckpt-40'), self.path('out/ckpt-40'))
        evaluated = {r['step'] for r in e2e.read_jsonl(self.path('out'))
                     if r['kind'] == 'validation'}
        self.assertLessEqual({10, 20, 40}, evaluated)
        before = e2e.read_jsonl(self.path('out'))
        self.train(override=override)  # finished: nothing is owed any more
        after = [r for r in e2e.read_jsonl(self.path('out'))[len(before):] if r['kind'] != 'final']
        self.assertEqual(after, [])

    def test_other_steps_per_loop_after_a_stop(self):
        """How a run is cut into chunks changes records, never weights."""
        self.straight(VARIANTS['adamw'], 'train')
        self.stopped(signal.SIGTERM, STEPS // 3, VARIANTS['adamw'], 'train')
        other = VARIANTS['adamw'].replace('steps_per_loop=20', 'steps_per_loop=7').replace(
            'summary_interval=20', 'summary_interval=7')
        self.finish(other, 'train')


class EarlyStopping(Stops):
    """What early stopping has counted survives: the stopped run ends at the step of a straight
    one, with its bits, though checkpoints and evaluations fall on different steps."""
    OVERRIDE = ('trainer.train_steps=2000,trainer.steps_per_loop=10,trainer.summary_interval=10,'
                'trainer.checkpoint_interval=30,trainer.validation_interval=40,'
                'trainer.max_to_keep=2,trainer.early_stopping_patience=10,'
                'trainer.best_checkpoint_eval_metric=validation_loss,'
                'trainer.best_checkpoint_metric_comp=lower,'
                'trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate=0.0001,'
                'trainer.optimizer_config.learning_rate.polynomial.decay_steps=2000')

    def stopped_at(self, model_dir):
        final = [r for r in e2e.read_jsonl(self.path(model_dir)) if r['kind'] == 'final']
        self.assertEqual(final[-1]['stopped'], 'early_stopping')
        return final[-1]['step']

    def check(self, signal_number):
        self.straight(self.OVERRIDE)
        end = self.stopped_at('straight')
        self.assertTrue(500 < end < 2000, end)
        rng = random.Random(signal_number)
        n_stopped = 0
        for i in range(KILLS):
            result = self.stopped(signal_number, end * i // KILLS, self.OVERRIDE,
                                  delay=rng.random() * 0.02)
            self.assertIn(result.code, ended_by(signal_number), str(result))
            n_stopped += result.code != 0
        self.assertGreater(n_stopped, 0)
        self.train(override=self.OVERRIDE)
        self.assertEqual(self.stopped_at('out'), end)
        name = 'ckpt-%d' % end
        self.assertEqual(e2e.read_state_file(self.path('out'))[0], name)
        self.same_values(self.path('straight', name), self.path('out', name))

    def test_sigterm(self):
        self.check(signal.SIGTERM)

    def test_kill_9(self):
        self.check(signal.SIGKILL)


class Seeds(Stops):
    """--seeds: what was finished stays, what was not goes on; the end is that of a straight run."""
    SEEDS = (3, 1, 4)
    OVERRIDE = ('trainer.train_steps=600,trainer.steps_per_loop=20,trainer.summary_interval=20,'
                'trainer.checkpoint_interval=60,trainer.validation_interval=200,'
                'trainer.max_to_keep=2')

    def run_seeds(self, model_dir='out', **how):
        return self.train(model_dir=model_dir, override=self.OVERRIDE,
                          more=['--seeds=' + ','.join(str(n) for n in self.SEEDS)], **how)

    def results(self, model_dir):
        with open(self.path(model_dir, 'seeds.json'), encoding='utf-8') as source:
            file = json.load(source)
        for run in file['runs']:
            del run['seconds']
        return file

    def at_seed(self, seed, step, delay):
        path = self.path('out/seed_%d/metrics.jsonl' % seed)

        def there():
            try:
                with open(path, 'rb') as source:
                    steps = [int(s) for s in re.findall(rb'"step": (\d+)', source.read())]
            except FileNotFoundError:
                return False
            if not steps or steps[-1] < step:
                return False
            time.sleep(delay)
            return True
        return there

    def check(self, signal_number):
        straight = self.run_seeds('straight')
        rng = random.Random(signal_number)
        n_stopped = 0
        for seed in self.SEEDS:
            for step in (60, 400):
                result = self.run_seeds(expect=None, run_how={
                    'stop_when': (self.at_seed(seed, step, rng.random() * 0.05), signal_number)})
                self.assertIn(result.code, ended_by(signal_number), str(result))
                self.assertNotIn('error', result.stderr)
                n_stopped += result.code != 0
        self.assertGreater(n_stopped, 2)
        result = self.run_seeds()
        self.assertEqual(result.stdout, straight.stdout)
        self.assertEqual(self.results('out'), self.results('straight'))
        for seed in self.SEEDS:
            name = 'seed_%d/ckpt-600' % seed
            self.same_values(self.path('straight', name), self.path('out', name))

    def test_sigterm(self):
        self.check(signal.SIGTERM)

    def test_kill_9(self):
        self.check(signal.SIGKILL)


class FromModelGarden(e2e.Case):
    """model_dirs that the real Model Garden wrote: goldens/numerics/checkpoints/train of ../shared,
    and those of tests/goldens/ckpt."""

    def resume(self, folder, step, keys, extra='', rows=None, more=(), n_untouched=2):
        """Four more updates; the file must hold what it held before, moved on."""
        shutil.copytree(folder, self.path('out'))
        for where, _folders, names in os.walk(self.path('out')):
            for file_name in names:
                os.chmod(os.path.join(where, file_name), 0o644)
        before = e2e.read_bundle(self.path('out/ckpt-%d' % step))
        keys = dict(keys, **{'trainer.train_steps': step + 4, 'trainer.steps_per_loop': 2,
                             'trainer.checkpoint_interval': 2, 'trainer.summary_interval': 2})
        rows = rows or e2e.make_rows(24, vocab=20, n_classes=3)
        e2e.write_records(self.path('train.tf_record'), rows)
        override = ','.join('%s=%s' % item for item in keys.items()) + extra
        result = self.train(mode='train', override=override, more=more, files=['run.yaml'])
        self.assertRegex(result.stderr, r'restored step %d' % step)
        self.assertNotRegex(result.stderr, 'start fresh')
        latest, names = e2e.read_state_file(self.path('out'))
        self.assertEqual(latest, 'ckpt-%d' % (step + 4))
        self.assertEqual(names[-3:], ['ckpt-%d' % (step + n) for n in (0, 2, 4)])
        after = e2e.read_bundle(self.path('out', latest))
        self.assertEqual({k: t.shape for k, t in after.items() if k.endswith(e2e.SUFFIX)},
                         {k: t.shape for k, t in before.items() if k.endswith(e2e.SUFFIX)})
        self.assertEqual(after['global_step' + e2e.SUFFIX].integer(), step + 4)
        # an encoder's own pooler that no head reads comes through untouched, bit for bit
        untouched = [k for k in before if k.startswith('encoder/') and 'OPTIMIZER_SLOT' not in k
                     and before[k].raw == after[k].raw]
        self.assertGreaterEqual(len(untouched), n_untouched)
        changed = [k for k in before if k.endswith(e2e.SUFFIX) and before[k].raw != after[k].raw]
        self.assertGreater(len(changed), len(before) // 2)

    def resume_shared(self, name, extra=''):
        folder = e2e.shared('goldens/numerics/checkpoints/train/%s' % name)
        if folder is None:
            self.skipTest('no ../shared: the checkpoints of Model Garden are not here')
        sizes = dict(vocab_size=200, hidden_size=32, max_position_embeddings=64,
                     intermediate_size=64, num_attention_heads=4)
        keys = {'task.model.encoder.bert.' + key: value for key, value in sizes.items()}
        keys.update({'task.model.encoder.bert.num_layers': 2, 'task.model.num_classes': 3})
        self.resume(folder, 4, keys, extra)

    def test_adamw(self):
        self.resume_shared('adamw')

    def test_ema(self):
        self.resume_shared('ema', ',trainer.optimizer_config.ema.average_decay=0.99')

    def resume_own(self, name, encoder, more_keys, **how):
        sizes = dict(vocab_size=20, hidden_size=8, num_layers=2, num_attention_heads=2,
                     intermediate_size=12, max_position_embeddings=16)
        keys = {'task.model.encoder.%s.%s' % (encoder, key): value for key, value in sizes.items()}
        keys.update({'task.model.encoder.type': encoder}, **more_keys)
        self.resume(e2e.golden('ckpt/' + name), 2, keys, **how)

    def run_file(self, lines):
        """A run's file for an experiment whose sections have other keys than a classifier's."""
        self.write('run.yaml', 'runtime: {distribution_strategy: one_device}\n'
                   'trainer: {max_to_keep: 10, optimizer_config: {learning_rate: {polynomial: '
                   '{decay_steps: 20}}, warmup: {polynomial: {warmup_steps: 2}}}}\n' + lines)

    def test_albert(self):
        self.resume_own('albert_dense', 'albert', {
            'task.model.encoder.albert.embedding_width': 4, 'task.model.num_classes': 3})

    def test_span(self):
        self.run_file('task: {train_data: {input_path: train.tf_record, seq_length: 16, '
                      'global_batch_size: 4}}\n')
        rows = []
        for row in e2e.make_rows(24, vocab=20):
            rows.append({k: v for k, v in row.items() if k != 'label_ids'})
            rows[-1].update(start_positions=[1], end_positions=[row['label_ids'][0] + 2])
        self.resume_own('bert_span', 'bert', {}, rows=rows, more=['--experiment=bert/squad'])

    def test_tagging_with_an_average(self):
        self.run_file('task: {class_names: [O, B-X, I-X], train_data: {input_path: '
                      'train.tf_record, seq_length: 16, global_batch_size: 4}}\n')
        rows = [dict(row, label_ids=[i % 3 if used else -1 for i, used in
                                     enumerate(row['input_mask'])])
                for row in e2e.make_rows(24, vocab=20)]
        self.resume_own('bert_v2_tagging_ema', 'bert_v2', {
            'trainer.optimizer_config.ema.average_decay': 0.9,
        }, rows=rows, more=['--experiment=bert/tagging'])

    def test_pairs(self):
        self.run_file('task: {model: {max_sequence_length: 16}, train_data: {input_path: '
                      'train.tf_record, seq_length: 16, global_batch_size: 4}}\n')
        rows = []
        for left, right in zip(e2e.make_rows(24, vocab=20), e2e.make_rows(24, 9, vocab=20)):
            rows.append({})
            for side, row in (('left', left), ('right', right)):
                rows[-1].update({side + '_word_ids': row['input_ids'],
                                 side + '_mask': row['input_mask'],
                                 side + '_type_ids': row['segment_ids']})
        self.resume_own('bert_dual', 'bert', {}, rows=rows, n_untouched=0,
                        more=['--experiment=bert/dual_encoder'])


if __name__ == '__main__':
    e2e.main()
