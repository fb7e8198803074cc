# SPDX-License-Identifier: Apache-2.0
"""The best checkpoint and info.json: a kill at every change that an export makes, and what earlier
versions left (info.json before its checkpoint), end as a run that nothing disturbed.

BT_LONG_TESTS=1 kills at every change in three ways, otherwise at every third in one."""
import os
import re
import shutil
import signal
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import compare  # noqa: E402
import faults  # noqa: E402
import mutant  # noqa: E402
from jobs import e2e  # noqa: E402

JOB = 'trainer.train_steps=30,trainer.validation_interval=10,trainer.checkpoint_interval=5'
VICTIM = faults.VICTIM


def read(path):
    with open(path, 'rb') as source:
        return source.read()


def forget_info(index_path):
    """Makes a best checkpoint one of a version that did not put info.json's text into it: the key
    gets another name, and its block a fitting checksum."""
    index = bytearray(read(index_path))
    _offset, _size, at = e2e.read_handle(index, len(index) - 48)
    offset, size, _at = e2e.read_handle(index, at)
    for _key, handle in e2e.read_block(index, offset, size):
        block, n_bytes, _at = e2e.read_handle(handle, 0)
        found = [key for key, _value in e2e.read_block(index, block, n_bytes)
                 if key == b'bert_train/info']
        if found:
            place = index.index(b'info', block)
            index[place:place + 4] = b'infn'
            index[block + n_bytes + 1:block + n_bytes + 5] = struct.pack(
                '<I', e2e.masked_crc(index[block:block + n_bytes + 1]))
    with open(index_path, 'wb') as out:
        out.write(index)
    assert b'bert_train/infn'.decode() in e2e.read_bundle(index_path[:-6])


