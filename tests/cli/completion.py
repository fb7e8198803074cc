# SPDX-License-Identifier: Apache-2.0
"""Tab pressed in real shells: bash through its completion function, zsh in a terminal, fish through complete -C.
And the manual pages, which come of the same tables, read by man and mandoc. What is not installed is skipped."""
import glob
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../e2e/support'))
import e2e  # noqa: E402

PROGRAMS = ('bert-train', 'create-finetuning-data', 'bert-tokenize', 'bert-checkpoint')
# what is typed before Tab: what must be among the completions, each as the word that it makes
TYPED = {
    'bert-train con': ['config'],
    'bert-train --mod': ['--mode=', '--model_dir='],
    'bert-train --mode=train_and_e': ['--mode=train_and_eval'],
    'bert-train --experiment=bert/sq': ['--experiment=bert/squad'],
    'bert-train --config_file=mini': ['--config_file=minilm'],
    'bert-train --config_file=glue_m': ['--config_file=glue_mrpc', '--config_file=glue_mnli_text'],
    'bert-train --params_override=trainer.train_s': ['--params_override=trainer.train_steps='],
    'bert-train --params_override=runtime.threads=2,trainer.train_s': [
        '--params_override=runtime.threads=2,trainer.train_steps='],
    'bert-train --experiment=bert/squad --params_override=runtime.attention=x': [
        '--params_override=runtime.attention=xla'],
    'bert-train --params_override=tra': ['--params_override=trainer.'],
    'bert-train config help trainer.train_s': ['trainer.train_steps'],
    'bert-train config d': ['diff'],
    'bert-train completion z': ['zsh'],
    'bert-train --dry': ['--dry_run'],
    'bert-train --model_dir=fol': ['--model_dir=folder_a', '--model_dir=folder_b'],
    'create-finetuning-data --vocab_f': ['--vocab_file='],
    'create-finetuning-data --vocab_file=fil': ['--vocab_file=file.txt'],
    'bert-checkpoint v': ['verify'],
    'bert-tokenize --help': ['--help', '--helpfull'],
}


