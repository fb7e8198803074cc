# SPDX-License-Identifier: Apache-2.0
"""The checkpoints of a model_dir: damaged, lost or unnamed ones are passed over, never in silence,
and the run still ends as one that nothing disturbed; what a user put there, and what is newer than
the step that he went back to, stays; the clock decides nothing.

BT_LONG_TESTS=1 flips many more bits."""
import hashlib
import os
import random
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import compare  # noqa: E402
import jobs  # noqa: E402
from jobs import e2e  # noqa: E402

CLOCK = os.path.join(e2e.BUILD, 'tests/reliability/libclock_faults.so')
N_FLIPS = 240 if e2e.LONG else 12
FIVE = 'trainer.max_to_keep=5,trainer.checkpoint_interval=5,trainer.validation_interval=10'
TO_30 = 'trainer.train_steps=30,' + FIVE
TO_40 = 'trainer.train_steps=40,' + FIVE
DATA = 'data-00000-of-00001'


def read(path):
    with open(path, 'rb') as source:
        return source.read()


def write(path, content):
    with open(path, 'wb') as out:
        out.write(content)


def digests(folder):
    """{relative path: SHA-256 of the bytes}"""
    return {n: hashlib.sha256(b).hexdigest() for n, b in e2e.read_tree(folder).items()}


class Case(e2e.Case):
    """Has `done`, a run to step 30 whose checkpoints are all kept, and `straight`, one to 40."""

    def setUp(self):
        super().setUp()
        jobs.make(self.folder)
        self.run_job('done', TO_30)
        shutil.copytree(self.path('done'), self.path('straight'))
        self.run_job('straight', TO_40)

    def run_job(self, model_dir, override, expect=0, mode='train_and_eval', more=(), **how):
        result = e2e.run(jobs.args('sentence', model_dir, override, mode, more), cwd=self.folder,
                         **how)
        if expect is not None:
            self.assertEqual(result.code, expect, str(result))
        return result

    def copy(self, name='out'):
        shutil.rmtree(self.path(name), ignore_errors=True)
        shutil.copytree(self.path('done'), self.path(name))
        return self.path(name)

    def newest(self, ending):
        return self.path('out', 'ckpt-30.' + ending)

    def differences(self, model_dir='out'):
        a, b = self.path('straight'), self.path(model_dir)
        out = compare.checkpoint_differences(a, b, 'latest')
        out += compare.best_differences(a + '/best_ckpt', b + '/best_ckpt')
        want, got = dict(compare.records(a)), dict(compare.records(b))
        # the end at 30 is none of a run that goes on from before it
        return out + ['record %s' % (key,) for key in want
                      if want[key] != got.get(key) and key != ('final', 30)]

    def goes_on(self, says, what=''):
        """To 40, from the checkpoint before, which is said; and ends as if nothing had been."""
        result = self.run_job('out', TO_40)
        self.assertRegex(result.stderr, says, what)
        self.assertEqual(self.differences(), [], what)
        return result


