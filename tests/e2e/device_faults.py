# SPDX-License-Identifier: Apache-2.0
"""Plug-ins and devices that fail, through the whole program: one sentence, the right exit code, and
nothing lost that was saved. The CPU plug-in, with a fault (tests/support/faulty_plugin.c)."""
import os
import re
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402
import plugins  # noqa: E402

RESOURCE_EXHAUSTED = '8'
# all rows have as many tokens: one shape, so one program
EQUAL = 'task.train_data.seq_length=6'


def built(name):
    return os.path.join(e2e.BUILD, 'tests', 'support', name)


class DeviceFaults(e2e.Case):
    @classmethod
    def setUpClass(cls):
        cls.cache = tempfile.mkdtemp(prefix='bt-e2e-')  # programs, for all tests
        cls.addClassCleanup(shutil.rmtree, cls.cache, ignore_errors=True)

    def setUp(self):
        super().setUp()
        if plugins.fetched('cpu') is None or not os.path.exists(built('bt_faulty_plugin.so')):
            self.skipTest('SKIPPED: no CPU plug-in, or a build without (tools/get_pjrt.sh cpu)')
        e2e.write_records(self.path('train.tf_record'), e2e.make_rows(64, seq_length=6))

    def on_device(self, path=None, override='', env=None, mode='train', **how):
        """env: the fault."""
        path = built('bt_faulty_plugin.so') if path is None else path
        override = ','.join(x for x in ('runtime.pjrt_plugin=' + path, EQUAL, override) if x)
        env = dict(env or {}, XLA_FLAGS=plugins.QUICK, BERT_TRAIN_PJRT_DIR=self.cache,
                   BT_FAULTY_PLUGIN=plugins.fetched('cpu'))
        return self.train(mode=mode, override=override, run_how={'env': env, 'timeout': 280},
                          **how)

    def test_what_is_no_plugin(self):
        self.write('text.so', 'no library\n' * 99)
        self.write('empty.so', '')
        with open(built('bt_no_plugin.so'), 'rb') as source:
            self.write('half.so', source.read(4096))
        for path, env, words in (
                (self.path('nowhere.so'), {}, ('nowhere.so', 'there is no plug-in')),
                (self.folder, {}, (self.folder,)),
                (self.path('text.so'), {}, ('text.so: not a plug-in', 'invalid ELF header')),
                (self.path('empty.so'), {}, ('empty.so: not a plug-in', 'too short')),
                (self.path('half.so'), {}, ('half.so: not a plug-in', 'has 4096 bytes of the')),
                (built('bt_no_plugin.so'), {}, ('bt_no_plugin.so', 'without the function GetPjrtApi')),
                (None, {'BT_FAULTY_MAJOR': '1'}, ('interface 1.', 'calls 0.x', 'another version')),
                (None, {'BT_FAULTY_TABLE': '400'}, ('400 bytes', 'a newer plug-in')),
        ):
            error = self.one_error(self.on_device(path, env=env, expect=5))
            for word in words:
                self.assertIn(word, error)
            self.assertFalse(os.path.exists(self.path('out')))
        # the same where a strategy looks for it
        result = self.train(mode='train', override='runtime.num_gpus=1', expect=5, run_how={
            'env': {'PJRT_NAMES_AND_LIBRARY_PATHS': 'cuda:' + built('bt_no_plugin.so')}})
        self.assertIn('runtime.num_gpus: 1 (strategy one_device): ' + built('bt_no_plugin.so'),
                      self.one_error(result))

    def test_what_a_gpu_does_not_promise(self):
        for platform, is_told in (('cuda', True), ('tpu', False)):
            result = self.on_device(env={'BT_FAULTY_PLATFORM': platform}, more=['--dry_run'],
                                    expect=None)
            self.assertEqual('the last bits may differ from run to run' in result.stderr, is_told)
        error = self.one_error(self.on_device(
            env={'BT_FAULTY_PLATFORM': 'cuda'}, override='runtime.deterministic=true', expect=2))
        self.assertIn('runtime.deterministic: true: a GPU adds up', error)

    def test_a_device_is_lost(self):
        """Exit 5; what was saved is whole, and from there the run ends with the same bytes."""
        self.on_device(model_dir='whole')
        for model_dir, fault, code, words in (
                ('lost', {}, 5, 'the same command goes on from step 5'),
                ('full', {'BT_FAULTY_CODE': RESOURCE_EXHAUSTED}, 4, 'global_batch_size')):
            fault = dict(fault, BT_FAULTY_RUN='13')
            error = self.one_error(self.on_device(model_dir=model_dir, env=fault, expect=code))
            step = int(re.search(r'stopped after step (\d+):', error).group(1))
            self.assertTrue(5 <= step <= 12, error)  # some are sent ahead of what they gave
            for word in (words, 'bt_faulty_plugin.so', 'the device fell off the bus'):
                self.assertIn(word, error)
            self.assertFalse(os.path.exists(self.path(model_dir, 'ckpt-15.index')))
            self.same_values(self.path(model_dir, 'ckpt-5'), self.path('whole', 'ckpt-5'))
            self.on_device(model_dir=model_dir)
            self.same_values(self.path(model_dir, 'ckpt-20'), self.path('whole', 'ckpt-20'))

    def test_too_little_memory(self):
        """Said before the first step, with a batch that fits; the estimate alone refuses nothing."""
        quick = ('task.model.encoder.bert.dropout_rate=0,task.model.encoder.bert.num_layers=1,'
                 'task.model.encoder.bert.attention_dropout_rate=0,trainer.train_steps=1,')
        little = {'BT_FAULTY_MEMORY': '700000'}
        batch = quick + 'task.train_data.global_batch_size='
        for more in ([], ['--dry_run']):
            error = self.one_error(self.on_device(override=batch + '32', env=little, expect=4,
                                                  more=more))
            self.assertFalse(os.path.exists(self.path('out')))
        self.assertIn('a step with 32 sequences of 6 tokens takes', error)
        self.assertIn('of the 683.6 KiB', error)
        fits = re.search(r'global_batch_size=(\d+) is the largest found to fit', error).group(1)
        self.assertTrue(1 < int(fits) < 32, error)
        result = self.on_device(override=batch + fits, env=little)
        self.assertIn('as it was compiled', result.stderr)
        self.assertIn('step 1', result.stdout)
        error = self.one_error(self.on_device(override=batch + '32', env={'BT_FAULTY_MEMORY': '9999'},
                                              model_dir='other', expect=4))
        self.assertIn('not even one such sequence fits', error)

    def test_too_little_memory_for_an_evaluation(self):
        e2e.write_records(self.path('eval.tf_record'), e2e.make_rows(8, seq_length=6))
        some = ('task.model.encoder.bert.num_layers=1,task.train_data.global_batch_size=1,'
                'trainer.train_steps=0,task.validation_data.seq_length=6,'
                'task.validation_data.global_batch_size=')
        little = {'BT_FAULTY_MEMORY': '1200000'}
        error = self.one_error(self.on_device(override=some + '1024', env=little, expect=4,
                                              mode='train_and_eval'))
        self.assertIn('an evaluation with 1024 sequences of 6 tokens takes', error)
        self.assertFalse(os.path.exists(self.path('out')))
        fits = re.search(r'validation_data.global_batch_size=(\d+) is the largest', error).group(1)
        self.on_device(override=some + fits, env=little, mode='train_and_eval',
                       more=['--dry_run'])

    def test_the_processor_goes_on(self):
        """Nothing was saved by the first run: the same command begins again. The second loses the
        device after a checkpoint, and the processor takes over."""
        error = self.one_error(self.on_device(env={'BT_FAULTY_RUN': '1'}, expect=5))
        self.assertIn('after step 0: the same command begins again', error)
        self.assertEqual([x for x in os.listdir(self.path('out')) if x.startswith('ckpt')], [])
        self.on_device(env={'BT_FAULTY_RUN': '7'}, expect=5)
        result = self.train(mode='train', override=EQUAL)
        self.assertIn('ckpt-5', result.stderr)
        self.assertTrue(os.path.exists(self.path('out', 'ckpt-20.index')))


if __name__ == '__main__':
    e2e.main()