class Best(faults.FaultCase):
    name = 'bert-train'

    def run_job(self, task, model_dir, override='', *more, **how):
        return super().run_job(task, model_dir, override, *more, name=self.name, **how)

    def straight(self, override=JOB, model_dir='straight'):
        result = self.run_job('pairs', model_dir, override)
        self.assertEqual(result.code, 0, str(result))

    def continued(self, override=JOB):
        result = self.run_job('pairs', VICTIM, override)
        self.assertEqual(result.code, 0, str(result))
        a, b = self.path('straight'), self.path(VICTIM)
        out = compare.checkpoint_differences(a, b, 'latest')
        out += compare.best_differences(a + '/best_ckpt', b + '/best_ckpt')
        want, got = [{k: v for k, v in compare.records(folder) if k[0] != 'final'}
                     for folder in (a, b)]
        out += ['records %s, not %s' % (sorted(got), sorted(want))] * (set(got) != set(want))
        out += ['record %s is %s, not %s' % (k, got[k], want[k])
                for k in want if k in got and got[k] != want[k]]
        names = compare.file_names(b) - compare.file_names(a)
        out += ['left over: %s' % n for n in sorted(names) if '.tmp-' not in n]  # those: see fs
        return out, result

    def exports(self):
        """The numbers, from 1, of the changes that a run makes below best_ckpt; and of those with
        which an export begins: its journal."""
        self.assertEqual(self.suffer('pairs', JOB).code, 0)
        paths = [''] + [path for _what, path in self.operations()]
        begins = [i for i in range(1, len(paths)) if 'best_ckpt/checkpoint.journal.tmp' in paths[i]
                  and 'checkpoint.journal' not in paths[i - 1]]
        self.assertEqual(len(begins), 3, paths)
        return [i for i in range(1, len(paths)) if '/best_ckpt' in paths[i]], begins

    def kill_all(self, actions, stride):
        """(kills, what is different after them)"""
        changes, _begins = self.exports()
        self.assertGreater(len(changes), 20)
        n_kills = 0
        bad = []
        for action in actions:
            for k in changes[::stride]:
                self.assertEqual(self.suffer('pairs', JOB, k, action).code, -signal.SIGKILL)
                n_kills += 1
                bad += ['%s at %d (%s): %s' % (action, k, ' '.join(self.operations()[-1]), d)
                        for d in self.continued()[0]]
        return n_kills, bad

    def test_a_kill_at_every_change_of_an_export(self):
        self.straight()
        actions = ('kill', 'kill_after', 'tear') if e2e.LONG else ('kill',)
        n_kills, bad = self.kill_all(actions, 1 if e2e.LONG else 3)
        print('%d kills in exports' % n_kills)
        self.assertEqual(bad, [])

    def test_the_loop_can_fail(self):
        """With info.json first and nothing mended, as it was, the loop goes red."""
        self.name = mutant.build(self.folder, 'src/train/best_export.c', [
            ('BT_CHECK(save_best(run, folder, &info, err));', ''),
            ('BT_CHECK(bt_fs_replace(path, info.data, info.len, err));',
             'BT_CHECK(bt_fs_replace(path, info.data, info.len, err));'
             'BT_CHECK(save_best(run, folder, &info, err));'),
            ('BT_CHECK(best_files_mend(&files, &from, &usable, err));', 'usable = files.text.len > 0; (void)from;')])
        self.straight()
        _n_kills, bad = self.kill_all(('kill',), 5)
        self.assertGreater(len(bad), 0)

    def before_export(self, step):
        """The victim is a run that was killed before the export of that step began; returns the
        folder of one that ended right after it."""
        _changes, begins = self.exports()
        self.assertEqual(self.suffer('pairs', JOB, begins[step // 10 - 1], 'kill').code,
                         -signal.SIGKILL)
        self.straight(JOB + ',trainer.train_steps=%d' % step, 'later')
        return self.path('later')

    def test_info_of_the_first_without_its_checkpoint(self):
        """What a kill in the first export left until 2857fc2."""
        self.straight()
        later = self.before_export(10)
        os.makedirs(self.path(VICTIM, 'best_ckpt'), exist_ok=True)
        shutil.copy(later + '/best_ckpt/info.json', self.path(VICTIM, 'best_ckpt'))
        out, result = self.continued()
        self.assertEqual(out, [])
        self.assertIn('there is no whole best checkpoint beside it', result.stderr)

    def test_info_newer_than_its_checkpoint(self):
        """What a kill in a later export left until 2857fc2, whose checkpoints did not hold it."""
        self.straight()
        for forgets in (True, False):
            later = self.before_export(20)
            if forgets:
                name = e2e.read_state_file(self.path(VICTIM, 'best_ckpt'))[0]
                forget_info(self.path(VICTIM, 'best_ckpt', name + '.index'))
            shutil.copy(later + '/best_ckpt/info.json', self.path(VICTIM, 'best_ckpt'))
            out, result = self.continued()
            self.assertEqual(out, [], 'forgets: %s' % forgets)
            self.assertRegex(result.stderr, r'info.json did not belong to best_ckpt-\d+ \(step 10\)')
            shutil.rmtree(self.path('later'))

    def test_info_lost_or_damaged(self):
        """The checkpoint says what info.json was."""
        self.straight()
        self.straight(model_dir='first', override=JOB + ',trainer.train_steps=20')
        for text in (None, b'', b'{"validation_loss": ', b'{}', b'{"validation_loss": 1.0}'):
            self.wipe()
            shutil.copytree(self.path('first'), self.path(VICTIM))
            os.remove(self.path(VICTIM, 'best_ckpt/info.json'))
            if text is not None:
                with open(self.path(VICTIM, 'best_ckpt/info.json'), 'wb') as out:
                    out.write(text)
            out, result = self.continued()
            self.assertEqual(out, [], text)
            self.assertIn('written again', result.stderr)

    def test_state_file_lost(self):
        self.straight()
        self.straight(model_dir='first', override=JOB + ',trainer.train_steps=20')
        for text in (None, b'', b'garbage'):
            self.wipe()
            shutil.copytree(self.path('first'), self.path(VICTIM))
            os.remove(self.path(VICTIM, 'best_ckpt/checkpoint'))
            if text is not None:
                with open(self.path(VICTIM, 'best_ckpt/checkpoint'), 'wb') as out:
                    out.write(text)
            out, result = self.continued()
            self.assertEqual(out, [], text)
            self.assertRegex(result.stderr, r'best_ckpt-\d+, the newest whole checkpoint there')

    def test_evaluation_alone(self):
        """--mode=eval exports as well: killed in between, it does so again."""
        self.straight(model_dir='first', override='trainer.train_steps=10,'
                      'trainer.best_checkpoint_export_subdir=other,trainer.checkpoint_interval=5')
        shutil.copytree(self.path('first'), self.path('straight'))
        self.assertEqual(self.run_job('pairs', 'straight', JOB, mode='eval').code, 0)
        want = read(self.path('straight/best_ckpt/info.json'))
        for k in range(1, 200, 1 if e2e.LONG else 3):
            self.wipe()
            shutil.copytree(self.path('first'), self.path(VICTIM))
            result = self.run_job('pairs', VICTIM, JOB, mode='eval', may_die=True,
                                  env=self.environment(k, 'kill'))
            if result.code == 0:
                break
            result = self.run_job('pairs', VICTIM, JOB, mode='eval')
            self.assertEqual(result.code, 0, str(result))
            self.assertEqual(read(self.path(VICTIM, 'best_ckpt/info.json')), want, k)
            self.assertEqual(compare.best_differences(self.path('straight/best_ckpt'),
                                                      self.path(VICTIM, 'best_ckpt')), [], k)
        self.assertGreater(k, 10)

    def test_it_can_be_taken_after_a_kill(self):
        """--checkpoint=best finds a whole one wherever the export was cut off."""
        changes, begins = self.exports()
        for k in [k for k in changes if k >= begins[1]][::1 if e2e.LONG else 5]:
            self.assertEqual(self.suffer('pairs', JOB, k, 'kill').code, -signal.SIGKILL)
            result = self.run_job('pairs', VICTIM, JOB, mode='eval', more=['--checkpoint=best'])
            self.assertEqual(result.code, 0, str(result))
            self.assertRegex(result.stderr, re.compile(r'restored step \d+ from victim/best_ckpt/'))


if __name__ == '__main__':
    faults.require()
    e2e.main()
