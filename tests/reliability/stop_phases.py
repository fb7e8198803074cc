# SPDX-License-Identifier: Apache-2.0
"""Program x phase x signal: each program is asked to stop in each of its phases. A line at once; then
saved and 75, or 128 + N where nothing was to be saved, with nothing left behind, within a second (a step
and the save where there is something to save); and a second signal ends it at once. No phase depends
on how fast the machine is: a slow disk, a server that stalls, a pipe that nobody fills or empties holds
the program there.

The short form draws one signal for each phase in turn, and more where a program has fewer phases than
there are signals; BT_LONG_TESTS=1 tries all of them, and each as the second one; BT_PHASES=WORDS those
whose name holds the words."""
import hashlib
import os
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, 'support'))
import stops  # noqa: E402
from jobs import e2e  # noqa: E402
sys.path.append(os.path.join(HERE, '../remote/support'))
import raw_server  # noqa: E402
import remote_case  # noqa: E402
from store_server import Fault  # noqa: E402

REPEAT = 'asked again, for'
PHASES = {}  # name: (function, program, facts)


def phase(program='bert-train', **facts):
    """facts: saved: 75 is due, else 128 + N; within: seconds; hard: no signal ends the call in which the
    phase is held, so that only a second one can; remote: needs libcurl."""
    def add(function):
        PHASES[function.__name__.replace('_', ' ')] = (
            function, program, dict({'saved': False, 'within': 1.0, 'hard': False, 'remote': False,
                               'records': False},
                                    **facts))
        return function
    return add


# bert-train: nothing to save

@phase(hard=True)
def scanning_a_table(case):
    big = case.repeat('train.tsv', 3000, 1)
    return case.train(override='task.train_data.input_path=' + big, env=case.slow(big))


@phase(hard=True)
def scanning_lines(case):
    big = [case.repeat(name, 3000) for name in ('left.txt', 'right.txt')]
    return case.train('pairs', 'task.train_data.input_path=%s,task.train_data.right_input_path=%s' %
                      tuple(big), env=case.slow('big-'))


@phase(hard=True)
def indexing_records(case):
    big = case.repeat('train.tf_record', 200, whole=True)
    return case.train('tagging', 'task.train_data.input_path=' + big, env=case.slow(big))


@phase(hard=True)
def counting_class_weights(case):
    return case.train(override='task.class_weights=balanced', env=case.slow('train.tsv', 'pread'))


@phase(hard=True, within=4.0)
def reading_the_vocabulary(case):
    case.write('vocab.txt', b''.join(b'x%d\n' % i for i in range(300000)), 'ab')
    return case.train(env=case.slow('vocab.txt', ms=3000, skip=1))


@phase(hard=True)
def reading_questions(case):
    return case.train('squad', env=case.slow('train.json'))


@phase()
def reading_its_configuration_from_a_pipe(case):
    source, _sink = case.pipe()
    program = case.train(more=['--config_file=/dev/stdin'], stdin=source)
    return program, lambda: 'poll' in stops.waits_in(program.child.pid)


@phase(hard=True)
def loading_weights(case):
    case.trained('pre')
    return case.train(override='task.init_checkpoint=pre/ckpt-5',
                      env=case.slow('.data-', 'pread', ms=300))


@phase(hard=True)
def a_dry_run(case):
    big = case.repeat('train.tsv', 3000, 1)
    return case.train(override='task.train_data.input_path=' + big, more=['--dry_run'],
                      env=case.slow(big))


@phase(hard=True)
def restoring_a_checkpoint(case):
    case.trained('made/out')
    return case.train(env=case.slow('.data-', 'pread', ms=300))


@phase(hard=True)
def restoring_for_an_evaluation(case):
    case.trained('made/out')
    return case.train(mode='eval', env=case.slow('.data-', 'pread', ms=300))


