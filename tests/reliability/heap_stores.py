# SPDX-License-Identifier: Apache-2.0
"""As heap_requests.py, for runs that use a store: memory is refused at the k-th request of the whole
program, below libcurl, OpenSSL, expat, jansson and libarchive. The run then does what an undisturbed
one does, or ends with one sentence and exit code 4; and the store, which writes down what it is
asked, never sees a request that the undisturbed run does not make (a GET in place of a DELETE, one
without its condition, a form in place of the bytes).

A sample of the places in the code that ask for memory; BT_HEAP_PLACES=1: each of them once;
BT_LONG_TESTS=1: every request."""
import os
import re
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '../remote/support'))
import remote_case  # noqa: E402
from remote_case import e2e  # noqa: E402

LIBRARY = os.path.join(e2e.BUILD, 'tests/reliability/libheap_faults.so')
N_SAMPLE = int(os.environ.get('BT_SAMPLE', '6'))
EVERY_PLACE = os.environ.get('BT_HEAP_PLACES', '') not in ('', '0')
SHORT = 'trainer.train_steps=2,trainer.checkpoint_interval=1,trainer.max_to_keep=1,' \
        'trainer.checkpoint_retry=0,trainer.validation_interval=2,trainer.steps_per_loop=1'
VOCAB = b'[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\n##s\n'


def kind_of(line):
    """A request without what differs between two equal runs."""
    line = re.sub(r'tfevents[^&]*?v2', 'tfevents', line)
    return re.sub(r'(upload_id|uploadId|generation|ifGenerationMatch|partNumber)=[^&]*', r'\1=', line)


