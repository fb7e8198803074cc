# SPDX-License-Identifier: Apache-2.0
"""metrics.jsonl and event files hold each step once and whole lines only, whatever they were when
the run began: torn, after the restored step, of a run that was thrown away. A finished job that is
given again changes no byte. Every record says when it was made."""
import glob
import json
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import compare  # noqa: E402
import jobs  # noqa: E402
from jobs import e2e  # noqa: E402

SHORT = 'trainer.train_steps=40'
STATE = 'model_checkpoint_path: "%s"\nall_model_checkpoint_paths: "%s"\n'


class Records(e2e.Case):
    def setUp(self):
        super().setUp()
        jobs.make(self.folder)

    def run_job(self, model_dir='out', override=SHORT, mode='train_and_eval', more=(), expect=0,
                **how):
        result = e2e.run(jobs.args('sentence', model_dir, override, mode, more), cwd=self.folder,
                         **how)
        if expect is not None:
            self.assertEqual(result.code, expect, str(result))
        return result

    def content(self, model_dir='out'):
        """{path: bytes} of everything."""
        out = {}
        for path in glob.glob(self.path(model_dir, '**'), recursive=True):
            if os.path.isfile(path):
                with open(path, 'rb') as source:
                    out[os.path.relpath(path, self.path(model_dir))] = source.read()
        return out

    def text(self, model_dir='out'):
        return compare.read_text(self.path(model_dir, 'metrics.jsonl'))

    def append(self, data):
        with open(self.path('out/metrics.jsonl'), 'ab') as out:
            out.write(data)

    def same_as_straight(self):
        self.assertEqual(compare.differences(self.path('straight'), self.path('out')), [])


class Whole(Records):
    def test_each_record_has_its_time(self):
        before = time.time()
        self.run_job()
        times = [r['wall_time_seconds'] for r in e2e.read_jsonl(self.path('out'))]
        self.assertGreater(len(times), 8)
        self.assertEqual(times, sorted(times))
        self.assertTrue(before - 1 <= times[0] and times[-1] <= time.time() + 1, times)

    def go_back(self, step):
        self.write('out/checkpoint', STATE % (('ckpt-%d' % step,) * 2))

    def test_tails(self):
        """Whatever a kill, a full disk or a power cut leaves at the end is cut; what was whole and
        not after the restored step stays."""
        self.run_job('straight')
        first = b'{"kind": "train", "step": 45, "wall_time_seconds": 1.0, "training_loss": 0.5}'
        tails = {
            'torn': first[:30], 'torn in its first byte': b'{', 'zeros': bytes(300),
            'zeros, then a line': bytes(5) + first + b'\n', 'behind': first + b'\n',
            'behind, without its end': first, 'two, torn': first[:40] + b'\n' + first[:50]}
        for name, tail in tails.items():
            with self.subTest(name):
                self.run_job()
                self.append(tail)
                self.run_job()
                self.same_as_straight()
                self.assertEqual(self.text().count('\n'), self.text('straight').count('\n'))

    def test_a_last_line_without_its_end(self):
        self.run_job()
        whole = self.text()
        self.write('out/metrics.jsonl', whole[:-1])
        self.run_job()
        self.assertEqual(self.text(), whole)

    def test_lines_of_others_stay(self):
        self.run_job()
        lines = self.text().splitlines(keepends=True)
        note = '# my own note\n'
        other = '{"kind": "mine", "at": [1, 2]}\n'
        self.write('out/metrics.jsonl', ''.join(lines[:3] + [note] + lines[3:] + [other]))
        self.run_job(override=SHORT.replace('40', '50'))
        self.assertEqual(self.text().count(note), 1)
        steps = [json.loads(line)['step'] for line in self.text().splitlines()
                 if line.startswith('{"kind": "train"')]
        self.assertEqual(steps, list(range(5, 51, 5)))

    def test_from_nothing(self):
        """The checkpoints were thrown away, the records not: they are those of another run now."""
        self.run_job('straight')
        self.run_job(override=SHORT + ',task.train_data.seed=5')
        for path in glob.glob(self.path('out/ckpt-*')) + [self.path('out/checkpoint')] + \
                glob.glob(self.path('out/best_ckpt/*')):
            os.unlink(path)
        result = self.run_job()
        self.assertRegex(result.stderr, r'records and \d+ events after step 0 taken out')
        self.same_as_straight()

    def test_back_to_an_earlier_checkpoint(self):
        self.run_job('straight')
        self.run_job()
        name = e2e.read_state_file(self.path('out'))[1][-2]
        self.go_back(int(name[5:]))
        self.run_job()
        found = compare.record_differences(self.path('straight'), self.path('out'))
        self.assertEqual(found + compare.event_differences(
            self.path('straight'), self.path('out')), [])

    def test_damage_inside_an_event_file(self):
        """A flipped bit takes one record, not those after it."""
        self.run_job('straight')
        self.run_job()
        path, = glob.glob(self.path('out/train/*tfevents*'))
        with open(path, 'r+b') as file:
            file.seek(500)
            byte = file.read(1)[0]
            file.seek(500)
            file.write(bytes([byte ^ 16]))
        result = self.run_job()
        self.assertRegex(result.stderr, r'warning: .*train: \d+ torn or damaged bytes')
        got = compare.events(self.path('out'), 'train')
        want = compare.events(self.path('straight'), 'train')
        self.assertEqual(len(set(want) - set(got)), 1)