@phase(hard=True)
def an_evaluation_of_rows_on_a_slow_disk(case):
    case.trained('made/out')
    return case.train(mode='eval', env=case.slow('dev.tsv', 'pread', skip=5))


@phase()
def an_evaluation_of_many_rows(case):
    """Weights from elsewhere: before the first record nothing is there."""
    case.trained('pre')
    big = case.repeat('dev.tsv', 20000, 1)
    return case.train(mode='eval', override='task.init_checkpoint=pre/ckpt-5,task.init_head=true,'
                      'task.validation_data.input_path=' + big), lambda: os.path.exists(
                          case.path('made/out/.bert-train-eval.lock'))


@phase()
def intervals_of_an_evaluation(case):
    """Far more samples than can be computed meanwhile, of a few rows, which are evaluated at once."""
    case.trained('pre')
    return case.train(mode='eval', override='task.init_checkpoint=pre/ckpt-5,task.init_head=true,'
                      'task.bootstrap_samples=20000000'), lambda: (
                          os.path.exists(case.path('made/out/.bert-train-eval.lock')) and
                          time.time() - os.stat(case.path('made/out/.bert-train-eval.lock')).st_mtime > 1)


@phase(hard=True)
def a_prediction_onto_a_slow_disk(case):
    case.trained('made/out')
    big = case.repeat('dev.tsv', 2000, 1)
    return case.train(mode='predict', override='task.validation_data.input_path=' + big,
                      env=case.slow('predictions', 'write'))


@phase()
def a_prediction_into_a_pipe_that_nobody_reads(case):
    case.trained('made/out')
    big = case.repeat('dev.tsv', 2000, 1)
    _source, sink = case.pipe()
    program = case.train(mode='predict', override='task.validation_data.input_path=' + big,
                         more=['--output_path=/dev/stdout'], stdout=sink)
    return program, lambda: stops.is_full(sink)


@phase(records=True)
def waiting_for_a_checkpoint(case):
    case.trained('made/out')
    return case.train(mode='continuous_eval'), 'waiting for a new checkpoint'


@phase(hard=True)
def a_benchmark(case):
    return case.train(mode='train', more=['--benchmark'], env=case.slow('train.tsv', 'pread', ms=200))


# bert-train: saved

@phase(saved=True, within=3.0)
def training(case):
    return case.train(override=stops.FOR_EVER), 'saved checkpoint'


@phase(saved=True, within=3.0, hard=True)
def training_on_rows_from_a_slow_disk(case):
    """Each row comes after 100 ms: after some steps that were quick the next one takes a second."""
    return case.train(override='trainer.checkpoint_interval=1000,trainer.steps_per_loop=1',
                      env=case.slow('train.tsv', 'pread', skip=100))


@phase(saved=True, within=3.0)
def an_evaluation_of_a_training(case):
    big = case.repeat('dev.tsv', 20000, 1)
    program = case.train(override='trainer.validation_interval=10,'
                         'task.validation_data.input_path=' + big)
    return program, 'saved checkpoint'


@phase(saved=True, within=6.0, hard=True)
def saving(case):
    return case.train(override=stops.FOR_EVER.replace('interval=1000000', 'interval=50'),
                      env=case.slow('ckpt-', 'fsync', ms=300))


@phase(saved=True, within=6.0, hard=True)
def saving_the_best(case):
    return case.train(env=case.slow('best_ckpt/', 'fsync', ms=300))


@phase(saved=True, within=3.0, seeds=True)
def seeds(case):
    override = stops.FOR_EVER.replace('train_steps=10000000', 'train_steps=60')
    return case.train(override=override, more=['--seeds=1..400']), 'seed 3: '


@phase(saved=True, within=6.0, remote=True)
def saving_to_a_store_that_stalls(case):
    case.store()
    case.env.update(BERT_TRAIN_STALL_SECONDS='1')
    program = case.train(override=stops.FOR_EVER, model_dir='gs://bucket/out', env=case.env)
    program.says('saved checkpoint')
    case.server.store.faults.append(Fault('stall', when='upload', times=1))
    return program, lambda: True


