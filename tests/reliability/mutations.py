# SPDX-License-Identifier: Apache-2.0
"""Each loop of this folder and of ../remote, and each kind of fact of ../e2e and ../cli
(support/fact_mutations.py), goes red when the promise that it holds is broken: a program is built with one
mistake (support/mutant.py) and one test of the loop run with it. A mutation whose text is no longer in the
source fails as well: whoever changes the code looks for what its mistake would be now. A few loops hold a
mutation of their own (test_the_loop_can_fail, test_mutation).

The short form tries N_PICKED of them, others each day; BT_LONG_TESTS=1 all; BT_MUTATIONS=WORDS those
whose name holds the words."""
import os
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import fact_mutations  # noqa: E402
import faults  # noqa: E402
import mutant  # noqa: E402
from jobs import e2e  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))

TABLE = 'Phases.test_table'
# name: (source, changes, loop, test, environment[, program])
MUTATIONS = {
    # what is saved
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
        'src/train/course.c',
        [('    run->course.chunk = state.course.chunk;\n    run->course.recovery_trials = state.course.recovery_trials;\ndone:',
          '    run->course.recovery_trials = state.course.recovery_trials;\ndone:')],
        'random_kills.py', 'RandomKills.test_variants', {'BT_KILLS': '60'}),
    'the epoch of the data is not kept': (
        'src/train/course.c', [('.cursor = bt_data_get_cursor(run->train_data),',
                                '.cursor = {.index = bt_data_get_cursor(run->train_data).index},')],
        'kill_points.py', 'KillPoints.test_sentence', {'BT_SAMPLE': '6'}),
    'the values of a checkpoint are not verified before it is taken': (
        'src/train/snapshot.c', [('bt_ckpt_check_values(NULL, prefix, step, err)',
                                  'bt_ckpt_check_files(NULL, prefix, step, err)')],
        'checkpoints.py', 'Damaged.test_flipped_bits', {}),
    'what is newer than the restored step stays under its name': (
        'src/ckpt/ckpt_manager.c', [('while (n > 0 && numbers[n - 1] <= newest) {',
                                     'while (n > 0) {')],
        'checkpoints.py', 'Own.test_going_back', {}),
    'a lock that somebody has is free': (
        'src/fs/fs_lock.c', [('return errno == EWOULDBLOCK ? KERNEL_LOCK_BUSY : KERNEL_LOCK_NONE;',
                              'return KERNEL_LOCK_GOT;')],
        'one_writer.py', 'OneWriter.test_at_the_same_instant', {}),
    'names of temporary files can be known': (
        'src/fs/fs_temp.c', [('digits[(bytes[i / 2] >> (i % 2 == 0 ? 4 : 0)) & 15]',
                              'digits[i & 15]')],
        'planted.py', 'Planted.test_links_under_seen_names', {}),
    'what killed runs left stays': (
        'src/fs/fs_sweep.c', [('is_left && fs_sys_unlink(path) == 0;', 'false;')],
        'planted.py', 'Planted.test_predictions_and_records', {}),
    'a pipe in place of a file is waited for': (
        'src/fs/fs_special.c', [('return !S_ISREG(st->st_mode) &&', 'return false &&')],
        'planted.py', 'Planted.test_no_files', {}),
    'what a killed data tool began is not finished': (
        'src/fs/fs_commit.c', [('BT_CHECK(finish_all(text, n, &n_placed, err));', '')],
        'together.py', 'Together.test_several_folders', {}, 'create-finetuning-data'),
    'the files of a prediction get no journal to finish': (
        'src/fs/fs_commit.c', [('BT_CHECK(finish_all(text, n, &n_placed, err));', '')],
        'together_predictions.py', 'TogetherPredictions.test_questions', {}),
    'data are read without a look for journals': (
        'src/fs/fs_commit.c', [('access(folder, R_OK | X_OK) != 0) {', 'true) {')],
        'together_predictions.py', 'Readers.test_training_finishes', {}),
    # the same run
    'records after the restored step stay': (
        'src/train/records.c', [('        if (does) {', '        if (false) {')],
        'records.py', 'Whole.test_tails', {}),
    'what must not change is told only': (
        'src/train/run_changes.c', [('    BT_CHECK(refuse(&c, err));\n', '')],
        'changed_keys.py', 'Changed.test_other_slots_of_the_same_optimizer', {}),
    'other words count as the same': (
        'src/train/run_changes.c',
        [('then != 0 && c->now->vocabulary != 0 && then != c->now->vocabulary;', 'false;')],
        'changed_keys.py', 'Changed.test_other_words', {}),
    # signals and hangs
    'a hang-up is not a stop': (
        'src/base/stop.c', [('   {SIGHUP, "SIGHUP"},', '')],
        'signals.py', '-k test_training', {'BT_TEST_SLOW': '1'}),
    'a second signal is one more request': (
        'src/base/stop.c', [('    (void)raise(number); /* takes', '    return; /* takes')],
        'stop_phases.py', TABLE, {'BT_PHASES': 'scanning a table', 'BT_TEST_SLOW': '0.3'}),
    'a pipe that nobody reads is waited for': (
        'src/fs/fs_special.c', [('BT_TRY(bt_stop_check_now(err));\n        if (i == POLLS',
                                 'if (i == POLLS')],
        'stop_phases.py', TABLE, {'BT_PHASES': 'pipe that nobody', 'BT_TEST_SLOW': '1'}),
    'outputs get their names although it was asked to stop': (
        'src/fs/fs_write.c', [('BT_TRY(bt_stop_check_now(err)); /* from here on they get', '/*')],
        'stop_phases.py', TABLE, {'BT_PHASES': 'syncing records'}, 'create-finetuning-data'),
    'the tokenizer does not look up while it waits': (
        'src/cli/program_print.c', [('        BT_TRY(bt_stop_check(err));\n', '        (void)err;\n')],
        'stop_phases.py', TABLE, {'BT_PHASES': 'waiting for lines', 'BT_TEST_SLOW': '1'},
        'bert-tokenize'),
    'what was converted gets its name although it was asked to stop': (
        'src/fs/fs_write.c', [('writer->temporary != NULL ? bt_stop_check_now(err) : BT_OK;',
                               'BT_OK;')],
        'stop_phases.py', TABLE, {'BT_PHASES': 'what was converted'}, 'bert-checkpoint'),
    'programs do not hear signals': (
        'src/cli/program_run.c', [('    bt_stop_install();\n', '')], '../cli/programs.py', '-k test_signals', {},
        'create-finetuning-data'),
    'help is cut short by a reader that left': (
        'src/cli/program_print.c', [('errno == EPIPE && reader', 'false && reader')], '../cli/programs.py',
        '-k gone', {}, 'bert-tokenize'),
    'a flag is replaced in silence': (
        'src/cli/program_run.c', [('    warn_of_replaced(flags);\n', '')], '../cli/programs.py',
        '-k every_program', {}, 'bert-tokenize'),
    'closed descriptors are left to the first files': (
        'src/base/standard_files.c',
        [('if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) {', 'if (true) {')],
        'closed_files.py', 'ClosedFiles.test_train', {}),
    'each wait for a server is told again and again': (
        'src/fs/remote/http_window.c', [('now - w->told > tell_again_seconds', 'true')],
        '../remote/waits.py', 'Waits.test_refused_connections', {}),
    'no speed is too low': (
        'src/fs/remote/http_curl.c', [('if (moved_in_span < w->min_bytes * w->span) {',
                                       'if (moved_in_span < 0) {')],
        '../remote/waits.py', 'Waits.test_slow_bodies_are_told_by_their_speed',
        {'BT_TEST_SLOW': '1'}),
    # stores
    'what S3 kept is not compared': (
        'src/fs/remote/s3_upload.c', [('*same = crc == sent->crc32c;', '*same = true;')],
        '../remote/s3.py', 'Uploads.test_damage_that_stays', {}),
    'an upload in parts that fails is not given up': (
        'src/fs/remote/s3_upload.c', [('if (upload->id.len > 0 && !upload->is_over &&',
                                       'if (false &&')],
        '../remote/s3.py', 'Parts.test_an_upload_that_fails_is_given_up', {}),
    'the place in the data is not kept in S3': (
        'src/train/course.c', [('.cursor = bt_data_get_cursor(run->train_data),',
                                '.cursor = {.epoch = bt_data_get_cursor(run->train_data).epoch},')],
        '../remote/s3.py', 'Runs.test_killed_at_requests', {}),
    'a lock in S3 is not looked at again': (
        'src/fs/lock_store.c', [('? settle(lock, err)', '? BT_OK')],
        '../remote/s3.py', 'Runs.test_two_at_once', {}),
    'keys of S3 that ran out are used': (
        'src/fs/remote/aws_credentials.c',
        [('} else if (the.now.expires > 0 && aws_time() >= the.renew_at) {', '} else if (false) {')],
        '../remote/aws.py', 'Renewal.test_before_they_run_out', {}),
    'what Swift is sent has another hash': (
        'src/fs/remote/aws_sign.c', [('text.data, names->data, request->hash', 'text.data, '
                                      'names->data, "UNSIGNED-PAYLOAD"')],
        '../remote/s3_judges.py', 'Swift.test_right_and_wrong_keys', {}, 'bert-tokenize'),
    'what Google keeps is not compared': (
        'src/fs/remote/gcs_upload.c', [('(!info->has_crc32c || info->crc32c == crc)', 'true')],
        '../remote/gcs.py', 'Faults.test_a_store_that_keeps_other_bytes', {}),
    'what the emulator keeps is not compared': (
        'src/fs/remote/gcs_upload.c', [('(!info->has_crc32c || info->crc32c == crc)', 'true')],
        '../remote/emulator.py', 'FakeGcsServer.test_damage_on_the_way_there', {}),
    'tokens of Google that ran out are used': (
        'src/fs/remote/gcs_auth.c', [('bt_time_unix() >= the.token.expires', 'false')],
        '../remote/gcs_identity.py', 'Identities.test_a_job', {}),
    'the place in the data is not kept at Google': (
        'src/train/course.c', [('.cursor = bt_data_get_cursor(run->train_data),',
                                '.cursor = {.epoch = bt_data_get_cursor(run->train_data).epoch},')],
        '../remote/kill.py', 'Kill.test_at_every_request', {}),
    'a store that has a bad time damages checkpoints': (
        'src/fs/remote/http_retry.c', [('code = BT_E_RESOURCE; /* the server has', '/* the server has')],
        '../remote/checkpoints.py', 'Checkpoints.test_newest_cannot_be_reached', {}),
    'an evaluation writes into the log of the training': (
        'src/train/records.c', [('lock != NULL ? r->path : r->beside_path', 'r->path')],
        '../remote/outputs.py', 'Gcs.test_an_evaluation_beside_a_training', {}),
    'a module is not held against its archive': (
        'src/hub/hub_pin.c', [('    if (different != NULL) {', '    if (false) {')],
        '../remote/hub.py', 'Modules.test_a_cache_that_was_forged', {}),
    'a file of the hub is whatever came': (
        'src/fs/remote/hf_cache.c', [('*whole = strcmp(hex, in->file->etag) == 0;',
                                      '*whole = true;')],
        '../remote/hf.py', 'Cache.test_damage', {}, 'bert-tokenize'),
    # failing allocations and hostile input
    'no memory for JSON means that it is none': (
        'src/fs/fs_json.c', [('return refused ? BT_FAIL(err, BT_E_NOMEM',
                              'return false ? BT_FAIL(err, BT_E_NOMEM')],
        'heap_requests.py', '-k test_squad_data', {'BT_HEAP_PLACES': '1'},
        'create-finetuning-data'),
    'what is unpacked of gzip stays in memory': (
        'src/fs/fs_scratch.c', [('SCRATCH_BUFFER_BYTES = 1 << 18', 'SCRATCH_BUFFER_BYTES = 1 << 27')],
        'packed_input.py', 'PackedInput.test_table', {}),
}
MUTATIONS.update(fact_mutations.MUTATIONS)
N_PICKED = 8
SKIPPED = 77


