# SPDX-License-Identifier: Apache-2.0
"""A BLAS is loaded when something multiplies with it and never else: its threads would hang under a
limit of the address space. runtime.blas_library names another; what cannot be used is refused."""
import glob
import os
import resource
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402

PROGRAMS = ('bert-train', 'bert-tokenize', 'bert-checkpoint', 'create-finetuning-data')
BLAS = ',runtime.matmul=blas'
SMALL = ',trainer.train_steps=2,trainer.validation_interval=2'


def limited(kib):
    def before():
        resource.setrlimit(resource.RLIMIT_AS, (kib * 1024, kib * 1024))
    return before


class Loading(e2e.Case):
    def libraries(self, **how):
        """What the loader opened in a whole run, from start to end."""
        trace = self.path('trace')
        self.train(run_how={'env': {'LD_DEBUG': 'files', 'LD_DEBUG_OUTPUT': trace}}, **how)
        text = ''
        for name in glob.glob(trace + '.*'):
            with open(name, encoding='utf-8', errors='replace') as source:
                text += source.read()
            os.remove(name)
        self.assertIn('libc.so', text)
        return text

    def test_no_program_is_linked_with_one(self):
        if shutil.which('ldd') is None:
            self.skipTest('there is no ldd')
        for name in PROGRAMS:
            out = subprocess.run(['ldd', e2e.program(name)], capture_output=True, text=True,
                                 check=True).stdout
            self.assertIn('libc.so', out)
            self.assertNotRegex(out, r'blas|blis|mkl')

    def test_only_who_multiplies_with_it_loads_it(self):
        if e2e.instruction_sets() != ['ref']:
            self.assertNotRegex(self.libraries(override=SMALL[1:], model_dir='own'), 'blas')
        self.assertRegex(self.libraries(override=SMALL[1:] + BLAS, model_dir='blas'), 'blas')
        self.assertRegex(self.libraries(override=SMALL[1:], model_dir='ref', more=['--isa=ref']),
                         'blas')

    def test_the_version_names_it(self):
        self.assertRegex(e2e.run(['--version']).stdout, r'engine: .*\(lib\w*blas\w*\.so\.\d\); ker')

    def test_another_one(self):
        """By name and by path: the same bits as without the key, and it is kept in params.yaml."""
        self.train(mode='train', model_dir='a', override=SMALL[1:] + BLAS)
        self.assertNotIn('blas_library', e2e.read_params(self.path('a')))
        loaded = self.libraries(mode='train', model_dir='named',
                                override=SMALL[1:] + BLAS + ',runtime.blas_library=libopenblas.so.0')
        self.same_values(self.path('a', 'ckpt-2'), self.path('named', 'ckpt-2'))
        self.assertIn('blas_library: libopenblas.so.0', e2e.read_params(self.path('named')))
        found = sorted(w for w in loaded.split() if w.startswith('/') and 'libopenblas.so' in w)
        path = found[0].rstrip(';')
        result = self.train(mode='train', model_dir='path',
                            override=SMALL[1:] + BLAS + ",runtime.blas_library='%s'" % path)
        self.assertIn('(%s)' % path, result.stderr)
        self.same_values(self.path('a', 'ckpt-2'), self.path('path', 'ckpt-2'))

    def test_a_run_with_the_old_name_of_the_key(self):
        """A folder of an earlier version goes on: told once, written with the new name, no change."""
        told = 'warning: runtime.products is the old name of runtime.matmul'
        first = self.train(mode='train', model_dir='old', override=SMALL[1:] + ',runtime.products=blas')
        self.assertEqual(first.stderr.count(told), 1, str(first))
        text = e2e.read_params(self.path('old'))
        self.assertIn('  matmul: blas\n', text)
        self.assertNotIn('products', text)
        with open(self.path('old', 'params.yaml'), encoding='utf-8') as source:
            text = source.read()
        os.remove(self.path('old', 'params_ours.yaml'))  # an earlier version had one file
        self.write('old/params.yaml', text.replace('runtime:\n', 'runtime:\n  products: blas\n', 1).partition('\n')[2])
        again = self.train(mode='train', model_dir='old', override=(SMALL + BLAS)[1:].replace('steps=2', 'steps=4'))
        self.assertIn('restored step 2', again.stderr)
        self.assertNotIn('runtime.', again.stderr)  # neither changed nor old: what is asked for now is new
        self.assertIn('  matmul: blas\n', e2e.read_params(self.path('old')))

    def test_what_is_none(self):
        """The run refuses it, and a dry run says so; both before anything is written."""
        for library, words in (('libnone.so.7', 'libnone.so.7 cannot be loaded'),
                               ('libm.so.6', 'libm.so.6 is a library without cblas_sgemm'),
                               (self.path('run.yaml'), 'run.yaml cannot be loaded')):
            override = SMALL[1:] + BLAS + ",runtime.blas_library='%s'" % library
            self.assertRegex(self.one_error(self.train(expect=5, override=override)), words)
            self.assertFalse(os.path.exists(self.path('out')))
            dry = self.train(override=override, more=['--dry_run'], expect=5)
            self.assertRegex(self.one_error(dry), words)

    def test_what_multiplies_wrongly(self):
        """As a build with integers of 64 bits may."""
        source = self.write('wrong.c', 'void cblas_sgemm(void);\nvoid cblas_sgemm(void) {}\n')
        if shutil.which('gcc') is None:
            self.skipTest('there is no gcc')
        subprocess.run(['gcc', '-shared', '-fPIC', '-o', self.path('libwrong.so'), source],
                       check=True)
        override = SMALL[1:] + BLAS + ",runtime.blas_library='%s'" % self.path('libwrong.so')
        self.assertIn('multiplies a matrix of 2 by 3 wrongly',
                      self.one_error(self.train(expect=5, override=override)))

    def test_a_name_without_effect(self):
        if e2e.instruction_sets() == ['ref']:
            self.skipTest('this machine has no kernels of our own')
        result = self.train(override=SMALL[1:] + ',runtime.blas_library=libnone.so.7')
        self.assertIn('warning: runtime.blas_library is libnone.so.7, and nothing in this run '
                      'multiplies with a BLAS', result.stderr)


