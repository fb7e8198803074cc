# SPDX-License-Identifier: Apache-2.0
"""Each loop of this folder goes red when the promise that it holds is broken: the program is built
with one mistake (support/mutant.py) and the loop run with it. A mutation whose text is no longer in
the source fails as well: whoever changes the code looks for what its mistake would be now."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import faults  # noqa: E402
import mutant  # noqa: E402
from jobs import e2e  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))

# name: (source, changes, loop, test, environment[, program])
MUTATIONS = {
    'a folder is not synced after a rename': (
        'src/fs/fs_write.c',
        [('rc = sync_fd(fd, path, err);\n        (void)close(fd);', '(void)close(fd);')],
        'power_loss.py', 'PowerLoss.test_sentence', {'BT_SAMPLE': '40'}),
    'a file is not synced before its rename': (
        'src/fs/fs_write.c',
        [('return to_disk ? sync_fd(writer->fd, writer->path, err) : BT_OK;', 'return BT_OK;')],
        'power_loss.py', 'PowerLoss.test_sentence', {'BT_SAMPLE': '40'}),
    'a write that fails is taken for done': (
        'src/fs/fs_write.c',
        [('        if (n < 0 || (writer->is_paced',
          '        if (n < 0) {\n            return BT_OK;\n        }\n        if ((writer->is_paced')],
        'failing_calls.py', 'FailingCalls.test_sentence', {'BT_SAMPLE': '12'}),
    'a short write is taken for a whole one': (
        'src/fs/fs_write.c', [('        n_bytes -= (size_t)n;', '        n_bytes = 0;')],
        'failing_calls.py', 'FailingCalls.test_sentence', {'BT_SAMPLE': '6'}),
    'the sums of an unfinished chunk are not kept': (
        'src/train/run_state.c',
        [('(uint64_t)c->start_step,', '(uint64_t)run->step,')],
        'random_kills.py', 'RandomKills.test_variants', {'BT_KILLS': '60'}),
    'the epoch of the data is not kept': (
        'src/train/run_state.c', [('cursor.epoch,', '(uint64_t)0 * cursor.epoch,')],
        'kill_points.py', 'KillPoints.test_sentence', {'BT_SAMPLE': '6'}),
    'a hang-up is no stop': (
        'src/base/stop.c', [('   {SIGHUP, "SIGHUP"},', '')],
        'signals.py', '-k test_training', {}),
    'no memory for JSON means that it is none': (
        'src/fs/fs_json.c', [('return refused ? BT_FAIL(err, BT_E_NOMEM',
                              'return false ? BT_FAIL(err, BT_E_NOMEM')],
        'heap_requests.py', '-k test_squad_data', {'BT_HEAP_PLACES': '1'},
        'create-finetuning-data'),
}


class Mutations(e2e.Case):
    def check(self, name):
        source, changes, loop, test, more, *program = MUTATIONS[name]
        folder = self.path(re.sub(r'\W', '_', name))
        os.makedirs(folder)
        mutant.build(folder, source, changes, *program)
        done = subprocess.run([sys.executable, '-B', os.path.join(HERE, loop)] + test.split(),
                              env=dict(os.environ, BT_MUTANTS=folder, BT_LONG_TESTS='0', **more),
                              capture_output=True, text=True, timeout=600, check=False)
        self.assertNotEqual(done.returncode, 0,
                            '%s: %s %s stays green\n%s' % (name, loop, test, done.stdout))
        self.assertIn('AssertionError', done.stderr, name)

    def test_all(self):
        for name in MUTATIONS:
            with self.subTest(name):
                self.check(name)


if __name__ == '__main__':
    faults.require()
    if e2e.SANITIZED:
        print('SKIPPED: mutations are tried in a release build')
        sys.exit(77)
    e2e.main()