def picked():
    """Names: all, those that are asked for, or N_PICKED, of which each has its turn."""
    words = os.environ.get('BT_MUTATIONS', '')
    names = [name for name in MUTATIONS if words in name]
    if e2e.LONG or words:
        return names
    turn = int(time.time() // 86400) * N_PICKED
    return [names[(turn + i) % len(names)] for i in range(N_PICKED)]


class Mutations(e2e.Case):
    def check(self, name):
        source, changes, loop, test, more, *program = MUTATIONS[name]
        folder = self.path(re.sub(r'\W', '_', name))
        os.makedirs(folder)
        mutant.build(folder, source, changes, *program)
        began = time.monotonic()
        done = subprocess.run([sys.executable, '-B', os.path.join(HERE, loop), '-f'] + test.split(),
                              env=dict(os.environ, BT_MUTANTS=folder, BT_LONG_TESTS='0', **more),
                              capture_output=True, text=True, timeout=1800, check=False)
        said = '%s: %s %s' % (name, os.path.basename(loop), test)
        print('%s: %s after %.0f s' % (said, done.returncode, time.monotonic() - began), flush=True)
        shutil.rmtree(folder)
        if done.returncode == SKIPPED:
            self.skipTest('%s\n%s' % (said, done.stdout))
        self.assertNotEqual(done.returncode, 0, '%s stays green\n%s' % (said, done.stderr))
        self.assertIn('AssertionError', done.stderr, said)

    def test_texts(self):
        """Of all, not of those alone whose turn it is."""
        for name, (source, changes, *_) in MUTATIONS.items():
            with self.subTest(name):
                mutant.changed_text(source, changes)

    def test_picked(self):
        for name in picked():
            with self.subTest(name):
                self.check(name)


if __name__ == '__main__':
    faults.require()
    if e2e.SANITIZED:
        print('SKIPPED: mutations are tried in a release build')
        sys.exit(77)
    e2e.main()