@phase(remote=True)
def a_download_of_data(case):
    case.store()
    case.stall('alt=media')
    return case.train(override='task.train_data.input_path=gs://bucket/train.tsv',
                      env=case.env), case.asked('alt=media')


@phase(remote=True)
def a_listing_of_a_model_dir(case):
    case.store()
    case.stall('prefix')
    return case.train(model_dir='gs://bucket/out', env=case.env), case.asked('prefix')


@phase(remote=True)
def a_download_from_s3(case):
    raw = raw_server.Raw(case, raw_server.stall)
    case.store()
    case.env.update(AWS_ENDPOINT_URL='http://127.0.0.1:%d' % raw.port, AWS_ACCESS_KEY_ID='AKID',
                    AWS_SECRET_ACCESS_KEY='S3CRET', AWS_REGION='eu-central-1')
    return case.train(override='task.train_data.input_path=s3://bucket/train.tsv',
                      env=case.env), lambda: raw.n > 0


@phase(remote=True)
def a_handshake(case):
    raw = raw_server.Raw(case, raw_server.stall)
    case.store()
    return case.train(override='task.init_checkpoint=https://127.0.0.1:%d/x.safetensors' % raw.port,
                      env=case.env), lambda: raw.n > 0


@phase(remote=True)
def a_hub_that_stalls(case):
    raw = raw_server.Raw(case, raw_server.stall)
    case.store()
    case.env.update(HF_ENDPOINT='http://127.0.0.1:%d' % raw.port, HF_HOME=case.path('hf'))
    return case.train(override='task.train_data.vocab_file=hf://owner/name/vocab.txt',
                      env=case.env), lambda: raw.n > 0


@phase(remote=True)
def waiting_to_repeat_a_request(case):
    case.gone()
    return case.train(override='task.train_data.input_path=gs://bucket/train.tsv',
                      env=case.env), REPEAT


@phase(remote=True)
def waiting_for_the_lock_of_a_module(case):
    handle = 'https://127.0.0.1:1/module/1'
    case.store()
    os.makedirs(case.path('cache'), 0o700)
    name = hashlib.sha1(handle.encode()).hexdigest() + '.lock'
    case.write('cache/' + name, b'somewhere.4711.%032x' % 5)
    case.env.update(TFHUB_CACHE_DIR=case.path('cache'))
    return case.train(override='task.hub_module_url=' + handle,
                      env=case.env), 'another process is fetching it'


@phase(remote=True)
def an_upload_of_predictions(case):
    case.trained('made/out')
    case.store()
    case.stall('upload')
    return case.train(mode='predict', more=['--output_path=gs://bucket/p.tsv'],
                      env=case.env), case.asked('upload')


@phase('create-finetuning-data', hard=True)
def reading_rows(case):
    return case.data_tool(env=case.slow('dev.tsv', ms=300))


@phase('create-finetuning-data', hard=True)
def tokenizing_rows(case):
    return case.data_tool(env=case.slow('train.tsv', ms=100, skip=3))


@phase('create-finetuning-data', hard=True)
def writing_records(case):
    return case.data_tool(env=case.slow('made/data', 'write'))


@phase('create-finetuning-data', hard=True)
def syncing_records(case):
    return case.data_tool(env=case.slow('made/data', 'fsync'), n_rows=50)


@phase('create-finetuning-data', hard=True)
def reading_articles(case):
    return case.squad_tool('train.json', env=case.slow('train.json'))


@phase('create-finetuning-data')
def reading_articles_from_a_pipe(case):
    source, _sink = case.pipe()
    program = case.squad_tool('/dev/stdin', stdin=source)
    return program, lambda: 'poll' in stops.waits_in(program.child.pid)


@phase('create-finetuning-data', remote=True)
def a_download_of_rows(case):
    case.store()
    case.stall('alt=media')
    return case.squad_tool('gs://bucket/train.json', env=case.env), case.asked('alt=media')