class Damaged(Case):
    def damage(self, what):
        index, data = self.newest('index'), self.newest(DATA)
        older = self.path('out', 'ckpt-25.' + DATA)
        state = self.path('out/checkpoint')
        named = read(state)
        if what == 'swapped':
            content = read(index)
            shutil.copy(data, index)
            write(data, content)
        else:
            path, content = {
                'data cut': (data, read(data)[:70000]), 'data empty': (data, b''),
                'data missing': (data, None), 'data of another': (data, read(older)),
                'index cut': (index, read(index)[:5000]), 'index empty': (index, b''),
                'index missing': (index, None),
                'state names none': (state, named.replace(b'"ckpt-30"', b'"ckpt-99"')),
                'state empty': (state, b''), 'state zeros': (state, b'\0' * len(named)),
                'state missing': (state, None), 'state garbage': (state, b'hello\n'),
                'state cut': (state, named[:20]),
            }[what]
            os.remove(path)
            if content is not None:
                write(path, content)

    def test_each_kind(self):
        passed_over = r'names ckpt-30, which cannot be used \(.*\): ckpt-25, the newest whole one'
        for what in ('data cut', 'data empty', 'data missing', 'data of another', 'index cut',
                     'index empty', 'index missing', 'swapped'):
            self.copy()
            self.damage(what)
            self.goes_on(passed_over, what)
            left = [n for n in os.listdir(self.path('out')) if n.startswith('ckpt-30')]
            self.assertIn('ckpt-30.index', left)
            if 'missing' not in what and what != 'swapped':
                self.assertIn('ckpt-30.index.kept-1', left, what)

    def test_each_state_file(self):
        for what, says in (('state names none', 'names ckpt-99, which cannot be used'),
                           ('state empty', 'checkpoint names no checkpoint: ckpt-30,'),
                           ('state zeros', r'checkpoint cannot be used \(.*: ckpt-30,'),
                           ('state missing', 'has no file `checkpoint`: ckpt-30,'),
                           ('state garbage', r'checkpoint cannot be used \(.*: ckpt-30,'),
                           ('state cut', r'checkpoint cannot be used \(.*: ckpt-30,')):
            self.copy()
            self.damage(what)
            self.goes_on(says, what)

    def test_flipped_bits(self):
        rng = random.Random(5)
        for i in range(N_FLIPS):
            self.copy()
            path = self.newest((DATA, 'index')[i % 2])
            content = bytearray(read(path))
            place = rng.randrange(len(content))
            content[place] ^= 1 << rng.randrange(8)
            write(path, bytes(content))
            result = self.run_job('out', TO_40)
            if 'ckpt-25, the newest whole one' not in result.stderr:
                # some bytes of an index are padding, or say what is the same anyway
                self.assertIn('restored step 30', result.stderr, '%s at %d' % (path, place))
                self.assertTrue(path.endswith('index'), '%s at %d' % (path, place))
            self.assertEqual(self.differences(), [], '%s at %d' % (path, place))

    def test_our_own_state(self):
        """Whole by its checksums, but no state of ours in it."""
        self.copy()
        index = self.newest('index')
        tensors = e2e.read_bundle(index[:-6])
        raw = tensors['bert_train/state'].raw
        start = read(self.newest(DATA)).index(raw)
        skip = 5 + (len(raw) - 5 > 127)  # the length, its checksum
        content = bytearray(read(self.newest(DATA)))
        content[start + skip:start + skip + 4] = b'XXXX'
        write(self.newest(DATA), bytes(content))
        value = bytes(content[start:start + len(raw)])
        length = len(raw) - skip
        e2e.replace_checksum(index, 'bert_train/state', e2e.masked_crc(
            length.to_bytes(4, 'little') + value[skip - 4:]))
        self.goes_on(r'the state of bert-train in it \(\d+ bytes\) is of another version')

    def test_none_is_whole(self):
        """Exit 3 with what to do, and nothing is touched."""
        for lost_state in (False, True):
            out = self.copy()
            for name in os.listdir(out):
                if name.endswith('.index'):
                    write(os.path.join(out, name), b'')
            if lost_state:
                os.remove(os.path.join(out, 'checkpoint'))
            before = digests(out)
            line = self.one_error(self.run_job('out', TO_40, expect=3))
            self.assertRegex(line, r'5 checkpoints there, and none can be used \(ckpt-30: .*bring')
            self.assertEqual(digests(out), before)
            self.run_job('out', TO_40, expect=3, mode='eval')
            self.run_job('out', TO_40, expect=3, mode='predict')

    def test_a_dry_run_says(self):
        out = self.copy()
        before = digests(out)
        dry = {'more': ['--dry_run']}
        result = self.run_job('out', TO_40, **dry)
        self.assertIn('the run would go on from step 30: out/ckpt-30', result.stderr)
        write(self.newest(DATA), b'')
        result = self.run_job('out', TO_40, **dry)
        self.assertIn('names ckpt-30, which cannot be used', result.stderr)
        self.assertIn('the run would go on from step 25: out/ckpt-25', result.stderr)
        result = self.run_job('out', TO_40, mode='eval', more=['--dry_run', '--checkpoint=best'])
        self.assertRegex(result.stderr, r'the run would take step \d+: out/best_ckpt/best_ckpt-')
        before.pop('ckpt-30.' + DATA)
        after = digests(out)
        after.pop('ckpt-30.' + DATA)
        self.assertEqual(after, before)

    def test_the_other_modes(self):
        out = self.copy()
        write(self.newest(DATA), b'')
        before = digests(out)
        for mode in ('predict', 'eval'):
            result = self.run_job('out', TO_40, mode=mode)
            self.assertIn('ckpt-25, the newest whole one before it, is taken', result.stderr)
            self.assertIn('restored step 25 from out/ckpt-25', result.stderr)
        after = digests(out)
        self.assertEqual([n for n in before if 'ckpt-' in n and after.get(n) != before[n] and
                          'best' not in n], [])

    def test_an_evaluation_that_follows(self):
        """--mode=continuous_eval takes the one before, waits for the next, and does not end well
        while the newest cannot be used."""
        self.copy()
        write(self.newest(DATA), b'')
        result = self.run_job('out', TO_30 + ',trainer.continuous_eval_timeout=1', expect=3,
                              mode='continuous_eval')
        self.assertIn('restored step 25 from out/ckpt-25', result.stderr)
        self.assertRegex(result.stderr, 'names ckpt-30, .*; waiting for the next one')
        self.assertIn('ckpt-30', self.one_error(result))

    def test_seeds(self):
        more = ['--seeds=1,2']
        self.run_job('seeds', TO_30, more=more)
        shutil.copytree(self.path('seeds'), self.path('lost'))
        self.run_job('seeds', TO_40, more=more)
        write(self.path('lost/seed_1/checkpoint'), b'')
        write(self.path('lost/seed_2/ckpt-30.' + DATA), b'')
        result = self.run_job('lost', TO_40, more=more)
        self.assertIn('seed_1/checkpoint names no checkpoint', result.stderr)
        self.assertIn('seed_2/checkpoint names ckpt-30, which cannot be used', result.stderr)
        for seed in (1, 2):
            self.same_values(self.path('lost/seed_%d/ckpt-40' % seed),
                             self.path('seeds/seed_%d/ckpt-40' % seed))

    def test_the_first_of_model_garden_counts(self):
        """ckpt-0 and no `checkpoint`."""
        self.run_job('zero', 'trainer.train_steps=0')
        os.remove(self.path('zero/checkpoint'))
        result = self.run_job('zero', 'trainer.train_steps=5')
        self.assertIn('restored step 0 from zero/ckpt-0', result.stderr)


