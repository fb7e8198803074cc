# SPDX-License-Identifier: Apache-2.0
"""A job of each task under valgrind: no byte read before it was written, none outside its block, no
block left behind; of the tools as well. AVX2, because valgrind knows no AVX-512."""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import faults  # noqa: E402
import jobs  # noqa: E402
from jobs import e2e  # noqa: E402

FOUND = 99
VALGRIND = ['valgrind', '--quiet', '--leak-check=full', '--show-leak-kinds=definite,possible',
            '--errors-for-leak-kinds=definite', '--error-exitcode=%d' % FOUND,
            '--undef-value-errors=yes']
SHORT = ('trainer.train_steps=12,trainer.checkpoint_interval=5,trainer.validation_interval=6,'
         'trainer.steps_per_loop=3,trainer.summary_interval=3')


class Valgrind(faults.FaultCase):
    def watched(self, name, args, stdin=b''):
        done = subprocess.run(VALGRIND + [e2e.program(name)] + args, cwd=self.folder,
                              input=stdin, capture_output=True, timeout=600, check=False)
        said = done.stderr.decode('utf-8', 'replace')
        self.assertEqual(done.returncode, 0, said[-6000:])
        self.assertNotIn('== Invalid', said)
        self.assertNotIn('uninitialised', said)

    def isa(self):
        return '--isa=' + ('avx2' if 'avx2' in e2e.instruction_sets() else 'ref')

    def train(self, task, override='', **how):
        self.watched('bert-train', jobs.args(task, faults.VICTIM, SHORT + override,
                                             more=[self.isa()], **how))

    def check(self, task, override=''):
        self.train(task, override)
        self.train(task, override.replace('train_steps=12', 'train_steps=15'))  # continued
        if task != 'pairs':
            self.train(task, override, mode='predict')

    def test_sentence(self):
        self.check('sentence', ',trainer.optimizer_config.ema.average_decay=0.9')

    def test_squad(self):
        self.check('squad')

    def test_tagging(self):
        self.check('tagging', ',trainer.gradient_accumulation_steps=2')

    def test_pairs(self):
        self.check('pairs')

    def test_tools(self):
        os.makedirs(self.path('glue'))
        for name in ('train.tsv', 'dev.tsv'):
            shutil.copy(self.path(name), self.path('glue', name))
        self.watched('create-finetuning-data', [
            '--fine_tuning_task_type=classification', '--classification_task_name=SST-2',
            '--input_data_dir=glue', '--vocab_file=vocab.txt', '--max_seq_length=16',
            '--train_data_output_path=train.rec', '--eval_data_output_path=eval.rec',
            '--meta_data_file_path=meta'])
        self.watched('bert-tokenize', ['--vocab_file=vocab.txt'], b'ban ben, bin\n\xff\n')
        self.assertEqual(self.run_job('sentence', 'straight', SHORT).code, 0)
        latest = 'straight/' + e2e.read_state_file(self.path('straight'))[0]
        for words in (['list', latest], ['verify', latest],
                      ['convert', latest, 'weights.safetensors']):
            self.watched('bert-checkpoint', words)


if __name__ == '__main__':
    if e2e.SANITIZED or shutil.which('valgrind') is None:
        print('SKIPPED: valgrind is not installed, or the build has sanitizers of its own')
        sys.exit(77)
    e2e.main()
