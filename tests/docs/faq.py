# SPDX-License-Identifier: Apache-2.0
"""docs/faq.md: each sentence that stands there is one that a program says, with the exit code under which it stands.
Each command below makes a mistake; a command that no sentence of the page is for, and a sentence that no command
says, fail."""
import glob
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import mnli  # noqa: E402
import pages  # noqa: E402
from pages import e2e  # noqa: E402
import weights  # noqa: E402

TRAIN = '--experiment=bert/sentence_prediction --mode=train --model_dir=m '
START = TRAIN + '--init=weights '
RECORDS = '--experiment=bert/sentence_prediction --mode=train --model_dir=m --init=weights --train=%s ' \
          '--params_override=task.model.num_classes=%d,task.train_data.seq_length=%d'
RATE = 'trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate'
# (exit code, arguments of bert-train)
CASES = [
    (2, '--experiment=bert/sentence_predicton --mode=train --model_dir=m'),
    (2, '--experiment=bert/sentence_prediction --mode=train'),
    (2, TRAIN + '--learning_rate=2e-5'),
    (2, START + '--train=few.tsv --params_override=trainer.learning_rate=2e-5'),
    (2, START + '--train=few.tsv --params_override=trainer.train_steps=many'),
    (2, START + '--train=columns.csv'),
    (2, START + '--train=records'),
    (2, TRAIN + '--init=no_vocab --train=few.tsv'),
    (2, '--mode=eval --model_dir=nowhere'),
    (3, START + '--train=trian.tsv'),
    (3, START + '--train=short.csv'),
    (3, START + '--train=latin.csv'),
    (3, START + '--train=one_label.csv'),
    (3, RECORDS % ('cut', 3, 16)),
    (3, RECORDS % ('records', 3, 12)),
    (3, RECORDS % ('records', 2, 16)),
    (3, TRAIN + '--init=google-bert/bert-base-uncased --train=few.tsv'),
    (3, TRAIN + '--init=cut_weights --train=few.tsv'),
    (2, TRAIN + '--init=roberta --train=few.tsv'),
    (4, START + '--train=few.tsv --params_override=task.train_data.global_batch_size=100000000'),
    (4, TRAIN + '--init=hf://a/b --train=few.tsv'),
    (5, START + '--train=few.tsv --params_override=runtime.num_gpus=1'),
    (5, START + '--train=few.tsv --params_override=runtime.pjrt_plugin=/nowhere.so'),
    (6, START + '--train=few.tsv --params_override=%s=1e30' % RATE),
    (6, START.replace('=m ', '=o ').replace('=train ', '=train_and_eval ') + '--train=few.tsv --eval=few.tsv --params_override=%s=3e37,trainer.train_steps=1,trainer.warmup_fraction=0' % RATE),
    (6, START.replace('=m ', '=n ') + '--train=few.tsv --params_override=trainer.loss_upper_bound=0.1'),
    (0, START.replace('=m ', '=done ') + '--train=few.tsv --params_override=task.train_data.epochs=1'),
    (0, '--mode=predict --model_dir=done --predict=few.tsv --output_path=p.tsv'),
    (2, START.replace('=m ', '=done ') + '--train=few.tsv --params_override=trainer.optimizer_config.optimizer.type=sgd'),
    (2, '--mode=export --export_format=hf --model_dir=done --output_path=done'),
    (2, '--mode=eval --model_dir=done --eval=few.tsv --fail_below=accuracy=0.5'),
    (8, '--mode=eval --model_dir=done --eval=few.tsv --fail_below=cls_accuracy=1.5'),
    (3, '--mode=eval --model_dir=done --eval=words.csv'),
    (3, '--mode=eval --model_dir=done --eval=columns.csv'),
    (4, '--mode=predict --model_dir=done --predict=few.tsv --output_path=/dev/full'),
]
OFFLINE = {'https_proxy': 'http://127.0.0.1:9', 'HTTPS_PROXY': 'http://127.0.0.1:9', 'no_proxy': '', 'NO_PROXY': '',
           'BERT_TRAIN_RETRY_SECONDS': '1', 'CUDA_VISIBLE_DEVICES': ''}


def sentences():
    """[(exit code, sentence)] of the page; code None: under a heading without one."""
    found = []
    for section in re.split(r'^## ', pages.read('docs', 'faq.md'), flags=re.M)[1:]:
        code = re.match(r'Exit code (\d+)( \+ N)?:', section)
        for block in pages.blocks(section):
            found.append((int(code.group(1)) if code else None, block.commands.strip()))
    return found


def bug_of_ours():
    """No command has one: as the source says it."""
    with open(os.path.join(e2e.SOURCE, 'src/cli/program_run.c'), encoding='utf-8') as source:
        text, = re.findall(r'"(this is a bug of [^"]*)"', source.read())
    return 'bert-train: error: ' + text % ('src/file.c', 1) + '\n' if text.count('%') == 2 else text


