# SPDX-License-Identifier: Apache-2.0
"""Memory of an evaluation does not grow with the number of examples (beyond what metrics need), nor
does that of training; and the time from start to the first step is recorded (bench/ measures it)."""
import os
import resource
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402

FEW, MANY = 200, 8000
MIB = 1 << 20
# 8,000 rows are 2 MB of records; what may grow is their index (8 bytes each) and, for a
# correlation, the predictions (a few bytes each)
ROOM = MIB
# evaluations keep a window of the rows: 32,768 tokens for each thread, which the few rows fill
ONE_THREAD = 'runtime.threads=1'
WINDOWS = {'few_rows': 8000, 'many_rows': 24000}
# 19 million parameters with 60,000 words
MODEL = ('task.model.encoder.bert.vocab_size=%d,task.model.encoder.bert.hidden_size=256,'
         'task.model.encoder.bert.num_attention_heads=4,'
         'task.model.encoder.bert.intermediate_size=1024,'
         'task.model.encoder.bert.num_layers=4,trainer.train_steps=1,runtime.threads=1,'
         'task.train_data.global_batch_size=%d%s')


@unittest.skipIf(e2e.SANITIZED, 'a sanitizer keeps freed memory: nothing could be learned here')
class Memory(e2e.Case):
    def peak(self, mode, override=''):
        result = self.train(mode=mode, model_dir='out-%s' % time.monotonic_ns(), override=override,
                            run_how={'watch_memory': True})
        self.assertGreater(result.peak_bytes, MIB)
        return result.peak_bytes

    def grows(self, mode, override='', n_classes=3, few_rows=FEW, many_rows=MANY):
        some = e2e.make_rows(FEW, n_classes=n_classes)
        e2e.write_records(self.path('eval.tf_record'), some)
        with open(self.path('eval.tf_record'), 'rb') as source:
            block = source.read()

        def repeat(n_rows):
            for name in ('train', 'eval'):
                with open(self.path(name + '.tf_record'), 'wb') as out:
                    out.write(block * (n_rows // FEW))
        repeat(few_rows)
        few = min(self.peak(mode, override) for _ in range(2))
        repeat(many_rows)
        many = min(self.peak(mode, override) for _ in range(2))
        print('%s: peak %.1f MiB with %d rows, %.1f MiB with %d' %
              (mode, few / MIB, few_rows, many / MIB, many_rows))
        return many - few

    def test_evaluation(self):
        self.assertLess(self.grows('eval', ONE_THREAD, **WINDOWS), ROOM)

    def test_evaluation_with_a_correlation(self):
        override = ('task.model.num_classes=1,task.metric_type=pearson_spearman_corr,'
                    'task.train_data.label_type=float,task.validation_data.label_type=float,'
                    'trainer.best_checkpoint_eval_metric=pearson_spearman_corr')
        grown = self.grows('eval', ONE_THREAD + ',' + override, n_classes=1, **WINDOWS)
        self.assertLess(grown, ROOM + WINDOWS['many_rows'] * 32)

    def test_training(self):
        self.assertLess(self.grows('train', 'trainer.train_steps=200'), ROOM)

    def check_without_room_for_the_best(self, model):
        """An evaluation by itself tells and records its values, if its best checkpoint finds no
        room."""
        limit = {'before': lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100 * MIB, 100 * MIB))}
        told = self.train(mode='eval', override=model + ',trainer.checkpoint_retry=0', expect=4, run_how=limit)
        self.assertIn('out/best_ckpt/best_ckpt-', self.one_error(told))
        self.assertIn('| cls_accuracy ', told.stderr)
        record = e2e.read_jsonl(self.path('out'))[-1]
        self.assertEqual(record['kind'], 'validation')
        self.assertIn('cls_accuracy', record)

    def test_evaluation_and_prediction_have_no_optimizer(self):
        """The model has 19 million parameters, 73 MiB; gradients and slots would be 220 more."""
        model = MODEL % (60000, 8, '')
        best = ',trainer.best_checkpoint_export_subdir='  # else the first evaluation saves
        train = self.train(mode='train', override=model, run_how={'watch_memory': True})
        self.check_without_room_for_the_best(model)
        evaluation = self.train(mode='eval', override=model + best, run_how={'watch_memory': True})
        predict = self.train(mode='predict', override=model, run_how={'watch_memory': True})
        peaks = [run.peak_bytes / MIB for run in (train, evaluation, predict)]
        print('train, evaluation, prediction: peaks of %.1f, %.1f, %.1f MiB' % tuple(peaks))
        self.assertGreater(peaks[0], 4 * 73)
        self.assertLess(max(peaks[1:]), peaks[0] - 2.5 * 73)

    def least(self, mode, override, tries):
        """Of a few runs, in MiB."""
        return min(self.train(mode=mode, override=override,
                              run_how={'watch_memory': True}).peak_bytes for _ in range(tries)) / MIB

    def check_continuous(self, override):
        """The same of an evaluation that waits for checkpoints, which meanwhile keeps no weights."""
        seen = []

        def look(child):
            seen.extend(e2e.memory_of(child.pid, what) / MIB for what in ('VmHWM', 'VmRSS'))
            child.send_signal(signal.SIGTERM)
        self.train(mode='continuous_eval', override=override, expect=128 + signal.SIGTERM,
                   run_how={'when_said': ('waiting for a new checkpoint', look)})
        peak, rests = seen
        print('continuous_eval: a peak of %.1f MiB, %.1f MiB while it waits' % (peak, rests))
        self.assertLess(peak, 32 + 24)
        self.assertLess(rests, 24)

    def test_weights_are_kept_once(self):
        """Of 32 MiB of floats 30 MiB are weights that products alone read: they are there once, in
        bfloat16 in half of the bytes, also while they are read; in 8 bits, which begin in float32,
        the floats of each go before the next one is rounded; without a comparison they never come.
        Averages are there in place of weights; of what a best checkpoint holds besides, slots and
        averages, one variable at a time is."""
        model = MODEL % (2000, 8, ',task.model.encoder.bert.num_layers=10')
        best = ',trainer.best_checkpoint_export_subdir='
        average = ',trainer.optimizer_config.ema.average_decay=0.5'
        kinds = {'float32': best, 'bfloat16': best + ',runtime.mixed_precision_dtype=bfloat16',
                 'int8': best + ',runtime.precision=int8',
                 'int8 alone': best + ',runtime.precision=int8,runtime.precision_compared=false',
                 'averages': best + average,
                 'not better': ''}
        self.train(mode='train', override=model + average)
        saves = self.least('eval', model, 1)  # the first is the best so far
        self.check_continuous(model + average)
        for mode in ('eval', 'predict'):
            peaks = {name: self.least(mode, model + keys, 2 if name.startswith('float') else 1)
                     for name, keys in kinds.items()}
            print(mode + ': peaks of ' +
                  ', '.join('%.1f MiB (%s)' % (peak, name) for name, peak in peaks.items()))
            self.assertLess(peaks['float32'], 32 + 24)
            self.assertLess(saves, peaks['float32'] + 4)
            self.assertLess(peaks['bfloat16'], peaks['float32'] - 11)
            self.assertLess(peaks['int8 alone'], peaks['float32'] - 18)
            for name in ('int8', 'averages', 'not better'):
                self.assertLess(peaks[name], peaks['float32'] + 4, name)


