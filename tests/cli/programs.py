# SPDX-License-Identifier: Apache-2.0
"""Each of the programs, and each command of bert-train, through everything that all of them promise: flags of every program, help,
version, exit codes, each signal, descriptors that are closed, a reader of standard output or error that is
slow, full or gone, a limit of the size of files. Programs x promises; a program that loses one is red."""
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../reliability/support'))
import jobs  # noqa: E402
import stops  # noqa: E402
from jobs import e2e  # noqa: E402

DATA = ['--classification_task_name=SST-2', '--meta_data_file_path=out/m', '--train_data_output_path=out/t',
        '--input_data_dir=sst', '--max_seq_length=16']
# program: (a command that does its work, what it writes to standard output, the same without its input)
PROGRAMS = {
    'bert-train': (jobs.args('sentence', 'out', more=['--dry_run']), 'a result',
                   jobs.args('sentence', 'out', 'task.train_data.vocab_file=nowhere', more=['--dry_run'])),
    'create-finetuning-data': (DATA + ['--vocab_file=vocab.txt'], 'nothing', DATA + ['--vocab_file=nowhere']),
    'bert-tokenize': (['--vocab_file=vocab.txt', 'train.tsv'], 'a filter', ['--vocab_file=nowhere']),
    'bert-checkpoint': (['list', 'pre/ckpt-5'], 'a filter', ['list', 'nowhere']),
    'bert-train predict': (['--model_dir=pre', '--input=lines.txt'], 'a filter', ['--model_dir=pre', '--input=nowhere']),
    'bert-train completion': (['bash'], 'a filter', None),
    'bert-train doctor': (['--model_dir=out'], 'a filter', None),  # reads nothing that must be there
    'bert-train config': (['print', '--experiment=bert/squad'], 'a filter',
                          ['print', '--experiment=bert/sentence_prediction_text', '--init=pre', '--train=nowhere']),
    'bert-train sweep': (jobs.args('sentence', 'out', more=['--seeds=2', '--dry_run']), 'a result',
                         jobs.args('sentence', 'out', 'task.train_data.vocab_file=nowhere', more=['--seeds=2'])),
    'bert-train report': (['pre'], 'nothing', ['nowhere']),
}
GONE = {'a result': 4, 'a filter': -signal.SIGPIPE, 'nothing': 0}  # exit status when the reader went away


def command_of(name):
    program, *word = name.split()
    return [e2e.program(program)] + word


def by_program(test):
    def every(self):
        for name in PROGRAMS:
            with self.subTest(program=name):
                test(self, name)
    every.__name__ = test.__name__
    every.__doc__ = test.__doc__
    return every