class Faq(e2e.Case):
    def setUp(self):
        super().setUp()
        os.environ.update(OFFLINE, HF_HOME=self.path('cache'), XDG_CACHE_HOME=self.path('cache'))
        words = 'the film was a fine dull'.split()
        weights.write_folder(self.path('weights'), words)
        for name in ('no_vocab', 'cut_weights', 'roberta'):
            weights.write_folder(self.path(name), words)
        os.remove(self.path('no_vocab/vocab.txt'))
        os.truncate(self.path('cut_weights/model.safetensors'), 3000)
        with open(self.path('roberta/config.json'), encoding='utf-8') as source:
            config = json.load(source)
        with open(self.path('roberta/config.json'), 'w', encoding='utf-8') as out:
            json.dump(dict(config, model_type='roberta', architectures=['RobertaModel']), out)
        self.write('few.tsv', 'sentence\tlabel\n' + 'the film was fine\t1\na dull film\t0\n' * 200)
        for name, text in (('columns.csv', 'body,y\na,b\nc,d\n'), ('short.csv', 'sentence,label\na film,1\na fine film,0\na film\n'),
                           ('one_label.csv', 'sentence,label\na,b\nc,b\n'),
                           ('words.csv', 'sentence,label\na,b\nc,d\ne,g\n')):
            self.write(name, text)
        with open(self.path('latin.csv'), 'wb') as out:
            out.write(b'sentence,label\na,b\n\xff,c\n')
        mnli.write_folder(self.path('MNLI'), ['the film', 'a film', 'a dull film'], random.Random(1), 60, 3)
        result = e2e.run(['--input_data_dir=MNLI', '--classification_task_name=MNLI', '--vocab_file=weights/vocab.txt',
                          '--max_seq_length=16', '--train_data_output_path=records', '--meta_data_file_path=meta'],
                         name='create-finetuning-data', cwd=self.folder)
        self.assertEqual(result.code, 0, str(result))
        with open(self.path('records'), 'rb') as source, open(self.path('cut'), 'wb') as out:
            out.write(source.read()[:1000])

    def write(self, name, text):
        with open(self.path(name), 'w', encoding='utf-8') as out:
            out.write(text)

    def damaged(self):
        """A run whose checkpoints are cut off."""
        for path in glob.glob(self.path('done/ckpt-*.data-*')):
            os.truncate(path, 100)
        return e2e.run((START.replace('=m ', '=done ') + '--train=few.tsv').split(), cwd=self.folder)

    def two_trainings(self):
        """What the second training in a folder says, and then, asked to stop, the first one."""
        args = [e2e.program()] + (START.replace('=m ', '=long ') + '--train=few.tsv --params_override='
                                  'trainer.train_steps=1000000,trainer.checkpoint_interval=100').split()
        with open(self.path('first'), 'w+', encoding='utf-8') as said:
            first = subprocess.Popen(args, cwd=self.folder, stderr=said, stdout=said)
            try:
                end = time.monotonic() + e2e.TIMEOUT
                while first.poll() is None and time.monotonic() < end and not glob.glob(self.path('long/ckpt-*')):
                    time.sleep(0.01)
                second = e2e.run(args[1:], cwd=self.folder)
                first.send_signal(signal.SIGTERM)
                code = first.wait(e2e.TIMEOUT)
            finally:
                first.kill()
                first.wait()
            said.seek(0)
            return second, e2e.Result(code, '', said.read(), 0)

    def filter_stopped(self):
        """The filter, asked to stop before a line came."""
        child = subprocess.Popen([e2e.program(), 'predict', '--model_dir=done'], cwd=self.folder, text=True,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        child.stdin.write('the film was fine\n')
        child.stdin.flush()
        child.stdout.readline()  # it answers, so it is waiting for the next line
        child.send_signal(signal.SIGTERM)
        said = child.communicate(timeout=e2e.TIMEOUT)[1]
        return e2e.Result(child.returncode, '', said, 0)

    def everything_said(self):
        """[(exit code, what was said, command)]"""
        said = []
        for code, args in CASES:
            result = e2e.run(args.split(), cwd=self.folder)
            with self.subTest(args):
                self.assertEqual(result.code, code, str(result))
            said.append((code, result.stderr, args))
        for code, result, what in ((143, self.filter_stopped(), 'a filter that is stopped'),
                                   (3, self.damaged(), 'damaged checkpoints'),
                                   *zip((4, 75), self.two_trainings(), ('a second training', 'the first'))):
            self.assertEqual(result.code, code, what + '\n' + str(result))
            said.append((128 if code > 128 else code, result.stderr, what))
        result = e2e.run(['--input_data_dir=glue', '--vocab_file=weights/vocab.txt', '--train_data_output_path=r',
                          '--meta_data_file_path=s'], name='create-finetuning-data', cwd=self.folder)
        said.append((result.code, result.stderr, 'create-finetuning-data'))
        said.append((70, bug_of_ours(), 'a bug'))
        return said

    def test_the_page(self):
        promised = sentences()
        self.assertGreater(len(promised), 35)
        said = self.everything_said()
        used = set()
        for code, sentence in promised:
            by = [what for c, text, what in said if code in (None, c) and pages.has_sentence(text, sentence)]
            with self.subTest(sentence):
                self.assertTrue(by, 'nobody says that with exit code %s:\n%s\n%s' % (
                    code, sentence, '\n'.join(text[-400:] for c, text, what in said if c == code and what not in used)))
            used.update(by)
        self.assertEqual([what for c, _, what in said if c and what not in used], [], 'the page lacks these')


class Codes(unittest.TestCase):
    def test_each_code_has_its_section(self):
        page = pages.read('docs', 'faq.md')
        codes = re.findall(r'^\| (\d+|128 \+ N) \|', pages.read('README.md'), re.M)
        self.assertIn('75', codes)
        for code in codes:
            if code != '0':
                self.assertIn('## Exit code %s: ' % code, page)


if __name__ == '__main__':
    e2e.main()