class Shells(e2e.Case):
    def setUp(self):
        super().setUp()
        os.makedirs(self.path('folder_a'))
        os.makedirs(self.path('folder_b'))
        self.write('file.txt', b'')
        self.env = dict(os.environ, PATH=e2e.BUILD + os.pathsep + os.environ['PATH'], LC_ALL='C.UTF-8',
                        HOME=self.folder, XDG_CONFIG_HOME=self.folder, TERM='dumb')

    def shell(self, name):
        if shutil.which(name) is None:
            self.skipTest('%s is not installed' % name)
        return name

    def run_it(self, *args):
        done = subprocess.run(args, cwd=self.folder, env=self.env, check=False, capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=e2e.TIMEOUT)
        self.assertEqual((done.returncode, done.stderr), (0, b''), args[:2])
        return done.stdout.decode()

    def test_bash(self):
        script = 'source <(bert-train completion bash)\n'
        for line in TYPED:  # what is before the last = stays on the line, as readline has it
            script += ("COMP_LINE='%s' COMP_POINT=%d; _bert_train; echo \"# $COMP_LINE\"; "
                       "printf '%%s\\n' \"${COMPREPLY[@]}\"\n" % (line, len(line)))
        script += 'complete -p %s\n' % ' '.join(PROGRAMS)
        found = self.run_it(self.shell('bash'), '--norc', '-c', script)
        for program in PROGRAMS:
            self.assertIn('complete -F _bert_train %s\n' % program, found)
        parts = dict(part.split('\n', 1) for part in found.split('# ')[1:])
        for line, want in TYPED.items():
            word = line.split(' ')[-1]
            kept = re.sub('[^=:]*$', '', word)
            self.assertLessEqual(set(want), {kept + rest.rstrip('/') for rest in parts[line].splitlines()}, line)

    def test_fish(self):
        script = 'bert-train completion fish | source\n'
        script += ''.join('echo "# %s"; complete -C "%s"\n' % (line, line) for line in TYPED)
        found = self.run_it(self.shell('fish'), '--no-config', '-c', script)
        parts = dict(part.split('\n', 1) for part in found.split('# ')[1:])
        for line, want in TYPED.items():
            words = {rest.split('\t')[0].rstrip('/') for rest in parts[line].splitlines()}
            self.assertLessEqual(set(want), words, line)

    def read_until(self, terminal, mark):
        text = b''
        end = time.monotonic() + e2e.TIMEOUT
        while mark not in text:
            self.assertTrue(select.select([terminal], [], [], max(0, end - time.monotonic()))[0],
                            'no %r in %r' % (mark, text))
            text += os.read(terminal, 65536)
        return text.decode(errors='replace')

    def test_zsh(self):
        """In a terminal of its own: what one Tab makes of the line, where there is one way only."""
        self.shell('zsh')
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(self.folder)
            os.execvpe('zsh', ['zsh', '-f', '-i'], self.env)
        try:
            os.write(terminal, b"PS1='%% '; unsetopt zle_bracketed_paste 2>/dev/null; autoload -U compinit; "
                               b"compinit -u -D; source <(bert-train completion zsh); echo re''ady\n")
            self.read_until(terminal, b'ready\r\n')
            for line, want in TYPED.items():
                if len(want) > 1:
                    continue
                # the line as it is after Tab, printed by itself: to its beginning, to its end
                os.write(terminal, b'\x15' + line.encode() + b"\t\x01print -r -- '[\x05]'\n")
                told = self.read_until(terminal, b']\r\n')
                made = re.findall(r'\n\[([^\]\r\n]*)\]\r\n', told)[-1]
                self.assertEqual(made.rstrip(' /'), line.rsplit(' ', 1)[0] + ' ' + want[0], told)
        finally:
            os.kill(child, 9)
            os.close(terminal)
            os.waitpid(child, 0)

    def test_scripts(self):
        result = e2e.run(['completion', 'tcsh'])
        self.assertEqual(result.code, 2)
        self.assertIn("'tcsh': one of bash, zsh and fish is expected", result.stderr)
        for name in ('bash', 'zsh', 'fish'):
            if shutil.which(name) is not None:  # it is parsed
                path = self.write('script', e2e.run(['completion', name]).stdout)
                self.run_it(name, '-n', path)

    def test_nothing_is_said(self):
        """Whoever types is not disturbed."""
        for words in ([], [''], ['--none='], ['--experiment=x', '--params_override=a'], ['none', ''], ['--mode'],
                      ['-'], ['--'], ['--config_file'], ['help', 'c'], ['\xff'], ['x' * 100000]):
            result = e2e.run(['--complete'] + words)
            self.assertEqual((result.code, result.stderr), (0, ''), words)
        self.assertIn('\nconfig\t', e2e.run(['--complete', 'help', 'c']).stdout)

    # manual pages

    def test_manual_pages(self):
        pages = sorted(glob.glob(os.path.join(e2e.BUILD, 'man/*.1')))
        names = [os.path.basename(page)[:-2] for page in pages]
        told = e2e.run(['--help']).stdout.partition('\nCommands (')[2].splitlines()[1:]
        self.assertEqual(sorted(names), sorted(list(PROGRAMS) + ['bert-train-' + line.split()[0] for line in told]))
        readers = {'man': ['--warnings', '-E', 'UTF-8', '-l', '-Tutf8', '-Z'], 'mandoc': ['-Tlint', '-W', 'warning']}
        for reader, args in readers.items():
            if shutil.which(reader) is None:
                print('SKIPPED: %s is not installed' % reader)
                continue
            for page in pages:
                done = subprocess.run([reader, *args, page], env=self.env, check=False, capture_output=True,
                                      timeout=e2e.TIMEOUT)
                # a date would differ from build to build
                said = [line for line in (done.stderr + (done.stdout if reader == 'mandoc' else b'')).decode().splitlines()
                        if 'missing date' not in line]
                self.assertEqual(said, [], page)
        for page in pages:
            with open(page, encoding='utf-8') as text:  # a hyphen that is typed is not one that divides
                self.assertEqual([line for line in text if line.startswith('.B ') and re.search(r'(?<!\\)-', line)], [])
        if shutil.which('man') is not None:
            for page, name in zip(pages, names):
                text = subprocess.run(['man', '-l', page], env=dict(self.env, MANWIDTH='200'), check=True,
                                      capture_output=True, timeout=e2e.TIMEOUT).stdout.decode()
                self.assertRegex(text, r'(?m)^NAME\n +%s . \S' % name)
                program, *word = (name[:10], name[11:]) if name.startswith('bert-train-') else (name,)
                for flag in re.findall(r'(?m)^  --(?:\[no\])?(\w+)', e2e.run(word + ['--help'], name=program).stdout):
                    self.assertIn('--', text)
                    self.assertRegex(text, r'--(\[no\])?%s\b' % flag)


if __name__ == '__main__':
    e2e.main()