class Again(Records):
    def nothing_changes(self, mode, override=SHORT, more=(), stdout=None):
        before = self.content()
        result = self.run_job(mode=mode, override=override, more=more)
        self.assertEqual(self.content(), before)
        self.assertRegex(result.stderr,
                         r'already finished at step 40: trainer.train_steps is 40, so nothing is')
        if stdout is not None:
            self.assertEqual(result.stdout, stdout)

    def test_a_finished_job(self):
        for mode in ('train_and_eval', 'train', 'train_and_post_eval'):
            with self.subTest(mode):
                self.folder_of(mode)
                first = self.run_job(mode=mode)
                self.nothing_changes(mode, stdout=first.stdout)
                self.nothing_changes(mode, stdout=first.stdout)

    def folder_of(self, _mode):
        if os.path.isdir(self.path('out')):
            os.rename(self.path('out'), self.path('old-%d' % time.monotonic_ns()))

    def test_killed_before_the_last_record(self):
        for mode in ('train_and_eval', 'train', 'train_and_post_eval'):
            with self.subTest(mode):
                self.folder_of(mode)
                self.run_job(mode=mode)
                records = [key for key, _ in compare.records(self.path('out'))]
                lines = self.text().splitlines(keepends=True)
                self.write('out/metrics.jsonl', ''.join(lines[:-1]) + lines[-1][:20])
                self.run_job(mode=mode)
                self.assertEqual([key for key, _ in compare.records(self.path('out'))], records)

    def test_killed_inside_the_evaluation_s_record(self):
        """Events are there, in part or whole, the line is not; and the reverse."""
        override = SHORT + ',trainer.checkpoint_interval=5'  # saved, then evaluated
        self.run_job('straight', override)
        for name in ('no line', 'half the events', 'no events'):
            with self.subTest(name):
                self.folder_of(name)
                self.run_job(override=override)
                lines = self.text().splitlines(keepends=True)
                self.assertIn('"validation", "step": 40', lines[-2])
                keep = lines[:-2] if name == 'no line' else lines[:-1]
                self.write('out/metrics.jsonl', ''.join(keep))
                path, = glob.glob(self.path('out/validation/*tfevents*'))
                if name == 'half the events':
                    os.truncate(path, os.path.getsize(path) - 75)
                elif name == 'no events':
                    os.unlink(path)
                self.run_job(override=override)
                want = compare.events(self.path('straight'), 'validation')
                if name == 'no events':
                    want = {k: v for k, v in want.items() if k[0] == 40}
                self.assertEqual(compare.events(self.path('out'), 'validation'), want)
                self.assertEqual(compare.record_differences(
                    self.path('straight'), self.path('out')), [])

    def test_evaluations_by_hand(self):
        """The same evaluation adds nothing; another one is added, and says which mode made it."""
        self.run_job()
        before = self.content()
        for _ in range(2):
            self.run_job(mode='eval')
            self.assertEqual(self.content(), before)
        other = SHORT + ',task.validation_data.input_path=train.tsv'
        for _ in range(2):
            self.run_job(mode='eval', override=other)
            made = [r for r in e2e.read_jsonl(self.path('out')) if r.get('mode') == 'eval']
            self.assertEqual([(r['kind'], r['step']) for r in made],
                             [('validation', 40), ('final', 40)])

    def test_an_evaluation_beside_the_training_adds_only(self):
        """eval finds a torn line, perhaps of a training that writes just now: it stays, on a line
        of its own, until a training opens the file."""
        self.run_job()
        whole = self.text()
        self.append(b'{"kind": "tra')
        self.run_job(mode='eval', override=SHORT + ',task.validation_data.input_path=train.tsv')
        self.assertTrue(self.text().startswith(whole + '{"kind": "tra\n{"kind": "validation"'))
        self.run_job(override='trainer.train_steps=45')
        self.assertNotIn('{"kind": "tra\n', self.text())