@unittest.skipIf(e2e.SANITIZED, 'a sanitizer takes more address space than any limit leaves')
class Limit(e2e.Case):
    """ulimit -v: OpenBLAS's threads would wait for ever for the buffers that they do not get."""

    def test_a_run_ends(self):
        if e2e.instruction_sets() == ['ref']:
            self.skipTest('this machine has no kernels of our own')
        self.train(override=SMALL[1:] + ',runtime.threads=2',
                   run_how={'before': limited(153600), 'timeout': 30})

    def test_no_room(self):
        for kib in (153600, 250000, 330000):
            result = self.train(expect=4, override=SMALL[1:] + BLAS + ',runtime.threads=2',
                                run_how={'before': limited(kib), 'timeout': 30})
            self.assertRegex(self.one_error(result), r'no room for a BLAS: with 2 threads it takes '
                             r'352 MiB of address space, but the limits .* leave \d+ MiB')

    def test_room_enough(self):
        """What is let through really ends."""
        for kib in range(380000, 620000, 60000):
            result = self.train(expect=None, model_dir='at%d' % kib,
                                override=SMALL[1:] + BLAS + ',runtime.threads=2',
                                run_how={'before': limited(kib), 'timeout': 30})
            self.assertIn(result.code, (0, 4), str(result))
        self.assertEqual(result.code, 0, str(result))

    def test_the_peak_is_left_out(self):
        result = self.train(mode='train', override='runtime.threads=2',
                            more=['--benchmark', '--benchmark_steps=2'],
                            run_how={'before': limited(300000), 'timeout': 60})
        self.assertIn('warning: --benchmark: the peak of a BLAS is left out: no room for a BLAS',
                      result.stderr)


if __name__ == '__main__':
    e2e.main()