@phase('create-finetuning-data', remote=True)
def repeating_a_request_for_rows(case):
    case.gone()
    return case.squad_tool('gs://bucket/train.json', env=case.env), REPEAT


@phase('create-finetuning-data', remote=True, within=3.0)
def an_upload_of_records(case):
    case.store()
    case.stall('upload')
    return case.data_tool(out='gs://bucket/made', n_rows=50, env=case.env), case.asked('upload')


@phase('bert-tokenize')
def waiting_for_lines(case):
    source, _sink = case.pipe()
    program = case.tool(['bert-tokenize', '--vocab_file=vocab.txt'], stdin=source)
    return program, lambda: 'poll' in stops.waits_in(program.child.pid)


@phase('bert-tokenize')
def waiting_for_its_reader(case):
    _source, sink = case.pipe()
    big = case.repeat('train.tsv', 300)
    return case.tool(['bert-tokenize', '--vocab_file=vocab.txt', big],
                     stdout=sink), lambda: stops.is_full(sink)


@phase('bert-tokenize', hard=True)
def reading_lines(case):
    big = case.repeat('train.tsv', 3000)
    return case.tool(['bert-tokenize', '--vocab_file=vocab.txt', big], env=case.slow(big))


@phase('bert-tokenize', hard=True, within=4.0)
def reading_its_vocabulary(case):
    case.write('vocab.txt', b''.join(b'x%d\n' % i for i in range(300000)), 'ab')
    return case.tool(['bert-tokenize', '--vocab_file=vocab.txt', 'train.tsv'],
                     env=case.slow('vocab.txt', ms=3000, skip=1))


@phase('bert-tokenize', remote=True)
def a_download_of_its_vocabulary(case):
    case.store()
    case.stall('alt=media')
    return case.tool(['bert-tokenize', '--vocab_file=gs://bucket/vocab.txt', 'train.tsv'],
                     env=case.env), case.asked('alt=media')


@phase('bert-tokenize', remote=True)
def repeating_a_request_for_its_vocabulary(case):
    case.gone()
    return case.tool(['bert-tokenize', '--vocab_file=gs://bucket/vocab.txt', 'train.tsv'],
                     env=case.env), REPEAT


def checkpoint(case, words, **how):
    case.trained('pre')
    return case.tool(['bert-checkpoint'] + words.split(), **how)


@phase('bert-checkpoint', hard=True)
def verifying(case):
    return checkpoint(case, 'verify pre/ckpt-5', env=case.slow('.data-', 'pread', ms=300))


@phase('bert-checkpoint', hard=True)
def converting(case):
    return checkpoint(case, 'convert pre/ckpt-5 y', env=case.slow('.data-', 'pread', ms=300))


@phase('bert-checkpoint', hard=True)
def writing_what_was_converted(case):
    return checkpoint(case, 'convert pre/ckpt-5 y.safetensors', env=case.slow('y.saf', 'write', ms=300))


@phase('bert-checkpoint', hard=True)
def comparing(case):
    return checkpoint(case, 'diff pre/ckpt-5 pre/ckpt-5', env=case.slow('.data-', 'pread', ms=300))


@phase('bert-checkpoint', hard=True)
def reading_an_index(case):
    return checkpoint(case, 'list pre/ckpt-5', env=case.slow('.index', ms=300))


@phase('bert-checkpoint', remote=True)
def a_download_of_a_checkpoint(case):
    case.trained('pre')
    case.store('pre')
    case.stall('data-.*alt=media')
    return case.tool(['bert-checkpoint', 'verify', 'gs://bucket/pre/ckpt-5'],
                     env=case.env), case.asked('data-.*alt=media')


@phase('bert-checkpoint', remote=True)
def repeating_a_request_for_a_checkpoint(case):
    case.gone()
    return case.tool(['bert-checkpoint', 'verify', 'gs://bucket/pre/ckpt-5'], env=case.env), REPEAT