class Removed(Records):
    """Somebody removes what the run writes: never in silence into a file that has no name."""

    def removed(self, remove, is_there_again):
        state = dict(removed=False)

        def done():
            if not state['removed'] and '"step": 20,' in (self.text() or ''):
                remove()
                state['removed'] = True
            return state['removed'] and is_there_again()

        return self.run_job(override='trainer.train_steps=10000000,trainer.validation_interval=20000',
                            stop_when=(done, signal.SIGTERM), expect=None)

    def test_metrics_jsonl(self):
        path = self.path('out/metrics.jsonl')
        result = self.removed(lambda: os.unlink(path), lambda: os.path.exists(path))
        self.assertEqual(result.code, 75, str(result))
        self.assertEqual(result.stderr.count('metrics.jsonl was removed during the run'), 1)
        self.assertGreater(len(e2e.read_jsonl(self.path('out'))), 0)

    def test_event_files(self):
        pattern = self.path('out/train/*tfevents*')
        result = self.removed(lambda: [os.unlink(p) for p in glob.glob(pattern)],
                              lambda: glob.glob(pattern))
        self.assertEqual(result.code, 75, str(result))
        self.assertEqual(result.stderr.count('was removed during the run'), 1, str(result))
        self.assertGreater(len(e2e.read_event_folder(self.path('out/train'))), 0)

    def test_model_dir(self):
        """Renamed, so that no moment is between its files."""
        os.makedirs(self.path('away'))
        result = self.removed(lambda: os.rename(self.path('out'), self.path('away/out')),
                              lambda: False)
        self.assertEqual(result.code, 4, str(result))
        self.assertRegex(result.errors()[0], 'out was removed or renamed '
                         '(during the run|while this process was at work)')  # the saver, or the lock
        self.assertFalse(os.path.exists(self.path('out')))


class Modes(Records):
    def test_seeds(self):
        more = ['--seeds=1,2']
        self.run_job('straight', more=more)
        path = self.path('out/seed_2/metrics.jsonl')
        self.run_job(more=more, expect=None, stop_when=(
            lambda: '"step": 20' in (compare.read_text(path) or ''), signal.SIGKILL))
        self.run_job(more=more)
        for seed in ('seed_1', 'seed_2'):
            found = compare.differences(self.path('straight', seed), self.path('out', seed))
            self.assertEqual(found, [])
        before = self.content()
        os.unlink(self.path('out/seeds.json'))
        self.run_job(more=more)
        after = self.content()
        for content in (before, after):
            content.pop('seeds.json')
        self.assertEqual(after, before)

    def test_rounds_of_continuous_train_and_eval(self):
        """A round that was stopped and made again stands once; other rounds stay."""
        self.run_job('pre', override='trainer.train_steps=10', mode='train')
        override = SHORT + ',task.init_checkpoint=pre,trainer.continuous_eval_timeout=0'
        self.run_job(override=override, mode='continuous_train_and_eval')
        first = compare.records(self.path('out'))
        self.assertEqual({v['pretrain_step'] for _, v in first}, {10})
        self.run_job('pre', override='trainer.train_steps=20', mode='train')
        for _ in range(2):
            self.run_job(override=override, mode='continuous_train_and_eval')
            records = compare.records(self.path('out'))
            self.assertEqual(records[:len(first)], first)
            rest = [k for k, v in records[len(first):]]
            self.assertEqual(rest, [k for k, _ in first])
            events = compare.events(self.path('out'), 'eval')
            self.assertEqual(sorted({step for step, _ in events}), [10, 20])
            self.assertEqual({len(v) for v in events.values()}, {1})

    def test_recovery(self):
        """Back to a checkpoint inside the run: what was said of later steps is taken out."""
        override = ('trainer.train_steps=60,trainer.recovery_max_trials=1,'
                    'trainer.checkpoint_interval=15,trainer.loss_upper_bound=%s,'
                    'trainer.recovery_begin_steps=%d')
        self.run_job('straight', override='trainer.train_steps=60')
        losses = {r['step']: r['training_loss'] for r in e2e.read_jsonl(self.path('straight'))
                  if r['kind'] == 'train'}
        step = next(s for s in sorted(losses) if s > 30 and s % 15 == 0 and
                    losses[s] == max(v for k, v in losses.items() if k >= s))
        result = self.run_job(override=override % (losses[step] * 0.9999, step), expect=None)
        self.assertIn(result.code, (0, 6), str(result))
        self.assertRegex(result.stderr, 'recovered the model')
        keys = [k for k, _ in compare.records(self.path('out'))]
        self.assertEqual(len(keys), len(set(keys)))
        events = compare.events(self.path('out'), 'train')
        self.assertEqual({len(v) for v in events.values()}, {1})


if __name__ == '__main__':
    e2e.main()