@unittest.skipIf(e2e.SANITIZED, 'a sanitizer takes more address space than any limit leaves')
class Limit(e2e.Case):
    """A machine with little memory: ulimit -v. MODEL has 19 million parameters, with gradients and
    slots 280 MiB; a batch of 2,000 rows takes more than 900 MiB beside them."""
    def limited(self, expect, n_words=60000, batch=8, more=''):
        size = 1200 * MIB
        return self.train(
            mode='train', override=MODEL % (n_words, batch, more), expect=expect,
            run_how={'before': lambda: resource.setrlimit(resource.RLIMIT_AS, (size, size))})

    def test_plan(self):
        result = self.limited(0)
        self.assertRegex(result.stderr,
                         r'memory: variables 7\d\.\d MiB, gradients 7\d\.\d MiB, slots 14\d\.\d MiB, '
                         r'activations up to \d+\.\d MiB \(8 sequences of 16 tokens\), scratch .*: '
                         r'up to \d+\.\d MiB of [\d.]+ [MG]iB; \d+ such sequences would fit')
        self.assertNotIn('refused', result.stderr)

    def test_variables(self):
        self.assertRegex(self.one_error(self.limited(4, n_words=400000)),
                         r'out of memory: the model has \d+ parameters, which take 1\.\d+ GiB with '
                         r'their gradients')

    def test_batch(self):
        result = self.limited(4, batch=2000)
        self.assertRegex(self.one_error(result),
                         r'out of memory: a step with 2000 sequences of \d+ tokens together needs')
        self.assertRegex(result.stderr, r'warning: 2000 sequences with more than \d+ tokens')
        self.assertFalse(os.path.exists(self.path('out', 'checkpoint')))
        self.limited(0, batch=20, more=',trainer.gradient_accumulation_steps=100')


def processor_seconds():
    """Of the programs that have ended: a busy machine's clock says nothing of them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Start(e2e.Case):
    def test_time_to_the_first_step(self):
        """Only a bound against something quite wrong: seconds of another machine say little."""
        times = []
        for i in range(3):
            start = processor_seconds()
            self.train(mode='train', model_dir='out-%d' % i,
                       override='trainer.train_steps=1,trainer.steps_per_loop=1,'
                                'trainer.summary_interval=1')
            times.append(processor_seconds() - start)
        print('start to end of the first step: %.3f s of the processor' % min(times))
        self.assertLess(min(times), 10 if e2e.SANITIZED else 3)


if __name__ == '__main__':
    e2e.main()
