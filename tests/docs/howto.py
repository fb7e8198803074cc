# SPDX-License-Identifier: Apache-2.0
"""docs/howto.md, command by command, as it stands there and in its order, in a folder where each path that the page
names is there: a tiny model, made-up rows in the forms of MNLI and SQuAD. What is marked as needing an accelerator or
several hosts runs with --dry_run=config; what needs a network is refused by a proxy that is not there."""
import os
import random
import shlex
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import mnli  # noqa: E402
import pages  # noqa: E402
from pages import e2e  # noqa: E402
import weights  # noqa: E402

OUTPUTS = ['records/mnli_test.tf_record', 'records/mnli_meta_data', 'mnli.tsv', 'submission/MNLI-m.tsv',
           'answers/predictions.json', 'runs/squad/predictions.json', 'runs/mnli/report.html', 'compared.html',
           'seeds.html', 'runs/sweep/sweep.md', 'runs/sweep/report.html', 'result.json', 'result.xml', 'summary.md', 'classes.tsv', 'mnli-model/model.safetensors',
           'mnli-onnx/model.onnx']

# Stands for the scheduler: asks as soon as there is something to go on from.
TIMEOUT = '''#!%(python)s
import glob, signal, subprocess, sys, time
child = subprocess.Popen(['nice', '-n', '5'] + sys.argv[3:])
while child.poll() is None and not glob.glob('runs/long/ckpt-*'):
    time.sleep(0.001)
child.send_signal(signal.SIGTERM)
sys.exit(child.wait())
'''
DRY = '''#!/bin/sh
exec %(program)s "$@" --dry_run=config
'''
MPIRUN = '''#!/bin/sh
while [ "$1" != bert-train ]; do shift; done
exec "$@"
'''
GET_PJRT = '''#!/bin/sh
grep -q "^ *$1)" %(source)s/tools/get_pjrt.sh
'''


class Howto(e2e.Case):
    def setUp(self):
        super().setUp()
        data = os.path.join(e2e.SOURCE, 'data')
        os.symlink(data, self.path('data'))
        with open(os.path.join(data, 'dev.tsv'), encoding='utf-8') as source:
            texts = [line.split('\t')[0] for line in source][1:]
        weights.write_folder(self.path('bert-base-uncased'), weights.words_of(
            *[os.path.join(data, name) for name in ('dev.tsv', 'tags_dev.conll', 'questions_dev.json')]),
            max_position_embeddings=512)
        mnli.write_folder(self.path('glue/MNLI'), texts, random.Random(3), 960, 40)
        os.mkdir(self.path('squad'))
        for name in ('train', 'dev'):
            os.symlink(os.path.join(data, 'questions_dev.json'), self.path('squad/%s-v1.1.json' % name))
        self.write('notes.txt', '\n'.join(texts[:5]) + '\n')
        os.makedirs(self.path('build'))
        os.symlink(e2e.BUILD, self.path('build/release'))
        facts = {'python': sys.executable, 'source': shlex.quote(e2e.SOURCE),
                 'program': shlex.quote(e2e.program('bert-train'))}
        for name, text in (('stubs/timeout', TIMEOUT), ('dry/bert-train', DRY), ('dry/mpirun', MPIRUN),
                           ('tools/get_pjrt.sh', GET_PJRT)):
            self.write(name, text % facts)
            os.chmod(self.path(name), 0o755)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), 'w', encoding='utf-8') as out:
            out.write(text)

    def run_block(self, block):
        """Runs a block in a shell that ends at the first command that fails."""
        needs = block.needs()
        programs = e2e.BUILD if needs in (None, 'a network') else self.path('dry') + ':' + e2e.BUILD
        env = dict(os.environ, PATH='%s:%s:%s' % (self.path('stubs'), programs, os.environ['PATH']))
        if needs == 'a network':
            env.update(https_proxy='http://127.0.0.1:9', HTTPS_PROXY='http://127.0.0.1:9', no_proxy='', NO_PROXY='',
                       BERT_TRAIN_RETRY_SECONDS='1', XDG_CACHE_HOME=self.path('cache'), HF_HOME=self.path('cache'))
        return subprocess.run(['bash', '-e', '-u', '-o', 'pipefail', '-c', block.commands], cwd=self.folder, env=env,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
                              errors='replace', timeout=120 * e2e.SLOW, check=False,
                              preexec_fn=lambda: os.sched_setaffinity(0, {max(os.sched_getaffinity(0))}))

    def test_the_page(self):
        blocks = pages.blocks(pages.read('docs', 'howto.md'))
        self.assertGreater(len(blocks), 20)
        self.assertEqual([b.needs() for b in blocks if b.needs()],
                         ['a network', 'a GPU', 'a TPU', 'several hosts'])
        for block in blocks:
            result = self.run_block(block)
            said = '%s\nended with %d\n%s' % (block.commands, result.returncode, result.stdout[-5000:])
            if block.needs() == 'a network':
                self.assertEqual(result.returncode, 4, said)
                self.assertIn('the same command goes on once it answers', result.stdout, said)
                continue
            self.assertEqual(result.returncode, block.code, said)
            self.assertNotIn('warning: unknown', result.stdout, said)
            if block.code > 1:
                self.assertTrue(pages.has_sentence(result.stdout, block.says), said)
        for name in OUTPUTS:
            self.assertTrue(os.path.exists(self.path(name)), name + ' was not written')


if __name__ == '__main__':
    e2e.main()
