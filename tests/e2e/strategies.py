# SPDX-License-Identifier: Apache-2.0
"""runtime.distribution_strategy and the keys beside it: which devices they take, what is said where
there are none, and what is refused. No accelerator is needed: the CPU plug-in stands in for one."""
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402
import plugins  # noqa: E402

STRATEGY = 'runtime.distribution_strategy='
# programs that are soon compiled: one shape, no masks
QUICK = ('task.train_data.seq_length=6,task.model.encoder.bert.dropout_rate=0,'
         'task.model.encoder.bert.attention_dropout_rate=0,')

# override, --tpu, words of the one sentence
REFUSED = (
    (STRATEGY + 'parameter_server', '',
     'off|one_device|mirrored|multi_worker_mirrored|tpu, got the text \'parameter_server\''),
    (STRATEGY + 'central_storage', '', 'tpu, got the text \'central_storage\''),
    (STRATEGY + 'everywhere', '', 'tpu, got the text \'everywhere\''),
    (STRATEGY + 'off', '', 'put it in quotes'),
    (STRATEGY + 'multi_worker_mirrored,runtime.num_gpus=1', '', 'takes processors only'),
    (STRATEGY + 'one_device,runtime.num_gpus=2', '', "'one_device' takes one GPU at most"),
    (STRATEGY + "'Off',runtime.num_gpus=2", '', "'off' takes one GPU at most"),
    (STRATEGY + 'mirrored,runtime.num_gpus=-1', '', 'runtime.num_gpus'),
    (STRATEGY + 'mirrored', 'local', "the strategy 'mirrored' takes no TPU"),
    (STRATEGY + 'one_device,runtime.num_gpus=1', 'local', "the strategy 'one_device' takes no TPU"),
    (STRATEGY + 'tpu', 'grpc://10.0.0.2:8470', 'TPUs of another machine'),
    (STRATEGY + 'mirrored,runtime.all_reduce_alg=ring', '', 'nccl or hierarchical_copy'),
    (STRATEGY + "mirrored,runtime.all_reduce_alg=''", '', 'nccl or hierarchical_copy'),
    ('runtime.worker_hosts=10.0.0.2:5000', '', 'set TF_CONFIG on each, or start with mpirun'),
    ("runtime.worker_hosts='a:1,b:1',runtime.task_index=0", '', 'runtime.worker_hosts'),
    ('runtime.task_index=1', '', 'runtime.task_index: 1'),
    ('runtime.num_gpus=1,runtime.deterministic=true', '', 'runtime.deterministic: true: a GPU'),
    ('runtime.attention=triton', '', "runtime.attention: 'triton'"),
    ('runtime.attention=xla', '', 'this run is on processors'),
    ('runtime.attention=flash', '', 'auto|xla|triton|cudnn'),
)