class Own(Case):
    def test_names_that_lead_elsewhere(self):
        """A copied folder whose `checkpoint` has absolute paths, `../`, patterns: the first folder is
        not touched, nor what the names say."""
        first = self.path('done')
        before = digests(first)
        for start in (first + '/', '../done/', './../done/', first + '/./'):
            out = self.copy()
            named = b''.join(b'all_model_checkpoint_paths: "%s"\n' % (start + n).encode()
                             for n in ('ckpt-5', 'ckpt-10', 'ckpt-25', 'ckpt-30', 'ckpt-*', '*'))
            write(out + '/checkpoint', b'model_checkpoint_path: "%sckpt-30"\n' % start.encode() + named)
            self.run_job('out', TO_40 + ',trainer.max_to_keep=1')
            self.assertEqual(digests(first), before, start)
            self.assertEqual(self.differences(), [], start)
            self.assertTrue(os.path.exists(out + '/ckpt-25.index'))  # nobody recorded it here

    def test_copies_beside_stay(self):
        out = self.copy()
        copies = ('ckpt-150000', 'ckpt-5.keep', 'ckpt-007', 'mine', 'ckpt-20-good', 'ckpt-')
        for name in copies:
            for ending in ('index', DATA):
                shutil.copy(out + '/ckpt-20.' + ending, '%s/%s.%s' % (out, name, ending))
        write(out + '/ckpt-5.txt', b'notes')
        theirs = {'%s.%s' % (name, ending) for name in copies for ending in ('index', DATA)}
        before = {n: d for n, d in digests(out).items() if n in theirs or n == 'ckpt-5.txt'}
        self.assertEqual(len(before), 13)
        self.run_job('out', TO_40 + ',trainer.max_to_keep=1')
        after = digests(out)
        self.assertEqual({n: after.get(n) for n in before}, before)
        self.assertEqual(self.differences(), [])
        self.assertEqual(e2e.read_state_file(out)[1], ['ckpt-40'])
        self.assertFalse(os.path.exists(out + '/ckpt-30.index'))

    def test_a_copy_in_the_way_is_kept(self):
        out = self.copy()
        for ending in ('index', DATA):
            shutil.copy(out + '/ckpt-20.' + ending, out + '/ckpt-35.' + ending)
        result = self.run_job('out', TO_40)
        self.assertIn('out/ckpt-35 is there and is not a checkpoint that this run wrote', result.stderr)
        for ending in ('index', DATA):
            self.assertEqual(read('%s/ckpt-35.%s.kept-1' % (out, ending)),
                             read(self.path('done/ckpt-20.' + ending)))
        self.assertEqual(self.differences(), [])

    def test_going_back(self):
        """By editing `checkpoint` in either way: what is newer is kept, and said."""
        for drop_lines in (False, True):
            out = self.copy()
            state = read(out + '/checkpoint').decode()
            state = state.replace('model_checkpoint_path: "ckpt-30"', 'model_checkpoint_path: "ckpt-20"', 1)
            lines = [line for line in state.splitlines(keepends=True) if not (
                drop_lines and line.startswith('all_') and ('25' in line or '30' in line))]
            write(out + '/checkpoint', ''.join(lines).encode())
            result = self.run_job('out', TO_40)
            self.assertRegex(result.stderr, r'going on from ckpt-20; what is newer \(ckpt-25, '
                                            r'ckpt-30\) is kept under other names')
            for step in (25, 30):
                for ending in ('index', DATA):
                    self.assertEqual(read('%s/ckpt-%d.%s.kept-1' % (out, step, ending)),
                                     read(self.path('done/ckpt-%d.%s' % (step, ending))))
            self.assertEqual(self.differences(), [])
            # and once more, after going back again: nothing is written over
            write(out + '/checkpoint', b'model_checkpoint_path: "ckpt-20"\n'
                                       b'all_model_checkpoint_paths: "ckpt-20"\n')
            self.run_job('out', TO_40)
            self.assertTrue(os.path.exists(out + '/ckpt-30.index.kept-2'))
            self.assertEqual(read(out + '/ckpt-30.index.kept-1'),
                             read(self.path('done/ckpt-30.index')))

    def test_what_goes_while_the_run_goes_on(self):
        """The state file lost or damaged meanwhile is written again; a folder that is gone ends it."""
        long = ('trainer.train_steps=100000,trainer.checkpoint_interval=50,trainer.max_to_keep=2,'
                'trainer.validation_interval=100000')

        def vanish(what):
            """After each save from the third on, until it is told: a save that is under way may have looked."""
            out = self.path('out')
            shutil.rmtree(out, ignore_errors=True)
            latest, n_saves, n_told = None, 0, None
            with open(self.path('log'), 'w+b') as log:
                pace = e2e.Pace(log)
                child = subprocess.Popen([e2e.program()] + jobs.args('sentence', 'out', long), cwd=self.folder,
                                         stdout=subprocess.DEVNULL, stderr=pace.sink)
                pace.started()
                end = time.monotonic() + e2e.TIMEOUT
                while child.poll() is None and time.monotonic() < end and (n_told is None or n_saves < n_told + 3):
                    pace.look()
                    newest = e2e.read_state_file(out)[0] if os.path.isdir(out) else None
                    if newest is not None and newest != latest:
                        latest, n_saves = newest, n_saves + 1
                        if n_saves >= 3 and n_told is None:
                            what(out)
                    if n_told is None and b'during the run' in os.pread(log.fileno(), 1 << 20, 0):
                        n_told = n_saves
                    time.sleep(0.001)
                child.terminate()
                pace.let_go()
                self.assertEqual(child.wait(e2e.TIMEOUT), 75)
                pace.end()
            return read(self.path('log')).decode()
        for what in (lambda out: os.remove(out + '/checkpoint'),
                     lambda out: write(out + '/checkpoint', b'zzz')):
            self.assertRegex(vanish(what), 'checkpoint was (removed|damaged) during the run')
            latest, names = e2e.read_state_file(self.path('out'))
            kept = sorted(n[:-6] for n in os.listdir(self.path('out')) if n.endswith('.index'))
            self.assertEqual(sorted(names), kept)
            self.assertIn(latest, names)


