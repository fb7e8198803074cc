# SPDX-License-Identifier: Apache-2.0
"""Memory of an evaluation does not grow with the number of examples (beyond what metrics need), nor
does that of training; and the time from start to the first step is recorded (bench/ measures it)."""
import os
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


@unittest.skipIf(e2e.SANITIZED, 'a sanitizer keeps freed memory: nothing could be learned here')
class Memory(e2e.Case):
    def peak(self, mode, override=''):
        result = self.train(mode=mode, model_dir='out-%s' % time.monotonic_ns(), override=override,
                            run_how={'watch_memory': True})
        self.assertGreater(result.peak_bytes, MIB)
        return result.peak_bytes

    def grows(self, mode, override='', n_classes=3):
        some = e2e.make_rows(FEW, n_classes=n_classes)
        for name in ('train', 'eval'):
            e2e.write_records(self.path(name + '.tf_record'), some)
        few = min(self.peak(mode, override) for _ in range(2))
        with open(self.path('eval.tf_record'), 'rb') as source:
            block = source.read()
        for name in ('train', 'eval'):
            with open(self.path(name + '.tf_record'), 'wb') as out:
                out.write(block * (MANY // FEW))
        many = min(self.peak(mode, override) for _ in range(2))
        print('%s: peak %.1f MiB with %d rows, %.1f MiB with %d' %
              (mode, few / MIB, FEW, many / MIB, MANY))
        return many - few

    def test_evaluation(self):
        self.assertLess(self.grows('eval'), ROOM)

    def test_evaluation_with_a_correlation(self):
        override = ('task.model.num_classes=1,task.metric_type=pearson_spearman_corr,'
                    'task.train_data.label_type=float,task.validation_data.label_type=float,'
                    'trainer.best_checkpoint_eval_metric=pearson_spearman_corr')
        self.assertLess(self.grows('eval', override, n_classes=1), ROOM + MANY * 32)

    def test_training(self):
        self.assertLess(self.grows('train', 'trainer.train_steps=200'), ROOM)


class Start(e2e.Case):
    def test_time_to_the_first_step(self):
        """Only a bound against something quite wrong: seconds of another machine say little."""
        times = []
        for i in range(3):
            start = time.monotonic()
            self.train(mode='train', model_dir='out-%d' % i,
                       override='trainer.train_steps=1,trainer.steps_per_loop=1,'
                                'trainer.summary_interval=1')
            times.append(time.monotonic() - start)
        print('start to end of the first step: %.3f s' % min(times))
        self.assertLess(min(times), 10 if e2e.SANITIZED else 3)


if __name__ == '__main__':
    e2e.main()