def no_files():
    """SIGXFSZ, unless it is held."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


class Programs(stops.Case):
    def setUp(self):
        super().setUp()
        self.trained('pre')
        os.environ['BERT_TRAIN_PJRT_DIR'] = self.folder  # plug-ins of the machine are not what is tested
        self.addCleanup(os.environ.pop, 'BERT_TRAIN_PJRT_DIR')
        self.write('lines.txt', b'ban fan\n')
        os.makedirs(self.path('sst'))
        for part in ('train', 'dev'):
            shutil.copy(self.path(part + '.tsv'), self.path('sst', part + '.tsv'))

    def ends(self, name, args, code=0, **how):
        """The program with these arguments, and its exit status (negative: killed by a signal)."""
        program, *word = name.split()
        result = e2e.run(word + args, name=program, cwd=self.folder, may_die=code < 0, **how)
        self.assertEqual(result.code, code, '%s %s: %s' % (name, args, result))
        return result

    def ends_with(self, name, args, stdout=None, stderr=None, before=None):
        """... with descriptors of the test's; signals have their default effect, as in a shell."""
        done = subprocess.run(command_of(name) + args, cwd=self.folder, stdin=subprocess.DEVNULL, check=False,
                              stdout=stdout or subprocess.DEVNULL, stderr=stderr or subprocess.PIPE,
                              timeout=e2e.TIMEOUT, preexec_fn=before, restore_signals=True)
        return done.returncode, (done.stderr or b'').decode()

    def held(self, name, before=None):
        """The program, waiting for a reader that does not read."""
        _source, sink = self.pipe()
        os.set_blocking(sink, False)
        while not stops.is_full(sink):
            os.write(sink, bytes(4096))
        os.set_blocking(sink, True)
        program = stops.Program(self, command_of(name) + ['--help'], stdout=sink, before=before)
        program.until(lambda: 'poll' in stops.waits_in(program.child.pid))
        return program

    def test_all_are_here(self):
        """A new program takes a row above, and so does a new command."""
        with open(os.path.join(e2e.SOURCE, 'programs/CMakeLists.txt'), encoding='utf-8') as rows:
            found = re.findall(r'add_subdirectory\((\w+)\)', rows.read())
        told = self.ends('bert-train', ['--help']).stdout.partition('\nCommands (')[2].splitlines()[1:]
        commands = ['bert-train ' + line.split()[0] for line in told]
        self.assertEqual(sorted([name.replace('_', '-') for name in found] + commands), sorted(PROGRAMS))

    def test_commands(self):
        """A word in the first place is one of a program's own; elsewhere it is what it was."""
        known = self.ends('bert-train', ['help', 'config']).stdout
        self.assertEqual(known, self.ends('bert-train', ['config', '--help']).stdout)
        self.assertIn("bert-train: error: unknown command 'confg'; did you mean config?",
                      self.ends('bert-train', ['confg', '--dry_run'], 2).stderr)
        self.assertIn("unknown command 'none of ours': expected one of config, ",
                      self.ends('bert-train', ['none of ours'], 2).stderr)
        self.assertIn("unknown command 'confg'", self.ends('bert-train', ['help', 'confg'], 2).stderr)
        later = self.ends('bert-train', PROGRAMS['bert-train'][0] + ['confg']).stderr
        self.assertIn("argument 'confg' is ignored: it is not a flag", later)
        self.assertIn('is a command: it comes first',
                      self.ends('bert-train', PROGRAMS['bert-train'][0] + ['config'], 2).stderr)

    # flags

    @by_program
    def test_help(self, name):
        want = self.ends(name, ['--help']).stdout
        for spelling in ('-h', '-help', '--helpshort', 'help'):
            self.assertEqual(self.ends(name, [spelling]).stdout, want, spelling)
        for flag in ('--verbosity, -v', '--log_format', '--flagfile=FILE', '--undefok=NAME', ' --version, -V'):
            self.assertIn(flag, want)
        self.assertNotIn('--log_dir', want)
        self.assertTrue(set(want.splitlines()) < set(self.ends(name, ['--helpfull']).stdout.splitlines()))
        self.assertIn('--log_dir', self.ends(name, ['--helpfull']).stdout)

    @by_program
    def test_version(self, name):
        lines = self.ends(name, ['--version']).stdout.splitlines()
        self.assertRegex(lines[0], r'^%s \d+\.\d+\.\d+$' % name)
        self.assertRegex(lines[1], r'^compiler: (gcc|\S*[Cc]lang) \S*\d')
        self.assertIn('remote files: ', '\n'.join(lines))
        self.assertEqual(self.ends(name, ['-V', '--none']).stdout.splitlines(), lines)

    @by_program
    def test_flags_of_every_program(self, name):
        work, _, missing = PROGRAMS[name]
        self.write('flags', b'# as absl has it\n--logtostderr\n--showprefixforinfo=false\n')
        self.ends(name, ['--flagfile=flags', '--undefok=none', '--none', '-v=-1', '--alsologtostderr'] + work)
        told = self.ends(name, ['--log_dir=a', '--log_dir=b'] + work).stderr
        self.assertIn('%s: warning: flag --log_dir is given twice with different values' % name, told)
        if missing is None:
            return  # nothing that can be missing
        quiet = self.ends(name, ['--verbosity=-2'] + missing, 3).stderr
        self.assertRegex(quiet, r'\A%s: error: .*\n\Z' % name)
        record = json.loads(self.ends(name, ['--log_format=json', '--verbosity=-2'] + missing, 3).stderr)
        self.assertEqual((record['level'], record['program']), ('error', name))

    @by_program
    def test_exit_statuses(self, name):
        work, _, missing = PROGRAMS[name]
        error = self.ends(name, ['--verbosty=1'] + work, 2).stderr
        self.assertIn("%s: error: unknown command line flag 'verbosty'; did you mean --verbosity?" % name, error)
        self.ends(name, ['--verbosity=x'] + work, 2)
        self.ends(name, ['--flagfile=nowhere'] + work, 3)
        if missing is not None:
            self.ends(name, [], 2)
            self.ends(name, missing, 3)
        self.ends(name, work)

    # descriptors

    @by_program
    def test_closed_descriptors(self, name):
        def close(which):
            return lambda: [os.close(fd) for fd in range(3) if which >> fd & 1]
        for which in range(8):
            result = self.ends(name, ['--help'], before=close(which))
            self.assertEqual(result.stdout != '', which & 2 == 0)
            self.ends(name, ['--none'], 2, before=close(which))

    @by_program
    def test_readers_that_are_gone(self, name):
        def gone():
            source, sink = os.pipe()
            os.close(source)
            self.addCleanup(os.close, sink)
            return sink
        work, kind, _ = PROGRAMS[name]
        for words in ('--help', '--helpfull', '--version'):
            self.assertEqual(self.ends_with(name, [words], stdout=gone()), (0, ''), words)
        code, told = self.ends_with(name, work, stdout=gone())
        self.assertEqual(code, GONE[kind], told)
        self.assertEqual('cannot write to standard output: Broken pipe' in told, kind == 'a result', told)
        self.assertEqual(self.ends_with(name, ['--none'], stderr=gone())[0], 2)
        self.assertEqual(self.ends_with(name, work, stderr=gone())[0], 0)

    @by_program
    def test_no_room(self, name):
        work, kind, _ = PROGRAMS[name]
        with open('/dev/full', 'wb') as full, open(self.path('file'), 'wb') as file:
            for args in (['--help'], ['--version']) + ((work,) if kind != 'nothing' else ()):
                code, told = self.ends_with(name, args, stdout=full)
                self.assertEqual((code, told.splitlines()[-1]), (
                    4, name + ': error: cannot write to standard output: No space left on device'))
                code, told = self.ends_with(name, args, stdout=file, before=no_files)
                self.assertEqual((code, told.splitlines()[-1]), (
                    4, name + ': error: cannot write to standard output: File too large'))

    # signals

    @by_program
    def test_signals(self, name):
        """A line at once, then 128 + N."""
        for number in stops.ALL:
            self.held(name).stop(number, None)

    @by_program
    def test_what_is_ignored_stays_ignored(self, name):
        def nohup():
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        program = self.held(name, nohup)
        program.child.send_signal(signal.SIGHUP)
        program.stop('SIGTERM', None)


if __name__ == '__main__':
    e2e.main()