class Clock(Case):
    def test_it_may_say_anything(self):
        """Yesterday, running backwards, 1969, in three hundred years: the same run, the same files."""
        if not os.path.exists(CLOCK):
            self.skipTest('there is no %s' % CLOCK)
        two = 'trainer.max_to_keep=2,trainer.checkpoint_interval=5'
        self.run_job('two', two)
        want = sorted(n for n in os.listdir(self.path('two')) if n.startswith('ckpt'))
        for offset, step in ((-100000, 0), (0, -500), (-2000000000, 0), (9000000000, 0)):
            shutil.rmtree(self.path('out'), ignore_errors=True)
            env = {'LD_PRELOAD': CLOCK, 'BT_CLOCK_OFFSET': str(offset), 'BT_CLOCK_STEP': str(step),
                   'ASAN_OPTIONS': 'verify_asan_link_order=0'}
            self.run_job('out', two + ',trainer.train_steps=20', env=env if step else None)
            self.run_job('out', two + ',trainer.train_steps=40', env=env)
            self.run_job('out', two)
            got = sorted(n for n in os.listdir(self.path('out')) if n.startswith('ckpt'))
            self.assertEqual(got, want, offset)
            self.same_values(self.path('out/ckpt-60'), self.path('two/ckpt-60'))

    def test_times_of_files_say_nothing(self):
        out = self.copy()
        for i, name in enumerate(sorted(os.listdir(out))):
            os.utime(os.path.join(out, name), (i * 1e8, time.time() + 1e6 * (5 - i)))
        os.remove(out + '/checkpoint')
        self.goes_on('ckpt-30, the newest whole checkpoint')


if __name__ == '__main__':
    e2e.main()
