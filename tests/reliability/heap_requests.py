# SPDX-License-Identifier: Apache-2.0
"""Memory is refused below every library: the k-th request of a whole run (malloc and its kin, of
libc, of libyaml, jansson, PCRE2, zlib, libarchive ..., and memory mapped without a file), once or
from then on. The run then either ends as an undisturbed one in everything, or with one sentence and
exit code 4, leaves no temporary files, and the same command ends afterwards as an undisturbed one.
Never another decision, never a crash, never a hang.

A sample of the places in the code that ask for memory, or with BT_HEAP_PLACES=1 each of them once,
or with BT_LONG_TESTS=1 every request. Names of scenarios on the command line choose some."""
import os
import random
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import compare  # noqa: E402
import faults  # noqa: E402
import jobs  # noqa: E402
from jobs import e2e  # noqa: E402

LIBRARY = os.path.join(e2e.BUILD, 'tests/reliability/libheap_faults.so')
VICTIM = faults.VICTIM
N_SAMPLE = int(os.environ.get('BT_SAMPLE', '6'))
EVERY_PLACE = os.environ.get('BT_HEAP_PLACES', '') not in ('', '0')
SHORT = ('trainer.train_steps=6,trainer.steps_per_loop=2,trainer.summary_interval=2,'
         'trainer.checkpoint_interval=3,trainer.validation_interval=3,trainer.max_to_keep=1,'
         'trainer.checkpoint_retry=0')


def job(task, mode='train_and_eval', override=SHORT, more=()):
    return 'bert-train', jobs.args(task, VICTIM, override, mode, more)


def short_job(task, train, override, *more):
    """A short command, whose --train alone decides and holds out."""
    words = ','.join('task.%s_data.%s' % (section, key) for section in ('train', 'validation')
                     for key in ('vocab_file=vocab.txt', *override))
    return 'bert-train', ['--experiment=' + jobs.EXPERIMENTS[task], '--mode=train_and_eval',
                          '--model_dir=' + VICTIM, '--config_file=model.yaml', '--train=' + train,
                          '--params_override=%s,%s' % (SHORT, words), *more]


def data_tool(*args):
    return 'create-finetuning-data', ['--vocab_file=vocab.txt', '--max_seq_length=16', *args]


def glue(**kinds):
    return ['--%s_data_output_path=%s/%s.rec' % (k, VICTIM, k) for k in ('train', 'eval')] + \
        ['--meta_data_file_path=%s/meta' % VICTIM] + ['--%s=%s' % i for i in kinds.items()]


# name: (program, arguments); all that a run writes lies in VICTIM
SCENARIOS = {
    'sentence': job('sentence'),
    'records': job('sentence', more=['--config_file=records.yaml']),
    'squad': job('squad'),
    'tagging': job('tagging'),
    'pairs': job('pairs'),
    'short': short_job('sentence', 'train.tsv', ['seq_length=16']),
    'short tagging': short_job('tagging', 'conll/train.txt', ['seq_length=16']),
    'short squad': short_job('squad', 'train.json', ['seq_length=32', 'query_length=8']),
    'short pairs': short_job('pairs', 'train.tsv', ['seq_length=16'], '--text=sentence,label',
                         '--config_file=task: {model: {max_sequence_length: 16}}'),
    'seeds': job('sentence', override=SHORT + ',trainer.train_steps=2', more=['--seeds=1,2']),
    'dry run': job('squad', more=['--dry_run']),
    'predict': ('bert-train', jobs.args('sentence', 'trained', '', 'predict', [
        '--output_path=%s/p.tsv' % VICTIM])),
    'sst-2': data_tool('--input_data_dir=glue', *glue(
        fine_tuning_task_type='classification', classification_task_name='SST-2')),
    'conll': data_tool('--input_data_dir=conll', *glue(
        fine_tuning_task_type='tagging', tagging_task_name='conll')),
    'squad data': data_tool('--squad_data_file=train.json', '--fine_tuning_task_type=squad',
                            '--train_data_output_path=%s/train.rec' % VICTIM,
                            '--meta_data_file_path=%s/meta' % VICTIM),
    'tokenize': ('bert-tokenize', ['--vocab_file=vocab.txt', '--ids', 'words.txt']),
    'list': ('bert-checkpoint', ['list', 'trained']),
    'convert': ('bert-checkpoint', ['convert', 'trained', VICTIM + '/model.safetensors']),
    'verify': ('bert-checkpoint', ['verify', 'trained']),
    'diff': ('bert-checkpoint', ['diff', 'trained', 'trained']),
}


def lay_out(folder):
    """All inputs, and a run that was trained."""
    jobs.make(folder)
    rng = random.Random(3)
    for name, n in (('train_rows', 40), ('dev_rows', 20)):
        e2e.write_records(os.path.join(folder, name + '.tf_record'), [
            e2e.make_row(rng, vocab=200, n_classes=2) for _ in range(n)])
    jobs.write(folder, 'records.yaml', 'task:\n  train_data: {input_path: train_rows.tf_record, '
               'text_fields: null, vocab_file: ""}\n  validation_data: {input_path: '
               'dev_rows.tf_record, text_fields: null, vocab_file: ""}\n')
    os.makedirs(os.path.join(folder, 'glue'))
    for name in ('train.tsv', 'dev.tsv'):
        shutil.copy(os.path.join(folder, name), os.path.join(folder, 'glue', name))
    os.makedirs(os.path.join(folder, 'conll'))
    for name, n in (('train.txt', 30), ('dev.txt', 10)):
        jobs.write(folder, 'conll/' + name, ''.join(
            ''.join('%s\t%s\n' % rng.choice((('ban', 'O'), ('den', 'B-X'), ('kir', 'I-X')))
                    for _ in range(rng.randint(2, 6))) + '\n' for _ in range(n)))
    jobs.write(folder, 'words.txt', ''.join('Ban d\u00e9n %d kirs\n' % i for i in range(20)))
    e2e.run(jobs.args('sentence', 'trained', SHORT, 'train'), cwd=folder)


class HeapCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix='bt-heap-')
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        lay_out(cls.folder)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def clear(self):
        for name in ('heap.log', 'heap.trace'):
            if os.path.exists(self.path(name)):
                os.remove(self.path(name))
        shutil.rmtree(self.path(VICTIM), ignore_errors=True)
        if self.program != 'bert-train' or self.mode_is('predict'):
            os.makedirs(self.path(VICTIM))

    def mode_is(self, mode):
        return '--mode=' + mode in self.args

    def start(self, at=0, onward=False, trace=False, preload=True):
        env = {'LD_PRELOAD': LIBRARY, 'BT_HEAP_LOG': self.path('heap.log'), 'BT_HEAP_AT': str(at),
               'BT_HEAP_ONWARD': '1' if onward else '0'} if preload else {}
        if trace:
            env['BT_HEAP_TRACE'] = self.path('heap.trace')
        return e2e.run(self.args, name=self.program, cwd=self.folder, env=env, may_die=True,
                       timeout=60)

    def requests(self):
        """Numbers to refuse: one a place, or all. Also how many places there are."""
        with open(self.path('heap.trace'), encoding='utf-8') as source:
            lines = [line.split()[1:] for line in source]
        places = {}
        for number, *where in lines:
            places.setdefault(tuple(where), int(number))
        if e2e.LONG:
            return list(range(1, len(lines) + 1)), len(places)
        chosen = sorted(places.values())
        if not EVERY_PLACE:
            chosen = chosen[::max(1, len(chosen) // N_SAMPLE)]
        return chosen, len(places)

    def differences(self, result):
        """Against the undisturbed run."""
        out = []
        if self.program == 'bert-train' and '--dry_run' not in self.args and not self.seeds() and \
                not self.mode_is('predict'):
            out += compare.differences(self.path('straight'), self.path(VICTIM))
        elif self.seeds():
            for seed in sorted(os.listdir(self.path('straight'))):
                if os.path.isdir(self.path('straight', seed)):
                    out += compare.differences(self.path('straight', seed), self.path(VICTIM, seed))
        else:
            want, got = e2e.read_tree(self.path('straight')), e2e.read_tree(self.path(VICTIM))
            out += ['%s differs' % n for n in sorted(set(want) | set(got))
                    if want.get(n) != got.get(n)]
            if result is not None and self.program != 'bert-train' and \
                    result.stdout != self.straight.stdout:
                out.append('standard output differs')
        return out

    def seeds(self):
        return any(a.startswith('--seeds') for a in self.args)

    def litter(self):
        return [n for n in e2e.read_tree(self.path(VICTIM)) if '.tmp' in n or 'partial' in n] \
            if os.path.isdir(self.path(VICTIM)) else []

    def judge(self, result):
        if result.code == 0:
            return ['exit 0: ' + d for d in self.differences(result)]
        errors = result.errors(self.program)
        out = []
        if result.code != 4:
            out.append('exit code %d' % result.code)
        if len(errors) != 1:
            out.append('%d lines that say an error' % len(errors))
        if self.litter():
            out.append('left behind: %s' % self.litter())
        if out:
            out.append(str(result)[-600:])
        self.n_refusals += 1
        if os.path.isdir(self.path(VICTIM)) and os.listdir(self.path(VICTIM)):
            again = self.start(preload=False)
            out += ['afterwards exit code %d: %s' % (again.code, again)] if again.code else [
                'afterwards: ' + d for d in self.differences(None)]
        return out

    def check(self, name):
        self.program, self.args = SCENARIOS[name]
        self.n_refusals = n = 0
        self.clear()
        self.straight = self.start(trace=True)
        self.assertEqual(self.straight.code, 0, self.straight)
        shutil.rmtree(self.path('straight'), ignore_errors=True)
        if os.path.isdir(self.path(VICTIM)):
            os.rename(self.path(VICTIM), self.path('straight'))
        else:
            os.makedirs(self.path('straight'))
        numbers, n_places = self.requests()
        bad = []
        for onward in (False, True):
            for k in numbers:
                self.clear()
                n += 1
                try:
                    found = self.judge(self.start(k, onward))
                except AssertionError as problem:  # a hang
                    found = [str(problem)[:400]]
                if found:
                    with open(self.path('heap.log'), encoding='utf-8') as log:
                        where = [line for line in log if line.startswith('refused')]
                    bad.append('request %d%s: %s\n    %s' % (
                        k, ' and all later' if onward else '', '; '.join(found), ''.join(where)))
                    if os.environ.get('BT_HEAP_SHOW'):
                        print('BAD', bad[-1], flush=True)
        print('%s: %d places, %d refusals tried, %d of them stopped the run, %d wrong' % (
            name, n_places, n, self.n_refusals, len(bad)), flush=True)
        self.assertEqual(bad, [], '\n'.join(bad[:10]))


def add_test(name):
    def test(self):
        self.check(name)
    setattr(HeapCase, 'test_' + name.replace(' ', '_').replace('-', '_'), test)


for scenario in SCENARIOS:
    add_test(scenario)

if __name__ == '__main__':
    if not os.path.exists(LIBRARY) or e2e.SANITIZED:
        print('SKIPPED: %s' % ('sanitizers have a heap of their own' if e2e.SANITIZED
                               else 'there is no ' + LIBRARY))
        sys.exit(77)
    e2e.main()