class Strategies(e2e.Case):
    def refused(self, override, code, tpu='', env=None, **how):
        result = self.train(mode='train', override=override, expect=code,
                            more=['--tpu=' + tpu] if tpu else [], run_how={'env': env}, **how)
        self.assertFalse(os.path.exists(self.path('out')), override)
        return self.one_error(result)

    def test_what_does_not_go_together(self):
        for override, tpu, words in REFUSED:
            self.assertIn(words, self.refused(override, 2, tpu), override)

    def test_without_a_device_it_is_the_processor(self):
        """The same bytes by each of the names, and what has no effect is told."""
        self.train(mode='train', model_dir='one', override=STRATEGY + 'one_device')
        for name, override in (('off', "'off'"), ('mirrored', 'mirrored'),
                               ('nccl', 'Mirrored,runtime.all_reduce_alg=nccl')):
            result = self.train(mode='train', model_dir=name, override=STRATEGY + override)
            self.same_values(self.path('one', 'ckpt-20'), self.path(name, 'ckpt-20'))
            self.assertEqual('all_reduce_alg' in result.stderr, name == 'nccl', result)

    def test_no_plugin(self):
        """What is looked for, where, and what to type."""
        if 'plug-ins: PJRT' not in e2e.run(['--version']).stdout:
            self.skipTest('SKIPPED: a build without plug-ins')
        nowhere = plugins.none_here(self.path('home'))
        for override, words, fetch in (
                (STRATEGY + 'mirrored,runtime.num_gpus=2',
                 'runtime.num_gpus: 2 (strategy mirrored): no PJRT plug-in for cuda', 'cuda13'),
                (STRATEGY + "'off',runtime.num_gpus=1", 'strategy off', 'cuda13'),
                (STRATEGY + 'tpu', STRATEGY[:-1] + ': tpu: no PJRT plug-in for tpu', 'tpu')):
            for more in ([], ['--dry_run']):
                result = self.train(mode='train', override=override, expect=5, more=more,
                                    run_how={'env': nowhere})
                error = self.one_error(result)
                self.assertIn(words, error)
                self.assertIn(self.path('home') + '/.cache/bert-train/pjrt', error)
                self.assertIn('tools/get_pjrt.sh ' + fetch, error)
                self.assertFalse(os.path.exists(self.path('out')))
        gone = dict(nowhere, PJRT_NAMES_AND_LIBRARY_PATHS='cuda:/nowhere/x.so')
        self.assertIn('/nowhere/x.so', self.refused('runtime.num_gpus=1', 5, env=gone))

    def no_device(self, kind, override, words):
        if plugins.fetched(kind) is None:
            self.skipTest('SKIPPED: no such plug-in (tools/get_pjrt.sh)')
        began = time.monotonic()
        error = self.refused(override, 5)
        seconds = time.monotonic() - began
        for word in words + (plugins.fetched(kind),):
            self.assertIn(word, error)
        print('%s: no device, said after %.2f s' % (kind, seconds))
        self.assertLess(seconds, 24)  # a metadata server that is not there takes longer

    @unittest.skipIf(os.path.exists('/dev/nvidiactl'), 'SKIPPED: there is a GPU')
    def test_no_gpu(self):
        self.no_device('cuda', 'runtime.num_gpus=1', ('runtime.num_gpus: 1', 'nvidia-smi'))

    @unittest.skipIf(os.path.exists('/dev/accel0'), 'SKIPPED: there is a TPU')
    def test_no_tpu(self):
        self.no_device('tpu', STRATEGY + 'tpu', ('/dev/accel', STRATEGY[:-1] + ': tpu'))

    def test_strategies_find_plugins(self):
        """The CPU plug-in, with its four devices, under other names."""
        if plugins.fetched('cpu') is None or 'plug-ins: PJRT' not in e2e.run(['--version']).stdout:
            self.skipTest('SKIPPED: no CPU plug-in, or a build without (tools/get_pjrt.sh cpu)')
        path = plugins.fetched('cpu')
        e2e.write_records(self.path('train.tf_record'), e2e.make_rows(64, seq_length=6))
        env = {'XLA_FLAGS': plugins.QUICK, 'BERT_TRAIN_PJRT_DIR': self.path('cache'),
               'PJRT_NAMES_AND_LIBRARY_PATHS': 'cuda:%s,tpu:%s' % (path, path)}
        for override, tpu, words in (
                (STRATEGY + 'mirrored,runtime.num_gpus=2', '', 'strategy mirrored: 2 of 4'),
                (STRATEGY + 'tpu', 'my-tpu', 'strategy tpu: 4 of 4')):
            result = self.train(mode='train', override='trainer.train_steps=1,' + QUICK + override,
                                model_dir=words[9:13], more=['--tpu=' + tpu] if tpu else [],
                                run_how={'env': env, 'timeout': 280})
            self.assertIn(words, result.stderr)
            self.assertEqual('whatever their name' in result.stderr, tpu != '')
        override = STRATEGY + 'mirrored,runtime.num_gpus=5'
        self.assertIn('has 4 (cpu): set it to at most',
                      self.refused(QUICK + override, 5, env=env), override)


if __name__ == '__main__':
    e2e.main()
