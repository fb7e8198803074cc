# SPDX-License-Identifier: Apache-2.0
"""runtime.pin through the program: the bits of a run are those of any other, a process that may use
fewer cores than it has threads says so, and what has no effect is refused or told."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402


class Pinning(e2e.Case):
    def bits(self, model_dir, override):
        result = self.train(model_dir=model_dir, override='trainer.train_steps=3,' + override)
        folder = self.path(model_dir)
        data = [name for name in sorted(os.listdir(folder)) if '.data-' in name][-1]
        with open(os.path.join(folder, data), 'rb') as file:
            return result, file.read()

    def test_bits(self):
        result, plain = self.bits('plain', 'runtime.threads=1')
        self.assertNotIn('pinned', result.stderr)
        result, one = self.bits('cores', 'runtime.threads=1,runtime.pin=cores')
        self.assertIn('1 thread pinned to cores', result.stderr)
        self.assertEqual(one, plain)
        result, nodes = self.bits('nodes', 'runtime.pin=nodes')
        self.assertIn('pinned to nodes', result.stderr)
        self.assertEqual(nodes, plain)
        # an evaluation of it, with all cores there are
        result = self.train(mode='eval', model_dir='plain', override='runtime.pin=cores')
        self.assertIn('pinned to cores', result.stderr)

    def test_too_few_cores(self):
        mine = os.sched_getaffinity(0)
        try:  # what taskset does; the program inherits it
            os.sched_setaffinity(0, {min(mine)})
            keys = 'runtime.threads=2,runtime.pin=cores'
            results = [self.train(expect=2, override=keys + more, more=dry)
                       for more in ('', ',task.train_data.input_path=none') for dry in ((), ('--dry_run',))]
            result = self.train(expect=None, override=keys, more=['--dry_run=config'])
        finally:
            os.sched_setaffinity(0, mine)
        self.assertEqual(result.code, 0)  # what is true on another machine, too
        for result in results:  # before anything is read
            self.assertIn('runtime.pin: cores: 2 threads cannot have a core each, this process may use '
                          '1: set runtime.threads to 1 or fewer', self.one_error(result))

    def test_an_instruction_set_that_is_not_here(self):
        """Is refused before what is missing in the configuration, but where that alone is asked for."""
        other = next(isa for isa in ('neon', 'avx2') if isa not in e2e.instruction_sets())
        args = ['--experiment=bert/sentence_prediction', '--mode=train', '--model_dir=' + self.path('no'), '--isa=' + other]
        for dry, code in (([], 5), (['--dry_run'], 5), (['--dry_run=config'], 0)):
            result = e2e.run(args + dry)
            self.assertEqual(result.code, code, str(result))
            if code != 0:
                self.assertIn("instruction set '%s' was asked for, but this" % other, self.one_error(result))

    def test_an_export_computes_nothing(self):
        """In float32: a run of a large machine is exported on a small one, whose processor is another."""
        self.train(mode='train', override='trainer.train_steps=1,trainer.report=false')
        other = next(isa for isa in ('neon', 'avx2') if isa not in e2e.instruction_sets())
        args = ['--mode=export', '--model_dir=' + self.path('out'), '--params_override=runtime.threads=1024,runtime.pin=cores',
                '--isa=' + other]
        told = e2e.run(args + ['--export_format=hf', '--output_path=' + self.path('hf')])
        self.assertEqual(told.code, 0, str(told))
        self.assertTrue(os.path.exists(self.path('hf', 'model.safetensors')))
        # in 8 bits the validation data is evaluated
        told = e2e.run(args + ['--export_format=onnx', '--export_precision=int8', '--output_path=' + self.path('onnx')])
        self.assertEqual(told.code, 5, str(told))
        self.assertIn("instruction set '%s' was asked for" % other, self.one_error(told))

    def test_not_with_a_blas(self):
        result = self.train(expect=2, override='runtime.matmul=blas,runtime.pin=nodes')
        self.assertIn('runtime.pin: a BLAS has threads of its own', result.stderr)
        result = self.train(expect=2, override='runtime.pin=sockets')
        self.assertIn('runtime.pin', result.stderr)


if __name__ == '__main__':
    e2e.main()