def plan(phases, is_long):
    """[(phase, first, second or None)]: each signal once at least with each program."""
    out = []
    turn = {}
    signals = stops.ALL
    for name in phases:
        program = PHASES[name][1]
        turn.setdefault(program, 0)
        at = turn[program]
        pairs = [(signals[i], signals[(i + 1) % len(signals)]) for i in range(len(signals))] \
            if is_long else [(signals[at % 7], signals[(at + 3) % 7])]
        for first, second in pairs:
            out += [(name, first, None), (name, first, second)] if is_long else [(name, first, None)]
        if not is_long and at % 3 == 0:  # a second signal in each third phase
            out.append((name, pairs[0][0], pairs[0][1]))
        turn[program] += 1
    for program in turn:  # those for which there was no phase
        own = [name for name in phases if PHASES[name][1] == program]
        done = {first for name, first, _ in out if name in own}
        rest = [s for s in signals if s not in done]
        out += [(own[i % len(own)], s, None) for i, s in enumerate(rest)] if not is_long else []
    return out


class Phases(stops.Case):
    def check(self, name, first, second):
        function, _program, facts = PHASES[name]
        self.second = second
        started = function(self)
        program, there = started if isinstance(started, tuple) else (started, self.marked)
        if isinstance(there, str):
            program.says(there)
        else:
            program.until(there)
        if second is not None:
            self.ends_at_once(program, first, second, facts)
            return
        program.stop(first, 75 if facts['saved'] else None, facts['within'])
        if facts['saved']:
            self.is_saved(program, facts)
        elif facts['records']:  # of an evaluation that was over before
            self.assertEqual([n for n in self.names() if '.tmp' in n or n.endswith('.lock')], [])
        else:
            self.assertEqual(self.names(), self.before)

    def ends_at_once(self, program, first, second, facts):
        program.child.send_signal(getattr(signal, first))
        program.until(lambda: stops.AGAIN in program.stderr() or program.child.poll() is not None)
        time.sleep(0.05)  # two of one kind within 20 ms are one
        number = getattr(signal, second)
        sent = time.monotonic()
        program.child.send_signal(number)
        code = program.ended(60)
        # where no call holds it the first one may have been quicker
        own = (75 if facts['saved'] else 128 + getattr(signal, first),)
        ends = (128 + number,) if second in ('SIGXCPU', 'SIGXFSZ') else (-number,)
        self.assertIn(code, ends if facts['hard'] else ends + own, program.stderr())
        self.assertLess(time.monotonic() - sent, 2 * stops.SLOW)

    def is_saved(self, program, facts):
        text = program.stderr()
        left = [n for n in self.names() if '.tmp' in n or n.endswith('.lock')]
        self.assertEqual(left, [])
        if facts.get('seeds'):
            self.assertTrue(os.path.exists(self.path('made/out/seeds.json')))
            return
        self.assertRegex(text, r'stopped by \w+ at step \d+ of .*everything saved in \S+; the same '
                         'command continues')
        if self.server is None:
            self.assertIsNotNone(e2e.read_state_file(self.path('made/out'))[0])

    def test_table(self):
        words = os.environ.get('BT_PHASES', '')
        phases = [n for n in PHASES if words in n and
                  (not PHASES[n][2]['remote'] or remote_case.has_remote())]
        rows = plan(phases, e2e.LONG)
        print('%d phases, %d rows' % (len(phases), len(rows)), flush=True)
        for name, first, second in rows:
            with self.subTest(phase=name, first=first, second=second):
                self.fresh()
                began = time.monotonic()
                try:
                    self.check(name, first, second)
                finally:
                    self.doCleanups()
                print('%-45s %-8s %-8s %.1f s' % (name, first, second or '',
                                                  time.monotonic() - began), flush=True)


if __name__ == '__main__':
    e2e.main()