class StoreCase(remote_case.RemoteCase):
    def setUp(self):
        super().setUp()
        self.env.update(AWS_ENDPOINT_URL=self.server.url, AWS_ACCESS_KEY_ID='AKID',
                        AWS_SECRET_ACCESS_KEY='S3CRET', AWS_REGION='eu-central-1')
        self.store.s3_keys = {'AKID': ('S3CRET', None)}
        self.store.put('bucket', 'vocab.txt', VOCAB)
        original = self.server.RequestHandlerClass.handle_any
        self.asked = asked = []

        def note(handler):
            asked.append((kind_of('%s %s' % (handler.command, handler.path)),
                          handler.headers.get('Content-Type'),
                          'ifGenerationMatch' in handler.path,
                          bool(handler.headers.get('If-Match') or
                               handler.headers.get('If-None-Match')),
                          bool(handler.headers.get('Authorization'))))
            return original(handler)

        names = ('do_GET', 'do_HEAD', 'do_POST', 'do_PUT', 'do_DELETE')
        for name in names:
            setattr(self.server.RequestHandlerClass, name, note)
        self.addCleanup(lambda: [setattr(self.server.RequestHandlerClass, n, original)
                                 for n in names])

    def start(self, at=0, onward=False, trace=False):
        with self.store.lock:
            self.store.buckets = {b: dict(o) for b, o in self.before.items()}
            self.store.uploads.clear()
        del self.asked[:]
        for name in ('heap.log', 'heap.trace'):
            if os.path.exists(self.path(name)):
                os.remove(self.path(name))
        env = dict(self.env, LD_PRELOAD=LIBRARY, BT_HEAP_LOG=self.path('heap.log'),
                   BT_HEAP_AT=str(at), BT_HEAP_ONWARD='1' if onward else '0')
        if trace:
            env['BT_HEAP_TRACE'] = self.path('heap.trace')
        return e2e.run(self.command, name=self.program, cwd=self.folder, env=env, may_die=True,
                       timeout=60, stdin=b'hellos\n')

    def numbers(self):
        places = {}
        with open(self.path('heap.trace'), encoding='utf-8') as source:
            lines = [line.split()[1:] for line in source]
        if e2e.LONG:
            return list(range(1, len(lines) + 1))
        for number, *where in lines:
            places.setdefault(tuple(where), int(number))
        chosen = sorted(places.values())
        return chosen if EVERY_PLACE else chosen[::max(1, len(chosen) // N_SAMPLE)]

    def objects(self):
        """Names: a checkpoint's bytes hold times (what it trains: heap_requests.py)."""
        return [name for name in self.store.names()
                if 'events.out' not in name and '.lock' not in name]

    def is_refused_in(self, library):
        with open(self.path('heap.log'), encoding='utf-8') as log:
            return any(line.startswith('refused') and line.split()[2].startswith(library)
                       for line in log)

    def judge(self, result):
        out = []
        # a save that fails takes back what it wrote
        may_undo = result.code == 4
        strange = {a for a in self.asked if a not in self.known and 'upload' not in a[0] and
                   not (may_undo and re.match('DELETE .*ckpt-', a[0]))}
        if strange:
            out.append('asked for: %s' % sorted(map(str, strange))[:3])
        if result.code == 0:
            if result.stdout != self.straight.stdout:
                out.append('exit 0: standard output differs')
            if self.objects() != self.want:
                out.append('exit 0: other objects')
        elif result.code == -11 and self.is_refused_in('libcrypto'):
            self.n_crashed += 1  # OpenSSL 3.0's own beginning does not bear it: loud, nothing sent
        elif result.code != 4 or len(result.errors(self.program)) != 1:
            out.append('exit code %d, %d errors' % (result.code,
                                                    len(result.errors(self.program))))
        else:
            self.n_refusals += 1
        return out + ([str(result)[-500:]] if out else [])

    def check(self, program, args):
        self.program, self.command, self.before = program, args, self.store.snapshot()
        self.n_refusals, self.n_crashed, bad, n = 0, 0, [], 0
        self.known = set()
        self.straight = self.start(trace=True)
        self.assertEqual(self.straight.code, 0, self.straight)
        self.known, self.want = set(self.asked), self.objects()
        numbers = self.numbers()
        for onward in (False, True):
            for k in numbers:
                n += 1
                found = self.judge(self.start(k, onward))
                if found:
                    with open(self.path('heap.log'), encoding='utf-8') as log:
                        where = [line for line in log if line.startswith('refused')]
                    bad.append('request %d%s: %s\n    %s' % (
                        k, ' and all later' if onward else '', '; '.join(found), ''.join(where)))
                    if os.environ.get('BT_HEAP_SHOW'):
                        print('BAD', bad[-1], flush=True)
        print('%s: %d refusals tried, %d of them stopped the run, %d crashed OpenSSL, %d wrong' % (
            self.id().split('.')[-1], n, self.n_refusals, self.n_crashed, len(bad)), flush=True)
        self.assertEqual(bad, [], '\n'.join(bad[:10]))

    def test_reading_s3(self):
        self.check('bert-tokenize', ['--vocab_file=s3://bucket/vocab.txt'])

    def test_reading_gs(self):
        self.check('bert-tokenize', ['--vocab_file=gs://bucket/vocab.txt'])

    def test_a_job_on_gs(self):
        self.job('gs')

    def test_a_job_on_s3(self):
        self.job('s3')

    def job(self, scheme):
        """Lists, reads, writes under conditions, removes."""
        paths = ('task.train_data.input_path=%s://bucket/data/train*,'
                 'task.validation_data.input_path=%s://bucket/data/eval.tf_record,' % (scheme, scheme))
        self.check('bert-train', self.args_of(model_dir=scheme + '://bucket/out',
                                              override=paths + SHORT))

    def args_of(self, **how):
        return e2e.Case.args(self, **how)


if __name__ == '__main__':
    if not os.path.exists(LIBRARY) or e2e.SANITIZED:
        print('SKIPPED: %s' % ('sanitizers have a heap of their own' if e2e.SANITIZED
                               else 'there is no ' + LIBRARY))
        sys.exit(77)
    remote_case.main()
