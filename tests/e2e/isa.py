# SPDX-License-Identifier: Apache-2.0
"""A run under --isa=ref, the portable kernels, and under every other instruction set of the machine,
with products in BLAS and in kernels of our own: the same training within the bound that
docs/numerics.md states."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402

LOSS, NORM = 1e-6, 1e-5  # relative; docs/numerics.md
EACH_STEP = 'trainer.steps_per_loop=1,trainer.summary_interval=1'


class InstructionSets(e2e.Case):
    def steps(self, name, override='', more=()):
        self.train(mode='train', model_dir=name, override=EACH_STEP + override, more=more)
        rows = [r for r in e2e.read_jsonl(self.path(name)) if r['kind'] == 'train']
        self.assertEqual(len(rows), 20)
        return [(r['training_loss'], r['grad_norm']) for r in rows]

    def test_ref_trains_alike(self):
        ref = self.steps('ref', more=['--isa=ref'])
        self.assertLess(ref[-1][0], ref[0][0])  # it does learn
        runs = {isa: self.steps(isa, more=['--isa=' + isa])
                for isa in e2e.instruction_sets() if isa != 'ref'}
        runs['blas'] = self.steps('blas', ',runtime.matmul=blas')
        for name, rows in runs.items():
            loss = max(abs(a[0] / b[0] - 1) for a, b in zip(rows, ref))
            norm = max(abs(a[1] / b[1] - 1) for a, b in zip(rows, ref))
            print('%s against ref, 20 steps: losses within %.1e, norms within %.1e' %
                  (name, loss, norm))
            self.assertLess(loss, LOSS, name)
            self.assertLess(norm, NORM, name)


if __name__ == '__main__':
    e2e.main()
