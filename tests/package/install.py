# SPDX-License-Identifier: Apache-2.0
"""What `cmake --install`, cpack and tools/package/make_wheel.py give, used where no source is: dpkg and pip judge."""

import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../e2e'))
from support import e2e, weights  # noqa: E402

PROGRAMS = ['bert-checkpoint', 'bert-tokenize', 'bert-train', 'create-finetuning-data']
CLEAN = {'PATH': '/usr/bin:/bin', 'LC_ALL': 'C', 'HOME': '/nonexistent'}


def call(command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=e2e.TIMEOUT, **more)
    assert done.returncode == 0, '%s: exit %d\n%s' % (' '.join(command), done.returncode, done.stdout)
    return done.stdout


def paths_below(folder):
    return sorted(os.path.relpath(os.path.join(where, name), folder)
                  for where, _, names in os.walk(folder) for name in names)


class Installed(e2e.Case):
    """Each test has a folder of its own, outside of source and build."""

    def use(self, programs):
        """Trains with the programs of a folder, where there is nothing else."""
        place = tempfile.mkdtemp(dir=self.folder)
        weights.write_folder(os.path.join(place, 'weights'),
                             weights.words_of(os.path.join(e2e.SOURCE, 'data/train.tsv')))
        shutil.copy(os.path.join(e2e.SOURCE, 'data/dev.tsv'), place)
        for name in PROGRAMS:
            program = os.path.join(programs, name)
            self.assertIn(name, call([program, '--version'], env=CLEAN, cwd=place).splitlines()[0])
        train = os.path.join(programs, 'bert-train')
        said = call([train, '--experiment=bert/sentence_prediction', '--config_file=minilm', '--dry_run=config'],
                    env=CLEAN, cwd=place)
        self.assertIn('hidden_size: 384', said)
        said = call([train, '--experiment=bert/sentence_prediction', '--mode=train_and_eval', '--model_dir=out',
                     '--init=weights', '--train=dev.tsv', '--eval=dev.tsv',
                     '--params_override=trainer.train_steps=4,trainer.validation_interval=4'], env=CLEAN, cwd=place)
        self.assertIn('cls_accuracy', said)

    def test_a_prefix(self):
        root = self.path('root')
        call(['cmake', '--install', e2e.BUILD, '--prefix', '/opt/bert', '--strip'], env=dict(os.environ, DESTDIR=root))
        self.assertEqual(os.listdir(root), ['opt'])  # nothing beside the prefix
        placed = paths_below(os.path.join(root, 'opt/bert'))
        self.assertEqual([p[4:] for p in placed if p.startswith('bin/')], PROGRAMS)
        for name in ('share/bert-train/configs/models/minilm.yaml', 'share/doc/bert-train/LICENSE',
                     'share/doc/bert-train/docs/guide/training.md', 'share/bert-train/bert-train.cdx.json',
                     'share/man/man1/bert-train.1', 'share/man/man1/bert-tokenize.1', 'share/zsh/site-functions/_bert-train',
                     'share/bash-completion/completions/bert-checkpoint',
                     'share/fish/vendor_completions.d/create-finetuning-data.fish'):
            self.assertIn(name, placed)
        for name in PROGRAMS:
            with open(os.path.join(root, 'opt/bert/bin', name), 'rb') as source:
                data = source.read()
            for where in (e2e.SOURCE, e2e.BUILD):
                self.assertNotIn(where.encode() + b'/', data, name)  # made anywhere, used anywhere
        self.use(os.path.join(root, 'opt/bert/bin'))

    def test_the_list_of_libraries(self):
        with open(os.path.join(e2e.BUILD, 'bert-train.cdx.json'), encoding='utf-8') as source:
            bom = json.load(source)
        listed = {row['name']: row.get('version') for row in bom['components']}
        said = e2e.run(['--version']).stdout
        for name, word in (('curl', 'libcurl/'), ('pcre2', 'PCRE2 '), ('protobuf-c', 'protobuf-c '),
                           ('expat', 'expat_'), ('libarchive', 'libarchive ')):
            if word in said:
                self.assertIn(word + listed[name], said)
            else:
                self.assertNotIn(name, listed)

    def test_a_package_comes_and_goes(self):
        if shutil.which('dpkg-shlibdeps') is None or shutil.which('dpkg') is None:
            self.skipTest('there is no dpkg-shlibdeps here (dpkg-dev)')
        out = self.path('deb')
        call(['cpack', '--config', os.path.join(e2e.BUILD, 'CPackConfig.cmake'), '-B', out], cwd=self.folder)
        deb, = glob.glob(out + '/*.deb')
        depends = call(['dpkg-deb', '-f', deb, 'Depends'])
        for library in ('libc6', 'libyaml-0-2', 'libjansson4', 'libprotobuf-c1', 'libpcre2-8-0', 'zlib1g'):
            self.assertIn(library + ' ', depends.replace(',', ' ').replace('\n', ' '))
        root = self.path('root')
        for folder in ('updates', 'info', 'triggers'):
            os.makedirs(os.path.join(root, 'var/lib/dpkg', folder))
        for name in ('status', 'available'):
            open(os.path.join(root, 'var/lib/dpkg', name), 'w', encoding='utf-8').close()
        # its libraries are those of this machine, which this root does not know
        dpkg = ['dpkg', '--root=' + root, '--force-depends', '--force-not-root', '--force-script-chrootless',
                '--log=/dev/null']
        call(dpkg + ['--install', deb])
        for name in ('usr/share/doc/bert-train/copyright', 'usr/share/doc/bert-train/changelog.gz',
                     'usr/share/man/man1/bert-train.1.gz', 'usr/share/zsh/vendor-completions/_bert-train'):
            self.assertTrue(os.path.exists(os.path.join(root, name)), name)
        self.use(os.path.join(root, 'usr/bin'))
        call(dpkg + ['--purge', 'bert-train'])
        left = [p for p in paths_below(root) if not p.startswith('var/lib/dpkg/')]
        self.assertEqual(left, [])

    def test_a_wheel(self):
        maker = [sys.executable, '-B', os.path.join(e2e.SOURCE, 'tools/package/make_wheel.py'), e2e.BUILD]
        first, second = (call(maker + [self.path(name)]).strip() for name in ('a', 'b'))
        with open(first, 'rb') as one, open(second, 'rb') as other:
            self.assertEqual(one.read(), other.read())
        if subprocess.run([sys.executable, '-m', 'pip', '--version'], capture_output=True, check=False).returncode != 0:
            self.skipTest('there is no pip here')
        # as a venv would be, without one, which some systems lack
        call([sys.executable, '-m', 'pip', 'install', '--quiet', '--no-index', '--no-deps', '--no-input',
              '--disable-pip-version-check', '--prefix', self.path('p'), '--break-system-packages', first],
             env=dict(os.environ, PIP_BREAK_SYSTEM_PACKAGES='1'))
        scripts = [os.path.dirname(p) for p in glob.glob(self.path('p') + '/**/bin/bert-train', recursive=True)]
        self.use(scripts[0])


if __name__ == '__main__':
    e2e.main()
